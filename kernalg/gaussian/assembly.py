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
class Term:
    """What multiplies a rational coefficient: exp(growth) * wave * (integer * radicand)^(-1/2) * …"""

    growth: FracElement
    radicand: FracElement
    integer: int = 1
    half_pis: int = 0
    wave: tuple[str, FracElement] | None = None  # ("cos" | "sin", phase)
    probability: tuple[FracElement, ...] = ()
    part: str = ""  # "re" | "im" of a probability whose means are complex
    imaginary_normal: tuple[FracElement, FracElement] | None = None  # erfi(y/sqrt(2 V))


def assemble(total: Combination, field: ConstantField) -> sp.Expr:
    """The real SymPy expression of a combination of basis elements."""
    terms: dict[Term, FracElement] = defaultdict(lambda: field.field.zero)
    for basis, coefficient in total.items():
        scale, term = _split_radicand(field, basis.radicand)
        term = replace(term, half_pis=basis.half_pis)
        for weight, part in _probabilities(field, basis.probability):
            _add_real_part(terms, field, coefficient * scale * weight, basis.exponent, replace(term, **part))
    kept = {t: reduced for t, k in terms.items() if (reduced := field.reduce(k))}
    return sp.Add(*_hyperbolic(_quadrants_to_arcsines(kept), field))


def _probabilities(
    field: ConstantField, probability: tuple[FracElement, ...]
) -> list[tuple[FracElement, dict[str, Any]]]:
    """A probability factor as a sum of (weight, fields of Term)."""
    one = field.field.one
    if len(probability) == 2:
        mean, variance = probability
        if not mean:
            return [(one / 2, {})]
        real, imaginary = field.real_and_imaginary(mean)
        if imaginary and not real:
            # Phi(iy) = 1/2 + (i/2) erfi(y/sqrt 2)
            unit = field.element(sp.I)
            return [(one / 2, {}), (unit / 2, {"imaginary_normal": (imaginary, variance)})]
    return [(one, {"probability": tuple(field.reduce(p) for p in probability)})]


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
        term = replace(term, probability=tuple(field.conjugate(p) for p in term.probability))
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


def _leading_imaginary_sign(field: ConstantField, probability: tuple[FracElement, ...]) -> int:
    """Sign of the first imaginary part among the means, 0 when they are real."""
    for mean in probability[:-1:2]:
        imaginary = field.real_and_imaginary(mean)[1]
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
            "the Gaussian moment is infinite: exp(A x^2) with A > 0 grows faster than the density decays"
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


def _quadrants_to_arcsines(terms: dict[Term, FracElement]) -> dict[Term, FracElement]:
    """K (asin(r)/(2 pi) + 1/4) - K/4 becomes K asin(r)/(2 pi): odd parts show no quarter.

    A centred quadrant has probability (0, v1, 0, v2, covariance); the bare arcsine is marked (covariance, v1, v2).
    """
    out = dict(terms)
    for term, coefficient in terms.items():
        if len(term.probability) == 5 and not term.probability[0] and not term.probability[2]:
            plain = replace(term, probability=())
            if out.get(plain) == -coefficient / 4:
                _, v1, _, v2, between = term.probability
                del out[plain], out[term]
                out[replace(term, probability=(between, v1, v2))] = coefficient
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
        y, variance = term.imaginary_normal
        pieces.append(sp.erfi(_ratio(field, y, 2 * variance)))
    part = {"re": sp.re, "im": sp.im, "": lambda z: z}[term.part]
    if len(term.probability) == 2:
        pieces.append(part(normal_cdf(_ratio(field, *term.probability))))
    elif len(term.probability) == 3:
        between, v1, v2 = term.probability
        pieces.append(sp.asin(_ratio(field, between, v1 * v2)) / (2 * sp.pi))
    elif term.probability:
        m1, v1, m2, v2, between = term.probability
        h, k, r = _ratio(field, m1, v1), _ratio(field, m2, v2), _ratio(field, between, v1 * v2)
        pieces.append(part(bivariate_normal_cdf(h, k, r)))
    return content * sp.Mul(*pieces)


def _ratio(field: ConstantField, numerator: FracElement, radicand: FracElement) -> sp.Expr:
    """numerator / sqrt(radicand)."""
    if not numerator:
        return sp.S.Zero
    scale, term = _split_radicand(field, radicand)
    root = sp.sqrt(field.expr(term.radicand) * term.integer)
    real, imaginary = field.real_and_imaginary(numerator * scale)
    return field.expr(real) / root + sp.I * field.expr(imaginary) / root
