"""Proofs that a formula in rho is identically 0: equality of finitely many coefficients is none."""

from __future__ import annotations

import sympy as sp

from kernalg.symbols import rho


def is_identically_zero(expr: sp.Expr, derivatives: int = 0) -> bool:
    """Whether a formula in rho is proved to vanish near 0. False means only that no proof was found.

    Exponentials, square roots and arc functions become generators of a polynomial ring, in which the square of a root
    is replaced by its radicand; what is then 0 is 0 whatever the generators are. When that fails, the derivative is
    tried instead, up to the third, for arc functions in different spellings.

    Parameters
    ----------
    derivatives : int
        How many Taylor coefficients at 0 are known to vanish: D' = 0 proves D = 0 only with D(0) = 0.
    """
    for order in range(min(derivatives, 3) + 1):
        if order:
            expr = sp.diff(expr, rho)
        if _vanishes_in_ring(expr):
            return True
    return False


def _vanishes_in_ring(expr: sp.Expr) -> bool:
    ring = Ring()
    numerator = sp.expand(sp.together(ring.of(expr)).as_numer_denom()[0])
    for root, radicand in ring.radicands.items():
        numerator = _reduced(numerator, root, radicand)
    return bool(numerator == 0 or (not numerator.free_symbols and sp.simplify(numerator) == 0)) or _numbers_vanish(
        numerator
    )


def in_exponentials(expr: sp.Expr) -> sp.Expr:
    """Without hyperbolic functions. (SymPy's rewrite would turn powers of rho into exponentials of logarithms, too.)"""
    return expr.replace(lambda e: isinstance(e, sp.sinh | sp.cosh | sp.tanh), lambda e: e.rewrite(sp.exp))


def _reduced(poly: sp.Expr, root: sp.Dummy, radicand: sp.Expr) -> sp.Expr:
    terms = sp.collect(poly, root, evaluate=False)
    total = sp.S.Zero
    for power, coefficient in terms.items():
        n = 0 if power == 1 else int(power.as_base_exp()[1])
        total += coefficient * radicand ** (n // 2) * root ** (n % 2)
    return sp.expand(total)


def _numbers_vanish(numerator: sp.Expr) -> bool:
    """Coefficients such as sqrt(6)/3 - sqrt(2)/sqrt(3) that expansion leaves standing."""
    symbols = sorted(numerator.free_symbols, key=str)
    if not symbols or len(numerator.args) > 200:
        return False
    return all(sp.simplify(c) == 0 for c in sp.Poly(numerator, *symbols).coeffs())


class Ring:
    """Formulas as rational functions of rho and generators."""

    def __init__(self) -> None:
        self.generators: dict[sp.Expr, sp.Dummy] = {}
        self.radicands: dict[sp.Dummy, sp.Expr] = {}
        self.rates: list[tuple[sp.Expr, sp.Dummy]] = []

    def of(self, expr: sp.Expr) -> sp.Expr:
        expr = in_exponentials(expr)
        rates = {r for e in expr.atoms(sp.exp) if (r := self.rate(e.args[0])) is not None}
        for rate in rates:
            self._register(rate)
        return self._walk(expr)

    @staticmethod
    def rate(argument: sp.Expr) -> sp.Expr | None:
        argument = sp.expand(argument)
        rate = argument.coeff(rho, 1)
        return rate if rate != 0 and not (argument - rate * rho).has(rho) else None

    def _register(self, rate: sp.Expr) -> None:
        """Commensurable rates share one generator exp(g rho)."""
        for i, (base, generator) in enumerate(self.rates):
            ratio = sp.radsimp(rate / base)
            if ratio.is_Rational:
                self.rates[i] = (base / ratio.q, generator)
                return
        self.rates.append((rate, sp.Dummy("E")))

    def _walk(self, e: sp.Expr) -> sp.Expr:
        if not e.has(rho) or e == rho:
            return e
        if e.is_Add or e.is_Mul:
            return e.func(*(self._walk(a) for a in e.args))
        if isinstance(e, sp.exp):
            rate = self.rate(e.args[0])
            if rate is not None:
                base, generator = next((b, g) for b, g in self.rates if sp.radsimp(rate / b).is_Integer)
                constant = sp.expand(e.args[0]) - rate * rho
                return sp.exp(constant) * generator ** sp.radsimp(rate / base)
        if e.is_Pow and e.exp.is_Integer:
            return self._walk(e.base) ** e.exp
        if e.is_Pow and e.exp.is_Rational and e.exp.q == 2:
            root = self._square_root(e.base)
            if root is not None:
                return root**e.exp.p
        if isinstance(e, sp.acos):
            return sp.pi / 2 - self._walk(sp.asin(e.args[0]))
        if len(e.args) == 1:
            return self._generator(e.func(sp.cancel(e.args[0])))
        return self._generator(e)

    def _square_root(self, base: sp.Expr) -> sp.Expr | None:
        """sqrt(base) as a product of roots of irreducible factors that are 1 at 0; None when base is not rational."""
        numerator, denominator = sp.cancel(sp.together(base)).as_numer_denom()
        if not (numerator.is_polynomial(rho) and denominator.is_polynomial(rho)):
            return None
        constant, root = sp.S.One, sp.S.One
        for poly, way in ((numerator, 1), (denominator, -1)):
            factor, parts = sp.factor_list(poly, rho)
            constant *= factor**way
            for part, multiplicity in parts:
                at_zero = part.subs(rho, 0)
                if at_zero == 0:
                    return None
                constant *= at_zero ** (way * multiplicity)
                normal = sp.expand(part / at_zero)
                if multiplicity % 2:
                    symbol = self._generator(sp.sqrt(normal, evaluate=False))
                    self.radicands[symbol] = normal
                    root *= symbol**way
                root *= normal ** (way * (multiplicity // 2))
        return sp.sqrt(sp.radsimp(constant)) * root if number_sign(constant) > 0 else None

    def _generator(self, e: sp.Expr) -> sp.Dummy:
        return self.generators.setdefault(e, sp.Dummy("G"))


def number_sign(value: sp.Expr) -> int:
    """Sign of an exact number."""
    if value.is_Rational:
        return 0 if value == 0 else 1 if value > 0 else -1
    value = sp.expand(value)
    if value == 0:
        return 0
    number = sp.N(value, 30)
    if abs(number) < sp.Float("1e-20") and sp.simplify(value) == 0:
        return 0
    return 1 if number > 0 else -1
