"""Samples of kernels: those of networks pass, others are refused with a certificate that is checked here again."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb, fmpq

from kernalg.design.moments import negative_moments
from kernalg.design.of_callable import TaylorEstimate, read_callable
from kernalg.design.samples import (
    SampledKernel,
    _Problem,
    sampled_kernel,
)
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError
from kernalg.expansion.power_series import exact_taylor
from kernalg.symbols import rho

RELU = (sp.sqrt(1 - rho**2) + (sp.pi - sp.acos(rho)) * rho) / (2 * sp.pi)
T = np.linspace(-1, 1, 20)
THETA = np.cos(np.linspace(0, np.pi, 30))


def relu(c):
    return (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / (2 * np.pi)


def check_certificate(kernel, w_var=1, b_var=0):
    """In exact rational arithmetic: moments of degree up to 300, and the sum of the values."""
    w, b = Fraction(w_var), Fraction(b_var)
    points = [(w * Fraction(float(c)) + b) / (w + b) for c in kernel.certificate.cosines]
    mu = [Fraction(float(m)) for m in kernel.certificate.weights]
    powers = list(mu)
    for k in range(300):
        assert sum(powers) >= 0, k
        powers = [p * r for p, r in zip(powers, points, strict=True)]
    table = {
        float(c): (float(v), float(t)) for c, v, t in zip(kernel.cosines, kernel.values, kernel.tolerance, strict=True)
    }
    pairs = [table[float(c)] for c in kernel.certificate.cosines]
    value = sum(m * Fraction(v) for m, (v, _) in zip(mu, pairs, strict=True))
    slack = sum(abs(m) * Fraction(t) for m, (_, t) in zip(mu, pairs, strict=True))
    assert value + slack < 0
    assert float(value) == pytest.approx(kernel.certificate.value)


@pytest.mark.parametrize(
    "f, b_var",
    [
        (lambda c: (3 * c**2 - 1) / 2, 0),
        (np.cos, 0),
        (np.sin, 0),
        (lambda c: 1 - c, 0),
        (lambda c: c - c**3 / 10, 0),
        (lambda c: c**3, Fraction(1, 4)),
    ],
)
def test_what_no_network_has_is_refused_with_a_certificate(f, b_var):
    kernel = sampled_kernel(T, f(T), b_var=b_var)
    assert kernel.feasible is False
    check_certificate(kernel, 1, b_var)
    assert "infeasible" in str(kernel)


@pytest.mark.parametrize(
    "f, b_var, coefficients",
    [
        (np.exp, 0, [1, 1, 1 / 2, 1 / 6]),
        (np.exp, Fraction(1, 4), np.exp(-1 / 4) * np.array([1, 5 / 4, 25 / 32, 125 / 384])),
        (lambda c: c**3, 0, [0, 0, 0, 1]),
        (relu, 0, [1 / (2 * np.pi), 1 / 4, 1 / (4 * np.pi), 0]),
        (lambda c: ((1 + c) / 2) ** 3, 1, [0, 0, 0, 1]),
    ],
)
def test_kernels_of_networks_pass_and_their_coefficients_are_found(f, b_var, coefficients):
    kernel = sampled_kernel(THETA, f(THETA), b_var=b_var)
    assert kernel.feasible is True and kernel.certificate is None and not kernel.coarse
    assert kernel.residual <= kernel.tolerance.max() and (kernel.coefficients >= 0).all()
    assert kernel.coefficients[:4] == pytest.approx(coefficients, abs=2e-6)
    at = (THETA + float(b_var)) / (1 + float(b_var))
    assert np.abs(np.polynomial.polynomial.polyval(at, kernel.coefficients) - f(THETA)).max() < 1e-9


def test_a_kernel_singular_at_minus_one_is_refused_with_a_bias():
    """ReLU's kernel continues to no disc around cosine -b_var/w_var: 30 samples show it, at b_var = 1/100."""
    kernel = sampled_kernel(THETA, relu(THETA), 1, "1/100")
    assert kernel.feasible is False
    check_certificate(kernel, 1, Fraction(1, 100))


def test_irrational_variances():
    w = sp.sqrt(2)
    refused = sampled_kernel(T, T**3, w, sp.Rational(1, 3))
    assert refused.feasible is False
    assert sampled_kernel(T, np.exp(T), w, sp.Rational(1, 3)).feasible is True


def test_three_points_are_too_coarse_and_say_so():
    points = np.array([0, 0.5, 1])
    kernel = sampled_kernel(points, relu(points))
    assert kernel.feasible is True and kernel.coarse
    assert "too coarse" in str(kernel) and "cosine -1" in str(kernel)
    # A = K(1) - K(0) = sum a_k and B = K(1/2) - K(0) = sum 2^-k a_k over k >= 1. K(-1) - K(0) is lowest, -A, with odd k
    # alone, and highest with a_1 = 4B - A, a_2 = 2A - 4B: A - 2 a_1.
    A, B = np.diff(relu(points)).sum(), relu(0.5) - relu(0.0)
    assert kernel.ambiguity == pytest.approx(4 * A - 8 * B, abs=1e-6) and kernel.ambiguous_at == -1


def test_without_a_sample_at_one_nothing_bounds_the_kernel_there():
    nodes = np.cos((np.arange(20) + 0.5) * np.pi / 20)
    kernel = sampled_kernel(nodes, np.exp(nodes))
    assert kernel.feasible is True and kernel.ambiguity == np.inf and kernel.ambiguous_at == 1
    assert "without bound at cosine 1" in str(kernel)
    assert sampled_kernel(nodes, np.cos(nodes)).feasible is False


@pytest.mark.parametrize("f", [np.exp, lambda t: t**3 + 1, lambda t: 1 / (1.5 - t)])
def test_noise_is_not_fitted_by_powers_of_a_high_degree(f):
    cosines = np.cos(np.linspace(0, np.pi, 31))
    for seed in range(3):
        noisy = f(cosines) + 0.05 * np.random.default_rng(seed).normal(size=31)
        found = sampled_kernel(cosines, noisy, standard_errors=0.05)
        fitted = np.polynomial.polynomial.polyval(cosines, found.coefficients)
        assert found.feasible and len(found.coefficients) <= 12  # not 4097
        assert np.sqrt(np.mean((fitted - f(cosines)) ** 2)) < 0.05  # nearer to the truth than the samples
        assert np.sum((fitted - noisy) ** 2) / 0.05**2 < 31 + 3 * np.sqrt(62)


def test_noise_widens_the_tolerance_and_not_more():
    rng = np.random.default_rng(3)
    errors = np.full(20, 0.01)
    noisy = np.exp(T) + errors * rng.normal(size=20)
    assert sampled_kernel(T, noisy).feasible is False  # as exact values they are no kernel
    kernel = sampled_kernel(T, noisy, standard_errors=errors)
    assert kernel.feasible is True and kernel.tolerance == pytest.approx(0.0405559, abs=1e-6)
    refused = sampled_kernel(T, (3 * T**2 - 1) / 2 + errors * rng.normal(size=20), standard_errors=errors)
    assert refused.feasible is False
    check_certificate(refused)
    nearly = sampled_kernel(T, np.exp(T) - 0.01 * T**2 - 0.51 * T**2, tolerance=0.05)
    assert nearly.feasible is True  # a_2 = -0.02 is within 0.05


def test_repeated_points():
    assert sampled_kernel([*T, 1, 1], [*np.exp(T), np.e, np.e]).feasible is True
    kernel = sampled_kernel([0.5, 0.5, 1], [1, 1.1, 2])
    assert kernel.feasible is False and kernel.certificate.value == pytest.approx(-0.05)
    mean = sampled_kernel([0.5, 0.5, 1], [1, 1.1, 2], tolerance=[0.06, 0.06, 0.01])
    assert mean.feasible is True


def test_few_samples():
    assert sampled_kernel([0.0], [-1.0]).feasible is False
    assert sampled_kernel([0.0], [1.0]).feasible is True
    assert sampled_kernel([-0.5], [-1.0]).feasible is True  # an odd power
    assert sampled_kernel([-0.5, -0.3, -0.1], [-1, 2, -1]).feasible is True  # large powers reach anything there
    assert sampled_kernel([1.0, -1.0], [1, -1.001]).feasible is False
    zero = sampled_kernel(T, 0 * T)
    assert zero.feasible is True and not zero.coarse and zero.coefficients.tolist() == [0]


def test_on_the_border_it_says_undecided():
    """c - 1e-9 c^2 misses the cone by about the tolerance: whatever is said must be true, "undecided" is allowed."""
    for size, allowed in ((1e-12, {True}), (1e-9, {True, None}), (1e-3, {False})):
        assert sampled_kernel(T, T - size * T**2, tolerance=1e-10 if size == 1e-12 else 1e-9).feasible in allowed
    undecided = SampledKernel(None, np.zeros(1), 0.1, np.ones(1), None, np.nan, np.nan, np.zeros(1), np.ones(1))
    assert "undecided" in str(undecided) and "more accurate values" in repr(undecided)


@pytest.mark.parametrize(
    "weights, points, known",
    [
        ([1, -1], [1, Fraction(1, 2)], []),
        ([1, -1], [Fraction(1, 2), 1], [600, 601]),  # negative for good
        ([1, 1], [-1, Fraction(1, 2)], [1]),
        ([1, -1], [1, -1], []),  # 0 and 2
        ([2, -1], [Fraction(999999, 10**6), Fraction(-999998, 10**6)], []),
        ([1], [0], []),
        ([-1], [0], [0]),
    ],
)
def test_the_signs_of_all_moments(weights, points, known):
    with precision(256):
        exact = [fmpq(Fraction(p).numerator, Fraction(p).denominator) for p in points]
        found = negative_moments([arb(m) for m in weights], exact)
    assert bool(found) == bool(known)


@pytest.mark.parametrize("a, b", [(9980, 9990), (9998, 9999)])
def test_a_moment_that_turns_negative_late_is_found(a, b):
    """a^k - b^k for a < b < 1 is lowest, about -1/4, where k (b - a) is about log 2: k near 700, or near 7000."""
    a, b = fmpq(a, 10000), fmpq(b, 10000)
    with precision(256):
        for sign in (1, -1):  # on the negative side: of odd k alone
            weights = [sign * arb(1), -sign * arb(1)]
            assert negative_moments([arb(0.1), *weights], [fmpq(1), sign * a, sign * b])
            assert not negative_moments([arb(0.3), *weights], [fmpq(1), sign * a, sign * b])


def test_weights_that_prove_nothing_are_no_certificate():
    one, zero = sp.Integer(1), sp.Integer(0)
    values = (3 * T**2 - 1) / 2
    problem = _Problem(T, values, np.full(20, 1e-9), one, zero)
    for index, proves in ((10, True), (9, False)):  # T[9] < 0 < T[10]: at a negative rho odd moments are negative
        weights = np.zeros(20)
        weights[index] = 1.0
        assert values[index] < 0
        certificate, violated = problem.prove(weights)
        assert (certificate is not None) == proves and bool(violated) != proves
    for value, proves in ((-0.5e-9, False), (-1.5e-9, True)):  # the tolerance explains the first
        problem = _Problem(np.array([0.5]), np.array([value]), np.array([1e-9]), one, zero)
        certificate, violated = problem.prove(np.array([1.0]))
        assert (certificate is not None) == proves and not violated


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0, 1], [1]), "2 cosines and 1 values"),
        (([], []), "at least one"),
        (([0, 1.5], [1, 2]), r"cosines\[1\] is 1.5"),
        (([0, np.nan], [1, 2]), "nan"),
        (([0, 1], [1, np.inf]), "inf"),
        (([0, 1], [1, 2], 0), "w_var = 0"),
        (([0, 1], [1, 2], 1, -1), "b_var = -1"),
        (([0, 1], [1, 2], sp.Symbol("w")), "w_var = w"),
        (([0, 1], [1, 2], 1, 0, 0), "tolerance of sample 0 is 0"),
        (([0, 1], [1, 2], 1, 0, [1, 1, 1]), "3 tolerances for 2 samples"),
        (([0, 1], [1, 2], 1, 0, None, [0.1, 0.1, 0.1]), "3 standard errors for 2 samples"),
        ((np.linspace(-1, 1, 2001), np.ones(2001)), "at most 2000"),
    ],
)
def test_bad_samples(arguments, message):
    with pytest.raises(DomainError, match=message):
        sampled_kernel(*arguments)


# ---------------------------------------------------------------------------------------------------------------------
# Functions


def test_a_function_that_takes_symbols_is_a_formula():
    assert read_callable(lambda c: sp.exp(2 * (c - 1)) if isinstance(c, sp.Basic) else np.exp(2 * (c - 1))) == sp.exp(
        2 * rho - 2
    )
    assert read_callable(lambda c: 1 / (2 - c)) == 1 / (2 - rho)
    assert read_callable(lambda c: np.polyval([1.5, 0, -0.5], c)) == 3 * rho**2 / 2 - sp.Rational(1, 2)
    # a formula that is not the function is not believed
    liar = read_callable(lambda c: c if isinstance(c, sp.Basic) else math.exp(c))
    assert isinstance(liar, SampledKernel) and liar.feasible


def test_a_function_that_takes_complex_numbers_gives_taylor_coefficients():
    found = read_callable(np.exp)
    exact = np.array([1 / math.factorial(k) for k in range(len(found.coefficients))])
    assert isinstance(found, TaylorEstimate) and (np.abs(found.coefficients - exact) <= found.errors).all()
    assert found.errors.max() < 1e-13 and found.deviation < 1e-14
    found = read_callable(relu)
    exact = [float(a) for a in exact_taylor(RELU, rho, 0, 200)]
    assert (np.abs(found.coefficients[:200] - exact) <= found.errors[:200]).all() and found.errors.max() < 1e-8
    shifted = read_callable(np.exp, 1, 1)
    exact = np.array([2**k * math.exp(-1) / math.factorial(k) for k in range(len(shifted.coefficients))])
    assert (np.abs(shifted.coefficients - exact) <= shifted.errors).all()


def test_a_function_with_a_kink_in_the_disc_is_sampled():
    kernel = read_callable(lambda c: np.where(c > 0, c, 0.0))
    assert isinstance(kernel, SampledKernel) and kernel.feasible is False
    kernel = read_callable(lambda c: math.exp(c) if c >= -2 else math.nan, points=17)
    assert isinstance(kernel, SampledKernel) and kernel.feasible is True
    # real only, by a cast that drops imaginary parts
    assert isinstance(read_callable(lambda c: np.exp(np.asarray(c, dtype=float)), points=17), SampledKernel)


@pytest.mark.parametrize(
    "f, message",
    [
        (np.log, "the function is nan at cosine -"),
        (lambda c: 1 / 0, "fails at cosine 1 .ZeroDivisionError"),
        (lambda c: np.sqrt(c - 2 + 0j), "is 1j at cosine 1; a kernel is real"),
        (lambda c: "text", "fails at cosine 1"),
        (lambda c: None, "fails at cosine 1"),
        ("exp(rho)", "no function"),
    ],
)
def test_bad_functions(f, message):
    with pytest.raises(DomainError, match=message):
        read_callable(f)
