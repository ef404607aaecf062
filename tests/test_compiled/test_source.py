"""Freezing: what is accepted, what the rewrites do, and that both arithmetics mean the formula."""

import math

import mpmath as mp
import pytest
import sympy as sp

from kernalg.compiled.printers import float64_lines, is_guarded
from kernalg.compiled.source import Frozen, double_double, freeze
from kernalg.errors import DomainError, NoClosedForm
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, x

t = sp.Symbol("t", real=True)
ROOT = sp.sqrt(q1 * q2 - c**2)


def operations(frozen: Frozen):
    return [node.value if node.op == "call" else node.op for node in frozen.nodes]


def interpret(expr, symbols, values):
    """Run the float64 statements line by line with Python's floats: an independent reading of the text."""
    frozen = freeze([expr], symbols)
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, names = float64_lines(frozen, frozen.outputs, given, guard=2.0**-10)
    scope = {
        name: getattr(math, name)
        for name in ("sqrt", "exp", "sin", "cos", "sinh", "cosh", "erf", "erfc", "log", "log1p")
    }
    scope |= {"atan2": math.atan2, "normal_cdf": lambda z: math.erfc(-z / math.sqrt(2)) / 2, "abs": abs, "bad": False}
    scope["exp_sinh"] = lambda a, b: math.exp(a) * math.sinh(b)
    scope["exp_cosh"] = lambda a, b: math.exp(a) * math.cosh(b)
    scope |= {s.name: v for s, v in zip(symbols, values, strict=True)}
    exec("\n".join(lines), scope)  # noqa: S102  # text of our own printer
    return scope.get(names[0], None) if names[0] in scope else float(names[0]), scope["bad"]


FORMULAS = [
    c * (sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)) + ROOT / (2 * sp.pi),
    sp.acos(c / sp.sqrt(q1 * q2)) - sp.atan(c),
    2 / sp.pi * sp.asin(2 * c / sp.sqrt((1 + 2 * q1) * (1 + 2 * q2))),
    sp.exp(-(q1 + q2) / 2) * sp.sinh(c) + sp.exp(q1 - q2 + c) + sp.exp(sp.Rational(1, 3)),
    c**3 * q1 ** sp.Rational(5, 4) / (1 + q2) ** sp.Rational(3, 2) - q1 ** sp.Rational(1, 3),
    sp.log(1 + q1) * sp.erf(c) + sp.erfc(q2) * sp.cos(c) + sp.sin(c) / sp.cosh(c),
    sp.Abs(c - 1) * sp.sign(c) + sp.Heaviside(c - q1) + sp.Max(q1, q2, c) * sp.Min(q1, 2 * c),
    sp.Piecewise((q1, c < 0), (sp.Piecewise((q2, c >= sp.Rational(1, 10)), (c, True)), c < 1), (q1 * q2, True)),
    normal_cdf(-1 / sp.sqrt(q1)) * sp.atan2(q1, c),
    (q1 * q2 - c**2) ** -2 + (c**2 - q1 * q2) + 1 / (4 * q1 * q2 - 4 * c**2) + 1 / sp.sqrt(1 - c**2 / (q1 * q2)),
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("point", [(1.25, 0.75, 0.3), (2.0, 0.5, -0.625), (0.4, 3.0, 0.05)])
def test_statements_mean_the_formula(formula, point):
    value, _ = interpret(formula, [q1, q2, c], point)
    exact = formula.subs(dict(zip([q1, q2, c], map(sp.Rational, point), strict=True)))
    assert value == pytest.approx(float(sp.N(exact, 30)), rel=1e-13)


def test_common_subexpressions_are_shared():
    quadrant = sp.Rational(1, 4) + sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi)
    frozen = freeze([c * quadrant + ROOT / (2 * sp.pi), quadrant], [q1, q2, c])
    found = operations(frozen)
    assert found.count("atan2") == 1
    assert found.count("leg") == 1
    assert found.count("sqrt") == 2  # of q1 and of q2
    assert len(set(frozen.nodes)) == len(frozen.nodes)


@pytest.mark.parametrize("spelling", [q1 * q2 - c**2, -(c**2) + q1 * q2, sp.expand(3 * (q1 * q2 - c**2)) / 3])
def test_difference_of_squares_is_factored(spelling):
    assert operations(freeze([sp.sqrt(spelling)], [q1, q2, c])) == operations(freeze([ROOT], [q1, q2, c]))
    assert "gap" in operations(freeze([spelling], [q1, q2, c]))


def test_guard_fires_where_a_sum_cancels_and_nowhere_else():
    for value, expected in ((0.0, False), (0.9, False), (0.99999, True), (-0.99999, True)):
        assert interpret(ROOT, [q1, q2, c], (1.0, 1.0, value))[1] is expected
    assert interpret(1 - sp.cos(t), [t], (1e-3,))[1]
    assert not interpret(1 - sp.cos(t), [t], (1.0,))[1]


def test_a_negative_difference_is_no_cancellation():
    value, bad = interpret(1 / (1 + (q1**2 - 1) * c / (q1 - c) + sp.log(q1) / (q1 * q2)), [q1, q2, c], (0.5, 2.0, 0.1))
    assert value == pytest.approx(1 / (1 - 0.075 / 0.4 + math.log(0.5)), rel=1e-14)
    assert not bad


def test_no_guard_on_positive_sums():
    for formula in (1 + 2 * q1 + q1 * q2, sp.exp(-q1) + q2):
        frozen = freeze([formula], [q1, q2, c])
        assert not any(is_guarded(frozen, i) for i in range(len(frozen.nodes)))
    frozen = freeze([q1 - c], [q1, q2, c])
    assert is_guarded(frozen, frozen.outputs[0])


def test_order_does_not_depend_on_the_process():
    """The text names the module file: it must be the same in every process, whatever the hash seed."""
    import subprocess
    import sys

    code = (
        "import sympy as sp; from kernalg.symbols import *; from kernalg.compiled.source import freeze;"
        "print(freeze([c*sp.asin(c/sp.sqrt(q1*q2))*sp.exp(-q1-q2)+sp.sqrt(q1*q2-c**2)*(1+q1)*(2+q2)*(3+c)*sp.sin(c)],"
        "[q1,q2,c]).nodes)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_exponentials_separate_only_when_that_cannot_overflow():
    assert operations(freeze([sp.exp(-q1 - q2)], [q1, q2])).count("exp") == 2
    assert operations(freeze([sp.exp(q1 - q2)], [q1, q2])).count("exp") == 1


@pytest.mark.parametrize("number", [sp.pi, sp.Rational(1, 3), sp.sqrt(2) / sp.pi, sp.exp(sp.Rational(-1, 8)), -sp.E])
def test_numbers(number):
    high, low = double_double(number)
    with mp.workdps(60):
        truth = mp.mpf(sp.N(number, 60)._mpf_)
        assert high == float(truth)
        assert abs(mp.mpf(high) + mp.mpf(low) - truth) <= abs(truth) * mp.mpf(2) ** -106


@pytest.mark.parametrize("formula", [sp.gamma(t), sp.tan(t), 2 * sp.besselj(0, t)])
def test_other_functions_are_named(formula):
    (name,) = {f.func.__name__ for f in formula.atoms(sp.Function)}
    with pytest.raises(NoClosedForm, match=name):
        freeze([formula], [t])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (q1 * x, "symbol x"),
        (q1 * sp.I, "real"),
        (q1 + sp.oo * sp.Symbol("z"), "z|real"),
        (q1 + sp.Integer(10) ** 400, "range"),
        (sp.Piecewise((q1, c < 0)), "no value"),
    ],
)
def test_refused(formula, message):
    with pytest.raises(DomainError, match=message):
        frozen = freeze([formula], [q1, q2, c])
        given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
        float64_lines(frozen, frozen.outputs, given, guard=2.0**-10)


def test_bivariate_normal_is_called_with_the_sine():
    """Its last argument is sqrt(1 - r^2), formed from the factored difference."""
    frozen = freeze([bivariate_normal_cdf(1 / sp.sqrt(q1), 2, c / sp.sqrt(q1 * q2))], [q1, q2, c])
    call = frozen.nodes[frozen.outputs[0]]
    assert call.value == "bivariate_normal_cdf"
    assert len(call.args) == 4
