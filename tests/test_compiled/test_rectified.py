"""Compiled E[u_+^n v_+^m] against balls, down to correlation -1 + 1e-15, in both arithmetics and in Gram matrices."""

import numpy as np
import pytest
import sympy as sp
from flint import arb

from kernalg.compiled.cache import load
from kernalg.compiled.elementwise import elementwise
from kernalg.compiled.gram import compile_program
from kernalg.compiled.gram_source import HEAD, indent, runtime_text
from kernalg.compiled.layer_program import DenseStep, DualStep, LayerProgram
from kernalg.compiled.printers import double_double_lines, float64_lines
from kernalg.compiled.rectified import text
from kernalg.compiled.shared import double_double_header
from kernalg.compiled.source import freeze
from kernalg.enclosure.balls import ball, ball_function, precision
from kernalg.errors import NoClosedForm
from kernalg.symbols import c, q1, q2, rectified_moment

ORDERS = [(n, n) for n in (0, 1, 2, 3, 4, 7, 12)] + [(1, 0), (2, 0), (2, 1), (5, 2), (6, 3), (12, 0), (12, 5), (3, 11)]
MOMENTS = [rectified_moment(n, m, q1, q2, c) for n, m in ORDERS]
VARIANCES = [(1.0, 1.0), (1e-8, 4e-8), (3.3e-3, 1e6), (2.2, 7.0)]
TOWARDS_MINUS_ONE = [-1 + 10.0**-k for k in range(1, 16)]
CORRELATIONS = [*TOWARDS_MINUS_ONE, *(-np.array(TOWARDS_MINUS_ONE)), -0.7, -0.5, -0.3, -1e-9, 0.0, 1e-3, 0.42, 0.71]


def points():
    grid = [(a, b, rho * np.sqrt(a) * np.sqrt(b)) for a, b in VARIANCES for rho in CORRELATIONS]
    return np.array(grid)


def relative_errors(moment, at, computed):
    """Against the hypergeometric form in 400-bit balls; NaN where nothing was computed."""
    exact = ball_function(moment, (q1, q2, c))
    errors = []
    with precision(400):
        for point, value in zip(at, computed, strict=True):
            truth = exact(*(ball(float(v)) for v in point))
            assert truth.rel_accuracy_bits() > 100
            errors.append(float(abs(arb(float(value)) - truth) / truth) if np.isfinite(value) else np.nan)
    return np.array(errors)


@pytest.fixture(scope="module")
def float64_values():
    """All moments in float64, NaN where the generated code asks for double-double."""
    frozen = freeze(MOMENTS, [q1, q2, c])
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, names = float64_lines(frozen, frozen.outputs, given, guard=2.0**-10)
    outputs = [f"out[i, {k}] = nan if bad else {name}" for k, name in enumerate(names)]
    body = ["q1 = at[i, 0]", "q2 = at[i, 1]", "c = at[i, 2]", "bad = False", *lines, *outputs]
    return _run(HEAD + runtime_text(frozen), body)


@pytest.fixture(scope="module")
def double_double_values():
    """All moments in double-double, rounded."""
    frozen = freeze(MOMENTS, [q1, q2, c])
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, names = double_double_lines(frozen, frozen.outputs, given)
    outputs = [f"out[i, {k}] = {name}[0]" for k, name in enumerate(names)]
    body = ["nudge = 0.0", "q1 = (at[i, 0], 0.0)", "q2 = (at[i, 1], 0.0)", "c = (at[i, 2], 0.0)", *lines, *outputs]
    return _run(double_double_header(), body)


def _run(head, body):
    loop = f"for i in range(out.shape[0]):\n{indent(body, 2)}"
    module = load(f'{head}\n\n@njit(error_model="numpy", cache=True)\ndef evaluate(at, out):\n    {loop}\n')
    out = np.empty((len(points()), len(MOMENTS)))
    module.evaluate(points(), out)
    return out


@pytest.mark.parametrize("k", range(len(ORDERS)), ids=[f"{n}-{m}" for n, m in ORDERS])
def test_both_arithmetics(k, float64_values, double_double_values):
    at = points()
    fast = relative_errors(MOMENTS[k], at, float64_values[:, k])
    assert np.nanmax(fast) < 1e-13
    # Handed over: only next to the ends, the sooner the higher the order.
    rho = at[:, 2] / np.sqrt(at[:, 0] * at[:, 1])
    handed_over = np.isnan(fast)
    assert handed_over[np.abs(rho) > 1 - 1.1e-3].all()
    assert not handed_over[(rho > -1 + (sum(ORDERS[k]) + 1) * 1.1e-3) & (rho < 0.99)].any()
    slow = relative_errors(MOMENTS[k], at, double_double_values[:, k])
    assert slow.max() < 1e-14


def test_handing_over_is_invisible():
    rho = -1 + np.geomspace(1e-12, 0.5, 400)
    moment = elementwise(rectified_moment(4, 4, q1, q2, c), [q1, q2, c])
    errors = relative_errors(rectified_moment(4, 4, q1, q2, c), [(1.0, 1.0, r) for r in rho], moment(1.0, 1.0, rho))
    assert errors.max() < 1e-13


def test_no_guard_fires_inside():
    """Nothing but the ends is handed over: the float64 statements of a ReLU test one difference of squares only."""
    moments = [rectified_moment(1, 1, q1, q2, c), rectified_moment(0, 0, q1, q2, c)]
    frozen = freeze(moments, [q1, q2, c])
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, _ = float64_lines(frozen, frozen.outputs, given, guard=2.0**-10)
    assert sum("bad |=" in line for line in lines) == 1


def test_mirrored_argument():
    """E[u_+ (-v)_+]: the covariance negated, small towards rho = +1."""
    mirrored = elementwise(rectified_moment(1, 1, q1, q2, -c), [q1, q2, c])
    rho = 1 - np.geomspace(1e-15, 0.9, 40)
    errors = relative_errors(rectified_moment(1, 1, q1, q2, c), [(1.0, 1.0, -r) for r in rho], mirrored(1.0, 1.0, rho))
    assert errors.max() < 1e-13


def test_only_integer_orders_are_compiled():
    with pytest.raises(NoClosedForm, match="integers"):
        freeze([rectified_moment(sp.Rational(1, 3), sp.Rational(1, 3), q1, q2, c)], [q1, q2, c])


def _network(n, depth=1):
    diagonal = [sp.factorial2(2 * order - 1) * q1**order / 2 for order in (n, n - 1)]
    moments = rectified_moment(n, n, q1, q2, c), n * n * rectified_moment(n - 1, n - 1, q1, q2, c)
    step = DualStep(*moments, diagonal[0], n * n * diagonal[1], sp.S.Zero, sp.S.Zero)
    return compile_program(LayerProgram((step, DenseStep(sp.S.One, sp.S.Zero)) * depth))


@pytest.mark.parametrize("n", [1, 2, 4])
def test_gram_of_nearly_opposite_rows(n):
    """Rows y = -x + distance: entries keep relative accuracy, although they fall to 1e-80 of the diagonal.

    The three scalar products in double-double have relative errors of up to (5 + 1) 2^-104 = 3e-31 (`dd_dot`), so
    1 + rho has an absolute error of up to 6e-31.
    """
    rng = np.random.default_rng(n)
    X = rng.normal(size=(12, 5))
    distances = 10.0 ** -np.arange(12.0)
    Y = -X + distances[:, None] * rng.normal(size=X.shape)
    K, T = _network(n).both(X, Y)
    exact = ball_function(rectified_moment(n, n, q1, q2, c), (q1, q2, c))
    for i, distance in enumerate(distances):
        with precision(500):
            x, y = ([ball(float(v)) for v in row] for row in (X[i], Y[i]))
            at = [sum((a * b for a, b in zip(*p, strict=True)), arb(0)) / 5 for p in ((x, x), (y, y), (x, y))]
            bound = 1e-13 + (n + 0.5) * 6e-31 / float(1 + at[2] / (at[0] * at[1]).sqrt())
            truth = exact(*at)
            for matrix in (K, T):  # T begins with 0 at the activation, and the readout adds K
                assert float(abs(arb(float(matrix[i, i])) - truth) / truth) < bound, distance


def test_gram_of_opposite_and_zero_rows():
    X = np.array([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 2.0]])
    K, _ = _network(1).both(X)
    assert K[0, 1] == 0.0 and (K[2] == 0.0).all() and K[0, 3] == K[0, 0]


def test_text_does_not_depend_on_what_was_made_before():
    """It names the module in the cache. The functions of a ReLU share the statements of their arctangent."""
    body = text([(1, 1)])
    assert body == text([(0, 0), (1, 1)]).removeprefix(text([(0, 0)]))
    assert body.count("tail = ") == 1
