"""Formulas of eigenvalues against certified numbers, published digits and each other."""

import json
from pathlib import Path

import pytest
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.spectrum.closed_forms import DEGREE, eigenvalue_formula
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Sphere
from kernalg.spectrum.sphere_trapezoid import eigenvalues_by_trapezoid
from kernalg.symbols import rho

k = DEGREE
d = sp.Symbol("d", positive=True)
CASES = json.loads((Path(__file__).parents[1] / "data" / "spectra_generalization_public.json").read_text())[
    "gegenbauer"
]["cases"]
KAPPA0 = 1 - sp.acos(rho) / sp.pi
KAPPA1 = (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
PROFILES = {
    "step": KAPPA0,
    "relu dual": KAPPA1,
    "relu NTK 1": KAPPA1 + rho * KAPPA0,
    "exp(xi)": sp.exp(rho),
    "exp(-2": sp.exp(-2 * (1 - rho)),
    "((1+xi": ((1 + rho) / 2) ** 6,
}


KNOWN = [case for case in CASES if case["kernel"].startswith(tuple(PROFILES))]


@pytest.mark.parametrize("case", KNOWN, ids=lambda c: f"{c['kernel'][:22]}-d{c['d']}-k{c['k']}")
def test_published_eigenvalues(case):
    expr = next(e for name, e in PROFILES.items() if case["kernel"].startswith(name))
    value = sp.N(eigenvalue_formula(expr, d).subs(k, case["k"]).subs(d, case["d"]), 30)
    truth = sp.Float(case["eigenvalue"], 40)
    assert abs(value - truth) <= abs(truth) * sp.Float("1e-25", 40)


KERNELS = {
    "leaky": lambda: ka.mlp("leaky_relu", depth=1, w_var=2).ntk,
    "squared": lambda: ka.mlp("squared_relu", depth=1).ntk,
    "readout bias": lambda: ka.mlp("relu", depth=1, w_var=2, readout=(3, "1/7")).ntk,
    "cosh": lambda: dot_product_kernel("cosh(rho) + rho**2*exp(rho/2)"),
    "sinh": lambda: dot_product_kernel("rho*sinh(3*rho)"),
    "negative rate": lambda: dot_product_kernel("exp(rho) + exp(-rho)/2"),
    "root": lambda: dot_product_kernel("3 - sqrt(2 - 2*rho)"),
    "both roots": lambda: dot_product_kernel("3 - sqrt(1-rho) - sqrt(1+rho)"),
    "semicircle": lambda: dot_product_kernel("1 + asin(rho)*rho**2 - sqrt(1-rho)*sqrt(1+rho)"),
    "polynomial": lambda: dot_product_kernel("(1+rho)**4 + rho**7"),
    "mixed": lambda: dot_product_kernel("rho**2*(2 - sqrt(1-rho)) + exp(2*rho)"),
}


class WithoutFormula:
    """The same profile with its formula hidden: numbers come from the other methods."""

    def __init__(self, profile):
        self.series, self.ball, self.nonnegative = profile.series, profile.ball, profile.nonnegative


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dimension", [2, 4, 11])
def test_formula_is_the_eigenvalue(name, dimension):
    kernel = KERNELS[name]()
    formula = eigenvalue_formula(kernel, Sphere(dimension))
    numbers = spectrum(WithoutFormula(kernel.profile()), Sphere(dimension), degree=9).eigenvalues
    for degree in range(10):
        value = sp.N(formula.subs(k, degree), 30)
        assert float(value) == pytest.approx(numbers[degree], rel=2e-14, abs=0)
        if numbers[degree] == 0:
            assert formula.subs(k, degree) == 0


@pytest.mark.parametrize("name", ["squared", "semicircle", "mixed", "polynomial"])
def test_symbolic_dimension(name):
    general = eigenvalue_formula(KERNELS[name](), d)
    for dimension, degree in ((3, 0), (3, 1), (5, 4), (8, 7)):
        special = eigenvalue_formula(KERNELS[name](), Sphere(dimension))
        left, right = (sp.N(v, 30) for v in (general.subs(k, degree).subs(d, dimension), special.subs(k, degree)))
        assert abs(left - right) <= abs(right) * sp.Float("1e-26", 30)


def test_symbolic_exponent_and_rate():
    nu, b = sp.symbols("nu b", positive=True)
    power = eigenvalue_formula((1 - rho) ** nu, d)
    at = {nu: sp.Rational(1, 2), d: 4, k: 3}
    assert power.subs(at) == eigenvalue_formula(sp.sqrt(1 - rho), Sphere(4)).subs(k, 3)
    # d/db of the eigenvalue of exp(b rho) is that of rho exp(b rho)
    slope = sp.diff(eigenvalue_formula(sp.exp(b * rho), Sphere(5)), b).subs({k: 2, b: 1})
    assert abs(sp.N(slope - eigenvalue_formula(rho * sp.exp(rho), Sphere(5)).subs(k, 2), 30)) < 1e-28


def test_degrees_are_named_by_the_user():
    n = sp.Symbol("n", integer=True, nonnegative=True)
    assert eigenvalue_formula(KAPPA0, d, n).free_symbols == {n, d}


@pytest.mark.parametrize("dimension", [2, 3, 6, 10**6])
def test_spectrum_uses_them_at_any_degree(dimension):
    s = spectrum(ka.mlp("relu", depth=1, w_var=2).ntk, Sphere(dimension), degree=2500, digits=25)
    assert set(s.methods) == {"closed form"} and float(s.exact[2499]) == 0 < s.exact[2500]
    assert s.multiplicities[2] == (2 if dimension == 2 else dimension * (dimension + 1) // 2 - 1)
    with pytest.raises(DomainError, match="2000"):
        spectrum(ka.mlp("relu", depth=2).ntk, Sphere(dimension), degree=2500)


def test_closed_form_and_trapezoid_agree_at_degree_100():
    kernel = ka.mlp("relu", depth=1, w_var=2).ntk
    s = spectrum(kernel, Sphere(3), degree=100, digits=25)
    assert s.methods[100] == "closed form"
    with precision(200):
        rule = eigenvalues_by_trapezoid(kernel.profile(), 3, {100: arb(s.eigenvalues[100])}, 25, arb(2))[100]
        assert abs(rule - ball(s.exact[100])) <= rule * arb(10) ** -24


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eigenvalue_formula(ka.mlp("relu", depth=2).ntk, Sphere(3)), "known are"),
        (lambda: eigenvalue_formula(ka.mlp("relu", depth=12).ntk, Sphere(3)), "deep network"),
        (lambda: eigenvalue_formula(ka.mlp("tanh", depth=1).ntk, Sphere(3)), "no formula in rho"),
        (lambda: eigenvalue_formula(sp.exp(-sp.sqrt(2 - 2 * rho)), Sphere(3)), "exp"),
        (lambda: eigenvalue_formula(sp.asin(rho / 2), Sphere(3)), "asin"),
        (lambda: eigenvalue_formula(sp.asin(rho) * sp.exp(rho), Sphere(3)), "known are"),
        (lambda: eigenvalue_formula((1 - rho) ** sp.Rational(-1, 2), Sphere(2)), "integrable"),
        (lambda: eigenvalue_formula(sp.exp(rho), 3), "Sphere"),
        (lambda: eigenvalue_formula(sp.exp(rho), Sphere(10**5)), "symbol"),
        (lambda: eigenvalue_formula(sp.exp(rho), d, 3), "symbol"),
        (lambda: eigenvalue_formula("exp(rho)", d), "profile"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(DomainError, match=words):
        call()


def test_layers_upon_layers_are_refused_before_they_are_expanded(monkeypatch):
    # Expanding this formula (a tree of less than 2000 nodes) took SymPy ten seconds.
    profile = ka.mlp("relu", depth=4, w_var="3/2", b_var="1/10").nngp.profile().expr
    monkeypatch.setattr(sp, "expand", lambda *_, **__: pytest.fail("expanded"))
    with pytest.raises(DomainError, match="no formula"):
        eigenvalue_formula(profile, Sphere(10))
