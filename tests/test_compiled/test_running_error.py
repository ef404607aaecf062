"""The bounds that compiled formulas carry: true, not far too large, and met by the values handed on."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.compiled.cache import load
from kernalg.compiled.elementwise import elementwise
from kernalg.compiled.gram_source import HEAD, indent, runtime_text
from kernalg.compiled.running_error import bounded_lines
from kernalg.compiled.source import freeze
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2

x = sp.Symbol("x", real=True)
DETERMINANT = q1 * q2 - c**2
QUADRANT = sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)


def values_and_bounds(formula, symbols, points):
    """Both as the float64 statements compute them, without the hand-over to double-double."""
    frozen = freeze([formula], symbols)
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, ((value, error),) = bounded_lines(frozen, frozen.outputs, given)
    loads = [f"{s.name} = points[i, {n}]" for n, s in enumerate(symbols)]
    body = indent([*loads, *lines, f"out[i, 0], out[i, 1] = {value}, {error}"], 2)
    signature = '@njit("void(float64[:, ::1], float64[:, ::1])", error_model="numpy", cache=True)'
    text = f"\n\n{signature}\ndef run(points, out):\n    for i in range(points.shape[0]):\n{body}\n"
    out = np.empty((len(points), 2))
    load(HEAD + runtime_text(frozen) + text).run(np.ascontiguousarray(points), out)
    return out.T


def pairs(n, seed=0):
    """q1, q2, c from 1e-3 to 1e4, half of the correlations within 1e-13 of +1 or -1."""
    rng = np.random.default_rng(seed)
    a = 10 ** rng.uniform(-3, 4, n)
    b = a * rng.choice([1.0, 4.0, 0.3], n)
    gap = 10.0 ** rng.uniform(-13, 0, n)
    return np.column_stack([a, b, np.where(rng.random(n) < 0.5, 1 - gap, gap - 1) * np.sqrt(a * b)])


def erfcx(z):
    return mp.exp(z * z) * mp.erfc(z)


def truth_of(formula, symbols, point):
    names = {"normal_cdf": mp.ncdf}
    exact = sp.lambdify(symbols, formula, [names, "mpmath"])
    return mp.re(exact(*map(mp.mpf, point)))


FORMULAS = {
    "relu": c * QUADRANT + sp.sqrt(DETERMINANT) / (2 * sp.pi),
    "gaussian": 4 * c / ((1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2) ** sp.Rational(3, 2),
    "sine": sp.exp(-(q1 + q2) / 2) * sp.sinh(c),
    "damped": sp.exp(-(q1 + q2 - 2 * c) / 2) * (c + (q1 - c) * (q2 - c)) + sp.cosh(c) * sp.exp(-q1 - q2) - 1,
    "functions": sp.log(1 + q1) * sp.erf(c / 100) + sp.cos(c) - sp.sin(q2) / (2 + sp.erfc(sp.sqrt(q1))),
    "powers": q1 ** sp.Rational(1, 3) - sp.log(q2) + sp.atan(c),
    "choices": sp.Abs(c - 1) * sp.sign(c)
    + sp.Max(q1, q2 * sp.exp(-q1))
    + sp.Heaviside(sp.exp(-q1) - sp.Rational(1, 2)),
    "branches": sp.Piecewise((sp.exp(c / 1e5) - 1, c > q1 / 2), (sp.pi * q1 - c, True)),
    "cdf": sp.exp(q1 / 2) * normal_cdf(-sp.sqrt(q1)) + normal_cdf(-1 / sp.sqrt(q1)) - normal_cdf(-1 / sp.sqrt(q2)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_bound_holds_and_is_not_far_off(name):
    formula, points = FORMULAS[name], pairs(80)
    values, bounds = values_and_bounds(formula, [q1, q2, c], points)
    with mp.workdps(120):
        truths = [truth_of(formula, [q1, q2, c], point) for point in points.tolist()]
        for point, value, bound, truth in zip(points.tolist(), values, bounds, truths, strict=True):
            if np.isfinite(bound):
                assert abs(value - truth) <= 2.0**-53 * bound + 1e-300, point
    generic = (np.abs(points[:, 2]) < 0.9 * np.sqrt(points[:, 0] * points[:, 1])) & (values != 0)
    assert np.median(bounds[generic] / np.abs(values[generic])) < 64


def test_rational_formulas_need_no_second_evaluation():
    """What they subtract is exact: the variance of one variable given the other, at correlations up to 1 - 1e-13."""
    formula = (2 * c**2 + (1 + q1) * (1 + q2)) / (DETERMINANT * ((1 + q1) * (1 + q2) - c**2) ** sp.Rational(5, 2))
    values, bounds = values_and_bounds(formula, [q1, q2, c], pairs(200))
    assert (bounds <= 8 * values).all()


def test_a_bound_without_exact_arguments_would_be_wrong():
    """The measure itself: one rounded product in place of an exact one leaves the bound."""
    points = pairs(200)
    values, bounds = values_and_bounds(DETERMINANT, [q1, q2, c], points)
    rounded = points[:, 0] * points[:, 1] - points[:, 2] ** 2
    assert (abs(rounded - values) > 2.0**-53 * bounds + 2.0**-52 * abs(values)).sum() > 50


y = sp.Symbol("y", real=True)


@pytest.mark.parametrize(
    ("formula", "x_value", "truth"),
    [
        (sp.log(1 + sp.exp(x)), -30.0, lambda x: mp.log(1 + mp.exp(x))),
        (sp.log(1 + sp.exp(x)), -300.0, lambda x: mp.log(1 + mp.exp(x))),
        (sp.exp(x) - 1, 1e-20, lambda x: mp.expm1(x)),
        (2 - 2 * sp.exp(-x), 1e-20, lambda x: -2 * mp.expm1(-x)),
        (sp.exp(400) * sp.exp(-x), 400.5, lambda x: mp.exp(400 - x)),
        (sp.exp(x) * sp.sinh(y), 800.0, lambda x: mp.mpf(0)),
        (sp.exp(x**2 / 2) * normal_cdf(-x), 40.0, lambda x: mp.exp(x * x / 2) * mp.ncdf(-x)),
        (sp.exp(x**2 / 2) * normal_cdf(-x), 400.0, lambda x: mp.exp(x * x / 2) * mp.ncdf(-x)),
    ],
)
def test_one_operation_in_place_of_two(formula, x_value, truth):
    symbols = sorted(formula.free_symbols, key=str)
    value = elementwise(formula, symbols)(*(x_value if s == x else 0.0 for s in symbols))
    with mp.workdps(200):
        exact = truth(mp.mpf(x_value))
        assert abs(value - exact) <= 1e-15 * exact


@pytest.mark.parametrize("slope", [1, 2])
def test_elu_terms_at_any_variance(slope):
    """The dual of exp(slope x) Heaviside(-x), exp(A) P(U < h, V < k), against its value for independent variables."""
    limits = (-slope * (q1 + c) / sp.sqrt(q1), -slope * (q2 + c) / sp.sqrt(q2))
    growth = sp.exp(slope**2 * (c + (q1 + q2) / 2))
    f = elementwise(growth * bivariate_normal_cdf(*limits, c / sp.sqrt(q1 * q2)), [q1, q2, c])
    for variance in (1e-6, 1.0, 1e3, 1e6, 1e12):
        with mp.workdps(40):
            tail = erfcx(slope * mp.sqrt(mp.mpf(variance) / 2)) / 2
            assert abs(f(variance, variance, 0.0) - tail**2) <= 1e-14 * tail**2
