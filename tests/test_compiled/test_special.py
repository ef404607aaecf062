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


@njit(error_model="numpy")
def scaled_loop(cases, out):
    dd = double_double
    for i in range(cases.shape[0]):
        a, h, k, r, s = cases[i]
        h_rest, k_rest = a - 0.5 * h * h, a - 0.5 * k * k
        corner, other = special.wedge_corner(-h, -k, r, s), special.wedge_corner(-k, -h, r, s)
        rest = h_rest - 0.5 * corner * corner
        out[i, :2] = special.exp_bivariate_normal_parts(a, h_rest, k_rest, rest, h, k, corner, other, r, s)
        exact_r = (r, 0.0)
        exact_s = dd.dd_cofactor(exact_r)
        plain = dd.dd_bivariate_normal_cdf((h, 0.0), (k, 0.0), exact_r, exact_s)
        truth = dd.dd_mul(dd.dd_exp((a, 0.0)), plain)
        out[i, 2] = (out[i, 0] - truth[0]) - truth[1]


def test_exponential_times_bivariate_normal_cdf_keeps_its_bound():
    """Against the two factors apart, where both are in range; the exponents formed here are rounded too."""
    cases = random_cases(4, 3000, lambda limits: np.clip(limits, -25, 25))
    a = np.random.default_rng(5).uniform(-20, 300, len(cases))
    out = np.empty((len(cases), 3))
    scaled_loop(np.column_stack([a, cases]), out)
    distance = 1 - abs(cases[:, 2])
    in_range = (distance > 1e-3) & (out[:, 1] < 1e290)
    corners = ((cases[:, 0] ** 2 + cases[:, 1] ** 2) / distance)[in_range]
    assert in_range.sum() > 1500
    assert (abs(out[in_range, 2]) <= 2.0**-53 * out[in_range, 1] * (1 + corners) + 1e-300).all()


@pytest.mark.parametrize("z", [-1e6, -300.0, -39.5, -5.0, -0.3, 0.0, 0.4, 8.0])
@pytest.mark.parametrize("rest", [-3.25, 0.0, 2.5])
def test_exponential_times_normal_cdf(z, rest):
    a = rest + 0.5 * z * z if z < 0 else rest
    b = rest if z < 0 else rest - 0.5 * z * z
    with mp.workdps(40):
        truth = mp.exp(rest) * erfcx(-mp.mpf(z) / mp.sqrt(2)) / 2 if z < 0 else mp.exp(rest) * mp.ncdf(z)
        assert abs(special.exp_normal_cdf(a, b, z) - truth) <= 2e-15 * truth
        exact = [mp.mpf(rest), rest + (0.5 if z < 0 else -0.5) * mp.mpf(z) ** 2]
        pairs = [(float(v), float(v - float(v))) for v in (exact[::-1] if z < 0 else exact)]
        high, low = double_double.dd_exp_normal_cdf(*pairs, (z, 0.0))
        assert abs((mp.mpf(high) + low) - truth) <= 1e-30 * truth


# a, h, k, r; all but the last so large that neither factor is in range.
FAR = [
    (666666.0, -1000.0, -1000.0, 0.5),
    (5e5, -1000.0, 750.5, -0.75),
    (5e5, -1000.0, -500.0, 0.5),
    (1250.0, -50.0, -49.0, 0.96),
    (1250.0, 49.5, -50.0, -0.96),
    (200.0, 1.0, 0.25, 0.28),
]


@pytest.mark.parametrize(("a", "h", "k", "r"), FAR)
def test_exponential_times_bivariate_normal_cdf_beyond_the_range(a, h, k, r):
    """The quadrant as an integral over one variable, in mpmath, whose exponents have no bound."""
    with mp.workdps(40):
        exact_h, exact_k, exact_r = mp.mpf(h), mp.mpf(k), mp.mpf(r)
        s = mp.sqrt((1 - exact_r) * (1 + exact_r))
        first, second = (exact_h, exact_k) if h <= k else (exact_k, exact_h)

        def density(t):
            u = first - t
            inner = (second - exact_r * u) / s
            tail = erfcx(-inner / mp.sqrt(2)) * mp.exp(-inner * inner / 2) / 2 if inner < -30 else mp.ncdf(inner)
            return mp.exp(a - u * u / 2) * tail / mp.sqrt(2 * mp.pi)

        scale = 1 / (1 + abs(first))
        truth = mp.quad(density, [0, *(scale * 2**n for n in range(-3, 12))])
        corner, other = (exact_r * exact_h - exact_k) / s, (exact_r * exact_k - exact_h) / s
        exponents = [a - exact_h**2 / 2, a - exact_k**2 / 2, a - exact_h**2 / 2 - corner**2 / 2]
        given = [mp.mpf(a), *exponents, exact_h, exact_k, corner, other, exact_r, s]
        pairs = [(float(v), float(v - float(v))) for v in given]
        high, low = double_double.dd_exp_bivariate_normal_cdf(*pairs)
        assert abs((mp.mpf(high) + low) - truth) <= 1e-27 * truth
        value, error = special.exp_bivariate_normal_parts(*map(float, given))
        assert abs(value - truth) <= 2.0**-53 * error
        assert value == special.exp_bivariate_normal_cdf(*map(float, given))
