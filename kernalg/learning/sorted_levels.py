r"""The levels of a spectrum in decreasing order, and the one equation every learning curve has to solve on them.

With L = lambda/(lambda + kappa), a rest r(kappa) that falls (ridges), and a number p, it is

.. math:: \sum_i m_iL_i + r(\kappa) = p .

Subtracting p from a sum close to p would lose the digits that decide kappa between well separated levels. Let J be the
number of eigenvalues above the root and :math:`C_J` the number of their modes, an exact integer. Then

.. math:: \underbrace{\sum_{i>J} m_i L_i + r(\kappa)}_{B} + (C_J - p) = \underbrace{\sum_{i\le J} m_i(1-L_i)}_A

where B falls and A rises with kappa, no term is negative but :math:`C_J-p`, and that one is added to its side. In
u = log kappa the difference of the logarithms of the sides has a slope between -2 and -1/2 (that of r being between -1
and -1/2), so Newton's method converges from anywhere in the bracket, whatever the plateaus of the original equation. J
is found by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray
from kernalg.errors import InternalError
from kernalg.spectrum.spectrum import Spectrum

Rest = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""kappa -> r and -dr/dlog(kappa)."""

_TINY = 5e-324
_HUGE = 10**308
# Entries (roots x levels) worked on at a time: the block and its temporaries stay in cache.
_BLOCK = 30_000


@dataclass(frozen=True, slots=True, eq=False)
class SortedLevels:
    """Levels of positive eigenvalue, the largest first.

    Attributes
    ----------
    values : eigenvalues.
    powers : multiplicity times eigenvalue.
    modes : multiplicities, as floats.
    high, low : cumulative multiplicities C_0, C_1, … as unevaluated sums, exact to 106 bits: C_J - p loses nothing.
    order : indices of these levels in the spectrum.
    logs : log2 of the eigenvalues where these may be below the range of float64, otherwise None.
    """

    values: FloatArray
    powers: FloatArray
    modes: FloatArray
    high: FloatArray
    low: FloatArray
    order: NDArray[np.intp]
    logs: FloatArray | None

    def __len__(self) -> int:
        return len(self.values)

    def beyond_rank(self, p: FloatArray) -> FloatArray:
        """p minus the number of all modes."""
        return (p - self.high[-1]) - self.low[-1]

    def block(self) -> int:
        """How many roots to look for at a time."""
        return max(1, _BLOCK // max(len(self), 1))

    def scaled(self, shift: int) -> SortedLevels:
        """The same with eigenvalues times 2^shift."""
        with np.errstate(under="ignore"):
            values = np.ldexp(self.values, shift) if self.logs is None else np.exp2(self.logs + shift)
            return replace(self, values=values, powers=np.ldexp(self.powers, shift))


def sorted_levels(spectrum: Spectrum) -> SortedLevels:
    """The levels of positive eigenvalue in decreasing order."""
    logs = spectrum.log_eigenvalues
    order = np.argsort(-logs, kind="stable")
    order = order[logs[order] > -math.inf]
    high, low = np.zeros(len(order) + 1), np.zeros(len(order) + 1)
    total = 0
    for position, i in enumerate(order, start=1):
        total += spectrum.multiplicities[i]
        high[position] = capped(total)
        low[position] = float(min(total, _HUGE) - int(high[position]))
    modes = np.array([capped(spectrum.multiplicities[i]) for i in order])
    values = np.maximum(spectrum.eigenvalues[order], 0.0)
    binary = None if spectrum.exact is None else logs[order] / math.log(2)
    return SortedLevels(values, spectrum.level_power[order], modes, high, low, order, binary)


def upper_shift(bound: float, p: FloatArray) -> int:
    """A power of two that puts the largest numbers, `bound` and bound/p, near the upper end of float64: what underflows
    then is 600 decades below them."""
    return 1000 - math.ceil(math.log2(bound) - min(math.log2(p.min()), 0.0))


def solve(
    levels: SortedLevels, p: FloatArray, rest: Rest, lowest: FloatArray, highest: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The root for every p, between `lowest` and `highest`, and sum m L (1-L) there.

    Raises
    ------
    InternalError
        If Newton's method does not converge.
    """
    values, count, index = levels.values, len(levels), np.arange(len(levels))

    def sides(kappa: FloatArray, modes_in: FloatArray, powers_out: FloatArray) -> tuple[FloatArray, ...]:
        """The sums of A and B over the levels, and their slopes by log kappa, both positive."""
        inverse = 1.0 / (values + kappa[:, None])
        missing = kappa[:, None] * inverse
        a = modes_in * missing
        b = powers_out * inverse
        return (
            a.sum(axis=1),
            b.sum(axis=1),
            np.einsum("ij,ij->i", a, values * inverse),
            np.einsum("ij,ij->i", b, missing),
        )

    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        # Bisection on J: is the root below eigenvalue `middle`?
        below, above = np.zeros(len(p), dtype=np.intp), np.full(len(p), count, dtype=np.intp)
        while (below < above).any():
            middle = np.minimum((below + above) // 2, count - 1)
            inside = index <= middle[:, None]
            modes_in, powers_out = np.where(inside, levels.modes, 0.0), np.where(inside, 0.0, levels.powers)
            a, b, _, _ = sides(values[middle], modes_in, powers_out)
            root_below = rest(values[middle])[0] + b - a + ((levels.high[middle + 1] - p) + levels.low[middle + 1]) < 0
            open_ = below < above
            below = np.where(open_ & root_below, middle + 1, below)
            above = np.where(open_ & ~root_below, middle, above)

        inside = index < below[:, None]
        modes_in, powers_out = np.where(inside, levels.modes, 0.0), np.where(inside, 0.0, levels.powers)
        spare = (levels.high[below] - p) + levels.low[below]
        padded = np.concatenate([[np.inf], values, [0.0]])
        # The eigenvalues themselves were tested in rounded arithmetic: a little slack on both sides.
        top = np.minimum(padded[below], highest) * 1.001
        bottom = np.maximum(np.maximum(padded[below + 1], lowest) * 0.999, _TINY)
        kappa = np.where((below == 0) | (below == count), top, np.sqrt(bottom) * np.sqrt(top))
        for _ in range(200):
            a, b, slope_a, slope_b = sides(kappa, modes_in, powers_out)
            added, slope = rest(kappa)
            left, right = b + added + np.maximum(spare, 0.0), a + np.maximum(-spare, 0.0)
            change = np.log(left / right) / (slope_a / right + (slope_b + slope) / left)
            bottom = np.where(left > right, kappa, bottom)
            top = np.where(left > right, top, kappa)
            proposal = kappa * np.exp(change)
            escaped = ~((proposal >= bottom) & (proposal <= top))
            kappa = np.where(escaped, np.sqrt(bottom) * np.sqrt(top), proposal)
            if (np.abs(change) < 1e-14).all():
                break
        if not (np.abs(change) < 1e-10).all():
            raise InternalError("the solver of an equation of learning curves did not converge")
        _, _, slope_a, slope_b = sides(kappa, modes_in, powers_out)
    return kappa, slope_a + slope_b


def capped(m: int) -> float:
    """A number of modes as a float; one that large is never learned by a number of samples in float64."""
    return float(min(m, _HUGE))
