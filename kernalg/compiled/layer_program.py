"""What the Gram code is handed: layers as exact numbers and formulas."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True, slots=True)
class DenseStep:
    """K <- w_var K + b_var, then T <- K + w_var T."""

    w_var: sp.Expr
    b_var: sp.Expr


@dataclass(frozen=True, slots=True)
class DualStep:
    """T <- T derivative(q1, q2, K), then K <- k(q1, q2, K).

    `k` and `derivative` are formulas in the symbols q1, q2, c of `kernalg.symbols`; the diagonal forms are their
    values at q1 = q2 = c, in q1 alone.
    """

    k: sp.Expr
    derivative: sp.Expr
    k_diagonal: sp.Expr
    derivative_diagonal: sp.Expr
    label: str = "dual"


@dataclass(frozen=True, slots=True)
class LayerProgram:
    """Steps from the input (K = x.x'/d, T = 0) to the readout."""

    steps: tuple[DenseStep | DualStep, ...]
