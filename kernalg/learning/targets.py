r"""The power of a target function in each level of a space: how much of it lies in the harmonics of every degree.

A function of one cosine, :math:`f(x)=g(\rho)`, has the component :math:`c_k\sqrt{N_k}Z_k(\rho)` in level k
(`kernalg.learning.levels`), with :math:`c_k=\sqrt{N_k}\,E[g Z_k]` (Funk-Hecke) and power :math:`c_k^2`.

Of a function known by its values only, the power in level k is :math:`p_k=E[f(x)f(x')\,\Phi_k(x,x')]` over independent
points, and the mean over all pairs of a sample is an unbiased estimate. Its variance from M points is about

.. math:: \frac4M\operatorname{Var}(ff_k)+\frac{2N_k}{M^2}(Ef^2)^2,

so it sees :math:`p_k` down to :math:`\sqrt{2N_k}\,Ef^2/M`: levels with more than M^2 harmonics drown. Since -x is as
probable as x, levels of even degree see the even part of f alone, and those of odd degree the odd part: the estimate
takes these parts, at twice the evaluations, which removes the noise of the other one.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.integrate import quad_vec

from kernalg.checks import FloatArray, real_array, real_vector, whole_number
from kernalg.compiled.elementwise import elementwise
from kernalg.errors import DomainError
from kernalg.formula import parse, read_object
from kernalg.learning.levels import levels_of, random_inputs, values_of
from kernalg.learning.polynomial_targets import polynomial_power
from kernalg.learning.records import equal_by_json
from kernalg.spectrum.spaces import (
    SPACE_TYPES,
    GaussianInputs,
    Hypercube,
    Space,
    Sphere,
    space_from_json,
    space_to_json,
)
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table
from kernalg.symbols import rho

# Up to this dimension a function on the hypercube is evaluated at all corners.
_ALL_CORNERS = 16
_TABLE = 2_000_000
# Beyond this many standard deviations of the cosine, 1/sqrt(d), nothing is left of its density.
_FAR = 16.0


@equal_by_json
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TargetPower:
    """Power of a target per level, and beyond the levels.

    Attributes
    ----------
    estimates : (levels + 1,) array
        The power in the levels 0, …, degree, and last the power beyond them. Estimates from samples are unbiased, so
        they may be negative.
    errors : (levels + 1,) array
        Standard errors, or of exact values the rounding.
    space : the inputs.
    method : how the values were obtained.

    Examples
    --------
    >>> target = target_power("rho**2", Sphere(3), degree=3)
    >>> target.power.round(6) + 0
    array([0.111111, 0.      , 0.088889, 0.      , 0.      ])
    """

    estimates: FloatArray
    errors: FloatArray
    space: Space
    method: str

    @property
    def power(self) -> FloatArray:
        """What `learning_curve(…, power=…)` takes, for as many levels: the estimates that stand out of their errors.

        Of estimates from samples those below two standard errors are noise: they are 0 here, and what the function has
        beside the levels that are seen, E f^2 minus these, counts as power beyond the levels, which is never learned.
        Where that is much, take more `samples`, a smaller `degree`, or the target as a formula.
        """
        seen = np.where(self.estimates > 2 * self.errors, self.estimates, 0.0)
        seen[-1] = max(self.estimates[-1] + float((self.estimates - seen)[:-1].sum()), 0.0)
        return seen

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal TargetPower."""
        return json.dumps(
            {
                "type": "kernalg.TargetPower",
                "estimates": self.estimates.tolist(),
                "errors": self.errors.tolist(),
                "space": space_to_json(self.space),
                "method": self.method,
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> TargetPower:
        """The TargetPower that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.TargetPower", ["estimates", "errors", "space", "method"])
        estimates, errors = (real_vector(name, data[name]) for name in ("estimates", "errors"))
        if len(estimates) != len(errors) or not isinstance(data["method"], str):
            raise DomainError("not the JSON of a TargetPower: one error per estimate and a method in words are needed")
        return cls(estimates, errors, space_from_json(data["space"]), data["method"])

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row per level and a last one beyond them; MissingExtra without pandas."""
        pandas = import_pandas()
        levels = [*range(len(self.estimates) - 1), "beyond"]
        columns = {"power": self.estimates, "error": self.errors}
        return pandas.DataFrame(columns, index=pandas.Index(levels, name="level"))

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = [*map(str, range(len(self.estimates) - 1)), "beyond"]
        values = (f"{p:.6g}" for p in self.estimates)
        return ["level", "power", "error"], [
            list(row) for row in zip(names, values, (f"{e:.1e}" for e in self.errors), strict=True)
        ]

    def __repr__(self) -> str:
        return f"Target power on {self.space} ({self.method})\n{text_table(*self._table())}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(f'Target power on {self.space} ({self.method})')}</p>{html_table(*self._table())}"


def target_power(
    function: str | sp.Expr | Callable[[FloatArray], Any],
    space: Space,
    degree: int = 20,
    *,
    kernel: Any = None,
    samples: int = 2000,
    seed: int = 0,
) -> TargetPower:
    """Power of a target function in the levels 0, …, `degree` of a space.

    Parameters
    ----------
    function : formula or callable
        A formula (text or SymPy) in rho, on the sphere or the hypercube: a function of the cosine to a fixed point,
        on the hypercube the mean of the coordinates. A polynomial in x1, x2, …, the coordinates of x, on the sphere,
        the hypercube or Gaussian inputs. Or any callable f(X) that gives one number per row.
    space : Space
        The levels are the degrees of the harmonics; on Gaussian inputs, the total degrees of Hermite polynomials in
        the standardised coordinates, which are not the eigenfunctions of a Gaussian kernel (see `kernel`); in balls
        and on shells, the degrees of the harmonics of the direction; on products of spheres the multi-degrees, in the
        order of the spectrum.
    degree : int
        Largest degree; take that of the spectrum.
    kernel : optional
        On Gaussian inputs of one variance, a Gaussian kernel of distances (`rbf_kernel`) whose eigenfunctions make the
        levels, as they do in its spectrum. The target is then a callable.
    samples : int
        For callables, the number of random points; all pairs of them are used. On hypercubes of up to 16 dimensions
        the function is evaluated at all corners instead, and the result exact.
    seed : int
        Of the random points.

    Returns
    -------
    TargetPower

    Raises
    ------
    DomainError
        If the function is not one of this space, its values are not finite real numbers, or a number is out of range.

    Examples
    --------
    >>> target_power("x1*x2 + x3", Hypercube(10), degree=3).power  # levels 0 to 3, and beyond
    array([0., 1., 1., 0., 0.])
    >>> target_power(lambda X: X[:, 0] * X[:, 1], Hypercube(10), degree=2).power
    array([0., 0., 1., 0.])
    """
    if not isinstance(space, SPACE_TYPES):
        if isinstance(space, Spectrum):
            raise DomainError("space is a Spectrum: give its .space")
        raise DomainError(f"space={space!r}: give a space of inputs, as in Sphere(10)")
    degree = whole_number("degree", degree, 0)
    if isinstance(function, str | sp.Expr):
        if kernel is not None:
            raise DomainError("the levels of a kernel are known for callables f(X) only: give the target as one")
        expr = _expression(function)
        if expr.free_symbols - {rho}:
            values = np.array([float(p) for p in polynomial_power(expr, space, degree)])
            return TargetPower(values, np.finfo(np.float64).eps * values, space, "exact expansion of the polynomial")
        profile = profile_function(expr, space, degree)
        return TargetPower(np.append(profile.coefficients**2, profile.beyond), profile.errors, space, profile.method)
    if not callable(function):
        raise DomainError(
            f"function={function!r}: give a formula in rho, a polynomial in x1, x2, …, or a callable f(X)"
        )
    if kernel is not None and not (isinstance(space, GaussianInputs) and hasattr(kernel, "squared_length")):
        raise DomainError(
            f"kernel={kernel!r} on {space}: it has levels of its own for rbf_kernel on Gaussian inputs only"
        )
    if isinstance(space, Hypercube) and space.d <= _ALL_CORNERS:
        return _power_at_corners(function, space, degree)
    return _power_of_pairs(function, space, degree, kernel, whole_number("samples", samples, 4), seed)


def _expression(function: str | sp.Expr) -> sp.Expr:
    if isinstance(function, sp.Expr):
        return function
    names = sorted(set(re.findall(r"\bx[1-9]\d*\b", function)))
    return parse(function, (rho, *map(sp.Symbol, names)))


# -- functions of one cosine ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProfileTarget:
    """A function of the cosine: signed coefficients c_k (power c_k^2), power beyond, errors of all powers."""

    values: Callable[[FloatArray], FloatArray]
    coefficients: FloatArray
    beyond: float
    errors: FloatArray
    method: str


def profile_function(function: str | sp.Expr, space: Sphere | Hypercube, degree: int) -> ProfileTarget:
    """The coefficients of a formula in rho; DomainError if it is none, or not of square-integrable finite values."""
    if not isinstance(space, Sphere | Hypercube):
        raise DomainError(f"a function of rho lives on the sphere or the hypercube, and the space is {space}")
    expr = _expression(function)
    strangers = expr.free_symbols - {rho}
    if strangers:
        raise DomainError(f"{expr} contains {', '.join(sorted(map(str, strangers)))}; a function of rho is needed")
    evaluate = elementwise(expr, (rho,))

    def values(t: ArrayLike) -> FloatArray:
        points = np.atleast_1d(np.asarray(t, dtype=np.float64))
        return np.broadcast_to(real_array(str(expr), evaluate(points)), points.shape).astype(np.float64)

    if isinstance(space, Sphere):
        moments, error, method = _moments_on_sphere(values, space.d, degree)
    else:
        moments, error, method = _moments_on_cube(values, space.d, min(degree, space.d))
    coefficients, square = np.where(np.abs(moments[:-1]) > error, moments[:-1], 0.0), float(moments[-1])
    beyond = square - float((coefficients**2).sum())
    errors = 2 * np.abs(coefficients) * error + error**2
    slack = error * math.sqrt(square) + 8 * np.finfo(np.float64).eps * square
    errors = np.append(errors, errors.sum() + slack)
    return ProfileTarget(values, coefficients, beyond if beyond > errors[-1] else 0.0, errors, method)


def _moments_on_sphere(values: Callable[[ArrayLike], FloatArray], d: int, degree: int) -> tuple[FloatArray, float, str]:
    """E[g p_k] for the orthonormal polynomials p_k = sqrt(N_k) P_k of the cosine, and E[g^2], by adaptive quadrature.

    In the angle from the equator, arcsin of the cosine, where the density is proportional to cos^(d-2); the recurrence
    of orthonormal polynomials neither over- nor underflows however large N_k is.
    """
    k = np.arange(1, degree + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.sqrt(np.where(k == 1, 1 / d, k * (k + d - 3) / ((2 * k + d - 2) * np.maximum(2.0 * k + d - 4, 1))))

    def density(t: float) -> float:
        # cos^(d-2); the power d amplifies the rounding of the logarithm unless it is taken like this.
        return math.exp((d - 2) / 2 * math.log1p(-t * t)) if d > 2 and abs(t) < 1 else float(d == 2)

    reach = min(math.pi / 2, _FAR / math.sqrt(d))
    # The tolerance is relative to functions of mean square 1, so g is brought to about that.
    cosines = np.sin(np.linspace(-reach, reach, 203)[1:-1])
    masses = np.array([density(t) for t in cosines])
    size = math.sqrt(float(masses @ values(cosines) ** 2 / masses.sum())) or 1.0

    def integrand(angle: float) -> FloatArray:
        t = math.sin(angle)
        value = float(values(t)[0]) / size
        table = np.empty(degree + 3)
        table[0] = 1.0
        for i in range(degree):
            table[i + 1] = (t * table[i] - (steps[i - 1] * table[i - 1] if i else 0.0)) / steps[i]
        table[: degree + 1] *= value
        table[degree + 1], table[degree + 2] = value * value, 1.0
        return table * density(t)

    scale = min(1.0, math.sqrt(2 * math.pi / d))
    totals, error = quad_vec(
        integrand, -reach, reach, epsabs=1e-15 * scale, epsrel=1e-13, norm="max", limit=4000,
        points=[sign * part * reach for part in (0.125, 0.375) for sign in (-1, 1)] + [0.0],
    )  # fmt: skip
    moments: FloatArray = totals[:-1] / totals[-1] * size
    moments[-1] *= size
    return moments, float(error / totals[-1]) * size, "quadrature in the angle"


def _moments_on_cube(values: Callable[[ArrayLike], FloatArray], d: int, degree: int) -> tuple[FloatArray, float, str]:
    """The same on the hypercube: finite sums over the d + 1 values of the cosine, of exact Krawtchouk polynomials."""
    from kernalg.expansion.cube import krawtchouk

    weights = np.array([math.comb(d, j) / 2**d for j in range(d + 1)])  # quotients of integers are rounded once
    g = values(np.array([(d - 2 * j) / d for j in range(d + 1)]))
    counts = [math.comb(d, k) for k in range(degree + 1)]
    table = np.array(
        [
            [math.copysign(math.sqrt(v * v / m), v) for v, m in zip(krawtchouk(degree, d, j), counts, strict=True)]
            for j in range(d + 1)
        ]
    )
    error = 8 * np.finfo(np.float64).eps * math.sqrt(float(weights @ g**2))
    return np.append((weights * g) @ table, weights @ g**2), error, "sum over the values of the cosine"


# -- functions known by their values ----------------------------------------------------------------------------------


def _power_at_corners(function: Callable[[FloatArray], Any], space: Hypercube, degree: int) -> TargetPower:
    """All coefficients in the parities by the fast Walsh-Hadamard transform."""
    d = space.d
    corner = np.arange(2**d)
    bits = (corner[:, None] >> np.arange(d)) & 1
    values = values_of(function, np.where(bits, -1.0, 1.0))
    for i in range(d):
        pairs = values.reshape(-1, 2, 2**i)
        values = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    powers = np.bincount(bits.sum(axis=1), weights=(values / 2**d) ** 2, minlength=d + 1)
    top = min(degree, d)
    estimates = np.append(powers[: top + 1], powers[top + 1 :].sum())
    error = 8 * np.finfo(np.float64).eps * float(powers.sum())
    return TargetPower(estimates, np.full(len(estimates), error), space, f"all {2**d} corners")


def _power_of_pairs(
    function: Callable[[FloatArray], Any], space: Space, degree: int, kernel: Any, samples: int, seed: int
) -> TargetPower:
    """Means over all pairs of a sample, with the standard errors of U-statistics (Hoeffding 1948)."""
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    X = random_inputs(space, samples, rng)
    there, opposite = values_of(function, X), values_of(function, -X)
    parts = (there + opposite) / 2, (there - opposite) / 2
    levels = levels_of(space, degree, kernel)
    counts, parities = np.array([float(m) for m in levels.counts]), np.array(levels.parities)
    rows = np.zeros((len(levels), samples))
    squares = np.zeros(len(levels))
    panel = max(1, _TABLE // (len(levels) * samples))
    for start in range(0, samples, panel):
        chosen = np.arange(start, min(start + panel, samples))
        functions = levels.table(X[chosen], X) * counts[:, None, None]
        functions[:, np.arange(len(chosen)), chosen] = 0.0
        for k, parity in enumerate(parities):
            f = parts[parity]
            rows[k, chosen] = f[chosen] * (functions[k] @ f)
            squares[k] += float(f[chosen] ** 2 @ (functions[k] ** 2 @ f**2))
    means = rows / (samples - 1)
    estimates = means.mean(axis=1)
    # The variance of the row means is zeta_1 + zeta_2/M, that of the U-statistic 4 zeta_1/M + 2 zeta_2/M^2.
    spread = means.var(axis=1, ddof=1)
    pairs = np.maximum(squares / (samples * (samples - 1)) - estimates**2, 0.0)
    variance = np.maximum(4 * spread / samples - 2 * pairs / samples**2, 2 * pairs / samples**2)
    squared = parts[0] ** 2 + parts[1] ** 2
    beyond = float(squared.mean() - estimates.sum())
    rest = squared - 2 * means.sum(axis=0)
    errors = np.sqrt(np.append(variance, rest.var(ddof=1) / samples))
    return TargetPower(
        real_vector("power", np.append(estimates, beyond)),
        errors,
        space,
        f"all pairs of {samples} random points, seed {seed}",
    )
