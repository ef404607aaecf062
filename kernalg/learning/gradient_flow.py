r"""Predicted test error of kernel regression trained by gradient flow and stopped at time t.

From zero, :math:`\frac{d}{dt} f_t(X) = -K\,(f_t(X) - y)` gives the predictor
:math:`\hat f_t(x) = k(x,X)\,\varphi_t(K)\,y` with :math:`\varphi_t(z) = (1-e^{-tz})/z`. By Cauchy's formula it is a
superposition of ridge regressions of complex ridge delta = -z, whose joint risk is that of `cross_risk`:

.. math:: C(\delta_1,\delta_2) = \frac{\sum_i (1-L_{1i})(1-L_{2i})v_i^2 + \sigma^2}{1-\frac1n\sum m_iL_{1i}L_{2i}},
          \qquad L = \lambda/(\lambda+\kappa),\quad \kappa\Big(n - \sum m L\Big) = \delta.

How these superpositions are computed without cancellation, at any time, is told in `flow_contour`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray
from kernalg.compiled.threads import serial_blas
from kernalg.errors import DomainError, PrecisionError
from kernalg.learning.flow_contour import Flow
from kernalg.learning.problem import learning_problem, not_negative
from kernalg.learning.records import equal_by_json, frozen, record_from_json, record_to_json, shown_as_table
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import import_pandas

_PER_TIME = ("test_mse", "excess_mse", "bias", "variance", "error")
_REFUSED = 1e-6
_ROUNDING = 1e-12


@equal_by_json
@shown_as_table
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
    instants = not_negative("times", times)
    if len(instants) == 0:
        raise DomainError("times is empty; give at least one time")
    flow = Flow(problem)
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
