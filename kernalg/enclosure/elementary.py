"""Elementary functions on balls, boxes and power series, with the real semantics of `arithmetic`."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb, arb_series, fmpq

from kernalg.enclosure.kinds import (
    COMPLEX,
    REAL,
    SERIES,
    Value,
    constant_term,
    derivative,
    increasing,
    is_real,
    kind_of,
    meets_real_cut,
    not_a_number,
)

# ---------------------------------------------------------------------------------------------------------------------
# Real functions with a boundary: monotone on their domain, evaluated at the clamped ends.


def _real_sqrt(z: arb) -> arb:
    return increasing(arb.sqrt, z, 0, None)


def _real_asin(z: arb) -> arb:
    return increasing(arb.asin, z, -1, 1)


def _real_acos(z: arb) -> arb:
    return -increasing(lambda t: -arb.acos(t), z, -1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# One function a name. `a` is the analytic flag.


def _plain(name: str, series: Callable[[arb_series], arb_series] | None = None) -> Callable[..., Value]:
    """A function without branch cuts that flint spells the same in all three arithmetics."""

    def evaluate(kind: str, a: bool, z: Value) -> Value:
        if kind == SERIES and series is not None:
            return series(z)
        return getattr(z, name)()

    return evaluate


def _sinh_series(z: arb_series) -> arb_series:
    e = z.exp()
    return (e - 1 / e) / 2


def _cosh_series(z: arb_series) -> arb_series:
    e = z.exp()
    return (e + 1 / e) / 2


def _tanh_series(z: arb_series) -> arb_series:
    # tanh = sign(z0) (1 - w)/(1 + w), w = exp(-2|z|): no overflow for a large constant term.
    w = (z * (-2 if z[0].mid() >= 0 else 2)).exp()
    ratio = (1 - w) / (1 + w)
    return ratio if z[0].mid() >= 0 else -ratio


def square_root(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        return acb(_real_sqrt(z.real)) if is_real(z) and not a else z.sqrt(analytic=a)
    return z.sqrt() if kind == SERIES else _real_sqrt(z)


def _log(kind: str, a: bool, z: Value) -> Value:
    return z.log(analytic=a) if kind == COMPLEX else z.log()


def _asin(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        if a and meets_real_cut(z):
            return not_a_number(kind)
        return acb(_real_asin(z.real)) if is_real(z) else z.asin()
    return z.asin() if kind == SERIES else _real_asin(z)


def _acos(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        if a and meets_real_cut(z):
            return not_a_number(kind)
        return acb(_real_acos(z.real)) if is_real(z) else z.acos()
    return z.acos() if kind == SERIES else _real_acos(z)


def _atan(kind: str, a: bool, z: Value) -> Value:
    # Cuts: ±i [1, oo).
    if kind == COMPLEX and a and z.real.contains(0) and not z.imag.abs_upper() < 1:
        return not_a_number(kind)
    return z.atan()


def _atan2(kind: str, a: bool, y: Value, x: Value) -> Value:
    if kind == REAL:
        return arb.atan2(y, x)
    if kind == SERIES:
        y0, x0 = constant_term(y), constant_term(x)
        speed = (x * derivative(y) - y * derivative(x)) / (x * x + y * y)
        return arb.atan2(y0, x0) + speed.integral()
    if is_real(acb(y)) and is_real(acb(x)) and not a:
        return acb(arb.atan2(acb(y).real, acb(x).real))
    # -i log((x + iy)/|x + iy|), continued in x and y separately.
    i = acb(0, 1)
    return -i * (x + i * y).log(analytic=a) + i / 2 * (x * x + y * y).log(analytic=a)


def _absolute(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        return z.real_abs(analytic=a)
    return abs(z) if kind == REAL else _by_sign(z, z, -z)


def _sign(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        return z.real_sgn(analytic=a)
    return z.sgn() if kind == REAL else _by_sign(z, z * 0 + 1, z * 0 - 1)


def _heaviside(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        return z.real_heaviside(analytic=a)
    return (1 + z.sgn()) / 2 if kind == REAL else _by_sign(z, z * 0 + 1, z * 0)


def _maximum(kind: str, a: bool, *values: Value) -> Value:
    best = values[0]
    for v in values[1:]:
        if kind == COMPLEX:
            best = acb(best).real_max(acb(v), analytic=a)
        else:
            best = best.max(v) if kind == REAL else _by_sign(best - v, best, v)
    return best


def _minimum(kind: str, a: bool, *values: Value) -> Value:
    return -_maximum(kind, a, *(-v for v in values))


def _by_sign(z: arb_series, positive: Value, negative: Value) -> Value:
    """The branch that holds near the centre of the series; NaN when its sign is not known there."""
    if z[0] > 0:
        return positive
    return negative if z[0] < 0 else not_a_number(SERIES, z)


# ---------------------------------------------------------------------------------------------------------------------
# Powers


def _integer_power(kind: str, a: bool, z: Value, n: int) -> Value:
    if kind == REAL and n > 0 and z.contains(0):  # arb answers NaN to (0 ± e)^n
        bound = z.abs_upper() ** n
        return arb(0).union(bound) if n % 2 == 0 else (-bound).union(bound)
    return z**n


def _rational_power(kind: str, a: bool, z: Value, exponent: fmpq) -> Value:
    """z^(p/q), the exponent not a multiple of 1/2 (those are integer powers of a shared square root)."""
    if kind == REAL:
        if exponent > 0:
            return increasing(lambda t: t**exponent, z, 0, None)
        return z**exponent
    if kind == SERIES:
        return z ** arb(exponent)
    if is_real(z) and not a:
        return acb(_rational_power(REAL, a, z.real, exponent))
    return (z.log(analytic=a) * acb(exponent)).exp()


def general_power(kind: str, a: bool, z: Value, exponent: Value) -> Value:
    return (_log(kind_of(z), a, z) * exponent).exp()


# ---------------------------------------------------------------------------------------------------------------------
# Sums and products


def _sum(kind: str, a: bool, *values: Value) -> Value:
    total = values[0]
    for v in values[1:]:
        total = total + v
    return total


def _product(kind: str, a: bool, *values: Value) -> Value:
    total = values[0]
    for v in values[1:]:
        total = total * v
    return total


ELEMENTARY: dict[str, Callable[..., Value]] = {
    "Add": _sum,
    "Mul": _product,
    "integer_power": _integer_power,
    "rational_power": _rational_power,
    "general_power": general_power,
    "sqrt": square_root,
    "exp": _plain("exp"),
    "log": _log,
    "sin": _plain("sin"),
    "cos": _plain("cos"),
    "tan": _plain("tan"),
    "sinh": _plain("sinh", _sinh_series),
    "cosh": _plain("cosh", _cosh_series),
    "tanh": _plain("tanh", _tanh_series),
    "asin": _asin,
    "acos": _acos,
    "atan": _atan,
    "atan2": _atan2,
    "erf": _plain("erf"),
    "erfc": _plain("erfc"),
    "erfi": _plain("erfi"),
    "gamma": _plain("gamma"),
    "Abs": _absolute,
    "sign": _sign,
    "Heaviside": _heaviside,
    "Max": _maximum,
    "Min": _minimum,
}
