"""Products of Gram matrices with vectors, by jobs that continue after an interruption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kernalg.compiled.inputs import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.interop.blocks import (
    SIDE,
    AnyKernel,
    BlockKernel,
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
    shape = (left.shape[0], columns.shape[1])
    values: Any = np.empty(shape)
    sums = None
    if store is not None:
        job["v"] = described(columns.shape, checksum(columns).tobytes().hex())
        values, sums = open_job(store, job, "product", shape, (side, shape[1]))
    tell = Estimate("Product", left.count, progress)
    waiting = []
    for i in range(left.count):
        if sums is not None and finished(values, sums, (i, 0), (left.span(i), slice(None))) is not None:
            tell(True)
        else:
            waiting.append(i)

    def keep(i: int, panel: FloatArray) -> None:
        values[left.span(i)] = panel
        if sums is not None:
            record(sums, (i, 0), panel)
        tell(False)

    def arguments(i: int, j: int, rows: Any, others: Any) -> tuple[Any, ...]:
        where = place(left.span(i), right.span(j), right.name)
        return columns[right.span(j)], where, Y is None and i == j, rows, others

    if client is None:
        for i in waiting:
            rows = left.block(i)
            parts = (_part(entries, *arguments(i, j, rows, right.block(j))) for j in range(right.count))
            keep(i, _sum_in_order(parts))
    else:

        def start() -> Submit:
            sent, blocks, others = scatter(client, entries, left, right)

            def submit(i: int) -> Any:
                parts = [
                    client.submit(alone, _part, sent, *arguments(i, j, blocks[i], others[j]), pure=False)
                    for j in range(right.count)
                ]
                return client.submit(_panel, i, *parts, pure=False)

            return submit

        for i, panel in results(client, start, waiting):
            keep(i, panel)
    return np.asarray(values[:]).reshape(left.shape[0], *vectors.shape[1:])


def _part(
    entries: BlockKernel, v: FloatArray, where: str, on_diagonal: bool, X: FloatArray, Y: FloatArray
) -> FloatArray:
    return np.asarray(entries(X, None if on_diagonal else Y, where) @ v)


def _sum_in_order(parts: Iterable[FloatArray]) -> FloatArray:
    total = np.zeros(())
    for part in parts:
        total = total + part
    return total


def _panel(i: int, *parts: FloatArray) -> tuple[int, FloatArray]:
    return i, _sum_in_order(parts)
