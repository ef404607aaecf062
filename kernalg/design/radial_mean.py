r"""Frozen hidden biases: the tangent kernel is a derivative in the cosine, so its mean over radii is an NNGP kernel.

With :math:`\Sigma(\xi)=E[\varphi(u)\varphi(v)]` as a function of the cosine,
:math:`\sigma_w^2\xi\,E[\varphi'(u)\varphi'(v)]=\xi\,d\Sigma/d\xi`. So trained hidden *weights* and readout weights give
:math:`\Theta=\sigma_v^2\,d(\xi\Sigma)/d\xi` (if biases are trained as well, the same holds in rho), hence

.. math:: \sigma_v^2\Sigma(\xi)=\frac1\xi\int_0^\xi\Theta(t)\,dt=\int_0^1\Theta(s\xi)\,ds .
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import acb, arb, arb_series, ctx

from kernalg.design.recognition import nngp_of_ntk
from kernalg.design.target import Target
from kernalg.enclosure.integrals import integral
from kernalg.network.profile import Profile
from kernalg.symbols import rho


def radial_mean(target: Target) -> Target:
    """H(xi) = int_0^1 K(s xi) ds, with the Taylor coefficients a_k / (1 + k) in the cosine.

    Where all derivatives of K are >= 0 at -t and on to 1, so are those of K(s xi), and those of H.
    """
    formula = _formula(target)
    profile = target.profile

    def evaluate(at: Any, analytic: bool) -> Any:
        if isinstance(at, arb_series):
            return _series(profile, at)
        return _value(profile, at)

    mean = Profile(
        f"mean over radii of {profile.name}",
        evaluate,
        lambda: sp.Integral(profile.expr, (rho, 0, rho)) / rho if formula is None else formula,
        profile.nonnegative,
        profile.evaluation,
    )
    rounding = None
    if target.rounding is not None:
        rounding = tuple(unit / Fraction(1 + k) for k, unit in enumerate(target.rounding))
    return replace(target, profile=mean, formula=formula, rounding=rounding, source=target)


def _formula(target: Target) -> sp.Expr | None:
    if target.polynomial is not None:
        return sp.Add(*[a * rho**k / (1 + k) for (k,), a in target.polynomial.terms()])
    return None if target.formula is None else nngp_of_ntk(target.formula)


def _value(profile: Profile, at: arb | acb) -> Any:
    """int_0^1 K(s at) ds to about the working precision."""
    digits = max(15, int((ctx.prec - 40) * 0.3))
    return integral(lambda s, analytic: acb(profile.ball(at * s, analytic)), 0, 1, digits=digits)


def _series(profile: Profile, at: arb_series) -> arb_series:
    """The same along a line xi = at(x): the integral of K up to xi, divided by xi."""
    values = profile.evaluate(at, False)
    start = at[0]
    if start == 0:
        return arb_series([values[k] / (1 + k) for k in range(at.prec)], prec=at.prec)
    up_to_start = start * _value(profile, start)
    return (arb_series([up_to_start], prec=at.prec) + (values * at.derivative()).integral()) / at
