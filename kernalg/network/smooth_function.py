"""An activation and its derivative in float64, for the Hermite series of its dual."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation.activation import Activation
from kernalg.compiled.elementwise import Elementwise, elementwise
from kernalg.compiled.inputs import FloatArray
from kernalg.enclosure.balls import ball_function, precision
from kernalg.errors import DomainError, NoClosedForm
from kernalg.gaussian.polynomial_arrays import PolynomialArrays
from kernalg.gaussian.polynomials import Polynomial
from kernalg.symbols import x

_BITS = 160


def has_float64_functions(phi: Activation) -> bool:
    """Whether the activation is smooth, or smooth on both sides of 0: what its Hermite series can be made of."""
    try:
        return phi.breakpoints in ((), (sp.S.Zero,)) and not phi.expr.has(sp.floor)
    except NoClosedForm:
        return False


def float64_functions(phi: Activation) -> SmoothFunction | TwoSided:
    """phi and its derivative on arrays."""
    sides = [_smooth(branch) for branch in phi.pieces.branches]
    return TwoSided(*sides) if len(sides) == 2 else sides[0]


def _smooth(branch: sp.Expr) -> SmoothFunction:
    """tanh is written 2/(1 + exp(-2 x)) - 1, whose derivative does not cancel."""
    expr = branch.replace(sp.tanh, lambda u: 2 / (1 + sp.exp(-2 * u)) - 1)
    return SmoothFunction(expr, sp.diff(expr, x))


@dataclass(frozen=True)
class SmoothFunction:
    """Two formulas in x as functions of arrays."""

    expr: sp.Expr
    slope: sp.Expr

    def __reduce__(self) -> tuple[type, tuple[sp.Expr, sp.Expr]]:
        return SmoothFunction, (self.expr, self.slope)

    @cached_property
    def _compiled(self) -> tuple[Elementwise, Elementwise]:
        return elementwise(self.expr, (x,)), elementwise(self.slope, (x,))

    def __call__(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both values, of the shape of `at`.

        Raises
        ------
        DomainError
            A value is not finite.
        """
        value, slope = (_finite(f, at) for f in self._compiled)
        return value, slope


@dataclass(frozen=True)
class TwoSided:
    """One function left of 0 and another right of it; -0.0 is on the left."""

    left: SmoothFunction
    right: SmoothFunction

    def __call__(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both values, of the shape of `at`."""
        value, slope = np.empty(at.shape), np.empty(at.shape)
        below = np.signbit(at)
        for where, f in ((below, self.left), (~below, self.right)):
            value[where], slope[where] = f(at[where])
        return value, slope


@dataclass(frozen=True)
class PolynomialFunction:
    """A polynomial and its derivative, and the Hermite coefficients of both."""

    values: PolynomialArrays
    slopes: PolynomialArrays

    def __call__(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both values, of the shape of `at`."""
        return self.values(at), self.slopes(at)

    def coefficients(self, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """a_k of both, shape (n, M + 1) each; those of the derivative are sqrt((k+1)/q) a_{k+1}."""
        a = self.values.coefficients(variances)
        slopes = np.zeros_like(a)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes[:, :-1] = a[:, 1:] * np.sqrt(np.arange(1, a.shape[1]) / variances[:, None])
        at_zero = variances == 0
        if at_zero.any():
            slopes[at_zero] = 0.0
            slopes[at_zero, 0] = self.slopes(0.0)
        return a, slopes


def polynomial_function(polynomial: Polynomial) -> PolynomialFunction:
    """Its functions on arrays."""
    return PolynomialFunction(PolynomialArrays(polynomial), PolynomialArrays(polynomial.derivative()))


def _finite(f: Elementwise, at: FloatArray) -> FloatArray:
    """f(at), by balls where float64 overflows on the way, as exp does in log(1 + exp(x)) beyond x = 709."""
    values: FloatArray = np.asarray(f(at))
    for index in np.argwhere(~np.isfinite(values)):
        where = tuple(index)
        with precision(_BITS):
            found = ball_function(f.expr, (x,))(arb(float(at[where])))
        if not found.is_finite():
            raise DomainError(f"{f.expr} has no finite value at x = {at[where]:.6g}; scale the rows down")
        values[where] = float(found)
    return values
