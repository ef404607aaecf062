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
# # From an activation to a learning curve
#
# One walk through the house: an activation, the formula it induces on Gaussians, the kernel of a wide network, its
# Gram matrix, its spectrum on the sphere, and the learning curve that the spectrum predicts. Every number is either
# exact, or carries an error we can state.

# %%
import numpy as np
import sympy as sp

import kernalg as ka

print("kernalg", ka.__version__)

# %% [markdown]
# ## The activation, and its dual
#
# A wide network turns an activation $\varphi$ into $k(q_1,q_2,c)=\mathbb E[\varphi(u)\varphi(v)]$ over a Gaussian pair.
# kernalg derives the closed form; nothing is looked up.

# %%
phi = ka.activation("relu")
phi.dual.expr

# %%
phi.dual.normalized

# %% [markdown]
# The derivation is a list of steps, and each says how it was checked. A numerical agreement is never called a proof.

# %%
derivation = ka.derivation(phi.dual)
derivation

# %% [markdown]
# The same formula in three arithmetics: 50 certified digits, float64 on arrays, and the sum of squared Hermite
# coefficients (Mehler), which knows nothing of the closed form.

# %%
certified = phi.dual.value(1, 1, "1/2", digits=50)
compiled = phi.dual(1.0, 1.0, 0.5)
series = sum(a**2 * sp.Rational(1, 2) ** k for k, a in enumerate(phi.hermite(60)))
print(certified)
print(compiled)
print(sp.N(series, 20))

# %% [markdown]
# ## The network
#
# Three hidden layers at the edge of chaos, $\sigma_w^2=2$. The tangent kernel on the sphere is a function of
# $\rho=x\cdot x'/d$.

# %%
net = ka.mlp(phi, depth=3, w_var=2, b_var=0)
K = net.ntk
for rho in ("-1", "0", "1/2", "1"):
    print(f"{rho:>4}  {K.profile().value(rho, digits=30)}")

# %% [markdown]
# ## The Gram matrix
#
# Compiled at the first call and cached. Both kernels come in one pass; a row and its copy give exactly the diagonal.

# %%
rng = np.random.default_rng(0)
dimension = 50
X = rng.standard_normal((300, dimension))
X *= np.sqrt(dimension) / np.linalg.norm(X, axis=1, keepdims=True)
X[1] = X[0]
nngp, ntk = K.nngp_and_ntk(X)
print(ntk.shape, "symmetric to the last bit:", np.array_equal(ntk, ntk.T), " copy:", ntk[0, 1] == ntk[0, 0])

# %% [markdown]
# ## The spectrum on the sphere
#
# $K(\xi)=\sum_k N(d,k)\,\lambda_k P_k(\xi)$: one eigenvalue per degree, with an exact multiplicity.

# %%
spectrum = ka.spectrum(K, ka.Sphere(dimension), degree=8)
spectrum

# %% [markdown]
# ## The learning curve
#
# The target is a unit-power harmonic of degree 1 plus one of degree 2, the labels carry noise of variance 0.1. The
# theory needs only the spectrum; kernel ridge regression on random inputs needs no theory. They must agree.

# %%
from kernalg.learning.regression import measured_curve_on_sphere  # noqa: E402

sizes = [30, 100, 300]
power, ridge, noise = [0, 1, 1], 0.01, 0.1
predicted = ka.learning_curve(spectrum, power=power, n=sizes, ridge=ridge, noise=noise)
measured = measured_curve_on_sphere(
    K, spectrum, power, dimension=dimension, n=sizes, ridge=ridge, noise=noise, draws=40, seed=1
)
rows = list(zip(sizes, predicted.test_mse, measured.test_mse.mean, measured.test_mse.standard_error, strict=True))
for n, theory, mean, error in rows:
    print(f"n = {n:4d}   predicted {theory:.4f}   measured {mean:.4f} ± {error:.4f}")

# %% [markdown]
# ## What must hold
#
# The notebook is also a test.

# %%
assert abs(certified - sp.N(phi.dual.normalized.subs(ka.rho, sp.Rational(1, 2)), 60)) < sp.Float("1e-49")
assert abs(compiled - float(certified)) < 1e-15
assert abs(sp.N(series, 30) - certified) < sp.Float("1e-18")
assert derivation.conclusion[1] == phi.dual.expr
assert np.array_equal(ntk, ntk.T) and ntk[0, 1] == ntk[0, 0]
assert spectrum.trace is not None and abs(spectrum.trace - 4) < 1e-12
for _, theory, mean, error in rows:
    assert abs(theory - mean) < 4 * error + 0.03 * theory, (theory, mean, error)
print("all assertions hold")
