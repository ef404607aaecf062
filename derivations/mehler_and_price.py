"""Two theorems behind every dual: Mehler's expansion in Hermite polynomials, and Price's theorem on d/dc."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.symbols import bivariate_normal_density, c, normal_density, q1, q2, rho, x


def scaled_hermite(n: int, q: sp.Expr) -> sp.Expr:
    """q^(n/2) He_n(x/sqrt q), a polynomial in x and q with generating function exp(s x - s^2 q/2)."""
    y = sp.Dummy("y")
    return sp.expand(q ** sp.Rational(n, 2) * sp.hermite_prob(n, y).expand().subs(y, x / sp.sqrt(q)))


def derive() -> Derivation:
    """Mehler's expansion and Price's theorem, on exponentials and then on the polynomials they generate."""
    d = Derivation(
        "mehler_and_price",
        "Mehler's expansion and Price's theorem",
        references=(
            "F. G. Mehler, Ueber die Entwicklung einer Function von beliebig vielen Variablen nach Laplaceschen "
            "Functionen hoeherer Ordnung, J. reine angew. Math. 66 (1866)",
            "R. Price, A useful theorem for nonlinear devices having Gaussian inputs, IRE Trans. Inf. Theory 4 (1958)",
        ),
        introduction=(
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. Mehler: Hermite "
            r"polynomials of $u$ and of $v$ are orthogonal to each other, so $\mathbb{E}[f(u) g(v)]$ is a power "
            r"series in "
            r"the correlation. Price: $\frac{d}{dc} \mathbb{E}[f(u) g(v)] = \mathbb{E}[f'(u) g'(v)]$. Both hold for "
            r"exponentials by one Gaussian integral; exponentials generate the polynomials, and polynomials are dense "
            r"among the square-integrable functions."
        ),
    )
    s, t = sp.symbols("s t", real=True)
    a, b = sp.symbols("a b", real=True)
    n = sp.Symbol("n", integer=True, positive=True)
    z = sp.Symbol("z", real=True)

    d.step(
        sp.Integral(sp.exp(s * z) * normal_density(z), (z, -sp.oo, sp.oo)),
        sp.exp(s**2 / 2),
        because="one Gaussian integral, by completing the square",
        check="symbolic",
    )
    generating = sp.exp(s * x - s**2 * q1 / 2), sp.exp(t * x - t**2 * q2 / 2)
    d.step(
        Expectation(*generating),
        sp.exp(s * t * c),
        because=(
            r"$s u + t v$ is Gaussian with variance $s^2 q_1 + 2 s t c + t^2 q_2$, so the expectation of its "
            r"exponential is "
            "known; the factors in front remove the squares and leave the covariance alone"
        ),
        check="quadrature",
    )
    d.family(
        sp.Subs(sp.Derivative(sp.exp(s * x - s**2 / 2), (s, n)), s, 0),
        sp.hermite_prob(n, x),
        index=n,
        values=range(1, 7),
        because=(
            r"these exponentials generate the Hermite polynomials: $e^{s x - s^2/2} = \sum_n \mathrm{He}_n(x)\, s^n/n!$"
        ),
    )
    d.family(
        Expectation(
            q1 ** (n / 2) * sp.hermite_prob(n, x / sp.sqrt(q1)), q2 ** (n / 2) * sp.hermite_prob(n, x / sp.sqrt(q2))
        ),
        sp.factorial(n) * c**n,
        index=n,
        values=range(1, 7),
        because=(
            r"compare the coefficients of $s^n t^n$ in $e^{stc}$ (those of $s^n t^m$, $n \ne m$, vanish): Hermite "
            r"polynomials scaled to their variables are orthogonal across the pair"
        ),
    )
    ratio = sp.exp((2 * rho * a * b - rho**2 * (a**2 + b**2)) / (2 * (1 - rho**2))) / sp.sqrt(1 - rho**2)
    d.step(
        bivariate_normal_density(a, b, rho) / (normal_density(a) * normal_density(b)),
        ratio,
        because="the same orthogonality as an expansion of the density: divide it by the product of its margins",
        check="symbolic",
    )
    d.family(
        sp.Subs(sp.Derivative(ratio, (rho, n)), rho, 0),
        sp.hermite_prob(n, a) * sp.hermite_prob(n, b),
        index=n,
        values=range(1, 5),
        because=(
            r"its Taylor coefficients in $\rho$ are products of Hermite polynomials; this is Mehler's expansion, "
            r"$\sum_n \mathrm{He}_n(a) \mathrm{He}_n(b) \rho^n/n!$"
        ),
    )
    d.step(
        sp.Derivative(sp.exp(c * s * t) * sp.exp((s**2 * q1 + t**2 * q2) / 2), c),
        s * t * Expectation(sp.exp(s * x), sp.exp(t * x)),
        because=(
            r"Price's theorem for exponentials: $d/dc$ brings down $s t$, which is what differentiating $e^{s u}$ and "
            r"$e^{t v}$ brings down"
        ),
        check="symbolic",
    )
    for second in (1, 3):
        d.family(
            sp.Derivative(Expectation(x ** (n + 1), x ** (n + second)), c),
            (n + 1) * (n + second) * Expectation(x**n, x ** (n + second - 1)),
            index=n,
            values=range(1, 5),
            because=(
                r"hence for the powers they generate, $\frac{d}{dc} \mathbb{E}[u^m v^n] = m n\, "
                r"\mathbb{E}[u^{m-1} v^{n-1}]$"
                if second == 1
                else f"and with the second exponent larger by {second - 1}"
            ),
        )
    fourth = ka.activation("hermite", degree=4).dual
    d.step(
        fourth.normalized,
        rho**4,
        because=(
            r"what this means for the library: the dual of $h_n = \mathrm{He}_n/\sqrt{n!}$ at unit variances is "
            r"$\rho^n$"
        ),
        check="symbolic",
    )
    j = sp.Symbol("j", integer=True, nonnegative=True)
    d.step(
        sp.Sum(
            24 / (sp.factorial(j) ** 2 * sp.factorial(4 - 2 * j)) * ((q1 - 1) * (q2 - 1) / 4) ** j * c ** (4 - 2 * j),
            (j, 0, 2),
        ),
        fourth.expr,
        because=(
            r"at other variances the generating function of the unscaled polynomials is "
            r"$\exp(s t c + s^2 (q_1 - 1)/2 + t^2 (q_2 - 1)/2)$; its coefficient for $n = 4$ is"
        ),
        check="symbolic",
    )
    d.conclude("the dual of the Hermite polynomial $h_4$", fourth.expr)
    quartic = ka.activation("monomial", degree=4)
    left, right = quartic.hermite(4, q1), quartic.hermite(4, q2)
    d.step(
        sp.Add(*(p * r * (c / sp.sqrt(q1 * q2)) ** k for k, (p, r) in enumerate(zip(left, right, strict=True)))),
        quartic.dual.expr,
        because=(
            r"and Mehler's expansion of any dual, $k = \sum_n a_n(\sqrt{q_1})\, a_n(\sqrt{q_2})\, \rho^n$ with the "
            r"Hermite "
            r"coefficients $a_n(\sqrt q) = \mathbb{E}[\varphi(\sqrt q Z) h_n(Z)]$, here for $x^4$"
        ),
        check="symbolic",
    )
    d.conclude("the dual of $x^4$", quartic.dual.expr)
    return d
