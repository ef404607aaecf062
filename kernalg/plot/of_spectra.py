"""Pictures of kernels on the sphere, and of their spectra."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from kernalg.errors import DomainError
from kernalg.plot.style import INK, NAVY, VERMILION, axes, expect, expect_all, series, whole_ticks
from kernalg.spectrum.spaces import GaussianInputs
from kernalg.spectrum.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONG = 30  # levels from which on a spectrum is drawn without markers, and against a logarithmic degree
_PAIR = re.compile(r"\((\d+),(\d+)\)")
_RADIAL = 6  # radial indices that are drawn
_NAMED = 20  # levels that have room for their names on the axis
_WIDTH = 48  # characters in a line of a title
_DEGREE, _LISTED, _RANK = "degree k", "level, in the order listed", "rank of the eigenvalue"
_QUANTITIES = {"eigenvalue": "eigenvalue (one harmonic)", "level power": "multiplicity × eigenvalue"}


def profile(rho: Any, ntk: Any, nngp: Any, ax: Axes | None = None) -> Axes:
    """The two kernels on the sphere against the correlation of the inputs.

    Parameters
    ----------
    rho, ntk, nngp : (n,) array_like
        Correlations, and the kernels there, as in ``[float(K.profile().value(r)) for r in rho]``.
    """
    with axes(ax) as ax:
        ax.plot(rho, ntk, color=NAVY, label="tangent kernel (NTK)")
        ax.plot(rho, nngp, color=VERMILION, linestyle=(0, (5, 2)), label="NNGP kernel")
        ax.set(
            xlabel=r"correlation of the inputs, $\rho = x\cdot x'/d$", ylabel="kernel", title="On the sphere |x|² = d"
        )
        ax.legend(loc="upper left")
        return ax


def spectrum(s: Spectrum, ax: Axes | None = None, *, slope: float | None = None) -> Axes:
    """Eigenvalues of the levels with their total power; for data, eigenvalues by rank.

    Parameters
    ----------
    s : Spectrum
        Levels with the eigenvalue 0 (parity) are marked at the foot of the picture; long spectra are drawn against a
        logarithmic degree. Levels "(degree,j)" of inputs of unequal norms give one line per radial index j.
    slope : float, optional
        Draws degree^slope below the last eigenvalues that are not 0: the decay that a theory predicts.
    """
    expect(s, Spectrum)
    with axes(ax) as ax:
        ax.set_yscale("log")
        if s.atoms is not None and isinstance(s.space, str):  # data points
            seen = s.eigenvalues > 0
            ax.plot(np.arange(1, len(s) + 1)[seen], s.eigenvalues[seen], color=NAVY)
            ax.set_xscale("log")
            ax.set(xlabel="rank of the eigenvalue", ylabel="eigenvalue of K/N", title=f"Eigenvalues on {s.space}")
            return ax
        title = _title(s)
        if _is_radial(s):
            _radial_levels(ax, s)
            ax.set_title(title)
            return ax
        order = _order(s)
        level, long = np.arange(len(s)), len(s) > _LONG and order == _DEGREE
        for values, label, color, marker, line in (
            (s.level_power, "whole level: multiplicity × eigenvalue", VERMILION, "s", ":"),
            (s.eigenvalues, "one harmonic: eigenvalue", NAVY, "o", "-"),
        ):
            style: dict[str, Any] = {"color": color, "linestyle": line, "marker": "" if len(s) > _LONG else marker}
            ax.plot(*_positive(level, values, long), label=label, **style)
        if slope is not None:
            _slope_line(ax, s, slope)
        zeros = level[(s.eigenvalues == 0) & (level > 0 if long else level >= 0)]
        if len(zeros):
            foot = ax.get_xaxis_transform()
            ax.plot(
                zeros, np.full(len(zeros), 0.02), transform=foot, color=INK, marker="|", linestyle="none",
                markersize=4 if long else 6, label="eigenvalue 0 (exactly)",
            )  # fmt: skip
        ax.set(ylabel="eigenvalue", title=title)
        _level_axis(ax, long, order)
        if order == _LISTED and len(s) <= _NAMED:
            ax.set_xticks(level, [s.label(i) for i in range(len(s))], rotation=90)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high * (high / low) ** 0.25)  # room for the legend
        ax.legend(loc="upper right")
        return ax


def spectra(
    spectra: dict[str, Spectrum],
    ax: Axes | None = None,
    *,
    quantity: str = "eigenvalue",
    title: str = "Spectra",
    log_degree: bool | None = None,
) -> Axes:
    """Several spectra in one picture: dimensions, kernels or spaces against one another.

    Parameters
    ----------
    spectra : dict from labels to Spectrum
        Of levels "(degree,j)" with a radial index, every degree shows its largest eigenvalue, or its whole power.
        Levels that are no degrees (multi-indices, data points) are drawn in the order listed.
    quantity : str
        "eigenvalue" or "level power" (multiplicity times eigenvalue).
    log_degree : bool, optional
        A logarithmic degree, on which power laws are lines; by default, for long spectra.
    """
    expect_all(spectra, Spectrum)
    if quantity not in _QUANTITIES:
        raise DomainError(f"quantity={quantity!r}: give one of {', '.join(map(repr, _QUANTITIES))}")
    columns = {label: _by_degree(s, quantity) for label, s in spectra.items()}
    orders = {_order(s) for s in spectra.values()}
    many = max(map(len, columns.values())) > _LONG
    long = many if log_degree is None else log_degree
    with axes(ax) as ax:
        ax.set_yscale("log")
        for (label, values), style in zip(columns.items(), series(len(columns)), strict=True):
            ax.plot(
                *_positive(np.arange(len(values)), values, long),
                label=label,
                **style | ({"marker": ""} if many else {}),
            )
        ax.set(ylabel=_QUANTITIES[quantity], title=title)
        _level_axis(ax, long, orders.pop() if len(orders) == 1 else _LISTED)
        ax.legend(loc="best")
        return ax


def target_power(s: Spectrum, ax: Axes | None = None) -> Axes:
    """Share of a target's power that lies beyond the first eigenfunctions, level after level."""
    expect(s, Spectrum)
    if s.target_power is None:
        raise DomainError("this spectrum has no target_power; make it with empirical_spectrum(K, X, y)")
    beyond = 1 - np.cumsum(s.target_power) / s.target_power.sum()
    used = np.exp(np.logaddexp.accumulate(s.log_multiplicities))
    with axes(ax) as ax:
        ax.plot(used, 100 * np.maximum(beyond, 0), color=VERMILION)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set(
            xlabel="number of eigenfunctions used",
            ylabel="power left over (%)",
            title="What is left of the target",
        )
        return ax


def digits(columns: dict[str, Any], ax: Axes | None = None, *, title: str = "Correct digits") -> Axes:
    """Correct decimal digits per degree, for several methods: -log10 of the relative error, from 0 to 16.

    Parameters
    ----------
    columns : dict from labels to (degrees,) array_like
        Relative errors.
    """
    with axes(ax) as ax:
        for (label, errors), style in zip(columns.items(), series(len(columns)), strict=True):
            floor = np.maximum(np.abs(np.asarray(errors, dtype=float)), 1e-16)
            ax.plot(np.arange(len(floor)), np.clip(-np.log10(floor), 0, 16), label=label, **style)
        ax.set_ylim(-0.6, 17)
        ax.set(ylabel="correct digits of the eigenvalue", title=title)
        _level_axis(ax, False)
        ax.legend(loc="best")
        return ax


def _title(s: Spectrum) -> str:
    """In lines that fit above the picture, exponents raised."""
    if not s.space:
        return "Eigenvalues"
    article = "" if isinstance(s.space, GaussianInputs | str) else "the "
    text = f"Eigenvalues on {article}{s.space}".replace("<=", "≤").replace(" x ", " × ")
    return re.sub(r"\^(\d+)", r"$^{\1}$", textwrap.fill(text, _WIDTH))


def _is_radial(s: Spectrum) -> bool:
    """Levels (degree, radial index), as inputs of unequal norms have them."""
    return "radial" in s.convention and all(map(_PAIR.fullmatch, s.labels or [""]))


def _order(s: Spectrum) -> str:
    """What the index of a level means."""
    if s.atoms is not None and isinstance(s.space, str):
        return _RANK
    return _LISTED if s.labels is not None and not _is_radial(s) else _DEGREE


def _by_degree(s: Spectrum, quantity: str) -> Any:
    """Per level, or for levels (degree, j) per degree: the largest eigenvalue, or the sum of the powers."""
    values = s.eigenvalues if quantity == "eigenvalue" else s.level_power
    if not _is_radial(s):
        return values
    degrees = np.array([label.strip("()").split(",")[0] for label in s.labels or ()], dtype=int)
    gathered = np.zeros(int(degrees.max()) + 1)
    (np.maximum if quantity == "eigenvalue" else np.add).at(gathered, degrees, values)
    return gathered


def _radial_levels(ax: Any, s: Spectrum) -> None:
    pairs = np.array([label.strip("()").split(",") for label in s.labels or ()], dtype=int)
    count = min(_RADIAL, int(pairs[:, 1].max()) + 1)
    for j, style in enumerate(series(count)):
        seen = (pairs[:, 1] == j) & (s.eigenvalues > 0)
        ax.plot(pairs[seen, 0], s.eigenvalues[seen], label=f"j = {j}", **style)
    ax.set(ylabel="eigenvalue (one harmonic)")
    _level_axis(ax, False)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="radial\nindex", title_fontsize=8.5)


def _positive(level: Any, values: Any, long: bool) -> tuple[Any, Any]:
    """Where there is something to draw on logarithmic axes."""
    seen = (values > 0) & (level > 0 if long else level >= 0)
    return level[seen], values[seen]


def _level_axis(ax: Any, long: bool, order: str = _DEGREE) -> None:
    ax.set_xlabel(order)
    if long:
        ax.set_xscale("log")
    else:
        whole_ticks(ax)


def _slope_line(ax: Any, s: Spectrum, slope: float) -> None:
    level = np.flatnonzero(s.eigenvalues > 0)
    last = int(level[-1])
    if last < 2:
        raise DomainError("a slope needs an eigenvalue of degree 2 or more that is not 0")
    span = np.array([max(1, last // 20), last])
    ax.plot(
        span, 0.4 * s.eigenvalues[last] * (span / last) ** slope, color=INK, linewidth=1.1, linestyle=(0, (1, 1)),
        label=rf"degree$^{{\,{slope:g}}}$",
    )  # fmt: skip
