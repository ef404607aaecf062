"""Numbers for duals that have no closed form: balls at one point, float64 on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sympy as sp

from kernalg.enclosure.balls import ball, bits_for, precision
from kernalg.errors import DomainError
from kernalg.gaussian import lattice
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.gaussian.series import hermite_coefficients, norm_squared
from kernalg.symbols import x

if TYPE_CHECKING:
    from flint import arb

SERIES_ORDER = 240
MAX_VARIANCES = 256
MAX_SLOW_ENTRIES = 2000
_ACCURACY = 1e-15


def enclosure(f: Pieces, g: Pieces, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr, digits: int) -> arb:
    """E[f(u) g(v)] as a ball; a variance of 0 makes the factors independent."""
    if v1.is_zero or v2.is_zero:
        with precision(bits_for(digits) + 32):
            return _mean(f, v1, digits) * _mean(g, v2, digits)
    return certified_expectation(f, g, v1, v2, cov, digits)


def _mean(f: Pieces, variance: sp.Expr, digits: int) -> arb:
    if variance.is_zero:
        return ball(value_at_zero(f))
    return hermite_coefficients(f, variance, 0, digits + 5)[0]


def value_at_zero(f: Pieces) -> sp.Expr:
    """f(0); the mean of both sides at a jump, the limit at a removable point such as that of sin(x)/x."""
    stairs = lattice.recognise(f)
    if stairs is not None:
        jumps = sp.Add(*(step.height for step in stairs.steps if step.phase == 0))
        return stairs.constant - jumps / 2
    if sp.S.Zero in f.breakpoints:
        i = f.breakpoints.index(sp.S.Zero)
        branch = (f.branches[i] + f.branches[i + 1]) / 2
    else:
        branch = f.branches[sum(1 for t in f.breakpoints if t.is_negative)]
    value = branch.subs(x, 0)
    if not value.is_finite:
        value = sp.limit(branch, x, 0)
    if not value.is_finite:
        raise DomainError(
            f"{branch} is infinite at 0, so it has no value for an input of variance 0; add a bias before it"
        )
    return value


def is_continuous(f: Pieces) -> bool:
    """Whether neighbouring branches meet at every breakpoint, and no branch contains floor."""
    return not any(branch.has(sp.floor) for branch in f.branches) and all(
        sp.simplify((right - left).subs(x, t)) == 0
        for t, left, right in zip(f.breakpoints, f.branches, f.branches[1:], strict=False)
    )


def values(f: Pieces, g: Pieces, a: np.ndarray, b: np.ndarray, cov: np.ndarray) -> np.ndarray:
    r"""float64 values for arrays of one shape, all variances positive.

    The series sum_k a_k(q1) b_k(q2) rho^k with certified coefficients, one table a distinct variance. By
    Cauchy-Schwarz and Parseval its tail is at most |rho|^{K+1} (R_f(q1) R_g(q2))^{1/2}, R(q) = E f^2 - sum a_k^2;
    an entry whose bound is above 1e-15 of the scale is computed by balls instead.
    """
    stairs = lattice.recognise(f), lattice.recognise(g)
    if stairs[0] is not None and stairs[1] is not None:
        return _staircase_values(stairs[0], stairs[1], f, g, a, b, cov)
    left = {q: _table(f, q) for q in _variances(a)}
    right = left if f == g and set(np.unique(b)) <= set(left) else {q: _table(g, q) for q in _variances(b)}
    out = np.empty(a.shape)
    slow: list[tuple[int, ...]] = []
    for index in np.ndindex(a.shape):
        (p, rest_p, size_p), (q, rest_q, size_q) = left[float(a[index])], right[float(b[index])]
        rho = min(1.0, max(-1.0, float(cov[index]) / np.sqrt(float(a[index]) * float(b[index]))))
        if abs(rho) ** (SERIES_ORDER + 1) * np.sqrt(rest_p * rest_q) > _ACCURACY * np.sqrt(size_p * size_q):
            slow.append(index)
        else:
            out[index] = np.polynomial.polynomial.polyval(rho, p * q)
    _by_balls(out, slow, f, g, a, b, cov)
    return out


def _staircase_values(
    left: lattice.Staircase,
    right: lattice.Staircase,
    f: Pieces,
    g: Pieces,
    a: np.ndarray,
    b: np.ndarray,
    cov: np.ndarray,
) -> np.ndarray:
    out, holds = lattice.fourier_values(left, right, a, b, cov)
    _by_balls(out, [tuple(map(int, i)) for i in np.argwhere(~holds)], f, g, a, b, cov)
    return out


def _by_balls(
    out: np.ndarray, slow: list[tuple[int, ...]], f: Pieces, g: Pieces, a: np.ndarray, b: np.ndarray, cov: np.ndarray
) -> None:
    """Fill the entries `slow` one by one."""
    if len(slow) > MAX_SLOW_ENTRIES:
        raise DomainError(
            f"{len(slow)} entries have correlations so near ±1 (or variances so small) that the series do not settle, "
            f"and this dual has no closed form; at most {MAX_SLOW_ENTRIES} such entries are computed in one call"
        )
    for index in slow:
        v1, v2, covariance = (exact(v[index]) for v in (a, b, cov))
        if covariance**2 > v1 * v2:
            covariance = sp.sqrt(v1 * v2) * sp.sign(covariance)
        out[index] = float(certified_expectation(f, g, v1, v2, covariance, 17))


def exact(value: float) -> sp.Rational:
    """The binary number itself: near rho = ±1 its last bits count."""
    return sp.Rational(*float(value).as_integer_ratio())


def _variances(values: np.ndarray) -> list[float]:
    distinct = [float(q) for q in np.unique(values)]
    if len(distinct) > MAX_VARIANCES:
        raise DomainError(
            f"{len(distinct)} distinct variances: this dual has no closed form, and a table is computed "
            f"for each of at most {MAX_VARIANCES} in one call; put the inputs on a sphere, or call it in parts"
        )
    return distinct


def _table(f: Pieces, variance: float) -> tuple[np.ndarray, float, float]:
    """Coefficients to order 240, what they leave of E f^2, and E f^2; the rest rounded up."""
    q = exact(variance)
    coefficients = hermite_coefficients(f, q, SERIES_ORDER, 20)
    norm = norm_squared(f, q, 30)
    with precision(160):
        rest = norm
        for a in coefficients:
            rest = rest - a * a
    return np.array([float(a) for a in coefficients]), max(float(rest.abs_upper()), 0.0), float(norm)
