"""The outcome of repeated experiments: means with standard errors, and every draw."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernalg.checks import FloatArray, real_array, real_number, real_vector
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.learning.records import equal_by_json, shown_as_table
from kernalg.spectrum.tables import import_pandas

_QUANTITIES = ("test_mse", "train_mse", "loo", "gcv", "loo_over_gcv")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One quantity, measured in several draws for each number of samples: `draws` has shape (len(n), draws)."""

    draws: FloatArray

    def __post_init__(self) -> None:
        draws = np.array(real_array("draws", self.draws, ndim=2))
        if draws.size == 0:
            raise DomainError(f"draws has shape {draws.shape}; at least one draw of one size is needed")
        draws.flags.writeable = False
        object.__setattr__(self, "draws", draws)

    @property
    def mean(self) -> FloatArray:
        """Mean over the draws, per n."""
        return self.draws.mean(axis=1)

    @property
    def standard_error(self) -> FloatArray:
        """Standard error of the mean, per n; infinite after a single draw."""
        count = self.draws.shape[1]
        if count == 1:
            return np.full(len(self.draws), math.inf)
        return self.draws.std(axis=1, ddof=1) / math.sqrt(count)

    def __repr__(self) -> str:
        cells = [f"{m:.6g} ± {e:.2g}" for m, e in zip(self.mean, self.standard_error, strict=True)]
        return f"Measured([{', '.join(cells)}], {self.draws.shape[1]} draws)"


@equal_by_json
@shown_as_table
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MeasuredCurve:
    """Errors of kernel ridge regression in experiments, per number of samples.

    Attributes
    ----------
    n : numbers of training samples.
    test_mse : Measured, error on noisy labels (exact on the sphere, held-out on data).
    train_mse : Measured, error on the training set.
    loo, gcv, loo_over_gcv : Measured or None, estimates from the training set (on data).
    truncation : array or None; what degrees beyond the spectrum may add to `test_mse` at most (on the sphere).
    ridge, noise, seed : what was asked.
    """

    n: FloatArray
    test_mse: Measured
    train_mse: Measured
    ridge: float
    seed: int
    noise: float = 0.0
    loo: Measured | None = None
    gcv: Measured | None = None
    loo_over_gcv: Measured | None = None
    truncation: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", real_vector("n", self.n, minimum=0.0))
        if self.truncation is not None:
            object.__setattr__(self, "truncation", real_vector("truncation", self.truncation, minimum=0.0))
        for name, quantity in self._measured():
            if len(quantity.draws) != len(self.n):
                raise DomainError(f"{name} has {len(quantity.draws)} rows of draws for {len(self.n)} values of n")

    def _measured(self) -> list[tuple[str, Measured]]:
        return [(name, getattr(self, name)) for name in _QUANTITIES if getattr(self, name) is not None]

    def __len__(self) -> int:
        return len(self.n)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = [[f"{v:.10g}" for v in self.n]]
        for _, quantity in self._measured():
            pairs = zip(quantity.mean, quantity.standard_error, strict=True)
            columns.append([f"{m:.6g} ± {e:.2g}" for m, e in pairs])
        names = ["n", *(name for name, _ in self._measured())]
        return names, [list(row) for row in zip(*columns, strict=True)]

    def _headline(self) -> str:
        draws = self.test_mse.draws.shape[1]
        return f"Measured curve: ridge {self.ridge:g}, noise {self.noise:g}, {draws} draws (mean ± standard error)"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal MeasuredCurve."""
        data: dict[str, Any] = {
            "type": "kernalg.MeasuredCurve",
            "n": self.n.tolist(),
            "ridge": self.ridge,
            "noise": self.noise,
            "seed": str(self.seed),
            "truncation": None if self.truncation is None else self.truncation.tolist(),
        }
        data |= {name: quantity.draws.tolist() for name, quantity in self._measured()}
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> MeasuredCurve:
        """The MeasuredCurve that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.MeasuredCurve")
        try:
            data |= {name: Measured(data[name]) for name in _QUANTITIES if name in data}
            data |= {name: real_number(name, data[name], minimum=0.0) for name in ("ridge", "noise")}
            data["seed"] = int(data["seed"])
            return cls(**data)
        except (KeyError, TypeError, ValueError) as error:
            raise DomainError(f"not the JSON of a MeasuredCurve, as to_json writes it: {error}") from error

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n, a mean and a standard error per quantity; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {}
        for name, quantity in self._measured():
            columns[name], columns[f"{name}_error"] = quantity.mean, quantity.standard_error
        return pandas.DataFrame(columns, index=pandas.Index(self.n, name="n"))
