"""The kinds of value that travel through a formula, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import acb, arb, arb_series

Value = Any
"""An arb, an acb or an arb_series (a truth value True, False or None for conditions)."""

REAL, COMPLEX, SERIES = "real", "complex", "series"


def kind_of(*values: Value) -> str:
    """The kind of arithmetic a mixture of values needs."""
    if any(isinstance(v, arb_series) for v in values):
        return SERIES
    return COMPLEX if any(isinstance(v, acb) for v in values) else REAL


def not_a_number(kind: str, like: Value = None) -> Value:
    if kind == SERIES:
        return arb_series([arb.nan()], prec=like.prec if isinstance(like, arb_series) else 1)
    return acb(arb.nan(), arb.nan()) if kind == COMPLEX else arb.nan()


def increasing(f: Callable[[arb], arb], z: arb, low: int | None, high: int | None) -> arb:
    """Enclose the increasing function `f` on the part of `z` inside [low, high]."""
    bottom, top = z.lower(), z.upper()
    if not z.is_finite() or (low is not None and top < low) or (high is not None and bottom > high):
        return arb.nan()
    if (low is None or bottom >= low) and (high is None or top <= high):
        return f(z)
    if low is not None and bottom < low:
        bottom = arb(low)
    if high is not None and top > high:
        top = arb(high)
    return f(bottom).union(f(top))


def is_real(z: acb) -> bool:
    return bool(z.imag.is_zero())


def meets_real_cut(z: acb) -> bool:
    """Whether the box may meet (-oo, -1] or [1, oo)."""
    return bool(z.imag.contains(0)) and not bool(z.real.abs_upper() < 1)


def constant_term(z: Value) -> arb:
    return z[0] if isinstance(z, arb_series) else z


def derivative(z: Value) -> Value:
    return z.derivative() if isinstance(z, arb_series) else arb(0)


def ball_like(z: Value, number: Any) -> Value:
    return acb(number) if isinstance(z, acb) else arb(number)


def composed(terms: list[arb], z: arb_series) -> arb_series:
    """sum terms[k] (z - z0)^k."""
    step = z - z[0]
    total = arb_series([0], prec=z.prec)
    for term in reversed(terms):
        total = total * step + term
    return total
