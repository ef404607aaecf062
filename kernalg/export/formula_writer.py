"""A SymPy formula as an expression of another language.

SymPy's own code printers are not used: exported text must run as it is, and they write ``torch.maximum(0, x)`` and
``torch.sqrt(2)``, which PyTorch refuses, know no Dawson function, and leave constants to be computed (and rounded
several times) by the target. Here every constant part of a formula becomes one correctly rounded literal.
"""

from __future__ import annotations

import sympy as sp
from sympy.logic.boolalg import And, Boolean, Or

from kernalg.compiled.rewrites import exponential_minus_one
from kernalg.errors import DomainError
from kernalg.export.dialects import Dialect
from kernalg.symbols import normal_cdf

# How tightly a text binds: a sum, a product, a power, something closed.
_SUM, _PRODUCT, _POWER, _CLOSED = range(4)
_RELATIONS = {
    sp.StrictLessThan: "<", sp.LessThan: "<=", sp.StrictGreaterThan: ">", sp.GreaterThan: ">=", sp.Equality: "==",
    sp.Unequality: "!=",
}  # fmt: skip


class FormulaWriter:
    """Writes formulas in one dialect, and remembers in `used` which of its special functions they need.

    `like` is the variable whose shape constants take. With `clamped`, arguments of asin, acos and square roots that
    rounding has put outside their domain are moved back to its edge.
    """

    def __init__(self, dialect: Dialect, like: str = "x", clamped: bool = False) -> None:
        self.dialect = dialect
        self.like = like
        self.clamped = clamped
        self.used: set[str] = set()

    def text(self, expr: sp.Expr) -> str:
        """The expression; its variables keep their names.

        Raises
        ------
        DomainError
            The language has no such function.

        Examples
        --------
        >>> from kernalg.export.dialects import C
        >>> from kernalg.symbols import x
        >>> FormulaWriter(C).text(sp.sqrt(2) * x**4 * sp.exp(-x / 3) + sp.Max(0, x))
        '1.4142135623730951*pow(x, 4.0)*exp(-x/3.0) + kernalg_larger(0.0, x)'
        """
        text = self._written(_prepared(expr))[0]
        return text if expr.free_symbols else self.dialect.filled.format(text, self.like)

    def special(self) -> str:
        """Definitions of the special functions that were used."""
        needed = set(self.used)
        if needed & {"_erfi", "kernalg_erfi"}:
            needed |= {"_dawson", "kernalg_dawson", "_exp"}
        texts = [text.strip("\n") for name, text in self.dialect.special.items() if name in needed]
        return ("\n\n" if self.dialect.name == "c" else "\n\n\n").join(texts)

    def _written(self, e: sp.Expr) -> tuple[str, int]:
        if not e.free_symbols:
            return self._literal(e)
        if e.is_Symbol:
            return e.name, _CLOSED
        if e.is_Add:
            return self._sum(e), _SUM
        if e.is_Mul:
            return self._product(e), _PRODUCT
        if e.is_Pow:
            return self._power(e)
        if isinstance(e, sp.Max | sp.Min):
            return self._extreme(e), _CLOSED
        if isinstance(e, sp.Piecewise):
            return self._branches(list(e.args)), _CLOSED
        if isinstance(e, normal_cdf):  # keeps its digits in the left tail, unlike 1 + erf
            scaled = self._written(-e.args[0] / sp.sqrt(2))[0]
            return f"{self.dialect.functions[sp.erfc]}({scaled})/{self._literal(sp.Integer(2))[0]}", _PRODUCT
        if isinstance(e, sp.log) and e.args[0].is_Add and e.args[0].as_independent(*e.free_symbols)[0] == 1:
            return f"{self.dialect.accurate.format('log1p')}({self._written(e.args[0] - 1)[0]})", _CLOSED
        name = self.dialect.functions.get(e.func)
        if self.clamped and isinstance(e, sp.asin | sp.acos) and not e.args[0].is_Symbol:
            e = e.func(sp.Max(-1, sp.Min(1, e.args[0])))
        if name is None or len(e.args) > 2:
            known = ", ".join(sorted(f.__name__ for f in self.dialect.functions))
            raise DomainError(
                f"{e.func.__name__} has no counterpart in {self.dialect.name} here; functions that have one: {known} "
                "(export to latex takes any formula)"
            )
        self.used |= {name} & self.dialect.special.keys()
        return f"{name}({', '.join(self._written(a)[0] for a in e.args)})", _CLOSED

    def _within(self, e: sp.Expr, least: int) -> str:
        text, binding = self._written(e)
        return text if binding >= least else f"({text})"

    def _literal(self, value: sp.Expr) -> tuple[str, int]:
        if value.is_Integer and abs(value) < 2**53:
            text = self.dialect.whole.format(value)
        else:
            number = float(value.evalf(40))
            if number in (float("inf"), float("-inf")) or number != number:
                raise DomainError(f"the constant {value} is not a number in the range of float64")
            text = repr(number)
        return text, (_PRODUCT if text.startswith("-") else _CLOSED)

    def _sum(self, e: sp.Expr) -> str:
        parts = []
        if found := exponential_minus_one(e):
            factor, exponent, terms = found
            difference = f"{self.dialect.accurate.format('expm1')}({self._written(exponent)[0]})"
            parts.append(difference if factor == 1 else f"{self._within(factor, _PRODUCT)}*{difference}")
            e = sp.Add(*(term for term in e.args if term not in terms))
        constant, rest = e.as_independent(*e.free_symbols, as_Add=True)
        parts += [self._within(term, _PRODUCT) for term in sp.Add.make_args(rest) if term != 0]
        parts.sort(key=lambda part: part.startswith("-"))
        if constant != 0:
            parts.append(self._literal(constant)[0])
        return parts[0] + "".join(f" - {p[1:]}" if p.startswith("-") else f" + {p}" for p in parts[1:])

    def _product(self, e: sp.Expr) -> str:
        constant, rest = e.as_independent(*e.free_symbols, as_Add=False)
        above, below = [], []
        for factor in sp.Mul.make_args(rest):
            if factor.is_Pow and factor.exp.is_number and factor.exp.is_negative:
                below.append(1 / factor)
            else:
                above.append(factor)
        sign = "-" if constant.is_negative else ""
        constant = abs(constant)
        if constant.is_Rational and constant.p == 1 and constant.q != 1 and above:
            below.insert(0, sp.Integer(constant.q))  # x/3 is rounded once, 0.333 x twice
        elif constant != 1 or not above:
            above.insert(0, constant)
        text = sign + "*".join(self._within(factor, _POWER) for factor in above)
        return text + "".join("/" + self._within(factor, _POWER) for factor in below)

    def _power(self, e: sp.Pow) -> tuple[str, int]:
        base, exponent = e.base, e.exp
        if self.dialect.name == "c" and base.is_Symbol and exponent in (2, 3):
            return "*".join([base.name] * int(exponent)), _PRODUCT
        if exponent.is_number and exponent.is_negative:
            return f"{self._literal(sp.S.One)[0]}/{self._within(1 / e, _POWER)}", _PRODUCT
        if exponent == sp.S.Half:
            base = sp.Max(0, base) if self.clamped else base
            return self.dialect.root.format(self._written(base)[0]), _CLOSED
        least = _SUM if self.dialect.power.startswith("pow") else _CLOSED
        text = self.dialect.power.format(self._within(base, least), self._within(exponent, least))
        return text, (_CLOSED if least == _SUM else _POWER)

    def _extreme(self, e: sp.Expr) -> str:
        pattern = self.dialect.larger if isinstance(e, sp.Max) else self.dialect.smaller
        parts = [self._value(a) for a in sorted(e.args, key=lambda a: (bool(a.free_symbols), sp.default_sort_key(a)))]
        text = parts[0]
        self.used |= {pattern.partition("(")[0]} & self.dialect.special.keys()
        for part in parts[1:]:
            text = pattern.format(text, part)
        return text

    def _branches(self, cases: list[tuple[sp.Expr, Boolean]]) -> str:
        if not cases:
            nan = self.dialect.nan
            return self.dialect.filled.format(nan, self.like) if self.dialect.typed else nan
        (value, condition), *rest = cases
        if condition == True:  # noqa: E712  SymPy's true
            return self._value(value)
        return self.dialect.branch.format(self._condition(condition), self._value(value), self._branches(rest))

    def _value(self, e: sp.Expr) -> str:
        """A value beside others, as a float; see `Dialect.typed` for constants."""
        if e.free_symbols:
            return self._written(e)[0]
        text = repr(float(self._literal(e)[0]))  # 1.0, for branches of integers alone would make an array of integers
        return self.dialect.filled.format(text, self.like) if self.dialect.typed else text

    def _condition(self, condition: Boolean) -> str:
        if isinstance(condition, And | Or):
            word = self.dialect.both if isinstance(condition, And) else self.dialect.either
            return f" {word} ".join(f"({self._condition(a)})" for a in condition.args)
        sign = _RELATIONS.get(condition.func)
        if sign is None:
            raise DomainError(f"the condition {condition} cannot be exported; use comparisons, and, or")
        return f"{self._within(condition.lhs, _PRODUCT)} {sign} {self._within(condition.rhs, _PRODUCT)}"


def _prepared(expr: sp.Expr) -> sp.Expr:
    """The same function without steps, and without quotients of exponentials that overflow."""

    def rewritten(e: sp.Expr) -> sp.Expr:
        if e.is_Mul:
            return _bounded_quotient(e)
        argument = e.args[0]
        if isinstance(e, sp.Heaviside):
            return sp.Piecewise((1, argument > 0), (0, argument < 0), (sp.S.Half, sp.Eq(argument, 0)))
        if isinstance(e, sp.sign):
            return sp.Piecewise((1, argument > 0), (-1, argument < 0), (0, sp.Eq(argument, 0)))
        if isinstance(argument, sp.cosh):  # log(cosh y)
            y = sp.Abs(argument.args[0])
            return y + sp.log(1 + sp.exp(-2 * y)) - sp.log(2)
        if isinstance(argument - 1, sp.exp):  # log(1 + exp y)
            y = (argument - 1).args[0]
            return sp.Max(y, 0) + sp.log(1 + sp.exp(-sp.Abs(y)))
        return e

    kinds = sp.Heaviside | sp.sign | sp.log | sp.Mul
    return expr.replace(lambda e: isinstance(e, kinds) and bool(e.free_symbols), rewritten)


def _bounded_quotient(e: sp.Mul) -> sp.Expr:
    """sinh/cosh as tanh; exp(my)/(1 + exp y)^n with 0 < m <= n as s(y)^m s(-y)^(n-m), s(y) = 1/(1 + exp(-y))."""
    factors = list(e.args)
    for below in e.args:
        if not (below.is_Pow and below.exp.is_Integer and below.exp.is_negative):
            continue
        base, n = below.base, -below.exp
        if isinstance(base, sp.cosh) and n == 1 and sp.sinh(base.args[0]) in factors:
            factors.remove(below)
            factors[factors.index(sp.sinh(base.args[0]))] = sp.tanh(base.args[0])
        elif isinstance(base - 1, sp.exp):
            y = (base - 1).args[0]
            for above in [f for f in factors if isinstance(f, sp.exp)]:
                m = sp.cancel(above.args[0] / y)
                if m.is_Integer and 0 < m <= n:
                    factors.remove(above)
                    factors.remove(below)
                    factors += [(1 + sp.exp(-y)) ** -m, (1 + sp.exp(y)) ** (m - n)]
                    break
    return sp.Mul(*factors)
