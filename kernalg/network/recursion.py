"""The layer recursion in balls and in symbols: one step a layer.

A state carries both variances, the covariance and the tangent kernel. Equal and opposite inputs are followed by the
one-variable formulas, a zero input by the factorised ones, so that none meets the 0/0 of the two-variable formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import sympy as sp
from flint import acb, arb, arb_series

from kernalg.activation.dual import Dual
from kernalg.activation.kernel_map import GivenDual
from kernalg.activation.numeric_map import numeric_map
from kernalg.enclosure.balls import BallFunction, ball, ball_function
from kernalg.errors import NoClosedForm
from kernalg.network.dual_series import through_dual
from kernalg.network.layers import Dense, Layer, Nonlinearity
from kernalg.symbols import c, q1, q2, rho

Value = arb | acb | arb_series
Map = Callable[..., Any]  # balls to a ball


@lru_cache(maxsize=256)
def pair_function(layer: Nonlinearity, derivative: bool) -> Map:
    """E[f(u) f(v)] as a function of balls (q1, q2, c)."""
    dual = _dual(layer, derivative)
    if isinstance(dual, Dual) and dual.polynomials is not None:
        return dual.polynomials
    if _is_numeric(dual):
        return numeric_map(dual)
    return ball_function(dual.expr, (q1, q2, c))


@lru_cache(maxsize=256)
def diagonal_function(layer: Nonlinearity, derivative: bool) -> Map:
    """E f(u)^2 as a function of the variance."""
    dual = _dual(layer, derivative)
    if isinstance(dual, Dual) and dual.polynomials is not None:
        return dual.polynomials.diagonal
    if _is_numeric(dual):
        return numeric_map(dual).diagonal
    return ball_function(dual.diagonal, (q1,))


@lru_cache(maxsize=256)
def antidiagonal_function(layer: Nonlinearity, derivative: bool) -> Map:
    dual = _dual(layer, derivative)
    if isinstance(dual, Dual) and dual.polynomials is not None:
        return dual.polynomials.antidiagonal
    if _is_numeric(dual):
        return numeric_map(dual).antidiagonal
    return ball_function(dual.antidiagonal, (q1,))


def _is_numeric(dual: Dual | GivenDual) -> TypeGuard[Dual]:
    return isinstance(dual, Dual) and not dual.has_closed_form


@lru_cache(maxsize=256)
def _zero_function(layer: Nonlinearity, derivative: bool, both: bool) -> Map:
    """f(0) E f(sqrt(q1) Z), or f(0)^2."""
    dual = _dual(layer, derivative)
    if _is_numeric(dual):
        raise NoClosedForm(
            f"an input of norm 0 reaches {layer.name}, whose dual has no closed form; add a bias before it"
        )
    return ball_function(_dual(layer, derivative).at_zero_variance(sp.S.Zero, sp.S.Zero if both else q1), (q1,))


def _dual(layer: Nonlinearity, derivative: bool) -> Dual | GivenDual:
    return layer.dual.derivative if derivative else layer.dual


def on_diagonal(layers: Sequence[Layer], variance: arb, start: arb | None = None) -> tuple[arb, arb]:
    """(K, T) of an input with itself, T beginning at `start`."""
    k, t = variance, arb(0) if start is None else start
    for layer in layers:
        if isinstance(layer, Dense):
            k, t = _dense(layer, k, t)
        elif _is_zero(k):
            t = t * _zero_function(layer, True, True)(k)
            k = _zero_function(layer, False, True)(k)
        else:
            t = t * diagonal_function(layer, True)(k)
            k = diagonal_function(layer, False)(k)
    return k, t


def on_opposites(layers: Sequence[Layer], variance: arb) -> tuple[Value, Value]:
    """(K, T) of an input and its negative.

    u = -v holds until a bias or a function that is not odd; from there on the pair is an ordinary one.
    """
    v, t = variance, arb(0)
    for i, layer in enumerate(layers):
        if isinstance(layer, Dense) and not layer.b_var.is_zero:
            return on_pair(layers[i:], v, v, -v, start=t)
        if isinstance(layer, Dense):
            v = ball(layer.w_var) * v
            t = -v + ball(layer.w_var) * t
        elif _is_zero(v):
            return on_pair(layers[i:], v, v, -v, start=t)
        else:
            k, t = antidiagonal_function(layer, False)(v), t * antidiagonal_function(layer, True)(v)
            v = diagonal_function(layer, False)(v)
            if layer.parity == "even":
                return on_diagonal(layers[i + 1 :], v, start=t)
            if layer.parity != "odd":
                return on_pair(layers[i + 1 :], v, v, k, start=t)
    return -v, t


def on_pair(
    layers: Sequence[Layer],
    v1: arb,
    v2: arb,
    covariance: Value,
    *,
    tangent: bool = True,
    analytic: bool = False,
    start: Value | None = None,
) -> tuple[Value, Value]:
    """(K, T) of two different inputs, T beginning at `start`.

    With `tangent=False` the derivative duals are not evaluated and T is 0.
    """
    k: Any = covariance
    t: Any = arb(0) if start is None else start
    equal = v1 is v2
    for layer in layers:
        if isinstance(layer, Dense):
            k, t = _dense(layer, k, t) if tangent else (ball(layer.w_var) * k + ball(layer.b_var), t)
            v1 = ball(layer.w_var) * v1 + ball(layer.b_var)
            v2 = v1 if equal else ball(layer.w_var) * v2 + ball(layer.b_var)
            continue
        if _is_zero(v1) or _is_zero(v2):
            other, both = (v2 if _is_zero(v1) else v1), _is_zero(v1) and _is_zero(v2)
            t = t * _zero_function(layer, True, both)(other) if tangent else t
            k = _zero_function(layer, False, both)(other)
        else:
            if tangent:
                t = t * _pair(layer, True, v1, v2, k, analytic)
            k = _pair(layer, False, v1, v2, k, analytic)
        v1 = _variance(layer, v1)
        v2 = v1 if equal else _variance(layer, v2)
    return k, t


def on_sphere(layers: Sequence[Layer]) -> tuple[sp.Expr, sp.Expr]:
    """(K, T) on |x|^2 = d as SymPy expressions in rho, layers substituted into one another."""
    variance: sp.Expr = sp.S.One
    k: sp.Expr = rho
    t: sp.Expr = sp.S.Zero
    for layer in layers:
        if isinstance(layer, Dense):
            variance = layer.w_var * variance + layer.b_var
            k = layer.w_var * k + layer.b_var
            t = k + layer.w_var * t
        else:
            at = {q1: variance, q2: variance, c: k}
            t = t * layer.dual.derivative.expr.subs(at, simultaneous=True)
            k = layer.dual.expr.subs(at, simultaneous=True)
            variance = layer.dual.diagonal.subs(q1, variance)
    return k, t


def _pair(layer: Nonlinearity, derivative: bool, v1: arb, v2: arb, k: Value, analytic: bool) -> Value:
    if (
        isinstance(k, arb_series)
        and v1 is v2
        and isinstance(layer.dual, Dual)
        and _is_numeric(_dual(layer, derivative))
    ):
        return through_dual(layer.dual, v1, k, derivative=derivative)
    function = pair_function(layer, derivative)
    if isinstance(k, acb) and isinstance(function, BallFunction):
        return function(acb(v1), acb(v2), k, analytic=analytic)
    return function(v1, v2, k)


def _variance(layer: Nonlinearity, v: arb) -> arb:
    return _zero_function(layer, False, True)(v) if _is_zero(v) else diagonal_function(layer, False)(v)


def _dense(layer: Dense, k: Any, t: Any) -> tuple[Any, Any]:
    w, b = ball(layer.w_var), ball(layer.b_var)
    k = w * k + b
    return k, k + w * t


def _is_zero(v: arb) -> bool:
    return bool(v.is_zero())
