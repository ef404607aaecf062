"""Random finite networks beside their limits: z-scores with theoretical errors, chi^2, deep networks, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.covariance import tangent_kernel_covariance
from kernalg.finite.empirical import EmpiricalKernel, empirical_ntk
from kernalg.finite.tails import tail_report
from kernalg.finite.variance import kurtosis, tangent_kernel_variance

CUBIC = HermiteSeries((0, 0, 0, "1/2"))
SINE = "sqrt(2)*sin(sqrt(2)*x + pi/4)"
EXPONENTIAL = "exp(sqrt(2)*x - 2)"


def circle(count):
    angles = np.linspace(0, math.pi, count)
    return math.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize(
    ("phi", "limit"),
    [
        (CUBIC, lambda c: c**3),
        (SINE, lambda c: (1 + 2 * c) * np.exp(2 * (c - 1))),
        (EXPONENTIAL, lambda c: (1 + 2 * c) * np.exp(2 * (c - 1))),
    ],
)
@pytest.mark.parametrize("count", [7, 100])
def test_reference_activations_at_every_angle(phi, limit, count):
    X = circle(count)
    found = empirical_ntk(phi, X[:1], X, width=2**14, draws=16, seed=0)
    cosine = np.cos(np.linspace(0, math.pi, count))
    assert np.allclose(found.target[0], limit(cosine), rtol=1e-12, atol=1e-13)
    assert found.error_kind == "theoretical"
    assert found.standard_error[0, 0] == pytest.approx(math.sqrt(tangent_kernel_variance(phi, 1) / 2**18), rel=1e-12)
    assert found.agrees(4), found
    assert np.abs(found.z).max() > 0.3  # errors that are too large would hide everything
    assert bool(found.warning) == (phi == EXPONENTIAL)


def test_scores_of_many_draws_are_standard_normal():
    """60 seeds: the z-scores at one angle have mean 0 and deviation 1; with the wrong variance they would not."""
    X = circle(3)
    z = np.array([empirical_ntk(SINE, X[:1], X[:2], width=256, draws=4, seed=s).z[0] for s in range(60)])
    assert (np.abs(z.mean(axis=0)) < 4 / math.sqrt(60)).all()
    assert (np.abs(z.std(axis=0) - 1) < 4 / math.sqrt(120)).all()


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_chi_squared_uses_the_covariance(kind):
    X = circle(7)
    values = [empirical_ntk(SINE, X[:1], X, width=1024, draws=4, seed=s, kind=kind, covariance=True) for s in range(8)]
    degrees = values[0].degrees_of_freedom
    assert 4 <= degrees <= 7
    total, count = sum(v.chi_squared for v in values), 8 * degrees
    assert abs(total - count) < 4 * math.sqrt(2 * count)
    assert all(1e-5 < v.p_value <= 1 for v in values)


def test_chi_squared_is_the_quadratic_form_of_the_inverse_covariance():
    X = circle(4)
    found = empirical_ntk("relu", X[:1], X[:3], width=1024, draws=4, covariance=True)
    entries = tangent_kernel_covariance("relu", X, [[0, 0], [0, 1], [0, 2]]).matrix / (1024 * 4)
    deviation = (found.mean - found.target)[0]
    assert found.degrees_of_freedom == 3
    assert found.chi_squared == pytest.approx(deviation @ np.linalg.solve(entries, deviation), rel=1e-9)


def test_a_cubic_moves_in_four_directions_at_any_number_of_angles():
    """Terms of a cubic phi are, in the second input, cubic forms of the plane: four numbers decide all angles."""
    X = circle(20)
    found = empirical_ntk(CUBIC, X[:1], X, width=256, draws=2, covariance=True)
    assert found.degrees_of_freedom == 4


def test_biases_readout_and_unequal_norms():
    X = np.random.default_rng(1).standard_normal((4, 5))
    net = ka.mlp("relu", w_var=2, b_var="1/2", readout=(3, 1))
    by_network = empirical_ntk(net, X, width=4096, draws=4, covariance=True)
    by_activation = empirical_ntk("relu", X, width=4096, draws=4, w_var=2, b_var="1/2", readout=(3, 1))
    assert np.allclose(by_network.target, net.ntk(X), rtol=1e-7)
    assert np.array_equal(by_network.mean, by_activation.mean)
    assert by_network.agrees() and (by_network.mean == by_network.mean.T).all()
    assert by_network.p_value > 1e-4
    features = empirical_ntk(net, X, width=4096, draws=4, kind="nngp")
    assert np.allclose(features.target, net.nngp(X), rtol=1e-7)
    assert features.agrees()


def test_theoretical_and_sample_errors_agree_without_heavy_tails():
    X = circle(4)
    found = empirical_ntk("erf", X, width=64, draws=100)
    assert np.allclose(found.sample_standard_error, found.standard_error, rtol=0.35)


def test_a_deep_network_has_sample_errors():
    X = circle(4)
    net = ka.mlp("erf", depth=2, w_var=2, b_var="1/10")
    found = empirical_ntk(net, X, width=512, draws=12)
    assert found.error_kind == "sample" and found.agrees()
    assert np.array_equal(found.standard_error, found.sample_standard_error)
    assert np.allclose(found.target, net.ntk(X))
    with pytest.raises(DomainError, match="one hidden layer only"):
        empirical_ntk(net, X, width=8, draws=2, covariance=True)
    with pytest.raises(DomainError, match="2 or more"):
        empirical_ntk(net, X, width=8, draws=1)


def test_seeds_json_text_and_progress():
    X, steps = circle(3), []
    found = empirical_ntk(SINE, X, width=64, draws=3, seed=5, progress=lambda done, total, text: steps.append(done))
    assert steps == [0, 1, 2, 3]
    assert found == empirical_ntk(SINE, X, width=64, draws=3, seed=5)
    assert found != empirical_ntk(SINE, X, width=64, draws=3, seed=6)
    assert EmpiricalKernel.from_json(found.to_json()) == found
    assert "theoretical errors" in repr(found) and "width 64, 3 draws, seed 5" in repr(found)
    single = empirical_ntk("sqrt(3/5)*exp(x**2/5)", X, width=64, draws=1, covariance=True)
    assert single.chi_squared is None
    assert single.sample_standard_error is None and np.isinf(single.standard_error[0, 0])
    assert "infinite" in repr(single)
    assert EmpiricalKernel.from_json(single.to_json()) == single
    with pytest.raises(DomainError, match="EmpiricalKernel"):
        EmpiricalKernel.from_json(found.to_json().replace('"mean": [[', '"mean": [[0, '))


def test_tails():
    """Moments of t = phi^2 + nu^2 phi'^2 of the exponential: t = exp(2 sqrt2 z - 4)(1 + 2 nu^2)."""
    report = tail_report(EXPONENTIAL)
    raw = [math.exp(4 * m * m - 4 * m) * e for m, e in zip(range(1, 5), (3, 17, 163, 2241), strict=True)]
    central = raw[3] - 4 * raw[0] * raw[2] + 6 * raw[0] ** 2 * raw[1] - 3 * raw[0] ** 4
    assert report.neuron_kurtosis == pytest.approx(central / (raw[1] - raw[0] ** 2) ** 2, rel=1e-9)
    assert report.kurtosis == pytest.approx(kurtosis(EXPONENTIAL), rel=1e-12)
    assert report.neurons_for_one_percent == pytest.approx(1e4 * (17 * math.exp(8) - 9) / 9, rel=1e-10)
    assert report.heavy and "too small" in report.reason
    mild = tail_report("relu", w_var=2, readout=(5, 0))
    assert not mild.heavy and mild.kurtosis == pytest.approx(6, rel=1e-12)
    # t = z^2 (z > 0) + nu^2 (z > 0): the relative deviation is sqrt(3), whatever the variances.
    assert mild.relative_deviation == pytest.approx(math.sqrt(3), rel=1e-12)
    assert tail_report("sqrt(3/5)*exp(x**2/5)").relative_deviation == math.inf
    assert not tail_report("sign", kind="nngp").heavy
    singular = tail_report("abs(x)**(3/4)")
    assert singular.relative_deviation == math.inf and singular.heavy
    constant = empirical_ntk("sign", [[1.0, 0.5]], width=8, draws=2, covariance=True)
    assert constant.degrees_of_freedom == 0 and constant.p_value == 1 and constant.agrees()


def test_scores_from_few_draws_of_a_deep_network_are_standard_normal():
    """With 3 draws the ratio to the sample error is Student's t with 2 degrees of freedom: 6 % exceed 4."""
    X = circle(3)
    net = ka.mlp("erf", depth=2, w_var=2)
    z = np.array([empirical_ntk(net, X[:1], X[:2], width=128, draws=3, seed=s).z[0] for s in range(80)])
    assert (np.abs(z.mean(axis=0)) < 4 / math.sqrt(80)).all()
    assert (np.abs(z.std(axis=0) - 1) < 4 / math.sqrt(160)).all()
    assert np.abs(z).max() < 4


def test_tails_at_the_ends_of_float64():
    """The zero activation has no noise; a factor changes nothing; what overflows is not called infinite."""
    zero = tail_report("0*x")
    assert not zero.heavy and zero.relative_deviation == 0 and math.isnan(zero.kurtosis)
    usual = tail_report("x + x**3")
    for size in ("1e-90", "1e90"):
        scaled = tail_report(f"{size}*(x + x**3)")
        assert scaled.neuron_kurtosis == pytest.approx(usual.neuron_kurtosis, rel=1e-9)
        assert scaled.relative_deviation == pytest.approx(usual.relative_deviation, rel=1e-9)
    biased = tail_report("1e90*x", readout=(1, "1e180")), tail_report("x", readout=(1, 1))
    assert biased[0].relative_deviation == pytest.approx(biased[1].relative_deviation, rel=1e-9)
    assert "beyond float64" in tail_report(HermiteSeries((*[0] * 800, 1))).reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(width=0), "width"),
        (dict(draws=0), "draws"),
        (dict(seed=-1), "seed"),
        (dict(kind="x"), "'ntk'"),
        (dict(X=[1.0, 2.0]), "2 dimension"),
        (dict(X=[[math.nan, 1.0]]), "finite"),
        (dict(Y=[[1.0]]), "shape"),
        (dict(phi=ka.mlp("relu"), w_var=2), "own variances"),
    ],
)
def test_bad_arguments(arguments, words):
    given = {"phi": "relu", "X": [[1.0, 0.0]], "width": 8, "draws": 2, **arguments}
    with pytest.raises(DomainError, match=words):
        empirical_ntk(given.pop("phi"), given.pop("X"), **given)


def test_a_design_and_a_fit_bring_their_network():
    t = np.linspace(0, np.pi, 5)
    X = np.sqrt(2) * np.column_stack([np.cos(t), np.sin(t)])
    found = ka.design("exp(rho/2)", kind="ntk", w_var=2, b_var="1/2")
    report = ka.empirical_ntk(found, X, width=256, draws=4)
    wanted = np.exp((X @ X.T) / 4)
    assert report.error_kind == "theoretical" and np.allclose(report.target, wanted, rtol=1e-9)
    assert ka.finite_network(found, inputs=2, width=8).widths == (8,)
    fit = ka.fit_activation(ka.mlp("relu", depth=2).nngp, ka.relu_mix(1), starts=1)
    assert fit.kind == "nngp"
    assert ka.empirical_ntk(fit, X, width=64, draws=2).target.shape == (5, 5)
