r"""Families of kernels whose activation is a formula, whatever the periodic signs of its Hermite coefficients.

A kernel :math:`\sum_k a_k \rho^k` has the activations :math:`\sum_k \pm\sqrt{a_k}\,h_k`. Even and odd k are independent
of each other, so a family is a kernel of one parity. There are three, each given by its ratio of coefficients:

====================  ============================================  ================================================
family                :math:`(k+1)(k+2)\,a_{k+2}/a_k`               kernels
====================  ============================================  ================================================
exponential           :math:`u^2`                                   cosh(u rho), sinh(u rho)
error function        :math:`s^2(k+j)^2`, k - j odd                 the derivatives of order j of arcsin(s rho)/s;
                                                                    integrals from 0 for j < 0
Dawson                :math:`s^2(k+j)^2`, k - j even, j >= 1        arcsin(s rho)/(s sqrt(1 - s^2 rho^2)), derivatives
====================  ============================================  ================================================

With N the number operator (N h_k = k h_k), :math:`(N+p)\varphi` has the kernel :math:`(\theta+p)^2 K`,
:math:`\theta = \rho\,d/d\rho`: so each family comes with a factor k + p in its Hermite coefficients (GELU is one of
the error function's).

Why these have formulas. (k+1)(k+2) b_{k+2}^2 = s^2 (k+j)^2 b_k^2 with signs that alternate (upper) or not (lower) says
:math:`\varphi'' = \mp s(N+j)\varphi`, a differential equation of second order,
:math:`(1\mp s)\varphi'' = \mp s(z\varphi' + j\varphi)`. Its solution for j = 1 is :math:`e^{\mp az^2}`,
:math:`a = s/(2(1\mp s))`, and Dawson's function of :math:`\sqrt a z` beside it; differentiation raises j by one, and
the equation itself, read downwards, gives the integrals. At s = 1 the upper sign leaves
:math:`z\varphi' = -j\varphi`: sign z, \|z\|, z\|z\| … In the exponential family e^{tz - t^2/2} generates the h_k.

References: Daniely, Frostig & Singer 2016 (dual activations); Cho & Saul 2009 (arc-cosine kernels); Simon, Anand &
DeWeese 2022 (reverse engineering the tangent kernel).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, total_ordering
from math import lcm

import sympy as sp

from kernalg.symbols import dawson, rho, x

EXPONENTIAL = "exponential"
ERROR_FUNCTION = "error function"
DAWSON = "Dawson"


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """exp(quadratic z^2 + linear z) z^degree, up to constants; ordered from mild to wild.

    Examples
    --------
    >>> print(Growth(), Growth(degree=2), Growth(linear=sp.sqrt(2)), Growth(quadratic=sp.Rational(1, 5)))
    bounded polynomial of degree 2 exp(sqrt(2)*z) exp(z**2/5)
    >>> Growth(degree=2) < Growth(linear=1)
    True
    """

    quadratic: sp.Expr = sp.S.Zero
    linear: sp.Expr = sp.S.Zero
    degree: int = 0

    @property
    def _key(self) -> tuple[float, float, int]:
        return float(self.quadratic), float(self.linear), int(self.degree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Growth) and self._key == other._key

    def __lt__(self, other: Growth) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        z = sp.Symbol("z")
        exponent = self.quadratic * z**2 + self.linear * z
        if exponent == 0:
            return f"polynomial of degree {self.degree}" if self.degree else "bounded"
        return str(sp.exp(exponent))


@dataclass(frozen=True, slots=True)
class Family:
    """A kernel of one parity and its two activations (see the module).

    Attributes
    ----------
    name : str
        `EXPONENTIAL`, `ERROR_FUNCTION` or `DAWSON`.
    parity : int
        0 for an even kernel, 1 for an odd one.
    scale : Expr
        u of the exponential family, s of the other two; positive.
    order : int
        j of the two others.
    shift : Expr, optional
        p of the factor k + p in the Hermite coefficients.
    """

    name: str
    parity: int
    scale: sp.Expr
    order: int = 0
    shift: sp.Expr | None = None

    @property
    def is_square_summable(self) -> bool:
        """Whether the kernel is finite at rho = 1. At s = 1, a_k decays like k^(j - 3/2), with p like k^(j + 1/2)."""
        if self.name == EXPONENTIAL or (1 - self.scale).is_positive:
            return True
        return bool(self.scale == 1 and self.name == ERROR_FUNCTION and self.order <= (0 if self.shift is None else -2))

    def squares(self, terms: int) -> list[sp.Expr]:
        """[a_0 … a_{terms-1}], exact."""
        return list(_squares(self, terms))

    def kernel(self) -> sp.Expr:
        """sum_k a_k rho^k."""
        base = _base_kernel(self)
        if self.shift is None:
            return base
        once = rho * sp.diff(base, rho) + self.shift * base
        return rho * sp.diff(once, rho) + self.shift * once

    def signs(self, terms: int, alternating: bool) -> list[int]:
        """Signs of the Hermite coefficients of `activation`.

        When they alternate the first is positive; when they do not, all from some index on are.
        """
        orientation = self._orientation(alternating)
        found = [0] * terms
        for k in range(self.parity, terms, 2):
            found[k] = orientation * self._unoriented_sign(k, alternating)
        return found

    def activation(self, amplitude: sp.Expr, alternating: bool) -> sp.Expr:
        """sum_k ± sqrt(amplitude a_k) h_k."""
        return self._orientation(alternating) * _unoriented(self, amplitude, alternating)

    def growth(self, alternating: bool) -> Growth:
        raised = 0 if self.shift is None else 1
        if self.name == EXPONENTIAL:
            return Growth(degree=raised) if alternating else Growth(linear=sp.sqrt(self.scale), degree=raised)
        if alternating:
            return Growth(degree=max(-self.order, 0))
        return Growth(quadratic=self.scale / (2 * (1 + self.scale)), degree=self.order - 1 + 2 * raised)

    @property
    def settled(self) -> int:
        """An index from which the signs follow their pattern."""
        return max(-self.order, 0 if self.shift is None else int(sp.ceiling(-self.shift)), 0) + 2

    def _orientation(self, alternating: bool) -> int:
        signs = [self._unoriented_sign(k, alternating) for k in range(self.parity, self.settled + 3, 2)]
        return next(filter(None, signs)) if alternating else signs[-1]

    def _unoriented_sign(self, k: int, alternating: bool) -> int:
        """Of the k-th Hermite coefficient of `_unoriented`.

        b_k of an integral of phi has the sign of phi's b_{k-1}; b_{k+2}/b_k has that of -(k + j) when they alternate,
        of k + j when they do not.
        """
        way = -1 if alternating else 1
        sign = 1 if self.shift is None else _sign(k + self.shift)
        steps = (k if self.name == EXPONENTIAL else k + self.order - 1) // 2
        return sign * (way**steps if steps >= 0 else (-way) ** -steps)

    def __str__(self) -> str:
        if self.name == EXPONENTIAL:
            text = f"exponential family, u = {self.scale}"
        else:
            text = f"{self.name} family, s = {self.scale}, order {self.order}"
        return text if self.shift is None else f"{text}, times k + {self.shift}".replace("+ -", "- ")


def _sign(value: sp.Expr) -> int:
    return 0 if value == 0 else 1 if value.is_positive else -1


@lru_cache(maxsize=256)
def _squares(family: Family, terms: int) -> tuple[sp.Expr, ...]:
    a = [sp.S.Zero] * terms
    base = _base_kernel(family)
    value = sp.simplify((sp.diff(base, rho) if family.parity else base).subs(rho, 0))
    for k in range(family.parity, terms, 2):
        a[k] = value if family.shift is None else value * (k + family.shift) ** 2
        ratio = family.scale**2 * (1 if family.name == EXPONENTIAL else (k + family.order) ** 2)
        value = value * ratio / ((k + 1) * (k + 2))
    return tuple(a)


@lru_cache(maxsize=256)
def _base_kernel(family: Family) -> sp.Expr:
    """The family's kernel without the factor (k + p)^2.

    (1 - s^2 rho^2) K_{j+2} = s^2 (2j+1) rho K_{j+1} + s^2 j^2 K_j with K_{j+1} = K_j', read upwards or downwards.
    """
    s = family.scale
    if family.name == EXPONENTIAL:
        return sp.sinh(s * rho) if family.parity else sp.cosh(s * rho)
    gap = 1 - s**2 * rho**2
    angle = sp.asin(s * rho)
    if family.name == ERROR_FUNCTION:
        lower, upper, j = angle / s, 1 / sp.sqrt(gap), 0
    else:
        lower = angle / (s * sp.sqrt(gap))
        upper, j = sp.diff(lower, rho), 1
    while j < family.order:
        lower, upper, j = upper, (s**2 * (2 * j + 1) * rho * upper + s**2 * j**2 * lower) / gap, j + 1
    while j > family.order:
        j -= 1
        lower, upper = sp.expand((gap * upper - s**2 * (2 * j + 1) * rho * lower) / (s**2 * j**2)), lower
    return _in_powers(lower, gap) if family.order < 0 else lower


def _in_powers(kernel: sp.Expr, gap: sp.Expr) -> sp.Expr:
    """P arcsin + Q sqrt(gap), with polynomials P and Q collected."""
    radical, angle = sp.Dummy("radical"), sp.Dummy("angle")
    (arc,) = kernel.atoms(sp.asin)
    flat = sp.expand(kernel).subs(arc, angle)
    flat = flat.replace(
        lambda e: e.is_Pow and e.exp.is_Rational and e.exp.q == 2 and e.has(rho), lambda e: radical**e.exp.p
    )
    flat = sp.expand(flat)
    rest = sp.cancel((flat.coeff(angle, 0) / radical).subs(radical, sp.sqrt(gap)))
    return sp.factor(flat.coeff(angle, 1)) * arc + sp.factor(rest) * sp.sqrt(gap)


def _unoriented(family: Family, amplitude: sp.Expr, alternating: bool) -> sp.Expr:
    """The activation whose kernel is amplitude times the family's, up to its sign."""
    s, j, p = family.scale, family.order, family.shift
    if family.name == EXPONENTIAL:
        t = sp.sqrt(s)
        waves = (sp.cos(t * x), sp.sin(t * x)) if alternating else (sp.cosh(t * x), sp.sinh(t * x))
        phi = root(amplitude) * sp.exp(s / 2 if alternating else -s / 2) * waves[family.parity]
        return phi if p is None else sp.expand(x * sp.diff(phi, x) - sp.diff(phi, x, 2) + p * phi)
    way = -1 if alternating else 1  # phi'' = way s (N + j) phi
    degenerate = alternating and s == 1
    width = sp.S.Zero if degenerate else sp.radsimp(1 / (1 + way * s))
    a = s * width / 2
    if family.name == DAWSON:
        # E d/dz D(sqrt(a) z) = sqrt(a)/(1 + 2a), by D(y) = int_0^oo exp(-t^2) sin(2 y t) dt.
        lower = (
            dawson(sp.sqrt(a) * x) if alternating else sp.sqrt(sp.pi) / 2 * sp.exp(a * x**2) * sp.erf(sp.sqrt(a) * x)
        )
        lower = root(2 * amplitude * width / s) * lower
        upper, start = sp.diff(lower, x), 1
    else:
        # E exp(-a z^2) = (1 + 2a)^(-1/2), and erf is its integral.
        step = sp.sign(x) if degenerate else (sp.erf if alternating else sp.erfi)(sp.sqrt(a) * x)
        lower = root(amplitude * sp.pi / (2 * s)) * step
        upper, start = root(amplitude * width) * sp.exp(way * a * x**2), 0
    chain = {start: lower, start + 1: upper}
    for i in range(start, j + 1):
        chain[i + 2] = sp.expand(way * 2 * a * (x * chain[i + 1] + i * chain[i]))
    for i in range(start - 1, j - 1, -1):
        below = 0 if degenerate else way * chain[i + 2] / (2 * a)
        chain[i] = sp.expand((below - x * chain[i + 1]) / i)
    if degenerate:
        chain = {i: phi.replace(sp.sign, lambda t: sp.Abs(t) / t) if i < 0 else phi for i, phi in chain.items()}
    if p is None:
        return chain[j]
    return sp.expand(x * chain[j + 1] - chain[j + 2] + p * chain[j])


def neat(number: sp.Expr) -> sp.Expr:
    """An exact number, expanded; without roots in denominators when it is algebraic."""
    return sp.radsimp(number) if number.is_algebraic else sp.expand(number)


def root(square: sp.Expr) -> sp.Expr:
    """The square root of an exact number, without a root of a square such as 1 - 2 exp(1/2) + e."""
    if square.is_Rational:
        return sp.sqrt(square)
    # Powers of e with rational exponents become powers of one generator, so that factoring sees them.
    exponents = [e.exp for e in square.atoms(sp.exp) if e.exp.is_Rational]
    step = sp.Rational(1, lcm(*(e.q for e in exponents)))
    generator = sp.Dummy("e", positive=True)
    flat = square.replace(lambda e: isinstance(e, sp.exp) and e.exp.is_Rational, lambda e: generator ** (e.exp / step))
    found = sp.sqrt(sp.factor(flat.subs(sp.E, generator ** (1 / step))))
    found = found.replace(sp.Abs, lambda p: p if p.subs(generator, sp.exp(step)).is_positive else -p)
    return sp.sqrtdenest(found.subs(generator, sp.exp(step)))
