"""Zonal polynomials and the Taylor map against SciPy, mpmath, orthogonality and exact inverses."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import acb, arb, fmpq
from scipy.special import eval_chebyt, eval_gegenbauer, eval_legendre

from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.expansion.taylor import (
    largest_weight,
    log_largest_weight,
    taylor_from_zonal,
    zonal_from_taylor,
    zonal_weights,
)
from kernalg.expansion.zonal import (
    log_multiplicity,
    multiplicities,
    multiplicity,
    zonal_ball,
    zonal_polynomial,
    zonal_table,
)
from kernalg.symbols import rho


def test_multiplicity_counts_harmonics():
    for d in range(2, 9):
        for k in range(1, 12):
            assert multiplicity(d, k) * k == (2 * k + d - 2) * math.comb(k + d - 3, k - 1)
            # All polynomials of degree <= k on the sphere.
            assert sum(multiplicity(d, j) for j in range(k + 1)) == math.comb(d + k - 1, k) + math.comb(
                d + k - 2, k - 1
            )
    assert multiplicity(10, 6) == 4290 and multiplicity(2, 0) == 1 and multiplicity(2, 7) == 2
    assert multiplicity(1000, 100).bit_length() > 400


@pytest.mark.parametrize(("d", "k"), [(3, 7), (50, 10), (784, 30), (10**5, 500)])
def test_log_multiplicity(d, k):
    expected = math.log(2 * k + d - 2) - math.log(k) + math.lgamma(k + d - 2) - math.lgamma(k) - math.lgamma(d - 1)
    assert log_multiplicity(d, k) == pytest.approx(expected, rel=1e-10)


def test_zonal_table_against_scipy():
    t = np.linspace(-1, 1, 41).reshape(1, 41)
    k = np.arange(31).reshape(-1, 1, 1)
    np.testing.assert_allclose(zonal_table(30, 2, t), eval_chebyt(k, t), atol=2e-14)
    np.testing.assert_allclose(zonal_table(30, 3, t), eval_legendre(k, t), atol=2e-14)
    for d in (5, 40):
        a = d / 2 - 1
        np.testing.assert_allclose(
            zonal_table(30, d, t), eval_gegenbauer(k, a, t) / eval_gegenbauer(k, a, 1.0), atol=1e-13
        )
    assert zonal_table(0, 7, 0.25).shape == (1,)


def test_zonal_polynomial_is_orthogonal_and_one_at_one():
    d = 6
    for k in range(4):
        assert zonal_polynomial(k, d).subs(rho, 1) == 1
        for m in range(k + 1):
            product = sp.expand(zonal_polynomial(k, d) * zonal_polynomial(m, d))
            moments = sp.Poly(product, rho).all_coeffs()[::-1]
            # E[t^n] = (n-1)!! / (d (d+2) … (d+n-2)) for even n.
            value = sum(
                a * sp.factorial2(n - 1) / sp.prod(range(d, d + n, 2)) for n, a in enumerate(moments) if n % 2 == 0
            )
            assert value == (sp.Rational(1, multiplicity(d, k)) if k == m else 0)


def test_zonal_ball_contains_the_exact_value_also_off_the_interval():
    with precision(400):
        exact = zonal_polynomial(60, 49).subs(rho, sp.Rational(1, 3))
        value = zonal_ball(60, 49, ball(Fraction(1, 3)))
        assert value.contains(fmpq(int(exact.p), int(exact.q))) and value.rel_accuracy_bits() > 250
        z = acb("0.2", "0.3")
        x = zonal_ball(3, 3, z)
        assert x.overlaps((5 * z**3 - 3 * z) / 2)


@pytest.mark.parametrize(("d", "k"), [(2, 0), (3, 4), (10, 7), (50, 3), (784, 10)])
def test_weights_against_gamma_functions(d, k):
    with mp.workdps(50), precision(200):
        for j, weight in enumerate(zonal_weights(d, k, 30)):
            m = k + 2 * j
            truth = (
                mp.factorial(m)
                / (mp.factorial(j) * mp.mpf(2) ** m)
                * mp.gammaprod([mp.mpf(d) / 2], [mp.mpf(d) / 2 + k + j])
            )
            assert abs(weight - ball(truth)) < abs(weight) * arb("1e-45")
    weights = [float(w) for w in zonal_weights(d, k, 200)]
    for j in (0, 3, 50):
        assert float(largest_weight(d, k, j)) == pytest.approx(max(weights[j:]), rel=1e-9)
        assert math.exp(log_largest_weight(d, k, j)) == pytest.approx(max(weights[j:]), rel=1e-9)


def test_largest_weight_when_the_weights_first_rise():
    with precision(200):
        weights = [float(w) for w in zonal_weights(10, 40, 400)]
    assert np.argmax(weights) > 10
    assert math.exp(log_largest_weight(10, 40, 0)) == pytest.approx(max(weights), rel=1e-9)


@pytest.mark.parametrize("d", [2, 3, 8, 51])
def test_taylor_zonal_round_trip(d):
    rng = np.random.default_rng(3)
    coefficients = [
        sp.Rational(int(p), int(q)) for p, q in zip(rng.integers(-9, 10, 9), rng.integers(1, 10, 9), strict=True)
    ]
    eigenvalues = zonal_from_taylor(coefficients, d)
    assert taylor_from_zonal(eigenvalues, d) == coefficients
    total = sum(multiplicity(d, k) * v * zonal_polynomial(k, d) for k, v in enumerate(eigenvalues))
    assert sp.expand(total - sum(a * rho**m for m, a in enumerate(coefficients))) == 0
    assert zonal_from_taylor(coefficients, d, degree=12)[9:] == [0] * 4
    assert zonal_from_taylor(coefficients, d, degree=2) == eigenvalues[:3]


def test_a_zonal_polynomial_has_one_eigenvalue():
    p = sp.Poly(zonal_polynomial(5, 7), rho).all_coeffs()[::-1]
    assert zonal_from_taylor(p, 7) == [0, 0, 0, 0, 0, sp.Rational(1, multiplicity(7, 5))]
    assert zonal_from_taylor([Fraction(1, 2), 3], 4) == [sp.Rational(1, 2), sp.Rational(3, 4)]


@pytest.mark.parametrize("bad", [1, 0, -3, 2.5, True, "3", None, sp.Rational(5, 2)])
def test_dimension_is_an_integer_from_two(bad):
    for call in (
        lambda: multiplicity(bad, 2), lambda: log_multiplicity(bad, 2), lambda: zonal_table(2, bad, 0.1),
        lambda: zonal_ball(2, bad, arb(0)), lambda: zonal_polynomial(2, bad), lambda: zonal_weights(bad, 2, 2),
        lambda: zonal_from_taylor([1], bad), lambda: taylor_from_zonal([1], bad),
    ):  # fmt: skip
        with pytest.raises(DomainError):
            call()


def test_other_bad_input():
    for call in (
        lambda: multiplicity(3, -1), lambda: zonal_polynomial(-1, 3), lambda: zonal_table(2, 3, [0.5, np.nan]),
        lambda: zonal_table(2, 3, 1.5), lambda: zonal_table(1.5, 3, 0.5), lambda: zonal_weights(3, 1, -1),
        lambda: zonal_from_taylor([0.5], 3), lambda: zonal_from_taylor([sp.sqrt(2)], 3),
        lambda: taylor_from_zonal([rho], 3),
        lambda: zonal_from_taylor([1], 3, degree=-1),
    ):  # fmt: skip
        with pytest.raises(DomainError):
            call()


@pytest.mark.parametrize("d", [2, 3, 4, 50, 10**6])
def test_multiplicities_one_after_the_other(d):
    assert multiplicities(d, 60) == [multiplicity(d, k) for k in range(61)]
    assert multiplicities(d, 0) == [1]
