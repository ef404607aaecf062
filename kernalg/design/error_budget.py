r"""What a design costs in accuracy: the degree that is left out, and inputs that are not on the sphere.

Cut off after h_M, the kernel loses a sum over k > M that is largest at equal inputs, where b_k^2 weighs
:math:`\sigma_v^2s_k`, s_k = 1 (NNGP, readout), 1 + k (all), k (hidden), 1 + k w_var/q (frozen hidden biases):

.. math:: \sup|K-K_M|=K(1)-K_M(1)=\sigma_v^2\sum_{k>M}s_kb_k^2 .

The activation loses :math:`\sum_{k>M}b_k^2` of its square in the Gaussian mean, at most that over
:math:`\sigma_v^2s_{M+1}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernalg.checks import FloatArray, real_number
from kernalg.design.architecture import Architecture
from kernalg.errors import DomainError

RADIUS_TOLERANCE = 0.01
_SMALLEST, _LARGEST, _STEPS, _HALVINGS = 1 / 16, 16.0, 160, 20
_COSINES = np.cos(np.linspace(0, np.pi, 33))


@dataclass(frozen=True)
class ErrorBudget:
    """How far the kernel and the activation of a design are from the exact ones.

    Parameters
    ----------
    kernel : float
        Bound of the difference of the kernels over all cosines; 0 for a closed form.
    activation : float
        Bound of the L2 distance of the activations under the Gaussian of the pre-activations.
    proved : bool
        Whether both are proved; not if the signs of the coefficients beyond the degree are not.
    radius : pair of floats
        Between these norms \\|x\\|/sqrt(d), the same for both inputs, the kernel stays within `tolerance` of that on
        the sphere.
    tolerance : float
        Relative to K at equal inputs.
    """

    kernel: float
    activation: float
    proved: bool
    radius: tuple[float, float]
    tolerance: float

    def __repr__(self) -> str:
        kind = "at most" if self.proved else "about"
        low, high = self.radius
        return (
            f"kernel {kind} {self.kernel:.2g}, activation {kind} {self.activation:.2g} (L2); within "
            f"{100 * self.tolerance:g} % of K(1) for norms {low:.5g} to {high:.5g} times sqrt(d)"
        )


def activation_error(architecture: Architecture, degree: int, tail: float) -> float:
    """Bound of the L2 error of the activation from the kernel's: every later b_k^2 weighs at least as much there."""
    share = float(architecture.share(degree + 1))
    return float(np.sqrt(max(tail, 0.0) / (share * float(architecture.readout[0]))))


def kernel_at_radius(
    architecture: Architecture, radius: float, squares: FloatArray, variance: float, cosines: FloatArray
) -> FloatArray:
    """The kernel of inputs of norm radius sqrt(d), from the b_k^2 at the variance of their pre-activations."""
    w, b = float(architecture.w_var), float(architecture.b_var)
    v, c = map(float, architecture.readout)
    weights, biases = w * radius**2 * cosines / variance, b / variance
    powers = (weights + biases)[:, None] ** np.arange(len(squares))
    own = powers @ squares
    slopes = powers[:, :-1] @ (np.arange(1, len(squares)) * squares[1:])
    shares = {"all": weights + biases, "hidden": weights + biases, "all but hidden biases": weights}
    total = np.zeros_like(cosines)
    if architecture.counts_slopes:
        total = shares[architecture.trained] * slopes
    if architecture.counts_readout:
        total = total + own
    return np.asarray(v * total + (c if architecture.counts_readout else 0.0))


def radius_range(kernel: Callable[[float, FloatArray], FloatArray], tolerance: float) -> tuple[float, float]:
    """The interval of radii around 1, within [1/16, 16], on which kernel(radius, cosines) stays within the tolerance.

    Seen on 33 cosines and radii in steps of 3.5 %, then by bisection.
    """
    if real_number("tolerance", tolerance) <= 0:
        raise DomainError(f"tolerance = {tolerance}: a positive number is needed")
    reference = kernel(1.0, _COSINES)
    allowed = tolerance * abs(reference[0])

    def fits(radius: float) -> bool:
        return bool(np.abs(kernel(radius, _COSINES) - reference).max() <= allowed)

    return _edge(fits, _SMALLEST), _edge(fits, _LARGEST)


def _edge(fits: Callable[[float], bool], end: float) -> float:
    inside = 1.0
    for i in range(1, _STEPS // 2 + 1):
        outside = end ** (i / (_STEPS // 2))
        if not fits(outside):
            for _ in range(_HALVINGS):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if fits(middle) else (inside, middle)
            return inside
        inside = outside
    return end
