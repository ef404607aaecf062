"""Changes of basis against SymPy's own polynomials, each other, and quadrature."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError
from kernalg.expansion.conversions import (
    BASES,
    convert_expansion,
    dual_taylor_from_hermite,
    hermite_from_dual_taylor,
)
from kernalg.expansion.zonal import multiplicity, zonal_polynomial
from kernalg.symbols import rho

D = 7
VALUES = [Fraction(1, 3), -2, Fraction(5, 7), 0, 4, Fraction(-1, 9)]


def polynomial(coefficients, basis):
    """The expansion written out with SymPy's polynomials."""
    he = [sp.expand(2 ** sp.Rational(-k, 2) * sp.hermite(k, rho / sp.sqrt(2))) for k in range(len(coefficients))]
    elements = {
        "monomial": lambda k: rho**k,
        "He": lambda k: he[k],
        "h": lambda k: he[k] / sp.sqrt(sp.factorial(k)),
        "eigenvalue": lambda k: multiplicity(D, k) * zonal_polynomial(k, D),
        "P": lambda k: zonal_polynomial(k, D),
        "orthonormal": lambda k: sp.sqrt(multiplicity(D, k)) * zonal_polynomial(k, D),
        "C": lambda k: sp.gegenbauer(k, sp.Rational(D, 2) - 1, rho),
    }[basis]
    return sp.expand(sum(sp.nsimplify(a) * elements(k) for k, a in enumerate(coefficients)))


@pytest.mark.parametrize(("source", "target"), [p for p in product(BASES, BASES) if p[0] <= p[1]])
def test_both_directions_give_the_same_polynomial(source, target):
    converted = convert_expansion(VALUES, source, target, d=D)
    assert sp.simplify(polynomial(converted, target) - polynomial(VALUES, source)) == 0
    back = convert_expansion(converted, target, source, d=D)
    assert [sp.simplify(a - sp.nsimplify(v)) for a, v in zip(back, VALUES, strict=True)] == [0] * len(VALUES)


def test_hermite_coefficients_are_gaussian_means():
    x = rho
    for k, a in enumerate(convert_expansion([0, 1, 0, 0, 2], "monomial", "h")):
        he = 2 ** sp.Rational(-k, 2) * sp.hermite(k, x / sp.sqrt(2)) / sp.sqrt(sp.factorial(k))
        density = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
        assert sp.simplify(sp.integrate((x + 2 * x**4) * he * density, (x, -sp.oo, sp.oo)) - a) == 0


@pytest.mark.parametrize("d", [2, 3, 200])
def test_floats_are_rounded_once(d):
    rng = np.random.default_rng(5)
    values = rng.normal(size=40)
    for source, target in (
        ("monomial", "eigenvalue"),
        ("eigenvalue", "monomial"),
        ("P", "orthonormal"),
        ("monomial", "h"),
    ):
        floats = convert_expansion(values, source, target, d=d)
        exact = convert_expansion([Fraction(float(v)) for v in values], source, target, d=d)
        assert floats.dtype == np.float64
        for value, truth in zip(floats, exact, strict=True):
            assert abs(sp.Rational(float(value)) - truth).evalf(30) <= abs(truth).evalf(30) * sp.Float("1.2e-16")


def test_balls_contain_the_exact_values():
    exact = convert_expansion(VALUES, "monomial", "orthonormal", d=D)
    with precision(120):
        balls = convert_expansion([arb(v.numerator) / v.denominator for v in VALUES], "monomial", "orthonormal", d=D)
        for value, truth in zip(balls, exact, strict=True):
            assert value.overlaps(arb(str(sp.N(truth, 40)))) and value.rad() < 1e-30


def test_circle_and_empty():
    # cos(2 theta) = 2 t^2 - 1; two harmonics of degree 2
    assert convert_expansion([-1, 0, 2], "monomial", "P", d=2) == [0, 0, 1]
    assert convert_expansion([-1, 0, 2], "monomial", "eigenvalue", d=2) == [0, 0, sp.Rational(1, 2)]
    assert convert_expansion([], "monomial", "He") == []


def test_dual_of_an_activation_and_back():
    phi = ka.activation("x**4 - x")
    coefficients = phi.hermite(4)
    dual = sp.Poly(sp.expand(phi.dual.normalized), rho).all_coeffs()[::-1]
    assert dual_taylor_from_hermite(coefficients) == dual
    assert dual_taylor_from_hermite([0, -1, 0, 0, 1], "He")[1] == 1
    assert [a**2 for a in hermite_from_dual_taylor(dual)] == dual
    np.testing.assert_allclose(dual_taylor_from_hermite([0.5, 0.25]), [0.25, 0.0625], rtol=1e-15)
    np.testing.assert_allclose(hermite_from_dual_taylor([0.25, 0.0625]), [0.5, 0.25], rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convert_expansion([1], "taylor", "He"), "no basis"),
        (lambda: convert_expansion([1], "monomial", "P"), "dimension d"),
        (lambda: convert_expansion([1], "monomial", "C", d=2), "'P'"),
        (lambda: convert_expansion([1], "monomial", "P", d=1), "d=1"),
        (lambda: convert_expansion([1, float("nan")], "monomial", "He"), r"coefficients\[1\]"),
        (lambda: convert_expansion([1, sp.I], "monomial", "He"), r"coefficients\[1\]"),
        (lambda: convert_expansion(None, "monomial", "He"), "coefficients is None"),
        (lambda: convert_expansion(3, "monomial", "He"), "coefficients is 3"),
        (lambda: convert_expansion([None], "monomial", "He"), r"coefficients\[0\]"),
        (lambda: dual_taylor_from_hermite([1], "monomial"), "'He'"),
        (lambda: hermite_from_dual_taylor([1], "P"), "'He'"),
        (lambda: hermite_from_dual_taylor([1, -2]), r"coefficients\[1\]"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(DomainError, match=words):
        call()
