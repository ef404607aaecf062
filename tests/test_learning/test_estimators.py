"""Estimators from a Gram matrix against refits, against each other, and in their ridgeless limits."""

import numpy as np
import pytest

from kernalg.errors import DomainError
from kernalg.learning.estimators import (
    estimated_kappa,
    generalized_cross_validation,
    kernel_alignment_risk,
    leave_one_out,
    ridge_estimates,
)

RNG = np.random.default_rng(7)
X = RNG.standard_normal((25, 4))
K = np.exp(-((X[:, None] - X) ** 2).sum(-1) / 4)
Y = np.stack([X[:, 0] + 0.3 * RNG.standard_normal(25), np.sin(X[:, 1])], axis=1)


def refits(ridge, y):
    errors = []
    for i in range(len(K)):
        kept = np.delete(np.arange(len(K)), i)
        alpha = np.linalg.solve(K[np.ix_(kept, kept)] + ridge * np.eye(len(kept)), y[kept])
        errors.append(((K[i, kept] @ alpha - y[i]) ** 2).sum())
    return np.mean(errors)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("y", [Y, Y[:, 0]], ids=["two outputs", "one"])
def test_leave_one_out_is_what_refits_give(ridge, y):
    assert leave_one_out(K, y, ridge) == pytest.approx(refits(ridge, y), rel=1e-9)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_gcv_by_its_definition_and_kare_by_its_own(ridge):
    smoother = K @ np.linalg.inv(K + ridge * np.eye(25))
    residual = ((Y - smoother @ Y) ** 2).sum(1).mean()
    gcv = generalized_cross_validation(K, Y, ridge)
    assert gcv == pytest.approx(residual / (1 - np.trace(smoother) / 25) ** 2, rel=1e-10)
    assert kernel_alignment_risk(K, Y, ridge) == pytest.approx(gcv, rel=1e-12)
    estimates = ridge_estimates(K, Y, ridge)
    assert estimates.train_mse == pytest.approx(residual, rel=1e-10)
    assert estimates.degrees_of_freedom == pytest.approx(np.trace(smoother), rel=1e-10)
    assert estimates.loo_over_gcv == estimates.loo / estimates.gcv


def test_ridgeless_limit():
    inverse = np.linalg.inv(K)
    expected = 25 * ((inverse @ Y) ** 2).sum() / np.trace(inverse) ** 2
    assert generalized_cross_validation(K, Y, 0) == pytest.approx(expected, rel=1e-9)
    assert generalized_cross_validation(K, Y, 1e-9) == pytest.approx(expected, rel=1e-5)
    assert kernel_alignment_risk(K, Y, 0) == pytest.approx(expected, rel=1e-9)
    assert estimated_kappa(K, 0) == pytest.approx(1 / np.trace(inverse), rel=1e-9)
    assert ridge_estimates(K, Y, 0).train_mse == 0


def test_the_reference_simulation():
    """Gaussian features, n = 80, lambda_i = i^-1.5, coefficients i^-0.8: GCV and kappa estimate the theory's."""
    rng = np.random.default_rng(3)
    i = np.arange(1, 401.0)
    gcv, kappa = [], []
    for _ in range(40):
        psi = rng.standard_normal((80, 400))
        y = psi @ i**-0.8 + np.sqrt(0.05) * rng.standard_normal(80)
        estimates = ridge_estimates((psi * i**-1.5) @ psi.T, y, 0.05)
        gcv.append(estimates.gcv)
        kappa.append(estimates.kappa)
    assert abs(np.mean(gcv) - 0.24623) < 3 * np.std(gcv) / np.sqrt(40)
    assert np.mean(kappa) == pytest.approx(0.0042579, rel=0.02)


def test_a_target_of_zero():
    assert ridge_estimates(K, np.zeros(25), 0.1).loo_over_gcv == 1


@pytest.mark.parametrize(
    ("gram", "y", "ridge", "word"),
    [
        (np.ones((3, 3)), np.ones(3), 0, "singular"),
        (np.eye(3), np.ones(2), 0.1, "y has shape"),
        (np.eye(3), np.ones(3), -0.1, "ridge"),
        (np.eye(3), np.ones(3), np.nan, "ridge"),
        (np.eye(3), [1, np.nan, 0], 1, r"y\[1\]"),
        (np.ones((3, 2)), np.ones(3), 1, "square"),
        (np.array([[1, 0.5], [0, 1]]), np.ones(2), 1, "symmetric"),
        (np.eye(3) * 1j, np.ones(3), 1, "dtype"),
        (np.eye(3, dtype=object), np.ones(3), 1, "dtype"),
    ],
)
def test_refusals_name_what_was_given(gram, y, ridge, word):
    for estimator in (ridge_estimates, kernel_alignment_risk):
        with pytest.raises(DomainError, match=word):
            estimator(gram, y, ridge)


def test_every_singular_matrix_is_refused_without_ridge():
    """Rounding lets Cholesky pass on some of them; a pivot of the size of rounding gives them away."""
    passed = 0
    for seed in range(60):
        X = np.random.default_rng(seed).standard_normal((4, 2))
        try:
            np.linalg.cholesky(X @ X.T)
            passed += 1
        except np.linalg.LinAlgError:
            pass
        with pytest.raises(DomainError, match="singular"):
            ridge_estimates(X @ X.T, np.ones(4), 0.0)
    assert passed > 0


def test_kernels_and_lists_of_ridges_are_refused_in_their_own_words():
    with pytest.raises(DomainError, match=r"give K\(X\)"):
        ridge_estimates(lambda X: X, [1.0], 1.0)
    with pytest.raises(DomainError, match="once for each"):
        ridge_estimates(np.eye(2), [1.0, 2.0], [0.1, 1.0])
