r"""Exact Taylor coefficients of a formula in one variable.

Neither repeated differentiation nor a search for limits: truncated power series are pushed through the expression tree.
A series is kept as

.. math:: \sum_m m\,r_m(t),\qquad m\text{ constants (such as }\pi^{-1}, \sqrt3, e^{-2}),\quad r_m\in\mathbb Q[t],

so that what is rational stays rational and costs what rational arithmetic costs. Constant terms are split off before a
function is applied, :math:`e^p=e^{p_0}e^{p-p_0}`, :math:`p^a=p_0^a(1+u)^a` with :math:`u=p/p_0-1`; then the function is
a power series in u, or the integral of its derivative: :math:`f(p)=f(p_0)+\int f'(p)\,p'`.

Series may start at a negative power, so quotients like sinh(t)/t need no special care. A root of the variable makes
:math:`t=s^q` the new variable, and the result has a Taylor series if the powers of s that are left are powers of
:math:`s^q`. A function that looks at a sign (|t|, Max, a square root of t^2) has one if both sides give the same.

References: Brent & Kung, *Fast algorithms for manipulating formal power series* (J. ACM 25, 1978).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_poly

from kernalg.checks import whole_number
from kernalg.errors import DomainError, NoClosedForm
from kernalg.expansion.series_arithmetic import Arithmetic, Obstacle, Series, TooShort
from kernalg.expansion.series_constants import Combination, Constants, as_fmpq
from kernalg.formula import exact_number
from kernalg.symbols import bivariate_normal_cdf, dawson, normal_cdf, rectified_moment

MOST_TERMS = 100_000
_ATTEMPTS = 24

# f(p) = f(p0) + int f'(p) p', the derivatives being simpler than the functions
_BY_DERIVATIVE = (
    sp.log, sp.asin, sp.acos, sp.atan, sp.acot, sp.asinh, sp.acosh, sp.atanh, sp.acoth, sp.atan2, sp.erf, sp.erfc,
    sp.erfi, normal_cdf, bivariate_normal_cdf,
)  # fmt: skip
_QUOTIENTS: dict[Any, Callable[[sp.Expr], sp.Expr]] = {
    sp.tan: lambda z: sp.sin(z) * sp.cos(z) ** -1,
    sp.cot: lambda z: sp.cos(z) * sp.sin(z) ** -1,
    sp.sec: lambda z: sp.cos(z) ** -1,
    sp.csc: lambda z: sp.sin(z) ** -1,
    sp.coth: lambda z: sp.cosh(z) * sp.sinh(z) ** -1,
    sp.sech: lambda z: sp.cosh(z) ** -1,
    sp.csch: lambda z: sp.sinh(z) ** -1,
}


def exact_taylor(expr: Any, variable: sp.Symbol, at: Any, terms: int) -> list[sp.Expr]:
    """The Taylor coefficients a_0, …, a_{terms-1} of `expr` about ``variable = at``, as exact SymPy numbers.

    Parameters
    ----------
    expr : sympy.Expr
        Sums, products, powers (also symbolic ones), exp, log, the circular and hyperbolic functions and their inverses,
        erf and its relatives, `normal_cdf`, `bivariate_normal_cdf`, `dawson`, `rectified_moment`, 2F1-like ``hyper``
        at the origin; Abs, sign, Max, Min, Heaviside and Piecewise where the branch is clear. Other symbols are
        parameters; give them their assumptions (``positive=True``) where a sign matters. A root of a parameter whose
        sign is open is taken as real.
    variable : Symbol
    at : exact number
        The centre: an int, Fraction, string or SymPy number; symbols are allowed.
    terms : int
        How many coefficients, at least 1.

    Raises
    ------
    DomainError
        If the function has no Taylor series there, or a complex one; the message names the part that is to blame.
    NoClosedForm
        If a function has no rule here, or the coefficients grow too long to be of use (deep compositions): take
        certified numbers then.

    Examples
    --------
    >>> from kernalg.symbols import rho
    >>> exact_taylor(sp.exp(2 * (rho - 1)), rho, 0, 4)
    [exp(-2), 2*exp(-2), 2*exp(-2), 4*exp(-2)/3]
    >>> exact_taylor(2 * sp.asin(3 * rho / 5) / sp.pi, rho, 0, 4)
    [0, 6/(5*pi), 0, 9/(125*pi)]
    >>> exact_taylor(sp.sinh(2 * rho) / rho, rho, 0, 3)
    [2, 0, 4/3]
    >>> w, b = sp.symbols("w_var b_var", positive=True)
    >>> exact_taylor((((w + b) * rho - b) / w) ** 2, rho, 0, 3)
    [b_var**2/w_var**2, -2*b_var*(b_var + w_var)/w_var**2, (b_var + w_var)**2/w_var**2]
    """
    if not isinstance(variable, sp.Symbol):
        raise DomainError(f"variable = {variable!r}: a SymPy symbol is needed")
    if whole_number("terms", terms, 1) > MOST_TERMS:
        raise DomainError(f"terms={terms}: at most {MOST_TERMS} coefficients")
    formula, centre = exact_number(expr, "the formula"), exact_number(at, "the centre")
    if centre.has(variable):
        raise DomainError(f"the centre {centre} contains {variable} itself")
    frame = _Frame(formula, variable, centre, terms)
    coefficients, two_sided = _run(frame)
    if two_sided is not None:
        other, _ = _run(_Frame(formula, variable, centre, terms, side=-frame.side))
        if frame.root > 1 or any(sp.expand(a - b) != 0 for a, b in zip(coefficients, other, strict=True)):
            raise frame.no_series(two_sided, "its two sides differ")
    return coefficients


@dataclass(slots=True)
class _Frame:
    """What is expanded, and how: variable = at + side s^root, `length` powers of s."""

    formula: sp.Expr
    variable: sp.Symbol
    at: sp.Expr
    terms: int
    root: int = 1
    side: int = 1
    extra: int = 0
    rooted: sp.Expr | None = None

    @property
    def length(self) -> int:
        return (self.terms - 1) * self.root + 1 + self.extra

    def no_series(self, node: Any, reason: str = "") -> DomainError:
        text = f"{node} has no Taylor series at {self.variable} = {self.at}"
        return DomainError(f"{text}: {reason}" if reason else text)


def _run(frame: _Frame) -> tuple[list[sp.Expr], sp.Expr | None]:
    """The coefficients, and the part (if any) that made the result hold on one side only."""
    turned = False
    for _ in range(_ATTEMPTS):
        walk = _Walk(frame)
        try:
            series = walk.visit(frame.formula)
        except Obstacle as obstacle:
            raise frame.no_series(obstacle.node, obstacle.reason) from None
        except _Root as root:
            frame.root, frame.rooted, frame.extra = frame.root * root.order, root.node, 0
            continue
        except _Negative as negative:
            if turned:
                raise _complex(negative.node, frame) from None
            frame.side, turned = -frame.side, True
            continue
        except TooShort as short:
            frame.extra = 2 * frame.extra + 4
            if frame.extra > 200:
                raise NoClosedForm(f"{short.node} vanishes to a high order at {frame.variable} = {frame.at}") from None
            continue
        missing = (frame.terms - 1) * frame.root + 1 - series.shift - series.length
        if missing > 0:
            frame.extra += missing
            continue
        return walk.result(series), walk.two_sided
    raise NoClosedForm(f"no way was found to expand {frame.formula} at {frame.variable} = {frame.at}")


def _complex(node: Any, frame: _Frame) -> DomainError:
    return DomainError(f"{node} is complex near {frame.variable} = {frame.at}; a real function is needed there")


class _Root(Exception):
    """The variable needs a root of this order."""

    def __init__(self, node: Any, order: int) -> None:
        self.node, self.order = node, order


class _Negative(Exception):
    """A root of a negative number on this side of the centre."""

    def __init__(self, node: Any) -> None:
        self.node = node


class _Walk:
    """One pass over the expression tree."""

    def __init__(self, frame: _Frame) -> None:
        self.frame = frame
        constants = Constants((frame.formula.free_symbols | frame.at.free_symbols) - {frame.variable})
        subject = f"the exact Taylor coefficients of {_short(frame.formula)} up to degree {frame.terms - 1}"
        self.on = Arithmetic(constants, frame.length, subject)
        self.known: dict[sp.Expr, Series] = {}
        self.two_sided: sp.Expr | None = None
        step = Series({(): fmpq_poly([0] * frame.root + [frame.side])}, 0, self.on.length)
        self.moving: set[sp.Symbol] = {frame.variable}
        self.known[frame.variable] = self.on.add(self.on.constant(frame.at), step)

    def result(self, series: Series) -> list[sp.Expr]:
        frame = self.frame
        coefficients: list[sp.Expr] = []
        for k in range(series.length):
            power = series.shift + k
            if power > (frame.terms - 1) * frame.root:
                break
            combination = series.coefficient(k)
            wanted = power >= 0 and power % frame.root == 0
            if self.on.constants.is_zero(combination):
                combination = {}
            elif power < 0:
                raise frame.no_series(frame.formula, "it has a pole")
            elif not wanted:
                raise frame.no_series(frame.rooted)
            if wanted:
                coefficients += [sp.S.Zero] * (power // frame.root - len(coefficients))
                coefficients.append(
                    self.on.constants.tidy(combination) * sp.Integer(frame.side) ** (power // frame.root)
                )
        coefficients += [sp.S.Zero] * (frame.terms - len(coefficients))
        return coefficients

    # -- the tree

    def visit(self, node: sp.Expr) -> Series:
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self._visit(node)
        return found

    def _visit(self, node: sp.Expr) -> Series:
        if not node.free_symbols & self.moving:
            return self.on.constant(self._real(node, node))
        if isinstance(node, sp.Add):
            total = self.visit(node.args[0])
            for part in node.args[1:]:
                total = self.on.add(total, self.visit(part))
            return total
        if isinstance(node, sp.Mul):
            fixed, rest = node.as_independent(*self.moving, as_Add=False)
            factors = [self.visit(part) for part in sp.Mul.make_args(rest)]
            total = factors[0]
            for factor in factors[1:]:
                total = self.on.multiply(total, factor)
            return total if fixed == 1 else self.on.scale(total, self._real(fixed, node))
        if isinstance(node, sp.Pow):
            return self._power(node)
        if isinstance(node, sp.exp):
            return self._exponential(self.visit(node.args[0]), node)
        if isinstance(node, (sp.sin, sp.cos, sp.sinh, sp.cosh)):
            return self._circular(node)
        if isinstance(node, sp.tanh):
            return self._tanh(node)
        if isinstance(node, dawson):
            return self._dawson(node)
        if isinstance(node, rectified_moment) and (expanded := sp.expand_func(node)) != node:
            return self.visit(expanded)
        if node.func in _QUOTIENTS:
            return self.visit(_QUOTIENTS[node.func](node.args[0]))
        if isinstance(node, _BY_DERIVATIVE):
            return self._by_derivative(node)
        if isinstance(node, sp.hyper):
            return self._hypergeometric(node)
        return self._branches(node)

    def _real(self, value: sp.Expr, node: Any) -> sp.Expr:
        """A constant that goes into the result, if it is finite and real."""
        if value.has(sp.zoo, sp.oo, -sp.oo, sp.nan):
            raise Obstacle(node)
        if value.has(sp.I) or value.is_extended_real is False:
            raise _complex(node, self.frame)
        return value

    def _exponential(self, p: Series, node: Any) -> Series:
        p0, u = self.on.parted(p, node)
        y = self.on.substitute(({(): fmpq(1, math.factorial(k))} for k in range(u.shift + u.length)), u)
        return self.on.scale(y, sp.exp(p0)) if p0 != 0 else y

    def _circular(self, node: sp.Expr) -> Series:
        p0, u = self.on.parted(self.visit(node.args[0]), node)
        hyperbolic = isinstance(node, (sp.sinh, sp.cosh))
        odd, even = (sp.sinh, sp.cosh) if hyperbolic else (sp.sin, sp.cos)

        def half(parity: int) -> Series:
            def terms() -> Iterator[Combination]:
                for k in range(u.shift + u.length):
                    sign = -1 if not hyperbolic and k % 4 > 1 else 1
                    yield {(): fmpq(sign, math.factorial(k))} if k % 2 == parity else {}

            return self.on.substitute(terms(), u)

        if node.func == odd:
            parts = [(even(p0), 1), (odd(p0), 0)]
        else:
            parts = [(even(p0), 0), ((1 if hyperbolic else -1) * odd(p0), 1)]
        total = Series({}, 0, u.shift + u.length)
        for factor, parity in parts:
            if factor != 0:
                total = self.on.add(total, self.on.scale(half(parity), factor))
        return total

    def _tanh(self, node: sp.Expr) -> Series:
        """By the sum of angles: tanh(p0 + u) = (T + tanh u)/(1 + T tanh u)."""
        p0, u = self.on.parted(self.visit(node.args[0]), node)
        place = self._dummy(u)
        ratio = sp.sinh(place) * sp.cosh(place) ** -1
        constant = sp.tanh(p0)
        return self.visit((constant + ratio) / (1 + constant * ratio))

    def _dawson(self, node: sp.Expr) -> Series:
        """From F' = 1 - 2zF: F(p) = exp(p0^2 - p^2) (F(p0) + int exp(p^2 - p0^2) p')."""
        p = self.visit(node.args[0])
        p0, _ = self.on.parted(p, node)
        square = self.on.add(self.on.multiply(p, p), self.on.constant(-(p0**2)))
        inner = self.on.multiply(self._exponential(square, node), self.on.derivative(p))
        inner = self.on.add(self.on.constant(dawson(p0)), self.on.integral(inner, node))
        return self.on.multiply(self._exponential(self.on.scale(square, sp.Integer(-1)), node), inner)

    def _dummy(self, series: Series) -> sp.Dummy:
        place = sp.Dummy(real=True)
        self.moving.add(place)
        self.known[place] = series
        return place

    def _by_derivative(self, node: sp.Expr) -> Series:
        arguments = [self.visit(a) for a in node.args]
        values = [self.on.parted(a, node)[0] for a in arguments]
        places = [self._dummy(a) for a in arguments]
        if isinstance(node, sp.log) and self.on.constants.is_zero(self.on.constants.split(values[0])):
            raise Obstacle(node)
        function = node.func(*places)
        total = self.on.constant(self._real(node.func(*values), node))
        for i, (argument, a) in enumerate(zip(arguments, node.args, strict=True), 1):
            if not a.free_symbols & self.moving:
                continue
            before = self.two_sided
            try:
                slope = self.visit(function.fdiff(i))
            except Obstacle as obstacle:
                raise Obstacle(node, obstacle.reason) from None
            except _Root as root:
                raise _Root(node, root.order) from None
            except _Negative:
                raise _Negative(node) from None
            if self.two_sided is not before:
                self.two_sided = node
            total = self.on.add(total, self.on.integral(self.on.multiply(slope, self.on.derivative(argument)), node))
        return total

    def _hypergeometric(self, node: sp.Expr) -> Series:
        p0, u = self.on.parted(self.visit(node.argument), node)
        if p0 != 0 or any(a.free_symbols & self.moving for a in (*node.ap, *node.bq)):
            raise NoClosedForm(f"{node}: hypergeometric series are expanded about argument 0 alone")

        def terms() -> Iterator[Combination]:
            term = sp.S.One
            for k in range(u.shift + u.length):
                yield self.on.constants.split(self._real(term, node))
                term *= sp.Mul(*(a + k for a in node.ap)) / sp.Mul(*(b + k for b in node.bq)) / (k + 1)

        return self.on.substitute(terms(), u)

    # -- powers

    def _power(self, node: sp.Pow) -> Series:
        base, exponent = node.args
        if exponent.free_symbols & self.moving:
            return self.visit(sp.exp(exponent * sp.log(base), evaluate=False))
        p = self.visit(base)
        if exponent.is_Integer and 0 <= exponent <= 64:
            return self._whole_power(p, int(exponent))
        p = self.on.reduced(p, node)
        if p.shift and not exponent.is_Rational:
            raise Obstacle(node)
        if p.shift and (exponent * p.shift).q > 1:
            raise _Root(node, int((exponent * p.shift).q))
        first = p.coefficient(0)
        if not exponent.is_Integer:
            if self.on.constants.sign(first) == -1:
                if p.shift:
                    raise _Negative(node)
                raise _complex(node, self.frame)
            # t^2 to a power is a power of |t|; the root of an odd power is continued from the side where it is real
            if p.shift and p.shift % (2 * self.frame.root) == 0:
                self.two_sided = node
        p0 = self.on.constants.expr(first)
        shift = int(exponent * p.shift) if p.shift else 0
        p = Series(p.parts, 0, p.length)
        if p0 != 1:
            p = self.on.scale(p, 1 / p0)
        # u without constant term, also where 1/p0 times p0 did not cancel by itself
        u = Series({m: r - r[0] for m, r in p.parts.items()}, 0, p.length)
        u.parts = {m: r for m, r in u.parts.items() if r != 0}
        y = self.on.substitute(self._binomials(exponent, u.length), u)
        value = self._real(p0**exponent, node)
        if value != 1:
            y = self.on.scale(y, value)
        return Series(y.parts, shift, y.length)

    def _binomials(self, exponent: sp.Expr, count: int) -> Iterator[Combination]:
        if exponent.is_Rational:
            a, term = as_fmpq(exponent), fmpq(1)
            for k in range(count):
                yield {(): term} if term != 0 else {}
                term = term * (a - k) / (k + 1)
            return
        symbolic = sp.S.One
        for k in range(count):
            yield self.on.constants.split(symbolic)
            symbolic *= (exponent - k) / sp.Integer(k + 1)

    def _whole_power(self, p: Series, n: int) -> Series:
        total = self.on.constant(sp.S.One)
        while n:
            if n % 2:
                total = self.on.multiply(total, p)
            n //= 2
            if n:
                p = self.on.multiply(p, p)
        return total

    # -- functions that look at a sign

    def _branches(self, node: sp.Expr) -> Series:
        if isinstance(node, sp.Abs):
            inner = self.visit(node.args[0])
            return inner if self._sign(inner, node) > 0 else self.on.scale(inner, sp.Integer(-1))
        if isinstance(node, sp.sign):
            return self.on.constant(sp.Integer(self._sign(self.visit(node.args[0]), node)))
        if isinstance(node, sp.Heaviside):
            return self.on.constant(sp.Integer(self._sign(self.visit(node.args[0]), node) > 0))
        if isinstance(node, (sp.Max, sp.Min)):
            best = node.args[0]
            for other in node.args[1:]:
                if other == best:
                    continue
                sign = self._sign(self.visit(other - best), node)
                if (sign > 0) == isinstance(node, sp.Max):
                    best = other
            return self.visit(best)
        if isinstance(node, sp.Piecewise):
            for value, condition in node.args:
                if self._holds(condition, node):
                    return self.visit(value)
            raise Obstacle(node, "no case holds")
        raise NoClosedForm(f"{node.func.__name__} has no rule for exact Taylor coefficients; take certified numbers")

    def _sign(self, p: Series, node: Any) -> int:
        """The sign near the centre, on this side of it."""
        p = self.on.reduced(p, node)
        sign = self.on.constants.sign(p.coefficient(0))
        if sign is None:
            raise NoClosedForm(
                f"which branch of {node} holds depends on the sign of {self.on.constants.expr(p.coefficient(0))}"
            )
        if p.shift:
            self.two_sided = node
        return sign

    def _holds(self, condition: Any, node: Any) -> bool:
        if condition in (sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, sp.And):
            return all(self._holds(c, node) for c in condition.args)
        if isinstance(condition, sp.Or):
            return any(self._holds(c, node) for c in condition.args)
        if isinstance(condition, sp.Not):
            return not self._holds(condition.args[0], node)
        if isinstance(condition, (sp.Eq, sp.Ne)):  # at isolated points: of no account for the series
            self.on.reduced(self.visit(condition.lhs - condition.rhs), node)
            return isinstance(condition, sp.Ne)
        if isinstance(condition, (sp.StrictLessThan, sp.LessThan)):
            return self._sign(self.visit(condition.rhs - condition.lhs), node) > 0
        if isinstance(condition, (sp.StrictGreaterThan, sp.GreaterThan)):
            return self._sign(self.visit(condition.lhs - condition.rhs), node) > 0
        raise NoClosedForm(f"the condition {condition} has no rule for exact Taylor coefficients")


def _short(expr: sp.Expr) -> str:
    text = str(expr)
    return text if len(text) <= 80 else f"{text[:60]} …"
