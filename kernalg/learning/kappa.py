"""The equation that decides what kernel ridge regression learns: its one root, to the last digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kernalg.checks import FloatArray
from kernalg.errors import DomainError, InternalError
from kernalg.spectrum.spectrum import Spectrum

_TINY = 5e-324
_HUGE = 10**308
# Entries (sample sizes x levels) worked on at a time: the block and its temporaries stay in cache.
_BLOCK = 30_000


@dataclass(frozen=True, slots=True, eq=False)
class AtKappa:
    """What a spectrum has learned at given thresholds kappa; shape (len(kappa), levels).

    Attributes
    ----------
    learned : L = lambda/(lambda + kappa).
    missing : 1 - L = kappa/(lambda + kappa).
    modes : m L.
    """

    learned: FloatArray
    missing: FloatArray
    modes: FloatArray

    @property
    def learned_modes(self) -> FloatArray:
        """sum m L, per kappa."""
        return self.modes.sum(axis=1)

    @property
    def squares(self) -> FloatArray:
        """sum m L^2, per kappa."""
        return (self.modes * self.learned).sum(axis=1)

    @property
    def participation(self) -> FloatArray:
        """sum m L (1 - L), per kappa: the number of modes half learned."""
        return (self.modes * self.missing).sum(axis=1)


def at_kappa(spectrum: Spectrum, kappa: FloatArray) -> AtKappa:
    """Learnabilities at every `kappa`, 0 and inf included; a level of eigenvalue 0 is never learned."""
    positive = spectrum.log_eigenvalues > -math.inf
    values, powers = np.maximum(spectrum.eigenvalues, 0.0), spectrum.level_power
    column = kappa[:, None]
    # L and 1-L each from its own quotient: neither may be had by subtraction. m L is (m lambda)/(lambda + kappa): m
    # alone may exceed float64.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        learned = 1.0 / (1.0 + column / values)
        missing = 1.0 / (1.0 + values / column)
        modes = powers / (values + column)
    if (kappa == 0).any():
        counts = np.array([_capped(m) for m in spectrum.multiplicities])
        learned[kappa == 0], missing[kappa == 0], modes[kappa == 0] = 1.0, 0.0, counts
    learned[:, ~positive], missing[:, ~positive], modes[:, ~positive] = 0.0, 1.0, 0.0
    return AtKappa(learned, missing, modes)


def solve_kappa(spectrum: Spectrum, n: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    r"""The root kappa of sum m lambda/(lambda+kappa) + ridge/kappa = n, for every n; and sum m L (1-L) there.

    Subtracting n from a sum close to n would lose the digits that decide kappa between well separated levels. Let J
    be the number of eigenvalues above the root and :math:`C_J` the number of their modes, an exact integer. Then

    .. math:: \underbrace{\sum_{i>J} m_i L_i + \delta/\kappa}_{B} + (C_J - n) = \underbrace{\sum_{i\le J} m_i(1-L_i)}_A

    where B falls and A rises with kappa, no term is negative but C_J - n, and that one is added to its side. In
    u = log kappa the difference of the logarithms of the sides has a slope between -2 and -1/2, so Newton's method
    converges from anywhere in the bracket, whatever the plateaus of the original equation. J is found by bisection.

    `ridge` is the effective one. kappa is inf at n = 0, and 0 for n >= rank without ridge. DomainError if trace and
    ridge exceed float64.
    """
    log_values = spectrum.log_eigenvalues
    order = np.argsort(-log_values, kind="stable")
    order = order[log_values[order] > -math.inf]
    powers = spectrum.level_power[order]
    with np.errstate(over="ignore"):
        if not math.isfinite(float(powers.sum()) + ridge):
            raise DomainError(
                "the trace of the kernel and the ridge add up to more than float64 holds: a kernel has a finite trace; "
                "divide kernel and ridge by the same number (errors do not change)"
            )
    modes = np.array([_capped(spectrum.multiplicities[i]) for i in order])
    # Cumulative mode numbers as unevaluated sums high + low, exact to 106 bits: C_J - n loses nothing.
    high, low = np.zeros(len(order) + 1), np.zeros(len(order) + 1)
    total = 0
    for position, i in enumerate(order, start=1):
        total += spectrum.multiplicities[i]
        high[position] = _capped(total)
        low[position] = float(min(total, _HUGE) - int(high[position]))

    kappa, participation = np.empty(len(n)), np.zeros(len(n))
    interpolates = ((high[-1] - n) + low[-1] <= 0) & (ridge == 0)
    kappa[n == 0] = math.inf
    kappa[interpolates & (n > 0)] = 0.0
    todo = np.flatnonzero((n > 0) & ~interpolates)
    step = max(1, _BLOCK // max(len(order), 1))
    for start in range(0, len(todo), step):
        block = todo[start : start + step]
        # A power of two that puts the largest numbers, trace + ridge and kappa <= (trace + ridge)/n, near the upper end
        # of float64: what underflows then is 600 decades below them.
        top = math.log2(math.fsum(powers) + ridge) - min(math.log2(n[block].min()), 0.0)
        shift = 1000 - math.ceil(top)
        scaled, participation[block] = _solve_block(
            np.exp2(log_values[order] / math.log(2) + shift) if spectrum.exact is not None
            else np.ldexp(np.maximum(spectrum.eigenvalues[order], 0.0), shift),
            np.ldexp(powers, shift), modes, high, low, n[block], math.ldexp(ridge, shift),
        )  # fmt: skip
        kappa[block] = np.ldexp(scaled, -shift)
    return kappa, participation


def _solve_block(
    values: FloatArray, powers: FloatArray, modes: FloatArray, high: FloatArray, low: FloatArray,
    n: FloatArray, ridge: float,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """`solve_kappa` for eigenvalues in decreasing order and n with a root in (0, inf)."""
    count = len(values)
    index = np.arange(count)

    def sides(kappa: FloatArray, modes_in: FloatArray, powers_out: FloatArray) -> tuple[FloatArray, ...]:
        """A, B without its ridge, and their derivatives by u, both positive."""
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

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # Bisection on J: is the root below eigenvalue `middle`?
        below, above = np.zeros(len(n), dtype=np.intp), np.full(len(n), count, dtype=np.intp)
        while (below < above).any():
            middle = np.minimum((below + above) // 2, count - 1)
            inside = index <= middle[:, None]
            a, b, _, _ = sides(values[middle], np.where(inside, modes, 0.0), np.where(inside, 0.0, powers))
            root_below = ridge / values[middle] + b - a + ((high[middle + 1] - n) + low[middle + 1]) < 0
            open_ = below < above
            below = np.where(open_ & root_below, middle + 1, below)
            above = np.where(open_ & ~root_below, middle, above)

        inside = index < below[:, None]
        modes_in, powers_out = np.where(inside, modes, 0.0), np.where(inside, 0.0, powers)
        spare = (high[below] - n) + low[below]
        padded = np.concatenate([[np.inf], values, [0.0]])
        # The eigenvalues themselves were tested in rounded arithmetic: a little slack on both sides.
        top = np.minimum(padded[below] * 1.001, (math.fsum(powers) + ridge) / n * 1.001)
        bottom = np.maximum(padded[below + 1], ridge / n) * 0.999
        bottom = np.maximum(bottom, _TINY)
        kappa = np.where((below == 0) | (below == count), top, np.sqrt(bottom) * np.sqrt(top))
        for _ in range(200):
            a, b, slope_a, slope_b = sides(kappa, modes_in, powers_out)
            left, right = b + ridge / kappa + np.maximum(spare, 0.0), a + np.maximum(-spare, 0.0)
            change = np.log(left / right) / (slope_a / right + (slope_b + ridge / kappa) / left)
            bottom = np.where(left > right, kappa, bottom)
            top = np.where(left > right, top, kappa)
            proposal = kappa * np.exp(change)
            escaped = ~((proposal >= bottom) & (proposal <= top))
            kappa = np.where(escaped, np.sqrt(bottom) * np.sqrt(top), proposal)
            if (np.abs(change) < 1e-14).all():
                break
        if not (np.abs(change) < 1e-10).all():
            raise InternalError("the solver of the eigenlearning equation did not converge")
        _, _, slope_a, slope_b = sides(kappa, modes_in, powers_out)
    return kappa, slope_a + slope_b


def _capped(m: int) -> float:
    """A number of modes as a float; one that large is never learned by a number of samples in float64."""
    return float(min(m, _HUGE))
