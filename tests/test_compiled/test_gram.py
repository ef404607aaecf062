"""Gram matrices of layer programs against published values, a 60-digit recursion, and their own laws."""

import copy
import json
import threading
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.compiled.elementwise import elementwise
from kernalg.compiled.gram import compile_program
from kernalg.compiled.layer_program import DenseStep, DualStep, LayerProgram
from kernalg.compiled.recursion_route import RecursionRoute
from kernalg.errors import DomainError
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "neural_tangents_fc.json").read_text())

R = sp.Rational
QUADRANT = R(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)
ROOT = sp.sqrt(q1 * q2 - c**2)
RELU = c * QUADRANT + ROOT / (2 * sp.pi)


def exact(number):
    return sp.Rational(repr(number))


def dual(k, derivative=None, label="dual"):
    """A step from its formula; the derivative is dk/dc unless the activation jumps."""
    derivative = sp.diff(k, c) if derivative is None else sp.sympify(derivative)
    ends = [sp.simplify(e.subs({q2: q1, c: sign * q1})) for sign in (1, -1) for e in (k, derivative)]
    return DualStep(k, derivative, *ends, label)


def rectified(n):
    """E[u_+^n v_+^n] by K_{n+1} = (2n+1) c K_n + n^2 (q1 q2 - c^2) K_{n-1}."""
    moments = [QUADRANT, RELU]
    for m in range(1, n):
        moments.append((2 * m + 1) * c * moments[m] + m**2 * (q1 * q2 - c**2) * moments[m - 1])
    return moments[n]


def abrelu(a, b):
    return dual((b - a) ** 2 * RELU + a * b * c, (b - a) ** 2 * QUADRANT + a * b)


def step_of(layer):
    """The dual of one activation of the published file (see its conventions)."""
    name, value = layer["layer"], {k: exact(v) for k, v in layer.items() if isinstance(v, (int, float))}
    a, b, shift = value.get("a", R(1)), value.get("b", R(1)), value.get("c", R(0))
    V = (1 + 2 * b**2 * q1) * (1 + 2 * b**2 * q2)
    erf = 2 / sp.pi * a**2 * sp.asin(2 * b**2 * c / sp.sqrt(V)) + shift**2
    inner, outer = sp.exp(-(b**2) * (q1 + q2 - 2 * c) / 2), sp.exp(-(b**2) * (q1 + q2 + 2 * c) / 2)
    W = (1 + q1) * (1 + q2)
    gamma, drop = value.get("gamma", R(1)), value.get("shift", R(-1))
    match name:
        case "Relu":
            return dual(RELU, QUADRANT)
        case "LeakyRelu":
            return abrelu(value["alpha"], R(1))
        case "ABRelu":
            return abrelu(a, b)
        case "Abs":
            return abrelu(R(-1), R(1))
        case "Sign":
            return dual(2 / sp.pi * sp.asin(c / sp.sqrt(q1 * q2)), 0)
        case "Erf":
            return dual(erf)
        case "Sigmoid_like":
            w2 = exact(2.4020563531719796) ** 2
            return dual(sp.asin(2 * c / sp.sqrt((w2 + 2 * q1) * (w2 + 2 * q2))) / (2 * sp.pi) + R(1, 4))
        case "Sin" | "Cos":
            return dual(a**2 / 2 * (inner - (1 if name == "Sin" else -1) * sp.cos(2 * shift) * outer))
        case "Rbf":
            return dual(sp.exp(-gamma * (q1 + q2 - 2 * c)))
        case "Gelu":
            P = R(1, 4) + sp.asin(c / sp.sqrt(W)) / (2 * sp.pi)
            return dual(c * P + (q1 * q2 + c**2 * (1 - q1 * q2) / W) / (2 * sp.pi * sp.sqrt(W - c**2)))
        case "Gaussian":
            return dual(a**2 / sp.sqrt((1 - 2 * b * q1) * (1 - 2 * b * q2) - 4 * b**2 * c**2))
        case "Exp":
            return dual(a**2 * sp.exp(b**2 * (q1 + q2 + 2 * c) / 2))
        case "ExpNormalized":
            s = sp.sqrt(q1 * q2)
            return dual(s * sp.exp(gamma * (c / s + drop)))
        case "RectifiedMonomial":
            n = int(value["degree"])
            return dual(rectified(n), 0 if n == 0 else n**2 * rectified(n - 1))
        case "Gabor":
            D = 1 + 2 * (q1 + q2) + 4 * (q1 * q2 - c**2)
            return dual(sp.exp(-(q1 + q2 + 4 * (q1 * q2 - c**2)) / (2 * D)) * sp.sinh(c / D) / sp.sqrt(D))
    return None


def program_of(spec):
    steps = []
    for layer in spec["layers"]:
        if layer["layer"] == "Dense":
            b = layer["b_std"]
            steps.append(DenseStep(exact(layer["W_std"]) ** 2, R(0) if b is None else exact(b) ** 2))
        else:
            steps.append(step_of(layer))
    return None if None in steps else LayerProgram(tuple(steps))


RELU_STEP = dual(RELU, QUADRANT, "relu")
READOUT = DenseStep(R(1), R(0))


def network(step, depth=3):
    return LayerProgram((DenseStep(R(2), R(0)), step) * depth + (READOUT,))


@pytest.fixture(scope="module")
def relu():
    return compile_program(network(RELU_STEP))


def test_published_values():
    """One case a formula keeps the time of compilation down; all 200 cases agree to 4e-14."""
    wanted = ["nt-0010", "nt-0413", "nt-0424"]
    for case in (case for case in ORACLE["cases"] if case["id"] in wanted):
        compiled = compile_program(program_of(case["spec"]))
        inputs = ORACLE["inputs"][case["inputs"]]
        x1, x2 = np.array(inputs["x1"]), np.array(inputs["x2"])
        names = ("nngp_12", "ntk_12", "nngp_11", "ntk_11")
        for name, value in zip(names, (*compiled.both(x1, x2), *compiled.both(x1)), strict=True):
            truth = np.array(case.get("exact", {}).get(name, case["nt"][name]), dtype=float)
            assert np.abs(value - truth).max() <= 1e-13 * np.abs(truth).max(), (case["id"], name)


def relu_truth(x, y, depth=3):
    """NNGP and NTK of the network above by its recursion at 60 digits."""
    with mp.workdps(60):
        x, y = [mp.mpf(float(v)) for v in x], [mp.mpf(float(v)) for v in y]
        a, b, k = (mp.fdot(u, v) / len(x) for u, v in ((x, x), (y, y), (x, y)))
        t = mp.mpf(0)
        for _ in range(depth):
            a, b, k = 2 * a, 2 * b, 2 * k
            t = k + 2 * t
            correlation = max(-1, min(1, k / mp.sqrt(a * b))) if a * b else 0
            quadrant = mp.mpf(1) / 4 + mp.asin(correlation) / (2 * mp.pi)
            k = k * quadrant + mp.sqrt(max(0, a * b - k * k)) / (2 * mp.pi)
            t, a, b = t * quadrant, a / 2, b / 2
        return k, k + t


def rotated(x, angle, rng):
    u = rng.normal(size=x.size)
    u -= x * (u @ x) / (x @ x)
    return np.cos(angle) * x + np.sin(angle) * u * np.linalg.norm(x) / np.linalg.norm(u)


def test_close_and_opposite_rows(relu):
    rng = np.random.default_rng(1)
    x = rng.normal(size=30)
    angles = [1.0, 0.2, 0.07, 0.06, *10.0 ** -np.arange(2, 16), 0.0]
    Y = np.array([sign * rotated(x, angle, rng) for angle in angles for sign in (1, -1)])
    K, T = relu.both(x[None], Y)
    k0, t0 = (v[0] for v in relu.diagonal(x[None]))
    for j, y in enumerate(Y):
        k, t = relu_truth(x, y)
        # At the angle 0.06, where the guard hands over, one unit of rho in float64 is 2e-15 of the angle.
        assert abs(K[0, j] - k) < 1e-15 * k0
        assert abs(T[0, j] - t) < 1e-14 * t0


def test_against_itself(relu):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 20))
    X[7], X[250], X[251] = X[200], -X[3], 0.0
    K, T = relu.both(X)
    k, t = relu.diagonal(X)
    for matrix, diagonal in ((K, k), (T, t)):
        assert np.array_equal(matrix, matrix.T)
        assert np.array_equal(np.diag(matrix), diagonal)
        assert matrix[7, 200] == diagonal[7] == diagonal[200]
        assert np.all(matrix[251] == 0)
    cross = relu.both(X, X.copy())
    for matrix, other, diagonal in zip((K, T), cross, (k, t), strict=True):
        assert np.array_equal(np.diag(other), diagonal)
        assert other[7, 200] == other[200, 7] == diagonal[7]
        assert np.abs(matrix - other).max() < 1e-14 * matrix.max()
    assert np.array_equal(relu.nngp(X), K)
    assert np.array_equal(relu.ntk(X), T)
    assert np.linalg.eigvalsh(T).min() > -1e-12 * T.max()


def test_extreme_norms(relu):
    """The kernel is homogeneous: a scale s on one side is a factor s, down to where squares underflow."""
    X = np.random.default_rng(3).normal(size=(6, 5))
    K, T = relu.both(X, X[:3] + 0.1)
    for scale in (2.0**-300, 2.0**300):
        small = relu.both(X, (X[:3] + 0.1) * scale)
        np.testing.assert_allclose(small[0], K * scale, rtol=1e-14)
        np.testing.assert_allclose(small[1], T * scale, rtol=1e-14)
    with pytest.raises(DomainError, match=r"squared norm of X\[2\] overflows"):
        relu.both(np.vstack([X[:2], 1e200 * X[:1]]))


def test_threads_and_tiles_do_not_matter(relu, monkeypatch):
    import numba

    X = np.random.default_rng(4).normal(size=(290, 9))
    first = relu.both(X)
    numba.set_num_threads(1)
    try:
        second = relu.both(X)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_many_threads_call_at_once(relu):
    X = np.random.default_rng(5).normal(size=(200, 9))
    expected = relu.ntk(X)
    found = []
    callers = [threading.Thread(target=lambda: found.append(relu.ntk(X))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 4
    assert all(np.array_equal(matrix, expected) for matrix in found)


def test_inputs(relu, tmp_path):
    X = np.random.default_rng(6).normal(size=(12, 8))
    expected = relu.ntk(X)
    assert np.array_equal(relu.ntk(np.asfortranarray(X)), expected)
    assert np.array_equal(relu.ntk(X.tolist()), expected)
    spread = np.zeros((12, 16))
    spread[:, ::2] = X
    assert np.array_equal(relu.ntk(spread[:, ::2]), expected)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.array_equal(relu.ntk(frozen), expected)
    assert np.array_equal(frozen, X)
    single = X.astype(np.float32)
    assert relu.ntk(single).dtype == np.float32
    assert np.array_equal(relu.ntk(single), relu.ntk(single.astype(float)).astype(np.float32))
    assert np.array_equal(relu.ntk(np.eye(3, dtype=int)), relu.ntk(np.eye(3)))
    with pytest.raises(DomainError, match="no inputs"):
        relu.both(X[:0])


def test_copy_and_pickle_keep_the_program_alone(relu):
    X = np.random.default_rng(11).normal(size=(5, 3))
    assert np.array_equal(copy.deepcopy(relu).ntk(X), relu.ntk(X))
    assert "relu" in repr(relu)


def test_out(relu, tmp_path):
    X = np.random.default_rng(7).normal(size=(12, 8))
    K, T = relu.both(X)
    out = np.empty((12, 12)), np.memmap(tmp_path / "T", dtype=float, mode="w+", shape=(12, 12))
    relu.both(X, out=out)
    assert np.array_equal(out[0], K)
    assert np.array_equal(out[1], T)
    for wrong in (np.empty((12, 11)), np.empty((12, 12), np.float16), np.empty((12, 12), order="F"), "out"):
        with pytest.raises(DomainError, match="out"):
            relu.nngp(X, out=wrong)
    with pytest.raises(DomainError, match="overlap"):
        relu.both(X, out=(K, K))
    square = np.eye(4)
    with pytest.raises(DomainError, match="overlaps the inputs"):
        relu.nngp(square, out=square)
    assert np.array_equal(square, np.eye(4))
    with pytest.raises(DomainError, match="pair"):
        relu.both(X, out=K)


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (np.ones(3), None, "reshape"),
        (np.ones((3, 0)), None, "dimension 0"),
        (np.ones((3, 2)), np.ones((3, 4)), "2 columns and Y has 4"),
        (np.ones((3, 2)), [[1.0, np.nan]], r"Y\[0, 1\] is nan"),
        ([[1.0, 1.0], [np.inf, 1.0]], None, r"X\[1, 0\] is inf"),
        (np.ones((2, 2), complex), None, "complex128"),
        ([["a", "b"]], None, "type <U1"),
    ],
)
def test_refused_inputs(relu, X, Y, message):
    with pytest.raises(DomainError, match=message):
        relu.both(X, Y)


def test_overflow_is_refused():
    """exp(x) at variance 400: the kernel is e^400 in one layer and beyond float64 in two."""
    step = dual(sp.exp((q1 + q2 + 2 * c) / 2), label="exp")
    X = np.array([[20.0], [19.0]])
    assert np.isfinite(compile_program(LayerProgram((READOUT, step))).ntk(X / 4)).all()
    with pytest.raises(DomainError, match="not finite"):
        compile_program(LayerProgram((READOUT, step, READOUT, step))).nngp(X)


def test_programs_without_dual_or_dense():
    X = np.array([[1.0, 2.0], [3.0, -1.0]])
    K, T = compile_program(LayerProgram((DenseStep(R(1, 3), R(1, 7)), DenseStep(R(2), R(0))))).both(X)
    product = (X @ X.T / 2) / 3 + 1 / 7
    np.testing.assert_allclose(K, 2 * product, rtol=1e-15)
    np.testing.assert_allclose(T, 2 * product + 2 * product, rtol=1e-15)


def test_formula_without_a_value_is_refused():
    """1/sqrt(q1 q2 - c^2), a distributional derivative, is infinite on the diagonal."""
    step = DualStep(c, 1 / ROOT, q1, R(1), -q1, R(1), "bad")
    compiled = compile_program(LayerProgram((READOUT, step)))
    with pytest.raises(DomainError, match=r"X\[1\] with X\[0\]"):
        compiled.both(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert compiled.nngp(np.array([[1.0, 2.0], [2.0, 4.0]])).tolist() == [[2.5, 5.0], [5.0, 10.0]]


def test_close_rows_and_no_others_are_computed_again(relu, monkeypatch):
    x = np.random.default_rng(8).normal(size=(1, 10))
    Y = np.vstack([rotated(x[0], angle, np.random.default_rng(9)) for angle in (0.5, 0.03, 1e-4)])
    marked = []
    module = relu._recursion._refine_module
    refine = module.refine

    def spy(X, Y, rows, columns, *rest):
        marked.extend(columns.tolist())
        return refine(X, Y, rows, columns, *rest)

    monkeypatch.setattr(module, "refine", spy)
    relu.both(x, Y)
    assert marked == [1, 2]


@pytest.mark.parametrize("layer", [{"layer": "Gelu"}, {"layer": "Sin"}, {"layer": "Erf"}, {"layer": "Gabor"}])
def test_smooth_formulas_stay_in_float64(layer, monkeypatch):
    """Rows at angles of 0.3 and more: a guard that fires here would cost a factor of 1000 in time."""
    compiled = compile_program(network(step_of(layer), depth=2))
    monkeypatch.setattr(RecursionRoute, "_refine", lambda *arguments: pytest.fail("computed again"))
    X = np.random.default_rng(10).normal(size=(20, 30))
    assert np.isfinite(compiled.ntk(X, X + np.roll(X, 1, axis=0))).all()


def test_exponentials_that_overflow_beside_probabilities_that_vanish():
    """The dual of exp(x) Heaviside(-x), twice, at norms from 1e-3 to 1e4; the pair function has its own tests."""
    k = sp.exp(c + (q1 + q2) / 2) * bivariate_normal_cdf(
        -(q1 + c) / sp.sqrt(q1), -(q2 + c) / sp.sqrt(q2), c / sp.sqrt(q1 * q2)
    )
    diagonal = sp.exp(2 * q1) * normal_cdf(-2 * sp.sqrt(q1))
    layer = DualStep(k, k, diagonal, diagonal, sp.S.Zero, sp.S.Zero)
    rng = np.random.default_rng(6)
    X = rng.normal(size=(40, 5)) * 10 ** rng.uniform(-3, 4, (40, 1))
    K, T = compile_program(LayerProgram((layer, layer))).both(X)
    assert np.isfinite(K).all() and np.isfinite(T).all()
    f, g = elementwise(k, [q1, q2, c]), elementwise(diagonal, [q1])
    q, products = (X * X).sum(1) / 5, X @ X.T / 5
    off = ~np.eye(40, dtype=bool)
    first = np.where(off, f(q[:, None], q[None, :], np.where(off, products, 0.0)), g(q)[:, None])
    second = np.where(off, f(g(q)[:, None], g(q)[None, :], np.where(off, first, 0.0)), g(g(q))[:, None])
    assert abs(K / second - 1).max() < 1e-11
