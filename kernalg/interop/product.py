"""Products of Gram matrices with vectors, by jobs that continue after an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kernalg.compiled.inputs import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.interop.blocks import (
    SIDE,
    AnyKernel,
    BlockKernel,
    Rows,
    checked_kernel,
    checked_pair,
    checked_side,
    checksum,
    described,
    place,
    prepare,
)
from kernalg.interop.cluster import Submit, alone, results, scatter
from kernalg.interop.estimate import Estimate
from kernalg.interop.stores import finished, open_job, record
from kernalg.progress import Report

# Of a product of X with itself. A store holds as many vectors of the length of the result.
_MOST_PARTS = 128


def gram_matvec(
    K: AnyKernel,
    X: Any,
    v: Any,
    Y: Any = None,
    *,
    store: Any = None,
    chunks: int = SIDE,
    client: Any = None,
    progress: Report | bool | None = False,
) -> FloatArray:
    """K(X, Y) @ v, without a place where the matrix is stored.

    Parameters
    ----------
    K : Kernel or DotProductKernel
    X, Y : (n, d) and (m, d) arrays: NumPy, memmap, Zarr or Dask
    v : (m,) or (m, k) array
    store : path, URL or zarr store, optional
        Keeps every finished panel of `chunks` rows, so that an interrupted product continues as `gram_to_zarr` does.
        Without `Y` the blocks below the diagonal serve twice, which halves the time; then it keeps up to 128 arrays of
        the size of the result, each the share of some panels.
    chunks : int
        Side of the blocks.
    client : distributed.Client, optional
        Its workers compute the blocks; by default this process does it, in threads.
    progress : bool or callback

    Returns
    -------
    (n,) or (n, k) array
        The sum over blocks runs in their order, whoever computes them.

    Raises
    ------
    DomainError
        A vector of another length; the store is another job's; what ``K(X, Y)`` refuses.
    MissingExtra
        A store is named and Zarr is absent: ``python -m pip install 'kernalg[big]'``.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> K = ka.mlp("relu", depth=3).nngp
    >>> X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    >>> bool(np.allclose(ka.gram_matvec(K, X, [1, 2, 3], chunks=2), K(X) @ [1, 2, 3], rtol=1e-14))
    True
    """
    K = checked_kernel(K)
    side = checked_side(chunks)
    left, right = checked_pair(X, Y, side)
    vectors = real_array(v, "v")
    if vectors.ndim not in (1, 2) or vectors.shape[0] != right.shape[0] or 0 in vectors.shape:
        raise DomainError(
            f"v has shape {vectors.shape}; K(X, Y) has {right.shape[0]} columns, so a vector ({right.shape[0]},) or "
            f"vectors ({right.shape[0]}, k) are needed"
        )
    columns = np.ascontiguousarray(vectors.reshape(right.shape[0], -1))
    entries, job = prepare(K, left, right)
    parts = _parts(left, Y is None)
    job["side"] = side
    shape = (left.shape[0], columns.shape[1])
    stored: Any = None
    sums: Any = None
    if store is not None:
        job["v"] = described(columns.shape, checksum(columns).tobytes().hex())
        whole, chunk = ((len(parts), *shape), (1, *shape)) if Y is None else (shape, (side, shape[1]))
        stored, sums = open_job(store, job, "product", whole, chunk)
    tell = Estimate("Product", len(parts), progress)
    total = _Total(shape, parts)
    waiting = []
    for part in parts:
        if sums is not None and finished(stored, sums, part.chunk, part.at) is not None:
            tell(True)
        else:
            waiting.append(part.number)

    def keep(number: int, piece: FloatArray) -> None:
        if sums is None:
            total.add(number, piece)
        else:
            part = parts[number]
            block = np.zeros((1, *shape)) if Y is None else piece
            block.reshape(-1, shape[1])[: piece.shape[0]] = piece
            stored[part.at] = block
            record(sums, part.chunk, block)
        tell(False)

    def arguments(i: int, j: int, rows: Any, others: Any) -> tuple[Any, ...]:
        here = place(left.span(i), right.span(j), right.name)
        back = columns[left.span(i)] if Y is None and j < i else None
        return columns[right.span(j)], back, here, Y is None and i == j, rows, others

    def across(i: int) -> range:
        return range(i + 1 if Y is None else right.count)

    def products(part: _Part) -> Iterator[tuple[int, int, FloatArray, FloatArray | None]]:
        for i in part.panels:
            rows = left.block(i)
            for j in across(i):
                yield i, j, *_block(entries, *arguments(i, j, rows, right.block(j)))

    if client is None:
        for number in waiting:
            keep(number, _assembled(parts[number], side, products(parts[number])))
    else:

        def start() -> Submit:
            sent, mine, others = scatter(client, entries, left, right)

            def submit(number: int) -> Any:
                where = [(i, j) for i in parts[number].panels for j in across(i)]
                futures = [
                    client.submit(alone, _block, sent, *arguments(i, j, mine[i], others[j]), pure=False)
                    for i, j in where
                ]
                return client.submit(_gathered, parts[number], side, where, *futures, pure=False)

            return submit

        for number, piece in results(client, start, waiting):
            keep(number, piece)
    if sums is not None:
        for part in parts:
            piece = np.asarray(stored[part.at]).reshape(-1, shape[1])
            total.add(part.number, piece[: part.rows.stop - part.rows.start])
    return total.values.reshape(left.shape[0], *vectors.shape[1:])


@dataclass(frozen=True)
class _Part:
    """A share of the product: panels of K, and the rows of the result to which they add.

    `chunk` and `at` say where it is in a store. For X against itself, where the blocks below the diagonal serve twice,
    every part adds to all rows above its last one, and has a chunk of the size of the result.
    """

    number: int
    panels: range
    rows: slice
    chunk: tuple[int, ...]
    at: tuple[slice, ...]


def _parts(left: Rows, symmetric: bool) -> list[_Part]:
    if not symmetric:
        spans = [left.span(i) for i in range(left.count)]
        return [_Part(i, range(i, i + 1), span, (i, 0), (span, slice(None))) for i, span in enumerate(spans)]
    # Equal areas of the triangle: panel i has i + 1 blocks.
    count = min(left.count, _MOST_PARTS)
    ends = (
        [round(left.count * (k / count) ** 0.5) for k in range(count + 1)]
        if count < left.count
        else [*range(count + 1)]
    )
    return [
        _Part(
            k,
            range(first, last),
            slice(0, left.span(last - 1).stop),
            (k, 0, 0),
            (slice(k, k + 1), slice(None), slice(None)),
        )
        for k, (first, last) in enumerate((a, b) for a, b in pairwise(ends) if a < b)
    ]


class _Total:
    """The sum of all parts, added in their order, in whatever order they come."""

    def __init__(self, shape: tuple[int, ...], parts: list[_Part]) -> None:
        self.values = np.zeros(shape)
        self._parts = parts
        self._next = 0
        self._early: dict[int, FloatArray] = {}

    def add(self, number: int, piece: FloatArray) -> None:
        self._early[number] = piece
        while self._next in self._early:
            self.values[self._parts[self._next].rows] += self._early.pop(self._next)
            self._next += 1


def _block(
    entries: BlockKernel,
    v: FloatArray,
    back: FloatArray | None,
    where: str,
    on_diagonal: bool,
    X: FloatArray,
    Y: FloatArray,
) -> tuple[FloatArray, FloatArray | None]:
    """K v, and K' back for a block that serves twice."""
    K = entries(X, None if on_diagonal else Y, where)
    return np.asarray(K @ v), None if back is None else np.asarray(K.T @ back)


def _assembled(
    part: _Part, side: int, products: Iterable[tuple[int, int, FloatArray, FloatArray | None]]
) -> FloatArray:
    """What the blocks (i, j) of a part add to its rows, in the order of the blocks."""
    total: FloatArray | None = None
    for i, j, down, across in products:
        if total is None:
            total = np.zeros((part.rows.stop - part.rows.start, down.shape[1]))
        for panel, piece in ((i, down), (j, across)):
            if piece is not None:
                first = panel * side - part.rows.start
                total[first : first + piece.shape[0]] += piece
    return np.zeros((0, 0)) if total is None else total


def _gathered(part: _Part, side: int, where: list[tuple[int, int]], *products: Any) -> tuple[int, FloatArray]:
    made = ((i, j, *pair) for (i, j), pair in zip(where, products, strict=True))
    return part.number, _assembled(part, side, made)
