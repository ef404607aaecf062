r"""The tangent kernel of one finite network: exactly J J^T, without the Jacobian J.

A dense layer z = s W h + t b adds, for inputs x and x' and one output, with delta the gradient to z:

    sum over W, b of df(x) df(x') = (delta . delta') (s^2 h . h' + t^2),      s^2 = w_var / fan_in, t^2 = b_var,

products of matrices for all pairs of rows at once. In float64, whatever the arithmetic of the network is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray
from kernalg.compiled.threads import in_order
from kernalg.errors import DomainError
from kernalg.finite.network import FiniteNetwork, checked_network
from kernalg.finite.propagation import Pass, backward_pass, forward_pass, lowest_trained
from kernalg.progress import Report, reporter

# Entries of rows x units that one block of a wide hidden layer holds.
_BLOCK = 2**20
# Entries of an explicit Jacobian, at most.
_JACOBIAN = 2**27
Array = NDArray[Any]


def tangent_kernel(
    network: FiniteNetwork, X: Any, Y: Any = None, *, progress: Report | bool | None = None
) -> FloatArray:
    """The empirical neural tangent kernel: the inner products of the gradients to the trained parameters.

    Averaged over the outputs (the mean of the diagonal blocks, which all have the same limit): for growing widths it
    becomes `net.ntk`.

    Parameters
    ----------
    network : FiniteNetwork
    X, Y : arrays (rows, inputs)
        Without `Y`, the kernel of X with itself, exactly symmetric.
    progress : bool or callback
        True shows it, None does so on a terminal after two seconds.

    Returns
    -------
    (rows of X, rows of Y) float64 array

    Notes
    -----
    One hidden layer of any width is walked in blocks of units, and nothing of size rows x width is held. Otherwise
    the activations and slopes of every layer are. Results do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> from kernalg.finite.network import finite_network
    >>> net, X = ka.mlp("relu"), np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> f = finite_network(net, inputs=2, width=200_000, seed=0)
    >>> bool(abs(tangent_kernel(f, X) - net.ntk(X)).max() < 0.02)
    True
    """
    left, right = _pair(network, X, Y)
    layers = network.astype(np.float64).layers
    if len(layers) == 2 and layers[1].activation is None:
        result = _one_hidden_layer(network, left, right, reporter(progress), tangents=True)
    else:
        from_left = forward_pass(layers, left)
        other = from_left if right is None else forward_pass(layers, right)
        result = _products(network, from_left, other, reporter(progress))
    return (result + result.T) / 2 if right is None else result


def conjugate_kernel(
    network: FiniteNetwork, X: Any, Y: Any = None, *, progress: Report | bool | None = None
) -> FloatArray:
    """The kernel of the readout alone, w_var h.h'/width + b_var with the last hidden features h.

    It is the covariance of the outputs over draws of the readout with the hidden layers fixed, and becomes `net.nngp`
    for growing widths. Arguments and result as for `tangent_kernel`.

    Examples
    --------
    >>> import kernalg as ka
    >>> from kernalg.finite.network import finite_network
    >>> f = finite_network(ka.mlp("relu"), inputs=2, width=100_000, seed=0)
    >>> bool(abs(conjugate_kernel(f, [[1, 1]])[0, 0] - 1) < 0.02)
    True
    """
    left, right = _pair(network, X, Y)
    layers = network.astype(np.float64).layers
    last = layers[-1]
    if last.activation is not None:
        raise DomainError("the network ends with an activation; its conjugate kernel is that of a last Dense layer")
    if len(layers) == 2:
        result = _one_hidden_layer(network, left, right, reporter(progress), tangents=False)
    else:
        h = forward_pass(layers, left).inputs[-1]
        other = h if right is None else forward_pass(layers, right).inputs[-1]
        result = last.w_var / h.shape[1] * _product(h, other) + last.b_var
    return (result + result.T) / 2 if right is None else result


def jacobian(network: FiniteNetwork, X: Any) -> FloatArray:
    """The gradients themselves, shape (rows, outputs, parameters), in the order of `network.parameters()`.

    For small networks: more than 2**27 entries are refused.
    """
    checked_network(network)
    layers = network.astype(np.float64).layers
    inputs = network.rows(X).astype(np.float64)
    rows, outputs, count = len(inputs), network.outputs, network.parameters().size
    if rows * outputs * count > _JACOBIAN:
        raise DomainError(
            f"the Jacobian would have {rows} x {outputs} x {count} entries; tangent_kernel does without it"
        )
    made = forward_pass(layers, inputs)
    result = np.empty((rows, outputs, count))
    for k in range(outputs):
        parts: list[Array] = []
        for i, delta in backward_pass(layers, made, _unit(made, k)):
            layer, own = layers[i], []
            if layer.trains_weights:
                products = layer.weight_scale * delta[:, :, None] * made.inputs[i][:, None, :]
                own.append(products.reshape(rows, -1))
            if layer.trains_biases:
                own.append(layer.bias_scale * delta)
            parts = own + parts
        result[:, k] = np.concatenate(parts, axis=1) if parts else 0
    return result


def _pair(network: FiniteNetwork, X: Any, Y: Any) -> tuple[FloatArray, FloatArray | None]:
    left = checked_network(network).rows(X).astype(np.float64)
    return left, None if Y is None else network.rows(Y, "Y").astype(np.float64)


def _unit(made: Pass, k: int) -> Array:
    gradient = np.zeros_like(made.output)
    gradient[:, k] = 1
    return gradient


def _product(a: Array, b: Array) -> Array:
    """a b^T, in panels of rows shared by threads: the same bits for any number of them."""
    panel = 256
    starts = range(0, len(a), panel)
    return np.concatenate(list(in_order(lambda first: a[first : first + panel] @ b.T, starts)))


def _products(network: FiniteNetwork, left: Pass, right: Pass, report: Report) -> FloatArray:
    layers = network.astype(np.float64).layers
    result = np.zeros((len(left.output), len(right.output)))
    done, total = 0, network.outputs * (len(layers) - lowest_trained(layers))
    for k in range(network.outputs):
        both = zip(
            backward_pass(layers, left, _unit(left, k)),
            backward_pass(layers, right, _unit(right, k)),
            strict=True,
        )
        for (i, delta), (_, other) in both:
            layer = layers[i]
            factor = np.full_like(result, layer.b_var if layer.trains_biases else 0.0)
            if layer.trains_weights:
                factor += layer.weight_scale**2 * _product(left.inputs[i], right.inputs[i])
            # The gradient of output k to the outputs is 1 at k: nothing to multiply in a linear last layer.
            linear = i == len(layers) - 1 and layer.activation is None
            result += factor if linear else factor * _product(delta, other)
            done += 1
            report(done, total, f"tangent kernel, layer {i + 1} of output {k + 1}")
    return result / network.outputs


def _one_hidden_layer(
    network: FiniteNetwork, left: Array, right: Array | None, report: Report, *, tangents: bool
) -> FloatArray:
    """Sums over the hidden units, in blocks of them.

    With h = phi(z), u_i^2 the mean over the outputs of w_var v_i^2 / width, and s^2, t^2 of the first layer:

        Theta = w_var / width * sum_i h_i h_i' + b_var + (s^2 x.x' + t^2) * sum_i u_i^2 phi'(z_i) phi'(z_i').

    Every term only when what it belongs to is trained; the conjugate kernel is the first two.
    """
    first, last = network.layers
    phi = first.pointwise
    width = len(first.weights)
    features = last.trains_weights or not tangents
    slopes = tangents and (first.trains_weights or first.trains_biases)
    rows = len(left) + (0 if right is None else len(right))
    block = max(64, _BLOCK // rows)

    def sums(start: int) -> tuple[Any, Any]:
        part = slice(start, start + block)
        weights, biases = first.weights[part].astype(np.float64), first.biases[part].astype(np.float64)
        readout = last.weights[:, part].astype(np.float64)
        strength = last.weight_scale**2 * np.mean(readout**2, axis=0)
        made = []
        for X in (left,) if right is None else (left, right):
            z = first.weight_scale * (X @ weights.T) + first.bias_scale * biases
            made.append((z, np.ones_like(z)) if phi is None else (phi.value(z), phi.slope(z) if slopes else z))
        (h, slope), (other, other_slope) = made[0], made[-1]
        return (h @ other.T if features else 0.0), ((slope * strength) @ other_slope.T if slopes else 0.0)

    other = left if right is None else right
    shape = len(left), len(other)
    of_features, of_slopes = np.zeros(shape), np.zeros(shape)
    starts = range(0, width, block)
    for done, (products, derivatives) in enumerate(in_order(sums, starts), 1):
        of_features += products
        of_slopes += derivatives
        report(done, len(starts), "blocks of hidden units")
    result = last.weight_scale**2 * of_features + (last.b_var if last.trains_biases or not tangents else 0.0)
    if slopes:
        factor = np.full(shape, first.b_var if first.trains_biases else 0.0)
        if first.trains_weights:
            factor += first.weight_scale**2 * (left @ other.T)
        result += factor * of_slopes
    return result
