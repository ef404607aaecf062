r"""Polynomials and their Hermite coefficients in float64 arrays, with errors that the degree does not multiply up.

Values: Clenshaw's summation of :math:`\sum b_kh_k(x/\sqrt r)`, whose terms are of the size of the sum where a Gaussian
of variance r lives.

Coefficients :math:`a_k(q)=E[\varphi(\sqrt qZ)h_k(Z)]`: in balls at the nearest of the variances :math:`p=1.05^j`, and
from there, with :math:`s=(q-p)/p`,

.. math:: a_k(q) = \Big(\frac qp\Big)^{k/2}\sum_j\frac{s^j}{2^jj!}\sqrt{\frac{(k+2j)!}{k!}}\;a_{k+2j}(p),

a sum of few and falling terms: |s| <= 1/40, and at degree M they exceed the largest coefficient by less than
:math:`1.05^{M/2}`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb

from kernalg.compiled.inputs import FloatArray, real_array
from kernalg.compiled.threads import threads
from kernalg.enclosure.balls import precision
from kernalg.errors import PrecisionError
from kernalg.gaussian.polynomials import Polynomial

_RATIO = 1.05
_CHUNK = 2**13


class PolynomialArrays:
    """A polynomial in float64.

    Examples
    --------
    >>> import sympy as sp
    >>> from kernalg.gaussian.pieces import pieces
    >>> from kernalg.gaussian.polynomials import recognise
    >>> from kernalg.symbols import x
    >>> arrays = PolynomialArrays(recognise(pieces(x**2)))
    >>> arrays(np.array([3.0])), arrays.coefficients(np.array([4.0])).round(12)
    (array([9.]), array([[4.        , 0.        , 5.65685425]]))
    """

    def __init__(self, polynomial: Polynomial) -> None:
        self.polynomial = polynomial
        self._at_centre: dict[int, FloatArray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return PolynomialArrays, (self.polynomial,)

    # -- values -----------------------------------------------------------------------------------

    @cached_property
    def _terms(self) -> tuple[float, FloatArray]:
        """sqrt(r) and b_k; r = 1 for polynomials kept in powers of x."""
        r = arb(self.polynomial.reference) if self.polynomial.reference else arb(1)
        return math.sqrt(float(r)), self._coefficients_at(r)

    def __call__(self, at: Any) -> Any:
        """The values, of the shape of `at`; infinite beyond the range of float64.

        The error is below M + 4 units of rounding (1.1e-16) of sum |b_k h_k(x/sqrt(r))| for |x| <= 2 sqrt(r M), M the
        degree.
        """
        points = real_array(at, "x")
        flat = np.ascontiguousarray(points).reshape(-1)
        out = np.empty(flat.size)
        root, b = self._terms

        def work(first: int) -> None:
            part = slice(first, first + _CHUNK)
            with np.errstate(over="ignore", invalid="ignore"):  # it belongs to a thread
                out[part] = _clenshaw(b, flat[part] / root)

        with threads(flat.size > 8 * _CHUNK) as share:
            share(work, range(0, flat.size, _CHUNK))
        beyond = ~np.isfinite(out)
        if beyond.any():
            out[beyond] = np.inf * b[-1] * np.sign(flat[beyond]) ** (b.size - 1)
        return out.reshape(points.shape)[()]

    # -- coefficients -----------------------------------------------------------------------------

    def coefficients(self, variances: FloatArray) -> FloatArray:
        """a_0(q) … a_M(q), one row for each variance.

        Not finite where they are beyond float64.
        """
        q = np.asarray(variances, dtype=float)
        size = max(self.polynomial.degree, 0) + 1
        out = np.zeros((q.size, size))
        positive = q > 0
        nearest = np.zeros(q.size, dtype=np.int64)
        nearest[positive] = np.rint(np.log(q[positive]) / math.log(_RATIO))
        if not positive.all():
            with precision(128):
                moments = self.polynomial.moments(arb(0))
            out[~positive, 0] = float(moments[0]) if moments else 0.0
        for j in np.unique(nearest[positive]):
            own = positive & (nearest == j)
            out[own] = self._around(int(j), q[own])
        return out

    def _around(self, j: int, q: FloatArray) -> FloatArray:
        centre = _RATIO**j
        if j not in self._at_centre:
            self._at_centre[j] = self._coefficients_at(arb(centre))
        a = self._at_centre[j]
        s = ((q - centre) / centre)[:, None]
        total = np.zeros((q.size, a.size))
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range((a.size - 1) // 2, 0, -1):
                total[:, : a.size - 2 * i] += self._shifts[i][: a.size - 2 * i] * a[2 * i :]
                total *= s
            total += a
            total *= np.sqrt(q / centre)[:, None] ** np.arange(a.size)
        return total

    @cached_property
    def _shifts(self) -> list[FloatArray]:
        """sqrt((k + 2j)!/k!)/(2^j j!) for j = 0, 1, … and every k."""
        k = np.arange(max(self.polynomial.degree, 0) + 1)
        rows = [np.ones(k.size)]
        for j in range(1, (k.size - 1) // 2 + 1):
            rows.append(rows[-1] * np.sqrt((k + 2 * j - 1.0) * (k + 2 * j)) / (2 * j))
        return rows

    def _coefficients_at(self, variance: arb) -> FloatArray:
        """Rounded from balls that are narrow beside the largest of them."""
        bits = 128 + 4 * max(self.polynomial.degree, 0)
        for _ in range(8):
            with precision(bits):
                a = self.polynomial.hermite(variance) or [arb(0)]
                largest = max((v.abs_lower() for v in a), default=arb(0))
                if all(v.rad() <= largest * arb(2) ** -60 for v in a):
                    return np.array([float(v.mid()) for v in a])
            bits *= 2
        raise PrecisionError(f"the Hermite coefficients at the variance {float(variance):.6g} need over {bits} bits")


def _clenshaw(b: FloatArray, z: FloatArray) -> FloatArray:
    """sum b_k h_k(z); with y_k = b_k + z y_(k+1)/sqrt(k+1) - sqrt((k+1)/(k+2)) y_(k+2) it is y_0."""
    here, above = np.full(z.size, b[-1]), np.zeros(z.size)
    for k in range(b.size - 2, -1, -1):
        above *= -math.sqrt((k + 1) / (k + 2))
        above += z * here * (1 / math.sqrt(k + 1))
        above += b[k]
        here, above = above, here
    return here
