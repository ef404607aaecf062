"""One route for all blocks of a Gram matrix that is computed block by block.

`CompiledProgram` chooses between a table and the recursion by the norms of the rows it is given. Blocks must not choose
on their own: rows of mixed norms may be of equal norm within a block, and the norms on one sphere differ by rounding,
for which every block would want a table of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kernalg.compiled.gram import CompiledProgram, _squared_norms, compile_program
from kernalg.compiled.inputs import FloatArray, data_matrix
from kernalg.compiled.layer_program import LayerProgram
from kernalg.compiled.profile_route import ProfileRoute
from kernalg.compiled.profile_table import ProfileTable


@dataclass(frozen=True)
class _OneTable:
    """`SphereTables` that hold one table. With a power, rows are not asked to lie on a sphere."""

    power: float
    made: ProfileTable

    def table(self, variance: Fraction) -> ProfileTable:
        return self.made


def squared_norms(X: Any, name: str) -> FloatArray:
    """x.x of every row, shape (n,); refuses what `CompiledProgram` refuses."""
    return _squared_norms(data_matrix(X, name), name)


def route_of(program: LayerProgram, left: FloatArray, right: FloatArray, dimension: int) -> ProfileRoute | None:
    """The table for rows of these squared norms; None for the recursion."""
    return compile_program(program)._profile(left, right, dimension)


def with_route(program: LayerProgram, route: ProfileRoute | None) -> CompiledProgram:
    """`program` on arrays, by this route for any part of the rows that the route was chosen for."""
    tables = None if route is None else _OneTable(route.power, route.table)
    return compile_program(LayerProgram(program.steps, tables))
