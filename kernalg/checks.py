"""Numbers that come from outside: finite real arrays, scalars and counts, or a DomainError that names the value."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernalg.errors import DomainError

FloatArray = NDArray[np.float64]


def real_array(name: str, given: ArrayLike, *, ndim: int | None = None, minimum: float = -math.inf) -> FloatArray:
    """`given` as a float64 array of finite real numbers, each at least `minimum`; DomainError otherwise."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise DomainError(f"{name} is not an array of numbers: {error}") from error
    if ndim is not None and array.ndim != ndim:
        raise DomainError(f"{name} has shape {array.shape}; an array of {ndim} dimension(s) is needed")
    if array.dtype.kind not in "iuf" and array.size:
        raise DomainError(f"{name} has dtype {array.dtype}; real numbers are needed")
    result = array.astype(np.float64, copy=False)
    bad = ~np.isfinite(result)
    if bad.any():
        raise DomainError(f"{_first(name, bad)} is {result[bad][0]}; only finite numbers are allowed")
    bad = result < minimum
    if bad.any():
        raise DomainError(f"{_first(name, bad)} is {float(result[bad][0])!r}; it must be at least {minimum:g}")
    return result


def real_vector(name: str, given: ArrayLike, *, minimum: float = -math.inf) -> FloatArray:
    """A read-only float64 copy of a vector of real numbers; Fractions and SymPy numbers are accepted too."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise DomainError(f"{name} is not a sequence of numbers: {error}") from error
    if array.dtype == object and array.ndim == 1:
        array = np.array([real_number(f"{name}[{i}]", v) for i, v in enumerate(array)], dtype=np.float64)
    result = np.array(real_array(name, array, ndim=1, minimum=minimum))
    result.flags.writeable = False
    return result


def real_number(name: str, given: Any, *, minimum: float = -math.inf) -> float:
    """`given` as a finite float of at least `minimum`; DomainError otherwise."""
    if isinstance(given, str | bytes | complex | np.complexfloating):
        raise DomainError(f"{name} is {given!r}; a real number is needed")
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise DomainError(f"{name} is {given!r}, which is not a real number in the range of float64") from error
    if not math.isfinite(value):
        raise DomainError(f"{name} is {value}; only finite numbers are allowed")
    if value < minimum:
        raise DomainError(f"{name} is {value!r}; it must be at least {minimum:g}")
    return value


def whole_number(name: str, value: Any, minimum: int) -> int:
    """`value` as an int not below `minimum`; DomainError otherwise."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or number < minimum:
        raise DomainError(f"{name}={value!r}: an integer not below {minimum} is needed.")
    return number


def _first(name: str, bad: NDArray[np.bool_]) -> str:
    index = np.argwhere(bad)[0].tolist()
    return f"{name}{index}" if index else name
