"""Arc-cosine kernels of every real order: polar coordinates, one half-angle substitution, Euler's integral."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, q1, q2, rho, x


def form(p: sp.Expr, r: sp.Expr) -> sp.Expr:
    """E[max(u,0)^p max(v,0)^p] at q1 = q2 = 1, correlation r, for real p > -1/2."""
    beta = sp.gamma(sp.S.Half) * sp.gamma(p + 1) / sp.gamma(p + sp.Rational(3, 2))
    series = sp.hyper([sp.S.Half, sp.S.Half], [p + sp.Rational(3, 2)], (1 + r) / 2)
    return sp.gamma(p + 1) * beta / (2 * sp.sqrt(2) * sp.pi) * (1 + r) ** (p + sp.S.Half) * series


def derive() -> Derivation:
    """Orders 0, 1, 2 in elementary functions, and one hypergeometric formula for every real order p > -1/2."""
    d = Derivation(
        "arc_cosine",
        "Arc-cosine kernels of every order",
        references=(
            "Y. Cho and L. Saul, Kernel methods for deep learning, NIPS 2009",
            "NIST Digital Library of Mathematical Functions, 15.6.1 (Euler's integral)",
        ),
        introduction=(
            r"$(u, v)$ is a Gaussian pair with unit variances and correlation $\rho = \cos\theta$, and $K_p(\theta) = "
            r"\mathbb{E}[u_+^p v_+^p]$. Polar coordinates leave one angular integral; for $p = 0, 1, 2$ it is "
            r"elementary "
            r"and gives the arc-cosine kernels of Cho and Saul, and for every real $p > -1/2$ it is Euler's "
            r"integral. The "
            r"hypergeometric form has positive terms only, so it loses no digits near $\rho = -1$, where the "
            r"elementary "
            r"forms cancel. Other variances enter by homogeneity, $k = (q_1 q_2)^{p/2} K_p$ at $\rho = c/\sqrt{q_1 "
            r"q_2}$."
        ),
    )
    p = sp.Symbol("p", positive=True)
    radius, angle, half, w, t = sp.symbols("R psi s w t", positive=True)
    theta, phi = sp.symbols("theta varphi", positive=True)
    share = sp.Symbol("y", positive=True)
    odd = sp.Rational(5, 2)

    d.step(
        sp.Integral(radius ** (2 * p + 1) * sp.exp(-(radius**2) / 2), (radius, 0, sp.oo)),
        2**p * sp.gamma(p + 1),
        because=(
            r"write $u = R \cos\varphi$, $v = R \cos(\varphi - \theta)$ with $R$ and $\varphi$ the polar "
            r"coordinates of two "
            r"independent variables, density $R\,e^{-R^2/2}/(2\pi)$: the radius separates and contributes"
        ),
        check="symbolic",
    )
    d.step(
        sp.cos(phi) * sp.cos(phi - theta),
        (sp.cos(theta) + sp.cos(2 * phi - theta)) / 2,
        because=r"the angle enters through a product of cosines, which depends on $\psi = 2\varphi - \theta$ alone",
        check="symbolic",
    )
    angular = sp.Integral((sp.cos(theta) + sp.cos(angle)) ** p, (angle, 0, sp.pi - theta))
    d.step(
        Expectation(sp.Max(x, 0) ** odd, sp.Max(x, 0) ** odd),
        (q1 * q2) ** (odd / 2)
        * sp.gamma(odd + 1, evaluate=False)
        / (2 * sp.pi)
        * angular.subs({p: odd, theta: sp.acos(c / sp.sqrt(q1 * q2))}),
        because=(
            r"both cosines are positive for $|\psi| < \pi - \theta$ (with $d\varphi = d\psi/2$, and the integrand "
            r"is even), "
            r"so $K_p = \frac{\Gamma(p+1)}{2\pi} \int_0^{\pi-\theta} (\cos\theta + \cos\psi)^p d\psi$ for every "
            r"$p > -1/2$; here $p = 5/2$ with variances restored"
        ),
        check="quadrature",
    )
    for order, name in ((0, "step"), (1, "relu"), (2, "squared_relu")):
        dual = ka.activation(name).dual
        integral = sp.Integral((sp.cos(theta) + sp.cos(angle)) ** order, (angle, 0, sp.pi - theta))
        values = (
            sp.pi - theta,
            (sp.pi - theta) * sp.cos(theta) + sp.sin(theta),
            (sp.pi - theta) * (sp.cos(theta) ** 2 + sp.S.Half) + sp.Rational(3, 2) * sp.sin(theta) * sp.cos(theta),
        )
        d.step(
            integral,
            values[order],
            because=f"order {order}: the integral is elementary"
            + (", the length of the interval" if order == 0 else ""),
            check="symbolic",
        )
        d.step(
            sp.factorial(order) / (2 * sp.pi) * values[order].subs(theta, sp.pi / 2 - sp.asin(rho)),
            dual.normalized,
            because=r"with $\theta = \arccos\rho = \pi/2 - \arcsin\rho$",
            check="symbolic",
        )
        d.conclude(f"the normalised dual of order {order}", dual.normalized)
        d.step(
            (q1 * q2) ** sp.Rational(order, 2) * sp.Subs(dual.normalized, rho, c / sp.sqrt(q1 * q2)),
            dual.expr,
            because="homogeneity restores the variances",
            check="symbolic",
        )
        d.conclude(f"the dual of order {order}", dual.expr)
    d.step(
        sp.cos(theta) + sp.cos(2 * sp.asin(half)),
        2 * (sp.cos(theta / 2) ** 2 - half**2),
        because=(
            r"every other order: with $s = \sin(\psi/2)$ and $y = \cos^2(\theta/2) = (1 + \rho)/2$ the base of the "
            r"power is "
            r"a difference of squares"
        ),
        check="symbolic",
    )
    d.step(
        sp.Derivative(2 * sp.asin(sp.sqrt(share) * w), w),
        2 * sp.sqrt(share) / sp.sqrt(1 - share * w**2),
        because=(
            r"and with $s = \sqrt y\, w$ the upper limit $\psi = \pi - \theta$ becomes $w = 1$, and $\psi = 2 "
            r"\arcsin s$ has the derivative"
        ),
        check="symbolic",
    )
    euler = sp.Integral(t ** (-sp.S.Half) * (1 - t) ** p * (1 - share * t) ** (-sp.S.Half), (t, 0, 1))
    y_of = (1 + rho) / 2
    d.step(
        sp.Integral((rho + sp.cos(angle)) ** p, (angle, 0, sp.acos(-rho))),
        2**p * y_of ** (p + sp.S.Half) * euler.subs(share, y_of),
        because=r"collect the factors and put $t = w^2$",
        check="mpmath",
    )
    d.step(
        euler.subs(share, y_of),
        sp.gamma(sp.S.Half)
        * sp.gamma(p + 1)
        / sp.gamma(p + sp.Rational(3, 2))
        * sp.hyper([sp.S.Half, sp.S.Half], [p + sp.Rational(3, 2)], y_of),
        because="this is Euler's integral for the hypergeometric function",
        check="cited",
    )
    d.step(
        sp.gamma(p + 1) / (2 * sp.pi) * sp.Integral((rho + sp.cos(angle)) ** p, (angle, 0, sp.acos(-rho))),
        form(p, rho),
        because=r"so $K_p$ for every real order $p > -1/2$: all terms of the series are positive",
        check="mpmath",
    )
    for order, name in enumerate(("step", "relu", "squared_relu")):
        dual = ka.activation(name).dual.normalized
        d.step(
            form(sp.Integer(order), rho),
            dual,
            because=f"the form agrees with the formula shipped for order {order}",
            check="mpmath",
        )
    third = ka.activation("rectified_monomial", degree=3).dual.normalized
    d.step(form(sp.Integer(3), rho), third, because="and for order 3", check="mpmath")
    d.conclude(r"the normalised dual of $\max(x, 0)^3$", third)
    shipped = ka.activation("rectified_power", p=p).dual
    d.step(
        form(p, rho),
        shipped.normalized,
        because=(
            r"for a real order the formula shipped is the same one with the Beta function written out: by the "
            r"duplication formula "
            r"$\frac{2^{2p+1} \Gamma(p+1)^2}{\Gamma(2p+2)} = \frac{\Gamma(1/2)\Gamma(p+1)}{\Gamma(p+3/2)}$"
        ),
        check="mpmath",
    )
    d.step(
        (q1 * q2) ** (p / 2) * sp.Subs(shipped.normalized, rho, c / sp.sqrt(q1 * q2)),
        shipped.expr,
        because="homogeneity restores the variances",
        check="mpmath",
    )
    d.conclude(r"the dual of $\max(x, 0)^p$ for every real $p > 0$", shipped.expr)
    for name, side in (("abs_power", sp.Abs(x)), ("signed_power", sp.sign(x) * sp.Abs(x))):
        dual = ka.activation(name, p=odd).dual
        function = ka.activation(name, p=odd).expr
        ahead = 1 if name == "abs_power" else -1
        d.step(
            Expectation(function, function),
            2 * (shipped.expr + ahead * shipped.expr.subs(c, -c)).subs(p, odd),
            because=(
                f"of the four quadrants two have the correlation $\\rho$ and two have $-\\rho$, for "
                f"${sp.latex(side)}^p$ with the sign {'+' if ahead > 0 else '-'}; here $p = 5/2$"
            ),
            check="quadrature",
        )
        d.step(
            2 * (shipped.expr + ahead * shipped.expr.subs(c, -c)).subs(p, odd),
            dual.expr,
            because=r"and the two merge into one series in $\rho^2$ (a quadratic transformation)",
            check="mpmath",
        )
        d.conclude(f"the dual of order 5/2, {'even' if ahead > 0 else 'odd'}", dual.expr)
    return d
