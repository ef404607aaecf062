r"""The kernel of a one-hidden-layer network nearest to a target: polynomials with coefficients a_k >= 0.

On the sphere the kernels of networks of one hidden layer are the series sum a_k rho^k with a_k >= 0 (Schoenberg 1942;
Simon, Anand and DeWeese 2022). The best one of degree n solves

.. math:: \min_{a \ge 0} \; \tfrac12 \sum_j w_j \Big(\sum_{k \le n} a_k \rho_j^k - y_j\Big)^2 ,

which is convex. With V the matrix of the :math:`\rho_j^k` and :math:`g = V^T W (V a - y)`, a point is the minimum if
and only if a >= 0, g >= 0 and a_k g_k = 0 for all k (Karush, Kuhn and Tucker). SciPy's active-set method (Lawson and
Hanson 1974) proposes which a_k are 0; the rest is solved again in balls, and both sets of signs are decided there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import sympy as sp
from flint import arb, arb_mat
from scipy.optimize import nnls

from kernalg.checks import FloatArray, real_number, whole_number
from kernalg.design.fit_grid import FitGrid, Target, fit_grid
from kernalg.enclosure.balls import ball, bits_for, check_digits, negligible, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number, read_object
from kernalg.network.dot_product import DotProductKernel
from kernalg.network.kernel import Kernel
from kernalg.symbols import rho

_MAX_DEGREE = 200
_FLOAT_DIGITS = 17
_SHOWN = 12

Number: TypeAlias = float | sp.Float


@dataclass(frozen=True, slots=True)
class NonnegativeFit:
    """A polynomial kernel with coefficients >= 0; made by `fit_nonnegative`.

    Numbers are floats, or SymPy Floats of `digits` certified decimals.

    Attributes
    ----------
    coefficients : tuple
        a_0 … a_n in powers of rho = (w_var c + b_var)/(w_var + b_var), c the cosine of two inputs.
    kind : {"ntk", "nngp"}
        Which kernel of a one-hidden-layer network the polynomial is to be.
    residual_norm : number
        sqrt(sum_j w_j r_j^2), r the residual at the cosines.
    rms_error, max_error : number
        Of the residuals at the cosines, all of weight 1.
    reduced_gradient : tuple
        V^T W (V a - y), exactly 0 for the coefficients that are free.
    active : tuple of int
        The k with a_k = 0.
    strict : bool
        Whether a_k > 0 for every free k and the gradient is > 0 for every active one: then a small change of the
        target leaves the active set as it is.
    smallest_coefficient, smallest_gradient : number or None
        By how much: the least free coefficient and the least gradient of an active one (None where there is none).
    target : str
    cosines, weights : tuple of float
    w_var, b_var : sympy.Expr
    digits : int or None
    """

    coefficients: tuple[Number, ...]
    kind: str
    residual_norm: Number
    rms_error: Number
    max_error: Number
    reduced_gradient: tuple[Number, ...]
    active: tuple[int, ...]
    strict: bool
    smallest_coefficient: Number | None
    smallest_gradient: Number | None
    target: str
    cosines: tuple[float, ...]
    weights: tuple[float, ...]
    w_var: sp.Expr
    b_var: sp.Expr
    digits: int | None

    def kernel(self) -> DotProductKernel:
        """The polynomial as a kernel; its formula is in the cosine of two inputs."""
        correlation = (self.w_var * rho + self.b_var) / (self.w_var + self.b_var)
        terms = (exact_number(a, "a") * correlation**k for k, a in enumerate(self.coefficients) if a)
        return DotProductKernel(sp.Add(*terms))

    def hermite_coefficients(self, signs: Any = (1, 1, -1, -1)) -> FloatArray:
        """b_0 … b_n of the activation phi(sqrt(q) z) = sum b_k h_k(z) whose kernel this is, with a readout (1, 0).

        b_k^2 is a_k/(1 + k) for an NTK and a_k for an NNGP kernel. The signs are free, and repeated from the start
        when there are fewer than coefficients.
        """
        chosen = np.resize(np.asarray(signs, dtype=float), len(self.coefficients))
        if not np.all(np.abs(chosen) == 1):
            raise DomainError(f"signs = {signs!r}: each is 1 or -1")
        a = np.array(self.coefficients, dtype=float)
        return chosen * np.sqrt(a / (1 + np.arange(len(a))) if self.kind == "ntk" else a) + 0.0  # no -0

    def to_json(self) -> str:
        data = {"type": "kernalg.NonnegativeFit", **asdict(self)}
        return json.dumps(data, default=str)

    @classmethod
    def from_json(cls, text: str) -> NonnegativeFit:
        """The fit that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.NonnegativeFit", cls.__dataclass_fields__)
        try:
            return _read(data)
        except (TypeError, ValueError, AttributeError) as error:
            raise DomainError(f"not the JSON of a NonnegativeFit, as to_json writes it: {error}") from error

    def __repr__(self) -> str:
        variable = "c" if self.b_var == 0 else f"rho = ({self.w_var} c + {self.b_var})/{self.w_var + self.b_var}"
        lines = [f"best sum a_k rho^k, a_k >= 0, k <= {len(self.coefficients) - 1}, to the {self.target}"]
        lines.append(f"  in {variable}, on {len(self.cosines)} cosines of total weight {sum(self.weights):g}")
        short = len(self.coefficients) <= _SHOWN
        for k, (a, g) in enumerate(zip(self.coefficients, self.reduced_gradient, strict=True)):
            if k not in self.active:
                lines.append(f"  a_{k} = {a}")
            elif short:
                lines.append(f"  a_{k} = 0  (held there, gradient {float(g):.4g})")
        if not short:
            lines.append(f"  the other {len(self.active)} coefficients are held at 0")
        lines.append(
            f"  error: rms {float(self.rms_error):.4g}, largest {float(self.max_error):.4g}; "
            f"norm of the weighted residual {float(self.residual_norm):.6g}"
        )
        margins = {"coefficient": self.smallest_coefficient, "gradient": self.smallest_gradient}
        shown = ", ".join(f"least {name} {float(v):.3g}" for name, v in margins.items() if v is not None)
        state = "hold strictly" if self.strict else "hold, one of them with equality"
        lines.append(f"  optimality conditions {state}: {shown}")
        return "\n".join(lines)


def fit_nonnegative(
    target: Any,
    degree: int,
    cosines: Any = None,
    weights: Any = None,
    kind: str | None = None,
    digits: int | None = None,
    *,
    w_var: Any = 1,
    b_var: Any = 0,
) -> NonnegativeFit:
    """The best polynomial of coefficients a_k >= 0 to a kernel, by least squares on a grid of cosines.

    Such polynomials are what networks of one hidden layer realize on the sphere. On a kernel that is not one of them
    (or not of this degree) the answer depends on the grid and on its weights; the result states both. The exact Taylor
    coefficients of a kernel are another thing: ``K.profile().taylor(n)``.

    Parameters
    ----------
    target : Kernel, DotProductKernel, Profile, formula in rho, or array of values at the cosines
        Read as a function of the cosine c = x.x'/d of two inputs.
    degree : int
        Of the polynomial, from 0 to 200.
    cosines : (m,) array_like, optional
        In [-1, 1]. By default 100 angles j pi/99.
    weights : (m,) array_like, optional
        By default 1, and with the default cosines 12 at c = 1 (as eleven more copies of that point).
    kind : {"ntk", "nngp"}, optional
        Which kernel of the network the polynomial is to be; it decides `hermite_coefficients` alone. By default what a
        network's kernel is itself, "ntk" for other targets.
    digits : int, optional
        Certified decimals of the answer; floats by default (correct to the last bit or two).
    w_var, b_var : exact number
        Of the hidden layer; the polynomial is in rho = (w_var c + b_var)/(w_var + b_var).

    Raises
    ------
    DomainError
        A target without finite values on the grid, fewer distinct cosines of positive weight than coefficients.
    PrecisionError
        Signs that the precision does not decide.

    Examples
    --------
    >>> import kernalg as ka
    >>> deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100").ntk
    >>> fit = fit_nonnegative(deep, 5)
    >>> fit.active, fit.strict
    ((2, 3), True)
    >>> fit.hermite_coefficients().round(3)
    array([1.23 , 0.639, 0.   , 0.   , 0.539, 0.426])

    Notes
    -----
    The conditions of Karush, Kuhn and Tucker are checked in balls, with the signs that are reported.
    """
    degree = whole_number("degree", degree, 0)
    if degree > _MAX_DEGREE:
        raise DomainError(f"degree = {degree}: at most {_MAX_DEGREE}")
    if kind is None:
        kind = target.kind if isinstance(target, Kernel) else "ntk"
    if kind not in ("ntk", "nngp"):
        raise DomainError(f"kind = {kind!r}: 'ntk' or 'nngp'")
    w, b = hidden_variances(w_var, b_var)
    grid = fit_grid(cosines, weights)
    if len(set(grid.cosines[grid.weights > 0].tolist())) <= degree:
        raise DomainError(
            f"degree {degree} has {degree + 1} coefficients, more than there are distinct cosines of positive weight; "
            "lower the degree or give more cosines"
        )
    goal = Target(target, grid)
    wanted = _FLOAT_DIGITS if digits is None else check_digits(digits)
    if goal.is_float64:
        if digits is not None:
            raise DomainError(
                f"{goal.name} has no closed form: values to {digits} digits take too long; leave out digits"
            )
        goal = Target(goal.values, grid)
        goal.name = "values of a kernel without closed form"
    rows = ((float(w) * grid.cosines + float(b)) / float(w + b))[:, None] ** np.arange(degree + 1)
    root = np.sqrt(grid.weights)
    scale = float(np.abs(goal.values).max()) or 1.0
    start, _ = nnls(root[:, None] * rows, root * goal.values / scale, maxiter=100 * (degree + 1))
    bits = bits_for(2 * wanted + 60) + 8 * degree
    for _ in range(6):
        with precision(bits):
            try:
                return _solve(goal, grid, (w, b), set(np.flatnonzero(start > 0).tolist()), degree, kind, wanted, digits)
            except (PrecisionError, ZeroDivisionError):
                bits *= 2
    raise PrecisionError(
        f"{wanted} digits of the coefficients, or the signs of the optimality conditions, were not reached at "
        f"{bits // 2} bits; lower the degree or ask for fewer digits"
    )


def hidden_variances(w_var: Any, b_var: Any) -> tuple[sp.Expr, sp.Expr]:
    """The variances of the hidden layer's weights and biases as exact numbers, the first positive."""
    w, b = exact_number(w_var, "w_var"), exact_number(b_var, "b_var")
    if not (w.is_positive and b.is_nonnegative):
        raise DomainError(f"w_var = {w}, b_var = {b}: numbers with w_var > 0 and b_var >= 0 are needed")
    return w, b


def _solve(
    goal: Target, grid: FitGrid, variances: tuple[sp.Expr, sp.Expr], free: set[int], degree: int, kind: str,
    wanted: int, digits: int | None,
) -> NonnegativeFit:  # fmt: skip
    """The minimum in balls at the current precision; PrecisionError if it does not decide a sign."""
    cosines = grid.balls()
    y = goal.balls(cosines)
    w, b = map(ball, variances)
    weights = [ball(float(v)) for v in grid.weights]
    powers = [[arb(1)] for _ in cosines]
    for row, c in zip(powers, cosines, strict=True):
        correlation = (w * c + b) / (w + b)
        for _ in range(degree):
            row.append(row[-1] * correlation)
    moments = _gram(powers, weights)
    right = [sum((v * row[k] * t for v, row, t in zip(weights, powers, y, strict=True)), arb(0))
             for k in range(degree + 1)]  # fmt: skip
    a, gradient, free, degenerate = _active_set(moments, right, free, wanted)
    residuals = [
        sum((p * q for p, q in zip(row, a, strict=True)), arb(0)) - t for row, t in zip(powers, y, strict=True)
    ]

    def number(value: arb) -> Number:
        found = to_float(value, wanted)
        return float(found) if digits is None else sp.Float(str(found), wanted)

    def root(value: arb) -> Number:
        zero = value.contains(0) and value.abs_upper() <= negligible(wanted)
        return number(arb(0) if zero else value.sqrt())

    coefficients = tuple(number(v) for v in a)
    slopes = tuple(number(v) for v in gradient)
    active = tuple(k for k in range(degree + 1) if k not in free)
    return NonnegativeFit(
        coefficients=coefficients,
        kind=kind,
        residual_norm=root(sum((v * r * r for v, r in zip(weights, residuals, strict=True)), arb(0))),
        rms_error=root(sum((r * r for r in residuals), arb(0)) / len(residuals)),
        max_error=number(_largest(residuals)),
        reduced_gradient=slopes,
        active=active,
        strict=not degenerate,
        smallest_coefficient=min((coefficients[k] for k in free), default=None),
        smallest_gradient=min((slopes[k] for k in active), default=None),
        target=goal.name,
        cosines=tuple(grid.cosines.tolist()),
        weights=tuple(grid.weights.tolist()),
        w_var=variances[0],
        b_var=variances[1],
        digits=digits,
    )


def _gram(powers: list[list[arb]], weights: list[arb]) -> list[list[arb]]:
    """V^T W V; its entries depend on j + k alone when the rows are powers of one number."""
    size = len(powers[0])
    sums = []
    for s in range(2 * size - 1):
        k = min(s, size - 1)
        sums.append(sum((v * row[k] * row[s - k] for v, row in zip(weights, powers, strict=True)), arb(0)))
    return [[sums[j + k] for k in range(size)] for j in range(size)]


def _active_set(
    moments: list[list[arb]], right: list[arb], free: set[int], wanted: int
) -> tuple[list[arb], list[arb], set[int], bool]:
    """Coefficients, gradient, free set, whether a condition holds with equality; moves k until all signs are right."""
    size = len(right)
    line = negligible(wanted)
    degenerate = False
    for _ in range(10 * size):
        order = sorted(free)
        a = [arb(0)] * size
        if order:
            matrix = arb_mat([[moments[j][k] for k in order] for j in order])
            solution = matrix.solve(arb_mat([[right[k]] for k in order]))
            for i, k in enumerate(order):
                a[k] = solution[i, 0]
        gradient = [
            arb(0) if k in free else sum((m * v for m, v in zip(moments[k], a, strict=True)), arb(0)) - right[k]
            for k in range(size)
        ]
        zeros = {k for k in free if _is_zero(a[k], line)}
        undecided = [k for k in free - zeros if a[k].contains(0)]
        undecided += [k for k in set(range(size)) - free if gradient[k].contains(0) and not _is_zero(gradient[k], line)]
        if undecided:
            raise PrecisionError(f"the signs of the conditions {undecided} are undecided")
        negative = [k for k in free if a[k] < 0]
        if zeros or negative:
            free = free - zeros - ({min(negative, key=lambda k: float(a[k]))} if negative else set())
            degenerate = degenerate or bool(zeros)
            continue
        wrong = [k for k in set(range(size)) - free if gradient[k] < 0]
        if not wrong:
            ties = any(_is_zero(gradient[k], line) for k in set(range(size)) - free)
            return a, gradient, free, ties
        free = free | {min(wrong, key=lambda k: float(gradient[k]))}
    raise PrecisionError("the active set did not settle")


def _is_zero(value: arb, line: arb) -> bool:
    return bool(value.contains(0)) and bool(value.abs_upper() <= line)


def _largest(values: list[arb]) -> arb:
    largest = arb(0)
    for v in values:
        largest = largest.max(abs(v))
    return largest


def _read(data: dict[str, Any]) -> NonnegativeFit:
    digits = None if data["digits"] is None else check_digits(data["digits"])

    def number(value: Any) -> Number:
        return real_number("a number", value) if digits is None else sp.Float(str(value), digits)

    def optional(value: Any) -> Number | None:
        return None if value is None else number(value)

    w, b = hidden_variances(data["w_var"], data["b_var"])
    if data["kind"] not in ("ntk", "nngp"):
        raise ValueError(f"kind {data['kind']!r}")
    return NonnegativeFit(
        coefficients=tuple(map(number, data["coefficients"])),
        kind=data["kind"],
        residual_norm=number(data["residual_norm"]),
        rms_error=number(data["rms_error"]),
        max_error=number(data["max_error"]),
        reduced_gradient=tuple(map(number, data["reduced_gradient"])),
        active=tuple(whole_number("active", k, 0) for k in data["active"]),
        strict=bool(data["strict"]),
        smallest_coefficient=optional(data["smallest_coefficient"]),
        smallest_gradient=optional(data["smallest_gradient"]),
        target=str(data["target"]),
        cosines=tuple(real_number("cosine", c) for c in data["cosines"]),
        weights=tuple(real_number("weight", v) for v in data["weights"]),
        w_var=w,
        b_var=b,
        digits=digits,
    )
