"""Activations on large arrays of float32 or float64: what training and finite networks spend their time on.

The compiled functions of `ka.Activation` are right to the last bits and cost 20 to 40 ns an entry, in float64. NumPy's
own loops keep float32 and cost from 0.1 (max) to 0.5 ns (sin) there. So a formula is walked once per array with NumPy,
in the arithmetic of the array, with every common subexpression of phi and phi' computed once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.core.relational import Relational

from kernalg.activation.activation import Activation
from kernalg.errors import DomainError
from kernalg.finite.hermite_sum import hermite_coefficients, hermite_sum
from kernalg.symbols import normal_cdf, x

Array = NDArray[Any]
Formula = Callable[[Array, dict[sp.Expr, Any]], Any]


class ActivationLike(Protocol):
    """What a hidden layer applies: a function of arrays that knows its derivative."""

    def __call__(self, values: Any) -> Any: ...

    def derivative(self) -> Callable[[Any], Any]: ...

    def __hash__(self) -> int: ...


class Pointwise:
    """phi and phi' of arrays; made by `pointwise`."""

    def __init__(self, phi: ActivationLike) -> None:
        self.phi = phi
        self._functions: dict[int, Formula] = {}

    def value(self, z: Array) -> Array:
        """phi(z), of the type of z."""
        return self._evaluated(0, z, {})

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """phi(z) and phi'(z), of the type of z."""
        shared: dict[sp.Expr, Any] = {}
        return self._evaluated(0, z, shared), self._evaluated(1, z, shared)

    def slope(self, z: Array) -> Array:
        """phi'(z), of the type of z."""
        return self._evaluated(1, z, {})

    def _evaluated(self, order: int, z: Array, shared: dict[sp.Expr, Any]) -> Array:
        key = 2 * order + (z.dtype == np.float32)
        if key not in self._functions:
            self._functions[key] = self._function(order, z.dtype)
        return self._functions[key](z, shared)

    def _function(self, order: int, dtype: Any) -> Formula:
        if isinstance(self.phi, Activation):
            b = hermite_coefficients(self.phi.expr, order)
            if b is not None and _loses_nothing(lambda z: _summed(b, z), dtype):
                return lambda z, shared: _summed(b, z)
        phi = self.phi if order == 0 else self.phi.derivative()

        def exact(z: Array, shared: dict[sp.Expr, Any]) -> Array:
            # Activations refuse NaN and infinity; here they are what a diverging training meets, and it tells.
            finite = np.isfinite(z)
            if not finite.all():
                result = np.full_like(z, np.nan)
                result[finite] = exact(z[finite], shared)
                return result
            with np.errstate(all="ignore"):
                result = np.asarray(phi(z)).astype(dtype, copy=False)
            if result.shape != z.shape:
                raise DomainError(f"{phi!r} made shape {result.shape} of {z.shape}; an activation acts on each entry")
            return result

        if not isinstance(phi, Activation) or not _loses_nothing(lambda z: _walked(phi.expr, z, {}), dtype):
            return exact

        def fast(z: Array, shared: dict[sp.Expr, Any]) -> Array:
            result = _walked(phi.expr, z, shared)
            # An overflow inside a formula whose value is finite (log cosh), or a removable singularity (sin(x)/x).
            lost = ~np.isfinite(result)
            if lost.any():
                result = np.where(lost, np.nan, result)
                result[lost] = exact(z[lost], {})
            return result

        return fast


@lru_cache(maxsize=256)
def pointwise(phi: Any) -> Pointwise:
    """The fast functions of an activation.

    Examples
    --------
    >>> import numpy as np
    >>> from kernalg.activation.activation import activation
    >>> pointwise(activation("sin(6*x)/2")).value_and_slope(np.zeros(1, np.float32))
    (array([0.], dtype=float32), array([3.], dtype=float32))
    """
    if not callable(phi) or not callable(getattr(phi, "derivative", None)):
        raise DomainError(f"{phi!r} is no activation; one is a function of arrays with a method derivative()")
    return Pointwise(phi)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    sp.exp: np.exp,
    sp.log: np.log,
    sp.sin: np.sin,
    sp.cos: np.cos,
    sp.sinh: np.sinh,
    sp.cosh: np.cosh,
    sp.tanh: np.tanh,
    sp.atan: np.arctan,
    sp.Abs: np.abs,
    sp.sign: np.sign,
    sp.floor: np.floor,
}
_COMPARISONS: dict[Any, Callable[[Any, Any], Any]] = {
    sp.Gt: np.greater, sp.Ge: np.greater_equal, sp.Lt: np.less, sp.Le: np.less_equal,
    sp.Eq: np.equal, sp.Ne: np.not_equal,
}  # fmt: skip


class _NotCovered(Exception):
    """A function that NumPy has no loop for."""


def _summed(b: tuple[float, ...], z: Array) -> Array:
    with np.errstate(all="ignore"):
        return hermite_sum(b, z)


def _walked(expr: sp.Expr, z: Array, shared: dict[sp.Expr, Any]) -> Array:
    with np.errstate(all="ignore"):
        result = _walk(expr, z, shared)
    return result if isinstance(result, np.ndarray) else np.full_like(z, result)


def _walk(expr: sp.Expr, z: Array, shared: dict[sp.Expr, Any]) -> Any:
    """A NumPy array of the type of z, or a Python float for a constant."""
    if expr == x:
        return z
    if not expr.free_symbols:
        return float(expr)
    if expr not in shared:
        shared[expr] = _operation(expr, z, shared)
    return shared[expr]


def _operation(expr: sp.Expr, z: Array, shared: dict[sp.Expr, Any]) -> Any:
    def of(e: sp.Expr) -> Any:
        return _walk(e, z, shared)

    if isinstance(expr, sp.Add | sp.Mul | sp.Max | sp.Min):
        # Python's + and *: np.multiply of two constants would be a float64 that widens what it meets.
        combine: Any = {sp.Add: operator.add, sp.Mul: operator.mul, sp.Max: np.maximum, sp.Min: np.minimum}[expr.func]
        result, *others = (of(e) for e in expr.args)
        for other in others:
            result = combine(result, other)
        return result
    if isinstance(expr, sp.Pow):
        return _power(of(expr.base), expr.exp, of)
    if isinstance(expr, sp.Heaviside):
        # Comparisons are vectorised, np.heaviside is not; 1/2 at 0, as in the formula.
        t = of(expr.args[0])
        return ((t > 0).astype(z.dtype) + (t >= 0).astype(z.dtype)) * 0.5
    if isinstance(expr, sp.Piecewise):
        result = np.full_like(z, np.nan)
        for value, condition in reversed(expr.args):
            result = np.where(_condition(condition, of), of(value), result)
        return result.astype(z.dtype, copy=False)
    if isinstance(expr, sp.erf | sp.erfc | normal_cdf):
        from scipy import special

        function = {sp.erf: special.erf, sp.erfc: special.erfc, normal_cdf: special.ndtr}[expr.func]
        argument = of(expr.args[0])
        return function(argument.astype(np.float64) if z.dtype == np.longdouble else argument).astype(z.dtype)
    if expr.func in _FUNCTIONS:
        return _FUNCTIONS[expr.func](of(expr.args[0]))
    raise _NotCovered(expr)


def _power(base: Any, exponent: sp.Expr, of: Callable[[sp.Expr], Any]) -> Any:
    if exponent.is_Integer and 0 < abs(int(exponent)) <= 64:  # products; np.power is slow and less accurate
        result, square, n = 1.0, base, abs(int(exponent))
        while n:
            result = result * square if n & 1 else result
            n >>= 1
            square = square * square if n else square
        return result if exponent > 0 else 1.0 / result
    if exponent == sp.S.Half:
        return np.sqrt(base)
    return np.power(base, of(exponent))


def _condition(condition: Any, of: Callable[[sp.Expr], Any]) -> Any:
    if condition in (sp.true, sp.false):
        return bool(condition)
    if isinstance(condition, Relational) and condition.func in _COMPARISONS:
        return _COMPARISONS[condition.func](of(condition.lhs), of(condition.rhs))
    raise _NotCovered(condition)


def _loses_nothing(evaluate: Callable[[Array], Array], dtype: Any) -> bool:
    """Whether a way to evaluate is good to some hundred roundings: cos(x)/x - sin(x)/x**2 is not, near 0.

    Tried in the next wider arithmetic at points of all sizes that occur, wherever the narrow one gives a number.
    """
    wider = np.float64 if dtype == np.float32 else np.longdouble
    if np.finfo(wider).eps >= np.finfo(dtype).eps:  # a machine without a wider arithmetic: nothing is known
        return False
    sizes = np.concatenate([np.geomspace(1e-4, 1, 200), np.linspace(1.1, 30, 400)])
    points = np.concatenate([-sizes, sizes]).astype(dtype)
    try:
        narrow = evaluate(points)
        wide = evaluate(points.astype(wider))
    except _NotCovered:
        return False
    # An argument of size 30 carries an error of 30 roundings times the slope; slopes are compared, not assumed.
    with np.errstate(all="ignore"):  # the wider number overflows where the narrow one did
        slope = np.abs(np.gradient(wide.astype(np.float64), points.astype(np.float64)))
        allowed = 200 * np.finfo(dtype).eps * (1 + np.abs(wide) + np.abs(points) * slope)
    good = np.isfinite(narrow) & np.isfinite(wide)
    return bool(good.any() and (np.abs(narrow - wide)[good] <= allowed[good]).all())
