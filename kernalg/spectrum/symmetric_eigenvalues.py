r"""Certified eigenvalues of positive semi-definite ball matrices, small ones with relative accuracy.

Three steps. Cholesky's factorisation with pivoting stops when what is left, which is positive semi-definite, has a
negligible trace t: :math:`A=LL^T+R` with few columns L, and every eigenvalue of A lies between that of the small
matrix :math:`B=L^TL` and that plus t (Weyl). Approximate eigenvectors V and eigenvalues D of B come from the QR
algorithm in high precision. They are verified: with :math:`B=VDV^T+E` and :math:`V^TV=I+O`,

.. math:: |\lambda_i(B)-D_i|\le D_i\,\|O\|_F+\|E\|_F

(Ostrowski's theorem for the congruence, Weyl's for the perturbation).
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from flint import acb_mat, arb, arb_mat, ctx

from kernalg.errors import PrecisionError

Matrix = Sequence[Sequence[arb]]


def symmetric_eigenvalues(matrix: Matrix, digits: int) -> list[arb]:
    """Enclosures of the eigenvalues of a matrix of balls that is known to be positive semi-definite, decreasing.

    Parameters
    ----------
    matrix : sequence of rows
        At the current precision, which should exceed `digits` decimals a good deal.
    digits : int
        Eigenvalues below 10^-digits of the trace are not listed; the radii are at least 10^-digits of the trace.

    Raises
    ------
    PrecisionError
        If a diagonal entry is negative in the factorisation: the balls are too wide, or the matrix is indefinite.

    Examples
    --------
    >>> from kernalg.enclosure.balls import precision
    >>> with precision(100):
    ...     values = symmetric_eigenvalues([[arb(2), arb(1)], [arb(1), arb(2)]], 15)
    >>> [round(float(v), 12) for v in values]
    [3.0, 1.0]
    """
    columns, left = _cholesky(matrix, digits)
    r = len(columns)
    if r == 0:
        return []
    factor = arb_mat(r, len(matrix), [x for column in columns for x in column])
    gram = factor * factor.transpose()
    small = arb_mat(r, r, [gram[i, j].mid() for i in range(r) for j in range(r)])
    best: list[arb] = []
    for eigenpairs in (_by_flint, _by_mpmath):
        values, vectors = eigenpairs(small)
        found = _verified(gram, values, vectors)
        if not best or found[0].rad() < best[0].rad():
            best = found
        # Clusters of eigenvalues are what the first method does not separate.
        if found[0].rad() <= left + gram[0, 0].abs_upper() * arb(10) ** -digits + 4 * r * r * _widest(gram):
            break
    half = arb(left / 2)
    return [value + half + arb(0, half.upper()) for value in best]


def _cholesky(matrix: Matrix, digits: int) -> tuple[list[list[arb]], arb]:
    """Columns of L, and an upper bound of the trace of what is left."""
    n = len(matrix)
    diagonal = [matrix[i][i] for i in range(n)]
    goal = sum((a.abs_upper() for a in diagonal), arb(0)) * arb(10) ** -(digits + 2)
    columns: list[list[arb]] = []
    free = set(range(n))
    while free:
        left = sum((diagonal[i].upper() for i in free), arb(0)).upper().max(arb(0))
        pivot = max(free, key=lambda i: diagonal[i].mid())
        if any(diagonal[i] < 0 for i in free):
            raise PrecisionError("a matrix that should be positive semi-definite is not, within its balls")
        if left <= goal or not diagonal[pivot] > 0:
            return columns, arb(left)
        root = diagonal[pivot].sqrt()
        column = [arb(0)] * n
        column[pivot] = root
        free.discard(pivot)
        for i in free:
            entry = matrix[i][pivot] - sum((c[i] * c[pivot] for c in columns), arb(0))
            column[i] = entry / root
            diagonal[i] -= column[i] ** 2
        columns.append(column)
    return columns, arb(0)


def _verified(gram: arb_mat, values: list[arb], vectors: list[list[arb]]) -> list[arb]:
    """`vectors[i][j]` is the component i of the eigenvector of `values[j]`."""
    r = gram.nrows()
    order = sorted(range(r), key=lambda j: values[j], reverse=True)
    columns = [_unit([vectors[i][j] for i in range(r)]) for j in order]
    sizes = [values[j] for j in order]
    v = arb_mat(r, r, [columns[j][i] for i in range(r) for j in range(r)])
    scaled = arb_mat(r, r, [columns[j][i] * sizes[j] for i in range(r) for j in range(r)])
    rest = _norm(gram - scaled * v.transpose())
    skew = _norm(v.transpose() * v - arb_mat(r, r, [int(i == j) for i in range(r) for j in range(r)]))
    return [size + arb(0, (abs(size) * skew + rest).upper()) for size in sizes]


def _norm(matrix: arb_mat) -> arb:
    """An upper bound of the Frobenius norm."""
    return sum((entry.abs_upper() ** 2 for entry in matrix.entries()), arb(0)).sqrt()


def _widest(matrix: arb_mat) -> arb:
    return max(entry.rad() for entry in matrix.entries())


def _unit(vector: list[arb]) -> list[arb]:
    length = sum((x * x for x in vector), arb(0)).sqrt()
    return [(x / length).mid() for x in vector]


def _by_flint(small: arb_mat) -> tuple[list[arb], list[list[arb]]]:
    """The QR algorithm of Arb: fast, not orthogonal where eigenvalues cluster."""
    r = small.nrows()
    values, vectors = acb_mat(small).eig(right=True, algorithm="approx")
    return [v.real.mid() for v in values], [[vectors[i, j].real.mid() for j in range(r)] for i in range(r)]


def _by_mpmath(small: arb_mat) -> tuple[list[arb], list[list[arb]]]:
    """The symmetric QL algorithm of mpmath: slow, orthogonal always."""
    r = small.nrows()
    with mpmath.workprec(ctx.prec):
        values, vectors = mpmath.eigsy(mpmath.matrix([[_to_mpf(small[i, j]) for j in range(r)] for i in range(r)]))
        return [_from_mpf(values[i]) for i in range(r)], [
            [_from_mpf(vectors[i, j]) for j in range(r)] for i in range(r)
        ]


def _to_mpf(value: arb) -> mpmath.mpf:
    mantissa, exponent = value.man_exp()
    return mpmath.ldexp(mpmath.mpf(int(mantissa)), int(exponent))


def _from_mpf(value: mpmath.mpf) -> arb:
    sign, mantissa, exponent, _ = value._mpf_
    return arb((-int(mantissa) if sign else int(mantissa), int(exponent)))
