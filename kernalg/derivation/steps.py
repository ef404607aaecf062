"""A derivation: checked steps from a definition to a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import sympy as sp

from kernalg.derivation import checks, render
from kernalg.derivation.checks import Check, StepFails
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.typeset import statement
from kernalg.errors import InternalError


@dataclass(frozen=True, slots=True)
class Step:
    """One line: lhs relation rhs, why, and how it was checked."""

    id: str
    lhs: sp.Basic
    relation: str  # "=", ":=" or "<="
    rhs: sp.Basic
    because: str
    checked: Check
    # The check as a function of the right side (None for a definition): run it on another right side and see it fail.
    verify: Callable[[sp.Basic], Check] | None = field(default=None, repr=False, compare=False)

    @property
    def statement_latex(self) -> str:
        return statement(self.lhs, self.relation, self.rhs)


class Conclusion(NamedTuple):
    """A formula the library ships, and the step that ends at it."""

    name: str
    formula: sp.Basic
    step: str


class Derivation:
    """A recorder of steps. Each is checked when it is made, so a false step cannot be recorded.

    Parameters
    ----------
    id : str
        Permanent; step ids are ``id.1``, ``id.2`` …
    title : str
    references : sequence of str
    introduction : str
        What is to be shown and what is assumed. Formulas in the text stand between dollar signs, as LaTeX.

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
        self.conclusions: list[Conclusion] = []
        self._meaning: dict[sp.Basic, sp.Basic] = {}

    @property
    def conclusion(self) -> Conclusion | None:
        """The last conclusion."""
        return self.conclusions[-1] if self.conclusions else None

    def define(self, lhs: sp.Basic, rhs: sp.Basic, because: str) -> Step:
        """A name for an expression: nothing to check."""
        return self._record(lhs, ":=", rhs, because, Check("definition", ""), None)

    def abbreviate(self, symbol: sp.Symbol, meaning: sp.Expr, because: str) -> Step:
        """A symbol that stands for an expression in all later steps: pages show it, checks replace it."""
        self.name(symbol, meaning)
        return self.define(symbol, meaning, because)

    def name(self, symbol: sp.Symbol, meaning: sp.Expr) -> None:
        """The same without a line of its own: the sentence of a step says what the symbol is."""
        self._meaning[symbol] = self.expand(meaning)

    def expand(self, side: sp.Basic) -> sp.Basic:
        """`side` with every abbreviation replaced by what it stands for."""
        return side.xreplace(self._meaning)

    def step(
        self,
        lhs: sp.Basic,
        rhs: sp.Basic,
        *,
        because: str,
        check: str | Callable[[sp.Basic, sp.Basic], Check],
    ) -> Step:
        """lhs = rhs, checked.

        Parameters
        ----------
        lhs, rhs : sympy.Expr, Matrix or Tuple
        because : str
            The reason, one sentence.
        check : {"symbolic", "balls", "proof or balls", "quadrature", "mpmath", "cited"} or callable
            `quadrature` evaluates the expectations on both sides, `mpmath` the integrals and sums, `cited` takes a
            classical theorem as the reason and still compares both sides in numbers. A callable takes both sides
            and returns a Check or raises StepFails.

        Raises
        ------
        StepFails
            with the sampled point and both values.
        """
        if callable(check):
            how = check
        elif check == "cited":
            how = checks.cited
        elif check in checks.CHECKS:
            how = checks.CHECKS[check]
        else:
            raise InternalError(f"{self._next_id}: there is no check called {check!r}")
        return self._checked(lhs, "=", rhs, because, partial(how, self.expand(lhs)))

    def family(self, lhs: sp.Basic, rhs: sp.Basic, *, index: sp.Symbol, values: Iterable[int], because: str) -> Step:
        """lhs = rhs for every value of an integer; checked symbolically for the `values` only, which the page says."""
        left, listed = self.expand(lhs), tuple(values)
        return self._checked(lhs, "=", rhs, because, lambda side: checks.instances(left, side, index, listed))

    def bound(self, lhs: sp.Basic, rhs: sp.Basic, *, because: str) -> Step:
        """lhs <= rhs, certain in balls at sample points."""
        return self._checked(lhs, "<=", rhs, because, partial(checks.at_most, self.expand(lhs)))

    def integrate(
        self,
        lhs: sp.Basic,
        rhs: sp.Basic,
        *,
        derivative: sp.Expr,
        symbol: sp.Symbol,
        point: sp.Expr,
        value: sp.Expr,
        because: str,
    ) -> Step:
        """lhs = rhs because both have the same derivative in `symbol` and the same value at one point.

        `derivative` and `value` are what earlier steps say of lhs; an expectation is also evaluated once by quadrature.
        """

        def verify(side: sp.Basic) -> Check:
            made = checks.derivative_and_point(self.expand(derivative), side, symbol, point, self.expand(value))
            if not isinstance(lhs, Expectation | Mean):
                return made
            checks.by_quadrature(self.expand(lhs), side, count=1)
            return Check(made.kind, f"{made.detail}; quadrature at one point agrees")

        return self._checked(lhs, "=", rhs, because, verify)

    def conclude(self, name: str, shipped: sp.Basic) -> None:
        """The last right side is the formula the library ships, term for term. Other steps may follow."""
        if not self.steps or self.steps[-1].rhs != shipped:
            last = self.steps[-1].rhs if self.steps else "nothing"
            raise StepFails(f"{self.id} ends at {last}, while the library ships {shipped}")
        self.conclusions.append(Conclusion(name, shipped, self.steps[-1].id))

    @property
    def _next_id(self) -> str:
        return f"{self.id}.{len(self.steps) + 1}"

    def _checked(
        self, lhs: sp.Basic, relation: str, rhs: sp.Basic, because: str, verify: Callable[[sp.Basic], Check]
    ) -> Step:
        def verify_expanded(side: sp.Basic) -> Check:
            return verify(self.expand(side))

        try:
            checked = verify_expanded(rhs)
        except StepFails as failure:
            raise StepFails(f"{self._next_id}: {failure}") from None
        return self._record(lhs, relation, rhs, because, checked, verify_expanded)

    def _record(
        self,
        lhs: sp.Basic,
        relation: str,
        rhs: sp.Basic,
        because: str,
        checked: Check,
        verify: Callable[[sp.Basic], Check] | None,
    ) -> Step:
        made = Step(self._next_id, lhs, relation, rhs, because, checked, verify)
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
