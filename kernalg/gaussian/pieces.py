"""A piecewise function of x as its smooth branches, left to right.

Abs, sign, Heaviside, Max, Min and Piecewise are resolved bottom-up: the breakpoints of the arguments are refined by
the real zeros of whatever decides the branch, and on each open interval one sample point says which branch holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import sympy as sp

from kernalg.errors import NoClosedForm
from kernalg.symbols import x

PIECEWISE_HEADS = (sp.Abs, sp.sign, sp.Heaviside, sp.Max, sp.Min, sp.Piecewise)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Branch `branches[i]` holds between `breakpoints[i-1]` and `breakpoints[i]` (open ends at ±infinity)."""

    breakpoints: tuple[sp.Expr, ...]
    branches: tuple[sp.Expr, ...]

    def samples(self) -> list[sp.Expr]:
        return _samples(self.breakpoints)

    def merged(self) -> Pieces:
        """Without the breakpoints at which nothing changes."""
        points, branches = [], [self.branches[0]]
        for point, branch in zip(self.breakpoints, self.branches[1:], strict=True):
            if sp.expand(branch - branches[-1]) != 0:
                points.append(point)
                branches.append(branch)
        return Pieces(tuple(points), tuple(branches))


def pieces(expr: sp.Expr) -> Pieces:
    """The smooth branches of `expr`.

    Raises
    ------
    NoClosedForm
        when a breakpoint cannot be found exactly, or two of them cannot be put in order.
    """
    return _pieces(sp.S(expr)).merged()


def _pieces(expr: sp.Expr) -> Pieces:
    if not expr.has(*PIECEWISE_HEADS) or not expr.has(x):
        return Pieces((), (expr,))
    if isinstance(expr, sp.Piecewise):
        return _pieces_of_piecewise(expr)
    parts = [_pieces(a) for a in expr.args]
    points = _ordered([p for part in parts for p in part.breakpoints])
    rows = list(zip(*(_refine(part, points) for part in parts), strict=True))
    if not isinstance(expr, PIECEWISE_HEADS):
        return Pieces(tuple(points), tuple(expr.func(*row) for row in rows))
    return _resolve(expr.func, points, rows)


def _resolve(head: type, points: list[sp.Expr], rows: list[tuple[sp.Expr, ...]]) -> Pieces:
    """Split every interval at the zeros of what `head` looks at, then choose the branch there."""
    extra: list[sp.Expr] = []
    for row in rows:
        first = row[0]
        gaps = [a - b for i, a in enumerate(row) for b in row[:i]] if head in (sp.Max, sp.Min) else [first]
        for gap in gaps:
            extra += _real_zeros(gap)
    finer = _ordered([*points, *extra])
    branches: list[sp.Expr] = []
    for sample in _samples(finer):
        row = rows[_index(points, sample)]
        if head in (sp.Max, sp.Min):
            best = row[0]
            for candidate in row[1:]:
                positive = _is_positive((candidate - best).subs(x, sample))
                if positive == (head is sp.Max):
                    best = candidate
            branches.append(best)
        else:
            side = _is_positive(row[0].subs(x, sample)) if row[0] != 0 else None
            branches.append(_one_sided(head, row[0], side))
    return Pieces(tuple(finer), tuple(branches))


def _one_sided(head: type, argument: sp.Expr, positive: bool | None) -> sp.Expr:
    if positive is None:  # the argument vanishes identically on this interval
        return sp.S.Half if head is sp.Heaviside else sp.S.Zero
    if head is sp.Abs:
        return argument if positive else -argument
    if head is sp.sign:
        return sp.S.One if positive else sp.S.NegativeOne
    return sp.S.One if positive else sp.S.Zero


def _pieces_of_piecewise(expr: sp.Piecewise) -> Pieces:
    parts = [_pieces(branch) for branch, _ in expr.args]
    points = [p for part in parts for p in part.breakpoints]
    for _, condition in expr.args:
        for relation in condition.atoms(sp.core.relational.Relational):
            points += _real_zeros(relation.lhs - relation.rhs)
    points = _ordered(points)
    refined = [_refine(part, points) for part in parts]
    branches = []
    for i, sample in enumerate(_samples(points)):
        for j, (_, condition) in enumerate(expr.args):
            holds = condition if condition in (sp.true, sp.false) else condition.subs(x, sample)
            if holds == sp.true:
                branches.append(refined[j][i])
                break
            if holds != sp.false:
                raise NoClosedForm(f"the condition {condition} is undecided at x = {sample}; state the assumptions")
        else:
            raise NoClosedForm(f"no branch of {expr} holds at x = {sample}; end the Piecewise with (…, True)")
    return Pieces(tuple(points), tuple(branches))


def _refine(part: Pieces, points: Sequence[sp.Expr]) -> list[sp.Expr]:
    return [part.branches[_index(part.breakpoints, sample)] for sample in _samples(points)]


def _samples(points: Sequence[sp.Expr]) -> list[sp.Expr]:
    if not points:
        return [sp.S.Zero]
    inner = [(a + b) / 2 for a, b in pairwise(points)]
    return [points[0] - 1, *inner, points[-1] + 1]


def _index(points: Sequence[sp.Expr], sample: sp.Expr) -> int:
    return sum(1 for p in points if _is_positive(sample - p))


def _ordered(points: Sequence[sp.Expr]) -> list[sp.Expr]:
    out: list[sp.Expr] = []
    for point in points:
        if any(sp.expand(point - other) == 0 for other in out):
            continue
        out.insert(_index(out, point), point)
    return out


def _is_positive(value: sp.Expr) -> bool:
    decided = value.is_positive
    if decided is None:
        decided = sp.simplify(value).is_positive
    if decided is None:
        raise NoClosedForm(
            f"the sign of {value} is unknown, so the branches cannot be put in order; declare its symbols with "
            "assumptions, e.g. Symbol('t', positive=True)"
        )
    return bool(decided)


def _real_zeros(expr: sp.Expr) -> list[sp.Expr]:
    """Real zeros of a smooth branch at which it can change sign."""
    expr = sp.expand(expr)
    if not expr.has(x):
        return []
    if expr.is_polynomial(x):
        polynomial = sp.Poly(expr, x)
        if polynomial.degree() == 1:
            return [sp.cancel(-polynomial.coeff_monomial(1) / polynomial.coeff_monomial(x))]
        if polynomial.domain.is_QQ or polynomial.domain.is_ZZ:
            zeros = sorted(set(sp.real_roots(polynomial)))
            if all(not z.has(sp.CRootOf) for z in zeros):
                return zeros
        else:
            zeros = list(sp.roots(polynomial))
            if len(zeros) == len(set(zeros)) and sum(sp.roots(polynomial).values()) == polynomial.degree():
                return [z for z in zeros if z.is_real]
    else:
        zeros = sp.solveset(expr, x, sp.S.Reals)
        if isinstance(zeros, sp.FiniteSet):
            return list(zeros)
        if zeros is sp.S.EmptySet:
            return []
    raise NoClosedForm(
        f"the breakpoints where {expr} changes sign are not found in closed form; write the function as a Piecewise "
        "with its breakpoints as numbers"
    )
