"""One formula as a function of arrays: float64 with error bounds, and double-double where they are too large."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp

from kernalg.compiled.cache import load
from kernalg.compiled.gram_source import HEAD, indent, runtime_text
from kernalg.compiled.inputs import FloatArray, real_array
from kernalg.compiled.printers import double_double_lines
from kernalg.compiled.running_error import bounded_lines
from kernalg.compiled.shared import NUDGES, double_double_header
from kernalg.compiled.source import Frozen, freeze
from kernalg.compiled.threads import threads
from kernalg.errors import DomainError

_CHUNK = 2**14
# Relative errors up to which float64 is kept; bivariate normal terms take some 50 microseconds in double-double.
_TOLERANCE, _BIVARIATE_TOLERANCE = 2e-14, 5e-13


def elementwise(expr: sp.Expr, symbols: Sequence[sp.Symbol]) -> Elementwise:
    """`expr` as a float64 function of arrays, one argument a symbol, broadcast against each other.

    The relative error is below 2e-14, and below 5e-13 with bivariate normal terms, also where the formula cancels:
    there the value is computed in double-double, the arguments taken as the exact numbers they are, with an absolute
    error of about 1e-30 times the largest term. NaN where the formula has no real value; a square root of a difference
    that is negative by at most 4 units in the last place is 0.

    Nothing is generated or compiled before the first call.

    Examples
    --------
    >>> import sympy as sp
    >>> t = sp.Symbol("t", real=True)
    >>> f = elementwise((1 - sp.cos(t)) / t**2, [t])
    >>> f([1e-5, 0.1]).round(12).tolist()
    [0.499999999996, 0.499583472197]
    """
    return Elementwise(expr, symbols)


class Elementwise:
    """A compiled formula; made by `elementwise`."""

    def __init__(self, expr: sp.Expr, symbols: Sequence[sp.Symbol]) -> None:
        self.expr = expr
        self.symbols = tuple(symbols)
        self._names = [s.name for s in self.symbols]

    def __repr__(self) -> str:
        return f"elementwise({self.expr}, [{', '.join(self._names)}])"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the formula alone: another process loads the compiled modules from the cache."""
        return Elementwise, (self.expr, self.symbols)

    def __call__(self, *arguments: Any) -> Any:
        """The values, of the broadcast shape; a float64 number when every argument is a number.

        Raises
        ------
        DomainError
            The number of arguments, their types, NaN or infinite entries, shapes that do not broadcast.
        """
        if len(arguments) != len(self._names):
            raise DomainError(
                f"{len(arguments)} arguments given; one for each of {', '.join(self._names)} is needed, in this order"
            )
        arrays = [real_array(a, name) for a, name in zip(arguments, self._names, strict=True)]
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            shapes = ", ".join(f"{name} {a.shape}" for a, name in zip(arrays, self._names, strict=True))
            raise DomainError(f"the shapes do not broadcast: {shapes}; reshape them as for NumPy arithmetic") from None
        out = np.empty(shape)
        # Writeable contiguous copies: what the compiled functions are declared for.
        flat = [np.array(np.broadcast_to(a, shape), order="C").reshape(-1) for a in arrays]
        self._evaluate(flat, out.reshape(-1))
        return out[()]

    def _evaluate(self, flat: list[FloatArray], out: FloatArray) -> None:
        module = self._float64_module

        def work(first: int) -> None:
            part = slice(first, first + _CHUNK)
            pieces = [a[part] for a in flat]
            if module.evaluate(*pieces, out[part]):
                marked = np.flatnonzero(~np.isfinite(out[part]))
                again = np.empty(marked.size)
                self._double_double_module.evaluate(*(a[marked] for a in pieces), again)
                out[part][marked] = again

        with threads(out.size > _CHUNK) as share:
            share(work, range(0, out.size, _CHUNK))

    @property
    def source(self) -> str:
        """Text of the generated float64 module."""
        frozen, given = self._frozen
        lines, ((value, error),) = bounded_lines(frozen, frozen.outputs, given)
        bivariate = any(node.op == "call" and "bivariate" in node.value for node in frozen.nodes)
        limit = 2.0**53 * (_BIVARIATE_TOLERANCE if bivariate else _TOLERANCE)
        kept = f"out[i] = {value} if {error} <= {limit!r} * abs({value}) else nan"
        body = [*self._loads(frozen), *lines, kept]
        body.append("marked += not abs(out[i]) < np.inf")
        return HEAD + runtime_text(frozen) + self._function("int64", ["marked = 0"], body, ["return marked"])

    @cached_property
    def _frozen(self) -> tuple[Frozen, dict[int, str]]:
        frozen = freeze([self.expr], self.symbols)
        given = {i: f"x{self._names.index(node.value)}" for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
        return frozen, given

    @cached_property
    def _float64_module(self) -> ModuleType:
        return load(self.source)

    @cached_property
    def _double_double_module(self) -> ModuleType:
        frozen, given = self._frozen
        lines, (name,) = double_double_lines(frozen, frozen.outputs, given)
        value = indent([*lines, f"return {name}[0]"], 1)
        arguments = ", ".join(given.values())
        loads = self._loads(frozen)
        helper = f'\n\n@njit(error_model="numpy")\ndef value({arguments}, nudge):\n{value}\n'
        pairs = ", ".join(f"({x}, 0.0)" for x in given.values())
        body = [
            *loads,
            f"out[i] = value({pairs}, 0.0)",
            "if not np.isfinite(out[i]):",
            *(f"    near{n} = value({pairs}, {nudge!r})" for n, nudge in enumerate(NUDGES)),
            "    finite = limit(near0, near1)",
            "    out[i] = finite if np.isfinite(finite) else out[i]",
        ]
        return load(double_double_header() + helper + self._function("void", [], body, []))

    def _loads(self, frozen: Frozen) -> list[str]:
        used = {node.value for node in frozen.nodes if node.op == "symbol"}
        return [f"x{n} = a{n}[i]" for n, name in enumerate(self._names) if name in used]

    def _function(self, returned: str, before: list[str], body: list[str], after: list[str]) -> str:
        types = ", ".join(["float64[::1]"] * (len(self._names) + 1))
        arguments = ", ".join([*(f"a{n}" for n in range(len(self._names))), "out"])
        lines = [*before, "for i in range(out.size):", *(f"    {line}" for line in body), *after]
        return (
            f'\n\n@njit("{returned}({types})", error_model="numpy", nogil=True, cache=True)\n'
            f"def evaluate({arguments}):\n{indent(lines, 1)}\n"
        )
