"""A derivation: checked steps from a definition to a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from kernalg.derivation import checks, render
from kernalg.derivation.checks import Check, StepFails
from kernalg.derivation.expectation import Expectation
from kernalg.errors import InternalError


@dataclass(frozen=True, slots=True)
class Step:
    """One line: lhs relation rhs, why, and how it was checked."""

    id: str
    lhs: sp.Expr
    relation: str
    rhs: sp.Expr
    because: str
    checked: Check

    @property
    def statement_latex(self) -> str:
        return f"{sp.latex(self.lhs)} {self.relation} {sp.latex(self.rhs)}"


class Derivation:
    """A recorder of steps. Each is checked when it is made, so a false step cannot be recorded.

    Parameters
    ----------
    id : str
        Permanent; step ids are ``id.1``, ``id.2`` …
    title : str
    references : sequence of str
    introduction : str
        What is to be shown and what is assumed.

    Examples
    --------
    >>> import sympy as sp
    >>> from kernalg.symbols import rho
    >>> d = Derivation("pythagoras", "sin^2 + cos^2")
    >>> d.step(sp.sin(rho) ** 2 + sp.cos(rho) ** 2, sp.S(1), because="Pythagoras", check="symbolic").checked.kind
    'symbolic'
    >>> d.step(sp.sin(rho), -sp.sin(rho), because="a flipped sign", check="balls")
    Traceback (most recent call last):
    ...
    kernalg.derivation.checks.StepFails: pythagoras.2: at rho = 1/2 the left side is [0.479425538604203 +/- ...
    """

    def __init__(self, id: str, title: str, *, references: Sequence[str] = (), introduction: str = "") -> None:
        self.id = id
        self.title = title
        self.references = tuple(references)
        self.introduction = introduction
        self.steps: list[Step] = []
        self.conclusion: tuple[str, sp.Expr] | None = None

    def define(self, lhs: sp.Expr, rhs: sp.Expr, because: str) -> Step:
        """A name for an expression: nothing to check."""
        return self._record(lhs, "=", rhs, because, Check("definition", ""))

    def step(self, lhs: sp.Expr, rhs: sp.Expr, *, because: str, check: str) -> Step:
        """lhs = rhs, checked.

        Parameters
        ----------
        lhs, rhs : sympy.Expr
        because : str
            The reason, one sentence.
        check : {"symbolic", "balls", "quadrature", "cited"}
            `cited` takes a classical theorem as the reason, and still compares both sides in balls.

        Raises
        ------
        StepFails
            with the sampled point and both values.
        """
        number = f"{self.id}.{len(self.steps) + 1}"
        try:
            if check == "quadrature":
                if not isinstance(lhs, Expectation):
                    raise InternalError(f"{number}: a quadrature check needs an expectation on the left")
                checked = checks.by_quadrature(lhs, rhs)
            elif check == "symbolic":
                checked = checks.symbolic(lhs, rhs)
            elif check == "balls":
                checked = checks.balls(lhs, rhs)
            elif check == "cited":
                numerical = checks.by_quadrature(lhs, rhs) if isinstance(lhs, Expectation) else checks.balls(lhs, rhs)
                checked = Check("cited", f"and compared numerically ({numerical})")
            else:
                raise InternalError(f"{number}: there is no check called {check!r}")
        except StepFails as failure:
            raise StepFails(f"{number}: {failure}") from None
        return self._record(lhs, "=", rhs, because, checked)

    def integrate(
        self,
        lhs: sp.Expr,
        rhs: sp.Expr,
        *,
        derivative: sp.Expr,
        symbol: sp.Symbol,
        point: sp.Expr,
        value: sp.Expr,
        because: str,
    ) -> Step:
        """lhs = rhs because both have the same derivative in `symbol` and the same value at one point."""
        try:
            checked = checks.derivative_and_point(derivative, rhs, symbol, point, value)
        except StepFails as failure:
            raise StepFails(f"{self.id}.{len(self.steps) + 1}: {failure}") from None
        return self._record(lhs, "=", rhs, because, checked)

    def conclude(self, name: str, shipped: sp.Expr) -> None:
        """The last right side is the formula the library ships, term for term. Confirmations may follow."""
        if not self.steps or self.steps[-1].rhs != shipped:
            last = self.steps[-1].rhs if self.steps else "nothing"
            raise StepFails(f"{self.id} ends at {last}, while the library ships {shipped}")
        self.conclusion = (name, shipped)

    def _record(self, lhs: sp.Expr, relation: str, rhs: sp.Expr, because: str, checked: Check) -> Step:
        made = Step(f"{self.id}.{len(self.steps) + 1}", lhs, relation, rhs, because, checked)
        self.steps.append(made)
        return made

    def markdown(self) -> str:
        """Markdown with $$ formulas."""
        return render.markdown(self)

    def latex(self) -> str:
        """The body of a LaTeX document (amsmath)."""
        return render.latex(self)

    def html(self) -> str:
        r"""HTML with \( \) formulas, as notebooks typeset them."""
        return render.html(self)

    def __repr__(self) -> str:
        return render.text(self)

    def _repr_markdown_(self) -> str:
        return render.markdown(self)
