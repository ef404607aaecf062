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
# # Design an activation
#
# A wide network is a kernel machine, and its activation decides which one. Here the arrow is turned round: you name
# the kernel, and get the activation that has it, from a network of *one* hidden layer (Simon, Anand and DeWeese,
# *Reverse engineering the neural tangent kernel*, ICML 2022). The notebook designs the activations of that paper,
# checks them on finite networks with error bars from theory, and trains them.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import kernalg as ka
from kernalg import plot

FAST = bool(os.environ.get("KERNALG_FAST"))
print("kernalg", ka.__version__)

# %% [markdown]
# ## A kernel, please
#
# Inputs lie on the sphere $|x|^2=d$, and $\rho$ is the cosine of two of them. With $\varphi(z)=\sum_kb_kh_k(z)$ in
# normalized Hermite polynomials, the tangent kernel of one hidden layer is
# $$\Theta(\rho)=\sum_k(1+k)\,b_k^2\,\rho^k,$$
# so that a kernel with Taylor coefficients $a_k\ge0$ has the activation with $b_k=\pm\sqrt{a_k/(1+k)}$. The signs are
# free: at infinite width nobody sees them.

# %%
gaussian = ka.design("exp(2*(rho-1))", kind="ntk", signs="++--")
gaussian

# %%
plot.design(gaussian)

# %% [markdown]
# The coefficients are exact. What was cut off, and what happens to inputs that are not on the sphere, is the error
# budget. For a polynomial nothing is cut off; then the kernel derived from the activation equals the one asked for, and
# ball arithmetic says to how many digits.

# %%
print(gaussian.coefficients[:5])
print(gaussian.error)
cubic = ka.design("(rho + rho**3)/2", kind="ntk")
print(cubic.activation.expr)
certificate = cubic.certify(30)
certificate

# %% [markdown]
# As the other kernel, the covariance $\sum b_k^2\rho^k$ of the outputs at initialization (NNGP), it has activations in
# closed form. All choices of signs that are periodic are listed, from a log-normal to a bounded one.

# %%
covariance = ka.design("exp(2*(rho-1))")
for form in covariance.closed_forms:
    print(f"{form.signs:>5}  {form.activation}   ({form.growth})")
plot.closed_forms(covariance)

# %% [markdown]
# ## Figure 1
#
# Eight tangent kernels. Five are formulas, whose activations are exact up to the degree that the error budget asks
# for. The other three are kernels of deep networks (four hidden layers, $\sigma_w^2=2$, $\sigma_b^2=1/100$), to which
# polynomials of degree 5 are fitted: the best non-negative coefficients, with the optimality conditions proved. Broad
# lines are what was asked for, dashed ones what infinitely wide networks with these activations have, and points the
# tangent kernels of random finite networks, their bars two standard errors *from theory*.

# %%
deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100")
deep_erf = ka.mlp("erf", depth=4, w_var=2, b_var="1/100")
formulas = {
    r"$e^{2(c-1)}$": "exp(2*(rho-1))",
    r"$\sinh 2c$": "sinh(2*rho)",
    r"$\cosh 2c$": "cosh(2*rho)",
    r"$c^3$": "rho**3",
    r"$c^4+c$": "rho**4 + rho",
}
kernels = {name: (ka.dot_product_kernel(k), ka.design(k, "ntk", signs="++--").series) for name, k in formulas.items()}
fits = {
    "ReLU NNGP, 4 layers": ka.fit_nonnegative(deep.nngp, 5, kind="ntk"),  # a tangent kernel of the deep network's NNGP
    "ReLU NTK, 4 layers": ka.fit_nonnegative(deep.ntk, 5),
    "erf NTK, 4 layers": ka.fit_nonnegative(deep_erf.ntk, 5),
}
targets = dict(zip(fits, (deep.nngp, deep.ntk, deep_erf.ntk), strict=True))
for name, fit in fits.items():
    kernels[name] = (targets[name], ka.HermiteSeries(fit.hermite_coefficients()))
    print(f"{name:>20}: b = {np.round(fit.hermite_coefficients(), 3)}, held at 0: {fit.active}")
printed = [0.837, 0.271, -0.151, -0.050, 0.101, 0.084]  # in the paper's notebook, up to the signs
assert np.allclose(np.abs(fits["ReLU NNGP, 4 layers"].hermite_coefficients()), np.abs(printed), atol=6e-4)

# %%
angles = np.linspace(0, np.pi, 13)
circle = np.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])
fine = np.linspace(0, np.pi, 91)
width, draws = (2**12, 4) if FAST else (2**14, 16)
z = np.linspace(-3, 3, 301)
found = {}
with plt.rc_context(plot.STYLE):
    figure, rows = plt.subplots(4, 4, figsize=(12.6, 10.4), layout="constrained")
    tops, bottoms = [*rows[0], *rows[2]], [*rows[1], *rows[3]]
    for seed, (name, top, bottom) in enumerate(zip(kernels, tops, bottoms, strict=True)):
        kernel, phi = kernels[name]
        found[name] = ka.empirical_ntk(phi, circle[:1], circle, width=width, draws=draws, seed=seed)
        top.plot(z, phi(z), color=plot.NAVY)
        top.fill_between(z, 0.25 * np.exp(-(z**2) / 2), transform=top.get_xaxis_transform(), color="#9aa4b2", alpha=0.3)
        top.set(title=name, xlabel="pre-activation", xlim=(-3, 3))
        profile = kernel.profile()
        asked = [float(profile.value(min(1, max(-1, np.cos(t))), 15)) for t in fine]
        made = np.polynomial.polynomial.polyval(np.cos(fine), (1 + np.arange(phi.degree + 1)) * phi.values**2)
        bottom.plot(np.degrees(fine), asked, color=plot.NAVY, linewidth=3, alpha=0.55)
        bottom.plot(np.degrees(fine), made, color=plot.INK, linewidth=1, linestyle=(0, (4, 2)))
        bottom.errorbar(
            np.degrees(angles), found[name].mean[0], 2 * found[name].standard_error[0],
            color=plot.VERMILION, marker="o", markersize=4, linestyle="none",
        )  # fmt: skip
        bottom.set(xlabel="angle (degrees)", xticks=[0, 45, 90, 135, 180])
    for row in rows[::2]:
        row[0].set_ylabel("activation")
    for row in rows[1::2]:
        row[0].set_ylabel("tangent kernel")

# %%
print(f"width {width}, {draws} networks: largest deviation from the kernel of the activation, in standard errors")
for name, e in found.items():
    print(f"{name:>20}  {np.abs(e.z).max():.2f}")

# %% [markdown]
# ## What no network has
#
# One negative coefficient refutes (Schoenberg 1942), and the certificate shows it. The coefficients that count are
# those in the correlation of the *hidden layer*: with a bias the kernel is expanded about another point, and feasible
# kernels become infeasible. Then the certificate also says how much bias would do.

# %%
questions = {
    "cos(rho)": {},
    "rho - rho**3/10": {},
    "(3*rho**2 - 1)/2": {},
    "rho**3": {"b_var": "1/10"},
    "exp(rho) - 1/2": {"b_var": 1},
    "1 + rho": {"kind": "ntk", "trained": "hidden"},
}
refused = {kernel: ka.design(kernel, **options) for kernel, options in questions.items()}
for kernel, d in refused.items():
    print(f"{kernel}: {d.certificate}\n")

# %% [markdown]
# Values without a formula are decided too: if no kernel passes through them, a signed measure proves it.

# %%
grid = np.linspace(-1, 1, 15)
print(ka.design(np.cos(grid), cosines=grid).certificate)
print(ka.design(np.exp(grid), "ntk", cosines=grid).certificate)

# %% [markdown]
# ## Signs, and finite width
#
# The two activations below have the same kernel, $e^{-2(1-\rho)}$. A network of width $n$ has it up to fluctuations of
# variance $(n\,\mathrm{Var})/n$, and there the signs count: at equal inputs $n\,\mathrm{Var}$ is 12.5 for the sine and
# $17e^8-9\approx5\cdot10^4$ for the log-normal.

# %%
sine, lognormal = covariance.closed_forms[1].activation, covariance.closed_forms[0].activation
noise = {phi: ka.tangent_kernel_variance(phi, 1, digits=15) for phi in (sine, lognormal)}
for phi, value in noise.items():
    print(f"{phi}:  n Var = {value}")

# %% [markdown]
# Worse, the log-normal hides its noise. Most networks never draw the rare neurons that carry the mean: their kernels
# are too small, and so is their scatter. That is why the error bars here come from theory, and why a design says it
# when its activation has heavy tails.

# %%
rng = np.random.default_rng(2)
hidden, readout = rng.standard_normal((2, 500, 256))
diagonals = {}
for phi in (sine, lognormal):
    f = ka.activation(phi)
    diagonals[phi] = np.mean(f(hidden) ** 2 + readout**2 * f.derivative()(hidden) ** 2, axis=1)
with plt.rc_context(plot.STYLE):
    figure, ax = plt.subplots(layout="constrained")
    bins = np.linspace(0, 9, 46)
    ax.hist(np.clip(diagonals[lognormal], 0, 9), bins, color=plot.AMBER, label=r"$e^{\sqrt{2}x-2}$ (all signs +)")
    ax.hist(
        diagonals[sine], bins, histtype="step", linewidth=2, color=plot.NAVY,
        label=r"$\sqrt{2}\,\sin(\sqrt{2}x+\pi/4)$ (signs ++--)",
    )  # fmt: skip
    ax.axvline(3, color=plot.INK, linestyle=":", label="infinite width")
    ax.set(xlabel="NTK at equal inputs, width 256 (above 9: at 9)", ylabel="networks of 500", title="One kernel?")
    ax.legend(loc="upper right")
print(ka.design("exp(2*(rho-1))", signs="+").tails)

# %% [markdown]
# ## Shallow equals deep
#
# On the sphere, depth adds nothing that an activation cannot do: every kernel of a deep network has coefficients
# $\ge0$. `ka.shallow` gives the activation with exactly the tangent kernel of the deep network. Its infinite slope at
# equal inputs makes the series converge slowly.

# %%
degree = 60 if FAST else 200
shallow = ka.shallow(deep, degree=degree, signs="++--")
for name, network in (("4 hidden layers", deep), ("1 hidden layer", shallow.network)):
    print(f"{name}: {ka.parameter_count(network, inputs=784, width=1024)} parameters at width 1024")
plot.design(shallow)

# %%
exact = deep.ntk.profile().taylor(degree + 1)
missing = float(deep.ntk.profile().value(1, 15)) - np.cumsum(exact)
cosines = np.cos(np.linspace(0, np.pi, 101 if FAST else 1001)[1:-1])
achieved = np.polynomial.polynomial.polyval(cosines, (1 + np.arange(degree + 1)) * shallow.series.values**2)
wanted = np.array([float(deep.ntk.profile().value(c, 15)) for c in cosines])
print(
    f"degree {degree}: at most {shallow.error.kernel:.3g}; largest difference seen {abs(wanted - achieved).max():.3g}"
)
for error in (0.5, 0.3):
    print(f"an error of {error} needs degree {shallow.degree_for(error)}")
with plt.rc_context(plot.STYLE):
    figure, ax = plt.subplots(layout="constrained")
    ax.loglog(np.arange(1, degree + 1), missing[1:], color=plot.NAVY)
    ax.set(xlabel="degree M", ylabel=r"largest error of the kernel, $K(1)-K_M(1)$", title="4 ReLU layers in one")
    ax.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    ax.minorticks_off()

# %% [markdown]
# ## A mimic to train
#
# Polynomials train badly. The paper fits seven parameters instead,
# $a\,\mathrm{ReLU}(x-b)+cx+d+e\cos(fx+g)$, to the deep kernel. Ours are fitted to the exact kernel with exact
# gradients, and come nearer than the published ones (root mean square 0.056 and at most 0.131 for $|c|<0.985$).

# %%
mimic = ka.fit_activation(deep.ntk, ka.relu_cosine(), starts=1 if FAST else 8)
print(mimic)
plot.kernel_fit(mimic)

# %% [markdown]
# Does it behave like the deep network? Three networks of width 256, all trained by full-batch gradient descent at half
# the largest stable rate, on data whose rows are scaled to $|x|^2=d$; averages over seeds of the initialization and of
# the split, with standard errors. The plain shallow ReLU network is there for comparison: it need not be worse, it is
# *different*.

# %%
networks = {"4 ReLU layers": deep, "mimic": mimic.network, "1 ReLU layer": ka.mlp("relu", b_var="1/100")}
loaders = {"wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
seeds, epochs = (3, 150) if FAST else (5, 400)
if FAST:
    del loaders["digits"]


def split(load, seed):
    """Half of (at most 1200) rows to train on and half to test on, standardized, then on the sphere."""
    data = load()
    order = np.random.default_rng(seed).permutation(len(data.data))[:1200]
    first, second = np.array_split(order, 2)
    spread = data.data[first].std(axis=0)
    rows = (data.data - data.data[first].mean(axis=0)) / np.where(spread > 0, spread, 1)
    rows *= np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), data.target, first, second


runs = {}
for data, load in loaders.items():
    for seed in range(seeds):
        X, y, first, second = split(load, seed)
        for name, network in networks.items():
            f = ka.finite_network(
                network, inputs=X.shape[1], width=256, outputs=int(y.max()) + 1, seed=seed, dtype=np.float32
            )
            rate = 0.5 * ka.largest_stable_learning_rate(f, X[first])
            run = ka.train(
                f, X[first], y[first], learning_rate=rate, epochs=epochs, test=(X[second], y[second]),
                centered=True, every=5,
            )  # fmt: skip
            runs.setdefault((data, name), []).append(run)
accuracy = {key: np.array([run.test_accuracy[-1] for run in each]) for key, each in runs.items()}
error = {key: np.array([run.test_mse[-1] for run in each]) for key, each in runs.items()}
for data, name in runs:
    a, m = accuracy[data, name], error[data, name]
    print(
        f"{data:>14}  {name:>14}: test accuracy {a.mean():.4f} ± {a.std(ddof=1) / seeds**0.5:.4f}, "
        f"test error {m.mean():.4f} ± {m.std(ddof=1) / seeds**0.5:.4f}"
    )

# %%
with plt.rc_context(plot.STYLE):
    figure, panels = plt.subplots(1, len(loaders), figsize=(4.4 * len(loaders), 3.6), layout="constrained")
    styles = ((plot.NAVY, "-"), (plot.VERMILION, (0, (5, 2))), (plot.SKY, (0, (2, 1.5))))
    for data, ax in zip(loaders, panels, strict=True):
        for name, (color, line) in zip(networks, styles, strict=True):
            curves = np.array([run.test_mse for run in runs[data, name]])
            epoch, mean = 1 + runs[data, name][0].epoch, curves.mean(axis=0)
            scatter = curves.std(axis=0, ddof=1) / seeds**0.5
            ax.fill_between(epoch, mean - scatter, mean + scatter, color=color, alpha=0.2, linewidth=0)
            ax.plot(epoch, mean, color=color, linestyle=line, label=name)
        ax.set(xscale="log", yscale="log", xlabel="epochs + 1", ylabel="test error", title=data)
        ax.set_yticks([0.1, 0.2, 0.5, 1], ["0.1", "0.2", "0.5", "1"])
        ax.tick_params(axis="y", which="minor", labelleft=False)
    panels[0].legend(loc="upper right")

# %% [markdown]
# The mimic goes with the deep network, also where that is no advantage: on the digits (not in the fast version of this
# notebook) the plain shallow network has the smaller error.
#
# ## Parity
#
# The parity of 11 bits is the product of all of them: a function of degree 11, which the kernel of a deep ReLU network
# hardly sees. A kernel with its weight at high odd degrees sees it well. We ask for
# $\frac{d}{d\rho}\left[\rho\,\tfrac14e^{-36}\sinh36\rho\right]$, and the activation turns out to be a sine.

# %%
parity = ka.design("exp(-36)*(sinh(36*rho) + 36*rho*cosh(36*rho))/4", kind="ntk")
print(parity)
a = np.array([float(v) for v in parity.kernel_coefficients])
bits = np.array(np.meshgrid(*[[-1, 1]] * 11)).reshape(11, -1).T.astype(np.float32)
labels = bits.prod(axis=1)
outcome = {"sin(6x)/2, 1 layer": [], "ReLU, 4 layers": []}
for seed in range(1 if FAST else 3):
    first, second = np.array_split(np.random.default_rng(seed).permutation(2048), 2)
    for name, network, longest in zip(outcome, (parity.network, deep), (200, 200 if FAST else 2000), strict=True):
        f = ka.finite_network(network, inputs=11, width=128, seed=seed, dtype=np.float32)
        rate = 0.5 * ka.largest_stable_learning_rate(f, bits[first])
        outcome[name].append(
            ka.train(
                f, bits[first], labels[first], learning_rate=rate, epochs=longest, stop=1e-3,
                test=(bits[second], labels[second]),
            )
        )  # fmt: skip
for name, each in outcome.items():
    last = [f"{run.test_accuracy[-1]:.1%} after {run.epoch[-1]} epochs" for run in each]
    print(f"{name:>18}: test accuracy {', '.join(last)}")
with plt.rc_context(plot.STYLE):
    figure, ax = plt.subplots(layout="constrained")
    for (name, each), (color, line) in zip(outcome.items(), styles, strict=False):
        for i, run in enumerate(each):
            label = None if i else name
            ax.plot(1 + run.epoch, 100 * run.test_accuracy, color=color, linestyle=line, label=label)
    ax.axhline(50, color=plot.INK, linewidth=1, linestyle=(0, (1, 2)), label="guessing")
    ax.set(xscale="log", ylim=(0, 105), xlabel="epochs + 1", ylabel="test accuracy (%)", title="Parity of 11 bits")
    ax.legend(loc="lower right")

# %% [markdown]
# ## Take it with you
#
# A designed activation is a few lines of source text, in Python, NumPy, C, PyTorch or JAX; with a width it is the whole
# network, which scales its inputs to $|x|^2=d$ itself. On the command line:
# `kernalg design "exp(2*(rho-1))" --export torch`.

# %%
print(ka.export(parity, "torch"))
print(ka.export(parity, "c"))

# %% [markdown]
# ## What must hold
#
# The notebook is also a test.

# %%
assert certificate.digits >= 30
assert gaussian.error.proved and gaussian.error.kernel < 1e-6
assert all(e.agrees(4) for e in found.values())
assert fits["ReLU NTK, 4 layers"].active == (2, 3) and fits["ReLU NTK, 4 layers"].strict
assert all(d.feasible is False for d in refused.values())
assert abs(float(noise[sine]) - 12.5) < 1e-5 and abs(float(noise[lognormal]) - 50667.28) < 1
assert np.median(diagonals[lognormal]) < 2 < np.median(diagonals[sine])
assert abs(wanted - achieved).max() <= shallow.error.kernel
assert mimic.interior_rms_error < 0.056 and mimic.interior_max_error < 0.131
# With three seeds, one row of the wines decides 0.4 percent.
for data in loaders:
    assert abs(accuracy[data, "mimic"].mean() - accuracy[data, "4 ReLU layers"].mean()) < (0.03 if FAST else 0.01)
assert str(parity.activation.expr) == "sin(6*x)/2"
assert "torch.sin(6*x)/2" in ka.export(parity, "torch")
assert all(run.test_accuracy[-1] > 0.99 for run in outcome["sin(6x)/2, 1 layer"])
assert all(run.test_accuracy[-1] < 0.6 for run in outcome["ReLU, 4 layers"])
print("all assertions hold")
