r"""Dot-product kernels at unequal norms: eigenvalues of moment matrices, without quadrature.

For :math:`K=f(x\cdot x'/d)=\sum_ma_m(x\cdot x'/d)^m` the harmonics of degree k see the radial kernel

.. math:: \lambda_k(q,q')=\sum_jc_j\,(qq')^{k/2+j},\qquad c_j=a_{k+2j}\,w_{k,j},

with the weights of `kernalg.expansion.taylor`. Its operator on functions of q has the non-zero eigenvalues of the Gram
matrix :math:`G_{ij}=\sqrt{c_ic_j}\,E[q^{k+i+j}]`. What a matrix of J rows leaves out is positive and has the trace
:math:`\sum_{j\ge J}c_jE[q^{k+2j}]`, so that every eigenvalue lies between that of the matrix and that plus this trace.

The remainder is bounded by

* ball of largest value Q: :math:`E[q^m]/Q^m` decreases, and :math:`\sum a_mQ^m=f(Q)`;
* Gaussian inputs: f must be a sum of terms :math:`c\rho^le^{b\rho}`; then the ratios of the terms of a majorant
  :math:`|c||b|^{m-l}/(m-l)!\;E[q^m]` decrease to 2v|b|/d, which must be below 1 for the trace to be finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import sympy as sp
from flint import acb, arb

from kernalg.enclosure.balls import ball, bits_for, precision
from kernalg.enclosure.integrals import integral
from kernalg.errors import DomainError
from kernalg.expansion.taylor import first_weight, largest_weight, weight_ratio
from kernalg.network.dot_product import DotProductKernel
from kernalg.spectrum.radial_law import RadialSpace, largest, moment, variance
from kernalg.spectrum.spaces import Ball, GaussianInputs, Shells
from kernalg.spectrum.symmetric_eigenvalues import symmetric_eigenvalues
from kernalg.symbols import rho

_ROWS = (12, 24, 48, 80)
_CHECKED_SIGNS = 256


@dataclass(frozen=True, slots=True)
class Exponential:
    """coefficient * rho^power * exp(rate * rho)."""

    coefficient: sp.Expr
    power: int
    rate: sp.Expr


def check_signs(K: DotProductKernel, space: RadialSpace) -> bool:
    """Whether all Taylor coefficients are known to be >= 0; DomainError if one is negative.

    Where q takes infinitely many values that is what positive semi-definiteness means: the powers of q are linearly
    independent, and the eigenvalues of degree k have the signs of the coefficients of its parity from k.
    """
    if K.nonnegative:
        return True
    bits = 512
    with precision(bits, _CHECKED_SIGNS):
        try:
            series = K.profile().series(_CHECKED_SIGNS)
        except (ValueError, ZeroDivisionError) as error:
            raise DomainError(f"{K} has no power series at rho = 0 ({error}): it is no kernel of x.x'/d") from error
        for m in range(_CHECKED_SIGNS):
            a = series[m]
            if not a.is_finite():
                raise DomainError(f"{K} is not analytic at rho = 0: no kernel of x.x'/d for inputs of unequal norms")
            if a < 0:
                raise DomainError(
                    f"the kernel is not positive semi-definite on the {space}: its Taylor coefficient of degree {m} "
                    f"is {a.str(8, radius=False)}, and inputs of unequal norms need all of them >= 0. Check the sign "
                    "and the formula of its profile"
                )
    return False


def check_domain(K: DotProductKernel, space: RadialSpace) -> None:
    """DomainError unless the Taylor series of f converges at every x.x'/d that occurs."""
    if isinstance(space, GaussianInputs):
        exponentials(K, space)
        return
    top, function = largest(space), K.profile().ball
    with precision(128):
        q = ball(top)
        finite = function(q).is_finite() and (not isinstance(space, Shells) or function(-q).is_finite())
        by_series = K.nonnegative or not isinstance(space, Shells)
        if finite and by_series and (top > 1 or not K.nonnegative):
            # A kernel that is known to be non-negative is known to converge up to rho = 1. With non-negative
            # coefficients the first singularity lies on the positive axis (Pringsheim). The pieces shrink towards the
            # end, where a singularity is allowed.
            ends = [q * i / 64 for i in range(64)] + [q * (1 - arb(2) ** -i) for i in range(7, 31)]
            finite = all(function(acb(left.union(right)), analytic=True).is_finite() for left, right in pairwise(ends))
    if not finite:
        raise DomainError(
            f"{K} is not analytic for |rho| <= {top}, and x.x'/d takes these values on the {space}: rescale the "
            "inputs, or take a function that is analytic there (exp, a polynomial)"
        )


def exponentials(K: DotProductKernel, space: GaussianInputs) -> list[Exponential]:
    """f as a sum of c rho^l exp(b rho); DomainError if it is none, or if E f(q) is infinite."""
    terms = []
    for term in sp.Add.make_args(sp.expand(K.expr.rewrite([sp.sinh, sp.cosh], sp.exp), power_exp=False)):
        found = _exponential(sp.powsimp(term))
        if found is None:
            raise DomainError(
                f"x.x'/d is not bounded for {space}: the kernel must be defined everywhere and must not grow faster "
                f"than exponentially, so that f is a sum of terms rho^l exp(b rho); {term} is none. Take a Ball or "
                "Shells"
            )
        terms.append(found)
    v = sp.Rational(variance(space).numerator, variance(space).denominator)
    for found in terms:
        if not (2 * v * abs(found.rate) < space.d) and found.rate != 0:
            raise DomainError(
                f"the trace E f(|x|^2/d) is infinite for {space}: exp({found.rate} rho) needs a rate below "
                f"d/(2 variance) = {sp.Rational(space.d) / (2 * v)}"
            )
    return terms


def _exponential(term: sp.Expr) -> Exponential | None:
    coefficient, rest = term.as_independent(rho, as_Add=False)
    power, rate = 0, sp.S.Zero
    for factor in sp.Mul.make_args(rest):
        base, exponent = factor.as_base_exp()
        if base == rho and exponent.is_Integer and exponent >= 0:
            power += int(exponent)
        elif factor.has(rho) and isinstance(factor, sp.exp):
            line = sp.Poly(factor.args[0], rho) if factor.args[0].is_polynomial(rho) else None
            if line is None or line.degree() > 1 or not all(b.is_real for b in line.all_coeffs()):
                return None
            rate += line.coeff_monomial(rho)
            coefficient *= sp.exp(line.coeff_monomial(1))
        elif factor != 1:
            return None
    return Exponential(coefficient, power, rate) if coefficient.is_real else None


class MomentRoute:
    """The Taylor coefficients of one kernel, and bounds of what lies beyond them, for one law of q.

    Parameters
    ----------
    K : DotProductKernel
        Checked by `check_signs` and `check_domain`.
    space : Ball or GaussianInputs
    degree : int
        Largest degree k.
    digits : int
        Relative accuracy of the first eigenvalue of each degree.
    """

    def __init__(self, K: DotProductKernel, space: Ball | GaussianInputs, degree: int, digits: int) -> None:
        self.space, self.digits = space, digits
        terms = degree + 2 * _ROWS[-1] + 1
        self.bits = 4 * bits_for(digits) + 256
        last = sp.Poly(K.expr, rho).degree() if K.expr.is_polynomial(rho) else None
        zero = _zero_parity(K.expr)
        with precision(self.bits, terms):
            series = K.profile().series(terms)
            nothing = arb(0)
            self.a = [nothing if m % 2 == zero or (last is not None and m > last) else series[m] for m in range(terms)]
            self.moments = [arb(moment(space, m)) for m in range(terms)]
            if last is not None and last < terms:
                self.beyond = [sum((self._term(i) for i in range(m, last + 1, 2)), nothing) for m in range(terms)]
            elif isinstance(space, Ball):
                self.beyond = self._beyond_on_ball(K, ball(space.q))
            else:
                parts = exponentials(K, space)
                self.beyond = [sum((_majorant(e, space, m) for e in parts), nothing) for m in range(terms)]
            if zero is not None:
                self.beyond[zero::2] = [nothing] * len(self.beyond[zero::2])

    def _term(self, m: int) -> arb:
        return self.a[m].upper() * self.moments[m]

    def _beyond_on_ball(self, K: DotProductKernel, q: arb) -> list[arb]:
        up, down = K.profile().ball(q), K.profile().ball(-q)
        both = bool(down.is_finite())
        left = [(up + down) / 2, (up - down) / 2] if both else [up, up]
        bounds = []
        for m, a in enumerate(self.a):
            if left[m % 2] < 0:
                raise DomainError(
                    f"the Taylor coefficients of {K} add up to more than its value at rho = {q}: the series "
                    "does not converge on the ball, or has negative coefficients further on"
                )
            bounds.append((left[m % 2].upper().max(arb(0)) * self.moments[m] / q**m).upper())
            left[m % 2] -= a * q**m
        return bounds

    def eigenvalues(self, k: int) -> list[arb] | None:
        """Enclosures of the eigenvalues of degree `k`, decreasing, or None if the series is too slow."""
        with precision(self.bits):
            weights = self._weights(k)
            for rows in _ROWS:
                found = []
                rest = self.beyond[k + 2 * rows] * largest_weight(self.space.d, k, rows)
                for j, weight in enumerate(weights[:rows]):
                    if self.a[k + 2 * j] > 0:
                        found.append((j, self.a[k + 2 * j] * weight))
                    else:  # not told from 0
                        rest += self._term(k + 2 * j) * weight
                if not found:
                    if rest == 0:
                        return []
                    continue
                lead = max(c * self.moments[k + 2 * j] for j, c in found)
                if rest <= lead * arb(10) ** -(2 * self.digits + 4) or (
                    rows == _ROWS[-1] and rest <= lead * arb(10) ** -(self.digits + 2)
                ):
                    half = arb(rest.upper() / 2)
                    gram = self._gram(k, found)
                    return [v + half + arb(0, half.upper()) for v in symmetric_eigenvalues(gram, 2 * self.digits + 2)]
        return None

    def _gram(self, k: int, found: list[tuple[int, arb]]) -> list[list[arb]]:
        roots = [(j, c.sqrt()) for j, c in found]
        return [[s * t * self.moments[k + i + j] for j, t in roots] for i, s in roots]

    def _weights(self, k: int) -> list[arb]:
        weight, weights = arb(first_weight(self.space.d, k)), []
        for j in range(_ROWS[-1]):
            weights.append(weight)
            up, down = weight_ratio(self.space.d, k, j)
            weight = weight * up / down
        return weights


def _zero_parity(expr: sp.Expr) -> int | None:
    """0 if the even powers are missing, 1 if the odd ones are, as far as the form of the expression shows."""
    mirrored = expr.subs(rho, -rho)
    if sp.expand(mirrored - expr) == 0:
        return 1
    return 0 if sp.expand(mirrored + expr) == 0 else None


def trace(K: DotProductKernel, space: RadialSpace, digits: int) -> arb:
    """E f(|x|^2/d), certified."""
    if isinstance(space, GaussianInputs):
        return _gaussian_trace(K, space, digits)
    if isinstance(space, Ball):
        function = K.profile().ball

        def integrand(r: acb, analytic: bool) -> acb:
            return space.d * r ** (space.d - 1) * acb(function(ball(space.q) * r * r, analytic=analytic))

        return integral(integrand, 0, 1, digits=digits)
    with precision(bits_for(digits) + 64):
        values = [K.profile().ball(ball(q)) * ball(w) for q, w in zip(space.q, space.probability, strict=True)]
        return sum(values, arb(0))


def _gaussian_trace(K: DotProductKernel, space: GaussianInputs, digits: int) -> arb:
    """E[q^l exp(b q)] = (2v/d)^l (d/2)_l (1 - 2vb/d)^(-d/2-l), from the Laplace transform of chi-square."""
    with precision(bits_for(digits) + 64):
        total = arb(0)
        for e in exponentials(K, space):
            shrink = 1 - 2 * ball(variance(space)) * ball(e.rate) / space.d
            half = arb(space.d) / 2
            value = arb(moment(space, e.power)) * (-(half + e.power) * shrink.log()).exp()
            total += ball(e.coefficient) * value
        return total


def _majorant(e: Exponential, space: GaussianInputs, m: int) -> arb:
    """Bound of sum over i >= m of |coefficient of rho^i| E[q^i]."""
    b = abs(ball(e.rate))
    n = m - e.power
    if e.rate == 0:
        return (
            arb(0)
            if n > 0
            else abs(ball(e.coefficient)) * sum((arb(moment(space, i)) for i in range(m, e.power + 1)), arb(0))
        )
    if n < 1:
        return arb("inf")
    step = 2 * ball(variance(space)) / space.d
    half = arb(space.d) / 2
    log_moment = m * step.log() + (half + m).lgamma() - half.lgamma()
    first = abs(ball(e.coefficient)) * (n * b.log() - arb(n + 1).lgamma() + log_moment).exp()
    ratio = b * step * (half + m) / (n + 1)
    return first / (1 - ratio) if ratio < 1 else arb("inf")
