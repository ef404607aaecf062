"""How a step is checked. Only `symbolic` and `derivative and point` are proofs; the others say what they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import mpmath
import sympy as sp

from kernalg.derivation.expectation import NODES, Expectation, Mean, quadrature
from kernalg.derivation.normal_form import normal_form
from kernalg.enclosure.balls import enclose
from kernalg.errors import InternalError
from kernalg.gaussian.pieces import PIECEWISE_HEADS, pieces
from kernalg.symbols import c, normal_cdf, q1, q2, rho, x

DIGITS = 30
QUADRATURE_TOLERANCE = 1e-10
MPMATH_DIGITS = 12
_SERIES_TERMS = 50
MOST_OPERATIONS = 1600
_OUT_OF_REACH = 1e-25  # the panels end where the density is 1e-37
_COVARIANCES = [
    ("1", "1", "1/2"),
    ("3/2", "2/3", "-2/5"),
    ("1/2", "2", "7/10"),
    ("2", "1/4", "1/10"),
    ("7/5", "6/5", "-1"),
]
_SCALES = [sp.Rational(s) for s in ("1", "1/16", "16", "1/256", "256")]
_CORRELATIONS = ["1/2", "-2/5", "9/10", "1/10", "-19/20"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was done to believe a step."""

    # "definition", "symbolic", "derivative and point", "instances", "balls", "quadrature", "series", "mpmath", "cited"
    kind: str
    detail: str

    @property
    def is_proof(self) -> bool:
        return self.kind in ("definition", "symbolic", "derivative and point")

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class StepFails(InternalError):
    """A step of a derivation is false; the message shows both sides."""


def symbolic(lhs: sp.Basic, rhs: sp.Basic) -> Check:
    """The difference (entry by entry for matrices and tuples) is zero after carrying out what is left undone."""
    how = "expands to 0"
    for left, right in zip(entries(lhs), entries(rhs), strict=True):
        for difference in _branches((left - right).doit()):
            if sp.expand(difference) != 0:
                how = "simplifies to 0"
                if _is_refuted(difference) or not _simplifies_to_zero(difference):
                    raise StepFails(f"left minus right is {sp.expand(difference)}, not 0")
    return Check("symbolic", f"the difference {how}")


def _branches(difference: sp.Expr) -> tuple[sp.Expr, ...]:
    """A piecewise function of x vanishes when all its branches do."""
    return pieces(difference).branches if difference.has(x) and difference.has(*PIECEWISE_HEADS) else (difference,)


def _simplifies_to_zero(difference: sp.Expr) -> bool:
    return bool(
        normal_form(difference, _is_positive) == 0
        or sp.simplify(difference) == 0
        or sp.simplify(difference.rewrite(sp.exp)) == 0
    )


def _is_positive(polynomial: sp.Expr) -> bool:
    """Positive at the sample points of the domain (see `normal_form` for why that decides)."""
    if polynomial.is_positive is not None:
        return bool(polynomial.is_positive)
    return all(bool(polynomial.subs(at).is_positive) for at in samples(polynomial.free_symbols))


def _is_refuted(difference: sp.Expr) -> bool:
    """Whether a value at a sample point shows quickly that the difference is not 0."""
    at = next(samples(difference.free_symbols))
    try:
        terms = [sp.N(t.subs(at), 30) for t in sp.Add.make_args(difference)]
    except (TypeError, ValueError):
        return False
    value, scale = sp.Add(*terms), sp.Add(*(abs(t) for t in terms if t.is_number))
    return bool(value.is_number and scale.is_number and abs(value) > sp.Float("1e-15") * scale)


def derivative_and_point(lhs: sp.Expr, rhs: sp.Expr, symbol: sp.Symbol, point: sp.Expr, value: sp.Expr) -> Check:
    """d/d symbol of `rhs` is `lhs`'s derivative (given), and both agree at one point."""
    difference = sp.diff(rhs, symbol) - lhs
    if sp.expand(difference) != 0 and (_is_refuted(difference) or not _simplifies_to_zero(difference)):
        raise StepFails(f"the derivatives differ by {difference}")
    difference = rhs.subs(symbol, point) - value
    if sp.expand(difference) != 0 and (_is_refuted(difference) or not _simplifies_to_zero(difference)):
        raise StepFails(f"at {symbol} = {point} the right side is {rhs.subs(symbol, point)}, not {value}")
    return Check("derivative and point", f"equal derivatives in ${symbol}$, equal values at ${symbol} = {point}$")


def instances(lhs: sp.Basic, rhs: sp.Basic, index: sp.Symbol, values: Iterable[int]) -> Check:
    """The identity holds symbolically for finitely many values of an integer."""
    listed = list(values)
    for n in listed:
        try:
            symbolic(*(side.subs(index, n).doit() for side in (lhs, rhs)))
        except StepFails as failure:
            raise StepFails(f"for {index} = {n}: {failure}") from None
    return Check("instances", f"proved symbolically for ${index}$ = {', '.join(map(str, listed))}, and for these only")


def balls(lhs: sp.Basic, rhs: sp.Basic, count: int = 3) -> Check:
    """Enclosures of both sides overlap, at sample points of the domain."""
    lhs, rhs = lhs.doit(), rhs.doit()
    points = 0
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        for a, b in zip(entries(lhs), entries(rhs), strict=True):
            left, right = enclose(a, at, DIGITS), enclose(b, at, DIGITS)
            if not left.overlaps(right):
                raise StepFails(f"at {_show(at)} the left side is {left.str(15)} and the right side {right.str(15)}")
        points += 1
    return Check("balls", f"{DIGITS} digits agree at {_points(points)}; not a proof")


def proof_or_balls(lhs: sp.Basic, rhs: sp.Basic) -> Check:
    """A proof where the normal form of the difference is 0; else, or where it would take minutes, balls."""
    left, right = lhs.doit(), rhs.doit()
    short = left.count_ops() + right.count_ops() <= MOST_OPERATIONS
    if short and not (left - right).has(sp.re, sp.im) and normal_form(left - right, _is_positive) == 0:
        return Check("symbolic", "the normal form of the difference is 0")
    return balls(lhs, rhs)


def at_most(lhs: sp.Basic, rhs: sp.Basic, count: int = 5) -> Check:
    """lhs <= rhs (entry by entry) at sample points of the domain: the balls never show the opposite."""
    lhs, rhs = lhs.doit(), rhs.doit()
    points = 0
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        for a, b in zip(entries(lhs), entries(rhs), strict=True):
            left, right = enclose(a, at, DIGITS), enclose(b, at, DIGITS)
            if left > right:
                raise StepFails(f"at {_show(at)} the left side {left.str(15)} is above {right.str(15)}")
        points += 1
    return Check("balls", f"the inequality holds to {DIGITS} digits at {_points(points)}; not a proof")


def by_quadrature(lhs: sp.Expr, rhs: sp.Expr, count: int = 3) -> Check:
    """Expectations against a closed form (or against other expectations), by Gauss-Legendre quadrature.

    The difference is compared with the size the expectations can have at most, sqrt(E f^2 E g^2): a sum of small
    numbers is held to its own scale. Where a value is tiny even on that scale a flipped sign would pass unseen; such a
    point is moved to other variances.
    """
    points = 0
    two = any(side.has(Expectation) for side in (lhs, rhs))
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        for scale in _SCALES:
            place = {s: v * scale if s in (q1, q2, c) else v for s, v in at.items()}
            left, right = _with_quadrature(lhs, place), _with_quadrature(rhs, place)
            if left == right == 0:
                break
            bounds = [bound for side in (lhs, rhs) for bound in _bounds(side, place)]
            if bounds and max(bounds) < _OUT_OF_REACH:
                continue
            size = max(abs(left), abs(right))
            allowed = QUADRATURE_TOLERANCE * max(size, sum(bounds))
            if not abs(left - right) <= allowed:
                left, right = (_with_quadrature(side, place, 3 * NODES) for side in (lhs, rhs))
            if not abs(left - right) <= allowed:
                raise StepFails(f"at {_show(place)} quadrature gives {left:.15g} and the formula {right:.15g}")
            if size >= 4 * allowed:
                break
        else:
            raise StepFails(
                f"at {_show(at)} and at other variances both sides are too small for quadrature to tell their signs; "
                "check the step in balls"
            )
        points += 1
    dimension = "two-dimensional" if two else "one-dimensional"
    return Check(
        "quadrature",
        f"{dimension} Gauss-Legendre at {_points(points)}, difference below {QUADRATURE_TOLERANCE:.0e}; not a proof",
    )


def _bounds(expr: sp.Expr, at: dict[sp.Symbol, sp.Expr]) -> list[float]:
    """For every term coefficient * expectation, |coefficient| times the bound of Cauchy and Schwarz."""
    bounds = []
    for term in sp.Add.make_args(expr):
        nodes = term.atoms(Expectation, Mean)
        if len(nodes) != 1 or (weight := term.coeff(node := next(iter(nodes)))) == 0:
            continue
        if isinstance(node, Expectation):
            squares = [Mean(f**2, q) for f, q in zip(node.args, (q1, q2), strict=True)]
        else:
            squares = [Mean(node.args[0] ** 2, node.args[1])]
        size = math.sqrt(math.prod(abs(quadrature(square, at)) for square in squares))
        bounds.append(size * abs(float(evaluate(weight, at))))
    return bounds


def _with_quadrature(expr: sp.Expr, at: dict[sp.Symbol, sp.Expr], nodes: int = NODES) -> float:
    expr = expr.xreplace({n: sp.Float(quadrature(n, at, nodes), 17) for n in expr.atoms(Expectation, Mean)})
    if expr.has(sp.Integral, sp.Sum, sp.hyper):
        return float(evaluate(expr, at))
    expr = expr.doit()
    return float(enclose(expr, {s: v for s, v in at.items() if s in expr.free_symbols}, 20))


def by_mpmath(lhs: sp.Expr, rhs: sp.Expr, count: int = 3) -> Check:
    """Integrals and sums that stand unevaluated on a page, by mpmath's quadrature and summation."""
    points = 0
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        left, right = evaluate(lhs, at), evaluate(rhs, at)
        if not abs(left - right) <= mpmath.mpf(10) ** -MPMATH_DIGITS * max(abs(left), abs(right)):
            raise StepFails(f"at {_show(at)} the left side is {left} and the right side {right}")
        points += 1
    return Check("mpmath", f"{MPMATH_DIGITS} digits agree at {_points(points)}; not a proof")


def evaluate(expr: sp.Expr, at: dict[sp.Symbol, sp.Expr]) -> Any:
    """A real number; the outermost integrals and sums by mpmath."""
    expr = expr.subs(at)
    with mpmath.workdps(MPMATH_DIGITS + 8):
        values = {n: sp.Float(_integral_or_sum(n), MPMATH_DIGITS + 5) for n in _outermost(expr)}
        return mpmath.mpmathify(sp.N(expr.xreplace(values), MPMATH_DIGITS + 5))


def _outermost(expr: sp.Expr) -> list[sp.Expr]:
    if isinstance(expr, sp.Integral | sp.Sum):
        return [expr]
    return [n for a in expr.args for n in _outermost(a)]


def _integral_or_sum(node: sp.Expr) -> Any:
    variables = [limit[0] for limit in node.limits]
    ranges = [[_end(e) for e in limit[1:]] for limit in node.limits]
    body = node.function.replace(normal_cdf, sp.Function("normal_cdf"))
    f = sp.lambdify(variables, body, [{"normal_cdf": mpmath.ncdf}, "mpmath"])
    value = (mpmath.quad if isinstance(node, sp.Integral) else mpmath.nsum)(f, *ranges)
    # a power of a base that reaches 0 at the end of the range may be complex there by rounding
    if abs(mpmath.im(value)) > mpmath.mpf(10) ** -(MPMATH_DIGITS + 2):
        raise StepFails(f"{node} is {value}, not real")
    return mpmath.re(value)


def _end(end: sp.Expr) -> Any:
    return mpmath.mpf(str(end).replace("oo", "inf")) if end.is_infinite else mpmath.mpmathify(sp.N(end, 20))


def by_hermite_series(coefficients: Callable[[int, sp.Expr], Iterable[list[sp.Expr]]], rhs: sp.Expr) -> Check:
    """A dual against Mehler's series sum a_k(q1) b_k(q2) rho^k, at points with |rho| <= 1/2.

    `coefficients(n, q)` gives a_0 … a_n and b_0 … b_n at variance q.
    """
    points = _COVARIANCES[:2] + _COVARIANCES[3:4]
    for point in points:
        at = {s: sp.Rational(v) for s, v in zip((q1, q2, c), point, strict=True)}
        (a, _), (_, b) = (tuple(coefficients(_SERIES_TERMS, at[s])) for s in (q1, q2))
        first, second = ([float(sp.N(v, 20)) for v in side] for side in (a, b))
        correlation = float(at[c] / sp.sqrt(at[q1] * at[q2]))
        series = math.fsum(u * v * correlation**k for k, (u, v) in enumerate(zip(first, second, strict=True)))
        size = math.sqrt(math.fsum(u * u for u in first) * math.fsum(v * v for v in second))
        formula = float(enclose(rhs, at, 20))
        if not abs(series - formula) <= QUADRATURE_TOLERANCE * size:
            raise StepFails(f"at {_show(at)} the Hermite series gives {series:.15g} and the formula {formula:.15g}")
    return Check(
        "series", f"Hermite series at {_points(len(points))}, difference below {QUADRATURE_TOLERANCE:.0e}; not a proof"
    )


CHECKS: dict[str, Callable[[sp.Basic, sp.Basic], Check]] = {
    "symbolic": symbolic,
    "balls": balls,
    "proof or balls": proof_or_balls,
    "quadrature": by_quadrature,
    "mpmath": by_mpmath,
}


def cited(lhs: sp.Expr, rhs: sp.Expr) -> Check:
    """A classical theorem is the reason; both sides are still compared in numbers."""
    sides = (lhs, rhs)
    if any(s.has(Expectation, Mean) for s in sides):
        numerical = by_quadrature(lhs, rhs)
    elif any(s.has(sp.Integral, sp.Sum) for s in sides):
        numerical = by_mpmath(lhs, rhs)
    else:
        numerical = balls(lhs, rhs)
    return Check("cited", f"and compared numerically ({numerical})")


def entries(value: sp.Basic) -> list[sp.Expr]:
    """The entries of a matrix or a tuple, or the expression alone."""
    if isinstance(value, sp.Tuple):
        return list(value)
    if isinstance(value, sp.MatrixBase | sp.MatrixExpr):
        return list(value.as_explicit().doit())
    return [value]


def samples(symbols: set[sp.Basic]) -> Iterator[dict[sp.Symbol, sp.Expr]]:
    """Deterministic exact points of the domain q1, q2 > 0, c^2 < q1 q2, |rho| < 1; parameters by their assumptions."""
    others = sorted(symbols - {q1, q2, c, rho}, key=str)
    for i, (covariance, correlation) in enumerate(zip(_COVARIANCES, _CORRELATIONS, strict=True)):
        at = {s: sp.Rational(v) for s, v in zip((q1, q2, c), covariance, strict=True)}
        at[rho] = sp.Rational(correlation)
        for j, s in enumerate(others):
            magnitude = sp.Integer(2 + i + j) if s.is_integer else sp.Rational(3 + i + j, 5)
            at[s] = -magnitude if s.is_negative else magnitude
        yield at if not symbols else {s: v for s, v in at.items() if s in symbols}
        if not symbols:
            return


def _points(count: int) -> str:
    return f"{count} point{'s' if count > 1 else ''}"


def _show(at: dict[sp.Symbol, sp.Expr]) -> str:
    return ", ".join(f"{s} = {v}" for s, v in at.items())
