"""Stein's recursion: lowering the powers under an expectation with steps in it, boundary terms included."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, normal_density, q1, q2, x


def derive() -> Derivation:
    """The duals of the rectified powers, M(n, m) = E[max(u,0)^n max(v,0)^m]."""
    d = Derivation(
        "stein_recursion",
        "Stein's recursion for rectified powers",
        references=(
            "C. Stein, Estimation of the mean of a multivariate normal distribution, Ann. Statist. 9 (1981)",
            "W. F. Sheppard, On the application of the theory of error, Phil. Trans. R. Soc. A 192 (1899)",
            "Y. Cho and L. Saul, Kernel methods for deep learning, NIPS 2009",
        ),
        introduction=(
            r"We want $M(n, m) = \mathbb{E}[u_+^n v_+^m]$ with $u_+^n = u^n H(u)$, where $H$ is the step, for a "
            r"centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. Stein's lemma, which is "
            r"integration by "
            r"parts, trades a factor $u$ for derivatives; the derivative of a step is a delta function, which leaves a "
            r"boundary term of one variable less. This is how the library's engine works, for every activation."
        ),
    )
    u, v = sp.symbols("u v", real=True)
    gap = sp.Symbol("D", positive=True)
    quadrant = sp.Symbol("P", positive=True)
    rho = c / sp.sqrt(q1 * q2)
    step, relu = sp.Heaviside(x), sp.Max(x, 0)

    d.abbreviate(gap, q1 * q2 - c**2, "the determinant of the covariance")
    density = sp.exp(-(q2 * u**2 - 2 * c * u * v + q1 * v**2) / (2 * gap)) / (2 * sp.pi * sp.sqrt(gap))
    d.step(
        -(q1 * sp.Derivative(density, u) + c * sp.Derivative(density, v)),
        u * density,
        because=(
            r"the density $p$ of the pair solves $u\,p = -(q_1 \partial_u p + c\, \partial_v p)$; multiplied by $F$ "
            r"and "
            r"integrated by parts this is Stein's lemma "
            r"$\mathbb{E}[u F] = q_1 \mathbb{E}[\partial_u F] + c\, \mathbb{E}[\partial_v F]$"
        ),
        check="symbolic",
    )
    d.abbreviate(
        quadrant,
        sp.asin(rho) / (2 * sp.pi) + sp.Rational(1, 4),
        r"the recursion ends at the probability of the quadrant, $P = M(0, 0)$",
    )
    d.integrate(
        Expectation(step, step),
        quadrant,
        derivative=1 / (2 * sp.pi * sp.sqrt(gap)),
        symbol=c,
        point=sp.S.Zero,
        value=sp.Rational(1, 4),
        because=(
            r"Sheppard's formula: by Price's theorem $dP/dc = \mathbb{E}[\delta(u) \delta(v)]$, the density of the "
            r"pair at "
            "the origin, and at $c = 0$ a quadrant has probability 1/4"
        ),
    )
    d.step(
        sp.Mul(density.subs(u, 0), sp.sqrt(2 * sp.pi * q1), evaluate=False),
        normal_density(v / sp.sqrt(gap / q1)) / sp.sqrt(gap / q1),
        because=(
            r"for the boundary terms we need $v$ given $u = 0$: joint density over density of $u$ at 0 is the "
            r"density of "
            r"$N(0, D/q_1)$"
        ),
        check="symbolic",
    )
    z = sp.Symbol("z", positive=True)
    d.step(
        sp.Integral(z * normal_density(z), (z, 0, sp.oo)),
        1 / sp.sqrt(2 * sp.pi),
        because="and the mean of a rectified standard variable, an elementary integral",
        check="symbolic",
    )
    d.step(
        sp.Mul(q1, 1 / sp.sqrt(2 * sp.pi * q1), sp.sqrt(gap / q1) / sp.sqrt(2 * sp.pi), evaluate=False),
        sp.sqrt(gap) / (2 * sp.pi),
        because=(
            r"together, the boundary term $q_1 \mathbb{E}[\delta(u)\, v_+]$ is variance times density at 0 times the "
            r"conditional mean of $v_+$"
        ),
        check="symbolic",
    )
    order1 = ka.activation("relu").dual
    d.step(
        Expectation(relu, relu),
        c * quadrant + sp.sqrt(gap) / (2 * sp.pi),
        because=(
            r"Stein's lemma with $F = H(u) v_+$: $M(1, 1) = q_1 \mathbb{E}[\delta(u) v_+] + c\, \mathbb{E}[H(u) H(v)]$"
        ),
        check="quadrature",
    )
    d.step(
        c * quadrant + sp.sqrt(gap) / (2 * sp.pi),
        order1.expr,
        because="written out",
        check="symbolic",
    )
    d.conclude("the dual of ReLU", order1.expr)
    d.step(
        Expectation(step, relu**2),
        q2 * quadrant + c / q1 * sp.sqrt(gap) / (2 * sp.pi),
        because=(
            r"for $M(2, 2)$ one neighbour is needed: $M(0, 2) = q_2 \mathbb{E}[H(u) H(v)] + c\, "
            r"\mathbb{E}[\delta(u) v_+]$ "
            r"by the lemma in $v$ with $F = v_+ H(u)$; the delta at $v = 0$ meets the factor $v$ and is gone"
        ),
        check="quadrature",
    )
    d.step(
        Expectation(relu**2, relu**2),
        q1 * (q2 * quadrant + c / q1 * sp.sqrt(gap) / (2 * sp.pi))
        + 2 * c * (c * quadrant + sp.sqrt(gap) / (2 * sp.pi)),
        because=(
            r"the lemma with $F = u_+ v_+^2$ has no boundary term, because $u\,\delta(u) = 0$: "
            r"$M(2, 2) = q_1 M(0, 2) + 2 c\, M(1, 1)$"
        ),
        check="quadrature",
    )
    order2 = ka.activation("squared_relu").dual
    d.step(d.steps[-1].rhs, order2.expr, because="collect the two basis elements, quadrant and root", check="symbolic")
    d.conclude("the dual of the squared ReLU", order2.expr)
    first, second, third, fourth, fifth = (sp.Symbol(f"K_{{{k}}}", positive=True) for k in range(1, 6))
    d.name(first, order1.expr)
    d.name(second, order2.expr)
    order3 = ka.activation("rectified_monomial", degree=3).dual
    d.step(
        5 * c * second + 4 * gap * first,
        order3.expr,
        because=(
            r"the elimination that serves the monomials serves here too, since for $n \ge 2$ no boundary term is left: "
            r"$K_{n+1} = (2n+1)\, c\, K_n + n^2 D\, K_{n-1}$ with $K_n = M(n, n)$, here for $n = 2$"
        ),
        check="symbolic",
    )
    d.conclude(r"the dual of $\max(x, 0)^3$", order3.expr)
    d.name(third, order3.expr)
    for k, (lower, middle, upper) in enumerate(((second, third, fourth), (third, fourth, fifth)), start=3):
        dual = ka.activation("rectified_monomial", degree=k + 1).dual
        d.step(
            (2 * k + 1) * c * middle + k**2 * gap * lower,
            dual.expr,
            because=f"and for $n = {k}$",
            check="symbolic",
        )
        d.conclude(rf"the dual of $\max(x, 0)^{k + 1}$", dual.expr)
        d.name(upper, dual.expr)
    d.step(
        Mean(relu**2, q1),
        order1.diagonal,
        because="on the diagonal $u = v$ half of the variance survives the rectifier",
        check="quadrature",
    )
    return d
