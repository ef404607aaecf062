"""What the values of this room share: equality, display, and the JSON of records of arrays and numbers."""

from __future__ import annotations

import html
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
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, text_table

Record = TypeVar("Record")


def equal_by_json(cls: type[Record]) -> type[Record]:
    """Class decorator: two values are equal if their JSON texts are. (Values have no base class: rule of the house.)"""

    def equal(self: Any, other: Any) -> bool:
        return bool(self.to_json() == other.to_json()) if type(other) is type(self) else NotImplemented

    def hashed(self: Any) -> int:
        return hash(self.to_json())

    cls.__eq__, cls.__hash__ = equal, hashed  # type: ignore[method-assign]
    return cls


def shown_as_table(cls: type[Record]) -> type[Record]:
    """Class decorator: text and HTML from the value's `_headline()` and `_table()`."""

    def as_text(self: Any) -> str:
        return f"{self._headline()}\n{text_table(*self._table())}"

    def as_html(self: Any) -> str:
        return f"<p>{html.escape(self._headline())}</p>{html_table(*self._table())}"

    cls.__repr__, cls._repr_html_ = as_text, as_html  # type: ignore[method-assign, attr-defined]
    return cls


def record_to_json(record: Any) -> str:
    """JSON text of a dataclass whose fields are float arrays, floats, integers, truth values and spectra.

    Floats by repr, infinities as the strings "inf" and "-inf" (JSON knows none), integers of any size as strings.
    """
    data: dict[str, Any] = {"type": f"kernalg.{type(record).__name__}"}
    for f in fields(record):
        data[f.name] = _written(getattr(record, f.name))
    return json.dumps(data, allow_nan=False)


def record_from_json(cls: type[Record], text: str, fits: Callable[[Record], bool] | None = None) -> Record:
    """The value that `record_to_json` wrote; its arrays are read-only.

    `fits` says whether the shapes of its arrays go together; by default all have one row per `n`.

    Raises
    ------
    DomainError
        If the text is not such a JSON object.
    """
    data = read_object(text, f"kernalg.{cls.__name__}")
    try:
        values = {}
        for f in fields(cls):  # type: ignore[arg-type]
            reader = _READERS.get(str(f.type))
            if reader is None:
                raise InternalError(f"{cls.__name__}.{f.name} is of type {f.type}, which records do not hold")
            values[f.name] = reader(data.pop(f.name))
        if data:
            raise ValueError(f"unknown entries {', '.join(map(str, data))}")
        record = cls(**values)
        if not (_one_row_each(record) if fits is None else fits(record)):
            raise ValueError("its arrays have different lengths")
        return record
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


def _written(value: Any) -> Any:
    if isinstance(value, Spectrum):
        return json.loads(value.to_json())
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, bool) else plain(np.asarray(value).tolist())


def _array(values: Any) -> FloatArray:
    array = frozen(values)
    if array.ndim == 0 or np.isnan(array).any():
        raise ValueError("an array of numbers is needed")
    return array


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} should be true or false")
    return value


def _spectrum(value: Any) -> Spectrum:
    return Spectrum.from_json(json.dumps(value))


def _one_row_each(record: Any) -> bool:
    values = (getattr(record, f.name) for f in fields(record))
    return len({len(v) for v in values if isinstance(v, np.ndarray)}) == 1


_READERS: dict[str, Callable[[Any], Any]] = {
    "FloatArray": _array,
    "float": float,
    "int": int,
    "bool": _truth,
    "Spectrum": _spectrum,
}
