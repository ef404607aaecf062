r"""Power series in the cosine <-> zonal expansions on the sphere.

For :math:`K(t)=\sum_m a_mt^m=\sum_k N(d,k)\lambda_kP_{k,d}(t)`,

.. math:: \lambda_k=\sum_{j\ge0}a_{k+2j}\,w_{k,j},\qquad
          w_{k,j}=\frac{(k+2j)!}{j!\,2^{k+2j}}\,\frac{\Gamma(d/2)}{\Gamma(d/2+k+j)} .

All weights are positive: with non-negative Taylor coefficients nothing cancels, and every truncation is a lower bound.
The weights rise at most up to one peak and then fall like :math:`j^{-(d-1)/2}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy as sp
from flint import arb, fmpq, fmpq_poly

from kernalg.checks import whole_number
from kernalg.errors import DomainError
from kernalg.expansion.zonal import dimension_and_degree, multiplicity, zonal_coefficients


def first_weight(d: int, k: int) -> fmpq:
    """w_{k,0} = k! / (d (d+2) … (d+2k-2)), exactly."""
    return fmpq(math.factorial(k), math.prod(range(d, d + 2 * k, 2)))


def weight_ratio(d: int, k: int, j: int) -> tuple[int, int]:
    """w_{k,j+1} / w_{k,j} as numerator and denominator."""
    return (k + 2 * j + 1) * (k + 2 * j + 2), 2 * (j + 1) * (d + 2 * k + 2 * j)


def largest_weight_index(d: int, k: int, j: int) -> int:
    """The i >= j at which w_{k,i} is largest: the weights rise to one peak, then fall."""
    # w_{k,i+1} <= w_{k,i} iff (2d - 2) i >= k^2 - k - 2d + 2.
    return max(j, -((k * k - k - 2 * d + 2) // -(2 * d - 2)))


def log_largest_weight(d: int, k: int, j: int) -> float:
    """log of the largest weight w_{k,i} over i >= j (double precision, for planning)."""
    i = largest_weight_index(d, k, j)
    m = k + 2 * i
    return math.lgamma(m + 1) - math.lgamma(i + 1) - m * math.log(2) + math.lgamma(d / 2) - math.lgamma(d / 2 + k + i)


def largest_weight(d: int, k: int, j: int) -> arb:
    """Enclosure of the largest weight w_{k,i} over i >= j, at the current precision."""
    i = largest_weight_index(d, k, j)
    m, half = k + 2 * i, arb(d) / 2
    return (arb(m + 1).lgamma() - arb(i + 1).lgamma() + half.lgamma() - (half + k + i).lgamma()).exp() / arb(2) ** m


def zonal_weights(d: int, k: int, terms: int) -> list[arb]:
    """Enclosures of w_{k,0}, …, w_{k,terms-1} at the current precision.

    Raises
    ------
    DomainError
        If d < 2, k < 0 or terms < 0, or one of them is not an integer.

    Examples
    --------
    >>> [w.str(6, radius=False) for w in zonal_weights(3, 0, 3)]
    ['1.00000', '0.333333', '0.200000']
    """
    d, k = dimension_and_degree(d, k)
    weight = arb(first_weight(d, k))
    weights = []
    for j in range(whole_number("terms", terms, 0)):
        weights.append(weight)
        up, down = weight_ratio(d, k, j)
        weight = weight * up / down
    return weights


def _rationals(name: str, values: Sequence[Any]) -> list[fmpq]:
    result = []
    for value in values:
        number = sp.S(value) if isinstance(value, int | sp.Basic) else None
        if hasattr(value, "numerator") and number is None:
            number = sp.Rational(value.numerator, value.denominator)
        if not isinstance(number, sp.Rational):
            raise DomainError(
                f"{name} holds {value!r}: this exact conversion takes rational numbers (int, Fraction, Rational)."
            )
        result.append(fmpq(int(number.p), int(number.q)))
    return result


def _to_sympy(value: fmpq) -> sp.Rational:
    return sp.Rational(int(value.p), int(value.q))


def zonal_from_taylor(coefficients: Sequence[Any], d: int, degree: int | None = None) -> list[sp.Rational]:
    """Exact eigenvalues lambda_0, …, lambda_degree of the polynomial kernel with these Taylor coefficients.

    Parameters
    ----------
    coefficients : sequence of rational numbers
        a_0, a_1, … ; the kernel is their polynomial in the cosine.
    d : int
        Dimension of the space around the sphere, at least 2.
    degree : int, optional
        Largest degree returned; that of the polynomial by default.

    Raises
    ------
    DomainError
        If a coefficient is not rational, or d, degree are out of range.

    Examples
    --------
    >>> zonal_from_taylor([0, 0, 1], 3)
    [1/3, 0, 2/15]
    """
    a = _rationals("coefficients", coefficients)
    d, degree = dimension_and_degree(d, max(len(a) - 1, 0) if degree is None else degree)
    eigenvalues = []
    for k in range(degree + 1):
        weight, total = first_weight(d, k), fmpq(0)
        for j, coefficient in enumerate(a[k::2]):
            total += coefficient * weight
            weight *= fmpq(*weight_ratio(d, k, j))
        eigenvalues.append(_to_sympy(total))
    return eigenvalues


def taylor_from_zonal(eigenvalues: Sequence[Any], d: int) -> list[sp.Rational]:
    """Exact Taylor coefficients of sum_k N(d,k) lambda_k P_{k,d}: the inverse of `zonal_from_taylor`.

    Raises
    ------
    DomainError
        If an eigenvalue is not rational, or d is out of range.

    Examples
    --------
    >>> taylor_from_zonal([sp.Rational(1, 3), 0, sp.Rational(2, 15)], 3)
    [0, 0, 1]
    """
    values = _rationals("eigenvalues", eigenvalues)
    d, _ = dimension_and_degree(d, 0)
    total = fmpq_poly([0])
    for k, value in enumerate(values):
        total += value * multiplicity(d, k) * zonal_coefficients(k, d)
    return [_to_sympy(total[m]) for m in range(len(values))]
