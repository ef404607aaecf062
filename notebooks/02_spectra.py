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
# # Spectra
#
# What a kernel can learn, and from how many samples, is in its eigenvalues. In high dimension they span hundreds of
# decades, and each is repeated more often than there are atoms in a cell; this is where plain quadrature returns
# noise, and noise times a multiplicity of $10^{10}$ is not a rounding error. This notebook shows how the digits are
# lost, how they are kept, and what one sees once they are there: staircases of powers of $d$, exact zeros, power laws
# that do not depend on depth.

# %%
import os

import numpy as np
import scipy.special
import sympy as sp

import kernalg as ka
from kernalg import plot
from kernalg.expansion.zonal import multiplicity, zonal_table
from kernalg.spectrum.closed_forms import DEGREE

FAST = bool(os.environ.get("KERNALG_FAST"))
print("kernalg", ka.__version__)

# %% [markdown]
# ## One convention
#
# A kernel on the sphere is a function of the cosine $\xi$ of its inputs, and
# $$K(\xi)=\sum_k N(d,k)\,\lambda_k\,P_{k}(\xi),\qquad P_k(1)=1,$$
# where $\lambda_k$ is the eigenvalue of *one* harmonic of degree $k$ under the uniform probability measure and
# $N(d,k)$ an exact integer, the number of harmonics. The level powers $N\lambda_k$ add up to $K(1)$.

# %%
d = 10
K = ka.dot_product_kernel("exp(rho)")
spectrum = ka.spectrum(K, ka.Sphere(d), degree=20)
spectrum

# %% [markdown]
# ## How the digits are lost
#
# The textbook formula is a projection, $\lambda_k=\mathbb E\,[K(t)P_k(t)]$, and the textbook program is Gaussian
# quadrature: 200 nodes are exact for every polynomial of degree 399, so for $e^\xi$ the *rule* has no error at all.
# But $P_k$ changes sign, terms of size 1 cancel down to $\lambda_{20}\approx4\cdot10^{-29}$, and what is left is their
# rounding: an **absolute** floor at $10^{-17}$.

# %%
nodes, weights = scipy.special.roots_jacobi(200, (d - 3) / 2, (d - 3) / 2)
projection = zonal_table(20, d, nodes) @ (weights / weights.sum() * np.exp(nodes))

certified = ka.spectrum(K, ka.Sphere(d), degree=20, digits=30)
exact = [sp.N(value, 30) for value in certified.exact]


def relative_error(values):
    return np.array([abs(float((sp.Float(float(v), 40) - e) / e)) for v, e in zip(values, exact, strict=True)])


lost, kept = relative_error(projection), relative_error(spectrum.eigenvalues)
for k in (0, 5, 10, 15, 20):
    print(f"k = {k:2d}   {sp.N(exact[k], 12)}   projection off by {lost[k]:.0e}   kernalg by {kept[k]:.0e}")

# %%
plot.digits({"kernalg, double precision": kept, "Gauss quadrature, double precision": lost}, title="exp(ξ) at d = 10")

# %% [markdown]
# The multiplicity makes it worse: level powers are what counts in a trace or a learning curve.

# %%
noise_power = abs(projection[20] - spectrum.eigenvalues[20]) * multiplicity(d, 20)
print(f"N(10, 20) = {multiplicity(d, 20)}: true level power {spectrum.level_power[20]:.1e}, noise {noise_power:.1e}")

# %% [markdown]
# ## How they are kept
#
# Integrate by parts $k$ times (Rodrigues) and the cancellation is gone before the computer sees it. In Taylor
# coefficients, $K(t)=\sum_m a_m t^m$,
# $$\lambda_k=\sum_{j\ge0}a_{k+2j}\,\frac{(k+2j)!}{j!\,2^{k+2j}}\,\frac{\Gamma(d/2)}{\Gamma(d/2+k+j)}.$$
# A kernel that is positive semi-definite in every dimension has $a_m\ge0$ (Schoenberg): **every term is positive**, and
# a sum of positive numbers keeps its digits, however small it is. By hand, in the same double precision:


# %%
def by_hand(k, terms=20):
    j = np.arange(terms)
    m = k + 2 * j
    log_weight = scipy.special.gammaln(m + 1) - scipy.special.gammaln(j + 1) - m * np.log(2)
    log_weight += scipy.special.gammaln(d / 2) - scipy.special.gammaln(d / 2 + k + j)
    return np.exp(log_weight - scipy.special.gammaln(m + 1)).sum()  # a_m = 1/m!


print(f"by hand     {by_hand(20):.15e}\nkernalg     {spectrum.eigenvalues[20]:.15e}\ncertified   {exact[20]}")

# %% [markdown]
# For polynomials there is nothing to round:

# %%
ka.spectrum(ka.dot_product_kernel("(1 + rho)**4/16"), ka.Sphere(3), degree=5, exact=True).exact

# %% [markdown]
# ## Formulas
#
# Where the profile is a sum of known terms, $\lambda_k$ is an expression in $k$ and $d$, which can be differentiated,
# expanded and exported. This one is the Gaussian-process kernel of one hidden ReLU layer, in every dimension at once:

# %%
dimension = sp.Symbol("d", positive=True)
formula = ka.eigenvalue_formula(ka.mlp("relu", 1, 2, 0).nngp, dimension)
formula

# %%
from_formula = sp.N(formula.subs({DEGREE: 20, dimension: 10}), 25)
from_balls = ka.spectrum(ka.mlp("relu", 1, 2, 0).nngp, ka.Sphere(10), degree=20, digits=25).exact[20]
print(f"formula   {from_formula}\ncertified {from_balls}")

# %% [markdown]
# ## High dimension is simple
#
# The first correction to $N\lambda_k$ is of relative order $k^2/d$: as $d$ grows, the power of level $k$ tends to the
# Taylor coefficient $a_k$, on the sphere and on the corners of the cube alike. So one level is as strong as the next,
# but it is shared by $d^k/k!$ harmonics, and the eigenvalues fall like powers of $d$.

# %%
dimensions = (10, 100, 1000, 1_000_000)
taylor = K.profile().taylor(6)
print("        " + "".join(f"{f'k = {k}':>12}" for k in range(1, 6)))
for n in dimensions:
    on_sphere = ka.spectrum(K, ka.Sphere(n), degree=5)
    on_cube = ka.spectrum(K, ka.Hypercube(n), degree=5)
    for name, s in (("sphere", on_sphere), ("cube", on_cube)):
        print(f"{name:>7} " + "".join(f"{v:12.8f}" for v in s.level_power[1:]) + f"   d = {n}")
print("  1/k!  " + "".join(f"{v:12.8f}" for v in taylor[1:]))

# %%
network = ka.mlp("relu", depth=3, w_var=2, b_var=0)
by_dimension = {f"d = {n}": ka.spectrum(network.ntk, ka.Sphere(n), degree=20) for n in (3, 5, 10, 20, 50)}
plot.spectra(by_dimension)

# %%
plot.spectra(by_dimension, quantity="level power")

# %% [markdown]
# ## Zeros that are zeros
#
# The tangent kernel of one hidden ReLU layer without biases has no odd degree from 3 on: such a network cannot learn
# $P_3$ at any number of samples. Quadrature returns $\pm10^{-17}$ here, sometimes negative; kernalg knows the parity.
# A second layer, or a bias, brings the odd degrees back.

# %%
shallow = ka.spectrum(ka.mlp("relu", 1, 2, 0).ntk, ka.Sphere(10), degree=20)
biased = ka.spectrum(ka.mlp("relu", 1, 2, "1/10").ntk, ka.Sphere(10), degree=20)
plot.spectrum(shallow)

# %%
print("odd degrees, no bias:  ", shallow.eigenvalues[3::2][:4])
print("odd degrees, with bias:", biased.eigenvalues[3::2][:4])

# %% [markdown]
# ## Deep equals shallow
#
# For fixed $d$ and large degree the eigenvalues follow the singularity of the kernel at $\xi=1$:
# $(1-\xi)^\nu$ gives $\lambda_k\sim k^{-(d-1)-2\nu}$. Every ReLU tangent kernel has $\nu=1/2$, whatever its depth, so
# it decays as $k^{-d}$; the NNGP kernels have $\nu=3/2$ and $k^{-(d+2)}$ (Bietti and Bach, 2021). Depth changes the
# constant, not the law. `eigenvalue_decay` reads both off the layers, without a single eigenvalue.

# %%
top = 100 if FAST else 400
kernels = {
    "NTK, 1 hidden layer": ka.mlp("relu", 1, 2, 0).ntk,
    "NTK, 3 hidden layers": network.ntk,
    "NNGP, 1 hidden layer": ka.mlp("relu", 1, 2, 0).nngp,
    "NNGP, 3 hidden layers": network.nngp,
}
deep = {name: ka.spectrum(kernel, ka.Sphere(3), degree=top) for name, kernel in kernels.items()}
plot.spectra(deep)


# %%
def local_exponent(s, k):
    """Between the even degrees k/2 and k, in the variable k + (d-2)/2, whose corrections are smaller."""
    low, high = s.eigenvalues[k // 2], s.eigenvalues[k]
    return np.log(high / low) / np.log((k + 0.5) / (k // 2 + 0.5))


exponents = {name: local_exponent(s, top) for name, s in deep.items()}
decays = {name: ka.eigenvalue_decay(kernel, ka.Sphere(3)) for name, kernel in kernels.items()}
for name, exponent in exponents.items():
    print(f"{name:22s} measured exponent {exponent:.4f}   theory {decays[name]}")

# %% [markdown]
# ## The circle
#
# In two dimensions the harmonics are $\cos k\theta$ and $\sin k\theta$, and a spectrum is a Fourier series. The fast
# Fourier transform of 1024 samples is *not* a safe way to it: the kernel has a corner at $\theta=0$, and aliasing folds
# the tail $k^{-2}$ back onto every coefficient.

# %%
tangent = ka.mlp("relu", 1, 2, 0).ntk
circle = ka.spectrum(tangent, ka.Circle, degree=100)
theta = 2 * np.pi * np.arange(1024) / 1024
X = np.sqrt(2) * np.column_stack([np.cos(theta), np.sin(theta)])
fourier = np.fft.rfft(tangent(X[:1], X)[0]).real / 1024
seen = np.flatnonzero(circle.eigenvalues[:101] > 0)
aliasing = np.abs(fourier[seen] / circle.eigenvalues[seen] - 1)
print(f"relative error of the FFT: {aliasing[5]:.1e} at degree {seen[5]}, {aliasing[-1]:.1e} at degree {seen[-1]}")
plot.spectrum(circle, slope=-2)

# %% [markdown]
# ## One value for every space
#
# The same kernel under other distributions of the inputs: the corners of a cube, where parities take the place of
# harmonics; a ball, where every degree has a second, radial index; Gaussian inputs. The spectrum is always the same
# kind of value, and whatever is done with it afterwards need not know where it came from.

# %%
spaces = [ka.Sphere(d), ka.Hypercube(d), ka.Ball(d), ka.GaussianInputs(d)]
everywhere = {str(space): ka.spectrum(K, space, degree=6) for space in spaces}
for name, s in everywhere.items():
    print(f"{name:36s} {len(s):3d} levels, trace {s.trace:.6f}, beyond them {s.tail:.1e}   ({s.methods[1]})")

# %%
plot.spectrum(everywhere[str(ka.Ball(d))])

# %% [markdown]
# Inputs in blocks, each on a sphere of its own, as the patches of a convolution see them: a level has one degree per
# block, and what matters is not their sum alone. The kernel below has strong low degrees in either block, and weak
# products of them.

# %%
blocks = ka.product_kernel("exp(rho1) + exp(rho2) + rho1*rho2/10", [8, 4])
on_blocks = ka.spectrum(blocks, ka.ProductOfSpheres([8, 4]), degree=3)
on_blocks

# %% [markdown]
# On Gaussian inputs the Gaussian kernel is exact: by Mehler's formula its eigenvalues are a geometric series, level $k$
# (the total Hermite degree) with the multiplicity $\binom{k+d-1}{d-1}$.

# %%
mehler = ka.spectrum(ka.rbf_kernel(4), ka.GaussianInputs(5), degree=40)
ratios = mehler.eigenvalues[1:] / mehler.eigenvalues[:-1]
print(f"ratio of neighbours: {ratios.min():.15f} to {ratios.max():.15f}; sum rule: {mehler.level_power.sum():.12f}")

# %% [markdown]
# ## What must hold

# %%
assert lost[20] > 1e6 and kept.max() < 1e-15
assert noise_power > 1e6 * spectrum.level_power[20]
assert abs(by_hand(20) / float(exact[20]) - 1) < 1e-12
assert abs(from_formula / from_balls - 1) < sp.Float("1e-23")
assert np.allclose(ratios, ratios[0], rtol=1e-14) and abs(mehler.level_power.sum() - 1) < 1e-12
for s in everywhere.values():
    assert 0 <= s.tail < 0.01 * s.trace
assert np.allclose(ka.spectrum(K, ka.Sphere(1_000_000), degree=5).level_power, taylor, rtol=5e-5)
assert np.allclose(ka.spectrum(K, ka.Hypercube(1_000_000), degree=5).level_power, taylor, rtol=5e-5)
assert (shallow.eigenvalues[3::2] == 0).all() and (biased.eigenvalues > 0).all()
for name, exponent in exponents.items():
    assert abs(exponent + (3 if name.startswith("NTK") else 5)) < 0.05, (name, exponent)
    assert abs(deep[name].eigenvalues[top] / decays[name](top) - 1) < 0.02
    assert decays[name].exponent == (3 if name.startswith("NTK") else 5)
mixed = {on_blocks.label(i): v for i, v in enumerate(on_blocks.eigenvalues)}
assert abs(mixed["(1,1)"] - 1 / 10 / (8 * 4)) < 1e-15 and mixed["(2,1)"] == mixed["(1,2)"] == 0
assert 1e-3 < aliasing[-1] < 1
for s in (spectrum, shallow, circle, *deep.values()):
    assert 0 <= s.trace - s.level_power.sum() < s.trace
print("all assertions hold")
