"""The written derivations: each runs, ends at a shipped formula, is on its page, and cannot bear a flipped sign."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import sympy as sp

from derivations.__main__ import names
from kernalg.derivation.checks import StepFails
from kernalg.derivation.steps import Derivation

PAGES = Path(__file__).parents[2] / "derivations"
NAMES = names()


@cache
def derived(name: str) -> Derivation:
    return import_module(f"derivations.{name}").derive()


def opposite(side: sp.Basic) -> sp.Basic:
    return sp.Tuple(*(-a for a in side)) if isinstance(side, sp.Tuple) else -side


def test_the_expected_derivations_are_there() -> None:
    assert {"relu", "mehler_and_price", "tilting", "stein_recursion", "arc_cosine", "parseval_tail"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_ends_at_a_shipped_formula(name: str) -> None:
    d = derived(name)
    assert d.id == name
    assert d.conclusions and d.introduction and d.references
    assert len({s.id for s in d.steps}) == len(d.steps)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_page_is_current(name: str) -> None:
    committed = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert committed == derived(name).markdown(), "run python -m derivations --write"


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_sign_fails_in_every_step(name: str) -> None:
    survivors = []
    for step in derived(name).steps:
        if step.verify is None:
            assert step.checked.kind == "definition"
            continue
        try:
            step.verify(opposite(step.rhs))
        except StepFails:
            continue
        survivors.append(step.id)
    assert not survivors, f"these steps hold with the wrong sign: {survivors}"


@pytest.mark.parametrize("name", NAMES)
def test_only_proofs_are_called_proofs(name: str) -> None:
    for step in derived(name).steps:
        proof = step.checked.kind in ("definition", "symbolic", "derivative and point")
        assert step.checked.is_proof == proof
        if not proof:
            assert any(words in str(step.checked) for words in ("not a proof", "for these only")), step.checked
