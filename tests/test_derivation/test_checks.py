"""The checks themselves: true statements pass, false ones fail, and formulas are set as by hand."""

from __future__ import annotations

import pytest
import sympy as sp

import kernalg as ka
from kernalg.derivation.checks import StepFails
from kernalg.derivation.expectation import Expectation, Mean, quadrature
from kernalg.derivation.normal_form import normal_form
from kernalg.derivation.steps import Derivation
from kernalg.derivation.typeset import formula, statement
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, rho, x

D = q1 * q2 - c**2
AT = {q1: sp.Rational(3, 2), q2: sp.Rational(2, 3), c: sp.Rational(-2, 5)}


@pytest.mark.parametrize("f, g", [(x**3, x), (x**2 * sp.exp(x / 2), sp.sin(x)), (sp.cosh(x), x * sp.cos(2 * x))])
def test_moments_by_the_generating_function_agree_with_quadrature(f: sp.Expr, g: sp.Expr) -> None:
    exact = complex(Expectation(f, g).doit().subs(AT))
    assert exact == pytest.approx(quadrature(Expectation(f, g), AT), rel=1e-11)
    mean = complex(Mean(f * g, q1).doit().subs(AT))
    assert mean == pytest.approx(quadrature(Mean(f * g, q1), AT), rel=1e-11)


def test_other_functions_stay_unevaluated() -> None:
    assert Expectation(sp.Max(x, 0), x).doit() == Expectation(sp.Max(x, 0), x)
    assert Mean(sp.exp(x**2), 1).doit() == Mean(sp.exp(x**2), 1)
    assert Mean(x**2, q1).subs(x, 3) == Mean(x**2, q1), "x is bound"


@pytest.mark.parametrize(
    "left, right",
    [
        (normal_cdf(-D / (sp.sqrt(q1) * sp.sqrt(D))), normal_cdf(-sp.sqrt(D / q1))),
        (sp.exp(c / D) - sp.exp(-c / D), 2 * sp.sinh(c / D)),
        (sp.exp(-1 / q1) * sp.exp(c**2 / (q1 * D)), sp.exp(-(q1 * q2 - 2 * c**2) / (q1 * D))),
        (bivariate_normal_cdf(1 / sp.sqrt(q1), x, c / sp.sqrt(q1 * q2)) * (c**2 - q1 * q2) / sp.sqrt(D), 
         -sp.sqrt(D) * bivariate_normal_cdf(sp.sqrt(q1) / q1, x, c / sp.sqrt(q1) / sp.sqrt(q2))),
    ],
)  # fmt: skip
def test_normal_form(left: sp.Expr, right: sp.Expr) -> None:
    assert normal_form(left - right, lambda p: bool(p.subs(AT).subs(x, 1).is_positive)) == 0
    assert normal_form(left + right, lambda p: bool(p.subs(AT).subs(x, 1).is_positive)) != 0


def test_families_bounds_and_abbreviations() -> None:
    n, s = sp.Symbol("n", integer=True, positive=True), sp.Symbol("s", positive=True)
    d = ka.Derivation("some", "some")
    step = d.family(sp.hermite_prob(n, -x), (-1) ** n * sp.hermite_prob(n, x), index=n, values=(1, 2, 3), because="")
    assert not step.checked.is_proof and "1, 2, 3, and for these only" in str(step.checked)
    with pytest.raises(StepFails, match="for n = 2"):
        d.family(x**n, x, index=n, values=(1, 2), because="only the first is true")
    assert not d.bound(rho**2, sp.Abs(rho), because="").checked.is_proof
    with pytest.raises(StepFails, match="is above"):
        d.bound(sp.Abs(rho), rho**2, because="")
    d.abbreviate(s, sp.sqrt(D), "")
    assert d.step(s**2, D, because="", check="symbolic").lhs == s**2
    with pytest.raises(StepFails, match="not 0"):
        d.step(s, D, because="", check="symbolic")
    with pytest.raises(StepFails):
        d.step(sp.Tuple(s**2, 1), sp.Tuple(D, 2), because="second entry", check="symbolic")
    with pytest.raises(StepFails):
        d.step(sp.Integral(x, (x, 0, s)), s**2, because="a lost half", check="mpmath")
    with pytest.raises(StepFails):
        d.step(sp.Max(x, 0), x, because="one branch is wrong", check="symbolic")
    with pytest.raises(StepFails, match="quadrature"):
        d.integrate(
            Mean(sp.Max(x, 0), q1), q1, derivative=sp.S.One, symbol=q1, point=sp.S.Zero, value=sp.S.Zero,
            because="derivative and value are not those of the left side",
        )  # fmt: skip
    assert len(d.steps) == 4


@pytest.mark.parametrize(
    "expr, latex",
    [
        (sp.sqrt(q1) * sp.sqrt(q2), r"\sqrt{q_{1} q_{2}}"),
        (1 / sp.sqrt(2 * sp.pi), r"\frac{1}{\sqrt{2 \pi}}"),
        (sp.sqrt(q1) / sp.sqrt(2 * sp.pi), r"\sqrt{\frac{q_{1}}{2 \pi}}"),
        (D, r"q_{1} q_{2} - c^{2}"),
        (sp.exp(-(q1 + q2) / 2), r"e^{-\left(q_{1} + q_{2}\right)/2}"),
        ((1 + rho) / 2, r"\frac{1 + \rho}{2}"),
        (1 / D ** sp.Rational(3, 2), r"\frac{1}{\left(q_{1} q_{2} - c^{2}\right)^{3/2}}"),
        (sp.Max(x, 0) ** 2, r"\max\left(x, 0\right)^{2}"),
        (Expectation(sp.Heaviside(x), 1 + x), r"\mathbb{E}\left[H\left(u\right) \, \left(1 + v\right)\right]"),
        (Mean(x**2, 1), r"\mathbb{E}\left[Z^{2}\right]"),
        (-x * sp.asin(rho), r"- x \arcsin{\left(\rho \right)}"),
        (3 * (-c) * D, r"- 3 c \left(q_{1} q_{2} - c^{2}\right)"),
    ],
)
def test_formulas_are_set_as_by_hand(expr: sp.Expr, latex: str) -> None:
    assert formula(expr) == latex


def test_long_statements_are_broken() -> None:
    text = statement(x, "=", ka.activation("hard_swish").dual.expr)
    assert text.startswith(r"\begin{aligned} x & = ") and text.count(r"\\") > 3
    assert text.count(r"\left") == text.count(r"\right")
    assert statement(x, "<=", x**2) == r"x \le x^{2}"


@pytest.mark.parametrize("formula", ["Max(x, 0)/10**6", "Max(x - 8, 0)", "sin(x)/10**6", "sin(7*x)", "sin(9*x)"])
def test_a_flipped_sign_fails_however_small_the_value(formula):
    phi = ka.activation(formula)
    d = Derivation("t", "t")
    both = Expectation(phi.expr, phi.expr)
    d.step(both, phi.dual.expr, because="true", check="quadrature")
    for factor in (-1, 5):
        with pytest.raises(StepFails, match="quadrature gives"):
            d.step(both, factor * phi.dual.expr, because="false", check="quadrature")


def test_a_factor_with_a_minus_is_bracketed():
    assert sp.latex(Expectation(x, -x)) == r"\mathbb{E}\left[u \, \left(- v\right)\right]"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("abs_power", {"p": "3/2"}), ("rectified_power", {"p": "1/3"}), ("log_abs", {}), ("sinc", {}), ("dawson", {})],
)
def test_families_beyond_the_atoms_are_derived(name, parameters):
    dual = ka.activation(name, **parameters).dual
    d = ka.derivation(dual)
    assert d.conclusion.formula == dual.expr
    assert [s.checked.kind for s in d.steps] == ["definition", "series", "balls"]
    with pytest.raises(StepFails, match="the Hermite series gives"):
        d.steps[1].verify(-dual.expr)
    assert "$$" in d.markdown()


@pytest.mark.parametrize("name", ["relu", "gelu", "elu", "hard_tanh", "max(x,0)*exp(-x**2)"])
def test_price_theorem_proves_the_slope_of_the_formula(name):
    d = ka.derivation(ka.activation(name).dual)
    slope, start = d.steps[-2:]
    assert slope.lhs.is_Derivative and slope.checked.is_proof and start.checked.is_proof
    with pytest.raises(StepFails):
        slope.verify(-slope.rhs)


@pytest.mark.parametrize(
    "formula", ["relu6", "hard_sigmoid", "gabor", "quantiser", "Max(x - 20, 0)", "exp(-x**2)*cos(x)"]
)
def test_every_activation_of_the_class_is_derived(formula):
    """Thresholds far out, narrow functions, derivatives that vanish almost everywhere."""
    dual = ka.activation(formula).dual
    for one in (dual, dual.derivative):
        assert ka.derivation(one).conclusion.formula == one.expr
