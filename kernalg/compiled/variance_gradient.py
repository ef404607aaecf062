"""Derivatives of a Gram matrix by the logarithms of the variances that its hidden layers share."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import sympy as sp

from kernalg.compiled.inputs import FloatArray, data_matrix
from kernalg.compiled.source import double_double
from kernalg.compiled.threads import threads
from kernalg.compiled.variance_gradient_source import DualGradient, double_double_module, float64_module
from kernalg.errors import DomainError

_CHUNK_ROWS = 32
_THREADED_ENTRIES = 5_000


def variance_gradient(
    formulas: DualGradient, depth: int, ntk: bool, w_var: sp.Expr, b_var: sp.Expr, readout_w_var: float, X: FloatArray
) -> FloatArray:
    """d K(x_i, x_j) / d(log w, log b), shape (n, n, 2), of `depth` times (Dense(w, b), dual) and a readout.

    Parameters
    ----------
    formulas : DualGradient
    depth : int
    ntk : bool
        The tangent kernel, else the NNGP kernel.
    w_var, b_var : exact numbers
        The variances w and b; they are data, so that nothing is compiled again when they change.
    readout_w_var : float
        Weight variance of the readout, which is not differentiated by. Its bias variance does not matter.
    X : (n, d) array

    Raises
    ------
    DomainError
        Inputs that are not a finite real matrix, or a pair of rows where the kernel has no finite derivative.
    """
    X = data_matrix(X, "X")
    n, d = X.shape
    exact = double_double_module(formulas)
    variances = np.array([*double_double(w_var), *double_double(b_var)])
    start, states, diagonal = np.empty((n, 2)), np.empty((n, depth, 6)), np.empty((n, 2))
    G = np.empty((n, n, 2))
    with threads(n * n > _THREADED_ENTRIES) as share:

        def prepare(first: int) -> None:
            part = slice(first, first + _CHUNK_ROWS)
            exact.rows(X[part], variances, ntk, start[part], states[part], diagonal[part])

        chunks = range(0, n, _CHUNK_ROWS)
        share(prepare, chunks)
        finite = np.isfinite(diagonal).all(axis=1)
        if not finite.all():
            _refuse(f"X[{np.argmin(finite)}] with itself")
        Q, Hw, Hb = (np.ascontiguousarray(states[:, :, part].T) for part in (0, 2, 4))
        roots, products = np.sqrt(start[:, 0]), X @ X.T
        w, b = float(variances[0]), float(variances[2])
        pairs = float64_module(formulas).pairs

        def work(first: int) -> None:
            last = min(first + _CHUNK_ROWS, n)
            if pairs(products, first, last, float(d), w, b, ntk, roots, Q, Hw, Hb, G):
                wrong = np.isnan(G[first:last, :, 0]) & (np.arange(n) < np.arange(first, last)[:, None])
                rows, columns = np.nonzero(wrong)
                found = np.empty((rows.size, 2))
                exact.refine(X, rows + first, columns.copy(), variances, ntk, states, diagonal, found)
                good = np.isfinite(found).all(axis=1)
                if not good.all():
                    at = np.argmin(good)
                    _refuse(f"X[{rows[at] + first}] with X[{columns[at]}]")
                G[rows + first, columns] = found

        share(work, chunks)

        def mirror(first: int) -> None:
            last = min(first + _CHUNK_ROWS, n)
            i, j = np.tril_indices(last - first, -1)
            G[first + j, first + i] = G[first + i, first + j]
            G[first:last, last:] = G[last:, first:last].swapaxes(0, 1)
            G[range(first, last), range(first, last)] = diagonal[first:last]

        share(mirror, chunks)
    if readout_w_var != 1:
        G *= readout_w_var
    return G


def _refuse(entry: str) -> NoReturn:
    raise DomainError(
        f"the kernel of {entry} has no finite derivative by the variances: it is beyond the range of float64, or the "
        "formulas have no value there. Tighten the bounds of the variances, rescale the data, or remove one of the rows"
    )
