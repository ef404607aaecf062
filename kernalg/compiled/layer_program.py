"""What the Gram code is handed: layers as exact numbers and formulas, and tables of the profile on spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import sympy as sp

from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.profile_table import ProfileTable


@dataclass(frozen=True, slots=True)
class DenseStep:
    """K <- w_var K + b_var, then T <- K + w_var T."""

    w_var: sp.Expr
    b_var: sp.Expr


@dataclass(frozen=True, slots=True)
class DualStep:
    """T <- T derivative(q1, q2, K), then K <- k(q1, q2, K).

    `k` and `derivative` are formulas in the symbols q1, q2, c of `kernalg.symbols`; the diagonal forms are their
    values at q1 = q2 = c and the antidiagonal forms those at q1 = q2 = -c, in q1 alone. There the pair formulas may
    be 0/0, and a jump would make a large error of any rounding.
    """

    k: sp.Expr
    derivative: sp.Expr
    k_diagonal: sp.Expr
    derivative_diagonal: sp.Expr
    k_antidiagonal: sp.Expr
    derivative_antidiagonal: sp.Expr
    label: str = "dual"


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """The same step for an activation whose dual has no formula: sum_k a_k(q1) a_k(q2) rho^k.

    `functions` gives phi and phi' on float64 arrays; at 0.0 and -0.0 the limits from the right and from the left.
    `parity` is 1 for an even phi, -1 for an odd one, else 0. `breaks` says that phi or a derivative jumps at 0.
    `coefficients` is given for a finite series: at n variances the a_k of phi and of phi', two arrays of shape (n, M+1)
    with errors of the rounding of their largest entries; not finite beyond float64. Then the step may stand for an
    activation that has a formula, too long to be compiled.
    """

    functions: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    parity: int
    label: str = "phi"
    breaks: bool = False
    coefficients: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None = None


class SphereTables(Protocol):
    """Where the tables of the kernel on spheres come from."""

    @property
    def power(self) -> float | None:
        """P if the kernels of any x, y are (|x| |y|/d)^P times a function of their angle, else None."""

    def table(self, variance: Fraction) -> ProfileTable | None:
        """Both kernels on the sphere x.x = d variance, as functions of xi; None when no table is accurate."""


@dataclass(frozen=True, slots=True)
class LayerProgram:
    """Steps from the input (K = x.x'/d, T = 0) to the readout, and the same network's tables on spheres.

    The activations are all `DualStep` or all `SeriesStep`. `steps` is None when neither is possible: then rows on one
    sphere are all that can be computed.
    """

    steps: tuple[DenseStep | DualStep | SeriesStep, ...] | None
    spheres: SphereTables | None = None
