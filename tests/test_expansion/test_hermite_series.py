"""A Hermite series as a function, against ball arithmetic and closed forms."""

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.special import eval_hermitenorm

import kernalg as ka
from kernalg.enclosure.balls import ball_function, precision
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.symbols import x


def test_degree_sixty_in_the_bulk_against_balls():
    generator = np.random.default_rng(1)
    phi = HermiteSeries(tuple(generator.normal(size=61)), sp.Rational(3, 2))
    exact = ball_function(phi.expr, (x,))
    points = np.linspace(-12, 12, 37)
    with precision(400):
        values = np.array([float(exact(arb(float(t)))) for t in points])
    assert np.allclose(phi(points), values, rtol=1e-12, atol=1e-12)


def test_the_exponential_is_its_series():
    t = 0.8
    phi = HermiteSeries(tuple(sp.Float(t**k / math.sqrt(math.factorial(k))) for k in range(60)))
    z = np.linspace(-3, 3, 13)
    assert np.allclose(phi(z), np.exp(t * z - t * t / 2), rtol=1e-13)


def test_the_derivative_is_that_of_the_polynomial():
    phi = HermiteSeries((1, "1/3", sp.sqrt(2), 0, "-2/7"), 2)
    assert sp.expand(phi.derivative().expr - sp.diff(phi.expr, x)) == 0
    assert HermiteSeries((5,)).derivative().expr == 0


def test_coefficients_at_another_variance_are_those_of_the_same_polynomial():
    phi = HermiteSeries((1, "1/3", sp.sqrt(2), 0, "-2/7", "1/9"), "3/2")
    by_engine = [float(a) for a in ka.activation(sp.expand(phi.expr)).hermite(5, q="7/5")]
    assert np.allclose(phi.at_variance("7/5"), by_engine, rtol=1e-14)


def test_one_term_is_scipys_hermite_polynomial():
    z = np.linspace(-4, 4, 9)
    h = HermiteSeries((0,) * 7 + (1,))
    assert np.allclose(h(z), eval_hermitenorm(7, z) / math.sqrt(math.factorial(7)), rtol=1e-13)


def test_json():
    phi = HermiteSeries((sp.sqrt(2), sp.Float("0.1234567890123456789", 30)), "1/2")
    assert HermiteSeries.from_json(phi.to_json()) == phi


@pytest.mark.parametrize("given", [(), "12", ([1], 0), ([1], -1), ([math.nan],), ([None],)])
def test_bad_input(given):
    with pytest.raises(DomainError):
        HermiteSeries(*given) if isinstance(given, tuple) and given else HermiteSeries(given)


def test_symbols_have_no_values():
    with pytest.raises(DomainError, match="symbols"):
        HermiteSeries((sp.Symbol("t"),))(0.5)
