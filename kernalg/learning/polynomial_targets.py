r"""The power of a polynomial in the coordinates, level by level, in exact arithmetic.

* Hypercube: :math:`x_i^2=1`, what remains are parities.
* Gaussian inputs: :math:`y^n=\sum_m\frac{n!}{2^mm!(n-2m)!}He_{n-2m}(y)` in every standardised coordinate.
* Sphere :math:`|x|^2=d`: a homogeneous p of degree n is :math:`\sum_j|x|^{2j}h_{n-2j}` with harmonic h. Since
  :math:`\Delta(|x|^{2m}h_k)=2m(2m+d+2k-2)|x|^{2m-2}h_k`, the harmonic part of :math:`\Delta^jp` is a multiple of
  :math:`h_{n-2j}`, and the harmonic part of a homogeneous q of degree k is

  .. math:: \sum_i\frac{(-1)^i|x|^{2i}\Delta^iq}{2^ii!\,(d+2k-4)(d+2k-6)\cdots(d+2k-2-2i)}.

Source: Axler, Bourdon & Ramey, *Harmonic Function Theory* (2001), chapter 5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import sympy as sp

from kernalg.errors import DomainError
from kernalg.spectrum.spaces import GaussianInputs, Hypercube, Space, Sphere


def polynomial_power(expr: sp.Expr, space: Space, degree: int) -> list[sp.Rational]:
    """Power in the levels 0, …, `degree` and beyond them of a polynomial in x1, x2, … with rational coefficients.

    Raises
    ------
    DomainError
        If it is none, or on other spaces than the sphere, the hypercube and Gaussian inputs.

    Examples
    --------
    >>> x1, x2 = sp.symbols("x1 x2")
    >>> polynomial_power(x1**2, Sphere(3), 2)
    [1, 0, 4/5, 0]
    >>> polynomial_power(x1**3 + x2, GaussianInputs(2), 2)
    [0, 10, 0, 6]
    """
    if not isinstance(space, Sphere | Hypercube | GaussianInputs):
        raise DomainError(
            f"polynomials in the coordinates are expanded on the sphere, the hypercube and Gaussian inputs, not on "
            f"{space}: give a callable f(X)"
        )
    symbols = sorted(expr.free_symbols, key=lambda s: (len(s.name), s.name))
    strangers = [s for s in symbols if not re.fullmatch(r"x[1-9]\d*", s.name) or int(s.name[1:]) > space.d]
    if strangers:
        raise DomainError(f"{expr} contains {strangers[0]}; the coordinates are x1 to x{space.d}")
    try:
        polynomial = sp.Poly(expr, *symbols, domain=sp.QQ)
    except (sp.PolynomialError, sp.CoercionFailed) as error:
        raise DomainError(
            f"{expr} is not a polynomial in x1, x2, … with rational coefficients (nor a function of rho): give a "
            "callable f(X) instead"
        ) from error
    powers = [sp.S.Zero] * (degree + 2)
    found = _on_sphere(polynomial, space.d) if isinstance(space, Sphere) else _in_products(polynomial, space)
    for level, power in found:
        powers[min(level, degree + 1)] += power
    return powers


def _in_products(polynomial: sp.Poly, space: Hypercube | GaussianInputs) -> Iterator[tuple[int, sp.Rational]]:
    """Level and power of every product of parities or Hermite polynomials in the expansion."""
    places = [int(s.name[1:]) - 1 for s in polynomial.gens]
    coefficients: dict[tuple[int, ...], Any] = {}
    for exponents, a in polynomial.terms():
        for index, c in _monomial(exponents, places, space):
            coefficients[index] = coefficients.get(index, 0) + a * c
    for index, c in coefficients.items():
        norm = sp.S.One
        if isinstance(space, GaussianInputs):
            for k, place in zip(index, places, strict=True):
                norm *= sp.factorial(k) * _variance(space, place) ** (k % 2)
        yield sum(index), c * c * norm


def _monomial(
    exponents: tuple[int, ...], places: list[int], space: Hypercube | GaussianInputs
) -> list[tuple[tuple[int, ...], sp.Rational]]:
    """A monomial in parities, or in He_k(x/sigma) but for factors sigma^(k mod 2), which its square gets back."""
    if isinstance(space, Hypercube):
        return [(tuple(n % 2 for n in exponents), sp.S.One)]
    terms: list[tuple[tuple[int, ...], Any]] = [((), sp.S.One)]
    for n, place in zip(exponents, places, strict=True):
        scale = _variance(space, place) ** (n // 2) * math.factorial(n)
        factors = [
            (n - 2 * m, scale / (2**m * math.factorial(m) * math.factorial(n - 2 * m))) for m in range(n // 2 + 1)
        ]
        terms = [((*index, k), c * b) for index, c in terms for k, b in factors]
    return terms


def _variance(space: GaussianInputs, place: int) -> sp.Rational:
    value = space.variances[place]
    return sp.Rational(value.numerator, value.denominator)


def _on_sphere(polynomial: sp.Poly, d: int) -> Iterator[tuple[int, sp.Rational]]:
    """Degree and power of every harmonic component on |x|^2 = d."""
    components: dict[int, sp.Poly] = {}
    zero = polynomial.zero
    by_degree: dict[int, sp.Poly] = {}
    for exponents, a in polynomial.terms():
        term = sp.Poly({exponents: a}, *polynomial.gens, domain=sp.QQ)
        by_degree[sum(exponents)] = by_degree.get(sum(exponents), zero) + term
    for n, part in by_degree.items():
        derivatives = [part]  # Laplacians
        for _ in range(n // 2):
            last = derivatives[-1]
            derivatives.append(sum((last.diff((x, 2)) for x in polynomial.gens), zero))
        for j in range(n // 2 + 1):
            k = n - 2 * j
            multiple = sp.S.One
            for m in range(1, j + 1):
                multiple *= 2 * m * (2 * m + d + 2 * k - 2)
            weight = sp.Integer(d) ** j / multiple
            for i in range(k // 2 + 1):
                components[k] = components.get(k, zero) + derivatives[i + j] * weight
                weight *= -sp.Rational(d, 2 * (i + 1)) / (d + 2 * k - 4 - 2 * i) if i < k // 2 else 1
    for k, component in components.items():
        square = component * component
        yield k, sum((a * _moment(exponents, d) for exponents, a in square.terms()), sp.S.Zero)


def _moment(exponents: tuple[int, ...], d: int) -> sp.Rational:
    """E of a monomial on |x|^2 = d: d^a times the product of (2 a_i - 1)!! over d (d+2) … (d + 2a - 2)."""
    if any(n % 2 for n in exponents):
        return sp.S.Zero
    half = sum(exponents) // 2
    above = sp.Integer(d) ** half * math.prod(int(sp.factorial2(n - 1)) for n in exponents)
    return sp.Rational(above, math.prod(d + 2 * i for i in range(half)))
