"""The dual of GELU, x Phi(x): Stein's lemma leaves the probit dual and two tilted Gaussians."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, normal_cdf, normal_density, q1, q2, x


def derive() -> Derivation:
    """E[u Phi(u) v Phi(v)] and its derivative dual."""
    d = Derivation(
        "gelu",
        "The dual of GELU",
        references=(
            "D. Hendrycks and K. Gimpel, Gaussian error linear units, arXiv:1606.08415 (2016)",
            "R. Tsuchida, T. Pearce, C. van der Heide, F. Roosta and M. Gallagher, Avoiding kernel fixed points: "
            "computing with ELU and GELU infinite networks, AAAI 2021",
        ),
        introduction=(
            r"GELU is $x\,\Phi(x)$ with the normal distribution function $\Phi$ and density $\phi$. "
            r"Stein's lemma removes the factor $u$ from $\mathbb{E}[u \Phi(u)\, v \Phi(v)]$; what remains is the "
            r"dual of "
            r"$\Phi$ (page on the probit) and expectations with one Gaussian factor, which tilting reduces to one "
            r"variable. "
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$."
        ),
    )
    inner, probit = sp.Symbol("Delta", positive=True), sp.Symbol("P", positive=True)
    s = sp.Symbol("s", positive=True)
    cdf, density = normal_cdf(x), normal_density(x)
    gelu = ka.activation("gelu").dual

    d.abbreviate(inner, (1 + q1) * (1 + q2) - c**2, "one polynomial will appear everywhere under a root:")
    d.abbreviate(probit, ka.activation("probit").dual.expr, "and one arcsine, in the dual of the probit:")
    d.step(
        Expectation(cdf, cdf),
        probit,
        because=r"the dual of $\Phi$, by variance inflation of the quadrant",
        check="quadrature",
    )
    d.step(
        Mean(density, s),
        1 / sp.sqrt(2 * sp.pi * (1 + s)),
        because="a Gaussian density averaged over a Gaussian variable of variance $s$: two independent variables add",
        check="quadrature",
    )
    d.step(
        Mean(x * cdf, s),
        s / sp.sqrt(2 * sp.pi * (1 + s)),
        because=r"Stein's lemma in one variable, $\mathbb{E}[X \Phi(X)] = s\, \mathbb{E}[\phi(X)]$",
        check="quadrature",
    )
    tilted = sp.Symbol("s_v", positive=True)
    d.abbreviate(
        tilted,
        (q2 + q1 * q2 - c**2) / (1 + q1),
        r"the factor $\phi(u)$ tilts the pair by $A = -1/2$: weight $1/\sqrt{2\pi (1 + q_1)}$, and $v$ gets the "
        r"variance",
    )
    d.step(
        1 + tilted,
        inner / (1 + q1),
        because="which puts the polynomial under the root of the one-dimensional mean",
        check="symbolic",
    )
    first = (q2 + q1 * q2 - c**2) / (2 * sp.pi * (1 + q1) * sp.sqrt(inner))
    d.step(
        tilted / sp.sqrt(2 * sp.pi * (1 + tilted)) / sp.sqrt(2 * sp.pi * (1 + q1)),
        first,
        because="weight times one-dimensional mean",
        check="symbolic",
    )
    d.step(
        Expectation(density, x * cdf),
        first,
        because=r"so this is $\mathbb{E}[\phi(u)\, v \Phi(v)]$",
        check="quadrature",
    )
    second = c / (2 * sp.pi * (1 + q2) * sp.sqrt(inner))
    d.step(
        Expectation(cdf, x * density),
        second,
        because=(
            r"with $\phi(v)$ as the tilt, $(u, v)$ gets the covariance $c/(1 + q_2)$, and Stein's lemma "
            r"$\mathbb{E}[V \Phi(U)] = \mathrm{Cov}(U, V)\, \mathbb{E}[\phi(U)]$ does the rest"
        ),
        check="quadrature",
    )
    d.step(
        Expectation(x * cdf, x * cdf),
        q1 * first + c * (probit + second),
        because=(
            r"Stein's lemma with $F = \Phi(u)\, v \Phi(v)$: $\mathbb{E}[u F] = q_1 \mathbb{E}[\phi(u)\, v \Phi(v)] + "
            r"c\,(\mathbb{E}[\Phi(u) \Phi(v)] + \mathbb{E}[\Phi(u)\, v \phi(v)])$"
        ),
        check="quadrature",
    )
    d.step(
        q1 * first + c * (probit + second),
        gelu.expr,
        because="over one denominator the asymmetry between $u$ and $v$ disappears; call the result $k$",
        check="symbolic",
    )
    d.conclude("the dual of GELU", gelu.expr)
    k = sp.Symbol("k", real=True)
    d.name(k, gelu.expr)
    d.step(
        sp.Derivative(k, c),
        gelu.derivative.expr,
        because="Price's theorem: the derivative dual is the derivative in $c$",
        check="symbolic",
    )
    d.conclude("the derivative dual of GELU", gelu.derivative.expr)
    return d
