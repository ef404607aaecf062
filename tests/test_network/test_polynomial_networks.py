"""Gram matrices of networks of long polynomials."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.errors import DomainError, FormulaError
from kernalg.symbols import x


def series(degree: int, parity: int | None = None) -> sp.Expr:
    """sum of ± h_k sqrt((k+1)/(50 + k^2)), k of one parity."""
    terms = []
    for k in range(degree + 1):
        if parity in (None, k % 2):
            powers = (
                (-1) ** j * x ** (k - 2 * j) / (2**j * sp.factorial(j) * sp.factorial(k - 2 * j))
                for j in range(k // 2 + 1)
            )
            terms.append((-1) ** (k // 2) * sp.sqrt(sp.Rational(k + 1, 50 + k**2) * sp.factorial(k)) * sp.Add(*powers))
    return sp.Add(*terms)


def rows(norms: list[float], dimension: int = 5) -> np.ndarray:
    X = np.random.default_rng(4).standard_normal((len(norms), dimension))
    return X * (np.array(norms) * dimension**0.5 / np.linalg.norm(X, axis=1))[:, None]


def exact(K: ka.Kernel, a: np.ndarray, b: np.ndarray) -> float:
    products = (
        [Fraction(float(s)) * Fraction(float(t)) for s, t in zip(u, v, strict=True)]
        for u, v in ((a, a), (b, b), (a, b))
    )
    return float(K.value(*(sum(p) / len(a) for p in products), digits=20))


@pytest.mark.parametrize(
    "degree, parity, depth, norms",
    [
        (4, None, 1, [0.8, 1.0, 1.2]),
        (20, None, 1, [0.8, 0.9, 1.0, 1.2]),
        (20, None, 1, [1.0, 1.0, 1.0]),
        (21, 1, 1, [0.8, 1.0, 1.1]),
        (12, 0, 1, [0.8, 1.0, 1.1]),
        (7, None, 2, [0.9, 1.0, 1.1]),
        (60, None, 1, [0.9, 1.0, 1.1]),
    ],
)
def test_grams_against_certified_values(degree: int, parity: int | None, depth: int, norms: list[float]) -> None:
    net = ka.mlp(series(degree, parity), depth=depth, w_var="9/10", b_var="1/10")
    X = rows(norms)
    X = np.vstack([X, -X[0], X[1] * (1 + 1e-9)])
    nngp, ntk = net.ntk.nngp_and_ntk(X)
    for kernel, gram in ((net.nngp, nngp), (net.ntk, ntk)):
        size = np.sqrt(np.diag(gram))
        assert (gram == gram.T).all()
        for i in range(len(X)):
            for j in range(i + 1):
                assert abs(gram[i, j] - exact(kernel, X[i], X[j])) < 1e-12 * size[i] * size[j], (i, j)


def test_beside_other_activations_and_zero_rows() -> None:
    net = ka.serial(ka.Dense(1, 0), series(9), ka.Dense("1/2", 0), "erf", ka.Dense(1, 0))
    X = np.vstack([rows([0.9, 1.1]), np.zeros(5)])
    assert np.allclose(
        net.ntk(X)[:2, :2], [[exact(net.ntk, a, b) for a in X[:2]] for b in X[:2]], rtol=1e-12, atol=1e-13
    )
    alone = ka.serial(ka.Dense(1, 0), series(9), ka.Dense(1, 0))
    assert alone.nngp(X)[0, 2] == pytest.approx(exact(alone.nngp, X[0], X[2]), rel=1e-12)
    assert alone.ntk(X)[2, 2] == pytest.approx(exact(alone.ntk, X[2], X[2]), rel=1e-12)


def test_too_large_rows_are_refused() -> None:
    K = ka.serial(ka.Dense(1, 0), series(60), ka.Dense(1, 0)).ntk
    with pytest.raises(DomainError, match="Scale the rows down"):
        K(rows([1.0, 1e6]))


def test_a_compiled_polynomial_travels() -> None:
    K = ka.serial(ka.Dense(1, 0), series(8), ka.Dense(1, 0)).ntk
    X = rows([0.9, 1.0])
    assert (pickle.loads(pickle.dumps(K._compiled)).ntk(X) == K(X)).all()  # noqa: S301


def test_a_table_of_a_polynomial_too_long_for_a_text() -> None:
    """On one sphere large matrices are taken from a table, whose file is named by the text of the network."""
    phi = series(50).subs(x, x / sp.sqrt(sp.Rational(101, 100)))
    K = ka.serial(ka.Dense(1, 0), phi, ka.Dense(1, 0)).ntk
    with pytest.raises(FormulaError, match="digits"):
        K.to_json()
    table = K.program.spheres.table(Fraction(1))
    assert table is not None and max(table.error) < 1e-15


def test_one_coefficient_of_a_network_without_closed_form():
    profile = ka.mlp("tanh", depth=2, w_var=1, b_var="1/10").ntk.profile()
    assert profile.taylor(1)[0] == profile.taylor(3)[0]
