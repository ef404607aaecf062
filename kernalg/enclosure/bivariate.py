r"""Certified values of the bivariate normal distribution function.

Plackett (1954): :math:`\partial\Phi_2/\partial r` is the bivariate density, so

.. math:: \Phi_2(h,k,r) = \Phi(h)\Phi(k) + \frac1{2\pi}\int_0^{\arcsin r}
   \exp\Big(-\frac{h^2-2hk\sin\theta+k^2}{2\cos^2\theta}\Big)\,d\theta .

:math:`\Phi_2` increases in each of its arguments, and at :math:`r=1` it is :math:`\Phi(\min(h,k))`, at :math:`r=-1`
:math:`\max(\Phi(h)+\Phi(k)-1, 0)`.
"""

from __future__ import annotations

from typing import Any

from flint import acb, arb, arb_series, ctx

# A bound of the work where an argument leaves no hope; ordinary values take some hundreds.
_MOST_EVALUATIONS = 50_000


def _cdf(z: Any) -> Any:
    return (-z / arb(2).sqrt()).erfc() / 2


def _density(z: Any) -> Any:
    return (-(z * z) / 2).exp() / (2 * arb.pi()).sqrt()


def _partials(h: Any, k: Any, r: Any) -> tuple[Any, Any, Any]:
    """The three partial derivatives (|r| < 1), in any arithmetic."""
    s = (1 - r * r).sqrt()
    first = _density(h) * _cdf((k - r * h) / s)
    second = _density(k) * _cdf((h - r * k) / s)
    # The exponent as h^2 + (k - r h)^2/(1 - r^2): no cancellation for r near 1.
    third = _density(h) * _density((k - r * h) / s) / s
    return first, second, third


def _inside(h: arb, k: arb, r: arb) -> arb:
    """Exact arguments, |r| < 1."""

    end = arb(1 if r > 0 else -1)
    # Between r and the end, w^2 >= min (k - h s)^2 / (1 - r^2): often nothing is left there.
    gap = (k - h * r.union(end)).abs_lower()
    left_out = (-(gap * gap) / (2 * (1 - r * r))).exp() * abs(r).acos() / (2 * arb.pi())
    if left_out < _tolerance():
        return _at_end(h, k, end) + arb(0, left_out.upper())

    quarter_turn = arb.pi() / 4

    def integrand(theta: acb, _: bool) -> acb:
        # h^2 - 2hk sin + k^2 = cos^2 (h^2 + w^2) with w = (k - h sin)/cos, here without 0/0 at the end when k = ±h.
        w = end * h * (quarter_turn - end * theta / 2).tan()
        if k != end * h:
            w += (k - end * h) / theta.cos()
        return (-(h * h + w * w) / 2).exp()

    # No branch cuts: a box that meets cos(theta) = 0 gives a non-finite value by itself.
    integral = acb.integral(integrand, acb(0), acb(r.asin()), abs_tol=_tolerance(), eval_limit=_MOST_EVALUATIONS).real
    return _cdf(h) * _cdf(k) + integral / (2 * arb.pi())


def _tolerance() -> arb:
    return arb(2) ** (-ctx.prec)


def _at_end(h: arb, k: arb, r: arb) -> arb:
    """Exact arguments, |r| <= 1."""
    if r == 1:
        return _cdf(h.min(k))
    if r == -1:
        # Phi(h) + Phi(k) - 1 = Phi(h) - Phi(-k): positive iff h > -k; written so that tails do not cancel.
        return _cdf(h) - _cdf(-k) if h > -k else arb(0)
    return _inside(h, k, r)


def real(h: arb, k: arb, r: arb) -> arb:
    """Enclosure for real balls; the part of `r` outside [-1, 1] is rounding and is cut off."""
    if not (h.is_finite() and k.is_finite() and r.is_finite()) or r.lower() > 1 or r.upper() < -1:
        return arb.nan()
    if r.abs_upper() < 1:
        if r.is_zero():
            return _cdf(h) * _cdf(k)
        # Mean-value form: the value at the exact centre plus the derivatives on the balls times the displacement.
        centre = h.mid(), k.mid(), r.mid()
        value = _inside(*centre)
        if not (h.is_exact() and k.is_exact() and r.is_exact()):
            for slope, argument, middle in zip(_partials(h, k, r), (h, k, r), centre, strict=True):
                if not argument.is_exact():
                    value += slope * (argument - middle)
        if value.is_finite():
            return value
    low = _at_end(h.lower(), k.lower(), r.lower().max(arb(-1)))
    high = _at_end(h.upper(), k.upper(), r.upper().min(arb(1)))
    return low.union(high)


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
    """Complex boxes: the integral along the segment from 0 to r, analytic off the cuts of 1 - r^2."""
    radius = max((arb(z.real.rad()).max(arb(z.imag.rad())) for z in (h, k, r)), key=float)

    def integrand(t: acb, analytic: bool) -> acb:
        s = r * t
        root = (1 - s * s).sqrt(analytic=analytic)
        return (-(h * h - 2 * s * h * k + k * k) / (2 * root * root)).exp() / root

    path = acb.integral(integrand, acb(0), acb(1), abs_tol=_tolerance().max(radius / 16), eval_limit=_MOST_EVALUATIONS)
    return _cdf(h) * _cdf(k) + r * path / (2 * arb.pi())
