"""Double-double arithmetic against mpmath with 60 digits."""

import ast
import importlib.util
import inspect
import math
import sys

import mpmath as mp
import numpy as np
import pytest
from numba import njit

from kernalg.compiled import double_double as dd
from kernalg.compiled import special

DIGITS = 60
INF = math.inf


def exact(pair):
    return mp.mpf(float(pair[0])) + mp.mpf(float(pair[1]))


def as_pair(x):
    hi = float(x)
    return hi, float(x - mp.mpf(hi))


def pairs(rng, lowest, highest, n, signs=(-1, 1)):
    """n pairs with hi of log-uniform magnitude 10^lowest .. 10^highest and a random lo."""
    hi = 10 ** rng.uniform(lowest, highest, n) * rng.choice(signs, n)
    return np.column_stack([hi, hi * rng.uniform(-1, 1, n) * 2.0**-54])


def plus_one(x, sign=1.0):
    return np.array([dd.dd_add_float((sign * a, sign * b), 1.0) for a, b in x])


def compiled_loop(function):
    @njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.shape[0]):
            result = function((x[i, 0], x[i, 1]))
            out[i, 0] = result[0]
            out[i, 1] = result[1]

    return loop


def worst_error(function, reference, x):
    """Largest relative error where the exact value is above 1e-270; overflow must give inf, and tiny values be tiny."""
    out = np.empty_like(x)
    compiled_loop(function)(x, out)
    worst = mp.mpf(0)
    for argument, result in zip(x, out, strict=True):
        truth = reference(exact(argument))
        assert not np.isnan(result).any(), argument
        if abs(truth) > 1.7e308:
            assert abs(result[0]) > 1.7e308
        elif abs(truth) < 1e-270:
            assert abs(exact(result) - truth) < 1e-285
        else:
            worst = max(worst, abs(exact(result) - truth) / abs(truth))
    return worst


def normal_cdf(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


UNARY = {
    "dd_sqrt": (mp.sqrt, lambda g: pairs(g, -260, 299, 300, (1,))),
    "dd_exp": (mp.exp, lambda g: np.vstack([pairs(g, -20, 3, 300), pairs(g, 0, 2.85, 300)])),
    "dd_expm1": (mp.expm1, lambda g: np.vstack([pairs(g, -250, 3, 200), pairs(g, -2, 1, 300)])),
    "dd_log": (
        mp.log,
        lambda g: np.vstack(
            [pairs(g, -260, 290, 200, (1,)), pairs(g, -1, 1, 300, (1,)), plus_one(pairs(g, -25, -1, 200))]
        ),
    ),
    "dd_log1p": (mp.log1p, lambda g: np.vstack([pairs(g, -200, 200, 300, (1,)), pairs(g, -20, -0.01, 300)])),
    "dd_sinh": (mp.sinh, lambda g: np.vstack([pairs(g, -250, 3, 200), pairs(g, -2, 2.852, 300)])),
    "dd_cosh": (mp.cosh, lambda g: np.vstack([pairs(g, -250, 3, 200), pairs(g, -2, 2.852, 300)])),
    "dd_tanh": (mp.tanh, lambda g: np.vstack([pairs(g, -250, 3, 200), pairs(g, -2, 1.7, 300)])),
    "dd_sin": (mp.sin, lambda g: pairs(g, -250, 6.2, 500)),
    "dd_cos": (mp.cos, lambda g: pairs(g, -250, 6.2, 500)),
    "dd_atan": (mp.atan, lambda g: np.vstack([pairs(g, -200, 200, 200), pairs(g, -3, 3, 300)])),
    "dd_asin": (
        mp.asin,
        lambda g: np.vstack([pairs(g, -200, -1e-9, 300), plus_one(pairs(g, -25, -1, 200, (1,)), -1.0)]),
    ),
    "dd_acos": (
        mp.acos,
        lambda g: np.vstack(
            [pairs(g, -30, -1e-9, 200), *(s * plus_one(pairs(g, -25, -1, 200, (-1,))) for s in (1, -1))]
        ),
    ),
    "dd_erf": (mp.erf, lambda g: np.vstack([pairs(g, -200, 2, 200), pairs(g, -1, 1, 300)])),
    "dd_erfc": (mp.erfc, lambda g: np.vstack([pairs(g, -30, 1.6, 200), pairs(g, -1, 1.41, 300)])),
    "dd_normal_cdf": (normal_cdf, lambda g: np.vstack([pairs(g, -30, 1.8, 200), pairs(g, -1, 1.56, 300)])),
}


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_variable(name):
    reference, grid = UNARY[name]
    with mp.workdps(DIGITS):
        assert worst_error(getattr(dd, name), reference, grid(np.random.default_rng(1))) < 1e-30


def test_sine_and_cosine_next_to_multiples_of_a_right_angle():
    multiples = [*range(-12, 13), *np.random.default_rng(2).integers(-(2**20) + 1, 2**20, 200).tolist()]
    with mp.workdps(DIGITS):
        angles = [as_pair(k * mp.pi / 2) for k in multiples]
        x = np.array(angles + [(hi, 0.0) for hi, _ in angles])
        x = x[x[:, 0] != 0.0]
    with mp.workdps(90):
        assert worst_error(dd.dd_sin, mp.sin, x) < 1e-30
        assert worst_error(dd.dd_cos, mp.cos, x) < 1e-30


def test_sums_products_and_quotients():
    rng = np.random.default_rng(3)
    x, y = pairs(rng, -60, 60, 300), pairs(rng, -60, 60, 300)
    y[::3] = -x[::3] * (1 + 10 ** rng.uniform(-16, 0, 100))[:, None]
    y[1::3, 0] = x[1::3, 0]
    with mp.workdps(160):
        for a, b in zip(x, y, strict=True):
            p, q = (float(a[0]), float(a[1])), dd.quick_two_sum(float(b[0]), float(b[1]))
            u, v = exact(p), exact(q)
            for computed, truth in (
                (dd.dd_add(p, q), u + v),
                (dd.dd_sub(p, q), u - v),
                (dd.dd_mul(p, q), u * v),
                (dd.dd_div(p, q), u / v),
                (dd.dd_add_float(p, q[0]), u + q[0]),
                (dd.dd_mul_float(p, q[0]), u * q[0]),
            ):
                assert abs(exact(computed) - truth) <= 1e-31 * abs(truth)
            assert exact(dd.dd_from_product(p[0], q[0])) == mp.mpf(p[0]) * mp.mpf(q[0])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 30, -1, -5])
def test_integer_powers(n):
    with mp.workdps(DIGITS):
        for x in pairs(np.random.default_rng(4), -4, 4, 20):
            truth = exact(x) ** n
            assert abs(exact(dd.dd_pow_int((x[0], x[1]), n)) - truth) <= 1e-31 * max(abs(n), 1) * abs(truth)


def test_dot_product_survives_cancellation():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=200), rng.normal(size=200)
    x, y = np.append(x, -(x @ y)), np.append(y, 1.0)
    with mp.workdps(DIGITS):
        truth = mp.fsum(mp.mpf(float(a)) * mp.mpf(float(b)) for a, b in zip(x, y, strict=True))
        assert abs(truth) < 1e-12
        assert abs(exact(dd.dd_dot(x, y)) - truth) < 1e-29
    assert dd.dd_dot(np.empty(0), np.empty(0)) == (0.0, 0.0)


def test_angle_of_a_point():
    rng = np.random.default_rng(6)
    with mp.workdps(DIGITS):
        for y, x in zip(
            pairs(rng, -60, 60, 300), np.vstack([pairs(rng, -60, 60, 150), pairs(rng, -1, 1, 150)]), strict=True
        ):
            truth = mp.atan2(exact(y), exact(x))
            assert abs(exact(dd.dd_atan2((y[0], y[1]), (x[0], x[1]))) - truth) <= 1e-30 * abs(truth)
    for y in (0.0, -0.0, 1.0, -1.0, INF, -INF):
        for x in (0.0, -0.0, 1.0, -1.0, INF, -INF):
            if y and x and math.isfinite(x) and math.isfinite(y):
                continue
            angle = dd.dd_atan2((y, 0.0), (x, 0.0))
            assert angle[0] == math.atan2(y, x)
            with mp.workdps(DIGITS):
                assert abs(exact(angle) - mp.nint(4 * angle[0] / mp.pi) * mp.pi / 4) < 1e-31


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("dd_sqrt", 0.0, 0.0), ("dd_sqrt", 4.0, 2.0), ("dd_sqrt", INF, INF),
        ("dd_exp", 0.0, 1.0), ("dd_exp", -INF, 0.0), ("dd_exp", -800.0, 0.0), ("dd_exp", INF, INF),
        ("dd_exp", 800.0, INF),
        ("dd_expm1", 0.0, 0.0), ("dd_expm1", -INF, -1.0), ("dd_expm1", INF, INF),
        ("dd_log", 1.0, 0.0), ("dd_log", 0.0, -INF), ("dd_log", INF, INF), ("dd_log1p", 0.0, 0.0),
        ("dd_log1p", -1.0, -INF),
        ("dd_sinh", 0.0, 0.0), ("dd_sinh", -INF, -INF), ("dd_cosh", 0.0, 1.0), ("dd_cosh", -INF, INF),
        ("dd_tanh", -INF, -1.0), ("dd_tanh", 400.0, 1.0), ("dd_sin", 0.0, 0.0), ("dd_cos", 0.0, 1.0),
        ("dd_asin", 0.0, 0.0), ("dd_acos", 1.0, 0.0), ("dd_atan", 0.0, 0.0), ("dd_abs", -2.0, 2.0),
        ("dd_neg", 2.0, -2.0),
        ("dd_erf", 0.0, 0.0), ("dd_erf", -INF, -1.0), ("dd_erfc", INF, 0.0), ("dd_erfc", -INF, 2.0),
        ("dd_erfc", 0.0, 1.0),
        ("dd_normal_cdf", 0.0, 0.5), ("dd_normal_cdf", -INF, 0.0), ("dd_normal_cdf", INF, 1.0),
    ],
)  # fmt: skip
def test_exact_values(name, argument, value):
    assert getattr(dd, name)((argument, 0.0)) == (value, 0.0)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("dd_sqrt", -1.0),
        ("dd_log", -1.0),
        ("dd_log1p", -2.0),
        ("dd_asin", 1.5),
        ("dd_acos", INF),
        ("dd_sin", INF),
        ("dd_cos", 1e7),
    ],
)
def test_nan_outside_the_domain(name, argument):
    assert math.isnan(getattr(dd, name)((argument, 0.0))[0])


@pytest.mark.parametrize("name", [*UNARY, "dd_atan"])
def test_nan_in_nan_out(name):
    assert math.isnan(getattr(dd, name)((math.nan, 0.0))[0])


def test_arithmetic_with_infinity():
    infinity, x = (INF, 0.0), (0.7, -1e-18)
    assert dd.dd_add(infinity, x) == dd.dd_add_float(x, INF) == dd.dd_sub(infinity, x) == infinity
    assert (
        dd.dd_mul(infinity, x)
        == dd.dd_mul(x, infinity)
        == dd.dd_div(infinity, x)
        == dd.dd_div(x, (0.0, 0.0))
        == infinity
    )
    assert dd.dd_div(x, infinity) == (0.0, 0.0)


def plackett(h, k, r):
    """Bivariate normal cdf: Plackett's integral over the correlation, from 0 or from a degenerate law at 1 or -1."""
    angle = mp.atan2(mp.sqrt((1 - r) * (1 + r)), abs(r))
    if abs(r) < 0.8:

        def inner(t):
            return mp.exp(-(h * h + k * k - 2 * h * k * mp.sin(t)) / (2 * mp.cos(t) ** 2))

        part = mp.quad(inner, mp.linspace(0, mp.asin(r), 4), method="gauss-legendre") / (2 * mp.pi)
        return normal_cdf(h) * normal_cdf(k) + part
    sign = 1 if r > 0 else -1
    k *= sign

    def outer(t):
        return mp.exp(-((h - k) ** 2) / (2 * mp.sin(t) ** 2) - h * k / (2 * mp.cos(t / 2) ** 2))

    part = mp.quad(outer, mp.linspace(0, angle, 5)) / (2 * mp.pi)
    if sign > 0:
        return normal_cdf(min(h, k)) - part
    return part + (normal_cdf(h) - normal_cdf(k) if h > k else 0)


def bivariate_cases(seed, n):
    """Limits from 0.01 to 10, equal, opposite and zero ones among them, and correlations up to 1e-12 from 1 and -1."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        h, k = rng.normal(size=2) * 10 ** rng.uniform(-2, 0.7)
        if i % 5 == 0:
            k = h
        elif i % 7 == 0:
            k = -h
        elif i % 11 == 0:
            k = 0.0
        r = rng.uniform(-1, 1) if i % 2 else rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-12, 0))
        yield float(h), float(k), float(r)


def test_bivariate_normal_cdf():
    with mp.workdps(DIGITS):
        for h, k, r in bivariate_cases(7, 45):
            h_pair, k_pair, r_pair = (h, h * 2e-17), (k, k * -3e-17), (r, r * -1e-17)
            s_pair = as_pair(mp.sqrt((1 - exact(r_pair)) * (1 + exact(r_pair))))
            truth = plackett(exact(h_pair), exact(k_pair), exact(r_pair))
            computed = exact(dd.dd_bivariate_normal_cdf(h_pair, k_pair, r_pair, s_pair))
            assert abs(computed - truth) < 1e-30
            if truth > 1e-25:
                assert abs(computed - truth) < 1e-28 * truth


def test_bivariate_normal_cdf_deep_in_the_tail_of_independent_variables():
    with mp.workdps(DIGITS):
        for h, k in ((-5.0, -30.0), (-20.0, -20.0), (-8.0, 3.0), (-1.0, -34.0), (-26.0, 0.5)):
            truth = normal_cdf(mp.mpf(h)) * normal_cdf(mp.mpf(k))
            computed = exact(dd.dd_bivariate_normal_cdf((h, 0.0), (k, 0.0), (0.0, 0.0), (1.0, 0.0)))
            assert abs(computed - truth) < 1e-29 * truth


@pytest.mark.parametrize(("h", "k"), [(0.3, 0.3), (-1.0, -1.0), (0.3, -0.3)])
def test_bivariate_normal_cdf_uses_the_cofactor_where_the_correlation_is_rounded_to_one(h, k):
    sign = 1.0 if h == k else -1.0
    s = 1e-9
    with mp.workdps(DIGITS):
        change = mp.quad(lambda t: mp.exp(-(mp.mpf(h) ** 2) / (2 * mp.cos(t / 2) ** 2)), [0, mp.asin(s)]) / (2 * mp.pi)
        truth = normal_cdf(mp.mpf(h)) - change if sign > 0 else change
        computed = exact(dd.dd_bivariate_normal_cdf((h, 0.0), (k, 0.0), (sign, 0.0), (s, 0.0)))
        assert abs(computed - truth) < 1e-27  # 1 + r is off by s^2 / 2, in a term of size s
        assert abs(special.bivariate_normal_cdf(h, k, sign, s) - truth) < 2e-16


DEGENERATE = [  # h, k, r, s, and the probability as a combination of values of the univariate cdf
    (0.5, 0.6, 1.0, 0.0, lambda cdf: cdf(0.5)),
    (0.6, -0.5, 1.0, 0.0, lambda cdf: cdf(-0.5)),
    (0.5, 0.6, -1.0, 0.0, lambda cdf: cdf(0.5) - cdf(-0.6)),
    (-0.5, 0.6, -1.0, 0.0, lambda cdf: cdf(-0.5) - cdf(-0.6)),
    (0.6, -0.5, -1.0, 0.0, lambda cdf: cdf(-0.5) - cdf(-0.6)),
    (0.5, -0.5, -1.0, 0.0, lambda cdf: 0),
    (-0.5, -0.6, -1.0, 0.0, lambda cdf: 0),
    (INF, 0.5, 0.6, 0.8, lambda cdf: cdf(0.5)),
    (0.5, INF, 0.6, 0.8, lambda cdf: cdf(0.5)),
    (INF, INF, 0.6, 0.8, lambda cdf: 1),
    (-INF, INF, 0.6, 0.8, lambda cdf: 0),
    (0.5, -INF, 0.6, 0.8, lambda cdf: 0),
    (0.0, 0.5, 0.0, 1.0, lambda cdf: cdf(0.5) / 2),
    (-0.5, 0.0, 0.0, 1.0, lambda cdf: cdf(-0.5) / 2),
    (0.0, 0.0, 0.0, 1.0, lambda cdf: mp.mpf(1) / 4),
    (50.0, -50.0, 0.6, 0.8, lambda cdf: 0),
    (50.0, 0.5, 0.6, 0.8, lambda cdf: cdf(0.5)),
]


@pytest.mark.parametrize(("h", "k", "r", "s", "expected"), DEGENERATE)
def test_bivariate_normal_cdf_in_degenerate_cases(h, k, r, s, expected):
    computed = dd.dd_bivariate_normal_cdf((h, 0.0), (k, 0.0), (r, 0.0), (s, 0.0))
    with mp.workdps(DIGITS):
        assert abs(exact(computed) - expected(lambda z: normal_cdf(mp.mpf(z)))) < 1e-31


def gauss_legendre(n):
    """The positive nodes and the weights of the rule with n nodes, by Newton's method on Bonnet's recurrence."""
    rows = []
    for i in range(n // 2):
        x = mp.cos(mp.pi * (i + mp.mpf(3) / 4) / (n + mp.mpf(1) / 2))
        for _ in range(8):
            before, value = mp.mpf(1), x
            for k in range(2, n + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            slope = n * (x * value - before) / (x * x - 1)
            x -= value / slope
        rows.append((x, 2 / ((1 - x * x) * slope**2)))
    return rows


def leading_bits(x, bits):
    scale = mp.mpf(2) ** (bits - 1 - mp.floor(mp.log(x, 2)))
    return mp.floor(x * scale) / scale


def test_constants():
    with mp.workdps(90):
        constants = {
            "LN2": mp.log(2), "QUARTER_PI": mp.pi / 4, "INV_TWO_PI": 1 / (2 * mp.pi), "INV_SQRT2": 1 / mp.sqrt(2),
            "TWO_OVER_SQRT_PI": 2 / mp.sqrt(mp.pi),
            "TAIL_FACTOR": 1 / (mp.sqrt(2) * mp.pi), "TAIL_PERIOD": 2 * mp.pi * mp.sqrt(8),
        }  # fmt: skip
        for name, value in constants.items():
            assert getattr(dd, name) == as_pair(value), name
        rest = mp.log(2)
        for piece, bits in zip(dd.LN2_PIECES, (40, 40, 53), strict=True):
            assert piece == (leading_bits(rest, bits) if bits < 53 else float(rest))
            rest -= piece
        rest = mp.pi / 2
        for piece in dd.HALF_PI_PIECES:
            assert piece == leading_bits(rest, 32)
            rest -= piece
        assert as_pair(rest) == dd.HALF_PI_REST
        assert [as_pair(1 / mp.factorial(n)) for n in range(30)] == list(map(tuple, dd.INVERSE_FACTORIALS))
        assert [as_pair(mp.exp(-mp.mpf(n * n) / 8)) for n in range(1, 26)] == list(map(tuple, dd.TAIL_WEIGHTS))
        assert [as_pair(x) + as_pair(w) for x, w in gauss_legendre(48)] == list(map(tuple, dd.LEGENDRE))
        assert [(float(x), float(w)) for x, w in gauss_legendre(24)] == list(map(tuple, special.QUADRATURE))


@pytest.mark.parametrize("module", [dd, special])
def test_all_lists_every_global_after_those_it_uses(module):
    tree = ast.parse(inspect.getsource(module))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    defined += [
        t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
    ]
    assert {name for name in defined if not name.startswith("_")} == set(module.__all__)
    for position, name in enumerate(module.__all__):
        function = getattr(getattr(module, name), "py_func", None)
        if function is not None:
            used = set(function.__code__.co_names) & set(defined)
            assert used <= set(module.__all__[:position]), name


def test_the_two_files_can_be_copied_into_one_cached_module(tmp_path, monkeypatch):
    assert not set(dd.__all__) & set(special.__all__)
    program = """
@njit(error_model="numpy", cache=True)
def program(x):
    return dd_exp((x, 0.0))[0] + normal_cdf(x)
"""
    path = tmp_path / "generated.py"
    path.write_text(inspect.getsource(dd) + inspect.getsource(special) + program)
    for hits in (0, 1):
        spec = importlib.util.spec_from_file_location("generated", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "generated", module)  # else a cached function cannot find its globals
        spec.loader.exec_module(module)
        assert module.program(0.0) == 1.5
        assert sum(module.program.stats.cache_hits.values()) == hits
