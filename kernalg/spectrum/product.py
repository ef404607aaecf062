r"""Spectrum of a kernel on a product of spheres.

.. math:: K(\rho_1,\dots,\rho_w)=\sum_r\lambda_r\prod_iN(p_i,r_i)\,P_{r_i,p_i}(\rho_i),\qquad
          \lambda_r=E\Big[K\prod_iP_{r_i,p_i}(\xi_i)\Big],

the :math:`\xi_i` being independent coordinates of uniform unit vectors in :math:`\mathbb R^{p_i}`. The eigenfunctions
are products of harmonics, the multiplicity of the multi-degree r is :math:`\prod_iN(p_i,r_i)`. Routes:

* *polynomial*: every power is the product of the weights of `kernalg.expansion.taylor`: exact, fractions if asked;
* *separable*: terms that are products of functions of one cosine: products of spectra on the sphere;
* *Gauss*: certified tensor rules in balls, for functions analytic beyond the polydisc (`product_quadrature`); for
  others tensor rules in the angles, judged by doubling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.enclosure.balls import (
    ball,
    bits_for,
    check_digits,
    enclose,
    has_digits,
    negligible,
    precision,
    to_float,
)
from kernalg.errors import DomainError, KernalgError, PrecisionError
from kernalg.expansion.taylor import first_weight, weight_ratio
from kernalg.expansion.zonal import multiplicity
from kernalg.network.dot_product import DotProductKernel
from kernalg.network.product_kernel import ProductKernel
from kernalg.spectrum.product_quadrature import levels_by_angles, levels_by_gauss
from kernalg.spectrum.spaces import ProductOfSpheres, Space, Sphere
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere import not_positive, sphere_spectrum
from kernalg.symbols import rho

CONVENTION = "levels by multi-degree; per harmonic, uniform probability measure"
_DOUBLE_DIGITS = 14
_MOST_LEVELS = 20_000
# Below this float64 loses digits, and the values go to `Spectrum.exact` as well.
_SMALL = 1e-290
_MOST_TERMS = 64

Degrees = tuple[int, ...]
Values = dict[Degrees, arb]


def product_spectrum(K: Any, space: Space, degree: int, digits: int | None, exact: bool) -> Spectrum:
    """Eigenvalues of all multi-degrees r with r_1 + … + r_w <= `degree`; parameters as in `spectrum`.

    Raises
    ------
    DomainError
        If K is no product kernel of these spheres, or not positive semi-definite; if exact eigenvalues are asked of a
        kernel that is no polynomial with rational coefficients.
    PrecisionError
        If the digits are not reached.

    Examples
    --------
    >>> from kernalg.network.product_kernel import product_kernel
    >>> K, space = product_kernel("(1 + rho1)*rho2**2", [3, 4]), ProductOfSpheres([3, 4])
    >>> s = product_spectrum(K, space, 3, None, True)
    >>> [(name, str(v)) for name, v in zip(s.labels, s.exact) if v]
    [('(0,0)', '1/4'), ('(1,0)', '1/12'), ('(0,2)', '1/12'), ('(1,2)', '1/36')]
    """
    if not isinstance(space, ProductOfSpheres):
        raise DomainError(f"{space!r} is no product of spheres: give ProductOfSpheres([8, 8, 4]) or the like")
    if not isinstance(K, ProductKernel):
        raise DomainError(
            f"{K!r} is no kernel on a product of spheres: give "
            f"product_kernel('exp(rho1*rho2)', {list(space.dimensions)})"
        )
    if K.dimensions != space.dimensions:
        raise DomainError(
            f"the kernel has blocks of {K.dimensions} coordinates, the space spheres of {space.dimensions}"
        )
    w = len(space.dimensions)
    if math.comb(degree + w, w) > _MOST_LEVELS:
        raise DomainError(
            f"degree={degree} on {w} spheres has {math.comb(degree + w, w)} levels; at most {_MOST_LEVELS} are computed"
        )
    levels = list(multi_degrees(w, degree))
    goal = _DOUBLE_DIGITS if digits is None else check_digits(digits)
    trace = float(enclose(lambda *at: K.balls(*at), [1] * w, goal + 5).mid())
    polynomial = _polynomial(K)
    if exact:
        return _exact(K, space, levels, polynomial, trace)
    if polynomial is not None:
        with precision(bits_for(goal) + 64):
            found = {r: ball(v) for r, v in _exact_levels(K, polynomial, levels).items()}
        return _assembled(space, levels, found, dict.fromkeys(levels, "polynomial"), trace, digits)
    return _by_terms(K, space, levels, goal, digits, trace)


def multi_degrees(w: int, degree: int) -> Iterator[Degrees]:
    """All (r_1, …, r_w) of sum at most `degree`, by their sum.

    Examples
    --------
    >>> list(multi_degrees(2, 2))
    [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    """

    def of_sum(w: int, total: int) -> Iterator[Degrees]:
        if w == 1:
            yield (total,)
            return
        for first in range(total, -1, -1):
            for rest in of_sum(w - 1, total - first):
                yield first, *rest

    for total in range(degree + 1):
        yield from of_sum(w, total)


# ---------------------------------------------------------------------------------------------------------------------
# Polynomials


def _polynomial(K: ProductKernel) -> sp.Poly | None:
    if not K.expr.is_polynomial(*K.symbols):
        return None
    polynomial = sp.Poly(sp.expand(K.expr), *K.symbols)
    return polynomial if all(a.is_real for a in polynomial.coeffs()) else None


def _weights(K: ProductKernel, polynomial: sp.Poly) -> list[dict[tuple[int, int], sp.Rational]]:
    """(r, m) -> eigenvalue of degree r of the power m, per sphere."""
    tables = []
    for i, p in enumerate(K.dimensions):
        table = {}
        highest = max(powers[i] for powers in polynomial.monoms())
        for r in range(highest + 1):
            weight = first_weight(p, r)
            for j in range((highest - r) // 2 + 1):
                table[r, r + 2 * j] = sp.Rational(int(weight.p), int(weight.q))
                up, down = weight_ratio(p, r, j)
                weight = weight * up / down
        tables.append(table)
    return tables


def _exact_levels(K: ProductKernel, polynomial: sp.Poly, levels: list[Degrees]) -> dict[Degrees, sp.Expr]:
    tables = _weights(K, polynomial)
    wanted = set(levels)
    totals: dict[Degrees, sp.Expr] = {r: sp.S.Zero for r in levels}
    for powers, coefficient in polynomial.terms():
        for r in product(*(range(m % 2, m + 1, 2) for m in powers)):
            if r in wanted:
                weight = sp.prod(table[key] for table, key in zip(tables, zip(r, powers, strict=True), strict=True))
                totals[r] += coefficient * weight
    return totals


def _exact(
    K: ProductKernel, space: ProductOfSpheres, levels: list[Degrees], polynomial: sp.Poly | None, trace: float
) -> Spectrum:
    if polynomial is None or not all(a.is_Rational for a in polynomial.coeffs()):
        raise DomainError(
            f"exact=True needs a polynomial in rho1, … with rational coefficients, and the kernel is {K.expr}: ask for "
            "digits= instead"
        )
    values = _exact_levels(K, polynomial, levels)
    for r in levels:
        if values[r] < 0:
            raise not_positive(space, label(r), str(values[r]))
    return Spectrum(
        [float(values[r]) for r in levels],
        [_multiplicity(space, r) for r in levels],
        trace=trace,
        errors=[math.ulp(float(values[r])) / 2 if values[r] else 0.0 for r in levels],
        methods=["exact"] * len(levels),
        space=space,
        convention=CONVENTION,
        labels=[label(r) for r in levels],
        exact=[values[r] for r in levels],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Sums of terms


def _by_terms(
    K: ProductKernel, space: ProductOfSpheres, levels: list[Degrees], goal: int, digits: int | None, trace: float
) -> Spectrum:
    """Separable terms one by one, the others together by quadrature.

    Terms that cancel are computed with the digits of the terms; the balls of the sum tell what is left.
    """
    terms = sp.Add.make_args(sp.expand(K.expr, trig=False))
    terms = terms if len(terms) <= _MOST_TERMS else (K.expr,)
    totals: Values = {r: arb(0) for r in levels}
    methods: dict[Degrees, set[str]] = {r: set() for r in levels}
    others: dict[tuple[Any, ...], sp.Expr] = {}
    with precision(2 * bits_for(goal) + 64):
        for term in terms:
            made = _separable(term, K, levels, goal, digits is not None)
            if made is None:
                key = _symmetries(term, K.symbols)
                others[key] = others.get(key, sp.S.Zero) + term
                continue
            _add(totals, methods, made, "separable")
    estimates = dict.fromkeys(levels, 0.0)
    for key, expr in others.items():
        part = ProductKernel(expr, K.dimensions)
        wanted = [r for r in levels if not _vanishes(r, key)]
        certain = levels_by_gauss(part, wanted, goal + 2)
        if certain is not None:
            with precision(2 * bits_for(goal) + 64):
                _add(totals, methods, certain, "Gauss")
            continue
        if digits is not None:
            raise PrecisionError(
                f"{digits} digits were asked, and {expr} is not analytic beyond the cosines [-1, 1] or has too many of "
                "them: ask without digits="
            )
        rough = levels_by_angles(part, wanted)
        _add(totals, methods, {r: arb(value) for r, (value, _) in rough.items()}, "angles")
        for r, (_, error) in rough.items():
            estimates[r] += error
    names = {r: ", ".join(sorted(methods[r])) or "parity, zero" for r in levels}
    widened = {r: totals[r] + arb(0, estimates[r]) if estimates[r] else totals[r] for r in levels}
    return _assembled(space, levels, widened, names, trace, digits)


def _add(totals: Values, methods: dict[Degrees, set[str]], part: Values, name: str) -> None:
    for r, value in part.items():
        if not value.is_zero():
            totals[r] += value
            methods[r].add(name)


def _separable(term: sp.Expr, K: ProductKernel, levels: list[Degrees], goal: int, certified: bool) -> Values | None:
    """The levels of a product of functions of one cosine each; None if it is none."""
    coefficient: sp.Expr = sp.S.One
    factors: dict[sp.Symbol, sp.Expr] = {}
    for factor in sp.Mul.make_args(term):
        names = factor.free_symbols
        if len(names) > 1:
            return None
        if not names:
            coefficient *= factor
        else:
            symbol = names.pop()
            factors[symbol] = factors.get(symbol, sp.S.One) * factor
    degree = max(map(sum, levels))
    spectra: list[list[arb]] = []
    for symbol, p in zip(K.symbols, K.dimensions, strict=True):
        function = DotProductKernel(factors.get(symbol, sp.S.One).subs(symbol, rho))
        try:
            spectra.append(_sphere_levels(function, p, degree, goal, certified))
        except KernalgError:  # not positive by itself, or out of reach of these methods
            return None
    scale = ball(coefficient)
    return {r: math.prod((row[k] for row, k in zip(spectra, r, strict=True)), start=scale) for r in levels}


def _sphere_levels(function: DotProductKernel, p: int, degree: int, goal: int, certified: bool) -> list[arb]:
    s = sphere_spectrum(function, Sphere(p), degree, goal + 4 if certified else None, False)
    if s.exact is not None and certified:
        values = [ball(v) for v in s.exact]
        return [v + arb(0, (abs(v) * arb(10) ** -(goal + 3)).upper()) for v in values]
    errors = s.errors if s.errors is not None else np.zeros(len(s))
    return [arb(float(v), float(e)) for v, e in zip(s.eigenvalues, errors, strict=True)]


def _symmetries(expr: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> tuple[tuple[tuple[bool, ...], int], ...]:
    """Changes of sign of some cosines under which the expression is even (1) or odd (-1)."""
    found = []
    for flips in product((False, True), repeat=len(symbols)):
        if not any(flips):
            continue
        mirrored = expr.subs({s: -s for s, flip in zip(symbols, flips, strict=True) if flip}, simultaneous=True)
        if sp.expand(mirrored - expr) == 0:
            found.append((flips, 1))
        elif sp.expand(mirrored + expr) == 0:
            found.append((flips, -1))
    return tuple(found)


def _vanishes(r: Degrees, symmetries: tuple[tuple[tuple[bool, ...], int], ...]) -> bool:
    """Whether a change of sign that K does not see, or sees as its own, changes the sign of the harmonic otherwise."""
    return any((-1) ** sum(k for k, flip in zip(r, flips, strict=True) if flip) != sign for flips, sign in symmetries)


# ---------------------------------------------------------------------------------------------------------------------


def _assembled(
    space: ProductOfSpheres,
    levels: list[Degrees],
    values: Values,
    methods: dict[Degrees, str],
    trace: float,
    digits: int | None,
) -> Spectrum:
    for r in levels:
        if values[r] < 0:
            raise not_positive(space, label(r), values[r].str(8, radius=False))
        if values[r].contains(0) and not values[r].is_zero():
            methods[r] += ", not told from 0"
    exact = None
    if digits is not None:
        for r in levels:
            zero = values[r].contains(0) and values[r].abs_upper() <= negligible(digits)
            if not (zero or has_digits(values[r], digits)):
                raise PrecisionError(
                    f"{digits} digits were asked of the eigenvalue of multi-degree {label(r)} = {values[r].str(8)}: "
                    "ask fewer digits or a lower degree"
                )
        exact = [to_float(values[r], digits) for r in levels]
    middle = [0.0 if values[r].contains(0) else float(values[r].mid()) for r in levels]
    if exact is None and any(v < _SMALL and not values[r].contains(0) for r, v in zip(levels, middle, strict=True)):
        exact = [
            sp.Float(0) if v == 0 else to_float(values[r].mid(), _DOUBLE_DIGITS)
            for r, v in zip(levels, middle, strict=True)
        ]
    return Spectrum(
        middle,
        [_multiplicity(space, r) for r in levels],
        trace=trace,
        errors=[_error(values[r]) + (math.ulp(v) / 2 if v else 0.0) for r, v in zip(levels, middle, strict=True)],
        methods=[methods[r] for r in levels],
        space=space,
        convention=CONVENTION,
        labels=[label(r) for r in levels],
        exact=exact,
    )


def _error(value: arb) -> float:
    return float(value.abs_upper() if value.contains(0) else value.rad())


def label(r: Degrees) -> str:
    """How a multi-degree is written: (1,0,2)."""
    return f"({','.join(map(str, r))})"


def _multiplicity(space: ProductOfSpheres, r: Degrees) -> int:
    return math.prod(multiplicity(p, k) for p, k in zip(space.dimensions, r, strict=True))
