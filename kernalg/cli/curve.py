"""`kernalg curve`: the learning curve that a spectrum implies."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kernalg.cli.command import Commands, command
from kernalg.cli.numbers import number, numbers, sizes
from kernalg.cli.outputs import add_outputs, check_outputs, write_outputs
from kernalg.cli.question import KERNEL_HELP, add_kernel, add_space, kernel_of, space_of, spectrum_of

if TYPE_CHECKING:
    from kernalg.learning.eigenlearning import LearningCurve

_COLUMNS = ("kappa", "learnability_sum", "overfitting", "bias", "variance", "excess_mse", "train_mse", "test_mse")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "curve",
        "predicted errors of kernel ridge regression against the number of samples",
        f"""\
Print the learning curve of kernel ridge regression, predicted from the spectrum of the kernel (eigenlearning): test
and training error, bias, variance and what is learned, per number of samples. Where the prediction is doubtful, the
standard error stream says so.

{KERNEL_HELP}

examples:
  kernalg curve relu -d 50 --power 0,1,1 --n 10:10000:50
  kernalg curve relu -d 30 --power 0,1,1 --n 30,200,800 --ridge 0.01 --noise 0.1
  kernalg curve "exp(rho)" --space cube -d 14 --power 0,1,1 --n 10:3000:100 --png cube.png --csv cube.csv""",
        run,
    )
    add_kernel(parser)
    add_space(parser)
    problem = parser.add_argument_group("learning problem")
    problem.add_argument(
        "--power",
        required=True,
        metavar="P,P,...",
        help="of the target in level 0, 1, ... (sums of squared coefficients), zero in the levels after",
    )
    problem.add_argument(
        "--n",
        required=True,
        metavar="N",
        help="numbers of samples: a list such as 30,100,300, or start:stop:count, whole numbers spaced by a factor",
    )
    problem.add_argument(
        "--ridge", default="0", metavar="R", help="delta in K + delta I, not divided by n (default: 0)"
    )
    problem.add_argument("--noise", default="0", metavar="S", help="variance of the label noise (default: 0)")
    add_outputs(parser, "the test error with its parts")


def run(arguments: argparse.Namespace) -> None:
    from kernalg.learning.eigenlearning import learning_curve

    check_outputs(arguments)
    power, n = numbers("--power", arguments.power), sizes("--n", arguments.n)
    ridge, noise = number("--ridge", arguments.ridge), number("--noise", arguments.noise)
    space = space_of(arguments)
    K, words = kernel_of(arguments)
    curve = learning_curve(spectrum_of(arguments, K, space), power, n=n, ridge=ridge, noise=noise)
    for doubt in curve.diagnostics.messages:
        print(f"kernalg: doubtful: {doubt}", file=sys.stderr)
    write_outputs(
        arguments,
        table=lambda: _table(curve, words),
        rows=lambda: _rows(curve),
        json=curve.to_json,
        png=lambda: _picture(curve),
    )


def _table(curve: LearningCurve, words: str) -> str:
    from kernalg.spectrum.tables import text_table

    values = [[f"{v:.10g}" for v in curve.n], *([f"{v:.6g}" for v in getattr(curve, name)] for name in _COLUMNS)]
    rows = [list(row) for row in zip(*values, strict=True)]
    return "\n".join(
        [
            f"{words}, on {curve.spectrum.space}",
            f"ridge {curve.ridge:g}, noise {curve.noise:g}, power of the target {curve.power.sum():g}",
            text_table(["n", *_COLUMNS], rows, shown=len(rows)),
        ]
    )


def _rows(curve: LearningCurve) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns = {"n": curve.n} | {name: getattr(curve, name) for name in _COLUMNS}
    columns |= {f"L{curve.spectrum.label(i)}": column for i, column in enumerate(curve.learnabilities.T)}
    return list(columns), list(zip(*(column.tolist() for column in columns.values()), strict=True))


def _picture(curve: LearningCurve) -> bytes:
    from kernalg import plot

    return plot.png(plot.decomposition, curve)
