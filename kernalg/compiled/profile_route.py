"""Gram entries of a whole network by its sphere profile: one table of polynomials, whatever the depth.

Two kinds of input have one. Homogeneous activations without biases give s_i s_j kappa(xi) at any norms, s = q^(P/2)
with P the product of the degrees. Any network has one on rows of equal norm, with the table made for that norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

from kernalg.compiled.cache import helper_text, load
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.profile_table import ProfileTable

_IMPORT = "from kernalg.compiled.runtime import fma\n"


@cache
def loops() -> ModuleType:
    """The compiled loops, one module for all tables."""
    return load(helper_text("runtime") + helper_text("profile_loops").replace(_IMPORT, ""))


@dataclass(frozen=True, slots=True)
class ProfileRows:
    """Rows, 1/|x|, the scale s, and the diagonal of both kernels.

    For messages, the rows are `name`[`start`] and those after it.
    """

    name: str
    X: FloatArray
    inverse_norms: FloatArray
    scales: FloatArray
    K: FloatArray
    T: FloatArray
    start: int = 0

    def cut(self, first: int, last: int) -> ProfileRows:
        """The rows first..last, as views."""
        part = slice(first, last)
        inverse_norms, scales = self.inverse_norms[part], self.scales[part]
        return ProfileRows(
            self.name, self.X[part], inverse_norms, scales, self.K[part], self.T[part], self.start + first
        )


@dataclass(frozen=True, eq=False)
class ProfileRoute:
    """Entries s_i s_j kappa(xi).

    Parameters
    ----------
    table : ProfileTable
    power : float
        s = (x.x/d)^(power/2); 0 for rows on one sphere, for whose norm the table was made.
    """

    table: ProfileTable
    power: float

    def rows(self, name: str, X: FloatArray, squared_norms: FloatArray) -> ProfileRows:
        with np.errstate(divide="ignore", over="ignore"):
            inverse = np.where(squared_norms > 0, 1 / np.sqrt(squared_norms), 0.0)
            scales = (squared_norms / X.shape[1]) ** (self.power / 2)
            ends = self.table.ends[:, 0]
            return ProfileRows(name, X, inverse, scales, ends[0] * (scales * scales), ends[1] * (scales * scales))

    def work(
        self,
        left: ProfileRows,
        right: ProfileRows,
        A: FloatArray,
        B: FloatArray | None,
        part: int,
        offset: int,
        first: int,
        last: int,
        lower: bool,
    ) -> int:
        """Turn x.y in the rows first..last of A into the kernel `part`, and fill B with part 1 when it is given.

        Returns the number of entries that are not finite.
        """
        t = self.table
        both = B is not None
        coefficients = t.coefficients if part == 0 else t.coefficients[1:]
        ends = t.ends if part == 0 else t.ends[1:]
        return int(
            loops().pairs(
                A,
                A if B is None else B,
                offset,
                first,
                last,
                lower,
                both,
                left.X,
                right.X,
                left.inverse_norms,
                left.scales,
                right.inverse_norms,
                right.scales,
                t.edges,
                t.sides,
                t.lower,
                t.upper,
                t.centres,
                t.scales,
                coefficients,
                ends,
                t.near(left.X.shape[1]),
            )
        )
