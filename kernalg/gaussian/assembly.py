"""From basis elements to a real SymPy expression with one spelling.

The engine's sum has complex coefficients when sines or cosines took part; the answer is real, so each term is
replaced by its real part. Probabilities at complex arguments come in conjugate pairs: one of each pair stands for
both, through its real and imaginary parts. Radicands are made square-free, so that q1 q2 - c^2 over its own root
becomes the root.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import sympy as sp
from sympy.polys.fields import FracElement

from kernalg.errors import NoClosedForm
from kernalg.gaussian.field import ConstantField
from kernalg.gaussian.moments import Combination
from kernalg.symbols import bivariate_normal_cdf, normal_cdf


@dataclass(frozen=True, slots=True)
class Surd:
    """numerator * sqrt(top/(integer * bottom)), square-free and reduced: equal quantities are equal objects."""

    numerator: FracElement
    top: FracElement
    bottom: FracElement
    integer: int = 1

    def __neg__(self) -> Surd:
        return replace(self, numerator=-self.numerator)

    def __bool__(self) -> bool:
        return bool(self.numerator)


@dataclass(frozen=True, slots=True)
class Term:
    """What multiplies a rational coefficient: exp(growth) * wave * (integer * radicand)^(-1/2) * …"""

    growth: FracElement
    radicand: FracElement
    integer: int = 1
    half_pis: int = 0
    wave: tuple[str, FracElement] | None = None  # ("cos" | "sin", phase)
    probability: tuple[Surd, ...] = ()  # (z): Phi(z); (h, k, r): Phi_2(h, k, r)
    part: str = ""  # "re" | "im" of a probability at complex arguments
    arcsine: Surd | None = None  # asin(r)/(2 pi)
    imaginary_normal: Surd | None = None  # erfi(y)


def assemble(total: Combination, field: ConstantField) -> sp.Expr:
    """The real SymPy expression of a combination of basis elements."""
    terms: dict[Term, FracElement] = defaultdict(lambda: field.field.zero)
    for basis, coefficient in total.items():
        scale, term = _split_radicand(field, basis.radicand)
        scale, term = _constants_into_the_field(field, scale, replace(term, half_pis=basis.half_pis))
        for weight, part in _probabilities(field, basis.probability):
            _add_real_part(terms, field, coefficient * scale * weight, basis.exponent, replace(term, **part))
    kept = {t: reduced for t, k in terms.items() if (reduced := field.reduce(k))}
    return sp.Add(*_hyperbolic(_quadrants_to_arcsines(_complements(kept)), field))


def _constants_into_the_field(field: ConstantField, scale: FracElement, term: Term) -> tuple[FracElement, Term]:
    """(2 pi)^(-half_pis/2) and integer^(-1/2) as field elements, as far as the field knows their roots."""
    pi, two = field.root(sp.pi), field.root(sp.Integer(2))
    if pi is not None and two is not None:
        scale, term = scale / (pi * two) ** term.half_pis, replace(term, half_pis=0)
    integer = term.integer
    for prime in sp.factorint(integer, limit=10_000) if integer > 1 else ():
        root = field.root(sp.Integer(prime))
        if root is not None and integer % prime == 0:
            scale, integer = scale / root, integer // prime
    return scale, replace(term, integer=integer)


def _probabilities(
    field: ConstantField, probability: tuple[FracElement, ...]
) -> list[tuple[FracElement, dict[str, Any]]]:
    """A probability factor as a sum of (weight, fields of Term)."""
    one = field.field.one
    if not probability:
        return [(one, {})]
    if len(probability) == 2:
        mean, variance = probability
        if not mean:
            return [(one / 2, {})]
        real, imaginary = field.real_and_imaginary(mean)
        if real or not imaginary:
            return [(one, {"probability": (_surd(field, mean, variance),)})]
        # Phi(iy) = 1/2 + (i/2) erfi(y/sqrt 2)
        sign = -1 if imaginary.numer.LC < 0 else 1
        argument = _surd(field, sign * imaginary, 2 * variance)
        return [(one / 2, {}), (sign * field.element(sp.I) / 2, {"imaginary_normal": argument})]
    m1, v1, m2, v2, between = probability
    h, k = sorted((_surd(field, m1, v1), _surd(field, m2, v2)), key=repr)
    return [(one, {"probability": (h, k, _surd(field, between, v1 * v2))})]


def _add_real_part(
    terms: dict[Term, FracElement], field: ConstantField, coefficient: FracElement, exponent: FracElement, term: Term
) -> None:
    """Re[(a + ib) exp(g + ih) (R + iS)] = exp(g) [(a cos h - b sin h) R - (b cos h + a sin h) S].

    R + iS is a probability at complex arguments; for every other term it is 1.
    """
    growth, phase = field.real_and_imaginary(exponent)
    a, b = field.real_and_imaginary(coefficient)
    term = replace(term, growth=growth)
    conjugate = _leading_imaginary_sign(field, term.probability)
    if conjugate < 0:
        mirrored = (replace(p, numerator=field.conjugate(p.numerator)) for p in term.probability)
        term = replace(term, probability=tuple(mirrored))
        phase, b = -phase, -b
    parts = [("re", a, b), ("im", -b, a)] if conjugate else [("", a, b)]
    for part, on_cosine, on_sine in parts:
        own = replace(term, part=part)
        if not phase:
            terms[own] += on_cosine
            continue
        flip = phase.numer.LC < 0
        positive = -phase if flip else phase
        terms[replace(own, wave=("cos", positive))] += on_cosine
        terms[replace(own, wave=("sin", positive))] -= -on_sine if flip else on_sine


def _leading_imaginary_sign(field: ConstantField, probability: tuple[Surd, ...]) -> int:
    """Sign of the first imaginary part among the arguments, 0 when they are real."""
    for argument in probability:
        imaginary = field.real_and_imaginary(argument.numerator)[1]
        if imaginary:
            return 1 if imaginary.numer.LC > 0 else -1
    return 0


def _split_radicand(field: ConstantField, radicand: FracElement) -> tuple[FracElement, Term]:
    """R^(-1/2) = scale * (integer * squarefree)^(-1/2)."""
    radicand = field.reduce(radicand)
    scale, squarefree = field.field.one, field.field.one
    content, factors = field.factors(radicand)
    for polynomial, power in factors:
        factor = field.field(polynomial)
        scale /= factor ** (power // 2)
        if power % 2:
            squarefree *= factor
    if content < 0:
        raise NoClosedForm(
            "the Gaussian moment is infinite at this variance: exp(A x^2) with A > 0 grows faster than the density "
            "decays unless the variance is below 1/(2 A); take a smaller one"
        )
    # sqrt(p/q) = sqrt(p q)/q, and the largest square leaves the root
    integer = int(content.p * content.q)
    outside = _square_part(integer)
    scale *= field.element(sp.Rational(content.q, outside))
    return scale, Term(field.field.zero, squarefree, integer // outside**2)


def _square_part(n: int) -> int:
    if isqrt(n) ** 2 == n:
        return isqrt(n)
    out = 1
    for prime, power in sp.factorint(n, limit=10_000).items():
        out *= prime ** (power // 2)
    return out


def _complements(terms: dict[Term, FracElement]) -> dict[Term, FracElement]:
    """Equal multiples of Phi_2(h, k, r) and Phi_2(-h, k, -r) are one Phi(k); of Phi(z) and Phi(-z) they are one 1."""
    out = dict(terms)
    for size in (3, 1):
        for term in [t for t in out if len(t.probability) == size and not t.part]:
            for flipped, left in _flips(term.probability):
                partner, coefficient = replace(term, probability=flipped), out.get(term)
                if coefficient is None or partner == term or out.get(partner) != coefficient:
                    continue
                del out[term], out[partner]
                plain = replace(term, probability=left)
                weight = coefficient / 2 if size == 3 and not left else coefficient  # Phi(0) = 1/2
                total = out.pop(plain, weight - weight) + weight
                if total:
                    out[plain] = total
    return out


def _flips(probability: tuple[Surd, ...]) -> list[tuple[tuple[Surd, ...], tuple[Surd, ...]]]:
    """(complementary event, what both make together)."""
    if len(probability) == 1:
        return [((-probability[0],), ())]
    h, k, r = probability
    pairs = [((-h, k), k), ((h, -k), h)]
    return [((*sorted(pair, key=repr), -r), (left,) if left else ()) for pair, left in pairs]


def _quadrants_to_arcsines(terms: dict[Term, FracElement]) -> dict[Term, FracElement]:
    """K (asin(r)/(2 pi) + 1/4) - K/4 becomes K asin(r)/(2 pi): odd parts show no quarter."""
    out = dict(terms)
    for term, coefficient in terms.items():
        if len(term.probability) == 3 and not term.probability[0] and not term.probability[1]:
            plain = replace(term, probability=())
            if out.get(plain) == -coefficient / 4:
                del out[plain], out[term]
                out[replace(plain, arcsine=term.probability[2])] = coefficient
    return out


def _hyperbolic(terms: dict[Term, FracElement], field: ConstantField) -> list[sp.Expr]:
    """Pairs exp(s + t), exp(s - t) with equal or opposite coefficients become cosh or sinh of t, t odd in c."""
    out, done = [], set()
    for term, coefficient in terms.items():
        if term in done:
            continue
        done.add(term)
        mirrored = field.negate_c(term.growth)
        partner = replace(term, growth=mirrored)
        other = terms.get(partner) if mirrored != term.growth else None
        if other is None or partner in done or coefficient not in (other, -other):
            out.append(_term_expr(term, coefficient, sp.S.One, field.expr(term.growth), field))
            continue
        done.add(partner)
        even, odd = (term.growth + mirrored) / 2, (term.growth - mirrored) / 2
        head = sp.cosh if coefficient == other else sp.sinh
        out.append(_term_expr(term, 2 * coefficient, head(field.expr(odd)), field.expr(even), field))
    return out


def _term_expr(
    term: Term, coefficient: FracElement, hyperbolic: sp.Expr, growth: sp.Expr, field: ConstantField
) -> sp.Expr:
    half = sp.Rational(1, 2)
    # Powers of equal factors meet before anything is multiplied out: D * D^(-1/2) = D^(1/2).
    content, factors = field.factors(coefficient)
    powers: dict[sp.Expr, sp.Rational] = defaultdict(lambda: sp.S.Zero)
    for factor, power in factors:
        powers[field.polynomial_expr(factor)] += power
    radicand_content, radicand_factors = field.factors(term.radicand)
    for factor, power in radicand_factors:
        powers[field.polynomial_expr(factor)] -= power * half
    pieces = [f**e for f, e in powers.items()]
    pieces.append((radicand_content * term.integer) ** -half * (2 * sp.pi) ** (-half * term.half_pis))
    pieces += [hyperbolic, sp.exp(sp.expand(growth) if growth.is_polynomial() else growth)]
    if term.wave is not None:
        name, phase = term.wave
        pieces.append((sp.cos if name == "cos" else sp.sin)(field.expr(phase)))
    if term.imaginary_normal is not None:
        pieces.append(sp.erfi(_surd_expr(field, term.imaginary_normal)))
    if term.arcsine is not None:
        pieces.append(sp.asin(_surd_expr(field, term.arcsine)) / (2 * sp.pi))
    if term.probability:
        head = normal_cdf if len(term.probability) == 1 else bivariate_normal_cdf
        value = head(*(_surd_expr(field, argument) for argument in term.probability))
        pieces.append({"re": sp.re, "im": sp.im}[term.part](value) if term.part else value)
    return content * sp.Mul(*pieces)


def _surd(field: ConstantField, numerator: FracElement, radicand: FracElement) -> Surd:
    """numerator / sqrt(radicand)."""
    one = field.field.one
    if not numerator:
        return Surd(numerator, one, one)
    scale, term = _split_radicand(field, radicand)
    numerator, top, bottom = field.reduce(numerator * scale), one, one
    for polynomial, _ in field.factors(term.radicand)[1]:
        quotient, remainder = numerator.numer.div(polynomial)
        if remainder:
            bottom *= polynomial
        else:  # f/sqrt(f) = sqrt(f)
            numerator, top = field.field(quotient) / field.field(numerator.denom), top * polynomial
    return Surd(numerator, top, bottom, term.integer)


def _surd_expr(field: ConstantField, surd: Surd) -> sp.Expr:
    root = sp.sqrt(field.expr(surd.top)) / sp.sqrt(field.expr(surd.bottom) * surd.integer)
    real, imaginary = field.real_and_imaginary(surd.numerator)
    return field.expr(real) * root + sp.I * field.expr(imaginary) * root
