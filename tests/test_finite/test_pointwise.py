"""Activations on arrays: the fast functions against the compiled ones."""

import numpy as np
import pytest
import sympy as sp
from scipy import special
from sympy.polys.orthopolys import hermite_prob_poly

import kernalg as ka
from kernalg.finite.hermite_sum import hermite_coefficients
from kernalg.finite.pointwise import pointwise

# Every kind of formula the walk knows, and functions it leaves to the compiled ones (the last line).
FORMULAS = [
    "relu", "leaky_relu", "tanh", "erf", "gelu", "silu", "softplus", "log_cosh", "elu", "hard_tanh", "arctan", "sign",
    "squared_relu", "softsign", "probit", "identity", "3", "sin(6*x)/2", "x^7-x/3", "1/sqrt(1+x^2)", "x*cosh(x/9)",
    "sinc", "abs(x)^(3/2)", "dawson",
]  # fmt: skip


def written_by_sympy(expr):
    """Another printer of the same formula."""
    own = {"normal_cdf": special.ndtr, "dawson": special.dawsn, "Heaviside": lambda t, *_: np.heaviside(t, 0.5)}
    function = sp.lambdify(ka.x, expr, [own, "scipy"])

    def quiet(z):  # SciPy evaluates all branches of a Piecewise
        with np.errstate(all="ignore"):
            return np.asarray(function(z))

    return quiet


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_fast_functions_agree_with_another_evaluation(formula, dtype):
    phi = ka.activation(formula)
    z = np.random.default_rng(0).uniform(-6, 6, (30, 20)).astype(dtype)
    z[0, :3] = 0.001, 1, 3  # thresholds among them
    value, slope = pointwise(phi).value_and_slope(z)
    exact = z.astype(np.float64)
    steepness = 6 * np.abs(written_by_sympy(phi.derivative().expr)(exact))
    for made, expr in ((value, phi.expr), (slope, phi.derivative().expr)):
        wanted = np.broadcast_to(written_by_sympy(expr)(exact), z.shape)
        assert made.dtype == dtype and made.shape == z.shape
        # 3e-12 is what sinc loses to cancellation in the other evaluation
        allowed = 200 * np.finfo(dtype).eps * (1 + np.abs(wanted) + steepness) + 1e-9 * (formula == "sinc")
        assert (np.abs(made - wanted) <= allowed).all()
    assert (pointwise(phi).value(z) == value).all() and (pointwise(phi).slope(z) == slope).all()


def test_polynomials_of_high_degree_keep_their_digits():
    # Written in powers, h_40(6) has terms 1e16 times its value.
    phi = ka.activation(hermite_prob_poly(40, ka.x) / sp.sqrt(sp.factorial(40)) + 2 * ka.x)
    assert hermite_coefficients(phi.expr)[40] == 1 and hermite_coefficients(phi.expr)[38] == 0
    points = np.array([-6.0, 0.5, 6.0, 12.0])
    wanted = [float(phi.expr.subs(ka.x, sp.Rational(v)).evalf(20)) for v in points]
    slopes = [float(sp.diff(phi.expr, ka.x).subs(ka.x, sp.Rational(v)).evalf(20)) for v in points]
    value, slope = pointwise(phi).value_and_slope(points)
    np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, slopes, rtol=1e-12, atol=1e-11)
    assert pointwise(phi).value(points.astype(np.float32)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    rows = np.random.default_rng(0).standard_normal((300, 40))
    assert (pointwise(phi).value(rows).ravel() == pointwise(phi).value(rows.ravel())).all()


def test_at_a_jump_the_value_is_that_of_the_formula():
    assert pointwise(ka.activation("step")).value(np.zeros(1)) == 0.5 == ka.activation("step")(0)
    assert pointwise(ka.activation("relu")).slope(np.zeros(1)) == 0.5


def test_cancellation_near_a_removable_singularity_is_noticed():
    # sin(x)/x has the slope -x/3 near 0; cos(x)/x - sin(x)/x**2 is wrong there in every digit.
    slope = pointwise(ka.activation("sinc")).slope(np.array([1e-6, -1e-3]))
    assert slope == pytest.approx([-1e-6 / 3, 1e-3 / 3 * (1 - 1e-7)], rel=1e-12)
    assert pointwise(ka.activation("sinc")).slope(np.full(1, 1e-3, np.float32)) == pytest.approx(-1e-3 / 3, rel=1e-6)


def test_overflow_inside_a_formula_is_repaired():
    z = np.array([-800.0, 0.0, 800.0])
    assert pointwise(ka.activation("log_cosh")).value(z) == pytest.approx([800 - np.log(2), 0, 800 - np.log(2)])
    assert pointwise(ka.activation("softplus")).value(z.astype(np.float32)) == pytest.approx([0, np.log(2), 800])


class Strict:
    """x^9, which refuses what is not finite, as compiled functions do."""

    def __call__(self, z):
        assert np.isfinite(z).all()
        return np.asarray(z, np.float64) ** 9

    def derivative(self):
        return lambda z: 9 * np.asarray(z, np.float64) ** 8


@pytest.mark.parametrize("phi", [Strict(), ka.activation("dawson"), ka.activation("relu")])
def test_what_is_not_finite_stays_so(phi):
    value = pointwise(phi).value(np.array([0.5, np.inf, np.nan, 2.0], np.float32))
    assert np.isfinite(value).tolist() == [True, False, False, True] and value.dtype == np.float32
    assert not np.isfinite(pointwise(Strict()).value(np.full(1, 1e30, np.float32))).any()


def test_what_is_no_activation_is_refused():
    with pytest.raises(ka.DomainError, match="derivative"):
        pointwise(np.sin)


class Sloppy:
    """An activation of the user's that forgets the shape."""

    def __call__(self, z):
        return z.sum()

    def derivative(self):
        return np.ones_like


def test_an_activation_that_changes_the_shape_is_named():
    with pytest.raises(ka.DomainError, match="each entry"):
        pointwise(Sloppy()).value(np.ones((2, 3)))


def test_a_function_that_leaves_float64_gives_no_warning():
    """exp(x^2) overflows at 27, and the wider arithmetic it is compared with does not."""
    z = np.array([1.0, 26.0])
    value, slope = pointwise(ka.activation("exp(x**2)")).value_and_slope(z)
    np.testing.assert_allclose(value, np.exp(z**2), rtol=1e-12)
    np.testing.assert_allclose(slope, 2 * z * np.exp(z**2), rtol=1e-12)
