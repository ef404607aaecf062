r"""Gaussian expectations of piecewise analytic functions, by Gauss-Legendre panels with a proved error.

In the coordinates of `trapezoid` a breakpoint :math:`s_1\alpha` of f is the line :math:`Cz+Sw=\alpha` and one of g the
line :math:`Cz-Sw=\beta`. The w-axis is split where two of these lines, or one of them and an end of the rectangle,
meet; between two splits the lines have one order, and between two neighbouring lines :math:`z=\ell(w)` and
:math:`z=k(w)` the integrand is analytic in :math:`(w,\theta)`, :math:`z=\ell+\theta(k-\ell)`. No scale in this
construction shrinks as rho goes to 1.

The n-point rule on [-1, 1] errs by at most :math:`\frac{64}{15}M r^{-2n}/(1-r^{-2})` when the integrand is analytic and
bounded by M in the Bernstein ellipse of parameter r (Trefethen, *Approximation Theory and Approximation Practice*,
theorem 19.3). Boxes that cover the ellipse prove M; a panel that would need too many nodes is halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from flint import acb, arb

from kernalg.enclosure.balls import ball, precision
from kernalg.enclosure.integrals import gauss_legendre
from kernalg.errors import PrecisionError
from kernalg.gaussian.branches import BOUND_BITS, Branch, interval
from kernalg.gaussian.trapezoid import Factor, weights

MAX_EVALUATIONS = 2_000_000
_MAX_PANELS = 4000
_ELLIPSE = 3  # the Bernstein parameter r
_SLABS = 4
_MAX_DEPTH = 400


def _no_more(y: arb) -> arb:
    return arb(1)


def branches_in_z(factor: Factor) -> tuple[list[arb], list[Branch]]:
    """Breakpoints, rising, and branches of z -> f(scale z)."""
    s = factor.scale()
    points = [ball(p) / s for p in factor.function.parts.breakpoints]
    branches = list(factor.function.branches)
    return (points, branches) if factor.sign > 0 else (points[::-1], branches[::-1])


def _half_ellipse() -> list[acb]:
    """Boxes that cover the upper half of the Bernstein ellipse."""
    a, b = arb(_ELLIPSE + 1 / arb(_ELLIPSE)) / 2, arb(_ELLIPSE - 1 / arb(_ELLIPSE)) / 2
    boxes = []
    for i in range(-_SLABS, _SLABS):
        low, high = a * i / _SLABS, a * (i + 1) / _SLABS
        nearest = low if i >= 0 else -high
        boxes.append(acb(interval(low, high), interval(arb(0), b * (1 - (nearest / a) ** 2).sqrt())))
    return boxes


def _gaussian_bound(z: acb) -> arb:
    """At least |exp(-z^2/2)| on a box."""
    return ((z.imag.abs_upper() ** 2 - z.real.abs_lower() ** 2) / 2).exp()


def _nodes_for(size: arb) -> int:
    """n with (64/15) size r^-2n/(1 - r^-2) <= 1, in steps of four."""
    if not size.is_finite():
        return 10**9
    exponent = float((size * 64 / 15 / (1 - arb(_ELLIPSE) ** -2)).log()) if size > 0 else 0.0
    return 4 * max(1, math.ceil(exponent / (8 * math.log(_ELLIPSE)) + 1e-6))


def _rule_error(size: arb, n: int) -> arb:
    r = arb(_ELLIPSE)
    return size * 64 / 15 * r ** (-2 * n) / (1 - r**-2)


def _most_nodes(demand: float) -> int:
    """The longest rule worth using when the integrand is of the size that was planned for."""
    return 4 * math.ceil(demand / (8 * math.log(_ELLIPSE)) + 4)


# ---------------------------------------------------------------------------------------------------------------------
# One variable


def line_rule(
    factors: Sequence[Factor],
    tolerance: arb,
    bits: int,
    extra: arb | None = None,
    more: Callable[[arb], arb] = _no_more,
) -> tuple[list[tuple[arb, arb]], arb]:
    """Nodes z and values (weight * phi(z) * product of the factors), and a bound for the error of their sum.

    With `extra` and `more` the bound holds for the sum weighted by any p with |p(x+iy)| <= more(|y|) exp(extra x^2).
    """
    with precision(BOUND_BITS):
        growth = arb(0) if extra is None else extra
        size, w, _ = weights(factors, arb(1), arb(0), growth)
        size *= more(arb(0))
        reach = w.reach(tolerance / (4 * size))
        demand = max(float((size * reach / tolerance).log()), 5.0)
    panels: list[tuple[arb, arb, list[Branch], int]] = []
    with precision(bits):
        tables = [branches_in_z(f) for f in factors]
        scales = [f.scale() for f in factors]
        points = sorted(
            (p for points, _ in tables for p in points if p > -reach and p < reach), key=lambda p: p.mid().fmpq()
        )
        ends = [-reach, *points, reach]
        error = size * w.beyond(reach)
        for low, high in pairwise(ends):
            if not high > low:  # equal breakpoints of two factors, or equal as far as the precision can tell
                error += size * (w.linear * reach + w.quadratic * reach**2).exp() * (high - low).abs_upper()
                continue
            middle = (low + high) / 2
            here = [branches[sum(1 for p in points if p < middle)] for points, branches in tables]
            panels_here, lost = _line_panels(low, high, here, scales, growth, more, tolerance, reach, demand)
            panels += panels_here
            error += lost
        nodes = []
        norm = (2 * arb.pi()).sqrt()
        for low, high, here, n in panels:
            middle, half = (low + high) / 2, (high - low) / 2
            for t, weight in zip(*gauss_legendre(n, bits), strict=True):
                z = middle + half * t
                value = half * weight * (-z * z / 2).exp() / norm
                for branch, s in zip(here, scales, strict=True):
                    value *= branch.at(s * z)
                nodes.append((z, value))
    return nodes, error.upper()


def _line_panels(
    low: arb,
    high: arb,
    branches: list[Branch],
    scales: list[arb],
    growth: arb,
    more: Callable[[arb], arb],
    tolerance: arb,
    reach: arb,
    demand: float,
) -> tuple[list[tuple[arb, arb, list[Branch], int]], arb]:
    """Panels that together err by at most the radius returned."""
    ellipse = _half_ellipse()
    found = []
    error = arb(0)
    stack = [(low, high, 0)]
    total = steps = 0
    while stack:
        a, b, depth = stack.pop()
        steps += 1
        with precision(BOUND_BITS):
            whole = acb(interval(a, b))
            crude = _gaussian_bound(whole) * (growth * whole.real.abs_upper() ** 2).exp() * more(arb(0))
            for branch, s in zip(branches, scales, strict=True):
                crude *= branch.real_bound(s * whole.real)
            if crude * reach * 4 <= tolerance or crude * (b - a) * 2**12 <= tolerance:
                error += crude.upper() * (b - a)
                continue
            middle, half = (a + b) / 2, (b - a) / 2
            size = arb(0)
            for box in ellipse:
                z = middle + half * box
                part = _gaussian_bound(z) * (growth * z.real.abs_upper() ** 2).exp() * more(z.imag.abs_upper())
                for branch, s in zip(branches, scales, strict=True):
                    part *= branch.bound(s * z)
                size = size.max(part) if part.is_finite() else arb.pos_inf()
                if not size.is_finite():
                    break
            n = _nodes_for(8 * size * reach / tolerance)
            total += n if n <= _most_nodes(demand) else 0
            if n <= _most_nodes(demand):
                error += half * _rule_error(size, n)
        if n <= _most_nodes(demand):
            found.append((a, b, branches, n))
        else:
            m = ((a + b) / 2).mid()
            stack += [(a, m, depth + 1), (m, b, depth + 1)]
        if depth > _MAX_DEPTH or steps > _MAX_PANELS or total > MAX_EVALUATIONS:
            raise PrecisionError(
                f"{branches[0].expr} is not proved analytic near {float((scales[0] * a).mid()):.6g}; write a "
                "singularity there as a breakpoint, or remove it"
            )
    return found, error


# ---------------------------------------------------------------------------------------------------------------------
# Two variables


@dataclass(frozen=True, slots=True)
class Line:
    """z = constant + slope * w."""

    constant: arb
    slope: arb
    kind: str  # "f", "g" or "end"

    def at(self, w: arb) -> arb:
        return self.constant + self.slope * w


@dataclass(frozen=True, slots=True)
class Cell:
    """w between `left` and `right`, z = lower + theta (upper - lower) with theta between `bottom` and `top`."""

    left: arb
    right: arb
    bottom: arb
    top: arb
    lower: Line
    upper: Line
    branches: tuple[Branch, Branch]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Two affine functions of w, an arb or an acb."""

    low: arb
    low_slope: arb
    high: arb
    high_slope: arb

    def at(self, w: Any) -> tuple[Any, Any]:
        return self.low + self.low_slope * w, self.high + self.high_slope * w

    def gap(self, w: Any) -> Any:
        return (self.high - self.low) + (self.high_slope - self.low_slope) * w


class _Plane:
    """The integrand on cells."""

    def __init__(self, f: Factor, g: Factor, c: arb, s: arb) -> None:
        self.c, self.s = c, s
        self.scales = f.scale(), g.scale()

    def ends(self, cell: Cell) -> tuple[_Ends, _Ends, _Ends]:
        """z, Cz + Sw and Cz - Sw on the two lines of the cell.

        In between each is (1 - theta) lower + theta upper: on its own line the second or third is constant in w (its
        slope is 0 up to rounding), so boxes do not widen across a breakpoint.
        """
        low, high, c, s = cell.lower, cell.upper, self.c, self.s
        return (
            _Ends(low.constant, low.slope, high.constant, high.slope),
            _Ends(c * low.constant, c * low.slope + s, c * high.constant, c * high.slope + s),
            _Ends(c * low.constant, c * low.slope - s, c * high.constant, c * high.slope - s),
        )

    def bound(self, cell: Cell, ws: Sequence[acb], thetas: Sequence[acb]) -> arb:
        """At least |F (upper - lower)| on every w box times every theta box."""
        ends = self.ends(cell)
        total = arb(0)
        for w in ws:
            (z0, z1), (u0, u1), (v0, v1) = (e.at(w) for e in ends)
            density = _gaussian_bound(w) * abs(ends[0].gap(w)) / (2 * arb.pi())
            for theta in thetas:
                rest = 1 - theta
                part = density * _gaussian_bound(rest * z0 + theta * z1)
                part *= cell.branches[0].bound(self.scales[0] * (rest * u0 + theta * u1))
                if part.is_finite():
                    part *= cell.branches[1].bound(self.scales[1] * (rest * v0 + theta * v1))
                part = part.upper()
                if not part.is_finite():
                    return arb.pos_inf()
                total = total.max(part)
        return total

    def crude(self, cell: Cell) -> arb:
        """At least |F (upper - lower)| on the cell."""
        ends = self.ends(cell)
        w, theta = interval(cell.left, cell.right), interval(cell.bottom, cell.top)
        z, u, v = ((1 - theta) * low + theta * high for low, high in (e.at(w) for e in ends))
        size = _gaussian_bound(acb(w)) * _gaussian_bound(acb(z)) * abs(ends[0].gap(w)) / (2 * arb.pi())
        size *= cell.branches[0].real_bound(self.scales[0] * u) * cell.branches[1].real_bound(self.scales[1] * v)
        return size.upper()

    def sum(self, cell: Cell, n_w: int, n_theta: int, bits: int) -> arb:
        """The tensor rule on the cell."""
        ends = self.ends(cell)
        first, second = cell.branches[0].at, cell.branches[1].at
        s1, s2 = self.scales
        w_middle, w_half = (cell.left + cell.right) / 2, (cell.right - cell.left) / 2
        t_middle, t_half = (cell.bottom + cell.top) / 2, (cell.top - cell.bottom) / 2
        thetas = [(t_middle + t_half * t, weight) for t, weight in zip(*gauss_legendre(n_theta, bits), strict=True)]
        total = arb(0)
        for node, weight in zip(*gauss_legendre(n_w, bits), strict=True):
            w = w_middle + w_half * node
            z0, u0, v0 = (e.at(w)[0] for e in ends)
            u0, v0 = u0 * s1, v0 * s2
            dz, du, dv = (e.gap(w) for e in ends)
            du, dv = du * s1, dv * s2
            row = arb(0)
            for theta, inner in thetas:
                z = z0 + theta * dz
                row += inner * (-(z * z) / 2).exp() * first(u0 + theta * du) * second(v0 + theta * dv)
            total += weight * (-(w * w) / 2).exp() * dz * row
        return total * w_half * t_half / (2 * arb.pi())


def plane(f: Factor, g: Factor, c: Callable[[], arb], s: Callable[[], arb], tolerance: arb, bits: int) -> arb:
    """E[f(u) g(v)] with an error of at most about `tolerance`; c and s enclose C and S > 0 at the current precision."""
    with precision(BOUND_BITS):
        size, wz, ww = weights((f, g), c(), s(), arb(0))
        reach_z = wz.reach(tolerance / (8 * size * ww.integral()))
        reach_w = ww.reach(tolerance / (8 * size * wz.integral()))
        area = 4 * reach_z * reach_w
        demand = max(float((size * area / tolerance).log()), 5.0)
        error = size * (wz.integral() * ww.beyond(reach_w) + ww.integral() * wz.beyond(reach_z))
        sliver_w = size * wz.integral() * (ww.linear * reach_w + ww.quadratic * reach_w**2).exp()
        sliver_z = size * ww.integral() * (wz.linear * reach_z + wz.quadratic * reach_z**2).exp()
    with precision(bits):
        integrand = _Plane(f, g, c(), s())
        planned = []
        spent = 0
        for cell in _cells(f, g, integrand, reach_z, reach_w):
            if not cell.right > cell.left:
                error += sliver_w * (cell.right - cell.left).abs_upper()
                continue
            if not height(cell, (cell.left + cell.right) / 2) > 0:
                error += sliver_z * height(cell, cell.left).abs_upper().max(height(cell, cell.right).abs_upper())
                continue
            for part, n_w, n_theta, lost in _refined(cell, integrand, area, tolerance, demand):
                error += lost
                spent += n_w * n_theta
                if n_w:
                    planned.append((part, n_w, n_theta))
                if spent > MAX_EVALUATIONS or len(planned) > _MAX_PANELS:
                    raise PrecisionError(
                        f"more than {MAX_EVALUATIONS} evaluations are needed for {part.branches[0].expr} and "
                        f"{part.branches[1].expr}: singularities lie on or very near the real line at these "
                        "variances; ask fewer digits"
                    )
        total = sum((integrand.sum(part, n_w, n_theta, bits) for part, n_w, n_theta in planned), start=arb(0))
        return total + arb(0, error.upper())


def height(cell: Cell, w: arb) -> arb:
    """The extent in z at w."""
    return cell.upper.at(w) - cell.lower.at(w)


def _cells(f: Factor, g: Factor, plane: _Plane, reach_z: arb, reach_w: arb) -> Iterator[Cell]:
    """The cells of the arrangement of lines.

    A cell of no certain width or height stands for what may lie between two splits, or lines, that the precision
    cannot tell apart.
    """
    c, s = plane.c, plane.s
    (points_f, branches_f), (points_g, branches_g) = branches_in_z(f), branches_in_z(g)
    lines_f = [Line(p / c, -s / c, "f") for p in points_f]
    lines_g = [Line(p / c, s / c, "g") for p in points_g]
    ends = [Line(-reach_z, arb(0), "end"), Line(reach_z, arb(0), "end")]
    splits = [(b - a) / (-2 * s) for a in points_f for b in points_g]  # alpha - Sw = beta + Sw
    for line in (*lines_f, *lines_g):
        splits += [(end.constant - line.constant) / line.slope for end in ends]
    splits = [w for w in splits if not (w <= -reach_w or w >= reach_w)]
    ordered = [-reach_w, *sorted(splits, key=lambda w: w.mid().fmpq()), reach_w]
    for left, right in pairwise(ordered):
        if not right > left:
            yield Cell(left, right, arb(0), arb(1), ends[0], ends[1], (branches_f[0], branches_g[0]))
            continue
        middle = (left + right) / 2
        stack = sorted((*lines_f, *lines_g, *ends), key=lambda line: line.at(middle).mid().fmpq())
        i = j = inside = 0
        for lower, upper in pairwise(stack):
            i, j = i + (lower.kind == "f"), j + (lower.kind == "g")
            inside += lower.kind == "end"
            if inside == 1:
                yield Cell(left, right, arb(0), arb(1), lower, upper, (branches_f[i], branches_g[j]))


def _refined(
    cell: Cell, plane: _Plane, area: arb, tolerance: arb, demand: float
) -> Iterator[tuple[Cell, int, int, arb]]:
    """Parts of the cell with their rules (no nodes: negligible) and errors."""
    ellipse = _half_ellipse()
    most = _most_nodes(demand)
    real = [acb(interval(arb(i) / 2, arb(i + 1) / 2)) for i in range(-2, 2)]
    stack = [(cell, 0)]
    steps = 0
    while stack:
        part, depth = stack.pop()
        steps += 1
        if depth > _MAX_DEPTH or steps > 2 * _MAX_PANELS:
            raise PrecisionError(
                f"{part.branches[0].expr} or {part.branches[1].expr} is not proved analytic up to its breakpoints"
            )
        with precision(BOUND_BITS):  # never left open at a yield: it is the caller's precision too
            n_w, n_t, lost = _plan(part, plane, area, tolerance, ellipse, real)
            w_length = part.right - part.left
            z_length = (part.upper.at(part.left) - part.lower.at(part.left)) * (part.top - part.bottom)
        if n_w <= most and n_t <= most:
            yield part, n_w, n_t, lost
        elif n_w > n_t or (n_w == n_t and w_length > z_length):
            m = ((part.left + part.right) / 2).mid()
            stack += [(replace(part, right=m), depth + 1), (replace(part, left=m), depth + 1)]
        else:
            m = ((part.bottom + part.top) / 2).mid()
            stack += [(replace(part, top=m), depth + 1), (replace(part, bottom=m), depth + 1)]


def _plan(
    part: Cell, plane: _Plane, area: arb, tolerance: arb, ellipse: list[acb], real: list[acb]
) -> tuple[int, int, arb]:
    """Nodes in w and theta and a bound of the error; no nodes when the whole part is negligible."""
    w_middle, w_half = (part.left + part.right) / 2, (part.right - part.left) / 2
    t_middle, t_half = (part.bottom + part.top) / 2, (part.top - part.bottom) / 2
    tall = height(part, w_middle)
    crude = plane.crude(part) * 4 * w_half * t_half
    if crude <= tolerance * w_half * t_half * tall / area or crude * 2**14 <= tolerance * t_half:
        return 0, 0, crude.upper()
    allowed = tolerance * tall / (8 * area)
    size_w = plane.bound(part, [w_middle + w_half * e for e in ellipse], [t_middle + t_half * r for r in real])
    size_t = plane.bound(part, [w_middle + w_half * r for r in real], [t_middle + t_half * e for e in ellipse])
    n_w, n_t = _nodes_for(size_w / allowed), _nodes_for(size_t / allowed)
    if not (size_w.is_finite() and size_t.is_finite()):
        return n_w, n_t, arb.pos_inf()
    return n_w, n_t, 2 * w_half * t_half * (_rule_error(size_w, n_w) + _rule_error(size_t, n_t))
