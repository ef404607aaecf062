"""Every plain fully-connected reference matrix: 1e-12 of the largest entry.

The values are neural-tangents 0.6.5 in float64, and 60-digit recursions where that is inaccurate (`exact`).
"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernalg as ka

DATA = json.loads((Path(__file__).parents[1] / "data" / "neural_tangents_fc.json").read_text())


def exact(number: float) -> Fraction:
    return Fraction(Decimal(repr(number)))


def parameters(layer: dict[str, Any], **names: str) -> dict[str, Any]:
    return {ours: exact(layer[theirs]) for theirs, ours in names.items() if theirs in layer}


def coefficients(layer: dict[str, Any]) -> dict[str, Any]:
    return {"coefficients": [exact(a) for a in layer["coef"]]}


MAKERS = {
    "Relu": lambda _: ka.activation("relu"),
    "LeakyRelu": lambda s: ka.activation("leaky_relu", **parameters(s, alpha="slope")),
    "ABRelu": lambda s: ka.activation("abrelu", **parameters(s, a="a", b="b")),
    "Abs": lambda _: ka.activation("abs"),
    "Sign": lambda _: ka.activation("sign"),
    "Erf": lambda s: ka.activation("erf", **parameters(s, a="a", b="b", c="c")),
    "Sigmoid_like": lambda _: ka.activation("sigmoid_like"),
    "Sin": lambda s: ka.activation("sin", **parameters(s, a="a", b="b", c="c")),
    "Cos": lambda s: ka.activation("cos", **parameters(s, a="a", b="b", c="c")),
    "Rbf": lambda s: ka.activation("rbf", **parameters(s, gamma="gamma")),
    "Gelu": lambda _: ka.activation("gelu"),
    "Gaussian": lambda s: ka.activation("a*exp(b*x**2)", **({"a": 1, "b": -1} | parameters(s, a="a", b="b"))),
    "Exp": lambda s: ka.activation("exp", **parameters(s, a="a", b="b")),
    "Monomial": lambda s: ka.activation("monomial", degree=s["degree"]),
    "RectifiedMonomial": lambda s: ka.activation("rectified_monomial", degree=s["degree"]),
    "Polynomial": lambda s: ka.activation("polynomial", **coefficients(s)),
    "Gabor": lambda _: ka.activation("gabor"),
    "Hermite": lambda s: ka.activation("hermite", degree=s["degree"]),
    "ExpNormalized": lambda s: ka.exp_normalized(**parameters(s, gamma="gamma", shift="shift")),
}


def build(spec: dict[str, Any]) -> ka.Network:
    layers: list[Any] = []
    for layer in spec["layers"]:
        if layer["layer"] == "Dense":
            w, b = exact(layer["W_std"]) ** 2, exact(layer["b_std"] or 0.0) ** 2
            layers.append(ka.Dense(w, b))
        else:
            layers.append(MAKERS[layer["layer"]](layer))
    return ka.serial(*layers)


@pytest.mark.parametrize("case", DATA["cases"], ids=[case["id"] for case in DATA["cases"]])
def test_reference_matrices(case: dict[str, Any]) -> None:
    K = build(case["spec"]).ntk
    x1, x2 = (np.array(DATA["inputs"][case["inputs"]][name]) for name in ("x1", "x2"))
    nngp_12, ntk_12 = K.nngp_and_ntk(x1, x2)
    nngp_11, ntk_11 = K.nngp_and_ntk(x1)
    computed = {"nngp_12": nngp_12, "ntk_12": ntk_12, "nngp_11": nngp_11, "ntk_11": ntk_11}
    for name, ours in computed.items():
        reference = np.array(case.get("exact", {}).get(name, case["nt"][name]), dtype=float)
        error = np.abs(ours - reference).max() / np.abs(reference).max()
        assert error <= 1e-12, (name, error)
    for symmetric in (nngp_11, ntk_11):
        assert np.array_equal(symmetric, symmetric.T)
    assert np.array_equal(np.diagonal(ntk_11), K.diag(x1))
