"""The layers a network is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kernalg.activation.activation import Activation
from kernalg.activation.kernel_map import KernelMap
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, to_json


@dataclass(frozen=True)
class Dense:
    """A fully connected layer in the NTK parameterisation: z = sqrt(w_var / fan_in) W h + sqrt(b_var) b.

    On kernels: K <- w_var K + b_var and T <- K_new + w_var T (weights and biases are both counted).

    Parameters
    ----------
    w_var, b_var : exact numbers (int, Fraction, SymPy, "1/20"; a float means its shortest decimal), not negative
        *Variances*, not standard deviations.

    Examples
    --------
    >>> Dense(2, 0.1)
    Dense(w_var=2, b_var=1/10)
    """

    w_var: Any = 1
    b_var: Any = 0

    def __post_init__(self) -> None:
        for name in ("w_var", "b_var"):
            value = exact_number(getattr(self, name), name)
            if value.is_negative:
                raise DomainError(
                    f"Dense({name}={value}): a variance is not negative (a standard deviation is squared first)"
                )
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Dense(w_var={self.w_var}, b_var={self.b_var})"


Nonlinearity = Activation | KernelMap
Layer = Dense | Nonlinearity


def layers_to_tree(layers: tuple[Layer, ...]) -> list[dict[str, Any]]:
    """The JSON form of a sequence of layers."""
    return [_to_tree(layer) for layer in layers]


def layers_from_tree(tree: list[dict[str, Any]]) -> tuple[Layer, ...]:
    """The layers of their JSON form."""
    if not isinstance(tree, list) or not all(isinstance(row, dict) for row in tree):
        raise DomainError("the layers of a network are a JSON list of objects")
    made: dict[str, Layer] = {}  # equal layers share one value, and so its derived dual
    return tuple(made.setdefault(key, made.get(key) or _from_tree(row)) for row in tree if (key := json.dumps(row)))


def _to_tree(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Dense):
        return {"dense": [to_json(layer.w_var), to_json(layer.b_var)]}
    if isinstance(layer, KernelMap):
        return {"kernel_map": [to_json(layer.expr), to_json(layer.factor)], "name": layer.name}
    return {"activation": to_json(layer.expr), "name": layer.name}


def _from_tree(row: dict[str, Any]) -> Layer:
    if "dense" in row:
        return Dense(*(from_json(v) for v in row["dense"]))
    if "kernel_map" in row:
        return KernelMap(str(row.get("name", "map")), *(from_json(v) for v in row["kernel_map"]))
    if "activation" not in row:
        raise DomainError(f"a layer has one of the keys dense, activation, kernel_map; this one has {sorted(row)}")
    return Activation(from_json(row["activation"]), str(row.get("name", "")))
