r"""Which family a kernel belongs to, proved.

Recognition goes by the ratios of exact Taylor coefficients, for even and odd indices apart: they give the family and
its parameters (`kernalg.design.kernel_families`), the last of them the amplitude, and the first ones may be exceptions.
Then the *identity* of the two formulas is proved, because equality of finitely many coefficients is no proof:
`is_identically_zero`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from math import isqrt

import sympy as sp
from flint import acb, arb, arb_mat, arb_series

from kernalg.design.closed_forms import ClosedForm, Half, variants
from kernalg.design.identity import Ring, in_exponentials, is_identically_zero, number_sign
from kernalg.design.kernel_families import DAWSON, ERROR_FUNCTION, EXPONENTIAL, Family
from kernalg.enclosure.balls import ball_function, precision
from kernalg.errors import DomainError, KernalgError, NoClosedForm
from kernalg.expansion.power_series import exact_taylor
from kernalg.network.dot_product import dot_product_kernel
from kernalg.symbols import rho

TERMS = 24  # Taylor coefficients looked at; the last WINDOW of each parity identify the family
WINDOW = 6
MOST_TERMS_OF_A_COEFFICIENT = 16
LONGEST = 3000  # nodes of a formula that is looked at


def closed_forms(sigma: sp.Expr | str, only_proved: bool = True) -> tuple[ClosedForm, ...]:
    r"""Activations whose NNGP kernel at unit variance is the formula `sigma`, for all periodic signs with a formula.

    Parameters
    ----------
    sigma : Expr or str
        In `kernalg.rho`: sum_k b_k^2 rho^k, without biases and readout factors.
    only_proved : bool
        Leave out what agrees in all Taylor coefficients computed but was not proved.

    Returns
    -------
    tuple of ClosedForm
        The activation with all signs plus first, then from mild to wild growth. Reflections phi(-z) and -phi are not
        listed, nor are single signs flipped (phi - 2 b_k h_k). Empty when no family fits.

    Raises
    ------
    DomainError
        `sigma` has symbols other than rho.

    Examples
    --------
    >>> from kernalg.symbols import rho
    >>> for form in closed_forms(sp.exp(2*(rho - 1))):
    ...     print(form.activation, form.signs, form.growth, sep="   ")
    exp(sqrt(2)*x - 2)   +   exp(sqrt(2)*z)
    sqrt(2)*sin(sqrt(2)*x + pi/4)   ++--   bounded
    sin(sqrt(2)*x) + exp(-2)*cosh(sqrt(2)*x)   +++-   exp(sqrt(2)*z)
    cos(sqrt(2)*x) + exp(-2)*sinh(sqrt(2)*x)   ++-+   exp(sqrt(2)*z)
    """
    sigma = _checked(sigma)
    if sigma.is_polynomial(rho):
        return _of_polynomial(sp.Poly(sigma, rho))
    if not (_is_short(sigma) and _promising(sigma)):
        return ()
    coefficients = _exact_taylor(sigma, TERMS)
    if coefficients is None:
        return ()
    halves = _halves(coefficients)
    if halves is None:
        return ()
    even, odd = halves
    proved = is_identically_zero(sigma - even.kernel() - odd.kernel(), derivatives=TERMS)
    return variants(even, odd, proved) if proved or not only_proved else ()


def nngp_of_ntk(theta: sp.Expr | str) -> sp.Expr | None:
    r"""The NNGP kernel of the unit-variance network without biases whose NTK is `theta`: (1/rho) int_0^rho theta.

    Parameters
    ----------
    theta : Expr
        In `kernalg.rho`.

    Returns
    -------
    Expr or None
        None when no formula was found. It is tried among the families first, then for sums of polynomials times
        exponentials.

    Examples
    --------
    >>> from kernalg.symbols import rho
    >>> nngp_of_ntk((1 + 2*rho)*sp.exp(2*rho))
    exp(2*rho)
    >>> nngp_of_ntk(sp.exp(2*(rho - 1)))
    (exp(2*rho) - 1)*exp(-2)/(2*rho)
    """
    theta = _checked(theta)
    if theta.is_polynomial(rho):
        return sp.expand(sp.integrate(theta, (rho, 0, rho)) / rho)
    if not _is_short(theta):
        return None
    if _promising(theta, tangent=True):
        coefficients = _exact_taylor(theta, TERMS)
        halves = None if coefficients is None else _halves([a / (k + 1) for k, a in enumerate(coefficients)])
        if halves is not None:
            kernel = halves[0].kernel() + halves[1].kernel()
            if is_identically_zero(theta - sp.diff(rho * kernel, rho), derivatives=TERMS):
                return _tidy(kernel)
    return _exponential_average(theta)


def _checked(kernel: sp.Expr | str) -> sp.Expr:
    kernel = sp.Integer(kernel) if isinstance(kernel, int) else kernel
    kernel = dot_product_kernel(kernel).expr if isinstance(kernel, str) else kernel
    if not isinstance(kernel, sp.Expr):
        raise DomainError(f"{kernel!r} is not a formula; give a text or a SymPy expression in kernalg.rho")
    if kernel.free_symbols - {rho}:
        raise DomainError(f"{kernel} has the symbols {kernel.free_symbols}; give numbers for all but kernalg.rho")
    return kernel


def _is_short(kernel: sp.Expr) -> bool:
    """No spelling of a family is long; formulas of deep networks are, and nothing is to be found in them."""
    return len(list(islice(sp.preorder_traversal(kernel), LONGEST + 1))) <= LONGEST


def _of_polynomial(polynomial: sp.Poly) -> tuple[ClosedForm, ...]:
    halves = []
    for parity in (0, 1):
        terms = sorted((k, a) for (k,), a in polynomial.terms() if k % 2 == parity and a != 0)
        if any(number_sign(a) < 0 for _, a in terms):
            return ()
        halves.append(Half(parity, exceptions=tuple(terms)))
    return variants(halves[0], halves[1], proved=True)


# ---------------------------------------------------------------------------------------------------------------------
# From coefficients to families


def _halves(coefficients: list[sp.Expr]) -> tuple[Half, Half] | None:
    if any(number_sign(a) < 0 for a in coefficients):
        return None
    even, odd = _half(coefficients, 0), _half(coefficients, 1)
    return None if even is None or odd is None else (even, odd)


def _half(a: list[sp.Expr], parity: int) -> Half | None:
    """The family of the coefficients of one parity; None when there is none."""
    indices = range(parity, len(a), 2)
    window = indices[-WINDOW:]
    if all(a[k] == 0 for k in window):
        return Half(parity, exceptions=tuple((k, a[k]) for k in indices if a[k] != 0))
    if any(a[k] == 0 for k in window):
        return None
    squares = [sp.radsimp(a[k + 2] / a[k]) * (k + 1) * (k + 2) for k in window[:-1]]
    last = squares[-1]
    roots = [_rational_root(sp.radsimp(square / last)) for square in squares]
    if any(r is None for r in roots):
        return None
    for family in _families(parity, list(window[:-1]), roots, sp.sqrt(last)):  # type: ignore[arg-type]
        if not family.is_square_summable:
            continue
        own = family.squares(len(a))
        amplitude = sp.radsimp(a[window[-1]] / own[window[-1]])
        wrong = tuple((k, a[k]) for k in indices if number_sign(a[k] - amplitude * own[k]) != 0)
        if all(k < window[0] for k, _ in wrong):
            return Half(parity, family, amplitude, wrong)
    return None


def _families(parity: int, ks: list[int], r: list[Fraction], unit: sp.Expr) -> Iterator[Family]:
    """Families with sqrt((k+1)(k+2) a_{k+2}/a_k) = unit * r[i] at k = ks[i], a rational function of k."""
    if all(value == r[0] for value in r):
        yield Family(EXPONENTIAL, parity, unit * r[0])
    slope = (r[1] - r[0]) / 2
    if slope > 0 and all(value == r[0] + slope * (k - ks[0]) for k, value in zip(ks, r, strict=True)):
        yield from _chain(parity, unit * slope, r[0] / slope - ks[0], None)
    # r_k (k + p) = u (k + 2 + p): linear in p, u and u p.
    solved = _solved([[r[i], -ks[i] - 2, -1] for i in range(3)], [-ks[i] * r[i] for i in range(3)])
    if solved is not None and solved[1] > 0:
        p, u, _ = solved
        if all(value * (k + p) == u * (k + 2 + p) for k, value in zip(ks, r, strict=True)):
            yield Family(EXPONENTIAL, parity, unit * u, shift=sp.Rational(p))
    # r_k (k + p) = s (k + j)(k + 2 + p): linear in p, s, s (j + 2 + p) and s j (2 + p).
    solved = _solved([[r[i], -(ks[i] ** 2), -ks[i], -1] for i in range(4)], [-ks[i] * r[i] for i in range(4)])
    if solved is not None and solved[1] > 0:
        p, s, m, _ = solved
        j = m / s - 2 - p
        if all(value * (k + p) == s * (k + j) * (k + 2 + p) for k, value in zip(ks, r, strict=True)):
            yield from _chain(parity, unit * s, j, sp.Rational(p))


def _chain(parity: int, s: sp.Expr, order: Fraction, shift: sp.Expr | None) -> Iterator[Family]:
    if order.denominator != 1 or abs(order) > 12 or (1 - s).is_negative:
        return
    j = int(order)
    if (j - parity) % 2:
        yield Family(ERROR_FUNCTION, parity, s, j, shift)
    elif j >= 1:
        yield Family(DAWSON, parity, s, j, shift)


def _solved(rows: Sequence[Sequence[Fraction | int]], right: Sequence[Fraction | int]) -> list[Fraction] | None:
    """The solution of a small rational system, None when it is singular."""
    m = [[Fraction(v) for v in row] + [Fraction(b)] for row, b in zip(rows, right, strict=True)]
    n = len(m)
    for i in range(n):
        pivot = next((k for k in range(i, n) if m[k][i] != 0), None)
        if pivot is None:
            return None
        m[i], m[pivot] = m[pivot], m[i]
        m[i] = [v / m[i][i] for v in m[i]]
        for k in range(n):
            if k != i and m[k][i] != 0:
                m[k] = [v - m[k][i] * w for v, w in zip(m[k], m[i], strict=True)]
    return [row[-1] for row in m]


def _rational_root(value: sp.Expr) -> Fraction | None:
    if not value.is_Rational:
        value = sp.nsimplify(sp.simplify(value)) if value.is_number and sp.count_ops(value) < 40 else value
    if not value.is_Rational or value.p <= 0:
        return None
    p, q = isqrt(value.p), isqrt(value.q)
    return Fraction(p, q) if p * p == value.p and q * q == value.q else None


def _promising(kernel: sp.Expr, tangent: bool = False) -> bool:
    """Whether the ratios look right to many digits, before anything is done exactly.

    sqrt((k+1)(k+2) a_{k+2}/a_k) is a Moebius function of k plus a line: four points give it, the fifth decides.
    """
    with precision(400, TERMS):
        a = _taylor_balls(kernel)
        if a is None:
            return False
        if tangent:
            a = [v / (k + 1) for k, v in enumerate(a)]
        return all(_looks_right([a[k] for k in range(parity, TERMS, 2)][-WINDOW:], parity) for parity in (0, 1))


def _taylor_balls(kernel: sp.Expr) -> list[arb] | None:
    """Taylor coefficients at 0; where 0 is a removable singularity, from a circle, with an estimated error.

    None when they cannot be had, which is where the kernel is not analytic.
    """
    try:
        f = ball_function(kernel, [rho])
    except KernalgError:
        return None
    try:
        series = f(arb_series([0, 1], prec=TERMS))
        if all(series[k].is_finite() for k in range(TERMS)):
            return [series[k] for k in range(TERMS)]
    except (KernalgError, ZeroDivisionError, ValueError):
        pass
    points, radius = 256, arb(1) / 2
    circle = [acb.exp_pi_i(acb(2 * i) / points) for i in range(points)]
    try:
        values = [acb(f(radius * z, analytic=True)) for z in circle]
    except (KernalgError, ZeroDivisionError, ValueError):
        return None
    if not all(v.is_finite() for v in values):
        return None
    estimate = arb(0, arb(10) ** -30)
    return [
        sum((v * circle[-i * k % points] for i, v in enumerate(values)), start=acb(0)).real / points / radius**k
        + estimate
        for k in range(TERMS)
    ]


def _looks_right(a: list[arb], parity: int) -> bool:
    if all(v.contains(0) for v in a):
        return True
    if not all(v > 0 for v in a):
        return False
    start = TERMS - 2 + parity - 2 * (WINDOW - 1)
    ks = [start + 2 * i for i in range(WINDOW - 1)]
    r = [(b / v * (k + 1) * (k + 2)).sqrt() for k, v, b in zip(ks, a, a[1:], strict=False)]
    # r_k (k + p) = A k^2 + B k + C has a solution (p, A, B, C) at five points: one determinant of minors vanishes.
    rows = [[r[i] * ks[i], r[i], arb(ks[i]) ** 2, arb(ks[i]), arb(1)] for i in range(5)]
    return bool(arb_mat(rows).det().contains(0))


# ---------------------------------------------------------------------------------------------------------------------
# Exact Taylor coefficients


def _exact_taylor(expr: sp.Expr, terms: int) -> list[sp.Expr] | None:
    """The first exact Taylor coefficients at 0, None where they grow too long or do not exist."""
    try:
        return exact_taylor(expr, rho, 0, terms)
    except (NoClosedForm, DomainError):
        return None


# ---------------------------------------------------------------------------------------------------------------------
# Averages outside the families


def _exponential_average(theta: sp.Expr) -> sp.Expr | None:
    """(1/rho) int_0^rho of a sum of terms rho^n exp(c rho + d); None when there is another term."""
    expanded = in_exponentials(theta)
    rates = {e: Ring.rate(e.args[0]) for e in expanded.atoms(sp.exp) if e.has(rho)}
    if None in rates.values() or not expanded.subs({e: sp.Dummy() for e in rates}).is_polynomial(rho):
        return None
    expanded = sp.expand(expanded)
    total = sp.S.Zero
    for term in sp.Add.make_args(expanded):
        rate = sp.S.Zero
        rest = term
        for e in term.atoms(sp.exp):
            if not e.has(rho):
                continue
            own = Ring.rate(e.args[0])
            if own is None:
                return None
            rate += own
            rest = rest / sp.exp(own * rho)
        rest = sp.powsimp(sp.expand(rest, power_exp=True))
        rest = sp.simplify(rest) if rest.has(sp.exp) else rest
        if not rest.is_polynomial(rho):
            return None
        total += _primitive(sp.Poly(rest, rho), rate)
    return sp.factor_terms(sp.simplify(total) / rho)


def _primitive(poly: sp.Poly, rate: sp.Expr) -> sp.Expr:
    """int_0^rho poly(t) exp(rate t) dt, by parts."""
    if rate == 0:
        integral = sp.integrate(poly.as_expr(), rho)
        return integral - integral.subs(rho, 0)
    inner, derivative, sign = sp.S.Zero, poly, 1
    power = rate
    while not derivative.is_zero:
        inner += sign * derivative.as_expr() / power
        derivative, sign, power = derivative.diff(rho), -sign, power * rate
    return inner * sp.exp(rate * rho) - inner.subs(rho, 0)


def _tidy(kernel: sp.Expr) -> sp.Expr:
    """The shortest of a few spellings; cosh and sinh of one size become an exponential."""
    options = [kernel, sp.expand(kernel)]
    if kernel.has(sp.cosh, sp.sinh):
        options.append(sp.powsimp(sp.expand(in_exponentials(kernel))))
    return min((sp.factor_terms(option) for option in options), key=sp.count_ops)
