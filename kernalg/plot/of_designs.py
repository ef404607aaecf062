"""Pictures of designed activations, of kernels fitted, and of kernels of finite networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg.activation.activation import Activation
from kernalg.checks import FloatArray, real_array
from kernalg.design.designed import Design
from kernalg.design.error_budget import kernel_at_radius
from kernalg.design.fit_grid import Target, fit_grid
from kernalg.design.nonnegative_fit import NonnegativeFit
from kernalg.design.parametric_fit import ActivationFit
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.finite.empirical import EmpiricalKernel
from kernalg.finite.pointwise import pointwise
from kernalg.network.profile import Profile
from kernalg.plot.style import INK, NAVY, SKY, VERMILION, axes, expect, series, whole_ticks
from kernalg.symbols import x

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REACH = 3  # standard deviations of the pre-activation that are drawn: 99.7 % of its values
_POINTS = 601
_ANGLES, _FEW_ANGLES = 181, 19  # of kernels that cost microseconds, and of those that cost seconds a value
_FEW_DEGREES = 8  # whose ticks are all of them
_MANY = 40  # coefficients from which on markers are small
_STEEP = 30  # ratio of the extremes of activations from which on their axis is logarithmic away from 0
_LONGEST = 64  # characters of a formula in a legend
_INLINE = {"fold_short_frac": True, "fold_frac_powers": True}  # fractions large enough to be read in a legend
_DASHES = (0, (5, 2))
_PRE_ACTIVATION = r"pre-activation $x$"
_ANGLE = "angle between the inputs (degrees)"
_LIMIT = 4


def design(d: Design, ax: Axes | None = None) -> Axes:
    """The activation, the kernel asked for and achieved, and the Hermite coefficients, side by side.

    Parameters
    ----------
    d : Design
        A feasible one.
    ax : Axes, optional
        Its place is divided among the three pictures. Alone in its figure, the figure is made wide enough.

    Returns
    -------
    Axes
        Of the first picture; ``.figure.axes`` has all.
    """
    _feasible(d)
    left, middle, right = _divided(ax, columns=3, size=(13.0, 3.6))
    designed_activation(d, left)
    designed_kernel(d, middle)
    designed_coefficients(d, right)
    return left


def designed_activation(d: Design, ax: Axes | None = None) -> Axes:
    """The activation within three standard deviations of its pre-activation, whose density is shaded."""
    _feasible(d)
    z = np.linspace(-_REACH, _REACH, _POINTS)
    at = z * np.sqrt(float(d.architecture.variance))
    values = pointwise(d.neuron).value(at)
    with axes(ax) as ax:
        _density(ax, at, z)
        ax.plot(at, values, color=NAVY, label=r"$\varphi(x)$")
        ax.set(xlabel=_PRE_ACTIVATION, ylabel=r"activation $\varphi(x)$", title="Activation", xlim=(at[0], at[-1]))
        ax.legend(loc="best")
        return ax


def designed_kernel(d: Design, ax: Axes | None = None) -> Axes:
    """The kernel asked for and the one achieved against the angle of the inputs, with the bound of their difference."""
    _feasible(d)
    asked = d.target.profile
    angles = np.linspace(0, 180, _ANGLES if asked.evaluation == "formula" else _FEW_ANGLES)
    cosines = np.cos(np.radians(angles))
    cosines[[0, -1]] = 1, -1
    achieved = _achieved(d, cosines)
    bound = d.error.kernel
    with axes(ax) as ax:
        if bound:
            ax.fill_between(angles, achieved - bound, achieved + bound, color=SKY, alpha=0.35, linewidth=0)
        ax.plot(angles, _values(asked, cosines), color=NAVY, linewidth=3.2, alpha=0.55, label="asked for")
        kind = "≤" if d.error.proved else "≈"
        label = f"achieved, error {kind} {bound:.2g}" if bound else "achieved"
        ax.plot(angles, achieved, color=VERMILION, linestyle=_DASHES, label=label)
        ax.set(xlabel=_ANGLE, ylabel=d.architecture.kind.upper(), title="Kernel on the sphere |x|² = d", xlim=(0, 180))
        _degrees(ax)
        ax.legend(loc="best")
        return ax


def designed_coefficients(d: Design, ax: Axes | None = None) -> Axes:
    """Sizes of the Hermite coefficients on a logarithmic axis; their signs are in the markers, zeros at the foot."""
    _feasible(d)
    b = d.series.values
    k = np.arange(len(b))
    with axes(ax) as ax:
        ax.set_yscale("log")
        size = 3 if len(b) > _MANY else 5.5
        for seen, label, face, marker in ((b > 0, "positive", NAVY, "o"), (b < 0, "negative", "white", "s")):
            if seen.any():
                ax.plot(
                    k[seen], np.abs(b[seen]), color=NAVY if face == NAVY else VERMILION, marker=marker,
                    linestyle="none", markersize=size, markerfacecolor=face, label=label,
                )  # fmt: skip
        zeros = k[b == 0]
        if len(zeros):
            foot = ax.get_xaxis_transform()
            ax.plot(
                zeros, np.full(len(zeros), 0.02), transform=foot, color=INK, marker="|", linestyle="none",
                label="0 (exactly)", markersize=size,
            )  # fmt: skip
        _at_least_a_decade(ax, np.abs(b[b != 0]))
        ax.set_xlim(-0.5 - 0.02 * len(b), len(b) - 0.5 + 0.02 * len(b))
        ax.set(xlabel="degree k", ylabel=r"Hermite coefficient $|b_k|$", title=f"Coefficients, signs {_short(d.signs)}")
        if len(b) > _FEW_DEGREES:
            whole_ticks(ax)
        else:
            ax.set_xticks(k)
        ax.legend(loc="best")
        return ax


def closed_forms(d: Design, ax: Axes | None = None) -> Axes:
    """All activations in closed form that have the kernel; they differ by the signs of their Hermite coefficients.

    The formulas stand beside the picture, which is made wide if it is alone in its figure.
    """
    _feasible(d)
    if not d.closed_forms:
        raise DomainError("no activation in closed form is known for this kernel; plot.design draws the polynomial")
    scale = np.sqrt(float(d.architecture.variance))
    z = np.linspace(-_REACH, _REACH, _POINTS)
    curves = [pointwise(Activation(form.activation)).value(z) for form in d.closed_forms]
    with axes(ax) as ax:
        _alone(ax, (8.4, 3.6))
        _density(ax, scale * z, z)
        for form, values, style in zip(d.closed_forms, curves, series(len(curves)), strict=True):
            formula = sp.latex(form.activation.subs(x, x / sp.sqrt(d.architecture.variance)), **_INLINE)
            label = f"${formula}$" if len(str(form.activation)) <= _LONGEST else f"grows like {form.growth}"
            ax.plot(scale * z, values, label=f"{form.signs}:  {label}", **style | {"marker": ""})
        largest = [float(np.abs(values).max()) for values in curves]
        if max(largest) > _STEEP * min(largest):
            ax.set_yscale("symlog", linthresh=float(min(largest)))
        ax.set(
            xlabel=_PRE_ACTIVATION, ylabel=r"activation $\varphi(x)$", xlim=(-_REACH * scale, _REACH * scale),
            title=f"One kernel, {len(curves)} activation{'s' * (len(curves) != 1)}",
        )  # fmt: skip
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="signs of the Hermite coefficients")
        return ax


def kernel_fit(fit: NonnegativeFit | ActivationFit, target: Any = None, ax: Axes | None = None) -> Axes:
    """The kernel that was fitted and what the fit achieves, with the residuals below.

    Parameters
    ----------
    fit : NonnegativeFit or ActivationFit
    target : kernel, formula, or array of values at the cosines, optional
        What was fitted; needed by a `NonnegativeFit`, which does not keep it.
    ax : Axes, optional
        Its place is divided between the two pictures.
    """
    expect(fit, NonnegativeFit, ActivationFit)
    cosines = np.array(fit.cosines)
    if isinstance(fit, ActivationFit):
        goal, achieved = np.array(fit.target_values), np.array(fit.achieved)
    else:
        if target is None:
            raise DomainError(
                "a NonnegativeFit does not keep the values it was fitted to: give target=, the same kernel"
            )
        goal = np.array(Target(target, fit_grid(fit.cosines, fit.weights)).values)
        w, b = float(fit.w_var), float(fit.b_var)
        achieved = np.polynomial.polynomial.polyval(
            (w * cosines + b) / (w + b), np.array(fit.coefficients, dtype=float)
        )
    order = np.argsort(cosines)[::-1]
    angles, goal, achieved = np.degrees(np.arccos(cosines))[order], goal[order], achieved[order]
    upper, lower = _divided(ax, rows=2, ratios=(2.2, 1), size=(5.2, 4.6))
    style = {"color": NAVY, "markersize": 3}
    with axes(upper):
        upper.plot(angles, goal, color=NAVY, linewidth=3.2, alpha=0.55, label="target")
        upper.plot(angles, achieved, color=VERMILION, linestyle=_DASHES, label="achieved")
        upper.set(ylabel=fit.kind.upper(), title="Kernel on the sphere |x|² = d", xlim=(0, 180))
        upper.tick_params(labelbottom=False)
        upper.legend(loc="best")
    with axes(lower):
        lower.axhline(0, color=INK, linewidth=0.8)
        lower.plot(angles, achieved - goal, marker="o", linewidth=1, **style)
        lower.set(xlabel=_ANGLE, ylabel="achieved\n− target", xlim=(0, 180))
    for part in (upper, lower):
        _degrees(part)
    return upper


def empirical_kernel(e: EmpiricalKernel, cosines: Any = None, ax: Axes | None = None) -> Axes:
    """The kernel of finite networks with error bars beside its limit, and its deviations in standard errors below.

    Parameters
    ----------
    e : EmpiricalKernel
    cosines : array_like, optional
        x.x'/d of each entry, which the picture is drawn against (as angles); by default the entries are numbered, row
        by row.
    ax : Axes, optional
        Its place is divided between the two pictures.
    """
    expect(e, EmpiricalKernel)
    mean, limit, error, z = (a.ravel() for a in (e.mean, e.target, e.standard_error, e.z))
    where, label = np.arange(len(mean), dtype=float), "entry"
    if cosines is not None:
        given = real_array("cosines", cosines).ravel()
        if len(given) != len(mean) or np.abs(given).max() > 1 + 1e-12:
            raise DomainError(f"{len(given)} cosines for {len(mean)} entries: one number in [-1, 1] each is needed")
        where, label = np.degrees(np.arccos(np.clip(given, -1, 1))), _ANGLE
    order = np.argsort(where, kind="stable")
    upper, lower = _divided(ax, rows=2, ratios=(2.2, 1), size=(5.2, 4.6))
    with axes(upper):
        if cosines is None:
            upper.plot(where, limit, color=NAVY, marker="_", markersize=13, linestyle="none", label="infinite width")
        else:
            upper.plot(where[order], limit[order], color=NAVY, label="infinite width")
        bars = 2 * error if np.isfinite(error).all() else None
        upper.errorbar(
            where, mean, yerr=bars, color=VERMILION, marker="o", markersize=4, linestyle="none", elinewidth=1.2,
            label=f"{e.draws} networks of width {e.width}, ±2 s.e.", zorder=4,
        )  # fmt: skip
        upper.set(ylabel=e.kind.upper(), title=f"Finite width, {e.error_kind} error bars")
        upper.tick_params(labelbottom=False)
        low, high = upper.get_ylim()
        upper.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
        upper.legend(loc="upper right")
    with axes(lower):
        lower.axhspan(-2, 2, color=SKY, alpha=0.25, linewidth=0)
        lower.axhline(0, color=INK, linewidth=0.8)
        for side in (-_LIMIT, _LIMIT):
            lower.axhline(side, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        lower.plot(where, z, color=VERMILION, marker="o", markersize=4, linestyle="none")
        reach = 1.15 * max(_LIMIT, float(np.abs(z).max()))
        lower.set(xlabel=label, ylabel="deviation\n(s.e.)", ylim=(-reach, reach))
        if reach < 3 * _LIMIT:
            lower.set_yticks([-_LIMIT, -2, 0, 2, _LIMIT])
    for part in (upper, lower):
        if cosines is None:
            whole_ticks(part)
        else:
            _degrees(part)
    return upper


# ---------------------------------------------------------------------------------------------------------------------


def _feasible(d: Design) -> None:
    expect(d, Design)
    if d.feasible is False:
        raise DomainError(f"there is no activation to draw: {d.certificate!r}")


def _achieved(d: Design, cosines: FloatArray) -> FloatArray:
    """The kernel of the activation: exact for closed forms, otherwise the polynomial of the coefficients."""
    if d.closed_form is not None:
        return _values(d.kernel().profile(), cosines)
    return kernel_at_radius(d.architecture, 1.0, d.series.values**2, float(d.architecture.variance), cosines)


def _values(profile: Profile, cosines: FloatArray) -> FloatArray:
    with precision(64):
        return np.array([float(profile.ball(ball(float(c)))) for c in cosines])


def _density(ax: Any, at: FloatArray, z: FloatArray) -> None:
    """The Gaussian of the pre-activations behind the picture, a quarter of its height."""
    ax.fill_between(
        at, 0.25 * np.exp(-(z**2) / 2), transform=ax.get_xaxis_transform(), color="#9aa4b2", alpha=0.3, linewidth=0,
        zorder=0, label="density of $x$",
    )  # fmt: skip


def _divided(
    ax: Any, rows: int = 1, columns: int = 1, ratios: tuple[float, ...] = (1,), size: tuple[float, float] = (5, 4)
) -> list[Any]:
    """New axes in the place of `ax`; in a figure of their own, of this size, without one."""
    with axes(ax) as place:
        figure = place.figure
        _alone(place, size)
        if place.get_subplotspec() is None:
            raise DomainError("this picture has several parts, and divides the place of Axes made by subplots")
        heights = ratios if rows > 1 else None
        grid = place.get_subplotspec().subgridspec(rows, columns, height_ratios=heights)
        place.remove()
        made = [figure.add_subplot(grid[i, j]) for i in range(rows) for j in range(columns)]
    return made


def _alone(ax: Any, size: tuple[float, float]) -> None:
    if len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(*size)


def _degrees(ax: Any) -> None:
    ticker = importlib.import_module("matplotlib.ticker")
    ax.xaxis.set_major_locator(ticker.MultipleLocator(45))


def _at_least_a_decade(ax: Any, sizes: FloatArray) -> None:
    """Room around coefficients of one size; a logarithmic axis without a tick says nothing."""
    if not len(sizes):
        return
    low, high = sizes.min() / 2, sizes.max() * 2
    stretch = np.sqrt(max(1.0, 100 * low / high))
    ax.set_ylim(low / stretch, high * stretch)


def _short(signs: str) -> str:
    return signs if len(signs) <= 16 else f"{signs[:14]}…"
