"""How every picture looks, and how a picture becomes a file."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from kernalg.errors import DomainError, MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In order of lightness: 20, 45, 62, 78 % in CIE L*.
NAVY, VERMILION, SKY, AMBER = "#12305c", "#c2410c", "#3f9cc4", "#e8b23a"
GRID = "#d9dde3"
INK = "#1f2937"
_MARKERS = "osD^vPX*"
_LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1.5)))
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


@contextmanager
def axes(ax: Axes | None) -> Iterator[Any]:
    """`ax`, or new ones, with our style while they are drawn on."""
    with require_matplotlib().rc_context(STYLE):
        if ax is None:
            ax = importlib.import_module("matplotlib.pyplot").subplots(layout="constrained")[1]
        yield ax


def svg(draw: Any, *args: Any, **options: Any) -> str:
    """The picture `draw(*args, ax=…, **options)` as the text of an SVG file, the same bytes every time.

    Examples
    --------
    >>> from kernalg.plot import spectrum
    >>> from kernalg.spectrum.spectrum import Spectrum
    >>> svg(spectrum, Spectrum([0.5, 0.1], [1, 3])).startswith("<?xml")
    True
    """
    return _file("svg", draw, args, options).decode()


def png(draw: Any, *args: Any, **options: Any) -> bytes:
    """The picture `draw(*args, ax=…, **options)` as the content of a PNG file; write it with `Path.write_bytes`.

    Examples
    --------
    >>> from kernalg.plot import spectrum
    >>> from kernalg.spectrum.spectrum import Spectrum
    >>> png(spectrum, Spectrum([0.5, 0.1, 0.05], [1, 3, 5]), slope=-1)[1:4]
    b'PNG'
    """
    return _file("png", draw, args, options)


def _file(form: str, draw: Any, args: tuple[Any, ...], options: dict[str, Any]) -> bytes:
    matplotlib = require_matplotlib()
    figure_module = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "kernalg", "svg.fonttype": "path"}):
        figure = figure_module.Figure(layout="constrained")
        draw(*args, ax=figure.add_subplot(), **options)
        content = io.BytesIO()
        undated = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(content, format=form, metadata=undated, dpi=200)
        return content.getvalue()


def require_matplotlib() -> Any:
    """The matplotlib module, or MissingExtra."""
    try:
        return importlib.import_module("matplotlib")
    except ImportError as error:
        raise MissingExtra(
            "pictures need matplotlib, which is absent: python -m pip install 'kernalg[plot]'"
        ) from error


def expect(value: Any, *kinds: type) -> None:
    """DomainError unless `value` is of one of the `kinds`."""
    if not isinstance(value, kinds):
        raise DomainError(f"a {_names(kinds)} is needed here, not {type(value).__name__}")


def expect_all(values: Any, *kinds: type) -> None:
    """DomainError unless `values` is a dictionary from labels to values of these kinds, and not empty."""
    if not isinstance(values, dict) or not values:
        raise DomainError(f"a dictionary from labels to {_names(kinds)} is needed here, as in {{'d = 10': …}}")
    for value in values.values():
        expect(value, *kinds)


def _names(kinds: tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


def series(count: int) -> list[dict[str, Any]]:
    """Colour, line style and marker of each of `count` series: dark to light, so that grey keeps the order."""
    if count <= 4:
        colours: list[Any] = [NAVY, VERMILION, SKY, AMBER][:count]
    else:
        colours = list(require_matplotlib().colormaps["viridis"](np.linspace(0, 0.88, count)))
    return [
        {"color": c, "linestyle": _LINES[i % len(_LINES)], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, c in enumerate(colours)
    ]


def points(ax: Axes, n: Any, quantity: Any, label: str | None, **style: Any) -> None:
    """Means with bars of two standard errors."""
    error = quantity.standard_error
    bars = 2 * error if np.isfinite(error).all() else None  # a single draw has no standard error
    ax.errorbar(n, quantity.mean, yerr=bars, label=label, elinewidth=1.2, **style)


def sample_ticks(ax: Axes, n: Any) -> None:
    """Ticks at the sizes that were measured: they are what the reader looks for."""
    ticker = importlib.import_module("matplotlib.ticker")
    ax.xaxis.set_major_locator(ticker.FixedLocator(list(n)))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_locator(ticker.NullLocator())


def whole_ticks(ax: Axes) -> None:
    """At most nine ticks, at whole numbers."""
    ticker = importlib.import_module("matplotlib.ticker")
    ax.xaxis.set_major_locator(ticker.MaxNLocator(nbins=9, integer=True, steps=[1, 2, 5, 10]))


def error_axis(ax: Axes, shown: Any) -> bool:
    """A linear axis from 0 for errors of one size, a logarithmic one otherwise (0.05, 0.1, 0.2 … while these are few).

    Returns whether it is linear.
    """
    values = np.asarray(shown, dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values) or values.max() <= _LOG_FROM * values.min():
        ax.set_ylim(bottom=0)
        return True
    ax.set_yscale("log")
    if values.max() <= 1e3 * values.min():
        ticker = importlib.import_module("matplotlib.ticker")
        ax.yaxis.set_major_locator(ticker.LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
        ax.yaxis.set_minor_locator(ticker.NullLocator())
    return False
