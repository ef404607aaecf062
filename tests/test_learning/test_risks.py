"""Risks mode by mode and under other distributions: identities, and ridge regression on Gaussian features."""

import math

import numpy as np
import pytest

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.risks import LevelRisks, level_risks, mode_risks, out_of_distribution_risk
from kernalg.spectrum.spectrum import Spectrum

SPECTRUM = Spectrum([0.5, 0.0, 0.01], [2, 3, 50], trace=2.0)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_levels_add_up_to_the_curve(ridge):
    curve = learning_curve(SPECTRUM, [1, 0.3, 0.5, 0.2], n=[0, 1e-3, 20, 60, 900], ridge=ridge, noise=0.1)
    risks = level_risks(curve)
    np.testing.assert_allclose(risks.risk.sum(axis=1) + risks.beyond, curve.excess_mse, rtol=1e-14)
    np.testing.assert_allclose(risks.bias.sum(axis=1) + risks.beyond, curve.bias, rtol=1e-14)
    np.testing.assert_allclose(risks.variance.sum(axis=1), curve.variance, rtol=1e-14)
    np.testing.assert_allclose(risks.variance_per_mode * [2, 3, 50], risks.variance, rtol=1e-14)
    assert (risks.bias[:, 1] == 0.3).all() and (risks.variance[:, 1] == 0).all() and risks.beyond == 0.2
    np.testing.assert_allclose(out_of_distribution_risk(curve, np.ones(4)), curve.test_mse, rtol=1e-14)
    np.testing.assert_allclose(out_of_distribution_risk(curve, np.ones(4), noise=0.7), curve.test_mse + 0.6, rtol=1e-14)
    assert not risks.bias.flags.writeable
    assert LevelRisks.from_json(risks.to_json()) == risks and "level 2" in repr(risks) and "0.2 of power" in repr(risks)
    assert hash(risks) == hash(level_risks(curve)) and risks != 3


def test_at_and_beyond_the_rank_without_ridge():
    curve = learning_curve(Spectrum([1.0, 0.0, 0.1], [1, 4, 2]), [1, 0.5, 1], n=[3, 6], noise=0.25)
    risks = level_risks(curve)
    assert np.isinf(risks.variance[0, [0, 2]]).all() and risks.variance[0, 1] == 0
    np.testing.assert_allclose(risks.risk[1].sum(), curve.excess_mse[1])
    assert out_of_distribution_risk(curve, [0, 1, 0])[0] == 0.75 and math.isinf(
        out_of_distribution_risk(curve, [1, 1, 1])[0]
    )
    assert out_of_distribution_risk(curve, np.diag([0.0, 0]), [0, 0], levels=[0, 2])[0] == 0.25


def test_modes_add_up_to_levels_and_forms_agree():
    spectrum, rng = Spectrum([0.5, 0.01], [3, 20]), np.random.default_rng(0)
    c = rng.standard_normal(23)
    power = [float((c[:3] ** 2).sum()), float((c[3:] ** 2).sum())]
    curve = learning_curve(spectrum, power, n=[2, 10, 40], ridge=0.05, noise=0.3)
    modes, levels = mode_risks(curve, c), level_risks(curve)
    np.testing.assert_allclose(modes.risk[:, :3].sum(axis=1), levels.risk[:, 0], rtol=1e-13)
    np.testing.assert_allclose(modes.risk[:, 3:].sum(axis=1), levels.risk[:, 1], rtol=1e-13)
    np.testing.assert_allclose(modes.risk, (modes.mean - c) ** 2 + modes.variance, rtol=1e-12)
    weights = np.repeat([2.0, 0.5], [3, 20])
    np.testing.assert_allclose(
        out_of_distribution_risk(curve, np.diag(weights), c), out_of_distribution_risk(curve, [2.0, 0.5]), rtol=1e-13
    )
    some = out_of_distribution_risk(curve, np.eye(2), c[[1, 5]], levels=[0, 1], noise=0)
    np.testing.assert_allclose(some, modes.risk[:, [1, 5]].sum(axis=1), rtol=1e-13)


def test_gaussian_features_agree():
    """Ridge regression on 200 Gaussian features: means and variances of coefficients, and a shifted covariance."""
    rng = np.random.default_rng(3)
    i = np.arange(1, 201.0)
    values, c, n, noise, ridge = i**-1.5, i**-0.8 * rng.choice([-1, 1], 200), 60, 0.05, 0.05
    mix = np.eye(200) + 0.3 * rng.standard_normal((200, 200)) / math.sqrt(200)
    form = mix @ mix.T
    form += 0.02 * np.outer(np.sign(c), np.sign(c))
    fitted = []
    for _ in range(400):
        psi = rng.standard_normal((n, 200))
        y = psi @ c + math.sqrt(noise) * rng.standard_normal(n)
        fitted.append(values * (np.linalg.solve((psi * values) @ psi.T + ridge * np.eye(n), y) @ psi))
    fitted = np.array(fitted)
    curve = learning_curve(Spectrum(values, [1] * 200), c**2, n=n, ridge=ridge, noise=noise)
    modes = mode_risks(curve, c)
    for j in range(8):
        error = fitted[:, j].std() / 20
        assert abs(fitted[:, j].mean() - modes.mean[0, j]) < 3.5 * error + 0.01 * abs(c[j])
        assert modes.variance[0, j] == pytest.approx(fitted[:, j].var(), rel=0.2)
    misses = fitted - c
    shifted = np.einsum("ij,jk,ik->i", misses, form, misses)
    predicted = out_of_distribution_risk(curve, form, c, noise=0)[0]
    assert abs(shifted.mean() - predicted) < 3 * shifted.std() / 20 + 0.02 * predicted
    # The cross terms matter: the diagonal alone is elsewhere.
    assert abs(out_of_distribution_risk(curve, np.diag(np.diag(form)), c, noise=0)[0] / predicted - 1) > 0.1


@pytest.mark.parametrize(
    ("form", "more", "word"),
    [
        ([1, 1], {}, "2 weights; the curve's target has 3 powers"),
        ([1, 1, 1], {"coefficients": [1]}, "belong to a matrix"),
        ([1, math.nan, 1], {}, r"form\[1\] is nan"),
        ([[1]], {}, "give their coefficients"),
        ([[1]], {"coefficients": [1, 0], "levels": [0, 1]}, r"shape \(1, 1\)"),
        ([[1, 2], [0, 1]], {"coefficients": [1, 0], "levels": [0, 1]}, "not a symmetric matrix"),
        ([[1]], {"coefficients": [1]}, "1 coefficients for the 11 modes"),
        ([[1]], {"coefficients": [1], "levels": [2]}, "levels 0 to 1"),
        ([[1]], {"coefficients": [1], "levels": [-1]}, "level -1"),
        ([[1]], {"coefficients": [1], "levels": [0.5]}, "not an integer"),
        ([[1]], {"coefficients": [1], "levels": [0, 1]}, "2 levels for 1 coefficients"),
        ([[1]], {"coefficients": [1.1], "levels": [0]}, "power 1.21"),
        (np.eye(2), {"coefficients": [0.1, 0.1], "levels": [0, 0]}, "2 coefficients in level 0 of 1 modes"),
        ([1, 1, 1], {"noise": -1}, "noise is -1"),
    ],
)  # fmt: skip
def test_refusals(form, more, word):
    curve = learning_curve(Spectrum([1, 0.1], [1, 10]), [1, 1, 0.5], n=3)
    with pytest.raises(DomainError, match=word):
        out_of_distribution_risk(curve, form, **more)


def test_a_curve_is_needed():
    for function in (level_risks, lambda x: mode_risks(x, [1.0]), lambda x: out_of_distribution_risk(x, [1.0])):
        with pytest.raises(DomainError, match="a LearningCurve is needed"):
            function(3)
