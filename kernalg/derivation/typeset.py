r"""LaTeX of the formulas on a page: equal to SymPy's, shaped as one writes by hand.

:math:`\sqrt{q_1 q_2}` instead of :math:`\sqrt{q_1}\sqrt{q_2}`, :math:`1/\sqrt{2\pi}` instead of
:math:`\sqrt 2/(2\sqrt\pi)`, :math:`q_1 q_2 - c^2` instead of :math:`-c^2 + q_1 q_2`, arcsin, and H for the step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

_LONG = 12  # operations; a longer numerator over a plain number stands beside the fraction
_LINE = 90  # characters on a line of a page


class _Printer(LatexPrinter):
    def __init__(self) -> None:
        super().__init__({"inv_trig_style": "full", "fold_frac_powers": True})

    def _print_Heaviside(self, expr: sp.Expr, exp: str | None = None) -> str:
        return rf"H\left({self._print(expr.args[0])}\right)"

    def _print_hermite_prob(self, expr: sp.Expr, exp: str | None = None) -> str:
        degree, argument = (self._print(a) for a in expr.args)
        return rf"\mathrm{{He}}_{{{degree}}}\left({argument}\right)" + (f"^{{{exp}}}" if exp else "")

    def _print_Max(self, expr: sp.Expr, exp: str | None = None) -> str:
        return self._extremum("max", expr, exp)

    def _print_Min(self, expr: sp.Expr, exp: str | None = None) -> str:
        return self._extremum("min", expr, exp)

    def _extremum(self, name: str, expr: sp.Expr, exp: str | None) -> str:
        arguments = sorted(expr.args, key=lambda a: bool(a.is_number))  # max(u, 0): the number last
        power = f"^{{{exp}}}" if exp else ""
        return rf"\{name}\left({', '.join(self._print(a) for a in arguments)}\right){power}"

    def _print_ExpBase(self, expr: sp.Expr, exp: str | None = None) -> str:
        argument = expr.args[0]
        sign, argument = ("-", -argument) if argument.could_extract_minus_sign() else ("", argument)
        if argument.is_Add:
            content, primitive = argument.as_content_primitive()
            above, below = content.p * primitive, sp.Integer(content.q)
        else:
            above, below = sp.fraction(argument)
        if sp.count_ops(below) > 4 or sp.count_ops(above) > 16:
            text = rf"\exp\left({sign}{self._print(argument)}\right)"
            return rf"\left({text}\right)^{{{exp}}}" if exp else text
        text = self.parenthesize(above, PRECEDENCE["Mul"], strict=True) if below != 1 or sign else self._print(above)
        if below != 1:
            text += "/" + (self._print(below) if below.is_Atom else rf"({self._print(below)})")
        power = f"e^{{{sign}{text}}}"
        return rf"\left({power}\right)^{{{exp}}}" if exp else power

    def _print_Mul(self, expr: sp.Expr) -> str:
        if not expr.is_commutative:
            return super()._print_Mul(expr)
        if expr.could_extract_minus_sign() and not expr.args[0].is_Add:
            opposite = -expr
            return "- " + (self.parenthesize(opposite, PRECEDENCE["Mul"]) if opposite.is_Add else self._print(opposite))
        number, above, below, roots_above, roots_below = _parts(expr)
        numerator = ([sp.Integer(number.p)] if number.p != 1 else []) + above
        denominator = ([sp.Integer(number.q)] if number.q != 1 else []) + below
        if not denominator and not roots_below:
            return self._product(numerator, roots_above)
        bottom = self._product(denominator, roots_below)
        if roots_above and roots_below and not denominator:
            root = sp.Mul(*roots_above, *(1 / b for b in roots_below), evaluate=False)
            return self._product(numerator, [root])
        plain = all(f.is_number for f in (*denominator, *roots_below))
        if plain and sum(sp.count_ops(f) for f in above) > _LONG:
            beside = self._product(above, roots_above)
            beside = rf"\left({beside}\right)" if len(above) == 1 and above[0].is_Add and not roots_above else beside
            return rf"\frac{{{number.p}}}{{{bottom}}} {beside}"
        return rf"\frac{{{self._product(numerator, roots_above)}}}{{{bottom}}}"

    def _product(self, factors: list[sp.Expr], roots: list[sp.Expr]) -> str:
        single = len(factors) + bool(roots) == 1
        texts = [self._print(f) if single else self._factor(f) for f in factors]
        if roots:  # before the functions
            place = next((i for i, f in enumerate(factors) if not f.is_algebraic_expr()), len(factors))
            texts.insert(place, rf"\sqrt{{{self._product(roots, [])}}}")
        out = ""
        for t in texts:
            glue = r" \cdot " if out and out[-1].isdigit() and t[0].isdigit() else " "
            out = out + glue + t if out else t
        return out or "1"

    def _factor(self, expr: sp.Expr) -> str:
        return self.parenthesize(expr, PRECEDENCE["Mul"], strict=not isinstance(expr, sp.Derivative | sp.Sum | sp.Subs))

    def _print_Add(self, expr: sp.Expr, order: Any = None) -> str:
        """Terms over the same number are put over it together: (1 + rho)/2."""
        coefficients = {abs(t.as_coeff_Mul()[0]) for t in expr.args}
        if len(coefficients) == 1 and (r := coefficients.pop()).is_Rational and r.q > 1 and r.p == 1:
            terms = self._as_ordered_terms(expr, order=order)
            return rf"\frac{{{self._print(sp.Add(*(r.q * t for t in terms)))}}}{{{r.q}}}"
        return super()._print_Add(expr, order=order)

    def _print_Pow(self, expr: sp.Expr) -> str:
        power = expr.exp
        if power.is_Rational and power.q == 2 and power.p < 0:
            return rf"\frac{{1}}{{{self._print(sp.Pow(expr.base, -power, evaluate=False))}}}"
        return super()._print_Pow(expr)

    def _as_ordered_terms(self, expr: sp.Expr, order: Any = None) -> list[sp.Expr]:
        return _positive_first(super()._as_ordered_terms(expr, order=order))


def _parts(
    product: sp.Expr,
) -> tuple[sp.Rational, list[sp.Expr], list[sp.Expr], list[sp.Expr], list[sp.Expr]]:
    """Rational factor, factors above and below the line, radicands of square roots above and below it."""
    number = sp.S.One
    above: list[sp.Expr] = []
    below: list[sp.Expr] = []
    roots_above: list[sp.Expr] = []
    roots_below: list[sp.Expr] = []
    for f in _ordered(product.as_ordered_factors()):
        if f.is_Rational:
            number *= f
        elif f.is_Pow and f.exp == sp.S.Half:
            roots_above.append(f.base)
        elif f.is_Pow and f.exp == -sp.S.Half:
            roots_below.append(f.base)
        elif f.is_Pow and f.exp.is_Rational and f.exp.is_negative:
            below.append(sp.Pow(f.base, -f.exp))
        else:
            above.append(f)
    for b in [b for b in roots_above if b.is_Integer and number.q % b == 0]:  # sqrt(2)/2 = 1/sqrt(2)
        roots_above.remove(b)
        roots_below.append(b)
        number *= b
    return number, above, below, _ordered(roots_above), _ordered(roots_below)


def _ordered(factors: Iterable[sp.Expr]) -> list[sp.Expr]:
    """Numbers, then the other factors as they come."""
    return sorted(factors, key=lambda f: 0 if f.is_Rational else 1 if f.is_number else 2)


def _positive_first(terms: list[sp.Expr]) -> list[sp.Expr]:
    """A sum begins with a term without a minus sign, if there is one; a positive number leads (1 + q, but n + 1)."""
    positive = [t for t in terms if not t.could_extract_minus_sign()]
    if len(terms) == 2 and len(positive) == 2 and terms[1].is_Rational and not terms[0].is_integer:
        return terms[::-1]
    if positive and terms[0] is not positive[0]:
        return [positive[0], *(t for t in terms if t is not positive[0])]
    return terms


def formula(expr: Any) -> str:
    r"""LaTeX of an expression.

    Examples
    --------
    >>> from kernalg.symbols import c, q1, q2
    >>> print(formula(sp.sqrt(q1 * q2 - c**2) + sp.asin(c / sp.sqrt(q1 * q2))))
    \sqrt{q_{1} q_{2} - c^{2}} + \arcsin{\left(\frac{c}{\sqrt{q_{1} q_{2}}} \right)}
    """
    return _Printer().doprint(expr)


def statement(lhs: Any, relation: str, rhs: Any) -> str:
    """LaTeX of one line; a line too long for a page is broken before the relation and between the terms of a sum."""
    symbol = {"=": "=", ":=": ":=", "<=": r"\le"}[relation]
    left, right = formula(lhs), formula(rhs)
    if max(_width(left), _width(right)) <= _LINE and _width(left) + _width(right) <= _LINE:
        return f"{left} {symbol} {right}"
    head, used = (f"{left} & {symbol} ", _width(left)) if _width(left) <= _LINE // 2 else ("", 0)
    if not head:
        head = rf"& {_broken(lhs, 0)} \\ & \quad {symbol} "
    return rf"\begin{{aligned}} {head}{_broken(rhs, used)} \end{{aligned}}"


def _broken(side: Any, used: int) -> str:
    """A sum or a tuple on as many rows as it needs; `used` is what the first row already holds."""
    if isinstance(side, sp.Tuple):
        texts = [formula(a) + "," for a in side]
        texts = [f"({texts[0]}", *texts[1:-1], f"{texts[-1].removesuffix(',')})"]
    elif isinstance(side, sp.Add):
        texts = [formula(t) for t in _Printer()._as_ordered_terms(side)]
        texts = [texts[0], *(t if t.startswith("- ") else f"+ {t}" for t in texts[1:])]
    else:
        texts = [formula(side)]
    rows = ""
    for i, t in enumerate(texts):
        if i and used + _width(t) > _LINE:
            rows, used = rows + r"\\ & \quad ", 0
        rows += f"{t} "
        used += _width(t)
    return rows.rstrip()


def _width(latex: str) -> int:
    """Roughly how many characters a formula takes on paper: commands count one, a fraction its longer part."""
    while match := re.search(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", latex):
        latex = latex[: match.start()] + max(match.groups(), key=_width) + latex[match.end() :]
    plain = re.sub(r"\\(left|right|operatorname|mathbb|mathrm|quad)|[{}_^ ]", "", latex)
    return len(re.sub(r"\\[A-Za-z]+", "a", plain))
