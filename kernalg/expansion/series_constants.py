"""The constants of a power series: rational combinations of monomials in pi, roots of primes, exp(b), … , exactly."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp
from flint import arb, fmpq

from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError, NoClosedForm

BITS = 192
_MORE_BITS = 4000

# Sorted pairs (index of a generator, exponent in units of 1/_UNIT), no exponent 0
Monomial = tuple[tuple[int, int], ...]
Combination = dict[Monomial, fmpq]
_UNIT = 720720  # a multiple of 1, …, 16


def as_fmpq(value: sp.Rational) -> fmpq:
    return fmpq(int(value.p), int(value.q))


class Constants:
    """The constants of one expansion as monomials in generators: pi, prime numbers, E, exp(b), w + b, acos(1/pi), …

    Products of monomials are sums of exponents, which is what makes long expansions fast. Prime numbers keep exponents
    in [0, 1), so that sqrt(2) sqrt(6) = 2 sqrt(3) is seen; other relations are left to `is_zero`.
    """

    def __init__(self, symbols: Iterable[sp.Symbol]) -> None:
        self.generators: list[sp.Expr] = []
        self.indices: dict[sp.Expr, int] = {}
        self.primes: dict[int, int] = {}
        self.powers: dict[tuple[int, int], sp.Expr] = {}
        self.balls: dict[tuple[int, int], arb | None] = {}
        # Numbers that agree with the assumptions on the parameters: a combination that is not 0 there is not 0.
        self.points = [
            {
                s: (-1 if s.is_negative else 1) * sp.Rational(10 + turn + 7 * i, 13 + (3 - 5 * turn) * i)
                for i, s in enumerate(sorted(symbols, key=str, reverse=bool(turn)))
            }
            for turn in (0, 1)
        ]

    def monomial(self, value: sp.Expr) -> tuple[fmpq, Monomial]:
        """A constant as a rational times a monomial; a sum is a generator of its own."""
        rational = fmpq(1)
        exponents: dict[int, int] = {}

        def include(generator: sp.Expr, exponent: sp.Rational) -> None:
            if _UNIT % exponent.q:
                generator, exponent = generator**exponent, sp.S.One
            if generator not in self.indices:
                self.indices[generator] = len(self.generators)
                self.generators.append(generator)
                if generator.is_Integer:
                    self.primes[self.indices[generator]] = int(generator)
            index = self.indices[generator]
            exponents[index] = exponents.get(index, 0) + int(exponent * _UNIT)

        for base, exponent in value.as_powers_dict().items():
            exponent = sp.sympify(exponent)
            if base is sp.E and not exponent.is_Rational:
                for term in sp.Add.make_args(exponent):
                    coefficient, rest = term.as_coeff_Mul(rational=True)
                    include(sp.exp(rest), coefficient)
                continue
            if not exponent.is_Rational:
                coefficient, rest = exponent.as_coeff_Mul(rational=True)
                whole = coefficient.is_Integer
                include(base**rest if whole else base**exponent, coefficient if whole else sp.S.One)
                continue
            if isinstance(base, sp.Add):
                content, base = base.primitive()
                include(base, exponent)
                base = content
            if not base.is_Rational:
                include(base, exponent)
            elif exponent.is_Integer:
                rational *= as_fmpq(base**exponent)
            elif base.is_negative:
                include(base, exponent)
            else:
                for number, sign in ((base.p, 1), (base.q, -1)):
                    for prime, count in sp.factorint(number).items():
                        include(sp.Integer(prime), sign * count * exponent)
        factor, monomial = self._settled(exponents)
        return rational * factor, monomial

    def _settled(self, exponents: dict[int, int]) -> tuple[fmpq, Monomial]:
        factor = fmpq(1)
        for index in self.primes.keys() & exponents.keys():
            whole, exponents[index] = divmod(exponents[index], _UNIT)
            if whole:
                factor *= fmpq(self.primes[index]) ** whole
        return factor, tuple(sorted((i, e) for i, e in exponents.items() if e))

    def product(self, a: Monomial, b: Monomial) -> tuple[fmpq, Monomial]:
        if not a or not b:
            return fmpq(1), a or b
        exponents = dict(a)
        for index, exponent in b:
            exponents[index] = exponents.get(index, 0) + exponent
        return self._settled(exponents)

    def split(self, value: sp.Expr) -> Combination:
        combination: Combination = {}
        for part in sp.Add.make_args(value):
            if part != 0:
                rational, monomial = self.monomial(part)
                combination[monomial] = combination.get(monomial, fmpq(0)) + rational
        return {m: r for m, r in combination.items() if r != 0}

    def power(self, index: int, exponent: int) -> sp.Expr:
        key = (index, exponent)
        if key not in self.powers:
            self.powers[key] = self.generators[index] ** sp.Rational(exponent, _UNIT)
        return self.powers[key]

    def expr(self, combination: Combination) -> sp.Expr:
        return sp.Add(
            *(
                sp.Mul(
                    sp.Rational(int(r.p), int(r.q)),
                    *(self.power(i, e) for i, e in monomial),
                )
                for monomial, r in combination.items()
            )
        )

    def tidy(self, combination: Combination) -> sp.Expr:
        """As an answer: a few sums of numbers are multiplied out where that is shorter."""
        value = self.expr(combination)
        if len(combination) > 4 or value.free_symbols:
            return value
        sums = [e for m in combination for i, e in m if isinstance(self.generators[i], sp.Add)]
        if not sums or not all(0 < e <= 4 * _UNIT for e in sums):
            return value
        expanded = sp.expand(value)
        return expanded if expanded.count_ops() < value.count_ops() else value

    def _ball(self, combination: Combination, point: int) -> arb | None:
        """The value at `BITS` at the given choice of the parameters; None without an enclosure."""
        total = arb(0)
        for monomial, rational in combination.items():
            term = arb(rational)
            for index, exponent in monomial:
                key = (index, point)
                if key not in self.balls:
                    self.balls[key] = _enclosed(self.generators[index].subs(self.points[point]), BITS)
                base = self.balls[key]
                if base is None:
                    return None
                whole, rest = divmod(exponent, _UNIT)
                term *= base**whole if not rest else base ** arb(fmpq(exponent, _UNIT))
            total += term
        return total

    def is_zero(self, combination: Combination) -> bool:
        if not combination:
            return True
        if len(combination) == 1 and not any(self.generators[i].has(sp.Add) for i, _ in next(iter(combination))):
            return False  # a product of numbers of which none is 0
        with precision(BITS):
            for point in range(len(self.points)):
                value = self._ball(combination, point)
                if value is not None and value.is_finite() and not value.contains(0):
                    return False
        formula = self.expr(combination)
        expanded = sp.expand(formula)
        if expanded == 0 or sp.cancel(sp.together(expanded)) == 0 or sp.simplify(formula) == 0:
            return True
        closer = _enclosed(formula.subs(self.points[0]), _MORE_BITS)
        if closer is None or not closer.is_finite() or closer.contains(0):
            raise NoClosedForm(f"it could not be decided whether {formula} is 0")
        return False

    def sign(self, combination: Combination) -> int | None:
        """1, -1 or 0; None if it depends on parameters."""
        if self.is_zero(combination):
            return 0
        value = self.expr(combination)
        if value.free_symbols:
            if value.is_positive or value.is_negative:
                return 1 if value.is_positive else -1
            return None
        for bits in (BITS, _MORE_BITS):
            enclosure = _enclosed(value, bits)
            if enclosure is not None and (enclosure > 0 or enclosure < 0):
                return 1 if enclosure > 0 else -1
        raise NoClosedForm(f"the sign of {value} could not be decided")


def _enclosed(value: sp.Expr, bits: int) -> arb | None:
    with precision(bits):
        try:
            return ball(value)
        except DomainError:
            return None
