"""Text -> SymPy by a whitelist over Python's syntax tree."""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NoReturn

import sympy as sp

from kernalg.errors import DomainError, FormulaError
from kernalg.formula.builder import MAX_DEPTH, MAX_DIGITS, MAX_NODES, Builder, Refusal
from kernalg.formula.vocabulary import CONSTANTS, FUNCTION_NAMES, FUNCTIONS, RELATIONS, nearest
from kernalg.symbols import x

MAX_TEXT = 20_000  # characters of a formula

_PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ +-*/^().,<>=")
_CHARACTER_HINTS = {
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
    named: dict[str, sp.Symbol] = (
        dict(symbols) if isinstance(symbols, Mapping) else {symbol.name: symbol for symbol in list(symbols)}
    )
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
            f"{hint or 'letters, digits and + - * / ^ ( ) , . < > = are'}",
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
        stripped = line.strip()
        # "x^2" means x**2, as in most of mathematics; Python's own ^ binds otherwise, so the text is rewritten.
        self.origin = [i for i, character in enumerate(stripped) for _ in range(1 + (character == "^"))]
        self.names = names
        self.indent = len(line) - len(line.lstrip())
        self.body = stripped.replace("^", "**")
        self.encoded = self.body.encode()
        self.builder = Builder()
        self.nodes = 0

    def refuse(self, message: str, node: ast.expr | None = None, column: int | None = None) -> NoReturn:
        if node is not None:
            column = self._column(len(self.encoded[: node.col_offset].decode()))
        raise FormulaError(message, text=self.line, column=column) from None  # the message says it all

    def _column(self, position: int) -> int:
        """Column in the text as it was given, of a position in `body`."""
        return self.indent + (self.origin[position] if position < len(self.origin) else len(self.line.strip()))

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
        self.refuse(message, column=self._column(column))

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
        except Refusal as refusal:
            self.refuse(str(refusal), node)
        unknown = (
            f"the Python construct {type(getattr(node, 'op', node)).__name__}",
            "use + - * / ** and function calls",
        )
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
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTION_NAMES:
            self.refuse(f"{name} is a function; write {name}(...)", node)
        known = [*self.names, *CONSTANTS]
        self.refuse(f"unknown name {name!r}; known are {', '.join(known)}{nearest(name, known)}", node)

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
            except Refusal as refusal:
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
                raise Refusal("// is not part of the formula language; write floor(a/b)")
        raise Refusal(f"the operator {type(op).__name__} is not part of the formula language; use + - * / **")

    def call(self, node: ast.Call, depth: int) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            self.refuse("only named functions can be called; write products with *, as in 2*(x + 1)", node)
        name = node.func.id
        if name not in FUNCTION_NAMES:
            if name in self.names or name in CONSTANTS:
                self.refuse(f"{name} is not a function; write products with *, as in {name}*(...)", node)
            near = nearest(name, FUNCTION_NAMES)
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
        entry = FUNCTIONS[name]
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
        if left.has(sp.Piecewise) or right.has(sp.Piecewise):  # SymPy would answer with nested if-then-else conditions
            self.refuse("a condition cannot contain Piecewise; compare the pieces one by one", node)
        try:
            return self.builder.build(RELATIONS[_COMPARISONS[type(node.ops[0])]], left, right)
        except Refusal as refusal:
            self.refuse(str(refusal), node)


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
