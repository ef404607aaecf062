"""Gram matrices of activations without a closed-form dual at any norms, against certified values."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from kernalg.activation.activation import activation
from kernalg.compiled import series_coefficients, series_loops
from kernalg.compiled.gram import CompiledProgram, compile_program
from kernalg.compiled.gram_source import BLOCK
from kernalg.compiled.layer_program import LayerProgram, SeriesStep
from kernalg.compiled.series_route import SeriesRoute
from kernalg.errors import DomainError, NoClosedForm
from kernalg.network.layers import Dense
from kernalg.network.network import mlp, serial
from kernalg.network.smooth_function import float64_functions

CERTIFIED = json.loads((Path(__file__).parents[1] / "data" / "hermite_series_entries.json").read_text())


def spread_rows(n, d=8, seed=0, largest=6.0):
    """Rows whose norms spread over a factor 100, with duplicates, multiples, opposites and near-duplicates."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X *= (largest * np.sqrt(d) * 10 ** rng.uniform(-2, 0, n) / np.linalg.norm(X, axis=1))[:, None]
    X[0] *= largest * np.sqrt(d) / np.linalg.norm(X[0])
    X[1] *= largest / 100 * np.sqrt(d) / np.linalg.norm(X[1])
    X[2], X[3], X[4], X[5] = X[0], -X[0], X[0] + 1e-7 * X[6], 0.5 * X[0]
    return X


def double_integral(phi, X, layers=1):
    """E phi(u) phi(v) by the trapezoidal rule in two dimensions, for one Dense(1, 0) layer."""
    step = 0.08
    z = step * np.arange(-110, 111)
    weights = step * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    n, d = X.shape
    G = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            q1, q2, c = X[i] @ X[i] / d, X[j] @ X[j] / d, X[i] @ X[j] / d
            along, across = c / np.sqrt(q1), np.sqrt(max(q2 - c * c / q1, 0.0))
            G[i, j] = weights * phi(np.sqrt(q1) * z) @ phi(along * z[:, None] + across * z) @ weights
    return G


@pytest.mark.parametrize("case", CERTIFIED["networks"], ids=lambda case: case["activation"])
def test_entries_are_the_certified_ones(case):
    X = np.array(CERTIFIED["rows"])
    net = mlp(case["activation"], depth=case["depth"], w_var=case["w_var"], b_var=case["b_var"])
    K, T = net.ntk.nngp_and_ntk(X)
    i, j = np.array([entry[:2] for entry in case["entries"]]).T
    error = net.ntk._compiled.prepare(X, None, True).error
    for G, part in ((K, 2), (T, 3)):
        exact = np.array([float(entry[part]) for entry in case["entries"]])
        found = np.abs(G[i, j] - exact) / np.sqrt(G[i, i] * G[j, j])
        assert found.max() <= 1e-14
        assert found.max() <= error[part - 2] <= 1e-13
    np.testing.assert_array_equal(np.diag(T), net.ntk.diag(X))


def test_random_rows_meet_a_double_integral():
    X = spread_rows(12, largest=2.0)
    K = mlp("softplus", w_var=1).nngp(X)
    exact = double_integral(lambda x: np.logaddexp(0, x), X)
    assert (np.abs(K - exact) / np.sqrt(np.outer(np.diag(K), np.diag(K)))).max() < 1e-13


@pytest.mark.parametrize(("name", "largest"), [("tanh", 4.0), ("mish", 1.5), ("x*tanh(x)", 1.5)])
def test_rows_relate_as_they_must(name, largest):
    X = spread_rows(150, largest=largest)
    net = mlp(name, depth=3, w_var="3/2", b_var="1/10")
    K, T = net.ntk.nngp_and_ntk(X)
    for G, kernel in ((K, net.nngp), (T, net.ntk)):
        np.testing.assert_array_equal(G, G.T)
        np.testing.assert_array_equal(np.diag(G), kernel.diag(X))
        np.testing.assert_array_equal(G, kernel(X))
        assert G[0, 2] == G[0, 0] == G[2, 2]  # equal rows
        np.testing.assert_array_equal(G[:, 0], G[:, 2])
        scale = np.sqrt(np.outer(np.diag(G), np.diag(G)))
        assert (np.abs(G - kernel(X, X)) / scale).max() < 2e-14
        assert 0 < abs(G[0, 4] / G[0, 0] - 1) < 1e-6
        assert np.linalg.eigvalsh(G / scale).min() > -1e-12
        out = np.empty_like(G)
        assert kernel(X, out=out) is out or np.array_equal(out, G)
        v = np.random.default_rng(1).normal(size=(150, 2))
        np.testing.assert_allclose(kernel.operator(X) @ v, G @ v, rtol=0, atol=1e-11 * np.abs(G @ v).max())
        np.testing.assert_allclose(
            kernel.operator(X, X[:7]) @ v[:7], G[:, :7] @ v[:7], rtol=0, atol=1e-11 * scale.max()
        )


def test_series_meet_the_recursion_by_formulas():
    """erf has a formula, so that both routes can be asked, at any depth."""
    X = spread_rows(40, largest=3.0)
    X[7] = 0.0
    phi = activation("erf")
    net = mlp(phi, depth=4, w_var=2, b_var="1/5")
    step = SeriesStep(float64_functions(phi), -1, "erf")
    steps = tuple(s if not hasattr(s, "k") else step for s in net.ntk.program.steps)
    by_series, by_formulas = compile_program(LayerProgram(steps)), compile_program(LayerProgram(net.ntk.program.steps))
    assert isinstance(by_series._recursion, SeriesRoute)
    for a, b in zip(by_series.both(X), by_formulas.both(X), strict=True):
        assert (np.abs(a - b) / np.sqrt(np.outer(np.diag(b), np.diag(b)))).max() < 1e-13


def test_the_result_does_not_depend_on_threads():
    import numba

    X = spread_rows(300)
    kernel = mlp("tanh", depth=2, w_var=1).ntk
    first = kernel(X)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(kernel(X), first)
    finally:
        numba.set_num_threads(before)


def test_float32_is_rounded_float64():
    X = spread_rows(140).astype(np.float32)
    kernel = mlp("silu", w_var=1).ntk
    G = kernel(X)
    assert G.dtype == np.float32
    np.testing.assert_allclose(G, kernel(X.astype(np.float64)), rtol=1.2e-7)


def test_zero_rows_and_no_dense_layer_between():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    K = serial(Dense(1, 0), "softplus").nngp(X)
    assert K[0, 0] == pytest.approx(np.log(2) ** 2, rel=1e-15)
    mean = float(activation("softplus").hermite(0, q="25/2", digits=18)[0])
    assert K[0, 1] == pytest.approx(np.log(2) * mean, rel=1e-15)
    T = serial(Dense(1, 0), "tanh", Dense(1, 0), Dense(2, "1/2")).ntk(X)
    np.testing.assert_array_equal(T[0], [0.5, 0.5])


def test_equal_norms_of_few_rows_need_no_table():
    X = spread_rows(7, largest=1.0)
    X /= np.linalg.norm(X, axis=1)[:, None] / np.sqrt(8)
    net = mlp("tanh", depth=2, w_var=1)
    prepared = net.ntk._compiled.prepare(X, None, True)
    assert isinstance(prepared.route, SeriesRoute)
    np.testing.assert_array_equal(np.diag(net.ntk(X)), net.ntk.diag(X))


def test_what_is_refused_and_why():
    with pytest.raises(DomainError, match=r"variance 1e\+06 of X\[1\] its Hermite series is not settled at degree"):
        mlp("tanh", w_var=1).ntk(np.array([[1.0], [1e3]]))
    with pytest.raises(NoClosedForm, match="breaks at other places than 0"):
        mlp("tanh(abs(x - 1))").ntk(np.array([[1.0], [2.0]]))
    with pytest.raises(DomainError, match=r"200 such entries are computed by quadrature. Scale the rows to equal"):
        mlp("softsign", w_var=1).ntk(np.linspace(1, 2, 30)[:, None])
    with pytest.raises(DomainError, match=r"X\[1\] with X\[0\] is not known to 1e-12: .* nearly parallel"):
        mlp("softsign", depth=2, w_var=1).ntk(np.array([[1.0], [1.0 + 1e-6]]))
    with pytest.raises(DomainError, match=r"X\[1\] with X\[0\] is not known to 1e-12: .* or their norms are large"):
        mlp("softsign", w_var=1).ntk(np.array([[1.0], [1e4]]))
    with pytest.raises(DomainError, match=r"rounding of the inputs grows to .* 1e-12 is allowed"):
        mlp("tanh", depth=30, w_var=9).ntk(np.array([[1.0], [2.0]]))


def test_coefficients_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(series_coefficients, "available_memory", lambda: 10**6)
    with pytest.raises(DomainError, match="Give fewer rows at a time"):
        series_coefficients._check_fits("X", 10**6, 1024)


def test_a_program_travels_to_another_process():
    X = spread_rows(8, largest=1.0)
    kernel = mlp("tanh").ntk
    sent = pickle.loads(pickle.dumps(kernel._compiled))  # noqa: S301, our own bytes
    assert isinstance(sent, CompiledProgram)
    np.testing.assert_array_equal(sent.ntk(X), kernel(X))


@pytest.mark.parametrize("name", ["Heaviside(x)*sin(x)", "Heaviside(x)*cos(x)", "softsign"])
def test_activations_that_break_at_zero(name):
    """Also at equal, parallel, opposite and nearly parallel rows; against certified values."""
    X = np.array([[1.0, 0.0], [0.25, 1.5], [-2.0, 2.5], [1.0, 0.0], [2.0, 2.0**-20], [-0.5, -3.0], [0.0, 0.0]])
    X = X[: 6 if name == "softsign" else 7]
    net = mlp(name, w_var=1)
    K, T = net.ntk.nngp_and_ntk(X)
    error = net.ntk._compiled.prepare(X, None, True).error
    assert max(error) < 1e-13
    for G, kernel in ((K, net.nngp), (T, net.ntk)):
        assert G[0, 3] == G[0, 0]
        for i, j in (
            ((0, 0), (1, 0), (2, 2)) if name == "softsign" else ((0, 0), (1, 0), (2, 1), (2, 2), (4, 1), (4, 4))
        ):
            y = X[j]
            q1, q2, c = (sp.Rational(float(a @ b)) / 2 for a, b in ((X[i], X[i]), (y, y), (X[i], y)))
            exact = float(kernel.value(q1, q2, c, digits=17))
            assert abs(G[i, j] - exact) <= 2e-14 * np.sqrt(G[i, i] * G[j, j])


def test_smooth_and_breaking_layers_mixed():
    X = np.array([[1.0, 0.5], [-0.5, 2.0], [3.0, 1.5]])
    net = serial(Dense(1, "1/10"), "tanh", Dense(2, 0), "relu", Dense(1, 0))
    G = net.ntk(X)
    for i, q, c in ((1, "17/8", "1/4"), (2, "45/8", "15/8")):
        exact = float(net.ntk.value(q, "5/8", c, digits=17))
        assert abs(G[i, 0] - exact) < 1e-14 * np.sqrt(G[0, 0] * G[i, i])


def test_values_where_exp_overflows():
    at = np.array([-800.0, 0.0, 800.0])
    value, slope = float64_functions(activation("softplus"))(at)
    np.testing.assert_allclose(value, [0, np.log(2), 800], rtol=1e-15)
    np.testing.assert_allclose(slope, [0, 0.5, 1], rtol=1e-15)


def test_the_loops_and_the_coefficients_are_stored_alike():
    assert (series_loops.BLOCK, series_loops.STEP) == (BLOCK, series_coefficients.STEP)
