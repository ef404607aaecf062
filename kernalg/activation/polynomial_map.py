"""The dual of two polynomials, as Mehler's sum: for balls, in symbols and in float64."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.gaussian import polynomials
from kernalg.gaussian.polynomial_arrays import PolynomialArrays
from kernalg.gaussian.polynomials import Polynomial

_CHUNK = 2**12
Array = np.ndarray


class PolynomialMap:
    """k(q1, q2, c) = E[f(u) g(v)]; called with balls, of which c may be complex or a power series."""

    def __init__(self, f: Polynomial, g: Polynomial) -> None:
        self.f = f
        self.g = g

    @property
    def degree(self) -> int:
        """That of the longer one."""
        return max(self.f.degree, self.g.degree)

    def derivative(self) -> PolynomialMap:
        """E[f'(u) g'(v)] = dk/dc."""
        slope = self.f.derivative()
        return PolynomialMap(slope, slope if self.g is self.f else self.g.derivative())

    def __call__(self, v1: arb, v2: arb, c: Any) -> Any:
        return polynomials.value(self.f, self.g, v1, v2, c)

    def diagonal(self, v: arb) -> arb:
        """E f(u) g(u)."""
        return self(v, v, v)

    def antidiagonal(self, v: arb) -> arb:
        """E f(u) g(-u)."""
        return self(v, v, -v)

    @property
    def expr(self) -> sp.Expr:
        """In q1, q2, c."""
        return polynomials.expression(self.f, self.g)

    @property
    def normalized(self) -> sp.Expr:
        """At unit variances, in rho."""
        return polynomials.normalized(self.f, self.g)

    def at_ratio(self, sign: int) -> sp.Expr:
        """E f(u) g(u) or E f(u) g(-u), in q1."""
        return polynomials.expression_at_ratio(self.f, self.g, sign)

    def at_zero_variance(self, v1: sp.Expr, v2: sp.Expr) -> sp.Expr:
        """E f(u) E g(v)."""
        return self.f.exact_moment(0, v1) * self.g.exact_moment(0, v2)

    @cached_property
    def _arrays(self) -> tuple[PolynomialArrays, PolynomialArrays]:
        left = PolynomialArrays(self.f)
        return left, left if self.g is self.f else PolynomialArrays(self.g)

    def values(self, a: Array, b: Array, cov: Array) -> Array:
        """float64 values; their errors are shares of sqrt(E f(u)^2 E g(v)^2)."""
        left, right = self._arrays
        out = np.empty(a.shape)
        flat = [np.ascontiguousarray(v).reshape(-1) for v in (a, b, cov)]
        target = out.reshape(-1)
        for first in range(0, target.size, _CHUNK):
            v1, v2, c = (v[first : first + _CHUNK] for v in flat)
            size = np.sqrt(v1) * np.sqrt(v2)
            rho = np.divide(c, size, out=np.zeros_like(c), where=size > 0)
            p, r = left.coefficients(v1), right.coefficients(v2)
            total = np.zeros(c.size)
            for k in range(min(p.shape[1], r.shape[1]) - 1, -1, -1):
                total = total * rho + p[:, k] * r[:, k]
            target[first : first + _CHUNK] = total
        return out
