"""Designs for kernels that are known by numbers: samples, functions of floats, Taylor coefficients with errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from kernalg.checks import FloatArray, real_vector
from kernalg.design.architecture import Architecture
from kernalg.design.choice import choose
from kernalg.design.designed import Design, Question
from kernalg.design.feasibility import FeasibilityCertificate
from kernalg.design.of_callable import TaylorEstimate
from kernalg.design.samples import SampledKernel, sampled_kernel
from kernalg.design.target import Target
from kernalg.errors import DomainError
from kernalg.formula import exact_number
from kernalg.network.dot_product import dot_product_kernel


def design_of_samples(
    values: Any, cosines: Any, architecture: Architecture, question: Question, errors: Any = None
) -> Design:
    """The design for the kernel of non-negative coefficients that passes closest to samples."""
    if isinstance(values, str | sp.Basic) or callable(values):
        raise DomainError(
            f"design({values!r}, cosines=…): a formula, a kernel or a function is designed for as it is; leave cosines "
            "out, or give the list of its values there"
        )
    _refuse_constraints(architecture)
    offset = float(architecture.readout[1])
    levels = real_vector("the kernel's values", values) - offset
    found = sampled_kernel(cosines, levels, architecture.w_var, architecture.b_var, standard_errors=errors)
    return design_of_sampled(found, architecture, question)


def design_of_sampled(found: SampledKernel, architecture: Architecture, question: Question) -> Design:
    """The design for what `sampled_kernel` found, for the kernel without the readout bias."""
    coefficients = _without_dust(found.coefficients, float(found.tolerance.min()) / 10)
    coefficients[0] += float(architecture.readout[1])
    reason = str(found).partition(": ")[2]
    return _design(
        coefficients,
        found.feasible,
        reason,
        (),
        f"{len(found.cosines)} samples",
        found.residual,
        architecture,
        question,
    )


def _without_dust(coefficients: FloatArray, allowed: float) -> FloatArray:
    """Without the last coefficients that together change the kernel by less than `allowed`."""
    rest = np.cumsum(coefficients[::-1])[::-1]
    kept = np.flatnonzero(rest > allowed)
    return np.array(coefficients[: (kept[-1] + 1 if kept.size else 1)])


def design_of_estimate(found: TaylorEstimate, architecture: Architecture, question: Question) -> Design:
    """The design for Taylor coefficients in rho with error estimates: those that are 0 within their errors are 0."""
    _refuse_constraints(architecture)
    levels = np.array(found.coefficients)
    levels[0] -= float(architecture.readout[1])
    bad = np.flatnonzero(levels < -4 * found.errors)
    negative = tuple((int(k), exact_number(found.coefficients[k], "a")) for k in bad[:5])
    if negative:
        listed = ", ".join(f"of rho^{k} is {float(a):.6g}" for k, a in negative)
        reason = f"by Cauchy's integral, the coefficient {listed} (errors below {found.errors.max():.1g}, estimated)"
    else:
        reason = (
            f"{len(levels)} Taylor coefficients by Cauchy's integral are >= 0 within their estimated errors; a formula "
            "would decide"
        )
    coefficients = np.where(levels < 0, 0.0, levels)
    coefficients[0] += float(architecture.readout[1])
    return _design(
        coefficients,
        False if negative else None,
        reason,
        negative,
        "a function of floats",
        found.deviation,
        architecture,
        question,
    )


def _refuse_constraints(architecture: Architecture) -> None:
    if architecture.freezes_biases or not architecture.counts_readout:
        raise DomainError(
            f"trained={architecture.trained!r} asks for exact coefficients; with samples and functions of floats use "
            "trained='all' or 'readout', or kind='nngp'"
        )


def _design(
    coefficients: FloatArray,
    feasible: bool | None,
    reason: str,
    negative: tuple[tuple[int, sp.Expr], ...],
    origin: str,
    known_to: float,
    architecture: Architecture,
    question: Question,
) -> Design:
    last = int(np.flatnonzero(coefficients)[-1]) if np.any(coefficients) else 0
    values = tuple(exact_number(a, "a") for a in coefficients[: last + 1])
    formula = sp.Add(*[a * architecture.correlation**k for k, a in enumerate(values) if a])
    kernel = dot_product_kernel(formula)
    target = Target(kernel, kernel.profile(), formula, origin=origin, known_to=known_to)
    certificate = FeasibilityCertificate(feasible, architecture.correlation, negative, len(values), reason)
    if feasible is False:
        return Design(target, architecture, certificate, (), (), "", (), None, None, False, question)
    magnitudes = tuple(_root(b) for b in architecture.squares(values))
    chosen = choose(question["signs"], magnitudes, (), (), architecture)
    signed = tuple(-b if s < 0 else b for s, b in zip(chosen.signs, magnitudes, strict=True))
    return Design(target, architecture, certificate, values, signed, chosen.pattern, (), None, None, True, question)


def _root(square: sp.Expr) -> sp.Expr:
    return sp.Float(float(square) ** 0.5) if square else sp.S.Zero
