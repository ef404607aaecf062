"""The architecture, enforced: a module imports only from floors below its own, or from its own room."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kernalg

PACKAGE = Path(kernalg.__file__).parent

# From the ground up. A string is a room: names that may import one another. Strings on one line share a floor
# and may not.
FLOORS: list[list[str]] = [
    ["errors checks symbols formula progress"],
    ["compiled", "enclosure"],
    ["gaussian", "expansion"],
    ["activation"],
    ["network"],
    ["derivation", "certify", "spectrum", "phase", "finite"],
    ["learning"],
    ["design"],
    ["export", "interop", "plot", "typeset"],
    ["findings report tour cli __main__"],
]
PLACE = {
    name: (floor, room)
    for floor, rooms in enumerate(FLOORS)
    for room, names in enumerate(rooms)
    for name in names.split()
}


def imported_modules(module: str, source: str) -> list[tuple[int, str]]:
    """Line and absolute name of every module of kernalg that `source` imports, wherever the statement stands."""
    found = []
    package = module.split(".")  # of a plain module the last part is dropped below, as Python does
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level], *([base] if base else [])])
            # `from kernalg import gaussian` names a module, `from kernalg.gaussian import atoms` already has its room
            found += [(node.lineno, f"{base}.{alias.name}" if base == "kernalg" else base) for alias in node.names]
    return [(line, name) for line, name in found if name.split(".")[0] == "kernalg"]


def violations(module: str, source: str) -> list[str]:
    """What is wrong with the imports of `module` (a dotted name; a package is named with its ``__init__``)."""
    own = module.split(".")[1]
    if own not in PLACE:
        return [f"{module}: {own} has no floor; give it one in FLOORS"]
    wrong = []
    for line, name in imported_modules(module, source):
        target = name.split(".")[1] if "." in name else ""
        if target == "__version__":
            continue
        if not target:  # `import kernalg` is for kernalg.__version__ alone
            used = {
                node.attr
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kernalg"
            }
            if used != {"__version__"}:
                wrong.append(f"{module}:{line} imports the public face; import from the rooms themselves")
        elif target not in PLACE:
            wrong.append(f"{module}:{line} imports {name}, which has no floor")
        elif PLACE[target] != PLACE[own] and PLACE[target][0] >= PLACE[own][0]:
            wrong.append(f"{module}:{line} (floor {PLACE[own][0]}) imports {name} (floor {PLACE[target][0]})")
    return wrong


def _modules() -> list[tuple[str, Path]]:
    paths = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    return [(".".join(["kernalg", *path.relative_to(PACKAGE).with_suffix("").parts]), path) for path in paths]


def test_every_module_imports_from_below():
    modules = _modules()
    assert len(modules) > 5
    wrong = [line for module, path in modules for line in violations(module, path.read_text(encoding="utf-8"))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kernalg.gaussian.atoms", "from kernalg.network.layers import Dense"),
        ("kernalg.gaussian.atoms", "import kernalg.activation.dual"),
        ("kernalg.gaussian.atoms", "from kernalg import network"),
        ("kernalg.gaussian.atoms", "from kernalg import activation as a, errors"),
        ("kernalg.gaussian.atoms", "from ..network.layers import Dense"),
        ("kernalg.gaussian.__init__", "from ..network import layers"),
        ("kernalg.gaussian.atoms", "def f():\n    from kernalg.spectrum.sphere import Sphere"),
        ("kernalg.gaussian.atoms", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import kernalg.cli"),
        ("kernalg.gaussian.atoms", "from kernalg.expansion.hermite import hermite"),  # same floor, another room
        ("kernalg.gaussian.atoms", "import kernalg as ka"),
        ("kernalg.gaussian.atoms", "import kernalg\nkernalg.mlp(3)"),
        ("kernalg.gaussian.atoms", "from kernalg import mlp"),
        ("kernalg.gaussian.atoms", "from kernalg import *"),
        ("kernalg.errors", "import kernalg.compiled.cache"),
        ("kernalg.misc", "import math"),
        ("kernalg.cli", "from kernalg.misc import helper"),
    ],
)
def test_the_checker_sees_a_bad_import(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kernalg.gaussian.atoms", "import sympy, kernalg.enclosure.balls\nfrom kernalg import errors"),
        (
            "kernalg.gaussian.atoms",
            "from kernalg.gaussian.series import tail\nfrom .series import tail\nfrom . import series",
        ),
        ("kernalg.formula.text", "from kernalg.errors import FormulaError\nfrom ..symbols import x"),
        ("kernalg.compiled.cache", "import kernalg\ntag = kernalg.__version__"),
        ("kernalg.compiled.cache", "from kernalg import __version__"),
        ("kernalg.cli", "from kernalg.tour import tour\nfrom kernalg.export.c import c_source"),
    ],
)
def test_the_checker_passes_a_good_import(module, source):
    assert violations(module, source) == []


def test_importing_kernalg_is_light():
    heavy = ("sympy", "numba", "scipy", "sklearn", "matplotlib")
    probe = f"import sys, kernalg; print(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
