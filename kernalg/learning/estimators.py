r"""Estimates of the test error of kernel ridge regression from its training set alone.

With :math:`A = (K+\delta I)^{-1}` and :math:`\alpha = A y` the residuals of the fit are :math:`\delta\alpha`, and

* leave-one-out (Allen's PRESS, 1974), the mean of :math:`(\alpha_i/A_{ii})^2`: exactly what n refits would give;
* generalized cross-validation, :math:`n\,|\alpha|^2/(\mathrm{tr} A)^2`: the same with the mean of the :math:`A_{ii}`;
* KARE (Jacot et al. 2020), with :math:`\lambda=\delta/n` the ratio of :math:`\frac1n y^\top(K/n+\lambda)^{-2}y` to the
  square of :math:`\frac1n\mathrm{tr}(K/n+\lambda)^{-1}`: algebraically the same number as GCV;
* :math:`1/\mathrm{tr} A`, the data's estimate of the eigenlearning kappa.

All are written so that :math:`\delta = 0` is their limit. Leave-one-out holds on any data; the others rest on the
deterministic equivalents behind `learning_curve`, and agree with it where these hold. **LOO/GCV well away from 1 says
that they do not hold** for the data at hand (on images of digits GCV comes out 20 to 35 % low, and LOO right).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number
from kernalg.errors import DomainError
from kernalg.spectrum.empirical import gram_matrix, targets


@dataclass(frozen=True, slots=True)
class RidgeEstimates:
    """What a training set says about its own kernel ridge regression.

    Errors are squared errors summed over outputs, averaged over samples.

    Attributes
    ----------
    loo : exact leave-one-out error.
    gcv : generalized cross-validation (the same number as KARE).
    train_mse : error on the training set.
    kappa : 1/tr (K + ridge)^-1, the estimate of the eigenlearning kappa.
    degrees_of_freedom : tr K (K + ridge)^-1, the estimate of sum m L.
    loo_over_gcv : near 1 where the theory of learning curves applies to these data.
    n, ridge : size of the training set, and ridge.
    """

    loo: float
    gcv: float
    train_mse: float
    kappa: float
    degrees_of_freedom: float
    loo_over_gcv: float
    n: int
    ridge: float

    def __repr__(self) -> str:
        return (
            f"RidgeEstimates(n={self.n}, ridge={self.ridge:g}: loo {self.loo:.6g}, gcv {self.gcv:.6g}, "
            f"loo/gcv {self.loo_over_gcv:.3f}, train {self.train_mse:.6g}, kappa {self.kappa:.6g})"
        )


def ridge_estimates(K: ArrayLike, y: ArrayLike, ridge: float) -> RidgeEstimates:
    """All estimates from one factorization.

    Parameters
    ----------
    K : (n, n) array_like
        Gram matrix of the training inputs, K(X).
    y : (n,) or (n, outputs) array_like
        Training labels.
    ridge : float
        delta in K + delta I (not divided by n); 0 gives the ridgeless limits.

    Returns
    -------
    RidgeEstimates
        Among several ridges, the best is the one of smallest `loo`.

    Raises
    ------
    DomainError
        If shapes or values do not fit, or K + ridge I is singular in float64.

    Examples
    --------
    >>> e = ridge_estimates([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0], ridge=1.0)
    >>> e.loo, round(e.train_mse, 12)
    (1.777777777777..., 0.25)
    >>> min((0.1, 1.0, 10.0), key=lambda ridge: ridge_estimates([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0], ridge).loo)
    10.0
    """
    return solve_with_estimates(K, y, ridge)[1]


def solve_with_estimates(K: ArrayLike, y: ArrayLike, ridge: float) -> tuple[FloatArray, RidgeEstimates]:
    """The coefficients alpha = (K + ridge)^-1 y, of shape (n, outputs), and the estimates of `ridge_estimates`."""
    if callable(K):
        raise DomainError("K is a kernel, and the Gram matrix of the training inputs is needed: give K(X)")
    gram = gram_matrix(K)
    n = len(gram)
    labels = targets(y, n)
    if np.ndim(ridge) > 0:
        raise DomainError("ridge is one number: for several, call once for each and compare .loo")
    ridge = real_number("ridge", ridge, minimum=0.0)
    factor = cholesky(gram, ridge)
    if factor is None:
        _refuse_singular(ridge)
    alpha = scipy.linalg.cho_solve(factor, labels)
    inverse = scipy.linalg.cho_solve(factor, np.eye(n))
    diagonal = np.diagonal(inverse)
    trace = float(diagonal.sum())
    squares = (alpha**2).sum(axis=1)
    loo = float((squares / diagonal**2).mean())
    gcv = n * float(squares.sum()) / trace**2
    estimates = RidgeEstimates(
        loo=loo,
        gcv=gcv,
        train_mse=ridge**2 * float(squares.mean()),
        kappa=1 / trace,
        degrees_of_freedom=float(np.einsum("ij,ij->", gram, inverse)),
        loo_over_gcv=loo / gcv if gcv > 0 else 1.0,
        n=n,
        ridge=ridge,
    )
    return alpha, estimates


def leave_one_out(K: ArrayLike, y: ArrayLike, ridge: float) -> float:
    """Exact leave-one-out squared error, no refits; parameters as in `ridge_estimates`."""
    return ridge_estimates(K, y, ridge).loo


def generalized_cross_validation(K: ArrayLike, y: ArrayLike, ridge: float) -> float:
    """mean((y - fit)^2) / (1 - tr S / n)^2 with S = K (K + ridge)^-1; parameters as in `ridge_estimates`."""
    return ridge_estimates(K, y, ridge).gcv


def estimated_kappa(K: ArrayLike, ridge: float) -> float:
    """1/tr (K + ridge)^-1, the data's estimate of the eigenlearning kappa."""
    return ridge_estimates(K, np.zeros(len(gram_matrix(K))), ridge).kappa


def kernel_alignment_risk(K: ArrayLike, y: ArrayLike, ridge: float) -> float:
    r"""Kernel alignment risk estimator (KARE), from the eigenvalues of K/n as its authors define it.

    Equal to `generalized_cross_validation` by algebra, and computed independently of it. Parameters as in
    `ridge_estimates`. Source: Jacot, Simsek, Spadaro, Hongler and Gabriel (NeurIPS 2020).
    """
    gram = gram_matrix(K)
    labels = targets(y, len(gram))
    ridge = real_number("ridge", ridge, minimum=0.0)
    n = len(gram)
    values, vectors = scipy.linalg.eigh(gram / n)
    shifted = values + ridge / n
    if not shifted.min() > n * np.finfo(np.float64).eps * shifted.max():
        _refuse_singular(ridge)
    power = ((vectors.T @ labels) ** 2).sum(axis=1)
    return float((power / shifted**2).sum() / n / ((1 / shifted).sum() / n) ** 2)


def cholesky(gram: FloatArray, ridge: float) -> tuple[FloatArray, bool] | None:
    """Cholesky factor of gram + ridge I for `scipy.linalg.cho_solve`; None if that is singular in float64."""
    n = len(gram)
    rounding = 4 * max(n, 16) * float(np.finfo(np.float64).eps)
    # Cholesky passes on some singular matrices: a pivot of the size of rounding, divided by another one, can have any
    # size. Where the ridge does not keep the spectrum away from 0, the eigenvalues decide.
    if ridge <= rounding * float(np.trace(gram)):
        values = scipy.linalg.eigvalsh(gram)
        if values[0] + ridge <= rounding * values[-1]:
            return None
    try:
        return scipy.linalg.cho_factor(gram + ridge * np.eye(n), lower=True)
    except np.linalg.LinAlgError:
        return None


def _refuse_singular(ridge: float) -> NoReturn:
    raise DomainError(
        f"K + ridge I is singular in float64, or not positive definite, with ridge {ridge!r}: use a larger ridge, or "
        "leave out repeated inputs"
    )
