"""Gradient descent on finite networks: small, exact about what it minimises, and the same from every start with a seed.

The error is the squared error summed over the outputs and averaged over the rows, without a factor 1/2:

    E = 1/n sum_rows |f(x) - y|^2,        one step: theta <- theta - learning_rate * grad E.

While the tangent kernel K (n x n) stands still, residuals obey r <- (1 - 2 learning_rate K / n) r.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray, real_array, real_number, whole_number
from kernalg.compiled.threads import Share, serial_blas, threads
from kernalg.errors import DomainError
from kernalg.finite.learning_rate import largest_stable_learning_rate
from kernalg.finite.network import ROWS, FiniteNetwork, checked_network
from kernalg.finite.propagation import Pair, forward_pass, parameter_gradients
from kernalg.progress import Report, reporter

Array = NDArray[Any]
# A training error this many times the first one is divergence.
_DIVERGED = 1e4
# Seconds between two reports of progress.
_REPORT_EVERY = 0.5
# Parts that a batch is cut into, at most: each holds gradients of its own.
_PARTS = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrainingRun:
    """What training made, and how it went.

    Attributes
    ----------
    network : FiniteNetwork
        After training.
    initial : FiniteNetwork
        Before it.
    learning_rate : float
    epoch : (records,) array of int
        The epochs of the records: the errors are those after so many passes over the data.
    train_mse, test_mse : (records,) arrays
        Squared error summed over outputs, averaged over rows; NaN without test data.
    train_accuracy, test_accuracy : (records,) arrays
        The fraction of rows put into their class: the largest output for several outputs, the sign for one output with
        targets -1 and 1; NaN when the targets are no classes.
    reached : bool
        Whether the training error came down to `stop`.
    seconds : float
    centered : bool
        Whether what was trained is f - f_0.
    """

    network: FiniteNetwork
    initial: FiniteNetwork
    learning_rate: float
    epoch: NDArray[np.int64]
    train_mse: FloatArray
    test_mse: FloatArray
    train_accuracy: FloatArray
    test_accuracy: FloatArray
    reached: bool
    seconds: float
    centered: bool

    def predict(self, X: Any) -> Array:
        """The trained function on rows of inputs, shape (rows, outputs)."""
        f = self.network.forward(X)
        return f - self.initial.forward(X) if self.centered else f

    def __repr__(self) -> str:
        columns = [
            ("train mse", self.train_mse, ".4g"),
            ("test mse", self.test_mse, ".4g"),
            ("train accuracy", self.train_accuracy, ".1%"),
            ("test accuracy", self.test_accuracy, ".1%"),
        ]
        figures = [f"{name} {format(column[-1], form)}" for name, column, form in columns if not math.isnan(column[-1])]
        return f"<TrainingRun: {self.epoch[-1]} epochs, {self.seconds:.1f} s, {', '.join(figures)}>"


@dataclass(frozen=True, slots=True)
class _Data:
    """Checked inputs, targets, and what centering subtracts; `classes` when an accuracy means something."""

    X: Array
    y: Array
    offset: Array | None
    classes: bool

    def accuracy(self, output: Array) -> float:
        if not self.classes:
            return math.nan
        if self.y.shape[1] == 1:
            return float(np.mean((output > 0) == (self.y > 0)))
        return float(np.mean(output.argmax(axis=1) == self.y.argmax(axis=1)))


def train(
    network: FiniteNetwork,
    X: Any,
    y: Any,
    *,
    learning_rate: float,
    epochs: int,
    stop: float = 0.0,
    test: tuple[Any, Any] | None = None,
    batch: int | None = None,
    seed: int | np.random.Generator = 0,
    centered: bool = False,
    every: int = 1,
    callback: Callable[[int, FiniteNetwork], None] | None = None,
    progress: Report | bool | None = None,
) -> TrainingRun:
    """Gradient descent on the mean squared error 1/n sum |f(x) - y|^2.

    Parameters
    ----------
    network : FiniteNetwork
        Left as it is; the parameters it declares as trained are trained in a copy.
    X : array (rows, inputs)
    y : array (rows,) or (rows, outputs)
        Targets. For a network with several outputs a vector of whole numbers 0 … outputs - 1 stands for classes: the
        target is 1 in the column of the class, else 0.
    learning_rate : float
        `largest_stable_learning_rate` says how large it may be.
    epochs : int
        Passes over the data, at most.
    stop : float
        Training ends when the training error is this or less.
    test : (X, y), optional
        Data whose error and accuracy are recorded.
    batch : int, optional
        Rows of a step, reshuffled by `seed` in every epoch; all rows by default.
    seed : int or numpy.random.Generator
    centered : bool
        Train f - f_0, which starts at zero whatever the network's own start f_0 is.
    every : int
        Epochs between two records; the first and the last are always recorded.
    callback : function of (step, network), optional
        Called before every step and after the last one. The arrays of the network change with the next step: `copy()`
        what is kept.
    progress : bool or callback
        As everywhere: True shows it, None does so on a terminal after two seconds.

    Raises
    ------
    DomainError
        Shapes that do not fit, NaN, labels that are no classes of the network; training that diverged.

    Notes
    -----
    Rows are cut into parts that depend on their number alone, and sums over parts are taken in order: results do not
    depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> from kernalg.finite.network import finite_network
    >>> X = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    >>> f = finite_network(ka.mlp("relu", b_var="1/10"), inputs=2, width=500, seed=0)
    >>> run = train(f, X, X.prod(axis=1), learning_rate=0.2, epochs=500, stop=1e-3)
    >>> run.reached, float(run.train_accuracy[-1])
    (True, 1.0)
    """
    checked_network(network)
    if callback is not None and not callable(callback):
        raise DomainError(f"callback={callback!r}: a function of the step and the network is needed")
    rate = real_number("learning_rate", learning_rate)
    if rate <= 0:
        raise DomainError(f"learning_rate={learning_rate!r}: a positive number is needed")
    epochs, every = whole_number("epochs", epochs, 0), whole_number("every", every, 1)
    limit = real_number("stop", stop, minimum=0.0)
    data = _data(network, X, y, centered, "")
    if test is not None and (not isinstance(test, tuple | list) or len(test) != 2):
        raise DomainError("test is a pair (X, y) of inputs and targets")
    held_out = None if test is None else _data(network, test[0], test[1], centered, "test ")
    rows = len(data.X)
    size = rows if batch is None else whole_number("batch", batch, 1)
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(whole_number("seed", seed, 0))
    if not any(layer.trains_weights or layer.trains_biases for layer in network.layers):
        raise DomainError(f"{network!r} trains nothing; choose what is trained in finite_network(trained=…)")

    report = reporter(progress)
    current = network.copy()
    records: list[tuple[int, float, float, float, float]] = []
    step, first_error = 0, math.inf
    start = last_report = time.monotonic()
    with serial_blas(), threads(size >= 2 * ROWS) as share:
        for epoch in range(epochs + 1):
            whole_batch = size >= rows and epoch < epochs
            output, gradients = _sweep(current, data, slice(None), whole_batch, share)
            error = _mean_squared(output, data.y)
            first_error = min(first_error, max(error, 1.0)) if epoch == 0 else first_error
            if not math.isfinite(error) or error > _DIVERGED * first_error:
                raise _divergence(network, data.X, rate, epoch, error)
            done = epoch == epochs or error <= limit
            if done or epoch % every == 0:
                of_test = (math.nan, math.nan) if held_out is None else _figures(current, held_out, share)
                records.append((epoch, error, of_test[0], data.accuracy(output), of_test[1]))
            if time.monotonic() - last_report > _REPORT_EVERY or done:
                last_report = time.monotonic()
                report(epochs if done else epoch, epochs, f"training, error {error:.3g}")
            if done:
                break
            if whole_batch:
                step = _descend(current, gradients, rate, step, callback)
            else:
                order = rng.permutation(rows)
                for begin in range(0, rows, size):
                    _, gradients = _sweep(current, data, order[begin : begin + size], True, share)
                    step = _descend(current, gradients, rate, step, callback)
    if callback is not None:
        callback(step, current)
    reached, seconds = error <= limit, time.monotonic() - start
    epoch_of, *figures = (np.array(column) for column in zip(*records, strict=True))
    train_mse, test_mse, train_accuracy, test_accuracy = figures
    return TrainingRun(
        current, network, rate, epoch_of, train_mse, test_mse, train_accuracy, test_accuracy, reached, seconds, centered
    )


def _sweep(
    network: FiniteNetwork, data: _Data, rows: Any, with_gradient: bool, share: Share
) -> tuple[Array, list[Pair]]:
    """The (centered) outputs on `rows`, and the gradients of the error, summed over parts in order."""
    X, y = data.X[rows], data.y[rows]
    offset = None if data.offset is None else data.offset[rows]
    count = len(X)
    length = max(ROWS, -(-count // _PARTS))
    parts = range(0, count, length)
    output = np.empty((count, network.outputs), network.dtype)
    gradients: list[list[Pair]] = [[] for _ in parts]

    def work(first: int) -> None:
        part = slice(first, first + length)
        if not with_gradient:
            output[part] = network.forward(X[part])
        else:
            made = forward_pass(network.layers, X[part])
            output[part] = made.output
        if offset is not None:
            output[part] -= offset[part]
        if with_gradient:
            residual = output[part] - y[part]
            residual *= 2 / count
            gradients[first // length] = parameter_gradients(network.layers, made, residual)

    # What diverges overflows; the error tells.
    with np.errstate(over="ignore", invalid="ignore"):
        share(work, parts)
    return output, _summed(gradients) if with_gradient else []


def _summed(parts: list[list[Pair]]) -> list[Pair]:
    total = parts[0]
    for other in parts[1:]:
        for (weights, biases), (more_weights, more_biases) in zip(total, other, strict=True):
            if weights is not None:
                weights += more_weights
            if biases is not None:
                biases += more_biases
    return total


def _descend(
    network: FiniteNetwork, gradients: list[Pair], rate: float, step: int, callback: Callable[..., None] | None
) -> int:
    if callback is not None:
        callback(step, network)
    for layer, (weights, biases) in zip(network.layers, gradients, strict=True):
        if weights is not None:
            weights *= rate
            np.subtract(layer.weights, weights, out=layer.weights)
        if biases is not None:
            biases *= rate
            np.subtract(layer.biases, biases, out=layer.biases)
    return step + 1


def _figures(network: FiniteNetwork, data: _Data, share: Share) -> tuple[float, float]:
    output, _ = _sweep(network, data, slice(None), False, share)
    return _mean_squared(output, data.y), data.accuracy(output)


def _mean_squared(output: Array, y: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sum(np.square(output - y, dtype=np.float64))) / len(y)


def _data(network: FiniteNetwork, X: Any, y: Any, centered: bool, name: str) -> _Data:
    inputs = network.rows(X, f"{name}X")
    targets = real_array(f"{name}y", y)
    outputs = network.outputs
    if targets.ndim == 1 and outputs > 1:
        targets = _one_hot(targets, outputs, f"{name}y")
    if targets.ndim == 1:
        targets = targets[:, None]
    if targets.shape != (len(inputs), outputs):
        raise DomainError(
            f"{name}y has shape {np.shape(y)}; for {len(inputs)} rows and {outputs} output(s) it is "
            f"({len(inputs)},) or ({len(inputs)}, {outputs})"
        )
    if outputs == 1:
        classes = bool(np.isin(targets, (-1, 1)).all())
    else:
        classes = bool(((targets == targets.max(axis=1, keepdims=True)).sum(axis=1) == 1).all())
    with serial_blas():
        offset = network.forward(inputs) if centered else None
    return _Data(inputs, np.ascontiguousarray(targets, network.dtype), offset, classes)


def _one_hot(labels: FloatArray, classes: int, name: str) -> FloatArray:
    bad = (labels != np.floor(labels)) | (labels < 0) | (labels >= classes)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DomainError(
            f"{name}[{i}] is {labels[i]:g}; the labels of a network with {classes} outputs are whole numbers from 0 to "
            f"{classes - 1}, or give targets of shape ({labels.size}, {classes})"
        )
    return np.eye(classes)[labels.astype(np.intp)]


def _divergence(network: FiniteNetwork, X: Array, rate: float, epoch: int, error: float) -> DomainError:
    largest = largest_stable_learning_rate(network, X)
    if rate > largest:
        return DomainError(
            f"training with learning_rate={rate:g} diverged after {epoch} epochs (error {error:.3g}): the largest "
            f"stable rate at initialization is {largest:.4g}; take a half of it or less"
        )
    return DomainError(
        f"training with learning_rate={rate:g} diverged after {epoch} epochs (error {error:.3g}), although the rate is "
        f"stable at initialization (up to {largest:.4g}): the tangent kernel grew in training; take a smaller rate, a "
        "wider network, or normalized inputs"
    )
