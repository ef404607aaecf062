r"""E[f(u) f(v)] at any correlation for a function that breaks at 0, by quadrature in polar coordinates.

With :math:`\rho = \cos\alpha`, :math:`u = \sqrt{q_1}\,r\sin s` and :math:`v = \sqrt{q_2}\,r\sin(s+\alpha)`, the lines
u = 0 and v = 0 cut the plane into sectors on each of which f(u) f(v) is analytic, however small the angle is:

.. math:: E = \frac1{2\pi}\int_0^\infty r e^{-r^2/2}\Big(\int_0^{\pi-\alpha} [f(u)f(v)+f(-u)f(-v)]\,ds
          + \int_0^{\alpha} [f(u)f(-v')+f(-u)f(v')]\,ds\Big)dr,\qquad v' = \sqrt{q_2}\,r\sin(\alpha-s).

Gauss-Legendre panels shrink towards r = 0 and towards both sides of a sector, where f may have its poles close by.
Tens of milliseconds an entry.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.layer_program import SeriesStep

_POINTS = 12
_REACH = 12


def sector_moments(step: SeriesStep, root1: float, root2: float, angle: float) -> tuple[float, float]:
    """E[f(u) f(v)] and E[f'(u) f'(v)] for standard deviations `root1`, `root2` and correlation cos(angle).

    Examples
    --------
    >>> import numpy as np
    >>> relu = SeriesStep(lambda x: (np.maximum(x, 0), np.where(np.signbit(x), 0.0, 1.0)), 0, breaks=True)
    >>> k, slope = sector_moments(relu, 1.0, 1.0, np.pi / 3)
    >>> bool(abs(k - (np.sqrt(3) / 2 + np.pi / 3) / (2 * np.pi)) < 1e-15), round(slope, 12)
    (True, 0.333333333333)
    """
    largest = max(root1, root2, 1.0)
    levels, cells = 5 + int(np.ceil(np.log2(largest))), int(np.ceil(largest / 4))
    r, weights = _radii(levels, cells)
    unit, own = _sector(levels, cells)
    totals = np.zeros(2)
    for width, sign, shift in ((np.pi - angle, 1.0, angle), (angle, -1.0, -angle)):
        s = width * unit
        u = root1 * r[:, None] * np.sin(s)
        v = root2 * r[:, None] * (np.sin(s + shift) if sign > 0 else np.sin(-s - shift))
        pairs = step.functions(np.stack([u, -u])), step.functions(np.stack([sign * v, -sign * v]))
        for part in range(2):
            f, g = pairs[0][part], pairs[1][part]
            totals[part] += width * (weights @ (f[0] * g[0] + f[1] * g[1]) @ own)
    return float(totals[0]), float(totals[1])


@lru_cache(maxsize=8)
def _radii(levels: int, cells: int) -> tuple[FloatArray, FloatArray]:
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-levels, 0), np.arange(1.0, _REACH + 1)])
    r, weights = _panels(edges, cells)
    return r, weights * r * np.exp(-r * r / 2) / (2 * np.pi)


@lru_cache(maxsize=8)
def _sector(levels: int, cells: int) -> tuple[FloatArray, FloatArray]:
    """The unit interval."""
    rising, falling = 2.0 ** np.arange(-levels, 0), 1 - 2.0 ** np.arange(-2, -levels - 1, -1)
    return _panels(np.concatenate([[0.0], rising, falling, [1.0]]), cells)


def _panels(edges: FloatArray, cells: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights, every panel cut into `cells`."""
    points, own = np.polynomial.legendre.leggauss(_POINTS)
    half = np.repeat(np.diff(edges) / (2 * cells), cells)
    starts = (edges[:-1, None] + np.diff(edges)[:, None] * np.arange(cells) / cells).ravel()
    return (starts[:, None] + half[:, None] * (1 + points)).ravel(), (half[:, None] * own).ravel()
