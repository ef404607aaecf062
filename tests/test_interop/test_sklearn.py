"""NetworkKernel: gradients against certified values, scikit-learn's own checks, and its estimators."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, CompoundKernel, ConstantKernel, Exponentiation, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import kernalg as ka
from kernalg.compiled.variance_gradient import variance_gradient
from kernalg.errors import DomainError, NoClosedForm
from kernalg.network.variance_gradient import dual_gradient

R = sp.Rational
KINDS = ("ntk", "nngp")


def kernel(activation="relu", depth=2, **parameters):
    return ka.NetworkKernel(activation, depth=depth, **parameters)


# -- gradients ----------------------------------------------------------------------------------


def awkward_rows():
    """Two rows, a duplicate, an opposite one, zero, and a multiple."""
    a, b = np.random.default_rng(3).standard_normal((2, 4))
    return np.array([a, b, a, -b, 0 * a, 2 * b])


DISTINCT = [(0, 0), (1, 1), (4, 4), (1, 0), (3, 1), (3, 0), (4, 0), (5, 1), (5, 3)]


STEP = R(1, 10**12)


def certified(activation, depth, kind, w, b, x, y, step=STEP):
    """d/dlog b, d/dlog w: central differences of values certified to 40 digits; their error is about step^2."""
    x, y = ([Fraction(v) for v in row] for row in (x, y))
    inner = [sum(u * v for u, v in zip(s, t, strict=True)) / len(x) for s, t in ((x, x), (y, y), (x, y))]

    @cache
    def value(dw, db):
        network = ka.mlp(activation, depth, w * (1 + dw), b * (1 + db), (R(3, 2), R(1, 5)))
        return getattr(network, kind).value(*inner, digits=40)

    return [float((value(*move) - value(*(-m for m in move))) / (2 * step)) for move in ((0, step), (step, 0))]


@pytest.mark.parametrize(
    ("activation", "depth", "w", "b"),
    [
        *[("relu", depth, R(2), R(1, 10)) for depth in (1, 2, 4, 5)],
        ("relu", 3, R(1, 2), R(1)),
        ("erf", 1, R(3), R(1, 4)),
        ("erf", 4, R(3), R(1, 4)),
        ("gelu", 3, R(2), R(1, 10)),
        ("elu", 3, R(3, 2), R(1, 10)),
        ("sin", 1, R(2), R(1, 10)),
        ("sin", 5, R(2), R(1, 10)),
    ],
)
def test_gradients_are_those_of_the_certified_kernel(activation, depth, w, b):
    X = awkward_rows()
    for kind in KINDS if depth == 2 else ("ntk",):
        ours = kernel(
            activation,
            depth,
            kind=kind,
            weight_variance=w,
            bias_variance=b,
            readout_weight_variance=R(3, 2),
            readout_bias_variance=R(1, 5),
        )
        K, G = ours(X, eval_gradient=True)
        assert np.array_equal(G, G.transpose(1, 0, 2))
        assert np.array_equal(G[2, 0], G[0, 0]) and K[2, 0] == K[0, 0]
        size = np.abs(G).max()
        for i, j in DISTINCT[2:6] if activation == "elu" else DISTINCT:  # the certified values take their time
            assert np.abs(G[i, j] - certified(activation, depth, kind, w, b, X[i], X[j])).max() < 1e-13 * size, (i, j)


@pytest.mark.parametrize("distance", [1e-3, 1e-7, 1e-12, 1e-15])
def test_gradients_of_close_and_nearly_opposite_rows(distance):
    x = np.array([1.0, -0.5, 0.25])
    y = x + distance * np.array([0.3, 1.0, 0.7])
    _, G = kernel(depth=3)(np.array([x, y, -y]), eval_gradient=True)
    for (i, j), pair in {(1, 0): (x, y), (2, 0): (x, -y)}.items():
        truth = certified("relu", 3, "ntk", R(2), R(1, 10), *pair, step=R(1, 10**16))
        # without the readout of `certified`: K = 3/2 of ours for the readout's weights
        assert np.abs(1.5 * G[i, j] - truth).max() < 1e-12 * np.abs(1.5 * G[0, 0]).max()


@pytest.mark.parametrize(("activation", "depth"), [("relu", 1), ("relu", 5), ("squared_relu", 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_without_biases_the_weight_variance_of_a_homogeneous_network_is_a_factor(activation, depth, kind):
    """K is w^m times a constant, which the class uses, and the differentiated recursion must find: dK/dlog w = m K."""
    X = awkward_rows()
    ours = kernel(activation, depth, kind=kind, weight_variance=1.3, bias_variance=0)
    K, G = ours(X, eval_gradient=True)
    network = ka.mlp(activation, depth, 1.3, 0)
    plain = network.ntk if kind == "ntk" else network.nngp
    scale = np.abs(K).max()
    assert np.abs(K - plain(X)).max() < 1e-14 * scale
    assert G.shape == (6, 6, 1) and ours.theta.tolist() == [np.log(1.3)]
    formulas = dual_gradient(ka.activation(activation))
    general = variance_gradient(formulas, depth, kind == "ntk", R(13, 10), sp.S.Zero, 1.0, X)
    assert np.abs(general[:, :, 0] - G[:, :, 0]).max() < 1e-14 * np.abs(G).max()
    assert not general[:, :, 1].any()


def test_many_rows_in_threads_and_panels():
    """A chunk boundary, a block boundary, and marked entries in several chunks."""
    X = np.random.default_rng(0).standard_normal((300, 3))
    X[250:] = X[:50]
    X[200] = -X[100]
    ours = kernel()
    _, G = ours(X, eval_gradient=True)
    assert np.array_equal(G, G.transpose(1, 0, 2)) and np.array_equal(np.diagonal(G[250:]), np.diagonal(G[:50, :50]))
    assert np.abs(G[290:, 290:] - ours(X[290:], eval_gradient=True)[1]).max() < 1e-14 * np.abs(G).max()
    assert np.array_equal(np.diagonal(G[:100, :100]), np.diagonal(ours(X[:100], eval_gradient=True)[1]))
    step = 1e-5
    for p, move in enumerate(step * np.eye(2)):
        up, down = (ours.clone_with_theta(ours.theta + s * move)(X) for s in (1, -1))
        assert np.abs((up - down) / (2 * step) - G[:, :, p]).max() < 1e-8 * np.abs(G).max()


# -- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [0, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_network(kind, bias):
    X, Y = np.random.default_rng(1).standard_normal((2, 40, 6))
    X[7] = Y[3]
    ours = kernel(depth=3, kind=kind, weight_variance=1.7, bias_variance=bias, readout_bias_variance=0.25)
    network = ka.mlp("relu", 3, 1.7, bias, (1, 0.25))
    plain = network.ntk if kind == "ntk" else network.nngp
    assert np.abs(ours(X, Y) - plain(X, Y)).max() < 1e-14 * plain.diag(X).max()
    assert np.array_equal(ours.diag(X), np.diagonal(ours(X)))
    assert np.array_equal(ours.diag(X), np.diagonal(ours(X, X)))
    assert ours(X, Y)[7, 3] == ours.diag(X)[7]
    one = ours(X[0], Y)
    assert one.shape == (1, 40) and np.abs(one - ours(X, Y)[:1]).max() < 1e-14 * one.max()
    assert ours(X[:1]).shape == (1, 1) and ours(X[:1], eval_gradient=True)[1].shape == (1, 1, 1 + bool(bias))


def test_no_table_and_no_compilation_for_new_variances(tmp_path, monkeypatch):
    """Rows of one norm have a table of the profile, which would be made for every step of an optimiser."""
    from kernalg.compiled import cache as modules
    from kernalg.network import sphere_tables

    X = np.random.default_rng(2).standard_normal((20, 4))
    X[1], X[2] = X[0] + 1e-9, 1e-9 - X[0]  # nearly parallel: the code that refines such entries is needed at once
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    ours = kernel()
    ours(X, eval_gradient=True)

    def refuse(*_):
        raise AssertionError("made for one value of the hyperparameters")

    monkeypatch.setattr(sphere_tables, "_compute", refuse)
    monkeypatch.setattr(modules, "_import", refuse)
    for theta in np.random.default_rng(2).uniform(-2, 2, (5, 2)):
        K, gradient = ours.clone_with_theta(theta)(X, eval_gradient=True)
        assert np.isfinite(K).all() and gradient.shape == (20, 20, 2)


# -- scikit-learn's contract ----------------------------------------------------------------------

VARIANTS = {
    "relu": kernel(),
    "nngp": kernel("erf", 3, kind="nngp", weight_variance=3, bias_variance=0.25),
    "fixed weights": kernel(weight_variance_bounds="fixed"),
    "all fixed": kernel(weight_variance_bounds="fixed", bias_variance_bounds="fixed"),
    "no biases": kernel(bias_variance=0),
    "formula": kernel("x*(1+erf(x/sqrt(2)))/2", 1),
    "sum": kernel() + WhiteKernel(3.0),
    "product": ConstantKernel(2.0) * kernel(depth=1),
    "power": kernel() ** 2,
    "nested": 0.5 * kernel("erf") + Exponentiation(kernel(depth=1, weight_variance=0.5), 2) * RBF(2.0),
}


def theirs(module, name):
    tests = pytest.importorskip(f"sklearn.gaussian_process.tests.{module}", reason="scikit-learn without its tests")
    return getattr(tests, f"test_{name}")


KERNEL_CHECKS = [
    "kernel_gradient",
    "auto_vs_cross",
    "kernel_diag",
    "kernel_input_type",
    "kernel_clone",
    "kernel_clone_after_set_params",
    "kernel_versus_pairwise",
    "set_get_params",
    "repr_kernels",
]
# k(X) != k(X, X) for a kernel with noise
NOT_FOR_NOISE = {("sum", "auto_vs_cross"), ("sum", "kernel_versus_pairwise")}


@pytest.mark.parametrize(
    ("ours", "check"),
    [
        *[(name, check) for name in VARIANTS for check in KERNEL_CHECKS if (name, check) not in NOT_FOR_NOISE],
        *[(name, "kernel_theta") for name in ("relu", "nngp", "formula")],  # it wants all parameters free
    ],
)
def test_scikit_learns_kernel_checks(ours, check):
    theirs("test_kernels", check)(VARIANTS[ours])


GPR_CHECKS = [
    "lml_precomputed",
    "lml_without_cloning_kernel",
    "lml_improving",
    "converged_to_local_maximum",
    "solution_inside_bounds",
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # an optimum at a bound
@pytest.mark.parametrize("ours", ["relu", "nngp", "product"])
@pytest.mark.parametrize("check", GPR_CHECKS)
def test_scikit_learns_regressor_checks(check, ours):
    theirs("test_gpr", check)(VARIANTS[ours])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("check", ["predict_consistent", "lml_precomputed", "lml_improving", "multi_class"])
def test_scikit_learns_classifier_checks(check):
    theirs("test_gpc", check)(VARIANTS["relu"])


def test_alphabetical_order_and_fixed_parameters():
    X = awkward_rows()
    free, fixed = kernel(), kernel(bias_variance_bounds="fixed")
    assert [h.name for h in free.hyperparameters] == ["bias_variance", "weight_variance"]
    assert free.theta.tolist() == [np.log(0.1), np.log(2.0)]
    G = free(X, eval_gradient=True)[1]
    assert np.array_equal(fixed(X, eval_gradient=True)[1], G[:, :, 1:])
    assert np.array_equal(kernel(weight_variance_bounds="fixed")(X, eval_gradient=True)[1], G[:, :, :1])
    assert VARIANTS["all fixed"](X, eval_gradient=True)[1].shape == (6, 6, 0)


def test_parameters_are_stored_as_given_and_travel():
    phi = ka.activation("leaky_relu", slope="1/5")
    bounds = [0.1, 10]
    ours = ka.NetworkKernel(phi, depth=2, weight_variance=R(3, 2), weight_variance_bounds=bounds)
    assert ours.activation is phi and ours.weight_variance_bounds is bounds
    K = ours(awkward_rows())
    assert ours.activation is phi and set(vars(ours)) == set(ours.get_params())
    unpickled = pickle.loads(pickle.dumps(ours))  # noqa: S301
    for other in (clone(ours), unpickled, ka.NetworkKernel(**ours.get_params())):
        assert other == ours and other is not ours
        assert np.array_equal(other(awkward_rows()), K)
    assert ours != ka.NetworkKernel(phi, depth=3) and ours != RBF()
    assert (
        repr(ours)
        == "NetworkKernel('leaky_relu(slope=1/5)', depth=2, kind='ntk', weight_variance=1.5, bias_variance=0.1)"
    )
    assert "readout_weight_variance=3" in repr(kernel(readout_weight_variance=3))
    changed = ours.set_params(kind="nngp", activation="erf")
    assert changed is ours and repr(ours).startswith("NetworkKernel('erf', depth=2, kind='nngp'")


# -- estimators -----------------------------------------------------------------------------------


def bend(n):
    X = np.random.default_rng(5).uniform(-1, 1, (n, 2))
    return X, np.abs(X[:, 0] + X[:, 1] / 2) - X[:, 1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gaussian_process_regression_with_restarts():
    X, y = bend(60)
    model = GaussianProcessRegressor(
        ConstantKernel() * kernel() + WhiteKernel(1e-3, (1e-6, 1)), n_restarts_optimizer=2, random_state=0
    )
    model.fit(X[:40], y[:40])
    start = model.log_marginal_likelihood(model.kernel.theta)
    assert model.log_marginal_likelihood_value_ > start + 1
    mean, deviation = model.predict(X[40:], return_std=True)
    assert np.abs(mean - y[40:]).max() < 0.1 and (deviation > 0).all()
    # the log marginal likelihood's gradient, through scikit-learn's algebra
    theta = np.array([0.1, -1.0, 0.3, -2.0])
    _, gradient = model.log_marginal_likelihood(theta, eval_gradient=True, clone_kernel=True)
    step = 1e-5
    numeric = [
        (model.log_marginal_likelihood(theta + move) - model.log_marginal_likelihood(theta - move)) / (2 * step)
        for move in step * np.eye(4)
    ]
    assert np.abs(gradient - numeric).max() < 1e-6 * np.abs(gradient).max()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gaussian_process_classification():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    two = y < 2
    for rows, labels in ((X[two], y[two]), (X[::3], y[::3])):
        model = GaussianProcessClassifier(kernel(), random_state=0).fit(rows, labels)
        assert model.score(rows, labels) > 0.95
        assert np.allclose(model.predict_proba(rows).sum(axis=1), 1)
    compound = GaussianProcessClassifier(kernel()).fit(X[::5], y[::5]).kernel_
    assert isinstance(compound, CompoundKernel) and compound(X[:4], eval_gradient=True)[1].shape == (4, 4, 2, 3)


def test_kernel_ridge_and_support_vectors():
    X, y = bend(120)
    ours = kernel(depth=3)
    ridge = KernelRidge(kernel=ours, alpha=1e-6).fit(X[:100], y[:100])
    K = ours(X[:100])
    by_hand = ours(X[100:], X[:100]) @ np.linalg.solve(K + 1e-6 * np.eye(100), y[:100])
    assert np.abs(ridge.predict(X[100:]) - by_hand).max() < 1e-6
    labels = y > np.median(y)
    machine = SVC(kernel=ours, C=100.0).fit(X[:100], labels[:100])
    precomputed = SVC(kernel="precomputed", C=100.0).fit(K, labels[:100])
    assert np.array_equal(machine.predict(X), precomputed.predict(ours(X, X[:100])))
    assert machine.score(X[100:], labels[100:]) > 0.8


def test_grid_search_and_cross_validation():
    X, y = bend(90)
    ridge = KernelRidge(kernel=kernel(), alpha=1e-4)
    scores = cross_val_score(ridge, X, y, cv=3)
    assert scores.shape == (3,) and scores.min() > 0.85
    search = GridSearchCV(ridge, {"kernel": [kernel(depth=L) for L in (1, 2)], "alpha": [1e-4, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_["alpha"] == 1e-4
    pipe = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel(), optimizer=None, alpha=1e-4))
    pipe.set_params(gaussianprocessregressor__kernel__depth=1)
    assert cross_val_score(pipe, X, y, cv=3).min() > 0.85


def test_the_example_of_the_page_prints_what_it_says(capsys):
    page = (Path(__file__).parents[2] / "docs" / "scikit_learn.md").read_text(encoding="utf-8")
    (code,), (printed,) = (re.findall(rf"```{block}\n(.*?)```", page, flags=re.DOTALL) for block in ("python", "text"))
    exec(code, {})  # noqa: S102, our own page
    assert capsys.readouterr().out == printed


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"kind": "NTK"}, "'ntk' or 'nngp'"),
        ({"weight_variance": 0}, "above 0"),
        ({"weight_variance": -1.0}, "not a standard deviation"),
        ({"bias_variance": -0.1}, "at least 0"),
        ({"weight_variance": float("nan")}, "not finite"),
        ({"weight_variance": sp.Symbol("w")}, "above 0"),
        ({"depth": 0}, "depth=0"),
        ({"depth": 2.5}, "depth=2.5"),
        ({"activation": "rellu"}, "relu"),
        ({"activation": "exp(a*x)"}, "a"),
        ({"weight_variance": 1e300, "depth": 5}, "narrow their bounds"),
    ],
)
def test_bad_parameters_are_refused_when_used(parameters, words):
    ours = ka.NetworkKernel(**parameters)
    with pytest.raises(DomainError, match=words):
        ours(np.eye(3), eval_gradient=True)


def test_bad_calls():
    X = np.eye(3)
    with pytest.raises(DomainError, match="Y not given"):
        kernel()(X, X, eval_gradient=True)
    with pytest.raises(DomainError, match=r"X\[1, 1\] is nan"):
        kernel()([[0, 1, 2], [3, np.nan, 5]])
    with pytest.raises(DomainError, match="3 columns and Y has 2"):
        kernel()(X, X[:, :2])
    with pytest.raises(NoClosedForm, match="erf for tanh"):
        kernel("tanh")(X, eval_gradient=True)
    for bounds in ((0, 1), (1, 2, 3), "free"):
        with pytest.raises(DomainError, match="positive numbers"):
            kernel(weight_variance_bounds=bounds).theta  # noqa: B018


def test_without_scikit_learn_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from kernalg import *\n"
        "import kernalg as ka\n"
        "try: ka.NetworkKernel\n"
        "except ka.MissingExtra as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'kernalg[sklearn]'" in run.stdout
