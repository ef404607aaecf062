r"""The joint risk of two kernel ridge regressions, and so the risk of an average over several ridges.

Regressors :math:`\hat f_1, \hat f_2` with ridges :math:`\delta_1, \delta_2`, trained on the *same* n samples, have

.. math:: E[(y-\hat f_1)(y-\hat f_2)]
          = \frac{\sum_i (1-L_{1i})(1-L_{2i})\,v_i^2 + \sigma^2}{1 - \frac1n\sum_i m_i L_{1i}L_{2i}},

where each L belongs to the kappa of its own ridge (`learning_curve`); for equal ridges this is the test error. On
independent data sets nothing couples them but the target, and the denominator is 1. Any average
:math:`\sum_j w_j \hat f_j` with :math:`\sum_j w_j = 1` has the error :math:`w^\top C w`.

Source: the two-resolvent deterministic equivalent of the sample covariance (Ledoit and Peche 2011; for kernels
Canatar, Bordelon and Pehlevan, Nat. Commun. 2021; for averages Patil, Kuchibhotla, Wei and Rinaldo 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_vector
from kernalg.errors import DomainError
from kernalg.learning.kappa import at_kappa, solve_kappa
from kernalg.learning.problem import learning_problem
from kernalg.learning.records import equal_by_json, frozen, record_from_json, record_to_json, shown_as_table
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import import_pandas


@equal_by_json
@shown_as_table
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossRisk:
    """Expected products of the errors of kernel ridge regressions with different ridges.

    Attributes
    ----------
    n : (sizes,) number of samples.
    ridges : (R,) the ridges.
    kappa : (sizes, R) threshold of each of them.
    test_mse : (sizes, R, R) E[(y - f_i)(y - f_j)] on noisy test labels; the diagonal holds the test errors.
    excess_mse : (sizes, R, R) the same without the noise of the test labels, `test_mse - noise`.
    same_data : whether all regressors see the same samples; otherwise each has its own.
    noise, power, spectrum : what was asked; `power` includes the power beyond the listed levels.
    """

    n: FloatArray
    ridges: FloatArray
    kappa: FloatArray
    test_mse: FloatArray
    excess_mse: FloatArray
    same_data: bool
    noise: float
    power: FloatArray
    spectrum: Spectrum

    def __len__(self) -> int:
        return len(self.n)

    def average_mse(self, weights: ArrayLike | None = None) -> FloatArray:
        """Test error, per n, of the average of the regressors: the quadratic form of `test_mse` in the weights.

        Parameters
        ----------
        weights : (R,) array_like, optional
            Any real weights that add up to 1. Default: equal weights.

        Raises
        ------
        DomainError
            If there is not one weight per ridge, or they do not add up to 1.
        """
        count = len(self.ridges)
        w = np.full(count, 1 / count) if weights is None else real_vector("weights", weights)
        if len(w) != count or abs(math.fsum(w) - 1) > 1e-12 * np.abs(w).sum():
            raise DomainError(f"weights are {w.tolist()}; {count} numbers that add up to 1 are needed, one per ridge")
        used = w != 0  # an error may be infinite, at n = rank without ridge
        return self.test_mse[:, used][:, :, used] @ w[used] @ w[used]

    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(len(self.ridges)) for j in range(i, len(self.ridges))]

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = [f"({self.ridges[i]:g}, {self.ridges[j]:g})" for i, j in self._pairs()]
        rows = [[f"{row[i, j]:.6g}" for i, j in self._pairs()] for row in self.test_mse]
        return ["n", *names], [[f"{n:.10g}", *row] for n, row in zip(self.n, rows, strict=True)]

    def _headline(self) -> str:
        data = "the same data" if self.same_data else "independent data"
        return f"Cross risk on {data}: noise {self.noise:g}, power {self.power.sum():.6g}; columns are pairs of ridges"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal CrossRisk (infinities as the string "inf")."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> CrossRisk:
        """The CrossRisk that `to_json` wrote; DomainError if the text is no such JSON object."""

        def fits(risk: CrossRisk) -> bool:
            shape = (len(risk.n), len(risk.ridges))
            square = (*shape, len(risk.ridges))
            return risk.kappa.shape == shape and risk.test_mse.shape == square and risk.excess_mse.shape == square

        return record_from_json(cls, text, fits)

    def to_pandas(self) -> Any:
        """A pandas DataFrame of the test risks, a row per n, a column per pair of ridges; MissingExtra without pandas.

        The columns are numbered pairs (i, j) of positions in `ridges`.
        """
        pandas = import_pandas()
        columns = pandas.MultiIndex.from_tuples(self._pairs(), names=["i", "j"])
        values = [[row[i, j] for i, j in self._pairs()] for row in self.test_mse]
        return pandas.DataFrame(values, index=pandas.Index(self.n, name="n"), columns=columns)


def cross_risk(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: ArrayLike | range,
    ridges: ArrayLike,
    noise: float = 0.0,
    same_data: bool = True,
) -> CrossRisk:
    """Predict E[(y - f_i)(y - f_j)] for kernel ridge regressions with different ridges.

    Parameters
    ----------
    spectrum, power, n, noise
        As in `learning_curve`: levels beyond the spectrum act as additional ridge on every regressor.
    ridges : (R,) array_like
        Two ridges, or any number of them, not divided by n; equal ones are allowed.
    same_data : bool
        True: all regressors are trained on the same samples. False: each on n samples of its own, so that only the
        bias couples them (and the diagonal is still the test error of each).

    Returns
    -------
    CrossRisk

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, if `spectrum` is not a Spectrum, or if there is no target power.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> risk = cross_risk(s, [1.0, 1.0], n=40, ridges=(0, 0.5), noise=0.1)
    >>> risk.test_mse[0].round(4)
    array([[0.6916, 0.3754],
           [0.3754, 0.6675]])
    >>> risk.average_mse().round(4)
    array([0.5274])
    """
    problem = learning_problem(spectrum, power, n, noise)
    deltas = real_vector("ridges", ridges, minimum=0.0)
    if len(deltas) == 0:
        raise DomainError("ridges is empty; give at least one ridge")
    if not isinstance(same_data, bool):
        raise DomainError(f"same_data is {same_data!r}; True or False is needed")
    samples, noise = problem.n, problem.noise
    effective = deltas + (spectrum.tail or 0.0)
    kappa = np.stack([solve_kappa(spectrum, samples, float(delta))[0] for delta in effective], axis=1)
    at = at_kappa(spectrum, kappa)
    learned, missing, weighted = at.learned, at.missing, at.modes

    bias = (missing * problem.learnable) @ missing.swapaxes(1, 2) + problem.unlearnable
    q = weighted @ learned.swapaxes(1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # n - sum m L1 L2 without cancellation: n = sum m L1 + delta1/kappa1, hence it is
        # delta1/kappa1 + sum m L1 (1-L2), a sum of terms that are not negative. Exchanging the ridges gives the same
        # number; their mean makes the matrix symmetric to the last bit.
        ridge_modes = np.where(kappa > 0, effective / kappa, samples[:, None] - weighted.sum(axis=2))
        gap = ridge_modes[:, :, None] + weighted @ missing.swapaxes(1, 2)
        gap = 0.5 * (gap + gap.swapaxes(1, 2))
        q, bias = (0.5 * (a + a.swapaxes(1, 2)) for a in (q, bias))
        total = bias + noise
        coupled = (total > 0) & (samples > 0)[:, None, None]
        if not same_data:
            coupled &= np.eye(len(deltas), dtype=bool)
        excess = bias + np.where(coupled, q / gap * total, 0.0)
        test = np.where(coupled, samples[:, None, None] / gap * total, total)

    return CrossRisk(
        n=samples, ridges=deltas, kappa=frozen(kappa), test_mse=frozen(test), excess_mse=frozen(excess),
        same_data=same_data, noise=noise, power=problem.power, spectrum=spectrum,
    )  # fmt: skip
