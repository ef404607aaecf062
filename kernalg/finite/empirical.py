"""The kernel of real networks of finite width beside its limit, with the errors that theory gives it.

A mean over R networks of width n with one hidden layer has the standard error sqrt(n Var / (n R)), and n Var is known
(`variance`). A *sample* standard error is no substitute where the neurons' terms have heavy tails: it misses the rare
large terms that the mean misses too, and both come out too small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri_exp
from scipy.stats import chi2
from scipy.stats import t as student_t

from kernalg.activation.activation import Activation
from kernalg.checks import FloatArray, real_array, whole_number
from kernalg.errors import DomainError
from kernalg.finite.covariance import tangent_kernel_covariance
from kernalg.finite.network import finite_network
from kernalg.finite.tails import tail_report
from kernalg.finite.tangent import conjugate_kernel, tangent_kernel
from kernalg.finite.variance import (
    Neuron,
    as_neuron,
    check_kind,
    layer_variances,
    neuron_moments,
)
from kernalg.formula import read_object
from kernalg.network.layers import Dense
from kernalg.network.network import Network
from kernalg.progress import Report, reporter

# Entries whose covariance is a matrix worth having.
_MOST_ENTRIES = 2000
# Standard errors are at least this part of the largest entry: rounding.
_ROUNDING = 1e-13
# Directions in which standardised entries vary less than this (relative to the largest) are left out of chi^2.
_NEGLIGIBLE = 1e-8
_SHOWN = 12
# Default widths; a deep network has the square of its width in parameters.
_WIDTHS = {True: 2**14, False: 2**10}

_ARRAYS = ("mean", "target", "standard_error", "sample_standard_error")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EmpiricalKernel:
    """Kernel entries of random networks of finite width, averaged over draws; made by `empirical_ntk`.

    Attributes
    ----------
    mean : (n, m) array
        Over the draws.
    target : (n, m) array
        The kernel at infinite width.
    standard_error : (n, m) array
        Of the mean; what the z-scores use.
    sample_standard_error : (n, m) array or None
        From the scatter of the draws; None for a single one.
    error_kind : {"theoretical", "sample"}
        Where `standard_error` is from: the exact variance for one hidden layer, the scatter of the draws otherwise.
    kind : {"ntk", "nngp"}
    width, draws, seed : int
    name : str
        The network.
    chi_squared, degrees_of_freedom : float and int, or None
        Of all entries together, with their covariance; None when it was not asked for, or is infinite.
    warning : str
        About heavy tails; empty when there is nothing to say.
    """

    mean: FloatArray
    target: FloatArray
    standard_error: FloatArray
    sample_standard_error: FloatArray | None
    error_kind: str
    kind: str
    width: int
    draws: int
    seed: int
    name: str
    chi_squared: float | None = None
    degrees_of_freedom: int | None = None
    warning: str = ""

    @property
    def z(self) -> FloatArray:
        """(mean - target) / standard error, with errors not below rounding.

        With sample errors that ratio has Student's distribution, for few draws with far more large values than the
        normal one: it is turned into the standard normal score that is as rarely exceeded.
        """
        floor = _ROUNDING * float(np.abs(self.target).max())
        ratio = (self.mean - self.target) / np.maximum(self.standard_error, floor or 1.0)
        if self.error_kind != "sample":
            return ratio
        return np.copysign(-ndtri_exp(student_t.logsf(np.abs(ratio), self.draws - 1)), ratio)

    @property
    def p_value(self) -> float | None:
        """Probability of a larger chi^2 than this one, for Gaussian errors."""
        if self.chi_squared is None:
            return None
        return float(chi2.sf(self.chi_squared, self.degrees_of_freedom)) if self.degrees_of_freedom else 1.0

    def agrees(self, limit: float = 4.0) -> bool:
        """Whether every |z| is at most `limit`."""
        return bool((np.abs(self.z) <= limit).all())

    def to_json(self) -> str:
        """Everything as text; infinite errors as the string "inf"."""
        tree: dict[str, Any] = {"type": "kernalg.EmpiricalKernel"}
        for f in fields(self):
            value = getattr(self, f.name)
            tree[f.name] = _listed(value) if isinstance(value, np.ndarray) else value
        return json.dumps(tree, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> EmpiricalKernel:
        tree = read_object(text, "kernalg.EmpiricalKernel", [f.name for f in fields(cls)])
        try:
            values = {f.name: tree[f.name] for f in fields(cls)}
            for name in _ARRAYS:
                if values[name] is not None:
                    values[name] = np.array(values[name], dtype=float)
            made = cls(**values)
            shapes = {getattr(made, name).shape for name in _ARRAYS if getattr(made, name) is not None}
            if len(shapes) != 1 or made.mean.ndim != 2:
                raise ValueError("its arrays have different shapes")
            return made
        except (TypeError, ValueError, AttributeError) as error:
            raise DomainError(f"not the JSON of an EmpiricalKernel, as to_json writes it: {error}") from error

    def __eq__(self, other: object) -> bool:
        return self.to_json() == other.to_json() if isinstance(other, EmpiricalKernel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        rows, columns = self.mean.shape
        lines = [
            f"Empirical {self.kind.upper()} of {self.name}: width {self.width}, {self.draws} draws, seed {self.seed}",
            f"  {rows} x {columns} entries, largest |z| {np.abs(self.z).max():.2f} with {self.error_kind} errors",
        ]
        if self.chi_squared is not None:
            lines.append(
                f"  chi^2 = {self.chi_squared:.2f} for {self.degrees_of_freedom} degrees of freedom "
                f"(p = {self.p_value:.2f})"
            )
        if self.warning:
            lines.append(f"  {self.warning}")
        if self.mean.size <= _SHOWN:
            lines.append(f"  {'entry':>8} {'mean':>12} {'limit':>12} {'error':>10} {'z':>6}")
            for (i, j), mean in np.ndenumerate(self.mean):
                limit, error = self.target[i, j], self.standard_error[i, j]
                lines.append(f"  {f'{i}, {j}':>8} {mean:>12.6g} {limit:>12.6g} {error:>10.3g} {self.z[i, j]:>6.2f}")
        return "\n".join(lines)


def empirical_ntk(
    phi: Any,
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    width: int | None = None,
    draws: int = 16,
    seed: int = 0,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    kind: str = "ntk",
    covariance: bool = False,
    progress: Report | bool | None = None,
) -> EmpiricalKernel:
    """The tangent kernel of random networks of finite width, averaged over draws, beside its limit.

    Parameters
    ----------
    phi : Activation, HermiteSeries, name or formula; or a Network, Design or ActivationFit
        An activation stands for one hidden layer of it. A `Network` of any depth brings its own variances, and so does
        what was designed or fitted.
    X, Y : (n, d) and (m, d) arrays
        Without `Y`, the kernel of X with itself.
    width : int, optional
        Units in every hidden layer: 2^14 for one hidden layer, 2^10 for a deeper network, by default.
    draws, seed : int
        Independent networks, and what they are drawn from.
    w_var, b_var, readout
        Variances of the hidden layer and of the last layer, all of whose parameters are random and trained.
    kind : {"ntk", "nngp"}
        "nngp" is the kernel of the last features: the covariance of the outputs given the hidden layers.
    covariance : bool
        Also chi^2 of all entries together (one hidden layer; entries share the draws, so that they are correlated).
        It supposes Gaussian errors: not for heavy tails.
    progress : bool or callable

    Returns
    -------
    EmpiricalKernel
        With theoretical standard errors for one hidden layer, and sample errors for a deeper network.

    Raises
    ------
    DomainError
        Inputs that are not finite (n, d) arrays, layers that no finite network has, fewer than 2 draws where the error
        is their scatter.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, np.pi, 7)
    >>> X = np.sqrt(2) * np.column_stack([np.cos(t), np.sin(t)])
    >>> found = empirical_ntk("sqrt(2)*sin(sqrt(2)*x + pi/4)", X[:1], X, width=1024, draws=4)
    >>> found.agrees(), found.error_kind
    (True, 'theoretical')
    """
    check_kind(kind)
    whole_number("draws", draws, 1)
    whole_number("seed", seed, 0)
    rows = real_array("X", X, ndim=2)
    others = None if Y is None else real_array("Y", Y, ndim=2)
    for name, array in (("X", rows), ("Y", rows if others is None else others)):
        if not array.size or array.shape[1] != rows.shape[1]:
            raise DomainError(f"{name} has shape {array.shape}; X and Y are (n, d) and (m, d) with n, m, d at least 1")
    layers, name = _layers(phi, w_var, b_var, readout)
    shallow = [isinstance(layer, Dense) for layer in layers] == [True, False, True]
    width = _WIDTHS[shallow] if width is None else whole_number("width", width, 1)
    if not shallow and draws < 2:
        raise DomainError("draws=1: the error of a deep network's kernel is the scatter of draws; take 2 or more")
    if covariance and not shallow:
        raise DomainError("covariance=True: the covariance of entries is known for one hidden layer only")

    mean, scatter = _averaged(layers, rows, others, width, draws, seed, kind, reporter(progress))
    sampled = None if draws == 1 else np.sqrt(scatter / (draws - 1) / draws)
    if not shallow:
        network = Network(tuple(layers))
        target = np.asarray((network.ntk if kind == "ntk" else network.nngp)(rows, others), dtype=float)
        return EmpiricalKernel(mean, target, _given(sampled), sampled, "sample", kind, width, draws, seed, name)

    hidden, neuron, last = layers
    arguments = (hidden.w_var, hidden.b_var, (last.w_var, last.b_var), kind)
    target, variance = _limit_and_variance(neuron, rows, others, *arguments)
    error = np.sqrt(np.maximum(variance, 0) / (width * draws))
    statistic, degrees = None, None
    if covariance and np.isfinite(variance).all():
        statistic, degrees = _chi_squared(neuron, rows, others, mean - target, width * draws, *arguments)
    tails = tail_report(neuron, *arguments, neurons=width * draws)
    warning = tails.reason if tails.heavy else ""
    return EmpiricalKernel(
        mean, target, error, sampled, "theoretical", kind, width, draws, seed, name, statistic, degrees, warning
    )


def _layers(phi: Any, w_var: Any, b_var: Any, readout: Any) -> tuple[list[Any], str]:
    phi = getattr(phi, "network", phi)  # a design, or a fit of a family, brings its network
    if isinstance(phi, Network):
        if layer_variances(w_var, b_var, readout) != (1, 0, 1, 0):
            raise DomainError("a Network brings its own variances; leave out w_var, b_var and readout")
        return list(phi.layers), repr(phi)
    neuron = as_neuron(phi)
    w, b, v, bias = layer_variances(w_var, b_var, readout)
    return [Dense(w, b), neuron, Dense(v, bias)], neuron.name if isinstance(neuron, Activation) else repr(neuron)


def _given(error: FloatArray | None) -> FloatArray:
    if error is None:
        raise DomainError("a sample standard error needs 2 draws or more")
    return error


def _averaged(
    layers: Sequence[Any],
    X: FloatArray,
    Y: FloatArray | None,
    width: int,
    draws: int,
    seed: int,
    kind: str,
    report: Report,
) -> tuple[FloatArray, FloatArray]:
    """Mean over the draws and sum of squared deviations, by Welford's recurrence."""
    kernel = tangent_kernel if kind == "ntk" else conjugate_kernel
    shape = len(X), len(X if Y is None else Y)
    mean, scatter = np.zeros(shape), np.zeros(shape)
    report(0, draws, "networks drawn")
    for i, child in enumerate(np.random.SeedSequence(seed).spawn(draws), start=1):
        drawn = finite_network(layers, inputs=X.shape[1], width=width, seed=np.random.default_rng(child))
        one = kernel(drawn, X, Y)
        step = one - mean
        mean += step / i
        scatter += step * (one - mean)
        report(i, draws, "networks drawn")
    return mean, scatter


def _limit_and_variance(
    phi: Neuron, X: FloatArray, Y: FloatArray | None, w: Any, b: Any, readout: tuple[Any, Any], kind: str
) -> tuple[FloatArray, FloatArray]:
    """The kernel at infinite width and n Var, for all pairs of rows."""
    other = X if Y is None else Y
    w_var, b_var, v_var, c_var = (float(value) for value in (w, b, *readout))
    q1, q2 = (w_var * np.einsum("ij,ij->i", rows, rows) / X.shape[1] + b_var for rows in (X, other))
    mean, variance = neuron_moments(
        phi, q1[:, None], q2[None, :], w_var * (X @ other.T) / X.shape[1] + b_var, v_var, kind
    )
    return mean + c_var, variance


def _chi_squared(
    phi: Neuron,
    X: FloatArray,
    Y: FloatArray | None,
    deviation: FloatArray,
    neurons: int,
    w: Any,
    b: Any,
    readout: tuple[Any, Any],
    kind: str,
) -> tuple[float, int]:
    """Squared length of the standardised deviations in the directions that vary, and how many those are."""
    if Y is None:
        left, right = np.triu_indices(len(X))
        rows, entries = X, deviation[left, right]
    else:
        left, right = (index.ravel() for index in np.indices(deviation.shape))
        rows, entries = np.concatenate([X, Y]), deviation.ravel()
        right = right + len(X)
    if len(entries) > _MOST_ENTRIES:
        raise DomainError(
            f"covariance=True for {len(entries)} entries, and at most {_MOST_ENTRIES} are allowed; give fewer rows"
        )
    found = tangent_kernel_covariance(phi, rows, np.stack([left, right], axis=1), w, b, readout, kind)
    scale = np.sqrt(np.maximum(np.diag(found.matrix), 0))
    varying = scale > 1e-7 * scale.max()
    if not varying.any():
        return 0.0, 0
    scale = scale[varying]
    correlation = found.matrix[np.ix_(varying, varying)] / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(correlation)
    # What the rule does not resolve is no direction to judge by.
    resolved = max(_NEGLIGIBLE, 20 * found.error)
    keep = values > resolved * values[-1]
    parts = vectors[:, keep].T @ (entries[varying] / scale) * math.sqrt(neurons)
    return float((parts**2 / values[keep]).sum()), int(keep.sum())


def _listed(array: FloatArray) -> list[Any]:
    return [[value if math.isfinite(value) else str(value) for value in row] for row in array.tolist()]
