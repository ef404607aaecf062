"""Which of the activations with the same kernel: they differ by the signs of their Hermite coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from kernalg.design.architecture import Architecture
from kernalg.design.closed_forms import ClosedForm
from kernalg.design.signs import best_signs, parse_signs
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.tails import tail_report

SEARCHES = {"least variance": "variance", "least growth": "growth"}
_COMPARED = 40
_JUDGED = 40  # coefficients, for the tails


@dataclass(frozen=True)
class Choice:
    """Signs for every coefficient, their pattern, and the closed form that has them, if one was chosen.

    `averaged` is an activation in closed form of which the chosen one is the average (1 + N)^(-1/2).
    """

    signs: tuple[int, ...]
    pattern: str
    closed_form: ClosedForm | None
    averaged: ClosedForm | None = None


def choose(
    asked: str | Sequence[int],
    magnitudes: tuple[sp.Expr, ...],
    forms: tuple[ClosedForm, ...],
    averages: tuple[ClosedForm, ...],
    architecture: Architecture,
) -> Choice:
    """The activation that was asked for.

    "auto" is the closed form that grows the least; without one, the average of a closed form that grows the least; else
    all signs +, unless that is heavy-tailed and "++--" is less so. Asked for other signs, a closed form is taken if it
    has them.
    """
    if isinstance(asked, str) and asked == "auto":
        if forms or averages:
            mildest = min(forms or averages, key=lambda form: form.growth)
            signs = tuple(mildest.sign_list(len(magnitudes)))
            return Choice(signs, mildest.signs, mildest if forms else None, None if forms else mildest)
        asked = _tame_pattern(magnitudes, architecture)
    if isinstance(asked, str) and asked in SEARCHES:
        kind = "ntk" if architecture.counts_slopes else "nngp"
        variances = (architecture.w_var, architecture.b_var, architecture.readout)
        found = best_signs(magnitudes, SEARCHES[asked], 1, *variances, kind)
        return Choice(found.signs, found.pattern or found.text, None)
    signs = parse_signs(asked, magnitudes)
    if not isinstance(asked, str):
        return Choice(signs, "".join("0+-"[s] for s in signs), None)
    closed, averaged = (next((form for form in group if _agree(form, asked)), None) for group in (forms, averages))
    return Choice(signs, asked, closed, averaged)


def _tame_pattern(magnitudes: tuple[sp.Expr, ...], architecture: Architecture) -> str:
    """All +, or "++--" where that has lighter tails and + has heavy ones. (Turned by i, an exponential is a wave.)"""
    shape = (architecture.w_var, architecture.b_var, architecture.readout)
    kind = "ntk" if architecture.counts_slopes else "nngp"
    tails = {}
    magnitudes = magnitudes[:_JUDGED]
    for pattern in ("+", "++--"):
        signs = parse_signs(pattern, magnitudes)
        signed = tuple(s * b for s, b in zip(signs, magnitudes, strict=True))
        if not any(signed[1:]) or any(b.free_symbols for b in signed):
            return "+"
        tails[pattern] = tail_report(HermiteSeries(signed, architecture.variance), *shape, kind)
        if not tails[pattern].heavy:
            break
    lightest = min(tails, key=lambda pattern: tails[pattern].kurtosis * (1 + 1e-9 * (pattern != "+")))
    return lightest


def _agree(form: ClosedForm, pattern: str) -> bool:
    """Whether a closed form has these signs wherever its coefficients are not 0."""
    signs = form.sign_list(_COMPARED)
    return tuple(signs) == parse_signs(pattern, signs)
