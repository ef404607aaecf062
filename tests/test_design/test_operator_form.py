"""(1 + N)^(-1/2) as an integral: published digits, Hermite sums, kinks and jumps by a second quadrature."""

import mpmath
import pytest
import sympy as sp

import kernalg as ka
from kernalg.design.operator_form import (
    gaussian_average,
    ntk_activation,
    ntk_activation_enclosure,
    ntk_activation_value,
)
from kernalg.errors import DomainError, NoClosedForm, PrecisionError
from kernalg.symbols import dawson, x

LOG_NORMAL = sp.exp(sp.sqrt(2) * x - 2)
WAVE = sp.sqrt(2) * sp.sin(sp.sqrt(2) * x + sp.pi / 4)


@pytest.mark.parametrize(
    ("phi", "z", "value"),
    [
        (LOG_NORMAL, -1, "0.10098618979142359498199595998652"),
        (LOG_NORMAL, 0, "0.21888023336593766923425677021544"),
        (LOG_NORMAL, 1, "0.56375887508062106630223032174994"),
        (LOG_NORMAL, 2, "1.6659823836697062611909943029032"),
        (WAVE, -1, "-0.30915097437089804214888721224168"),
        (WAVE, 0, "0.69190610083353070011628178625165"),
        (WAVE, 1, "0.87018422069405190695774126525985"),
        (WAVE, 2, "0.034541871869890113930783195590788"),
    ],
)
def test_published_values_of_the_gaussian_kernel(phi, z, value):
    assert str(ntk_activation_value(phi, z, 32)) == value


def _hermite_sum(phi: sp.Expr, z: sp.Rational, terms: int) -> mpmath.mpf:
    coefficients = ka.activation(phi).hermite(terms - 1)
    with mpmath.workdps(40):
        at = mpmath.mpf(z.p) / z.q
        h, previous, total = mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(0)
        for k, b in enumerate(coefficients):
            total += mpmath.mpf(str(sp.N(b, 40))) / mpmath.sqrt(k + 1) * h
            h, previous = (at * h - mpmath.sqrt(k) * previous) / mpmath.sqrt(k + 1), h
    return total


@pytest.mark.parametrize(
    ("phi", "terms"),
    [
        (x**3 - 2 * x + 1, 4),
        (sp.sin(x) + sp.cos(2 * x), 60),
        (x * sp.exp(x / 2), 50),
        (sp.exp(-(x**2) / 8), 70),
        (sp.erf(x / 4), 60),
        (x * sp.erf(x / 4), 60),
        (dawson(x / 4), 60),
        (sp.exp(x**2 / 20), 60),
    ],
)
def test_the_hermite_series_agrees(phi, terms):
    z = sp.Rational(3, 5)
    with mpmath.workdps(40):
        assert abs(mpmath.mpf(str(ntk_activation_value(phi, z, 30))) - _hermite_sum(phi, z, terms)) < 1e-17


def _quadrature(average, z):
    """In y, with the average written by hand."""
    with mpmath.workdps(25):

        def integrand(y):
            decay = mpmath.exp(-y * y)
            return decay * average(z * decay, mpmath.sqrt(-mpmath.expm1(-2 * y * y)))

        return 2 / mpmath.sqrt(mpmath.pi) * mpmath.quad(integrand, [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 8])


def _relu(m, sd):
    return m * mpmath.ncdf(m / sd) + sd * mpmath.npdf(m / sd)


def _elu(m, sd):
    left = mpmath.exp(m + sd * sd / 2) * mpmath.ncdf(-m / sd - sd) - mpmath.ncdf(-m / sd)
    return _relu(m, sd) + left


@pytest.mark.parametrize(
    ("phi", "average"),
    [
        (sp.Max(x, 0), _relu),
        (sp.Abs(x), lambda m, sd: _relu(m, sd) + _relu(-m, sd)),
        (sp.sign(x), lambda m, sd: 2 * mpmath.ncdf(m / sd) - 1),
        (sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), _elu),
        (sp.erfi(x / 2), lambda m, sd: mpmath.erfi(m / 2 / mpmath.sqrt(1 - sd * sd / 2))),
    ],
    ids=["relu", "abs", "sign", "elu", "erfi"],
)
def test_kinks_and_jumps_and_fast_growth(phi, average):
    value = ntk_activation_value(phi, "1/2", 15)
    assert abs(mpmath.mpf(str(value)) - _quadrature(average, mpmath.mpf(1) / 2)) < 1e-13


def test_kinks_at_the_kink():
    # E|sqrt(v) Z| = sqrt(2 v/pi), v = 1 - exp(-2 y^2)
    expected = _quadrature(lambda m, sd: sd * mpmath.sqrt(2 / mpmath.pi), mpmath.mpf(0))
    assert abs(mpmath.mpf(str(ntk_activation_value(sp.Abs(x), 0, 15))) - expected) < 1e-13


def test_enclosures_of_different_digits_overlap_and_are_as_narrow_as_asked():
    for phi in (sp.Abs(x), LOG_NORMAL):
        rough, fine = (ntk_activation_enclosure(phi, "1/3", digits) for digits in (8, 20))
        assert rough.overlaps(fine)
        assert float(fine.rad() / abs(fine.mid())) < 1e-20


def test_exact_cases():
    assert ntk_activation_value(sp.sign(x), 0, 20).is_zero
    assert ntk_activation_value(sp.Integer(3), 2, 20) == sp.Float(3, 20)
    third = (x**3 - 3 * x) / sp.sqrt(6)  # h_3, so h_3/2
    assert ntk_activation_value(third, 2, 25) == sp.N(third.subs(x, 2) / 2, 25)


def test_the_integral_is_a_formula():
    integral = ntk_activation(LOG_NORMAL)
    (inner,) = integral.atoms(sp.Integral)
    integrand = sp.lambdify(inner.limits[0][0], (integral / inner * inner.function).subs(x, 1), "mpmath")
    assert abs(mpmath.quad(integrand, [0, 1, 2, 4, 8]) - mpmath.mpf("0.56375887508062106630")) < 1e-14
    m, v = sp.symbols("m v", positive=True)
    assert gaussian_average(sp.exp(x), m, v) == sp.exp(m) * sp.exp(v / 2)


def test_refusals():
    with pytest.raises(NoClosedForm):
        ntk_activation_value(sp.tanh(x), 1, 10)
    with pytest.raises(DomainError, match="symbols"):
        ntk_activation(sp.sin(sp.Symbol("a") * x))
    with pytest.raises(DomainError, match="not a formula"):
        ntk_activation("sin(x)")
    with pytest.raises(DomainError, match="not a real number"):
        ntk_activation_value(sp.sin(x), sp.Symbol("s"), 10)


def test_an_infinite_average_is_refused_at_once():
    """exp(x^2/2) has no mean under N(0, 1): the integrand tends to a constant."""
    with pytest.raises(PrecisionError, match="unit variance is infinite"):
        ntk_activation_value(sp.exp(x**2 / 2), 1, digits=15)
