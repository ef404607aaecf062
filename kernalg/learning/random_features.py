r"""Predicted learning curves of random feature regression: n samples, k features.

The kernel is estimated by k random features, :math:`\hat K(x,x') = \frac1k\sum_{j\le k} g_j(x) g_j(x')` with
:math:`E\hat K = K`, and used in kernel ridge regression with ridge delta (not divided by n). With the eigenvalues
lambda of multiplicity m of K, two thresholds kappa, gamma solve

.. math:: n = \sum_i m_i L_i + \delta/\kappa, \qquad k = \sum_i m_i L_i + k\kappa/\gamma,
          \qquad L_i = \lambda_i/(\lambda_i+\gamma),

and with :math:`z = \sum m L`, :math:`q = \sum m L^2` the error on noisy labels is

.. math:: E = \frac{\sum_i \left(1 - L_i - \frac{\kappa\lambda_i}{(\lambda_i+\gamma)^2}\frac{k}{k-q}\right) v_i^2
              + \sigma^2}{1 - \frac{q(k-2z) + z^2}{n(k-q)}}.

Source: Simon, Karkada, Ghosh and Belkin (ICLR 2024, "More is better in modern machine learning"); Mei and Montanari
(2022) and Adlam and Pennington (ICML 2020) for the same limits. Infinitely many features give `learning_curve`.

**The form used here has no subtraction.** Let a = k - z, b = z - q, c = n - z: a is :math:`k\kappa/\gamma`,
b is :math:`\sum m L(1-L)`, c is :math:`\delta/\kappa`, none negative. Put q = z-b, k = z+a, n = z+c. Then
:math:`n(k-q) - q(k-2z) - z^2 = (z+c)(a+b) - (z-b)(a-z) - z^2 = ab + ac + bc`, so that

.. math:: E = \frac{n}{c + ab/(a+b)}
          \left(\sum_i \left[(1-L_i)^2 + \frac{b}{a+b} L_i(1-L_i)\right] v_i^2 + \sigma^2\right),

since :math:`k\kappa = a\gamma` turns the bracket of the first form into :math:`(1-L) - \frac{a}{a+b}L(1-L)`. The parts
are the squared bias of the mean predictor, the variance from the choice of features, and, through the factor
:math:`E_0 = n/(c + ab/(a+b))`, that from the choice of samples, where
:math:`E_0 - 1 = (q + b^2/(a+b))/(c + ab/(a+b))` because n - c = z = q + b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_array, real_number
from kernalg.errors import DomainError
from kernalg.learning.kappa import at_kappa
from kernalg.learning.problem import learning_problem
from kernalg.learning.records import equal_by_json, frozen, record_from_json, record_to_json, shown_as_table
from kernalg.learning.sorted_levels import Rest, solve, sorted_levels, upper_shift
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import import_pandas

_PER_POINT = (
    "features", "kappa", "gamma", "overfitting", "test_mse", "excess_mse", "train_mse", "bias", "feature_variance",
    "variance",
)  # fmt: skip


@equal_by_json
@shown_as_table
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RandomFeaturesCurve:
    """What random feature ridge regression is expected to achieve.

    Every array has the shape of `n` and `features` broadcast together; `learnabilities` has one more axis, the levels.

    Attributes
    ----------
    n, features : numbers of samples and of features.
    kappa : threshold of the sampled feature kernel (0 if n exceeds its rank without ridge).
    gamma : threshold of the kernel: eigenvalues above it are learned.
    learnabilities : L_i = lambda_i/(lambda_i + gamma), what the mean predictor has learned of level i.
    overfitting : E_0, the factor on every error from sampling (inf at n = features without ridge).
    test_mse : expected squared error on noisy labels.
    excess_mse : the same without the noise of the test labels, `test_mse - noise`.
    train_mse : expected squared error on the training set, noisy labels.
    bias : squared bias of the mean predictor over samples, noise and features.
    feature_variance : variance, from the choice of features, of the mean predictor over samples and noise.
    variance : the rest, from samples and noise, `excess_mse - bias - feature_variance`.
    ridge, noise, power, spectrum : what was asked; `power` includes the power beyond the listed levels.
    """

    n: FloatArray
    features: FloatArray
    kappa: FloatArray
    gamma: FloatArray
    learnabilities: FloatArray
    overfitting: FloatArray
    test_mse: FloatArray
    excess_mse: FloatArray
    train_mse: FloatArray
    bias: FloatArray
    feature_variance: FloatArray
    variance: FloatArray
    ridge: float
    noise: float
    power: FloatArray
    spectrum: Spectrum

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = ["kappa", "gamma", "overfitting", "bias", "feature_variance", "variance", "test_mse"]
        columns = [[f"{v:.10g}" for v in values.ravel()] for values in (self.n, self.features)]
        columns += [[f"{v:.6g}" for v in getattr(self, name).ravel()] for name in names]
        return ["n", "features", *names], [list(row) for row in zip(*columns, strict=True)]

    def _headline(self) -> str:
        return f"Random features: ridge {self.ridge:g}, noise {self.noise:g}, power {self.power.sum():.6g}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal value (infinities as the string "inf")."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> RandomFeaturesCurve:
        """The RandomFeaturesCurve that `to_json` wrote; DomainError if the text is no such JSON object."""

        def fits(curve: RandomFeaturesCurve) -> bool:
            shape = curve.n.shape
            same = all(getattr(curve, name).shape == shape for name in _PER_POINT)
            return same and curve.learnabilities.shape == (*shape, len(curve.spectrum))

        return record_from_json(cls, text, fits)

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row per (n, features), learnabilities as L0, L1, …; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {name: getattr(self, name).ravel() for name in _PER_POINT if name != "features"}
        columns |= {f"L{i}": self.learnabilities[..., i].ravel() for i in range(self.learnabilities.shape[-1])}
        index = pandas.MultiIndex.from_arrays([self.n.ravel(), self.features.ravel()], names=["n", "features"])
        return pandas.DataFrame(columns, index=index)


def random_features_curve(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: ArrayLike | range,
    features: ArrayLike | range,
    ridge: float = 0.0,
    noise: float = 0.0,
) -> RandomFeaturesCurve:
    """Predict the errors of ridge regression on random features of a kernel.

    Parameters
    ----------
    spectrum, power, noise
        As in `learning_curve`. Levels beyond the spectrum count as unresolved: their trace T adds T/gamma to both
        sums of L, which is the additional ridge of `learning_curve` when there are many features.
    n, features : number, range or array_like
        Numbers of samples and of random features, any reals >= 0, broadcast against each other.
    ridge : float
        delta in K + delta I (not divided by n), where K averages over the features.

    Returns
    -------
    RandomFeaturesCurve

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, if `spectrum` is not a Spectrum, if there is no target power, or if
        `n` and `features` do not broadcast.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> curve = random_features_curve(s, [1.0, 1.0], n=40, features=[20, 40, 10**6], noise=0.1)
    >>> curve.test_mse.round(4)
    array([1.5018,    inf, 0.6916])
    """
    samples, k = _broadcast(n, features)
    problem = learning_problem(spectrum, power, samples.ravel(), noise)
    ridge = real_number("ridge", ridge, minimum=0.0)
    noise, shape = problem.noise, samples.shape
    samples, k = problem.n, k.ravel()
    tail = spectrum.tail or 0.0
    gamma, spare = _solve(spectrum, samples, k, ridge, tail)

    at = at_kappa(spectrum, gamma)
    learned, missing, weighted = at.learned, at.missing, at.modes
    smaller = np.minimum(samples, k)
    some = smaller > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        a, c = spare + (k - smaller), spare + (samples - smaller)
        b = (weighted * missing).sum(axis=1) + np.where(gamma > 0, tail / gamma, 0.0)
        q = (weighted * learned).sum(axis=1)
        share = np.where(a + b > 0, b / (a + b), 0.0)  # what the features leave to chance
        gap = np.where(some, c + a * share, np.inf)
        overfitting = np.where(some, samples / gap, 1.0)
        bias = missing**2 @ problem.learnable + problem.unlearnable
        feature_variance = share * ((learned * missing) @ problem.learnable)
        wrong = bias + feature_variance + noise
        # No error is 0 times infinity at n = rank: the limit from either side is 0.
        variance = np.where(wrong > 0, (q + b * share) / gap * wrong, 0.0)
        test = np.where(wrong > 0, overfitting * wrong, 0.0)
        # As in `learning_curve`, (delta/(n kappa))^2 E with delta/kappa = c; at n = 0 kappa n is trace + ridge.
        trace = spectrum.level_power.sum() + tail
        residual = np.where(samples > 0, c / samples, ridge / (trace + ridge) if trace + ridge > 0 else 1.0)
        residual = np.where(k > 0, residual, 1.0)
        train = np.where(residual > 0, residual * (residual * test), 0.0)
        # kappa = gamma a/k; without features the kernel is 0 and kappa = delta/n.
        kappa = np.where(some, gamma * (a / k), np.where(samples > 0, ridge / samples, np.inf))
    excess = bias + feature_variance + variance

    def shaped(values: FloatArray) -> FloatArray:
        return frozen(values.reshape(shape + values.shape[1:]))

    return RandomFeaturesCurve(
        n=shaped(samples), features=shaped(k), kappa=shaped(kappa), gamma=shaped(gamma),
        learnabilities=shaped(learned), overfitting=shaped(overfitting), test_mse=shaped(test),
        excess_mse=shaped(excess), train_mse=shaped(train), bias=shaped(bias),
        feature_variance=shaped(feature_variance), variance=shaped(variance),
        ridge=ridge, noise=noise, power=problem.power, spectrum=spectrum,
    )  # fmt: skip


def _broadcast(n: ArrayLike | range, features: ArrayLike | range) -> tuple[FloatArray, FloatArray]:
    arrays = [
        np.atleast_1d(real_array(name, np.asarray(given), minimum=0.0))
        for name, given in (("n", n), ("features", features))
    ]
    try:
        samples, k = np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise DomainError(f"n and features have shapes {shapes}, which do not broadcast against each other") from error
    if samples.size == 0:
        raise DomainError("n or features is empty; give at least one number of each")
    return samples, k


def _solve(
    spectrum: Spectrum, n: FloatArray, k: FloatArray, ridge: float, tail: float
) -> tuple[FloatArray, FloatArray]:
    r"""gamma, and s = min(n, k) - z, for vectors n and k.

    The product of the two equations, :math:`(n-z)(k-z) = k\delta/\gamma`, is a quadratic equation for s: with
    p = min(n, k), d = |n - k| and :math:`e = k\delta/\gamma`,

    .. math:: s(s+d) = e, \qquad s = \frac{2e}{d+\sqrt{d^2+4e}}, \qquad z(\gamma) + s(\gamma) = p.

    s falls with gamma, with a logarithmic slope between -1 and -1/2: with the trace T beyond the levels, T/gamma + s is
    a rest as `sorted_levels.solve` wants it.

    gamma is inf at p = 0, and 0 if p >= rank and there is neither ridge nor T.
    """
    levels = sorted_levels(spectrum)
    p = np.minimum(n, k)
    gamma, spare = np.full(len(p), math.inf), np.zeros(len(p))
    beyond = levels.beyond_rank(p)
    interpolates = (beyond >= 0) & (ridge == 0) & (tail == 0) & (p > 0)
    gamma[interpolates] = 0.0
    spare[interpolates] = beyond[interpolates]
    todo = np.flatnonzero((p > 0) & ~interpolates)
    trace = math.fsum(levels.powers) + tail
    for start in range(0, len(todo), levels.block()):
        block = todo[start : start + levels.block()]
        shift = upper_shift(trace + ridge, p[block])
        scaled_ridge, scaled_tail = math.ldexp(ridge, shift), math.ldexp(tail, shift)
        left = _features_left(n[block], k[block], scaled_ridge)

        def rest(at: FloatArray, left: Rest = left, tail: float = scaled_tail) -> tuple[FloatArray, FloatArray]:
            s, slope = left(at)
            return tail / at + s, tail / at + slope

        # z >= p/2 or s >= p/2, and s(s+d) <= n k: hence these ends.
        highest = 2 * (math.ldexp(trace, shift) / p[block]) + 4 * (scaled_ridge / n[block])
        lowest = np.maximum(scaled_ridge / n[block], scaled_tail / p[block])
        scaled, _ = solve(levels.scaled(shift), p[block], rest, lowest, highest)
        spare[block] = left(scaled)[0]
        gamma[block] = np.ldexp(scaled, -shift)
    return gamma, spare


def _features_left(n: FloatArray, k: FloatArray, ridge: float) -> Rest:
    """gamma -> s and -ds/dlog(gamma), every ratio relative to max(n, k) so that none overflows."""
    larger = np.maximum(n, k)
    d, portion = np.abs(n - k) / larger, k / larger

    def features_left(gamma: FloatArray) -> tuple[FloatArray, FloatArray]:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            e = portion * (ridge / gamma)  # k delta/gamma, over max(n, k)
            root = np.sqrt(d * d + 4 * (e / larger))
            return np.where(e > 0, 2 * e / (d + root), 0.0), np.where(e > 0, e / root, 0.0)

    return features_left
