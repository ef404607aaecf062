"""Balls against mpmath, closed identities and each other."""

from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import pytest
import sympy as sp
from flint import acb, arb, arb_series, ctx, fmpq

from kernalg.enclosure.balls import ball, ball_function, bits_for, certain_digits, enclose, precision, to_float
from kernalg.enclosure.integrals import gauss_legendre, integral
from kernalg.errors import DomainError, PrecisionError
from kernalg.symbols import bivariate_normal_cdf, c, normal_cdf, q1, q2, rho, x

t = sp.Symbol("t", real=True)


@pytest.fixture(autouse=True)
def _wide():
    # Comparisons in the tests run at this precision, whatever the code used inside.
    with precision(400):
        yield


# expression in t, a point of its domain, the same in mpmath
FUNCTIONS = [
    (sp.sqrt(1 - t**2) + t * (sp.pi - sp.acos(t)), Fraction(3, 10), lambda z: mp.sqrt(1 - z**2) + z * mp.acos(-z)),
    (sp.asin(2 * t / 3) * sp.exp(-t), Fraction(2, 5), lambda z: mp.asin(2 * z / 3) * mp.exp(-z)),
    (sp.atan(t) + sp.atan2(1 + t, t), Fraction(1, 7), lambda z: mp.atan(z) + mp.atan2(1 + z, z)),
    (sp.log(1 + t) ** 2 / (3 + t), Fraction(1, 2), lambda z: mp.log(1 + z) ** 2 / (3 + z)),
    (sp.sin(t) * sp.cos(t) + sp.tan(t), Fraction(1, 3), lambda z: mp.sin(z) * mp.cos(z) + mp.tan(z)),
    (sp.sinh(t) + sp.cosh(2 * t) * sp.tanh(t), Fraction(4, 5), lambda z: mp.sinh(z) + mp.cosh(2 * z) * mp.tanh(z)),
    (sp.erf(t) + sp.erfc(t) * sp.erfi(t), Fraction(3, 5), lambda z: mp.erf(z) + mp.erfc(z) * mp.erfi(z)),
    ((2 + t) ** sp.Rational(5, 2) * (1 + t) ** sp.Rational(1, 3), Fraction(1, 4), 
     lambda z: mp.sqrt(2 + z) ** 5 * mp.cbrt(1 + z)),
    ((2 + t) ** (-sp.Rational(3, 2)) + (1 + t) ** (t + sp.sqrt(2)), Fraction(1, 4), 
     lambda z: (2 + z) ** mp.mpf("-1.5") + (1 + z) ** (z + mp.sqrt(2))),
    (sp.gamma(t + 2) * normal_cdf(t - 1), Fraction(9, 10), lambda z: mp.gamma(z + 2) * mp.ncdf(z - 1)),
    (sp.asinh(t) + sp.atanh(t / 2) + sp.sech(t), Fraction(1, 2), lambda z: mp.asinh(z) + mp.atanh(z / 2) + mp.sech(z)),
    (abs(t) * sp.sign(t - 2) + sp.Max(t, 1, t**2) + sp.Min(t, 3), Fraction(1, 2), lambda z: 1 + 0 * z),
    (sp.Heaviside(t) * sp.Piecewise((t**2, t < 1), (t**3, True)), Fraction(1, 2), lambda z: z**2),
]  # fmt: skip


def as_mp(number: Fraction) -> mp.mpf:
    return mp.mpf(number.numerator) / number.denominator


def agrees(value: arb, truth: mp.mpf, digits: int = 55) -> bool:
    """The ball is narrow and contains the truth (which mpmath gives with 60 digits or more)."""
    reference = ball(truth) + arb(0, float(abs(truth)) * 10.0**-digits + 1e-200)
    return bool(value.overlaps(reference)) and certain_digits(value) >= digits


@pytest.mark.parametrize(("expr", "point", "truth"), FUNCTIONS, ids=[str(row[0])[:30] for row in FUNCTIONS])
def test_functions_and_their_series_agree_with_mpmath(expr, point, truth):
    f = ball_function(expr, [t])
    with mp.workdps(75), precision(300):
        z = ball(point)
        assert agrees(f(z), truth(as_mp(point)))
        assert f(acb(z), analytic=True).real.overlaps(f(z))
        assert f(acb(z)).real.overlaps(f(z))
        coefficients = f(arb_series([z, 1], prec=14))
        assert coefficients.prec == 14
        expected = mp.taylor(truth, as_mp(point), 6)
        for k in range(7):
            # mpmath differentiates numerically: 25 digits of it are good.
            assert abs(coefficients[k] - ball(expected[k])) < 1e-25
        # Off the real line, against the series (which knows nothing of complex arithmetic).
        shift = acb(0, "1e-6")
        there = f(acb(z) + shift, analytic=True)
        horner = sum((acb(coefficients[k]) * shift**k for k in range(14)), acb(0))
        assert there.is_finite()
        assert abs(there - horner) < arb("1e-70")


def test_shared_subexpressions_and_constants_are_evaluated_once(monkeypatch):
    from kernalg.enclosure import arithmetic

    calls = []
    original = arithmetic.TABLE["sqrt"]
    monkeypatch.setitem(arithmetic.TABLE, "sqrt", lambda *a: calls.append(a) or original(*a))
    f = ball_function(sp.sqrt(1 - t**2) * sp.acos(t) + (1 - t**2) ** sp.Rational(3, 2) + sp.sqrt(2) * t, [t])
    with precision(100):
        f(arb(0.5)), f(arb(0.25))
    assert len(calls) == 3  # sqrt(2) once, sqrt(1 - t^2) once a call


def test_precision_nests_and_restores():
    before = ctx.prec, ctx.cap
    with precision(100, terms=7):
        with precision(333):
            assert (ctx.prec, ctx.cap) == (333, 7)
        assert (ctx.prec, ctx.cap) == (100, 7)
        with pytest.raises(ZeroDivisionError), precision(50):
            raise ZeroDivisionError
        assert ctx.prec == 100
    assert (ctx.prec, ctx.cap) == before


def test_numbers():
    with precision(120):
        third = ball(Fraction(1, 3))
        assert third.overlaps(arb(fmpq(1, 3))) and not third.is_exact()
        assert ball(sp.Rational(1, 3)).overlaps(third)
        assert ball(0.1).is_exact() and not ball(0.1).contains(fmpq(1, 10))
        assert ball(mp.mpf("0.375")) == arb(0.375) and ball(-mp.mpf("0.375")) == arb(-0.375)
        assert ball(sp.Float("0.25")) == arb(0.25)
        assert (ball(sp.sqrt(2)) ** 2).contains(2)
    for bad in (float("nan"), float("inf"), True, "1", sp.oo, sp.zoo, sp.I, t, None, 1j):
        with pytest.raises(DomainError):
            ball(bad)


def test_unknown_functions_and_symbols_are_refused():
    for bad in (sp.zeta(t), t + x, sp.I * t, sp.oo * t):
        with pytest.raises(DomainError):
            ball_function(bad, [t])
    with pytest.raises(DomainError):
        ball_function(t, [t])(arb(1), arb(2))


def test_boundary_of_the_domain_is_clamped_and_outside_is_nan():
    with precision(120):
        root = ball_function(sp.sqrt(q1 * q2 - c**2), [q1, q2, c])
        value = root(ball(2), ball(3), ball(sp.sqrt(6)))
        assert value.is_finite() and value.contains(0) and value < 1e-15
        assert root(ball(2), ball(3), ball(3)).is_nan()
        for function, limit in ((sp.asin, arb.pi() / 2), (sp.acos, arb(0))):
            f = ball_function(function(t), [t])
            edge = f(arb(1, 1e-30))
            assert edge.overlaps(limit) and edge.rad() < 1e-14
            assert f(-arb(1, 1e-30)).is_finite()
            assert f(arb(1.1)).is_nan()
        assert ball_function(sp.cbrt(t), [t])(arb(0, 1e-30)).rad() < 1e-9
    assert enclose(root, {q1: 2, q2: 3, c: sp.sqrt(6)}, 20).contains(0)


def test_analytic_flag_refuses_boxes_on_a_cut():
    cuts = [
        (sp.sqrt(t), -1), (sp.log(t), -1), (sp.asin(t), 2), (sp.acos(t), -2), (sp.cbrt(t), -1),
        (abs(t), 0), (sp.sign(t), 0), (sp.Max(t, 0), 0), (sp.Heaviside(t), 0), (sp.Piecewise((1, t < 0), (2, True)), 0),
        (bivariate_normal_cdf(1, 2, t), 1.5),
    ]  # fmt: skip
    with precision(80):
        for expr, point in cuts:
            f = ball_function(expr, [t])
            assert not f(acb(arb(point, 0.1), arb(0, 0.1)), analytic=True).is_finite(), expr
            assert f(acb(arb(0.5, 0.01), arb(0, 0.01)), analytic=True).is_finite(), expr
        f = ball_function(sp.atan(t), [t])
        assert not f(acb(arb(0, 0.1), arb(2)), analytic=True).is_finite()
        f = ball_function(sp.atan2(t, -1), [t])
        assert not f(acb(arb(0, 0.1)), analytic=True).is_finite()
        assert f(acb(arb(0.5, 0.1), arb(0, 0.1)), analytic=True).is_finite()


def test_undecided_cases_give_the_hull():
    f = ball_function(sp.Piecewise((1, t < 0), (3, t < 5), (100, True)), [t])
    with precision(60):
        hull = f(arb(0, 0.5))
        assert hull.contains(1) and hull.contains(3) and not hull.contains(5)
        assert f(arb(0)) == 3 and f(arb(-1)) == 1 and f(arb(5)) == 100
        guarded = ball_function(sp.Piecewise((1, sp.Eq(t, 0)), (sp.sin(t) / t, True)), [t])
        assert guarded(arb(0)) == 1 and guarded(arb(0, 0.1)).is_nan()


# ---------------------------------------------------------------------------------------------------------------------


def phi2_by_conditioning(h, k, r):
    """E[1{Z <= h} Phi((k - r Z)/sqrt(1 - r^2))]: another integral than the one in the code."""
    h, k, r = map(mp.mpf, (h, k, r))
    s = mp.sqrt(1 - r * r)
    return mp.quad(
        lambda z: mp.npdf(z) * mp.ncdf((k - r * z) / s), [-mp.inf, *(h - j for j in (12, 8, 5, 3, 2, 1, 0.5, 0.2, 0))]
    )


PHI2 = ball_function(bivariate_normal_cdf(q1, q2, rho), [q1, q2, rho])


@pytest.mark.parametrize(("h", "k", "r"), [(0.5, -0.25, 0.75), (-3, -2, -0.5), (1.5, 0, 0.25), (-8, -8, -0.5)])
def test_bivariate_normal_against_conditioning(h, k, r):
    with mp.workdps(120):  # quad's error is absolute
        truth = phi2_by_conditioning(h, k, r)
        value = enclose(PHI2, {q1: h, q2: k, rho: r}, 40)
        assert abs(value - ball(truth)) < abs(value) * arb(10) ** -35


@pytest.mark.parametrize("epsilon", [Fraction(1, 10**3), Fraction(1, 10**9), Fraction(1, 10**25), 0])
def test_bivariate_normal_near_one(epsilon):
    for h, k in ((Fraction(1, 2), Fraction(2, 5)), (1, 1), (-1, 2), (-2, -2)):
        r = 1 - Fraction(epsilon)
        plus = enclose(PHI2, {q1: h, q2: k, rho: r}, 30)
        minus = enclose(PHI2, {q1: h, q2: -k, rho: -r}, 30)
        phi = enclose(normal_cdf(t), {t: h}, 60)
        # P(Z1 <= h, Z2 <= k) + P(Z1 <= h, -Z2 <= -k) = Phi(h), the two signs by different integrals.
        assert abs(plus + minus - phi) < arb(10) ** -28
        limit = enclose(normal_cdf(t), {t: min(h, k)}, 60)
        assert abs(plus - limit) <= arb(float(epsilon)).sqrt() + arb(10) ** -28


def test_bivariate_normal_of_balls_contains_its_corners_and_is_narrow():
    with precision(120):
        for r, radius in ((0.5, 1e-6), (0.9999999, 1e-9), (1.0, 1e-6)):
            h, k = arb(0.3, 1e-7), arb(0.31, 1e-7)
            whole = PHI2(h, k, arb(r, radius))
            for sh in (-1, 1):
                for sr in (-1, 0):
                    corner = PHI2(arb(0.3) + sh * 9e-8, arb(0.31) - sh * 9e-8, arb(r) + sr * radius * 0.9)
                    assert whole.contains(corner)
            assert whole.rad() < 1e-2
        assert PHI2(arb(1), arb(2), arb(1.5)).is_nan()


def test_bivariate_normal_series_and_complex():
    with precision(200), mp.workdps(50):
        point = ball(Fraction(1, 4))
        h, k = ball(Fraction(1, 2)), ball(Fraction(-3, 10))
        by_r = PHI2(h, k, arb_series([point, 1], prec=10))
        by_h = PHI2(arb_series([h, 1], prec=10), k, point)
        both = PHI2(arb_series([h, 1], prec=10), k, arb_series([point, 2], prec=10))
        step = arb("1e-5")
        for series, moved in (
            (by_r, PHI2(h, k, point + step)),
            (by_h, PHI2(h + step, k, point)),
            (both, PHI2(h + step, k, point + 2 * step)),
        ):
            horner = sum((series[n] * step**n for n in range(10)), arb(0))
            assert abs(horner - moved) < arb("1e-45")
        shift = acb(0, "1e-5")
        horner = sum((acb(by_r[n]) * shift**n for n in range(10)), acb(0))
        assert abs(PHI2(acb(h), acb(k), acb(point) + shift, analytic=True) - horner) < arb("1e-45")


# ---------------------------------------------------------------------------------------------------------------------


def test_enclose_raises_the_precision_until_the_digits_are_there():
    expr = sp.exp(t) - 1 - t - t**2 / 2
    value = enclose(expr, {t: Fraction(1, 10**20)}, 40)
    with mp.workdps(200):
        z = mp.mpf(10) ** -20
        assert agrees(value, mp.exp(z) - 1 - z - z * z / 2, 40)
    with mp.workdps(60):
        assert agrees(enclose(normal_cdf(t), {t: -40}, 40), mp.erfc(40 / mp.sqrt(2)) / 2, 40)


def test_enclose_zero_and_refusals():
    assert enclose(sp.sin(t) ** 2 + sp.cos(t) ** 2 - 1, {t: 1}, 20).contains(0)
    assert to_float(enclose(sp.sin(t) ** 2 + sp.cos(t) ** 2 - 1, {t: 1}, 20), 20).is_zero
    assert enclose(t - t / 2, {t: 0}, 20) == 0
    with pytest.raises(PrecisionError, match="20 digits were asked"):
        enclose(sp.log(t), {t: -1}, 20)
    for digits in (0, -3, 2.5, True, 10**6, "5"):
        with pytest.raises(DomainError, match="digits"):
            enclose(t, {t: 1}, digits)
    with pytest.raises(DomainError):
        enclose(ball_function(t + x, [t, x]), {t: 1}, 10)
    assert enclose(lambda a, b: a / b, (1, 3), 30).overlaps(arb(fmpq(1, 3)))


def test_to_float_has_the_digits():
    value = to_float(enclose(sp.pi * t, {t: 1}, 60), 60)
    with mp.workdps(70):
        assert abs(mp.mpf(value._mpf_) - mp.pi) < mp.mpf(10) ** -59
    assert str(to_float(arb(-0.375), 10)) == "-0.3750000000"
    with precision(60), pytest.raises(PrecisionError):
        to_float(arb.pi(), 30)
    assert bits_for(30) > 100


# ---------------------------------------------------------------------------------------------------------------------


def test_integral():
    gaussian = ball_function(sp.exp(-(t**2) / 2), [t])
    value = integral(lambda z, a: gaussian(z, analytic=a), -3, sp.sqrt(5), digits=40)
    with mp.workdps(60):
        assert agrees(value, (mp.ncdf(mp.sqrt(5)) - mp.ncdf(-3)) * mp.sqrt(2 * mp.pi), 38)
    kinked = ball_function(abs(t - sp.Rational(1, 3)), [t])
    value = integral(lambda z, a: kinked(z, analytic=a), 0, 1, breakpoints=[Fraction(1, 3)], digits=40)
    assert value.overlaps(arb(fmpq(5, 18)))
    root = ball_function(sp.sqrt(1 - t**2), [t])
    assert integral(lambda z, a: root(z, analytic=a), -1, 1, digits=40).overlaps(enclose(sp.pi / 2, {}, 60))
    # Tiny: the accuracy is relative.
    value = integral(lambda z, a: gaussian(z, analytic=a), 20, 30, digits=20)
    assert certain_digits(value) >= 20 and value < 1e-80
    # Zero: found to be negligible.
    assert integral(lambda z, a: z**3, -1, 1, digits=20).contains(0)
    with pytest.raises(PrecisionError):
        integral(lambda z, a: 1 / z, -1, 2, digits=10)


def test_integral_that_ignores_the_analytic_flag_would_be_wrong():
    root = ball_function(sp.sqrt(t), [t])
    with precision(60):
        wrong = acb.integral(lambda z, a: root(z), 1, 4).real
        right = acb.integral(lambda z, a: root(z, analytic=a), 1, 4).real
    assert right.overlaps(arb(fmpq(14, 3))) and not wrong.overlaps(arb(fmpq(14, 3)))


def test_gauss_legendre_integrates_polynomials_exactly():
    for n in (1, 5, 12):
        nodes, weights = gauss_legendre(n, 150)
        with precision(150):
            for degree in range(2 * n):
                moment = sum((w * z**degree for z, w in zip(nodes, weights, strict=True)), arb(0))
                assert moment.overlaps(arb(fmpq(2, degree + 1)) if degree % 2 == 0 else arb(0)) and moment.rad() < 1e-35


TAILS = [
    (-1, -2, 0.9), (-30, -31, 0.5), (-40, 35, -0.99), (3, -50, 0.7), (-20, -20, -0.5), (1, 2, -1 + 2.0**-27),
    (30, -20, -1 + 2.0**-10), (-25, -24, 1 - 2.0**-20), (5, 7, 0.25),
]  # fmt: skip


@pytest.mark.parametrize(("h", "k", "r"), TAILS, ids=str)
def test_bivariate_normal_is_relatively_accurate_in_the_tails(h, k, r):
    """Against the integral of phi(z) Phi((k - r z)/s) over z < h, certified relative to its peak."""
    with precision(200):
        value = ball_function(bivariate_normal_cdf(h, k, t), [t])(arb(r))
        assert value.rel_accuracy_bits() > 150
        s = ((1 - arb(r)) * (1 + arb(r))).sqrt()

        def f(z, _=False):
            return (-(z * z) / 2).exp() / (2 * arb.pi()).sqrt() * ((r * z - k) / s / arb(2).sqrt()).erfc() / 2

        low = h - 60
        peak = max((f(arb(h) - arb(i) / 64) for i in range(64 * 60)), key=lambda v: v.log().mid())
        cuts = sorted({low, h, *(h - 2.0**-i for i in range(-4, 16))})
        pieces = (
            acb.integral(f, acb(u), acb(v), abs_tol=peak.mid() * arb(10) ** -40, eval_limit=10**5)
            for u, v in pairwise(cuts)
        )
        reference = sum(pieces, start=acb(0)).real
        assert abs(value / reference - 1) < arb("1e-20"), (value, reference)


def test_bivariate_normal_at_complex_arguments():
    """Against Plackett's integral in mpmath; conjugate arguments; the complement Phi_2(h, k, r) + Phi_2(-h, k, -r)."""
    from kernalg.enclosure import bivariate

    with precision(200), mp.workdps(30):
        for h, k, r in ((1 + 2j, -1 + 1j, 0.5), (1 + 3j, 2 + 0.5j, -0.25), (-2 + 1j, 0.5 - 2j, 0.875)):
            value = bivariate.complex(acb(h), acb(k), acb(r))
            H, K, R = mp.mpc(h), mp.mpc(k), mp.mpf(r)
            path = mp.quad(
                lambda a, H=H, K=K: mp.exp(-(H * H - 2 * H * K * mp.sin(a) + K * K) / (2 * mp.cos(a) ** 2)),
                [0, mp.asin(R)],
            )
            truth = mp.erfc(-H / mp.sqrt(2)) * mp.erfc(-K / mp.sqrt(2)) / 4 + path / (2 * mp.pi)
            assert abs(value - acb(ball(truth.real), ball(truth.imag))) < 1e-25
            assert value.conjugate().overlaps(bivariate.complex(acb(h).conjugate(), acb(k).conjugate(), acb(r)))
            both = value + bivariate.complex(-acb(h), acb(k), -acb(r))
            assert both.overlaps(bivariate.cdf(acb(k)))
            wide = bivariate.complex(acb(h) + acb(arb(0, 1e-9), arb(0, 1e-9)), acb(k), acb(r))
            assert wide.overlaps(value) and wide.real.rad() < 1e-6


def test_real_and_imaginary_parts_and_their_continuation():
    f = ball_function(sp.re(normal_cdf(t + sp.I * t**2)), [t])
    g = ball_function(sp.im(normal_cdf(t + sp.I * t**2)), [t])
    with precision(120), mp.workdps(30):
        z = mp.mpf(3) / 4
        truth = mp.erfc(-(z + 1j * z * z) / mp.sqrt(2)) / 2
        assert isinstance(f(arb(0.75)), arb)
        assert abs(f(arb(0.75)) - ball(truth.real)) < 1e-25 and abs(g(arb(0.75)) - ball(truth.imag)) < 1e-25
        # analytic: equal to its Taylor polynomial off the real line
        step = arb("1e-4")
        slope = (f(arb(0.75) + step) - f(arb(0.75) - step)) / (2 * step)
        off = f(acb(0.75, step), analytic=True)
        assert abs(off.imag - slope * step) < 1e-10 and abs(off.real - f(arb(0.75))) < 1e-7


def test_even_power_of_a_ball_around_zero():
    with precision(100):
        value = ball_function(t**2, [t])(arb(0, 1e-20))
        assert value.is_finite() and value.contains(0) and value.abs_upper() < 1e-39
        assert ball_function(t**3, [t])(arb(0, 1e-20)).contains(arb(-1e-60))
