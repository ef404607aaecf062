"""The float64 helpers of generated code against mpmath."""

import math

import mpmath as mp
import numpy as np
import pytest

from kernalg.compiled import runtime


def units(value, truth):
    """Error in units in the last place of the truth."""
    return float(abs(mp.mpf(value) - truth) / math.ulp(float(truth)))


@pytest.mark.parametrize(("name", "reach", "bound"), [("exp", 745, 2), ("sinh", 709, 3), ("cosh", 709, 3)])
def test_exponentials(name, reach, bound):
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.uniform(-2, 2, 300), rng.uniform(-reach, reach, 300), 10.0 ** rng.uniform(-300, 0, 50)]
    )
    f, exact = getattr(runtime, name), getattr(mp, name)
    with mp.workdps(40):
        assert max(units(f(x), exact(mp.mpf(x))) for x in points) < bound


def test_arc():
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=(2, 600)) * 10.0 ** rng.uniform(-12, 12, (2, 600))
    with mp.workdps(40):
        assert max(units(runtime.atan2(a, b), mp.atan2(a, b)) for a, b in zip(y, x, strict=True)) < 2.01


def test_ends():
    assert runtime.exp(0.0) == 1.0
    assert runtime.exp(-800.0) == 0.0
    assert runtime.exp(711.0) == np.inf
    assert runtime.sinh(-800.0) == -np.inf
    assert runtime.atan2(0.0, 0.0) == 0.0
    assert runtime.atan2(0.0, -1.0) == math.pi
    assert runtime.atan2(-1.0, 0.0) == -math.pi / 2
    for f in (runtime.exp, runtime.sinh, runtime.cosh):
        assert np.isnan(f(np.nan))


@pytest.mark.parametrize(("name", "exact"), [("exp_sinh", mp.sinh), ("exp_cosh", mp.cosh)])
def test_damped_hyperbolic_functions_where_the_factors_overflow(name, exact):
    """exp(a) sinh(b) with |b| to 5000: the product is moderate, sinh(b) alone is not."""
    rng = np.random.default_rng(2)
    f = getattr(runtime, name)
    b = np.concatenate([rng.uniform(-1.2, 1.2, 200), rng.uniform(-5000, 5000, 200), 10.0 ** rng.uniform(-300, 0, 50)])
    with mp.workdps(40):
        for size in b:
            a = float(-abs(size) + rng.uniform(-5, 5))
            value = mp.exp(mp.mpf(a)) * exact(mp.mpf(size))
            # the rounding of a + |b| is an error of the exponent: half a unit of a
            assert abs(f(a, size) - value) <= (6 + abs(a)) * 2.3e-16 * abs(value), (a, size)
