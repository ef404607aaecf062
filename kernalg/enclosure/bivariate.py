r"""Certified values of the bivariate normal distribution function, relative to their own size.

Two formulas. Plackett (1954): :math:`\partial\Phi_2/\partial r` is the bivariate density, so

.. math:: \Phi_2(h,k,r) = \Phi(h)\Phi(k) + \frac1{2\pi}\int_0^{\arcsin r}
   \exp\Big(-\frac{h^2-2hk\sin\theta+k^2}{2\cos^2\theta}\Big)\,d\theta ,

quick, but a difference of equal numbers where :math:`\Phi_2` is tiny. There the quadrant is taken as what it is after
whitening, a sector with its corner at :math:`(h, w)`, :math:`w=(k-rh)/\sqrt{1-r^2}`, and angle :math:`\arccos(-r)`.
In polar coordinates about the corner the radial integral is elementary:

.. math:: \Phi_2(h,k,r) = \frac{e^{-(h^2+w^2)/2}}{2\pi}\int_0^{\arccos(-r)} G(-h\sin\varphi-w\cos\varphi)\,d\varphi,
   \qquad G(b)=\int_0^\infty t\,e^{-t^2/2-bt}\,dt = 1-b\sqrt{\pi/2}\;e^{b^2/2}\,\mathrm{erfc}(b/\sqrt2) .

Nothing is subtracted, the decay stands in front, and the integrand is entire: the formula holds for every
:math:`|r|<1`, and by continuation for complex h and k.

:math:`\Phi_2` increases in each of its real arguments, and at :math:`r=1` it is :math:`\Phi(\min(h,k))`, at
:math:`r=-1` :math:`\max(\Phi(h)+\Phi(k)-1, 0)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flint import acb, arb, arb_series, ctx

# A bound of the work where an argument leaves no hope; ordinary values take some hundreds.
_MOST_EVALUATIONS = 50_000
# Plackett's formula is kept when it has lost no more bits than this.
_BITS_LOST = 16


def cdf(z: Any) -> Any:
    return (-z / arb(2).sqrt()).erfc() / 2


def _density(z: Any) -> Any:
    return (-(z * z) / 2).exp() / (2 * arb.pi()).sqrt()


def _partials(h: Any, k: Any, r: Any) -> tuple[Any, Any, Any]:
    """The three partial derivatives (|r| < 1), in any arithmetic."""
    s = ((1 - r) * (1 + r)).sqrt()
    first = _density(h) * cdf((k - r * h) / s)
    second = _density(k) * cdf((h - r * k) / s)
    # The exponent as h^2 + (k - r h)^2/(1 - r^2): no cancellation for r near 1.
    third = _density(h) * _density((k - r * h) / s) / s
    return first, second, third


def _inside(h: arb, k: arb, r: arb) -> arb:
    """Exact real arguments, |r| < 1."""
    value = _plackett(h, k, r)
    if value.is_finite() and value.rel_accuracy_bits() >= ctx.prec - _BITS_LOST:
        return value
    return _sector(h, k, r).real


def _plackett(h: arb, k: arb, r: arb) -> arb:
    """Exact arguments, |r| < 1; the error is small in absolute terms."""
    end = arb(1 if r > 0 else -1)
    # Between r and the end, w^2 >= min (k - h s)^2 / (1 - r^2): often nothing is left there.
    gap = (k - h * r.union(end)).abs_lower()
    left_out = (-(gap * gap) / (2 * (1 - r * r))).exp() * abs(r).acos() / (2 * arb.pi())
    if left_out < _tolerance():
        return _at_end(h, k, end) + arb(0, left_out.upper())
    if max(h.abs_upper(), k.abs_upper()) ** 2 > 2 * ctx.prec and h.min(k) < 0:
        return arb.nan()  # a tail: the sector has it

    quarter_turn = arb.pi() / 4

    def integrand(theta: acb, _: bool) -> acb:
        # h^2 - 2hk sin + k^2 = cos^2 (h^2 + w^2) with w = (k - h sin)/cos, here without 0/0 at the end when k = ±h.
        w = end * h * (quarter_turn - end * theta / 2).tan()
        if k != end * h:
            w += (k - end * h) / theta.cos()
        return (-(h * h + w * w) / 2).exp()

    # No branch cuts: a box that meets cos(theta) = 0 gives a non-finite value by itself.
    integral = acb.integral(integrand, acb(0), acb(r.asin()), abs_tol=_tolerance(), eval_limit=_MOST_EVALUATIONS).real
    return cdf(h) * cdf(k) + integral / (2 * arb.pi())


def _sector(h: Any, k: Any, r: arb) -> acb:
    """Exact arguments (h and k real or complex), -1 < r < 1; the error is small relative to the value."""
    bits = ctx.prec
    reach = abs(h) + abs((k - r * h) / ((1 - r) * (1 + r)).sqrt())
    # The exponents are about reach^2, and G(b), about 1/b^2, is a difference: each costs twice the bits of the reach.
    with _extra_bits(4 * _bit_length(reach) + 10):
        w = (k - r * h) / ((1 - r) * (1 + r)).sqrt()
        angle = (-r).acos()
        decay = -(h * h + w * w) / 2
        size = _largest_exponent(h, w, decay, angle)
        corner = (decay - size).exp()
        root = (2 * arb.pi()).sqrt()

        def integrand(phi: acb, _: bool) -> acb:
            sine, cosine = phi.sin(), phi.cos()
            b = -(h * sine + w * cosine)
            if b.real.mid() >= 0:
                return corner * _radial(b)
            # G(b) = G(-b) - b sqrt(2 pi) exp(b^2/2), and b^2 + p^2 = h^2 + w^2
            p = h * cosine - w * sine
            return corner * _radial(-b) - b * root * (-(p * p) / 2 - size).exp()

        tolerance = (angle / (1 + reach) ** 2).mid() * arb(2) ** -bits
        total = acb.integral(
            integrand, acb(0), acb(angle), rel_tol=arb(2) ** -bits, abs_tol=tolerance, eval_limit=_MOST_EVALUATIONS
        )
        return total * size.exp() / (2 * arb.pi())


def _largest_exponent(h: Any, w: Any, decay: Any, angle: arb) -> arb:
    """About the largest exponent of the integrand: at the corner, at an end, or where Re(-p^2/2) is stationary."""
    turn = arb.atan2(_real_part(h * w).mid() * 2, _real_part(w * w - h * h).mid()) / 2
    turn = turn if turn >= 0 else turn + arb.pi()
    size = _real_part(decay).mid()
    for phi in (arb(0), angle, turn.min(angle)):
        p = h * phi.cos() - w * phi.sin()
        if _real_part(h * phi.sin() + w * phi.cos()) > 0:
            size = size.max(_real_part(-(p * p) / 2).mid())
    return size


def _radial(b: acb) -> acb:
    """G(b). On a wide box |G(b)| <= G(Re b), which decreases, and G(t) <= min(1, 1/t^2) for t >= 0."""
    low = b.real.lower()
    if (b.real.rad() + b.imag.rad()) * b.abs_upper() < 1 or low < 0:
        z = b.real if b.imag.is_zero() else b
        value = acb(1 - z * (arb.pi() / 2).sqrt() * (z * z / 2).exp() * (z / arb(2).sqrt()).erfc())
    else:
        value = acb(arb.nan())
    if low < 0:
        bound = 1 - low * (2 * arb.pi()).sqrt() * (low * low / 2).exp()
    else:
        bound = 1 / (low * low) if low > 1 else arb(1)
    if value.is_finite() and value.abs_upper() <= bound:
        return value
    radius = bound.upper()
    return acb(arb(0, radius), arb(0, radius))


def _bit_length(size: arb) -> int:
    """About log2 of a size, at least 0."""
    upper = size.abs_upper()
    return int(float((upper.log() / arb(2).log()).upper())) + 1 if upper > 1 else 0


@contextmanager
def _extra_bits(n: int) -> Iterator[None]:
    before = ctx.prec
    ctx.prec = before + n
    try:
        yield
    finally:
        ctx.prec = before


def _real_part(z: Any) -> arb:
    return z.real if isinstance(z, acb) else z


def _tolerance() -> arb:
    return arb(2) ** (-ctx.prec)


def _at_end(h: arb, k: arb, r: arb) -> arb:
    """Exact arguments, |r| <= 1."""
    if r == 1:
        return cdf(h.min(k))
    if r == -1:
        # Phi(h) + Phi(k) - 1 = Phi(h) - Phi(-k): positive iff h > -k; written so that tails do not cancel.
        return cdf(h) - cdf(-k) if h > -k else arb(0)
    return _inside(h, k, r)


def real(h: arb, k: arb, r: arb) -> arb:
    """Enclosure for real balls; the part of `r` outside [-1, 1] is rounding and is cut off."""
    if not (h.is_finite() and k.is_finite() and r.is_finite()) or r.lower() > 1 or r.upper() < -1:
        return arb.nan()
    if r.abs_upper() < 1:
        if r.is_zero():
            return cdf(h) * cdf(k)
        value = _mean_value(_inside, h, k, r)
        if value.is_finite():
            return value
    low = _at_end(h.lower(), k.lower(), r.lower().max(arb(-1)))
    high = _at_end(h.upper(), k.upper(), r.upper().min(arb(1)))
    return low.union(high)


def _mean_value(f: Any, h: Any, k: Any, r: Any) -> Any:
    """The value at the exact centre plus the derivatives on the balls times the displacement."""
    arguments = h, k, r
    centre = [_centre(z) for z in arguments]
    value = f(*centre)
    if not all(z.is_exact() for z in arguments):
        for slope, argument, middle in zip(_partials(h, k, r), arguments, centre, strict=True):
            if not argument.is_exact():
                value += slope * (argument - middle)
    return value


def _centre(z: Any) -> Any:
    return acb(z.real.mid(), z.imag.mid()) if isinstance(z, acb) else z.mid()


def series(h: Any, k: Any, r: Any) -> arb_series:
    """Power series: the value at the centre plus the integral of the total derivative."""
    arguments = (h, k, r)
    centre = [z[0] if isinstance(z, arb_series) else z for z in arguments]
    speed = arb_series([0], prec=max(z.prec for z in arguments if isinstance(z, arb_series)))
    for slope, z in zip(_partials(h, k, r), arguments, strict=True):
        if isinstance(z, arb_series):
            speed += slope * z.derivative()
    return speed.integral() + real(*centre)


def complex(h: acb, k: acb, r: acb) -> acb:
    """Complex boxes: the sector for a real r, else the integral along the segment from 0 to r, off the cuts."""
    if r.imag.is_zero() and r.real.abs_upper() < 1:
        return _mean_value(_sector, h, k, r.real)
    radius = max((arb(z.real.rad()).max(arb(z.imag.rad())) for z in (h, k, r)), key=float)

    def integrand(t: acb, analytic: bool) -> acb:
        s = r * t
        root = (1 - s * s).sqrt(analytic=analytic)
        return (-(h * h - 2 * s * h * k + k * k) / (2 * root * root)).exp() / root

    path = acb.integral(integrand, acb(0), acb(1), abs_tol=_tolerance().max(radius / 16), eval_limit=_MOST_EVALUATIONS)
    return cdf(h) * cdf(k) + r * path / (2 * arb.pi())
