"""Float64 special functions against mpmath, and the bivariate normal cdf against double-double."""

import math

import mpmath as mp
import numpy as np
import pytest
from numba import njit

from kernalg.compiled import double_double, special

INF = math.inf


def grid(lowest, highest, n, seed=0):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(lowest, highest, n) * rng.choice([-1, 1], n)


def erfcx(z):
    if z > 1e4:
        return (1 - 1 / (2 * z**2) + 3 / (4 * z**4) - 15 / (8 * z**6)) / (z * mp.sqrt(mp.pi))
    return mp.exp(z * z) * mp.erfc(z)


def dawson(z):
    if abs(z) > 1e3:
        return (1 + 1 / (2 * z**2) + 3 / (4 * z**4) + 15 / (8 * z**6)) / (2 * z)
    return mp.sqrt(mp.pi) / 2 * mp.exp(-z * z) * mp.erfi(z)


def normal_cdf(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


UNARY = {
    "normal_cdf": (normal_cdf, np.concatenate([grid(-20, 1.56, 200), grid(-1, 1.56, 400)])),
    "erfcx": (erfcx, np.concatenate([grid(-20, 1.42, 200), grid(-1, 1.42, 400), abs(grid(0, 280, 200))])),
    "dawson": (dawson, np.concatenate([grid(-280, 280, 200), grid(-1, 1.5, 400)])),
    "erfi": (mp.erfi, np.concatenate([grid(-280, 1, 200), grid(-1, 1.425, 400)])),
}


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_variable(name):
    reference, x = UNARY[name]
    function = getattr(special, name)

    @njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    out = np.empty_like(x)
    loop(x, out)
    with mp.workdps(40):
        for argument, value in zip(x.tolist(), out.tolist(), strict=True):
            truth = reference(mp.mpf(argument))
            assert abs(value - truth) <= 1e-15 * abs(truth), argument


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("normal_cdf", {-INF: 0.0, -1e300: 0.0, 0.0: 0.5, 1e300: 1.0, INF: 1.0}),
        ("erfcx", {-INF: INF, -1e300: INF, 0.0: 1.0, INF: 0.0}),
        ("dawson", {-INF: 0.0, 0.0: 0.0, 1e-310: 1e-310, INF: 0.0}),
        ("erfi", {-INF: -INF, -1e300: -INF, 0.0: 0.0, INF: INF}),
    ],
)
def test_exact_values(name, values):
    function = getattr(special, name)
    assert {x: function(x) for x in values} == values
    assert math.isnan(function(math.nan))


def random_cases(seed, n, limits):
    """Rows h, k, r, s with correlations up to 1e-12 from 1 and -1, and s computed without cancellation."""
    rng = np.random.default_rng(seed)
    h, k = limits(rng.normal(size=(2, n)) * 10 ** rng.uniform(-2, 0.9, n))
    k[::5], k[1::7], k[2::11] = h[::5], -abs(h[1::7]), 0.0
    distance = np.where(rng.random(n) < 0.5, rng.uniform(0, 1, n), 10 ** rng.uniform(-12, 0, n))
    r = rng.choice([-1, 1], n) * (1 - distance)
    return np.column_stack([h, k, r, np.sqrt((1 - r) * (1 + r))])


@njit(error_model="numpy")
def bivariate_loop(cases, out):
    for i in range(cases.shape[0]):
        h, k, r, s = cases[i]
        out[i, 0] = special.bivariate_normal_cdf(h, k, r, s)
        r2 = (r, 0.0)
        out[i, 1], out[i, 2] = double_double.dd_bivariate_normal_cdf(
            (h, 0.0), (k, 0.0), r2, double_double.dd_cofactor(r2)
        )


def bivariate(cases):
    out = np.empty((len(cases), 3))
    bivariate_loop(cases, out)
    return out[:, 0], (out[:, 0] - out[:, 1]) - out[:, 2], out[:, 1]


def test_bivariate_normal_cdf():
    _, error, _ = bivariate(random_cases(1, 4000, lambda limits: limits))
    assert abs(error).max() < 4e-16


def test_bivariate_normal_cdf_in_the_lower_tails():
    _, error, truth = bivariate(random_cases(2, 4000, lambda limits: -abs(limits)))
    reached = truth > 1e-290
    assert reached.sum() > 2000
    relative = abs(error[reached]) / truth[reached]
    exponent = -np.log(truth[reached])  # what the rounding of the limits to floats is multiplied by
    assert relative[exponent < 200].max() < 1e-13
    assert (relative / (1 + exponent)).max() < 1e-15


@pytest.mark.parametrize("r", [0.0, 0.6, -0.6, 0.999, -0.999, 1.0, -1.0])
def test_bivariate_normal_cdf_identities(r):
    s = math.sqrt((1 - r) * (1 + r))
    cdf = special.bivariate_normal_cdf
    for h, k in np.random.default_rng(3).normal(size=(20, 2)).tolist():
        assert cdf(h, k, r, s) == pytest.approx(cdf(k, h, r, s), abs=3e-16, rel=0)
        assert cdf(h, k, r, s) + cdf(h, -k, -r, s) == pytest.approx(special.normal_cdf(h), abs=4e-16, rel=0)
    assert cdf(0.0, 0.0, r, s) == pytest.approx(math.atan2(s, -r) / (2 * math.pi), abs=1e-16, rel=0)


@pytest.mark.parametrize(
    ("h", "k", "r", "s", "expected"),
    [
        (0.5, 0.6, 1.0, 0.0, special.normal_cdf(0.5)),
        (0.5, 0.6, -1.0, 0.0, 0.4172093435239395),
        (-0.5, 0.6, -1.0, 0.0, 0.0342844209759133),
        (0.6, -0.5, -1.0, 0.0, 0.0342844209759133),
        (0.5, -0.5, -1.0, 0.0, 0.0),
        (-INF, INF, 0.6, 0.8, 0.0),
        (INF, 0.5, 0.6, 0.8, special.normal_cdf(0.5)),
        (0.5, INF, 0.6, 0.8, special.normal_cdf(0.5)),
        (INF, INF, 0.6, 0.8, 1.0),
        (50.0, -50.0, 0.6, 0.8, 0.0),
        (1e-200, -1e-200, 0.6, 0.8, math.atan2(0.8, -0.6) / (2 * math.pi)),
    ],
)
def test_bivariate_normal_cdf_in_degenerate_cases(h, k, r, s, expected):
    assert special.bivariate_normal_cdf(h, k, r, s) == pytest.approx(expected, abs=1e-16, rel=0)


def test_bivariate_normal_cdf_passes_nan_on():
    for position in range(4):
        arguments = [0.1, 0.2, 0.6, 0.8]
        arguments[position] = math.nan
        assert math.isnan(special.bivariate_normal_cdf(*arguments))
