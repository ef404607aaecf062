"""Forward, backward and tangent passes through the layers of a finite network.

With z_l = s_l W_l h_{l-1} + t_l b_l and h_l = phi_l(z_l), and delta_l the gradient of something with respect to z_l:

    gradient to W_l = s_l delta_l h_{l-1}^T,   to b_l = t_l delta_l,   delta_{l-1} = phi'(z_{l-1}) * s_l W_l^T delta_l.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.finite.network import FiniteLayer

Array = NDArray[Any]
Pair = tuple[Array | None, Array | None]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass leaves: the `inputs` h_{l-1} of every layer, the `slopes` phi'(z_l), and the output."""

    inputs: list[Array]
    slopes: list[Array | None]
    output: Array


def lowest_trained(layers: Sequence[FiniteLayer]) -> int:
    """Index of the first layer with trained parameters; the number of layers when there is none."""
    return next((i for i, layer in enumerate(layers) if layer.trains_weights or layer.trains_biases), len(layers))


def forward_pass(layers: Sequence[FiniteLayer], X: Array) -> Pass:
    """Slopes are computed only where a gradient goes through: from the lowest trained layer on."""
    lowest = lowest_trained(layers)
    inputs, slopes, h = [], [], X
    for i, layer in enumerate(layers):
        inputs.append(h)
        z = layer.preactivations(h)
        slope = None
        if layer.pointwise is None:
            h = z
        elif i < lowest:
            h = layer.pointwise.value(z)
        else:
            h, slope = layer.pointwise.value_and_slope(z)
        slopes.append(slope)
    return Pass(inputs, slopes, h)


def backward_pass(layers: Sequence[FiniteLayer], made: Pass, gradient: Array) -> Iterator[tuple[int, Array]]:
    """(l, delta_l) from the last layer down to the lowest trained one; `gradient` is with respect to the output."""
    delta = gradient
    lowest = lowest_trained(layers)
    for i in reversed(range(lowest, len(layers))):
        slope = made.slopes[i]
        if slope is not None:
            delta = delta * slope
        yield i, delta
        if i > lowest:
            delta = delta @ layers[i].weights
            delta *= layers[i].weight_scale


def parameter_gradients(layers: Sequence[FiniteLayer], made: Pass, gradient: Array) -> list[Pair]:
    """Sums over the rows of the gradients to (weights, biases) of every layer; None for what is not trained."""
    found: list[Pair] = [(None, None)] * len(layers)
    for i, delta in backward_pass(layers, made, gradient):
        layer, to_weights, to_biases = layers[i], None, None
        if layer.trains_weights:
            to_weights = delta.T @ made.inputs[i]
            to_weights *= layer.weight_scale
        if layer.trains_biases:
            to_biases = delta.sum(axis=0)
            to_biases *= layer.bias_scale
        found[i] = to_weights, to_biases
    return found


def tangent_pass(layers: Sequence[FiniteLayer], made: Pass, directions: Sequence[Pair]) -> Array:
    """The derivative of the outputs along a change of the parameters: J v."""
    moved: Array | None = None  # the change of h
    for i, (layer, (weights, biases)) in enumerate(zip(layers, directions, strict=True)):
        change = np.zeros((len(made.output), len(layer.weights)), made.output.dtype)
        if moved is not None:
            change += layer.weight_scale * (moved @ layer.weights.T)
        if weights is not None:
            change += layer.weight_scale * (made.inputs[i] @ weights.T)
        if biases is not None:
            change += layer.bias_scale * biases
        slope = made.slopes[i]
        if slope is not None:
            change *= slope
        if i >= lowest_trained(layers):
            moved = change
    return moved if moved is not None else np.zeros_like(made.output)
