"""Text <-> SymPy <-> JSON, without `eval`; and exact numbers from whatever a user calls a number.

`sympify`, `parse_expr`, `srepr` and pickle run code hidden in their input. Here a text is parsed by
`ast.parse` (which only builds a tree), every node is compared with a short whitelist, and SymPy
objects are built bottom-up from our own table of functions; a JSON tree goes through the same door.

>>> from kernalg.formula import parse
>>> parse("x*(1 + erf(x/sqrt(2)))/2")
x*(erf(sqrt(2)*x/2) + 1)/2
>>> parse("0.1*x")
x/10
"""

from kernalg.formula.number import exact_number
from kernalg.formula.objects import read_object
from kernalg.formula.text import parse
from kernalg.formula.tree import from_json, to_json
from kernalg.formula.vocabulary import FUNCTION_NAMES

__all__ = ["FUNCTION_NAMES", "exact_number", "from_json", "parse", "read_object", "to_json"]
