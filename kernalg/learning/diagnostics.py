r"""Where the theory behind a learning curve is doubtful, said with numbers.

The eigenlearning equations replace the random Gram matrix of many modes by its mean. That needs many modes around
kappa, and, among the modes below it, which together act like ridge, none that stands out. Two numbers measure it:

* the *participation* :math:`\sum mL(1-L)`, the number of modes half learned (with the tail of the spectrum, if it has
  one, whose modes are countless);
* the *spread* :math:`R=(\sum m\lambda)^2/\sum m\lambda^2` over the modes with lambda < kappa: how many modes the ridge
  they form consists of. In high dimension the first level beyond n samples has more modes than n, so R > n.

The thresholds below were set by simulations: sphere d = 2, 3, 5, 10 and 30 (exponential kernel and ReLU tangent
kernel), Gaussian inputs d = 1, 2, 5 (Gaussian kernel), hypercube d = 10, 14; n from 10 to 800, with and without noise
and ridge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernalg.checks import FloatArray
from kernalg.learning.kappa import AtKappa
from kernalg.learning.problem import LearningProblem
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import format_integer

# Below this participation (n/2 if that is less: n samples cannot show more than n modes), errors of 20 to 100 % were
# seen where noise is amplified at all (E_0 above the second).
_FEW_MODES = 10.0
_AMPLIFIES = 1.05
# With R/n below the first and E_0 above the second, errors of 10 to 75 % (Gaussian kernel in 5 dimensions, ridge 0.001,
# noise 0.1).
_SPREAD = 2.0
_OVERFITS = 1.7
# Noiseless risk below this fraction of the power came out 5 to 80 % higher, or several times where modes are few.
_SMALL_RISK = 0.02
_FRACTION_OF_ATOMS = 0.1
# The number of points of a space may exceed the range of float64.
_HUGE = 10**308
# Levels beyond the list are ridge while kappa is that far above the smallest eigenvalue listed.
_MARGIN = 10.0

_Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Message:
    """A doubt about the prediction: `sentence` for people, `kind` for programs, `n` the sample sizes it concerns.

    Kinds: "few modes", "fast decay", "small risk", "finite population", "truncated spectrum", "beyond the rank",
    "power on zero eigenvalues", "power beyond the spectrum".
    """

    kind: str
    sentence: str
    n: tuple[float, ...]

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True, eq=False)
class Diagnostics:
    """Where the theory behind a learning curve is doubtful.

    `participation` is sum m L (1-L) per n, the number of modes half learned: the equations need it large.
    """

    participation: FloatArray
    messages: tuple[Message, ...]

    def __repr__(self) -> str:
        low, high = self.participation.min(), self.participation.max()
        return "\n".join([f"participation {low:.3g} to {high:.3g}", *(f"! {m}" for m in self.messages)])


def diagnose(
    problem: LearningProblem, kappa: FloatArray, at: AtKappa, overfitting: FloatArray, excess: FloatArray
) -> Diagnostics:
    """The diagnostics of a learning curve: the regimes in which deterministic equivalents were found to fail.

    `at` are the learnabilities at `kappa`, the threshold with the ridge of the curve; `overfitting` is E_0 and `excess`
    the excess error, per n.
    """
    participation = at.participation
    participation.flags.writeable = False
    n, found = problem.n, []
    for kind, concerned, sentence in [
        *_scarce(problem, kappa, at, overfitting, excess),
        *_of_the_spectrum(problem.spectrum, n, kappa),
        *_of_the_target(problem),
    ]:
        where = n[concerned]
        if len(where):
            low, high = f"{where.min():.10g}", f"{where.max():.10g}"
            span = f"n = {low}" if low == high else f"{len(where)} values of n from {low} to {high}"
            found.append(Message(kind, f"{span}: {sentence}", tuple(where.tolist())))
    return Diagnostics(participation, tuple(found))


def _scarce(
    problem: LearningProblem, kappa: FloatArray, at: AtKappa, overfitting: FloatArray, excess: FloatArray
) -> Iterator[tuple[str, _Rows, str]]:
    """Too few modes around kappa, too few below it, or a risk so small that what is neglected shows. One of them per n:
    the gravest."""
    asked = (problem.n > 0) & (kappa > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        around = at.participation + (problem.spectrum.tail or 0.0) / kappa
        spread = _spread(problem.spectrum, kappa) / problem.n
    small = asked & (excess < _SMALL_RISK * problem.power.sum()) & (problem.noise < excess)
    few = asked & (around < np.minimum(_FEW_MODES, problem.n / 2)) & ((overfitting > _AMPLIFIES) | small)
    fast = asked & ~few & (overfitting > _OVERFITS) & (spread < _SPREAD)
    small &= ~few & ~fast
    if few.any():
        yield (
            "few modes",
            few,
            f"only {_range(around[few])} modes take part around kappa (sum m L(1-L); n/2 are needed, but no more than "
            f"{_FEW_MODES:g}), so single experiments scatter widely and their mean was found up to twice the "
            "prediction, many times without noise. Simulate, or compare leave-one-out estimates.",
        )
    if fast.any():
        yield (
            "fast decay",
            fast,
            f"the eigenvalues below kappa decay so fast that {_range(spread[fast])} n modes make up their sum, and "
            f"noise is amplified E_0 = {_range(overfitting[fast])} times; simulations came out 10 to 75 % higher, up "
            "to three times without noise. A larger ridge cures it; otherwise simulate.",
        )
    if small.any():
        share = excess[small] / problem.power.sum()
        yield (
            "small risk",
            small,
            f"the predicted excess risk is {_range(share)} of the target's power (below {_SMALL_RISK:g}) and there is "
            "next to no noise; simulations came out 5 to 80 % higher, the more the faster the spectrum decays. Take it "
            "as an order of magnitude, or simulate.",
        )


def _of_the_spectrum(spectrum: Spectrum, n: FloatArray, kappa: FloatArray) -> Iterator[tuple[str, _Rows, str]]:
    interpolates = (n > 0) & (kappa == 0)
    if interpolates.any():
        yield (
            "beyond the rank",
            interpolates,
            f"there is no ridge and n is not below the rank {format_integer(spectrum.rank)} of the spectrum, so kappa "
            "is 0 and this is ordinary least squares, E_0 = n/(n - rank), infinite at n = rank. Is the rank real, or "
            "are levels missing? Then compute more of them, or give the trace.",
        )
    smallest = min((v for v in spectrum.eigenvalues if v > 0), default=math.inf)
    if spectrum.tail and math.isfinite(smallest):
        yield (
            "truncated spectrum",
            (n > 0) & (kappa < _MARGIN * smallest),
            f"kappa is not well above the smallest eigenvalue listed, {smallest:.3g}, so that levels beyond the list, "
            f"{spectrum.tail:.3g} of the trace {spectrum.trace:.3g}, which are treated as ridge, may be learned too. "
            "Compute the spectrum to more levels.",
        )
    if spectrum.atoms is not None:
        yield (
            "finite population",
            n > _FRACTION_OF_ATOMS * min(spectrum.atoms, _HUGE),
            f"n is not small against the {format_integer(spectrum.atoms)} points of the input space, of which the "
            "theory knows nothing: measured errors were up to twice the prediction. Compare leave-one-out estimates.",
        )


def _of_the_target(problem: LearningProblem) -> Iterator[tuple[str, _Rows, str]]:
    spectrum, always = problem.spectrum, problem.n > 0
    dead = np.flatnonzero((spectrum.log_eigenvalues == -math.inf) & (problem.learnable > 0))
    if len(dead):
        names = ", ".join(spectrum.label(int(i)) for i in dead[:5]) + (", …" if len(dead) > 5 else "")
        power = float(problem.learnable[dead].sum())
        yield (
            "power on zero eigenvalues",
            always,
            f"the target has power {power:.3g} where the eigenvalue is 0 (level {names}): it is never learned, and "
            "disturbs like label noise of that variance. Another kernel is needed for it.",
        )
    if problem.unlearnable > 0:
        reason = (
            "they are counted as never learned, though some may be at large n. Compute the spectrum to more levels."
            if spectrum.tail
            else "it is never learned, and disturbs like label noise of that variance."
        )
        yield (
            "power beyond the spectrum",
            always,
            f"the target has power {problem.unlearnable:.3g} beyond the spectrum's levels ({len(spectrum)}): " + reason,
        )


def _spread(spectrum: Spectrum, kappa: FloatArray) -> FloatArray:
    """R of the modes below each kappa, the tail counted as spread without limit; inf if there is none."""
    values, powers = np.maximum(spectrum.eigenvalues, 0.0), spectrum.level_power
    below = values < kappa[:, None]
    powers = np.where(below, powers, 0.0)
    total = powers.sum(axis=1) + (spectrum.tail or 0.0)
    # R = (sum p)^2 / sum p lambda by shares of the sum and in units of the largest eigenvalue below: the squares, and
    # the numbers of modes, may leave the range of float64.
    unit = np.where(below, values, 0.0).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (powers / total[:, None] * (values / unit[:, None])).sum(axis=1)
        return np.where((unit > 0) & (mean > 0), total / unit / mean, math.inf)


def _range(values: FloatArray) -> str:
    low, high = f"{values.min():.2g}", f"{values.max():.2g}"
    return low if low == high else f"{low} to {high}"
