"""Tilting: a Gaussian times the exponential of a quadratic is again a Gaussian. Completing the square, in full."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, q1, q2, x

A, A2 = sp.symbols("A A'", negative=True)
B, B2 = sp.symbols("B B'", real=True)


def tilted_determinant(a: sp.Expr, a2: sp.Expr) -> sp.Expr:
    """(1 - 2A q1)(1 - 2A' q2) - 4 A A' c^2."""
    return (1 - 2 * a * q1) * (1 - 2 * a2 * q2) - 4 * a * a2 * c**2


def tilted_covariance(a: sp.Expr, a2: sp.Expr) -> sp.ImmutableMatrix:
    """Covariance of the pair after the tilt by exp(A u^2 + A' v^2)."""
    gap = q1 * q2 - c**2
    return sp.ImmutableMatrix([[q1 - 2 * a2 * gap, c], [c, q2 - 2 * a * gap]]) / tilted_determinant(a, a2)


def derive() -> Derivation:
    """Covariance, mean and prefactor of a tilted Gaussian pair."""
    d = Derivation(
        "tilting",
        "Tilting: exponentials of quadratics inside a Gaussian expectation",
        references=(
            "F. Esscher, On the probability function in the collective theory of risk, Skand. Aktuarietidskr. 15 "
            "(1932)",
            "C. K. I. Williams, Computing with infinite networks, NIPS 1996",
        ),
        introduction=(
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. "
            r"We show that $\mathbb{E}[f(u) g(v)\, e^{A u^2 + B u + A' v^2 + B' v}]$ is a prefactor times the "
            r"expectation of $f(U) g(V)$ for another Gaussian pair $(U, V)$, and find its covariance $C$, its mean "
            r"and the prefactor. The result contains no $1/D$, so it stays regular at correlation $\pm 1$; it needs a "
            r"positive definite precision, which holds for all $A, A' \le 0$."
        ),
    )
    u, v = sp.symbols("u v", real=True)
    gap, det = sp.symbols("D Delta", positive=True)
    p11, p12, p22 = sp.symbols("P_{11} P_{12} P_{22}", real=True)
    c11, c12, c22 = sp.symbols("C_{11} C_{12} C_{22}", real=True)
    m, m2, square = sp.symbols("m m' Q", real=True)

    d.abbreviate(gap, q1 * q2 - c**2, r"the determinant of the covariance $\Sigma$ of $(u, v)$")
    for entry, value, name in (
        (p11, q2 / gap - 2 * A, "the precision of the tilted pair, $P = \\Sigma^{-1} - 2\\,\\mathrm{diag}(A, A')$"),
        (p12, -c / gap, "its mixed entry, which the tilt does not touch"),
        (p22, q1 / gap - 2 * A2, "and its last entry"),
    ):
        d.abbreviate(entry, value, name)
    d.step(
        -(q2 * u**2 - 2 * c * u * v + q1 * v**2) / (2 * gap) + A * u**2 + A2 * v**2,
        -(p11 * u**2 + 2 * p12 * u * v + p22 * v**2) / 2,
        because="the exponent of the density and the quadratic terms of the tilt merge into one quadratic form",
        check="symbolic",
    )
    d.abbreviate(det, tilted_determinant(A, A2), "one polynomial will be the only denominator")
    d.step(
        gap * (p11 * p22 - p12**2),
        det,
        because=(
            r"the normalisations of the two densities differ by $\sqrt{\det C/\det \Sigma} = "
            r"(\det \Sigma \, \det P)^{-1/2}$, and this product of determinants is the polynomial"
        ),
        check="symbolic",
    )
    covariance = tilted_covariance(A, A2)
    for entry, (i, j), name in (
        (c11, (0, 0), "the covariance of the tilted pair"),
        (c12, (0, 1), "its mixed entry"),
        (c22, (1, 1), "and its last entry"),
    ):
        d.abbreviate(entry, covariance[i, j].subs({tilted_determinant(A, A2): det, q1 * q2 - c**2: gap}), name)
    d.step(
        sp.Tuple(p11 * c11 + p12 * c12, p11 * c12 + p12 * c22, p12 * c12 + p22 * c22),
        sp.Tuple(1, 0, 1),
        because="it is the inverse of the precision: row times column is 1 on the diagonal and 0 beside it",
        check="symbolic",
    )
    d.abbreviate(m, c11 * B + c12 * B2, "the mean of $U$")
    d.abbreviate(m2, c12 * B + c22 * B2, "the mean of $V$")
    d.abbreviate(square, c11 * B**2 + 2 * c12 * B * B2 + c22 * B2**2, "twice what completing the square leaves over")
    d.step(
        -(p11 * u**2 + 2 * p12 * u * v + p22 * v**2) / 2 + B * u + B2 * v,
        -(p11 * (u - m) ** 2 + 2 * p12 * (u - m) * (v - m2) + p22 * (v - m2) ** 2) / 2 + square / 2,
        because="completing the square: the linear terms move the mean and leave a constant behind",
        check="symbolic",
    )
    f, g = sp.exp(A * x**2 + B * x), sp.exp(A2 * x**2 + B2 * x)
    d.step(
        Expectation(f, g),
        sp.exp(square / 2) / sp.sqrt(det),
        because="with $f = g = 1$ only the prefactor remains: it is the expectation of the tilt itself",
        check="quadrature",
    )
    d.step(
        Expectation(x * f, x * g),
        (c12 + m * m2) * sp.exp(square / 2) / sp.sqrt(det),
        because="a factor $u v$ becomes the mixed moment of the tilted pair, covariance plus product of the means",
        check="quadrature",
    )
    d.step(
        sp.Derivative(square / 2, B, B2) + sp.Derivative(square / 2, B) * sp.Derivative(square / 2, B2),
        c12 + m * m2,
        because=(
            "the same moment by another road: differentiating the prefactor in $B$ and in $B'$ brings down $u v$, so "
            "this combination of derivatives of its exponent must be the mixed moment"
        ),
        check="symbolic",
    )
    a = sp.Symbol("a", positive=True)
    bump = ka.activation(sp.exp(-a * x**2)).dual
    d.step(
        sp.Subs(1 / sp.sqrt(det), (A, A2), (-a, -a)),
        bump.expr,
        because=r"first fruit: $A = A' = -a$ and no linear term give the dual of the Gaussian $e^{-a x^2}$",
        check="symbolic",
    )
    d.conclude("the dual of $e^{-a x^2}$", bump.expr)
    b = sp.Symbol("b", real=True)
    exponential = ka.activation(sp.exp(b * x)).dual
    d.step(
        sp.Subs(sp.exp(square / 2), (A, A2, B, B2), (0, 0, b, b)),
        exponential.expr,
        because=r"second fruit: no quadratic term gives the moment generating function, the dual of $e^{b x}$",
        check="symbolic",
    )
    d.conclude("the dual of $e^{b x}$", exponential.expr)
    wavelet = ka.activation(x * sp.exp(-a * x**2)).dual
    d.step(
        sp.Subs(c12 / sp.sqrt(det), (A, A2), (-a, -a)),
        wavelet.expr,
        because=r"third fruit: a factor $u v$ in front of a centred tilt is the tilted covariance, the dual of "
        r"$x e^{-a x^2}$",
        check="symbolic",
    )
    d.conclude("the dual of $x e^{-a x^2}$", wavelet.expr)
    return d
