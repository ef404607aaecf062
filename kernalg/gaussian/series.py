r"""Certified Hermite coefficients of functions outside the closed class, and the series made of them.

:math:`a_k=E[f(\sqrt q Z)h_k(Z)]`, :math:`h_k=He_k/\sqrt{k!}`. One set of nodes serves every k: the values of the
rule are multiplied by :math:`h_k` from its three-term recurrence. The error bound of the rule needs h_k off the real
line; Cramér's inequality :math:`|h_k(x)|\le1.0865\,e^{x^2/4}` and Taylor's formula give

.. math:: |h_k(x+iy)|\le1.0865\,e^{x^2/4}\sum_{j\le k}\sqrt{\tbinom kj/j!}\;|y|^j .

With a_k(q) of both functions, Parseval and Cauchy-Schwarz bound what a truncated series leaves out:
:math:`|\rho|^{K+1}\sqrt{E f(u)^2\,E g(v)^2}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import arb, arb_poly

from kernalg.enclosure.balls import ball, bits_for, certain_digits, check_digits, enclose, has_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number
from kernalg.gaussian import extensions, lattice, panels, trapezoid
from kernalg.gaussian.branches import BOUND_BITS, piecewise_analytic
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.trapezoid import Factor
from kernalg.symbols import x

MAX_ORDER = 4000
_CRAMER = arb("1.0865")
Rule = tuple[list[tuple[arb, arb]], arb]


def differentiate(parts: Pieces) -> Pieces:
    """The derivative almost everywhere, branch by branch (no delta functions at the jumps).

    Examples
    --------
    >>> differentiate(Pieces((sp.S.Zero,), (sp.S.Zero, sp.tanh(x))))
    Pieces(breakpoints=(0,), branches=(0, 1 - tanh(x)**2))
    """
    return Pieces(parts.breakpoints, tuple(_slope(b) for b in parts.branches)).merged()


def _slope(branch: sp.Expr) -> sp.Expr:
    """The derivative; floor is constant between its jumps."""
    constants = {step: sp.Dummy() for step in branch.atoms(sp.floor)}
    slope = sp.diff(branch.xreplace(constants), x)
    return slope.xreplace({constant: step for step, constant in constants.items()})


def parity(parts: Pieces) -> int | None:
    """1 for an even, -1 for an odd function, None when neither is seen."""
    if any(sp.expand(a + b) != 0 for a, b in zip(parts.breakpoints, reversed(parts.breakpoints), strict=True)):
        return None
    for sign in (1, -1):
        mirrored = [sign * b.subs(x, -x) for b in reversed(parts.branches)]
        if all(sp.expand(a - b) == 0 for a, b in zip(parts.branches, mirrored, strict=True)):
            return sign
    return None


def is_zero(parts: Pieces) -> bool:
    return all(b == 0 for b in parts.branches)


def positive_variance(q: Any, name: str) -> sp.Expr:
    """`q` as an exact positive number."""
    value = exact_number(q, name)
    if value.free_symbols or not value.is_positive:
        raise DomainError(f"{name} = {value}: the variance of a certified expectation is a positive number")
    return value


def line_sum(factors: tuple[Factor, ...], tolerance: arb, bits: int) -> arb:
    """E[product of the factors at one normal variable], with an error of at most about `tolerance`."""
    nodes, error = line_rule(factors, tolerance, bits)
    with precision(bits):
        return sum((value for _, value in nodes), start=arb(0)) + arb(0, error)


def line_rule(factors: tuple[Factor, ...], tolerance: arb, bits: int, **hermite: Any) -> Rule:
    """The trapezoidal rule where all factors are analytic on the line, panels otherwise."""
    if all(f.function.is_analytic for f in factors):
        try:
            return trapezoid.line_rule(factors, tolerance, bits, **hermite)
        except PrecisionError:  # a singularity very near the line: panels are graded towards it
            pass
    return panels.line_rule(factors, tolerance, bits, **hermite)


def norm_squared(f: Pieces, q: Any, digits: int = 30) -> arb:
    """E[f(sqrt(q) Z)^2] with relative radius at most 10^-digits.

    Examples
    --------
    >>> norm_squared(Pieces((), (sp.tanh(x),)), 1, 20).str(20, radius=False)
    '0.39429449039784117442'
    """
    digits = check_digits(digits)
    return _norm_squared(f, positive_variance(q, "q"), digits)


@lru_cache(maxsize=256)
def _norm_squared(f: Pieces, q: sp.Expr, digits: int) -> arb:
    if is_zero(f):
        return arb(0)
    stairs = lattice.recognise(f)
    if stairs is not None:
        return lattice.expectation(stairs, stairs, q, q, q, digits)
    known = extensions.norm_squared(f, q)
    if known is not None:
        return enclose(known, {}, digits)
    factor = Factor(piecewise_analytic(f), q)
    tolerance = arb(2) ** -20
    value = arb.nan()
    for _ in range(8):
        value = line_sum((factor, factor), tolerance, working_bits(factor, factor, tolerance))
        with precision(BOUND_BITS):
            if has_digits(value, digits):
                return value
            small = tolerance**2 if value.contains(0) else value.abs_lower() * arb(10) ** -(digits + 1)
            tolerance = small.min(tolerance / 2**16).mid()
    raise PrecisionError(f"{digits} digits of E f^2 were asked and {certain_digits(value)} reached at q = {q}")


def working_bits(f: Factor, g: Factor, tolerance: arb) -> int:
    """Bits that hold `tolerance` against the largest terms of a sum over both functions."""
    with precision(BOUND_BITS):
        size = (f.envelope().factor * g.envelope().factor / tolerance).log()
    return max(0, math.ceil(float(size) / math.log(2))) + 64


def hermite_coefficients(f: Pieces, q: Any, order: int, digits: int = 30) -> list[arb]:
    r"""Enclosures of a_0 … a_order, a_k = E[f(sqrt(q) Z) h_k(Z)].

    Each has relative radius at most 10^-digits if |a_k| > 10^-digits sqrt(E f^2), and an absolute radius of at most
    10^-digits sqrt(E f^2) otherwise; those that vanish because f is even or odd are exactly 0.

    Parameters
    ----------
    f : Pieces
        Piecewise analytic.
    q : exact positive number
    order : int
        From 0 to 4000.
    digits : int

    Raises
    ------
    DomainError
        E f^2 is infinite, or f has a pole on the line.
    PrecisionError
        The digits are not reached, or no bound is proved.

    Examples
    --------
    >>> [a.str(15, radius=False) for a in hermite_coefficients(Pieces((), (sp.tanh(x),)), 1, 3, 15)]
    ['0', '0.605705509602159', '0', '-0.148437190787273']
    """
    digits = check_digits(digits)
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= MAX_ORDER:
        raise DomainError(f"order={order!r}: the highest coefficient is an integer from 0 to {MAX_ORDER}")
    q = positive_variance(q, "q")
    with precision(BOUND_BITS):
        scale = norm_squared(f, q, 3).sqrt()
        tolerance = (scale * arb(10) ** -(digits + 1)).mid()
    if is_zero(f):
        return [arb(0)] * (order + 1)
    coefficients = list(coefficients_within(f, q, order, tolerance))
    with precision(BOUND_BITS):
        smallest = min(
            (a.abs_lower() for a in coefficients if a.abs_lower() * arb(10) ** digits > scale), default=scale
        )
        finer = smallest * arb(10) ** -(digits + 1)
    if all(has_digits(a, digits) or a.contains(0) or a.abs_upper() * arb(10) ** digits <= scale for a in coefficients):
        return coefficients
    return list(coefficients_within(f, q, order, finer.mid()))


@lru_cache(maxsize=64)
def coefficients_within(f: Pieces, q: sp.Expr, order: int, tolerance: arb) -> tuple[arb, ...]:
    """a_0 … a_order with radii of at most about `tolerance`."""
    stairs = lattice.recognise(f)
    if stairs is not None:
        with precision(BOUND_BITS):
            lost = max(0, math.ceil(-float(tolerance.log()) / math.log(2))) + 64
        return tuple(lattice.hermite_coefficients(stairs, q, order, tolerance, lost + math.ceil(0.8 * order)))
    if extensions.norm_squared(f, q) is not None:  # singular at 0, where no quadrature is needed
        known = extensions.hermite_moments(f, order, q) or []
        with precision(BOUND_BITS):
            bits = max(0, math.ceil(-float(tolerance.log()) / math.log(2))) + 64 + 2 * order
        with precision(bits):
            return tuple(ball(a) for a in known)
    factor = Factor(piecewise_analytic(f), q)
    symmetry = parity(f)
    # A ball recurrence loses at most the growth of the recurrence with plus signs: that in steps of two, in terms of
    # sqrt(k!) h_k, about (1 + sqrt 2)^(k/2), which is 0.64 bits a step.
    bits = working_bits(factor, factor, tolerance) + math.ceil(0.8 * order)
    nodes, error = line_rule((factor,), tolerance, bits, extra=arb(0.25), more=_hermite_growth(order))
    with precision(bits):
        sums = [arb(0)] * (order + 1)
        for z, even, odd in _paired(nodes):
            square = z * z
            for start, weight in ((0, even), (1, z * odd)):
                if symmetry == (-1 if start == 0 else 1) or start > order:
                    continue
                # He_(k+2) = (z^2 - 2k - 1) He_k - k(k-1) He_(k-2)
                before, now = arb(0), weight
                sums[start] += now
                for k in range(start, order - 1, 2):
                    before, now = now, (square - (2 * k + 1)) * now - (k * (k - 1)) * before
                    sums[k + 2] += now
        norm = arb(1)
        for k in range(order + 1):
            if k:
                norm /= arb(k).sqrt()
            sums[k] = arb(0) if symmetry == (1 if k % 2 else -1) else sums[k] * norm + arb(0, error)
    return tuple(sums)


def _paired(nodes: list[tuple[arb, arb]]) -> Iterable[tuple[arb, arb, arb]]:
    """z, f(z) + f(-z), f(z) - f(-z): the nodes z and -z together where both are there and exact."""
    pairs: dict[object, tuple[arb, arb, arb]] = {}
    for i, (z, value) in enumerate(nodes):
        if not z.is_exact():
            pairs[i] = z, value, value
            continue
        at, sign = abs(z), -1 if z < 0 else 1
        _, even, odd = pairs.get(at, (at, arb(0), arb(0)))
        pairs[at] = at, even + value, odd + sign * value
    return pairs.values()


def _hermite_growth(order: int) -> Callable[[arb], arb]:
    """|y| -> a bound of |h_k(x+iy)| exp(-x^2/4) for every k <= order."""
    with precision(BOUND_BITS):
        terms = [_CRAMER]
        for j in range(1, order + 1):  # binomial(k, j)/j! from its predecessor
            terms.append(terms[-1] * (arb(order - j + 1) / (j * j)).sqrt())
        polynomial = arb_poly(terms)
    return lambda y: polynomial(y)


def series_order(rho: arb, scale: arb, tolerance: arb) -> int:
    """K with |rho|^(K+1) scale <= tolerance; beyond MAX_ORDER when |rho| is not told from 1."""
    if not abs(rho) < 1 - arb(2) ** -30:
        return MAX_ORDER + 1
    ratio = float((scale / tolerance).log().upper()) / -float(abs(rho).log().upper())
    return max(0, math.ceil(ratio))


def series_sum(
    f: Pieces, g: Pieces, v1: sp.Expr, v2: sp.Expr, rho: Callable[[], arb], order: int, tolerance: arb, scale: arb
) -> arb:
    """Sum of a_k(v1) b_k(v2) rho^k for k <= order, with the bound of the rest."""
    with precision(BOUND_BITS):
        norms = norm_squared(f, v1, 3).sqrt().max(norm_squared(g, v2, 3).sqrt())
        # sum |rho|^k (|a_k| + |b_k|) <= 2 norm/(1 - |rho|)
        each = tolerance * (1 - abs(rho())) / (4 * norms)
        # Coarse steps of both arguments, so that calls at other correlations find the coefficients in the cache.
        each = arb(2) ** (32 * math.floor(float(each.log()) / (32 * math.log(2))))
    longest = 32
    while longest < order:
        longest = 3 * longest // 2
    a, b = (coefficients_within(h, v, longest, each)[: order + 1] for h, v in ((f, v1), (g, v2)))
    bits = bits_for(10) + max(0, math.ceil(-float((tolerance / (scale + 1)).log()) / math.log(2)))
    with precision(bits):
        r = rho()
        total = arb(0)
        for p, s in zip(reversed(a), reversed(b), strict=True):
            total = total * r + p * s
        return total + arb(0, (abs(r) ** (order + 1) * scale).upper())


def correlation(v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> arb:
    """c / sqrt(q1 q2) at the current precision."""
    return ball(cov) / (ball(v1) * ball(v2)).sqrt()
