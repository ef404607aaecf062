r"""E[f(u) g(v)] of a centred Gaussian pair, in closed form.

Per pair of atoms: complete the square (tilting), attach the thresholds, run Stein's recursion, collect the basis
elements, and write the result as SymPy. No `integrate`, no `simplify`: the answer is a canonical sum of
rational functions times at most four transcendental elements per pair of atoms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy as sp
from sympy.polys.fields import FracElement

from kernalg.gaussian.assembly import assemble
from kernalg.gaussian.atoms import Atom, Atoms, Gate, multiply
from kernalg.gaussian.field import ConstantField
from kernalg.gaussian.moments import Basis, Combination, Moments, State, Threshold, accumulate
from kernalg.symbols import c, q1, q2


def expectation(f: Atoms, g: Atoms) -> sp.Expr:
    """E[f(u) g(v)] with Var u = q1, Var v = q2, Cov(u, v) = c, as a SymPy expression.

    Examples
    --------
    >>> from kernalg.gaussian.atoms import decompose
    >>> from kernalg.symbols import x
    >>> sine = decompose(sp.sin(x))
    >>> expectation(sine, sine)
    exp(-q1/2 - q2/2)*sinh(c)
    """
    field = _field_of((*f, *g))
    v1, v2, covariance = field.element(q1), field.element(q2), field.element(c)
    total: Combination = {}
    for a in f:
        for b in g:
            _add_pair(total, field, a, b, v1, v2, covariance)
    return assemble(total, field)


def expectation_at_equality(f: Atoms, g: Atoms) -> sp.Expr:
    """E[f(u) g(u)] with Var u = q1: the diagonal q1 = q2 = c, where the pair's covariance is singular.

    Two steps meet in one variable there and multiply to one step; every other pair of atoms keeps a regular
    joint threshold covariance, because an error-function gate brings its own noise.
    """
    one = Atom(sp.S.One)
    pairs: list[tuple[Atom, Atom]] = []
    for a in f:
        for b in g:
            if a.gate is not None and b.gate is not None and a.gate.is_step and b.gate.is_step:
                pairs += [(product, one) for product in multiply((a,), (b,))]
            else:
                pairs.append((a, b))
    field = _field_of([atom for pair in pairs for atom in pair])
    q = field.element(q1)
    total: Combination = {}
    for a, b in pairs:
        _add_pair(total, field, a, b, q, q, q)
    return assemble(total, field)


def expectation_of_derivatives(f: Atoms, g: Atoms) -> sp.Expr:
    """E[f'(u) g'(v)] with distributional derivatives, which is d/dc E[f(u) g(v)] (Price 1958).

    The derivative of a threshold is a delta function: it conditions on S = 0 and leaves the density of S there.

    Examples
    --------
    >>> from kernalg.gaussian.atoms import decompose
    >>> from kernalg.symbols import x
    >>> step = decompose(sp.Heaviside(x))
    >>> expectation_of_derivatives(step, step)
    1/(2*pi*sqrt(-c**2 + q1*q2))
    """
    left, right = ([d for a in side for d in _differentiated(a)] for side in (f, g))
    field = _field_of([a for a, _ in (*left, *right)])
    v1, v2, covariance = field.element(q1), field.element(q2), field.element(c)
    total: Combination = {}
    for a, delta_a in left:
        for b, delta_b in right:
            moments = _moments(field, a, b, v1, v2, covariance)
            if delta_b:
                moments = moments.on_boundary(len(moments.state.thresholds) - 1)
            if delta_a:
                moments = moments.on_boundary(0)
            accumulate(total, moments(a.power, b.power), field.element(a.coefficient) * field.element(b.coefficient))
    return assemble(total, field)


def _differentiated(a: Atom) -> list[tuple[Atom, bool]]:
    """The derivative as atoms; True where the gate has become the delta function of its threshold."""
    smooth = [(a.power, a.power - 1), (2 * a.quadratic, a.power + 1), (a.linear, a.power)]
    out = [(replace(a, coefficient=a.coefficient * k, power=n), False) for k, n in smooth if k != 0]
    if a.gate is not None:
        out.append((replace(a, coefficient=a.coefficient * a.gate.sign), True))
    return out


def hermite_moments(f: Atoms, order: int, q: sp.Expr) -> list[sp.Expr]:
    r"""E[f(sqrt(q) Z) h_k(Z)] for k = 0 … order, h_k = He_k/sqrt(k!)."""
    variance = sp.S(q)
    field = _field_of(f, variance, sp.sqrt(variance))
    s2 = field.element(variance)
    tables = [(field.element(a.coefficient), a.power, _moments(field, a, Atom(sp.S.One), s2, s2, s2)) for a in f]

    def power_moment(j: int) -> Combination:
        out: Combination = {}
        for coefficient, n, moments in tables:
            accumulate(out, moments(n + j, 0), coefficient)
        return out

    raw = [power_moment(j) for j in range(order + 1)]
    out = []
    for k in range(order + 1):
        total: Combination = {}
        # He_k(u/s) = sum_j (-1)^j k!/(2^j j! (k-2j)!) (u/s)^{k-2j}; the common factor s^{-k} stays outside
        for j in range(k // 2 + 1):
            weight = sp.Rational((-1) ** j * sp.factorial(k), 2**j * sp.factorial(j) * sp.factorial(k - 2 * j))
            accumulate(total, raw[k - 2 * j], field.element(weight) * s2**j)
        out.append(assemble(total, field) / (sp.sqrt(variance) ** k * sp.sqrt(sp.factorial(k))))
    return out


def _field_of(atoms: Iterable[Atom], *more: sp.Expr) -> ConstantField:
    constants = list(more)
    for atom in atoms:
        constants += [atom.coefficient, atom.quadratic, atom.linear]
        if atom.gate is not None:
            constants += [atom.gate.shift, atom.gate.variance]
    if any(sp.S(constant).has(sp.pi) for constant in constants):
        constants += [sp.sqrt(2), sp.sqrt(sp.pi)]  # densities and coefficients then meet in one spelling
    return ConstantField((q1, q2, c), constants)


def _add_pair(
    total: Combination,
    field: ConstantField,
    a: Atom,
    b: Atom,
    v1: FracElement,
    v2: FracElement,
    covariance: FracElement,
) -> None:
    moments = _moments(field, a, b, v1, v2, covariance)
    accumulate(total, moments(a.power, b.power), field.element(a.coefficient) * field.element(b.coefficient))


def _moments(
    field: ConstantField, a: Atom, b: Atom, v1: FracElement, v2: FracElement, covariance: FracElement
) -> Moments:
    r"""Tilt by exp(A u^2 + B u + A' v^2 + B' v), then attach the thresholds.

    With D = v1 v2 - cov^2 and De = (1 - 2A v1)(1 - 2A' v2) - 4 A A' cov^2 the tilted pair is Gaussian with
    covariance C = [[v1 - 2A'D, cov], [cov, v2 - 2A D]]/De, mean C (B, B')^T, and the expectation is multiplied by
    De^{-1/2} exp((B, B') C (B, B')^T / 2). No 1/D appears, so nothing is singular at correlation ±1.
    """
    qa, qb = field.element(a.quadratic), field.element(b.quadratic)
    la, lb = field.element(a.linear), field.element(b.linear)
    determinant = v1 * v2 - covariance**2
    tilted = (1 - 2 * qa * v1) * (1 - 2 * qb * v2) - 4 * qa * qb * covariance**2
    uu = (v1 - 2 * qb * determinant) / tilted
    vv = (v2 - 2 * qa * determinant) / tilted
    uv = covariance / tilted
    mean_u, mean_v = uu * la + uv * lb, uv * la + vv * lb
    weight = Basis(exponent=(la * mean_u + lb * mean_v) / 2, radicand=tilted)
    thresholds = []
    signs = []
    for gate, mean, own, with_u, with_v in ((a.gate, mean_u, uu, uu, uv), (b.gate, mean_v, vv, uv, vv)):
        if gate is not None:
            thresholds.append(_threshold(field, gate, mean, own, with_u, with_v))
            signs.append(gate.sign)
    between = uv * signs[0] * signs[1] if len(thresholds) == 2 else None
    return Moments(State(mean_u, mean_v, uu, uv, vv, tuple(thresholds), between), weight)


def _threshold(
    field: ConstantField, gate: Gate, mean: FracElement, own: FracElement, with_u: FracElement, with_v: FracElement
) -> Threshold:
    s = gate.sign
    return Threshold(s * (mean + field.element(gate.shift)), own + field.element(gate.variance), s * with_u, s * with_v)
