"""The threshold kappa that decides what kernel ridge regression learns, and what is learned at a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kernalg.checks import FloatArray
from kernalg.errors import DomainError
from kernalg.learning.sorted_levels import capped, solve, sorted_levels, upper_shift
from kernalg.spectrum.spectrum import Spectrum


@dataclass(frozen=True, slots=True, eq=False)
class AtKappa:
    """What a spectrum has learned at given thresholds kappa; shape (*kappa.shape, levels).

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
        return self.modes.sum(axis=-1)

    @property
    def squares(self) -> FloatArray:
        """sum m L^2, per kappa."""
        return (self.modes * self.learned).sum(axis=-1)

    @property
    def participation(self) -> FloatArray:
        """sum m L (1 - L), per kappa: the number of modes half learned."""
        return (self.modes * self.missing).sum(axis=-1)


def at_kappa(spectrum: Spectrum, kappa: FloatArray) -> AtKappa:
    """Learnabilities at every `kappa`, 0 and inf included; a level of eigenvalue 0 is never learned."""
    positive = spectrum.log_eigenvalues > -math.inf
    values, powers = np.maximum(spectrum.eigenvalues, 0.0), spectrum.level_power
    column = kappa[..., None]
    # L and 1-L each from its own quotient: neither may be had by subtraction. m L is (m lambda)/(lambda + kappa): m
    # alone may exceed float64.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        learned = 1.0 / (1.0 + column / values)
        missing = 1.0 / (1.0 + values / column)
        modes = powers / (values + column)
    if (kappa == 0).any():
        counts = np.array([capped(m) for m in spectrum.multiplicities])
        learned[kappa == 0], missing[kappa == 0], modes[kappa == 0] = 1.0, 0.0, counts
    learned[..., ~positive], missing[..., ~positive], modes[..., ~positive] = 0.0, 1.0, 0.0
    return AtKappa(learned, missing, modes)


def solve_kappa(spectrum: Spectrum, n: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    r"""The root kappa of sum m lambda/(lambda+kappa) + ridge/kappa = n, for every n; and sum m L (1-L) there.

    `ridge` is the effective one. kappa is inf at n = 0, and 0 for n >= rank without ridge. DomainError if trace and
    ridge exceed float64.
    """
    levels = sorted_levels(spectrum)
    with np.errstate(over="ignore"):
        if not math.isfinite(float(levels.powers.sum()) + ridge):
            raise DomainError(
                "the trace of the kernel and the ridge add up to more than float64 holds: a kernel has a finite trace; "
                "divide kernel and ridge by the same number (errors do not change)"
            )
    bound = math.fsum(levels.powers) + ridge
    kappa, participation = np.empty(len(n)), np.zeros(len(n))
    interpolates = (levels.beyond_rank(n) >= 0) & (ridge == 0)
    kappa[n == 0] = math.inf
    kappa[interpolates & (n > 0)] = 0.0
    todo = np.flatnonzero((n > 0) & ~interpolates)
    for start in range(0, len(todo), levels.block()):
        block = todo[start : start + levels.block()]
        shift = upper_shift(bound, n[block])
        delta = math.ldexp(ridge, shift)

        def rest(at: FloatArray, delta: float = delta) -> tuple[FloatArray, FloatArray]:
            return delta / at, delta / at

        # kappa <= (trace + ridge)/n, and >= ridge/n.
        highest = math.ldexp(bound, shift) / n[block]
        scaled, participation[block] = solve(levels.scaled(shift), n[block], rest, delta / n[block], highest)
        kappa[block] = np.ldexp(scaled, -shift)
    return kappa, participation
