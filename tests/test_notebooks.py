"""The notebooks run as scripts (with smaller numbers: KERNALG_FAST), and as notebooks; each ends in assertions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs_as_a_script(notebook: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg", "KERNALG_FAST": "1"}
    run = subprocess.run([sys.executable, str(notebook)], capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout.rstrip().endswith("all assertions hold")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_is_a_notebook_that_ends_in_assertions(notebook: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    cells = jupytext.read(notebook).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "assert " in cells[-1].source
