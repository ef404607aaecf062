"""Kernels of your own: K(x, x') = f(x.x'/d), given by a formula in rho."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from flint import acb
from numpy.polynomial.polynomial import polyval

from kernalg.compiled.elementwise import elementwise
from kernalg.compiled.inputs import FloatArray, data_matrix, data_pair
from kernalg.compiled.threads import Share
from kernalg.enclosure.balls import ball_function
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, parse, read_object, to_json
from kernalg.network.profile import Profile
from kernalg.symbols import rho

if TYPE_CHECKING:
    from kernalg.compiled.operator import KernelOperator, Progress

_ROUNDING = 1e-9
_LONG = 12  # coefficients; a longer polynomial takes seconds to compile as a formula


@dataclass(frozen=True)
class DotProductKernel:
    """K(x, x') = f(x.x'/d) on the sphere |x|^2 = d; made by `dot_product_kernel`.

    Kernels add and multiply, with each other and with numbers; ``K.compose(L)`` is f(g(rho)).
    """

    expr: sp.Expr

    @cached_property
    def nonnegative(self) -> bool:
        """Whether the form of the expression proves that all Taylor coefficients are >= 0."""
        return _nonnegative_series(self.expr)

    def profile(self) -> Profile:
        """The kernel as a function of rho."""
        return _profile(self.expr)

    def __call__(self, X: Any, Y: Any = None) -> np.ndarray:
        """Gram matrix of rows with |x.x'| <= d (on the sphere |x|^2 = d always)."""
        rows, others = data_pair(X, Y)
        cosines = rows @ (rows if others is None else others).T / rows.shape[1]
        if others is None:
            cosines = (cosines + cosines.T) / 2
        return np.asarray(self._at(cosines))

    def diag(self, X: Any) -> np.ndarray:
        """K(x_i, x_i)."""
        rows = data_matrix(X, "X")
        return np.asarray(self._at(np.einsum("ij,ij->i", rows, rows) / rows.shape[1]))

    def operator(self, X: Any, Y: Any = None, *, progress: Progress = None) -> KernelOperator:
        """The Gram matrix as a SciPy `LinearOperator` that computes its entries anew in every product.

        As `Kernel.operator`: memory does not depend on n, and products have the same bits for any number of threads.

        Examples
        --------
        >>> import kernalg as ka, numpy as np
        >>> K = ka.dot_product_kernel("rho**2")
        >>> K.operator(np.array([[1.0, 1.0], [1.0, -1.0]])) @ np.array([1.0, 2.0])
        array([1., 2.])
        """
        from kernalg.compiled.operator import KernelOperator

        rows, others = data_pair(X, Y)
        left = self._prepared_rows(rows)
        return KernelOperator(
            _Tiles(self, left, left if others is None else self._prepared_rows(others)), "formula", progress
        )

    def _prepared_rows(self, rows: FloatArray) -> _Rows:
        diagonal = self.diag(rows)
        return _Rows(rows, diagonal, diagonal)

    def _at(self, cosines: np.ndarray) -> Any:
        worst = float(np.abs(cosines).max(initial=0.0))
        if worst > 1 + _ROUNDING:
            raise DomainError(f"x.x'/d reaches {worst:.6g}; a dot-product kernel lives on |x|^2 = d: rescale the rows")
        inside = np.clip(cosines, -1, 1)
        if self._horner is not None:
            return polyval(inside, self._horner)
        return elementwise(self.expr, (rho,))(inside)

    @cached_property
    def _horner(self) -> np.ndarray | None:
        """Coefficients of a long polynomial without negative ones: Horner's sums are then good to eps K(1)."""
        if not (self.expr.is_polynomial(rho) and self.nonnegative):
            return None
        coefficients = sp.Poly(self.expr, rho).all_coeffs()[::-1]
        return np.array(coefficients, dtype=np.float64) if len(coefficients) > _LONG else None

    def compose(self, inner: DotProductKernel) -> DotProductKernel:
        """f(g(rho))."""
        return DotProductKernel(self.expr.subs(rho, inner.expr))

    def __add__(self, other: Any) -> DotProductKernel:
        return DotProductKernel(self.expr + _operand(other))

    def __mul__(self, other: Any) -> DotProductKernel:
        return DotProductKernel(self.expr * _operand(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def to_json(self) -> str:
        return json.dumps({"type": "kernalg.DotProductKernel", "expr": to_json(self.expr)})

    @classmethod
    def from_json(cls, text: str) -> DotProductKernel:
        return dot_product_kernel(from_json(read_object(text, "kernalg.DotProductKernel", ["expr"])["expr"]))

    def __repr__(self) -> str:
        return f"dot_product_kernel({self.expr})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sp.latex(self.expr)}$"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows and their diagonal, under the names of the two kernels of a network."""

    X: FloatArray
    K: FloatArray
    T: FloatArray


@dataclass(frozen=True, slots=True)
class _Tiles:
    """The Gram matrix by tiles, for `KernelOperator`."""

    kernel: DotProductKernel
    left: _Rows
    right: _Rows

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.X.shape[0], self.right.X.shape[0]

    def swapped(self) -> _Tiles:
        return _Tiles(self.kernel, self.right, self.left)

    def tile(self, rows: range, columns: range, K: FloatArray | None, T: FloatArray | None, share: Share) -> None:
        if K is None:
            return
        X, Y = self.left.X[rows.start : rows.stop], self.right.X[columns.start : columns.stop]
        K[:] = self.kernel(X, None if self.left is self.right and rows == columns else Y)


def dot_product_kernel(formula: str | sp.Expr) -> DotProductKernel:
    """A kernel of your own on the sphere, from its profile in rho.

    Examples
    --------
    >>> import kernalg as ka
    >>> K = ka.dot_product_kernel("exp(2*(rho-1))")
    >>> K.profile().value(1, digits=10), K.profile().taylor(3)
    (1.000000000, array([0.13533528, 0.27067057, 0.27067057]))
    """
    expr = parse(formula, (rho,)) if isinstance(formula, str) else formula
    if not isinstance(expr, sp.Expr):
        raise DomainError(f"dot_product_kernel({formula!r}): give a formula in rho, as text or as SymPy")
    strangers = expr.free_symbols - {rho}
    if strangers:
        raise DomainError(f"{expr} contains {', '.join(sorted(map(str, strangers)))}; a profile depends on rho alone")
    return DotProductKernel(expr)


@lru_cache(maxsize=64)
def _profile(expr: sp.Expr) -> Profile:
    """One object per formula: what is computed of a profile (Taylor coefficients, …) is kept with it."""
    function = ball_function(expr, (rho,))

    def evaluate(at: Any, analytic: bool) -> Any:
        return function(at, analytic=analytic) if isinstance(at, acb) else function(at)

    return Profile(f"dot_product_kernel({expr})", evaluate, lambda: expr, _nonnegative_series(expr))


def _operand(other: Any) -> sp.Expr:
    return other.expr if isinstance(other, DotProductKernel) else exact_number(other, "the other operand")


def _nonnegative_series(expr: sp.Expr) -> bool:
    """Whether rules show that every Taylor coefficient at 0 is >= 0, and that the series holds up to rho = 1."""
    return _sign_beyond_constant(expr) == 1 and bool(expr.subs(rho, 0).is_nonnegative)


def _sign_beyond_constant(expr: sp.Expr) -> int | None:
    """1 or -1 if all Taylor coefficients but the constant one are >= 0, or <= 0; None if no rule decides.

    With h a series of coefficients >= 0 and a > h(1), all of (a - h)^-p, -log(a - h) and, for 0 < p < 1, -(a - h)^p
    have such coefficients; so have products and exp, sinh, cosh, asin, atanh of such series.
    """
    if not expr.has(rho) or expr == rho:
        return 1
    if expr.is_polynomial(rho):
        coefficients = sp.Poly(expr, rho).all_coeffs()[:-1]
        return next((s for s in (1, -1) if all((s * a).is_nonnegative for a in coefficients)), None)
    if isinstance(expr, sp.Add):
        signs = {_sign_beyond_constant(a) for a in expr.args if a.has(rho)}
        return signs.pop() if len(signs) == 1 else None
    if isinstance(expr, sp.Mul):
        factor, rest = expr.as_independent(rho, as_Add=False)
        if factor != 1:
            sign = _sign_beyond_constant(rest)
            known = sign is not None and (factor.is_nonnegative or factor.is_nonpositive)
            return (sign if factor.is_nonnegative else -sign) if known and sign is not None else None
        return 1 if all(_nonnegative_series(a) for a in expr.args) else None
    if isinstance(expr, sp.exp):
        return 1 if _sign_beyond_constant(expr.args[0]) == 1 else None
    if isinstance(expr, sp.acos | sp.asin):  # odd up to a constant: acos is pi/2 - asin
        sign = next((s for s in (1, -1) if _nonnegative_series(s * expr.args[0])), None)
        return -sign if sign is not None and isinstance(expr, sp.acos) else sign
    if isinstance(expr, sp.tan):  # analytic up to rho = 1 if the argument stays below pi/2
        below = (sp.pi / 2 - expr.args[0].subs(rho, 1)).is_positive
        return 1 if below and _nonnegative_series(expr.args[0]) else None
    if isinstance(expr, sp.sinh | sp.cosh | sp.atanh):
        return 1 if _nonnegative_series(expr.args[0]) else None
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
        return 1 if _nonnegative_series(expr.base) else None
    if isinstance(expr, sp.Pow | sp.log):
        power = expr.exp if isinstance(expr, sp.Pow) else sp.S.Zero
        base = expr.base if isinstance(expr, sp.Pow) else expr.args[0]
        at_one = base.subs(rho, 1)
        if power.is_real and power < 1 and _sign_beyond_constant(base) == -1:
            if power > 0 and at_one.is_nonnegative:
                return -1
            if at_one.is_positive:
                return 1 if power < 0 else -1
    return None
