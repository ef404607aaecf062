"""The derivation of a long polynomial's dual: one step, checked against its Hermite series."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.engine import derivation
from kernalg.symbols import x


def test_mehlers_sum_is_derived_and_checked() -> None:
    eight = x**8 - 28 * x**6 + 210 * x**4 - 420 * x**2 + 105
    phi = ka.activation(sp.sqrt(2) * eight / 50 + sp.sqrt(3) * (x**7 - 21 * x**5 + 105 * x**3 - 105 * x) / 30 + x)
    for dual in (phi.dual, phi.dual.derivative, ka.cross_dual(phi, "x**2")):
        made = derivation(dual)
        assert made.steps[1].rhs == dual.expr
    assert "Price's theorem" in derivation(phi.dual).markdown()
    assert repr(phi.dual) == "<dual of polynomial of degree 8: Mehler's sum of degree 8>"
