r"""Power series through a layer whose dual has no closed form.

At one variance v the dual is :math:`k(c)=\sum_m a_m(v)^2(c/v)^m` with the Hermite coefficients of the activation f, and
the almost-everywhere derivative dual of a continuous f is its derivative,
:math:`\sum_m\frac{m+1}v a_{m+1}(v)^2(c/v)^m`. A network's profile is a composition of such series. All coefficients are
non-negative, which bounds what cutting the outer series after :math:`(c/v)^N` leaves out of the coefficient of
:math:`\rho^j`: with g(rho) the inner series and R the sum of the outer coefficients left out, at most

.. math:: \min_{0<x\le1}x^{-j}\,R\,g(x)^{N+1}

(Cauchy's estimate), and nothing for :math:`j\le N` if g(0) = 0.

The variance of a deeper layer is a ball. From :math:`(zh_m\varphi)'=-\varphi(\sqrt{(m+1)(m+2)}\,h_{m+2}+m\,h_m)`,

.. math:: \frac{da_m}{dv}=\frac1{2v}\Big(\sqrt{(m+1)(m+2)}\,a_{m+2}+m\,a_m\Big),\qquad
          \Big|\frac{da_m}{dv}\Big|\le\frac{m+1}{\sqrt2\,v}\sqrt{E f^2},

which asks nothing of f but its second moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import sympy as sp
from flint import arb, arb_poly, arb_series, ctx

from kernalg.activation.dual import Dual
from kernalg.activation.numeric import is_continuous
from kernalg.enclosure.balls import precision
from kernalg.errors import NoClosedForm, PrecisionError
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.series import coefficients_within, differentiate, norm_squared

# So many coefficients take some seconds.
MOST_TERMS = 2200
# Cauchy's estimate is taken at 1, 1/2, …, 2^-(_RADII - 1).
_RADII = 8


def through_dual(dual: Dual, variance: arb, covariance: arb_series, *, derivative: bool) -> arb_series:
    """The dual at two inputs of this variance, or its almost-everywhere derivative, of a series in rho.

    Parameters
    ----------
    dual : Dual
        E[f(u) f(v)] itself, also where its derivative is asked.
    variance : arb
    covariance : arb_series
        Non-negative coefficients that add up to at most `variance`.
    derivative : bool

    Raises
    ------
    NoClosedForm
        The derivative is asked of a function that jumps.
    PrecisionError
        The series is longer than coefficients are computed for.
    """
    f = dual.pieces[0]
    if derivative and not _is_continuous(f):
        raise NoClosedForm(
            f"{dual.name} jumps and its dual has no closed form, so that its tangent kernels have no power series "
            "(its NNGP kernels have)"
        )
    inner = [a / variance for a in covariance]
    terms = covariance.prec
    inner += [arb(0)] * (terms - len(inner))
    # Series in rho alone need `terms` coefficients; a constant term mixes in those beyond, which fall slowly.
    order = terms if inner[0].is_zero() else max(terms, min(2 * ctx.prec, MOST_TERMS // 2))
    if order > MOST_TERMS:
        raise PrecisionError(
            f"{terms} coefficients were asked of a network of {dual.name}, which has no closed-form dual; "
            f"at most {MOST_TERMS} are computed: ask a lower degree"
        )
    squares = _squares(f, variance, order)
    if derivative:
        squares = [m * a / variance for m, a in enumerate(squares)][1:]
    composed = _composed(squares, inner, terms)
    if not inner[0].is_zero():
        norm = _largest_norm(differentiate(f) if derivative else f, variance)
        left_out = (norm - sum(squares, arb(0))).upper().max(arb(0))
        bounds = _cauchy_bounds(left_out, len(squares), inner)
        composed = [a + arb(b / 2, (b / 2).upper()) for a, b in zip(composed, bounds, strict=True)]
    return arb_series(composed, prec=terms)


@lru_cache(maxsize=256)
def _is_continuous(f: Pieces) -> bool:
    return is_continuous(f)


def _composed(outer: Sequence[arb], inner: Sequence[arb], terms: int) -> list[arb]:
    """The coefficients of sum outer_m g^m, a finite sum."""
    g0 = inner[0]
    polynomial = arb_poly(list(outer))
    shifted = polynomial if g0.is_zero() else polynomial(arb_poly([g0, 1]))
    if terms == 1:  # a series of one coefficient does not compose
        return [shifted[0]]
    with precision(ctx.prec, terms):
        composed = arb_series(list(shifted)[:terms], prec=terms)(arb_series([arb(0), *inner[1:]], prec=terms))
    coefficients = list(composed)
    coefficients += [arb(0)] * (terms - len(coefficients))
    for j in _vanishing(outer, inner, terms):
        coefficients[j] = arb(0)
    return coefficients


def _vanishing(outer: Sequence[arb], inner: Sequence[arb], terms: int) -> range:
    """The coefficients that are exactly 0 because both series are even or odd."""
    if all(a.is_zero() for a in inner[1::2]):
        return range(1, terms, 2)
    if all(a.is_zero() for a in inner[::2]):
        for parity in (0, 1):
            if all(a.is_zero() for a in outer[parity::2]):
                return range(parity, terms, 2)
    return range(0)


def _cauchy_bounds(left_out: arb, power: int, inner: Sequence[arb]) -> list[arb]:
    """The bound of the module's docstring for every coefficient."""
    rest = (1 - sum(inner, arb(0))).upper().max(arb(0))
    bounds: list[arb] | None = None
    for i in range(_RADII):
        x = arb(2) ** -i
        value = rest
        for a in reversed(inner):
            value = value * x + a
        tail = (left_out * value.upper().min(arb(1)) ** power).upper()
        row = [tail * arb(2) ** (i * j) for j in range(len(inner))]
        bounds = row if bounds is None else [a.min(b) for a, b in zip(bounds, row, strict=True)]
    return bounds or []


def _squares(f: Pieces, variance: arb, order: int) -> list[arb]:
    """a_0^2 … a_order^2, at the current precision relative to E f^2."""
    middle = exact(variance.mid())
    size = _largest_norm(f, variance).sqrt()
    tolerance = arb(2) ** (-ctx.prec + int(float(size.log()) / 0.7))
    moved = variance.rad() * size / (arb(2).sqrt() * variance.lower())
    coefficients = coefficients_within(f, middle, order, tolerance)
    if not moved.is_zero():
        coefficients = tuple(
            a if a.is_zero() else a + arb(0, (moved * (m + 1)).upper()) for m, a in enumerate(coefficients)
        )
    return [a * a for a in coefficients]


def _largest_norm(f: Pieces, variance: arb) -> arb:
    """At least E f(u)^2 for every variance in the ball: for q <= p the density of q is at most sqrt(p/q) that of p."""
    above = variance if variance.is_exact() else variance.upper()
    norm = norm_squared(f, exact(above), int(ctx.prec / 3.33))
    return norm if variance.is_exact() else (norm * (above / variance.lower()).sqrt()).upper()


def exact(value: arb) -> sp.Rational:
    """An exact ball as the number it is."""
    mantissa, exponent = value.man_exp()
    return sp.Rational(int(mantissa)) * sp.Rational(2) ** int(exponent)
