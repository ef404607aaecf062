r"""How much the kernel of one hidden layer of n neurons fluctuates: n Var, to any digits.

With hidden pre-activations u, v of variances q1, q2 and covariance c, readout weights of variance V and everything
trained, one neuron adds to the empirical tangent kernel

.. math:: t = V\bigl(\varphi(u)\varphi(v) + c\,\nu^2\varphi'(u)\varphi'(v)\bigr),\qquad \nu\sim N(0,1),

(c = w_var x.x'/d + b_var is the kernel of the first layer's parameters; a readout bias adds a constant, no noise). The
neurons are independent, so that n Var is the variance of t. With :math:`E\nu^4=3`,

.. math:: n\,\mathrm{Var} = V^2\bigl(E[\varphi^2\varphi_2^2] + 2c\,E[\varphi\varphi'\varphi_2\varphi_2']
          + 3c^2E[\varphi'^2\varphi_2'^2] - (E[\varphi\varphi_2] + c\,E[\varphi'\varphi_2'])^2\bigr).

All five expectations are duals: of phi, phi', phi^2, phi phi' and phi'^2. For the kernel of the Gaussian process (the
last hidden layer's features) only the terms without phi' remain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_poly
from numpy.typing import ArrayLike

from kernalg.activation.activation import Activation, activation
from kernalg.activation.dual import Dual
from kernalg.checks import FloatArray, real_array
from kernalg.enclosure.balls import ball, bits_for, check_digits, has_digits, negligible, precision, to_float
from kernalg.errors import DomainError, NoClosedForm, PrecisionError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.formula import exact_number
from kernalg.symbols import x

Neuron = Activation | HermiteSeries

KINDS = ("ntk", "nngp")
# Up to so many points closed forms are evaluated with balls (some milliseconds each), beyond them in compiled float64
# (seconds to compile, then nothing). Without a closed form a ball takes up to a second, float64 a second for all.
_FEW, _FEW_WITHOUT_CLOSED_FORM = 400, 3
_FLOAT_DIGITS = 16


def as_neuron(phi: Any) -> Neuron:
    """`phi` as an `Activation` or a `HermiteSeries`; names, formulas and SymPy become activations."""
    if hasattr(phi, "neuron"):
        raise DomainError(
            "a design has variances of its own: give its .neuron (the activation), and its variances as w_var, b_var "
            "and readout"
        )
    neuron = phi if isinstance(phi, HermiteSeries) else activation(phi)
    symbols = neuron.expr.free_symbols - {x}
    if symbols:
        names = ", ".join(sorted(map(str, symbols)))
        raise DomainError(f"the activation has the free parameters {names}; give them values before asking for numbers")
    return neuron


def breakpoints(phi: Neuron) -> tuple[sp.Expr, ...]:
    """Where phi or a derivative jumps; nothing for a staircase, which has no last jump."""
    if not isinstance(phi, Activation) or phi.expr.has(sp.floor):
        return ()
    return phi.breakpoints


def check_kind(kind: str) -> str:
    """`kind`, or DomainError."""
    if kind not in KINDS:
        raise DomainError(f"kind={kind!r}: 'ntk' (the tangent kernel) or 'nngp' (the Gaussian process) is needed")
    return kind


def layer_variances(w_var: Any, b_var: Any, readout: Any) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """(w_var, b_var, v_var, c_var) as exact non-negative numbers, w_var + b_var positive."""
    if not isinstance(readout, tuple | list) or len(readout) != 2:
        raise DomainError(f"readout={readout!r}: give (w_var, b_var) of the last layer, for instance (1, 0)")
    names = ("w_var", "b_var", "the readout's w_var", "the readout's b_var")
    values = tuple(exact_number(v, n) for v, n in zip((w_var, b_var, *readout), names, strict=True))
    for value, name in zip(values, names, strict=True):
        if value.free_symbols or not value.is_nonnegative:
            raise DomainError(f"{name} = {value}: a variance is a number, not negative")
    if values[0] + values[1] == 0:
        raise DomainError("w_var + b_var = 0: the hidden layer sees nothing; one of them must be positive")
    if values[2] + values[3] == 0:
        raise DomainError("the variances of the readout are both 0: so is the kernel; one of them must be positive")
    return values[0], values[1], values[2], values[3]


def tangent_kernel_variance(
    phi: Any,
    cosine: Any,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    kind: str = "ntk",
    digits: int | None = None,
) -> Any:
    r"""n Var of the kernel of a random network with one hidden layer of n neurons, at two inputs of norm^2 = d.

    All parameters are drawn from N(0, 1) in the NTK parameterisation and, for ``kind="ntk"``, all are trained. The
    standard error of a mean over R networks of width n is ``sqrt(tangent_kernel_variance(…) / (n R))``.

    Parameters
    ----------
    phi : Activation, HermiteSeries, name or formula
    cosine : number or array of numbers in [-1, 1]
        x.x'/d.
    w_var, b_var : exact numbers
        Of the hidden layer.
    readout : pair of exact numbers
        Of the last layer. Its bias variance adds nothing.
    kind : {"ntk", "nngp"}
        The tangent kernel, or the kernel of the features (the Gaussian process given the first layer).
    digits : int, optional
        Certified digits of each value, as SymPy numbers. Without it, float64.

    Returns
    -------
    float or (…) float64 array; with `digits` a SymPy number or an object array of them
        Infinity where the variance is infinite.

    Raises
    ------
    DomainError
        A cosine outside [-1, 1], a kernel that is itself infinite, an unknown `kind`.

    Notes
    -----
    Simon, Anand and DeWeese, *Reverse engineering the neural tangent kernel*, ICML 2022, use such networks; the formula
    is derived at the top of this module.

    Examples
    --------
    >>> import kernalg as ka
    >>> tangent_kernel_variance("(x**3 - 3*x)/(2*sqrt(6))", 1)
    41.75
    >>> tangent_kernel_variance("sqrt(2)*sin(sqrt(2)*x + pi/4)", 1, digits=20)
    12.499999493591713763
    """
    neuron, form = as_neuron(phi), check_kind(kind)
    w, b, v, _ = layer_variances(w_var, b_var, readout)
    if np.ndim(cosine) == 0:
        return _at_cosine(neuron, cosine, w, b, v, form, digits)
    given = np.asarray(cosine, dtype=object)
    if digits is None and given.size > _few(neuron, form):
        xi = real_array("cosine", cosine)
        if (np.abs(xi) > 1).any():
            raise DomainError(f"cosine = {xi[np.abs(xi) > 1][0]}: cosines lie between -1 and 1")
        q = np.full(xi.shape, float(w + b))
        return neuron_moments(neuron, q, q, np.clip(float(w) * xi + float(b), -q, q), float(v), form)[1]
    values = [_at_cosine(neuron, xi, w, b, v, form, digits) for xi in given.ravel()]
    return np.array(values, dtype=float if digits is None else object).reshape(given.shape)


def neuron_moments(
    phi: Neuron, q1: ArrayLike, q2: ArrayLike, c: ArrayLike, v_var: float = 1.0, kind: str = "ntk"
) -> tuple[FloatArray, FloatArray]:
    """The mean of a neuron's term and its variance (n Var), in float64, at pairs of pre-activations.

    q1, q2 are their variances and c their covariances (arrays that broadcast), taken as numbers of 15 digits: a |c|
    beyond sqrt(q1 q2) by rounding stands for equality.

    Examples
    --------
    >>> import kernalg as ka
    >>> mean, variance = neuron_moments(ka.activation("relu"), 1, [1, 4], [1, 2])
    >>> mean.tolist(), variance.tolist()
    ([1.0, 2.0], [3.0, 12.0])
    """
    given = np.broadcast_arrays(*(real_array(n, a) for n, a in (("q1", q1), ("q2", q2), ("c", c))))
    rounded = np.stack([np.char.mod("%.14e", a.ravel()).astype(float) for a in given])
    bound = np.sqrt(rounded[0]) * np.sqrt(rounded[1])
    rounded[2] = np.clip(rounded[2], -bound, bound)
    distinct, places = np.unique(rounded, axis=1, return_inverse=True)
    if distinct.shape[1] <= _few(phi, kind) or isinstance(phi, HermiteSeries):
        made = np.array([_certified_at_floats(phi, column, v_var, kind) for column in distinct.T.tolist()]).T
    else:
        made = _in_float64(phi, distinct, v_var, kind)
    mean, variance = (values[places.ravel()].reshape(given[0].shape) for values in made)
    return mean, variance


def _at_cosine(
    phi: Neuron, cosine: Any, w: sp.Expr, b: sp.Expr, v: sp.Expr, kind: str, digits: int | None
) -> float | sp.Expr:
    xi = exact_number(cosine, "cosine")
    if xi.free_symbols or not (xi**2 - 1).is_nonpositive:
        raise DomainError(f"cosine = {cosine}: a number from -1 to 1 is needed")
    asked = _FLOAT_DIGITS if digits is None else check_digits(digits)
    _, value = _certified(phi, w + b, w + b, w * xi + b, v, kind, asked)
    if not value.is_finite():
        return math.inf if digits is None else sp.oo
    return float(to_float(value, asked)) if digits is None else to_float(value, asked)


def _certified_at_floats(phi: Neuron, point: Sequence[float], v_var: float, kind: str) -> tuple[float, float]:
    mean, value = _certified(phi, *_exact_point(point), exact_number(v_var, "v_var"), kind, _FLOAT_DIGITS)
    return float(mean), float(value) if value.is_finite() else math.inf


def _exact_point(point: Sequence[float]) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """q1, q2, c of 15 digits as exact numbers, with c on the bound where it sits there up to rounding."""
    q1, q2, c = (exact_number(value, "a variance") for value in point)
    if q1 == q2:
        c = max(-q1, min(q1, c))
    elif c**2 >= q1 * q2 * (1 - sp.Rational(1, 10**14)):
        c = sp.sign(c) * sp.sqrt(q1 * q2)
    return q1, q2, c


def _certified(
    phi: Neuron, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, v: sp.Expr, kind: str, digits: int
) -> tuple[arb, arb]:
    """Mean and variance: balls of relative radius 10^-digits, or around 0 and `negligible`; or an infinite variance."""
    # The terms cancel where the variance is small beside the square of the kernel: digits are added until enough stay.
    for working in (digits + 10, 2 * digits + 30, 2 * digits + 80, 4 * digits + 300):
        squares, means = _expectations(phi, q1, q2, c, kind, working)
        with precision(bits_for(working)):
            scale = ball(v)
            mean, variance = _combined(squares, means, ball(c))
            found = scale * mean, scale * scale * variance
            if not squares and _is_certain(found[0], digits):
                return found[0], arb.pos_inf()
            if all(_is_certain(value, digits) for value in found):
                return found
    raise PrecisionError(
        f"n Var at q1 = {q1}, q2 = {q2}, c = {c} has not reached {digits} digits: its terms cancel; ask for fewer"
    )


def _is_certain(value: arb, digits: int) -> bool:
    small = value.contains(0) and value.abs_upper() <= negligible(digits)
    return small or has_digits(value, digits)


def _combined(squares: Sequence[Any], means: Sequence[Any], c: Any) -> tuple[Any, Any]:
    """Mean and variance for V = 1, from the expectations in the module's formula (0 for missing squares)."""
    mean = means[0] if len(means) == 1 else means[0] + c * means[1]
    factors = (1, 2 * c, 3 * c * c)
    # Products, not powers: Arb's power of a ball around 0 is NaN.
    return mean, sum(f * e for f, e in zip(factors, squares, strict=False)) - mean * mean


def _expectations(
    phi: Neuron, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, kind: str, digits: int
) -> tuple[list[arb], list[arb]]:
    """Those of the squares (none where they are infinite) and those of phi and phi'."""
    if isinstance(phi, HermiteSeries):
        return _series_expectations(phi, q1, q2, c, kind, digits)
    means, squares = _duals(phi, kind)
    own = [dual.enclosure(q1, q2, c, digits=digits) for dual in means]  # the point and the kernel are sound, or say so
    try:
        return [dual.enclosure(q1, q2, c, digits=digits) for dual in squares], own
    except (DomainError, NoClosedForm) as error:
        if _says_infinite(error, on_diagonal=bool(q1 == q2 == c)):
            return [], own
        raise


def _says_infinite(error: Exception, on_diagonal: bool) -> bool:
    """Whether the engine refused because the expectation itself is infinite, and not because it does not know it.

    It says so of E[f(u) g(v)], or of second moments, which decide about equal u and v only.
    """
    text = str(error)
    return (text.startswith("E[") and "is infinite" in text) or (on_diagonal and "second moment is infinite" in text)


@lru_cache(maxsize=64)
def _duals(phi: Activation, kind: str) -> tuple[tuple[Dual, ...], tuple[Dual, ...]]:
    """The duals of phi (and phi'), and of phi^2 (and phi phi', phi'^2)."""
    square = Activation(sp.expand(phi.expr**2)).dual
    if kind == "nngp":
        return (phi.dual,), (square,)
    slope = phi.derivative().expr
    others = (Activation(sp.expand(f)).dual for f in (phi.expr * slope, slope**2))
    return (phi.dual, phi.dual.derivative), (square, *others)


def _few(phi: Neuron, kind: str) -> int:
    """Up to how many points balls are quicker than compiling."""
    if isinstance(phi, HermiteSeries) or all(dual.has_closed_form for group in _duals(phi, kind) for dual in group):
        return _FEW
    return _FEW_WITHOUT_CLOSED_FORM


def _in_float64(phi: Activation, points: FloatArray, v_var: float, kind: str) -> FloatArray:
    """Means and variances in float64; where so much cancels that they keep less than 1e-9, certified ones."""
    c = points[2]
    means, squares = _duals(phi, kind)
    try:
        parts = [_values(dual, points) for dual in squares]
    except (DomainError, NoClosedForm):  # infinite at some point, or a reason that the next line gives
        return np.array([_certified_at_floats(phi, column, v_var, kind) for column in points.T.tolist()]).T
    mean, variance = _combined(parts, [_values(dual, points) for dual in means], c)
    found = np.stack([v_var * mean, v_var**2 * variance])
    for i in np.flatnonzero(variance < 1e-6 * np.abs(parts[0])):
        found[:, i] = _certified_at_floats(phi, points[:, i].tolist(), v_var, kind)
    return found


def _values(dual: Dual, points: FloatArray) -> FloatArray:
    if dual.has_closed_form and points.shape[1] <= _FEW:
        balls = (dual.enclosure(*_exact_point(column), digits=_FLOAT_DIGITS + 1) for column in points.T.tolist())
        return np.array([float(value) for value in balls])
    return np.asarray(dual(*points))


# ---------------------------------------------------------------------------------------------------------------------
# Hermite series: polynomials, in balls


def _series_expectations(
    phi: HermiteSeries, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, kind: str, digits: int
) -> tuple[list[arb], list[arb]]:
    # Powers of x cancel in h_k: the coefficients of h_k exceed its size on the bulk by less than 2^(2k).
    bits = bits_for(digits) + 12 * len(phi.coefficients)
    left, right = (_hermite_tables(phi, q, kind, bits) for q in (q1, q2))
    with precision(bits):
        rho = ball(c / sp.sqrt(q1 * q2)) if q1 != 0 and q2 != 0 else arb(0)
        # Mehler: the sum of a_k b_k rho^k.
        made = [arb_poly([a * b for a, b in zip(f, g, strict=True)])(rho) for f, g in zip(left, right, strict=True)]
    count = 1 if kind == "nngp" else 2
    return made[:-count], made[-count:]


@lru_cache(maxsize=256)
def _hermite_tables(phi: HermiteSeries, variance: sp.Expr, kind: str, bits: int) -> tuple[tuple[arb, ...], ...]:
    """Hermite coefficients at `variance` of phi^2 (phi phi', phi'^2), phi (, phi')."""
    with precision(bits):
        value = _in_powers(phi, bits)
        slope = value.derivative()
        functions = [value**2, value] if kind == "nngp" else [value**2, value * slope, slope**2, value, slope]
        scale = arb_poly([0, ball(variance).sqrt()])
        return tuple(_hermite_coefficients(f(scale)) for f in functions)


@lru_cache(maxsize=16)
def _in_powers(phi: HermiteSeries, bits: int) -> arb_poly:
    """The series as a polynomial in x."""
    with precision(bits):
        z = arb_poly([0, 1 / ball(phi.variance).sqrt()])
        before, here, total = arb_poly([0]), arb_poly([1]), arb_poly([0])
        for k, b in enumerate(phi.coefficients):
            total += ball(b) * here
            before, here = here, (z * here - arb(k).sqrt() * before) * (1 / arb(k + 1).sqrt())
        return total


def _hermite_coefficients(polynomial: arb_poly) -> tuple[arb, ...]:
    """E[p(Z) h_k(Z)] = sum over j of p_{k+2j} (k+2j)! / (2^j j! sqrt(k!))."""
    powers = polynomial.coeffs()
    result = []
    for k in range(len(powers)):
        weight, total = arb(k).fac().sqrt(), arb(0)
        for j, p in enumerate(powers[k::2]):
            total += weight * p
            weight *= arb((k + 2 * j + 1) * (k + 2 * j + 2)) / (2 * (j + 1))
        result.append(total)
    return tuple(result)


# ---------------------------------------------------------------------------------------------------------------------
# Kurtosis


def kurtosis(phi: Any, variance: Any = 1, digits: int | None = None) -> float | sp.Expr:
    """E phi^4 / (E phi^2)^2 at a Gaussian input of the given variance; infinity where E phi^4 is.

    Examples
    --------
    >>> kurtosis("sin(x)"), kurtosis("exp(x)", digits=12)
    (1.644..., 54.5981500331)
    """
    neuron = as_neuron(phi)
    q = exact_number(variance, "variance")
    if not q.is_positive:
        raise DomainError(f"variance = {variance}: the variance of a Gaussian is positive")
    asked = _FLOAT_DIGITS if digits is None else check_digits(digits)
    squares, means = _expectations(neuron, q, q, q, "nngp", asked + 10)
    if not means[0] > 0:
        raise DomainError("phi is 0 almost everywhere: it has no kurtosis")
    if not squares:
        return math.inf if digits is None else sp.oo
    with precision(bits_for(asked + 10)):
        value = squares[0] / means[0] ** 2
    return float(to_float(value, asked)) if digits is None else to_float(value, asked)
