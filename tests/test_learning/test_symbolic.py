"""The formulas as SymPy objects: the numbers of learning_curve, derivatives by a second route, thirty digits."""

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.errors import DomainError
from kernalg.learning.critical_level import critical_level
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.optimal_ridge import noise_derivative, ridge_derivative
from kernalg.learning.symbolic import critical_level_formulas, eigenlearning_formulas
from kernalg.spectrum.spectrum import Spectrum

DATA = Path(__file__).parents[1] / "data" / "spectra_generalization_public.json"
SPECTRUM = Spectrum([0.5, 0.01, 1e-4], [2, 40, 900])
POWER = [1.0, 0.5, 0.25]
CURVE = {"kappa", "overfitting", "bias", "variance", "test_mse", "excess_mse", "train_mse"}


@pytest.mark.parametrize(("n", "ridge"), [(1, 0.0), (42, 0.0), (42, 0.02), (500, 1e-9), (5000, 0.25)])
def test_the_same_numbers_as_the_curve(n, ridge):
    formulas = eigenlearning_formulas(3)
    at = formulas.values(SPECTRUM, POWER, n=n, ridge=ridge, noise=0.3)
    curve = learning_curve(SPECTRUM, POWER, n=n, ridge=ridge, noise=0.3)
    for name in CURVE:
        number = formulas.evaluate(getattr(formulas, name), at, 30)
        assert getattr(curve, name)[0] == pytest.approx(float(number), rel=1e-13, abs=1e-300), name
    for i, share in enumerate(formulas.learnabilities):
        assert curve.learnabilities[0, i] == pytest.approx(float(formulas.evaluate(share, at)), rel=1e-13, abs=0)
    slope = formulas.evaluate(formulas.derivative(formulas.test_mse, formulas.delta), at, 25)
    assert ridge_derivative(curve)[0] == pytest.approx(float(slope), rel=1e-10, abs=0)
    by_noise = formulas.evaluate(formulas.derivative(formulas.test_mse, formulas.noise), at, 25)
    assert noise_derivative(curve)[0] == pytest.approx(float(by_noise), rel=1e-13, abs=0)


def test_thirty_digits():
    """Against mpmath's root finder on the equation as it stands, started far away."""
    formulas = eigenlearning_formulas(2)
    spectrum = Spectrum([0.5, 0.25], [3, 8])
    at = formulas.values(spectrum, [1, 0.5], n=6, ridge=0.125, noise=0.5)
    with mp.workdps(45):
        kappa = mp.findroot(lambda k: 1.5 / (0.5 + k) + 2 / (0.25 + k) + mp.mpf(1) / 8 / k - 6, 0.3)
        one, two = 0.5 / (0.5 + kappa), 0.25 / (0.25 + kappa)
        e0 = 6 / (6 - 3 * one**2 - 8 * two**2)
        test = e0 * ((1 - one) ** 2 + (1 - two) ** 2 / 2 + 0.5)
        for expression, expected in ((formulas.kappa, kappa), (formulas.test_mse, test),
                                     (formulas.train_mse, (1 / (48 * kappa)) ** 2 * test)):  # fmt: skip
            number = formulas.evaluate(expression, at, 30)
            assert abs(mp.mpf(number._mpf_) / expected - 1) < mp.mpf(10) ** -29
    residual = formulas.equation.lhs - formulas.equation.rhs
    solved = sp.nsolve(residual.subs(at), formulas.kappa, 0.3, prec=35)
    assert abs(solved - formulas.evaluate(formulas.kappa, at, 33)) < sp.Float("1e-31", 33)


def test_published_form_reference_digits():
    """300 levels of irrational eigenvalues, against the reference's 28 digits."""
    case = json.loads(DATA.read_text())["generalization"]["eigenlearning"][0]
    assert case["problem"].startswith("power law") and case["ridge"] == "0.0"
    values = [(sp.Integer(i) ** sp.Rational(-6, 5)).evalf(45) for i in range(1, 301)]
    values[0] = sp.Float(1, 45)
    spectrum = Spectrum([float(v) for v in values], [1] * 300, exact=values)
    formulas = eigenlearning_formulas(300)
    at = formulas.values(spectrum, [1], n=case["n"])
    for name, key in (("kappa", "kappa"), ("overfitting", "E0")):
        number = formulas.evaluate(getattr(formulas, name), at, 30)
        assert abs(number / sp.Float(case[key], 40) - 1) < sp.Float("1e-28", 30), name


@pytest.mark.parametrize("name", ["kappa", "test_mse", "train_mse", "variance"])
@pytest.mark.parametrize("symbol", ["delta", "noise", "n", "eigenvalue", "power"])
def test_derivatives_against_differences(name, symbol):
    formulas = eigenlearning_formulas(2)
    at = formulas.values(Spectrum([0.5, 0.01], [2, 40]), [1, 0.5], n=30, ridge=0.125, noise=0.25)
    by = {"eigenvalue": formulas.eigenvalues[1], "power": formulas.powers[0]}.get(symbol) or getattr(formulas, symbol)
    expression = getattr(formulas, name)
    slope = formulas.evaluate(formulas.derivative(expression, by), at, 20)
    h = sp.Rational(1, 10**12)
    up, down = (formulas.evaluate(expression, at | {by: at[by] + s * h}, 50) for s in (1, -1))
    assert abs((up - down) / (2 * h) - slope) <= sp.Float("1e-18", 20) * (1 + 1000 * abs(slope))


def test_higher_derivatives_commute():
    formulas = eigenlearning_formulas(1)
    at = formulas.values(Spectrum([0.5], [20]), [1], n=10, ridge=0.1, noise=0.1)
    one = formulas.derivative(formulas.test_mse, formulas.delta, formulas.n)
    two = formulas.derivative(formulas.test_mse, formulas.n, formulas.delta)
    assert abs(formulas.evaluate(one, at) / formulas.evaluate(two, at) - 1) < 1e-25


def test_d_kappa_d_delta_is_one_over_the_gap():
    formulas = eigenlearning_formulas(2)
    kappa = formulas.kappa
    gap = formulas.n - formulas.n / (formulas.overfitting) + 0 * kappa  # q
    slope = formulas.derivative(kappa, formulas.delta)
    # 1/g with g = n - q = delta/kappa + sum m L (1 - L), of which the last form needs the equation of kappa.
    g = formulas.delta / kappa + sum(
        m * share * (1 - share) for m, share in zip(formulas.multiplicities, formulas.learnabilities, strict=True)
    )
    assert sp.simplify(slope - 1 / g) == 0
    at = formulas.values(Spectrum([0.5, 0.01], [2, 40]), [1, 0.5], n=30, ridge=0.125)
    assert abs(formulas.evaluate(gap, at) - (30 - formulas.evaluate(g, at))) < 1e-25


def test_a_tail_acts_as_ridge():
    spectrum = Spectrum([0.5, 0.01], [2, 40], trace=1.5)
    formulas = eigenlearning_formulas(2, tail=True)
    at = formulas.values(spectrum, [1, 0.5], n=30, ridge=0.125, noise=0.25)
    curve = learning_curve(spectrum, [1, 0.5], n=30, ridge=0.125, noise=0.25)
    for name in ("kappa", "test_mse", "train_mse"):
        assert float(formulas.evaluate(getattr(formulas, name), at)) == pytest.approx(
            getattr(curve, name)[0], rel=1e-13
        )
    with pytest.raises(DomainError, match="tail=True"):
        eigenlearning_formulas(2).values(spectrum, [1, 0.5], n=30)


def test_cancelling_digits_are_made_up_for():
    spectrum = Spectrum([1.0, 1e-250], [10, 10])
    formulas = eigenlearning_formulas(2)
    at = formulas.values(spectrum, [1, 1], n=10, ridge=0)
    # On the plateau kappa^2 = lambda_0 lambda_1.
    assert abs(formulas.evaluate(formulas.kappa, at, 30) / sp.Float("1e-125", 30) - 1) < 1e-15
    assert float(formulas.evaluate(formulas.overfitting, at)) == pytest.approx(
        learning_curve(spectrum, [1, 1], n=10).overfitting[0], rel=1e-13
    )


@pytest.mark.parametrize(("modes", "n", "xi"), [(300, 150, 32 / 1.03), (300, 330, 32 / 1.03), (300, 1200, 5)])
def test_the_critical_level(modes, n, xi):
    formulas = critical_level_formulas()
    level = critical_level(modes, xi / modes, n=n, ridge=0.25, tail=0.75, power=0.5, noise=0.125)
    names = ["n", "N", "lambda", "D", "delta", "sigma^2", "v^2"]
    numbers = [n, modes, xi / modes, 1, 0.25, 0.125, 0.5]
    at = {sp.Symbol(name, positive=True): value for name, value in zip(names, numbers, strict=True)}
    assert float(formulas.evaluate(formulas.root, at)) == pytest.approx(level.kappa[0], rel=1e-14, abs=0)
    for name in ("overfitting", "bias", "variance", "test_mse", "train_mse"):
        assert formulas.kappa not in getattr(formulas, name).free_symbols
        assert float(formulas.evaluate(getattr(formulas, name), at)) == pytest.approx(
            getattr(level, name)[0], rel=1e-13
        )
    gap = (formulas.equation.lhs - formulas.equation.rhs).subs(formulas.kappa, formulas.root)
    assert sp.simplify(gap) == 0
    # The explicit and the implicit derivative.
    D = formulas.effective_ridge
    explicit, implicit = sp.diff(formulas.root, D), formulas.derivative(formulas.kappa, D)
    assert abs(formulas.evaluate(explicit, at) / formulas.evaluate(implicit, at) - 1) < 1e-25


def test_it_shows_itself():
    text = eigenlearning_formulas(2)._repr_latex_()
    for piece in (r"\lambda_{0}", r"v^{2}_{1}", r"\sigma^{2}", r"E_{0}", r"\begin{aligned}", r"\delta"):
        assert piece in text, piece
    assert r"\sqrt" in critical_level_formulas()._repr_latex_() and "kappa = " in repr(critical_level_formulas())
    assert "2 levels" in repr(eigenlearning_formulas(2)) and "1 level:" in repr(eigenlearning_formulas(1))
    assert eigenlearning_formulas(2) == eigenlearning_formulas(2)


def test_refusals():
    formulas = eigenlearning_formulas(2)
    spectrum = Spectrum([0.5, 0.25], [3, 8])
    at = formulas.values(spectrum, [1, 1], n=11)
    with pytest.raises(DomainError, match="not below the rank 11"):
        formulas.evaluate(formulas.kappa, at)
    with pytest.raises(DomainError, match="no value for delta, lambda_0"):
        formulas.evaluate(formulas.kappa, {formulas.n: 3})
    with pytest.raises(DomainError, match="n is nan"):
        formulas.evaluate(formulas.kappa, at | {formulas.n: np.nan})
    with pytest.raises(DomainError, match="not by 'delta'"):
        formulas.derivative(formulas.kappa, "delta")
    with pytest.raises(DomainError, match="not by kappa"):
        formulas.derivative(formulas.kappa, formulas.kappa)
    with pytest.raises(DomainError, match="a SymPy expression is needed"):
        formulas.derivative("test_mse", formulas.delta)
    with pytest.raises(DomainError, match="has 2 levels, these formulas 3"):
        eigenlearning_formulas(3).values(spectrum, [1, 1], n=1)
    with pytest.raises(DomainError, match="beyond the levels"):
        formulas.values(spectrum, [1, 1, 1], n=1)
    with pytest.raises(DomainError, match="evaluated at one"):
        formulas.values(spectrum, [1, 1], n=[1, 2])
    with pytest.raises(DomainError, match="levels=0"):
        eigenlearning_formulas(0)
    with pytest.raises(DomainError, match="key 'n'"):
        formulas.evaluate(formulas.kappa, {"n": 3})
