r"""E[f(u) g(v)] to certified digits, for piecewise analytic f and g that need no closed form.

The route is chosen by what the functions allow:

=============================  ====================================================================================
u = ±v                          one integral
c = 0                           the product of two means
analytic on the line            two-dimensional trapezoidal rule on a lattice (`trapezoid`)
otherwise, moderate rho         Hermite series with Parseval's bound, coefficients kept between calls (`series`)
otherwise, any other rho        Gauss-Legendre panels between the breakpoints' lines (`panels`)
=============================  ====================================================================================

"Otherwise" means breakpoints, or singularities so close to the line (tanh at a variance of 1000) that a lattice would
be too fine. No route degrades as rho goes to ±1; every truncation is bounded, and every bound is proved by balls. What
cannot be proved is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sympy as sp
from flint import arb

from kernalg.enclosure.balls import ball, certain_digits, check_digits, has_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number
from kernalg.gaussian import extensions, lattice, panels, trapezoid
from kernalg.gaussian.branches import BOUND_BITS, piecewise_analytic
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.series import (
    correlation,
    is_zero,
    line_sum,
    norm_squared,
    parity,
    positive_variance,
    series_order,
    series_sum,
    working_bits,
)
from kernalg.gaussian.trapezoid import Factor

LONGEST_SERIES = 1100
Attempt = Callable[[arb], arb]


def certified_expectation(f: Pieces, g: Pieces, q1: Any, q2: Any, c: Any, digits: int = 50) -> arb:
    r"""A ball around E[f(u) g(v)], (u, v) centred Gaussian with variances q1, q2 and covariance c.

    The relative radius is at most 10^-digits. A value that vanishes because f and g are even and odd, or odd and c = 0,
    is exactly 0. Any other value that is not told from 0 with a radius of 10^-(2 digits) sqrt(E f(u)^2 E g(v)^2) is
    returned with that radius.

    Parameters
    ----------
    f, g : Pieces
        Branches that are analytic up to their breakpoints and grow at most so fast that E f(u)^2 and E g(v)^2 exist.
    q1, q2 : exact positive numbers
    c : exact number
        |c| <= sqrt(q1 q2), ends included.
    digits : int

    Raises
    ------
    DomainError
        Infinite moments, a pole on the real line, variances or a covariance outside their range.
    PrecisionError
        Something could not be proved; the message says what.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> from kernalg.symbols import x
    >>> tanh = pieces(sp.tanh(x))
    >>> certified_expectation(tanh, tanh, 1, 1, sp.Rational(1, 2), 30).str(30, radius=False)
    '0.186324413203448086106782889972'
    """
    digits = check_digits(digits)
    v1, v2 = positive_variance(q1, "q1"), positive_variance(q2, "q2")
    cov = exact_number(c, "c")
    gap = _gap(v1, v2, cov)
    stairs = lattice.recognise(f), lattice.recognise(g)
    if stairs[0] is not None and stairs[1] is not None:
        return lattice.expectation(stairs[0], stairs[1], v1, v2, cov, digits)
    with precision(BOUND_BITS):  # before any conclusion: it proves that the expectation exists
        scale = (norm_squared(f, v1, 3) * norm_squared(g, v2, 3)).sqrt()
    if is_zero(f) or is_zero(g) or _vanishes(f, g, cov):
        return arb(0)
    if any(s is not None for s in stairs) or extensions.is_unbounded(f) or extensions.is_unbounded(g):
        return _refine(_series_alone(f, g, v1, v2, cov, scale), scale, digits)
    attempt = _route(f, g, v1, v2, cov, gap, scale)
    return _refine(attempt, scale, digits)


def _gap(v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> sp.Expr:
    """q1 q2 - c^2, exactly 0 when it vanishes."""
    if cov.free_symbols or cov.is_real is False:
        raise DomainError(f"c = {cov}: the covariance is a real number")
    gap = sp.expand(v1 * v2 - cov**2)
    if gap.is_zero or (gap.is_zero is None and gap.equals(0)):
        return sp.S.Zero
    if gap.is_negative or (gap.is_negative is None and sp.N(gap, 50) < 0):
        raise DomainError(f"c = {cov} is outside [-sqrt(q1 q2), sqrt(q1 q2)] for q1 = {v1}, q2 = {v2}")
    return gap


def _vanishes(f: Pieces, g: Pieces, cov: sp.Expr) -> bool:
    """Zero by symmetry: (u, v) and (-u, -v) have one law, and so have (u, v) and (-u, v) when c = 0."""
    even_or_odd = parity(f), parity(g)
    return even_or_odd in ((1, -1), (-1, 1)) or (cov == 0 and -1 in even_or_odd)


def _route(f: Pieces, g: Pieces, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, gap: sp.Expr, scale: arb) -> Attempt:
    """The function tolerance -> ball of this case."""
    first = Factor(piecewise_analytic(f), v1)
    second = Factor(piecewise_analytic(g), v2, -1 if cov.is_negative else 1)

    def parts() -> tuple[arb, arb]:
        """C and S of `trapezoid`; S without the cancellation in 1 - |rho|."""
        root = (ball(v1) * ball(v2)).sqrt()
        above = root + abs(ball(cov))
        return (above / (2 * root)).sqrt(), (ball(gap) / (2 * root * above)).sqrt()

    def attempt(tolerance: arb) -> arb:
        bits = working_bits(first, second, tolerance)
        if gap == 0:
            return line_sum((first, second), tolerance, bits)
        if cov == 0:
            means = [line_sum((each,), tolerance / (4 * (1 + scale)), bits) for each in (first, second)]
            with precision(bits):
                return means[0] * means[1]
        if first.function.is_analytic and second.function.is_analytic:
            try:
                return trapezoid.plane(first, second, lambda: parts()[0], lambda: parts()[1], tolerance, bits)
            except PrecisionError:  # a singularity very near the line
                pass
        with precision(BOUND_BITS):
            order = series_order(correlation(v1, v2, cov), scale, tolerance / 4)
        if order <= LONGEST_SERIES:
            return series_sum(f, g, v1, v2, lambda: correlation(v1, v2, cov), order, tolerance / 4, scale)
        left, right = (
            replace(h, function=piecewise_analytic(_split_at_zero(h.function.parts))) for h in (first, second)
        )
        return panels.plane(left, right, lambda: parts()[0], lambda: parts()[1], tolerance, bits)

    return attempt


def _series_alone(f: Pieces, g: Pieces, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, scale: arb) -> Attempt:
    """floor, log|x| and the like against a function of another kind: panels do not reach them, coefficients exist."""

    def attempt(tolerance: arb) -> arb:
        with precision(BOUND_BITS):
            order = series_order(correlation(v1, v2, cov), scale, tolerance / 4)
        if order > LONGEST_SERIES:
            raise PrecisionError(
                f"{f.branches[-1]} against {g.branches[-1]} is summed as a Hermite series, which settles too slowly at "
                f"c = {cov}, q1 = {v1}, q2 = {v2}; take a correlation farther from ±1 or fewer digits"
            )
        return series_sum(f, g, v1, v2, lambda: correlation(v1, v2, cov), order, tolerance / 4, scale)

    return attempt


def _split_at_zero(parts: Pieces) -> Pieces:
    """An analytic function cut at 0, where the scaled functions of practice (tanh(30 x) …) have their singularity.

    The cut changes no value: panels that follow the line u = 0 are graded towards it far more cheaply than across it.
    """
    return parts if parts.breakpoints else Pieces((sp.S.Zero,), parts.branches * 2)


def _refine(attempt: Attempt, scale: arb, digits: int) -> arb:
    """A rough value first; then the tolerance that its size asks for."""
    value = arb.nan()
    for exponent in (6, digits + 2, 2 * digits + 1):
        with precision(BOUND_BITS):
            tolerance = (scale * arb(10) ** -exponent / 2).mid()
        value = attempt(tolerance)
        if value.abs_lower() > 0:
            break
    else:
        return value
    for spare in (1, 4):
        if has_digits(value, digits):
            return value
        with precision(BOUND_BITS):
            tolerance = (value.abs_lower() * arb(10) ** -(digits + spare)).mid()
        value = attempt(tolerance)
    if has_digits(value, digits):
        return value
    raise PrecisionError(f"{digits} digits were asked and {certain_digits(value)} reached ({value.str(10)})")
