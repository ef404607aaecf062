"""Gram matrices of layer programs: both kernels, one pass.

In stripes of rows: one BLAS product, turned into kernel entries in place. The matrix of X against itself is computed
below the diagonal and mirrored; its diagonal comes from one-variable formulas, bit for bit what `diagonal` returns.

Three routes lead from inner products to entries: a table of polynomials in the cosine, whose cost does not depend on
the depth (`profile_route`), where the rows or the activations allow it, and else the layer recursion for every entry,
by formulas (`recursion_route`) or by Hermite series where there are none, or too long ones (`series_route`).

The compiled functions are serial and release the interpreter lock; Python threads take whole stripes, with BLAS in one
thread. So no Numba threading layer is involved: any thread may call, forked processes may too, and the bits of the
result do not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np

from kernalg.compiled.gram_source import gram_text
from kernalg.compiled.inputs import FloatArray, data_matrix, data_pair, output_matrix, result_type
from kernalg.compiled.layer_program import DenseStep, LayerProgram, SeriesStep
from kernalg.compiled.memory import check_result_fits
from kernalg.compiled.profile_route import ProfileRoute, loops
from kernalg.compiled.recursion_route import RecursionRoute
from kernalg.compiled.series_route import SeriesRoute
from kernalg.compiled.threads import Share, serial_blas, threads
from kernalg.errors import DomainError, NoClosedForm

_CHUNK_ROWS = 32
_STRIPE = 256
_THREADED_ENTRIES = 20_000
_ROUNDED_ROWS = 512
# Entries times layers. A table of a dual without a formula takes seconds to minutes, a step by series some 30 ns.
_WORTH_A_TABLE = 10**9
# Rows are on one sphere when their squared norms differ by less than this share: the rounding of a normalisation.
_ONE_SPHERE = 4e-15


def compile_program(program: LayerProgram) -> CompiledProgram:
    """Prepare `program` for arrays. Nothing is generated or compiled before the first call.

    Examples
    --------
    >>> import numpy as np, sympy as sp
    >>> from kernalg.compiled.layer_program import DenseStep, DualStep
    >>> from kernalg.symbols import c, q1
    >>> linear = DualStep(c, sp.S(1), q1, sp.S(1), -q1, sp.S(1), label="x")
    >>> program = LayerProgram((DenseStep(sp.S(2), sp.S(0)), linear, DenseStep(sp.S(1), sp.S(0))))
    >>> compile_program(program).nngp(np.array([[1.0, 1.0], [1.0, -1.0]])).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return CompiledProgram(program)


class CompiledProgram:
    """The two kernels of a layer program as functions of arrays of rows.

    Every method takes `X` of shape (n, d) and optionally `Y` of shape (m, d), real and finite, one input a row. Inputs
    of float32 give results of float32; they are computed in float64 all the same, and rounded once.
    Zero rows are accepted where the formulas have a limit.
    """

    def __init__(self, program: LayerProgram) -> None:
        self.program = program

    def __repr__(self) -> str:
        if self.program.steps is None:
            return "CompiledProgram(tables on spheres)"
        labels = [step.label for step in self.program.steps if not isinstance(step, DenseStep)]
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
            Inputs that are not finite real (n, d) arrays, `out` of another shape or type, a pair of rows
            where the kernel has no finite value, or results that do not fit in memory.
        """
        left, right, shape = self._inputs(X, Y)
        first, second = (None, None) if out is None else _pair(out)
        dtype = result_type(X, Y)
        check_result_fits(shape, (first is None) + (second is None), dtype)
        K = output_matrix(first, shape, "out[0]", dtype)
        T = output_matrix(second, shape, "out[1]", dtype)
        if np.shares_memory(K, T):
            raise DomainError("out[0] and out[1] overlap; give two separate arrays")
        self._fill(left, right, K, T)
        return K, T

    def nngp(self, X: Any, Y: Any = None, out: Any = None) -> FloatArray:
        """The NNGP kernel, shape (n, m)."""
        left, right, shape = self._inputs(X, Y)
        check_result_fits(shape, int(out is None), result_type(X, Y))
        K = output_matrix(out, shape, "out", result_type(X, Y))
        self._fill(left, right, K, None)
        return K

    def ntk(self, X: Any, Y: Any = None, out: Any = None) -> FloatArray:
        """The NTK, shape (n, m); the NNGP kernel is never stored whole."""
        left, right, shape = self._inputs(X, Y)
        check_result_fits(shape, int(out is None), result_type(X, Y))
        T = output_matrix(out, shape, "out", result_type(X, Y))
        self._fill(left, right, None, T)
        return T

    def diagonal(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """`(nngp, ntk)` of every row with itself, shape (n,) each."""
        rows = data_matrix(X, "X")
        squared = _squared_norms(rows, "X")
        made = (self._profile(squared, squared, rows.shape[1]) or self._recursion).rows("X", rows, squared)
        _check_diagonal(made, squared, with_ntk=True)
        return made.K, made.T

    @property
    def source(self) -> str:
        """Text of the generated float64 module of the layer recursion; nothing is generated for Hermite series."""
        return gram_text(self._recursion.formulas) if isinstance(self._recursion, RecursionRoute) else ""

    # -- work -----------------------------------------------------------------------------------

    @cached_property
    def _recursion(self) -> RecursionRoute | SeriesRoute:
        if self.program.steps is None:
            raise NoClosedForm(
                "the dual of one of the activations has no formula in float64, and one of them breaks at other places "
                "than 0, so that this network has Gram matrices of rows of equal norm only: scale them, for instance "
                "X * sqrt(d) / norm(X, axis=1, keepdims=True)"
            )
        return self._series or RecursionRoute(self.program.steps)

    @cached_property
    def _series(self) -> SeriesRoute | None:
        steps = self.program.steps or ()
        return SeriesRoute(steps) if any(isinstance(step, SeriesStep) for step in steps) else None

    def _inputs(self, X: Any, Y: Any) -> tuple[FloatArray, FloatArray | None, tuple[int, int]]:
        left, right = data_pair(X, Y)
        return left, right, (left.shape[0], (left if right is None else right).shape[0])

    def _profile(self, left: FloatArray, right: FloatArray, dimension: int) -> ProfileRoute | None:
        """The route by a table, where rows of these squared norms have one."""
        spheres = self.program.spheres
        if spheres is None:
            return None
        lowest = min(left.min(), right.min())
        series = self._series
        if spheres.power is not None and (spheres.power > 0 or lowest > 0):
            variance, power = Fraction(1), spheres.power
        elif lowest > 0 and max(left.max(), right.max()) <= lowest * (1 + _ONE_SPHERE):
            variance, power = _fraction(float(np.median(left)) / dimension), 0.0
            few = series is not None and left.size * right.size * series.depth < _WORTH_A_TABLE
            if few and series is not None and series.reaches(float(variance), dimension):
                return None
        else:
            return None
        table = spheres.table(variance)
        return None if table is None else ProfileRoute(table, power)

    def prepare(self, X: FloatArray, Y: FloatArray | None, with_ntk: bool) -> Prepared:
        """Everything that belongs to single rows of `X` and `Y`: norms, features, diagonals, and the choice of route.

        `X` and `Y` are as `data_pair` returns them, and are not copied.
        """
        other = X if Y is None else Y
        squared = _squared_norms(X, "X")
        squared_other = squared if Y is None else _squared_norms(other, "Y")
        route = self._profile(squared, squared_other, X.shape[1]) or self._recursion
        left = route.rows("X", X, squared)
        _check_diagonal(left, squared, with_ntk)
        if Y is None:
            return Prepared(route, left, left)
        right = route.rows("Y", other, squared_other)
        _check_diagonal(right, squared_other, with_ntk)
        return Prepared(route, left, right)

    def _fill(self, X: FloatArray, Y: FloatArray | None, K: FloatArray | None, T: FloatArray | None) -> None:
        for matrix in (K, T):
            if matrix is not None and any(np.may_share_memory(matrix, rows) for rows in (X, Y) if rows is not None):
                raise DomainError("out overlaps the inputs in memory; give a separate array, e.g. out.copy()")
        prepared = self.prepare(X, Y, T is not None)
        n, m = prepared.shape
        with serial_blas(), threads(n * m > _THREADED_ENTRIES) as share:
            if all(matrix is None or matrix.dtype == np.float64 for matrix in (K, T)):
                prepared.tile(range(n), range(m), K, T, share)
            else:
                _rounded(prepared, K, T, share)

    @cached_property
    def error(self) -> tuple[float, float] | None:
        """Largest error measured of the table of a homogeneous network: NNGP and NTK, as shares of the diagonal."""
        spheres = self.program.spheres
        table = None if spheres is None or spheres.power is None else spheres.table(Fraction(1))
        return None if table is None else (float(table.error[0]), float(table.error[1]))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows made ready for a route, so that any tile of their Gram matrix can be computed by itself.

    Against themselves `right` is `left`.
    """

    route: ProfileRoute | RecursionRoute | SeriesRoute
    left: Any
    right: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.X.shape[0], self.right.X.shape[0]

    @property
    def error(self) -> tuple[float, float] | None:
        """The error to be expected of the NNGP kernel and of the NTK, as shares of the diagonal, where it is known.

        Measured for a table; for Hermite series what Parseval's sum misses and the rounding of the inputs, carried
        through the layers. None for formulas.
        """
        if isinstance(self.route, ProfileRoute):
            return float(self.route.table.error[0]), float(self.route.table.error[1])
        if isinstance(self.route, SeriesRoute):
            return max(self.left.error[0], self.right.error[0]), max(self.left.error[1], self.right.error[1])
        return None

    def swapped(self) -> Prepared:
        """The transpose."""
        return Prepared(self.route, self.right, self.left)

    def tile(self, rows: range, columns: range, K: FloatArray | None, T: FloatArray | None, share: Share) -> None:
        """Fill K and T, the ones asked for, with the entries of these rows and columns.

        Parameters
        ----------
        rows, columns : range
            With step 1, starting at multiples of `gram_source.BLOCK`. A tile on the diagonal of rows against
            themselves is computed below the diagonal and mirrored.
        share : callable
            From `threads`.
        """
        left, right = self.left.cut(rows.start, rows.stop), self.right.cut(columns.start, columns.stop)
        lower = self.left is self.right and rows == columns
        if isinstance(self.route, ProfileRoute):
            _by_profile(share, self.route, left, right, K, T, lower)
        else:
            _by_recursion(share, self.route, left, right, K, T, lower)
        if lower:
            for matrix, diagonal in ((K, left.K), (T, left.T)):
                if matrix is not None:
                    np.fill_diagonal(matrix, diagonal)
                    share(partial(_mirror, matrix), range(0, len(rows), _CHUNK_ROWS))


def _rounded(prepared: Prepared, K: FloatArray | None, T: FloatArray | None, share: Share) -> None:
    """Fill matrices of float32: tiles in float64, rounded when they are done."""
    n, m = prepared.shape
    symmetric = prepared.left is prepared.right
    for start in range(0, n, _ROUNDED_ROWS):
        rows = range(start, min(start + _ROUNDED_ROWS, n))
        for columns in (range(start), rows) if symmetric else (range(m),):
            if not columns:
                continue
            tiles = [None if matrix is None else np.empty((len(rows), len(columns))) for matrix in (K, T)]
            prepared.tile(rows, columns, tiles[0], tiles[1], share)
            for matrix, tile in zip((K, T), tiles, strict=True):
                if matrix is None or tile is None:
                    continue
                if matrix.dtype == np.float32 and np.abs(tile).max() > np.finfo(np.float32).max:
                    raise DomainError("entries are beyond the range of float32 (3.4e38); give float64 inputs")
                matrix[rows.start : rows.stop, columns.start : columns.stop] = tile
                if symmetric and columns != rows:
                    matrix[columns.start : columns.stop, rows.start : rows.stop] = tile.T


def _by_profile(share: Share, route: ProfileRoute, left: Any, right: Any, K: Any, T: Any, lower: bool) -> None:
    """x.y goes into the first matrix asked for, and there the entries take its place."""
    A, B, part = (T, None, 1) if K is None else (K, T, 0)

    def stripe(first: int) -> None:
        last = min(first + _STRIPE, left.X.shape[0])
        _inner_products(left.X[first:last], right.X, A[first:last], last if lower else None)
        if route.work(left, right, A, B, part, 0, first, last, lower):
            raise DomainError(
                f"the kernel of one of {left.name}[{left.start + first}] … {left.name}[{left.start + last - 1}] with "
                "another row is beyond the range of float64; rescale the data"
            )

    share(stripe, _stripes(left.X.shape[0]))


def _by_recursion(
    share: Share, route: RecursionRoute | SeriesRoute, left: Any, right: Any, K: Any, T: Any, lower: bool
) -> None:
    """A kernel that is not asked for is kept for one stripe."""
    n, m = left.X.shape[0], right.X.shape[0]

    def stripe(first: int) -> None:
        last = min(first + _STRIPE, n)
        scratch: Any = np.empty((last - first, m)) if K is None or T is None else None
        nngp, ntk = ((scratch, first) if full is None else (full, 0) for full in (K, T))  # array, its first row
        _inner_products(left.X[first:last], right.X, nngp[0][first - nngp[1] : last - nngp[1]], last if lower else None)
        route.work(left, right, nngp, ntk, first, last, lower, T is not None)

    share(stripe, _stripes(n))


def _stripes(n: int) -> range:
    """First rows of the stripes, the last stripe first: below the diagonal it is the longest."""
    return range((n - 1) // _STRIPE * _STRIPE, -1, -_STRIPE)


def _inner_products(X: FloatArray, Y: FloatArray, out: FloatArray, columns: int | None) -> None:
    """x.y for all rows of X and the first rows of Y."""
    np.matmul(X, Y[:columns].T, out=out[:, :columns])


def _squared_norms(X: FloatArray, name: str) -> FloatArray:
    squared = np.empty(X.shape[0])
    loops().squared_norms(X, squared)
    if not np.isfinite(squared).all():
        raise DomainError(
            f"the squared norm of {name}[{np.flatnonzero(~np.isfinite(squared))[0]}] overflows float64; "
            "rescale the data"
        )
    return squared


def _check_diagonal(rows: Any, squared: FloatArray, with_ntk: bool) -> None:
    finite = np.isfinite(rows.K) & (np.isfinite(rows.T) | (not with_ntk))
    if not finite.all():
        i = np.flatnonzero(~finite)[0]
        raise DomainError(
            f"the kernel of {rows.name}[{i}] with itself is not finite (its squared norm over d is "
            f"{squared[i] / rows.X.shape[1]:.6g}); remove this row or rescale the data"
        )


def _fraction(variance: float) -> Fraction:
    """1 for what is 1 up to the rounding of a normalisation, so that one table serves all such data."""
    return Fraction(1) if abs(variance - 1) <= _ONE_SPHERE else Fraction(variance)


def _pair(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise DomainError(f"out must be a pair (nngp, ntk) of arrays, not {type(out).__name__}")
    return out[0], out[1]


def _mirror(matrix: FloatArray, first: int) -> None:
    loops().mirror(matrix, first, min(first + _CHUNK_ROWS, matrix.shape[0]))
