"""Gram matrices as Dask arrays."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from kernalg import __version__
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.one_route import squared_norms
from kernalg.compiled.profile_route import ProfileRoute
from kernalg.errors import DomainError
from kernalg.interop.blocks import (
    SIDE,
    AnyKernel,
    BlockKernel,
    Rows,
    checked_kernel,
    checked_pair,
    checked_side,
    common_route,
    extra,
    label,
    one_thread,
    place,
)


def gram_dask(K: AnyKernel, X: Any, Y: Any = None, *, chunks: int | None = None) -> Any:
    """The Gram matrix K(X, Y) as a Dask array of float64, computed in blocks when it is asked for.

    It computes on Dask's threads or processes or on the workers of a `distributed` cluster. Without `Y` every block
    above the diagonal is the transpose of the one below.

    Parameters
    ----------
    K : Kernel or DotProductKernel
    X, Y : (n, d) and (m, d) arrays: NumPy, memmap, Zarr or Dask
    chunks : int, optional
        Side of the blocks; by default the row chunks of a Dask array, and 1024 for other arrays.

    Returns
    -------
    dask.array.Array
        Shape (n, m). The entries are those of ``K(X, Y)`` up to about 1e-15 of the diagonal.

    Raises
    ------
    DomainError
        Other arguments; what ``K(X, Y)`` refuses is refused when it is computed.
    MissingExtra
        Without Dask: ``python -m pip install 'kernalg[big]'``.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> K = ka.mlp("relu", depth=3).ntk
    >>> X = np.eye(4)
    >>> G = ka.gram_dask(K, X, chunks=2)                      # doctest: +SKIP
    >>> G.numblocks, float(G.sum().compute(scheduler="threads"))   # doctest: +SKIP
    ((2, 2), 7.18...)
    """
    K = checked_kernel(K)
    side = None if chunks is None else checked_side(chunks)
    left = _dask_rows(X, "X", side)
    right = left if Y is None else _dask_rows(Y, "Y", side)
    checked_pair(left, right, 1)  # equal columns
    name = "kernalg-gram-" + extra("dask.base").tokenize(__version__, K.to_json(), left.name, right.name, Y is None)
    graph: dict[Any, Any] = {}
    spans = {"X": _spans(left.chunks[0]), "Y": _spans(right.chunks[0])}
    other = "X" if Y is None else "Y"
    norms = {}
    for letter, rows in {"X": left, other: right}.items():
        norms[letter] = [(f"{name}-norms-{letter}", i) for i in range(len(spans[letter]))]
        for i, span in enumerate(spans[letter]):
            graph[norms[letter][i]] = (partial(squared_norms, name=label(letter, span)), (rows.name, i, 0))
    route = (f"{name}-route", 0)
    graph[route] = (partial(_route, K, left.shape[1]), norms["X"], norms[other])
    for i, down in enumerate(spans["X"]):
        for j, along in enumerate(spans[other]):
            if Y is None and j > i:
                graph[name, i, j] = (np.transpose, (name, j, i))
                continue
            work = partial(_block, K, place(down, along, other))
            columns = () if Y is None and i == j else ((right.name, j, 0),)
            graph[name, i, j] = (work, route, (left.name, i, 0), *columns)
    layers = extra("dask.highlevelgraph").HighLevelGraph.from_collections(name, graph, dependencies=[left, right])
    chunking = (left.chunks[0], right.chunks[0])
    return extra("dask.array").Array(layers, name, chunks=chunking, dtype=np.float64, meta=np.empty((0, 0)))


def _dask_rows(values: Any, name: str, side: int | None) -> Any:
    """A Dask array of whole rows."""
    da = extra("dask.array")
    array = Rows(values, name, 1).values  # checks the shape
    if not isinstance(array, da.Array):
        return da.from_array(array, chunks=(side or SIDE, -1))
    if any(math.isnan(size) for size in array.shape):
        raise DomainError(f"{name} is a Dask array of unknown shape; call {name}.compute_chunk_sizes() first")
    return array.rechunk((side or array.chunks[0], -1))


def _spans(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(first, last) for first, last in pairwise(ends)]


def _route(K: AnyKernel, dimension: int, left: list[FloatArray], right: list[FloatArray]) -> ProfileRoute | None:
    return common_route(K, np.concatenate(left), np.concatenate(right), dimension)


def _block(
    K: AnyKernel, where: str, route: ProfileRoute | None, X: FloatArray, Y: FloatArray | None = None
) -> FloatArray:
    with one_thread():
        return BlockKernel(K, route)(X, Y, where)
