"""An activation: an exact function of x, and what can be read off it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from kernalg.activation import catalogue
from kernalg.activation.dual import Dual
from kernalg.compiled.elementwise import elementwise
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, parse, to_json
from kernalg.gaussian.atoms import Atoms, from_pieces
from kernalg.gaussian.expectation import hermite_moments
from kernalg.gaussian.pieces import Pieces, pieces
from kernalg.symbols import c, q1, q2, rho, x

MAX_HERMITE_ORDER = 500


@dataclass(frozen=True)
class Activation:
    """A function phi(x), exact.

    Parameters
    ----------
    expr : sympy.Expr
        In `kernalg.x`; further symbols are parameters and stay symbolic.
    name : str
        What the catalogue calls it, or its formula.

    Examples
    --------
    >>> import kernalg as ka
    >>> phi = ka.activation("leaky_relu", slope="1/5")
    >>> phi.expr, phi.homogeneity, phi.breakpoints
    (Max(0, x) + Min(0, x)/5, 1, (0,))
    >>> phi.dual.diagonal
    13*q1/25
    """

    expr: sp.Expr
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.expr, sp.Expr):
            raise DomainError(
                f"Activation({self.expr!r}): the first argument is a SymPy expression in kernalg.x; "
                "for text use kernalg.activation('…')"
            )
        strangers = self.expr.free_symbols & {q1, q2, c, rho}
        if strangers:
            raise DomainError(
                f"{self.expr} contains {', '.join(sorted(map(str, strangers)))}, which stand for the Gaussian pair; "
                "an activation is a function of x, and parameters carry other names"
            )
        if any(s.name == "x" and s != x for s in self.expr.free_symbols):
            raise DomainError(f"{self.expr} uses another symbol named x; use kernalg.x (it is real)")
        if not self.name:
            object.__setattr__(self, "name", str(self.expr))

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """Symbols other than x."""
        return tuple(sorted(self.expr.free_symbols - {x}, key=str))

    @cached_property
    def pieces(self) -> Pieces:
        """Smooth branches from left to right."""
        return pieces(self.expr)

    @property
    def breakpoints(self) -> tuple[sp.Expr, ...]:
        """Where the branch changes (a kink, a jump, or a jump of a higher derivative)."""
        return self.pieces.breakpoints

    @cached_property
    def atoms(self) -> Atoms:
        """The normal form: sum of x^n exp(Ax^2+Bx) times a threshold."""
        return from_pieces(self.pieces)

    @cached_property
    def parity(self) -> str | None:
        """'even', 'odd' or None."""
        if _vanishes(self.expr.subs(x, -x) - self.expr):
            return "even"
        if _vanishes(self.expr.subs(x, -x) + self.expr):
            return "odd"
        return None

    @cached_property
    def homogeneity(self) -> sp.Expr | None:
        """The degree p with phi(s x) = s^p phi(x) for all s > 0, or None."""
        if any(t != 0 for t in self.breakpoints):
            return None
        degrees = {_monomial_degree(branch) for branch in self.pieces.branches if branch != 0}
        return degrees.pop() if len(degrees) == 1 else None

    @cached_property
    def dual(self) -> Dual:
        """E[phi(u) phi(v)] and its relatives."""
        return Dual(self.name, lambda: self.pieces)

    def hermite(self, order: int, q: Any = 1) -> list[sp.Expr]:
        r"""Exact coefficients a_k = E[phi(sqrt(q) Z) h_k(Z)], k = 0 … order, with h_k = He_k/sqrt(k!).

        Parameters
        ----------
        order : int
            Last index, at most 500.
        q : exact number or symbol, positive
            Variance of the input. A symbol must be declared positive.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("relu").hermite(4)
        [sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0, -sqrt(3)/(12*sqrt(pi))]
        """
        if isinstance(order, bool) or not isinstance(order, int | np.integer) or not 0 <= order <= MAX_HERMITE_ORDER:
            raise DomainError(f"hermite({order!r}): the order is an integer from 0 to {MAX_HERMITE_ORDER}")
        variance = exact_number(q, "q")
        if not variance.is_positive:
            raise DomainError(f"hermite(q={q}): the variance must be positive (declare a symbol positive=True)")
        return hermite_moments(self.atoms, int(order), variance)

    def __call__(self, values: Any) -> Any:
        """phi at each entry of an array, in float64."""
        self._refuse_parameters()
        return elementwise(self.expr, (x,))(values)

    def _refuse_parameters(self) -> None:
        if self.parameters:
            raise DomainError(
                f"{self.name} has the free parameters {', '.join(map(str, self.parameters))}; "
                "give them values before asking for numbers"
            )

    def to_json(self) -> str:
        return json.dumps({"kernalg": "activation", "name": self.name, "expr": to_json(self.expr)})

    @classmethod
    def from_json(cls, text: str) -> Activation:
        tree = json.loads(text)
        if not isinstance(tree, dict) or tree.get("kernalg") != "activation":
            raise DomainError("this JSON is not an activation of kernalg (key 'kernalg': 'activation')")
        return cls(from_json(tree["expr"]), str(tree["name"]))

    def __repr__(self) -> str:
        same = self.name == str(self.expr)
        return f"Activation({self.expr})" if same else f"Activation({self.name}: {self.expr})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle \varphi(x) = {sp.latex(self.expr)}$"


def _monomial_degree(branch: sp.Expr) -> sp.Expr | None:
    """n when the branch is a constant times x^n, else None."""
    _, power = sp.expand(branch).as_independent(x, as_Add=False)
    base, exponent = power.as_base_exp()
    if power == 1:
        return sp.S.Zero
    return exponent if base == x and not exponent.has(x) else None


def _vanishes(expr: sp.Expr) -> bool:
    return all(sp.expand(b) == 0 for b in pieces(expr).branches)


def activation(formula: str | sp.Expr | Activation, **parameters: Any) -> Activation:
    """An activation from a catalogue name, a formula in x, or a SymPy expression.

    Parameters
    ----------
    formula : str or sympy.Expr
        ``"relu"``, ``"x*(1+erf(x/sqrt(2)))/2"``, ``sympy.Max(kernalg.x, 0)``.
    **parameters
        Values of the parameters (exact: ints, Fractions, SymPy numbers, strings such as ``"1/5"``; a float means its
        shortest decimal; symbols stay symbols).

    Raises
    ------
    FormulaError
        The text is neither a name of the catalogue nor a formula.
    DomainError
        A parameter is unknown or out of range.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.activation("exp(-a*x**2)", a="1/2").dual.normalized
    1/sqrt(4 - rho**2)
    """
    if isinstance(formula, Activation):
        if parameters:
            raise DomainError("parameters are given with a name or a formula, not with a finished activation")
        return formula
    if isinstance(formula, str):
        name = formula.strip()
        if name in catalogue.ENTRIES:
            return Activation(*catalogue.build(name, parameters))
        values = {k: exact_number(v, k) for k, v in parameters.items()}
        symbols = {"x": x, **{k: sp.Dummy(k, real=True) for k in values}}
        try:
            expr = parse(name, symbols)
        except DomainError as error:
            if name.isidentifier():
                raise catalogue.unknown_name(name) from error
            raise
        return Activation(expr.subs({symbols[k]: v for k, v in values.items()}))
    if isinstance(formula, sp.Expr):
        by_name = {s.name: s for s in formula.free_symbols}
        unknown = set(parameters) - set(by_name)
        if unknown:
            raise DomainError(f"{formula} has no parameter {', '.join(sorted(unknown))}")
        return Activation(formula.subs({by_name[k]: exact_number(v, k) for k, v in parameters.items()}))
    raise DomainError(f"activation({formula!r}): give a catalogue name, a formula in x, or a SymPy expression")


def activations() -> list[str]:
    """Names in the catalogue, in alphabetical order.

    Examples
    --------
    >>> import kernalg as ka
    >>> {"relu", "gelu", "erf"} <= set(ka.activations())
    True
    """
    return sorted(catalogue.ENTRIES)
