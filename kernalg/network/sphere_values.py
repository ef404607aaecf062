"""Both kernels of a network at equal variances, as numbers that stay narrow at any depth.

A ball pushed through L layers grows like L! when every layer evaluates its dual on the whole ball, for near
rho = ±1 the terms of a dual change much faster than their sum. The mean-value form uses what is known of the sum:
k(c ± r) lies in k(c) ± r k'([c ± r]), and k' is the derivative dual, which the tangent kernel needs anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb

from kernalg.activation.dual import Dual
from kernalg.activation.numeric import is_continuous
from kernalg.enclosure.balls import ball, precision
from kernalg.network.layers import Dense, Layer
from kernalg.network.recursion import Map, diagonal_function, on_diagonal, pair_function

_BITS = (96, 160, 320, 640, 1280)


@dataclass(frozen=True, slots=True)
class _Affine:
    w: arb
    b: arb


@dataclass(frozen=True, slots=True)
class _Map:
    """A dual and its derivative dual at one variance; `smooth` says that the second is d/dc of the first."""

    dual: Map
    derivative: Map
    variance: arb
    smooth: bool


def sphere_values(layers: Sequence[Layer], variance: arb) -> Callable[[int, arb], tuple[arb, arb]]:
    """f(side, y) = (K, T) of two inputs of this variance at xi = y (side 0) or xi = side (1 - y^2), y exact.

    The balls have a radius below 2^-70 of K, T at xi = 1, or else the largest precision was not enough.
    """
    programs: dict[int, list[_Affine | _Map]] = {}
    sizes = [abs(v) for v in on_diagonal(layers, variance)]

    def values(side: int, y: arb) -> tuple[arb, arb]:
        for bits in _BITS:
            with precision(bits):
                if bits not in programs:
                    programs[bits] = _steps(layers, variance)
                xi = y if side == 0 else side * (1 - y * y)
                found = _run(programs[bits], variance * xi)
                narrow = (
                    v.is_finite() and v.rad() <= size * arb(2) ** -70 for v, size in zip(found, sizes, strict=True)
                )
                if all(narrow):
                    break
        return found

    return values


def _steps(layers: Sequence[Layer], variance: arb) -> list[_Affine | _Map]:
    steps: list[_Affine | _Map] = []
    v = variance
    for layer in layers:
        if isinstance(layer, Dense):
            w, b = ball(layer.w_var), ball(layer.b_var)
            steps.append(_Affine(w, b))
            v = w * v + b
            continue
        dual = layer.dual
        smooth = isinstance(dual, Dual) and all(map(is_continuous, dual.pieces))
        steps.append(_Map(pair_function(layer, False), pair_function(layer, True), v, smooth))
        v = diagonal_function(layer, False)(v)
    return steps


def _run(steps: Sequence[_Affine | _Map], k: Any) -> tuple[arb, arb]:
    t: Any = arb(0)
    for step in steps:
        if isinstance(step, _Affine):
            k = step.w * k + step.b
            t = k + step.w * t
            continue
        v = step.variance
        slope = step.derivative(v, v, k)
        t = t * slope
        if step.smooth:
            middle = k.mid()
            k = step.dual(v, v, middle) + slope * (k - middle)
        else:
            k = step.dual(v, v, k)
    return k, t
