"""Whether the fluctuations of finite networks have such heavy tails that simulations mislead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray, whole_number
from kernalg.finite.gauss_panels import gauss_panels
from kernalg.finite.pointwise import pointwise
from kernalg.finite.variance import as_neuron, breakpoints, check_kind, layer_variances

# Half-width and panels, in standard deviations, of the rule for one Gaussian: exp(-x^2/2) is 1e-313 at its ends.
_REACH, _PANELS_PER_UNIT = 38, 4
# Panels shrink towards a break down to this distance.
_GRADES = 10.0 ** np.arange(-12, -1)
# What the last panels may carry of an integral that exists.
_LEFT_OVER = 1e-6
_OUT_OF_REACH = 1e13  # neurons


@dataclass(frozen=True, slots=True)
class TailReport:
    """Whether simulations of finite networks with an activation can be trusted, at the diagonal of its kernel.

    Attributes
    ----------
    kurtosis : float
        E phi^4 / (E phi^2)^2.
    neuron_kurtosis : float
        The same ratio for a neuron's term about its mean: E (t - E t)^4 / (Var t)^2. It decides how well a sample of
        neurons knows its own variance.
    relative_deviation : float
        sqrt(n Var) / kernel: the relative standard error of one neuron.
    neurons_for_one_percent : float
        Neurons (width times draws) for a standard error of 1 % of the kernel.
    neurons_for_honest_error : float
        Neurons for a *sample* standard error that is itself right to about 10 %: (neuron_kurtosis - 1) / 0.04.
    neurons : int
        Neurons the judgement is about.
    heavy : bool
        Whether `neurons` are too few for an honest sample error.
    """

    kurtosis: float
    neuron_kurtosis: float
    relative_deviation: float
    neurons_for_one_percent: float
    neurons_for_honest_error: float
    neurons: int

    @property
    def heavy(self) -> bool:
        return self.neurons_for_honest_error > self.neurons

    @property
    def reason(self) -> str:
        """The judgement in words."""
        one_percent = f"neurons for a standard error of 1 %: {_count(self.neurons_for_one_percent)}"
        if math.isinf(self.relative_deviation):
            return (
                "heavy-tailed: the variance of the empirical kernel is infinite or beyond float64, so that no width in "
                "reach gives error bars"
            )
        kurtosis_text = f"a neuron's term has kurtosis {self.neuron_kurtosis:.3g}"
        if not self.heavy:
            return f"not heavy-tailed: {kurtosis_text}; {one_percent}"
        return (
            f"heavy-tailed: {kurtosis_text}, so that {self.neurons} neurons miss the rare large ones: sample means and "
            "sample errors come out too small. Neurons for honest sample errors: "
            f"{_count(self.neurons_for_honest_error)}; {one_percent}"
        )

    def __repr__(self) -> str:
        return f"<TailReport: {self.reason}>"


def _count(number: float) -> str:
    if number > _OUT_OF_REACH:
        return "more than any computer holds"
    return f"{math.ceil(number):d}" if number < 1e7 else f"{number:.1e}"


def tail_report(
    phi: Any,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    kind: str = "ntk",
    neurons: int = 2**18,
) -> TailReport:
    """Judge the tails of the neurons' terms at equal inputs; 2^18 neurons are 16 draws of width 2^14.

    Examples
    --------
    >>> tail_report("sqrt(2)*sin(sqrt(2)*x + pi/4)").heavy, tail_report("exp(sqrt(2)*x - 2)").heavy
    (False, True)
    """
    neuron, form, count = as_neuron(phi), check_kind(kind), whole_number("neurons", neurons, 1)
    w, b, v, bias = layer_variances(w_var, b_var, readout)
    q = float(w + b)
    z, weights, last = _gaussian_rule([float(t) / math.sqrt(q) for t in breakpoints(neuron)])
    with np.errstate(all="ignore"):
        value, slope = pointwise(neuron).value_and_slope(math.sqrt(q) * z)
        # In units of E|phi|, so that eighth powers of a small or large activation stay within float64.
        unit = float(weights @ np.abs(value))
        if unit == 0:
            return TailReport(math.nan, 1.0, 0.0, 0.0, 0.0, count)  # phi = 0, and its kernel is what it is
        if math.isfinite(unit):
            value, slope, bias = value / unit, slope / unit, float(bias) / unit / unit
        features = value**2
        slopes = q * slope**2 if form == "ntk" else np.zeros_like(z)
        # Moments of t = features + nu^2 slopes: E nu^2j = 1, 1, 3, 15, 105.
        raw = [
            _mean(
                weights,
                last,
                sum(math.comb(m, j) * (1, 1, 3, 15, 105)[j] * features ** (m - j) * slopes**j for j in range(m + 1)),
            )
            for m in range(1, 5)
        ]
        ratio = _mean(weights, last, features**2) / _mean(weights, last, features) ** 2
        mean, spread = raw[0], raw[1] - raw[0] ** 2
        central = raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4
    if math.isfinite(raw[1]) and spread <= 1e-12 * raw[1]:  # every neuron adds the same
        return TailReport(ratio, 1.0, 0.0, 0.0, 0.0, count)
    kernel = float(v) * mean + float(bias)
    deviation = float(v) * math.sqrt(spread) / kernel if math.isfinite(spread) else math.inf
    heavy = central / spread**2 if math.isfinite(central) and math.isfinite(spread) else math.inf
    return TailReport(ratio, heavy, deviation, (deviation / 0.01) ** 2, (heavy - 1) / 0.04, count)


def _gaussian_rule(breaks: Sequence[float]) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Nodes and weights of E f(Z), 16 to a panel, and which panels are the last at +-38 and beside the breaks."""
    inside = [t for t in breaks if abs(t) < _REACH]
    steps = np.concatenate([-_GRADES, [0.0], _GRADES])
    edges = np.linspace(-_REACH, _REACH, 2 * _REACH * _PANELS_PER_UNIT + 1)
    edges = np.unique(np.concatenate([edges, *(t + steps for t in inside)]))
    nodes, weights = gauss_panels(edges[:-1], edges[1:], 16)
    density = np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
    last = np.diff(edges) < 2 * _GRADES[0]
    last[[0, -1]] = True
    return nodes, weights * density, last


def _mean(weights: FloatArray, last: NDArray[np.bool_], values: Any) -> float:
    """E of a non-negative function; infinity where the last panels carry too much.

    The integral of 1/|x| spreads evenly over panels that shrink by tenths; one that exists leaves little to the last.
    """
    panels = (weights * values).reshape(-1, 16).sum(axis=1)
    total = float(panels.sum())
    if not math.isfinite(total):
        return math.inf
    return total if panels[last].sum() <= _LEFT_OVER * total else math.inf
