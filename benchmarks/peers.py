"""Gram matrices side by side: kernalg, neural-tangents, NumPy as a good user would write it, and X @ X.T alone.

    python benchmarks/peers.py [--n 4096] [--d 784] [--repeats 5] [--environment DIR] [--write FILE] [case ...]

neural-tangents 0.6.5 lives in an environment of its own (jax 0.4.30, NumPy 1, SciPy before 1.13), made in DIR at the
first run. Every contestant is a process that keeps its inputs and waits; they take turns, one call at a time, so that
a busy machine slows all of them. Times are medians of the calls after the first. NNGP and NTK together, float64.
Prints Markdown; exits with 1 when two contestants disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

PACKAGES = ["neural-tangents==0.6.5", "jax==0.4.30", "jaxlib==0.4.30", "numpy<2", "scipy<1.13"]

# name: activation, depth, weight and bias variance, whether the rows have one norm
CASES = {
    "relu depth 3": ("relu", 3, 2.0, 0.0, False),
    "relu depth 10": ("relu", 10, 2.0, 0.0, False),
    "relu depth 30": ("relu", 30, 2.0, 0.0, False),
    "erf depth 3, equal norms": ("erf", 3, 2.0, 0.1, True),
    "gelu depth 3, equal norms": ("gelu", 3, 2.0, 0.1, True),
    "erf depth 3, unequal norms": ("erf", 3, 2.0, 0.1, False),
}


def inputs(n: int, d: int, one_norm: bool) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(n, d))
    return X * np.sqrt(d / np.einsum("ij,ij->i", X, X))[:, None] if one_norm else X


# -- contestants: a function of X that gives both matrices ----------------------------------------------------------


def kernalg_network(case: str, X: np.ndarray, into: bool):
    import kernalg as ka

    activation, depth, w_var, b_var, _ = CASES[case]
    kernel = ka.mlp(activation, depth=depth, w_var=w_var, b_var=b_var).ntk
    if not into:
        return lambda: kernel.nngp_and_ntk(X)
    out = np.zeros((len(X), len(X))), np.zeros((len(X), len(X)))
    return lambda: kernel.nngp_and_ntk(X, out=out)


def neural_tangents(case: str, X: np.ndarray, repeat: bool):
    import jax

    jax.config.update("jax_enable_x64", True)
    from neural_tangents import stax

    activation, depth, w_var, b_var, _ = CASES[case]
    W, b = w_var**0.5, b_var**0.5 if b_var else None
    nonlinearity = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[activation]
    # stax.repeat wants layers that keep the width; an infinite width is meant in any case
    layer = stax.serial(stax.Dense(X.shape[1], W_std=W, b_std=b), nonlinearity())
    body = stax.repeat(layer, depth) if repeat else stax.serial(*[layer] * depth)
    _, _, kernel = stax.serial(body, stax.Dense(1, W_std=1.0, b_std=None))
    run = jax.jit(lambda Z: tuple(kernel(Z, None, ("nngp", "ntk"))))
    Z = jax.numpy.asarray(X)
    return lambda: jax.block_until_ready(run(Z))


def numpy_recursion(case: str, X: np.ndarray):
    """The arc-cosine recursion in whole-matrix NumPy operations (ReLU without biases)."""
    _, depth, w_var, _, _ = CASES[case]

    def run():
        K = X @ X.T / X.shape[1]
        q = np.diag(K).copy()
        T = np.zeros_like(K)
        for _ in range(depth):
            K, q = w_var * K, w_var * q
            T = K + w_var * T
            norm = np.sqrt(np.outer(q, q))
            correlation = np.clip(K / norm, -1, 1)
            derivative = (np.pi - np.arccos(correlation)) / (2 * np.pi)
            K = norm * np.sqrt(1 - correlation**2) / (2 * np.pi) + K * derivative
            T *= derivative
            q = q / 2
        return K, K + T

    return run


def product(case: str, X: np.ndarray):
    return lambda: (X @ X.T,)


CONTESTANTS = {
    "X @ X.T alone": (product, ()),
    "kernalg, into given arrays": (kernalg_network, (True,)),
    "kernalg, new arrays": (kernalg_network, (False,)),
    "neural-tangents, unrolled": (neural_tangents, (False,)),
    "neural-tangents, stax.repeat": (neural_tangents, (True,)),
    "NumPy recursion": (numpy_recursion, ()),
}


def serve(name: str, case: str, path: str) -> None:
    """A contestant: prints the seconds of the first call with imports, then of one call for every line it reads."""
    X = np.load(path)
    start = time.perf_counter()
    make, options = CONTESTANTS[name]
    run = make(case, X, *options)
    result = run()
    print(json.dumps({"first": time.perf_counter() - start}), flush=True)
    sample = [np.asarray(m)[:64, :64].tolist() for m in result]
    for line in sys.stdin:
        if line.strip() == "sample":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(json.dumps({"sample": sample, "peak": peak}), flush=True)
            continue
        del result
        start = time.perf_counter()
        result = run()  # noqa: F841, kept until the next turn, as a user would
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


# -- the referee ----------------------------------------------------------------------------------------------------


class Contestant:
    def __init__(self, python: str, name: str, case: str, path: str, environment: dict[str, str]) -> None:
        command = [python, __file__, "--serve", name, case, path]
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.first = self._read()["first"]
        self.times: list[float] = []

    def _read(self) -> dict:
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} stopped; run its command by hand to see why")

    def ask(self, text: str) -> dict:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> dict:
        report = self.ask("sample")
        self.process.stdin.close()
        self.process.wait()
        return report


def peer_python(directory: Path) -> str:
    """The interpreter of the environment of neural-tangents, made if it is missing."""
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"making an environment with neural-tangents in {directory} …", file=sys.stderr)
        venv.create(directory, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def measure(case: str, options: argparse.Namespace, peer: str, folder: str) -> tuple[list[str], dict[str, float]]:
    path = str(Path(folder) / "X.npy")
    X = inputs(options.n, options.d, CASES[case][4])
    np.save(path, X)
    environment = {**os.environ, "KERNALG_CACHE_DIR": str(Path(folder) / "cache")}
    names = [n for n in CONTESTANTS if n != "NumPy recursion" or case.startswith("relu")]
    running = []
    for name in names:
        print(f"{case}: starting {name}", file=sys.stderr)
        python = peer if name.startswith("neural-tangents") else sys.executable
        running.append(Contestant(python, name, case, path, environment))
    for turn in range(options.repeats):
        for contestant in running:
            print(f"{case}: turn {turn + 1} of {options.repeats}, {contestant.name}", file=sys.stderr)
            contestant.times.append(contestant.ask("go")["seconds"])
    reports = {c.name: c.close() for c in running}
    medians = {c.name: statistics.median(c.times) for c in running}
    base = medians["X @ X.T alone"]
    ours = medians["kernalg, into given arrays"]
    lines = [
        f"\n### {case}\n",
        "| | seconds | times X @ X.T | times kernalg | fastest, s | first call, s | peak memory, MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for c in running:
        lines.append(
            f"| {c.name} | {medians[c.name]:.3f} | {medians[c.name] / base:.2f} | {medians[c.name] / ours:.2f} "
            f"| {min(c.times):.3f} | {c.first:.2f} | {reports[c.name]['peak'] / 1e6:.0f} |"
        )
    exact = reports["kernalg, new arrays"]["sample"]
    off = ~np.eye(len(exact[0]), dtype=bool)
    for name, report in reports.items():
        if len(report["sample"]) == 2:
            worst = max(
                float(np.abs(np.array(a) - np.array(b))[off].max() / np.abs(a).max())
                for a, b in zip(exact, report["sample"], strict=True)
            )
            if worst > 1e-6:
                raise SystemExit(f"{case}: {name} differs from kernalg by {worst:.1e} of the largest entry")
    return lines, medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4096)
    parser.add_argument("--d", type=int, default=784)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "kernalg-peers")
    parser.add_argument("--write", type=Path, help="write the tables to this file too")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"which of: {'; '.join(CASES)}; all by default")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are: {'; '.join(CASES)}")
    peer = peer_python(options.environment)
    lines = [
        f"NNGP and NTK, float64, n = {options.n}, d = {options.d}, {os.cpu_count()} cores, "
        f"medians of {options.repeats} calls in turns."
    ]
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases or CASES:
            made, _ = measure(case, options, peer, folder)
            lines += made
            print("\n".join(made), flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
