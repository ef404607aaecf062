"""`kernalg curve`: the learning curve that a spectrum implies."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Any

from kernalg.cli.command import Commands, command
from kernalg.cli.numbers import number, numbers, sizes
from kernalg.cli.outputs import add_outputs, check_outputs, write_outputs
from kernalg.cli.question import KERNEL_HELP, add_kernel, add_space, kernel_of, space_of, spectrum_of
from kernalg.cli.waiting import waiting
from kernalg.errors import DomainError

if TYPE_CHECKING:
    from kernalg.checks import FloatArray
    from kernalg.learning.diagnostics import Message
    from kernalg.learning.measured import Measured
    from kernalg.learning.simulation import Simulation
    from kernalg.spectrum.spectrum import Spectrum

_OPTIMAL = "optimal"
_LARGEST_EXPERIMENT = 1000
_EXPERIMENTS = 8
_EXPERIMENT_SPACES = ("sphere", "circle", "cube", "product")
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
  kernalg curve relu -d 30 --target "x1*x2 + x3" --n 10:10000:50
  kernalg curve relu -d 30 --target "exp(3*rho)" --n 10:10000:50
  kernalg curve relu -d 30 --power 0,1,1 --n 30:300:50 --noise 0.1 --simulate 20 --png agreement.png
  kernalg curve "rho/(1-rho/40)" -d 50 --power 0,1,1,1 --n 10:100000:60 --noise 1 --ridge optimal
  kernalg curve "exp(rho)" --space cube -d 14 --power 0,1,1 --n 10:3000:100 --png cube.png --csv cube.csv""",
        run,
    )
    add_kernel(parser)
    add_space(parser)
    problem = parser.add_argument_group("learning problem")
    target = problem.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--power",
        metavar="P,P,...",
        help="of the target in every level (sums of squared coefficients), in the order that kernalg spectrum prints, "
        "zero in the levels after",
    )
    target.add_argument(
        "--target",
        metavar="FORMULA",
        help="the target itself, on sphere, circle and cube: a polynomial in the coordinates x1, x2, ..., or a "
        "function of rho, the cosine to a fixed point; its power in every level is computed",
    )
    problem.add_argument(
        "--n",
        required=True,
        metavar="N",
        help="numbers of samples: a list such as 30,100,300, or start:stop:count, whole numbers spaced by a factor",
    )
    problem.add_argument(
        "--ridge",
        default="0",
        metavar="R",
        help="delta in K + delta I, not divided by n; or optimal, the best one for every n (default: 0)",
    )
    problem.add_argument("--noise", default="0", metavar="S", help="variance of the label noise (default: 0)")
    experiment = parser.add_argument_group(
        "experiment",
        "The prediction against kernel ridge regression on random inputs, with the exact risk of every fit.",
    )
    experiment.add_argument(
        "--simulate", type=int, metavar="DRAWS", help="experiments per number of samples (20 are a good start)"
    )
    experiment.add_argument(
        "--simulate-n",
        metavar="N",
        help=f"numbers of samples, as in --n (default: up to {_EXPERIMENTS} of those of --n, from 1 to "
        f"{_LARGEST_EXPERIMENT})",
    )
    experiment.add_argument("--seed", type=int, metavar="S", help="of the random draws (default: 0)")
    add_outputs(parser, "the test error with its parts, or with the experiments")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from kernalg.learning.eigenlearning import learning_curve

    check_outputs(arguments)
    power = None if arguments.power is None else numbers("--power", arguments.power)
    n = sizes("--n", arguments.n)
    ridge = None if arguments.ridge == _OPTIMAL else number("--ridge", arguments.ridge)
    noise = number("--noise", arguments.noise)
    simulated = _experiment_sizes(arguments, n)
    n = np.union1d(n, simulated) if simulated else n
    space = space_of(arguments)
    K, words = kernel_of(arguments)
    s = spectrum_of(arguments, K, space)
    if power is None:
        power = _power_of_target(arguments, s)
    if ridge is None:
        _best(arguments, s, words, power=power, n=n, noise=noise)
        return
    curve = learning_curve(s, power, n=n, ridge=ridge, noise=noise)
    simulation = None
    if simulated:
        with waiting("experiments", arguments.progress) as report:
            simulation = curve.simulate(
                K, n=simulated, draws=arguments.simulate, seed=arguments.seed or 0, progress=report
            )
    for doubt in curve.diagnostics.messages:
        print(f"kernalg: doubtful: {doubt}", file=sys.stderr)
    columns = {"n": curve.n} | {name: getattr(curve, name) for name in _COLUMNS}
    learned = {f"L{s.label(i)}": column for i, column in enumerate(curve.learnabilities.T)}
    problem = f"ridge {curve.ridge:g}, noise {noise:g}, power {sum(power):g}"
    if simulation is None:
        write_outputs(
            arguments,
            table=lambda: _table(columns, words, s, problem),
            rows=lambda: _rows(columns | learned),
            json=curve.to_json,
            png=lambda: _picture("decomposition", curve),
        )
        return
    measured = _measured_columns(curve.n, simulation)
    write_outputs(
        arguments,
        table=lambda: f"{_table(columns, words, s, problem)}\n\n{simulation}",
        rows=lambda: _rows(columns | measured | learned),
        json=simulation.to_json,
        png=lambda: _picture("learning_curve", curve, simulation),
    )


def _power_of_target(arguments: argparse.Namespace, s: Spectrum) -> list[float]:
    """Of --target in the levels of the spectrum and beyond; said, so that the next question may start from it."""
    from kernalg.learning.targets import target_power
    from kernalg.spectrum.spaces import Hypercube, Sphere

    # Elsewhere the eigenfunctions depend on the kernel: a polynomial of degree 2 is not of level 2.
    if not isinstance(s.space, Sphere | Hypercube):
        raise DomainError(
            f"--target is for the sphere, the circle and the cube, not for --space {arguments.space}: give --power, "
            "for the levels that kernalg spectrum prints"
        )
    found = target_power(arguments.target, s.space, len(s) - 1).power
    told = ", ".join(f"{p:.6g} in level {i}" for i, p in enumerate(found[:-1]) if p > 0)
    print(f"kernalg: power of the target: {told or 'none in the levels'}, {found[-1]:.3g} beyond", file=sys.stderr)
    return [float(p) for p in found]


def _experiment_sizes(arguments: argparse.Namespace, n: FloatArray) -> list[int]:
    """Where experiments are made: none without --simulate."""
    if arguments.simulate is None:
        for option in ("simulate_n", "seed"):
            if getattr(arguments, option) is not None:
                raise DomainError(f"--{option.replace('_', '-')} is for experiments: give --simulate DRAWS too")
        return []
    if arguments.ridge == _OPTIMAL:
        raise DomainError("--simulate needs one ridge for all n: take one of those that --ridge optimal prints")
    if arguments.space not in _EXPERIMENT_SPACES and not (arguments.space == "gaussian" and arguments.kind == "rbf"):
        raise DomainError(
            "--simulate draws targets on spheres, their products and the cube, and on gaussian inputs for --kind rbf, "
            f"not for this kernel on --space {arguments.space}: in Python, curve.simulate(K, target=f) takes a function"
        )
    if arguments.simulate_n is not None:
        chosen = sizes("--simulate-n", arguments.simulate_n).tolist()
        if any(size != int(size) or size < 1 for size in chosen):
            raise DomainError(f"--simulate-n {arguments.simulate_n!r}: experiments need whole numbers from 1")
    else:
        usable = [size for size in n.tolist() if size == int(size) and 1 <= size <= _LARGEST_EXPERIMENT]
        if not usable:
            raise DomainError(
                f"--n holds no whole number from 1 to {_LARGEST_EXPERIMENT} to make experiments at: give --simulate-n"
            )
        step = max(1, math.ceil((len(usable) - 1) / (_EXPERIMENTS - 1)))
        chosen = usable[::step]
    return [int(size) for size in chosen]


def _measured_columns(n: FloatArray, simulation: Simulation) -> dict[str, list[float | None]]:
    """Means and standard errors where there were experiments; nothing elsewhere."""
    row = {float(size): i for i, size in enumerate(simulation.n)}
    columns = {}
    for name in ("test_mse", "train_mse"):
        measured: Measured = getattr(simulation, name)
        for label, values in (("simulated", measured.mean), ("standard_error", measured.standard_error)):
            columns[f"{label}_{name}"] = [float(values[row[v]]) if v in row else None for v in n.tolist()]
    return columns


def _best(
    arguments: argparse.Namespace, s: Spectrum, words: str, *, power: list[float], n: FloatArray, noise: float
) -> None:
    """The curve with the best ridge at every n."""
    from kernalg.learning.eigenlearning import learning_curve
    from kernalg.learning.optimal_ridge import optimal_ridge

    with waiting("looking for the best ridges", arguments.progress):
        best = optimal_ridge(s, power, n=n, noise=noise)
    doubts: dict[str, list[Message]] = {}
    for size, ridge in zip(best.n, best.ridge, strict=True):
        if math.isfinite(ridge):
            for doubt in learning_curve(s, power, n=size, ridge=ridge, noise=noise).diagnostics.messages:
                doubts.setdefault(doubt.kind, []).append(doubt)
    for alike in doubts.values():
        more = f" (the same at {len(alike) - 1} further n, up to {alike[-1].n[0]:.10g})" if len(alike) > 1 else ""
        print(f"kernalg: doubtful: {alike[0]}{more}", file=sys.stderr)
    columns = {"n": best.n} | {name: getattr(best, name) for name in ("ridge", "kappa", "test_mse", "ridgeless_mse")}
    write_outputs(
        arguments,
        table=lambda: _table(columns, words, s, f"the best ridge at every n, noise {noise:g}, power {sum(power):g}"),
        rows=lambda: _rows(columns),
        json=best.to_json,
        png=lambda: _picture("optimal_ridge", best),
    )


def _table(columns: dict[str, FloatArray], words: str, s: Spectrum, problem: str) -> str:
    from kernalg.spectrum.tables import text_table

    cells = [[f"{v:.10g}" if name == "n" else f"{v:.6g}" for v in column] for name, column in columns.items()]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return "\n".join([f"{words}, on {s.space}", problem, text_table(list(columns), rows, shown=len(rows))])


def _rows(columns: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    plain = (column if isinstance(column, list) else column.tolist() for column in columns.values())
    return list(columns), list(zip(*plain, strict=True))


def _picture(name: str, *values: Any) -> bytes:
    from kernalg import plot

    return plot.png(getattr(plot, name), *values)
