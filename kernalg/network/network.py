"""Networks: layers in sequence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from kernalg.activation.activation import Activation, activation
from kernalg.activation.kernel_map import KernelMap
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense, Layer, layers_from_tree, layers_to_tree

MAX_DEPTH = 10_000


@dataclass(frozen=True)
class Network:
    """A feed-forward network of infinite width; made by `serial` or `mlp`."""

    layers: tuple[Layer, ...]

    @cached_property
    def nngp(self) -> Kernel:
        """The kernel of the Gaussian process that the network is at initialisation."""
        return Kernel(self.layers, "nngp")

    @cached_property
    def ntk(self) -> Kernel:
        """The neural tangent kernel: the inner product of parameter gradients."""
        return Kernel(self.layers, "ntk")

    def to_json(self) -> str:
        return json.dumps({"type": "kernalg.Network", "layers": layers_to_tree(self.layers)})

    @classmethod
    def from_json(cls, text: str) -> Network:
        return serial(*layers_from_tree(read_object(text, "kernalg.Network", ["layers"])["layers"]))

    def __repr__(self) -> str:
        return (
            "serial("
            + ", ".join(repr(layer) if isinstance(layer, Dense) else layer.name for layer in self.layers)
            + ")"
        )


def serial(*layers: Layer | str | sp.Expr) -> Network:
    """Layers one after another.

    An activation must see a Gaussian, so it follows a `Dense` layer. Names and formulas stand for activations.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.serial(ka.Dense(2, "1/10"), "relu", ka.Dense(1, 0)).ntk
    <NTK of serial(Dense(w_var=2, b_var=1/10), relu, Dense(w_var=1, b_var=0))>
    """
    if not layers:
        raise DomainError("serial() needs at least one layer, for instance serial(Dense(2, 0), 'relu', Dense(1, 0))")
    made: list[Layer] = []
    for i, layer in enumerate(layers):
        if isinstance(layer, str | sp.Expr):
            layer = activation(layer)
        if not isinstance(layer, Dense | Activation | KernelMap):
            raise DomainError(f"layer {i} is {layer!r}; a layer is a Dense(...) or an activation (its name or formula)")
        if not isinstance(layer, Dense) and (not made or not isinstance(made[-1], Dense)):
            raise DomainError(
                f"layer {i} ({layer.name}) acts on something that is not Gaussian; put a Dense(w_var, b_var) before it"
            )
        made.append(layer)
    return Network(tuple(made))


def mlp(
    phi: Activation | str | sp.Expr,
    depth: int = 1,
    w_var: Any = 2,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
) -> Network:
    """`depth` times (Dense(w_var, b_var), phi), then Dense(*readout).

    Parameters
    ----------
    phi : activation, name or formula
    depth : int
        Number of hidden layers, 1 to 10000.
    w_var, b_var : exact numbers
        Variances of the hidden layers.
    readout : pair
        Weight and bias variance of the last layer.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.mlp("relu", depth=2).ntk.profile().value(0, digits=20)
    0.68570863628294249174
    """
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or not 1 <= depth <= MAX_DEPTH:
        raise DomainError(f"mlp(depth={depth!r}): the number of hidden layers is an integer from 1 to {MAX_DEPTH}")
    if not isinstance(readout, tuple | list) or len(readout) != 2:
        raise DomainError(f"mlp(readout={readout!r}): give (w_var, b_var) of the last layer")
    phi = activation(phi)
    hidden: list[Layer] = [Dense(w_var, b_var), phi] * int(depth)
    return serial(*hidden, Dense(*readout))
