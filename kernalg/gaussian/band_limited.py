r"""sin(ax)/x and Dawson's function: sine and cosine transforms of a box and of a half Gaussian.

.. math:: \frac{\sin ax}x=\int_0^a\cos(sx)\,ds,\qquad F(bx)=\tfrac12\int_0^\infty e^{-s^2/4}\sin(sbx)\,ds .

For a Gaussian pair :math:`E[\cos su\cos tv]=e^{-(s^2q_1+t^2q_2)/2}\cosh(stc)`, and with sinh for sines. So two boxes
give the probability of a rectangle, and two half Gaussians that of a quadrant (Sheppard): with :math:`D=q_1q_2-c^2`,
:math:`r=c/\sqrt{q_1q_2}`, :math:`h=a\sqrt{D/q_2}`, :math:`k=b\sqrt{D/q_1}`,

.. math:: E\Big[\frac{\sin au}u\,\frac{\sin bv}v\Big] &= \frac{\pi}{2\sqrt D}\big(\Phi_2(h,k,r)-\Phi_2(-h,k,r)
      -\Phi_2(h,-k,r)+\Phi_2(-h,-k,r)\big),\\
   E[F(au)F(bv)] &= \frac{\arcsin(C/\sqrt{AB})}{2\sqrt{AB-C^2}},\quad A=1+2a^2q_1,\ B=1+2b^2q_2,\ C=2abc .

A constant and a multiple of x may stand beside them. The functions are entire, so the derivative dual is d/dc.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import sympy as sp

from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import bivariate_normal_cdf, c, dawson, q1, q2, x


class Kind(Enum):
    ONE = "1"
    X = "x"
    SINC = "sin(a x)/x"
    DAWSON = "dawson(a x)"

    @property
    def is_even(self) -> bool:
        return self in (Kind.ONE, Kind.SINC)


@dataclass(frozen=True, slots=True)
class Wave:
    """coefficient * 1, x, sin(scale x)/x or dawson(scale x), with scale > 0."""

    kind: Kind
    coefficient: sp.Expr
    scale: sp.Expr = sp.S.One


Waves = tuple[Wave, ...]


def recognise(parts: Pieces) -> Waves | None:
    """The function as a sum of these terms, at least one of them a transform; None when it is something else."""
    if parts.breakpoints:
        return None
    waves = []
    for term in sp.Add.make_args(sp.expand(parts.branches[0])):
        coefficient, factor = term.as_independent(x, as_Add=False)
        wave = _wave(coefficient, factor)
        if wave is None:
            return None
        waves.append(wave)
    found = collect(waves)
    return found if any(w.kind in (Kind.SINC, Kind.DAWSON) for w in found) else None


def has_box(f: Waves) -> bool:
    """Whether a term sin(a x)/x is there."""
    return any(w.kind is Kind.SINC for w in f)


def _wave(coefficient: sp.Expr, factor: sp.Expr) -> Wave | None:
    if factor in (sp.S.One, x):
        return Wave(Kind.ONE if factor == 1 else Kind.X, coefficient)
    is_dawson = isinstance(factor, dawson)
    inner = factor if is_dawson else factor * x
    if not (is_dawson or isinstance(inner, sp.sin)):
        return None
    scale = sp.cancel(inner.args[0] / x)
    if scale.has(x) or scale.is_positive is None:
        return None
    if scale.is_negative:
        coefficient, scale = -coefficient, -scale
    return Wave(Kind.DAWSON if is_dawson else Kind.SINC, coefficient, scale)


def collect(waves: Iterable[Wave]) -> Waves:
    """Sum the coefficients of equal terms; drop what cancels."""
    sums: dict[tuple[Kind, sp.Expr], sp.Expr] = {}
    for w in waves:
        sums[w.kind, w.scale] = sums.get((w.kind, w.scale), sp.S.Zero) + w.coefficient
    return tuple(Wave(kind, a, scale) for (kind, scale), a in sums.items() if sp.expand(a) != 0)


def scaled(f: Waves, factor: sp.Expr) -> Waves:
    """x -> f(factor x)."""
    sign, size = (1, factor) if factor.is_positive else (-1, -factor)
    out = []
    for w in f:
        a = w.coefficient if w.kind.is_even else sign * w.coefficient
        if w.kind is Kind.ONE:
            out.append(Wave(w.kind, a))
        elif w.kind is Kind.X:
            out.append(Wave(w.kind, a * size))
        else:
            out.append(Wave(w.kind, a / size if w.kind is Kind.SINC else a, w.scale * size))
    return collect(out)


# ---------------------------------------------------------------------------------------------------------------------
# Expectations


def expectation(f: Waves, g: Waves) -> sp.Expr:
    """E[f(u) g(v)] in q1, q2, c.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> wave = recognise(pieces(dawson(x)))
    >>> expectation(wave, wave).subs({q1: 1, q2: 1})
    asin(2*c/3)/(2*sqrt(9 - 4*c**2))
    """
    return sp.Add(*(a.coefficient * b.coefficient * _pair(a, b) for a in f for b in g))


def _pair(a: Wave, b: Wave) -> sp.Expr:
    if a.kind.is_even != b.kind.is_even:
        return sp.S.Zero
    match a.kind, b.kind:
        case Kind.SINC, Kind.SINC:
            return _box_box(a.scale, b.scale)
        case Kind.DAWSON, Kind.DAWSON:
            first, second, mixed = 1 + 2 * a.scale**2 * q1, 1 + 2 * b.scale**2 * q2, 2 * a.scale * b.scale * c
            return sp.asin(mixed / (sp.sqrt(first) * sp.sqrt(second))) / (2 * sp.sqrt(first * second - mixed**2))
        case Kind.X, Kind.X:
            return c
        case Kind.X, Kind.DAWSON:
            return c * _mean_slope(b.scale, q2)
        case Kind.DAWSON, Kind.X:
            return c * _mean_slope(a.scale, q1)
    return _mean(a, q1) * _mean(b, q2)


def _box_box(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    determinant = q1 * q2 - c**2
    h, k = a * sp.sqrt(determinant) / sp.sqrt(q2), b * sp.sqrt(determinant) / sp.sqrt(q1)
    r = c / (sp.sqrt(q1) * sp.sqrt(q2))
    corners = sp.Add(*(s * t * bivariate_normal_cdf(s * h, t * k, r) for s in (1, -1) for t in (1, -1)))
    return sp.pi / (2 * sp.sqrt(determinant)) * corners


def _mean(w: Wave, q: sp.Expr) -> sp.Expr:
    """The mean without the coefficient, of an even term."""
    return sp.S.One if w.kind is Kind.ONE else _antiderivative(1, w.scale, q)


def _mean_slope(scale: sp.Expr, q: sp.Expr) -> sp.Expr:
    """E[scale F'(scale u)]."""
    return scale / (1 + 2 * scale**2 * q)


def _antiderivative(n: int, y: sp.Expr, q: sp.Expr) -> sp.Expr:
    """The n-th antiderivative of exp(-q y^2/2), even or odd: n E_{n+1} = y E_n + E_{n-1}/q."""
    terms = [sp.exp(-q * y**2 / 2), sp.sqrt(sp.pi / (2 * q)) * sp.erf(y * sp.sqrt(q / 2))]
    for k in range(1, n):
        terms.append((y * terms[k] + terms[k - 1] / q) / k)
    return terms[n]


def expectation_at_equality(f: Waves, g: Waves) -> sp.Expr:
    """E[f(u) g(u)] with Var u = q1: the formulas, except for two boxes, where they are 0/0."""
    total = []
    for a in f:
        for b in g:
            if a.kind is b.kind is Kind.SINC:
                # int_0^a int_0^b of (e^{-(s+t)^2 q/2} + e^{-(s-t)^2 q/2})/2
                value = (_antiderivative(2, a.scale + b.scale, q1) - _antiderivative(2, a.scale - b.scale, q1)) / 2
            else:
                value = _pair(a, b).subs({q2: q1, c: q1}, simultaneous=True)
            total.append(a.coefficient * b.coefficient * value)
    return sp.Add(*total)


def derivative_at_equality(f: Waves, g: Waves) -> sp.Expr:
    """E[f'(u) g'(u)] with Var u = q1."""
    total = []
    for a in f:
        for b in g:
            if a.kind is b.kind is Kind.SINC:
                value = _slopes_of_boxes(a.scale, b.scale)
            else:
                value = sp.diff(_pair(a, b), c).subs({q2: q1, c: q1}, simultaneous=True)
            total.append(a.coefficient * b.coefficient * value)
    return sp.Add(*total)


def _slopes_of_boxes(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """The integral of s t (e^{-(s-t)^2 q/2} - e^{-(s+t)^2 q/2})/2 over 0 < s < a, 0 < t < b, by parts in t and in s."""
    second, third, fourth = (lambda y, n=n: _antiderivative(n, y, q1) for n in (2, 3, 4))
    both, apart = a + b, a - b
    return (
        -(
            a * b * (second(both) + second(apart))
            - b * (third(both) + third(apart))
            - a * (third(both) - third(apart))
            + (fourth(both) - fourth(apart))
        )
        / 2
    )


def hermite_moments(f: Waves, order: int, q: sp.Expr) -> list[sp.Expr]:
    r"""E[f(sqrt(q) Z) h_k(Z)] for k = 0 … order.

    sin(ax)/x, k = 2m: (-1)^m/(s sqrt(k!)) int_0^{as} y^k e^{-y^2/2} dy, s^2 = q; the integrals obey
    I_k = (k - 1) I_{k-2} - A^{k-1} e^{-A^2/2}. F(bx), k = 2m + 1: (-4)^m m! (bs)^k/((1 + 2b^2 q)^{m+1} sqrt(k!)).
    """
    out = [sp.S.Zero] * (order + 1)
    s = sp.sqrt(q)
    for w in f:
        if w.kind is Kind.ONE:
            out[0] += w.coefficient
        elif w.kind is Kind.X:
            if order:
                out[1] += w.coefficient * s
        elif w.kind is Kind.SINC:
            end = w.scale * s
            integral = sp.sqrt(sp.pi / 2) * sp.erf(end / sp.sqrt(2))
            for k in range(0, order + 1, 2):
                if k:
                    integral = sp.expand((k - 1) * integral - end ** (k - 1) * sp.exp(-(end**2) / 2))
                out[k] += w.coefficient * (-1) ** (k // 2) * integral / (s * sp.sqrt(sp.factorial(k)))
        else:
            for k in range(1, order + 1, 2):
                m = k // 2
                size = 4**m * sp.factorial(m) * (w.scale * s) ** k / sp.sqrt(sp.factorial(k))
                out[k] += w.coefficient * (-1) ** m * size / (1 + 2 * w.scale**2 * q) ** (m + 1)
    return out
