r"""The plateaus of a learning curve: where some levels are learned, and the next are not.

The eigenlearning equations give n as a function of kappa,
:math:`n=\sum_im_i\lambda_i/(\lambda_i+\kappa)+\delta/\kappa`. Between two eigenvalues far apart,
:math:`\lambda_j\gg\kappa\gg\lambda_{j+1}`, the levels up to j are learned (L = 1), the others are not (L = 0), and the
error rests on a plateau,

.. math:: E\to\sum_{i>j}v_i^2+\sigma^2\qquad\text{for}\qquad n(\lambda_j)\ll n\ll n(\lambda_{j+1}).

On the sphere :math:`n(\lambda_r)` is of order :math:`d^r`: degrees up to r are learned for d^r << n << d^{r+1}.
Sources: Ghorbani, Mei, Misiakiewicz and Montanari (Ann. Stat. 2021); Mei, Misiakiewicz and Montanari (ACHA 2022) for
gaps of any origin.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.learning.kappa import at_kappa
from kernalg.learning.problem import learning_problem
from kernalg.learning.records import plain
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table

# Values of log kappa per plateau at which the error is compared with its height: 8 per unit at least, as the error
# varies with log kappa on the scale of 1.
_POINTS = 400
_THIRD = math.log(3)


@dataclass(frozen=True, slots=True)
class Plateau:
    """One step of a staircase.

    Attributes
    ----------
    learned : names of the levels that are learned on it.
    height : the error there on noisy labels, in the limit of well separated levels.
    after, before : the numbers of samples at which the last learned level, and the next one, are half learned
        (kappa equals their eigenvalue). The plateau lies well between them; `before` is inf if no level is left.
    holds : (from, to), the longest run of n over which the predicted error is within the tolerance of `height`, the
        last learned level is learned to at least 3/4, and the next to at most 1/4; None if there is no such n, which
        is when the levels are too close to one another for a plateau.
    """

    learned: tuple[str, ...]
    height: float
    after: float
    before: float
    holds: tuple[float, float] | None


@dataclass(frozen=True, slots=True, repr=False)
class Staircase:
    """Plateaus of a learning curve, from none learned to all learned.

    `tolerance` is the relative deviation from the height that `Plateau.holds` allows.
    """

    plateaus: tuple[Plateau, ...]
    tolerance: float

    def __len__(self) -> int:
        return len(self.plateaus)

    @property
    def heights(self) -> FloatArray:
        """Height of every plateau, falling."""
        return np.array([p.height for p in self.plateaus])

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal Staircase (infinities as the string "inf")."""
        steps = [
            {
                "learned": list(p.learned),
                "height": p.height,
                "after": p.after,
                "before": plain(p.before),
                "holds": None if p.holds is None else plain(list(p.holds)),
            }
            for p in self.plateaus
        ]
        data = {"type": "kernalg.Staircase", "tolerance": self.tolerance, "plateaus": steps}
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Staircase:
        """The Staircase that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.Staircase", ["tolerance", "plateaus"])
        try:
            plateaus = []
            for step in data["plateaus"]:
                ends = None if step["holds"] is None else [float(n) for n in step["holds"]]
                plateaus.append(
                    Plateau(
                        learned=tuple(str(name) for name in step["learned"]),
                        height=float(step["height"]),
                        after=float(step["after"]),
                        before=float(step["before"]),
                        holds=None if ends is None else (ends[0], ends[1]),
                    )
                )
            return cls(tuple(plateaus), float(data["tolerance"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DomainError(f"not the JSON of a Staircase, as to_json writes it: {error}") from error

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row per plateau; MissingExtra without pandas."""
        pandas = import_pandas()
        holds = [p.holds or (math.nan, math.nan) for p in self.plateaus]
        columns = {
            "learned": [", ".join(p.learned) for p in self.plateaus],
            "height": self.heights,
            "after": [p.after for p in self.plateaus],
            "before": [p.before for p in self.plateaus],
            "holds_from": [low for low, _ in holds],
            "holds_to": [high for _, high in holds],
        }
        return pandas.DataFrame(columns)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for p in self.plateaus:
            learned = "none" if not p.learned else p.learned[0] if len(p.learned) == 1 else f"…, {p.learned[-1]}"
            holds = "nowhere" if p.holds is None else f"{p.holds[0]:.4g} to {p.holds[1]:.4g}"
            rows.append([learned, f"{p.height:.6g}", f"{p.after:.4g}", f"{p.before:.4g}", holds])
        return ["learned", "height", "well above n =", "well below n =", f"within {self.tolerance:.0%} for n"], rows

    def __repr__(self) -> str:
        return text_table(*self._table())

    def _repr_html_(self) -> str:
        head, rows = self._table()
        return html_table([html.escape(h) for h in head], rows)


def staircase(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    ridge: float = 0.0,
    noise: float = 0.0,
    tolerance: float = 0.1,
) -> Staircase:
    """Heights of the plateaus of a learning curve, and the numbers of samples for which they hold.

    Parameters
    ----------
    spectrum : Spectrum
        Levels of equal eigenvalue are learned together; levels of eigenvalue zero, and beyond the spectrum, never.
    power : array_like, optional
        Target power per level, as in `learning_curve`.
    ridge, noise : float
        delta in K + delta I, and the variance of the label noise.
    tolerance : float
        Relative deviation from the height at which a plateau still counts as holding.

    Returns
    -------
    Staircase

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, or there is no target power.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.5e-3, 0.5e-6], [1, 1000, 1000000])
    >>> steps = staircase(s, [0, 1, 2], noise=0.25)
    >>> steps.heights
    array([3.25, 3.25, 2.25, 0.25])
    >>> [round(v) for v in steps.plateaus[2].holds]
    [8674, 140689]
    """
    problem = learning_problem(spectrum, power, 0.0, noise)
    ridge = real_number("ridge", ridge, minimum=0.0)
    tolerance = real_number("tolerance", tolerance, minimum=0.0)
    effective = ridge + (spectrum.tail or 0.0)
    logs = spectrum.log_eigenvalues
    distinct = np.unique(logs[logs > -math.inf])[::-1]
    if len(distinct) == 0:  # nothing is ever learned
        height = float(problem.power.sum()) + problem.noise
        return Staircase((Plateau((), height, 0.0, math.inf, (0.0, math.inf)),), tolerance)
    # Half-learned points, and beyond the first and the last: kappa = inf, and 0.
    marks = np.concatenate([[math.inf], distinct, [-math.inf]])
    plateaus = []
    for j in range(len(distinct) + 1):
        learned = logs >= marks[j]
        height = float(problem.learnable[~learned].sum()) + problem.unlearnable + problem.noise
        # Far outside the spectrum nothing changes any more: 40 units are 17 decades.
        top = marks[j] if j else marks[1] + 40
        bottom = marks[j + 1] if j < len(distinct) else marks[j] - 40
        u = np.linspace(top, bottom, max(_POINTS, math.ceil(8 * (top - bottom))))
        at = at_kappa(spectrum, np.exp(u))
        ridge_modes = effective / np.exp(u)
        n = at.learned_modes + ridge_modes
        bias = at.missing**2 @ problem.learnable + problem.unlearnable
        error = n / (ridge_modes + at.participation) * (bias + problem.noise)
        # kappa in [3 lambda_{j+1}, lambda_j/3]: a curve that falls through the height on its way is no plateau.
        rests = (np.abs(error - height) <= tolerance * height) & (u <= marks[j] - _THIRD) & (u >= marks[j + 1] + _THIRD)
        plateaus.append(
            Plateau(
                learned=tuple(spectrum.label(i) for i in range(len(spectrum)) if learned[i]),
                height=height,
                after=float(n[0]) if j else 0.0,
                before=float(n[-1]) if j < len(distinct) else math.inf,
                holds=_longest_run(n, rests, j == 0, j == len(distinct)),
            )
        )
    return Staircase(tuple(plateaus), tolerance)


def _longest_run(n: FloatArray, holds: np.ndarray, first: bool, last: bool) -> tuple[float, float] | None:
    """Ends of the run of True that is longest in log n; the ends of the first and the last plateau are open."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    runs = [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if not runs:
        return None
    a, b = max(runs, key=lambda run: math.log(n[run[1]]) - math.log(n[run[0]]))
    return (0.0 if first and a == 0 else float(n[a]), math.inf if last and b == len(n) - 1 else float(n[b]))
