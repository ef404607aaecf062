"""JSON of values that are records of float arrays and numbers: one field, one entry."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray
from kernalg.errors import DomainError, InternalError
from kernalg.formula import read_object

Record = TypeVar("Record")


def record_to_json(record: Any) -> str:
    """JSON text of a dataclass whose fields are float arrays, floats and integers.

    Floats by repr, infinities as the strings "inf" and "-inf" (JSON knows none), integers of any size as strings.
    """
    data: dict[str, Any] = {"type": f"kernalg.{type(record).__name__}"}
    for f in fields(record):
        value = getattr(record, f.name)
        data[f.name] = str(value) if isinstance(value, int) else plain(np.asarray(value).tolist())
    return json.dumps(data, allow_nan=False)


def record_from_json(cls: type[Record], text: str) -> Record:
    """The value that `record_to_json` wrote; its arrays are read-only and have one row per `n`.

    Raises
    ------
    DomainError
        If the text is not such a JSON object.
    """
    data = read_object(text, f"kernalg.{cls.__name__}")
    readers: dict[str, Callable[[Any], Any]] = {"FloatArray": _array, "float": float, "int": int}
    try:
        values = {}
        for f in fields(cls):  # type: ignore[arg-type]
            reader = readers.get(str(f.type))
            if reader is None:
                raise InternalError(f"{cls.__name__}.{f.name} is of type {f.type}, which records do not hold")
            values[f.name] = reader(data.pop(f.name))
        if data:
            raise ValueError(f"unknown entries {', '.join(map(str, data))}")
        rows = {len(v) for v in values.values() if isinstance(v, np.ndarray)}
        if len(rows) != 1:
            raise ValueError("its arrays have different lengths")
        return cls(**values)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DomainError(f"not the JSON of a {cls.__name__}, as to_json writes it: {error}") from error


def frozen(values: ArrayLike) -> FloatArray:
    """A read-only copy as a float64 array."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def plain(values: Any) -> Any:
    """Nested lists of floats for JSON, infinities as strings."""
    if isinstance(values, list):
        return [plain(v) for v in values]
    return values if math.isfinite(values) else str(values)


def _array(values: Any) -> FloatArray:
    array = frozen(values)
    if array.ndim == 0 or np.isnan(array).any():
        raise ValueError("an array of numbers is needed")
    return array
