"""What the values of this room share: read-only arrays, their JSON form, and the learned share of every mode."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.spectrum.spectrum import Spectrum

Curve = TypeVar("Curve")


def frozen(values: ArrayLike) -> FloatArray:
    """A read-only float64 copy."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def plain(values: Any) -> Any:
    """Nested lists of floats for JSON, which knows no infinity: "inf" instead."""
    if isinstance(values, list):
        return [plain(v) for v in values]
    return values if math.isfinite(values) else str(values)


def write_curve(curve: Any) -> str:
    """JSON text of a dataclass whose fields are arrays, floats, bools and a Spectrum."""
    data: dict[str, Any] = {"type": f"kernalg.{type(curve).__name__}"}
    for name in (f.name for f in fields(curve)):
        value = getattr(curve, name)
        if isinstance(value, Spectrum):
            value = json.loads(value.to_json())
        elif isinstance(value, np.ndarray):
            value = plain(value.tolist())
        data[name] = value
    return json.dumps(data, allow_nan=False)


def read_curve(cls: Callable[..., Curve], name: str, text: str, fits: Callable[[Curve], bool]) -> Curve:
    """The value that `write_curve` wrote; `fits` says whether the shapes of its arrays go together."""
    data = read_object(text, f"kernalg.{name}")
    try:
        values: dict[str, Any] = {"spectrum": Spectrum.from_json(json.dumps(data.pop("spectrum")))}
        for key, value in data.items():
            if isinstance(value, bool):
                values[key] = value
            else:
                values[key] = frozen(value) if isinstance(value, list) else float(value)
        curve = cls(**values)
        if not fits(curve):
            raise ValueError("the lengths of its arrays do not fit together")
        return curve
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DomainError(f"not the JSON of a {name}, as to_json writes it: {error}") from error


def learned_shares(spectrum: Spectrum, kappa: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """L = lambda/(lambda + kappa), 1 - L and m L, each of shape (*kappa.shape, levels).

    Each comes from its own quotient, none by subtraction, and m L as (m lambda)/(lambda + kappa) because m alone may
    exceed float64. At kappa = 0 every positive eigenvalue has L = 1; at kappa = inf none is learned.
    """
    positive = spectrum.log_eigenvalues > -math.inf
    values = np.maximum(spectrum.eigenvalues, 0.0)
    modes = np.array([float(min(m, 10**308)) for m in spectrum.multiplicities])
    column = np.asarray(kappa)[..., None]
    interpolates = (column == 0) & positive
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        learned = np.where(interpolates, 1.0, 1.0 / (1.0 + column / values))
        missing = np.where(interpolates, 0.0, 1.0 / (1.0 + values / column))
        weighted = np.where(interpolates, modes, spectrum.level_power / (values + column))
    learned[..., ~positive], missing[..., ~positive], weighted[..., ~positive] = 0.0, 1.0, 0.0
    return learned, missing, weighted
