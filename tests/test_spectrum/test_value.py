"""The Spectrum value (validation, exact integers, tail, round trips) and spectra of data."""

import copy
import math
import pickle
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import kernalg as ka
from kernalg.errors import DomainError, MissingExtra, NoClosedForm
from kernalg.spectrum.empirical import empirical_spectrum
from kernalg.spectrum.spectrum import Spectrum


def full():
    return Spectrum(
        [0.5, 0.1, 0.0],
        [1, 3, 10**299],
        trace=1,
        errors=[1e-17, 1e-18, 0],
        methods=["closed", "series", "parity"],
        space="sphere S^2, d = 3",
        convention="per harmonic",
        labels=["a", "b", "c"],
        exact=[sp.Float("0.5", 40), sp.Float("0.1", 40), sp.Float(0, 40)],
        target_power=[0, 1, 2],
        atoms=10**400,
    )


def test_properties():
    s = full()
    assert len(s) == 3 and s.rank == 4 and s.label(1) == "b" and s.multiplicities[2] == 10**299
    np.testing.assert_allclose(s.level_power, [0.5, 0.3, 0])
    assert s.tail == pytest.approx(0.2, rel=1e-15)
    np.testing.assert_allclose(s.log_multiplicities, [0, math.log(3), 299 * math.log(10)], rtol=1e-15)
    assert s.log_eigenvalues[2] == -math.inf
    assert Spectrum([1], [1]).tail is None and Spectrum([1], [1]).label(0) == "0"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 10**350), st.floats(1e-300, 1.0))
def test_level_power_and_logs_are_right_to_the_last_digits(m, value):
    with mp.workdps(50):
        power, log_m = mp.mpf(m) * mp.mpf(value), mp.log(m)
    if power < 1e308:
        s = Spectrum([value], [m])
        assert s.level_power[0] == pytest.approx(float(power), rel=5e-16)
        assert s.log_multiplicities[0] == pytest.approx(float(log_m), rel=5e-16)
    else:
        with pytest.raises(DomainError, match="exceeds the range"):
            Spectrum([value], [m])


def test_certified_digits_reach_below_float64():
    s = Spectrum([0.0], [10**6000], exact=[sp.Float("1.5e-6000", 30)])
    assert s.level_power[0] == pytest.approx(1.5, rel=1e-15) and s.rank == 10**6000
    assert s.log_eigenvalues[0] == pytest.approx(math.log(1.5) - 6000 * math.log(10), rel=1e-15)
    assert Spectrum.from_json(s.to_json()) == s
    assert "1.000e+6000" in repr(s)


def test_zeros_of_sympy_arithmetic_are_taken_as_floats():
    s = Spectrum([0.5, 0.0], [1, 2], exact=[sp.Float("0.5", 40), sp.Float(1, 40) * 0])
    assert all(isinstance(v, sp.Float) for v in s.exact) and Spectrum.from_json(s.to_json()) == s


def test_arrays_are_copies_that_cannot_be_written():
    given_values = np.array([1.0, 0.5])
    s = Spectrum(given_values, np.array([1, 2]), errors=given_values, target_power=given_values)
    given_values[0] = 7
    assert s.eigenvalues[0] == 1 and s.multiplicities == (1, 2) and type(s.multiplicities[0]) is int
    for array in (s.eigenvalues, s.errors, s.target_power):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_accepted_forms_of_numbers():
    s = Spectrum([Fraction(1, 4), sp.Rational(1, 8)], (np.int64(1), 10**30), trace=Fraction(10**31))
    assert s.eigenvalues.tolist() == [0.25, 0.125] and s.trace == 1e31


def test_equality_and_hash():
    s, t = full(), full()
    assert s == t and hash(s) == hash(t) and s != 3 and s in {t}
    assert Spectrum([1, 0.5], [1, 2]) != Spectrum([1, 0.5], [1, 3])
    assert Spectrum([1, 0.5], [1, 2]) != Spectrum([1, np.nextafter(0.5, 1)], [1, 2])
    assert Spectrum([1], [1], exact=[sp.Float(1, 20)]) != Spectrum([1], [1], exact=[sp.Float(1, 30)])
    assert pickle.loads(pickle.dumps(s)) == s and copy.deepcopy(s) == s  # noqa: S301


def test_round_trips_exactly():
    s = full()
    t = Spectrum.from_json(s.to_json())
    assert t == s and t.to_json() == s.to_json() and repr(t) == repr(s)
    assert str(t.exact[1]) == str(s.exact[1]) and t.exact[1]._mpf_ == s.exact[1]._mpf_
    plain = Spectrum([0.1 + 0.2, 1 / 3, 5e-324], [1, 2, 3])
    assert Spectrum.from_json(plain.to_json()) == plain
    assert '"100' in s.to_json() and "0.30000000000000004" in plain.to_json()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"type": "kernalg.Spectrum"}',
     '{"type": "kernalg.Spectrum", "eigenvalues": [1], "multiplicities": [1]}',
     '{"type": "kernalg.Spectrum", "eigenvalues": [1], "multiplicities": ["__import__(\'os\')"]}',
     '{"type": "kernalg.Spectrum", "eigenvalues": [NaN], "multiplicities": ["1"]}',
     '{"type": "kernalg.Spectrum", "eigenvalues": [1], "multiplicities": ["1"], "exact": ["1+1"]}',
     '{"type": "kernalg.Spectrum", "eigenvalues": [1], "multiplicities": ["1"], "colour": 1}'],
)  # fmt: skip
def test_foreign_json_is_refused(text):
    with pytest.raises(DomainError):
        Spectrum.from_json(text)


def test_it_shows_itself():
    text = repr(full())
    for word in ("sphere S^2", "per harmonic", "multiplicity", "1.000e+299", "series", "trace 1", "target power"):
        assert word in text
    many = repr(Spectrum(np.arange(100.0), [1] * 100))
    assert "…" in many and len(many.splitlines()) < 20
    assert "&lt;b&gt;" in Spectrum([1], [1], space="<b>")._repr_html_()


def test_the_tail_is_clipped_only_within_its_error():
    assert Spectrum([0.1] * 10, [1] * 10, trace=1).tail == 0  # ten times 0.1 is not quite 1
    assert Spectrum([0.6], [2], trace=1.1999999, errors=[1e-7]).tail == 0
    for errors in (None, [1e-9]):
        with pytest.raises(DomainError, match="more than the trace"):
            Spectrum([0.6], [2], trace=1.1999999, errors=errors)


def test_negative_eigenvalues_within_their_error_count_as_zero():
    s = Spectrum([1.0, -1e-18], [1, 10], errors=[0, 1e-17], trace=1)
    assert s.rank == 1 and s.level_power[1] == 0 and s.eigenvalues[1] == -1e-18 and s.log_eigenvalues[1] == -math.inf


@pytest.mark.parametrize(
    ("values", "counts", "more", "word"),
    [
        ([], [], {}, "at least one level"),
        ([[1]], [1], {}, "shape"),
        ([1, [2]], [1], {}, "eigenvalues"),
        (1.0, [1], {}, "shape"),
        ([math.nan], [1], {}, "nan"),
        ([math.inf], [1], {}, "inf"),
        ([1j], [1], {}, "complex"),
        (["1"], [1], {}, "dtype"),
        ([True], [1], {}, "dtype bool"),
        ([-0.5], [1], {}, "-0.5"),
        ([-0.5], [1], {"errors": [0.1]}, "-0.5"),
        ([1], [0], {}, r"multiplicities\[0\] is 0"),
        ([1], [-3], {}, "-3"),
        ([1], [1.0], {}, "1.0"),
        ([1], [True], {}, "True"),
        ([1], np.array([1.0]), {}, "1.0"),
        ([1], 1, {}, "multiplicities is 1"),
        ([1], [1, 2], {}, "length 2"),
        ([1, 2], [1, 1], {"errors": [1]}, "errors has length 1"),
        ([1], [1], {"errors": [-1]}, "errors"),
        ([1], [1], {"trace": -1}, "trace"),
        ([1], [1], {"trace": "1"}, "trace"),
        ([1], [1], {"trace": 0.5}, "more than the trace"),
        ([1], [1], {"methods": "series"}, "one text per level"),
        ([1], [1], {"labels": [1]}, "labels"),
        ([1], [1], {"space": 3}, "space"),
        ([1], [1], {"exact": [1.0]}, "SymPy Floats"),
        ([1], [1], {"exact": [sp.Float("nan")]}, "SymPy Floats"),
        ([1], [1], {"exact": [sp.Float(1.1)]}, "agree"),
        ([1], [1], {"target_power": [-1]}, "target_power"),
        ([1], [1], {"atoms": 0}, "atoms"),
    ],
)
def test_refusals_name_the_value(values, counts, more, word):
    with pytest.raises(DomainError, match=word):
        Spectrum(values, counts, **more)


def test_pandas_is_asked_for_only_when_needed(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        full().to_pandas()


def test_the_spectrum_of_data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = rng.standard_normal((60, 3))

    def kernel(X):
        return np.exp(-((X[:, None] - X) ** 2).sum(-1) / 8)

    s = empirical_spectrum(kernel, X, y)
    singular = np.linalg.svd(kernel(X) / 60, compute_uv=False)
    np.testing.assert_allclose(s.eigenvalues, singular, rtol=1e-9, atol=1e-15)
    assert s.multiplicities == (1,) * 60 and s.atoms == 60 and s.trace == pytest.approx(1)
    assert s.tail == 0 and (np.diff(s.eigenvalues) <= 0).all()
    assert s.target_power.sum() == pytest.approx((y**2).sum(1).mean(), rel=1e-12)
    # The quadratic form of the target, in the eigenbasis and directly.
    assert s.eigenvalues @ s.target_power == pytest.approx(np.einsum("ia,ij,ja->", y, kernel(X), y) / 60**2, rel=1e-12)
    one = empirical_spectrum(kernel(X), y=y[:, 0])
    two = empirical_spectrum(kernel(X), X, y[:, [0]])
    assert one == two and empirical_spectrum(kernel(X)).target_power is None


def test_the_rank_of_data_is_its_numerical_rank():
    X = np.random.default_rng(1).standard_normal((80, 3))
    s = empirical_spectrum(X @ X.T)
    assert s.rank == 3 and (s.eigenvalues[3:] == 0).all() and s.tail == 0
    assert empirical_spectrum(np.zeros((2, 2))).rank == 0


@pytest.mark.parametrize(
    ("gram", "X", "y", "word"),
    [
        (np.diag([1.0, -0.1]), None, None, "eigenvalue -0.05"),
        (np.ones((2, 3)), None, None, "square"),
        (np.ones(3), None, None, "shape"),
        (np.ones((0, 0)), None, None, "square"),
        (np.array([[1, 0.2], [0.1, 1]]), None, None, "not symmetric"),
        (np.eye(2) * 1j, None, None, "dtype"),
        (np.eye(2, dtype=object), None, None, "dtype"),
        ([[1, math.nan], [math.nan, 1]], None, None, r"K\[0, 1\] is nan"),
        ([[1, 2], [3]], None, None, "K is not an array"),
        (lambda X: X @ X.T, None, None, "give the points"),
        (np.eye(2), np.ones((3, 1)), None, "3 points"),
        (np.eye(2), None, np.ones(3), "y has shape"),
        (np.eye(2), None, np.ones((2, 0)), "y has shape"),
        (np.eye(2), None, [1, math.inf], r"y\[1\] is inf"),
    ],
)
def test_bad_data_are_refused(gram, X, y, word):
    with pytest.raises(DomainError, match=word):
        empirical_spectrum(gram, X, y)


def test_certified_digits_and_fractions_are_shown():
    digits = sp.Float("0.50000000000000000000000000001", 29)
    s = Spectrum([0.5], [1], errors=[1e-16], exact=[digits])
    assert "0.50000000000000000000000000001" in repr(s) and "error" not in repr(s)
    assert "1/3" in repr(Spectrum([1 / 3], [1], exact=[sp.Rational(1, 3)]))
    long = sp.Rational(10**5000 + 1, 2 * 10**5000)
    assert "0.5" in repr(Spectrum([0.5], [1], exact=[long]))
    assert s.to_pandas()["exact"].tolist() == [digits]


def test_targets_in_the_place_of_points_are_refused():
    with pytest.raises(DomainError, match="give targets by name"):
        empirical_spectrum(np.eye(3), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("K", "word"),
    [
        ("exp(rho)", "dot_product_kernel"),
        (ka.mlp("relu", 1, 2, 0), r"\.ntk or its \.nngp"),
        (ka.activation("relu"), "network of it"),
        (ka.activation("relu").dual, "network of it"),
        (lambda t: t, "Python function"),
    ],
)
def test_what_is_no_kernel_yet_is_told_the_next_step(K, word):
    with pytest.raises(DomainError, match=word):
        ka.spectrum(K, ka.Sphere(5), degree=2)


def test_without_a_closed_form_data_are_proposed():
    with pytest.raises(NoClosedForm, match="empirical_spectrum"):
        ka.spectrum(ka.mlp("floor", 1, 2, 0).ntk, ka.Sphere(5), degree=2)
