r"""Spectrum of a dot-product kernel on the hypercube.

.. math:: f(\langle x,y\rangle/d)=\sum_{k=0}^d\lambda_k\sum_{|S|=k}\chi_S(x)\chi_S(y),\qquad x,y\in\{-1,1\}^d,

the parities :math:`\chi_S` being the eigenfunctions under the uniform measure, so that :math:`\lambda_k` has
multiplicity :math:`\binom dk`. Each level is computed by the first of these that applies, and says which:

* *parity*, *polynomial*: the profile is a polynomial in the even or odd powers: finite sums, exact zeros;
* *series*: Taylor coefficients with a rigorous remainder, if they are non-negative (every network kernel);
* *Krawtchouk sum*: the definition, over the d + 1 values of the cosine, in balls of as many bits as it cancels. It
  needs nothing of the profile but values; in high dimension it stops where the binomial weights are negligible.

The mathematics is in `kernalg.expansion.cube`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flint import arb

from kernalg.enclosure.balls import bits_for, check_digits, has_digits, negligible, precision
from kernalg.errors import DomainError, InternalError, NoClosedForm, PrecisionError
from kernalg.expansion.cube import cube_from_taylor, krawtchouk_integers, weighted_sums
from kernalg.spectrum.from_balls import DOUBLE_DIGITS, rounding, spectrum_from_balls
from kernalg.spectrum.profiles import Profile, profile_of, rational_coefficients, value_at_one
from kernalg.spectrum.spaces import Hypercube
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere import not_positive
from kernalg.spectrum.sphere_series import finite_parity_classes, taylor_coefficients

CONVENTION = "per parity, uniform probability measure"
# Up to this dimension the Krawtchouk sum is as quick as the series, and always settles.
_SMALL = 200
_MOST_COEFFICIENTS = 2048
# Nodes times degrees of a Krawtchouk sum, a value of the kernel counted as so many degrees; about ten seconds.
_MOST_TERMS = 20_000_000
_COST_OF_VALUE = 50
_ATTEMPTS = 9
_MOST_DEGREES = 2000
_PIECES = 64

_Found = dict[int, tuple[arb, str]]


def cube_spectrum(K: Any, space: Hypercube, degree: int, digits: int | None, exact: bool) -> Spectrum:
    """Eigenvalues of degree 0 to `degree` of a kernel on the hypercube; parameters as in `spectrum`.

    There are no parities of more than d coordinates: a larger `degree` gives the d + 1 levels that exist.
    """
    d = space.d
    degree = min(degree, d)
    if degree > _MOST_DEGREES:
        raise DomainError(f"degree={degree}: at most {_MOST_DEGREES} degrees are computed.")
    profile = profile_of(K)
    multiplicities = [math.comb(d, k) for k in range(degree + 1)]
    if exact:
        coefficients = rational_coefficients(profile)
        fractions = cube_from_taylor(coefficients, d, degree)
        for k, fraction in enumerate(fractions):
            if fraction < 0:
                raise not_positive(space, k, str(fraction))
        return Spectrum(
            [float(fraction) for fraction in fractions],
            multiplicities,
            trace=float(sum(coefficients)),
            errors=[rounding(float(fraction)) for fraction in fractions],
            methods=["exact"] * (degree + 1),
            space=space,
            convention=CONVENTION,
            exact=fractions,
            atoms=2**d,
        )
    goal = DOUBLE_DIGITS if digits is None else check_digits(digits)
    at_one = value_at_one(profile, goal + 5)
    found = _from_taylor_coefficients(profile, d, degree, goal, at_one)
    found |= eigenvalues_by_krawtchouk(profile, d, [k for k in range(degree + 1) if k not in found], goal, at_one)
    for k in range(degree + 1):
        if found[k][0] < 0:
            raise not_positive(space, k, found[k][0].str(8, radius=False))
    with precision(bits_for(goal)):
        if sum((found[k][0] * multiplicities[k] for k in range(degree + 1)), arb(0)) > at_one:
            raise DomainError(
                f"the kernel is not positive semi-definite on the {space}: its levels up to degree {degree} add up to "
                f"more than K(1) = {float(at_one.mid()):.8g}, so one beyond is negative. Check its formula"
            )
    return spectrum_from_balls(
        [found[k][0] for k in range(degree + 1)],
        multiplicities,
        digits=digits,
        trace=float(at_one.mid()),
        methods=[found[k][1] for k in range(degree + 1)],
        space=space,
        convention=CONVENTION,
        atoms=2**d,
    )


def _from_taylor_coefficients(profile: Profile, d: int, degree: int, digits: int, at_one: arb) -> _Found:
    try:
        classes = finite_parity_classes(profile, degree)
    except NoClosedForm:  # values, but no power series
        return _vanishing_classes(profile, range(degree + 1), digits)
    found = eigenvalues_of_finite_classes(profile, d, range(degree + 1), classes, digits, at_one)
    if profile.nonnegative and d > _SMALL:
        found |= eigenvalues_by_series(profile, d, [k for k in range(degree + 1) if k not in found], digits, at_one)
    return found


def _vanishing_classes(profile: Profile, levels: Iterable[int], digits: int) -> _Found:
    """The zeros of an even or odd kernel from two values: the even levels add up to (K(1) + K(-1))/2, all >= 0."""
    if not profile.nonnegative:
        return {}
    with precision(2 * bits_for(digits) + 170):
        up, down = profile.ball(arb(1)), profile.ball(arb(-1))
        vanishes = [_is_zero(total, 1, 0, digits, up) for total in (up + down, up - down)]
    return {k: (arb(0), "parity, zero") for k in levels if vanishes[k % 2]}


def eigenvalues_of_finite_classes(
    profile: Profile, d: int, levels: Iterable[int], classes: dict[int, int], digits: int, at_one: arb
) -> _Found:
    """Levels of the polynomial parity classes (parity: degree), to `digits` digits: enclosure and method, in words."""
    polynomial = len(classes) == 2
    pending = {k for k in levels if k % 2 in classes}
    found: _Found = {k: (arb(0), "polynomial, zero" if polynomial else "parity, zero") for k in pending}
    pending = {k for k in pending if k <= classes[k % 2]}
    bits = bits_for(digits) + 64
    for attempt in range(6):
        if not pending:
            return found
        with precision(bits << attempt):
            a = taylor_coefficients(profile, bits << attempt, max(classes.values()) + 1)
            # What the other parity contributes belongs to levels that are not of these classes.
            a = [coefficient if m <= classes.get(m % 2, -1) else arb(0) for m, coefficient in enumerate(a)]
            sums, _ = weighted_sums(a, d, max(pending))
            for k in list(pending):
                zero = _is_zero(sums[k], d, k, digits, at_one)
                if zero or has_digits(sums[k], digits):
                    found[k] = arb(0) if zero else sums[k], "polynomial" if polynomial else "parity, finite series"
                    pending.discard(k)
    raise PrecisionError(f"The Taylor coefficients of the profile do not give {digits} digits at {bits << 5} bits.")


def eigenvalues_by_series(profile: Profile, d: int, levels: Iterable[int], digits: int, at_one: arb) -> _Found:
    """The levels whose series reach `digits` digits with their remainder bound; non-negative coefficients only.

    The coefficients of one parity beyond those summed add up to the rest R of (K(1) ± K(-1))/2, and a weight is at
    most 1/C(d, k) (a probability, the same at all corners of distance k) and at most E|t|^M.
    """
    pending, found = set(levels), _Found()
    bits, refinements = bits_for(digits) + 96, 5
    terms = max(pending, default=0) // 2 * 2 + 64
    while pending:
        with precision(bits):
            a = taylor_coefficients(profile, bits, terms)
            sums, weight = weighted_sums(a, d, max(pending))
            rests = _rests(profile, a, at_one)
            rough = False
            needed: set[int] = set()
            for k in sorted(pending):
                rest = rests[k % 2]
                half = rest.upper().max(arb(0)) * (1 / arb(math.comb(d, k))).min(weight) / 2
                value = sums[k] + arb(half, half.upper())
                if has_digits(value, digits):
                    found[k] = value, f"series, {terms} terms"
                    pending.discard(k)
                elif not has_digits(sums[k], digits + 1) or rest.contains(0):
                    rough = True
                else:
                    needed.add(_sufficient_terms(d, terms, sums[k], rest, digits))
        if rough and refinements:
            bits, refinements = 2 * bits, refinements - 1
        elif within := [n for n in needed if n <= _MOST_COEFFICIENTS]:
            terms = max(within)
        else:
            break
    return found


def _rests(profile: Profile, a: list[arb], at_one: arb) -> tuple[arb, arb]:
    """What the even and what the odd coefficients not in `a` add up to (at least upper bounds of it)."""
    # Deep networks lose digits at 1, where `at_one` may be the better one; smooth kernels need the bits.
    up, down = profile.ball(arb(1)), profile.ball(arb(-1))
    if not up.is_finite() or at_one.rad() < up.rad():
        up = at_one
    totals = ((up + down) / 2, (up - down) / 2) if down.is_finite() else (up, up)
    rests = tuple(totals[parity] - sum(a[parity::2], arb(0)) for parity in (0, 1))
    if any(rest < 0 for rest in rests):
        raise InternalError(
            "The Taylor coefficients of a profile that is declared non-negative add up to more than its value at 1."
        )
    return rests[0], rests[1]


def _sufficient_terms(d: int, terms: int, total: arb, rest: arb, digits: int) -> int:
    """How many more coefficients will do, even if none of them takes from the rest (double precision).

    By Khinchine's inequality, E[t^m] <= (m-1)!!/d^{m/2} for even m. A sum that is 0 so far needs any coefficient.
    """
    if not total > 0:
        return 2 * terms
    goal = float((total / rest.upper()).log()) - (digits + 1) * math.log(10)
    n = terms + 32
    while n <= _MOST_COEFFICIENTS and math.lgamma(n + 1) - math.lgamma(n / 2 + 1) - n / 2 * math.log(2 * d) > goal:
        n += 32
    return n


def eigenvalues_by_krawtchouk(profile: Profile, d: int, levels: Iterable[int], digits: int, at_one: arb) -> _Found:
    """Enclosures to `digits` digits by the sum over the values of the cosine: any profile that has values.

    Raises
    ------
    PrecisionError
        If the digits are not reached, or the sum is too long (high degrees in dimensions beyond some thousands).
    """
    pending, found = set(levels), _Found()
    supremum = at_one.upper() if profile.nonnegative else arb.nan()
    if pending and d > _SMALL and not profile.nonnegative:
        supremum = _supremum(profile)
    extra = 64
    for _ in range(_ATTEMPTS):
        if not pending:
            break
        top = max(pending)
        # The terms add up, in modulus, to about K(1) sqrt(C(d,k)), the sum to C(d,k) lambda_k.
        bits = bits_for(digits) + math.comb(d, top).bit_length() // 2 + extra
        reach = d
        if supremum.is_finite():
            # Hoeffding: P(|x_1 + … + x_d| > u) <= 2 exp(-u^2/(2d)).
            exponent = (bits + math.comb(d, top).bit_length()) * math.log(2)
            reach = min(d, math.ceil(math.sqrt(2 * d * exponent)))
        if reach // 2 * (top + _COST_OF_VALUE) > _MOST_TERMS:
            raise PrecisionError(
                f"{digits} digits of the eigenvalues up to degree {top} in dimension {d} need sums over "
                f"{_values(d, reach)} values of the kernel; ask a lower degree or fewer digits."
            )
        with precision(bits):
            sums = _krawtchouk_sums(profile, d, pending, reach)
            for k in list(pending):
                multiplicity = math.comb(d, k)
                left_out = 2 * supremum * (-(arb(reach) ** 2) / (2 * d)).exp() if reach < d else arb(0)
                value = sums[k] / multiplicity + arb(0, left_out.upper())
                # Non-negative coefficients leave no other zeros than those of finite parity classes.
                zero = not profile.nonnegative and _is_zero(value, d, k, digits, at_one)
                if zero or has_digits(value, digits):
                    method = "Krawtchouk sum, zero" if zero else f"Krawtchouk sum, {_values(d, reach)} values"
                    found[k] = arb(0) if zero else value, method
                    pending.discard(k)
        extra = 2 * extra + 64
    if pending:
        raise PrecisionError(
            f"{digits} digits of the eigenvalues of degree {sorted(pending)} were not reached at {bits} bits; ask "
            "fewer digits or a lower degree."
        )
    return found


def _values(d: int, reach: int) -> int:
    """How many of d, d - 2, …, -d are at most `reach` in modulus."""
    return 2 * ((reach + d % 2) // 2) + 1 - d % 2


def _krawtchouk_sums(profile: Profile, d: int, levels: Iterable[int], reach: int) -> dict[int, arb]:
    """C(d,k) lambda_k from the values of the cosine u/d with |u| <= reach, ±u together: K_k(d-j) = (-1)^k K_k(j)."""
    wanted = sorted(levels)
    totals = {k: arb(0) for k in wanted}
    middle = d // 2
    weight = (arb(d + 1).lgamma() - arb(middle + 1).lgamma() - arb(d - middle + 1).lgamma()).exp() / arb(2) ** d
    for j in range(middle, (d - reach - 1) // 2, -1):
        u = d - 2 * j
        t = arb(u) / d
        if u == 0:
            even, odd = weight * profile.ball(t), arb(0)
        else:
            up, down = profile.ball(t), profile.ball(-t)
            even, odd = weight * (up + down), weight * (up - down)
        polynomials = krawtchouk_integers(wanted[-1], d, j)
        for k in wanted:
            totals[k] += (odd if k % 2 else even) * polynomials[k]
        weight = weight * j / (d - j + 1)
    return totals


def _supremum(profile: Profile) -> arb:
    """An upper bound of |K| on [-1, 1]; not finite if enclosures on intervals give none."""
    with precision(64):
        radius = arb(1) / _PIECES
        largest = arb(0)
        for i in range(_PIECES):
            try:
                value = profile.ball(arb((2 * i + 1) * radius - 1, radius))
            except (NoClosedForm, PrecisionError):
                return arb.nan()
            if not value.is_finite():
                return arb.nan()
            largest = largest.max(abs(value).upper())
        return largest


def _is_zero(value: arb, d: int, k: int, digits: int, at_one: arb) -> bool:
    """Whether a ball that contains 0 is taken for 0: narrow against k!/d^k, the size of an eigenvalue, and 1/k!."""
    scale = negligible(digits) * abs(at_one).upper() / arb(d) ** k
    return bool(value.contains(0) and value.abs_upper() <= scale)
