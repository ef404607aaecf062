"""Designs for kernels known by numbers."""

import numpy as np
import pytest

import kernalg as ka
from kernalg.errors import DomainError

COSINES = np.linspace(-1, 1, 20)


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_samples_of_a_feasible_kernel_are_met(kind):
    found = ka.design(np.exp(COSINES) + 1, kind, b_var="1/4", readout=(2, 1), cosines=COSINES)
    assert found.feasible
    made = found.kernel().profile()
    at = np.array([-1.0, -0.35, 0.2, 1.0])
    values = [float(made.value(t, digits=12)) for t in at.round(2)]
    assert np.allclose(values, np.exp(at) + 1, atol=1e-6)


def test_samples_of_an_infeasible_kernel_are_refused_with_weights():
    found = ka.design((3 * COSINES**2 - 1) / 2, cosines=COSINES)
    assert found.feasible is False and "weights" in found.certificate.reason
    with pytest.raises(DomainError, match="no activation"):
        found([0.0])


def test_few_samples_are_called_coarse():
    assert "sample there would decide" in ka.design([1.0, 0.4], cosines=[1.0, 0.5]).certificate.reason


def test_a_function_that_takes_symbols_is_a_formula():
    assert ka.design(lambda c: (c**3 + c) / 2).coefficients == ka.design("(rho**3+rho)/2").coefficients


def test_a_function_of_complex_numbers_is_expanded():
    found = ka.design(np.exp)
    exact = ka.design("exp(rho)", degree=found.degree, signs="+")
    assert found.feasible is None
    assert np.allclose(found.series.values**2, exact.series.values**2, atol=1e-14)
    assert ka.design(np.cos).certificate.negative[0][0] == 2


def test_a_function_of_floats_only_is_sampled():
    assert ka.design(lambda c: float(np.real(c)) ** 2 if isinstance(c, float) else None).feasible
    assert ka.design(lambda c: np.maximum(c, 0.0)).feasible is False


@pytest.mark.parametrize("trained", ["hidden", "all but hidden biases"])
def test_constraints_on_exact_coefficients_are_refused(trained):
    with pytest.raises(DomainError, match="exact coefficients"):
        ka.design(COSINES, "ntk", b_var=1, trained=trained, cosines=COSINES)


def test_a_function_cut_off_says_how_far_it_is_off():
    def relu(c):
        return (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi

    found = ka.design(relu)
    exact = ka.dot_product_kernel("(sqrt(1-rho**2)+(pi-acos(rho))*rho)/pi").profile()
    missed = float(exact.value(1, digits=15)) - sum(map(float, found.kernel_coefficients))
    assert 1e-7 < missed <= found.target.known_to * (1 + 1e-9)


@pytest.mark.parametrize("values", [[1j, 1.0], ["a", "b"], [[1, 2], [2]], "exp(rho)", [np.nan, 1.0]])
def test_what_is_no_list_of_values(values):
    with pytest.raises(DomainError):
        ka.design(values, cosines=[0.0, 1.0])
