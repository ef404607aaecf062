"""Text <-> SymPy <-> JSON, without `eval`; and exact numbers from whatever a user calls a number.

`sympify`, `parse_expr`, `srepr` and pickle run code hidden in their input. Here a text is parsed by
`ast.parse` (which only builds a tree), every node is compared with a short whitelist, and SymPy
objects are built bottom-up from our own table of functions; a JSON tree goes through the same door.

SymPy evaluates while it builds, so a short text can ask for a huge number (``9**9**9``,
``gamma(10**9)``, ``exp(10**9*log(2))``). `_Builder` bounds the size of a result *before* asking
SymPy for it, and inspects what came back.

>>> from kernalg.formula import parse
>>> parse("x*(1 + erf(x/sqrt(2)))/2")
x*(erf(sqrt(2)*x/2) + 1)/2
>>> parse("0.1*x")
x/10
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
import sympy as sp
from mpmath import libmp
from sympy.core.assumptions import _assume_defined
from sympy.core.facts import InconsistentAssumptions
from sympy.logic.boolalg import Boolean

from kernalg.errors import DomainError, FormulaError, InternalError
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, rho, x

MAX_TEXT = 20_000  # characters of a formula
MAX_DEPTH = 100  # nested operations in a text; a JSON tree may be twice as deep (a - b is Add(a, Mul(-1, b)))
MAX_NODES = 10_000  # nodes read, and distinct SymPy subexpressions built
MAX_DIGITS = 1_000  # decimal digits of one exact number
MAX_RADICAND_DIGITS = 100  # of a number under a root, which SymPy searches for square factors
MAX_TOTAL_DIGITS = 20_000  # of all distinct exact numbers of a formula together
MAX_EXPONENT = 10_000  # rational exponents, in absolute value
MAX_ARGUMENT = 10**9  # numbers handed to exp, sin, …: SymPy spends log2|argument| bits on comparing exp(argument)
MAX_COMPARISONS = 500  # pairs of arguments of Max and Min, which SymPy compares one by one
_BITS_PER_DIGIT = math.log2(10)

# What SymPy's constructors raise on input they cannot use; anything else is a bug worth a traceback.
_SYMPY_ERRORS = (TypeError, ValueError, ArithmeticError, NotImplementedError, RecursionError, AttributeError)


@dataclass(frozen=True, slots=True)
class _Entry:
    make: Any  # a SymPy class or function
    least: int = 1
    most: int = 1
    bounded: bool = True  # a number as argument must stay below MAX_ARGUMENT


_FUNCTIONS: dict[str, _Entry] = {
    "exp": _Entry(sp.exp),
    "log": _Entry(sp.log, bounded=False),
    "sqrt": _Entry(sp.sqrt, bounded=False),
    "abs": _Entry(sp.Abs, bounded=False),
    "Abs": _Entry(sp.Abs, bounded=False),
    "sign": _Entry(sp.sign, bounded=False),
    "Heaviside": _Entry(sp.Heaviside, bounded=False),
    "max": _Entry(sp.Max, 2, MAX_COMPARISONS, bounded=False),
    "Max": _Entry(sp.Max, 2, MAX_COMPARISONS, bounded=False),
    "min": _Entry(sp.Min, 2, MAX_COMPARISONS, bounded=False),
    "Min": _Entry(sp.Min, 2, MAX_COMPARISONS, bounded=False),
    "floor": _Entry(sp.floor, bounded=False),
    "erf": _Entry(sp.erf),
    "erfc": _Entry(sp.erfc),
    "erfi": _Entry(sp.erfi),
    "sin": _Entry(sp.sin),
    "cos": _Entry(sp.cos),
    "tan": _Entry(sp.tan),
    "sinh": _Entry(sp.sinh),
    "cosh": _Entry(sp.cosh),
    "tanh": _Entry(sp.tanh),
    "asin": _Entry(sp.asin),
    "acos": _Entry(sp.acos),
    "atan": _Entry(sp.atan),
    "atan2": _Entry(sp.atan2, 2, 2),
    "gamma": _Entry(sp.gamma),
    "normal_cdf": _Entry(normal_cdf),
    "Phi": _Entry(normal_cdf),
    "bivariate_normal_cdf": _Entry(bivariate_normal_cdf, 3, 3),
}
_CONSTANTS: dict[str, sp.Expr] = {"pi": sp.pi, "E": sp.E}
_SPECIAL_FORMS = ("Piecewise", "Rational")
FUNCTION_NAMES = tuple(sorted([*_FUNCTIONS, *_SPECIAL_FORMS], key=str.lower))
"""Functions a formula may call."""

_RELATIONS: dict[str, Any] = {
    "Lt": sp.StrictLessThan,
    "Le": sp.LessThan,
    "Gt": sp.StrictGreaterThan,
    "Ge": sp.GreaterThan,
    "Eq": sp.Equality,
    "Ne": sp.Unequality,
}
_CONNECTIVES: dict[str, Any] = {"And": sp.And, "Or": sp.Or, "Not": sp.Not}  # SymPy makes them: it merges pieces
_UNDEFINED = frozenset({sp.zoo, sp.nan, sp.oo, -sp.oo})


class _Refusal(Exception):
    """Why a node is refused; the reader that knows the place turns it into a `FormulaError`."""


# -- building under limits --------------------------------------------------------------------------------------------


def _bits(number: sp.Rational) -> float:
    """log2 of the larger of numerator and denominator."""
    return math.log2(max(abs(int(number.p)), int(number.q)))


def _size(constant: sp.Expr) -> sp.Expr:
    """Absolute value of a number, exact or to a few digits."""
    if constant.is_Rational:
        return abs(constant)
    value = abs(sp.N(constant, 15))
    if not value.is_Number:
        raise _Refusal(f"the size of the number {constant} could not be estimated")
    return value


class _Builder:
    """SymPy's evaluating constructors behind the limits of this module. One builder serves one formula."""

    def __init__(self) -> None:
        self._seen: set[sp.Basic] = set()
        self._bits = 0.0
        self._comparisons = 0

    def build(self, make: Callable[..., Any], *args: Any) -> Any:
        try:
            result = make(*args)
            self._inspect(result)
            if isinstance(result, sp.Expr) and result.is_number and result.is_extended_real is False:
                raise _Refusal(f"{result} is not a real number; formulas are real")
        except _SYMPY_ERRORS as error:
            raise _Refusal(f"SymPy cannot build this part ({type(error).__name__}: {error})") from error
        return result

    def power(self, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        self._bound_power(base, exponent)
        return self.build(sp.Pow, base, exponent)

    def divide(self, numerator: sp.Expr, denominator: sp.Expr) -> sp.Expr:
        if denominator.is_zero:
            raise _Refusal("division by zero")
        return self.build(operator.truediv, numerator, denominator)

    def call(self, entry: _Entry, args: list[sp.Expr]) -> sp.Expr:
        if entry.bounded:
            for arg in args:
                self._bound_argument(arg, MAX_ARGUMENT)
        first = args[0]
        if entry.make is sp.exp:
            self._bound_exponential(first)
        elif entry.make is sp.sqrt:
            self._bound_power(first, sp.S.Half)
        elif entry.make is sp.gamma and first.is_Rational:
            self._bound_argument(first, MAX_DIGITS)  # gamma(n) = (n-1)! has about n digits or more
        elif entry.make is sp.floor:
            for term in sp.Add.make_args(first):  # floor(x + number) computes floor(number)
                self._bound_argument(term, sp.Integer(10) ** MAX_DIGITS)
        elif entry.make in (sp.Max, sp.Min):
            flat = sum(len(arg.args) if arg.func is entry.make else 1 for arg in args)
            self._comparisons += flat * (flat - 1) // 2
            if self._comparisons > MAX_COMPARISONS:
                raise _Refusal(f"Max and Min of too many arguments; at most {MAX_COMPARISONS} pairs may be compared")
        return self.build(entry.make, *args)

    def _bound_argument(self, arg: sp.Expr, bound: Any) -> None:
        if arg.is_number and _size(arg) > bound:
            shown = str(arg) if not arg.is_Rational or _bits(arg) < 100 else "an exact number of many digits"
            raise _Refusal(f"{shown} is too large an argument here; its size may be at most {sp.N(bound, 3)}")

    def _bound_exponential(self, arg: sp.Expr) -> None:
        """exp(k log a) is evaluated by SymPy as a**k, term by term of a sum."""
        for term in sp.Add.make_args(arg):
            self._bound_argument(term, MAX_ARGUMENT)
            for factor in sp.Mul.make_args(term):
                if isinstance(factor, sp.log):
                    self._bound_power(factor.args[0], term / factor)

    def _bound_power(self, base: sp.Expr, exponent: sp.Expr) -> None:
        """SymPy distributes powers over products, (3 x)**n = 3**n x**n, and merges them, (a**b)**e = a**(b e)."""
        if exponent.is_Rational and abs(exponent) > MAX_EXPONENT:
            raise _Refusal(f"an exponent may be at most {MAX_EXPONENT} in size")
        self._bound_argument(exponent, MAX_ARGUMENT)
        if base.is_Mul:
            for factor in base.args:
                self._bound_power(factor, exponent)
        elif base.is_Pow:
            self._bound_power(base.base, base.exp * exponent)
        elif isinstance(base, sp.exp):
            self._bound_exponential(base.args[0] * exponent)
        elif base.is_Rational and exponent.is_Rational and abs(base) != 1:
            bits = _bits(base)
            if bits * abs(exponent) > MAX_DIGITS * _BITS_PER_DIGIT:
                raise _Refusal(f"this power is an exact number of more than {MAX_DIGITS} digits")
            if not exponent.is_Integer and bits > MAX_RADICAND_DIGITS * _BITS_PER_DIGIT:
                raise _Refusal(f"roots are taken of exact numbers of at most {MAX_RADICAND_DIGITS} digits")

    def _inspect(self, expr: sp.Basic) -> None:
        """Check every subexpression not seen before: cost is linear in the formula, not in its depth times its size."""
        stack = [expr]
        while stack:
            part = stack.pop()
            if part in self._seen:
                continue
            self._seen.add(part)
            if part in _UNDEFINED:
                raise _Refusal(f"this part is infinite or undefined (SymPy: {part})")
            if part is sp.I:
                raise _Refusal("this part is not real; formulas are real")
            if len(self._seen) > MAX_NODES:
                raise _Refusal(f"the formula has more than {MAX_NODES} distinct parts")
            if part.is_Rational:
                bits = _bits(part)
                self._bits += bits
                if bits > MAX_DIGITS * _BITS_PER_DIGIT:
                    raise _Refusal(f"this part holds an exact number of more than {MAX_DIGITS} digits")
                if self._bits > MAX_TOTAL_DIGITS * _BITS_PER_DIGIT:
                    raise _Refusal(f"the exact numbers of the formula have more than {MAX_TOTAL_DIGITS} digits in all")
            elif part.is_Pow and part.exp.is_Rational:
                self._bound_power(part.base, part.exp)  # products merge powers: sqrt(2)*sqrt(3) = sqrt(6)
            stack.extend(part.args)


# -- text -> SymPy ----------------------------------------------------------------------------------------------------

_PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ +-*/().,<>=")
_CHARACTER_HINTS = {
    "^": "write ** for a power",
    "[": "write ( and )",
    "]": "write ( and )",
    "{": "write ( and )",
    "}": "write ( and )",
    "!": "write gamma(n + 1) for n!",
    "%": "write a - b*floor(a/b)",
    "&": "nest Piecewise for a conjunction",
    "|": "write abs(...), or nest Piecewise for a disjunction",
    "−": "write the ASCII minus -",
    "–": "write the ASCII minus -",
    "×": "write *",
    "·": "write *",
    "⋅": "write *",
    "÷": "write /",
    "√": "write sqrt(...)",
    "π": "write pi",
    "²": "write **2",
    "³": "write **3",
    "≤": "write <=",
    "≥": "write >=",
    "∞": "infinity is not a number of a formula",
    "Φ": "write Phi(...)",
}
_NODE_NAMES: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("attribute access (a dot after a name)", "write names and functions without dots"),
    ast.IfExp: ("if-else", "write Piecewise((a, condition), (b, True))"),
    ast.BoolOp: ("and/or", "nest Piecewise, or order its pieces"),
    ast.Compare: ("a comparison outside a Piecewise condition", "write Piecewise((a, x < 0), (b, True))"),
    ast.Tuple: ("a comma outside a function call", "write decimals with a point"),
    ast.GeneratorExp: ("a generator", "write the terms out"),
    ast.Starred: ("a starred argument", "write the arguments out"),
}
_COMPARISONS: dict[type[ast.cmpop], str] = {ast.Lt: "Lt", ast.LtE: "Le", ast.Gt: "Gt", ast.GtE: "Ge"}


def _declared(symbols: Iterable[sp.Symbol] | Mapping[str, sp.Symbol]) -> dict[str, sp.Symbol]:
    pairs = symbols.items() if isinstance(symbols, Mapping) else ((symbol.name, symbol) for symbol in symbols)
    named = dict(pairs)
    for name in named:
        if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name:
            raise DomainError(f"symbol name {name!r} cannot be written in a formula; use a plain identifier like 'x1'")
    return named


def _one_line(text: str, names: Iterable[str]) -> str:
    """`text` with every white space as a blank (columns stay), or a refusal of its first foreign character.

    Python maps look-alikes (full-width or mathematical letters) to plain ones before anyone sees the tree,
    so characters are judged here, on the text itself: ASCII of the language, or letters of declared names.
    """
    if not isinstance(text, str):
        raise DomainError(f"a formula is a text, got {type(text).__name__}; SymPy expressions are used as they are")
    if len(text) > MAX_TEXT:
        raise FormulaError(f"the formula has {len(text)} characters; at most {MAX_TEXT} are allowed")
    line = re.sub(r"[\t\n\r]", " ", text)
    allowed = _PLAIN_CHARACTERS.union(*names)
    for column, character in enumerate(line):
        if character in allowed:
            continue
        plain = unicodedata.normalize("NFKC", character)
        hint = _CHARACTER_HINTS.get(character)
        if hint is None and plain != character and set(plain) <= _PLAIN_CHARACTERS:
            hint = f"write the ASCII character {plain!r}"
        shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
        label = unicodedata.name(character, "control character")
        raise FormulaError(
            f"character {shown} ({label.lower()}) is not part of the formula language; "
            f"{hint or 'letters, digits and + - * / ( ) , . < > = are'}",
            text=line if line.isprintable() else "",
            column=column,
        )
    if not line.strip():
        raise FormulaError("the formula is empty; give an expression such as 'x*(1 + erf(x/sqrt(2)))/2'")
    return line


class _Reader:
    """Walks the syntax tree of one formula."""

    def __init__(self, line: str, names: Mapping[str, sp.Symbol]) -> None:
        self.line = line
        self.names = names
        self.indent = len(line) - len(line.lstrip())
        self.body = line.strip()
        self.encoded = self.body.encode()
        self.builder = _Builder()
        self.nodes = 0

    def refuse(self, message: str, node: ast.expr | None = None, column: int | None = None) -> NoReturn:
        if node is not None:
            column = self.indent + len(self.encoded[: node.col_offset].decode())
        raise FormulaError(message, text=self.line, column=column)

    def read(self) -> sp.Expr:
        try:
            tree = ast.parse(self.body, mode="eval")
            return self.expression(tree.body, 0)
        except SyntaxError as error:
            self.refuse_syntax(error)
        except (MemoryError, RecursionError):
            self.refuse(f"the formula is nested too deeply; at most {MAX_DEPTH} levels are allowed")
        except ValueError as error:
            if isinstance(error, FormulaError):
                raise
            self.refuse(f"Python cannot read this formula: {error}")

    def refuse_syntax(self, error: SyntaxError) -> NoReturn:
        column = min(max((error.offset or 1) - 1, 0), len(self.body))
        message = f"not a formula ({error.msg})"
        if re.search(r"(?<![\w.])[0-9.]+ *[A-Za-z]|\w +\w|\) *\w", self.body):
            message += "; write products with *, as in 2*x"
        elif re.search(r"[^<>=]=[^=]", self.body):
            message += "; a formula is an expression, not an equation"
        self.refuse(message, column=self.indent + column)

    def expression(self, node: ast.expr, depth: int) -> sp.Expr:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.refuse(f"the formula has more than {MAX_NODES} operations and operands", node)
        if depth > MAX_DEPTH:
            self.refuse(f"the formula is nested too deeply; at most {MAX_DEPTH} levels are allowed", node)
        try:
            match node:
                case ast.Constant():
                    return self.literal(node)
                case ast.Name():
                    return self.name(node)
                case ast.UnaryOp(op=ast.USub()):
                    return self.builder.build(operator.neg, self.expression(node.operand, depth + 1))
                case ast.UnaryOp(op=ast.UAdd()):
                    return self.expression(node.operand, depth + 1)
                case ast.BinOp():
                    return self.operation(node, depth)
                case ast.Call():
                    return self.call(node, depth)
        except _Refusal as refusal:
            self.refuse(str(refusal), node)
        unknown = (f"the Python construct {type(node).__name__}", "use + - * / ** and function calls")
        what, advice = _NODE_NAMES.get(type(node), unknown)
        self.refuse(f"{what} is not part of the formula language; {advice}", node)

    def literal(self, node: ast.Constant) -> sp.Expr:
        value = node.value
        if isinstance(value, bool):
            self.refuse("True and False stand only in Piecewise conditions", node)
        if isinstance(value, complex):
            self.refuse("imaginary numbers are not allowed; formulas are real", node)
        if not isinstance(value, int | float):
            self.refuse(f"{value!r} is not a number", node)
        source = self.encoded[node.col_offset : node.end_col_offset].decode().lower()
        digits, _, power = source.partition("e")
        if not re.fullmatch(r"[0-9._]+", digits):
            self.refuse(f"{source} is not a decimal number; write products with *, as in 0*x", node)
        if len(digits) > MAX_DIGITS or abs(int(power or 0)) > MAX_DIGITS:
            self.refuse(f"a number may have at most {MAX_DIGITS} digits", node)
        if isinstance(value, float) and value in (float("inf"), 0.0) and digits.strip("0._"):
            self.refuse("this number lies outside the range of floating point (about 1e-323 to 1e308)", node)
        return self.builder.build(sp.Rational, Fraction(source) if isinstance(value, float) else value)

    def name(self, node: ast.Name) -> sp.Expr:
        name = node.id
        if name in self.names:
            return self.names[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in FUNCTION_NAMES:
            self.refuse(f"{name} is a function; write {name}(...)", node)
        known = [*self.names, *_CONSTANTS]
        self.refuse(f"unknown name {name!r}; known are {', '.join(known)}{_nearest(name, known)}", node)

    def operation(self, node: ast.BinOp, depth: int) -> sp.Expr:
        # a + b + c is the tree ((a + b) + c): walk the left spine in a loop, so that a long sum is not "deep".
        spine = [node]
        while isinstance(spine[-1].left, ast.BinOp):
            spine.append(spine[-1].left)
        value = self.expression(spine[-1].left, depth + 1)
        for step in reversed(spine):
            right = self.expression(step.right, depth + 1)
            try:
                value = self.combine(step.op, value, right)
            except _Refusal as refusal:
                self.refuse(str(refusal), step.right)
        return value

    def combine(self, op: ast.operator, left: sp.Expr, right: sp.Expr) -> sp.Expr:
        match op:
            case ast.Add():
                return self.builder.build(operator.add, left, right)
            case ast.Sub():
                return self.builder.build(operator.sub, left, right)
            case ast.Mult():
                return self.builder.build(operator.mul, left, right)
            case ast.Div():
                return self.builder.divide(left, right)
            case ast.Pow():
                return self.builder.power(left, right)
            case ast.FloorDiv():
                raise _Refusal("// is not part of the formula language; write floor(a/b)")
        raise _Refusal(f"the operator {type(op).__name__} is not part of the formula language; use + - * / **")

    def call(self, node: ast.Call, depth: int) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            self.refuse("only named functions can be called; write products with *, as in 2*(x + 1)", node)
        name = node.func.id
        if name not in FUNCTION_NAMES:
            if name in self.names or name in _CONSTANTS:
                self.refuse(f"{name} is not a function; write products with *, as in {name}*(...)", node)
            near = _nearest(name, FUNCTION_NAMES)
            self.refuse(f"unknown function {name!r}; known are {', '.join(FUNCTION_NAMES)}{near}", node)
        if node.keywords:
            self.refuse(f"{name} takes no keyword arguments", node.keywords[0].value)
        if name == "Piecewise":
            return self.piecewise(node, depth)
        args = [self.expression(arg, depth + 1) for arg in node.args]
        if name == "Rational":
            if not (len(args) in (1, 2) and all(arg.is_Rational for arg in args)):
                self.refuse("Rational takes one or two exact numbers, as in Rational(1, 3)", node)
            return self.builder.divide(args[0], args[1]) if len(args) == 2 else args[0]
        entry = _FUNCTIONS[name]
        if not entry.least <= len(args) <= entry.most:
            wanted = str(entry.least) if entry.least == entry.most else f"{entry.least} to {entry.most}"
            self.refuse(f"{name} takes {wanted} argument{'s' * (wanted != '1')}, {len(args)} given", node)
        return self.builder.call(entry, args)

    def piecewise(self, node: ast.Call, depth: int) -> sp.Expr:
        pieces = []
        for pair in node.args:
            if not (isinstance(pair, ast.Tuple) and len(pair.elts) == 2):
                self.refuse("Piecewise takes pairs, as in Piecewise((0, x < 0), (x, True))", pair)
            value, condition = pair.elts
            pieces.append((self.expression(value, depth + 1), self.condition(condition, depth + 1)))
        if not pieces or pieces[-1][1] is not sp.true:
            self.refuse("the last pair of Piecewise must be (value, True), so that every case is covered", node)
        return self.builder.build(sp.Piecewise, *pieces)

    def condition(self, node: ast.expr, depth: int) -> sp.Basic:
        if isinstance(node, ast.Constant) and node.value is True:
            return sp.true
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS):
            self.refuse("a condition is one comparison < <= > >=, or True; order or nest the pieces for more", node)
        left, right = self.expression(node.left, depth + 1), self.expression(node.comparators[0], depth + 1)
        try:
            return self.builder.build(_RELATIONS[_COMPARISONS[type(node.ops[0])]], left, right)
        except _Refusal as refusal:
            self.refuse(str(refusal), node)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def parse(text: str, symbols: Iterable[sp.Symbol] | Mapping[str, sp.Symbol] = (x,)) -> sp.Expr:
    """Read a formula.

    Numbers are exact (``0.1`` is 1/10, ``1e-3`` is 1/1000). Operators are ``+ - * / **``, constants ``pi``
    and ``E``, functions those of `FUNCTION_NAMES`; conditions stand only in
    ``Piecewise((a, x < 0), (b, True))``. ``Heaviside(0)`` is 1/2, as in SymPy.

    Parameters
    ----------
    text
        The formula; white space, line breaks included, separates.
    symbols
        The variables it may use: symbols (by their own names), or a mapping from names to symbols.

    Raises
    ------
    FormulaError
        The text is not in the language, is undefined somewhere (``1/0``), or exceeds a limit of this module.
        Its ``column`` is the 0-based character of the place.

    Examples
    --------
    >>> parse("Piecewise((0, x < 0), (x, True))")
    Piecewise((0, x < 0), (x, True))
    >>> from kernalg.symbols import rho
    >>> parse("exp(2*(rho - 1))", symbols=[rho])
    exp(2*rho - 2)
    """
    names = _declared(symbols)
    return _Reader(_one_line(text, names), names).read()


# -- SymPy <-> JSON ---------------------------------------------------------------------------------------------------

_HEADS = {entry.make.__name__: entry for entry in _FUNCTIONS.values() if isinstance(entry.make, type)}
_HEADS["Heaviside"] = _Entry(sp.Heaviside, 1, 2, bounded=False)  # SymPy keeps H(0) = 1/2 as a second argument
_OUR_SYMBOLS = {symbol.name: symbol for symbol in (x, q1, q2, c, rho)}


def to_json(expr: sp.Basic) -> list[Any]:
    """Tree of lists and strings, such as ``["Add", ["Integer", "1"], ["Symbol", "x"]]``.

    The tree is read back before it is returned, so what is stored is known to be loadable and equal.

    Raises
    ------
    DomainError
        The expression holds something without a place in the format (a Float, a Dummy, a foreign function),
        or exceeds the limits of `from_json`.

    Examples
    --------
    >>> to_json(x / 3)
    ['Mul', ['Rational', '1', '3'], ['Symbol', 'x']]
    """
    tree = _write(sp.sympify(expr, strict=True))
    if from_json(tree) != expr:
        raise InternalError(f"the JSON form of {expr} reads back as a different expression")
    return tree


def _write(part: sp.Basic) -> list[Any]:
    for name, constant in _CONSTANTS.items():
        if part is constant:
            return [name]
    if part is sp.true:
        return ["true"]
    if isinstance(part, sp.Integer):
        return ["Integer", str(part)]
    if isinstance(part, sp.Rational):
        return ["Rational", str(part.p), str(part.q)]
    if type(part) is sp.Symbol:
        if part == _OUR_SYMBOLS.get(part.name):
            return ["Symbol", part.name]
        return ["Symbol", part.name, dict(sorted(part.assumptions0.items()))]
    if isinstance(part, sp.Piecewise):
        return ["Piecewise", *([_write(value), _write(condition)] for value, condition in part.args)]
    for name, relation in (_RELATIONS | _CONNECTIVES).items():
        if type(part) is relation:
            return [name, *map(_write, part.args)]
    name = type(part).__name__
    if type(part) in (sp.Add, sp.Mul, sp.Pow) or (name in _HEADS and type(part) is _HEADS[name].make):
        return [name, *map(_write, part.args)]
    what = f"the {name} {part}"
    advice = "make it exact with exact_number" if isinstance(part, sp.Float) else "rewrite it in functions of the table"
    raise DomainError(f"{what} has no JSON form; allowed are {', '.join(sorted(_HEADS))}; {advice}")


def from_json(tree: Any) -> sp.Expr:
    """The expression a `to_json` tree stands for; the tree may come from anyone.

    Every node is built twice. The evaluated build, by the guarded constructors `parse` uses, refuses what is
    too large or undefined. The verbatim build (``evaluate=False``) is what is returned: evaluation would turn
    a stored ``2*(x + 1)``, as `sympy.factor` makes it, into ``2*x + 2``.

    Raises
    ------
    FormulaError
        The tree is not of the format, or exceeds the limits of this module.

    Examples
    --------
    >>> from_json(["Mul", ["Rational", "1", "3"], ["Symbol", "x"]])
    x/3
    """
    try:
        return _TreeReader().read(tree, 0)[0]
    except _Refusal as refusal:
        raise FormulaError(f"not a formula tree: {refusal}") from refusal
    except RecursionError as error:
        raise FormulaError("not a formula tree: it is nested too deeply") from error


class _TreeReader:
    def __init__(self) -> None:
        self.builder = _Builder()
        self.nodes = 0

    def read(self, tree: Any, depth: int) -> tuple[Any, Any]:
        """The verbatim and the evaluated expression."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Refusal(f"more than {MAX_NODES} nodes")
        if depth > 2 * MAX_DEPTH:
            raise _Refusal(f"more than {2 * MAX_DEPTH} levels")
        if not (isinstance(tree, list | tuple) and tree and isinstance(tree[0], str)):
            raise _Refusal(f"a node is a list that starts with a head such as 'Add', got {str(tree)[:60]!r}")
        head, parts = tree[0], list(tree[1:])
        if head in ("Integer", "Rational"):
            number = self.builder.build(self.number, head, parts)
            return number, number
        if head == "Symbol":
            symbol = self.symbol(parts)
            return symbol, symbol
        if not parts and (head in _CONSTANTS or head == "true"):
            constant = _CONSTANTS.get(head, sp.true)
            return constant, constant
        if head == "Piecewise":
            return self.piecewise(parts, depth)
        return self.operation(head, parts, depth)

    def number(self, head: str, parts: list[Any]) -> sp.Rational:
        count = 1 if head == "Integer" else 2
        if len(parts) != count or not all(isinstance(p, str) and re.fullmatch(r"-?[0-9]+", p) for p in parts):
            raise _Refusal(f"{head} takes {count} integers written as strings")
        if any(len(p) > MAX_DIGITS for p in parts):
            raise _Refusal(f"a number of more than {MAX_DIGITS} digits")
        if count == 2 and int(parts[1]) == 0:
            raise _Refusal("division by zero")
        return sp.Rational(*map(int, parts))

    def symbol(self, parts: list[Any]) -> sp.Symbol:
        if not (len(parts) in (1, 2) and isinstance(parts[0], str) and len(parts[0]) <= 100):
            raise _Refusal("Symbol takes a name of at most 100 characters, and perhaps its assumptions")
        if len(parts) == 1:
            if parts[0] not in _OUR_SYMBOLS:
                raise _Refusal(f"symbol {parts[0]!r} needs its assumptions; without stand {', '.join(_OUR_SYMBOLS)}")
            return _OUR_SYMBOLS[parts[0]]
        name, assumptions = parts
        if not (name.isidentifier() and isinstance(assumptions, dict)):
            raise _Refusal(f"symbol {name!r} is not an identifier with a dictionary of assumptions")
        if not all(key in _assume_defined and isinstance(value, bool) for key, value in assumptions.items()):
            raise _Refusal(f"the assumptions of {name} are not SymPy assumptions with values true or false")
        try:
            return sp.Symbol(name, **assumptions)
        except InconsistentAssumptions as error:
            raise _Refusal(f"the assumptions of {name} contradict each other") from error

    def operation(self, head: str, parts: list[Any], depth: int) -> tuple[Any, Any]:
        pairs = [self.read(part, depth + 1) for part in parts]
        verbatim, evaluated = [p[0] for p in pairs], [p[1] for p in pairs]
        wanted = Boolean if head in _CONNECTIVES else sp.Expr
        if not all(isinstance(value, wanted) for value in verbatim):
            raise _Refusal(f"{head} mixes conditions and values")
        if head in ("Add", "Mul"):
            make = sp.Add if head == "Add" else sp.Mul
            least, most, result = 2, MAX_NODES, lambda: self.builder.build(make, *evaluated)
        elif head == "Pow":
            make, least, most, result = sp.Pow, 2, 2, lambda: self.builder.power(*evaluated)
        elif head in _RELATIONS:
            make = _RELATIONS[head]
            least, most, result = 2, 2, lambda: self.builder.build(make, *evaluated)
        elif head in _CONNECTIVES:
            make = _CONNECTIVES[head]
            least, most, result = 1, MAX_COMPARISONS, lambda: self.builder.build(make, *evaluated)
        elif head in _HEADS:
            entry = _HEADS[head]
            make, least, most, result = entry.make, entry.least, entry.most, lambda: self.builder.call(entry, evaluated)
        else:
            raise _Refusal(f"unknown head {head[:60]!r}{_nearest(head, _HEADS)}")
        if not least <= len(parts) <= most:
            raise _Refusal(f"{head} with {len(parts)} arguments")
        return make(*verbatim, evaluate=False), result()

    def piecewise(self, parts: list[Any], depth: int) -> tuple[Any, Any]:
        verbatim, evaluated = [], []
        for part in parts:
            if not (isinstance(part, list | tuple) and len(part) == 2):
                raise _Refusal("Piecewise takes pairs of a value and a condition")
            value, condition = self.read(part[0], depth + 1), self.read(part[1], depth + 1)
            if not (isinstance(value[0], sp.Expr) and not isinstance(condition[0], sp.Expr)):
                raise _Refusal("a pair of Piecewise is a value and a condition, in this order")
            verbatim.append((value[0], condition[0]))
            evaluated.append((value[1], condition[1]))
        if not parts:
            raise _Refusal("Piecewise without pairs")
        # Not evaluated even for the check: SymPy would try to solve compound conditions.
        check = self.builder.build(lambda *pieces: sp.Piecewise(*pieces, evaluate=False), *evaluated)
        return sp.Piecewise(*verbatim, evaluate=False), check


# -- numbers ----------------------------------------------------------------------------------------------------------


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
            raise FormulaError(f"{name} is not an exact number: {reason}", text=value, column=error.column) from error
    if isinstance(value, sp.Expr):
        if value.has(*_UNDEFINED, sp.I) or (value.is_number and value.is_extended_real is False):
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
    for digits in range(1, libmp.repr_dps(number._prec) + 1):
        text = libmp.to_str(number._mpf_, digits)
        if libmp.from_str(text, number._prec, libmp.round_nearest) == number._mpf_:
            return sp.Rational(Fraction(text))
    raise InternalError(f"no decimal of {libmp.repr_dps(number._prec)} digits rounds to {number}")
