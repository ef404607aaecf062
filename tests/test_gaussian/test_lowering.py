"""Lowered closed forms equal the elementary ones; the moments of one-sided powers against integrals and identities."""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp
from flint import acb, arb, arb_series

import kernalg as ka
from kernalg.enclosure.balls import ball_function, enclose, precision, to_float
from kernalg.errors import DomainError
from kernalg.gaussian.atoms import from_pieces
from kernalg.gaussian.expectation import expectation
from kernalg.gaussian.lowering import lowered_expectation
from kernalg.gaussian.pieces import pieces
from kernalg.symbols import c, q1, q2, rectified_moment, x

third = sp.Rational(1, 3)
POINT = {q1: sp.Rational(3, 2), q2: 2 * third, c: -sp.Rational(2, 5)}
ORDERS = [(0, 0), (1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (4, 1), (2, 2), (3, 2), (5, 2), (4, 4), (6, 6), (9, 4)]
ONE_SIDED = [
    "Max(x, 0)",
    "Heaviside(x)",
    "Max(x, 0)**3 + 2*Max(x, 0)",
    "Min(Max(x, 0), 6)",
    "Max(-x, 0)",
    "Heaviside(-x)",
]


def wedge(n: sp.Expr, m: sp.Expr, rho: mpmath.mpf) -> mpmath.mpf:
    """R int_0^psi sin^n t sin^m(psi - t) dt."""
    a, b = mpmath.mpf(sp.Rational(n).p) / sp.Rational(n).q, mpmath.mpf(sp.Rational(m).p) / sp.Rational(m).q
    psi = mpmath.acos(-rho)
    radial = 2 ** ((a + b) / 2) * mpmath.gamma((a + b) / 2 + 1) / (2 * mpmath.pi)
    return radial * mpmath.quad(lambda t: mpmath.sin(t) ** a * mpmath.sin(psi - t) ** b, [0, psi / 2, psi])


@pytest.mark.parametrize("orders", [*ORDERS, (third, third), (third, 2 * third), (sp.Rational(5, 2), 1)], ids=str)
def test_a_moment_is_the_wedge_integral(orders: tuple[sp.Expr, sp.Expr]) -> None:
    n, m = orders
    with mpmath.workdps(30):
        rho = -mpmath.mpf(2) / 5
        truth = mpmath.mpf(3 / 2) ** (mpmath.mpf(1) / 2 * _mpf(n)) * (mpmath.mpf(2) / 3) ** (_mpf(m) / 2)
        truth *= wedge(n, m, rho)
        moment = rectified_moment(n, m, q1, q2, c).subs(POINT)
        for value in (moment.evalf(25), to_float(enclose(moment, {}, 20), 20), sp.expand_func(moment).evalf(25)):
            assert abs(mpmath.mpf(value._mpf_) / truth - 1) < 1e-12


def _mpf(order: sp.Expr) -> mpmath.mpf:
    return mpmath.mpf(sp.Rational(order).p) / sp.Rational(order).q


@pytest.mark.parametrize("orders", ORDERS, ids=str)
def test_elementary_form_and_derivatives(orders: tuple[int, int]) -> None:
    moment = rectified_moment(*orders, q1, q2, c)
    elementary = sp.expand_func(moment)
    assert not elementary.has(rectified_moment)
    for symbol in (None, q1, q2, c):
        one, other = (e if symbol is None else e.diff(symbol) for e in (moment, elementary))
        assert abs((one - other).subs(POINT).evalf(30)) < 1e-20 * (1 + abs(other.subs(POINT).evalf(30)))
    with precision(300, 6):
        one, other = ball_function(moment, (q1, q2, c)), ball_function(elementary, (q1, q2, c))
        for rho in (arb("-0.3"), arb("0.9"), arb(0), arb(-1) + arb(2) ** -50, arb(1) - arb(2) ** -50, arb(1), arb(-1)):
            assert one(arb(1), arb(1), rho).overlaps(other(arb(1), arb(1), rho))
            assert one(arb(1), arb(1), rho).is_finite()
        inside = acb("0.3", "0.4")
        assert one(acb(2), acb(3), inside, analytic=True).overlaps(other(acb(2), acb(3), inside, analytic=True))
        across_the_cut = acb(arb(3), arb(0, 0.1))
        assert not one(acb(2), acb(3), across_the_cut, analytic=True).is_finite()
        series = arb_series([arb("0.3"), 1, 2])
        for a, b in zip(one(arb(2), arb(3), series), other(arb(2), arb(3), series), strict=True):
            assert a.overlaps(b) and a.rad() < 1e-60


def test_spelling_and_domain() -> None:
    assert rectified_moment(1, 3, q1, q2, c) == rectified_moment(3, 1, q2, q1, c)
    with pytest.raises(DomainError, match="above -1"):
        rectified_moment(-1, 0, q1, q2, c)
    assert "u_+" in sp.latex(rectified_moment(2, 1, q1, q2, c) ** 2)


@pytest.mark.parametrize("formula", ONE_SIDED)
@pytest.mark.parametrize("kind", ["dual", "derivative", "distributional"])
def test_lowered_form_is_the_closed_form(formula: str, kind: str) -> None:
    dual = ka.activation(formula).dual
    dual = dual if kind == "dual" else getattr(dual, kind)
    assert not dual.expr.has(rectified_moment)
    if kind == "dual":
        assert dual.lowered.has(rectified_moment)
    for rho in (-sp.Rational(9, 10), sp.Rational(1, 7)):
        at = {q1: sp.Rational(1, 4), q2: sp.Integer(9), c: rho * sp.Rational(3, 2)}
        assert abs((dual.lowered - dual.expr).subs(at).evalf(30)) < 1e-25


@pytest.mark.parametrize(
    ("f", "g"),
    [("Max(x, 0)", "Max(-x, 0)**2"), ("Heaviside(-x)", "Min(Max(x, 0), 1)"), ("Max(x, 0)", "Abs(x)"), ("erf(x)", "x")],
)
def test_cross_duals(f: str, g: str) -> None:
    dual = ka.cross_dual(f, g)
    assert dual.lowered.has(rectified_moment) == ("Max" in f + g and "Abs" not in g)
    for rho in (-sp.Rational(9, 10), sp.Rational(1, 7)):
        at = {q1: sp.Rational(1, 4), q2: sp.Integer(9), c: rho * sp.Rational(3, 2)}
        assert abs((dual.lowered - dual.expr).subs(at).evalf(30)) < 1e-25
    assert dual(0.25, 9.0, -1.35) == pytest.approx(float(dual.value("1/4", 9, "-27/20", digits=20)), rel=1e-13)


@pytest.mark.parametrize("formula", ["Abs(x)", "Max(x, x/5)", "Max(x - 1, 0)", "Max(-1, Min(1, x))", "erf(x)"])
def test_all_other_activations_are_left_as_they_are(formula: str) -> None:
    parts = pieces(ka.activation(formula).expr)
    assert lowered_expectation(parts, parts) == expectation(from_pieces(parts), from_pieces(parts))


def test_thresholds_elsewhere_stay_with_the_engine() -> None:
    relu6 = pieces(sp.Min(sp.Max(x, 0), 6))
    moments = lowered_expectation(relu6, relu6).atoms(rectified_moment)
    assert moments == {rectified_moment(1, 1, q1, q2, c)}
