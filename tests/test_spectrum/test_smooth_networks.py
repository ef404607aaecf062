"""Spectra of networks whose activation has no closed-form dual, and of those whose formulas are slow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_series
from scipy.special import eval_legendre

import kernalg as ka
from kernalg.enclosure.balls import precision
from kernalg.errors import NoClosedForm, PrecisionError
from kernalg.network import dual_series, kernel, recursion
from kernalg.network.dual_series import through_dual

FUNCTIONS = {
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2),
    "softplus": (lambda u: np.logaddexp(0, u), lambda u: 1 / (1 + np.exp(-u))),
    "silu": (
        lambda u: u / (1 + np.exp(-u)),
        lambda u: 1 / (1 + np.exp(-u)) + u * np.exp(-u) / (1 + np.exp(-u)) ** 2,
    ),
}


def _by_double_quadrature(name: str, depth: int, w: float, b: float, degree: int) -> np.ndarray:
    """Eigenvalues of the tangent kernel on S^2: trapezoidal rules in the plane, Gauss-Legendre in the cosine."""
    f, slope = FUNCTIONS[name]
    z = 0.15 * np.arange(-62, 63)
    weight = 0.15 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    t, measure = np.polynomial.legendre.leggauss(60)

    def mean(g, q: float, c: np.ndarray) -> np.ndarray:
        rho = (c / q)[:, None, None]
        u, v = math.sqrt(q) * z[:, None], math.sqrt(q) * (rho * z[:, None] + np.sqrt(1 - rho**2) * z)
        return np.einsum("i,nij,j->n", weight, g(u) * g(v), weight)

    q, k, tangent = 1.0, t, np.zeros_like(t)
    for _ in range(depth):
        q, k = w * q + b, w * k + b
        tangent = k + w * tangent
        tangent = tangent * mean(slope, q, k)
        q, k = float(weight @ f(math.sqrt(q) * z) ** 2), mean(f, q, k)
    return np.array([measure @ ((k + tangent) * eval_legendre(n, t)) / 2 for n in range(degree + 1)])


@pytest.mark.parametrize(
    ("name", "depth", "w", "b"),
    [("tanh", 1, 1, "0"), ("tanh", 3, 1, "1/20"), ("softplus", 2, 1, "0"), ("silu", 1, 1, "1/5")],
)
def test_low_degrees_agree_with_double_quadrature(name: str, depth: int, w: int, b: str) -> None:
    found = ka.spectrum(ka.mlp(name, depth=depth, w_var=w, b_var=b).ntk, ka.Sphere(3), degree=5)
    truth = _by_double_quadrature(name, depth, w, float(sp.Rational(b)), 5)
    assert np.abs(np.array(found.eigenvalues) - truth).max() < 3e-14 * found.trace


@pytest.fixture
def erf_without_its_formula(monkeypatch: pytest.MonkeyPatch):
    """Error functions down the road of activations without a closed form; gives the spectra made by formula."""
    caches = (recursion.pair_function, recursion.diagonal_function, recursion.antidiagonal_function, kernel._profile)

    def clear() -> None:
        for cache in caches:
            cache.cache_clear()

    def spectra() -> list[ka.Spectrum]:
        networks = (ka.mlp("erf", depth=2, w_var=2, b_var=b) for b in (0, "1/20"))
        return [ka.spectrum(net.ntk, ka.Sphere(d), degree=12, digits=20) for net in networks for d in (3, 1000)]

    by_formula = spectra()
    clear()
    monkeypatch.setattr(recursion, "_is_numeric", lambda dual: True)
    monkeypatch.setattr(kernel, "_evaluation", lambda layers, tangent: "quadrature")
    yield by_formula, spectra
    clear()


def test_the_error_function_needs_no_formula(erf_without_its_formula) -> None:
    by_formula, spectra = erf_without_its_formula
    for expected, found in zip(by_formula, spectra(), strict=True):
        pairs = zip(expected.exact, found.exact, strict=True)
        assert all(abs(a - b) <= abs(a) * sp.Float("2e-20") for a, b in pairs)


@pytest.mark.parametrize("derivative", [False, True])
def test_series_with_a_constant_term(derivative: bool) -> None:
    """The outer series is cut although every one of its terms contributes to every coefficient."""
    dual = ka.activation("erf").dual
    formula = recursion.pair_function(ka.activation("erf"), derivative)
    with precision(200, 24):
        inner = arb_series([arb(1) / 2, arb(1), arb(1) / 4], prec=24)
        variance = arb(7) / 4
        found = through_dual(dual, variance, inner, derivative=derivative)
        known = formula(variance, variance, inner)
        for m in range(24):
            assert found[m].overlaps(known[m])
            assert found[m].rad() < 1e-40


def test_what_is_cut_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few outer terms that the cut shows in every coefficient."""
    monkeypatch.setattr(dual_series, "MOST_TERMS", 16)
    formula = recursion.pair_function(ka.activation("erf"), False)
    with precision(200, 8):
        inner = arb_series([arb(1) / 2, arb(1), arb(1) / 4], prec=8)
        found = through_dual(ka.activation("erf").dual, arb(7) / 4, inner, derivative=False)
        known = formula(arb(7) / 4, arb(7) / 4, inner)
        assert all(found[m].overlaps(known[m]) for m in range(8))
        assert all(found[m].rad() > 1e-12 for m in range(8))


def test_a_variance_that_is_a_ball() -> None:
    dual = ka.activation("softplus").dual
    with precision(160, 12):
        spread = arb(10) ** -20
        series = [
            through_dual(dual, v, arb_series([arb(0), arb(1)], prec=12), derivative=False)
            for v in (arb(1, spread), (1 + spread).mid(), (1 - spread).mid())
        ]
        for m in range(12):
            ball, *ends = (s[m] for s in series)
            assert all(ball.overlaps(end) for end in ends)
            assert ball.rad() < 1e-17


def test_parity_zeros_are_exact() -> None:
    odd = ka.spectrum(ka.mlp("tanh", depth=2).ntk, ka.Sphere(50), degree=20)
    assert all(odd.eigenvalues[k] == odd.errors[k] == 0 for k in range(0, 21, 2))
    assert all(odd.eigenvalues[k] > 0 for k in range(1, 21, 2))
    # softplus(x) - x/2 is even, so that the odd part of its kernel is linear.
    half = ka.spectrum(ka.mlp("softplus", depth=1).nngp, ka.Sphere(10), degree=9)
    assert [k for k in range(10) if half.eigenvalues[k] == 0] == [3, 5, 7, 9]


def test_tiny_eigenvalues_keep_their_digits() -> None:
    network = ka.mlp("tanh", depth=1, b_var="1/10")
    low = ka.spectrum(network.nngp, ka.Sphere(1000), degree=20)
    high = ka.spectrum(network.nngp, ka.Sphere(1000), degree=20, digits=30)
    assert low.eigenvalues[20] < 1e-40
    assert low.eigenvalues == pytest.approx([float(v) for v in high.exact], rel=1e-15, abs=0)


@pytest.mark.parametrize(("name", "depth"), [("elu", 1), ("hard_tanh", 1)])
def test_slow_formulas_by_gauss(name: str, depth: int) -> None:
    """Against the compiled Gram matrix, integrated in the angle."""
    K = ka.mlp(name, depth=depth, w_var=2).ntk
    found = ka.spectrum(K, ka.Sphere(3), degree=20)
    assert "Gauss" in found.methods
    x, weight = np.polynomial.legendre.leggauss(200)
    angle = math.pi * (1 + x) / 2
    rows = math.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])
    values = K(np.array([[math.sqrt(2), 0.0]]), rows)[0]
    for n in range(21):
        truth = (math.pi / 2) * weight @ (values * eval_legendre(n, np.cos(angle)) * np.sin(angle)) / 2
        assert abs(found.eigenvalues[n] - truth) < 3e-14 * found.trace


def test_what_is_refused_says_what_helps() -> None:
    softsign = ka.mlp("softsign", depth=1)
    with pytest.raises(PrecisionError, match="higher dimension"):
        ka.spectrum(softsign.nngp, ka.Sphere(3), degree=3)
    assert ka.spectrum(softsign.nngp, ka.Sphere(50), degree=8).eigenvalues[7] > 0
    with pytest.raises(NoClosedForm, match="jumps"):
        ka.mlp("floor", depth=1).ntk.profile().series(8)
