"""`kernalg design`, as a user meets it."""

from __future__ import annotations

import csv
import io
import math
import runpy

import numpy as np
import pytest

from kernalg import cli
from kernalg.cli.design import INFEASIBLE
from kernalg.design.designed import Design

_SQUARED = "rho**2"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["design", *arguments, "--no-progress"])
    told = capsys.readouterr()
    return status, told.out, told.err


def table_of(text: str) -> dict[int, list[str]]:
    """The rows of the table of coefficients."""
    rows = (line.split() for line in text.splitlines() if line.startswith("  "))
    return {int(row[0]): row[1:] for row in rows if row[0].isdigit()}


def test_help_says_what_status_3_means(capsys):
    with pytest.raises(SystemExit):
        cli.main(["design", "--help"])
    shown = capsys.readouterr().out
    assert "  kernalg design" in shown and f"Exit status {INFEASIBLE}: no network has this kernel" in shown


def test_a_tangent_kernel_has_its_hermite_coefficients(capsys):
    status, out, _ = run(capsys, "exp(2*(rho-1))", "--kind", "ntk", "--signs", "++--", "--tolerance", "1e-6")
    assert status == 0
    assert "as the NTK of Dense(1, 0), phi, Dense(1, 0)" in out and "\nfeasible: " in out
    assert "exactly: the average (1 + N)^(-1/2) of sqrt(2)*sin(sqrt(2)*x + pi/4)\n" in out
    rows = table_of(out)
    assert len(rows) == 13
    for k, row in rows.items():
        a = math.exp(-2) * 2**k / math.factorial(k)
        sign = -1 if k % 4 > 1 else 1
        assert float(row[0]) == pytest.approx(a, rel=1e-11)
        assert float(row[2 if k < 12 else -1]) == pytest.approx(sign * math.sqrt(a / (1 + k)), rel=1e-11)
    assert rows[2][1:] == ["2*exp(-2)", "-0.30037230591", "-sqrt(6)*exp(-1)/3"]
    assert "error: kernel at most 2.1e-07, activation at most 0.00012 (L2); within 1 % of K(1) for norms of 0.9" in out


def test_heavy_tails_are_a_warning(capsys):
    status, out, err = run(capsys, "exp(rho)", "--kind", "ntk", "--signs", "+", "--degree", "12")
    assert status == 0 and "degree 12" in out
    assert err.startswith("kernalg: warning: heavy-tailed") and "(--signs)" in err and err.count("\n") == 1


def test_closed_forms_are_listed_with_biases_put_in(capsys):
    status, out, _ = run(capsys, "exp(2*(rho-1))", "--w-var", "4")
    assert status == 0
    assert "phi(x) = sqrt(2)*sin(sqrt(2)*x/2 + pi/4)\n  Hermite signs ++--; bounded\n" in out
    assert "closed forms with this kernel (proved):\n  exp(sqrt(2)*x/2 - 2) " in out
    assert "error: none on the sphere" in out


def test_coefficients_and_readout(capsys):
    status, out, _ = run(capsys, "--coefficients", "1, 0, 1/2", "--readout", "2,1/2", "--kind", "ntk")
    assert status == 0
    b = {k: float(row[-2] if "sqrt" in row[-1] or "/" in row[-1] else row[-1]) for k, row in table_of(out).items()}
    assert b == pytest.approx({0: 0.5, 1: 0.0, 2: math.sqrt(1 / 12)}, rel=1e-11)


def test_a_network_in_one_layer_with_parameter_counts(capsys):
    network = ("--network", "relu", "--depth", "4", "--network-w-var", "2", "--network-b-var", "1/100")
    status, out, _ = run(capsys, *network, "--degree", "6", "--inputs", "10", "--width", "100")
    assert status == 0
    assert out.startswith("the NTK of relu, 4 hidden layers, w_var 2, b_var 1/100\n")
    b = [abs(float(row[1])) for row in table_of(out).values()]
    # The shallow NTK of the reference notes, section 8, case 6.
    expected = [1.21438513037, 0.665631081861, 0.478729064652, 0.306457092092, 0.224861356759, 0.162762701909]
    assert np.allclose(b[:6], expected, rtol=1e-11)
    deep, one = 10 * 100 + 3 * 100**2 + 4 * 100 + 100, 10 * 100 + 100
    assert f"at 10 inputs and width 100: {deep} of the network given, {one} of one hidden layer" in out


def test_the_tolerance_that_sixty_degrees_miss_is_a_warning(capsys):
    status, out, err = run(capsys, "1/(11/10-rho)", "--signs", "least growth")
    assert status == 0 and "degree 60" in out
    assert "misses the kernel by up to" in err and "give --degree, or --tolerance" in err


def test_no_network_is_status_3_with_the_certificate_and_no_file(capsys, tmp_path):
    status, out, err = run(capsys, "rho**3", "--b-var", "1/10", "--json", str(tmp_path / "design.json"))
    assert (status, err) == (INFEASIBLE, "")
    assert "\ninfeasible: " in out and "of rho^2 is -363/1000" in out and "The largest b_var that works" in out
    assert list(tmp_path.iterdir()) == []
    status, out, err = run(capsys, "cos(rho)", "--csv", "-")
    assert (status, out) == (INFEASIBLE, "") and "of rho^2 is -1/2" in err


def test_samples(capsys, tmp_path):
    cosines = np.linspace(-1, 1, 15)
    file = tmp_path / "kernel.csv"
    lines = ["cosine, kernel  # measured", "", *(f"{c!r}, {math.exp(c)!r}" for c in cosines.tolist())]
    file.write_text("\n".join(lines))
    status, out, _ = run(capsys, "--samples", str(file))
    assert status == 0 and f"the kernel sampled in {file}" in out
    assert float(table_of(out)[1][1]) == pytest.approx(1, rel=1e-6)
    file.write_text("\n".join(f"{c} {math.cos(c)} 1e-3" for c in cosines.tolist()))
    status, out, _ = run(capsys, "--samples", str(file))
    assert status == INFEASIBLE and "no kernel with non-negative coefficients passes through the 15 samples" in out


def test_csv_json_and_png(capsys, tmp_path):
    paths = {form: tmp_path / f"design.{form}" for form in ("csv", "json", "png")}
    options = [part for form, path in paths.items() for part in (f"--{form}", str(path))]
    status, out, err = run(capsys, _SQUARED, "--kind", "ntk", *options)
    assert status == 0 and out and err.count("kernalg: wrote ") == 3
    rows = list(csv.DictReader(io.StringIO(paths["csv"].read_text())))
    assert [float(row["a"]) for row in rows] == [0, 0, 1]
    assert rows[2]["b_exact"] == "sqrt(3)/3" and float(rows[2]["b"]) == 3**-0.5
    d = Design.from_json(paths["json"].read_text())
    assert (d.architecture.kind, str(d.coefficients[2])) == ("ntk", "sqrt(3)/3")
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    status, out, _ = run(capsys, _SQUARED, "--csv", "-")
    assert status == 0 and out.startswith("k,a,b,a_exact,b_exact\n")


def test_export_is_a_program_on_the_standard_output(capsys, tmp_path):
    status, out, _ = run(capsys, "exp(2*(rho-1))", "--w-var", "2", "--export", "numpy")
    assert status == 0
    (tmp_path / "activation.py").write_text(out)
    program = runpy.run_path(str(tmp_path / "activation.py"))
    at = np.linspace(-3, 3, 7)
    assert np.allclose(program["phi"](at), np.sqrt(2) * np.sin(at + np.pi / 4))
    status, out, _ = run(capsys, _SQUARED, "--export", "c", "--width", "32")
    assert status == 0 and "#include <math.h>" in out and "WIDTH = 32" in out and "Hermite signs" not in out
    assert run(capsys, "cos(rho)", "--export", "c")[:2] == (INFEASIBLE, "")
    status, _, err = run(capsys, _SQUARED, "--export", "c", "--json", "-")
    assert status == 2 and "--export and --json - would both go" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no kernel given: give a formula in rho"),
        (["exp(rho)", "--network", "relu"], "KERNEL and --network given"),
        (["exp(rho)", "--depth", "3"], "--depth is for a kernel given by --network"),
        (["exp(rho)", "--width", "3"], "--width is for a kernel given by --network"),
        (["--network", "relux"], "did you mean relu"),
        (["--network", "relu", "--network-w-var=-1"], "variance"),
        (["exp(rho"], "not a formula"),
        (["exp(x)"], "x"),
        (["1/rho"], "singular"),
        (["1/(1-rho)"], "not finite"),
        (["exp(rho)", "--readout", "1"], "--readout '1'"),
        (["exp(rho)", "--readout", "0,0"], "readout[0] = 0"),
        (["exp(rho)", "--w-var", "0"], "w_var = 0"),
        (["exp(rho)", "--b-var", "nan"], "b_var"),
        (["exp(rho)", "--degree=-1"], "degree=-1"),
        (["exp(rho)", "--tolerance", "0"], "tolerance=0"),
        (["exp(rho)", "--digits", "0"], "digits"),
        (["exp(rho)", "--signs", "+?"], "signs"),
        (["--coefficients", "1;2"], "a_0"),
        (["--coefficients", "1,y"], "a_1 is not an exact number"),
        (["--samples", "no/such/file"], "cannot be read"),
        (["exp(rho)", "--csv", "-", "--json", "-"], "same place"),
    ],
)
def test_mistakes_are_one_clear_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("kernalg: error: ") and message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no numbers"),
        ("cosine kernel\n1 2\n0 one", "line 3: '0 one' does not consist of numbers"),
        ("1 2\n0", "line 2: 1 numbers"),
        ("1 2\n0 1 0.1", "line 2: 3 numbers"),
        ("2 2", "cosines"),
    ],
)
def test_bad_samples_are_told_with_their_line(text, message, capsys, tmp_path):
    file = tmp_path / "samples.txt"
    file.write_text(text)
    status, out, err = run(capsys, "--samples", str(file))
    assert (status, out) == (2, "") and message in err


def test_what_no_network_has_comes_with_what_to_do(capsys):
    status, out, _ = run(capsys, "rho - rho**3/10")
    assert status == INFEASIBLE and out.endswith("the nearest kernel that a network has: fit_nonnegative, in Python\n")
    assert "nearest kernel" not in run(capsys, "rho**3", "--b-var", "1/10")[1]  # less bias does
    status, _, err = run(capsys, "--coefficients", "1,,2")
    assert status == 2 and "a number is missing" in err
