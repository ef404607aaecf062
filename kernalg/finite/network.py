"""A network of finite width: the same layers, with parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.activation.kernel_map import KernelMap
from kernalg.checks import real_array, whole_number
from kernalg.errors import DomainError
from kernalg.finite.pointwise import ActivationLike, Pointwise, pointwise
from kernalg.network.layers import Dense
from kernalg.network.network import Network

Array = NDArray[Any]
Trained = str | Sequence[tuple[bool, bool]]

# Rows whose pre-activations are held at a time: half a megabyte at width 512 in float32, which stays in cache.
ROWS = 256
# Normal numbers drawn at a time.
_DRAW = 2**20
# Parameters of a network, at most: 16 GB in float64.
_MOST = 2**31
_CHOICES = ("all", "readout", "hidden", "all but hidden biases")


@dataclass(frozen=True, slots=True, eq=False)
class FiniteLayer:
    """z = weight_scale W h + bias_scale b, then the activation, if there is one.

    Attributes
    ----------
    weights : (fan_out, fan_in) array, biases : (fan_out,) array
        Standard normal at initialisation.
    w_var, b_var : float
    activation : ActivationLike or None
    trains_weights, trains_biases : bool
    """

    weights: Array
    biases: Array
    w_var: float
    b_var: float
    activation: ActivationLike | None
    trains_weights: bool
    trains_biases: bool

    @property
    def weight_scale(self) -> float:
        """sqrt(w_var / fan_in)."""
        return math.sqrt(self.w_var / self.weights.shape[1])

    @property
    def bias_scale(self) -> float:
        """sqrt(b_var)."""
        return math.sqrt(self.b_var)

    @property
    def pointwise(self) -> Pointwise | None:
        """The activation as fast functions."""
        return None if self.activation is None else pointwise(self.activation)

    def preactivations(self, h: Array) -> Array:
        """z of the rows of `h`."""
        z = h @ self.weights.T
        z *= self.weight_scale
        if self.b_var:
            z += self.bias_scale * self.biases
        return z


@dataclass(frozen=True, slots=True, eq=False)
class FiniteNetwork:
    """A fully connected network with parameters; made by `finite_network`.

    Attributes
    ----------
    layers : tuple of FiniteLayer
    architecture : Network or tuple of layers
        What it is a finite version of.
    trained : str or tuple of (bool, bool)
        Which parameters are trained: for all, or (weights, biases) per layer. Tangent kernels and training follow it.
    """

    layers: tuple[FiniteLayer, ...]
    architecture: Any
    trained: Trained

    @property
    def inputs(self) -> int:
        """Dimension of the inputs."""
        return self.layers[0].weights.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.layers[-1].weights.shape[0]

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of units of the hidden layers."""
        return tuple(layer.weights.shape[0] for layer in self.layers[:-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 or float32."""
        return self.layers[0].weights.dtype

    @property
    def parameter_count(self) -> int:
        """How many parameters the function depends on (biases of variance 0 are not counted)."""
        return sum(
            (layer.weights.size if layer.w_var else 0) + (layer.biases.size if layer.b_var else 0)
            for layer in self.layers
        )

    def forward(self, X: Any) -> Array:
        """The outputs, shape (rows, outputs).

        Examples
        --------
        >>> import kernalg as ka
        >>> f = finite_network(ka.mlp("relu"), inputs=3, width=100, seed=0)
        >>> f.forward([[1, 1, 1], [0, 0, 0]]).shape, float(f.forward([[0, 0, 0]])[0, 0])
        ((2, 1), 0.0)
        """
        X = self.rows(X)
        out = np.empty((len(X), self.outputs), self.dtype)
        for first in range(0, len(X), ROWS):
            h = X[first : first + ROWS]
            for layer in self.layers:
                z = layer.preactivations(h)
                h = z if layer.pointwise is None else layer.pointwise.value(z)
            out[first : first + ROWS] = h
        return out

    def rows(self, X: Any, name: str = "X") -> Array:
        """`X` as an array (rows, inputs) of the network's type; DomainError for another shape, NaN, no numbers."""
        given = real_array(name, X, ndim=2)
        if given.shape[1] != self.inputs or not len(given):
            raise DomainError(
                f"{name} has shape {given.shape}; this network takes rows of {self.inputs} numbers, at least one row"
            )
        return np.ascontiguousarray(given, self.dtype)

    def parameters(self) -> Array:
        """The trained parameters as one vector: for each layer its weights (row by row), then its biases."""
        return np.concatenate([array.ravel() for array in self._trained_arrays()] or [np.empty(0, self.dtype)])

    def with_parameters(self, vector: Any) -> FiniteNetwork:
        """The same network with other values of the trained parameters, in the order of `parameters()`."""
        given = real_array("the parameters", vector, ndim=1).astype(self.dtype)
        sizes = [array.size for array in self._trained_arrays()]
        if given.size != sum(sizes):
            raise DomainError(f"{given.size} parameters given; this network trains {sum(sizes)}")
        parts = iter(np.split(given, np.cumsum(sizes)[:-1]) if sizes else [])
        return self._mapped(lambda array, trained: next(parts).reshape(array.shape) if trained else array)

    def copy(self) -> FiniteNetwork:
        """With parameter arrays of its own."""
        return self._mapped(lambda array, trained: array.copy())

    def astype(self, dtype: Any) -> FiniteNetwork:
        """The same parameters in another arithmetic (the same arrays, when it is their own)."""
        kind = _arithmetic(dtype)
        return self._mapped(lambda array, trained: array.astype(kind, copy=False))

    def _trained_arrays(self) -> list[Array]:
        return [
            array
            for layer in self.layers
            for array, trained in ((layer.weights, layer.trains_weights), (layer.biases, layer.trains_biases))
            if trained
        ]

    def _mapped(self, change: Any) -> FiniteNetwork:
        layers = []
        for layer in self.layers:
            weights = change(layer.weights, layer.trains_weights)
            layers.append(replace(layer, weights=weights, biases=change(layer.biases, layer.trains_biases)))
        return replace(self, layers=tuple(layers))

    def __repr__(self) -> str:
        units = " → ".join(str(n) for n in (self.inputs, *self.widths, self.outputs))
        trained = "" if self.trained == "all" else f", trained: {self.trained}"
        return f"<FiniteNetwork {units}, {self.parameter_count} parameters, {self.dtype}{trained}>"


def finite_network(
    net: Network | Sequence[Dense | ActivationLike],
    *,
    inputs: int,
    width: int | Sequence[int],
    outputs: int = 1,
    trained: Trained = "all",
    seed: int | np.random.Generator = 0,
    dtype: Any = np.float64,
) -> FiniteNetwork:
    """A network of finite width, with parameters drawn from N(0, 1).

    The NTK parameterisation: z = sqrt(w_var / fan_in) W h + sqrt(b_var) b in every dense layer, so that for growing
    widths its function becomes the Gaussian process of `net.nngp`, and its tangent kernel `net.ntk`.

    Parameters
    ----------
    net : Network, or a sequence of Dense layers and activations
        Fully connected: dense layers, each with at most one activation after it. An activation is any function of
        arrays with a method `derivative()` (`ka.Activation` is one).
    inputs : int
        Dimension d of the inputs.
    width : int or sequence of ints
        Units of every hidden layer, or of each.
    outputs : int
    trained : str or sequence of (bool, bool)
        "all"; "readout": the last layer alone; "hidden": all but the last layer; "all but hidden biases"; or, for
        every dense layer, whether its weights and its biases are trained. (Biases of variance 0 have no effect.)
    seed : int or numpy.random.Generator
        The parameters are drawn layer by layer, weights row by row, then biases; the same in both arithmetics.
    dtype : float64 or float32

    Raises
    ------
    DomainError
        Another kind of layer; widths that do not fit the layers.

    Examples
    --------
    >>> import kernalg as ka
    >>> finite_network(ka.mlp("relu", depth=2, b_var="1/10"), inputs=3, width=(64, 32), seed=1)
    <FiniteNetwork 3 → 64 → 32 → 1, 2368 parameters, float64>
    """
    net = getattr(net, "network", net)  # a design, or a fit of a family, brings its network
    steps = _steps(net)
    kind = _arithmetic(dtype)
    widths = _widths(width, len(steps) - 1)
    sizes = [whole_number("inputs", inputs, 1), *widths, whole_number("outputs", outputs, 1)]
    _refuse_huge(sizes, kind)
    choice = _choice(trained, len(steps))
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(whole_number("seed", seed, 0))
    layers = []
    for i, (dense, phi) in enumerate(steps):
        weights = _normal(rng, sizes[i + 1] * sizes[i], kind).reshape(sizes[i + 1], sizes[i])
        biases = _normal(rng, sizes[i + 1], kind)
        w_var, b_var = _variance(dense.w_var), _variance(dense.b_var)
        of_weights, of_biases = choice[i]
        layers.append(
            FiniteLayer(weights, biases, w_var, b_var, phi, of_weights and w_var > 0, of_biases and b_var > 0)
        )
    named = trained if isinstance(trained, str) else choice
    return FiniteNetwork(tuple(layers), net if isinstance(net, Network) else tuple(net), named)


def _refuse_huge(sizes: list[int], kind: Any) -> None:
    count = sum(above * (below + 1) for below, above in pairwise(sizes))
    if count > _MOST:
        gigabytes = count * np.dtype(kind).itemsize / 2**30
        raise DomainError(
            f"a network of the sizes {' → '.join(map(str, sizes))} has {count:.3g} parameters ({gigabytes:.3g} GB), "
            f"and at most {_MOST} are drawn; take a smaller width"
        )


def _steps(net: Any) -> list[tuple[Dense, ActivationLike | None]]:
    """Dense layers, each with the activation that follows."""
    if not isinstance(net, Network | tuple | list) or (isinstance(net, tuple | list) and not net):
        raise DomainError(
            f"finite_network({str(net).splitlines()[0]!r}): give a Network (ka.mlp, ka.serial), a design, or layers"
        )
    steps: list[tuple[Dense, ActivationLike | None]] = []
    for i, layer in enumerate(net.layers if isinstance(net, Network) else net):
        if isinstance(layer, Dense):
            steps.append((layer, None))
            continue
        if isinstance(layer, KernelMap):
            raise DomainError(
                f"layer {i} ({layer.name}) is a map of kernels, known only at infinite width: a network of finite "
                "width needs an activation (ka.design finds one with that kernel)"
            )
        if not callable(layer) or not callable(getattr(layer, "derivative", None)):
            raise DomainError(
                f"layer {i} is {layer!r}; networks of finite width are made of Dense layers and activations (functions "
                "of arrays with a method derivative())"
            )
        if not steps or steps[-1][1] is not None:
            raise DomainError(f"layer {i} ({layer!r}) follows no Dense layer; put a Dense(w_var, b_var) before it")
        if getattr(layer, "parameters", ()):
            raise DomainError(f"layer {i} ({layer!r}) has free parameters; give them values before a network is drawn")
        steps[-1] = (steps[-1][0], layer)
    return steps


def _variance(value: Any) -> float:
    if value.free_symbols:
        raise DomainError(f"a variance is {value}; give the symbols values before a network is drawn")
    return float(value)


def _widths(width: Any, hidden: int) -> list[int]:
    if isinstance(width, tuple | list):
        if len(width) != hidden:
            raise DomainError(f"{len(width)} widths given for {hidden} hidden layers; give one width, or one for each")
        return [whole_number(f"width[{i}]", n, 1) for i, n in enumerate(width)]
    return [whole_number("width", width, 1)] * hidden


def _choice(trained: Any, count: int) -> tuple[tuple[bool, bool], ...]:
    if isinstance(trained, str):
        named = {
            "all": [(True, True)] * count,
            "readout": [(False, False)] * (count - 1) + [(True, True)],
            "hidden": [(True, True)] * (count - 1) + [(False, False)],
            "all but hidden biases": [(True, False)] * (count - 1) + [(True, True)],
        }
        if trained in named:
            return tuple(named[trained])
    elif isinstance(trained, tuple | list) and len(trained) == count:
        pairs = [tuple(pair) if isinstance(pair, tuple | list) else () for pair in trained]
        if all(len(pair) == 2 and all(isinstance(flag, bool) for flag in pair) for pair in pairs):
            return tuple((weights, biases) for weights, biases in pairs)
    choices = ", ".join(f'"{name}"' for name in _CHOICES)
    raise DomainError(
        f"trained={trained!r}: one of {choices}, or a pair (weights, biases) of booleans for each of the {count} "
        "dense layers"
    )


def checked_network(network: Any) -> FiniteNetwork:
    """`network`, if it is one of finite width."""
    if not isinstance(network, FiniteNetwork):
        raise DomainError(
            f"{network!r} is no network of finite width: draw one with finite_network(net, inputs=…, width=…)"
        )
    return network


def _arithmetic(dtype: Any) -> Any:
    if isinstance(dtype, type | str | np.dtype) and dtype in (np.float64, np.float32, "float64", "float32"):
        return np.dtype(dtype).type
    raise DomainError(f"dtype={dtype!r}: float64 or float32 is needed")


def _normal(rng: np.random.Generator, count: int, kind: Any) -> Array:
    """Drawn in float64 piece by piece: float32 networks get the same numbers, rounded."""
    drawn = np.empty(count, kind)
    for first in range(0, count, _DRAW):
        part = drawn[first : first + _DRAW]
        part[...] = rng.standard_normal(part.size)
    return drawn
