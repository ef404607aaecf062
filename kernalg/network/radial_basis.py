"""The Gaussian kernel of distances, K(x, x') = exp(-|x - x'|^2 / (2 l2)): the one every method is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from scipy.spatial.distance import cdist

from kernalg.checks import whole_number
from kernalg.compiled.inputs import FloatArray, data_matrix, data_pair
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, read_object, to_json
from kernalg.network.dot_product import DotProductKernel, dot_product_kernel
from kernalg.symbols import rho

# |x|^2 + |y|^2 - 2 x.y loses the digits by which it is smaller than |x|^2 + |y|^2: two at most are given away.
_CANCELLATION = 1e-2
_FEW_COORDINATES = 32


@dataclass(frozen=True)
class RadialBasisKernel:
    """K(x, x') = exp(-|x - x'|^2 / (2 squared_length)) on raw inputs, not divided by d; made by `rbf_kernel`.

    Attributes
    ----------
    squared_length : sympy.Expr
        Square of the length scale, exact and positive.
    """

    squared_length: sp.Expr

    def __call__(self, X: Any, Y: Any = None) -> FloatArray:
        """Gram matrix of the rows of X with those of Y (with themselves by default), in float64.

        Parameters
        ----------
        X : (n, d) array_like
        Y : (m, d) array_like, optional

        Returns
        -------
        ndarray, shape (n, m)
            Exactly 1 for equal rows; for Y = None exactly symmetric.
        """
        x, y = data_pair(X, Y)
        gram = squared_distances(x, y)
        with np.errstate(under="ignore"):
            gram *= -0.5 / float(self.squared_length)
            return np.exp(gram, out=gram)

    def diag(self, X: Any) -> FloatArray:
        """K(x_i, x_i) = 1."""
        return np.ones(len(data_matrix(X, "X")))

    def on_sphere(self, d: int) -> DotProductKernel:
        """The same kernel for inputs with |x|^2 = d (sphere, hypercube): exp((d/squared_length)(rho - 1)).

        Examples
        --------
        >>> rbf_kernel(5).on_sphere(10)
        dot_product_kernel(exp(2*rho - 2))
        """
        d = whole_number("d", d, 1)
        return dot_product_kernel(sp.exp(sp.expand(sp.Integer(d) / self.squared_length * (rho - 1))))

    def to_json(self) -> str:
        return json.dumps({"type": "kernalg.RadialBasisKernel", "squared_length": to_json(self.squared_length)})

    @classmethod
    def from_json(cls, text: str) -> RadialBasisKernel:
        data = read_object(text, "kernalg.RadialBasisKernel", ["squared_length"])
        return rbf_kernel(from_json(data["squared_length"]))

    def __repr__(self) -> str:
        return f"rbf_kernel({self.squared_length})"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle \exp\left(-\frac{{|x-x'|^2}}{{2 \cdot {sp.latex(self.squared_length)}}}\right)$"


def rbf_kernel(squared_length: Any) -> RadialBasisKernel:
    """The Gaussian (radial basis function, squared exponential) kernel exp(-|x - x'|^2 / (2 squared_length)).

    Distances are those of the rows as they are: inputs of d coordinates of variance 1 are about sqrt(2 d) apart, so a
    squared length of the order of d is natural.

    Parameters
    ----------
    squared_length : number
        Square of the length scale, positive and exact (a float means its shortest decimal).

    Raises
    ------
    DomainError
        If it is not a positive number.

    Examples
    --------
    >>> K = rbf_kernel(0.5)
    >>> K
    rbf_kernel(1/2)
    >>> K([[0.0, 0.0], [0.0, 1.0]])
    array([[1.        , 0.36787944],
           [0.36787944, 1.        ]])
    """
    length = exact_number(squared_length, "squared_length")
    if length.free_symbols or not length.is_positive:
        raise DomainError(f"squared_length={squared_length!r}: a positive number is needed, as in rbf_kernel(0.5)")
    return RadialBasisKernel(length)


def squared_distances(x: FloatArray, y: FloatArray | None) -> FloatArray:
    """|x_i - y_j|^2, with a relative error of the order of 1e-14 also for near duplicates and far from the origin.

    With few coordinates every distance is taken from the difference of the rows. With many, that costs several times
    what a matrix product does: then the product gives the distances, and the difference only the few that cancel.
    """
    if x.shape[1] <= _FEW_COORDINATES:
        return np.asarray(cdist(x, x if y is None else y, "sqeuclidean"))
    # Distances do not change when the origin moves, and around the mean the norms are smallest.
    centre = x.mean(axis=0)
    a = x - centre
    b = a if y is None else y - centre
    norms_a = np.einsum("ij,ij->i", a, a)
    norms_b = np.einsum("ij,ij->i", b, b)
    result: FloatArray = a @ b.T
    for i, row in enumerate(result):
        norms = norms_a[i] + norms_b
        row *= -2.0
        row += norms
        close = np.flatnonzero(row < _CANCELLATION * norms)
        if close.size:
            # From the rows as given: the centre is rounded, and equal rows have distance 0 exactly.
            difference = (x if y is None else y)[close] - x[i]
            row[close] = np.einsum("ij,ij->i", difference, difference)
    return result
