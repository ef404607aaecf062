"""A learning problem: what every learning curve starts from, checked once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number, real_vector
from kernalg.errors import DomainError
from kernalg.spectrum.spectrum import Spectrum


@dataclass(frozen=True, slots=True, eq=False)
class LearningProblem:
    """Kernel regression of a target with noisy labels.

    Attributes
    ----------
    spectrum : of the kernel under the distribution of the inputs.
    power : (levels or more,) target power per level (sum of squared coefficients in the level); entries beyond the
        last level are power that is never learned.
    n : (sizes,) numbers of samples.
    noise : variance of the label noise.
    """

    spectrum: Spectrum
    power: FloatArray
    n: FloatArray
    noise: float

    @property
    def learnable(self) -> FloatArray:
        """Power of the levels of the spectrum."""
        return self.power[: len(self.spectrum)]

    @property
    def unlearnable(self) -> float:
        """Power beyond them."""
        return float(self.power[len(self.spectrum) :].sum())


def learning_problem(
    spectrum: Spectrum, power: ArrayLike | None, n: ArrayLike | range, noise: float
) -> LearningProblem:
    """The checked problem; `power` defaults to the spectrum's `target_power` and is padded with zeros.

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, if `spectrum` is not a Spectrum, or if there is no target power.
    """
    if not isinstance(spectrum, Spectrum):
        raise DomainError(f"a Spectrum is needed, not {type(spectrum).__name__}: see spectrum() and Spectrum(...)")
    samples = real_vector("n", np.atleast_1d(np.asarray(n)), minimum=0.0)
    if len(samples) == 0:
        raise DomainError("n is empty; give at least one number of samples")
    noise = real_number("noise", noise, minimum=0.0)
    if power is None:
        if spectrum.target_power is None:
            raise DomainError(
                "no target: give power=[…], one entry per level, target_power(function, space, degree).power, or the "
                "spectrum of data with targets, empirical_spectrum(K, X, y)"
            )
        power = spectrum.target_power
    if np.ndim(power) == 0:
        raise DomainError(
            f"power is a {type(power).__name__}: give one number per level, as in [0, 1, 1]; of a target function, "
            "target_power(function, space, degree).power"
        )
    target = np.array(real_vector("power", power, minimum=0.0))
    target = np.append(target, np.zeros(max(len(spectrum) - len(target), 0)))
    target.flags.writeable = False
    return LearningProblem(spectrum, target, samples, noise)
