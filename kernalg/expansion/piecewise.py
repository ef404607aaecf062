r"""Functions on [-1, 1] with square-root singularities at the ends, as polynomials in pieces.

In :math:`t = \sqrt{1 \mp \xi}` such a function is smooth up to the end. Chebyshev interpolation on each piece; a piece
whose coefficients do not decay to the accuracy wanted is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from flint import arb, fmpq

from kernalg.compiled.profile_table import ProfileTable
from kernalg.enclosure.balls import precision
from kernalg.errors import PrecisionError

# f(side, y) at an exact y: the functions at xi = y (side 0) or xi = side (1 - y^2)
Functions = Callable[[int, arb], Sequence[arb]]

NODES = 32
MOST_PIECES = 32
_TAIL = 2e-17
_BITS = 160
_STEEPEST = 1e5
_MIDDLE = fmpq(1, 2)


def profile_table(functions: Functions, ends: Sequence[tuple[arb, arb]]) -> ProfileTable:
    """Table of two functions, accurate to about 1e-16 of their values at xi = 1 in float64 arithmetic.

    Parameters
    ----------
    functions : callable
        ``functions(side, y)`` gives both values, at xi = y for side 0, else at xi = side (1 - y^2).
    ends : pairs of arb
        Their values at xi = 1 and at xi = -1.

    Raises
    ------
    PrecisionError
        The functions vary too fast for a table of `MOST_PIECES` pieces.
    """
    with precision(_BITS):
        sizes = [max(abs(float(one)), 1e-300) for one, _ in ends]
        pieces: list[_Piece] = []
        reach = arb(fmpq(1, 2)).sqrt()
        for side, low, high in ((-1, arb(0), reach), (0, arb(-_MIDDLE), arb(_MIDDLE)), (1, arb(0), reach)):
            pieces += _pieces(functions, sizes, side, low, high)
        pieces.sort(key=lambda p: float(p.xi_low))
    width = max(len(c) for p in pieces for c in p.monomials)
    width += -(width - 1) % 4
    coefficients = np.zeros((2, len(pieces), width))
    for i, piece in enumerate(pieces):
        for part in range(2):
            coefficients[part, i, : len(piece.monomials[part])] = piece.monomials[part]
    inner = [float(p.xi_low) for p in pieces[1:]]
    slopes = [_slope(pieces, part) / sizes[part] for part in range(2)]
    if max(slopes) > _STEEPEST:
        raise PrecisionError("the kernel falls too steeply at xi = 1 or -1 for a table in sqrt(1 - |xi|)")
    return ProfileTable(
        edges=np.array([-np.inf, *inner, np.inf]),
        sides=np.array([p.side for p in pieces], dtype=np.int64),
        lower=np.array([np.nextafter(float(p.low), -1) if p.low != 0 else 0.0 for p in pieces]),
        upper=np.array([np.nextafter(float(p.high), 2) for p in pieces]),
        centres=np.array([float((p.low + p.high) / 2) for p in pieces]),
        scales=np.array([float(2 / (p.high - p.low)) for p in pieces]),
        coefficients=coefficients,
        ends=np.array([[float(one), float(minus)] for one, minus in ends]),
        slopes=np.array(slopes),
        error=np.array([max(p.error[part] for p in pieces) / sizes[part] for part in range(2)]),
    )


class _Piece:
    def __init__(self, side: int, low: arb, high: arb, monomials: list[list[float]], error: list[float]) -> None:
        self.side, self.low, self.high, self.monomials, self.error = side, low, high, monomials, error

    @property
    def xi_low(self) -> arb:
        if self.side == 0:
            return self.low
        return 1 - self.high**2 if self.side > 0 else self.low**2 - 1


def _slope(pieces: Sequence[_Piece], part: int) -> float:
    """Bound of |d/dy| over the side pieces: sum k |m_k| times the scale."""
    return max(
        (
            sum(k * abs(m) for k, m in enumerate(p.monomials[part])) * float(2 / (p.high - p.low))
            for p in pieces
            if p.side
        ),
        default=0.0,
    )


def _pieces(functions: Functions, sizes: Sequence[float], side: int, low: arb, high: arb) -> list[_Piece]:
    todo, made = [(low, high)], []
    while todo:
        a, b = todo.pop()
        piece = _piece(functions, sizes, side, a, b)
        if piece is not None:
            made.append(piece)
            continue
        middle = ((a + b) / 2).mid()
        todo += [(a, middle), (middle, b)]
        if len(made) + len(todo) > MOST_PIECES:
            raise PrecisionError(
                f"the kernel varies too fast for a table of {MOST_PIECES} polynomials (near xi = "
                f"{float(a if side == 0 else side * (1 - a**2)):.6g})"
            )
    return made


def _piece(functions: Functions, sizes: Sequence[float], side: int, low: arb, high: arb) -> _Piece | None:
    """The interpolant on [low, high], or None when it is not accurate enough."""
    centre, half = (low + high) / 2, (high - low) / 2
    nodes, cosines, to_monomials = _chebyshev()
    values = [functions(side, (centre + half * node).mid()) for node in nodes]
    monomials, errors = [], []
    for part, size in enumerate(sizes):
        samples = [v[part] for v in values]
        c = [sum((s * w for s, w in zip(samples, row, strict=True)), arb(0)) for row in cosines]
        if not all(x.is_finite() for x in c) or sum(abs(float(x)) for x in c[-3:]) > _TAIL * size:
            return None
        while len(c) > 1 and abs(float(c[-1])) < _TAIL / 8 * size:
            c.pop()
        m = [float(sum((c[k] * to_monomials[k][j] for k in range(j, len(c))), arb(0))) for j in range(len(c))]
        if sum(abs(a) for a in m) > 16 * size:
            return None
        monomials.append(m)
    # measured at points between the nodes, in float64
    for part, m in enumerate(monomials):
        worst = 0.0
        for step in range(-3, 4):
            z = fmpq(2 * step + 1, 8) if step < 3 else fmpq(-15, 16)
            exact = functions(side, (centre + half * arb(z)).mid())[part]
            value = float(np.polynomial.polynomial.polyval(float(arb(z)), m))
            worst = max(worst, abs(float(exact - arb(value))))
        errors.append(worst)
        if worst > 64 * 2.0**-53 * sizes[part]:
            return None
    return _Piece(side, low, high, monomials, errors)


@lru_cache(maxsize=1)
def _chebyshev() -> tuple[list[arb], list[list[arb]], list[list[int]]]:
    """Nodes; rows that turn values into Chebyshev coefficients; the monomial coefficients of T_k."""
    with precision(_BITS + 40):
        angles = [arb.pi() * (2 * j + 1) / (2 * NODES) for j in range(NODES)]
        nodes = [a.cos() for a in angles]
        rows = [[(k * a).cos() * (2 if k else 1) / NODES for a in angles] for k in range(NODES)]
    table = [[1], [0, 1]]
    for k in range(2, NODES):
        shifted = [0, *(2 * a for a in table[k - 1])]
        previous = table[k - 2] + [0] * (len(shifted) - len(table[k - 2]))
        table.append([a - b for a, b in zip(shifted, previous, strict=True)])
    return nodes, rows, table
