"""SymPy formulas as functions of NumPy arrays, without generated code: for formulas that are used once.

Compiling a formula and its derivatives takes seconds (`kernalg.compiled`); a fit calls them a few thousand times on a
few hundred points, and the loop over operations below costs about a millisecond a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from scipy import special

from kernalg.errors import DomainError
from kernalg.symbols import dawson, normal_cdf

_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    sp.exp: np.exp, sp.log: np.log, sp.sin: np.sin, sp.cos: np.cos, sp.tan: np.tan, sp.sinh: np.sinh, sp.cosh: np.cosh,
    sp.tanh: np.tanh, sp.asin: np.arcsin, sp.acos: np.arccos, sp.atan: np.arctan, sp.asinh: np.arcsinh,
    sp.acosh: np.arccosh, sp.atanh: np.arctanh, sp.erf: special.erf, sp.erfc: special.erfc, sp.erfi: special.erfi,
    sp.Abs: np.abs, sp.sign: np.sign, normal_cdf: special.ndtr, dawson: special.dawsn, sp.gamma: special.gamma,
    sp.sech: lambda v: 1 / np.cosh(v), sp.coth: lambda v: 1 / np.tanh(v),
}  # fmt: skip
_SQUARE_ROOTS = {sp.S.Half: lambda v: np.sqrt(v), -sp.S.Half: lambda v: 1 / np.sqrt(v)}


class ArrayFormula:
    """Several expressions evaluated together, common subexpressions once.

    Parameters
    ----------
    outputs : sequence of sympy.Expr
    symbols : sequence of Symbol
        The arguments, in order: floats or arrays that broadcast.

    Raises
    ------
    DomainError
        An expression holds a function that is not in the table, or another symbol.

    Examples
    --------
    >>> t, a = sp.symbols("t a")
    >>> f = ArrayFormula([sp.exp(a * t), a * t], [t, a])
    >>> f(np.array([0.0, 1.0]), 2.0)
    [array([1.       , 7.3890561]), array([0., 2.])]
    """

    def __init__(self, outputs: Sequence[sp.Expr], symbols: Sequence[sp.Symbol]) -> None:
        self._slots: dict[Any, int] = {s: i for i, s in enumerate(symbols)}
        self._code: list[tuple[Callable[..., Any], tuple[int, ...]]] = []
        self._arguments = len(self._slots)
        self._outputs = [self._slot(sp.S(e)) for e in outputs]

    def __call__(self, *arguments: Any) -> list[Any]:
        values = list(arguments)
        for function, parts in self._code:
            values.append(function(*[values[i] for i in parts]))
        return [values[i] for i in self._outputs]

    def _slot(self, node: sp.Expr) -> int:
        if node not in self._slots:
            function, parts = self._operation(node)
            slots = tuple(self._slot(p) for p in parts)
            self._slots[node] = self._arguments + len(self._code)
            self._code.append((function, slots))
        return self._slots[node]

    def _operation(self, node: sp.Expr) -> tuple[Callable[..., Any], Sequence[sp.Expr]]:
        if node.is_number and not node.free_symbols:
            value = float(node)
            return (lambda: value), ()
        if isinstance(node, sp.Add):
            return (lambda *terms: sum(terms[1:], start=terms[0])), node.args
        if isinstance(node, sp.Mul):
            return _product, node.args
        if isinstance(node, sp.Pow):
            base, exponent = node.args
            if exponent in _SQUARE_ROOTS:
                return _SQUARE_ROOTS[exponent], (base,)
            if exponent.is_Integer:
                n = int(exponent)
                return (lambda v: v * v if n == 2 else np.asarray(v, dtype=float) ** n), (base,)
            return np.power, (base, exponent)
        if isinstance(node, sp.Max | sp.Min):
            choose = np.maximum if isinstance(node, sp.Max) else np.minimum
            return (lambda *values: _reduce(choose, values)), node.args
        if isinstance(node, sp.Heaviside):
            return (lambda v: np.heaviside(v, 0.5)), node.args[:1]
        function = _FUNCTIONS.get(node.func)
        if function is not None:
            return function, node.args
        raise DomainError(f"{node} ({node.func.__name__}) is not evaluated on arrays here; use elementary functions")


def _product(*factors: Any) -> Any:
    return _reduce(lambda a, b: a * b, factors)


def _reduce(operation: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    result = values[0]
    for v in values[1:]:
        result = operation(result, v)
    return result
