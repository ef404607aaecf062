"""Learning curves measured by experiment: kernel ridge regression on the sphere with its exact risk, and on data.

How the risk is known exactly is said in `kernalg.learning.experiments`; every space, and the comparison with a
predicted curve, is in `kernalg.learning.simulation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number, real_vector, whole_number
from kernalg.errors import DomainError
from kernalg.learning.estimators import cholesky, solve_with_estimates
from kernalg.learning.experiments import HeldOutSample, Sample, sample_of_space, truncation, zonal_target
from kernalg.learning.levels import levels_of
from kernalg.learning.measured import Measured, MeasuredCurve
from kernalg.progress import Report, reporter
from kernalg.spectrum.empirical import gram_matrix, targets
from kernalg.spectrum.spaces import Sphere
from kernalg.spectrum.spectrum import Spectrum

Progress = Report | bool | None


def kernel_ridge(K_train: ArrayLike, y: ArrayLike, ridge: float) -> FloatArray:
    """Coefficients alpha of kernel ridge regression: (K + ridge I) alpha = y.

    Parameters
    ----------
    K_train : (n, n) array_like
        Gram matrix of the training inputs.
    y : (n,) or (n, outputs) array_like
        Labels.
    ridge : float
        delta, not divided by n. Without ridge a Gram matrix that is singular in float64 is solved in the sense of
        least squares with the smallest norm, which is the limit of ridge -> 0.

    Returns
    -------
    ndarray, of the shape of `y`

    Raises
    ------
    DomainError
        If shapes or values do not fit, or the matrix is not positive semi-definite.

    Examples
    --------
    >>> kernel_ridge([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0], ridge=1.0)
    array([ 0.5, -0.5])
    """
    gram = gram_matrix(K_train)
    n = len(gram)
    labels = targets(y, n)
    ridge = real_number("ridge", ridge, minimum=0.0)
    factor = cholesky(gram, ridge)
    if factor is not None:
        alpha = scipy.linalg.cho_solve(factor, labels)
    else:
        values, vectors = scipy.linalg.eigh(gram + ridge * np.eye(n))
        floor = n * np.finfo(np.float64).eps * float(np.abs(values).max())
        if values[0] < -floor:
            raise DomainError(
                f"K + ridge I has the negative eigenvalue {float(values[0])!r} (ridge {ridge!r}): the kernel is not "
                "positive semi-definite"
            )
        kept = values > floor
        alpha = (vectors[:, kept] / values[kept]) @ (vectors[:, kept].T @ labels)
    return alpha.reshape(np.shape(y))


def measured_curve_on_sphere(
    kernel: Callable[[FloatArray], Any],
    spectrum: Spectrum,
    power: ArrayLike,
    *,
    dimension: int,
    n: int | Iterable[int],
    ridge: float = 0.0,
    noise: float = 0.0,
    draws: int = 10,
    seed: int = 0,
    progress: Progress = None,
) -> MeasuredCurve:
    """Kernel ridge regression on random points of the sphere, with the exact risk of every fit.

    Parameters
    ----------
    kernel : callable
        K(X) -> (n, n) for X of shape (n, dimension) with rows of squared norm `dimension`.
    spectrum : Spectrum
        Of this kernel on this sphere: level k is the degree k. Degrees beyond it are left out of the risk, and
        `truncation` bounds what they would add.
    power : array_like
        Power of the target in each degree; the target is a sum of zonal harmonics about one pole.
    dimension : int
        d of the sphere S^{d-1}.
    n : int or iterable of int
        Numbers of training samples.
    ridge, noise : float
        delta in K + delta I, and variance of the Gaussian label noise.
    draws : int
        Independent training sets per n.
    seed : int
        The result for (n, draw) depends on the seed and on nothing else that is asked.
    progress : callable or bool, optional
        Called as progress(done, total, label); True prints every step to the standard error stream, False nothing.
        By default a terminal is told after two seconds.

    Returns
    -------
    MeasuredCurve
        `test_mse` is on noisy labels, as in `learning_curve`.

    Raises
    ------
    DomainError
        If a value is out of range, or the spectrum is not that of the kernel on this sphere.
    """
    sizes = sample_sizes(n)
    d = whole_number("dimension", dimension, 2)
    ridge, noise = real_number("ridge", ridge, minimum=0.0), real_number("noise", noise, minimum=0.0)
    if not isinstance(spectrum, Spectrum):
        raise DomainError(f"a Spectrum is needed, not {type(spectrum).__name__}")
    space, levels = Sphere(d), levels_of(Sphere(d), len(spectrum) - 1)
    for k, (given, true) in enumerate(zip(spectrum.multiplicities, levels.counts, strict=True)):
        if given != true:
            raise DomainError(f"level {k} of the spectrum has multiplicity {given}, degree {k} on S^{d - 1} has {true}")
    given_power = real_vector("power", power, minimum=0.0)
    if len(given_power) > len(levels):
        raise DomainError(
            f"power has {len(given_power)} degrees, the spectrum {len(levels)}: compute it to a higher degree"
        )
    padded = np.append(given_power, np.zeros(len(levels) - len(given_power)))
    target = zonal_target(levels, padded)
    runs = run_experiments(
        lambda size, rng: sample_of_space(space, spectrum, kernel, levels, padded, target, size, rng),
        sizes, ridge=ridge, noise=noise, draws=draws, seed=seed, beyond=levels.beyond, progress=progress,
    )  # fmt: skip
    return MeasuredCurve(
        n=np.array(sizes, dtype=np.float64),
        test_mse=Measured(runs.test),
        train_mse=Measured(runs.train),
        ridge=ridge,
        noise=noise,
        seed=seed,
        truncation=runs.truncation.max(axis=1),
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Outcomes of experiments, shape (sizes, draws); `learnabilities` (sizes, draws, levels), or None if not known.

    `truncation` is what levels beyond the listed ones add to the risk at most.
    """

    test: FloatArray
    train: FloatArray
    learnabilities: FloatArray | None
    truncation: FloatArray


def run_experiments(
    draw_sample: Callable[[int, np.random.Generator], Sample | HeldOutSample],
    sizes: list[int],
    *,
    ridge: float,
    noise: float,
    draws: int,
    seed: int,
    beyond: int,
    progress: Progress,
) -> Runs:
    """Kernel ridge regression on samples from `draw_sample(n, rng)`, which get labels of variance `noise`.

    The generator of (n, draw) is made of the seed and these two numbers alone. `beyond` as in `truncation`.
    """
    draws = whole_number("draws", draws, 1)
    test, train, bound = (np.zeros((len(sizes), draws)) for _ in range(3))
    learned: list[FloatArray] = []
    report = reporter(progress)
    for row, size in enumerate(sizes):
        for draw in range(draws):
            rng = generator(seed, size, draw)
            sample = draw_sample(size, rng)
            labels = sample.values + noise**0.5 * rng.standard_normal(size)
            alpha = kernel_ridge(sample.gram, labels, ridge)
            test[row, draw] = sample.risk(alpha) + noise
            train[row, draw] = float(((labels - sample.gram @ alpha) ** 2).mean())
            if isinstance(sample, Sample):
                learned.append(sample.learnabilities(alpha))
                bound[row, draw] = truncation(sample, alpha, beyond)
            report(row * draws + draw + 1, len(sizes) * draws, f"n = {size}")
    shaped = np.array(learned).reshape(len(sizes), draws, -1) if learned else None
    return Runs(test, train, shaped, bound)


def measured_curve_on_data(
    K: Callable[..., Any] | ArrayLike,
    X: ArrayLike | None,
    y: ArrayLike,
    *,
    n: int | Iterable[int],
    ridge: float = 0.0,
    draws: int = 10,
    seed: int = 0,
    progress: Progress = None,
) -> MeasuredCurve:
    """Kernel ridge regression on random subsets of a data set, the rest held out.

    Parameters
    ----------
    K : callable or (N, N) array_like
        A kernel, called as K(X), or the Gram matrix of all points.
    X : (N, features) array_like or None
        The points; None if `K` is the matrix.
    y : (N,) or (N, outputs) array_like
        Labels; squared errors are summed over outputs.
    n : int or iterable of int
        Sizes of the training subsets, below N.
    ridge, draws, seed, progress
        As in `measured_curve_on_sphere`.

    Returns
    -------
    MeasuredCurve
        `test_mse` is the held-out error; `loo`, `gcv` and `loo_over_gcv` are estimates from the training subset.

    Raises
    ------
    DomainError
        If values or shapes do not fit, or K + ridge I is singular on a subset.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> curve = measured_curve_on_data(lambda X: np.exp(X @ X.T / 2), X, X[:, 0], n=[20, 40], ridge=0.1, draws=3)
    >>> curve.test_mse.draws.shape
    (2, 3)
    """
    gram = gram_matrix(K, X)
    total = len(gram)
    labels = targets(y, total)
    sizes = sample_sizes(n)
    draws, seed = whole_number("draws", draws, 1), whole_number("seed", seed, 0)
    ridge = real_number("ridge", ridge, minimum=0.0)
    if max(sizes) >= total:
        raise DomainError(f"n = {max(sizes)} of {total} points leaves none to hold out; n must be below {total}")
    results = {name: np.empty((len(sizes), draws)) for name in ("test", "train", "loo", "gcv", "ratio")}
    report = reporter(progress)
    for row, size in enumerate(sizes):
        for draw in range(draws):
            rng = generator(seed, size, draw)
            shuffled = rng.permutation(total)
            chosen, held = shuffled[:size], shuffled[size:]
            alpha, estimates = solve_with_estimates(gram[np.ix_(chosen, chosen)], labels[chosen], ridge)
            misses = labels[held] - gram[np.ix_(held, chosen)] @ alpha
            results["test"][row, draw] = float((misses**2).sum(axis=1).mean())
            results["train"][row, draw] = estimates.train_mse
            results["loo"][row, draw] = estimates.loo
            results["gcv"][row, draw] = estimates.gcv
            results["ratio"][row, draw] = estimates.loo_over_gcv
            report(row * draws + draw + 1, len(sizes) * draws, f"n = {size}")
    return MeasuredCurve(
        n=np.array(sizes, dtype=np.float64),
        test_mse=Measured(results["test"]),
        train_mse=Measured(results["train"]),
        ridge=ridge,
        seed=seed,
        loo=Measured(results["loo"]),
        gcv=Measured(results["gcv"]),
        loo_over_gcv=Measured(results["ratio"]),
    )


def sample_sizes(n: int | Iterable[int]) -> list[int]:
    """`n` as a list of positive integers."""
    sizes = [whole_number("n", size, 1) for size in (n if isinstance(n, Iterable) else [n])]
    if not sizes:
        raise DomainError("n is empty; give at least one number of samples")
    return sizes


def generator(seed: int, n: int, draw: int) -> np.random.Generator:
    """The random numbers of one draw, which depend on these three numbers alone."""
    return np.random.default_rng(np.random.SeedSequence(whole_number("seed", seed, 0), spawn_key=(n, draw)))
