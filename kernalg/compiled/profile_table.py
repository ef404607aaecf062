"""A kernel on the sphere as a table of polynomials, for arrays.

A profile kappa(xi) has square-root singularities at xi = ±1, which open up in t = sqrt(1 -+ xi). So the table holds
pieces: in the middle polynomials of xi, towards each end polynomials of t. The machine code is one for all tables.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """Polynomial pieces of the NNGP profile (part 0) and of the NTK profile (part 1).

    Parameters
    ----------
    edges : (P + 1,) array
        Piece p holds for edges[p] <= xi < edges[p + 1]; the first and last edge lie beyond -1 and 1.
    sides : (P,) array of int
        The variable y of a piece: 0 for xi, 1 for sqrt(1 - xi), -1 for sqrt(1 + xi).
    lower, upper, centres, scales : (P,) arrays
        The piece is a polynomial of z = (y - centre) scale, |z| <= 1, for lower <= y <= upper.
    coefficients : (2, P, N) array
        Of z^0, z^1, …; N is 1 modulo 4.
    ends : (2, 2) array
        The values at xi = 1 and xi = -1.
    slopes : (2,) array
        Largest size of d kappa/d y on a side piece, as a share of the value at xi = 1.
    error : (2,) array
        Largest error measured of the float64 value, as a share of the value at xi = 1.
    """

    edges: FloatArray
    sides: NDArray[np.int64]
    lower: FloatArray
    upper: FloatArray
    centres: FloatArray
    scales: FloatArray
    coefficients: FloatArray
    ends: FloatArray
    slopes: FloatArray
    error: FloatArray

    def near(self, dimension: int, budget: float = 3e-13) -> float:
        """The |xi| beyond which 1 -+ xi is to be computed from the rows.

        The rounding of x.y and of the norms moves xi by some e = (1 + sqrt(d)/8) 2^-52, hence t = sqrt(1 - xi) by
        e/(2 t) and the kernel by slope e/(2 t): below `budget` of its largest value when t is above slope e/(2 budget).
        """
        moved = (1 + dimension**0.5 / 8) * 2.0**-52
        t = max(1e-2, float(self.slopes.max()) * moved / (2 * budget))
        return 1 - min(t * t, 0.5)

    def to_tree(self) -> dict[str, list[Any]]:
        """Lists of numbers, for JSON."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_tree(cls, tree: dict[str, list[Any]]) -> ProfileTable:
        arrays: dict[str, Any] = {name: np.array(values, dtype=np.float64) for name, values in tree.items()}
        arrays["sides"] = arrays["sides"].astype(np.int64)
        return cls(**arrays)
