r"""Certified eigenvalues of positive semi-definite ball matrices, small ones with relative accuracy.

Approximate eigenvectors V and eigenvalues D of the midpoint are taken from floating-point arithmetic of high precision
and verified: with :math:`A=VDV^T+E` and :math:`V^TV=I+O`,

.. math:: |\lambda_i(A)-D_i|\le D_i\,\|O\|_F+\|E\|_F

(Ostrowski's theorem for the congruence, Weyl's for the perturbation).
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from flint import acb_mat, arb, arb_mat, ctx


Matrix = Sequence[Sequence[arb]]


def symmetric_eigenvalues(matrix: Matrix) -> list[arb]:
    """Enclosures of all eigenvalues of a symmetric matrix of balls, decreasing, at the current precision.

    Eigenvalues below 2^-(bits/2) of the largest are not told from each other: their balls contain 0.

    Examples
    --------
    >>> [v.str(8, radius=False) for v in symmetric_eigenvalues([[arb(2), arb(1)], [arb(1), arb(2)]])]
    ['3.0000000', '1.0000000']
    """
    n = len(matrix)
    if n == 0:
        return []
    given = arb_mat(n, n, [matrix[i][j] for i in range(n) for j in range(n)])
    middle = arb_mat(n, n, [matrix[i][j].mid() for i in range(n) for j in range(n)])
    bits = ctx.prec
    best: list[arb] | None = None
    for pairs in (_by_flint, _by_mpmath):
        values, vectors = pairs(middle)
        size = max((abs(v) for v in values), default=arb(0))
        kept = sorted((i for i in range(n) if values[i] > size * arb(2) ** -(bits // 2)), key=lambda i: -values[i])
        columns = [_unit([vectors[row][i] for row in range(n)]) for i in kept]
        found = _verified(given, [values[i] for i in kept], columns)
        if best is None or _widest(found) < _widest(best):
            best = found
        if _widest(found) <= _size_of_radii(given) + size * arb(2) ** -(bits // 3):
            break
    return best or []


def _verified(given: arb_mat, values: list[arb], columns: list[list[arb]]) -> list[arb]:
    n, r = given.nrows(), len(columns)
    v = arb_mat(n, r, [columns[j][i] for i in range(n) for j in range(r)])
    vt = v.transpose()
    scaled = arb_mat(n, r, [columns[j][i] * values[j] for i in range(n) for j in range(r)])
    rest = _norm(given - scaled * vt)
    overlap = vt * v
    skew = _norm(overlap - arb_mat(r, r, [int(i == j) for i in range(r) for j in range(r)]))
    result = [value + arb(0, (value * skew + rest).upper()) for value in values]
    return result + [arb(0, rest.upper())] * (n - r)


def _norm(matrix: arb_mat) -> arb:
    """The Frobenius norm."""
    return sum((entry.abs_upper() ** 2 for entry in matrix.entries()), arb(0)).sqrt()


def _size_of_radii(matrix: arb_mat) -> arb:
    return 4 * sum((entry.rad() ** 2 for entry in matrix.entries()), arb(0)).sqrt()


def _widest(found: list[arb]) -> arb:
    return max((value.rad() for value in found), default=arb(0))


def _unit(vector: list[arb]) -> list[arb]:
    length = sum((x * x for x in vector), arb(0)).sqrt()
    return [(x / length).mid() for x in vector]


def _by_flint(middle: arb_mat) -> tuple[list[arb], list[list[arb]]]:
    """The QR algorithm of Arb: fast, not orthogonal where eigenvalues cluster."""
    n = middle.nrows()
    values, vectors = acb_mat(middle).eig(right=True, algorithm="approx")
    return [v.real.mid() for v in values], [[vectors[i, j].real.mid() for j in range(n)] for i in range(n)]


def _by_mpmath(middle: arb_mat) -> tuple[list[arb], list[list[arb]]]:
    """The symmetric QL algorithm of mpmath: slow, orthogonal always."""
    n = middle.nrows()
    with mpmath.workprec(ctx.prec):
        exact = [[_to_mpf(middle[i, j]) for j in range(n)] for i in range(n)]
        values, vectors = mpmath.eigsy(mpmath.matrix(exact))
        return [_from_mpf(values[i]) for i in range(n)], [[_from_mpf(vectors[i, j]) for j in range(n)] for i in range(n)]


def _to_mpf(value: arb) -> mpmath.mpf:
    mantissa, exponent = value.man_exp()
    return mpmath.mpf((int(mantissa), int(exponent)))


def _from_mpf(value: mpmath.mpf) -> arb:
    mantissa, exponent = value.man_exp
    return arb((int(mantissa) if value >= 0 else -abs(int(mantissa)), int(exponent)))


