r"""Real powers of one Gaussian variable against another: hypergeometric closed forms.

A function here is a finite sum :math:`\sum_p (\alpha_p\,x_+^p+\beta_p\,x_-^p)` with :math:`x_\pm=\max(\pm x,0)` and
real exponents. With :math:`\rho=c/\sqrt{q_1q_2}` and :math:`z=(1+\rho)/2`, for n, m > -1,

.. math:: E[u_+^n v_+^m] = q_1^{n/2}q_2^{m/2}\,\frac{2^{(n+m)/2}\,\Gamma(\frac{n+m}2+1)}{2\pi}\,
   \frac{\Gamma(n+1)\Gamma(m+1)}{\Gamma(n+m+2)}\,(4z)^{(n+m+1)/2}\;
   {}_2F_1\Big(\tfrac{1+m-n}2,\tfrac{1+n-m}2;\tfrac{n+m+3}2;z\Big),

and :math:`E[u_+^n v_-^m]` is the same at -c. Of even functions, and of odd ones,

.. math:: E[|u|^n|v|^m] &= q_1^{n/2}q_2^{m/2}\,\frac{2^{(n+m)/2}}{\pi}\Gamma(\tfrac{n+1}2)\Gamma(\tfrac{m+1}2)\;
      {}_2F_1(-\tfrac n2,-\tfrac m2;\tfrac12;\rho^2),\\
   E[\mathrm{sgn}(u)|u|^n\,\mathrm{sgn}(v)|v|^m] &= q_1^{n/2}q_2^{m/2}\,\frac{2^{(n+m)/2+1}}{\pi}
      \Gamma(\tfrac n2+1)\Gamma(\tfrac m2+1)\,\rho\;{}_2F_1(\tfrac{1-n}2,\tfrac{1-m}2;\tfrac32;\rho^2).

The first is polar coordinates and Euler's integral; the other two sum the Hermite series (odd and even terms), whose
coefficients are products.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from kernalg.errors import NoClosedForm
from kernalg.gaussian.atoms import MAX_POWER, Atom, Atoms, Gate
from kernalg.gaussian.expectation import expectation as core_expectation
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import c, q1, q2, x

t = sp.Symbol("t", positive=True)
_HALF = sp.Rational(1, 2)


@dataclass(frozen=True, slots=True)
class Power:
    """right * max(x, 0)^exponent + left * max(-x, 0)^exponent."""

    exponent: sp.Expr
    right: sp.Expr
    left: sp.Expr

    @property
    def even(self) -> sp.Expr:
        """The coefficient of |x|^exponent."""
        return sp.expand((self.right + self.left) / 2)

    @property
    def odd(self) -> sp.Expr:
        """The coefficient of sign(x) |x|^exponent."""
        return sp.expand((self.right - self.left) / 2)

    @property
    def is_core(self) -> bool:
        """Whether the engine's own normal form holds it."""
        return bool(self.exponent.is_Integer and 0 <= self.exponent <= MAX_POWER)


Powers = tuple[Power, ...]

# E |u|^p leaves the range of float64 at p = 300, and an integer power has p/2 terms.
MOST = 200


def sides(parts: Pieces) -> tuple[sp.Expr, sp.Expr] | None:
    """t -> f(-t) and t -> f(t) for t > 0, when 0 is the only breakpoint or there is none; logarithms are expanded."""
    if any(p != 0 for p in parts.breakpoints):
        return None
    left, right = parts.branches[0].subs(x, -t), parts.branches[-1].subs(x, t)
    return tuple(sp.expand(sp.expand_log(sp.expand(e))) for e in (left, right))


def one_sided_terms(side: sp.Expr) -> dict[sp.Expr, sp.Expr] | None:
    """{exponent: coefficient} of a sum of real powers of t > 0, or None.

    Raises
    ------
    NoClosedForm
        A power of a negative number that is not real.
    """
    terms: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(side) if side != 0 else ():
        coefficient, power = term.as_independent(t, as_Add=False)
        power = sp.powsimp(power, combine="exp")  # sp.expand writes t^(p-1) as t^p/t
        base, exponent = power.as_base_exp() if power != 1 else (t, sp.S.Zero)
        if base != t or exponent.has(t):
            return None
        if coefficient.has(sp.zoo):
            raise NoClosedForm(
                "Max(x, 0) to a negative power is infinite for x < 0; write Piecewise((x**p, x > 0), (0, True))"
            )
        if coefficient.is_extended_real is False:
            raise NoClosedForm(
                f"a real power of a negative number is not real; write Max(x, 0)**({exponent}), "
                f"Abs(x)**({exponent}) or sign(x)*Abs(x)**({exponent})"
            )
        exponent = sp.expand(exponent)
        terms[exponent] = terms.get(exponent, sp.S.Zero) + coefficient
    return terms


def recognise(parts: Pieces) -> Powers | None:
    """The function as a sum of one-sided powers, or None when it is something else.

    Raises
    ------
    NoClosedForm
        An exponent is at most -1, where the expectation does not exist, or a symbol that may be.
    """
    found = sides(parts)
    if found is None:
        return None
    left, right = (one_sided_terms(side) for side in found)
    if left is None or right is None:
        return None
    if any(p.is_number and p > MOST for p in (*left, *right)):
        return None
    powers = collect(
        Power(p, right.get(p, sp.S.Zero), left.get(p, sp.S.Zero))
        for p in sorted({*left, *right}, key=sp.default_sort_key)
    )
    for power in powers:
        p = power.exponent
        above = (p + 1).is_positive
        if above is None:
            raise NoClosedForm(
                f"the exponent {p} is not known to be above -1; declare it, as in Symbol('p', positive=True)"
            )
        if not above:
            raise NoClosedForm(
                f"|x|**({p}) is not integrable at 0, so the expectation of a product such as 1/(u v) does not exist; "
                "exponents above -1 have one"
            )
    return powers


def collect(powers: Iterable[Power]) -> Powers:
    """Without the terms that vanish."""
    kept = (Power(p.exponent, sp.expand(p.right), sp.expand(p.left)) for p in powers)
    return tuple(p for p in kept if p.right != 0 or p.left != 0)


def scaled(f: Powers, factor: sp.Expr) -> Powers:
    """x -> f(factor x), the factor not 0."""
    if factor.is_negative:
        return scaled(collect(Power(p.exponent, p.left, p.right) for p in f), -factor)
    return collect(Power(p.exponent, p.right * factor**p.exponent, p.left * factor**p.exponent) for p in f)


def product(f: Powers, g: Powers) -> Powers:
    """x -> f(x) g(x)."""
    total: dict[sp.Expr, tuple[sp.Expr, sp.Expr]] = {}
    for a in f:
        for b in g:
            p = sp.expand(a.exponent + b.exponent)
            right, left = total.get(p, (sp.S.Zero, sp.S.Zero))
            total[p] = right + a.right * b.right, left + a.left * b.left
    return collect(Power(p, *both) for p, both in total.items())


# ---------------------------------------------------------------------------------------------------------------------
# Expectations


def expectation(f: Powers, g: Powers) -> sp.Expr:
    """E[f(u) g(v)] in q1, q2, c.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> root = recognise(pieces(sp.sqrt(sp.Abs(x))))
    >>> expectation(root, root).subs({q1: 1, q2: 1})
    sqrt(2)*gamma(3/4)**2*hyper((-1/4, -1/4), (1/2,), c**2)/pi
    """
    elementary = [tuple(p for p in side if p.is_core) for side in (f, g)]
    total = [core_expectation(_atoms(elementary[0]), _atoms(elementary[1]))]
    total += [_pair(a, b) for a in f for b in g if not (a.is_core and b.is_core)]
    return sp.Add(*total)


def _atoms(powers: Powers) -> Atoms:
    out = []
    for p in powers:
        n = int(p.exponent)
        flipped = p.left * (-1) ** n  # left * (-x)^n
        out.append(Atom(flipped, power=n))
        if sp.expand(p.right - flipped) != 0:
            out.append(Atom(sp.expand(p.right - flipped), power=n, gate=Gate(sp.S.Zero, sp.S.Zero)))
    return tuple(a for a in out if a.coefficient != 0)


def _pair(a: Power, b: Power) -> sp.Expr:
    """One term against one. Where one of them is even (odd), only the even (odd) part of the other counts."""
    n, m = a.exponent, b.exponent
    if 0 in (a.odd, b.odd):
        return a.even * b.even * even_even(n, m)
    if 0 in (a.even, b.even):
        return a.odd * b.odd * odd_odd(n, m)
    same, crossed = sp.expand(a.right * b.right + a.left * b.left), sp.expand(a.right * b.left + a.left * b.right)
    return same * right_right(n, m, c) + crossed * right_right(n, m, -c)


def _scale(n: sp.Expr, m: sp.Expr) -> sp.Expr:
    return q1 ** (n / 2) * q2 ** (m / 2)


def right_right(n: sp.Expr, m: sp.Expr, covariance: sp.Expr) -> sp.Expr:
    """E[max(u, 0)^n max(v, 0)^m]."""
    z = (1 + covariance / sp.sqrt(q1 * q2)) / 2
    radial = 2 ** ((n + m) / 2) * sp.gamma((n + m) / 2 + 1) / (2 * sp.pi)
    angular = sp.gamma(n + 1) * sp.gamma(m + 1) / sp.gamma(n + m + 2)
    series = sp.hyper([(1 + m - n) / 2, (1 + n - m) / 2], [(n + m + 3) / 2], z)
    return _scale(n, m) * radial * angular * 2 ** (n + m + 1) * z ** ((n + m + 1) / 2) * series


def even_even(n: sp.Expr, m: sp.Expr) -> sp.Expr:
    """E[|u|^n |v|^m]."""
    factor = 2 ** ((n + m) / 2) * sp.gamma((n + 1) / 2) * sp.gamma((m + 1) / 2) / sp.pi
    return _scale(n, m) * factor * gauss_series(-n / 2, -m / 2, _HALF, c**2 / (q1 * q2))


def odd_odd(n: sp.Expr, m: sp.Expr) -> sp.Expr:
    """E[sign(u) |u|^n sign(v) |v|^m]."""
    factor = 2 ** ((n + m) / 2 + 1) * sp.gamma(n / 2 + 1) * sp.gamma(m / 2 + 1) / sp.pi
    series = gauss_series((1 - n) / 2, (1 - m) / 2, sp.Rational(3, 2), c**2 / (q1 * q2))
    return _scale(n, m) * factor * c / sp.sqrt(q1 * q2) * series


def gauss_series(a: sp.Expr, b: sp.Expr, d: sp.Expr, z: sp.Expr) -> sp.Expr:
    """2F1(a, b; d; z), written out where it terminates."""
    for e in (a, b):
        if e.is_Integer and e <= 0:
            return sp.Add(
                *(sp.rf(a, k) * sp.rf(b, k) / sp.rf(d, k) / sp.factorial(k) * z**k for k in range(int(-e) + 1))
            )
    return sp.hyper([a, b], [d], z)


def mean(f: Powers, q: sp.Expr) -> sp.Expr:
    """E f(u) for Var u = q."""
    return sp.Add(*(p.even * q ** (p.exponent / 2) * _absolute_moment(p.exponent) for p in f))


def _absolute_moment(p: sp.Expr) -> sp.Expr:
    """E|Z|^p."""
    return 2 ** (p / 2) * sp.gamma((p + 1) / 2) / sp.sqrt(sp.pi)


def expectation_at_equality(f: Powers, g: Powers) -> sp.Expr:
    """E[f(u) g(u)] with Var u = q1.

    Raises
    ------
    NoClosedForm
        It is infinite.
    """
    both = product(f, g)
    for p in both:
        if not (p.exponent + 1).is_positive:
            raise NoClosedForm(
                f"E[f(u) g(u)] is infinite: the product contains |x|**({p.exponent}), and exponents above -1 "
                "are integrable; the dual itself is finite for |rho| < 1"
            )
    return mean(both, q1)


def hermite_moments(f: Powers, order: int, q: sp.Expr) -> list[sp.Expr]:
    r"""E[f(sqrt(q) Z) h_k(Z)] for k = 0 … order.

    Even k = 2m: E|Z|^p prod_{j<m} (p - 2j)/sqrt(k!); odd k = 2m + 1: E|Z|^{p+1} prod_{j<m} (p - 1 - 2j)/sqrt(k!).
    """
    out = [sp.S.Zero] * (order + 1)
    for power in f:
        p = power.exponent
        for parity, coefficient in ((0, power.even), (1, power.odd)):
            if coefficient == 0:
                continue
            raising = coefficient * q ** (p / 2) * _absolute_moment(p + parity)
            for k in range(parity, order + 1, 2):
                out[k] += raising / sp.sqrt(sp.factorial(k))
                raising *= p - k
    return out


def value_at_zero(f: Powers) -> sp.Expr | None:
    """f(0), at a jump the mean of both sides; None when it is infinite."""
    if any(not p.exponent.is_nonnegative for p in f):
        return None
    return sp.Add(*(p.even for p in f if p.exponent == 0))
