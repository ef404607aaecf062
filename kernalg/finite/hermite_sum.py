r"""Polynomial activations on large arrays, by the recurrence of Hermite polynomials.

A polynomial of degree 30 written in powers loses digits to cancellation, and each of its powers is a pass over the
array. With :math:`\varphi=\sum_kb_kh_k` (h_k = He_k/sqrt(k!), orthonormal for N(0, 1)) and
:math:`\sqrt{k+1}\,h_{k+1}(z)=z\,h_k(z)-\sqrt k\,h_{k-1}(z)`, Clenshaw's sum takes three operations a degree, in the
arithmetic of the array, and errs by some roundings of the largest terms.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from numpy.typing import NDArray

from kernalg.symbols import x

Array = NDArray[Any]

MAX_DEGREE = 400
# Below it the formula is walked: products are as fast.
_LEAST_DEGREE = 5
# Entries summed at a time, so that the three arrays of the recurrence stay in cache.
_PIECE = 2**13


def hermite_coefficients(expr: sp.Expr, order: int = 0) -> tuple[float, ...] | None:
    """b_0, b_1, … of a derivative of a polynomial in x at unit variance; None for other functions and low degrees.

    x^n = sum_j n!/(2^j j! (n-2j)!) He_{n-2j}, a sum that cancels: as many digits are carried as the largest term needs.

    Examples
    --------
    >>> hermite_coefficients(x**6)
    (15.0, 0.0, 63.63961030678928, 0.0, 73.48469228349535, 0.0, 26.832815729997478)
    """
    b = _coefficients(expr)
    for _ in range(order if b is not None else 0):  # h_k' = sqrt(k) h_{k-1}
        b = tuple(math.sqrt(k) * value for k, value in enumerate(b or ()))[1:]
    return b


@lru_cache(maxsize=64)
def _coefficients(expr: sp.Expr) -> tuple[float, ...] | None:
    if not expr.is_polynomial(x) or not _LEAST_DEGREE <= _degree(expr) <= MAX_DEGREE:
        return None
    digits = 50 + 2 * _degree(expr)
    powers = sp.Poly(expr.evalf(digits), x).all_coeffs()[::-1]
    with mpmath.workdps(digits):
        a = [mpmath.mpf(c) for c in powers]
        b = []
        for k in range(len(a)):
            terms = (
                a[k + 2 * j] * mpmath.factorial(k + 2 * j) / (mpmath.mpf(2) ** j * mpmath.factorial(j))
                for j in range((len(a) - 1 - k) // 2 + 1)
            )
            b.append(float(mpmath.fsum(terms) / mpmath.sqrt(mpmath.factorial(k))))
    return tuple(b)


def _degree(expr: sp.Expr) -> int:
    """The degree, if nothing cancels; SymPy's own takes seconds where the coefficients have many different roots."""
    if expr == x:
        return 1
    if isinstance(expr, sp.Pow) and expr.has(x):
        return int(expr.exp) * _degree(expr.base)
    degrees = [_degree(e) for e in expr.args]
    return sum(degrees) if isinstance(expr, sp.Mul) else max(degrees, default=0)


def hermite_sum(coefficients: tuple[float, ...], z: Array) -> Array:
    """The sum of b_k h_k(z), of the type of z.

    Examples
    --------
    >>> hermite_sum((0.0, 1.0, 2.0), np.array([3.0]))  # 3 + 2 (9 - 1)/sqrt(2)
    array([14.3137085])
    """
    flat = np.ascontiguousarray(z).reshape(-1)
    out = np.empty_like(flat)
    for first in range(0, flat.size, _PIECE):
        piece = flat[first : first + _PIECE]
        above, twice_above = np.zeros_like(piece), np.zeros_like(piece)
        for k in range(len(coefficients) - 1, -1, -1):
            here = piece * above
            here *= 1 / math.sqrt(k + 1)
            twice_above *= math.sqrt((k + 1) / (k + 2))
            here -= twice_above
            here += coefficients[k]
            above, twice_above = here, above
        out[first : first + _PIECE] = above
    return out.reshape(z.shape)
