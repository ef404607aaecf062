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
_MOST_EXACT = 512  # terms; of more, exact numbers have hundreds of digits, and take minutes
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
    if target.formula is not None and terms <= _MOST_EXACT:
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
    """Enclosures at this working precision, whatever their accuracy.

    Raises
    ------
    DomainError
        If the kernel is singular, or not real, at the center of the expansion.
    """
    balls = _plain_balls(target, architecture, terms, bits)
    if all(a.is_finite() for a in balls):
        return balls
    try:  # a removable singularity, as of sinh(rho)/rho
        if target.formula is not None:
            exact = exact_taylor(target.formula.subs(rho, architecture.cosine), rho, 0, terms)
            with precision(bits):
                return [ball(a) for a in exact]
    except (DomainError, NoClosedForm):
        pass
    center = -architecture.b_var / architecture.w_var
    raise DomainError(
        f"{target.name} has no Taylor series at the cosine {center}: it is singular or not real there"
        + (
            ", where this bias makes the pre-activations independent, so no network with it has this kernel"
            if center
            else ""
        )
    )


def is_plain(target: Target, architecture: Architecture) -> bool:
    """Whether the series is had by ball arithmetic alone, quickly, and not by undoing a removable singularity."""
    return all(a.is_finite() for a in _plain_balls(target, architecture, 2, 64))


def _plain_balls(target: Target, architecture: Architecture, terms: int, bits: int) -> list[arb]:
    length = max(terms, 2)  # of one coefficient alone, arb_series forgets that it is a series
    if architecture.b_var == 0:
        return list(taylor_coefficients(target.profile, bits, length)[:terms])
    with precision(bits, length):
        w, q = ball(architecture.w_var), ball(architecture.variance)
        center = -ball(architecture.b_var) / w
        series = target.profile.evaluate(arb_series([center, q / w], prec=length), False)
        return [series[k] for k in range(terms)] if isinstance(series, arb_series) else [series]


def sum_at_one(target: Target, digits: int) -> arb:
    """K at equal inputs, which all coefficients add up to."""
    bits = bits_for(digits) + 32
    for attempt in range(6):
        with precision(bits << attempt):
            value = target.profile.ball(arb(1))
            if has_digits(value, digits):
                return value
    raise PrecisionError(f"K(1) of {target.name}: {digits} digits were not reached at {ctx.prec} bits")


def smallest_degree(whole: Target, read: Target, architecture: Architecture, error: float, terms: int) -> int | None:
    """The least M < terms at which the kernel of h_0, …, h_M is within `error`; None if none is."""
    rests = remainders(whole, read, architecture, terms, error)
    fitting = [k for k, rest in enumerate(rests) if rest <= error]
    return fitting[0] if fitting else None


def remainders(whole: Target, read: Target, architecture: Architecture, terms: int, error: float) -> list[float]:
    """What the first k + 1 Hermite polynomials miss of the kernel at equal inputs, for k < terms, rounded up.

    Raises
    ------
    DomainError
        They have more than the kernel: its series does not reach equal inputs, and no network has it.
    """
    one = sum_at_one(whole, _DIGITS)
    if one == 0:
        return [0.0] * terms
    with precision(64):
        digits = max(_DIGITS, math.ceil(-float((arb(error) / abs(one)).log() / arb(10).log())) + 5)
    balls = ball_coefficients(read, architecture, terms, digits)
    rest = sum_at_one(whole, digits)
    result = []
    with precision(bits_for(digits) + 64):
        v, c = (ball(value) for value in architecture.readout)
        rest = rest - c if architecture.counts_readout else rest
        for k, square in enumerate(architecture.squares(balls, ball)):
            rest = rest - v * ball(architecture.share(k)) * square
            if rest < 0 and not rest.contains(0):
                raise DomainError(
                    f"{whole.name}: the first {k + 1} terms of its series are more than K at equal inputs, so the "
                    "series does not reach them, and no network has this kernel"
                )
            result.append(float(rest.upper()))
    return result


def degree_for(whole: Target, read: Target, architecture: Architecture, error: float) -> int:
    """`smallest_degree` as far as 4096, or a `PrecisionError` that estimates it."""
    for terms in _LENGTHS:
        degree = smallest_degree(whole, read, architecture, error, terms)
        if degree is not None:
            return degree
        polynomial = read.polynomial
        if polynomial is not None and polynomial.degree() < terms:
            return int(polynomial.degree())
    rests = remainders(whole, read, architecture, _LENGTHS[-1], error)
    half = len(rests) // 2 - 1
    slow = ""
    if rests[half] > rests[-1] > 0:
        power = math.log(rests[half] / rests[-1]) / math.log(len(rests) / (half + 1))
        estimate = len(rests) * (rests[-1] / error) ** (1 / power)
        slow = f"; it falls like degree^-{power:.2f}, so about degree {estimate:.1e} is needed"
    raise PrecisionError(
        f"a kernel error of {error:g} needs more than degree {len(rests) - 1}, where it is {rests[-1]:.2g}{slow}. A "
        "closed form, or a fit of a family (fit_activation), does without high degrees"
    )
