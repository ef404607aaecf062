"""Duals of activations that no other test uses, against literal values computed without kernalg.

Each value is a nested Gauss-Legendre quadrature in ball arithmetic (python-flint, 180 bits): panels of 40 nodes over
|z| < 14, split at every breakpoint of both functions and graded towards the images of the second function's
breakpoints. Inside stands E[g(v) | u], outside the Gaussian average of f(u) E[g(v) | u]; derivatives were taken branch
by branch. The branches and breakpoints were written by hand, so neither the reading of a formula into pieces nor the
closed forms are shared with the code under test. Hermite coefficients: one dimension, the same panels, three-term
recurrence.
"""

from __future__ import annotations

import pytest
import sympy as sp

import kernalg as ka

_DIGITS = 28
_THREE_PIECES = "Piecewise((exp(x),x<-1),(x**3/3,x<2/3),(exp(-x),True))"

# formula, second formula of a cross-dual or None, "k" or "d" (derivative dual, almost everywhere), (q1, q2, c), value
_CLOSED = [
    ("x**3*max(x-1,0)", None, "k", ("3/2", "4/5", "-3/5"), "0.0066827641556351956778651502210475"),
    ("max(x,-3)+min(x,sqrt(2))", None, "k", (5, "7/3", 3), "9.0288670964060876120663734872430"),
    ("max(x-sqrt(2),0)**2", None, "d", (2, "3/4", "6/5"), "0.14063398164241148544775358869090"),
    ("sin(3*x)*exp(-x**2/4)", None, "k", ("1/3", "5/2", "-9/10"), "-0.045065291258039498718187340489522"),
    ("erf(x-1/4)*exp(x/3)", None, "k", (2, "1/7", "1/2"), "0.27248161113733880081667102289276"),
    ("erf(x-1/4)*exp(x/3)", None, "d", (1, 1, "999/1000"), "0.79358617963144225047452117527599"),
    (_THREE_PIECES, None, "k", (1, 1, "-999/1000"), "0.0039115247916045839731533708128846"),
    (_THREE_PIECES, None, "d", ("1/4", 3, "4/5"), "0.011639670481914347707349366628327"),
    ("abs(x**2-2)", None, "k", (3, 3, "299/100"), "18.884159791577658641172822044845"),
    ("Heaviside(x+1)*exp(-x)", None, "k", ("2/3", "3/2", "-7/8"), "0.67841044297012252084903151321016"),
    ("max(exp(x)-2,-1/3)", None, "k", ("7/5", "2/9", "1/2"), "0.48713208706458455614568269391590"),
    ("x*erf(2*x+1)", None, "d", (30, "1/500", "-1/5"), "-0.048834275204710297261338560790747"),
    ("exp(-abs(x))", None, "k", (11, "1/9", 1), "0.19467508553441911465384097385223"),
    ("max(0,1-x**2)", None, "d", ("5/4", "5/4", "-6/5"), "-0.49551586298449496188127394831848"),
    ("x**3*max(x-1,0)", "exp(-abs(x))", "k", (2, "1/2", "4/5"), "1.2023005876541767459672175768590"),
    ("max(x-sqrt(2),0)**2", "x*erf(2*x+1)", "k", (1, 2, "-5/4"), "0.088749030922136964678014690408677"),
]

# formula, second formula of a cross-dual or None, (q1, q2, c), value
_WITHOUT_CLOSED_FORM = [
    ("sin(3*x)*exp(-x**2/4)", "Heaviside(x+1)*exp(-x)", (1, 1, "1/3"), "-0.0059554072953920353673131670463345"),
    ("max(x,0)*tanh(x)", None, (2, "1/2", "-9/10"), "0.00060951579756202650783724943393881"),
    ("log(1+x**2)", None, ("3/2", "1/3", "2/5"), "0.21801285861192527666325618838593"),
]


def _agree(value: sp.Expr, literal: str) -> bool:
    truth = sp.Float(literal, 40)
    return bool(abs(sp.N(value, 40) - truth) <= abs(truth) * sp.Float(10, 40) ** -_DIGITS)


@pytest.mark.parametrize(("formula", "second", "kind", "point", "literal"), _CLOSED)
def test_closed_forms(formula, second, kind, point, literal):
    dual = ka.activation(formula).dual if second is None else ka.cross_dual(formula, second)
    dual = dual.derivative if kind == "d" else dual
    assert dual.has_closed_form
    assert _agree(dual.value(*point, digits=32), literal)


@pytest.mark.parametrize(("formula", "second", "point", "literal"), _WITHOUT_CLOSED_FORM)
def test_certified_numbers_without_a_closed_form(formula, second, point, literal):
    dual = ka.activation(formula).dual if second is None else ka.cross_dual(formula, second)
    assert _agree(dual.value(*point, digits=30), literal)


# formula, variance, index, coefficient
_HERMITE = [
    ("max(x-sqrt(2),0)**2", "3/5", 0, "0.0057136039374533215322309267692099"),
    ("max(x-sqrt(2),0)**2", "3/5", 7, "-0.0075004145442986640111207156586831"),
    ("max(x-sqrt(2),0)**2", "3/5", 20, "0.0010699880592964405568256315121538"),
]


@pytest.mark.parametrize(("formula", "variance", "index", "literal"), _HERMITE)
def test_hermite_coefficients(formula, variance, index, literal):
    assert _agree(ka.activation(formula).hermite(20, variance)[index], literal)
