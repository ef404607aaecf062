"""Gram matrices block by block: the rows of a block, the route all blocks take, one block.

The blocks of one job take one route, so they are the parts of K(X, Y) up to the rounding of the matrix product: BLAS
may sum the terms of x.y in another order in a block than in the whole, which moves an entry by about 1e-15 of the
diagonal. The same block of the same rows has the same bits every time on one machine.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.compiled.gram import CompiledProgram
from kernalg.compiled.inputs import FloatArray, data_matrix
from kernalg.compiled.one_route import route_of, squared_norms, with_route
from kernalg.compiled.profile_route import ProfileRoute
from kernalg.errors import DomainError, MissingExtra
from kernalg.network.dot_product import DotProductKernel
from kernalg.network.kernel import Kernel

AnyKernel = Kernel | DotProductKernel
SIDE = 1024  # of a block: 8 MB, and the matrix product runs at full speed


def extra(module: str) -> Any:
    """A module of the extra `big`, or MissingExtra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module.split('.')[0]} is needed here and absent: python -m pip install 'kernalg[big]'"
        ) from error


def checked_kernel(K: Any) -> AnyKernel:
    """K itself, when it can be sent to another process and written into a store."""
    if not isinstance(K, AnyKernel):
        raise DomainError(
            f"K is {type(K).__name__}; a kernel of kernalg is needed: network.ntk, network.nngp or dot_product_kernel"
        )
    return K


def checked_side(chunks: Any) -> int:
    """The side of a block."""
    if isinstance(chunks, bool) or not isinstance(chunks, int | np.integer) or chunks < 1:
        raise DomainError(f"chunks={chunks!r}: the side of the square blocks is needed, a positive integer like 1024")
    return int(chunks)


def label(name: str, span: slice) -> str:
    """A part of an array in messages."""
    return f"{name}[{span.start}:{span.stop}]"


def place(down: slice, along: slice, other: str) -> str:
    """A block in messages."""
    return f"K({label('X', down)}, {label(other, along)})"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of an array that is read a block at a time: NumPy, memmap, Zarr, Dask, h5py.

    Parameters
    ----------
    values : anything with a shape (n, d) whose slices np.asarray turns into arrays
    name : str
        What messages call it.
    side : int
        Rows of a block; the last may have fewer.
    """

    values: Any
    name: str
    side: int

    def __post_init__(self) -> None:
        values = self.values if hasattr(self.values, "shape") else np.asarray(self.values)
        if len(values.shape) != 2 or 0 in values.shape:
            data_matrix(values, self.name)  # raises, and says why
        object.__setattr__(self, "values", values)

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    @property
    def count(self) -> int:
        """How many blocks."""
        return -(-self.shape[0] // self.side)

    def span(self, i: int) -> slice:
        return slice(i * self.side, min((i + 1) * self.side, self.shape[0]))

    def block(self, i: int) -> FloatArray:
        span = self.span(i)
        return data_matrix(np.asarray(self.values[span]), label(self.name, span))

    def scan(self) -> tuple[str, FloatArray]:
        """Hash of the float64 bytes, and the squared norms; one pass over the data."""
        digest = hashlib.sha256()
        norms = np.empty(self.shape[0])
        for i in range(self.count):
            rows = self.block(i)
            digest.update(rows.tobytes())
            norms[self.span(i)] = squared_norms(rows, label(self.name, self.span(i)))
        return digest.hexdigest(), norms


def checked_pair(X: Any, Y: Any, side: int) -> tuple[Rows, Rows]:
    """The rows of X and of Y (of X again when Y is None)."""
    left = Rows(X, "X", side)
    right = left if Y is None else Rows(Y, "Y", side)
    if left.shape[1] != right.shape[1]:
        raise DomainError(
            f"X has {left.shape[1]} columns and Y has {right.shape[1]}; the inputs must have one dimension"
        )
    return left, right


def common_route(K: AnyKernel, left: FloatArray, right: FloatArray, dimension: int) -> ProfileRoute | None:
    """The table that all blocks use, from the squared norms of all rows."""
    return route_of(K.program, left, right, dimension) if isinstance(K, Kernel) else None


@dataclass(frozen=True, eq=False)
class BlockKernel:
    """K with one route for all blocks. It travels to other processes."""

    K: AnyKernel
    route: ProfileRoute | None

    def __call__(self, X: FloatArray, Y: FloatArray | None, where: str) -> FloatArray:
        """K(X, Y); `where` says in messages which block that is."""
        try:
            if not isinstance(self.K, Kernel):
                return self.K(X, Y)
            compiled = _compiled(self.K, self.route)
            return compiled.ntk(X, Y) if self.K.kind == "ntk" else compiled.nngp(X, Y)
        except DomainError as error:
            raise DomainError(f"in the block {where}, whose rows count from 0 in what follows: {error}") from error


@lru_cache(maxsize=16)
def _compiled(K: Kernel, route: ProfileRoute | None) -> CompiledProgram:
    """Made once for all blocks; a route is the same one for all blocks of a job in a process."""
    return with_route(K.program, route)


def prepare(K: AnyKernel, left: Rows, right: Rows) -> tuple[BlockKernel, dict[str, Any]]:
    """In one pass over the data: the kernel with its route, and what decides the numbers, for a store."""
    digest, norms = left.scan()
    digest_right, norms_right = (digest, norms) if right is left else right.scan()
    job = {
        "kernel": repr(K),
        "kernel_json": K.to_json(),
        "X": described(left.shape, digest),
        "Y": None if right is left else described(right.shape, digest_right),
    }
    return BlockKernel(K, common_route(K, norms, norms_right, left.shape[1])), job


def described(shape: tuple[int, ...], digest: str) -> str:
    """What a store says of an array it depends on."""
    return f"shape {shape}, sha256 {digest}"


@contextmanager
def one_thread() -> Iterator[None]:
    """No threads within a block, where a scheduler runs blocks side by side."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def checksum(block: NDArray[Any]) -> NDArray[np.uint8]:
    """SHA-256 of the numbers' bytes in order of rows, 32 bytes."""
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(block).data).digest(), dtype=np.uint8)
