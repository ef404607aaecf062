r"""The eigenlearning equations as SymPy objects: to differentiate, substitute, show and compare.

The unknown :math:`\kappa` stays a symbol tied to the others by :math:`F(\kappa)=\sum_im_iL_i+\delta/\kappa-n=0`, so
that a total derivative is :math:`de/ds=\partial_se-\partial_\kappa e\,\partial_sF/\partial_\kappa F`. Only for one
level, where F is a quadratic equation, the root is written out (`critical_level_formulas`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import sympy as sp
from numpy.typing import ArrayLike

from kernalg.checks import real_number, whole_number
from kernalg.errors import DomainError, PrecisionError
from kernalg.learning.problem import learning_problem
from kernalg.spectrum.spectrum import Spectrum

_KAPPA = sp.Symbol("kappa", positive=True)
_MAX_BITS = 1 << 16


@dataclass(frozen=True, slots=True, repr=False)
class EigenlearningFormulas:
    r"""Formulas of a learning curve. All symbols are positive.

    Attributes
    ----------
    n, delta, noise : symbols of the number of samples, the ridge and the noise variance :math:`\sigma^2`.
    effective_ridge : delta, or delta with the tail of the spectrum; D for a critical level.
    eigenvalues, multiplicities, powers : symbols :math:`\lambda_i`, :math:`m_i` and :math:`v_i^2`, one per level.
    kappa : the symbol of the unknown.
    equation : what determines it.
    root : kappa as an expression, if there is one in closed form (then no formula below contains the symbol).
    learnabilities : L_i, one per level.
    overfitting, bias, variance, test_mse, excess_mse, train_mse : as in `LearningCurve`.
    """

    n: sp.Symbol
    delta: sp.Symbol
    noise: sp.Symbol
    effective_ridge: sp.Expr
    eigenvalues: tuple[sp.Symbol, ...]
    multiplicities: tuple[sp.Symbol, ...]
    powers: tuple[sp.Symbol, ...]
    kappa: sp.Symbol
    equation: sp.Equality
    root: sp.Expr | None
    learnabilities: tuple[sp.Expr, ...]
    overfitting: sp.Expr
    bias: sp.Expr
    variance: sp.Expr
    test_mse: sp.Expr
    excess_mse: sp.Expr
    train_mse: sp.Expr

    def derivative(self, expression: sp.Expr, *symbols: sp.Symbol) -> sp.Expr:
        """Total derivative of an expression by one symbol after another: kappa moves as its equation demands.

        Examples
        --------
        >>> f = eigenlearning_formulas(1)
        >>> sp.factor(f.derivative(f.kappa, f.delta))
        kappa*(kappa + lambda_0)**2/(delta*kappa**2 + 2*delta*kappa*lambda_0 + delta*lambda_0**2 +
            kappa**2*lambda_0*m_0)
        """
        result = expression
        if not isinstance(result, sp.Expr):
            raise DomainError(f"expression is {expression!r}; a SymPy expression is needed, such as .test_mse")
        gap = self.equation.lhs - self.equation.rhs
        for symbol in symbols:
            if not isinstance(symbol, sp.Symbol) or symbol == self.kappa:
                raise DomainError(f"a derivative is by one of the given symbols, such as .delta, not by {symbol!r}")
            moved = -sp.diff(gap, symbol) / sp.diff(gap, self.kappa)
            result = sp.diff(result, symbol) + sp.diff(result, self.kappa) * moved
        return result

    def values(
        self, spectrum: Spectrum, power: ArrayLike | None = None, *, n: float, ridge: float = 0.0, noise: float = 0.0
    ) -> dict[sp.Symbol, sp.Number]:
        """Numbers for the symbols, exactly as `learning_curve` takes them (floats are the fractions they stand for).

        Eigenvalues are taken from `Spectrum.exact` if it has them.

        Raises
        ------
        DomainError
            If the spectrum has another number of levels, or a tail while these formulas have none.
        """
        problem = learning_problem(spectrum, power, n, noise)
        if len(problem.n) != 1:
            raise DomainError(f"n holds {len(problem.n)} numbers; formulas are evaluated at one")
        if len(spectrum) != len(self.eigenvalues):
            raise DomainError(f"the spectrum has {len(spectrum)} levels, these formulas {len(self.eigenvalues)}")
        if problem.unlearnable > 0:
            raise DomainError(
                "there is target power beyond the levels: add a level of eigenvalue 0 for it, or add it to the noise"
            )
        numbers = spectrum.exact or [sp.Rational(float(v)) for v in spectrum.eigenvalues]
        found: dict[sp.Symbol, sp.Number] = dict(zip(self.eigenvalues, numbers, strict=True))
        found |= zip(self.multiplicities, map(sp.Integer, spectrum.multiplicities), strict=True)
        found |= zip(self.powers, (sp.Rational(float(p)) for p in problem.learnable), strict=True)
        found[self.n], found[self.noise] = sp.Rational(float(problem.n[0])), sp.Rational(problem.noise)
        found[self.delta] = sp.Rational(real_number("ridge", ridge, minimum=0.0))
        tail = sp.Rational(spectrum.tail or 0.0)
        more = self.effective_ridge.free_symbols - {self.delta}
        if tail and not more:
            raise DomainError(
                f"the spectrum has the tail {float(tail)!r}, which acts as ridge: make the formulas with tail=True"
            )
        for symbol in more:
            found[symbol] = tail
        return found

    def evaluate(self, expression: sp.Expr, values: Mapping[sp.Symbol, Any], digits: int = 30) -> sp.Float:
        """The number an expression has, to `digits` significant digits; kappa is solved for.

        The precision is doubled until two results agree. Raises DomainError if a symbol has no value, or kappa is 0
        (n beyond the rank without ridge); PrecisionError if digits cancel without end.

        Examples
        --------
        >>> f = eigenlearning_formulas(2)
        >>> at = f.values(Spectrum([0.5, 0.25], [1, 6]), [1, 1], n=4, ridge=0.5, noise=0.125)
        >>> f.evaluate(f.kappa, at, 20), f.evaluate(f.derivative(f.test_mse, f.delta), at, 20)
        (0.41600391118695114814, 0.21564064860022830996)
        """
        digits = whole_number("digits", digits, 1)
        numbers = {symbol: _exact(symbol, value) for symbol, value in values.items()}
        gap = self.equation.lhs - self.equation.rhs
        solve = self.kappa in expression.free_symbols and self.kappa not in numbers
        needed = expression.free_symbols | (gap.free_symbols if solve else set())
        missing = sorted(str(s) for s in needed - set(numbers) - {self.kappa})
        if missing:
            raise DomainError(f"no value for {', '.join(missing)}: give one for every symbol")
        expression = expression.xreplace(numbers)
        gap = gap.xreplace(numbers) if solve else gap
        bits, previous = int(3.33 * digits) + 64, None
        while bits <= _MAX_BITS:
            with mp.workprec(bits):
                at = {self.kappa: _root(numbers, self)} if solve else {}
            result = expression.xreplace(at).evalf(int(bits / 3.33), maxn=bits)
            if previous is not None and abs(result - previous) <= abs(result) * sp.Float(10, 30) ** (-digits - 1):
                return sp.Float(result, digits)
            bits, previous = 2 * bits, result
        raise PrecisionError(f"{digits} digits of the expression were not reached at {bits // 2} bits")

    def __repr__(self) -> str:
        count = len(self.eigenvalues)
        known = "" if self.root is None else f"\n  kappa = {self.root}"
        return f"Eigenlearning formulas, {count} level{'s' * (count != 1)}:\n  {self.equation.lhs} = n{known}"

    def _repr_latex_(self) -> str:
        names = [sp.Symbol(f"L_{i}" if len(self.eigenvalues) > 1 else "L") for i in range(len(self.eigenvalues))]
        shown = _errors(
            self.n, self.delta, self.noise, self.kappa, self.multiplicities, self.powers, tuple(names),
            *sp.symbols("E_0 B V E"),
        )  # fmt: skip
        rows = [f"{sp.latex(self.equation.lhs)} &= n"]
        if self.root is not None:
            rows.append(rf"\kappa &= {sp.latex(self.root)}")
        share = [value / (value + self.kappa) for value in self.eigenvalues]
        rows += [f"{sp.latex(name)} &= {sp.latex(term)}" for name, term in zip(names, share, strict=True)]
        left = {"overfitting": "E_0", "bias": "B", "variance": "V", "test_mse": "E", "train_mse": r"E_\mathrm{train}"}
        rows += [f"{sign} &= {sp.latex(shown[name])}" for name, sign in left.items()]
        return r"$\displaystyle \begin{aligned}" + r"\\ ".join(rows) + r"\end{aligned}$"


def eigenlearning_formulas(levels: int, *, tail: bool = False) -> EigenlearningFormulas:
    """The eigenlearning equations for `levels` levels, as SymPy expressions.

    Parameters
    ----------
    levels : int
        How many; their symbols are `.eigenvalues`, `.multiplicities` and `.powers` of the result.
    tail : bool
        A symbol tau adds to the ridge in kappa: the eigenvalues beyond the levels.

    Returns
    -------
    EigenlearningFormulas
        ``sympy.latex(f.test_mse)`` is LaTeX; ``f.derivative(f.test_mse, f.delta)`` a total derivative;
        ``f.evaluate(f.test_mse, f.values(spectrum, power, n=…))`` a number.

    Examples
    --------
    >>> f = eigenlearning_formulas(2)
    >>> f.equation
    Eq(delta/kappa + lambda_0*m_0/(kappa + lambda_0) + lambda_1*m_1/(kappa + lambda_1), n)
    >>> f.bias
    kappa**2*v_0^2/(kappa + lambda_0)**2 + kappa**2*v_1^2/(kappa + lambda_1)**2
    """
    levels = whole_number("levels", levels, 1)
    n, delta, noise, tau = (sp.Symbol(name, positive=True) for name in ("n", "delta", "sigma^2", "tau"))
    families = [
        tuple(sp.Symbol(name.format(i), positive=True) for i in range(levels))
        for name in ("lambda_{}", "m_{}", "v_{}^2")
    ]
    return _formulas(n, delta, noise, delta + tau if tail else delta, *families, root=None)


def critical_level_formulas() -> EigenlearningFormulas:
    """The closed form of a critical level: N modes of one eigenvalue lambda, and the effective ridge D.

    delta, the part of D that is a true ridge, appears in the train error only.

    Examples
    --------
    >>> f = critical_level_formulas()
    >>> f.root
    (D + N*lambda - lambda*n + sqrt(4*D*lambda*n + (-D - N*lambda + lambda*n)**2))/(2*n)
    """
    n, N, value, D, delta, noise, power = (
        sp.Symbol(name, positive=True) for name in ("n", "N", "lambda", "D", "delta", "sigma^2", "v^2")
    )
    b = n * value - N * value - D
    root = (sp.sqrt(b**2 + 4 * n * D * value) - b) / (2 * n)
    return _formulas(n, delta, noise, D, (value,), (N,), (power,), root=root)


def _formulas(
    n: sp.Symbol, delta: sp.Symbol, noise: sp.Symbol, effective: sp.Expr, eigenvalues: tuple[sp.Symbol, ...],
    multiplicities: tuple[sp.Symbol, ...], powers: tuple[sp.Symbol, ...], *, root: sp.Expr | None,
) -> EigenlearningFormulas:  # fmt: skip
    terms = [m * value / (value + _KAPPA) for m, value in zip(multiplicities, eigenvalues, strict=True)]
    kappa = _KAPPA if root is None else root
    learned = tuple(value / (value + kappa) for value in eigenvalues)
    return EigenlearningFormulas(
        n=n, delta=delta, noise=noise, effective_ridge=effective, eigenvalues=eigenvalues,
        multiplicities=multiplicities, powers=powers, kappa=_KAPPA,
        equation=sp.Eq(sp.Add(*terms) + effective / _KAPPA, n, evaluate=False), root=root, learnabilities=learned,
        **_errors(n, delta, noise, kappa, multiplicities, powers, learned),
    )  # fmt: skip


def _errors(
    n: sp.Symbol, delta: sp.Symbol, noise: sp.Symbol, kappa: sp.Expr, multiplicities: tuple[sp.Symbol, ...],
    powers: tuple[sp.Symbol, ...], learned: tuple[sp.Expr, ...], *names: sp.Symbol,
) -> dict[str, sp.Expr]:  # fmt: skip
    """The errors from the learnabilities; `names` replace E_0, B, V and E where later formulas repeat them."""
    overfitting = n / (n - sp.Add(*(m * share**2 for m, share in zip(multiplicities, learned, strict=True))))
    bias = sp.Add(*(_missing(share, kappa) ** 2 * v for share, v in zip(learned, powers, strict=True)))
    e0, b, v, e = names or (overfitting, bias, (overfitting - 1) * (bias + noise), overfitting * (bias + noise))
    return {
        "overfitting": overfitting,
        "bias": bias,
        "variance": (e0 - 1) * (b + noise),
        "test_mse": e0 * (b + noise),
        "excess_mse": b + v,
        "train_mse": (delta / (n * kappa)) ** 2 * e,
    }


def _missing(share: sp.Expr, kappa: sp.Expr) -> sp.Expr:
    """1 - L, written kappa/(lambda + kappa) where L is written out."""
    return 1 - share if share.is_Symbol else share * kappa / sp.numer(share)


def _exact(symbol: sp.Symbol, value: Any) -> sp.Number:
    if not isinstance(symbol, sp.Symbol):
        raise DomainError(f"values has the key {symbol!r}; the symbols of the formulas are needed")
    if isinstance(value, sp.Float):
        # The fraction it stands for: a Float would round what it is combined with to its own digits.
        return sp.Rational(value)
    if isinstance(value, sp.Expr) and value.is_number and value.is_real:
        return value
    return sp.Rational(real_number(str(symbol), value))


def _root(numbers: Mapping[sp.Symbol, sp.Number], formulas: EigenlearningFormulas) -> sp.Float:
    """kappa at the working precision of mpmath: bisection of a falling function of log kappa, then Newton."""

    def number(expression: sp.Expr) -> Any:
        return expression.xreplace(dict(numbers))._to_mpmath(mp.mp.prec)

    n, ridge = number(formulas.n), number(formulas.effective_ridge)
    modes, values = [number(m) for m in formulas.multiplicities], [number(v) for v in formulas.eigenvalues]
    powers = [m * v for m, v in zip(modes, values, strict=True)]
    rank = mp.fsum(m for m, v in zip(modes, values, strict=True) if v > 0)
    if n <= 0 or min(values) < 0 or ridge < 0 or mp.fsum(powers) + ridge <= 0:
        raise DomainError("kappa needs n > 0, eigenvalues and ridge that are not negative, and not all of them 0")
    if ridge == 0 and n >= rank:
        raise DomainError(
            f"n = {mp.nstr(n, 10)} is not below the rank {mp.nstr(rank, 10)} and there is no ridge: kappa is 0, where "
            "the formulas have only limits; learning_curve takes them"
        )

    def excess(kappa: Any) -> Any:
        return mp.fsum(p / (v + kappa) for p, v in zip(powers, values, strict=True)) + ridge / kappa - n

    high = (mp.fsum(powers) + ridge) / n
    low = high
    while excess(low) <= 0:
        low = low * low / high / 16 if low < high else high / 16
    for _ in range(mp.mp.prec + 64):
        middle = mp.sqrt(low * high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
        if high - low <= low * mp.mpf(2) ** (8 - mp.mp.prec):
            break
    return sp.Float._new(mp.sqrt(low * high)._mpf_, mp.mp.prec)
