"""n Cov between entries of the empirical kernel: what chi^2 of all entries together needs.

Entries share the networks they are measured on. Inputs of rank one or two leave integrals over one or two Gaussian
directions, done by panels and a polar rule that know the kinks; more directions are sampled, with an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import qmc

from kernalg.checks import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.finite.gauss_panels import gauss_panels
from kernalg.finite.pointwise import pointwise
from kernalg.finite.variance import as_neuron, breakpoints, check_kind, layer_variances

# Nodes of a rule in the plane, and what a random rule consists of.
_MOST_NODES, _SCRAMBLINGS, _SOBOL_BITS = 6_000_000, 16, 13


@dataclass(frozen=True, slots=True)
class KernelCovariance:
    """n Cov between entries of the empirical kernel.

    Attributes
    ----------
    matrix : (m, m) array
    error : float
        Estimated largest error of an entry, from a coarser rule (or the standard error of a random one), relative to
        the product of the two standard deviations.
    method : str
        How the Gaussian integrals were taken.
    """

    matrix: FloatArray
    error: float
    method: str


def tangent_kernel_covariance(
    phi: Any,
    X: ArrayLike,
    pairs: ArrayLike,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    kind: str = "ntk",
    seed: int = 0,
) -> KernelCovariance:
    r"""n Cov of the entries (i, j) of the empirical kernel of one hidden layer: the joint law of its error bars.

    With T = phi(u) phi(v) and S = c phi'(u) phi'(v) for each pair, E over the readout weights gives
    :math:`n\,\mathrm{Cov}_{ab} = V^2(E[(T+S)_a(T+S)_b] + 2E[S_aS_b] - E[T+S]_aE[T+S]_b)`. In two dimensions without
    bias (whenever the pre-activations span a plane) the Gaussian integral is taken in polar coordinates, with the
    angle split where an activation that breaks at 0 does, and refined until it stands still. In more dimensions it is
    a scrambled Sobol' sequence with the standard error of 16 scramblings.

    Parameters
    ----------
    phi : Activation, HermiteSeries, name or formula
    X : (rows, d) array
    pairs : (m, 2) array of integers
        Rows of X whose kernel entries are meant.
    w_var, b_var, readout, kind
        As in `tangent_kernel_variance`.
    seed : int
        Of the Sobol' sequence.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.array([0.0, 0.5, 1.0])
    >>> X = np.sqrt(2) * np.column_stack([np.cos(t), np.sin(t)])
    >>> found = tangent_kernel_covariance("(x**3 - 3*x)/(2*sqrt(6))", X, [[0, 0], [0, 1], [0, 2]])
    >>> found.matrix.shape, round(float(found.matrix[0, 0]), 9), found.error < 1e-9
    ((3, 3), 41.75, True)
    """
    neuron, form = as_neuron(phi), check_kind(kind)
    w, b, v, _ = (float(value) for value in layer_variances(w_var, b_var, readout))
    rows = real_array("X", X, ndim=2)
    index = np.asarray(pairs)
    if index.ndim != 2 or index.shape[1] != 2 or index.dtype.kind not in "iu" or not index.size:
        raise DomainError(f"pairs has shape {index.shape} and dtype {index.dtype}; an (m, 2) array of row numbers")
    if index.min() < 0 or index.max() >= len(rows):
        raise DomainError(f"pairs names row {index.max()} (or a negative one); X has rows 0 to {len(rows) - 1}")
    gram = w * (rows @ rows.T) / rows.shape[1] + b
    values, vectors = np.linalg.eigh(gram)
    keep = values > 1e-12 * values[-1]
    # Pre-activations are factor @ z with z standard; as few components as the rows span.
    factor = vectors[:, keep] * np.sqrt(values[keep])
    fast = pointwise(neuron)

    def moments(z: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E[(T+S)(T+S)' + 2 S S'] and E[T+S] by a rule."""
        total, mean = np.zeros((len(index), len(index))), np.zeros(len(index))
        step = max(1, 4_000_000 // (len(rows) + len(index)))
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, len(weights), step):
                part = slice(first, first + step)
                u = factor @ z[:, part]
                f, g = fast.value_and_slope(u) if form == "ntk" else (fast.value(u), None)
                terms = f[index[:, 0]] * f[index[:, 1]]
                root = np.sqrt(weights[part])
                if g is not None:
                    s = gram[index[:, 0], index[:, 1]][:, None] * g[index[:, 0]] * g[index[:, 1]]
                    terms += s
                    total += 2 * (s * root) @ (s * root).T
                mean += terms @ weights[part]
                total += (terms * root) @ (terms * root).T
        if not np.isfinite(total).all():
            raise DomainError("the covariance is infinite or beyond float64: the activation grows too fast")
        return total, mean

    def covariance(z: FloatArray, weights: FloatArray) -> FloatArray:
        total, mean = moments(z, weights)
        return v**2 * (total - np.outer(mean, mean))

    if factor.shape[1] <= 2:
        return _in_the_plane(covariance, factor, any(t == 0 for t in breakpoints(neuron)))
    return _at_random(covariance, factor.shape[1], seed)


def _in_the_plane(covariance: Callable[..., FloatArray], factor: FloatArray, breaks: bool) -> KernelCovariance:
    plane = np.zeros((len(factor), 2))
    plane[:, : factor.shape[1]] = factor
    edges = np.array([0.0])
    if breaks:  # h_i = 0 on the two rays across row i
        across = np.arctan2(plane[:, 1], plane[:, 0])[:, None] + np.array([math.pi / 2, -math.pi / 2])
        edges = 2 * math.pi * np.unique((across / (2 * math.pi)).round(14) % 1)
    found, error = np.zeros((0, 0)), math.inf
    for size in (1, 2, 4, 8, 16):
        angles, radii = max(4, 64 // len(edges)) * size, 64 * size
        nodes, weights = _polar_rule(edges, angles, radii, 17.0 if size == 1 else 22.0, trapezoidal=not breaks)
        if size > 2 and weights.size > _MOST_NODES:
            break
        before, found = found, covariance(nodes[: factor.shape[1]], weights)
        if size > 1:
            error = _relative(found - before, found)
            if error <= 1e-10:
                break
            error *= 2  # breaks away from 0 are not rays: the error falls slowly, and the last step is half of it
    return KernelCovariance(found, error + 1e-13, "polar coordinates")


def _polar_rule(
    edges: FloatArray, angles: int, radii: int, reach: float, *, trapezoidal: bool
) -> tuple[FloatArray, FloatArray]:
    """Nodes (2, N) and weights of E f(Z) for a standard Gaussian in the plane, `angles` for each arc between edges."""
    if trapezoidal:
        turns, turn_weights = 2 * math.pi * np.arange(angles) / angles, np.full(angles, 1 / angles)
    else:
        starts, ends = edges, np.append(edges[1:], edges[0] + 2 * math.pi)
        turns, turn_weights = gauss_panels(starts, ends, angles)
        turn_weights = turn_weights / (2 * math.pi)
    cuts = np.linspace(0, reach, radii // 16 + 1)
    r, r_weights = gauss_panels(cuts[:-1], cuts[1:], 16)
    r_weights = r_weights * r * np.exp(-(r**2) / 2)
    directions = np.stack([np.cos(turns), np.sin(turns)])
    return (directions[:, :, None] * r).reshape(2, -1), np.outer(turn_weights, r_weights).ravel()


def _relative(errors: FloatArray, matrix: FloatArray) -> float:
    """The largest error of an entry in units of its standard deviations, where those are more than rounding."""
    deviations = np.sqrt(np.maximum(np.diag(matrix), 0))
    real = deviations > 1e-7 * deviations.max()
    scale = np.outer(deviations[real], deviations[real])
    return float((np.abs(errors[np.ix_(real, real)]) / scale).max()) if real.any() else 0.0


def _at_random(covariance: Callable[..., FloatArray], dimension: int, seed: int) -> KernelCovariance:
    found = []
    for child in np.random.SeedSequence(seed).spawn(_SCRAMBLINGS):
        points = qmc.Sobol(dimension, rng=np.random.default_rng(child)).random_base2(_SOBOL_BITS)
        nodes = ndtri(np.clip(points, 2.0**-60, 1 - 2.0**-53)).T
        found.append(covariance(nodes, np.full(nodes.shape[1], 1 / nodes.shape[1])))
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    error = _relative(deviation, mean) / math.sqrt(_SCRAMBLINGS)
    return KernelCovariance(mean, error, f"{_SCRAMBLINGS} scrambled Sobol' sequences")
