r"""What a learning curve is made of: the risk of every mode, and the risk under another distribution of inputs.

The predictor's coefficient in a mode of level i has the mean :math:`L_ic` and the variance :math:`L_i^2E/n`, whatever
the target's coefficient c there; E is the test error on noisy labels. So the mode contributes
:math:`(1-L_i)^2c^2+L_i^2E/n`, and a quadratic form A of the error in the eigenbasis (the risk under a shifted
distribution, of a derivative, of a part of the modes) is expected to be

.. math:: b^\top Ab+\frac En\sum_jA_{jj}L_j^2,\qquad b_j=(1-L_j)c_j .

Sources: Simon, Dickens, Karkada and DeWeese (TMLR 2023), section 4; Canatar, Bordelon and Pehlevan (NeurIPS 2021).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernalg.checks import FloatArray, real_array, real_number, real_vector
from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import LearningCurve
from kernalg.learning.kappa import AtKappa, at_kappa
from kernalg.learning.records import equal_by_json, frozen, record_from_json, record_to_json
from kernalg.spectrum.tables import text_table

# More modes than this are not listed one by one unless their levels are given.
_MANY = 10**7


@equal_by_json
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LevelRisks:
    """The excess error of a learning curve, level by level; shape (len(n), levels) but for `n` and `beyond`.

    Attributes
    ----------
    n : number of samples.
    bias : (1 - L)^2 times the target power in the level.
    variance : m L^2 E/n, from all modes of the level together.
    variance_per_mode : L^2 E/n, the variance of the predictor's coefficient in each mode of the level.
    beyond : target power in no level of the spectrum, never learned.
    """

    n: FloatArray
    bias: FloatArray
    variance: FloatArray
    variance_per_mode: FloatArray
    beyond: float

    @property
    def risk(self) -> FloatArray:
        """bias + variance; its sum over the levels, with `beyond`, is the excess error of the curve."""
        return self.bias + self.variance

    def __repr__(self) -> str:
        levels = [f"level {i}" for i in range(self.bias.shape[1])]
        rows = [[f"{n:.10g}", *(f"{v:.6g}" for v in row)] for n, row in zip(self.n, self.risk, strict=True)]
        beyond = f", and {self.beyond:.6g} of power beyond them" if self.beyond else ""
        return f"Excess error per level (bias + variance){beyond}:\n{text_table(['n', *levels], rows)}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal LevelRisks."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> LevelRisks:
        """The LevelRisks that `to_json` wrote; DomainError if the text is no such JSON object."""
        return record_from_json(cls, text)


@dataclass(frozen=True, slots=True, eq=False)
class ModeRisks:
    """What the predictor is expected to do in single modes; shape (len(n), modes).

    Attributes
    ----------
    coefficients : (modes,) the target's coefficients c.
    mean : L c, the predictor's expected coefficients.
    variance : L^2 E/n, their variance over training sets.
    risk : (1 - L)^2 c^2 + L^2 E/n.
    """

    coefficients: FloatArray
    mean: FloatArray
    variance: FloatArray
    risk: FloatArray


def level_risks(curve: LearningCurve) -> LevelRisks:
    """The excess error of a learning curve, level by level.

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> from kernalg.spectrum.spectrum import Spectrum
    >>> curve = learning_curve(Spectrum([0.5, 0.01], [1, 50]), [1.0, 1.0], n=[10, 40], noise=0.1)
    >>> risks = level_risks(curve)
    >>> risks.risk.round(4)
    array([[0.0939, 0.8403],
           [0.0171, 0.5744]])
    >>> bool(abs(risks.risk.sum(axis=1) - curve.excess_mse).max() < 1e-14)
    True
    """
    at = _at(curve)
    power = curve.power[: len(curve.spectrum)]
    share = _error_per_sample(curve)[:, None]
    with np.errstate(invalid="ignore"):
        # 0 times infinity: n = rank without ridge, where a level of eigenvalue zero is still not learned
        variance = np.where(at.learned > 0, at.modes * at.learned * share, 0.0)
        per_mode = np.where(at.learned > 0, at.learned**2 * share, 0.0)
    return LevelRisks(
        n=curve.n,
        bias=frozen(at.missing**2 * power),
        variance=frozen(variance),
        variance_per_mode=frozen(per_mode),
        beyond=float(curve.power[len(curve.spectrum) :].sum()),
    )


def mode_risks(curve: LearningCurve, coefficients: ArrayLike, levels: Iterable[int] | None = None) -> ModeRisks:
    """What the predictor is expected to do in single modes.

    Parameters
    ----------
    curve : LearningCurve
        Its `power` is that of the whole target.
    coefficients : (modes,) array_like
        The target's coefficients in the modes asked for: orthonormal eigenfunctions.
    levels : (modes,) sequence of int, optional
        The level (its index in the spectrum) of each mode. Without it, all modes of the spectrum are meant, level by
        level.

    Returns
    -------
    ModeRisks

    Raises
    ------
    DomainError
        If lengths do not fit, a level does not exist, or there are more or larger coefficients in a level than it has
        modes and power.

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> from kernalg.spectrum.spectrum import Spectrum
    >>> curve = learning_curve(Spectrum([0.5, 0.01], [1, 50]), [1.0, 0.25], n=20)
    >>> mode_risks(curve, [1.0, 0.5, 0.0], levels=[0, 1, 1]).mean.round(4)
    array([[0.9685, 0.1903, 0.    ]])
    """
    at = _at(curve)
    c, index = _modes(curve, coefficients, levels)
    variance = level_risks(curve).variance_per_mode[:, index]
    return ModeRisks(
        coefficients=c,
        mean=frozen(at.learned[:, index] * c),
        variance=frozen(variance),
        risk=frozen((at.missing[:, index] * c) ** 2 + variance),
    )


def out_of_distribution_risk(
    curve: LearningCurve,
    form: ArrayLike,
    coefficients: ArrayLike | None = None,
    levels: Iterable[int] | None = None,
    *,
    noise: float | None = None,
) -> FloatArray:
    """Expected value of a quadratic form of the error, for a predictor trained as in `curve`.

    Parameters
    ----------
    curve : LearningCurve
    form : (levels,) or (modes, modes) array_like
        A in the eigenbasis of the training distribution. A vector is a diagonal form that is constant on every level
        (ones give back the test error); give one more entry for each entry of `curve.power` beyond the levels. A
        symmetric matrix acts on the modes listed by `coefficients` and `levels`: for another distribution of inputs,
        A_jk = E[phi_j phi_k] under it. Modes that are not listed are left out.
    coefficients, levels
        The modes of a matrix, as in `mode_risks`.
    noise : float, optional
        Variance of the noise on the labels of the test set, which adds to the risk; that of training by default.

    Returns
    -------
    ndarray, one entry per n

    Raises
    ------
    DomainError
        If shapes do not fit, a number is not finite, or the matrix is not symmetric.

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> from kernalg.spectrum.spectrum import Spectrum
    >>> curve = learning_curve(Spectrum([0.5, 0.01], [1, 50]), [1.0, 0.25], n=[10, 40])
    >>> bool(abs(out_of_distribution_risk(curve, [1, 1]) - curve.test_mse).max() < 1e-15)
    True
    >>> out_of_distribution_risk(curve, [[1.0, 0.3], [0.3, 2.0]], [1.0, 0.5], levels=[0, 1]).round(4)
    array([0.383 , 0.0277])
    """
    _at(curve)
    noise = curve.noise if noise is None else real_number("noise", noise, minimum=0.0)
    matrix = real_array("form", form)
    if matrix.ndim == 1:
        if coefficients is not None or levels is not None:
            raise DomainError("form is a vector, one weight per level: coefficients and levels belong to a matrix")
        if len(matrix) != len(curve.power):
            raise DomainError(
                f"form has {len(matrix)} weights; the curve's target has {len(curve.power)} powers, of which "
                f"{len(curve.spectrum)} in levels of the spectrum: give one weight for each"
            )
        risks, count = level_risks(curve), len(curve.spectrum)
        weights, beyond = matrix[:count], float(curve.power[count:] @ matrix[count:])
        # Not `risk @ weights`: a weight 0 leaves out what may be infinite.
        kept = weights != 0
        return np.asarray(risks.risk[:, kept] @ weights[kept] + beyond + noise)
    if coefficients is None:
        raise DomainError("form is a matrix on modes: give their coefficients, and levels unless all modes are meant")
    c, index = _modes(curve, coefficients, levels)
    if matrix.shape != (len(c), len(c)):
        raise DomainError(f"form has shape {matrix.shape}; for {len(c)} coefficients it is ({len(c)}, {len(c)})")
    if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=1e-14 * float(np.abs(matrix).max(initial=0.0))):
        raise DomainError("form is not a symmetric matrix; give (A + A')/2, which is the same form")
    missing = _at(curve).missing[:, index] * c
    diagonal = np.diagonal(matrix)
    kept = diagonal != 0
    variance = level_risks(curve).variance_per_mode[:, index[kept]] @ diagonal[kept]
    return np.asarray(np.einsum("ij,jk,ik->i", missing, matrix, missing) + variance + noise)


def _at(curve: LearningCurve) -> AtKappa:
    if not isinstance(curve, LearningCurve):
        raise DomainError(f"a LearningCurve is needed, not {type(curve).__name__}: see learning_curve")
    return at_kappa(curve.spectrum, curve.kappa)


def _error_per_sample(curve: LearningCurve) -> FloatArray:
    """E/n, and 0 without samples: nothing is learned then, and nothing varies."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(curve.n > 0, curve.test_mse / curve.n, 0.0)


def _modes(
    curve: LearningCurve, coefficients: ArrayLike, levels: Iterable[int] | None
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Checked coefficients, and the level of each."""
    c = real_vector("coefficients", coefficients)
    spectrum = curve.spectrum
    if levels is None:
        total = sum(spectrum.multiplicities)
        if len(c) != total or total > _MANY:
            raise DomainError(
                f"{len(c)} coefficients for the {total} modes of the spectrum: give all of them, or the levels they "
                "belong to"
            )
        levels = chain.from_iterable(repeat(i, m) for i, m in enumerate(spectrum.multiplicities))
    try:
        index = np.array([operator.index(level) for level in levels], dtype=np.intp)
    except TypeError as error:
        raise DomainError(f"levels holds a value that is not an integer: {error}") from error
    if len(index) != len(c):
        raise DomainError(f"{len(index)} levels for {len(c)} coefficients: give the level of each")
    for level in set(index.tolist()):
        if not 0 <= level < len(spectrum):
            raise DomainError(f"level {level} does not exist: the spectrum has the levels 0 to {len(spectrum) - 1}")
        here = c[index == level]
        if len(here) > spectrum.multiplicities[level]:
            raise DomainError(
                f"{len(here)} coefficients in level {spectrum.label(level)} of {spectrum.multiplicities[level]} modes"
            )
        power, allowed = math.fsum(here**2), float(curve.power[level])
        if power > allowed * (1 + 1e-9):
            raise DomainError(
                f"the coefficients in level {spectrum.label(level)} have power {power!r}, more than the target's "
                f"{allowed!r} there: make the curve with the power of this target"
            )
    return c, index
