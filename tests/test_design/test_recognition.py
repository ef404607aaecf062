"""Recognition of kernels: every form has the kernel, and its signs; what is no member of a family is refused."""

import random

import mpmath
import pytest
import sympy as sp

import kernalg as ka
from kernalg.design.closed_forms import Half, sign_pattern
from kernalg.design.identity import is_identically_zero
from kernalg.design.kernel_families import DAWSON, ERROR_FUNCTION, EXPONENTIAL, Family, Growth
from kernalg.design.operator_form import gaussian_average
from kernalg.design.recognition import closed_forms, nngp_of_ntk
from kernalg.errors import DomainError
from kernalg.symbols import dawson, rho, x

R = sp.Rational
RELU = (sp.sqrt(1 - rho**2) + (sp.pi - sp.acos(rho)) * rho) / (2 * sp.pi)
# Section by section of the published tables: the kernel, and the signs that have a formula, all plus first.
TABLE = [
    (sp.exp(2 * rho), ["+", "++--", "+++-", "++-+"]),
    (sp.exp(-2 * (1 - rho)), ["+", "++--", "+++-", "++-+"]),
    (2 * sp.exp(3 * rho), ["+", "++--", "+++-", "++-+"]),
    (sp.sinh(R(7, 5) * rho), ["+", "++--"]),
    (sp.cosh(2 * rho), ["+", "++--"]),
    (2 / sp.pi * sp.asin(3 * rho / 5), ["+", "++--"]),
    (2 / sp.pi * sp.asin(rho), ["+", "++--"]),
    (1 / sp.sqrt(1 - 4 * rho**2 / 9), ["+", "++--"]),
    (rho / (1 - rho**2 / 4) ** R(3, 2), ["+", "++--"]),
    (RELU, ["+", "+(++--)"]),
    (2 / sp.pi * (sp.sqrt(1 - rho**2) + rho * sp.asin(rho)), ["+", "+(++--)"]),
    (R(1, 4) + sp.asin(rho / 2) / (2 * sp.pi), ["+", "++--"]),
    (((1 + rho) / 2) ** 2, ["+", "++--"]),
    (rho**3 / 5, ["+"]),
    (sp.exp(rho) + rho**3 / 7, ["+", "++--", "+++-", "++-+"]),
    (sp.asin(2 * rho / 3) / sp.sqrt(1 - 4 * rho**2 / 9), ["+", "++--"]),
    (sp.cosh(rho) + sp.asin(rho), ["+", "++--", "+++-", "++-+"]),
]
ACTIVATIONS = [
    "x", "x**2", "Max(x, 0)", "Abs(x)", "5*Max(x, 0) + 2*Min(x, 0)", "Max(x, 0)**2", "Max(x, 0)**3", "x*Abs(x)",
    "sign(x)", "Heaviside(x)", "erf(x)", "normal_cdf(x)", "x*normal_cdf(x)", "x*erf(x/3)", "exp(-x**2)", "exp(x**2/5)",
    "x*exp(-x**2/2)", "(1 - x**2)*exp(-x**2/2)", "dawson(x)", "sin(x) + 2*cos(x)", "3*cos(2*x)", "exp(x)", "x*exp(x)",
    "x*sin(x)", "cosh(x)", "sinh(x)/2", "x + cos(2*x) + 1/3", "exp(x) - 1",
]  # fmt: skip


def _taylor(f, radius, terms):
    """Taylor coefficients at 0 by the trapezoidal rule on a circle."""
    points = 128
    circle = [mpmath.expjpi(mpmath.mpf(2 * i) / points) for i in range(points)]
    values = [mpmath.mpmathify(f(radius * z)) for z in circle]
    turned = ([circle[-i * k % points] for i in range(points)] for k in range(terms))
    return [mpmath.fdot(values, row).real / points / radius**k for k, row in enumerate(turned)]


def _moments(phi, terms):
    """Hermite coefficients from E phi(m + Z) = sum_k b_k m^k/sqrt(k!)."""
    m = sp.Symbol("m", real=True)
    average = sp.lambdify(m, gaussian_average(phi, m, sp.S.One).rewrite(sp.erf), "mpmath")
    taylor = _taylor(average, mpmath.mpf(2), terms)
    return [a * mpmath.sqrt(mpmath.factorial(k)) for k, a in enumerate(taylor)]


@pytest.mark.parametrize(("kernel", "patterns"), TABLE, ids=[str(k) for k, _ in TABLE])
def test_every_form_of_the_table_has_its_kernel_and_its_signs(kernel, patterns):
    forms = closed_forms(kernel)
    assert forms[0].signs == "+"
    assert sorted(f.signs for f in forms) == sorted(patterns)
    with mpmath.workdps(40):
        squares = _taylor(sp.lambdify(rho, kernel, "mpmath"), mpmath.mpf(1) / 2, 18)
        for form in forms:
            assert form.proved
            exact = [mpmath.mpf(str(sp.N(b, 35))) for b in form.coefficients(18)]
            assert [int(mpmath.sign(b)) for b in exact] == form.sign_list(18)
            assert all(abs(b - m) < 1e-20 for b, m in zip(exact, _moments(form.activation, 18), strict=True))
            assert all(abs(b * b - a) < 1e-20 for b, a in zip(exact, squares, strict=True))


@pytest.mark.parametrize("formula", ACTIVATIONS)
def test_the_dual_of_an_activation_leads_back_to_it(formula):
    phi = ka.activation(formula)
    forms = closed_forms(phi.dual.normalized)
    own = [sp.N(b, 30) for b in phi.hermite(9)]
    matching = []
    for form in forms:
        theirs = [sp.N(b, 30) for b in form.coefficients(10)]
        images = [
            own,
            [-b for b in own],
            [(-1) ** k * b for k, b in enumerate(own)],
            [-((-1) ** k) * b for k, b in enumerate(own)],
        ]
        if any(all(abs(b - t) < 1e-25 for b, t in zip(image, theirs, strict=True)) for image in images):
            matching.append(form)
    assert len(matching) == 1
    for at in (R(-17, 10), R(2, 5)):
        value = sp.N(matching[0].activation.subs(x, at), 20)
        assert any(
            abs(value - sign * sp.N(phi.expr.subs(x, way * at), 20)) < 1e-15 for sign in (1, -1) for way in (1, -1)
        )


@pytest.mark.parametrize(
    ("kernel", "activation"),
    [
        (RELU, sp.Max(0, x)),
        (
            49 * rho / 4 + 9 * (sp.sqrt(1 - rho**2) + rho * sp.asin(rho)) / (2 * sp.pi),
            5 * sp.Max(0, x) + 2 * sp.Min(0, x),
        ),
        (sp.exp(2 * (rho - 1)), sp.sqrt(2) * sp.sin(sp.sqrt(2) * x + sp.pi / 4)),
        (sp.exp(2 * (rho - 1)), sp.exp(sp.sqrt(2) * x - 2)),
        (2 / sp.pi * sp.asin(3 * rho / 5), sp.erf(sp.sqrt(3) * x / 2)),
        (2 / sp.pi * sp.asin(3 * rho / 5), sp.erfi(sp.sqrt(3) * x / 4)),
        (1 / sp.sqrt(1 - 4 * rho**2 / 9), sp.sqrt(3) * sp.exp(-(x**2))),
        (1 / sp.sqrt(1 - 4 * rho**2 / 9), sp.sqrt(15) * sp.exp(x**2 / 5) / 5),
        (2 / sp.pi * sp.asin(rho), sp.sign(x)),
    ],
)
def test_the_published_spellings(kernel, activation):
    assert activation in [f.activation for f in closed_forms(kernel)]


def test_published_coefficients():
    arcsin = closed_forms(2 / sp.pi * sp.asin(3 * rho / 5))[1].coefficients(8)
    assert str(sp.N(arcsin[1] ** 2, 32)) == "0.38197186342054880584532103209403"
    assert str(sp.N(arcsin[7] ** 2, 32)) == "0.00079559282409594308417496866399015"
    gauss = closed_forms(1 / sp.sqrt(1 - 4 * rho**2 / 9))[0].coefficients(7)
    assert [b**2 for b in gauss[2::2]][:2] == [R(2, 9), R(2, 27)]
    assert closed_forms(RELU)[1].coefficients(5) == ka.activation("relu").hermite(4)


@pytest.mark.parametrize(
    "kernel",
    [
        sp.cos(rho), sp.sin(rho), 1 - rho, rho - rho**3 / 10, (3 * rho**2 - 1) / 2, 1 / (2 - rho), sp.exp(rho**2),
        sp.exp(rho) + sp.exp(2 * rho), sp.asin(rho) ** 2, -sp.log(1 - rho / 2), rho * sp.exp(rho), sp.tan(rho / 2),
        (sp.exp(2 * rho) - 1) / rho, sp.asin(rho) / rho, RELU.subs(rho, 2 * RELU),
        RELU.subs(rho, 2 * RELU) + (sp.exp(rho) - 1) / rho,
        1 / sp.sqrt(1 - rho**2),  # infinite at 1
    ],
)  # fmt: skip
def test_other_kernels_have_none(kernel):
    assert closed_forms(kernel) == ()


def test_agreement_of_the_first_coefficients_is_not_taken_for_equality():
    kernel = sp.exp(2 * rho) + rho**30
    assert closed_forms(kernel) == ()
    unproved = closed_forms(kernel, only_proved=False)
    assert unproved and not any(f.proved for f in unproved)
    assert closed_forms(2 / sp.pi * sp.asin(rho) + rho**41 / 1000) == ()


def test_identities_are_proved_and_near_misses_are_not():
    arc = sp.atan(rho / sp.sqrt(1 - rho**2)) - sp.asin(rho)
    assert is_identically_zero(arc, derivatives=24)
    assert not is_identically_zero(arc)  # without knowing that it vanishes at 0
    assert is_identically_zero(sp.sqrt(9 - 4 * rho**2) - 3 * sp.sqrt(1 - R(2, 3) * rho) * sp.sqrt(1 + R(2, 3) * rho))
    assert is_identically_zero(sp.exp(2 * rho + 1) - sp.E * (sp.cosh(rho) + sp.sinh(rho)) ** 2)
    assert not is_identically_zero(sp.sqrt(1 - rho**2) + sp.sqrt(1 - rho) * sp.sqrt(1 + rho))
    assert not is_identically_zero(sp.exp(rho) - 1 - rho, derivatives=24)


def test_spellings_do_not_matter():
    for kernel in (sp.pi / 2 - sp.acos(rho), sp.atan(rho / sp.sqrt(1 - rho**2)), sp.asin(rho)):
        assert [f.activation for f in closed_forms(2 * kernel / sp.pi)] == [sp.erfi(x / 2), sp.sign(x)]


@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "abs", "squared_relu", "sin", "gaussian", "exp", "x_gaussian"])
def test_the_tangent_kernel_leads_back_to_the_activation(name):
    phi = ka.activation(name)
    theta = ka.mlp(phi, depth=1, w_var=1, b_var=0).ntk.profile().expr
    sigma = nngp_of_ntk(theta)
    assert is_identically_zero(sigma - phi.dual.normalized, derivatives=0)
    assert any(abs(sp.N((f.activation - phi.expr).subs(x, R(7, 10)), 20)) < 1e-15 for f in closed_forms(sigma))


def test_averages():
    assert nngp_of_ntk((1 + 2 * rho) * sp.exp(2 * rho)) == sp.exp(2 * rho)
    gaussian = nngp_of_ntk(sp.exp(2 * (rho - 1)))
    assert sp.simplify(gaussian - sp.exp(-2) * (sp.exp(2 * rho) - 1) / (2 * rho)) == 0
    assert closed_forms(gaussian) == ()
    assert str(sp.N(gaussian.subs(rho, R(3, 10)), 32)) == "0.18543613450832297507643624143547"
    assert nngp_of_ntk(rho**4 + rho) == rho**4 / 5 + rho / 2
    assert nngp_of_ntk(sp.exp(sp.sin(rho))) is None
    for theta in (rho * sp.sinh(rho) ** 2, (1 + rho**2) * sp.exp(rho) * sp.cosh(2 * rho) + R(1, 3)):
        assert is_identically_zero(theta - sp.diff(rho * nngp_of_ntk(theta), rho))
    assert nngp_of_ntk(ka.mlp("relu", depth=3, w_var=2, b_var=0).ntk.profile().expr) is None


@pytest.mark.parametrize(
    "family",
    [
        Family(EXPONENTIAL, 0, R(3, 2)),
        Family(EXPONENTIAL, 1, R(3, 2), shift=R(-5, 2)),
        *(Family(ERROR_FUNCTION, (j + 1) % 2, R(2, 3), j) for j in range(-5, 5)),
        *(Family(ERROR_FUNCTION, (j + 1) % 2, R(2, 3), j, R(1, 3)) for j in range(-3, 3)),
        *(Family(DAWSON, j % 2, R(2, 3), j) for j in range(1, 4)),
        *(Family(ERROR_FUNCTION, (j + 1) % 2, sp.S.One, j) for j in range(-4, 1)),
        Family(ERROR_FUNCTION, 1, sp.S.One, -2, R(7)),
    ],
    ids=str,
)
def test_the_engine_confirms_the_families(family):
    assert family.is_square_summable
    with mpmath.workdps(30):
        squares = [mpmath.mpf(str(sp.N(a, 30))) for a in family.squares(9)]
        kernel = _taylor(sp.lambdify(rho, family.kernel(), "mpmath"), mpmath.mpf(1) / 2, 9)
        assert all(abs(a - b) < 1e-20 for a, b in zip(kernel, squares, strict=True))
        for alternating in (False, True):
            phi = family.activation(sp.S.One, alternating)
            if phi.has(sp.erfi, dawson):
                moments = _moments(phi, 9)
            else:
                moments = [mpmath.mpf(str(sp.N(b, 30))) for b in ka.activation(phi).hermite(8)]
            for found, sign, square in zip(moments, family.signs(9, alternating), squares, strict=True):
                assert abs(found - sign * mpmath.sqrt(square)) < 1e-20


def _random_half(generator, parity):
    u, s = R(generator.randint(1, 30), 10), R(generator.randint(1, 9), 10)
    order = generator.choice([j for j in range(-3, 3) if (j - parity) % 2])
    family = generator.choice(
        [
            None,
            Family(EXPONENTIAL, parity, u),
            Family(EXPONENTIAL, parity, u, shift=R(generator.randint(-6, 9), 2)),
            Family(ERROR_FUNCTION, parity, s, order),
            Family(DAWSON, parity, s, 2 - parity),
        ]
    )
    amplitude = R(generator.randint(1, 20), 7) * generator.choice([1, sp.pi, sp.exp(-1), sp.sqrt(2)])
    exceptions = ((k, R(generator.randint(0, 9), 7)) for k in range(parity, 6, 2) if generator.random() < 0.3)
    return Half(parity, family, amplitude if family else sp.S.Zero, tuple(exceptions))


@pytest.mark.parametrize("seed", range(8))
def test_random_members_are_found_as_nngp_kernels_and_as_tangent_kernels(seed):
    generator = random.Random(seed)
    even, odd = _random_half(generator, 0), _random_half(generator, 1)
    kernel = sp.expand(even.kernel() + odd.kernel())
    expected = [sp.N(a + b, 20) for a, b in zip(even.squares(12), odd.squares(12), strict=True)]
    found = [sp.N(b**2, 20) for b in closed_forms(kernel)[0].coefficients(12)]
    assert all(abs(a - b) < 1e-15 * (1 + a) for a, b in zip(expected, found, strict=True))
    average = nngp_of_ntk(sp.diff(rho * kernel, rho))
    assert abs(sp.N((average - kernel).subs(rho, R(1, 3)), 20)) < 1e-15


def test_growth_has_an_order():
    forms = closed_forms(sp.exp(2 * (rho - 1)))
    assert min(forms, key=lambda f: f.growth).signs == "++--"
    assert Growth() < Growth(degree=3) < Growth(linear=R(1)) < Growth(linear=R(2)) < Growth(quadratic=R(1, 9))
    assert str(closed_forms(1 / sp.sqrt(1 - 4 * rho**2 / 9))[0].growth) == "exp(z**2/5)"
    assert str(closed_forms(RELU)[1].growth) == "polynomial of degree 1"


def test_patterns():
    assert sign_pattern([1, 1, -1, -1] * 5) == "++--"
    assert sign_pattern([1, -1] * 10) == "+-"
    assert sign_pattern([0, 1, 0, -1] * 5) == "++--"
    assert sign_pattern([-1, 1, 1] + [1, -1] * 10) == "-++(+-)"


def test_what_is_not_a_formula_in_rho_is_refused():
    with pytest.raises(DomainError, match="symbols"):
        closed_forms(sp.exp(sp.Symbol("t") * rho))
    with pytest.raises(DomainError, match="not a formula"):
        closed_forms([rho])
    with pytest.raises(DomainError, match="number of coefficients"):
        closed_forms(rho)[0].coefficients(-1)
