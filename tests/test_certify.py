"""Certificates and the accuracy of compiled duals."""

import numpy as np
import pytest
import sympy as sp
from flint import ctx

from kernalg.activation.activation import activation, cross_dual
from kernalg.certify.accuracy import CORRELATIONS, accuracy
from kernalg.certify.agreement import certify
from kernalg.certify.certificate import Certificate
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError, InternalError, PrecisionError
from kernalg.network.network import mlp
from kernalg.symbols import c, q1, q2, x


def test_an_activation_is_certified_by_three_methods():
    made = certify(activation("relu"), digits=30)
    assert made.digits == 30
    assert {r.quantity for r in made.rows} == {"dual of relu", "derivative dual of relu"}
    assert {(r.first, r.second) for r in made.rows} == {
        ("closed form", "quadrature"),
        ("closed form", "Hermite series"),
    }
    assert all(r.radius <= 10.0**-30 for r in made.rows)
    points = {r.point for r in made.rows}
    assert {
        "q1 = 1, q2 = 1, c = -9999/10000",
        "q1 = 1/6, q2 = 3/2, c = 999999/2000000",
        "q1 = 1, q2 = 1, c = -1",
    } <= points
    assert any("Hermite series beyond" in text for text in made.not_checked)


@pytest.mark.parametrize(
    "dual",
    [
        cross_dual(activation("sin"), activation("relu")),
        activation("erf").dual.distributional,
        activation("exp(x**2/8)").dual,
        activation("step").dual.derivative,
    ],
    ids=["cross", "distributional", "growing", "zero"],
)
def test_other_duals(dual):
    assert certify(dual, digits=20, points=3).digits == 20


def test_wrong_closed_form_is_found_and_named():
    for wrong in (c / 4, activation("relu").dual.expr + sp.Rational(1, 10**25)):
        dual = activation("relu").dual
        dual.__dict__["expr"] = wrong  # where cached_property keeps it
        with pytest.raises(
            InternalError, match=r"dual of relu at q1 = 1, q2 = 1, c = 1/4: closed form gives .* and quadr"
        ):
            certify(dual)


def test_an_error_that_shows_only_near_minus_one_is_found():
    dual = activation("relu").dual
    right = dual.expr
    dual.__dict__["expr"] = right + c / 10**10 * sp.Heaviside(-c - sp.sqrt(q1 * q2) * 99 / 100)
    with pytest.raises(InternalError, match="c = -9999/10000"):
        certify(dual, digits=15)


def test_wrong_diagonal_is_found():
    dual = activation("erf").dual
    dual.__dict__["diagonal"] = 2 * sp.asin(q1 / (1 + 2 * q1)) / sp.pi
    with pytest.raises(InternalError, match="q1 = 1, q2 = 1, c = 1:"):
        certify(dual, digits=10)


def test_parameters_are_sampled_and_the_certificate_says_so():
    slope, shift = sp.Symbol("slope", positive=True), sp.Symbol("shift", real=True)
    phi = activation(sp.Piecewise((x - shift, x > shift), (slope * (x - shift), True)))
    made = certify(phi.dual, digits=20, points=2)
    assert made.digits == 20
    assert "slope = " in made.rows[0].point
    assert any("other values of the parameters shift, slope" in text for text in made.not_checked)
    assert any("breakpoints" in text for text in made.not_checked)  # u = -v: their order is unknown


@pytest.mark.parametrize("formula", ["tanh(x)", "Max(tanh(x), 0)"])
def test_without_closed_form_quadrature_meets_the_series(formula):
    made = certify(activation(formula).dual, digits=15, points=3)
    assert made.digits == 15
    assert {(r.first, r.second) for r in made.rows} == {("quadrature", "Hermite series")}
    assert any("no closed form" in text for text in made.not_checked)


@pytest.fixture(scope="module")
def kernel():
    return mlp("relu", depth=1, b_var="1/10").ntk


@pytest.fixture(scope="module")
def certificate(kernel):
    return certify(kernel, digits=15, points=2)


def test_network_kernel(certificate):
    made = certificate
    assert made.digits == 15
    assert made.worst_float64 is not None and made.worst_float64.digits >= 14
    seconds = {r.second for r in made.rows}
    assert seconds == {"quadrature", "Hermite series", "Taylor series", "compiled Gram entry"}


def test_wrong_gram_entry_is_found(monkeypatch, kernel):
    right = type(kernel).__call__
    monkeypatch.setattr(type(kernel), "__call__", lambda self, X: right(self, X) * (1 + 1e-7))
    with pytest.raises(InternalError, match="compiled Gram matrix"):
        certify(kernel, digits=10, points=1)


def test_the_working_precision_is_left_alone():
    with precision(77):
        certify(activation("sin").dual, digits=10, points=1)
        assert ctx.prec == 77


def test_it_shows_itself_and_round_trips(certificate):
    made = certificate
    assert Certificate.from_json(made.to_json()) == made
    assert "15 digits agree" in repr(made) and "not checked:" in repr(made) and "float64:" in repr(made)
    page = made._repr_html_()
    assert page.count("<tr>") == len(made.rows) + 1
    assert "<NTK" not in page and "&lt;NTK" in page
    for text in (
        "{}",
        "[]",
        "no",
        '{"kernalg": "certificate"}',
        made.to_json().replace('"digits": 15', '"digits": "a"'),
    ):
        with pytest.raises(DomainError, match="not a certificate"):
            Certificate.from_json(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("relu",), "give an activation"),
        ((activation("relu"), 0), "digits"),
        ((activation("relu"), 201), "1 to 200"),
        ((activation("relu"), 30, 0), "points"),
        ((activation("relu"), 30, True), "points"),
        ((activation("step").dual.distributional,), "jumps"),
        ((mlp("relu", w_var=sp.Symbol("w", positive=True)).ntk,), "free parameters"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(DomainError, match=said):
        certify(*arguments)


def test_nothing_to_compare():
    with pytest.raises(PrecisionError, match="nothing was compared"):
        certify(activation("exp(x**2)*tanh(x)").dual, digits=10, points=1)


# ---------------------------------------------------------------------------------------------------------------------
# Accuracy of the compiled code. `benchmarks/accuracy.py` measures the whole grid; this part holds its worst places.

_VARIANCES = (1e-8, 1e-3, 1e-2, 1.0, 1e2, 2.2 * 10.0**2, 3.3 * 10.0**2, 1e4, 1e6)
_ROWS = {
    "relu": activation("relu"),
    "step": activation("step"),
    "leaky_relu": activation("leaky_relu"),
    "abs": activation("abs"),
    "squared_relu": activation("squared_relu"),
    "rectified_monomial": activation("rectified_monomial", degree=4),
    "erf": activation("erf"),
    "gelu": activation("gelu"),
    "sin": activation("sin"),
    "cos": activation("cos"),
    "exp": activation("exp"),
    "gaussian": activation("gaussian"),
    "gabor": activation("gabor"),
    "hard_tanh": activation("hard_tanh"),
    "relu6": activation("relu6"),
    "probit": activation("probit"),
    "snake": activation("snake"),
    "mexican_hat": activation("mexican_hat"),
    "x_sin": activation("x_sin"),
    "sinh": activation("sinh"),
    "x*exp(-x**2/2)": activation("x*exp(-x**2/2)"),
    "clipped_relu": activation("clipped_relu"),
    "falling_relu": activation("Max(-x, 0)"),
    "max(x,0)*exp(-x**2/2)": activation("max(x,0)*exp(-x**2/2)"),
    "erf(x+1/2)": activation("erf(x+1/2)"),
}


@pytest.mark.parametrize("name", _ROWS)
def test_compiled_dual_against_balls(name):
    bivariate = name in ("hard_tanh", "relu6", "clipped_relu", "erf(x+1/2)")
    variances = (1e-8, 1e-2, 1.0, 3.3e3) if bivariate else _VARIANCES
    made = accuracy(_ROWS[name].dual, variances, (1.0, 4.0, 2.0**20))
    assert made.points >= 100 and made.unknown == 0
    assert not made.not_finite
    assert made.scaled.error <= (1e-12 if made.bivariate else 2e-14), made.scaled


@pytest.mark.parametrize("name", ["elu", "exp(x)*Heaviside(-x)"])
def test_exponentials_and_bivariate_normals_against_balls(name):
    made = accuracy(activation(name).dual, (1e-8, 1e-2, 1.0, 10.0), (1.0, 4.0), CORRELATIONS[::2])
    assert made.bivariate and not made.not_finite and made.unknown == 0
    assert made.scaled.error <= 1e-12, made.scaled


@pytest.mark.parametrize("variance", [500.0, 1e4, 1e6])
def test_compiled_elu_at_large_variances(variance):
    """Each term is an exponential beyond float64 times a probability below it; the balls come from quadrature."""
    made = accuracy(activation("elu").dual, (variance,), (1.0, 4.0), (-1 + 1e-6, -0.5, 0.5, 1 - 1e-12))
    assert made.points == 8 and not made.not_finite and made.unknown == 0
    assert made.scaled.error <= 1e-12, made.scaled
    assert made.relative.error <= 1e-12, made.relative


_ONE_SIDED = ["step", "relu", "squared_relu", "rectified_monomial", "relu6", "clipped_relu", "falling_relu"]


@pytest.mark.parametrize("name", ["abs", "erf", "sin", *_ONE_SIDED])
def test_relative_to_the_value(name):
    near_zero_and_minus_one = [r for r in CORRELATIONS if abs(r) < 0.1 or r < -0.9]
    made = accuracy(_ROWS[name].dual, (1e-8, 1e-3, 1.0, 1e2, 1e4), (1.0, 4.0), near_zero_and_minus_one)
    assert made.relative.error <= 1e-13, made.relative


@pytest.mark.parametrize("name", ["relu", "squared_relu", "rectified_monomial", "relu6"])
def test_derivative_relative_to_the_value(name):
    towards_minus_one = [r for r in CORRELATIONS if r < -0.9]
    made = accuracy(_ROWS[name].dual.derivative, (1e-3, 1.0, 1e4), (1.0, 4.0), towards_minus_one)
    assert made.points > 10 and made.unknown == 0
    assert made.relative.error <= 1e-13, made.relative


def test_the_measure_sees_errors():
    class Worse:
        """erf's dual with a relative error of 1e-11 and one NaN."""

        name, dual = "worse", activation("erf").dual
        pieces, expr, diagonal = dual.pieces, dual.expr, dual.diagonal

        def __call__(self, a, b, cov):
            values = self.dual(a, b, cov) * (1 + 1e-11)
            return np.where(cov == 0.25, np.nan, values)

    made = accuracy(Worse(), (1.0,), (1.0,), (0.25, 0.5))
    assert made.scaled.error == pytest.approx(
        1e-11 * float(Worse.dual.value(1, 1, "1/2") / Worse.dual.value(1, 1, 1)), rel=1e-3
    )
    assert made.relative.error == pytest.approx(1e-11, rel=1e-3)
    assert [p.rho for p in made.not_finite] == [0.25]
