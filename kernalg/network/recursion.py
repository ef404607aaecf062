"""The layer recursion in balls and in symbols: one step a layer.

A state carries both variances, the covariance and the tangent kernel. Equal and opposite inputs are followed by the
one-variable formulas, a zero input by the factorised ones, so that none meets the 0/0 of the two-variable formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import acb, arb, arb_series

from kernalg.activation.dual import Dual
from kernalg.activation.kernel_map import GivenDual
from kernalg.enclosure.balls import BallFunction, ball, ball_function
from kernalg.network.layers import Dense, Layer, Nonlinearity
from kernalg.symbols import c, q1, q2, rho

Value = arb | acb | arb_series


@lru_cache(maxsize=256)
def _pair_function(layer: Nonlinearity, derivative: bool) -> BallFunction:
    return ball_function(_dual(layer, derivative).expr, (q1, q2, c))


@lru_cache(maxsize=256)
def _diagonal_function(layer: Nonlinearity, derivative: bool) -> BallFunction:
    return ball_function(_dual(layer, derivative).diagonal, (q1,))


@lru_cache(maxsize=256)
def _antidiagonal_function(layer: Nonlinearity, derivative: bool) -> BallFunction:
    return ball_function(_dual(layer, derivative).antidiagonal, (q1,))


@lru_cache(maxsize=256)
def _zero_function(layer: Nonlinearity, derivative: bool, both: bool) -> BallFunction:
    """f(0) E f(sqrt(q1) Z), or f(0)^2."""
    return ball_function(_dual(layer, derivative).at_zero_variance(sp.S.Zero, sp.S.Zero if both else q1), (q1,))


def _dual(layer: Nonlinearity, derivative: bool) -> Dual | GivenDual:
    return layer.dual.derivative if derivative else layer.dual


def on_diagonal(layers: Sequence[Layer], variance: arb) -> tuple[arb, arb]:
    """(K, T) of an input with itself."""
    k, t = variance, arb(0)
    for layer in layers:
        if isinstance(layer, Dense):
            k, t = _dense(layer, k, t)
        elif _is_zero(k):
            t = t * _zero_function(layer, True, True)(k)
            k = _zero_function(layer, False, True)(k)
        else:
            t = t * _diagonal_function(layer, True)(k)
            k = _diagonal_function(layer, False)(k)
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
            k, t = _antidiagonal_function(layer, False)(v), t * _antidiagonal_function(layer, True)(v)
            v = _diagonal_function(layer, False)(v)
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
    for layer in layers:
        if isinstance(layer, Dense):
            k, t = _dense(layer, k, t) if tangent else (ball(layer.w_var) * k + ball(layer.b_var), t)
            v1 = ball(layer.w_var) * v1 + ball(layer.b_var)
            v2 = ball(layer.w_var) * v2 + ball(layer.b_var)
            continue
        if _is_zero(v1) or _is_zero(v2):
            other, both = (v2 if _is_zero(v1) else v1), _is_zero(v1) and _is_zero(v2)
            t = t * _zero_function(layer, True, both)(other) if tangent else t
            k = _zero_function(layer, False, both)(other)
        else:
            if tangent:
                t = t * _call(_pair_function(layer, True), v1, v2, k, analytic)
            k = _call(_pair_function(layer, False), v1, v2, k, analytic)
        v1, v2 = _variance(layer, v1), _variance(layer, v2)
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


def _call(function: BallFunction, v1: arb, v2: arb, k: Value, analytic: bool) -> Value:
    if isinstance(k, acb):
        return function(acb(v1), acb(v2), k, analytic=analytic)
    return function(v1, v2, k)


def _variance(layer: Nonlinearity, v: arb) -> arb:
    return _zero_function(layer, False, True)(v) if _is_zero(v) else _diagonal_function(layer, False)(v)


def _dense(layer: Dense, k: Any, t: Any) -> tuple[Any, Any]:
    w, b = ball(layer.w_var), ball(layer.b_var)
    k = w * k + b
    return k, k + w * t


def _is_zero(v: arb) -> bool:
    return bool(v.is_zero())
