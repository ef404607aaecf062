"""Tables of a network's kernels on spheres, made when rows ask for them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from flint import arb, fmpq

from kernalg.activation.activation import Activation
from kernalg.compiled.cache import remember
from kernalg.compiled.profile_table import ProfileTable
from kernalg.enclosure.balls import precision
from kernalg.errors import FormulaError, PrecisionError
from kernalg.expansion.piecewise import Functions, profile_table
from kernalg.network.layers import Dense, Layer, layers_from_tree, layers_to_tree
from kernalg.network.recursion import on_diagonal, on_opposites
from kernalg.network.sphere_values import sphere_values
from kernalg.progress import Display

_SILENT_SECONDS = 2.0


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
    try:
        text = spheres.text
    except FormulaError:  # a long polynomial may have more digits than a text can have: this process alone keeps it
        tree = _compute(spheres, variance)
    else:
        tree = remember(f"profile table 3\n{text}\n{variance}", lambda: _compute(spheres, variance))
    return None if tree is None else ProfileTable.from_tree(tree)


def _compute(spheres: NetworkSpheres, variance: Fraction) -> dict[str, list[Any]] | None:
    v = arb(fmpq(variance.numerator, variance.denominator))
    watch = _Watch(f"Table of a kernel of {len(spheres.layers)} layers")
    try:
        ends = _ends(spheres.layers, v)
        made = profile_table(watch.following(sphere_values(spheres.layers, v)), ends)
    except PrecisionError:
        return None
    finally:
        watch.close()
    return made.to_tree()


class _Watch:
    """Progress of a table, on a terminal only and silent for the first seconds: nobody asked for the table by name.

    How many values there will be is not known, for the pieces are halved where they must.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._count = 0
        self._start = time.perf_counter()
        self._display = Display() if sys.stderr.isatty() else None
        self._shown = False

    def following(self, values: Functions) -> Functions:
        """`values`, counted."""

        def counted(side: int, y: arb) -> Sequence[arb]:
            found = values(side, y)
            self._count += 1
            if time.perf_counter() - self._start >= _SILENT_SECONDS:
                self._tell(0, " (100 to 300 are usual)")
            return found

        return counted

    def close(self) -> None:
        if self._shown:
            self._tell(1, "")

    def _tell(self, done: int, more: str) -> None:
        if self._display is not None:
            elapsed = time.perf_counter() - self._start
            self._display(done, 1, f"{self._title}: {self._count} values in {elapsed:.0f} s{more}")
            self._shown = True


def _ends(layers: tuple[Layer, ...], variance: arb) -> list[tuple[arb, arb]]:
    """(K(1), K(-1)) and (T(1), T(-1))."""
    for bits in (96, 200, 400, 800, 1600, 3200, 6400):
        with precision(bits):
            ends: Any = list(zip(on_diagonal(layers, variance), on_opposites(layers, variance), strict=True))
            if all(value.rad() <= abs(one) * arb(2) ** -70 for one, minus in ends for value in (one, minus)):
                return ends
    raise PrecisionError("the kernel at opposite inputs is not known to 20 digits at 6400 bits")
