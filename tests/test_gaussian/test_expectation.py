"""Closed forms against independent truth: published formulas, quadrature, identities among Gaussian expectations."""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp
from flint import arb

from kernalg.derivation.expectation import Expectation, quadrature
from kernalg.enclosure.balls import enclose, precision
from kernalg.errors import NoClosedForm
from kernalg.gaussian.atoms import decompose, from_pieces
from kernalg.gaussian.expectation import (
    expectation,
    expectation_at_equality,
    expectation_of_derivatives,
    hermite_moments,
)
from kernalg.gaussian.pieces import pieces
from kernalg.gaussian.quadrature import certified_expectation
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


# A step or an error function times a sine: probabilities at complex arguments.
COMPLEX = [
    sp.Max(x, 0) * sp.sin(x),
    sp.Piecewise((sp.sin(x), x > 1), (0, True)),
    sp.Max(x, 0) * sp.cos(2 * x + 1),
    normal_cdf(x) * sp.sin(x),
    sp.Max(-1, sp.Min(1, x)) + sp.sin(x),
    sp.exp(x) * sp.cos(x) * sp.Heaviside(-x),
    sp.exp(-(x**2)) * sp.sin(x) * sp.Heaviside(x - 1),
]


@pytest.mark.parametrize("phi", COMPLEX, ids=str)
def test_gates_times_sines(phi: sp.Expr) -> None:
    """The closed form in balls of 50 digits against certified two-dimensional quadrature of 30."""
    parts, derived = pieces(phi), dual(phi)
    slope = from_pieces(differentiate(parts))
    for at in POINTS[:1]:
        value = enclose(derived, at, 50)
        truth = certified_expectation(parts, parts, at[q1], at[q2], at[c], 30)
        with precision(200):
            assert value.overlaps(truth) and not (value + arb("1e-25")).overlaps(truth)
        slopes = certified_expectation(differentiate(parts), differentiate(parts), at[q1], at[q2], at[c], 30)
        assert enclose(expectation(slope, slope), at, 40).overlaps(slopes)


def test_gates_times_sines_on_the_diagonal_and_against_other_functions() -> None:
    f, g = sp.Max(x, 0), sp.sin(x + 1)
    at = POINTS[0]
    truth = certified_expectation(pieces(f), pieces(g), at[q1], at[q2], at[c], 30)
    assert enclose(expectation(decompose(f), decompose(g)), at, 40).overlaps(truth)
    h = normal_cdf(x) * sp.sin(x)
    truth = certified_expectation(pieces(h), pieces(h), sp.Rational(7, 5), sp.Rational(7, 5), sp.Rational(7, 5), 30)
    assert enclose(expectation_at_equality(decompose(h), decompose(h)), {q1: sp.Rational(7, 5)}, 40).overlaps(truth)
    a_k = hermite_moments(decompose(sp.Heaviside(x - 1) * sp.sin(x)), 2, sp.S.One)
    with mpmath.workdps(30):
        for k, h_k in enumerate((lambda z: 1, lambda z: z, lambda z: (z * z - 1) / mpmath.sqrt(2))):
            truth = mpmath.quad(lambda z, h_k=h_k: mpmath.sin(z) * h_k(z) * mpmath.npdf(z), [1, 5, 14])
            assert mpmath.almosteq(mpmath.mpf(enclose(a_k[k], {}, 25).str(25, radius=False)), truth, 1e-24)


@pytest.mark.parametrize(
    "phi", [sp.Heaviside(x), sp.exp(x) * sp.Heaviside(-x), COMPLEX[1], x * normal_cdf(x), FUNCTIONS[1]], ids=str
)
def test_distributional_derivative(phi: sp.Expr) -> None:
    """dk/dc by delta functions against the symbolic derivative of k."""
    atoms = decompose(phi)
    assert all(close(expectation_of_derivatives(atoms, atoms), sp.diff(dual(phi), c), at, 30) for at in POINTS)


def test_minimal_forms() -> None:
    relu = dual(sp.Max(x, 0))
    smoothed = x * normal_cdf(x) + sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
    assert dual(smoothed) == relu.subs({q1: q1 + 1, q2: q2 + 1}, simultaneous=True)
    hard_tanh = dual(sp.Max(-1, sp.Min(1, x)))
    assert len(hard_tanh.atoms(bivariate_normal_cdf)) == 2 and len(hard_tanh.atoms(normal_cdf)) == 6
    steps = dual(sp.Heaviside(x - 1) - sp.Heaviside(-x - 1))
    assert len(sp.Add.make_args(steps)) == 2 and not steps.has(normal_cdf)


def test_infinite_moments_are_refused() -> None:
    with pytest.raises(NoClosedForm, match="smaller"):
        hermite_moments(decompose(sp.exp(x**2)), 2, sp.S.One)


def test_the_answer_is_real_and_without_integrals() -> None:
    for phi in FUNCTIONS:
        derived = dual(phi)
        assert not derived.has(sp.I, sp.Integral)
        assert derived.free_symbols <= {q1, q2, c}
        assert not derived.has(bivariate_normal_cdf) or phi.has(sp.exp, sp.Heaviside, sp.Max, sp.erf)
