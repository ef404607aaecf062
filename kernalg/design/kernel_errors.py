r"""Errors of kernel ridge regression as functions of the Gram matrix, with their exact gradients.

The ridge is 1 throughout: predictions with K and ridge delta are those of K/delta and ridge 1. With G the Gram matrix,
:math:`A=(G+I)^{-1}` and :math:`\alpha=Ay`,

* **folds**: leaving out the points f, the misses on them are :math:`e_f=(A_{ff})^{-1}\alpha_f`, without a refit (block
  inversion; one point a fold is Allen's PRESS). With :math:`J=\frac1n\sum_f|e_f|^2`,
  :math:`g_f=\frac2n(A_{ff})^{-1}e_f` and S the block-diagonal matrix of the :math:`g_fe_f^\top`,

  .. math:: \frac{dJ}{dG}=\operatorname{sym}\big(ASA-Ag\,\alpha^\top\big),

  from :math:`d\alpha=-A\,dG\,\alpha` and :math:`dA=-A\,dG\,A`.
* **generalized cross-validation**: :math:`J=n|\alpha|^2/(\operatorname{tr}A)^2`, hence
  :math:`dJ/dG=\frac{2n}{t^2}\big(\frac{|\alpha|^2}tA^2-\operatorname{sym}(A\alpha\alpha^\top)\big)`, t = tr A.
* **predicted error**, of n samples, from eigenvalues :math:`\lambda_i` of multiplicity :math:`m_i` and target power
  :math:`v_i^2` (`kernalg.learning.eigenlearning`). With :math:`g=\delta/\kappa+\sum mL(1-L)=n-q`, here with
  :math:`\delta=1`, the threshold moves by :math:`d\kappa=\frac1g\sum m_i(1-L_i)^2d\lambda_i`, so that with
  :math:`c_i=\frac{2m_iL_iE}{g}-2E_0(1-L_i)v_i^2`

  .. math:: \frac{dE}{d\lambda_j}=\frac{c_j(1-L_j)}{\lambda_j+\kappa}
            -\frac{m_j(1-L_j)^2}{g}\sum_i\frac{c_iL_i}{\lambda_i+\kappa} .

  On N data points, whose spectrum is that of G/N, the same error is
  :math:`E_0(\frac{\kappa^2}N|(G/N+\kappa)^{-1}y|^2+\sigma^2)`, a smooth function of G also where eigenvalues meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from kernalg.checks import FloatArray
from kernalg.learning.kappa import at_kappa, solve_kappa
from kernalg.spectrum.spectrum import Spectrum

ValueAndGradient = tuple[float, FloatArray]


def folds_error(gram: FloatArray, y: FloatArray, folds: Sequence[NDArray[np.intp]]) -> ValueAndGradient:
    """Cross-validated squared error (summed over outputs, mean over points) with ridge 1, and its gradient.

    Parameters
    ----------
    gram : (n, n) array
    y : (n, outputs) array
    folds : arrays of indices, a partition of 0 … n-1

    Examples
    --------
    >>> value, slope = folds_error(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0], [-1.0]]), [[0], [1]])
    >>> round(value, 12)
    1.777777777778
    """
    n = len(gram)
    inverse = _inverse(gram)
    alpha = inverse @ y
    pull, blocks = np.empty_like(alpha), np.empty_like(inverse)
    total = 0.0
    for fold in folds:
        own = inverse[np.ix_(fold, fold)]
        miss = np.linalg.solve(own, alpha[fold])
        total += float((miss**2).sum())
        pull[fold] = 2 / n * np.linalg.solve(own, miss)
        blocks[fold] = pull[fold] @ (miss.T @ inverse[fold])
    return total / n, _symmetric(inverse @ blocks - (inverse @ pull) @ alpha.T)


def loo_error(gram: FloatArray, y: FloatArray) -> ValueAndGradient:
    """`folds_error` with one point in every fold: the leave-one-out error, and its gradient."""
    n = len(gram)
    inverse = _inverse(gram)
    alpha = inverse @ y
    own = np.diagonal(inverse)[:, None]
    miss = alpha / own
    pull = 2 / n * miss / own
    blocks = (pull * miss).sum(axis=1)[:, None] * inverse
    return float((miss**2).sum()) / n, _symmetric(inverse @ blocks - (inverse @ pull) @ alpha.T)


def gcv_error(gram: FloatArray, y: FloatArray) -> ValueAndGradient:
    """Generalized cross-validation with ridge 1, and its gradient; arguments as in `folds_error`."""
    n = len(gram)
    inverse = _inverse(gram)
    alpha = inverse @ y
    trace, squares = float(np.trace(inverse)), float((alpha**2).sum())
    slope = squares / trace * (inverse @ inverse) - (inverse @ alpha) @ alpha.T
    return n * squares / trace**2, 2 * n / trace**2 * _symmetric(slope)


def predicted_error_on_data(gram: FloatArray, y: FloatArray, n: float, noise: float = 0.0) -> ValueAndGradient:
    """Predicted test error with ridge 1 of `n` samples drawn from the points of `gram`, and its gradient in `gram`.

    Parameters
    ----------
    gram : (N, N) array
    y : (N, outputs) array
    n : float
        Number of samples, positive.
    noise : float
        Variance of further label noise, summed over outputs.
    """
    count = len(gram)
    values, vectors = scipy.linalg.eigh(gram / count)
    values = np.maximum(values, 0.0)
    labels = vectors.T @ y
    kappa, gap = _threshold(Spectrum(values, (1,) * count), n)
    r = 1 / (values + kappa)
    learned = values * r
    overfitting = n / gap
    energy = (labels**2).sum(axis=1) * r**2
    error = overfitting * (kappa**2 * float(energy.sum()) / count + noise)
    # In the eigenbasis: what dH does at fixed kappa, and what kappa does, times dkappa = <R^2, dH> kappa^2 / gap.
    in_kappa = overfitting * 2 * kappa / count * float(energy @ learned) - 2 * error / gap * float(learned**2 @ r)
    diagonal = (error / gap * 2 * kappa * learned + in_kappa * kappa**2 / gap) * r**2
    half = vectors @ (r[:, None] ** 2 * labels)
    outer = half @ ((vectors * r) @ labels).T
    slope = (vectors * diagonal) @ vectors.T - 2 * overfitting * kappa**2 / count * outer
    return error, _symmetric(slope) / count


def predicted_error(
    eigenvalues: FloatArray, multiplicities: Sequence[int], power: FloatArray, n: float, noise: float = 0.0
) -> ValueAndGradient:
    """Predicted test error with ridge 1 of `n` samples, and its gradient in the eigenvalues.

    Parameters
    ----------
    eigenvalues, multiplicities, power : one entry per level
        `power` may be longer: further levels are never learned.
    n : float
        Number of samples, positive.
    noise : float
        Variance of the label noise.

    Examples
    --------
    >>> from kernalg.learning.eigenlearning import learning_curve
    >>> value, slope = predicted_error(np.array([0.5, 0.01]), [1, 50], np.array([1.0, 1.0]), 40, 0.1)
    >>> curve = learning_curve(Spectrum([0.5, 0.01], [1, 50]), [1.0, 1.0], n=40, ridge=1, noise=0.1)
    >>> bool(np.isclose(value, curve.test_mse[0], rtol=1e-13))
    True
    """
    spectrum = Spectrum(eigenvalues, multiplicities)
    kappa, gap = _threshold(spectrum, n)
    at = at_kappa(spectrum, np.array([kappa]))
    learned, missing, modes = at.learned[0], at.missing[0], at.modes[0]
    own, rest = power[: len(eigenvalues)], float(power[len(eigenvalues) :].sum())
    overfitting = n / gap
    error = overfitting * (float(missing**2 @ own) + rest + noise)
    shifted = eigenvalues + kappa
    weight = 2 * error / gap * modes - 2 * overfitting * missing * own
    counts = np.array([float(m) for m in multiplicities])
    through_kappa = float(weight @ (learned / shifted)) / gap
    return error, weight * missing / shifted - through_kappa * counts * missing**2


def _threshold(spectrum: Spectrum, n: float) -> tuple[float, float]:
    """kappa with ridge 1, and n - sum m L^2 as a sum of terms that are not negative."""
    kappa, participation = solve_kappa(spectrum, np.array([float(n)]), 1.0)
    return float(kappa[0]), float(1 / kappa[0] + participation[0])


def _inverse(gram: FloatArray) -> FloatArray:
    n = len(gram)
    factor = scipy.linalg.cho_factor(gram + np.eye(n), lower=True)
    return _symmetric(scipy.linalg.cho_solve(factor, np.eye(n)))


def _symmetric(matrix: FloatArray) -> FloatArray:
    return (matrix + matrix.T) / 2
