"""Shared by all tests: a compile cache of their own, figures without a screen, precision left as it was found."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
if "KERNALG_CACHE_DIR" not in os.environ:
    os.environ["KERNALG_CACHE_DIR"] = tempfile.mkdtemp(prefix="kernalg-tests-")

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def dual_values() -> dict[str, Any]:
    return json.loads((DATA / "dual_values_public.json").read_text())


@pytest.fixture(autouse=True)
def precision_is_left_alone() -> Any:
    import mpmath
    from flint import ctx

    before = (mpmath.mp.prec, ctx.prec, ctx.cap)
    yield
    assert (mpmath.mp.prec, ctx.prec, ctx.cap) == before, "a test or the library changed a global precision"
