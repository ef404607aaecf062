"""What the derivatives of a network kernel by its variances need of an activation: derivatives of its dual."""

from __future__ import annotations

from functools import lru_cache

import sympy as sp

from kernalg.activation.activation import Activation
from kernalg.compiled.variance_gradient_source import DualGradient
from kernalg.errors import NoClosedForm
from kernalg.gaussian.atoms import from_pieces
from kernalg.gaussian.expectation import expectation
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.series import differentiate
from kernalg.symbols import c, q1, q2, x


@lru_cache(maxsize=32)
def dual_gradient(phi: Activation) -> DualGradient:
    """Duals of `phi` and of its derivative with their derivatives, exact.

    At u = v and u = -v all three arguments move together, and the derivative is that of the one-variable formula.

    Raises
    ------
    NoClosedForm
        The activation has no closed-form dual.
    """
    dual, slope = phi.dual, phi.dual.derivative
    if dual.mehler is not None:
        raise NoClosedForm(
            f"{phi.name} is a polynomial of degree {dual.mehler.degree}, whose formulas are not compiled, and so its "
            "kernels have no exact derivatives by the variances; choose these by cross-validation, or keep them "
            "(optimizer=None)"
        )
    if not (dual.has_closed_form and slope.has_closed_form):
        raise NoClosedForm(
            f"{phi.name} has no closed-form dual, and so its kernels have no exact derivatives by the variances; "
            "choose these by cross-validation, or keep them (optimizer=None). Close relatives with "
            "formulas: erf for tanh and arctan, sigmoid_like for the sigmoid, smoothed_relu for softplus, gelu for "
            "SiLU and Mish"
        )
    first = differentiate(phi.pieces)
    k_1, k_2, k_c = _derivatives(dual.expr, phi.pieces)
    s_1, s_2, s_c = _derivatives(slope.expr, first)
    return DualGradient(
        (dual.expr, slope.expr, k_1, k_2, k_c, s_1, s_2, s_c),
        _with_slopes(dual.diagonal, slope.diagonal),
        _with_slopes(dual.antidiagonal, slope.antidiagonal),
        _with_slopes(dual.at_zero_variance(sp.S.Zero, q1), slope.at_zero_variance(sp.S.Zero, q1)),
    )


def _derivatives(k: sp.Expr, f: Pieces) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """E[u f'(u) f(v)], E[f(u) v f'(v)] and dk/dc of k = E[f(u) f(v)], f' with its delta functions.

    The engine's own closed form of the first is short and regular at rho = ±1, where the terms of the derivative of
    k are not. It leaves delta functions out, which matters for a jump at t != 0 (at 0 the factor u removes it).
    """
    slope = differentiate(f)
    jumps = [
        t for t, left, right in zip(f.breakpoints, f.branches, f.branches[1:], strict=False) if _jump(left, right, t)
    ]
    k_c = sp.diff(k, c) if jumps else expectation(from_pieces(slope), from_pieces(slope))
    if any(t != 0 for t in jumps):
        k_1 = 2 * q1 * sp.diff(k, q1) + c * k_c
    else:
        lifted = Pieces(slope.breakpoints, tuple(sp.expand(x * branch) for branch in slope.branches))
        k_1 = expectation(from_pieces(lifted), from_pieces(f))
    return k_1, k_1.subs({q1: q2, q2: q1}, simultaneous=True), k_c


def _jump(left: sp.Expr, right: sp.Expr, t: sp.Expr) -> bool:
    return bool(sp.simplify((right - left).subs(x, t)) != 0)


def _with_slopes(k: sp.Expr, s: sp.Expr) -> tuple[sp.Expr, ...]:
    return k, s, sp.diff(k, q1), sp.diff(s, q1)
