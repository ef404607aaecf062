"""Designed shallow networks against deep ones, trained: parity, and three small data sets of scikit-learn.

    python benchmarks/designed_networks.py [--quick] [--seeds 5] [--width 256] [--tasks parity wine ...] [--write FILE]

After Simon, Anand and DeWeese, "Reverse Engineering the Neural Tangent Kernel" (ICML 2022). All networks are in the
NTK parameterisation, trained by full-batch gradient descent on the squared error summed over outputs and averaged over
rows.

* Parity of 11 bits: all sign vectors, half of them for training. A kernel with its weight at high odd degrees, that of
  one hidden layer of sin(6x)/2 (w_var 1, b_var 0), generalises; four hidden layers of ReLU (w_var 2, b_var 1/100) do
  not. Width 128, learning rate 0.1, until the training error is 1e-3 or the epochs are over.
* Wine, breast cancer, digits: four hidden layers of ReLU; one hidden layer whose activation has nearly their tangent
  kernel on the sphere (two mimics of 7 parameters, a ReLU, a line and a cosine); and one hidden layer of ReLU. Half of
  the rows are for training, at most 500. Inputs are standardised by the training rows, then scaled to |x|^2 = d.
  Targets are one-hot. What is trained is f - f_0, so that the kernel is all that matters. The same rules for all: half
  the largest stable learning rate of each network on its training rows, until the training error (it starts at 1) is
  0.05.

Every seed draws the split and the parameters; within a seed the split is the same for all networks. The small test
sets of wine and breast cancer take four and two times as many seeds. Printed are means and standard errors over the
seeds, as Markdown. A designed network must reach 99 % on parity where the deep one stays below 40 %, and a mimic must
be within 0.01 of the deep network's accuracy: otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import kernalg as ka
from kernalg.finite.learning_rate import largest_stable_learning_rate
from kernalg.finite.network import finite_network
from kernalg.finite.training import TrainingRun, train

BITS, PARITY_WIDTH = 11, 128
TARGET_ERROR, LONGEST = 0.05, 3000
DEEP, PLAIN = "4 layers, ReLU", "1 layer, ReLU"
PUBLISHED, CLOSER = "1 layer, mimic (published)", "1 layer, mimic (fitted)"


def relu_and_cosine(a, b, c, d, e, f, g):
    return f"({a})*Max(x - ({b}), 0) + ({c})*x + ({d}) + ({e})*cos(({f})*x + ({g}))"


def networks():
    """The networks of the data sets; the mimics with their root mean square distance from the deep tangent kernel."""
    published = relu_and_cosine(  # 0.056, at cosines below 0.985
        3.8001579818118927, 1.0600013769145225, 0.09680930566346302, 0.9010060417094072,
        -0.07936104642025432, 11.810565331593281, 0.9340552512015492,
    )  # fmt: skip
    # 0.0045, up to cosine 1: the same family fitted to the exact kernel.
    closer = relu_and_cosine(4.92816, 0.681816, -2.07467, 0.0916369, -1.25018, 1.48643, -3.43832)
    return {
        DEEP: ka.mlp("relu", depth=4, w_var=2, b_var="1/100"),
        PUBLISHED: ka.mlp(published, w_var=1),
        CLOSER: ka.mlp(closer, w_var=1),
        PLAIN: ka.mlp("relu", w_var=2, b_var="1/100"),
    }


# -- parity -----------------------------------------------------------------------------------------------------------


def parity_trial(net, epochs: int, seed: int) -> TrainingRun:
    X = 2.0 * ((np.arange(2**BITS)[:, None] >> np.arange(BITS)) & 1) - 1
    y = X.prod(axis=1)
    order = np.random.default_rng(seed).permutation(len(X))
    first, second = order[: len(X) // 2], order[len(X) // 2 :]
    f = finite_network(net, inputs=BITS, width=PARITY_WIDTH, seed=seed, dtype="float32")
    return train(
        f, X[first], y[first], learning_rate=0.1, epochs=epochs, stop=1e-3, test=(X[second], y[second]), every=epochs
    )


# -- data -------------------------------------------------------------------------------------------------------------


def split(name: str, seed: int):
    """Training and test rows on |x|^2 = d, and their labels."""
    from sklearn import datasets

    X, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    count = min(500, len(X) // 2)
    first, second = order[:count], order[count:]
    deviation = X[first].std(axis=0)
    Z = (X - X[first].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    Z *= np.sqrt(Z.shape[1]) / np.linalg.norm(Z, axis=1, keepdims=True)
    return Z[first], labels[first], Z[second], labels[second]


def data_trial(name: str, net, width: int, seed: int) -> TrainingRun:
    X, y, test_X, test_y = split(name, seed)
    f = finite_network(net, inputs=X.shape[1], width=width, outputs=int(max(y)) + 1, seed=seed, dtype="float32")
    rate = largest_stable_learning_rate(f, X) / 2
    return train(
        f, X, y, learning_rate=rate, epochs=LONGEST, stop=TARGET_ERROR, test=(test_X, test_y), centered=True,
        every=LONGEST,
    )  # fmt: skip


# -- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    task: str
    network: str
    run: Callable[[int], TrainingRun]
    times: int = 1  # as many seeds as asked for


def table(width: int, quick: bool) -> list[Row]:
    deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100")
    designed = ka.mlp("sin(6*x)/2", w_var=1)
    rows = [
        Row("parity", "1 layer, sin(6x)/2", lambda seed: parity_trial(designed, 4000, seed)),
        Row("parity", DEEP, lambda seed: parity_trial(deep, 2000 if quick else 10_000, seed)),
    ]
    for task, times in (("wine", 4), ("breast_cancer", 2), ("digits", 1)):
        for name, net in networks().items():
            rows.append(Row(task, name, lambda seed, task=task, net=net: data_trial(task, net, width, seed), times))
    return rows


def mean_and_error(values) -> tuple[float, float]:
    values = np.asarray(values, float)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def verdict(row: Row, accuracies: list[float], of_deep: list[float] | None) -> tuple[str, bool]:
    mean = float(np.mean(accuracies))
    if row.task == "parity":
        good = mean < 0.4 if row.network == DEEP else mean >= 0.99
        return f"{'below 40 %' if row.network == DEEP else 'at least 99 %'}: {'ok' if good else 'FAILS'}", good
    if of_deep is None or row.network == DEEP:
        return "", True
    difference, error = mean_and_error(np.subtract(accuracies, of_deep))
    text = f"{difference:+.4f} ± {error:.4f} from deep"
    if row.network == PLAIN:
        return text, True
    good = abs(difference) <= 0.01
    return f"{text}: {'ok' if good else 'FAILS'}", good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="two seeds, and a deep network with fewer epochs on parity"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, at least 2")
    parser.add_argument("--width", type=int, default=256, help="hidden units on the data sets")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="parity, wine, breast_cancer, digits")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there too")
    asked = parser.parse_args()
    rows = [row for row in table(asked.width, asked.quick) if not asked.tasks or row.task in asked.tasks]
    count = 2 if asked.quick else max(2, asked.seeds)
    if not rows:
        parser.error("tasks are parity, wine, breast_cancer, digits")

    columns = ("task", "network", "parameters", "epochs", "train MSE", "test MSE", "test accuracy", "seeds", "verdict")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    start, failed, of_deep = time.perf_counter(), 0, {}
    for number, row in enumerate(rows, 1):
        runs = []
        for seed in range(count * row.times):
            runs.append(row.run(seed))
            said = f"[{number}/{len(rows)}] {row.task}, {row.network}, seed {seed}: {runs[-1]!r}"
            print(said, file=sys.stderr, flush=True)
        accuracies = [float(run.test_accuracy[-1]) for run in runs]
        if row.network == DEEP:
            of_deep[row.task] = accuracies
        accuracy, of_accuracy = mean_and_error(accuracies)
        test, of_test = mean_and_error([run.test_mse[-1] for run in runs])
        words, good = verdict(row, accuracies, of_deep.get(row.task))
        failed += not good
        cells = [
            row.task, row.network, str(runs[0].network.parameter_count),
            f"{np.mean([run.epoch[-1] for run in runs]):.0f}",
            f"{np.mean([run.train_mse[-1] for run in runs]):.4f}", f"{test:.4f} ± {of_test:.4f}",
            f"{accuracy:.2%} ± {of_accuracy:.2%}", str(len(runs)), words,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"{len(rows) - failed} of {len(rows)} rows as they should be; {time.perf_counter() - start:.0f} s."]
    print("\n".join(lines))
    if asked.write:
        asked.write.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
