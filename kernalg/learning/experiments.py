r"""One experiment in kernel ridge regression: a random training set, and the exact risk of every predictor on it.

With :math:`K=\sum_k\lambda_k\Phi_k` (`kernalg.learning.levels`) and a target :math:`f=\sum_kf_k` whose component in
level k is known at the training points, no test set is needed. For :math:`\hat f=\sum_i\alpha_iK(\cdot,x_i)`

.. math:: E\hat f^2=\alpha^\top G\alpha,\quad G_{ij}=\sum_k\lambda_k^2\Phi_k(x_i,x_j),\qquad
          E\hat ff_k=\lambda_k\sum_i\alpha_if_k(x_i),

the second because :math:`f_k` is an eigenfunction. The learnability of level k is :math:`E\hat ff_k/Ef_k^2`.

The Gaussian-feature model needs no space: :math:`K=\sum_k\lambda_kW_k` where :math:`W_k` is Wishart with as many
degrees of freedom as level k has modes, and :math:`f_k` a standard normal vector that is one of them. It is the model
in which the theory is derived. Unlisted levels are taken in the limit of many small modes: they add `tail` to the
diagonal of K.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernalg.checks import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.learning.levels import Levels, level_sums, random_inputs, values_of
from kernalg.spectrum.empirical import gram_matrix
from kernalg.spectrum.spaces import Hypercube, ProductOfSpheres, Space, Sphere
from kernalg.spectrum.spectrum import Spectrum

# A level of more modes than samples is drawn as one Wishart matrix, up to this number mode by mode.
_MOST_MODES = 20_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A training set of n points and what the risks on it follow from.

    Attributes
    ----------
    gram : (n, n) the kernel.
    values : (n,) the target, without noise.
    eigenvalues : (levels,) of the kernel.
    power : (levels,) of the target.
    total : E f^2, power beyond the levels included.
    components : (levels, n) components of the target in the levels.
    squared : (n, n) the matrix G.
    listed : (n, n) or None; the part of `gram` that the listed levels make, if it is not all of it.
    """

    gram: FloatArray
    values: FloatArray
    eigenvalues: FloatArray
    power: FloatArray
    total: float
    components: FloatArray
    squared: FloatArray
    listed: FloatArray | None = None

    def overlaps(self, alpha: FloatArray) -> FloatArray:
        """E fhat f_k per level."""
        return self.eigenvalues * (self.components @ alpha)

    def risk(self, alpha: FloatArray) -> float:
        """E (fhat - f)^2."""
        return self.cross_risk(alpha, alpha)

    def cross_risk(self, alpha: FloatArray, beta: FloatArray) -> float:
        """E (fhat_alpha - f)(fhat_beta - f)."""
        return float(alpha @ self.squared @ beta) - float(self.overlaps(alpha + beta).sum()) + self.total

    def learnabilities(self, alpha: FloatArray) -> FloatArray:
        """E fhat f_k / E f_k^2 per level; NaN without power."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.power > 0, self.overlaps(alpha) / self.power, np.nan)


@dataclass(frozen=True, slots=True)
class HeldOutSample:
    """A training set for a target known by its values only: the risk is measured on other points."""

    gram: FloatArray
    values: FloatArray
    test_gram: FloatArray
    test_values: FloatArray

    def risk(self, alpha: FloatArray) -> float:
        """Mean of (fhat - f)^2 over the held-out points."""
        return float(((self.test_gram @ alpha - self.test_values) ** 2).mean())

    def learnabilities(self, alpha: FloatArray) -> None:
        """Not known."""


Draw = Callable[[FloatArray, np.random.Generator], tuple[FloatArray, FloatArray | None]]
"""draw(points, rng): a random target's components (levels, n) at points[1:], points[0] being free as a pole; and its
values there if they are more than the sum of the components."""


def zonal_target(levels: Levels, power: FloatArray) -> Draw:
    r"""In every level the function :math:`\Phi_k(\cdot,z)` of a random pole z, scaled to the power of the level."""
    amplitude = _scaled(levels, np.sqrt(power))

    def draw(points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, None]:
        pole = points[:1]
        at_pole = levels.table(pole, pole)[:, 0, 0]
        scale = amplitude / np.sqrt(np.where(amplitude > 0, at_pole, 1.0))
        return scale[:, None] * levels.table(points[1:], pole)[:, :, 0], None

    return draw


# Of the random harmonics; by symmetry any number gives the same mean risk, and two of them no function of one cosine.
_POLES = 16


def random_target(space: Space, levels: Levels, power: FloatArray) -> Draw:
    r"""In every level a sum :math:`\sum_jc_j\Phi_k(\cdot,z_j)` with random poles and normal coefficients, of power
    :math:`c^\top\Phi_k(z,z)c`, scaled to the power of the level."""

    amplitude = _scaled(levels, np.sqrt(power))

    def draw(points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, None]:
        poles = random_inputs(space, _POLES, rng)
        among, towards = levels.table(poles, poles), levels.table(points[1:], poles)
        components = np.zeros((len(power), len(points) - 1))
        for k in np.flatnonzero(power):
            c = rng.standard_normal(_POLES)
            components[k] = amplitude[k] * (towards[k] @ c) / math.sqrt(c @ among[k] @ c)
        return components, None

    return draw


def parity_target(d: int, power: FloatArray) -> Draw:
    """In every level k of the hypercube the product of k random coordinates, scaled to the power of the level."""

    def draw(points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, None]:
        components = np.zeros((len(power), len(points) - 1))
        for k in np.flatnonzero(power):
            chosen = rng.choice(d, size=k, replace=False)
            components[k] = math.sqrt(power[k]) * points[1:, chosen].prod(axis=1)
        return components, None

    return draw


def profile_target(function: Callable[[FloatArray], FloatArray], coefficients: FloatArray, levels: Levels) -> Draw:
    """A function g(rho) of the cosine to a random pole; its coefficients are E[g Z_k] sqrt(N_k)."""
    scale = _scaled(levels, coefficients)

    def draw(points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        pole, X = points[:1], points[1:]
        cosines = np.clip((X @ pole[0]) / X.shape[1], -1, 1)
        return scale[:, None] * levels.table(X, pole)[:, :, 0], function(cosines)

    return draw


def _scaled(levels: Levels, coefficients: FloatArray) -> FloatArray:
    """Times sqrt(N_k), which may exceed float64 where the coefficient is 0."""
    return np.array([c * math.sqrt(m) if c else 0.0 for c, m in zip(coefficients, levels.counts, strict=True)])


def sample_of_space(
    space: Space,
    spectrum: Spectrum,
    kernel: Callable[..., Any],
    levels: Levels,
    power: FloatArray,
    target: Draw,
    n: int,
    rng: np.random.Generator,
) -> Sample:
    """n random points; `power` may have entries beyond the levels, which act as noise of that variance.

    Raises
    ------
    DomainError
        If the spectrum is not that of the kernel on this space.
    """
    points = random_inputs(space, n + 1, rng)
    components, values = target(points, rng)
    weights = np.stack([spectrum.level_power, spectrum.level_power * spectrum.eigenvalues])
    listed, squared = level_sums(levels.table, weights, points[1:], points[1:])
    gram = gram_matrix(kernel, points[1:])
    _check_levels(gram, listed, spectrum, space)
    if values is None:
        values = components.sum(axis=0)
        beyond = float(power[len(levels) :].sum())
        if beyond > 0:
            values = values + math.sqrt(beyond) * rng.standard_normal(n)
    return Sample(
        gram, values, spectrum.eigenvalues, power[: len(levels)], float(power.sum()), components, squared, listed
    )


def held_out_sample(
    space: Space, kernel: Callable[..., Any], function: Callable[[FloatArray], Any], n: int, held_out: int,
    rng: np.random.Generator,
) -> HeldOutSample:  # fmt: skip
    """n random points, and `held_out` others, for a target function of the rows."""
    X, T = random_inputs(space, n, rng), random_inputs(space, held_out, rng)
    cross = real_array("K(X, Y)", kernel(T, X), ndim=2)
    if cross.shape != (held_out, n):
        raise DomainError(f"K(X, Y) has shape {cross.shape} for {held_out} and {n} points: K(X, Y) must be a matrix")
    return HeldOutSample(gram_matrix(kernel, X), values_of(function, X), cross, values_of(function, T))


def gaussian_sample(spectrum: Spectrum, power: FloatArray, n: int, rng: np.random.Generator) -> Sample:
    """n points of the Gaussian-feature model of a spectrum (head of this file)."""
    levels = len(spectrum)
    small = [k for k in range(levels) if spectrum.multiplicities[k] <= n]
    modes = sum(spectrum.multiplicities[k] for k in small)
    if modes > _MOST_MODES:
        raise DomainError(
            f"{modes} modes in levels of at most n = {n}: the Gaussian-feature model is drawn with {_MOST_MODES} modes "
            "at most; list fewer levels, and the trace for the others"
        )
    values = np.maximum(spectrum.eigenvalues, 0.0)
    # The first mode of every level carries the target: the model does not change under rotations within a level.
    first = rng.standard_normal((levels, n))
    others = np.repeat(small, [spectrum.multiplicities[k] - 1 for k in small]).astype(np.intp)
    features = np.vstack([first, rng.standard_normal((len(others), n))])
    scale = np.concatenate([values, values[others]])[:, None]
    gram = features.T @ (scale * features)
    squared = features.T @ (scale**2 * features)
    for k in range(levels):
        if spectrum.multiplicities[k] > n and values[k] > 0:
            wishart = _wishart(spectrum.multiplicities[k] - 1, n, rng)
            gram += values[k] * wishart
            squared += values[k] ** 2 * wishart
    gram[np.diag_indices(n)] += spectrum.tail or 0.0
    components = np.sqrt(power[:levels])[:, None] * first
    labels = components.sum(axis=0)
    beyond = float(power[levels:].sum())
    if beyond > 0:
        labels = labels + math.sqrt(beyond) * rng.standard_normal(n)
    return Sample(gram, labels, values, power[:levels], float(power.sum()), components, squared)


def _wishart(freedom: int, n: int, rng: np.random.Generator) -> FloatArray:
    """A Wishart matrix with `freedom` >= n degrees of freedom, by Bartlett's decomposition."""
    lower = np.tril(rng.standard_normal((n, n)), -1)
    lower[np.diag_indices(n)] = np.sqrt(rng.chisquare(float(freedom) - np.arange(n)))
    matrix: FloatArray = lower @ lower.T
    return matrix


def _check_levels(gram: FloatArray, listed: FloatArray, spectrum: Spectrum, space: Space) -> None:
    """What the levels leave of the kernel must be a kernel again, and have the right trace."""
    rest = gram - listed
    slack = 1e-8 * float(np.abs(gram).max())
    diagonal = np.diagonal(rest)
    allowed = np.sqrt(np.maximum(diagonal, 0.0))
    worst = float((np.abs(rest) - np.outer(allowed, allowed)).max())
    # On the other spaces K(x, x) is not the same everywhere.
    constant = isinstance(space, Sphere | Hypercube | ProductOfSpheres)
    same_trace = spectrum.trace is None or not constant or np.abs(np.diagonal(gram) - spectrum.trace).max() <= slack
    if diagonal.min() < -slack or worst > slack or not same_trace:
        raise DomainError(
            f"the spectrum is not that of this kernel on the {space}: their Gram matrices differ by "
            f"{float(np.abs(rest).max()):.2g}, and by {float(diagonal.min()):.2g} on the diagonal; on a sphere or cube "
            "a kernel takes rows of squared norm d and depends on x.x'/d"
        )


def truncation(sample: Sample, alpha: FloatArray, beyond: int) -> float:
    """What levels beyond the listed ones add to the risk at most; `beyond` is the multiplicity of the first of them.

    Each of them has N lambda <= tail, and its part of G is at most max(lambda) times its part of the kernel.
    """
    if sample.listed is None:
        return 0.0
    rest = sample.gram - sample.listed
    tail = max(float(np.diagonal(rest).mean()), 0.0)
    return tail / beyond * max(float(alpha @ rest @ alpha), 0.0)
