"""Errors of compiled float64 duals, measured against balls on a grid.

The reference is the exact value at the very numbers the float64 code is given (binary fractions), so that only the
code's own error is seen, not the rounding of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation.dual import Dual
from kernalg.enclosure.balls import BallFunction, ball, ball_function, certain_digits, has_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.symbols import bivariate_normal_cdf, c, q1, q2

# Normal float64 numbers; beyond them a relative error means nothing.
_SMALLEST, _LARGEST = 1e-290, 1.7e308
_DIGITS = 20
# Cancellation between terms costs some tens of bits, rarely hundreds; past these, quadrature is faster.
_BITS = (160, 320, 1600)

# Three a decade: some formulas are handed to double-double arithmetic between two powers of ten.
VARIANCES = (*(m * 10.0**k for k in range(-8, 6) for m in (1.0, 2.2, 3.3)), 1e6)
RATIOS = (1.0, 4.0, 2.0**20)
CORRELATIONS = tuple(
    sorted(
        {0.0, 0.5, -0.5}
        | {s * (1 - 10.0**-k) for k in (2, 4, 6, 8, 10, 12, 14, 15) for s in (1, -1)}
        | {s * 10.0**-k for k in (2, 4, 6, 9) for s in (1, -1)}
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """A point of the grid, and an error there."""

    error: float
    q1: float
    q2: float
    rho: float

    def __str__(self) -> str:
        distance = 1 - abs(self.rho)
        near = f"±1∓{distance:.0e}".replace("±", "+" if self.rho > 0 else "-").replace(
            "∓", "-" if self.rho > 0 else "+"
        )
        rho = near if distance < 0.05 else f"{self.rho:.0e}"
        return f"q1={self.q1:.0e}, q2={self.q2:.0e}, rho={rho}"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The largest errors of one compiled dual.

    Parameters
    ----------
    name : str
    points : int
        Points with a reference value that float64 can represent.
    scaled : Place
        Largest error as a share of sqrt(k(q1,q1,q1) k(q2,q2,q2)), NaN and infinities left out.
    relative : Place
        Largest error as a share of |k|, where k is not 0.
    not_finite : tuple of Place
        Where the code gives NaN or an infinity although the value is representable.
    unknown : int
        Points without a reference value (no enclosure was reached).
    bivariate : bool
        Whether the formula holds bivariate normal distribution functions.
    """

    name: str
    points: int
    scaled: Place
    relative: Place
    not_finite: tuple[Place, ...]
    unknown: int
    bivariate: bool


def accuracy(
    dual: Dual,
    variances: Iterable[float] = VARIANCES,
    ratios: Iterable[float] = RATIOS,
    correlations: Iterable[float] = CORRELATIONS,
) -> Accuracy:
    """Measure a compiled dual with a closed form at q1 = q, q2 = q ratio, c = rho sqrt(q1 q2).

    Parameters
    ----------
    dual : Dual
    variances, ratios, correlations : iterables of float
        The grid. Powers of 4 as ratios keep sqrt(q1 q2) exact. Pairs with q2 > 1e7 are left out.

    Examples
    --------
    >>> from kernalg.activation.activation import activation
    >>> measured = accuracy(activation("relu").dual, [0.01, 1.0], [1.0, 4.0], [-0.5, 0.5])
    >>> measured.points, measured.scaled.error < 2e-14, measured.not_finite
    (8, True, ())
    """
    grid = [(a, a * ratio, rho) for a in variances for ratio in ratios if a * ratio <= 1e7 for rho in correlations]
    v1, v2, rho = (np.array(column) for column in zip(*grid, strict=True))
    covariance = rho * np.sqrt(v1) * np.sqrt(v2)
    covariance = np.where(v1 == v2, rho * v1, covariance)
    computed = np.asarray(dual(v1, v2, covariance))
    reference = _Reference(dual)
    scaled = relative = Place(0.0, *grid[0])
    broken: list[Place] = []
    unknown = points = 0
    for i, at in enumerate(grid):
        known = reference.at(float(v1[i]), float(v2[i]), float(covariance[i]))
        if known is None:
            unknown += 1
            continue
        exact, scale = known
        if abs(float(exact)) > _LARGEST:
            continue
        points += 1
        if not math.isfinite(computed[i]):
            broken.append(Place(math.inf, *at))
            continue
        with precision(160):
            error = abs(arb(float(computed[i])) - exact)
            if _SMALLEST < float(scale) < _LARGEST:
                scaled = max(scaled, Place(float(error / scale), *at), key=lambda p: p.error)
            if abs(float(exact)) > _SMALLEST:
                relative = max(relative, Place(float(error / abs(exact)), *at), key=lambda p: p.error)
    bivariate = sp.S(dual.expr).has(bivariate_normal_cdf)
    return Accuracy(dual.name, points, scaled, relative, tuple(broken), unknown, bivariate)


class _Reference:
    """k and sqrt(k(q1,q1,q1) k(q2,q2,q2)) in balls of 20 digits."""

    def __init__(self, dual: Dual) -> None:
        self.functions = dual.pieces
        self.pair = ball_function(dual.expr, (q1, q2, c))
        self.line = ball_function(dual.diagonal, (q1,))
        self.known: dict[float, arb | None] = {}

    def at(self, v1: float, v2: float, covariance: float) -> tuple[arb, arb] | None:
        ends = self.diagonal(v1), self.diagonal(v2)
        value = self._value(self.pair, v1, v2, covariance)
        if value is None or ends[0] is None or ends[1] is None:
            return None
        with precision(160):
            return value, (ends[0] * ends[1]).sqrt()

    def diagonal(self, variance: float) -> arb | None:
        if variance not in self.known:
            self.known[variance] = self._value(self.line, variance)
        return self.known[variance]

    def _value(self, function: BallFunction, *at: float) -> arb | None:
        for bits in _BITS:
            with precision(bits):
                value = function(*(ball(v) for v in at))
                if has_digits(value, _DIGITS) or (value.contains(0) and value.abs_upper() < arb(10) ** -400):
                    return value
        v1, v2, covariance = (sp.Rational(v) for v in (at if len(at) == 3 else at * 3))
        try:
            value = certified_expectation(*self.functions, v1, v2, covariance, _DIGITS)
        except (DomainError, PrecisionError):
            return None
        return value if certain_digits(value) >= _DIGITS - 1 else None
