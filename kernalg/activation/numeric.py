"""Numbers for duals that have no closed form: balls at one point, float64 on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg.enclosure.balls import ball, bits_for, precision
from kernalg.errors import DomainError
from kernalg.formula import exact_number
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
    if sp.S.Zero in f.breakpoints:
        i = f.breakpoints.index(sp.S.Zero)
        branch = (f.branches[i] + f.branches[i + 1]) / 2
    else:
        branch = f.branches[sum(1 for t in f.breakpoints if t.is_negative)]
    value = branch.subs(x, 0)
    return value if value.is_finite else sp.limit(branch, x, 0)


def is_continuous(f: Pieces) -> bool:
    """Whether neighbouring branches meet at every breakpoint."""
    return all(
        sp.simplify((right - left).subs(x, t)) == 0
        for t, left, right in zip(f.breakpoints, f.branches, f.branches[1:], strict=False)
    )


def values(f: Pieces, g: Pieces, a: np.ndarray, b: np.ndarray, cov: np.ndarray) -> np.ndarray:
    r"""float64 values for arrays of one shape, all variances positive.

    The series sum_k a_k(q1) b_k(q2) rho^k with certified coefficients, one table a distinct variance. By
    Cauchy-Schwarz and Parseval its tail is at most |rho|^{K+1} (R_f(q1) R_g(q2))^{1/2}, R(q) = E f^2 - sum a_k^2;
    an entry whose bound is above 1e-15 of the scale is computed by balls instead.
    """
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
    if len(slow) > MAX_SLOW_ENTRIES:
        raise DomainError(
            f"{len(slow)} entries have correlations so near ±1 that the Hermite series does not settle, and this dual "
            f"has no closed form; at most {MAX_SLOW_ENTRIES} such entries are computed in one call"
        )
    for index in slow:
        v1, v2, covariance = (exact_number(float(v[index]), "q") for v in (a, b, cov))
        bound = sp.sqrt(v1 * v2)
        inside = sp.Min(sp.Max(covariance, -bound), bound)
        out[index] = float(certified_expectation(f, g, v1, v2, inside, 17))
    return out


def entry_by_entry(value: Callable[[sp.Expr, sp.Expr, sp.Expr], arb]) -> Callable[..., Any]:
    """A function of arrays that asks for a ball at each entry, for at most 2000 of them."""

    def evaluate(a: np.ndarray, b: np.ndarray, cov: np.ndarray) -> Any:
        if a.size > MAX_SLOW_ENTRIES:
            raise DomainError(
                f"{a.size} entries: this formula is not compiled, and each is computed in balls; "
                f"at most {MAX_SLOW_ENTRIES} in one call"
            )
        out = np.empty(a.shape)
        for i in np.ndindex(a.shape):
            out[i] = float(value(*(exact_number(float(v[i]), "q") for v in (a, b, cov))))
        return out[()]

    return evaluate


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
    q = exact_number(variance, "q")
    coefficients = hermite_coefficients(f, q, SERIES_ORDER, 20)
    norm = norm_squared(f, q, 30)
    with precision(160):
        rest = norm
        for a in coefficients:
            rest = rest - a * a
    return np.array([float(a) for a in coefficients]), max(float(rest.abs_upper()), 0.0), float(norm)
