"""Finite networks: the function they compute, their parameters, what is refused."""

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.finite.network import finite_network


class Cubic:
    """An activation of the user's own."""

    def __call__(self, z):
        return z**3 / 4

    def derivative(self):
        return lambda z: 3 * z**2 / 4


X = np.random.default_rng(5).standard_normal((7, 3))


def test_forward_is_the_formula_written_out():
    net = ka.serial(ka.Dense(2, "1/4"), "tanh", ka.Dense("1/2", 0), "relu", ka.Dense(3, 1))
    f = finite_network(net, inputs=3, width=(5, 4), outputs=2, seed=3)
    rng = np.random.default_rng(3)
    h, sizes, variances = X, (3, 5, 4, 2), ((2, 0.25), (0.5, 0), (3, 1))
    activations = (np.tanh, lambda z: np.maximum(z, 0), lambda z: z)
    for i, ((w_var, b_var), phi) in enumerate(zip(variances, activations, strict=True)):
        W, b = rng.standard_normal((sizes[i + 1], sizes[i])), rng.standard_normal(sizes[i + 1])
        h = phi(np.sqrt(w_var / sizes[i]) * h @ W.T + np.sqrt(b_var) * b)
    np.testing.assert_allclose(f.forward(X), h, rtol=1e-13)
    assert f.widths == (5, 4) and (f.inputs, f.outputs) == (3, 2)
    assert f.parameter_count == 15 + 5 + 20 + 0 + 8 + 2


def test_many_rows_are_the_rows_one_by_one():
    f = finite_network(ka.mlp("gelu", depth=2), inputs=3, width=20, seed=0)
    many = np.random.default_rng(0).standard_normal((700, 3))
    np.testing.assert_allclose(f.forward(many), np.concatenate([f.forward(row[None]) for row in many]), atol=1e-13)


def test_a_seed_makes_the_same_network_in_both_arithmetics():
    net = ka.mlp("relu", depth=2, b_var="1/10")
    wide, again = (finite_network(net, inputs=3, width=30, seed=11) for _ in range(2))
    narrow = finite_network(net, inputs=3, width=30, seed=11, dtype="float32")
    generator = finite_network(net, inputs=3, width=30, seed=np.random.default_rng(11))
    other = finite_network(net, inputs=3, width=30, seed=12)
    assert (wide.parameters() == again.parameters()).all() and (wide.parameters() == generator.parameters()).all()
    assert (narrow.parameters() == wide.parameters().astype(np.float32)).all()
    assert narrow.forward(X).dtype == np.float32
    np.testing.assert_allclose(narrow.forward(X), wide.forward(X), atol=1e-5)
    assert np.abs(other.parameters() - wide.parameters()).max() > 1


def test_the_outputs_are_the_gaussian_process_for_large_width():
    net = ka.mlp("relu", depth=2, w_var=2, b_var="1/10")
    draws = np.stack([finite_network(net, inputs=3, width=100, seed=s).forward(X[:2])[:, 0] for s in range(400)])
    products = draws[:, [0, 0, 1]] * draws[:, [0, 1, 1]]
    K = net.nngp(X[:2])
    z = (products.mean(0) - [K[0, 0], K[0, 1], K[1, 1]]) / (products.std(0) / np.sqrt(len(draws)))
    assert np.abs(z).max() < 4


def test_parameters_go_out_and_in():
    f = finite_network(ka.mlp("relu", depth=2, b_var=1), inputs=3, width=4, seed=0, trained="all but hidden biases")
    vector = f.parameters()
    assert vector.size == 12 + 16 + 4  # no readout bias: its variance is 0
    moved = f.with_parameters(vector + 1)
    assert (moved.parameters() == vector + 1).all() and (f.parameters() == vector).all()
    assert (moved.layers[0].biases == f.layers[0].biases).all()
    with pytest.raises(ka.DomainError, match="32"):
        f.with_parameters(vector[1:])
    kept = f.copy()
    kept.layers[0].weights[0, 0] += 1
    assert f.layers[0].weights[0, 0] != kept.layers[0].weights[0, 0]


@pytest.mark.parametrize("trained", ["all", "readout", "hidden", "all but hidden biases"])
def test_what_is_trained(trained):
    f = finite_network(ka.mlp("relu", b_var=1, readout=(1, 1)), inputs=1, width=5, seed=0, trained=trained)
    assert f.parameters().size == {"all": 16, "readout": 6, "hidden": 10, "all but hidden biases": 11}[trained]
    deep = finite_network(
        ka.mlp("relu", depth=2, b_var=1, readout=(1, 1)), inputs=1, width=(5, 2), seed=0, trained=trained
    )
    assert deep.parameters().size == {"all": 25, "readout": 3, "hidden": 22, "all but hidden biases": 18}[trained]
    assert trained == "all" or trained in repr(f)


def test_an_activation_of_ones_own():
    f = finite_network((ka.Dense(1, 0), Cubic(), ka.Dense(1, 0)), inputs=3, width=6, seed=0)
    W, v = f.layers[0].weights, f.layers[1].weights
    np.testing.assert_allclose(f.forward(X), ((X @ W.T / np.sqrt(3)) ** 3 / 4) @ v.T / np.sqrt(6), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "inputs"),
        ({"width": 0}, "width"),
        ({"width": (3, 3)}, "1 hidden"),
        ({"outputs": True}, "outputs"),
        ({"trained": "biases"}, "readout"),
        ({"trained": [(True, True)]}, "2 dense layers"),
        ({"dtype": "float16"}, "float32"),
        ({"seed": -1}, "seed"),
        ({"net": "relu"}, "Network"),
        ({"net": ("relu",)}, "layer 0"),
        ({"net": (ka.activation("relu"), ka.Dense(1, 0))}, "follows no Dense"),
        ({"net": (ka.Dense(1, 0), ka.activation(sp.Symbol("a", real=True) * ka.x), ka.Dense(1, 0))}, "free parameters"),
        ({"net": ka.serial(ka.Dense(1, 0), ka.exp_normalized(1), ka.Dense(1, 0))}, "infinite width"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(change, message):
    arguments = {"net": ka.mlp("relu"), "inputs": 3, "width": 4} | change
    with pytest.raises(ka.DomainError, match=message):
        finite_network(arguments.pop("net"), **arguments)


@pytest.mark.parametrize(
    ("rows", "message"),
    [([[1, np.nan, 0]], "nan"), ([[1, 2]], "rows of 3"), ([1, 2, 3], "shape"), (np.empty((0, 3)), "at least one row")],
)
def test_bad_rows_are_refused(rows, message):
    f = finite_network(ka.mlp("relu"), inputs=3, width=4)
    with pytest.raises(ka.DomainError, match=message):
        f.forward(rows)
