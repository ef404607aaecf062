"""How far to sum a Hermite series: a bound on the tail that needs one norm and the coefficients already computed."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, q1, q2, rho, x


def derive() -> Derivation:
    """|k(rho) - sum_{k<=K} a_k^2 rho^k| <= |rho|^(K+1) (N - sum_{k<=K} a_k^2)."""
    d = Derivation(
        "parseval_tail",
        "The tail of a Hermite series, by Parseval's identity",
        references=(
            "G. Szegő, Orthogonal Polynomials, American Mathematical Society (1939)",
            "A. Daniely, R. Frostig and Y. Singer, Toward deeper understanding of neural networks, NIPS 2016",
        ),
        introduction=(
            r"Where an activation has no closed dual, the library sums $\hat k(\rho) = \sum_k a_k^2 \rho^k$ "
            r"(Mehler's expansion) and must know what it leaves out. All terms beyond $K$ together are at most "
            r"$|\rho|^{K+1}$ times the norm that the first $K + 1$ coefficients have not yet used up, and that norm "
            r"is one "
            r"integral. Each inequality is argued in general; the formulas show it for the error function, where "
            "everything is known in closed form, with $K = 3$."
        ),
    )
    phi = ka.activation("erf")
    dual = phi.dual
    coefficients = phi.hermite(9)
    cut, last = 3, 9
    khat, norm = sp.Symbol(r"\hat{k}", real=True), sp.Symbol("N", positive=True)

    d.abbreviate(khat, dual.normalized, r"the dual of erf at unit variances, as a function of $\rho$")
    squares = sp.Tuple(*(a**2 for a in coefficients[1::2]))
    d.step(
        sp.Tuple(*(sp.Subs(sp.Derivative(khat, (rho, k)), rho, 0) / sp.factorial(k) for k in range(1, last + 1, 2))),
        squares,
        because=(
            r"its Taylor coefficients are squares of Hermite coefficients, so they are not negative; those of even "
            r"order are "
            "0, because erf is odd"
        ),
        check="symbolic",
    )
    d.step(
        Mean(phi.expr**2, q1),
        dual.diagonal,
        because=(
            r"Parseval's identity: all coefficients at variance $q$ together make "
            r"$N = \sum_k a_k^2 = \mathbb{E}[\varphi(\sqrt q Z)^2]$, the value of the dual at $u = v$"
        ),
        check="quadrature",
    )
    d.conclude("the dual of erf on the diagonal", dual.diagonal)
    d.abbreviate(norm, dual.diagonal.subs(q1, 1), "at unit variance")
    partial = [sum(a**2 for a in coefficients[: k + 1]) for k in range(last + 1)]
    d.bound(
        sp.Tuple(*partial[:6]),
        sp.Tuple(*[norm] * 6),
        because="so the partial sums stay below it (Bessel's inequality) and what is left is the tail at $\\rho = 1$",
    )
    beyond = range(cut + 1, last + 1)
    d.bound(
        sp.Abs(sp.Add(*(coefficients[k] ** 2 * rho**k for k in beyond))),
        sp.Add(*(coefficients[k] ** 2 * sp.Abs(rho) ** k for k in beyond)),
        because=(
            "first inequality, the triangle: the tail is largest when all its terms have one sign (shown up to order 9)"
        ),
    )
    d.bound(
        sp.Add(*(coefficients[k] ** 2 * sp.Abs(rho) ** k for k in beyond)),
        sp.Abs(rho) ** (cut + 1) * sp.Add(*(coefficients[k] ** 2 for k in beyond)),
        because=r"second inequality: $|\rho|^k \le |\rho|^{K+1}$ for $k > K$ and $|\rho| \le 1$",
    )
    d.bound(
        sp.Abs(rho) ** (cut + 1) * sp.Add(*(coefficients[k] ** 2 for k in beyond)),
        sp.Abs(rho) ** (cut + 1) * (norm - partial[cut]),
        because="third inequality: the rest of the norm contains all later squares, also those beyond order 9",
    )
    d.bound(
        sp.Abs(khat - sp.Add(*(a**2 * rho**k for k, a in enumerate(coefficients[: cut + 1])))),
        sp.Abs(rho) ** (cut + 1) * (norm - partial[cut]),
        because=(
            r"together: $|\hat k(\rho) - \sum_{k \le K} a_k^2 \rho^k| \le |\rho|^{K+1} (N - \sum_{k \le K} a_k^2)$, "
            r"a bound "
            "that is computed from what is already known"
        ),
    )
    rest1, rest2 = sp.symbols("R_1 R_2", positive=True)
    scaled = [phi.hermite(cut, q) for q in (q1, q2)]
    for symbol, q, values in ((rest1, q1, scaled[0]), (rest2, q2, scaled[1])):
        d.abbreviate(
            symbol,
            dual.diagonal.subs(q1, q) - sp.Add(*(a**2 for a in values)),
            "at any variance, the norm not yet used up by the first $K + 1 = 4$ coefficients"
            if q == q1
            else "and for the other variable",
        )
    correlation = c / sp.sqrt(q1 * q2)
    d.bound(
        sp.Abs(dual.expr - sp.Add(*(a * b * correlation**k for k, (a, b) in enumerate(zip(*scaled, strict=True))))),
        sp.Abs(correlation) ** (cut + 1) * sp.sqrt(rest1 * rest2),
        because=(
            r"different variances: the terms are $a_k(\sqrt{q_1})\, a_k(\sqrt{q_2})\, \rho^k$, and the Cauchy-Schwarz "
            "inequality splits their sum into the two norms"
        ),
    )
    slope = ka.activation(sp.diff(phi.expr, x))
    shipped = sp.Tuple(*slope.hermite(6))
    names = [sp.Symbol(f"a_{{{k}}}", real=True) for k in range(1, 8)]
    for name, value in zip(names, coefficients[1:], strict=False):
        d.name(name, value)
    d.step(
        sp.Tuple(*(sp.sqrt(k) * a for k, a in enumerate(names, start=1))),
        shipped,
        because=(
            r"how fast the rest falls: by parts, $\sqrt k\, a_k$ is the Hermite coefficient $k - 1$ of the derivative "
            r"$\varphi'$ (which must be the derivative of an absolutely continuous function: no jumps)"
        ),
        check="symbolic",
    )
    d.conclude("the Hermite coefficients of erf' up to order 6", shipped)
    energy = dual.derivative.diagonal.subs(q1, 1)
    d.bound(
        sp.Tuple(*(norm - partial[k] for k in range(6))),
        sp.Tuple(*(energy / (k + 1) for k in range(6))),
        because=(
            r"so $(K + 1) \sum_{k > K} a_k^2 \le \sum_k k\, a_k^2 = \mathbb{E}[\varphi'(Z)^2]$: the rest of the "
            r"norm is at most "
            r"$\mathbb{E}[\varphi'(Z)^2]/(K + 1)$, here for $K = 0, \dots, 5$"
        ),
    )
    return d
