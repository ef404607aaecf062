"""Which of the activations with the same kernel: they differ by the signs of their Hermite coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from kernalg.design.closed_forms import ClosedForm
from kernalg.design.signs import SEARCHES, best_signs, signs_from

_COMPARED = 40


@dataclass(frozen=True)
class Choice:
    """Signs for every coefficient, their pattern, and the closed form that has them, if one was chosen."""

    signs: tuple[int, ...]
    pattern: str
    closed_form: ClosedForm | None


def choose(asked: str | Sequence[int], magnitudes: tuple[sp.Expr, ...], forms: tuple[ClosedForm, ...]) -> Choice:
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
        found = best_signs(magnitudes, SEARCHES[asked])
        return Choice(tuple(found.signs), found.pattern, None)
    signs, pattern = signs_from(asked, magnitudes)
    fitting = [form for form in forms if isinstance(asked, str) and _agree(form, asked)]
    return Choice(tuple(signs), pattern, fitting[0] if fitting else None)


def _agree(form: ClosedForm, pattern: str) -> bool:
    wanted, _ = signs_from(pattern, (sp.S.One,) * _COMPARED)
    return all(s == 0 or s == w for s, w in zip(form.sign_list(_COMPARED), wanted, strict=True))
