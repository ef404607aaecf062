"""Gradient descent: its gradient, its closed form where there is one, and what it says when it fails."""

import numba
import numpy as np
import pytest

import kernalg as ka
from kernalg.finite.learning_rate import largest_stable_learning_rate
from kernalg.finite.network import finite_network
from kernalg.finite.tangent import jacobian, tangent_kernel
from kernalg.finite.training import train

rng = np.random.default_rng(8)
X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
FAR = rng.standard_normal((5, 3)), rng.standard_normal(5)


def small(net=None, **more):
    arguments = {"inputs": 3, "width": 20, "seed": 1} | more
    return finite_network(net or ka.mlp("tanh", depth=2, w_var=2, b_var="1/10", readout=(1, "1/10")), **arguments)


@pytest.mark.parametrize("trained", ["all", "readout", "hidden", "all but hidden biases"])
def test_one_step_goes_down_the_gradient_of_the_mean_squared_error(trained):
    f = small(outputs=2, trained=trained)
    targets = rng.standard_normal((12, 2))
    run = train(f, X, targets, learning_rate=0.01, epochs=1)
    theta, step = f.parameters(), 1e-5

    def error(vector):
        return np.sum((f.with_parameters(vector).forward(X) - targets) ** 2) / 12

    gradient = [(error(theta + e) - error(theta - e)) / (2 * step) for e in step * np.eye(theta.size)]
    np.testing.assert_allclose((theta - run.network.parameters()) / 0.01, gradient, atol=1e-7)
    assert run.train_mse[0] == pytest.approx(error(theta), rel=1e-12)
    assert run.train_mse[1] == pytest.approx(error(run.network.parameters()), rel=1e-12)


def test_readout_training_is_linear_and_follows_its_closed_form():
    f = small(trained="readout")
    K, start, rate = tangent_kernel(f, X), f.forward(X)[:, 0], 0.05
    wanted = []

    def remember(step, network):
        # residuals after t steps: (1 - 2 rate K / n)^t of the first
        residual = np.linalg.matrix_power(np.eye(12) - 2 * rate / 12 * K, step) @ (start - y)
        wanted.append(np.mean(residual**2))
        np.testing.assert_allclose(network.forward(X)[:, 0], y + residual, atol=1e-10)

    run = train(f, X, y, learning_rate=rate, epochs=40, callback=remember)
    np.testing.assert_allclose(run.train_mse, wanted, rtol=1e-10)
    assert run.epoch.tolist() == list(range(41))


def test_a_wide_network_follows_its_kernel_and_a_narrow_one_does_not():
    def deviation(width):
        f = small(ka.mlp("tanh", w_var=2), width=width)
        rate = 0.5 * largest_stable_learning_rate(f, X)
        run = train(f, X, y, learning_rate=rate, epochs=30, centered=True)
        frozen = y - np.linalg.matrix_power(np.eye(12) - 2 * rate / 12 * tangent_kernel(f, X), 30) @ y
        return np.abs(run.predict(X)[:, 0] - frozen).max()

    # What the moving kernel adds falls like a power of the width between -1/2 and -1.
    narrow, wide = deviation(100), deviation(10_000)
    assert wide < 0.01 and 8 < narrow / wide < 120


def test_the_largest_stable_rate_is_where_linear_training_turns():
    f = small(trained="readout", width=5)
    largest = largest_stable_learning_rate(f, X)
    below = train(f, X, y, learning_rate=0.98 * largest, epochs=300)
    assert below.train_mse[-1] < below.train_mse[0]
    with pytest.raises(ka.DomainError, match="stable rate at initialization"):
        train(f, X, y, learning_rate=1.2 * largest, epochs=300)


def test_the_largest_stable_rate_is_that_of_all_outputs():
    f = small(outputs=4)  # 48 residuals: Lanczos
    J = jacobian(f, X).reshape(48, -1)
    wanted = 12 / np.linalg.eigvalsh(J @ J.T).max()
    assert largest_stable_learning_rate(f, X) == pytest.approx(wanted, rel=1e-4)
    assert largest_stable_learning_rate(f.astype("float32"), X) == pytest.approx(wanted, rel=1e-3)
    few = J[:8]
    assert largest_stable_learning_rate(f, X[:2]) == pytest.approx(2 / np.linalg.eigvalsh(few @ few.T).max(), rel=1e-4)
    assert largest_stable_learning_rate(small(trained=[(False, False)] * 3), X) == np.inf


def test_a_rate_stable_at_first_that_diverges_later_is_told_apart():
    f = small(ka.mlp("x^2"), width=3)
    rate = 0.9 * largest_stable_learning_rate(f, X)
    with pytest.raises(ka.DomainError, match="grew in training"):
        train(f, X, 30 * y, learning_rate=rate, epochs=50)


def test_seeds_reproduce_and_batches_differ():
    f = small()
    runs = [train(f, X, y, learning_rate=0.02, epochs=5, batch=5, seed=s) for s in (0, 0, 1)]
    first, again, other = (run.network.parameters() for run in runs)
    assert (first == again).all() and (first != other).any()
    steps = []
    train(f, X, y, learning_rate=0.02, epochs=5, batch=5, callback=lambda step, network: steps.append(step))
    assert steps == list(range(16))  # 3 steps an epoch, and a last call
    assert (f.parameters() == small().parameters()).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_threads_do_not_change_a_bit(dtype):
    many, targets = rng.standard_normal((1100, 3)), rng.standard_normal(1100)
    f = small(dtype=dtype)
    before, ends = numba.get_num_threads(), []
    try:
        for count in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(count)
            ends.append(train(f, many, targets, learning_rate=0.05, epochs=4).network.parameters())
    finally:
        numba.set_num_threads(before)
    assert (ends[0] == ends[-1]).all()
    # Parts of rows add up to the gradient of all of them.
    one = train(f, many, targets, learning_rate=0.05, epochs=1).network.parameters().astype(float)
    J = jacobian(f, many)[:, 0]
    wanted = f.parameters() - 0.05 * 2 / 1100 * J.T @ (f.forward(many)[:, 0].astype(float) - targets)
    np.testing.assert_allclose(one, wanted, atol=1e-12 if dtype == "float64" else 1e-6)


def test_kernels_along_the_path_of_training():
    f, kernels = small(width=50), []
    run = train(f, X, y, learning_rate=0.02, epochs=4, callback=lambda _, g: kernels.append(tangent_kernel(g, X)))
    assert len(kernels) == 5 and (kernels[0] == tangent_kernel(f, X)).all()
    assert (kernels[-1] == tangent_kernel(run.network, X)).all() and (kernels[0] != kernels[-1]).any()


def test_labels_and_accuracy():
    labels = np.arange(12) % 3
    f = small(outputs=3)
    run = train(f, X, labels, learning_rate=0.1, epochs=20, test=(X[:6], np.eye(3)[labels[:6]]), every=8)
    out = run.network.forward(X)
    assert run.train_accuracy[-1] == np.mean(out.argmax(1) == labels)
    assert run.test_accuracy[-1] == np.mean(out[:6].argmax(1) == labels[:6])
    assert run.train_mse[-1] == pytest.approx(np.sum((out - np.eye(3)[labels]) ** 2) / 12)
    assert run.epoch.tolist() == [0, 8, 16, 20] and not run.reached
    signs = train(small(), X, np.sign(y), learning_rate=0.05, epochs=3, test=FAR)
    assert signs.train_accuracy[-1] == np.mean((signs.network.forward(X)[:, 0] > 0) == (y > 0))
    assert np.isnan(signs.test_accuracy).all()  # its targets are no classes
    assert "accuracy" in repr(run) and "accuracy" not in repr(train(small(), X, y, learning_rate=0.05, epochs=1))


def test_centered_training_starts_at_zero():
    run = train(small(), X, y, learning_rate=0.05, epochs=3, centered=True, test=FAR)
    assert run.train_mse[0] == np.mean(y**2) and run.test_mse[0] == np.mean(FAR[1] ** 2)
    assert run.train_mse[-1] == pytest.approx(np.mean((run.predict(X)[:, 0] - y) ** 2))
    assert run.test_mse[-1] == pytest.approx(np.mean((run.predict(FAR[0])[:, 0] - FAR[1]) ** 2))


def test_training_stops_when_the_error_is_reached():
    f = small(width=300)
    run = train(f, X, y, learning_rate=0.3 * largest_stable_learning_rate(f, X), epochs=2000, stop=0.05, every=1000)
    assert run.reached and run.train_mse[-1] <= 0.05 and run.epoch[-1] < 2000
    at_once = train(f, X, f.forward(X), learning_rate=0.1, epochs=5, stop=1e-20)
    assert at_once.epoch.tolist() == [0] and at_once.reached


def test_progress_is_reported():
    said = []
    train(small(), X, y, learning_rate=0.02, epochs=3, progress=lambda *words: said.append(words))
    assert said[-1][:2] == (3, 3) and "error" in said[-1][2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": X[:, :2]}, "rows of 3"),
        ({"X": np.where(X > 1, np.nan, X)}, "nan"),
        ({"y": y[:5]}, "12 rows"),
        ({"y": np.full(12, np.inf)}, "inf"),
        ({"y": ["a"] * 12}, "real numbers"),
        ({"learning_rate": 0}, "positive"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"epochs": -1}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"stop": -1}, "stop"),
        ({"batch": 0}, "batch"),
        ({"every": 0}, "every"),
        ({"test": X}, "pair"),
        ({"test": (X[:3, :2], y[:3])}, "test X"),
        ({"test": (X[:3], y[:2])}, "test y"),
        ({"seed": 0.5}, "seed"),
        ({"callback": 3}, "callback"),
        ({"network": ka.mlp("relu")}, "finite_network"),
        ({"network": small(trained=[(False, False)] * 3)}, "trains nothing"),
        ({"network": small(outputs=3), "y": np.arange(12)}, r"y\[3\] is 3; .* from 0 to 2"),
        ({"network": small(outputs=3), "y": np.full(12, 0.5)}, r"y\[0\] is 0.5"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(change, message):
    arguments = {"network": small(), "X": X, "y": y, "learning_rate": 0.1, "epochs": 1} | change
    with pytest.raises(ka.DomainError, match=message):
        train(arguments.pop("network"), arguments.pop("X"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize("function", [tangent_kernel, ka.conjugate_kernel, largest_stable_learning_rate])
def test_an_infinite_network_is_refused(function):
    with pytest.raises(ka.DomainError, match="finite_network"):
        function(ka.mlp("relu"), X)
