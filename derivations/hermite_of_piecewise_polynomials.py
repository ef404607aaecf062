"""Hermite coefficients of piecewise polynomials: no integrals, only the jumps of the function and its derivatives."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Mean
from kernalg.derivation.steps import Derivation
from kernalg.symbols import normal_density, q1, x

phi = sp.Function("phi")  # the normal density; `derive` gives it its meaning at each point


def by_jumps(jumps: dict[tuple[sp.Expr, int], sp.Expr], k: int, variance: sp.Expr = sp.S.One) -> sp.Expr:
    """a_k from the jumps {(point, order): height}, for k larger than the degree of the pieces."""
    s = sp.sqrt(variance)
    return sum(
        s**j * height * phi(t / s) * sp.hermite_prob(k - 1 - j, t / s, evaluate=False)
        for (t, j), height in jumps.items()
    ) / sp.sqrt(sp.factorial(k))


def derive() -> Derivation:
    """a_k = (1/sqrt(k!)) sum of J_{t,j} phi(t) He_{k-1-j}(t)."""
    d = Derivation(
        "hermite_of_piecewise_polynomials",
        "Hermite coefficients of piecewise polynomials from their jumps",
        references=(
            "NIST Digital Library of Mathematical Functions, 18.5 and 18.9 (Hermite polynomials)",
            "A. Daniely, R. Frostig and Y. Singer, Toward deeper understanding of neural networks, NIPS 2016",
        ),
        introduction=(
            r"The coefficients $a_k = \mathbb{E}[\varphi(Z) h_k(Z)]$, $h_k = \mathrm{He}_k/\sqrt{k!}$, give the "
            r"dual as "
            r"$\sum_k a_k^2 \rho^k$. For a piecewise polynomial no integral is needed: it is a polynomial plus "
            r"$\sum J_{t,j} (x - t)_+^j/j!$, where $J_{t,j}$ is the jump of the $j$-th derivative at the breakpoint "
            r"$t$, and "
            r"integration by parts $j + 1$ times leaves $\phi(t) \mathrm{He}_{k-1-j}(t)$ of each jump ($\phi$ is "
            r"the normal "
            "density)."
        ),
    )
    n = sp.Symbol("k", integer=True, positive=True)
    t = sp.Symbol("t", real=True)
    for point in (x, t, 0, 1, -1, sp.S.Half, 1 / sp.sqrt(q1), -1 / sp.sqrt(q1)):
        d.name(phi(point), normal_density(point))

    d.family(
        -sp.Derivative(phi(x) * sp.hermite_prob(n - 1, x), x),
        phi(x) * sp.hermite_prob(n, x),
        index=n,
        values=range(1, 7),
        because=(
            r"Rodrigues' formula one step at a time: $\phi\,\mathrm{He}_k$ is the derivative of "
            r"$-\phi\,\mathrm{He}_{k-1}$, so integration by parts lowers $k$ and differentiates $\varphi$"
        ),
    )
    d.step(
        Mean(sp.Heaviside(x - t) * sp.hermite_prob(5, x), 1),
        phi(t) * sp.hermite_prob(4, t),
        because=(
            r"integrated from $t$ to $\infty$: a jump gives $\mathbb{E}[H(Z - t) \mathrm{He}_k(Z)] = \phi(t) "
            r"\mathrm{He}_{k-1}(t)$ for $k \ge 1$, here $k = 5$"
        ),
        check="quadrature",
    )
    lower = [phi(x) * sp.hermite_prob(n - j, x) for j in range(4)]
    d.family(
        -sp.Derivative((x - t) * lower[1] + lower[2], x),
        (x - t) * lower[0],
        index=n,
        values=range(2, 7),
        because=(
            r"a kink takes one more integration by parts; from $t$ to $\infty$, where only the last term on the left "
            r"survives at $t$: $\mathbb{E}[(Z - t)_+ \mathrm{He}_k(Z)] = \phi(t) \mathrm{He}_{k-2}(t)$ for $k \ge 2$"
        ),
    )
    d.family(
        -sp.Derivative((x - t) ** 2 / 2 * lower[1] + (x - t) * lower[2] + lower[3], x),
        (x - t) ** 2 / 2 * lower[0],
        index=n,
        values=range(3, 7),
        because=(
            r"a jump of curvature takes two more, and so on; polynomials of degree below $k$ are orthogonal to "
            r"$\mathrm{He}_k$, so $a_k = \frac{1}{\sqrt{k!}} \sum_{t, j} J_{t,j}\, \phi(t)\, "
            r"\mathrm{He}_{k-1-j}(t)$ for $k$ above the degree"
        ),
    )
    zero, one = sp.S.Zero, sp.S.One
    for name, words, jumps, first, last in (
        ("step", "the step jumps by 1 at 0", {(zero, 0): one}, 1, 7),
        ("relu", "ReLU has a kink of height 1 at 0", {(zero, 1): one}, 2, 8),
        ("squared_relu", "the squared ReLU has a jump of curvature of height 2 at 0", {(zero, 2): sp.Integer(2)}, 3, 9),
        ("hard_tanh", "hard-tanh has kinks at -1 and at 1", {(-one, 1): one, (one, 1): -one}, 2, 7),
    ):
        shipped = sp.Tuple(*ka.activation(name).hermite(last)[first:])
        d.step(
            sp.Tuple(*(by_jumps(jumps, k) for k in range(first, last + 1))),
            shipped,
            because=f"{words}: $a_{first}, \\dots, a_{last}$",
            check="symbolic",
        )
        d.conclude(f"the Hermite coefficients {first} to {last} of {name.replace('_', ' ')}", shipped)
    ramp = ka.activation((x + 1) * sp.Heaviside(x - sp.S.Half))
    shipped = sp.Tuple(*ramp.hermite(6)[2:])
    half = sp.S.Half
    d.step(
        sp.Tuple(*(by_jumps({(half, 0): sp.Rational(3, 2), (half, 1): one}, k) for k in range(2, 7))),
        shipped,
        because=r"jump and kink at one point: $(x + 1) H(x - 1/2)$ has $J_{1/2,0} = 3/2$ and $J_{1/2,1} = 1$",
        check="symbolic",
    )
    d.conclude("the Hermite coefficients 2 to 6 of $(x + 1) H(x - 1/2)$", shipped)
    hard = ka.activation("hard_tanh")
    shipped = sp.Tuple(*hard.hermite(5, q1)[2:])
    d.step(
        sp.Tuple(*(by_jumps({(-one, 1): one, (one, 1): -one}, k, q1) for k in range(2, 6))),
        shipped,
        because=(
            r"other variances: $\varphi(\sqrt q x)$ has its breakpoints at $t/\sqrt q$, and its $j$-th derivative "
            r"jumps by "
            r"$q^{j/2} J_{t,j}$"
        ),
        check="symbolic",
    )
    d.conclude("the Hermite coefficients 2 to 5 of hard-tanh at variance $q_1$", shipped)
    d.step(
        Mean(hard.expr * x, 1),
        hard.hermite(1)[1],
        because=(
            r"the low coefficients, $k$ up to the degree, keep the jumps of order below $k$ and add "
            r"$\mathbb{E}[\varphi^{(k)}(Z)]/\sqrt{k!}$: for hard-tanh $a_1 = \mathbb{E}[\varphi'(Z)] = P(|Z| < 1)$"
        ),
        check="quadrature",
    )
    d.conclude("the Hermite coefficient 1 of hard-tanh", hard.hermite(1)[1])
    return d
