"""Closed forms against independent truth: published formulas, quadrature, identities among Gaussian expectations."""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp

from kernalg.derivation.expectation import Expectation, quadrature
from kernalg.enclosure.balls import enclose
from kernalg.errors import NoClosedForm
from kernalg.gaussian.atoms import decompose, from_pieces
from kernalg.gaussian.expectation import expectation, expectation_at_equality, hermite_moments
from kernalg.gaussian.pieces import pieces
from kernalg.gaussian.series import differentiate
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, x

POINTS = [
    {q1: sp.Rational(3, 2), q2: sp.Rational(2, 3), c: -sp.Rational(2, 5)},
    {q1: sp.Rational(1, 2), q2: sp.S(2), c: sp.Rational(7, 10)},
]
D = q1 * q2 - c**2
quadrant = sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)
a, b, s = sp.Symbol("a", positive=True), sp.Symbol("b", positive=True), sp.Symbol("s", real=True)


def dual(phi: sp.Expr) -> sp.Expr:
    atoms = decompose(phi)
    return expectation(atoms, atoms)


def close(left: sp.Expr, right: sp.Expr, at: dict[sp.Symbol, sp.Expr], digits: int = 40) -> bool:
    at = {**at, a: sp.Rational(3, 4), b: sp.Rational(6, 5), s: -sp.Rational(1, 3)}
    values = [enclose(e, {v: at[v] for v in e.free_symbols}, digits) for e in (left, right)]
    return bool(values[0].overlaps(values[1]))


# Published closed forms, and the exact spelling the engine must give.
EXACT = [
    (sp.Heaviside(x), quadrant),
    (sp.sign(x), 2 * sp.asin(c / sp.sqrt(q1 * q2)) / sp.pi),
    (sp.Max(x, 0), c * quadrant + sp.sqrt(D) / (2 * sp.pi)),
    (sp.Abs(x), 2 * (sp.sqrt(D) + c * sp.asin(c / sp.sqrt(q1 * q2))) / sp.pi),
    (sp.Max(x, 0) ** 2, (2 * c**2 + q1 * q2) * quadrant + 3 * c * sp.sqrt(D) / (2 * sp.pi)),
    (sp.Max(x, 0) + s * sp.Min(x, 0), (1 - s) ** 2 * (c * quadrant + sp.sqrt(D) / (2 * sp.pi)) + s * c),
    (x**3, 6 * c**3 + 9 * c * q1 * q2),
    (sp.sin(x), sp.exp(-(q1 + q2) / 2) * sp.sinh(c)),
    (sp.cos(x), sp.exp(-(q1 + q2) / 2) * sp.cosh(c)),
    (sp.sin(x) + sp.cos(x), sp.exp(c - (q1 + q2) / 2)),
    (sp.exp(x), sp.exp((q1 + q2 + 2 * c) / 2)),
    (sp.exp(-a * x**2), 1 / sp.sqrt((1 + 2 * a * q1) * (1 + 2 * a * q2) - 4 * a**2 * c**2)),
    (x * sp.exp(-(x**2) / 2), c / ((1 + q1) * (1 + q2) - c**2) ** sp.Rational(3, 2)),
    (sp.erf(x), 2 / sp.pi * sp.asin(2 * c / sp.sqrt((1 + 2 * q1) * (1 + 2 * q2)))),
    (a * sp.erf(b * x), 2 * a**2 / sp.pi * sp.asin(2 * b**2 * c / sp.sqrt((1 + 2 * b**2 * q1) * (1 + 2 * b**2 * q2)))),
    (
        x * normal_cdf(x),
        c * (sp.Rational(1, 4) + sp.asin(c / sp.sqrt((1 + q1) * (1 + q2))) / (2 * sp.pi))
        + (q1 * q2 + c**2 * (1 - q1 * q2) / ((1 + q1) * (1 + q2))) / (2 * sp.pi * sp.sqrt((1 + q1) * (1 + q2) - c**2)),
    ),
    (
        sp.exp(-(x**2)) * sp.sin(x),
        sp.exp(-(q1 + q2 + 4 * D) / (2 * (1 + 2 * (q1 + q2) + 4 * D)))
        * sp.sinh(c / (1 + 2 * (q1 + q2) + 4 * D))
        / sp.sqrt(1 + 2 * (q1 + q2) + 4 * D),
    ),
    (
        sp.Max(x, 0) + sp.sin(x),
        c * quadrant
        + sp.sqrt(D) / (2 * sp.pi)
        + sp.exp(-(q1 + q2) / 2) * sp.sinh(c)
        + c / 2 * (sp.exp(-q1 / 2) + sp.exp(-q2 / 2)),
    ),
    (x * sp.exp(x / 2), (c + (q1 + c) * (q2 + c) / 4) * sp.exp((q1 + q2 + 2 * c) / 8)),
]


@pytest.mark.parametrize(("phi", "formula"), EXACT, ids=[str(p) for p, _ in EXACT])
def test_published_formulas(phi: sp.Expr, formula: sp.Expr) -> None:
    derived = dual(phi)
    assert all(close(derived, formula, at) for at in POINTS)
    # and the tool sees an error: a changed sign of c is noticed
    assert not all(close(derived.subs(c, -c), formula + 1, at) for at in POINTS)


FUNCTIONS = [
    sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)),
    sp.Max(-1, sp.Min(1, x)),
    sp.erf(x + sp.Rational(1, 2)),
    sp.sin(2 * x + 1),
    sp.exp(x / 2) * sp.sin(x),
    sp.Max(x, 0) * sp.exp(-(x**2) / 2),
    sp.exp(-(x**2) / 2) * normal_cdf(x),
    x**2 * sp.Heaviside(x - 1) + sp.exp(-x),
    sp.exp(-sp.Abs(x)),
    x + sp.sin(x) ** 2,
]


@pytest.mark.parametrize("phi", FUNCTIONS, ids=str)
def test_against_quadrature(phi: sp.Expr) -> None:
    derived = dual(phi)
    for at in POINTS:
        value = float(enclose(derived, {v: at[v] for v in derived.free_symbols}, 20))
        assert value == pytest.approx(quadrature(Expectation(phi, phi), at), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("phi", [p for p in FUNCTIONS if not p.has(sp.Heaviside)], ids=str)
def test_price(phi: sp.Expr) -> None:
    """dk/dc = E[phi' phi'] for absolutely continuous activations."""
    slope = from_pieces(differentiate(pieces(phi)))
    assert all(close(sp.diff(dual(phi), c), expectation(slope, slope), at, 25) for at in POINTS)


@pytest.mark.parametrize("phi", [p for p, _ in EXACT] + FUNCTIONS, ids=str)
def test_diagonal_is_the_limit_of_the_pair(phi: sp.Expr) -> None:
    atoms = decompose(phi)
    diagonal = expectation_at_equality(atoms, atoms).subs(
        {a: sp.Rational(3, 4), b: sp.Rational(6, 5), s: -sp.Rational(1, 3)}
    )
    numeric = phi.subs({a: sp.Rational(3, 4), b: sp.Rational(6, 5), s: -sp.Rational(1, 3)})
    with mpmath.workdps(20):
        f = sp.lambdify(x, numeric.rewrite(sp.erf), "mpmath")
        scale = mpmath.sqrt(mpmath.mpf(7) / 5)
        integrand = lambda z: f(scale * z) ** 2 * mpmath.npdf(z)  # noqa: E731
        points = sorted({-12, *(float(p) / float(scale) for p in (-1, 0, 1)), 12})
        expected = mpmath.quad(integrand, points)
        assert mpmath.almosteq(mpmath.mpf(str(sp.N(diagonal.subs(q1, sp.Rational(7, 5)), 20))), expected, 1e-14)


def test_cross_expectations() -> None:
    relu, gelu = decompose(sp.Max(x, 0)), decompose(x * normal_cdf(x))
    expected = c * (sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * (1 + q2))) / (2 * sp.pi)) + q2 * sp.sqrt(
        q1 * (1 + q2) - c**2
    ) / (2 * sp.pi * (1 + q2))
    assert all(close(expectation(relu, gelu), expected, at) for at in POINTS)
    swapped = expectation(gelu, relu).subs({q1: q2, q2: q1}, simultaneous=True)
    assert all(close(swapped, expected, at) for at in POINTS)


def test_hermite_coefficients_sum_to_the_dual() -> None:
    """Mehler: k(q, q, q rho) = sum a_k(q)^2 rho^k, here for a smooth activation at a variance that is not 1."""
    variance, correlation = sp.Rational(1, 3), sp.Rational(1, 4)
    atoms = decompose(sp.erf(x))
    total = sum(coefficient**2 * correlation**k for k, coefficient in enumerate(hermite_moments(atoms, 40, variance)))
    exact = dual(sp.erf(x)).subs({q1: variance, q2: variance, c: variance * correlation})
    assert abs(sp.N(total - exact, 40)) < sp.Float("1e-30")


def test_symbolic_variance() -> None:
    a_k = hermite_moments(decompose(sp.Max(x, 0)), 3, q1)
    assert a_k[:3] == [sp.sqrt(q1) / sp.sqrt(2 * sp.pi), sp.sqrt(q1) / 2, sp.sqrt(q1) / (2 * sp.sqrt(sp.pi))]


def test_infinite_and_complex_cases_are_refused() -> None:
    with pytest.raises(NoClosedForm, match="complex"):
        dual(sp.Max(x, 0) * sp.cos(x))


def test_the_answer_is_real_and_without_integrals() -> None:
    for phi in FUNCTIONS:
        derived = dual(phi)
        assert not derived.has(sp.I, sp.Integral)
        assert derived.free_symbols <= {q1, q2, c}
        assert not derived.has(bivariate_normal_cdf) or phi.has(sp.exp, sp.Heaviside, sp.Max, sp.erf)
