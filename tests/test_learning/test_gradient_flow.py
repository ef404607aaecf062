"""Gradient flow in time: exact random matrix laws, other contours, limits, simulation."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from kernalg.errors import DomainError, InternalError, PrecisionError
from kernalg.learning import flow_contour, gradient_flow
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.gradient_flow import GradientFlowCurve, gradient_flow_curve
from kernalg.learning.optimal_stopping import OptimalStopping, optimal_stopping
from kernalg.learning.problem import learning_problem
from kernalg.learning.two_ridges import cross_risk
from kernalg.spectrum.spectrum import Spectrum


def power_law(count, exponent=1.5, decay=1.6):
    i = np.arange(1, count + 1.0)
    return Spectrum(i**-exponent, [1] * count), i**-decay


def marchenko_pastur(lam, modes, power, n, t, noise):
    r"""One level is white Gaussian regression: E = v^2 E[e^(-2 t lam w)] + s2 m E[(1-e^(-t lam w))^2/w] + s2.

    w follows the law of the eigenvalues of Psi' Psi (modes x modes, n samples), support (sqrt n -+ sqrt m)^2.
    """
    high = (math.sqrt(n) + math.sqrt(modes)) ** 2
    low, radius = (n - modes) ** 2 / high, 2 * math.sqrt(n * modes)

    def mean(function):
        def integrand(angle):  # density sqrt((high-w)(w-low))/(2 pi m w), w = low + radius (1 + cos(angle))
            w = low + 2 * radius * math.cos(angle / 2) ** 2
            return function(w) * (radius * math.sin(angle)) ** 2 / (2 * math.pi * modes * w)

        return quad(integrand, 0, math.pi, epsabs=1e-14, epsrel=1e-13, limit=500)[0]

    left = max(1 - n / modes, 0)
    bias = power * (mean(lambda w: math.exp(-2 * t * lam * w)) + left)
    return bias + noise * (1 + modes * mean(lambda w: math.expm1(-t * lam * w) ** 2 / w))


@pytest.mark.parametrize("n", [5, 29, 31, 30.5, 300])
def test_one_level_is_an_integral_over_the_marchenko_pastur_law(n):
    times = np.array([1e-6, 1e-3, 0.1, 1, 7, 100, 1e4])
    curve = gradient_flow_curve(Spectrum([0.3], [30]), [2.0], n=n, times=times, noise=0.4)
    expected = [marchenko_pastur(0.3, 30, 2.0, n, t, 0.4) for t in times]
    np.testing.assert_allclose(curve.test_mse[0], expected, rtol=1e-11)
    assert (np.abs(curve.test_mse[0] - expected) <= curve.error[0] + 1e-12 * np.array(expected)).all()


def uniform_circle(values, modes, power, n, t, noise, nodes):
    """The textbook form: an even circle around [0, upper end], (1-exp(-tz))/z as it stands, kappa as a cubic root."""
    (one, two), (m1, m2) = values, modes
    top = (math.sqrt(n) + math.sqrt(m1 + m2)) ** 2 * max(values)  # beyond the largest eigenvalue
    middle, radius = top / 2, top * 0.6
    angles = 2 * np.pi * (np.arange(nodes) + 0.5) / nodes
    kappas, zs = [], middle + radius * np.exp(1j * angles)
    for z in zs:
        # (n k - z')(k+l1)(k+l2) = m1 l1 k (k+l2) + m2 l2 k (k+l1), z' = -z
        cubic = np.polymul([n, z], np.polymul([1, one], [1, two]))
        cubic = np.polysub(cubic, m1 * one * np.array([1, two, 0]))
        cubic = np.polysub(cubic, m2 * two * np.array([1, one, 0]))
        roots = np.roots(cubic)
        wrong_half = np.where(roots.imag * z.imag < 0, 0, 1)
        kappas.append(roots[np.argmin(wrong_half)])
        assert wrong_half.sum() == 2  # exactly one root lies in the right half plane
    kappas = np.array(kappas)
    L = np.array(values) / (np.array(values) + kappas[:, None])
    C = (((1 - L) * power) @ (1 - L).T + noise) / (1 - (L * modes) @ L.T / n)
    w = -(zs - middle) / nodes * (1 - np.exp(-t * zs)) / zs
    c = (1 - L) @ np.array(power) + noise
    a0 = 1 - w.sum()
    return (a0**2 * (sum(power) + noise) + 2 * a0 * w @ c + w @ C @ w).real


@pytest.mark.parametrize("n", [3, 20, 22, 100])
def test_agrees_with_the_even_circle_while_that_works(n):
    values, modes, power = [0.5, 0.1], [2, 20], [1.0, 0.5]
    times = [0.003, 0.05, 0.3]
    curve = gradient_flow_curve(Spectrum(values, modes), power, n=n, times=times, noise=0.1)
    expected = [uniform_circle(values, modes, power, n, t, 0.1, 400) for t in times]
    np.testing.assert_allclose(curve.test_mse[0], expected, rtol=1e-10)


def test_the_predictions_of_the_reference_simulations():
    curve = gradient_flow_curve(*power_law(400), n=80, times=[0.02, 0.2, 2, 20], noise=0.05)
    np.testing.assert_allclose(curve.test_mse[0, :3], [0.95916, 0.43150, 0.26250], atol=6e-6)
    assert curve.test_mse[0, 2] == pytest.approx(0.2624987, abs=5e-8)
    assert 0.25 < curve.test_mse[0, 3] < 0.251  # where an even ellipse gives 6.35
    assert curve.error.max() < 1e-12


def test_gaussian_features_agree():
    """Fifty flows at five times, late ones too, within 3 standard errors and 2 %."""
    rng = np.random.default_rng(8)
    spectrum, power = power_law(150)
    coefficients, n, times = np.sqrt(power), 40, np.array([0.02, 0.2, 2, 20, 1e6])
    risks = []
    for _ in range(50):
        psi = rng.standard_normal((n, 150))
        y = psi @ coefficients + math.sqrt(0.05) * rng.standard_normal(n)
        gram, vectors = np.linalg.eigh((psi * spectrum.eigenvalues) @ psi.T)
        filtered = -np.expm1(-times[:, None] * gram) / gram * (vectors.T @ y)
        fitted = filtered @ vectors.T @ psi * spectrum.eigenvalues
        risks.append(((coefficients - fitted) ** 2).sum(axis=1))
    curve = gradient_flow_curve(spectrum, power, n=n, times=times, noise=0.05)
    error = np.std(risks, axis=0, ddof=1) / math.sqrt(50)
    assert (np.abs(np.mean(risks, axis=0) - curve.excess_mse[0]) < 3 * error + 0.02 * curve.excess_mse[0]).all()


@pytest.mark.parametrize(
    ("spectrum", "power"),
    [
        power_law(60),
        (Spectrum([0.5, 0.01], [1, 50], trace=1.3), [1, 1, 0.2]),
        (Spectrum(10.0 ** -np.arange(12), [2] * 12), np.ones(12)),
        (Spectrum([1e-140, 1e-3], [10**150, 7]), [1, 1]),
    ],
    ids=["power law", "tail", "decades", "multiplicities"],
)
def test_early_and_late(spectrum, power):
    n = [1, 7, 30.5, 200]
    early, late = 1e-9, 1e16
    curve = gradient_flow_curve(spectrum, power, n=n, times=[0, early, late], noise=0.1)
    total = np.sum(power) + 0.1
    assert (curve.test_mse[:, 0] == total).all() and (curve.learnabilities[:, 0] == 0).all()
    slope = 2 * np.array(n) * (spectrum.eigenvalues @ np.array(power, dtype=float)[: len(spectrum)])
    np.testing.assert_allclose(curve.test_mse[:, 1], total - early * slope, atol=1e-13)
    end = learning_curve(spectrum, power, n=n, noise=0.1)
    for name in ("test_mse", "excess_mse", "bias", "variance"):
        np.testing.assert_allclose(getattr(curve, name)[:, 2], getattr(end, name), rtol=1e-9, atol=1e-14, err_msg=name)
    np.testing.assert_allclose(curve.learnabilities[:, 2], end.learnabilities, rtol=1e-9, atol=1e-13)


def test_infinite_data():
    """Every mode decays as exp(-t n lambda), so its error as exp(-2 t n lambda)."""
    spectrum, n = Spectrum([0.5, 0.01], [1, 50]), 1e9
    times = np.array([0.1, 1, 3, 50]) / n
    curve = gradient_flow_curve(spectrum, [1, 0.5], n=n, times=times, noise=0.1)
    decay = np.exp(-times[:, None] * n * spectrum.eigenvalues)
    np.testing.assert_allclose(curve.learnabilities[0], 1 - decay, rtol=1e-6)
    np.testing.assert_allclose(curve.test_mse[0], decay**2 @ [1, 0.5] + 0.1, rtol=1e-6)


def test_at_the_edge_of_the_rank_the_error_grows_without_end():
    # The smallest eigenvalues of K reach 0 like those of a square Gaussian matrix: variance ~ sqrt(t).
    curve = gradient_flow_curve(Spectrum([1.0], [20]), [1.0], n=20, times=[1e6, 1e8, 1e10, 1e12], noise=0.1)
    np.testing.assert_allclose(curve.variance[0, 1:] / curve.variance[0, :-1], 10, rtol=1e-2)
    clean = gradient_flow_curve(Spectrum([1.0], [20]), [1.0], n=20, times=[1e6, 1e8, 1e10, 1e12])
    np.testing.assert_allclose(clean.test_mse[0, 1:] / clean.test_mse[0, :-1], 0.1, rtol=1e-2)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-6, 1), min_size=1, max_size=5),
    st.floats(0.5, 60),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([None, 0.3]),
)
def test_bounds_and_monotone_parts(exponents, n, noise, tail):
    modes = [3 * i + 2 for i in range(len(exponents))]
    values = 10.0 ** np.array(exponents)
    trace = None if tail is None else values @ modes + tail
    spectrum = Spectrum(values, modes, trace=trace)
    times = np.concatenate([[0], np.logspace(-4, 10, 15)])
    curve = gradient_flow_curve(spectrum, np.ones(len(values)), n=n, times=times, noise=noise)
    # Every mode is learned more and more by the mean predictor (e^(-tK) falls); the error estimates are small.
    assert (curve.learnabilities >= -1e-13).all() and (curve.learnabilities <= 1 + 1e-13).all()
    assert (np.diff(curve.learnabilities, axis=1) >= -1e-12).all() and (np.diff(curve.bias, axis=1) <= 1e-12).all()
    assert (curve.variance >= 0).all() and (curve.error <= 1e-9 * curve.test_mse + 1e-13).all()
    np.testing.assert_allclose(curve.bias + curve.variance + noise, curve.test_mse, rtol=1e-14)
    # Stopping at 1/ridge and that ridge are alike: Ali, Kolter and Tibshirani (2019) prove at most 1.6862 the risk for
    # a random target; for the mean predictor L_flow >= L_ridge because 1-e^(-z) >= z/(1+z).
    for j in (5, 8):
        ridge = learning_curve(spectrum, np.ones(len(values)), n=n, ridge=1 / times[j], noise=noise)
        assert (curve.learnabilities[0, j] >= ridge.learnabilities[0] - 1e-12).all()


@pytest.mark.parametrize("n", [20, 60, 150])
def test_a_ridge_is_a_mixture_of_stopping_times(n):
    """1/(K+delta) is the mean of (1-exp(-tK))/K over exponential times of rate delta: exact for the mean predictor."""
    spectrum, power = power_law(60)
    log_times = np.linspace(-32, 4, 500)
    for ridge in (1e-6, 1e-2, 1.0):
        times = np.exp(log_times) / ridge
        curve = gradient_flow_curve(spectrum, power, n=n, times=times, noise=0.1)
        weights = (log_times[1] - log_times[0]) * np.exp(log_times - np.exp(log_times))
        expected = learning_curve(spectrum, power, n=n, ridge=ridge).learnabilities[0]
        np.testing.assert_allclose(weights @ curve.learnabilities[0], expected, atol=1e-11)


def test_a_root_in_the_wrong_half_plane_is_not_taken_for_kappa():
    """Followed from another root of the cubic equation, Newton's method stays with it: an error, no number."""
    flow = flow_contour.Flow(learning_problem(Spectrum([0.5, 0.1], [2, 20]), [1, 1], 10, 0.0))
    values, powers, spare = flow.values, flow.powers, 10.0 - flow.levels.high
    ridge = -0.3 - 0.2j
    cubic = np.polymul([10, -ridge], np.poly(-values))
    for own, other in ((0, 1), (1, 0)):
        cubic = np.polysub(cubic, powers[own] * np.array([1, values[other], 0]))
    roots = np.roots(cubic)
    assert (roots.imag < 0).sum() == 1
    for root in roots:
        ends = np.array([ridge]), np.array([ridge * 1.001])
        if root.imag < 0:
            found = flow.advance(10, spare, np.array([root]), *ends, 20)
            assert found[0] == pytest.approx(root, rel=1e-2)
        else:
            with pytest.raises(InternalError, match="contour"):
                flow.advance(10, spare, np.array([root]), *ends, 20)


@pytest.mark.parametrize("nodes", [2.0, 3.0, 5.0])
def test_the_error_estimate_tells_when_a_contour_is_too_coarse(monkeypatch, nodes):
    problem = {"n": 80, "times": [0.2, 2, 20, 200], "noise": 0.05}
    truth = gradient_flow_curve(*power_law(400), **problem).test_mse
    monkeypatch.setattr(flow_contour, "_NODES", nodes)
    monkeypatch.setattr(flow_contour, "_DOUBLINGS", 5)
    assert gradient_flow_curve(*power_law(400), **problem).test_mse == pytest.approx(truth, rel=1e-9)  # by doubling
    monkeypatch.setattr(flow_contour, "_DOUBLINGS", 1)
    monkeypatch.setattr(gradient_flow, "_REFUSED", 1.0)
    coarse = gradient_flow_curve(*power_law(400), **problem)
    assert (np.abs(coarse.test_mse - truth) < 3 * coarse.error).all() and coarse.error.max() > 1e-9
    monkeypatch.setattr(gradient_flow, "_REFUSED", 1e-10)
    with pytest.raises(PrecisionError, match="two contours differ"):
        gradient_flow_curve(*power_law(400), **problem)


def test_the_flow_is_a_mixture_of_what_ridges_do():
    """exp(-tK) = lim (1 + tK/p)^(-p): the best of a few averaged ridges comes below the flow's error, not far above."""
    spectrum, power = power_law(60)
    curve = gradient_flow_curve(spectrum, power, n=30, times=[2.0], noise=0.1)
    risk = cross_risk(spectrum, power, n=30, ridges=0.5 / np.array([0.25, 0.5, 1, 2, 4, 8]), noise=0.1).test_mse[0]
    best = 1 / np.linalg.solve(risk, np.ones(6)).sum()
    assert best < curve.test_mse[0, 0] < np.diag(risk).min() * 1.1


@pytest.mark.parametrize("scale", [1e-290, 1e290])
def test_scaling_kernel_and_time_together_changes_nothing(scale):
    spectrum, power = power_law(30)
    scaled = Spectrum(spectrum.eigenvalues * scale, spectrum.multiplicities)
    plain = gradient_flow_curve(spectrum, power, n=[3, 20], times=[1, 10], noise=0.1)
    curve = gradient_flow_curve(scaled, power, n=[3, 20], times=np.array([1, 10]) / scale, noise=0.1)
    np.testing.assert_allclose(curve.test_mse, plain.test_mse, rtol=1e-11)


def test_levels_may_be_split_unordered_and_zero():
    one = gradient_flow_curve(Spectrum([0.5, 0.03], [1, 50]), [1, 1.0], n=[10, 80], times=[1, 30], noise=0.1)
    two = gradient_flow_curve(
        Spectrum([0.03, 0.0, 0.5, 0.03], [20, 3, 1, 30]), [0.4, 0, 1, 0.6], n=[10, 80], times=[1, 30], noise=0.1
    )
    np.testing.assert_allclose(two.test_mse, one.test_mse, rtol=1e-12)
    assert (two.learnabilities[..., 1] == 0).all()
    unlearnable = gradient_flow_curve(Spectrum([0.5, 0.03, 0.0], [1, 50, 9]), [1, 1, 0.1], n=10, times=[1, 30])
    np.testing.assert_allclose(unlearnable.test_mse, one.test_mse[:1], rtol=1e-12)


def test_nothing_to_learn_or_nothing_to_learn_from():
    curve = gradient_flow_curve(Spectrum([1, 0.1], [1, 5]), [1, 2, 3], n=[0, 4], times=[0, 1e-300, 1e300], noise=0.5)
    assert (curve.test_mse[0] == 6.5).all() and (curve.test_mse[1, :2] == 6.5).all()
    curve = gradient_flow_curve(Spectrum([1, 0.1], [1, 5]), [1, 2, 3], n=1e200, times=[1e-202, 1e9], noise=0.5)
    assert 3.5 < curve.test_mse[0, 0] < 6.5 and curve.test_mse[0, 1] == pytest.approx(3.5, rel=1e-12)
    curve = gradient_flow_curve(Spectrum([0.0], [5]), [1], n=4, times=[3.0], noise=0.5)
    assert curve.test_mse[0, 0] == 1.5 and curve.variance[0, 0] == 0


def test_when_to_stop():
    spectrum = Spectrum([0.5, 0.01], [1, 50])
    best = optimal_stopping(spectrum, [1, 1], n=[0, 40, 200], noise=0.1)
    assert best.time[0] == 0 and best.test_mse[0] == 2.1
    for row, n in enumerate([40, 200], start=1):
        around = gradient_flow_curve(spectrum, [1, 1], n=n, times=best.time[row] * np.array([0.99, 1, 1.01]), noise=0.1)
        assert around.test_mse[0].argmin() == 1 and around.test_mse[0, 1] == pytest.approx(best.test_mse[row], rel=1e-9)
    scaled = optimal_stopping(Spectrum([5e199, 1e198], [1, 50]), [1, 1], n=40, noise=0.1)
    assert scaled.time[0] * 1e200 == pytest.approx(best.time[1], rel=1e-3)
    never = optimal_stopping(spectrum, [1, 1], n=[40, 200])
    assert math.isinf(never.time[1]) and never.test_mse[1] < 1e-20
    square = optimal_stopping(Spectrum([0.1], [3]), [1], n=3, noise=0.1)
    assert 0.1 < square.test_mse[0] < 1.1 and 0 < square.time[0] < 1e3
    at_once = optimal_stopping(spectrum, [0, 0], n=40, noise=1)
    assert at_once.time[0] == 0 and at_once.test_mse[0] == 1


def test_fifty_times_are_quick():
    spectrum, power = power_law(400)
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        gradient_flow_curve(spectrum, power, n=80, times=np.logspace(-5, 12, 50), noise=0.05)
        best = min(best, time.perf_counter() - start)
    assert best < 3  # 0.35 s measured on an idle core


def test_shows_and_stores_itself():
    curve = gradient_flow_curve(Spectrum([1, 0.1], [1, 5]), [1, 1], n=[0, 4], times=[1, 2, 5], noise=0.1)
    assert "time" in repr(curve) and "<table>" in curve._repr_html_()
    again = GradientFlowCurve.from_json(curve.to_json())
    assert again == curve and len({curve, again}) == 1 and curve != "curve"
    data = json.loads(curve.to_json())
    for broken in [data | {"times": [1.0]}, data | {"learnabilities": [1.0]}, {"type": data["type"]}]:
        with pytest.raises(DomainError, match="JSON"):
            GradientFlowCurve.from_json(json.dumps(broken))
    frame = curve.to_pandas()
    assert frame.loc[(4, 5), "test_mse"] == curve.test_mse[1, 2] and len(frame) == 6


def test_bad_input():
    spectrum = Spectrum([1, 0.1], [1, 5])
    for change, words in [
        ({"times": []}, "empty"),
        ({"times": [-1]}, "at least 0"),
        ({"times": math.inf}, "finite"),
        ({"noise": -1}, "noise"),
        ({"n": -1}, "at least 0"),
    ]:
        with pytest.raises(DomainError, match=words):
            gradient_flow_curve(spectrum, [1, 1], **({"n": 3, "times": 4} | change))


def test_the_best_times_are_a_value():
    best = optimal_stopping(Spectrum([0.5, 0.01], [1, 50]), [1, 1], n=[40, 200])
    assert OptimalStopping.from_json(best.to_json()) == best and best != 3
    assert repr(best).splitlines()[1].split() == ["n", "best", "time", "test_mse"] and "inf" in best._repr_html_()
    assert best.to_pandas()["test_mse"].tolist() == best.test_mse.tolist()
