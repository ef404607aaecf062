"""SymPy's constructors behind limits.

SymPy evaluates while it builds, so a short text can ask for a huge number (``9**9**9``,
``gamma(10**9)``, ``exp(10**9*log(2))``). `Builder` bounds the size of a result *before* asking
SymPy for it, and inspects what came back.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import sympy as sp

from kernalg.formula.vocabulary import MAX_COMPARISONS, Entry, nearest_integer

MAX_DEPTH = 100  # nested operations in a text; a JSON tree may be twice as deep (a - b is Add(a, Mul(-1, b)))
MAX_NODES = 10_000  # nodes read, and distinct SymPy subexpressions built
MAX_DIGITS = 1_000  # decimal digits of one exact number
MAX_RADICAND_DIGITS = 100  # of a number under a root, which SymPy searches for square factors
MAX_TOTAL_DIGITS = 20_000  # of all distinct exact numbers of a formula together
MAX_EXPONENT = 10_000  # rational exponents, in absolute value
MAX_ARGUMENT = 10**9  # numbers handed to exp, sin, …: SymPy spends log2|argument| bits on comparing exp(argument)
_BITS_PER_DIGIT = math.log2(10)

UNDEFINED = frozenset({sp.zoo, sp.nan, sp.oo, -sp.oo})

# What SymPy's constructors raise on input they cannot use; anything else is a bug worth a traceback.
_SYMPY_ERRORS = (TypeError, ValueError, ArithmeticError, NotImplementedError, RecursionError, AttributeError)


class Refusal(Exception):
    """Why a node is refused; the reader that knows the place turns it into a `FormulaError`."""


def _bits(number: sp.Rational) -> float:
    """log2 of the larger of numerator and denominator."""
    return math.log2(max(abs(int(number.p)), int(number.q)))


def _size(constant: sp.Expr) -> sp.Expr:
    """Absolute value of a number, exact or to a few digits."""
    if constant.is_Rational:
        return abs(constant)
    value = abs(sp.N(constant, 15))
    if not value.is_Number:
        raise Refusal(f"the size of the number {constant} could not be estimated")
    return value


class Builder:
    """SymPy's evaluating constructors behind the limits of this module. One builder serves one formula."""

    def __init__(self) -> None:
        self._seen: set[sp.Basic] = set()
        self._bits = 0.0
        self._comparisons = 0

    def build(self, make: Callable[..., Any], *args: Any) -> Any:
        """``make(*args)``, inspected; for constructors that cannot blow up (sums, products, conditions)."""
        try:
            result = make(*args)
            self._inspect(result)
            if isinstance(result, sp.Expr) and result.is_number and result.is_extended_real is False:
                raise Refusal(f"{result} is not a real number; formulas are real")
        except _SYMPY_ERRORS as error:
            raise Refusal(f"SymPy cannot build this part ({type(error).__name__}: {error})") from error
        return result

    def power(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        self._bound_power(base, exponent)
        return self.build(sp.Pow, base, exponent)

    def divide(self, numerator: sp.Expr, denominator: sp.Expr) -> sp.Expr:
        if denominator.is_zero:
            raise Refusal("division by zero")
        return self.build(operator.truediv, numerator, denominator)

    def call(self, entry: Entry, args: list[sp.Expr]) -> sp.Expr:
        """A function of the vocabulary at `args`, whose number the caller has checked."""
        if entry.bounded:
            for arg in args:
                self._bound_argument(arg, MAX_ARGUMENT)
        first = args[0]
        if entry.make is sp.sqrt:
            self._bound_power(first, sp.S.Half)
        elif entry.make is sp.gamma and first.is_Rational:
            self._bound_argument(first, MAX_DIGITS)  # gamma(n) = (n-1)! has about n digits or more
        elif entry.make in (sp.floor, nearest_integer):
            for term in sp.Add.make_args(first):  # floor(x + number) computes floor(number)
                self._bound_argument(term, sp.Integer(10) ** MAX_DIGITS)
        elif entry.make in (sp.Max, sp.Min):
            flat = sum(len(arg.args) if arg.func is entry.make else 1 for arg in args)
            self._comparisons += flat * (flat - 1) // 2
            if self._comparisons > MAX_COMPARISONS:
                raise Refusal(f"Max and Min of too many arguments; at most {MAX_COMPARISONS} pairs may be compared")
        return self.build(entry.make, *args)

    def _bound_argument(self, arg: sp.Expr, bound: Any) -> None:
        if arg.is_number and _size(arg) > bound:
            shown = str(arg) if not arg.is_Rational or _bits(arg) < 100 else "an exact number of many digits"
            raise Refusal(f"{shown} is too large an argument here; its size may be at most {sp.N(bound, 3)}")

    def _bound_exponential(self, arg: sp.Expr) -> None:
        """exp(k log a) is evaluated by SymPy as a**k, term by term of a sum."""
        for term in sp.Add.make_args(arg):
            self._bound_argument(term, MAX_ARGUMENT)
            self._bound_logarithms(term)

    def _bound_logarithms(self, product: sp.Expr) -> None:
        """k log a may become log(a**k), for instance inside the argument of an exponential (`logcombine`)."""
        for factor in sp.Mul.make_args(product):
            if isinstance(factor, sp.log) and factor.args[0].is_number:
                self._bound_power(factor.args[0], product / factor)

    def _bound_power(self, base: sp.Expr, exponent: sp.Expr) -> None:
        """SymPy distributes powers over products, (3 x)**n = 3**n x**n, and merges them, (a**b)**e = a**(b e)."""
        if exponent.is_Rational and abs(exponent) > MAX_EXPONENT:
            raise Refusal(f"an exponent may be at most {MAX_EXPONENT} in size")
        self._bound_argument(exponent, MAX_ARGUMENT)
        if base.is_Mul:
            for factor in base.args:
                self._bound_power(factor, exponent)
        elif base.is_Pow:
            self._bound_power(base.base, base.exp * exponent)
        elif isinstance(base, sp.exp):
            self._bound_exponential(base.args[0] * exponent)
        elif any(logarithm.args[0] == base for logarithm in exponent.atoms(sp.log)):
            self._bound_exponential(exponent * sp.log(base))  # a**(k/log a) is evaluated as exp(k)
        elif base.is_Rational and exponent.is_Rational and abs(base) != 1:
            bits = _bits(base)
            if bits * abs(exponent) > MAX_DIGITS * _BITS_PER_DIGIT:
                raise Refusal(f"this power is an exact number of more than {MAX_DIGITS} digits")
            if not exponent.is_Integer and bits > MAX_RADICAND_DIGITS * _BITS_PER_DIGIT:
                raise Refusal(f"roots are taken of exact numbers of at most {MAX_RADICAND_DIGITS} digits")

    def _inspect(self, expr: sp.Basic) -> None:
        """Check every subexpression not seen before: cost is linear in the formula, not in its depth times its size."""
        stack = [expr]
        while stack:
            part = stack.pop()
            if part in self._seen:
                continue
            self._seen.add(part)
            if part in UNDEFINED:
                raise Refusal(f"this part is infinite or undefined (SymPy: {part})")
            if part is sp.I:
                raise Refusal("this part is not real; formulas are real")
            if len(self._seen) > MAX_NODES:
                raise Refusal(f"the formula has more than {MAX_NODES} distinct parts")
            if part.is_Rational:
                bits = _bits(part)
                self._bits += bits
                if bits > MAX_DIGITS * _BITS_PER_DIGIT:
                    raise Refusal(f"this part holds an exact number of more than {MAX_DIGITS} digits")
                if self._bits > MAX_TOTAL_DIGITS * _BITS_PER_DIGIT:
                    raise Refusal(f"the exact numbers of the formula have more than {MAX_TOTAL_DIGITS} digits in all")
            elif part.is_Pow and part.exp.is_Rational:
                self._bound_power(part.base, part.exp)  # products merge powers: sqrt(2)*sqrt(3) = sqrt(6)
            elif part.is_Mul:
                self._bound_logarithms(part)
            elif isinstance(part, sp.exp):
                self._bound_exponential(part.args[0])
            stack.extend(part.args)
