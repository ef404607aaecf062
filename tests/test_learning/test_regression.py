"""Measured learning curves: the exact risk against sampled test points, and the experiments against the theory."""

import math

import numpy as np
import pytest
from scipy.special import gammaln

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.measured import Measured, MeasuredCurve
from kernalg.learning.regression import kernel_ridge, measured_curve_on_data, measured_curve_on_sphere
from kernalg.spectrum.empirical import empirical_spectrum
from kernalg.spectrum.spectrum import Spectrum


def exponential(X, Y=None):
    return np.exp(X @ (X if Y is None else Y).T / X.shape[1])


def exponential_spectrum(d, degree):
    """exp(xi): lambda_k = sum_j Gamma(d/2) / (j! 2^(k+2j) Gamma(d/2+k+j))."""
    j = np.arange(60)[:, None]
    k = np.arange(degree + 1)
    terms = gammaln(d / 2) - gammaln(j + 1) - (k + 2 * j) * math.log(2) - gammaln(d / 2 + k + j)
    counts = [math.comb(d + i - 1, i) - (math.comb(d + i - 3, i - 2) if i > 1 else 0) for i in range(degree + 1)]
    return Spectrum(np.exp(terms).sum(0), counts, trace=math.e)


def on_sphere(rng, count, d):
    points = rng.standard_normal((count, d))
    return points * math.sqrt(d) / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_kernel_ridge_solves_its_equation(ridge):
    rng = np.random.default_rng(0)
    K = exponential(on_sphere(rng, 30, 5))
    for y in (rng.standard_normal(30), rng.standard_normal((30, 2))):
        alpha = kernel_ridge(K, y, ridge)
        assert alpha.shape == y.shape
        np.testing.assert_allclose((K + ridge * np.eye(30)) @ alpha, y, rtol=0, atol=1e-9)


def test_a_singular_gram_matrix_without_ridge_is_the_limit_of_small_ridges():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 3))
    y = rng.standard_normal(20)
    np.testing.assert_allclose(
        X @ X.T @ kernel_ridge(X @ X.T, y, 0.0), X @ X.T @ kernel_ridge(X @ X.T, y, 1e-7), atol=1e-6
    )
    with pytest.raises(DomainError, match="negative eigenvalue"):
        kernel_ridge(-np.eye(2), np.ones(2), 0.5)


@pytest.mark.parametrize(("ridge", "noise"), [(0.0, 0.1), (0.2, 0.0)])
def test_measured_on_the_sphere_agrees_with_the_theory(ridge, noise):
    d, n = 20, [30, 120]
    spectrum = exponential_spectrum(d, 10)
    measured = measured_curve_on_sphere(
        exponential, spectrum, [0, 1, 1], dimension=d, n=n, ridge=ridge, noise=noise, draws=60, seed=2
    )
    predicted = learning_curve(spectrum, [0, 1, 1], n=n, ridge=ridge, noise=noise)
    slack = 3 * measured.test_mse.standard_error + 0.02 * predicted.test_mse
    assert (abs(measured.test_mse.mean - predicted.test_mse) < slack).all()
    slack = 3 * measured.train_mse.standard_error + 0.02 * predicted.train_mse + 1e-20
    assert (abs(measured.train_mse.mean - predicted.train_mse) < slack).all()
    assert (measured.truncation < 1e-6).all()


def test_the_truncation_bound_holds():
    common = {"dimension": 8, "n": 40, "ridge": 1e-3, "noise": 0.1, "draws": 3}
    short = measured_curve_on_sphere(exponential, exponential_spectrum(8, 3), [0, 1, 1], **common)
    full = measured_curve_on_sphere(exponential, exponential_spectrum(8, 20), [0, 1, 1], **common)
    missing = full.test_mse.draws - short.test_mse.draws
    assert (missing > 0).all()
    assert (missing <= short.truncation[:, None]).all()


def test_a_draw_depends_on_its_size_and_number_only():
    spectrum = exponential_spectrum(6, 12)

    def run(n, draws):
        return measured_curve_on_sphere(exponential, spectrum, [0, 1], dimension=6, n=n, draws=draws, seed=4).test_mse

    assert (run([10, 20], 2).draws[1] == run(20, 3).draws[0, :2]).all()


def test_measured_on_data():
    rng = np.random.default_rng(0)
    X = on_sphere(rng, 300, 4)
    y = np.stack([X[:, 0], X[:, 1] * X[:, 2]], axis=1) + 0.3 * rng.standard_normal((300, 2))
    calls = []
    curve = measured_curve_on_data(
        exponential, X, y, n=[20, 60], ridge=0.1, draws=20, seed=1, progress=lambda *state: calls.append(state)
    )
    assert calls[0] == (1, 40, "n = 20") and calls[-1] == (40, 40, "n = 60")
    by_matrix = measured_curve_on_data(exponential(X), None, y, n=60, ridge=0.1, draws=20, seed=1)
    assert (by_matrix.test_mse.draws == curve.test_mse.draws[1]).all()
    # Leave-one-out of n samples estimates the error of n - 1.
    difference = curve.loo.mean - curve.test_mse.mean
    assert (abs(difference) < 3 * np.hypot(curve.loo.standard_error, curve.test_mse.standard_error)).all()
    np.testing.assert_allclose(curve.loo_over_gcv.draws, curve.loo.draws / curve.gcv.draws)
    predicted = learning_curve(empirical_spectrum(exponential, X, y), n=20, ridge=0.1)
    assert predicted.test_mse[0] == pytest.approx(curve.test_mse.mean[0], rel=0.2)


def test_a_curve_shows_itself_and_round_trips():
    curve = measured_curve_on_data(np.eye(6) + 1, None, np.arange(6.0), n=[2, 3], ridge=0.1, draws=2)
    assert MeasuredCurve.from_json(curve.to_json()) == curve
    assert "loo_over_gcv" in repr(curve) and "±" in repr(curve) and "<table>" in curve._repr_html_()
    assert not curve.n.flags.writeable and not curve.test_mse.draws.flags.writeable
    assert math.isinf(Measured(np.ones((1, 1))).standard_error[0])
    with pytest.raises(DomainError):
        MeasuredCurve.from_json("{}")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n": 0}, "n=0"),
        ({"n": []}, "empty"),
        ({"n": 2.5}, "2.5"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"ridge": -1}, "ridge"),
        ({"noise": math.nan}, "noise"),
        ({"dimension": 7}, "multiplicity"),
        ({"power": [1] * 9}, "9 degrees"),
        ({"power": [0, -1]}, r"power\[1\]"),
        ({"kernel": lambda X: 2 * exponential(X)}, "not that of this kernel"),
    ],
)
def test_refusals_on_the_sphere(changes, word):
    asked = {"kernel": exponential, "power": [0, 1], "dimension": 6, "n": 5, "draws": 1} | changes
    with pytest.raises(DomainError, match=word):
        measured_curve_on_sphere(asked.pop("kernel"), exponential_spectrum(6, 6), asked.pop("power"), **asked)


def test_refusals_on_data():
    with pytest.raises(DomainError, match="below 4"):
        measured_curve_on_data(np.eye(4), None, np.ones(4), n=4)
    with pytest.raises(DomainError, match="give the points"):
        measured_curve_on_data(exponential, None, np.ones(4), n=2)
