"""The Gram matrix as a linear operator that never stores it.

The matrix is walked in square tiles. A tile is one BLAS product, turned into kernel entries in place and multiplied at
once with all columns of the right-hand side. For X against itself the tiles on and below the diagonal are computed,
and those below serve twice, as K_ij and as its transpose.

Threads take whole tiles, each with BLAS in one thread, and the products are added to the result in the fixed order of
the tiles. So the result has the same bits for any number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from kernalg.compiled.gram_source import BLOCK
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.threads import Share, in_order, serial
from kernalg.errors import DomainError
from kernalg.progress import Report, reporter

Progress = Report | bool | None

# Rows and columns of a tile: 8 MB of entries.
TILE = 8 * BLOCK
_TITLES = {"nngp": "NNGP", "ntk": "NTK", "formula": "kernel"}
_SILENT_SECONDS = 2.0
_REPORT_SECONDS = 0.5


class Tiled(Protocol):
    """A matrix whose tiles are computed one by one, as `gram.Prepared` does.

    `left` and `right` are one object for X against itself; they hold the diagonals `K` and `T`.
    """

    @property
    def left(self) -> Any: ...

    @property
    def right(self) -> Any: ...

    @property
    def shape(self) -> tuple[int, int]: ...

    def swapped(self) -> Tiled: ...

    def tile(self, rows: range, columns: range, K: FloatArray | None, T: FloatArray | None, share: Share) -> None: ...


class KernelOperator(LinearOperator):
    """K(X, Y) of shape (n, m) as a `scipy.sparse.linalg.LinearOperator`; made by ``K.operator``.

    One product with a matrix of k columns computes every entry of the kernel once, whatever k is; so few products with
    many columns are the way to use it. The rows are prepared once. Beyond them the memory needed is a few tiles of
    8 MB and the result.

    `X` and `Y` are not copied when they are float64 arrays stored row by row: do not change them while the operator is
    in use.
    """

    def __init__(self, prepared: Tiled, kind: str, progress: Progress = None) -> None:
        super().__init__(np.dtype(np.float64), prepared.shape)
        self._prepared = prepared
        self._kind = kind
        self._progress = progress

    @property
    def symmetric(self) -> bool:
        """Whether this is a set of inputs against itself."""
        return self._prepared.left is self._prepared.right

    def diagonal(self) -> FloatArray:
        """The kernel of every input with itself, for X against itself (DomainError otherwise)."""
        if not self.symmetric:
            raise DomainError("the operator of X against Y has no diagonal; K.diag(X) is the kernel of X with itself")
        rows = self._prepared.left
        return (rows.T if self._kind == "ntk" else rows.K).copy()

    def _adjoint(self) -> KernelOperator:
        if self.symmetric:
            return self
        return KernelOperator(self._prepared.swapped(), self._kind, self._progress)

    def _transpose(self) -> KernelOperator:
        return self._adjoint()

    def _matmat(self, V: Any) -> Any:
        V = np.asarray(V)
        if V.dtype.kind == "c":
            k = V.shape[1]
            both = self._matmat(np.hstack([V.real, V.imag]))
            return both[:, :k] + 1j * both[:, k:]
        V = np.ascontiguousarray(V, dtype=np.float64)
        n, m = self.shape
        result = np.zeros((n, V.shape[1]))
        buffers: SimpleQueue[FloatArray] = SimpleQueue()

        def work(tile: tuple[range, range]) -> tuple[FloatArray, FloatArray | None]:
            rows, columns = tile
            try:
                buffer = buffers.get_nowait()
            except Empty:
                buffer = np.empty(TILE * TILE)
            entries = buffer[: len(rows) * len(columns)].reshape(len(rows), len(columns))
            K, T = (None, entries) if self._kind == "ntk" else (entries, None)
            self._prepared.tile(rows, columns, K, T, serial)
            down = entries @ V[columns.start : columns.stop]
            across = entries.T @ V[rows.start : rows.stop] if self.symmetric and rows != columns else None
            buffers.put(buffer)
            return down, across

        watch = _PassWatch(f"K times {V.shape[1]} column{'s' * (V.shape[1] != 1)}", n * m, self._progress)
        tiles = partial(_tiles, n, m, self.symmetric)
        with closing(in_order(work, tiles())) as products:
            for (rows, columns), (down, across) in zip(tiles(), products, strict=True):
                result[rows.start : rows.stop] += down
                if across is not None:
                    result[columns.start : columns.stop] += across
                watch.advance(len(rows) * len(columns) * (1 if across is None else 2))
        watch.close()
        return result

    def __repr__(self) -> str:
        n, m = self.shape
        return f"<{n} x {m} operator of the {_TITLES[self._kind]}, never stored>"


def _tiles(n: int, m: int, symmetric: bool) -> Iterator[tuple[range, range]]:
    """Rows and columns of the tiles, row by row; with `symmetric` those on and below the diagonal."""
    for i in range(0, n, TILE):
        for j in range(0, i + 1 if symmetric else m, TILE):
            yield range(i, min(i + TILE, n)), range(j, min(j + TILE, m))


class _PassWatch:
    """Progress of one pass over the matrix, silent for the first seconds."""

    def __init__(self, title: str, total: int, progress: Progress) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._report = reporter(progress)
        self._start = time.perf_counter()
        self._next = _SILENT_SECONDS

    def advance(self, entries: int) -> None:
        self._done += entries
        elapsed = time.perf_counter() - self._start
        if elapsed >= self._next:
            share = self._done / self._total
            self._report(0, 1, f"{self._title}: {share:.0%}, about {elapsed * (1 / share - 1):.0f} s left")
            self._next = elapsed + _REPORT_SECONDS

    def close(self) -> None:
        elapsed = time.perf_counter() - self._start
        if elapsed >= _SILENT_SECONDS:
            self._report(1, 1, f"{self._title}: {elapsed:.1f} s")
