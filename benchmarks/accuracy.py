"""Accuracy of the compiled float64 duals against balls, on a logarithmic grid of variances and correlations.

    python benchmarks/accuracy.py [name ...]

Variances from 1e-8 to 1e6, three a decade (ratios 1, 4 and 2^20), correlations towards ±1 (1-|rho| = 1e-2 … 1e-15) and
towards 0. The error is given relative to sqrt(k(q1,q1,q1) k(q2,q2,q2)) and relative to |k| itself. Prints Markdown.
Seconds a row; about a minute for elu.
"""

from __future__ import annotations

import argparse
import time

from kernalg.activation.activation import Activation, activation
from kernalg.certify.accuracy import accuracy

ACTIVATIONS: dict[str, Activation] = {
    "relu": activation("relu"),
    "step": activation("step"),
    "leaky_relu": activation("leaky_relu"),
    "abs": activation("abs"),
    "squared_relu": activation("squared_relu"),
    "rectified_monomial(4)": activation("rectified_monomial", degree=4),
    "erf": activation("erf"),
    "gelu": activation("gelu"),
    "sin": activation("sin"),
    "cos": activation("cos"),
    "exp": activation("exp"),
    "gaussian": activation("gaussian"),
    "gabor": activation("gabor"),
    "elu": activation("elu"),
    "hard_tanh": activation("hard_tanh"),
    "relu6": activation("relu6"),
    "probit": activation("probit"),
    "snake": activation("snake"),
    "celu": activation("celu", a=2),
    "selu": activation("selu"),
    "mexican_hat": activation("mexican_hat"),
    "x_exp": activation("x_exp"),
    "x_sin": activation("x_sin"),
    "sinh": activation("sinh"),
    "cosh": activation("cosh"),
    **{
        text: activation(text)
        for text in (
            "sin(2*x+1)",
            "erf(x+1/2)",
            "x*normal_cdf(2*x)",
            "x*exp(-x**2/2)",
            "max(x,0)*exp(-x**2/2)",
            "exp(-x**2/2)*normal_cdf(x)",
            "exp(x)*Heaviside(-x)",
            "exp(x)*normal_cdf(x/2)",
        )
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(ACTIVATIONS)}; all by default")
    chosen = parser.parse_args().names or list(ACTIVATIONS)
    print("| activation | points | worst / scale | where | worst / abs(k) | where | NaN or inf | no reference | s |")
    print("|---|--:|--:|---|--:|---|---|--:|--:|")
    for name in chosen:
        start = time.perf_counter()
        m = accuracy(ACTIVATIONS[name].dual)
        title = name + (" (bivariate)" if m.bivariate else "")
        broken = f"{len(m.not_finite)}, first {m.not_finite[0]}" if m.not_finite else "0"
        print(
            f"| {title} | {m.points} | {m.scaled.error:.1e} | {m.scaled} | {m.relative.error:.1e} | {m.relative} "
            f"| {broken} | {m.unknown} | {time.perf_counter() - start:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
