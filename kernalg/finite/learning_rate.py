"""How large a learning rate may be: the curvature of the error where training starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg.compiled.threads import serial_blas
from kernalg.finite.network import FiniteNetwork, checked_network
from kernalg.finite.propagation import Pair, forward_pass, parameter_gradients, tangent_pass

# Up to this many outputs of rows the matrix is made; beyond it, Lanczos.
_DENSE = 40


def largest_stable_learning_rate(network: FiniteNetwork, X: Any) -> float:
    """2 / lambda_max: beyond it, gradient descent on the mean squared error of `train` diverges from here.

    lambda_max is the largest eigenvalue of the Hessian of the linearised problem, (2 / rows) J^T J with the Jacobian J
    of all outputs on all rows: for one output, 2 / rows times the largest eigenvalue of the tangent kernel. It is
    found by products with J and its transpose, to four digits. infinity when nothing is trained or J is zero.

    The tangent kernel changes in training, so that a fraction of this rate, a half or less, is advisable.

    Examples
    --------
    >>> import numpy as np, kernalg as ka
    >>> from kernalg.finite.network import finite_network
    >>> from kernalg.finite.tangent import tangent_kernel
    >>> f, X = finite_network(ka.mlp("relu"), inputs=2, width=50, seed=0), np.eye(2)
    >>> rate = largest_stable_learning_rate(f, X)
    >>> bool(abs(rate * np.linalg.eigvalsh(tangent_kernel(f, X)).max() / 2 - 1) < 1e-3)
    True
    """
    rows = checked_network(network).rows(X)
    with serial_blas():
        made = forward_pass(network.layers, rows)
        shape = made.output.shape

        def product(vector: NDArray[Any]) -> NDArray[Any]:
            gradient = vector.reshape(shape).astype(network.dtype)
            directions: list[Pair] = parameter_gradients(network.layers, made, gradient)
            return tangent_pass(network.layers, made, directions).ravel().astype(np.float64)

        largest = _largest_eigenvalue(product, shape[0] * shape[1])
    return float(len(rows) / largest) if largest > 0 else float("inf")


def _largest_eigenvalue(product: Callable[[NDArray[Any]], NDArray[Any]], size: int) -> float:
    if size <= _DENSE:
        matrix = np.stack([product(unit) for unit in np.eye(size)])
        return float(np.linalg.eigvalsh((matrix + matrix.T) / 2).max())
    from scipy.sparse.linalg import LinearOperator, eigsh

    start = np.random.default_rng(0).standard_normal(size)
    if not product(start).any():
        return 0.0
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-5, return_eigenvectors=False)[0])
