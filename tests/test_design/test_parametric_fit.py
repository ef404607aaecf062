"""Kernels of families against certified values and published numbers, gradients, and fits."""

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.design.array_formula import ArrayFormula
from kernalg.design.families import (
    ActivationFamily,
    activation_family,
    relu_cosine,
    relu_mix,
    sum_of_activations,
)
from kernalg.design.family_kernel import FamilyKernel, smooth_part_and_kinks
from kernalg.design.kinks import QuadrantMoments
from kernalg.design.parametric_fit import ActivationFit, fit_activation
from kernalg.errors import DomainError, NoClosedForm, PrecisionError
from kernalg.symbols import x

# The activation of Simon, Anand and DeWeese (ICML 2022) that imitates four hidden ReLU layers.
PUBLISHED = [3.8001579818118927, 1.0600013769145225, 0.09680930566346302, 0.9010060417094072, -0.07936104642025432,
             11.810565331593281, 0.9340552512015492]  # fmt: skip


@pytest.fixture(scope="module")
def deep():
    return ka.mlp("relu", depth=4, w_var=2, b_var="1/100").ntk


def _kernel(family, cosines, **options):
    return FamilyKernel(family.expr, family.parameters, np.array(cosines, dtype=float), **options)


def _certified(family, values, cosines, kind="ntk", w_var=1, b_var=0, readout=(1, 0)):
    """By the closed form of the dual, or by certified quadrature: another method altogether."""
    phi, q = family.activation(values), sp.S(w_var) + b_var
    found = []
    for c in cosines:
        covariance = sp.S(w_var) * sp.S(c) + b_var
        value = phi.dual.value(q, q, covariance, digits=18)
        if kind == "ntk":
            value += covariance * phi.dual.derivative.value(q, q, covariance, digits=18)
        found.append(float(readout[0] * value + readout[1]))
    return np.array(found)


# -- the published activation ------------------------------------------------------------------------------------------


def test_the_kernel_of_the_published_activation():
    values, _ = _kernel(relu_cosine(), [0, 0.5, 0.9, -1, 1])(np.array(PUBLISHED))
    expected = [1.399641354226490751349592, 2.173395773441473245091414, 3.662482861288351634385188,
                1.025215014622258206088357, 2.391352287430098394670209 + 2.739077149605928986982490]  # fmt: skip
    np.testing.assert_allclose(values, expected, rtol=1e-13)


def test_the_distance_of_the_published_activation(deep):
    fit = fit_activation(deep, relu_cosine(), start=PUBLISHED, bounds={"f": (0, 20)}, starts=1, max_evaluations=1)
    assert fit.values == tuple(PUBLISHED)  # one evaluation: nothing has moved
    assert sum(abs(c) < 0.985 for c in fit.cosines) == 88
    assert fit.interior_rms_error == pytest.approx(0.05639359364, abs=5e-12)
    assert fit.interior_max_error == pytest.approx(0.1311142406, abs=5e-11)


def test_the_hermite_coefficients_of_the_published_activation():
    phi = relu_cosine().activation(PUBLISHED)
    expected = [1.1830643914117653601916, 0.64620569394784425415517, 0.61123673308941051397450,
                0.37407203984098171519143, 0.021809592454453071123237, -0.1569513294500680656906,
                -0.079865312633312657996165]  # fmt: skip
    np.testing.assert_allclose(np.array(phi.hermite(6), float), expected, rtol=1e-13)


def test_a_better_activation_with_as_many_parameters(deep):
    """Near the best of many starts; an order of magnitude below the published 0.0564 and 0.131, also at c = 1."""
    fit = fit_activation(deep, relu_cosine(), starts=1)
    assert len(fit.values) == 7 and fit.parameters["f"] < 1.5
    assert fit.interior_rms_error < 0.0045 and fit.interior_max_error < 0.0095
    assert fit.rms_error < 0.0046 and fit.max_error < 0.0095
    exact = fit.kernel().profile()  # from the closed form, not from the engine of the fit
    for c, reached in list(zip(fit.cosines, fit.achieved, strict=True))[::33]:
        assert float(exact.value(sp.Float(c, 17), 15)) == pytest.approx(reached, rel=1e-12)


def test_a_piecewise_linear_activation_with_as_many_parameters_comes_as_near(deep):
    fit = fit_activation(deep, relu_mix(3), starts=1)
    assert len(fit.values) == 7
    assert fit.interior_rms_error < 0.0045 and fit.interior_max_error < 0.0106
    assert fit.rms_error < 0.0047 and fit.max_error < 0.0106
    a, b = ([fit.parameters[f"{name}{i}"] for i in (1, 2, 3)] for name in "ab")
    slopes = np.cumsum([a[i] for i in np.argsort(b)])
    assert np.abs(slopes).max() < 2.3


# -- values and gradients ----------------------------------------------------------------------------------------------

FAMILIES = {
    "relu_cosine": (relu_cosine(), [2.0, 0.7, -0.4, 0.3, 0.5, 3.0, 1.0]),
    "relu_mix": (relu_mix(2, linear=True), [1.5, -0.4, -2.0, 0.8, 0.25, 0.5]),
    "meeting kinks": (relu_mix(2, linear=True), [1.5, 0.25, -2.0, 0.25, 0.25, 0.5]),
    "gelu and abs": (sum_of_activations("gelu", "abs"), [1.0, 1.25, 0.5, -0.5, 0.75, 0.1]),
    "squared relu": (
        activation_family("a*Max(x - b, 0)**2 + k*Max(0, Min(x - b, t)) + m*x**2",
                          {"a": 0.5, "b": 0.3, "k": 1, "t": 0.8, "m": 0.2}, {"t": (0.1, 5)}),
        [0.5, 0.25, 1.0, 0.75, -0.2],
    ),
    "sine and tail": (activation_family("a*sin(s*x) + exp(-m*x**2)", {"a": 1, "s": 2, "m": 1}), [0.5, 2.5, 0.75]),
}  # fmt: skip
COSINES = ["-1", "-99/100", "-1/3", "0", "1/2", "9/10", "999/1000", "1"]


@pytest.mark.parametrize("case", FAMILIES)
@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_values_agree_with_certified_ones(case, kind):
    family, values = FAMILIES[case]
    layer = {"kind": kind, "w_var": sp.Rational(3, 2), "b_var": sp.Rational(1, 4), "readout": (2, sp.Rational(1, 8))}
    q = sp.Rational(7, 4)
    points = [sp.Rational(c) for c in (COSINES[1:-1:2] if kind == "ntk" else COSINES[2::3])]
    correlation = [(layer["w_var"] * c + layer["b_var"]) / q for c in points]
    found, _ = _kernel(family, correlation, variance=1.75, kind=kind, readout=(2.0, 0.125))(np.array(values))
    np.testing.assert_allclose(found, _certified(family, values, points, **layer), rtol=1e-12)


@pytest.mark.parametrize("case", FAMILIES)
def test_values_at_the_ends(case):
    family, values = FAMILIES[case]
    found, _ = _kernel(family, [-1, 1])(np.array(values))
    np.testing.assert_allclose(found, _certified(family, values, [-1, 1]), rtol=1e-12)


def test_values_of_an_activation_without_closed_form():
    family = activation_family("a*tanh(s*x) + Max(x - b, 0)", {"a": 1, "s": 1, "b": 0}, {"s": (0.1, 5)})
    points = [-1, 0, sp.Rational(9, 10), 1]
    found, _ = _kernel(family, points)(np.array([0.5, 1.5, 0.25]))
    np.testing.assert_allclose(found, _certified(family, [0.5, 1.5, 0.25], points), rtol=1e-12)


def test_a_gap_filled_at_one_point_is_none():
    family = sum_of_activations("sinc", "softplus", "relu")
    values, points = [1.0, 1.5, 0.0, 1.0, 1.0, 0.25, 1.0, 0.25, 0.1], [-1, sp.Rational(9, 10)]
    found, _ = _kernel(family, points, kind="nngp")(np.array(values))
    np.testing.assert_allclose(found, _certified(family, values, points, "nngp"), rtol=1e-12)


@pytest.mark.parametrize("case", [*FAMILIES])
@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_gradients_are_those_of_the_values(case, kind):
    """By Richardson's extrapolation of central differences, error h^4. Where kinks meet, only inside (-1, 1)."""
    family, values = FAMILIES[case]
    meeting = case == "meeting kinks"
    kernel = _kernel(family, [-0.9, 0, 0.95] if meeting else [-1, -0.9, 0, 0.95, 1], kind=kind, variance=1.75)
    theta = np.array(values)
    _, gradient = kernel(theta)
    for j in range(len(theta)):

        def difference(h, j=j):
            return (kernel(theta + h * np.eye(len(theta))[j])[0] - kernel(theta - h * np.eye(len(theta))[j])[0]) / (
                2 * h
            )

        expected = (4 * difference(5e-4) - difference(1e-3)) / 3
        np.testing.assert_allclose(gradient[:, j], expected, rtol=1e-7, atol=1e-8 * np.abs(gradient).max())


def test_quadrant_moments_against_simulation_and_symmetry():
    rng = np.random.default_rng(1)
    u, w = rng.normal(size=(2, 400_000))
    for rho, s, t in ((0.6, 0.5, -0.3), (-0.8, -1.0, 0.2), (0.99, 0.0, 0.7)):
        v = rho * u + np.sqrt(1 - rho**2) * w
        for m in range(3):
            for n in range(3):
                sample = np.where(u > s, (u - s) ** m, 0) * np.where(v > t, (v - t) ** n, 0)
                exact = QuadrantMoments(s, t, np.array([rho]))(m, n)[0]
                assert abs(sample.mean() - exact) < 4 * sample.std() / np.sqrt(len(u)) + 1e-5
                assert QuadrantMoments(t, s, np.array([rho]))(n, m)[0] == pytest.approx(exact, abs=1e-15)


# -- families ----------------------------------------------------------------------------------------------------------


def test_kinks_are_found_term_by_term():
    family = relu_mix(3)  # breakpoints that no assumption puts in order
    smooth, kinks = smooth_part_and_kinks(family.expr)
    assert len(kinks) == 3 and smooth.is_polynomial(x)
    t = sp.Symbol("t", positive=True)
    _, kinks = smooth_part_and_kinks(sp.Max(-t, sp.Min(t, x)))
    assert {(k.place, k.order, k.size) for k in kinks} == {(-t, 1, 1), (t, 1, -1)}


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("a*Heaviside(x)", DomainError, "jumps by"),
        ("a*Max(exp(x) - 1, 0)", DomainError, "differ by polynomials"),
        ("floor(a*x)", DomainError, "floor"),
        ("Abs(a*x - 1)", NoClosedForm, "declare its symbols"),
    ],
)
def test_families_that_are_refused(formula, error, message):
    with pytest.raises(error, match=message):
        fit_activation("exp(rho - 1)", formula, start={"a": 1})


def test_a_scale_with_a_positive_lower_bound_decides_the_branches():
    fit = fit_activation("rho", "Abs(a*x - 1)", "nngp", start={"a": 1}, bounds={"a": ("1/10", 3)}, starts=1)
    assert 0.1 <= fit.values[0] <= 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: activation_family("a*x", {"a": 1, "b": 2}), "no parameter b|free symbols a"),
        (lambda: activation_family("a*x + k", {"a": 1}), "every one a start"),
        (lambda: activation_family("a*x", {"a": 1}, {"a": (2, 3)}), "start between two bounds"),
        (lambda: activation_family("a*x", {"a": 1}, {"a": 3}), "a pair"),
        (lambda: activation_family("a*x", {"a": 1}, {"s": (0, 1)}), "start does not name"),
        (lambda: relu_cosine().with_start({"z": 1}), "the parameters are a, b"),
        (lambda: relu_cosine().with_start([1, 2]), "2 entries"),
        (lambda: sum_of_activations(), "at least one"),
        (lambda: relu_cosine().activation([1]), "1 values"),
    ],
)
def test_bad_families_say_why(build, message):
    with pytest.raises(DomainError, match=message):
        build()


def test_a_family_of_formulas_of_many_functions_reads_back():
    for family in (relu_cosine(), relu_mix(1), sum_of_activations("gelu", "relu"), FAMILIES["squared relu"][0]):
        assert ActivationFamily.from_json(family.to_json()) == family
    free = activation_family("a*x", {"a": 1})
    assert ActivationFamily.from_json(free.to_json()) == free and free.bounds == ((-np.inf, np.inf),)


def test_array_formulas_agree_with_sympy():
    t = sp.Symbol("t", real=True)
    expr = sp.tanh(t) / sp.sqrt(1 + t**2) + sp.Max(t, 1 - t) * sp.erf(t) ** 3 + 2 ** sp.cos(t) + sp.Heaviside(t - 1)
    (found,) = ArrayFormula([expr], [t])(np.array([0.3, 2.0]))
    np.testing.assert_allclose(found, [float(expr.subs(t, v)) for v in (sp.Rational(3, 10), 2)], rtol=1e-15)


# -- fits --------------------------------------------------------------------------------------------------------------


def test_a_member_of_the_family_is_recovered():
    """The kernel of sin(s x), a = 3/2 and s = 5/4, from the family itself and several starts."""
    target = ka.mlp(ka.activation("3*sin(5*x/4)/2"), depth=1, w_var=1, readout=(2, "1/4")).ntk
    family = activation_family("a*sin(s*x)", {"a": 1, "s": 2}, {"a": (0, 5), "s": ("1/10", 4)})
    fit = fit_activation(target, family, readout=(2, "1/4"), starts=4)
    np.testing.assert_allclose(fit.values, [1.5, 1.25], rtol=1e-8)
    assert fit.max_error < 1e-8 and len(fit.starts) == 4
    losses = [s.loss for s in fit.starts if s.loss is not None]
    assert losses == sorted(losses)
    again = fit_activation(target, family, readout=(2, "1/4"), starts=4)
    assert again == fit and again.to_json() == fit.to_json()


def test_biases_and_values_as_a_target():
    cosines = np.linspace(-1, 1, 21)
    family = activation_family("a*Max(x - b, 0)", {"a": 1, "b": 0.5}, {"b": (-2, 2)})
    truth = _certified(family, [1.5, 0.25], [sp.Float(c, 17) for c in cosines], "nngp", 2, sp.Rational(1, 2))
    fit = fit_activation(truth, family, "nngp", starts=1, cosines=cosines, w_var=2, b_var="1/2")
    np.testing.assert_allclose(fit.values, [1.5, 0.25], rtol=1e-7)
    assert fit.network.nngp.value(1, 1, "1/2", 15) == pytest.approx(fit.achieved[15], rel=1e-12)


def test_starts_that_fail_are_said():
    family = activation_family("a*tanh(s*x)", {"a": 1, "s": 50}, {"a": (0, 2), "s": (0.5, 1e5)})
    fit = fit_activation("rho", family, "nngp", start={"s": 20}, starts=6)
    failed = [s for s in fit.starts if s.loss is None]
    assert failed and "too steep" in failed[0].outcome and "failed from" in repr(fit)
    assert ActivationFit.from_json(fit.to_json()) == fit
    with pytest.raises(PrecisionError, match="all 1 starts failed"):
        fit_activation("rho", family, "nngp", start={"s": 9e4}, starts=1)


def test_fast_sines_are_resolved_and_steep_growth_is_refused():
    c = np.array([0.5, 0.999, 1])
    fast = _kernel(activation_family("sin(s*x)", {"s": 1}), c, kind="nngp")
    for s in (31.5, 40):  # with a node every 0.2, sin(31.4 z) would look like a constant
        expected = (np.exp(-(s**2) * (1 - c)) - np.exp(-(s**2) * (1 + c))) / 2
        np.testing.assert_allclose(fast(np.array([s]))[0], expected, atol=1e-13)
    bump = _kernel(activation_family("exp(m*x**2)", {"m": -1}), c, kind="nngp")
    for m in (0.1, -20):
        expected = 1 / np.sqrt((1 - 2 * m) ** 2 - 4 * m**2 * c**2)
        np.testing.assert_allclose(bump(np.array([m]))[0], expected, rtol=1e-12)
    with pytest.raises(PrecisionError, match="grows too fast"):
        bump(np.array([0.2]))
    with pytest.raises(PrecisionError, match="do not represent"):
        bump(np.array([-1e4]))


def test_progress_is_reported():
    calls = []
    fit_activation("rho", "a*x + b", start={"a": 2, "b": 0.5}, starts=2, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(0, 2), (1, 2), (1, 2), (2, 2)] and "loss" in calls[-1][2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cntk"}, "'ntk' or 'nngp'"),
        ({"starts": 0}, "not below 1"),
        ({"readout": (0, 0)}, "positive variance"),
        ({"b_var": -1}, "b_var >= 0"),
        ({"start": None}, "start = {name"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(DomainError, match=message):
        fit_activation("rho", "a*x", **{"start": {"a": 1}, **options})


def test_foreign_json_is_refused():
    text = fit_activation("rho", "a*x", start={"a": 2}, starts=1).to_json()
    for bad in ("[]", text.replace('"ntk"', '"cntk"'), text.replace('"w_var": "1"', '"w_var": "-1"')):
        with pytest.raises(DomainError):
            ActivationFit.from_json(bad)
