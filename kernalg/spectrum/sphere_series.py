r"""Eigenvalues on the sphere from the Taylor coefficients of the profile at 0, with rigorous remainders.

.. math:: \lambda_k=\sum_{j\ge0}a_{k+2j}\,w_{k,j}

Two situations admit a bound of what a truncation leaves out.

* All :math:`a_m\ge0` (every network kernel: a positive definite function on all spheres, Schoenberg 1942). Then the
  coefficients of one parity beyond m = M add up to :math:`R=\tfrac12(K(1)\pm K(-1))-\sum_{m\le M}a_m`, and the
  remainder lies between 0 and R times the largest weight beyond M.
* One parity class is a polynomial (ReLU tangent kernels of one layer are, in odd degrees; so is every polynomial
  kernel). Then the sum is finite, and the eigenvalues beyond its degree are exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from flint import arb

from kernalg.enclosure.balls import bits_for, has_digits, negligible, precision
from kernalg.errors import InternalError, PrecisionError
from kernalg.expansion.taylor import first_weight, largest_weight, log_largest_weight, weight_ratio
from kernalg.spectrum.from_balls import DOUBLE_DIGITS
from kernalg.spectrum.profiles import Profile, has_dear_values, remembered, taylor_coefficients

_LADDER = (64, 256, 512, 1024)
# Where there is nothing but the series.
_LONG_LADDER = (*_LADDER, 2048)
# Points of (0, 1) where a parity class is compared with its polynomial.
_WITNESSES = ((1, 3), (5, 7), (9, 10), (97, 100))


def finite_parity_classes(profile: Profile, degree: int) -> dict[int, int]:
    """Parities (0 even, 1 odd) in which the profile is a polynomial, with that polynomial's degree (-1: it is 0).

    The coefficients of the class beyond its degree vanish at two precisions (one that is 1e-90 rather than 0 shows at
    the higher one), and the class equals its polynomial to full precision at four points, which sees the coefficients
    beyond those computed.
    """
    terms = max(_LADDER[0], degree + 48)
    return dict(remembered(profile, ("finite classes", terms), lambda: _finite_parity_classes(profile, terms)))


def _finite_parity_classes(profile: Profile, terms: int) -> dict[int, int]:
    low = taylor_coefficients(profile, bits_for(DOUBLE_DIGITS) + 96 if has_dear_values(profile) else 256, terms)
    short = {parity: last for parity in (0, 1) if (last := _last_nonzero(low, parity)) < terms - 32}
    if not short:
        return {}
    high = taylor_coefficients(profile, 640, terms)
    if not all(a.is_finite() for a in high):
        return {}
    equals = _adds_up if has_dear_values(profile) else _is_polynomial
    return {
        parity: last
        for parity, last in short.items()
        if last == _last_nonzero(high, parity) and equals(profile, high, parity, last)
    }


def _last_nonzero(coefficients: Sequence[arb], parity: int) -> int:
    return max((m for m in range(parity, len(coefficients), 2) if not coefficients[m].contains(0)), default=-1)


def _adds_up(profile: Profile, coefficients: Sequence[arb], parity: int, last: int) -> bool:
    """Whether the class has the value of its polynomial at 1; its coefficients are not negative, so the rest is 0."""
    with precision(256):
        up, down = profile.ball(arb(1)), profile.ball(arb(-1))
        total = (up + down) / 2 if parity == 0 else (up - down) / 2
        difference = total - sum(coefficients[parity : last + 1 : 2], arb(0))
        return bool(difference.contains(0) and difference.rad() < arb(2) ** -160 * (1 + abs(up)))


def _is_polynomial(profile: Profile, coefficients: Sequence[arb], parity: int, last: int) -> bool:
    with precision(256):
        for p, q in _WITNESSES:
            t = arb(p) / q
            up, down = profile.ball(t), profile.ball(-t)
            half = (up + down) / 2 if parity == 0 else (up - down) / 2
            polynomial = sum((coefficients[m] * t**m for m in range(parity, last + 1, 2)), arb(0))
            difference = half - polynomial
            if not (difference.contains(0) and difference.rad() < arb(2) ** -160 * (1 + abs(up) + abs(down))):
                return False
    return True


def eigenvalues_of_finite_classes(
    profile: Profile, d: int, levels: Iterable[int], classes: dict[int, int], digits: int
) -> dict[int, tuple[arb, str]]:
    """Levels of the polynomial parity classes, to `digits` digits: the enclosure and the method, in words."""
    polynomial = len(classes) == 2
    found = {}
    wanted = {k for k in levels if k % 2 in classes}
    for k in list(wanted):
        if k > classes[k % 2]:
            found[k] = arb(0), "polynomial, zero" if polynomial else "parity, zero"
            wanted.discard(k)
    bits = bits_for(digits) + 64
    for attempt in range(6):
        if not wanted:
            return found
        a = taylor_coefficients(profile, bits << attempt, max(classes.values()) + 2)
        with precision(bits << attempt):
            for k in list(wanted):
                value = _weighted_sum(a[k : classes[k % 2] + 1 : 2], d, k)
                zero = value.contains(0) and value.abs_upper() <= negligible(digits)
                if has_digits(value, digits) or zero:
                    found[k] = (arb(0) if zero else value), "polynomial" if polynomial else "parity, finite series"
                    wanted.discard(k)
    if wanted:
        raise PrecisionError(f"The Taylor coefficients of the profile do not give {digits} digits at {bits << 5} bits.")
    return found


def _weighted_sum(coefficients: Sequence[arb], d: int, k: int) -> arb:
    weight, total = arb(first_weight(d, k)), arb(0)
    for j, a in enumerate(coefficients):
        total += a * weight
        up, down = weight_ratio(d, k, j)
        weight = weight * up / down
    return total


def eigenvalues_by_series(
    profile: Profile, d: int, levels: Iterable[int], digits: int, at_one: arb
) -> tuple[dict[int, tuple[arb, str]], dict[int, arb]]:
    """The levels whose series reach `digits` digits with their remainder bound; non-negative coefficients only.

    `at_one` encloses K(1). The number of terms grows only as long as the bound says it will suffice. Returns the
    enclosures with the method, in words, and lower bounds (the partial sums) of the levels not reached.
    """
    lower: dict[int, arb] = {}
    pending = set(levels)
    found: dict[int, tuple[arb, str]] = {}
    dear = has_dear_values(profile)
    ladder = _LONG_LADDER if dear else _LADDER
    terms, largest = max(ladder[0], 2 * max(pending, default=0) + 32), ladder[-1]
    bits, refinements = bits_for(digits) + 96, 4
    while pending:
        a = taylor_coefficients(profile, bits, terms)
        totals = _bounds_of_totals(profile, a, bits) if dear else _class_totals(profile, at_one, 4 * bits)
        with precision(bits):
            rough = False
            useful: set[int] = set()
            longest: float = 0
            for k in sorted(pending):
                partial, remainder, used, blurred = _enclosed_level(a, d, k, totals[k % 2], digits)
                value = partial + remainder
                if has_digits(value, digits):
                    found[k] = value, f"series, {used} terms"
                    pending.discard(k)
                    continue
                lower[k] = partial.mid().max(arb(2) ** -bits)
                if not has_digits(partial, digits + 1) or blurred:
                    rough = True
                else:
                    sufficient = _sufficient_terms(ladder, d, k, partial, a, totals[k % 2], digits)
                    useful.update(sufficient)
                    longest = max(longest, min(sufficient, default=ladder[1] if terms < ladder[1] else math.inf))
        if rough and refinements:
            bits, refinements = 2 * bits, refinements - 1
            continue
        larger = [n for n in ladder if n > terms]
        # A list that costs seconds is made once, as long as all levels need it, and not at all for some of them.
        worth = [n for n in larger if (n == longest if dear else n in useful or n == ladder[1])]
        if not worth or terms >= largest:
            break
        terms = worth[0]
    return found, {k: lower[k] for k in pending}


def _bounds_of_totals(profile: Profile, a: Sequence[arb], bits: int) -> tuple[arb, arb]:
    """Upper bounds of the sums of both classes that need K(1) alone: what both leave out may belong to either."""
    with precision(bits):
        sums = [sum(a[parity::2], arb(0)) for parity in (0, 1)]
        at_one = remembered(profile, ("K(1), bits", bits), lambda: profile.ball(arb(1)))
        rest = at_one - sums[0] - sums[1]
        return sums[0] + rest, sums[1] + rest


def _class_totals(profile: Profile, at_one: arb, bits: int) -> tuple[arb, arb]:
    """The sums of the even and of the odd Taylor coefficients (at least upper bounds of them)."""
    return remembered(profile, ("class totals", bits), lambda: _new_class_totals(profile, at_one, bits))


def _new_class_totals(profile: Profile, at_one: arb, bits: int) -> tuple[arb, arb]:
    with precision(bits):
        # Deep networks lose digits at 1, where `at_one` may be the better one; smooth kernels need the bits.
        again, at_minus_one = profile.ball(arb(1)), profile.ball(arb(-1))
        if again.is_finite() and again.rad() < at_one.rad():
            at_one = again
        if not at_minus_one.is_finite():
            return at_one, at_one
        return (at_one + at_minus_one) / 2, (at_one - at_minus_one) / 2


def _enclosed_level(a: Sequence[arb], d: int, k: int, total: arb, digits: int) -> tuple[arb, arb, int, bool]:
    """Partial sum, interval that holds the remainder, number of terms used, whether the remainder is all rounding.

    Stops as soon as the remainder is negligible.
    """
    rest = total - sum(a[k % 2 : k : 2], arb(0))
    weight, partial = arb(first_weight(d, k)), arb(0)
    for j, coefficient in enumerate(a[k::2]):
        partial += coefficient * weight
        rest -= coefficient
        up, down = weight_ratio(d, k, j)
        weight = weight * up / down
        if j % 16 == 15 and up < down and weight * abs(rest) < partial * arb(10) ** -(digits + 2):
            break
    if rest < 0:
        raise InternalError(
            "The Taylor coefficients of a profile that is declared non-negative add up to more than its value at 1."
        )
    bound = rest.upper().max(arb(0)) * largest_weight(d, k, j + 1)
    return partial, arb(bound / 2, (bound / 2).upper()), j + 1, bool(rest.contains(0))


def _sufficient_terms(
    ladder: Sequence[int], d: int, k: int, partial: arb, a: Sequence[arb], total: arb, digits: int
) -> list[int]:
    """Lengths of the ladder that will do if the remainder falls on like exp(-b sqrt(length)).

    The Hermite coefficients of a function that is analytic in a strip do so; remainders that fall like a power are
    taken for smaller than they are, by a factor that is small beside the digits.
    """
    rest = float((total - sum(a[k % 2 :: 2], arb(0))).upper())
    goal = float(abs(partial).log()) - digits * math.log(10)
    if rest <= 0:
        return [n for n in ladder if n > len(a)][:1]
    earlier = float((total - sum(a[k % 2 : len(a) // 4 : 2], arb(0))).upper())
    # log rest per square root of the length, from the last halving of it
    fall = (math.log(earlier) - math.log(rest)) / (math.sqrt(len(a)) - math.sqrt(len(a) // 4))

    def enough(n: int) -> bool:
        predicted = math.log(rest) - fall * (math.sqrt(n) - math.sqrt(len(a)))
        return predicted + log_largest_weight(d, k, (n - k) // 2) < goal

    return [n for n in ladder if n > len(a) and enough(n)]
