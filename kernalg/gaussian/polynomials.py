r"""Polynomials of a Gaussian pair without writing products out: Mehler's sum.

Derivatives move from the expectation to the functions (Price 1958), and of a polynomial only finitely many are left:

.. math:: E[\varphi(u)\,\psi(v)] = \sum_k \frac{c^k}{k!}\,m_k(q_1)\,n_k(q_2), \qquad
          m_k(q) = E\,\varphi^{(k)}(\sqrt q Z), \quad n_k(q) = E\,\psi^{(k)}(\sqrt q Z).

The heat equation, :math:`m_k'(q) = m_{k+2}(q)/2`, gives every :math:`m_k(q)` from the numbers :math:`m_n(r)` at one
variance r,

.. math:: m_k(q) = \sum_j \frac{m_{k+2j}(r)}{j!}\Big(\frac{q-r}2\Big)^j, \qquad
          m_n(0) = \varphi^{(n)}(0), \qquad m_n(1) = \sqrt{n!}\,b_n \;\text{ for }\; \varphi = \sum b_n h_n .

Powers of x are r = 0, a Hermite series in :math:`h_n(x/\sqrt r)` is that r. The powers of a long Hermite series cancel
to all digits, so it is kept at its own r.

Coefficients are sums of rational multiples of irrational constants (square roots, most of all). A polynomial is kept as
:math:`\sum_i s_i R_i(x)` with these constants s_i and rational polynomials R_i, in which all this is linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import sympy as sp
from flint import acb, acb_poly, arb, arb_poly, ctx, fmpq, fmpq_poly

from kernalg.enclosure.balls import ball, bits_for, has_digits, precision
from kernalg.errors import PrecisionError
from kernalg.gaussian.atoms import constant
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import c, q1, q2, rho, x

MAX_DEGREE = 200
# Sums up to this degree are written out by the engine, in one canonical spelling.
WRITTEN_OUT = 6
# How many times worse powers may be conditioned than Hermite polynomials before they are given up.
_CANCELLING = 8.0
_CONDITION_BITS = 2000

Parts = dict[sp.Expr, fmpq_poly]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """sum of s_i R_i(x), by its irrational constants s_i (1 among them) in a fixed order."""

    parts: Mapping[sp.Expr, fmpq_poly]
    _powers: dict[int, list[arb]] = field(default_factory=dict, repr=False)
    _weights: dict[int, list[arb]] = field(default_factory=dict, repr=False)

    @cached_property
    def degree(self) -> int:
        """-1 for the zero polynomial."""
        return max((int(r.degree()) for r in self.parts.values()), default=-1)

    @cached_property
    def powers(self) -> tuple[int, ...]:
        """The exponents that occur, ascending."""
        return tuple(k for k in range(self.degree + 1) if any(r[k] != 0 for r in self.parts.values()))

    @property
    def parity(self) -> int | None:
        """1 for an even, -1 for an odd polynomial, else None."""
        kinds = {k % 2 for k in self.powers}
        return None if len(kinds) == 2 else (-1 if kinds == {1} else 1)

    @property
    def expr(self) -> sp.Expr:
        """In powers of x."""
        terms = (self._exact(self.parts, k, fmpq(1)) * x**k for k in range(self.degree + 1))
        return sp.Add(*terms)

    @property
    def series_expr(self) -> sp.Expr:
        """As the Hermite series at its own variance, whose polynomials are written in powers of x.

        They are m_k(r)/k! times E (x + i sqrt(r) Z)^k = sum_j k!/(j! (k-2j)!) (-r/2)^j x^(k-2j).
        """
        terms = []
        for k in range(self.degree + 1):
            weights, factor = [], fmpq(math.factorial(k))
            for j in range(k // 2 + 1):
                weights.append(_rational(factor / math.factorial(k - 2 * j)) * x ** (k - 2 * j))
                factor *= -self.reference / (2 * (j + 1))
            terms.append(self._exact(self._kept, k, fmpq(1)) * sp.Add(*weights))
        return sp.Add(*terms)

    def __reduce__(self) -> tuple[Any, ...]:
        return polynomial, (self.expr,)

    def derivative(self) -> Polynomial:
        return _of({s: r.derivative() for s, r in self.parts.items()})

    def __call__(self, at: arb | acb, analytic: bool = True) -> Any:
        """phi at a real or complex ball, in powers of x; it is analytic everywhere, asked or not."""
        bits = ctx.prec
        if bits not in self._powers:
            self._powers[bits] = self._combined([_number(s) for s in self.parts], self.parts)
        return acb_poly(self._powers[bits])(at) if isinstance(at, acb) else arb_poly(self._powers[bits])(at)

    # -- the numbers m_k(q) -----------------------------------------------------------------------

    def heated(self, variance: fmpq) -> Parts:
        """x -> E phi(x + sqrt(variance) Z) = exp(variance D^2/2) phi; its k-th derivative at 0 is m_k(variance)."""
        made: Parts = {}
        for s, r in self.parts.items():
            total, term, j = r, r, 0
            while term.degree() >= 2:
                j += 1
                term = term.derivative().derivative() * (variance / (2 * j))
                total = total + term
            made[s] = total
        return made

    @cached_property
    def reference(self) -> fmpq:
        """The variance r at which the polynomial is kept: 0 for powers of x, else that of its Hermite series.

        Where powers do well they are kept. In sum b_k h_k(x/sqrt(r)) with different square roots b_k, the constant of
        the highest power is in the one two below by the highest term alone: their ratio is -M(M-1)r/2.
        """
        if self.degree < 2:
            return fmpq(0)
        at_one = self.heated(fmpq(1))
        candidates = [fmpq(1)]
        for r in self.parts.values():
            if r.degree() == self.degree:
                own = -2 * r[self.degree - 2] / (self.degree * (self.degree - 1) * r[self.degree])
                if own > 0 and own != 1:
                    candidates.append(own)
        best = min(candidates, key=lambda q: _length(at_one if q == 1 else self.heated(q)))
        if _length(self.parts) > _length(self.heated(best)):
            return best
        return best if self._condition(fmpq(0)) > _CANCELLING * self._condition(fmpq(1)) else fmpq(0)

    def _condition(self, variance: fmpq) -> float:
        """The sum of the norms of all terms as a share of the norm of phi, for a standard normal variable."""
        with precision(_CONDITION_BITS):
            constants = [_number(s) for s in self.parts]
            hermite = self._combined(constants, self.heated(fmpq(1)))
            norm = sum((arb(math.factorial(k)) * a * a for k, a in enumerate(hermite)), arb(0)).sqrt()
            if variance == 0:  # E x^(2k) = (2k - 1)!!
                terms = self._combined(constants, self.parts)
                squares = [math.factorial(2 * k) // (2**k * math.factorial(k)) for k in range(len(terms))]
            else:
                terms, squares = hermite, [math.factorial(k) for k in range(len(hermite))]
            size = sum((abs(a) * arb(n).sqrt() for a, n in zip(terms, squares, strict=True)), arb(0))
            return float(size / norm)

    def _combined(self, constants: Iterable[arb], parts: Mapping[sp.Expr, fmpq_poly]) -> list[arb]:
        """The coefficients as balls."""
        total = [arb(0)] * (self.degree + 1)
        for s, r in zip(constants, parts.values(), strict=True):
            for k, coefficient in enumerate(r.coeffs()):
                if coefficient != 0:
                    total[k] += s * coefficient
        return total

    @cached_property
    def _kept(self) -> Parts:
        return self.heated(self.reference)

    def _moments_at_reference(self) -> list[arb]:
        """m_n(r) at the current precision."""
        bits = ctx.prec
        if bits not in self._weights:
            combined = self._combined([_number(s) for s in self.parts], self._kept)
            self._weights[bits] = [math.factorial(n) * a for n, a in enumerate(combined)]
        return self._weights[bits]

    def moments(self, variance: arb) -> list[arb]:
        """m_0(q) … m_M(q) in balls."""
        weights = self._moments_at_reference()
        half = (variance - arb(self.reference)) / 2
        if half.is_zero():
            return weights
        made = []
        for k in range(len(weights)):
            terms, factorial = [], 1
            for j, weight in enumerate(weights[k::2]):
                factorial *= max(j, 1)
                terms.append(weight / factorial)
            made.append(arb_poly(terms)(half))
        return made

    def hermite(self, variance: arb) -> list[arb]:
        """a_k(q) = E[phi(sqrt(q) Z) h_k(Z)] in balls, k = 0 … M."""
        root = variance.sqrt()
        return [m * root**k / arb(math.factorial(k)).sqrt() for k, m in enumerate(self.moments(variance))]

    def certified_hermite(self, order: int, variance: sp.Expr, digits: int) -> list[arb]:
        """a_0(q) … a_order(q) with relative radii of 10^-digits, or below that share of sqrt(E phi^2)."""
        bits = bits_for(digits)
        for _ in range(7):
            with precision(bits):
                found = self.hermite(ball(variance))
                norm = sum((a * a for a in found), arb(0)).sqrt()
                if all(has_digits(a, digits) or a.rad() * arb(10) ** digits <= norm.abs_lower() for a in found):
                    return (found + [arb(0)] * (order + 1))[: order + 1]
            bits *= 2
        raise PrecisionError(f"{digits} digits of the Hermite coefficients were not reached at {bits // 2} bits")

    def exact_moment(self, k: int, variance: sp.Expr) -> sp.Expr:
        """m_k(q) as SymPy, in powers of q - r."""
        r = sp.Rational(int(self.reference.p), int(self.reference.q))
        terms = []
        for j in range((self.degree - k) // 2 + 1):
            weight = self._exact(self._kept, k + 2 * j, fmpq(math.factorial(k + 2 * j), 2**j * math.factorial(j)))
            terms.append(weight * (variance - r) ** j)
        return sp.Add(*terms)

    def _exact(self, parts: Mapping[sp.Expr, fmpq_poly], k: int, factor: fmpq) -> sp.Expr:
        """A coefficient, times a rational number."""
        numbers = ((s, r[k] * factor) for s, r in parts.items())
        return sp.Add(*(_rational(a) * s for s, a in numbers if a != 0))

    def exact_hermite(self, order: int, variance: sp.Expr) -> list[sp.Expr]:
        """a_0(q) … a_order(q) as SymPy."""
        if not variance.is_Rational:
            moments = [self.exact_moment(k, variance) for k in range(self.degree + 1)]
        else:
            parts = self.heated(fmpq(int(variance.p), int(variance.q)))
            moments = [self._exact(parts, k, fmpq(math.factorial(k))) for k in range(self.degree + 1)]
        root = sp.sqrt(variance)
        made = [sp.expand(m * root**k / sp.sqrt(sp.factorial(k))) for k, m in enumerate(moments[: order + 1])]
        return made + [sp.S.Zero] * (order + 1 - len(made))


# -- pairs ------------------------------------------------------------------------------------------------------------


def expression(f: Polynomial, g: Polynomial) -> sp.Expr:
    """E[f(u) g(v)] in q1, q2, c, as Mehler's sum.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> cube = recognise(pieces(x**3))
    >>> expression(cube, cube)
    6*c**3 + 9*c*q1*q2
    """
    return _mehler(
        f, g, c, [f.exact_moment(k, q1) for k in _common(f, g)], [g.exact_moment(k, q2) for k in _common(f, g)]
    )


def expression_at_ratio(f: Polynomial, g: Polynomial, sign: int) -> sp.Expr:
    """E[f(u) g(u)] or E[f(u) g(-u)], in q1."""
    if f is g and sign < 0 and f.parity is not None:
        return f.parity * expression_at_ratio(f, f, 1)
    return _mehler(
        f, g, sign * q1, [f.exact_moment(k, q1) for k in _common(f, g)], [g.exact_moment(k, q1) for k in _common(f, g)]
    )


def normalized(f: Polynomial, g: Polynomial) -> sp.Expr:
    """E[f(u) g(v)] at unit variances, in powers of rho: sum b_k^2 rho^k for f = g = sum b_k h_k."""
    one = fmpq(1)
    left, right = f.heated(one), g.heated(one)
    terms = []
    for k in _common(f, g):
        # SymPy would look for the factors of squares of long decimals.
        pairs = [(s * t, a[k] * b[k]) for s, a in left.items() for t, b in right.items() if a[k] != 0 and b[k] != 0]
        numbers = (_rational(number * math.factorial(k)) * root for root, number in pairs)
        terms.append(sp.expand(sp.Add(*numbers)) * rho**k)
    return sp.Add(*terms)


def _common(f: Polynomial, g: Polynomial) -> range:
    return range(min(f.degree, g.degree) + 1)


def _mehler(f: Polynomial, g: Polynomial, covariance: sp.Expr, left: list[sp.Expr], right: list[sp.Expr]) -> sp.Expr:
    return sp.Add(*(covariance**k * a * b / sp.factorial(k) for k, (a, b) in enumerate(zip(left, right, strict=True))))


def value(f: Polynomial, g: Polynomial, v1: arb, v2: arb, covariance: Any) -> Any:
    """E[f(u) g(v)] of balls; the covariance may be a complex ball or a power series."""
    left = f.moments(v1)
    right = left if g is f and v2 is v1 else g.moments(v2)
    total: Any = covariance * 0
    for k in range(min(len(left), len(right)) - 1, -1, -1):
        total = total * covariance + left[k] * right[k] / math.factorial(k)
    return total


# -- recognition ------------------------------------------------------------------------------------------------------


def recognise(f: Pieces) -> Polynomial | None:
    """The polynomial that f is, with numbers for coefficients and of degree at most `MAX_DEGREE`; else None."""
    return None if f.breakpoints else polynomial(f.branches[0])


@lru_cache(maxsize=512)
def polynomial(expr: sp.Expr) -> Polynomial | None:
    """The polynomial in x that an expression without cases is, with real numbers for coefficients; else None."""
    parts = _parts(expr)
    return None if parts is None else _of(parts)


def _of(parts: Parts) -> Polynomial:
    kept = {s: r for s, r in parts.items() if r.degree() >= 0}
    return Polynomial({s: kept[s] for s in sorted(kept, key=sp.default_sort_key)})


def _parts(expr: sp.Expr) -> Parts | None:
    """The constants and rational polynomials of an expression; None outside the class."""
    if expr == x:
        return {sp.S.One: fmpq_poly([0, 1])}
    if not expr.has(x):
        numbers = _constant(expr)
        return None if numbers is None else {s: fmpq_poly([a]) for s, a in numbers}
    if isinstance(expr, sp.Add):
        total: Parts = {}
        for term in expr.args:
            own = _parts(term)
            if own is None:
                return None
            for s, r in own.items():
                total[s] = total[s] + r if s in total else r
        return total
    if isinstance(expr, sp.Mul):
        # Not as_independent, which takes most of the time of a long series.
        product = _parts(sp.Mul(*(factor for factor in expr.args if not factor.has(x))))
        for factor in (factor for factor in expr.args if factor.has(x)):
            own = _parts(factor)
            if product is None or own is None:
                return None
            product = _times(product, own)
        return product
    if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
        base = _parts(expr.base)
        if base is None or expr.exp > MAX_DEGREE:
            return None
        if len(base) == 1 and sp.S.One in base:
            r = base[sp.S.One]
            return None if r.degree() * int(expr.exp) > MAX_DEGREE else {sp.S.One: r ** int(expr.exp)}
        power: Parts | None = {sp.S.One: fmpq_poly([1])}
        for _ in range(int(expr.exp)):
            power = None if power is None else _times(power, base)
        return power
    return None


def _times(a: Parts, b: Parts) -> Parts | None:
    product: Parts = {}
    for s, p in a.items():
        for t, r in b.items():
            if p.degree() + r.degree() > MAX_DEGREE:
                return None
            numbers = _constant(s * t)
            if numbers is None:
                return None
            for root, number in numbers:
                term = p * r * number
                product[root] = product[root] + term if root in product else term
    return product


@lru_cache(maxsize=4096)
def _constant(value: sp.Expr) -> tuple[tuple[sp.Expr, fmpq], ...] | None:
    """A constant as rational multiples of irrational ones, in one spelling."""
    if value.is_Rational:
        return ((sp.S.One, fmpq(int(value.p), int(value.q))),)
    if value.free_symbols or value.has(sp.Float):
        return None
    _, rest = value.as_coeff_Mul()
    if not _is_root(rest):
        if not value.is_extended_real:
            return None
        value = constant(value)
    terms = (term.as_coeff_Mul() for term in sp.Add.make_args(value))
    return tuple((rest, fmpq(int(number.p), int(number.q))) for number, rest in terms)


def _is_root(value: sp.Expr) -> bool:
    return isinstance(value, sp.Pow) and value.base.is_Integer and value.base.is_positive and value.exp is sp.S.Half


def _number(value: sp.Expr) -> arb:
    """Its ball; square roots, which are many, without compiling a formula."""
    return arb(int(value.base)).sqrt() if _is_root(value) else ball(value)


def _length(parts: Mapping[sp.Expr, fmpq_poly]) -> int:
    """How many numbers the coefficients are made of."""
    return sum(sum(a != 0 for a in r.coeffs()) for r in parts.values())


def _rational(number: fmpq) -> sp.Rational:
    return sp.Rational(int(number.p), int(number.q))
