"""Two spellings of one activation give the identical formulas; equal formulas are equal SymPy objects."""

from __future__ import annotations

import pytest
import sympy as sp

from kernalg.activation.activation import Activation
from kernalg.symbols import normal_cdf, x

t, a, b = sp.symbols("t a b", positive=True)
s, m = sp.symbols("s m", real=True)
H, half, root = sp.Heaviside, sp.Rational(1, 2), sp.sqrt(2)
relu, elu = sp.Max(x, 0), sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))
clip = sp.Max(-1, sp.Min(1, x))
selu = sp.Piecewise((a * x, x > 0), (a * b * (sp.exp(x) - 1), True))
parabola = sp.Piecewise((x**2, x < 0), (0, True))

PAIRS = [
    # rectifiers
    (relu, (x + sp.Abs(x)) / 2),
    (relu, x * H(x)),
    (relu, sp.Piecewise((x, x > 0), (0, True))),
    (relu, sp.Piecewise((0, x <= 0), (x, True))),
    (relu, sp.Piecewise((0, x < 0), (x, True))),
    (relu, x * (1 + sp.sign(x)) / 2),
    (relu, -sp.Min(-x, 0)),
    (relu, x - sp.Min(x, 0)),
    (relu, (x + sp.sqrt(x**2)) / 2),
    (relu, sp.Max(x, 0, -sp.Abs(x))),
    (relu**2, x * relu),
    (relu**2, x**2 * H(x)),
    (relu**2, (x**2 + x * sp.Abs(x)) / 2),
    (sp.Abs(x), sp.sqrt(x**2)),
    (sp.Abs(x), sp.Max(x, -x)),
    (sp.Abs(x), x * sp.sign(x)),
    (sp.sign(x), 2 * H(x) - 1),
    (sp.sign(x), H(x) - H(-x)),
    (relu + s * sp.Min(x, 0), sp.Piecewise((x, x > 0), (s * x, True))),
    (relu + s * sp.Min(x, 0), s * x + (1 - s) * relu),
    (sp.Max(x, x / 5), relu + sp.Min(x, 0) / 5),
    # thresholds, clips and their breakpoints
    (H(x - half) - H(-x - half), H(x - half) + H(x + half) - 1),
    (H(x) * H(1 - x), H(x) - H(x - 1)),
    (H(x) * H(1 - x), sp.Piecewise((0, x < 0), (1, x < 1), (0, True))),
    (H(x) * H(x - 1), H(x - 1)),
    (H(x) ** 2, H(x)),
    (clip, sp.Min(1, sp.Max(-1, x))),
    (clip, (sp.Abs(x + 1) - sp.Abs(x - 1)) / 2),
    (clip, sp.Piecewise((-1, x < -1), (x, x < 1), (1, True))),
    (clip, sp.Piecewise((1, x >= 1), (-1, x <= -1), (x, True))),
    (clip, sp.Piecewise((1, x > 1), (x, x > 0), (x, x > -1), (-1, True))),
    (clip, relu - sp.Max(x - 1, 0) + sp.Min(x, 0) - sp.Min(x + 1, 0)),
    (sp.Max(-t, sp.Min(t, x)), (sp.Abs(x + t) - sp.Abs(x - t)) / 2),
    (sp.Max(-t, sp.Min(t, x)), t * sp.Max(-1, sp.Min(1, x / t))),
    (sp.Min(relu, 6), relu - sp.Max(x - 6, 0)),
    (sp.Min(relu, 6), sp.Piecewise((6, x > 6), (x, x > 0), (0, True))),
    (parabola, sp.Piecewise((sp.Piecewise((x**2, x < -1), (x**2, True)), x <= 0), (0, x < 3), (0, True))),
    (sp.Max(x - half, 0) + sp.Min(x + half, 0), sp.sign(x) * sp.Max(sp.Abs(x) - half, 0)),
    (sp.Max(x + t, 0), sp.Piecewise((x + t, x > -t), (0, True))),
    # error functions
    (normal_cdf(x), (1 + sp.erf(x / root)) / 2),
    (normal_cdf(x), 1 - normal_cdf(-x)),
    (sp.erf(x), 1 - sp.erfc(x)),
    (sp.erf(x), 2 * normal_cdf(root * x) - 1),
    (sp.erfc(-x), 1 + sp.erf(x)),
    (x * normal_cdf(x), x * (1 + sp.erf(x / root)) / 2),
    (x * normal_cdf(x), x - x * normal_cdf(-x)),
    (a * sp.erf(b * x), -a * sp.erf(-b * x)),
    (normal_cdf(x / t), normal_cdf(-x / t) * -1 + 1),
    (sp.erf(x + 1), -sp.erf(-x - 1)),
    (sp.erf(1) * x, (2 * normal_cdf(root) - 1) * x),
    # trigonometry
    (sp.sin(x) ** 2, (1 - sp.cos(2 * x)) / 2),
    (sp.cos(x) ** 2, 1 - sp.sin(x) ** 2),
    (sp.sin(x) * sp.cos(x), sp.sin(2 * x) / 2),
    (sp.sin(x + 1), sp.sin(x) * sp.cos(1) + sp.cos(x) * sp.sin(1)),
    (sp.sin(x + 1) ** 2, (1 - sp.cos(2 * x + 2)) / 2),
    (sp.sin(x + 1) * sp.cos(x + 1), sp.sin(2 * x + 2) / 2),
    (sp.cos(x - sp.pi / 3), sp.cos(x) / 2 + sp.sqrt(3) * sp.sin(x) / 2),
    (root * sp.sin(x + sp.pi / 4), sp.sin(x) + sp.cos(x)),
    (sp.sin(3 * x), 3 * sp.sin(x) - 4 * sp.sin(x) ** 3),
    (sp.sin(a * x) ** 2 / a, (1 - sp.cos(2 * a * x)) / (2 * a)),
    (relu * sp.sin(x), x * sp.sin(x) * H(x)),
    (relu * sp.sin(x + 1), relu * (sp.sin(x) * sp.cos(1) + sp.cos(x) * sp.sin(1))),
    (sp.Abs(x) * sp.sin(x), x * sp.sin(sp.Abs(x))),
    # exponentials
    (sp.sinh(x), (sp.exp(x) - sp.exp(-x)) / 2),
    (sp.cosh(x), sp.exp(x) - sp.sinh(x)),
    (sp.sinh(x + 1), sp.sinh(x) * sp.cosh(1) + sp.cosh(x) * sp.sinh(1)),
    (sp.cosh(x) ** 2, (1 + sp.cosh(2 * x)) / 2),
    (sp.exp(x) ** 2, sp.exp(2 * x)),
    (sp.exp(x + 1), sp.E * sp.exp(x)),
    (sp.Pow(4, x), sp.Pow(2, 2 * x)),
    (sp.exp(-((x - 1) ** 2)), sp.exp(-(x**2)) * sp.exp(2 * x) / sp.E),
    (sp.exp(-sp.Abs(x)), sp.Piecewise((sp.exp(x), x < 0), (sp.exp(-x), True))),
    (elu, relu + sp.Min(sp.exp(x) - 1, 0)),
    (elu, sp.Piecewise((sp.exp(x) - 1, x <= 0), (x, True))),
    (elu, relu + (sp.exp(x) - 1) * H(-x)),
    (elu, relu + sp.exp(sp.Min(x, 0)) - 1),
    (selu, a * (relu + b * sp.exp(sp.Min(x, 0)) - b)),
    (selu, sp.Piecewise((a * b * sp.exp(x) - a * b, x < 0), (a * x, True))),
    # polynomials and parameters
    (x**3 - 2 * x + 1, (x - 1) * (x**2 + x - 1)),
    ((x + m) ** 2, x**2 + 2 * m * x + m**2),
    ((a**2 - b**2) / (a + b) * x**2, (a - b) * x**2),
    (x / (a + 1) + a * x / (a + 1) + sp.exp(-(x**2)), x + sp.exp(-(x**2))),
    (x**2 / (1 + root), (root - 1) * x**2),
    ((sp.sin(1) ** 2 + sp.cos(1) ** 2) * relu, relu),
]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=[f"{p}|{q}" for p, q in PAIRS])
def test_two_spellings_have_one_dual(left: sp.Expr, right: sp.Expr) -> None:
    first, second = Activation(left, "phi").dual, Activation(right, "phi").dual
    assert sp.srepr(first.expr) == sp.srepr(second.expr)
    assert sp.srepr(first.derivative.expr) == sp.srepr(second.derivative.expr)
    assert sp.srepr(first.distributional.expr) == sp.srepr(second.distributional.expr)
    assert sp.srepr(first.diagonal) == sp.srepr(second.diagonal)
    assert sp.srepr(first.antidiagonal) == sp.srepr(second.antidiagonal)
