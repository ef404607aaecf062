"""Polynomial activations: Mehler's sum against the engine, quadrature, and what the coefficients say."""

from __future__ import annotations

import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import acb, arb, fmpq

import kernalg as ka
from kernalg.enclosure.balls import ball_function, precision
from kernalg.gaussian import polynomials
from kernalg.gaussian.atoms import from_pieces
from kernalg.gaussian.expectation import expectation
from kernalg.gaussian.pieces import pieces
from kernalg.gaussian.polynomial_arrays import PolynomialArrays
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.symbols import c, q1, q2, rho, x


def hermite(k: int, z: sp.Expr) -> sp.Expr:
    """h_k(z), written out."""
    terms = (
        (-1) ** j * sp.Rational(sp.factorial(k), 2**j * sp.factorial(j) * sp.factorial(k - 2 * j)) * z ** (k - 2 * j)
        for j in range(k // 2 + 1)
    )
    return sp.Add(*terms) / sp.sqrt(sp.factorial(k))


def squares(degree: int, seed: int = 0) -> list[sp.Rational]:
    chance = random.Random(seed)
    return [sp.Rational(chance.randint(1, 99), chance.randint(50, 300)) for _ in range(degree + 1)]


def series(a: list[sp.Rational], variance: sp.Expr = sp.S.One, seed: int = 0) -> sp.Expr:
    """sum ± sqrt(a_k) h_k(x/sqrt(variance))."""
    chance = random.Random(seed)
    z = x / sp.sqrt(variance)
    return sp.Add(*(chance.choice((-1, 1)) * sp.sqrt(v) * hermite(k, z) for k, v in enumerate(a)))


def recognised(expr: sp.Expr) -> polynomials.Polynomial:
    found = polynomials.recognise(pieces(expr))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "f, g",
    [
        (x**3, x**3),
        (x**9 - 3 * x**2, x**9 - 3 * x**2),
        (sp.sqrt(2) * x**4 + x, sp.pi * x**5 - x / (1 + sp.sqrt(3))),
        (hermite(7, x), hermite(9, x / sp.sqrt(2))),
        ((x - 1) ** 4 * (sp.sqrt(3) * x + 1) ** 3, x**2),
        (sp.S(2), x**2),
    ],
)
def test_mehlers_sum_is_the_engines_formula(f: sp.Expr, g: sp.Expr) -> None:
    engine = expectation(from_pieces(pieces(f)), from_pieces(pieces(g)))
    assert sp.expand(polynomials.expression(recognised(f), recognised(g)) - engine) == 0


def test_what_is_recognised() -> None:
    for other in (
        sp.Abs(x),
        sp.sin(x),
        sp.Symbol("a", real=True) * x,
        x ** sp.Rational(3, 2),
        x**-1,
        x**201,
        sp.exp(x),
    ):
        assert polynomials.recognise(pieces(other)) is None
    assert recognised(sp.S.Zero).degree == -1
    assert recognised(sp.sin(1) ** 2 * x + sp.cos(1) ** 2 * x - x).degree == -1
    assert (((x**10 + 1) ** 10 + 1) ** 20).is_polynomial(x)
    assert polynomials.recognise(pieces(((x**10 + 1) ** 10 + 1) ** 20)) is None


@pytest.mark.parametrize("variance", [sp.S.One, sp.Rational(101, 100), sp.Integer(3)])
def test_the_variance_of_a_hermite_series_is_found(variance: sp.Expr) -> None:
    found = recognised(series(squares(12), variance))
    assert found.reference == fmpq(int(variance.p), int(variance.q))
    assert recognised(x**12).reference == 0
    assert recognised(sum(x**k / sp.factorial(k) for k in range(15))).reference == 0


def test_two_spellings_of_a_long_polynomial_have_one_dual() -> None:
    written = series(squares(9))
    phi, psi = ka.activation(written), ka.activation(sp.expand(written))
    assert sp.srepr(phi.dual.expr) == sp.srepr(psi.dual.expr)
    assert sp.srepr(phi.dual.derivative.diagonal) == sp.srepr(psi.dual.derivative.diagonal)
    assert phi.dual.derivative.expr == phi.derivative().dual.expr
    assert phi.dual.distributional.expr == phi.dual.derivative.expr


@pytest.mark.parametrize("degree", [5, 20, 60])
def test_the_kernel_of_a_hermite_series_is_the_series_of_squares(degree: int) -> None:
    a = squares(degree)
    phi = ka.activation(series(a))
    assert sp.expand(phi.dual.normalized - sum(v * rho**k for k, v in enumerate(a))) == 0
    slope = sum(k * v * rho ** (k - 1) for k, v in enumerate(a) if k)
    assert sp.expand(phi.dual.derivative.normalized - slope) == 0
    assert [b**2 for b in phi.hermite(degree)] == a
    assert phi.hermite(degree + 2)[degree + 1 :] == [0, 0]
    net = ka.serial(ka.Dense(1, 0), phi, ka.Dense(1, 0))
    assert np.allclose(net.nngp.profile().taylor(degree + 1), [float(v) for v in a], rtol=1e-15, atol=0)
    for k, (value, exact) in enumerate(zip(net.ntk.profile().taylor(degree + 1, digits=30), a, strict=True)):
        assert abs(value - (1 + k) * exact) < 1e-29 * value
    assert net.ntk.profile().value("-1/3", 30) == pytest.approx(
        sp.N(sum((1 + k) * v * sp.Rational(-1, 3) ** k for k, v in enumerate(a)), 35), rel=1e-28
    )


def test_floats_mean_their_decimals() -> None:
    b = [sp.N(sp.sqrt(v), 30) for v in squares(20)]
    phi = ka.activation(sp.Add(*(v * hermite(k, x) for k, v in enumerate(b))))
    assert not phi.expr.has(sp.Float)
    taylor = ka.serial(ka.Dense(1, 0), phi, ka.Dense(1, 0)).nngp.profile().taylor(21, digits=25)
    assert all(abs(value - v**2) < 1e-24 * value for value, v in zip(taylor, b, strict=True))
    assert pickle.loads(pickle.dumps(phi)) == phi  # noqa: S301


def test_duals_against_quadrature() -> None:
    """Two Gauss-Hermite rules of exact degree."""
    f, g = series(squares(20), seed=1), series(squares(13, 2), sp.Rational(5, 4), seed=2)
    dual = ka.cross_dual(f, g)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    u, w = np.meshgrid(nodes, nodes, indexing="ij")
    v1, v2, cov = 1.1, 0.9, -0.4
    first = np.sqrt(v1) * u
    second = cov / np.sqrt(v1) * u + np.sqrt(v2 - cov**2 / v1) * w
    left, right = ka.activation(f), ka.activation(g)
    mean = (left(first) * right(second)) @ weights @ weights
    scale = float(sp.sqrt(left.dual.value(v1, v1, v1) * right.dual.value(v2, v2, v2)))
    at = {q1: sp.Rational(11, 10), q2: sp.Rational(9, 10), c: sp.Rational(-2, 5)}
    assert abs(float(dual.value(v1, v2, cov)) - mean) < 1e-12 * scale
    assert abs(dual(v1, v2, cov) - mean) < 1e-12 * scale
    assert dual.value(v1, v2, cov) == pytest.approx(sp.N(dual.expr.subs(at), 30), rel=1e-25)
    assert dual.value(0, v2, 0) == pytest.approx(left(0.0) * float(right.hermite(0, q=v2, digits=20)[0]), rel=1e-13)
    assert dual(0.0, v2, 0.0) == pytest.approx(float(dual.value(0, v2, 0)), rel=1e-13)


def test_duals_against_certified_quadrature() -> None:
    written = series(squares(12), seed=6)
    f = pieces(written)
    at = sp.Integer(1), sp.Rational(3, 2), sp.Rational(-4, 5)
    value = ka.activation(written).dual.enclosure(*at, digits=25)
    with precision(200):
        assert abs(certified_expectation(f, f, *at, 25) - value) < 1e-24 * abs(value)
        there = arb(fmpq(7, 3))
        assert abs(recognised(written)(there) - ball_function(written, (x,))(there)) < 1e-50


def test_the_ends_and_the_complex_plane() -> None:
    phi = ka.activation(series(squares(11)))
    diagonal, opposite = (sp.N(e.subs(q1, 2), 30) for e in (phi.dual.diagonal, phi.dual.antidiagonal))
    assert phi.dual.value(2, 2, 2, 25) == pytest.approx(diagonal, rel=1e-23)
    assert phi.dual.value(2, 2, -2, 25) == pytest.approx(opposite, rel=1e-23)
    profile = ka.serial(ka.Dense(1, 0), phi, ka.Dense(1, 0)).nngp.profile()
    with precision(100):
        at = profile.ball(acb(0, 1), analytic=True)
        expected = sum((arb(fmpq(int(v.p), int(v.q))) * acb(0, 1) ** k for k, v in enumerate(squares(11))), acb(0))
        assert abs(at - expected) < 1e-25
    odd = ka.activation(hermite(9, x) + hermite(7, x))
    assert odd.parity == "odd" and odd.dual.antidiagonal == -odd.dual.diagonal
    assert ka.activation(hermite(8, x) + 1).parity == "even" and phi.parity is None
    assert ka.activation("x**9").homogeneity == 9 and odd.homogeneity is None


@pytest.mark.parametrize("degree", [8, 20, 60])
def test_values_keep_their_digits_in_the_bulk(degree: int) -> None:
    """In powers of x nothing is left at degree 60: the terms are 1e17 times their sum."""
    a = squares(degree)
    phi = ka.activation(series(a, seed=degree))
    at = np.linspace(-2 * degree**0.5, 2 * degree**0.5, 101)
    with precision(600):
        formula = ball_function(phi.expr, (x,))
        exact = np.array([float(formula(arb(float(t)))) for t in at])
    size = np.array([abs(np.array([float(hermite_value(k, t)) for k in range(degree + 1)])) for t in at]) @ [
        float(sp.sqrt(v)) for v in a
    ]
    assert (np.abs(phi(at) - exact) <= (degree + 4) * 2.0**-53 * size).all()
    assert phi(at.reshape(1, -1)).shape == (1, 101)
    many = np.full(70_000, 0.5)
    many[-1] = -1e300
    leading = float(phi.hermite(degree)[-1])
    assert phi(many)[-1] == np.inf * leading and (phi(many)[:-1] == phi(0.5)).all()
    assert phi(1e300) == np.inf * leading and phi(-1e300) == np.inf * leading


def hermite_value(k: int, t: float) -> float:
    before, now = 0.0, 1.0
    for j in range(k):
        before, now = now, (t * now - j**0.5 * before) / (j + 1) ** 0.5
    return now


@pytest.mark.parametrize("degree", [3, 20, 60])
def test_float_coefficients_at_any_variance(degree: int) -> None:
    phi = ka.activation(series(squares(degree), seed=3))
    variances = ["1/1000", "16/25", "1", "36/25", "7"]
    assert phi.polynomial is not None
    found = PolynomialArrays(phi.polynomial).coefficients(np.array([float(Fraction(q)) for q in variances]))
    for row, q in zip(found, variances, strict=True):
        exact = np.array([float(v) for v in phi.hermite(degree, q=float(Fraction(q)), digits=25)])
        assert np.abs(row - exact).max() <= (degree + 4) * 2.0**-53 * np.linalg.norm(exact)


@pytest.mark.parametrize("order", [1, 2, 9])
def test_derivatives_stay_hermite_series(order: int) -> None:
    phi = ka.activation(series(squares(9), sp.Rational(5, 4)))
    slope = phi.derivative(order)
    assert sp.expand(slope.expr - sp.diff(phi.expr, x, order)) == 0
    if order == 1:
        found, kept = slope.polynomial, phi.polynomial
        assert found is not None and kept is not None and found.reference == kept.reference
        assert slope.expr.has(x**8) and len(sp.Add.make_args(slope.expr)) == 9
