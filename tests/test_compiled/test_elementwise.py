"""Compiled formulas against mpmath, most of all where they cancel."""

import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.compiled.elementwise import elementwise
from kernalg.errors import DomainError
from kernalg.symbols import c, normal_cdf, q1, q2

QUADRANT = sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)
DETERMINANT = q1 * q2 - c**2
RELU = c * QUADRANT + sp.sqrt(DETERMINANT) / (2 * sp.pi)


@pytest.fixture(scope="module")
def relu():
    return elementwise(RELU, [q1, q2, c])


def sample(n, seed=0):
    """q1, q2 and c, half of the correlations within 1e-15 to 1 of +1 or -1."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.2, 3, (2, n))
    gap = 10.0 ** rng.uniform(-15, 0, n)
    return a, b, np.where(rng.random(n) < 0.5, 1 - gap, gap - 1) * np.sqrt(a * b)


@pytest.mark.parametrize(
    ("formula", "floor"),
    [
        (RELU, 1e-18),  # falls to 1e-23 near rho = -1: 31 digits of the terms, not of the sum
        (1 / sp.sqrt(DETERMINANT), 0),
        (((c + (q1 - c) * (q2 - c)) * sp.exp(-(q1 + q2 - 2 * c) / 2) - c * sp.exp(-(q1 + q2 + 2 * c) / 2)) / 2, 0),
        (sp.cosh(c) - 1 + normal_cdf(-1 / sp.sqrt(q1)) - normal_cdf(-1 / sp.sqrt(q2)), 0),
    ],
)
def test_relative_accuracy(formula, floor):
    arguments = sample(60)
    values = elementwise(formula, [q1, q2, c])(*arguments)
    with mp.workdps(80):
        exact = sp.lambdify([q1, q2, c], formula, [{"normal_cdf": mp.ncdf}, "mpmath"])
        for *point, value in zip(*arguments, values, strict=True):
            truth = mp.re(exact(*map(mp.mpf, point)))
            assert abs(value - truth) <= 2e-13 * max(abs(truth), floor), point


def test_shapes_and_types(relu):
    number = relu(1, 1, 1)
    assert isinstance(number, float)
    assert number == 0.5
    assert relu([1, 2], [[1], [2], [3]], 0.5).shape == (3, 2)
    assert relu(np.ones((0, 2)), 1, 1).shape == (0, 2)
    single = relu(np.float32([1, 2]), np.float32(1.5), np.int8(1))
    assert single.dtype == np.float64
    assert np.array_equal(single, relu([1.0, 2.0], 1.5, 1.0))
    a = np.ones(5)
    a.flags.writeable = False
    assert np.array_equal(relu(a, a[::-1], a), np.full(5, 0.5))


def test_rounded_covariance_is_clamped_and_a_wrong_one_is_not(relu):
    q = np.random.default_rng(1).uniform(0.1, 5, (200, 2))
    beyond = np.sqrt(q[:, 0] * q[:, 1]) * (1 + 2.0**-52)
    assert np.isfinite(relu(q[:, 0], q[:, 1], beyond)).all()
    assert np.isnan(relu(1, 1, 1.001))


def test_zero_variance(relu):
    assert relu(0.0, 2.0, 0.0) == 0.0


def test_removable_singularities_take_the_limit():
    """0/0 where the two variables coincide, as in the formulas of thresholds; a pole stays infinite."""
    ratio = (q1 * q2 - c**2) ** 2 / sp.sqrt(q1 * q2 - c**2) / (sp.acos(c / sp.sqrt(q1 * q2))) ** 3
    f = elementwise(ratio, [q1, q2, c])
    # sin(t)^3 / t^3 with q1 q2 = 36
    assert f(4.0, 9.0, 6.0) == pytest.approx(216.0, rel=1e-12)
    assert elementwise(1 / sp.sqrt(q1 * q2 - c**2), [q1, q2, c])(4.0, 9.0, 6.0) == np.inf


def test_many_entries_in_threads(relu):
    a, b, k = sample(50_000, seed=2)
    together = relu(a, b, k)
    assert np.array_equal(together[-500:], relu(a[-500:], b[-500:], k[-500:]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1), "2 arguments"),
        ((1, 1, [0.0, np.nan]), r"c\[1\] is nan"),
        ((np.inf, 1, 0), "q1 is inf"),
        ((1, 1, 1j), "complex"),
        ((1, 1, "a"), "type"),
        (([1, 2], [1, 2, 3], 1), "broadcast"),
    ],
)
def test_refused(relu, arguments, message):
    with pytest.raises(DomainError, match=message):
        relu(*arguments)


def test_numba_is_imported_on_the_first_call_only():
    code = (
        "import sys, sympy; from kernalg.compiled.elementwise import elementwise;"
        "from kernalg.compiled.gram import compile_program, LayerProgram;"
        "t = sympy.Symbol('t'); f = elementwise(t**2, [t]); g = compile_program(LayerProgram(()));"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
