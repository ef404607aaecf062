r"""Gram entries of networks whose duals have no formula, at any norms: the Hermite series, layer by layer.

.. math:: k(q_1, q_2, c) = \sum_k a_k(q_1)\,a_k(q_2)\,\rho^k, \qquad a_k(q) = E[\varphi(\sqrt q Z)\,h_k(Z)],

and the same with the derivative for the tangent kernel. The coefficients belong to a row and a layer, and cost one
matrix product (`series_coefficients`); an entry costs two fused multiply-adds a term.

What is left out is known. By Cauchy and Schwarz a pair's terms from n on are at most
:math:`\sqrt{R_n(q_1) R_n(q_2)}\,|\rho|^n`, :math:`R_n = \sum_{k\ge n} a_k^2`, and Parseval's
:math:`R_N = E\varphi^2 - \sum_{k<N} a_k^2` tells whether N terms were enough and whether the rule was right. That
defect and the rounding of rho, which a layer multiplies by :math:`\sum k a_k^2 / \sum a_k^2` at most, are carried to
the last layer as the error of each row.

The series of a function that breaks at 0 never settles at rho = ±1. It is used where it does, and the few entries of
nearly parallel inputs are computed by `sector_rule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import NoReturn

import numpy as np
import sympy as sp

from kernalg.compiled.cache import helper_text, load
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.layer_program import DenseStep, DualStep, SeriesStep
from kernalg.compiled.recursion_route import unfinished
from kernalg.compiled.sector_rule import sector_moments
from kernalg.compiled.series_coefficients import TOLERANCE, Coefficients, coefficients
from kernalg.compiled.source import double_double
from kernalg.errors import DomainError, InternalError

_IMPORT = "from kernalg.compiled.runtime import fma\n"
# Terms below this share of sqrt(k(q1, q1) k(q2, q2)) are left out; where more is missing, there is no value.
_NEGLIGIBLE = 2e-17
_MOST_OFF = 1e-14
# How many entries are computed by quadrature in 256 rows.
MOST_REFINED = 200
# 1 - |rho| below which the rounding of rho moves a kernel of slope 1/angle by 1e-12.
_NEARLY_PARALLEL = 5e-9
# The square root of a variance up to which the quadrature of an entry is a matter of a second.
_LARGEST_ROOT = 32.0
_EQUAL_NORMS = "Scale the rows to equal norms: X * sqrt(d) / norm(X, axis=1, keepdims=True)"
_ROUNDING = 2.0**-52


@cache
def loops() -> ModuleType:
    """The compiled loops, one module for all networks."""
    return load(helper_text("runtime") + helper_text("series_loops").replace(_IMPORT, ""))


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Rows, x.x, the coefficients of every activation, and the diagonal of both kernels.

    `error` is the largest error expected of an entry of the NNGP kernel and of the NTK, as shares of the diagonal. For
    messages, the rows are `name`[`start`] and those after it.
    """

    name: str
    X: FloatArray
    squared: FloatArray
    layers: tuple[Coefficients, ...]
    K: FloatArray
    T: FloatArray
    error: tuple[float, float]
    start: int = 0

    def cut(self, first: int, last: int) -> SeriesRows:
        """The rows first..last, as views; `first` is a multiple of `BLOCK`."""
        part = slice(first, last)
        layers = tuple(layer.cut(first, last) for layer in self.layers)
        return SeriesRows(
            self.name, self.X[part], self.squared[part], layers, self.K[part], self.T[part], self.error,
            self.start + first,
        )  # fmt: skip


class SeriesRoute:
    """The layers as functions and numbers."""

    def __init__(self, steps: Sequence[DenseStep | DualStep | SeriesStep]) -> None:
        # (w, b, gain, activation): gain 0 where no Dense layer stands before the activation
        self.steps: list[tuple[float, float, float, SeriesStep | None]] = []
        pending: tuple[float, float, float] | None = None
        for step in steps:
            if isinstance(step, DualStep):
                raise InternalError(f"the recursion by series was given a formula, that of {step.label}")
            if isinstance(step, DenseStep):
                if pending is not None:
                    self.steps.append((*pending, None))
                pending = (_float(step.w_var), _float(step.b_var), 1.0)
            else:
                self.steps.append((*(pending or (1.0, 0.0, 0.0)), step))
                pending = None
        if pending is not None:
            self.steps.append((*pending, None))

    @property
    def depth(self) -> int:
        """The number of activations."""
        return sum(step is not None for *_, step in self.steps)

    def reaches(self, variance: float, dimension: int) -> bool:
        """Whether rows with x.x = d variance have an accurate kernel on this route."""
        try:
            self.rows("X", np.empty((1, dimension)), np.array([variance * dimension]))
        except DomainError:
            return False
        return True

    # -- rows -------------------------------------------------------------------------------------

    def rows(self, name: str, X: FloatArray, squared_norms: FloatArray) -> SeriesRows:
        n, d = X.shape
        q = squared_norms / d
        t = np.zeros(n)
        layers = []
        # Errors as shares of q and of t; x.y and the norms are rounded.
        off, slipped = np.full(n, (1 + d**0.5 / 8) * _ROUNDING), np.zeros(n)
        for w, b, gain, step in self.steps:
            before, q = w * q, w * q + b
            off = np.divide(before * off, q, out=np.zeros(n), where=q > 0) + _ROUNDING
            t, slipped = _sum(gain * q, off, w * t, slipped)
            if step is None:
                continue
            made, moments = coefficients(name, step, q)
            layers.append(made)
            slipped = slipped + off * moments.growth[1] + moments.defects[1]
            off = off * moments.growth[0] + moments.defects[0]
            q, t = moments.sizes[0], t * moments.sizes[1]
        error = float(off.max()), float(slipped.max())
        if max(error) > TOLERANCE:
            worst = int(np.argmax(np.maximum(off, slipped)))
            raise DomainError(
                f"the rounding of the inputs grows to {max(error):.1g} of the kernel of {name}[{worst}] on its way "
                f"through {len(layers)} layers, and {TOLERANCE:g} is allowed: these weight variances amplify small "
                "differences of the inputs. Fewer layers or smaller weight variances are possible, and K.value(...) "
                "has certified digits for single pairs"
            )
        return SeriesRows(name, X, squared_norms, tuple(layers), q, t, error)

    # -- entries ----------------------------------------------------------------------------------

    def work(
        self,
        left: SeriesRows,
        right: SeriesRows,
        K: tuple[FloatArray, int],
        T: tuple[FloatArray, int],
        first: int,
        last: int,
        lower: bool,
        with_ntk: bool,
    ) -> None:
        """The rows first..last: K from x.y to the kernel, and T; each an array and the row stored first in it."""
        columns = last if lower else right.X.shape[0]
        K[0][first - K[1] : last - K[1], :columns] /= left.X.shape[1]
        T[0][first - T[1] : last - T[1], :columns] = 0.0
        places = (*K, *T, first, last, lower)
        at = 0
        for w, b, gain, step in self.steps:
            if step is None:
                loops().affine(*places, w, b, gain)
                continue
            one, other = left.layers[at], right.layers[at]
            at += 1
            odd = np.array([step.parity < 0, step.parity > 0])
            loops().layer(
                *places, with_ntk, w, b, gain, one.roots, other.roots,
                one.values, one.slopes, one.offsets, one.tails,
                other.values, other.slopes, other.offsets, other.tails,
                step.parity != 0, odd, _NEGLIGIBLE, _MOST_OFF,
            )  # fmt: skip
        wrong = loops().finish(
            *places, with_ntk, left.X, right.X, left.squared, right.squared, left.K, left.T
        )  # fmt: skip
        if wrong:
            nngp, ntk = (matrix[first - offset : last - offset] for matrix, offset in (K, T))
            self._refine(left, right, nngp, ntk, first, lower, with_ntk)

    def _refine(
        self,
        left: SeriesRows,
        right: SeriesRows,
        K: FloatArray,
        T: FloatArray,
        first: int,
        lower: bool,
        with_ntk: bool,
    ) -> None:
        """Compute the entries of the rows from `first` on that are not finite again, one by one."""
        entries = np.argwhere(unfinished(K, T, first, lower, with_ntk))
        i, j = first + entries[0, 0], entries[0, 1]
        where = f"the kernel of {left.name}[{left.start + i}] with {right.name}[{right.start + j}]"
        broken = [step.label for *_, step in self.steps if step is not None and step.breaks]
        if not broken:
            raise DomainError(f"{where} is beyond the range of float64; rescale the data")
        if len(entries) > MOST_REFINED:
            raise DomainError(
                f"{where} is one of {len(entries)} entries in {K.shape[0]} rows where inputs of a layer are nearly "
                f"parallel. {broken[0]} is not smooth at 0, so that its Hermite series settles too slowly there, and "
                f"at most {MOST_REFINED} such entries are computed by quadrature. {_EQUAL_NORMS}, or use fewer layers"
            )
        trusted: set[tuple[int, float]] = set()
        for row, column in entries:
            K[row, column], T[row, column] = self._pair(left, right, first + row, column, trusted)

    def _pair(
        self, left: SeriesRows, right: SeriesRows, i: int, j: int, trusted: set[tuple[int, float]]
    ) -> tuple[float, float]:
        """Both kernels of two rows by `sector_moments`, with the angle of the rows from their difference."""
        x, y = left.X[i] / left.squared[i] ** 0.5, right.X[j] / right.squared[j] ** 0.5
        side = 1.0 if x @ y > 0 else -1.0
        small = 2 * np.arcsin(min(1.0, float(np.linalg.norm(x - side * y)) / 2))
        angle = small if side > 0 else np.pi - small
        c = float(np.cos(angle)) * (left.squared[i] * right.squared[j]) ** 0.5 / left.X.shape[1]
        t, at, known = 0.0, 0, True
        for w, b, gain, step in self.steps:
            known = known and b == 0
            c = w * c + b
            t = gain * c + w * t
            if step is None:
                continue
            one, other = left.layers[at], right.layers[at]
            root1, root2 = float(one.roots[i]), float(other.roots[j])
            at += 1
            if max(root1, root2) > _LARGEST_ROOT:
                self._refuse_pair(left, right, i, j)
            if not known:
                rho = c / (root1 * root2)
                if 1 - abs(rho) < _NEARLY_PARALLEL:
                    self._refuse_pair(left, right, i, j)
                angle = float(np.arccos(rho))
            # The rule is right when it knows the larger diagonal.
            root, sizes = (root1, one.sizes[:, i]) if root1 > root2 else (root2, other.sizes[:, j])
            if (at, root) not in trusted:
                off = np.abs(np.array(sector_moments(step, root, root, 0.0)) - sizes)
                if not (off <= 10 * _MOST_OFF * sizes).all():
                    self._refuse_pair(left, right, i, j)
                trusted.add((at, root))
            c, slope = sector_moments(step, root1, root2, angle)
            t *= slope
            known = False
        return c, t

    def _refuse_pair(self, left: SeriesRows, right: SeriesRows, i: int, j: int) -> NoReturn:
        raise DomainError(
            f"the kernel of {left.name}[{left.start + i}] with {right.name}[{right.start + j}] is not known to "
            f"{TOLERANCE:g}: the inputs of a layer are nearly parallel, or their norms are large. {_EQUAL_NORMS}, "
            "remove one of the rows, or take K.value(...) for single pairs"
        )


def _float(number: sp.Expr) -> float:
    return double_double(number)[0]


def _sum(k: FloatArray, off: FloatArray, t: FloatArray, slipped: FloatArray) -> tuple[FloatArray, FloatArray]:
    """k + t and its error as a share of it."""
    total = k + t
    return total, np.divide(k * off + t * slipped, total, out=np.zeros_like(total), where=total > 0)
