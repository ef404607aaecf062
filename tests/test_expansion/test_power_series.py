"""Exact Taylor coefficients: against balls of the same formula, known series, and refusals that name their reason."""

import math
import time

import pytest
import sympy as sp
from flint import arb, arb_series

from kernalg.enclosure.balls import ball, ball_function, precision
from kernalg.errors import DomainError, NoClosedForm
from kernalg.expansion.power_series import exact_taylor
from kernalg.symbols import bivariate_normal_cdf, dawson, normal_cdf, rectified_moment, rho

w, b = sp.symbols("w_var b_var", positive=True)
RELU = (sp.sqrt(1 - rho**2) + (sp.pi - sp.acos(rho)) * rho) / (2 * sp.pi)
NORMALIZED = 2 * RELU
HALF = sp.Rational(1, 2)


def check_against_balls(formula, at, terms):
    """Every exact coefficient lies in its ball, which is narrow."""
    exact = exact_taylor(formula, rho, at, terms)
    with precision(600, terms):
        series = ball_function(formula, [rho])(arb_series([ball(sp.S(at)), 1], prec=terms))
        for k, value in enumerate(exact):
            mine, theirs = ball(value), arb(series[k])
            assert mine.overlaps(theirs), (formula, at, k, value)
            assert theirs.rad() < 1e-60 and mine.rad() < 1e-60, (formula, at, k)
    return exact


@pytest.mark.parametrize(
    "formula, at",
    [
        (sp.exp(2 * (rho - 1)), 0),
        (2 * sp.asin(3 * rho / 5) / sp.pi, 0),
        (1 / sp.sqrt(1 - 4 * rho**2 / 9), 0),
        (((1 + rho) / 2) ** 3, 0),
        (RELU, 0),
        (RELU, "1/3"),
        (NORMALIZED.subs(rho, NORMALIZED), 0),
        (sp.exp(sp.sin(rho) * sp.sqrt(3)), 0),
        (sp.exp(rho) * sp.cos(rho + 1) ** 2 / (2 - rho), "1/2"),
        (sp.tanh(rho), 1),
        (sp.tan(rho) + sp.sec(rho) - sp.coth(rho + 1), 0),
        (sp.atan(rho) + sp.asinh(rho) - 3 * sp.atanh(rho / 2) + sp.acosh(2 + rho), "1/5"),
        (sp.log(2 + rho) ** 2, 0),
        (sp.erf(rho) + sp.erfi(rho / 2) * sp.erfc(rho), 1),
        (normal_cdf(rho - 1) * dawson(rho), "2/3"),
        (bivariate_normal_cdf(HALF, -1, rho), "1/4"),
        (bivariate_normal_cdf(rho, 1 - rho, rho / 2), "1/4"),
        (rectified_moment(2, 2, 1, 1, rho), "1/3"),
        (rectified_moment(3, 1, 1, 2, rho), 0),
        (sp.hyper([HALF, HALF], [1], rho**2 / 2), 0),
        ((2 + rho) ** sp.sqrt(2), 0),
        ((2 + rho) ** rho, 0),
        (sp.atan2(rho, 2 - rho), 1),
        (sp.Max(rho, rho**2) + sp.Abs(rho - 2) + sp.sign(rho), HALF),
        (sp.Piecewise((sp.exp(rho), rho < 1), (sp.sin(rho), True)), 0),
        (sp.Piecewise((sp.exp(rho), rho < 1), (sp.sin(rho), True)), 2),
        (1 / (2 - rho), "-3/2"),
        ((rho**2 + 1) ** 70, 0),
    ],
)
def test_the_coefficients_lie_in_the_balls_of_the_formula(formula, at):
    check_against_balls(formula, sp.S(at), 9)
