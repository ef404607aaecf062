"""The spectrum of a kernel on a data set: the uniform measure on its N points is the input space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_array
from kernalg.errors import DomainError
from kernalg.spectrum.spectrum import Spectrum


def empirical_spectrum(
    K: Callable[..., Any] | ArrayLike, X: ArrayLike | None = None, y: ArrayLike | None = None
) -> Spectrum:
    r"""Eigenvalues of K/N on N data points, and the power of a target in their eigenvectors.

    Under the uniform measure on the points the integral operator is the matrix K/N, and its eigenfunctions of unit
    power are :math:`\sqrt N u_i`; the coefficients of the target are :math:`u_i^\top y/\sqrt N`, so that the powers add
    up to the mean square of `y`.

    Parameters
    ----------
    K : callable or (N, N) array_like
        A kernel, called as K(X), or the Gram matrix itself.
    X : (N, features) array_like, optional
        The points; needed, and used, only if `K` is a callable.
    y : (N,) or (N, outputs) array_like, optional
        Targets; the powers of several outputs are added.

    Returns
    -------
    Spectrum
        N levels of multiplicity 1, in decreasing order, with trace tr K/N and `atoms` = N. Eigenvalues of size at most
        N * eps * max, which rounding alone produces, are 0.

    Raises
    ------
    DomainError
        If the matrix is not real, finite, square and symmetric, if it has an eigenvalue below -N * eps * max (it is
        not positive semi-definite), or if `y` does not match.

    Examples
    --------
    >>> s = empirical_spectrum([[2.0, 0.0], [0.0, 1.0]], y=[1.0, -1.0])
    >>> s.eigenvalues, s.target_power
    (array([1. , 0.5]), array([0.5, 0.5]))
    """
    if y is None and X is not None and np.ndim(X) == 1 and not callable(K):
        raise DomainError("K is a Gram matrix, and X no (N, features) points: give targets by name, as y=…")
    gram = gram_matrix(K, X)
    count = len(gram)
    values, vectors = scipy.linalg.eigh(gram / count)
    values, vectors = values[::-1], vectors[:, ::-1]
    rounding = count * np.finfo(np.float64).eps * float(np.abs(values).max())
    if values[-1] < -rounding:
        raise DomainError(
            f"the Gram matrix is not positive semi-definite: eigenvalue {float(values[-1])!r} of K/N is below "
            f"-N*eps*max = {-rounding:.2g}; check the kernel, or add a ridge to the diagonal"
        )
    power = None
    if y is not None:
        power = ((vectors.T @ targets(y, count)) ** 2).sum(axis=1) / count
    return Spectrum(
        np.where(values > rounding, values, 0.0),
        (1,) * count,
        trace=float(np.trace(gram)) / count,
        errors=np.full(count, rounding),
        space=f"{count} data points",
        target_power=power,
        atoms=count,
    )


def gram_matrix(K: Callable[..., Any] | ArrayLike, X: ArrayLike | None = None) -> FloatArray:
    """K(X), or K itself if it is a matrix: real, finite, square and symmetric (DomainError otherwise)."""
    if callable(K):
        if X is None:
            raise DomainError("K is a callable kernel: give the points X too, or the Gram matrix instead of K")
        gram = real_array("K(X)", K(X), ndim=2)
    else:
        gram = real_array("K", K, ndim=2)
    if gram.shape[0] != gram.shape[1] or gram.shape[0] == 0:
        raise DomainError(f"the Gram matrix has shape {gram.shape}; it must be square, (N, N) with N > 0")
    if X is not None and len(np.asarray(X)) != len(gram):
        raise DomainError(f"X holds {len(np.asarray(X))} points but the Gram matrix has shape {gram.shape}")
    scale = float(np.abs(gram).max())
    skew = float(np.abs(gram - gram.T).max())
    if skew > 1e-10 * scale:
        raise DomainError(f"the Gram matrix is not symmetric: |K - K'| reaches {skew:.2g}, its entries {scale:.2g}")
    return gram


def targets(y: ArrayLike, count: int) -> FloatArray:
    """`y` as a (count, outputs) array (DomainError if it does not match)."""
    array = real_array("y", y)
    if array.ndim not in (1, 2) or len(array) != count or array.size == 0:
        raise DomainError(f"y has shape {array.shape}; ({count},) or ({count}, outputs) is needed")
    return array.reshape(count, -1)
