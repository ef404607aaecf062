"""What arrays the compiled functions accept, and the messages for the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.errors import DomainError

FloatArray = NDArray[np.float64]


def real_array(values: Any, name: str) -> FloatArray:
    """`values` as a float64 array with finite entries (the same array when it is one already).

    Raises
    ------
    DomainError
        Complex, text or object entries; NaN or infinity, with the first index.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DomainError(
            f"{name} has entries of type {array.dtype}; real numbers are needed. Convert with "
            f"np.asarray({name}, dtype=float), or use .value(..., digits=...) for exact and symbolic arguments"
        )
    array = array.astype(np.float64, copy=False)
    if array.size and not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        where = f"{name}[{', '.join(map(str, index))}]" if index else name
        raise DomainError(f"{where} is {array[index]}; every entry must be finite. Remove or impute such entries")
    return array


def data_matrix(values: Any, name: str) -> FloatArray:
    """`values` as a C-contiguous, writeable (n, d) float64 array, one input a row, d at least 1.

    The compiled functions are declared for writeable arrays, so a read-only one is copied; none is modified.

    Raises
    ------
    DomainError
        Not two-dimensional, no rows or columns, not real, or not finite.
    """
    try:
        shape = np.shape(values) if not isinstance(values, np.ndarray) else values.shape
    except ValueError:  # rows of different lengths
        raise DomainError(f"{name} is not a rectangular array: its rows have different lengths") from None
    if not shape:
        raise DomainError(f"{name} is {values!r}; an array (n, d) of real numbers with one input a row is needed")
    if len(shape) != 2:
        advice = f"; use {name}.reshape(1, -1) for one input, {name}.reshape(-1, 1) for inputs of dimension 1"
        raise DomainError(f"{name} has shape {shape}; an array (n, d) with one input a row is needed{advice}")
    if shape[0] == 0:
        raise DomainError(f"{name} has shape {shape}: no inputs; at least one row is needed")
    if shape[1] == 0:
        raise DomainError(f"{name} has shape {shape}: inputs of dimension 0; at least one column is needed")
    matrix = np.ascontiguousarray(real_array(values, name)).view(np.ndarray)
    return matrix if matrix.flags.writeable else matrix.copy()


def data_pair(X: Any, Y: Any) -> tuple[FloatArray, FloatArray | None]:
    """`X` and `Y` by `data_matrix`, of one dimension; `Y` may be None.

    Raises
    ------
    DomainError
        As `data_matrix`, or the dimensions differ.
    """
    left = data_matrix(X, "X")
    right = None if Y is None else data_matrix(Y, "Y")
    if right is not None and right.shape[1] != left.shape[1]:
        raise DomainError(
            f"X has {left.shape[1]} columns and Y has {right.shape[1]}; the inputs must have one dimension"
        )
    return left, right


def result_type(*inputs: Any) -> type[np.float32] | type[np.float64]:
    """float32 for inputs that are all float32 arrays, else float64."""
    given = [x for x in inputs if x is not None]
    return np.float32 if all(getattr(x, "dtype", None) == np.float32 for x in given) else np.float64


def output_matrix(out: Any, shape: tuple[int, int], name: str, dtype: type = np.float64) -> FloatArray:
    """`out`, or a new array of `dtype` when it is None, as a C-contiguous array of `shape`.

    Raises
    ------
    DomainError
        Wrong type, shape or memory layout, or read-only.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype not in (np.float64, np.float32) or out.shape != shape:
        given = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DomainError(
            f"{name} is {given}; a float64 (or float32) array of shape {shape} is needed, e.g. np.empty({shape})"
        )
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise DomainError(f"{name} must be writeable and C-contiguous (rows stored one after the other); it is not")
    return out.view(np.ndarray)
