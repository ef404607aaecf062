r"""Experiments in the Gaussian-feature model for what is not plain kernel ridge regression.

An input is a vector z of independent standard normal variables, one per mode; :math:`K(z,z')=\sum_i\lambda_iz_iz_i'`
and the target is :math:`\sum_iv_iz_i`. Every risk below is exact for its training set. The results test the
predictions of `kernalg.learning.two_ridges`, `random_features` and `gradient_flow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number, real_vector, whole_number
from kernalg.errors import DomainError
from kernalg.learning.experiments import gaussian_sample
from kernalg.learning.measured import Measured
from kernalg.learning.problem import learning_problem
from kernalg.learning.regression import Progress, generator, kernel_ridge
from kernalg.progress import reporter
from kernalg.spectrum.spectrum import Spectrum


def simulate_two_ridges(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: int,
    ridges: Iterable[tuple[float, float]],
    noise: float = 0.0,
    draws: int = 100,
    seed: int = 0,
    progress: Progress = None,
) -> Measured:
    """E (f1 - y)(f2 - y) of two ridge regressions on the same training set, y a noisy label of a new input.

    Parameters
    ----------
    spectrum, power, noise
        As in `learning_curve`.
    n : int
        Training samples.
    ridges : iterable of pairs
        The two ridges; all pairs see the same training sets.
    draws, seed, progress
        As in `simulate`.

    Returns
    -------
    Measured
        One row per pair.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> simulate_two_ridges(s, [1.0, 1.0], n=20, ridges=[(0.0, 0.1), (0.1, 0.1)], draws=3).draws.shape
    (2, 3)
    """
    pairs = [tuple(real_vector("ridges", pair, minimum=0.0).tolist()) for pair in ridges]
    if any(len(pair) != 2 for pair in pairs):
        raise DomainError(f"ridges={pairs!r}: pairs of two ridges are needed")
    problem = learning_problem(spectrum, power, whole_number("n", n, 1), noise)

    def once(rng: np.random.Generator) -> list[float]:
        sample = gaussian_sample(spectrum, problem.power, n, rng)
        labels = sample.values + problem.noise**0.5 * rng.standard_normal(n)
        alpha = {ridge: kernel_ridge(sample.gram, labels, ridge) for pair in pairs for ridge in pair}
        return [sample.cross_risk(alpha[a], alpha[b]) + problem.noise for a, b in pairs]

    return _repeated(once, n, draws, seed, progress)


def simulate_gradient_flow(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: int,
    times: ArrayLike,
    noise: float = 0.0,
    draws: int = 100,
    seed: int = 0,
    progress: Progress = None,
) -> Measured:
    """Test errors (noisy labels) of kernel gradient flow, d alpha/dt = y - K alpha, stopped at the given times.

    Parameters
    ----------
    times : array_like
        All times see the same training sets. The others are those of `simulate_two_ridges`.

    Returns
    -------
    Measured
        One row per time.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> simulate_gradient_flow(s, [1.0, 1.0], n=20, times=[0.0, 1.0], draws=3).draws[0].round(12)
    array([2., 2., 2.])
    """
    moments = real_vector("times", times, minimum=0.0)
    problem = learning_problem(spectrum, power, whole_number("n", n, 1), noise)

    def once(rng: np.random.Generator) -> list[float]:
        sample = gaussian_sample(spectrum, problem.power, n, rng)
        labels = sample.values + problem.noise**0.5 * rng.standard_normal(n)
        values, vectors = scipy.linalg.eigh(sample.gram)
        along = vectors.T @ labels
        # What K does not see adds nothing to the predictor, however long it is fitted.
        seen = values > n * np.finfo(np.float64).eps * values[-1]
        safe = np.where(seen, values, 1.0)
        factors = [np.where(seen, -np.expm1(-t * safe) / safe, 0.0) for t in moments]
        return [sample.risk(vectors @ (factor * along)) + problem.noise for factor in factors]

    return _repeated(once, n, draws, seed, progress)


def simulate_random_features(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: int,
    features: Iterable[int],
    ridge: float = 0.0,
    noise: float = 0.0,
    draws: int = 100,
    seed: int = 0,
    progress: Progress = None,
) -> Measured:
    r"""Test errors (noisy labels) of ridge regression on random features, K estimated by the mean of k products.

    The features of an input z are :math:`\sum_i\sqrt{\lambda_i}z_iw_{ij}`, j = 1, …, k, with standard normal w.

    Parameters
    ----------
    features : iterable of int
        The numbers k of features. The others are those of `simulate_two_ridges`.

    Returns
    -------
    Measured
        One row per number of features.

    Raises
    ------
    DomainError
        If the spectrum has levels that are not listed: features need every mode.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> simulate_random_features(s, [1.0, 1.0], n=20, features=[10, 100], ridge=0.01, draws=3).draws.shape
    (2, 3)
    """
    counts = [whole_number("features", k, 1) for k in features]
    ridge = real_number("ridge", ridge, minimum=0.0)
    problem = learning_problem(spectrum, power, whole_number("n", n, 1), noise)
    if spectrum.tail or spectrum.rank > 20_000:
        raise DomainError(
            f"random features are drawn mode by mode: all levels must be listed (beyond them is {spectrum.tail}), and "
            f"their rank {spectrum.rank} be at most 20000"
        )
    lengths = list(spectrum.multiplicities)
    roots = np.repeat(np.sqrt(np.maximum(spectrum.eigenvalues, 0.0)), lengths)
    target = np.zeros(len(roots))
    # The power of a level on its first mode: the model does not change under rotations within a level.
    target[np.cumsum([0, *lengths[:-1]])] = np.sqrt(problem.learnable)
    outside = problem.noise + problem.unlearnable

    def once(rng: np.random.Generator) -> list[float]:
        inputs = rng.standard_normal((n, len(roots)))
        labels = inputs @ target + outside**0.5 * rng.standard_normal(n)
        errors = []
        for k in counts:
            weights = roots[:, None] * rng.standard_normal((len(roots), k))
            seen = inputs @ weights
            alpha = kernel_ridge(seen @ seen.T / k, labels, ridge)
            learned = weights @ (seen.T @ alpha) / k
            errors.append(float(((learned - target) ** 2).sum()) + outside)
        return errors

    return _repeated(once, n, draws, seed, progress)


def _repeated(
    once: Callable[[np.random.Generator], list[float]], n: int, draws: int, seed: int, progress: Progress
) -> Measured:
    draws = whole_number("draws", draws, 1)
    report = reporter(progress)
    columns: list[FloatArray] = []
    for draw in range(draws):
        columns.append(np.array(once(generator(seed, n, draw))))
        report(draw + 1, draws, f"n = {n}")
    return Measured(np.stack(columns, axis=1))
