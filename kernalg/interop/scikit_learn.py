"""Network kernels as scikit-learn kernels, hyperparameters and their gradients included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from kernalg.activation.activation import Activation, activation
from kernalg.compiled.gram import CompiledProgram
from kernalg.compiled.inputs import FloatArray, data_matrix
from kernalg.compiled.layer_program import LayerProgram
from kernalg.compiled.variance_gradient import variance_gradient
from kernalg.errors import DomainError, MissingExtra
from kernalg.formula import exact_number
from kernalg.network.network import mlp
from kernalg.network.variance_gradient import dual_gradient

try:
    from sklearn.gaussian_process.kernels import Hyperparameter
    from sklearn.gaussian_process.kernels import Kernel as ScikitLearnKernel
except ImportError as error:
    raise MissingExtra(
        "NetworkKernel is a scikit-learn kernel, and scikit-learn is absent: python -m pip install 'kernalg[sklearn]'"
    ) from error


class NetworkKernel(ScikitLearnKernel):
    r"""The kernel of an infinitely wide fully connected network, for scikit-learn.

    The kernel of ``ka.mlp(activation, depth, w_var=weight_variance, b_var=bias_variance, readout=…)``: `depth` hidden
    layers that share their variances, and a linear readout. Inputs are rows x of an (n, d) array; the recursion starts
    from x.x'/d. It goes wherever scikit-learn takes a kernel: Gaussian processes, which tune the two variances on a
    logarithmic scale with exact gradients, ``KernelRidge(kernel=…)``, ``SVC(kernel=…)``; and it composes with
    scikit-learn's own kernels by ``+``, ``*`` and ``**``. A factor ``ConstantKernel() * NetworkKernel()`` is the
    readout's variance as a hyperparameter.

    Parameters
    ----------
    activation : str, SymPy expression or Activation
        A catalogue name, a formula in x, or a made activation. It needs a closed-form dual.
    depth : int
        Number of hidden layers.
    kind : {"ntk", "nngp"}
        The neural tangent kernel, or the covariance of the network at initialisation.
    weight_variance, bias_variance : float
        *Variances* of the hidden layers. A float means its shortest decimal. A bias variance of 0 is a network without
        biases, whatever its bounds: it has no logarithm, and stays fixed.
    weight_variance_bounds, bias_variance_bounds : pair of positive floats, or "fixed"
        Where an optimiser may look.
    readout_weight_variance, readout_bias_variance : float
        Variances of the last layer; not hyperparameters.

    Notes
    -----
    Gradients by log(weight_variance), log(bias_variance) come from forward-mode differentiation of the layer recursion,
    accurate like the kernel itself. New variances cost no compilation.

    Without biases and with a homogeneous activation (ReLU, …), the weight variance is a mere factor, and the cost of an
    entry does not depend on the depth.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import WhiteKernel
    >>> import kernalg as ka
    >>> kernel = ka.NetworkKernel("relu", depth=3, weight_variance=2.0, bias_variance=0.1)
    >>> kernel
    NetworkKernel('relu', depth=3, kind='ntk', weight_variance=2, bias_variance=0.1)
    >>> X = np.random.default_rng(0).standard_normal((40, 3))
    >>> y = np.abs(X[:, 0] - 1) - X[:, 1]
    >>> model = GaussianProcessRegressor(kernel + WhiteKernel(0.01, "fixed")).fit(X[:30], y[:30])
    >>> model.kernel_.k1
    NetworkKernel('relu', depth=3, kind='ntk', weight_variance=0.837, bias_variance=0.821)
    >>> round(model.score(X[30:], y[30:]), 2)
    0.99
    """

    def __init__(
        self,
        activation: Any = "relu",
        *,
        depth: int = 3,
        kind: str = "ntk",
        weight_variance: float = 2.0,
        weight_variance_bounds: Any = (1e-2, 1e2),
        bias_variance: float = 0.1,
        bias_variance_bounds: Any = (1e-4, 1e2),
        readout_weight_variance: float = 1.0,
        readout_bias_variance: float = 0.0,
    ) -> None:
        self.activation = activation
        self.depth = depth
        self.kind = kind
        self.weight_variance = weight_variance
        self.weight_variance_bounds = weight_variance_bounds
        self.bias_variance = bias_variance
        self.bias_variance_bounds = bias_variance_bounds
        self.readout_weight_variance = readout_weight_variance
        self.readout_bias_variance = readout_bias_variance

    @property
    def hyperparameter_bias_variance(self) -> Any:
        fixed = exact_number(self.bias_variance, "bias_variance").is_zero
        return Hyperparameter("bias_variance", "numeric", "fixed" if fixed else self._bounds("bias_variance"))

    @property
    def hyperparameter_weight_variance(self) -> Any:
        return Hyperparameter("weight_variance", "numeric", self._bounds("weight_variance"))

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """The Gram matrix, and with `eval_gradient` its derivatives by the free hyperparameters.

        Parameters
        ----------
        X, Y : (n, d) and (m, d) arrays of real numbers
            `Y` not given means X.
        eval_gradient : bool
            Only without `Y`.

        Returns
        -------
        K : (n, m) array
        gradient : (n, n, free) array
            dK/dlog(variance) in alphabetical order: bias variance, weight variance. Only with `eval_gradient`.

        Raises
        ------
        NoClosedForm
            The activation's dual has none.
        DomainError
            A parameter out of range, inputs that are not finite real matrices, or a gradient asked for with `Y`.
        """
        if eval_gradient and Y is not None:
            raise DomainError("eval_gradient=True needs Y not given: the gradient is of the matrix of X with itself")
        left = data_matrix(np.atleast_2d(X), "X")
        right = None if Y is None or Y is X else data_matrix(np.atleast_2d(Y), "Y")
        kernel, _ = self._functions()
        with self._where():
            K = kernel(left, right)
            return (K, self._gradient(left, K)) if eval_gradient else K

    def diag(self, X: Any) -> FloatArray:
        """K(x, x) of every row: bit for bit the diagonal of ``self(X)``."""
        rows = data_matrix(np.atleast_2d(X), "X")
        _, diagonal = self._functions()
        with self._where():
            return diagonal(rows)

    def is_stationary(self) -> bool:
        """No: it depends on more than x - x'."""
        return False

    def __repr__(self) -> str:
        phi = self.activation.name if isinstance(self.activation, Activation) else str(self.activation)
        text = (
            f"{type(self).__name__}({phi!r}, depth={self.depth}, kind={self.kind!r}, "
            f"weight_variance={float(self.weight_variance):.3g}, bias_variance={float(self.bias_variance):.3g}"
        )
        for name, usual in (("readout_weight_variance", 1), ("readout_bias_variance", 0)):
            value = getattr(self, name)
            text += "" if value == usual else f", {name}={float(value):.3g}"
        return text + ")"

    def __getstate__(self) -> dict[str, Any]:
        """What was given to the constructor; an activation without what was derived from it."""
        state = dict(self.__dict__)
        if isinstance(self.activation, Activation):
            state["activation"] = Activation(self.activation.expr, self.activation.name)
        return state

    # -- work -----------------------------------------------------------------------------------

    def _functions(self) -> tuple[Callable[..., FloatArray], Callable[..., FloatArray]]:
        """The Gram matrix and its diagonal as functions of arrays."""
        phi, w, b, readout_w, readout_b = self._network()
        degree = self._degree()
        if degree is None:
            network = mlp(phi, self.depth, w, b, (readout_w, readout_b))
            # Without the tables of the profile: each would serve a single value of the hyperparameters.
            program = CompiledProgram(LayerProgram(network.ntk.program.steps))
            ntk = self.kind == "ntk"
            return program.ntk if ntk else program.nngp, lambda X: program.diagonal(X)[int(ntk)]
        network = mlp(phi, self.depth, 1, 0)
        kernel = network.ntk if self.kind == "ntk" else network.nngp
        factor, shift = float(readout_w) * float(w) ** degree, float(readout_b)
        return lambda X, Y: factor * kernel(X, Y) + shift, lambda X: factor * kernel.diag(X) + shift

    @contextmanager
    def _where(self) -> Iterator[None]:
        """Say which variances did it, for they may be an optimiser's."""
        try:
            yield
        except DomainError as error:
            raise DomainError(
                f"{error}\n    This is {self!r}; if an optimiser chose these variances, narrow their bounds"
            ) from error

    def _gradient(self, X: FloatArray, K: FloatArray) -> FloatArray:
        phi, w, b, readout_w, readout_b = self._network()
        # (log w, log b), in alphabetical order of the names: b first
        columns = [
            p
            for p, h in enumerate([self.hyperparameter_weight_variance, self.hyperparameter_bias_variance])
            if not h.fixed
        ][::-1]
        degree = self._degree()
        if not columns:
            return np.empty((*K.shape, 0))
        if degree is not None:
            return (degree * (K - float(readout_b)))[:, :, None]
        made = variance_gradient(dual_gradient(phi), self.depth, self.kind == "ntk", w, b, float(readout_w), X)
        return made[:, :, columns]

    def _degree(self) -> float | None:
        """m if the hidden layers' kernels are w^m times those of w = 1: no biases, and an activation of a degree."""
        phi, _, b, *_ = self._network()
        if not b.is_zero or phi.homogeneity is None:
            return None
        m = 0.0
        for _ in range(self.depth):
            m = float(phi.homogeneity) * (m + 1)
        return m

    def _network(self) -> tuple[Activation, sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
        """The activation and the four variances, exact and checked."""
        if self.kind not in ("ntk", "nngp"):
            raise DomainError(f"NetworkKernel(kind={self.kind!r}): the kind of kernel is 'ntk' or 'nngp'")
        made = []
        for name in ("weight_variance", "bias_variance", "readout_weight_variance", "readout_bias_variance"):
            value = exact_number(getattr(self, name), name)
            if not value.is_positive and not (value.is_zero and "bias" in name):
                least = "a number, at least 0" if "bias" in name else "a number above 0"
                raise DomainError(f"NetworkKernel({name}={value}): a variance is {least} (not a standard deviation)")
            made.append(value)
        return (_activation(self.activation), made[0], made[1], made[2], made[3])

    def _bounds(self, name: str) -> Any:
        bounds = getattr(self, f"{name}_bounds")
        if isinstance(bounds, str):
            if bounds == "fixed":
                return bounds
        elif np.shape(bounds) in ((2,), (1, 2)) and np.min(bounds) > 0:
            return bounds
        raise DomainError(
            f"NetworkKernel({name}_bounds={bounds!r}): a pair (low, high) of positive numbers is needed, or 'fixed'"
        )


@lru_cache(maxsize=64)
def _activation(given: str | sp.Expr | Activation) -> Activation:
    """One value for all steps of an optimiser: its duals are derived once."""
    return activation(given)
