"""Sine, cosine, exponential, Gaussian and Gabor: everything follows from E[exp] of a Gaussian variable."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from derivations.tilting import tilted_covariance, tilted_determinant
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, normal_density, q1, q2, x


def derive() -> Derivation:
    """Duals of sin, cos, exp, exp(-a x^2) and exp(-a x^2) sin(b x)."""
    d = Derivation(
        "trigonometric_and_gaussian",
        "Sines, exponentials, Gaussians and Gabor functions",
        references=(
            "C. Louart, Z. Liao and R. Couillet, A random matrix approach to neural networks, Ann. Appl. Probab. "
            "28 (2018)",
            "A. Rahimi and B. Recht, Random features for large-scale kernel machines, NIPS 2007",
        ),
        introduction=(
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. Products of sines are "
            r"cosines of sums and differences, and $b(u \pm v)$ is one Gaussian variable: a single integral gives "
            r"the duals "
            r"of sine, cosine and exponential. A Gaussian window $e^{-a x^2}$ only changes the covariance (see the "
            r"page on "
            "tilting), so the Gabor function is a sine in another covariance."
        ),
    )
    a, b = sp.symbols("a b", positive=True)
    s = sp.Symbol("s", positive=True)
    z = sp.Symbol("z", real=True)
    alpha, beta = sp.symbols("alpha beta", real=True)
    sine, cosine = ka.activation(sp.sin(b * x)).dual, ka.activation(sp.cos(b * x)).dual

    d.step(
        sp.Integral(sp.cos(s * z) * normal_density(z), (z, -sp.oo, sp.oo)),
        sp.exp(-(s**2) / 2),
        because=r"the characteristic function of the normal distribution (its sine part vanishes by symmetry)",
        check="symbolic",
    )
    d.step(
        sp.sin(alpha) * sp.sin(beta),
        (sp.cos(alpha - beta) - sp.cos(alpha + beta)) / 2,
        because="the product of two sines; the product of two cosines has a plus between the terms",
        check="symbolic",
    )
    difference, total = sp.exp(-(b**2) * (q1 + q2 - 2 * c) / 2), sp.exp(-(b**2) * (q1 + q2 + 2 * c) / 2)
    d.step(
        Expectation(sp.sin(b * x), sp.sin(b * x)),
        (difference - total) / 2,
        because=(
            r"$u - v$ and $u + v$ are Gaussian with variances $q_1 + q_2 \mp 2c$, so each cosine has a known mean"
        ),
        check="symbolic",
    )
    d.step((difference - total) / 2, sine.expr, because="the two exponentials make a hyperbolic sine", check="symbolic")
    d.conclude(r"the dual of $\sin bx$", sine.expr)
    d.step((difference + total) / 2, cosine.expr, because="and for the cosine a hyperbolic cosine", check="symbolic")
    d.conclude(r"the dual of $\cos bx$", cosine.expr)
    gamma = sp.Symbol("gamma", positive=True)
    radial = ka.activation(sp.sqrt(2) * sp.sin(sp.sqrt(2 * gamma) * x + sp.pi / 4)).dual
    d.step(
        (sp.sinh(b**2 * c) + sp.cosh(b**2 * c)).subs(b, sp.sqrt(2 * gamma)) * sp.exp(-gamma * (q1 + q2)),
        radial.expr,
        because=(
            r"$\sqrt2 \sin(bx + \pi/4) = \sin bx + \cos bx$, whose mixed products have mean zero; with $b^2 = "
            r"2\gamma$ its dual "
            r"is the Gaussian kernel $e^{-\gamma \mathbb{E}(u - v)^2}$"
        ),
        check="symbolic",
    )
    d.conclude("the dual of the activation rbf", radial.expr)
    exponential = ka.activation(sp.exp(b * x)).dual
    d.step(
        Expectation(sp.exp(b * x), sp.exp(b * x)),
        exponential.expr,
        because=(
            r"the exponential: $b(u + v)$ has variance $b^2 (q_1 + q_2 + 2c)$, and $\mathbb{E}[e^X]$ is $e$ to half "
            r"of it"
        ),
        check="symbolic",
    )
    d.conclude("the dual of $e^{b x}$", exponential.expr)
    d.step(
        Mean(sp.exp(-a * x**2), q1),
        1 / sp.sqrt(1 + 2 * a * q1),
        because="the mean of a Gaussian window in one variable",
        check="quadrature",
    )
    det, c11, c12, c22 = sp.symbols("Delta C_{11} C_{12} C_{22}", positive=True)
    covariance = tilted_covariance(-a, -a)
    meaning = {tilted_determinant(-a, -a): det}
    d.abbreviate(
        det,
        tilted_determinant(-a, -a),
        r"windows on both variables have, by tilting with $A = A' = -a$, the weight $\Delta^{-1/2}$, where",
    )
    for entry, (i, j), words in (
        (c11, (0, 0), "and they change the covariance of the pair; its first entry becomes"),
        (c12, (0, 1), "the mixed entry"),
        (c22, (1, 1), "and the last entry"),
    ):
        d.abbreviate(entry, covariance[i, j].subs(meaning), words)
    bump = ka.activation(sp.exp(-a * x**2)).dual
    d.step(1 / sp.sqrt(det), bump.expr, because="so the dual of the Gaussian is the weight itself", check="symbolic")
    d.conclude("the dual of $e^{-a x^2}$", bump.expr)
    for wave, head, name in ((sp.sin, sp.sinh, "sine"), (sp.cos, sp.cosh, "cosine")):
        window = sp.exp(-a * x**2) * wave(b * x)
        gabor = ka.activation(window).dual
        tilted = sp.exp(-(b**2) * (c11 + c22) / 2) * head(b**2 * c12) / sp.sqrt(det)
        d.step(
            Expectation(window, window),
            tilted,
            because=f"the Gabor function: weight times the dual of the {name} in the new covariance",
            check="quadrature",
        )
        d.step(tilted, gabor.expr, because="written out", check="symbolic")
        d.conclude(rf"the dual of $e^{{-a x^2}} \{name[:3]} bx$", gabor.expr)
    return d
