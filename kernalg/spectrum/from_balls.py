"""Enclosed eigenvalues -> a Spectrum in double precision, with its certified digits where they are asked or needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flint import arb

from kernalg.enclosure.balls import to_float
from kernalg.spectrum.spaces import Space
from kernalg.spectrum.spectrum import Spectrum

# Eigenvalues are enclosed to so many digits when double precision is asked.
DOUBLE_DIGITS = 15
_UNDERFLOW = 1e-290


def spectrum_from_balls(
    values: Sequence[arb],
    multiplicities: Sequence[int],
    *,
    digits: int | None,
    trace: float,
    methods: Sequence[str],
    space: Space,
    convention: str,
    labels: Sequence[str] | None = None,
    atoms: int | None = None,
) -> Spectrum:
    """The Spectrum of eigenvalues known to `digits` digits (to `DOUBLE_DIGITS`, if it is None).

    `Spectrum.exact` holds them if digits were asked, and if one of them underflows in float64.
    """
    floats = [float(value.mid()) for value in values]
    underflow = any(abs(f) < _UNDERFLOW and not value.is_zero() for f, value in zip(floats, values, strict=True))
    goal = DOUBLE_DIGITS if digits is None else digits
    return Spectrum(
        floats,
        multiplicities,
        trace=trace,
        errors=[float(value.rad()) + rounding(f) for f, value in zip(floats, values, strict=True)],
        methods=methods,
        space=space,
        convention=convention,
        labels=labels,
        exact=[to_float(value, goal) for value in values] if underflow or digits is not None else None,
        atoms=atoms,
    )


def rounding(value: float) -> float:
    """The error of a number rounded to the float `value`."""
    return math.ulp(value) / 2 if value else 0.0
