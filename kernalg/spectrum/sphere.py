r"""Spectrum of a dot-product kernel on the sphere.

.. math:: K(\langle x,y\rangle)=\sum_kN(d,k)\,\lambda_k\,P_{k,d}(\langle x,y\rangle),\qquad x,y\in S^{d-1},

:math:`\lambda_k` being the eigenvalue of the integral operator under the uniform probability measure (Funk-Hecke), of
multiplicity N(d, k). Each level is computed by the first of these that applies, and says which:

* *parity*, *polynomial*: the profile is a polynomial in the even or odd powers: finite sums, exact zeros;
* *series*: Taylor coefficients with a rigorous remainder, if they are non-negative (every network kernel);
* *trapezoid*: if they are, but the series is slow: the trapezoidal rule in artanh, with a rigorous error;
* *Gauss*: any other profile, and high degrees: Gauss-Legendre in the angle, the error estimated by doubling the nodes;
* *enclosure*: adaptive ball quadrature, where digits are asked of such a profile or Gauss does not settle.

References: Bach (JMLR 18, 2017); Bietti & Bach, *Deep equals shallow for ReLU networks in kernel regimes* (2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb

from kernalg.enclosure.balls import check_digits, enclose, to_float
from kernalg.errors import DomainError
from kernalg.expansion.zonal import dimension_and_degree, multiplicity, whole_number
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere_profile import Profile
from kernalg.spectrum.sphere_quadrature import eigenvalues_by_enclosure, eigenvalues_by_gauss
from kernalg.spectrum.sphere_series import (
    eigenvalues_by_series,
    eigenvalues_of_finite_classes,
    finite_parity_classes,
)
from kernalg.spectrum.sphere_trapezoid import eigenvalues_by_trapezoid

_DOUBLE_DIGITS = 14
# Of the estimates the certified integrals take their tolerance from.
_ROUGH_DIGITS = 8
# In double precision Gauss-Legendre overtakes the trapezoidal rule here: nodes like the degree, not its square.
_TRAPEZOID_DEGREES = 60
_MOST_DEGREES = 2000


@dataclass(frozen=True, slots=True)
class Sphere:
    """The sphere S^(d-1) in `d` dimensions, with the uniform probability measure.

    Only the cosine of two points matters. Kernels of networks see rows with |x|^2 = d as points of it
    (rho = x.x'/d); rows of norm 1 are not.

    Raises
    ------
    DomainError
        Unless `d` is an integer from 2.

    Examples
    --------
    >>> Sphere(50), Circle
    (Sphere(d=50), Sphere(d=2))
    """

    d: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole_number("d", self.d, 2))


Circle = Sphere(2)


def spectrum(K: Any, space: Sphere, degree: int = 20, digits: int | None = None) -> Spectrum:
    """Eigenvalues of degree 0 to `degree` of a kernel on the sphere.

    Parameters
    ----------
    K : Kernel or Profile
        A kernel with a `profile()`, or the profile itself: the kernel as a function of the cosine.
    space : Sphere
        ``Sphere(d)``: inputs with |x|^2 = d, uniform in direction; ``Circle`` is ``Sphere(2)``.
    degree : int
        Largest degree.
    digits : int, optional
        Certified significant digits of every eigenvalue, in `Spectrum.exact`. Without it the eigenvalues are good to
        double precision, with an error estimate each.

    Returns
    -------
    Spectrum

    Raises
    ------
    DomainError
        If `K` has no profile, or a number is out of range.
    PrecisionError
        If the accuracy is not reached.

    Examples
    --------
    >>> import kernalg as ka
    >>> s = ka.spectrum(ka.dot_product_kernel("exp(rho)"), ka.Sphere(3), degree=2)
    >>> s.eigenvalues  # lambda_0 = sinh(1)
    array([1.17520119, 0.36787944, 0.07156287])
    """
    if not isinstance(space, Sphere):
        raise DomainError(f"space={space!r}: give Sphere(d) with an integer d from 2, or Circle.")
    profile = _profile_of(K)
    d, degree = dimension_and_degree(space.d, degree)
    if degree > _MOST_DEGREES:
        raise DomainError(f"degree={degree}: at most {_MOST_DEGREES} degrees are computed.")
    certified = digits is not None
    goal = check_digits(digits) if digits is not None else _DOUBLE_DIGITS
    at_one = enclose(lambda t: profile.ball(t), [1], goal + 5)
    levels = list(range(degree + 1))

    classes = finite_parity_classes(profile, degree)
    found = eigenvalues_of_finite_classes(profile, d, levels, classes, goal)
    estimates: dict[int, arb] = {}
    scales: dict[int, arb] = {}
    if profile.nonnegative:
        by_series, scales = eigenvalues_by_series(profile, d, [k for k in levels if k not in found], goal, at_one)
        found |= by_series
    if not profile.nonnegative or (not certified and max(scales, default=0) > _TRAPEZOID_DEGREES):
        missing = [k for k in levels if k not in found]
        by_gauss = eigenvalues_by_gauss(profile, d, missing, _ROUGH_DIGITS if certified else goal)
        for k, (value, difference, agreed) in by_gauss.items():
            if agreed and not certified:
                found[k], estimates[k] = (value, "Gauss"), difference
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
        if value < -estimates.get(k, arb(0)):
            raise DomainError(
                f"the kernel is not positive semi-definite on the sphere: its eigenvalue of degree {k} is "
                f"{value.str(8, radius=False)}. Check the sign and the formula of its profile"
            )
    eigenvalues = [float(value.mid()) for value in values]
    errors = [float(estimates.get(k, values[k].rad()).upper()) + _rounding(eigenvalues[k]) for k in levels]
    underflow = any(abs(v) < 1e-290 and not value.is_zero() for v, value in zip(eigenvalues, values, strict=True))
    exact = [_as_float(value, goal) for value in values] if certified or underflow else None
    return Spectrum(
        eigenvalues,
        [multiplicity(d, k) for k in levels],
        trace=float(at_one.mid()),
        errors=errors,
        methods=[found[k][1] for k in levels],
        space=f"sphere S^{d - 1}, d = {d}",
        convention="per harmonic, uniform probability measure",
        exact=exact,
    )


def _rounding(value: float) -> float:
    return math.ulp(value) / 2 if value else 0.0


def _as_float(value: arb, digits: int) -> sp.Float:
    # Gauss values carry their estimate outside the ball: the digits are those of the midpoint.
    return to_float(value.mid(), digits)


def _profile_of(K: Any) -> Profile:
    profile = K.profile() if callable(getattr(K, "profile", None)) else K
    if not isinstance(profile, Profile):
        raise DomainError(
            f"{K!r} is not a kernel of the cosine: give a kernel with a profile (network kernel, dot-product kernel)."
        )
    return profile
