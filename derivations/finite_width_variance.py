"""How much the tangent kernel of a network of finite width fluctuates; why the signs of Hermite coefficients count."""

from __future__ import annotations

import sympy as sp

from kernalg.derivation.checks import Check, StepFails
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.finite.variance import kurtosis, tangent_kernel_variance
from kernalg.symbols import c, q1, q2, rho, x

DIGITS = 30
w, b, v = sp.symbols("W B V", positive=True)  # w_var, b_var and the readout's w_var
t = sp.Symbol("t", positive=True)
SINE = sp.sqrt(2) * sp.sin(t * x + sp.pi / 4)
LOGNORMAL = sp.exp(t * x - t**2)
CUBIC = (x**3 - 3 * x) / (2 * sp.sqrt(6))


def to_the_digits(lhs: sp.Expr, rhs: sp.Expr) -> Check:
    """An exact number and the certified one of the library."""
    if not abs(sp.N(lhs - rhs, DIGITS + 20)) < sp.Float(10) ** (1 - DIGITS) * abs(rhs):
        raise StepFails(f"the exact value is {sp.N(lhs, DIGITS)} and the library's {rhs}")
    return Check("balls", f"{DIGITS - 1} digits agree at 1 point; not a proof")


def per_neuron(phi: sp.Expr, covariance: sp.Expr) -> sp.Expr:
    """n Var / v_var^2 at a pair (u, v), with the expectations left standing."""
    slope = sp.diff(phi, x)
    pair = [(phi**2, 1), (phi * slope, 2 * covariance), (slope**2, 3 * covariance**2)]
    mean = Expectation(phi, phi) + covariance * Expectation(slope, slope)
    return sp.Add(*(weight * Expectation(f, f) for f, weight in pair)) - mean**2


def at_equal_inputs(phi: sp.Expr) -> sp.Expr:
    """The same for u = v of variance 1, q = 1 and no bias."""
    slope = sp.diff(phi, x)
    moments = Mean(phi**4) + 2 * Mean(phi**2 * slope**2) + 3 * Mean(slope**4)
    return sp.Add(moments, -((Mean(phi**2) + Mean(slope**2)) ** 2))


def in_terms_of_duals(page: Derivation, letter: str, *duals: sp.Expr) -> sp.Expr:
    """n Var at c = rho with the five duals named letter_1, …, letter_5."""
    names = sp.symbols(f"{letter}_1:6", positive=True)
    for name, dual in zip(names, duals, strict=True):
        page.name(name, dual)
    squares, products, slopes, own, derivative = names
    return squares + 2 * rho * products + 3 * rho**2 * slopes - (own + rho * derivative) ** 2


def scaled(f: sp.Expr, g: sp.Expr | None = None) -> Expectation:
    """E[f(u / sqrt(q1)) g(v / sqrt(q2))]: unit variances, correlation c / sqrt(q1 q2)."""
    return Expectation(f.subs(x, x / sp.sqrt(q1)), (f if g is None else g).subs(x, x / sp.sqrt(q2)))


def derive() -> Derivation:
    """n Var of the empirical tangent kernel of one hidden layer, and three networks in full."""
    page = Derivation(
        "finite_width_variance",
        "How much a tangent kernel of finite width fluctuates",
        references=(
            "J. B. Simon, S. Anand and M. R. DeWeese, Reverse engineering the neural tangent kernel, ICML 2022",
            "A. Jacot, F. Gabriel and C. Hongler, Neural tangent kernel: convergence and generalization in neural "
            "networks, NeurIPS 2018",
        ),
        introduction=(
            r"$f(X) = \sqrt{V/n}\, \sum_i \nu_i \varphi(u_i) + \sqrt C\, \gamma$ with $u_i = \sqrt{W/d}\, \langle "
            r"\omega_i, X \rangle + \sqrt B\, \beta_i$, where $\nu, \omega, \beta, \gamma$ are standard Gaussian and "
            r"all trained. At two inputs $X, Y$ the pre-activations $(u, v)$ of a neuron are a Gaussian pair of "
            r"covariance $c = W \langle X, Y \rangle/d + B$. The empirical kernel, the product of the gradients at "
            r"$X$ and $Y$, is a mean over $n$ independent neurons (plus $C$): we want its variance times $n$. The "
            r"limit of infinite width does not see the signs of the Hermite coefficients of $\varphi$; the variance "
            r"does."
        ),
    )
    _one_neuron(page)
    _bias_and_scale(page)
    _cubic(page)
    _sine(page)
    _lognormal(page)
    return page


def _one_neuron(page: Derivation) -> None:
    X, Y, nu, omega, beta = sp.symbols("X Y nu omega beta", real=True)
    A, S = sp.symbols("A S", real=True)
    u, other = (sp.sqrt(w) * omega * point + sp.sqrt(b) * beta for point in (X, Y))
    left, right = (sp.sqrt(v) * nu * sp.sin(at) for at in (u, other))
    page.step(
        sp.Add(*(sp.Derivative(left, p) * sp.Derivative(right, p) for p in (nu, omega, beta))),
        v * sp.sin(u) * sp.sin(other) + v * nu**2 * (w * X * Y + b) * sp.cos(u) * sp.cos(other),
        because=(
            r"the gradients of one neuron by its readout weight, hidden weight and bias give $V (A + \nu^2 S)$ with "
            r"$A = \varphi(u) \varphi(v)$ and $S = c\, \varphi'(u) \varphi'(v)$; shown for $\varphi = \sin$ and one "
            r"coordinate"
        ),
        check="symbolic",
    )
    page.step(
        sp.Tuple(Mean(x**2), Mean(x**4)),
        sp.Tuple(1, 3),
        because=r"the readout weight $\nu$ is independent of $(u, v)$ and has the moments",
        check="symbolic",
    )
    page.step(
        sp.Tuple(Mean(A + x**2 * S), Mean((A + x**2 * S) ** 2)),
        sp.Tuple(A + S, A**2 + 2 * A * S + 3 * S**2),
        because=(
            r"so, given $u$ and $v$, its mean is $V(A + S)$ and its mean square $V^2(A^2 + 2AS + 3S^2)$. Averaged over "
            r"$u$ and $v$, with $\varphi_2 = \varphi(v)$: $n \operatorname{Var} = V^2 \bigl(\mathbb{E}[\varphi^2 "
            r"\varphi_2^2] + 2c\, \mathbb{E}[\varphi \varphi' \varphi_2 \varphi_2'] + 3c^2\, \mathbb{E}[\varphi'^2 "
            r"\varphi_2'^2] - (\mathbb{E}[\varphi \varphi_2] + c\, \mathbb{E}[\varphi' \varphi_2'])^2\bigr)$, in which "
            r"every expectation is a dual; for the NNGP kernel only the terms without $\varphi'$ remain"
        ),
        check="symbolic",
    )


def _bias_and_scale(page: Derivation) -> None:
    found = sp.expand(per_neuron(x**2, c).doit())
    page.step(
        v**2 * per_neuron(x**2, c),
        v**2 * found,
        because=(
            r"for $\varphi = x^2$ the expectations are polynomials; biases and scales enter through the variances and "
            r"the covariance alone"
        ),
        check="symbolic",
    )
    place = {w: sp.Rational(1, 2), b: sp.Rational(1, 3), v: 2}
    q = (w + b).subs(place)
    page.step(
        (v**2 * found).subs({q1: q, q2: q, c: (w / 3 + b).subs(place), **place}),
        tangent_kernel_variance("x**2", "1/3", w_var="1/2", b_var="1/3", readout=(2, 1), digits=DIGITS),
        because=(
            r"at $W = \frac12$, $B = \frac13$, $V = 2$ (and $C = 1$, which does not matter) and the cosine $\frac13$"
        ),
        check=to_the_digits,
    )
    page.conclude(r"$n \operatorname{Var}$ of $x^2$ with biases", page.steps[-1].rhs)


def _cubic(page: Derivation) -> None:
    page.step(
        at_equal_inputs(CUBIC),
        sp.Rational(167, 4),
        because=(
            r"for $\varphi = h_3/2$, whose tangent kernel is $\rho^3$, at equal inputs with $W = V = 1$ and no "
            r"biases, so that $u = v = Z$ and $c = 1$; the moments of $Z$ up to the twelfth give"
        ),
        check="symbolic",
    )
    shipped = tangent_kernel_variance(CUBIC, 1, digits=DIGITS)
    page.step(sp.Rational(167, 4), shipped, because="which is 41.75", check=to_the_digits)
    page.conclude(r"$n \operatorname{Var}$ of the tangent kernel of $h_3/2$ at equal inputs", shipped)


def _sine(page: Derivation) -> None:
    slope = sp.diff(SINE, x)
    page.step(
        sp.Tuple(SINE**2, SINE * slope, slope**2),
        sp.Tuple(1 + sp.sin(2 * t * x), t * sp.cos(2 * t * x), t**2 * (1 - sp.sin(2 * t * x))),
        because=(
            r"now two activations with the same NNGP kernel $e^{-t^2(1-\rho)}$ and the same tangent kernel: first "
            r"$\sqrt2 \sin(tx + \pi/4)$, where double angles do the squares"
        ),
        check="symbolic",
    )
    r = c / sp.sqrt(q1 * q2)
    page.step(
        scaled(sp.sin(2 * t * x)),
        sp.exp(-4 * t**2) * sp.sinh(4 * t**2 * r),
        because=r"the dual of a sine at unit variances (here $\rho = c/\sqrt{q_1 q_2}$)",
        check="quadrature",
    )
    page.step(
        scaled(sp.cos(2 * t * x)),
        sp.exp(-4 * t**2) * sp.cosh(4 * t**2 * r),
        because="and that of a cosine",
        check="quadrature",
    )
    page.step(
        scaled(SINE),
        sp.exp(-(t**2) * (1 - r)),
        because=r"and of the activation itself; its derivative has $t^2$ times that",
        check="quadrature",
    )
    odd, even = (sp.exp(-4 * t**2) * f(4 * t**2 * rho) for f in (sp.sinh, sp.cosh))
    kernel = sp.exp(-(t**2) * (1 - rho))
    noise = (1 + 3 * rho**2 * t**4) * (1 + odd) + 2 * rho * t**2 * even - (1 + rho * t**2) ** 2 * kernel**2
    page.step(
        in_terms_of_duals(page, "S", 1 + odd, t**2 * even, t**4 * (1 + odd), kernel, t**2 * kernel),
        noise,
        because=(
            r"put together: with $S_1, \dots, S_5$ for the five duals in the order of the formula above, and $c = "
            r"\rho$, $V = 1$, this is $n \operatorname{Var}$ at any angle"
        ),
        check="symbolic",
    )
    page.step(
        noise.subs({rho: sp.Rational(3, 10), t: sp.sqrt(2)}),
        tangent_kernel_variance(SINE.subs(t, sp.sqrt(2)), "3/10", digits=DIGITS),
        because=r"at $\rho = \frac3{10}$ for $t^2 = 2$",
        check=to_the_digits,
    )
    page.conclude(r"$n \operatorname{Var}$ of the sine at the cosine 3/10", page.steps[-1].rhs)
    exact = sp.Rational(25, 2) - sp.Rational(9, 2) * sp.exp(-16)
    page.step(
        noise.subs({rho: 1, t: sp.sqrt(2)}),
        exact,
        because="and at equal inputs",
        check="symbolic",
    )
    page.step(
        at_equal_inputs(SINE.subs(t, sp.sqrt(2))),
        exact,
        because="the same from the definition, by quadrature of the fourth moments",
        check="quadrature",
    )
    shipped = tangent_kernel_variance(SINE.subs(t, sp.sqrt(2)), 1, digits=DIGITS)
    page.step(exact, shipped, because="in numbers", check=to_the_digits)
    page.conclude(r"$n \operatorname{Var}$ of the tangent kernel of $\sqrt2 \sin(\sqrt2 x + \pi/4)$", shipped)
    page.step(
        Mean(SINE**4) / Mean(SINE**2) ** 2,
        sp.Rational(3, 2) - sp.exp(-8 * t**2) / 2,
        because="its kurtosis is bounded, like the function",
        check="quadrature",
    )
    shipped = kurtosis(SINE.subs(t, 1), digits=DIGITS)
    page.step(
        page.steps[-1].rhs.subs(t, 1),
        shipped,
        because=r"for $t = 1$",
        check=to_the_digits,
    )
    page.conclude(r"the kurtosis of $\sqrt2 \sin(x + \pi/4)$", shipped)


def _lognormal(page: Derivation) -> None:
    r = c / sp.sqrt(q1 * q2)
    page.step(
        scaled(LOGNORMAL),
        sp.exp(-(t**2) * (1 - r)),
        because=(
            r"the same kernel with all Hermite coefficients positive: $\varphi = e^{tx - t^2}$, log-normal, has the "
            r"dual of the sine"
        ),
        check="symbolic",
    )
    page.step(
        scaled(LOGNORMAL**2),
        sp.exp(4 * t**2 * r),
        because=r"but the dual of its square grows, and $\varphi' = t\varphi$",
        check="symbolic",
    )
    square, kernel = sp.exp(4 * t**2 * rho), sp.exp(-(t**2) * (1 - rho))
    page.step(
        in_terms_of_duals(page, "L", square, t**2 * square, t**4 * square, kernel, t**2 * kernel),
        (1 + 2 * rho * t**2 + 3 * rho**2 * t**4) * square - (1 + rho * t**2) ** 2 * kernel**2,
        because=r"so that, with $L_1, \dots, L_5$ for its five duals, $n \operatorname{Var}$ at any angle is",
        check="symbolic",
    )
    page.step(
        page.steps[-1].rhs.subs({rho: sp.Rational(3, 10), t: sp.sqrt(2)}),
        tangent_kernel_variance(LOGNORMAL.subs(t, sp.sqrt(2)), "3/10", digits=DIGITS),
        because=r"at $\rho = \frac3{10}$ for $t^2 = 2$",
        check=to_the_digits,
    )
    page.conclude(r"$n \operatorname{Var}$ of the log-normal activation at the cosine 3/10", page.steps[-1].rhs)
    exact = 17 * sp.exp(8) - 9
    page.step(
        at_equal_inputs(LOGNORMAL.subs(t, sp.sqrt(2))),
        exact,
        because=(
            r"at equal inputs, for $t^2 = 2$, from the moments of the log-normal variable: four thousand times the "
            r"variance of the sine"
        ),
        check="symbolic",
    )
    shipped = tangent_kernel_variance(LOGNORMAL.subs(t, sp.sqrt(2)), 1, digits=DIGITS)
    page.step(exact, shipped, because="in numbers", check=to_the_digits)
    page.conclude(r"$n \operatorname{Var}$ of the tangent kernel of $e^{\sqrt2 x - 2}$", shipped)
    page.step(
        Mean(LOGNORMAL**4) / Mean(LOGNORMAL**2) ** 2,
        sp.exp(4 * t**2),
        because=(
            "its kurtosis grows without bound: most draws miss the rare large neurons, and then both the mean and its "
            "sample error come out too small"
        ),
        check="symbolic",
    )
    shipped = kurtosis(LOGNORMAL.subs(t, sp.sqrt(2)), digits=DIGITS)
    page.step(sp.exp(8), shipped, because=r"for $t^2 = 2$", check=to_the_digits)
    page.conclude(r"the kurtosis of $e^{\sqrt2 x - 2}$", shipped)
