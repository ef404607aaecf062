r"""Certified eigenvalues of any profile with non-negative Taylor coefficients, in every dimension.

With :math:`\xi=\tanh u`,

.. math:: \lambda_k=c_d\int_{-\infty}^\infty f(u)\,du,\qquad
          f(u)=K(\tanh u)\,P_{k,d}(\tanh u)\,\mathrm{sech}^{d-1}u .

tanh maps the strip :math:`|\mathrm{Im}\,u|<\pi/4` onto the unit disc, and there a power series with coefficients
:math:`a_m\ge0` is analytic with :math:`|K(\xi)|\le K(1)`: no box has to prove it, singularities at :math:`\pm1`
of any kind included. Likewise :math:`|P_k(\xi)|\le|P_k(i)|`, because the coefficients of :math:`P_k` alternate. The
trapezoidal rule of step h then errs by at most :math:`2M/(e^{\pi^2/(2h)}-1)` with

.. math:: M=K(1)\,|P_k(i)|\int|\mathrm{sech}(u+i\pi/4)|^{d-1}du
           =K(1)\,|P_k(i)|\,2^{(d-1)/2}\,\frac{\sqrt\pi\,\Gamma(\frac{d-1}4)}{2\,\Gamma(\frac{d+1}4)}

(Trefethen & Weideman, *The exponentially convergent trapezoidal rule*, SIAM Review 56, 2014, theorem 5.1), and the part
of the sum beyond :math:`|u|=U` is at most :math:`2K(1)\,2^{d-1}e^{-(d-1)U}/(d-1)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from flint import arb

from kernalg.enclosure.balls import bits_for, certain_digits, has_digits, precision
from kernalg.errors import PrecisionError
from kernalg.expansion.zonal import zonal_balls
from kernalg.spectrum.profiles import Profile, density_constant

_MOST_NODES = 300_000


def eigenvalues_by_trapezoid(
    profile: Profile, d: int, scales: Mapping[int, arb], digits: int, at_one: arb
) -> dict[int, arb]:
    """Enclosures to `digits` digits of the eigenvalues of the degrees in `scales`.

    `scales` holds a positive estimate of each; it sets the first step size only. `at_one` encloses K(1).

    Raises
    ------
    PrecisionError
        If the digits are not reached.
    """
    pending = dict(scales)
    found: dict[int, arb] = {}
    widen = 0
    reached = 0
    for _ in range(4):
        if not pending:
            break
        for k, value in _attempt(profile, d, pending, digits, at_one, widen).items():
            if has_digits(value, digits):
                found[k] = value
                del pending[k]
            else:
                reached = certain_digits(value)
                with precision(128):
                    pending[k] = value.mid() if value > 0 else pending[k] / 2**64
        widen += 256
    if pending:
        raise PrecisionError(
            f"{digits} digits were asked of the eigenvalues of degree {sorted(pending)} and {reached} reached; "
            "ask fewer digits or a lower degree."
        )
    return found


def _strip_bounds(d: int, highest: int, at_one: arb) -> list[arb]:
    """c_d M of the module's docstring for the degrees up to `highest`."""
    quarter = arb(d) / 4
    integral = arb(2) ** (arb(d - 1) / 2) * arb.pi().sqrt() * (quarter - 0.25).gamma() / (2 * (quarter + 0.25).gamma())
    modulus = [arb(1), arb(1)]  # |P_k(i)|
    for k in range(1, highest):
        modulus.append(((2 * k + d - 2) * modulus[k] + k * modulus[k - 1]) / (k + d - 2))
    return [density_constant(d) * at_one * m * integral for m in modulus]


def _attempt(
    profile: Profile, d: int, scales: Mapping[int, arb], digits: int, at_one: arb, widen: int
) -> dict[int, arb]:
    levels = sorted(scales)
    highest = levels[-1]
    with precision(128):
        bounds = _strip_bounds(d, highest, at_one)
        # Logarithms of (bound / tolerance) fix the step and the cut.
        wanted = {k: (digits + 1) * math.log(10) - float(scales[k].log()) for k in levels}
        exponent = max(wanted[k] + float((4 * bounds[k]).log()) for k in levels)
        tail = density_constant(d) * at_one * arb(2) ** d / (d - 1)
        cut = max(max(wanted.values()) + float((2 * tail).log()), 1.0) / (d - 1)
        step = math.pi**2 / (2 * exponent)
        count = math.ceil(cut / step)
    if count > _MOST_NODES:
        raise PrecisionError(
            f"{digits} digits in dimension {d} up to degree {highest} need {count} nodes, more than {_MOST_NODES}; "
            "ask fewer digits or a lower degree."
        )
    # 1 - tanh(U)^2 is of size exp(-2U), and a square root of it must still have digits.
    bits = bits_for(digits) + math.ceil((exponent + 4 * cut) / math.log(2) + 1.3 * highest) + 64 + widen
    with precision(bits):
        h = arb(step)
        totals = _sums(profile, d, levels, h, count)
        factor = density_constant(d) * h
        left_out = tail * (-(d - 1) * count * h).exp()
        decay = (arb.pi() ** 2 / (2 * h)).exp() - 1
        return {k: factor * totals[k] + arb(0, (2 * bounds[k] / decay + left_out).upper()) for k in levels}


def _sums(profile: Profile, d: int, levels: list[int], h: arb, count: int) -> dict[int, arb]:
    """Sum of f(jh) over |j| <= count, the nodes ±u together: P_k(-t) = (-1)^k P_k(t)."""
    degree = levels[-1]
    centre = zonal_balls(degree, d, arb(0))
    at_zero = profile.ball(arb(0))
    totals = {k: at_zero * centre[k] for k in levels}
    for j in range(1, count + 1):
        e = (-2 * j * h).exp()
        t = (1 - e) / (1 + e)
        sech_squared = 4 * e / (1 + e) ** 2
        weight = sech_squared ** ((d - 1) // 2)
        if d % 2 == 0:
            weight *= sech_squared.sqrt()
        up, down = profile.ball(t), profile.ball(-t)
        even, odd = weight * (up + down), weight * (up - down)
        zonal = zonal_balls(degree, d, t)
        for k in levels:
            totals[k] += (odd if k % 2 else even) * zonal[k]
    return totals
