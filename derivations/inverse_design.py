"""Inverse design: which kernels one hidden layer can have, and the activation that has a given one."""

from __future__ import annotations

import sympy as sp

import kernalg as ka
from derivations.sphere_spectra import Zonal
from kernalg.derivation.expectation import Expectation, Mean
from kernalg.derivation.steps import Derivation
from kernalg.design.architecture import Architecture
from kernalg.design.coefficients import coefficients
from kernalg.design.operator_form import ntk_activation
from kernalg.design.recognition import nngp_of_ntk
from kernalg.design.target import target_of
from kernalg.symbols import c, q1, q2, rho, x

w, b, v, g = sp.symbols("W B V C", positive=True)  # w_var, b_var and the readout's
q, tau = sp.symbols("q tau", positive=True)
xi, t, s, y, z = sp.symbols("xi t s y z", positive=True)
n = sp.Symbol("n", integer=True, nonnegative=True)
HERMITE = sp.symbols("b_0:4", real=True)
SQUARES = [value**2 for value in HERMITE]


def h(degree: sp.Expr, at: sp.Expr) -> sp.Expr:
    """He_k / sqrt(k!)."""
    return sp.hermite_prob(degree, at) / sp.sqrt(sp.factorial(degree))


def power_series(values: list[sp.Expr]) -> sp.Expr:
    return sp.Add(*(a * rho**k for k, a in enumerate(values)))


def derive() -> Derivation:
    """From Hermite coefficients to kernels and back; biases, tangent kernels, truncation, other norms."""
    page = Derivation(
        "inverse_design",
        "From a kernel to an activation: one hidden layer",
        references=(
            "J. B. Simon, S. Anand and M. R. DeWeese, Reverse engineering the neural tangent kernel, ICML 2022",
            "I. J. Schoenberg, Positive definite functions on spheres, Duke Math. J. 9 (1942)",
            "A. Daniely, R. Frostig and Y. Singer, Toward deeper understanding of neural networks, NIPS 2016",
        ),
        introduction=(
            r"$f(X) = \sqrt{V/n}\, \sum_i \nu_i \varphi(u_i) + \sqrt C\, \gamma$ with $u_i = \sqrt{W/d}\, \langle "
            r"\omega_i, X \rangle + \sqrt B\, \beta_i$ and all parameters $\nu, \omega, \beta, \gamma$ standard "
            r"Gaussian, on the sphere $|X|^2 = d$: $W, B$ are the variances of hidden weights and biases, $V, C$ those "
            r"of the readout. Two inputs of cosine $\xi = \langle X, Y \rangle/d$ have pre-activations of variance "
            r"$q = W + B$ and correlation $\rho = (W\xi + B)/q$. We want the kernels $K(\xi) = \sum_k a_k \rho^k$ that "
            r"such a network can have in the limit of infinite width, and the activation for each of them. $\Sigma$ is "
            r"the NNGP kernel and $\Theta$ the tangent kernel; $h_k = \mathrm{He}_k/\sqrt{k!}$. Formulas with four "
            r"coefficients $b_0, \dots, b_3$ stand for any number."
        ),
    )
    page.name(q, w + b)
    page.name(tau, b / (w + b))
    _forward(page)
    _variants(page)
    _which_kernels(page)
    _operator_form(page)
    _bias(page)
    _truncation(page)
    _other_norms(page)
    return page


def _forward(page: Derivation) -> None:
    left, right = (sp.Add(*(a * h(k, x / sp.sqrt(p)) for k, a in enumerate(HERMITE))) for p in (q1, q2))
    correlation = c / sp.sqrt(q1 * q2)
    page.step(
        Expectation(left, right),
        sp.Add(*(a * correlation**k for k, a in enumerate(SQUARES))),
        because=(
            r"with $\varphi(\sqrt q z) = \sum_k b_k h_k(z)$, Mehler's expansion leaves the squares of the "
            r"coefficients: $\mathbb{E}[\varphi(u) \varphi(v)] = \sum_k b_k^2 \rho^k$, where here $\rho = "
            r"c/\sqrt{q_1 q_2}$; their signs cannot be seen"
        ),
        check="symbolic",
    )
    page.family(
        sp.Derivative(h(n + 1, x), x),
        sp.sqrt(n + 1) * h(n, x),
        index=n,
        values=range(6),
        because="differentiation lowers the degree of a Hermite polynomial",
    )
    page.step(
        c * Expectation(sp.diff(left, x), sp.diff(right, x)),
        sp.Add(*(k * a * correlation**k for k, a in enumerate(SQUARES))),
        because=(
            r"so covariance times derivative dual counts the degrees: $(W\xi + B)\, "
            r"\mathbb{E}[\varphi'(u) \varphi'(v)] = \sum_k k\, b_k^2 \rho^k$; this is what the gradients of hidden "
            r"weights and biases add to the tangent kernel, times $V$"
        ),
        check="symbolic",
    )


def _variants(page: Derivation) -> None:
    sigma = power_series(SQUARES)
    slope = sp.Derivative(sigma, rho) / q  # E phi'(u) phi'(v)
    cosine = (q * rho - b) / w
    kernels = (
        ("nngp", "all", v * sigma + g, "the NNGP kernel, which is also the tangent kernel of a trained readout", ""),
        (
            "ntk",
            "all",
            v * sigma + g + v * (w * cosine + b) * slope,
            r"the tangent kernel with everything trained: readout, hidden weights and hidden biases",
            "",
        ),
        (
            "ntk",
            "hidden",
            v * (w * cosine + b) * slope,
            "the tangent kernel of the hidden layer alone, to which the mean $b_0$ of the activation is invisible",
            " of the hidden layer",
        ),
        (
            "ntk",
            "all but hidden biases",
            v * sigma + g + v * w * cosine * slope,
            (
                r"the tangent kernel with frozen hidden biases: only the share $W\xi = q\rho - B$ of the covariance "
                r"$q\rho$ is trained, and neighbors couple"
            ),
            " with frozen hidden biases",
        ),
    )
    for kind, trained, network, because, name in kernels:
        architecture = Architecture(kind, w, b, (v, g), trained)
        in_rho = sp.Poly(sp.expand(architecture.kernel(SQUARES).subs(rho, architecture.cosine)), rho)
        shipped = power_series([sp.factor(a).subs(w + b, q) for a in reversed(in_rho.all_coeffs())])
        page.step(network, shipped, because=because, check="symbolic")
        page.conclude(f"the {'NNGP' if kind == 'nngp' else 'tangent'} kernel{name}", shipped)
    inside = (w * xi + b) / q
    page.step(
        xi * sp.Derivative(sigma.subs(rho, inside), xi),
        (w * xi * sigma.diff(rho) / q).subs(rho, inside),
        because=(
            r"the series with frozen biases is simple in the cosine: $W\xi\, \mathbb{E}[\varphi'(u) \varphi'(v)] = "
            r"\xi\, d\Sigma/d\xi$, because $d\rho/d\xi = W/q$"
        ),
        check="symbolic",
    )
    page.family(
        sp.Derivative(rho * rho**n, rho),
        (1 + n) * rho**n,
        index=n,
        values=range(6),
        because=r"term by term, $\Theta = \frac{d}{d\rho}(\rho\, \Sigma)$ when everything is trained",
    )
    page.family(
        sp.Derivative(xi * inside ** (n + 1), xi),
        (2 + n) * inside ** (n + 1) - (n + 1) * tau * inside**n,
        index=n,
        values=range(6),
        because=(
            r"and $\Theta = \frac{d}{d\xi}(\xi\, \Sigma)$, in the cosine, when hidden biases are frozen, here for "
            r"$k = n + 1$; so a tangent kernel with frozen biases is as hard as the NNGP kernel $\frac1\xi \int_0^\xi "
            r"\Theta$ of the same network"
        ),
    )
    target = sp.exp(2 * (rho - 1))
    sigma_of = nngp_of_ntk(target)
    page.step(
        sp.Integral(target.subs(rho, s), (s, 0, rho)) / rho,
        sigma_of,
        because=(
            r"read backwards, an NTK to be realized becomes an NNGP kernel to be realized, $\Sigma = \frac1\rho "
            r"\int_0^\rho \Theta$; for $\Theta = e^{2(\rho-1)}$"
        ),
        check="symbolic",
    )
    page.conclude(r"the NNGP kernel of the network whose tangent kernel is $e^{2(\rho-1)}$", sigma_of)


def _which_kernels(page: Derivation) -> None:
    d = sp.Symbol("d", positive=True)
    page.family(
        sp.Limit(Zonal(n, d, x), d, sp.oo),
        x**n,
        index=n,
        values=range(6),
        because=(
            r"why $a_k \ge 0$ is the whole condition without biases. Given such $a_k$, the steps above make a network: "
            r"$b_k = \pm\sqrt{a_k}$ (NNGP) or $\pm\sqrt{a_k/(1+k)}$ (NTK), and $\sum b_k^2$ or $\sum (1+k) b_k^2$ is "
            r"$K(1) < \infty$, all that is needed. Conversely, the kernel of any network, deep or not, is positive "
            r"semi-definite in every dimension $d$, so its coefficients in the zonal polynomials $P_{k,d}$ are not "
            r"negative; these become powers as $d \to \infty$ (Schoenberg). Hence depth adds no kernel on the sphere; "
            r"and where non-negative coefficients belong to a series that ends at some $\rho < 1$, the function is "
            r"singular there and no kernel"
        ),
    )
    page.step(
        Zonal(2, d, rho),
        d / (d - 1) * rho**2 - 1 / (d - 1),
        because=(
            r"one fixed dimension is not enough: $P_{2,d}$ is positive semi-definite on the sphere in $d$ dimensions, "
            r"its constant coefficient is negative (and vanishes only as $d \to \infty$), and no network of fully "
            r"connected layers has this kernel"
        ),
        check="symbolic",
    )
    shipped = ka.design("(3*rho**2-1)/2").certificate.negative[0][1]
    page.step(
        sp.Subs(-1 / (d - 1), d, 3),
        shipped,
        because="in three dimensions it is the certificate that the library gives",
        check="symbolic",
    )
    page.conclude(r"the negative coefficient of $(3\rho^2-1)/2$", shipped)


def _operator_form(page: Derivation) -> None:
    k = sp.Symbol("k", positive=True)
    page.family(
        -sp.Derivative(h(n, x), (x, 2)) + x * sp.Derivative(h(n, x), x),
        n * h(n, x),
        index=n,
        values=range(1, 7),
        because=(
            r"the number operator $N = -\frac{d^2}{dz^2} + z \frac{d}{dz}$ has $N h_k = k h_k$, so the activation for "
            r"an NTK is $(1+N)^{-1/2}$ applied to that for the NNGP kernel with the same coefficients"
        ),
    )
    page.step(
        2 / sp.sqrt(sp.pi) * sp.Integral(sp.exp(-(1 + k) * y**2), (y, 0, sp.oo)),
        1 / sp.sqrt(1 + k),
        because="the inverse root as an average of exponentials, a Gaussian integral",
        check="symbolic",
    )
    page.family(
        Mean(sp.hermite_prob(n, rho * z + sp.sqrt(1 - rho**2) * x)),
        rho**n * sp.hermite_prob(n, z),
        index=n,
        values=range(1, 6),
        because=(
            r"and $e^{-sN}$ is an average over Gaussian noise: the Ornstein-Uhlenbeck semigroup $(U_s \varphi)(z) = "
            r"\mathbb{E}\,\varphi(\rho z + \sqrt{1-\rho^2} Z)$, $\rho = e^{-s}$, multiplies $h_k$ by $e^{-ks}$"
        ),
    )
    nngp = sp.exp(t * x - t**2 / 2)
    noisy = nngp.subs(x, rho * z + sp.sqrt(1 - rho**2) * x)
    page.step(
        Mean(noisy),
        sp.exp(t * rho * z - t**2 * rho**2 / 2),
        because=(
            r"for the generating function $\sum_k t^k h_k(z)/\sqrt{k!} = e^{tz - t^2/2}$, the activation with all "
            r"signs positive for the NNGP kernel $e^{t^2\rho}$, the average has a closed form"
        ),
        check="symbolic",
    )
    e = sp.exp(-(y**2))
    integrand = e * sp.exp(t * e * z - t**2 * e**2 / 2)
    page.family(
        sp.Subs(sp.Derivative(integrand, (t, n)), t, 0) / sp.sqrt(sp.factorial(n)),
        sp.exp(-(1 + n) * y**2) * h(n, z),
        index=n,
        values=range(1, 6),
        because=(
            r"together, $\varphi_{NTK}(z) = \frac{2}{\sqrt\pi} \int_0^\infty e^{-y^2} (U_{y^2} \varphi)(z)\, dy$: "
            r"under the integral each power of $t$ carries $e^{-(1+k)y^2}$, which integrates to $1/\sqrt{1+k}$"
        ),
    )
    shipped = ntk_activation(sp.exp(sp.sqrt(2) * x - 2))
    page.step(
        2 / sp.sqrt(sp.pi) * sp.Integral((sp.exp(-1) * integrand).subs({t: sp.sqrt(2), z: x}), (y, 0, sp.oo)),
        shipped,
        because=r"for the tangent kernel $e^{2(\rho-1)}$, that is $t = \sqrt2$ and a factor $e^{-1}$",
        check="mpmath",
    )
    page.conclude(r"an activation with the tangent kernel $e^{2(\rho-1)}$", shipped)


def _bias(page: Derivation) -> None:
    j = sp.Symbol("j", integer=True, nonnegative=True)
    center = -b / w
    page.family(
        ((q * rho - b) / w) ** n,
        sp.Sum(sp.binomial(n, j) * center ** (n - j) * (q / w) ** j * rho**j, (j, 0, n)),
        index=n,
        values=range(6),
        because=(
            r"what a hidden bias does: $\xi = (q\rho - B)/W$, so the coefficients in $\rho$ belong to an expansion "
            r"about the cosine $-B/W$ at which the pre-activations are independent (and $K$ must continue analytically "
            r"to $|\rho| < 1$, the disc about that point which reaches the cosine 1)"
        ),
    )
    cube = coefficients(target_of(rho**3), Architecture("nngp", w, b), 0, 0).values
    page.step(
        sp.Tuple(
            *(sp.Subs(sp.Derivative(((q * rho - b) / w) ** 3, (rho, k)), rho, 0) / sp.factorial(k) for k in (2, 3))
        ),
        sp.Tuple(*cube[2:]),
        because=(r"the cube has the coefficient $-3q^2B/W^3$ of $\rho^2$, and is lost with any bias, however small"),
        check="symbolic",
    )
    page.conclude(r"the last coefficients of $\xi^3$ in the hidden correlation", sp.Tuple(*cube[2:]))
    page.step(
        sp.exp((q * rho - b) / w),
        sp.exp(center) * sp.exp(q / w * rho),
        because="the exponential is kept by every bias",
        check="symbolic",
    )
    page.family(
        (xi + t) ** n,
        sp.Sum(sp.binomial(n, j) * s ** (n - j) * (xi + t - s) ** j, (j, 0, n)),
        index=n,
        values=range(6),
        because=(
            r"less bias is always possible: with $t = B/W$ the condition is that $K$ is a sum of powers of $\xi + t$ "
            r"with weights $\ge 0$, and each of them is such a sum for the smaller $t - s$. So the feasible biases are "
            r"an interval from 0, with frozen hidden biases too, where the same is said of $\frac1\xi \int_0^\xi K$ "
            r"(but not when the hidden layer alone is trained: then $K(-t) = 0$ is needed, which holds for one bias at "
            r"most)"
        ),
    )
    example = 1 + rho + rho**2 + rho**3
    largest = ka.design(example, b_var=1).certificate.largest_b_var
    roots = [r for k in range(3) for r in sp.real_roots(sp.diff(example, (rho, k)), rho)]
    page.step(
        -sp.Max(*roots, evaluate=False),
        largest,
        because=(
            r"the end of the interval, for a polynomial that is feasible without bias: minus the largest real root of "
            r"$K - C$ and of all its derivatives, none of which is positive. There nothing is negative yet, and the "
            r"last derivative that vanishes there is negative to the left of it, also at a multiple root. For $1 + "
            r"\xi + \xi^2 + \xi^3$ and $W = 1$"
        ),
        check="symbolic",
    )
    page.conclude(r"the largest $B$ for $1 + \xi + \xi^2 + \xi^3$", largest)


def _truncation(page: Derivation) -> None:
    last = 3
    target = sp.exp(2 * (rho - 1))
    beginning = [2**k * sp.exp(-2) / sp.factorial(k) for k in range(last + 1)]
    rest = 1 - sp.Add(*beginning)
    page.bound(
        sp.Abs(target - power_series(beginning)),
        rest,
        because=(
            r"cut off after degree $M$ (here $e^{2(\rho-1)}$ after 3), a kernel of non-negative coefficients loses at "
            r"most $\sum_{k>M} a_k = K(1) - \sum_{k \le M} a_k$, which it loses at $\rho = 1$"
        ),
    )
    page.bound(
        sp.Integral(target, (rho, 0, 1)) - sp.Add(*(a / (1 + k) for k, a in enumerate(beginning))),
        rest / (last + 2),
        because=(
            r"the activation for the NTK loses $\sum_{k>M} a_k/(1+k)$ of its mean square, at most "
            r"$\frac{1}{M+2} \sum_{k>M} a_k$; for the NNGP kernel it loses $\sum_{k>M} a_k$"
        ),
    )
    inside, r = (w * rho + b) / q, sp.Symbol("r", real=True)
    page.family(
        (2 + n) * inside ** (n + 1) - (n + 1) * tau * inside**n,
        inside**n * (inside + (n + 1) * w / q * rho),
        index=n,
        values=range(6),
        because=(
            r"with frozen hidden biases some $a_k$ may be negative, but $K$ is a sum of $V b_k^2$ times a function "
            r"that is as simple; for $k = n + 1$, and with the cosine written $\rho$, it is"
        ),
    )
    page.name(r, inside)
    page.bound(
        sp.Tuple(*(sp.Abs(r ** (k - 1) * (r + k * w / q * rho)) for k in range(1, 5))),
        sp.Tuple(*(1 + k * w / q for k in range(1, 5))),
        because=(
            r"with the correlation $r = (W\rho + B)/q$ this is at most its value at equal inputs, shown for $k = 1, "
            r"\dots, 4$. So the loss is again largest there, $V \sum_{k>M} (1 + kW/q)\, b_k^2 = K(1) - K_M(1)$, and "
            r"the mean square of the activation loses at most this over $V (1 + (M+1) W/q)$"
        ),
    )


def _other_norms(page: Derivation) -> None:
    r = sp.Symbol("r", positive=True)
    coefficient = (t * r) ** n * sp.exp(t**2 * r**2 / 2) / sp.sqrt(sp.factorial(n))
    page.family(
        Mean(sp.exp(t * r * x) * h(n, x)),
        coefficient,
        index=n,
        values=range(6),
        because=(
            r"off the sphere, without biases and with $W = 1$: at the norm $|X| = r\sqrt d$ the coefficients are "
            r"$b_k(r) = \mathbb{E}[\varphi(rZ) h_k(Z)]$, and $\Sigma = \sum_k b_k(r)\, b_k(r')\, \rho^k$ with the "
            r"cosine $\rho$ of the two directions; now the signs count. For the exponentials $\varphi = e^{tz}$"
        ),
    )
    page.family(
        r * sp.Derivative(coefficient, r),
        n * coefficient + sp.sqrt((n + 1) * (n + 2)) * coefficient.subs(n, n + 2),
        index=n,
        values=range(6),
        because=(
            r"they obey $r b_k'(r) = k\, b_k(r) + \sqrt{(k+1)(k+2)}\, b_{k+2}(r)$, and so do those of the "
            r"polynomials that the exponentials generate"
        ),
    )
    top = 4
    shipped = sp.Tuple(*ka.activation("hermite", degree=top).hermite(top, q1))
    given = [sp.S.Zero] * top + [sp.S.One]
    page.step(
        sp.Tuple(
            *(
                sp.sqrt(q1) ** k
                * sp.Add(
                    *(
                        (q1 - 1) ** j
                        / (sp.factorial(j) * 2**j)
                        * sp.sqrt(sp.factorial(k + 2 * j) / sp.factorial(k))
                        * given[k + 2 * j]
                        for j in range((top - k) // 2 + 1)
                    )
                )
                for k in range(top + 1)
            )
        ),
        shipped,
        because=(
            r"with the solution $b_k(r) = r^k \sum_j \frac{(r^2-1)^j}{2^j j!} \sqrt{(k+2j)!/k!}\; b_{k+2j}(1)$; for "
            r"$h_4$ at variance $q_1 = r^2$"
        ),
        check="symbolic",
    )
    page.conclude("the Hermite coefficients of $h_4$ at any variance", shipped)
