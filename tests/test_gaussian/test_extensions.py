"""Closed forms beyond the normal form, and staircases, against integrals that know nothing of them."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_series

import kernalg as ka
from kernalg.enclosure.balls import ball, ball_function, enclose, precision
from kernalg.gaussian import lattice
from kernalg.gaussian.pieces import pieces
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.gaussian.series import hermite_coefficients
from kernalg.symbols import dawson, x

R = sp.Rational
POINT = (R(3, 2), R(2, 3), R(-2, 5))
TINY = sp.Float("1e-28")


def exactly(value: float) -> sp.Rational:
    return R(*float(value).as_integer_ratio())


def agree(value: sp.Expr, reference: Any) -> bool:
    return bool(abs(value - sp.Float(mp.nstr(reference, 40), 40)) < TINY * max(1, abs(value)))


def angular(n: Any, m: Any, left: Any, right: Any, angle: Any) -> Any:
    """E[f(u) g(v)] of f = left[sign] |x|^n, g = right[sign] |x|^m at unit variances, by polar coordinates."""
    half = mp.pi / 2
    ends = sorted({-half, half, angle - half, angle + half, 3 * half})

    def around(t: Any) -> Any:
        a, b = mp.cos(t), mp.cos(t - angle)
        return left[a > 0] * abs(a) ** n * right[b > 0] * abs(b) ** m

    radial = 2 ** ((n + m) / 2) * mp.gamma((n + m) / 2 + 1) / (2 * mp.pi)
    return radial * mp.quad(around, ends)


POWERS = [
    ("abs(x)**(3/2)", R(3, 2), (1, 1)),
    ("sign(x)*abs(x)**(1/3)", R(1, 3), (-1, 1)),
    ("max(x,0)**(5/2)", R(5, 2), (0, 1)),
    ("2*max(x,0)**(1/2) - max(-x,0)**(1/2)/3", R(1, 2), (-R(1, 3), 2)),
    ("x*abs(x)**(2/3)", R(5, 3), (-1, 1)),
    ("max(x,0)", R(1), (0, 1)),
]


@pytest.mark.parametrize("first", POWERS, ids=[p[0] for p in POWERS])
def test_real_powers_against_polar_integrals(first: Any) -> None:
    with mp.workdps(36):
        q1, q2, c = (mp.mpf(v.p) / v.q for v in POINT)
        angle = mp.acos(c / mp.sqrt(q1 * q2))
        for second in POWERS:
            n, m = (mp.mpf(p[1].p) / p[1].q for p in (first, second))
            sides = [[mp.mpf(sp.S(a).p) / sp.S(a).q for a in p[2]] for p in (first, second)]
            reference = q1 ** (n / 2) * q2 ** (m / 2) * angular(n, m, *sides, angle)
            assert agree(ka.cross_dual(first[0], second[0]).value(*POINT, digits=32), reference), second


def test_elementary_limits_of_the_power_formulas() -> None:
    """p = 2 and 1 in the hypergeometric formula are the arc-cosine kernels; |x|^p at p -> 0 is 1."""
    p = sp.Symbol("p", positive=True)
    for name, degree in (("rectified_power", 2), ("rectified_power", 1), ("signed_power", 2), ("abs_power", 4)):
        general = ka.activation(name, p=p).dual.expr
        value = enclose(general.subs(p, degree), dict(zip((ka.q1, ka.q2, ka.c), POINT, strict=True)), 40)
        with precision(200):
            assert value.overlaps(ka.activation(name, p=degree).dual.enclosure(*POINT, digits=40))
    derivative = ka.activation("abs_power", p=p).dual.derivative.expr
    value = enclose(derivative.subs(p, R(3, 2)), dict(zip((ka.q1, ka.q2, ka.c), POINT, strict=True)), 40)
    with precision(200):
        assert value.overlaps(ka.activation("abs(x)**(3/2)").dual.derivative.enclosure(*POINT, digits=40))


@pytest.mark.parametrize(
    "text", ["abs(x)**(3/2)", "2*max(x,0)**(5/2) + x", "sign(x)*abs(x)**(2/3)", "log(abs(x)) + x**2", "sinc", "dawson"]
)
def test_three_ways_to_the_derivative_dual_and_the_ends(text: str) -> None:
    dual = ka.activation(text).dual
    step = R(1, 10**20)
    q1, q2, c = POINT
    difference = (dual.value(q1, q2, c + step, digits=60) - dual.value(q1, q2, c - step, digits=60)) / (2 * step)
    assert abs(difference - dual.distributional.value(*POINT, digits=30)) < TINY * 10
    if text != "log(abs(x)) + x**2":
        assert abs(dual.derivative.value(*POINT, digits=30) - difference) < TINY * 10
    # the one-variable formulas are the limits: u = v, u = -v, u = 2v, from nearby
    for at in ((1, 1, 1), (1, 1, -1), (1, 4, -2), (2, 3, sp.sqrt(6))):
        near = dual.value(at[0], at[1], at[2] * (1 - R(1, 10**40)), digits=30)
        assert abs(dual.value(*at, digits=30) - near) < sp.Float("1e-18")
    if text in ("sinc", "dawson", "abs(x)**(3/2)"):
        near = dual.derivative.value(1, 4, 2 * (1 - R(1, 10**40)), digits=30)
        assert abs(dual.derivative.value(1, 4, 2, digits=30) - near) < sp.Float("1e-18")


@pytest.mark.parametrize(
    "text", ["abs(x)**(3/2)", "max(x,0)**(1/3)", "log(abs(3*x)) - x", "sin(2*x)/x + dawson(x/2) - 3", "dawson(x)+x"]
)
def test_exact_hermite_coefficients_sum_to_the_dual(text: str) -> None:
    phi = ka.activation(text)
    a, b = (phi.hermite(90, q=q) for q in POINT[:2])
    value = phi.dual.value(*POINT, digits=40)
    with precision(1200):
        rho = ball(POINT[2] / sp.sqrt(POINT[0] * POINT[1]))
        total = sum((ball(s) * ball(t) * rho**k for k, (s, t) in enumerate(zip(a, b, strict=True))), start=arb(0))
    assert abs(sp.Float(total.str(40, radius=False), 40) - value) < TINY


def test_log_against_polar_integrals() -> None:
    """E[log|u| log|v|], the radius by moments of log R."""
    with mp.workdps(36):
        q1, q2, c = (mp.mpf(v.p) / v.q for v in POINT)
        angle, half = mp.acos(c / mp.sqrt(q1 * q2)), mp.pi / 2
        mean, variance = (mp.log(2) - mp.euler) / 2, mp.pi**2 / 24
        logs = [lambda t: mp.log(abs(mp.sqrt(q1) * mp.cos(t))), lambda t: mp.log(abs(mp.sqrt(q2) * mp.cos(t - angle)))]
        ends = sorted({-half, half, angle - half, angle + half, 3 * half})
        around = mp.quad(lambda t: (mean + logs[0](t)) * (mean + logs[1](t)), ends) / (2 * mp.pi)
        assert agree(ka.activation("log_abs").dual.value(*POINT, digits=32), around + variance)


@pytest.mark.parametrize("text", ["3*sin(2*x)/x + 1", "dawson(x) + x"])
def test_transforms_against_certified_quadrature(text: str) -> None:
    phi = ka.activation(text)
    for at in (POINT, (1, 1, R(99, 100))) if phi.parity == "even" else (POINT,):
        value = phi.dual.enclosure(*at, digits=30)
        with precision(200):
            assert value.overlaps(certified_expectation(phi.pieces, phi.pieces, *at, 30))


@pytest.mark.parametrize(
    ("text", "word"),
    [("1/x", "integrable"), ("x**(3/2)", "Max"), ("Max(x,0)**(-1/4)", "Piecewise"), ("floor(x)", "infinitely many")],
)
def test_refusals_give_the_reason(text: str, word: str) -> None:
    with pytest.raises(ka.NoClosedForm, match=word):
        ka.activation(text).dual.expr  # noqa: B018
    if text != "floor(x)":
        with pytest.raises(ka.NoClosedForm, match=word):
            ka.activation(text).dual.value(1, 1, 0)


def test_refused_derivatives_and_exponents() -> None:
    for call in (lambda d: d.expr, lambda d: d.value(1, 1, 0), lambda d: d(1.0, 1.0, 0.5)):
        with pytest.raises(ka.NoClosedForm, match="integrable"):
            call(ka.activation("log_abs").dual.derivative)
    root = ka.activation("sqrt(abs(x))").dual.derivative
    assert root.value(1, 1, R(1, 2), digits=20) > 0
    with pytest.raises(ka.NoClosedForm, match="infinite"):
        root.value(1, 1, 1)
    with pytest.raises(ka.DomainError, match="-1/2"):
        ka.activation("abs_power", p="-1/2")
    with pytest.raises(ka.NoClosedForm, match="positive=True"):
        ka.activation(sp.Abs(x) ** sp.Symbol("p", real=True)).dual.expr  # noqa: B018
    with pytest.raises(ka.DomainError, match="variance 0"):
        ka.activation("log_abs").dual.value(0, 1, 0)


@pytest.mark.parametrize(
    "text",
    ["abs(x)**(3/2)", "max(x,0)**(1/3)", "2*max(x,0)**(5/2) + max(-x,0)**(1/2)", "abs(x)**(-1/4)", "sinc", "dawson"],
)
def test_arrays_also_near_the_ends(text: str) -> None:
    dual = ka.activation(text).dual
    rho = np.array([-1 + 1e-13, -1 + 1e-7, -0.99, -0.6, 1e-9, 0.3, 0.5, 0.9, 1 - 1e-9])
    duals = [dual] if text == "abs(x)**(-1/4)" else [dual, dual.derivative]
    for each in duals:
        for q1, q2 in ((1.0, 1.0), (0.75, 3.0)):
            c = rho * np.sqrt(q1 * q2)
            for value, at in zip(each(q1, q2, c), c, strict=True):
                exact = each.value(exactly(q1), exactly(q2), exactly(at), digits=20)
                assert float(abs(sp.Float(value, 25) - exact)) < 2e-14 * float(abs(exact)), (at, each.kind)
    assert np.isfinite(dual(2.0, 2.0, np.array([-2.0, 2.0]))).all()


def test_hypergeometric_balls() -> None:
    """2F1 at an interval around 1, its Taylor series, and Dawson's function, by mpmath and by each other."""
    f = ball_function(sp.hyper([R(-3, 4), R(7, 4)], [R(11, 3)], x), [x])
    with precision(150):
        at_one = f(arb(1))
        around = f(arb(1, arb(2) ** -60))
        assert around.contains(at_one) and around.contains(f(1 - arb(2) ** -62)) and around.rad() < arb(2) ** -55
        assert not f(arb(1.01)).is_finite()
        for centre in (arb(0), arb("0.4")):
            series = f(arb_series([centre, 1], prec=8))
            step = arb("0.001")
            total = sum((series[k] * step**k for k in range(8)), start=arb(0))
            assert abs(total - f(centre + step)) < arb(10) ** -20
        g = ball_function(dawson(x), [x])
        series = g(arb_series([arb("1.5"), 1], prec=12))
        total = sum((series[k] * arb("0.01") ** k for k in range(12)), start=arb(0))
        assert abs(total - g(arb("1.51"))) < arb(10) ** -22
    with mp.workdps(40):
        value = mp.hyp2f1(mp.mpf(-3) / 4, mp.mpf(7) / 4, mp.mpf(11) / 3, mp.mpf(9) / 10)
    with precision(150):
        assert abs(f(ball(R(9, 10))) - arb(mp.nstr(value, 38))) < arb(10) ** -30


# -- staircases --------------------------------------------------------------------------------------------------------


def staircase_reference(step: sp.Rational, phase: sp.Rational, q1: Any, q2: Any, c: Any) -> Any:
    """E of step*floor(x/step + phase) at (u, v): the conditional mean of v's given u, over the cells of u."""
    s, d = mp.mpf(step.p) / step.q, mp.mpf(phase.p) / phase.q
    q1, q2, c = (mp.mpf(v.p) / v.q for v in (q1, q2, c))
    spread = mp.sqrt(q2 - c * c / q1)
    cells = range(-int(13 * mp.sqrt(q1) / s) - 2, int(13 * mp.sqrt(q1) / s) + 2)

    def conditional(u: Any) -> Any:
        mean, total = c / q1 * u, mp.mpf(0)
        for k in range(-int(15 * mp.sqrt(q2) / s) - 2, int(15 * mp.sqrt(q2) / s) + 3):
            z = (mean - (k - d) * s) / spread
            total += mp.ncdf(z) if k >= 1 else -mp.ncdf(-z)
        return s * total

    def cell(k: int) -> Any:
        density = lambda u: mp.exp(-u * u / (2 * q1)) / mp.sqrt(2 * mp.pi * q1)  # noqa: E731
        return k * s * mp.quad(lambda u: conditional(u) * density(u), [(k - d) * s, (k + 1 - d) * s])

    return sum(cell(k) for k in cells if k)


@pytest.mark.parametrize(("text", "step", "phase"), [("floor(x)", R(1), R(0)), ("floor(x/2 + 1/3)*2", R(2), R(1, 3))])
def test_staircases_against_cells(text: str, step: sp.Rational, phase: sp.Rational) -> None:
    at = R(1, 16), R(1, 12), R(-1, 40)
    with mp.workdps(28):
        reference = staircase_reference(step, phase, *at)
    assert abs(ka.activation(text).dual.value(*at, digits=32) - sp.Float(mp.nstr(reference, 29), 32)) < sp.Float(
        "1e-27"
    )


def test_fourier_series_against_quadrants_and_hermite_series() -> None:
    for text in ("round(x) + x/3", "x - floor(x/2 + 1/3)"):
        stairs = lattice.recognise(ka.activation(text).pieces)
        assert stairs is not None
        for at in (POINT, (R(1, 50), R(1, 30), R(1, 100))):
            gap = at[0] * at[1] - at[2] ** 2
            with precision(300):
                tolerance = arb(10) ** -30
                waves = lattice._fourier(stairs, stairs, *at, tolerance)
                quadrants = lattice._thresholds(stairs, stairs, *at, gap, tolerance)
                assert waves.overlaps(quadrants) and waves.rad() < arb(10) ** -28 and quadrants.rad() < arb(10) ** -28
    phi = ka.activation("floor(x/2)*2")
    a, b = (hermite_coefficients(phi.pieces, q, 100, 40) for q in POINT[:2])
    with precision(300):
        rho = ball(POINT[2] / sp.sqrt(POINT[0] * POINT[1]))
        total = sum((s * t * rho**k for k, (s, t) in enumerate(zip(a, b, strict=True))), start=arb(0))
        assert abs(total - phi.dual.enclosure(*POINT, digits=40)) < arb(10) ** -30


def test_staircase_ends_zero_variance_and_derivatives() -> None:
    floor, rounded = ka.activation("floor").dual, ka.activation("round").dual
    normal = [sp.Float(str(mp.ncdf(k)), 15) for k in range(-9, 10)]
    second_moment = sum(k**2 * (normal[k + 10] - normal[k + 9]) for k in range(-9, 9))
    assert abs(floor.value(1, 1, 1, digits=20) - second_moment) < 1e-13
    assert floor.value(1, 1, 1, digits=40) - 1 / R(3) > sp.Float("1e-9")  # not the uniform-rounding formula
    assert abs(rounded.value(1, 1, -1, digits=30) + rounded.value(1, 1, 1, digits=30)) < TINY
    assert floor.value(0, 1, 0, digits=20) == sp.Float("0.25", 20)  # f(0) is the mean of both sides, and so is E f(v)
    small = rounded.value("1/1000", "1/1000", "1/1001", digits=30)
    assert 0 < small < sp.Float("1e-50")
    step = R(1, 10**20)
    q1, q2, c = POINT
    difference = (floor.value(q1, q2, c + step, digits=60) - floor.value(q1, q2, c - step, digits=60)) / (2 * step)
    assert abs(floor.distributional.value(*POINT, digits=30) - difference) < TINY * 10
    assert floor.derivative.expr == 0
    with pytest.raises(ka.DomainError, match="infinite"):
        floor.distributional.value(1, 1, 1)
    with pytest.raises(ka.NoClosedForm, match="digits=30"):
        ka.activation("floor").hermite(2)


def test_staircase_arrays() -> None:
    for text in ("floor(x)", "round(3*x)/3"):
        dual = ka.activation(text).dual
        rho = np.array([-1.0, -1 + 1e-9, -0.999, -0.3, 0.0, 0.5, 0.97, 1 - 1e-6, 1.0])
        for q1, q2 in ((1.0, 1.0), (0.75, 3.0)):
            c = rho * 1.0 if q1 == 1 else rho * 1.5
            for value, at in zip(dual(q1, q2, c), c, strict=True):
                exact = dual.value(exactly(q1), exactly(q2), exactly(at), digits=20)
                assert abs(value - float(exact)) < 1e-14, at


def test_floor_and_log_against_other_kinds() -> None:
    """Stein: E[u g(v)] = c E g'(v), with E floor'(v) the densities at the integers; and E[sign(v) floor(u)]."""
    identity = ka.cross_dual("floor", "identity").value(*POINT, digits=25)
    with mp.workdps(30):
        variance = mp.mpf(3) / 2
        densities = mp.nsum(lambda k: mp.exp(-k * k / (2 * variance)), [-60, 60]) / mp.sqrt(2 * mp.pi * variance)
        assert abs(identity - sp.Float(mp.nstr(-mp.mpf(2) / 5 * densities, 28), 28)) < sp.Float("1e-24")
    log_abs = ka.cross_dual("log_abs", "abs(x)")
    c = R(3, 10)
    with mp.workdps(30):
        angle, half = mp.acos(mp.mpf(3) / 10), mp.pi / 2
        ends = sorted({-half, half, angle - half, angle + half, 3 * half})
        # E[R log R] and E R of the Rayleigh radius
        mean = mp.sqrt(half)
        mean_log = mean * (mp.log(2) + mp.digamma(mp.mpf(3) / 2)) / 2
        around = [
            mp.quad(h, ends) / (2 * mp.pi)
            for h in (lambda t: abs(mp.cos(t - angle)), lambda t: abs(mp.cos(t - angle)) * mp.log(abs(mp.cos(t))))
        ]
        reference = mean_log * around[0] + mean * around[1]
        assert abs(log_abs.value(1, 1, c, digits=25) - sp.Float(mp.nstr(reference, 28), 28)) < sp.Float("1e-24")
    with pytest.raises(ka.PrecisionError, match="Hermite series"):
        ka.cross_dual("floor", "relu").value(1, 1, R(9999, 10000), digits=20)


def test_pieces_of_other_kinds_are_left_alone() -> None:
    assert lattice.recognise(pieces(sp.floor(x**2))) is None
    assert ka.activation("tanh").dual.extension is None
    with pytest.raises(ka.NoClosedForm, match="real powers"):
        ka.activation("abs(x)**(3/2)").dual.atoms  # noqa: B018
    assert ka.cross_dual("sin", "abs(x)**(3/2)").has_closed_form is False
