"""A kernel on the sphere |x|^2 = d, as a function of rho = x.x'/d."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import acb, arb, arb_series, ctx

from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import BallFunction, ball_function, bits_for, check_digits, enclose, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number, parse
from kernalg.network.layers import Dense, Layer
from kernalg.network.recursion import on_diagonal, on_opposites, on_pair
from kernalg.symbols import c, q1, q2, rho

MAX_TERMS = 100_000


class _Profile:
    """What every profile can do; the two kinds below say how it is evaluated in balls."""

    __slots__ = ()

    def ball(self, at: arb | acb, analytic: bool = False) -> Any:
        raise NotImplementedError

    def series(self, terms: int) -> arb_series:
        raise NotImplementedError

    def value(self, at: Any, digits: int = 50) -> sp.Float:
        """The value at rho, to `digits` certified decimals."""
        digits = check_digits(digits)
        return to_float(enclose(lambda r: self.ball(r), [_correlation(at)], digits), digits)

    def taylor(self, terms: int, digits: int | None = None) -> Any:
        """Taylor coefficients a_0 … a_{terms-1} at rho = 0.

        Parameters
        ----------
        terms : int
            How many, at least 1.
        digits : int, optional
            Certified decimals: a list of SymPy Floats. By default a float64 array (correct to the last bit or two).
        """
        if isinstance(terms, bool) or not isinstance(terms, int | np.integer) or not 1 <= terms <= MAX_TERMS:
            raise DomainError(f"taylor({terms!r}): the number of coefficients is an integer from 1 to {MAX_TERMS}")
        wanted = 17 if digits is None else check_digits(digits)
        bits = bits_for(wanted) + 64
        for _ in range(8):
            with precision(bits, int(terms)):
                coefficients = list(self.series(int(terms)))
                try:
                    floats = [to_float(a, wanted) for a in coefficients]
                except PrecisionError:
                    bits *= 2
                    continue
            floats += [sp.S.Zero] * (int(terms) - len(floats))
            return np.array([float(a) for a in floats]) if digits is None else floats
        raise PrecisionError(f"{wanted} digits of {terms} Taylor coefficients were not reached at {bits // 2} bits")


@dataclass(frozen=True)
class Profile(_Profile):
    """The profile of a network kernel; made by ``K.profile()``.

    Examples
    --------
    >>> import kernalg as ka
    >>> profile = ka.mlp("erf", depth=1, w_var=1).nngp.profile()
    >>> profile.expr
    2*asin(2*rho/3)/pi
    >>> profile.taylor(4)
    array([0.        , 0.42441318, 0.        , 0.03143801])
    """

    layers: tuple[Layer, ...]
    kind: str

    @property
    def nonnegative(self) -> bool:
        """Whether all Taylor coefficients are known to be >= 0.

        Always, for networks: the dual of phi at equal variances is sum a_k(q)^2 rho^k, and sums, products and
        compositions of such series are such series.
        """
        return True

    def ball(self, at: arb | acb, analytic: bool = False) -> Any:
        """Enclosure of the value at a real or complex ball, at the current precision."""
        one = arb(1)
        if isinstance(at, arb) and at.is_exact() and abs(at) == one:
            return (on_diagonal if at == one else on_opposites)(self.layers, one)[self.kind == "ntk"]
        return on_pair(self.layers, one, one, at, tangent=self.kind == "ntk", analytic=analytic)[self.kind == "ntk"]

    def series(self, terms: int) -> arb_series:
        """The Taylor series at 0 with `terms` coefficients, in balls, at the current precision."""
        with precision(ctx.prec, terms):
            variable = arb_series([0, 1], prec=terms)
            result = on_pair(self.layers, arb(1), arb(1), variable, tangent=self.kind == "ntk")[self.kind == "ntk"]
            return result if isinstance(result, arb_series) else arb_series([result], prec=terms)

    @cached_property
    def expr(self) -> sp.Expr:
        """The closed form in rho, layers substituted into one another (long for deep networks)."""
        variance: sp.Expr = sp.S.One
        k: sp.Expr = rho
        t: sp.Expr = sp.S.Zero
        for layer in self.layers:
            if isinstance(layer, Dense):
                variance = layer.w_var * variance + layer.b_var
                k = layer.w_var * k + layer.b_var
                t = k + layer.w_var * t
            else:
                at = {q1: variance, q2: variance, c: k}
                t = t * layer.dual.derivative.expr.subs(at, simultaneous=True)
                k = layer.dual.expr.subs(at, simultaneous=True)
                variance = layer.dual.diagonal.subs(q1, variance)
        return t if self.kind == "ntk" else k

    def __repr__(self) -> str:
        return f"<sphere profile of the {self.kind.upper()}: {len(self.layers)} layers>"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sp.latex(self.expr)}$"


@dataclass(frozen=True)
class DotProductKernel(_Profile):
    """K(x, x') = f(x.x'/d), a kernel given by its profile; made by `dot_product_kernel`.

    Kernels add and multiply, with each other and with numbers, and ``K.compose(other)`` is f(g(rho)).
    """

    expr: sp.Expr

    @cached_property
    def _function(self) -> BallFunction:
        return ball_function(self.expr, (rho,))

    @cached_property
    def nonnegative(self) -> bool:
        """Whether the form of the expression proves that all Taylor coefficients are >= 0."""
        return _nonnegative_series(self.expr)

    def profile(self) -> DotProductKernel:
        return self

    def ball(self, at: arb | acb, analytic: bool = False) -> Any:
        """Enclosure of the value at a real or complex ball, at the current precision."""
        return self._function(at, analytic=analytic) if isinstance(at, acb) else self._function(at)

    def series(self, terms: int) -> arb_series:
        """The Taylor series at 0 with `terms` coefficients, in balls, at the current precision."""
        with precision(ctx.prec, terms):
            result = self._function(arb_series([0, 1], prec=terms))
            return result if isinstance(result, arb_series) else arb_series([result], prec=terms)

    def __call__(self, left: Any, right: Any = None) -> np.ndarray:
        """Gram matrix of rows with |x.x'| <= d (on the sphere |x|^2 = d always)."""
        a = _rows(left, "X")
        b = a if right is None else _rows(right, "Y")
        if a.shape[1] != b.shape[1]:
            raise DomainError(f"X has {a.shape[1]} columns and Y has {b.shape[1]}; they must agree")
        cosines = a @ b.T / a.shape[1]
        if cosines.size and np.abs(cosines).max() > 1 + 1e-9:
            raise DomainError(
                f"x.x'/d reaches {np.abs(cosines).max():.6g}; a dot-product kernel lives on |x|^2 = d: rescale the rows"
            )
        return np.asarray(elementwise(self.expr, (rho,))(np.clip(cosines, -1, 1)))

    def compose(self, inner: DotProductKernel) -> DotProductKernel:
        """f(g(rho))."""
        return DotProductKernel(self.expr.subs(rho, inner.expr))

    def __add__(self, other: Any) -> DotProductKernel:
        return DotProductKernel(self.expr + _profile_expr(other))

    def __mul__(self, other: Any) -> DotProductKernel:
        return DotProductKernel(self.expr * _profile_expr(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"dot_product_kernel({self.expr})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sp.latex(self.expr)}$"


def dot_product_kernel(formula: str | sp.Expr) -> DotProductKernel:
    """A kernel of your own on the sphere, from its profile in rho.

    Examples
    --------
    >>> import kernalg as ka
    >>> K = ka.dot_product_kernel("exp(2*(rho-1))")
    >>> K.value(1, digits=10), K.taylor(3)
    (1.000000000, array([0.13533528, 0.27067057, 0.27067057]))
    """
    expr = parse(formula, (rho,)) if isinstance(formula, str) else formula
    if not isinstance(expr, sp.Expr):
        raise DomainError(f"dot_product_kernel({formula!r}): give a formula in rho, as text or as SymPy")
    strangers = expr.free_symbols - {rho}
    if strangers:
        raise DomainError(f"{expr} contains {', '.join(sorted(map(str, strangers)))}; a profile depends on rho alone")
    return DotProductKernel(expr)


def _nonnegative_series(expr: sp.Expr) -> bool:
    """Sufficient rules: rho, numbers >= 0, sums, products, exp, sinh, cosh, asin, polynomials seen as a whole."""
    if not expr.has(rho):
        return bool(expr.is_nonnegative)
    if expr == rho:
        return True
    if expr.is_polynomial(rho):
        return all(a.is_nonnegative for a in sp.Poly(expr, rho).all_coeffs())
    if isinstance(expr, sp.acos):
        return False
    if isinstance(expr, sp.Add):
        return all(_nonnegative_series(a) for a in expr.rewrite(sp.asin).expand().as_ordered_terms())
    if isinstance(expr, sp.Mul):
        return all(_nonnegative_series(a) for a in expr.args)
    if isinstance(expr, sp.exp):
        constant, rest = expr.args[0].expand().as_independent(rho, as_Add=True)
        return bool(constant.is_real) and _nonnegative_series(rest)
    if isinstance(expr, sp.Pow):
        return bool(expr.exp.is_Integer and expr.exp > 0 and _nonnegative_series(expr.base))
    return isinstance(expr, sp.sinh | sp.cosh | sp.asin) and _nonnegative_series(expr.args[0])


def _profile_expr(other: Any) -> sp.Expr:
    return other.expr if isinstance(other, DotProductKernel) else exact_number(other, "the other operand")


def _correlation(at: Any) -> sp.Expr:
    number = exact_number(at, "rho")
    if number.free_symbols or not number.is_real or abs(number) > 1:
        raise DomainError(f"rho = {number}: a number in [-1, 1] is needed")
    return number


def _rows(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or not array.shape[1]:
        raise DomainError(f"{name} has shape {array.shape} and dtype {array.dtype}; an (n, d) array of reals is needed")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise DomainError(f"{name} contains NaN or an infinity")
    return array
