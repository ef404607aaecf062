r"""log|x|, alone or with a polynomial.

With :math:`r=c/\sqrt{q_1q_2}` and the mean :math:`\mu(q)=E\log|\sqrt q Z|=\tfrac12(\log q-\gamma-\log2)`,

.. math:: E[\log|u|\,\log|v|]=\tfrac12\arcsin^2 r+\mu(q_1)\mu(q_2),

because the Hermite coefficients :math:`a_{2m}=(-1)^{m-1}2^{m-1}(m-1)!/\sqrt{(2m)!}` are the derivatives at p = 0
of those of :math:`|x|^p`, and :math:`\sum_m a_{2m}^2r^{2m}` is the series of :math:`\tfrac12\arcsin^2r`. Against a
power, v is its regression on u plus independent noise, and
:math:`E[|u|^j\log|u|]=E|u|^j\,\tfrac12(\log 2q+\psi(\tfrac{j+1}2))`.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from kernalg.gaussian.atoms import Atom, Atoms
from kernalg.gaussian.expectation import expectation as core_expectation
from kernalg.gaussian.expectation import hermite_moments as core_hermite_moments
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.powers import one_sided_terms, sides, t
from kernalg.symbols import c, q1, q2


@dataclass(frozen=True, slots=True)
class Logarithm:
    """coefficient * log|x| + polynomial, the constant term first."""

    coefficient: sp.Expr
    polynomial: tuple[sp.Expr, ...]


def recognise(parts: Pieces) -> Logarithm | None:
    """The function as a multiple of log|x| plus a polynomial, or None."""
    found = sides(parts)
    if found is None or not all(side.has(sp.log(t)) for side in found):
        return None
    logs, tables = [], []
    for side in found:
        coefficient = side.coeff(sp.log(t))
        rest = sp.expand(side - coefficient * sp.log(t))
        if coefficient.has(t) or rest.has(sp.log(t)):
            return None
        table = one_sided_terms(rest)
        if table is None or not all(p.is_Integer and p >= 0 for p in table):
            return None
        logs.append(coefficient)
        tables.append({int(p): a for p, a in table.items()})
    left, right = tables
    degrees = range(max((*left, *right), default=0) + 1)
    mirrored = all(sp.expand(right.get(k, sp.S.Zero) - (-1) ** k * left.get(k, sp.S.Zero)) == 0 for k in degrees)
    if sp.expand(logs[0] - logs[1]) != 0 or not mirrored:
        return None
    return Logarithm(logs[1], tuple(right.get(k, sp.S.Zero) for k in degrees))


def scaled(f: Logarithm, factor: sp.Expr) -> Logarithm:
    """x -> f(factor x)."""
    constant, *rest = (a * factor**k for k, a in enumerate(f.polynomial))
    return Logarithm(f.coefficient, (constant + f.coefficient * sp.log(abs(factor)), *rest))


def _mean_of_log(q: sp.Expr) -> sp.Expr:
    return (sp.log(q) - sp.EulerGamma - sp.log(2)) / 2


def _log_moment(j: int, q: sp.Expr) -> sp.Expr:
    """E[u^j log|u|] for Var u = q."""
    if j % 2:
        return sp.S.Zero
    digamma = sp.expand_func(sp.digamma(sp.Rational(j + 1, 2)))
    return sp.factorial2(j - 1) * q ** (j // 2) * (sp.log(2) + sp.log(q) + digamma) / 2


def _against(coefficient: sp.Expr, polynomial: tuple[sp.Expr, ...], q: sp.Expr, other: sp.Expr) -> sp.Expr:
    """E[coefficient log|u| p(v)], Var u = q, Var v = other: v = (c/q) u + noise of variance other - c^2/q."""
    total = sp.S.Zero
    for m, a in enumerate(polynomial):
        for j in range(m, -1, -2):  # the noise to the even power m - j
            noise = sp.factorial2(m - j - 1) * (other - c**2 / q) ** ((m - j) // 2)
            total += a * sp.binomial(m, j) * (c / q) ** j * _log_moment(j, q) * noise
    return coefficient * total


def _atoms(polynomial: tuple[sp.Expr, ...]) -> Atoms:
    return tuple(Atom(a, power=k) for k, a in enumerate(polynomial) if a != 0)


def expectation(f: Logarithm, g: Logarithm) -> sp.Expr:
    """E[f(u) g(v)] in q1, q2, c.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> from kernalg.symbols import x
    >>> log = recognise(pieces(sp.log(sp.Abs(x))))
    >>> sp.N(expectation(log, log).subs({q1: 1, q2: 1, c: 1}), 10)
    1.637155990
    """
    arcsine = sp.asin(c / sp.sqrt(q1 * q2))
    logs = f.coefficient * g.coefficient * (arcsine**2 / 2 + _mean_of_log(q1) * _mean_of_log(q2))
    mixed = _against(f.coefficient, g.polynomial, q1, q2) + _against(g.coefficient, f.polynomial, q2, q1)
    return logs + mixed + core_expectation(_atoms(f.polynomial), _atoms(g.polynomial))


def expectation_at_equality(f: Logarithm, g: Logarithm) -> sp.Expr:
    """E[f(u) g(u)] with Var u = q1; Var log|Z| = pi^2/8."""
    square = f.coefficient * g.coefficient * (_mean_of_log(q1) ** 2 + sp.pi**2 / 8)
    mixed = sp.Add(
        *(a.coefficient * p * _log_moment(k, q1) for a, b in ((f, g), (g, f)) for k, p in enumerate(b.polynomial))
    )
    both = core_expectation(_atoms(f.polynomial), _atoms(g.polynomial))
    return square + mixed + both.subs({q2: q1, c: q1}, simultaneous=True)


def hermite_moments(f: Logarithm, order: int, q: sp.Expr) -> list[sp.Expr]:
    r"""E[f(sqrt(q) Z) h_k(Z)] for k = 0 … order."""
    out = list(core_hermite_moments(_atoms(f.polynomial), order, q))
    out[0] += f.coefficient * _mean_of_log(q)
    for k in range(2, order + 1, 2):
        m = k // 2
        out[k] += f.coefficient * (-1) ** (m - 1) * 2 ** (m - 1) * sp.factorial(m - 1) / sp.sqrt(sp.factorial(k))
    return out
