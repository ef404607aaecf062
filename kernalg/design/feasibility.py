r"""Whether a network has the kernel, with the reason.

A one-hidden-layer network has :math:`K=\sum a_k\rho^k` iff every :math:`b_k^2` that the a_k ask for is >= 0
(Schoenberg's condition; Simon, Anand, DeWeese 2022), rho being the correlation of the hidden pre-activations. One
negative coefficient refutes. That all infinitely many are >= 0 is proved by

* looking at all of them (polynomials),
* the form of the formula (`DotProductKernel.nonnegative`), after the bias has been put in,
* the network the kernel comes from: its own correlation is :math:`\alpha\rho+\beta` with alpha, beta >= 0 whenever its
  first bias is, relative to the weights, at least the one asked for, and series with coefficients >= 0 compose,
* a closed form: an activation that is known to have this kernel.

Otherwise the answer is None: no negative coefficient among those that were computed.

The set of feasible biases is an interval from 0: with t = b_var/w_var the condition says that all derivatives of K are
>= 0 at the cosine -t, and then they are on all of [-t, 1). (Not if only the hidden layer is trained: a_0 = K(-t) must
be 0, which one bias at most gives.) A formula is taken at its word at -t, also beyond the cosines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp
from flint import arb

from kernalg.design.architecture import Architecture
from kernalg.design.coefficients import coefficients, is_plain, working_balls
from kernalg.design.target import Target
from kernalg.enclosure.balls import ball, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense
from kernalg.symbols import rho

_BITS = 256
_DECIDING_BITS = (256, 1024, 4096)
_SEARCHED = (32, 128, 512, 2048)
_SEARCHED_SLOWLY = (32, 128)
_SHOWN = 5
_BIAS_TERMS, _BIAS_STEPS = 200, 40
_DIGITS_SHOWN = 15
_EXACTLY_SHOWN = 24


@dataclass(frozen=True)
class FeasibilityCertificate:
    """Why a kernel can or cannot be realised.

    Parameters
    ----------
    feasible : bool or None
        None: not decided; the first `checked` coefficients are not negative.
    variable : sympy.Expr
        The correlation rho of the hidden layer as a formula in the cosine (written rho): the variable of the series.
    negative : tuple of pairs
        The first negative coefficients of the kernel as (index, value), at most five.
    checked : int
        How many coefficients were looked at.
    reason : str
    largest_b_var : number or None
        If a smaller bias helps: the largest that works with this w_var, exact or a float (of a finite search).
    """

    feasible: bool | None
    variable: sp.Expr
    negative: tuple[tuple[int, sp.Expr], ...]
    checked: int
    reason: str
    largest_b_var: sp.Expr | float | None = None

    def __repr__(self) -> str:
        verdict = {True: "feasible", False: "infeasible", None: "undecided"}[self.feasible]
        return f"{verdict}: {self.reason}"


def certificate_of(target: Target, architecture: Architecture) -> FeasibilityCertificate:
    """Decide, and say why. (With frozen hidden biases, `target` is the `radial_mean` of the kernel.)"""
    if target.polynomial is not None:
        return _of_polynomial(target, architecture)
    try:
        return _of_series(target, architecture)
    except DomainError as error:
        if architecture.b_var == 0:
            raise
        return FeasibilityCertificate(False, architecture.correlation, (), 0, str(error))


def _of_series(target: Target, architecture: Architecture) -> FeasibilityCertificate:
    if constant := _seen_constant(target, architecture):
        return _constant_refusal(architecture, constant)
    quick = target.profile.evaluation == "formula" and is_plain(target, architecture)
    searched = _SEARCHED if quick else _SEARCHED_SLOWLY
    found = _negative_start(target, architecture) or _search(target, architecture, searched[0])
    proof = None if found else _proof(target, architecture)
    if proof is not None:
        return FeasibilityCertificate(True, architecture.correlation, (), searched[0], proof)
    for terms in searched[1:]:
        found = found or _search(target, architecture, terms)
    if found:
        return _refusal(target, architecture, found, terms=searched[0] if found[0][0] < searched[0] else searched[-1])
    excess = _excess(target, architecture, searched[-1])
    if excess:
        return FeasibilityCertificate(False, architecture.correlation, (), searched[-1], excess)
    return FeasibilityCertificate(
        None,
        architecture.correlation,
        (),
        searched[-1],
        f"the first {searched[-1]} coefficients of {_series_name(architecture)} are not negative, and no rule proves "
        "it for all of them; the design is right up to the degree that is used",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Polynomials: all coefficients


def _of_polynomial(target: Target, architecture: Architecture) -> FeasibilityCertificate:
    values = list(coefficients(target, architecture, 0, 0).values)
    negative = []
    unsure = []
    rounded = 0
    for k, (a, square) in enumerate(zip(values, architecture.squares(values), strict=True)):
        sign = _sign(square)
        if sign is None:
            unsure.append(f"{k}: {square}")
        elif sign < 0 and _is_rounding(target, architecture, k, square):
            rounded += 1
        elif sign < 0:
            negative.append((k, a))
    if not architecture.counts_readout and _sign(values[0]):
        return _constant_refusal(architecture, values[0])
    if negative:
        return _refusal(target, architecture, negative, len(values))
    if unsure:
        raise DomainError(
            f"the sign of the squared Hermite coefficient b_k^2 is not known for k = {'; '.join(unsure)}: put numbers "
            "in for the symbols"
        )
    reason = f"all {len(values)} squared Hermite coefficients are >= 0"
    if rounded:
        reason += f" ({rounded} negative within the rounding of the floats given: they count as 0)"
    return FeasibilityCertificate(True, architecture.correlation, (), len(values), reason)


def _sign(value: sp.Expr) -> int | None:
    """-1, 0 or 1; None if symbols leave it open."""
    if value.is_zero:
        return 0
    if value.free_symbols:
        value = sp.factor(value)
        return 1 if value.is_positive else -1 if value.is_negative else 0 if value.is_zero else None
    if value.is_Rational:
        return int(sp.sign(value))
    for bits in _DECIDING_BITS:
        with precision(bits):
            number = ball(value)
            if not number.contains(0):
                return 1 if number > 0 else -1
    return 0  # no finite precision tells 0 from less: this is the line drawn, at 1e-1200


def rounding_bounds(target: Target, architecture: Architecture) -> list[Fraction]:
    """How far each a_k may be off because Taylor coefficients were given as floats; empty if none was."""
    if target.rounding is None:
        return []
    made = sp.Poly(0, rho)
    positive = (architecture.variance * rho + architecture.b_var) / architecture.w_var
    for j, unit in enumerate(target.rounding):
        made += sp.Rational(unit.numerator, unit.denominator) * sp.Poly(positive, rho) ** j
    return [Fraction(int(a.p), int(a.q)) for a in reversed(made.all_coeffs())]


def _is_rounding(target: Target, architecture: Architecture, k: int, square: sp.Expr) -> bool:
    """Whether a negative b_k^2 may be 0 but for the rounding of the floats that were given."""
    bounds = rounding_bounds(target, architecture)
    if k >= len(bounds):
        return False
    allowed = sp.Rational(bounds[k].numerator, bounds[k].denominator) / architecture.readout[0]
    return bool(abs(square) * architecture.factor(k) <= allowed)


# ---------------------------------------------------------------------------------------------------------------------
# Series


def _negative_start(target: Target, architecture: Architecture) -> list[tuple[int, sp.Expr]]:
    """a_0, if it is less than the readout bias: by very little, perhaps, since both are a user's numbers."""
    c = architecture.readout[1] if architecture.counts_readout else sp.S.Zero
    for bits in _DECIDING_BITS:
        first = working_balls(target, architecture, 1, bits)[0]
        with precision(bits):
            start = first - ball(c)
        if not start.contains(0):
            break
    if not start < 0:
        return []
    exact = _exact_values(target, architecture, 0)
    return [(0, _shown(first) if exact is None else exact[0])]


def _search(target: Target, architecture: Architecture, terms: int) -> list[tuple[int, sp.Expr]]:
    """The first a_k that make a b_k^2 certainly negative, looking at `terms` of them."""
    found = _negative_balls(target, architecture, terms)
    exact = _exact_values(target, architecture, found[-1][0]) if found else None
    return [(k, _shown(a) if exact is None else exact[k]) for k, a in found]


def _negative_balls(target: Target, architecture: Architecture, terms: int) -> list[tuple[int, arb]]:
    balls = working_balls(target, architecture, terms, _BITS)
    found = []
    with precision(_BITS):
        for k, square in enumerate(architecture.squares(balls, ball)):
            if square < 0:
                found.append((k, balls[k]))
                if len(found) == _SHOWN:
                    break
    return found


def _exact_values(target: Target, architecture: Architecture, last: int) -> tuple[sp.Expr, ...] | None:
    if target.formula is None or last > _EXACTLY_SHOWN:
        return None
    made = coefficients(target, architecture, last + 1, _DIGITS_SHOWN)
    return made.values if made.exact else None


def _shown(value: arb) -> sp.Expr:
    try:
        return to_float(value, _DIGITS_SHOWN)
    except PrecisionError:
        return sp.Float(float(value), 6)


def _excess(target: Target, architecture: Architecture, terms: int) -> str | None:
    """Why coefficients >= 0 cannot add up to K(1): they are more already. (The series has a pole before rho = 1.)"""
    balls = working_balls(target, architecture, terms, _BITS)
    with precision(_BITS):
        whole, total = target.profile.ball(arb(1)), arb(0)
        for k, a in enumerate(balls):
            total += a
            if total > whole:
                return (
                    f"the coefficients of {_series_name(architecture)} as far as that of rho^{k} add up to more than "
                    "K at equal inputs, so the series does not reach them"
                )
    return None


def _proof(target: Target, architecture: Architecture) -> str | None:
    """Why all squares are >= 0, b_0^2 being known to be; or None."""
    if architecture.b_var == 0 and target.profile.nonnegative:
        return "the form of the kernel proves that its Taylor coefficients are >= 0"
    if isinstance(target.kernel, Kernel) and _has_more_bias(target.kernel, architecture):
        return (
            "a network's kernel has coefficients >= 0 in the correlation of its first layer, which is a mixture "
            "of rho and a constant >= 0"
        )
    formulas = [t.formula for t in (target, target.source) if t is not None and t.formula is not None]
    for formula in formulas:
        shifted = formula.subs(rho, architecture.cosine)
        for form in (shifted, sp.expand_log(shifted, force=True), sp.powsimp(sp.expand(shifted, power_base=False))):
            if dot_product_kernel(form).nonnegative:
                return "the form of the kernel, with the bias put in, proves that its Taylor coefficients are >= 0"
    return None


def _has_more_bias(kernel: Kernel, architecture: Architecture) -> bool:
    first = kernel.layers[0]
    if not isinstance(first, Dense) or first.w_var == 0:
        return False
    return bool((first.b_var * architecture.w_var - architecture.b_var * first.w_var).is_nonnegative)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals


def _series_name(architecture: Architecture) -> str:
    if architecture.b_var == 0:
        return "its series in rho"
    return f"its series in the hidden correlation rho, where the cosine is {architecture.cosine}"


def _seen_constant(target: Target, architecture: Architecture) -> sp.Expr | None:
    """a_0, where only the hidden layer is trained and a_0 is not 0."""
    if architecture.counts_readout:
        return None
    first = working_balls(target, architecture, 1, _BITS)[0]
    return None if first.contains(0) else _shown(first)


def _constant_refusal(architecture: Architecture, constant: sp.Expr) -> FeasibilityCertificate:
    return FeasibilityCertificate(
        False,
        architecture.correlation,
        ((0, constant),),
        1,
        f"the constant coefficient is {constant}, and with trained='hidden' it is always 0: the gradients of the "
        "hidden layer do not see the mean of the activation. Train the readout too",
    )


def _refusal(
    target: Target, architecture: Architecture, negative: list[tuple[int, sp.Expr]], terms: int
) -> FeasibilityCertificate:
    listed = ", ".join(f"of rho^{k} is {a}" for k, a in negative[:_SHOWN])
    reason = f"in {_series_name(architecture)}, the coefficient {listed}"
    k, a = negative[0]
    c_var = architecture.readout[1]
    if k == 0 and c_var != 0 and architecture.counts_readout and _sign(a) in (0, 1):
        reason += f", less than the readout bias variance {c_var}"
        if len(negative) == 1:
            reason += f"; the largest that works is {a}"
        return FeasibilityCertificate(False, architecture.correlation, tuple(negative[:_SHOWN]), terms, reason)
    bias = None
    numeric = not (architecture.b_var.free_symbols | architecture.w_var.free_symbols)
    if architecture.b_var != 0 and architecture.counts_readout and numeric:
        bias = largest_bias(target, architecture)
    if bias is not None:
        at_most = "" if isinstance(bias, sp.Expr) else "at most "
        reason += f". The largest b_var that works with w_var = {architecture.w_var} is {at_most}{_readable(bias)}"
    return FeasibilityCertificate(False, architecture.correlation, tuple(negative[:_SHOWN]), terms, reason, bias)


def _readable(bias: sp.Expr | float) -> str:
    if isinstance(bias, float) or len(str(bias)) < 40:
        return f"{bias:.6g}" if isinstance(bias, float) else str(bias)
    return f"{float(bias):.12g}"


def largest_bias(target: Target, architecture: Architecture) -> sp.Expr | float | None:
    """The largest b_var at which the kernel is feasible with this w_var; None if not even 0 is.

    Exact for polynomials with rational coefficients: the largest real root of the derivatives of K below 0. Otherwise
    a bisection on the first 200 coefficients, which is an upper bound.
    """
    without = replace(architecture, b_var=sp.S.Zero)
    if _certainly_negative(target, without, _BIAS_TERMS):
        return None
    polynomial = target.polynomial
    if polynomial is not None and all(a.is_Rational for a in polynomial.all_coeffs()):
        return _exact_largest_bias(polynomial, architecture)
    return _bisected(target, architecture)


def _exact_largest_bias(polynomial: sp.Poly, architecture: Architecture) -> sp.Expr:
    """K - c_var and all derivatives are >= 0 from the largest of their real roots on (none is beyond 0)."""
    at = sp.S.NegativeInfinity
    constant = architecture.readout[1] if architecture.counts_readout else sp.S.Zero
    derivative = polynomial - constant
    while derivative.degree() > 0:
        roots = [r for r in sp.real_roots(derivative) if r <= 0]
        at = sp.Max(at, *roots) if roots else at
        derivative = derivative.diff(rho)
    return -at * architecture.w_var


def _bisected(target: Target, architecture: Architecture) -> float:
    """The bias ratio at which one of the first coefficients turns negative (upper bound of the largest feasible)."""
    low, high = Fraction(0), Fraction(int(sp.ceiling(architecture.b_var / architecture.w_var)) or 1)
    for _ in range(_BIAS_STEPS):
        middle = (low + high) / 2
        tried = replace(architecture, b_var=sp.Rational(middle.numerator, middle.denominator) * architecture.w_var)
        if _certainly_negative(target, tried, _BIAS_TERMS):
            high = middle
        else:
            low = middle
    return float(high) * float(architecture.w_var)


def _certainly_negative(target: Target, architecture: Architecture, terms: int) -> bool:
    try:
        if target.polynomial is not None:
            values = list(coefficients(target, architecture, 0, 0).values)
            return any((_sign(b) or 0) < 0 for b in architecture.squares(values))
        return bool(_negative_balls(target, architecture, terms))
    except DomainError:  # singular at the centre of the expansion
        return True
