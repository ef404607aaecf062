"""Activations: the catalogue, what is read off, exact Hermite coefficients, what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.enclosure.balls import enclose

EXAMPLES: dict[str, dict[str, Any]] = {
    "abrelu": {"a": "1/10", "b": 2},
    "monomial": {"degree": 3},
    "hermite": {"degree": 4},
    "polynomial": {"coefficients": [1, 0.5, Fraction(1, 3)]},
    "shifted_relu": {"b": "1/2"},
    "threshold": {"t": "1/2"},
    "abs_power": {"p": "3/2"},
    "signed_power": {"p": "1/3"},
    "rectified_power": {"p": "-1/4"},
    "two_sided_power": {"p": "5/2", "a": 2, "b": "-1/3"},
    "piecewise_constant": {"levels": [0, 2, -1], "breakpoints": ["-1/2", 1]},
    "piecewise_linear": {"slopes": [0, "1/2", -1], "breakpoints": [-1, "1/2"]},
}


@pytest.mark.parametrize("name", ka.activations())
def test_every_catalogue_entry_has_its_dual(name: str) -> None:
    phi = ka.activation(name, **EXAMPLES.get(name, {}))
    norm = phi.dual.value(1, 1, 1, digits=20)
    # Parseval from below: the first coefficients carry at most the whole norm
    if phi.dual.has_closed_form:
        partial = sum(sp.N(a, 25) ** 2 for a in phi.hermite(6))
        assert 0 <= partial <= norm * (1 + sp.Float("1e-18"))
    assert phi.dual.value(2, 1, "1/3", digits=20) == phi.dual.value(1, 2, "1/3", digits=20)
    assert ka.Activation.from_json(phi.to_json()) == phi


def test_what_is_read_off() -> None:
    relu, erf, cosine = ka.activation("relu"), ka.activation("erf"), ka.activation("cos")
    assert (relu.parity, relu.homogeneity, relu.breakpoints) == (None, 1, (0,))
    assert (erf.parity, erf.homogeneity, erf.breakpoints) == ("odd", None, ())
    assert cosine.parity == "even"
    assert ka.activation("step").homogeneity == 0
    assert ka.activation("abs").parity == "even"
    assert ka.activation("hard_tanh", t=2).breakpoints == (-2, 2)
    assert ka.activation("x + 1").homogeneity is None
    assert ka.activation("signed_square").homogeneity == 2


def test_text_sympy_and_names_agree() -> None:
    from_text = ka.activation("x*(1+erf(x/sqrt(2)))/2")
    from_name = ka.activation("gelu")
    assert from_text.dual.expr == from_name.dual.expr
    assert ka.activation(sp.Max(ka.x, 0)).dual.expr == ka.activation("relu").dual.expr
    assert ka.activation("exp(-a*x**2)", a=0.5).expr == sp.exp(-(ka.x**2) / 2)


def test_symbols_stay_symbols() -> None:
    slope = sp.Symbol("s", real=True)
    leaky = ka.activation("leaky_relu", slope=slope)
    assert leaky.parameters == (slope,)
    assert leaky.dual.expr.free_symbols == {slope, ka.q1, ka.q2, ka.c}
    assert sp.simplify(leaky.dual.expr.subs(slope, 0) - ka.activation("relu").dual.expr) == 0
    with pytest.raises(ka.DomainError, match="free parameter"):
        leaky(np.zeros(3))


def test_hermite_coefficients_against_reference(dual_values: dict[str, Any]) -> None:
    for row in dual_values["activations"]:
        try:
            exact = ka.activation(row["activation"]).hermite(20)
        except ka.NoClosedForm:
            continue
        for a_k, reference in zip(exact, row["hermite_a0_a20"], strict=True):
            error = abs(sp.N(a_k, 40) - sp.Float(reference, 40))
            assert error < sp.Float("1e-29") * max(1, abs(sp.Float(reference))), (row["activation"], a_k)


def test_hermite_of_relu_is_exact() -> None:
    exact = [1 / sp.sqrt(2 * sp.pi), sp.S.Half, 1 / (2 * sp.sqrt(sp.pi)), 0, -sp.sqrt(3) / (12 * sp.sqrt(sp.pi))]
    assert all(sp.simplify(a - b) == 0 for a, b in zip(ka.activation("relu").hermite(4), exact, strict=True))


def test_high_order_hermite_matches_parseval_of_a_polynomial() -> None:
    a_k = ka.activation("monomial", degree=7).hermite(12)
    assert a_k[8:] == [0] * 5
    assert sum(a**2 for a in a_k) == sp.factorial2(13)


def test_values_on_arrays() -> None:
    z = np.array([[-2.0, -0.5], [0.0, 3.0]])
    np.testing.assert_allclose(ka.activation("leaky_relu", slope="1/5")(z), np.where(z > 0, z, z / 5), rtol=1e-15)
    np.testing.assert_allclose(ka.activation("sin")(z), np.sin(z), rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ka.activation("reluu"), "relu"),
        (lambda: ka.activation("x +* 2"), "column|found|expected|formula"),
        (lambda: ka.activation("__import__('os')"), "__import__|name|call"),
        (lambda: ka.activation("leaky_relu", slop=1), "slope"),
        (lambda: ka.activation("monomial"), "degree"),
        (lambda: ka.activation("monomial", degree=-1), "0 to 150"),
        (lambda: ka.activation("monomial", degree=2.5), "integer"),
        (lambda: ka.activation("gaussian", a=-1), "positive"),
        (lambda: ka.activation("gelu", scale=float("nan")), "nan|finite"),
        (lambda: ka.activation("polynomial", coefficients=3), "list"),
        (lambda: ka.activation(ka.rho**2), "rho"),
        (lambda: ka.activation(3.5), "catalogue name"),
        (lambda: ka.activation(sp.Symbol("x") ** 2), "kernalg.x"),
        (lambda: ka.activation("relu").hermite(-1), "0 to 500"),
        (lambda: ka.activation("relu").hermite(3, q=0), "positive"),
        (lambda: ka.activation("relu")(np.array(["a"])), "dtype|real"),
        (lambda: ka.activation("relu")(np.array([np.nan])), "NaN|finite"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ka.DomainError, match=message):
        call()


def test_the_function_of_two_roads_is_one_number() -> None:
    phi = ka.activation("elu")
    by_diagonal = phi.dual.value(2, 2, 2, digits=30)
    by_pair = enclose(phi.dual.expr, {ka.q1: 2, ka.q2: 2, ka.c: 2 - sp.Rational(1, 10**40)}, 30)
    assert abs(by_diagonal - sp.Float(by_pair.str(30, radius=False), 30)) < sp.Float("1e-18")


def test_imaginary_error_function_on_arrays():
    from scipy.special import erfi

    phi = ka.activation(ka.x**2 + sp.erfi(ka.x / 3) / 2)
    points = np.linspace(-4, 4, 9)
    assert np.allclose(phi(points), points**2 + erfi(points / 3) / 2, rtol=1e-14)
