"""What a person gets wrong at first is refused with words that say what to give instead, and at once."""

import numpy as np
import pytest
import sympy as sp

import kernalg as ka
from kernalg.errors import DomainError
from kernalg.finite.tangent import jacobian

X = np.array([[1.0, 1.0], [1.0, -1.0]])
T = np.linspace(-1, 1, 9)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [("relu", "an activation is what is looked for"), (ka.activation("relu"), "an activation is what is looked for"),
     (ka.HermiteSeries([1, 1]), "an activation is what"), (ka.mlp("relu"), "give its .ntk or .nngp"),
     (ka.design("rho"), r"its kernel is .kernel\(\)"), ("exp(1000*rho)", r"1.97e\+434 .*divide it by a number")],
)  # fmt: skip
def test_what_is_no_kernel_but_near_to_one(kernel, words):
    with pytest.raises(DomainError, match=words):
        ka.design(kernel)


@pytest.mark.parametrize(
    ("kernel", "options", "words"),
    [("rho", {"signs": 3}, "signs=3: give 'auto'"), ("rho", {"signs": None}, "signs=None: give"),
     ("exp(rho)", {"cosines": T}, "leave cosines out"), (np.exp, {"cosines": T}, "leave cosines out"),
     ("exp(rho)", {"standard_errors": 0.1}, "give cosines=, too"),
     (np.exp(T), {"cosines": T, "standard_errors": [0.1, 0.2]}, "give one, or one for each"),
     ("exp(rho)-1", {"trained": "hidden"}, "give kind='ntk'")],
)  # fmt: skip
def test_options_that_do_not_fit_the_kernel(kernel, options, words):
    with pytest.raises(DomainError, match=words):
        ka.design(kernel, **options)


def test_one_standard_error_stands_for_all():
    one, each = (ka.design(np.exp(T), cosines=T, standard_errors=s) for s in (0.01, np.full(9, 0.01)))
    assert one.coefficients == each.coefficients


def test_many_coefficients_are_certified_numbers_not_endless_fractions():
    few, many = ka.design("exp(rho)", degree=30), ka.design("exp(rho)", degree=2000)
    assert many.degree == 2000
    assert all(abs(a - b) < 1e-28 for a, b in zip(few.coefficients, many.coefficients, strict=False))


def test_the_zero_kernel_is_certified():
    zero = ka.design("0")
    assert zero.certify().digits == 30 and zero.degree_for(0.1) == 0


def test_a_network_without_width_is_no_finite_network():
    net = ka.mlp("relu")
    for call in (ka.tangent_kernel, ka.conjugate_kernel, jacobian, ka.largest_stable_learning_rate):
        with pytest.raises(DomainError, match="draw one with finite_network"):
            call(net, X)
    with pytest.raises(DomainError, match="draw one with finite_network"):
        ka.train(net, X, [1, 2], learning_rate=0.1, epochs=1)
    with pytest.raises(DomainError, match="a function of the step"):
        f = ka.finite_network(net, inputs=2, width=4)
        ka.train(f, X, [1, 2], learning_rate=0.1, epochs=1, callback=3)


def test_networks_beyond_memory_are_refused_before_they_are_drawn():
    with pytest.raises(DomainError, match=r"1e.18 parameters"):
        ka.finite_network(ka.mlp("relu", depth=2), inputs=2, width=10**9)


def test_designs_where_activations_are_asked_for():
    d = ka.design("exp(2*(rho-1))")
    for call in (lambda: ka.tangent_kernel_variance(d, 1), lambda: ka.kurtosis(d)):
        with pytest.raises(DomainError, match=r"give its \.neuron"):
            call()
    with pytest.raises(DomainError, match="give a Network"):
        ka.finite_network("relu", inputs=2, width=4)


def test_networks_and_names_in_other_places():
    with pytest.raises(DomainError, match=r"its .ntk or .nngp"):
        ka.fit_nonnegative(ka.mlp("relu"), 3)
    with pytest.raises(DomainError, match=r"activation.…. makes"):
        ka.export("relu", "c")
    with pytest.raises(DomainError, match="give a network"):
        ka.parameter_count("relu", inputs=1, width=3)


def test_the_default_width_of_deep_networks_is_one_that_fits():
    found = ka.empirical_ntk(ka.mlp("relu", depth=2), X, draws=2)
    assert found.width == 1024 and ka.empirical_ntk("relu", X[:1], draws=1).width == 2**14


def test_a_design_says_what_to_do_next():
    assert "nearest kernel that a network has: kernalg.fit_nonnegative" in repr(ka.design("rho - rho**2"))
    too_much_bias = repr(ka.design("rho**3", b_var="1/10"))  # here less bias is the answer
    assert "The largest b_var" in too_much_bias and "fit_nonnegative" not in too_much_bias
    deep = repr(ka.shallow(ka.mlp("relu", depth=3), signs="++--"))
    assert "heavy-tailed" in deep and "a smaller degree" in deep


def test_notebooks_show_the_text_where_a_formula_would_say_less():
    assert ka.design("exp(2*(rho-1))")._repr_latex_().startswith(r"$\displaystyle \varphi(x) = \sqrt{2}")
    assert ka.design("rho - rho**2")._repr_latex_() is None and ka.design("rho**2")._repr_latex_() is None


def test_closed_forms_take_texts_as_everything_else_does():
    assert ka.closed_forms("exp(2*(rho-1))") == ka.closed_forms(sp.exp(2 * (ka.rho - 1)))
    assert ka.nngp_of_ntk("(1+rho)*exp(rho)") == sp.exp(ka.rho)
    with pytest.raises(DomainError, match="unknown name 'y'"):
        ka.closed_forms("exp(y)")


def test_latex_of_floats_is_readable():
    text = ka.export(ka.shallow(ka.mlp("relu", depth=2), degree=3), "latex")
    assert "000000" not in text and "h_{1}" in text
    assert r"\frac{\sqrt{3}}{3}" in ka.export(ka.design("rho**2", "ntk").series, "latex")


def test_noisy_values_taken_for_exact_ones_are_told_of_standard_errors():
    noisy = np.exp(T) + 0.01 * np.cos(40 * T)
    assert "give their standard_errors" in repr(ka.design(noisy, cosines=T))
    assert "give their standard_errors" not in repr(ka.design(np.cos(3 * T), cosines=T, standard_errors=0.01))


@pytest.mark.parametrize("name", ["tanh"])
def test_networks_whose_duals_have_no_closed_form_are_designed_for(name):
    for kind in ("nngp", "ntk"):
        d = ka.shallow(ka.mlp(name, depth=2, b_var="1/10"), kind, degree=12)
        assert d.feasible and float(d.error.kernel) < 0.2 * float(d.target.profile.value(1, 10))
        factors = 1 + np.arange(13) if kind == "ntk" else np.ones(13)
        made = np.polynomial.polynomial.polyval(0.3, factors * d.series.values**2)
        assert made == pytest.approx(float(d.target.profile.value("3/10", 12)), abs=1e-6)


def test_the_signs_that_a_design_reports_may_be_given_back():
    relu = "(sqrt(1-rho**2)+rho*(pi-acos(rho)))/pi"
    for kernel, signs in ((relu, "auto"), ("(1+rho+rho**3)/3", [1, -1, 1]), ("exp(rho)", "least growth")):
        d = ka.design(kernel, signs=signs)
        again = ka.design(kernel, signs=d.signs)
        assert again.coefficients == d.coefficients and again.signs == d.signs
        assert (again.closed_form is None) == (d.closed_form is None)
    for wrong in ("+(++", "(+)+", "+()", "0", "+0"):
        with pytest.raises(DomainError, match="a pattern is one word"):
            ka.design("1+rho", signs=wrong)


def test_kernels_of_other_things_than_the_cosine_and_networks_without_readout():
    with pytest.raises(DomainError, match="a formula in rho"):
        ka.design(ka.rbf_kernel(1))
    with pytest.raises(DomainError, match="both 0"):
        ka.empirical_ntk("relu", X, readout=(0, 0))
