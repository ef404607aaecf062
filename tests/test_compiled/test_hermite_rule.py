"""Hermite coefficients in float64 against exact and certified ones."""

import numpy as np
import pytest

from kernalg.activation.activation import activation
from kernalg.compiled.hermite_rule import hermite_rule


def coefficients(f, root, terms):
    rule = hermite_rule(terms)
    right, left = f(root * rule.nodes), f(-root * rule.nodes)
    a = np.empty(terms)
    a[::2] = (right + left) / 2 @ rule.even
    a[1::2] = (right - left) / 2 @ rule.odd
    return a


@pytest.mark.parametrize("terms", [16, 64, 1024])
def test_powers_have_exact_coefficients(terms):
    exact = {1: {1: 1}, 2: {0: 1, 2: np.sqrt(2)}, 5: {1: 15, 3: 10 * np.sqrt(6), 5: np.sqrt(120)}}
    for power, nonzero in exact.items():
        expected = np.zeros(terms)
        for k, value in nonzero.items():
            expected[k] = value
        np.testing.assert_allclose(coefficients(lambda x, n=power: x**n, 1.0, terms), expected, rtol=0, atol=2e-13)


def test_cosine_and_sine_at_any_scale():
    """E exp(i s Z) h_k(Z) = (i s)^k exp(-s^2/2) / sqrt(k!)."""
    for s in (0.1, 1.0, 3.0):
        a = coefficients(lambda x: np.cos(x) + np.sin(x), s, 64)
        size = np.exp(-s * s / 2) * np.cumprod(np.append(1.0, s / np.sqrt(np.arange(1, 64))))
        signs = np.tile([1, 1, -1, -1], 16)
        np.testing.assert_allclose(a, signs * size, rtol=0, atol=3e-16)


def test_tanh_against_certified_coefficients():
    certified = [float(a) for a in activation("tanh").hermite(40, q=4, digits=18)]
    np.testing.assert_allclose(coefficients(np.tanh, 2.0, 1024)[:41], certified, rtol=0, atol=3e-16)


def test_high_degrees_satisfy_parseval():
    a = coefficients(np.tanh, 8.0, 2**13)
    rule = hermite_rule(2**13)
    assert abs(np.sum(a * a) - np.tanh(8 * rule.nodes) ** 2 @ rule.mean) < 1e-14
    assert 1e-9 < np.abs(a[4000:4100]).max() < 1e-4
