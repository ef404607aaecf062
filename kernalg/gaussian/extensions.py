"""Closed forms beyond the engine's normal form, and the one door to them.

Each family lives in a file of its own and offers the same functions: `recognise` turns the branches of a function into
the family's own spelling (None when it is no member; `NoClosedForm` when it is one and its expectation does not exist),
`expectation`, `expectation_at_equality` and `hermite_moments` are what the engine's functions of these names are, and
`scaled` is x -> f(a x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, prod
from typing import Any

import sympy as sp

from kernalg.compiled.elementwise import elementwise
from kernalg.errors import NoClosedForm
from kernalg.gaussian import band_limited, lattice, logarithm, power_arrays, powers
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import c, q1, q2

MOST_TERMS = 3000


@dataclass(frozen=True)
class Family:
    """The functions of one file; members are values of its own."""

    title: str
    because: str  # why the closed form holds, one sentence with formulas between dollar signs
    recognise: Callable[[Pieces], Any]
    expectation: Callable[[Any, Any], sp.Expr]
    expectation_at_equality: Callable[[Any, Any], sp.Expr]
    hermite_moments: Callable[[Any, int, sp.Expr], list[sp.Expr]]
    scaled: Callable[[Any, sp.Expr], Any]
    # Of an entire family: E[f'(u) g'(u)]; the derivative dual itself is then d/dc.
    derivative_at_equality: Callable[[Any, Any], sp.Expr] | None = None
    # float64 on arrays (q1, q2, c), where the formula itself is not to be compiled.
    values: Callable[[Any, Any], Callable[..., Any]] | None = None
    # Members whose formula is 0/0 at rho = ±1 and near it; their Hermite series converges fast there.
    is_removable: Callable[[Any], bool] | None = None


POWERS = Family(
    "real powers (kernalg.gaussian.powers)",
    "in polar coordinates the radius integrates to a Gamma function and the angle to a Beta integral over the wedge "
    "$u, v > 0$, a hypergeometric function of the correlation",
    powers.recognise,
    powers.expectation,
    powers.expectation_at_equality,
    powers.hermite_moments,
    powers.scaled,
    values=power_arrays.values,
)
LOGARITHM = Family(
    "log|x| and polynomials (kernalg.gaussian.logarithm)",
    r"$\log|x|$ is the derivative of $|x|^p$ in $p$ at $p = 0$, and so is its dual",
    logarithm.recognise,
    logarithm.expectation,
    logarithm.expectation_at_equality,
    logarithm.hermite_moments,
    logarithm.scaled,
)
BAND_LIMITED = Family(
    "sin(ax)/x and Dawson's function (kernalg.gaussian.band_limited)",
    "the function is a superposition of sines whose weight is an interval, or a half-line times a Gaussian: the dual "
    "is a rectangle or quadrant probability of a Gaussian pair",
    band_limited.recognise,
    band_limited.expectation,
    band_limited.expectation_at_equality,
    band_limited.hermite_moments,
    band_limited.scaled,
    band_limited.derivative_at_equality,
    is_removable=band_limited.has_box,
)
FAMILIES = (POWERS, LOGARITHM, BAND_LIMITED)


@dataclass(frozen=True)
class Pair:
    """Two functions of one family; with `differentiated`, their derivatives."""

    family: Family
    left: Any
    right: Any
    differentiated: bool = False

    def expression(self) -> sp.Expr:
        """E[f(u) g(v)] in q1, q2, c."""
        value = self.family.expectation(self.left, self.right)
        return sp.diff(value, c) if self.differentiated else value

    def at_ratio(self, ratio: sp.Expr) -> sp.Expr:
        """E[f(u) g(ratio u)] in q1, the ratio not 0: what is left where the pair's covariance matrix is singular."""
        right = self.family.scaled(self.right, ratio)
        if self.differentiated and self.family.derivative_at_equality is not None:
            return self.family.derivative_at_equality(self.left, right) / ratio
        return self.family.expectation_at_equality(self.left, right)

    def values(self) -> Callable[..., Any] | None:
        """The function of float64 arrays q1, q2, c; None where the Hermite series serves better."""
        if self.family.values is not None:
            return self.family.values(self.left, self.right)
        removable = self.family.is_removable
        if removable is not None and removable(self.left) and removable(self.right):
            return None
        return elementwise(self.expression(), (q1, q2, c))

    def mean(self, side: Any, variance: sp.Expr) -> sp.Expr:
        """E f(u), or E f'(u) = E[u f(u)]/q."""
        if self.differentiated:
            return self.family.hermite_moments(side, 1, variance)[1] / sp.sqrt(variance)
        return self.family.hermite_moments(side, 0, variance)[0]


def find(f: Pieces, g: Pieces) -> Pair | None:
    """The family that knows both functions.

    Raises
    ------
    NoClosedForm
        A family knows them, and knows that the expectation does not exist.
    """
    if _is_too_long(f) or _is_too_long(g):
        return None
    for family in FAMILIES:
        left = family.recognise(f)
        right = left if f == g or left is None else family.recognise(g)
        if left is not None and right is not None:
            return Pair(family, left, right)
    return None


def _is_too_long(parts: Pieces) -> bool:
    """Whether writing out the powers of sums would take more than some thousand terms."""
    return any(_terms(branch) > MOST_TERMS for branch in parts.branches)


def _terms(expr: sp.Expr) -> int:
    """A bound of the number of terms of the expanded expression."""
    if isinstance(expr, sp.Add):
        return sum(map(_terms, expr.args))
    if isinstance(expr, sp.Mul):
        return prod(map(_terms, expr.args))
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
        length = _terms(expr.base)
        return comb(int(expr.exp) + length - 1, length - 1) if length > 1 else 1
    return 1


def find_differentiated(f: Pieces, g: Pieces) -> Pair | None:
    """The entire family that knows two functions whose derivatives are wanted."""
    found = find(f, g)
    if found is None or found.family.derivative_at_equality is None:
        return None
    return Pair(found.family, found.left, found.right, differentiated=True)


def hermite_moments(f: Pieces, order: int, q: sp.Expr) -> list[sp.Expr] | None:
    """E[f(sqrt(q) Z) h_k(Z)] for k = 0 … order, exact; None outside the families."""
    found = find(f, f)
    return None if found is None else found.family.hermite_moments(found.left, order, q)


def norm_squared(f: Pieces, q: sp.Expr) -> sp.Expr | None:
    """E f(u)^2, exact, of functions that quadrature may not reach: singular at 0. None for the others."""
    found = _perhaps_singular(f)
    if found is None or (found.family is POWERS and all(p.is_core for p in found.left)):
        return None
    return found.at_ratio(sp.S.One).subs(q1, q)


def is_unbounded(f: Pieces) -> bool:
    """Whether a function of the families is infinite at 0, where quadrature cannot bound it."""
    found = _perhaps_singular(f)
    if found is None:
        return False
    return found.family is LOGARITHM or any(p.exponent.is_negative for p in found.left)


def reason(f: Pieces) -> str | None:
    """Why a function outside every family has no closed form, where more is known than that."""
    if lattice.recognise(f) is not None:
        return (
            "floor has infinitely many jumps, so its dual is a doubly infinite sum and no finite closed form; "
            "dual.value(q1, q2, c, digits), dual.enclosure and arrays sum it with certified tails"
        )
    return None


def _perhaps_singular(f: Pieces) -> Pair | None:
    """The function with itself, when it is of a family whose members may be singular at 0."""
    try:
        found = find(f, f)
    except NoClosedForm:
        return None
    return None if found is None or found.family is BAND_LIMITED else found
