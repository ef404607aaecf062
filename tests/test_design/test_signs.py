"""Signs of Hermite coefficients: what a user gives, and the choice that fluctuates or grows least."""

from __future__ import annotations

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import sympy as sp

from kernalg.design.signs import apply_signs, best_signs, parse_signs, sign_pattern
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.variance import kurtosis, tangent_kernel_variance


def radial(count):
    """|b_k| of exp(2(c - 1)) as a Gaussian process."""
    k = np.arange(count)
    return np.exp(-1 + (k * math.log(2) - np.array([math.lgamma(j + 1) for j in k])) / 2)


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("+", (1, 0, 1, 1, 1)),
        ("-", (-1, 0, -1, -1, -1)),
        (" ++-- ", (1, 0, -1, -1, 1)),
        ("+−", (1, 0, 1, -1, 1)),
        ([1, 0, -1, 1, -1], (1, 0, -1, 1, -1)),
        ([1, 7, -1, 1, -1], (1, 0, -1, 1, -1)),
        ((1, -1, 1, -1), (1, 0, -1, 1, -1)),
        (np.array([1.0, -1.0, 1.0, -1.0]), (1, 0, -1, 1, -1)),
        (["+", "-", "+", "-"], (1, 0, -1, 1, -1)),
        (sp.sympify([1, -1, 1, -1]), (1, 0, -1, 1, -1)),
    ],
)
def test_what_signs_mean(signs, expected):
    assert parse_signs(signs, [3, 0, sp.Rational(1, 2), 0.5, 1]) == expected


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        ("", "one word"),
        ("++--, +-", "one word"),
        ("abc", "one word"),
        (["++--", "+-"], "several patterns"),
        (["++--", 1, 1, 1], "'[+]{2}--' in a list"),
        ([1, -1], "2 signs for 5 coefficients, of which 4"),
        ([1] * 6, "6 signs"),
        ([0, 0, 1, 1, 1], "sign of b_0 is 0"),
        ([1, 0, 2, 1, 1], "sign of b_2 is 2"),
        ([True, 1, 1, 1], "True"),
        (3, "signs=3"),
    ],
)
def test_conflicting_signs_are_refused(signs, words):
    with pytest.raises(DomainError, match=words):
        parse_signs(signs, [3, 0, 1, 1, 1])


def test_signs_are_applied_exactly():
    assert apply_signs([sp.sqrt(2), 0, 0.5, "1/3"], "++--") == (sp.sqrt(2), 0, -sp.Rational(1, 2), -sp.Rational(1, 3))
    with pytest.raises(DomainError, match="not negative"):
        apply_signs([1, -1], "+")
    assert sign_pattern("+-") == (1, -1)


def test_the_radial_kernel_is_at_least_as_good_as_the_sine():
    """sqrt2 sin(sqrt2 z + pi/4) is the pattern ++--, with n Var = 25/2 - (9/2) exp(-16)."""
    sine = 12.5 - 4.5 * math.exp(-16)
    b = radial(30)
    found = best_signs(b)
    assert found.patterns["++--"] == pytest.approx(sine, rel=1e-9)
    assert found.patterns["+"] == pytest.approx(17 * math.exp(8) - 9, rel=1e-6)
    assert found.value <= sine * (1 + 1e-10)
    assert found.method == "local search from periodic patterns"
    series = HermiteSeries(tuple(np.array(found.signs) * b))
    assert tangent_kernel_variance(series, 1) == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize(
    ("cosine", "network"),
    [
        (1, {}),
        ([-1, -0.5, 0.3, 1], {"w_var": "3/2", "b_var": "1/4", "readout": (2, 1)}),
        ([0.2, 0.9], {"kind": "nngp", "w_var": 2}),
    ],
)
def test_exhaustive_search_against_every_choice_certified(cosine, network):
    """All 2^5 choices through `tangent_kernel_variance`, the zero coefficient included."""
    b = (1.0, 0.7, 0.0, 0.9, 0.4, 0.3)
    q = sp.Rational(network.get("w_var", 1)) + sp.Rational(network.get("b_var", 0))
    cosines = np.atleast_1d(cosine).tolist()
    values = {}
    for signs in itertools.product((1, -1), repeat=5):
        chosen = apply_signs(b, signs)
        values[signs] = np.mean(tangent_kernel_variance(HermiteSeries(chosen, q), cosines, **network))
    found = best_signs(b, cosine=cosine, **network)
    assert found.method == "all of 2^3 choices"
    assert found.value == pytest.approx(min(values.values()), rel=1e-11)
    assert values[tuple(s for s in found.signs if s)] == pytest.approx(found.value, rel=1e-11)
    assert found.signs[2] == 0 and found.text[2] == "0"


def test_rounding_does_not_win():
    """At opposite inputs all plus is the best choice, and what cancels there leaves no digits in float64."""
    t = sp.Integer(2)
    k = np.arange(45)
    b = np.exp(-2 + (k * math.log(4) - np.array([math.lgamma(j + 1) for j in k])) / 2)
    found = best_signs(b, cosine=-1)
    # exp(t z - t^2) has the term exp(-2 t^2) (1 - t^2 nu^2).
    assert found.value <= float(2 * t**4 * sp.exp(-4 * t**2)) * 1.001
    assert found.value > 0


def test_growth_is_the_fourth_moment_and_the_maximum():
    b = radial(12)
    fourth = best_signs(b, "growth")
    series = HermiteSeries(tuple(np.array(fourth.signs) * b))
    assert fourth.value == pytest.approx(kurtosis(series) * (b**2).sum() ** 2, rel=1e-12)
    largest = best_signs(b, "maximum")
    z = np.linspace(-6, 6, 1201)
    assert largest.value == pytest.approx(np.abs(HermiteSeries(tuple(np.array(largest.signs) * b))(z)).max(), rel=1e-11)
    assert largest.value <= largest.patterns["++--"] < largest.patterns["+"]


def test_local_search_finds_what_exhaustive_search_finds(monkeypatch):
    rng = np.random.default_rng(4)
    for _ in range(5):
        b = rng.uniform(size=10) / (1 + np.arange(10)) ** 2
        every = best_signs(b)
        with monkeypatch.context() as patch:
            patch.setattr(import_module("kernalg.design.signs"), "_EXHAUSTIVE", 0)
            local = best_signs(b)
        assert local.method == "local search from periodic patterns"
        assert every.value <= local.value * (1 + 1e-12) and local.value <= 1.02 * every.value


def test_degree_200_neither_overflows_nor_lies():
    b = np.zeros(201)
    b[::10] = 1 / (1 + np.arange(21.0)) ** 3
    found = best_signs(b, "growth")
    assert math.isfinite(found.value) and found.value <= min(found.patterns.values())
    series = HermiteSeries(tuple(np.array(found.signs) * b))
    assert found.value == pytest.approx(kurtosis(series) * (b**2).sum() ** 2, rel=1e-10)


@pytest.mark.parametrize("objective", ["variance", "growth", "maximum"])
@pytest.mark.parametrize("size", [1e-60, 1e60, 1e200])
def test_the_size_of_the_coefficients_does_not_matter(objective, size):
    b = np.array([1.0, 0.4, 0.7, 0.2, 0.9])
    usual, scaled = best_signs(b, objective), best_signs(b * size, objective)
    assert scaled.signs == usual.signs
    power = 1 if objective == "maximum" else 4
    if size < 1e70 or power == 1:
        assert scaled.value == pytest.approx(usual.value * size**power, rel=1e-9)


def test_patterns_are_recognised():
    assert best_signs(radial(12)).pattern == "++--"
    assert best_signs([0, 1, 0, 1, 0, 1]).text in {"0+0-0+", "0+0+0-", "0+0-0-", "0+0+0+"}
    assert best_signs([2]).signs == (1,)
    assert "++--" in repr(best_signs(radial(6)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1, -1],), "at least 0"),
        (([0, 0],), "all coefficients are 0"),
        (([1, 1], "size"), "objective"),
        (([1, 1], "variance", 2), "from -1 to 1"),
        (([1] * 302,), "up to 300"),
        (([1, math.inf],), "finite"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(DomainError, match=words):
        best_signs(*arguments)
