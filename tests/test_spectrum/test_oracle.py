"""The reference eigenvalues through the public face: dot-product kernels and networks, double and certified."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sympy as sp

import kernalg as ka

DATA = json.loads((Path(__file__).parents[1] / "data" / "spectra_generalization_public.json").read_text())

FORMULAS = {
    "step_dual": "1 - acos(rho)/pi",
    "relu_dual": "(sqrt(1-rho**2) + rho*(pi - acos(rho)))/pi",
    "exp(xi)": "exp(rho)",
    "exp(-(1-xi)/(1/2))": "exp(-2*(1-rho))",
    "(2/pi) asin": "2/pi*asin(2*rho/3)",
    "exp(-sqrt(2-2xi))": "exp(-sqrt(2-2*rho))",
    "((1+xi)/2)^6": "((1+rho)/2)**6",
}


def kernel(name: str) -> Any:
    """The kernel a row names. ReLU networks carry w_var = 2, so that the first covariance is 2 xi: same function."""
    network = re.match(r"relu (NTK|NNGP) (\d) hidden", name)
    if network:
        net = ka.mlp("relu", depth=int(network[2]), w_var=2, b_var=0)
        return net.ntk if network[1] == "NTK" else net.nngp
    return ka.dot_product_kernel(next(formula for key, formula in FORMULAS.items() if name.startswith(key)))


ROWS = DATA["gegenbauer"]["cases"]


@pytest.mark.parametrize("row", ROWS, ids=[f"{r['kernel'][:22]}-d{r['d']}-k{r['k']}" for r in ROWS])
def test_eigenvalues(row: dict[str, Any]) -> None:
    K, space, k = kernel(row["kernel"]), ka.Sphere(row["d"]), row["k"]
    exact = sp.Float(row["eigenvalue"], 40)
    double = ka.spectrum(K, space, degree=k)
    certified = ka.spectrum(K, space, degree=k, digits=30)
    assert double.multiplicities[k] == row["multiplicity"]
    assert abs(double.eigenvalues[k] - float(exact)) <= 1e-12 * abs(float(exact))
    assert double.errors is not None and double.errors[k] <= 1e-12 * abs(float(exact))
    assert certified.exact is not None
    assert abs(certified.exact[k] - exact) <= sp.Float("1e-25") * abs(exact)
