"""The NNGP and tangent kernels of a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation.activation import Activation
from kernalg.activation.dual import Dual
from kernalg.compiled.gram import CompiledProgram, compile_program
from kernalg.compiled.inputs import data_pair
from kernalg.compiled.layer_program import DenseStep, DualStep, LayerProgram, SeriesStep
from kernalg.enclosure.balls import check_digits, enclose, to_float
from kernalg.errors import DomainError
from kernalg.formula import exact_number, read_object
from kernalg.network.layers import Dense, Layer, Nonlinearity, layers_from_tree, layers_to_tree
from kernalg.network.profile import Evaluation, Profile
from kernalg.network.recursion import on_diagonal, on_opposites, on_pair, on_sphere
from kernalg.network.smooth_function import float64_functions, has_float64_functions, polynomial_function
from kernalg.network.sphere_tables import NetworkSpheres
from kernalg.symbols import bivariate_normal_cdf

if TYPE_CHECKING:
    from kernalg.compiled.operator import KernelOperator, Progress


# Degrees of polynomials up to which their formulas are compiled: in networks of polynomials, and beside others.
_COMPILED, _COMPILED_AMONG_OTHERS = 3, 6


@dataclass(frozen=True)
class Kernel:
    """A kernel of a network of infinite width; made by ``network.nngp`` and ``network.ntk``.

    Inputs are rows x of an (n, d) array; the recursion starts from K = x.x'/d, T = 0.

    Examples
    --------
    >>> import kernalg as ka, numpy as np
    >>> K = ka.mlp("relu", depth=1).ntk
    >>> X = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> K(X).round(6)
    array([[2.     , 0.31831],
           [0.31831, 2.     ]])
    """

    layers: tuple[Layer, ...]
    kind: str

    @cached_property
    def program(self) -> LayerProgram:
        """The layers as the compiler takes them: formulas and numbers."""
        return _program(self.layers)

    @cached_property
    def _compiled(self) -> CompiledProgram:
        return _compiled(self.layers)

    def __call__(self, X: Any, Y: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
        """The Gram matrix K(x_i, y_j), shape (n, m); symmetric to the last bit when `Y` is not given.

        Parameters
        ----------
        X, Y : (n, d) and (m, d) arrays of real numbers
            The result is float64, or float32 when the inputs are (computed in float64 and rounded once).
        out : (n, m) float64 or float32 array, optional
            Filled and returned.

        Raises
        ------
        DomainError
            Inputs that are not finite real (n, d) arrays; a matrix that does not fit in memory: `operator` does
            without it; an activation without a closed-form dual on rows where its Hermite series does not give 1e-12
            of the diagonal (variances far above 100, most of all).
        NoClosedForm
            The same, where the activation breaks at other places than 0 and the rows have unequal norms.
        """
        run = self._compiled.ntk if self.kind == "ntk" else self._compiled.nngp
        return run(X, Y, out=out)

    def diag(self, X: Any) -> np.ndarray:
        """K(x_i, x_i), shape (n,)."""
        return self._compiled.diagonal(X)[self.kind == "ntk"]

    def operator(self, X: Any, Y: Any = None, *, progress: Progress = None) -> KernelOperator:
        """The Gram matrix as a SciPy `LinearOperator` that computes its entries anew in every product.

        For matrices that do not fit in memory: a product takes the time of a Gram matrix, for any number of columns,
        and memory that does not depend on n. Products have the same bits for any number of threads.

        Parameters
        ----------
        X, Y : (n, d) and (m, d) arrays of real numbers
            Not to be changed while the operator is in use. Without `Y`, the operator is its own adjoint.
        progress : bool or callable
            True shows products that take more than two seconds on the standard error stream; a callable is called as
            ``progress(done, total, text)``.

        Examples
        --------
        >>> import kernalg as ka, numpy as np
        >>> K = ka.mlp("relu", depth=1).ntk
        >>> X = np.array([[1.0, 1.0], [1.0, -1.0]])
        >>> (K.operator(X) @ np.array([1.0, -1.0])).round(6)
        array([ 1.68169, -1.68169])
        """
        from kernalg.compiled.operator import KernelOperator

        prepared = self._compiled.prepare(*data_pair(X, Y), with_ntk=self.kind == "ntk")
        return KernelOperator(prepared, self.kind, progress)

    def nngp_and_ntk(
        self, X: Any, Y: Any = None, *, out: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both Gram matrices of the network in one pass."""
        return self._compiled.both(X, Y, out=out)

    def value(self, q1: Any, q2: Any, c: Any, digits: int = 50) -> sp.Float:
        """K for two inputs with q1 = |x|^2/d, q2 = |x'|^2/d, c = x.x'/d, to `digits` certified decimals.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.mlp("relu", depth=3).ntk.value(1, 1, "1/2", digits=30)
        1.73784467921530902367442944171
        """
        digits = check_digits(digits)
        return to_float(self.enclosure(q1, q2, c, digits=digits), digits)

    def enclosure(self, q1: Any, q2: Any, c: Any, digits: int = 50) -> arb:
        """A ball that contains the exact value, with relative radius at most 10^-digits."""
        _check(self.layers)
        v1, v2, cov = (exact_number(v, n) for v, n in ((q1, "q1"), (q2, "q2"), (c, "c")))
        for name, v in (("q1", v1), ("q2", v2), ("c", cov)):
            if v.free_symbols:
                raise DomainError(f"{name} = {v} is symbolic; numbers are needed (profile().expr is the formula)")
        if v1.is_negative or v2.is_negative or (v1 * v2 - cov**2).is_negative:
            raise DomainError(
                f"q1 = {v1}, q2 = {v2}, c = {cov} is not a covariance: q1, q2 >= 0 and c^2 <= q1 q2 are needed"
            )
        part = int(self.kind == "ntk")

        def value(*at: Any) -> Any:
            if v1 == v2 == cov:
                return on_diagonal(self.layers, at[0])[part]
            if v1 == v2 == -cov:
                return on_opposites(self.layers, at[0])[part]
            return on_pair(self.layers, *at, tangent=bool(part))[part]

        return enclose(value, [v1, v2, cov], digits)

    def profile(self) -> Profile:
        """The kernel on the sphere |x|^2 = d, as a function of rho = x.x'/d."""
        return _profile(self.layers, self.kind)

    def to_json(self) -> str:
        return json.dumps({"type": "kernalg.Kernel", "kind": self.kind, "layers": layers_to_tree(self.layers)})

    @classmethod
    def from_json(cls, text: str) -> Kernel:
        tree = read_object(text, "kernalg.Kernel", ["kind", "layers"])
        if tree["kind"] not in ("nngp", "ntk"):
            raise DomainError(f"the kind of a network kernel is 'nngp' or 'ntk', not {tree['kind']!r}")
        return cls(layers_from_tree(tree["layers"]), tree["kind"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the JSON text: activations carry functions, which do not pickle."""
        return _from_text, (self.to_json(),)

    def __repr__(self) -> str:
        inside = ", ".join(repr(layer) if isinstance(layer, Dense) else layer.name for layer in self.layers)
        return f"<{self.kind.upper()} of serial({inside})>"


@lru_cache(maxsize=64)
def _from_text(text: str) -> Kernel:
    return Kernel.from_json(text)


def _free_symbols(layers: tuple[Layer, ...]) -> list[str]:
    free: set[str] = set()
    for layer in layers:
        if isinstance(layer, Dense):
            free |= {str(s) for s in layer.w_var.free_symbols | layer.b_var.free_symbols}
        else:
            free |= {str(s) for s in layer.parameters}
    return sorted(free)


def _check(layers: tuple[Layer, ...]) -> None:
    """Numbers need values of all parameters."""
    free = _free_symbols(layers)
    if free:
        raise DomainError(
            f"the network has the free parameters {', '.join(free)}; give them values first, "
            "as in activation(phi.expr, a='1/5')"
        )


def _has_float64_form(phi: Activation) -> bool:
    """Whether both duals are formulas of real functions that float64 code has."""
    if phi.polynomial is not None:
        return True
    dual, slope = phi.dual, phi.dual.derivative
    return dual.has_closed_form and slope.has_closed_form and not any(d.expr.has(sp.I, sp.hyper) for d in (dual, slope))


def _has_long_polynomials(layers: tuple[Layer, ...]) -> bool:
    """Whether formulas of polynomials would take seconds to compile, or not end, where finite series are at once there.

    Other activations in the network are better off by formula, which polynomials of a middle length can share.
    """
    nonlinear = [layer for layer in layers if not isinstance(layer, Dense)]
    found = [layer.polynomial for layer in nonlinear if isinstance(layer, Activation)]
    degrees = [polynomial.degree for polynomial in found if polynomial is not None]
    return max(degrees, default=0) > (_COMPILED if len(degrees) == len(nonlinear) else _COMPILED_AMONG_OTHERS)


@lru_cache(maxsize=64)
def _program(layers: tuple[Layer, ...]) -> LayerProgram:
    _check(layers)
    by_series = any(isinstance(layer, Activation) and not _has_float64_form(layer) for layer in layers)
    by_series = by_series or _has_long_polynomials(layers)
    steps: list[DenseStep | DualStep | SeriesStep] = []
    for layer in layers:
        if isinstance(layer, Dense):
            steps.append(DenseStep(layer.w_var, layer.b_var))
        elif by_series:
            if not isinstance(layer, Activation) or not has_float64_functions(layer):
                return LayerProgram(None, NetworkSpheres(layers))
            parity = {"even": 1, "odd": -1, None: 0}[layer.parity]
            if layer.polynomial is not None:
                finite = polynomial_function(layer.polynomial)
                steps.append(SeriesStep(finite, parity, layer.name, coefficients=finite.coefficients))
            else:
                steps.append(SeriesStep(float64_functions(layer), parity, layer.name, bool(layer.breakpoints)))
        else:
            dual, slope = layer.dual, layer.dual.derivative
            same, opposite = (dual.diagonal, slope.diagonal), (dual.antidiagonal, slope.antidiagonal)
            steps.append(DualStep(dual.lowered, slope.lowered, *same, *opposite, layer.name))
    return LayerProgram(tuple(steps), NetworkSpheres(layers))


@lru_cache(maxsize=64)
def _compiled(layers: tuple[Layer, ...]) -> CompiledProgram:
    return compile_program(_program(layers))


@lru_cache(maxsize=64)
def _profile(layers: tuple[Layer, ...], kind: str) -> Profile:
    """One object per kernel: what is computed of a profile (Taylor coefficients, …) is kept with it."""
    _check(layers)
    part = int(kind == "ntk")
    one = arb(1)

    def evaluate(at: Any, analytic: bool) -> Any:
        if isinstance(at, arb) and at.is_exact() and abs(at) == one:
            return (on_diagonal if at == one else on_opposites)(layers, one)[part]
        return on_pair(layers, one, one, at, tangent=bool(part), analytic=analytic)[part]

    # The dual of phi at equal variances is sum a_k(q)^2 rho^k; sums, products and compositions of series with
    # non-negative coefficients are such series.
    return Profile(
        repr(Kernel(layers, kind))[1:-1],
        evaluate,
        lambda: on_sphere(layers)[part],
        nonnegative=True,
        evaluation=_evaluation(layers, bool(part)),
    )


def _evaluation(layers: tuple[Layer, ...], tangent: bool) -> Evaluation:
    duals = [dual for layer in layers if not isinstance(layer, Dense) for dual in _duals(layer, tangent)]
    if any(isinstance(dual, Dual) and not dual.has_closed_form for dual in duals):
        return "quadrature"
    duals = [dual for dual in duals if not (isinstance(dual, Dual) and dual.polynomials is not None)]
    return "slow formula" if any(dual.expr.has(bivariate_normal_cdf) for dual in duals) else "formula"


def _duals(layer: Nonlinearity, tangent: bool) -> list[Any]:
    return [layer.dual, layer.dual.derivative] if tangent else [layer.dual]
