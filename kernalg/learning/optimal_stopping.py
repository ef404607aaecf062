"""When to stop gradient flow: the time of smallest predicted test error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray
from kernalg.learning.flow_contour import Flow
from kernalg.learning.gradient_flow import gradient_flow_curve
from kernalg.learning.problem import learning_problem
from kernalg.learning.records import equal_by_json, frozen, record_from_json, record_to_json
from kernalg.learning.two_ridges import cross_risk
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table


@equal_by_json
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimalStopping:
    """When to stop: per number of samples `n`, the best `time` (inf: never) and the `test_mse` there."""

    n: FloatArray
    time: FloatArray
    test_mse: FloatArray

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = zip(self.n, self.time, self.test_mse, strict=True)
        return ["n", "best time", "test_mse"], [[f"{n:.10g}", f"{t:.6g}", f"{e:.6g}"] for n, t, e in rows]

    def __repr__(self) -> str:
        return "\n".join(["Optimal stopping (inf: train to the end)", text_table(*self._table())])

    def _repr_html_(self) -> str:
        return f"<p>Optimal stopping (inf: train to the end)</p>{html_table(*self._table())}"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal OptimalStopping."""
        return record_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> OptimalStopping:
        """The OptimalStopping that `to_json` wrote; DomainError if the text is no such JSON object."""
        return record_from_json(cls, text)

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {"time": self.time, "test_mse": self.test_mse}
        return pandas.DataFrame(columns, index=pandas.Index(self.n, name="n"))


def optimal_stopping(
    spectrum: Spectrum, power: ArrayLike | None = None, *, n: ArrayLike | range, noise: float = 0.0
) -> OptimalStopping:
    """The time at which gradient flow has the smallest test error, searched over all times.

    Parameters
    ----------
    spectrum, power, n, noise
        As in `gradient_flow_curve`.

    Returns
    -------
    OptimalStopping
        `time` is inf where training to the end is best, and 0 where not training is. Of several local minima the best
        is taken, as far as a grid of 12 times a decade tells them apart.

    Raises
    ------
    DomainError, PrecisionError
        As `gradient_flow_curve`.

    Examples
    --------
    >>> best = optimal_stopping(Spectrum([0.5, 0.01], [1, 50]), [1.0, 1.0], n=[40, 200], noise=0.1)
    >>> best.time.round(2), best.test_mse.round(4)
    (array([11.63,  3.7 ]), array([0.5001, 0.1333]))
    """
    problem = learning_problem(spectrum, power, n, noise)
    end = cross_risk(spectrum, problem.power, n=problem.n, ridges=[0.0], noise=problem.noise).test_mse[:, 0, 0]
    flow = Flow(problem)
    found, best = np.zeros(len(problem.n)), np.full(len(problem.n), problem.power.sum() + problem.noise)
    for row in np.flatnonzero((problem.n > 0) & (len(flow.values) > 0)):
        size = float(problem.n[row])

        def errors(times: FloatArray, size: float = size) -> FloatArray:
            return gradient_flow_curve(spectrum, problem.power, n=size, times=times, noise=problem.noise).test_mse[0]

        lower, upper = flow.edges(size)
        # Before the first nothing has been learned; after the last the error moves by less than a part in 1e8.
        first, last = math.log(1e-4 / (upper + flow.tail)), math.log(20 / max(lower + flow.tail, 1e-14 * upper))
        # The unit of the flow is 2**-shift, which is a power of two for times as well.
        grid = np.linspace(first, last, math.ceil(12 * (last - first) / math.log(10))) + flow.shift * math.log(2)
        values = errors(np.exp(grid))
        for _ in range(6):
            j = int(np.argmin(values))
            if j == 0 or j == len(grid) - 1:
                break
            grid = np.linspace(grid[j - 1], grid[j + 1], 9)
            values = errors(np.exp(grid))
        if values.min() < best[row]:
            best[row], found[row] = values.min(), math.exp(grid[int(np.argmin(values))])
        if end[row] <= best[row]:
            best[row], found[row] = end[row], math.inf
    return OptimalStopping(problem.n, frozen(found), frozen(best))
