r"""Gaussian expectations of one-sided powers: what a kink of an activation contributes to its kernel.

For a standard normal pair of correlation rho,

.. math:: Q_{mn}(s, t) = E[(u-s)_+^m (v-t)_+^n], \qquad \partial_s Q_{mn} = -m\,Q_{m-1,n},

and with a Dirac function in the place of the power -1 (and the factor 1 in that of m = 0) Stein's identity
E[u f(u) g(v)] = E[f'(u) g(v)] + rho E[f(u) g'(v)] is the recursion

.. math:: Q_{mn} = -s\,Q_{m-1,n} + (m-1)\,Q_{m-2,n} + \rho\,n\,Q_{m-1,n-1} .

It starts from :math:`Q_{00} = \Phi_2(-s, -t; \rho)` and
:math:`Q_{-1,n} = p(s)\,E[(v-t)_+^n \mid u = s]`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import ndtr, owens_t

from kernalg.checks import FloatArray


def density(t: FloatArray | float) -> FloatArray:
    """The standard normal density."""
    return np.exp(-0.5 * np.square(t)) / np.sqrt(2 * np.pi)


def one_sided_moment(order: int, shift: FloatArray | float) -> FloatArray:
    """E[(Z - shift)_+^order] for a standard normal Z, order >= 0."""
    before, now = density(shift), ndtr(-np.asarray(shift, dtype=float))
    for n in range(1, order + 1):
        before, now = now, -shift * now + max(n - 1, 1) * before
    return now


def one_sided_hermite(order: int, shift: float, polynomials: FloatArray) -> FloatArray:
    """E[(Z - shift)_+^order h_k(Z)] for k = 0 … K, from the values h_0 … h_K at the shift.

    By b_k(f) = b_{k-1}(f')/sqrt(k), down to b_k = p(shift) h_k(shift) of the Dirac function.
    """
    last = len(polynomials) - 1
    index = np.sqrt(np.arange(1, last + 1))
    b = density(shift) * polynomials
    for m in range(order + 1):
        b = np.concatenate([[one_sided_moment(m, shift)], max(m, 1) * b[:-1] / index])
    return b


def bivariate_normal_cdf(h: float, k: float, correlation: FloatArray) -> FloatArray:
    r"""P(u <= h, v <= k) by Owen's T function (1956), |correlation| < 1.

    .. math:: \tfrac12(\Phi(h)+\Phi(k)) - T(h, a_h) - T(k, a_k) - \tfrac12[hk < 0 \text{ or } hk = 0, h + k < 0],
              \qquad a_h = \frac{k-\rho h}{h\sqrt{1-\rho^2}}
    """
    root = np.sqrt((1 - correlation) * (1 + correlation))
    if h == 0 and k == 0:
        return 0.25 + np.arctan2(correlation, root) / (2 * np.pi)
    opposite = h * k < 0 or (h * k == 0 and h + k < 0)
    total = np.full(correlation.shape, (ndtr(h) + ndtr(k)) / 2 - opposite / 2)
    for a, b in ((h, k), (k, h)):
        # T(0, ±inf) = ±1/4. The difference b - rho a is split so that it is exact for a = b near rho = 1.
        slope = ((b - a) + (1 - correlation) * a) / (a * root) if a else np.full(root.shape, np.copysign(np.inf, b))
        total -= owens_t(a, slope)
    return total


class QuadrantMoments:
    """Q_mn(s, t) at an array of correlations in [-1, 1]; orders from -1, not both.

    Examples
    --------
    >>> QuadrantMoments(0.0, 0.0, np.array([0.0, 1.0]))(1, 1).round(6)
    array([0.159155, 0.5     ])
    """

    def __init__(self, s: float, t: float, correlation: FloatArray) -> None:
        self.shifts = (s, t)
        self.correlation = correlation
        self._known: dict[tuple[int, int], FloatArray] = {}

    def __call__(self, m: int, n: int) -> FloatArray:
        if (m, n) not in self._known:
            self._known[m, n] = self._computed(m, n)
        return self._known[m, n]

    @cached_property
    def _root(self) -> FloatArray:
        return np.sqrt((1 - self.correlation) * (1 + self.correlation))

    def _computed(self, m: int, n: int) -> FloatArray:
        s, t = self.shifts
        if m == -1:
            return self._on_line(s, t, n)
        if n == -1:
            return self._on_line(t, s, m)
        if m == n == 0:
            return self._probability()
        if m == 0:
            return -t * self(0, n - 1) + max(n - 1, 1) * self(0, n - 2) + self.correlation * self(-1, n - 1)
        return -s * self(m - 1, n) + max(m - 1, 1) * self(m - 2, n) + self.correlation * max(n, 1) * self(m - 1, n - 1)

    def _on_line(self, s: float, t: float, n: int) -> FloatArray:
        """p(s) E[(v - t)_+^n | u = s]; at rho = ±1, v = ±s."""
        root, rho = self._root, self.correlation
        distance = (s - t) - (1 - rho) * s  # rho s - t
        inside = root > 0
        found = np.empty(rho.shape)
        found[inside] = root[inside] ** n * one_sided_moment(n, -distance[inside] / root[inside])
        edge = distance[~inside]
        found[~inside] = np.heaviside(edge, 0.5) * np.maximum(edge, 0) ** n
        return density(s) * found

    def _probability(self) -> FloatArray:
        """P(u > s, v > t); at rho = 1, P(u > max(s, t)), at rho = -1, P(s < u < -t)."""
        s, t = self.shifts
        rho = self.correlation
        found = np.where(rho > 0, ndtr(-max(s, t)), max(ndtr(-s) - ndtr(t), 0.0))
        inside = np.abs(rho) < 1
        found[inside] = bivariate_normal_cdf(-s, -t, rho[inside])
        return found
