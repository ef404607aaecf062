"""Simulations: every exact risk against brute force, and experiments against predictions, right and wrong ones."""

import itertools
import json
import math
import re
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from scipy.special import roots_hermitenorm, roots_legendre

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.experiments import gaussian_sample, truncation
from kernalg.learning.gaussian_features import simulate_gradient_flow, simulate_random_features, simulate_two_ridges
from kernalg.learning.levels import random_inputs
from kernalg.learning.regression import generator, kernel_ridge
from kernalg.learning.simulation import Simulation, _sampler, simulate
from kernalg.learning.targets import target_power
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.network import mlp
from kernalg.network.product_kernel import product_kernel
from kernalg.network.radial_basis import rbf_kernel
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Ball, GaussianInputs, Hypercube, ProductOfSpheres, Shells, Sphere
from kernalg.spectrum.spectrum import Spectrum

EXP = dot_product_kernel("exp(rho)")
SMALL = Spectrum([0.5, 0.01, 0.002], [1, 50, 5], trace=1.2)


# -- exact risks ------------------------------------------------------------------------------------------------------


def everywhere(space):
    """Points and weights that integrate the risk over the whole space."""
    if isinstance(space, Hypercube):
        return np.array(list(itertools.product([1.0, -1.0], repeat=space.d))), np.full(2**space.d, 2.0**-space.d)
    if isinstance(space, GaussianInputs):
        points, weights = roots_hermitenorm(32)
        X = np.array(list(itertools.product(points, repeat=space.d))) * math.sqrt(space.variance)
        return X, np.prod(list(itertools.product(weights / weights.sum(), repeat=space.d)), axis=1)
    angles = 2 * np.pi * np.arange(48) / 48
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if space.d == 2:
        return circle * math.sqrt(2), np.full(48, 1 / 48)
    heights, weights = roots_legendre(24)
    ring = np.sqrt(1 - heights**2)
    X = np.concatenate([np.c_[r * circle, np.full(48, h)] for r, h in zip(ring, heights, strict=True)])
    return X * math.sqrt(3), np.repeat(weights / 96, 48)


@pytest.mark.parametrize(
    ("space", "kernel", "target", "degree"),
    [
        (Sphere(2), EXP, "zonal", 20),
        (Sphere(3), EXP, "zonal", 20),
        (Sphere(3), EXP, "random", 20),
        (Sphere(3), EXP, "rho**3 + rho**2/2", 20),
        (Hypercube(6), EXP, "zonal", 6),
        (Hypercube(6), EXP, "random", 6),
        (Hypercube(6), EXP, "parity", 6),
        (Hypercube(6), EXP, "rho**3 + rho**2/2", 6),
        (GaussianInputs(2, "1/2"), rbf_kernel(2), "zonal", 30),
        (GaussianInputs(2, "1/2"), rbf_kernel(2), "random", 30),
    ],
)
def test_risks_by_brute_force(space, kernel, target, degree):
    levels = spectrum(kernel, space, degree)
    power = np.zeros(len(levels))
    power[:4] = [0.3, 1.0, 0.5, 0.25]
    if target.startswith("rho"):
        power = target_power(target, space, degree).power
    sampler, _, method, _ = _sampler(levels, kernel, power, target, 2)
    assert method == "exact risk"
    n, known = 12, np.arange(12)
    # The first n points are the training set, the others integrate: the draws of the target see all of them.
    T, weights = everywhere(space)
    values, gram, sample = _sample_with_grid(space, sampler, levels, kernel, power, target, T, n)
    assert len(values) == n + len(T)
    alpha = kernel_ridge(gram[np.ix_(known, known)], values[:n], 0.01)
    risk = weights @ (gram[n:, :n] @ alpha - values[n:]) ** 2
    assert weights @ values[n:] ** 2 == pytest.approx(power.sum(), rel=1e-10)
    padded = np.append(alpha, np.zeros(len(T)))
    assert sample.risk(padded) == pytest.approx(risk, rel=1e-8)
    listed = power[: len(levels)]
    overlaps = weights @ ((gram[n:, :n] @ alpha)[:, None] * sample.components.T[n:])
    present = listed > 0
    np.testing.assert_allclose(sample.learnabilities(padded)[present], overlaps[present] / listed[present], atol=1e-7)
    assert np.isnan(sample.learnabilities(padded)[~present]).all()


def _sample_with_grid(space, sampler, levels, kernel, power, target, T, n):
    """The sample whose inputs are a pole, n random points and the grid, by handing the sampler these inputs."""
    import kernalg.learning.experiments as experiments

    honest = experiments.random_inputs
    try:
        experiments.random_inputs = lambda space, count, rng: (
            np.vstack([honest(space, n + 1, rng), T]) if count == n + len(T) + 1 else honest(space, count, rng)
        )
        sample = sampler(n + len(T), np.random.default_rng(5))
    finally:
        experiments.random_inputs = honest
    return sample.values, sample.gram, sample


@pytest.mark.parametrize("space", [GaussianInputs(12), Ball(12), Shells(12, [1, 3])])
def test_homogeneous_kernels_at_unequal_norms(space):
    K = mlp("relu", depth=1, w_var=2).ntk
    curve = learning_curve(spectrum(K, space, 10), [0, 1, 1], n=[40], ridge=0.1, noise=0.1)
    exact = simulate(curve, K, draws=40, target="random", seed=2)
    assert exact.method == "exact risk" and abs(exact.relative_difference) < 0.15
    # The same risk on held-out points, for one target: E fhat f_2 tells whether the factor r is right.
    pole = random_inputs(space, 1, np.random.default_rng(0))[0]

    def function(X):
        t = X @ pole / np.linalg.norm(pole) / np.linalg.norm(X, axis=1)
        r = np.linalg.norm(X, axis=1) / math.sqrt(curve.spectrum.trace / 2 * 12)
        return r * (math.sqrt(12) * t + math.sqrt(77) * (12 * t**2 - 1) / 11)

    measured = simulate(curve, K, draws=60, target=function, held_out=500)
    zonal = simulate(curve, K, draws=60, seed=5)
    error = np.hypot(zonal.test_mse.standard_error, measured.test_mse.standard_error)
    assert abs(zonal.test_mse.mean - measured.test_mse.mean) < 4 * error


def test_held_out_points_agree_with_the_exact_risk():
    curve = learning_curve(spectrum(EXP, Sphere(5), 15), [0, 1, 0.5], n=[25], noise=0.1, ridge=0.01)
    pole = random_inputs(Sphere(5), 1, np.random.default_rng(0))[0]

    def function(X):
        t = X @ pole / 5
        return math.sqrt(5) * t + math.sqrt(0.5 * 14) * (5 * t**2 - 1) / 4

    exact = simulate(curve, EXP, draws=80, seed=1)
    measured = simulate(curve, EXP, draws=80, seed=1, target=function, held_out=500)
    assert measured.method.startswith("500 held-out") and measured.target == "function"
    assert measured.learnabilities == (None,) * 16
    error = np.hypot(exact.test_mse.standard_error, measured.test_mse.standard_error)
    assert abs(exact.test_mse.mean - measured.test_mse.mean) < 4 * error


def test_the_gaussian_feature_model_mode_by_mode():
    """Levels drawn as one Wishart matrix have the law of levels drawn mode by mode."""
    levels = Spectrum([0.4, 0.03], [1, 30])
    curve = learning_curve(levels, [1.0, 1.0], n=[10], noise=0.1, ridge=0.05)
    one_by_one = Spectrum([0.4] + [0.03] * 30, [1] * 31)
    power = np.zeros(31)
    power[:2] = 1.0
    apart = learning_curve(one_by_one, power, n=[10], noise=0.1, ridge=0.05)
    assert apart.test_mse == pytest.approx(curve.test_mse)
    first, second = (simulate(c, draws=600, seed=s).test_mse for c, s in ((curve, 1), (apart, 2)))
    assert abs(first.mean - second.mean) < 4 * np.hypot(first.standard_error, second.standard_error)
    ratio = first.standard_error / second.standard_error
    assert 0.8 < ratio < 1.25


def test_the_gaussian_feature_risk_by_its_coefficients():
    levels = Spectrum([0.5, 0.2, 0.1], [1, 1, 1])
    rng = np.random.default_rng(3)
    sample = gaussian_sample(levels, np.array([1.0, 0.5, 0.0]), 8, rng)
    z = np.random.default_rng(3).standard_normal((3, 8))
    alpha = np.linspace(-1, 1, 8)
    learned, target = levels.eigenvalues[:, None] * z @ alpha / 1.0, np.sqrt([1.0, 0.5, 0.0])
    # In the basis of the features sqrt(lambda) z the coefficients of the predictor are lambda z'alpha.
    assert sample.risk(alpha) == pytest.approx(((learned - target) ** 2).sum(), rel=1e-12)
    np.testing.assert_allclose(sample.gram, z.T @ (levels.eigenvalues[:, None] * z), atol=1e-14)
    assert truncation(sample, alpha, 1) == 0.0


# -- against predictions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "kernel", "degree", "target", "n"),
    [
        (Sphere(30), EXP, 8, "zonal", [30, 120]),
        (Sphere(30), EXP, 8, "random", [30, 120]),
        (Hypercube(20), EXP, 20, "parity", [40, 120]),
        (Hypercube(20), EXP, 20, "rho + rho**2", [40]),
        (GaussianInputs(10), rbf_kernel(10), 10, "random", [60]),
        (ProductOfSpheres([12, 15]), product_kernel("exp((rho1 + rho2)/2 + rho1*rho2)", [12, 15]), 5, "random", [60]),
    ],
)
def test_experiments_agree_with_predictions(space, kernel, degree, target, n):
    levels = spectrum(kernel, space, degree)
    power = target_power(target, space, degree).power if "rho" in target else [0, 1, 1]
    curve = learning_curve(levels, power, n=n, ridge=0.01, noise=0.2)
    simulation = simulate(curve, kernel, draws=40, seed=3, target=target)
    assert (abs(simulation.z_test) < 4).all() and (abs(simulation.relative_difference) < 0.1).all()
    assert np.nanmax(abs(simulation.z_learnabilities)) < 4
    assert simulation.agrees() or "Gaussian" in str(space)
    assert (simulation.truncation < 1e-3 * simulation.test_mse.mean).all()


def test_the_gaussian_feature_model_agrees_and_wrong_predictions_do_not():
    curve = learning_curve(SMALL, [1.0, 1.0, 0.2, 0.3], n=[10, 40, 100], ridge=0.05, noise=0.1)
    simulation = simulate(curve, draws=150, seed=2)
    assert simulation.agrees() and (abs(simulation.z_test) < 4).all() and (abs(simulation.z_train) < 4).all()
    assert np.nanmax(abs(simulation.z_learnabilities)) < 4
    # Experiments with 50 modes in a level, predictions for 80 of the same eigenvalue: the simulation sees it.
    wrong = learning_curve(
        Spectrum([0.5, 0.01, 0.002], [1, 80, 5], trace=1.5), curve.power, n=curve.n, ridge=0.05, noise=0.1
    )
    compared = replace(simulation, predicted=wrong)
    assert abs(compared.z_test).max() > 10 and not compared.agrees()
    noisier = replace(curve, test_mse=1.1 * curve.test_mse)
    assert not simulate(noisier, n=40, draws=400, seed=2).agrees(relative=0.01)


def test_power_beyond_the_levels_and_a_tail():
    short = Spectrum([0.5], [1], trace=1.0)
    curve = learning_curve(short, [1.0, 0.5], n=[20], noise=0.1)
    assert simulate(curve, draws=400).agrees(relative=0.0)
    on_sphere = learning_curve(spectrum(EXP, Sphere(40), 3), [0, 1, 0, 0, 0.5], n=[50], noise=0.1)
    assert simulate(on_sphere, EXP, draws=40).agrees()


def test_two_ridges_random_features_and_gradient_flow():
    levels, power = Spectrum([0.5, 0.05], [1, 20]), [1.0, 1.0]
    common = {"n": 30, "noise": 0.1, "draws": 200}
    crossed = simulate_two_ridges(levels, power, ridges=[(0.1, 0.1), (0.1, 1.0), (1.0, 0.1)], **common)
    direct = simulate(learning_curve(levels, power, n=[30], ridge=0.1, noise=0.1), draws=200).test_mse
    np.testing.assert_allclose(crossed.draws[0], direct.draws[0], rtol=1e-9)
    np.testing.assert_allclose(crossed.draws[1], crossed.draws[2], rtol=1e-12)
    # Many features are the kernel itself, and gradient flow ends at no ridge.
    many = simulate_random_features(levels, power, features=[20_000], ridge=0.1, **(common | {"draws": 40}))
    assert abs(many.mean - direct.mean) < 4 * np.hypot(many.standard_error, direct.standard_error)
    flow = simulate_gradient_flow(levels, power, times=[0.0, 1e9], **common)
    ridgeless = simulate(learning_curve(levels, power, n=[30], noise=0.1), draws=200).test_mse
    np.testing.assert_allclose(flow.draws[0], 2.1)
    np.testing.assert_allclose(flow.draws[1], ridgeless.draws[0], rtol=1e-6)
    with pytest.raises(DomainError, match="all levels must be listed"):
        simulate_random_features(SMALL, [1.0], n=5, features=[4])
    with pytest.raises(DomainError, match="pairs"):
        simulate_two_ridges(levels, power, n=5, ridges=[(1, 2, 3)])


def test_the_table_of_simulations_meets_its_published_predictions():
    path = Path(__file__).parents[2] / "benchmarks" / "simulations.py"
    module = module_from_spec(spec_from_file_location("simulations", path))
    sys.modules["simulations"] = module
    try:
        module.__spec__.loader.exec_module(module)
    finally:
        del sys.modules["simulations"]
    rows = [row for row in module.table() if re.search(r"n=\d\d$|two ridges|k=40|k=60", row.name)]
    assert len(rows) == 11
    for row in rows:
        result = row.run(5, 0, lambda *state: None)
        assert module.same_digits(result.predicted, row.formula), row.name
        assert abs(result.z) < 8, row.name
    assert 3 < module.three_errors(1000) < 3.02 and module.three_errors(10) > 4
    good, bad = (module.Outcome(0.26250, mean, 0.001, 100, [], True) for mean in (0.2652, 0.28))
    assert module.line(rows[-1], good)[0].count("|") == 8
    assert not module.line(rows[-1], bad)[1]
    assert module.same_digits(0.39279, "0.39279") and not module.same_digits(0.392799, "0.39279")


# -- the value --------------------------------------------------------------------------------------------------------


def test_a_draw_depends_on_its_size_and_number_only():
    curve = learning_curve(SMALL, [1.0, 1.0], n=[10, 40], noise=0.1)
    both, one = simulate(curve, draws=3, seed=7), simulate(curve, n=40, draws=5, seed=7)
    assert (both.test_mse.draws[1] == one.test_mse.draws[0, :3]).all()
    assert not (one.test_mse.draws == simulate(curve, n=40, draws=5, seed=8).test_mse.draws).any()
    assert generator(1, 2, 3).random() == generator(1, 2, 3).random() != generator(1, 3, 2).random()


def test_a_simulation_shows_itself_and_round_trips():
    calls = []
    curve = learning_curve(SMALL, [1.0, 0, 0.5], n=[10, 40], noise=0.1)
    simulation = simulate(curve, draws=4, progress=lambda *state: calls.append(state))
    assert calls[-1] == (8, 8, "n = 40")
    assert Simulation.from_json(simulation.to_json()) == simulation
    assert "L[2] predicted" in repr(simulation) and "L[1]" not in repr(simulation)
    assert "±" in repr(simulation) and "<table>" in simulation._repr_html_()
    frame = simulation.to_pandas()
    assert list(frame.index) == [10, 40] and frame["L2_z"].iloc[0] == simulation.z_learnabilities[0, 2]
    single = simulate(curve, draws=1)
    assert np.isinf(single.test_mse.standard_error).all() and not single.agrees(relative=1e-9)
    data = json.loads(simulation.to_json())
    for broken in ({**data, "test_mse": [[1.0]]}, {**data, "predicted": 3}, {"type": "kernalg.Simulation"}):
        with pytest.raises(DomainError):
            Simulation.from_json(json.dumps(broken))


def test_sample_sizes():
    many = learning_curve(SMALL, [1.0], n=range(200), noise=0.1)
    assert simulate(many, draws=1).n.tolist() == [1, 29, 58, 86, 114, 142, 171, 199]
    other = simulate(many, n=[7, 10], draws=1)
    assert other.predicted.test_mse == pytest.approx(learning_curve(SMALL, [1.0], n=[7, 10], noise=0.1).test_mse)
    with pytest.raises(DomainError, match="give simulate n="):
        simulate(learning_curve(SMALL, [1.0], n=[0, 1.5]), draws=1)


@pytest.mark.parametrize(
    ("space", "kernel", "options", "word"),
    [
        (Sphere(6), dot_product_kernel("2*exp(rho)"), {}, "not that of this kernel"),
        (Sphere(6), dot_product_kernel("exp(rho)+rho**2-1"), {}, "not that of this kernel"),
        (Sphere(6), EXP, {"target": "parity"}, "hypercube"),
        (Sphere(6), EXP, {"target": "rho**2"}, "target_power"),
        (Sphere(6), EXP, {"target": 3}, "give 'zonal'"),
        (Sphere(6), EXP, {"target": lambda X: X}, "shape"),
        (Sphere(6), 3, {}, "kernel=3"),
        (Sphere(6), None, {"target": "random"}, "give the kernel"),
        ("words", EXP, {}, "Gaussian-feature model"),
        (Ball(6), EXP, {}, "not built in"),
        (GaussianInputs(6), EXP, {}, "not built in"),
        (ProductOfSpheres([3, 3]), EXP, {}, "multiplicities"),
        (Hypercube(7), EXP, {}, "multiplicities"),
        (Sphere(6), EXP, {"draws": 0}, "draws"),
        (Sphere(6), EXP, {"seed": -1}, "seed"),
        (Sphere(6), EXP, {"n": 0}, "n=0"),
    ],
)
def test_refusals(space, kernel, options, word):
    levels = replace_space(spectrum(EXP, Sphere(6), 5), space)
    curve = learning_curve(levels, [0, 1], n=[5], noise=0.1)
    with pytest.raises(DomainError, match=word):
        simulate(curve, kernel, **options)
    with pytest.raises(DomainError, match="LearningCurve"):
        simulate(levels, EXP)


def replace_space(levels, space):
    return Spectrum(levels.eigenvalues, levels.multiplicities, trace=levels.trace, space=space)
