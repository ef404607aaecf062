r"""The leading eigenpairs of a Gram matrix that is never stored, by a block Krylov method.

Every product with the matrix computes all its entries anew, at a price that hardly depends on the number of columns. So
few products with many columns are wanted: `scipy.sparse.linalg.eigsh` makes one product for every vector of its
basis, `lobpcg` keeps three blocks of what it has seen. Here the whole Krylov space of a block is kept,

.. math:: \mathrm{span}\{Q, KQ, K^2Q, \dots\},\qquad Q \text{ random},

with an orthonormal basis V (every block orthogonalised against all before it, twice), and the eigenpairs of V'KV are
the approximations (Rayleigh and Ritz). When the basis is full it shrinks to its best vectors and the newest block
(thick restart). Sources: Golub and Underwood (1977) for block Lanczos, Wu and Simon (SIAM J. Matrix Anal. 2000) for the
restart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from kernalg.checks import FloatArray, real_number
from kernalg.compiled.threads import serial_blas
from kernalg.errors import DomainError, PrecisionError
from kernalg.progress import Report, reporter

# Directions below this share of the largest eigenvalue are rounding, not part of the Krylov space.
_ROUNDING = 1e-14
_BASIS_BLOCKS = 16


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Leading eigenvalues and eigenvectors of a Gram matrix, with the errors they are known to.

    Attributes
    ----------
    eigenvalues : (count,) array
        Of K(X) itself, in decreasing order. (`empirical_spectrum` gives those of K(X)/n.)
    eigenvectors : (n, count) array
        Orthonormal columns; the largest entry of each is positive.
    residuals : (count,) array
        |K v - lambda v|, with an allowance of 1e-14 of the largest eigenvalue for rounding: the matrix has an
        eigenvalue at most this far from lambda. With gap the distance to the other eigenvalues, the error of lambda is
        at most residual^2 / gap, and v is off by an angle of about residual / gap.
    passes : int
        How many times all entries of the matrix were computed.
    """

    eigenvalues: FloatArray
    eigenvectors: FloatArray
    residuals: FloatArray
    passes: int

    def __repr__(self) -> str:
        n, count = self.eigenvectors.shape
        return (
            f"Eigenpairs({count} of {n}: {self.eigenvalues[0]:.6g} … {self.eigenvalues[-1]:.6g}, "
            f"residuals at most {self.residuals.max():.1e}, {self.passes} passes)"
        )


def eigenpairs(
    K: Any,
    X: Any = None,
    count: int = 10,
    *,
    tolerance: float = 1e-6,
    max_passes: int = 100,
    seed: int = 0,
    progress: Report | bool | None = None,
) -> Eigenpairs:
    """The `count` largest eigenvalues of K(X) and their eigenvectors; the matrix is not stored.

    Parameters
    ----------
    K : Kernel, or symmetric scipy.sparse.linalg.LinearOperator
        An operator stands for the matrix itself, and `X` is left out.
    X : (n, d) array_like
        One input a row.
    count : int
        From 1 to n.
    tolerance : float
        The pairs are accepted when every residual is at most tolerance * lambda, or at the level of rounding. Since the
        error of lambda is of second order in the residual, 1e-6 gives eigenvalues to 12 digits where they are well
        apart.
    max_passes : int
        Products with the matrix, after which the search is given up.
    seed : int
        Of the random first block. The same seed gives the same bits.
    progress : bool or callable
        True shows every pass on the standard error stream; a callable is called as progress(done, total, text).

    Raises
    ------
    DomainError
        Values out of range, or inputs the kernel refuses.
    PrecisionError
        Not converged within `max_passes`; the message says how far it came.

    Notes
    -----
    Memory: up to 16 blocks of about count + 10 vectors of length n, twice while they are exchanged.

    Examples
    --------
    >>> import kernalg as ka, numpy as np
    >>> X = np.random.default_rng(0).standard_normal((500, 20))
    >>> pairs = ka.eigenpairs(ka.mlp("relu", depth=2).ntk, X, 3)
    >>> bool(np.all(pairs.residuals <= 1e-6 * pairs.eigenvalues))
    True
    """
    report = reporter(progress)
    passes = 0

    def inside_a_pass(done: int, total: int, text: str) -> None:
        report(passes, max_passes, f"pass {passes + 1}: {text}")

    operator = _operator(K, X, inside_a_pass)
    n = operator.shape[0]
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= n:
        raise DomainError(f"count is {count!r}; an integer from 1 to the number of inputs, {n}, is needed")
    if isinstance(max_passes, bool) or not isinstance(max_passes, int | np.integer) or max_passes < 1:
        raise DomainError(f"max_passes is {max_passes!r}; a positive integer is needed")
    tolerance = real_number("tolerance", tolerance, minimum=1e-14)
    block = min(n, count + max(10, count // 2))
    krylov = _KrylovSpace(n, block * _BASIS_BLOCKS, np.random.default_rng(seed).standard_normal((n, block)))
    while True:
        krylov.expand(operator.matmat)
        passes += 1
        values, coefficients, residuals = krylov.pairs(count)
        sizes = np.abs(values)
        residuals += _ROUNDING * sizes.max()
        allowed = np.maximum(tolerance * sizes, 2 * _ROUNDING * sizes.max())
        worst = float((residuals / np.maximum(sizes, np.finfo(float).tiny)).max())
        report(passes, max_passes, f"pass {passes}: residuals up to {worst:.1e} of the eigenvalue")
        if (residuals <= allowed).all():
            break
        if passes == max_passes:
            raise PrecisionError(
                f"after {passes} passes {int((residuals <= allowed).sum())} of {count} eigenpairs have residuals below "
                f"{tolerance:g} of the eigenvalue, the worst {worst:.1e}. Raise max_passes or tolerance, or ask for "
                "another count: eigenvalues after the last one asked for that are close to it slow the search down"
            )
        krylov.make_room(count + block)
    vectors = krylov.basis @ coefficients
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.sign(vectors[largest, np.arange(count)])
    return Eigenpairs(values, vectors, residuals, passes)


class _KrylovSpace:
    """An orthonormal basis, the matrix projected on it, and the block that leads out of it.

    K V = V H + [0, W]: `H` is V'KV, `_out` is W, the part of K times the newest block outside of the basis. What is
    computed here is little beside a pass over the matrix, and BLAS threads would be slow to wake up for it.
    """

    def __init__(self, n: int, capacity: int, start: FloatArray) -> None:
        block = start.shape[1]
        self._columns = np.empty((n, min(n, capacity + 2 * block)), order="F")
        self._H = np.zeros((self._columns.shape[1],) * 2)
        self._capacity = capacity
        self._size = 0  # columns whose product with the matrix is known
        self._newest = 0  # how many of them are the newest block
        self._next = scipy.linalg.qr(start, mode="economic")[0]
        self._out = np.empty((n, 0))

    @property
    def basis(self) -> FloatArray:
        return self._columns[:, : self._size]

    @serial_blas()
    def expand(self, apply: Callable[[FloatArray], FloatArray]) -> None:
        """One product with the matrix: the next block joins the basis."""
        block = self._next
        old, new = self._size, self._size + block.shape[1]
        self._columns[:, old:new] = block
        self._size, self._newest = new, new - old
        out = apply(block)
        projected = np.zeros((new, new - old))
        for _ in range(2):
            part = self.basis.T @ out
            out = out - self.basis @ part
            projected += part
        square = projected[old:]
        if np.abs(square - square.T).max() > 1e-8 * np.abs(square).max():
            raise DomainError("the operator is not symmetric: u'K v and v'K u differ, so eigenpairs() cannot be used")
        self._H[:new, old:new] = projected
        self._H[old:new, :new] = projected.T
        self._H[old:new, old:new] = (square + square.T) / 2
        self._out = out

    @serial_blas()
    def pairs(self, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The largest eigenvalues of H, the eigenvectors in this basis, and |K v - lambda v|."""
        count = min(count, self._size)
        values, vectors = scipy.linalg.eigh(self._H[: self._size, : self._size])
        values, vectors = values[: -count - 1 : -1].copy(), vectors[:, : -count - 1 : -1]
        residuals = np.linalg.norm(self._out @ vectors[self._size - self._newest :], axis=0)
        return values, vectors, residuals

    @serial_blas()
    def make_room(self, keep: int) -> None:
        """Choose the next block, and shrink the basis to its `keep` best vectors when it is full."""
        scale = float(np.abs(np.diagonal(self._H[: self._size, : self._size])).max())
        directions, sizes, _ = scipy.linalg.svd(self._out, full_matrices=False)
        room = self._columns.shape[0] - self._size
        block = directions[:, : min(int((sizes > _ROUNDING * scale).sum()), room)]
        # Small directions were divided by their size, and with it what rounding left of the basis in them.
        block = scipy.linalg.qr(block - self.basis @ (self.basis.T @ block), mode="economic")[0]
        if self._size + block.shape[1] > self._capacity and self._size > keep:
            values, vectors, _ = self.pairs(keep)
            self._columns[:, :keep] = self.basis @ vectors
            self._H[:] = 0.0
            np.fill_diagonal(self._H[:keep, :keep], values)
            self._size = keep
        self._next = block


def _operator(K: Any, X: Any, progress: Report) -> Any:
    if hasattr(K, "operator"):
        if X is None:
            raise DomainError("K is a kernel: give the inputs X too")
        return K.operator(X, progress=progress)
    if X is not None or not hasattr(K, "matmat") or len(set(K.shape)) != 1:
        raise DomainError(
            f"eigenpairs() takes a network's kernel with inputs X, or a square LinearOperator without X, not "
            f"{type(K).__name__}. Of a matrix in memory: scipy.linalg.eigh or ka.empirical_spectrum"
        )
    return K
