"""The decay of eigenvalues against certified eigenvalues, closed forms and published constants."""

import math

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.network.dot_product import dot_product_kernel
from kernalg.spectrum.asymptotics import eigenvalue_decay
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Sphere
from kernalg.symbols import rho

half = sp.Rational(1, 2)


def two_layers(first, second, b_var=0):
    return ka.serial(ka.Dense(2, b_var), first, ka.Dense(2, 0), second, ka.Dense(1, 0))


# kernel, exponent - (d - 1), how close the eigenvalue is to the leading term at k = 100
NETWORKS = {
    "relu ntk": (lambda: ka.mlp("relu", depth=3, w_var=2).ntk, 1, 1e-3),
    "relu nngp": (lambda: ka.mlp("relu", depth=2, w_var=2).nngp, 3, 1e-3),
    "relu with biases": (lambda: ka.mlp("relu", depth=2, w_var=2, b_var="1/10").ntk, 1, 5e-3),
    "step": (lambda: ka.mlp("step", depth=1).nngp, 1, 1e-3),
    "step twice": (lambda: ka.mlp("step", depth=2).nngp, half, 1e-1),
    "step, relu": (lambda: two_layers("step", "relu").nngp, 1, 5e-2),
    "abs": (lambda: ka.mlp("abs", depth=2).ntk, 1, 1e-3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_approach_their_decay(name):
    make, excess, closeness = NETWORKS[name]
    d = 4 if name in ("relu ntk", "step twice") else 3
    kernel = make()
    decay = eigenvalue_decay(kernel, Sphere(d))
    assert decay.exponent == d - 1 + excess
    degree = 62
    s = spectrum(kernel, Sphere(d), degree=degree + 1)
    for k in (degree, degree + 1):
        if decay(k) == 0:
            assert s.eigenvalues[k] < 0.1 * decay(k - 1)
        else:
            assert s.eigenvalues[k] == pytest.approx(decay(k), rel=closeness * (100 / degree) ** 2)
    constants = [decay.even, decay.odd]
    for parity, k in ((0, 10**7), (1, 10**7 + 1)):
        assert decay(k) * float(k) ** float(decay.exponent) == pytest.approx(float(constants[parity]), rel=1e-5)


def test_smoother_activations_and_mixed_layers():
    # Against Gauss-Legendre to degree 101 (too slow here): ratios 1.0018, 1.0008 (elu), 1.0018 (relu, elu).
    elu = eigenvalue_decay(ka.mlp("elu", depth=2).ntk, Sphere(3))
    assert elu.exponent == 5
    assert [float(elu.even), float(elu.odd)] == pytest.approx([3.37886, 5.00400], rel=2e-6)
    mixed = eigenvalue_decay(two_layers("relu", "elu").ntk, Sphere(3))
    assert mixed.exponent == 3 and float(mixed.even) == pytest.approx(0.361981, rel=1e-5)
    clipped = eigenvalue_decay(ka.mlp("hard_tanh", depth=2).ntk, Sphere(3))
    assert clipped.exponent == 3 and clipped.even == 0 < clipped.odd
    shifted = eigenvalue_decay(ka.mlp(ka.activation("shifted_relu", b=1), depth=2).ntk, Sphere(3))
    assert [t.at for t in shifted.terms] == [1]  # no breakpoint at the mirror image


def test_certified_eigenvalues_of_high_degree_approach_it_as_one_over_k_squared():
    kernel = ka.mlp("relu", depth=1, w_var=2).ntk
    decay = eigenvalue_decay(kernel, Sphere(3))
    s = spectrum(kernel, Sphere(3), degree=16000)
    gaps = [s.eigenvalues[k] / decay(k) - 1 for k in (4000, 8000, 16000)]
    assert 0 < gaps[2] < 1e-7 and gaps[0] / gaps[1] == pytest.approx(4, rel=1e-2)
    assert decay.odd == 0 and s.eigenvalues[15999] == 0


def test_published_constants():
    step = eigenvalue_decay(dot_product_kernel("1 - acos(rho)/pi"), Sphere(3))
    assert step.even == 0 and abs(step.odd - 1 / sp.pi).evalf(30) < 1e-28 and step.exponent == 3
    root = eigenvalue_decay(dot_product_kernel("2 - sqrt(1-rho)"), Sphere(3))
    assert float(root.even) == pytest.approx(math.sqrt(2) / 4, rel=1e-14)
    laplace = eigenvalue_decay(dot_product_kernel("exp(-sqrt(2-2*rho))"), Sphere(10))
    assert laplace.exponent == 10


@pytest.mark.parametrize(
    ("activation", "kind"), [("relu", "ntk"), ("relu", "nngp"), ("step", "nngp"), ("abs", "ntk"), ("leaky_relu", "ntk")]
)
def test_layer_recursion_and_formula_agree(activation, kind):
    kernel = getattr(ka.mlp(activation, depth=1, w_var="3/2"), kind)
    by_layers = eigenvalue_decay(kernel, Sphere(5))
    by_series = eigenvalue_decay(dot_product_kernel(kernel.profile().expr), Sphere(5))
    assert by_layers.exponent == by_series.exponent
    for a, b in zip(by_layers.terms, by_series.terms, strict=True):
        assert (a.at, a.exponent) == (b.at, b.exponent)
        assert abs(a.coefficient - b.coefficient) < abs(a.coefficient) * sp.Float("1e-27", 30)


def test_singularities_at_minus_one():
    decay = eigenvalue_decay(dot_product_kernel("3 - (1+rho)**(1/2)"), Sphere(4))
    assert [t.at for t in decay.terms] == [-1] and decay.even == -decay.odd
    # a bias closes the singularity at -1
    assert [t.at for t in eigenvalue_decay(ka.mlp("relu", depth=2, b_var=1).ntk, Sphere(4)).terms] == [1]


@pytest.mark.parametrize(
    "kernel",
    [
        lambda: ka.mlp("erf", depth=3).ntk,
        lambda: ka.mlp("x**3", depth=2).nngp,
        lambda: dot_product_kernel("exp(rho)"),
        lambda: dot_product_kernel("1/(2-rho)"),
        lambda: rho**3,
    ],
)
def test_smooth_kernels_fall_faster_than_any_power(kernel):
    decay = eigenvalue_decay(kernel(), Sphere(6))
    assert decay.exponent is None and decay(50) == 0 and "faster" in repr(decay)


def test_many_degrees_at_once():
    decay = eigenvalue_decay(ka.mlp("relu", depth=2, w_var=2).ntk, Sphere(3))
    values = decay(np.array([[10, 11], [10**5, 10**5 + 1]]))
    assert values.shape == (2, 2) and values[0, 1] == decay(11) and "k^-3" in repr(decay)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eigenvalue_decay(dot_product_kernel("2 + (1-rho)*log(1-rho)"), Sphere(3)), "not a power"),
        (lambda: eigenvalue_decay(sp.Abs(rho - sp.Rational(1, 3)), Sphere(3)), "kinks"),
        (lambda: eigenvalue_decay((1 - rho) ** sp.Symbol("nu"), Sphere(3)), "symbols"),
        (lambda: eigenvalue_decay(ka.mlp(ka.activation("rectified_power", p="3/4"), depth=1).nngp, Sphere(3)), "jump"),
        (lambda: eigenvalue_decay(sp.exp(rho), 3), "Sphere"),
        (lambda: eigenvalue_decay(sp.exp(rho), Sphere(3), digits=0), "digits"),
        (lambda: eigenvalue_decay(sp.sqrt(1 - rho), Sphere(3))(0), "k=0"),
        (lambda: eigenvalue_decay(3, Sphere(3)), "profile"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(DomainError, match=words):
        call()


def test_it_is_shown_in_a_notebook():
    relu = ka.mlp("relu", 1, 2, 0)
    assert r"k\ \text{odd}" in eigenvalue_decay(relu.ntk, ka.Sphere(3))._repr_latex_()
    smooth = eigenvalue_decay(ka.mlp("erf", 1, 2, 0).nngp, ka.Sphere(3))
    assert "every" in smooth._repr_latex_() and "k^{-3}" in eigenvalue_decay(relu.ntk, ka.Sphere(3))._repr_latex_()
