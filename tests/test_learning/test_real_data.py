"""scikit-learn's digits under a ReLU tangent kernel: leave-one-out is right, GCV is low, the theory fails in time.

Truth: an independent computation of 12 draws; its standard errors are at most 0.008.
"""

import numpy as np
import pytest

from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.regression import measured_curve_on_data
from kernalg.spectrum.empirical import empirical_spectrum

datasets = pytest.importorskip("sklearn.datasets")

N = [100, 200]
GCV, LOO, HELD_OUT, PREDICTED = [0.212, 0.130], [0.259, 0.171], [0.247, 0.166], [0.231, 0.145]


def relu_ntk(X, hidden=3):
    """w_var = 2, b_var = 0, readout (1, 0), on rows of squared norm d."""
    nngp = np.clip(X @ X.T / X.shape[1], -1, 1)
    np.fill_diagonal(nngp, 1.0)
    nngp, ntk = 2 * nngp, 2 * nngp
    for layer in range(hidden):
        cosine = np.clip(nngp / 2, -1, 1)
        angle = np.arccos(cosine)
        dual = (np.sqrt(1 - cosine**2) + cosine * (np.pi - angle)) / np.pi
        derivative = (1 - angle / np.pi) / 2
        scale = 1 if layer == hidden - 1 else 2
        nngp, ntk = scale * dual, scale * dual + scale * derivative * ntk
    return ntk


def test_digits():
    X, labels = datasets.load_digits(return_X_y=True)
    X = X - X.mean(axis=0)
    X *= np.sqrt(64) / np.linalg.norm(X, axis=1, keepdims=True)
    Y = np.eye(10)[labels] - 0.1
    gram = relu_ntk(X)
    np.testing.assert_allclose(np.diagonal(gram), 4)
    curve = measured_curve_on_data(gram, None, Y, n=N, ridge=0.1, draws=12, seed=0)
    for measured, truth in ((curve.test_mse, HELD_OUT), (curve.loo, LOO), (curve.gcv, GCV)):
        assert (abs(measured.mean - truth) < 3 * np.hypot(measured.standard_error, 0.008)).all()
    assert (curve.loo_over_gcv.mean > 1.15).all()
    theory = learning_curve(empirical_spectrum(gram, y=Y), n=[*N, 800], ridge=0.1)
    np.testing.assert_allclose(theory.test_mse, [*PREDICTED, 0.039], rtol=0.02)
    assert "finite population" in [m.kind for m in theory.diagnostics.messages]
