"""Where a kernel is fitted: cosines, their weights, and the target's values there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.checks import FloatArray, real_vector
from kernalg.enclosure.balls import ball, bits_for, precision
from kernalg.errors import DomainError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.profile import Profile

_INTERVALS = 99
_EXTRA_COPIES_OF_ONE = 11


@dataclass(frozen=True, slots=True, eq=False)
class FitGrid:
    """Cosines in [-1, 1] and their weights; made by `fit_grid`.

    Attributes
    ----------
    cosines : (m,) float64 array
    weights : (m,) float64 array
        What the squared residual at each cosine is multiplied with.
    balls : callable
        The cosines, enclosed at the current precision.
    """

    cosines: FloatArray
    weights: FloatArray
    balls: Callable[[], list[arb]]


def fit_grid(cosines: Any = None, weights: Any = None) -> FitGrid:
    """The grid asked for; by default 100 angles j pi/99, and c = 1 with the weight 12 instead of 1.

    The default is the setting of Simon, Anand and DeWeese (ICML 2022), who repeat c = 1 eleven times: there a kernel
    of a deep network is steepest, and there it decides how fast networks train.

    Examples
    --------
    >>> grid = fit_grid()
    >>> len(grid.cosines), float(grid.weights.sum())
    (100, 111.0)
    """
    if cosines is None:
        points = np.cos(np.pi * np.arange(_INTERVALS + 1) / _INTERVALS)
        points[[0, -1]] = 1, -1

        def balls() -> list[arb]:
            return [(arb(j) / _INTERVALS).cos_pi() for j in range(_INTERVALS + 1)]

    else:
        points = real_vector("cosines", cosines)
        if len(points) == 0:
            raise DomainError("cosines is empty; give at least one number in [-1, 1]")
        if np.abs(points).max() > 1:
            raise DomainError(f"cosines contains {points[np.abs(points).argmax()]}; they lie in [-1, 1]")

        def balls() -> list[arb]:
            return [arb(float(p)) for p in points]

    if weights is not None:
        mass = real_vector("weights", weights, minimum=0)
        if mass.shape != points.shape or not mass.any():
            raise DomainError(f"{len(mass)} weights for {len(points)} cosines; one each is needed, not all of them 0")
    else:
        mass = np.ones(len(points))
        if cosines is None:
            mass[0] += _EXTRA_COPIES_OF_ONE
    return FitGrid(points, mass, balls)


class Target:
    """A target kernel on a grid: balls at any precision, and float64 values.

    Parameters
    ----------
    given : Kernel, DotProductKernel, str, sympy.Expr, or array of values at the cosines
        What has a ``profile()``, or a formula in rho, which here stands for the cosine of two inputs.
    grid : FitGrid
    """

    def __init__(self, given: Any, grid: FitGrid) -> None:
        self.grid = grid
        self._kernel: Any = None
        self._given_values: FloatArray | None = None
        if isinstance(given, str | sp.Expr):
            given = dot_product_kernel(given)
        if isinstance(given, Profile):
            self._profile, self.name = given, given.name
        elif hasattr(given, "profile"):
            self._kernel, self._profile = given, given.profile()
            self.name = self._profile.name
        elif hasattr(given, "ntk") or isinstance(given, Mapping) or np.ndim(given) != 1:
            what = type(given).__name__
            raise DomainError(
                f"the target is of type {what}: give a kernel (of a network: its .ntk or .nngp), a formula in rho, or "
                "one value for each cosine"
            )
        else:
            self._given_values, self.name = real_vector("target", given), "values"
            if self._given_values.shape != grid.cosines.shape:
                raise DomainError(
                    f"the target has {len(self._given_values)} values and the grid {len(grid.cosines)} cosines; give "
                    "one value for each, and the cosines they belong to as cosines=…"
                )

    @property
    def is_float64(self) -> bool:
        """Whether balls are out of reach within reason: the kernel costs seconds a value there, and float64 does it."""
        return self._given_values is None and self._profile.evaluation == "quadrature" and self._kernel is not None

    def balls(self, cosines: list[arb]) -> list[arb]:
        """Enclosures of the values at the cosines, at the current precision."""
        if self._given_values is not None:
            return [ball(v) for v in self._given_values]
        values = [self._profile.ball(c) for c in cosines]
        self._refuse([bool(v.is_finite()) for v in values])
        return values

    @cached_property
    def values(self) -> FloatArray:
        """The values in float64."""
        if self._given_values is not None:
            return self._given_values
        if self.is_float64:  # two inputs on the circle |x|^2 = 2
            c = self.grid.cosines
            others = np.sqrt(2) * np.column_stack([c, np.sqrt((1 - c) * (1 + c))])
            values = np.asarray(self._kernel(np.array([[np.sqrt(2), 0.0]]), others))[0]
            self._refuse(np.isfinite(values).tolist())
        else:
            with precision(bits_for(20)):
                values = np.array([float(v) for v in self.balls(self.grid.balls())])
        values.flags.writeable = False
        return values

    def _refuse(self, finite: list[bool]) -> None:
        if not all(finite):
            where = self.grid.cosines[finite.index(False)]
            raise DomainError(f"the target {self.name} has no finite real value at the cosine {where}; leave it out")
