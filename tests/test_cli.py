"""The command line, as a user meets it."""

from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import kernalg
from kernalg import cli
from kernalg.cli import numbers, waiting
from kernalg.errors import InternalError
from kernalg.learning.eigenlearning import LearningCurve, learning_curve
from kernalg.learning.optimal_ridge import OptimalRidge
from kernalg.learning.simulation import Simulation
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.network import mlp
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Sphere
from kernalg.spectrum.spectrum import Spectrum


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
        (["spectrum", "relu", "-d", "5", "--degree", "3"], ("numba", "matplotlib", "scipy")),
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
        (["spectrum", "relu"], "--dimension is missing"),
        (["spectrum", "relu", "-d", "1"], "d=1"),
        (["spectrum", "relu", "-d", "3", "--space", "circle"], "dimension 2"),
        (["spectrum", "relu", "-d", "3.5"], "--dimension '3.5'"),
        (["spectrum", "relu", "-d", "3,4"], "several are for --space product"),
        (["spectrum", "relu", "-d", "3,4", "--space", "product"], "formula in rho1"),
        (["spectrum", "relu", "-d", "3", "--variance", "2"], "--variance is of gaussian"),
        (["spectrum", "relu", "-d", "3", "--degree=-1"], "degree=-1"),
        (["spectrum", "relu", "-d", "3", "--digits", "0"], "digits"),
        (["spectrum", "relu", "-d", "3", "--depth", "0"], "depth"),
        (["spectrum", "relu", "-d", "3", "--exact"], "polynomial"),
        (["spectrum", "relux", "-d", "3"], "did you mean relu"),
        (["spectrum", "exp(rho", "-d", "3"], "not a formula"),
        (["spectrum", "exp(rho)", "-d", "3", "--depth", "2"], "--depth: a formula in rho"),
        (["spectrum", "4", "-d", "3", "--kind", "rbf", "--w-var", "2"], "--w-var: the Gaussian kernel"),
        (["spectrum", "0", "-d", "3", "--kind", "rbf"], "squared_length"),
        (["spectrum", "four", "-d", "3", "--kind", "rbf"], "squared_length"),
        (["spectrum", "exp(x)", "-d", "3", "--kind", "formula"], "x"),
        (["spectrum", "exp(-rho)", "-d", "3"], "not positive semi-definite"),
        (["spectrum", "exp(rho)", "-d", "3", "--csv", "-", "--json", "-"], "same place"),
        (["spectrum", "exp(rho)", "-d", "3", "--csv", "no/such/file"], "no folder"),
        (["spectrum", "exp(rho)", "-d", "3", "--png", ""], "empty file name"),
        (["curve", "exp(rho)", "-d", "3", "--power", "1;2", "--n", "10"], "--power '1;2'"),
        (["curve", "exp(rho)", "-d", "3", "--power", "1,1/0", "--n", "10"], "1/0"),
        (["curve", "exp(rho)", "-d", "3", "--power=-1,1", "--n", "10"], "power[0]"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "10:5"], "start:stop:count"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "0:5:3"], "start is at least 1"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "5:9:1.5"], "count is 1.5"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n=-5"], "n[0]"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--ridge=-1"], "ridge"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--seed", "1"], "--seed is for experiments"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "2000", "--simulate", "3"], "give --simulate-n"),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--simulate", "0"], "draws=0"),
        (
            ["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--simulate", "3", "--simulate-n", "1.5"],
            "whole numbers from 1",
        ),
        (
            ["curve", "relu", "-d", "3", "--power", "0,1", "--n", "9", "--simulate", "3", "--space", "ball"],
            "not for this kernel on --space ball",
        ),
        (
            ["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--simulate", "3", "--ridge", "optimal"],
            "one ridge for all n",
        ),
        (["curve", "exp(rho)", "-d", "3", "--power", "0,1", "--n", "9", "--noise", "nan"], "--noise 'nan'"),
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


def test_spectrum_as_table_csv_and_json(capsys, tmp_path):
    ask = ["spectrum", "exp(rho)", "-d", "10", "--degree", "20"]
    assert cli.main(ask) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0] == "exp(rho), on sphere S^9, d = 10" and lines[-1].startswith("trace 2.718281828")
    assert len(lines) == 24 and told.err == ""  # every level, none left out
    truth = spectrum(dot_product_kernel("exp(rho)"), Sphere(10), degree=20)
    assert cli.main([*ask, "--csv", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["eigenvalue"]) for row in rows] == truth.eigenvalues.tolist()  # to the last bit
    assert [int(row["multiplicity"]) for row in rows] == list(truth.multiplicities)
    assert cli.main([*ask, "--json", str(tmp_path / "s.json")]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == lines and f"wrote {tmp_path / 's.json'}" in told.err
    assert Spectrum.from_json((tmp_path / "s.json").read_text()) == truth


def test_certified_digits_and_fractions(capsys):
    assert cli.main(["spectrum", "exp(rho)", "-d", "10", "--degree", "7", "--digits", "28", "--csv", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[7]["exact"].startswith("4.79607670461116644360706099")
    assert cli.main(["spectrum", "(1+rho)**2/4", "-d", "3", "--degree", "2", "--exact"]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[2:5]] == ["1/3", "1/6", "1/30"]


def test_kinds_of_kernels_and_their_words(capsys):
    def trace(*ask):
        assert cli.main(["spectrum", *ask, "--degree", "2"]) == 0
        out = capsys.readouterr().out
        return out.splitlines()[0], float(out.split("trace ")[1].split(",")[0])

    assert trace("relu", "-d", "5") == ("NTK of relu, 3 hidden layers, w_var 2, b_var 0, on sphere S^4, d = 5", 4.0)
    assert trace("max(x,0)", "-d", "5", "--kind", "nngp", "--depth", "1", "--b-var", "1/2") == (
        "NNGP of max(x,0), 1 hidden layer, w_var 2, b_var 1/2, on sphere S^4, d = 5",
        1.25,
    )
    assert trace("4", "--kind", "rbf", "-d", "5") == ("exp(-|x-x'|^2/(2 l2)), l2 = 4, on sphere S^4, d = 5", 1.0)
    assert trace("rho1*rho2", "--space", "product", "-d", "8,4") == (
        "rho1*rho2, on product of spheres S^7 x S^3",
        1.0,
    )
    assert trace("exp(rho)", "--space", "cube", "-d", "3")[0] == "exp(rho), on hypercube {-1, 1}^3"
    assert trace("relu", "--space", "gaussian", "-d", "3", "--variance", "2")[1] == 8.0
    assert trace("relu", "--space", "ball", "-d", "3")[0].endswith("on ball |x|^2 <= 3, d = 3")
    assert trace("rho**2", "--space", "circle") == ("rho**2, on sphere S^1, d = 2", 1.0)


def test_curve(capsys, tmp_path):
    ask = ["curve", "relu", "--depth", "1", "-d", "3", "--power", "0,1,1", "--n", "3,30,200", "--noise", "1/10"]
    assert cli.main(ask) == 0
    told = capsys.readouterr()
    assert "doubtful: n = 200: " in told.err and "Compute the spectrum to more levels" in told.err
    assert told.out.splitlines()[2].split()[0] == "n" and len(told.out.splitlines()) == 6
    s = spectrum(mlp("relu", 1, 2, 0).ntk, Sphere(3), degree=20)
    truth = learning_curve(s, [0, 1, 1], n=[3, 30, 200], noise=0.1)
    assert cli.main([*ask, "--csv", str(tmp_path / "c.csv"), "--json", "-"]) == 0
    assert LearningCurve.from_json(capsys.readouterr().out) == truth
    with open(tmp_path / "c.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["test_mse"]) for row in rows] == truth.test_mse.tolist()
    assert [float(row["L2"]) for row in rows] == truth.learnabilities[:, 2].tolist()


def test_a_target_by_its_formula(capsys):
    ask = ["curve", "exp(rho)", "--n", "10,100", "--degree", "3", "--json", "-"]
    assert cli.main([*ask, "-d", "10", "--space", "hypercube", "--target", "x1*x2 + 2*x3"]) == 0
    told = capsys.readouterr()
    assert "4 in level 1, 1 in level 2, 0 beyond" in told.err
    assert LearningCurve.from_json(told.out).power.tolist() == [0, 4, 1, 0, 0]
    assert cli.main([*ask, "-d", "5", "--target", "rho"]) == 0
    assert np.allclose(LearningCurve.from_json(capsys.readouterr().out).power, [0, 0.2, 0, 0, 0], atol=1e-15)
    for space, kind in (("ball", "formula"), ("gaussian", "rbf")):
        question = ["curve", "4" if kind == "rbf" else "exp(rho)", "--kind", kind, "--space", space, "-d", "5"]
        assert cli.main([*question, "--n", "10", "--target", "x1"]) == 2
        assert "--target is for the sphere" in capsys.readouterr().err


def test_every_mistake_is_one_line(capsys):
    for question in (["curve", "relu", "-d", "3", "--n", "3"], ["spectrum", "relu", "--space", "donut"], ["spectra"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(question)
        told = capsys.readouterr().err
        assert stop.value.code == 2 and told.startswith("kernalg: error: ") and told.count("\n") == 1


def test_the_best_ridge(capsys, tmp_path):
    ask = ["curve", "rho/(1-rho/40)", "-d", "50", "--degree", "8", "--power", "0,1,1,1", "--n", "10,50,1000"]
    ask += ["--noise", "1", "--ridge", "optimal"]
    assert cli.main([*ask, "--csv", "-"]) == 0
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    s = spectrum(dot_product_kernel("rho/(1-rho/40)"), Sphere(50), degree=8)
    for row in rows:
        best, ridge = float(row["test_mse"]), float(row["ridge"])
        for factor in (1, 0.9, 1.1):
            other = learning_curve(s, [0, 1, 1, 1], n=float(row["n"]), ridge=factor * ridge, noise=1).test_mse[0]
            assert other >= best * (1 - 1e-12) and (other <= best * (1 + 1e-12) or factor != 1)
        assert best < float(row["ridgeless_mse"])
    assert cli.main([*ask, "--json", str(tmp_path / "best.json"), "--png", str(tmp_path / "best.png")]) == 0
    assert "the best ridge at every n, noise 1, power 3" in capsys.readouterr().out
    read = OptimalRidge.from_json((tmp_path / "best.json").read_text())
    assert read.ridge.tolist() == [float(row["ridge"]) for row in rows] and read.noise == 1


def test_experiments(capsys, tmp_path):
    ask = ["curve", "exp(rho)", "-d", "20", "--degree", "6", "--power", "0,1,1", "--n", "10,30,90,5000"]
    ask += ["--noise", "0.1", "--simulate", "4", "--seed", "1"]
    assert cli.main([*ask, "--csv", str(tmp_path / "c.csv"), "--json", "-", "--png", str(tmp_path / "c.png")]) == 0
    told = Simulation.from_json(capsys.readouterr().out)
    s = spectrum(dot_product_kernel("exp(rho)"), Sphere(20), degree=6)
    curve = learning_curve(s, [0, 1, 1], n=[10, 30, 90, 5000], noise=0.1)
    assert told == curve.simulate(dot_product_kernel("exp(rho)"), n=[10, 30, 90], draws=4, seed=1)
    with open(tmp_path / "c.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["simulated_test_mse"] for row in rows[:3]] == [repr(v) for v in told.test_mse.mean.tolist()]
    assert len(rows) == 4 and {row["simulated_test_mse"] for row in rows[3:]} == {""}
    assert cli.main([*ask, "--simulate-n", "15,20"]) == 0
    assert "Simulation on sphere S^19, d = 20" in capsys.readouterr().out


def test_sizes_are_whole_numbers_spaced_by_a_factor():
    given = numbers.sizes("--n", "10:10000:50")
    assert given[0] == 10 and given[-1] == 10000 and len(given) == 50
    assert (given == given.round()).all()
    assert numbers.sizes("--n", "1:10:1000").tolist() == list(range(1, 11))
    assert numbers.sizes("--n", "1e2, 5/2").tolist() == [100, 2.5]


def test_nothing_is_overwritten(tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.write_text("keep me")
    for form in ("--csv", "--json", "--png"):
        assert cli.main(["spectrum", "exp(rho)", "-d", "3", form, str(mine)]) == 2
        told = capsys.readouterr()
        assert told.out == "" and "nothing is overwritten" in told.err
    assert mine.read_text() == "keep me"


@pytest.mark.parametrize("more", [["spectrum"], ["curve", "--power", "0,1", "--n", "10:100:9"]])
def test_pictures(more, tmp_path, capsys, monkeypatch):
    ask = [more[0], "exp(rho)", "-d", "3", *more[1:], "--png"]
    assert cli.main([*ask, str(tmp_path / "s.png")]) == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main([*ask, str(tmp_path / "t.png")]) == 2
    assert "pip install 'kernalg[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "t.png").exists()


def test_long_work_says_so_after_a_while(capsys, monkeypatch):
    monkeypatch.setattr(waiting, "_PATIENCE", 0.05)
    with waiting.waiting("counting"):
        time.sleep(0.5)
    assert capsys.readouterr().err.splitlines()[0] == "kernalg: counting …"
    with waiting.waiting("counting", show=False):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
