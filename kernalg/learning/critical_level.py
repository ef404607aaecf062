r"""One level at its critical number of samples, in closed form; and the plateaus between critical levels.

In high dimension the levels of a spectrum are far apart, and n is comparable to the number N of modes of at most one of
them. Levels of larger eigenvalues are then learned, levels of smaller ones act as ridge, and what remains is one level
of eigenvalue lambda with the ridge :math:`D=\delta+\sum_{\lambda_i<\lambda}m_i\lambda_i`, so that kappa is the positive
root of a quadratic equation,

.. math:: n\kappa^2+(n\lambda-N\lambda-D)\kappa-D\lambda=0,\qquad L=\frac{\lambda}{\lambda+\kappa},\quad
          E_0=\frac{n}{n-NL^2},\quad E=E_0\big((1-L)^2v^2+\sigma^2\big),

where the target's power in the smaller eigenvalues counts as noise. With :math:`\alpha=N/n` and
:math:`\gamma=n\lambda/D` these are two moments of the Marchenko–Pastur law (`marchenko_pastur_moments`), as in Xiao,
Hu, Misiakiewicz, Lu and Pennington (NeurIPS 2022). This is the limit of large dimension, in which modes of larger
eigenvalues are few: against `learning_curve`, which solves for all levels at once, it is off by their share of n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number, whole_number
from kernalg.errors import DomainError, PrecisionError
from kernalg.learning.problem import learning_problem, not_negative
from kernalg.learning.records import equal_by_json, record_from_json, record_to_json, shown_as_table
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import format_integer, import_pandas

_PER_N = ("kappa", "learnability", "overfitting", "bias", "variance", "train_mse", "test_mse")
_NODES = 1 << 20


@equal_by_json
@shown_as_table
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CriticalLevel:
    """Learning curve of one level of equal eigenvalues; arrays have one entry per `n`.

    Attributes
    ----------
    n : number of samples.
    modes, eigenvalue : N and lambda of the level.
    ridge : delta in K + delta I.
    effective_ridge : D, the ridge and the levels of smaller eigenvalues.
    power, noise : of the target in this level; of the labels, with the target's power in smaller eigenvalues.
    kappa, learnability, overfitting : kappa, L and E_0.
    test_mse, bias, variance : the expected squared error on noisy labels is bias + variance + noise.
    train_mse : expected squared error on the training set.
    """

    n: FloatArray
    modes: int
    eigenvalue: float
    ridge: float
    effective_ridge: float
    power: float
    noise: float
    kappa: FloatArray
    learnability: FloatArray
    overfitting: FloatArray
    test_mse: FloatArray
    bias: FloatArray
    variance: FloatArray
    train_mse: FloatArray

    def __len__(self) -> int:
        return len(self.n)

    def _headline(self) -> str:
        return (
            f"Critical level: {format_integer(self.modes)} modes of eigenvalue {self.eigenvalue:.6g}, effective ridge "
            f"{self.effective_ridge:.6g}, power {self.power:.6g}, noise {self.noise:.6g}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = [[f"{v:.6g}" for v in getattr(self, name)] for name in _PER_N]
        return ["n", *_PER_N], [list(row) for row in zip((f"{v:.10g}" for v in self.n), *columns, strict=True)]

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal CriticalLevel."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> CriticalLevel:
        """The CriticalLevel that `to_json` wrote; DomainError if the text is no such JSON object."""
        return record_from_json(cls, text)

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n; MissingExtra without pandas."""
        pandas = import_pandas()
        return pandas.DataFrame({name: getattr(self, name) for name in _PER_N}, index=pandas.Index(self.n, name="n"))


def critical_level(
    modes: int,
    eigenvalue: float,
    *,
    n: ArrayLike | range,
    ridge: float = 0.0,
    tail: float = 0.0,
    power: float = 1.0,
    noise: float = 0.0,
) -> CriticalLevel:
    """The learning curve of one level of `modes` equal eigenvalues, in closed form.

    Parameters
    ----------
    modes : int
        N, the number of modes of the level.
    eigenvalue : float
        Of each of them, positive.
    n : number, range or array_like
        Numbers of samples, any reals >= 0.
    ridge : float
        delta in K + delta I (not divided by n).
    tail : float
        Sum of the smaller eigenvalues, each counted as often as it occurs: they act as ridge.
    power : float
        Target power in the level.
    noise : float
        Variance of the label noise, with the target's power in the smaller eigenvalues.

    Returns
    -------
    CriticalLevel

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, the eigenvalue is zero, or there is no mode.

    Examples
    --------
    >>> level = critical_level(300, 32 / 300, n=[150, 330], tail=1.03)
    >>> (level.overfitting * (1 - level.learnability) ** 2).round(10)
    array([0.50296299, 0.05145842])
    >>> (level.overfitting - 1).round(10)
    array([0.79940026, 2.28796141])
    """
    modes = whole_number("modes", modes, 1)
    samples = not_negative("n", n)
    if len(samples) == 0:
        raise DomainError("n is empty; give at least one number of samples")
    size = real_number("modes", modes)
    eigenvalue = real_number("eigenvalue", eigenvalue, minimum=0.0)
    if eigenvalue == 0:
        raise DomainError("eigenvalue is 0; a level that can be learned has a positive one")
    ridge, tail = real_number("ridge", ridge, minimum=0.0), real_number("tail", tail, minimum=0.0)
    power, noise = real_number("power", power, minimum=0.0), real_number("noise", noise, minimum=0.0)
    collapsed = ridge + tail

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # In units of the larger of lambda and D: n x^2 + b x - r lambda = 0. Of the two forms of the root, the one
        # without subtraction.
        unit = max(eigenvalue, collapsed)
        scaled, r = eigenvalue / unit, collapsed / unit
        b = (samples - size) * scaled - r
        root = np.hypot(b, 2 * np.sqrt(samples) * math.sqrt(r * scaled))
        x = np.where(b > 0, 2 * r * scaled / (b + root), (root - b) / (2 * samples))
        learned, missing = scaled / (scaled + x), np.where(np.isinf(x), 1.0, x / (scaled + x))
        # n - N L^2 as a sum of terms that are not negative; without ridge r/x tends to n - N beyond the level.
        ridge_modes = np.where(x > 0, r / x, samples - size)
        gap = ridge_modes + size * learned * missing
        bias = missing**2 * power
        overfitting = np.where(samples > 0, samples / gap, 1.0)
        test = np.where(bias + noise > 0, overfitting * (bias + noise), 0.0)
        taken = (samples > 0) & (bias + noise > 0)
        variance = np.where(taken, size * learned**2 / gap * (bias + noise), 0.0)
        share = ridge / collapsed if collapsed > 0 else 1.0
        residual = np.where(samples > 0, share * ridge_modes / samples, share * r / (size * scaled + r))
        train = np.where(residual > 0, residual * (residual * test), 0.0)
    values = {"kappa": unit * x, "learnability": learned, "overfitting": overfitting, "test_mse": test,
              "bias": bias, "variance": variance, "train_mse": train}  # fmt: skip
    for array in values.values():
        array.flags.writeable = False
    return CriticalLevel(samples, modes, eigenvalue, ridge, collapsed, power, noise, **values)


def critical_level_of(
    spectrum: Spectrum,
    level: int,
    power: ArrayLike | None = None,
    *,
    n: ArrayLike | range,
    ridge: float = 0.0,
    noise: float = 0.0,
) -> CriticalLevel:
    """`critical_level` for one level of a spectrum: larger eigenvalues count as learned, smaller ones as ridge.

    Parameters
    ----------
    spectrum : Spectrum
        If it knows its trace, the levels beyond it belong to the smaller eigenvalues.
    level : int
        Index of the level (the degree, on a sphere).
    power, n, ridge, noise
        As in `learning_curve`. Power in smaller eigenvalues, and beyond the levels, counts as noise.

    Returns
    -------
    CriticalLevel

    Raises
    ------
    DomainError
        If a number is out of range, or the level is not one of the spectrum with a positive eigenvalue.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01, 1e-5], [1, 50, 1000], trace=1.02)
    >>> critical_level_of(s, 1, [0, 1, 0.5], n=[20, 80], noise=0.1).test_mse.round(4)
    array([1.53  , 1.3568])
    """
    problem = learning_problem(spectrum, power, n, noise)
    level = whole_number("level", level, 0)
    if level >= len(spectrum):
        raise DomainError(f"level={level}: the spectrum has the levels 0 to {len(spectrum) - 1}")
    logs = spectrum.log_eigenvalues
    if logs[level] == -math.inf:
        raise DomainError(f"level {spectrum.label(level)} has eigenvalue 0: it is learned at no number of samples")
    same, smaller = logs == logs[level], logs < logs[level]
    return critical_level(
        sum(m for m, joined in zip(spectrum.multiplicities, same, strict=True) if joined),
        float(spectrum.eigenvalues[level]),
        n=problem.n,
        ridge=ridge,
        tail=float(spectrum.level_power[smaller].sum()) + (spectrum.tail or 0.0),
        power=float(problem.learnable[same].sum()),
        noise=problem.noise + float(problem.learnable[smaller].sum()) + problem.unlearnable,
    )


def marchenko_pastur_moments(alpha: float, gamma: float) -> tuple[float, float]:
    r"""The two factors of a critical level as integrals: a second route to `critical_level`.

    With :math:`\mu_\alpha` the continuous part of the Marchenko–Pastur law, of density
    :math:`\sqrt{(b-x)(x-a)}/(2\pi\alpha x)` on :math:`[a,b]=[(1-\sqrt\alpha)^2,(1+\sqrt\alpha)^2]`,

    .. math:: E_0(1-L)^2=\int\frac{d\mu_\alpha}{(1+\gamma x)^2}+(1-1/\alpha)_+,\qquad
              E_0-1=\alpha\gamma^2\int\frac{x\,d\mu_\alpha}{(1+\gamma x)^2}.

    Parameters
    ----------
    alpha : float
        N/n, positive.
    gamma : float
        n lambda/D, non-negative.

    Returns
    -------
    (float, float)
        The factor on the power of the level, and E_0 - 1, the factor by which noise adds to the error.

    Raises
    ------
    DomainError
        If a number is out of range.
    PrecisionError
        If 2^20 nodes do not give 12 digits (alpha near 1 with large gamma: the integrand is then nearly singular).

    Examples
    --------
    >>> signal, noise = marchenko_pastur_moments(300 / 150, 32 / 1.03 * 150 / 300)
    >>> round(signal, 10), round(noise, 10)
    (0.5029629923, 0.7994002634)
    """
    alpha, gamma = real_number("alpha", alpha, minimum=0.0), real_number("gamma", gamma, minimum=0.0)
    if alpha == 0:
        raise DomainError("alpha is 0; a level has modes")
    atom = max(1 - 1 / alpha, 0.0)

    # x = 1 + alpha + 2 sqrt(alpha) cos t = |1 + sqrt(alpha) e^{it}|^2 turns the law into 2 sin^2 t / (pi x) dt on
    # (0, pi), periodic and analytic: midpoints converge geometrically.
    def signal(x: FloatArray) -> FloatArray:
        return 1 / (1 + gamma * x) ** 2

    def noise(x: FloatArray) -> FloatArray:
        return alpha * gamma**2 * x / (1 + gamma * x) ** 2

    return _integral(signal, alpha) + atom, _integral(noise, alpha)


def _integral(function: Callable[[FloatArray], FloatArray], alpha: float) -> float:
    previous, nodes, change = math.nan, 32, math.inf
    while nodes <= _NODES:
        t = (np.arange(nodes) + 0.5) * (math.pi / nodes)
        x = (1 - math.sqrt(alpha)) ** 2 + 4 * math.sqrt(alpha) * np.cos(t / 2) ** 2
        value = 2 / nodes * math.fsum(np.sin(t) ** 2 / x * function(x))
        change = abs(value - previous)
        if change <= 1e-13 * abs(value):
            return value
        previous, nodes = value, 2 * nodes
    raise PrecisionError(
        f"the Marchenko-Pastur integral at alpha = {alpha!r} changed by {change:.1e} at the last doubling of its "
        f"{_NODES} nodes; critical_level has no such limit"
    )
