"""Which of the activations with the same kernel: they differ by the signs of their Hermite coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from kernalg.design.architecture import Architecture
from kernalg.design.closed_forms import ClosedForm
from kernalg.design.signs import best_signs, parse_signs

SEARCHES = {"least variance": "variance", "least growth": "growth"}
_COMPARED = 40


@dataclass(frozen=True)
class Choice:
    """Signs for every coefficient, their pattern, and the closed form that has them, if one was chosen."""

    signs: tuple[int, ...]
    pattern: str
    closed_form: ClosedForm | None


def choose(
    asked: str | Sequence[int],
    magnitudes: tuple[sp.Expr, ...],
    forms: tuple[ClosedForm, ...],
    architecture: Architecture,
) -> Choice:
    """The activation that was asked for.

    "auto" is the closed form that grows the least, or else all signs +. Asked for other signs, a closed form is taken
    if it has them.
    """
    if isinstance(asked, str) and asked == "auto":
        if forms:
            mildest = min(forms, key=lambda form: form.growth)
            return Choice(tuple(mildest.sign_list(len(magnitudes))), mildest.signs, mildest)
        asked = "+"
    if isinstance(asked, str) and asked in SEARCHES:
        kind = "ntk" if architecture.counts_slopes else "nngp"
        variances = (architecture.w_var, architecture.b_var, architecture.readout)
        found = best_signs(magnitudes, SEARCHES[asked], 1, *variances, kind)
        return Choice(found.signs, found.pattern or found.text, None)
    signs = parse_signs(asked, magnitudes)
    if not isinstance(asked, str):
        return Choice(signs, "".join("0+-"[s] for s in signs), None)
    return Choice(signs, asked, next((form for form in forms if _agree(form, asked)), None))


def _agree(form: ClosedForm, pattern: str) -> bool:
    """Whether a closed form has these signs wherever its coefficients are not 0."""
    signs = form.sign_list(_COMPARED)
    return tuple(signs) == parse_signs(pattern, signs)
