"""From kernels to activations: published numbers, round trips, and refusals with their certificates."""

import json
import pickle

import numpy as np
import pytest
import sympy as sp
from flint import arb

import kernalg as ka
from kernalg.design.designed import Design
from kernalg.design.of_kernel import design
from kernalg.enclosure.balls import precision
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries


def close(value, text, digits=20):
    """Whether a SymPy number agrees with the printed one to `digits`."""
    return abs(sp.N(value, 40) - sp.Float(text, 40)) <= sp.Float(10, 40) ** -digits * abs(sp.Float(text, 40))


# -- published numbers -------------------------------------------------------------------------------------------------


def test_gaussian_kernel_as_nngp_is_exact():
    found = design("exp(2*(rho-1))", signs="+", degree=12)
    assert [b**2 for b in found.coefficients] == [sp.exp(-2) * 2**k / sp.factorial(k) for k in range(13)]
    assert found.activation.expr == sp.exp(sp.sqrt(2) * ka.x - 2)
    value = found.kernel().profile().value("3/10", digits=30)
    assert close(value, "0.24659696394160647693986123983377", 29)


NTK_ALL_PLUS = [
    "0.36787944117144232159552377016146",
    "0.36787944117144232159552377016146",
    "0.30037230591008518373181013087546",
    "0.21239529438966131977049333195728",
    "0.13433057891466246085307738112014",
    "0.077555795896778638541375605847438",
]


def test_gaussian_kernel_as_ntk():
    found = design("exp(2*(rho-1))", kind="ntk", degree=60, signs="+")
    assert all(close(b, text, 30) for b, text in zip(found.coefficients, NTK_ALL_PLUS, strict=False))
    values = [0.10098618979142359, 0.21888023336593767, 0.563758875071081, 1.6659823836697063]
    assert np.allclose(found([-1.0, 0.0, 1.0, 2.0]), values, rtol=1e-13)
    mild = design("exp(2*(rho-1))", kind="ntk", signs="++--", degree=60)
    values = [-0.3091509743708981, 0.691906110833531, 0.870184220694052, 0.03454187186988911]
    assert np.allclose(mild([-1.0, 0.0, 1.0, 2.0]), values, rtol=1e-12)


AT_SIGNS = {
    "+": [
        "0.10098618979142359498199595998652",
        "0.21888023336593766923425677021544",
        "0.56375887508062106630223032174994",
        "1.6659823836697062611909943029032",
    ],
    "++--": [
        "-0.30915097437089804214888721224168",
        "0.69190610083353070011628178625165",
        "0.87018422069405190695774126525985",
        "0.034541871869890113930783195590788",
    ],
}


@pytest.mark.parametrize("signs", AT_SIGNS)
def test_the_activation_for_a_tangent_kernel_to_any_digits(signs):
    found = design("exp(2*(rho-1))", kind="ntk", signs=signs)
    for at, text in zip((-1, 0, 1, 2), AT_SIGNS[signs], strict=True):
        assert close(found.value(at, digits=32), text, 30)
    assert isinstance(found.integral.atoms(sp.Integral).pop(), sp.Integral)


def test_automatic_signs():
    assert design([0, 0, 0, 1]).coefficients == (0, 0, 0, 1)
    assert design([sp.Rational(1, 10)] * 15, kind="ntk").signs == "++--"  # + is heavy-tailed
    assert design("exp(2*(rho-1))", kind="ntk").signs == "++--"  # an average of a sine
    best = design([sp.Rational(1, 10)] * 8, kind="ntk", signs="least variance")
    plain = design([sp.Rational(1, 10)] * 8, kind="ntk", signs="++--")
    assert noise(best) < noise(plain) < noise(design([sp.Rational(1, 10)] * 8, kind="ntk", signs="+"))


def noise(found):
    return ka.tangent_kernel_variance(found.series, 1)


def test_nngp_of_the_network_designed_for_its_ntk():
    found = design("exp(2*(rho-1))", kind="ntk", tolerance=1e-30, degree=40)
    squares = sum(b**2 * sp.Rational(3, 10) ** k for k, b in enumerate(found.coefficients))
    assert close(squares, "0.18543613450832297507643624143547", 25)


@pytest.mark.parametrize(
    ("kernel", "squares"),
    [
        (
            "2*asin(3*rho/5)/pi",
            {
                1: "0.38197186342054880584532103209403",
                3: "0.022918311805232928350719261925642",
                5: "0.003712766512447734392816520431954",
                7: "0.00079559282409594308417496866399015",
            },
        ),
        (
            "1/sqrt(1-4*rho**2/9)",
            {2: sp.Rational(2, 9), 4: sp.Rational(2, 27), 6: "0.027434842249657064471879286694102"},
        ),
    ],
)
def test_both_activations_of_a_pair(kernel, squares):
    for signs in ("+", "++--"):
        found = design(kernel, signs=signs)
        assert found.closed_form is not None
        for k, expected in squares.items():
            assert close(
                found.coefficients[k] ** 2, sp.N(expected, 32) if isinstance(expected, sp.Expr) else expected, 30
            )
        assert found.certify(25).digits >= 25


ARC_COSINE = "(sqrt(1-rho**2)+(pi-acos(rho))*rho)/pi"


def composed(times):
    kernel = ka.dot_product_kernel(ARC_COSINE)
    result = kernel
    for _ in range(times - 1):
        result = kernel.compose(result)
    return result


def test_normalised_relu_composed_with_itself():
    taylor = {
        2: ["0.49373109020037154849811200034343", "0.30155762421360043263320460114834",
            "0.13796060138325157177293091216304", "0.029197815998023544682078639617224",
            "0.015919847651053951586970196944628", "0.0050061494680630105168701344902423"],
        4: ["0.68095353335573634791213344796434", "0.14159529248021455136189183366269",
            "0.084563271874780428241854491738316", "0.034427787301254889405845598056029",
            "0.019654579092227461232124620816312", "0.0099080629312201671052347188421531"],
    }  # fmt: skip
    for times, texts in taylor.items():
        found = design(composed(times), degree=5, digits=30).kernel_coefficients
        assert all(close(a, text, 28) for a, text in zip(found, texts, strict=True))


DEEP = ka.mlp("relu", depth=4, w_var=2, b_var="1/100")


def test_deep_relu_by_one_hidden_layer():
    found = ka.shallow(DEEP, degree=6, digits=30)
    taylor = [
        "1.4747312448642011453978203072798",
        "0.88612947428021342706428197279844",
        "0.68754455202744557475900593679676",
        "0.37566379717339974799154243337726",
        "0.25281314881669354449066523730971",
        "0.15895018279645861929811503751488",
        "0.12329795545326882427946177853547",
    ]
    assert all(close(a, text, 28) for a, text in zip(found.kernel_coefficients, taylor, strict=True))
    shown = [1.214385130370181, 0.6656310818614968, 0.4787290646518988, 0.3064570920917803, 0.2248613567586452,
             0.1627627019090771, 0.1327177216357381]  # fmt: skip
    assert np.allclose(np.abs(found.series.values), shown, rtol=1e-15)


# -- round trips -------------------------------------------------------------------------------------------------------


def random_case(generator, exact):
    """A feasible kernel by its coefficients in rho, and the same in the cosine."""
    kind = ("nngp", "ntk")[generator.integers(2)]
    b_var = sp.Rational(int(generator.integers(0, 4)), 4)
    w_var = sp.Rational(int(generator.integers(1, 5)), 2)
    degree = int(generator.integers(0, 21))
    inside = [
        sp.Rational(int(a), 64) for a in generator.integers(0, 100, degree + 1) * generator.integers(0, 2, degree + 1)
    ]
    inside[-1] = sp.S.One
    correlation = (w_var * ka.rho + b_var) / (w_var + b_var)
    outside = sp.Poly(sum(a * correlation**k for k, a in enumerate(inside)), ka.rho).all_coeffs()[::-1]
    return kind, w_var, b_var, inside, outside if exact else [float(a) for a in outside]


@pytest.mark.parametrize("exact", [True, False])
def test_kernel_to_activation_to_kernel(exact):
    generator = np.random.default_rng(6 + exact)
    for _ in range(25):
        kind, w_var, b_var, inside, outside = random_case(generator, exact)
        found = design(outside, kind=kind, w_var=w_var, b_var=b_var)
        assert found.feasible, found
        # The kernel of the polynomial by Gauss-Hermite quadrature: E phi(u) phi(v) at correlation r.
        assert np.allclose(by_quadrature(found, (0.3, -0.8, 1.0)), polynomial(inside, (0.3, -0.8, 1.0)), rtol=1e-12)


def polynomial(coefficients, at):
    return [sum(float(a) * t**k for k, a in enumerate(coefficients)) for t in at]


def by_quadrature(found, correlations, nodes=48):
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    q = float(found.architecture.variance)
    slope = found.series.derivative()
    result = []
    for r in correlations:
        u, v = np.meshgrid(z, z, indexing="ij")
        v = r * u + np.sqrt(1 - r * r) * v
        u, v = np.sqrt(q) * u, np.sqrt(q) * v
        value = weights @ (found(u) * found(v)) @ weights
        if found.architecture.kind == "ntk":
            value += q * r * (weights @ (slope(u) * slope(v)) @ weights)
        result.append(value)
    return result


@pytest.mark.parametrize("trained", ["readout", "hidden", "all but hidden biases"])
def test_what_is_trained_counts(trained):
    b_var, w_var, v_var, c_var = sp.Rational(1, 2), sp.Integer(2), sp.Integer(3), sp.Rational(1, 8)
    found = design("(1+rho)**4/16 - 1/1296" if trained == "hidden" else "1+(1+rho)**4/16",
                   kind="ntk", w_var=w_var, b_var=b_var, readout=(v_var, c_var), trained=trained)  # fmt: skip
    if trained == "hidden":
        assert found.feasible is False and "constant" in found.certificate.reason
        found = design("rho + rho**3", kind="ntk", w_var=w_var, readout=(v_var, c_var), trained=trained)
    q, b = float(found.architecture.variance), float(found.architecture.b_var)
    z, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    slope = found.series.derivative()
    for cosine in (-0.6, 0.2, 0.9):
        r = (float(w_var) * cosine + b) / q
        u, v = np.meshgrid(z, z, indexing="ij")
        u, v = np.sqrt(q) * u, np.sqrt(q) * (r * u + np.sqrt(1 - r * r) * v)
        features = weights @ (found(u) * found(v)) @ weights
        slopes = weights @ (slope(u) * slope(v)) @ weights
        parts = {
            "readout": features + float(c_var) / 3,
            "hidden": float(w_var) * cosine * slopes,
            "all but hidden biases": features + float(c_var) / 3 + float(w_var) * cosine * slopes,
        }
        wanted = found.target.profile.value(sp.Rational(cosine).limit_denominator(100), digits=15)
        assert np.isclose(3 * parts[trained], float(wanted), rtol=1e-12)


@pytest.mark.parametrize("kernel", ["exp(rho)", "1/(2-rho)"])
def test_infinite_series_with_frozen_biases(kernel):
    found = design(kernel, kind="ntk", b_var="1/2", trained="all but hidden biases", degree=60)
    made = found.kernel().profile()
    for cosine in ("2/5", "-9/10", "1"):
        wanted = found.target.profile.value(cosine, digits=20)
        assert abs(float(made.value(cosine, digits=20) - wanted)) <= found.error.kernel + 1e-18
    assert 0 < found.error.kernel < 1e-10


def test_frozen_biases_need_less_than_coefficients_that_are_positive():
    """The kernel of h_2 alone has a negative coefficient of rho, made up for by b_2^2."""
    coefficients = [sp.Rational(1, 9), sp.Rational(8, 9), sp.Rational(4, 3)]
    for given in (coefficients, [float(a) for a in coefficients]):
        found = design(given, "ntk", "2/3", "1/3", trained="all but hidden biases")
        assert found.feasible
        assert np.allclose(found.series.values, [0, 0, 1], atol=1e-7)
        assert found.error.activation == 0


def test_the_kernel_of_a_long_polynomial_is_within_the_bound():
    found = ka.shallow(DEEP, degree=200)
    cosines = np.cos(np.linspace(0, np.pi, 60))
    made, wanted = found.kernel().profile(), DEEP.ntk.profile()
    with precision(64):
        missed = [float(wanted.ball(arb(t)) - made.ball(arb(t))) for t in cosines]
    assert max(np.abs(missed)) <= found.error.kernel * (1 + 1e-12)
    assert np.isclose(missed[0], found.error.kernel, rtol=1e-10)


def test_a_design_is_certified_by_the_same_door_as_kernels():
    report = ka.certify(design("exp(2*(rho-1))"), digits=20)
    assert report.digits >= 20 and len(report.rows) == 7


def test_bias_makes_a_single_hermite_polynomial():
    found = design("((1+rho)/2)**3", w_var="1/2", b_var="1/2")
    assert found.coefficients == (0, 0, 0, 1)
    assert sp.expand(found.activation.expr - (ka.x**3 - 3 * ka.x) / sp.sqrt(6)) == 0


def test_design_is_right_at_any_bias_where_the_function_continues():
    found = design("1/(2-rho)", b_var=3, degree=30)
    assert found.feasible and found.coefficients[:2] == (sp.sqrt(5) / 5, sp.Rational(2, 5))


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "index", "value"),
    [("cos(rho)", 2, "-1/2"), ("sin(rho)", 3, "-1/6"), ("1-rho", 1, "-1"), ("rho-rho**3/10", 3, "-1/10"),
     ("(3*rho**2-1)/2", 0, "-1/2")],
)  # fmt: skip
def test_rejections_name_the_first_negative_coefficient(kernel, index, value):
    for kind in ("nngp", "ntk"):
        found = design(kernel, kind=kind)
        assert found.feasible is False
        assert found.certificate.negative[0] == (index, sp.Rational(value))
        with pytest.raises(DomainError, match="no activation has this kernel"):
            _ = found.activation


def test_cube_with_a_bias_is_refused_with_its_formula():
    w, b = sp.symbols("w b", positive=True)
    found = design("rho**3", w_var=w, b_var=b)
    assert found.feasible is False
    negative = dict(found.certificate.negative)
    assert sp.simplify(negative[2] + 3 * (w + b) ** 2 * b / w**3) == 0
    assert design("rho**3", b_var="1/1000").certificate.largest_b_var == 0


def test_largest_bias_of_a_polynomial_is_a_root():
    kernel = "rho**2 + rho/2 + 1"  # at the cosine -1/4 the derivative turns negative; the others are positive there
    bias = design(kernel, w_var=2, b_var=1).certificate.largest_b_var
    assert bias == sp.Rational(1, 2)
    assert design(kernel, w_var=2, b_var=bias).feasible
    assert design(kernel, w_var=2, b_var=bias + sp.Rational(1, 10**6)).feasible is False


def test_a_kernel_singular_at_opposite_inputs_takes_no_bias():
    found = design("2*asin(rho)/pi", b_var="1/10")
    assert found.feasible is False and found.certificate.largest_b_var < 1e-3


def test_readout_bias_above_the_constant_term():
    found = design("exp(rho)", readout=(1, 2))
    assert found.feasible is False and "readout bias" in found.certificate.reason
    assert design("exp(rho)", readout=(1, 1)).coefficients[0] == 0


@pytest.mark.parametrize(
    ("kernel", "words"),
    [("1/rho", "orthogonal"), ("sqrt(rho)", "orthogonal"), ("1/(1-rho)", "equal inputs"),
     ("log(1-rho)", "equal inputs"),
     ("sqrt(rho-2)", "not finite and real"), ("abs(rho)", "orthogonal"), ([[1, 2]], "shape"), ([], "shape"),
     ([1, float("nan")], "finite"), ([1, 1j], "real number"), (None, "give a formula"), ("x+1", "x")],
)  # fmt: skip
def test_bad_kernels(kernel, words):
    with pytest.raises(ka.KernalgError, match=words):
        design(kernel)


@pytest.mark.parametrize(
    "options",
    [{"kind": "NTK"}, {"w_var": 0}, {"w_var": -1}, {"b_var": -1}, {"readout": 1}, {"readout": (0, 0)},
     {"trained": "some"}, {"degree": -1}, {"tolerance": 0}, {"digits": 0}, {"signs": "+x"}, {"signs": [1, 0]},
     {"signs": 0}],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(DomainError):
        design("exp(rho)", **options)


def test_a_series_that_does_not_reach_equal_inputs_is_refused():
    found = design("1/(1/2-rho)")  # all coefficients are positive, and K(1) = -2
    assert found.feasible is False and "add up to more" in found.certificate.reason


def test_only_the_hidden_layer_admits_no_search_for_a_bias():
    found = design("rho**3 + rho**2/2 + rho/5 + 1/10", "ntk", 1, "1/2", trained="hidden")
    assert found.feasible is False and found.certificate.largest_b_var is None


def test_the_largest_readout_bias_is_named_only_if_it_works():
    assert "largest that works is 1/2" in design("1/2+rho", readout=(1, 1)).certificate.reason
    assert "largest that works" not in design("1/2+rho-rho**2/2", readout=(1, 1)).certificate.reason
    tiny = design("exp(rho)", readout=(1, 1 + sp.Integer(10) ** -100))
    assert tiny.feasible is False


def test_singularities_of_the_formula_only():
    found = design("(exp(2*rho)-1)/(2*rho)*exp(-2)", degree=20)
    assert [b**2 for b in found.coefficients] == [
        sp.exp(-2) * 2**k / sp.factorial(k + 1) for k in range(21)
    ]  # the NNGP kernel of the network whose tangent kernel is exp(2 (rho - 1))
    assert design("sinh(rho+1/2)/(rho+1/2)", b_var="1/2").feasible is not False


def test_a_bias_beyond_the_domain_of_the_kernel():
    assert design("asin(rho)", b_var=2).feasible is False
    assert design("exp(2*(rho-1))").degree_for(1e-60) in range(40, 60)


# -- the value ---------------------------------------------------------------------------------------------------------


def test_json_asks_the_same_question():
    for found in (
        design("exp(2*(rho-1))", kind="ntk", degree=9, signs="++--"),
        design(ka.mlp("relu", depth=2).ntk, degree=5),
        design("cos(rho)"),
    ):
        again = pickle.loads(pickle.dumps(found))  # noqa: S301 (our own)
        assert again.coefficients == found.coefficients and again.feasible == found.feasible
    with pytest.raises(DomainError):
        Design.from_json(json.dumps({"type": "kernalg.Design"}))


def test_radius_range_is_where_the_kernel_leaves_the_tolerance():
    for found in (design("exp(rho)", b_var="1/2"), design("rho + rho**2/2", kind="ntk")):
        low, high = found.radius_range(0.02)
        assert low < 1 < high
        for radius, outside in ((low, low * 0.999), (high, high * 1.001)):
            assert deviation(found, radius) <= 0.0201 and deviation(found, outside) > 0.02


def deviation(found, radius):
    kernel = found.kernel()
    cosines = [sp.Rational(t).limit_denominator(10**6) for t in np.cos(np.linspace(0, np.pi, 5))]
    square = sp.Rational(radius**2).limit_denominator(10**9)
    changed = [float(kernel.value(square, square, square * t, digits=12)) for t in cosines]
    before = [float(kernel.value(1, 1, t, digits=12)) for t in cosines]
    return np.abs(np.subtract(changed, before)).max() / before[0]


def test_cut_off_series_says_how_far_it_is_off():
    found = design("exp(rho)", signs="+-", degree=4)
    assert isinstance(found.series, HermiteSeries)
    assert np.isclose(found.error.kernel, float(sum(1 / sp.factorial(k) for k in range(5, 40))), rtol=1e-12)
    assert found.degree_for(1e-6) == 9


def test_the_zero_kernel_and_constants_are_designs():
    zero = design("0")
    assert zero.certify(15).digits >= 15
    assert zero.feasible and zero.coefficients == (0,) and "heavy" not in repr(zero)
    assert design([2]).activation.expr == sp.sqrt(2)


def test_the_search_for_a_bias_needs_no_exact_coefficients():
    assert design("2*asin(3*rho/5)/pi", b_var=1).feasible is False


@pytest.mark.parametrize("kernel", ["log(2/(2-rho))", "tan(rho)", "exp(sinh(rho))"])
def test_formulas_that_show_their_signs(kernel):
    assert design(kernel).feasible is True


def test_frozen_biases_inherit_the_proof_and_the_closed_form():
    assert design("exp(rho)", "ntk", b_var="1/2", trained="all but hidden biases").feasible is True
    kernel = sp.diff(ka.rho * sp.exp((ka.rho + 1) / 2), ka.rho)
    found = design(kernel, "ntk", b_var=1, trained="all but hidden biases")
    assert found.closed_form is not None and found.certify(25).digits >= 25
    assert found.error.kernel == 0 and found.error.radius[0] < 1 < found.error.radius[1]
    cosines = np.array([-1.0, -0.5, 0.25, 1.0])
    on_the_sphere = [float(found.target.profile.value(sp.Rational(t), digits=15)) for t in cosines]
    assert np.allclose(found._at_radius(1.0, cosines), on_the_sphere, rtol=1e-9)
    even = design(
        sp.diff(ka.rho * sp.cosh(ka.rho + 2), ka.rho), "ntk", b_var=2, trained="all but hidden biases", degree=6
    )
    assert even.feasible is not False and float(even.coefficients[1]) == 0
