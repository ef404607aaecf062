r"""floor and round: infinitely many jumps, summed with proved tails.

A staircase is :math:`\alpha+\beta x+\sum_i a_i\lfloor b_ix+d_i\rfloor`, all :math:`b_i>0`. Two series give its dual.

*Fourier.* :math:`\lfloor y\rfloor=y-\tfrac12+\sum_{n\ge1}\sin(2\pi ny)/(\pi n)`, and the mean of a product of sines is
elementary: with :math:`s=b^2q_1,\;t=bb'c,\;w=b'^2q_2` and the phases d, e, the oscillating parts contribute

.. math:: \sum_{n,m\ge1}\frac{e^{-2\pi^2(n^2s-2nmt+m^2w)}\cos2\pi(nd-me)-e^{-2\pi^2(n^2s+2nmt+m^2w)}\cos2\pi(nd+me)}
   {2\pi^2nm}.

About :math:`L/(\pi^2bb'\sqrt D)` terms exceed :math:`e^{-L}`, :math:`D=q_1q_2-c^2`: few, unless the variances are small
or rho is near ±1.

*Thresholds.* :math:`\lfloor y\rfloor=\sum_{k\ge1}1\{y\ge k\}-\sum_{k\le0}1\{y<k\}`: probabilities of quadrants, few
when the variances are small, and nearly all of them one-dimensional when rho is near ±1.

The terms beyond a reach are bounded by Cauchy and Schwarz, or by geometric series.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from flint import arb

from kernalg.enclosure import bivariate
from kernalg.enclosure.balls import ball, bits_for, has_digits, precision
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import x

_MOST_FOURIER_TERMS = 8_000
_FLOAT_TERMS = 6_000
_CRAMER = arb("1.0865")  # |h_k(t)| <= 1.0865 exp(t^2/4)

Array = np.ndarray
Jumps = list[tuple[int, arb]]


@dataclass(frozen=True, slots=True)
class Step:
    """height * floor(slope * x + phase), slope > 0."""

    height: sp.Expr
    slope: sp.Expr
    phase: sp.Expr


@dataclass(frozen=True, slots=True)
class Staircase:
    """constant + linear * x + the steps."""

    constant: sp.Expr
    linear: sp.Expr
    steps: tuple[Step, ...]

    def oscillating(self) -> tuple[sp.Expr, sp.Expr]:
        """A and B, when each floor(y) is written y - 1/2 + an oscillation of mean 0."""
        return (
            self.constant + sp.Add(*(s.height * (s.phase - sp.S.Half) for s in self.steps)),
            self.linear + sp.Add(*(s.height * s.slope for s in self.steps)),
        )


@lru_cache(maxsize=256)
def recognise(parts: Pieces) -> Staircase | None:
    """The function as a staircase with numbers for parameters, or None."""
    if parts.breakpoints or not parts.branches[0].has(sp.floor):
        return None
    constant, linear = sp.S.Zero, sp.S.Zero
    steps: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(parts.branches[0])):
        height, factor = term.as_independent(x, as_Add=False)
        if height.free_symbols:
            return None
        if factor == 1:
            constant += height
        elif factor == x:
            linear += height
        elif isinstance(factor, sp.floor):
            argument = sp.expand(factor.args[0])
            slope, phase = argument.coeff(x, 1), argument.coeff(x, 0)
            if sp.expand(argument - slope * x - phase) != 0 or (slope + phase).free_symbols or not slope.is_real:
                return None
            if slope.is_negative:  # floor(-y) = -1 - floor(y) almost everywhere
                height, slope, phase, constant = -height, -slope, -phase, constant - height
            shift = sp.floor(phase)
            constant += height * shift
            steps[slope, phase - shift] = steps.get((slope, phase - shift), sp.S.Zero) + height
        else:
            return None
    return Staircase(constant, linear, tuple(Step(a, *key) for key, a in steps.items() if a != 0))


# ---------------------------------------------------------------------------------------------------------------------
# The dual


def expectation(f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, digits: int) -> arb:
    """E[f(u) g(v)] with relative radius at most 10^-digits.

    A value not told from 0 with a radius of 10^-(2 digits) of the functions' size is returned with that radius.
    """
    gap = sp.expand(v1 * v2 - cov**2)
    value, exponent, told_apart = arb.nan(), digits + 3, False
    for _ in range(8):
        bits = bits_for(exponent) + 64
        for attempt in range(3):
            with precision(bits << attempt):
                size = _size(f, v1) * _size(g, v2)
                tolerance = (size * arb(10) ** -exponent).mid()
                value = _sum(f, g, v1, v2, cov, gap, tolerance)
                if has_digits(value, digits):
                    return value
                if value.rad() <= 4 * tolerance:
                    break
        if value.abs_lower() > 0:
            told_apart = True
            with precision(64):
                exponent = digits + 3 + math.ceil(float((size / value.abs_lower()).log()) / math.log(10))
        elif told_apart or exponent > 2 * digits:
            break
        else:
            exponent = 2 * digits + 5
    return value


def mirrored(f: Staircase) -> bool:
    """Whether some jump at t comes with one at -t."""
    return any(a.slope == b.slope and (a.phase + b.phase).is_integer for a in f.steps for b in f.steps)


def _size(f: Staircase, variance: sp.Expr) -> arb:
    """At least sqrt(E f^2), also of f without some of its thresholds."""
    s = ball(variance).sqrt()
    total = abs(ball(f.constant)) + abs(ball(f.linear)) * s
    for step in f.steps:
        total += abs(ball(step.height)) * (ball(step.slope) * s + abs(ball(step.phase)) + 1)
    return total.upper()


def _sum(f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, gap: sp.Expr, tolerance: arb) -> arb:
    if gap != 0:
        digits = float((1 / tolerance).log())
        spread = math.sqrt(max(float(gap), 0.0)) * min(
            (float(a.slope * b.slope) for a in f.steps for b in g.steps), default=1.0
        )
        if (
            spread > 0
            and digits / (math.pi**2 * spread) < _MOST_FOURIER_TERMS
            and min(float(s.slope**2 * v) for h, v in ((f, v1), (g, v2)) for s in h.steps) > 1e-4
        ):
            return _fourier(f, g, v1, v2, cov, tolerance)
    return _thresholds(f, g, v1, v2, cov, gap, tolerance)


def _fourier(f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, tolerance: arb) -> arb:
    (a0, a1), (b0, b1) = ([ball(e) for e in h.oscillating()] for h in (f, g))
    c = ball(cov)
    total = a0 * b0 + a1 * b1 * c
    for own0, own1, other, v in ((a0, a1, g, v2), (b0, b1, f, v1)):
        for step in other.steps:
            total += _against_line(own0, own1 * c, step, ball(v), tolerance)
    for a in f.steps:
        for b in g.steps:
            total += ball(a.height * b.height) * _waves(a, b, ball(v1), ball(v2), c, tolerance)
    return total


def _against_line(constant: arb, slope_times_c: arb, step: Step, v: arb, tolerance: arb) -> arb:
    """height * E[(A + B u) psi(bv + d)], psi the oscillation."""
    b, phase, pi = ball(step.slope), ball(step.phase), arb.pi()
    rate = 2 * pi**2 * b**2 * v
    largest = abs(constant) + 2 * b * abs(slope_times_c)
    total, n = arb(0), 0
    while True:
        n += 1
        weight = (-rate * n * n).exp()
        angle = 2 * pi * n * phase
        total += weight * (constant * angle.sin() / (pi * n) + slope_times_c * 2 * b * angle.cos())
        rest = largest * (-rate * (n + 1) ** 2).exp() / (1 - (-rate * (2 * n + 3)).exp())
        if rest < tolerance:
            return ball(step.height) * (total + arb(0, rest.upper()))


def _waves(a: Step, b: Step, v1: arb, v2: arb, c: arb, tolerance: arb) -> arb:
    """E[psi(au + d) psi(bv + e)], the double series."""
    pi = arb.pi()
    s, w, t = ball(a.slope) ** 2 * v1, ball(b.slope) ** 2 * v2, ball(a.slope * b.slope) * c
    delta = (s - t * t / w).lower()
    k = 2 * pi**2
    # e^(-k w (m - mu)^2) summed over all integers m is at most 2 + sqrt(pi/(k w))
    line = (2 + (pi / (k * w)).sqrt()).upper()
    reach = ((1 / tolerance).log() / (k * w)).sqrt().max(1 / (k * w)) + 1
    angle_d, angle_e = (2 * pi * ball(step.phase) for step in (a, b))
    total, error, n = arb(0), arb(0), 0
    while True:
        n += 1
        damping = (-k * n * n * delta).exp()
        rest = line * (-k * (n + 1) ** 2 * delta).exp() / (1 - (-k * (2 * n + 3) * delta).exp()) / (pi**2 * (n + 1))
        peak = float(abs(t) / w) * n
        low, high = max(1, math.floor(peak - float(reach))), math.ceil(peak + float(reach))
        outside = 4 * (-k * w * (reach - 1) ** 2).exp() / (1 - (-2 * k * w * (reach - 1)).exp())
        error += damping * outside / (2 * pi**2 * n)
        for m in range(low, high + 1):
            square = n * n * s + m * m * w
            first = (-k * (square - 2 * n * m * t)).exp() * (n * angle_d - m * angle_e).cos()
            second = (-k * (square + 2 * n * m * t)).exp() * (n * angle_d + m * angle_e).cos()
            total += (first - second) / (k * n * m)
        if rest < tolerance:
            return total + arb(0, (error + rest).upper())


def _thresholds(
    f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, gap: sp.Expr, tolerance: arb
) -> arb:
    s1, s2, c = ball(v1).sqrt(), ball(v2).sqrt(), ball(cov)
    r = arb(1 if cov > 0 else -1) if gap == 0 else c / (s1 * s2)
    reach = (4 * (_size(f, v1) * _size(g, v2) * 4096 / tolerance).log()).sqrt().max(arb(1)).upper()
    left, right = ([_jumps(step, s, reach) for step in h.steps] for h, s in ((f, s1), (g, s2)))
    total = ball(f.constant * g.constant) + ball(f.linear * g.linear) * c
    for own, other, jumps, s in ((f, g, right, s2), (g, f, left, s1)):
        for step, table in zip(other.steps, jumps, strict=True):
            constant, slope = ball(own.constant), ball(own.linear) * c / s
            for k, h in table:
                mean = _cdf(-h) if k > 0 else -_cdf(h)
                total += ball(step.height) * (constant * mean + slope * _density(h))
    for a, first in zip(f.steps, left, strict=True):
        for b, second in zip(g.steps, right, strict=True):
            total += ball(a.height * b.height) * _quadrants(first, second, r, tolerance)
    error = _dropped(f, v1, reach) * _size(g, v2) + _dropped(g, v2, reach) * _size(f, v1)
    return total + arb(0, error.upper())


def _quadrants(first: Jumps, second: Jumps, r: arb, tolerance: arb) -> arb:
    """Sum of the signed P(u beyond h, v beyond e), beyond: away from 0.

    With r = 1 such a probability is a tail of one variable, or 0; otherwise it differs from that by at most
    P(|u - v| > gap) <= 2 exp(-gap^2/(4 (1 - r))), and likewise with -v for r < 0. Most pairs are that far apart.
    """
    apart = float((1 / tolerance).log()) + 2 * math.log(len(first) * len(second) + 1) + 2
    side_r = 1 if r > 0 else -1
    near = float((1 - abs(r)).abs_upper())
    total, dropped = arb(0), 0
    tails = [[_cdf(-abs(h)) for _, h in table] for table in (first, second)]
    smallest = math.exp(-min(apart, 700.0))
    sizes = [[float(t) for t in table] for table in tails]
    for i, (k, h) in enumerate(first):
        up = 1 if k > 0 else -1
        for j, (m, e) in enumerate(second):
            over = 1 if m > 0 else -1
            sign = up * over
            if apart < 700 and min(sizes[0][i], sizes[1][j]) < smallest:
                dropped += 1
                continue
            outward, inward = float(up * h), float(over * e)
            gap = outward - inward if sign == side_r else outward + inward
            if near == 0 or gap * gap > 4 * near * apart * 1.0001:
                dropped += near > 0
                if sign == side_r:
                    total += sign * (tails[0][i] if outward > inward else tails[1][j])
                continue
            total += sign * bivariate.real(-up * h, -over * e, r * sign)
    return total + arb(0, (4 * dropped * arb(-apart).exp()).upper())


def _jumps(step: Step, s: arb, reach: arb) -> Jumps:
    """(k, t_k/s) for the thresholds t_k = (k - phase)/slope within `reach` standard deviations."""
    b, d = ball(step.slope) * s, ball(step.phase)
    low, high = math.floor(float(d - reach * b)) - 1, math.ceil(float(d + reach * b)) + 1
    return [(k, (k - d) / b) for k in range(low, high + 1)]


def _dropped(f: Staircase, variance: sp.Expr, reach: arb) -> arb:
    """A bound of sqrt(E (sum a (b|x| + |d| + 1))^2 1{|x| > reach s}): E Z^2 1{|Z| > T} <= (T + 1) exp(-T^2/2)."""
    s = ball(variance).sqrt()
    total = arb(0)
    for step in f.steps:
        b, e = ball(step.slope) * s, abs(ball(step.phase)) + 1
        total += abs(ball(step.height)) * (2 * (b * b * (reach + 1) + e * e)).sqrt()
    return total * (-reach * reach / 4).exp()


def _cdf(z: arb) -> arb:
    return (-z / arb(2).sqrt()).erfc() / 2


def _density(z: arb) -> arb:
    return (-z * z / 2).exp() / (2 * arb.pi()).sqrt()


# ---------------------------------------------------------------------------------------------------------------------
# dk/dc


def slope(f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, digits: int) -> arb:
    r"""d/dc of the dual, |rho| < 1: with f' = beta + sum a delta_t, densities at all thresholds and pairs of them."""
    value = arb.nan()
    for attempt in range(5):
        exponent = (digits + 5) << attempt
        with precision(bits_for(exponent) + 64):
            value = _slope(f, g, v1, v2, cov, arb(10) ** -exponent)
            if has_digits(value, digits):
                return value
    return value


def _slope(f: Staircase, g: Staircase, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, tolerance: arb) -> arb:
    s1, s2, r = ball(v1).sqrt(), ball(v2).sqrt(), ball(cov) / (ball(v1) * ball(v2)).sqrt()
    narrow = (1 - r * r).sqrt()
    reach = (2 * (1 / tolerance).log()).sqrt().max(arb(1)).upper()
    left, right = ([_jumps(step, s, reach) for step in h.steps] for h, s in ((f, s1), (g, s2)))
    total, error = ball(f.linear * g.linear), arb(0)
    outside = (-reach * reach / 2).exp()
    for own, other, jumps, s in ((f, g, right, s2), (g, f, left, s1)):
        for step, table in zip(other.steps, jumps, strict=True):
            weight = ball(own.linear * step.height) / s
            total += weight * sum((_density(h) for _, h in table), start=arb(0))
            # densities beyond the reach: the first, and an integral over the spacing
            error += abs(weight) * outside * (2 + ball(step.slope) * s)
    for a, first in zip(f.steps, left, strict=True):
        for b, second in zip(g.steps, right, strict=True):
            weight = ball(a.height * b.height) / (s1 * s2 * narrow)
            part = arb(0)
            for _, h in first:
                for _, e in second:
                    part += _density(h) * _density((e - r * h) / narrow)
            total += weight * part
            # outside in one variable, anywhere in the other
            lines = [2 + ball(step.slope) * s for step, s in ((a, s1), (b, s2))]
            error += abs(weight) * outside * lines[0] * lines[1] * 2
    return total + arb(0, error.upper())


# ---------------------------------------------------------------------------------------------------------------------
# Hermite coefficients


def hermite_coefficients(f: Staircase, q: sp.Expr, order: int, tolerance: arb, bits: int) -> list[arb]:
    r"""a_0 … a_order to about `tolerance`: a_k = sum of height f(t) h_{k-1}(t)/sqrt(k) over the jumps t, k >= 1."""
    with precision(bits):
        s = ball(q).sqrt()
        out = [arb(0)] * (order + 1)
        out[0] = ball(f.constant)
        if order:
            out[1] = ball(f.linear) * s
        for step in f.steps:
            height, spacing = ball(step.height), 1 / (ball(step.slope) * s)
            reach = (4 * ((abs(height) + 1) * (8 + 8 / spacing) / tolerance).log()).sqrt().upper() + 2
            rest = abs(height) * _CRAMER * (-reach * reach / 4).exp() * (2 + 4 / (reach * spacing))
            for k, h in _jumps(step, s, reach):
                out[0] += height * (_cdf(-h) if k > 0 else -_cdf(h))
                before, now = arb(0), height * _density(h)
                for j in range(1, order + 1):
                    out[j] += now / arb(j).sqrt()
                    before, now = now, (h * now - arb(j - 1).sqrt() * before) / arb(j).sqrt()
            out = [value + arb(0, rest.upper()) for value in out]
        return out


# ---------------------------------------------------------------------------------------------------------------------
# float64


def fourier_values(f: Staircase, g: Staircase, v1: Array, v2: Array, cov: Array) -> tuple[Array, Array]:
    """float64 values by the Fourier series, and where they hold: not where more than some thousand terms are needed."""
    depth = 40 / (2 * math.pi**2)  # e^-40 is beyond rounding
    (a0, a1), (b0, b1) = ([float(e) for e in h.oscillating()] for h in (f, g))
    determinant = np.maximum(v1 * v2 - cov * cov, 0.0)
    slopes = [[float(s.slope) for s in h.steps] for h in (f, g)]
    with np.errstate(divide="ignore"):
        n_max = np.sqrt(depth * v2 / determinant) / min(slopes[0])
        m_max = np.sqrt(depth * v1 / determinant) / min(slopes[1])
    holds = n_max * m_max < _FLOAT_TERMS
    total = a0 * b0 + a1 * b1 * cov
    if not holds.any():
        return total, holds
    p, q, c = (v[holds] for v in (v1, v2, cov))
    rows, columns = (math.ceil(float(v[holds].max())) + 1 for v in (n_max, m_max))
    part = a0 * b0 + a1 * b1 * c
    for own0, own1, other, v in ((a0, a1, g, q), (b0, b1, f, p)):
        for step in other.steps:
            b, d, height = float(step.slope), float(step.phase), float(step.height)
            for n in range(1, math.ceil(math.sqrt(depth / (b * b * float(v.min())))) + 1):
                weight = height * np.exp(-2 * math.pi**2 * n * n * b * b * v)
                wave = own0 * math.sin(2 * math.pi * n * d) / (math.pi * n)
                part = part + weight * (wave + own1 * c * 2 * b * math.cos(2 * math.pi * n * d))
    for first_step in f.steps:
        for second_step in g.steps:
            rates = float(first_step.slope), float(second_step.slope)
            s, w, t = rates[0] ** 2 * p, rates[1] ** 2 * q, rates[0] * rates[1] * c
            d, e = float(first_step.phase), float(second_step.phase)
            height = float(first_step.height * second_step.height)
            for n in range(1, rows + 1):
                for m in range(1, columns + 1):
                    square = n * n * s + m * m * w
                    scale = height / (2 * math.pi**2 * n * m)
                    first = scale * math.cos(2 * math.pi * (n * d - m * e))
                    second = scale * math.cos(2 * math.pi * (n * d + m * e))
                    part = part + first * np.exp(-2 * math.pi**2 * (square - 2 * n * m * t))
                    part = part - second * np.exp(-2 * math.pi**2 * (square + 2 * n * m * t))
    total = np.array(total, dtype=float)
    total[holds] = part
    return total, holds
