"""Formulas rewritten where their parts leave the range of float64, or cancel, though the whole does not.

In exp(A) P(Z < z) the exponential overflows and the probability vanishes at the variances of a wide network, while the
product is of order 1: for the dual of ELU, A = z**2 / 2. The exponents that are left are rational functions of the
variances, and are simplified here as such.
"""

from __future__ import annotations

import sympy as sp


def exponential_minus_one(expr: sp.Add) -> tuple[sp.Expr, sp.Expr, tuple[sp.Expr, sp.Expr]] | None:
    """(b, A, terms) with b (exp(A) - 1) the sum of two terms of the sum; None when there are none."""
    number = expr.as_coeff_add()[0]
    if number == 0:
        return None
    for term in sorted(expr.args, key=sp.default_sort_key):
        factor, power = term.as_independent(*term.free_symbols, as_Add=False)
        if isinstance(power, sp.exp) and factor + number == 0:
            return factor, power.exp, (number, term)
    return None


def rational(expr: sp.Expr) -> sp.Expr:
    """The expression in lowest terms where it is a rational function, else as it is."""
    return sp.cancel(expr) if expr.is_rational_function() else expr


def quadrant(a: sp.Expr, h: sp.Expr, k: sp.Expr, r: sp.Expr) -> list[sp.Expr]:
    """What `exp_bivariate_normal_cdf` takes after its exponent a: three exponents, the limits, the two corners.

    The roots in h, k and r are those of variances: sums under them are positive, sqrt(X Y) = sqrt(X) sqrt(Y), and
    what is formed here is a rational function but for one root.
    """
    known: dict[sp.Expr, sp.Dummy] = {}

    def split(root: sp.Pow) -> sp.Expr:
        factors = [known.setdefault(f, sp.Dummy(positive=True)) if f.is_Add else f for f in sp.Mul.make_args(root.base)]
        return sp.Mul(*(f**root.exp for f in factors))

    def is_root(part: sp.Expr) -> bool:
        return isinstance(part, sp.Pow) and part.exp.is_Rational and part.exp.q == 2

    h, k, r = (part.replace(is_root, split) for part in (h, k, r))
    back = {dummy: value for value, dummy in known.items()}
    difference, scale = sp.fraction(sp.together(1 - r**2))
    quadratic = (h**2 - 2 * sp.expand(r * h * k) + k**2) * scale / (2 * difference)
    exponents = [rational(a - square.subs(back)) for square in (h**2 / 2, k**2 / 2, quadratic)]
    square = rational(difference.subs(back))

    def corner(h: sp.Expr, k: sp.Expr) -> sp.Expr:
        """(r h - k) / sqrt(1 - r**2); in the dual of ELU the root divides r h - k."""
        common = sp.Mul(*(f.base for f in sp.Mul.make_args(k) if is_root(f)))
        above, below = sp.fraction(rational(sp.expand((r * h - k) * sp.sqrt(common)).subs(back)))
        quotient, rest = sp.fraction(rational(above / square))
        ratio = quotient / rest * sp.sqrt(square) if rest.is_number else above / sp.sqrt(square)
        return ratio / below * (sp.sqrt(scale) / sp.sqrt(common)).subs(back)

    return [*exponents, h.subs(back), k.subs(back), corner(h, k), corner(k, h)]
