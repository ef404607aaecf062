"""Networks, kernels and profiles: certified values, profiles, domain, display."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import kernalg as ka


def arc_cosine_ntk(rho: mpmath.mpf, depth: int) -> mpmath.mpf:
    """ReLU network with w_var = 2, b_var = 0, readout 1, on the sphere: an independent recursion in angles.

    K_l = cos(angle_l); the dual of ReLU with variance 2 is (sin a + (pi - a) cos a)/pi, its derivative (pi - a)/pi.
    """
    k = t = 2 * rho
    for layer in range(depth):
        angle = mpmath.acos(k / 2)
        k, t = (mpmath.sin(angle) + (mpmath.pi - angle) * k / 2) / mpmath.pi, t * (mpmath.pi - angle) / (2 * mpmath.pi)
        w = 2 if layer + 1 < depth else 1
        k, t = w * k, w * k + w * t
    return t


@pytest.mark.parametrize("depth", [1, 2, 5, 30])
@pytest.mark.parametrize("rho", ["1/2", "-9/10", "0", "999999/1000000"])
def test_certified_values_against_an_independent_recursion(depth: int, rho: str) -> None:
    value = ka.mlp("relu", depth=depth).ntk.profile().value(rho, digits=40)
    with mpmath.workdps(60):
        number = sp.Rational(rho)
        expected = arc_cosine_ntk(mpmath.mpf(number.p) / number.q, depth)
        assert abs(mpmath.mpf(value._mpf_) - expected) < mpmath.mpf(10) ** -38 * abs(expected)


def test_diagonal_of_relu_counts_layers() -> None:
    """With w_var = 2 every layer keeps the variance; the tangent kernel adds one term a layer."""
    assert float(ka.mlp("relu", depth=3).ntk.value(1, 1, 1)) == 4
    assert float(ka.mlp("relu", depth=3).nngp.value(1, 1, 1)) == 1


def test_compiled_gram_against_certified_values() -> None:
    rng = np.random.default_rng(5)
    X = rng.integers(-3, 4, size=(5, 4)).astype(float)
    X[3] = X[1]
    X[4] = -X[0]
    for net in (
        ka.mlp("relu", depth=3, b_var="1/10"),
        ka.serial(ka.Dense("3/2", "1/5"), "gelu", ka.Dense(2, 0), "erf", ka.Dense(1, 1)),
        ka.mlp("elu", depth=2),
        ka.mlp("hard_tanh", depth=2),
        ka.mlp("sin(2*x+1)", depth=1),
    ):
        nngp, ntk = net.ntk.nngp_and_ntk(X)
        for i in range(5):
            for j in range(5):
                at = [sp.Rational(int(v), 4) for v in (X[i] @ X[i], X[j] @ X[j], X[i] @ X[j])]
                for kernel, matrix in ((net.nngp, nngp), (net.ntk, ntk)):
                    scale = np.sqrt(matrix[i, i] * matrix[j, j])
                    assert abs(matrix[i, j] - float(kernel.value(*at, digits=20))) <= 1e-14 * scale, (net, i, j)


@pytest.mark.parametrize("name", ["relu", "hard_tanh", "elu", "erf"])
def test_nearly_parallel_and_nearly_opposite_rows(name: str) -> None:
    """A kinked layer after a smooth one sees the angle that the smooth one leaves: it must not be lost on the way."""
    rng = np.random.default_rng(0)
    base, side = rng.integers(-4, 5, size=(2, 8)).astype(float)
    net = ka.serial(ka.Dense("3/2", 0), name, ka.Dense(2, "1/8"), "relu", ka.Dense(1, 0))
    for k in (2, 10, 27):
        X = np.array([base, base + 2.0**-k * side, -base + 2.0**-k * side])
        matrix = net.ntk(X)
        rows = [[sp.Rational(*float(v).as_integer_ratio()) for v in row] for row in X]
        for j in (1, 2):
            at = [
                sum(a * b for a, b in zip(u, v, strict=True)) / 8
                for u, v in ((rows[0], rows[0]), (rows[j], rows[j]), (rows[0], rows[j]))
            ]
            exact = float(net.ntk.value(*at, digits=20))
            assert abs(matrix[0, j] - exact) <= 1e-14 * matrix[0, 0], (name, k, j)


def test_large_variances_do_not_overflow_on_the_way() -> None:
    """exp(-q) sinh(c) is 0 * inf in float64 for q above 710, though the value is near 1/2."""
    X = np.array([[40.0, 0.0], [39.99, 0.5]])
    K = ka.serial(ka.Dense(1, 0), "sin", ka.Dense(1, 0)).nngp
    exact = K.value(
        800, sp.Rational("0.5") * (sp.Rational("39.99") ** 2 + sp.Rational("0.25")), sp.Rational("799.8"), digits=20
    )
    assert K(X)[0, 1] == pytest.approx(float(exact), rel=1e-12)


def test_profile_is_one_function_in_four_arithmetics() -> None:
    profile = ka.mlp("gelu", depth=2, w_var="3/2", b_var="1/10").ntk.profile()
    rho = sp.Rational(3, 10)
    closed = profile.expr.subs(ka.rho, rho).evalf(40)
    assert abs(profile.value(rho, digits=35) - closed) < sp.Float("1e-34")
    series = sum(a * rho**k for k, a in enumerate(profile.taylor(60, digits=30)))
    assert abs(series - closed) < sp.Float("1e-25")
    X = np.array([[np.sqrt(2.0), 0.0], [0.3 * np.sqrt(2.0), np.sqrt(2 * 0.91)]])
    K = ka.mlp("gelu", depth=2, w_var="3/2", b_var="1/10").ntk
    assert K(X)[0, 1] == pytest.approx(float(closed), rel=1e-14)


def test_taylor_coefficients_are_nonnegative_and_sum_to_the_diagonal() -> None:
    profile = ka.mlp("relu", depth=2).nngp.profile()
    a_k = profile.taylor(2000)
    assert (a_k >= 0).all()
    total = float(profile.value(1, digits=15))
    assert 0 < total - a_k.sum() < 1e-4  # the tail of a ReLU kernel decays like k^(-3/2)


def test_one_hidden_layer_taylor_is_squared_hermite() -> None:
    a_k = ka.mlp("erf", depth=1, w_var=1).nngp.profile().taylor(12, digits=30)
    hermite = ka.activation("erf").hermite(11)
    assert all(abs(a - sp.N(h, 40) ** 2) < sp.Float("1e-30") for a, h in zip(a_k, hermite, strict=True))


def test_zero_input() -> None:
    assert float(ka.mlp("relu", depth=2).ntk.value(0, 1, 0, digits=20)) == 0
    net = ka.serial(ka.Dense(1, 0), "cos", ka.Dense(1, 0))
    assert net.nngp.value(0, 2, 0, digits=25) == sp.N(sp.exp(-1), 25)
    X = np.array([[0.0, 0.0], [2.0, 0.0]])
    np.testing.assert_allclose(net.nngp(X), [[1, np.exp(-1)], [np.exp(-1), (1 + np.exp(-4)) / 2]], rtol=1e-14)


@pytest.mark.parametrize("name", ["hard_tanh", "elu", "sign", "relu", "shifted_relu"])
def test_opposite_inputs_are_the_limit(name: str) -> None:
    parameters = {"b": "1/2"} if name == "shifted_relu" else {}
    phi = ka.activation(name, **parameters)
    exact = phi.dual.value(2, 2, -2, digits=30)
    near = phi.dual.value(2, 2, -2 + sp.Rational(1, 10**45), digits=30)
    assert abs(exact - near) < sp.Float("1e-20")
    assert phi.dual(2.0, 2.0, -2.0) == pytest.approx(float(exact), rel=1e-14)
    net = ka.serial(ka.Dense(2, 0), phi, ka.Dense(1, "1/7"), phi, ka.Dense(1, 0))
    for kernel in (net.nngp, net.ntk):
        limit = kernel.value(1, 1, -1 + sp.Rational(1, 10**60), digits=20)
        assert abs(kernel.value(1, 1, -1, digits=25) - limit) < sp.Float("1e-12")


def test_dot_product_kernels_add_multiply_and_compose() -> None:
    K = ka.dot_product_kernel("exp(2*(rho-1))")
    L = ka.dot_product_kernel("(1+rho)**2/4")
    assert (K + L).profile().value(0, digits=20) == sp.N(sp.exp(-2) + sp.Rational(1, 4), 20)
    assert float((2 * K * L).profile().value(1, digits=20)) == 2
    assert K.compose(L).expr == K.expr.subs(ka.rho, L.expr)
    assert L.nonnegative and K.nonnegative
    assert not ka.dot_product_kernel("rho - rho**2").nonnegative
    X = np.array([[np.sqrt(2.0), 0.0], [0.0, np.sqrt(2.0)]])
    np.testing.assert_allclose(K(X), [[1, np.exp(-2)], [np.exp(-2), 1]], rtol=1e-14)


def test_json_round_trip_and_display() -> None:
    net = ka.serial(ka.Dense("1/3", 0.1), ka.activation("leaky_relu", slope="1/5"), ka.Dense(1, 0))
    assert ka.Network.from_json(net.to_json()) == net
    assert ka.Kernel.from_json(net.ntk.to_json()) == net.ntk
    mapped = ka.serial(ka.Dense(1, 0), ka.exp_normalized(2, "-1/2"), ka.Dense(1, 0))
    assert ka.Network.from_json(mapped.to_json()) == mapped
    K = ka.dot_product_kernel("exp(rho)")
    assert type(K).from_json(K.to_json()) == K
    assert "leaky_relu" in repr(net) and "Dense(w_var=1/3, b_var=1/10)" in repr(net.ntk)
    assert "rho" in net.ntk.profile()._repr_latex_()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ka.Dense(-1, 0), "not negative"),
        (lambda: ka.Dense(float("nan"), 0), "nan|finite"),
        (lambda: ka.Dense("two", 0), "two"),
        (lambda: ka.mlp("relu", depth=0), "1 to"),
        (lambda: ka.mlp("relu", depth=2.5), "integer"),
        (lambda: ka.mlp("relu", readout=1), "readout"),
        (lambda: ka.serial(), "at least one"),
        (lambda: ka.serial("relu", ka.Dense(1, 0)), "Dense"),
        (lambda: ka.serial(ka.Dense(1, 0), "relu", "relu"), "Dense"),
        (lambda: ka.serial(ka.Dense(1, 0), 3), "layer 1"),
        (lambda: ka.mlp("relu").ntk.value(1, 1, 2), "covariance"),
        (lambda: ka.mlp("relu").ntk.value(1, 1, 0, digits=-1), "digits"),
        (lambda: ka.mlp("relu").ntk.profile().value(2), "-1, 1"),
        (lambda: ka.mlp("relu").ntk.profile().taylor(0), "1 to"),
        (lambda: ka.mlp("relu").ntk(np.empty((0, 3))), "no inputs"),
        (lambda: ka.mlp("relu").ntk(np.empty((3, 0))), "dimension 0"),
        (lambda: ka.mlp("relu").ntk(np.ones(3)), "shape|2-D|rows|dimension"),
        (lambda: ka.mlp("relu").ntk(np.ones((2, 3)), np.ones((2, 4))), "columns"),
        (lambda: ka.mlp("relu").ntk(np.array([[1.0, np.nan]])), "NaN|nan|finite"),
        (lambda: ka.mlp("relu").ntk(np.ones((2, 2), dtype=complex)), "complex"),
        (lambda: ka.mlp("relu").ntk(np.ones((2, 2), dtype=object)), "object"),
        (lambda: ka.mlp("relu", w_var=sp.Symbol("w")).ntk.profile(), "free parameter"),
        (lambda: ka.dot_product_kernel("rho*x"), "x"),
        (lambda: ka.dot_product_kernel("exp(rho)")(10 * np.ones((2, 3))), "rescale"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ka.DomainError, match=message):
        call()


def test_inputs_are_left_alone() -> None:
    X = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    X.setflags(write=False)
    K = ka.mlp("relu").ntk
    np.testing.assert_array_equal(K(X[::2]), K(np.ascontiguousarray(X[::2])))
    assert K(X.astype(np.float32)).dtype == np.float32
    assert K(X.astype(int)).dtype == np.float64
    assert K(X[:1]).shape == (1, 1)


@pytest.mark.parametrize(
    ("formula", "known"),
    [
        *(("1/(1+2*(1-rho))", True), ("1-log(3/2-rho)", True), ("exp(-sqrt(2-2*rho))", True), ("2-sqrt(1-rho)", True)),
        *(("acos(-rho)", True), ("rho*(pi-acos(rho))", True), ("(5/2-rho)**(-7/3)", True), ("cosh(rho)-1", True)),
        *(("exp(-rho)", False), ("1/(1-2*rho)", False), ("1/(1-rho)", False), ("log(2-rho)", False)),
        *(("(2-rho)**(3/2)", False), ("1-rho", False), ("rho**2-1", False), ("sqrt(1-rho**2)", False)),
    ],
)
def test_signs_of_taylor_coefficients_by_rules(formula: str, known: bool) -> None:
    K = ka.dot_product_kernel(formula)
    assert K.nonnegative is known
    if known:
        a = K.profile().taylor(60)
        assert (a >= 0).all() and a.sum() <= float(K.profile().value(1, digits=15)) * (1 + 1e-14)
