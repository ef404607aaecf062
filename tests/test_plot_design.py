"""Pictures of designs, fits and finite networks: labelled, readable, and of the numbers they claim to show."""

from __future__ import annotations

from functools import partial

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from kernalg import plot
from kernalg.design.nonnegative_fit import fit_nonnegative
from kernalg.design.of_kernel import design
from kernalg.design.parametric_fit import fit_activation
from kernalg.errors import DomainError
from kernalg.finite.empirical import empirical_ntk

POLYNOMIAL = design("exp(rho)", "ntk", degree=4, signs="++--")
CLOSED = design("exp(2*(rho-1))")
WITH_BIAS = design("((1+rho)/2)**3", w_var="1/2", b_var="1/2")
IMAGINARY = design("2*asin(3*rho/5)/pi", signs="+")
FIT = fit_nonnegative("exp(rho)", 3)
FAMILY = fit_activation("rho + rho**3", "a*x + b*x**3", start={"a": 1.0, "b": 0.1}, starts=1)
ANGLES = np.linspace(0, np.pi, 7)
CIRCLE = np.sqrt(2) * np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])
FINITE = empirical_ntk("erf", CIRCLE[:1], CIRCLE, width=256, draws=4)
DEEP = empirical_ntk("sin", CIRCLE[:2], width=64, draws=1)
PICTURES = [
    *((plot.design, (d,)) for d in (POLYNOMIAL, CLOSED, WITH_BIAS)),
    (plot.designed_activation, (IMAGINARY,)),
    (plot.closed_forms, (CLOSED,)),
    (plot.closed_forms, (IMAGINARY,)),
    (plot.kernel_fit, (FIT, "exp(rho)")),
    (plot.kernel_fit, (FAMILY,)),
    (partial(plot.empirical_kernel, cosines=np.cos(ANGLES)), (FINITE,)),
    (plot.empirical_kernel, (DEEP,)),
]


@pytest.mark.parametrize(("draw", "values"), PICTURES)
def test_every_part_is_labelled_and_no_ticks_overlap(draw, values):
    before = dict(matplotlib.rcParams)
    figure = Figure(figsize=plot.STYLE["figure.figsize"], layout="constrained")
    first = draw(*values, ax=figure.add_subplot())
    assert dict(matplotlib.rcParams) == before
    assert first.get_title(loc="left")
    figure.draw_without_rendering()
    assert figure.axes[-1].get_xlabel()
    for ax in figure.axes:
        assert ax.get_ylabel()
        for axis in (ax.xaxis, ax.yaxis):
            labels = [t for t in axis.get_ticklabels() if t.get_text() and t.get_visible()]
            low, high = sorted(axis.get_view_interval())
            boxes = [
                t.get_window_extent() for t, at in zip(labels, axis.get_ticklocs(), strict=False) if low <= at <= high
            ]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    parts = [ax.get_tightbbox() for ax in figure.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(parts) for b in parts[i + 1 :])


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}


def test_a_design_shows_activation_kernel_and_signs():
    figure = Figure(layout="constrained")
    plot.design(POLYNOMIAL, figure.add_subplot())
    activation, kernel, coefficients = map(lines, figure.axes)
    at, shown = activation[r"$\varphi(x)$"].T
    assert (at[0], at[-1]) == (-3, 3) and np.array_equal(shown, POLYNOMIAL(at))
    angle, asked = kernel["asked for"].T
    assert np.allclose(asked, np.exp(np.cos(np.radians(angle))), rtol=1e-14)
    (achieved,) = (xy[:, 1] for label, xy in kernel.items() if label.startswith("achieved, error ≤ "))
    # exp cut off after degree 4: off by the tail at cosine 1, which is what the label and the band say.
    tail = np.e - sum(1 / np.prod(np.arange(1, k + 1)) for k in range(5))
    assert np.isclose(asked[0] - achieved[0], tail, rtol=1e-9)
    assert f"{tail:.2g}" in "".join(kernel)
    assert coefficients["positive"][:, 0].tolist() == [0, 1, 4]
    assert coefficients["negative"][:, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("kernel", "trained"),
    [("(1+3*rho)/4", "all"), ("(1+3*rho)/4", "hidden"), ("rho**2+rho+1", "all but hidden biases")],
)
def test_the_kernel_achieved_is_that_of_what_is_trained(kernel, trained):
    d = design(kernel, "ntk", "3/4", "1/4", trained=trained)
    shown = lines(plot.designed_kernel(d, Figure().add_subplot()))
    assert np.allclose(shown["achieved"], shown["asked for"], rtol=0, atol=1e-13)


def test_pre_activations_are_drawn_to_three_of_their_own_deviations():
    wide = design("rho", w_var=4)
    at = lines(plot.designed_activation(wide, Figure().add_subplot()))[r"$\varphi(x)$"]
    assert (at[0, 0], at[-1, 0]) == (-6, 6) and np.allclose(at[:, 1], at[:, 0] / 2)


def test_closed_forms_are_the_activations():
    shown = lines(plot.closed_forms(CLOSED, Figure().add_subplot()))
    (sine,) = (xy for label, xy in shown.items() if label.startswith("++--"))
    assert np.allclose(sine[:, 1], np.sqrt(2) * np.sin(np.sqrt(2) * sine[:, 0] + np.pi / 4))
    assert len(shown) == 4


def test_a_fit_shows_its_residuals():
    figure = Figure()
    plot.kernel_fit(FIT, "exp(rho)", figure.add_subplot())
    residual = figure.axes[1].get_lines()[1].get_xydata()[:, 1]
    assert np.isclose(np.sqrt(np.mean(residual**2)), FIT.rms_error, rtol=1e-6)
    assert np.isclose(np.abs(residual).max(), FIT.max_error, rtol=1e-6)


def test_finite_networks_show_their_z_scores():
    figure = Figure()
    plot.empirical_kernel(FINITE, np.cos(ANGLES), figure.add_subplot())
    z = figure.axes[1].get_lines()[-1].get_xydata()
    assert np.allclose(z, np.column_stack([np.degrees(ANGLES), FINITE.z[0]]))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: plot.design(design("cos(rho)"), ax), "rho\\^2 is -1/2"),
        (lambda ax: plot.closed_forms(POLYNOMIAL, ax), "no activation in closed form"),
        (lambda ax: plot.design("exp(rho)", ax), "Design is needed"),
        (lambda ax: plot.kernel_fit(FIT, ax=ax), "give target="),
        (lambda ax: plot.kernel_fit(CLOSED, ax=ax), "NonnegativeFit or ActivationFit"),
        (lambda ax: plot.empirical_kernel(FINITE, [0, 1], ax), "2 cosines for 7 entries"),
        (lambda ax: plot.empirical_kernel(FINITE, 2 * np.ones(7), ax), "number in \\[-1, 1\\]"),
        (lambda ax: plot.design(CLOSED, ax.figure.add_axes((0.1, 0.1, 0.5, 0.5))), "made by subplots"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw, message):
    with pytest.raises(DomainError, match=message):
        draw(Figure().add_subplot())


def test_degrees_of_short_polynomials_are_whole_numbers():
    for kernel, ticks in (("1", [0]), ("rho**3 + rho", [0, 1, 2, 3])):
        ax = plot.designed_coefficients(design(kernel))
        assert ax.get_xticks().tolist() == ticks
