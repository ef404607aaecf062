r"""Piecewise analytic functions as rigorous quadrature needs them: values, bounds on complex boxes, an envelope.

A quotient such as sin(x)/x is analytic at 0, but its boxes around 0 are not finite. Where a polynomial denominator P of
a quotient N/P has a real zero of order k and N vanishes there to order k (decided exactly by SymPy), the point is
removable: a box near it is bounded by the maximum on the boundary of a larger box (maximum modulus principle; N is
analytic on the whole larger box, and P has no other zero in it), and the value there is :math:`N^{(k)}/P^{(k)}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp
from flint import acb, arb

from kernalg.enclosure.balls import BallFunction, ball, ball_function, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.gaussian.growth import tail_majorant
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.polynomials import Polynomial, polynomial
from kernalg.symbols import x

BOUND_BITS = 64  # a bound needs few digits
_MAX_DEPTH = 12
_SAMPLES = 97


def interval(low: arb, high: arb) -> arb:
    """The ball that covers both."""
    return low.union(high)


@dataclass(frozen=True, slots=True)
class Removable:
    """A point where numerator and denominator vanish to the same order."""

    point: sp.Expr
    value: sp.Expr
    numerator: BallFunction
    cofactor: BallFunction  # the denominator without its zero at the point


class Branch:
    """An analytic function on the closed interval between two neighbouring breakpoints (None: infinity)."""

    def __init__(self, expr: sp.Expr, left: sp.Expr | None, right: sp.Expr | None) -> None:
        self.expr, self.left, self.right = expr, left, right
        # The powers of a long polynomial are summed once, not at every node.
        self.function: BallFunction | Polynomial = polynomial(expr) or ball_function(expr, (x,))
        self.removable = self._removable_points()
        self._refuse_poles()

    def at(self, t: arb) -> arb:
        """The value at a real point."""
        for r in self.removable:
            point = ball(r.point)
            if t.overlaps(point):
                if t.is_exact() and point.is_exact():
                    return ball(r.value)
                return arb(0, self.bound(acb(t)))
        return self.function(t)

    def bound(self, box: acb) -> arb:
        """An upper bound of the modulus on the box; infinite unless the function is proved analytic there."""
        size = abs(self.function(box, analytic=True)).upper()
        if size.is_finite():
            return size
        for r in self.removable:
            if (size := self._bound_near(r, box)).is_finite():
                return size
        return arb.pos_inf()

    def real_bound(self, t: arb) -> arb:
        """An upper bound on a real interval, where the function need not be analytic (a square root at its end)."""
        size = abs(self.function(t)).upper()
        return size if size.is_finite() else self.bound(acb(t))

    def _bound_near(self, r: Removable, box: acb) -> arb:
        point = ball(r.point)
        margin = arb(2) * (arb(box.real.rad()).max(arb(box.imag.rad())) + arb(2) ** -6)
        if not interval(box.real - margin, box.real + margin).overlaps(point):
            return arb.pos_inf()
        low, high = (box.real.lower().min(point) - margin).lower(), (box.real.upper().max(point) + margin).upper()
        height = (box.imag.abs_upper() + margin).upper()
        whole = acb(interval(low, high), interval(-height, height))
        if not r.numerator(whole, analytic=True).is_finite() or r.cofactor(whole).contains(0):
            return arb.pos_inf()
        edges = 8
        largest = arb(0)
        for i in range(edges):
            across = interval(low + (high - low) * i / edges, low + (high - low) * (i + 1) / edges)
            up = interval(height * i / edges, height * (i + 1) / edges)
            for side in (acb(across, height), acb(low, up), acb(high, up)):
                largest = largest.max(abs(self.function(side, analytic=True)).upper())
        return largest.upper()

    def _removable_points(self) -> list[Removable]:
        zeros: set[sp.Expr] = set()
        for power in self.expr.atoms(sp.Pow):
            base, exponent = power.as_base_exp()
            if base.has(x) and exponent.is_Integer and exponent < 0 and base.is_polynomial(x):
                zeros |= {z for z in sp.real_roots(sp.Poly(base, x)) if self._contains(z)}
        if not zeros:
            return []
        numerator, denominator = sp.fraction(sp.cancel(sp.together(self.expr)))
        if not denominator.is_polynomial(x):
            raise DomainError(f"{self.expr} has a pole at x = {min(zeros)}; its Gaussian expectation is not defined")
        found = []
        for zero in sorted(zeros):
            polynomial = sp.Poly(denominator, x)
            order = 0
            while sp.expand(polynomial.eval(zero)) == 0:
                polynomial = sp.quo(polynomial, sp.Poly(x - zero, x))
                order += 1
            derivatives = [sp.simplify(sp.diff(numerator, x, j).subs(x, zero)) for j in range(order + 1)]
            if any(d != 0 for d in derivatives[:-1]):
                raise DomainError(f"{self.expr} has a pole at x = {zero}; its Gaussian expectation is not defined")
            found.append(
                Removable(
                    zero,
                    derivatives[-1] / (sp.factorial(order) * polynomial.eval(zero)),
                    ball_function(numerator, (x,)),
                    ball_function(polynomial.as_expr(), (x,)),
                )
            )
        return found

    def _contains(self, point: sp.Expr) -> bool:
        return not ((self.left is not None and point < self.left) or (self.right is not None and point > self.right))

    def _refuse_poles(self) -> None:
        """Look at samples: a value that is no number, or a denominator that changes sign where nothing cancels it."""
        bare = self.expr.replace(sp.tan, lambda a: sp.sin(a) / sp.cos(a))
        denominators = [ball_function(p.base, (x,)) for p in bare.atoms(sp.Pow) if p.exp.is_negative and p.base.has(x)]
        with precision(BOUND_BITS):
            low = (
                ball(self.left) if self.left is not None else (arb(-8) if self.right is None else ball(self.right) - 8)
            )
            high = ball(self.right) if self.right is not None else low.max(arb(0)) + 8
            nodes = [low + (high - low) * arb(2 * i + 1) / (2 * _SAMPLES) for i in range(_SAMPLES)]
            for t in nodes:
                if not self.at(t).is_finite() and not any(t.overlaps(ball(r.point)) for r in self.removable):
                    raise DomainError(
                        f"{self.expr} has no finite value at x = {t.str(6, radius=False)}; an activation is a function "
                        "of the whole real line (give its other branches with Piecewise)"
                    )
            for d in denominators:
                signs = [d(t) for t in nodes]
                for t, a, b in zip(nodes, signs, signs[1:], strict=False):
                    between = interval(t, t + (high - low) / _SAMPLES)
                    removable = any(between.overlaps(ball(r.point)) for r in self.removable)
                    if not removable and ((a > 0 and b < 0) or (a < 0 and b > 0)):
                        raise DomainError(
                            f"{self.expr} has a denominator that vanishes near x = {t.str(6, radius=False)}: a pole on "
                            "the real line has no Gaussian expectation"
                        )


@dataclass(frozen=True, slots=True)
class Envelope:
    r"""|f(x)| <= factor * exp(linear |x| + quadratic x^2) for every real x."""

    factor: arb
    linear: arb
    quadratic: arb

    def shape(self, size: arb) -> arb:
        """exp(linear r + quadratic r^2)."""
        return (self.linear * size + self.quadratic * size * size).exp()


class PiecewiseAnalytic:
    """The branches of a `Pieces`, compiled."""

    def __init__(self, parts: Pieces) -> None:
        free = set().union(*(e.free_symbols for e in (*parts.breakpoints, *parts.branches))) - {x}
        if free:
            raise DomainError(f"the function has the free parameters {free}; a value needs numbers, so substitute them")
        ends: list[sp.Expr | None] = [None, *parts.breakpoints, None]
        self.parts = parts
        self.branches = [Branch(sp.S(e), ends[i], ends[i + 1]) for i, e in enumerate(parts.branches)]

    @property
    def is_analytic(self) -> bool:
        return not self.parts.breakpoints

    @lru_cache(maxsize=16)  # noqa: B019 (the instances are few and cached themselves)
    def envelope(self, scale: float) -> Envelope:
        """An envelope that is close at distances of a few `scale`."""
        with precision(BOUND_BITS):
            points = [ball(p) for p in self.parts.breakpoints]
            start = arb(max(1.0, 3 * scale))
            for p in points:
                start = start.max(abs(p) + 1)
            start = start.upper()
            factor, linear, quadratic = arb(0), arb(0), arb(0)
            for side, branch in ((-1, self.branches[0]), (1, self.branches[-1])):
                m = tail_majorant(branch.expr, side, start)
                # t^p <= (t0/e)^p exp(p t/t0), with equality at t0
                power, t0 = ball(m.power), start.max(arb(8 * scale))
                part = m.factor * (t0 / arb.const_e()) ** power
                slope = m.linear + power / t0
                # A decaying majorant is followed as far as `start`; the envelope itself only ever grows.
                part *= ((slope - slope.max(arb(0))) * start + (m.quadratic - m.quadratic.max(arb(0))) * start**2).exp()
                factor, linear = factor.max(part), linear.max(slope)
                quadratic = quadratic.max(m.quadratic)
            ends = [-start, *points, start]
            for branch, low, high in zip(self.branches, ends, ends[1:], strict=False):
                inside = largest(branch.real_bound, low, high, arb(start) / 16)
                if not inside.is_finite():
                    raise PrecisionError(
                        f"{branch.expr} was not proved bounded between {low.str(5, radius=False)} and "
                        f"{high.str(5, radius=False)}; a singularity there must be removed or written as a breakpoint"
                    )
                factor = factor.max(inside)
            return Envelope(factor.upper(), linear.upper(), quadratic.upper())


def largest(bound: Callable[[arb], arb], low: arb, high: arb, width: arb) -> arb:
    """An upper bound over [low, high] of a function of real intervals, refined where it is infinite."""
    count = max(1, int(float(((high - low) / width).upper())) + 1)
    total = arb(0)
    for i in range(count):
        a, b = low + (high - low) * i / count, low + (high - low) * (i + 1) / count
        total = total.max(_largest(bound, a, b, 0)).upper()
        if not total.is_finite():
            break
    return total


def _largest(bound: Callable[[arb], arb], low: arb, high: arb, depth: int) -> arb:
    size = bound(interval(low, high))
    if size.is_finite() or depth == _MAX_DEPTH:
        return size
    middle = (low + high) / 2
    left = _largest(bound, low, middle, depth + 1)
    return left.max(_largest(bound, middle, high, depth + 1)) if left.is_finite() else left


@lru_cache(maxsize=128)
def piecewise_analytic(parts: Pieces) -> PiecewiseAnalytic:
    """The compiled function of these pieces, made once.

    Raises
    ------
    DomainError
        Free parameters, a pole on the real line, or a function that is not defined everywhere.
    """
    return PiecewiseAnalytic(parts)
