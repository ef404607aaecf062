"""Certified digits without a closed form: against closed forms, a second method, identities, public data."""

from __future__ import annotations

import math
import random

import pytest
import sympy as sp
from flint import arb
from scipy.integrate import dblquad

from kernalg.enclosure.balls import ball, enclose, has_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import parse
from kernalg.gaussian import panels, quadrature, trapezoid
from kernalg.gaussian.atoms import decompose
from kernalg.gaussian.branches import piecewise_analytic
from kernalg.gaussian.expectation import expectation, expectation_at_equality
from kernalg.gaussian.growth import tail_majorant
from kernalg.gaussian.pieces import Pieces, pieces
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.gaussian.series import differentiate, hermite_coefficients, norm_squared, parity
from kernalg.gaussian.trapezoid import Factor
from kernalg.symbols import c, q1, q2, x

R = sp.Rational
TANH = pieces(sp.tanh(x))
SIGMOID = pieces(1 / (1 + sp.exp(-x)))
SOFTPLUS = pieces(sp.log(1 + sp.exp(x)))
SOFTSIGN = pieces(x / (1 + sp.Abs(x)))
RECTIFIED_ERF = pieces(sp.Heaviside(x) * sp.erf(x))
OUTSIDE = ["tanh(x)", "1/(1+exp(-x))", "log(1+exp(x))", "x/(1+exp(-x))", "sin(x)/x"]


def close(value: arb, expected: str, digits: int = 29) -> bool:
    """Within 10^-digits of a decimal text, relatively or absolutely."""
    with precision(400):
        number = arb(expected)
        return bool(abs(value - number) <= arb(10) ** -digits * abs(number).max(arb(1) / 100))


@pytest.mark.parametrize("text", [*OUTSIDE, "x*exp(x/2)", "Max(-1,Min(1,x))"])
def test_published_values(text, dual_values):
    entry = next(e for e in dual_values["activations"] if e["activation"] == text)
    phi = pieces(parse(text, {"x": x}))
    for case in entry["cases"][1:4]:
        point = [R(case[k]) for k in ("q1", "q2", "c")]
        assert close(certified_expectation(phi, phi, *point, 30), case["k"])
        slope = differentiate(phi)
        assert close(certified_expectation(slope, slope, *point, 30), case["dphi_ae"])
    for value, expected in zip(hermite_coefficients(phi, 1, 20, 30), entry["hermite_a0_a20"], strict=True):
        assert close(value, expected)


@pytest.mark.parametrize("text", ["erf(x)", "Max(x,0)", "x*normal_cdf(x)", "Piecewise((x,x>0),(exp(x)-1,True))"])
@pytest.mark.parametrize("rho", ["1/2", "-9/10", "999/1000", "1"])
def test_closed_forms_to_fifty_digits(text, rho):
    phi = parse(text, {"x": x})
    f = pieces(phi)
    variance = R(3, 2)
    covariance = variance * R(rho)
    value = certified_expectation(f, f, variance, variance, covariance, 50)
    assert has_digits(value, 50)
    atoms = decompose(phi)
    if rho == "1":
        exact = enclose(expectation_at_equality(atoms, atoms), {q1: variance}, 60)
    else:
        exact = enclose(expectation(atoms, atoms), {q1: variance, q2: variance, c: covariance}, 60)
    assert value.overlaps(exact)


def by_both_planes(f, g, v1, v2, rho, digits):
    def big():
        return ((1 + ball(rho)) / 2).sqrt()

    def small():
        return ((1 - ball(rho)) / 2).sqrt()

    pair = Factor(piecewise_analytic(f), v1), Factor(piecewise_analytic(g), v2)
    tolerance = arb(10) ** -(digits + 1)
    return [method.plane(*pair, big, small, tolerance, 260) for method in (trapezoid, panels)]


@pytest.mark.parametrize("rho", [R(2, 3), R(9999, 10000)])
def test_lattice_and_panels_agree(rho):
    """Two methods that share the envelope only; at few digits the bounds are as large as the errors can be."""
    for digits in (2, 9, 20):
        first, second = by_both_planes(TANH, SOFTPLUS, sp.S(2), R(1, 3), rho, digits)
        assert first.overlaps(second)
        assert max(float(first.rad()), float(second.rad())) < 10.0**-digits
    reference = by_both_planes(TANH, SOFTPLUS, sp.S(2), R(1, 3), rho, 15)[1]
    for digits in (1, 2, 4, 7):
        assert by_both_planes(TANH, SOFTPLUS, sp.S(2), R(1, 3), rho, digits)[0].contains(reference)


@pytest.mark.parametrize("f", [SOFTSIGN, RECTIFIED_ERF])
def test_series_and_panels_agree(f, monkeypatch):
    by_series = certified_expectation(f, f, 1, R(1, 2), R(2, 5), 30)
    monkeypatch.setattr(quadrature, "LONGEST_SERIES", -1)
    by_panels = certified_expectation(f, f, 1, R(1, 2), R(2, 5), 30)
    assert by_series.overlaps(by_panels) and has_digits(by_series, 30) and has_digits(by_panels, 30)


def test_tanh_is_a_scaled_sigmoid():
    for rho in (R(1, 3), R(-99, 100)):
        tanh = certified_expectation(TANH, TANH, 1, 1, rho, 40)
        sigmoid = certified_expectation(SIGMOID, SIGMOID, 4, 4, 4 * rho, 40)
        with precision(200):
            assert tanh.overlaps(4 * sigmoid - 1)


def test_derivative_of_softplus_is_the_sigmoid():
    point = R(3, 2), R(2, 3), R(-2, 5), 40
    slope = differentiate(SOFTPLUS)
    assert certified_expectation(slope, slope, *point).overlaps(certified_expectation(SIGMOID, SIGMOID, *point))


def test_arctan_is_a_gaussian_mixture_of_error_functions():
    """arctan x = (pi/2) E erf(x G/sqrt 2) with G half-normal, so its dual is a mixture of arcsines."""
    v1, v2, cov = 1.5, 2 / 3, -0.4

    def integrand(g, h):
        sine = g * h * cov / math.sqrt((1 + g * g * v1) * (1 + h * h * v2))
        return math.asin(sine) * math.exp(-(g * g + h * h) / 2) * 2 / math.pi

    mixture = math.pi / 2 * dblquad(integrand, 0, 12, 0, 12, epsabs=1e-10)[0]
    atan = pieces(sp.atan(x))
    assert float(certified_expectation(atan, atan, R(3, 2), R(2, 3), R(-2, 5), 20)) == pytest.approx(mixture, abs=1e-9)


def test_the_value_is_continuous_at_the_ends():
    """|k(rho) - k(1)| <= (1 - rho) E f'^2 for a function whose derivative dual increases."""
    for f in (TANH, SOFTSIGN):
        for sign in (1, -1) if f is TANH else (-1,):
            end = certified_expectation(f, f, 1, 1, sign, 30)
            near = certified_expectation(f, f, 1, 1, sign * (1 - R(1, 10**20)), 30)
            with precision(200):
                gap = abs(end - near)
                assert gap > 0 and gap < arb(10) ** -20
            beyond = certified_expectation(f, f, 1, 1, sign * (1 - R(1, 10**80)), 30)
            assert beyond.overlaps(end)
    irrational = certified_expectation(TANH, TANH, 2, 3, sp.sqrt(6), 30)
    assert has_digits(irrational, 30)


def test_hermite_coefficients_add_up_to_the_value_and_the_norm():
    for f in (TANH, SOFTSIGN, pieces(x * sp.tanh(sp.log(1 + sp.exp(x))))):
        a = hermite_coefficients(f, R(3, 2), 60, 25)
        with precision(150):
            norm = norm_squared(f, R(3, 2), 25)
            rest = norm - sum((p * p for p in a), start=arb(0))
            assert rest > 0 and rest < norm / 100
            partial = sum((p * p * arb(3) ** -k for k, p in enumerate(a)), start=arb(0))
            value = certified_expectation(f, f, R(3, 2), R(3, 2), R(1, 2), 25)
            assert abs(value - partial) <= arb(3) ** -61 * rest + arb(10) ** -22


def test_symmetry_gives_exact_zeros():
    bump = pieces(1 / (1 + x**2))
    assert (parity(TANH), parity(SOFTSIGN), parity(bump), parity(SIGMOID)) == (-1, -1, 1, None)
    assert certified_expectation(TANH, bump, 1, 2, R(1, 2), 30).is_zero()
    assert certified_expectation(SOFTSIGN, SIGMOID, 1, 1, 0, 30).is_zero()
    assert certified_expectation(Pieces((), (sp.S.Zero,)), SIGMOID, 1, 1, R(1, 2), 30).is_zero()
    assert [k for k, a in enumerate(hermite_coefficients(SOFTSIGN, 2, 6, 15)) if a.is_zero()] == [0, 2, 4, 6]
    assert has_digits(certified_expectation(TANH, TANH, 1, 1, R(1, 10**12), 20), 20)  # small, but not zero


def test_disjoint_supports():
    """u = -v: H(u) erf(u) H(-u) erf(-u) vanishes; the enclosure is as narrow as the docstring says."""
    value = certified_expectation(RECTIFIED_ERF, RECTIFIED_ERF, 1, 1, -1, 20)
    assert value.contains(0) and value.abs_upper() < 1e-40


@pytest.mark.parametrize("q", [R(1, 10**10), 500])
def test_small_and_large_variances(q):
    value = certified_expectation(TANH, TANH, q, q, q / sp.Integer(2), 20)
    assert has_digits(value, 20)
    if q < 1:  # tanh u = u - u^3/3 + …
        with precision(200):
            assert abs(value / ball(q / 2) - 1) < 1e-9
    else:  # between sign(u) scaled by nothing and the limit asin(rho) 2/pi = 1/3
        assert 0.33 < float(value) < 1 / 3


def test_removable_singularities():
    sinc = pieces(sp.sin(x) / x)
    assert close(certified_expectation(sinc, sinc, 1, 1, 1, 30), "0.763955654940914548878423517961")
    slope = differentiate(sinc)
    entropy = pieces((1 - sp.cos(x)) / x**2)
    assert has_digits(certified_expectation(slope, slope, 1, 1, R(1, 2), 30), 30)
    assert has_digits(norm_squared(entropy, 1, 30), 30)


@pytest.mark.parametrize(
    "phi",
    [sp.tanh(x), sp.log(1 + sp.exp(x)), x / (1 + sp.exp(-x)), sp.atan(x) * x**2, x * sp.tanh(sp.log(1 + sp.exp(x))),
     sp.exp(x / 2) * sp.erf(x) ** 2, sp.log(sp.cosh(x)), sp.exp(-(x**2)) * sp.erfi(x), sp.sqrt(1 + x**2)],
)  # fmt: skip
def test_majorants_and_envelopes_dominate(phi):
    numbers = random.Random(7)
    envelope = piecewise_analytic(pieces(phi)).envelope(1.5)
    for side in (1, -1):
        m = tail_majorant(phi, side, arb(3))
        for t in [3.0, 3.5, *(math.exp(numbers.uniform(1.1, 5)) for _ in range(15))]:
            size = abs(enclose(phi, {x: sp.Float(side * t, 17)}, 10))
            bound = m.factor * arb(t) ** ball(m.power) * (m.linear * t + m.quadratic * t * t).exp()
            assert bound * (1 + 1e-6) >= size
            for s in (t, 1 / t):
                size = abs(enclose(phi, {x: sp.Float(side * s, 17)}, 10))
                assert envelope.factor * envelope.shape(arb(s)) * (1 + 1e-6) >= size


@pytest.mark.parametrize(
    ("phi", "error"),
    [
        (sp.exp(x**2), DomainError),
        (sp.exp(x**2 / 3) * sp.tanh(x), DomainError),
        (sp.exp(x**3), DomainError),
        (1 / x, DomainError),
        (1 / x**2, DomainError),
        (sp.tan(x), DomainError),
        (1 / sp.cos(x), DomainError),
        (sp.log(x), DomainError),
        (sp.Symbol("a") * sp.tanh(x), DomainError),
        (sp.log(sp.Abs(x - 1)), PrecisionError),
        (sp.exp(sp.exp(x)), PrecisionError),
    ],
)
def test_refusals(phi, error):
    with pytest.raises(error) as refusal:
        certified_expectation(pieces(phi), pieces(phi), 1, 1, R(1, 2), 15)
    assert len(str(refusal.value)) > 40


@pytest.mark.parametrize(
    "arguments",
    [(0, 1, 0), (-1, 1, 0), (1, 1, 2), (1, 1, R(-1000001, 10**6)), (sp.Symbol("s"), 1, 0), (1, 1, sp.Symbol("r"))],
)
def test_points_outside_the_domain(arguments):
    with pytest.raises(DomainError):
        certified_expectation(TANH, TANH, *arguments, 15)


def test_bad_orders_and_digits():
    for order in (-1, 2.0, True, 10**6):
        with pytest.raises(DomainError, match="order"):
            hermite_coefficients(TANH, 1, order, 15)
    with pytest.raises(DomainError, match="digits"):
        certified_expectation(TANH, TANH, 1, 1, 0, 0)
