"""The Gaussian kernel of distances: values against exact arithmetic, near duplicates, and its form on the sphere."""

from __future__ import annotations

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.errors import DomainError
from kernalg.network.radial_basis import RadialBasisKernel, rbf_kernel


def exact_value(x, y, squared_length):
    """By rational arithmetic on the stored binary values."""
    squared = sum((Fraction(float(s)) - Fraction(float(t))) ** 2 for s, t in zip(x, y, strict=True))
    exponent = -squared / (2 * Fraction(squared_length))
    with mp.workdps(40):
        return mp.exp(mp.mpf(exponent.numerator) / exponent.denominator)


@pytest.mark.parametrize("d", [3, 100])
@pytest.mark.parametrize("offset", [0, 1000])
def test_values_near_duplicates_and_far_from_the_origin(d, offset):
    rng = np.random.default_rng(d)
    X = rng.normal(size=(12, d)) + offset
    X[1] = X[0]
    X[3] = X[2] + 1e-6 * rng.normal(size=d)
    Y = rng.normal(size=(5, d)) + offset
    Y[0] = X[4]
    K = rbf_kernel(Fraction(d, 2))
    gram, cross = K(X), K(X, Y)
    assert np.array_equal(gram, gram.T)
    assert gram[0, 1] == 1 and cross[4, 0] == 1 and np.array_equal(np.diag(gram), K.diag(X))
    for i, x in enumerate(X):
        for j, y in enumerate(X):
            assert float(abs(gram[i, j] / exact_value(x, y, Fraction(d, 2)) - 1)) < 1e-13
        for j, y in enumerate(Y):
            assert float(abs(cross[i, j] / exact_value(x, y, Fraction(d, 2)) - 1)) < 1e-13


def test_the_gap_of_near_duplicates():
    # Length and gap are chosen such that 1 - K carries digits of the distance: 1 - K = |x - y|^2 / (2 l2).
    x = np.full((1, 64), 1000.0)
    y = x + 2.0**-20
    distance = 64 * 2.0**-40
    assert abs(-np.log(rbf_kernel(distance / 2)(x, y)[0, 0]) - 1) < 1e-15


def test_on_the_sphere_it_is_an_exponential_of_the_cosine():
    K, rng = rbf_kernel("3/2"), np.random.default_rng(0)
    X = rng.normal(size=(6, 7))
    X *= np.sqrt(7) / np.linalg.norm(X, axis=1, keepdims=True)
    assert np.allclose(K(X), K.on_sphere(7)(X), rtol=1e-13, atol=0)
    assert K.on_sphere(7).nonnegative
    with pytest.raises(DomainError, match="d=0"):
        K.on_sphere(0)


def test_it_shows_itself_and_survives_json():
    K = rbf_kernel(0.1)
    assert K.squared_length == sp.Rational(1, 10) and repr(K) == "rbf_kernel(1/10)"
    assert "x-x'" in K._repr_latex_()
    assert RadialBasisKernel.from_json(K.to_json()) == K
    assert rbf_kernel(sp.pi).to_json() == RadialBasisKernel.from_json(rbf_kernel(sp.pi).to_json()).to_json()


@pytest.mark.parametrize("given", [0, -1, "a", float("nan"), None, True, sp.Symbol("l")])
def test_lengths_that_are_none(given):
    with pytest.raises(DomainError, match=r"squared_length"):
        rbf_kernel(given)


def test_rows_that_do_not_fit():
    with pytest.raises(DomainError, match="columns"):
        rbf_kernel(1)(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(DomainError, match="finite"):
        rbf_kernel(1).diag([[np.nan]])
    with pytest.raises(DomainError, match="RadialBasisKernel"):
        RadialBasisKernel.from_json("{}")
