"""Piecewise-linear activations: a double sum over kinks of one function of two thresholds. Hard-tanh has two kinks."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, normal_density, q1, q2, x


def both_beyond(s: sp.Expr, t: sp.Expr) -> sp.Expr:
    """P(u > s, v > t)."""
    return bivariate_normal_cdf(-s / sp.sqrt(q1), -t / sp.sqrt(q2), c / sp.sqrt(q1 * q2))


def two_kinks(s: sp.Expr, t: sp.Expr) -> sp.Expr:
    """E[max(u - s, 0) max(v - t, 0)]."""
    gap = q1 * q2 - c**2
    return (
        (c + s * t) * both_beyond(s, t)
        - t * sp.sqrt(q1) * normal_density(s / sp.sqrt(q1)) * normal_cdf((c * s - q1 * t) / sp.sqrt(q1) / sp.sqrt(gap))
        - s * sp.sqrt(q2) * normal_density(t / sp.sqrt(q2)) * normal_cdf((c * t - q2 * s) / sp.sqrt(q2) / sp.sqrt(gap))
        + sp.sqrt(gap) / (2 * sp.pi) * sp.exp(-(q2 * s**2 - 2 * c * s * t + q1 * t**2) / (2 * gap))
    )


def one_kink(q: sp.Expr, t: sp.Expr) -> sp.Expr:
    """E[max(u - t, 0)]."""
    return sp.sqrt(q) * normal_density(t / sp.sqrt(q)) - t * normal_cdf(-t / sp.sqrt(q))


def derive() -> Derivation:
    """The rule for piecewise-linear activations, applied to hard-tanh."""
    d = Derivation(
        "hard_tanh",
        "Piecewise-linear activations: the dual of hard-tanh",
        references=(
            "R. Price, A useful theorem for nonlinear devices having Gaussian inputs, IRE Trans. Inf. Theory 4 (1958)",
            "R. L. Plackett, A reduction formula for normal multivariate integrals, Biometrika 41 (1954)",
        ),
        introduction=(
            r"A piecewise-linear activation is a line plus kinks, $\varphi = \alpha + \beta x + \sum_i s_i (x - "
            r"t_i)_+$, so "
            r"its dual is a double sum of $C(s, t) = \mathbb{E}[(u - s)_+ (v - t)_+]$. We find $C$ by Price's theorem "
            r"and apply the rule to hard-tanh, $x$ clipped to $[-1, 1]$. $(u, v)$ is a centred Gaussian pair with "
            r"variances "
            r"$q_1, q_2$ and covariance $c$; $\Phi$ and $\Phi_2$ are the normal distribution functions."
        ),
    )
    s, t = sp.symbols("s t", real=True)
    hard = ka.activation("hard_tanh")
    kink, kink_t = sp.Max(x - s, 0), sp.Max(x - t, 0)

    d.step(
        Mean(kink_t, q1),
        one_kink(q1, t),
        because="the mean of one kink: density minus threshold times probability, by parts",
        check="quadrature",
    )
    d.step(
        Expectation(sp.Heaviside(x - s), sp.Heaviside(x - t)),
        both_beyond(s, t),
        because=r"the probability that both variables lie beyond their thresholds is $\Phi_2$ by definition",
        check="quadrature",
    )
    d.integrate(
        Expectation(kink, kink_t),
        two_kinks(s, t),
        derivative=both_beyond(s, t),
        symbol=c,
        point=sp.S.Zero,
        value=one_kink(q1, s) * one_kink(q2, t),
        because=(
            r"by Price's theorem $dC/dc = P(u > s, v > t)$, and at $c = 0$ the variables are independent; the right "
            r"side has "
            r"this derivative (Plackett: $\partial \Phi_2/\partial r$ is the bivariate density) and this value"
        ),
    )
    d.step(
        Expectation(x, kink_t),
        c * normal_cdf(-t / sp.sqrt(q2)),
        because=r"Stein's lemma: $\mathbb{E}[u\,(v - t)_+] = c\,P(v > t)$",
        check="quadrature",
    )
    d.step(
        sp.Max(-1, sp.Min(1, x)),
        x - sp.Max(x - 1, 0) + sp.Max(-x - 1, 0),
        because="hard-tanh is the line $x$ less what sticks out on the right, plus what sticks out on the left",
        check="symbolic",
    )
    pair, beyond = sp.symbols("C P", cls=sp.Function)
    for sign in (1, -1):
        d.name(pair(sign * c), two_kinks(sp.S.One, sp.S.One).subs(c, sign * c))
        d.name(beyond(sign * c), both_beyond(sp.S.One, sp.S.One).subs(c, sign * c))
    tails = normal_cdf(-1 / sp.sqrt(q1)) + normal_cdf(-1 / sp.sqrt(q2))
    total = c - 2 * c * tails + 2 * pair(c) - 2 * pair(-c)
    d.step(
        Expectation(hard.expr, hard.expr),
        total,
        because=(
            r"line times line gives $c$, line times kink the tails by Stein's lemma; $(-u, -v)$ has the law of "
            r"$(u, v)$, and $(u, -v)$ that with $-c$, so kinks on the same side give $C(c)$ = $C(1, 1)$ twice and "
            r"kinks on opposite sides $C(-c)$ twice"
        ),
        check="quadrature",
    )
    d.step(
        total,
        hard.dual.expr,
        because=r"two exponentials make a hyperbolic sine, and the terms with $\Phi_2$ are collected",
        check="symbolic",
    )
    d.conclude("the dual of hard-tanh", hard.dual.expr)
    derivative = hard.dual.derivative
    d.step(
        1 - 2 * tails + 2 * beyond(c) + 2 * beyond(-c),
        derivative.expr,
        because=(
            r"the derivative dual is $\mathbb{E}[(1 - 1\{|u| > 1\})(1 - 1\{|v| > 1\})]$, the probability that both "
            r"are unclipped, with $P(\pm c)$ for both beyond on the same or on opposite sides"
        ),
        check="symbolic",
    )
    d.conclude("the derivative dual of hard-tanh", derivative.expr)
    clipped = ka.activation("relu6")
    corners = (0, 6)
    for i in corners:
        for j in corners:
            d.name(pair(i, j), two_kinks(sp.Integer(i), sp.Integer(j)))
    d.step(
        pair(0, 0) - pair(0, 6) - pair(6, 0) + pair(6, 6),
        clipped.dual.expr,
        because=r"the same rule for ReLU6, $x_+ - (x - 6)_+$",
        check="symbolic",
    )
    d.conclude("the dual of ReLU6", clipped.dual.expr)
    return d
