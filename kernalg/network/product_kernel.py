"""Kernels of your own on products of spheres: K(x, x') = f(rho1, …, rhow), rho_i = x_i.x_i'/p_i block by block."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.checks import whole_number
from kernalg.compiled.elementwise import elementwise
from kernalg.compiled.inputs import data_matrix
from kernalg.enclosure.balls import BallFunction, ball_function, check_digits, enclose, to_float
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, parse, read_object, to_json

_ROUNDING = 1e-9
MOST_FACTORS = 12


def block_cosines(factors: int) -> tuple[sp.Symbol, ...]:
    """The symbols rho1, …, rhow."""
    return tuple(sp.Symbol(f"rho{i + 1}", real=True) for i in range(factors))


@dataclass(frozen=True)
class ProductKernel:
    """K(x, x') = f(rho1, …, rhow) for inputs in blocks with |x_i|^2 = p_i; made by `product_kernel`.

    Kernels of the same blocks add and multiply, with each other and with numbers.
    """

    expr: sp.Expr
    dimensions: tuple[int, ...]

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """rho1, …, rhow."""
        return block_cosines(len(self.dimensions))

    @cached_property
    def balls(self) -> BallFunction:
        """f as a function of balls, one a block."""
        return ball_function(self.expr, self.symbols)

    def value(self, *cosines: Any, digits: int = 50) -> sp.Float:
        """f at cosines in [-1, 1], one a block, to `digits` certified decimals.

        Examples
        --------
        >>> product_kernel("exp(rho1*rho2)", [3, 3]).value(1, "1/2", digits=20)
        1.6487212707001281468
        """
        digits = check_digits(digits)
        if len(cosines) != len(self.dimensions):
            raise DomainError(f"{len(cosines)} cosines were given for {len(self.dimensions)} blocks: give one a block")
        numbers = [exact_number(v, f"rho{i + 1}") for i, v in enumerate(cosines)]
        for i, v in enumerate(numbers):
            if v.free_symbols or abs(v) > 1:
                raise DomainError(f"rho{i + 1} = {v}: a number in [-1, 1] is needed")
        return to_float(enclose(self._at_balls, numbers, digits), digits)

    def _at_balls(self, *at: arb) -> Any:
        return self.balls(*at)

    def __call__(self, X: Any, Y: Any = None) -> np.ndarray:
        """Gram matrix of rows that hold the blocks one after another, |x_i|^2 = p_i."""
        a = self._rows(X, "X")
        b = a if Y is None else self._rows(Y, "Y")
        cosines = [u @ v.T / p for u, v, p in zip(self._split(a), self._split(b), self.dimensions, strict=True)]
        if Y is None:
            cosines = [(t + t.T) / 2 for t in cosines]
        return self._at(cosines)

    def diag(self, X: Any) -> np.ndarray:
        """K(x_i, x_i)."""
        blocks = zip(self._split(self._rows(X, "X")), self.dimensions, strict=True)
        return self._at([np.einsum("ij,ij->i", rows, rows) / p for rows, p in blocks])

    def _rows(self, given: Any, name: str) -> np.ndarray:
        rows = data_matrix(given, name)
        if rows.shape[1] != sum(self.dimensions):
            raise DomainError(
                f"{name} has {rows.shape[1]} columns; blocks of {', '.join(map(str, self.dimensions))} coordinates, "
                f"one after another, make {sum(self.dimensions)}"
            )
        return rows

    def _split(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.split(rows, np.cumsum(self.dimensions)[:-1], axis=1)

    def _at(self, cosines: list[np.ndarray]) -> np.ndarray:
        for i, (t, p) in enumerate(zip(cosines, self.dimensions, strict=True)):
            worst = float(np.abs(t).max(initial=0.0))
            if worst > 1 + _ROUNDING:
                raise DomainError(
                    f"|rho{i + 1}| reaches {worst:.6g}; block {i + 1} of every row lies on |x|^2 = {p}: rescale it"
                )
        clipped = [np.clip(t, -1, 1) for t in cosines]
        return np.array(np.broadcast_to(elementwise(self.expr, self.symbols)(*clipped), clipped[0].shape))

    def __add__(self, other: Any) -> ProductKernel:
        return ProductKernel(self.expr + self._operand(other), self.dimensions)

    def __mul__(self, other: Any) -> ProductKernel:
        return ProductKernel(self.expr * self._operand(other), self.dimensions)

    __radd__ = __add__
    __rmul__ = __mul__

    def _operand(self, other: Any) -> sp.Expr:
        if not isinstance(other, ProductKernel):
            return exact_number(other, "the other operand")
        if other.dimensions != self.dimensions:
            raise DomainError(
                f"the kernels have blocks of {self.dimensions} and {other.dimensions}; equal ones combine"
            )
        return other.expr

    def to_json(self) -> str:
        tree = {"type": "kernalg.ProductKernel", "expr": to_json(self.expr), "dimensions": list(self.dimensions)}
        return json.dumps(tree)

    @classmethod
    def from_json(cls, text: str) -> ProductKernel:
        tree = read_object(text, "kernalg.ProductKernel", ["expr", "dimensions"])
        return product_kernel(from_json(tree["expr"]), tree["dimensions"])

    def __repr__(self) -> str:
        return f"product_kernel({self.expr}, {list(self.dimensions)})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sp.latex(self.expr)}$"


def product_kernel(formula: str | sp.Expr, dimensions: Iterable[int]) -> ProductKernel:
    """A kernel of your own on a product of spheres, from its formula in rho1, …, rhow.

    Parameters
    ----------
    formula : str or sympy.Expr
        In rho1, …, rhow, the cosines block by block (SymPy symbols of these names are taken as real).
    dimensions : sequence of int
        Coordinates of each block, at least 2: p_1, …, p_w, as in `ProductOfSpheres`.

    Raises
    ------
    DomainError
        If the formula holds other symbols, or a dimension is no integer from 2.

    Examples
    --------
    >>> K = product_kernel("exp(rho1)*(1 + rho2)**2", [3, 2])
    >>> K
    product_kernel((rho2 + 1)**2*exp(rho1), [3, 2])
    >>> K([[3**0.5, 0, 0, 0, 2**0.5]]).round(6)  # blocks of norm sqrt(3) and sqrt(2)
    array([[10.873127]])
    """
    if isinstance(dimensions, str) or not isinstance(dimensions, Iterable):
        raise DomainError(f"dimensions={dimensions!r}: give one dimension per block, as in [8, 8, 4]")
    sizes = tuple(whole_number(f"dimensions[{i}]", p, 2) for i, p in enumerate(dimensions))
    if not 1 <= len(sizes) <= MOST_FACTORS:
        raise DomainError(f"{len(sizes)} dimensions were given; from 1 to {MOST_FACTORS} blocks are allowed")
    symbols = block_cosines(len(sizes))
    expr = parse(formula, symbols) if isinstance(formula, str) else formula
    if not isinstance(expr, sp.Expr):
        raise DomainError(f"product_kernel({formula!r}): give a formula in rho1, …, rhow, as text or as SymPy")
    named = {s.name: s for s in symbols}
    expr = expr.xreplace({s: named[s.name] for s in expr.free_symbols if s.name in named})
    strangers = sorted(str(s) for s in expr.free_symbols - set(symbols))
    if strangers:
        raise DomainError(
            f"{expr} contains {', '.join(strangers)}; for {len(sizes)} blocks the variables are {symbols}"
        )
    return ProductKernel(expr, sizes)
