"""An activation: an exact function of x, and what can be read off it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg.activation import catalogue
from kernalg.activation.dual import Dual
from kernalg.activation.smoothness import MAX_JUMP_ORDER, Smoothness, powers_at_zero, smoothness_of
from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import certain_digits, to_float
from kernalg.errors import DomainError, NoClosedForm
from kernalg.formula import exact_number, from_json, parse, read_object, to_json
from kernalg.gaussian import extensions, lattice, polynomials
from kernalg.gaussian.atoms import Atoms, from_pieces
from kernalg.gaussian.expectation import hermite_moments
from kernalg.gaussian.pieces import Pieces, pieces
from kernalg.gaussian.polynomial_arrays import PolynomialArrays
from kernalg.gaussian.polynomials import Polynomial
from kernalg.gaussian.series import differentiate, hermite_coefficients
from kernalg.symbols import dawson, x

if TYPE_CHECKING:
    from flint import arb

MAX_HERMITE_ORDER = 500
_NOT_COMPILED = (sp.floor, sp.erfi, dawson)


@dataclass(frozen=True)
class Activation:
    """A function phi(x), exact.

    Parameters
    ----------
    expr : sympy.Expr
        In `kernalg.x`; further symbols are parameters and stay symbolic.
    name : str
        What the catalogue calls it, or its formula.

    Examples
    --------
    >>> import kernalg as ka
    >>> phi = ka.activation("leaky_relu", slope="1/5")
    >>> phi.expr, phi.homogeneity, phi.breakpoints
    (Max(0, x) + Min(0, x)/5, 1, (0,))
    >>> phi.dual.diagonal
    13*q1/25
    """

    expr: sp.Expr
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.expr, sp.Expr):
            raise DomainError(
                f"Activation({self.expr!r}): the first argument is a SymPy expression in kernalg.x; "
                "for text use kernalg.activation('…')"
            )
        if self.expr.has(sp.Float):
            object.__setattr__(self, "expr", exact_number(self.expr, "the activation"))
        if self.expr.has(sp.I) or (self.polynomial is None and self.expr.is_extended_real is False):
            raise DomainError(
                f"{self.expr} contains the imaginary unit or is not real; an activation is a real function, with sin "
                "and cos in the place of complex exponentials"
            )
        strangers = {str(s) for s in self.expr.free_symbols} & {"q1", "q2", "c", "rho"}
        if strangers:
            raise DomainError(
                f"{self.expr} contains {', '.join(sorted(strangers))}, which stand for the Gaussian pair; "
                "an activation is a function of x, and parameters carry other names"
            )
        if any(s.name == "x" and s != x for s in self.expr.free_symbols):
            raise DomainError(f"{self.expr} uses another symbol named x; use kernalg.x (it is real)")
        if not self.name:
            long = self._arrays
            name = str(self.expr) if long is None else f"polynomial of degree {long.polynomial.degree}"
            object.__setattr__(self, "name", name)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """Symbols other than x."""
        return tuple(sorted(self.expr.free_symbols - {x}, key=str))

    @cached_property
    def pieces(self) -> Pieces:
        """Smooth branches from left to right."""
        return pieces(self.expr)

    @property
    def breakpoints(self) -> tuple[sp.Expr, ...]:
        """Where the branch changes (a kink, a jump, or a jump of a higher derivative).

        Raises
        ------
        NoClosedForm
            There are infinitely many (floor).
        """
        if self.expr.has(sp.floor):
            raise NoClosedForm(
                f"{self.name} has infinitely many breakpoints: floor jumps wherever its argument is an integer"
            )
        return self.pieces.breakpoints

    @cached_property
    def atoms(self) -> Atoms:
        """The normal form: sum of x^n exp(Ax^2+Bx) times a threshold."""
        return from_pieces(self.pieces)

    @cached_property
    def polynomial(self) -> Polynomial | None:
        """The polynomial that it is, with numbers for coefficients; None for other activations."""
        return polynomials.polynomial(self.expr)

    @cached_property
    def parity(self) -> str | None:
        """'even', 'odd' or None (at almost every x: a jump's own value does not count)."""
        if self.polynomial is not None:
            return {1: "even", -1: "odd", None: None}[self.polynomial.parity]
        stairs = [lattice.recognise(pieces(e)) for e in (self.expr, self.expr.subs(x, -x), -self.expr.subs(x, -x))]
        if stairs[0] is not None:
            return "even" if stairs[0] == stairs[1] else "odd" if stairs[0] == stairs[2] else None
        if _vanishes(self.expr.subs(x, -x) - self.expr):
            return "even"
        if _vanishes(self.expr.subs(x, -x) + self.expr):
            return "odd"
        return None

    @cached_property
    def homogeneity(self) -> sp.Expr | None:
        """The degree p with phi(s x) = s^p phi(x) for all s > 0, or None."""
        if self.polynomial is not None and self.polynomial.degree > 0:
            occurring = self.polynomial.powers
            return sp.Integer(occurring[0]) if len(occurring) == 1 else None
        try:
            exponents = {p for table in powers_at_zero(self.pieces) or () for p in table}
        except NoClosedForm:  # not real on the left
            return None
        return exponents.pop() if len(exponents) == 1 else None

    @cached_property
    def smoothness(self) -> Smoothness:
        """The lowest order at which a derivative jumps, and the singular exponents of the dual at rho = 1 and -1.

        Raises
        ------
        NoClosedForm
            A derivative has no finite one-sided limit at a breakpoint other than 0, or no jump is found up to order 64.
        """
        return Smoothness(None, None, None) if self.polynomial is not None else smoothness_of(self.pieces)

    @cached_property
    def dual(self) -> Dual:
        """E[phi(u) phi(v)] and its relatives."""
        return Dual(self.name, lambda: self.pieces)

    def hermite(self, order: int, q: Any = 1, digits: int | None = None) -> list[sp.Expr]:
        r"""Coefficients a_k = E[phi(sqrt(q) Z) h_k(Z)], k = 0 … order, with h_k = He_k/sqrt(k!).

        Parameters
        ----------
        order : int
            Last index, at most 500.
        q : exact number or symbol, positive
            Variance of the input. A symbol must be declared positive.
        digits : int, optional
            Without it the coefficients are exact. With it they are numbers, for every activation, with certified errors
            below 10^-digits sqrt(E phi(sqrt(q) Z)^2); one that is not told from 0 within that is given as 0.

        Raises
        ------
        NoClosedForm
            Exact coefficients of an activation without a closed form.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("relu").hermite(4)
        [sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0, -sqrt(3)/(12*sqrt(pi))]
        >>> ka.activation("tanh").hermite(3, digits=12)
        [0, 0.605705509602, 0, -0.148437190787]
        """
        if isinstance(order, bool) or not isinstance(order, int | np.integer) or not 0 <= order <= MAX_HERMITE_ORDER:
            raise DomainError(f"hermite({order!r}): the order is an integer from 0 to {MAX_HERMITE_ORDER}")
        variance = exact_number(q, "q")
        if not variance.is_positive:
            raise DomainError(f"hermite(q={q}): the variance must be positive (declare a symbol positive=True)")
        known = self.polynomial
        if known is not None and known.degree > polynomials.WRITTEN_OUT and digits is None:
            return known.exact_hermite(int(order), variance)
        if digits is not None:
            self._refuse_parameters()
            if known is not None:
                return [_number(a, digits) for a in known.certified_hermite(int(order), variance, digits)]
            return [_number(a, digits) for a in hermite_coefficients(self.pieces, variance, int(order), digits)]
        try:
            return hermite_moments(self.atoms, int(order), variance)
        except NoClosedForm as refusal:
            found = extensions.hermite_moments(self.pieces, int(order), variance)
            if found is None:
                why = extensions.reason(self.pieces) or str(refusal)
                raise NoClosedForm(f"{why}; hermite(order, q, digits=30) gives certified numbers") from None
            return found

    def __call__(self, values: Any) -> Any:
        """phi at each entry of an array, in float64."""
        self._refuse_parameters()
        if self._arrays is not None:
            return self._arrays(values)
        return _evaluated(_without_overflow(self.expr), values)

    @cached_property
    def _arrays(self) -> PolynomialArrays | None:
        """A long polynomial whose powers of x would cancel."""
        known = self.polynomial
        if known is None or known.degree <= polynomials.WRITTEN_OUT or known.reference == 0:
            return None
        return PolynomialArrays(known)

    # -- new activations from old --------------------------------------------------------------------------------------

    def scaled(self, a: Any) -> Activation:
        """x -> phi(a x), with the dual k(a^2 q1, a^2 q2, a^2 c).

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("sin").scaled(3)
        Activation(sin(3*x))
        """
        factor = _constant(a, "a")
        if factor.is_zero:
            raise DomainError("scaled(0) is the constant phi(0); scale by a number other than 0")
        return Activation(self.expr.subs(x, factor * x))

    def shifted(self, b: Any) -> Activation:
        """x -> phi(x + b).

        A Gaussian pair with means m, m' is a centred one shifted:
        E[phi(m + u) psi(m' + v)] is ``cross_dual(phi.shifted(m), psi.shifted(m'))``.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("relu").shifted("1/2")
        Activation(Max(0, x + 1/2))
        """
        return Activation(self.expr.subs(x, x + _constant(b, "b")))

    def times_x(self) -> Activation:
        """x -> x phi(x). Stein's identity gives E[u phi(u) psi(v)] = q1 E[phi'(u) psi(v)] + c E[phi(u) psi'(v)].

        (For continuous phi and psi; a jump J at t adds J times a conditional mean.)
        """
        return Activation(x * self.expr)

    def derivative(self, n: int = 1) -> Activation:
        """The n-th derivative almost everywhere, without delta functions at the breakpoints.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("relu").derivative()
        Activation(Heaviside(x))
        >>> ka.activation("relu").derivative(2)
        Activation(0)
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= MAX_JUMP_ORDER:
            raise DomainError(f"derivative({n!r}): the order is an integer from 0 to {MAX_JUMP_ORDER}")
        if n == 0:
            return self
        if self._arrays is not None:
            slope = self._arrays.polynomial
            for _ in range(int(n)):
                slope = slope.derivative()
            return Activation(slope.series_expr)
        parts = self.pieces
        for _ in range(int(n)):
            parts = differentiate(parts)
        return Activation(_joined(parts))

    def __add__(self, other: Any) -> Activation:
        if not isinstance(other, Activation):
            return NotImplemented
        return Activation(self.expr + other.expr)

    def __sub__(self, other: Any) -> Activation:
        if not isinstance(other, Activation):
            return NotImplemented
        return Activation(self.expr - other.expr)

    def __mul__(self, factor: Any) -> Activation:
        if isinstance(factor, Activation):  # a product of two activations is written as a formula
            return NotImplemented
        return Activation(_constant(factor, "factor") * self.expr)

    __rmul__ = __mul__
    __array_ufunc__ = None  # np.float64(2)*phi comes here instead of making an array of objects

    def __neg__(self) -> Activation:
        return Activation(-self.expr)

    def _refuse_parameters(self) -> None:
        if self.parameters:
            raise DomainError(
                f"{self.name} has the free parameters {', '.join(map(str, self.parameters))}; "
                "give them values before asking for numbers"
            )

    def to_json(self) -> str:
        return json.dumps({"type": "kernalg.Activation", "name": self.name, "expr": to_json(self.expr)})

    @classmethod
    def from_json(cls, text: str) -> Activation:
        tree = read_object(text, "kernalg.Activation", ["expr", "name"])
        return cls(from_json(tree["expr"]), str(tree["name"]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the JSON text: what was derived carries functions, which do not pickle."""
        return Activation.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        if self._arrays is not None and self.name.startswith("polynomial of degree"):
            return f"Activation({self.name})"
        same = self.name == str(self.expr)
        return f"Activation({self.expr})" if same else f"Activation({self.name}: {self.expr})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle \varphi(x) = {sp.latex(self.expr)}$"


def _number(value: arb, digits: int) -> sp.Expr:
    if value.contains(0):
        return sp.S.Zero
    return to_float(value, min(digits, certain_digits(value)))


def _evaluated(expr: sp.Expr, values: Any) -> Any:
    """float64 values; floor, erfi and Dawson's function, which are not compiled, are evaluated first."""
    inner = sorted(expr.atoms(*_NOT_COMPILED), key=sp.default_sort_key)
    outermost = [e for e in inner if not any(e in other.args[0].atoms(*_NOT_COMPILED) for other in inner)]
    if not outermost:
        return elementwise(expr, (x,))(values)
    from scipy.special import dawsn, erfi

    functions = {sp.floor: np.floor, sp.erfi: erfi, dawson: dawsn}

    names = [sp.Symbol(f"inner{i}", real=True) for i in range(len(outermost))]
    columns = []
    for e in outermost:
        argument = np.asarray(_evaluated(e.args[0], values))
        columns.append(functions[e.func](argument))
    return elementwise(expr.xreplace(dict(zip(outermost, names, strict=True))), (x, *names))(values, *columns)


def _constant(value: Any, name: str) -> sp.Expr:
    number = exact_number(value, name)
    if x in number.free_symbols:
        raise DomainError(f"{name} = {number} contains x; a constant is needed (times_x() multiplies by x)")
    return number


def _joined(parts: Pieces) -> sp.Expr:
    """One expression: steps where the branches differ by constants, otherwise a Piecewise (no exp(x) - exp(x))."""
    jumps = [right - left for left, right in pairwise(parts.branches)]
    if not any(jump.has(x) for jump in jumps):
        steps = (jump * sp.Heaviside(x - t) for t, jump in zip(parts.breakpoints, jumps, strict=True))
        return sp.Add(parts.branches[0], *steps)
    cases = [(branch, x < t) for branch, t in zip(parts.branches, parts.breakpoints, strict=False)]
    return sp.Piecewise(*cases, (parts.branches[-1], True))


def _without_overflow(expr: sp.Expr) -> sp.Expr:
    """The same function for float64: log(1 + exp y) and log(cosh y) without infinite exponentials, tanh by sinh/cosh.

    Beyond |y| = 20, tanh y is 1 to the last bit of float64.
    """

    def rewritten(e: sp.Expr) -> sp.Expr:
        argument = e.args[0]
        if isinstance(e, sp.tanh):
            y = sp.Max(-20, sp.Min(20, argument))
            return sp.sinh(y) / sp.cosh(y)
        if isinstance(argument, sp.cosh):
            y = sp.Abs(argument.args[0])
            return y + sp.log(1 + sp.exp(-2 * y)) - sp.log(2)
        if isinstance(argument - 1, sp.exp):
            y = (argument - 1).args[0]
            return sp.Max(y, 0) + sp.log(1 + sp.exp(-sp.Abs(y)))
        return e

    return expr.replace(lambda e: isinstance(e, sp.tanh | sp.log), rewritten)


def _vanishes(expr: sp.Expr) -> bool:
    return all(sp.expand(b) == 0 for b in pieces(expr).branches)


def activation(formula: str | sp.Expr | Activation, **parameters: Any) -> Activation:
    """An activation from a catalogue name, a formula in x, or a SymPy expression.

    Parameters
    ----------
    formula : str or sympy.Expr
        ``"relu"``, ``"x*(1+erf(x/sqrt(2)))/2"``, ``sympy.Max(kernalg.x, 0)``.
    **parameters
        Values of the parameters (exact: ints, Fractions, SymPy numbers, strings such as ``"1/5"``; a float means its
        shortest decimal; symbols stay symbols).

    Raises
    ------
    FormulaError
        The text is neither a name of the catalogue nor a formula.
    DomainError
        A parameter is unknown or out of range.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.activation("exp(-a*x**2)", a="1/2").dual.normalized
    1/sqrt(4 - rho**2)
    """
    if isinstance(formula, Activation):
        return activation(formula.expr, **parameters) if parameters else formula
    if isinstance(formula, str):
        name = formula.strip()
        if name in catalogue.ENTRIES:
            return Activation(*catalogue.build(name, parameters))
        values = {k: exact_number(v, k) for k, v in parameters.items()}
        symbols = {"x": x, **{k: sp.Dummy(k, real=True) for k in values}}
        try:
            expr = parse(name, symbols)
        except DomainError as error:
            if name.isidentifier():
                raise catalogue.unknown_name(name) from error
            if "unknown name" in str(error):
                raise type(error)(f"{error}\n    a parameter is given by its value: activation('…', a='1/5')") from None
            raise
        return Activation(expr.subs({symbols[k]: v for k, v in values.items()}))
    if isinstance(formula, sp.Expr):
        by_name = {s.name: s for s in formula.free_symbols}
        unknown = set(parameters) - set(by_name)
        if unknown:
            raise DomainError(f"{formula} has no parameter {', '.join(sorted(unknown))}")
        return Activation(formula.subs({by_name[k]: exact_number(v, k) for k, v in parameters.items()}))
    raise DomainError(f"activation({formula!r}): give a catalogue name, a formula in x, or a SymPy expression")


def cross_dual(phi: Activation | str | sp.Expr, psi: Activation | str | sp.Expr) -> Dual:
    """E[phi(u) psi(v)] of two activations, their names or formulas.

    Non-zero means are shifts: E[phi(u + m) psi(v + m')] is ``cross_dual(phi.shifted(m), psi.shifted(m'))``.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.cross_dual("identity", "relu").expr
    c/2
    """
    left, right = activation(phi), activation(psi)
    return Dual(f"{left.name}, {right.name}", lambda: left.pieces, lambda: right.pieces)


def activations() -> list[str]:
    """Names in the catalogue, in alphabetical order.

    Examples
    --------
    >>> import kernalg as ka
    >>> {"relu", "gelu", "erf"} <= set(ka.activations())
    True
    """
    return sorted(catalogue.ENTRIES)
