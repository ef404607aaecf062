r"""Expansions on the hypercube :math:`\{-1,1\}^d` of functions of :math:`t=\langle x,y\rangle/d`.

A kernel f(t) has the parities :math:`\chi_S(x)=\prod_{i\in S}x_i` as eigenfunctions, and its eigenvalue depends on
k = \|S\| alone (multiplicity :math:`\binom dk`). With d - 2j for the sum of the coordinates of x,

.. math:: \lambda_k=E[f(\bar x)\,x_1\cdots x_k]
          =2^{-d}\sum_{j=0}^d\binom dj f\Bigl(1-\frac{2j}d\Bigr)\frac{\mathcal K_k(j)}{\binom dk},

:math:`\mathcal K_k` being the Krawtchouk polynomial: the sum of all parities of size k at a point with j signs. For a
power, :math:`f=t^m`, expand :math:`(x_1+\dots+x_d)^m`: what counts is the number of words of m letters 1, …, d in which
the letters 1, …, k occur an odd number of times and all others an even number of times,

.. math:: \lambda_k[t^m]=d^{-m}N_{k,m},\qquad N_{k,m}=m!\,[t^m]\sinh(t)^k\cosh(t)^{d-k}\ge0,

and one letter more changes one parity: :math:`N_{k,m+1}=k\,N_{k-1,m}+(d-k)\,N_{k+1,m}`. So :math:`d^{-m}N_{k,m}` is the
probability that a random walk on the edges of the cube is at a given corner of distance k after m steps.

References: O'Donnell, *Analysis of Boolean Functions* (2014), chapter 2; MacWilliams & Sloane, *The Theory of
Error-Correcting Codes* (1977), chapter 5 §7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import sympy as sp
from flint import arb, fmpz

from kernalg.checks import whole_number
from kernalg.errors import DomainError
from kernalg.formula import exact_number

Number = TypeVar("Number", fmpz, arb)


def krawtchouk(degree: int, d: int, j: int) -> list[int]:
    r"""The Krawtchouk polynomials :math:`\mathcal K_0(j),\dots,\mathcal K_{degree}(j)` of the d-cube, exactly.

    :math:`\mathcal K_k(j)=[z^k](1-z)^j(1+z)^{d-j}`, with :math:`\mathcal K_k(0)=\binom dk`.

    Raises
    ------
    DomainError
        Unless 0 <= degree <= d and 0 <= j <= d are integers and d >= 1.

    Examples
    --------
    >>> krawtchouk(3, 3, 0), krawtchouk(3, 3, 1)
    ([1, 3, 3, 1], [1, 1, -1, -1])
    """
    d = whole_number("d", d, 1)
    degree, j = whole_number("degree", degree, 0), whole_number("j", j, 0)
    if degree > d or j > d:
        raise DomainError(f"degree={degree}, j={j}: on the cube in {d} dimensions both are at most {d}")
    return [int(value) for value in krawtchouk_integers(degree, d, j)]


def krawtchouk_integers(degree: int, d: int, j: int) -> list[fmpz]:
    """`krawtchouk` as it is computed, without checks."""
    before, current = fmpz(1), fmpz(d - 2 * j)
    values = [before, current]
    for k in range(1, degree):
        before, current = current, ((d - 2 * j) * current - (d - k + 1) * before) // (k + 1)
        values.append(current)
    return values[: degree + 1]


def walk_counts(d: int, degree: int, steps: int, one: Number) -> Iterator[list[Number]]:
    """For m = 0, …, steps: N_{k,m} for k = m % 2, m % 2 + 2, …, up to `degree` at least (fewer if they are 0).

    `one` is ``fmpz(1)`` for exact integers, ``arb(1)`` for enclosures at the current precision.
    """
    current = [one]
    for m in range(steps + 1):
        yield current
        # What lies further from `degree` than there are steps left does not come back.
        top = min(m + 1, d, degree + steps - m)
        if (m + 1) % 2:  # k = 1, 3, … from k - 1, k + 1 = 0, 2, …
            new = [k * current[k // 2] for k in range(1, top + 1, 2)]
            for i, k in enumerate(range(1, top + 1, 2)):
                if i + 1 < len(current):
                    new[i] += (d - k) * current[i + 1]
        else:  # k = 0, 2, … from k - 1, k + 1 = 1, 3, …
            new = [k * current[k // 2 - 1] if k else one * 0 for k in range(0, top + 1, 2)]
            for i, k in enumerate(range(0, top + 1, 2)):
                if i < len(current):
                    new[i] += (d - k) * current[i]
        current = new


def weighted_sums(coefficients: Sequence[arb], d: int, degree: int) -> tuple[list[arb], arb]:
    """The sums of a_m d^{-m} N_{k,m} over the given coefficients, for k = 0, …, degree, at the current precision.

    The second result bounds, for every k, the weights d^{-m} N_{k,m} of all further m: they are at most
    :math:`E|t|^m`, which falls with m, so :math:`E[t^M]` with M the last even number that is not beyond them.
    """
    totals = [arb(0)] * (degree + 1)
    steps = len(coefficients) // 2 * 2
    scale = arb(1)
    for m, counts in enumerate(walk_counts(d, degree, max(steps, len(coefficients) - 1), arb(1))):
        if m < len(coefficients) and not coefficients[m].is_zero():
            factor = coefficients[m] * scale
            for k, count in zip(range(m % 2, degree + 1, 2), counts, strict=False):
                totals[k] += factor * count
        if m == steps:
            bound = scale * counts[0]
        scale /= d
    return totals, bound


def cube_from_taylor(coefficients: Sequence[sp.Rational], d: int, degree: int) -> list[sp.Rational]:
    """Exact eigenvalues lambda_0, …, lambda_degree of the polynomial kernel with these Taylor coefficients.

    Examples
    --------
    >>> cube_from_taylor([0, 0, sp.Integer(1)], 4, 2)  # (x.y/d)^2 = 1/d + (2/d^2) sum of the pairs
    [1/4, 0, 1/8]
    """
    totals = [sp.Integer(0)] * (degree + 1)
    for m, counts in enumerate(walk_counts(d, degree, len(coefficients) - 1, fmpz(1))):
        if m < len(coefficients) and coefficients[m]:
            factor = sp.Rational(coefficients[m]) / sp.Integer(d) ** m
            for k, count in zip(range(m % 2, degree + 1, 2), counts, strict=False):
                totals[k] += factor * int(count)
    return totals


def cube_exponential(b: Any, d: Any, k: Any) -> sp.Expr:
    r"""The eigenvalue of degree k of exp(b t) on the d-cube: :math:`\sinh(b/d)^k\cosh(b/d)^{d-k}`, numbers or symbols.

    The exponential of a sum over coordinates is a product: the factors are E[exp(b x_i/d) x_i] and E[exp(b x_i/d)].

    Examples
    --------
    >>> cube_exponential(1, 8, 2)
    sinh(1/8)**2*cosh(1/8)**6
    """
    b, d, k = (exact_number(value, name) for name, value in (("b", b), ("d", d), ("k", k)))
    return sp.sinh(b / d) ** k * sp.cosh(b / d) ** (d - k)
