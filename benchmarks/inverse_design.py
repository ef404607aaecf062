"""Kernels to activations and back: round trips, deep networks by shallow ones, fits, and finite networks.

    python benchmarks/inverse_design.py [--cases 1000]

Every line is an experiment whose outcome is a number with what it should be. Prints Markdown; the exit code is 1 if a
number is not what it should be.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.enclosure.balls import precision

Line = tuple[str, str, str, bool]
DEEP = ka.mlp("relu", depth=4, w_var=2, b_var="1/100")
MIMIC = (
    "3.8001579818118927*max(x-1.0600013769145225,0)+0.09680930566346302*x+0.9010060417094072"
    "-0.07936104642025432*cos(11.810565331593281*x+0.9340552512015492)"
)


def random_kernel(generator: np.random.Generator, exact: bool) -> tuple[dict[str, Any], list[Any]]:
    """Variances, and a feasible kernel: coefficients >= 0 in rho, given in the cosine."""
    b_var, w_var = sp.Rational(int(generator.integers(0, 4)), 4), sp.Rational(int(generator.integers(1, 5)), 2)
    degree = int(generator.integers(0, 21))
    sizes = generator.integers(0, 100, degree + 1) * generator.integers(0, 2, degree + 1)
    inside = [sp.Rational(int(a), 64) for a in sizes]
    inside[-1] = sp.S.One
    correlation = (w_var * ka.rho + b_var) / (w_var + b_var)
    outside = sp.Poly(sum(a * correlation**k for k, a in enumerate(inside)), ka.rho).all_coeffs()[::-1]
    options = {"kind": ("nngp", "ntk")[generator.integers(2)], "w_var": w_var, "b_var": b_var}
    return options, outside if exact else [float(a) for a in outside]


def round_trips(cases: int) -> Iterator[Line]:
    """Kernel, activation, the kernel that the engine derives of that activation.

    Exact kernels come back to 25 digits of sum |a_k|. What floats are off by, the change from the cosine to rho makes
    larger: rounding of the a_k moves the kernel by up to eps sum |a_k| ((w_var + 2 b_var)/w_var)^k.
    """
    generator = np.random.default_rng(2026)
    for exact in (True, False):
        worst, refused, start = 0.0, 0, time.perf_counter()
        for _ in range(cases // 2):
            options, outside = random_kernel(generator, exact)
            found = ka.design(outside, **options)
            if not found.feasible:
                refused += 1
                continue
            made = found.kernel().profile()
            stretch = (options["w_var"] + 2 * options["b_var"]) / options["w_var"]
            size = sum(abs(sp.Rational(a)) * (1 if exact else stretch**k) for k, a in enumerate(outside))
            for cosine in ("1", "-1", "3/10", "-4/5"):
                wanted = sum(sp.Rational(a) * sp.Rational(cosine) ** k for k, a in enumerate(outside))
                worst = max(worst, abs(float((made.value(cosine, digits=25) - wanted) / size)))
        each = (time.perf_counter() - start) / (cases // 2)
        name = "exact" if exact else "float"
        limit = 1e-24 if exact else 4e-16
        yield (
            f"round trip, {cases // 2} {name} kernels of degree <= 20",
            f"worst {worst:.1e}, {refused} refused, {1e3 * each:.0f} ms each",
            f"{limit:g}, 0",
            worst <= limit and not refused,
        )


def shallow_equals_deep() -> Iterator[Line]:
    ka.shallow(DEEP, degree=8)
    start = time.perf_counter()
    found = ka.shallow(DEEP, degree=200)
    seconds = time.perf_counter() - start
    made, wanted = found.kernel().profile(), DEEP.ntk.profile()
    with precision(96):
        cosines = [arb(float(t)) for t in np.cos(np.linspace(0, np.pi, 1000))]
        missed = max(abs(float(wanted.ball(t) - made.ball(t))) for t in cosines)
    bound = found.error.kernel
    yield "4-layer ReLU NTK by degree 200, 1000 angles", f"{missed:.6f}", f"<= {bound:.6f}", missed <= bound
    yield "seconds for degree 200", f"{seconds:.2f}", "2", seconds <= 2


def fits() -> Iterator[Line]:
    printed = [
        1.51400132622366715269404,
        0.816946300245911957984833,
        0,
        0,
        1.45311709314629355416611,
        1.08694794466794133918358,
    ]
    found = ka.fit_nonnegative(DEEP.ntk, 5)
    off = np.abs(np.array(found.coefficients, dtype=float) - printed).max()
    yield "non-negative fit, degree 5, against 24 printed digits", f"{off:.1e}", "1e-12", off <= 1e-12
    grid = np.cos(np.arange(100) * np.pi / 99)
    inner = np.abs(grid) < 0.985
    target = np.array([float(DEEP.ntk.profile().ball(arb(t))) for t in grid])
    mimic = ka.serial(ka.Dense(1, 0), MIMIC, ka.Dense(1, 0)).ntk.profile()
    published = np.array([float(mimic.ball(arb(t))) for t in grid[inner]]) - target[inner]
    rms, most = np.sqrt((published**2).mean()), np.abs(published).max()
    yield (
        "published mimic: rms, max over 88 angles",
        f"{rms:.11f}, {most:.10f}",
        "0.05639359364, 0.1311142406",
        bool(abs(rms - 0.05639359364) < 1e-10 and abs(most - 0.1311142406) < 1e-9),
    )
    for family in (ka.relu_cosine(), ka.relu_mix(3)):
        start = time.perf_counter()
        fit = ka.fit_activation(DEEP.ntk, family, starts=1)
        own = np.array([float(fit.kernel().profile().ball(arb(t))) for t in grid[inner]]) - target[inner]
        rms, most = np.sqrt((own**2).mean()), np.abs(own).max()
        seconds = time.perf_counter() - start
        yield (
            f"our fit of {len(family.parameters)} parameters, {'with' if 'f' in family.names else 'without'} a cosine",
            f"{rms:.5f}, {most:.5f} ({seconds:.1f} s)",
            "< 0.056, < 0.131",
            bool(rms < 0.056 and most < 0.131 and len(family.parameters) <= 7),
        )


def finite_networks() -> Iterator[Line]:
    angles = np.linspace(0, np.pi, 100)
    X = np.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])
    for name, phi in (
        ("h_3/2", ka.HermiteSeries((0, 0, 0, "1/2"))),
        ("sqrt(2) sin(sqrt(2) x + pi/4)", "sqrt(2)*sin(sqrt(2)*x+pi/4)"),
        ("exp(sqrt(2) x - 2)", "exp(sqrt(2)*x-2)"),
    ):
        found = ka.empirical_ntk(phi, X[:1], X, width=2**14, draws=16, seed=0)
        worst = float(np.abs(found.z).max())
        yield f"width 2^14, 16 draws, 100 angles: {name}", f"largest z {worst:.2f}", "4", worst <= 4


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    cases = parser.parse_args().cases
    print("| experiment | found | should be | |\n|---|---|---|---|", flush=True)
    passed = True
    for lines in (round_trips(cases), shallow_equals_deep(), fits(), finite_networks()):
        for what, found, wanted, good in lines:
            passed = passed and good
            print(f"| {what} | {found} | {wanted} | {'yes' if good else 'NO'} |", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
