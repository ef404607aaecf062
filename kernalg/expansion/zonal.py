r"""Zonal polynomials of the sphere :math:`S^{d-1}\subset\mathbb R^d` and the dimensions of their harmonic spaces.

:math:`P_{k,d}` is the Gegenbauer polynomial normalised by :math:`P_{k,d}(1)=1`:

.. math:: P_0=1,\quad P_1=t,\quad (k+d-2)P_{k+1}=(2k+d-2)\,tP_k-kP_{k-1},

with :math:`E[P_kP_l]=\delta_{kl}/N(d,k)` when t is a coordinate of a uniform unit vector. For d = 2 it is
:math:`\cos(k\arccos t)`, for d = 3 the Legendre polynomial. Source: Atkinson & Han, *Spherical Harmonics and
Approximations on the Unit Sphere* (2012), chapter 2.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import sympy as sp
from flint import acb, arb, fmpq, fmpq_poly
from numpy.typing import ArrayLike, NDArray

from kernalg.checks import whole_number
from kernalg.errors import DomainError
from kernalg.symbols import rho

Ball = TypeVar("Ball", arb, acb)


def dimension_and_degree(d: Any, k: Any) -> tuple[int, int]:
    """Checked (d, k): d >= 2 is the dimension of the space around the sphere S^(d-1), k >= 0 a degree."""
    return whole_number("d", d, 2), whole_number("degree", k, 0)


def multiplicity(d: int, k: int) -> int:
    r"""N(d, k), the dimension of the harmonics of degree `k` on :math:`S^{d-1}`, exactly.

    :math:`N(d,k)=\binom{d+k-1}{k}-\binom{d+k-3}{k-2}`.

    Raises
    ------
    DomainError
        If d < 2, k < 0 or one of them is not an integer.

    Examples
    --------
    >>> [multiplicity(3, k) for k in range(5)], multiplicity(50, 4)
    ([1, 3, 5, 7, 9], 291550)
    """
    d, k = dimension_and_degree(d, k)
    return math.comb(d + k - 1, k) - (math.comb(d + k - 3, k - 2) if k >= 2 else 0)


def multiplicities(d: int, degree: int) -> list[int]:
    """N(d, 0), …, N(d, degree), exactly, each from the one before.

    Examples
    --------
    >>> multiplicities(3, 4), multiplicities(2, 3)
    ([1, 3, 5, 7, 9], [1, 2, 2, 2])
    """
    d, degree = dimension_and_degree(d, degree)
    # Dimensions of the polynomials of degree k that are homogeneous, C(d+k-2, k) in d - 1 variables; of those in d - 1
    # variables of degrees k and k - 1 consist the harmonics.
    result, before, current = [], 0, 1
    for k in range(degree + 1):
        result.append(current + before)
        before, current = current, current * (d + k - 1) // (k + 1)
    return result


def log_multiplicity(d: int, k: int) -> float:
    """log N(d, k), also where N(d, k) exceeds the range of float64.

    Examples
    --------
    >>> round(log_multiplicity(10**6, 1000), 6)
    7903.881712
    """
    return math.log(multiplicity(d, k))


def zonal_table(degree: int, d: int, t: ArrayLike) -> NDArray[np.float64]:
    """P_{0,d}(t), …, P_{degree,d}(t) in double precision.

    Parameters
    ----------
    degree : int
        Largest degree.
    d : int
        Dimension of the space around the sphere, at least 2.
    t : array_like, shape S
        Cosines, in [-1, 1].

    Returns
    -------
    ndarray, shape (degree + 1, *S)

    Raises
    ------
    DomainError
        If d < 2, degree < 0, or a value of `t` is not in [-1, 1] (NaN included).

    Examples
    --------
    >>> zonal_table(3, 3, [0.5, 1.0])
    array([[ 1.    ,  1.    ],
           [ 0.5   ,  1.    ],
           [-0.125 ,  1.    ],
           [-0.4375,  1.    ]])
    """
    d, degree = dimension_and_degree(d, degree)
    cosine = np.asarray(t, dtype=np.float64)
    if not np.all(np.abs(cosine) <= 1):
        raise DomainError("t holds values outside [-1, 1] or NaN; zonal polynomials are functions of a cosine.")
    table = np.empty((degree + 1, *cosine.shape))
    table[0] = 1
    if degree:
        table[1] = cosine
    for k in range(1, degree):
        table[k + 1] = ((2 * k + d - 2) * cosine * table[k] - k * table[k - 1]) / (k + d - 2)
    return table


def zonal_balls(degree: int, d: int, t: Ball) -> list[Ball]:
    """Enclosures of P_{0,d}(t), …, P_{degree,d}(t) at the current precision.

    The radius grows by at most a factor 1 + sqrt(2) a degree: 1.3 bits are lost a degree.
    """
    values = [t * 0 + 1, t]
    for k in range(1, degree):
        values.append(((2 * k + d - 2) * t * values[k] - k * values[k - 1]) / (k + d - 2))
    return values[: degree + 1]


def zonal_ball(k: int, d: int, t: Ball) -> Ball:
    """Enclosure of P_{k,d}(t) for a real ball or complex box, at the current precision.

    Raises
    ------
    DomainError
        If d < 2 or k < 0, or one of them is not an integer.

    Examples
    --------
    >>> zonal_ball(2, 3, arb(0.5))
    -0.125000000000000
    """
    d, k = dimension_and_degree(d, k)
    return zonal_balls(k, d, t)[k]


@lru_cache(maxsize=1024)
def zonal_coefficients(k: int, d: int) -> fmpq_poly:
    """P_{k,d} as an exact polynomial."""
    d, k = dimension_and_degree(d, k)
    t = fmpq_poly([0, 1])
    before, current = fmpq_poly([1]), t
    if k == 0:
        return before
    for j in range(1, k):
        before, current = current, ((2 * j + d - 2) * t * current - j * before) * fmpq(1, j + d - 2)
    return current


def zonal_polynomial(k: int, d: int) -> sp.Expr:
    """P_{k,d} as an exact SymPy polynomial in `rho`.

    Raises
    ------
    DomainError
        If d < 2 or k < 0, or one of them is not an integer.

    Examples
    --------
    >>> zonal_polynomial(3, 3)
    5*rho**3/2 - 3*rho/2
    """
    coefficients = zonal_coefficients(k, d).coeffs()
    return sp.Add(*(sp.Rational(int(c.p), int(c.q)) * rho**m for m, c in enumerate(coefficients)))
