r"""Digits of agreement between methods that share no formula.

A dual in closed form is compared with rigorous quadrature, which knows no closed form, and with its Hermite series

.. math:: k(q_1,q_2,c)=\sum_{k\ge0}a_k(q_1)\,b_k(q_2)\,\rho^k ,

whose coefficients are one-dimensional closed forms and whose rest is at most
:math:`|\rho|^{K+1}(E f(u)^2\,E g(v)^2)^{1/2}` (Parseval, Cauchy-Schwarz). A network kernel is compared with the sum of
its Taylor series on the sphere and with the compiled Gram matrix, and its activations' duals as above.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation import numeric
from kernalg.activation.activation import Activation
from kernalg.activation.dual import Dual
from kernalg.certify.certificate import Certificate, Row
from kernalg.enclosure.balls import ball, bits_for, check_digits, enclose, precision
from kernalg.errors import DomainError, InternalError, NoClosedForm, PrecisionError
from kernalg.gaussian import panels
from kernalg.gaussian.atoms import from_pieces
from kernalg.gaussian.branches import piecewise_analytic
from kernalg.gaussian.expectation import hermite_moments
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.gaussian.series import hermite_coefficients, norm_squared, working_bits
from kernalg.gaussian.trapezoid import Factor
from kernalg.network.kernel import Kernel
from kernalg.network.profile import Profile
from kernalg.symbols import c, q1, q2, x

MAX_DIGITS = 200
MAX_POINTS = 100
# The series is summed where it needs few terms; elsewhere the certificate says that it was not.
_SERIES_CORRELATION = sp.Rational(1, 2)
_MAX_ORDER = 200
# Rounding stays orders of magnitude below this share of sqrt(K(x,x) K(y,y)); a larger difference is a mistake.
_FLOAT64_TOLERANCE = 1e-8

# (s, t, rho) stands for q1 = s t, q2 = s/t, c = s rho: rational points with rational correlation.
_POINTS = (
    ("1", "1", "1/4"),
    ("3/2", "2", "-2/5"),
    ("1/2", "1/3", "999999/1000000"),
    ("1", "1", "-9999/10000"),
    ("1/10", "3", "1/1000"),
    ("2", "5/4", "-999999999/1000000000"),
    ("4", "4", "1/3"),
    ("1/1000", "2", "9/10"),
)
# Rows of inputs in R^4; their inner products are exact in float64.
_INPUTS = np.array(
    [[1, 1, 1, 1], [1, 1, 1, 1 + 2**-9], [2, 0, 1, -1], [-1, -1, -1, -1 + 2**-9], [1 / 4, 1 / 8, 0, -1 / 16]], float
)
_PAIRS = ((0, 1), (0, 2), (0, 3), (4, 2), (0, 0), (1, 2), (4, 4), (4, 3), (1, 3), (2, 3))


@dataclass(frozen=True, slots=True)
class _Point:
    q1: sp.Rational
    q2: sp.Rational
    c: sp.Rational
    rho: sp.Rational


def certify(obj: Any, digits: int = 30, points: int = 4) -> Certificate:
    """Compare independent methods at sampled exact points.

    Parameters
    ----------
    obj : Dual, Activation, Kernel or Design
        An activation stands for its dual and its derivative dual. A kernel of a network is checked with the duals of
        its activations. A design is asked for its own comparison, of the kernel wanted with that of the activation.
    digits : int
        Decimals asked of every enclosure, from 1 to 200.
    points : int
        Sampled pairs, from 1 to 100; the first four contain correlations near 1 and -1 and unequal variances. The
        ends u = v and u = -v are added.

    Raises
    ------
    InternalError
        Two methods contradict each other; the message names the point and both values. Please report it.
    DomainError
        `obj` is something else, or nothing can be compared (dk/dc of a function with jumps).
    PrecisionError
        No comparison could be made.

    Examples
    --------
    >>> from kernalg.activation.activation import activation
    >>> certificate = certify(activation("relu").dual, digits=20)
    >>> certificate.digits
    20
    >>> certificate.worst.certified
    True
    """
    digits = check_digits(digits)
    if digits > MAX_DIGITS:
        raise DomainError(f"digits={digits}: a certificate takes from 1 to {MAX_DIGITS} digits")
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or not 1 <= points <= MAX_POINTS:
        raise DomainError(f"points={points!r}: the number of sampled points is an integer from 1 to {MAX_POINTS}")
    if callable(getattr(obj, "certify", None)):
        own: Certificate = obj.certify(digits)
        return own
    report = _Report(digits, int(points), [], [])
    if isinstance(obj, Dual):
        name = _title(obj)
        _certify_dual(obj, report)
    elif isinstance(obj, Activation):
        name = obj.name
        for dual in (obj.dual, obj.dual.derivative):
            _certify_dual(dual, report)
    elif isinstance(obj, Kernel):
        name = repr(obj)
        _certify_kernel(obj, report)
    else:
        raise DomainError(
            f"certify({type(obj).__name__}): give an activation, a dual (phi.dual, cross_dual(phi, psi)), the nngp or "
            "ntk kernel of a network, or a design"
        )
    if not any(row.certified for row in report.rows):
        raise PrecisionError(f"nothing was compared for {name}: {'; '.join(report.not_checked)}")
    return Certificate(name, digits, tuple(report.rows), tuple(dict.fromkeys(report.not_checked)))


@dataclass(frozen=True, slots=True)
class _Report:
    """What is being collected."""

    digits: int
    points: int
    rows: list[Row]
    not_checked: list[str]

    def compare(self, quantity: str, methods: tuple[str, str], at: str, values: tuple[arb, arb], scale: arb) -> None:
        """A row for two balls around one number."""
        first, second = values
        with precision(bits_for(self.digits) + 64):
            if not first.overlaps(second):
                raise InternalError(
                    f"{quantity} at {at}: {methods[0]} gives {first.str(self.digits)} and {methods[1]} "
                    f"{second.str(self.digits)}; two enclosures of one number must overlap. Please report it."
                )
            difference = abs(first - second).abs_upper()
            size = first.abs_lower().max(second.abs_lower())
            agreed = _digits(difference, size if size > 0 else scale, self.digits)
            shown = first.str(min(self.digits, 30), radius=False)
        self.rows.append(Row(quantity, *methods, at, shown, agreed, float(difference)))


def _digits(difference: arb, scale: arb, most: int) -> int:
    if difference.is_zero() or not scale > 0:
        return most if difference.is_zero() else 0
    return max(0, min(most, math.floor(float((scale / difference).log().lower()) / math.log(10))))


def _sampled() -> Iterator[_Point]:
    """The table, then a deterministic sequence that fills |rho| < 1 and scales from 1/8 to 9/2."""
    for s, t, r in _POINTS:
        yield _point(*(sp.Rational(v) for v in (s, t, r)))
    for i in count(1):
        rho = sp.Rational(618 * i % 999 - 499, 500)  # never 0: 3 divides 618 and 999, and not 499
        yield _point(sp.Rational(i % 6 + 1, 2) ** 2 / 2, sp.Rational(i % 5 + 1, i % 3 + 1), rho)


def _point(s: sp.Rational, t: sp.Rational, rho: sp.Rational) -> _Point:
    return _Point(s * t, s / t, s * rho, rho)


def _title(dual: Dual) -> str:
    kind = {"dual": "dual", "derivative": "derivative dual", "distributional": "d/dc of the dual"}[dual.kind]
    return f"{kind} of {dual.name}"


# ---------------------------------------------------------------------------------------------------------------------
# Duals


def _certify_dual(dual: Dual, report: _Report) -> None:
    title, functions = _title(dual), _functions(dual)
    if not dual.has_closed_form:
        report.not_checked.append(f"{title} has no closed form: quadrature and Hermite series only, near ±1 one method")
    ends = [] if dual.kind == "distributional" else [_point(sp.S.One, sp.S.One, sp.Integer(s)) for s in (1, -1)]
    used = [*islice(_sampled(), report.points), *ends]
    for i, point in enumerate(used):
        parameters = _parameter_values(functions, i)
        f, g = (_substituted(h, parameters) for h in functions)
        at = _admissible(point, f, g)
        values = {q1: at.q1, q2: at.q2, c: at.c, **parameters}
        where = ", ".join(f"{s} = {v}" for s, v in values.items())
        try:
            _compare_dual(dual, (f, g), at, values, where, report)
        except (DomainError, NoClosedForm, PrecisionError) as obstacle:
            report.not_checked.append(f"{title} at {where}: {obstacle}")
    if _parameters(functions):
        names = ", ".join(str(s) for s in _parameters(functions))
        report.not_checked.append(f"{title}: other values of the parameters {names} than those sampled")
    low, high = (f(v for p in used for v in (p.q1, p.q2)) for f in (min, max))
    report.not_checked.append(f"{title}: variances outside [{low}, {high}]; points between the sampled ones")
    report.not_checked.append(f"{title}: the compiled float64 code")


def _functions(dual: Dual) -> tuple[Pieces, Pieces]:
    """The functions whose product is averaged."""
    if dual.kind != "distributional":
        return dual.pieces
    if not all(numeric.is_continuous(h) for h in dual.pieces):
        raise DomainError(
            f"dk/dc of {dual.name} contains its jumps, which quadrature of f'(u) g'(v) does not see; "
            "certify the dual or its .derivative"
        )
    return dual.derivative.pieces


def _compare_dual(
    dual: Dual,
    functions: tuple[Pieces, Pieces],
    at: _Point,
    values: dict[sp.Symbol, sp.Expr],
    where: str,
    report: _Report,
) -> None:
    f, g = functions
    with precision(64):
        scale = (norm_squared(f, at.q1, 10) * norm_squared(g, at.q2, 10)).sqrt()
    quadrature = certified_expectation(f, g, at.q1, at.q2, at.c, report.digits + 2)
    if not dual.has_closed_form and (f.breakpoints or g.breakpoints) and abs(at.rho) <= _SERIES_CORRELATION:
        quadrature = _by_panels(f, g, at, quadrature, report.digits + 2)
    if dual.has_closed_form:
        closed = _closed_form(dual, at, values, report.digits + 2)
        report.compare(_title(dual), ("closed form", "quadrature"), where, (closed, quadrature), scale)
    if abs(at.rho) > _SERIES_CORRELATION:
        report.not_checked.append(f"{_title(dual)}: the Hermite series beyond |rho| = {_SERIES_CORRELATION}")
        return
    order = _series_order(at, scale, quadrature, report.digits + 2)
    if order > _MAX_ORDER:
        report.not_checked.append(f"{_title(dual)} at {where}: the Hermite series, which needs {order} terms there")
        return
    series = _hermite_sum(f, g, at, scale, order, report.digits + 2, exact=dual.has_closed_form)
    against = ("closed form", closed) if dual.has_closed_form else ("quadrature", quadrature)
    report.compare(_title(dual), (against[0], "Hermite series"), where, (against[1], series), scale)


def _closed_form(dual: Dual, at: _Point, values: dict[sp.Symbol, sp.Expr], digits: int) -> arb:
    """The formula for this point; u = v and u = -v have their own."""
    ends: dict[sp.Expr, str] = {sp.S.One: "diagonal", sp.S.NegativeOne: "antidiagonal"}
    formula = getattr(dual, ends.get(at.rho, "expr"))
    return enclose(sp.S(formula), values, digits)


def _by_panels(f: Pieces, g: Pieces, at: _Point, size: arb, digits: int) -> arb:
    """Two-dimensional quadrature, where `certified_expectation` would sum the Hermite series itself."""
    first = Factor(piecewise_analytic(f), at.q1)
    second = Factor(piecewise_analytic(g), at.q2, -1 if at.rho < 0 else 1)
    with precision(64):
        tolerance = (size.abs_upper() * arb(10) ** -digits).mid()

    def half(sign: int) -> arb:
        return (ball((1 + sign * abs(at.rho)) / 2)).sqrt()

    bits = working_bits(first, second, tolerance)
    return panels.plane(first, second, lambda: half(1), lambda: half(-1), tolerance, bits)


def _series_order(at: _Point, scale: arb, size: arb, digits: int) -> int:
    """The order that leaves a rest below 10^-digits of a value of this size (10^-digits of the scale for a 0)."""
    with precision(64):
        tolerance = size.abs_lower().max(scale * arb(10) ** -digits) * arb(10) ** -digits
        ratio = float((scale / tolerance).log()) if scale > 0 else 0.0
    return math.ceil(ratio / -math.log(abs(at.rho)))


def _hermite_sum(f: Pieces, g: Pieces, at: _Point, scale: arb, order: int, digits: int, *, exact: bool) -> arb:
    """Sum of a_k b_k rho^k for k <= order, with the bound of the rest."""
    bits = bits_for(3 * digits) + 4 * order
    with precision(bits):
        a = _coefficients(f, at.q1, order, digits, exact)
        b = a if f == g and at.q1 == at.q2 else _coefficients(g, at.q2, order, digits, exact)
        rho, total = ball(at.rho), arb(0)
        for left, right in zip(reversed(a), reversed(b), strict=True):
            total = total * rho + left * right
        return total + arb(0, (abs(rho) ** (order + 1) * scale).abs_upper())


def _coefficients(f: Pieces, q: sp.Rational, order: int, digits: int, exact: bool) -> list[arb]:
    if exact:
        return [ball(sp.S(a)) for a in hermite_moments(from_pieces(f), order, q)]
    return hermite_coefficients(f, q, order, 2 * digits)


def _admissible(point: _Point, f: Pieces, g: Pieces) -> _Point:
    """The point, with its covariance matrix scaled down where exp(A x^2) would have infinite moments at it."""
    try:
        growth = max((atom.quadratic for h in (f, g) for atom in from_pieces(h)), default=sp.S.Zero)
    except NoClosedForm:
        return point
    largest = max(point.q1, point.q2)
    if growth <= 0 or 8 * growth * largest <= 1:
        return point
    shrink = sp.Rational(1, sp.ceiling(8 * growth * largest))
    return _Point(point.q1 * shrink, point.q2 * shrink, point.c * shrink, point.rho)


def _parameters(functions: tuple[Pieces, Pieces]) -> list[sp.Symbol]:
    found = {s for h in functions for e in (*h.branches, *h.breakpoints) for s in e.free_symbols}
    return sorted(found - {x}, key=str)


def _parameter_values(functions: tuple[Pieces, Pieces], i: int) -> dict[sp.Symbol, sp.Expr]:
    """Exact values that the parameters' assumptions allow, others at every point."""
    values: dict[sp.Symbol, sp.Expr] = {}
    for j, s in enumerate(_parameters(functions)):
        size = sp.Integer(1 + (i + j) % 4) if s.is_integer else sp.Rational(3 + (2 * i + 3 * j) % 7, 5)
        either_sign = not s.is_positive and not s.is_nonnegative
        values[s] = -size if s.is_negative or s.is_nonpositive or (either_sign and i % 2) else size
    return values


def _substituted(f: Pieces, values: dict[sp.Symbol, sp.Expr]) -> Pieces:
    if not values:
        return f
    return Pieces(tuple(p.subs(values) for p in f.breakpoints), tuple(sp.S(b).subs(values) for b in f.branches))


# ---------------------------------------------------------------------------------------------------------------------
# Kernels of networks


def _certify_kernel(kernel: Kernel, report: _Report) -> None:
    profile = kernel.profile()  # refuses free parameters
    for layer in dict.fromkeys(layer for layer in kernel.layers if isinstance(layer, Activation)):
        for dual in (layer.dual, layer.dual.derivative) if kernel.kind == "ntk" else (layer.dual,):
            _certify_dual(dual, report)
    try:
        _compare_taylor(kernel, profile, report)
        _compare_gram(kernel, report)
    except NoClosedForm as obstacle:
        report.not_checked.append(f"the layers composed, because one has no closed form ({obstacle})")


def _compare_taylor(kernel: Kernel, profile: Profile, report: _Report) -> None:
    """On the sphere: the recursion at a ball against the sum of its power series, whose coefficients are >= 0."""
    one = kernel.enclosure(1, 1, 1, digits=20)
    for at in (sp.Rational(1, 4), sp.Rational(-2, 5)):
        terms = math.ceil((report.digits + 5) * math.log(10) / -math.log(abs(at))) + 2

        def taylor_sum(rho: arb, terms: int = terms) -> arb:
            coefficients = list(profile.series(terms))
            if any(a < 0 for a in coefficients):
                raise InternalError(f"{kernel} has a negative Taylor coefficient on the sphere. Please report it.")
            total = arb(0)
            for a in reversed(coefficients):
                total = total * rho + a
            # sum of a_k |rho|^k over k >= terms is at most |rho|^terms K(1)
            return total + arb(0, (abs(rho) ** terms * one).abs_upper())

        series = enclose(taylor_sum, [at], report.digits)
        value = kernel.enclosure(1, 1, at, digits=report.digits + 2)
        report.compare(
            kernel.kind.upper(), ("recursion in balls", "Taylor series"), f"rho = {at}", (value, series), one
        )
    report.not_checked.append(f"{kernel.kind.upper()}: the Taylor series beyond |rho| = 2/5, and off the sphere")


def _compare_gram(kernel: Kernel, report: _Report) -> None:
    """Entries of the compiled Gram matrix against balls at the exact inner products of the rows."""
    gram = kernel(_INPUTS)
    rows = [[Fraction(float(v)) for v in row] for row in _INPUTS]

    def product(i: int, j: int) -> sp.Rational:
        value = sum((a * b for a, b in zip(rows[i], rows[j], strict=True)), start=Fraction(0)) / len(rows[i])
        return sp.Rational(value.numerator, value.denominator)

    for i, j in _PAIRS[: report.points]:
        at = product(i, i), product(j, j), product(i, j)
        value = kernel.enclosure(*at, digits=report.digits)
        with precision(128):
            v1, v2 = (kernel.enclosure(v, v, v, digits=20) for v in at[:2])
            scale = (v1 * v2).sqrt()
            error = abs(value - arb(float(gram[i, j]))).abs_upper() if np.isfinite(gram[i, j]) else arb.pos_inf()
        where = ", ".join(f"{s} = {v}" for s, v in zip(("q1", "q2", "c"), at, strict=True))
        if not error <= scale * _FLOAT64_TOLERANCE:
            raise InternalError(
                f"{kernel} at {where}: balls give {value.str(20)} and the compiled Gram matrix {gram[i, j]!r}. "
                "Please report it."
            )
        methods = ("recursion in balls", "compiled Gram entry")
        shown = value.str(min(report.digits, 30), radius=False)
        report.rows.append(
            Row(kernel.kind.upper(), *methods, where, shown, _digits(error, scale, 16), float(error), False)
        )
    report.not_checked.append(
        f"{kernel.kind.upper()}: other inputs than the {min(report.points, len(_PAIRS))} pairs of the float64 rows"
    )
