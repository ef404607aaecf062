r"""Which samples of a kernel a network of one hidden layer can pass through.

The kernels are :math:`K=\sum_ka_k\rho^k`, all :math:`a_k\ge0`, in the correlation
:math:`\rho=(w\,\xi+b)/(w+b)` of the hidden pre-activations at cosine :math:`\xi`. Given samples :math:`K_j` at
:math:`\rho_j`, known within :math:`\tau_j`, either such a kernel passes through all of them (then non-negative least
squares or a linear program finds one), or a *Farkas certificate* exists (or the case is on the border): weights
:math:`\mu_j` with

.. math:: \sum_j\mu_j\rho_j^k\ge0\ \text{ for every }k\ge0,\qquad \sum_j\mu_jK_j+\sum_j\tau_j|\mu_j|<0,

for the first makes :math:`\sum_j\mu_jK(\rho_j)\ge0` for every kernel of the cone. The weights come from floating-point
programs, the inequalities are then proved in ball arithmetic: k by k up to some degree, on intervals of real k (even
and odd k apart) beyond it, and by the largest :math:`|\rho_j|` in the end, which outgrows all others.

References: Schoenberg 1942; Rockafellar, *Convex Analysis* (1970), section 22 (Farkas); Lawson & Hanson, *Solving Least
Squares Problems* (1974), chapter 23.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, fmpq
from numpy.typing import ArrayLike
from scipy.optimize import linprog, nnls
from scipy.special import ndtri

from kernalg.checks import FloatArray, real_vector
from kernalg.design.moments import as_float, negative_moments
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.formula import exact_number

DEFAULT_TOLERANCE = 1e-9
CONFIDENCE = 1e-3
MOST_SAMPLES = 2000
_BITS = 256
_HIGHEST = 4096
_STRICT = 1e-9
_LP = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
_ROUNDS = 8
_PLACES = 12
_FEW = 60
_COARSE = 0.01
_TWO_ERRORS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class FarkasCertificate:
    """Why no kernel with non-negative coefficients passes through the samples.

    Attributes
    ----------
    cosines, weights : (m,) float64 arrays
        The signed measure: sum of weights times rho^k is >= 0 for every k >= 0, proved in ball arithmetic for exactly
        these float64 numbers.
    value : float
        The sum of weights times the given values, negative; the same sum of any feasible kernel is >= 0.
    slack : float
        The sum of tolerances times the absolute weights: -value exceeds it.
    """

    cosines: FloatArray
    weights: FloatArray
    value: float
    slack: float

    def __str__(self) -> str:
        return (
            f"weights on {len(self.weights)} samples whose moments in rho are all >= 0 give the given values "
            f"{self.value:.6g} < 0 (the tolerance explains {self.slack:.3g})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class SampledKernel:
    """What samples say of a kernel; made by `sampled_kernel`. ``str()`` says it in words.

    Attributes
    ----------
    feasible : bool or None
        True: a kernel with non-negative coefficients passes within the tolerance of every sample. False: none does,
        and `certificate` proves it. None: undecided at this accuracy.
    coefficients : float64 array
        In rho: those of the kernel found, or (if none passes) of the nearest one found.
    residual : float
        The largest distance of that kernel from a value.
    tolerance : float64 array
        How far it may be, per sample.
    certificate : FarkasCertificate or None
    ambiguity : float
        The width of the interval in which feasible kernels through the samples leave the value at `ambiguous_at`,
        the cosine between the samples where it is widest: another sample there says most. ``inf`` if there is no sample
        at cosine 1, where the coefficients of high degree show; NaN if no kernel passes.
    ambiguous_at : float
    cosines, values : float64 arrays
    """

    feasible: bool | None
    coefficients: FloatArray
    residual: float
    tolerance: FloatArray
    certificate: FarkasCertificate | None
    ambiguity: float
    ambiguous_at: float
    cosines: FloatArray
    values: FloatArray

    @property
    def coarse(self) -> bool:
        """Whether more than 1 % of the largest value (and more than the noise) is left open between the samples."""
        return bool(self.ambiguity > max(_COARSE * (np.abs(self.values).max() or 1.0), 4 * self.tolerance.max()))

    def __str__(self) -> str:
        count = f"{len(self.cosines)} samples"
        if self.feasible is False:
            exact = self.tolerance.max() <= DEFAULT_TOLERANCE * np.abs(self.values).max()
            advice = ". If the values are noisy, give their standard_errors" if exact else ""
            return (
                f"infeasible: no kernel with non-negative coefficients passes through the {count}: {self.certificate}"
                f"{advice}"
            )
        if self.feasible is None:
            return (
                f"undecided: the nearest kernel found misses the {count} by {self.residual:.3g}, and no certificate "
                "was proved; more accurate values, or a larger tolerance, would decide"
            )
        text = f"feasible: a kernel passes within {self.residual:.3g} of the {count}"
        if not self.coarse:
            return f"{text}; between them feasible kernels differ by at most about {self.ambiguity:.3g}"
        wide = "without bound" if math.isinf(self.ambiguity) else f"by {self.ambiguity:.3g}"
        return (
            f"{text}, but they are too coarse to determine it: feasible kernels through them differ {wide} at cosine "
            f"{self.ambiguous_at:.6g}; a sample there would decide most"
        )

    def __repr__(self) -> str:
        return f"<SampledKernel {self}>"


def sampled_kernel(
    cosines: ArrayLike,
    values: ArrayLike,
    w_var: Any = 1,
    b_var: Any = 0,
    tolerance: Any = None,
    standard_errors: ArrayLike | None = None,
) -> SampledKernel:
    """Decide whether samples may come from a network of one hidden layer, and find a kernel through them.

    Parameters
    ----------
    cosines, values : (n,) array_like
        xi = x.x'/d in [-1, 1] on the sphere |x|^2 = d, and the kernel there. Repeated points are allowed.
    w_var, b_var : exact numbers
        The first layer's variances, w_var > 0, b_var >= 0: rho = (w_var xi + b_var)/(w_var + b_var).
    tolerance : float or (n,) array_like, optional
        How far the kernel may be from each value, positive; 1e-9 of the largest value by default (0 if there are
        standard errors).
    standard_errors : float or (n,) array_like, optional
        Of noisy values, one for all or one for each. The tolerance grows by that multiple of them that all n errors
        stay within with probability 99.9 % (Gaussian, any correlation). Of the kernels that fit equally well, the one
        of the least degree is found.

    Raises
    ------
    DomainError
        For anything else, with the sample named.

    Examples
    --------
    >>> t = np.linspace(-1, 1, 20)
    >>> sampled_kernel(t, np.exp(t)).feasible
    True
    >>> print(sampled_kernel(t, (3 * t**2 - 1) / 2).feasible)
    False
    """
    t, K = real_vector("cosines", cosines), real_vector("values", values)
    if t.size == 0 or t.shape != K.shape:
        raise DomainError(f"{t.size} cosines and {K.size} values: one value for each of at least one cosine is needed")
    if t.size > MOST_SAMPLES:
        raise DomainError(f"{t.size} samples: at most {MOST_SAMPLES} are decided at once; take a subset")
    outside = np.flatnonzero(np.abs(t) > 1)
    if outside.size:
        raise DomainError(f"cosines[{outside[0]}] is {float(t[outside[0]])!r}; a cosine lies in [-1, 1]")
    w, b = first_layer(w_var, b_var)
    tau = _tolerances(K, tolerance, standard_errors)
    problem = _Problem(t, K, tau, w, b)
    return problem.decide(noisy=standard_errors is not None)


def first_layer(w_var: Any, b_var: Any) -> tuple[sp.Expr, sp.Expr]:
    """The variances of the first layer as exact numbers, w_var > 0 and b_var >= 0."""
    w, b = exact_number(w_var, "w_var"), exact_number(b_var, "b_var")
    for name, value, allowed in (("w_var", w, w.is_positive), ("b_var", b, b.is_nonnegative)):
        if value.free_symbols or not allowed:
            bound = "positive" if name == "w_var" else "non-negative"
            raise DomainError(f"{name} = {value}: a {bound} number is needed to place the samples")
    return w, b


def _tolerances(K: FloatArray, tolerance: Any, standard_errors: ArrayLike | None) -> FloatArray:
    scale = float(np.abs(K).max()) or 1.0
    if tolerance is None:
        tau = np.full(K.shape, DEFAULT_TOLERANCE * scale if standard_errors is None else 0.0)
    else:
        tau = np.array(real_vector("tolerance", np.atleast_1d(tolerance), minimum=0.0))
        if tau.size not in (1, K.size):
            raise DomainError(f"{tau.size} tolerances for {K.size} samples: give one number, or one for each sample")
        tau = np.broadcast_to(tau, K.shape).copy()
    if standard_errors is not None:
        errors = real_vector("standard_errors", np.atleast_1d(standard_errors), minimum=0.0)
        if errors.size not in (1, K.size):
            raise DomainError(f"{errors.size} standard errors for {K.size} samples: give one, or one for each sample")
        tau += -ndtri(CONFIDENCE / 2 / K.size) * errors
    bad = np.flatnonzero(tau <= 0)
    if bad.size:
        raise DomainError(
            f"the tolerance of sample {bad[0]} is 0; values in float64 are known to some positive accuracy only"
        )
    tau.flags.writeable = False
    return tau


def _correlations(t: FloatArray, w: sp.Expr, b: sp.Expr) -> list[Any]:
    """rho_j: exact rationals, or balls at `_BITS` (one object for equal cosines) for irrational variances."""
    if w.is_Rational and b.is_Rational:
        weight, bias = (fmpq(int(v.p), int(v.q)) for v in (w / (w + b), b / (w + b)))
        return [fmpq(*float(c).as_integer_ratio()) * weight + bias for c in t]
    with precision(_BITS):
        scale, shift = ball(w / (w + b)), ball(b / (w + b))
        known = {c: arb(1) if c == 1 else arb(c) * scale + shift for c in map(float, t)}
    return [known[float(c)] for c in t]


# ---------------------------------------------------------------------------------------------------------------------
# Linear programs and their proofs


class _Problem:
    """Samples in units of the largest value, and the powers of rho in play."""

    def __init__(self, t: FloatArray, K: FloatArray, tau: FloatArray, w: sp.Expr, b: sp.Expr) -> None:
        self.t, self.K, self.tau = t, K, tau
        self.scale = float(np.abs(K).max()) or 1.0
        self.k, self.tolerance = K / self.scale, tau / self.scale
        self.exact_rho = _correlations(t, w, b)
        self.rho = np.array([as_float(r) for r in self.exact_rho])
        self.bias = float(b / w)
        few = min(max(40, 2 * len(t)), 400)
        spread = np.unique(np.geomspace(few, _HIGHEST, 24).astype(int))
        self.powers = np.unique(np.concatenate([np.arange(few + 1), spread, spread + 1]))

    def correlation(self, cosine: float) -> float:
        return (cosine + self.bias) / (1 + self.bias)

    def table(self, rho: ArrayLike) -> FloatArray:
        return np.power(np.asarray(rho, dtype=np.float64)[:, None], self.powers[None, :])

    def excess(self, a: FloatArray) -> float:
        """The largest deviation in units of its tolerance."""
        return float((np.abs(self.table(self.rho) @ a - self.k) / self.tolerance).max())

    def decide(self, noisy: bool = False) -> SampledKernel:
        a = self.least_squares(self.k)
        if self.excess(a) <= 1:
            return self.answer(True, self.without_noise(a) if noisy else a, None)
        for _ in range(_ROUNDS):
            polished, weights = self.separate()
            if self.excess(polished) <= 1:
                return self.answer(True, polished, None)
            if self.excess(polished) < self.excess(a):
                a = polished
            if weights is None:
                break
            certificate, violated = self.prove(weights)
            if certificate is not None:
                return self.answer(False, a, certificate)
            missing = np.setdiff1d(violated, self.powers)
            if not missing.size:
                break
            old = self.powers
            self.powers = np.union1d(old, missing)
            moved = np.zeros(len(self.powers))
            moved[np.searchsorted(self.powers, old)] = a
            a = moved
        return self.answer(None, a, None)

    # -- a kernel

    def without_noise(self, a: FloatArray) -> FloatArray:
        """The least degree that fits the samples as well, within two standard errors of one more coefficient.

        Powers of a high degree are 0 except at cosines 1 and -1: there they fit the noise of the sample alone, and a
        network would pay for it with a polynomial of degree 4096.
        """
        multiple = float(ndtri(CONFIDENCE / 2 / len(self.k)))

        def misfit(found: FloatArray) -> float:
            residual = multiple * (self.table(self.rho) @ found - self.k) / self.tolerance
            return float(residual @ residual)

        allowed = misfit(a) + _TWO_ERRORS**2
        low, high = -1, len(self.powers) - 1
        while high - low > 1:
            middle = (low + high) // 2
            found = self.least_squares(self.k, int(self.powers[middle]))
            if misfit(found) <= allowed and self.excess(found) <= 1:
                a, high = found, middle
            else:
                low = middle
        return a

    def least_squares(self, target: FloatArray, degree: int = _HIGHEST + 1) -> FloatArray:
        """Non-negative least squares, each sample in units of its tolerance, each column of norm 1."""
        weights = self.tolerance.min() / self.tolerance
        table = weights[:, None] * self.table(self.rho)
        norms = np.linalg.norm(table, axis=0)
        useful = (norms > 1e-150) & (self.powers <= degree)
        try:
            solution, _ = nnls(table[:, useful] / norms[useful], weights * target, maxiter=30 * len(self.powers))
        except RuntimeError:  # it did not converge: the linear program has the next word
            return np.zeros(len(self.powers))
        a = np.zeros(len(self.powers))
        a[useful] = solution / norms[useful]
        return a

    def separate(self) -> tuple[FloatArray, FloatArray | None]:
        """The linear program of the certificate: a kernel within the tolerance or weights that exclude one.

        Maximise -(mu, K) - (tau, |mu|) over sum |mu| <= 1 with all moments a little above 0: those of the powers in
        play, divided by the same power of the largest |rho|, and their limits for high even and odd powers.
        """
        used = self._supporting()
        if not used.any():
            return self.least_squares(self.k), None
        rho, k, tau = self.rho[used], self.k[used], 0.999 * self.tolerance[used]
        top = np.abs(rho).max() or 1.0
        at_top = np.abs(rho) == top
        rows = np.vstack([np.power(rho / top, n) for n in self.powers] + [1.0 * at_top, at_top * np.sign(rho)])
        split = np.hstack([-rows + _STRICT, rows + _STRICT])  # mu = p - m;  -row.mu + strict sum |mu| <= 0
        bound = np.ones((1, 2 * len(rho)))
        result = linprog(
            np.concatenate([k + tau, tau - k]),
            A_ub=np.vstack([split, bound]),
            b_ub=np.concatenate([np.zeros(len(rows)), [1.0]]),
            bounds=(0, None),
            method="highs",
            options=_LP,
        )
        if result.status != 0:
            return self.least_squares(self.k), None
        if result.fun > -1e-12:
            # no weights exclude a kernel: the multipliers of the moments are one
            multipliers = -result.ineqlin.marginals[: len(rows)]
            multipliers[len(self.powers) - 2 : len(self.powers)] += multipliers[-2:]
            found = multipliers[:-2] / np.power(top, self.powers.astype(float))
            near = self.table(self.rho) @ found
            return self.least_squares(
                np.clip(near, self.k - 0.99 * self.tolerance, self.k + 0.99 * self.tolerance)
            ), None
        mu = result.x[: len(rho)] - result.x[len(rho) :]
        mu[np.abs(mu) < 1e-13] = 0.0
        weights = np.zeros(len(self.rho))
        weights[used] = mu
        return self.least_squares(self.k), weights

    def _supporting(self) -> np.ndarray:
        """Samples a certificate can use: none further out on the negative side than on the positive one.

        Beyond all positive samples a kernel takes any value at a negative rho by one high even or odd power.
        """
        reach = max((r for r in self.exact_rho if r >= 0), default=fmpq(-1), key=as_float)
        return np.array([bool(r >= 0 or abs(r) <= reach) for r in self.exact_rho])

    # -- a proof

    def prove(self, weights: FloatArray) -> tuple[FarkasCertificate | None, list[int]]:
        """The certificate, or powers whose moments are not positive."""
        support = np.flatnonzero(weights)
        with precision(_BITS):
            mu = [arb(float(weights[j])) for j in support]
            value = sum((m * arb(float(self.K[j])) for m, j in zip(mu, support, strict=True)), arb(0))
            slack = sum((abs(m) * arb(float(self.tau[j])) for m, j in zip(mu, support, strict=True)), arb(0))
            violated = negative_moments(mu, [self.exact_rho[j] for j in support])
            if violated or not value + slack < 0:
                return None, violated
            certificate = FarkasCertificate(self.t[support], weights[support], float(value), float(slack))
        return certificate, []

    # -- the answer

    def answer(self, feasible: bool | None, a: FloatArray, certificate: FarkasCertificate | None) -> SampledKernel:
        tidy = np.where(a * np.power(np.abs(self.rho).max(), self.powers) < 1e-14 * a.sum(), 0.0, a)
        if self.excess(tidy) <= max(1.0, self.excess(a)):
            a = tidy
        residual = np.abs(self.table(self.rho) @ a - self.k)
        used = np.flatnonzero(a)
        dense = np.zeros(int(self.powers[used[-1]]) + 1 if used.size else 1)
        dense[self.powers[used]] = a[used] * self.scale
        dense.flags.writeable = False
        ambiguity, at = self.ambiguity(residual) if feasible else (math.nan, math.nan)
        return SampledKernel(
            feasible, dense, float(residual.max()) * self.scale, self.tau, certificate, ambiguity, at, self.t, self.K
        )

    def ambiguity(self, residual: FloatArray) -> tuple[float, float]:
        """The widest interval of values of feasible kernels between the samples, and where (to the accuracy of LPs)."""
        if self.t.max() < 1:
            return math.inf, 1.0
        allowance = np.maximum(self.tolerance, residual) + 1e-8
        widest, where = -math.inf, 1.0
        for place in _places(self.t):
            row = self.table([self.correlation(place)])[0]
            near = self._near(place)
            table, k, slack = self.table(self.rho[near]), self.k[near], allowance[near]
            ends = []
            for sign in (1, -1):
                result = linprog(
                    sign * row,
                    A_ub=np.vstack([table, -table]),
                    b_ub=np.concatenate([k + slack, slack - k]),
                    bounds=(0, None),
                    method="highs",
                )
                ends.append(float(row @ result.x) if result.status == 0 else math.nan)
            if ends[1] - ends[0] > widest:
                widest, where = ends[1] - ends[0], place
        return max(widest, 0.0) * self.scale, where

    def _near(self, place: float) -> np.ndarray:
        """The samples for the bounds at `place`: all if they are few, else the nearest and a spread of others.

        Fewer samples leave more open, so what is found is an upper bound still.
        """
        count = len(self.t)
        if count <= _FEW:
            return np.arange(count)
        nearest = np.argsort(np.abs(self.t - place), kind="stable")[: _FEW // 2]
        spread = np.argsort(self.t, kind="stable")[np.linspace(0, count - 1, _FEW // 2).astype(int)]
        return np.union1d(nearest, spread)


def _places(t: FloatArray) -> list[float]:
    """Cosines between the samples: the middles (in angle) of the widest gaps and of those next to the ends."""
    angles = np.unique(np.arccos(t))
    middles = (angles[1:] + angles[:-1]) / 2
    order = np.argsort(angles[:-1] - angles[1:], kind="stable")
    chosen = np.unique(np.concatenate([order[:_PLACES], np.arange(len(middles))[:3], np.arange(len(middles))[-3:]]))
    places = [float(np.cos(middles[i])) for i in chosen]
    return places if t.min() == -1 else [*places, -1.0]
