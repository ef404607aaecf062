"""Spectra on the sphere against published digits, closed forms, second methods and each other."""

import json
import math
from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import acb, arb, arb_series, fmpq

from kernalg.enclosure.balls import ball, ball_function, precision
from kernalg.errors import DomainError, InternalError, PrecisionError
from kernalg.expansion.taylor import zonal_from_taylor
from kernalg.spectrum.sphere import Circle, Sphere, spectrum
from kernalg.spectrum.sphere_quadrature import eigenvalues_by_enclosure, eigenvalues_by_gauss
from kernalg.spectrum.sphere_series import eigenvalues_by_series
from kernalg.symbols import rho

CASES = json.loads((Path(__file__).parent / "data" / "spectra_generalization_public.json").read_text())["gegenbauer"][
    "cases"
]


class ExpressionProfile:
    """A kernel given as one expression in rho."""

    def __init__(self, expr, nonnegative=True):
        self.function = ball_function(expr, [rho])
        self.nonnegative = nonnegative

    def series(self, terms):
        return self.function(arb_series([0, 1], prec=terms))

    def ball(self, value, analytic=False):
        return self.function(value, analytic=analytic)


KAPPA0 = 1 - sp.acos(rho) / sp.pi
KAPPA1 = (sp.sqrt(1 - rho**2) + rho * (sp.pi - sp.acos(rho))) / sp.pi
STEP, RELU = ball_function(KAPPA0, [rho]), ball_function(KAPPA1, [rho])


class ReluProfile:
    """NNGP or NTK of a bias-free ReLU network, layer by layer."""

    nonnegative = True

    def __init__(self, depth, tangent):
        self.depth, self.tangent = depth, tangent

    def _layers(self, value, analytic):
        nngp = tangent = value
        for _ in range(self.depth):
            new = RELU(nngp, analytic=analytic)
            nngp, tangent = new, new + tangent * STEP(nngp, analytic=analytic)
        return tangent if self.tangent else nngp

    def series(self, terms):
        return self._layers(arb_series([0, 1], prec=terms), False)

    def ball(self, value, analytic=False):
        return self._layers(value, analytic)


def profile_of(name):
    if name.startswith("relu NTK"):
        return ReluProfile(int(name.split()[2]), True)
    if name.startswith("relu NNGP"):
        return ReluProfile(int(name.split()[2]), False)
    return {
        "step": ExpressionProfile(KAPPA0),
        "relu": ExpressionProfile(KAPPA1),
        "exp(xi": ExpressionProfile(sp.exp(rho)),
        "exp(-(": ExpressionProfile(sp.exp(-2 * (1 - rho))),
        "(2/pi)": ExpressionProfile(2 / sp.pi * sp.asin(2 * rho / 3)),
        "exp(-s": ExpressionProfile(sp.exp(-sp.sqrt(2 - 2 * rho))),
        "((1+xi": ExpressionProfile(((1 + rho) / 2) ** 6),
    }[name[:4] if name[:4] in ("step", "relu") else name[:6]]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['kernel'][:22]}-d{c['d']}-k{c['k']}")
def test_published_eigenvalues(case):
    k, truth = case["k"], case["eigenvalue"]
    s = spectrum(profile_of(case["kernel"]), Sphere(case["d"]), degree=k)
    assert s.multiplicities[k] == case["multiplicity"]
    if float(truth) == 0:
        assert s.eigenvalues[k] == 0 and s.errors[k] == 0
    else:
        assert s.eigenvalues[k] == pytest.approx(float(truth), rel=2e-15)
        assert s.errors[k] <= 1e-13 * s.eigenvalues[k]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['kernel'][:22]}-d{c['d']}-k{c['k']}")
def test_published_eigenvalues_certified(case):
    k = case["k"]
    s = spectrum(profile_of(case["kernel"]), Sphere(case["d"]), degree=k, digits=30)
    with mp.workdps(40):
        truth, value = mp.mpf(case["eigenvalue"]), mp.mpf(s.exact[k]._mpf_)
        assert abs(value - truth) <= abs(truth) * mp.mpf(10) ** -29
