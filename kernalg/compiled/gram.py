"""Gram matrices of layer programs: both kernels, one pass, in panels of rows.

A panel is one BLAS product, turned into kernel entries while it is in cache. The matrix of X against itself is
computed below the diagonal and mirrored; its diagonal comes from the diagonal recursion, bit for bit what
`diagonal` returns. Entries whose float64 formula cancels (close or opposite rows, most of all) are computed again
in double-double from the rows.

The compiled functions are serial and release the interpreter lock; Python threads share the rows of a panel. So
no Numba threading layer is involved: any thread may call, forked processes may too, and the result does not
depend on the number of threads.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from kernalg.compiled.cache import load
from kernalg.compiled.gram_source import BLOCK, common_text, feature_width, gram_text, refine_text
from kernalg.compiled.inputs import FloatArray, data_matrix, output_matrix
from kernalg.compiled.layer_program import DenseStep, DualStep, LayerProgram
from kernalg.compiled.source import double_double
from kernalg.compiled.threads import threads
from kernalg.errors import DomainError

_PANEL_ROWS = 256
_CHUNK_ROWS = 32
_PANEL_ENTRIES = 2**22
_THREADED_ENTRIES = 20_000


def compile_program(program: LayerProgram) -> CompiledProgram:
    """Prepare `program` for arrays. Nothing is generated or compiled before the first call.

    Examples
    --------
    >>> import numpy as np, sympy as sp
    >>> from kernalg.symbols import c, q1
    >>> linear = DualStep(k=c, derivative=sp.S(1), k_diagonal=q1, derivative_diagonal=sp.S(1), label="x")
    >>> program = LayerProgram((DenseStep(sp.S(2), sp.S(0)), linear, DenseStep(sp.S(1), sp.S(0))))
    >>> compile_program(program).nngp(np.array([[1.0, 1.0], [1.0, -1.0]])).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return CompiledProgram(program)


class CompiledProgram:
    """The two kernels of a layer program as functions of arrays of rows.

    Every method takes `X` of shape (n, d) and optionally `Y` of shape (m, d), real and finite, one input a row.
    Zero rows are accepted where the formulas have a limit.
    """

    def __init__(self, program: LayerProgram) -> None:
        self.program = program
        formulas: list[DualStep] = []
        kinds: list[int] = []
        weights: list[tuple[sp.Expr, sp.Expr, int]] = []
        pending: tuple[sp.Expr, sp.Expr, int] | None = None
        identity = (sp.S.One, sp.S.Zero, 0)
        for step in program.steps:
            if isinstance(step, DenseStep):
                if pending is not None:
                    kinds.append(-1)
                    weights.append(pending)
                pending = (step.w_var, step.b_var, 1)
                continue
            if step not in formulas:
                formulas.append(step)
            kinds.append(formulas.index(step))
            weights.append(pending or identity)
            pending = None
        if pending is not None:
            kinds.append(-1)
            weights.append(pending)
        self._formulas = formulas
        self._kinds = np.array(kinds, dtype=np.int64)
        self._dense = np.array(
            [[*double_double(w), *double_double(b), float(g)] for w, b, g in weights], dtype=np.float64
        ).reshape(len(kinds), 5)

    def __repr__(self) -> str:
        labels = [step.label for step in self.program.steps if isinstance(step, DualStep)]
        return f"CompiledProgram({len(self.program.steps)} steps: {', '.join(labels) or 'linear'})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the program alone: another process loads the compiled modules from the cache."""
        return CompiledProgram, (self.program,)

    # -- the kernels ----------------------------------------------------------------------------

    def both(self, X: Any, Y: Any = None, out: Any = None) -> tuple[FloatArray, FloatArray]:
        """Both kernels, `(nngp, ntk)`, each of shape (n, m); `out` is a pair of arrays to write into.

        Raises
        ------
        DomainError
            Inputs that are not finite real (n, d) arrays, `out` of another shape or type, or a pair of rows
            where the kernel has no finite value.
        """
        left, right, shape = self._inputs(X, Y)
        first, second = (None, None) if out is None else _pair(out)
        K = output_matrix(first, shape, "out[0]")
        T = output_matrix(second, shape, "out[1]")
        if np.shares_memory(K, T):
            raise DomainError("out[0] and out[1] overlap; give two separate arrays")
        self._fill(left, right, K, T)
        return K, T

    def nngp(self, X: Any, Y: Any = None, out: Any = None) -> FloatArray:
        """The NNGP kernel, shape (n, m)."""
        left, right, shape = self._inputs(X, Y)
        K = output_matrix(out, shape, "out")
        self._fill(left, right, K, None)
        return K

    def ntk(self, X: Any, Y: Any = None, out: Any = None) -> FloatArray:
        """The NTK, shape (n, m); the NNGP kernel is kept for one panel of rows only."""
        left, right, shape = self._inputs(X, Y)
        T = output_matrix(out, shape, "out")
        self._fill(left, right, None, T)
        return T

    def diagonal(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """`(nngp, ntk)` of every row with itself, shape (n,) each."""
        rows = self._rows(data_matrix(X, "X"), "X", with_ntk=True)
        return rows.K, rows.T

    @property
    def source(self) -> str:
        """Text of the generated float64 module."""
        return gram_text(self._formulas)

    # -- work -----------------------------------------------------------------------------------

    @cached_property
    def _float64_module(self) -> ModuleType:
        return load(gram_text(self._formulas))

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        """Where the features of each step begin; column 0 is the square root of the input variance."""
        widths = [feature_width(step) for step in self._formulas]
        return np.cumsum([1, *(widths[kind] if kind >= 0 else 0 for kind in self._kinds)], dtype=np.int64)

    @cached_property
    def _refine_module(self) -> ModuleType:
        return load(refine_text(self._formulas))

    def _inputs(self, X: Any, Y: Any) -> tuple[FloatArray, FloatArray | None, tuple[int, int]]:
        left = data_matrix(X, "X")
        right = None if Y is None else data_matrix(Y, "Y")
        if right is not None and right.shape[1] != left.shape[1]:
            raise DomainError(
                f"X has {left.shape[1]} columns and Y has {right.shape[1]}; the inputs must have one dimension"
            )
        return left, right, (left.shape[0], (left if right is None else right).shape[0])

    def _rows(self, X: FloatArray, name: str, with_ntk: bool) -> _Rows:
        rows = _Rows(X, int(self._offsets[-1]))
        q = np.empty(X.shape[0])
        _common().mean_squares(X, q)
        if not np.isfinite(q).all():
            raise DomainError(
                f"the squared norm of {name}[{np.flatnonzero(~np.isfinite(q))[0]}] overflows float64; rescale the data"
            )
        flagged = np.zeros(X.shape[0], dtype=np.bool_)
        self._float64_module.rows(
            q, self._kinds, self._offsets, self._float_dense, rows.F1, rows.F2, rows.K, rows.T, flagged
        )
        bad = np.flatnonzero(flagged)
        if bad.size:
            self._refine_module.refine_diagonal(X, bad, self._kinds, self._dense, rows.K, rows.T)
        finite = np.isfinite(rows.K) & (np.isfinite(rows.T) | (not with_ntk))
        if not finite.all():
            i = np.flatnonzero(~finite)[0]
            raise DomainError(
                f"the kernel of {name}[{i}] with itself is not finite (its squared norm over d is {q[i]:.6g}); "
                "remove this row or rescale the data"
            )
        return rows

    @cached_property
    def _float_dense(self) -> FloatArray:
        return np.ascontiguousarray(self._dense[:, [0, 2, 4]])

    def _fill(self, X: FloatArray, Y: FloatArray | None, K: FloatArray | None, T: FloatArray | None) -> None:
        lower = Y is None
        other = X if Y is None else Y
        n, m = X.shape[0], other.shape[0]
        if n == 0 or m == 0:
            return
        for matrix in (K, T):
            if matrix is not None and (np.may_share_memory(matrix, X) or np.may_share_memory(matrix, other)):
                raise DomainError("out overlaps the inputs in memory; give a separate array, e.g. out.copy()")
        with_ntk = T is not None
        left = self._rows(X, "X", with_ntk)
        right = left if lower else self._rows(other, "Y", with_ntk)
        height = max(1, min(_PANEL_ROWS, n, _PANEL_ENTRIES // m))
        scratch = np.empty((height, m)) if K is None or T is None else None
        with threads(n * m > _THREADED_ENTRIES) as share:
            for first in range(0, n, height):
                last = min(first + height, n)
                nngp, ntk = (_Panel(scratch, first) if full is None else _Panel(full, 0) for full in (K, T))
                columns = last if lower else m
                np.matmul(X[first:last], other[:columns].T, out=nngp.rows(first, last)[:, :columns])
                share(
                    partial(self._work, left, right, nngp, ntk, last, lower, with_ntk), range(first, last, _CHUNK_ROWS)
                )
            if lower:
                for matrix, diagonal in ((K, left.K), (T, left.T)):
                    if matrix is not None:
                        np.fill_diagonal(matrix, diagonal)
                        share(partial(_mirror, matrix), range(0, n, _CHUNK_ROWS))

    def _work(
        self,
        left: _Rows,
        right: _Rows,
        nngp: _Panel,
        ntk: _Panel,
        last: int,
        lower: bool,
        with_ntk: bool,
        first: int,
    ) -> None:
        """A chunk of rows: float64, then double-double for the entries that come out NaN."""
        last = min(first + _CHUNK_ROWS, last)
        d = float(left.X.shape[1])
        marked = self._float64_module.pairs(
            *nngp, *ntk, first, last, lower, d, self._kinds, self._offsets, self._float_dense, left.F1, right.F2
        )
        if marked:
            self._refine(left, right, nngp.rows(first, last), ntk.rows(first, last), first, lower, with_ntk)

    def _refine(
        self, left: _Rows, right: _Rows, K: FloatArray, T: FloatArray, first: int, lower: bool, with_ntk: bool
    ) -> None:
        """Compute the entries of the rows from `first` on that are not finite again."""
        wrong = ~(np.isfinite(K) & (np.isfinite(T) | (not with_ntk)))
        if lower:
            wrong &= np.arange(K.shape[1]) < np.arange(first, first + K.shape[0])[:, None]
        rows, columns = (np.ascontiguousarray(index) for index in np.nonzero(wrong))
        nngp, ntk = np.empty(rows.size), np.empty(rows.size)
        rows += first
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
                f"the kernel of X[{rows[e]}] with {'X' if lower else 'Y'}[{columns[e]}] is not a finite "
                "number; the formulas have no value there. Remove one of the rows, or rescale the data"
            )
        K[wrong] = nngp
        T[wrong] = ntk

    def _squares(self, X: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        """x.x/d of these rows as (hi, lo), every distinct row computed once."""
        distinct, inverse = np.unique(rows, return_inverse=True)
        found = np.empty((distinct.size, 2))
        self._refine_module.squares(X, distinct, found)
        return found[inverse]


class _Panel(NamedTuple):
    """Rows of a kernel matrix from `first` on: the whole matrix (0), or scratch for a few rows."""

    values: Any
    first: int

    def rows(self, first: int, last: int) -> Any:
        return self.values[first - self.first : last - self.first]


class _Rows:
    """Rows, their features in either role, and their diagonal values."""

    __slots__ = ("F1", "F2", "K", "T", "X")

    def __init__(self, X: FloatArray, width: int) -> None:
        n = X.shape[0]
        self.X = X
        self.F1 = np.empty((n, width))
        self.F2 = np.empty((-(-n // BLOCK), width * BLOCK))
        self.K = np.empty(n)
        self.T = np.empty(n)


def _pair(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise DomainError(f"out must be a pair (nngp, ntk) of arrays, not {type(out).__name__}")
    return out[0], out[1]


@cache
def _common() -> ModuleType:
    return load(common_text())


def _mirror(matrix: FloatArray, first: int) -> None:
    _common().mirror(matrix, first, min(first + _CHUNK_ROWS, matrix.shape[0]))
