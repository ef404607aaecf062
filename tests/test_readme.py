"""What the README prints is what the code prints; the façade names what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kernalg as ka

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_prints_what_it_says() -> None:
    (code,), (printed, *_) = blocks("python"), blocks("text")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == printed


def test_the_two_commands_are_there() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert "python -m pip install '.[tour]' && kernalg tour" in commands
    assert "python -m pip install -e '.[test]' && python -m pytest" in commands


@pytest.mark.parametrize("name", [n for n in ka.__all__ if n != "__version__"])
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    value = getattr(ka, name)
    if name not in ("x", "q1", "q2", "c", "rho"):
        assert value.__doc__, name


def test_rooms_and_functions_of_one_name() -> None:
    code = (
        "import kernalg as ka; ka.Spectrum; ka.Dual; import kernalg.activation.activation, kernalg.spectrum.sphere; "
        "import kernalg.derivation.engine, kernalg.design.target, kernalg.export.door; "
        "assert all(callable(f) for f in (ka.activation, ka.spectrum, ka.derivation, ka.design, ka.export))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
