"""Derivations: false steps fail, the engine explains every activation it closes, pages are current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

import kernalg as ka
from kernalg.derivation.checks import StepFails
from kernalg.derivation.expectation import Expectation
from kernalg.symbols import c, q1, q2, x

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["relu", "erf", "gelu", "sin", "gaussian", "step", "elu", "Max(x,0)+sin(x)", "hard_tanh"]
)
def test_the_engine_explains_itself(name: str) -> None:
    dual = ka.activation(name).dual
    d = ka.derivation(dual)
    assert d.conclusion is not None and d.conclusion[1] == dual.expr
    assert len({s.id for s in d.steps}) == len(d.steps)
    for text in (d.markdown(), d.latex(), d.html(), repr(d)):
        assert d.steps[-1].id in text
    assert ka.derivation(dual.derivative).conclusion is not None


def test_a_flipped_sign_fails() -> None:
    d = ka.Derivation("wrong", "wrong")
    right = ka.activation("erf").dual.expr
    d.step(Expectation(sp.erf(x), sp.erf(x)), right, because="true", check="quadrature")
    with pytest.raises(StepFails, match=r"wrong\.2: at q1 = 1"):
        d.step(Expectation(sp.erf(x), sp.erf(x)), -right, because="a flipped sign", check="quadrature")
    with pytest.raises(StepFails, match="left side"):
        d.step(sp.sqrt(q1 * q2 - c**2), sp.sqrt(q1 * q2 + c**2), because="a flipped sign", check="balls")
    with pytest.raises(StepFails, match="not 0"):
        d.step((q1 + c) ** 2, q1**2 + c**2, because="a lost term", check="symbolic")
    with pytest.raises(StepFails, match="derivatives differ"):
        d.integrate(
            c**2, c**2 + 1, derivative=3 * c, symbol=c, point=sp.S.Zero, value=sp.S.One, because="a wrong derivative"
        )
    with pytest.raises(StepFails, match="right side is 1"):
        d.integrate(
            c**2, c**2 + 1, derivative=2 * c, symbol=c, point=sp.S.Zero, value=sp.S.Zero, because="a wrong constant"
        )
    assert len(d.steps) == 1, "a false step is not recorded"


def test_a_derivation_must_end_at_the_shipped_formula() -> None:
    d = ka.Derivation("elsewhere", "elsewhere")
    d.step(sp.sin(c) ** 2 + sp.cos(c) ** 2, sp.S.One, because="Pythagoras", check="symbolic")
    with pytest.raises(StepFails, match="ships"):
        d.conclude("two", sp.S(2))


def test_a_numerical_check_is_never_called_a_proof() -> None:
    d = ka.derivation(ka.activation("relu").dual)
    for step in d.steps:
        if step.checked.kind in ("balls", "quadrature"):
            assert not step.checked.is_proof and "not a proof" in str(step.checked)


def test_wrong_requests() -> None:
    with pytest.raises(ka.DomainError, match="dual"):
        ka.derivation(ka.activation("relu"))
    with pytest.raises(ka.NoClosedForm, match="tanh"):
        ka.derivation(ka.activation("tanh(x)").dual)


def test_the_command_line_checks_pages() -> None:
    command = [sys.executable, "-m", "derivations", "relu", "--check"]  # test_pages.py looks at all of them
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout == "relu: every step holds (derivations/relu.md)\n", run.stderr
