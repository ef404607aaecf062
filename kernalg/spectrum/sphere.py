r"""Spectrum of a dot-product kernel on the sphere.

.. math:: K(\langle x,y\rangle)=\sum_kN(d,k)\,\lambda_k\,P_{k,d}(\langle x,y\rangle),\qquad x,y\in S^{d-1},

:math:`\lambda_k` being the eigenvalue of the integral operator under the uniform probability measure (Funk-Hecke), of
multiplicity N(d, k). Each level is computed by the first of these that applies, and says which:

* *parity*, *polynomial*: the profile is a polynomial in the even or odd powers: finite sums, exact zeros;
* *series*: Taylor coefficients with a rigorous remainder, if they are non-negative (every network kernel);
* *closed form*: the formulas of `closed_forms`, at any degree, where the series is slow;
* *trapezoid*: if they are, but the series is slow: the trapezoidal rule in artanh, with a rigorous error;
* *Gauss*: any other profile, high degrees, and slow formulas: Gauss-Legendre in the angle, the error estimated by a
  rule with more nodes;
* *enclosure*: adaptive ball quadrature, where digits are asked of such a profile or Gauss does not settle.

References: Bach (JMLR 18, 2017); Bietti & Bach, *Deep equals shallow for ReLU networks in kernel regimes* (2021).
"""

from __future__ import annotations

from typing import Any

from flint import arb

from kernalg.enclosure.balls import check_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.taylor import zonal_from_taylor
from kernalg.expansion.zonal import multiplicities
from kernalg.spectrum.closed_forms import eigenvalues_by_formula
from kernalg.spectrum.from_balls import DOUBLE_DIGITS, rounding, spectrum_from_balls
from kernalg.spectrum.profiles import (
    Profile,
    has_dear_values,
    has_slow_values,
    profile_of,
    rational_coefficients,
    value_at_one,
)
from kernalg.spectrum.spaces import Space, Sphere
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere_quadrature import eigenvalues_by_enclosure, eigenvalues_by_gauss
from kernalg.spectrum.sphere_series import (
    eigenvalues_by_series,
    eigenvalues_of_finite_classes,
    finite_parity_classes,
)
from kernalg.spectrum.sphere_trapezoid import eigenvalues_by_trapezoid

# Of the estimates the certified integrals take their tolerance from.
_ROUGH_DIGITS = 8
# In double precision Gauss-Legendre overtakes the trapezoidal rule here: nodes like the degree, not its square.
_TRAPEZOID_DEGREES = 60
_MOST_DEGREES = 2000
_ESTIMATE_BITS = 256
CONVENTION = "per harmonic, uniform probability measure"


def sphere_spectrum(K: Any, space: Sphere, degree: int, digits: int | None, exact: bool) -> Spectrum:
    """Eigenvalues of degree 0 to `degree` of a kernel on the sphere; parameters as in `spectrum`."""
    if exact:
        return _exact_spectrum(K, space, degree)
    profile = profile_of(K)
    d = space.d
    certified = digits is not None
    goal = check_digits(digits) if digits is not None else DOUBLE_DIGITS
    at_one = value_at_one(profile, goal + 5)
    levels = list(range(degree + 1))

    found: dict[int, tuple[arb, str]] = {}
    scales: dict[int, arb] = {}
    if degree <= _MOST_DEGREES:
        classes = finite_parity_classes(profile, degree)
        found = eigenvalues_of_finite_classes(profile, d, levels, classes, goal)
    if profile.nonnegative and degree <= _MOST_DEGREES:
        by_series, scales = eigenvalues_by_series(profile, d, [k for k in levels if k not in found], goal, at_one)
        found |= by_series
    if not has_slow_values(profile):
        found |= eigenvalues_by_formula(profile, d, [k for k in levels if k not in found], goal)
    scales = {k: scale for k, scale in scales.items() if k not in found}
    if degree > _MOST_DEGREES and len(found) < len(levels):
        raise DomainError(
            f"degree={degree}: more than {_MOST_DEGREES} degrees are computed only of kernels whose eigenvalues have a "
            "formula (eigenvalue_formula); eigenvalue_decay says how those of the others fall"
        )
    if scales and has_dear_values(profile):
        raise _too_few_coefficients(profile, space, sorted(scales), goal)
    few_nodes = has_slow_values(profile)
    if not profile.nonnegative or (not certified and (few_nodes or max(scales, default=0) > _TRAPEZOID_DEGREES)):
        missing = [k for k in levels if k not in found]
        by_gauss = eigenvalues_by_gauss(profile, d, missing, _ROUGH_DIGITS if certified else goal, few_nodes)
        for k, (value, difference, agreed) in by_gauss.items():
            if agreed and not certified:
                with precision(_ESTIMATE_BITS):
                    found[k] = value + arb(0, difference), "Gauss"
                scales.pop(k, None)
            elif not profile.nonnegative:
                scales[k] = value
    if profile.nonnegative:
        certain, method = eigenvalues_by_trapezoid(profile, d, scales, goal, at_one), "trapezoid"
    else:
        certain, method = eigenvalues_by_enclosure(profile, d, scales, goal), "enclosure"
    found |= {k: (value, method) for k, value in certain.items()}

    values = [found[k][0] for k in levels]
    for k, value in enumerate(values):
        if value < 0:
            raise not_positive(space, k, value.str(8, radius=False))
    return spectrum_from_balls(
        values,
        multiplicities(d, degree),
        digits=digits,
        trace=float(at_one.mid()),
        methods=[found[k][1] for k in levels],
        space=space,
        convention=CONVENTION,
    )


def _too_few_coefficients(profile: Profile, space: Sphere, levels: list[int], digits: int) -> PrecisionError:
    which = f"degree {levels[0]}" if len(levels) == 1 else f"degrees {levels[0]} to {levels[-1]}"
    return PrecisionError(
        f"{profile}: {digits} digits of the eigenvalues of {which} on the {space} need more Taylor coefficients than "
        "are computed of a network without closed-form duals. What helps: a higher dimension, a smaller w_var (the "
        "coefficients of an activation that is analytic near the real line then fall faster), fewer digits, or a "
        "relative with a closed form (erf for tanh and arctan, gelu for SiLU and Mish, smoothed_relu for softplus); "
        "and on data, empirical_spectrum(K, X)"
    )


def _exact_spectrum(K: Any, space: Sphere, degree: int) -> Spectrum:
    coefficients = rational_coefficients(profile_of(K))
    values = zonal_from_taylor(coefficients, space.d, degree)
    for k, value in enumerate(values):
        if value < 0:
            raise not_positive(space, k, str(value))
    return Spectrum(
        [float(value) for value in values],
        multiplicities(space.d, degree),
        trace=float(sum(coefficients)),
        errors=[rounding(float(value)) for value in values],
        methods=["exact"] * (degree + 1),
        space=space,
        convention=CONVENTION,
        exact=values,
    )


def not_positive(space: Space, k: int | str, value: str) -> DomainError:
    """The error of a kernel with a negative eigenvalue, here that of level `k`."""
    return DomainError(
        f"the kernel is not positive semi-definite on the {space}: its eigenvalue of degree {k} is {value}. Check the "
        "sign and the formula of its profile"
    )
