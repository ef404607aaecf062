"""`kernalg tour`: from an activation to learning curves, with a report."""

from __future__ import annotations

import argparse

from kernalg.cli.command import PHI, Commands, command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "tour",
        "from an activation to learning curves on real data, with a report",
        """\
Walk the whole way for one network: derive the dual of the activation, show the kernels, check fifty digits by two
routes, compile, compute spectra, and compare predicted with measured learning curves, on the sphere (where the theory
is right to a few per cent) and on scikit-learn's handwritten digits (where it shows where the theory stops).

Writes DIR/report.html (one self-contained page to read) and DIR/results.json (all numbers). Nothing is overwritten:
if DIR exists and is not empty, DIR-2, DIR-3, ... is taken, and the path is printed at the end.

examples:
  kernalg tour
  kernalg tour --activation gelu --depth 2 --out gelu-tour
  kernalg tour --activation "sin(3*x)" --w-var 1 --b-var 1/20""",
        run,
    )
    parser.add_argument("--activation", default="relu", metavar="PHI", help=f"{PHI} (default: relu)")
    parser.add_argument("--depth", type=int, default=3, help="hidden layers (default: 3)")
    parser.add_argument(
        "--w-var",
        default="2",
        metavar="V",
        help="weight variance of the hidden layers, an exact number such as 2 or 7/4 (default: 2, which keeps the norm "
        "of ReLU networks; other activations have other natural values)",
    )
    parser.add_argument("--b-var", default="0", metavar="V", help="bias variance of the hidden layers (default: 0)")
    parser.add_argument("--out", default="tour", metavar="DIR", help="folder of the results (default: ./tour)")
    parser.add_argument("--seed", type=int, default=0, help="of all random draws (default: 0)")
    parser.add_argument("--no-progress", action="store_true", help="do not show the steps on the standard error stream")


def run(arguments: argparse.Namespace) -> None:
    from kernalg import tour

    result = tour.run(
        arguments.activation,
        depth=arguments.depth,
        w_var=arguments.w_var,
        b_var=arguments.b_var,
        out=arguments.out,
        seed=arguments.seed,
        progress=not arguments.no_progress,
    )
    print(f"report  {result.report.resolve()}\nnumbers {result.results.resolve()}")
