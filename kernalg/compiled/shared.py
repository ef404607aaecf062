"""The double-double functions, compiled once for all generated programs that import them.

Generated modules are otherwise self-contained, because Numba's cache notices edits of the caller's file alone. Here the
name of the imported module is a hash of its text, so an edit changes the text, and so the cache entry, of every caller.
What it saves is a second of compilation for each new formula.
"""

from __future__ import annotations

import re
from functools import cache

from kernalg.compiled.cache import helper_text, load

# A difference M - S, in units of M + S, is rounding when it lies in this interval. Below: c is beyond sqrt(q1 q2) by
# up to 4 units of float64. Above: it is noise of double-double, which a step activation would turn from 1e-32 into
# 1e-16 in one layer, 1e-8 in two, 1e-2 in four.
_NEGATIVE_NOISE = 2.0**-48
_POSITIVE_NOISE = 2.0**-98
# Where a formula is 0/0 at such a point, its value is the limit: it is evaluated at these two relative distances h, and
# when the two agree to 1e-9 extrapolated in sqrt(h), whose ratio is 8. An infinite limit differs by far more.
NUDGES = (2.0**-88, 2.0**-82)

_MORE = f"""
from math import nan


@njit(error_model="numpy")
def dd_clamp(x, size, nudge):
    noise = -{_NEGATIVE_NOISE!r} * size < x[0] < {_POSITIVE_NOISE!r} * size
    return (nudge * size, 0.0) if noise else x


@njit(error_model="numpy")
def dd_gap(m, n, nudge):
    size = abs(m[0]) + abs(n[0])
    return dd_mul(dd_clamp(dd_sub(m, n), size, nudge), dd_clamp(dd_add(m, n), size, nudge))


@njit(error_model="numpy")
def dd_leg(m, n, nudge):
    # A product of two roots, which does not underflow for rows of norm 1e-80.
    size = abs(m[0]) + abs(n[0])
    return dd_mul(dd_sqrt(dd_clamp(dd_sub(m, n), size, nudge)), dd_sqrt(dd_clamp(dd_add(m, n), size, nudge)))


@njit(error_model="numpy")
def dd_relation(q1, q2, c):  # 1 for u = v, -1 for u = -v, 0 for any other pair
    if q1[0] != q2[0] or q1[1] != q2[1]:
        return 0
    if c[0] == q1[0] and c[1] == q1[1]:
        return 1
    return -1 if c[0] == -q1[0] and c[1] == -q1[1] else 0


@njit(error_model="numpy")
def dd_exp_sinh(a, b):
    if b[0] == 0.0:
        return b
    size = dd_abs(b)
    half = dd_exp(dd_scale(dd_add(a, size), 0.5))
    value = dd_scale(dd_mul(dd_mul(half, dd_neg(dd_expm1(dd_scale(size, -2.0)))), half), 0.5)
    return value if b[0] >= 0.0 else dd_neg(value)


@njit(error_model="numpy")
def dd_exp_cosh(a, b):
    size = dd_abs(b)
    half = dd_exp(dd_scale(dd_add(a, size), 0.5))
    return dd_mul(dd_mul(half, dd_scale(dd_add((1.0, 0.0), dd_exp(dd_scale(size, -2.0))), 0.5)), half)


@njit(error_model="numpy")
def limit(near, far):
    return near + (near - far) / 7.0 if abs(near - far) <= 1e-9 * max(abs(near), abs(far)) else nan
"""


@cache
def double_double_header() -> str:
    """The import lines for a generated module; loads the shared module, so that they work."""
    plain = helper_text("double_double") + _MORE
    text = plain.replace('@njit(error_model="numpy")', '@njit(error_model="numpy", cache=True)')
    names = re.findall(r"^def (\w+)\(", text, flags=re.MULTILINE)
    constants = re.findall(r"^([A-Z][A-Z0-9_]+) = ", text, flags=re.MULTILINE)
    imported = ", ".join(sorted({*names, *constants} - {"_ratio"}))
    lines = (
        "from math import nan",
        "import numpy as np",
        "from numba import njit",
        f"from {load(text).__name__} import {imported}",
    )
    return "\n".join(lines) + "\n\n"
