"""The parser, the JSON form and exact numbers."""

import pytest
import sympy as sp

from kernalg.errors import FormulaError
from kernalg.formula import exact_number, parse
from kernalg.symbols import x


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*(1+erf(x/sqrt(2)))/2", x * (1 + sp.erf(x / sp.sqrt(2))) / 2),
        ("1e-3*x", x / 1000),
    ],
)
def test_good_formulas(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["9**9**9", "x.__class__", "1/0", "2**(10**9)"])
def test_attacks(text):
    with pytest.raises(FormulaError):
        parse(text)


def test_exact_number():
    assert exact_number(0.1, "w_var") == sp.Rational(1, 10)
