"""Which doubts are raised where: regimes in which simulations left the theory, and those in which they did not.

The deviations quoted are (simulated - predicted)/predicted of kernel ridge regression with exact risk or 2000 test
points, targets of unit power in levels 1 and 2, 30 to 100 draws.
"""

import math

import numpy as np
import pytest

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import LearningCurve, learning_curve
from kernalg.spectrum.empirical import empirical_spectrum
from kernalg.spectrum.spectrum import Spectrum


def sphere(name, d, degree=30):
    kernel = {
        "exp": lambda: ka.dot_product_kernel("exp(rho)"),
        "ntk": lambda: ka.mlp("relu", depth=1, w_var=2, b_var=0).ntk,
        "deep ntk": lambda: ka.mlp("relu", depth=3, w_var=2, b_var=0).ntk,
    }[name]()
    return ka.spectrum(kernel, ka.Sphere(d), degree=degree)


def gaussian(d):
    """exp(-|x - y|^2/8) on standard normal inputs, by total Hermite degree."""
    whole = 1 / 4 + 1 / 8 + math.sqrt(1 / 16 + 1 / 16)
    return Spectrum(
        [(0.5 / whole) ** (d / 2) * (0.125 / whole) ** k for k in range(30)],
        [math.comb(k + d - 1, d - 1) for k in range(30)],
        trace=1,
    )


def cube(d):
    """exp(x.y/d) on the corners of a cube, by parity order."""
    values = [math.sinh(1 / d) ** k * math.cosh(1 / d) ** (d - k) for k in range(d + 1)]
    return Spectrum(values, [math.comb(d, k) for k in range(d + 1)], trace=math.e, atoms=2**d)


def kinds(spectrum, n, ridge, noise, power=(0, 1, 1)):
    return [m.kind for m in learning_curve(spectrum, power, n=n, ridge=ridge, noise=noise).diagnostics.messages]


@pytest.mark.parametrize(
    ("name", "d", "n", "ridge", "noise"),
    [
        ("ntk", 30, [30, 200, 800], 0.01, 0.1),
        ("ntk", 50, [50, 300, 1000], 0.0, 0.0),
        ("deep ntk", 20, [50, 300], 0.0, 0.1),
        ("ntk", 10, [20, 60], 0.0, 0.0),
        ("deep ntk", 50, [1, 3, 10, 30], 0.0, 0.1),
        ("ntk", 5, [10], 0.01, 0.1),  # +1.5 +- 3.6 %
        ("exp", 5, [10], 1e-3, 0.1),  # +2.6 +- 4.0 %
        ("ntk", 10, [60, 200], 0.1, 0.1),
        ("exp", 30, [30, 100, 465, 2000], 0.0, 0.1),
        ("exp", 50, [50, 300, 1275, 3000], 1e-6, 0.0),
        ("ntk", 1000, [100, 1000, 10_000, 500_500], 0.0, 0.1),
    ],
)
def test_none_where_theory_and_simulation_agree(name, d, n, ridge, noise):
    assert kinds(sphere(name, d, 20), n, ridge, noise) == []


def test_none_for_cubes_of_14_dimensions_gaussian_inputs_with_ridge_and_pure_noise():
    assert kinds(cube(14), [50, 200], 0.01, 0.1) == kinds(cube(14), [600], 0.05, 0.1) == []
    assert kinds(gaussian(5), [50, 200, 800], 0.1, 0.1) == []
    assert kinds(sphere("ntk", 10), 100, 0.0, 1.0, (0,)) == []
    assert kinds(Spectrum(np.arange(1, 401.0) ** -1.5, [1] * 400), 80, 0.05, 0.05, np.arange(1, 401.0) ** -1.6) == []


@pytest.mark.parametrize(
    ("spectrum", "n", "ridge", "noise"),
    [
        (lambda: gaussian(5), 20, 1e-3, 0.1),  # +10 %
        (lambda: gaussian(5), 50, 1e-3, 0.1),  # +74 %
        (lambda: gaussian(5), 200, 1e-3, 0.1),  # +69 %
        (lambda: gaussian(5), 200, 1e-3, 0.0),  # +83 %, the example of the literature
        (lambda: sphere("exp", 5), 30, 1e-3, 0.1),  # +23 %
        (lambda: sphere("exp", 5), 100, 1e-3, 0.1),  # +12 %
        (lambda: sphere("exp", 5), 100, 1e-3, 0.0),  # +185 %
        (lambda: cube(10), 100, 0.0, 0.0),  # +11 %
    ],
)
def test_fast_decay_with_tiny_ridge(spectrum, n, ridge, noise):
    assert kinds(spectrum(), n, ridge, noise) == ["fast decay"]


@pytest.mark.parametrize(
    ("name", "d", "n"),
    [("ntk", 10, 200), ("ntk", 10, 600), ("ntk", 5, 100), ("ntk", 3, 100)],  # +7, +7, +20, +74 %
)
def test_small_risk_without_noise(name, d, n):
    spectrum = sphere(name, d, 60)
    assert kinds(spectrum, n, 0.0, 0.0) == ["small risk"]
    assert kinds(spectrum, n, 0.0, 0.1) == []


@pytest.mark.parametrize(
    ("spectrum", "n", "ridge", "noise"),
    [
        (lambda: gaussian(1), 20, 0.1, 0.1),  # +31 %
        (lambda: gaussian(1), 200, 1e-3, 0.0),  # +614 %
        (lambda: gaussian(2), 50, 1e-3, 0.1),  # +31 %
        (lambda: gaussian(2), 200, 1e-3, 0.1),  # +8 %
        (lambda: sphere("exp", 2), 10, 1e-3, 0.1),  # +102 %
        (lambda: sphere("ntk", 3), 10, 0.01, 0.1),  # +28 %
        (lambda: sphere("exp", 3), 30, 1e-3, 0.1),  # +36 %
    ],
)
def test_few_modes(spectrum, n, ridge, noise):
    assert kinds(spectrum(), n, ridge, noise) == ["few modes"]


def test_few_modes_do_no_harm_to_many_samples():
    assert kinds(gaussian(1), 500, 0.1, 0.1) == []  # +0.4 % at n = 200
    assert kinds(Spectrum([1.0, 0.5], [2, 3]), 2000, 0.1, 0.1, (1, 1)) == []


def test_a_tail_counts_as_many_modes():
    # Ten modes and a tail of 2: E_0 = 1.3, but 20 and more modes of the tail are in play at kappa.
    values, modes, power = [1.0], [8], (1,)
    assert kinds(Spectrum(values, modes, trace=10.0), 40, 0.0, 0.1, power) == ["truncated spectrum"]
    assert kinds(Spectrum(values, modes), 40, 2.0, 0.1, power) == ["few modes"]
    # The spread: degrees 3 and up of a kernel on the sphere, listed or not.
    assert kinds(sphere("exp", 30, 20), 300, 0.0, 0.1) == kinds(sphere("exp", 30, 2), 300, 0.0, 0.1)[1:] == []


@pytest.mark.parametrize("n", [200, 400])
def test_finite_population(n):
    assert kinds(cube(10), n, 0.2, 0.1) == ["finite population"]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    data = empirical_spectrum(np.exp(-((X[:, None] - X) ** 2).sum(-1)), y=X[:, 0])
    curve = learning_curve(data, n=[5, 10, 30, 150], ridge=1e-3)
    message = next(m for m in curve.diagnostics.messages if m.kind == "finite population")
    assert message.n == (30, 150) and "2 values of n from 30 to 150" in str(message) and "200 points" in str(message)


def test_a_spectrum_too_short_for_its_samples():
    short, long = sphere("exp", 6, 3), sphere("exp", 6, 12)
    curve = learning_curve(short, [0, 1, 1], n=[10, 5000], noise=0.1)
    assert [(m.kind, m.n) for m in curve.diagnostics.messages if "trunc" in m.kind] == [("truncated spectrum", (5000,))]
    assert "Compute the spectrum to more levels" in str(curve.diagnostics.messages[-1])
    longer = learning_curve(long, [0, 1, 1], n=[10, 5000], noise=0.1)
    assert "truncated spectrum" not in [m.kind for m in longer.diagnostics.messages]
    np.testing.assert_allclose(curve.test_mse[0], longer.test_mse[0], rtol=1e-2)


def test_beyond_the_rank_without_ridge():
    spectrum = Spectrum([1.0, 0.1], [20, 50])
    curve = learning_curve(spectrum, [1, 1], n=[40, 70, 90], noise=0.1)
    (message,) = [m for m in curve.diagnostics.messages if m.kind == "beyond the rank"]
    assert message.n == (70, 90) and "rank 70" in str(message) and math.isinf(curve.test_mse[1])
    assert "beyond the rank" not in kinds(spectrum, [70, 90], 0.1, 0.1, (1, 1))


def test_power_that_is_never_learned():
    spectrum = sphere("ntk", 50, 6)
    assert spectrum.eigenvalues[3] == 0
    curve = learning_curve(spectrum, [0, 1, 1, 0.25], n=[100, 200], noise=0.1)
    (message,) = curve.diagnostics.messages
    assert message.kind == "power on zero eigenvalues" and message.n == (100, 200)
    assert "power 0.25" in str(message) and "level 3" in str(message) and "never learned" in str(message)
    # Like noise, as the message says.
    noisy = learning_curve(spectrum, [0, 1, 1], n=[100, 200], noise=0.35)
    np.testing.assert_allclose(curve.test_mse, noisy.test_mse, rtol=1e-14)
    beyond = learning_curve(spectrum, [0, 1, 1, 0, 0, 0, 0, 0.5], n=[100], noise=0.1)
    (message,) = beyond.diagnostics.messages
    assert message.kind == "power beyond the spectrum" and "more levels" in str(message) and "(7)" in str(message)
    (whole,) = [
        m
        for m in learning_curve(Spectrum([1.0], [50]), [1, 0.5], n=30, ridge=1).diagnostics.messages
        if "power" in m.kind
    ]
    assert "more levels" not in str(whole) and "label noise" in str(whole)


def test_none_without_samples_and_for_a_dead_kernel():
    assert kinds(gaussian(1), 0, 0.0, 0.0) == []
    assert kinds(Spectrum([0.0], [3]), 0, 0.0, 0.1) == []


def test_messages_show_and_round_trip():
    hard = learning_curve(gaussian(5), [0, 1, 1, 0.5], n=[50, 200], ridge=1e-3, noise=0.1)
    text = repr(hard)
    assert "2 values of n from 50 to 200" in text and "E_0 = 2.1 to 2.5" in text
    assert "simulations came out" in hard._repr_html_() and "participation 23.7 to 70.4" in repr(hard.diagnostics)
    again = LearningCurve.from_json(hard.to_json())
    assert again.diagnostics.messages == hard.diagnostics.messages
    np.testing.assert_array_equal(again.diagnostics.participation, hard.diagnostics.participation)


def test_a_trace_beyond_float64_is_refused():
    with np.errstate(over="ignore"), pytest.raises(DomainError, match="a kernel has a finite trace"):
        learning_curve(Spectrum([1e308, 1e308], [1, 1]), [1], n=1)
    with pytest.raises(DomainError, match="a kernel has a finite trace"):
        learning_curve(Spectrum([1e308], [1]), [1], n=1, ridge=1e308)
    with pytest.raises(DomainError, match="trace is inf"):
        Spectrum([1.0], [1], trace=math.inf)


def test_spaces_of_more_points_than_float64_can_count():
    s = Spectrum([1.0, 1e-4], [1, 2000], trace=4.0, atoms=2**2000)
    assert learning_curve(s, [0, 1], n=[100, 1000]).diagnostics.messages == ()


def test_levels_of_more_modes_than_float64_can_count():
    # Numbers of modes of 400 digits far below kappa: spread without limit, and no overflow on the way.
    for values in ([3e-160], [3e-160, 1e-200]):
        curve = learning_curve(Spectrum(values, [2 * 10**399] * len(values)), [0.02], n=[0.5, 1e15], noise=1.0)
        assert curve.diagnostics.messages == ()
