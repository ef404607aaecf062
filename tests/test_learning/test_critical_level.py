"""A critical level against known numbers, quadrature of the Marchenko-Pastur law, and the complete equations."""

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
from hypothesis import given, settings
from hypothesis import strategies as st

from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.zonal import multiplicity
from kernalg.learning.critical_level import CriticalLevel, critical_level, critical_level_of, marchenko_pastur_moments
from kernalg.learning.eigenlearning import learning_curve
from kernalg.spectrum.spectrum import Spectrum

# modes, n, xi = N lambda/D, E_0 (1-L)^2, E_0 - 1
KNOWN = [
    (300, 150, 32 / 1.03, 0.5029629923, 0.7994002634),
    (300, 330, 32 / 1.03, 0.0514584226, 2.2879614067),
    (300, 1200, 5, 0.0048231636, 0.2825080450),
    (2600, 2000, 31, 0.2497935668, 1.6947260956),
]


@pytest.mark.parametrize(("modes", "n", "xi", "signal", "noise"), KNOWN)
def test_known_numbers_by_algebra_and_by_two_quadratures(modes, n, xi, signal, noise):
    level = critical_level(modes, xi / modes, n=n, tail=1.0)
    factors = [
        (level.overfitting[0] * (1 - level.learnability[0]) ** 2, level.overfitting[0] - 1),
        marchenko_pastur_moments(modes / n, xi * n / modes),
        _textbook_integrals(modes / n, xi * n / modes),
    ]
    for pair in factors:
        assert pair == pytest.approx((signal, noise), abs=1e-10)
    assert factors[0] == pytest.approx(factors[1], rel=1e-11, abs=0)
    assert factors[0] == pytest.approx(factors[2], rel=1e-8, abs=0)


def _textbook_integrals(alpha, gamma):
    """The density as it is printed, adaptively, with the atom."""
    a, b = (1 - math.sqrt(alpha)) ** 2, (1 + math.sqrt(alpha)) ** 2

    def density(x):
        return math.sqrt(max((b - x) * (x - a), 0.0)) / (2 * math.pi * alpha * x)

    options = {"epsabs": 1e-12, "epsrel": 1e-10, "limit": 500}
    mass = scipy.integrate.quad(density, a, b, **options)[0]
    assert mass == pytest.approx(min(1, 1 / alpha), rel=1e-7, abs=0)
    signal = scipy.integrate.quad(lambda x: density(x) / (1 + gamma * x) ** 2, a, b, **options)[0]
    noise = scipy.integrate.quad(lambda x: density(x) * alpha * gamma**2 * x / (1 + gamma * x) ** 2, a, b, **options)[0]
    return signal + max(1 - 1 / alpha, 0), noise


positive = st.floats(-12, 12).map(lambda e: 10.0**e)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([1, 3, 500, 10**9]), positive, positive, positive, st.floats(0, 2), st.sampled_from([0, 0.3]))
def test_equals_the_learning_curve_of_one_level(modes, eigenvalue, ridge, n, power, noise):
    level = critical_level(modes, eigenvalue, n=n, ridge=ridge, power=power, noise=noise)
    curve = learning_curve(Spectrum([eigenvalue], [modes]), [power], n=n, ridge=ridge, noise=noise)
    for name in ("kappa", "overfitting", "test_mse", "bias", "variance", "train_mse"):
        assert getattr(level, name)[0] == pytest.approx(getattr(curve, name)[0], rel=1e-12, abs=1e-290), name
    assert level.learnability[0] == pytest.approx(curve.learnabilities[0, 0], rel=1e-12, abs=0)
    assert (level.bias + level.variance + noise)[0] == pytest.approx(level.test_mse[0], rel=1e-14, abs=0)
    assert modes * level.learnability[0] + ridge / level.kappa[0] == pytest.approx(n, rel=1e-13, abs=0)


def test_ridge_and_tail():
    """Both decide kappa, the ridge alone the train error."""
    level = critical_level(30, 0.1, n=[0, 5, 30, 200], ridge=0.25, tail=0.5, power=2.0, noise=0.1)
    curve = learning_curve(Spectrum([0.1], [30], trace=3.5), [2.0], n=[0, 5, 30, 200], ridge=0.25, noise=0.1)
    for name in ("kappa", "overfitting", "test_mse", "bias", "variance"):
        np.testing.assert_allclose(getattr(level, name), getattr(curve, name), rtol=1e-12)
    np.testing.assert_allclose(level.train_mse[1:], curve.train_mse[1:], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_any_scale(scale):
    plain = critical_level(40, 0.1, n=[0, 3, 50], tail=1.0, ridge=0.5)
    scaled = critical_level(40, 0.1 * scale, n=[0, 3, 50], tail=scale, ridge=0.5 * scale)
    np.testing.assert_allclose(scaled.kappa, plain.kappa * scale, rtol=1e-13)
    np.testing.assert_allclose(scaled.test_mse, plain.test_mse, rtol=1e-13)
    for far in (critical_level(40, 1e-300, n=5, ridge=1e300), critical_level(40, 1e300, n=50, ridge=1e-300)):
        assert np.isfinite(far.test_mse).all() and np.isfinite(far.train_mse).all()


def test_ridgeless_ends():
    level = critical_level(10, 0.5, n=[0, 5, 10, 20], power=2.0, noise=0.1)
    curve = learning_curve(Spectrum([0.5], [10]), [2.0], n=[0, 5, 10, 20], noise=0.1)
    for name in ("kappa", "overfitting", "test_mse", "bias", "variance", "train_mse"):
        np.testing.assert_allclose(getattr(level, name), getattr(curve, name), rtol=1e-13)
    assert math.isinf(level.test_mse[2]) and level.kappa[3] == 0


def relu(d, degree):
    """NNGP kernel of one ReLU layer on the sphere: its even series and degree 1, to a given degree."""
    import kernalg as ka

    return ka.spectrum(ka.mlp("relu", depth=1, w_var=2, b_var=0).ntk, ka.Sphere(d), degree=degree)


@pytest.mark.parametrize("d", [100, 1000])
def test_the_limit_of_large_dimension(d):
    """Around degree 2 the closed form is off by the share of n that degrees 0 and 1 take, 2/d at n = d^2/2."""
    spectrum, power = relu(d, 6), [0, 1, 1, 0, 0.5]
    n = multiplicity(d, 2) * np.array([0.7, 1.0, 1.5])
    whole = learning_curve(spectrum, power, n=n, noise=0.1)
    level = critical_level_of(spectrum, 2, power, n=n, noise=0.1)
    np.testing.assert_allclose(level.test_mse, whole.test_mse, rtol=8 / d)
    assert level.noise == pytest.approx(0.6) and level.power == 1
    assert level.effective_ridge == pytest.approx(spectrum.trace - spectrum.level_power[:3].sum())


def test_levels_of_equal_eigenvalue_are_one():
    spectrum = Spectrum([1.0, 0.1, 0.1, 0.0], [1, 10, 20, 5])
    level = critical_level_of(spectrum, 2, [1, 0.25, 0.5, 0.125, 1.0], n=20, ridge=0.3)
    assert (level.modes, level.power, level.noise, level.effective_ridge) == (30, 0.75, 1.125, 0.3)
    text = repr(level)
    assert "30 modes" in text and "overfitting" in text and "<table>" in level._repr_html_() and len(level) == 1


def test_it_round_trips():
    level = critical_level(10, 0.5, n=[0, 5, 10], power=2.0, noise=0.1)
    again = CriticalLevel.from_json(level.to_json())
    assert again == level and hash(again) == hash(level) and repr(again) == repr(level)
    assert math.isinf(again.kappa[0]) and not again.kappa.flags.writeable and again != 3
    short = level.to_json().replace('"n": [0.0, ', '"n": [')
    more = level.to_json().replace("{", '{"other": 1, ', 1)
    for text in ("", "{}", '{"type": "kernalg.CriticalLevel"}', short, more, level.to_json().replace("0.1", '"a"')):
        with pytest.raises(DomainError):
            CriticalLevel.from_json(text)


def test_moments_near_the_threshold():
    with mp.workdps(30):
        # sin^2 t / (2 + 2 cos t) = (1 - cos t)/2
        expected = mp.quad(lambda t: (1 - mp.cos(t)) / mp.pi / (3 + 2 * mp.cos(t)) ** 2, [0, mp.pi])
    assert marchenko_pastur_moments(1.0, 1.0)[0] == pytest.approx(float(expected), rel=1e-12, abs=0)
    assert marchenko_pastur_moments(4.0, 0.0) == (pytest.approx(1.0, rel=1e-13, abs=0), 0.0)
    with pytest.raises(PrecisionError, match="critical_level has no such limit"):
        marchenko_pastur_moments(1.0, 1e14)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"modes": 0}, "modes=0"),
        ({"modes": 2.5}, "modes=2.5"),
        ({"eigenvalue": 0}, "eigenvalue is 0"),
        ({"eigenvalue": -1}, "eigenvalue is -1"),
        ({"n": []}, "n is empty"),
        ({"n": [-1]}, r"n\[0\] is -1"),
        ({"ridge": -1}, "ridge is -1"),
        ({"tail": math.inf}, "tail is inf"),
        ({"noise": math.nan}, "noise is nan"),
        ({"power": -2}, "power is -2"),
    ],
)
def test_refusals(changes, word):
    asked = {"modes": 3, "eigenvalue": 1.0, "n": 2} | changes
    with pytest.raises(DomainError, match=word):
        critical_level(asked.pop("modes"), asked.pop("eigenvalue"), **asked)


def test_refused_levels():
    spectrum = Spectrum([1.0, 0.0], [1, 10])
    with pytest.raises(DomainError, match="levels 0 to 1"):
        critical_level_of(spectrum, 2, [1], n=1)
    with pytest.raises(DomainError, match="eigenvalue 0"):
        critical_level_of(spectrum, 1, [1], n=1)
    with pytest.raises(DomainError, match="alpha is 0"):
        marchenko_pastur_moments(0, 1)
