"""Exact arithmetic for the engine: the field QQ(q1, q2, c, parameters, constants).

Everything between the atoms and the answer is addition, multiplication and division, so it is done in a SymPy
fraction field, where equality is decidable and nothing needs `simplify`. Irrational constants (sqrt(2), pi,
exp(-1/8), the imaginary unit) are generators; an algebraic one carries its relation g^m = r, applied at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import lcm

import sympy as sp
from sympy.polys.fields import FracElement, FracField
from sympy.polys.rings import PolyElement


class ConstantField:
    """The fraction field that contains the given SymPy expressions.

    Parameters
    ----------
    variables : symbols that come first among the generators
    constants : expressions whose symbols and irrational parts become further generators
    """

    def __init__(self, variables: Iterable[sp.Symbol], constants: Iterable[sp.Expr]) -> None:
        given = list(variables)
        symbols = list(given)
        roots: dict[sp.Expr, int] = {}
        opaque: set[sp.Expr] = set()
        for constant in constants:
            _find_generators(sp.expand(constant), symbols, roots, opaque)
        symbols = [*given, *sorted(symbols[len(given) :], key=str)]
        self._value: list[sp.Expr] = [*symbols]
        self._index: dict[sp.Expr, tuple[int, int]] = {s: (i, 1) for i, s in enumerate(symbols)}
        for base, order in sorted(roots.items(), key=lambda item: sp.default_sort_key(item[0])):
            self._index[base] = (len(self._value), order)
            self._value.append(base ** sp.Rational(1, order) if base is not sp.S.NegativeOne else sp.I)
        for base in sorted(opaque - set(roots), key=sp.default_sort_key):
            self._index[base] = (len(self._value), 1)
            self._value.append(base)
        names = [f"g{i}" for i in range(len(self._value))]
        self.field: FracField = sp.polys.fields.FracField(names, sp.QQ, sp.lex)
        ring = self.field.ring
        # generator number -> (order m, the polynomial that g^m equals)
        self._relations: dict[int, tuple[int, PolyElement]] = {
            i: (order, ring(sp.QQ(base.p, base.q)))
            for base, (i, order) in self._index.items()
            if base.is_Rational and order > 1
        }
        for base, (i, _) in self._index.items():
            if isinstance(base, sp.sin) and sp.cos(base.args[0]) in self._index:
                cosine = ring.gens[self._index[sp.cos(base.args[0])][0]]
                self._relations[i] = (2, 1 - cosine**2)
        # Factoring is most of the work, and the same exponents and determinants come again and again.
        self._factored: dict[FracElement, tuple[sp.Rational, list[tuple[PolyElement, int]]]] = {}
        self._expressions: dict[FracElement, sp.Expr] = {}
        imaginary = self._index.get(sp.S.NegativeOne)
        self._imaginary = None if imaginary is None else imaginary[0]

    def root(self, base: sp.Expr) -> FracElement | None:
        """The square root of `base` when it is a generator."""
        known = self._index.get(base)
        return None if known is None or known[1] != 2 else self.field.gens[known[0]]

    def element(self, expr: sp.Expr | int) -> FracElement:
        """The field element of an expression made of the declared generators."""
        return self._convert(sp.expand(sp.S(expr)))

    def _convert(self, expr: sp.Expr) -> FracElement:
        if expr.is_Rational:
            return self.field(sp.QQ(expr.p, expr.q))
        if isinstance(expr, sp.Add):
            return sum((self._convert(a) for a in expr.args), self.field.zero)
        if isinstance(expr, sp.Mul):
            product = self.field.one
            for a in expr.args:
                product *= self._convert(a)
            return product
        if expr is sp.I:
            return self.field.gens[self._index[sp.S.NegativeOne][0]]
        if expr in self._index:
            i, order = self._index[expr]
            return self.field.gens[i] ** order
        base, exponent = expr.as_base_exp()
        if isinstance(expr, sp.Pow) and exponent.is_Rational:
            if exponent.is_Integer:
                return self._convert(base) ** int(exponent)
            i, order = self._index[base]
            return self.field.gens[i] ** int(exponent * order)
        raise KeyError(expr)

    def reduce(self, element: FracElement) -> FracElement:
        """Apply the relations g^m = r to numerator and denominator."""
        if not self._relations:
            return element
        return self.field(self._reduce(element.numer)) / self.field(self._reduce(element.denom))

    def _reduce(self, polynomial: PolyElement) -> PolyElement:
        out = polynomial.ring.zero
        for monomial, coefficient in polynomial.terms():
            exponents, factor = list(monomial), polynomial.ring.one
            for i, (order, value) in self._relations.items():
                if exponents[i] >= order:
                    factor *= value ** (exponents[i] // order)
                    exponents[i] %= order
            out += factor * polynomial.ring.from_dict({tuple(exponents): coefficient})
        return out

    def real_and_imaginary(self, element: FracElement) -> tuple[FracElement, FracElement]:
        """Both parts of an element whose denominator is real."""
        element = self.reduce(element)
        if self._imaginary is None:
            return element, self.field.zero
        parts: list[dict[tuple[int, ...], object]] = [{}, {}]
        for monomial, coefficient in element.numer.terms():
            exponents = list(monomial)
            part = exponents[self._imaginary]
            exponents[self._imaginary] = 0
            parts[part][tuple(exponents)] = coefficient
        real, imaginary = (self.field(element.numer.ring.from_dict(p)) / self.field(element.denom) for p in parts)
        return real, imaginary

    def conjugate(self, element: FracElement) -> FracElement:
        """The complex conjugate of an element whose denominator is real."""
        real, imaginary = self.real_and_imaginary(element)
        return element if not imaginary else real - imaginary * self.element(sp.I)

    def negate_c(self, element: FracElement) -> FracElement:
        """The element at -c (c is the third generator)."""
        numer, denom = (
            p.ring.from_dict({m: (-k if m[2] % 2 else k) for m, k in p.terms()}) for p in (element.numer, element.denom)
        )
        return self.field(numer) / self.field(denom)

    def sample(self, element: FracElement) -> float:
        """Real part at one point of the domain: small variances, a smaller covariance."""
        values: list[complex] = []
        for i, v in enumerate(self._value):
            if i < 3:
                values.append((0.011, 0.013, 0.003)[i])
            elif v.is_Symbol:
                values.append(-0.7 if v.is_negative else 0.7)
            else:
                free = {s: (-0.7 if s.is_negative else 0.7) for s in v.free_symbols}
                values.append(complex(sp.N(v.subs(free))))
        total = [0j, 0j]
        for j, p in enumerate((element.numer, element.denom)):
            for m, k in p.terms():
                term = complex(int(k.numerator) / int(k.denominator))
                for base, e in zip(values, m, strict=True):
                    term *= base**e
                total[j] += term
        return (total[0] / total[1]).real

    def polynomial_expr(self, polynomial: PolyElement) -> sp.Expr:
        """As SymPy; a quadratic in c without linear term is written (product) - multiple * c^2."""
        flat = sp.Add(
            *(
                sp.Mul(
                    _rational(k),
                    *(v**e for v, e in zip(self._value, m, strict=True)),
                )
                for m, k in polynomial.terms()
            )
        )
        c = self._value[2]
        powers = {m[2] for m in polynomial.monoms()}
        if powers == {0, 2} and len(polynomial) > 2:
            constant = polynomial.ring.from_dict({m: k for m, k in polynomial.terms() if m[2] == 0})
            content, factors = constant.factor_list()
            if sum(e for _, e in factors) > 1:
                product = sp.Mul(
                    _rational(content),
                    *(self.polynomial_expr(f) ** e for f, e in factors),
                )
                return product + sp.expand(flat.coeff(c, 2)) * c**2
        return flat

    def factors(self, element: FracElement) -> tuple[sp.Rational, list[tuple[PolyElement, int]]]:
        """Content and irreducible factors with multiplicity (negative in the denominator).

        A factor to an odd power is signed so that it is positive for small variances, where every radicand is.
        """
        if element not in self._factored:
            self._factored[element] = self._factor(element)
        return self._factored[element]

    def _factor(self, element: FracElement) -> tuple[sp.Rational, list[tuple[PolyElement, int]]]:
        if not element:
            return sp.S.Zero, []
        n_content, n_factors = element.numer.factor_list()
        d_content, d_factors = element.denom.factor_list()
        content = _rational(n_content) / _rational(d_content)
        out = []
        for polynomial, power in [*n_factors, *((f, -e) for f, e in d_factors)]:
            if power % 2 and self.sample(self.field(polynomial)) < 0:
                polynomial, content = -polynomial, -content
            out.append((polynomial, power))
        return content, out

    def expr(self, element: FracElement) -> sp.Expr:
        """As SymPy, factored."""
        if element not in self._expressions:
            content, factors = self.factors(self.reduce(element))
            self._expressions[element] = content * sp.Mul(*(self.polynomial_expr(f) ** e for f, e in factors))
        return self._expressions[element]


def _rational(number: object) -> sp.Rational:
    return sp.Rational(int(number.numerator), int(number.denominator))  # type: ignore[attr-defined]


def _find_generators(expr: sp.Expr, symbols: list[sp.Symbol], roots: dict[sp.Expr, int], opaque: set[sp.Expr]) -> None:
    if expr.is_Rational or expr in symbols:
        return
    if isinstance(expr, sp.Add | sp.Mul):
        for a in expr.args:
            _find_generators(a, symbols, roots, opaque)
        return
    if expr is sp.I:
        roots[sp.S.NegativeOne] = 2
        return
    base, exponent = expr.as_base_exp()
    if isinstance(expr, sp.Pow) and exponent.is_Rational and not isinstance(expr, sp.exp):
        if exponent.is_Integer:
            _find_generators(base, symbols, roots, opaque)
        else:
            roots[base] = lcm(roots.get(base, 1), int(exponent.q))
        return
    if expr.is_Symbol:
        symbols.append(expr)
        return
    opaque.add(expr)
