"""The whole class through `Dual`: tails, singular pairs, means, variance derivatives, complex arguments, refusals."""

from __future__ import annotations

import time

import numpy as np
import pytest
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.enclosure.balls import enclose, precision
from kernalg.errors import DomainError, NoClosedForm
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.symbols import c, q1, q2, x

AT = {q1: sp.Rational(3, 2), q2: sp.Rational(2, 3), c: -sp.Rational(2, 5)}
near_one = 1 - sp.Rational(1, 10**12)


@pytest.mark.parametrize("name", ["elu", "celu", "selu", "exp(x)*Heaviside(-x)"])
def test_fifty_digits_at_every_variance(name: str) -> None:
    """exp(q/2) times a tail: the balls are relative to the tail, so neither size nor correlation matters."""
    dual = ka.activation(name).dual
    start = time.process_time()
    for q in (sp.Rational(1, 10**8), sp.S.One, sp.Integer(10**4), sp.Integer(10**6)):
        for rho in (sp.S.Half, -near_one, near_one):
            value = dual.enclosure(q, 4 * q, 2 * q * rho, digits=50)
            assert value.rel_accuracy_bits() > 160
    assert time.process_time() - start < 6  # twelve values, at most half a second each


@pytest.mark.parametrize("q", [sp.Rational(1, 100), sp.Integer(400)])
def test_a_large_variance_against_quadrature(q: sp.Expr) -> None:
    dual = ka.activation("elu").dual
    truth = certified_expectation(*dual.pieces, q, q, -q / 3, 30)
    with precision(200):
        value = dual.enclosure(q, q, -q / 3, digits=40)
        assert value.overlaps(truth) and not (value * (1 + arb("1e-25"))).overlaps(truth)


@pytest.mark.parametrize("name", ["relu", "elu", "hard_tanh", "gelu", "max(x,0)*sin(x)"])
@pytest.mark.parametrize("sign", [1, -1])
def test_proportional_variables_of_unequal_variance(name: str, sign: int) -> None:
    """c = ±sqrt(q1 q2): v is a multiple of u. The value is the limit of its neighbours."""
    dual = ka.activation(name).dual
    value = dual.value(1, 4, 2 * sign, digits=20)
    beside = dual.value(1, 4, sp.Integer(2 * sign) * (1 - sp.Rational(1, 10**16)), digits=20)
    assert abs(value - beside) < sp.Float("1e-12")


@pytest.mark.parametrize("name", ["relu", "gelu", "hard_tanh", "elu", "exp(-x**2)", "sin(x)*normal_cdf(x)"])
def test_heat_equation(name: str) -> None:
    """d2k/dc2 = 4 d2k/dq1 dq2, and the first derivative against a central difference in balls."""
    dual = ka.activation(name).dual
    slope = dual.variance_derivative(1)
    left, right = sp.diff(dual.distributional.expr, c), 4 * sp.diff(slope, q2)
    assert enclose(left, AT, 30).overlaps(enclose(right, AT, 30))
    h = sp.Rational(1, 10**12)
    up, down = (enclose(dual.expr, {**AT, q1: AT[q1] + s * h}, 60) for s in (1, -1))
    with precision(300):
        step = arb(10) ** -12
        assert abs((up - down) / (2 * step) - enclose(slope, AT, 50)) < 1e-20
    mirrored = dual.variance_derivative(2).subs({q1: q2, q2: q1}, simultaneous=True)
    assert enclose(mirrored, AT, 30).overlaps(enclose(slope, AT, 30))
    with pytest.raises(DomainError, match="1 for"):
        dual.variance_derivative(3)


def test_means_are_shifts_and_may_be_symbols() -> None:
    m, n = sp.symbols("m n", real=True)
    relu, erf = ka.activation("relu"), ka.activation("erf")
    formula = ka.cross_dual(relu.shifted(m), erf.shifted(n)).expr
    at = {m: sp.Rational(1, 3), n: -sp.Rational(3, 4)}
    f, g = relu.shifted(at[m]), erf.shifted(at[n])
    truth = certified_expectation(f.pieces, g.pieces, AT[q1], AT[q2], AT[c], 30)
    assert enclose(formula, {**AT, **at}, 40).overlaps(truth)


def test_arrays_of_a_formula_that_float64_code_does_not_know() -> None:
    dual = ka.activation("sin(x)*Heaviside(x-1)").dual
    points = [(1, 1, "1/2"), (2, 1, "-1/3"), (1, 1, 1)]
    numbers = [[float(sp.Rational(v)) for v in p] for p in points]
    for d in (dual, dual.derivative):
        assert d(*np.array(numbers).T) == pytest.approx([float(d.value(*p, digits=17)) for p in points], rel=1e-13)
    jump = dual.distributional
    assert jump(1.0, 2.0, [0.5]) == pytest.approx([float(jump.value(1, 2, "1/2", digits=17))], rel=1e-15)
    with pytest.raises(DomainError, match="at most 2000"):
        jump(1.0, 2.0, np.full(3000, 0.5))


def test_refusals_say_what_to_do() -> None:
    y = sp.Symbol("y", real=True)
    square = ka.activation("exp(x**2)").dual
    assert abs(square.value("1/10", "1/10", 0, digits=20) - sp.Rational(5, 4)) < sp.Float("1e-19")
    with pytest.raises(DomainError, match=r"infinite at q1 = 1.*smaller variances"):
        square.value(1, 1, 0)
    with pytest.raises(DomainError, match="free parameters y; give them values"):
        ka.activation(x * y).dual.value(1, 1, 0)
    with pytest.raises(NoClosedForm, match="positive=True"):
        _ = ka.activation(sp.Max(x * y, 0)).dual.expr
    for stranger in (q1, c):
        with pytest.raises(DomainError, match="stand for the Gaussian pair"):
            ka.activation(sp.Max(x - stranger, 0))
    with pytest.raises(NoClosedForm, match=r"limit of 60.*dual.value"):
        _ = ka.activation(((x**10 + 1) ** 10 + 1) ** 10).dual.expr
