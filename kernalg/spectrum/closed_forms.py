r"""Eigenvalues on the sphere as formulas in the degree and the dimension.

A profile that is a sum of the following terms, times powers of :math:`\rho`, has a formula:

.. math::
   \rho^m &: \quad \frac{m!\,\Gamma(d/2)}{2^m\,\Gamma(\frac{m-k}2+1)\,\Gamma(\frac{m+k+d}2)}
       \quad (k\le m,\ k\equiv m \bmod 2) \\
   \arcsin\rho &: \quad \frac{\Gamma(d/2)^2}{2\pi}\,\frac{\Gamma(k/2)^2}{\Gamma(\frac{k+d}2)^2} \quad (k \text{ odd}) \\
   (1-\rho^2)^\nu &: \quad \frac{\Gamma(\frac d2)\Gamma(\nu+\frac{d-1}2)}{\sqrt\pi\,\Gamma(-\nu)}\,
       \frac{\Gamma(\frac{k+1}2)\Gamma(\frac k2-\nu)}{\Gamma(\frac{k+d-1}2)\Gamma(\frac{k+d}2+\nu)}
       \quad (k \text{ even}) \\
   (1\mp\rho)^\nu &: \quad (\pm1)^k\,2^{\nu+d-2}\,
       \frac{\Gamma(\frac d2)\Gamma(\nu+\frac{d-1}2)}{\sqrt\pi\,\Gamma(-\nu)}\,
       \frac{\Gamma(k-\nu)}{\Gamma(k+\nu+d-1)} \\
   e^{b\rho} &: \quad \Gamma(d/2)\,(b/2)^{1-d/2}\,I_{k+d/2-1}(b)

The powers of :math:`\rho` enter by :math:`\lambda_k[\rho f]=\frac{k\lambda_{k-1}[f]+(k+d-2)\lambda_{k+1}[f]}{2k+d-2}`
(:math:`\lambda_1[f]` for k = 0). The duals of step and ReLU and tangent kernels with one hidden layer are such sums.
The page derivations/sphere_spectra.md derives each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb

from kernalg.enclosure.balls import ball, ball_function, bits_for, has_digits, precision
from kernalg.errors import DomainError, InternalError, NoClosedForm
from kernalg.spectrum.profiles import Profile, profile_of, remembered
from kernalg.spectrum.spaces import Sphere
from kernalg.symbols import rho

DEGREE = sp.Symbol("k", integer=True, nonnegative=True)
_DIMENSION = sp.Symbol("d", positive=True)
# Gamma functions of larger numbers are written out by SymPy, with all their digits.
_LARGEST_NUMBER = 2000
_KNOWN = (
    "rho^m, asin(rho), acos(rho), (1-rho^2)^nu, (1-rho)^nu, (1+rho)^nu, exp(b*rho), sinh, cosh and products of them "
    "with rho^m"
)
# A tree of more nodes is a network of several layers; none of those has a formula.
_LARGEST = 2000


@dataclass(frozen=True, slots=True)
class Eigenvalues:
    """lambda_k as formulas in `DEGREE`: for even k, for odd k, and the degrees where another value holds."""

    even: sp.Expr
    odd: sp.Expr
    exceptions: dict[int, sp.Expr]


def eigenvalue_formula(K: Any, space: Sphere | sp.Symbol, k: sp.Symbol = DEGREE) -> sp.Expr:
    """The eigenvalue of degree k of a kernel on the sphere, as a SymPy expression.

    Parameters
    ----------
    K : Kernel, Profile or SymPy expression in rho
        An expression may hold further symbols (an exponent, a rate).
    space : Sphere or Symbol
        ``Sphere(10)``, or a symbol that stands for the dimension d > 2.
    k : Symbol
        The degree in the result, a non-negative integer.

    Returns
    -------
    sympy.Expr
        Eigenvalue per harmonic under the uniform probability measure, to be differentiated, exported or evaluated;
        a Piecewise in k where even, odd or single degrees differ.

    Raises
    ------
    DomainError
        If the kernel is not a sum of terms with a known formula.

    Examples
    --------
    >>> import kernalg as ka
    >>> eigenvalue_formula(ka.mlp("step", depth=1).nngp, Sphere(3)).subs(DEGREE, 1)
    1/16
    >>> d = sp.Symbol("d", positive=True)
    >>> eigenvalue_formula((1 - rho) ** sp.Rational(1, 2), d).subs({DEGREE: 2, d: 3})
    -2*sqrt(2)/105
    """
    if not isinstance(k, sp.Symbol):
        raise DomainError(f"k={k!r}: give a SymPy symbol for the degree; put numbers into the result with .subs")
    if isinstance(space, Sphere):
        if space.d > _LARGEST_NUMBER:
            raise DomainError(
                f"d={space.d}: formulas are written out for numbers up to {_LARGEST_NUMBER}; give a symbol for the "
                "dimension, or use `spectrum` for numbers"
            )
        d: sp.Expr = sp.Integer(space.d)
    elif isinstance(space, sp.Symbol) and space != k:
        d = space
    else:
        raise DomainError(f"space={space!r}: give Sphere(d), or a SymPy symbol for the dimension")
    found = formula_parts(profile_formula(K), d)
    cases = [(value, sp.Eq(DEGREE, j)) for j, value in sorted(found.exceptions.items())]
    if found.even != found.odd:
        cases.append((found.even, sp.Eq(sp.Mod(DEGREE, 2), 0)))
    return sp.Piecewise(*cases, (found.odd, True)).subs(DEGREE, k)


def profile_formula(K: Any) -> sp.Expr:
    """The profile of a kernel as an expression in rho; DomainError if it has none."""
    if isinstance(K, sp.Expr):
        return K
    try:
        expr = getattr(profile_of(K), "expr", None)
    except NoClosedForm as error:
        raise DomainError(f"{K!r} has no formula in rho, so its eigenvalues have none: {error}") from error
    if not isinstance(expr, sp.Expr):
        raise DomainError(f"{K!r} has no formula in rho (.expr): give one that has, or a SymPy expression in rho")
    return expr


def formula_parts(expr: sp.Expr, d: sp.Expr) -> Eigenvalues:
    """The eigenvalues of the profile `expr` in dimension `d`; DomainError if a term has no known formula."""
    if sum(1 for _, _ in zip(range(_LARGEST), sp.preorder_traversal(expr), strict=False)) == _LARGEST:
        raise _unknown("the formula of a deep network")
    arcs = expr.atoms(sp.asin, sp.acos)
    if any(arc.args[0].has(sp.asin, sp.acos) for arc in arcs):  # and expanding such a tree takes long
        raise _unknown("an arc of arcs, as several layers have")
    terms = _terms(expr)
    _check_terms(expr, terms)
    polynomial: dict[int, sp.Expr] = {}
    groups: dict[sp.Expr, list[tuple[sp.Expr, int, _Family]]] = {}
    for coefficient, m, base in terms:
        if base is sp.S.One:
            for j in range(m % 2, m + 1, 2):
                polynomial[j] = sp.factor(polynomial.get(j, sp.S.Zero) + coefficient * _monomial(m, j, d))
            continue
        # Powers of 1 - rho^2 have the Gamma functions of the arcsine: one product comes of them all.
        kind = sp.asin(rho) if base.as_base_exp()[0] == 1 - rho**2 else base
        groups.setdefault(kind, []).append((coefficient, m, _Family(*_base_formulas(base, d), d)))
    even, odd = (
        sp.Add(*(common_gammas(sp.Add(*(a * f.formula(m, parity) for a, m, f in group))) for group in groups.values()))
        for parity in (0, 1)
    )
    # The multiplication rule, applied twice or more, may read 0/0 at the lowest degrees.
    lowest = max((m - 1 for group in groups.values() for _, m, _ in group), default=0)
    exceptions = {
        j: polynomial.get(j, sp.S.Zero)
        + sp.Add(*(common_gammas(sp.Add(*(a * f.value(m, j) for a, m, f in group))) for group in groups.values()))
        for j in set(polynomial) | set(range(lowest))
    }
    return Eigenvalues(even, odd, exceptions)


@dataclass(frozen=True, slots=True)
class _Family:
    """Eigenvalues of one of the base functions, and of its products with powers of rho."""

    even: sp.Expr
    odd: sp.Expr
    d: sp.Expr

    def formula(self, m: int, parity: int) -> sp.Expr:
        """lambda_k[rho^m f] for k of this parity, by the multiplication rule."""
        if m == 0:
            return self.odd if parity else self.even
        k, other = DEGREE, self.formula(m - 1, 1 - parity)
        below, above = other.subs(k, k - 1), other.subs(k, k + 1)
        if self.d == 2:
            return (below + above) / 2
        return (k * below + (k + self.d - 2) * above) / (2 * k + self.d - 2)

    def value(self, m: int, k: int) -> sp.Expr:
        """The same for a number k."""
        if m == 0:
            return self.formula(0, k % 2).subs(DEGREE, k)
        if k == 0:
            return self.value(m - 1, 1)
        below, above = self.value(m - 1, k - 1), self.value(m - 1, k + 1)
        return (k * below + (k + self.d - 2) * above) / (2 * k + self.d - 2)


def _monomial(m: int, k: int, d: sp.Expr) -> sp.Expr:
    half = (m - k) // 2
    rising = sp.prod([d / 2 + i for i in range((m + k) // 2)])
    return sp.factorial(m) / (sp.Integer(2) ** m * sp.factorial(half) * rising)


def _base_formulas(base: sp.Expr, d: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """lambda_k for even and for odd k."""
    k = DEGREE
    if base == sp.asin(rho):
        return sp.S.Zero, sp.gamma(d / 2) ** 2 * sp.gamma(k / 2) ** 2 / (2 * sp.pi * sp.gamma((k + d) / 2) ** 2)
    if isinstance(base, sp.exp):
        b = base.args[0].coeff(rho)
        rate = -b if b.is_negative else b
        bessel = sp.gamma(d / 2) * (rate / 2) ** (1 - d / 2) * sp.besseli(k + d / 2 - 1, rate)
        return bessel, (-bessel if b.is_negative else bessel)
    argument, nu = base.as_base_exp()
    if d.is_number and not (nu + (d - 1) / 2).is_positive and nu.is_number:
        raise DomainError(f"{base} is not integrable on the sphere in d = {d} dimensions")
    constant = sp.gamma(d / 2) * sp.gamma(nu + (d - 1) / 2) / (sp.sqrt(sp.pi) * sp.gamma(-nu))
    if argument == 1 - rho**2:
        falling = sp.gamma((k + 1) / 2) * sp.gamma(k / 2 - nu)
        return constant * falling / (sp.gamma((k + d - 1) / 2) * sp.gamma((k + d) / 2 + nu)), sp.S.Zero
    value = 2 ** (nu + d - 2) * constant * sp.gamma(k - nu) / sp.gamma(k + nu + d - 1)
    return value, (value if argument == 1 - rho else -value)


# ---------------------------------------------------------------------------------------------------------------------
# Reading an expression


def _terms(expr: sp.Expr) -> list[tuple[sp.Expr, int, sp.Expr]]:
    """`expr` as a sum of coefficient * rho^m * base."""
    for arc in expr.atoms(sp.acos):
        expr = expr.xreplace({arc: sp.pi / 2 - sp.asin(arc.args[0])})
    for function in expr.atoms(sp.cosh, sp.sinh):
        expr = expr.xreplace({function: function.rewrite(sp.exp)})
    powers = {p: _power(p) for p in expr.atoms(sp.Pow) if p.has(rho)}
    collected: dict[tuple[int, sp.Expr], sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(expr.xreplace(powers), power_base=False)):
        coefficient, rest = term.as_independent(rho, as_Add=False)
        m, base = 0, sp.S.One
        roots: dict[sp.Expr, sp.Expr] = {}
        for factor in sp.Mul.make_args(rest):
            argument, exponent = factor.as_base_exp()
            if argument == rho and exponent.is_Integer and exponent > 0:
                m += int(exponent)
            elif factor == sp.asin(rho) or (isinstance(factor, sp.exp) and _is_linear(factor.args[0])):
                base *= factor
            elif argument in (1 - rho, 1 + rho):
                roots[argument] = roots.get(argument, sp.S.Zero) + exponent
            elif factor != 1:
                raise _unknown(str(factor))
        for power, scaled in _joined_roots(roots, m):
            kind = power * base
            if isinstance(kind, sp.Mul):
                raise _unknown(str(kind))
            if isinstance(kind, sp.exp):
                constant, _ = kind.args[0].expand().as_independent(rho, as_Add=True)
                kind, scale = sp.exp(sp.expand(kind.args[0] - constant)), sp.exp(constant)
            else:
                scale = sp.S.One
            for extra, a in scaled:
                key = (m + extra, kind)
                collected[key] = collected.get(key, sp.S.Zero) + a * coefficient * scale
    return [(a, m, base) for (m, base), a in collected.items() if a != 0]


def _power(power: sp.Pow) -> sp.Expr:
    """A power of a linear or quadratic polynomial with the roots 1 and -1 in terms of (1 - rho) and (1 + rho)."""
    base, exponent = power.as_base_exp()
    if not base.is_polynomial(rho) or (exponent.is_Integer and exponent >= 0) or exponent.has(rho):
        return power
    polynomial = sp.Poly(base, rho)
    result = sp.S.One
    for root, factor in ((1, 1 - rho), (-1, 1 + rho)):
        while polynomial.degree() > 0 and sp.simplify(polynomial.eval(root)) == 0:
            polynomial = polynomial.quo(sp.Poly(factor, rho))
            result *= factor**exponent
    constant = polynomial.as_expr()
    if constant.has(rho) or not constant.is_positive:
        return power
    return constant**exponent * result


def _joined_roots(roots: dict[sp.Expr, sp.Expr], m: int) -> Iterable[tuple[sp.Expr, list[tuple[int, sp.Expr]]]]:
    """(1-rho)^a (1+rho)^b as one power times a polynomial [(exponent of rho, coefficient)]."""
    a, b = (sp.S(roots.get(argument, 0)) for argument in (1 - rho, 1 + rho))
    whole = [sp.S.Zero if e.is_Integer and e >= 0 else e for e in (a, b)]
    if whole[0] == whole[1]:
        power = sp.Pow(1 - rho**2, whole[0])
    elif whole[0] != 0 and whole[1] != 0 and (whole[0] - whole[1]).is_Integer:
        whole = [min(whole, key=lambda e: e - whole[0])] * 2
        power = sp.Pow(1 - rho**2, whole[0])
    else:
        power = (1 - rho) ** whole[0] * (1 + rho) ** whole[1]
    polynomial = sp.Poly(sp.expand((1 - rho) ** (a - whole[0]) * (1 + rho) ** (b - whole[1])), rho)
    yield power, [(int(i), value) for (i,), value in polynomial.terms()]


def _is_linear(exponent: sp.Expr) -> bool:
    return bool(exponent.is_polynomial(rho) and sp.degree(exponent, rho) == 1)


def _check_terms(expr: sp.Expr, terms: list[tuple[sp.Expr, int, sp.Expr]]) -> None:
    """The terms add up to the profile, in balls."""
    if expr.free_symbols - {rho}:
        return
    total = sp.Add(*(a * rho**m * base for a, m, base in terms))
    with precision(200):
        for point in (sp.Rational(-3, 7), sp.Rational(5, 8)):
            left, right = (ball_function(side, (rho,))(ball(point)) for side in (expr, total))
            if not left.overlaps(right):
                raise InternalError(f"{expr} was read as {total}, which differs at rho = {point}")


def _unknown(what: str) -> DomainError:
    return DomainError(
        f"no formula for the eigenvalues is known for {what}: known are sums of {_KNOWN}. `spectrum` computes numbers "
        "for any kernel"
    )


# ---------------------------------------------------------------------------------------------------------------------
# One product of Gamma functions


def common_gammas(expr: sp.Expr) -> sp.Expr:
    """`expr` with Gamma functions whose arguments differ by integers written as one of them, and factored."""
    groups: dict[tuple[sp.Expr, sp.Rational], list[tuple[sp.Rational, sp.Expr]]] = {}
    for factor in expr.atoms(sp.gamma):
        constant, rest = sp.expand(factor.args[0]).as_coeff_Add()
        if rest.free_symbols:
            groups.setdefault((rest, constant % 1), []).append((constant, factor))
    if expr.has(sp.besseli):
        return expr
    replacements = {}
    for (rest, _), members in groups.items():
        lowest = min(constant for constant, _ in members)
        for constant, factor in members:
            rising = sp.prod([rest + lowest + i for i in range(int(constant - lowest))])
            replacements[factor] = sp.gamma(rest + lowest) * rising
    return sp.factor(expr.xreplace(replacements), deep=False)


def eigenvalues_by_formula(profile: Profile, d: int, levels: Iterable[int], digits: int) -> dict[int, tuple[arb, str]]:
    """The levels to `digits` digits, with the method in words; none of them if the profile has no formula in balls."""
    pending = list(levels)
    if not pending:
        return {}
    circle = d == 2  # where the multiplication rule has another form
    eigenvalue = remembered(profile, ("formula", circle), lambda: _ball_eigenvalues(profile, circle))
    found: dict[int, tuple[arb, str]] = {}
    if eigenvalue is None:
        return found
    bits = bits_for(digits) + 64
    for attempt in range(6):
        with precision(bits << attempt):
            for k in pending:
                value = eigenvalue(k, d)
                if has_digits(value, digits):
                    found[k] = value, "closed form"
        pending = [k for k in pending if k not in found]
    return found


def _ball_eigenvalues(profile: Profile, circle: bool) -> Callable[[int, int], arb] | None:
    """(k, d) -> enclosure of lambda_k at the current precision; None without a formula, or if Arb lacks a function.

    Bessel's function is not among Arb's here: the series of an exponential kernel is as fast.
    """
    try:
        found = formula_parts(profile_formula(profile), sp.S(2) if circle else _DIMENSION)
    except DomainError:
        return None
    if found.even.has(sp.besseli) or found.odd.has(sp.besseli):
        return None
    functions = [ball_function(part, (DEGREE, _DIMENSION)) for part in (found.even, found.odd)]
    exceptions = {j: ball_function(value, (_DIMENSION,)) for j, value in found.exceptions.items()}

    def eigenvalue(k: int, d: int) -> arb:
        value: arb = exceptions[k](ball(d)) if k in exceptions else functions[k % 2](ball(k), ball(d))
        return value

    return eigenvalue
