"""Families of activations: a formula with free parameters, where to start, and how far each may go."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from kernalg.activation.activation import Activation, activation
from kernalg.checks import real_number, whole_number
from kernalg.errors import DomainError, FormulaError
from kernalg.formula import exact_number, from_json, parse, read_object, to_json
from kernalg.symbols import x

_ANY = (-math.inf, math.inf)
_SCALES = (0.05, 6.0)  # beyond, tanh and the like are steps for a Hermite series
_RELU_STARTS = ((4.0, 0.5), (-1.5, 0.9), (-1.8, -1.2))


@dataclass(frozen=True, slots=True)
class ActivationFamily:
    """Activations phi(x; parameters); made by `activation_family`, `relu_cosine`, `relu_mix`, `sum_of_activations`.

    Attributes
    ----------
    expr : sympy.Expr
        In `kernalg.x` and the parameters.
    parameters : tuple of Symbol
    start : tuple of float
        Inside the bounds.
    bounds : tuple of (low, high)
        May be infinite.
    """

    expr: sp.Expr
    parameters: tuple[sp.Symbol, ...]
    start: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if set(self.parameters) != self.expr.free_symbols - {x} or not self.parameters:
            free = ", ".join(sorted(map(str, self.expr.free_symbols - {x}))) or "none"
            raise DomainError(
                f"{self.expr} has the free symbols {free} beside x, and the parameters given are "
                f"{', '.join(map(str, self.parameters)) or 'none'}; a family has at least one, and lists each once"
            )
        for symbol, at, (low, high) in zip(self.parameters, self.start, self.bounds, strict=True):
            if not low <= at <= high or low == high:
                raise DomainError(f"{symbol} starts at {at} with the bounds ({low}, {high}); start between two bounds")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    def with_start(self, start: Any = None, bounds: Any = None) -> ActivationFamily:
        """The same formula from another start or within other bounds.

        Parameters
        ----------
        start : mapping from name to number, or sequence of one number each
            Names left out keep theirs.
        bounds : mapping from name to (low, high), or sequence of one pair each
            None stands for no bound.
        """
        begin = _merged("start", self.names, start, self.start)
        limits = _merged("bounds", self.names, bounds, self.bounds)
        return ActivationFamily(
            self.expr,
            self.parameters,
            tuple(real_number(f"start of {name}", v) for name, v in zip(self.names, begin, strict=True)),
            tuple(_pair(name, v) for name, v in zip(self.names, limits, strict=True)),
        )

    def activation(self, values: Sequence[Any]) -> Activation:
        """The member with these parameters, exact (a float means its shortest decimal)."""
        if len(values) != len(self.parameters):
            raise DomainError(f"{len(values)} values for the parameters {', '.join(self.names)}; one each is needed")
        exact = {p: exact_number(v, p.name) for p, v in zip(self.parameters, values, strict=True)}
        return Activation(self.expr.subs(exact))

    def to_json(self) -> str:
        tree = {
            "type": "kernalg.ActivationFamily",
            "expr": to_json(self.expr),
            "parameters": self.names,
            "start": self.start,
            "bounds": [[v if math.isfinite(v) else None for v in pair] for pair in self.bounds],
        }
        return json.dumps(tree)

    @classmethod
    def from_json(cls, text: str) -> ActivationFamily:
        """The family that `to_json` wrote; DomainError if the text is no such JSON object."""
        tree = read_object(text, "kernalg.ActivationFamily", ["expr", "parameters", "start", "bounds"])
        try:
            start = dict(zip(tree["parameters"], tree["start"], strict=True))
            bounds = dict(zip(tree["parameters"], tree["bounds"], strict=True))
            return activation_family(from_json(tree["expr"]), start, bounds)
        except (TypeError, ValueError) as error:
            raise DomainError(f"not the JSON of an ActivationFamily, as to_json writes it: {error}") from error

    def __repr__(self) -> str:
        shown = (
            f"{name} from {start:.6g} in [{low:g}, {high:g}]"
            for name, start, (low, high) in zip(self.names, self.start, self.bounds, strict=True)
        )
        return f"ActivationFamily({self.expr}; {', '.join(shown)})"


def activation_family(
    formula: str | sp.Expr,
    start: Mapping[str, Any],
    bounds: Mapping[str, Any] | None = None,
) -> ActivationFamily:
    """A family of your own.

    Branches of the formula may differ by polynomials in x (ReLU, Abs, clipped functions), and it must be continuous;
    everything else must be smooth.

    Parameters
    ----------
    formula : str or sympy.Expr
        In x and the parameters.
    start : mapping from name to number
        Its names are the parameters, in this order.
    bounds : mapping from name to (low, high), optional
        None stands for no bound. In a text, a parameter with a low bound above 0 is a positive symbol, which may be
        needed to tell the branches apart: give scales one.

    Examples
    --------
    >>> activation_family("a*tanh(s*x)", {"a": 1, "s": 1}, {"s": ("1/10", 5)})
    ActivationFamily(a*tanh(s*x); a from 1 in [-inf, inf], s from 1 in [0.1, 5])
    """
    if not isinstance(start, Mapping):
        raise DomainError(f"start = {start!r}: a mapping from each parameter's name to where it starts is needed")
    limits = {name: _pair(name, pair) for name, pair in dict(bounds or {}).items()}
    stray = [name for name in limits if name not in start]
    if stray:
        raise DomainError(f"bounds for {', '.join(stray)}, which start does not name")
    if isinstance(formula, str):
        symbols = {
            name: sp.Symbol(name, **{"positive" if limits.get(name, _ANY)[0] > 0 else "real": True}) for name in start
        }
        try:
            expr = parse(formula, {**symbols, "x": x})
        except FormulaError as error:
            if "unknown name" not in str(error):
                raise
            raise FormulaError(f"{error}\n    the names in start are the parameters; give every one a start") from None
    elif isinstance(formula, sp.Expr):
        expr = exact_number(formula, "formula")
        symbols = {s.name: s for s in expr.free_symbols - {x}}
    else:
        raise DomainError(f"formula = {formula!r}: a text or a SymPy expression is needed")
    unknown = [name for name in start if name not in symbols]
    if unknown:
        raise DomainError(f"{expr} has no parameter {', '.join(unknown)}")
    return ActivationFamily(
        expr,
        tuple(symbols[name] for name in start),
        tuple(real_number(f"start of {name}", _number(v, name)) for name, v in start.items()),
        tuple(limits.get(name, _ANY) for name in start),
    )


def relu_cosine(max_frequency: float = 4.0) -> ActivationFamily:
    """a ReLU(x - b) + c x + d + e cos(f x + g): the seven parameters of Simon, Anand and DeWeese (ICML 2022).

    The ReLU gives the kernel the square-root singularities of a deep ReLU network's at c = ±1; the cosine corrects the
    rest. A slow cosine does that better than a fast one: their own fit has f = 11.8, which puts weight on degrees near
    f^2 and misses four hidden ReLU layers by 0.056 (root mean square over |c| < 0.985); f = 1.49 misses them by 0.0044,
    with a third of the variance at finite width. The family starts near that one.

    Parameters
    ----------
    max_frequency : float
        The upper bound of f, at least 2. Fast cosines cost training: gradients grow like f.

    Examples
    --------
    >>> relu_cosine().names
    ('a', 'b', 'c', 'd', 'e', 'f', 'g')
    """
    limit = real_number("max_frequency", max_frequency, minimum=2.0)
    return activation_family(
        "a*Max(x - b, 0) + c*x + d + e*cos(f*x + g)",
        {"a": 5, "b": 0.7, "c": -2, "d": 0.1, "e": 1.25, "f": 1.5, "g": -0.3},
        {"a": (0, 20), "b": (-4, 4), "c": (-20, 20), "d": (-20, 20), "e": (-20, 20), "f": (0, limit), "g": (-7, 7)},
    )


def relu_mix(kinks: int = 3, linear: bool = False) -> ActivationFamily:
    """sum a_i ReLU(x - b_i) + d, and + c x if `linear`: continuous and piecewise linear.

    Three kinks without c x, seven parameters, miss the tangent kernel of four hidden ReLU layers by 0.0044 (root mean
    square over |c| < 0.985) with slopes below 2.3 and half of the variance at finite width of the `relu_cosine` that is
    as near. The family starts near that activation.

    Examples
    --------
    >>> relu_mix(1, linear=True).expr
    a1*Max(0, -b1 + x) + c*x + d
    """
    count = whole_number("kinks", kinks, 1)
    names = [(f"a{i}", f"b{i}") for i in range(1, count + 1)]
    formula = " + ".join([*(f"{a}*Max(x - {b}, 0)" for a, b in names), *(["c*x"] if linear else []), "d"])
    start: dict[str, float] = {}
    for i, (a, b) in enumerate(names):
        start[a], start[b] = _RELU_STARTS[i] if i < len(_RELU_STARTS) else (1.0, 1.5 * math.sin(i))
    start |= {"c": 0.1, "d": 0.5} if linear else {"d": 0.5}
    bounds = {name: (-4, 4) if name[0] == "b" else (-20, 20) for name in start}
    return activation_family(formula, start, bounds)


def sum_of_activations(*activations: Any, constant: bool = True) -> ActivationFamily:
    """sum a_i phi_i(s_i x + m_i) + d, with free amplitudes, scales and shifts.

    The scale is left out where phi_i is homogeneous (there it is an amplitude), scale and shift where it is x.

    Parameters
    ----------
    *activations : str or Activation
        Of the catalogue or your own, continuous, without free parameters.
    constant : bool
        Whether there is a constant d.

    Examples
    --------
    >>> sum_of_activations("relu", "erf").expr
    a1*Max(0, m1 + x) + a2*erf(m2 + s2*x) + d
    """
    if not activations:
        raise DomainError("sum_of_activations(): give at least one activation")
    terms: list[sp.Expr] = []
    start: dict[str, float] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for i, given in enumerate(activations, 1):
        phi = activation(given)
        if phi.parameters:
            raise DomainError(f"{phi.name} has free parameters; give them values, or write a family of your own")
        a, m = sp.symbols(f"a{i} m{i}", real=True)
        s = sp.Symbol(f"s{i}", positive=True)
        start[a.name], bounds[a.name] = 1.0, (-20.0, 20.0)
        if phi.expr == x:
            terms.append(a * x)
            continue
        if phi.homogeneity is None:
            start[s.name], bounds[s.name] = 1.0, _SCALES
        start[m.name], bounds[m.name] = 0.0, (-5.0, 5.0)
        terms.append(a * phi.expr.subs(x, (x if phi.homogeneity is not None else s * x) + m))
    if constant:
        terms.append(sp.Symbol("d", real=True))
        start["d"], bounds["d"] = 0.1, (-5.0, 5.0)
    return activation_family(sp.Add(*terms), start, bounds)


def _pair(name: str, given: Any) -> tuple[float, float]:
    try:
        low, high = given
    except (TypeError, ValueError):
        raise DomainError(
            f"the bounds of {name} are {given!r}; a pair (low, high) is needed, None for no bound"
        ) from None

    def bound(value: Any, infinite: float) -> float:
        if value is None or value == infinite:
            return infinite
        return real_number(f"bound of {name}", _number(value, name))

    return bound(low, -math.inf), bound(high, math.inf)


def _number(value: Any, name: str) -> float:
    return float(exact_number(value, name))


def _merged(what: str, names: tuple[str, ...], given: Any, default: Sequence[Any]) -> list[Any]:
    if given is None:
        return list(default)
    if isinstance(given, Mapping):
        stray = [name for name in given if name not in names]
        if stray:
            raise DomainError(f"{what} names {', '.join(map(str, stray))}; the parameters are {', '.join(names)}")
        return [given.get(name, v) for name, v in zip(names, default, strict=True)]
    values = list(given)
    if len(values) != len(names):
        raise DomainError(f"{what} has {len(values)} entries for the parameters {', '.join(names)}; one each is needed")
    return values
