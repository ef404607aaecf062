r"""Kernel regression by gradient flow as a superposition of ridge regressions, along a contour around the spectrum.

In the notation of `gradient_flow`:

**Well-conditioned form.** Flow for a time t is close to the ridge :math:`\tau = 1/t`, and only the difference is left
to the contour: with :math:`\psi_t(z) = \varphi_t(z) - 1/(z+\tau)` and a contour around the spectrum of K, not around
:math:`-\tau`,

.. math:: \hat f_t = \hat f_{\delta=\tau} - \frac1{2\pi i}\oint \psi_t(z)\, \hat f_{\delta=-z}\,dz,
          \qquad \oint\psi_t(z)\,dz = 0.

So the error :math:`f-\hat f_t` is the same superposition, with coefficients that add up to 1, of the errors of ridge
regressions with :math:`|\delta|` from 1/t upwards. None is of another size than the result, and nothing cancels, at
late times either. (With :math:`\varphi_t` itself the term 1 has to cancel.)

**Contour.** The spectrum of K fills an interval :math:`[\lambda_-,\lambda_+]`, the hull of the support of the limiting
law: :math:`\lambda_\pm = -\delta(\kappa)` where :math:`\delta'(\kappa) = n - \sum mL^2 = 0` (Silverstein and Choi
1995). Besides there may be zeros of K, which k(x, X) annihilates. In :math:`\zeta = \log(z+\tau)` the contour is an
ellipse around the segment from :math:`\log(\lambda_-+\tau)` to :math:`\log(\lambda_++\tau)` within
:math:`|\mathrm{Im}\,\zeta| < \pi/2`, where :math:`|e^{-tz}| \le e`: its nodes are graded towards 0 as far as time t can
tell, the trapezoidal rule converges geometrically, and the nodes needed grow with the logarithm of the range. Nodes
come in conjugate pairs, so imaginary parts vanish identically and tell nothing about errors; those are estimated from
two different ellipses, and nodes are doubled until these agree.

**kappa(-z).** 1/kappa is the Stieltjes transform of the spectrum of K: for Im z > 0 the equation has exactly one root
with Im kappa < 0 (Silverstein and Choi 1995), so that a root found by Newton's method is known to be the right one.

Levels beyond the spectrum add their trace T to K as a ridge: K = K' + T with K' as above, z = T + x.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray
from kernalg.errors import InternalError
from kernalg.learning.problem import LearningProblem
from kernalg.learning.sorted_levels import sorted_levels

ComplexArray = NDArray[np.complex128]

_EPS = float(np.finfo(np.float64).eps)
# Half heights of the two ellipses: convergence is lost to the spectrum on the one hand, to the growth of exp(-tz) far
# from the real axis on the other; these are about equally good.
_HEIGHTS = (0.7, 0.85)
# The trapezoidal rule with N pairs of nodes errs by about exp(-2 N arcsinh(height/half)).
_NODES = 16.0
_WANTED = 1e-10
_DOUBLINGS = 3
_NEGLIGIBLE = 1e-30


class Flow:
    """The spectrum in decreasing order, in units of 2**-shift in which its trace is about 1."""

    def __init__(self, problem: LearningProblem) -> None:
        levels = sorted_levels(problem.spectrum)
        tail = problem.spectrum.tail or 0.0
        self.shift = -math.frexp(math.fsum(levels.powers) + tail)[1]
        self.levels, self.order = levels.scaled(self.shift), levels.order
        self.values, self.powers, self.modes = self.levels.values, self.levels.powers, self.levels.modes
        self.tail = math.ldexp(tail, self.shift)
        self.learnable = problem.learnable[self.order]
        self.unlearnable = problem.unlearnable + float(np.delete(problem.learnable, self.order).sum())
        self.noise = problem.noise

    def run(self, n: float, times: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """1 - L, variance and its error for positive times, in units of this spectrum."""
        # One contour serves the times of a decade: for none of them is exp(-tz) large, or 1/t far from tau.
        decades = np.floor(np.log10(times)).astype(int)
        lanes = [np.flatnonzero(decades == decade) for decade in np.unique(decades)]
        tau = np.array([1 / times[lane].max() for lane in lanes])
        lower, upper = self.edges(n)
        left, right = np.log(lower + (self.tail + tau)), np.log(upper + (self.tail + tau))
        middle, half = (left + right) / 2, (right - left) / 2
        nodes = _NODES / np.arcsinh(_HEIGHTS[0] / np.maximum(half, 1.0))
        sizes = np.ceil(np.log2(nodes))
        spare = (n - self.levels.high) - self.levels.low
        missing = np.empty((len(times), len(self.values)))
        variance, error = np.empty(len(times)), np.empty(len(times))
        for size in np.unique(sizes):
            bucket = np.flatnonzero(sizes == size)
            together = [lanes[number] for number in bucket]
            count = math.ceil(nodes[bucket].max())
            for _ in range(_DOUBLINGS):
                results = [
                    self.contour(n, spare, [times[lane] for lane in together], tau[bucket], points, weights)
                    for points, weights in (_ellipse(middle[bucket], half[bucket], h, count) for h in _HEIGHTS)
                ]
                for lane, one, two in zip(together, *results, strict=True):
                    missing[lane], variance[lane], rounding = one
                    change = np.abs(missing[lane] ** 2 - two[0] ** 2) @ self.learnable
                    error[lane] = np.abs(variance[lane] - two[1]) + change + rounding
                done = np.concatenate(together)
                total = variance[done] + missing[done] ** 2 @ self.learnable + self.unlearnable
                if (error[done] <= _WANTED * total).all():
                    break
                count *= 2
        return missing, np.maximum(variance, 0.0), error

    def contour(
        self, n: float, spare: FloatArray, times: list[FloatArray], tau: FloatArray, points: ComplexArray,
        weights: ComplexArray,
    ) -> list[tuple[FloatArray, FloatArray, FloatArray]]:  # fmt: skip
        """1 - L, variance and its rounding errors at the times of every lane, from one contour each."""
        base = (self.tail + tau)[:, None]
        coefficients = []
        with np.errstate(under="ignore"):
            for number, t in enumerate(times):
                # psi = (tau phi - exp(-tz))/(z + tau), phi = (1-exp(-tz))/z, without the subtraction in z - T at 0.
                decay = -t[:, None] * (points[number] - tau[number])
                phi = -np.expm1(decay) / (points[number] - tau[number])
                psi = (tau[number] * phi - np.exp(decay)) / points[number]
                coefficients.append(-psi * weights[number])
        # To the right psi dz falls like 1/z: what is negligible there is not computed.
        sizes = np.stack([np.abs(c).max(axis=0) for c in coefficients]).max(axis=0)
        needed = int(np.max(np.flatnonzero(sizes > _NEGLIGIBLE) + 1, initial=0))
        ridges = np.concatenate([base + 0j, base - points[:, :needed]], axis=1)
        kappa = self.kappa(n, spare, ridges)
        return [
            # Sums over conjugate pairs are twice the real part, hence 1/2 for the one real ridge.
            self.superpose(n, np.insert(c[:, :needed], 0, 0.5, axis=1), ridges[number], kappa[number])
            for number, c in enumerate(coefficients)
        ]

    def edges(self, n: float) -> tuple[float, float]:
        r"""The ends of the spectrum of K' = K - T other than zeros, to about 1e-12.

        :math:`-\delta(\kappa) = \kappa^2 \sum P/(\lambda+\kappa)^2` (P = m lambda) where :math:`\sum mL^2 = n`. The
        upper end has kappa < -max(lambda); the lower one kappa > 0 if n < rank, else -min(lambda) < kappa <= 0.
        """
        values, powers = self.values, self.powers

        def q_minus_n(distances: FloatArray) -> float:
            return float((powers * (values / distances) / distances).sum() - n)

        with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
            gaps = values[0] - values
            gap = _log_bisection(lambda s: q_minus_n(gaps + s) > 0, -700.0, 700.0)
            upper = float((powers * ((values[0] + gap) / (gaps + gap)) ** 2).sum())
            if self.levels.beyond_rank(np.array(n)) < 0:
                kappa = _log_bisection(lambda k: q_minus_n(values + k) > 0, -700.0, 5.0)
            else:
                top = math.log(values[-1]) if values[-1] > 0 else -700.0
                kappa = -_log_bisection(lambda k: q_minus_n(values - k) < 0, -700.0, top)
            lower = float((powers * (kappa / (values + kappa)) ** 2).sum())
        return (lower if math.isfinite(lower) else 0.0), upper

    def kappa(self, n: float, spare: FloatArray, ridges: ComplexArray) -> ComplexArray:
        """kappa for ridges of shape (lanes, 1 + nodes), the first real and positive, the rest with Im < 0."""
        result = np.empty_like(ridges)
        # For a positive ridge the equation is convex in kappa, so Newton's method falls monotonically to the root.
        start = (self.powers.sum() + ridges[:, 0]) / n
        result[:, 0], done = self.newton(n, spare, start, ridges[:, 0], 1000)
        if not done.all():
            raise InternalError("the equation for kappa was not solved for a positive ridge")
        for j in range(1, ridges.shape[1]):
            result[:, j] = self.advance(n, spare, result[:, j - 1], ridges[:, j - 1], ridges[:, j], 50)
        return result

    def advance(
        self, n: float, spare: FloatArray, kappa: ComplexArray, start: ComplexArray, end: ComplexArray, depth: int
    ) -> ComplexArray:
        """kappa at the ridges `end` from that at `start`, over as many points between them as Newton's method needs."""
        result, done = self.newton(n, spare, kappa, end, 12)
        bad = ~(done & (result.imag < 0))
        if bad.any():
            if depth == 0:
                raise InternalError("kappa was not found along the contour of a gradient flow")
            middle = (start[bad] + end[bad]) / 2
            halfway = self.advance(n, spare, kappa[bad], start[bad], middle, depth - 1)
            result[bad] = self.advance(n, spare, halfway, middle, end[bad], depth - 1)
        return result

    def newton(
        self, n: float, spare: FloatArray, kappa: ComplexArray, ridges: ComplexArray, steps: int
    ) -> tuple[ComplexArray, NDArray[np.bool_]]:
        """Newton's method for kappa (n - sum m L) = ridge; whether it converged."""
        # n - sum m L = (n - C) + sum m (1-L) over the C modes above |kappa|, - sum m L over those below: the integers
        # cancel exactly.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            for _ in range(steps):
                above = self.values > np.abs(kappa)[:, None]
                inverse = 1.0 / (self.values + kappa[:, None])
                missing = kappa[:, None] * inverse
                weighted = self.powers * inverse
                free = spare[above.sum(axis=1)] + np.where(above, self.modes * missing, -weighted).sum(axis=1)
                change = (kappa * free - ridges) / (free + (weighted * missing).sum(axis=1))
                kappa = kappa - change
                size = np.abs(change) / np.abs(kappa)
                if not (size > 1e-14).any():
                    break
        return kappa, size < 1e-9

    def superpose(
        self, n: float, coefficients: ComplexArray, ridges: ComplexArray, kappa: ComplexArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """1 - L, variance and its rounding errors for coefficients of shape (times, ridges)."""
        inverse = 1.0 / (self.values + kappa[:, None])
        missing, weighted = kappa[:, None] * inverse, self.powers * inverse
        variance, rounding = np.zeros(len(coefficients)), np.zeros(len(coefficients))
        for other, conjugate in ((missing, coefficients), (missing.conj(), coefficients.conj())):
            bias = (missing * self.learnable) @ other.T + (self.unlearnable + self.noise)
            # n - sum m L1 L2 = delta1/kappa1 + sum m L1 (1-L2), as in `cross_risk`.
            gap = (ridges / kappa)[:, None] + weighted @ other.T
            form = (n - gap) / gap * bias
            variance += 2 * ((coefficients @ form) * conjugate).sum(axis=1).real
            rounding += 2 * _EPS * ((np.abs(coefficients) @ np.abs(form)) * np.abs(conjugate)).sum(axis=1)
        return 2 * (coefficients @ missing).real, variance, rounding


def _ellipse(middle: FloatArray, half: FloatArray, height: float, nodes: int) -> tuple[ComplexArray, ComplexArray]:
    """exp(zeta) at the upper nodes of the ellipses with foci middle -+ half, from left to right, and dz/(2 pi i)."""
    angle = np.pi * (1 - (np.arange(nodes) + 0.5) / nodes)
    width = np.hypot(half, height)[:, None]
    points = np.exp(middle[:, None] + width * np.cos(angle) + 1j * height * np.sin(angle))
    return points, points * (-width * np.sin(angle) + 1j * height * np.cos(angle)) / (2j * nodes)


def _log_bisection(too_low: Any, low: float, high: float) -> float:
    """The point where too_low(exp(u)) turns from true to false."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(math.exp(middle)) else (low, middle)
    return math.exp(low)
