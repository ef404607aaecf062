"""Non-negative least squares against the published table, a second solver and the optimality conditions."""

from itertools import combinations

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.optimize import lsq_linear

import kernalg as ka
from kernalg.design.nonnegative_fit import NonnegativeFit, _active_set, fit_nonnegative
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError


def _deep(name, kind):
    return getattr(ka.mlp(name, depth=4, w_var=2, b_var="1/100"), kind)


# An independent exact solution (normal equations at 40 digits) of the fits of Simon, Anand and DeWeese (ICML 2022):
# coefficients, norm of the residual over the 111 rows, gradient at k = 2, 3.
TABLE = {
    ("relu", "nngp"): (
        ["0.699980761979402774270368", "0.147402484855895862381113", "0.0683101287970563323605681",
         "0.0098288631167402234695881", "0.0510317099542647025549387", "0.0420655089425520220975208"],
        "0.0126981576042343436", None,
    ),
    ("relu", "ntk"): (
        ["1.51400132622366715269404", "0.816946300245911957984833", "0", "0", "1.45311709314629355416611",
         "1.08694794466794133918358"],
        "1.20541484709970556", (0.128, 0.170),
    ),
    ("erf", "ntk"): (
        ["0.0233803099343624078258541", "1.36412246387755455235125", "0", "0", "0.239301638429886516235735",
         "1.99528207230033921545583"],
        "0.707950910909996153", (0.177, 0.173),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("network", "row"), TABLE.items())
def test_the_table_of_fits_to_deep_kernels(network, row):
    expected, norm, gradient = row
    kernel = _deep(*network)
    exact, quick = fit_nonnegative(kernel, 5, digits=30), fit_nonnegative(kernel, 5)
    for printed, a, b in zip(expected, exact.coefficients, quick.coefficients, strict=True):
        unit = sp.Float("1e-24", 30) * max(1, 10 ** np.ceil(np.log10(max(float(printed), 1e-3))))
        assert abs(sp.Float(printed, 30) - a) <= unit
        assert b == pytest.approx(float(printed), rel=1e-12, abs=0)
    assert abs(sp.Float(norm, 30) - exact.residual_norm) < sp.Float("1e-17", 30)
    assert quick.residual_norm == pytest.approx(float(norm), rel=1e-12)
    assert exact.strict and quick.strict
    assert exact.active == (() if gradient is None else (2, 3))
    if gradient is not None:
        assert [float(exact.reduced_gradient[k]) for k in (2, 3)] == pytest.approx(gradient, abs=5e-4)


@pytest.mark.parametrize(
    ("formula", "printed"),
    [
        ("rho**3", [0, 0, 0, -0.5, 0, 0]),
        ("rho**4 + rho", [0, 0.707, 0, 0, 0.447, 0]),
        ("sinh(2*rho)", [0, 1.001, 0, -0.572, 0.0041, 0.229]),
        ("cosh(2*rho)", [1.002, 0, -0.805, 0, 0.404, 0.0107]),
    ],
)
def test_the_table_of_fits_to_formulas(formula, printed):
    fit = fit_nonnegative(formula, 5, digits=30)
    found = fit.hermite_coefficients((1, 1, -1, -1, 1, 1))
    assert found == pytest.approx(printed, abs=6e-4)
    assert fit.strict == (float(fit.residual_norm) != 0)


def test_a_kernel_that_is_such_a_polynomial_is_found_exactly():
    fit = fit_nonnegative("rho**4 + rho", 5, digits=30)
    assert list(map(float, fit.coefficients)) == [0, 1, 0, 0, 1, 0]
    assert float(fit.residual_norm) == float(fit.max_error) == float(fit.smallest_gradient) == 0 and not fit.strict
    assert fit.kernel().expr == ka.rho**4 + ka.rho


def test_a_second_solver_and_the_conditions_on_other_grids_and_weights():
    rng = np.random.default_rng(5)
    for degree, b_var in ((3, 0), (7, sp.Rational(1, 5))):
        cosines, weights = np.sort(rng.uniform(-1, 1, 40)), rng.uniform(0, 2, 40)
        values = rng.normal(size=40) + np.exp(cosines)
        fit = fit_nonnegative(values, degree, cosines, weights, w_var=2, b_var=b_var)
        correlation = (2 * cosines + float(b_var)) / (2 + float(b_var))
        rows, root = correlation[:, None] ** np.arange(degree + 1), np.sqrt(weights)
        a = np.array(fit.coefficients)
        other = lsq_linear(root[:, None] * rows, root * values, (0, np.inf), method="bvls", tol=1e-15)
        np.testing.assert_allclose(a, other.x, rtol=1e-8, atol=1e-10)
        gradient = rows.T @ (weights * (rows @ a - values))
        np.testing.assert_allclose(fit.reduced_gradient, gradient, atol=1e-10)
        assert (gradient[list(fit.active)] > 0).all() and (np.delete(a, fit.active) > 0).all() and fit.strict
        assert fit.residual_norm == pytest.approx(np.linalg.norm(root * (rows @ a - values)), rel=1e-12)
        assert fit.rms_error == pytest.approx(np.sqrt(np.mean((rows @ a - values) ** 2)), rel=1e-12)
        kernel = fit.kernel().profile()
        at = sp.Rational(1, 3)
        expected = sum(v * (2 * at + b_var) ** k / (2 + b_var) ** k for k, v in enumerate(a))
        assert float(kernel.value(at, 15)) == pytest.approx(float(expected), rel=1e-13)


def test_the_exact_solution_does_not_depend_on_the_proposed_active_set():
    """Normal equations of a small problem with one coefficient at 0, from every subset as the free set."""
    rows = np.linspace(-1, 1, 9)[:, None] ** np.arange(4)
    values = np.exp(np.linspace(-1, 1, 9)) - 0.7 * np.linspace(-1, 1, 9) ** 2
    with precision(300):
        moments = [[arb(float(v)) for v in row] for row in rows.T @ rows]
        right = [arb(float(v)) for v in rows.T @ values]
        found = [_active_set(moments, right, set(s), 17) for n in range(5) for s in combinations(range(4), n)]
    for a, gradient, free, ties in found:
        assert free == {0, 1, 3} and not ties and gradient[2] > 0
        assert [float(v) for v in a] == pytest.approx([float(v) for v in found[0][0]], rel=1e-15)


def test_high_degrees_stay_exact():
    kernel = ka.dot_product_kernel("exp(2*(rho-1))")
    fit = fit_nonnegative(kernel, 20, digits=20)
    taylor = kernel.profile().taylor(21)
    np.testing.assert_allclose(np.array(fit.coefficients[:15], float), taylor[:15], rtol=1e-3)
    assert float(fit.max_error) < 1e-14
    assert "the other" in repr(fit_nonnegative("cos(rho)", 15))


def test_the_shape_of_the_value():
    fit = fit_nonnegative("exp(rho - 1)", 3, digits=25, b_var="1/10")
    assert NonnegativeFit.from_json(fit.to_json()) == fit
    quick = fit_nonnegative("sinh(2*rho)", 4, kind="nngp")
    assert NonnegativeFit.from_json(quick.to_json()) == quick
    assert "a_2 = 0  (held there" in repr(quick) and "hold strictly" in repr(quick)
    np.testing.assert_allclose(quick.hermite_coefficients((1,)) ** 2, quick.coefficients, rtol=1e-15)


def test_a_kernel_without_closed_form_is_fitted_in_float64():
    kernel = ka.mlp("tanh", depth=1, w_var=1, b_var=0).nngp
    fit = fit_nonnegative(kernel, 5)
    assert fit.max_error < 1e-3 and fit.active == (0, 2)
    with pytest.raises(DomainError, match="no closed form"):
        fit_nonnegative(kernel, 5, digits=20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "log(rho)"}, "no finite real value"),
        ({"target": "rho", "degree": 500}, "at most 200"),
        ({"target": "rho", "kind": "cntk"}, "'ntk' or 'nngp'"),
        ({"target": [1.0, 2.0]}, "2 values and the grid 100"),
        ({"target": "rho", "cosines": [0, 0.5, 0.5, 1]}, "more than there are distinct"),
        ({"target": "rho", "cosines": [0, 2]}, r"they lie in \[-1, 1\]"),
        ({"target": "rho", "weights": [1, -1]}, "at least 0"),
        ({"target": "rho", "w_var": 0}, "w_var > 0"),
        ({"target": "a*rho"}, "unknown name"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(DomainError, match=message):
        fit_nonnegative(**{"degree": 3, **arguments})


def test_foreign_json_is_refused():
    text = fit_nonnegative("rho", 1).to_json()
    for bad in ("{}", text.replace("ntk", "xyz"), text.replace('"w_var": "1"', '"w_var": "0"')):
        with pytest.raises(DomainError):
            NonnegativeFit.from_json(bad)
