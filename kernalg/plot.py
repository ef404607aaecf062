"""Pictures of spectra, profiles and learning curves, with matplotlib.

Every function takes the value it draws and, optionally, the Axes to draw into, and returns the Axes. The style is
set for these pictures only; matplotlib's own settings stay as they are. Series differ in marker and line style as
well as in colour, and the colours differ in lightness: the pictures survive a grey-scale printer.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from kernalg.errors import DomainError, MissingExtra
from kernalg.learning.eigenlearning import LearningCurve
from kernalg.learning.measured import MeasuredCurve
from kernalg.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In order of lightness: 20, 45, 62, 78 % in CIE L*.
NAVY, VERMILION, SKY, AMBER = "#12305c", "#c2410c", "#3f9cc4", "#e8b23a"
GRID = "#d9dde3"
INK = "#1f2937"
_LOG_FROM = 5  # errors that span less are drawn on a linear axis from 0

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#6b7280",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "errorbar.capsize": 3,
    "figure.figsize": (4.9, 3.5),
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": True,
    "legend.framealpha": 0.92,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
}


def profile(rho: Any, ntk: Any, nngp: Any, ax: Axes | None = None) -> Axes:
    """The two kernels on the sphere against the correlation of the inputs.

    Parameters
    ----------
    rho, ntk, nngp : (n,) array_like
        Correlations, and the kernels there.
    """
    with _axes(ax) as ax:
        ax.plot(rho, ntk, color=NAVY, label="tangent kernel (NTK)")
        ax.plot(rho, nngp, color=VERMILION, linestyle=(0, (5, 2)), label="NNGP kernel")
        ax.set(
            xlabel=r"correlation of the inputs, $\rho = x\cdot x'/d$", ylabel="kernel", title="On the sphere |x|² = d"
        )
        ax.legend(loc="upper left")
        return ax


def spectrum(s: Spectrum, ax: Axes | None = None) -> Axes:
    """Eigenvalues of the levels with their total power; for data, eigenvalues by rank."""
    _expect(s, Spectrum)
    with _axes(ax) as ax:
        ax.set_yscale("log")
        if s.atoms is None:
            level = np.arange(len(s))
            for values, label, color, marker, line in (
                (s.level_power, "whole level: multiplicity × eigenvalue", VERMILION, "s", ":"),
                (s.eigenvalues, "one harmonic: eigenvalue", NAVY, "o", "-"),
            ):
                seen = values > 0
                ax.plot(level[seen], values[seen], label=label, color=color, marker=marker, linestyle=line)
            ax.set(
                xlabel="degree of the harmonics",
                ylabel="eigenvalue",
                title=re.sub(r"\^(\d+)", r"$^{\1}$", f"Eigenvalues on the {s.space}" if s.space else "Eigenvalues"),
            )
            ax.set_xticks(level if len(s) <= 12 else level[::2])
            ax.legend(loc="best")
        else:
            seen = s.eigenvalues > 0
            ax.plot(np.arange(1, len(s) + 1)[seen], s.eigenvalues[seen], color=NAVY)
            ax.set_xscale("log")
            ax.set(xlabel="rank of the eigenvalue", ylabel="eigenvalue of K/N", title=f"Eigenvalues on {s.space}")
        return ax


def target_power(s: Spectrum, ax: Axes | None = None) -> Axes:
    """Share of a target's power that lies beyond the first eigenvectors."""
    _expect(s, Spectrum)
    if s.target_power is None:
        raise DomainError("this spectrum has no target_power; make it with empirical_spectrum(K, X, y)")
    beyond = 1 - np.cumsum(s.target_power) / s.target_power.sum()
    with _axes(ax) as ax:
        ax.plot(np.arange(1, len(s) + 1), 100 * np.maximum(beyond, 0), color=VERMILION)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set(
            xlabel="number of eigenvectors used",
            ylabel="power left over (%)",
            title="What is left of the target",
        )
        return ax


def learning_curve(curve: LearningCurve | None, measured: MeasuredCurve | None = None, ax: Axes | None = None) -> Axes:
    """Predicted test error (line), measured one (points, two standard errors), and its estimates if there are any."""
    if curve is not None:
        _expect(curve, LearningCurve)
    with _axes(ax) as ax:
        ax.set(
            xscale="log", xlabel="training samples n", ylabel="mean squared error", title="Error against sample size"
        )
        if curve is not None:
            ax.plot(curve.n, curve.test_mse, color=NAVY, label="predicted (eigenlearning)")
        if measured is not None:
            _expect(measured, MeasuredCurve)
            sets = "held-out error" if measured.loo is not None else "measured"
            _points(
                ax,
                measured.n,
                measured.test_mse,
                f"{sets}, ±2 s.e.",
                color=VERMILION,
                marker="o",
                linestyle="none",
                zorder=4,
            )
            if measured.loo is not None:
                _points(ax, measured.n * 1.06, measured.loo, "leave-one-out", color=SKY, marker="D", linestyle="none")
            if measured.gcv is not None:
                _points(
                    ax,
                    measured.n,
                    measured.gcv,
                    "GCV",
                    color=AMBER,
                    marker="^",
                    linestyle=":",
                    markeredgecolor="#7a5a10",
                )
            _sample_ticks(ax, measured.n)
        shown = [v for source in (curve, measured) if source is not None for v in _errors(source)]
        if max(shown) > _LOG_FROM * min(shown):
            _logarithmic_errors(ax)
        else:
            ax.set_ylim(bottom=0)
            noise = next(source.noise for source in (curve, measured) if source is not None)
            if noise > 0:
                ax.axhline(noise, color=INK, linewidth=1, linestyle=(0, (1, 2)), label="label noise")
        ax.legend(loc="best")
        return ax


def loo_over_gcv(measured: MeasuredCurve, ax: Axes | None = None) -> Axes:
    """The diagnostic: leave-one-out over generalized cross-validation, near 1 where the theory applies."""
    _expect(measured, MeasuredCurve)
    if measured.loo_over_gcv is None:
        raise DomainError("this curve has no leave-one-out estimates; make it with measured_curve_on_data")
    with _axes(ax) as ax:
        ax.set_xscale("log")
        ax.axhspan(0.9, 1.1, color="#e5e7eb", zorder=0, label="within 10 % of 1")
        ax.axhline(1, color=INK, linewidth=1)
        _points(ax, measured.n, measured.loo_over_gcv, "LOO / GCV, ±2 s.e.", color=NAVY, marker="D", linestyle="-")
        _sample_ticks(ax, measured.n)
        ax.set_ylim(bottom=min(0.8, float(measured.loo_over_gcv.mean.min()) - 0.1))
        ax.set(xlabel="training samples n", ylabel="LOO / GCV", title="Does the theory apply to these data?")
        ax.legend(loc="best")
        return ax


def svg(draw: Any, *args: Any) -> str:
    """The picture `draw(*args, ax)` as the text of an SVG file, the same bytes every time.

    Examples
    --------
    >>> svg(spectrum, Spectrum([0.5, 0.1], [1, 3])).startswith("<?xml")
    True
    """
    matplotlib = _matplotlib()
    figure_module = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "kernalg", "svg.fonttype": "path"}):
        figure = figure_module.Figure(layout="constrained")
        draw(*args, figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()


@contextmanager
def _axes(ax: Axes | None) -> Iterator[Any]:
    """`ax`, or new ones, with our style while they are drawn on."""
    with _matplotlib().rc_context(STYLE):
        if ax is None:
            ax = importlib.import_module("matplotlib.pyplot").subplots(layout="constrained")[1]
        yield ax


def _matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib")
    except ImportError as error:
        raise MissingExtra(
            "pictures need matplotlib, which is absent: python -m pip install 'kernalg[plot]'"
        ) from error


def _expect(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise DomainError(f"a {kind.__name__} is needed here, not {type(value).__name__}")


def _points(ax: Axes, n: Any, quantity: Any, label: str, **style: Any) -> None:
    error = quantity.standard_error
    bars = 2 * error if np.isfinite(error).all() else None  # a single draw has no standard error
    ax.errorbar(n, quantity.mean, yerr=bars, label=label, elinewidth=1.2, **style)


def _sample_ticks(ax: Axes, n: Any) -> None:
    """Ticks at the sizes that were measured: they are what the reader looks for."""
    ticker = importlib.import_module("matplotlib.ticker")
    ax.xaxis.set_major_locator(ticker.FixedLocator(list(n)))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_locator(ticker.NullLocator())


def _errors(source: LearningCurve | MeasuredCurve) -> list[float]:
    return list(source.test_mse if isinstance(source, LearningCurve) else source.test_mse.mean)


def _logarithmic_errors(ax: Axes) -> None:
    """0.05, 0.1, 0.2 … instead of powers of ten: curves span a decade or two."""
    ticker = importlib.import_module("matplotlib.ticker")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(ticker.LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_minor_locator(ticker.NullLocator())
