"""SymPy <-> JSON: trees of whitelisted heads, such as ``["Add", ["Integer", "1"], ["Symbol", "x"]]``."""

from __future__ import annotations

import re
from typing import Any

import sympy as sp
from sympy.core.assumptions import _assume_defined
from sympy.core.facts import InconsistentAssumptions

from kernalg.errors import DomainError, FormulaError, InternalError
from kernalg.formula.builder import MAX_DEPTH, MAX_DIGITS, MAX_NODES, Builder, Refusal
from kernalg.formula.vocabulary import CONSTANTS, FUNCTIONS, RELATIONS, Entry, nearest
from kernalg.symbols import c, q1, q2, rho, x

_HEADS = {entry.make.__name__: entry for entry in FUNCTIONS.values() if isinstance(entry.make, type)}
_HEADS |= {
    "Heaviside": Entry(sp.Heaviside, 1, 2, bounded=False),  # SymPy keeps H(0) = 1/2 as a second argument
    "Add": Entry(sp.Add, 2, MAX_NODES, bounded=False),
    "Mul": Entry(sp.Mul, 2, MAX_NODES, bounded=False),
    "Pow": Entry(sp.Pow, 2, 2, bounded=False),
}
_HEADS |= {name: Entry(make, 2, 2, bounded=False) for name, make in RELATIONS.items()}
_HEADS |= {name: Entry(make, 2, MAX_NODES, bounded=False) for name, make in {"And": sp.And, "Or": sp.Or}.items()}
_CONNECTIVES = ("And", "Or")  # SymPy makes them when it merges the pieces of a Piecewise
_HEAD_OF = {entry.make: head for head, entry in _HEADS.items()}
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
    if not isinstance(expr, sp.Basic):
        raise DomainError(f"only SymPy expressions have a JSON form, got {type(expr).__name__}; see exact_number")
    tree = _write(expr)
    if from_json(tree) != expr:
        raise InternalError(f"the JSON form of {expr} reads back as a different expression")
    return tree


def _write(part: sp.Basic) -> list[Any]:
    for name, constant in CONSTANTS.items():
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
    head = _HEAD_OF.get(type(part))
    if head is not None:
        return [head, *map(_write, part.args)]
    name = type(part).__name__
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
    except Refusal as refusal:
        raise FormulaError(f"not a formula tree: {refusal}") from refusal
    except RecursionError as error:
        raise FormulaError("not a formula tree: it is nested too deeply") from error


class _TreeReader:
    def __init__(self) -> None:
        self.builder = Builder()
        self.nodes = 0

    def read(self, tree: Any, depth: int) -> tuple[Any, Any]:
        """The verbatim and the evaluated expression."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Refusal(f"more than {MAX_NODES} nodes")
        if depth > 2 * MAX_DEPTH:
            raise Refusal(f"more than {2 * MAX_DEPTH} levels")
        if not (isinstance(tree, list | tuple) and tree and isinstance(tree[0], str)):
            raise Refusal(f"a node is a list that starts with a head such as 'Add', got {type(tree).__name__}")
        head, parts = tree[0], list(tree[1:])
        if head in ("Integer", "Rational"):
            number = self.builder.build(self.number, head, parts)
            return number, number
        if head == "Symbol":
            symbol = self.symbol(parts)
            return symbol, symbol
        if not parts and (head in CONSTANTS or head == "true"):
            constant = CONSTANTS.get(head, sp.true)
            return constant, constant
        if head == "Piecewise":
            return self.piecewise(parts, depth)
        return self.operation(head, parts, depth)

    def number(self, head: str, parts: list[Any]) -> sp.Rational:
        count = 1 if head == "Integer" else 2
        if len(parts) != count or not all(isinstance(p, str) and re.fullmatch(r"-?[0-9]+", p) for p in parts):
            raise Refusal(f"{head} takes {count} integers written as strings")
        if any(len(p) > MAX_DIGITS for p in parts):
            raise Refusal(f"a number of more than {MAX_DIGITS} digits")
        if count == 2 and int(parts[1]) == 0:
            raise Refusal("division by zero")
        return sp.Rational(*map(int, parts))

    def symbol(self, parts: list[Any]) -> sp.Symbol:
        if not (len(parts) in (1, 2) and isinstance(parts[0], str) and len(parts[0]) <= 100):
            raise Refusal("Symbol takes a name of at most 100 characters, and perhaps its assumptions")
        if len(parts) == 1:
            if parts[0] not in _OUR_SYMBOLS:
                raise Refusal(f"symbol {parts[0]!r} needs its assumptions; without stand {', '.join(_OUR_SYMBOLS)}")
            return _OUR_SYMBOLS[parts[0]]
        name, assumptions = parts
        if not (name.isidentifier() and isinstance(assumptions, dict)):
            raise Refusal(f"symbol {name!r} is not an identifier with a dictionary of assumptions")
        if not all(key in _assume_defined and isinstance(value, bool) for key, value in assumptions.items()):
            raise Refusal(f"the assumptions of {name} are not SymPy assumptions with values true or false")
        try:
            return sp.Symbol(name, **assumptions)
        except InconsistentAssumptions as error:
            raise Refusal(f"the assumptions of {name} contradict each other") from error

    def operation(self, head: str, parts: list[Any], depth: int) -> tuple[Any, Any]:
        pairs = [self.read(part, depth + 1) for part in parts]
        verbatim, evaluated = [p[0] for p in pairs], [p[1] for p in pairs]
        if any(isinstance(value, sp.Expr) is (head in _CONNECTIVES) for value in verbatim):
            raise Refusal(f"{head} mixes conditions and values")
        if head not in _HEADS:
            raise Refusal(f"unknown head {head[:60]!r}{nearest(head, _HEADS)}")
        entry = _HEADS[head]
        if not entry.least <= len(parts) <= entry.most:
            raise Refusal(f"{head} with {len(parts)} arguments")
        checked = self.builder.power(*evaluated) if head == "Pow" else self.builder.call(entry, evaluated)
        return self.builder.build(lambda: entry.make(*verbatim, evaluate=False)), checked

    def piecewise(self, parts: list[Any], depth: int) -> tuple[Any, Any]:
        verbatim, evaluated = [], []
        for part in parts:
            if not (isinstance(part, list | tuple) and len(part) == 2):
                raise Refusal("Piecewise takes pairs of a value and a condition")
            value, condition = self.read(part[0], depth + 1), self.read(part[1], depth + 1)
            if not (isinstance(value[0], sp.Expr) and not isinstance(condition[0], sp.Expr)):
                raise Refusal("a pair of Piecewise is a value and a condition, in this order")
            if condition[0].has(sp.Piecewise):
                raise Refusal("a condition that contains Piecewise")
            verbatim.append((value[0], condition[0]))
            evaluated.append((value[1], condition[1]))
        if not parts:
            raise Refusal("Piecewise without pairs")
        # Not evaluated even for the check: SymPy would try to solve compound conditions.
        check = self.builder.build(lambda *pieces: sp.Piecewise(*pieces, evaluate=False), *evaluated)
        return sp.Piecewise(*verbatim, evaluate=False), check
