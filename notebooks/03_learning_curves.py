# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning curves
#
# How well does kernel regression do from $n$ samples? For a whole class of kernels and targets the answer needs no
# experiment: the eigenvalues and the power of the target in their eigenspaces suffice. This notebook puts the
# prediction to the test, follows it to where no experiment reaches, makes it go up with more data, repairs that with
# the right ridge, and ends on real data, where the theory stops, and says so.

# %%
import os

import numpy as np
import sympy as sp
from sklearn.datasets import load_digits

import kernalg as ka
from kernalg import plot

FAST = bool(os.environ.get("KERNALG_FAST"))
print("kernalg", ka.__version__)

# %% [markdown]
# ## The prediction
#
# With eigenvalues $\lambda_i$ of multiplicity $m_i$, ridge $\delta$ and $n$ samples, one number $\kappa$ decides what
# is learned:
# $$\sum_i m_i\frac{\lambda_i}{\lambda_i+\kappa}+\frac\delta\kappa=n,\qquad L_i=\frac{\lambda_i}{\lambda_i+\kappa}.$$
# Modes with $\lambda_i\gg\kappa$ are learned, the others are not; $\sum m_iL_i$ is a budget of $n$ that all modes
# share. The target below has unit power in degree 1 and in degree 2, and the labels have noise of variance 0.1.

# %%
dimension, power, ridge, noise = 50, [0, 1, 1], 0.01, 0.1
network = ka.mlp("relu", depth=3, w_var=2, b_var=0)
spectrum = ka.spectrum(network.ntk, ka.Sphere(dimension), degree=8)
sizes = [25, 50, 100] if FAST else [25, 50, 100, 200, 400, 800]
predicted = ka.learning_curve(spectrum, power, n=sizes, ridge=ridge, noise=noise)
predicted

# %% [markdown]
# ## The test
#
# Kernel ridge regression on random points of the sphere; the risk of every fit is exact, by the reproducing property,
# so that the only scatter is that of the training sets. Agreement is counted in standard errors.

# %%
experiment = predicted.simulate(network.ntk, draws=20, seed=7)
experiment

# %%
fine = ka.learning_curve(spectrum, power, n=np.geomspace(10, 3000, 200), ridge=ridge, noise=noise)
plot.learning_curve(fine, experiment)

# %%
plot.z_scores({"d = 50": experiment})

# %% [markdown]
# Not only the error: what was learned of every degree is predicted too.

# %%
for degree in (1, 2):
    share = experiment.learnabilities[degree]
    for n, theory, mean, error in zip(
        sizes, predicted.learnabilities[:, degree], share.mean, share.standard_error, strict=True
    ):
        print(f"degree {degree}, n = {n:3d}: learned {mean:.4f} ± {error:.4f}, predicted {theory:.4f}")

# %% [markdown]
# ## The staircase
#
# What no experiment reaches is a matter of milliseconds. In high dimension the levels are learned one after another,
# degree $k$ around $n\sim d^k/k!$: first nothing happens for decades, then a whole level is learned at once.

# %%
stairs = ka.learning_curve(spectrum, [0, 1, 1, 1, 1], n=np.geomspace(10, 1e8, 400), noise=noise)
plot.staircase(stairs, levels=6)

# %% [markdown]
# At $d=50$ the steps of a ReLU network still melt into one another; at $d=1000$ there are plateaus, of the heights that
# the theory of the limit $d\to\infty$ gives: the power not learned yet, plus the noise.

# %%
wide = {
    f"d = {d}": ka.learning_curve(
        ka.spectrum(network.ntk, ka.Sphere(d), degree=8), [0, 1, 1, 1], n=np.geomspace(10, 1e12, 400), noise=noise
    )
    for d in (50, 1000, 20_000)
}
plot.learning_curves(wide)

# %%
steps = ka.staircase(wide["d = 1000"].spectrum, [0, 1, 1, 1], noise=noise)
steps

# %% [markdown]
# ## More data can hurt
#
# The steps of the staircase have overshoots. Near $n=N(d,k)$ the level $k$ is *critical*: it is interpolated with
# nothing to spare, and whatever lies above it, power of higher degrees and label noise alike, is amplified by
# $E_0=n/(n-\sum mL^2)$. The kernel $\xi/(1-\xi/40)=\xi+\xi^2/40+\xi^3/1600+\dots$ has levels far apart, and the curve
# goes up and down once per level: multiple descent.

# %%
steep = ka.dot_product_kernel("rho/(1 - rho/40)")
levels = ka.spectrum(steep, ka.Sphere(dimension), degree=8)
target = [0, 1, 1, 1]
grid = np.geomspace(5, 1e5, 400)
by_noise = {f"noise {v:g}": ka.learning_curve(levels, target, n=grid, noise=v) for v in (0.1, 0.3, 1)}
plot.learning_curves(by_noise, title="Multiple descent")

# %%
plot.decomposition(by_noise["noise 1"])

# %% [markdown]
# Around one level the whole curve is a closed form: the higher degrees act as ridge, and $\kappa$ solves a quadratic
# equation (the Marchenko–Pastur law in disguise).

# %%
near = np.geomspace(400, 4000, 9)
full = ka.learning_curve(levels, target, n=near, noise=1)
closed = ka.critical_level_of(levels, 2, target, n=near, noise=1)
for n, a, b in zip(near, full.test_mse, closed.test_mse, strict=True):
    print(f"n = {n:6.0f}   all levels {a:.4f}   degree 2 alone {b:.4f}")

# %% [markdown]
# Is the first peak real? It is at $n\approx d=50$, within reach.

# %%
around_peak = [20, 35, 50, 70, 100]
curve_there = ka.learning_curve(levels, target, n=np.geomspace(10, 400, 200), noise=1)
peak = curve_there.simulate(steep, n=around_peak, draws=20 if FAST else 100, seed=3)
plot.learning_curves({"noise 1": curve_there}, {"noise 1": peak})

# %% [markdown]
# ## Ridge
#
# The peaks are a sign of too little ridge: each is flattened by some ridge, and that ridge is too much elsewhere.

# %%
by_ridge = {f"ridge {r:g}": ka.learning_curve(levels, target, n=grid, ridge=r, noise=1) for r in (0, 0.03, 1)}
plot.learning_curves(by_ridge, title="One ridge for all n")

# %% [markdown]
# So take the best ridge at every $n$. At fixed $\kappa$ the error falls with $n$; the best $\kappa$ can only do better.
# More data never hurt again (Simon, Karkada, Ghosh and Belkin, 2024), and the descent is single.

# %%
best = ka.optimal_ridge(levels, target, n=grid, noise=1)
plot.optimal_ridge(best)

# %% [markdown]
# The best ridge itself is a staircase: it stays what it is until it pays to learn the next level, and then jumps, from
# one minimum of the error to another.

# %%
plot.optimal_ridge(best, quantity="ridge")

# %% [markdown]
# ## Stopping early
#
# Ridge is not the only cure. Train by gradient flow and stop at time $t$: at first only the strong levels are learned,
# the noise last. Where the ridgeless error is far above the best one, the best time is finite.

# %%
times = np.geomspace(1e-3, 1e7, 80 if FAST else 200)
flows = {f"n = {n}": ka.gradient_flow_curve(levels, target, n=n, times=times, noise=1) for n in (50, 300, 1300)}
plot.gradient_flow(flows)

# %%
stop = ka.optimal_stopping(levels, target, n=[50, 300, 1300], noise=1)
stop

# %% [markdown]
# ## The equations themselves
#
# The theory is also there as formulas, to be differentiated and shown. How fast does $\kappa$ grow with the ridge?

# %%
formulas = ka.eigenlearning_formulas(2)
slope = sp.factor(formulas.derivative(formulas.kappa, formulas.delta))
formulas.equation

# %%
slope

# %% [markdown]
# ## Few features
#
# A finite network in the lazy regime is a kernel machine with $k$ random features. Its error peaks at $k=n$ for want of
# ridge, just as it peaked at $n=N(d,k)$; and beyond the peak more features help, all the way to the kernel itself.

# %%
features = np.geomspace(10, 1e5, 300)
with_features = {
    f"ridge {r:g}": ka.random_features_curve(spectrum, power, n=200, features=features, ridge=r, noise=noise)
    for r in (1e-4, 0.01, 1)
}
plot.random_features(with_features)

# %% [markdown]
# ## A target of your own
#
# So far the target was given by its power in every level. `target_power` finds that of a function: a polynomial in the
# coordinates or a function of the cosine $\rho$ to a fixed point, both from the formula; or a Python function of the
# rows of an array, from its values at random points, with standard errors.

# %%
interaction = ka.target_power("x1*x2 + x3", ka.Sphere(dimension), degree=8)
bump = ka.target_power("exp(10*(rho - 1))", ka.Sphere(dimension), degree=8)
sampled = ka.target_power(lambda x: x[:, 0] * x[:, 1] + x[:, 2], ka.Sphere(dimension), degree=2)
sampled

# %%
own = {
    name: ka.learning_curve(spectrum, target.power / target.power.sum(), n=np.geomspace(10, 1e5, 200), ridge=ridge)
    for name, target in (("x1 x2 + x3", interaction), ("exp(10(rho - 1))", bump))
}
plot.learning_curves(own, title="Two targets of unit power")

# %% [markdown]
# ## Real data
#
# For a data set the eigenvalues are those of the Gram matrix of all points. But a data set has finitely many points and
# low effective dimension, and the theory assumes that many modes take part. Whether it does can be seen from training
# data alone: exact leave-one-out holds for any data, generalized cross-validation only where the theory does. **Their
# ratio is the test.**

# %%
images, labels = load_digits(return_X_y=True)
points = 700 if FAST else 1797
X = images[:points] - images[:points].mean(axis=0)
X *= np.sqrt(X.shape[1]) / np.linalg.norm(X, axis=1, keepdims=True)
Y = np.eye(10)[labels[:points]] - 0.1
gram = network.ntk(X)
population = ka.empirical_spectrum(gram, y=Y)
digit_sizes = [25, 50, 100, 200] if FAST else [25, 50, 100, 200, 400, 800]
on_digits = ka.measured_curve_on_data(gram, None, Y, n=digit_sizes, ridge=0.1, draws=4 if FAST else 12, seed=0)
prediction = ka.learning_curve(population, n=np.geomspace(20, 1.2 * digit_sizes[-1], 100), ridge=0.1)
plot.learning_curve(prediction, on_digits)

# %%
plot.loo_over_gcv(on_digits)

# %%
at_sizes = ka.learning_curve(population, n=digit_sizes, ridge=0.1)
for row in zip(
    digit_sizes, at_sizes.test_mse, on_digits.test_mse.mean, on_digits.loo.mean, on_digits.gcv.mean, strict=True
):
    print("n = {:4d}   predicted {:.3f}   held out {:.3f}   leave-one-out {:.3f}   GCV {:.3f}".format(*row))
at_sizes.diagnostics

# %% [markdown]
# Leave-one-out is right everywhere. Cross-validation and the prediction are too optimistic, the more the larger $n$ is
# against the data set; the ratio says so, and so does the diagnostic that every curve carries. So on data the ridge is
# chosen by leave-one-out, which costs one factorization for each:

# %%
training = np.random.default_rng(0).choice(points, digit_sizes[-1], replace=False)
G = gram[np.ix_(training, training)]
by_ridge_on_data = [ka.ridge_estimates(G, Y[training], r) for r in (0.001, 0.01, 0.1, 1, 10)]
chosen = min(by_ridge_on_data, key=lambda e: e.loo)
for e in by_ridge_on_data:
    print(f"ridge {e.ridge:<6g} leave-one-out {e.loo:.4f}   GCV {e.gcv:.4f}   ratio {e.loo_over_gcv:.2f}")
chosen

# %% [markdown]
# ## What must hold

# %%
assert experiment.agrees(errors=4)
assert np.nanmax(np.abs(experiment.z_learnabilities)) < 4.5
assert peak.agrees(errors=4)
assert np.allclose(predicted.bias + predicted.variance + noise, predicted.test_mse, rtol=1e-13)
assert np.allclose(predicted.learnability_sum + predicted.effective_ridge / predicted.kappa, sizes, rtol=1e-13)
assert np.allclose(steps.heights[[1, 2, 3, 4]], [3.1, 2.1, 1.1, 0.1])
at_1000 = wide["d = 1000"]
for plateau in steps.plateaus[1:4]:
    low, high = plateau.holds
    middle = np.interp(np.log(np.sqrt(low * high)), np.log(at_1000.n), at_1000.test_mse)
    assert abs(middle / plateau.height - 1) < 0.1
rises = np.diff(by_noise["noise 1"].test_mse) > 0
assert np.count_nonzero(rises[1:] & ~rises[:-1]) == 3  # three ascents
assert np.abs(closed.test_mse / full.test_mse - 1).max() < 0.2
assert (by_ridge["ridge 1"].test_mse.max() < by_ridge["ridge 0"].test_mse.max() / 2).all()
assert (np.diff(best.test_mse) < 0).all()  # at the best ridge more data never hurt
jumps = best.ridge[:-1] / best.ridge[1:]
assert np.count_nonzero(jumps > 10) == 2 and np.count_nonzero(jumps > 1.5) == 2
assert (best.test_mse <= best.ridgeless_mse).all()
for n, flow in zip((50, 300, 1300), flows.values(), strict=True):
    ridgeless = ka.learning_curve(levels, target, n=n, noise=1).test_mse[0]
    assert abs(flow.test_mse[0, -1] / ridgeless - 1) < 0.02
    assert flow.test_mse.min() < 0.95 * ridgeless  # stopping early helps
assert np.allclose(stop.test_mse, [flow.test_mse.min() for flow in flows.values()], rtol=0.01)
two = ka.Spectrum([0.5, 0.01], [1, 50])
at = formulas.values(two, [1, 1], n=20, ridge=sp.Rational(1, 10), noise=0)
step = (
    ka.learning_curve(two, [1, 1], n=20, ridge=0.1 + 1e-6).kappa[0]
    - ka.learning_curve(two, [1, 1], n=20, ridge=0.1 - 1e-6).kappa[0]
)
assert abs(step / 2e-6 / float(formulas.evaluate(slope, at, 20)) - 1) < 1e-6
kernel_limit = ka.learning_curve(spectrum, power, n=200, ridge=0.01, noise=noise).test_mse[0]
assert abs(with_features["ridge 0.01"].test_mse[-1] / kernel_limit - 1) < 0.01
assert 150 < features[np.argmax(with_features["ridge 0.0001"].test_mse)] < 250
assert abs(on_digits.loo.mean[-1] / on_digits.test_mse.mean[-1] - 1) < 0.1
assert on_digits.loo_over_gcv.mean[-1] > 1.15
exact = interaction.estimates[:3]
assert (np.abs(sampled.estimates[:3] - exact) < 5 * sampled.errors[:3] + 1e-12).all()
assert own["x1 x2 + x3"].test_mse[-1] < 0.05
assert chosen.loo == min(e.loo for e in by_ridge_on_data) and chosen.loo_over_gcv > 1.05
assert any(message.kind == "finite population" for message in at_sizes.diagnostics.messages)
print("all assertions hold")
