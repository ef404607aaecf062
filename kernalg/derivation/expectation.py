"""Expectations as symbols on the page, and their values by quadrature that knows nothing of the engine."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from numpy.polynomial.legendre import leggauss
from sympy.printing.precedence import PRECEDENCE

from kernalg.gaussian.pieces import pieces
from kernalg.symbols import c, normal_cdf, q1, q2, x

NODES = 160
_REACH = 13.0  # standard deviations: the density beyond is below 1e-37


class Expectation(sp.Expr):
    """E[f(u) g(v)] over the centred Gaussian pair with variances q1, q2 and covariance c; f, g are written in x.

    `doit` carries out polynomials times exponentials of linear functions (sines and cosines among them) by the
    moment generating function, and leaves everything else alone.

    Examples
    --------
    >>> Expectation(x**2, x**2).doit()
    2*c**2 + q1*q2
    """

    def __new__(cls, f: Any, g: Any) -> Expectation:
        return sp.Expr.__new__(cls, sp.S(f), sp.S(g))

    @property
    def free_symbols(self) -> set[sp.Basic]:
        return ((self.args[0].free_symbols | self.args[1].free_symbols) - {x}) | {q1, q2, c}

    def _eval_subs(self, old: sp.Basic, new: sp.Basic) -> sp.Basic | None:
        return self if old == x else None  # x is bound

    def doit(self, **_: Any) -> sp.Expr:
        f, g = (_exponential_polynomial(a) for a in self.args)
        if f is None or g is None:
            return self
        return sp.expand(
            sp.Add(
                *(
                    weight_u * weight_v * _moment(n, rate_u, m, rate_v)
                    for n, rate_u, weight_u in f
                    for m, rate_v, weight_v in g
                )
            )
        )

    def _latex(self, printer: Any) -> str:
        f, g = (a.subs(x, sp.Symbol(s, real=True)) for a, s in zip(self.args, "uv", strict=True))
        if f == 1 or g == 1:
            return rf"\mathbb{{E}}\left[{printer._print(f * g)}\right]"
        texts = [
            rf"\left({printer._print(a)}\right)"
            if a.could_extract_minus_sign()
            else printer.parenthesize(a, PRECEDENCE["Mul"], strict=True)
            for a in (f, g)
        ]
        return rf"\mathbb{{E}}\left[{texts[0]} \, {texts[1]}\right]"

    def _sympystr(self, printer: Any) -> str:
        f, g = (printer._print(a.subs(x, sp.Symbol(s))) for a, s in zip(self.args, "uv", strict=True))
        return f"E[({f})*({g})]"


class Mean(sp.Expr):
    """E[f(X)] of one centred Gaussian variable X of variance q, printed u, v or Z when q is q1, q2 or 1.

    Examples
    --------
    >>> Mean(x**4, q1), Mean(x**4, q1).doit()
    (E[u**4], 3*q1**2)
    """

    def __new__(cls, f: Any, q: Any = 1) -> Mean:
        return sp.Expr.__new__(cls, sp.S(f), sp.S(q))

    @property
    def free_symbols(self) -> set[sp.Basic]:
        return (self.args[0].free_symbols - {x}) | self.args[1].free_symbols

    def _eval_subs(self, old: sp.Basic, new: sp.Basic) -> sp.Basic | None:
        return self if old == x else None

    def doit(self, **_: Any) -> sp.Expr:
        f, q = _exponential_polynomial(self.args[0]), self.args[1]
        if f is None:
            return self
        return sp.expand(sp.Add(*(weight * _moment(n, rate, 0, sp.S.Zero).subs(q1, q) for n, rate, weight in f)))

    def _variable(self) -> sp.Symbol:
        return sp.Symbol({q1: "u", q2: "v", sp.S.One: "Z"}.get(self.args[1], "X"), real=True)

    def _latex(self, printer: Any) -> str:
        variable = self._variable()
        law = rf"_{{X \sim N(0, {printer._print(self.args[1])})}}" if variable.name == "X" else ""
        return rf"\mathbb{{E}}{law}\left[{printer._print(self.args[0].subs(x, variable))}\right]"

    def _sympystr(self, printer: Any) -> str:
        variable = self._variable()
        law = f"[X ~ N(0, {self.args[1]})]" if variable.name == "X" else ""
        return f"E{law}[{printer._print(self.args[0].subs(x, variable))}]"


def _exponential_polynomial(f: sp.Expr) -> list[tuple[int, sp.Expr, sp.Expr]] | None:
    """f as a sum of weight * x^n * exp(rate x), or None when it is not one."""
    out = []
    if f.has(sp.sin, sp.cos, sp.sinh, sp.cosh):
        f = f.rewrite(sp.exp)
    for term in sp.Add.make_args(sp.expand(f.doit())):
        weight, rest = term.as_independent(x, as_Add=False)
        degree, rate = 0, sp.S.Zero
        for factor in sp.Mul.make_args(rest):
            base, power = factor.as_base_exp()
            if isinstance(factor, sp.exp):
                slope = sp.diff(factor.args[0], x)
                if slope.has(x):
                    return None
                rate += slope
                weight *= sp.exp(sp.expand(factor.args[0] - slope * x))
            elif base == x and power.is_Integer and power > 0:
                degree += int(power)
            elif factor != 1:
                return None
        out.append((degree, rate, weight))
    return out


@cache
def _moment(n: int, rate_u: sp.Expr, m: int, rate_v: sp.Expr) -> sp.Expr:
    """E[u^n e^(rate_u u) v^m e^(rate_v v)]: n! m! times the coefficient of s^n t^m in the generating function."""
    s, t = sp.Dummy("s"), sp.Dummy("t")
    a, b = rate_u + s, rate_v + t
    exponent = sp.Poly((a**2 * q1 + 2 * a * b * c + b**2 * q2) / 2, s, t)
    at_rates = exponent.coeff_monomial(1)
    power, total = sp.Poly(1, s, t), sp.S.Zero
    for k in range(n + m + 1):
        total += power.coeff_monomial(s**n * t**m) / sp.factorial(k)
        power *= exponent - at_rates
    return sp.factorial(n) * sp.factorial(m) * sp.expand(total) * sp.exp(sp.expand(at_rates))


def quadrature(expectation: Expectation | Mean, at: dict[sp.Symbol, sp.Expr], size: int = NODES) -> float:
    """Gauss-Legendre with `size` nodes on panels split at the breakpoints; about 12 digits.

    With u = s1 z1, v = (c/s1) z1 + sqrt(D)/s1 z2 the breakpoints of g are lines in (z1, z2): the inner panels move
    with z1, so that both integrands are smooth on every panel.
    """
    if isinstance(expectation, Mean):
        return _one_dimensional(expectation, at, size)
    f, g = (e.subs(at) for e in expectation.args)
    v1, v2, cov = (float(at[s]) for s in (q1, q2, c))
    s1 = np.sqrt(v1)
    slope, spread = cov / s1, np.sqrt(v1 * v2 - cov**2) / s1
    nodes, weights = leggauss(size)
    f_parts, g_parts = pieces(f), pieces(g)
    total = 0.0
    for (a, b), f_branch in zip(_panels([float(t) / s1 for t in f_parts.breakpoints]), f_parts.branches, strict=True):
        z1 = (a + b) / 2 + (b - a) / 2 * nodes
        w1 = (b - a) / 2 * weights * np.exp(-(z1**2) / 2) / np.sqrt(2 * np.pi)
        f_values = _numeric(f_branch, s1 * z1)
        edges = [np.full_like(z1, -_REACH)]
        edges += [np.clip((float(t) - slope * z1) / spread, -_REACH, _REACH) for t in g_parts.breakpoints]
        edges.append(np.full_like(z1, _REACH))
        inner = np.zeros_like(z1)
        for low, high, g_branch in zip(edges, edges[1:], g_parts.branches, strict=False):
            z2 = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * nodes
            density = np.exp(-(z2**2) / 2) / np.sqrt(2 * np.pi)
            inner += ((_numeric(g_branch, slope * z1[:, None] + spread * z2) * density) @ weights) * (high - low) / 2
        total += float(np.sum(w1 * f_values * inner))
    return total


def _one_dimensional(mean: Mean, at: dict[sp.Symbol, sp.Expr], size: int) -> float:
    parts = pieces(mean.args[0].subs(at))
    scale = float(sp.sqrt(mean.args[1].subs(at)))
    nodes, weights = leggauss(size)
    total = 0.0
    for (a, b), branch in zip(_panels([float(t) / scale for t in parts.breakpoints]), parts.branches, strict=True):
        z = (a + b) / 2 + (b - a) / 2 * nodes
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        total += float(np.sum((b - a) / 2 * weights * density * _numeric(branch, scale * z)))
    return total


def _panels(points: list[float]) -> list[tuple[float, float]]:
    edges = [-_REACH, *(min(max(p, -_REACH), _REACH) for p in points), _REACH]
    return list(pairwise(edges))


def _numeric(branch: sp.Expr, values: np.ndarray) -> np.ndarray:
    """A smooth branch on an array; SciPy's erf, because NumPy has none."""
    modules: list[Any] = ["numpy"]
    if branch.has(sp.erf, sp.erfc, sp.erfi, normal_cdf):  # the import takes a quarter of a second
        from scipy.special import erf, erfc, erfi, ndtr

        modules = [{"normal_cdf": ndtr, "erf": erf, "erfc": erfc, "erfi": erfi}, *modules]
    opaque = branch.replace(normal_cdf, sp.Function("normal_cdf"))
    out = np.asarray(sp.lambdify(x, opaque, modules)(values))
    return np.broadcast_to(out.real, values.shape)  # a real function may be spelt with conjugate exponentials
