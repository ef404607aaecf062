"""Rigorous one-dimensional quadrature, and Gauss-Legendre rules of any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from flint import acb, arb

from kernalg.enclosure.balls import ball, bits_for, certain_digits, check_digits, has_digits, negligible, precision
from kernalg.errors import PrecisionError

# Of one piece, at one precision: integrands that can be had are had with far fewer.
_MOST_EVALUATIONS = 100_000


def integral(
    f: Callable[[acb, bool], acb],
    a: Any,
    b: Any,
    breakpoints: Sequence[Any] = (),
    digits: int = 15,
    absolute: arb | None = None,
) -> arb:
    r"""Certified :math:`\int_a^b f(t)\,dt` of a real function.

    Parameters
    ----------
    f : callable ``f(z, analytic) -> acb``
        The integrand on complex boxes, at the current precision; with ``analytic`` true it must return a non-finite
        value unless it is analytic on the box (a `BallFunction` called with that flag does).
    a, b : exact numbers
        Finite ends (see `ball`; ``sympy.pi`` is allowed).
    breakpoints : sequence of exact numbers
        Points between the ends where `f` is not analytic, in order.
    digits : int
        Relative accuracy asked for: 10^-digits of the integral.
    absolute : arb, optional
        A radius that is small enough whatever the size of the integral. Without it only an integral that is
        `negligible` (zero) is spared the relative accuracy.

    Raises
    ------
    PrecisionError
        If neither accuracy is reached.

    References
    ----------
    Johansson, *Numerical integration in arbitrary-precision ball arithmetic*, ICMS 2018.

    Examples
    --------
    >>> integral(lambda z, analytic: z.sqrt(analytic=analytic), 0, 1, digits=20).str(15, radius=False)
    '0.666666666666667'
    """
    digits = check_digits(digits)
    ends = [a, *breakpoints, b]
    total = arb.nan()
    bits = bits_for(digits)
    for attempt in range(5):
        with precision(bits << attempt):
            floor = negligible(digits) / 10**digits if absolute is None else absolute / (4 * len(ends))
            points = [acb(ball(e)) for e in ends]
            # Just above the rounding of the working precision; the sum is judged below.
            relative = arb(2) ** (8 - (bits << attempt))
            total = sum(
                (
                    acb.integral(f, left, right, rel_tol=relative, abs_tol=floor, eval_limit=_MOST_EVALUATIONS).real
                    for left, right in pairwise(points)
                ),
                start=arb(0),
            )
            if has_digits(total, digits) or (absolute is not None and total.rad() <= absolute):
                return total
            if total.contains(0) and total.abs_upper() <= negligible(digits):
                return total
    raise PrecisionError(
        f"The integral was asked to {digits} digits and reached {certain_digits(total)} ({total.str(10)}); give the "
        "points where the integrand is not analytic as breakpoints."
    )


@lru_cache(maxsize=64)
def gauss_legendre(n: int, bits: int) -> tuple[tuple[arb, ...], tuple[arb, ...]]:
    """Nodes (decreasing) and weights of the n-point Gauss-Legendre rule on [-1, 1], as balls.

    Examples
    --------
    >>> nodes, weights = gauss_legendre(2, 60)
    >>> print(nodes[0].str(10, radius=False), weights[0].str(10, radius=False))
    0.5773502692 1.000000000
    """
    with precision(bits):
        half = [arb.legendre_p_root(n, k, weight=True) for k in range((n + 1) // 2)]
        mirrored = [(-node, weight) for node, weight in reversed(half[: n // 2])]
    nodes, weights = zip(*half, *mirrored, strict=True)
    return nodes, weights
