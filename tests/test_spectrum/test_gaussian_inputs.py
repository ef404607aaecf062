"""The Gaussian kernel under Gaussian inputs against discretised operators, its expansion, and exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from kernalg.errors import DomainError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.radial_basis import rbf_kernel
from kernalg.spectrum.gaussian_inputs import gaussian_eigenfunctions, gaussian_eigenvalue
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import GaussianInputs, Sphere


def by_gauss_hermite(variances, squared_length, nodes):
    """Eigenvalues of the operator on a product of Gauss-Hermite rules, largest first."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    grid = np.array(list(itertools.product(points, repeat=len(variances)))) * np.sqrt(np.array(variances, dtype=float))
    mass = np.sqrt(np.array([math.prod(w) for w in itertools.product(weights, repeat=len(variances))]))
    operator = mass[:, None] * rbf_kernel(squared_length)(grid) * mass[None, :]
    return np.linalg.eigvalsh(operator)[::-1]


@pytest.mark.parametrize(("variance", "squared_length"), [(1, 2), ("1/3", 5), (4, 3)])
def test_one_coordinate_against_the_discretised_operator(variance, squared_length):
    s = spectrum(rbf_kernel(squared_length), GaussianInputs(1, variance), degree=12)
    discretised = by_gauss_hermite([Fraction(variance)], squared_length, 80)[:13]
    assert np.allclose(s.eigenvalues, discretised, rtol=1e-9, atol=1e-15)
    assert s.multiplicities == (1,) * 13 and s.labels is None


def check_largest(s, discretised, rtol):
    """The levels are the largest eigenvalues of all, in order, with none left out."""
    listed = np.repeat(s.eigenvalues, s.multiplicities)
    assert np.all(np.diff(s.eigenvalues) <= 0)
    assert np.allclose(listed, discretised[: len(listed)], rtol=rtol)
    assert discretised[len(listed)] < 0.999 * listed[-1]


def test_two_variances_against_the_discretised_operator():
    s = spectrum(rbf_kernel(4), GaussianInputs(2, [1, "1/4"]), degree=4)
    assert s.labels is not None and set(s.labels) >= {"(0,0)", "(1,0)", "(0,1)", "(2,0)", "(1,1)", "(4,0)"}
    check_largest(s, by_gauss_hermite([1, 0.25], 4, 24), 1e-8)


def test_repeated_variances_share_their_levels():
    s = spectrum(rbf_kernel(4), GaussianInputs(3, [1, "1/4", 1]), degree=6)
    wide, narrow = by_gauss_hermite([1], 4, 60)[:25], by_gauss_hermite([0.25], 4, 60)[:25]
    check_largest(s, np.sort(np.multiply.outer(np.multiply.outer(wide, wide), narrow).ravel())[::-1], 1e-9)
    levels = dict(zip(s.labels, s.multiplicities, strict=True))
    assert (levels["(2,0)"], levels["(2,1)"], levels["(6,0)"]) == (3, 3, 7)


@pytest.mark.parametrize(("variance", "squared_length"), [(1, 1), ("1/3", 5), (9, "1/10")])
def test_eigenfunctions_are_orthonormal_and_expand_the_kernel(variance, squared_length):
    s = float(Fraction(variance))
    # The trapezoidal rule converges exponentially for analytic functions that decay.
    x = np.sqrt(s) * np.linspace(-25, 25, 16_001)
    density = np.exp(-(x**2) / (2 * s)) / np.sqrt(2 * np.pi * s)
    table = gaussian_eigenfunctions(40, x, variance=variance, squared_length=squared_length)
    assert np.allclose((table * density) @ table.T * (x[1] - x[0]), np.eye(41), atol=1e-12)
    values = spectrum(rbf_kernel(squared_length), GaussianInputs(1, variance), degree=200).eigenvalues
    at = np.sqrt(s) * np.array([-1.3, 0.0, 0.4, 2.0])
    functions = gaussian_eigenfunctions(200, at, variance=variance, squared_length=squared_length)
    gram = rbf_kernel(squared_length)(at[:, None])
    assert np.allclose((functions.T * values) @ functions, gram, rtol=0, atol=1e-9)


def test_the_form_of_rasmussen_and_williams_to_forty_digits():
    s2, l2, d = Fraction(2, 3), Fraction(7, 5), 6
    s = spectrum(rbf_kernel(l2), GaussianInputs(d, s2), degree=30, digits=40)
    assert s.exact is not None
    with mp.workdps(60):
        a, b = 1 / (4 * mp.mpf(2) / 3), 1 / (2 * mp.mpf(7) / 5)
        big = a + b + mp.sqrt(a**2 + 2 * a * b)
        for k in range(31):
            exact = (2 * a / big) ** (mp.mpf(d) / 2) * (b / big) ** k
            assert abs(mp.mpf(s.exact[k]) / exact - 1) < mp.mpf(10) ** -39
            assert abs(s.eigenvalues[k] / exact - 1) < 2e-16
    assert s.multiplicities[3] == math.comb(8, 5)


def test_the_eigenvalue_as_a_formula():
    s = spectrum(rbf_kernel("7/5"), GaussianInputs(1, "2/3"), degree=5, digits=30)
    for n, value in enumerate(s.exact):
        assert abs(gaussian_eigenvalue(n, variance="2/3", squared_length="7/5").evalf(40) / value - 1) < 1e-29
    n, v, length = sp.symbols("n v l", positive=True)
    formula = gaussian_eigenvalue(n, variance=v, squared_length=length)
    assert formula.free_symbols == {n, v, length} and formula.subs({n: 3, v: 3, length: 4}) == sp.Rational(2, 81)


def test_levels_add_up_to_the_trace():
    s = spectrum(rbf_kernel(9), GaussianInputs(9), degree=80)
    assert s.trace == 1 and abs(s.level_power.sum() - 1) < 1e-14 and s.tail == 0
    s = spectrum(rbf_kernel(2), GaussianInputs(2, [1, "1/2"]), degree=60)
    assert abs(s.level_power.sum() - 1) < 1e-13
    for digits in (None, 25):
        assert 0 < spectrum(rbf_kernel(9), GaussianInputs(9), 3, digits).tail < 1


def test_exact_fractions():
    s = spectrum(rbf_kernel("4/3"), GaussianInputs(3), degree=4, exact=True)
    assert s.exact == tuple(sp.Rational(8, 27) / 3**k for k in range(5))
    s = spectrum(rbf_kernel(4), GaussianInputs(2, [3, 8]), degree=2, exact=True)  # roots 2 and 3: B = 1/3 and 1/2
    assert dict(zip(s.labels, s.exact, strict=True)) == {
        "(0,0)": sp.Rational(1, 3),
        "(0,1)": sp.Rational(1, 6),
        "(1,0)": sp.Rational(1, 9),
        "(0,2)": sp.Rational(1, 12),
    }
    with pytest.raises(DomainError, match=r"sqrt\(5\)"):
        spectrum(rbf_kernel(1), GaussianInputs(2), exact=True)


def test_high_dimension():
    d = 10**6
    s = spectrum(rbf_kernel("4/3"), GaussianInputs(d), degree=20)
    assert s.exact is not None and s.eigenvalues[0] == 0 and s.tail == 1
    assert np.allclose(s.log_eigenvalues, d * np.log(2 / 3) - np.arange(21) * np.log(3), rtol=1e-15)
    # Distances concentrate, |x|^2 = d (1 + O(d^-1/2)): the levels of degree > 0 are nearly those of the sphere, up to
    # the mean factor that the fluctuating norms contribute.
    s = spectrum(rbf_kernel(d), GaussianInputs(d), degree=3)
    on_sphere = spectrum(rbf_kernel(d), Sphere(d), degree=3)
    assert np.allclose(s.level_power, on_sphere.level_power, rtol=2e-5)


def test_many_variances():
    space = GaussianInputs(12, [Fraction(1, i) for i in range(1, 13)])
    s = spectrum(rbf_kernel(12), space, degree=3)
    assert s.labels is not None and s.labels[:3] == ("()", "(0:1)", "(1:1)") and "(0:1, 1:1)" in s.labels
    assert type(s).from_json(s.to_json()) == s
    with pytest.raises(DomainError, match="more than 20000 levels"):
        spectrum(rbf_kernel(12), space, degree=40)


def test_what_has_no_spectrum_here():
    with pytest.raises(DomainError, match="at most 20000 levels"):
        spectrum(rbf_kernel(1), GaussianInputs(2), degree=30_000)
    with pytest.raises(DomainError, match="only rbf_kernel"):
        spectrum(dot_product_kernel("exp(rho)"), GaussianInputs(2, [1, 2]))
    with pytest.raises(DomainError, match="variance"):
        gaussian_eigenfunctions(3, [0.0], variance=-1)
    with pytest.raises(DomainError, match="squared_length"):
        gaussian_eigenfunctions(3, [0.0], squared_length=0)
    with pytest.raises(DomainError, match="degree"):
        gaussian_eigenfunctions(-1, [0.0])
