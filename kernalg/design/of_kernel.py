"""`design(kernel)`: the one door from a kernel to the activation that realises it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import ArrayLike

from kernalg.activation.activation import Activation, activations
from kernalg.checks import real_number, whole_number
from kernalg.design.architecture import Architecture
from kernalg.design.choice import choose
from kernalg.design.closed_forms import ClosedForm
from kernalg.design.coefficients import Coefficients, ball_coefficients, coefficients, smallest_degree, sum_at_one
from kernalg.design.designed import MOST_ENGINE_DEGREE, Design
from kernalg.design.feasibility import certificate_of, rounding_bounds
from kernalg.design.of_callable import TaylorEstimate, read_callable
from kernalg.design.of_numbers import design_of_estimate, design_of_samples
from kernalg.design.radial_mean import radial_mean
from kernalg.design.recognition import closed_forms, nngp_of_ntk
from kernalg.design.samples import SampledKernel
from kernalg.design.target import Target, target_of
from kernalg.enclosure.balls import ball, bits_for, check_digits, precision, to_float
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.network.kernel import Kernel
from kernalg.network.network import Network
from kernalg.symbols import rho

_CLOSED_FORM_TERMS = 21
_MOST_DEGREE = 20_000


def design(
    kernel: Any,
    kind: str | None = None,
    w_var: Any = 1,
    b_var: Any = 0,
    readout: tuple[Any, Any] = (1, 0),
    trained: str = "all",
    *,
    signs: str | Sequence[int] = "auto",
    degree: int | None = None,
    tolerance: float = 1e-12,
    digits: int = 30,
    cosines: ArrayLike | None = None,
    standard_errors: ArrayLike | None = None,
) -> Design:
    r"""The activation of a one-hidden-layer network with a given kernel on the sphere \|x\|^2 = d.

    Parameters
    ----------
    kernel : str, sympy.Expr, Kernel, DotProductKernel, sequence of numbers, or callable
        A formula in rho, which here is the cosine x.x'/d; the kernel of any network; Taylor coefficients a_0, a_1, … in
        the cosine; a function of the cosine; values of the kernel, with `cosines`.
    kind : {"nngp", "ntk"}, optional
        Which kernel of the one-hidden-layer network it shall be. By default what a network's kernel is itself, "nngp"
        for a formula.
    w_var, b_var : exact numbers
        Variances of the hidden weights and biases.
    readout : pair of exact numbers
        Variances of the readout weights and bias.
    trained : {"all", "readout", "hidden", "all but hidden biases"}
        The parameters whose gradients the tangent kernel counts.
    signs : str or sequence of +1 and -1
        Signs of the Hermite coefficients, on which the kernel does not depend. "auto": those of the mildest closed form
        if there is one, otherwise "+", or "++--" if "+" is heavy-tailed. A pattern such as "++--" repeats. "least
        variance" searches for the signs with the least noise at finite width, "least growth" for those with the least
        E phi^4.
    degree : int, optional
        Degree of the polynomial where there is no closed form. By default the least that keeps the kernel within
        `tolerance` K(1), at most 60.
    tolerance : float
    digits : int
        Certified digits of coefficients that are not exact.
    cosines : array_like, optional
        Where `kernel` lists values: the kernel of non-negative coefficients nearest to them is designed for, or the
        certificate proves that none passes through them.
    standard_errors : float or array_like, optional
        Of these values, one for all or one for each; without them they are taken to be good to 1e-9.

    Returns
    -------
    Design
        Also for kernels that no network has: then ``.feasible`` is False, and ``.certificate`` says why.

    Raises
    ------
    DomainError
        If the kernel is not finite at cosine 1 or has no Taylor series at 0, or a number is out of range.

    Examples
    --------
    >>> import kernalg as ka
    >>> ka.design("exp(2*(rho-1))").activation
    Activation(sqrt(2)*sin(sqrt(2)*x + pi/4))
    >>> d = ka.design("(rho + rho**3)/2", kind="ntk")
    >>> d.coefficients, d.feasible
    ((0, 1/2, 0, sqrt(2)/4), True)
    >>> ka.design("rho - rho**3/10").certificate
    infeasible: in its series in rho, the coefficient of rho^3 is -1/10
    >>> ka.design("rho**3", b_var="1/10").certificate.negative
    ((0, -1/1000), (2, -363/1000))

    Notes
    -----
    Simon, Anand, DeWeese, *Reverse engineering the neural tangent kernel* (ICML 2022).
    """
    _refuse_mistaken(kernel)
    if kind is None:
        kind = kernel.kind if isinstance(kernel, Kernel) else "nngp"
    architecture = Architecture(kind, w_var, b_var, readout, trained)
    if degree is not None and whole_number("degree", degree, 0) > _MOST_DEGREE:
        raise DomainError(f"degree={degree}: at most {_MOST_DEGREE}")
    if real_number("tolerance", tolerance) <= 0:
        raise DomainError(f"tolerance={tolerance}: a positive number is needed")
    if not isinstance(signs, str | Sequence | np.ndarray):
        raise DomainError(
            f"signs={signs!r}: give 'auto', a pattern such as '++--', 'least variance', 'least growth', or a list of 1 "
            "and -1"
        )
    if standard_errors is not None and cosines is None:
        raise DomainError("standard_errors without cosines: they belong to values of the kernel; give cosines=, too")
    question = {
        "signs": signs if isinstance(signs, str) else list(signs),
        "degree": degree,
        "tolerance": float(tolerance),
        "digits": check_digits(digits),
    }
    if cosines is not None:
        return design_of_samples(kernel, cosines, architecture, question, standard_errors)
    if _is_function(kernel):
        read = read_callable(kernel, architecture.w_var, architecture.b_var)
        if isinstance(read, SampledKernel):
            return design_of_samples(read.values, read.cosines, architecture, question)
        if isinstance(read, TaylorEstimate):
            return design_of_estimate(read, architecture, question)
        kernel = read
    target = target_of(kernel)
    read = radial_mean(target) if architecture.freezes_biases else target
    certificate = certificate_of(read, architecture)
    forms: tuple[ClosedForm, ...] = ()
    averages: tuple[ClosedForm, ...] = ()
    if certificate.feasible is not False:
        forms, averages = _closed_forms(read, architecture)
        if certificate.feasible is None and (forms or averages):
            certificate = replace(certificate, feasible=True, reason="an activation in closed form has this kernel")
    if certificate.feasible is False:
        return Design(target, architecture, certificate, (), (), "", (), None, None, False, question)

    if degree is None and read.polynomial is None:
        degree = _CLOSED_FORM_TERMS - 1 if forms else _default_degree(target, read, architecture, tolerance)
    found = _expanded(read, architecture, degree, digits)
    magnitudes = _magnitudes(read, architecture, found, digits)
    chosen = choose(signs, magnitudes, forms, averages, architecture)
    signed = tuple(-b if s < 0 else b for s, b in zip(chosen.signs, magnitudes, strict=True))
    return Design(
        target,
        architecture,
        certificate,
        found.values,
        signed,
        chosen.pattern,
        forms,
        chosen.closed_form,
        chosen.averaged,
        found.complete,
        question,
    )


def _refuse_mistaken(kernel: Any) -> None:
    """What is near to a kernel, and is none."""
    advice = ""
    if isinstance(kernel, Activation | HermiteSeries) or (isinstance(kernel, str) and kernel.strip() in activations()):
        advice = (
            "an activation is what is looked for. A kernel that has one is mlp(activation, depth=3).ntk (--network on "
            "the command line)"
        )
    elif isinstance(kernel, Network):
        advice = "a network has two kernels: give its .ntk or .nngp (shallow takes the network itself)"
    elif isinstance(kernel, Design):
        advice = "this is the answer already; its kernel is .kernel()"
    elif callable(kernel) and type(kernel).__module__.startswith("kernalg.") and not hasattr(kernel, "profile"):
        advice = "a kernel of other things than the cosine; write what it is on the sphere as a formula in rho"
    if advice:
        shown = repr(kernel).splitlines()[0]
        raise DomainError(f"design({shown}): {advice}")


def _is_function(kernel: Any) -> bool:
    """Whether this is a plain function of the cosine. (Kernels are callable too, on rows.)"""
    return callable(kernel) and not isinstance(kernel, sp.Basic) and not hasattr(kernel, "profile")


def _closed_forms(target: Target, architecture: Architecture) -> tuple[tuple[ClosedForm, ...], tuple[ClosedForm, ...]]:
    """Activations of unit variance whose dual is what the architecture leaves of the kernel.

    And, of a tangent kernel without one, those that have it as NNGP kernel: (1 + N)^(-1/2) of them is the answer.
    """
    if target.formula is None or target.polynomial is not None:
        return (), ()
    if not architecture.counts_readout:
        return (), ()
    v, c = architecture.readout
    rest = target.formula.subs(rho, architecture.cosine)
    reduced = (rest - c if architecture.counts_readout else rest) / v
    if not architecture.counts_slopes or architecture.freezes_biases:
        return closed_forms(reduced), ()
    sigma = nngp_of_ntk(reduced)
    forms = () if sigma is None else closed_forms(sigma)
    return forms, () if forms else closed_forms(reduced)


def _expanded(target: Target, architecture: Architecture, degree: int | None, digits: int) -> Coefficients:
    """a_0, …, a_M up to this degree; None stands for the degree of a polynomial."""
    if target.polynomial is None:
        return coefficients(target, architecture, (degree or 0) + 1, digits)
    whole = coefficients(target, architecture, 0, digits)
    if degree is None or degree >= len(whole.values) - 1:
        return whole
    return Coefficients(whole.values[: degree + 1], True, False)


def _default_degree(whole: Target, read: Target, architecture: Architecture, tolerance: float) -> int:
    """The least degree that keeps the kernel within tolerance K(1), at most 60."""
    with precision(64):
        error = tolerance * abs(float(sum_at_one(whole, 15)))
    degree = smallest_degree(whole, read, architecture, error, MOST_ENGINE_DEGREE + 1)
    return MOST_ENGINE_DEGREE if degree is None else degree


def _magnitudes(target: Target, architecture: Architecture, found: Coefficients, digits: int) -> tuple[sp.Expr, ...]:
    """|b_0|, |b_1|, …: exact square roots, or Floats."""
    if found.exact:
        bounds = rounding_bounds(target, architecture)
        squares = architecture.squares(found.values)
        if bounds:  # what is negative is within the rounding of the floats that were given, and stands for 0
            squares = [sp.S.Zero if b.is_negative else b for b in squares]
        return tuple(sp.sqrt(b) for b in squares)
    balls = ball_coefficients(target, architecture, len(found.values), digits + 5)
    with precision(bits_for(digits) + 96):
        roots = [_root(b, k, target) for k, b in enumerate(architecture.squares(balls, ball))]
        return tuple(to_float(b, digits) for b in roots)


def _root(square: arb, k: int, target: Target) -> arb:
    if square.contains(0):
        return arb(0) if square.abs_upper() < arb(10) ** -60 else square.abs_upper().sqrt()
    if square < 0:
        raise DomainError(
            f"{target.name}: the squared Hermite coefficient b_{k}^2 = {square.str(10, radius=False)} is negative; no "
            f"network has this kernel. Ask for a degree below {k} to get its beginning"
        )
    return square.sqrt()
