r"""How eigenvalues on the sphere fall at large degrees: from the singularities of the profile at 1 and -1.

A profile that is, near :math:`\rho=1`, a smooth function plus :math:`c\,(1-\rho)^\nu` (and likewise near -1, with
:math:`c'` and :math:`\nu'`) has

.. math:: \lambda_k\simeq c\,C_\nu\,k^{-(d-1)-2\nu}+(-1)^k\,c'\,C_{\nu'}\,k^{-(d-1)-2\nu'},\qquad
          C_\nu=\frac{2^{\nu+d-2}\,\Gamma(d/2)\,\Gamma(\nu+\frac{d-1}2)}{\sqrt\pi\,\Gamma(-\nu)} .

*Networks.* Along the layers go the leading terms of K and T in :math:`u=1\mp\rho`: value, slope, and the leading power
that is not an integer. The dual of f at variance q has, at covariance :math:`c=q-w`, the power

.. math:: \sum_t J_t^2\,p_q(t)\,(-1)^{j+1}\,\frac{2^{2j}\,j!}{\sqrt\pi\,(2j+1)!}\,w^{j+1/2},

j being the lowest order at which a derivative of f jumps, :math:`J_t` the jumps and :math:`p_q` the density of
N(0, q); at c = -q + w, f meets its mirror image. (With :math:`f\sim J\,x_+^i/i!` and :math:`g\sim J'x_+^k/k!` at t,
i + k even, :math:`\int f(x)g(x+\delta)\,dx` has the term :math:`(-1)^{i+1}JJ'|\delta|^n/(2\,n!)`, n = i+k+1, and
:math:`\delta=v-u` has the variance 2w.) References: Bietti & Bach, *Deep equals shallow for ReLU networks in kernel
regimes* (2021); Bach, JMLR 18 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_series

from kernalg.activation.activation import Activation
from kernalg.activation.dual import Dual
from kernalg.activation.numeric_map import numeric_map
from kernalg.activation.smoothness import MAX_JUMP_ORDER
from kernalg.checks import whole_number
from kernalg.enclosure.balls import ball, ball_function, bits_for, check_digits, precision, to_float
from kernalg.errors import DomainError
from kernalg.gaussian import lattice, logarithm
from kernalg.gaussian.pieces import Pieces
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense
from kernalg.network.recursion import antidiagonal_function, diagonal_function, pair_function
from kernalg.spectrum.closed_forms import profile_formula
from kernalg.spectrum.spaces import Sphere
from kernalg.symbols import q1, rho, x

_KINKED = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise, sp.Heaviside, sp.floor)
_SERIES_ORDERS = (4, 8, 14)


@dataclass(frozen=True, slots=True)
class SingularTerm:
    """`coefficient` * (1 - rho)^`exponent` at rho = 1, or of (1 + rho) at rho = -1 (`at`)."""

    at: int
    exponent: sp.Rational
    coefficient: sp.Float


@dataclass(frozen=True, slots=True)
class EigenvalueDecay:
    """The leading behaviour of the eigenvalues on a sphere at large degrees; made by `eigenvalue_decay`.

    Parameters
    ----------
    d : int
    terms : tuple of SingularTerm
        The leading singular term at 1 and at -1, where there is one.
    exponent : Rational or None
        lambda_k is of the order of k^-exponent; None: it falls faster than any power.
    even, odd : Float
        lambda_k k^exponent tends to this for even and for odd k; 0 where the terms at 1 and -1 cancel, and lambda_k
        falls faster than k^-exponent (or is 0).
    """

    d: int
    terms: tuple[SingularTerm, ...]
    exponent: sp.Rational | None
    even: sp.Expr
    odd: sp.Expr

    def __call__(self, k: Any) -> Any:
        """The leading term at the degrees `k` (from 1): the eigenvalues of the singular terms alone.

        The relative error falls like a power of 1/k (the next singular term). Where `even` or `odd` is 0, so is this.
        """
        degrees = [whole_number("k", j, 1) for j in np.atleast_1d(np.asarray(k)).ravel().tolist()]
        with precision(128):
            values = [float(self._leading(j)) for j in degrees]
        return values[0] if np.ndim(k) == 0 else np.array(values).reshape(np.shape(k))

    def _leading(self, k: int) -> arb:
        if self.exponent is None or (self.odd if k % 2 else self.even) == 0:
            return arb(0)
        return sum(
            (_power_eigenvalue(ball(t.coefficient), ball(t.exponent), t.at, self.d, k) for t in self.terms), arb(0)
        )

    def __repr__(self) -> str:
        if self.exponent is None:
            return f"<eigenvalues on S^{self.d - 1} fall faster than any power of the degree>"
        even, odd = (sp.Float(v, 6) if v else 0 for v in (self.even, self.odd))
        constant = f"{even}" if even == odd else f"({even} for even k, {odd} for odd k)"
        return f"<eigenvalues on S^{self.d - 1} ~ {constant} * k^-{self.exponent}>"

    def _repr_latex_(self) -> str:
        if self.exponent is None:
            return rf"$\lambda_k = o(k^{{-s}})\ \text{{for every}}\ s \quad (S^{{{self.d - 1}}})$"
        even, odd = (sp.latex(sp.Float(v, 6) if v else sp.Integer(0)) for v in (self.even, self.odd))
        cases = rf"\begin{{cases}}{even} & k\ \text{{even}}\\ {odd} & k\ \text{{odd}}\end{{cases}}"
        constant = even if even == odd else cases
        return rf"$\lambda_k \sim {constant}\, k^{{-{sp.latex(self.exponent)}}} \quad (S^{{{self.d - 1}}})$"


def eigenvalue_decay(K: Any, space: Sphere, digits: int = 30) -> EigenvalueDecay:
    """Exponent and constants of the fall of the eigenvalues on the sphere at large degrees.

    Parameters
    ----------
    K : Kernel, DotProductKernel or SymPy expression in rho
        Networks of any depth whose activations are piecewise smooth; formulas whose singularities are powers.
    space : Sphere
    digits : int
        Decimals of the constants.

    Returns
    -------
    EigenvalueDecay
        Its `exponent`, and constants `even` and `odd`; called, the leading term at a degree. It holds for degrees well
        above d: in high dimension the eigenvalues of small degrees say nothing of it.

    Raises
    ------
    DomainError
        If the singularities are not powers, or are not known.

    Examples
    --------
    >>> import kernalg as ka
    >>> decay = eigenvalue_decay(ka.mlp("relu", depth=3, w_var=2).ntk, Sphere(3))
    >>> decay
    <eigenvalues on S^2 ~ (1.00292 for even k, 0.906935 for odd k) * k^-3>
    >>> decay.exponent, f"{decay(100):.3g}"
    (3, '9.88e-07')
    >>> eigenvalue_decay(ka.mlp("erf", depth=2).nngp, Sphere(10))
    <eigenvalues on S^9 fall faster than any power of the degree>
    """
    if not isinstance(space, Sphere):
        raise DomainError(f"space={space!r}: the decay with the degree is known on Sphere(d)")
    digits = check_digits(digits)
    with precision(2 * bits_for(digits) + 64):
        found = []
        for at in (1, -1):
            power = _network_power(K, at) if isinstance(K, Kernel) else _formula_power(profile_formula(K), at)
            if power is not None:
                found.append((at, *power))
        return _decay(space.d, found, digits)


def _decay(d: int, found: list[tuple[int, sp.Rational, arb]], digits: int) -> EigenvalueDecay:
    terms = tuple(SingularTerm(at, nu, to_float(a, digits)) for at, nu, a in found)
    if not terms:
        return EigenvalueDecay(d, (), None, sp.S.Zero, sp.S.Zero)
    lowest = min(nu for _, nu, _ in found)
    limits = []
    for parity in (0, 1):
        limit = arb(0)
        for at, nu, a in found:
            if nu == lowest:
                limit += (-1 if at < 0 and parity else 1) * a * _constant(ball(nu), d)
        limits.append(sp.S.Zero if limit.contains(0) else to_float(limit, digits))
    leading = tuple(t for t in terms if t.exponent == lowest)
    return EigenvalueDecay(d, leading, d - 1 + 2 * lowest, *limits)


def _constant(nu: arb, d: int) -> arb:
    half = arb(d) / 2
    return arb(2) ** (nu + d - 2) * half.gamma() * (nu + half - arb(1) / 2).gamma() * (-nu).rgamma() / arb.pi().sqrt()


def _power_eigenvalue(a: arb, nu: arb, at: int, d: int, k: int) -> arb:
    """lambda_k of a (1 -+ rho)^nu, exactly."""
    ratio = ((k - nu).lgamma() - (k + nu + d - 1).lgamma()).exp()
    return (-1 if at < 0 and k % 2 else 1) * a * _constant(nu, d) * ratio


# ---------------------------------------------------------------------------------------------------------------------
# Networks


@dataclass(frozen=True, slots=True)
class _Germ:
    """value + slope * u + coefficient * u^exponent at u = 0: what the leading powers of the next layer depend on."""

    value: arb
    slope: arb
    exponent: sp.Rational | None = None  # None: smooth
    coefficient: arb = field(default_factory=arb)

    def scaled(self, a: arb, b: arb) -> _Germ:
        return _Germ(a * self.value + b, a * self.slope, self.exponent, a * self.coefficient)

    def with_powers(self, powers: Iterable[tuple[sp.Rational, arb]]) -> _Germ:
        """The same with the lowest of these powers."""
        powers = list(powers)
        if not powers:
            return replace(self, exponent=None, coefficient=arb(0))
        lowest = min(nu for nu, _ in powers)
        return replace(self, exponent=lowest, coefficient=sum((a for nu, a in powers if nu == lowest), arb(0)))

    def powers(self, factor: arb) -> list[tuple[sp.Rational, arb]]:
        return [] if self.exponent is None else [(self.exponent, factor * self.coefficient)]


def _network_power(K: Kernel, at: int) -> tuple[sp.Rational, arb] | None:
    """(exponent, coefficient) of the leading singular power of u = 1 - rho or 1 + rho, None if there is none."""
    variance, correlation = arb(1), at  # 1, -1, or 0 for anything between
    k, t = _Germ(arb(at), arb(-at)), _Germ(arb(0), arb(0))
    for layer in K.layers:
        if isinstance(layer, Dense):
            w, b = ball(layer.w_var), ball(layer.b_var)
            variance, k = w * variance + b, k.scaled(w, b)
            t = _sum(k, t.scaled(w, arb(0)))
            if correlation == -1 and layer.b_var != 0:
                correlation = 0
            continue
        if not isinstance(layer, Activation):
            raise DomainError(f"{layer.name} is given by a formula; the singular powers of its layers are not known")
        new = _through(layer, False, variance, k, correlation)
        # A network without tangent kernel below this layer (T = 0) has none above it.
        t = _product(t, _through(layer, True, variance, k, correlation)) if K.kind == "ntk" else t
        k, variance = new, diagonal_function(layer, False)(variance)
        if correlation == -1:
            correlation = {"odd": -1, "even": 1}.get(str(layer.parity), 0)
    result = t if K.kind == "ntk" else k
    if result.exponent is None:
        return None
    if result.coefficient.contains(0):
        raise DomainError(f"the leading singular powers of {K!r} at rho = {at} cancel; what is left is not known")
    return result.exponent, result.coefficient


def _sum(a: _Germ, b: _Germ) -> _Germ:
    one = arb(1)
    return _Germ(a.value + b.value, a.slope + b.slope).with_powers([*a.powers(one), *b.powers(one)])


def _product(a: _Germ, b: _Germ) -> _Germ:
    slope = a.value * b.slope + a.slope * b.value
    return _Germ(a.value * b.value, slope).with_powers([*a.powers(b.value), *b.powers(a.value)])


def _through(layer: Activation, derivative: bool, q: arb, k: _Germ, correlation: int) -> _Germ:
    """The dual of phi, or of its derivative, of a covariance with this germ."""
    if correlation == 0:
        series = pair_function(layer, derivative)(q, q, arb_series([k.value, 1], prec=2))
        value, slope = series[0], series[1]
        return _Germ(value, slope * k.slope).with_powers(k.powers(slope))
    dual = layer.dual.derivative if derivative else layer.dual
    ends = diagonal_function if correlation == 1 else antidiagonal_function
    value = ends(layer, derivative)(q)
    power = _dual_power(dual.pieces[0].merged(), q, correlation)
    if power is not None and power[0] < 1:
        slope = arb(0)  # infinite; the power hides every effect of it
    elif derivative:
        slope = _end_value(dual.derivative, q, correlation)
    else:
        slope = ends(layer, True)(q)
    result = _Germ(value, slope * k.slope)
    # w = q -+ K, led by u or by the power of K if that is lower.
    sign = -correlation
    lead, size = sp.S.One, sign * k.slope
    if k.exponent is not None and k.exponent < 1:
        lead, size = k.exponent, sign * k.coefficient
    powers = k.powers(slope) if not slope.is_zero() else []
    if power is not None:
        nu, a = power
        powers.append((lead * nu, a * size ** ball(nu)))
    return result.with_powers([(nu, a) for nu, a in powers if not nu.is_Integer])


def _end_value(dual: Dual, q: arb, correlation: int) -> arb:
    if not dual.has_closed_form:
        values = numeric_map(dual)
        return (values.diagonal if correlation == 1 else values.antidiagonal)(q)
    return ball_function(dual.diagonal if correlation == 1 else dual.antidiagonal, (q1,))(q)


def _dual_power(parts: Pieces, q: arb, correlation: int) -> tuple[sp.Rational, arb] | None:
    """(exponent, coefficient) of the lowest singular power of the dual of f in w = q -+ c."""
    if lattice.recognise(parts) is not None or logarithm.recognise(parts) is not None:
        raise DomainError(f"{parts} has infinitely many jumps or a logarithm; its singular powers are not known")
    jumps = {
        t: _first_jump(right - left, t)
        for t, (left, right) in zip(parts.breakpoints, pairwise(parts.branches), strict=True)
    }
    pairs = []
    for t, (i, jump) in jumps.items():
        if correlation == 1:
            pairs.append((t, i, i, jump * jump))
            continue
        for s, (k, other) in jumps.items():
            if sp.expand(s + t) == 0:
                pairs.append((t, i, k, -((-1) ** k) * jump * other))
    if not pairs:
        return None
    n = min(i + k + 1 for _, i, k, _ in pairs)
    if n % 2 == 0:
        raise DomainError(f"jumps of derivatives of different orders at t and -t in {parts}: not known at rho = -1")
    total = arb(0)
    for t, i, k, product in pairs:
        if i + k + 1 == n:
            density = (-(ball(t) ** 2) / (2 * q)).exp() / (2 * arb.pi() * q).sqrt()
            total += (-1) ** (i + 1) * ball(product) * density
    factor = arb(2) ** n * (arb(n + 1) / 2).gamma() / (2 * math.factorial(n) * arb.pi().sqrt())
    if total.contains(0):
        raise DomainError(f"the jumps of {parts} cancel at rho = -1; what is left is not known")
    return sp.Rational(n, 2), total * factor


def _first_jump(gap: sp.Expr, t: sp.Expr) -> tuple[int, sp.Expr]:
    """The lowest order at which a derivative of `gap` is not 0 at t, and its value."""
    for order in range(MAX_JUMP_ORDER + 1):
        jump = sp.simplify(gap.subs(x, t))
        if jump.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
            break
        if jump != 0:
            return order, jump
        gap = sp.diff(gap, x)
    raise DomainError(f"no derivative that jumps by a finite amount was found at x = {t}; only jumps are known")


# ---------------------------------------------------------------------------------------------------------------------
# Formulas


def _formula_power(expr: sp.Expr, at: int) -> tuple[sp.Rational, arb] | None:
    """The same of a formula in rho, by its series in the square root of 1 -+ rho."""
    t = sp.Symbol("t", positive=True)
    if expr.free_symbols - {rho}:
        raise DomainError(f"{expr} holds symbols besides rho; put numbers for them")
    if expr.has(*_KINKED):
        raise DomainError(f"{expr} may have kinks inside (-1, 1); only singularities at rho = 1 and -1 are looked for")
    for arc in expr.atoms(sp.acos):
        expr = expr.xreplace({arc: sp.pi / 2 - sp.asin(arc.args[0])})
    # arcsin(1 - t^2), opened: SymPy does not expand it at its branch point.
    opened = {}
    for arc in expr.atoms(sp.asin):
        end = sp.simplify(arc.args[0].subs(rho, at))
        if end in (1, -1):
            opened[arc] = end * (sp.pi / 2 - 2 * sp.asin(sp.sqrt((1 - end * arc.args[0]) / 2)))
    local = sp.powdenest(sp.simplify(expr.xreplace(opened).subs(rho, at * (1 - t**2))), force=True)
    if not local.has(t) or sp.simplify(local - local.subs(t, -t)) == 0:
        return None
    for order in _SERIES_ORDERS:
        try:
            series = sp.expand(sp.series(local, t, 0, order).removeO())
        except (NotImplementedError, ValueError, TypeError, AttributeError, sp.PoleError):
            break
        powers = [term.as_coeff_exponent(t) for term in sp.Add.make_args(series) if term.has(t)]
        if any(a.has(t) for a, _ in powers):
            break
        singular: dict[sp.Expr, sp.Expr] = {}
        for a, p in powers:
            if not (p / 2).is_Integer:
                singular[p] = singular.get(p, sp.S.Zero) + a
        for p in sorted(singular):
            a = sp.simplify(singular[p])
            if a != 0:
                return sp.Rational(p) / 2, ball(a)
    raise DomainError(f"the singularity of {expr} at rho = {at} is not a power of 1 - rho or 1 + rho that SymPy finds")
