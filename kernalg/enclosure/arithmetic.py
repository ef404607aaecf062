"""The elementary functions on real balls, complex boxes and truncated power series.

Three kinds of value travel through a formula: `arb` (a real interval), `acb` (a complex box, what rigorous quadrature
needs) and `arb_series` (a power series with interval coefficients). `TABLE[name]` is one function `f(kind, analytic,
*arguments)`; an answer that cannot be enclosed is a NaN ball, never a guess.

Real semantics. A formula is read as a real function on its domain, so

* a real square root (or fractional power) of an interval that straddles 0 is that of its non-negative part, and `asin`,
  `acos` of an interval that straddles ±1 is that of its part in [-1, 1]: rounding made the interval stick out. An
  interval wholly outside gives NaN;
* `Abs, sign, Max, Min, Heaviside` and `Piecewise` on a complex box are the analytic continuation of the piece
  that holds on the real part of the box, as Arb's own `real_abs` does.

With `analytic=True` a complex answer is finite only if the function is analytic on the whole box, as
`flint.acb.integral` asks of an integrand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import acb, arb, arb_series, fmpq

from kernalg.enclosure import bivariate

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


# ---------------------------------------------------------------------------------------------------------------------
# Real functions with a boundary: monotone on their domain, evaluated at the clamped ends.


def _increasing(f: Callable[[arb], arb], z: arb, low: int | None, high: int | None) -> arb:
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


def _real_sqrt(z: arb) -> arb:
    return _increasing(arb.sqrt, z, 0, None)


def _real_asin(z: arb) -> arb:
    return _increasing(arb.asin, z, -1, 1)


def _real_acos(z: arb) -> arb:
    return -_increasing(lambda t: -arb.acos(t), z, -1, 1)


def _is_real(z: acb) -> bool:
    return bool(z.imag.is_zero())


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


def _sqrt(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        return acb(_real_sqrt(z.real)) if _is_real(z) and not a else z.sqrt(analytic=a)
    return z.sqrt() if kind == SERIES else _real_sqrt(z)


def _log(kind: str, a: bool, z: Value) -> Value:
    return z.log(analytic=a) if kind == COMPLEX else z.log()


def _meets_real_cut(z: acb) -> bool:
    """Whether the box may meet (-oo, -1] or [1, oo)."""
    return bool(z.imag.contains(0)) and not bool(z.real.abs_upper() < 1)


def _asin(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        if a and _meets_real_cut(z):
            return not_a_number(kind)
        return acb(_real_asin(z.real)) if _is_real(z) else z.asin()
    return z.asin() if kind == SERIES else _real_asin(z)


def _acos(kind: str, a: bool, z: Value) -> Value:
    if kind == COMPLEX:
        if a and _meets_real_cut(z):
            return not_a_number(kind)
        return acb(_real_acos(z.real)) if _is_real(z) else z.acos()
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
        y0, x0 = _constant_term(y), _constant_term(x)
        speed = (x * _derivative(y) - y * _derivative(x)) / (x * x + y * y)
        return arb.atan2(y0, x0) + speed.integral()
    if _is_real(acb(y)) and _is_real(acb(x)) and not a:
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


def _constant_term(z: Value) -> arb:
    return z[0] if isinstance(z, arb_series) else z


def _derivative(z: Value) -> Value:
    return z.derivative() if isinstance(z, arb_series) else arb(0)


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
            return _increasing(lambda t: t**exponent, z, 0, None)
        return z**exponent
    if kind == SERIES:
        return z ** arb(exponent)
    if _is_real(z) and not a:
        return acb(_rational_power(REAL, a, z.real, exponent))
    return (z.log(analytic=a) * acb(exponent)).exp()


def _general_power(kind: str, a: bool, z: Value, exponent: Value) -> Value:
    return (_log(kind_of(z), a, z) * exponent).exp()


# ---------------------------------------------------------------------------------------------------------------------
# The normal distribution


def _normal_cdf(kind: str, a: bool, z: Value) -> Value:
    return (-z / arb(2).sqrt()).erfc() / 2


def _bivariate_normal_cdf(kind: str, a: bool, h: Value, k: Value, r: Value) -> Value:
    if kind == REAL:
        return bivariate.real(h, k, r)
    if kind == SERIES:
        return bivariate.series(h, k, r)
    h, k, r = acb(h), acb(k), acb(r)
    if _is_real(h) and _is_real(k) and _is_real(r) and not a:
        return acb(bivariate.real(h.real, k.real, r.real))
    return not_a_number(kind) if a and _meets_real_cut(r) else bivariate.complex(h, k, r)


def _rectified_moment(kind: str, a: bool, n: Value, m: Value, v1: Value, v2: Value, cov: Value) -> Value:
    """E[u_+^n v_+^m]: v1^(n/2) v2^(m/2) times its value at unit variances, a function of the correlation."""
    if kind == COMPLEX and not a and all(_is_real(acb(v)) for v in (v1, v2, cov)):
        return acb(_rectified_moment(REAL, a, n, m, *(acb(v).real for v in (v1, v2, cov))))
    correlation = cov / _sqrt(kind_of(v1 * v2), a, v1 * v2)
    if kind == SERIES:
        unit = _moment_series(n, m, correlation)
    elif kind == REAL:
        # The derivative is n m times a moment, or a density: an increasing function.
        unit = _increasing(lambda z: _wedge(n, m, z), (1 + correlation) / 2, 0, 1)
    else:
        z = (1 + correlation) / 2
        on_cut = z.imag.contains(0) and not (z.real > 0 and z.real < 1)
        unit = not_a_number(kind) if a and on_cut else _wedge(n, m, z)
    for order, variance in ((n, v1), (m, v2)):
        if not order.is_zero():
            unit = unit * _half_power(kind_of(variance), a, variance, order)
    return unit


def _half_power(kind: str, a: bool, z: Value, order: arb) -> Value:
    """z^(order/2)."""
    n = order.unique_fmpz()
    root = _sqrt(kind, a, z)
    return root ** int(n) if n is not None else _general_power(kind, a, root, order)


def _wedge(n: arb, m: arb, z: Value) -> Value:
    """The moment at unit variances and correlation 2z - 1: R B(n+1, m+1) (4z)^(half + 1/2) 2F1(...; z)."""
    half = (n + m) / 2
    constant = arb(2) ** half * (half + 1).gamma() / (2 * arb.pi())
    constant *= (n + 1).gamma() * (m + 1).gamma() / (n + m + 2).gamma()
    return constant * (4 * z) ** (half + arb(0.5)) * z.hypgeom_2f1((1 + m - n) / 2, (1 + n - m) / 2, half + arb(1.5))


def _moment_series(n: arb, m: arb, correlation: Value) -> Value:
    """By Price's theorem d/drho M_nm = n m M_{n-1,m-1}, down to densities; integer orders n >= m only."""
    if m.unique_fmpz() is None or n.unique_fmpz() is None:
        return not_a_number(SERIES, correlation)
    at = _constant_term(correlation)
    if m > 0:
        slope = n * m * _moment_series(n - 1, m - 1, correlation)
    elif n > 0:
        slope = n * _half_moment(n - 1) * (1 - correlation * correlation) ** ((n - 1) / 2) / (2 * arb.pi()).sqrt()
    else:
        slope = 1 / (2 * arb.pi() * (1 - correlation * correlation).sqrt())
    return _increasing(lambda z: _wedge(n, m, z), (1 + at) / 2, 0, 1) + (slope * _derivative(correlation)).integral()


def _half_moment(order: arb) -> arb:
    """E[Z_+^order] of a standard Gaussian."""
    return arb(2) ** (order / 2 - 1) * ((order + 1) / 2).gamma() / arb.pi().sqrt()


# ---------------------------------------------------------------------------------------------------------------------
# Special functions


def _dawson(kind: str, a: bool, z: Value) -> Value:
    """F(z) = z 1F1(1; 3/2; -z^2), entire; no exp(-z^2) times exp(z^2) for large z."""
    if kind == SERIES:
        # F' = 1 - 2zF: from the value at the centre, the coefficients of F(z0 + t), then z0 + t = z.
        centre = z[0]
        terms = [_dawson(REAL, a, centre)]
        for k in range(z.prec - 1):
            before = terms[k - 1] if k else arb(0)
            terms.append((int(k == 0) - 2 * centre * terms[k] - 2 * before) / (k + 1))
        return _composed(terms, z)
    value = z * (-z * z).hypgeom_1f1(_like(z, 1), _like(z, fmpq(3, 2)))
    # |F(x + iy)| <= int_0^oo e^(-t^2/4) cosh(ty) dt/2 = sqrt(pi) e^(y^2)/2, what wide boxes need
    height = z.imag.abs_upper() if kind == COMPLEX else arb(0)
    most = (arb.pi().sqrt() / 2 * (height * height).exp()).upper()
    if abs(value).upper() < most:
        return value
    return acb(arb(0, most), arb(0, most)) if kind == COMPLEX else arb(0, most)


def _like(z: Value, number: Any) -> Value:
    return acb(number) if isinstance(z, acb) else arb(number)


def _composed(terms: list[arb], z: arb_series) -> arb_series:
    """sum terms[k] (z - z0)^k."""
    step = z - z[0]
    total = arb_series([0], prec=z.prec)
    for term in reversed(terms):
        total = total * step + term
    return total


def _hypergeometric(kind: str, analytic: bool, a: Value, b: Value, c: Value, z: Value) -> Value:
    """2F1(a, b; c; z), real parameters, on the part of z below 1; the value at 1 by Gauss if c > a + b."""
    if kind == SERIES:
        return _composed(hypergeometric_taylor(a, b, c, z[0], z.prec), z)
    if kind == COMPLEX:
        z = acb(z)
        if analytic and z.imag.contains(0) and not z.real < 1:
            return not_a_number(kind)
        if _is_real(z) and not analytic:
            return acb(_hypergeometric(REAL, analytic, a, b, c, z.real))
        return z.hypgeom_2f1(acb(a), acb(b), acb(c))
    if not z.is_finite() or z.lower() > 1:
        return arb.nan()
    if z.upper() < 1:
        return z.hypgeom_2f1(a, b, c)
    return _hypergeometric_near_one(a, b, c, z.lower())


def _hypergeometric_near_one(a: arb, b: arb, c: arb, low: arb) -> arb:
    """On [low, 1], low >= 0. The terms t_k z^k have one sign from k = K on, so there F(1) - F(z) is a monotone sum."""
    if not (c - a - b > 0 and c > 0):
        return arb.nan()
    at_one = c.gamma() * (c - a - b).gamma() * (c - a).rgamma() * (c - b).rgamma()
    if low == 1:
        return at_one
    if not low > 0:
        return arb.nan()
    signed = (-a).max(-b).max(arb(0)).upper().ceil()
    if not signed < 1000:
        return arb.nan()
    term, power, change, moved = arb(1), arb(1), at_one - low.hypgeom_2f1(a, b, c), arb(0)
    for k in range(int(float(signed)) + 1):
        moved += abs(term) * (1 - power)
        change -= term * (1 - power)
        term *= (a + k) * (b + k) / (c + k) / (k + 1)
        power *= low
    return at_one - arb(0).union(change) + arb(0, moved.abs_upper())


def hypergeometric_taylor(a: arb, b: arb, c: arb, centre: arb, count: int) -> list[arb]:
    """Coefficients of F(centre + t), by the differential equation z(1 - z)F'' + (c - (a + b + 1)z)F' - abF = 0."""
    if centre.is_zero():
        terms = [arb(1)]
        for k in range(count - 1):
            terms.append(terms[k] * (a + k) * (b + k) / (c + k) / (k + 1))
        return terms
    terms = [
        _hypergeometric(REAL, False, a, b, c, centre),
        a * b / c * _hypergeometric(REAL, False, a + 1, b + 1, c + 1, centre),
    ]
    for k in range(count - 2):
        first = (k + 1) * (k * (1 - 2 * centre) + c - (a + b + 1) * centre) * terms[k + 1]
        terms.append(((a + k) * (b + k) * terms[k] - first) / (centre * (1 - centre) * (k + 2) * (k + 1)))
    return terms[:count]


# ---------------------------------------------------------------------------------------------------------------------
# Conditions and cases: three-valued truth, True, False or None (not decided by the intervals).


def _real_difference(left: Value, right: Value) -> arb:
    difference = left - right
    if isinstance(difference, acb):
        return difference.real
    return _constant_term(difference)


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


TABLE: dict[str, Callable[..., Value]] = {
    "Add": _sum,
    "Mul": _product,
    "integer_power": _integer_power,
    "rational_power": _rational_power,
    "general_power": _general_power,
    "sqrt": _sqrt,
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
    "dawson": _dawson,
    "hypergeometric_2f1": _hypergeometric,
    "Abs": _absolute,
    "sign": _sign,
    "Heaviside": _heaviside,
    "Max": _maximum,
    "Min": _minimum,
    "normal_cdf": _normal_cdf,
    "bivariate_normal_cdf": _bivariate_normal_cdf,
    "rectified_moment": _rectified_moment,
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
