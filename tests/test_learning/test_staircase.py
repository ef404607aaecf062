"""Plateaus of learning curves against the curves themselves."""

import math

import numpy as np
import pytest

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.expansion.zonal import multiplicity
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.staircase import Staircase, staircase
from kernalg.spectrum.spectrum import Spectrum


@pytest.mark.parametrize("d", [300, 3000])
def test_degrees_up_to_r_are_learned_between_two_powers_of_d(d):
    spectrum = ka.spectrum(ka.dot_product_kernel("exp(rho)"), ka.Sphere(d), degree=6)
    power = [0, 1, 0.5, 0.25]
    steps = staircase(spectrum, power, noise=0.1)
    np.testing.assert_allclose(steps.heights[:5], [1.85, 1.85, 0.85, 0.35, 0.1], rtol=1e-14)
    for r in (1, 2):
        plateau = steps.plateaus[r + 1]
        assert plateau.learned == tuple(str(k) for k in range(r + 1))
        # Of the order of N(d, r) and N(d, r+1); D/(lambda N) = (e - 1 - ...)/(1/r!) is of the order of 1.
        assert multiplicity(d, r) / 2 < plateau.after < 4 * multiplicity(d, r)
        assert multiplicity(d, r + 1) / 2 < plateau.before < 4 * multiplicity(d, r + 1)
        middle = math.sqrt(plateau.after * plateau.before)
        assert plateau.holds[0] < middle < plateau.holds[1]
        assert learning_curve(spectrum, power, n=middle, noise=0.1).test_mse[0] == pytest.approx(
            plateau.height, rel=8 / math.sqrt(d)
        )


def test_ends_are_half_learned_and_the_range_is_where_the_curve_is_close():
    spectrum = Spectrum([1e-3, 1.0, 1e-6, 0.0], [1000, 1, 10**6, 7], labels=list("abcd"))
    power, options = [1, 1, 1, 0.5, 0.25], {"ridge": 0.1, "noise": 0.25}
    steps = staircase(spectrum, power, tolerance=0.05, **options)
    assert [p.learned for p in steps.plateaus] == [(), ("b",), ("a", "b"), ("a", "b", "c")]
    np.testing.assert_allclose(steps.heights, [4, 3, 2, 1])
    third = steps.plateaus[2]
    curve = learning_curve(spectrum, power, n=[third.after, third.before], **options)
    assert curve.learnabilities[0, 0] == pytest.approx(0.5, rel=1e-12)
    assert curve.learnabilities[1, 2] == pytest.approx(0.5, rel=1e-12)
    assert steps.plateaus[0].after == 0 and steps.plateaus[-1].before == math.inf
    assert steps.plateaus[0].holds[0] == 0 and steps.plateaus[-1].holds[1] == math.inf
    for plateau in steps.plateaus:
        low, high = max(plateau.holds[0], 1e-3), min(plateau.holds[1], 1e9)
        inside = learning_curve(spectrum, power, n=np.geomspace(low, high, 50), **options).test_mse
        assert (np.abs(inside / plateau.height - 1) <= 0.05 + 1e-9).all()
    outside = learning_curve(spectrum, power, n=0.9 * third.holds[0], **options).test_mse[0]
    assert abs(outside / third.height - 1) > 0.05


def test_a_tail_acts_as_ridge():
    one = staircase(Spectrum([1.0, 1e-3], [1, 1000], trace=2.5), [1, 1], ridge=0.1, noise=0.5)
    two = staircase(Spectrum([1.0, 1e-3], [1, 1000]), [1, 1], ridge=0.6, noise=0.5)
    for a, b in zip(one.plateaus, two.plateaus, strict=True):
        np.testing.assert_allclose([a.after, a.before, *a.holds], [b.after, b.before, *b.holds], rtol=1e-12)


def test_a_range_ends_where_a_level_is_a_quarter_learned():
    spectrum = Spectrum([1.0, 1e-3], [1, 1000])
    plateau = staircase(spectrum, [0, 0], ridge=0.1, noise=1.0, tolerance=1e9).plateaus[1]
    at_ends = learning_curve(spectrum, [0, 0], n=plateau.holds, ridge=0.1).learnabilities
    assert 0.74 < at_ends[0, 0] < 0.76 and 0.24 < at_ends[1, 1] < 0.26


def test_levels_too_close_have_no_plateau():
    steps = staircase(Spectrum([1.0, 0.5], [100, 100]), [1, 1], noise=0.1)
    assert steps.plateaus[1].holds is None and "nowhere" in repr(steps) and "<table>" in steps._repr_html_()
    assert len(steps) == 3


def test_nothing_to_learn_and_equal_eigenvalues():
    steps = staircase(Spectrum([0.0], [3]), [1.0], noise=0.5)
    assert steps.heights.tolist() == [1.5] and steps.plateaus[0].holds == (0.0, math.inf)
    assert len(staircase(Spectrum([0.5, 0.5, 1e-9], [3, 4, 5]), [1, 1, 1])) == 3


def test_it_round_trips():
    steps = staircase(Spectrum([1.0, 0.5, 1e-9], [100, 100, 10**9]), [1, 1, 1], noise=0.1)
    assert Staircase.from_json(steps.to_json()) == steps and steps.plateaus[1].holds is None
    table = steps.to_pandas()
    assert table["height"].tolist() == steps.heights.tolist()
    assert table["learned"].tolist() == ["", "0", "0, 1", "0, 1, 2"]
    for text in ("{}", '{"type": "kernalg.Staircase", "tolerance": 0.1, "plateaus": [{}]}'):
        with pytest.raises(DomainError):
            Staircase.from_json(text)


def test_refusals():
    spectrum = Spectrum([1.0], [3])
    for options in ({"ridge": -1}, {"noise": -1}, {"tolerance": math.nan}):
        with pytest.raises(DomainError, match=next(iter(options))):
            staircase(spectrum, [1], **options)
    with pytest.raises(DomainError, match="no target"):
        staircase(spectrum)
