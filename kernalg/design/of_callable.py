"""A function of the cosine as a formula, by its Taylor coefficients, or by samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.polynomial.polynomial import polyval

from kernalg.checks import FloatArray, whole_number
from kernalg.design.samples import SampledKernel, first_layer, sampled_kernel
from kernalg.enclosure.balls import ball_function, precision
from kernalg.errors import DomainError
from kernalg.formula import exact_number
from kernalg.symbols import rho

_BITS = 256
_RADII = (0.8, 0.97)
_NODES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class TaylorEstimate:
    """Taylor coefficients in rho of a function that takes complex numbers, with their estimated errors.

    Attributes
    ----------
    coefficients, errors : float64 arrays
        By Cauchy's integral on a circle about rho = 0; the errors come from rounding and from a second circle (they are
        estimates, no bounds).
    radius : float
        Of the larger circle.
    deviation : float
        The largest distance of the sum of these terms from the function at 257 cosines from -1 to 1.
    """

    coefficients: FloatArray
    errors: FloatArray
    radius: float
    deviation: float

    def __repr__(self) -> str:
        return f"<TaylorEstimate of {len(self.coefficients)} coefficients, errors up to {self.errors.max():.2g}>"


def read_callable(
    f: Callable[[Any], Any], w_var: Any = 1, b_var: Any = 0, tolerance: Any = None, points: int = 65
) -> sp.Expr | TaylorEstimate | SampledKernel:
    """A function of the cosine as a formula if it takes symbols, by Taylor coefficients if analytic, or by samples.

    Parameters
    ----------
    f : callable
        Of the cosine in [-1, 1], on arrays or on single floats.
    w_var, b_var, tolerance
        As in `sampled_kernel`.
    points : int
        How many Chebyshev points (both ends included) are asked.

    Returns
    -------
    sympy.Expr
        f(rho) in `kernalg.symbols.rho` (here the cosine), if f gives one that agrees with its numbers.
    TaylorEstimate
        In the correlation rho of the first layer, if f takes complex numbers and is analytic in the disc.
    SampledKernel
        Otherwise.

    Raises
    ------
    DomainError
        If f fails, or gives anything but finite real numbers on [-1, 1].

    Examples
    --------
    >>> read_callable(lambda c: c**2 + 1)
    rho**2 + 1
    >>> read_callable(np.exp)
    <TaylorEstimate of 17 coefficients, errors up to ...e-15>
    >>> read_callable(lambda c: np.maximum(c, 0.0)).feasible
    False
    """
    if not callable(f):
        raise DomainError(f"{f!r} is no function; give one of the cosine, on arrays or on floats")
    w, b = first_layer(w_var, b_var)
    t = np.cos(np.arange(whole_number("points", points, 3)) * np.pi / (points - 1))
    t[-1] = -1.0
    values = _evaluated(f, t)
    formula = _formula_of(f, t, values)
    if formula is not None:
        return formula
    estimate = _by_circles(f, float(b / w), np.abs(values).max() or 1.0)
    return estimate if estimate is not None else sampled_kernel(t, values, w, b, tolerance)


def _evaluated(f: Callable[[Any], Any], t: FloatArray) -> FloatArray:
    """f at real points, by one call or one by one."""
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(f(t.copy()))
        if found.shape != t.shape or found.dtype.kind not in "biufc":
            raise TypeError("no elementwise function")
    except Exception:  # whatever the user's function does on arrays: single points decide
        found = np.array([_at_point(f, float(c)) for c in t])
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        raise DomainError(f"the function is {found[bad[0]]} at cosine {t[bad[0]]:.17g}; a kernel is finite on [-1, 1]")
    bad = np.flatnonzero(np.imag(found) != 0)
    if bad.size:
        raise DomainError(f"the function is {found[bad[0]]} at cosine {t[bad[0]]:.17g}; a kernel is real on [-1, 1]")
    return np.real(found).astype(np.float64)


def _at_point(f: Callable[[Any], Any], c: float) -> complex:
    try:
        with np.errstate(all="ignore"):
            return complex(f(c))
    except Exception as error:
        raise DomainError(
            f"the function fails at cosine {c:.17g} ({type(error).__name__}: {error}); "
            "give one that takes a float, or an array, in [-1, 1] and returns real numbers"
        ) from error


def _formula_of(f: Callable[[Any], Any], t: FloatArray, values: FloatArray) -> sp.Expr | None:
    """f(symbol), if it is a formula in it that gives the same numbers."""
    try:
        formula = exact_number(f(rho), "the formula")
        if formula.free_symbols - {rho}:
            return None
        with precision(_BITS):
            function = ball_function(formula, (rho,))
            known = np.array([float(function(arb(float(c)))) for c in t])
    except Exception:  # it is a function of numbers
        return None
    return formula if np.allclose(known, values, rtol=1e-9, atol=1e-9 * np.abs(values).max()) else None


def _by_circles(f: Callable[[Any], Any], bias: float, scale: float) -> TaylorEstimate | None:
    """Cauchy's integral on two circles about rho = 0; None if f is not analytic (or real on the axis) in the larger."""
    expansions = []
    for radius in _RADII:
        angles = 2 * np.pi * np.arange(_NODES) / _NODES
        circle = radius * np.exp(1j * angles)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error")  # a complex number cast to a real one is no value
                found = np.asarray(f((1 + bias) * circle - bias), dtype=np.complex128)
        except Exception:  # it takes real numbers only
            return None
        if found.shape != circle.shape or not np.isfinite(found).all():
            return None
        fourier = np.fft.fft(found) / _NODES
        size = np.abs(found).max()
        half = _NODES // 2
        # negative powers, or imaginary parts: not analytic inside, or not real on the axis
        if max(np.abs(fourier[half:]).max(), np.abs(fourier[:half].imag).max()) > 1e-10 * size:
            return None
        expansions.append((fourier[:half].real / radius ** np.arange(half), size))
    (inner, inner_size), (a, size) = expansions
    k = np.arange(len(a))
    rounding = 8 * np.finfo(float).eps * size / _RADII[1] ** k
    inner_rounding = 8 * np.finfo(float).eps * inner_size / _RADII[0] ** k
    errors = rounding + np.where(inner_rounding < 1e-12 * scale, np.abs(a - inner), 0.0)
    meaningful = np.flatnonzero(np.abs(a) > 4 * errors)
    count = int(meaningful[-1]) + 1 if meaningful.size else 1
    poor = np.flatnonzero(errors > 1e-8 * scale)
    if poor.size:
        count = min(count, int(poor[0]))
    a, errors = a[:count], errors[:count]
    real = np.linspace(max(-_RADII[1], (bias - 1) / (bias + 1)), _RADII[1], 41)
    values = _evaluated(f, np.maximum((1 + bias) * real - bias, -1.0))
    if np.abs(polyval(real, a) - values).max() > 1e-8 * scale:
        return None
    everywhere = np.cos(np.linspace(0, np.pi, 257))  # also near 1, where what is cut off shows
    deviation = float(np.abs(polyval((everywhere + bias) / (1 + bias), a) - _evaluated(f, everywhere)).max())
    for array in (a, errors):
        array.flags.writeable = False
    return TaylorEstimate(a, errors, _RADII[1], deviation)
