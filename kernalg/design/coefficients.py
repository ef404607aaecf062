r"""The Taylor coefficients of a kernel in the correlation of the hidden layer: :math:`K(\xi(\rho))=\sum a_k\rho^k`.

With a bias this is not the series in the cosine: the function is expanded anew, about the cosine
:math:`-\sigma_b^2/\sigma_w^2` at which the pre-activations are independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy as sp
from flint import arb, arb_series, ctx

from kernalg.design.architecture import Architecture
from kernalg.design.target import Target
from kernalg.enclosure.balls import ball, bits_for, has_digits, negligible, precision, to_float
from kernalg.errors import DomainError, NoClosedForm, PrecisionError
from kernalg.expansion.power_series import exact_taylor
from kernalg.spectrum.profiles import taylor_coefficients
from kernalg.symbols import rho

_DIGITS = 15
_LENGTHS = (64, 512, 4096)


@dataclass(frozen=True)
class Coefficients:
    """a_0, …, a_M in rho.

    Parameters
    ----------
    values : tuple of sympy numbers
        Exact, or Floats with certified digits.
    exact : bool
    complete : bool
        Whether all further coefficients are 0.
    """

    values: tuple[sp.Expr, ...]
    exact: bool
    complete: bool


def coefficients(target: Target, architecture: Architecture, terms: int, digits: int) -> Coefficients:
    """The first `terms` coefficients, exact where the formula gives them; all of a polynomial."""
    polynomial = target.polynomial
    if polynomial is not None:
        expanded = sp.Poly(polynomial.as_expr().subs(rho, architecture.cosine), rho)
        values = [sp.factor(a) if a.free_symbols else a for a in reversed(expanded.all_coeffs())]
        return Coefficients(tuple(values), True, True)
    if target.formula is not None:
        try:
            made = exact_taylor(target.formula.subs(rho, architecture.cosine), rho, 0, terms)
            return Coefficients(tuple(made), True, False)
        except NoClosedForm:  # coefficients that grow too long to be read
            pass
    balls = ball_coefficients(target, architecture, terms, digits)
    with precision(bits_for(digits) + 64):
        return Coefficients(tuple(to_float(a, digits) for a in balls), False, False)


def ball_coefficients(target: Target, architecture: Architecture, terms: int, digits: int) -> list[arb]:
    """Enclosures with `digits` decimals each (or 0 within `negligible`)."""
    bits = bits_for(digits) + 64
    for _ in range(8):
        balls = working_balls(target, architecture, terms, bits)
        if all(has_digits(a, digits) or (a.contains(0) and a.abs_upper() <= negligible(digits)) for a in balls):
            return balls
        bits *= 2
    raise PrecisionError(
        f"{digits} digits of {terms} Taylor coefficients of {target.name} were not reached at {bits // 2} bits"
    )


def working_balls(target: Target, architecture: Architecture, terms: int, bits: int) -> list[arb]:
    """Enclosures at this working precision, whatever their accuracy."""
    if architecture.b_var == 0:
        return taylor_coefficients(target.profile, bits, terms)
    length = max(terms, 2)  # of one coefficient alone, arb_series forgets that it is a series
    with precision(bits, length):
        w, q = ball(architecture.w_var), ball(architecture.variance)
        center = -ball(architecture.b_var) / w
        series = target.profile.evaluate(arb_series([center, q / w], prec=length), False)
        balls = [series[k] for k in range(terms)] if isinstance(series, arb_series) else [series]
    if not all(a.is_finite() for a in balls):
        where = -architecture.b_var / architecture.w_var
        raise DomainError(
            f"{target.name} has no Taylor series at the cosine {where}, where this bias makes the pre-activations "
            "independent: it is singular there. Give a smaller b_var"
        )
    return balls


def sum_at_one(target: Target, digits: int) -> arb:
    """K at equal inputs, which all coefficients add up to."""
    bits = bits_for(digits) + 32
    for attempt in range(6):
        with precision(bits << attempt):
            value = target.profile.ball(arb(1))
            if has_digits(value, digits):
                return value
    raise PrecisionError(f"K(1) of {target.name}: {digits} digits were not reached at {ctx.prec} bits")


def smallest_degree(target: Target, architecture: Architecture, error: float, terms: int) -> int | None:
    """The least M < terms with K(1) - (a_0 + … + a_M) <= error; None if none is."""
    rests = remainders(target, architecture, terms)
    fitting = [k for k, rest in enumerate(rests) if rest <= error]
    return fitting[0] if fitting else None


def remainders(target: Target, architecture: Architecture, terms: int) -> list[float]:
    """K(1) - (a_0 + … + a_k) for k < terms, rounded up."""
    balls = ball_coefficients(target, architecture, terms, _DIGITS)
    rest = sum_at_one(target, 2 * _DIGITS)
    result = []
    with precision(bits_for(2 * _DIGITS) + 64):
        for a in balls:
            rest = rest - a
            result.append(float(rest.upper()))
    return result


def degree_for(target: Target, architecture: Architecture, error: float) -> int:
    """`smallest_degree` as far as 4096, or a `PrecisionError` that estimates it."""
    for terms in _LENGTHS:
        degree = smallest_degree(target, architecture, error, terms)
        if degree is not None:
            return degree
        polynomial = target.polynomial
        if polynomial is not None and polynomial.degree() < terms:
            return int(polynomial.degree())
    rests = remainders(target, architecture, _LENGTHS[-1])
    half = len(rests) // 2 - 1
    power = math.log(rests[half] / rests[-1]) / math.log(len(rests) / (half + 1))
    estimate = len(rests) * (rests[-1] / error) ** (1 / power)
    raise PrecisionError(
        f"a kernel error of {error:g} needs more than degree {len(rests) - 1}, where it is {rests[-1]:.2g}; it falls "
        f"like degree^-{power:.2f}, so about degree {estimate:.1e} is needed. A closed form, or a fit of a family "
        "(fit_activation), does without high degrees"
    )
