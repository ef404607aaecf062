"""Random feature regression: reference values, exact arithmetic, limits, symmetry and simulations."""

import json
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.random_features import RandomFeaturesCurve, random_features_curve
from kernalg.spectrum.spectrum import Spectrum

DATA = Path(__file__).parents[1] / "data" / "spectra_generalization_public.json"
CASES = json.loads(DATA.read_text())["generalization"]["random_features"]
QUANTITIES = ["kappa", "gamma", "test_mse", "bias", "feature_variance", "variance", "train_mse", "excess_mse"]


def power_law(count, exponent, decay):
    i = np.arange(1, count + 1.0)
    return Spectrum(i**-exponent, [1] * count), i**-decay


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"features={c['features']}")
def test_every_reference_number(case):
    spectrum, power = power_law(300, 1.2, 1.4)
    curve = random_features_curve(
        spectrum, power, n=case["n"], features=case["features"], ridge=float(case["ridge"]),
        noise=float(case["noise_var"]),
    )  # fmt: skip
    for name, key in {"kappa": "kappa", "gamma": "gamma", "test_mse": "mse_test_including_noise"}.items():
        assert getattr(curve, name)[0] == pytest.approx(float(case[key]), rel=1e-12, abs=0), name


def test_the_predictions_of_the_reference_simulations():
    spectrum, power = power_law(400, 1.5, 1.6)
    curve = random_features_curve(spectrum, power, n=80, features=[60, 200, 1000], ridge=0.02, noise=0.05)
    np.testing.assert_allclose(curve.test_mse, [0.68070, 0.35406, 0.26463], atol=6e-6)
    curve = random_features_curve(spectrum, power, n=80, features=40, ridge=1e-4, noise=0.05)
    assert curve.test_mse[0] == pytest.approx(0.71270, abs=5e-6)


def exact(values, modes, power, n, k, ridge, noise):
    """The published equations as they stand, subtractions and all, with 1000 digits."""
    with mp.workdps(1000):
        lam, n, k, ridge, noise = [mp.mpf(v) for v in values], mp.mpf(n), mp.mpf(k), mp.mpf(ridge), mp.mpf(noise)
        power = [mp.mpf(p) for p in power]

        def z_of(g):
            return mp.fsum(m * v / (v + g) for m, v in zip(modes, lam, strict=True))

        def too_low(g):
            z = z_of(g)
            return z >= k or z + ridge * k / (g * (k - z)) > n

        low, high = mp.mpf(-1200), mp.mpf(1200)
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if too_low(mp.exp(middle)) else (low, middle)
        low, high = mp.exp(low), mp.exp(high)
        for _ in range(400):  # until the second root of the quadratic equation below is far away
            middle = (low + high) / 2
            low, high = (middle, high) if too_low(middle) else (low, middle)
        g = high
        for _ in range(6):  # the subtractions need all digits of gamma
            z, slope = z_of(g), -mp.fsum(m * v / (v + g) ** 2 for m, v in zip(modes, lam, strict=True))
            if ridge:
                g -= ((n - z) * (k - z) * g - ridge * k) / ((n - z) * (k - z) - slope * g * (n + k - 2 * z))
            else:
                g -= (z - min(n, k)) / slope
        z = z_of(g) if ridge else min(n, k)
        learned = [v / (v + g) for v in lam]
        q = mp.fsum(m * x**2 for m, x in zip(modes, learned, strict=True))
        kappa = g * (k - z) / k
        wrong = mp.fsum(
            (g / (v + g) - kappa * v / (v + g) ** 2 * k / (k - q)) * p for v, p in zip(lam, power, strict=True)
        )
        bias = mp.fsum((g / (v + g)) ** 2 * p for v, p in zip(lam, power, strict=True))
        test = (wrong + noise) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
        result = {
            "kappa": kappa, "gamma": g, "test_mse": test, "bias": bias, "feature_variance": wrong - bias,
            "variance": test - wrong - noise, "excess_mse": test - noise,
            "train_mse": (ridge / (n * kappa) if kappa else 1 - z / n) ** 2 * test,
        }  # fmt: skip
        return {name: float(v) for name, v in result.items()}


@st.composite
def problems(draw):
    """Spectra over hundreds of decades; n or k often exactly on a plateau between levels, or equal."""
    levels = draw(st.integers(1, 6))
    spread = draw(st.sampled_from([1, 20, 140]))
    decades = st.floats(-spread, spread)
    values = [10 ** draw(decades) for _ in range(levels)]
    modes = [draw(st.sampled_from([1, 2, 7, 1000, 10**20, 10**150])) for _ in range(levels)]
    power = [draw(st.floats(0, 2)) for _ in range(levels)]
    ridge = 10 ** draw(decades)
    order = sorted(range(levels), key=lambda i: -values[i])
    plateau = sum(modes[i] for i in order[: draw(st.integers(1, levels))])
    sizes = st.one_of(st.just(plateau), st.floats(1e-3, 1e6), st.integers(1, 10**6), st.just(plateau + 0.5))
    return values, modes, power, float(draw(sizes)), float(draw(sizes)), ridge, draw(st.sampled_from([0.0, 0.1]))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems())
def test_agrees_with_exact_arithmetic_over_hundreds_of_decades(case):
    values, modes, power, n, k, ridge, noise = case
    curve = random_features_curve(Spectrum(values, modes), power, n=n, features=k, ridge=ridge, noise=noise)
    expected = exact(*case)
    assume(expected["kappa"] > 1e-300 and expected["gamma"] < 1e300)
    for name, value in expected.items():
        if value > 1e-290:  # below, float64 has fewer digits
            assert getattr(curve, name)[0] == pytest.approx(value, rel=1e-11), name


@pytest.mark.parametrize(("n", "k"), [(3, 8), (8, 3), (5.5, 900), (20, 6.5)])
def test_without_ridge(n, k):
    case = [1.0, 0.02, 1e-5], [1, 10, 500], [1, 0.5, 0.2], n, k
    curve = random_features_curve(Spectrum(*case[:2]), case[2], n=n, features=k, noise=0.1)
    for name, value in exact(*case, 0, 0.1).items():
        assert getattr(curve, name)[0] == pytest.approx(value, rel=1e-12, abs=1e-300), name
    near = random_features_curve(Spectrum(*case[:2]), case[2], n=n, features=k, ridge=1e-25, noise=0.1)
    for name in QUANTITIES:
        np.testing.assert_allclose(getattr(near, name), getattr(curve, name), rtol=1e-12, atol=1e-20, err_msg=name)


def test_as_many_features_as_samples_diverges_without_ridge():
    curve = random_features_curve(Spectrum([1, 0.1], [1, 40]), [1, 1], n=10, features=[9, 10, 11])
    assert np.isfinite(curve.test_mse[[0, 2]]).all() and math.isinf(curve.test_mse[1])
    assert math.isinf(curve.overfitting[1]) and curve.kappa[1] == 0 and curve.train_mse[1] == 0
    nothing = random_features_curve(Spectrum([1, 0.1], [1, 40]), [0], n=10, features=10)
    assert nothing.test_mse[0] == nothing.variance[0] == 0


def test_more_samples_and_features_than_modes_is_classical_regression():
    spectrum = Spectrum([1, 1e-3], [2, 5])
    curve = random_features_curve(spectrum, [1, 1, 0.5], n=[6, 7, 14, 14, 14], features=[14, 14, 7, 14, 6], noise=0.1)
    kernel = learning_curve(spectrum, [1, 1, 0.5], n=14, noise=0.1)
    assert math.isinf(curve.test_mse[1]) and curve.gamma[0] > 0 and (curve.gamma[1:4] == 0).all()
    np.testing.assert_allclose(curve.test_mse[2:4], kernel.test_mse[0])
    np.testing.assert_allclose(curve.train_mse[2:4], kernel.train_mse[0])
    assert (curve.feature_variance[1:4] == 0).all() and curve.gamma[4] > 0


def test_no_samples_or_no_features():
    spectrum = Spectrum([1, 0.1], [1, 5])
    curve = random_features_curve(spectrum, [1, 2, 3], n=[[0], [1e-9], [4]], features=[0, 1e-9, 4], ridge=1, noise=0.5)
    assert curve.test_mse.shape == (3, 3) and curve.learnabilities.shape == (3, 3, 2)
    assert (curve.test_mse[0] == 6.5).all() and (curve.test_mse[:, 0] == 6.5).all()
    assert (curve.learnabilities[0] == 0).all() and (curve.overfitting[0] == 1).all()
    np.testing.assert_allclose(curve.test_mse[[1, 2], [2, 1]], 6.5, atol=1e-7)
    np.testing.assert_allclose(curve.train_mse[1, 2], curve.train_mse[0, 2], rtol=1e-7)
    np.testing.assert_allclose(curve.train_mse[2, 0], 6.5)
    np.testing.assert_allclose(curve.train_mse[2, 1], 6.5, rtol=1e-7)
    np.testing.assert_allclose(curve.kappa[2, :2], 0.25)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(1e-8, 10), min_size=1, max_size=6),
    st.sampled_from([0, 1e-300, 1e-9, 0.1, 5]),
    st.floats(0.1, 50),
    st.floats(0.1, 50),
)
def test_conservation_bounds_and_the_decomposition(values, ridge, n, k):
    modes = [3 * i + 2 for i in range(len(values))]
    spectrum = Spectrum(values, modes)
    curve = random_features_curve(spectrum, [1.0] * len(values), n=n, features=k, ridge=ridge, noise=0.2)
    z = float(modes @ curve.learnabilities[0])
    if curve.gamma[0] > 0:
        assert z + k * curve.kappa[0] / curve.gamma[0] == pytest.approx(k, rel=1e-12)
    assert z <= min(n, k) * (1 + 1e-12) and curve.kappa[0] <= curve.gamma[0]
    if math.isfinite(curve.overfitting[0]):
        parts = curve.bias + curve.feature_variance + curve.variance + 0.2
        assert parts == pytest.approx(curve.test_mse, rel=1e-12)
        assert curve.train_mse[0] <= curve.test_mse[0] * (1 + 1e-12)
    # Fewer features learn less of every level than the kernel does.
    kernel = learning_curve(spectrum, [1.0] * len(values), n=n, ridge=ridge, noise=0.2)
    assert (curve.learnabilities <= kernel.learnabilities * (1 + 1e-12)).all()
    assert curve.bias[0] >= kernel.bias[0] * (1 - 1e-12) and curve.feature_variance[0] >= 0


def test_infinitely_many_features_are_the_kernel_and_more_never_hurts_at_the_best_ridge():
    spectrum, power = power_law(100, 1.3, 1.5)
    for ridge in (0, 0.01, 3):
        kernel = learning_curve(spectrum, power, n=[1, 30, 90], ridge=ridge, noise=0.1)
        curve = random_features_curve(spectrum, power, n=[1, 30, 90], features=1e17, ridge=ridge, noise=0.1)
        for name in ("kappa", "overfitting", "test_mse", "excess_mse", "train_mse", "bias", "variance"):
            np.testing.assert_allclose(getattr(curve, name), getattr(kernel, name), rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(curve.gamma, kernel.kappa, rtol=1e-12)
    # Simon et al. 2024, theorem 2: at the ridge that is best for each, error falls with n and with k.
    sizes, ridges = [5, 10, 20, 40, 80], 10 ** np.linspace(-3, 2, 60)
    best = np.min(
        [
            random_features_curve(
                spectrum, power, n=np.array(sizes)[:, None], features=sizes, ridge=d, noise=0.1
            ).test_mse
            for d in ridges
        ],
        axis=0,
    )
    assert (np.diff(best, axis=0) < 0).all() and (np.diff(best, axis=1) < 0).all()


def test_unlisted_levels_act_as_ridge_with_many_features():
    spectrum = Spectrum([1, 0.1], [1, 50], trace=6.3)
    kernel = learning_curve(spectrum, [1, 1, 0.2], n=[10, 70], ridge=0.1, noise=0.1)
    curve = random_features_curve(spectrum, [1, 1, 0.2], n=[10, 70], features=1e17, ridge=0.1, noise=0.1)
    np.testing.assert_allclose(curve.test_mse, kernel.test_mse, rtol=1e-12)
    np.testing.assert_allclose(curve.train_mse, kernel.train_mse, rtol=1e-12)
    # A trace beyond the levels is that of many modes far below gamma.
    full = Spectrum([1, 0.1, 1e-9], [1, 50, 3 * 10**8])
    for ridge in (0, 0.1):
        one, two = (
            random_features_curve(s, [1, 1, 0.2], n=[10, 70, 70], features=[40, 40, 70.5], ridge=ridge, noise=0.1)
            for s in (spectrum, full)
        )
        np.testing.assert_allclose(one.test_mse, two.test_mse, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-290, 1e290])
def test_scaling_kernel_and_ridge_together_changes_nothing(scale):
    spectrum, power = power_law(30, 1.2, 1.4)
    scaled = Spectrum(spectrum.eigenvalues * scale, spectrum.multiplicities)
    plain = random_features_curve(spectrum, power, n=[3, 20], features=[10, 15], ridge=0.02, noise=0.1)
    curve = random_features_curve(scaled, power, n=[3, 20], features=[10, 15], ridge=0.02 * scale, noise=0.1)
    np.testing.assert_allclose(curve.test_mse, plain.test_mse, rtol=1e-12)
    np.testing.assert_allclose(curve.gamma, plain.gamma * scale, rtol=1e-12)


def test_gaussian_features_agree():
    """Fifty regressions, and the mean predictor given the features, within 3 standard errors and 2 %."""
    rng = np.random.default_rng(3)
    spectrum, power = power_law(120, 1.5, 1.6)
    root, coefficients, n, k = np.sqrt(spectrum.eigenvalues), np.sqrt(power), 40, 60
    seen = []
    for _ in range(50):
        maps = root[:, None] * rng.standard_normal((120, k)) / math.sqrt(k)
        psi = rng.standard_normal((n, 120))
        y = psi @ coefficients + math.sqrt(0.05) * rng.standard_normal(n)
        phi = psi @ maps
        fitted = maps @ np.linalg.solve(phi.T @ phi + 0.02 * np.eye(k), phi.T @ y)
        # Given the features this is kernel regression: its bias comes from the spectrum of the feature covariance.
        vectors, singular, _ = np.linalg.svd(maps, full_matrices=False)
        inside = vectors.T @ coefficients
        target = [*inside**2, max((coefficients**2).sum() - (inside**2).sum(), 0.0)]
        given_features = learning_curve(Spectrum(singular**2, [1] * k), target, n=n, ridge=0.02, noise=0.05)
        seen.append([((coefficients - fitted) ** 2).sum(), given_features.bias[0], given_features.kappa[0]])
    curve = random_features_curve(spectrum, power, n=n, features=k, ridge=0.02, noise=0.05)
    expected = [curve.excess_mse[0], (curve.bias + curve.feature_variance)[0], curve.kappa[0]]
    error = np.std(seen, axis=0, ddof=1) / math.sqrt(50)
    assert (np.abs(np.mean(seen, axis=0) - expected) < 3 * error + 0.02 * np.array(expected)).all()


def test_shows_and_stores_itself():
    curve = random_features_curve(Spectrum([1, 0.1], [1, 5]), [1, 1], n=[[0], [4]], features=[4, 8], noise=0.1)
    assert "features" in repr(curve) and "<table>" in curve._repr_html_()
    again = RandomFeaturesCurve.from_json(curve.to_json())
    assert again == curve and len({curve, again}) == 1 and curve != "curve"
    data = json.loads(curve.to_json())
    for broken in [data | {"gamma": [1.0]}, data | {"learnabilities": [1.0]}, {"type": data["type"]}]:
        with pytest.raises(DomainError, match="JSON"):
            RandomFeaturesCurve.from_json(json.dumps(broken))
    frame = curve.to_pandas()
    assert frame.loc[(4, 8), "test_mse"] == curve.test_mse[1, 1] and len(frame) == 4


def test_bad_input():
    spectrum = Spectrum([1, 0.1], [1, 5])
    for change, words in [
        ({"n": [1, 2], "features": [1, 2, 3]}, "broadcast"),
        ({"n": []}, "empty"),
        ({"features": -1}, "features is -1"),
        ({"features": math.inf}, "finite"),
        ({"ridge": -1}, "ridge"),
        ({"noise": -1}, "noise"),
    ]:
        with pytest.raises(DomainError, match=words):
            random_features_curve(spectrum, [1, 1], **({"n": 3, "features": 4} | change))
    with pytest.raises(DomainError, match="Spectrum"):
        random_features_curve([1, 0.1], [1, 1], n=3, features=3)
