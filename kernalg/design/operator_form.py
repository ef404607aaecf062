r"""The activation for an NTK from the one for the NNGP kernel, without its Hermite coefficients.

One hidden layer has Theta = (rho Sigma)', so the activation with the NTK of coefficients a_k is
:math:`(1+N)^{-1/2}\varphi`, where phi has the NNGP kernel of the same coefficients and N h_k = k h_k. By
:math:`(1+k)^{-1/2} = \tfrac{2}{\sqrt\pi}\int_0^\infty e^{-(1+k)y^2}\,dy` that is an average over the
Ornstein-Uhlenbeck semigroup,

.. math:: \varphi_{NTK}(z) = \frac{2}{\sqrt\pi}\int_0^\infty e^{-y^2}\,(U_{y^2}\varphi)(z)\,dy, \qquad
    (U_s\varphi)(z) = E\,\varphi\bigl(e^{-s}z + \sqrt{1-e^{-2s}}\,Z\bigr),

and the engine has U_s phi in closed form.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import sympy as sp
from flint import acb, arb

from kernalg.activation.activation import Activation
from kernalg.enclosure.balls import (
    BallFunction,
    ball,
    ball_function,
    bits_for,
    certain_digits,
    check_digits,
    has_digits,
    precision,
    to_float,
)
from kernalg.enclosure.integrals import integral
from kernalg.errors import DomainError, NoClosedForm, PrecisionError
from kernalg.formula import exact_number
from kernalg.gaussian.growth import tail_majorant
from kernalg.gaussian.pieces import Pieces, pieces
from kernalg.symbols import dawson, x

y = sp.Symbol("y", positive=True)
_MEAN = sp.Symbol("m", real=True)
_VARIANCE = sp.Symbol("v", positive=True)


def gaussian_average(phi: sp.Expr, mean: sp.Expr, variance: sp.Expr) -> sp.Expr:
    r"""E phi(mean + sqrt(variance) Z) as a formula.

    Outside the engine's class there is one more way: with phi(z) = F(iz), the average is that of F at mean i m and
    variance -v, because both are analytic in m and v. So erfi goes by erf, and exp(a z^2) by exp(-a z^2).

    Parameters
    ----------
    phi : Expr
        In `kernalg.x`.

    Raises
    ------
    NoClosedForm
        Neither phi nor F lies in the engine's class.

    Examples
    --------
    >>> m, v = sp.symbols("m v", positive=True)
    >>> gaussian_average(sp.sin(2*x), m, v)
    exp(-2*v)*sin(2*m)
    >>> gaussian_average(sp.erfi(x/2), m, v)
    erfi(sqrt(2)*m/(2*sqrt(2 - v)))
    """
    average = _average(phi)
    return average.subs({_MEAN: mean, _VARIANCE: variance}, simultaneous=True)


def _average(phi: sp.Expr) -> sp.Expr:
    terms = sp.Add.make_args(sp.expand(phi))
    rotated = sp.Add(*(t for t in terms if t.has(sp.erfi, dawson)))
    others = sp.Add(*(t for t in terms if not t.has(sp.erfi, dawson)))
    average = sp.S.Zero if others == 0 else _by_engine(others)
    return average if rotated == 0 else average + _average_by_rotation(rotated)


def _average_by_rotation(phi: sp.Expr) -> sp.Expr:
    """Even part and i times the odd part of F are real, so the engine can have them."""
    phi = phi.replace(dawson, lambda t: dawson(t).rewrite(sp.erfi))
    mirrored = phi.subs(x, -x)
    total = sp.S.Zero
    for part, factor in ((sp.expand(phi + mirrored) / 2, sp.S.One), (sp.expand(phi - mirrored) / 2, sp.I)):
        if part == 0:
            continue
        rotated = part.subs(x, -sp.I * x).replace(sp.erfi, lambda t: -sp.I * sp.erf(sp.expand(sp.I * t)))
        rotated = sp.expand(factor * rotated)
        if rotated.has(sp.I, sp.erfi):
            raise NoClosedForm(f"{part} has no closed Gaussian average: at imaginary arguments it is not in the class")
        average = _of_rotated(rotated).rewrite(sp.erf)
        back = average.subs({_MEAN: sp.I * _MEAN, _VARIANCE: -_VARIANCE}, simultaneous=True)
        total += back.replace(sp.erf, lambda t: sp.I * sp.erfi(sp.expand(-sp.I * t))) / factor
    total = sp.expand(total)
    if total.has(sp.I):
        raise NoClosedForm(f"{phi} has no closed Gaussian average that is written without the imaginary unit")
    return total


def _of_rotated(f: sp.Expr) -> sp.Expr:
    """The average of f; if need be by that of f(x/4): for a large A the engine asks exp(A x^2) for a small variance."""
    try:
        return _by_engine(f)
    except NoClosedForm:
        return _by_engine(f.subs(x, x / 4)).subs({_MEAN: 4 * _MEAN, _VARIANCE: 16 * _VARIANCE}, simultaneous=True)


def _by_engine(phi: sp.Expr) -> sp.Expr:
    return Activation(phi.subs(x, x + _MEAN)).hermite(0, q=_VARIANCE)[0]


def ntk_activation(phi: sp.Expr) -> sp.Expr:
    r"""(1 + N)^{-1/2} phi as an integral over y = `kernalg.design.operator_form.y`.

    Parameters
    ----------
    phi : Expr
        An activation in `kernalg.x` for unit variance. Its coefficients b_k become b_k/sqrt(1 + k), so the NTK of the
        result has the coefficients of the NNGP kernel of `phi`.

    Returns
    -------
    Expr
        2/sqrt(pi) times a `sympy.Integral`.

    Raises
    ------
    NoClosedForm
        The Gaussian average of `phi` has no formula.

    Examples
    --------
    >>> ntk_activation(sp.sin(x))
    2*Integral(exp(-1/2)*exp(-y**2)*exp(exp(-2*y**2)/2)*sin(x*exp(-y**2)), (y, 0, oo))/sqrt(pi)
    """
    _refuse_parameters(phi)
    decay = sp.exp(-(y**2))
    average = gaussian_average(phi, decay * x, 1 - sp.exp(-2 * y**2))
    return 2 / sp.sqrt(sp.pi) * sp.Integral(sp.expand(decay * average), (y, 0, sp.oo))


def ntk_activation_value(phi: sp.Expr, z: Any, digits: int = 30) -> sp.Float:
    """((1 + N)^{-1/2} phi)(z) to `digits` certified decimals.

    Examples
    --------
    >>> ntk_activation_value(sp.exp(sp.sqrt(2)*x - 2), 1, digits=20)
    0.56375887508062106630
    """
    digits = check_digits(digits)
    return to_float(ntk_activation_enclosure(phi, z, digits), digits)


def ntk_activation_enclosure(phi: sp.Expr, z: Any, digits: int = 30) -> arb:
    r"""A ball of relative radius at most 10^-digits around ((1 + N)^{-1/2} phi)(z).

    The integral over y is certified on [eps, Y]. Beyond Y the average is enclosed for all y at once (it has nearly
    forgotten z); below eps as well, where it is analytic, and otherwise (phi has kinks or jumps) by a majorant of
    \|phi\|.

    Parameters
    ----------
    phi : Expr
        An activation in `kernalg.x` for unit variance.
    z : exact number
        The point.
    digits : int
        Decimals asked for.

    Raises
    ------
    NoClosedForm
        The Gaussian average of `phi` has no formula.
    PrecisionError
        The digits were not reached.
    """
    _refuse_parameters(phi)
    digits = check_digits(digits)
    point = exact_number(z, "z")
    if point.free_symbols or not point.is_real:
        raise DomainError(f"z = {z} is not a real number; the formula itself is ntk_activation(phi)")
    if point == 0 and sp.expand(phi + phi.subs(x, -x)) == 0:
        return arb(0)
    average = ball_function(_average(phi), (_MEAN, _VARIANCE))
    parts = pieces(phi)
    value = arb.nan()
    for asked in (digits, 2 * digits + 20, 4 * digits + 60):
        with precision(bits_for(2 * asked + 30)):
            value = _value(average, parts, point, asked)
            if has_digits(value, digits) or (value.contains(0) and value.abs_upper() < arb(10) ** -(2 * digits + 50)):
                return value
    raise PrecisionError(
        f"((1 + N)^(-1/2) phi)({z}) was asked to {digits} digits and reached {certain_digits(value)} "
        f"({value.str(10)}); ask for fewer digits or move z away from a zero"
    )


def _value(average: BallFunction, parts: Pieces, point: sp.Expr, digits: int) -> arb:
    z = ball(point)

    def arguments(t: Any) -> tuple[Any, Any]:
        return z * (-t * t).exp(), -(-2 * t * t).expm1()

    def integrand(t: acb, analytic: bool) -> acb:
        mean, variance = arguments(t)
        return acb(average(acb(mean), acb(variance), analytic=analytic)) * (-t * t).exp()

    end = sp.Integer(2 + int((2.3026 * (digits + 15)) ** 0.5))
    # m between 0 and z exp(-end^2), v between 1 - exp(-2 end^2) and 1.
    last = (-(ball(end) ** 2)).exp()
    far = average((z * last).union(arb(0)), (1 - last * last).union(arb(1)))
    if not far.is_finite():
        raise PrecisionError(
            "the average of phi over a Gaussian of unit variance is infinite, or was not enclosed, and "
            "(1 + N)^(-1/2) phi is made of it; a phi that grows like exp(A x^2) needs A < 1/2"
        )
    small = arb(10) ** -(digits + 10)
    with precision(bits_for(digits)):
        near = average(*map(acb, arguments(acb(arb(0, 0.01), arb(0, 0.01)))), analytic=True)
    regular = acb(near).is_finite()
    start = sp.S.Zero if regular else sp.Rational(1, 10 ** (digits + 12))
    body = integral(integrand, start, end, digits=digits + 5, absolute=small)
    head = arb(0)
    if not regular:
        bound = ball(start) * _bound(parts, z, 2 * ball(start) ** 2)
        head = arb(0, bound.abs_upper())
    tail = far * (ball(end)).erfc() * arb.pi().sqrt() / 2
    return (head + body + tail) * 2 / arb.pi().sqrt()


def _bound(parts: Pieces, z: arb, variance: arb) -> arb:
    """An upper bound of E |phi(m + sqrt(v) Z)| for all |m| <= |z| and v <= `variance`.

    A ball around phi where |x| <= X; beyond X, A t^p exp(B t + D t^2) <= A ceil(p)! exp((B + 1) t + D t^2) for t >= 1,
    and E exp(b X + D X^2) is a formula.
    """
    points = [ball(t) for t in parts.breakpoints]
    reach = max([abs(z).upper(), *(abs(t).upper() for t in points)], key=float).ceil() + 1
    edges = [-reach, *points, reach]
    total = arb(0)
    for branch, (left, right) in zip(parts.branches, pairwise(edges), strict=True):
        total += abs(ball_function(branch, (x,))(left.union(right)))
    size = abs(z).upper()
    for branch, side in ((parts.branches[0], -1), (parts.branches[-1], 1)):
        majorant = tail_majorant(branch, side, reach)
        b, d = (majorant.linear + 1).max(arb(0)), majorant.quadratic.max(arb(0))
        narrowed = 1 - 2 * d * variance
        if not narrowed > 0:
            raise PrecisionError(f"{branch} grows too fast for a Gaussian of variance {variance.str(5)}")
        moment = ((d * size**2 + b * size + b**2 * variance / 2) / narrowed).exp() / narrowed.sqrt()
        total += 2 * majorant.factor * arb(int(sp.factorial(sp.ceiling(majorant.power)))) * moment
    if not total.is_finite():
        raise PrecisionError("no bound of the activation near the point was found")
    return total.upper()


def _refuse_parameters(phi: sp.Expr) -> None:
    if not isinstance(phi, sp.Expr):
        raise DomainError(f"{phi!r} is not a formula; give a SymPy expression in kernalg.x (activation.expr)")
    if phi.free_symbols - {x}:
        raise DomainError(f"{phi} has the symbols {phi.free_symbols - {x}}; give numbers for all but kernalg.x")
