r"""Predicted test error of kernel regression trained by gradient flow and stopped at time t.

From zero, :math:`\frac{d}{dt} f_t(X) = -K\,(f_t(X) - y)` gives the predictor
:math:`\hat f_t(x) = k(x,X)\,\varphi_t(K)\,y` with :math:`\varphi_t(z) = (1-e^{-tz})/z`. By Cauchy's formula it is a
superposition of ridge regressions of complex ridge delta = -z, whose joint risk is that of `cross_risk`:

.. math:: C(\delta_1,\delta_2) = \frac{\sum_i (1-L_{1i})(1-L_{2i})v_i^2 + \sigma^2}{1-\frac1n\sum m_iL_{1i}L_{2i}},
          \qquad L = \lambda/(\lambda+\kappa),\quad \kappa\Big(n - \sum m L\Big) = \delta.

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

import html
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernalg.checks import FloatArray, real_vector
from kernalg.compiled.threads import serial_blas
from kernalg.errors import DomainError, InternalError, PrecisionError
from kernalg.learning.problem import LearningProblem, learning_problem
from kernalg.learning.records import frozen, record_from_json, record_to_json
from kernalg.learning.two_ridges import cross_risk
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table

ComplexArray = NDArray[np.complex128]

_PER_TIME = ("test_mse", "excess_mse", "bias", "variance", "error")
_EPS = float(np.finfo(np.float64).eps)
_HUGE = 10**308
# Half heights of the two ellipses: convergence is lost to the spectrum on the one hand, to the growth of exp(-tz) far
# from the real axis on the other; these are about equally good.
_HEIGHTS = (0.7, 0.85)
# The trapezoidal rule with N pairs of nodes errs by about exp(-2 N arcsinh(height/half)).
_NODES = 16.0
_WANTED = 1e-10
_REFUSED = 1e-6
_ROUNDING = 1e-12
_DOUBLINGS = 3
_NEGLIGIBLE = 1e-30


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GradientFlowCurve:
    """What kernel regression by gradient flow is expected to achieve, per number of samples and time.

    Attributes
    ----------
    n : (sizes,) number of samples.
    times : (times,) time t in df/dt = -K (f - y), with K the Gram matrix itself, not divided by n.
    test_mse : (sizes, times) expected squared error on noisy labels.
    excess_mse : (sizes, times) the same without the noise of the test labels, `test_mse - noise`.
    bias : (sizes, times) squared bias of the mean predictor.
    variance : (sizes, times) the rest, `excess_mse - bias`.
    error : (sizes, times) estimated absolute error of the quadrature in `test_mse`.
    learnabilities : (sizes, times, levels) the coefficient of the mean predictor over that of the target.
    noise, power, spectrum : what was asked; `power` includes the power beyond the listed levels.
    """

    n: FloatArray
    times: FloatArray
    test_mse: FloatArray
    excess_mse: FloatArray
    bias: FloatArray
    variance: FloatArray
    error: FloatArray
    learnabilities: FloatArray
    noise: float
    power: FloatArray
    spectrum: Spectrum

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GradientFlowCurve):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = ["n", "time", "bias", "variance", "test_mse", "error"]
        rows = [
            [f"{n:.10g}", f"{t:.6g}", *(f"{v[i, j]:.6g}" for v in (self.bias, self.variance, self.test_mse)),
             f"{self.error[i, j]:.1e}"]
            for i, n in enumerate(self.n) for j, t in enumerate(self.times)
        ]  # fmt: skip
        return names, rows

    def _headline(self) -> str:
        return f"Gradient flow: noise {self.noise:g}, power {self.power.sum():.6g}"

    def __repr__(self) -> str:
        return "\n".join([self._headline(), text_table(*self._table())])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._headline())}</p>{html_table(*self._table())}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal GradientFlowCurve."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> GradientFlowCurve:
        """The GradientFlowCurve that `to_json` wrote; DomainError if the text is no such JSON object."""

        def fits(curve: GradientFlowCurve) -> bool:
            shape = (*curve.n.shape, *curve.times.shape)
            same = len(shape) == 2 and all(getattr(curve, name).shape == shape for name in _PER_TIME)
            return same and curve.learnabilities.shape == (*shape, len(curve.spectrum))

        return record_from_json(cls, text, fits)

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row per (n, time), learnabilities as L0, L1, …; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {name: getattr(self, name).ravel() for name in _PER_TIME}
        columns |= {f"L{i}": self.learnabilities[..., i].ravel() for i in range(self.learnabilities.shape[-1])}
        index = pandas.MultiIndex.from_product([self.n, self.times], names=["n", "time"])
        return pandas.DataFrame(columns, index=index)


def gradient_flow_curve(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: ArrayLike | range,
    times: ArrayLike,
    noise: float = 0.0,
) -> GradientFlowCurve:
    """Predict the errors of kernel regression trained by gradient flow from zero and stopped early.

    Parameters
    ----------
    spectrum, power, n, noise
        As in `learning_curve`. Eigenvalue lambda is learned at times about 1/(n lambda).
    times : (times,) array_like
        Times t >= 0 of df/dt = -K (f - y). For a loss averaged over the samples, (1/2n) sum (f-y)^2, t is the time over
        n; for gradient descent on (1/2) sum (f-y)^2 with a small rate, t is rate times steps.

    Returns
    -------
    GradientFlowCurve
        At late times this is `learning_curve` without ridge.

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, if `spectrum` is not a Spectrum, or if there is no target power.
    PrecisionError
        If two contours agree to less than six digits (or 1e-12 of the error before training).

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> curve = gradient_flow_curve(s, [1.0, 1.0], n=40, times=[0, 0.1, 10, 1e9], noise=0.1)
    >>> curve.test_mse[0].round(4)
    array([2.1   , 1.0735, 0.5009, 0.6916])
    """
    problem = learning_problem(spectrum, power, n, noise)
    instants = real_vector("times", np.atleast_1d(np.asarray(times)), minimum=0.0)
    if len(instants) == 0:
        raise DomainError("times is empty; give at least one time")
    flow = _Flow(problem)
    shape = (len(problem.n), len(instants))
    bias, variance, error = np.full(shape, problem.power.sum()), np.zeros(shape), np.zeros(shape)
    learned = np.zeros((*shape, len(spectrum)))
    # Times below this are as good as 0, and powers of two bring the others into the units of `flow`.
    with np.errstate(over="ignore"):
        scaled = np.minimum(np.ldexp(instants, -flow.shift), 1e250)
    moving = np.flatnonzero((scaled > 1e-250) & (len(flow.values) > 0))
    with serial_blas():  # many small products
        for row in np.flatnonzero((problem.n > 0) & (len(moving) > 0)):
            missing, variance[row, moving], error[row, moving] = flow.run(float(problem.n[row]), scaled[moving])
            bias[row, moving] = missing**2 @ flow.learnable + flow.unlearnable
            learned[np.ix_([row], moving, flow.order)] = (1 - missing)[None]
    test = bias + variance + problem.noise
    # Without noise and beyond the rank errors fall exponentially, below the rounding of what they are made of.
    if not (error <= _REFUSED * test + _ROUNDING * (problem.power.sum() + problem.noise)).all():
        i, j = np.unravel_index(np.argmax(error / np.maximum(test, 1e-300)), shape)
        raise PrecisionError(
            f"at n = {problem.n[i]:g}, time {instants[j]:g} two contours differ by {error[i, j]:.1e} for a test "
            f"error of {test[i, j]:.3g}: ask for earlier times, or for n further from the rank {spectrum.rank}"
        )
    return GradientFlowCurve(
        n=problem.n, times=instants, test_mse=frozen(test), excess_mse=frozen(bias + variance), bias=frozen(bias),
        variance=frozen(variance), error=frozen(error), learnabilities=frozen(learned),
        noise=problem.noise, power=problem.power, spectrum=spectrum,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimalStopping:
    """When to stop: per number of samples `n`, the best `time` (inf: never) and the `test_mse` there."""

    n: FloatArray
    time: FloatArray
    test_mse: FloatArray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OptimalStopping):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = zip(self.n, self.time, self.test_mse, strict=True)
        return ["n", "best time", "test_mse"], [[f"{n:.10g}", f"{t:.6g}", f"{e:.6g}"] for n, t, e in rows]

    def __repr__(self) -> str:
        return "\n".join(["Optimal stopping (inf: train to the end)", text_table(*self._table())])

    def _repr_html_(self) -> str:
        return f"<p>Optimal stopping (inf: train to the end)</p>{html_table(*self._table())}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal OptimalStopping."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> OptimalStopping:
        """The OptimalStopping that `to_json` wrote; DomainError if the text is no such JSON object."""
        return record_from_json(cls, text)

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {"time": self.time, "test_mse": self.test_mse}
        return pandas.DataFrame(columns, index=pandas.Index(self.n, name="n"))


def optimal_stopping(
    spectrum: Spectrum, power: ArrayLike | None = None, *, n: ArrayLike | range, noise: float = 0.0
) -> OptimalStopping:
    """The time at which gradient flow has the smallest test error, searched over all times.

    Parameters
    ----------
    spectrum, power, n, noise
        As in `gradient_flow_curve`.

    Returns
    -------
    OptimalStopping
        `time` is inf where training to the end is best, and 0 where not training is. Of several local minima the best
        is taken, as far as a grid of 12 times a decade tells them apart.

    Raises
    ------
    DomainError, PrecisionError
        As `gradient_flow_curve`.

    Examples
    --------
    >>> best = optimal_stopping(Spectrum([0.5, 0.01], [1, 50]), [1.0, 1.0], n=[40, 200], noise=0.1)
    >>> best.time.round(2), best.test_mse.round(4)
    (array([11.63,  3.7 ]), array([0.5001, 0.1333]))
    """
    problem = learning_problem(spectrum, power, n, noise)
    end = cross_risk(spectrum, problem.power, n=problem.n, ridges=[0.0], noise=problem.noise).test_mse[:, 0, 0]
    flow = _Flow(problem)
    found, best = np.zeros(len(problem.n)), np.full(len(problem.n), problem.power.sum() + problem.noise)
    for row in np.flatnonzero((problem.n > 0) & (len(flow.values) > 0)):
        size = float(problem.n[row])

        def errors(times: FloatArray, size: float = size) -> FloatArray:
            return gradient_flow_curve(spectrum, problem.power, n=size, times=times, noise=problem.noise).test_mse[0]

        lower, upper = flow.edges(size)
        # Before the first nothing has been learned; after the last the error moves by less than a part in 1e8.
        first, last = math.log(1e-4 / (upper + flow.tail)), math.log(20 / max(lower + flow.tail, 1e-14 * upper))
        # The unit of the flow is 2**-shift, which is a power of two for times as well.
        grid = np.linspace(first, last, math.ceil(12 * (last - first) / math.log(10))) + flow.shift * math.log(2)
        values = errors(np.exp(grid))
        for _ in range(6):
            j = int(np.argmin(values))
            if j == 0 or j == len(grid) - 1:
                break
            grid = np.linspace(grid[j - 1], grid[j + 1], 9)
            values = errors(np.exp(grid))
        if values.min() < best[row]:
            best[row], found[row] = values.min(), math.exp(grid[int(np.argmin(values))])
        if end[row] <= best[row]:
            best[row], found[row] = end[row], math.inf
    return OptimalStopping(problem.n, frozen(found), frozen(best))


class _Flow:
    """The spectrum in decreasing order, in units of 2**-shift in which its trace is about 1."""

    def __init__(self, problem: LearningProblem) -> None:
        spectrum = problem.spectrum
        log_values = spectrum.log_eigenvalues
        order = np.argsort(-log_values, kind="stable")
        self.order = order = order[log_values[order] > -math.inf]
        tail = spectrum.tail or 0.0
        powers = spectrum.level_power[order]
        trace = math.fsum(powers) + tail
        self.shift = -math.frexp(trace)[1]
        with np.errstate(under="ignore"):
            self.values = (
                np.exp2(log_values[order] / math.log(2) + self.shift) if spectrum.exact is not None
                else np.ldexp(np.maximum(spectrum.eigenvalues[order], 0.0), self.shift)
            )  # fmt: skip
        self.powers, self.tail = np.ldexp(powers, self.shift), math.ldexp(tail, self.shift)
        self.modes = np.array([float(min(spectrum.multiplicities[i], _HUGE)) for i in order])
        self.counts = [0]
        for i in order:
            self.counts.append(self.counts[-1] + spectrum.multiplicities[i])
        self.learnable = problem.learnable[order]
        self.unlearnable = problem.unlearnable + float(np.delete(problem.learnable, order).sum())
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
        spare = np.array([float(Fraction(n) - min(count, _HUGE)) for count in self.counts])
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
            if n < self.counts[-1]:
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
