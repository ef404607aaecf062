r"""Gaussian expectations of functions analytic in a strip, by the trapezoidal rule with a proved error.

**Coordinates.** With :math:`C=\sqrt{(1+\rho)/2}`, :math:`S=\sqrt{(1-\rho)/2}`, :math:`0\le\rho\le1`, and independent
normal z, w, the pair :math:`(Cz+Sw,\;Cz-Sw)` is normal with correlation rho, for rho = 1 too. So the integrand
:math:`F(z,w)=f(s_1(Cz+Sw))\,g(s_2(Cz-Sw))\,\varphi(z)\varphi(w)` has no narrow ridge. The two steps are matched,
:math:`Ch_z=m\delta,\;Sh_w=n\delta`: then f and g are needed on the one-dimensional lattice of step delta alone.

**One direction.** For F analytic on :math:`|\mathrm{Re}\,z|\le L=(n+\tfrac12)h,\;|\mathrm{Im}\,z|\le a`, the residue
theorem with :math:`\cot(\pi z/h)` gives

.. math:: \Big|h\sum_{|j|\le n}F(jh)-\int_{-L}^L F\Big|\le
   \frac{2\max_\pm\int_{-L}^L|F(x\pm ia)|dx}{e^{2\pi a/h}-1}
   +4\max_\pm\int_0^a|F(\pm L+iy)|\,e^{-2\pi y/h}dy,

because on the vertical sides the cotangent differs from :math:`\mp i` by :math:`2e^{-2\pi|y|/h}/(1+e^{-2\pi|y|/h})`.
(Trefethen & Weideman, SIAM Review 56, 2014, treat the infinite strip; the finite one asks for bounds on a compact set
only, which boxes can prove.)

**Bounds.** On the rectangle, boxes prove :math:`|f(s_1\zeta)|\le A_f e^{b_f|\mathrm{Re}\zeta|+d_f|\mathrm{Re}\zeta|^2}`
with the b and d of the real envelope, so every integral above is a Gaussian one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flint import acb, arb

from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.gaussian.branches import BOUND_BITS, Envelope, PiecewiseAnalytic, interval

MAX_NODES = 20_000  # on a line
MAX_PAIRS = 6_000_000  # on a plane, where a node costs two products
_MAX_DEPTH = 10
_MOST_BOXES = 2000  # of one function on one strip: a strip that needs more is taken for one with a pole


@dataclass(frozen=True, eq=False)
class Factor:
    """z -> f(sign * sqrt(variance) * z)."""

    function: PiecewiseAnalytic
    variance: object  # exact, positive
    sign: int = 1

    def scale(self) -> arb:
        return ball(self.variance).sqrt() * self.sign

    def envelope(self) -> Envelope:
        """In z."""
        with precision(BOUND_BITS):
            s = abs(self.scale())
            e = self.function.envelope(float(s))
            return Envelope(e.factor, (e.linear * s).upper(), (e.quadratic * s * s).upper())


@dataclass(frozen=True, slots=True)
class Weight:
    """w(x) = exp(linear |x| + quadratic x^2 - x^2/2)/sqrt(2 pi), quadratic < 1/2, and integrals of it."""

    linear: arb
    quadratic: arb

    def _peak(self) -> tuple[arb, arb]:
        g = 1 - 2 * self.quadratic
        return g, (self.linear**2 / (2 * g)).exp()

    def at(self, r: arb) -> arb:
        return (self.linear * r + (self.quadratic - 0.5) * r * r).exp() / (2 * arb.pi()).sqrt()

    def integral(self) -> arb:
        """At least the integral over the line."""
        g, peak = self._peak()
        return 2 * peak / g.sqrt()

    def beyond(self, r: arb) -> arb:
        """At least the integral over |x| > r."""
        g, peak = self._peak()
        return peak / g.sqrt() * ((r - self.linear / g) * (g / 2).sqrt()).erfc()

    def largest_sum(self, h: arb) -> arb:
        """At least h times the sum over the lattice of step h: two unimodal halves."""
        return self.integral() + 2 * h * self._peak()[1]

    def reach(self, small: arb) -> arb:
        """Some r with beyond(r) <= small."""
        r = arb(4)
        while not self.beyond(r) <= small:
            r = (r * 1.02 + 0.05).mid()
        return r


def weights(factors: Sequence[Factor], c: arb, s: arb, extra: arb) -> tuple[arb, Weight, Weight]:
    """The product of the envelopes' factors, and the weights in z and w: quadratic terms by (Cz+Sw)^2 <= z^2 + w^2."""
    envelopes = [f.envelope() for f in factors]
    size = arb(1)
    linear, quadratic = arb(0), extra
    for f, e in zip(factors, envelopes, strict=True):
        if not 4 * e.quadratic < 1:
            raise DomainError(
                f"{f.function.parts.branches} grows like exp({float(e.quadratic / f.scale() ** 2):.6g} x^2), so its "
                f"second moment is infinite at variance {f.variance}; take a smaller variance"
            )
        size, linear, quadratic = size * e.factor, linear + e.linear, quadratic + e.quadratic
    if not 2 * quadratic < 1:
        raise PrecisionError(
            f"the functions grow like exp({quadratic.str(5, radius=False)} z^2) in the normal variable z, too fast for "
            "their tails to be bounded; take smaller variances"
        )
    return (
        size.upper(),
        Weight((c * linear).upper(), quadratic.upper()),
        Weight((s * linear).upper(), quadratic.upper()),
    )


@dataclass(frozen=True, slots=True)
class Direction:
    """One trapezoidal rule: nodes j*step, |j| <= count, and the strip |Im| <= half_width its error is proved on."""

    step: arb
    count: int
    half_width: arb

    @property
    def end(self) -> arb:
        return (self.count + arb(0.5)) * self.step

    def error(self, w: Weight) -> arb:
        """The bound of the module's docstring for |F(x+iy)| <= w(x) exp(y^2/2); y^2 <= a y on the sides."""
        a, h = self.half_width, self.step
        inside = 2 * (a * a / 2).exp() * w.integral() / ((2 * arb.pi() * a / h).exp() - 1)
        return inside + 4 * w.at(self.end) / (2 * arb.pi() / h - a / 2)


def strip_factor(factor: Factor, reach: arb, half_width: arb) -> arb:
    """A with |f(scale*zeta)| <= A exp(b|Re zeta| + d|Re zeta|^2) for |Re zeta| <= reach, |Im zeta| <= half_width.

    Infinite when it is not proved. The function is real on the real line, so the upper half of the strip is enough.
    """
    envelope, s = factor.envelope(), factor.scale()
    branch = factor.function.branches[0]
    width = min(max(float(half_width), float(reach) / 100), 1.0)
    count = math.ceil(float(reach) / width)
    total = arb(0)
    left = _MOST_BOXES
    for i in range(-count, count):
        low, high = reach * i / count, reach * (i + 1) / count
        nearest = low if i >= 0 else -high
        stack = [(low, high, arb(0), half_width)]
        while stack:
            x0, x1, y0, y1 = stack.pop()
            size = branch.bound(s * acb(interval(x0, x1), interval(y0, y1)))
            left -= 1
            if size.is_finite():
                total = total.max((size / envelope.shape(nearest)).upper())
            elif left < 0 or y1 - y0 < half_width * 2**-_MAX_DEPTH:
                return arb.pos_inf()
            else:
                x, y = ((x0 + x1) / 2).mid(), ((y0 + y1) / 2).mid()
                stack += [(a, b, c, d) for a, b in ((x0, x), (x, x1)) for c, d in ((y0, y), (y, y1))]
    return total


@dataclass(frozen=True, slots=True)
class _Strip:
    """A proved half-width in the variable of the factors, and the bound of their product there."""

    half_width: arb
    factor: arb


def _best_strip(
    factors: Sequence[Factor], reach: arb, digits_e: float, slope: arb, more: Callable[[arb], arb]
) -> _Strip:
    """The strip |Im zeta| <= a with the largest step 2 pi y/(digits_e + log A + y^2/2), y = a/slope."""
    best: tuple[float, _Strip] | None = None

    def attempt(a: arb) -> float:
        nonlocal best
        factor = more(a / slope)
        for f in factors:
            factor *= strip_factor(f, reach, a)
            if not factor.is_finite():
                return 0.0
        factor = factor.upper()
        y = float((a / slope).upper())
        step = y / (digits_e + max(float(factor.log()), -100.0) + y * y / 2)
        if best is None or step > best[0]:
            best = (step, _Strip(a, factor))
        return step

    a = math.sqrt(2 * digits_e) * float(slope)
    last = 0.0
    for _ in range(40):
        step = attempt(arb(a))
        if best is not None and step < last:
            break
        last, a = step, a * 0.75
    if best is None:
        raise PrecisionError(
            f"no strip around the real line was found in which {factors[0].function.parts.branches[0]} is analytic"
        )
    for finer in (1.15, 1.07):
        attempt(best[1].half_width * arb(finer))
    return best[1]


def _widened(
    strip: _Strip,
    factors: Sequence[Factor],
    more: arb,
    reaches: Callable[[arb], tuple[arb, ...]],
    extent: Callable[[tuple[arb, ...]], arb],
) -> tuple[_Strip, tuple[arb, ...]]:
    """The strip proved as far as its own bound asks: `reaches(A)` are the cuts, `extent` how far |Re zeta| goes."""
    cuts = reaches(strip.factor)
    first = extent(cuts)
    for _ in range(6):
        if extent(cuts) > 2 * first:  # the bound grows faster with the cut than the Gaussian decays
            break
        factor = more
        for f in factors:
            factor *= strip_factor(f, extent(cuts), strip.half_width)
        if not factor.is_finite():
            break
        strip = _Strip(strip.half_width, factor.upper())
        needed = reaches(strip.factor)
        if all(a <= b for a, b in zip(needed, cuts, strict=True)):
            return strip, cuts
        cuts = tuple(a.max(b) for a, b in zip(needed, cuts, strict=True))
    raise PrecisionError(f"no strip of analyticity was proved for {factors[0].function.parts.branches[0]}")


def _no_more(y: arb) -> arb:
    return arb(1)


def _step(a: arb, ratio: arb) -> arb:
    """h <= 1 with exp(2 pi a/h) >= exp(a^2/2) ratio, and 2 pi/h > a/2 whatever the ratio."""
    return (2 * arb.pi() * a / (a * a / 2 + (ratio + arb.const_e()).log())).lower().min(arb(1)).mid()


def line_rule(
    factors: Sequence[Factor],
    tolerance: arb,
    bits: int,
    extra: arb | None = None,
    more: Callable[[arb], arb] = _no_more,
) -> tuple[list[tuple[arb, arb]], arb]:
    """Nodes z and values h * phi(z) * product of the factors, and a bound for the error of their sum.

    With `extra` and `more` the bound holds for the sum weighted by any p with |p(x+iy)| <= more(|y|) exp(extra x^2).
    """
    with precision(BOUND_BITS):
        size, w, _ = weights(factors, arb(1), arb(0), arb(0) if extra is None else extra)
        size *= more(arb(0))
        digits_e = max(float((8 * size * w.integral() / tolerance).log()), 5.0)
        strip = _best_strip(factors, w.reach(tolerance / (4 * size)) + 1.5, digits_e, arb(1), more)
        a = strip.half_width
        strip, (reach,) = _widened(
            strip, factors, more(a), lambda A: (w.reach(tolerance / (4 * size.max(A))),), lambda cuts: cuts[0] + 1.5
        )
        step = _step(a, 8 * strip.factor * w.integral() / tolerance)
        count = math.ceil(float((reach / step).upper()))
        _check_count(2 * count + 1, MAX_NODES, factors)
        rule = Direction(step, count, a)
        error = strip.factor * rule.error(w) + size * w.beyond(rule.end)
    nodes = []
    with precision(bits):
        h = rule.step / (2 * arb.pi()).sqrt()
        scales = [f.scale() for f in factors]
        for j in range(-count, count + 1):
            z = rule.step * j
            value = h * (-z * z / 2).exp()
            for f, s in zip(factors, scales, strict=True):
                value *= f.function.branches[0].at(s * z)
            nodes.append((z, value))
    return nodes, error.upper()


def plane(f: Factor, g: Factor, c: Callable[[], arb], s: Callable[[], arb], tolerance: arb, bits: int) -> arb:
    """E[f(u) g(v)] with an error of at most about `tolerance`; c and s enclose C and S > 0 at the current precision."""
    factors = (f, g)
    with precision(BOUND_BITS):
        c0, s0 = c(), s()
        size, wz, ww = weights(factors, c0, s0, arb(0))
        total = wz.integral() * ww.integral()
        digits_e = max(float((16 * size * total / tolerance).log()), 5.0)

        def reaches(factor: arb) -> tuple[arb, arb]:
            small = tolerance / (8 * size.max(factor))
            return wz.reach(small / ww.integral()), ww.reach(small / wz.integral())

        def extent(cuts: tuple[arb, ...]) -> arb:
            return (c0 * (cuts[0] + 1.5) + s0 * (cuts[1] + 1.5)).upper()  # a rule ends at most 1.5 steps later

        strip = _best_strip(factors, extent(reaches(arb(0))), digits_e, c0, _no_more)
        strip, (reach_z, reach_w) = _widened(strip, factors, arb(1), reaches, extent)
        most = arb(math.sqrt(2 * digits_e))
        half_z, half_w = (strip.half_width / c0).lower(), (strip.half_width / s0).lower().min(most)
        steps = [_step(a, 16 * strip.factor * total / tolerance) for a in (half_z, half_w)]
        m, n = _matching(c0 * steps[0] / (s0 * steps[1]))
        # C h_z = m delta and S h_w = n delta, neither step longer than asked
        delta = (c0 * steps[0] / m).min(s0 * steps[1] / n).lower().mid()
        rule_z = Direction(m * delta / c0, math.ceil(float((reach_z * c0 / (m * delta)).upper())), half_z)
        rule_w = Direction(n * delta / s0, math.ceil(float((reach_w * s0 / (n * delta)).upper())), half_w)
        _check_count((2 * rule_z.count + 1) * (2 * rule_w.count + 1), MAX_PAIRS, factors)
        error = strip.factor * (
            rule_z.error(wz) * ww.integral() + wz.largest_sum(rule_z.step) * rule_w.error(ww)
        ) + size * (wz.integral() * ww.beyond(rule_w.end) + ww.integral() * wz.beyond(rule_z.end))
    with precision(bits):
        return _lattice_sum(f, g, c(), s(), delta, m, n, rule_z.count, rule_w.count) + arb(0, error.upper())


def _matching(ratio: arb) -> tuple[int, int]:
    """Small m, n with m/n <= ratio, close to it."""
    r = float(ratio.mid())
    if r >= 6:
        return int(r), 1
    m, n = max(((int(r * n), n) for n in (1, 2, 3)), key=lambda p: (p[0] / p[1] > 0, p[0] / p[1] - 0.02 * p[1]))
    return max(m, 1), n


def _lattice_sum(f: Factor, g: Factor, c: arb, s: arb, delta: arb, m: int, n: int, count_z: int, count_w: int) -> arb:
    """h_z h_w times the sum of F(i h_z, j h_w)."""
    step_f, step_g = f.scale() * delta, g.scale() * delta
    first, second = f.function.branches[0].at, g.function.branches[0].at
    table_f: dict[int, arb] = {}
    table_g: dict[int, arb] = {}
    step_z, step_w = m * delta / c, n * delta / s
    phi_w = [(-((step_w * j) ** 2) / 2).exp() for j in range(count_w + 1)]
    total = arb(0)
    for i in range(-count_z, count_z + 1):
        row = arb(0)
        at = m * i
        for j in range(-count_w, count_w + 1):
            up, down = at + n * j, at - n * j
            a = table_f.get(up)
            if a is None:
                a = table_f[up] = first(step_f * up)
            b = table_g.get(down)
            if b is None:
                b = table_g[down] = second(step_g * down)
            row += phi_w[abs(j)] * (a * b)
        total += (-((step_z * i) ** 2) / 2).exp() * row
    return total * step_z * step_w / (2 * arb.pi())


def _check_count(count: int, most: int, factors: Sequence[Factor]) -> None:
    if count > most:
        raise PrecisionError(
            f"the trapezoidal rule needs about {count} nodes for {factors[0].function.parts.branches[0]}, more than "
            f"{most}: a singularity lies close to the real line at this variance; ask fewer digits"
        )
