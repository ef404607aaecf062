"""Error functions are steps with noise: variance inflation turns the quadrant into the duals of probit and erf."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, normal_cdf, normal_density, q1, q2, x


def derive() -> Derivation:
    """The duals of the normal distribution function, of erf and of the smoothed ReLU."""
    d = Derivation(
        "erf_and_probit",
        "Error functions by variance inflation",
        references=(
            "C. K. I. Williams, Computing with infinite networks, NIPS 1996",
            "W. F. Sheppard, On the application of the theory of error, Phil. Trans. R. Soc. A 192 (1899)",
        ),
        introduction=(
            r"If an activation is an average over noise, $\varphi_\tau(x) = \mathbb{E}[\varphi(x + \tau W)]$ with "
            r"$W \sim N(0, 1)$, then its dual is that of $\varphi$ at larger variances: the noises of $u$ and of "
            r"$v$ are "
            r"independent, so $q_1$ and $q_2$ grow by $\tau^2$ and $c$ stays. The normal distribution function "
            r"is a step averaged in this way, and the error function is a sign; so their duals follow from Sheppard's "
            "quadrant without a new integral."
        ),
    )
    y = sp.Symbol("y", real=True)
    tau = sp.Symbol("tau", positive=True)
    sheppard = ka.activation("step").dual
    d.step(
        Expectation(sp.Heaviside(x), sp.Heaviside(x)),
        sheppard.expr,
        because="we start from Sheppard's quadrant probability (derived on the page of ReLU)",
        check="quadrature",
    )
    d.conclude("the dual of the step", sheppard.expr)
    d.integrate(
        normal_cdf(y),
        (1 + sp.erf(y / sp.sqrt(2))) / 2,
        derivative=normal_density(y),
        symbol=y,
        point=sp.S.Zero,
        value=sp.S.Half,
        because=(
            r"the normal distribution function $\Phi(y) = P(W < y) = P(y + W > 0)$ has the derivative $\phi(y)$ and "
            r"the "
            "value 1/2 at 0, and so has this"
        ),
    )
    d.step(
        Mean(sp.Heaviside(y + tau * x), 1),
        normal_cdf(y / tau),
        because=r"so a step averaged over noise of standard deviation $\tau$ is $\Phi(y/\tau)$",
        check="quadrature",
    )
    inflate = {q1: q1 + tau**2, q2: q2 + tau**2}
    soft = ka.activation(normal_cdf(x / tau)).dual
    d.step(
        Expectation(normal_cdf(x / tau), normal_cdf(x / tau)),
        sheppard.expr.subs(inflate, simultaneous=True),
        because=(
            r"$(u + \tau W, v + \tau W')$ is a centred Gaussian pair with variances $q_i + \tau^2$ and the old "
            "covariance $c$; its quadrant probability is the dual"
        ),
        check="quadrature",
    )
    d.step(
        sheppard.expr.subs(inflate, simultaneous=True),
        soft.expr,
        because=r"which is the formula of the library for every $\tau > 0$",
        check="symbolic",
    )
    d.conclude(r"the dual of $\Phi(x/\tau)$", soft.expr)
    probit = ka.activation("probit").dual
    d.step(
        sp.Subs(sheppard.expr, (q1, q2), (q1 + 1, q2 + 1)),
        probit.expr,
        because=r"$\tau = 1$ is the probit activation $\Phi(x)$",
        check="symbolic",
    )
    d.conclude("the dual of the probit", probit.expr)
    d.step(
        sp.erf(x),
        2 * normal_cdf(sp.sqrt(2) * x).rewrite(sp.erf) - 1,
        because=r"the error function is $2\Phi(\sqrt 2 x) - 1$, a sign averaged over noise of variance $\tau^2 = 1/2$",
        check="symbolic",
    )
    sign = ka.activation("sign").dual
    erf = ka.activation("erf").dual
    d.step(
        sp.Subs(sign.expr, (q1, q2), (q1 + sp.S.Half, q2 + sp.S.Half)),
        erf.expr,
        because=(
            r"the dual of the sign is $4(P - 1/4)$, $P$ the quadrant probability; inflated by 1/2 and cleared of "
            "fractions it is Williams' arcsine kernel"
        ),
        check="symbolic",
    )
    d.conclude("the dual of erf", erf.expr)
    d.step(
        Expectation(sp.erf(x), sp.erf(x)),
        erf.expr,
        because="the same by quadrature of the definition",
        check="quadrature",
    )
    a, b = sp.symbols("a b", positive=True)
    scaled = ka.activation(a * sp.erf(b * x)).dual
    d.step(
        a**2 * sp.Subs(erf.expr, (q1, q2, c), (b**2 * q1, b**2 * q2, b**2 * c)),
        scaled.expr,
        because=r"for $a\,\mathrm{erf}(bx)$ scale the pair by $b$ and the value by $a$",
        check="symbolic",
    )
    d.conclude(r"the dual of $a\,\mathrm{erf}(bx)$", scaled.expr)
    d.step(
        sp.Derivative(erf.expr, c),
        erf.derivative.expr,
        because="Price's theorem gives the derivative dual, the expectation of the product of two Gaussians",
        check="symbolic",
    )
    d.conclude("the derivative dual of erf", erf.derivative.expr)
    smooth = ka.activation("smoothed_relu").dual
    d.step(
        sp.Subs(ka.activation("relu").dual.expr, (q1, q2), (q1 + 1, q2 + 1)),
        smooth.expr,
        because=(
            r"nothing was special about the step: ReLU averaged over unit noise is $x\Phi(x) + \phi(x)$, and its "
            r"dual is "
            r"that of ReLU at $q_i + 1$ (the engine finds it as a sum of four terms over one denominator)"
        ),
        check="symbolic",
    )
    d.conclude("the dual of the smoothed ReLU", smooth.expr)
    return d
