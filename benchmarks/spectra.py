"""Seconds a spectrum or a learning curve takes, and how far double precision is from certified digits.

    python benchmarks/spectra.py

"first" is a kernel that was never asked before (its Taylor coefficients are computed), "again" the best of five later
calls. "error" is the largest relative difference of the float64 eigenvalues, however small, to 25 certified digits of
the same levels (of the first 51, where certified digits of all take long). Prints Markdown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import kernalg as ka


def relu_tangent(depth: int) -> Any:
    return ka.mlp("relu", depth=depth, w_var=2, b_var=0).ntk


def formula(text: str) -> Callable[[], Any]:
    return lambda: ka.dot_product_kernel(text)


SPECTRA: list[tuple[str, Callable[[], Any], Any, int]] = [
    ("ReLU NTK, 3 hidden layers", lambda: relu_tangent(3), ka.Sphere(1000), 100),
    ("ReLU NTK, 3 hidden layers", lambda: relu_tangent(3), ka.Sphere(3), 100),
    ("ReLU NTK, 3 hidden layers", lambda: relu_tangent(3), ka.Sphere(10), 100),
    ("ReLU NTK, 3 hidden layers", lambda: relu_tangent(3), ka.Sphere(3), 500),
    ("exp(rho)", formula("exp(rho)"), ka.Sphere(10), 100),
    ("exp(rho)", formula("exp(rho)"), ka.Sphere(10**6), 500),
    ("Laplace, exp(-sqrt(2-2 rho))", formula("exp(-sqrt(2-2*rho))"), ka.Sphere(3), 50),
    ("ReLU NTK, 3 hidden layers", lambda: relu_tangent(3), ka.Hypercube(1000), 50),
    ("exp(rho1 rho2)", lambda: ka.product_kernel("exp(rho1*rho2)", [8, 8]), ka.ProductOfSpheres([8, 8]), 10),
    ("Gaussian kernel", lambda: ka.rbf_kernel(4), ka.GaussianInputs(5), 50),
]


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    print("| kernel | space | degree | first, s | again, s | error |\n|---|---|---|---|---|---|")
    for name, make, space, degree in SPECTRA:
        kernel = make()
        first = seconds(lambda: ka.spectrum(kernel, space, degree=degree))  # noqa: B023
        again = min(seconds(lambda: ka.spectrum(kernel, space, degree=degree)) for _ in range(5))  # noqa: B023
        s = ka.spectrum(kernel, space, degree=degree)
        checked = min(degree, 50)
        certified = ka.spectrum(kernel, space, degree=checked, digits=25).exact or ()
        values = (s.exact or s.eigenvalues)[: len(certified)]
        worst = max(abs(float(v / c - 1)) if c else abs(float(v)) for v, c in zip(values, certified, strict=True))
        print(f"| {name} | {space} | {degree} | {first:.3f} | {again:.4f} | {worst:.1e} |", flush=True)

    print("\n| work | seconds |\n|---|---|")
    for d in (3, 10, 50):
        kernel = ka.mlp("relu", depth=3, w_var=2, b_var="1/10").ntk
        taken = seconds(lambda: ka.spectrum(kernel, ka.Sphere(d), degree=49, digits=25))  # noqa: B023
        print(f"| 25 digits of 50 eigenvalues, ReLU NTK with biases, d = {d} | {taken:.2f} |")
    s = ka.spectrum(relu_tangent(3), ka.Sphere(50), degree=99)
    sizes = np.geomspace(10, 1e6, 1000)
    again = min(seconds(lambda: ka.learning_curve(s, [1] * 100, n=sizes, noise=0.1)) for _ in range(5))
    print(f"| learning curve, 1000 sizes, 100 levels | {again:.4f} |")


if __name__ == "__main__":
    main()
