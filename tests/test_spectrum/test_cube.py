"""Spectra on the hypercube against published digits, Walsh-Hadamard transforms, closed forms and each other."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_series, fmpz
from scipy.linalg import hadamard

import kernalg as ka
from kernalg.enclosure.balls import ball_function, enclose, has_digits, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.cube import cube_exponential, cube_from_taylor, krawtchouk, walk_counts, weighted_sums
from kernalg.network.radial_basis import rbf_kernel
from kernalg.spectrum.cube import eigenvalues_by_krawtchouk, eigenvalues_by_series
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Hypercube
from kernalg.symbols import rho

ROWS = json.loads((Path(__file__).parents[1] / "data" / "spectra_generalization_public.json").read_text())["hypercube"][
    "cases"
]


def relu_tangent(depth):
    return ka.mlp("relu", depth=depth, w_var=2, b_var=0).ntk


def by_walsh_hadamard(K, d):
    """One eigenvalue per degree from the row of the corner (1, …, 1), in double precision."""
    corners = np.array(list(itertools.product([1, -1], repeat=d)))
    profile = K.profile()
    values = {u: float(profile.value(sp.Rational(u, d), digits=17)) for u in range(-d, d + 1, 2)}
    transformed = hadamard(2**d) @ np.array([values[u] for u in corners.sum(axis=1).tolist()]) / 2**d
    # Row number S of the Hadamard matrix is the parity of the set of the binary digits of S.
    return np.array([transformed[2**k - 1] for k in range(d + 1)])


class ValuesOnly:
    """A profile of which nothing is known but values (and its Taylor coefficients, not their signs)."""

    def __init__(self, expr, nonnegative=False):
        self.function = ball_function(expr, [rho])
        self.nonnegative = nonnegative

    def series(self, terms):
        return self.function(arb_series([0, 1], prec=terms))

    def ball(self, value, analytic=False):
        return self.function(value, analytic=analytic)


@pytest.mark.parametrize("row", ROWS, ids=[f"{r['kernel'][:3]}-d{r['d']}-k{r['k']}" for r in ROWS])
def test_published_eigenvalues(row):
    K = ka.dot_product_kernel("exp(rho)") if row["kernel"].startswith("exp") else relu_tangent(1)
    k, space, exact = row["k"], Hypercube(row["d"]), sp.Float(row["eigenvalue"], 40)
    double, certified = spectrum(K, space, degree=k), spectrum(K, space, degree=k, digits=30)
    assert abs(double.eigenvalues[k] - float(exact)) <= 1e-15 * float(exact)
    assert abs(certified.exact[k] - exact) <= sp.Float("1e-29") * exact
    assert double.multiplicities[k] == math.comb(row["d"], k)


KERNELS = {
    "NTK of depth 3": relu_tangent(3),
    "NTK of depth 1": relu_tangent(1),
    "erf": ka.mlp("erf", depth=2, w_var=1, b_var=0).ntk,
    "tanh, of which only values are known": ka.mlp("tanh", depth=1, w_var=1, b_var=0).nngp,
    "Laplace": ka.dot_product_kernel("exp(-sqrt(2-2*rho))"),
    "kink inside": ka.dot_product_kernel("exp(3*rho) + Abs(rho)/4"),
    "rbf": rbf_kernel(5).on_sphere(7),
}


@pytest.mark.parametrize("name", KERNELS)
def test_against_the_walsh_hadamard_transform(name):
    s = spectrum(KERNELS[name], Hypercube(7), degree=7)
    assert np.allclose(s.eigenvalues, by_walsh_hadamard(KERNELS[name], 7), rtol=0, atol=1e-14 * s.trace)
    assert s.atoms == s.rank + sum(m for m, v in zip(s.multiplicities, s.eigenvalues, strict=True) if v == 0) == 2**7
    assert abs(s.level_power.sum() - s.trace) <= 1e-14 * s.trace and s.tail == 0
    assert type(s).from_json(s.to_json()) == s


def test_parity_zeros_are_exact():
    s = spectrum(KERNELS["erf"], Hypercube(9), degree=9)
    assert np.all(s.eigenvalues[::2] == 0) and np.all(s.eigenvalues[1::2] > 0) and s.methods[2] == "parity, zero"
    s = spectrum(KERNELS["tanh, of which only values are known"], Hypercube(4), degree=4)
    assert np.all(s.eigenvalues[::2] == 0) and np.all(s.eigenvalues[1::2] > 0)
    s = spectrum(relu_tangent(1), Hypercube(300), degree=9)
    assert np.flatnonzero(s.eigenvalues == 0).tolist() == [3, 5, 7, 9] and s.eigenvalues[1] == 1 / 300
    # Not zero as a function, but at all cosines of the cube.
    s = spectrum(ka.dot_product_kernel("rho + sin(5*pi*(1-rho))"), Hypercube(5), degree=5)
    assert s.eigenvalues.tolist() == [0, 0.2, 0, 0, 0, 0]


@pytest.mark.parametrize(("d", "degree"), [(3, 3), (8, 8), (230, 60), (1000, 50), (10**6, 20)])
@pytest.mark.parametrize("b", [sp.Rational(1, 10), sp.Integer(7)])
def test_exponential_closed_form(d, degree, b):
    s = spectrum(ka.dot_product_kernel(sp.exp(b * rho)), Hypercube(d), degree, digits=30)
    for k in {0, 1, degree // 2, degree}:
        exact = to_float(enclose(lambda b, d=d, k=k: (b / d).sinh() ** k * (b / d).cosh() ** (d - k), [b], 40), 40)
        assert abs(s.exact[k] / exact - 1) < sp.Float("1e-30", 30)
        assert abs(cube_exponential(b, d, k).evalf(20) / exact - 1) < sp.Float("1e-15", 30)


def test_exponential_as_a_formula():
    b, d, k = sp.symbols("b d k", positive=True)
    assert cube_exponential(b, d, k) == sp.sinh(b / d) ** k * sp.cosh(b / d) ** (d - k)


@pytest.mark.parametrize("K", [ka.dot_product_kernel("exp(rho)"), relu_tangent(1), relu_tangent(3)])
@pytest.mark.parametrize("d", [40, 400])
def test_series_and_krawtchouk_sum_agree(K, d):
    profile, levels = K.profile(), range(0, 31, 2)
    at_one = enclose(lambda t: profile.ball(t), [1], 40)
    left = eigenvalues_by_series(profile, d, levels, 20, at_one)
    right = eigenvalues_by_krawtchouk(profile, d, levels, 25, at_one)
    assert set(right) == set(levels)
    assert len(left) == len(right) or d == 40  # a kink at 1 has weight 2^-d, which few dimensions do not make small
    for k, (value, _) in left.items():
        with precision(200):
            assert value.overlaps(right[k][0]) and has_digits(value, 20) and has_digits(right[k][0], 25)


def test_high_dimension_of_a_kernel_known_by_values():
    # 30000 of the 100001 cosines carry all but 1e-100 of the mass.
    s = spectrum(ValuesOnly(sp.exp(2 * rho)), Hypercube(10**5), degree=4)
    other = spectrum(ka.dot_product_kernel("exp(2*rho)"), Hypercube(10**5), degree=4)
    assert np.allclose(s.eigenvalues, other.eigenvalues, rtol=1e-14)
    assert "Krawtchouk" in s.methods[0] and "series" in other.methods[0]
    with pytest.raises(PrecisionError, match="lower degree"):
        spectrum(ValuesOnly(sp.exp(2 * rho)), Hypercube(10**9), degree=20)


class NarrowBallsOnly(ValuesOnly):
    """One that cannot be enclosed on intervals, so that no bound of it is known."""

    def ball(self, value, analytic=False):
        return arb.nan() if value.rad() > 1e-3 else super().ball(value)


def test_all_cosines_where_no_bound_of_the_kernel_is_found():
    relu_dual = (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
    unbounded = spectrum(NarrowBallsOnly(relu_dual), Hypercube(500), degree=12)
    assert unbounded.methods[4] == "Krawtchouk sum, 501 values" and unbounded.methods[5] == "parity, zero"
    bounded = spectrum(ValuesOnly(relu_dual), Hypercube(500), degree=12)
    assert int(bounded.methods[4].split()[2]) < 500
    by_series = spectrum(ValuesOnly(relu_dual, nonnegative=True), Hypercube(500), degree=12)
    assert "series" in by_series.methods[4]
    for other in (bounded, by_series):
        assert np.allclose(unbounded.eigenvalues, other.eigenvalues, rtol=1e-14, atol=0)


@pytest.mark.parametrize("K", [relu_tangent(2), ka.dot_product_kernel("exp(rho)")])
def test_level_powers_tend_to_the_taylor_coefficients(K):
    a = K.profile().taylor(7)
    gaps = []
    for d in (10**4, 10**6):
        s = spectrum(K, Hypercube(d), degree=6)
        gaps.append(np.abs(s.level_power / a - 1))
    assert np.all(gaps[1] < 36 * 10 / 10**6)
    # The correction is of the order 1/d.
    assert np.allclose(gaps[0][2:] / gaps[1][2:], 100, rtol=0.02)


def test_exact_fractions():
    s = spectrum(ka.dot_product_kernel("(1 + rho)**5/32"), Hypercube(4), degree=9, exact=True)
    assert len(s) == 5 and sum(m * v for m, v in zip(s.multiplicities, s.exact, strict=True)) == 1
    # By definition: expand over the 2^4 corners.
    for k in range(5):
        mean = sum(
            (sp.Rational(4 + sum(x), 8)) ** 5 * math.prod(x[:k]) for x in itertools.product((1, -1), repeat=4)
        ) / sp.Integer(16)
        assert s.exact[k] == mean
    s = spectrum(ka.dot_product_kernel("rho**2"), Hypercube(10**6), degree=3, exact=True)
    assert s.exact == (sp.Rational(1, 10**6), 0, sp.Rational(2, 10**12), 0)
    double = spectrum(ka.dot_product_kernel("rho**5/3 + rho**2/7"), Hypercube(500), degree=8)
    exact = spectrum(ka.dot_product_kernel("rho**5/3 + rho**2/7"), Hypercube(500), degree=8, exact=True)
    assert np.allclose(double.eigenvalues, exact.eigenvalues, rtol=3e-16, atol=0)
    with pytest.raises(DomainError, match="polynomial"):
        spectrum(ka.dot_product_kernel("exp(rho)"), Hypercube(3), exact=True)


@pytest.mark.parametrize("d", [14, 300, 10**6])
def test_small_is_not_zero(d):
    """Far below the line where a ball that contains 0 is taken for 0; a coefficient far behind many zeros."""
    K = ka.dot_product_kernel("rho**100")
    s, exact = spectrum(K, Hypercube(d), degree=6), spectrum(K, Hypercube(d), degree=6, exact=True)
    for i in (0, 2, 4, 6):
        assert s.eigenvalues[i] > 0 and abs(s.eigenvalues[i] / exact.eigenvalues[i] - 1) < 1e-15
    assert np.all(s.eigenvalues[1::2] == 0)


def test_high_degrees_of_a_kink_in_high_dimension():
    s = spectrum(relu_tangent(1), Hypercube(10**5), degree=200)
    assert np.all(np.diff(s.log_eigenvalues[2::2]) < 0) and 0 < s.tail < 0.05
    # a_k = C k^-3/2 in the end, and C(d,k) lambda_k close to it.
    assert abs(s.level_power[200] / s.level_power[198] - (198 / 200) ** 1.5) < 0.01


def test_difference_form():
    """lambda_k = E[(delta^k f)(S/d)], S the sum of d - k signs, delta f(x) = (f(x + 1/d) - f(x - 1/d))/2."""
    d, f = 6, rho**6 + 2 * rho**3 + rho
    values = cube_from_taylor([sp.Rational(a) for a in reversed(sp.Poly(f, rho).all_coeffs())], d, d)
    for k in range(d + 1):
        g = f
        for _ in range(k):
            g = sp.expand((g.subs(rho, rho + sp.Rational(1, d)) - g.subs(rho, rho - sp.Rational(1, d))) / 2)
        signs = [(d - k - 2 * j, math.comb(d - k, j)) for j in range(d - k + 1)]
        assert values[k] == sum(c * g.subs(rho, sp.Rational(u, d)) for u, c in signs) / sp.Integer(2) ** (d - k)


def test_weights_count_words():
    d, m = 3, 5
    words = Counter(
        tuple(word.count(letter) % 2 for letter in range(d)) for word in itertools.product(range(d), repeat=m)
    )
    counts = list(walk_counts(d, 3, m, fmpz(1)))[m]
    assert [int(c) for c in counts] == [words[1, 0, 0], words[1, 1, 1]]
    t = sp.Symbol("t")
    for k in range(4):
        expected = sp.series(sp.sinh(t) ** k * sp.cosh(t) ** (7 - k), t, 0, 9).removeO()
        for m, counts in enumerate(walk_counts(7, 3, 8, fmpz(1))):
            if m % 2 == k % 2 and k // 2 < len(counts):
                assert int(counts[k // 2]) == expected.coeff(t, m) * sp.factorial(m)


def test_the_bound_of_the_weights_is_a_moment():
    with precision(128):
        for terms in (9, 10):
            _, bound = weighted_sums([arb(1)] * terms, 20, 3)
            moment = sum(math.comb(20, j) * (1 - j / 10) ** (terms // 2 * 2) for j in range(21)) / 2**20
            assert abs(float(bound) / moment - 1) < 1e-13


def test_krawtchouk_polynomials_are_orthogonal():
    d = 9
    table = [krawtchouk(d, d, j) for j in range(d + 1)]
    for k in range(d + 1):
        for m in range(d + 1):
            product = sum(math.comb(d, j) * table[j][k] * table[j][m] for j in range(d + 1))
            assert product == (2**d * math.comb(d, k) if k == m else 0)
    for bad in ((3, 2, 0), (1, 2, 3), (-1, 2, 0), (0, 0, 0), (1, 2, 0.5)):
        with pytest.raises(DomainError):
            krawtchouk(*bad)


def test_kernels_that_are_not_positive_here():
    with pytest.raises(DomainError, match=r"hypercube.*10: its eigenvalue of degree 4 is -0.0039"):
        spectrum(ka.dot_product_kernel("Abs(rho)"), Hypercube(10), degree=10)
    with pytest.raises(DomainError, match="eigenvalue of degree 0 is -1/110"):
        spectrum(ka.dot_product_kernel("rho**2 - 1/10"), Hypercube(11), exact=True)
    with pytest.raises(DomainError, match=r"degree 3 add up to more than K\(1\) = 1, so one beyond is negative"):
        spectrum(ka.dot_product_kernel("Abs(rho)"), Hypercube(1000), degree=3)
    # Not positive definite on any sphere, but on this cube, where rho^3 = rho.
    s = spectrum(ka.dot_product_kernel("rho - rho**3/2"), Hypercube(2), degree=2)
    assert s.eigenvalues.tolist() == [0, 0.25, 0]


def test_distances_on_the_cube():
    space = Hypercube(12)
    assert spectrum(rbf_kernel(5), space) == spectrum(ka.dot_product_kernel("exp(12*(rho-1)/5)"), space)
    assert np.allclose(
        spectrum(rbf_kernel(5), ka.Sphere(12)).eigenvalues,
        spectrum(ka.dot_product_kernel("exp(12*(rho-1)/5)"), ka.Sphere(12)).eigenvalues,
        rtol=1e-15,
    )


def test_degrees_end_at_the_dimension():
    s = spectrum(relu_tangent(3), Hypercube(5), degree=50)
    assert len(s) == 6 and s.multiplicities == (1, 5, 10, 10, 5, 1)
    with pytest.raises(DomainError, match="at most 2000 degrees"):
        spectrum(relu_tangent(3), Hypercube(3000), degree=2500)
    s = spectrum(ka.dot_product_kernel("exp(rho)"), Hypercube(1), degree=3)
    assert np.allclose(s.eigenvalues, [math.cosh(1), math.sinh(1)], rtol=1e-15)


def test_fifty_digits_of_a_kink_against_a_sum_in_other_arithmetic():
    d = 60
    s = spectrum(ka.dot_product_kernel("exp(-sqrt(2-2*rho))"), Hypercube(d), degree=30, digits=50)
    with mp.workdps(150):
        for k in (0, 7, 30):
            total = mp.fsum(
                math.comb(d, j) * krawtchouk(k, d, j)[k] * mp.exp(-mp.sqrt(mp.mpf(4 * j) / d)) for j in range(d + 1)
            )
            assert abs(mp.mpf(s.exact[k]) * 2**d * math.comb(d, k) / total - 1) < mp.mpf(10) ** -49


def test_underflow_keeps_its_digits():
    s = spectrum(relu_tangent(3), Hypercube(10**6), degree=80)
    assert s.eigenvalues[-1] == 0 and -1200 < s.log_eigenvalues[-1] / math.log(10) < -300
    assert abs(s.level_power[80] / s.level_power[78] - 1) < 0.1
