"""Spectra on products of spheres against direct quadrature, closed forms, spheres and each other."""

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.special import ive

from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.zonal import multiplicity, zonal_table
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.product_kernel import ProductKernel, block_cosines, product_kernel
from kernalg.spectrum.gauss_rules import gegenbauer_rule
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.product_quadrature import levels_by_angles, levels_by_gauss
from kernalg.spectrum.spaces import ProductOfSpheres, Sphere
from kernalg.spectrum.spectrum import Spectrum


def on_product(formula, dimensions, degree=4, **options):
    return spectrum(product_kernel(formula, dimensions), ProductOfSpheres(dimensions), degree, **options)


def by_label(s):
    return dict(zip(s.labels, s.eigenvalues.tolist(), strict=True))


def by_definition(f, dimensions, r):
    """E[K P P] in two cosines, on a grid of the angles."""
    points, weights = np.polynomial.legendre.leggauss(160)
    theta = np.pi / 2 * (1 + points)
    measures = []
    for p, k in zip(dimensions, r, strict=True):
        constant = math.gamma(p / 2) / math.gamma((p - 1) / 2) / math.sqrt(math.pi)
        zonal = zonal_table(k, p, np.cos(theta))[-1]
        measures.append(np.pi / 2 * weights * constant * np.sin(theta) ** (p - 2) * zonal)
    return measures[0] @ f(np.cos(theta)[:, None], np.cos(theta)) @ measures[1]


# ---------------------------------------------------------------------------------------------------------------------
# The kernel as a value


def test_blocks_of_rows():
    K = product_kernel("exp(rho1)*(2 + rho2)", [3, 2])
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 5))
    for block, p in ((slice(0, 3), 3), (slice(3, 5), 2)):
        X[:, block] *= math.sqrt(p) / np.linalg.norm(X[:, block], axis=1, keepdims=True)
    rho1, rho2 = X[:, :3] @ X[:, :3].T / 3, X[:, 3:] @ X[:, 3:].T / 2
    np.testing.assert_allclose(K(X), np.exp(rho1) * (2 + rho2), rtol=1e-13)
    np.testing.assert_allclose(K(X, X[:2]), K(X)[:, :2], rtol=1e-13)
    np.testing.assert_allclose(K.diag(X), np.full(6, 3 * math.e), rtol=1e-13)
    assert (K(X) == K(X).T).all()
    np.testing.assert_array_equal(product_kernel("2", [3, 2])(X), np.full((6, 6), 2.0))


def test_a_value():
    K = product_kernel("exp(rho1*rho2)", [4, 4])
    assert ProductKernel.from_json(K.to_json()) == K
    assert str(K) == "product_kernel(exp(rho1*rho2), [4, 4])"
    assert (K + 1).expr == K.expr + 1 and (2 * K * K).expr == 2 * K.expr**2
    assert product_kernel(sp.Symbol("rho1") * sp.Symbol("rho2"), [4, 4]).expr == sp.prod(block_cosines(2))
    assert K.value(1, "1/3", digits=30) == sp.exp(sp.Rational(1, 3)).evalf(30)


@pytest.mark.parametrize(
    ("formula", "dimensions", "words"),
    [
        ("rho1*rho3", [3, 3], "rho3"),
        ("rho1*rho2", [3], "rho2"),
        ("rho1", [1], "dimensions"),
        ("rho1", [], "blocks"),
        ("rho1", "33", "one dimension per block"),
        (3.5, [3, 3], "formula"),
    ],
)
def test_formulas_that_are_refused(formula, dimensions, words):
    with pytest.raises(DomainError, match=words):
        product_kernel(formula, dimensions)


def test_rows_that_are_refused():
    K = product_kernel("rho1*rho2", [2, 2])
    with pytest.raises(DomainError, match="columns"):
        K(np.ones((3, 5)))
    with pytest.raises(DomainError, match="block 2"):
        K(np.array([[1.0, 1.0, 2.0, 2.0]]))
    with pytest.raises(DomainError, match="blocks of"):
        K + product_kernel("rho1*rho2", [2, 3])
    with pytest.raises(DomainError, match="cosines"):
        K.value(1)
    with pytest.raises(DomainError, match=r"\[-1, 1\]"):
        K.value(1, 2)


# ---------------------------------------------------------------------------------------------------------------------
# Rules


@pytest.mark.parametrize("d", [2, 3, 7, 200])
def test_gegenbauer_rule_integrates_even_powers(d):
    """E t^(2m) = (2m-1)!! / (d (d+2) … (d+2m-2))."""
    with precision(200):
        nodes, weights = gegenbauer_rule(9, d)
        for m in range(10):
            moment = arb(math.prod(range(1, 2 * m, 2))) / math.prod(range(d, d + 2 * m, 2))
            found = sum((w * t ** (2 * m) for t, w in zip(nodes, weights, strict=True)), arb(0))
            assert found.overlaps(moment) == (m < 9), m
            assert found.rad() < 1e-40
        long, _ = gegenbauer_rule(150, d)
        assert max(float(t.rad()) for t in long) < 1e-40


# ---------------------------------------------------------------------------------------------------------------------
# Eigenvalues


def test_polynomial_by_hand():
    """(1 + rho1 rho2)^2 = 1 + 2 rho1 rho2 + rho1^2 rho2^2, E xi^2 = 1/p, lambda_2 of xi^2 is 2/(p(p+2))."""
    s = on_product("(1 + rho1*rho2)**2", [3, 4], 4, exact=True)
    exact = dict(zip(s.labels, s.exact, strict=True))
    assert exact["(0,0)"] == 1 + sp.Rational(1, 12)
    assert exact["(1,1)"] == sp.Rational(2, 12)
    assert exact["(2,2)"] == sp.Rational(2, 15) * sp.Rational(2, 24)
    assert exact["(2,0)"] == sp.Rational(2, 15) / 4 and exact["(1,0)"] == exact["(3,1)"] == 0
    assert sum(m * v for m, v in zip(s.multiplicities, s.exact, strict=True)) == 4 and s.tail == 0
    assert s.multiplicities[s.labels.index("(2,2)")] == multiplicity(3, 2) * multiplicity(4, 2)
    np.testing.assert_array_equal(on_product("(1 + rho1*rho2)**2", [3, 4]).eigenvalues, s.eigenvalues)


@pytest.mark.parametrize(
    ("formula", "f", "dimensions"),
    [
        ("exp(rho1*rho2)", lambda t, s: np.exp(t * s), [3, 5]),
        ("exp(rho1 + rho2/2) + rho1", lambda t, s: np.exp(t + s / 2) + t, [4, 3]),
        ("1/(4 - rho1 - rho2)", lambda t, s: 1 / (4 - t - s), [3, 3]),
        ("asin((rho1 + rho2)/2) + 1", lambda t, s: np.arcsin((t + s) / 2) + 1, [4, 5]),
        ("exp(rho1*rho2) + asin(rho2)", lambda t, s: np.exp(t * s) + np.arcsin(s), [4, 4]),
    ],
)
def test_against_the_definition(formula, f, dimensions):
    s = by_label(on_product(formula, dimensions, 3))
    for r in [(0, 0), (1, 0), (0, 2), (1, 1), (2, 1)]:
        assert s[f"({r[0]},{r[1]})"] == pytest.approx(by_definition(f, dimensions, r), abs=1e-9)


def test_products_of_bessel_functions():
    """exp(b xi) in p dimensions: lambda_k = Gamma(p/2) (2/b)^(p/2-1) I_{k+p/2-1}(b)."""

    def one(p, k, b):
        return math.gamma(p / 2) * (2 / b) ** (p / 2 - 1) * ive(k + p / 2 - 1, b) * math.exp(b)

    s = on_product("exp(rho1 + 2*rho2 + rho3/2)", [3, 4, 8], 4)
    for text, value in by_label(s).items():
        r = [int(k) for k in text[1:-1].split(",")]
        expected = math.prod(one(p, k, b) for p, k, b in zip([3, 4, 8], r, [1, 2, 0.5], strict=True))
        assert value == pytest.approx(expected, rel=1e-12)
    assert set(s.methods) == {"separable"}


def test_one_factor_is_a_sphere():
    for formula in ("exp(rho1)", "asin(rho1)", "1/(3 - rho1)"):
        alone = spectrum(dot_product_kernel(formula.replace("rho1", "rho")), Sphere(6), 8)
        np.testing.assert_allclose(on_product(formula, [6], 8).eigenvalues, alone.eigenvalues, rtol=1e-13)


def test_series_of_a_function_of_the_product():
    """exp(rho1 rho2 rho3) = sum (rho1 rho2 rho3)^m / m!: polynomials of growing degree, from below."""
    s = on_product("exp(rho1*rho2*rho3)", [3, 4, 6], 4)
    polynomial = " + ".join(f"(rho1*rho2*rho3)**{m}/{math.factorial(m)}" for m in range(19))
    t = on_product(polynomial, [3, 4, 6], 4, exact=True)
    np.testing.assert_allclose(s.eigenvalues, t.eigenvalues, rtol=1e-13)
    assert "Gauss" in s.methods and set(s.methods) == {"Gauss", "parity, zero"}


def test_eigenvalues_below_the_range_of_float64():
    s = on_product("(rho1*rho2)**66", [5000, 5000], 132)
    top = s.labels.index("(66,66)")
    exact = sp.Rational(math.factorial(66), math.prod(range(5000, 5132, 2))) ** 2
    assert s.eigenvalues[top] < 1e-300 and abs(s.exact[top] / exact - 1) < 1e-13


def test_certified_digits():
    low, high = (on_product("exp(rho1*rho2) + exp(rho1)", [3, 5], 5, digits=n) for n in (20, 45))
    for a, b in zip(low.exact, high.exact, strict=True):
        assert abs(a - b) <= 1e-20 * abs(b)
    assert high.exact[0]._prec >= 140
    polynomial = on_product("rho1**2*rho2/3 + sqrt(2)", [3, 3], 3, digits=30)
    assert polynomial.exact[0] == sp.sqrt(2).evalf(30)


@pytest.mark.parametrize("formula", ["exp(rho1*rho2 + rho1)", "1/(5 - 2*rho1 - rho2)"])
def test_quadratures_agree(formula):
    """The second has its singularity near: few points, and a bound that is too small, would show."""
    K = product_kernel(formula, [3, 4])
    levels = [(0, 0), (1, 0), (2, 1), (3, 3)]
    certain, rough = levels_by_gauss(K, levels, 20), levels_by_angles(K, levels)
    for r in levels:
        assert abs(float(certain[r].mid()) - rough[r][0]) <= rough[r][1] < 1e-13


def test_the_error_of_the_angles_is_honest():
    """asin of the mean is singular in a corner; the power series of asin settles the digits."""
    K = product_kernel("asin((rho1 + rho2)/2)", [7, 7])
    levels = [(1, 0), (2, 1), (5, 2)]
    rough = levels_by_angles(K, levels)
    series = " + ".join(f"{math.comb(2 * m, m)}*((rho1 + rho2)/2)**{2 * m + 1}/({4**m}*{2 * m + 1})" for m in range(24))
    below = by_label(on_product(series, [7, 7], 7))
    for r in levels:
        lower = below[f"({r[0]},{r[1]})"]
        assert lower <= rough[r][0] + rough[r][1] and rough[r][0] < lower * 1.01


@pytest.mark.parametrize(
    ("formula", "dimensions"),
    [
        ("exp(rho1*rho2)", [3, 4]),
        ("exp((rho1 + rho2)/2)", [2, 2]),
        ("asin((rho1 + rho2)/2)", [4, 4]),
        ("(1 + rho1)**3*(2 + rho2*rho3)", [3, 3, 2]),
    ],
)
def test_levels_add_up_to_the_trace_from_below(formula, dimensions):
    sums = []
    for degree in (1, 4, 7):
        s = on_product(formula, dimensions, degree)
        sums.append(float(s.level_power.sum()))
        assert Spectrum.from_json(s.to_json()) == s
        assert len(s) == math.comb(degree + len(dimensions), degree)
    assert sums[0] < sums[1] <= sums[2] <= s.trace * (1 + 1e-14)
    assert s.tail < 0.2 * s.trace


def test_data_have_these_eigenvalues():
    """The Gram matrix of a sample of the product space, divided by n."""
    n, dimensions = 500, [3, 3]
    rng = np.random.default_rng(2)
    blocks = [rng.standard_normal((n, p)) for p in dimensions]
    X = np.hstack([b * math.sqrt(3) / np.linalg.norm(b, axis=1, keepdims=True) for b in blocks])
    K = product_kernel("exp(rho1*rho2) + rho1", dimensions)
    empirical = np.linalg.eigvalsh(K(X) / n)[::-1]
    s = on_product("exp(rho1*rho2) + rho1", dimensions, 4)
    levels = np.sort(np.repeat(s.eigenvalues, s.multiplicities))[::-1]
    np.testing.assert_allclose(levels[:4], empirical[:4], rtol=3 / math.sqrt(n))
    assert levels[4:13].sum() == pytest.approx(empirical[4:13].sum(), rel=0.05)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("formula", "level"),
    [
        ("exp(-rho1 - rho2)", r"\(1,0\)"),
        ("exp(rho1*rho2) - 3*rho1*rho2", r"\(1,1\)"),
        ("1 - rho1*rho2**2", r"\(1,0\)"),
        ("cos(rho1)*cos(rho2)", r"\(2,0\)"),
    ],
)
def test_indefinite_kernels_name_the_level(formula, level):
    with pytest.raises(DomainError, match=rf"positive semi-definite.*degree {level}"):
        on_product(formula, [3, 4])
    if "exp" not in formula and "cos" not in formula:
        with pytest.raises(DomainError, match=level):
            on_product(formula, [3, 4], exact=True)


def test_other_refusals():
    with pytest.raises(DomainError, match="blocks of"):
        spectrum(product_kernel("rho1*rho2", [3, 4]), ProductOfSpheres([4, 3]), 3)
    with pytest.raises(DomainError, match="product_kernel"):
        spectrum(dot_product_kernel("rho"), ProductOfSpheres([4, 3]), 3)
    with pytest.raises(DomainError, match="exact=True"):
        on_product("exp(rho1*rho2)", [3, 4], exact=True)
    with pytest.raises(DomainError, match="levels"):
        on_product("rho1*rho2*rho3*rho4", [3, 3, 3, 3], 60)
    with pytest.raises(PrecisionError, match="without digits"):
        on_product("asin(rho1*rho2)", [3, 4], digits=20)
    with pytest.raises(DomainError, match="at most 3"):
        on_product("asin(rho1*rho2*rho3*rho4)", [3, 3, 3, 3], 4)
