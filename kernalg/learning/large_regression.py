r"""Kernel ridge regression on more points than a Gram matrix in memory allows.

(K + delta I) alpha = y is solved by conjugate gradients on `Kernel.operator`: all outputs advance together, one pass
over the entries of the matrix an iteration. The preconditioner comes from r of the n columns, chosen at random with
probability in proportion to what is not yet explained of the diagonal (randomly pivoted Cholesky): K is about F F'
with F of shape (n, r), and

.. math:: P = F F^\top + \mu I,\qquad \mu = \delta + \tfrac1n\,\mathrm{tr}(K - F F^\top).

The second part of :math:`\mu` stands for the eigenvalues beyond F F'; for kernels of networks in high dimension these
are many and nearly equal (the high degrees of the profile meet the diagonal alone).

Sources: Chen, Epperly, Tropp and Webber, Randomly pivoted Cholesky (2022); Díaz, Epperly, Frangella, Tropp and Webber,
Robust, randomized preconditioning for kernel ridge regression (2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number
from kernalg.compiled.inputs import data_matrix
from kernalg.compiled.threads import serial_blas
from kernalg.errors import DomainError, PrecisionError
from kernalg.network.kernel import Kernel
from kernalg.progress import Report, reporter
from kernalg.spectrum.empirical import targets

_PIVOTS = 64
# Shares of the largest diagonal entry below which an entry or eigenvalue is rounding.
_ROUNDING = 1e-12

Matrix = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class RidgeRegression:
    """A kernel ridge regression; made by `ridge_regression`.

    Attributes
    ----------
    coefficients : (n,) or (n, outputs) array
        alpha in (K + ridge I) alpha = y.
    residuals : (outputs,) array
        |y - (K + ridge I) alpha| / |y| of every output, computed from alpha at the end. The error of alpha is at most
        residual |y| / ridge.
    iterations : int
        Steps of conjugate gradients.
    rank : int
        Columns in the preconditioner.
    """

    kernel: Kernel = field(repr=False)
    inputs: FloatArray = field(repr=False)
    ridge: float
    coefficients: FloatArray
    residuals: FloatArray
    iterations: int
    rank: int

    def predict(self, X: ArrayLike, *, progress: Report | bool | None = None) -> FloatArray:
        """K(X, inputs) alpha, of shape (m,) or (m, outputs); the matrix is not stored."""
        return np.asarray(self.kernel.operator(X, self.inputs, progress=progress) @ self.coefficients)

    def __repr__(self) -> str:
        return (
            f"RidgeRegression(n={len(self.inputs)}, ridge={self.ridge:g}: residual {self.residuals.max():.1e} of y "
            f"after {self.iterations} iterations, preconditioner of rank {self.rank})"
        )


def ridge_regression(
    K: Kernel,
    X: ArrayLike,
    y: ArrayLike,
    ridge: float,
    *,
    tolerance: float = 1e-8,
    rank: int | None = None,
    max_iterations: int = 500,
    seed: int = 0,
    progress: Report | bool | None = None,
) -> RidgeRegression:
    """Kernel ridge regression without the Gram matrix, to a residual of `tolerance`.

    Parameters
    ----------
    K : Kernel
    X : (n, d) array_like
        Training inputs.
    y : (n,) or (n, outputs) array_like
        Labels.
    ridge : float
        delta in K + delta I, not divided by n.
    tolerance : float
        Of |y - (K + ridge I) alpha| / |y|, for every output.
    rank : int
        Columns of the preconditioner; 4 sqrt(n), at least 200, if not given. It costs about three arrays (n, rank) of
        memory, and more of it saves iterations when the ridge is small.
    max_iterations : int
        Passes over the matrix, after which the solution is given up.
    seed : int
        Of the preconditioner.
    progress : bool or callable
        True shows every iteration on the standard error stream; a callable is called as progress(done, total, text).

    Raises
    ------
    DomainError
        Values that do not fit, or a matrix that is not positive definite.
    PrecisionError
        The tolerance was not reached; the message says how far it came, and why.

    Examples
    --------
    >>> import kernalg as ka, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((400, 10))
    >>> y = np.sin(X[:, 0])
    >>> fit = ka.ridge_regression(ka.mlp("relu", depth=2).ntk, X, y, ridge=0.1)
    >>> bool(fit.residuals[0] <= 1e-8), fit.predict(X[:3]).shape
    (True, (3,))
    """
    if not isinstance(K, Kernel):
        raise DomainError(
            f"ridge_regression() takes a network's kernel, not {type(K).__name__}. With a matrix in memory: "
            "kernalg.learning.regression.kernel_ridge(K, y, ridge)"
        )
    rows = data_matrix(X, "X")
    n = len(rows)
    labels = targets(y, n)
    ridge = real_number("ridge", ridge, minimum=0.0)
    tolerance = real_number("tolerance", tolerance, minimum=1e-15)
    max_iterations = _positive("max_iterations", max_iterations)
    rank = min(n, max(200, round(4 * n**0.5)) if rank is None else _positive("rank", rank))
    report = reporter(progress)
    done = 0

    def inside_a_pass(_: int, total: int, text: str) -> None:
        report(done, max_iterations, f"iteration {done + 1}: {text}")

    operator = K.operator(rows, progress=inside_a_pass)
    report(0, max_iterations, f"preconditioner of rank {rank} …")
    factor, rest = randomly_pivoted_cholesky(K, rows, rank, np.random.default_rng(seed))
    precondition = _preconditioner(factor, ridge + rest / n)

    def apply(V: FloatArray) -> FloatArray:
        return np.asarray(operator.matmat(V)) + ridge * V

    sizes = np.linalg.norm(labels, axis=0)
    sizes[sizes == 0] = 1.0
    alpha = np.zeros_like(labels)
    remaining = labels.copy()
    errors = np.linalg.norm(remaining, axis=0) / sizes
    # Conjugate gradients update their residual, which drifts from the true one. So the true one is computed at the end
    # and, where it is not small enough, solved for in turn (iterative refinement), as long as that helps.
    while not (errors <= tolerance).all():
        before = errors
        wanted = 0.5 * tolerance * sizes
        step = np.zeros_like(labels)
        for step, found in _conjugate_gradients(apply, precondition, remaining, wanted):  # noqa: B007
            done += 1
            worst = float((found / sizes).max())
            report(done, max_iterations, f"iteration {done}: residual {worst:.1e} of y")
            if done == max_iterations:
                break
        alpha += step
        remaining = labels - apply(alpha)
        errors = np.linalg.norm(remaining, axis=0) / sizes
        if (errors <= tolerance).all():
            break
        if done == max_iterations or errors.max() > 0.5 * before.max():
            reason = (
                f"{done} iterations (max_iterations) were not enough"
                if done == max_iterations
                else f"rounding stops it there after {done} iterations"
            )
            raise PrecisionError(
                f"the residual of (K + ridge I) alpha = y is {errors.max():.1e} of y, {tolerance:.1e} was asked for: "
                f"{reason}. A larger ridge (now {ridge:g}), rank (now {factor.shape[1]}) or tolerance helps; without "
                "ridge, leave out repeated inputs"
            )
    return RidgeRegression(K, rows, ridge, alpha.reshape(np.shape(y)), errors, done, factor.shape[1])


def randomly_pivoted_cholesky(
    K: Kernel, X: FloatArray, rank: int, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """F of shape (n, at most rank) with K(X) - F F' positive semi-definite and small, and the trace of that difference.

    Only `rank` columns of K(X) are computed. Fewer come back when they explain the matrix to rounding.

    Examples
    --------
    >>> import kernalg as ka
    >>> K = ka.serial(ka.Dense(1, 0)).nngp
    >>> F, rest = randomly_pivoted_cholesky(K, np.arange(12.0).reshape(6, 2), 5, np.random.default_rng(0))
    >>> F.shape, bool(rest < 1e-10)
    ((6, 2), True)
    """
    diagonal = K.diag(X).copy()
    floor = _ROUNDING * float(diagonal.max())
    factor = np.zeros((len(X), rank), order="F")
    filled = 0
    while filled < rank and (candidates := int((diagonal > floor).sum())):
        chances = np.where(diagonal > floor, diagonal, 0.0)
        pivots = rng.choice(len(X), min(_PIVOTS, rank - filled, candidates), replace=False, p=chances / chances.sum())
        columns = K(X, X[pivots]) - factor[:, :filled] @ factor[pivots, :filled].T
        values, vectors = scipy.linalg.eigh(columns[pivots])
        kept = values > floor
        new = columns @ (vectors[:, kept] / np.sqrt(values[kept]))
        factor[:, filled : filled + new.shape[1]] = new
        filled += new.shape[1]
        diagonal = np.maximum(diagonal - np.einsum("ij,ij->i", new, new), 0.0)
        diagonal[pivots] = 0.0
    return factor[:, :filled], float(diagonal.sum())


def _preconditioner(factor: FloatArray, shift: float) -> Matrix:
    """(F F' + shift)^-1, up to the factor `shift`, which conjugate gradients do not see (shift may be 0)."""
    left, sizes, _ = scipy.linalg.svd(factor, full_matrices=False)
    squares = sizes**2
    # Without ridge or rest a shift at the level of rounding keeps the inverse finite.
    shift = max(shift, _ROUNDING * float(squares.max(initial=0.0)))
    weights = (squares / (squares + shift))[:, None] if shift > 0 else squares[:, None]

    @serial_blas()
    def inverse(V: FloatArray) -> FloatArray:
        return V - left @ (weights * (left.T @ V))

    return inverse


def _conjugate_gradients(apply: Matrix, precondition: Matrix, y: FloatArray, wanted: FloatArray) -> Any:
    """Yield (solution, norms of the residuals) after every step, the last when all norms are at most `wanted`.

    Every column of `y` has its own step lengths; a column that is done stands still.
    """
    solution = np.zeros_like(y)
    residual = y.copy()
    direction = np.zeros_like(y)
    old = np.ones(y.shape[1])
    norms = np.linalg.norm(residual, axis=0)
    while (active := norms > wanted).any():
        z = precondition(residual)
        new = np.einsum("ij,ij->j", residual, z)
        direction = z + direction * (new / old)
        image = apply(direction)
        curvature = np.einsum("ij,ij->j", direction, image)
        if (curvature[active] <= 0).any():
            raise DomainError(
                "K + ridge I is not positive definite in float64: a direction has "
                f"v'(K + ridge I)v = {curvature[active].min():.2g}. Use a larger ridge, or leave out repeated inputs"
            )
        steps = np.where(active, new / np.where(active, curvature, 1.0), 0.0)
        solution = solution + direction * steps
        residual = residual - image * steps
        old = np.where(active, new, 1.0)
        direction[:, ~active] = 0.0
        norms = np.linalg.norm(residual, axis=0)
        yield solution, norms


def _positive(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 1:
        raise DomainError(f"{name} is {given!r}; a positive integer is needed")
    return int(given)
