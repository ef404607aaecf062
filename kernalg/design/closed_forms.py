"""Activations in closed form: a family for each parity, finitely many exceptions, and periodic signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import sympy as sp

from kernalg.design.kernel_families import Family, Growth, neat, root
from kernalg.errors import DomainError
from kernalg.symbols import rho, x


@dataclass(frozen=True, slots=True)
class Half:
    """All that is known of the even, or of the odd, coefficients: amplitude times a family, except for some.

    Attributes
    ----------
    parity : int
    family : Family, optional
        None when there are finitely many coefficients.
    amplitude : Expr
    exceptions : tuple of (k, a_k)
        The coefficients that differ from the family's.
    """

    parity: int
    family: Family | None = None
    amplitude: sp.Expr = sp.S.Zero
    exceptions: tuple[tuple[int, sp.Expr], ...] = ()

    @property
    def is_zero(self) -> bool:
        return self.family is None and not self.exceptions

    def squares(self, terms: int) -> list[sp.Expr]:
        """[a_0 … a_{terms-1}], zero at the other parity."""
        a = [sp.S.Zero] * terms
        if self.family is not None:
            a = [neat(self.amplitude * f) for f in self.family.squares(terms)]
        for k, value in self.exceptions:
            if k < terms:
                a[k] = value
        return a

    def kernel(self) -> sp.Expr:
        if self.family is None:
            return sp.Add(*(value * rho**k for k, value in self.exceptions))
        own = self._family_squares()
        corrections = ((value - own[k]) * rho**k for k, value in self.exceptions)
        return self.amplitude * self.family.kernel() + sp.Add(*corrections)

    def signs(self, terms: int, alternating: bool) -> list[int]:
        if self.family is None:
            found = [0] * terms
            for i, (k, value) in enumerate(self.exceptions):
                if k < terms and value != 0:
                    found[k] = (-1) ** i if alternating else 1
            return found
        found = self.family.signs(terms, alternating)
        if not alternating:
            found = [abs(s) for s in found]
        for k, value in self.exceptions:
            if k < terms:
                found[k] = 0 if value == 0 else found[k] or 1
        return found

    def activation(self, alternating: bool) -> sp.Expr:
        top = 1 + max((k for k, _ in self.exceptions), default=0)
        if self.family is None:
            signs = self.signs(top, alternating)
            return sp.Add(*(signs[k] * root(value) * _hermite(k) for k, value in self.exceptions))
        top = max(top, self.family.settled)
        own = self._family_squares(top)
        theirs, wanted = self.family.signs(top, alternating), self.signs(top, alternating)
        squares = self.squares(top)
        phi = self.family.activation(self.amplitude, alternating)
        for k in range(self.parity, top, 2):
            phi += neat(wanted[k] * root(squares[k]) - theirs[k] * root(own[k])) * _hermite(k)
        return phi

    def growth(self, alternating: bool) -> Growth:
        degree = max((k for k, value in self.exceptions), default=0)
        if self.family is None:
            return Growth(degree=degree)
        return max(self.family.growth(alternating), Growth(degree=degree))

    def _family_squares(self, terms: int | None = None) -> list[sp.Expr]:
        if self.family is None:
            return []
        terms = 1 + max((k for k, _ in self.exceptions), default=0) if terms is None else terms
        return [neat(self.amplitude * f) for f in self.family.squares(terms)]

    def __str__(self) -> str:
        text = "" if self.family is None else f"{self.family}, amplitude {self.amplitude}"
        if self.exceptions:
            some = ", ".join(f"a_{k} = {value}" for k, value in self.exceptions)
            text = f"{text}, except {some}" if text else some
        return text


def _hermite(k: int) -> sp.Expr:
    return sp.expand(sp.hermite_prob(k, x)) / sp.sqrt(sp.factorial(k))


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """An activation with a given kernel, as a formula.

    Attributes
    ----------
    activation : Expr
        In `kernalg.x`, for unit variance: a caller with variance q replaces x by x/sqrt(q).
    signs : str
        The pattern of the signs of the Hermite coefficients, repeated for ever: ``"+"``, ``"++--"``. A part in front
        of brackets comes once: ``"+(++--)"``. Where a coefficient is 0, any sign stands.
    growth : Growth
        How fast the activation grows; forms can be ordered by it.
    source : str
        The family, and what was recognised.
    proved : bool
        Whether the identity of the kernels was proved, and not only equality of some Taylor coefficients.
    even, odd : Half
        What is known of the coefficients.
    alternating : (bool, bool)
        Whether the signs of the even, and of the odd, coefficients alternate.
    """

    activation: sp.Expr
    signs: str
    growth: Growth
    source: str
    proved: bool
    even: Half
    odd: Half
    alternating: tuple[bool, bool]

    def sign_list(self, terms: int) -> list[int]:
        """Signs of b_0 … b_{terms-1}: 1, -1, or 0 where the coefficient is 0."""
        pairs = zip(
            self.even.signs(terms, self.alternating[0]), self.odd.signs(terms, self.alternating[1]), strict=True
        )
        return [e + o for e, o in pairs]

    def coefficients(self, terms: int) -> list[sp.Expr]:
        """The exact Hermite coefficients b_0 … b_{terms-1} of `activation`."""
        if isinstance(terms, bool) or not isinstance(terms, int) or terms < 0:
            raise DomainError(f"coefficients({terms!r}): give the number of coefficients, an integer from 0 on")
        squares = zip(self.even.squares(terms), self.odd.squares(terms), strict=True)
        return [s * root(e + o) for s, (e, o) in zip(self.sign_list(terms), squares, strict=True)]

    @property
    def kernel(self) -> sp.Expr:
        """sum_k b_k^2 rho^k."""
        return self.even.kernel() + self.odd.kernel()

    def __repr__(self) -> str:
        return f"ClosedForm({self.activation}; signs {self.signs}; {self.growth})"


def variants(even: Half, odd: Half, proved: bool) -> tuple[ClosedForm, ...]:
    """The activations of a kernel, all-plus signs first, then by growth."""
    found: dict[tuple[int, ...], ClosedForm] = {}
    for first in (False, True):
        for second in (False, True):
            signs = _combined_signs(even, odd, (first, second))
            if tuple(signs) in found:
                continue
            found[tuple(signs)] = ClosedForm(
                activation=_joined(even.activation(first), odd.activation(second)),
                signs=sign_pattern(signs),
                growth=max(even.growth(first), odd.growth(second)),
                source="; ".join(f"{n} part: {h}" for n, h in (("even", even), ("odd", odd)) if not h.is_zero),
                proved=proved,
                even=even,
                odd=odd,
                alternating=(first, second),
            )
    forms = list(found.values())
    return (forms[0], *sorted(forms[1:], key=lambda f: f.growth))


def _combined_signs(even: Half, odd: Half, alternating: tuple[bool, bool], terms: int = 40) -> list[int]:
    pairs = zip(even.signs(terms, alternating[0]), odd.signs(terms, alternating[1]), strict=True)
    return [e + o for e, o in pairs]


def sign_pattern(signs: Sequence[int]) -> str:
    """The shortest pattern that signs repeat; zeros fit any sign.

    Examples
    --------
    >>> sign_pattern([1, 0, -1, 0] * 5), sign_pattern([1, 1, 1, 0, -1, 0] + [1, 0, -1, 0] * 4)
    ('++--', '+(++--)')
    """
    if -1 not in signs:
        return "+"
    if 1 not in signs:
        return "-"
    for prefix in range(len(signs) - 8):
        for period in _PERIODS:
            if all(s in (0, period[i % len(period)]) for i, s in enumerate(signs[prefix:])):
                repeated = "".join(_SYMBOL[s] for s in period)
                return "".join(_SYMBOL[s] for s in signs[:prefix]) + f"({repeated})" if prefix else repeated
    return "".join(_SYMBOL[s] for s in signs) + "…"


_SYMBOL = {1: "+", -1: "-", 0: "0"}
# Of length 2 first, then those of which the second half is minus the first (erf, sine and cosine, ReLU).
_PERIODS = sorted(
    [*product((1, -1), repeat=2), *product((1, -1), repeat=4)],
    key=lambda w: (len(w), len(w) == 4 and w[:2] != (-w[2], -w[3])),
)


def _joined(even: sp.Expr, odd: sp.Expr) -> sp.Expr:
    """even + odd, where both are of a kind in the shorter form: an exponential, a phase, slopes on two sides."""
    both = even + odd
    if both.has(sp.cosh) and both.has(sp.sinh):
        waves = sp.powsimp(sp.expand(both.replace(lambda e: isinstance(e, _HYPERBOLIC), lambda e: e.rewrite(sp.exp))))
        return min(both, waves, key=sp.count_ops)
    if even.has(sp.cos) and odd.has(sp.sin):
        argument = next(iter(odd.atoms(sp.sin))).args[0]
        amplitude = even / sp.cos(argument)
        if amplitude == odd / sp.sin(argument) and not amplitude.has(x):
            return sp.sqrt(2) * amplitude * sp.sin(argument + sp.pi / 4)
    one_sided = both.coeff(sp.Abs(x))
    rest = sp.expand(both - one_sided * sp.Abs(x))
    if one_sided != 0 and not rest.has(sp.Abs):
        left, right = sp.Poly(sp.expand(one_sided * x), x), sp.Poly(rest, x)
        if left.monoms() == right.monoms() and len(left.monoms()) == 1:
            n, a, b = left.degree(), left.LC(), right.LC()
            if neat(a - b) == 0:
                return 2 * a * sp.Max(0, x) ** n
            if n == 1:
                return neat(b + a) * sp.Max(0, x) + neat(b - a) * sp.Min(0, x)
    return both


_HYPERBOLIC = (sp.cosh, sp.sinh)
