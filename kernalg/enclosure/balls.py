"""SymPy expressions as functions of balls, and the precision loop.

`ball_function` compiles the expression graph once; the result runs on real balls, complex boxes (for rigorous
quadrature) and power series (for Taylor coefficients), at whatever precision is current. `enclose` raises the
precision until the digits asked for are certain.

References: Johansson, *Arb: efficient arbitrary-precision midpoint-radius interval arithmetic* (IEEE Trans. Comput. 66,
2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from flint import acb, arb, arb_series, ctx, fmpq, fmpz

from kernalg.enclosure.arithmetic import TABLE
from kernalg.enclosure.kinds import COMPLEX, REAL, SERIES, Value, kind_of
from kernalg.errors import DomainError, PrecisionError
from kernalg.symbols import bivariate_normal_cdf, dawson, normal_cdf, rectified_moment

_BITS_PER_DIGIT = math.log2(10)


@contextmanager
def precision(bits: int, terms: int | None = None) -> Iterator[None]:
    """Set Arb's working precision for a block, and the length to which power series are kept.

    Parameters
    ----------
    bits : int
        Working precision. It belongs to the operations, not to the values: arithmetic on a 200-bit ball outside the
        block is rounded to python-flint's default of 53 bits (and says so in its radius).
    terms : int, optional
        Series operations inside the block keep this many coefficients (python-flint's own default is 10).

    Examples
    --------
    >>> from flint import arb
    >>> with precision(200):
    ...     print(arb(2).sqrt().str(20, radius=False))
    1.4142135623730950488
    """
    old_bits, old_terms = ctx.prec, ctx.cap
    ctx.prec = int(bits)
    if terms is not None:
        ctx.cap = int(terms)
    try:
        yield
    finally:
        ctx.prec, ctx.cap = old_bits, old_terms


def bits_for(digits: int) -> int:
    """Working bits that hold `digits` decimals, with 32 to spare."""
    return math.ceil(digits * _BITS_PER_DIGIT) + 32


def negligible(digits: int) -> arb:
    """The radius 10^-(2 digits + 50): a ball that contains 0 and is this narrow is taken for the number 0.

    No finite computation tells 0 from a number that is smaller than every precision tried; this is the line drawn.
    """
    return arb(10) ** -(2 * digits + 50)


def check_digits(digits: Any) -> int:
    """`digits` as an int; DomainError unless 1 <= digits <= 10000."""
    if isinstance(digits, bool) or not isinstance(digits, (int, np.integer, sp.Integer)) or not 1 <= digits <= 10_000:
        raise DomainError(f"digits={digits!r}: the number of decimal digits is an integer from 1 to 10000.")
    return int(digits)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def _exact_binary(number: mpmath.mpf) -> arb:
    sign, mantissa, exponent, _ = number._mpf_
    return arb((fmpz(-int(mantissa) if sign else int(mantissa)), fmpz(int(exponent))))


def ball(number: Any) -> arb:
    """The enclosure of an exact number at the current precision.

    Parameters
    ----------
    number : int, float, Fraction, mpf, arb, fmpq or SymPy number
        A binary floating-point number stands for its exact binary value (the rest of the library makes parameters
        exact decimals before they get here). SymPy constants such as ``sqrt(2)*pi`` are enclosed.

    Raises
    ------
    DomainError
        For infinities, NaN, complex numbers and anything that is not a number.

    Examples
    --------
    >>> import sympy as sp
    >>> with precision(100):
    ...     print(ball(sp.Rational(1, 3)).str(12, radius=False), ball(0.5))
    0.333333333333 0.50000000000000000000000000000
    """
    if isinstance(number, arb):
        return number
    if isinstance(number, bool):
        raise DomainError(f"{number!r} is a truth value, not a number.")
    if isinstance(number, (int, np.integer)):
        return arb(int(number))
    if isinstance(number, (Fraction, sp.Rational)):
        return arb(fmpq(int(number.numerator), int(number.denominator)))
    if isinstance(number, (fmpz, fmpq)):
        return arb(number)
    if isinstance(number, (float, np.floating)):
        if math.isfinite(number):
            return arb(float(number))
    elif isinstance(number, (mpmath.mpf, sp.Float)):
        if mpmath.isfinite(mpmath.mp.make_mpf(number._mpf_)):
            return _exact_binary(number)
    elif isinstance(number, sp.Expr) and not number.free_symbols:
        return ball_function(number, ())()
    raise DomainError(f"{number!r} is not a finite real number; give an int, a Fraction, a float or a SymPy number.")


def to_float(value: arb, digits: int) -> sp.Float:
    """The midpoint as a SymPy Float of `digits` decimals, all of them certain.

    A ball that contains 0 and is `negligible` gives 0.

    Raises
    ------
    PrecisionError
        If the radius leaves fewer certain digits than asked.
    """
    digits = check_digits(digits)
    bits = mpmath.libmp.dps_to_prec(digits)
    with precision(bits_for(digits)):
        if value.contains(0) and value.abs_upper() <= negligible(digits):
            return sp.Float(0, precision=bits)
        if not has_digits(value, digits):
            raise PrecisionError(
                f"{value.str(20)} has {certain_digits(value)} certain digits, {digits} were asked; "
                "enclose it at a higher precision first."
            )
        mantissa, exponent = value.mid().man_exp()
    return sp.Float(mpmath.mp.make_mpf(mpmath.libmp.from_man_exp(int(mantissa), int(exponent))), precision=bits)


def has_digits(value: arb, digits: int) -> bool:
    """Whether the relative radius is at most 10^-digits (an exact value has every digit)."""
    if not value.is_finite():
        return False
    return bool(value.is_exact()) or bool(value.rad() * arb(10) ** digits <= value.abs_lower())


def certain_digits(value: arb) -> int:
    """Number of decimals the relative radius leaves certain (0 for a ball that contains 0 or is not finite)."""
    return max(0, int(value.rel_accuracy_bits() / _BITS_PER_DIGIT)) if value.is_finite() else 0


# ---------------------------------------------------------------------------------------------------------------------
# Expressions

_SAME_NAME: dict[Any, str] = {
    sp.Add: "Add", sp.Mul: "Mul", sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan",
    sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asin: "asin", sp.acos: "acos", sp.atan: "atan",
    sp.atan2: "atan2", sp.erf: "erf", sp.erfc: "erfc", sp.erfi: "erfi", sp.gamma: "gamma", sp.Abs: "Abs",
    sp.sign: "sign", sp.Max: "Max", sp.Min: "Min", normal_cdf: "normal_cdf",
    bivariate_normal_cdf: "bivariate_normal_cdf", rectified_moment: "rectified_moment", dawson: "dawson",
    sp.And: "And", sp.Or: "Or", sp.Not: "Not", sp.Eq: "equal", sp.Lt: "less", sp.Le: "less_equal",
}  # fmt: skip
_CONSTANTS: dict[Any, Callable[[], arb]] = {
    sp.pi: arb.pi,
    sp.E: arb.const_e,
    sp.EulerGamma: arb.const_euler,
    sp.Catalan: arb.const_catalan,
}
# Spelt through functions of the table.
_REWRITTEN: dict[Any, Any] = {
    sp.asinh: sp.log, sp.acosh: sp.log, sp.atanh: sp.log, sp.coth: sp.tanh, sp.sech: sp.cosh, sp.csch: sp.sinh,
    sp.cot: sp.tan, sp.sec: sp.cos, sp.csc: sp.sin,
}  # fmt: skip


class _Compiler:
    """Expression graph -> list of (name, argument slots, extra argument), each distinct subexpression once."""

    def __init__(self, symbols: Sequence[sp.Symbol], inside_halves: bool) -> None:
        self.inside_halves = inside_halves
        self.slots: dict[Any, int] = {}
        self.code: list[tuple[Any, tuple[int, ...], tuple[Any, ...]] | None] = []
        for s in symbols:
            self._new(s, None)

    def _new(self, key: Any, step: Any) -> int:
        self.slots[key] = len(self.code)
        self.code.append(step)
        return self.slots[key]

    def add(self, root: Any) -> int:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.slots:
                stack.pop()
                continue
            name, parts, extra = self._step(node)
            missing = [p for p in parts if p not in self.slots]
            if missing:
                stack.extend(missing)
            else:
                self._new(node, (name, tuple(self.slots[p] for p in parts), extra))
                stack.pop()
        return self.slots[root]

    def _step(self, node: Any) -> tuple[Any, list[Any], tuple[Any, ...]]:
        if isinstance(node, tuple):  # ("halves", F): a complex F, of which formulas take re and im
            symbols = sorted(node[1].free_symbols, key=str)
            return "halves", symbols, (BallFunction(node[1], symbols, inside_halves=True),)
        if node is sp.I and self.inside_halves:
            return (lambda: acb(0, 1)), [], ()
        if isinstance(node, (sp.re, sp.im)):
            return ("first" if isinstance(node, sp.re) else "second"), [("halves", node.args[0])], ()
        if node in (sp.true, sp.false):
            return (lambda: bool(node)), [], ()
        if isinstance(node, (sp.Rational, sp.Float)) and node.is_finite:
            return (lambda: ball(node)), [], ()
        if node in _CONSTANTS:
            return _CONSTANTS[node], [], ()
        name = _SAME_NAME.get(node.func)
        if name is not None:
            return name, list(node.args), ()
        if isinstance(node, sp.Pow):
            return self._power(*node.args)
        if isinstance(node, sp.hyper) and (len(node.ap), len(node.bq)) == (2, 1):
            return "hypergeometric_2f1", [*node.ap, *node.bq, node.argument], ()
        if isinstance(node, sp.Piecewise):
            return "Piecewise", [part for pair in node.args for part in pair.args], ()
        if isinstance(node, sp.Heaviside) and node.args[1:] in ((), (sp.S.Half,)):
            return "Heaviside", [node.args[0]], ()
        if isinstance(node, (sp.Gt, sp.Ge)):
            return ("less" if isinstance(node, sp.Gt) else "less_equal"), [node.rhs, node.lhs], ()
        if isinstance(node, sp.Ne):
            return "Not", [sp.Eq(node.lhs, node.rhs, evaluate=False)], ()
        target = _REWRITTEN.get(node.func)
        if target is not None and (other := node.rewrite(target)) != node:
            return "Add", [other], ()
        if isinstance(node, sp.Symbol):
            raise DomainError(f"The symbol {node} has no value; declare it among the symbols or substitute a number.")
        raise DomainError(f"{node} ({node.func.__name__}) has no enclosure; use elementary functions, erf, gamma.")

    def _power(self, base: Any, exponent: Any) -> tuple[Any, list[Any], tuple[Any, ...]]:
        if exponent.is_Integer:
            return "integer_power", [base], (int(exponent),)
        if exponent == sp.S.Half:
            return "sqrt", [base], ()
        if exponent.is_Rational and exponent.q == 2:
            return "integer_power", [sp.sqrt(base)], (int(exponent.p),)
        if exponent.is_Rational:
            return "rational_power", [base], (fmpq(int(exponent.p), int(exponent.q)),)
        return "general_power", [base, exponent], ()


class BallFunction:
    """A compiled expression: call it with arb, acb or arb_series values in the order of `symbols`.

    Attributes
    ----------
    symbols : tuple of Symbol
        The order of the arguments.
    """

    __slots__ = ("_code", "_constant", "_constants", "_root", "symbols")

    def __init__(self, expr: Any, symbols: Sequence[sp.Symbol], *, inside_halves: bool = False) -> None:
        self.symbols = tuple(symbols)
        compiler = _Compiler(self.symbols, inside_halves)
        self._root = compiler.add(sp.S(expr))
        self._code = compiler.code
        self._constant: list[bool] = []
        for step in self._code:
            self._constant.append(step is not None and all(self._constant[i] for i in step[1]))
        self._constants: dict[int, list[Value]] = {}

    def _constant_values(self) -> list[Value]:
        """The values of the constant subexpressions at the current precision, computed once."""
        bits = ctx.prec
        values = self._constants.get(bits)
        if values is None:
            values = [None] * len(self._code)
            self._run(values, [i for i, constant in enumerate(self._constant) if constant], REAL, False)
            self._constants[bits] = values
        return values

    def _run(self, values: list[Value], slots: Sequence[int], kind: str, analytic: bool) -> None:
        for i in slots:
            step = self._code[i]
            if step is None:
                continue
            name, parts, extra = step
            if callable(name):
                values[i] = name()
                continue
            arguments = [values[j] for j in parts]
            # Cases may choose between real constants by a condition on a complex box or a series.
            own_kind = kind if name in ("Piecewise", "halves") else kind_of(*arguments)
            values[i] = TABLE[name](own_kind, analytic, *arguments, *extra)

    def __call__(self, *values: Value, analytic: bool = False) -> Value:
        if len(values) != len(self.symbols):
            raise DomainError(f"{len(values)} values for the {len(self.symbols)} symbols {self.symbols}.")
        workspace = list(self._constant_values())
        workspace[: len(values)] = values
        slots = [i for i, constant in enumerate(self._constant) if not constant]
        kind = kind_of(*values)
        if kind == SERIES:
            terms = max(v.prec for v in values if isinstance(v, arb_series))
            with precision(ctx.prec, max(terms, ctx.cap)):
                self._run(workspace, slots, kind, analytic)
            result = workspace[self._root]
            return result if isinstance(result, arb_series) else arb_series([result], prec=terms)
        self._run(workspace, slots, kind, analytic)
        result = workspace[self._root]
        return acb(result) if kind == COMPLEX and not isinstance(result, acb) else result


def ball_function(expr: Any, symbols: Sequence[sp.Symbol]) -> BallFunction:
    """Compile a SymPy expression into a function of balls.

    Every distinct subexpression is evaluated once a call, constants once a precision. The arguments may be `arb`,
    `acb` (with `analytic=True` the answer is finite only where the function is analytic on the whole box) or
    `arb_series` mixed with `arb`; the answer has the same kind. The function is read as a real function on its
    domain: see `kernalg.enclosure.arithmetic` for what is done at the domain's boundary.

    Parameters
    ----------
    expr : sympy.Expr
        Elementary real functions, `normal_cdf`, `bivariate_normal_cdf`, `Piecewise`; `re` and `im` of complex ones.
    symbols : sequence of Symbol
        The arguments, in order.

    Raises
    ------
    DomainError
        If the expression holds a function or symbol without an enclosure.

    Examples
    --------
    >>> import sympy as sp
    >>> from flint import arb
    >>> t = sp.Symbol("t")
    >>> f = ball_function(sp.sqrt(1 - t**2) + t * sp.acos(t), [t])
    >>> with precision(100):
    ...     print(f(arb(0)), f(arb(1)))
    1.0000000000000000000000000000 0
    """
    return BallFunction(expr, symbols)


def enclose(
    function: sp.Expr | Callable[..., arb], values: Mapping[sp.Symbol, Any] | Sequence[Any] = (), digits: int = 15
) -> arb:
    """A ball of relative radius at most 10^-digits around the value.

    The precision is doubled until the radius is small enough. A result whose balls keep containing 0 is returned once
    it is `negligible` (within 10^-(2 digits + 50) of 0): such a value is called zero.

    Parameters
    ----------
    function : sympy.Expr, BallFunction or callable of arbs
        What to evaluate.
    values : mapping from Symbol to number, or sequence of numbers
        Exact numbers (see `ball`), enclosed anew at each precision. A mapping for an expression or `BallFunction`; a
        sequence, in order, for any other callable.
    digits : int
        Certain decimals asked for.

    Raises
    ------
    PrecisionError
        If the digits are not reached at 64 times the first precision; the message says what was.

    Examples
    --------
    >>> import sympy as sp
    >>> t = sp.Symbol("t")
    >>> enclose(sp.exp(t), {t: 1}, 30).str(30, radius=False)
    '2.71828182845904523536028747135'
    """
    digits = check_digits(digits)
    if isinstance(function, sp.Basic):
        if not isinstance(values, Mapping):
            raise DomainError("An expression needs its values as a mapping {symbol: number}.")
        function = ball_function(function, tuple(values))
    if isinstance(values, Mapping):
        if not isinstance(function, BallFunction):
            raise DomainError("A plain callable needs its values as a sequence, in the order of its arguments.")
        missing = [s for s in function.symbols if s not in values]
        if missing:
            raise DomainError(f"No value was given for {missing}.")
        numbers = [values[s] for s in function.symbols]
    else:
        numbers = list(values)
    result = arb.nan()
    bits = bits_for(digits)
    for attempt in range(7):
        with precision(bits << attempt):
            result = function(*(ball(v) for v in numbers))
            if has_digits(result, digits) or (result.contains(0) and result.abs_upper() <= negligible(digits)):
                return result
    raise PrecisionError(
        f"{digits} digits were asked and {certain_digits(result)} reached at {bits << 6} bits (enclosure "
        f"{result.str(10)}). The point may lie outside the function's domain or on a jump of it."
    )
