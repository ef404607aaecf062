r"""A normal form in which an identity between duals becomes 0 = 0.

Every dual of the library is a sum of terms  R * sqrt(p_1 p_2 ...) * exp(E) * f_1 f_2 ...  with a rational function R,
polynomials p_i that are positive on the domain, a function E of the same kind, and values f_i of functions
(:math:`\Phi`, :math:`\Phi_2`, arcsin). Writing exponents and arguments in normal form first, terms with equal roots,
exponentials and functions are collected and their rational functions are added; `simplify` would need minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import sympy as sp

IsPositive = Callable[[sp.Expr], bool]


def normal_form(expr: sp.Expr, is_positive: IsPositive) -> sp.Expr:
    """`expr` as a sum of collected terms; equal expressions of the class get equal normal forms.

    Parameters
    ----------
    expr : sympy.Expr
    is_positive : callable
        Whether a polynomial is positive on the domain; then sqrt(p q) = sqrt(p) sqrt(q) may be used. One point decides:
        a radicand is positive on the whole domain (the formula is real there), so its factors never vanish, and on a
        connected domain each keeps its sign.

    Examples
    --------
    >>> from kernalg.symbols import c, q1, q2
    >>> d = q1 * q2 - c**2
    >>> normal_form(d / (sp.sqrt(q1) * sp.sqrt(d)) - sp.sqrt(d / q1), lambda p: True)
    0
    """
    hyperbolic = expr.replace(lambda e: isinstance(e, sp.sinh | sp.cosh | sp.tanh), lambda e: e.rewrite(sp.exp))
    sums: dict[tuple[sp.Expr, sp.Expr], sp.Expr] = defaultdict(lambda: sp.S.Zero)
    for factors in _terms(hyperbolic):
        rational, key = _split(factors, is_positive)
        sums[key] += rational
    out = []
    for (exponent, rest), rational in sums.items():
        reduced = sp.cancel(sp.together(rational))
        if reduced != 0:
            out.append(reduced * rest * sp.exp(exponent))
    return sp.Add(*out)


def _terms(expr: sp.Expr) -> list[list[sp.Expr]]:
    """A sum of products, as lists of factors; rational functions and denominators stay whole."""
    if _is_rational_function(expr):
        return [[expr]]
    if isinstance(expr, sp.Add):
        return [t for a in expr.args for t in _terms(a)]
    if isinstance(expr, sp.Mul):
        return [[f for part in parts for f in part] for parts in product(*(_terms(a) for a in expr.args))]
    if isinstance(expr, sp.Pow) and isinstance(expr.base, sp.Add) and expr.exp.is_Integer and expr.exp > 0:
        return [[f for part in parts for f in part] for parts in product(_terms(expr.base), repeat=int(expr.exp))]
    return [[expr]]


def _split(factors: list[sp.Expr], is_positive: IsPositive) -> tuple[sp.Expr, tuple[sp.Expr, sp.Expr]]:
    """(rational function, (exponent, roots and functions)) of one term."""
    rational, exponent, functions = sp.S.One, sp.S.Zero, sp.S.One
    halves: dict[sp.Expr, sp.Expr] = defaultdict(lambda: sp.S.Zero)
    for factor in factors:
        if isinstance(factor, sp.exp):
            exponent += factor.args[0]
            continue
        base, power = factor.as_base_exp()
        if _is_rational_function(base) and power.is_Integer:
            rational *= factor
        elif _is_rational_function(base) and power.is_Rational and power.q == 2:
            for p, multiplicity in _positive_factors(base, is_positive):
                halves[p] += multiplicity * power
        elif isinstance(base, sp.Function):
            functions *= base.func(*(normal_form(a, is_positive) for a in base.args)) ** power
        else:
            functions *= factor
    roots = []
    for p, power in halves.items():
        whole = sp.floor(power)
        rational *= p**whole
        if power != whole:
            roots.append(p)
    # the roots stay apart from each other, so that equal sets of roots compare equal
    return rational, (normal_form(exponent, is_positive) if exponent != 0 else exponent, functions * _root(roots))


def _root(radicands: list[sp.Expr]) -> sp.Expr:
    return sp.Mul(*(sp.sqrt(p) for p in radicands))


def _is_rational_function(expr: sp.Expr) -> bool:
    return all(a.is_Symbol or a.is_Rational or a == sp.pi or a.is_Add or a.is_Mul or _is_integer_power(a)
               for a in sp.preorder_traversal(expr))  # fmt: skip


def _is_integer_power(expr: sp.Expr) -> bool:
    return isinstance(expr, sp.Pow) and expr.exp.is_Integer and not isinstance(expr, sp.exp)


def _positive_factors(base: sp.Expr, is_positive: IsPositive) -> list[tuple[sp.Expr, sp.Rational]]:
    """Irreducible factors of a positive rational function, each of them positive; else the base itself."""
    top, bottom = sp.fraction(sp.together(base))
    out: list[tuple[sp.Expr, sp.Rational]] = []
    for side, sign in ((top, 1), (bottom, -1)):
        content, factors = sp.factor_list(side)
        for p, multiplicity in factors:
            positive = p if is_positive(p) else -p
            if not is_positive(positive):
                return [(base, sp.S.One)]
            if multiplicity % 2 and positive != p:
                content = -content
            out.append((positive, sp.Rational(sign * multiplicity)))
        if content.is_negative:
            return [(base, sp.S.One)]
        out += [(sp.Integer(prime), sp.Rational(sign * power)) for prime, power in sp.factorint(content.p).items()]
        out += [(sp.Integer(prime), sp.Rational(-sign * power)) for prime, power in sp.factorint(content.q).items()]
    return out
