"""Tables of a network's kernels on spheres, made when rows ask for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from flint import arb, fmpq

from kernalg.activation.activation import Activation
from kernalg.compiled.cache import remember
from kernalg.compiled.profile_table import ProfileTable
from kernalg.enclosure.balls import precision
from kernalg.errors import PrecisionError
from kernalg.expansion.piecewise import profile_table
from kernalg.network.layers import Dense, Layer, layers_from_tree, layers_to_tree
from kernalg.network.recursion import on_diagonal, on_opposites
from kernalg.network.sphere_values import sphere_values


@dataclass(frozen=True)
class NetworkSpheres:
    """The tables of one network."""

    layers: tuple[Layer, ...]

    @cached_property
    def text(self) -> str:
        """JSON of the layers."""
        return json.dumps(layers_to_tree(self.layers))

    def __reduce__(self) -> tuple[Any, ...]:
        """Activations carry functions; their text travels to another process instead."""
        return _from_text, (self.text,)

    @cached_property
    def power(self) -> float | None:
        """The product of the degrees, when all activations are homogeneous and no bias is in the way."""
        product = 1.0
        for layer in self.layers:
            if isinstance(layer, Dense):
                if not layer.b_var.is_zero:
                    return None
            elif not isinstance(layer, Activation) or layer.homogeneity is None:
                return None
            else:
                product *= float(layer.homogeneity)
        return product

    def table(self, variance: Fraction) -> ProfileTable | None:
        """Both kernels on the sphere x.x = d variance; None when they vary too fast for a table."""
        return _table(self, variance)


def _from_text(text: str) -> NetworkSpheres:
    return NetworkSpheres(layers_from_tree(json.loads(text)))


@lru_cache(maxsize=256)
def _table(spheres: NetworkSpheres, variance: Fraction) -> ProfileTable | None:
    tree = remember(f"profile table 3\n{spheres.text}\n{variance}", lambda: _compute(spheres, variance))
    return None if tree is None else ProfileTable.from_tree(tree)


def _compute(spheres: NetworkSpheres, variance: Fraction) -> dict[str, list[Any]] | None:
    v = arb(fmpq(variance.numerator, variance.denominator))
    try:
        made = profile_table(sphere_values(spheres.layers, v), _ends(spheres.layers, v))
    except PrecisionError:
        return None
    return made.to_tree()


def _ends(layers: tuple[Layer, ...], variance: arb) -> list[tuple[arb, arb]]:
    """(K(1), K(-1)) and (T(1), T(-1))."""
    for bits in (96, 200, 400, 800, 1600, 3200, 6400):
        with precision(bits):
            ends: Any = list(zip(on_diagonal(layers, variance), on_opposites(layers, variance), strict=True))
            if all(value.rad() <= abs(one) * arb(2) ** -70 for one, minus in ends for value in (one, minus)):
                return ends
    raise PrecisionError("the kernel at opposite inputs is not known to 20 digits at 6400 bits")
