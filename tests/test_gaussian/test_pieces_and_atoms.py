"""Piecewise functions become branches, branches become atoms."""

from __future__ import annotations

import pytest
import sympy as sp

from kernalg.errors import NoClosedForm
from kernalg.gaussian.atoms import Atom, decompose, from_pieces, multiply
from kernalg.gaussian.pieces import pieces
from kernalg.gaussian.series import differentiate
from kernalg.symbols import normal_cdf, x

half = sp.Rational(1, 2)
t = sp.Symbol("t", positive=True)

FUNCTIONS = [
    sp.Max(x, 0),
    sp.Abs(x - 1) + sp.Abs(x + 1),
    sp.Max(-1, sp.Min(1, x)),
    sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)),
    sp.Max(x**2 - 2, 0),
    sp.Abs(sp.Abs(x) - 1),
    sp.exp(-sp.Abs(x)),
    sp.Heaviside(x - half) - sp.Heaviside(-x - half),
    sp.Max(sp.exp(x) - 2, 0),
    sp.sin(2 * x + 1) * sp.exp(-(x**2)),
    sp.cosh(x) * (1 + sp.erf(x / 3)),
    x * normal_cdf(-2 * x + 1),
    (x + sp.sin(x)) ** 3,
    2**x,
]


@pytest.mark.parametrize("phi", FUNCTIONS, ids=str)
def test_atoms_sum_to_the_function(phi: sp.Expr) -> None:
    total = sp.Add(*(a.expr for a in decompose(phi)))
    for point in (
        -3,
        -sp.Rational(7, 5),
        -sp.Rational(1, 7),
        sp.Rational(1, 9),
        sp.Rational(4, 5),
        sp.Rational(9, 4),
        7,
    ):
        difference = sp.N((total - phi).subs(x, point), 30)
        assert abs(difference) < sp.Float("1e-24") * (1 + abs(sp.N(phi.subs(x, point)))), point


@pytest.mark.parametrize("phi", FUNCTIONS, ids=str)
def test_derivative_almost_everywhere(phi: sp.Expr) -> None:
    slope = sp.Add(*(a.expr for a in from_pieces(differentiate(pieces(phi)))))
    for point in (-sp.Rational(16, 5), -sp.Rational(1, 7), sp.Rational(4, 5), sp.Rational(9, 4)):
        parts = pieces(phi)
        branch = parts.branches[sum(1 for b in parts.breakpoints if sp.N(point - b) > 0)]
        expected = sp.N(sp.diff(branch, x).subs(x, point), 30)
        assert abs(sp.N(slope.subs(x, point), 30) - expected) < sp.Float("1e-24") * (1 + abs(expected))


def test_breakpoints_are_exact_and_only_where_something_changes() -> None:
    assert pieces(sp.Max(x, 0) + sp.Min(x, 0)).breakpoints == ()
    assert pieces(sp.Max(x**2 - 2, 0)).breakpoints == (-sp.sqrt(2), sp.sqrt(2))
    assert pieces(sp.Max(-t, sp.Min(t, x))).breakpoints == (-t, t)


def test_a_growing_exponential_keeps_its_step_on_the_left() -> None:
    elu = decompose(sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)))
    grown = [a for a in elu if a.linear == 1]
    assert [a.gate.sign for a in grown if a.gate] == [-1]
    assert all(a.gate is not None for a in grown)


def test_steps_open_outwards_from_mirrored_breakpoints() -> None:
    gates = [a.gate for a in decompose(sp.Max(-1, sp.Min(1, x))) if a.gate]
    assert {(g.shift, g.sign) for g in gates} == {(-1, 1), (1, -1)}
    assert len(decompose(sp.Max(x + half, 0))) == 2  # one-sided: fewest atoms


def test_products_of_steps() -> None:
    right, left = decompose(sp.Heaviside(x - 1)), decompose(sp.Heaviside(2 - x))
    assert {a.expr for a in multiply(right, left)} == {sp.Heaviside(x - 1), -sp.Heaviside(x - 2)}
    assert multiply(decompose(sp.Heaviside(x - 2)), decompose(sp.Heaviside(1 - x))) == ()
    assert multiply((Atom(sp.S.One),), right) == right


@pytest.mark.parametrize(
    ("phi", "culprit"),
    [
        (sp.tanh(x), "tanh"),
        (1 / x, "1/x"),
        (sp.exp(x**3), "quadratic"),
        (sp.erf(x) ** 2, "two thresholds"),
        (sp.Heaviside(x) * sp.erf(x), "two thresholds"),
        (sp.sin(x**2), "linear"),
        (x**100, "limit"),
        (((x**10 + 1) ** 10 + 1) ** 10, "x\\^80"),
        ((sp.sin(x) + x) ** 40, "terms; the limit"),
        (sp.Max(sp.Symbol("y", real=True) * x, 0), "declare"),
        (sp.erf(sp.Symbol("y", real=True) * x), "declare"),
        (sp.Abs(sp.sin(x)), "breakpoints"),
        (sp.Max(x - sp.Symbol("s", real=True), 0) + sp.Max(x, 0), "sign"),
    ],
    ids=str,
)
def test_refusals_name_what_stands_in_the_way(phi: sp.Expr, culprit: str) -> None:
    with pytest.raises(NoClosedForm, match=culprit):
        decompose(phi)
