"""Duals of the monomials: a three-term recursion, proved for every degree by eliminating one neighbour."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.symbols import c, q1, q2, x


def derive() -> Derivation:
    """E[u^n v^n] for every n."""
    d = Derivation(
        "monomials",
        "The duals of the monomials: a three-term recursion",
        references=(
            "L. Isserlis, On a formula for the product-moment coefficient of any order of a normal frequency "
            "distribution, Biometrika 12 (1918)",
            "C. Stein, Estimation of the mean of a multivariate normal distribution, Ann. Statist. 9 (1981)",
        ),
        introduction=(
            r"$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. We want $M_n = "
            r"\mathbb{E}[u^n v^n]$, the dual of $x^n$. "
            r"Stein's lemma links $M_{n+1}$ to the neighbour $L_n = \mathbb{E}[u^{n-1} v^{n+1}]$; "
            "eliminating the neighbour leaves a recursion in $M$ alone, which needs two products a degree "
            "where Isserlis' sum over pairings has $n!$ terms."
        ),
    )
    n = sp.Symbol("n", integer=True, positive=True)
    below, at, neighbour = sp.symbols("M_{n-1} M_{n} L_{n-1}")
    determinant = sp.Symbol("D", positive=True)

    d.abbreviate(determinant, q1 * q2 - c**2, "the determinant of the covariance")
    d.family(
        Expectation(x ** (n + 1), x ** (n + 1)),
        n * q1 * Expectation(x ** (n - 1), x ** (n + 1)) + (n + 1) * c * Expectation(x**n, x**n),
        index=n,
        values=range(1, 7),
        because=(
            r"Stein's lemma $\mathbb{E}[u F] = q_1 \mathbb{E}[\partial_u F] + c\, \mathbb{E}[\partial_v F]$ "
            r"with $F = u^n v^{n+1}$ lowers the power of $u$: $M_{n+1} = n q_1 L_n + (n+1) c M_n$"
        ),
    )
    d.family(
        Expectation(x ** (n - 1), x ** (n + 1)),
        n * q2 * Expectation(x ** (n - 1), x ** (n - 1)) + (n - 1) * c * Expectation(x ** sp.Abs(n - 2), x**n),
        index=n,
        values=range(1, 7),
        because=(
            r"Stein's lemma in $v$ with $F = u^{n-1} v^n$: $L_n = n q_2 M_{n-1} + (n-1) c L_{n-1}$ "
            "(at $n = 1$ the last term has the factor 0)"
        ),
    )
    solved = (at - n * c * below) / ((n - 1) * q1)
    d.step(
        (n * q1 * (n * q2 * below + (n - 1) * c * neighbour) + (n + 1) * c * at).subs(neighbour, solved),
        (2 * n + 1) * c * at + n**2 * determinant * below,
        because=(
            r"the first identity one degree lower gives the neighbour, $L_{n-1} = (M_n - n c M_{n-1})/((n-1) q_1)$; "
            r"insert "
            r"it into the second identity and that into the first: both denominators cancel, and "
            r"$M_{n+1} = (2n+1) c M_n + n^2 D M_{n-1}$, a polynomial identity in $n$ and so true for every degree"
        ),
        check="symbolic",
    )
    moments = [sp.Symbol("M_{0}"), sp.Symbol("M_{1}")]
    d.name(moments[0], sp.S.One)
    d.name(moments[1], c)
    for degree in (2, 3, 4):
        k = degree - 1
        dual = ka.activation("monomial", degree=degree).dual
        d.step(
            (2 * k + 1) * c * moments[-1] + k**2 * determinant * moments[-2],
            dual.expr,
            because=f"the recursion from $M_{{{k - 1}}}$ and $M_{{{k}}}$"
            + (", which begin it as $M_0 = 1$, $M_1 = c$" if degree == 2 else ""),
            check="symbolic",
        )
        d.conclude(f"the dual of $x^{degree}$", dual.expr)
        moments.append(sp.Symbol(f"M_{{{degree}}}"))
        d.name(moments[-1], dual.expr)
    j = sp.Symbol("j", integer=True, nonnegative=True)
    pairings = (
        sp.factorial(n) ** 2
        * (q1 * q2) ** j
        * c ** (n - 2 * j)
        / (sp.factorial(j) ** 2 * 4**j * sp.factorial(n - 2 * j))
    )
    d.family(
        Expectation(x**n, x**n),
        sp.Sum(pairings, (j, 0, sp.floor(n / 2))),
        index=n,
        values=range(1, 7),
        because=(
            "Isserlis' theorem counts the same thing: $j$ pairs within the $u$'s, $j$ within the $v$'s, and $n - 2j$ "
            "mixed pairs"
        ),
    )
    power = ka.activation("monomial", degree=4).dual
    d.step(
        16 * moments[3],
        power.derivative.expr,
        because=r"Price's theorem closes the circle: $dM_n/dc = n^2 M_{n-1}$, here for $n = 4$",
        check="symbolic",
    )
    d.conclude("the derivative dual of $x^4$", power.derivative.expr)
    return d
