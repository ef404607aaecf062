r"""Eigenvalues on products of spheres by tensor quadrature.

*In balls.* Let K be analytic on a neighbourhood of the polydisc :math:`|z_i|\le R`, R > 1, and :math:`|K|\le M` there.
Its Taylor coefficients obey :math:`|a_\beta|\le MR^{-|\beta|}` (Cauchy), and the tensor rule of n points per cosine is
exact for :math:`\xi^\beta\prod P_{r_i}` unless some :math:`\beta_i>2n-1-r_i`; where it is not, the integral and the
rule are at most 1 in modulus. Hence the error of the rule is at most

.. math:: 2M\,(1-1/R)^{-w}\sum_iR^{-(2n-r_i)} .

*In the angles.* :math:`\xi_i=\cos\theta_i`, Gauss-Legendre in double precision, the error estimated by doubling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import sympy as sp
from flint import acb, arb, arb_mat

from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import bits_for, has_digits, negligible, precision
from kernalg.enclosure.integrals import gauss_legendre
from kernalg.errors import DomainError
from kernalg.expansion.taylor import first_weight
from kernalg.expansion.zonal import zonal_balls, zonal_table
from kernalg.network.product_kernel import ProductKernel
from kernalg.spectrum.gauss_rules import gegenbauer_rule

Degrees = tuple[int, ...]
_RADII = tuple(arb(x) for x in (1.125, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 256, 1024))
_MOST_POINTS = 130_000
_MOST_ANGLES = {1: 2048, 2: 512, 3: 128}


def levels_by_gauss(K: ProductKernel, levels: Sequence[Degrees], digits: int) -> dict[Degrees, arb] | None:
    """Enclosures to `digits` digits, or of 0 if they are `negligible`; None if K is singular or the points too many."""
    w = len(K.dimensions)
    if not levels:
        return {}
    bounds = _moduli(K)
    if not bounds:
        return None
    found: dict[Degrees, arb] = {}
    doubtful: set[Degrees] = set()
    n = max(map(max, levels)) + 8
    bits = bits_for(digits) + 2 * _cancelled_bits(K, levels) + 64
    while n**w <= _MOST_POINTS:
        pending = [r for r in levels if r not in found]
        with precision(bits):
            values = _tensor_rule(K, pending, n)
            coarse, further = False, n + 4
            for r in pending:
                error = _bound(bounds, n, r)
                value = values[r] + arb(0, error)
                zero = value.contains(0) and value.abs_upper() < negligible(digits)
                if has_digits(value, digits) or (zero and (r in doubtful or values[r].contains(0))):
                    found[r] = value
                    continue
                # A small value that rounding tells from 0 is believed once: it may be what the rule is wrong by.
                if zero:
                    doubtful.add(r)
                size = abs(values[r].mid())
                goal = (size if zero else size.max(negligible(digits))) * arb(10) ** -(digits + 1)
                coarse = coarse or values[r].rad() > goal
                while _bound(bounds, further, r) > goal and further**w <= _MOST_POINTS:
                    further += 2
        if len(found) == len(levels):
            return found
        if coarse:
            bits += bits // 2
        n = further
    return None


def _bound(bounds: list[tuple[arb, arb]], n: int, r: Degrees) -> arb:
    return min(
        arb((2 * m * (1 - 1 / R) ** -len(r) * sum((R ** (k - 2 * n) for k in r), arb(0))).upper()) for R, m in bounds
    )


def _moduli(K: ProductKernel) -> list[tuple[arb, arb]]:
    """(R, M) for radii R up to which K is analytic."""
    w = len(K.dimensions)
    nonnegative = _nonnegative(K.expr)
    found = []
    with precision(128):
        for R in _RADII:
            # A square around the disc: boxes of composed functions grow, which costs points and no rigour.
            box = acb(arb(0, R), arb(0, R))
            value = K.balls(*[box] * w, analytic=True)
            if not value.is_finite():
                break
            size = K.balls(*[R] * w) if nonnegative else abs(value)
            found.append((R, arb(size.upper())))
    return found


def _nonnegative(expr: sp.Expr) -> bool:
    """Whether the form proves that all Taylor coefficients are >= 0: then the value at (R, …, R) is the largest."""
    if expr.is_Symbol or (expr.is_number and expr.is_nonnegative):
        return True
    if isinstance(expr, sp.Add | sp.Mul):
        return all(map(_nonnegative, expr.args))
    if isinstance(expr, sp.Pow):
        return bool(expr.exp.is_Integer and expr.exp > 0 and _nonnegative(expr.base))
    if isinstance(expr, sp.exp):
        constant, rest = expr.args[0].expand().as_independent(*expr.free_symbols, as_Add=True)
        return bool(constant.is_real) and _nonnegative(rest)
    return isinstance(expr, sp.sinh | sp.cosh | sp.asin) and _nonnegative(expr.args[0])


def _cancelled_bits(K: ProductKernel, levels: Sequence[Degrees]) -> int:
    """Bits between K(1, …, 1) and the eigenvalue of a kernel of ordinary size, and those P_k loses, at most."""
    most = 0.0
    for r in levels:
        weight = math.prod((first_weight(p, k) for p, k in zip(K.dimensions, r, strict=True)), start=first_weight(2, 0))
        most = max(most, math.log2(int(weight.q)) - math.log2(int(weight.p)) + 1.3 * sum(r))
    return math.ceil(most)


def _tensor_rule(K: ProductKernel, levels: Sequence[Degrees], n: int) -> dict[Degrees, arb]:
    """The sums over the tensor grid, one cosine contracted at a time."""
    w = len(K.dimensions)
    degree = max(map(max, levels))
    nodes, contractions = [], []
    for p in K.dimensions:
        points, weights = gegenbauer_rule(n, p)
        nodes.append(points)
        zonal = [zonal_balls(degree, p, t) for t in points]
        rows = [weight * zonal[i][k] for k in range(degree + 1) for i, weight in enumerate(weights)]
        contractions.append(arb_mat(degree + 1, n, rows))
    grid = np.indices((n,) * w).reshape(w, -1).T
    values = [K.balls(*(nodes[axis][i] for axis, i in enumerate(at))) for at in grid.tolist()]
    # Contract the first axis and send it to the end; after w turns the axes are in order again.
    for axis in range(w):
        matrix = contractions[axis] * arb_mat(n, len(values) // n, values)
        values = matrix.transpose().entries()
    side = degree + 1
    result = {}
    for r in levels:
        index = 0
        for k in r:
            index = index * side + k
        result[r] = values[index]
    return result


def levels_by_angles(K: ProductKernel, levels: Sequence[Degrees]) -> dict[Degrees, tuple[float, float]]:
    """Values and error estimates in double precision, an absolute rounding of 1e-16 of K included."""
    w = len(K.dimensions)
    if w not in _MOST_ANGLES:
        raise DomainError(
            f"{K.expr} on {w} spheres: quadrature is done for at most {max(_MOST_ANGLES)}; polynomials, sums of "
            "products and functions analytic beyond [-1, 1] have other routes"
        )
    if not levels:
        return {}
    count = _MOST_ANGLES[w] // 2
    coarse, _ = _angle_rule(K, levels, count)
    fine, floor = _angle_rule(K, levels, 2 * count)
    return {r: (fine[r], abs(fine[r] - coarse[r]) + floor) for r in levels}


def _angle_rule(K: ProductKernel, levels: Sequence[Degrees], count: int) -> tuple[dict[Degrees, float], float]:
    w = len(K.dimensions)
    points, weights = (np.array([float(v) for v in values]) for values in gauss_legendre(count, 80))
    theta = math.pi / 2 * (1 + points)
    cosines = np.cos(theta)
    degree = max(map(max, levels))
    grid = np.meshgrid(*[cosines] * w, indexing="ij")
    values = np.broadcast_to(elementwise(K.expr, K.symbols)(*grid), (count,) * w)
    size = np.abs(values)
    for p in K.dimensions:
        log_constant = math.lgamma(p / 2) - math.lgamma((p - 1) / 2) - math.log(math.pi) / 2
        measure = math.pi / 2 * weights * np.exp(log_constant + (p - 2) * np.log(np.sin(theta)))
        # tensordot contracts the first axis and appends the degree at the end
        values = np.tensordot(values, measure * zonal_table(degree, p, cosines), axes=([0], [1]))
        size = np.tensordot(size, measure, axes=([0], [0]))
    return {r: float(values[r]) for r in levels}, 1e-15 * float(size)
