"""Exact numbers from whatever a user calls a number."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from mpmath import libmp

from kernalg.errors import DomainError, FormulaError, InternalError
from kernalg.formula.builder import UNDEFINED
from kernalg.formula.text import parse


def exact_number(value: Any, name: str) -> sp.Expr:
    """`value` as an exact SymPy number or expression; every parameter of the library goes through here.

    Integers, Fractions and SymPy numbers are exact already; a float (Python, NumPy or SymPy, also inside an
    expression) means its shortest decimal, a string is read by `parse` without variables, symbols stay.

    Parameters
    ----------
    value
        What the user gave.
    name
        The parameter's name, for the message.

    Raises
    ------
    DomainError
        For bool, complex, nan, infinity and everything that is no number.

    Examples
    --------
    >>> exact_number(0.1, "w_var"), exact_number("1/20", "b_var")
    (1/10, 1/20)
    """
    if isinstance(value, str):
        try:
            return parse(value, symbols=())
        except FormulaError as error:
            reason = str(error).partition("\n")[0]
            raise FormulaError(f"{name} is not an exact number: {reason}", text=value, column=error.column) from None
    if isinstance(value, sp.Expr):
        if value.has(*UNDEFINED, sp.I) or (value.is_number and value.is_extended_real is False):
            raise DomainError(f"{name} = {value} is not a finite real number; give a finite real one")
        return value.xreplace({number: _shortest_decimal(number) for number in value.atoms(sp.Float)})
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return sp.Integer(int(value))
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            raise DomainError(f"{name} = {value} is not finite; give a finite number")
        return sp.Rational(Fraction(str(value)))  # str, not repr: repr(np.float32(0.1)) is 'np.float32(0.1)'
    raise DomainError(
        f"{name} = {value!r} ({type(value).__name__}) is not a real number; "
        "give an int, float, Fraction, a SymPy expression, or a string such as '1/20'"
    )


def _shortest_decimal(number: sp.Float) -> sp.Rational:
    """The decimal of fewest digits that rounds to `number` at its own precision."""
    if number._prec == 53 and sp.Float(float(number)) == number:
        return sp.Rational(Fraction(repr(float(number))))
    for digits in range(1, libmp.repr_dps(number._prec) + 1):
        text = libmp.to_str(number._mpf_, digits)
        if libmp.from_str(text, number._prec, libmp.round_nearest) == number._mpf_:
            return sp.Rational(Fraction(text))
    raise InternalError(f"no decimal of {libmp.repr_dps(number._prec)} digits rounds to {number}")
