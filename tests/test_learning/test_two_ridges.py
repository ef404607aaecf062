"""Cross risks of two ridges: reference values, exact arithmetic, identities and a simulation."""

import json
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.two_ridges import CrossRisk, cross_risk
from kernalg.spectrum.spectrum import Spectrum

DATA = Path(__file__).parents[1] / "data" / "spectra_generalization_public.json"
CASES = json.loads(DATA.read_text())["generalization"]["two_ridge_cross_risk"]


def power_law(count, exponent, decay):
    i = np.arange(1, count + 1.0)
    return Spectrum(i**-exponent, [1] * count), i**-decay


@pytest.mark.parametrize("case", CASES, ids=lambda c: "ridges " + " ".join(c["ridges"]))
def test_every_reference_number(case):
    spectrum, power = power_law(300, 1.2, 1.4)
    ridges = [float(d) for d in case["ridges"]]
    risk = cross_risk(spectrum, power, n=case["n"], ridges=ridges, noise=float(case["noise_var"]))
    expected = float(case["cross_risk"])
    assert risk.test_mse[0, 0, 1] == pytest.approx(expected, rel=1e-12, abs=0)
    assert risk.excess_mse[0, 0, 1] == pytest.approx(expected - 0.05, rel=1e-12, abs=0)


def test_the_predictions_of_the_reference_simulations():
    spectrum, power = power_law(400, 1.5, 1.6)
    risk = cross_risk(spectrum, power, n=80, ridges=[0, 0.01, 0.3], noise=0.05)
    assert risk.test_mse[0, 0, 2] == pytest.approx(0.23705, abs=5e-6)
    assert risk.test_mse[0, 1, 2] == pytest.approx(0.23900, abs=5e-6)


def test_gaussian_features_agree():
    """Sixty pairs of regressions, and their average, within 3 standard errors and 2 %."""
    rng = np.random.default_rng(5)
    spectrum, power = power_law(300, 1.5, 1.6)
    values, coefficients, n = spectrum.eigenvalues, np.sqrt(power), 80
    products = []
    for _ in range(60):
        psi = rng.standard_normal((n, 300))
        y = psi @ coefficients + math.sqrt(0.05) * rng.standard_normal(n)
        gram = (psi * values) @ psi.T
        one, two = (
            coefficients - values * (np.linalg.solve(gram + delta * np.eye(n), y) @ psi) for delta in (0.01, 1.0)
        )
        products.append([one @ two, ((one + two) ** 2).sum() / 4])
    risk = cross_risk(spectrum, power, n=n, ridges=(0.01, 1.0), noise=0.05)
    for column, expected in enumerate([risk.excess_mse[0, 0, 1], risk.average_mse()[0] - 0.05]):
        seen = np.array(products)[:, column]
        assert abs(seen.mean() - expected) < 3 * seen.std(ddof=1) / math.sqrt(60) + 0.02 * expected


@st.composite
def problems(draw):
    """Well separated levels, n often exactly between two of them, where n - sum m L1 L2 cancels."""
    spread = draw(st.sampled_from([1, 20, 140]))
    decades = st.floats(-spread, spread)
    values = [10 ** draw(decades) for _ in range(draw(st.integers(2, 6)))]
    modes = [draw(st.sampled_from([1, 2, 7, 1000, 10**20])) for _ in values]
    order = sorted(range(len(values)), key=lambda i: -values[i])
    plateau = sum(modes[i] for i in order[: draw(st.integers(1, len(values) - 1))])
    ridges = [draw(st.one_of(st.just(0.0), decades.map(lambda e: 10.0**e))) for _ in range(2)]
    power = [draw(st.floats(0, 2)) for _ in values]
    return values, modes, power, float(plateau), ridges


@settings(max_examples=25, deadline=None, derandomize=True)
@given(problems())
def test_agrees_with_exact_arithmetic_over_hundreds_of_decades(case):
    values, modes, power, n, ridges = case
    risk = cross_risk(Spectrum(values, modes), power, n=n, ridges=ridges, noise=0.1)
    with mp.workdps(700):
        lam = [mp.mpf(v) for v in values]

        def kappa(ridge):
            def excess(u):
                k = mp.exp(u)
                return mp.fsum(m * v / (v + k) for m, v in zip(modes, lam, strict=True)) + mp.mpf(ridge) / k - mp.mpf(n)

            low, high = mp.mpf(-1000), mp.mpf(1000)
            for _ in range(66):
                middle = (low + high) / 2
                low, high = (middle, high) if excess(middle) > 0 else (low, middle)
            return mp.exp(low)

        one, two = ([v / (v + k) for v in lam] for k in map(kappa, ridges))
        q = mp.fsum(m * a * b for m, a, b in zip(modes, one, two, strict=True))
        bias = mp.fsum((1 - a) * (1 - b) * mp.mpf(p) for a, b, p in zip(one, two, power, strict=True)) + mp.mpf(0.1)
        expected = float(bias / (1 - q / mp.mpf(n)))
    assert risk.test_mse[0, 0, 1] == pytest.approx(expected, rel=1e-11)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(1e-6, 10), min_size=1, max_size=6),
    st.lists(st.sampled_from([0, 1e-9, 0.1, 5, 1e4]), min_size=2, max_size=3),
    st.floats(0, 60),
)
def test_bounds(values, ridges, n):
    modes = [3 * i + 2 for i in range(len(values))]
    spectrum = Spectrum(values, modes)
    risk = cross_risk(spectrum, [1.0] * len(values), n=n, ridges=ridges, noise=0.2)
    C = risk.test_mse[0]
    assert (C.T == C).all() and (risk.excess_mse >= 0).all()
    if np.isfinite(C).all():
        # A matrix of second moments: Cauchy-Schwarz and positive semi-definite.
        assert np.linalg.eigvalsh(C).min() >= -1e-12 * C.max()
        assert risk.average_mse()[0] <= np.diag(C).mean() * (1 + 1e-12)
        np.testing.assert_allclose(risk.excess_mse, risk.test_mse - 0.2, rtol=1e-9, atol=1e-13)
    for j, ridge in enumerate(ridges):
        curve = learning_curve(spectrum, [1.0] * len(values), n=n, ridge=ridge, noise=0.2)
        np.testing.assert_allclose(C[j, j], curve.test_mse[0], rtol=1e-12)
    apart = cross_risk(spectrum, [1.0] * len(values), n=n, ridges=ridges, noise=0.2, same_data=False)
    np.testing.assert_array_equal(np.diagonal(apart.test_mse[0]), np.diagonal(C))
    assert (apart.test_mse <= risk.test_mse * (1 + 1e-15)).all()


def test_independent_data_sets_leave_the_bias():
    spectrum, power = power_law(50, 1.5, 1.6)
    curve = learning_curve(spectrum, power, n=[10, 30], ridge=0.1, noise=0.05)
    risk = cross_risk(spectrum, power, n=[10, 30], ridges=[0.1] * 20, noise=0.05, same_data=False)
    np.testing.assert_allclose(risk.excess_mse[:, 0, 1], curve.bias, rtol=1e-12)
    np.testing.assert_allclose(risk.average_mse(), 0.05 + curve.bias + curve.variance / 20, rtol=1e-12)


def test_limits():
    spectrum = Spectrum([1, 1e-3, 0.0], [2, 5, 3])
    risk = cross_risk(spectrum, [1, 1, 0, 0.5], n=[0, 7, 14], ridges=(0, 0, 0.1), noise=0.1)
    assert (risk.test_mse[0] == 2.6).all() and (risk.excess_mse[0] == 2.5).all()
    assert math.isinf(risk.test_mse[1, 0, 1]) and np.isfinite(risk.test_mse[1, 0, 2])
    assert math.isfinite(risk.average_mse([0, 0, 1])[1])
    np.testing.assert_allclose(risk.test_mse[2, 0, 1], 2 * 0.6)
    # At n = rank the limit is approached like the square root of the ridge.
    near = cross_risk(spectrum, [1, 1, 0, 0.5], n=[7, 14], ridges=(1e-20, 0.1), noise=0.1)
    np.testing.assert_allclose(near.test_mse[:, 0, 1], risk.test_mse[1:, 0, 2], rtol=1e-6)
    # A huge ridge is the zero regressor.
    zero = cross_risk(spectrum, [1, 1], n=[14], ridges=(0.1, 1e12), noise=0.1)
    expected = learning_curve(spectrum, [1, 1], n=14, ridge=0.1)
    np.testing.assert_allclose(zero.excess_mse[0, 0, 1], (1 - expected.learnabilities[0, :2]).sum(), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-290, 1e290])
def test_scaling_kernel_and_ridges_together_changes_nothing(scale):
    spectrum, power = power_law(30, 1.2, 1.4)
    scaled = Spectrum(spectrum.eigenvalues * scale, spectrum.multiplicities)
    plain = cross_risk(spectrum, power, n=[3, 20], ridges=(0.02, 0.2), noise=0.1)
    risk = cross_risk(scaled, power, n=[3, 20], ridges=(0.02 * scale, 0.2 * scale), noise=0.1)
    np.testing.assert_allclose(risk.test_mse, plain.test_mse, rtol=1e-12)


def test_unlisted_levels_act_as_ridge():
    short = Spectrum([1, 0.1], [1, 5], trace=1.8)
    risk = cross_risk(short, [1, 1], n=[4], ridges=(0, 0.2), noise=0.1)
    other = cross_risk(Spectrum([1, 0.1], [1, 5]), [1, 1], n=[4], ridges=(0.3, 0.5), noise=0.1)
    np.testing.assert_allclose(risk.test_mse, other.test_mse, rtol=1e-12)


def test_shows_and_stores_itself():
    risk = cross_risk(Spectrum([1, 0.1], [1, 5]), [1, 1], n=[0, 6, 4], ridges=(0, 0.2), noise=0.1)
    assert "(0, 0.2)" in repr(risk) and "the same data" in repr(risk) and "<table>" in risk._repr_html_()
    assert CrossRisk.from_json(risk.to_json()) == risk and len({risk, CrossRisk.from_json(risk.to_json())}) == 1
    assert risk != "risk" and len(risk) == 3
    data = json.loads(risk.to_json())
    for broken in [data | {"n": [1.0]}, data | {"ridges": [1.0]}, {k: v for k, v in data.items() if k != "kappa"}]:
        with pytest.raises(DomainError, match="JSON"):
            CrossRisk.from_json(json.dumps(broken))
    frame = risk.to_pandas()
    assert frame.loc[4, (0, 1)] == risk.test_mse[2, 0, 1]


def test_bad_input():
    spectrum = Spectrum([1, 0.1], [1, 5])
    for change, words in [
        ({"ridges": []}, "empty"),
        ({"ridges": [-1, 1]}, "at least 0"),
        ({"ridges": [math.nan, 1]}, "finite"),
        ({"same_data": 1}, "True or False"),
        ({"noise": -1}, "noise"),
    ]:
        with pytest.raises(DomainError, match=words):
            cross_risk(spectrum, [1, 1], **({"n": 3, "ridges": (0, 1)} | change))
    risk = cross_risk(spectrum, [1, 1], n=3, ridges=(0, 1))
    for weights in ([1], [0.5, 0.4], [math.inf, 1]):
        with pytest.raises(DomainError, match="weights"):
            risk.average_mse(weights)
