r"""Finite expansions in monomials, Hermite and zonal polynomials: from any basis to any other.

============== ======================================================================================================
basis          the function with the coefficients v_0, v_1, …
============== ======================================================================================================
"monomial"     :math:`\sum v_m t^m` (Taylor coefficients at 0)
"He"           :math:`\sum v_k He_k`, the probabilists' Hermite polynomials
"h"            :math:`\sum v_k h_k`, :math:`h_k=He_k/\sqrt{k!}`, orthonormal under N(0, 1)
"eigenvalue"   :math:`\sum N(d,k)\,v_k P_{k,d}`: eigenvalues per harmonic on the sphere
"P"            :math:`\sum v_k P_{k,d}`, :math:`P_{k,d}(1)=1`: level powers on the sphere
"orthonormal"  :math:`\sum v_k\sqrt{N(d,k)}P_{k,d}`, orthonormal under the law of a coordinate of a uniform unit vector
"C"            :math:`\sum v_k C_k^{(\alpha)}`, Gegenbauer polynomials with :math:`\alpha=d/2-1` (d > 2)
============== ======================================================================================================

:math:`x^m=\sum_j\frac{m!}{2^jj!(m-2j)!}He_{m-2j}`, the inverse with the sign :math:`(-1)^j`; for zonal
polynomials see `expansion.taylor`. Scales: :math:`\sqrt{k!}`, N, :math:`\sqrt N`, :math:`(k+\alpha)/\alpha`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, fmpq

from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.expansion.taylor import first_weight, weight_ratio
from kernalg.expansion.zonal import dimension_and_degree, multiplicities, zonal_coefficients
from kernalg.formula import exact_number

_ZONAL = ("eigenvalue", "P", "orthonormal", "C")
BASES = ("monomial", "He", "h", *_ZONAL)
_FLOAT_BITS = 128
# Row i of a change of basis: {j: the part of element j that falls on element i of the new basis}.
_Rows = list[dict[int, fmpq]]


def convert_expansion(coefficients: Sequence[Any], source: str, target: str, d: int | None = None) -> Any:
    """Coefficients of the same polynomial in another basis.

    Parameters
    ----------
    coefficients : sequence of numbers
        Of the elements of degree 0, 1, …; the expansion is finite: these are all of them.
    source, target : {"monomial", "He", "h", "eigenvalue", "P", "orthonormal", "C"}
        The bases: see the table of this module.
    d : int, optional
        Dimension of the space around the sphere, at least 2; the zonal bases need it.

    Returns
    -------
    list or ndarray
        Of SymPy numbers for exact ones (int, Fraction, SymPy), of balls for balls; a float64 array for floats, which
        are taken for the exact numbers they are and rounded once at the end.

    Raises
    ------
    DomainError
        An unknown basis, no `d` for a zonal one, d = 2 for "C", or something that is not a finite real number.

    Examples
    --------
    >>> convert_expansion([0, 0, 0, 1], "monomial", "He")
    [0, 3, 0, 1]
    >>> convert_expansion([0, 3, 0, 1], "He", "h")
    [0, 3, 0, sqrt(6)]
    >>> convert_expansion([0, 0, 1], "monomial", "P", d=3), convert_expansion([0, 0, 1], "monomial", "C", d=5)
    ([1/3, 0, 2/3], [1/5, 0, 2/15])
    >>> convert_expansion([0.5, 0.25], "P", "eigenvalue", d=10)
    array([0.5  , 0.025])
    """
    for name, basis in (("source", source), ("target", target)):
        if basis not in BASES:
            raise DomainError(f"{name}={basis!r} is no basis: choose one of {', '.join(BASES)}")
        if basis in _ZONAL and d is None:
            raise DomainError(f"the basis {basis!r} belongs to a sphere: give its dimension d (at least 2)")
        if basis == "C" and d == 2:
            raise DomainError("the Gegenbauer polynomials C_k^(d/2-1) are 0 for d = 2: use 'P', 'eigenvalue'")
    d = 3 if d is None else dimension_and_degree(d, 0)[0]
    values, kind = _read(coefficients)
    if kind is float:
        exact = _convert(values, source, target, d)
        with precision(_FLOAT_BITS):
            return np.array([float(ball(v)) for v in exact])
    return _convert(values, source, target, d)


def dual_taylor_from_hermite(coefficients: Sequence[Any], basis: str = "h") -> Any:
    r"""Taylor coefficients in rho of the dual of an activation with these Hermite coefficients (Daniely et al. 2016).

    With :math:`\phi=\sum c_mh_m`, :math:`E[\phi(u)\phi(v)]=\sum c_m^2\rho^m` for a standard pair of correlation rho.

    Examples
    --------
    >>> dual_taylor_from_hermite([0, 3, 0, 1], "He")  # x^3
    [0, 9, 0, 6]
    """
    if basis not in ("h", "He"):
        raise DomainError(f"basis={basis!r}: give the coefficients of 'h' or of 'He'")
    normalised = convert_expansion(coefficients, basis, "h")
    return normalised**2 if isinstance(normalised, np.ndarray) else [a * a for a in normalised]


def hermite_from_dual_taylor(coefficients: Sequence[Any], basis: str = "h") -> Any:
    """Hermite coefficients >= 0 of an activation whose dual has these Taylor coefficients.

    Any other choice of signs has the same dual.

    Raises
    ------
    DomainError
        If a Taylor coefficient is negative: no activation has such a dual.

    Examples
    --------
    >>> hermite_from_dual_taylor([0, 9, 0, 6], "He")
    [0, 3, 0, 1]
    """
    if basis not in ("h", "He"):
        raise DomainError(f"basis={basis!r}: the coefficients of 'h' or of 'He' are given")
    values, kind = _read(coefficients)
    for m, a in enumerate(values):
        if a.is_negative if isinstance(a, sp.Expr) else a < 0:
            raise DomainError(f"coefficients[{m}] is {coefficients[m]}: a dual has no negative Taylor coefficient")
    roots: Any = [a.sqrt() if isinstance(a, arb) else sp.sqrt(a) for a in values]
    if kind is float:
        with precision(_FLOAT_BITS):
            roots = [float(ball(a)) for a in roots]
    return convert_expansion(roots, "h", basis)


# ---------------------------------------------------------------------------------------------------------------------


def _read(coefficients: Sequence[Any]) -> tuple[list[Any], type]:
    """The coefficients as balls, or as exact SymPy numbers; and what they are (float if one of them is)."""
    if isinstance(coefficients, str) or not isinstance(coefficients, Iterable):
        raise DomainError(f"coefficients is {coefficients!r}; give a sequence of numbers, degree by degree")
    given = list(coefficients)
    if any(isinstance(v, arb) for v in given):
        return [ball(v) for v in given], arb
    values = []
    for m, v in enumerate(given):
        if isinstance(v, float | np.floating):
            if not math.isfinite(v):
                raise DomainError(f"coefficients[{m}] is {v}; only finite numbers are allowed")
            values.append(sp.Rational(Fraction(float(v))))
            continue
        number = exact_number(v, f"coefficients[{m}]")
        if not number.is_real:
            raise DomainError(f"coefficients[{m}] is {v!r}; a real number is needed")
        values.append(number)
    return values, float if any(isinstance(v, float | np.floating) for v in given) else sp.Expr


def _convert(values: list[Any], source: str, target: str, d: int) -> list[Any]:
    count = len(values)
    values = [_times(v, s, 1) for v, s in zip(values, _scales(source, d, count), strict=True)]
    first, last = _core(source), _core(target)
    if first != last:
        if first != "monomial":
            values = _applied(_TO_MONOMIAL[first](count, d), values)
        if last != "monomial":
            values = _applied(_FROM_MONOMIAL[last](count, d), values)
    return [_times(v, s, -1) for v, s in zip(values, _scales(target, d, count), strict=True)]


def _core(basis: str) -> str:
    return "eigenvalue" if basis in _ZONAL else {"h": "He"}.get(basis, basis)


def _scales(basis: str, d: int, count: int) -> list[sp.Expr]:
    """A coefficient in `basis` times this is the coefficient in its core basis."""
    if basis == "h":
        return [1 / sp.sqrt(sp.factorial(k)) for k in range(count)]
    if basis in ("P", "orthonormal"):
        sizes = [sp.Integer(n) for n in multiplicities(d, max(count - 1, 0))[:count]]
        return [1 / n if basis == "P" else 1 / sp.sqrt(n) for n in sizes]
    if basis == "C":
        return [sp.Rational(d - 2, 2 * k + d - 2) for k in range(count)]
    return [sp.S.One] * count


def _times(value: Any, scale: sp.Expr, power: int) -> Any:
    factor = scale**power
    return value * ball(factor) if isinstance(value, arb) else value * factor


def _applied(rows: _Rows, values: list[Any]) -> list[Any]:
    if all(isinstance(v, sp.Rational) for v in values):
        fractions = [fmpq(int(v.p), int(v.q)) for v in values]
        sums = [sum((q * fractions[j] for j, q in row.items()), fmpq(0)) for row in rows]
        return [_rational(q) for q in sums]
    if all(isinstance(v, arb) for v in values):
        return [sum((q * values[j] for j, q in row.items()), arb(0)) for row in rows]
    return [sp.Add(*(_rational(q) * values[j] for j, q in row.items())) for row in rows]


def _rational(q: fmpq) -> sp.Rational:
    return sp.Rational(int(q.p), int(q.q))


def _monomial_from_hermite(count: int, d: int, sign: int = -1) -> _Rows:
    rows: _Rows = [{} for _ in range(count)]
    for m in range(count):
        for j in range(m // 2 + 1):
            size = fmpq(math.factorial(m), 2**j * math.factorial(j) * math.factorial(m - 2 * j))
            rows[m - 2 * j][m] = size * sign**j
    return rows


def _hermite_from_monomial(count: int, d: int) -> _Rows:
    return _monomial_from_hermite(count, d, sign=1)


def _eigenvalue_from_monomial(count: int, d: int) -> _Rows:
    rows: _Rows = []
    for k in range(count):
        row, weight = {}, first_weight(d, k)
        for j, m in enumerate(range(k, count, 2)):
            row[m] = weight
            weight *= fmpq(*weight_ratio(d, k, j))
        rows.append(row)
    return rows


def _monomial_from_eigenvalue(count: int, d: int) -> _Rows:
    rows: _Rows = [{} for _ in range(count)]
    for k, size in enumerate(multiplicities(d, max(count - 1, 0))[:count]):
        for m, a in enumerate(zonal_coefficients(k, d).coeffs()):
            if a != 0:
                rows[m][k] = size * a
    return rows


_TO_MONOMIAL: dict[str, Callable[[int, int], _Rows]] = {
    "He": _monomial_from_hermite,
    "eigenvalue": _monomial_from_eigenvalue,
}
_FROM_MONOMIAL: dict[str, Callable[[int, int], _Rows]] = {
    "He": _hermite_from_monomial,
    "eigenvalue": _eigenvalue_from_monomial,
}
