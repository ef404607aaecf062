r"""Gauss rules of any precision, from the three-term recurrence of orthonormal polynomials.

.. math:: \sqrt{b_{i+1}}\,p_{i+1}=(t-a_i)\,p_i-\sqrt{b_i}\,p_{i-1}

Golub and Welsch (1969) for rough nodes, Newton's method to polish them, Christoffel's function
:math:`w=1/\sum_{i<n}p_i(t)^2` for the weights. A polynomial of degree n with real roots has one within
:math:`n\,|p_n(t)/p_n'(t)|` of t: the nodes and weights are enclosures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from flint import arb, ctx, fmpq
from scipy.linalg import eigh_tridiagonal

from kernalg.enclosure.balls import precision
from kernalg.errors import PrecisionError

Rule = tuple[list[arb], list[arb]]


def gauss_from_recurrence(exact_a: Sequence[fmpq], exact_b: Sequence[fmpq]) -> Rule:
    """Increasing nodes and the weights, of sum 1, at the current precision (b_0 is not used).

    Raises
    ------
    PrecisionError
        If nodes are not told from each other.
    """
    n = len(exact_a)
    # The balls of the recurrence grow by up to a factor 1 + sqrt(2), and a little, a step.
    with precision(ctx.prec + 3 * n + 32):
        a, roots = [arb(x) for x in exact_a], [arb(x).sqrt() for x in exact_b[1:]]
        start = eigh_tridiagonal(
            np.array([float(x) for x in a]), np.array([float(x) for x in roots]), eigvals_only=True
        )
        nodes: list[arb] = []
        weights: list[arb] = []
        for rough in start.tolist():
            t = arb(rough)
            for _ in range(math.ceil(math.log2(ctx.prec / 40)) + 1):
                value, slope, _ = _orthonormal(t, a, roots)
                t = (t - value / slope).mid()
            value, slope, _ = _orthonormal(t, a, roots)
            node = t + arb(0, (n * abs(value / slope)).upper())
            if nodes and not node > nodes[-1]:
                raise PrecisionError(f"the nodes of the Gauss rule of {n} points are not told from each other")
            nodes.append(node)
            weights.append(1 / _orthonormal(node, a, roots)[2])
    return nodes, weights


def gegenbauer_rule(n: int, d: int) -> Rule:
    """The n-point rule for a coordinate of a uniform unit vector in d dimensions, at the current precision.

    Examples
    --------
    >>> nodes, weights = gegenbauer_rule(2, 3)
    >>> print(nodes[1].str(8, radius=False), weights[1].str(8, radius=False))
    0.57735027 0.50000000
    """
    b = [fmpq(0), fmpq(1, d)]
    b += [fmpq(k * (k + d - 3), (2 * k + d - 2) * (2 * k + d - 4)) for k in range(2, n)]
    return gauss_from_recurrence([fmpq(0)] * n, b[:n])


def _orthonormal(t: arb, a: Sequence[arb], roots: Sequence[arb]) -> tuple[arb, arb, arb]:
    """p_n(t) up to a factor, its derivative, and the sum of p_0^2, …, p_{n-1}^2."""
    before, now = arb(0), arb(1)
    slope_before, slope = arb(0), arb(0)
    total, root = arb(0), arb(0)
    n = len(a)
    for i in range(n):
        total += now * now
        next_root = roots[i] if i + 1 < n else arb(1)
        shifted = t - a[i]
        after = (shifted * now - root * before) / next_root
        slope_after = (shifted * slope + now - root * slope_before) / next_root
        before, now, slope_before, slope, root = now, after, slope, slope_after, next_root
    return now, slope, total
