"""Samples of kernels: those of networks pass, others are refused with a certificate that is checked here again."""

from fractions import Fraction

import numpy as np
import pytest

from kernalg.design.samples import sampled_kernel

T = np.linspace(-1, 1, 20)
THETA = np.cos(np.linspace(0, np.pi, 30))


def relu(c):
    return (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / (2 * np.pi)


def check_certificate(kernel, w_var=1, b_var=0):
    """In exact rational arithmetic: moments of degree up to 300, and the sum of the values."""
    w, b = Fraction(w_var), Fraction(b_var)
    rho = [(w * Fraction(float(c)) + b) / (w + b) for c in kernel.certificate.cosines]
    mu = [Fraction(float(m)) for m in kernel.certificate.weights]
    powers = list(mu)
    for k in range(300):
        assert sum(powers) >= 0, k
        powers = [p * r for p, r in zip(powers, rho, strict=True)]
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
