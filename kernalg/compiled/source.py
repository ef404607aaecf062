"""SymPy expressions frozen to straight-line code: one list of operations, shared by every arithmetic.

`freeze` is the only door: it accepts real expressions built from a fixed list of functions and shares every
common subexpression. `printers` writes the result as float64 or double-double statements.

Two rewrites keep cancellation small and the inverse sine well conditioned at its ends:

    P - S**2        =  (sqrt(P) - S) * (sqrt(P) + S)
    asin(S/sqrt(P)) =  atan2(S, sqrt(P - S**2))

Such a difference is an operation of its own, `gap`, and its root another, `leg` (of a right triangle). Exponentials are
joined to what they multiply where that may be small (hyperbolic functions, normal distribution functions: `rewrites`),
and exp(A) - 1 and log(1 + A) have functions of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp
from sympy.core.relational import Relational

from kernalg.compiled.rewrites import exponential_minus_one, quadrant, rational
from kernalg.errors import DomainError, NoClosedForm
from kernalg.symbols import bivariate_normal_cdf, normal_cdf, rectified_moment

# Functions of one or several arguments that both arithmetics have, under one name.
_FUNCTIONS: dict[Any, str] = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.atan2: "atan2",
    normal_cdf: "normal_cdf",
}
_NONNEGATIVE_CALLS = frozenset({"exp", "cosh", "erfc", "normal_cdf", "bivariate_normal_cdf", "abs"})
# f(x) depends on the absolute error of x, so a sum under f is allowed to be small beside 1.
_ABSOLUTE_ARGUMENT = frozenset({"exp", "cos", "cosh", "normal_cdf", "erfc"})
_COMPARISONS = {sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "==", sp.Ne: "!="}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; `args` are indices of earlier nodes.

    ==========  =====================================================================
    op          value
    ==========  =====================================================================
    number      the exact SymPy number
    symbol      its name
    add         the signs of the terms, a tuple of +1 and -1
    gap, leg    None; m**2 - n**2 and its root, for args (m, n) with m >= 0
    mul, div, sqrt, maximum, minimum, sign, heaviside     None
    moment      (n, m), n >= m: E[u_+^n v_+^m] / sqrt(q1)**(n - m), for args (c, s, leg)
                with s = sqrt(q1 q2) and leg = sqrt(s**2 - c**2)
    call        the function's name
    select      the comparison: args are (left, right, value if true, value if false)
    ==========  =====================================================================
    """

    op: str
    args: tuple[int, ...] = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    """Straight-line program: `nodes` in order of evaluation and the indices of the `outputs`.

    `floors[i]` belongs to the sum at node i: 0 asks for relative accuracy, 1 for accuracy relative to
    max(1, |sum|), a name for accuracy relative to the caller's scale of that name.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    symbols: tuple[str, ...]
    nonnegative: tuple[bool, ...]
    floors: Mapping[int, int | str]

    def symbols_of(self) -> list[frozenset[str]]:
        """For every node, the symbols it depends on."""
        found: list[frozenset[str]] = []
        for node in self.nodes:
            own = frozenset([node.value]) if node.op == "symbol" else frozenset[str]()
            found.append(own.union(*(found[i] for i in node.args)))
        return found


def freeze(
    expressions: Sequence[sp.Expr], symbols: Sequence[sp.Symbol], *, output_floors: Sequence[int | str] | None = None
) -> Frozen:
    """Freeze `expressions` in `symbols` to one straight-line program that shares common subexpressions.

    Parameters
    ----------
    expressions
        Real SymPy expressions.
    symbols
        The symbols allowed in them; their assumptions (positive, real) are trusted.
    output_floors
        For each output that is itself a sum, the scale its error is measured against (see `Frozen.floors`).

    Raises
    ------
    NoClosedForm
        An expression contains a function outside the list; the message names it.
    DomainError
        A symbol that is not in `symbols`, or a number that is not real and finite.

    Examples
    --------
    >>> import sympy as sp
    >>> t = sp.Symbol("t", real=True)
    >>> [node.op for node in freeze([sp.exp(t) * sp.cos(t)], [t]).nodes]
    ['symbol', 'call', 'call', 'mul']
    """
    builder = _Builder(symbols)
    floors = list(output_floors) if output_floors is not None else [0] * len(expressions)
    outputs = tuple(builder.build(sp.sympify(e, strict=True), f) for e, f in zip(expressions, floors, strict=True))
    return Frozen(
        tuple(builder.nodes), outputs, tuple(s.name for s in symbols), tuple(builder.nonnegative), dict(builder.floors)
    )


class _Builder:
    """Hash-consing construction of the nodes."""

    def __init__(self, symbols: Sequence[sp.Symbol]) -> None:
        self.symbols = {s: s.name for s in symbols}
        self.nodes: list[Node] = []
        self.nonnegative: list[bool] = []
        self.floors: dict[int, int | str] = {}
        self._index: dict[Node, int] = {}
        self._memo: dict[sp.Expr, int] = {}
        self._depends: list[frozenset[str]] = []

    # -- nodes ----------------------------------------------------------------------------------

    def node(self, op: str, *args: int, value: Any = None, nonnegative: bool = False) -> int:
        made = Node(op, args, value)
        if made not in self._index:
            self._index[made] = len(self.nodes)
            self.nodes.append(made)
            self.nonnegative.append(nonnegative)
            own = frozenset([value]) if op == "symbol" else frozenset[str]()
            self._depends.append(own.union(*(self._depends[i] for i in args)))
        return self._index[made]

    def number(self, value: sp.Expr) -> int:
        return self.node("number", value=value, nonnegative=number_value(value) >= 0)

    def add(self, terms: Sequence[tuple[int, int]], floor: int | str = 0) -> int:
        """Sum of sign * node."""
        if len(terms) == 1 and terms[0][0] == 1:
            return terms[0][1]
        signs, args = tuple(s for s, _ in terms), tuple(i for _, i in terms)
        positive = all(s > 0 and self.nonnegative[i] for s, i in terms)
        made = self.node("add", *args, value=signs, nonnegative=positive)
        self._set_floor(made, floor)
        return made

    def _set_floor(self, i: int, floor: int | str) -> None:
        if self.nodes[i].op == "add":
            self.floors[i] = floor if self.floors.get(i, floor) == floor else 0

    def mul(self, factors: Iterable[int]) -> int:
        """Product; factors in the same single symbol are multiplied together first.

        That puts whatever depends on one row only into a node of its own, which the Gram code computes
        once per row.
        """
        groups: dict[tuple[str, ...], list[int]] = {}
        for i in sorted(factors):
            key = tuple(self._depends[i]) if len(self._depends[i]) == 1 else ()
            groups.setdefault(key, []).append(i)
        rest = groups.pop((), [])
        parts = [self._product(groups[key]) for key in sorted(groups)]
        return self._product(parts + rest) if parts or rest else self.number(sp.S.One)

    def _product(self, factors: Sequence[int]) -> int:
        if len(factors) == 1:
            return factors[0]
        ordered = sorted(factors)
        square = len(ordered) == 2 and ordered[0] == ordered[1]
        return self.node("mul", *ordered, nonnegative=square or all(self.nonnegative[i] for i in ordered))

    def power(self, base: int, n: int) -> int:
        if n == 1:
            return base
        half = self.power(base, n // 2)
        squared = self._product([half, half])
        return self._product([squared, base]) if n % 2 else squared

    def sqrt(self, i: int) -> int:
        return self.node("sqrt", i, nonnegative=True)

    def leg(self, m: int, n: int) -> int:
        return self.node("leg", m, n, nonnegative=True)

    def divide(self, num: int, den: int) -> int:
        return self.node("div", num, den, nonnegative=self.nonnegative[num] and self.nonnegative[den])

    # -- expressions ----------------------------------------------------------------------------

    def build(self, expr: sp.Expr, floor: int | str = 0) -> int:
        if expr not in self._memo:
            self._memo[expr] = self._build(expr, floor)
        made = self._memo[expr]
        self._set_floor(made, floor)
        return made

    def _build(self, expr: sp.Expr, floor: int | str) -> int:
        if not expr.free_symbols:
            return self.number(expr)
        if isinstance(expr, sp.Symbol):
            if expr not in self.symbols:
                allowed = ", ".join(self.symbols.values())
                raise DomainError(
                    f"the formula contains the symbol {expr}, but only {allowed} may appear; "
                    f"substitute a number for {expr}, and use the symbols of kernalg.symbols (assumptions count)"
                )
            return self.node("symbol", value=expr.name, nonnegative=bool(expr.is_nonnegative))
        if isinstance(expr, sp.Add):
            return self._add(expr, floor)
        if isinstance(expr, (sp.Mul, sp.Pow)):
            return self._mul(expr)
        return self._function(expr)

    def _add(self, expr: sp.Add, floor: int | str) -> int:
        squares = _difference_of_squares(expr)
        if squares is not None:
            factor, root, other = squares
            m, n = self.build(root), self.build(other)
            gap = self.node("gap", m, n)
            return gap if factor == 1 else self.mul([self.number(factor), gap])
        terms = []
        rest = list(expr.args)
        difference = exponential_minus_one(expr)
        if difference is not None:
            factor, exponent, used = difference
            rest = [term for term in rest if term not in used]
            call = self.node("call", self.build(exponent), value="expm1")
            sign = -1 if number_value(factor) < 0 else 1
            terms.append((sign, call if sign * factor == 1 else self.mul([self.number(sign * factor), call])))
        for term in sorted(rest, key=sp.default_sort_key):
            negative = number_value(term.as_independent(*term.free_symbols, as_Add=False)[0]) < 0
            terms.append((-1, self.build(-term)) if negative else (1, self.build(term)))
        return self.add(terms, floor)

    def _mul(self, expr: sp.Expr) -> int:
        numbers: list[sp.Expr] = []
        above: list[int] = []
        below: list[int] = []
        factors = list(sp.Mul.make_args(expr))
        above.extend(self._damped_hyperbolic(factors))
        above.extend(self._damped_cdf(factors))
        for factor in factors:
            if not factor.free_symbols:
                numbers.append(factor)
                continue
            base, exponent = factor.as_base_exp()
            if isinstance(factor, sp.exp) or base is sp.E:
                above.extend(self._exponential(factor.exp))
                continue
            negative = exponent.is_number and number_value(exponent) < 0
            (below if negative else above).extend(self._power(base, -exponent if negative else exponent))
        number = sp.Mul(*numbers)
        if number != 1:
            above.append(self.number(number))
        top = self.mul(above)
        return self.divide(top, self.mul(below)) if below else top

    def _damped_hyperbolic(self, factors: list[sp.Expr]) -> list[int]:
        """exp(A) sinh(B) and exp(A) cosh(B), taken out of `factors`: 0 * inf for large B unless done as one."""
        exponentials = [f for f in factors if isinstance(f, sp.exp) and f.free_symbols]
        hyperbolic = [f for f in factors if isinstance(f, sp.sinh | sp.cosh) and f.free_symbols]
        if not exponentials or len(hyperbolic) != 1:
            return []
        for factor in (*exponentials, *hyperbolic):
            factors.remove(factor)
        growth, argument = sp.Add(*(f.exp for f in exponentials)), hyperbolic[0].args[0]
        name = "exp_sinh" if isinstance(hyperbolic[0], sp.sinh) else "exp_cosh"
        args = self.build(growth, 1), self.build(argument, 0 if name == "exp_sinh" else 1)
        return [self.node("call", *args, value=name, nonnegative=name == "exp_cosh")]

    def _damped_cdf(self, factors: list[sp.Expr]) -> list[int]:
        """exp(A) times a normal cdf, taken out of `factors`: inf * 0 for large A unless done as one."""
        exponentials = [f for f in factors if isinstance(f, sp.exp) and f.free_symbols]
        cdfs = [f for f in factors if isinstance(f, normal_cdf | bivariate_normal_cdf) and f.free_symbols]
        if not exponentials or len(cdfs) != 1:
            return []
        for factor in (*exponentials, *cdfs):
            factors.remove(factor)
        growth = sp.Add(*(f.exp for f in exponentials))
        if isinstance(cdfs[0], normal_cdf):
            z = cdfs[0].args[0]
            args = [self.build(part, 1) for part in (growth, rational(growth - z**2 / 2), z)]
            return [self.node("call", *args, value="exp_normal_cdf", nonnegative=True)]
        parts = quadrant(growth, *cdfs[0].args)
        args = [self.build(part, 1) for part in (growth, *parts)]
        n, m, opposite = self._ratio(cdfs[0].args[2])
        args += [self.divide(n, m), self.divide(opposite, m)]
        return [self.node("call", *args, value="exp_bivariate_normal_cdf", nonnegative=True)]

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> list[int]:
        """Factors of base**exponent, the exponent not a negative number."""
        if not exponent.is_Rational or exponent.q & (exponent.q - 1):
            log = self.node("call", self.build(base), value="log")
            product = self.mul([self.build(exponent), log])
            return [self.node("call", product, value="exp", nonnegative=True)]
        if exponent.q == 1:
            return [self.power(self.build(base), int(exponent))]
        squares = _difference_of_squares(base) if isinstance(base, sp.Add) else None
        if squares is not None:
            factor, root, other = squares
            roots = [self.leg(self.build(root), self.build(other))]
            if factor != 1:
                roots.append(self.number(sp.sqrt(factor)))
        else:
            roots = [self.sqrt(self.build(base))]
        remaining = exponent * 2
        while remaining.q > 1:
            roots = [self.sqrt(i) for i in roots]
            remaining *= 2
        return [self.power(i, int(remaining)) for i in roots]

    def _exponential(self, argument: sp.Expr) -> list[int]:
        """Factors of exp(argument); one factor per symbol when the argument separates and no factor overflows alone."""
        groups: dict[Any, list[sp.Expr]] = {}
        for term in sp.Add.make_args(argument):
            groups.setdefault(frozenset(term.free_symbols), []).append(term)
        varying = [t for t in sp.Add.make_args(argument) if t.free_symbols]
        one_sign = all(t.is_nonpositive for t in varying) or all(t.is_nonnegative for t in varying)
        if one_sign and all(len(key) <= 1 for key in groups):
            parts = [sp.Add(*terms) for terms in groups.values()]
        else:
            parts = [argument]
        return [
            self.number(sp.exp(part))
            if not part.free_symbols
            else self.node("call", self.build(part, 1), value="exp", nonnegative=True)
            for part in parts
        ]

    def _function(self, expr: sp.Expr) -> int:
        head = expr.func
        if head is sp.exp:
            return self.mul(self._exponential(expr.args[0]))
        if head is sp.log and isinstance(expr.args[0], sp.Add) and sp.S.One in expr.args[0].args:
            return self.node("call", self.build(expr.args[0] - 1), value="log1p")
        if head in _FUNCTIONS:
            name = _FUNCTIONS[head]
            floor = 1 if name in _ABSOLUTE_ARGUMENT else 0
            args = [self.build(a, floor) for a in expr.args]
            return self.node("call", *args, value=name, nonnegative=name in _NONNEGATIVE_CALLS)
        if head in (sp.asin, sp.acos):
            n, _, opposite = self._ratio(expr.args[0])
            args = [n, opposite] if head is sp.asin else [opposite, n]
            return self.node("call", *args, value="atan2", nonnegative=head is sp.acos)
        if head is sp.atan:
            return self.node("call", self.build(expr.args[0]), self.number(sp.S.One), value="atan2")
        if head is bivariate_normal_cdf:
            n, m, opposite = self._ratio(expr.args[2])
            limits = [self.build(a) for a in expr.args[:2]]
            ratios = [self.divide(n, m), self.divide(opposite, m)]
            return self.node("call", *limits, *ratios, value="bivariate_normal_cdf", nonnegative=True)
        if head is rectified_moment:
            return self._moment(*expr.args)
        if head is sp.Abs:
            return self.node("call", self.build(expr.args[0]), value="abs", nonnegative=True)
        if head is sp.sign:
            return self.node("sign", self.build(expr.args[0]))
        if head is sp.Heaviside:
            if expr.args[1] != sp.S.Half:
                raise NoClosedForm(
                    f"{expr}: only Heaviside with the value 1/2 at 0 is compiled; write Heaviside(t), or a Piecewise"
                )
            return self.node("heaviside", self.build(expr.args[0]), nonnegative=True)
        if head in (sp.Max, sp.Min):
            parts = [self.build(a) for a in sorted(expr.args, key=sp.default_sort_key)]
            made = parts[0]
            for part in parts[1:]:
                made = self.node("maximum" if head is sp.Max else "minimum", made, part)
            return made
        if isinstance(expr, sp.Piecewise):
            return self._piecewise(expr)
        known = ", ".join(sorted({*_FUNCTIONS.values(), "asin", "acos", "atan", "sqrt", "Abs", "Piecewise"}))
        raise NoClosedForm(
            f"{head.__name__} cannot be compiled; a compiled formula may contain {known}, "
            "bivariate_normal_cdf and rectified_moment. Rewrite the formula with these, or evaluate it with "
            ".value(..., digits=...)"
        )

    def _moment(self, n: sp.Expr, m: sp.Expr, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> int:
        if not (n.is_Integer and m.is_Integer):
            raise NoClosedForm(f"rectified_moment of orders {n}, {m} cannot be compiled; the orders must be integers")
        root1, covariance = self.build(sp.sqrt(v1)), self.build(cov)
        size = self.mul([root1, self.build(sp.sqrt(v2))])
        leg = self.leg(size, covariance)
        made = self.node("moment", covariance, size, leg, value=(int(n), int(m)), nonnegative=True)
        return made if n == m else self.mul([self.power(root1, int(n - m)), made])

    def _ratio(self, ratio: sp.Expr) -> tuple[int, int, int]:
        """(n, m, sqrt(m**2 - n**2)) for a ratio n/m with m > 0."""
        above, below = [], []
        for factor in sp.Mul.make_args(ratio):
            base, exponent = factor.as_base_exp()
            if factor.free_symbols and exponent.is_negative and base.is_positive:
                below.append(base**-exponent)
            else:
                above.append(factor)
        n, m = self.build(sp.Mul(*above)), self.build(sp.Mul(*below))
        return n, m, self.leg(m, n)

    def _piecewise(self, expr: sp.Piecewise) -> int:
        *branches, (last, condition) = expr.args
        if condition != sp.true:
            raise DomainError(f"{expr} has no value where none of its conditions holds; end it with (value, True)")
        made = self.build(last)
        for value, test in reversed(branches):
            if not isinstance(test, Relational) or type(test) not in _COMPARISONS:
                raise NoClosedForm(f"the condition {test} of a Piecewise is not a single comparison; nest Piecewise")
            left, right = self.build(test.lhs), self.build(test.rhs)
            made = self.node("select", left, right, self.build(value), made, value=_COMPARISONS[type(test)])
        return made


def _difference_of_squares(expr: sp.Add) -> tuple[sp.Expr, sp.Expr, sp.Expr] | None:
    """(factor, M, S) with expr = factor * (M**2 - S**2), M >= 0 and S a monomial; None when there is no such form."""
    if len(expr.args) != 2:
        return None
    factor, primitive = expr.primitive()
    if not isinstance(primitive, sp.Add):
        return None
    terms = sorted(primitive.args, key=sp.default_sort_key)
    negative = [t for t in terms if t.could_extract_minus_sign()]
    positive = [t for t in terms if not t.could_extract_minus_sign()]
    if len(negative) != 1:
        return None
    # M must be a root of a positive product, S of a square: try both orientations.
    for first, second, sign in ((positive[0], -negative[0], 1), (-negative[0], positive[0], -1)):
        root, other = _positive_root(first), _square_root(second)
        if root is not None and other is not None:
            return sign * factor, root, other
    return None


def _positive_root(term: sp.Expr) -> sp.Expr | None:
    return sp.sqrt(term) if all(f.is_nonnegative for f in sp.Mul.make_args(term)) else None


def _square_root(term: sp.Expr) -> sp.Expr | None:
    """S with S**2 = term; symbols only to integer powers in S**2 (numbers may be anything positive)."""
    parts = []
    for factor in sp.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if not factor.free_symbols and factor.is_positive:
            parts.append(sp.sqrt(factor))
        elif exponent.is_Integer and (exponent % 2 == 0 or base.is_positive) and base.is_real:
            parts.append(base ** (exponent / 2))
        else:
            return None
    made = sp.Mul(*parts)
    return made if any(f.as_base_exp()[1] % 2 == 0 for f in sp.Mul.make_args(term) if f.free_symbols) else None


# -- numbers ------------------------------------------------------------------------------------

_WORKING_DIGITS = 60


def number_value(expr: sp.Expr) -> mpmath.mpf:
    """`expr`, a number, to 60 digits."""
    value = sp.N(expr, _WORKING_DIGITS)
    if not (value.is_Float or value.is_Integer or value.is_Rational) or not value.is_finite:
        raise DomainError(f"{expr} is not a finite real number; a compiled formula contains finite real numbers only")
    with mpmath.workdps(_WORKING_DIGITS):
        return mpmath.mpf(value._mpf_) if value.is_Float else mpmath.mpf(int(value.p)) / int(value.q)


def double_double(expr: sp.Expr) -> tuple[float, float]:
    """The number as hi + lo, hi the nearest float64 and lo the nearest float64 of the rest.

    >>> double_double(sp.Rational(1, 3))
    (0.3333333333333333, 1.850371707708594e-17)
    """
    value = number_value(expr)
    high = float(value)
    if high in (float("inf"), float("-inf")):
        raise DomainError(f"{expr} is beyond the range of float64 (1.8e308); rescale the formula")
    with mpmath.workdps(_WORKING_DIGITS):
        return high, float(value - mpmath.mpf(high))
