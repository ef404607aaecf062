r"""Laws of the squared length q = |x|^2/d: moments and Gauss rules.

On the ball :math:`|x|^2\le Qd` the law of :math:`q/Q` is Beta(d/2, 1); for Gaussian inputs of variance v, :math:`qd/v`
is chi-square with d degrees of freedom; shells are a finite sum. Hence, with :math:`(a)_m=\Gamma(a+m)/\Gamma(a)`,

.. math:: E[q^m]=Q^m\frac{d}{d+2m},\qquad E[q^m]=\Big(\frac{2v}d\Big)^m\Big(\frac d2\Big)_m,\qquad
          E[q^m]=\sum_ip_iq_i^m .
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from flint import arb, fmpq
from scipy.special import roots_legendre
from scipy.stats import chi2

from kernalg.checks import FloatArray
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.spectrum.gauss_rules import gauss_from_recurrence
from kernalg.spectrum.spaces import Ball, GaussianInputs, Shells, Space

RadialSpace: TypeAlias = Ball | Shells | GaussianInputs
_RULE_BITS = 256
_PANELS, _PANEL_NODES = 64, 12


def radial_space(space: Space) -> RadialSpace:
    """The space, if it is invariant under rotations and lengths are its own; DomainError otherwise."""
    if isinstance(space, GaussianInputs) and isinstance(space.variance, tuple):
        raise DomainError(
            f"{space}: the law is not invariant under rotations. The spectrum is known there for the Gaussian RBF "
            "kernel only; otherwise give one variance, or take empirical_spectrum of samples"
        )
    if isinstance(space, GaussianInputs) and space.d == 1:
        raise DomainError(f"{space}: harmonics need d >= 2; the RBF kernel alone has its spectrum in one dimension")
    if not isinstance(space, RadialSpace):
        raise DomainError(f"{space!r} is no space of unequal norms: Ball, Shells or GaussianInputs is needed")
    return space


def largest(space: Ball | Shells) -> Fraction:
    """The largest q."""
    return max(space.q) if isinstance(space, Shells) else space.q


def moment(space: RadialSpace, m: int) -> fmpq:
    """E[q^m] exactly, for an integer m >= 0."""
    if isinstance(space, Shells):
        return sum((_fmpq(p) * _fmpq(q) ** m for q, p in zip(space.q, space.probability, strict=True)), fmpq(0))
    if isinstance(space, Ball):
        return _fmpq(space.q) ** m * fmpq(space.d, space.d + 2 * m)
    return _gaussian_moment(space, m)


@lru_cache(maxsize=4096)
def _gaussian_moment(space: GaussianInputs, m: int) -> fmpq:
    value, step = fmpq(1), _fmpq(variance(space)) / space.d
    for i in range(m):
        value *= step * (space.d + 2 * i)
    return value


def real_moment(space: RadialSpace, power: Fraction | arb) -> arb:
    """E[q^power] for a real power >= 0, at the current precision."""
    p = ball(power)
    if isinstance(space, Shells):
        return sum((ball(w) * ball(q) ** p for q, w in zip(space.q, space.probability, strict=True)), arb(0))
    if isinstance(space, Ball):
        return ball(space.q) ** p * space.d / (space.d + 2 * p)
    half = arb(space.d) / 2
    return (2 * ball(variance(space)) / space.d) ** p * (half + p).gamma() / half.gamma()


def shells_rule(space: Shells) -> tuple[list[arb], list[arb]]:
    """The q_i and their probabilities, at the current precision."""
    return [ball(q) for q in space.q], [ball(p) for p in space.probability]


@lru_cache(maxsize=32)
def gauss_rule(space: Ball | GaussianInputs, n: int) -> tuple[list[arb], list[arb]]:
    """Nodes q_i and weights of the n-point Gauss rule of the law of q.

    The numbers are the midpoints of 256-bit arithmetic: relatively accurate even where a weight is 1e-80.
    """
    with precision(_RULE_BITS):
        if isinstance(space, Ball):
            scale, a, b = ball(space.q), *_jacobi_recurrence(space.d, n)
        else:
            scale, a, b = 2 * ball(variance(space)) / space.d, *_laguerre_recurrence(space.d, n)
        nodes, weights = gauss_from_recurrence(a, b)
        return [(scale * t).mid() for t in nodes], [w.mid() for w in weights]


def panel_rule(space: Ball | GaussianInputs) -> tuple[FloatArray, FloatArray]:
    """Increasing q and weights in double precision, for functions of q without the analyticity a Gauss rule likes.

    Panels of the length sqrt(q), over all of the law but 1e-250 of it (for the ball: 1e-30).
    """
    if isinstance(space, Ball):
        high = math.sqrt(float(space.q))
        low = high * 1e-30 ** (1 / space.d)
    else:
        low, high = np.sqrt(chi2(space.d).isf([1 - 1e-16, 1e-250]) * float(variance(space)) / space.d)
    points, masses = roots_legendre(_PANEL_NODES)
    edges = np.linspace(low, high, _PANELS + 1)
    half = np.diff(edges)[:, None] / 2
    r = (edges[:-1, None] + half * (1 + points)).ravel()
    widths = (half * masses).ravel()
    d = space.d
    if isinstance(space, Ball):
        return r * r, widths * d * (r / high) ** (d - 1) / high
    t = r * r * d / float(variance(space))
    masses = widths * np.exp(chi2(d).logpdf(t)) * t / r
    return r * r, masses / masses.sum()  # the logarithm loses digits when d is large


def _laguerre_recurrence(d: int, n: int) -> tuple[list[fmpq], list[fmpq]]:
    """Weight t^(d/2-1) exp(-t): a_i and b_i."""
    alpha = fmpq(d - 2, 2)
    return [2 * i + 1 + alpha for i in range(n)], [i * (i + alpha) for i in range(n)]


def _jacobi_recurrence(d: int, n: int) -> tuple[list[fmpq], list[fmpq]]:
    """Weight t^(d/2-1) on [0, 1]: a_i and b_i."""
    beta = fmpq(d - 2, 2)
    a, b = [], []
    for i in range(n):
        s = 2 * i + beta
        # On [-1, 1] the mean is beta^2 / (s (s + 2)), which for i = 0 is to be read as beta / (beta + 2).
        a.append((1 + (beta / (beta + 2) if i == 0 else beta**2 / (s * (s + 2)))) / 2)
        b.append((i * (i + beta)) ** 2 / (s**2 * (s**2 - 1)) if i else fmpq(0))
    return a, b


def variance(space: GaussianInputs) -> Fraction:
    """Of every coordinate (`radial_space` has refused different ones)."""
    return space.variances[0]


def _fmpq(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)
