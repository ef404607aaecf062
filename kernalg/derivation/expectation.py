"""E[f(u) g(v)] as a symbol on the page, and its value by quadrature that knows nothing of the engine."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from numpy.polynomial.legendre import leggauss

from kernalg.gaussian.pieces import pieces
from kernalg.symbols import c, normal_cdf, q1, q2, x

_NODES = 160
_REACH = 13.0  # standard deviations: the density beyond is below 1e-37


class Expectation(sp.Expr):
    """E[f(u) g(v)] over the centred Gaussian pair with variances q1, q2 and covariance c; f, g are written in x."""

    def __new__(cls, f: Any, g: Any) -> Expectation:
        return sp.Expr.__new__(cls, sp.S(f), sp.S(g))

    @property
    def free_symbols(self) -> set[sp.Basic]:
        return ((self.args[0].free_symbols | self.args[1].free_symbols) - {x}) | {q1, q2, c}

    def _latex(self, printer: Any) -> str:
        f, g = (printer._print(a.subs(x, sp.Symbol(s))) for a, s in zip(self.args, "uv", strict=True))
        return (
            rf"\mathbb{{E}}\left[\left({f}\right)\left({g}\right)\right]"
            if g != "1"
            else rf"\mathbb{{E}}\left[{f}\right]"
        )

    def _sympystr(self, printer: Any) -> str:
        f, g = (printer._print(a.subs(x, sp.Symbol(s))) for a, s in zip(self.args, "uv", strict=True))
        return f"E[({f})*({g})]"


def quadrature(expectation: Expectation, at: dict[sp.Symbol, sp.Expr]) -> float:
    """Tensor Gauss-Legendre, split at the breakpoints of f and of g; about 12 digits.

    With u = s1 z1, v = (c/s1) z1 + sqrt(D)/s1 z2 the breakpoints of g are lines in (z1, z2): the inner panels move
    with z1, so that both integrands are smooth on every panel.
    """
    f, g = (e.subs(at) for e in expectation.args)
    v1, v2, cov = (float(at[s]) for s in (q1, q2, c))
    s1 = np.sqrt(v1)
    slope, spread = cov / s1, np.sqrt(v1 * v2 - cov**2) / s1
    nodes, weights = leggauss(_NODES)
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


def _panels(points: list[float]) -> list[tuple[float, float]]:
    edges = [-_REACH, *(min(max(p, -_REACH), _REACH) for p in points), _REACH]
    return list(pairwise(edges))


def _numeric(branch: sp.Expr, values: np.ndarray) -> np.ndarray:
    """A smooth branch on an array; SciPy's erf, because NumPy has none."""
    from scipy.special import erf, erfc, erfi, ndtr

    modules = [{"normal_cdf": ndtr, "erf": erf, "erfc": erfc, "erfi": erfi}, "numpy"]
    opaque = branch.replace(normal_cdf, sp.Function("normal_cdf"))
    out = np.asarray(sp.lambdify(x, opaque, modules)(values))
    return np.broadcast_to(out.real, values.shape)  # a real function may be spelt with conjugate exponentials
