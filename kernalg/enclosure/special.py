"""Special functions on balls, boxes and power series, with the real semantics of `arithmetic`."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb, fmpq

from kernalg.enclosure import bivariate
from kernalg.enclosure.elementary import general_power, square_root
from kernalg.enclosure.kinds import (
    COMPLEX,
    REAL,
    SERIES,
    Value,
    ball_like,
    composed,
    constant_term,
    derivative,
    increasing,
    is_real,
    kind_of,
    meets_real_cut,
    not_a_number,
)

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
    if is_real(h) and is_real(k) and is_real(r) and not a:
        return acb(bivariate.real(h.real, k.real, r.real))
    return not_a_number(kind) if a and meets_real_cut(r) else bivariate.complex(h, k, r)


def _rectified_moment(kind: str, a: bool, n: Value, m: Value, v1: Value, v2: Value, cov: Value) -> Value:
    """E[u_+^n v_+^m]: v1^(n/2) v2^(m/2) times its value at unit variances, a function of the correlation."""
    if kind == COMPLEX and not a and all(is_real(acb(v)) for v in (v1, v2, cov)):
        return acb(_rectified_moment(REAL, a, n, m, *(acb(v).real for v in (v1, v2, cov))))
    correlation = cov / square_root(kind_of(v1 * v2), a, v1 * v2)
    if kind == SERIES:
        unit = _moment_series(n, m, correlation)
    elif kind == REAL:
        # The derivative is n m times a moment, or a density: an increasing function.
        unit = increasing(lambda z: _wedge(n, m, z), (1 + correlation) / 2, 0, 1)
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
    root = square_root(kind, a, z)
    return root ** int(n) if n is not None else general_power(kind, a, root, order)


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
    at = constant_term(correlation)
    if m > 0:
        slope = n * m * _moment_series(n - 1, m - 1, correlation)
    elif n > 0:
        slope = n * _half_moment(n - 1) * (1 - correlation * correlation) ** ((n - 1) / 2) / (2 * arb.pi()).sqrt()
    else:
        slope = 1 / (2 * arb.pi() * (1 - correlation * correlation).sqrt())
    return increasing(lambda z: _wedge(n, m, z), (1 + at) / 2, 0, 1) + (slope * derivative(correlation)).integral()


def _half_moment(order: arb) -> arb:
    """E[Z_+^order] of a standard Gaussian."""
    return arb(2) ** (order / 2 - 1) * ((order + 1) / 2).gamma() / arb.pi().sqrt()


# ---------------------------------------------------------------------------------------------------------------------
# Dawson and Gauss


def _dawson(kind: str, a: bool, z: Value) -> Value:
    """F(z) = z 1F1(1; 3/2; -z^2), entire; no exp(-z^2) times exp(z^2) for large z."""
    if kind == SERIES:
        # F' = 1 - 2zF: from the value at the centre, the coefficients of F(z0 + t), then z0 + t = z.
        centre = z[0]
        terms = [_dawson(REAL, a, centre)]
        for k in range(z.prec - 1):
            before = terms[k - 1] if k else arb(0)
            terms.append((int(k == 0) - 2 * centre * terms[k] - 2 * before) / (k + 1))
        return composed(terms, z)
    value = z * (-z * z).hypgeom_1f1(ball_like(z, 1), ball_like(z, fmpq(3, 2)))
    # |F(x + iy)| <= int_0^oo e^(-t^2/4) cosh(ty) dt/2 = sqrt(pi) e^(y^2)/2, what wide boxes need
    height = z.imag.abs_upper() if kind == COMPLEX else arb(0)
    most = (arb.pi().sqrt() / 2 * (height * height).exp()).upper()
    if abs(value).upper() < most:
        return value
    return acb(arb(0, most), arb(0, most)) if kind == COMPLEX else arb(0, most)


def _hypergeometric(kind: str, analytic: bool, a: Value, b: Value, c: Value, z: Value) -> Value:
    """2F1(a, b; c; z), real parameters, on the part of z below 1; the value at 1 by Gauss if c > a + b."""
    if kind == SERIES:
        return composed(hypergeometric_taylor(a, b, c, z[0], z.prec), z)
    if kind == COMPLEX:
        z = acb(z)
        if analytic and z.imag.contains(0) and not z.real < 1:
            return not_a_number(kind)
        if is_real(z) and not analytic:
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


SPECIAL: dict[str, Callable[..., Value]] = {
    "dawson": _dawson,
    "hypergeometric_2f1": _hypergeometric,
    "normal_cdf": _normal_cdf,
    "bivariate_normal_cdf": _bivariate_normal_cdf,
    "rectified_moment": _rectified_moment,
}
