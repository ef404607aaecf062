r"""Derivatives of the test error with respect to ridge and noise, and the ridge that makes it smallest.

With :math:`g=n-q=\delta/\kappa+\sum mL(1-L)`, the eigenlearning equation gives :math:`d\kappa/d\delta=1/g`; with
:math:`dL/d\kappa=-L/(\lambda+\kappa)`,

.. math:: \frac{dE}{d\delta}=\frac{2E_0^2}{n}\Big[\sum_i\frac{L_i(1-L_i)v_i^2}{\lambda_i+\kappa}
          -\frac En\sum_i\frac{m_iL_i^2}{\lambda_i+\kappa}\Big],\qquad \frac{dE}{d\sigma^2}=E_0 .

For the minimum, kappa is the better variable: the ridge that yields it is explicit,
:math:`\delta(\kappa)=\kappa(n-\sum mL)`, and the sign of the bracket is that of n - n*(kappa) with a function that does
not know n,

.. math:: n^*(\kappa)=\sum_im_iL_i^2+\frac{\sum_im_iL_i^2(1-L_i)}{\sum_iL_i(1-L_i)^2v_i^2}
          \Big(\sum_i(1-L_i)^2v_i^2+\sigma^2\Big).

So all local minima, for all n, are crossings of one function, found on a grid in log kappa, on which it varies on the
scale of 1. At fixed kappa the error n (B + sigma^2)/(n - q) falls with n while the ridge grows; hence at the best ridge
more samples never hurt, and multiple descent disappears (Simon, Karkada, Ghosh and Belkin, ICLR 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from kernalg.checks import FloatArray
from kernalg.errors import DomainError, InternalError
from kernalg.learning.eigenlearning import LearningCurve
from kernalg.learning.kappa import at_kappa, solve_kappa
from kernalg.learning.problem import LearningProblem, learning_problem
from kernalg.learning.records import equal_by_json, record_from_json, record_to_json
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table

# Grid points per unit of log kappa; entries (kappa x levels) worked on at a time; halvings of a bracket of one cell.
_DENSITY = 8
_ENTRIES = 1_000_000
_HALVINGS = 52


def ridge_derivative(curve: LearningCurve) -> FloatArray:
    """d test_mse / d ridge along a learning curve, per n, at fixed noise; the same for the excess error.

    Negative where more ridge helps. At n = rank without ridge the error is infinite (or zero without noise) and its
    derivative is -inf (inf).

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> ridge_derivative(learning_curve(s, [1.0, 0.5], n=[10, 40], noise=0.5)).round(4)
    array([  -0.7249, -150.323 ])
    """
    _check_curve(curve)
    spectrum, n, kappa = curve.spectrum, curve.n, curve.kappa
    at = at_kappa(spectrum, kappa)
    positive = spectrum.log_eigenvalues > -math.inf
    values = np.maximum(spectrum.eigenvalues, 0.0)[positive]
    learned, missing, modes = at.learned[:, positive], at.missing[:, positive], at.modes[:, positive]
    power = curve.power[: len(spectrum)][positive]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 1.0 / (values + kappa[:, None])
        bias = (learned * missing * inverse) @ power
        variance = (modes * learned * inverse).sum(axis=1)
        slope = 2 * curve.overfitting / n * curve.overfitting * (bias - curve.test_mse / n * variance)
    slope = np.where(n == 0, 0.0, slope)
    # n = rank: E_0 is inf. Approached with ridge, E -> inf like 1/kappa with noise, E ~ kappa without.
    threshold = np.isinf(curve.overfitting)
    return np.where(threshold, np.where(curve.test_mse > 0, -math.inf, math.inf if power.sum() > 0 else 0.0), slope)


def noise_derivative(curve: LearningCurve) -> FloatArray:
    """d test_mse / d noise along a learning curve, per n, at fixed ridge: the overfitting coefficient E_0.

    kappa does not depend on the noise, so the error is linear in it. The excess error has this slope minus 1.

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> noise_derivative(learning_curve(Spectrum([0.1], [10]), [1.0], n=[5, 20])).round(4)
    array([2., 2.])
    """
    return _check_curve(curve).overfitting


@equal_by_json
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimalRidge:
    """The ridge that makes the predicted test error smallest, per n.

    Attributes
    ----------
    n : number of samples.
    ridge : the best delta in K + delta I; 0 where no ridge helps, inf where nothing can be learned from the labels.
    kappa : the threshold it yields.
    test_mse : the error with it, on noisy labels.
    ridgeless_mse : the error without ridge.
    noise : variance of the label noise.
    """

    n: FloatArray
    ridge: FloatArray
    kappa: FloatArray
    test_mse: FloatArray
    ridgeless_mse: FloatArray
    noise: float

    def __len__(self) -> int:
        return len(self.n)

    def _columns(self) -> dict[str, FloatArray]:
        return {name: getattr(self, name) for name in ("ridge", "kappa", "test_mse", "ridgeless_mse")}

    def _table(self) -> tuple[list[str], list[list[str]]]:
        cells = [[f"{v:.6g}" for v in column] for column in self._columns().values()]
        rows = [list(row) for row in zip((f"{v:.10g}" for v in self.n), *cells, strict=True)]
        return ["n", *self._columns()], rows

    def __repr__(self) -> str:
        return f"Optimal ridge: noise {self.noise:g}\n{text_table(*self._table())}"

    def _repr_html_(self) -> str:
        return f"<p>Optimal ridge: noise {self.noise:g}</p>{html_table(*self._table())}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal OptimalRidge."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> OptimalRidge:
        """The OptimalRidge that `to_json` wrote; DomainError if the text is no such JSON object."""
        return record_from_json(cls, text)

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n; MissingExtra without pandas."""
        pandas = import_pandas()
        return pandas.DataFrame(self._columns(), index=pandas.Index(self.n, name="n"))


def optimal_ridge(
    spectrum: Spectrum, power: ArrayLike | None = None, *, n: ArrayLike | range, noise: float = 0.0
) -> OptimalRidge:
    """The ridge that minimises the predicted test error: the global minimum, for every n.

    Parameters
    ----------
    spectrum, power, n, noise
        As in `learning_curve`. A tail of the spectrum is ridge that is there already.

    Returns
    -------
    OptimalRidge

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, or there is no target power.

    Examples
    --------
    >>> best = optimal_ridge(Spectrum([0.1], [10]), [1.0], n=[5, 10, 20], noise=0.5)
    >>> best.ridge.round(12), best.test_mse.round(4)
    (array([0.5, 0.5, 0.5]), array([1.2071, 1.    , 0.7808]))
    """
    problem = learning_problem(spectrum, power, n, noise)
    samples, tail = problem.n, spectrum.tail or 0.0
    lowest, _ = solve_kappa(spectrum, samples, tail)
    kappa = lowest.copy()
    ridgeless = _error(problem, lowest, samples, lowest, tail)
    best = ridgeless.copy()

    logs, sources = spectrum.log_eigenvalues, spectrum.log_multiplicities
    positive = logs > -math.inf
    taught = positive & (problem.learnable > 0)
    rest = problem.unlearnable + float(problem.learnable[~positive].sum()) + problem.noise
    search = np.flatnonzero((samples > 0) & ((lowest > 0) | (rest > 0)))
    if not taught.any():
        # Labels are noise to this kernel: the best predictor is 0, unless there are no labels to speak of.
        if rest > 0 and positive.any():
            kappa[search], best[search] = math.inf, rest
    elif len(search):
        where, low = samples[search], lowest[search]
        target = np.log(problem.learnable[taught])
        # Above: from kappa = max(lambda) on, n* <= S/kappa^2 + 8 P S/(kappa V) with S = sum m lambda^2, V = sum lambda
        # v^2 and P the power with the noise; beyond `above` that is less than n.
        squares = float(logsumexp(sources[positive] + 2 * logs[positive]))
        first, least = float(logsumexp(logs[taught] + target)), math.log(where.min())
        total = math.log(float(problem.power.sum()) + problem.noise)
        above = max(logs.max(), (squares - least + math.log(2)) / 2, total + squares - least - first + math.log(16))
        with np.errstate(divide="ignore"):
            start = np.log(low)
        below = float(start[low > 0].min()) if (low > 0).any() else above
        if (low == 0).any():
            # Below: n A <= n kappa^2 sum v^2/lambda^2 is less than noise kappa/8 sum m/lambda for kappa <= min(lambda).
            shrink = float(logsumexp(sources[positive] - logs[positive]) - logsumexp(target - 2 * logs[taught]))
            bound = math.log(rest) + shrink - math.log(8 * where[low == 0].max())
            below = min(below, bound, float(logs[positive].min()))
        u = np.linspace(below, max(above, below) + 1, math.ceil(_DENSITY * (max(above, below) + 1 - below)) + 1)

        falls = _threshold(problem, u) > where[:, None]
        falls_at_start = np.where(low > 0, _threshold(problem, np.maximum(start, below)) > where, True)
        falls = np.where(u <= start[:, None], falls_at_start[:, None], falls)
        if falls[:, -1].any():
            raise InternalError("the test error still falls at the upper end of the search for the optimal ridge")
        rows, cells = np.nonzero(falls[:, :-1] & ~falls[:, 1:])
        left, right = np.maximum(u[cells], start[rows]), u[cells + 1]
        for _ in range(_HALVINGS):
            middle = (left + right) / 2
            down = _threshold(problem, middle) > where[rows]
            left, right = np.where(down, middle, left), np.where(down, right, middle)
        minima = np.maximum(np.exp((left + right) / 2), low[rows])
        errors = _error(problem, minima, where[rows], low[rows], tail)
        for row, value, error in zip(search[rows], minima, errors, strict=True):
            if error < best[row]:
                kappa[row], best[row] = value, error

    ridge = np.where(np.isinf(kappa) & (samples > 0), math.inf, 0.0)
    moved = np.isfinite(kappa) & (kappa > lowest)
    ridge[moved] = _ridge(spectrum, kappa[moved], samples[moved], lowest[moved], tail)
    for array in (ridge, kappa, best, ridgeless):
        array.flags.writeable = False
    return OptimalRidge(samples, ridge, kappa, best, ridgeless, problem.noise)


def _check_curve(curve: LearningCurve) -> LearningCurve:
    if not isinstance(curve, LearningCurve):
        raise DomainError(f"a LearningCurve is needed, not {type(curve).__name__}: see learning_curve")
    return curve


def _threshold(problem: LearningProblem, u: FloatArray) -> FloatArray:
    """n*(kappa) at u = log kappa: the error falls with kappa where n is below it, and rises where n is above."""
    result = np.empty(len(u))
    step = max(1, _ENTRIES // len(problem.spectrum))
    for start in range(0, len(u), step):
        at = at_kappa(problem.spectrum, np.exp(u[start : start + step]))
        squares = at.modes * at.learned
        bias = at.missing**2 @ problem.learnable + problem.unlearnable
        gain = (at.learned * at.missing**2) @ problem.learnable
        cost = (squares * at.missing).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(cost > 0, cost / gain, 0.0)
            result[start : start + step] = squares.sum(axis=1) + ratio * (bias + problem.noise)
    return result


def _ridge_modes(
    spectrum: Spectrum, kappa: FloatArray, n: FloatArray, lowest: FloatArray, tail: float
) -> tuple[FloatArray, FloatArray]:
    """tail/kappa_0 at kappa_0 = `lowest`, where the ridge is 0; and what n - sum m L grows by from there to kappa."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at_lowest = np.where(lowest > 0, tail / lowest, n - float(min(spectrum.rank, 10**308)))
        # m L(kappa_0) - m L(kappa) = m L(kappa_0) (kappa - kappa_0)/(lambda + kappa)
        values = np.maximum(spectrum.eigenvalues, 0.0)
        share = np.where(kappa > 0, (kappa - lowest), 0.0)[:, None] / (values + kappa[:, None])
    growth = (at_kappa(spectrum, lowest).modes * np.nan_to_num(share)).sum(axis=1)
    return at_lowest, growth


def _ridge(spectrum: Spectrum, kappa: FloatArray, n: FloatArray, lowest: FloatArray, tail: float) -> FloatArray:
    """kappa (n - sum m L) - tail, without a difference of close numbers but kappa - kappa_0."""
    at_lowest, growth = _ridge_modes(spectrum, kappa, n, lowest, tail)
    return np.asarray((kappa - lowest) * at_lowest + kappa * growth)


def _error(problem: LearningProblem, kappa: FloatArray, n: FloatArray, lowest: FloatArray, tail: float) -> FloatArray:
    """The test error at `kappa`, with the ridge that yields it."""
    at = at_kappa(problem.spectrum, kappa)
    bias = at.missing**2 @ problem.learnable + problem.unlearnable + problem.noise
    at_lowest, growth = _ridge_modes(problem.spectrum, kappa, n, lowest, tail)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = n / (at_lowest + growth + at.participation) * bias
    return np.where(n == 0, bias, np.where(bias > 0, error, 0.0))
