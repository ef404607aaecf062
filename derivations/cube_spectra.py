"""Spectra where coordinates are independent: exponentials on the cube, the Gaussian kernel under Gaussian inputs."""

from __future__ import annotations

import sympy as sp

from kernalg.derivation.steps import Derivation
from kernalg.expansion.cube import cube_exponential
from kernalg.spectrum.gaussian_inputs import gaussian_eigenvalue


def derive() -> Derivation:
    """The hypercube by products over coordinates and by words; Gaussian inputs by Mehler's expansion."""
    d = Derivation(
        "cube_spectra",
        "Spectra on the hypercube, and of the Gaussian kernel under Gaussian inputs",
        references=(
            "R. O'Donnell, Analysis of Boolean Functions, Cambridge University Press (2014), chapter 2",
            "C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press (2006), "
            "section 4.3.1",
            "F. G. Mehler, Ueber die Entwicklung einer Function von beliebig vielen Variablen nach Laplaceschen "
            "Functionen hoeherer Ordnung, J. reine angew. Math. 66 (1866)",
        ),
        introduction=(
            r"On the corners of the cube $\{-1,1\}^d$, all equally probable, a kernel $f(\langle x,y\rangle/d)$ has "
            r"the parities $\chi_S(x)=\prod_{i\in S}x_i$ as eigenfunctions, because it is invariant under $x_i,y_i\to "
            r"-x_i,-y_i$; put $y=(1,\dots,1)$ to see that the eigenvalue is $\lambda_k=\mathbb{E}[f(\bar x)\,x_1\cdots "
            r"x_k]$, $k=|S|$. For the exponential kernel this is a product over the coordinates, and so it is for the "
            r"Gaussian kernel $e^{-|x-y|^2/(2\ell)}$ under Gaussian inputs, where Mehler's expansion diagonalises one "
            r"coordinate."
        ),
    )
    on_the_cube(d)
    under_gaussian_inputs(d)
    return d


def on_the_cube(derivation: Derivation) -> None:
    b, dimension, k, t, z = sp.symbols("b d k t z", positive=True)
    j = sp.Symbol("j", integer=True, nonnegative=True)
    derivation.step(
        sp.exp(b / dimension) / 2 + sp.exp(-b / dimension) / 2,
        sp.cosh(b / dimension),
        because=r"one coordinate that is not in $S$ contributes $\mathbb{E}[e^{b x_i/d}]$ to $f = e^{bt}$",
        check="symbolic",
    )
    derivation.step(
        sp.exp(b / dimension) / 2 - sp.exp(-b / dimension) / 2,
        sp.sinh(b / dimension),
        because=r"one that is in $S$ contributes $\mathbb{E}[e^{b x_i/d} x_i]$",
        check="symbolic",
    )
    exponential = cube_exponential(b, dimension, k)
    derivation.step(
        (sp.exp(b / dimension) / 2 - sp.exp(-b / dimension) / 2) ** k
        * (sp.exp(b / dimension) / 2 + sp.exp(-b / dimension) / 2) ** (dimension - k),
        exponential,
        because=r"there are $k$ of the one and $d - k$ of the other kind; this is $\lambda_k$ of $e^{bt}$",
        check="proof or balls",
    )
    derivation.conclude(r"the eigenvalues of $e^{bt}$ on the cube", exponential)
    n = sp.Symbol("n", integer=True, positive=True)
    derivation.family(
        sp.Sum(sp.binomial(n, j) * sp.exp(b * (1 - 2 * j / n)) * (1 - z) ** j * (1 + z) ** (n - j), (j, 0, n)) / 2**n,
        (sp.cosh(b / n) + z * sp.sinh(b / n)) ** n,
        index=n,
        values=range(1, 6),
        because=(
            r"the same from the definition as a sum over the number $j$ of coordinates $-1$, for all $k$ at once: "
            r"$(1-z)^j(1+z)^{d-j}$ generates the Krawtchouk polynomials, so $z^k$ has the coefficient $\binom dk "
            r"\lambda_k$; here $n = d$"
        ),
    )
    words = sp.sinh(t) ** k * sp.cosh(t) ** (dimension - k)
    derivation.step(
        sp.Derivative(words, t),
        k * sp.sinh(t) ** (k - 1) * sp.cosh(t) ** (dimension - k + 1)
        + (dimension - k) * sp.sinh(t) ** (k + 1) * sp.cosh(t) ** (dimension - k - 1),
        because=(
            r"every other kernel by its Taylor coefficients: the coefficient of $b^m/m!$ says that $t^m$ has the "
            r"eigenvalue $d^{-m} N_{k,m}$, $N_{k,m}$ being the $m$-th derivative of $\sinh(t)^k \cosh(t)^{d-k}$ at 0; "
            r"by one derivative more, $N_{k,m+1} = k N_{k-1,m} + (d-k) N_{k+1,m}$, integers that are never negative"
        ),
        check="symbolic",
    )
    m = sp.Symbol("m", integer=True, positive=True)
    derivation.family(
        sp.Subs(sp.Derivative(sp.sinh(t) ** m * sp.cosh(t) ** (7 - m), (t, m)), t, 0),
        sp.factorial(m),
        index=m,
        values=range(1, 6),
        because=(
            r"the first of them, here with $d = 7$ and $k = m$: hence $\lambda_k \approx a_k\, k!/d^k$ and $\binom dk "
            r"\lambda_k \to a_k$ in high dimension, $a_k$ being the Taylor coefficient of $f$"
        ),
    )


def under_gaussian_inputs(derivation: Derivation) -> None:
    s, length, root, ratio = sp.symbols("s ell C B", positive=True)
    u, v = sp.symbols("u v", real=True)
    n = sp.Symbol("n", integer=True, nonnegative=True)
    derivation.abbreviate(
        length,
        4 * s / (root**2 - 1),
        r"Gaussian inputs, one coordinate $x \sim N(0, s)$: the squared length is $\ell$, and $C = \sqrt{1 + 4s/\ell}$ "
        r"is the better parameter",
    )
    derivation.abbreviate(ratio, (root - 1) / (root + 1), "the correlation that Mehler's expansion needs")
    derivation.step(
        (1 - ratio) * sp.sqrt(root) / sp.sqrt(1 - ratio**2),
        sp.Integer(1),
        because=(
            r"Mehler's expansion is $\sum_n \mathrm{He}_n(u) \mathrm{He}_n(v) B^n/n! = "
            r"e^{(2Buv - B^2(u^2+v^2))/(2(1-B^2))}/\sqrt{1-B^2}$; the factor before its exponential is met by "
            r"$(1-B) \sqrt C$"
        ),
        check="symbolic",
    )
    scale = sp.sqrt(root / s)
    x, y = scale * u, scale * v
    derivation.step(
        (2 * ratio * x * y - ratio**2 * (x**2 + y**2)) / (2 * (1 - ratio**2)) - (root - 1) * (u**2 + v**2) / (4 * s),
        -((u - v) ** 2) / (2 * length),
        because=(
            r"the exponent at $\sqrt{C/s}\,u$ and $\sqrt{C/s}\,v$, with a Gaussian more in each variable, is that of "
            r"the kernel. So $e^{-(u-v)^2/(2\ell)} = \sum_n (1-B) B^n \varphi_n(u) \varphi_n(v)$ with $\varphi_n(u) = "
            r"C^{1/4} e^{-(C-1)u^2/(4s)} \mathrm{He}_n(\sqrt{C/s}\,u)/\sqrt{n!}$"
        ),
        check="symbolic",
    )
    derivation.step(
        sp.sqrt(root) * sp.exp(-(root - 1) * u**2 / (2 * s)) * sp.exp(-(u**2) / (2 * s)) / sp.sqrt(2 * sp.pi * s),
        scale * sp.exp(-((scale * u) ** 2) / 2) / sp.sqrt(2 * sp.pi),
        because=(
            r"the $\varphi_n$ are orthonormal: the Gaussians of two of them and the density of the input make the "
            r"standard normal density of $\sqrt{C/s}\,u$, and under it the $\mathrm{He}_n/\sqrt{n!}$ are"
        ),
        check="symbolic",
    )
    shipped = gaussian_eigenvalue(n, variance=s, squared_length=length)
    derivation.step(
        (1 - ratio) * ratio**n,
        shipped,
        because=r"so the eigenvalues are $(1-B) B^n$, which add up to $1 = \mathbb{E}[K(x,x)]$",
        check="symbolic",
    )
    derivation.conclude("the eigenvalues of the Gaussian kernel in one coordinate", shipped)
    a, b = 1 / (4 * s), 1 / (2 * length)
    total = a + b + a * root
    derivation.step(
        sp.Tuple(a**2 + 2 * a * b, 2 * a / total, b / total),
        sp.Tuple((a * root) ** 2, (1 - ratio) ** 2, ratio),
        because=(
            r"in the form of Rasmussen and Williams, $\sqrt{2a/A}\,(b/A)^n$ with $a = 1/(4s)$, $b = 1/(2\ell)$, $c = "
            r"\sqrt{a^2+2ab}$ and $A = a+b+c$, because $c = aC$. Independent coordinates multiply, and those of equal "
            r"variance share the level $n_1+\dots+n_m=k$ of multiplicity $\binom{k+m-1}{k}$"
        ),
        check="symbolic",
    )
