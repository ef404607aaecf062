"""Activations fitted to a kernel: the parameters of a family for which a network of one hidden layer comes nearest.

The kernel of the network is exact (no sampling, no fixed quadrature), and so is its gradient in the parameters
(`family_kernel`); from several starts, bounded least squares (Branch, Coleman and Li 1999) does the rest.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from scipy.optimize import least_squares

from kernalg.activation.activation import Activation
from kernalg.checks import FloatArray, real_number, whole_number
from kernalg.design.families import ActivationFamily, activation_family
from kernalg.design.family_kernel import FamilyKernel
from kernalg.design.fit_grid import Target, fit_grid
from kernalg.design.nonnegative_fit import hidden_variances
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number, read_object
from kernalg.network.kernel import Kernel
from kernalg.network.network import Network, mlp
from kernalg.progress import Report, reporter

_INTERIOR = 0.985
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class FitStart:
    """One of the starts: where it began and ended, the loss there (None if it failed), calls, and why it stopped."""

    start: tuple[float, ...]
    values: tuple[float, ...]
    loss: float | None
    evaluations: int
    outcome: str


@dataclass(frozen=True, slots=True)
class ActivationFit:
    """The best member of a family; made by `fit_activation`.

    Attributes
    ----------
    family : ActivationFamily
    values : tuple of float
        Its parameters.
    kind : {"ntk", "nngp"}
    w_var, b_var : sympy.Expr
        Of the hidden layer.
    readout : pair of sympy.Expr
    target : str
    cosines, weights, target_values, achieved : tuple of float
        The grid, the target and the fitted kernel there.
    loss : float
        sum_j w_j (achieved_j - target_j)^2.
    rms_error, max_error : float
        Over all cosines, each of weight 1.
    interior_rms_error, interior_max_error : float or None
        Over the cosines with |c| < 0.985.
    starts : tuple of FitStart
        From the best to the worst, those that failed last.
    """

    family: ActivationFamily
    values: tuple[float, ...]
    kind: str
    w_var: sp.Expr
    b_var: sp.Expr
    readout: tuple[sp.Expr, sp.Expr]
    target: str
    cosines: tuple[float, ...]
    weights: tuple[float, ...]
    target_values: tuple[float, ...]
    achieved: tuple[float, ...]
    loss: float
    rms_error: float
    max_error: float
    interior_rms_error: float | None
    interior_max_error: float | None
    starts: tuple[FitStart, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """Values by name."""
        return dict(zip(self.family.names, self.values, strict=True))

    @property
    def activation(self) -> Activation:
        """The activation with its numbers put in, exact decimals."""
        return self.family.activation(self.values)

    @property
    def network(self) -> Network:
        """The network of one hidden layer."""
        return mlp(self.activation, depth=1, w_var=self.w_var, b_var=self.b_var, readout=self.readout)

    def kernel(self) -> Kernel:
        """The fitted kernel, `network.ntk` or `network.nngp`."""
        return self.network.ntk if self.kind == "ntk" else self.network.nngp

    def to_json(self) -> str:
        data: dict[str, Any] = {"type": "kernalg.ActivationFit", **{n: getattr(self, n) for n in self.__slots__}}
        data["family"] = json.loads(self.family.to_json())
        data["starts"] = [{n: getattr(s, n) for n in FitStart.__slots__} for s in self.starts]
        return json.dumps(data, default=str, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ActivationFit:
        """The fit that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.ActivationFit", cls.__slots__)
        try:
            return _read(data)
        except (TypeError, ValueError, KeyError) as error:
            raise DomainError(f"not the JSON of an ActivationFit, as to_json writes it: {error}") from error

    def __repr__(self) -> str:
        layer = f"Dense({self.w_var}, {self.b_var}), readout Dense({self.readout[0]}, {self.readout[1]})"
        lines = [f"{self.family.expr}, fitted so that the {self.kind.upper()} of {layer} is the {self.target}"]
        lines += [f"  {name} = {value:.10g}" for name, value in self.parameters.items()]
        lines.append(f"  on {len(self.cosines)} cosines: rms {self.rms_error:.4g}, largest {self.max_error:.4g}")
        if self.interior_rms_error is not None and self.interior_max_error is not None:
            lines[-1] += (
                f"; |c| < {_INTERIOR}: rms {self.interior_rms_error:.4g}, largest {self.interior_max_error:.4g}"
            )
        rounding = 1e-26 * sum(w * y * y for w, y in zip(self.weights, self.target_values, strict=True))
        near = sum(1 for s in self.starts if s.loss is not None and s.loss <= self.loss * (1 + 1e-3) + rounding)
        lines.append(f"  {len(self.starts)} starts, {near} of them ended within 0.1 % of the best loss {self.loss:.4g}")
        for s in self.starts:
            if s.loss is None:
                lines.append(f"  failed from ({', '.join(f'{v:.4g}' for v in s.start)}): {s.outcome}")
        return "\n".join(lines)


def fit_activation(
    target: Any,
    family: ActivationFamily | str | sp.Expr,
    kind: str | None = None,
    start: Any = None,
    bounds: Any = None,
    starts: int = 8,
    seed: int = 0,
    cosines: Any = None,
    weights: Any = None,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    progress: Report | bool | None = None,
    max_evaluations: int = 1000,
) -> ActivationFit:
    """Fit the parameters of an activation so that a network of one hidden layer has a given kernel.

    Parameters
    ----------
    target : Kernel, DotProductKernel, Profile, formula in rho, or array of values at the cosines
        Read as a function of the cosine c = x.x'/d of two inputs.
    family : ActivationFamily, or a formula
        A formula needs `start` as a mapping: its names are the parameters.
    kind : {"ntk", "nngp"}, optional
        Which kernel of the network is fitted, everything trained. By default what a network's kernel is itself, "ntk"
        for other targets.
    start, bounds : mapping or sequence, optional
        In the place of the family's, see `ActivationFamily.with_start`.
    starts : int
        Local fits: one from `start` s, the others from random places within the bounds and 3 (1 + |s|) of it.
    seed : int
    cosines, weights : array_like, optional
        As in `fit_nonnegative`: by default 100 angles, and the weight 12 at c = 1.
    w_var, b_var : exact number
        Of the hidden layer.
    readout : pair of exact numbers
        Variances of the readout's weights and bias.
    progress : bool or callable
        True shows each start on the standard error stream; a callable is called as ``progress(done, total, text)``.
    max_evaluations : int
        Of each start.

    Raises
    ------
    DomainError, NoClosedForm
        A family with jumps, or with branches that do not differ by polynomials; bad numbers.
    PrecisionError
        If all starts failed; the message says why the first did.

    Examples
    --------
    The tangent kernel of four hidden ReLU layers in one layer. On the 88 angles with \\|c\\| < 0.985 the published
    activation of this family is off by 0.0564 (root mean square) and at most by 0.131; K(1) is 5.07.

    >>> import kernalg as ka
    >>> from kernalg.design.families import relu_cosine
    >>> deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100").ntk
    >>> fit = fit_activation(deep, relu_cosine(), starts=1)
    >>> round(fit.interior_rms_error, 5), round(fit.interior_max_error, 5)
    (0.00438, 0.00935)
    >>> {name: round(value, 4) for name, value in fit.parameters.items()}
    {'a': 4.9282, 'b': 0.6818, 'c': -2.0747, 'd': 0.0916, 'e': 1.2502, 'f': 1.4864, 'g': -0.2967}
    """
    if kind is None:
        kind = target.kind if isinstance(target, Kernel) else "ntk"
    if kind not in ("ntk", "nngp"):
        raise DomainError(f"kind = {kind!r}: 'ntk' or 'nngp'")
    if isinstance(family, ActivationFamily):
        member = family.with_start(start, bounds)
    elif start is None:
        raise DomainError("a formula needs start = {name: number, …}, which says what its parameters are")
    else:
        member = activation_family(family, start, bounds)
    w, b = hidden_variances(w_var, b_var)
    v_var, c_var = (exact_number(v, "readout") for v in readout)
    if not (v_var.is_positive and c_var.is_nonnegative):
        raise DomainError(f"readout = ({v_var}, {c_var}): a positive variance and one that is not negative are needed")
    count, budget = whole_number("starts", starts, 1), whole_number("max_evaluations", max_evaluations, 1)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    grid = fit_grid(cosines, weights)
    goal = Target(target, grid)
    correlation = (float(w) * grid.cosines + float(b)) / float(w + b)
    kernel = FamilyKernel(member.expr, member.parameters, correlation, float(w + b), kind, (float(v_var), float(c_var)))
    report = reporter(progress)
    runs = []
    for i in range(count):
        report(i, count, f"start {i + 1} of {count}")
        runs.append(_run(kernel, goal.values, np.sqrt(grid.weights), member, _begin(member, i, rng), budget))
        loss = runs[-1].loss
        report(i + 1, count, f"start {i + 1}: {'failed' if loss is None else f'loss {loss:.4g}'}")
    runs.sort(key=lambda run: math.inf if run.loss is None else run.loss)
    if runs[0].loss is None:
        raise PrecisionError(f"all {count} starts failed; the first one: {runs[0].outcome}")
    achieved = kernel(np.array(runs[0].values))[0]
    error = np.abs(achieved - goal.values)
    inside = error[np.abs(grid.cosines) < _INTERIOR]
    return ActivationFit(
        family=member,
        values=runs[0].values,
        kind=kind,
        w_var=w,
        b_var=b,
        readout=(v_var, c_var),
        target=goal.name,
        cosines=tuple(grid.cosines.tolist()),
        weights=tuple(grid.weights.tolist()),
        target_values=tuple(goal.values.tolist()),
        achieved=tuple(achieved.tolist()),
        loss=runs[0].loss,
        rms_error=_root_mean_square(error),
        max_error=float(error.max()),
        interior_rms_error=_root_mean_square(inside) if len(inside) else None,
        interior_max_error=float(inside.max()) if len(inside) else None,
        starts=tuple(runs),
    )


def _begin(family: ActivationFamily, number: int, rng: np.random.Generator) -> FloatArray:
    """The family's own start first, then anywhere near it: within the bounds and 3 (1 + |start|) of the start."""
    own, (low, high) = np.array(family.start), np.array(family.bounds).T
    if number == 0:
        return own
    reach = 3 * (1 + np.abs(own))
    return rng.uniform(np.maximum(low, own - reach), np.minimum(high, own + reach))


def _run(
    kernel: FamilyKernel, target: FloatArray, root: FloatArray, family: ActivationFamily, start: FloatArray, budget: int
) -> FitStart:
    """One local fit. Trial steps to where the kernel is not finite are infinite losses, which the method steps back
    from."""
    last: dict[bytes, tuple[FloatArray, FloatArray]] = {}
    refusals: list[str] = []

    def at(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        key = theta.tobytes()
        if key not in last:
            last.clear()
            try:
                values, gradient = kernel(theta)
                last[key] = root * (values - target), root[:, None] * gradient
            except PrecisionError as error:
                refusals.append(str(error))
                last[key] = np.full(len(target), np.inf), np.zeros((len(target), len(theta)))
        return last[key]

    low, high = np.array(family.bounds).T
    first = tuple(start.tolist())
    if not np.isfinite(at(start)[0]).all():
        return FitStart(first, first, None, 1, refusals[0])
    solution = least_squares(
        lambda theta: at(theta)[0], start, jac=lambda theta: at(theta)[1], bounds=(low, high), x_scale="jac",
        max_nfev=budget, xtol=_TOLERANCE, ftol=_TOLERANCE, gtol=_TOLERANCE,
    )  # fmt: skip
    outcome = str(solution.message) if solution.status > 0 else f"stopped after {budget} evaluations"
    return FitStart(first, tuple(solution.x.tolist()), float(2 * solution.cost), int(solution.nfev), outcome)


def _root_mean_square(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(real_number("a number", v) for v in values)


def _read(data: dict[str, Any]) -> ActivationFit:
    def number(value: Any) -> float:
        return real_number("a number", value)

    def optional(value: Any) -> float | None:
        return None if value is None else number(value)

    w, b = hidden_variances(data["w_var"], data["b_var"])
    v_var, c_var = data["readout"]
    if data["kind"] not in ("ntk", "nngp"):
        raise ValueError(f"kind {data['kind']!r}")
    return ActivationFit(
        family=ActivationFamily.from_json(json.dumps(data["family"])),
        values=_floats(data["values"]),
        kind=data["kind"],
        w_var=w,
        b_var=b,
        readout=(exact_number(v_var, "readout"), exact_number(c_var, "readout")),
        target=str(data["target"]),
        cosines=_floats(data["cosines"]),
        weights=_floats(data["weights"]),
        target_values=_floats(data["target_values"]),
        achieved=_floats(data["achieved"]),
        loss=number(data["loss"]),
        rms_error=number(data["rms_error"]),
        max_error=number(data["max_error"]),
        interior_rms_error=optional(data["interior_rms_error"]),
        interior_max_error=optional(data["interior_max_error"]),
        starts=tuple(
            FitStart(
                _floats(s["start"]),
                _floats(s["values"]),
                optional(s["loss"]),
                whole_number("evaluations", s["evaluations"], 0),
                str(s["outcome"]),
            )
            for s in data["starts"]
        ),
    )
