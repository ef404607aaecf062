r"""The kernel of a one-hidden-layer network, and its gradient in the parameters of the activation, exactly and quickly.

At unit variance write the activation as an analytic function plus kinks, :math:`f = g + \sum_i J_i (z - t_i)_+^{m_i}`
(what its branches differ by must be polynomials). With Hermite coefficients :math:`\beta_k` of g and :math:`\kappa_k`
of the kinks,

.. math:: E[f(u)f(v)] = \sum_k (\beta_k^2 + 2\beta_k\kappa_k)\,\rho^k
          + \sum_{ij} J_i J_j E[(u-t_i)_+^{m_i} (v-t_j)_+^{m_j}] .

The :math:`\beta_k` fall off geometrically (in the square root of k at least) and come from the trapezoidal rule, which
converges as fast; the :math:`\kappa_k` fall off like a power but are known in closed form and appear beside a
:math:`\beta_k`; the double sum is in closed form (`kinks`), so that the singularities at rho = ±1 are exact. The
tangent kernel has the factor 1 + k in the first sum and adds
:math:`\rho\, m_i m_j E[(u-t_i)_+^{m_i-1} (v-t_j)_+^{m_j-1}]` in the second. Derivatives in a parameter are those of
:math:`\beta_k` (the rule applied to :math:`\partial g`), of the J, and of the t, which lower a power by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp

from kernalg.checks import FloatArray
from kernalg.compiled.threads import serial_blas
from kernalg.design.array_formula import ArrayFormula
from kernalg.design.kinks import QuadrantMoments, one_sided_hermite
from kernalg.errors import DomainError, PrecisionError
from kernalg.gaussian.pieces import PIECEWISE_HEADS, pieces
from kernalg.symbols import x

_ORDERS = (128, 256, 512, 1024, 2048, 4096)
_REACH = 16.0
_FASTEST = 100.0
_TAIL = 1e-14
_REFUSED_TAIL = 1e-6


@dataclass(frozen=True)
class Kink:
    """size * (x - place)_+^order."""

    place: sp.Expr
    order: int
    size: sp.Expr


def smooth_part_and_kinks(formula: sp.Expr) -> tuple[sp.Expr, tuple[Kink, ...]]:
    """An analytic function and the kinks that make up `formula` with it.

    Raises
    ------
    NoClosedForm
        Breakpoints that cannot be found or ordered (scales as positive symbols help).
    DomainError
        A jump, or branches whose difference is not a polynomial in x.

    Examples
    --------
    >>> b = sp.Symbol("b", real=True)
    >>> smooth_part_and_kinks(sp.Abs(x - b))
    (b - x, (Kink(place=b, order=1, size=2),))
    """
    smooth: list[sp.Expr] = []
    sizes: dict[tuple[sp.Expr, int], sp.Expr] = {}
    # Term by term: the breakpoints of different terms need no order among them.
    for term in sp.Add.make_args(sp.expand_mul(formula.replace(_is_filled_gap, lambda e: e.args[0].expr))):
        if not term.has(*PIECEWISE_HEADS) or not term.has(x):
            smooth.append(term)
            continue
        parts = pieces(term)
        smooth.append(parts.branches[0])
        for place, left, right in zip(parts.breakpoints, parts.branches, parts.branches[1:], strict=False):
            difference = sp.expand(right - left)
            if not difference.is_polynomial(x):
                raise DomainError(
                    f"{term}: its branches differ by {difference} from x = {place} on; a family takes branches that "
                    "differ by polynomials in x (ReLU, Abs, clipped functions), plus any smooth function"
                )
            for order in range(sp.degree(difference, x) + 1):
                size = sp.simplify(sp.diff(difference, x, order).subs(x, place) / sp.factorial(order))
                if order == 0 and not size.equals(0):
                    raise DomainError(
                        f"{term} jumps by {size} at x = {place}; a network with such an activation is not trained by "
                        "gradients, and a family takes continuous activations"
                    )
                if order and size != 0:
                    sizes[place, order] = sizes.get((place, order), sp.S.Zero) + size
    return sp.Add(*smooth), tuple(Kink(place, order, size) for (place, order), size in sizes.items())


def _is_filled_gap(expr: sp.Expr) -> bool:
    """Whether a formula holds everywhere but at one point, such as sin(x)/x at 0; a point does not count."""
    return isinstance(expr, sp.Piecewise) and isinstance(expr.args[0].cond, sp.Ne) and len(expr.args) == 2


class FamilyKernel:
    """The kernel on an array of correlations as a function of the activation's parameters.

    Parameters
    ----------
    formula : sympy.Expr
        In `x` and the `parameters`.
    parameters : sequence of Symbol
    correlation : (m,) float64 array in [-1, 1]
    variance : float
        Of the preactivation.
    kind : {"ntk", "nngp"}
    readout : pair of float
        Variances of the readout's weights and bias.

    Examples
    --------
    >>> a, b = sp.symbols("a b", real=True)
    >>> kernel = FamilyKernel(a * sp.Max(x - b, 0), [a, b], np.array([0.0, 1.0]))
    >>> values, gradient = kernel(np.array([1.0, 0.0]))
    >>> values.round(6), gradient.shape
    (array([0.159155, 1.      ]), (2, 2))
    """

    def __init__(
        self,
        formula: sp.Expr,
        parameters: Sequence[sp.Symbol],
        correlation: FloatArray,
        variance: float = 1.0,
        kind: str = "ntk",
        readout: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        self.correlation = np.asarray(correlation, dtype=float)
        self.tangent = kind == "ntk"
        self.readout = readout
        self._parameters = len(parameters)
        self._deviation = float(np.sqrt(variance))
        smooth, kinks = smooth_part_and_kinks(formula)
        self._orders = np.array([k.order for k in kinks], dtype=int)
        self._smooth = ArrayFormula([smooth, *(sp.diff(smooth, p) for p in parameters)], [x, *parameters])
        scalars = [e for k in kinks for e in (k.place, k.size)]
        slopes = [sp.diff(e, p) for e in scalars for p in parameters]
        self._kinks = ArrayFormula([*scalars, *slopes], parameters)
        self._level = 0
        self._powers = np.ones((len(self.correlation), 1))

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (m,) and gradient (m, p) at the parameters (p,).

        Raises
        ------
        PrecisionError
            The activation is not finite, or so steep that 4096 Hermite coefficients do not give six digits.
        """
        theta = np.asarray(theta, dtype=float)
        with np.errstate(all="ignore"):
            beta = self._smooth_coefficients(theta)
            places, sizes, moved, grown = self._kinks_at(theta)
            if not all(np.isfinite(v).all() for v in (beta, places, sizes, moved, grown)):
                raise PrecisionError(f"the activation or its gradient is not finite at the parameters {_shown(theta)}")
        kappa = self._kink_coefficients(len(beta), places, sizes, moved, grown)
        weight = 1.0 + np.arange(len(beta)) if self.tangent else np.ones(len(beta))
        b, k = beta[:, :1], kappa[:, :1]
        terms = 2 * ((b + k) * beta[:, 1:] + b * kappa[:, 1:])
        powers = self._powers_below(len(beta))
        with serial_blas():
            values = powers @ (weight * (b * (b + 2 * k))[:, 0])
            gradient = powers @ (weight[:, None] * terms)
        if len(places):
            own, own_gradient = self._between_kinks(places, sizes, moved, grown)
            values, gradient = values + own, gradient + own_gradient
        v_var, c_var = self.readout
        return v_var * values + c_var, v_var * gradient

    def _powers_below(self, terms: int) -> FloatArray:
        if self._powers.shape[1] < terms:
            size = min(order for order in _ORDERS if order >= terms)
            self._powers = self.correlation[:, None] ** np.arange(size)
        return self._powers[:, :terms]

    def _smooth_coefficients(self, theta: FloatArray) -> FloatArray:
        """Hermite coefficients of g and of its derivatives in the parameters, (K, 1 + p), K as large as needed."""
        for level in range(self._level, len(_ORDERS)):
            order = _ORDERS[level]
            nodes, rule = _trapezoid(order)
            columns = self._smooth(self._deviation * nodes, *theta)
            with serial_blas():  # small products; threads cost more than they bring
                beta = rule @ np.stack([np.broadcast_to(v, nodes.shape) for v in columns], axis=1)
            index, size = 1.0 + np.arange(order), np.abs(beta[:, 0])
            # What the terms of the kernel at rho = 1 are like; those of a ReLU's coefficients fall off like k^(-5/4).
            beside = size.max() * index**-1.25 if len(self._orders) else 0.0
            terms = index * size * (size + beside)
            total, tail = float(terms.sum()), float(terms[3 * order // 4 :].sum())
            if not np.isfinite(total) or tail <= _TAIL * total:
                break
        lower = _ORDERS[max(level - 1, 0)]
        self._level = level - int(level > 0 and terms[3 * lower // 4 :].sum() <= _TAIL * total)
        if tail > _REFUSED_TAIL * total:
            raise PrecisionError(
                f"{order} Hermite coefficients do not represent the activation at the parameters {_shown(theta)}: "
                "it is too steep, or not analytic; set tighter bounds"
            )
        # |p h_k| < exp(-z^2/4), so this is what the rule leaves out beyond its ends.
        if np.abs(columns[0]).max() * np.exp(-(_REACH**2) / 4) > _REFUSED_TAIL * size.max():
            raise PrecisionError(f"the activation grows too fast at the parameters {_shown(theta)}; set tighter bounds")
        large = np.abs(beta) > 1e-17 * np.abs(beta).max(axis=0)
        return beta[: int(np.flatnonzero(large.any(axis=1)).max(initial=0)) + 1]

    def _kinks_at(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Places and sizes (r,), and their gradients (r, p), in units of the preactivation's standard deviation."""
        count, p = len(self._orders), self._parameters
        numbers = np.array([float(v) for v in self._kinks(*theta)])
        places, sizes = numbers[: 2 * count : 2], numbers[1 : 2 * count : 2]
        slopes = numbers[2 * count :].reshape(count, 2, p)
        unit = self._deviation**self._orders
        return places / self._deviation, sizes * unit, slopes[:, 0] / self._deviation, slopes[:, 1] * unit[:, None]

    def _kink_coefficients(
        self, terms: int, places: FloatArray, sizes: FloatArray, moved: FloatArray, grown: FloatArray
    ) -> FloatArray:
        """Hermite coefficients of the kinks and of their derivatives in the parameters, (K, 1 + p)."""
        kappa = np.zeros((terms, 1 + self._parameters))
        for place, size, move, grow, order in zip(places, sizes, moved, grown, self._orders, strict=True):
            polynomials = _hermite_values_at(float(place), terms)
            own = one_sided_hermite(order, place, polynomials)
            lower = one_sided_hermite(order - 1, place, polynomials)
            kappa[:, 0] += size * own
            kappa[:, 1:] += own[:, None] * grow - (size * order) * lower[:, None] * move
        return kappa

    def _between_kinks(
        self, places: FloatArray, sizes: FloatArray, moved: FloatArray, grown: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The double sum over kinks and its gradient. By symmetry the gradient is twice that in the first factor."""
        rho = self.correlation
        values, gradient = np.zeros(len(rho)), np.zeros((len(rho), self._parameters))
        tables = {(s, t): QuadrantMoments(s, t, rho) for s in places for t in places}
        for i, m in enumerate(self._orders):
            in_size, in_place = np.zeros(len(rho)), np.zeros(len(rho))
            for j, n in enumerate(self._orders):
                moment = tables[places[i], places[j]]
                in_size += sizes[j] * moment(m, n)
                in_place -= sizes[j] * m * moment(m - 1, n)
                if self.tangent:
                    in_size += sizes[j] * rho * m * n * moment(m - 1, n - 1)
                    in_place -= sizes[j] * rho * m * n * max(m - 1, 1) * moment(m - 2, n - 1)
            values += sizes[i] * in_size
            gradient += 2 * (in_size[:, None] * grown[i] + sizes[i] * in_place[:, None] * moved[i])
        return values, gradient


def _shown(theta: FloatArray) -> str:
    return ", ".join(f"{v:.4g}" for v in theta)


@lru_cache(maxsize=len(_ORDERS))
def _trapezoid(order: int) -> tuple[FloatArray, FloatArray]:
    r"""Nodes z and the matrix h p(z) h_k(z), k < order, that makes Hermite coefficients of values at the nodes.

    The Fourier transform of p h_k is a bump of width 1 at frequency sqrt(k); for a function whose own coefficients end
    before `order` the rule is exact to rounding once 2 pi/h exceeds 2 sqrt(order) + 9. It is 100 at least: a function
    faster than that could look like a slow one at the nodes, and its coefficients would not tell.
    """
    count = int(np.ceil(_REACH * max(2 * np.sqrt(order) + 9, _FASTEST) / (2 * np.pi)))
    nodes = np.linspace(-_REACH, _REACH, 2 * count)  # without 0, where sin(x)/x and the like are 0/0
    step = nodes[1] - nodes[0]
    return nodes, step * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi) * _hermite_values(nodes, order)


def _hermite_values(points: FloatArray, count: int) -> FloatArray:
    """h_0 … h_{count-1} at the points, along the first axis."""
    table = np.empty((count, len(points)))
    before, now = np.zeros(len(points)), np.ones(len(points))
    for k in range(count):
        table[k] = now
        before, now = now, (points * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    return table


def _hermite_values_at(point: float, count: int) -> FloatArray:
    """The same at one point, without the overhead of arrays of one number."""
    found = []
    before, now = 0.0, 1.0
    for k in range(count):
        found.append(now)
        before, now = now, (point * now - math.sqrt(k) * before) / math.sqrt(k + 1)
    return np.array(found)
