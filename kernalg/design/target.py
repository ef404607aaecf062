"""What a person may call the kernel to be realised, as one value: a profile, and a formula where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError, NoClosedForm
from kernalg.expansion.power_series import exact_taylor
from kernalg.formula import exact_number
from kernalg.network.dot_product import DotProductKernel, dot_product_kernel
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense
from kernalg.network.profile import Profile
from kernalg.symbols import rho

_MANY = 8
_LONGEST = 150  # operations of a formula that is expanded exactly; longer ones, of deep compositions, go by balls


@dataclass(frozen=True, eq=False)
class Target:
    """A kernel of the cosine; made by `target_of`.

    Parameters
    ----------
    kernel : Kernel, DotProductKernel or Profile
    profile : Profile
        Its values and Taylor series in balls.
    formula : sympy.Expr or None
        In `kernalg.rho`, the cosine; None where the formula is long (deep networks).
    rounding : tuple of Fractions or None
        How far every Taylor coefficient may be off that was given as a float.
    origin : str
        What the kernel was known by, if not by the formula.
    source : Target or None
        Of a `radial_mean`, the kernel: where its derivatives are all >= 0, so are those of the mean.
    known_to : float
        How far the formula may be from the samples, or the function of floats, that it was made for.
    """

    kernel: Kernel | DotProductKernel | Profile
    profile: Profile
    formula: sp.Expr | None
    rounding: tuple[Fraction, ...] | None = None
    origin: str = ""
    source: Target | None = None
    known_to: float = 0.0

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.origin or repr(self.kernel).strip("<>")

    @property
    def polynomial(self) -> sp.Poly | None:
        """The formula as a polynomial in the cosine, if it is one."""
        if self.formula is None or not self.formula.is_polynomial(rho):
            return None
        return sp.Poly(self.formula, rho)


def target_of(kernel: Any) -> Target:
    """The kernel as a `Target`.

    Raises
    ------
    DomainError
        If it is not a kernel of the cosine, has no Taylor series at 0, or is not finite at equal inputs.
    """
    target = _read(kernel)
    _refuse_singular(target)
    return target


def _read(kernel: Any) -> Target:
    if isinstance(kernel, str | sp.Expr):
        kernel = dot_product_kernel(kernel)
    if isinstance(kernel, DotProductKernel):
        short = kernel.expr.is_polynomial(rho) or sp.count_ops(kernel.expr) <= _LONGEST
        return Target(kernel, kernel.profile(), kernel.expr if short else None)
    if isinstance(kernel, Kernel):
        return Target(kernel, kernel.profile(), _short_formula(kernel))
    if isinstance(kernel, Profile):
        return Target(kernel, kernel, None)
    if callable(getattr(kernel, "profile", None)):
        return _read(kernel.profile())
    if isinstance(kernel, Sequence | np.ndarray) and not isinstance(kernel, bytes):
        return _of_coefficients(kernel)
    raise DomainError(
        f"design({kernel!r}): give a formula in rho (the cosine of the inputs), a kernel (network.ntk, "
        "dot_product_kernel), a list of Taylor coefficients, a function of the cosine, or values with cosines="
    )


def _of_coefficients(given: Any) -> Target:
    if np.ndim(given) != 1 or len(given) == 0:
        raise DomainError(
            f"Taylor coefficients of shape {np.shape(given)}: give one list a_0, a_1, … (values at cosines are given "
            "with cosines=)"
        )
    coefficients = [exact_number(a, f"a_{k}") for k, a in enumerate(given)]
    symbolic = [a for a in coefficients if a.free_symbols]
    if symbolic:
        raise DomainError(f"the coefficient {symbolic[0]} contains symbols; put numbers in")
    formula = sp.Add(*[a * rho**k for k, a in enumerate(coefficients)])
    target = _read(formula)
    origin = f"{len(given)} Taylor coefficients" if len(given) > _MANY else ""
    return Target(target.kernel, target.profile, formula, _rounding(given), origin)


def _rounding(given: Any) -> tuple[Fraction, ...] | None:
    """What floats may be off by: four units of the last place of the largest, for they were computed; exact ones 0."""
    floats = [isinstance(a, float | np.floating) for a in given]
    if not any(floats):
        return None
    unit = 4 * Fraction(float(np.finfo(np.float64).eps)) * Fraction(max(abs(float(a)) for a in given))
    return tuple(unit if rounded else Fraction(0) for rounded in floats)


def _short_formula(kernel: Kernel) -> sp.Expr | None:
    """The closed form of networks with at most one layer of activations, whose duals have one."""
    nonlinear = [layer for layer in kernel.layers if not isinstance(layer, Dense)]
    if len(nonlinear) > 1 or kernel.profile().evaluation != "formula":
        return None
    formula = kernel.profile().expr
    return formula if sp.count_ops(formula) <= _LONGEST else None


def _refuse_singular(target: Target) -> None:
    with precision(128):
        one = target.profile.ball(arb(1))
        if one.is_finite() and not _finite(one):
            raise DomainError(
                f"{target.name} is {one.str(3, radius=False)} at equal inputs (cosine 1), beyond the range of floats; "
                "divide it by a number"
            )
        if not _finite(one):
            raise DomainError(
                f"{target.name} is not finite and real at equal inputs (cosine 1): its Taylor coefficients do not add "
                "up, and no network has such a kernel. Move the singularity beyond 1, as in 1/(11/10 - rho)"
            )
        with precision(128, 8):
            series = target.profile.series(8)
        if not all(_finite(series[k]) for k in range(8)) and not _removable(target):
            raise DomainError(
                f"{target.name} is singular or not real at orthogonal inputs (cosine 0): it has no Taylor series "
                "there, and the kernel of a wide network has one"
            )


def _removable(target: Target) -> bool:
    """Whether the singularity at 0 is one of the formula only, as of sinh(rho)/rho."""
    try:
        return target.formula is not None and len(exact_taylor(target.formula, rho, 0, 8)) == 8
    except (DomainError, NoClosedForm):
        return False


def _finite(value: arb) -> bool:
    return bool(value.is_finite()) and math.isfinite(float(value.abs_upper()))
