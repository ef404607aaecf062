"""The command line, as a user meets it."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

import kernalg
from kernalg import cli
from kernalg.errors import InternalError


def command(*arguments: str, **kwargs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kernalg", *arguments],
        capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONIOENCODING": "utf-8"} | kwargs,
    )  # fmt: skip


def test_version_and_help():
    assert command("--version").stdout == f"kernalg {kernalg.__version__}\n"
    shown = command("--help")
    assert shown.returncode == 0
    assert all(
        name in shown.stdout for name in ("tour", "dual", "spectrum", "curve", "activations", "cache", "exit status 2")
    )


@pytest.mark.parametrize("name", ["tour", "dual", "spectrum", "curve", "activations", "cache"])
def test_help_of_a_command_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    assert f"  kernalg {name}" in capsys.readouterr().out


def test_help_and_dual_do_not_import_what_they_do_not_need():
    for arguments, absent in (
        (["--version"], ("sympy", "numba", "numpy")),
        (["dual", "relu"], ("numba", "matplotlib")),
    ):
        code = (
            "import sys\nfrom kernalg.cli import main\n"
            f"try: main({arguments!r})\nexcept SystemExit: pass\n"
            f"assert not set({absent!r}) & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dual", "relux"], "did you mean relu"),
        (["dual", "tanh(x)"], "not in the class"),
        (["dual", "relu", "--digits", "0"], "digits"),
        (["tour", "--activation", "tanh"], "erf"),
        (["tour", "--activation", "tanh(x)"], "erf"),
        (["tour", "--depth", "0"], "depth=0"),
        (["tour", "--w-var=-1"], "variance is not negative"),
        (["tour", "--w-var", "two"], "w_var"),
        (["tour", "--w-var", "nan"], "w_var"),
        (["tour", "--b-var=1/0"], "b_var"),
        (["tour", "--seed=-1"], "seed=-1"),
        (["tour", "--activation", "exp(x**2)"], "no finite kernel"),
        (["tour", "--activation", "exp"], "too large"),
        (["tour", "--w-var", "0"], "is 0"),
    ],
)
def test_mistakes_are_one_clear_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("kernalg: error: ") and message in told.err
    assert all(line.startswith("    ") for line in told.err.splitlines()[1:])  # the formula and its caret
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_formula_is_shown_with_a_caret_at_the_place():
    told = command("dual", "max(x,0")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.splitlines()[1:] == ["    max(x,0", "       ^"]


def test_unwritable_out(tmp_path, capsys):
    occupied = tmp_path / "file"
    occupied.write_text("keep me")
    for out in (occupied, occupied / "inside"):
        assert cli.main(["tour", "--out", str(out)]) == 2
        assert "cannot be written" in capsys.readouterr().err
    assert occupied.read_text() == "keep me"


def test_dual(capsys):
    assert cli.main(["dual", "max(x,0)", "--digits", "20"]) == 0
    text = capsys.readouterr().out
    assert "asin(rho)" in text and "checked quadrature" in text
    assert f"{math.sqrt(3) / (4 * math.pi) + 1 / 6:.14f}" in text  # k(1, 1, 1/2)
    assert cli.main(["dual", "erf", "--latex"]) == 0
    assert r"\operatorname{asin}" in capsys.readouterr().out


def test_activations_and_cache(capsys, monkeypatch, tmp_path):
    assert cli.main(["activations"]) == 0
    assert "x*normal_cdf(x/scale)" in capsys.readouterr().out
    (tmp_path / "kernalg_0.py").write_text("pass")
    (tmp_path / "other.txt").write_text("not ours")
    tmp_path.chmod(0o700)
    monkeypatch.setenv("KERNALG_CACHE_DIR", str(tmp_path))
    assert cli.main(["cache", "--clear"]) == 0
    assert "1 compiled formula set," in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["other.txt"]


def test_interrupt_and_bugs(monkeypatch, capsys):
    def raises(error):
        def run(arguments):
            raise error

        return run

    monkeypatch.setattr(cli.activations, "run", raises(KeyboardInterrupt()))
    assert cli.main(["activations"]) == 130
    capsys.readouterr()
    for bug in (InternalError("two methods disagree"), ZeroDivisionError("division by zero")):
        monkeypatch.setattr(cli.activations, "run", raises(bug))
        assert cli.main(["activations"]) == 1
        told = capsys.readouterr().err
        assert str(bug) in told and "bug of kernalg" in told


def test_broken_pipe_is_quiet():
    pipe = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m kernalg activations | (exec 0<&-); echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (pipe.stdout, pipe.stderr) == ("141\n", "")
