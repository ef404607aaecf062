"""The engine's own reasoning for one activation, as a derivation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement

import sympy as sp

from kernalg.activation.dual import Dual
from kernalg.activation.numeric import is_continuous
from kernalg.activation.polynomial_map import PolynomialMap
from kernalg.derivation.checks import by_hermite_series
from kernalg.derivation.expectation import Expectation
from kernalg.derivation.steps import Derivation
from kernalg.errors import DomainError, NoClosedForm
from kernalg.gaussian.atoms import Atom, Atoms
from kernalg.gaussian.expectation import expectation, hermite_moments
from kernalg.gaussian.extensions import Pair
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import c, q1, q2, x

REFERENCES = (
    "C. Stein, Estimation of the mean of a multivariate normal distribution, Ann. Statist. 9 (1981)",
    "R. Price, A useful theorem for nonlinear devices having Gaussian inputs, IRE Trans. Inf. Theory 4 (1958)",
    "Y. Cho and L. Saul, Kernel methods for deep learning, NIPS 2009",
)
FAMILY_REFERENCES = (
    "F. Mehler, Ueber die Entwicklung einer Function von beliebig vielen Variablen …, J. reine angew. Math. 66 (1866)",
    "Y. Cho and L. Saul, Kernel methods for deep learning, NIPS 2009",
)


def derivation(dual: Dual) -> Derivation:
    """How the closed form of a dual comes about, step by checked step.

    Parameters
    ----------
    dual : Dual
        ``phi.dual`` or ``phi.dual.derivative`` or a cross-dual.

    Raises
    ------
    NoClosedForm
        when the activation lies outside the class.

    Examples
    --------
    >>> import kernalg as ka
    >>> d = ka.derivation(ka.activation("erf").dual)
    >>> d.conclusion.formula
    2*asin(2*c/(sqrt(2*q1 + 1)*sqrt(2*q2 + 1)))/pi
    >>> print(d.steps[1].because)
    the pair of thresholds (a normal distribution function is a step on x plus independent noise) is ...
    """
    if not isinstance(dual, Dual):
        raise DomainError(f"derivation({dual!r}): give a dual, such as kernalg.activation('relu').dual")
    if dual.kind == "distributional":
        raise DomainError("the distributional dual is the c-derivative of the dual: derive that")
    if dual.extension is not None:
        return _of_a_family(dual, dual.extension)
    if dual.mehler is not None:
        return _of_polynomials(dual, dual.mehler)
    left, right = dual.atoms
    title = {"dual": f"Dual of {dual.name}", "derivative": f"Derivative dual of {dual.name}"}[dual.kind]
    d = Derivation(
        f"{dual.kind}-{dual.name}" if re.fullmatch(r"\w+", dual.name) else dual.kind,
        title,
        references=REFERENCES,
        introduction=(
            "$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. The function is "
            "written as a sum of atoms $x^n e^{Ax^2 + Bx}$ times a threshold; the expectation of each pair of atoms "
            "closes, and their sum is the dual."
        ),
    )
    same = dual.right is None
    f, g = _expr(left), _expr(right)
    d.define(sp.Symbol("k"), Expectation(f, g), "the definition, with the function in normal form")
    groups = _real_groups(left)
    pairs = (
        list(combinations_with_replacement(groups, 2))
        if same
        else [(a, b) for a in groups for b in _real_groups(right)]
    )
    for a, b in pairs:
        _lower_moments(d, a, b)
        if len(pairs) > 1:
            d.step(Expectation(_expr(a), _expr(b)), expectation(a, b), because=_reason(a, b), check=_check(a, b))
    if len(pairs) == 1:
        because = _reason(left, right)
    else:
        exchanged = "; a pair of different atoms counts twice, the second time with q1 and q2 exchanged" if same else ""
        because = f"the sum over the pairs of atoms{exchanged}"
    check = _check(left, right) if len(pairs) == 1 else "quadrature"
    d.step(Expectation(f, g), dual.expr, because=because, check=check)
    d.conclude(f"the {title[0].lower()}{title[1:]}", dual.expr)
    if dual.kind == "dual":
        _confirm(d, dual, left, right)
    return d


def _of_a_family(dual: Dual, pair: Pair) -> Derivation:
    """A closed form beyond the atoms: its reason, compared with the Hermite series, and its value at c = 0."""
    if pair.differentiated:
        raise NoClosedForm(
            f"the derivative dual of {dual.name} is d/dc of the dual: kernalg.derivation(phi.dual) derives that"
        )
    word = {"dual": "Dual", "derivative": "Derivative dual"}[dual.kind]
    d = Derivation(
        f"{dual.kind}-{dual.name}" if re.fullmatch(r"\w+", dual.name) else dual.kind,
        f"{word} of {dual.name}",
        references=FAMILY_REFERENCES,
        introduction="$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$.",
    )
    f, g = dual.pieces
    statement = Expectation(_piecewise(f), _piecewise(g))
    d.define(sp.Symbol("k"), statement, "the definition")
    check = partial(
        by_hermite_series, lambda n, q: (pair.family.hermite_moments(m, n, q) for m in (pair.left, pair.right))
    )
    d.step(statement, dual.expr, because=pair.family.because, check=lambda lhs, rhs: check(rhs))
    d.conclude(f"the {word[0].lower()}{word[1:]} of {dual.name}", dual.expr)
    d.step(
        sp.Subs(dual.expr, c, 0),
        pair.mean(pair.left, q1) * pair.mean(pair.right, q2),
        because="at c = 0 the variables are independent, so that k is the product of the means",
        check="balls",
    )
    return d


def _of_polynomials(dual: Dual, known: PolynomialMap) -> Derivation:
    """Mehler's sum of two long polynomials, compared with their Hermite series."""
    word = {"dual": "Dual", "derivative": "Derivative dual"}[dual.kind]
    d = Derivation(
        dual.kind,
        f"{word} of {dual.name}",
        references=(REFERENCES[1], FAMILY_REFERENCES[0]),
        introduction=(
            "$(u, v)$ is a centred Gaussian pair with variances $q_1, q_2$ and covariance $c$. Written out in powers "
            "of $q_1, q_2$ and $c$ the dual of a polynomial of this degree has hundreds of terms; it is left as "
            r"$\sum_k \frac{c^k}{k!}\,E\varphi^{(k)}(\sqrt{q_1}Z)\,E\varphi^{(k)}(\sqrt{q_2}Z)$."
        ),
    )
    statement = Expectation(known.f.expr, known.g.expr)
    d.define(sp.Symbol("k"), statement, "the definition, in powers of x")
    check = partial(by_hermite_series, lambda n, q: (side.exact_hermite(n, q) for side in (known.f, known.g)))
    because = (
        "Price's theorem: the k-th derivative in c is the expectation of the product of the k-th derivatives, which at "
        "c = 0 is the product of their means, and Taylor's formula in c ends at the degree"
    )
    d.step(statement, dual.expr, because=because, check=lambda lhs, rhs: check(rhs))
    d.conclude(f"the {word[0].lower()}{word[1:]} of {dual.name}", dual.expr)
    return d


def _piecewise(parts: Pieces) -> sp.Expr:
    cases = [(branch, x < t) for branch, t in zip(parts.branches, parts.breakpoints, strict=False)]
    return sp.Piecewise(*cases, (parts.branches[-1], True))


def _lower_moments(d: Derivation, f: Atoms, g: Atoms) -> None:
    """The quadrant probability that Stein's recursion ends at, for one pair of rectified monomials."""
    if len(f) != 1 or len(g) != 1 or f[0].gate is None or g[0].gate is None or not f[0].power + g[0].power:
        return
    bare = [replace(a, coefficient=sp.S.One, power=0) for a in (f[0], g[0])]
    statement = Expectation(*(a.expr for a in bare))
    if any(s.lhs == statement for s in d.steps):
        return
    d.step(statement, expectation((bare[0],), (bare[1],)), because=_reason((bare[0],), (bare[1],)), check="quadrature")


def _confirm(d: Derivation, dual: Dual, left: Atoms, right: Atoms) -> None:
    """Two facts that pin the formula down a second time: its c-derivative and its value at c = 0."""
    if all(map(is_continuous, dual.pieces)):
        d.step(
            sp.Derivative(dual.expr, c),
            dual.derivative.expr,
            because="a second road, Price's theorem: dk/dc is the expectation of the product of the derivatives",
            check="proof or balls",
        )
    means = [sp.S(hermite_moments(side, 0, q)[0]) for side, q in ((left, q1), (right, q2))]
    d.step(
        sp.Subs(dual.expr, c, 0),
        means[0] * means[1],
        because="and at c = 0 the variables are independent, so that k is the product of the means",
        check="proof or balls",
    )


def _expr(atoms: Iterable[Atom]) -> sp.Expr:
    """The sum of the atoms, which is real: (a + ib) e^{i beta x} counts as a cos(beta x) - b sin(beta x)."""
    terms = []
    for atom in atoms:
        growth, frequency = atom.linear.as_real_imag()
        real, imaginary = atom.coefficient.as_real_imag()
        wave = real * sp.cos(frequency * x) - imaginary * sp.sin(frequency * x)
        terms.append(wave * replace(atom, coefficient=sp.S.One, linear=growth).expr)
    return sp.expand(sp.Add(*terms)) if any(t.has(sp.sin, sp.cos) for t in terms) else sp.Add(*terms)


def _real_groups(atoms: Atoms) -> list[Atoms]:
    """Conjugate exponentials belong together: e^{ibx} and e^{-ibx} make one real function."""
    groups: dict[tuple[object, ...], list[Atom]] = {}
    for a in atoms:
        frequency = abs(sp.im(a.linear)) if a.linear.has(sp.I) else sp.S.Zero
        groups.setdefault((a.power, a.quadratic, sp.re(a.linear), frequency, a.gate), []).append(a)
    return [tuple(g) for g in reversed(groups.values())]  # what has a threshold comes first, constants last


def _check(f: Atoms, g: Atoms) -> str:
    """Polynomials times exponentials of linear functions are proved by their generating function."""
    plain = all(a.gate is None and a.quadratic == 0 for a in (*f, *g))
    return "symbolic" if plain else "quadrature"


def _reason(f: Atoms, g: Atoms) -> str:
    """The rules the engine used for these atoms, in words."""
    both = (*f, *g)
    reasons = []
    if any(a.quadratic != 0 or a.linear != 0 for a in both):
        reasons.append("the exponentials are absorbed by completing the square, which leaves a Gaussian pair (tilting)")
    gates = [any(a.gate is not None for a in side) for side in (f, g)]
    smooth = any(a.gate is not None and not a.gate.is_step for a in both)
    noise = " (a normal distribution function is a step on x plus independent noise)" if smooth else ""
    if all(gates):
        reasons.append(
            f"the pair of thresholds{noise} is a quadrant probability, "
            r"$1/4 + \arcsin(r)/(2\pi)$ when centred (Sheppard)"
        )
    elif any(gates):
        reasons.append(f"the threshold{noise} is a normal probability")
    if any(a.power for a in both):
        reasons.append("Stein's lemma lowers the powers of u and v, with a boundary term at each threshold")
    return "; ".join(reasons) or "the expectation of a constant"
