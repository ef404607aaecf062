"""Gram matrices by tables of polynomials, against balls: every entry, also where rows nearly coincide."""

import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb

from kernalg.compiled.gram import CompiledProgram, compile_program
from kernalg.compiled.layer_program import LayerProgram
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError, NoClosedForm
from kernalg.network import sphere_tables
from kernalg.network.layers import Dense
from kernalg.network.network import mlp, serial
from kernalg.network.recursion import on_pair
from kernalg.network.sphere_tables import NetworkSpheres
from kernalg.network.sphere_values import sphere_values


def awkward_rows(d=6, seed=0):
    """Rows with exact duplicates, multiples, opposites, orthogonal pairs, and angles from 1e-2 to 1e-12."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, d))
    y -= x * (x @ y) / (x @ x)
    y *= np.linalg.norm(x) / np.linalg.norm(y)
    close = [np.cos(a) * x + np.sin(a) * y for a in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)]
    opposite = [-np.cos(a) * x + np.sin(a) * y for a in (1e-1, 1e-5, 1e-9)]
    return np.array([x, x, -x, 3 * x, y, *close, *opposite, *rng.normal(size=(4, d))])


def exact_entry(kernel, x, y):
    """The kernel of the very numbers in the rows, as a float."""
    x, y = ([Fraction(float(v)) for v in row] for row in (x, y))
    d = len(x)
    q1, q2, c = (
        sp.Rational(p.numerator, p.denominator)
        for p in (
            sum(a * a for a in x) / d,
            sum(b * b for b in y) / d,
            sum(a * b for a, b in zip(x, y, strict=True)) / d,
        )
    )
    return float(kernel.value(q1, q2, c, digits=20))


def worst_error(kernel, X, G):
    """Largest |error| / sqrt(G_ii G_jj) over all pairs of the rows."""
    exact = np.array([[exact_entry(kernel, x, y) if i >= j else 0.0 for j, y in enumerate(X)] for i, x in enumerate(X)])
    exact = np.tril(exact) + np.tril(exact, -1).T
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    return float((np.abs(G - exact) / scale).max())


@pytest.mark.parametrize("depth", [1, 3, 10, 30, 100])
def test_relu_at_any_depth(depth):
    X = awkward_rows()
    if depth > 10:
        X = X[::2]
    net = mlp("relu", depth=depth, w_var=2)
    K, T = net.ntk.nngp_and_ntk(X)
    assert worst_error(net.ntk, X, T) <= 1e-12
    assert worst_error(net.nngp, X, K) <= 1e-13


@pytest.mark.parametrize(
    ("name", "w_var", "b_var"),
    [
        ("erf", 2, "1/10"),
        ("gelu", 2, 0),
        ("sin", 3, "1/5"),
        ("elu", 2, 0),
        ("relu6", 2, "1/10"),
        ("step", 1, "1/4"),
    ],
)
def test_other_activations_on_a_sphere(name, w_var, b_var):
    X = awkward_rows(seed=1)[:: 1 if name in ("erf", "gelu", "sin") else 3]
    X *= np.sqrt(X.shape[1] / np.einsum("ij,ij->i", X, X))[:, None]
    net = mlp(name, depth=2, w_var=w_var, b_var=b_var)
    route = net.ntk._compiled._profile(*[np.einsum("ij,ij->i", X, X)] * 2, X.shape[1])
    K, T = net.ntk.nngp_and_ntk(X)
    limit = 1e-6 if name == "step" else 1e-12  # the second step turns the rounding of the rows into its square root
    assert worst_error(net.ntk, X, T) <= limit and worst_error(net.nngp, X, K) <= limit
    assert (route is None) == (name == "step")


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "squared_relu", "abs", "sign"])
def test_homogeneous_networks_at_any_norm_agree_with_the_recursion(name):
    X = awkward_rows(seed=2) * np.array([1e-3, 1.0, 7.0, 1e4] * 5)[:18, None]
    program = mlp(name, depth=2, w_var=1).ntk.program
    by_table, by_layers = compile_program(program), compile_program(LayerProgram(program.steps))
    for a, b in zip(by_table.both(X), by_layers.both(X), strict=True):
        scale = np.sqrt(np.outer(np.diag(b), np.diag(b)))
        assert (np.abs(a - b) / scale).max() <= (1e-6 if name == "sign" else 3e-14)


def test_equal_rows_are_exact_and_the_diagonal_is_the_diagonal():
    X = awkward_rows()
    kernel = mlp("relu", depth=5).ntk
    K, T = kernel.nngp_and_ntk(X)
    assert T[0, 1] == T[0, 0] == T[1, 1] and K[0, 1] == K[0, 0]
    np.testing.assert_array_equal(np.diag(T), kernel.diag(X))
    np.testing.assert_array_equal(T, kernel(X))
    np.testing.assert_array_equal(T, T.T)
    np.testing.assert_allclose(kernel(X, X), T, rtol=1e-13)


def test_zero_rows_have_kernel_zero():
    X = awkward_rows()
    X[3] = 0
    K, T = mlp("relu", depth=3).ntk.nngp_and_ntk(X)
    assert not K[3].any() and not T[:, 3].any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 2), (2, 10_000), (130, 3)])
def test_any_shape(shape):
    X = np.random.default_rng(3).normal(size=shape)
    net = mlp("relu", depth=3, w_var=2)
    K, T = net.ntk.nngp_and_ntk(X)
    assert worst_error(net.ntk, X[:6], T[:6, :6]) <= 1e-12
    assert K.shape == T.shape == (shape[0], shape[0])
    np.testing.assert_allclose(net.ntk(X, X[:1])[:, 0], T[:, 0], rtol=1e-12)


def test_the_result_does_not_depend_on_threads():
    import numba

    X = np.random.default_rng(4).normal(size=(300, 20))
    kernel = mlp("relu", depth=3).ntk
    before = numba.get_num_threads()
    first = kernel(X)
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(kernel(X), first)
    finally:
        numba.set_num_threads(before)


def test_values_at_equal_variances_meet_the_recursion():
    net = mlp("gelu", depth=3, w_var=2, b_var="1/10")
    values = sphere_values(net.layers, arb(1))
    with precision(300):
        for side, y in ((0, arb(1) / 3), (1, arb(1) / 1024), (-1, arb(1) / 1024)):
            at = y.mid()
            xi = at if side == 0 else side * (1 - at * at)
            for one, other in zip(values(side, at), on_pair(net.layers, arb(1), arb(1), xi), strict=True):
                assert one.overlaps(other) and one.rad() < 1e-20


def test_power_of_homogeneous_networks():
    assert NetworkSpheres(mlp("relu", depth=3).layers).power == 1
    assert NetworkSpheres(mlp("squared_relu", depth=2).layers).power == 4
    assert NetworkSpheres(mlp("relu", depth=3, b_var="1/10").layers).power is None
    assert NetworkSpheres(mlp("erf", depth=1).layers).power is None
    assert NetworkSpheres((Dense(2, 0),)).power == 1


def test_a_program_travels_to_another_process():
    X = awkward_rows()
    kernel = serial(Dense(2, 0), "relu", Dense(1, 0)).ntk
    sent = pickle.loads(pickle.dumps(kernel._compiled))  # noqa: S301, our own bytes
    assert isinstance(sent, CompiledProgram)
    np.testing.assert_array_equal(sent.ntk(X), kernel(X))


def test_the_error_of_the_table_is_known():
    error = mlp("relu", depth=10).ntk._compiled.error
    assert error is not None and all(0 < e < 1e-15 for e in error)
    assert mlp("erf", depth=1).ntk._compiled.error is None


def test_networks_without_closed_forms():
    """tanh: the table on a sphere and the certified value, against duals nested by hand at 40 digits."""
    net = mlp("tanh", depth=2, w_var=1, b_var="1/10")
    dual, slope = net.layers[1].dual, net.layers[1].dual.derivative

    def layer(q, c, t):
        q, c = q + sp.Rational(1, 10), c + sp.Rational(1, 10)
        t = c + t
        q, c, t = (sp.Rational(str(v)) for v in (q, c, t))
        k, factor, v = (d.value(q, q, at, digits=25) for d, at in ((dual, c), (slope, c), (dual, q)))
        return v, k, t * factor

    q, c, t = layer(sp.S.One, sp.Rational(3, 10), sp.S.Zero)
    q, c, t = layer(q, c, t)
    expected = c, c + t
    for kernel, exact in zip((net.nngp, net.ntk), expected, strict=True):
        assert abs(kernel.value(1, 1, "3/10", digits=18) / exact - 1) < 1e-17
    X = np.array([[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)], [-1.0, 0.0], [1.0, 0.0]]) * np.sqrt(2)
    for gram, exact in zip(net.ntk.nngp_and_ntk(X), expected, strict=True):
        assert abs(gram[0, 1] / float(exact) - 1) < 1e-13
        assert gram[0, 3] == gram[0, 0]
    with pytest.raises(NoClosedForm, match=r"rows of equal norm only: scale them"):
        mlp("tanh(abs(x - 1))").ntk(2 * X[:2] * [[1], [3]])
    profile = net.ntk.profile()
    assert abs(np.polynomial.polynomial.polyval(0.3, profile.taylor(64)) / float(expected[1]) - 1) < 1e-14


def test_values_without_closed_forms_at_unequal_variances():
    net = mlp("softplus", depth=1, w_var=2)
    exact = net.layers[1].dual.value(2, 3, -1, digits=20)
    assert abs(net.nngp.value(1, "3/2", "-1/2", digits=18) - exact) < 1e-17


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_float32_is_rounded_float64(name):
    X = awkward_rows().astype(np.float32)
    X = np.vstack([X, np.random.default_rng(5).normal(size=(600, 6)).astype(np.float32)])
    kernel = mlp(name, depth=3, w_var=2).ntk
    K, T = kernel.nngp_and_ntk(X)
    exact = kernel.nngp_and_ntk(X.astype(np.float64))
    assert K.dtype == T.dtype == np.float32
    for rounded, full in zip((K, T), exact, strict=True):
        np.testing.assert_allclose(rounded, full, rtol=1.2e-7, atol=1e-12)
        np.testing.assert_array_equal(rounded, rounded.T)
    np.testing.assert_array_equal(kernel(X, X[:3]), kernel(X.astype(np.float64), X[:3].astype(np.float64)).astype("f4"))
    out = np.empty((len(X), len(X)))
    np.testing.assert_array_equal(kernel(X, out=out), exact[1])
    with pytest.raises(DomainError, match="beyond the range of float32"):
        mlp("squared_relu", depth=2).nngp(X * np.float32(1e8))


def test_long_tables_are_watched_on_a_terminal_only(monkeypatch, capsys):
    layers = mlp("relu", depth=2).layers
    monkeypatch.setattr(sphere_tables, "_SILENT_SECONDS", 0.0)
    made = sphere_tables._compute(NetworkSpheres(layers), Fraction(1))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert sphere_tables._compute(NetworkSpheres(layers), Fraction(1)) == made
    lines = capsys.readouterr().err.split("\r")
    assert re.match(r"\[1/1\] Table of a kernel of 5 layers: 1 values in 0 s \(100 to 300", lines[1])
    assert re.fullmatch(r"\[1/1\] Table .*: \d\d+ values in \d s *\n", lines[-1])
    monkeypatch.setattr(sphere_tables, "_SILENT_SECONDS", 100.0)
    sphere_tables._compute(NetworkSpheres(layers), Fraction(1))
    assert capsys.readouterr().err == ""
