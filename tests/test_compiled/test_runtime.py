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
