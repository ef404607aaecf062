"""How a step is checked. Only `symbolic` and `derivative and point` are proofs; the others say what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import sympy as sp

from kernalg.derivation.expectation import Expectation, quadrature
from kernalg.enclosure.balls import enclose
from kernalg.errors import InternalError
from kernalg.symbols import c, q1, q2, rho

DIGITS = 30
QUADRATURE_TOLERANCE = 1e-10
_COVARIANCES = [
    ("1", "1", "1/2"),
    ("3/2", "2/3", "-2/5"),
    ("1/2", "2", "7/10"),
    ("2", "1/4", "1/10"),
    ("7/5", "6/5", "-1"),
]
_CORRELATIONS = ["1/2", "-2/5", "9/10", "1/10", "-19/20"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was done to believe a step."""

    kind: str  # "definition", "symbolic", "derivative and point", "balls", "quadrature", "cited"
    detail: str

    @property
    def is_proof(self) -> bool:
        return self.kind in ("definition", "symbolic", "derivative and point")

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class StepFails(InternalError):
    """A step of a derivation is false; the message shows both sides."""


def symbolic(lhs: sp.Expr, rhs: sp.Expr) -> Check:
    """The difference is zero after carrying out derivatives and expanding."""
    difference = sp.expand((lhs - rhs).doit())
    if difference != 0:
        difference = sp.simplify(difference)
    if difference != 0:
        raise StepFails(f"left minus right is {difference}, not 0")
    return Check("symbolic", "the difference expands to 0")


def derivative_and_point(lhs: sp.Expr, rhs: sp.Expr, symbol: sp.Symbol, point: sp.Expr, value: sp.Expr) -> Check:
    """d/d symbol of `rhs` is `lhs`'s derivative (given), and both agree at one point."""
    difference = sp.simplify(sp.diff(rhs, symbol) - lhs)
    if difference != 0:
        raise StepFails(f"the derivatives differ by {difference}")
    if sp.simplify(rhs.subs(symbol, point) - value) != 0:
        raise StepFails(f"at {symbol} = {point} the right side is {rhs.subs(symbol, point)}, not {value}")
    return Check("derivative and point", f"equal derivatives in {symbol}, equal values at {symbol} = {point}")


def balls(lhs: sp.Expr, rhs: sp.Expr, count: int = 3) -> Check:
    """Enclosures of both sides overlap, at sample points of the domain."""
    lhs, rhs = lhs.doit(), rhs.doit()
    points = 0
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        left, right = enclose(lhs, at, DIGITS), enclose(rhs, at, DIGITS)
        if not left.overlaps(right):
            raise StepFails(f"at {_show(at)} the left side is {left.str(15)} and the right side {right.str(15)}")
        points += 1
    return Check("balls", f"{DIGITS} digits agree at {points} point{'s' if points > 1 else ''}; not a proof")


def by_quadrature(lhs: Expectation, rhs: sp.Expr, count: int = 3) -> Check:
    """An expectation against its closed form, by two-dimensional quadrature."""
    worst, points = 0.0, 0
    for at in islice(samples(lhs.free_symbols | rhs.free_symbols), count):
        left, right = quadrature(lhs, at), float(enclose(rhs, {s: at[s] for s in rhs.free_symbols}, 20))
        error = abs(left - right) / max(1.0, abs(right))
        if not error < QUADRATURE_TOLERANCE:
            raise StepFails(f"at {_show(at)} quadrature gives {left:.15g} and the formula {right:.15g}")
        worst, points = max(worst, error), points + 1
    return Check(
        "quadrature", f"two-dimensional Gauss-Legendre at {points} points, difference at most {worst:.0e}; not a proof"
    )


def samples(symbols: set[sp.Basic]) -> Iterator[dict[sp.Symbol, sp.Expr]]:
    """Deterministic exact points of the domain q1, q2 > 0, c^2 < q1 q2, |rho| < 1; parameters by their assumptions."""
    others = sorted(symbols - {q1, q2, c, rho}, key=str)
    for i, (covariance, correlation) in enumerate(zip(_COVARIANCES, _CORRELATIONS, strict=True)):
        at = {s: sp.Rational(v) for s, v in zip((q1, q2, c), covariance, strict=True)}
        at[rho] = sp.Rational(correlation)
        for j, s in enumerate(others):
            magnitude = sp.Rational(3 + i + j, 5)
            at[s] = -magnitude if s.is_negative else magnitude
        yield at if not symbols else {s: v for s, v in at.items() if s in symbols}


def _show(at: dict[sp.Symbol, sp.Expr]) -> str:
    return ", ".join(f"{s} = {v}" for s, v in at.items())
