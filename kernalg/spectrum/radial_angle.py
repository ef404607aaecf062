r"""The radial kernels :math:`\lambda_k(q,q')=E_\xi[K(q,q',\sqrt{qq'}\,\xi)\,P_{k,d}(\xi)]` at pairs of nodes.

At fixed q and q' a network kernel is a power series :math:`\sum_mA_m(q,q')\,\xi^m` whose coefficients are positive
semi-definite kernels of q (a dual is :math:`\sum_mc_m(q)c_m(q')\rho^m`; sums, products and compositions keep this).
Hence the matrix of a truncation errs by a positive semi-definite matrix, whose diagonal is bounded as on one sphere:
by :math:`K(q,q,q)-\sum_{m<M}A_m(q,q)` (half the sum or difference with :math:`\xi=-1`, for one parity) times the
largest weight. Where that is too slow, Gauss-Legendre in the angle in double precision, with an absolute error of
the size of the rounding of K.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from flint import arb, arb_series, ctx

from kernalg.checks import FloatArray
from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import ball, bits_for, precision
from kernalg.enclosure.integrals import gauss_legendre
from kernalg.errors import DomainError, NoClosedForm
from kernalg.expansion.taylor import first_weight, largest_weight, weight_ratio
from kernalg.expansion.zonal import zonal_table
from kernalg.network.dot_product import DotProductKernel
from kernalg.network.kernel import Kernel
from kernalg.network.recursion import on_diagonal, on_opposites, on_pair
from kernalg.spectrum.spaces import Sphere
from kernalg.spectrum.sphere import sphere_spectrum
from kernalg.symbols import rho

_LADDER = (24, 64, 256, 1024)
_MOST_ANGLES = 2048


class PairKernel(Protocol):
    """A kernel of two lengths and the cosine between them."""

    def series(self, q1: arb, q2: arb, terms: int, /) -> list[arb]:
        """The coefficients A_0, …, A_{terms-1} in powers of the cosine, at the current precision."""

    def value(self, q1: arb, q2: arb, cosine: arb, /) -> arb:
        """K at the current precision; not at ends of equal lengths."""

    def ends(self, q: arb, /) -> tuple[arb, arb]:
        """The values at equal and at opposite inputs of one length."""

    def diagonal(self, q: FloatArray, /) -> FloatArray:
        """K(q, q, q) in double precision."""

    def table(self, q: FloatArray, cosines: FloatArray, /) -> FloatArray:
        """Double precision values, shape (len(q), len(q), len(cosines))."""


@dataclass(frozen=True, slots=True)
class NetworkPair:
    """A network kernel."""

    kernel: Kernel

    def series(self, q1: arb, q2: arb, terms: int) -> list[arb]:
        with precision(ctx.prec, terms):
            covariance = arb_series([0, (q1 * q2).sqrt()], prec=terms)
            value = self._part(on_pair(self.kernel.layers, q1, q2, covariance, tangent=self._tangent))
            made = value if isinstance(value, arb_series) else arb_series([value], prec=terms)
            return [made[m] for m in range(terms)]

    def value(self, q1: arb, q2: arb, cosine: arb) -> arb:
        covariance = (q1 * q2).sqrt() * cosine
        return self._part(on_pair(self.kernel.layers, q1, q2, covariance, tangent=self._tangent))

    def ends(self, q: arb) -> tuple[arb, arb]:
        return self._part(on_diagonal(self.kernel.layers, q)), self._part(on_opposites(self.kernel.layers, q))

    def diagonal(self, q: FloatArray) -> FloatArray:
        return self.kernel.diag(np.sqrt(q)[:, None])

    def table(self, q: FloatArray, cosines: FloatArray) -> FloatArray:
        # Network kernels know lengths and cosines only: rows of two coordinates will do.
        length = np.sqrt(2 * q)
        left = np.stack([length, np.zeros_like(length)], axis=1)
        directions = np.stack([cosines, np.sqrt((1 - cosines) * (1 + cosines))], axis=1)
        right = (length[:, None, None] * directions).reshape(-1, 2)
        return self.kernel(left, right).reshape(len(q), len(q), len(cosines))

    @property
    def _tangent(self) -> bool:
        return self.kernel.kind == "ntk"

    def _part(self, both: tuple[Any, Any]) -> Any:
        return both[int(self._tangent)]


@dataclass(frozen=True, slots=True)
class DotProductPair:
    """f(sqrt(q q') xi)."""

    kernel: DotProductKernel

    def series(self, q1: arb, q2: arb, terms: int) -> list[arb]:
        made = self.kernel.profile().series(terms)
        scale, power = (q1 * q2).sqrt(), arb(1)
        result = []
        for m in range(terms):
            result.append(made[m] * power)
            power *= scale
        return result

    def value(self, q1: arb, q2: arb, cosine: arb) -> arb:
        return self.kernel.profile().ball((q1 * q2).sqrt() * cosine)

    def ends(self, q: arb) -> tuple[arb, arb]:
        profile = self.kernel.profile()
        return profile.ball(q), profile.ball(-q)

    def diagonal(self, q: FloatArray) -> FloatArray:
        return np.broadcast_to(np.asarray(elementwise(self.kernel.expr, (rho,))(q)), q.shape)

    def table(self, q: FloatArray, cosines: FloatArray) -> FloatArray:
        lengths = np.sqrt(q)
        argument = lengths[:, None, None] * lengths[None, :, None] * cosines
        values = np.broadcast_to(np.asarray(elementwise(self.kernel.expr, (rho,))(argument)), argument.shape)
        if not np.isfinite(values).all():
            worst = float(argument[~np.isfinite(values)][0])
            raise DomainError(f"{self.kernel} is not finite at rho = {worst:.6g}, and x.x'/d takes this value")
        return values


@dataclass(frozen=True, slots=True)
class AngularMatrix:
    """lambda_k at all pairs of nodes, as balls, and the bound of the diagonal of a positive remainder."""

    entries: list[list[arb]]
    remainder: list[arb]


def matrices_by_series(
    K: PairKernel,
    nodes: Sequence[arb],
    masses: Sequence[arb],
    d: int,
    levels: Sequence[int],
    digits: int,
    most_terms: int,
) -> tuple[dict[int, AngularMatrix], set[int]]:
    """Certified matrices of the degrees `levels`, and those of them that do not reach `digits` digits.

    `masses` are the probabilities of the nodes: the digits are those of the sum of masses times diagonal. Beyond the
    degrees, up to `most_terms` coefficients are tried.
    """
    found: dict[int, AngularMatrix] = {}
    pending = set(levels)
    bits = 2 * bits_for(digits) + 128
    with precision(bits):
        ends = [K.ends(q) for q in nodes]
    for terms in [n for n in _LADDER if n <= most_terms]:
        with precision(bits):
            try:
                table = _coefficients(K, nodes, max(levels) + terms)
            except NoClosedForm:
                return {}, set(levels)
            for k in sorted(pending):
                found[k] = _matrix(table, ends, d, k)
                total = sum((w * found[k].entries[i][i] for i, w in enumerate(masses)), arb(0))
                rest = sum((w * r for r, w in zip(found[k].remainder, masses, strict=True)), arb(0))
                if rest.upper() + total.rad() <= total.abs_lower() * arb(10) ** -digits:
                    pending.discard(k)
        if not pending:
            break
    return found, pending


def _coefficients(K: PairKernel, nodes: Sequence[arb], terms: int) -> list[list[list[arb]]]:
    n = len(nodes)
    table: list[list[list[arb]]] = [[[] for _ in range(n)] for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            table[i][j] = table[j][i] = K.series(nodes[i], nodes[j], terms)
    return table


def _matrix(table: list[list[list[arb]]], ends: list[tuple[arb, arb]], d: int, k: int) -> AngularMatrix:
    n, terms = len(table), len(table[0][0])
    weight, weights = arb(first_weight(d, k)), []
    rows = (terms - k + 1) // 2
    for j in range(rows):
        weights.append(weight)
        up, down = weight_ratio(d, k, j)
        weight = weight * up / down
    entries: list[list[arb]] = [[arb(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            a = table[i][j]
            entries[i][j] = entries[j][i] = sum((w * c for w, c in zip(weights, a[k::2], strict=True)), arb(0))
    largest = largest_weight(d, k, rows)
    remainder = []
    for i, (up_value, down_value) in enumerate(ends):
        total = (up_value + (-1) ** k * down_value) / 2 if down_value.is_finite() else up_value
        left = total - sum(table[i][i][k % 2 :: 2], arb(0))
        remainder.append(arb((left.upper().max(arb(0)) * largest).upper()))
    return AngularMatrix(entries, remainder)


def matrices_by_polarisation(
    K: PairKernel, nodes: Sequence[arb], d: int, degree: int, digits: int
) -> dict[int, AngularMatrix]:
    r"""Certified matrices of all degrees up to `degree` from spectra on the sphere.

    The sum :math:`K(q,q,\cdot)+2K(q,q',\cdot)+K(q',q',\cdot)` has non-negative coefficients, so that all certified
    methods for one sphere apply to it; :math:`\lambda_k(q,q')` is what it has more than its first and last term.
    """
    n = len(nodes)
    found: dict[tuple[int, int], list[arb]] = {}
    for i in range(n):
        for j in range(i + 1):
            spectrum = sphere_spectrum(_Polarised(K, nodes[i], nodes[j]), Sphere(d), degree, digits, False)
            values = [ball(v) for v in spectrum.exact or ()]
            found[i, j] = [v + arb(0, (abs(v) * arb(10) ** -digits).upper()) for v in values]
    result = {}
    for k in range(degree + 1):
        entries = [[arb(0)] * n for _ in range(n)]
        for i in range(n):
            for j in range(i + 1):
                # the sum of equal terms is four times the term
                ends = (found[i, i][k] + found[j, j][k]) / 4
                entries[i][j] = entries[j][i] = (found[i, j][k] - ends) / 2
            entries[i][i] = found[i, i][k] / 4
        result[k] = AngularMatrix(entries, [arb(0)] * n)
    return result


@dataclass(frozen=True, slots=True)
class _Polarised:
    """The profile K(q1, q1, .) + 2 K(q1, q2, .) + K(q2, q2, .)."""

    kernel: PairKernel
    q1: arb
    q2: arb

    @property
    def nonnegative(self) -> bool:
        return True

    def series(self, terms: int) -> arb_series:
        at = [(self.q1, self.q1), (self.q1, self.q2), (self.q1, self.q2), (self.q2, self.q2)]
        parts = [self.kernel.series(*pair, terms) for pair in at]
        return arb_series([sum(same, arb(0)) for same in zip(*parts, strict=True)], prec=terms)

    def ball(self, rho: Any, analytic: bool = False) -> Any:
        if abs(rho) == 1:
            end = int(rho < 0)
            squares = self.kernel.ends(self.q1)[end] + self.kernel.ends(self.q2)[end]
            if self.q1 is self.q2:
                return 2 * squares
        else:
            squares = self.kernel.value(self.q1, self.q1, rho) + self.kernel.value(self.q2, self.q2, rho)
        return squares + 2 * self.kernel.value(self.q1, self.q2, rho)


def matrices_by_gauss(
    K: PairKernel, nodes: FloatArray, d: int, levels: Sequence[int]
) -> dict[int, tuple[FloatArray, FloatArray]]:
    """Matrices of the degrees `levels` in double precision, and the absolute error estimates of their entries."""
    count = 64
    while count < max(levels) + 8 * math.sqrt(d):
        count *= 2
    previous, _ = _gauss_matrices(K, nodes, d, levels, count)
    errors = {}
    while True:
        count *= 2
        current, floor = _gauss_matrices(K, nodes, d, levels, count)
        errors = {k: np.abs(current[k] - previous[k]) + floor for k in levels}
        previous = current
        settled = all(np.all(errors[k] <= 4 * floor) for k in levels)
        if settled or count >= _MOST_ANGLES:
            return {k: (current[k], errors[k]) for k in levels}


@lru_cache(maxsize=16)
def _legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights to the last bit: those of SciPy have errors of 1e-13."""
    points, weights = gauss_legendre(count, 80)
    return np.array([float(t) for t in points]), np.array([float(w) for w in weights])


def _gauss_matrices(
    K: PairKernel, nodes: FloatArray, d: int, levels: Sequence[int], count: int
) -> tuple[dict[int, FloatArray], FloatArray]:
    points, weights = _legendre(count)
    theta = math.pi / 2 * (1 + points)
    log_constant = math.lgamma(d / 2) - math.lgamma((d - 1) / 2) - math.log(math.pi) / 2
    measure = math.pi / 2 * weights * np.exp(log_constant + (d - 2) * np.log(np.sin(theta)))
    seen = measure > 1e-40
    cosines, measure = np.cos(theta[seen]), measure[seen]
    zonal = zonal_table(max(levels), d, cosines)
    values = K.table(nodes, cosines)
    matrices = {}
    for k in levels:
        matrix = values @ (measure * zonal[k])
        matrices[k] = (matrix + matrix.T) / 2
    return matrices, 1e-15 * (np.abs(values) @ measure)
