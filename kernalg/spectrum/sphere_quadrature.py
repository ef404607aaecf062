r"""Eigenvalues on the sphere by quadrature in the angle.

.. math:: \lambda_k=c_d\int_0^\pi K(\cos\theta)\,P_{k,d}(\cos\theta)\sin^{d-2}\theta\,d\theta,\qquad
          c_d=\frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)}

The square-root singularities that ReLU-type kernels have at :math:`\pm1` are analytic in the angle. The integral
cancels down to :math:`\lambda_k` from values of the size of K, so it is done with as many bits more as there are
between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from flint import acb, arb

from kernalg.enclosure.balls import bits_for, certain_digits, has_digits, precision
from kernalg.enclosure.integrals import gauss_legendre
from kernalg.errors import PrecisionError
from kernalg.expansion.taylor import log_largest_weight
from kernalg.expansion.zonal import zonal_balls
from kernalg.spectrum.profiles import Profile, density_constant

_MOST_NODES = 4096
_MOST_EVALUATIONS = 20_000


def _cancelled_bits(d: int, k: int) -> int:
    """Bits between K(1) and the eigenvalue of a kernel of ordinary size, and those the recurrence for P_k loses."""
    return math.ceil(-log_largest_weight(d, k, 0) / math.log(2) + 1.3 * k)


def eigenvalues_by_gauss(
    profile: Profile, d: int, levels: Iterable[int], digits: int, few_nodes: bool = False
) -> dict[int, tuple[arb, arb, bool]]:
    """Gauss-Legendre in the angle, nodes doubled until two rules agree to `digits` digits.

    With `few_nodes`, for profiles whose values are slow, rules grow by halves, and fewer bits are spared.

    Returns, per level, the value, the difference to the rule before (rounding included) as its error
    estimate, and whether the digits were reached.
    """
    pending = sorted(set(levels))
    found: dict[int, tuple[arb, arb, bool]] = {}
    if not pending:
        return found
    highest = pending[-1]
    bits = bits_for(digits) + _cancelled_bits(d, highest) + (48 if few_nodes else 128)
    nodes = 64
    # The measure has the width 1/sqrt(d): 4 sqrt(d) nodes on all of it, or as many in the window.
    while nodes < min(highest + 4 * math.sqrt(d) * _window(d, bits) / (math.pi / 2), _MOST_NODES // 2):
        nodes *= 2
    previous = _gauss_rule(profile, d, pending, nodes, bits)
    while pending and nodes < _MOST_NODES:
        before, nodes = nodes, 3 * nodes // 2 if few_nodes else 2 * nodes
        nodes += nodes % 2
        current = _gauss_rule(profile, d, pending, nodes, bits)
        rough = False
        with precision(bits):
            for k in list(pending):
                value = current[k]
                difference = abs(value - previous[k]).upper()
                agreed = bool(difference * arb(10) ** digits <= value.abs_lower())
                found[k] = value, difference, agreed
                rough = rough or not has_digits(value, digits + 1)
                if agreed:
                    pending.remove(k)
        previous = current
        if rough and pending and bits < 20_000:
            # The balls themselves are too wide: the cancellation is worse than thought.
            bits *= 2
            nodes = before
            previous = _gauss_rule(profile, d, pending, nodes, bits)
    return found


def _gauss_rule(profile: Profile, d: int, levels: list[int], nodes: int, bits: int) -> dict[int, arb]:
    points, weights = gauss_legendre(nodes, bits)
    window = _window(d, bits)
    with precision(bits):
        half = arb(window) if window < math.pi / 2 else arb.pi() / 2
        middle = arb.pi() / 2
        totals = {k: arb(0) for k in levels}
        smallest = arb(2) ** -(2 * bits)
        # The nodes theta and pi - theta together: P_k(-t) = (-1)^k P_k(t). The number of nodes is even.
        for point, weight in zip(points, weights, strict=True):
            if point > 0:
                continue
            # Where the window is everything, from the end: near it a square root of 1 - cosine wants all its digits.
            sine, cosine = (half * (1 + point) + (middle - half)).sin_cos()
            measure = weight * sine ** (d - 2)
            if measure < smallest:
                continue
            up, down = profile.ball(cosine), profile.ball(-cosine)
            even, odd = measure * (up + down), measure * (up - down)
            zonal = zonal_balls(levels[-1], d, cosine)
            for k in levels:
                totals[k] += (odd if k % 2 else even) * zonal[k]
        factor = density_constant(d) * half
        return {k: total * factor for k, total in totals.items()}


def _window(d: int, bits: int) -> float:
    """Half the width, at most pi/2, of the angles around pi/2 beyond which sin^(d-2) is below 2^(-2 bits)."""
    return min(math.pi / 2, math.sqrt(4 * bits * math.log(2) / max(d - 2, 1)))


def eigenvalues_by_enclosure(profile: Profile, d: int, scales: Mapping[int, arb], digits: int) -> dict[int, arb]:
    """Certified integrals, to `digits` digits of the eigenvalues.

    `scales` gives an estimate of each eigenvalue; only the tolerance of the first attempt rests on it.

    Raises
    ------
    PrecisionError
        If the digits are not reached: the profile is not analytic on the open interval, or an eigenvalue is 0 without
        the profile's parity saying so.
    """
    pending = dict(scales)
    found: dict[int, arb] = {}
    highest = max(pending, default=0)
    bits = bits_for(digits) + _cancelled_bits(d, highest) + 192
    reached = 0
    for _ in range(3):
        value_at = _remembered(profile.ball)
        for k, scale in list(pending.items()):
            with precision(bits):
                tolerance = scale.abs_upper() * arb(10) ** -(digits + 2)
                value = _certified_level(value_at, d, k, bits, tolerance)
                if has_digits(value, digits):
                    found[k] = value
                    del pending[k]
                else:
                    reached = certain_digits(value)
                    pending[k] = value.mid() if not value.contains(0) else scale
        if not pending:
            return found
        bits *= 2
    raise PrecisionError(
        f"{digits} digits were asked of the eigenvalues of degree {sorted(pending)} and {reached} reached. The "
        "profile may have a kink inside (-1, 1), or the eigenvalue may be 0; ask fewer digits or a lower degree."
    )


def _certified_level(value_at: Callable[[acb, bool], acb], d: int, k: int, bits: int, tolerance: arb) -> arb:
    factor = density_constant(d)

    def integrand(theta: acb, analytic: bool) -> acb:
        value = value_at(theta, analytic)
        if not value.is_finite():
            return value
        sine, cosine = theta.sin_cos()
        return value * zonal_balls(k, d, cosine)[k] * sine ** (d - 2)

    middle = acb(arb.pi() / 2)
    goal = tolerance / (2 * factor)
    relative = arb(2) ** -bits
    left = acb.integral(integrand, acb(0), middle, rel_tol=relative, abs_tol=goal, eval_limit=_MOST_EVALUATIONS)
    right = acb.integral(integrand, middle, acb(arb.pi()), rel_tol=relative, abs_tol=goal, eval_limit=_MOST_EVALUATIONS)
    return factor * (left + right).real


def _remembered(ball: Callable[..., acb]) -> Callable[[acb, bool], acb]:
    """theta -> K(cos theta), kept: the integrals of different degrees ask for many of the same boxes."""
    memory: dict[tuple[object, ...], acb] = {}

    def value_at(theta: acb, analytic: bool) -> acb:
        real, imaginary = theta.real, theta.imag
        key = (
            analytic, real.mid().man_exp(), real.rad().man_exp(), imaginary.mid().man_exp(), imaginary.rad().man_exp()
        )  # fmt: skip
        value = memory.get(key)
        if value is None:
            value = memory[key] = acb(ball(_cosine(theta), analytic=analytic))
        return value

    return value_at


def _cosine(theta: acb) -> acb:
    """cos(theta), with 1 - |cos| relatively accurate on a box near 0 or pi (Arb's own radius is that of theta)."""
    if abs(theta) < 1:
        return 1 - 2 * (theta / 2).sin() ** 2
    rest = arb.pi() - theta
    return 2 * (rest / 2).sin() ** 2 - 1 if abs(rest) < 1 else theta.cos()
