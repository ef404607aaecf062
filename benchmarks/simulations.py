"""Predicted learning curves against experiments: every row is a prediction, its simulation and a verdict.

    python benchmarks/simulations.py [--quick] [--rows NAME ...] [--seed 0] [--write FILE]

Kernel ridge regression on spheres, the hypercube and Gaussian inputs with exact test risks, and the Gaussian-feature
model for two ridges, random features and gradient flow. The published predictions (`formula`) must be met to all their
digits. A simulated error agrees if it is within 3 standard errors (after few draws, the quantile of Student's law of
the same probability) or the tolerance of its row; the same is asked of the training error where there is a ridge, on
spheres; learnabilities must be within 3 standard errors, on spheres from d = 20. --quick takes a third of the draws in
the rows that take longest. Prints Markdown; exits with 1 when a row fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

import kernalg as ka
from kernalg.learning.gaussian_features import simulate_gradient_flow, simulate_random_features, simulate_two_ridges
from kernalg.learning.simulation import Simulation, simulate

_LONG = 4.0  # seconds


def three_errors(draws: int) -> float:
    """How many standard errors of `draws` draws are as improbable as three known ones."""
    return float(stats.t.ppf(stats.norm.cdf(3), draws - 1))


@dataclass(frozen=True)
class Row:
    """`formula`: published prediction. `run(draws, seed, progress)`: the Outcome. `seconds`: for `draws`, roughly."""

    name: str
    formula: str
    draws: int
    seconds: float
    run: Callable[[int, int, Callable[[int, int, str], None]], Outcome]
    tolerance: float = 0.03


@dataclass(frozen=True)
class Outcome:
    predicted: float
    mean: float
    error: float
    draws: int
    notes: list[str] = field(default_factory=list)
    others_agree: bool = True

    @property
    def z(self) -> float:
        return (self.mean - self.predicted) / self.error


# -- ridge regression on a space --------------------------------------------------------------------------------------


def on_space(space, kernel, degree, power, *, n, ridge, noise, target="zonal", judge_train=False, judge_levels=False):
    def run(draws, seed, progress):
        made = kernel()
        spectrum = ka.spectrum(made, space, degree=degree)
        curve = ka.learning_curve(spectrum, power, n=[n], ridge=ridge, noise=noise)
        simulation = simulate(curve, made, draws=draws, seed=seed, target=target, progress=progress)
        return outcome(simulation, judge_train, judge_levels)

    return run


def outcome(simulation: Simulation, judge_train: bool, judge_levels: bool) -> Outcome:
    curve, test, train = simulation.predicted, simulation.test_mse, simulation.train_mse
    draws = test.draws.shape[1]
    allowed, notes, agree = three_errors(draws), [], True
    if curve.ridge > 0:
        expected, mean, error = curve.train_mse[0], train.mean[0], train.standard_error[0]
        notes.append(f"train {expected:.4g} / {mean:.4g} ± {error:.1g}")
        if judge_train:
            agree &= bool(abs(mean - expected) <= max(allowed * error, 0.03 * expected))
    levels = [k for k, learned in enumerate(simulation.learnabilities) if learned is not None]
    if levels:
        expected = ", ".join(f"{curve.learnabilities[0, k]:.4f}" for k in levels)
        measured = ", ".join(f"{simulation.learnabilities[k].mean[0]:.4f}" for k in levels)
        scores = [simulation.z_learnabilities[0, k] for k in levels]
        notes.append(f"L {expected} / {measured} (z {', '.join(f'{z:+.1f}' for z in scores)})")
        if judge_levels:
            agree &= max(map(abs, scores)) <= allowed
    return Outcome(curve.test_mse[0], test.mean[0], test.standard_error[0], draws, notes, agree)


def relu_ntk(depth):
    return lambda: ka.mlp("relu", depth=depth, w_var=2).ntk


def rbf():
    from kernalg.network.radial_basis import rbf_kernel

    return rbf_kernel(4)


def exponential():
    return ka.dot_product_kernel("exp(rho)")


# -- Gaussian features: eigenvalues i^-1.5, coefficients i^-0.8, 80 samples, noise 0.05 -------------------------------

N, NOISE = 80, 0.05


def power_law():
    i = np.arange(1.0, 401.0)
    return ka.Spectrum(i**-1.5, [1] * len(i)), i**-1.6


def measured(predicted, result) -> Outcome:
    return Outcome(float(np.squeeze(predicted)), result.mean[0], result.standard_error[0], result.draws.shape[1])


def two_ridges(*ridges):
    def run(draws, seed, progress):
        from kernalg.learning.two_ridges import cross_risk

        spectrum, power = power_law()
        predicted = cross_risk(spectrum, power, n=N, ridges=list(ridges), noise=NOISE).test_mse[0, 0, 1]
        result = simulate_two_ridges(
            spectrum, power, n=N, ridges=[ridges], noise=NOISE, draws=draws, seed=seed, progress=progress
        )
        return measured(predicted, result)

    return run


def random_features(count, ridge):
    def run(draws, seed, progress):
        from kernalg.learning.random_features import random_features_curve

        spectrum, power = power_law()
        predicted = random_features_curve(spectrum, power, n=N, features=count, ridge=ridge, noise=NOISE).test_mse
        result = simulate_random_features(
            spectrum, power, n=N, features=[count], ridge=ridge, noise=NOISE, draws=draws, seed=seed, progress=progress
        )
        return measured(predicted, result)

    return run


def gradient_flow(t):
    def run(draws, seed, progress):
        from kernalg.learning.gradient_flow import gradient_flow_curve

        spectrum, power = power_law()
        predicted = gradient_flow_curve(spectrum, power, n=N, times=[t], noise=NOISE).test_mse
        result = simulate_gradient_flow(
            spectrum, power, n=N, times=[t], noise=NOISE, draws=draws, seed=seed, progress=progress
        )
        return measured(predicted, result)

    return run


# -- the table --------------------------------------------------------------------------------------------------------


def table() -> list[Row]:
    rows = []

    def sphere(d, depth, power, degree, cases, *, ridge, noise, words=""):
        for n, formula, draws, seconds in cases:
            run = on_space(
                ka.Sphere(d), relu_ntk(depth), degree, power, n=n, ridge=ridge, noise=noise,
                judge_train=ridge > 0, judge_levels=d >= 20,
            )  # fmt: skip
            name = f"sphere d={d}, ReLU NTK({depth}), {words}, ridge {ridge:g}, noise {noise:g}, n={n}"
            tolerance = 0.08 if d == 10 and float(formula) < 0.05 else 0.03
            rows.append(Row(name, formula, draws, seconds, run, tolerance))

    sphere(10, 1, [0, 1, 1], 24, [(20, "1.22816", 600, 3.2), (60, "0.39279", 600, 2.1), (200, "0.01996", 400, 3.7)],
           ridge=0, noise=0, words="degrees 1, 2")  # fmt: skip
    sphere(10, 1, [0, 1, 1, 0, 0.25], 24, [(100, "1.00578", 600, 1.7), (400, "0.58075", 200, 5.6)],
           ridge=0.5, noise=0.25, words="degrees 1, 2, 4")  # fmt: skip
    sphere(30, 1, [0, 1, 1], 12, [(30, "1.77332", 400, 0.4), (200, "0.93180", 200, 0.9), (800, "0.28397", 60, 3.8)],
           ridge=0.01, noise=0.1, words="degrees 1, 2")  # fmt: skip
    sphere(50, 1, [0, 1, 1], 10, [(50, "1.64161", 200, 0.4), (300, "0.96595", 200, 3.1), (1000, "0.45307", 30, 7.9)],
           ridge=0, noise=0, words="degrees 1, 2")  # fmt: skip
    sphere(20, 3, [0, 1, 1, 1], 14, [(50, "2.56751", 300, 1), (300, "1.72413", 150, 2.7)],
           ridge=0, noise=0.1, words="degrees 1, 2, 3")  # fmt: skip
    sphere(10, 1, [0], 24, [(100, "1.63844", 400, 1.5)], ridge=0, noise=1, words="pure noise")
    for n, formula, draws, seconds in [(50, "0.29531", 60, 0.3), (200, "0.13324", 120, 2.4), (800, "0.11349", 25, 8.5)]:
        run = on_space(
            ka.GaussianInputs(5), rbf, 16, [0, 1, 1], n=n, ridge=0.1, noise=0.1, target="random"
        )  # fmt: skip
        rows.append(Row(f"Gaussian inputs d=5, RBF l2=4, ridge 0.1, noise 0.1, n={n}", formula, draws, seconds, run))
    for n, ridge, formula, draws, seconds in [
        (50, 0.01, "1.01856", 100, 0.3), (200, 0.01, "0.25769", 130, 0.7), (600, 0.05, "0.16488", 25, 1.3)
    ]:  # fmt: skip
        run = on_space(ka.Hypercube(14), exponential, 14, [0, 1, 1], n=n, ridge=ridge, noise=0.1)
        rows.append(Row(f"hypercube d=14, exp(rho), ridge {ridge:g}, noise 0.1, n={n}", formula, draws, seconds, run))
    rows += [
        Row("two ridges 0, 0.3", "0.23705", 1500, 5.1, two_ridges(0, 0.3)),
        Row("two ridges 0.01, 0.3", "0.23900", 1500, 4.6, two_ridges(0.01, 0.3)),
        Row("random features k=60, ridge 0.02", ".68070", 600, 1.7, random_features(60, 0.02)),
        Row("random features k=200, ridge 0.02", ".35406", 400, 2.2, random_features(200, 0.02)),
        Row("random features k=1000, ridge 0.02", ".26463", 500, 10.2, random_features(1000, 0.02)),
        Row("random features k=40, ridge 0.0001", "0.71270", 600, 1.7, random_features(40, 1e-4)),
        Row("gradient flow t=0.02", ".95916", 800, 4.4, gradient_flow(0.02)),
        Row("gradient flow t=0.2", ".43150", 800, 4, gradient_flow(0.2)),
        Row("gradient flow t=2", ".26250", 800, 4.4, gradient_flow(2.0)),
    ]
    return rows


def same_digits(value: float, text: str) -> bool:
    """Whether `value` rounds to the digits of `text`; a last digit 5 that was rounded either way passes."""
    digits = len(text.split(".")[1])
    return abs(value - float(text)) <= 0.5 * 10**-digits * (1 + 1e-3)


def line(row: Row, result: Outcome) -> tuple[str, bool]:
    difference = result.mean / result.predicted - 1
    formula = same_digits(result.predicted, row.formula)
    agrees = abs(result.z) <= three_errors(result.draws) or abs(difference) <= row.tolerance
    verdict = "ok" if formula and agrees and result.others_agree else "FAILS: " + ", ".join(
        word for word, bad in (("formula", not formula), ("error", not agrees), ("train or L", not result.others_agree))
        if bad
    )  # fmt: skip
    cells = [
        row.name, f"{result.predicted:.5f}", f"{result.mean:.5f} ± {result.error:.5f}", f"{result.z:+.1f}",
        f"{difference:+.1%}", "; ".join(result.notes), verdict,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |", verdict == "ok"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer draws in the rows that take longest")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows whose name contains one of these texts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there too")
    asked = parser.parse_args()

    rows = [row for row in table() if not asked.rows or any(text in row.name for text in asked.rows)]
    if not rows:
        parser.error(f"no row contains {asked.rows}; there are\n" + "\n".join(row.name for row in table()))
    lines = ["| case | predicted | simulated | z | difference | predicted / simulated | verdict |", "|---" * 7 + "|"]
    start, spent, total, failed = time.perf_counter(), 0.0, sum(row.seconds for row in rows), 0
    for number, row in enumerate(rows, 1):
        pace = (time.perf_counter() - start) / spent if spent else (0.6 if asked.quick else 1.0)
        print(f"[{number}/{len(rows)}] {row.name}; about {pace * (total - spent):.0f} s left", file=sys.stderr)
        began = time.perf_counter()
        draws = row.draws // 3 if asked.quick and row.seconds > _LONG else row.draws

        def progress(done: int, of: int, text: str) -> None:
            if sys.stderr.isatty():
                print(f"\r    {done}/{of} draws", end="" if done < of else "\r", file=sys.stderr, flush=True)

        try:
            text, passed = line(row, row.run(draws, asked.seed, progress))
        except ModuleNotFoundError as error:
            text, passed = f"| {row.name} | {row.formula} | | | | {error} | FAILS: missing |", False
        failed += not passed
        spent += row.seconds
        lines.append(text)
        print(f"    {text} {time.perf_counter() - began:.1f} s", file=sys.stderr)
    lines += ["", f"{len(rows) - failed} of {len(rows)} rows agree; {time.perf_counter() - start:.0f} s."]
    print("\n".join(lines))
    if asked.write:
        asked.write.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
