"""The catalogue's rows, what is read off them, and new activations from old, each against a second method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.special
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.activation.catalogue import ENTRIES, REQUIRED, describe
from kernalg.activation.description import describe as ka_describe
from kernalg.enclosure.balls import enclose, precision
from kernalg.tour import _STAND_INS

Function = Callable[[np.ndarray], np.ndarray]
POINT = (sp.Rational(3, 2), sp.Rational(2, 3), sp.Rational(-2, 5))
HALF = sp.S.Half


@pytest.fixture
def many_bits() -> Iterator[None]:
    """Sums of balls are formed at the precision in force, 53 bits unless told."""
    with precision(300):
        yield


# -- values against quadrature in the plane ----------------------------------------------------------------------------


def lattice(points: list[float], reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Composite Gauss-Legendre nodes and weights on [-reach, reach], split at the points."""
    edges = np.unique([*np.linspace(-reach, reach, 17), *points])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = np.diff(edges) / 2
    return ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()


def by_quadrature(f: Function, g: Function, points: list[float], means: tuple[float, float] = (0, 0)) -> float:
    a, b, cov = map(float, POINT)
    u, wu = lattice([t - means[0] for t in points], 10 * np.sqrt(a))
    v, wv = lattice([t - means[1] for t in points], 10 * np.sqrt(b))
    gap = a * b - cov**2
    exponent = -(b * u[:, None] ** 2 - 2 * cov * u[:, None] * v + a * v**2) / (2 * gap)
    return float((wu * f(u + means[0])) @ np.exp(exponent) @ (wv * g(v + means[1])) / (2 * np.pi * np.sqrt(gap)))


def logistic(z: np.ndarray) -> np.ndarray:
    return scipy.special.expit(z)


ROWS: list[tuple[str, dict[str, Any], bool, Function, list[float]]] = [
    ("threshold", {"t": HALF}, True, lambda z: 1.0 * (z > 0.5), [0.5]),
    (
        "piecewise_constant",
        {"levels": [-1, 0, 3], "breakpoints": ["-1/2", 1]},
        True,
        lambda z: np.where(z < -0.5, -1.0, np.where(z < 1, 0.0, 3.0)),
        [-0.5, 1],
    ),
    ("erf", {"a": 2, "b": "1/2", "d": 1}, True, lambda z: 2 * scipy.special.erf(z / 2 + 1), []),
    ("gabor", {"b": 2, "c": 1}, True, lambda z: np.exp(-(z**2)) * np.sin(2 * z + 1), []),
    ("x_cos", {"a": 2}, True, lambda z: z * np.cos(2 * z), []),
    ("x_gaussian", {}, True, lambda z: z * np.exp(-(z**2) / 2), []),
    ("dawson", {"a": 2}, True, lambda z: scipy.special.dawsn(2 * z), []),
    ("quantiser", {"t": "1/4"}, True, lambda z: np.sign(z) * (np.abs(z) > 0.25), [-0.25, 0.25]),
    ("tanh_like", {}, True, lambda z: scipy.special.erf(2 * z / 2.4020563531719796), []),
    ("prelu", {}, True, lambda z: np.where(z > 0, z, z / 4), [0]),
    ("clipped_relu", {"t": 2}, True, lambda z: np.clip(z, 0, 2), [0, 2]),
    ("soft_shrink", {}, True, lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0), [-0.5, 0.5]),
    ("hard_sigmoid", {}, True, lambda z: np.clip(z + 3, 0, 6) / 6, [-3, 3]),
    ("hard_swish", {}, True, lambda z: z * np.clip(z + 3, 0, 6) / 6, [-3, 3]),
    (
        "piecewise_linear",
        {"slopes": ["1/2", "3/2", "-1/2"], "breakpoints": [-1, "1/2"], "intercept": "1/3"},
        True,
        lambda z: 1 / 3 + z / 2 + np.maximum(z + 1, 0) - 2 * np.maximum(z - 0.5, 0),
        [-1, 0.5],
    ),
    ("celu", {"a": 2}, True, lambda z: np.where(z > 0, z, 2 * np.expm1(z / 2)), [0]),
    ("selu", {}, True, lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z)), [0]),
    ("x_exp", {"b": HALF}, True, lambda z: z * np.exp(z / 2), []),
    ("x_sin", {"a": 2}, True, lambda z: z * np.sin(2 * z), []),
    ("sinc", {"a": 2}, True, lambda z: np.sinc(2 * z / np.pi), []),
    ("sigmoid", {}, False, logistic, []),
    ("tanh", {}, False, np.tanh, []),
    ("softplus", {}, False, lambda z: np.logaddexp(0, z), []),
    ("silu", {}, False, lambda z: z * logistic(z), []),
    ("mish", {}, False, lambda z: z * np.tanh(np.logaddexp(0, z)), []),
    ("arctan", {}, False, np.arctan, []),
    ("softsign", {}, False, lambda z: z / (1 + np.abs(z)), [0]),
    ("erf_squared", {}, False, lambda z: scipy.special.erf(z) ** 2, []),
    ("log_cosh", {}, False, lambda z: np.logaddexp(z, -z) - np.log(2), []),
]


@pytest.mark.parametrize(("name", "parameters", "closed", "function", "points"), ROWS, ids=[r[0] for r in ROWS])
def test_value_against_plane_quadrature(
    name: str, parameters: dict[str, Any], closed: bool, function: Function, points: list[float]
) -> None:
    phi = ka.activation(name, **parameters)
    assert phi.dual.has_closed_form is closed
    value = float(phi.dual.value(*POINT, digits=30))
    assert value == pytest.approx(by_quadrature(function, function, points), rel=1e-12, abs=1e-14)
    z = np.array([-7.3, -1.25, -0.3, 0.4, 2.5, 11.0])
    for value, at in zip(function(z), z, strict=True):
        exact = phi.expr.subs(ka.x, sp.Rational(str(at)))
        assert float(sp.N(exact, 20)) == pytest.approx(value, rel=1e-13, abs=1e-16)
    if not closed:  # float64 from certified Hermite coefficients, and dk/dc = E[phi' phi']
        assert phi.dual(*map(float, POINT)) == pytest.approx(float(phi.dual.value(*POINT, digits=20)), rel=1e-13)


def test_reference_values_of_named_rows(dual_values: dict[str, Any]) -> None:
    formulas = {
        "tanh(x)": ("tanh", {}),
        "1/(1+exp(-x))": ("sigmoid", {}),
        "log(1+exp(x))": ("softplus", {}),
        "sin(x)/x": ("sinc", {}),
        "x*exp(x/2)": ("x_exp", {"b": "1/2"}),
        "Heaviside(x-1/2)-Heaviside(-x-1/2)": ("quantiser", {}),
    }
    seen = 0
    for row in dual_values["activations"]:
        if row["activation"] in formulas:
            name, parameters = formulas[row["activation"]]
            case = row["cases"][1]
            dual = ka.activation(name, **parameters).dual
            for each, key in ((dual, "k"), (dual.derivative, "dphi_ae")):
                exact = sp.Float(case[key], 40)
                value = each.value(case["q1"], case["q2"], case["c"], digits=30)
                assert abs(value - exact) <= sp.Float("1e-28") * abs(exact)
            seen += 1
    assert seen == len(formulas)


def kolmogorov() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the Kolmogorov law; below 0.6 its density by the theta transform of the series."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.linspace(0.12, 4.62, 16)
    half = np.diff(edges) / 2
    s = ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel()
    j = np.arange(1, 60)[:, None]
    high = (8 * s * (-1.0) ** (j + 1) * j**2 * np.exp(-2 * j**2 * s**2)).sum(0)
    odd = ((2 * j - 1) * np.pi) ** 2
    low = np.sqrt(2 * np.pi) * ((odd / (4 * s**4) - 1 / s**2) * np.exp(-odd / (8 * s**2))).sum(0)
    return s, np.where(s < 0.6, low, high) * (half[:, None] * weights).ravel()


def test_logistic_family_against_its_gaussian_mixture() -> None:
    """1/(1+exp(-x)) = E Phi(x/(2S)), S Kolmogorov; softplus is the ReLU smoothed by 2S, SiLU the GELU of width 2S."""
    a, b, cov = map(float, POINT)
    s, w = kolmogorov()
    assert w.sum() == pytest.approx(1, abs=1e-14)
    v1, v2 = a + 4 * s[:, None] ** 2, b + 4 * s**2
    orthant = 0.25 + np.arcsin(cov / np.sqrt(v1 * v2)) / (2 * np.pi)
    root = np.sqrt(v1 * v2 - cov**2)
    mixtures = {
        "sigmoid": orthant,
        "softplus": cov * orthant + root / (2 * np.pi),
        "silu": cov * orthant + (a * b + cov**2 * (1 - a / v1 - b / v2)) / (2 * np.pi * root),
        "tanh": 2 / np.pi * np.arcsin(cov / np.sqrt((a + s[:, None] ** 2) * (b + s**2))),
    }
    for name, integrand in mixtures.items():
        assert float(ka.activation(name).dual.value(*POINT, digits=20)) == pytest.approx(w @ integrand @ w, rel=1e-12)


# -- what is read off --------------------------------------------------------------------------------------------------

R = sp.Rational
# parity, degree of homogeneity, singular exponents of the dual at rho = 1 and at rho = -1
TABLE: list[tuple[str, dict[str, Any], str | None, int | None, Any, Any]] = [
    ("step", {}, None, 0, R(1, 2), R(1, 2)),
    ("sign", {}, "odd", 0, R(1, 2), R(1, 2)),
    ("threshold", {"t": "1/2"}, None, None, R(1, 2), "flat"),
    ("relu", {}, None, 1, R(3, 2), R(3, 2)),
    ("abrelu", {"a": "1/5", "b": 1}, None, 1, R(3, 2), R(3, 2)),
    ("abs", {}, "even", 1, R(3, 2), R(3, 2)),
    *(("rectified_monomial", {"degree": n}, None, n, n + HALF, n + HALF) for n in range(2, 7)),
    ("signed_square", {}, "odd", 2, R(5, 2), R(5, 2)),
    ("monomial", {"degree": 2}, "even", 2, None, None),
    ("monomial", {"degree": 3}, "odd", 3, None, None),
    ("polynomial", {"coefficients": ["1/2", -1, 2]}, None, None, None, None),
    ("hermite", {"degree": 4}, "even", None, None, None),
    ("erf", {}, "odd", None, None, None),
    ("erf", {"a": 2, "b": "1/3", "c": "1/2"}, None, None, None, None),
    ("probit", {}, None, None, None, None),
    ("gelu", {}, None, None, None, None),
    ("smoothed_relu", {}, None, None, None, None),
    ("exp", {"b": "1/2"}, None, None, None, None),
    ("sinh", {}, "odd", None, None, None),
    ("cosh", {}, "even", None, None, None),
    ("sin", {"b": 2, "c": 1}, None, None, None, None),
    ("rbf", {"gamma": "1/2"}, None, None, None, None),
    ("gaussian", {}, "even", None, None, None),
    ("mexican_hat", {}, "even", None, None, None),
    ("gabor", {}, "odd", None, None, None),
    ("snake", {}, None, None, None, None),
    ("elu", {}, None, None, R(5, 2), R(5, 2)),
    ("celu", {"a": 2}, None, None, R(5, 2), R(5, 2)),
    ("selu", {}, None, None, R(3, 2), R(3, 2)),
    ("hard_tanh", {}, "odd", None, R(3, 2), R(3, 2)),
    ("relu6", {}, None, None, R(3, 2), R(3, 2)),
    ("shifted_relu", {"b": "1/2"}, None, None, R(3, 2), "flat"),
    ("hard_swish", {}, None, None, R(3, 2), R(3, 2)),
    ("quantiser", {}, "odd", None, R(1, 2), R(1, 2)),
    ("sinc", {}, "even", None, None, None),
    ("dawson", {}, "odd", None, None, None),
    ("abs_power", {"p": "3/2"}, "even", R(3, 2), 2, 2),
    ("signed_power", {"p": "1/3"}, "odd", R(1, 3), R(5, 6), R(5, 6)),
    ("rectified_power", {"p": "-1/4"}, None, -R(1, 4), R(1, 4), R(1, 4)),
    ("rectified_power", {"p": "1/2"}, None, HALF, 1, None),
    ("log_abs", {}, "even", None, HALF, HALF),
    ("floor", {}, None, None, HALF, HALF),
    ("round", {"step": "1/3"}, "odd", None, HALF, HALF),
    ("x_sin", {}, "even", None, None, None),
    ("x_exp", {"b": "1/2"}, None, None, None, None),
    ("soft_shrink", {}, "odd", None, R(3, 2), R(3, 2)),
    ("sigmoid", {}, None, None, None, None),
    ("tanh", {}, "odd", None, None, None),
    ("softsign", {}, "odd", None, R(5, 2), R(5, 2)),
]


@pytest.mark.parametrize(("name", "parameters", "parity", "degree", "plus", "minus"), TABLE)
def test_parity_homogeneity_and_end_exponents(
    name: str, parameters: dict[str, Any], parity: str | None, degree: int | None, plus: Any, minus: Any
) -> None:
    phi = ka.activation(name, **parameters)
    assert (phi.parity, phi.homogeneity) == (parity, degree)
    assert (phi.smoothness.at_plus_one, phi.smoothness.at_minus_one) == (plus, minus)
    assert phi.smoothness.jump_order == (None if plus is None else plus - HALF)


@pytest.mark.parametrize(
    "formula",
    [
        "Heaviside(x - 1)",
        "Max(x + 1/2, 0)",
        "Max(-1, Min(1, x))",
        "Piecewise((x, x > 0), (exp(x) - 1, True))",
        "Heaviside(x - 1) + Max(-x - 1, 0)",  # a jump that mirrors a kink
        "Heaviside(x - 1) + Min(x + 1, 0)**2",  # a jump that mirrors a jump of the curvature
        "Heaviside(x - 2) + Abs(x)",  # a jump without, a kink with its mirror image
    ],
)
@pytest.mark.usefixtures("many_bits")
def test_end_exponents_are_those_of_the_dual(formula: str) -> None:
    """k at d, d/4, d/16, …: eliminate 1, d, …, d^4; what is left falls like 4^(-exponent), or is nothing at all."""
    phi = ka.activation(formula)
    for end, exponent in ((1, phi.smoothness.at_plus_one), (-1, phi.smoothness.at_minus_one)):
        at = [end * (1 - sp.Rational(1, 1000 * 4**i)) for i in range(7)]
        left = [arb(phi.dual.enclosure(1, 1, rho, digits=60)) for rho in at]
        for power in range(5):
            left = [4**power * b - a for a, b in pairwise(left)]
        if exponent == "flat":
            assert abs(left[0]) < arb("1e-50")
        else:
            seen = float((left[0] / left[1]).log() / arb(4).log())
            assert seen == pytest.approx(float(exponent), abs=0.02), (end, exponent)


def test_smoothness_of_formulas() -> None:
    slope = sp.Symbol("slope")  # of which nothing is known
    assert ka.activation(slope * sp.Max(ka.x, 0)).smoothness.jump_order == 1
    assert ka.activation("Piecewise((sin(x)/x, x > 0), (1, True))").smoothness.jump_order == 2


def test_descriptions() -> None:
    about = ka_describe("floor", step="1/2")
    assert (about.name, about.has_closed_form, about.breakpoints) == ("floor(step=1/2)", False, None)
    assert ka_describe("relu").source == "Cho & Saul 2009" and ka_describe("relu").smoothness.at_plus_one == R(3, 2)
    assert ka_describe("piecewise_constant", levels=[-1, 0, 3], breakpoints=["-1/2", 2]).breakpoints == (-HALF, 2)
    with pytest.raises(ka.NoClosedForm, match="infinitely many"):
        ka.activation("floor").breakpoints  # noqa: B018


def test_numbers_for_hermite_coefficients() -> None:
    exact, numbers = ka.activation("gelu").hermite(8), ka.activation("gelu").hermite(8, digits=25)
    assert all(abs(a - b) < sp.Float("1e-24") for a, b in zip(exact, numbers, strict=True))
    assert ka.activation("floor").hermite(2, digits=20)[2] == 0
    with pytest.raises(ka.DomainError, match="free parameters"):
        ka.activation(sp.tanh(sp.Symbol("a", real=True) * ka.x)).hermite(3, digits=10)


def test_high_degrees() -> None:
    """Beyond the normal form's powers; E u^n v^n by the three-term recurrence."""
    before, now = sp.S.One, HALF
    for n in range(1, 100):
        before, now = now, (2 * n + 1) * now / 2 + n**2 * R(3, 4) * before
    assert (
        sp.simplify(ka.activation("monomial", degree=100).dual.expr.subs({ka.q1: 1, ka.q2: 1, ka.c: HALF}) - now) == 0
    )
    high = ka.activation("rectified_monomial", degree=100).dual
    assert high(1.0, 1.0, 0.5) == pytest.approx(float(high.value(1, 1, HALF, digits=20)), rel=1e-12)
    with pytest.raises(ka.DomainError, match="range of float64"):
        ka.activation("monomial", degree=151)


def test_a_singular_derivative_is_refused() -> None:
    with pytest.raises(ka.NoClosedForm, match="one-sided"):
        ka.activation("sqrt(Abs(x - 1))").smoothness  # noqa: B018


# -- new activations from old ------------------------------------------------------------------------------------------


def ball(phi: ka.Activation, psi: ka.Activation | None = None, scale: Any = 1) -> arb:
    dual = phi.dual if psi is None else ka.cross_dual(phi, psi)
    return dual.enclosure(*(scale * v for v in POINT), digits=25)


def agree(left: arb, right: arb) -> bool:
    """Two balls of relative radius 1e-25 with a common point, that say something."""
    return bool(left.overlaps(right)) and bool(left.rad() < arb("1e-23")) and bool(right.rad() < arb("1e-23"))


@pytest.mark.parametrize("name", ["elu", "gelu", "hard_tanh", "gabor", "softplus", "quantiser"])
@pytest.mark.usefixtures("many_bits")
def test_scaling(name: str) -> None:
    phi, a = ka.activation(name), sp.Rational(-3, 2)
    assert agree(ball(phi.scaled(a)), ball(phi, scale=a**2))
    assert not agree(ball(phi.scaled(a)), ball(phi))


def test_shift_gives_pairs_with_means() -> None:
    relu, gelu = ka.activation("relu"), ka.activation("gelu")
    value = float(ka.cross_dual(relu.shifted("1/2"), gelu.shifted("-1/3")).value(*POINT, digits=20))
    exact = by_quadrature(lambda z: np.maximum(z, 0), lambda z: z * scipy.special.ndtr(z), [0], means=(1 / 2, -1 / 3))
    assert value == pytest.approx(exact, rel=1e-12)
    assert agree(ball(relu.shifted("1/2")), ball(ka.activation("shifted_relu", b="1/2")))
    cubic = ka.activation("monomial", degree=3).shifted(2)
    assert sp.expand(cubic.dual.expr - ka.activation("polynomial", coefficients=[8, 12, 6, 1]).dual.expr) == 0
    one, m = ka.activation("1"), sp.Symbol("m", real=True)
    mean = ka.cross_dual(ka.activation("sin").shifted(m), one).expr
    assert sp.simplify(mean - sp.sin(m) * sp.exp(-ka.q1 / 2)) == 0


@pytest.mark.usefixtures("many_bits")
def test_sums_and_multiples_are_bilinear() -> None:
    phi, psi = ka.activation("elu"), ka.activation("sin")
    assert agree(ball(phi + psi), ball(phi) + ball(psi) + ball(phi, psi) + ball(psi, phi))
    assert agree(ball(phi - psi), ball(phi) + ball(psi) - ball(phi, psi) - ball(psi, phi))
    for triple in (3 * phi, phi * 3, sp.Integer(3) * phi, np.float64(3) * phi, "3" * phi, -(-3 * phi)):
        assert triple == phi + phi + phi
    assert agree(ball(3 * phi), 9 * ball(phi))


@pytest.mark.parametrize("left", ["elu", "hard_tanh", "gelu", "cos"])
@pytest.mark.parametrize("right", ["relu", "sin"])
@pytest.mark.usefixtures("many_bits")
def test_stein_for_continuous_functions(left: str, right: str) -> None:
    f, g = ka.activation(left), ka.activation(right)
    q1, _, c = (arb(int(v.p)) / int(v.q) for v in POINT)
    assert agree(ball(f.times_x(), g), q1 * ball(f.derivative(), g) + c * ball(f, g.derivative()))


@pytest.mark.parametrize("name", ["relu", "elu", "hard_swish", "gelu", "snake", "squared_relu", "softplus", "softsign"])
@pytest.mark.usefixtures("many_bits")
def test_derivative_of_continuous_functions(name: str) -> None:
    phi = ka.activation(name)
    first = ball(phi.derivative())
    assert agree(first, phi.dual.derivative.enclosure(*POINT, digits=25))
    if phi.dual.has_closed_form:
        assert agree(
            first, enclose(sp.diff(phi.dual.expr, ka.c), dict(zip((ka.q1, ka.q2, ka.c), POINT, strict=True)), 25)
        )
    else:  # k' by a difference quotient of fifth order of certified values
        q1, q2, c = POINT
        h = sp.Rational(1, 10**4)
        k = {i: phi.dual.value(q1, q2, c + i * h, digits=40) for i in (-2, -1, 1, 2)}
        quotient = (8 * (k[1] - k[-1]) - (k[2] - k[-2])) / (12 * h)
        assert float(quotient) == pytest.approx(float(first), rel=1e-13)
    assert phi.derivative(0) == phi
    assert ball(phi.derivative(2)).overlaps(ball(phi.derivative().derivative()))


@pytest.mark.parametrize("name", ["gelu", "probit", "gaussian", "x_exp"])
@pytest.mark.usefixtures("many_bits")
def test_heat_equation_for_smooth_functions(name: str) -> None:
    phi, at = ka.activation(name), dict(zip((ka.q1, ka.q2, ka.c), POINT, strict=True))
    assert agree(enclose(sp.diff(phi.dual.expr, ka.q1), at, 25), ball(phi.derivative(2), phi) / 2)
    assert agree(enclose(sp.diff(phi.dual.expr, ka.c, 2), at, 25), ball(phi.derivative(2)))


def test_a_jump_makes_no_delta() -> None:
    assert ka.activation("step").derivative().expr == 0
    assert ka.activation("hard_tanh").derivative().breakpoints == (-1, 1)
    exact = np.array([np.exp(-2), 1.0])
    np.testing.assert_allclose(ka.activation("elu").derivative()(np.array([-2.0, 900.0])), exact, rtol=1e-15)


def test_float_values_do_not_overflow() -> None:
    z = np.array([-800.0, -1e-9, 0.0, 30.0, 800.0])
    np.testing.assert_allclose(ka.activation("tanh")(z), np.tanh(z), rtol=1e-15)
    np.testing.assert_allclose(ka.activation("softplus")(z), np.logaddexp(0, z), rtol=1e-15)
    np.testing.assert_allclose(ka.activation("log_cosh")(z)[[0, 4]], 800 - np.log(2), rtol=1e-15)
    np.testing.assert_allclose(ka.activation("sinc")(z), np.sinc(z / np.pi), rtol=1e-15, atol=1e-18)


# -- the table itself --------------------------------------------------------------------------------------------------


def test_one_function_under_two_names() -> None:
    silu = ka.activation("silu")
    assert ka.activation("swish").expr == silu.expr
    assert (2 * ka.activation("swish", b=2)).expr == silu.scaled(2).expr
    assert ka.activation("prelu", a="1/100").expr == ka.activation("leaky_relu").expr
    assert ka.activation("celu").expr == ka.activation("elu").expr
    line = ka.activation("piecewise_linear", slopes=[0, 1, 0], breakpoints=[0, 6])
    assert line.pieces == ka.activation("relu6").pieces


def test_selu_keeps_mean_0_and_variance_1() -> None:
    """The equations that define its two constants."""
    selu = ka.activation("selu")
    assert abs(sp.N(selu.hermite(0)[0], 30)) < sp.Float("2e-16")
    assert abs(selu.dual.value(1, 1, 1, digits=30) - 1) < sp.Float("2e-16")


def test_rows_describe_themselves() -> None:
    row = describe("selu")
    assert row.source == "Klambauer et al. 2017" and "ELU" in row.summary and set(row.parameters) == {"lam", "alpha"}
    assert describe("threshold").parameters["t"] is REQUIRED
    assert all(0 < len(each.summary) < 90 and "\n" not in each.summary for each in ENTRIES.values())
    with pytest.raises(ka.FormulaError, match="did you mean selu"):
        describe("sellu")


def test_stand_ins_are_for_activations_without_closed_form() -> None:
    for name, close in _STAND_INS.items():
        assert ka.activation(close).dual.has_closed_form
        if name in ENTRIES:
            assert not ka.activation(name).dual.has_closed_form


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ka.activation("threshold"), "needs the parameter t"),
        (lambda: ka.activation("celu", a=0), "positive"),
        (lambda: ka.activation("piecewise_linear", slopes=[1, 2], breakpoints=[]), "one of the slopes more"),
        (lambda: ka.activation("piecewise_linear", slopes=[1, 2, 3], breakpoints=[1, 1]), "increasing"),
        (lambda: ka.activation("piecewise_linear", slopes=1, breakpoints=[1]), "list of 0 to 61"),
        (lambda: ka.activation("relu").scaled(0), "other than 0"),
        (lambda: ka.activation("relu").shifted(ka.x), "constant"),
        (lambda: ka.activation("relu").shifted(ka.q1), "Gaussian pair"),
        (lambda: ka.activation("relu").derivative(-1), "0 to 64"),
        (lambda: ka.activation("relu") * [1], "not a real number"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ka.DomainError, match=message):
        call()


def test_products_and_sums_with_other_things_are_type_errors() -> None:
    relu = ka.activation("relu")
    for call in (lambda: relu * relu, lambda: relu + 1, lambda: relu - "x"):
        with pytest.raises(TypeError, match="unsupported"):
            call()
