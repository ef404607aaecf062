"""Spectra on the sphere against published digits, closed forms, second methods and each other."""

import json
import math
from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_series

from kernalg.enclosure.balls import ball_function, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.taylor import zonal_from_taylor
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.network import mlp
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Circle, Sphere
from kernalg.spectrum.sphere_quadrature import eigenvalues_by_enclosure, eigenvalues_by_gauss
from kernalg.spectrum.sphere_series import eigenvalues_by_series
from kernalg.spectrum.sphere_trapezoid import eigenvalues_by_trapezoid
from kernalg.symbols import rho

DATA = Path(__file__).parents[1] / "data" / "spectra_generalization_public.json"
CASES = json.loads(DATA.read_text())["gegenbauer"]["cases"]


class ExpressionProfile:
    """A kernel given as one expression in rho."""

    def __init__(self, expr, nonnegative=True):
        self.function = ball_function(expr, [rho])
        self.nonnegative = nonnegative

    def series(self, terms):
        return self.function(arb_series([0, 1], prec=terms))

    def ball(self, value, analytic=False):
        return self.function(value, analytic=analytic)


KAPPA0 = 1 - sp.acos(rho) / sp.pi
KAPPA1 = (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
STEP, RELU = ball_function(KAPPA0, [rho]), ball_function(KAPPA1, [rho])


class ReluProfile:
    """NNGP or NTK of a bias-free ReLU network, layer by layer."""

    nonnegative = True

    def __init__(self, depth, tangent):
        self.depth, self.tangent = depth, tangent

    def _layers(self, value, analytic):
        nngp = tangent = value
        for _ in range(self.depth):
            new = RELU(nngp, analytic=analytic)
            nngp, tangent = new, new + tangent * STEP(nngp, analytic=analytic)
        return tangent if self.tangent else nngp

    def series(self, terms):
        return self._layers(arb_series([0, 1], prec=terms), False)

    def ball(self, value, analytic=False):
        return self._layers(value, analytic)


def profile_of(name):
    if name.startswith("relu NTK"):
        return ReluProfile(int(name.split()[2]), True)
    if name.startswith("relu NNGP"):
        return ReluProfile(int(name.split()[2]), False)
    return {
        "step": ExpressionProfile(KAPPA0),
        "relu": ExpressionProfile(KAPPA1),
        "exp(xi": ExpressionProfile(sp.exp(rho)),
        "exp(-(": ExpressionProfile(sp.exp(-2 * (1 - rho))),
        "(2/pi)": ExpressionProfile(2 / sp.pi * sp.asin(2 * rho / 3)),
        "exp(-s": ExpressionProfile(sp.exp(-sp.sqrt(2 - 2 * rho))),
        "((1+xi": ExpressionProfile(((1 + rho) / 2) ** 6),
    }[name[:4] if name[:4] in ("step", "relu") else name[:6]]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['kernel'][:22]}-d{c['d']}-k{c['k']}")
def test_published_eigenvalues(case):
    k, truth = case["k"], case["eigenvalue"]
    s = spectrum(profile_of(case["kernel"]), Sphere(case["d"]), degree=k)
    assert s.multiplicities[k] == case["multiplicity"]
    if float(truth) == 0:
        assert s.eigenvalues[k] == 0 and s.errors[k] == 0
    else:
        assert s.eigenvalues[k] == pytest.approx(float(truth), rel=2e-15)
        assert s.errors[k] <= 1e-13 * s.eigenvalues[k]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['kernel'][:22]}-d{c['d']}-k{c['k']}")
def test_published_eigenvalues_certified(case):
    k = case["k"]
    s = spectrum(profile_of(case["kernel"]), Sphere(case["d"]), degree=k, digits=30)
    with mp.workdps(40):
        truth, value = mp.mpf(case["eigenvalue"]), mp.mpf(s.exact[k]._mpf_)
        assert abs(value - truth) <= abs(truth) * mp.mpf(10) ** -29


# ---------------------------------------------------------------------------------------------------------------------
# Closed forms


def relative_gap(value, truth):
    """|value/truth - 1| for an arb or SymPy Float against an mpf."""
    value = mp.mpf(value._mpf_) if isinstance(value, sp.Float) else mp.mpf(value.mid()._mpf_)
    return abs(value - truth) / abs(truth)


@pytest.mark.parametrize("d", [2, 3, 10, 1000])
def test_exponential_kernel_is_a_bessel_function(d):
    s = spectrum(profile_of("exp(xi)"), Sphere(d), degree=60, digits=35)
    with mp.workdps(60):
        for k in range(0, 61, 5):
            a = mp.mpf(d) / 2
            truth = mp.gamma(a) * mp.mpf(2) ** (a - 1) * mp.besseli(k + a - 1, 1)
            assert relative_gap(s.exact[k], truth) < mp.mpf(10) ** -34
    assert s.trace == pytest.approx(math.e, rel=1e-15)
    assert s.rank == sum(s.multiplicities)  # no level is taken for zero, down to 1e-300


def activation_coefficient(d, k, relu):
    """Funk-Hecke coefficient of the step (or the ReLU) itself: Bach 2017."""
    big = mp.mpf(d + 2 * k)
    constant = mp.gamma(big / 2) / (mp.sqrt(mp.pi) * mp.gamma((big - 1) / 2))
    c = mp.gamma(mp.mpf(d) / 2) / (mp.sqrt(mp.pi) * mp.gamma(mp.mpf(d - 1) / 2))
    if relu and k <= 1:
        return c / (d - 1) if k == 0 else mp.mpf(1) / (2 * d)
    if not relu and k == 0:
        return mp.mpf(1) / 2
    if k % 2 == relu:
        return mp.mpf(0)
    j = (k - 2) // 2 if relu else (k - 1) // 2
    ratio = mp.gamma(mp.mpf(d) / 2) / (mp.mpf(2) ** k * mp.gamma(k + mp.mpf(d) / 2))
    return (-1) ** j * constant * mp.binomial((big - 3) / 2, j) * mp.factorial(2 * j) * ratio


@pytest.mark.parametrize("d", [2, 3, 4, 12, 90])
@pytest.mark.parametrize("relu", [False, True])
def test_one_layer_duals_are_squares_of_activation_coefficients(d, relu):
    s = spectrum(profile_of("relu" if relu else "step"), Sphere(d), degree=21, digits=25)
    with mp.workdps(50):
        for k in range(22):
            truth = 2 * (d if relu else 1) * activation_coefficient(d, k, relu) ** 2
            if truth == 0:
                assert s.eigenvalues[k] == 0 and s.methods[k] == "parity, zero"
            else:
                assert relative_gap(s.exact[k], truth) < mp.mpf(10) ** -24


def test_multiplication_by_the_cosine():
    d = 7
    f = spectrum(ReluProfile(2, True), Sphere(d), degree=13).eigenvalues

    class Shifted(ReluProfile):
        def series(self, terms):
            return arb_series([0, 1], prec=terms) * super().series(terms)

        def ball(self, value, analytic=False):
            return value * super().ball(value, analytic)

    with precision(53, 2000):
        g = spectrum(Shifted(2, True), Sphere(d), degree=12).eigenvalues
    for k in range(1, 13):
        assert g[k] == pytest.approx((k * f[k - 1] + (k + d - 2) * f[k + 1]) / (2 * k + d - 2), rel=1e-13)
    assert g[0] == pytest.approx(f[1], rel=1e-13)


def test_polynomials_are_exact():
    coefficients = [Fraction(1, 3), 0, 2, 0, 0, Fraction(1, 7), 1]
    kernel = ExpressionProfile(sum(sp.Rational(a) * rho**m for m, a in enumerate(coefficients)), nonnegative=False)
    for d in (2, 5, 300):
        s = spectrum(kernel, Sphere(d), degree=12, digits=40)
        for k, exact in enumerate([*zonal_from_taylor(coefficients, d), *[0] * 6]):
            assert abs(sp.Rational(s.exact[k]) - exact) <= abs(exact) * sp.Rational(1, 10**39)
        assert all(v == 0 for v in s.eigenvalues[7:])
        assert s.tail == 0 and set(s.methods) == {"polynomial", "polynomial, zero"}


def test_even_kernels_without_declared_signs_have_exact_zeros():
    s = spectrum(ExpressionProfile(1 / (2 - rho**2), nonnegative=False), Sphere(6), degree=9)
    assert list(s.eigenvalues[1::2]) == [0.0] * 5 and set(s.methods[::2]) == {"Gauss"}


# ---------------------------------------------------------------------------------------------------------------------
# Methods against each other


@pytest.mark.parametrize("d", [2, 3, 12])
def test_series_trapezoid_gauss_and_enclosure_agree(d):
    kernel = profile_of("relu NTK 1")
    levels = [0, 2, 6, 12]
    with precision(200):
        scales = dict.fromkeys(levels, arb("1e-6"))
        rule = eigenvalues_by_trapezoid(kernel, d, scales, 25, arb(2))
        gauss = eigenvalues_by_gauss(kernel, d, levels, 18)
        certified = eigenvalues_by_enclosure(kernel, d, {k: v[0] for k, v in gauss.items()}, 20)
        series, lower = eigenvalues_by_series(kernel, d, levels, 9, arb(2))
        assert (d == 12) == (0 in series)
        for k in levels:
            assert certified[k].overlaps(rule[k]) and certified[k].rel_accuracy_bits() > 66
            assert rule[k].rel_accuracy_bits() > 80
            value, difference, agreed = gauss[k]
            assert agreed and (value + arb(0, difference)).overlaps(rule[k])
            if k in series:
                assert series[k][0].overlaps(rule[k])
            else:
                assert lower[k] < rule[k]  # a partial sum of non-negative terms


def test_trapezoid_reaches_the_digits_from_a_bad_first_estimate():
    with precision(200):
        for scale in ("1e-40", "1"):
            value = eigenvalues_by_trapezoid(profile_of("exp(xi)"), 3, {30: arb(scale)}, 20, arb(1).exp())[30]
            assert value.overlaps(eigenvalues_by_trapezoid(profile_of("exp(xi)"), 3, {30: value}, 30, arb(1).exp())[30])
            assert value.rel_accuracy_bits() > 66


def test_kinks_are_found_by_the_adaptive_integral():
    kinked = ExpressionProfile(abs(rho - sp.Rational(1, 3)), nonnegative=False)
    s = spectrum(kinked, Sphere(3), degree=0)
    assert s.methods == ("enclosure",) and s.eigenvalues[0] == pytest.approx(5 / 9, rel=1e-14)


def test_profiles_without_declared_signs_certified():
    expr = sp.exp(rho) / (sp.Rational(5, 4) - rho)
    blind = spectrum(ExpressionProfile(expr, nonnegative=False), Sphere(4), degree=8, digits=25)
    known = spectrum(ExpressionProfile(expr), Sphere(4), degree=8, digits=25)
    for a, b in zip(blind.exact, known.exact, strict=True):
        assert abs(a - b) <= abs(b) * sp.Float("1e-24", 30)


@pytest.mark.parametrize(("depth", "d"), [(3, 50), (4, 3), (2, 1000)])
def test_levels_fill_the_trace_from_below(depth, d):
    s = spectrum(ReluProfile(depth, True), Sphere(d), degree=30)
    assert s.trace == pytest.approx(depth + 1, rel=1e-14)
    assert np.all(s.eigenvalues > 0)
    assert 0 < s.tail < spectrum(ReluProfile(depth, True), Sphere(d), degree=15).tail
    assert all(e <= 1e-13 * v for e, v in zip(s.errors, s.eigenvalues, strict=True))


def test_high_degrees_switch_to_gauss_and_agree_with_the_certified_ones():
    s = spectrum(ReluProfile(1, True), Sphere(3), degree=64)
    assert s.methods[64] == "Gauss" and s.methods[63] == "parity, zero"
    with precision(200):
        rule = eigenvalues_by_trapezoid(ReluProfile(1, True), 3, {64: arb(s.eigenvalues[64])}, 20, arb(2))[64]
    assert s.eigenvalues[64] == pytest.approx(float(rule), rel=1e-14) and 0 < s.errors[64] < 1e-13 * s.eigenvalues[64]


def test_eigenvalues_below_the_range_of_double_precision_are_kept():
    s = spectrum(profile_of("exp(xi)"), Sphere(3000), degree=120)
    assert s.eigenvalues[-1] == 0 and s.exact[-1] > 0
    with mp.workdps(30):
        truth = mp.gamma(1500) * mp.mpf(2) ** 1499 * mp.besseli(1619, 1)
        assert relative_gap(s.exact[-1], truth) < 1e-13
    assert s.log_eigenvalues[-1] == pytest.approx(float(mp.log(truth)), rel=1e-12)


def test_circle_and_the_kernel_object():
    class Kernel:
        def profile(self):
            return profile_of("exp(xi)")

    s = spectrum(Kernel(), Circle, degree=4)
    expected = [float(mp.besseli(k, 1)) for k in range(5)]
    np.testing.assert_allclose(s.eigenvalues, expected, rtol=1e-15)
    assert s.multiplicities == (1, 2, 2, 2, 2) and "d = 2" in str(s.space)


def test_bad_input():
    kernel = profile_of("exp(xi)")
    for call in (
        lambda: Sphere(1), lambda: Sphere(2.5), lambda: Sphere(True), lambda: Sphere("3"),
        lambda: spectrum(kernel, 3), lambda: spectrum(3, Sphere(3)), lambda: spectrum(kernel, Sphere(3), degree=-1),
        lambda: spectrum(kernel, Sphere(3), degree=2.5), lambda: spectrum(kernel, Sphere(3), degree=10**6),
        lambda: spectrum(kernel, Sphere(3), digits=0), lambda: spectrum(kernel, Sphere(3), digits=10**6),
        lambda: spectrum(kernel, Sphere(3), digits=2.5), lambda: spectrum(kernel, Sphere(3), degree=10**9),
    ):  # fmt: skip
        with pytest.raises(DomainError):
            call()
    # Singular at 1: no trace.
    for formula in ("1/(1-rho)", "-log(1-rho)", "(1-rho)**(-1/4)", "asin(2*rho)"):
        with pytest.raises(DomainError, match="the trace, is not finite"):
            spectrum(dot_product_kernel(formula), Sphere(3), degree=2)
    # More digits than the nodes allowed can give: a refusal, at once.
    with pytest.raises(PrecisionError, match="nodes"):
        spectrum(profile_of("relu NTK 1"), Circle, degree=2, digits=2000)


# ---------------------------------------------------------------------------------------------------------------------
# Fractions


@pytest.mark.parametrize("d", [2, 3, 17, 10**6])
def test_exact_spectra_of_polynomials(d):
    kernel = dot_product_kernel("(1 + rho)**3/8 + rho**6/3")
    s = spectrum(kernel, Sphere(d), degree=9, exact=True)
    expected = zonal_from_taylor(
        [Fraction(1, 8), Fraction(3, 8), Fraction(3, 8), Fraction(1, 8), 0, 0, Fraction(1, 3)], d
    )
    assert s.exact == (*expected, 0, 0, 0) and all(isinstance(v, sp.Rational) for v in s.exact)
    assert (
        sum(m * v for m, v in zip(s.multiplicities, s.exact, strict=True)) == sp.Rational(4, 3) == sp.nsimplify(s.trace)
    )
    certified = spectrum(kernel, Sphere(d), degree=9, digits=30)
    for a, b in zip(certified.exact, s.exact, strict=True):
        assert abs(sp.Rational(a) - b) <= abs(b) * sp.Rational(1, 10**29)


def test_exact_spectra_of_polynomial_networks():
    s = spectrum(mlp("x**3", depth=1).ntk, Sphere(5), degree=4, exact=True)
    assert s.exact[4] == 0 and s.exact[0] == 0 and s.exact[3] > 0


def test_exact_refuses_what_has_no_fractions():
    for kernel, words in (
        (dot_product_kernel("exp(rho)"), "polynomial"),
        (dot_product_kernel("rho*sqrt(2)"), "rational coefficients"),
        (mlp("relu", depth=1).ntk, "digits="),
        (dot_product_kernel("rho**2 - 1/2"), "not positive semi-definite .* degree 0 is -1/6"),
    ):
        with pytest.raises(DomainError, match=words):
            spectrum(kernel, Sphere(3), degree=3, exact=True)
    with pytest.raises(DomainError, match="one or the other"):
        spectrum(dot_product_kernel("rho"), Sphere(3), degree=3, digits=10, exact=True)


def test_coefficients_are_computed_once_for_equal_kernels():
    calls = []

    class Counted(ExpressionProfile):
        def series(self, terms):
            calls.append(terms)
            return super().series(terms)

    profile = Counted(sp.exp(rho))
    first = spectrum(profile, Sphere(100), degree=20)
    done = len(calls)
    again = spectrum(profile, Sphere(100), degree=20)
    assert len(calls) == done and list(again.eigenvalues) == list(first.eigenvalues)
    assert mlp("relu", depth=2).ntk.profile() is mlp("relu", depth=2).ntk.profile()


@pytest.mark.parametrize("d", [1000, 10**6])
def test_signs_unknown_in_high_dimension(d):
    """Gauss-Legendre in a window around the equator, against the series of exp minus that of the cube."""
    s = spectrum(dot_product_kernel("exp(rho) - rho**3/60"), Sphere(d), degree=8)
    assert set(s.methods) == {"Gauss"}
    exp = spectrum(dot_product_kernel("exp(rho)"), Sphere(d), degree=8, digits=30).exact
    cube = zonal_from_taylor([0, 0, 0, sp.Rational(1, 60)], d, 8)
    for k in range(9):
        assert abs(s.eigenvalues[k] / (exp[k] - sp.N(cube[k], 30)) - 1) < 1e-13
    with pytest.raises(DomainError, match="degree 1 is -"):
        spectrum(dot_product_kernel("exp(-rho)"), Sphere(d), degree=3)
