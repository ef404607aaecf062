r"""Signs of Hermite coefficients: invisible at infinite width, decisive at finite width.

A kernel fixes :math:`b_k^2`; every :math:`\varphi=\sum\varepsilon_k|b_k|h_k`, :math:`\varepsilon_k=\pm1`, has it. The
signs set how fast phi grows and how much the kernel of a network of width n fluctuates. All plus grows fastest
(:math:`\sum t^kh_k/\sqrt{k!}=e^{tz-t^2/2}`), the pattern ++-- turns the same sum into
:math:`e^{t^2/2}(\cos tz+\sin tz)`.

With :math:`\psi=\sum\sqrt k\,b_kh_{k-1}` and the correlation rho of the hidden pre-activations,

.. math:: n\,\mathrm{Var}/V^2 = E[\varphi^2\varphi_2^2]+2\rho E[\varphi\psi\varphi_2\psi_2]+3\rho^2E[\psi^2\psi_2^2]
          -\Bigl(\sum(1+k)b_k^2\rho^k\Bigr)^2

(`kernalg.finite.variance`), where only the first three terms know the signs. A Gauss-Hermite rule of 2M+1 nodes
integrates all three exactly, and turns them into matrix products for thousands of choices at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from scipy.linalg import eigvalsh_tridiagonal

from kernalg.checks import FloatArray, real_array, real_vector
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.variance import check_kind, layer_variances, tangent_kernel_variance
from kernalg.formula import exact_number

OBJECTIVES = ("variance", "growth", "maximum")

MAX_DEGREE = 300  # beyond it exp(-x^2/4) underflows at the outer nodes
# Free signs up to which every choice is tried.
_EXHAUSTIVE = 14
_LONGEST_PERIOD = 8
_STARTS = 6
# Pairs of signs are flipped together while they are at most so many.
_PAIRS = 4000
_BATCH = 2048
# Relative error of a sum of float64 products, amply.
_ROUNDING = 1e-14
# Choices whose values differ by less are the same choice, up to rounding.
_IMPROVEMENT = 1e-12
_TEXT = {"+": 1, "-": -1, "−": -1}


def sign_pattern(text: str) -> tuple[int, ...]:
    """The signs of a pattern such as "++--", which is repeated: coefficient k has entry k mod its length.

    (What designs and closed forms call their signs may also have a beginning, "+(++--)": see `parse_signs`.)

    Examples
    --------
    >>> sign_pattern("++--")
    (1, 1, -1, -1)
    """
    characters = text.strip()
    if not characters or any(c not in _TEXT for c in characters):
        raise DomainError(
            f"signs={text!r}: a pattern is one word of + and -, repeated along the coefficients, such as '++--'; "
            "separate signs are given as a list of 1 and -1, and design takes 'auto', 'least variance' and 'least "
            "growth' too"
        )
    return tuple(_TEXT[c] for c in characters)


def parse_signs(signs: Any, coefficients: Sequence[Any]) -> tuple[int, ...]:
    """One sign for each coefficient, 0 where the coefficient is 0.

    Parameters
    ----------
    signs : str or sequence
        A pattern (`sign_pattern`; coefficient k gets entry k mod its length), also after a beginning that is not
        repeated, as in "+(++--)", or with 0 at coefficients that are 0; or 1 and -1, one for every coefficient
        (the entry of a coefficient 0 is ignored and may be 0), or one for every non-zero coefficient.
    coefficients : sequence of numbers
        Only whether each is 0 matters.

    Raises
    ------
    DomainError
        Other entries than 1 and -1, a sign 0 for a non-zero coefficient, a list of another length, two patterns.

    Examples
    --------
    >>> parse_signs("++--", [1, 0, 2, 1, 1])
    (1, 0, -1, -1, 1)
    >>> parse_signs("+(++--)", [1, 2, 3, 0, 5])
    (1, 1, 1, 0, -1)
    >>> parse_signs([1, -1], [0, 3, 0, 5])
    (0, 1, 0, -1)
    """
    present = [bool(b != 0) for b in coefficients]
    if isinstance(signs, str):
        word = signs.strip()
        if (
            "0" in word
            and len(word) == len(present)
            and all(c != "0" for c, here in zip(word, present, strict=True) if here)
        ):
            word = word.replace("0", "+")
        beginning, repeated = _parts(word, signs)
        start = len(beginning)
        signed = [beginning[k] if k < start else repeated[(k - start) % len(repeated)] for k in range(len(present))]
        return tuple(sign if here else 0 for sign, here in zip(signed, present, strict=True))
    try:
        entries = [_TEXT.get(s, s) if isinstance(s, str) else s for s in signs]
    except TypeError:
        raise DomainError(f"signs={signs!r}: give a pattern such as '++--', or a list of 1 and -1") from None
    words = [s for s in entries if isinstance(s, str)]
    if words:
        raise DomainError(
            f"signs={signs!r}: {'several patterns' if len(words) > 1 else f'{words[0]!r} in a list'}; give one pattern "
            "as a text, or a list of 1 and -1"
        )
    count = sum(present)
    if len(entries) == len(present):
        chosen = entries
    elif len(entries) == count:
        following = iter(entries)
        chosen = [next(following) if here else 0 for here in present]
    else:
        raise DomainError(
            f"{len(entries)} signs for {len(present)} coefficients, of which {count} are not 0; give one for each, one "
            "for each that is not 0, or a pattern such as '++--'"
        )
    return tuple(_sign(s, k) if here else 0 for k, (s, here) in enumerate(zip(chosen, present, strict=True)))


def _parts(word: str, given: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of "+(++--)" the beginning and what is repeated; of "++--" the latter alone."""
    head, bracket, tail = word.partition("(")
    if not bracket:
        return (), sign_pattern(word)
    if not tail.endswith(")"):
        return (), sign_pattern(given)  # which refuses it
    return sign_pattern(head), sign_pattern(tail[:-1])


def apply_signs(magnitudes: Sequence[Any], signs: Any) -> tuple[sp.Expr, ...]:
    """The coefficients with these absolute values and signs, exact.

    Examples
    --------
    >>> apply_signs([1, 0, "1/2"], "++--")
    (1, 0, -1/2)
    """
    values = tuple(exact_number(b, f"|b_{k}|") for k, b in enumerate(magnitudes))
    for k, value in enumerate(values):
        if value.is_negative:
            raise DomainError(f"|b_{k}| = {value}: absolute values are not negative; the sign goes into `signs`")
    return tuple(sign * value for sign, value in zip(parse_signs(signs, values), values, strict=True))


@dataclass(frozen=True, slots=True)
class BestSigns:
    """The signs found, and how.

    Attributes
    ----------
    signs : tuple of int
        1, -1, and 0 for a coefficient 0; the first that is not 0 is 1.
    value : float
        Of the objective: n Var (averaged over the cosines, certified), E phi^4, or max |phi| on |z| <= 6.
    objective : {"variance", "growth", "maximum"}
    method : str
        "all of 2^m choices", or "local search from periodic patterns".
    patterns : dict
        The objective at "+" and at "++--", for comparison.
    tried : int
        Choices evaluated.
    """

    signs: tuple[int, ...]
    value: float
    objective: str
    method: str
    patterns: dict[str, float]
    tried: int

    @property
    def text(self) -> str:
        """The signs as a word: + and -, 0 for a coefficient 0."""
        return "".join("0+-"[s] for s in self.signs)

    @property
    def pattern(self) -> str | None:
        """The shortest periodic pattern that these signs follow, of period at most 8; None when they follow none."""
        for period in range(1, _LONGEST_PERIOD + 1):
            word = [{s for s in self.signs[start::period] if s} for start in range(period)]
            if len(self.signs) > period and all(len(found) <= 1 for found in word):
                return "".join("-" if -1 in found else "+" for found in word)
        return None

    def __repr__(self) -> str:
        others = ", ".join(f"{value:.6g} for {name}" for name, value in self.patterns.items())
        return f"<BestSigns {self.text}: {self.objective} {self.value:.6g} ({others}); {self.method}>"


def best_signs(
    magnitudes: Sequence[Any],
    objective: str = "variance",
    cosine: Any = 1,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    kind: str = "ntk",
) -> BestSigns:
    """Signs of Hermite coefficients that make finite networks fluctuate least, or phi grow least.

    Parameters
    ----------
    magnitudes : sequence of non-negative numbers
        |b_k| for k = 0 … M <= 300, where phi(sqrt(q) z) is the sum of b_k h_k(z), q = w_var + b_var.
    objective : {"variance", "growth", "maximum"}
        n Var of the empirical kernel (its mean over the cosines given); E phi^4; max |phi(sqrt(q) z)| on |z| <= 6.
    cosine : number or sequence of numbers in [-1, 1]
        Where the variance counts.
    w_var, b_var, readout, kind
        Of the network, as in `kernalg.finite.variance.tangent_kernel_variance`.

    Returns
    -------
    BestSigns
        The best of all choices for up to 14 free signs (two are free of charge: phi(z), -phi(z) and phi(-z) are alike).
        Otherwise a local optimum: from the best periodic patterns, single signs and pairs are flipped until none
        improves.

    Examples
    --------
    >>> best_signs([1, 1, 1, 1]).text
    '++--'
    """
    given = real_vector("magnitudes", magnitudes, minimum=0.0)
    if objective not in OBJECTIVES:
        raise DomainError(f"objective={objective!r}: one of {', '.join(OBJECTIVES)} is needed")
    places = np.flatnonzero(given)
    if not len(places):
        raise DomainError("all coefficients are 0: there are no signs to choose")
    if places[-1] > MAX_DEGREE:
        raise DomainError(f"magnitudes of degree {places[-1]}; signs are chosen for degrees up to {MAX_DEGREE}")
    b = given[: places[-1] + 1]
    size = float(b.max())  # searched in units of it: fourth powers of large or small coefficients leave float64
    b = b / size
    value = _objective(b, objective, cosine, layer_variances(w_var, b_var, readout), check_kind(kind))
    tried = 0

    def evaluated(choices: FloatArray) -> FloatArray:
        nonlocal tried
        tried += len(choices)
        return np.concatenate([value(choices[i : i + _BATCH]) for i in range(0, len(choices), _BATCH)])

    # phi and -phi, phi(z) and phi(-z) have the same kernel of any network and the same size.
    fixed = {int(places[0])} | {int(k) for k in places[(places - places[0]) % 2 == 1][:1]}
    free = [int(k) for k in places if int(k) not in fixed]
    named = {name: float(evaluated(_periodic(sign_pattern(name), len(b)))[0]) for name in ("+", "++--")}
    if len(free) <= _EXHAUSTIVE:
        choices = np.ones((2 ** len(free), len(b)))
        choices[:, free] = np.array(list(itertools.product((1, -1), repeat=len(free)))).reshape(len(choices), -1)
        values = evaluated(choices)
        best, method = choices[values.argmin()], f"all of 2^{len(free)} choices"
        lowest = float(values.min())
    else:
        best, lowest = _local_search(evaluated, len(b), free)
        method = "local search from periodic patterns"
    if objective == "variance":  # with all digits; the search had those that float64 leaves
        arguments = (np.atleast_1d(cosine).tolist(), w_var, b_var, readout, kind)
        b = b * size
        lowest = _certified(best * b, *arguments)
        for name in named:
            periodic = _periodic(sign_pattern(name), len(b))[0]
            named[name] = _certified(periodic * b, *arguments)
            if named[name] < lowest:
                best, lowest = periodic * periodic[places[0]], named[name]
    else:
        power = 4 if objective == "growth" else 1
        lowest, named = _scaled(lowest, size, power), {name: _scaled(v, size, power) for name, v in named.items()}
    signs = tuple(int(s) if x else 0 for s, x in zip(best, b, strict=True)) + (0,) * (len(given) - len(b))
    return BestSigns(signs, lowest, objective, method, named, tried)


def _scaled(value: float, size: float, power: int) -> float:
    """value * size**power, infinity where it overflows."""
    with np.errstate(over="ignore"):
        return float(value * np.float64(size) ** power)


def _certified(b: FloatArray, cosines: list[Any], w_var: Any, b_var: Any, readout: Any, kind: str) -> float:
    w, bias, *_ = layer_variances(w_var, b_var, readout)
    series = HermiteSeries(tuple(exact_number(float(x), "a coefficient") for x in b), w + bias)
    return float(np.mean(tangent_kernel_variance(series, cosines, w_var, b_var, readout, kind)))


def _local_search(
    evaluated: Callable[[FloatArray], FloatArray], length: int, free: list[int]
) -> tuple[FloatArray, float]:
    """From the best periodic patterns, flip what improves most until no single sign and no pair does."""
    words = itertools.chain.from_iterable(itertools.product((1, -1), repeat=p) for p in range(1, _LONGEST_PERIOD + 1))
    starts = np.concatenate([_periodic(word, length) for word in words if word[0] == 1])
    values = evaluated(starts)
    single = np.eye(length)[free]
    pairs = np.array([a + b for a, b in itertools.combinations(single, 2)]) if len(free) ** 2 < 2 * _PAIRS else None
    best, lowest = starts[0], np.inf
    for start in values.argsort(kind="stable")[:_STARTS]:
        here, current = starts[start].copy(), float(values[start])
        moved = True
        while moved:
            moved = False
            for flips in (single, pairs):
                if flips is None:
                    continue
                found = here * (1 - 2 * flips)
                outcomes = evaluated(found)
                i = int(outcomes.argmin())
                if outcomes[i] < current - _IMPROVEMENT * abs(current):
                    here, current, moved = found[i], float(outcomes[i]), True
                    break
        if current < lowest:
            best, lowest = here, current
    return best * best[best != 0][0], lowest


def _objective(
    b: FloatArray, objective: str, cosine: Any, variances: Sequence[sp.Expr], kind: str
) -> Callable[[FloatArray], FloatArray]:
    """A function of many choices of signs (one a row)."""
    k = np.arange(len(b))
    slopes = np.append(np.sqrt(k[1:]) * b[1:], 0.0)  # of h_{k-1}, before the signs
    if objective == "maximum":
        table = _hermite_table(np.linspace(-6, 6, 1201), len(b))
        return lambda choices: np.abs((choices * b) @ table).max(axis=1)
    quarter, half = _rule(len(b))

    def fourth_powers(choices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """phi w^(1/4) and psi w^(1/4) at the nodes."""
        signed = np.append(choices[:, 1:], np.ones((len(choices), 1)), axis=1)
        return (choices * b) @ quarter, (signed * slopes) @ quarter

    if objective == "growth":
        return lambda choices: (fourth_powers(choices)[0] ** 4).sum(axis=1)

    w, bias, v, _ = (float(value) for value in variances)
    xi = np.atleast_1d(real_array("cosine", cosine)).ravel()
    if not xi.size or (np.abs(xi) > 1).any():
        raise DomainError(f"cosine = {cosine}: numbers from -1 to 1 are needed")
    rho = np.clip((w * xi + bias) / (w + bias), -1, 1)
    weights = b**2 * (1 + k if kind == "ntk" else 1)
    kernel = np.polynomial.polynomial.polyval(rho, weights)
    degrees = np.arange(len(half))
    powers = rho[:, None] ** degrees

    def variance(choices: FloatArray) -> FloatArray:
        f, s = fourth_powers(choices)
        parts: list[tuple[FloatArray, Any]] = (
            [(f * f, 1.0)] if kind == "nngp" else [(f * f, 1.0), (f * s, 2 * rho), (s * s, 3 * rho**2)]
        )
        total = np.zeros((len(choices), len(rho)))
        for values, factor in parts:
            if (rho == 1).all():
                total += factor * (values**2).sum(axis=1)[:, None]
                continue
            # Mehler: E[f(u) f(v)] = sum of a_k^2 rho^k with the Hermite coefficients a_k of f. At rho < 0 it cancels
            # for fast-growing phi; the rounding counts against such a choice, so that it does not win by it.
            squares = (values @ half.T) ** 2
            total += factor * (squares @ powers.T) + abs(factor) * _ROUNDING * (squares @ np.abs(powers).T)
        return v**2 * (total - kernel**2).mean(axis=1)

    return variance


def _sign(given: Any, k: int) -> int:
    if isinstance(given, bool | np.bool_) or not (given == 1 or given == -1):
        raise DomainError(f"the sign of b_{k} is {given!r}, and the coefficient is not 0; it must be 1 or -1")
    return 1 if given == 1 else -1


def _periodic(word: Sequence[int], length: int) -> FloatArray:
    return np.resize(np.array(word, dtype=float), (1, length))


def _hermite_table(z: FloatArray, count: int, first: Any = 1.0) -> FloatArray:
    """h_0 … h_{count-1} at z, times `first`, shape (count, points)."""
    table = np.zeros((max(count, 2), len(z)))
    table[0] = first
    table[1] = z * first
    for k in range(1, count - 1):
        table[k + 1] = (z * table[k] - np.sqrt(k) * table[k - 1]) / np.sqrt(k + 1)
    return table[:count]


@lru_cache(maxsize=8)
def _rule(count: int) -> tuple[FloatArray, FloatArray]:
    """h_k w^(1/4) for k < count, and h_k w^(1/2) for k < 2 count - 1, at the 2 count - 1 nodes of Gauss and Hermite.

    Products of four functions of degree count - 1 are integrated exactly. With psi_k = h_k exp(-x^2/4), which stays
    near 1, and S = sum of psi_k^2, the weights are exp(-x^2/2) / S: nothing overflows, however large phi is out there.
    """
    nodes_needed = 2 * count - 1
    x = (
        eigvalsh_tridiagonal(np.zeros(nodes_needed), np.sqrt(np.arange(1.0, nodes_needed)))
        if count > 1
        else np.zeros(1)
    )
    x = (x - x[::-1]) / 2
    psi = _hermite_table(x, nodes_needed, np.exp(-(x**2) / 4))
    total = (psi**2).sum(axis=0)
    return psi[:count] * np.exp(x**2 / 8) / total**0.25, psi / np.sqrt(total)
