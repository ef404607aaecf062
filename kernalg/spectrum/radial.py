r"""Spectra at unequal norms: balls, shells, Gaussian inputs.

Let x have a direction that is uniform on the sphere and, independently, a squared length :math:`q=|x|^2/d` of some law.
A kernel of lengths and cosine, :math:`K(q,q',\sqrt{qq'}\,\xi)`, keeps harmonics of degree k among themselves, and acts
on what multiplies them, a function of q, by the radial operator

.. math:: g\mapsto E_{q'}[\lambda_k(\cdot,q')\,g(q')],\qquad
          \lambda_k(q,q')=E_{\xi}\big[K(q,q',\sqrt{qq'}\,\xi)\,P_{k,d}(\xi)\big].

Its eigenvalues :math:`\mu_{k,0}\ge\mu_{k,1}\ge\dots`, each of multiplicity N(d, k), are the levels "(k,j)". Routes:

* *rank one*: homogeneous networks without biases have :math:`K=(qq')^{p/2}\kappa(\xi)`, p the product of the degrees of
  homogeneity (for the tangent kernel too: with :math:`K,T\propto(qq')^{D/2}`, a layer of degree h gives
  :math:`T\cdot\dot k\propto(qq')^{D/2+D(h-1)/2}`, as it gives K): :math:`\mu_{k,0}=\lambda_kE[q^p]` is the only one;
* *moments*: dot-product kernels on balls and Gaussian inputs (`radial_moments`);
* *series*, *Gauss*: everything else, at the shells or the nodes of a Gauss rule for q, the angle by power series in
  balls or by Gauss-Legendre (`radial_angle`). On shells the series is certified, and helped by spectra on the sphere;
  a rule for q is judged by a smaller one.

Radial eigenvalues below 1e-14 of the first of their degree, and those below their error, are not listed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation.kernel_map import KernelMap
from kernalg.checks import FloatArray
from kernalg.enclosure.balls import ball, bits_for, check_digits, has_digits, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.expansion.taylor import first_weight, weight_ratio
from kernalg.expansion.zonal import multiplicity
from kernalg.network.dot_product import DotProductKernel
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense, Layer
from kernalg.spectrum import radial_moments
from kernalg.spectrum.profiles import rational_coefficients
from kernalg.spectrum.radial_angle import (
    AngularMatrix,
    DotProductPair,
    NetworkPair,
    PairKernel,
    matrices_by_gauss,
    matrices_by_polarisation,
    matrices_by_series,
)
from kernalg.spectrum.radial_law import (
    RadialSpace,
    gauss_rule,
    moment,
    panel_rule,
    radial_space,
    real_moment,
    shells_rule,
)
from kernalg.spectrum.spaces import Ball, Shells, Space, Sphere
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.sphere import not_positive, sphere_spectrum
from kernalg.spectrum.symmetric_eigenvalues import symmetric_eigenvalues
from kernalg.symbols import c, q1

CONVENTION = "levels (degree, radial index); per harmonic, probability measure"
_DOUBLE_DIGITS = 14
_MOST_DEGREES = 500
# Radial eigenvalues below this part of the first of their degree are left to the tail.
_KEPT = 14
_RULES = (10, 14, 20, 28, 40)
_MOST_TERMS = 64
_MOST_TERMS_ON_SHELLS = 256
_SETTLED = 1e-12
_LAST_PANEL = 12
# Below this float64 loses digits, and the values go to `Spectrum.exact` as well.
_SMALL = 1e-290
_EPS = float(np.finfo(np.float64).eps)

# One level: value, absolute error, method.
Level = tuple[arb, float, str]


def radial_spectrum(K: Any, space: Space, degree: int, digits: int | None, exact: bool) -> Spectrum:
    """Eigenvalues of degree 0 to `degree` of a kernel at unequal norms; parameters as in `spectrum`.

    Certified digits are available on shells, and on balls and Gaussian inputs for homogeneous networks and dot-product
    kernels; fractions where every degree has one power of a polynomial, or of a homogeneous network, only.

    Raises
    ------
    DomainError
        If the kernel is none of lengths and cosine, is not positive semi-definite, has an infinite trace, or has no
        exact or certified eigenvalues on this space.
    PrecisionError
        If the digits are not reached.

    Examples
    --------
    >>> from kernalg.spectrum.spaces import GaussianInputs
    >>> from kernalg.symbols import rho
    >>> s = radial_spectrum(DotProductKernel(2 * rho + rho**3), GaussianInputs(3), 1, None, False)
    >>> s.labels, s.eigenvalues.round(6)
    (('(0,0)', '(1,0)', '(1,1)'), array([0.      , 1.333333, 0.111111]))
    >>> round(s.trace, 6)  # 2 E q + E q^3, with E q^3 = 1 (5/3) (7/3)
    5.888889
    """
    law = radial_space(space)
    if not isinstance(K, Kernel | DotProductKernel):
        raise DomainError(
            f"{K!r} is no kernel for inputs of unequal norms: give a network kernel or a dot-product kernel f(x.x'/d)"
        )
    if degree > _MOST_DEGREES:
        raise DomainError(f"degree={degree}: at most {_MOST_DEGREES} degrees are computed at unequal norms.")
    goal = _DOUBLE_DIGITS if digits is None else check_digits(digits)
    if isinstance(K, DotProductKernel):
        return _exact_dot_product(K, law, degree) if exact else _dot_product(K, law, degree, digits, goal)
    power = homogeneity(K.layers)
    if power is not None:
        return _rank_one(K, law, power, degree, digits, exact)
    if exact:
        raise DomainError("exact=True needs a polynomial dot-product kernel or a homogeneous network: ask for digits=")
    return _general(NetworkPair(K), law, degree, digits, goal, zero=_zero_parity(K.layers))


def homogeneity(layers: tuple[Layer, ...]) -> sp.Expr | None:
    """The degree p in K(s x, x') = s^p K(x, x'), of both kernels; None if the network is not homogeneous."""
    power: sp.Expr = sp.S.One
    for layer in layers:
        if isinstance(layer, Dense):
            if not layer.b_var.is_zero:
                return None
        elif isinstance(layer, KernelMap):
            if not _homogeneous_map(layer):
                return None
        elif layer.homogeneity is None:
            return None
        else:
            power *= layer.homogeneity
    return power


def _homogeneous_map(layer: KernelMap) -> bool:
    """Whether a given map multiplies K like a function of degree 1, and its slope not at all."""
    s = sp.Symbol("s", positive=True)
    scaled = {q1: s**2 * q1, c: s * c}
    change = [e.subs(scaled, simultaneous=True) - factor * e for e, factor in ((layer.expr, s), (layer.factor, 1))]
    return all(sp.simplify(e) == 0 for e in change)


def _zero_parity(layers: tuple[Layer, ...]) -> int | None:
    """0 if the kernel is odd in the cosine (even degrees vanish), 1 if it is even, as activations and biases tell."""
    odd = True
    for layer in layers:
        if isinstance(layer, Dense):
            if not layer.b_var.is_zero:
                return None
        elif layer.parity == "even":
            return 1
        elif layer.parity != "odd":
            odd = False
            break
    return 0 if odd else None


# ---------------------------------------------------------------------------------------------------------------------
# Homogeneous networks


def _rank_one(K: Kernel, law: RadialSpace, power: sp.Expr, degree: int, digits: int | None, exact: bool) -> Spectrum:
    on_sphere = sphere_spectrum(K, Sphere(law.d), degree, None if digits is None else digits + 2, exact)
    goal = _DOUBLE_DIGITS if digits is None else digits
    with precision(bits_for(goal) + 64):
        factor = real_moment(law, ball(power))
        scale = float(factor)
        values: list[sp.Number] | None = None
        if exact:
            if not power.is_Integer:
                raise DomainError(f"the kernel is of degree {power}, and E[q^({power})] is irrational: ask for digits=")
            rational = moment(law, int(power))
            values = [v * sp.Rational(int(rational.p), int(rational.q)) for v in on_sphere.exact or ()]
        elif on_sphere.exact is not None:
            values = [to_float((ball(v) * factor).mid(), goal) for v in on_sphere.exact]
    eigenvalues = on_sphere.eigenvalues * scale if values is None else np.array([float(v) for v in values])
    errors = on_sphere.errors * scale if on_sphere.errors is not None else np.zeros(degree + 1)
    return Spectrum(
        eigenvalues,
        on_sphere.multiplicities,
        trace=on_sphere.trace * scale if on_sphere.trace is not None else None,
        errors=errors + 2 * _EPS * eigenvalues,
        methods=[f"rank one, {method}" for method in on_sphere.methods or ()],
        space=law,
        convention=CONVENTION,
        labels=[f"({k},0)" for k in range(degree + 1)],
        exact=values,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Dot-product kernels


def _exact_dot_product(K: DotProductKernel, law: RadialSpace, degree: int) -> Spectrum:
    """Fractions, where every degree has one power of the polynomial only: a_m w_{k,j} E[q^m]."""
    coefficients = rational_coefficients(K.profile())
    values = []
    for k in range(degree + 1):
        weight = first_weight(law.d, k)
        terms = []
        for j, a in enumerate(coefficients[k::2]):
            if a != 0:
                value = weight * moment(law, k + 2 * j)
                terms.append(a * sp.Rational(int(value.p), int(value.q)))
            up, down = weight_ratio(law.d, k, j)
            weight = weight * up / down
        if len(terms) > 1:
            raise DomainError(
                f"the powers of {K.expr} of the parity of degree {k} mix at unequal norms, and their eigenvalues are "
                "irrational: ask for digits= instead of exact=True"
            )
        values.append(terms[0] if terms else sp.S.Zero)
        if values[-1] < 0:
            raise not_positive(law, k, str(values[-1]))
    trace = sum(
        (a * sp.Rational(int(m.p), int(m.q)) for a, m in ((a, moment(law, i)) for i, a in enumerate(coefficients))),
        sp.S.Zero,
    )
    return Spectrum(
        [float(v) for v in values],
        [multiplicity(law.d, k) for k in range(degree + 1)],
        trace=float(trace),
        errors=[math.ulp(float(v)) for v in values],
        methods=["exact"] * (degree + 1),
        space=law,
        convention=CONVENTION,
        labels=[f"({k},0)" for k in range(degree + 1)],
        exact=values,
    )


def _dot_product(K: DotProductKernel, law: RadialSpace, degree: int, digits: int | None, goal: int) -> Spectrum:
    if isinstance(law, Shells) and not K.nonnegative:
        # Finitely many shells leave room for negative coefficients: the eigenvalues themselves decide.
        radial_moments.check_domain(K, law)
        if digits is not None:
            raise DomainError(
                f"certified digits on shells need a kernel whose Taylor coefficients are known to be >= 0, and "
                f"{K} is not: ask without digits="
            )
        return _general(DotProductPair(K), law, degree, digits, goal, series=False)
    certain = radial_moments.check_signs(K, law)
    if not certain and digits is not None:
        raise DomainError(
            f"the form of {K} does not prove that all its Taylor coefficients are >= 0: ask without digits="
        )
    radial_moments.check_domain(K, law)
    if isinstance(law, Shells):
        return _general(DotProductPair(K), law, degree, digits, goal)
    route = radial_moments.MomentRoute(K, law, degree, goal)
    levels: list[list[Level]] = []
    for k in range(degree + 1):
        found = route.eigenvalues(k)
        if found is None:
            if digits is not None:
                raise PrecisionError(
                    f"{digits} digits were asked of degree {k} on the {law}, and the Taylor series of {K} is too "
                    "slow there: ask without digits="
                )
            total = float(radial_moments.trace(K, law, goal))
            return _general(DotProductPair(K), law, degree, digits, goal, trace=total)
        levels.append(_balls_to_levels(found, "moments" if certain else "moments, signs of 256 coefficients checked"))
    trace = radial_moments.trace(K, law, goal)
    return _assembled(law, levels, float(trace), digits)


# ---------------------------------------------------------------------------------------------------------------------
# Everything else: nodes for q, power series or quadrature in the angle


def _general(
    K: PairKernel,
    law: RadialSpace,
    degree: int,
    digits: int | None,
    goal: int,
    *,
    series: bool = True,
    zero: int | None = None,
    trace: float | None = None,
) -> Spectrum:
    if digits is not None and not isinstance(law, Shells):
        raise DomainError(
            f"certified digits on the {law} are available for homogeneous networks without biases and for dot-product "
            "kernels: ask without digits=, or take Shells"
        )
    slow: set[int] = set() if series else set(range(degree + 1))
    if isinstance(law, Shells):
        with precision(4 * bits_for(goal + _KEPT) + 128):
            nodes, masses = shells_rule(law)
        levels, _ = _at_nodes(K, law, nodes, masses, degree, goal, slow, zero, certified=digits is not None)
        return _assembled(law, levels, _trace(K, law), digits)
    total = _trace(K, law) if trace is None else trace
    coarse: list[list[Level]] | None = None
    compared: list[list[Level]] = []
    for n in _RULES:
        nodes, masses = gauss_rule(law, n)
        fine, slow = _at_nodes(K, law, nodes, masses, degree, goal, slow, zero, certified=False)
        if coarse is not None:
            compared, settled = _compared(coarse, fine)
            if settled:
                break
        coarse = fine
    return _assembled(law, compared, total, digits)


def _trace(K: PairKernel, law: RadialSpace) -> float:
    """E[K(x, x)] by Gauss-Legendre on panels of the length; unbounded kernels must have settled at the last."""
    if isinstance(law, Shells):
        weights = np.array([float(p) for p in law.probability])
        values = K.diagonal(np.array([float(q) for q in law.q]))
        if not np.isfinite(values).all():
            raise DomainError(f"K(x, x) is not finite on all of the {law}: it is {', '.join(map(str, values))}")
        return float(weights @ values)
    q, weights = panel_rule(law)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            parts = K.diagonal(q) * weights
    except DomainError:  # K(x, x) is out of the range of float64
        parts = np.array([math.inf])
    total = float(parts.sum())
    if not (math.isfinite(total) and abs(float(parts[-_LAST_PANEL:].sum())) <= 1e-12 * abs(total)) and not isinstance(
        law, Ball
    ):
        raise DomainError(
            f"the trace E[K(x, x)] is infinite or too large on the {law}: take a Ball or a smaller variance"
        )
    return total


def _at_nodes(
    K: PairKernel,
    law: RadialSpace,
    nodes: list[arb],
    masses: list[arb],
    degree: int,
    goal: int,
    slow: set[int],
    zero: int | None,
    *,
    certified: bool,
) -> tuple[list[list[Level]], set[int]]:
    """The levels of all degrees for one rule, and the degrees that are better off without the power series."""
    levels: dict[int, list[Level]] = {k: [(arb(0), 0.0, "parity, zero")] for k in range(degree + 1) if k % 2 == zero}
    wanted = [k for k in range(degree + 1) if k not in levels and k not in slow]
    slow = slow - set(levels)
    shells = isinstance(law, Shells)
    if wanted:
        # On shells the small radial eigenvalues are to have the digits, too; elsewhere the rule limits them.
        accuracy = goal + (_KEPT if shells else 4)
        terms = _MOST_TERMS_ON_SHELLS if shells else _MOST_TERMS
        with precision(2 * bits_for(accuracy) + 128):
            matrices, pending = matrices_by_series(K, nodes, masses, law.d, wanted, accuracy, terms)
            if pending and certified:
                matrices |= matrices_by_polarisation(K, nodes, law.d, degree, accuracy + 4)
                pending = set()
            levels |= {k: _series_levels(matrix, masses, accuracy) for k, matrix in matrices.items()}
        for k in pending:
            if k not in levels or levels[k][0][1] > 10.0 ** -(goal + 1) * float(levels[k][0][0]):
                slow = slow | {k}
    if slow:
        at, weights = (np.array([float(v) for v in values]) for values in (nodes, masses))
        by_gauss = matrices_by_gauss(K, at, law.d, sorted(slow))
        for k in sorted(slow):
            made = _gauss_levels(*by_gauss[k], weights, law, k)
            if k not in levels or made[0][1] < levels[k][0][1]:
                levels[k] = made
            else:
                slow = slow - {k}
    return [levels[k] for k in range(degree + 1)], slow


def _series_levels(matrix: AngularMatrix, masses: list[arb], digits: int) -> list[Level]:
    roots = [w.sqrt() for w in masses]
    scaled = [
        [s * t * entry for t, entry in zip(roots, row, strict=True)]
        for s, row in zip(roots, matrix.entries, strict=True)
    ]
    rest = sum((w * r for w, r in zip(masses, matrix.remainder, strict=True)), arb(0)).upper()
    half = arb(rest / 2)
    return _balls_to_levels([v + half + arb(0, half.upper()) for v in symmetric_eigenvalues(scaled, digits)], "series")


def _balls_to_levels(values: list[arb], method: str) -> list[Level]:
    """Those that are told from 0 and not far below the first; one exact zero if there is none."""
    kept = [v for v in values if v > 0 and v.mid() > values[0].mid() * arb(10) ** -_KEPT and v.rad() < v.mid() / 2]
    if not kept:
        bound = float(values[0].abs_upper()) if values else 0.0
        return [(arb(0), bound if bound > 1e-60 else 0.0, f"{method}, zero")]
    return [(v, float(v.rad()), method) for v in kept]


def _gauss_levels(matrix: FloatArray, errors: FloatArray, masses: FloatArray, law: RadialSpace, k: int) -> list[Level]:
    roots = np.sqrt(masses)
    values = np.linalg.eigvalsh(roots[:, None] * matrix * roots)[::-1]
    error = float(np.linalg.norm(roots[:, None] * errors * roots)) + len(masses) * _EPS * abs(float(values[0]))
    if values[-1] < -4 * error:
        raise not_positive(law, k, f"{values[-1]:.8g}")
    kept = [float(v) for v in values if v > 2 * error and v > values[0] * 10.0**-_KEPT]
    if not kept:
        return [(arb(0), error + abs(float(values[0])), "Gauss, not told from 0")]
    return [(arb(v), error, "Gauss") for v in kept]


def _compared(before: list[list[Level]], after: list[list[Level]]) -> tuple[list[list[Level]], bool]:
    """The finer levels with the change from the coarser ones added to their errors; whether all have settled."""
    settled = True
    result = []
    for old, new in zip(before, after, strict=True):
        first = float(new[0][0])
        merged = []
        for j, (value, error, method) in enumerate(new):
            change = abs(float(value) - (float(old[j][0]) if j < len(old) else 0.0))
            settled = settled and change <= _SETTLED * first
            if j == 0 or change + error < 0.05 * float(value):
                merged.append((value, change + error, method))
        result.append(merged)
    return result, settled


def _assembled(law: RadialSpace, levels: list[list[Level]], trace: float, digits: int | None) -> Spectrum:
    flat = [(k, j, *level) for k, row in enumerate(levels) for j, level in enumerate(row)]
    exact = None
    if digits is not None:
        for k, j, value, _, _ in flat:
            if not (value.is_zero() or has_digits(value, digits)):
                raise PrecisionError(f"{digits} digits of the eigenvalue ({k},{j}) were not reached: ask fewer digits")
        exact = [to_float(value, digits) for _, _, value, _, _ in flat]
    eigenvalues = [float(value.mid()) for _, _, value, _, _ in flat]
    if exact is None and any(abs(v) < _SMALL and not flat[i][2].is_zero() for i, v in enumerate(eigenvalues)):
        exact = [to_float(value.mid(), _DOUBLE_DIGITS) for _, _, value, _, _ in flat]
    return Spectrum(
        eigenvalues,
        [multiplicity(law.d, k) for k, *_ in flat],
        trace=trace,
        errors=[error + math.ulp(v) / 2 for v, (_, _, _, error, _) in zip(eigenvalues, flat, strict=True)],
        methods=[method for *_, method in flat],
        space=law,
        convention=CONVENTION,
        labels=[f"({k},{j})" for k, j, *_ in flat],
        exact=exact,
    )
