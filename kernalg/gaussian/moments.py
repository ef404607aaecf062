r"""Gaussian moments with thresholds: tilting, then Stein's recursion.

For two atoms the expectation is a prefactor times

.. math:: M(n, m) = E[u^n v^m \, 1\{S_1 > 0\} \, 1\{S_2 > 0\}]

over jointly Gaussian (u, v, S_1, S_2). Stein's lemma E[(X - mean) F] = sum_Y Cov(X, Y) E[dF/dY] lowers the powers,

.. math:: M(n, m) = \mu_u M(n-1, m) + (n-1) C_{uu} M(n-2, m) + m C_{uv} M(n-1, m-1)
                    + \sum_i \mathrm{Cov}(u, S_i) \, f_{S_i}(0) \, M^{(i)}(n-1, m),

where (i) conditions on S_i = 0 and drops that threshold (the derivative of the step is a delta). It ends at
probabilities: 1, Phi or Phi_2. Everything else is arithmetic in a field, so the algorithm always terminates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Element = Any  # a SymPy FracElement; SymPy ships no types


@dataclass(frozen=True, slots=True)
class Threshold:
    """S: mean, variance, and covariances with u and with v."""

    mean: Element
    variance: Element
    with_u: Element
    with_v: Element


@dataclass(frozen=True, slots=True)
class State:
    """A Gaussian pair (u, v) with its thresholds and their covariance."""

    mean_u: Element
    mean_v: Element
    uu: Element
    uv: Element
    vv: Element
    thresholds: tuple[Threshold, ...] = ()
    between: Element | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    r"""exp(exponent) * (2 pi)^(-half_pis/2) * radicand^(-1/2) * probability.

    `probability` is () for 1, (mean, variance) for Phi(mean/sd), and
    (mean1, variance1, mean2, variance2, covariance) for Phi_2.
    """

    exponent: Element
    radicand: Element
    half_pis: int = 0
    probability: tuple[Element, ...] = ()

    def times_density(self, threshold: Threshold) -> Basis:
        """Multiplied by the density of the threshold at 0."""
        return replace(
            self,
            exponent=self.exponent - threshold.mean**2 / (2 * threshold.variance),
            radicand=self.radicand * threshold.variance,
            half_pis=self.half_pis + 1,
        )


Combination = dict[Basis, Element]


def conditioned(state: State, index: int) -> State:
    """The Gaussian given S_index = 0, without that threshold."""
    s = state.thresholds[index]
    a, b = s.with_u / s.variance, s.with_v / s.variance
    others: tuple[Threshold, ...] = ()
    if len(state.thresholds) == 2:
        o, between = state.thresholds[1 - index], state.between
        g = between / s.variance
        others = (
            Threshold(o.mean - g * s.mean, o.variance - g * between, o.with_u - g * s.with_u, o.with_v - g * s.with_v),
        )
    return State(
        state.mean_u - a * s.mean,
        state.mean_v - b * s.mean,
        state.uu - a * s.with_u,
        state.uv - a * s.with_v,
        state.vv - b * s.with_v,
        others,
    )


class Moments:
    """All moments M(n, m) of one state, as combinations of basis elements; `weight` multiplies every one of them."""

    def __init__(self, state: State, weight: Basis) -> None:
        self.state = state
        self.weight = weight
        self._zero = state.uu - state.uu
        self._known: dict[tuple[int, int], Combination] = {(0, 0): {self._probability(): self._zero + 1}}
        self._conditioned: list[Moments] | None = None

    def _probability(self) -> Basis:
        flat: list[Element] = []
        for s in self.state.thresholds:
            flat += [s.mean, s.variance]
        if self.state.between is not None:
            flat.append(self.state.between)
        return replace(self.weight, probability=tuple(flat))

    def _boundaries(self) -> list[Moments]:
        if self._conditioned is None:
            self._conditioned = [self.on_boundary(i) for i in range(len(self.state.thresholds))]
        return self._conditioned

    def on_boundary(self, index: int) -> Moments:
        """With the delta function of a threshold in the place of its step."""
        return Moments(conditioned(self.state, index), self.weight.times_density(self.state.thresholds[index]))

    def __call__(self, n: int, m: int) -> Combination:
        for total in range(1, n + m + 1):  # fill upwards, so that the recursion below stays shallow
            for i in range(max(0, total - m), min(n, total) + 1):
                self._fill(i, total - i)
        return self._known[n, m]

    def _fill(self, n: int, m: int) -> None:
        if (n, m) in self._known:
            return
        s = self.state
        out: Combination = {}
        if n:
            terms = [(s.mean_u, (n - 1, m)), ((n - 1) * s.uu, (n - 2, m)), (m * s.uv, (n - 1, m - 1))]
            boundary, lowered = [t.with_u for t in s.thresholds], (n - 1, m)
        else:
            terms = [(s.mean_v, (0, m - 1)), ((m - 1) * s.vv, (0, m - 2))]
            boundary, lowered = [t.with_v for t in s.thresholds], (0, m - 1)
        for factor, index in terms:
            if factor:
                accumulate(out, self._known[index], factor)
        for factor, moments in zip(boundary, self._boundaries(), strict=True):
            if factor:
                accumulate(out, moments(*lowered), factor)
        self._known[n, m] = out


def accumulate(total: Combination, terms: Combination, factor: Element) -> None:
    """total += factor * terms, in place."""
    for basis, coefficient in terms.items():
        value = total.get(basis)
        value = factor * coefficient if value is None else value + factor * coefficient
        if value:
            total[basis] = value
        else:
            total.pop(basis, None)
