"""Conditions and cases on balls, boxes and power series; real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb

from kernalg.enclosure.kinds import COMPLEX, REAL, SERIES, Value, constant_term, not_a_number

# ---------------------------------------------------------------------------------------------------------------------
# Three-valued truth: True, False or None (not decided by the intervals)


def _real_difference(left: Value, right: Value) -> arb:
    difference = left - right
    if isinstance(difference, acb):
        return difference.real
    return constant_term(difference)


def _less(kind: str, a: bool, left: Value, right: Value) -> bool | None:
    d = _real_difference(left, right)
    if kind == REAL and d >= 0:
        return False
    return True if d < 0 else (False if d > 0 else None)


def _less_equal(kind: str, a: bool, left: Value, right: Value) -> bool | None:
    return _not(kind, a, _less(kind, a, right, left))


def _equal(kind: str, a: bool, left: Value, right: Value) -> bool | None:
    d = _real_difference(left, right)
    if not d.contains(0):
        return False
    return True if kind == REAL and d.is_zero() else None


def _not(kind: str, a: bool, truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _and(kind: str, a: bool, *truths: bool | None) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def _or(kind: str, a: bool, *truths: bool | None) -> bool | None:
    if True in truths:
        return True
    return None if None in truths else False


def _cases(kind: str, a: bool, *flat: Value) -> Value:
    """`(value, condition, value, condition, …)`: the hull of the values whose conditions may be the first to hold."""
    possible = []
    for value, truth in zip(flat[::2], flat[1::2], strict=True):
        if truth is False:
            continue
        possible.append(value)
        if truth is True:
            break
    else:
        possible.append(arb.nan())
    if len(possible) == 1:
        return possible[0]
    if kind == SERIES or (kind == COMPLEX and a):
        return arb.nan()
    hull = possible[0] if kind == REAL else acb(possible[0])
    for value in possible[1:]:
        hull = hull.union(value if kind == REAL else acb(value))
    return hull


# ---------------------------------------------------------------------------------------------------------------------
# Real and imaginary part of a complex quantity F of real variables


def _halves(kind: str, a: bool, *values: Value) -> tuple[Value, Value]:
    """(Re F, Im F), continued to complex boxes as (F(z) + conj F(conj z))/2 and (F(z) - conj F(conj z))/(2i)."""
    *arguments, function = values
    if kind == SERIES:
        return not_a_number(kind, arguments[0]), not_a_number(kind, arguments[0])
    if kind == REAL:
        value = acb(function(*arguments))
        return value.real, value.imag
    value = acb(function(*(acb(z) for z in arguments), analytic=a))
    mirrored = acb(function(*(acb(z).conjugate() for z in arguments), analytic=a)).conjugate()
    return (value + mirrored) / 2, (value - mirrored) / acb(0, 2)


def _first(kind: str, a: bool, halves: tuple[Value, Value]) -> Value:
    return halves[0]


def _second(kind: str, a: bool, halves: tuple[Value, Value]) -> Value:
    return halves[1]


BRANCHES: dict[str, Callable[..., Value]] = {
    "less": _less,
    "less_equal": _less_equal,
    "equal": _equal,
    "Not": _not,
    "And": _and,
    "Or": _or,
    "Piecewise": _cases,
    "halves": _halves,
    "first": _first,
    "second": _second,
}
