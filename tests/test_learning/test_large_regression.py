"""Ridge regression and eigenpairs through the operator, against the dense ones."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import kernalg as ka
from kernalg.errors import DomainError, PrecisionError
from kernalg.learning.large_regression import randomly_pivoted_cholesky
from kernalg.learning.regression import kernel_ridge


@pytest.fixture(scope="module")
def relu():
    return ka.mlp("relu", depth=2).ntk


@pytest.fixture(scope="module")
def erf():
    return ka.mlp("erf", depth=2, b_var="1/10").nngp


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 8))
    y = np.stack([np.sin(X[:, 0]) + 0.1 * rng.standard_normal(400), X[:, 1] * X[:, 2], np.zeros(400)], axis=1)
    return X, y, rng.standard_normal((150, 8))


@pytest.mark.parametrize("ridge", [1.0, 1e-3])
@pytest.mark.parametrize("rank", [1, 60, None])
def test_same_as_the_dense_solution(relu, erf, data, ridge, rank):
    X, y, new = data
    for K in (relu, erf):
        fit = ka.ridge_regression(K, X, y, ridge, rank=rank, tolerance=1e-10)
        alpha = kernel_ridge(K(X), y, ridge)
        true = np.linalg.norm(y - K(X) @ fit.coefficients - ridge * fit.coefficients, axis=0)
        sizes = np.linalg.norm(y, axis=0)
        assert np.all(true <= 1.1e-10 * sizes)
        np.testing.assert_allclose(fit.residuals[:2], true[:2] / sizes[:2], atol=1e-12)
        # |alpha - exact| <= |residual| / ridge, and a kernel of a network has values of order one
        assert np.all(np.linalg.norm(fit.coefficients - alpha, axis=0) <= 1.1e-10 * sizes / ridge)
        np.testing.assert_allclose(fit.predict(new), K(new, X) @ alpha, atol=1e-6 if ridge < 1 else 1e-8)
        assert np.all(fit.coefficients[:, 2] == 0)


def test_one_output_and_the_same_bits_again(relu, data):
    X, y, new = data
    first, second = (ka.ridge_regression(relu, X, y[:, 0], 0.1, seed=3) for _ in range(2))
    assert first.coefficients.shape == (400,)
    assert first.predict(new).shape == (150,)
    assert np.array_equal(first.coefficients, second.coefficients)
    assert "iterations" in repr(first)


def test_without_ridge(relu, data):
    X, y, _ = data
    fit = ka.ridge_regression(relu, X, y[:, 0], 0)
    np.testing.assert_allclose(relu(X) @ fit.coefficients, y[:, 0], atol=1e-7)


def test_the_preconditioner_saves_iterations(erf, data):
    X, y, _ = data
    with_it, without = (ka.ridge_regression(erf, X, y, 1e-3, rank=rank).iterations for rank in (200, 1))
    assert with_it < without / 3


def test_a_preconditioner_of_all_columns_is_the_inverse(relu, data):
    X, y, _ = data
    assert ka.ridge_regression(relu, X, y, 1e-2, rank=400).iterations <= 4


def test_zero_and_repeated_inputs(relu, data):
    X, y, _ = data
    nothing = ka.ridge_regression(relu, 0 * X, y, 2.0)
    np.testing.assert_allclose(nothing.coefficients, y / 2, rtol=1e-14)
    twice = np.vstack([X, X])
    labels = np.concatenate([y[:, 0], y[:, 0] + 1])
    fit = ka.ridge_regression(relu, twice, labels, 1e-2)
    np.testing.assert_allclose(fit.coefficients, kernel_ridge(relu(twice), labels, 1e-2), atol=1e-5)
    with pytest.raises((PrecisionError, DomainError), match=r"rounding|max_iterations|not positive definite"):
        ka.ridge_regression(relu, twice, labels, 0, max_iterations=40)  # equal rows with different labels


def test_refusals(relu, data):
    X, y, _ = data
    with pytest.raises(PrecisionError, match=r"asked for: 2 iterations \(max_iterations\) were not enough"):
        ka.ridge_regression(relu, X, y, 1e-3, max_iterations=2)
    with pytest.raises(PrecisionError, match="rounding stops it"):
        ka.ridge_regression(relu, X, y, 1e-6, tolerance=1e-15)
    with pytest.raises(DomainError, match="takes a network's kernel"):
        ka.ridge_regression(relu(X), X, y, 1.0)
    with pytest.raises(DomainError, match=r"y has shape \(3, 3\)"):
        ka.ridge_regression(relu, X, y[:3], 1.0)
    with pytest.raises(DomainError, match="ridge is -1"):
        ka.ridge_regression(relu, X, y, -1)
    for name in ("rank", "max_iterations"):
        with pytest.raises(DomainError, match=f"{name} is 0; a positive integer"):
            ka.ridge_regression(relu, X, y, 1.0, **{name: 0})


def test_progress_of_a_regression(relu, data):
    X, y, _ = data
    said = []
    fit = ka.ridge_regression(relu, X, y, 1.0, progress=lambda done, total, text: said.append((done, text)))
    assert "preconditioner" in said[0][1]
    assert [done for done, text in said if "residual" in text] == list(range(1, fit.iterations + 1))


def test_random_pivots(erf, data):
    X = data[0]
    gram = erf(X)
    factor, rest = randomly_pivoted_cholesky(erf, X, 100, np.random.default_rng(0))
    assert factor.shape == (400, 100)
    assert rest == pytest.approx(np.trace(gram - factor @ factor.T), rel=1e-9)
    assert np.linalg.eigvalsh(gram - factor @ factor.T).min() > -1e-10 * gram.max()
    best = np.linalg.eigvalsh(gram)[:300].sum()  # the best of rank 100 leaves
    assert best < rest < 3 * best


# -- eigenpairs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 30])
def test_eigenpairs_are_those_of_the_matrix(relu, erf, data, count):
    X = data[0]
    for K in (relu, erf):
        gram = K(X)
        pairs = ka.eigenpairs(K, X, count, tolerance=1e-9)
        values = np.linalg.eigvalsh(gram)[::-1][:count]
        V = pairs.eigenvectors
        true = np.linalg.norm(gram @ V - V * pairs.eigenvalues, axis=0)
        np.testing.assert_allclose(pairs.eigenvalues, values, rtol=1e-12)
        np.testing.assert_allclose(V.T @ V, np.eye(count), atol=1e-12)
        assert np.all(true <= pairs.residuals + 1e-14 * values[0])
        assert np.all(pairs.residuals <= 1e-9 * values + 2e-14 * values[0])
        assert np.all(V[np.abs(V).argmax(axis=0), np.arange(count)] > 0)
    assert f"{count} of 400" in repr(pairs)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (2, 2), (5, 3), (30, 30), (30, 7)])
def test_eigenpairs_of_few_points(relu, data, n, count):
    pairs = ka.eigenpairs(relu, data[0][:n], count)
    np.testing.assert_allclose(pairs.eigenvalues, np.linalg.eigvalsh(relu(data[0][:n]))[::-1][:count], rtol=1e-12)


def test_eigenpairs_of_low_rank(data):
    linear = ka.serial(ka.Dense(1, 0)).nngp
    pairs = ka.eigenpairs(linear, data[0], 12)
    values = np.linalg.eigvalsh(data[0].T @ data[0] / 8)[::-1]
    np.testing.assert_allclose(pairs.eigenvalues[:8], values, rtol=1e-12)
    assert np.abs(pairs.eigenvalues[8:]).max() < 1e-12 * values[0]
    assert np.all(ka.eigenpairs(linear, 0 * data[0], 3).eigenvalues == 0)


def test_eigenpairs_with_a_small_basis_and_multiplicity(monkeypatch):
    """Restarts, and an eigenvalue of multiplicity 9 at its edge."""
    from kernalg.spectrum.eigenpairs import eigenpairs

    monkeypatch.setitem(eigenpairs.__globals__, "_BASIS_BLOCKS", 3)
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.standard_normal((500, 500)))[0]
    values = np.concatenate([[100.0], np.full(9, 3.0), np.linspace(2.0, 0.1, 490)])
    pairs = eigenpairs(aslinearoperator((Q * values) @ Q.T), count=10, tolerance=1e-8)
    np.testing.assert_allclose(pairs.eigenvalues, values[:10], rtol=1e-12)
    assert pairs.passes > 6


def test_eigenpairs_again_and_with_progress(relu, data):
    said = []
    first = ka.eigenpairs(relu, data[0], 3, seed=2, progress=lambda done, total, text: said.append(done))
    second = ka.eigenpairs(relu, data[0], 3, seed=2)
    assert np.array_equal(first.eigenvectors, second.eigenvectors)
    assert said == list(range(1, first.passes + 1))


def test_eigenpairs_refusals(relu, data):
    X = data[0]
    for count in (0, 401, 2.0, True):
        with pytest.raises(DomainError, match="an integer from 1 to the number of inputs, 400"):
            ka.eigenpairs(relu, X, count)
    with pytest.raises(PrecisionError, match="after 2 passes"):
        ka.eigenpairs(relu, X, 10, max_passes=2)
    with pytest.raises(DomainError, match="give the inputs X"):
        ka.eigenpairs(relu)
    with pytest.raises(DomainError, match="takes a network's kernel"):
        ka.eigenpairs(relu(X), X)
    with pytest.raises(DomainError, match="not symmetric"):
        ka.eigenpairs(aslinearoperator(np.triu(np.ones((40, 40)))), count=2)
    negative = ka.eigenpairs(aslinearoperator(-np.diag(np.arange(1.0, 60.0))), count=2)
    np.testing.assert_allclose(negative.eigenvalues, [-1.0, -2.0], rtol=1e-12)
    with pytest.raises(DomainError, match="max_passes"):
        ka.eigenpairs(relu, X, max_passes=0)
    with pytest.raises(DomainError, match="tolerance"):
        ka.eigenpairs(relu, X, tolerance=0)
