"""Closed forms of eigenvalues on the sphere: Rodrigues' formula, then Beta and Bessel integrals."""

from __future__ import annotations

from typing import Any

import sympy as sp

import kernalg as ka
from kernalg.derivation.checks import Check, StepFails
from kernalg.derivation.steps import Derivation
from kernalg.spectrum.closed_forms import DEGREE, common_gammas, formula_parts
from kernalg.symbols import rho

k = DEGREE
d = sp.Symbol("d", integer=True, positive=True)
j = sp.Symbol("j", integer=True, nonnegative=True)
p = sp.Symbol("p", positive=True)
nu = p / 2
b = sp.Symbol("b", positive=True)
t = sp.Symbol("t", real=True)
theta = sp.Symbol("theta", positive=True)


class Zonal(sp.Function):
    """P_{k,d}(t) with P(1) = 1, by the three-term recursion once k is a number."""

    nargs = 3

    @classmethod
    def eval(cls, degree: sp.Expr, dimension: sp.Expr, at: sp.Expr) -> sp.Expr | None:
        if not degree.is_Integer:
            return None
        before, current = sp.S.One, at
        if degree == 0:
            return before
        for i in range(1, int(degree)):
            before, current = current, ((2 * i + dimension - 2) * at * current - i * before) / (i + dimension - 2)
        return sp.sympify(current)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        degree, dimension, at = (printer._print(a) for a in self.args)
        return rf"P_{{{degree},{dimension}}}\left({at}\right)"


def constant(dimension: sp.Expr) -> sp.Expr:
    """c_d of the density c_d (1 - t^2)^((d-3)/2) of a coordinate of a uniform unit vector."""
    return sp.gamma(dimension / 2) / (sp.sqrt(sp.pi) * sp.gamma((dimension - 1) / 2))


def mean(f: sp.Expr, dimension: sp.Expr, end: sp.Expr = sp.pi) -> sp.Expr:
    """E f(t), or E f(t) 1(t > 0) with `end` = pi/2, in the angle t = cos(theta)."""
    return constant(dimension) * sp.Integral(
        f.subs(t, sp.cos(theta)) * sp.sin(theta) ** (dimension - 2), (theta, 0, end)
    )


def shipped(expr: sp.Expr, parity: int) -> sp.Expr:
    found = formula_parts(expr, d)
    return found.odd if parity else found.even


def by_gamma_recurrence(lhs: sp.Expr, rhs: sp.Expr) -> Check:
    """Equal once Gamma functions whose arguments differ by integers are written as one of them."""
    if common_gammas(lhs - rhs) != 0:
        raise StepFails(f"left minus right is {common_gammas(lhs - rhs)}, not 0")
    return Check("symbolic", r"the difference is 0 by $\Gamma(z+1) = z\,\Gamma(z)$")


def derive() -> Derivation:
    """Step, ReLU, their tangent kernel, exponentials and powers."""
    page = Derivation(
        "sphere_spectra",
        "Eigenvalues of dot-product kernels on the sphere, in closed form",
        references=(
            "K. Atkinson and W. Han, Spherical Harmonics and Approximations on the Unit Sphere, Springer 2012",
            "F. Bach, Breaking the curse of dimensionality with convex neural networks, JMLR 18 (2017)",
            "NIST Digital Library of Mathematical Functions, 5.12.1 (Beta), 10.32.2 (Poisson), 16.4.3 (Saalschütz)",
        ),
        introduction=(
            r"$K(\langle x, y\rangle) = \sum_k N(d,k)\,\lambda_k P_{k,d}(\langle x, y\rangle)$ on the unit sphere in "
            r"$d \ge 2$ dimensions, $P_{k,d}(1) = 1$. By the Funk-Hecke formula $\lambda_k = c_d \int_{-1}^1 K(t) "
            r"P_{k,d}(t) (1-t^2)^{(d-3)/2} dt$ with $c_d = \Gamma(d/2) / (\sqrt\pi\, \Gamma(\frac{d-1}2))$; below, "
            r"$t = \cos\theta$. Integrated by parts $k$ times, each of the kernels here leaves a classical integral."
        ),
    )
    power = (1 - t**2) ** (k + (d - 3) / 2)
    page.family(
        Zonal(k, d, t) * (1 - t**2) ** ((d - 3) / 2),
        (-1) ** k / (2**k * sp.rf((d - 1) / 2, k)) * sp.Derivative(power, (t, k)),
        index=k,
        values=range(5),
        because=(
            "Rodrigues' formula; both sides are orthogonal to all polynomials of lower degree and agree at $t = 1$, so "
            "it holds for every degree (Atkinson and Han, theorem 2.23)"
        ),
    )
    half = sp.gamma((d - 1) / 2) / sp.gamma((d - 1) / 2 + k)
    page.step(
        constant(d) * half,
        constant(d + 2 * k) * sp.gamma(d / 2) / sp.gamma(d / 2 + k),
        because=(
            r"$k$ integrations by parts move the derivatives onto $K$ (the boundary terms vanish for the kernels "
            r"here), and the constant is that of dimension $d + 2k$: "
            r"$\lambda_k[K] = \frac{\Gamma(d/2)}{2^k \Gamma(d/2+k)} E_{d+2k}[K^{(k)}]$, the mean under the "
            r"density of dimension $d + 2k$"
        ),
        check="symbolic",
    )
    derivative_form = sp.gamma(d / 2) / (2**k * sp.gamma(d / 2 + k))
    page.step(
        mean(sp.exp(t) * Zonal(k, d, t), d),
        derivative_form * mean(sp.exp(t), d + 2 * k),
        because="an example, $K = e^t$",
        check="mpmath",
    )
    page.step(
        sp.gamma(d / 2) / (2**k * sp.gamma(d / 2 + k)),
        sp.gamma(d / 2 + 1) / (2 ** (k - 1) * sp.gamma(d / 2 + 1 + k - 1)) / d,
        because=(
            r"the constants for $(k, d)$ and $(k-1, d+2)$ differ by a factor $d$, so $\lambda_{k,d}[K] = "
            r"\lambda_{k-1,d+2}[K'] / d$"
        ),
        check="symbolic",
    )

    _even_powers(page)
    _step_and_relu(page)
    _tangent_kernel(page)
    _exponential(page, derivative_form)
    _powers(page, derivative_form)
    return page


def _even_powers(page: Derivation) -> None:
    sine = sp.sin(theta)  # the root of 1 - t^2
    page.family(
        Zonal(2 * j, d, t),
        sp.Sum(
            sp.rf(-j, k) * sp.rf(j + d / 2 - 1, k) / (sp.rf((d - 1) / 2, k) * sp.factorial(k)) * (1 - t**2) ** k,
            (k, 0, j),
        ),
        index=j,
        values=range(5),
        because=(
            r"for $(1 - \rho^2)^{p/2}$: a zonal polynomial of even degree is a terminating hypergeometric sum in "
            r"$1 - t^2$"
        ),
    )
    page.step(
        mean(sine ** (2 * nu), d),
        constant(d) * sp.sqrt(sp.pi) * sp.gamma(nu + (d - 1) / 2) / sp.gamma(nu + d / 2),
        because="the mean of each power is a Beta integral",
        check="mpmath",
    )
    rows = sp.rf(-j, k) * sp.rf(j + d / 2 - 1, k) * sp.rf(nu + (d - 1) / 2, k)
    page.family(
        sp.Sum(rows / (sp.rf((d - 1) / 2, k) * sp.rf(nu + d / 2, k) * sp.factorial(k)), (k, 0, j)),
        sp.rf(sp.S.Half, j) * sp.rf(-nu, j) / (sp.rf((d - 1) / 2, j) * sp.rf(nu + d / 2, j)),
        index=j,
        values=range(4),
        because="and Saalschütz' theorem sums them",
    )
    even = shipped((1 - rho**2) ** nu, 0).subs(k, 2 * j)
    page.step(
        mean(sine ** (2 * nu) * Zonal(2 * j, d, t), d),
        even,
        because="the product of the two, with Gamma functions for the rising factorials",
        check="mpmath",
    )
    page.conclude(r"the eigenvalues of $(1-\rho^2)^{p/2}$ of even degree", even)


def _step_and_relu(page: Derivation) -> None:
    source = shipped((1 - rho**2) ** nu, 0).subs(p, -1).subs({k: 2 * j, d: d + 2}, simultaneous=True)
    arcsine = shipped(sp.asin(rho), 1).subs(k, 2 * j + 1)
    page.step(
        source / d,
        arcsine,
        because=(
            r"$\arcsin\rho$ has the derivative $(1-\rho^2)^{-1/2}$, so its degree $2j+1$ comes from degree $2j$ there"
        ),
        check=by_gamma_recurrence,
    )
    page.conclude(r"the eigenvalues of $\arcsin\rho$ of odd degree", arcsine)

    coefficient = (-1) ** j * sp.gamma(d / 2) * sp.gamma(j + sp.S.Half) / (2 * sp.pi * sp.gamma(j + (d + 1) / 2))
    page.step(
        mean(Zonal(2 * j + 1, d, t), d, sp.pi / 2),
        coefficient,
        because=(
            r"the Funk-Hecke coefficient of the step function itself, in odd degrees (in even degrees it is "
            r"$\frac12$ at 0 and 0 above): Rodrigues' formula leaves the boundary term at $t = 0$"
        ),
        check="mpmath",
    )
    kappa0 = shipped(sp.S.Half + sp.asin(rho) / sp.pi, 1).subs(k, 2 * j + 1)
    page.step(
        2 * coefficient**2,
        kappa0,
        because=(
            r"$\kappa_0 = 1 - \arccos(\rho)/\pi$ is twice the mean of step times step over a random direction, so its "
            r"eigenvalues are twice the squares; they agree with those of $\frac12 + \arcsin(\rho)/\pi$"
        ),
        check="symbolic",
    )
    page.conclude(r"the eigenvalues of the step dual $\kappa_0$ of odd degree", kappa0)

    shifted = (coefficient / d).subs({j: j, d: d + 2}, simultaneous=True) * (d + 2) / d
    page.step(
        mean(t * Zonal(2 * j + 2, d, t), d, sp.pi / 2),
        shifted,
        because="the ReLU has the derivative step: its degree $2j+2$ comes from the degree $2j+1$ of the step",
        check="mpmath",
    )
    kappa1 = (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
    relu = shipped(kappa1, 0).subs(k, 2 * j + 2)
    page.step(
        2 * d * shifted**2,
        relu,
        because=(
            r"$\kappa_1$ is $2d$ times the mean of ReLU times ReLU over a random direction; the formula holds for "
            r"degree 0 too"
        ),
        check=by_gamma_recurrence,
    )
    page.conclude(r"the eigenvalues of the ReLU dual $\kappa_1$ of even degree", relu)


def _tangent_kernel(page: Derivation) -> None:
    page.family(
        (2 * k + d - 2) * t * Zonal(k, d, t),
        (k + d - 2) * Zonal(k + 1, d, t) + k * Zonal(sp.Abs(k - 1), d, t),
        index=k,
        values=range(1, 6),
        because=(
            r"the three-term recursion, which defines $P_{k,d}$; under the integral it reads $\lambda_k[\rho f] = "
            r"(k \lambda_{k-1}[f] + (k+d-2) \lambda_{k+1}[f]) / (2k+d-2)$"
        ),
    )
    zero, one = sp.asin(rho) / sp.pi, (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
    step = shipped(zero, 1)
    parts = shipped(one, 0) + (k * step.subs(k, k - 1) + (k + d - 2) * step.subs(k, k + 1)) / (2 * k + d - 2)
    tangent = ka.mlp("relu", depth=1, w_var=2, b_var=0).ntk.profile().expr
    formula = shipped(tangent, 0).subs(k, 2 * j + 2)
    page.step(
        parts.subs(k, 2 * j + 2),
        formula,
        because=r"the tangent kernel of one hidden layer is $\kappa_1 + \rho \kappa_0$",
        check=by_gamma_recurrence,
    )
    page.conclude("the eigenvalues of the ReLU tangent kernel with one hidden layer, of even degree", formula)


def _exponential(page: Derivation, derivative_form: sp.Expr) -> None:
    formula = shipped(sp.exp(b * rho), 0)
    page.step(
        derivative_form * b**k * mean(sp.exp(b * t), d + 2 * k),
        formula,
        because=(
            r"for $e^{b\rho}$ the $k$-th derivative is $b^k e^{b\rho}$, and what is left is Poisson's integral of the "
            r"modified Bessel function"
        ),
        check="mpmath",
    )
    page.conclude(r"the eigenvalues of $e^{b\rho}$", formula)


def _powers(page: Derivation, derivative_form: sp.Expr) -> None:
    beta = 2 ** (nu + k + d - 2) * sp.gamma(nu + (d - 1) / 2) * sp.gamma(k + (d - 1) / 2) / sp.gamma(nu + k + d - 1)
    page.step(
        sp.Integral((1 - t) ** (nu + (d - 3) / 2) * (1 + t) ** (k + (d - 3) / 2), (t, -1, 1)),
        beta,
        because=(
            r"for $(1-\rho)^{p/2}$, that is $|x-y|^p$ up to a factor, the $k$-th derivative is $(-\frac p2)_k "
            r"(1-\rho)^{p/2-k}$, and what is left is a Beta integral"
        ),
        check="mpmath",
    )
    formula = shipped((1 - rho) ** nu, 0)
    page.step(
        derivative_form * constant(d + 2 * k) * sp.rf(-nu, k) * beta,
        formula,
        because=r"with the constants, and $(-\frac p2)_k = \Gamma(k-\frac p2) / \Gamma(-\frac p2)$",
        check="mpmath",
    )
    page.conclude(r"the eigenvalues of $(1-\rho)^{p/2}$", formula)
