"""The power of targets in the levels: exact values, quadrature against identities, and estimates from pairs."""

import itertools
import json
import math

import numpy as np
import pytest
import sympy as sp
from scipy.special import eval_legendre, roots_hermitenorm, roots_legendre

from kernalg.errors import DomainError
from kernalg.expansion.cube import krawtchouk
from kernalg.expansion.zonal import multiplicity, zonal_table
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.levels import degree_of, level_sums, levels_of, random_inputs
from kernalg.learning.polynomial_targets import polynomial_power
from kernalg.learning.targets import TargetPower, profile_function, target_power
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.radial_basis import rbf_kernel
from kernalg.spectrum.gaussian_inputs import gaussian_spectrum
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Ball, GaussianInputs, Hypercube, ProductOfSpheres, Shells, Sphere
from kernalg.symbols import rho

STEP = sp.Piecewise((-1, rho < 0), (1, True))


def corners(d):
    return np.array(list(itertools.product([1.0, -1.0], repeat=d)))


def hermite_grid(d, nodes):
    points, weights = roots_hermitenorm(nodes)
    X = np.array(list(itertools.product(points, repeat=d)))
    return X, np.prod(list(itertools.product(weights / weights.sum(), repeat=d)), axis=1)


# -- points and levels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "second"),
    [
        (Sphere(5), np.eye(5)),
        (Hypercube(5), np.eye(5)),
        (GaussianInputs(2, ["1/4", 9]), np.diag([0.25, 9.0])),
        (ProductOfSpheres([2, 3]), np.eye(5)),
        (Ball(5, 2), np.eye(5) * 2 * 5 / 7),
        (Shells(5, [1, 4], ["1/3", "2/3"]), np.eye(5) * 3),
    ],
)
def test_random_inputs_have_their_second_moments(space, second):
    X = random_inputs(space, 40_000, np.random.default_rng(1))
    products = np.einsum("ni,nj->nij", X, X)
    error = np.maximum(products.std(axis=0) / 200, 1e-12)
    assert (abs(products.mean(axis=0) - second) < 4.5 * error).all()


def test_random_inputs_lie_on_their_space():
    rng = np.random.default_rng(2)
    X = random_inputs(ProductOfSpheres([2, 3]), 10, rng)
    np.testing.assert_allclose([(X[:, :2] ** 2).sum(1), (X[:, 2:] ** 2).sum(1)], [[2.0] * 10, [3.0] * 10])
    assert ((random_inputs(Ball(3), 1000, rng) ** 2).sum(1) <= 3).all()
    norms = (random_inputs(Shells(3, [1, 4]), 1000, rng) ** 2).sum(1)
    assert {round(float(v), 9) for v in norms} == {3.0, 12.0}


def assert_projectors(levels, X, weights, test_points):
    """E_z[Phi_k(x, z) Phi_l(z, y)] = delta_kl Phi_k(x, y)."""
    table, counts = levels.table, levels.counts
    sizes = np.array(counts, dtype=float)[:, None, None]
    left, right = table(test_points, X) * sizes, table(X, test_points) * sizes
    among = table(test_points, test_points) * sizes
    for k in range(len(counts)):
        for m in range(len(counts)):
            expected = among[k] if k == m else 0 * among[k]
            np.testing.assert_allclose((left[k] * weights) @ right[m], expected, atol=1e-9 * abs(among).max())


def test_levels_of_the_cube_are_projectors():
    X = corners(6)
    assert_projectors(levels_of(Hypercube(6), 9), X, np.full(64, 1 / 64), X[:5])
    for j in (3, 17):
        t = np.array([[(40 - 2 * j) / 40]])
        a, b = np.ones((1, 40)), np.ones((1, 40))
        b[0, :j] = -1
        assert t == a @ b.T / 40
        exact = [v / math.comb(40, k) for k, v in enumerate(krawtchouk(40, 40, j))]
        np.testing.assert_allclose(levels_of(Hypercube(40), 40).table(a, b)[:, 0, 0], exact, atol=1e-9)


def test_levels_of_gaussian_inputs_are_projectors():
    X, weights = hermite_grid(2, 24)
    points = np.random.default_rng(3).standard_normal((4, 2))
    levels = levels_of(GaussianInputs(2), 5)
    assert levels.counts == (1, 2, 3, 4, 5, 6) and levels.beyond == 7
    assert_projectors(levels, X, weights, points)
    stretch = np.array([0.5, 3.0])
    assert_projectors(levels_of(GaussianInputs(2, ["1/4", 9]), 5), X * stretch, weights, points * stretch)


def test_levels_of_the_gaussian_kernel_are_its_eigenfunctions():
    K, space = rbf_kernel(2), GaussianInputs(3, "1/2")
    spectrum = gaussian_spectrum(K, space, 30, None, False)
    points = random_inputs(space, 6, np.random.default_rng(4))
    table = levels_of(space, 30, K).table
    np.testing.assert_allclose(level_sums(table, spectrum.level_power[None], points, points)[0], K(points), atol=1e-13)
    X, weights = hermite_grid(3, 40)
    assert_projectors(levels_of(space, 3, K), X * math.sqrt(0.5), weights, points)
    with pytest.raises(DomainError, match="one variance"):
        levels_of(GaussianInputs(2, [1, 2]), 3, K)


def test_levels_of_a_product_are_projectors():
    space = ProductOfSpheres([2, 3])
    levels = levels_of(space, 3)
    assert levels.counts[:6] == (1, 2, 3, 2, 6, 5) and levels.parities[:6] == (0, 1, 1, 0, 0, 0)
    assert levels.beyond == 2 and degree_of(space, len(levels)) == 3
    angles = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    heights, weights = roots_legendre(8)
    sphere = [np.r_[math.sqrt(1 - h * h) * c, h] for h in heights for c in circle]
    X = np.array([np.r_[math.sqrt(2) * c, math.sqrt(3) * s] for c in circle for s in sphere])
    assert_projectors(levels, X, np.tile(np.repeat(weights / 24, 12), 12) / 12, X[[3, 100, 700]])


# -- functions of one cosine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 10, 1000, 10**6])
def test_a_polynomial_on_the_sphere_in_closed_form(d):
    # rho^2 = 1/d + (1 - 1/d) P_2, and N(d, 2) = (d - 1)(d + 2)/2
    target = target_power("rho**2", Sphere(d), 4)
    expected = [1 / d**2, 0, (1 - 1 / d) ** 2 * 2 / ((d - 1) * (d + 2)), 0, 0, 0]
    np.testing.assert_allclose(target.estimates, expected, rtol=1e-12, atol=1e-14 * expected[0])
    assert target.power[1] == target.power[3] == target.power[5] == 0
    assert (abs(target.estimates - expected) <= target.errors + 1e-14 * expected[0]).all()


def test_functions_with_kinks_and_jumps_on_the_sphere():
    # E sign(t) P_k(t) on S^2 is the integral of P_k over [0, 1] for odd k
    t, w = roots_legendre(40)
    for text, inner, total in ((STEP, lambda s: 1 + 0 * s, 1.0), ("abs(rho)", lambda s: s, 1 / 3)):
        target = target_power(text, Sphere(3), 12)
        s = (t + 1) / 2
        parity = int(text != "abs(rho)")
        expected = [
            (2 * k + 1) * (0.5 * w @ (inner(s) * eval_legendre(k, s))) ** 2 if k % 2 == parity else 0.0
            for k in range(13)
        ]
        np.testing.assert_allclose(target.estimates[:-1], expected, atol=1e-13)
        assert target.estimates[-1] == pytest.approx(total - sum(expected), abs=1e-12)


def test_coefficients_rebuild_the_function():
    profile = profile_function("exp(rho)", Sphere(7), 25)
    t = np.linspace(-1, 1, 9)
    counts = np.array([multiplicity(7, k) for k in range(26)])
    rebuilt = (profile.coefficients * np.sqrt(counts)) @ zonal_table(25, 7, t)
    np.testing.assert_allclose(rebuilt, np.exp(t), atol=1e-11)
    assert profile.beyond == 0


def test_a_function_of_the_mean_on_the_cube():
    target = target_power("exp(rho) + rho**3", Hypercube(10), 10)
    mean = corners(10).mean(axis=1)
    by_corners = target_power(lambda X: np.exp(X.mean(axis=1)) + X.mean(axis=1) ** 3, Hypercube(10), 10)
    np.testing.assert_allclose(target.estimates, by_corners.estimates, rtol=1e-10, atol=1e-15)
    assert target.estimates.sum() == pytest.approx(((np.exp(mean) + mean**3) ** 2).mean(), rel=1e-13)
    short = target_power("exp(rho) + rho**3", Hypercube(10), 2)
    np.testing.assert_allclose(short.estimates, [*target.estimates[:3], target.estimates[3:].sum()], rtol=1e-11)


# -- polynomials in the coordinates -----------------------------------------------------------------------------------


def test_polynomials_on_the_cube():
    target = target_power("x1*x2 + 3*x3/2 - x1*x2*x3*x9**4 + x5**2", Hypercube(20), 2)
    assert target.estimates.tolist() == [1.0, 2.25, 1.0, 1.0]


def test_polynomials_on_gaussian_inputs():
    # x^3 = He_3 + 3 He_1; with variance 4: 8 He_3 + 24 He_1
    assert target_power("x1**3", GaussianInputs(2), 4).estimates.tolist() == [0, 9, 0, 6, 0, 0]
    assert target_power("x1**3", GaussianInputs(2, 4), 2).estimates.tolist() == [0, 576, 0, 64 * 6]
    space = GaussianInputs(2, ["1/4", 9])
    target = target_power("x1*x2**2 - x1 + x2**2", space, 3)
    X, weights = hermite_grid(2, 10)
    X = X * [0.5, 3]
    values = X[:, 0] * X[:, 1] ** 2 - X[:, 0] + X[:, 1] ** 2
    assert target.estimates.sum() == pytest.approx(weights @ values**2)
    levels = levels_of(space, 3)
    for k, count in enumerate(levels.counts):
        projected = (weights * values) @ (levels.table(X, X)[k] * count) @ (weights * values)
        assert target.estimates[k] == pytest.approx(projected, abs=1e-10)


def test_polynomials_on_the_sphere():
    # x1 = sqrt(d) rho about the first axis
    for text, profile in (("x1**2", "5*rho**2"), ("x1**5 - x1", "25*sqrt(5)*rho**5 - sqrt(5)*rho")):
        expected = target_power(profile, Sphere(5), 4).estimates
        np.testing.assert_allclose(target_power(text, Sphere(5), 4).estimates, expected, atol=1e-11)
    exact = polynomial_power(sp.sympify("x1*x2*x3 + x2**4 - x3"), Sphere(3), 4)
    heights, weights = roots_legendre(12)
    angles = 2 * np.pi * np.arange(24) / 24
    X = math.sqrt(3) * np.array(
        [[math.sqrt(1 - h * h) * math.cos(a), math.sqrt(1 - h * h) * math.sin(a), h] for h in heights for a in angles]
    )
    masses = np.repeat(weights / 48, 24)
    f = masses * (X.prod(axis=1) + X[:, 1] ** 4 - X[:, 2])
    levels = levels_of(Sphere(3), 4)
    for k, count in enumerate(levels.counts):
        assert float(exact[k]) == pytest.approx(f @ (levels.table(X, X)[k] * count) @ f, abs=1e-12)
    assert exact[5] == 0
    # On the circle the lowest factors of the formula vanish for no degree that occurs.
    assert polynomial_power(sp.sympify("x1**4"), Sphere(2), 4) == [sp.Rational(9, 4), 0, 2, 0, sp.Rational(1, 8), 0]


# -- functions known by their values ----------------------------------------------------------------------------------


def assert_estimates(function, space, exact, **options):
    """Unbiased with honest errors, over a few seeds."""
    degree = degree_of(space, len(exact) - 1)
    runs = [target_power(function, space, degree, seed=seed, **options) for seed in range(12)]
    estimates = np.array([r.estimates for r in runs])
    errors = np.array([r.errors for r in runs])
    mean, spread = estimates.mean(axis=0), estimates.std(axis=0, ddof=1)
    seen = spread > 1e-12
    assert (abs(mean - exact)[seen] < 4.5 * spread[seen] / math.sqrt(12)).all()
    np.testing.assert_allclose(mean[~seen], np.array(exact)[~seen], atol=1e-10)
    ratio = np.sqrt((errors**2).mean(axis=0))[seen] / spread[seen]
    assert ((ratio > 0.5) & (ratio < 2.5)).all()


def test_the_estimate_is_the_mean_over_pairs():
    def function(X):
        return np.exp(X[:, 0])

    target = target_power(function, Sphere(3), 2, samples=5, seed=3)
    X = random_inputs(Sphere(3), 5, np.random.default_rng(3))
    pairs = list(itertools.permutations(range(5), 2))
    t = X @ X.T / 3
    even, odd = np.cosh(X[:, 0]), np.sinh(X[:, 0])
    for k, (part, kernel) in enumerate([(even, 1 + 0 * t), (odd, 3 * t), (even, 5 * (3 * t**2 - 1) / 2)]):
        expected = np.mean([part[i] * part[j] * kernel[i, j] for i, j in pairs])
        assert target.estimates[k] == pytest.approx(expected, rel=1e-12)
    assert target.estimates[3] == pytest.approx((even**2 + odd**2).mean() - target.estimates[:3].sum(), rel=1e-10)


def test_estimates_on_the_sphere():
    exact = target_power("rho + rho**2 + exp(rho)", Sphere(6), 4)

    def function(X):
        t = X[:, 2] / math.sqrt(6)
        return t + t**2 + np.exp(t)

    assert_estimates(function, Sphere(6), exact.estimates, samples=400)


def test_estimates_on_gaussian_inputs_and_a_large_cube():
    assert_estimates(lambda X: X[:, 0] * X[:, 1] + X[:, 2], GaussianInputs(3), [0, 1, 1, 0, 0], samples=400)
    assert_estimates(
        lambda X: X[:, 0] * X[:, 2] + X[:, 3], ProductOfSpheres([2, 3]), [0, 0, 1, 0, 1, 0, 0], samples=400
    )
    assert_estimates(lambda X: X[:, 0] * X[:, 1] + X[:, 2], Hypercube(18), [0, 1, 1, 0], samples=400)


def test_directions_in_a_ball():
    # |x|^2 times a linear function: of degree 1 in the direction
    target = target_power(lambda X: (X**2).sum(axis=1) * X[:, 0], Ball(4), 3, samples=800)
    assert (abs(target.estimates[[0, 2]]) < 1e-12).all()
    assert target.estimates[1] > 8 * target.errors[1] and abs(target.estimates[3]) < 4 * target.errors[3]


def test_levels_of_a_kernel():
    K, space = rbf_kernel(4), GaussianInputs(2)
    table, pole = levels_of(space, 3, K).table, np.array([[0.5, -1.0]])

    def eigenfunction(X):
        return 4 * table(X, pole)[3, :, 0] / math.sqrt(4 * table(pole, pole)[3, 0, 0])

    with pytest.raises(DomainError, match="rbf_kernel on Gaussian inputs"):
        target_power(eigenfunction, Ball(2), 3, kernel=K)
    with pytest.raises(DomainError, match="callables"):
        target_power("x1", space, 3, kernel=K)
    assert_estimates(eigenfunction, space, [0, 0, 0, 1, 0], samples=300, kernel=K)


def test_targets_show_themselves():
    target = target_power("rho", Sphere(4), 2)
    assert "beyond" in repr(target) and "sphere" in repr(target) and "<table>" in target._repr_html_()
    assert TargetPower.from_json(target.to_json()) == target and hash(target) == hash(target)
    assert target.to_pandas()["power"].loc["beyond"] == 0
    for change in ({"errors": [0.0]}, {"method": 3}, {"space": "sphere"}, {"estimates": "x"}):
        with pytest.raises(DomainError):
            TargetPower.from_json(json.dumps({**json.loads(target.to_json()), **change}))


@pytest.mark.parametrize(
    ("function", "space", "word"),
    [
        ("rho", GaussianInputs(3), "sphere or the hypercube"),
        ("1/(rho - rho)", Sphere(3), "rho|finite"),
        ("log(rho)", Sphere(3), "NaN|nan|finite|real"),
        ("x1", Ball(3), "callable"),
        ("x4", Hypercube(3), "x1 to x3"),
        ("exp(x1)", Hypercube(3), "polynomial"),
        ("x1 + rho", Hypercube(3), "x1 to x3|coordinates"),
        (3, Sphere(3), "callable"),
        (lambda X: X, Sphere(3), "shape"),
        (lambda X: X[:, 0] * math.nan, Sphere(3), "finite"),
        (lambda X: X[:2, 0], Hypercube(3), "one number per row"),
        ("rho", ProductOfSpheres([2, 2]), "sphere or the hypercube"),
        ("rho", "sphere", "space"),
    ],
)
def test_refusals(function, space, word):
    with pytest.raises(DomainError, match=word):
        target_power(function, space, 3)


def test_power_and_space_in_place_of_one_another_are_refused():
    s = spectrum(dot_product_kernel("exp(rho)"), Sphere(5), degree=3)
    with pytest.raises(DomainError, match=r"give its \.space"):
        target_power("rho", s)
    for wrong in (target_power("rho", Sphere(5), degree=3), "rho", lambda X: X[:, 0]):
        with pytest.raises(DomainError, match=r"target_power\(function, space, degree\)\.power"):
            learning_curve(s, wrong, n=10)
