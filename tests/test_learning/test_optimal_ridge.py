"""The best ridge against brute force and Bayes' rule; derivatives against differences of exact arithmetic."""

import math
import time

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.optimal_ridge import OptimalRidge, noise_derivative, optimal_ridge, ridge_derivative
from kernalg.spectrum.spectrum import Spectrum


def exact_error(values, modes, power, n, ridge, noise):
    """Test error in 60 digits, from the definition."""
    values, ridge, n = [mp.mpf(v) for v in values], mp.mpf(ridge), mp.mpf(n)

    def excess(u):
        return sum(m * v / (v + mp.exp(u)) for m, v in zip(modes, values, strict=True)) + ridge * mp.exp(-u) - n

    low, high = mp.mpf(-60), mp.mpf(60)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    kappa = mp.exp(low)
    learned = [v / (v + kappa) for v in values]
    q = sum(m * share**2 for m, share in zip(modes, learned, strict=True))
    return n / (n - q) * (sum((1 - share) ** 2 * p for share, p in zip(learned, power, strict=True)) + mp.mpf(noise))


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.02, 3.0])
@pytest.mark.parametrize("n", [7, 30, 61.5])
def test_derivatives_against_differences_in_sixty_digits(ridge, n):
    values, modes, power, noise = [0.5, 0.01, 1e-4], [2, 40, 30], [1.0, 0.5, 0.25], 0.3
    curve = learning_curve(Spectrum(values, modes), power, n=n, ridge=ridge, noise=noise)
    with mp.workdps(60):
        h = mp.mpf(10) ** -18

        def error(delta, s2):
            return exact_error(values, modes, power, n, delta, s2)

        # Central, but one-sided where there is no ridge: then the second-order term is of the order of h.
        start = mp.mpf(ridge) - h if ridge else mp.mpf(0)
        slope = float((error(ridge + h, noise) - error(start, noise)) / (ridge + h - start))
        by_noise = float((error(ridge, noise + h) - error(ridge, noise - h)) / (2 * h))
    assert ridge_derivative(curve)[0] == pytest.approx(slope, rel=1e-9, abs=0)
    assert noise_derivative(curve)[0] == pytest.approx(by_noise, rel=1e-12, abs=0)


def test_derivatives_beyond_the_rank_and_at_it():
    spectrum = Spectrum([1.0, 0.1], [2, 5])
    n, step = np.array([0.0, 7.0, 9.0, 100.0]), 1e-7
    for power, noise in (([1, 1, 0.5], 0.2), ([1, 1], 0.0), ([0, 0], 0.0)):
        slope = ridge_derivative(learning_curve(spectrum, power, n=n, noise=noise))
        plain, moved = (learning_curve(spectrum, power, n=n, noise=noise, ridge=r).test_mse for r in (0.0, step))
        np.testing.assert_allclose(slope[[0, 2, 3]], (moved - plain)[[0, 2, 3]] / step, rtol=1e-4, atol=1e-4)
        assert slope[1] == (-math.inf if noise else math.inf if power[0] else 0.0)


@pytest.mark.parametrize("noise", [1e-3, 0.1, 2.0])
def test_a_target_drawn_from_the_kernel_wants_the_noise_as_ridge(noise):
    """Bayes: for a Gaussian process target of covariance K the posterior mean has ridge sigma^2, whatever n."""
    spectrum = Spectrum([0.5, 0.01, 1e-4], [1, 40, 900])
    n = np.geomspace(0.5, 1e5, 40)
    best = optimal_ridge(spectrum, 3 * spectrum.level_power, n=n, noise=3 * noise)
    np.testing.assert_allclose(best.ridge, noise, rtol=1e-6)
    curve = learning_curve(spectrum, 3 * spectrum.level_power, n=n, ridge=noise, noise=3 * noise)
    np.testing.assert_allclose(best.test_mse, curve.test_mse, rtol=1e-12)
    np.testing.assert_allclose(ridge_derivative(curve) * noise / curve.test_mse, 0, atol=1e-12)


@st.composite
def problems(draw):
    levels = draw(st.integers(1, 4))
    values = [10.0 ** draw(st.floats(-6, 1)) for _ in range(levels)]
    modes = [draw(st.sampled_from([1, 5, 60, 2000])) for _ in range(levels)]
    power = [draw(st.sampled_from([0.0, 0.01, 0.3, 1.0])) for _ in range(levels)]
    tail = draw(st.sampled_from([None, 0.0, 1e-3]))
    trace = None if tail is None else float(np.dot(values, modes)) * (1 + tail)
    noise = draw(st.sampled_from([0.0, 1e-4, 0.1, 1.0]))
    return Spectrum(values, modes, trace=trace), power, noise


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems(), st.floats(-1, 4).map(lambda e: 10.0**e))
def test_no_ridge_does_better(case, n):
    spectrum, power, noise = case
    best = optimal_ridge(spectrum, power, n=n, noise=noise)
    scale = spectrum.level_power.sum()
    ridges = np.concatenate([[0.0], scale * np.geomspace(1e-9, 1e3, 90)])
    tried = [float(learning_curve(spectrum, power, n=n, ridge=r, noise=noise).test_mse[0]) for r in ridges]
    assert best.test_mse[0] <= min(tried) * (1 + 1e-12)
    assert best.ridgeless_mse[0] == pytest.approx(tried[0], rel=1e-12, abs=0)
    if np.isfinite(best.ridge[0]):
        again = learning_curve(spectrum, power, n=n, ridge=best.ridge[0], noise=noise)
        assert again.test_mse[0] == pytest.approx(best.test_mse[0], rel=1e-10, abs=1e-300)
        assert again.kappa[0] == pytest.approx(best.kappa[0], rel=1e-6, abs=0)
        slope = ridge_derivative(again)[0] * (best.ridge[0] or scale)
        if best.ridge[0] > 0:
            assert abs(slope) < 1e-6 * again.test_mse[0]
        elif np.isfinite(slope):
            assert slope >= -1e-12 * again.test_mse[0]
    else:
        assert sum(power) == 0 and best.test_mse[0] == noise


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems())
def test_at_the_best_ridge_more_samples_never_hurt(case):
    spectrum, power, noise = case
    best = optimal_ridge(spectrum, power, n=np.geomspace(0.1, 1e4, 150), noise=noise)
    assert (np.diff(best.test_mse) <= 1e-12 * best.test_mse[:-1]).all()


def test_multiple_descent_disappears():
    spectrum = Spectrum([1.0, 1e-4, 1e-8], [10, 1000, 100000])
    n = np.geomspace(1, 1e6, 300)
    best = optimal_ridge(spectrum, [1, 1, 1], n=n, noise=0.5)
    rises = np.diff(best.ridgeless_mse[np.isfinite(best.ridgeless_mse)]) > 0
    assert np.count_nonzero(rises[1:] & ~rises[:-1]) >= 2
    assert (np.diff(best.test_mse) < 0).all()


def test_the_global_one_of_several_minima():
    """Power in a strong and a weak level, noise: fit both (little ridge) or only the first (much ridge)."""
    spectrum, power = Spectrum([1.0, 1e-6], [10, 1000]), [1.0, 0.5]
    for n in (850.0, 1200.0, 2500.0):
        ridges = np.concatenate([[0], np.geomspace(1e-9, 1e3, 400)])
        errors = np.array([learning_curve(spectrum, power, n=n, ridge=r, noise=0.05).test_mse[0] for r in ridges])
        best = optimal_ridge(spectrum, power, n=n, noise=0.05)
        assert best.test_mse[0] <= errors.min() * (1 + 1e-12)
        assert best.test_mse[0] == pytest.approx(errors.min(), rel=1e-2, abs=0)


@pytest.mark.parametrize("scale", [1e-280, 1e-120, 1e120, 1e280])
def test_any_scale(scale):
    values = np.array([0.5, 0.01, 1e-4])
    plain, scaled = (
        optimal_ridge(Spectrum(values * s, [1, 40, 900]), [1, 0.5, 0.1], n=[0, 3, 40, 941, 2000], noise=0.1)
        for s in (1.0, scale)
    )
    np.testing.assert_allclose(scaled.test_mse, plain.test_mse, rtol=1e-12)
    np.testing.assert_allclose(scaled.ridge, plain.ridge * scale, rtol=1e-5)


def test_ends():
    spectrum = Spectrum([1.0, 0.1, 0.0], [2, 5, 4])
    # Nothing to fit; noise only; power on a zero eigenvalue only; no noise beyond the rank; no samples.
    nothing = optimal_ridge(spectrum, [0], n=[1, 9])
    assert (nothing.ridge == 0).all() and (nothing.test_mse == 0).all()
    for power, noise in (([0], 0.5), ([0, 0, 0.5], 0.0), ([0, 0, 0, 0.5], 0.0)):
        hopeless = optimal_ridge(spectrum, power, n=[1, 9], noise=noise)
        assert np.isinf(hopeless.ridge).all() and (hopeless.test_mse == 0.5).all()
    clean = optimal_ridge(spectrum, [1, 1], n=[7, 9])
    assert (clean.ridge == 0).all() and (clean.test_mse == 0).all()
    empty = optimal_ridge(spectrum, [1, 1], n=[0, 3], noise=0.1)
    assert empty.ridge[0] == 0 and empty.test_mse[0] == 2.1
    dead = optimal_ridge(Spectrum([0.0], [3]), [1.0], n=3)
    assert dead.ridge[0] == 0 and dead.test_mse[0] == 1


def test_it_shows_itself_and_is_quick():
    spectrum = Spectrum(10.0 ** (-np.arange(100) / 3), [int(1.5**k) + 1 for k in range(100)])
    start = time.perf_counter()
    best = optimal_ridge(spectrum, np.ones(100), n=np.geomspace(1, 1e6, 300), noise=0.1)
    assert time.perf_counter() - start < 1  # 30 ms measured
    assert len(best) == 300 and "ridgeless_mse" in repr(best) and "<table>" in best._repr_html_()
    assert not best.ridge.flags.writeable


def test_it_round_trips():
    best = optimal_ridge(Spectrum([1.0, 0.1], [2, 5]), [1, 1], n=[0, 7, 9], noise=0.1)
    again = OptimalRidge.from_json(best.to_json())
    assert again == best and hash(again) == hash(best) and math.isinf(again.ridgeless_mse[1]) and best != 3
    with pytest.raises(DomainError, match="OptimalRidge"):
        OptimalRidge.from_json("{}")


def test_refusals():
    spectrum = Spectrum([1.0], [3])
    with pytest.raises(DomainError, match="noise"):
        optimal_ridge(spectrum, [1], n=3, noise=-1)
    for function in (ridge_derivative, noise_derivative):
        with pytest.raises(DomainError, match="a LearningCurve is needed, not Spectrum"):
            function(spectrum)
