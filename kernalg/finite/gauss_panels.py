"""Gauss-Legendre rules on many panels at once."""

from __future__ import annotations

import numpy as np

from kernalg.checks import FloatArray


def gauss_panels(starts: FloatArray, ends: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on each panel, one panel after the other."""
    points, own = np.polynomial.legendre.leggauss(count)
    half = (ends - starts) / 2
    return (starts[:, None] + half[:, None] * (1 + points)).ravel(), (half[:, None] * own).ravel()
