"""The dual of ELU: one exponential piece and one linear piece, each tilted and lowered by Stein's lemma."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, x


def derive() -> Derivation:
    """E[phi(u) phi(v)] for phi = x (x > 0), exp(x) - 1 (x < 0), and its derivative dual."""
    d = Derivation(
        "elu",
        "The dual of ELU",
        references=(
            "D.-A. Clevert, T. Unterthiner and S. Hochreiter, Fast and accurate deep network learning by exponential "
            "linear units, ICLR 2016",
            "R. Tsuchida, T. Pearce, C. van der Heide, F. Roosta and M. Gallagher, Avoiding kernel fixed points: "
            "computing with ELU and GELU infinite networks, AAAI 2021",
        ),
        introduction=(
            r"ELU is $x$ for $x > 0$ and $e^x - 1$ for $x < 0$. Written with one step per term it is "
            r"$\varphi = A + B - 1$ with $A = e^x H(-x)$ and $B = (1 + x) H(x)$, so its dual is a sum of products "
            r"of these. "
            r"A linear exponent only moves the mean (tilting), after which every term is a probability of a quadrant "
            r"($\Phi_2$) or a half-line ($\Phi$), plus boundary terms from Stein's lemma. "
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$."
        ),
    )
    gap = sp.Symbol("D", positive=True)
    quadrant, both, mixed1, mixed2, edge1, edge2 = sp.symbols("P T R_1 R_2 N_1 N_2", positive=True)
    rho = c / sp.sqrt(q1 * q2)
    root = sp.sqrt(q1 * q2 - c**2)
    step, falling = sp.Heaviside(x), sp.Heaviside(-x)
    left, right = sp.exp(x) * falling, (1 + x) * step
    elu = ka.activation("elu")

    d.abbreviate(gap, q1 * q2 - c**2, "the determinant of the covariance")
    d.abbreviate(
        quadrant,
        sp.asin(rho) / (2 * sp.pi) + sp.Rational(1, 4),
        "the probability of a quadrant of the pair itself (Sheppard)",
    )
    d.abbreviate(
        both,
        bivariate_normal_cdf(-(q1 + c) / sp.sqrt(q1), -(q2 + c) / sp.sqrt(q2), rho),
        r"the probability that both are negative when the mean is moved to $(q_1 + c, q_2 + c)$",
    )
    for mixed, a, b in ((mixed1, q1, q2), (mixed2, q2, q1)):
        d.abbreviate(
            mixed,
            bivariate_normal_cdf(-sp.sqrt(a), c / sp.sqrt(b), -rho),
            "the probability of negative $u$ and positive $v$ when the mean is moved to $(q_1, c)$"
            if a == q1
            else "and with the roles exchanged",
        )
    for edge, a in ((edge1, q1), (edge2, q2)):
        d.abbreviate(
            edge,
            normal_cdf((c**2 - q1 * q2) / (sp.sqrt(a) * root)),
            r"the conditional probability at a boundary, $\Phi(-\sqrt{D/q_1})$"
            if a == q1
            else r"and $\Phi(-\sqrt{D/q_2})$",
        )
    d.step(
        Expectation(left, left),
        sp.exp((q1 + q2 + 2 * c) / 2) * both,
        because=(
            r"$e^{u + v}$ moves the mean to $(q_1 + c, q_2 + c)$ and has the expectation "
            r"$e^{(q_1 + q_2 + 2c)/2}$"
        ),
        check="quadrature",
    )
    cross = (
        (1 + c) * sp.exp(q1 / 2) * mixed1
        + sp.sqrt(q2) / sp.sqrt(2 * sp.pi) * sp.exp(gap / (2 * q2)) * edge2
        - c / (2 * sp.sqrt(2 * sp.pi * q1))
    )
    d.step(
        Expectation(left, right),
        cross,
        because=(
            r"$e^u$ moves the mean to $(q_1, c)$; Stein's lemma for the factor $v$ gives the mean $c$ and two boundary "
            r"terms, at $v = 0$ where $u \sim N(D/q_2, D/q_2)$, and at $u = 0$ where $v$ is centred"
        ),
        check="quadrature",
    )
    linear = (
        quadrant
        + (sp.sqrt(q1) + c / sp.sqrt(q1) + sp.sqrt(q2) + c / sp.sqrt(q2)) / (2 * sp.sqrt(2 * sp.pi))
        + c * quadrant
        + sp.sqrt(gap) / (2 * sp.pi)
    )
    d.step(
        Expectation(right, right),
        linear,
        because=(
            r"no tilt here: quadrant, the boundary terms of $\mathbb{E}[u H(u) H(v)]$ and "
            r"$\mathbb{E}[v H(u) H(v)]$, and the dual of ReLU"
        ),
        check="quadrature",
    )
    d.step(
        Mean(left, q1),
        sp.exp(q1 / 2) * normal_cdf(-sp.sqrt(q1)),
        because=r"the constant $-1$ meets single means: $e^u$ moves the mean to $q_1$",
        check="quadrature",
    )
    d.step(
        Mean(right, q1),
        sp.S.Half + sp.sqrt(q1) / sp.sqrt(2 * sp.pi),
        because="and the mean of the linear piece is half a probability and the mean of a rectified variable",
        check="quadrature",
    )
    exchanged = {q1: q2, q2: q1, mixed1: mixed2, edge2: edge1}
    mean = sp.exp(q1 / 2) * normal_cdf(-sp.sqrt(q1)) + sp.S.Half + sp.sqrt(q1) / sp.sqrt(2 * sp.pi)
    total = (
        sp.exp((q1 + q2 + 2 * c) / 2) * both
        + cross
        + cross.xreplace(exchanged)
        + linear
        - mean
        - mean.xreplace(exchanged)
        + 1
    )
    d.step(
        Expectation(elu.expr, elu.expr),
        total,
        because=(
            r"$\mathbb{E}[(A + B - 1)(A' + B' - 1)]$, multiplied out: both products, the mixed product and its "
            r"mirror image, "
            "minus the four means, plus 1; call this sum $k$"
        ),
        check="quadrature",
    )
    k = sp.Symbol("k", real=True)
    d.name(k, total)
    d.step(
        k,
        elu.dual.expr,
        because=r"the terms $c/\sqrt{q_i}$ and the constants cancel, and what is left is the formula of the library",
        check="symbolic",
    )
    d.conclude("the dual of ELU", elu.dual.expr)
    d.step(
        Expectation(left, step),
        sp.exp(q1 / 2) * mixed1,
        because=(
            r"for the derivative dual, $\varphi' = A + H$ and no factor $v$ has to be removed: the mixed term is a "
            r"tilted "
            "quadrant"
        ),
        check="quadrature",
    )
    d.step(
        sp.exp((q1 + q2 + 2 * c) / 2) * both + sp.exp(q1 / 2) * mixed1 + sp.exp(q2 / 2) * mixed2 + quadrant,
        elu.dual.derivative.expr,
        because="and the four products add up",
        check="symbolic",
    )
    d.conclude("the derivative dual of ELU", elu.dual.derivative.expr)
    d.step(
        sp.Derivative(k, c),
        elu.dual.derivative.expr,
        because="Price's theorem confirms both: ELU is continuous, so the one is the derivative of the other",
        check="balls",
    )
    return d
