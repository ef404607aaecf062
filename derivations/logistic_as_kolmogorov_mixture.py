"""The logistic sigmoid has no closed dual, but it is an average of probits over a Kolmogorov-distributed scale."""

from __future__ import annotations

import mpmath
import numpy as np
import sympy as sp
from numpy.polynomial.legendre import leggauss
from sympy.utilities.lambdify import implemented_function

import kernalg as ka
from kernalg.derivation.checks import QUADRATURE_TOLERANCE, Check, StepFails, samples
from kernalg.derivation.expectation import Expectation, quadrature
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, normal_cdf, q1, q2, x

_TERMS = 12


def _density(s: mpmath.mpf) -> mpmath.mpf:
    """Density of the Kolmogorov distribution: the alternating series, or its theta transform for small s."""
    if s <= 0:
        return mpmath.mpf(0)
    if s >= 0.6:
        return 8 * s * sum((-1) ** (j + 1) * j * j * mpmath.exp(-2 * j * j * s * s) for j in range(1, _TERMS))
    squares = [((2 * j - 1) * mpmath.pi) ** 2 for j in range(1, _TERMS)]
    return mpmath.sqrt(2 * mpmath.pi) * sum((a / (4 * s**4) - 1 / s**2) * mpmath.exp(-a / (8 * s * s)) for a in squares)


kolmogorov = implemented_function("f", _density)


def _over_two_scales(lhs: sp.Expr, rhs: sp.Expr) -> Check:
    """Two-dimensional Gauss-Legendre for (u, v) on the left, another one for the two scales on the right."""
    nodes, weights = leggauss(80)
    scales = 0.1 + 2.45 * (1 + nodes)  # the density is below 1e-20 outside [0.1, 5]
    density = np.array([float(_density(mpmath.mpf(float(s)))) for s in scales])
    measure = np.outer(2.45 * weights * density, 2.45 * weights * density)
    (integral,) = rhs.atoms(sp.Integral)
    first, second = (limit[0] for limit in integral.limits)
    smooth = integral.function / kolmogorov(first) / kolmogorov(second)
    count = 0
    for at in list(samples({q1, q2, c}))[:3]:
        values = sp.lambdify((first, second), smooth.subs(at), "numpy")(scales[:, None], scales[None, :])
        right = float(rhs.xreplace({integral: sp.Float(float(np.sum(measure * values)), 17)}))
        left = quadrature(lhs, at)
        if not abs(left - right) < QUADRATURE_TOLERANCE * max(1.0, abs(right)):
            raise StepFails(f"at {at} the left side is {left:.15g} and the right side {right:.15g}")
        count += 1
    return Check(
        "quadrature",
        f"both sides by two-dimensional Gauss-Legendre at {count} points, difference below "
        f"{QUADRATURE_TOLERANCE:.0e}; not a proof",
    )


def derive() -> Derivation:
    """sigma(x) = E Phi(x/(2S)), and what follows for the duals of sigmoid, tanh and softplus."""
    d = Derivation(
        "logistic_as_kolmogorov_mixture",
        "The logistic sigmoid as a mixture of probits",
        references=(
            "D. F. Andrews and C. L. Mallows, Scale mixtures of normal distributions, J. R. Stat. Soc. B 36 (1974)",
            "L. A. Stefanski, A normal scale mixture representation of the logistic distribution, Stat. Probab. "
            "Lett. 11 "
            "(1991)",
        ),
        introduction=(
            r"The dual of the logistic sigmoid $\sigma(x) = 1/(1 + e^{-x})$ has no known closed form. But $\sigma(x) = "
            r"\mathbb{E}\,\Phi(x/(2S))$ with $S$ distributed as Kolmogorov's statistic, density $f$; so its dual is "
            r"an average "
            r"of probit duals over two independent scales, a smooth and bounded integral. The proof expands the "
            r"logistic "
            "density in a geometric series and recognises each term."
        ),
    )
    s, s2, y = sp.symbols("s s' y", positive=True)
    alpha, beta = sp.symbols("alpha beta", positive=True)
    j = sp.Symbol("j", integer=True, positive=True)
    sigmoid = 1 / (1 + sp.exp(-x))

    d.step(
        sp.Derivative(sigmoid, x),
        sp.exp(-x) / (1 + sp.exp(-x)) ** 2,
        because="the logistic density, an even function",
        check="symbolic",
    )
    d.step(
        sp.Sum((-1) ** (j + 1) * j * sp.exp(-j * y), (j, 1, sp.oo)),
        sp.exp(-y) / (1 + sp.exp(-y)) ** 2,
        because=r"for $y = |x| > 0$ it is the derivative of a geometric series",
        check="mpmath",
    )
    d.step(
        sp.Integral(sp.exp(-alpha * s**2 - beta / s**2), (s, 0, sp.oo)),
        sp.sqrt(sp.pi / alpha) / 2 * sp.exp(-2 * sp.sqrt(alpha * beta)),
        because="a classical integral (Laplace)",
        check="cited",
    )
    d.step(
        sp.Integral(
            8 * j**2 * s * sp.exp(-2 * j**2 * s**2) * sp.exp(-(y**2) / (8 * s**2)) / (2 * s * sp.sqrt(2 * sp.pi)),
            (s, 0, sp.oo),
        ),
        j * sp.exp(-j * y),
        because=(
            r"with $\alpha = 2 j^2$ and $\beta = y^2/8$ each term of the series is an average of the normal "
            r"densities of "
            r"variance $4 s^2$"
        ),
        check="mpmath",
    )
    d.define(
        kolmogorov(s),
        sp.Sum(8 * (-1) ** (j + 1) * j**2 * s * sp.exp(-2 * j**2 * s**2), (j, 1, sp.oo)),
        r"the weights add up to the density of the Kolmogorov distribution, positive although the series alternates",
    )
    d.step(
        sp.Integral(kolmogorov(s) * normal_cdf(x / (2 * s)), (s, 0, sp.oo)),
        sigmoid,
        because=(
            r"summing over $j$ and integrating in $x$ gives $\sigma(x) = \mathbb{E}\,\Phi(x/(2S))$ (Stefanski; "
            r"exchanging sum "
            "and integral is the cited part)"
        ),
        check="cited",
    )
    soft, soft2 = normal_cdf(x / (2 * s)), normal_cdf(x / (2 * s2))
    pair = ka.cross_dual(ka.activation(soft), ka.activation(soft2))
    sheppard = ka.activation("step").dual.expr
    d.step(
        sp.Subs(sheppard, (q1, q2), (q1 + 4 * s**2, q2 + 4 * s2**2)),
        pair.expr,
        because="at fixed scales the dual is the quadrant probability with inflated variances (page on the probit)",
        check="symbolic",
    )
    d.conclude(r"the cross-dual of $\Phi(x/(2s))$ and $\Phi(x/(2s'))$", pair.expr)
    scales = (s, 0, sp.oo), (s2, 0, sp.oo)
    weight = kolmogorov(s) * kolmogorov(s2)
    d.step(
        Expectation(sigmoid, sigmoid),
        sp.Integral(weight * pair.expr, *scales),
        because="the scales of $u$ and of $v$ are independent, so the dual of the sigmoid averages over both",
        check=_over_two_scales,
    )
    d.step(
        2 / (1 + sp.exp(-2 * x)) - 1,
        sp.tanh(x),
        because="the hyperbolic tangent is a sigmoid in other units",
        check="symbolic",
    )
    angle = sp.asin(c / sp.sqrt((q1 + s**2) * (q2 + s2**2)))
    d.step(
        Expectation(sp.tanh(x), sp.tanh(x)),
        sp.Integral(weight * 2 / sp.pi * angle, *scales),
        because="so its dual is an average of arcsines",
        check=_over_two_scales,
    )
    relu = ka.activation("relu").dual.expr
    d.step(
        Expectation(sp.log(1 + sp.exp(x)), sp.log(1 + sp.exp(x))),
        sp.Integral(weight * relu.subs({q1: q1 + 4 * s**2, q2: q2 + 4 * s2**2}, simultaneous=True), *scales),
        because=(
            r"and softplus, whose derivative is $\sigma$, is an average of smoothed ReLUs: inflate the dual of ReLU"
        ),
        check=_over_two_scales,
    )
    return d
