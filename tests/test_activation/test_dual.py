"""Duals: certified digits, compiled float64, domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import kernalg as ka


def reachable(rows: list[dict[str, Any]]) -> list[tuple[ka.Activation, dict[str, Any]]]:
    out = []
    for row in rows:
        phi = ka.activation(row["activation"])
        try:
            phi.atoms  # noqa: B018
        except ka.NoClosedForm:
            continue
        out.append((phi, row))
    return out


def test_reference_values_to_28_digits(dual_values: dict[str, Any]) -> None:
    for row in dual_values["activations"]:
        phi = ka.activation(row["activation"])
        for case in row["cases"] if phi.dual.has_closed_form else row["cases"][:3]:
            at = case["q1"], case["q2"], case["c"]
            for dual, key in ((phi.dual, "k"), (phi.dual.derivative, "dphi_ae"), (phi.dual.distributional, "dk_dc")):
                reference = sp.Float(case[key], 40)
                error = abs(dual.value(*at, digits=30) - reference)
                assert error <= sp.Float("1e-28") * max(abs(reference), sp.Float("1e-3")), (phi, at, key)


def test_refused_activations_say_why(dual_values: dict[str, Any]) -> None:
    for row in dual_values["activations"]:
        if row["activation"] in ("tanh(x)", "1/(1+exp(-x))", "log(1+exp(x))", "x/(1+exp(-x))"):
            with pytest.raises(ka.NoClosedForm, match="class"):
                ka.activation(row["activation"]).dual.expr  # noqa: B018


def test_compiled_dual_to_1e13(dual_values: dict[str, Any]) -> None:
    for phi, row in reachable(dual_values["activations"]):
        cases = row["cases"]
        at = [np.array([float(sp.Rational(case[n])) for case in cases]) for n in ("q1", "q2", "c")]
        for dual, key in ((phi.dual, "k"), (phi.dual.derivative, "dphi_ae")):
            reference = np.array([float(case[key]) for case in cases])
            if not dual.expr.free_symbols:
                continue
            np.testing.assert_allclose(dual(*at), reference, rtol=1e-13, atol=1e-30, err_msg=f"{phi} {key}")


def test_no_closed_form_but_numbers(dual_values: dict[str, Any]) -> None:
    """tanh: float64 arrays from certified Hermite coefficients, also where the series is slow."""
    for row in dual_values["activations"]:
        if row["activation"] != "tanh(x)":
            continue
        dual = ka.activation(row["activation"]).dual
        assert not dual.has_closed_form and "no closed form" in repr(dual)
        at = [np.array([float(sp.Rational(case[n])) for case in row["cases"][:3]]) for n in ("q1", "q2", "c")]
        np.testing.assert_allclose(dual(*at), [float(case["k"]) for case in row["cases"][:3]], rtol=1e-13)
    near = ka.activation("x/(1+Abs(x))").dual(1.0, 1.0, np.array([0.3, 1 - 1e-9]))
    exact = [ka.activation("x/(1+Abs(x))").dual.value(1, 1, v, digits=20) for v in (0.3, 1 - 1e-9)]
    np.testing.assert_allclose(near, [float(v) for v in exact], rtol=1e-13)
    with pytest.raises(ka.NoClosedForm, match="jumps"):
        ka.activation("Heaviside(x)*erf(x + 1)").dual.distributional.value(1, 1, 0)


@pytest.mark.parametrize("name", ["relu", "rectified_monomial", "elu", "gelu", "erf", "sin", "gabor"])
def test_compiled_dual_near_the_ends(name: str) -> None:
    """Relative accuracy on a log grid towards rho = ±1 and towards 0, where formulas cancel.

    Double-double carries 31 digits of the largest term: below 1e-31 of the scale nothing is claimed.
    """
    dual = ka.activation(name).dual
    grid = [sp.Rational(1, 10**k) for k in (2, 5, 9, 13)]
    rhos = [s * (1 - e) for e in grid for s in (1, -1)] + [s * e for e in grid for s in (1, -1)]
    floats = np.array([float(r) for r in rhos])
    computed = dual(1.0, 1.0, floats)
    for value, at in zip(computed, floats, strict=True):
        exact = dual.value(1, 1, sp.Rational(*float(at).as_integer_ratio()), digits=20)
        assert abs(sp.Float(float(value), 25) - exact) < 1e-12 * abs(exact) + sp.Float("1e-31"), (name, at)


def test_broadcasting_scalars_and_dtypes() -> None:
    dual = ka.activation("relu").dual
    assert isinstance(dual(1, 1, 0.5), float)
    assert dual(np.ones((3, 1)), np.ones(4), 0).shape == (3, 4)
    assert dual(np.ones(2, dtype=np.float32), 1, np.zeros(2, dtype=int)).dtype == np.float64
    frozen = np.ones(5)
    frozen.setflags(write=False)
    dual(frozen[::2], 1, frozen[::2])
    assert (frozen == 1).all()


def test_zero_variance() -> None:
    assert float(ka.activation("relu").dual.value(0, 2, 0, digits=20)) == 0
    assert ka.activation("step").dual.value(0, 2, 0, digits=20) == sp.Float("0.25", 20)
    assert ka.activation("cos").dual.value(0, 2, 0, digits=20) == ka.activation("cos").hermite(0, q=2)[0].evalf(20)
    np.testing.assert_allclose(ka.activation("cos").dual(np.array([0.0, 1.0]), 2.0, 0.0), [np.exp(-1), np.exp(-1.5)])


def test_a_growing_gaussian_knows_its_domain() -> None:
    dual = ka.activation("exp(x**2/10)").dual
    exact = 1 / sp.sqrt((1 - sp.Rational(1, 5)) ** 2 - sp.Rational(4, 100) * sp.Rational(1, 4))
    assert dual.value(1, 1, "1/2", digits=20) == sp.N(exact, 20)
    for call in (lambda: dual.value(6, 6, 0), lambda: dual(6.0, 6.0, 0.0)):
        with pytest.raises(ka.DomainError, match="infinite"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k.value(-1, 1, 0), "not negative"),
        (lambda k: k.value(1, 1, 2), "outside"),
        (lambda k: k.value(1, 1, "1/2", digits=0), "digits"),
        (lambda k: k.value(1, 1, "1/2", digits=10**9), "digits"),
        (lambda k: k.value(1, 1, float("inf")), "inf|finite"),
        (lambda k: k.value(ka.q1, 1, 0), "symbolic"),
        (lambda k: k(1.0, 1.0, 1.5), "outside"),
        (lambda k: k(-1.0, 1.0, 0.0), "not negative"),
        (lambda k: k(np.nan, 1.0, 0.0), "NaN"),
        (lambda k: k(1j, 1.0, 0.0), "complex"),
        (lambda k: k(np.array([1, None]), 1.0, 0.0), "object"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ka.DomainError, match=message):
        call(ka.activation("relu").dual)


def test_rounding_beyond_the_cone_is_clamped() -> None:
    q = 0.1 + 0.2
    assert ka.activation("relu").dual(q, q, np.nextafter(q, 1)) == pytest.approx(q / 2, rel=1e-15)


def test_cross_dual_and_shapes_of_display() -> None:
    cross = ka.cross_dual(ka.activation("erf"), ka.activation("identity"))
    assert sp.simplify(cross.expr - 2 * ka.c / sp.sqrt(sp.pi * (1 + 2 * ka.q1))) == 0
    dual = ka.activation("relu").dual
    assert "relu" in repr(dual) and "sqrt" in repr(dual)
    assert dual._repr_latex_().startswith("$")
    assert sp.S(dual) == dual.expr
