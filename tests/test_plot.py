"""Pictures: every value can be drawn, with labels, without touching matplotlib's own settings."""

from __future__ import annotations

import sys
from functools import partial

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from kernalg import plot
from kernalg.errors import DomainError, MissingExtra
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.gradient_flow import gradient_flow_curve
from kernalg.learning.measured import Measured, MeasuredCurve
from kernalg.learning.optimal_ridge import optimal_ridge
from kernalg.learning.random_features import random_features_curve
from kernalg.network.dot_product import dot_product_kernel
from kernalg.network.product_kernel import product_kernel
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Ball, Circle, ProductOfSpheres
from kernalg.spectrum.spectrum import Spectrum

LEVELS = Spectrum([0.5, 0.01, 1e-4, 0.0], [1, 50, 1274, 22050], trace=2.0, space="sphere S^49, d = 50")
DATA = Spectrum(
    np.arange(1, 41.0) ** -2, (1,) * 40, atoms=40, target_power=np.arange(1, 41.0) ** -3, space="40 data points"
)
CURVE = learning_curve(LEVELS, [0, 1, 1], n=np.geomspace(5, 4000, 40), noise=0.1)


def measured(draws: int = 4, on_data: bool = True) -> MeasuredCurve:
    rng = np.random.default_rng(0)
    n = np.array([10.0, 100.0, 1000.0])

    def around(level: float) -> Measured:
        return Measured(level / n[:, None] ** 0.3 * rng.uniform(0.9, 1.1, (3, draws)))

    extra = {"loo": around(3.0), "gcv": around(2.0), "loo_over_gcv": around(1.5)} if on_data else {}
    return MeasuredCurve(n=n, test_mse=around(3.0), train_mse=around(0.1), ridge=0.1, seed=0, **extra)


LONG = Spectrum([1.0, 0.5, *(k**-2.0 * (k % 2 == 0) for k in range(2, 60))], [1] + [2] * 59, space=Circle)
BEST = optimal_ridge(LEVELS, [0, 1, 1], n=np.geomspace(5, 4000, 40), noise=1)
SIMULATION = CURVE.simulate(n=[10, 30, 100], draws=3)
FEATURES = random_features_curve(LEVELS, [0, 1, 1], n=40, features=np.geomspace(5, 4000, 40), noise=0.1)
FLOW = gradient_flow_curve(LEVELS, [0, 1, 1], n=40, times=[0, 1, 10, 100], noise=0.1)
RADIAL = spectrum(dot_product_kernel("exp(rho)"), Ball(5), degree=4)
PICTURES = [
    (plot.spectrum, (LEVELS,)),
    (partial(plot.spectrum, slope=-2), (LONG,)),
    (plot.spectrum, (RADIAL,)),
    (plot.spectrum, (spectrum(product_kernel("exp(rho1*rho2)", [3, 4]), ProductOfSpheres([3, 4]), degree=4),)),
    (plot.spectra, ({f"series {i}": LEVELS for i in range(6)},)),
    (partial(plot.spectra, quantity="level power"), ({"short": LEVELS, "long": LONG},)),
    (plot.digits, ({"series": [0.0, 1e-15, 1e-14], "projection": [1e-16, 1e-9, 10.0]},)),
    (plot.decomposition, (CURVE,)),
    (plot.decomposition, (learning_curve(Spectrum([0.5, 0.1], [1, 30]), [1, 1], n=np.geomspace(1, 90, 50)),)),
    (plot.learning_curves, ({"noise 0.1": CURVE, "none": learning_curve(LEVELS, [0, 1, 1], n=[5, 50, 500])},)),
    (plot.staircase, (CURVE,)),
    (plot.optimal_ridge, (BEST,)),
    (partial(plot.optimal_ridge, quantity="ridge"), (BEST,)),
    (plot.spectrum, (DATA,)),
    (plot.target_power, (DATA,)),
    (plot.learning_curve, (CURVE, measured(on_data=False))),
    (plot.learning_curve, (CURVE, measured())),
    (plot.learning_curve, (None, measured(draws=1))),
    (plot.learning_curves, ({"noise 0.1": CURVE}, {"noise 0.1": measured(on_data=False)})),
    (plot.loo_over_gcv, (measured(),)),
    (plot.learning_curves, ({"noise 0.1": CURVE}, {"noise 0.1": SIMULATION})),
    (plot.learning_curve, (CURVE, SIMULATION)),
    (plot.z_scores, ({"d = 50": SIMULATION},)),
    (plot.random_features, ({"n = 40": FEATURES},)),
    (plot.gradient_flow, ({"n = 40": FLOW},)),
    (plot.profile, (np.linspace(-1, 1, 5), np.linspace(0, 4, 5), np.linspace(0, 1, 5))),
]


@pytest.mark.parametrize(("draw", "values"), PICTURES)
def test_axes_are_labelled_and_nothing_overlaps(draw, values):
    before = dict(matplotlib.rcParams)
    figure = Figure(figsize=plot.STYLE["figure.figsize"], layout="constrained")
    ax = draw(*values, ax=figure.add_subplot())
    assert dict(matplotlib.rcParams) == before
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title(loc="left")
    figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        boxes = [t.get_window_extent() for t in axis.get_ticklabels() if t.get_text() and t.get_visible()]
        assert len(boxes) >= 2
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_new_axes_when_none_are_given():
    matplotlib.use("Agg")
    ax = plot.spectrum(LEVELS)
    assert ax.get_yscale() == "log"
    matplotlib.pyplot.close(ax.figure)


def test_a_picture_is_the_same_file_every_time():
    assert plot.svg(plot.learning_curve, CURVE, measured()) == plot.svg(plot.learning_curve, CURVE, measured())


def test_zeros_are_marked_and_the_slope_is_the_one_asked():
    ax = plot.spectrum(LONG, Figure().add_subplot(), slope=-2)
    lines = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    slope = next(xy for label, xy in lines.items() if label.startswith("degree"))
    assert np.isclose(np.diff(np.log(slope[:, 1])) / np.diff(np.log(slope[:, 0])), -2)
    assert np.array_equal(lines["eigenvalue 0 (exactly)"][:, 0], np.arange(3, 60, 2))


def test_a_png_has_the_signature_of_one():
    assert plot.png(plot.staircase, CURVE, levels=2).startswith(b"\x89PNG")


def test_levels_with_a_radial_index_are_compared_by_degree():
    sphere = Spectrum([0.5, 0.01], [1, 5])
    ax = plot.spectra({"ball": RADIAL, "sphere": sphere}, Figure().add_subplot())
    ball = ax.get_lines()[0].get_xydata()
    best = [max(v for i, v in enumerate(RADIAL.eigenvalues) if RADIAL.label(i).startswith(f"({k},")) for k in range(5)]
    assert ax.get_xlabel() == "degree k" and ball[:, 0].tolist() == [0, 1, 2, 3, 4] and ball[:, 1].tolist() == best
    ax = plot.spectra({"ball": RADIAL}, Figure().add_subplot(), quantity="level power")
    assert np.isclose(ax.get_lines()[0].get_ydata().sum(), RADIAL.level_power.sum())


def test_where_no_ridge_helps_there_is_no_line():
    best = optimal_ridge(Spectrum([0.5, 0.1], [1, 30], trace=5.0), [0, 1], n=[5, 10, 20], noise=0.01)
    assert (best.ridge == 0).all()
    ax = plot.optimal_ridge(best, Figure().add_subplot(), quantity="ridge")
    lines = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    assert np.isnan(lines["best ridge"][:, 1]).all() and lines["0: no ridge helps"][:, 0].tolist() == [5, 10, 20]


def test_no_training_error_below_the_picture():
    curve = learning_curve(Spectrum([0.5, 0.1], [1, 30]), [1, 1], n=np.geomspace(1, 29, 40), ridge=1e-6)
    ax = plot.decomposition(curve, Figure().add_subplot())
    assert curve.train_mse.max() > 0 and "training error" not in [line.get_label() for line in ax.get_lines()]


def test_the_power_left_over_counts_every_function_of_a_level():
    ax = plot.target_power(Spectrum([0.5, 0.01], [1, 50], target_power=[1, 1]), Figure().add_subplot())
    assert np.allclose(ax.get_lines()[0].get_xydata(), [[1, 50], [51, 0]])


def test_colours_survive_grey_scale():
    grey = [
        np.dot(matplotlib.colors.to_rgb(c), (0.2126, 0.7152, 0.0722))
        for c in (plot.NAVY, plot.VERMILION, plot.SKY, plot.AMBER)
    ]
    assert np.diff(grey).min() > 0.12


def test_refusals():
    with pytest.raises(DomainError, match="Spectrum is needed"):
        plot.spectrum([1, 2])
    with pytest.raises(DomainError, match="dictionary from labels to Spectrum"):
        plot.spectra([LEVELS])
    with pytest.raises(DomainError, match="Spectrum is needed"):
        plot.spectra({"a": CURVE})
    with pytest.raises(DomainError, match="'eigenvalue', 'level power'"):
        plot.spectra({"a": LEVELS}, quantity="trace")
    with pytest.raises(DomainError, match="'error' or 'ridge'"):
        plot.optimal_ridge(BEST, quantity="kappa")
    with pytest.raises(DomainError, match="2 numbers of samples"):
        plot.gradient_flow({"a": gradient_flow_curve(LEVELS, [0, 1], n=[5, 40], times=[1])})
    with pytest.raises(DomainError, match="slope"):
        plot.spectrum(Spectrum([0.5, 0.1], [1, 3]), slope=-2)
    with pytest.raises(DomainError, match="no target_power"):
        plot.target_power(LEVELS)
    with pytest.raises(DomainError, match="no leave-one-out"):
        plot.loo_over_gcv(measured(on_data=False))


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'kernalg\[plot\]'"):
        plot.spectrum(LEVELS)
