r"""Hermite coefficients of smooth functions in float64: many functions, one matrix product.

.. math:: a_k(q) = E[f(\sqrt q Z)\,h_k(Z)] = \int f(\sqrt q z)\,\sqrt{\varphi(z)}\;g_k(z)\,dz, \qquad
          g_k = h_k\sqrt\varphi,\quad |g_k| < 1,

by the trapezoidal rule, which converges geometrically for functions that are analytic in a strip around the real line
(Trefethen and Weideman, *SIAM Review* 56, 2014). With f analytic for :math:`|\Im x| < b` the spectrum of
:math:`f(\sqrt q z)` falls like :math:`e^{-\beta\omega}`, :math:`\beta = b/\sqrt q`, and a_k like
:math:`e^{-\beta\sqrt k}`. A step h folds the frequency :math:`2\pi/h` onto those of g_k, which reach :math:`\sqrt k`.
If N terms are what the sum of the squares a_k**2 needs, :math:`e^{-2\beta\sqrt N}` is the rounding error u, so that
:math:`2\pi/h = 3\sqrt N + 9` leaves an error of the order of u in every a_k, k < N.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kernalg.compiled.inputs import FloatArray

# sqrt(phi) is 1e-28 here.
REACH = 16.0


@dataclass(frozen=True, slots=True)
class HermiteRule:
    """Nodes z >= 0, weights for means, and the matrices that turn function values there into coefficients.

    A function is given by its even part and its odd part at the nodes: ``even @ rule.even`` is a_0, a_2, …, and
    ``odd @ rule.odd`` is a_1, a_3, …; ``values @ rule.mean`` is E of an even function; `root` is sqrt(phi) at the last
    node.
    """

    nodes: FloatArray
    even: FloatArray
    odd: FloatArray
    mean: FloatArray
    root: float


@lru_cache(maxsize=16)
def hermite_rule(terms: int) -> HermiteRule:
    """The rule for the coefficients a_0 … a_{terms - 1}; `terms` is even.

    Examples
    --------
    >>> rule = hermite_rule(8)
    >>> (rule.nodes**2 @ rule.even).round(12)[:2]  # x**2 = h_0 + sqrt(2) h_2
    array([1.        , 1.41421356])
    """
    step = 2 * np.pi / (3 * np.sqrt(terms) + 9)
    nodes = step * np.arange(int(np.ceil(REACH / step)) + 1)
    weights = np.full(nodes.size, 2 * step)
    weights[0] = step
    return _rule(nodes, weights, terms)


@lru_cache(maxsize=4)
def split_rule(terms: int, cells: int) -> HermiteRule:
    """The same for functions that break at 0: Gauss-Legendre on panels, `cells` a unit and finer towards 0.

    Panels shrink by halves down to 1/2048, so that a singularity beside 0, at a distance like 1/sqrt(q), does no harm.
    """
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-11, 0) / cells, np.arange(1, REACH * cells + 1) / cells])
    points, own = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges) / 2
    nodes = (edges[:-1, None] + half[:, None] * (1 + points)).ravel()
    return _rule(nodes, 2 * (half[:, None] * own).ravel(), terms)


def _rule(nodes: FloatArray, weights: FloatArray, terms: int) -> HermiteRule:
    root = np.exp(-(nodes**2) / 4) / (2 * np.pi) ** 0.25
    rows = np.empty((terms, nodes.size))
    rows[0], rows[1] = root, nodes * root
    for k in range(1, terms - 1):
        rows[k + 1] = (nodes * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1)
    rows *= root * weights
    even, odd = (np.ascontiguousarray(rows[part::2].T) for part in (0, 1))
    return HermiteRule(nodes, even, odd, root * root * weights, float(root[-1]))
