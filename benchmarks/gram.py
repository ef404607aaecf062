"""NNGP and NTK of a three-layer ReLU network: this package, NumPy as a good user would write it, and X @ X.T alone.

    python benchmarks/gram.py [--n 2048] [--d 784] [--repeats 9]

The contestants take turns in one process, so that a busy machine slows all of them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import sympy as sp

from kernalg.compiled.gram import CompiledProgram, compile_program
from kernalg.compiled.layer_program import DenseStep, DualStep, LayerProgram
from kernalg.symbols import c, q1, q2, rectified_moment

DEPTH = 3


def relu_network() -> CompiledProgram:
    k, quadrant = (rectified_moment(n, n, q1, q2, c) for n in (1, 0))
    relu = DualStep(k, quadrant, q1 / 2, sp.Rational(1, 2), sp.S.Zero, sp.S.Zero, "relu")
    dense, readout = DenseStep(sp.S(2), sp.S(0)), DenseStep(sp.S(1), sp.S(0))
    return compile_program(LayerProgram((dense, relu) * DEPTH + (readout,)))


def numpy_recursion(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The arc-cosine recursion in whole-matrix NumPy operations."""
    K = X @ X.T / X.shape[1]
    q = np.diag(K).copy()
    T = np.zeros_like(K)
    for _ in range(DEPTH):
        K, q = 2 * K, 2 * q
        T = K + 2 * T
        norm = np.sqrt(np.outer(q, q))
        correlation = np.clip(K / norm, -1, 1)
        angle = np.arccos(correlation)
        derivative = (np.pi - angle) / (2 * np.pi)
        K = norm * np.sqrt(1 - correlation**2) / (2 * np.pi) + K * derivative
        T *= derivative
        q /= 2
    return K, K + T


def first_call() -> None:
    """Seconds from the call to the result, in a fresh process (printed for the parent)."""
    X = np.random.default_rng(0).normal(size=(64, 16))
    X[1] = X[0] + 1e-9 if "--close" in sys.argv else X[1]
    network = relu_network()
    start = time.perf_counter()
    network.both(X)
    print(time.perf_counter() - start)


def seconds_of_first_call(cache: str, *options: str) -> float:
    command = [sys.executable, __file__, "--first-call", *options]
    environment = {**os.environ, "KERNALG_CACHE_DIR": cache}
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2048)
    parser.add_argument("--d", type=int, default=784)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    n, d = options.n, options.d

    X = np.random.default_rng(0).normal(size=(n, d))
    network = relu_network()
    out = np.empty((n, n)), np.empty((n, n))
    contestants = {
        "kernalg, into given arrays": lambda: network.both(X, out=out),
        "kernalg, new arrays": lambda: network.both(X),
        "NumPy recursion": lambda: numpy_recursion(X),
        "X @ X.T alone": lambda: X @ X.T,
    }
    ours, theirs = network.both(X), numpy_recursion(X)
    off = ~np.eye(n, dtype=bool)
    worst = max(np.abs(a - b)[off].max() / b.max() for a, b in zip(ours, theirs, strict=True))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)

    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["kernalg, into given arrays"]
    print(f"NNGP and NTK, depth-{DEPTH} ReLU, n = {n}, d = {d}, {os.cpu_count()} cores, medians of {options.repeats}\n")
    print("| | ms | ns per entry | ratio | fastest, ms |\n|---|---|---|---|---|")
    for name, median in medians.items():
        fastest = min(times[name]) * 1e3
        print(f"| {name} | {median * 1e3:.1f} | {median / n**2 * 1e9:.1f} | {median / base:.2f} | {fastest:.1f} |")
    print(f"\nLargest difference between the two, off the diagonal, relative to the largest entry: {worst:.1e}\n")

    with tempfile.TemporaryDirectory() as cache:
        print("| first call in a process (64 rows) | s |\n|---|---|")
        print(f"| nothing cached | {seconds_of_first_call(cache):.2f} |")
        print(f"| cached | {seconds_of_first_call(cache):.2f} |")
        print(
            f"| the first close pair ever compiles double-double too | {seconds_of_first_call(cache, '--close'):.2f} |"
        )
        print(f"| close rows, cached | {seconds_of_first_call(cache, '--close'):.2f} |")


if __name__ == "__main__":
    first_call() if "--first-call" in sys.argv else main()
