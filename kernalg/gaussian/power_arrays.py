r"""float64 values of the duals of real powers, to a few units in the last place of the largest term.

:math:`{}_2F_1(a,b;d;z)` on :math:`0\le z\le1` is tabulated once in balls. In :math:`w=1-z` its only singularity is
w = 0, so on each panel :math:`2^{-j-1}\le w\le2^{-j}` the Taylor series at the middle converges like :math:`3^{-k}`: 36
coefficients a panel, and panels down to where :math:`w^{\min(1,\,d-a-b)}` is below rounding. There is no case for an
integer d - a - b, where logarithms appear.

Near :math:`\rho=\pm1` the information is in :math:`1\mp\rho`, which comes from :math:`D=q_1q_2-c^2`, computed without
rounding its two products.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import sympy as sp

from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import ball, enclose, precision
from kernalg.enclosure.special import hypergeometric_taylor
from kernalg.gaussian.powers import Power, Powers, expectation
from kernalg.symbols import c, q1, q2

_TERMS = 36
_MOST_PANELS = 1080  # down to the smallest float64
_BITS = 200

Array = np.ndarray


class Hypergeometric:
    """2F1(a, b; d; 1 - w) for arrays of w in [0, 1]; infinite at w = 0 unless d > a + b."""

    def __init__(self, a: sp.Expr, b: sp.Expr, d: sp.Expr) -> None:
        excess = sp.expand(d - a - b)
        self._power = 0.0
        if excess.is_negative:  # Euler's transformation: w^(d-a-b) 2F1(d-a, d-b; d; 1 - w)
            a, b, self._power, excess = d - a, d - b, float(excess), -excess
        panels = math.ceil(min(_MOST_PANELS, 56 / min(1.0, float(excess)))) if excess.is_positive else _MOST_PANELS
        rows = []
        # The recurrence runs beside a solution like z^(1-d), which multiplies its rounding by about 4 d a term.
        with precision(_BITS + _TERMS * math.ceil(math.log2(4 + 4 * abs(float(d))))):
            first, second, third = ball(a), ball(b), ball(d)
            for j in range(panels):
                middle = ball(sp.Rational(3, 2 ** (j + 2)))
                taylor = hypergeometric_taylor(first, second, third, 1 - middle, _TERMS)
                radius, rows_j = -middle / 3, []  # z - z0 = -(w - w0)
                for k, term in enumerate(taylor):
                    rows_j.append(float(term * radius**k))
                rows.append(rows_j)
        at_one = np.inf
        if excess.is_positive:
            at_one = float(enclose(sp.gamma(d) * sp.gamma(excess) / (sp.gamma(d - a) * sp.gamma(d - b)), {}, 20))
        rows.append([at_one, *[0.0] * (_TERMS - 1)])
        self._table = np.array(rows).T.copy()

    def __call__(self, w: Array) -> Array:
        mantissa, exponent = np.frexp(w)  # w = mantissa 2^exponent, mantissa in [1/2, 1)
        last = self._table.shape[1] - 1
        # w = 1 is the right end of the first panel
        panel = np.where(w > 0, np.minimum(-np.minimum(exponent, 0), last), last)
        local = np.where(exponent > 0, 1.0, 4 * mantissa - 3)
        total = self._table[-1][panel]
        for row in self._table[-2::-1]:
            total = total * local + row[panel]
        return total * w**self._power if self._power else total


def values(f: Powers, g: Powers) -> Callable[[Array, Array, Array], Array]:
    """E[f(u) g(v)] for arrays of positive variances and covariances with |c| <= sqrt(q1 q2)."""
    core = tuple(tuple(p for p in side if p.is_core) for side in (f, g))
    elementary = elementwise(expectation(*core), (q1, q2, c)) if all(core) else None
    terms = [_term(a, b) for a in f for b in g if not (a.is_core and b.is_core)]

    def evaluate(v1: Array, v2: Array, cov: Array) -> Array:
        at = _Correlation(v1, v2, cov)
        total = np.zeros(v1.shape) if elementary is None else np.asarray(elementary(v1, v2, cov))
        for term in terms:
            total = total + term(v1, v2, at)
        return total

    return evaluate


class _Correlation:
    """rho and (1 + rho)/2, (1 - rho)/2, each to relative accuracy."""

    def __init__(self, v1: Array, v2: Array, cov: Array) -> None:
        # Powers of 4 taken out of the variances, so that no product leaves the range of float64.
        e1, e2 = (np.frexp(v)[1] // 2 for v in (v1, v2))
        a, b, r = np.ldexp(v1, -2 * e1), np.ldexp(v2, -2 * e2), np.ldexp(cov, -e1 - e2)
        root = np.sqrt(a) * np.sqrt(b)
        high, low = _product(a, b)
        square, rest = _product(r, r)
        determinant = np.maximum((high - square) + (low - rest), 0.0)
        far = root + np.abs(r)  # without cancellation
        near = determinant / far
        self.rho = np.clip(r / root, -1, 1)
        self.plus = np.where(r > 0, far, near) / (2 * root)
        self.minus = np.where(r > 0, near, far) / (2 * root)
        self.orthogonal = determinant / (root * root)  # 1 - rho^2


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b as a sum of two floats, exactly (Dekker)."""
    high = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a: Array) -> tuple[Array, Array]:
    t = 134217729.0 * a  # 2^27 + 1
    top = t - (t - a)
    return top, a - top


def _term(a: Power, b: Power) -> Callable[[Array, Array, _Correlation], Array]:
    """The same cases as in `powers`: even, odd, or neither."""
    n, m = a.exponent, b.exponent
    half_n, half_m, half_sum = float(n / 2), float(m / 2), float((n + m + 1) / 2)

    def number(value: sp.Expr) -> float:
        return float(enclose(value, {}, 20)) if value != 0 else 0.0

    scale = 2 ** ((n + m) / 2) / sp.pi
    if 0 in (a.odd, b.odd) or 0 in (a.even, b.even):
        is_even = 0 in (a.odd, b.odd)
        if is_even:
            factor = number(a.even * b.even * scale * sp.gamma((n + 1) / 2) * sp.gamma((m + 1) / 2))
            series = Hypergeometric(-n / 2, -m / 2, sp.S.Half)
        else:
            factor = number(2 * a.odd * b.odd * scale * sp.gamma(n / 2 + 1) * sp.gamma(m / 2 + 1))
            series = Hypergeometric((1 - n) / 2, (1 - m) / 2, sp.Rational(3, 2))

        def by_square(v1: Array, v2: Array, at: _Correlation) -> Array:
            value = factor * v1**half_n * v2**half_m * series(at.orthogonal)
            return value if is_even else value * at.rho

        return by_square

    angular = sp.gamma(n + 1) * sp.gamma(m + 1) / sp.gamma(n + m + 2) * 2 ** (n + m + 1)
    radial = scale * sp.gamma((n + m) / 2 + 1) / 2
    same = number(radial * angular * (a.right * b.right + a.left * b.left))
    crossed = number(radial * angular * (a.right * b.left + a.left * b.right))
    half_angle = Hypergeometric((1 + m - n) / 2, (1 + n - m) / 2, (n + m + 3) / 2)

    def by_half_angle(v1: Array, v2: Array, at: _Correlation) -> Array:
        total = np.zeros(v1.shape)
        if same:
            total = total + same * at.plus**half_sum * half_angle(at.minus)
        if crossed:
            total = total + crossed * at.minus**half_sum * half_angle(at.plus)
        return v1**half_n * v2**half_m * total

    return by_half_angle
