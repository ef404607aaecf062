"""Truncated power series with exact coefficients: sums of constants times series of rationals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import fmpq_poly

from kernalg.errors import NoClosedForm
from kernalg.expansion.series_constants import Combination, Constants, Monomial

MOST_PRODUCTS = 50_000
MOST_CONSTANTS = 3_000


class Obstacle(Exception):
    def __init__(self, node: Any, reason: str = "") -> None:
        self.node, self.reason = node, reason


class TooShort(Exception):
    """All coefficients known of this part vanish."""

    def __init__(self, node: Any) -> None:
        self.node = node


@dataclass(slots=True)
class Series:
    """s^shift times the sum of m r_m(s) over `parts`, up to O(s^(shift + length))."""

    parts: dict[Monomial, fmpq_poly]
    shift: int
    length: int

    def coefficient(self, k: int) -> Combination:
        """That of s^(shift + k)."""
        return {m: r[k] for m, r in self.parts.items() if r[k] != 0}


class Arithmetic:
    """Operations on series of one expansion, with a limit on their work; `subject` names it in the refusal."""

    def __init__(self, constants: Constants, length: int, subject: str) -> None:
        self.constants = constants
        self.length = length
        self.subject = subject
        self.work = 0

    def constant(self, value: sp.Expr) -> Series:
        parts = {m: fmpq_poly([r]) for m, r in self.constants.split(value).items()}
        return Series(parts, 0, self.length)

    def add(self, a: Series, b: Series) -> Series:
        shift = min(a.shift, b.shift)
        length = min(a.shift + a.length, b.shift + b.length) - shift
        parts: dict[Monomial, fmpq_poly] = {}
        for series in (a, b):
            up = series.shift - shift
            for m, r in series.parts.items():
                moved = (r.left_shift(up) if up else r).truncate(max(length, 0))
                parts[m] = parts[m] + moved if m in parts else moved
        self.check_size(parts)
        return Series({m: r for m, r in parts.items() if r != 0}, shift, length)

    def multiply(self, a: Series, b: Series) -> Series:
        length = min(a.length, b.length)
        self.work += len(a.parts) * len(b.parts)
        parts: dict[Monomial, fmpq_poly] = {}
        for m, r in a.parts.items():
            for n, s in b.parts.items():
                product = r.mul_low(s, length)
                if product == 0:
                    continue
                factor, monomial = self.constants.product(m, n)
                if factor != 1:
                    product = product * factor
                parts[monomial] = parts[monomial] + product if monomial in parts else product
        self.check_size(parts)
        return Series({m: r for m, r in parts.items() if r != 0}, a.shift + b.shift, length)

    def check_size(self, parts: dict[Monomial, fmpq_poly]) -> None:
        if self.work > MOST_PRODUCTS or len(parts) > MOST_CONSTANTS:
            raise NoClosedForm(
                f"{self.subject} are sums of too many constants to be of use; take fewer terms, or certified numbers"
            )

    def scale(self, a: Series, value: sp.Expr) -> Series:
        """Times a constant, which stays one factor also where it is a sum."""
        rational, monomial = self.constants.monomial(value)
        return self.multiply(a, Series({monomial: fmpq_poly([rational])}, 0, self.length))

    def reduced(self, a: Series, node: Any) -> Series:
        """With a first coefficient that is not 0."""
        for k in range(a.length):
            first = a.coefficient(k)
            if first and not self.constants.is_zero(first):
                parts = {m: r.right_shift(k) for m, r in a.parts.items()}
                return Series({m: r for m, r in parts.items() if r != 0}, a.shift + k, a.length - k)
            a = Series({m: r - r[k] * fmpq_poly([0] * k + [1]) for m, r in a.parts.items()}, a.shift, a.length)
        raise TooShort(node)

    def parted(self, a: Series, node: Any) -> tuple[sp.Expr, Series]:
        """The constant term p0 and p - p0; the function `node` has no meaning at a pole."""
        if a.shift < 0:
            a = self.reduced(a, node)
        if a.shift < 0:
            raise Obstacle(node, "its argument has a pole")
        if a.shift > 0:
            return sp.S.Zero, a
        first = a.coefficient(0)
        rest = {m: r - r[0] for m, r in a.parts.items()}
        return self.constants.expr(first), Series({m: r for m, r in rest.items() if r != 0}, 0, a.length)

    def substitute(self, coefficients: Iterator[Combination], u: Series) -> Series:
        """sum f_k u^k for a u without constant term."""
        u = Series({m: r.left_shift(u.shift) for m, r in u.parts.items()}, 0, u.shift + u.length)
        total, power = Series({}, 0, u.length), Series({(): fmpq_poly([1])}, 0, u.length)
        for combination in coefficients:
            if not power.parts:
                break
            if combination:
                factor = Series({m: fmpq_poly([r]) for m, r in combination.items()}, 0, u.length)
                total = self.add(total, self.multiply(power, factor))
            power = self.multiply(power, u)
        return total

    def derivative(self, a: Series) -> Series:
        parts = {m: fmpq_poly([(a.shift + k) * c for k, c in enumerate(r.coeffs())]) for m, r in a.parts.items()}
        return Series({m: r for m, r in parts.items() if r != 0}, a.shift - 1, a.length)

    def integral(self, a: Series, node: Any) -> Series:
        pole = -1 - a.shift
        if pole >= 0 and not self.constants.is_zero(a.coefficient(pole)):
            raise Obstacle(node, "it has a logarithm")
        parts = {
            m: fmpq_poly([c / (a.shift + k + 1) if k != pole else 0 for k, c in enumerate(r.coeffs())])
            for m, r in a.parts.items()
        }
        return Series({m: r for m, r in parts.items() if r != 0}, a.shift + 1, a.length)
