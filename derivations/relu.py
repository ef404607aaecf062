"""The dual of the rectified linear unit, by Price's theorem used twice.

The engine finds the same formula by Stein's recursion; here it is proved on another road, in four strokes:
delta functions, Sheppard's quadrant, the mean of a rectified Gaussian, one integration in the covariance.
"""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.symbols import bivariate_normal_density, c, q1, q2, x


def derive() -> Derivation:
    """E[max(u,0) max(v,0)], its derivative dual and its diagonal."""
    d = Derivation(
        "relu",
        "The dual of the rectified linear unit (arc-cosine kernel of order 1)",
        references=(
            "R. Price, A useful theorem for nonlinear devices having Gaussian inputs, IRE Trans. Inf. Theory 4 (1958)",
            "W. F. Sheppard, On the application of the theory of error, Phil. Trans. R. Soc. A 192 (1899)",
            "Y. Cho and L. Saul, Kernel methods for deep learning, NIPS 2009",
        ),
        introduction=(
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$, $c^2 < q_1 q_2$. "
            r"Price's theorem, $\frac{d}{dc} \mathbb{E}[f(u) g(v)] = \mathbb{E}[f'(u) g'(v)]$ with derivatives in "
            r"the sense of "
            "distributions, used twice turns ReLU into steps and steps into delta functions, whose expectation is a "
            r"density. Integrating back in $c$ gives first Sheppard's quadrant probability and then the dual of "
            r"ReLU; $H$ is "
            "the step."
        ),
    )
    step, relu = sp.Heaviside(x), sp.Max(x, 0)
    density = 1 / (2 * sp.pi * sp.sqrt(q1 * q2 - c**2))
    quadrant = sp.asin(c / sp.sqrt(q1 * q2)) / (2 * sp.pi) + sp.Rational(1, 4)
    dual = ka.activation("relu").dual

    d.step(
        bivariate_normal_density(0, 0, c / sp.sqrt(q1 * q2)) / sp.sqrt(q1 * q2),
        density,
        because=(
            "the derivative of a step is a delta function, so Price's theorem gives "
            r"$\frac{d}{dc} \mathbb{E}[H(u) H(v)] = \mathbb{E}[\delta(u) \delta(v)]$, "
            "the joint density of $(u, v)$ at the origin"
        ),
        check="symbolic",
    )
    d.integrate(
        Expectation(step, step),
        quadrant,
        derivative=density,
        symbol=c,
        point=sp.S.Zero,
        value=sp.Rational(1, 4),
        because=(
            "integrate in $c$ from 0, where $u$ and $v$ are independent and the quadrant has probability 1/4 "
            "(Sheppard's formula)"
        ),
    )
    u = sp.Symbol("u", positive=True)
    mean = sp.Integral(u * sp.exp(-(u**2) / (2 * q1)) / sp.sqrt(2 * sp.pi * q1), (u, 0, sp.oo))
    d.step(
        mean,
        sp.sqrt(q1) / sp.sqrt(2 * sp.pi),
        because=r"the mean of $\max(u, 0)$ is an elementary integral",
        check="symbolic",
    )
    d.integrate(
        Expectation(relu, relu),
        dual.expr,
        derivative=quadrant,
        symbol=c,
        point=sp.S.Zero,
        value=sp.sqrt(q1 * q2) / (2 * sp.pi),
        because=(
            r"the derivative of $\max(u, 0)$ is $H(u)$, so Price's theorem gives $dk/dc = \mathbb{E}[H(u) H(v)]$, "
            r"the quadrant "
            r"above; at $c = 0$ the dual is the product of the two means, $\sqrt{q_1 q_2}/(2\pi)$"
        ),
    )
    d.conclude("the dual of ReLU", dual.expr)
    d.step(
        Expectation(step, step),
        dual.derivative.expr,
        because="the derivative dual, which the tangent kernel's recursion needs, is the quadrant itself",
        check="quadrature",
    )
    d.step(
        sp.Subs(dual.expr, (q2, c), (q1, q1)),
        dual.diagonal,
        because=(
            r"on the diagonal $u = v$ the arcsine is $\pi/2$ and the root vanishes: "
            "half of the variance survives the rectifier"
        ),
        check="symbolic",
    )
    return d
