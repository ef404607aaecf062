"""Gram matrices in Zarr stores, by jobs that continue after an interruption."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernalg.compiled.inputs import FloatArray
from kernalg.interop.blocks import (
    SIDE,
    AnyKernel,
    BlockKernel,
    checked_kernel,
    checked_pair,
    checked_side,
    extra,
    place,
    prepare,
)
from kernalg.interop.cluster import Submit, alone, results, scatter
from kernalg.interop.estimate import Estimate
from kernalg.interop.stores import finished, open_job, record
from kernalg.progress import Report


def gram_to_zarr(
    K: AnyKernel,
    X: Any,
    store: Any,
    Y: Any = None,
    *,
    chunks: int = SIDE,
    client: Any = None,
    progress: Report | bool | None = True,
) -> Any:
    """The Gram matrix K(X, Y) in a Zarr store on disk, which may be larger than memory.

    Call it again with the same arguments after an interruption of any kind: chunks that are there and whose bytes give
    the checksum recorded for them are kept, all others are computed. A store of another job (kernel, data, chunks or
    version of kernalg) is refused and left as it is.

    Parameters
    ----------
    K : Kernel or DotProductKernel
    X, Y : (n, d) and (m, d) arrays: NumPy, memmap, Zarr or Dask
        Read a block of rows at a time, more than once: persist a Dask array whose blocks are costly.
    store : path, URL or zarr store
        A group is made there, with the arrays "gram" and "checksums"; its attribute "kernalg" describes the job.
        A killed job may leave a file *.partial, which nobody reads.
    chunks : int
        Side of the square chunks. Memory: a few chunks of 8 chunks^2 bytes, and two blocks of rows.
    client : distributed.Client, optional
        Its workers compute and write; the store must be in their reach. By default this process does it, in threads.
    progress : bool or callback
        A callback is called as report(done, total, text) after every chunk.

    Returns
    -------
    zarr.Array
        The array "gram", float64, (n, m). The entries are those of ``K(X, Y)`` up to about 1e-15 of the diagonal;
        without `Y` it is symmetric to the last bit, and half of the chunks are computed.

    Raises
    ------
    DomainError
        The store is another job's or damaged, or what ``K(X, Y)`` refuses.
    MissingExtra
        Without Zarr: ``python -m pip install 'kernalg[big]'``.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> K = ka.mlp("relu", depth=3).ntk
    >>> G = ka.gram_to_zarr(K, np.eye(4), "gram.zarr", chunks=2)   # doctest: +SKIP
    [1/3] Gram matrix: 1 of 3, about 1.2 s left
    [2/3] Gram matrix: 2 of 3, about 0.6 s left
    [3/3] Gram matrix: 3 of 3, 0 found, 3 made in 1.2 s
    >>> G[0, 0] == K(np.eye(4))[0, 0]                              # doctest: +SKIP
    True
    """
    extra("zarr")
    K = checked_kernel(K)
    side = checked_side(chunks)
    left, right = checked_pair(X, Y, side)
    entries, job = prepare(K, left, right)
    shape = (left.shape[0], right.shape[0])
    values, sums = open_job(store, job, "gram", shape, (side, side))
    columns = [range(i + 1 if Y is None else right.count) for i in range(left.count)]
    tiles = [(i, j) for i in range(left.count) for j in columns[i]]
    tell = Estimate("Gram matrix", len(tiles), progress)

    def arguments(i: int, j: int, rows: Any, others: Any) -> tuple[Any, ...]:
        return values, sums, (i, j), (left.span(i), right.span(j)), Y is None, rows, others

    if client is None:
        for i in range(left.count):
            rows = left.block(i)
            for j in columns[i]:
                tell(_fill_chunk(entries, *arguments(i, j, rows, right.block(j))))
        return values

    def start() -> Submit:
        sent, blocks, others = scatter(client, entries, left, right)

        def submit(tile: tuple[int, int]) -> Any:
            i, j = tile
            return client.submit(alone, _fill_chunk, sent, *arguments(i, j, blocks[i], others[j]), pure=False)

        return submit

    for found in results(client, start, tiles):
        tell(found)
    return values


def _fill_chunk(
    entries: BlockKernel,
    values: Any,
    sums: Any,
    index: tuple[int, int],
    at: tuple[slice, slice],
    symmetric: bool,
    X: FloatArray,
    Y: FloatArray,
) -> bool:
    """Make sure that a chunk, and its mirror image in a symmetric matrix, is in the store; whether it was."""
    i, j = index
    mirrored = symmetric and i != j
    if finished(values, sums, (i, j), at) is not None and (
        not mirrored or finished(values, sums, (j, i), at[::-1]) is not None
    ):
        return True
    block = entries(X, None if symmetric and i == j else Y, place(*at, "X" if symmetric else "Y"))
    values[at] = block
    record(sums, (i, j), block)
    if mirrored:
        image = np.ascontiguousarray(block.T)
        values[at[::-1]] = image
        record(sums, (j, i), image)
    return False
