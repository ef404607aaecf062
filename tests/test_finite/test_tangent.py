"""The tangent kernel of a finite network: finite differences, the explicit Jacobian, and the infinite limit."""

import numpy as np
import pytest

import kernalg as ka
from kernalg.finite.network import finite_network
from kernalg.finite.tangent import conjugate_kernel, jacobian, tangent_kernel

rng = np.random.default_rng(2)
X, Y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
TRAINED = ("all", "readout", "hidden", "all but hidden biases")
NETWORKS = {
    "one hidden layer": (ka.mlp("gelu", w_var="3/2", b_var="1/4", readout=(2, "1/9")), 7, 1),
    "three outputs": (ka.mlp("tanh", w_var=2, b_var="1/4", readout=(1, "1/2")), 6, 3),
    "deep": (ka.mlp("erf", depth=3, w_var=2, b_var="1/10"), (6, 4, 5), 2),
    "linear": (ka.serial(ka.Dense(2, 1)), (), 2),
    "dense upon dense": (ka.serial(ka.Dense(2, 1), ka.Dense(1, 1), "sin", ka.Dense(1, 1)), (3, 4), 1),
    "activation at the end": (ka.serial(ka.Dense(2, 1), "tanh", ka.Dense(1, 1), "sin"), 5, 2),
}


@pytest.fixture(params=NETWORKS)
def drawn(request):
    net, width, outputs = NETWORKS[request.param]

    def draw(**more):
        return finite_network(net, inputs=3, width=width, outputs=outputs, seed=4, **more)

    return draw


@pytest.mark.parametrize("trained", TRAINED)
def test_the_jacobian_is_that_of_finite_differences(drawn, trained):
    f = drawn(trained=trained)
    theta, step = f.parameters(), 1e-5
    columns = [
        (f.with_parameters(theta + e).forward(X) - f.with_parameters(theta - e).forward(X)) / (2 * step)
        for e in step * np.eye(theta.size)
    ]
    wanted = np.stack(columns, axis=-1) if columns else np.zeros((5, f.outputs, 0))
    np.testing.assert_allclose(jacobian(f, X), wanted, atol=1e-8)


@pytest.mark.parametrize("trained", TRAINED)
def test_the_kernel_is_the_product_of_jacobians(drawn, trained):
    f = drawn(trained=trained)
    J, other = jacobian(f, X), jacobian(f, Y)
    np.testing.assert_allclose(tangent_kernel(f, X, Y), np.einsum("iop,jop->ij", J, other) / f.outputs, atol=1e-11)
    K = tangent_kernel(f, X)
    np.testing.assert_allclose(K, np.einsum("iop,jop->ij", J, J) / f.outputs, atol=1e-11)
    assert (K == K.T).all()


def test_a_choice_layer_by_layer():
    net, _, _ = NETWORKS["deep"]
    choice = [(False, False), (False, True), (True, False), (False, False)]
    f = finite_network(net, inputs=3, width=4, seed=0, trained=choice)
    J = jacobian(f, X)
    assert J.shape == (5, 1, 4 + 16)
    np.testing.assert_allclose(tangent_kernel(f, X), J[:, 0] @ J[:, 0].T, atol=1e-12)


def test_the_conjugate_kernel_is_the_covariance_of_the_readout():
    f = finite_network(ka.mlp("tanh", depth=2, b_var=1, readout=(2, "1/3")), inputs=3, width=8, trained="readout")
    J = jacobian(f, X)[:, 0]
    np.testing.assert_allclose(conjugate_kernel(f, X), J @ J.T, atol=1e-12)
    np.testing.assert_allclose(conjugate_kernel(f, X, Y), J @ jacobian(f, Y)[:, 0].T, atol=1e-12)
    shallow = finite_network(ka.mlp("tanh", b_var=1, readout=(2, "1/3")), inputs=3, width=8, trained="hidden")
    readout = finite_network(ka.mlp("tanh", b_var=1, readout=(2, "1/3")), inputs=3, width=8, trained="readout")
    np.testing.assert_allclose(conjugate_kernel(shallow, X, Y), tangent_kernel(readout, X, Y), atol=1e-12)


def test_blocks_of_units_are_all_units(monkeypatch):
    f = finite_network(ka.mlp("relu", b_var=1), inputs=3, width=1000, outputs=2, seed=1)
    whole = tangent_kernel(f, X, Y), conjugate_kernel(f, X)
    monkeypatch.setattr("kernalg.finite.tangent._BLOCK", 700)
    np.testing.assert_allclose(tangent_kernel(f, X, Y), whole[0], rtol=1e-12)
    np.testing.assert_allclose(conjugate_kernel(f, X), whole[1], rtol=1e-12)


@pytest.mark.parametrize(("depth", "steps"), [(1, 2), (2, 6)])
def test_progress_is_reported(depth, steps, monkeypatch):
    monkeypatch.setattr("kernalg.finite.tangent._BLOCK", 500)
    f, said = finite_network(ka.mlp("relu", depth=depth), inputs=3, width=200, outputs=2), []
    tangent_kernel(f, X, progress=lambda done, total, text: said.append((done, total)))
    assert said == [(n + 1, steps) for n in range(steps)]


def test_float32_networks_have_kernels_in_float64():
    narrow = finite_network(ka.mlp("relu", depth=2), inputs=3, width=20, seed=1, dtype="float32")
    inputs = X.astype(np.float32)
    np.testing.assert_allclose(tangent_kernel(narrow, inputs), tangent_kernel(narrow.astype("float64"), inputs))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("which", ["ntk", "nngp"])
def test_the_limit_is_the_kernel_of_the_infinite_network(depth, which):
    net = ka.mlp("erf", depth=depth, w_var=2, b_var="1/10")
    kernel = tangent_kernel if which == "ntk" else conjugate_kernel
    draws = np.stack([kernel(finite_network(net, inputs=3, width=300, seed=s), X) for s in range(20)])
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    # A deep kernel is biased by O(1/width): allowed for beside the noise.
    wanted = getattr(net, which)(X)
    assert (np.abs(draws.mean(axis=0) - wanted) < 4 * error + (depth > 1) * np.abs(wanted).max() / 300).all()
    assert error.max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("variant", ["hidden", "all but hidden biases"])
def test_the_limit_of_partly_trained_networks(variant):
    # Theta = Sigma + (w x.x'/d + b) Sigma' with all trained; here parts of it.
    w, b = 1.5, 0.5
    f = finite_network(ka.mlp("erf", w_var="3/2", b_var="1/2"), inputs=3, width=400_000, seed=3, trained=variant)
    net = ka.mlp("erf", w_var="3/2", b_var="1/2")
    K, sigma, dot = net.ntk(X), net.nngp(X), X @ X.T / 3
    wanted = K - sigma if variant == "hidden" else sigma + (K - sigma) * (w * dot) / (w * dot + b)
    np.testing.assert_allclose(tangent_kernel(f, X), wanted, atol=0.02)


def test_what_has_no_such_kernel_is_refused():
    net, width, outputs = NETWORKS["activation at the end"]
    f = finite_network(net, inputs=3, width=width, outputs=outputs)
    with pytest.raises(ka.DomainError, match="last Dense"):
        conjugate_kernel(f, X)
    with pytest.raises(ka.DomainError, match="Y has shape"):
        tangent_kernel(f, X, np.ones((2, 4)))
    wide = finite_network(ka.mlp("relu"), inputs=3, width=100_000)
    with pytest.raises(ka.DomainError, match="tangent_kernel"):
        jacobian(wide, np.ones((400, 3)))
