"""Pictures of learning curves, predicted and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernalg.errors import DomainError
from kernalg.learning.eigenlearning import LearningCurve
from kernalg.learning.gradient_flow import GradientFlowCurve
from kernalg.learning.measured import MeasuredCurve
from kernalg.learning.optimal_ridge import OptimalRidge
from kernalg.learning.random_features import RandomFeaturesCurve
from kernalg.learning.simulation import Simulation
from kernalg.plot.style import (
    AMBER,
    INK,
    NAVY,
    SKY,
    VERMILION,
    axes,
    error_axis,
    expect,
    expect_all,
    points,
    sample_ticks,
    series,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SAMPLES = "training samples n"
_ERROR = "mean squared error"
Experiments = MeasuredCurve | Simulation


def learning_curve(curve: LearningCurve | None, measured: Experiments | None = None, ax: Axes | None = None) -> Axes:
    """Predicted test error (line), measured one (points, two standard errors), and its estimates if there are any."""
    if curve is not None:
        expect(curve, LearningCurve)
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel=_SAMPLES, ylabel=_ERROR, title="Error against sample size")
        if curve is not None:
            ax.plot(curve.n, curve.test_mse, color=NAVY, label="predicted (eigenlearning)")
        if measured is not None:
            expect(measured, MeasuredCurve, Simulation)
            loo, gcv = getattr(measured, "loo", None), getattr(measured, "gcv", None)
            sets = "measured" if loo is None else "held-out error"
            style = {"color": VERMILION, "marker": "o", "linestyle": "none", "zorder": 4}
            points(ax, measured.n, measured.test_mse, f"{sets}, ±2 s.e.", **style)
            if loo is not None:
                points(ax, measured.n * 1.06, loo, "leave-one-out", color=SKY, marker="D", linestyle="none")
            if gcv is not None:
                style = {"color": AMBER, "marker": "^", "linestyle": ":", "markeredgecolor": "#7a5a10"}
                points(ax, measured.n, gcv, "GCV", **style)
            if curve is None or curve.n.max() < 5 * measured.n.max():
                sample_ticks(ax, measured.n)
        given: list[Any] = [source for source in (curve, measured) if source is not None]
        if error_axis(ax, np.concatenate([_errors(source) for source in given])):
            _noise_line(ax, curve.noise if curve is not None else given[0].noise)
        ax.legend(loc="best")
        return ax


def decomposition(curve: LearningCurve, ax: Axes | None = None) -> Axes:
    """Test and training error, and what the test error is made of: squared bias, variance, label noise."""
    expect(curve, LearningCurve)
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel=_SAMPLES, ylabel=_ERROR, title="What the error is made of")
        ax.plot(curve.n, curve.test_mse, color=NAVY, linewidth=2.2, label="test error")
        ax.plot(curve.n, curve.bias, color=VERMILION, linestyle=(0, (5, 2)), label="squared bias")
        ax.plot(curve.n, curve.variance, color=SKY, linestyle=(0, (5, 1.5, 1, 1.5)), label="variance")
        _noise_line(ax, curve.noise)
        linear, bottom = error_axis(ax, curve.test_mse), 0.0
        if not linear:
            # Bias falls without end; the axis follows it three decades below the smallest test error, no further.
            parts = np.concatenate([curve.test_mse, curve.bias, curve.variance])
            bottom = 0.8 * max(parts[parts > 0].min(), 1e-3 * curve.test_mse[curve.test_mse > 0].min())
        if curve.train_mse.max() > bottom:  # below the picture it would be a name without a line
            ax.plot(curve.n, curve.train_mse, color=AMBER, linestyle=(0, (2, 1.5)), label="training error")
        if not linear:
            ax.set_ylim(bottom=bottom)
        ax.legend(loc="best")
        return ax


def learning_curves(
    curves: dict[str, LearningCurve],
    measured: dict[str, MeasuredCurve] | dict[str, Simulation] | None = None,
    ax: Axes | None = None,
    *,
    title: str = "Error against sample size",
) -> Axes:
    """Several predicted curves (ridges, noise levels, kernels), with the measured points that belong to them.

    Parameters
    ----------
    curves : dict from labels to LearningCurve
    measured : dict from labels to MeasuredCurve or Simulation, optional
        Points in the colour of the curve with the same label.
    """
    expect_all(curves, LearningCurve)
    if measured is not None:
        expect_all(measured, MeasuredCurve, Simulation)
    shown = []
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel=_SAMPLES, ylabel=_ERROR, title=title)
        for (label, curve), style in zip(curves.items(), series(len(curves)), strict=True):
            ax.plot(curve.n, curve.test_mse, label=label, **style | {"marker": ""})
            shown.append(curve.test_mse)
            if measured is not None and label in measured:
                experiment = measured[label]
                points(ax, experiment.n, experiment.test_mse, None, **style | {"linestyle": "none"}, zorder=4)
                shown.append(experiment.test_mse.mean)
        if measured is not None:
            ax.errorbar([], [], yerr=[], color=INK, marker="o", linestyle="none", label="measured, ±2 s.e.")
        error_axis(ax, np.concatenate(shown))
        ax.legend(loc="best")
        return ax


def optimal_ridge(best: OptimalRidge, ax: Axes | None = None, *, quantity: str = "error") -> Axes:
    """What the best ridge does to the error, or that ridge itself, against n.

    Parameters
    ----------
    best : OptimalRidge
    quantity : str
        "error" (with the best ridge, and without ridge) or "ridge" (n at which it is 0 are marked at the foot).
    """
    expect(best, OptimalRidge)
    if quantity not in ("error", "ridge"):
        raise DomainError(f"quantity={quantity!r}: give 'error' or 'ridge'")
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel=_SAMPLES)
        if quantity == "ridge":
            # No line where there is no number on this axis: the best ridge is 0 there, or without bound.
            drawn = np.isfinite(best.ridge) & (best.ridge > 0)
            ax.plot(best.n, np.where(drawn, best.ridge, np.nan), color=NAVY, label="best ridge")
            for where, height, marker, label in (
                (best.ridge == 0, 0.02, "|", "0: no ridge helps"),
                (np.isinf(best.ridge), 0.98, "^", "infinite: nothing can be learned"),
            ):
                if where.any():
                    ax.plot(
                        best.n[where], np.full(np.count_nonzero(where), height), transform=ax.get_xaxis_transform(),
                        color=INK, marker=marker, markersize=4, linestyle="none", label=label,
                    )  # fmt: skip
            ax.set(yscale="log", ylabel="best ridge δ (not divided by n)", title="The best ridge")
            if not drawn.all():
                ax.legend(loc="best")
            return ax
        ax.plot(best.n, best.ridgeless_mse, color=VERMILION, linestyle=(0, (5, 2)), label="without ridge")
        ax.plot(best.n, best.test_mse, color=NAVY, linewidth=2.2, label="with the best ridge at every n")
        _noise_line(ax, best.noise)
        ax.set_ylabel(_ERROR)
        ax.set_title("The best ridge", pad=22)
        error_axis(ax, np.concatenate([best.ridgeless_mse, best.test_mse]))
        # Above the picture: below, where the curves leave room, the line of the noise runs.
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, columnspacing=1.0)
        return ax


def staircase(curve: LearningCurve, ax: Axes | None = None, *, levels: int | None = None) -> Axes:
    """Learnability of each level against n, with the multiplicity of the level as a thin line: a step each.

    Parameters
    ----------
    curve : LearningCurve
    levels : int, optional
        How many; by default, those that are learned to 1 % at the largest n, and not more than 8.
    """
    expect(curve, LearningCurve)
    s = curve.spectrum
    if levels is None:
        levels = min(8, int(np.count_nonzero(curve.learnabilities.max(axis=0) > 0.01)))
    chosen = np.flatnonzero(s.eigenvalues > 0)[: max(1, levels)]
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel=_SAMPLES, ylabel="learnability: the fraction learned", title="One level at a time")
        for i, style in zip(chosen, series(len(chosen)), strict=True):
            ax.plot(curve.n, curve.learnabilities[:, i], label=f"level {s.label(int(i))}", **style | {"marker": ""})
            if curve.n.min() < s.multiplicities[i] < curve.n.max():
                ax.axvline(float(s.multiplicities[i]), color=style["color"], linewidth=0.9, linestyle=":")
        ax.set_ylim(0, 1.02)
        # The steps fill the picture: their names stand beside it.
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="dotted:\nmultiplicity", title_fontsize=8.5)
        return ax


def loo_over_gcv(measured: MeasuredCurve, ax: Axes | None = None) -> Axes:
    """The diagnostic: leave-one-out over generalized cross-validation, near 1 where the theory applies."""
    expect(measured, MeasuredCurve)
    if measured.loo_over_gcv is None:
        raise DomainError("this curve has no leave-one-out estimates; make it with measured_curve_on_data")
    with axes(ax) as ax:
        ax.set_xscale("log")
        ax.axhspan(0.9, 1.1, color="#e5e7eb", zorder=0, label="within 10 % of 1")
        ax.axhline(1, color=INK, linewidth=1)
        points(ax, measured.n, measured.loo_over_gcv, "LOO / GCV, ±2 s.e.", color=NAVY, marker="D", linestyle="-")
        sample_ticks(ax, measured.n)
        ax.set_ylim(bottom=min(0.8, float(measured.loo_over_gcv.mean.min()) - 0.1))
        ax.set(xlabel=_SAMPLES, ylabel="LOO / GCV", title="Does the theory apply to these data?")
        ax.legend(loc="best")
        return ax


def z_scores(simulations: dict[str, Simulation], ax: Axes | None = None) -> Axes:
    """Measured minus predicted test error in standard errors, with the band that 95 % of them should keep."""
    expect_all(simulations, Simulation)
    sizes = np.unique(np.concatenate([s.n for s in simulations.values()]))
    with axes(ax) as ax:
        ax.set_xscale("log")
        ax.axhspan(-2, 2, color="#e5e7eb", zorder=0, label="±2 standard errors")
        ax.axhline(0, color=INK, linewidth=1)
        for (label, simulation), style in zip(simulations.items(), series(len(simulations)), strict=True):
            ax.plot(simulation.n, simulation.z_test, label=label, **style | {"linestyle": "none"})
        sample_ticks(ax, sizes)
        reach = 1.6 * max(2.5, *(float(np.abs(s.z_test).max()) for s in simulations.values()))
        ax.set_ylim(-reach, reach)  # room for the legend
        ax.set(xlabel=_SAMPLES, ylabel="(measured − predicted) / s.e.", title="Agreement")
        ax.legend(loc="upper right")
        return ax


def random_features(curves: dict[str, RandomFeaturesCurve], ax: Axes | None = None) -> Axes:
    """Test error against the number of features, one line per label (numbers of samples, ridges).

    Parameters
    ----------
    curves : dict from labels to RandomFeaturesCurve
        Each over one axis of features.
    """
    expect_all(curves, RandomFeaturesCurve)
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel="random features k", ylabel=_ERROR, title="Error against number of features")
        for (label, curve), style in zip(curves.items(), series(len(curves)), strict=True):
            ax.plot(curve.features, curve.test_mse, label=label, **style | {"marker": ""})
        error_axis(ax, np.concatenate([curve.test_mse for curve in curves.values()]))
        ax.legend(loc="best")
        return ax


def gradient_flow(curves: dict[str, GradientFlowCurve], ax: Axes | None = None) -> Axes:
    """Test error against training time, one line per label (numbers of samples, noise levels).

    Parameters
    ----------
    curves : dict from labels to GradientFlowCurve
        Each for one number of samples; time 0 is left out of the logarithmic axis.
    """
    expect_all(curves, GradientFlowCurve)
    shown = []
    with axes(ax) as ax:
        ax.set(xscale="log", xlabel="training time t", ylabel=_ERROR, title="Error against training time")
        for (label, curve), style in zip(curves.items(), series(len(curves)), strict=True):
            if len(curve.n) != 1:
                raise DomainError(f"the curve {label!r} has {len(curve.n)} numbers of samples; give one curve for each")
            later = curve.times > 0
            ax.plot(curve.times[later], curve.test_mse[0, later], label=label, **style | {"marker": ""})
            shown.append(curve.test_mse[0, later])
        error_axis(ax, np.concatenate(shown))
        ax.legend(loc="best")
        return ax


def _errors(source: LearningCurve | Experiments) -> Any:
    return source.test_mse if isinstance(source, LearningCurve) else source.test_mse.mean


def _noise_line(ax: Any, noise: float) -> None:
    if noise > 0:
        ax.axhline(noise, color=INK, linewidth=1, linestyle=(0, (1, 2)), label="label noise")
