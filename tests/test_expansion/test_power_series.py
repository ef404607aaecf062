"""Exact Taylor coefficients: against balls of the same formula, known series, and refusals that name their reason."""

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


@pytest.mark.parametrize(
    "formula, known",
    [
        (sp.exp(2 * (rho - 1)), lambda k: sp.exp(-2) * 2**k / sp.factorial(k)),
        (1 / sp.sqrt(1 - 4 * rho**2 / 9), lambda k: sp.binomial(k, k // 2) / sp.Integer(3) ** k if k % 2 == 0 else 0),
        (((1 + rho) / 2) ** 3, lambda k: sp.binomial(3, k) / 8),
        (
            2 * sp.asin(3 * rho / 5) / sp.pi,
            lambda k: (
                2 * sp.binomial(k - 1, k // 2) * sp.Rational(3, 5) ** k / (sp.pi * 2 ** (k - 1) * k) if k % 2 else 0
            ),
        ),
        (
            RELU,  # 1/(2 pi) + rho/4 + sum (2m-3)!!^2 / (2 pi (2m)!) rho^(2m)
            lambda k: (
                {0: 1 / (2 * sp.pi), 1: sp.Rational(1, 4)}.get(k)
                or (sp.factorial2(k - 3) ** 2 / (2 * sp.pi * sp.factorial(k)) if k % 2 == 0 else 0)
            ),
        ),
    ],
)
def test_a_hundred_known_coefficients_at_once(formula, known):
    start = time.process_time()
    found = exact_taylor(formula, rho, 0, 100)
    assert time.process_time() - start < 1
    assert found == [sp.S(known(k)) for k in range(100)]


@pytest.mark.parametrize(
    "formula, known",
    [
        (sp.sinh(2 * rho) / (2 * rho), lambda k: sp.Integer(2) ** k / sp.factorial(k + 1) if k % 2 == 0 else 0),
        ((sp.exp(2 * rho) - 1) / (2 * rho), lambda k: sp.Integer(2) ** k / sp.factorial(k + 1)),
        (sp.sin(sp.sqrt(rho)) / sp.sqrt(rho), lambda k: sp.Integer(-1) ** k / sp.factorial(2 * k + 1)),
        (sp.sin(sp.sqrt(-rho)) / sp.sqrt(-rho), lambda k: 1 / sp.factorial(2 * k + 1)),
        (sp.cos(sp.Abs(rho)), lambda k: sp.cos(sp.pi * k / 2) / sp.factorial(k)),
        (sp.atanh(rho) / rho, lambda k: sp.Rational(1, k + 1) if k % 2 == 0 else 0),
        ((sp.cosh(rho) - 1 - rho**2 / 2) / rho**4, lambda k: 1 / sp.factorial(k + 4) if k % 2 == 0 else 0),
        (sp.acos(1 - rho) ** 2, lambda k: sp.Integer(2) ** k * 2 / (k**2 * sp.binomial(2 * k, k)) if k else 0),
        ((1 - sp.cos(rho)) / sp.sqrt(1 - sp.cos(rho)) ** 2, lambda k: int(k == 0)),
    ],
)
def test_removable_singularities(formula, known):
    assert exact_taylor(formula, rho, 0, 12) == [sp.S(known(k)) for k in range(12)]


def test_parameters_stay_symbols():
    inner = ((w + b) * rho - b) / w
    powers = exact_taylor(inner**3, rho, 0, 5)
    assert sp.factor(powers[2] + 3 * b * (w + b) ** 2 / w**3) == 0 and powers[4] == 0
    assert exact_taylor(sp.exp(inner), rho, 0, 20)[19] == sp.exp(-b / w) * ((w + b) / w) ** 19 / sp.factorial(19)
    values = {w: sp.Rational(3, 2), b: sp.Rational(1, 10)}
    symbolic = exact_taylor(RELU.subs(rho, inner), rho, 0, 12)
    numeric = check_against_balls(RELU.subs(rho, inner).subs(values), 0, 12)
    for k, (left, right) in enumerate(zip(symbolic, numeric, strict=True)):
        assert abs(float(left.subs(values)) - float(right)) < 1e-14, k
    assert exact_taylor((1 + rho) ** w, rho, 0, 3)[2].expand() == (w**2 / 2 - w / 2)
    a = sp.Symbol("a", real=True)
    assert exact_taylor(sp.exp(rho), rho, a, 3) == [sp.exp(a), sp.exp(a), sp.exp(a) / 2]


def test_coefficients_that_cancel_are_zero():
    """sqrt(2) + 1 and sqrt(2) - 1 are inverse to each other, which no rule of a product sees."""
    formula = (1 + sp.sqrt(2)) * (sp.sqrt(2) - 1) * sp.exp(rho) - sp.exp(rho) + rho**2
    assert exact_taylor(formula, rho, 0, 5) == [0, 0, 1, 0, 0]
    first, *others = exact_taylor(sp.cosh(rho + 1) ** 2 - sp.sinh(rho + 1) ** 2, rho, 0, 4)
    assert sp.simplify(first) == 1 and others == [0, 0, 0]


@pytest.mark.parametrize(
    "formula, at, message",
    [
        (sp.sqrt(rho), 0, r"sqrt\(rho\) has no Taylor series at rho = 0"),
        (sp.exp(rho) * sp.log(rho), 0, r"^log\(rho\) has no Taylor series at rho = 0"),
        (1 / rho + sp.sin(rho), 0, "it has a pole"),
        (sp.exp(1 / rho), 0, r"exp\(1/rho\) has no Taylor series at rho = 0: its argument has a pole"),
        (RELU, 1, r"acos\(rho\)|sqrt\(1 - rho\*\*2\)"),
        (sp.asin(rho), -1, r"asin\(rho\) has no Taylor series at rho = -1"),
        (sp.Abs(rho), 0, r"Abs\(rho\) .* its two sides differ"),
        (sp.sqrt(1 - sp.cos(rho)), 0, "two sides differ"),
        (sp.Max(rho, 0), 0, "two sides differ"),
        (sp.sqrt(rho - 2), 0, r"sqrt\(rho - 2\) is complex near rho = 0"),
        (sp.log(rho), -1, r"log\(rho\) is complex near rho = -1"),
        (rho + sp.asin(rho + 2), 0, r"asin\(rho \+ 2\) is complex"),
        (sp.atanh(rho + 3), 0, r"atanh\(rho \+ 3\) is complex"),
        (sp.sqrt(-2) * rho, 0, "not a finite real number"),
        (rho**2, rho, "the centre rho contains rho itself"),
    ],
)
def test_what_has_no_real_series_is_refused_by_name(formula, at, message):
    with pytest.raises(DomainError, match=message):
        exact_taylor(formula, rho, at, 5)


def test_bad_counts_and_variables():
    for terms in (0, -1, True, 2.0):
        with pytest.raises(DomainError, match="terms"):
            exact_taylor(rho, rho, 0, terms)
    with pytest.raises(DomainError, match="symbol"):
        exact_taylor(rho, 2, 0, 3)


def test_what_grows_too_long_or_has_no_rule_goes_to_the_numbers():
    deep = NORMALIZED
    for _ in range(3):
        deep = NORMALIZED.subs(rho, deep)
    with pytest.raises(NoClosedForm, match="too many constants"):
        exact_taylor(deep, rho, 0, 100)
    with pytest.raises(NoClosedForm, match="gamma has no rule"):
        exact_taylor(sp.gamma(rho + 1), rho, 0, 3)
    with pytest.raises(NoClosedForm, match="which branch"):
        exact_taylor(sp.Abs(rho + w - b), rho, 0, 3)


def test_floats_mean_their_decimals():
    assert exact_taylor(0.1 * rho, rho, 0, 2) == [0, sp.Rational(1, 10)]
