"""Gram entries by the layer recursion: every entry goes through all layers, at any norms.

Entries whose float64 formula cancels (close or opposite rows, most of all) are computed again in double-double from
the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from kernalg.compiled.cache import load
from kernalg.compiled.gram_source import BLOCK, feature_width, gram_text, refine_text
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.layer_program import DenseStep, DualStep, SeriesStep
from kernalg.compiled.source import double_double
from kernalg.errors import DomainError, InternalError


@dataclass(frozen=True, slots=True)
class RecursionRows:
    """Rows, their features in either role, and the diagonal of both kernels.

    `F2` has one row for every `BLOCK` inputs. For messages, the rows are `name`[`start`] and those after it.
    """

    name: str
    X: FloatArray
    F1: FloatArray
    F2: FloatArray
    K: FloatArray
    T: FloatArray
    start: int = 0

    def cut(self, first: int, last: int) -> RecursionRows:
        """The rows first..last, as views; `first` is a multiple of `BLOCK`."""
        part, blocks = slice(first, last), slice(first // BLOCK, -(-last // BLOCK))
        arrays = (self.X[part], self.F1[part], self.F2[blocks], self.K[part], self.T[part])
        return RecursionRows(self.name, *arrays, self.start + first)


class RecursionRoute:
    """The layers as formulas and numbers. Nothing is generated or compiled before the first rows."""

    def __init__(self, steps: Sequence[DenseStep | DualStep | SeriesStep]) -> None:
        formulas: list[DualStep] = []
        kinds: list[int] = []
        weights: list[tuple[sp.Expr, sp.Expr, int]] = []
        pending: tuple[sp.Expr, sp.Expr, int] | None = None
        identity = (sp.S.One, sp.S.Zero, 0)
        for step in steps:
            if isinstance(step, DenseStep):
                if pending is not None:
                    kinds.append(-1)
                    weights.append(pending)
                pending = (step.w_var, step.b_var, 1)
                continue
            if isinstance(step, SeriesStep):
                raise InternalError(f"the recursion by formulas was given {step.label}, which has none")
            if step not in formulas:
                formulas.append(step)
            kinds.append(formulas.index(step))
            weights.append(pending or identity)
            pending = None
        if pending is not None:
            kinds.append(-1)
            weights.append(pending)
        self.formulas = formulas
        self._kinds = np.array(kinds, dtype=np.int64)
        self._dense = np.array(
            [[*double_double(w), *double_double(b), float(g)] for w, b, g in weights], dtype=np.float64
        ).reshape(len(kinds), 5)

    @property
    def _float64_module(self) -> ModuleType:
        return _float64_module(tuple(self.formulas))

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        """Where the features of each step begin; column 0 is the square root of the input variance."""
        widths = [_width(step) for step in self.formulas]
        return np.cumsum([1, *(widths[kind] if kind >= 0 else 0 for kind in self._kinds)], dtype=np.int64)

    @property
    def _refine_module(self) -> ModuleType:
        return _refine_module(tuple(self.formulas))

    @cached_property
    def _float_dense(self) -> FloatArray:
        return np.ascontiguousarray(self._dense[:, [0, 2, 4]])

    def rows(self, name: str, X: FloatArray, squared_norms: FloatArray) -> RecursionRows:
        n, width = X.shape[0], int(self._offsets[-1])
        features = np.empty((n, width)), np.empty((-(-n // BLOCK), width * BLOCK))
        rows = RecursionRows(name, X, *features, np.empty(n), np.empty(n))
        flagged = np.zeros(X.shape[0], dtype=np.bool_)
        self._float64_module.rows(
            squared_norms / X.shape[1],
            self._kinds,
            self._offsets,
            self._float_dense,
            rows.F1,
            rows.F2,
            rows.K,
            rows.T,
            flagged,
        )
        bad = np.flatnonzero(flagged)
        if bad.size:
            self._refine_module.refine_diagonal(X, bad, self._kinds, self._dense, rows.K, rows.T)
        return rows

    def work(
        self,
        left: RecursionRows,
        right: RecursionRows,
        K: tuple[FloatArray, int],
        T: tuple[FloatArray, int],
        first: int,
        last: int,
        lower: bool,
        with_ntk: bool,
    ) -> None:
        """The rows first..last: K from x.y to the kernel, and T; each an array and the row stored first in it.

        Float64, then double-double for the entries that come out NaN.
        """
        d = float(left.X.shape[1])
        marked = self._float64_module.pairs(
            *K, *T, first, last, lower, d, self._kinds, self._offsets, self._float_dense, left.F1, right.F2
        )
        if marked:
            nngp, ntk = (matrix[first - offset : last - offset] for matrix, offset in (K, T))
            self._refine(left, right, nngp, ntk, first, lower, with_ntk)

    def _refine(
        self,
        left: RecursionRows,
        right: RecursionRows,
        K: FloatArray,
        T: FloatArray,
        first: int,
        lower: bool,
        with_ntk: bool,
    ) -> None:
        """Compute the entries of the rows from `first` on that are not finite again."""
        wrong = np.nonzero(unfinished(K, T, first, lower, with_ntk))
        rows, columns = wrong[0] + first, np.ascontiguousarray(wrong[1])
        nngp, ntk = np.empty(rows.size), np.empty(rows.size)
        self._refine_module.refine(
            left.X,
            right.X,
            rows,
            columns,
            self._squares(left.X, rows),
            self._squares(right.X, columns),
            self._kinds,
            self._dense,
            left.K,
            left.T,
            nngp,
            ntk,
        )
        finite = np.isfinite(nngp) & (np.isfinite(ntk) | (not with_ntk))
        if not finite.all():
            e = np.flatnonzero(~finite)[0]
            raise DomainError(
                f"the kernel of {left.name}[{left.start + rows[e]}] with {right.name}[{right.start + columns[e]}] "
                "is not a finite number; the formulas have no value there. Remove one of the rows, or rescale the data"
            )
        K[wrong] = nngp
        T[wrong] = ntk

    def _squares(self, X: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        """x.x/d of these rows as (hi, lo), every distinct row computed once."""
        distinct, inverse = np.unique(rows, return_inverse=True)
        found = np.empty((distinct.size, 2))
        self._refine_module.squares(X, distinct, found)
        return found[inverse]


# One text for all variances and depths: an optimiser that changes them at every step waits for no formula.
@lru_cache(maxsize=64)
def _float64_module(formulas: tuple[DualStep, ...]) -> ModuleType:
    return load(gram_text(formulas))


@lru_cache(maxsize=64)
def _refine_module(formulas: tuple[DualStep, ...]) -> ModuleType:
    return load(refine_text(formulas))


@lru_cache(maxsize=64)
def _width(step: DualStep) -> int:
    return feature_width(step)


def unfinished(K: FloatArray, T: FloatArray, first: int, lower: bool, with_ntk: bool) -> NDArray[np.bool_]:
    """The entries that came out not finite, of rows from `first` on; of the lower triangle alone if `lower`."""
    wrong: NDArray[np.bool_] = ~(np.isfinite(K) & (np.isfinite(T) | (not with_ntk)))
    if lower:
        wrong &= np.arange(K.shape[1]) < np.arange(first, first + K.shape[0])[:, None]
    return wrong
