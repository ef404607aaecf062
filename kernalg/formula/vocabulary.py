"""The words of the formula language: functions, constants, relations."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from kernalg.symbols import bivariate_normal_cdf, dawson, normal_cdf

MAX_COMPARISONS = 500  # pairs of arguments of Max and Min, which SymPy compares one by one


@dataclass(frozen=True, slots=True)
class Entry:
    """A function of the language and how it may be called."""

    make: Any  # a SymPy class or function
    least: int = 1
    most: int = 1
    bounded: bool = True  # a number as argument must stay below MAX_ARGUMENT


def nearest_integer(value: sp.Expr) -> sp.Expr:
    """round(value), halves upwards."""
    return sp.floor(value + sp.S.Half)


FUNCTIONS: dict[str, Entry] = {
    "exp": Entry(sp.exp),
    "log": Entry(sp.log, bounded=False),
    "sqrt": Entry(sp.sqrt, bounded=False),
    "abs": Entry(sp.Abs, bounded=False),
    "Abs": Entry(sp.Abs, bounded=False),
    "sign": Entry(sp.sign, bounded=False),
    "Heaviside": Entry(sp.Heaviside, bounded=False),
    "max": Entry(sp.Max, 2, MAX_COMPARISONS, bounded=False),
    "Max": Entry(sp.Max, 2, MAX_COMPARISONS, bounded=False),
    "min": Entry(sp.Min, 2, MAX_COMPARISONS, bounded=False),
    "Min": Entry(sp.Min, 2, MAX_COMPARISONS, bounded=False),
    "floor": Entry(sp.floor, bounded=False),
    "round": Entry(nearest_integer, bounded=False),
    "erf": Entry(sp.erf),
    "erfc": Entry(sp.erfc),
    "erfi": Entry(sp.erfi),
    "dawson": Entry(dawson),
    "sin": Entry(sp.sin),
    "cos": Entry(sp.cos),
    "tan": Entry(sp.tan),
    "sinh": Entry(sp.sinh),
    "cosh": Entry(sp.cosh),
    "tanh": Entry(sp.tanh),
    "asin": Entry(sp.asin),
    "acos": Entry(sp.acos),
    "atan": Entry(sp.atan),
    "atan2": Entry(sp.atan2, 2, 2),
    "gamma": Entry(sp.gamma),
    "normal_cdf": Entry(normal_cdf),
    "Phi": Entry(normal_cdf),
    "bivariate_normal_cdf": Entry(bivariate_normal_cdf, 3, 3),
}
CONSTANTS: dict[str, sp.Expr] = {"pi": sp.pi, "E": sp.E}
_SPECIAL_FORMS = ("Piecewise", "Rational")
FUNCTION_NAMES = tuple(sorted([*FUNCTIONS, *_SPECIAL_FORMS], key=str.lower))
"""Functions a formula may call."""

RELATIONS: dict[str, Any] = {
    "Lt": sp.StrictLessThan,
    "Le": sp.LessThan,
    "Gt": sp.StrictGreaterThan,
    "Ge": sp.GreaterThan,
    "Eq": sp.Equality,
    "Ne": sp.Unequality,
}


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
