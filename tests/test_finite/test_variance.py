"""n Var of the kernels of one hidden layer: exact values, other methods, simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.covariance import tangent_kernel_covariance
from kernalg.finite.variance import kurtosis, neuron_moments, tangent_kernel_variance

CUBIC = HermiteSeries((0, 0, 0, "1/2"))
SINE = "sqrt(2)*sin(sqrt(2)*x + pi/4)"
EXPONENTIAL = "exp(sqrt(2)*x - 2)"
ANGLES = np.linspace(0, math.pi, 7)


def circle(angles):
    return math.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])


def monte_carlo(phi, cosine, w_var, b_var, v_var, kind, count=400_000, seed=0):
    """Sample variance of a neuron's term and its standard error, from inputs in the plane and drawn parameters."""
    rng = np.random.default_rng(seed)
    weights, biases, readout = rng.standard_normal((2, count)), rng.standard_normal(count), rng.standard_normal(count)
    t = math.acos(cosine)
    u = math.sqrt(w_var) * weights[0] + math.sqrt(b_var) * biases
    v = math.sqrt(w_var) * (math.cos(t) * weights[0] + math.sin(t) * weights[1]) + math.sqrt(b_var) * biases
    slope = phi.derivative()
    term = phi(u) * phi(v)
    if kind == "ntk":
        term = term + (w_var * cosine + b_var) * readout**2 * slope(u) * slope(v)
    squares = v_var**2 * (term - term.mean()) ** 2
    return squares.mean(), squares.std() / math.sqrt(count)


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (CUBIC, sp.Rational(167, 4)),
        ("(x**3 - 3*x)/(2*sqrt(6))", sp.Rational(167, 4)),
        (SINE, sp.Rational(25, 2) - sp.Rational(9, 2) * sp.exp(-16)),
        (EXPONENTIAL, 17 * sp.exp(8) - 9),
        ("relu", 3),
    ],
)
def test_closed_values_on_the_diagonal(phi, expected):
    value = tangent_kernel_variance(phi, 1, digits=40)
    assert abs(value - sp.N(expected, 50)) <= abs(expected) * sp.Float("1e-39", 50)
    assert tangent_kernel_variance(phi, 1) == pytest.approx(float(expected), rel=1e-15)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("phi", ["relu", "sin(2*x) + x/2", HermiteSeries(("1/2", 1, "-1/5", "1/25"), "3/2")])
def test_against_simulation(phi, kind):
    w_var, b_var, v_var, cosine = 1.5, 0.25, 2.0, 0.6
    neuron = phi if isinstance(phi, HermiteSeries) else ka.activation(phi)
    measured, error = monte_carlo(neuron, cosine, w_var, b_var, v_var, kind)
    value = tangent_kernel_variance(phi, cosine, w_var, b_var, (v_var, 3), kind)
    assert abs(measured - value) < 4 * error < 0.15 * value


@pytest.mark.parametrize("cosine", [-1, "-1/2", 0, "1/3", 1])
@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_a_series_is_its_polynomial(cosine, kind):
    """Two routes: Hermite coefficients in balls, and the engine's duals of the squares."""
    series = HermiteSeries((1, "1/2", 0, "-2/3", "1/7"), "4/3")
    arguments = (cosine, "2/3", "1/5", (3, 1), kind)
    by_series = tangent_kernel_variance(series, *arguments, digits=30)
    by_engine = tangent_kernel_variance(ka.activation(series.expr), *arguments, digits=30)
    assert abs(by_series - by_engine) <= sp.Float("1e-29", 40) * abs(by_engine)


def test_float64_of_a_series_of_degree_200_is_its_certified_value():
    series = HermiteSeries(tuple(sp.Rational((-1) ** (k // 2), k + 1) for k in range(201)))
    cosines = ["-1", "-2/5", "9/10", "1"]
    exact = tangent_kernel_variance(series, cosines, digits=25)
    values = tangent_kernel_variance(series, cosines)
    assert np.all(np.abs(values / exact.astype(float) - 1) < 1e-15)


def test_many_cosines_are_compiled_and_agree_with_few():
    cosines = np.cos(np.linspace(0, math.pi, 421))
    many = tangent_kernel_variance("relu", cosines, 2, "1/10")
    few = tangent_kernel_variance("relu", cosines[::60].tolist(), 2, "1/10")
    assert np.allclose(many[::60], few, rtol=1e-12, atol=0)
    assert many[0] > many[-1] > 0


def test_what_cancels_keeps_its_digits():
    """phi = 1 + e x has the features' variance 4 e^2 + 2 e^4 at c = 1: 1e-20 beside terms of size 1."""
    e = sp.Rational(1, 10**10)
    exact = 4 * e**2 + 2 * e**4
    assert abs(tangent_kernel_variance(1 + e * ka.x, 1, kind="nngp", digits=30) / sp.N(exact, 40) - 1) < 1e-29
    along = tangent_kernel_variance(1 + e * ka.x, np.linspace(1, 0, 401), kind="nngp")  # compiled, then repaired
    assert along[0] == pytest.approx(float(exact), rel=1e-14)
    assert along[-1] == pytest.approx(2e-20, rel=1e-14)  # Var(u + v) e^2 + ... at independent u, v
    assert tangent_kernel_variance("relu", -1) == 0
    assert float(tangent_kernel_variance("1", 0, kind="nngp", digits=12)) == 0


def test_zero_mean_is_no_obstacle():
    """(1 + 2c) exp(2(c - 1)) vanishes at c = -1/2, where the mean of the term is 0 and its variance is not."""
    value = tangent_kernel_variance(SINE, "-1/2", digits=20)
    rule = tangent_kernel_covariance(SINE, circle(np.array([0, 2 * math.pi / 3])), [[0, 1]])
    assert abs(float(value) - rule.matrix[0, 0]) < 1e-11


def test_unequal_norms_scale_as_a_homogeneous_activation_does():
    mean, variance = neuron_moments(ka.activation("relu"), [1.0, 4.0], [1.0, 9.0], [0.5, 3.0])
    assert mean[1] == pytest.approx(6 * mean[0], rel=1e-13)
    assert variance[1] == pytest.approx(36 * variance[0], rel=1e-13)


def test_infinite_variance_is_infinity_and_not_an_error():
    """sqrt(3/5) exp(z^2/5) has the kernel 1/sqrt(1 - 4c^2/9), and E phi^4 = infinity."""
    phi = "sqrt(3/5)*exp(x**2/5)"
    assert tangent_kernel_variance(phi, 1) == math.inf
    assert tangent_kernel_variance(phi, 1, digits=20) == sp.oo
    assert math.isfinite(tangent_kernel_variance(phi, 0, kind="nngp"))
    assert kurtosis(phi) == math.inf


def test_infinite_is_told_from_unknown():
    """(|x|^(3/4))'^4 is 1/|x| beside 0, not integrable at equal inputs; floor(x)^2 the engine does not know."""
    assert tangent_kernel_variance("abs(x)**(3/4)", 1) == math.inf
    assert math.isfinite(tangent_kernel_variance("abs(x)**(3/4)", "1/2"))
    assert tangent_kernel_variance("erfi(sqrt(3/16)*x)", 1) == math.inf
    with pytest.raises(DomainError, match="floor"):
        tangent_kernel_variance("floor(x)", 1)


def test_kurtosis_of_the_two_radial_activations():
    """3/2 - exp(-8 t^2)/2 for the sine, exp(4 t^2) for the exponential: one kernel, exp(t^2 (c - 1))."""
    t = sp.sqrt(2)
    sine = sp.Rational(3, 2) - sp.exp(-8 * t**2) / 2
    assert abs(kurtosis(SINE, digits=30) - sp.N(sine, 35)) < sp.Float("1e-29", 35)
    assert abs(kurtosis(EXPONENTIAL, digits=30) / sp.N(sp.exp(4 * t**2), 35) - 1) < sp.Float("1e-29", 35)
    assert kurtosis(HermiteSeries((0, 1))) == 3


@pytest.mark.parametrize("phi", [CUBIC, SINE, EXPONENTIAL, "relu", "gelu", "abs(x) + x/3"])
@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_the_diagonal_of_the_covariance_is_the_variance(phi, kind):
    found = tangent_kernel_covariance(phi, circle(ANGLES), [[0, j] for j in range(7)], kind=kind)
    exact = np.array([tangent_kernel_variance(phi, float(c), kind=kind) for c in np.cos(ANGLES).round(15)])
    scale = exact.max()
    assert np.abs(np.diag(found.matrix) - exact).max() < 1e-11 * scale
    assert found.error < 1e-9
    assert np.linalg.eigvalsh(found.matrix).min() > -1e-11 * scale


def test_covariance_against_simulation():
    phi, X = ka.activation("relu"), circle(np.array([0.0, 0.7, 2.0]))
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    found = tangent_kernel_covariance(phi, X, pairs, 1.5, readout=(2, 1))
    rng = np.random.default_rng(3)
    u = math.sqrt(1.5 / 2) * X @ rng.standard_normal((2, 400_000))
    f, g, readout = phi(u), phi.derivative()(u), rng.standard_normal(400_000)
    c = 1.5 * (X @ X.T) / 2
    i, j = pairs.T
    terms = 2 * (f[i] * f[j] + c[i, j][:, None] * readout**2 * g[i] * g[j])
    products = (terms - terms.mean(axis=1, keepdims=True))[:, None] * (terms - terms.mean(axis=1, keepdims=True))
    error = products.std(axis=-1) / math.sqrt(400_000)
    assert (np.abs(products.mean(axis=-1) - found.matrix) < 4 * error).all()


def test_covariance_in_more_dimensions_states_its_error():
    X = np.random.default_rng(0).standard_normal((3, 4))
    pairs = [[0, 0], [0, 1], [1, 2]]
    found = tangent_kernel_covariance("relu", X, pairs, 1, "1/2")
    gram = X @ X.T / 4 + 0.5
    i, j = np.array(pairs).T
    exact = neuron_moments(ka.activation("relu"), gram[i, i], gram[j, j], gram[i, j])[1]
    assert (np.abs(np.diag(found.matrix) / exact - 1) < 4 * found.error).all()
    assert 0 < found.error < 0.01


def test_breaks_away_from_0_state_their_error():
    phi, pairs = "max(x - 1/2, 0)", [[0, j] for j in range(7)]
    found = tangent_kernel_covariance(phi, circle(ANGLES), pairs)
    exact = np.array([tangent_kernel_variance(phi, float(c)) for c in np.cos(ANGLES).round(15)])
    assert (np.abs(np.diag(found.matrix) - exact) < 2 * found.error * exact + 1e-12).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(cosine=1.5), "from -1 to 1"),
        (dict(cosine=0, kind="tangent"), "'ntk'"),
        (dict(cosine=0, w_var=-1), "not negative"),
        (dict(cosine=0, w_var=0), "must be positive"),
        (dict(cosine=0, readout=1), "readout"),
        (dict(cosine=0, digits=0), "digits"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(DomainError, match=words):
        tangent_kernel_variance("relu", **arguments)


def test_other_refusals():
    with pytest.raises(DomainError, match="free parameters a"):
        tangent_kernel_variance(ka.activation(sp.Symbol("a") * ka.x), 1)
    with pytest.raises(DomainError, match="infinite"):
        tangent_kernel_variance("exp(x**2)", 1)
    with pytest.raises(DomainError, match="rows 0 to 6"):
        tangent_kernel_covariance("relu", circle(ANGLES), [[0, 7]])
    with pytest.raises(DomainError, match=r"\(m, 2\)"):
        tangent_kernel_covariance("relu", circle(ANGLES), [0, 1])
    with pytest.raises(DomainError, match="kurtosis"):
        kurtosis("0")
