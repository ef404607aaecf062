r"""How fast a real function grows, proved: what cuts the tail off a Gaussian integral.

For every :math:`t\ge X`, at :math:`x=\pm t`, each subexpression is carried as

* an interval of the extended line that contains its values, and
* a majorant :math:`|e(x)|\le A\,t^p e^{Bt+Dt^2}`,

from the leaves up. Both hold on the whole half-line: intervals alone lose softplus (whose values reach infinity),
majorants alone lose the logistic function (a reciprocal needs a lower bound of its denominator).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp
from flint import arb

from kernalg.enclosure.balls import ball
from kernalg.errors import DomainError, PrecisionError
from kernalg.symbols import dawson, normal_cdf, x

_INFINITY = arb.pos_inf()
_ZERO = arb(0)


@dataclass(frozen=True, slots=True)
class Majorant:
    """A t^power exp(linear t + quadratic t^2)."""

    factor: arb
    power: sp.Rational = sp.S.Zero
    linear: arb = _ZERO
    quadratic: arb = _ZERO

    @property
    def is_polynomial(self) -> bool:
        return not self.linear > 0 and not self.quadratic > 0

    def plus(self, other: Majorant) -> Majorant:
        return Majorant(
            self.factor + other.factor,
            max(self.power, other.power),
            self.linear.max(other.linear),
            self.quadratic.max(other.quadratic),
        )

    def times(self, other: Majorant) -> Majorant:
        return Majorant(
            self.factor * other.factor,
            self.power + other.power,
            self.linear + other.linear,
            self.quadratic + other.quadratic,
        )

    def raised(self, exponent: sp.Rational) -> Majorant:
        r = ball(exponent)
        return Majorant(self.factor**r, self.power * exponent, self.linear * r, self.quadratic * r)


@dataclass(frozen=True, slots=True)
class Range:
    """The interval [low, high] of the extended line, and a majorant when one is known."""

    low: arb
    high: arb
    majorant: Majorant | None

    @property
    def is_finite(self) -> bool:
        return bool(self.low.is_finite() and self.high.is_finite())


class _Unbounded(Exception):
    """No bound was found; the argument says of what."""


def tail_majorant(expr: sp.Expr, side: int, start: arb) -> Majorant:
    r"""A majorant of ``expr`` at x = side * t, valid for every t >= start.

    Parameters
    ----------
    expr : sympy.Expr
        A smooth branch in `x` (no Abs, Max, Piecewise …).
    side : int
        1 for the right tail, -1 for the left.
    start : arb
        At least 1.

    Raises
    ------
    DomainError
        When the function grows faster than every Gaussian decays.
    PrecisionError
        When no bound is found.

    Examples
    --------
    >>> m = tail_majorant(sp.log(1 + sp.exp(x)), 1, arb(4))
    >>> m.power, float(m.linear)
    (1, 0.0)
    """
    try:
        found = _Walk(side, start)(expr)
    except _Unbounded as obstacle:
        raise PrecisionError(
            f"no bound of {expr} was proved for {'x' if side > 0 else '-x'} >= {start.str(5, radius=False)} "
            f"(at {obstacle}), so its Gaussian tail cannot be cut off; write it with elementary functions that stay "
            "defined there"
        ) from None
    if found.majorant is None:
        raise PrecisionError(f"{expr} has no majorant A t^p exp(B t + D t^2) that could be proved")
    return found.majorant


class _Walk:
    def __init__(self, side: int, start: arb) -> None:
        self.side, self.start = side, start
        self.seen: dict[sp.Expr, Range] = {}

    def __call__(self, node: sp.Expr) -> Range:
        if node not in self.seen:
            self.seen[node] = _with_constant_majorant(self._of(node))
        return self.seen[node]

    def _of(self, node: sp.Expr) -> Range:
        if not node.has(x):
            value = ball(node)
            return Range(value.lower(), value.upper(), None)
        if node == x:
            return self._identity()
        if node.is_polynomial(x) and (monotone := self._monotone_polynomial(node)):
            return monotone
        if isinstance(node, sp.Add):
            return _fold(_add, [self(a) for a in node.args])
        if isinstance(node, sp.Mul):
            return _fold(_multiply, [self(a) for a in node.args])
        if isinstance(node, sp.exp):
            return self._exponential(node.args[0])
        if isinstance(node, sp.Pow):
            return self._power(node)
        if isinstance(node, sp.log):
            return self._logarithm(node)
        if isinstance(node, sp.sin | sp.cos | dawson):  # |F| < 0.5411
            return Range(arb(-1), arb(1), None)
        if isinstance(node, sp.cosh):
            return self((sp.exp(node.args[0]) + sp.exp(-node.args[0])) / 2)
        if isinstance(node, sp.sinh):
            return self((sp.exp(node.args[0]) - sp.exp(-node.args[0])) / 2)
        if isinstance(node, sp.sech | sp.csch | sp.coth):
            return self(node.rewrite(sp.tanh if isinstance(node, sp.coth) else sp.exp))
        if isinstance(node, sp.asinh):
            return self._inverse_sinh(node)
        if isinstance(node, sp.erfi) and sp.expand(node.args[0]).is_polynomial(x):
            return self._imaginary_error_function(node.args[0])
        for head, limits, function in _MONOTONE:
            if isinstance(node, head):
                return self._bounded(node, limits, function)
        raise _Unbounded(str(node))

    def _identity(self) -> Range:
        majorant = Majorant(arb(1), sp.S.One)
        if self.side > 0:
            return Range(self.start.lower(), _INFINITY, majorant)
        return Range(-_INFINITY, (-self.start).upper(), majorant)

    def _monotone_polynomial(self, node: sp.Expr) -> Range | None:
        """p(side (start + s)) with s >= 0: monotone when the coefficients of s, s^2, … have one sign."""
        coefficients = [ball(a) * self.side**k for k, a in enumerate(reversed(sp.Poly(node, x).all_coeffs()))]
        majorant = Majorant(sum((abs(a) for a in coefficients), start=arb(0)), sp.Integer(len(coefficients) - 1))
        shifted = list(coefficients)  # Taylor shift by Horner's triangle
        for i in range(len(shifted) - 1):
            for j in range(len(shifted) - 2, i - 1, -1):
                shifted[j] += self.start * shifted[j + 1]
        if all(a >= 0 for a in shifted[1:]):
            return Range(shifted[0].lower(), _INFINITY, majorant)
        if all(a <= 0 for a in shifted[1:]):
            return Range(-_INFINITY, shifted[0].upper(), majorant)
        return None

    def _exponential(self, exponent: sp.Expr) -> Range:
        inner = self(exponent)
        low, high = inner.low.exp(), inner.high.exp()
        expanded = sp.expand(exponent)
        if expanded.is_polynomial(x):
            polynomial = sp.Poly(expanded, x)
            degree = polynomial.degree()
            if degree > 2:
                if high.is_finite():
                    return Range(low, high, None)
                lead = polynomial.LC() * self.side**degree
                if lead.is_positive:
                    raise DomainError(
                        f"exp({exponent}) grows faster than a Gaussian decays: its Gaussian moments are infinite"
                    )
                raise _Unbounded(f"exp({exponent})")
            constant, linear, quadratic = (ball(polynomial.coeff_monomial(x**k)) for k in range(3))
            return Range(low, high, Majorant(constant.exp(), sp.S.Zero, self.side * linear, quadratic))
        if high.is_finite():
            return Range(low, high, None)
        m = inner.majorant
        if m is None or not m.is_polynomial or m.power > 2:
            raise _Unbounded(f"exp({exponent})")
        growth = {"linear": m.factor} if m.power <= 1 else {"quadratic": m.factor}
        return Range(low, high, Majorant(arb(1), **growth))

    def _power(self, node: sp.Pow) -> Range:
        base, exponent = node.as_base_exp()
        if not base.has(x) and base.is_positive:
            return self(sp.exp(exponent * sp.log(base)))
        if not exponent.is_Rational:
            return self(sp.exp(exponent * sp.log(base)))
        size = _raise(self(base), abs(exponent), node)
        return size if exponent > 0 else _reciprocal(size, node)

    def _logarithm(self, node: sp.Expr) -> Range:
        inner = self(node.args[0])
        if not inner.low > 0:
            raise _Unbounded(str(node))
        low = inner.low.log()
        m = inner.majorant
        if inner.high.is_finite() or m is None:
            return Range(low.lower(), inner.high.log().upper(), None)
        # low <= log e <= log A + p log t + B t + D t^2, with log t <= t
        linear = m.power.p / arb(m.power.q) + m.linear.max(arb(0))
        factor = abs(low) + abs(m.factor.log()) + linear + m.quadratic.max(arb(0))
        return Range(low.lower(), _INFINITY, Majorant(factor, sp.Integer(2 if m.quadratic > 0 else 1)))

    def _inverse_sinh(self, node: sp.Expr) -> Range:
        inner = self(node.args[0])  # |asinh e| <= |e|
        return Range(-_INFINITY, _INFINITY, inner.majorant)

    def _imaginary_error_function(self, argument: sp.Expr) -> Range:
        """|erfi y| <= 2/sqrt(pi) |y| exp(y^2)."""
        outer = _fold(_multiply, [self(argument), self(sp.exp(sp.expand(argument**2)))])
        return Range(-_INFINITY, _INFINITY, None if outer.majorant is None else Majorant(arb(2)).times(outer.majorant))

    def _bounded(self, node: sp.Expr, limits: tuple[arb, arb], function: Callable[[arb], arb]) -> Range:
        inner = self(node.args[0])
        ends = [limits[i] if not end.is_finite() else function(end) for i, end in enumerate((inner.low, inner.high))]
        ends = ends if limits[0] < limits[1] else ends[::-1]
        return Range(ends[0].lower(), ends[1].upper(), None)


def _atan_limit(sign: int) -> arb:
    return (arb.pi() / 2).upper() * sign


# Monotone functions: the limits at -infinity and +infinity.
_MONOTONE: list[tuple[type, tuple[arb, arb], Callable[[arb], arb]]] = [
    (sp.tanh, (arb(-1), arb(1)), arb.tanh),
    (sp.erf, (arb(-1), arb(1)), arb.erf),
    (sp.erfc, (arb(2), arb(0)), arb.erfc),
    (sp.atan, (_atan_limit(-1), _atan_limit(1)), arb.atan),
    (normal_cdf, (arb(0), arb(1)), lambda z: (-z / arb(2).sqrt()).erfc() / 2),
]


def _with_constant_majorant(r: Range) -> Range:
    """A finite interval is its own majorant, unless a decaying one is known."""
    if r.majorant is None and r.is_finite:
        return Range(r.low, r.high, Majorant(abs(r.low).max(abs(r.high)).upper()))
    m = r.majorant
    if m is not None and r.is_finite and (m.power > 0 or m.linear > 0 or m.quadratic > 0):
        return Range(r.low, r.high, Majorant(abs(r.low).max(abs(r.high)).upper()))
    return r


def _fold(operation: Callable[[Range, Range], Range], parts: list[Range]) -> Range:
    total = parts[0]
    for part in parts[1:]:
        total = operation(total, part)
    return total


def _add(a: Range, b: Range) -> Range:
    majorant = a.majorant.plus(b.majorant) if a.majorant is not None and b.majorant is not None else None
    return Range((a.low + b.low).lower(), (a.high + b.high).upper(), majorant)


def _times(a: arb, b: arb) -> arb:
    return arb(0) if a.is_zero() or b.is_zero() else a * b


def _multiply(a: Range, b: Range) -> Range:
    corners = [_times(p, q) for p in (a.low, a.high) for q in (b.low, b.high)]
    low, high = corners[0], corners[0]
    for corner in corners[1:]:
        low, high = low.min(corner), high.max(corner)
    majorant = a.majorant.times(b.majorant) if a.majorant is not None and b.majorant is not None else None
    return Range(low.lower(), high.upper(), majorant)


def _raise(base: Range, exponent: sp.Rational, node: sp.Expr) -> Range:
    majorant = None if base.majorant is None else base.majorant.raised(exponent)
    if exponent.is_Integer and exponent.is_even:
        far = abs(base.low).max(abs(base.high))
        near = arb(0) if base.low <= 0 <= base.high else abs(base.low).min(abs(base.high))
        return Range(_end_power(near, exponent).lower(), _end_power(far, exponent).upper(), majorant)
    if not exponent.is_Integer and not base.low >= 0:
        raise _Unbounded(str(node))
    return Range(_end_power(base.low, exponent).lower(), _end_power(base.high, exponent).upper(), majorant)


def _end_power(end: arb, exponent: sp.Rational) -> arb:
    if not end.is_finite():
        return end
    if exponent.is_Integer:
        return end ** int(exponent)
    return arb(0) if end.is_zero() else end ** ball(exponent)


def _reciprocal(r: Range, node: sp.Expr) -> Range:
    if not (r.low > 0 or r.high < 0):
        raise _Unbounded(str(node))
    ends = [arb(0) if not end.is_finite() else 1 / end for end in (r.high, r.low)]
    return Range(ends[0].lower(), ends[1].upper(), None)
