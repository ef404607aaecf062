"""`kernalg spectrum`: the eigenvalues of a kernel, level by level."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernalg.cli.command import Commands, command
from kernalg.cli.outputs import add_outputs, check_outputs, write_outputs
from kernalg.cli.question import KERNEL_HELP, add_kernel, add_space, kernel_of, space_of, spectrum_of

if TYPE_CHECKING:
    from kernalg.spectrum.spectrum import Spectrum


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "spectrum",
        "eigenvalues of a kernel on the sphere, the cube or Gaussian inputs",
        f"""\
Print the eigenvalues of a kernel under the distribution of its inputs, level by level: one eigenvalue per level (per
harmonic, under a probability measure), with its exact multiplicity.

{KERNEL_HELP}

examples:
  kernalg spectrum relu -d 50                                 the NTK of 3 hidden layers of ReLU on the sphere S^49
  kernalg spectrum relu --kind nngp --depth 1 -d 10 --digits 30
  kernalg spectrum "exp(rho)" --space cube -d 14 --csv cube.csv
  kernalg spectrum "(1+rho)**4/16" -d 3 --exact
  kernalg spectrum 4 --kind rbf --space gaussian -d 5
  kernalg spectrum "exp(rho1*rho2)" --space product -d 8,4 --degree 3
  kernalg spectrum gelu --w-var 7/4 --space circle --degree 200 --png circle.png""",
        run,
    )
    add_kernel(parser)
    add_space(parser)
    accuracy = parser.add_mutually_exclusive_group()
    accuracy.add_argument("--digits", type=int, metavar="N", help="certified digits (default: double precision)")
    accuracy.add_argument("--exact", action="store_true", help="fractions, for polynomials in rho")
    add_outputs(parser, "the eigenvalues and the power of each level")


def run(arguments: argparse.Namespace) -> None:
    check_outputs(arguments)
    space = space_of(arguments)
    K, words = kernel_of(arguments)
    s = spectrum_of(arguments, K, space)
    write_outputs(
        arguments,
        table=lambda: _table(s, words),
        rows=lambda: _rows(s),
        json=s.to_json,
        png=lambda: _picture(s),
    )


def _exact_texts(s: Spectrum) -> list[str]:
    """The certified digits or fractions as text (a fraction may be longer than Python likes to print)."""
    from sympy import sstr

    return [] if s.exact is None else [sstr(v, full_prec=True) for v in s.exact]


def _table(s: Spectrum, words: str) -> str:
    from kernalg.spectrum.tables import format_integer, text_table

    values = _exact_texts(s) or [f"{v:.10g}" for v in s.eigenvalues]
    columns: dict[str, Sequence[str]] = {
        "level": [s.label(i) for i in range(len(s))],
        "multiplicity": [format_integer(m) for m in s.multiplicities],
        "eigenvalue": values,
    }
    if s.errors is not None and s.exact is None:
        columns["error"] = [f"{v:.1e}" for v in s.errors]
    columns["level power"] = [f"{v:.6g}" for v in s.level_power]
    if s.methods is not None:
        columns["method"] = s.methods
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    lines = [f"{words}, on {s.space}", text_table(list(columns), rows, shown=len(rows))]
    if s.trace is not None:
        lines.append(f"trace {s.trace:.10g}, of which {s.tail:.3g} beyond the levels listed")
    return "\n".join(lines)


def _rows(s: Spectrum) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns: dict[str, Sequence[Any]] = {
        "level": range(len(s)) if s.labels is None else s.labels,
        "multiplicity": s.multiplicities,
        "eigenvalue": s.eigenvalues.tolist(),
        "level_power": s.level_power.tolist(),
    }
    if s.errors is not None:
        columns["error"] = s.errors.tolist()
    if s.exact is not None:
        columns["exact"] = _exact_texts(s)
    if s.methods is not None:
        columns["method"] = s.methods
    return list(columns), list(zip(*columns.values(), strict=True))


def _picture(s: Spectrum) -> bytes:
    from kernalg import plot

    return plot.png(plot.spectrum, s)
