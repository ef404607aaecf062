"""Layer maps that are given, because no activation has them as its dual at every variance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from kernalg.errors import DomainError
from kernalg.formula import exact_number
from kernalg.symbols import c, q1, q2


@dataclass(frozen=True)
class GivenDual:
    """A formula in q1, q2, c in the place of a derived dual, and the factor that the tangent kernel takes."""

    name: str
    expr: sp.Expr
    factor: sp.Expr

    @property
    def lowered(self) -> sp.Expr:
        """What is compiled: `expr`."""
        return self.expr

    @property
    def derivative(self) -> GivenDual:
        """The tangent kernel's factor (not d/dc of `expr` for a map that is homogenised)."""
        return GivenDual(self.name, self.factor, sp.S.Zero)

    @cached_property
    def diagonal(self) -> sp.Expr:
        return self.expr.subs({q2: q1, c: q1}, simultaneous=True)

    @cached_property
    def antidiagonal(self) -> sp.Expr:
        return self.expr.subs({q2: q1, c: -q1}, simultaneous=True)

    def at_zero_variance(self, v1: sp.Expr, v2: sp.Expr) -> sp.Expr:
        raise DomainError(f"{self.name} has no value for an input of norm 0; add a bias before it")


@dataclass(frozen=True)
class KernelMap:
    """A layer that maps covariances by a given formula; it stands in a network where an activation would."""

    name: str
    expr: sp.Expr  # in q1, q2, c
    factor: sp.Expr

    parity = None

    @cached_property
    def dual(self) -> GivenDual:
        return GivenDual(self.name, self.expr, self.factor)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """Symbols other than q1, q2, c."""
        return tuple(sorted((self.expr.free_symbols | self.factor.free_symbols) - {q1, q2, c}, key=str))


def exp_normalized(gamma: Any = 1, shift: Any = -1) -> KernelMap:
    """The normalised exponential map K <- sqrt(q1 q2) exp(gamma (rho + shift)), T <- T gamma exp(gamma (rho + shift)).

    At q1 = q2 = 1 with shift = -1 it is the dual of exp(sqrt(gamma) x - gamma); at other variances it is that map made
    homogeneous, which no elementwise activation has as its dual (Shankar et al., *Neural kernels without tangents*,
    2020).

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.serial(ka.Dense(1, 0), ka.exp_normalized(2), ka.Dense(1, 0)).nngp.value(1, 1, 0, digits=20)
    0.13533528323661269189
    """
    g, s = exact_number(gamma, "gamma"), exact_number(shift, "shift")
    if not g.is_positive or s.is_real is False:
        raise DomainError(f"exp_normalized(gamma={g}, shift={s}): gamma must be positive and shift real")
    scale = sp.sqrt(q1 * q2)
    profile = sp.exp(g * (c / scale + s))
    return KernelMap(f"exp_normalized(gamma={g}, shift={s})", scale * profile, g * profile)
