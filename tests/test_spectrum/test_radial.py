"""Spectra at unequal norms against closed forms, second routes, other discretisations and data."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.integrate import quad
from scipy.stats import chi2

from kernalg.activation.activation import activation
from kernalg.activation.kernel_map import exp_normalized
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.layers import Dense
from kernalg.network.network import mlp, serial
from kernalg.spectrum.radial import _general, homogeneity, radial_spectrum
from kernalg.spectrum.radial_angle import DotProductPair, NetworkPair, matrices_by_polarisation, matrices_by_series
from kernalg.spectrum.radial_law import gauss_rule, moment, panel_rule, real_moment, shells_rule
from kernalg.spectrum.spaces import Ball, GaussianInputs, Shells, Sphere
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere import sphere_spectrum
from kernalg.spectrum.symmetric_eigenvalues import symmetric_eigenvalues

LAWS = [Ball(2), Ball(7, 3), GaussianInputs(2), GaussianInputs(5, "1/3"), Shells(4, [1, "1/3", 5], [0.5, 0.25, 0.25])]


def spectrum(K, space, degree, digits=None, exact=False):
    return radial_spectrum(K, space, degree, digits, exact)


def by_label(s):
    return dict(zip(s.labels, s.eigenvalues.tolist(), strict=True))


def assert_within_errors(a, b, factor=1.0):
    """Two spectra agree within the errors they state, level by level."""
    other = dict(zip(b.labels, zip(b.eigenvalues, b.errors, strict=True), strict=True))
    shared = [label for label in a.labels if label in other]
    assert {f"({k},0)" for k in range(max(int(t[1:].split(",")[0]) for t in a.labels) + 1)} <= set(shared)
    for label, value, error in zip(a.labels, a.eigenvalues, a.errors, strict=True):
        if label in other:
            assert abs(value - other[label][0]) <= factor * (error + other[label][1]) + 1e-15 * value, label


# ---------------------------------------------------------------------------------------------------------------------
# The law of q


@pytest.mark.parametrize("space", LAWS, ids=str)
def test_moments_are_those_of_the_density(space):
    if isinstance(space, Ball):
        q, d = float(space.q), space.d
        expected = [quad(lambda t, m=m: t**m * d / 2 * (t / q) ** (d / 2 - 1) / q, 0, q)[0] for m in range(4)]
    elif isinstance(space, GaussianInputs):
        d, v = space.d, float(space.variance)
        expected = [chi2(d).moment(m) * (v / d) ** m for m in range(4)]
    else:
        expected = [
            sum(float(w) * float(q) ** m for q, w in zip(space.q, space.probability, strict=True)) for m in range(4)
        ]
    found = [moment(space, m) for m in range(4)]
    np.testing.assert_allclose([int(f.p) / int(f.q) for f in found], expected, rtol=1e-9)
    for m in range(4):
        assert real_moment(space, Fraction(m)).overlaps(arb(found[m]))


@pytest.mark.parametrize("space", LAWS[:4], ids=str)
def test_gauss_rule_is_exact_for_polynomials(space):
    nodes, weights = gauss_rule(space, 9)
    with precision(256):
        for m in range(18):
            sum_ = sum((w * q**m for q, w in zip(nodes, weights, strict=True)), arb(0))
            assert abs(float(sum_ / arb(moment(space, m)) - 1)) < 1e-60
        short = sum((w * q**18 for q, w in zip(nodes, weights, strict=True)), arb(0))
        assert abs(float(short / arb(moment(space, 18)) - 1)) > 1e-20


@pytest.mark.parametrize("space", [Ball(2), Ball(500, 3), GaussianInputs(2), GaussianInputs(10**5, 2)], ids=str)
def test_panels_cover_the_law(space):
    q, weights = panel_rule(space)
    for m in range(4):
        exact = moment(space, m)
        assert float(weights @ q**m) == pytest.approx(int(exact.p) / int(exact.q), rel=2e-10)


def test_certified_eigenvalues_of_the_hilbert_matrix():
    n = 12
    with precision(400):
        values = symmetric_eigenvalues([[arb(1) / (i + j + 1) for j in range(n)] for i in range(n)], 40)
        product = math.prod(values, start=arb(1))
        # 1/det of the Hilbert matrix of order 12 is an integer; the trace is sum 1/(2i+1)
        inverse = sp.Integer(1)
        for i in range(1, n):
            inverse *= math.factorial(i) ** 4
        superfactorial = math.prod(math.factorial(i) for i in range(2 * n))
        exact = sp.Rational(inverse, superfactorial)
        assert abs(float(product * arb(int(exact.q)) / arb(int(exact.p)) - 1)) < 1e-20
        assert sum(values, arb(0)).overlaps(sum((arb(1) / (2 * i + 1) for i in range(n)), arb(0)))


def test_equal_and_missing_eigenvalues():
    with precision(200):
        identity = symmetric_eigenvalues([[arb(int(i == j)) for j in range(5)] for i in range(5)], 30)
        assert len(identity) == 5 and all(v.contains(1) and v.rad() < 1e-25 for v in identity)
        ones = symmetric_eigenvalues([[arb(1)] * 4 for _ in range(4)], 30)
        assert len(ones) == 1 and ones[0].contains(4)
        with pytest.raises(PrecisionError):
            symmetric_eigenvalues([[arb(1), arb(2)], [arb(2), arb(1)]], 20)


# ---------------------------------------------------------------------------------------------------------------------
# Closed forms


@pytest.mark.parametrize(("d", "v", "beta"), [(2, 1, Fraction(1, 2)), (5, 1, 1), (5, Fraction(3, 2), 1), (40, 1, 3)])
def test_exponential_on_gaussian_inputs_is_mehlers_kernel(d, v, beta):
    r"""exp(beta x.x'/d) is a product over coordinates, each geometric: with b = beta v/d, the sum of the eigenvalues is
    (1-2b)^(-1/2) and that of their squares (1-4b^2)^(-1/2), so that c B^n has (1-B)/(1+B) = sqrt((1-2b)/(1+2b))."""
    b = float(Fraction(beta) * Fraction(v) / d)
    slope = math.sqrt((1 - 2 * b) / (1 + 2 * b))
    ratio = (1 - slope) / (1 + slope)
    first = (1 - ratio) / math.sqrt(1 - 2 * b)
    s = spectrum(dot_product_kernel(sp.exp(sp.Rational(beta) * sp.Symbol("rho", real=True))), GaussianInputs(d, v), 6)
    for label, value in by_label(s).items():
        k, j = (int(t) for t in label[1:-1].split(","))
        assert value == pytest.approx(first**d * ratio ** (k + 2 * j), rel=1e-11)
    assert s.trace == pytest.approx((1 - 2 * b) ** (-d / 2), rel=1e-13)


def test_thirty_digits_of_mehlers_kernel():
    s = spectrum(dot_product_kernel("exp(rho)"), GaussianInputs(6), 2, digits=30)
    b = sp.Rational(1, 6)
    slope = sp.sqrt((1 - 2 * b) / (1 + 2 * b))
    ratio = (1 - slope) / (1 + slope)
    first = (1 - ratio) / sp.sqrt(1 - 2 * b)
    for label, value in zip(s.labels, s.exact, strict=True):
        k, j = (int(t) for t in label[1:-1].split(","))
        assert abs(value / (first**6 * ratio ** (k + 2 * j)).evalf(40) - 1) < 1e-29
    assert len(s) > 20


def test_rank_one_polynomials_exactly():
    """(x.x'/d)^2 on the ball: lambda_0 = E q^2/d, lambda_2 = 2 E q^2/(d(d+2)), E q^2 = Q^2 d/(d+4)."""
    s = spectrum(dot_product_kernel("rho**2"), Ball(3, 2), 3, exact=True)
    second = sp.Rational(4 * 3, 7)
    assert s.exact == (second / 3, 0, 2 * second / 15, 0)
    assert s.trace == pytest.approx(float(second)) and s.tail == 0
    again = spectrum(dot_product_kernel("rho**2"), Ball(3, 2), 3)
    np.testing.assert_allclose(again.eigenvalues, s.eigenvalues, rtol=1e-15)
    assert s.labels == again.labels == ("(0,0)", "(1,0)", "(2,0)", "(3,0)")
    with pytest.raises(DomainError, match="irrational"):
        spectrum(dot_product_kernel("1 + rho**2"), Ball(3), 2, exact=True)


def test_two_by_two_moment_matrix():
    """1 + rho^2 on Gaussian inputs, degree 0: functions 1 and q, weights 1 and 1/d."""
    d = 4
    gram = np.array([[1, math.sqrt(1 / d)], [math.sqrt(1 / d), (1 + 2 / d) / d]])
    s = spectrum(dot_product_kernel("1 + rho**2"), GaussianInputs(d), 2, digits=20)
    np.testing.assert_allclose(s.eigenvalues[:2], np.linalg.eigvalsh(gram)[::-1], rtol=1e-13)
    assert s.labels == ("(0,0)", "(0,1)", "(1,0)", "(2,0)") and len(str(s.exact[0])) >= 20


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_homogeneous_networks_are_rank_one(kind):
    K = getattr(mlp("relu", depth=2, w_var=2), kind)
    for space, second in ((Ball(5, 3), 3 * 5 / 7), (GaussianInputs(5, 2), 2.0), (Shells(5, [1, 9]), 5.0)):
        s, on_sphere = spectrum(K, space, 4), sphere_spectrum(K, Sphere(5), 4, None, False)
        np.testing.assert_allclose(s.eigenvalues, on_sphere.eigenvalues * second, rtol=1e-14)
        assert s.trace == pytest.approx(on_sphere.trace * second, rel=1e-14)
    certified = spectrum(K, GaussianInputs(5, 2), 2, digits=30)
    sphere = sphere_spectrum(K, Sphere(5), 2, 32, False)
    assert all(abs(a / (2 * b) - 1) < 1e-29 for a, b in zip(certified.exact, sphere.exact, strict=True))


def test_degrees_of_homogeneity():
    cube = activation("Max(x, 0)**3")
    assert homogeneity(mlp(cube, depth=2).ntk.layers) == 9
    assert homogeneity(mlp("relu", depth=2, b_var=1).ntk.layers) is None
    assert homogeneity(mlp("erf", depth=1).ntk.layers) is None
    assert homogeneity(serial(Dense(1, 0), exp_normalized(2), Dense(1, 0)).layers) == 1
    # E q^9 of chi-square/d, against the exact product
    s = spectrum(mlp(cube, depth=2).ntk, GaussianInputs(3), 1)
    expected = math.prod((3 + 2 * i) / 3 for i in range(9))
    on_sphere = sphere_spectrum(mlp(cube, depth=2).ntk, Sphere(3), 1, None, False)
    np.testing.assert_allclose(s.eigenvalues, on_sphere.eigenvalues * expected, rtol=1e-13)


# ---------------------------------------------------------------------------------------------------------------------
# One route against another


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("space", [Ball(4, 2), GaussianInputs(4), Shells(4, [1, 2, 5])], ids=str)
def test_the_general_route_finds_the_rank_one_spectrum(kind, space):
    K = getattr(mlp("relu", depth=1, w_var=2), kind)
    general = _general(NetworkPair(K), space, 4, None, 14)
    exact = spectrum(K, space, 4)
    assert_within_errors(general, exact, factor=2)
    second = [v for label, v in by_label(general).items() if not label.endswith(",0)")]
    assert max(second, default=0.0) < 1e-8  # rank one, within the errors


@pytest.mark.parametrize("space", [Ball(6, 2), GaussianInputs(6)], ids=str)
@pytest.mark.parametrize("series", [True, False])
def test_the_general_route_finds_the_moment_spectrum(space, series):
    K = dot_product_kernel("exp(rho) + rho**2")
    general = _general(DotProductPair(K), space, 4, None, 14, series=series)
    assert_within_errors(general, spectrum(K, space, 4))
    assert general.trace == pytest.approx(spectrum(K, space, 4).trace, rel=1e-12)


@pytest.mark.parametrize("d", [3, 10])
def test_series_polarisation_and_gauss_agree_on_shells(d):
    K = mlp("relu", depth=1, w_var=2, b_var="1/10").ntk
    space = Shells(d, [1, 3], ["1/3", "2/3"])
    plain, certified = spectrum(K, space, 3), spectrum(K, space, 3, digits=16)
    assert len(plain) == len(certified) == 8
    assert_within_errors(plain, certified)
    np.testing.assert_allclose(plain.eigenvalues, certified.eigenvalues, rtol=1e-8)


def test_certified_routes_agree_on_shells():
    """The power series, and the spectra on the sphere by which a slow one is replaced."""
    K = NetworkPair(mlp("erf", depth=1, w_var="1/2", b_var="1/10").ntk)
    with precision(400):
        nodes, masses = shells_rule(Shells(6, [1, "1/3"]))
        series, pending = matrices_by_series(K, nodes, masses, 6, range(4), 30, 256)
        polarised = matrices_by_polarisation(K, nodes, 6, 3, 30)
        assert not pending
        for k in range(4):
            for i in range(2):
                for j in range(2):
                    difference = series[k].entries[i][j] - polarised[k].entries[i][j]
                    assert abs(difference) < 1e-29 * series[k].entries[0][0]


def test_two_shells_by_hand():
    """Radial matrices from scipy's quadrature of the certified kernel values' float64 twin."""
    K = mlp("erf", depth=1, w_var=1, b_var="1/5").nngp
    d, q, w = 5, np.array([0.5, 2.0]), np.array([0.25, 0.75])

    def kernel(a, b, xi):
        x = [[math.sqrt(2 * a), 0.0]]
        y = [[math.sqrt(2 * b) * xi, math.sqrt(2 * b * (1 - xi * xi))]]
        return float(K(np.array(x), np.array(y))[0, 0])

    constant = math.gamma(d / 2) / math.gamma((d - 1) / 2) / math.sqrt(math.pi)

    def radial(a, b):  # P_1(t) = t
        return quad(lambda t: constant * (1 - t * t) * t * kernel(a, b, t), -1, 1, epsabs=1e-13)[0]

    matrix = np.array(
        [[radial(a, b) * math.sqrt(u * v) for b, v in zip(q, w, strict=True)] for a, u in zip(q, w, strict=True)]
    )
    s = spectrum(K, Shells(d, [0.5, 2], [0.25, 0.75]), 1)
    np.testing.assert_allclose(s.eigenvalues[2:], np.linalg.eigvalsh(matrix)[::-1], rtol=1e-9)


@pytest.mark.parametrize("space", [Ball(2), GaussianInputs(2, "1/4")], ids=str)
def test_tensor_grid_in_the_plane(space):
    """d = 2: all eigenvalues from a product grid in polar coordinates, angles and lengths together."""
    K = mlp("erf", depth=1, w_var=1, b_var="1/10").nngp
    nodes, masses = gauss_rule(space, 24)
    q, w = (np.array([float(v) for v in values]) for values in (nodes, masses))
    angles = 2 * np.pi * np.arange(24) / 24
    X = (np.sqrt(2 * q)[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).reshape(-1, 2)
    roots = np.sqrt(np.repeat(w, 24) / 24)
    direct = np.linalg.eigvalsh(roots[:, None] * K(X) * roots)[::-1]
    s = spectrum(K, space, 8)
    levels = np.sort(np.repeat(s.eigenvalues, s.multiplicities))[::-1]
    np.testing.assert_allclose(levels[:10], direct[:10], rtol=1e-9, atol=float(max(s.errors)))
    assert max(s.errors) < 1e-7


@pytest.mark.parametrize("space", [Ball(3, 2), GaussianInputs(3)], ids=str)
def test_data_have_these_eigenvalues(space):
    """The Gram matrix of a sample, divided by n: what the leading eigenvalues and all squares add up to."""
    n, d = 500, 3
    rng = np.random.default_rng(5)
    X = rng.standard_normal((n, d))
    if isinstance(space, Ball):
        X *= (math.sqrt(2 * d) * rng.random(n) ** (1 / d) / np.linalg.norm(X, axis=1))[:, None]
    K = mlp("erf", depth=1, w_var=2, b_var="1/2").ntk
    s = spectrum(K, space, 3)
    empirical = np.linalg.eigvalsh(K(X) / n)[::-1]
    assert s.trace == pytest.approx(float(np.mean(K.diag(X))), rel=1 / math.sqrt(n))
    levels = np.sort(np.repeat(s.eigenvalues, s.multiplicities))[::-1]
    # Equal eigenvalues are split by the sample; sums of groups are not.
    assert float(levels[:4].sum()) == pytest.approx(float(empirical[:4].sum()), rel=1 / math.sqrt(n))
    assert float((levels**2).sum()) == pytest.approx(float((empirical**2).sum()), rel=2 / math.sqrt(n))


# ---------------------------------------------------------------------------------------------------------------------
# What every spectrum satisfies


@pytest.mark.parametrize(
    ("K", "space"),
    [
        (mlp("erf", depth=2, w_var=1, b_var="1/10").ntk, Ball(8)),
        (mlp("gelu", depth=1, w_var=2).nngp, GaussianInputs(8)),
        (mlp("erf", depth=1).nngp, Shells(8, [1, 2])),
        (dot_product_kernel("exp(rho/2)"), GaussianInputs(3)),
        (dot_product_kernel("asin(rho)"), Ball(4)),
        (dot_product_kernel("1/(2 - rho)"), Ball(4, "3/2")),
    ],
    ids=str,
)
def test_levels_add_up_to_the_trace_from_below(K, space):
    sums = []
    for degree in (1, 5):
        s = spectrum(K, space, degree)
        assert np.all(s.eigenvalues >= 0) and np.all(np.isfinite(s.errors))
        sums.append(float(s.level_power.sum()))
        assert Spectrum.from_json(s.to_json()) == s
    assert sums[0] < sums[1] < s.trace
    assert s.tail < 0.06 * s.trace
    assert "(degree, radial index)" in s.convention


def test_one_shell_is_a_sphere():
    K = mlp("erf", depth=1, w_var=3, b_var="1/2").ntk
    s = spectrum(K, Shells(6, [1]), 5)
    np.testing.assert_allclose(s.eigenvalues, sphere_spectrum(K, Sphere(6), 5, None, False).eigenvalues, rtol=1e-13)


def test_a_kernel_that_is_singular_at_the_end_of_the_ball():
    """The one-layer ReLU kernel as a function of x.x'/d: not proved to have coefficients >= 0, and not homogeneous."""
    s = spectrum(dot_product_kernel("(sqrt(1 - rho**2) + rho*(pi - acos(rho)))/pi"), Ball(5), 4)
    assert s.trace == pytest.approx(quad(lambda r: 5 * r**4 * _arc_cosine(r * r), 0, 1)[0], rel=1e-10)
    assert by_label(s)["(3,0)"] == 0 or by_label(s)["(3,0)"] < 1e-15
    assert float(s.level_power.sum()) < s.trace


def _arc_cosine(t):
    return (math.sqrt(1 - t * t) + t * (math.pi - math.acos(t))) / math.pi


def test_parity_is_exact():
    s = by_label(spectrum(mlp("erf", depth=1).ntk, GaussianInputs(4), 4))
    assert s["(0,0)"] == s["(2,0)"] == s["(4,0)"] == 0 < s["(3,1)"]
    s = by_label(spectrum(dot_product_kernel("sinh(rho)"), Ball(4), 4))
    assert s["(0,0)"] == s["(2,0)"] == 0 < s["(3,1)"]


# ---------------------------------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize(
    ("formula", "space", "words"),
    [
        ("1 - rho", Ball(4), "degree 1"),
        ("exp(-rho)", GaussianInputs(4), "degree 1"),
        ("1 - rho", Shells(4, [1, 2]), "positive semi-definite"),
        ("asin(rho)", Ball(4, 2), "not analytic"),
        ("1/(2 - rho)", Ball(4, 3), "not analytic"),
        ("1/(1/2 - rho)", Ball(4, "3/4"), "not analytic"),
        ("1/(1/2 - rho)", Shells(4, [1, "1/2"]), "not finite|positive semi-definite"),
        ("asin(rho)", GaussianInputs(4), "not bounded"),
        ("exp(rho**2)", GaussianInputs(4), "exponentially"),
        ("exp(rho)", GaussianInputs(2), "infinite"),
        ("exp(-sqrt(1 - rho))", GaussianInputs(4), "rho"),
    ],
)
def test_dot_product_kernels_that_are_refused(formula, space, words):
    with pytest.raises(DomainError, match=words):
        spectrum(dot_product_kernel(formula), space, 3)


def test_negative_coefficients_may_be_positive_on_shells():
    K = dot_product_kernel("rho + rho**3 - rho**5/100 + rho**7")
    s = spectrum(K, Shells(4, [1, 2]), 4)
    assert np.all(s.eigenvalues >= 0) and len(s) > 5
    for space in (Ball(4), Shells(4, [1, 2])):
        with pytest.raises(DomainError, match="positive semi-definite"):
            spectrum(K, space, 5)
    with pytest.raises(DomainError, match="without digits"):
        spectrum(K, Shells(4, [1, 2]), 4, digits=20)


def test_other_refusals():
    with pytest.raises(DomainError, match="unequal norms"):
        spectrum(mlp("relu", depth=1).ntk.profile(), Ball(4), 3)
    with pytest.raises(DomainError, match="rotations"):
        spectrum(mlp("relu", depth=1).ntk, GaussianInputs(2, [1, 2]), 3)
    with pytest.raises(DomainError, match="d >= 2"):
        spectrum(mlp("relu", depth=1).ntk, GaussianInputs(1), 3)
    with pytest.raises(DomainError, match="certified digits"):
        spectrum(mlp("erf", depth=1).ntk, Ball(4), 3, digits=20)
    with pytest.raises(DomainError, match="exact=True"):
        spectrum(mlp("erf", depth=1).ntk, Ball(4), 3, exact=True)
    with pytest.raises(DomainError, match="infinite"):
        spectrum(mlp("exp", depth=1, w_var=2).nngp, GaussianInputs(3), 1)
