"""Predicted learning curves against published-form reference values, exact arithmetic, identities and simulation."""

import builtins
import json
import math
import time
from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernalg.errors import DomainError, MissingExtra
from kernalg.learning.eigenlearning import LearningCurve, learning_curve
from kernalg.spectrum.spectrum import Spectrum

DATA = Path(__file__).parents[1] / "data" / "spectra_generalization_public.json"
CASES = json.loads(DATA.read_text())["generalization"]["eigenlearning"]
FIELDS = {
    "kappa": "kappa",
    "overfitting": "E0",
    "test_mse": "mse_test_including_noise",
    "train_mse": "mse_train",
    "bias": "bias2",
    "variance": "variance",
    "learnability_sum": "learnability_sum",
}


def multiplicity(d, k):
    return math.comb(d + k - 1, k) - (math.comb(d + k - 3, k - 2) if k > 1 else 0)


def exponential_spectrum(d, degree, **more):
    """exp(xi) on S^{d-1}: lambda_k = Gamma(d/2) 2^(d/2-1) I_{k+d/2-1}(1)."""
    with mp.workdps(40):
        values = [float(mp.gamma(mp.mpf(d) / 2) * 2 ** (mp.mpf(d) / 2 - 1) * mp.besseli(k + mp.mpf(d) / 2 - 1, 1))
                  for k in range(degree + 1)]  # fmt: skip
    return Spectrum(values, [multiplicity(d, k) for k in range(degree + 1)], **more)


def problem(case):
    if case["problem"].startswith("power law"):
        i = np.arange(1, 301.0)
        return Spectrum(i**-1.2, [1] * 300), i**-1.4
    d, degree = (60, 30) if "d=60" in case["problem"] else (500, 40)
    return exponential_spectrum(d, degree), [0, 1, 1 / 4, 1 / 9, 1 / 16]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['problem'][:10]} n={c['n']} ridge={c['ridge']}")
def test_every_reference_number(case):
    spectrum, power = problem(case)
    curve = learning_curve(spectrum, power, n=case["n"], ridge=float(case["ridge"]), noise=float(case["noise_var"]))
    for field, key in FIELDS.items():
        assert getattr(curve, field)[0] == pytest.approx(float(case[key]), rel=1e-12, abs=0), field
    expected = [float(v) for v in case["learnabilities_first"]]
    np.testing.assert_allclose(curve.learnabilities[0, : len(expected)], expected, rtol=1e-12)


def test_the_d_10_and_cube_predictions_of_the_reference_simulations():
    cube = [math.sinh(1 / 14) ** k * math.cosh(1 / 14) ** (14 - k) for k in range(15)]
    spectrum = Spectrum(cube, [math.comb(14, k) for k in range(15)], trace=math.e, atoms=2**14)
    curve = learning_curve(spectrum, [0, 1, 1], n=[50, 200], ridge=0.01, noise=0.1)
    np.testing.assert_allclose(curve.test_mse, [1.01856, 0.25769], rtol=1e-5)
    assert curve.diagnostics.messages == ()


def exact(values, modes, power, n, ridge, noise):
    """All quantities with 700 digits: enough for the differences of numbers of up to 600 decades."""
    with mp.workdps(700):
        values, n, ridge, noise = [mp.mpf(v) for v in values], mp.mpf(n), mp.mpf(ridge), mp.mpf(noise)

        def excess_modes(kappa):
            return mp.fsum(m * v / (v + kappa) for m, v in zip(modes, values, strict=True)) + ridge / kappa - n

        low, high = mp.mpf(-1000), mp.mpf(1000)
        for _ in range(66):
            middle = (low + high) / 2
            low, high = (middle, high) if excess_modes(mp.exp(middle)) > 0 else (low, middle)
        kappa = mp.exp(low)
        learned = [v / (v + kappa) for v in values]
        q = mp.fsum(m * learn**2 for m, learn in zip(modes, learned, strict=True))
        bias = mp.fsum((1 - learn) ** 2 * p for learn, p in zip(learned, power, strict=True))
        e0 = n / (n - q)
        test = e0 * (bias + noise)
        result = {
            "kappa": kappa, "overfitting": e0, "bias": bias, "test_mse": test, "excess_mse": test - noise,
            "train_mse": (ridge / (n * kappa)) ** 2 * test, "variance": test - bias - noise,
            "learnability_sum": mp.fsum(m * learn for m, learn in zip(modes, learned, strict=True)),
        }  # fmt: skip
        return {name: float(v) for name, v in result.items()}


@st.composite
def problems(draw):
    """Spectra over hundreds of decades; n often exactly on a plateau between levels, where digits cancel."""
    levels = draw(st.integers(1, 7))
    spread = draw(st.sampled_from([1, 20, 140]))
    decades = st.floats(-spread, spread)
    values = [10 ** draw(decades) for _ in range(levels)]
    modes = [draw(st.sampled_from([1, 2, 7, 1000, 10**20, 10**150])) for _ in range(levels)]
    power = [draw(st.floats(0, 2)) for _ in range(levels)]
    ridge = draw(st.one_of(st.just(0.0), decades.map(lambda e: 10.0**e)))
    order = sorted(range(levels), key=lambda i: -values[i])
    plateau = sum(modes[i] for i in order[: draw(st.integers(1, levels))])
    n = draw(st.one_of(st.just(plateau), st.floats(1e-3, 1e6), st.integers(1, 10**6), st.just(plateau + 0.5)))
    if ridge == 0:
        assume(Fraction(float(n)) < sum(modes))
    return values, modes, power, float(n), ridge, draw(st.sampled_from([0.0, 0.1]))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(problems())
def test_agrees_with_exact_arithmetic_over_hundreds_of_decades(case):
    values, modes, power, n, ridge, noise = case
    curve = learning_curve(Spectrum(values, modes), power, n=n, ridge=ridge, noise=noise)
    expected = exact(*case)
    assume(1e-300 < expected["kappa"] < 1e300)
    for name, value in expected.items():
        if value > 1e-290:  # below, float64 has fewer digits
            assert getattr(curve, name)[0] == pytest.approx(value, rel=1e-11, abs=0), name


@settings(max_examples=150, deadline=None, derandomize=True)
@given(problems())
def test_sums_hold_to_fourteen_digits(case):
    values, modes, power, n, ridge, noise = case
    curve = learning_curve(Spectrum(values, modes), power, n=n, ridge=ridge, noise=noise)
    kappa = curve.kappa[0]
    assume(1e-300 < kappa < 1e300)
    assert abs(curve.learnability_sum[0] + ridge / kappa - n) <= 1e-14 * n
    total = curve.bias[0] + curve.variance[0] + noise
    assert abs(total - curve.test_mse[0]) <= 1e-14 * curve.test_mse[0]
    assert abs(curve.bias[0] + curve.variance[0] - curve.excess_mse[0]) <= 1e-15 * curve.excess_mse[0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems(), st.floats(1.001, 100), st.floats(1.001, 100))
def test_monotone_where_proved(case, more, factor):
    """F(kappa) = sum m L + ridge/kappa falls with kappa, rises with every eigenvalue and the ridge: so kappa falls with
    n and rises with them. L rises with lambda/kappa; the bias falls as L rises; E_0 >= 1; E_train <= E."""
    values, modes, power, n, ridge, noise = case
    spectrum = Spectrum(values, modes)
    assume(Fraction(n * more) < sum(modes))
    one, two = (learning_curve(spectrum, power, n=m, ridge=ridge, noise=noise) for m in (n, n * more))
    slack = 1 + 1e-13
    assert two.kappa[0] < one.kappa[0] * slack
    assert (two.learnabilities * slack >= one.learnabilities).all() and two.bias[0] <= one.bias[0] * slack
    order = np.argsort(values, kind="stable")
    assert (np.diff(one.learnabilities[0, order]) >= 0).all()
    assert one.overfitting[0] * slack >= 1 and one.train_mse[0] <= one.test_mse[0] * slack
    wider = learning_curve(spectrum, power, n=n, ridge=ridge * factor, noise=noise + 0.1)
    assert wider.kappa[0] * slack >= one.kappa[0] and wider.test_mse[0] > 0
    assert wider.overfitting[0] <= one.overfitting[0] * slack and wider.bias[0] * slack >= one.bias[0]
    louder = learning_curve(spectrum, power, n=n, ridge=ridge, noise=noise + 0.1)
    assert louder.test_mse[0] >= one.test_mse[0] and louder.kappa[0] == one.kappa[0]
    raised = learning_curve(Spectrum([values[0] * factor, *values[1:]], modes), power, n=n, ridge=ridge, noise=noise)
    assert raised.kappa[0] * slack >= one.kappa[0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(-300, 300), st.integers(-40, 40), st.sampled_from([0, 0.5]))
def test_kappa_from_1e_minus_300_to_1e300(exponent, gap, ridge):
    """One level of 4 modes: kappa = lambda (m - n)/n without ridge, and the root of a quadratic with it."""
    scale = 10.0**exponent
    curve = learning_curve(Spectrum([scale], [4]), [1.0], n=1.6, ridge=ridge * scale)
    b = 1.6 - 4 - ridge
    assert curve.kappa[0] == pytest.approx(scale * (math.sqrt(b * b + 6.4 * ridge) - b) / 3.2, rel=1e-13, abs=0)
    other = scale * 10.0 ** (gap if abs(exponent + gap) <= 300 else 0)
    pair = learning_curve(Spectrum([scale, other], [4, 4]), [1.0, 1.0], n=4)
    # n = half of all modes: kappa^2 = lambda_0 lambda_1.
    assert pair.kappa[0] == pytest.approx(math.sqrt(scale) * math.sqrt(other), rel=1e-13, abs=0)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_kappa_scales_with_the_kernel(scale):
    spectrum = exponential_spectrum(20, 8)
    scaled = Spectrum(spectrum.eigenvalues * scale, spectrum.multiplicities)
    n = [0.01, 10, 300]
    plain = learning_curve(spectrum, [0, 1, 1], n=n, ridge=0.1, noise=0.1)
    curve = learning_curve(scaled, [0, 1, 1], n=n, ridge=0.1 * scale, noise=0.1)
    np.testing.assert_allclose(curve.kappa, plain.kappa * scale, rtol=1e-12)
    np.testing.assert_allclose(curve.test_mse, plain.test_mse, rtol=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(1e-8, 10), min_size=1, max_size=6),
    st.sampled_from([0, 1e-300, 1e-9, 0.1, 5]),
    st.floats(0.1, 50),
)
def test_conservation_and_the_decomposition(values, ridge, n):
    modes = [3 * i + 2 for i in range(len(values))]
    curve = learning_curve(Spectrum(values, modes), [1.0] * len(values), n=n, ridge=ridge, noise=0.2)
    rest = curve.ridge / curve.kappa[0] if curve.kappa[0] > 0 else max(n - sum(modes), 0)
    assert curve.learnability_sum[0] + rest == pytest.approx(n, rel=1e-12, abs=0)
    if math.isfinite(curve.overfitting[0]):
        assert curve.bias + curve.variance + 0.2 == pytest.approx(curve.test_mse, rel=1e-12, abs=0)
        assert curve.excess_mse == pytest.approx(curve.test_mse - 0.2, rel=1e-9, abs=0)


def test_no_samples():
    curve = learning_curve(Spectrum([1, 0.1], [1, 5]), [1, 2, 3], n=[0, 1e-9], ridge=1, noise=0.5)
    assert math.isinf(curve.kappa[0]) and curve.overfitting[0] == 1
    assert (curve.learnabilities[0] == 0).all() and curve.test_mse[0] == 6.5 and curve.excess_mse[0] == 6
    assert curve.train_mse[0] == pytest.approx((1 / 2.5) ** 2 * 6.5)
    for name in FIELDS:
        if name != "kappa":
            assert getattr(curve, name)[1] == pytest.approx(getattr(curve, name)[0], abs=1e-7), name


def test_more_samples_than_modes_is_classical_regression():
    curve = learning_curve(Spectrum([1, 1e-3], [2, 5]), [1, 1, 0.5], n=[6, 7, 14, 700], noise=0.1)
    assert curve.kappa[0] > 0 and (curve.kappa[1:] == 0).all()
    assert math.isinf(curve.overfitting[1]) and math.isinf(curve.test_mse[1]) and curve.train_mse[1] == 0
    np.testing.assert_allclose(curve.overfitting[2:], [2, 700 / 693])
    np.testing.assert_allclose(curve.test_mse[2:], 0.6 * curve.overfitting[2:])
    np.testing.assert_allclose(curve.train_mse[2:], (1 - 7 / np.array([14, 700])) ** 2 * curve.test_mse[2:])
    assert (curve.learnabilities[1:] == 1).all()
    clean = learning_curve(Spectrum([1, 1e-3], [2, 5]), [1, 1], n=[7, 14])
    assert (clean.test_mse == 0).all() and (clean.variance == 0).all()
    # The limits from below, and of a vanishing ridge.
    near = learning_curve(Spectrum([1, 1e-3], [2, 5]), [1, 1, 0.5], n=[14, 700], ridge=1e-12, noise=0.1)
    for name in ("overfitting", "test_mse", "train_mse", "variance", "learnability_sum"):
        np.testing.assert_allclose(getattr(near, name), getattr(curve, name)[2:], rtol=1e-9)
    below = learning_curve(Spectrum([1, 1e-3], [2, 5]), [1, 1], n=7 - 1e-9)
    assert below.test_mse[0] < 1e-9 and below.overfitting[0] > 1e9


def test_unlisted_levels_act_as_ridge():
    full, short = exponential_spectrum(40, 12, trace=math.e), exponential_spectrum(40, 3, trace=math.e)
    n = [10, 100, 400]
    one, two = (learning_curve(s, [0, 1, 1, 0.3], n=n, ridge=0.01, noise=0.1) for s in (full, short))
    np.testing.assert_allclose(one.test_mse, two.test_mse, rtol=2e-3)
    np.testing.assert_allclose(one.train_mse, two.train_mse, rtol=5e-3)
    assert two.effective_ridge == pytest.approx(0.01 + short.tail) and two.ridge == 0.01
    ridgeless = learning_curve(short, [0, 1, 1, 0.3], n=n)
    assert (ridgeless.train_mse == 0).all() and (ridgeless.kappa > 0).all()


def test_power_beyond_the_levels_is_never_learned():
    spectrum = Spectrum([1, 0.1], [1, 20])
    extended = Spectrum([1, 0.1, 0.0], [1, 20, 100])
    one, two = (learning_curve(s, [1, 1, 0.5], n=[5, 50], noise=0.1) for s in (spectrum, extended))
    np.testing.assert_allclose(one.test_mse, two.test_mse)
    # … and acts like as much noise.
    noisy = learning_curve(spectrum, [1, 1], n=[5, 50], noise=0.6)
    np.testing.assert_allclose(one.test_mse, noisy.test_mse)


def test_the_order_of_levels_and_their_splitting_do_not_matter():
    values, modes, power = [0.5, 1e-4, 0.03, 0.03], [1, 900, 20, 30], [1, 1, 0.2, 0.3]
    n = np.linspace(0.5, 800, 40)
    one = learning_curve(Spectrum(values, modes), power, n=n, noise=0.1)
    two = learning_curve(Spectrum([0.03, 0.5, 1e-4], [50, 1, 900]), [0.5, 1, 1], n=n, noise=0.1)
    np.testing.assert_allclose(one.kappa, two.kappa, rtol=1e-13)
    np.testing.assert_allclose(one.test_mse, two.test_mse, rtol=1e-13)


def test_eigenvalues_below_float64_count_through_their_digits():
    import sympy as sp

    exact_values = [sp.Float("1e-400", 40), sp.Float("1e-401", 40)]
    spectrum = Spectrum([0, 0], [10**400, 10**390], exact=exact_values)
    curve = learning_curve(spectrum, [1, 1], n=[10.0], noise=0.1)
    assert curve.kappa[0] == pytest.approx(0.1) and curve.learnability_sum[0] == pytest.approx(10)


def test_gaussian_features_agree():
    """Fifty ridge regressions on Gaussian features: within 3 standard errors and 2 %."""
    rng = np.random.default_rng(11)
    i = np.arange(1, 301.0)
    values, coefficients, n = i**-1.5, i**-0.8, 80
    risks = []
    for _ in range(50):
        psi = rng.standard_normal((n, 300))
        y = psi @ coefficients + math.sqrt(0.05) * rng.standard_normal(n)
        alpha = np.linalg.solve((psi * values) @ psi.T + 0.05 * np.eye(n), y)
        risks.append(((coefficients - values * (alpha @ psi)) ** 2).sum())
    curve = learning_curve(Spectrum(values, [1] * 300), coefficients**2, n=n, ridge=0.05, noise=0.05)
    error = np.std(risks, ddof=1) / math.sqrt(50)
    assert abs(np.mean(risks) - curve.excess_mse[0]) < 3 * error + 0.02 * curve.excess_mse[0]


def test_a_thousand_sizes_and_a_hundred_levels_are_quick():
    spectrum = Spectrum(10.0 ** (-np.arange(100) / 3), [int(1.5**k) + 1 for k in range(100)])
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        curve = learning_curve(spectrum, np.ones(100), n=range(1000, 1_001_000, 1000))
        best = min(best, time.perf_counter() - start)
    np.testing.assert_allclose(curve.learnability_sum, curve.n, rtol=1e-12)
    assert best < 0.1  # 8 ms measured on an idle core


def test_a_curve_shows_itself_and_round_trips():
    curve = learning_curve(Spectrum([1, 0.1], [2, 5]), [1, 1, 0.1], n=[0, 1, 7, 9], noise=0.1)
    again = LearningCurve.from_json(curve.to_json())
    assert again == curve and hash(again) == hash(curve)
    assert repr(again) == repr(curve) and "test_mse" in repr(curve) and "<table>" in curve._repr_html_()
    assert math.isinf(again.kappa[0]) and again.learnabilities.shape == (4, 2)
    assert again.diagnostics.messages == curve.diagnostics.messages
    for name in ("kappa", "test_mse", "learnabilities", "n", "power"):
        assert not getattr(curve, name).flags.writeable
    assert curve != learning_curve(Spectrum([1, 0.1], [2, 5]), [1, 1, 0.1], n=[0, 1, 7, 8], noise=0.1)
    assert curve != 3
    short = curve.to_json().replace('"n": [0.0, ', '"n": [')
    for text in ("", "[]", "{}", short, '{"type": "kernalg.LearningCurve"}', '{"type": "kernalg.Spectrum"}'):
        with pytest.raises(DomainError):
            LearningCurve.from_json(text)


def test_pandas_is_asked_for_only_when_needed(monkeypatch):
    def absent(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    original = builtins.__import__
    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        learning_curve(Spectrum([1], [1]), [1], n=1).to_pandas()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"n": -1}, "-1.0"),
        ({"n": [1, math.nan]}, r"n\[1\] is nan"),
        ({"n": []}, "empty"),
        ({"n": [[1, 2]]}, "shape"),
        ({"n": "3"}, "dtype"),
        ({"n": 1j}, "dtype"),
        ({"ridge": -0.5}, "ridge is -0.5"),
        ({"ridge": math.inf}, "ridge is inf"),
        ({"noise": -1}, "noise is -1"),
        ({"noise": "much"}, "noise"),
        ({"power": [1, -2]}, r"power\[1\] is -2.0"),
        ({"power": None}, "no target"),
        ({"power": [[1]]}, "shape"),
        ({"spectrum": [1, 2]}, "Spectrum is needed"),
    ],
)
def test_refusals_name_the_value(changes, word):
    asked = {"spectrum": Spectrum([1, 0.1], [1, 2]), "power": [1, 1], "n": 3} | changes
    with pytest.raises(DomainError, match=word):
        learning_curve(asked.pop("spectrum"), asked.pop("power"), **asked)


def test_a_spectrum_of_zeros():
    curve = learning_curve(Spectrum([0.0], [3]), [1.0], n=[0, 4])
    assert (curve.test_mse == 1).all() and (curve.learnabilities == 0).all()
    assert (learning_curve(Spectrum([0.0], [3]), [1.0], n=4, ridge=2).kappa == 0.5).all()


def test_sequences_of_unequal_lengths_are_refused():
    for n in ([[1], [2, 3]], [1, [2, 3]]):
        with pytest.raises(DomainError, match="n is not a sequence"):
            learning_curve(Spectrum([1.0], [1]), [1], n=n)
