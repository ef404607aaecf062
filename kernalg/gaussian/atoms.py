r"""Activations as finite sums of atoms.

.. math::  \varphi(x) = \sum_j c_j \, x^{n_j} \, e^{A_j x^2 + B_j x} \, \chi_j(x),
           \qquad \chi(x) = P(x + b + \tau W > 0), \quad W \sim N(0,1),

with :math:`\chi = 1`, a step (:math:`\tau = 0`) or a normal distribution function (:math:`\tau > 0`). A step and an
error function are the same object, a threshold on a Gaussian; only the variance of the threshold differs. So ReLU,
erf, GELU, ELU, hard-tanh and the Gaussian all travel one road. Sines and cosines are exponentials with imaginary B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy as sp

from kernalg.errors import NoClosedForm
from kernalg.gaussian.pieces import Pieces, pieces
from kernalg.symbols import normal_cdf, x

ROUTE = (
    "the class is finite sums of x^n * exp(A x^2 + B x) * {1, step, normal cdf}; "
    "without a closed form, dual.value(q1, q2, c, digits) still gives certified digits"
)
MAX_POWER = 60
MAX_ATOMS = 200


@dataclass(frozen=True, slots=True)
class Gate:
    """The factor P(sign * (x + shift + sqrt(variance) W) > 0): a step at -shift when the variance is zero."""

    shift: sp.Expr
    variance: sp.Expr
    sign: int = 1

    @property
    def is_step(self) -> bool:
        return self.variance == 0


@dataclass(frozen=True, slots=True)
class Atom:
    """coefficient * x**power * exp(quadratic x^2 + linear x) * gate."""

    coefficient: sp.Expr
    power: int = 0
    quadratic: sp.Expr = sp.S.Zero
    linear: sp.Expr = sp.S.Zero
    gate: Gate | None = None

    @property
    def shape(self) -> tuple[int, sp.Expr, sp.Expr, Gate | None]:
        return self.power, self.quadratic, self.linear, self.gate

    @property
    def expr(self) -> sp.Expr:
        smooth = self.coefficient * x**self.power * sp.exp(self.quadratic * x**2 + self.linear * x)
        if self.gate is None:
            return smooth
        argument = sp.expand(self.gate.sign * (x + self.gate.shift))
        if self.gate.is_step:
            return smooth * sp.Heaviside(argument)
        return smooth * normal_cdf(argument / sp.sqrt(self.gate.variance))


Atoms = tuple[Atom, ...]


def decompose(phi: sp.Expr) -> Atoms:
    """Write an activation as a sum of atoms.

    Raises
    ------
    NoClosedForm
        naming the factor that lies outside the class.

    Examples
    --------
    >>> from kernalg.symbols import x
    >>> import sympy as sp
    >>> [a.expr for a in decompose(sp.Max(x, 0))]
    [x*Heaviside(x)]
    """
    return from_pieces(pieces(phi))


def from_pieces(parts: Pieces) -> Atoms:
    """One branch for all x, plus, at each breakpoint, what changes there times a step that opens away from it.

    The branch is the one at 0 when the breakpoints are mirror images of each other: steps at t and -t that open
    outwards have equal tail probabilities, which then appear once, and nothing near 1 is subtracted from 1. Otherwise
    it is the one that needs fewest atoms.
    """
    branches = [_smooth(branch) for branch in parts.branches]
    points = parts.breakpoints
    centre = sum(1 for t in points if t.is_negative)
    if len(points) > 1 and all(sp.expand(s + t) == 0 for s, t in zip(points, reversed(points), strict=True)):
        return _outwards(points, branches, centre)
    candidates = sorted(range(len(branches)), key=lambda i: abs(i - centre))
    return min((_outwards(points, branches, i) for i in candidates), key=len)


def _outwards(points: tuple[sp.Expr, ...], branches: list[Atoms], base: int) -> Atoms:
    """A term of the inner branch that grows outwards keeps its step on the inside, f H(x - t) = f - f H(t - x).

    So in ELU the two full exponentials cancel and exp(x) H(-x) is left, where exp(x) - exp(x) H(x) would lose every
    digit for large q.
    """
    atoms = list(branches[base])
    for i, point in enumerate(points):
        direction, inner, outer = (1, i, i + 1) if i >= base else (-1, i + 1, i)
        known = {a.shape for a in branches[inner]}
        for a in collect((*branches[outer], *_scaled(branches[inner], -1))):
            if a.shape in known and (direction * sp.re(a.linear)).is_positive:
                atoms += (a, *multiply(_scaled((a,), -1), (_step(point, -direction),)))
            else:
                atoms += multiply((a,), (_step(point, direction),))
    return collect(atoms)


def _step(point: sp.Expr, sign: int) -> Atom:
    return Atom(sp.S.One, gate=Gate(-point, sp.S.Zero, sign))


def _smooth(expr: sp.Expr) -> Atoms:
    """Atoms of a branch that holds on a whole interval."""
    if not expr.has(x):
        return (Atom(expr),)
    if expr == x:
        return (Atom(sp.S.One, power=1),)
    if isinstance(expr, sp.Add):
        return collect(a for term in expr.args for a in _smooth(term))
    if isinstance(expr, sp.Mul):
        product: Atoms = (Atom(sp.S.One),)
        for factor in expr.args:
            product = multiply(product, _smooth(factor))
        return product
    if isinstance(expr, sp.exp):
        return _exponential(expr.args[0])
    if isinstance(expr, sp.Pow):
        base, exponent = expr.as_base_exp()
        if not base.has(x) and base.is_positive:
            return _exponential(exponent * sp.log(base))
        if exponent.is_Integer and exponent > 0:
            if exponent > MAX_POWER:
                raise NoClosedForm(f"the power {expr} is above the limit of {MAX_POWER} ({ROUTE})")
            return power(_smooth(base), int(exponent))
        raise NoClosedForm(f"{expr} is not in the class ({ROUTE})")
    if isinstance(expr, sp.sin | sp.cos | sp.sinh | sp.cosh):
        return _oscillation(expr)
    if isinstance(expr, sp.erf):
        return (*_scaled(_cdf(expr.args[0] * sp.sqrt(2), expr), 2), Atom(sp.S.NegativeOne))
    if isinstance(expr, sp.erfc):
        return (*_scaled(_cdf(expr.args[0] * sp.sqrt(2), expr), -2), Atom(sp.Integer(2)))
    if isinstance(expr, normal_cdf):
        return _cdf(expr.args[0], expr)
    raise NoClosedForm(f"{expr} is not in the class ({ROUTE})")


def _exponential(exponent: sp.Expr) -> Atoms:
    exponent = sp.expand(exponent)
    if not exponent.is_polynomial(x) or sp.degree(exponent, x) > 2:
        raise NoClosedForm(f"exp({exponent}): the exponent is not a quadratic polynomial of x ({ROUTE})")
    polynomial = sp.Poly(exponent, x)
    return (
        Atom(
            sp.exp(polynomial.coeff_monomial(1)),
            quadratic=polynomial.coeff_monomial(x**2),
            linear=polynomial.coeff_monomial(x),
        ),
    )


def _oscillation(expr: sp.Expr) -> Atoms:
    """sin, cos, sinh, cosh of a linear phase, as the sum or difference of two exponentials.

    The constant phase of a sine is split off first so that coefficients keep real generators: sin(b + ax) =
    sin b cos ax + cos b sin ax. (exp(ib) would be a complex one.)
    """
    slope, phase = _linear(expr.args[0], expr)
    if isinstance(expr, sp.sinh | sp.cosh):
        sign = 1 if isinstance(expr, sp.cosh) else -1
        return collect(
            (Atom(sp.exp(phase) / 2, linear=slope), Atom(sign * sp.exp(-phase) / 2, linear=-slope)),
        )
    on_sine, on_cosine = (sp.cos(phase), sp.sin(phase))
    if isinstance(expr, sp.cos):
        on_sine, on_cosine = -on_cosine, on_sine
    plus, minus = on_cosine / 2 - sp.I * on_sine / 2, on_cosine / 2 + sp.I * on_sine / 2
    return collect((Atom(plus, linear=sp.I * slope), Atom(minus, linear=-sp.I * slope)))


def _cdf(argument: sp.Expr, culprit: sp.Expr) -> Atoms:
    """Phi(a x + b) = P(x + b/a + W/a > 0) for a > 0; Phi(-z) = 1 - Phi(z) otherwise."""
    slope, offset = _linear(argument, culprit)
    if slope.is_positive is None:
        raise NoClosedForm(f"the sign of the slope {slope} in {culprit} is unknown; declare it positive or negative")
    gate = Gate(sp.expand(offset / slope), sp.expand(1 / slope**2))
    if slope.is_positive:
        return (Atom(sp.S.One, gate=gate),)
    return (Atom(sp.S.One), Atom(sp.S.NegativeOne, gate=gate))


def _linear(argument: sp.Expr, culprit: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    argument = sp.expand(argument)
    if not argument.is_polynomial(x) or sp.degree(argument, x) != 1:
        raise NoClosedForm(f"{culprit}: the argument is not a linear function of x ({ROUTE})")
    polynomial = sp.Poly(argument, x)
    return polynomial.coeff_monomial(x), polynomial.coeff_monomial(1)


def _scaled(atoms: Iterable[Atom], factor: int) -> Atoms:
    return tuple(replace(a, coefficient=a.coefficient * factor) for a in atoms)


def multiply(left: Atoms, right: Atoms) -> Atoms:
    """Product of two sums of atoms."""
    if len(left) * len(right) > MAX_ATOMS**2:
        raise NoClosedForm(f"the product has more than {MAX_ATOMS**2} terms ({ROUTE})")
    highest = max((a.power for a in left), default=0) + max((b.power for b in right), default=0)
    if highest > MAX_POWER:
        raise NoClosedForm(f"the power x^{highest} is above the limit of {MAX_POWER} ({ROUTE})")
    product = collect(
        Atom(
            sign * a.coefficient * b.coefficient,
            a.power + b.power,
            a.quadratic + b.quadratic,
            a.linear + b.linear,
            gate,
        )
        for a in left
        for b in right
        for sign, gate in _multiply_gates(a.gate, b.gate)
    )
    if len(product) > MAX_ATOMS:
        raise NoClosedForm(f"multiplied out it has {len(product)} terms; the limit is {MAX_ATOMS} ({ROUTE})")
    return product


def _multiply_gates(a: Gate | None, b: Gate | None) -> list[tuple[int, Gate | None]]:
    """The product of two gates as a signed sum of gates."""
    if a is None or b is None:
        return [(1, b if a is None else a)]
    if not (a.is_step and b.is_step):
        raise NoClosedForm(
            "a product of two thresholds, one of them an error function (such as erf*erf or step*erf), has no closed "
            f"form: its dual needs trivariate normal probabilities ({ROUTE})"
        )
    gap = sp.simplify(b.shift - a.shift)
    if gap.is_nonnegative is None:
        raise NoClosedForm(f"the order of the breakpoints {-a.shift} and {-b.shift} is unknown; declare assumptions")
    a_starts_right = bool(gap.is_nonnegative)  # the breakpoint of a is not left of that of b
    if a.sign == b.sign:
        return [(1, a if a_starts_right == (a.sign > 0) else b)]
    rising, falling = (a, b) if a.sign > 0 else (b, a)
    if gap == 0 or (rising is a) == a_starts_right:
        return []
    return [(1, rising), (-1, replace(falling, sign=1))]  # the indicator of the interval between the two


def power(base: Atoms, exponent: int) -> Atoms:
    """`base` to a positive integer power, by squaring."""
    result: Atoms = (Atom(sp.S.One),)
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        exponent >>= 1
        if exponent:
            base = multiply(base, base)
    return result


def rescale(atoms: Atoms, factor: sp.Expr) -> Atoms:
    """The atoms of x -> f(factor * x), factor not 0."""
    turned = 1 if factor.is_positive else -1
    return collect(
        Atom(
            a.coefficient * factor**a.power,
            a.power,
            a.quadratic * factor**2,
            a.linear * factor,
            None if a.gate is None else Gate(a.gate.shift / factor, a.gate.variance / factor**2, turned * a.gate.sign),
        )
        for a in atoms
    )


def collect(atoms: Iterable[Atom]) -> Atoms:
    """Sum the coefficients of equal shapes; drop what cancels. The order is that of the shapes, not of the input."""
    sums: dict[tuple[int, sp.Expr, sp.Expr, Gate | None], sp.Expr] = {}
    for a in atoms:
        gate = a.gate if a.gate is None else replace(a.gate, shift=constant(a.gate.shift))
        shape = (a.power, constant(a.quadratic), constant(a.linear), gate)
        sums[shape] = sums.get(shape, sp.S.Zero) + a.coefficient
    kept = []
    for shape, coefficient in sums.items():
        coefficient = constant(coefficient)
        if coefficient != 0:
            kept.append(Atom(coefficient, *shape))
    return tuple(sorted(kept, key=_order))


def _order(a: Atom) -> tuple[object, ...]:
    gate = () if a.gate is None else (a.gate.shift.sort_key(), a.gate.variance.sort_key(), a.gate.sign)
    return bool(gate), gate, a.quadratic.sort_key(), a.linear.sort_key(), a.power


def constant(value: sp.Expr) -> sp.Expr:
    """One spelling of a constant: equal constants of the class compare equal.

    Products of sines become sums (cos(1)^2 = (1 + cos 2)/2), hyperbolic functions exponentials, Phi and erfc become
    erf, and a fraction with a sum in its denominator is reduced.
    """
    if value.is_Rational or value.is_Symbol:
        return value
    if value.has(sp.sinh, sp.cosh, sp.tanh):
        value = value.rewrite(sp.exp)
    if value.has(normal_cdf, sp.erfc):
        value = value.replace(normal_cdf, lambda z: (1 + sp.erf(z / sp.sqrt(2))) / 2)
        value = value.replace(sp.erfc, lambda z: 1 - sp.erf(z))
    if value.has(sp.sin, sp.cos):
        waves = sp.expand(value.rewrite([sp.sin, sp.cos], sp.exp))
        value = waves.replace(
            lambda e: isinstance(e, sp.exp) and e.args[0].has(sp.I),
            lambda e: sp.exp(sp.re(e.args[0])) * (sp.cos(sp.im(e.args[0])) + sp.I * sp.sin(sp.im(e.args[0]))),
        )
    if any(isinstance(e, sp.Pow) and e.base.is_Add and e.exp.is_negative for e in sp.preorder_traversal(value)):
        value = sp.radsimp(value) if value.is_number else sp.cancel(value)
    return sp.expand(value)
