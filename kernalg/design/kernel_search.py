r"""Optimization in kernel space: the non-negative Taylor coefficients that predict best, on data or in theory.

Kernels :math:`K=\sum_{k\le M}a_k\rho^k` with :math:`a_k\ge0` are those of one-hidden-layer networks, so the search is
over all of them: first the kernel is chosen, then `design` gives the activation. The cross-validated and the predicted
error of kernel ridge regression have closed-form gradients (`kernel_errors`), and the Gram matrix is linear in the
coefficients, :math:`dJ/da_k=\langle dJ/dG,\rho^k\rangle` with entrywise powers.

**Scale.** Only :math:`a/\delta` matters (ridge :math:`\delta` in :math:`K+\delta I`, not divided by n). With a ridge
given, the scale of K is found by the search, below the `bound` on every coefficient. Without, both are found and
reported with K(1) = 1.

**Inputs** are rows, each scaled to :math:`|x|^2=d` (`rows_on_sphere`); a network of the designed activation needs the
same. Columns are used as they come: standardize them before, with numbers from the training set alone.

The problem is not convex. The search runs from several starts, of which some are kernels of ReLU networks, each at its
best scale, and returns the best result; "before" is the best of the starts. The error that was minimized is optimistic,
all the more with few points; `held_out` data, which the search never sees, tell the truth. (Measured
with leave-one-out against the best of the ReLU kernels, in 2 or 4 random splits: with 150 images of digits the held-out
error falls by 7 to 11 %, with 600 by 3 and 4 %, with 400 patients of the breast-cancer table by 4 and 6 %. With 150
patients or 89 wines it is the estimate that falls, and the held-out error goes from 5 % better to 9 % worse.)

Source: the kernel-space optimization in the first version of Simon, Anand and DeWeese (ICML 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
import sympy as sp
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_array, real_number, real_vector, whole_number
from kernalg.compiled.threads import serial_blas
from kernalg.design.kernel_errors import (
    ValueAndGradient,
    folds_error,
    gcv_error,
    loo_error,
    predicted_error,
    predicted_error_on_data,
)
from kernalg.design.searched_kernel import KernelSearch, KernelStart
from kernalg.errors import DomainError
from kernalg.expansion.taylor import zonal_from_taylor
from kernalg.expansion.zonal import multiplicities
from kernalg.formula import exact_number
from kernalg.learning.records import frozen
from kernalg.network.network import mlp
from kernalg.progress import Report, reporter
from kernalg.spectrum.empirical import targets
from kernalg.symbols import rho

Progress = Report | bool | None

OBJECTIVES = ("loo", "folds", "gcv", "predicted")
_MOST_POINTS = 10_000
_MOST_DEGREES = 200
# Without a given ridge, a coefficient is at most this many times the ridge.
_LARGEST_RATIO = 1e6
_STEPS = 300
# Up to here BLAS runs in one thread: for matrices this small more gain nothing, and cost much on a busy machine.
_SMALL = 1000
_RELU_STARTS = (("nngp", 1), ("ntk", 1), ("ntk", 4))


def rows_on_sphere(X: ArrayLike) -> FloatArray:
    """Each row of X scaled to squared norm d, the number of columns: the input normalization of this room.

    Raises
    ------
    DomainError
        If X is no finite (n, d) matrix, or a row is zero.

    Examples
    --------
    >>> rows_on_sphere([[3.0, 4.0]]).round(4)
    array([[0.8485, 1.1314]])
    """
    rows = real_array("X", X, ndim=2)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    if not largest.all() or not rows.size:
        where = f"row {int(np.argmin(largest))} of X is zero" if rows.size else f"X has shape {rows.shape}"
        raise DomainError(f"{where}: it has no direction, and cannot be scaled to |x|^2 = d; leave it out")
    rows = rows / largest[:, None]  # so that squares neither overflow nor vanish
    return rows * (np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1))[:, None]


def search_kernel(
    X: ArrayLike,
    y: ArrayLike,
    *,
    degree: int = 20,
    objective: str = "loo",
    folds: int = 4,
    n: float | None = None,
    noise: float = 0.0,
    ridge: float | None = None,
    w_var: Any = 1,
    b_var: Any = 0,
    bound: float = 100.0,
    starts: int = 4,
    seed: int = 0,
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    progress: Progress = None,
) -> KernelSearch:
    """The kernel sum a_k rho^k, a_k >= 0, with the smallest estimated error on data.

    Parameters
    ----------
    X : (N, d) array_like
        Inputs; each row is scaled to |x|^2 = d.
    y : (N,) or (N, outputs) array_like
        Labels; squared errors are summed over outputs. They are not centered: a_0 is there for a constant.
    degree : int
        M, the last power, at most 200.
    objective : {"loo", "folds", "gcv", "predicted"}
        Leave-one-out error, error in `folds` folds, generalized cross-validation, or the error that the theory of
        learning curves predicts for `n` of these points (`empirical_spectrum`, `learning_curve`).
    folds : int
        Number of folds, drawn with `seed`.
    n, noise : float
        For "predicted": the number of samples (by default N/2, as theory needs n well below N), and the variance of
        label noise beyond that in `y`.
    ridge : float, optional
        delta in K + delta I, positive. By default it is found together with the coefficients.
    w_var, b_var : exact numbers
        Variances of the hidden layer; K is a series in rho = (w_var cosine + b_var)/(w_var + b_var).
    bound : float
        With a ridge given, 0 <= a_k <= bound.
    starts, seed : int
        Sparse random starts beside the three ReLU kernels, and the seed of these and of the folds.
    held_out : (X, y), optional
        Data the search never sees, for the report.
    progress : callable or bool, optional
        Called as progress(done, total, text); True prints every step, False nothing. By default a terminal is told
        after two seconds.

    Returns
    -------
    KernelSearch

    Raises
    ------
    DomainError
        If values or shapes do not fit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rows_on_sphere(rng.standard_normal((80, 4)))
    >>> y = X[:, 0] * X[:, 1] + 0.2 * rng.standard_normal(80)
    >>> found = search_kernel(X, y, degree=3, starts=1)
    >>> [round(float(a), 2) for a in found.in_rho]
    [0.0, 0.0, 1.0, 0.0]
    """
    rows = rows_on_sphere(X)
    if len(rows) > _MOST_POINTS:
        raise DomainError(
            f"X has {len(rows)} rows; the search works with full matrices of at most {_MOST_POINTS}: give a random "
            "subset, and the rest as held_out"
        )
    labels = targets(y, len(rows))
    if len(rows) < 2 or not labels.any():
        raise DomainError(f"{len(rows)} rows and labels up to {np.abs(labels).max():g}: there is nothing to learn")
    exact_w, exact_b = _variances(w_var, b_var)
    on_gram, words = _objective_on_data(objective, labels, folds, n, noise, seed)
    powers = _Powers(rows, rows, degree, exact_w, exact_b)

    def error(a: FloatArray) -> ValueAndGradient:
        value, slope = on_gram(powers.sum(a))
        return value, powers.pairings(slope)

    beyond = None
    if held_out is not None:
        if not isinstance(held_out, tuple | list) or len(held_out) != 2:
            raise DomainError("held_out is a pair (X, y) of inputs and labels")
        others = rows_on_sphere(held_out[0])
        truth = targets(held_out[1], len(others))
        if others.shape[1] != rows.shape[1] or truth.shape[1] != labels.shape[1]:
            raise DomainError(
                f"held_out has {others.shape[1]} columns and {truth.shape[1]} outputs, the data "
                f"{rows.shape[1]} and {labels.shape[1]}"
            )
        across = _Powers(others, rows, degree, exact_w, exact_b)

        def beyond(a: FloatArray) -> float:
            alpha = scipy.linalg.solve(powers.sum(a) + np.eye(len(rows)), labels, assume_a="pos")
            return float(((truth - across.sum(a) @ alpha) ** 2).sum(axis=1).mean())

    return _search(
        error, beyond, words, degree=degree, points=len(rows), ridge=ridge, bound=bound, starts=starts, seed=seed,
        w_var=exact_w, b_var=exact_b, progress=progress,
    )  # fmt: skip


def search_kernel_on_sphere(
    power: ArrayLike,
    *,
    d: int,
    n: float | Iterable[float],
    noise: float = 0.0,
    degree: int = 20,
    ridge: float | None = None,
    w_var: Any = 1,
    b_var: Any = 0,
    bound: float = 100.0,
    starts: int = 4,
    seed: int = 0,
    progress: Progress = None,
) -> KernelSearch:
    """The kernel sum a_k rho^k, a_k >= 0, with the smallest predicted error on the sphere, for a target known by power.

    Parameters
    ----------
    power : array_like
        Power of the target in harmonics of degree 0, 1, … (`target_power` gives it for a function).
    d : int
        Dimension of the inputs, uniform on |x|^2 = d.
    n : float or several
        Numbers of samples; of several, the mean of the errors is minimized.
    noise : float
        Variance of the label noise.
    degree, ridge, w_var, b_var, bound, starts, seed, progress
        As in `search_kernel`.

    Examples
    --------
    A target in degree 2 alone wants the kernel rho^2 alone:

    >>> found = search_kernel_on_sphere([0, 0, 1], d=10, n=200, noise=0.1, degree=6, starts=1)
    >>> [round(float(a), 4) for a in found.in_rho]
    [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    given = real_vector("power", power, minimum=0.0)
    noise = real_number("noise", noise, minimum=0.0)
    if not given.any() and noise == 0:
        raise DomainError("the target has no power and there is no noise: there is nothing to learn")
    sizes = [_positive("n", size) for size in (n if isinstance(n, Iterable) else [n])]
    if not sizes:
        raise DomainError("n is empty; give at least one number of samples")
    degree = whole_number("degree", degree, 0)
    exact_w, exact_b = _variances(w_var, b_var)
    share = exact_b / (exact_w + exact_b)
    # Eigenvalues of rho^j, a polynomial in the cosine with non-negative coefficients.
    at = sp.Poly((1 - share) * rho + share, rho)
    columns = [zonal_from_taylor(list(reversed((at**j).all_coeffs())), d, degree) for j in range(degree + 1)]
    eigenvalues_of_powers = np.array(columns, dtype=np.float64).T
    counts = multiplicities(d, degree)
    padded = np.append(given, np.zeros(max(0, degree + 1 - len(given))))

    def error(a: FloatArray) -> ValueAndGradient:
        eigenvalues = eigenvalues_of_powers @ a
        parts = [predicted_error(eigenvalues, counts, padded, size, noise) for size in sizes]
        slope = sum(part[1] for part in parts) @ eigenvalues_of_powers
        return sum(part[0] for part in parts) / len(parts), slope / len(parts)

    listed = ", ".join(f"{size:g}" for size in sizes)
    words = f"predicted test error on S^{d - 1} with n = {listed}, noise {noise:g}"
    return _search(
        error, None, words, degree=degree, points=max(sizes), ridge=ridge, bound=bound, starts=starts, seed=seed,
        w_var=exact_w, b_var=exact_b, progress=progress,
    )  # fmt: skip


class _Powers:
    """The entrywise powers of the correlations between two sets of rows, computed anew at every use."""

    def __init__(self, left: FloatArray, right: FloatArray, degree: int, w_var: sp.Expr, b_var: sp.Expr) -> None:
        share = float(b_var / (w_var + b_var))
        cosines = np.clip(left @ right.T / left.shape[1], -1, 1)
        if left is right:
            np.fill_diagonal(cosines, 1.0)
        self._rho = (1 - share) * cosines + share
        self._degree = whole_number("degree", degree, 0)

    def sum(self, a: FloatArray) -> FloatArray:
        """sum_k a_k rho^k."""
        total = np.full_like(self._rho, a[-1])
        for coefficient in a[-2::-1]:
            total *= self._rho
            total += coefficient
        return total

    def pairings(self, slope: FloatArray) -> FloatArray:
        """<slope, rho^k> for every k."""
        result, weighted = np.empty(self._degree + 1), slope.copy()
        for k in range(self._degree + 1):
            result[k] = weighted.sum()
            weighted *= self._rho
        return result


def _objective_on_data(
    objective: str, y: FloatArray, folds: int, n: float | None, noise: float, seed: int
) -> tuple[Callable[[FloatArray], ValueAndGradient], str]:
    count = len(y)
    if objective == "loo":
        return lambda gram: loo_error(gram, y), f"leave-one-out error of {count} points"
    if objective == "folds":
        number = whole_number("folds", folds, 2)
        if number > count:
            raise DomainError(f"folds = {number}: {count} points make at most {count} folds")
        parts = np.array_split(np.random.default_rng(whole_number("seed", seed, 0)).permutation(count), number)
        return lambda gram: folds_error(gram, y, parts), f"error in {number} folds of {count} points"
    if objective == "gcv":
        return lambda gram: gcv_error(gram, y), f"generalized cross-validation on {count} points"
    if objective == "predicted":
        size = count / 2 if n is None else _positive("n", n)
        if size >= count:
            raise DomainError(f"n = {size:g}: samples are drawn from the {count} points; give n well below {count}")
        noise = real_number("noise", noise, minimum=0.0)
        words = f"predicted test error of n = {size:g} of {count} points, noise {noise:g}"
        return lambda gram: predicted_error_on_data(gram, y, size, noise), words
    raise DomainError(f"objective = {objective!r}: it is one of {', '.join(map(repr, OBJECTIVES))}")


def _search(
    error: Callable[[FloatArray], ValueAndGradient],
    held_out: Callable[[FloatArray], float] | None,
    words: str,
    *,
    degree: int,
    points: float,
    ridge: float | None,
    bound: float,
    starts: int,
    seed: int,
    w_var: sp.Expr,
    b_var: sp.Expr,
    progress: Progress,
) -> KernelSearch:
    """Minimize `error`, a function of the coefficients in units of the ridge."""
    degree = whole_number("degree", degree, 0)
    if degree > _MOST_DEGREES:
        raise DomainError(f"degree = {degree}: at most {_MOST_DEGREES} powers are searched")
    limit = _LARGEST_RATIO if ridge is None else _positive("bound", bound) / _positive("ridge", ridge)
    if limit > 1e12:
        raise DomainError(f"bound/ridge is {limit:.3g}: above 1e12 the matrices are singular in float64; raise ridge")
    # L-BFGS-B works on u with a = unit (e^u - 1): linear below the unit, where a coefficient does nothing (its power
    # has n eigenvalues of size about a against a ridge of 1), logarithmic above; and a = 0 stays a bound, u = 0, at
    # which the derivative does not vanish.
    unit = 1 / points

    def in_logs(u: FloatArray) -> ValueAndGradient:
        a = unit * np.expm1(u)
        value, slope = error(a)
        return float(np.log(value)), slope * (a + unit) / value

    report = reporter(progress)
    shapes = _start_shapes(degree, whole_number("starts", starts, 0), whole_number("seed", seed, 0))
    bounds = scipy.optimize.Bounds(0, np.log1p(limit / unit))
    tried = []
    with serial_blas() if points <= _SMALL else nullcontext():
        for number, (name, shape) in enumerate(shapes):
            report(number, len(shapes), name)
            before, scale = min((error(scale * shape)[0], scale) for scale in np.geomspace(unit, limit, 13))
            run = scipy.optimize.minimize(
                in_logs,
                np.log1p(scale * shape / unit),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=lambda _, number=number, name=name: report(number, len(shapes), name),
                options={"maxiter": _STEPS, "maxfun": 2 * _STEPS, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 20},
            )
            a = _without_dust(error, unit * np.expm1(run.x))
            held = (None, None) if held_out is None else (held_out(scale * shape), held_out(a))
            start = KernelStart(name, float(before), float(error(a)[0]), held[0], held[1], int(run.nit))
            tried.append((start, a))
            report(number + 1, len(shapes), f"{name}: {start.error_before:.6g} -> {start.error_after:.6g}")
    tried.sort(key=lambda pair: pair[0].error_after)
    best = tried[0][1]
    if ridge is None:
        ridge = 1 / float(best.sum()) if best.any() else 1.0
    return KernelSearch(
        in_rho=frozen(best * ridge),
        ridge=float(ridge),
        objective=words,
        gradient=frozen(error(best)[1] / ridge),
        w_var=w_var,
        b_var=b_var,
        starts=tuple(start for start, _ in tried),
    )


def _without_dust(error: Callable[[FloatArray], ValueAndGradient], a: FloatArray) -> FloatArray:
    """The smallest coefficients set to 0, as long as the error rises by less than 1e-7 of itself."""
    limit = error(a)[0] * (1 + 1e-7)
    for k in np.argsort(a):
        rest = np.where(np.arange(len(a)) == k, 0.0, a)
        if error(rest)[0] > limit:
            break
        a = rest
    return a


def _start_shapes(degree: int, sparse: int, seed: int) -> list[tuple[str, FloatArray]]:
    """Names and coefficients, the largest of them 1: kernels of ReLU networks cut at `degree`, and random ones."""
    shapes = []
    for kind, depth in _RELU_STARTS:
        network = mlp("relu", depth=depth, w_var=2)
        profile = (network.nngp if kind == "nngp" else network.ntk).profile()
        layers = "layer" if depth == 1 else "layers"
        shapes.append((f"ReLU {kind.upper()}, {depth} {layers}", profile.taylor(degree + 1)))
    for number in range(sparse):
        rng = np.random.default_rng([seed, number])
        shape = np.zeros(degree + 1)
        chosen = rng.choice(degree + 1, size=min(degree + 1, 4), replace=False)
        shape[chosen] = rng.exponential(size=len(chosen))
        shapes.append((f"sparse {number + 1}", shape))
    return [(name, shape / shape.max()) for name, shape in shapes]


def _variances(w_var: Any, b_var: Any) -> tuple[sp.Expr, sp.Expr]:
    exact_w, exact_b = exact_number(w_var, "w_var"), exact_number(b_var, "b_var")
    if not exact_w.is_positive or not exact_b.is_nonnegative or exact_w.free_symbols | exact_b.free_symbols:
        raise DomainError(f"w_var = {exact_w}, b_var = {exact_b}: w_var is a positive number and b_var at least 0")
    return exact_w, exact_b


def _positive(name: str, value: Any) -> float:
    number = real_number(name, value, minimum=0.0)
    if number == 0:
        raise DomainError(f"{name} is 0; a positive number is needed")
    return number
