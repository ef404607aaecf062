"""How smooth an activation is, and what that does to its dual at rho = 1 and rho = -1."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import sympy as sp

from kernalg.errors import NoClosedForm
from kernalg.gaussian import lattice, logarithm, powers
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import x

MAX_JUMP_ORDER = 64
_INFINITE = (sp.nan, sp.zoo, sp.oo, -sp.oo)


@dataclass(frozen=True, slots=True)
class Smoothness:
    r"""Which derivative of an activation jumps, and what that does to its dual at rho = 1 and rho = -1.

    At unit variances the dual is, near rho = 1, a power series in d = 1 - rho plus a multiple of d^(j + 1/2), where j
    is the lowest order at which a derivative phi^(j) jumps; its Hermite coefficients decay like k^(-(2j+3)/4).
    A power |x|^p, p not an even number, on one or both sides has j = p: the term is d^(p + 1/2), times log d when
    p + 1/2 is an integer; log|x| has the exponent of a jump.
    The multiple is (-1)^(j+1) Gamma(3/2)/Gamma(j+3/2) sum_t J_t^2 f(t)/sqrt(pi), with J_t the jump at t and f the
    normal density: it is never 0. (Check: ReLU, j = 1 and J_0 = 1, has sqrt(2)/(3 pi) d^(3/2).)
    Near rho = -1, u is close to -v and only a breakpoint t whose mirror image -t is one too leaves a power of 1 + rho.

    Parameters
    ----------
    jump_order : int, Expr or None
        j: 0 for a jump, 1 for a kink, 2 for a jump of the curvature, …; None for an analytic function.
    at_plus_one : Rational or None
        The lowest singular exponent of the dual at rho = 1, j + 1/2; None: no jumps, no such power.
    at_minus_one : Rational, "flat" or None
        The same at rho = -1. "flat": there are breakpoints but no mirror images; what remains are terms like
        exp(-t^2/(1 + rho)), all of whose derivatives vanish.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.activation("elu").smoothness
    Smoothness(jump_order=2, at_plus_one=5/2, at_minus_one=5/2)
    >>> ka.activation("shifted_relu", b=1).smoothness.at_minus_one
    'flat'
    """

    jump_order: int | sp.Expr | None
    at_plus_one: sp.Expr | None
    at_minus_one: sp.Expr | Literal["flat"] | None


def smoothness_of(parts: Pieces) -> Smoothness:
    """The lowest order at which a derivative jumps, and the singular exponents of the dual at rho = 1 and -1.

    Raises
    ------
    NoClosedForm
        A derivative has no finite one-sided limit at a breakpoint other than 0, or no jump is found up to order 64.
    """
    special = _special_smoothness(parts)
    if special is not None:
        return special
    orders = {
        t: _jump_order(left, right, t)
        for t, (left, right) in zip(parts.breakpoints, pairwise(parts.branches), strict=True)
    }
    if not orders:
        return Smoothness(None, None, None)
    lowest = min(orders.values())
    mirrored = [(i, k) for t, i in orders.items() for s, k in orders.items() if sp.expand(s + t) == 0]
    # Jumps of orders i at t and k at -t leave (1 + rho)^((i+k+1)/2); for i + k odd this is no singularity, and the
    # next term is the first.
    ends = [sp.Rational(i + k + 1 + (i + k) % 2, 2) for i, k in mirrored]
    return Smoothness(lowest, lowest + sp.S.Half, min(ends, default="flat"))


def powers_at_zero(parts: Pieces) -> list[dict[sp.Expr, sp.Expr]] | None:
    """{exponent: coefficient} on the left and on the right, in |x|, of a sum of powers that breaks at 0 only."""
    found = powers.sides(parts)
    tables = [] if found is None else [powers.one_sided_terms(side) for side in found]
    known = [table for table in tables if table is not None]
    return known if len(known) == 2 else None


def _special_smoothness(parts: Pieces) -> Smoothness | None:
    """The singularities that are not jumps of a derivative at finitely many points: real powers, log|x|, floor."""
    half = sp.S.Half
    stairs = lattice.recognise(parts)
    if stairs is not None:
        return Smoothness(0, half, half if lattice.mirrored(stairs) else "flat") if stairs.steps else None
    if logarithm.recognise(parts) is not None:
        return Smoothness(0, half, half)
    tables = powers_at_zero(parts)
    if tables is None or all(p.is_Integer and p >= 0 for table in tables for p in table):
        return None
    left, right = tables
    rough = [p for p in {*left, *right} if not (p.is_Integer and p >= 0 and _is_smooth(p, left, right))]
    if not all((p - rough[0]).is_comparable for p in rough):
        raise NoClosedForm(f"the lowest of the exponents {rough} is not known; give them values")
    lowest = min(rough, key=lambda p: p - rough[0])
    a, b = right.get(lowest, sp.S.Zero), left.get(lowest, sp.S.Zero)
    # E f(u) f(v) = (a^2 + b^2) J(rho) + 2ab J(-rho). In d = 1 + rho, J(rho) has the term d^(p+1/2) and J(-rho) the same
    # divided by -cos(pi p); for a half-integer p the first is no singularity and the second has a factor log d.
    cosine = sp.cos(sp.pi * lowest)
    vanishes = a * b == 0 if cosine == 0 else sp.simplify((a**2 + b**2) * cosine - 2 * a * b) == 0
    return Smoothness(lowest, lowest + half, None if vanishes and len(rough) == 1 else lowest + half)


def _is_smooth(p: sp.Expr, left: dict[sp.Expr, sp.Expr], right: dict[sp.Expr, sp.Expr]) -> bool:
    return bool(sp.expand(right.get(p, sp.S.Zero) - (-1) ** p * left.get(p, sp.S.Zero)) == 0)


def _jump_order(left: sp.Expr, right: sp.Expr, t: sp.Expr) -> int:
    """The lowest order at which the derivatives of two branches differ at t."""
    gap = right - left
    for order in range(MAX_JUMP_ORDER + 1):
        jump = gap.subs(x, t)
        if jump.has(*_INFINITE):  # sin(x)/x at 0 has a limit, 1/sqrt(x) has none
            jump = sp.limit(gap, x, t, "-")
        if jump.has(*_INFINITE):
            raise NoClosedForm(f"the derivative of order {order} has no finite one-sided limits at x = {t}")
        if sp.simplify(jump) != 0:
            return order
        gap = sp.diff(gap, x)
    raise NoClosedForm(f"no derivative up to order {MAX_JUMP_ORDER} was seen to jump at x = {t}")
