r"""The levels of a space of inputs: random points of it, and the reproducing kernels of its harmonics.

A level is an eigenspace shared by all kernels of a family. With an orthonormal basis :math:`\phi_1,\dots,\phi_N` of it,

.. math:: \Phi_k(x,x')=\sum_{a\le N}\phi_a(x)\,\phi_a(x'),\qquad K=\sum_k\lambda_k\Phi_k,\qquad
          E_z[K(x,z)K(z,x')]=\sum_k\lambda_k^2\Phi_k(x,x'),

and :math:`f\mapsto E_z[\Phi_k(\cdot,z)f(z)]` projects on it. Tables hold :math:`Z_k=\Phi_k/N_k`:

* sphere: :math:`Z_k=P_{k,d}(\rho)`, the zonal polynomial, :math:`\rho` the cosine (kernels of the cosine);
* hypercube: the Krawtchouk polynomial of the cosine with value 1 at 1, :math:`N_k=\binom dk`;
* product of spheres: the products of zonal polynomials, one level per multi-degree;
* Gaussian inputs: :math:`\Phi_k` is the sum of :math:`h_\alpha(x)h_\alpha(x')` over all :math:`|\alpha|=k`, and by
  Mehler's formula in every coordinate, with s = x.x' and q = (|x|^2 + |x'|^2)/2 for variance 1,

  .. math:: \sum_kr^k\Phi_k=(1-r^2)^{-d/2}\exp\frac{rs-r^2q}{1-r^2},\qquad
            k\,\Phi_k=\sum_{m=1}^km\,e_m\Phi_{k-m},\quad e_{odd}=s,\ e_{2j}=\frac d{2j}-q;

* Gaussian inputs of one variance, balls and shells, and a kernel r(x) r(x') f(rho): zonal polynomials times r(x) r(x');
* Gaussian inputs of one variance and the kernel :math:`e^{-|x-x'|^2/2\ell^2}`: its eigenfunctions are the Hermite
  functions :math:`(c/a)^{1/4}e^{-(c-a)x^2}h_k(2\sqrt c\,x)` of every coordinate, with :math:`a=1/4\sigma^2`,
  :math:`b=1/2\ell^2`, :math:`c=\sqrt{a^2+2ab}` (Zhu, Williams, Rohwer & Morciniec 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from kernalg.checks import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.spectrum.spaces import Ball, GaussianInputs, Hypercube, ProductOfSpheres, Space, Sphere

# Entries of a table held at a time.
_TABLE = 2_000_000

LevelTable = Callable[[FloatArray, FloatArray], FloatArray]
"""table(A, B), shape (levels, len(A), len(B)): the values Z_k(a, b) of every level."""


def random_inputs(space: Space, count: int, rng: np.random.Generator) -> FloatArray:
    """`count` independent points of the space, as rows."""
    if isinstance(space, Sphere):
        return _directions(space.d, count, rng)
    if isinstance(space, Hypercube):
        return np.where(rng.integers(0, 2, (count, space.d)), -1.0, 1.0)
    if isinstance(space, GaussianInputs):
        deviations: FloatArray = np.array([math.sqrt(v) for v in space.variances])
        scaled: FloatArray = rng.standard_normal((count, space.d)) * deviations
        return scaled
    if isinstance(space, ProductOfSpheres):
        return np.hstack([_directions(p, count, rng) for p in space.dimensions])
    directions = _directions(space.d, count, rng)
    if isinstance(space, Ball):
        # The volume within radius r is r^d.
        radius: FloatArray = math.sqrt(space.q) * rng.random((count, 1)) ** (1 / space.d)
        return directions * radius
    shell = rng.choice(len(space.q), size=(count, 1), p=[float(w) for w in space.probability])
    scale: FloatArray = np.array([math.sqrt(q) for q in space.q])[shell]
    return directions * scale


def _directions(d: int, count: int, rng: np.random.Generator) -> FloatArray:
    points = rng.standard_normal((count, d))
    points *= math.sqrt(d) / np.linalg.norm(points, axis=1, keepdims=True)
    return points


def values_of(function: Callable[[FloatArray], Any], X: FloatArray) -> FloatArray:
    """The values of a user's function at the rows of X, checked."""
    values = real_array("f(X)", function(X), ndim=1)
    if len(values) != len(X):
        raise DomainError(f"f(X) has shape {values.shape} for X of shape {X.shape}: one number per row is needed")
    return values


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a space up to some degree.

    Attributes
    ----------
    counts : dimension N_k of each.
    parities : 0 for levels of even functions, 1 for odd ones, under x -> -x.
    beyond : dimension of the smallest level of the next degree; 1 if there is none.
    table : the values Z_k (head of this file).
    """

    counts: tuple[int, ...]
    parities: tuple[int, ...]
    beyond: int
    table: LevelTable

    def __len__(self) -> int:
        return len(self.counts)


def levels_of(space: Space, degree: int, kernel: Any = None) -> Levels:
    """The levels of the degrees 0, …, `degree` of a space.

    On Gaussian inputs these are the polynomials of each total degree, or the eigenfunctions of `kernel` if it is a
    Gaussian kernel of distances. In a ball, and on shells, they are the harmonics of the direction. On a product of
    spheres there is one level per multi-degree of sum at most `degree`.

    Raises
    ------
    DomainError
        On Gaussian inputs of several variances, for the levels of a kernel.
    """
    # Imported here: experiments on data need neither the sphere nor the algebra behind its polynomials.
    from kernalg.expansion.zonal import multiplicity, zonal_table

    if isinstance(space, ProductOfSpheres):
        from kernalg.spectrum.product import multi_degrees

        degrees = list(multi_degrees(len(space.dimensions), degree))
        each = [[multiplicity(p, k) for k in range(degree + 2)] for p in space.dimensions]
        return Levels(
            tuple(math.prod(row[k] for row, k in zip(each, r, strict=True)) for r in degrees),
            tuple(sum(r) % 2 for r in degrees),
            min(row[degree + 1] for row in each),
            _product_table(space, degree, degrees),
        )
    table: LevelTable
    counts = [multiplicity(space.d, k) for k in range(degree + 2)] if space.d > 1 else []
    if isinstance(space, Hypercube):
        degree = min(degree, space.d)
        counts = [math.comb(space.d, k) or 1 for k in range(degree + 2)]
        d = space.d

        def table(a: FloatArray, b: FloatArray) -> FloatArray:
            return _krawtchouk_table(degree, d, _cosines(a, b))
    elif isinstance(space, GaussianInputs):
        counts = [math.comb(space.d + k - 1, k) for k in range(degree + 2)]
        table = _gaussian_table(space, counts[:-1], kernel)
    else:
        d = space.d

        def table(a: FloatArray, b: FloatArray) -> FloatArray:
            return zonal_table(degree, d, _cosines(a, b))

    return Levels(tuple(counts[:-1]), tuple(k % 2 for k in range(degree + 1)), counts[-1], table)


def homogeneous_levels(space: Any, degree: int, kernel: Any, trace: float) -> Levels:
    r"""The levels of a kernel r(x) r(x') f(rho) on Gaussian inputs of one variance, in a ball or on shells.

    Its eigenfunctions are the harmonics of the direction times r, normalised: :math:`r(x)^2=K(x,x)/E\,K(x,x)`, and the
    `trace` is that mean. Kernels of networks are of this kind if the activation is homogeneous and there are no biases.
    """
    harmonics = levels_of(Sphere(space.d), degree)

    def radius(x: FloatArray) -> FloatArray:
        values: FloatArray = np.sqrt(real_array("K.diag(X)", kernel.diag(x), ndim=1, minimum=0.0) / trace)
        return values

    return replace(harmonics, table=lambda a, b: harmonics.table(a, b) * np.outer(radius(a), radius(b)))


def degree_of(space: Space, count: int) -> int:
    """The degree up to which a space has `count` levels, or the next larger one."""
    if not isinstance(space, ProductOfSpheres):
        return count - 1
    w, degree = len(space.dimensions), 0
    while math.comb(degree + w, w) < count:
        degree += 1
    return degree


def level_sums(table: LevelTable, weights: FloatArray, A: FloatArray, B: FloatArray) -> FloatArray:
    """The sums over levels of weights[:, k] Z_k(a, b), shape (len(weights), len(A), len(B)), in bounded memory."""
    result = np.empty((len(weights), len(A), len(B)))
    panel = max(1, _TABLE // (weights.shape[1] * len(B)))
    for start in range(0, len(A), panel):
        rows = slice(start, start + panel)
        result[:, rows] = np.tensordot(weights, table(A[rows], B), axes=1)
    return result


def _cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    cosines: FloatArray = np.clip(a @ b.T / norms, -1, 1)
    return cosines


def _product_table(space: ProductOfSpheres, degree: int, degrees: list[tuple[int, ...]]) -> LevelTable:
    from kernalg.expansion.zonal import zonal_table

    ends = np.cumsum([0, *space.dimensions])
    blocks = [slice(first, last) for first, last in pairwise(ends)]

    def table(a: FloatArray, b: FloatArray) -> FloatArray:
        each = [
            zonal_table(degree, p, _cosines(a[:, block], b[:, block]))
            for p, block in zip(space.dimensions, blocks, strict=True)
        ]
        values = np.ones((len(degrees), len(a), len(b)))
        for row, r in zip(values, degrees, strict=True):
            for zonal, k in zip(each, r, strict=True):
                row *= zonal[k]
        return values

    return table


def _gaussian_table(space: GaussianInputs, counts: list[int], kernel: Any) -> LevelTable:
    degree, sizes = len(counts) - 1, np.array([float(m) for m in counts])[:, None, None]
    if not hasattr(kernel, "squared_length"):
        deviations = np.array([math.sqrt(v) for v in space.variances])
        return lambda x, y: _hermite_table(degree, x / deviations, y / deviations) / sizes
    if isinstance(space.variance, tuple):
        raise DomainError(f"{kernel} has levels by degree for coordinates of one variance, and these are {space}")
    a, b = 1 / (4 * float(space.variance)), 1 / (2 * float(kernel.squared_length))
    c = math.sqrt(a * a + 2 * a * b)
    scale = 2 * math.sqrt(c)

    def damping(z: FloatArray) -> FloatArray:
        values: FloatArray = (c / a) ** (space.d / 4) * np.exp(-(c - a) * np.einsum("ij,ij->i", z, z))
        return values

    return lambda x, y: _hermite_table(degree, scale * x, scale * y) / sizes * np.outer(damping(x), damping(y))


def _krawtchouk_table(degree: int, d: int, t: FloatArray) -> FloatArray:
    """Q_0(t), …, Q_degree(t) with Q_k(1) = 1: (d - k) Q_{k+1} = d t Q_k - k Q_{k-1}."""
    table = np.empty((degree + 1, *t.shape))
    table[0] = 1
    if degree:
        table[1] = t
    for k in range(1, degree):
        table[k + 1] = (d * t * table[k] - k * table[k - 1]) / (d - k)
    return table


def _hermite_table(degree: int, x: FloatArray, y: FloatArray) -> FloatArray:
    """The sums of h_alpha(x) h_alpha(y) over |alpha| = 0, …, degree, by the recursion at the head of this file."""
    d = x.shape[1]
    s = x @ y.T
    q = (np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)) / 2
    table = np.empty((degree + 1, *s.shape))
    table[0] = 1
    for k in range(1, degree + 1):
        total = np.zeros_like(s)
        for m in range(1, k + 1):
            total += table[k - m] * (m * s if m % 2 else d - m * q)
        table[k] = total / k
    return table
