r"""The text of the modules that differentiate a kernel by the variances its layers share.

Forward mode: beside c = K and t = T every entry carries their derivatives by log w and log b. A hidden layer is

    c <- w c + b,    t <- c + w t,    then    t <- t s(q1, q2, c),    c <- k(q1, q2, c),

with k the dual and s the derivative dual. The derivatives of the first two are plain. Those of the dual are taken in
log q1, log q2 and rho, because d/dq1 at fixed c is infinite at rho = ±1 while d/dlog q1 at fixed rho is not:

    dk = (k_1 dq1/q1 + k_2 dq2/q2)/2 + k_c e,    e = sqrt(q1 q2) drho = dc - c (dq1/q1 + dq2/q2)/2,

where k_1 = E[u phi'(u) phi(v)], k_2 = E[phi(u) v phi'(v)], k_c = E[phi'(u) phi'(v)]; the same for s with phi' in the
place of phi. (Only s_c is infinite at rho = ±1, if phi has a kink; e is 0 there.)

Variances and their derivatives belong to one row: they are computed once, in double-double. Entries run in float64, in
blocks of columns. Close and opposite rows, marked by NaN as in `gram_source`, go through double-double, where equal and
opposite variances follow one-variable formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import sympy as sp

from kernalg.compiled.cache import load
from kernalg.compiled.gram_source import HEAD, indent, runtime_text
from kernalg.compiled.printers import double_double_lines, float64_lines
from kernalg.compiled.shared import NUDGES, double_double_header
from kernalg.compiled.source import freeze
from kernalg.symbols import c, q1, q2

BLOCK = 128
# Sums may lose 20 bits. No sum of the recursion is that of two large terms (see above), so that this costs less than it
# says: 1e-12 of the diagonal, measured.
_GUARD = 2.0**-20
_NEAR = 2.0**-24


@dataclass(frozen=True, slots=True)
class DualGradient:
    """A dual k, the derivative dual s, and their derivatives.

    `pair` is (k, s, k_1, k_2, k_c, s_1, s_2, s_c) in q1, q2, c, with k_1 = 2 q1 dk/dq1 + c dk/dc (twice the derivative
    by log q1 at fixed rho) and k_c = dk/dc. The others are (k, s, dk/dq1, ds/dq1) in q1 alone: at q1 = q2 = c, at
    q1 = q2 = -c, and where the other variance is 0.
    """

    pair: tuple[sp.Expr, ...]
    diagonal: tuple[sp.Expr, ...]
    antidiagonal: tuple[sp.Expr, ...]
    zero: tuple[sp.Expr, ...]


_FLOAT64 = '''

@njit(error_model="numpy")
def step(h1w, h1b, q1, H2w, H2b, Q2, w, b, C, T, Cw, Cb, Tw, Tb):
    """One hidden layer of a block of entries; h are halves of derivatives of log q."""
    for j in range(Q2.size):
        q2, h2w, h2b = Q2[j], H2w[j], H2b[j]
        cw = w * (C[j] + Cw[j])
        cb = w * Cb[j] + b
        c = w * C[j] + b
        tw = cw + w * (T[j] + Tw[j])
        tb = cb + w * Tb[j]
        t = c + w * T[j]
        ew = cw - c * (h1w + h2w)
        eb = cb - c * (h1b + h2b)
        bad = c != c
{lines}
        Tw[j] = {s} * tw + t * ({s1} * h1w + {s2} * h2w + {sc} * ew)
        Tb[j] = {s} * tb + t * ({s1} * h1b + {s2} * h2b + {sc} * eb)
        T[j] = {s} * t
        Cw[j] = {k1} * h1w + {k2} * h2w + {kc} * ew
        Cb[j] = {k1} * h1b + {k2} * h2b + {kc} * eb
        C[j] = nan if bad else {k}


@njit(
    "int64(float64[:, ::1], int64, int64, float64, float64, float64, boolean, float64[::1], float64[:, ::1], "
    "float64[:, ::1], float64[:, ::1], float64[:, :, ::1])",
    error_model="numpy",
    nogil=True,
    cache=True,
)
def pairs(products, first, last, d, w, b, ntk, S, Q, Hw, Hb, G):
    """G[i, j] from x_i.x_j for j < i, i in first..last; NaN where float64 does not do, and how many of them."""
    C, T, Cw = np.empty({block}), np.empty({block}), np.empty({block})
    Cb, Tw, Tb = np.empty({block}), np.empty({block}), np.empty({block})
    marked = 0
    for i in range(first, last):
        for j0 in range(0, i, {block}):
            j1 = min(j0 + {block}, i)
            for j in range(j1 - j0):
                s = S[i] * S[j0 + j]
                x = products[i, j0 + j] / d
                C[j] = x if s - x > {near!r} * s else nan
                T[j] = Cw[j] = Cb[j] = Tw[j] = Tb[j] = 0.0
            for l in range(Q.shape[0]):
                step(
                    Hw[l, i], Hb[l, i], Q[l, i], Hw[l, j0:j1], Hb[l, j0:j1], Q[l, j0:j1], w, b, C, T, Cw, Cb, Tw, Tb
                )
            for j in range(j1 - j0):
                gw = Cw[j] + Tw[j] if ntk else Cw[j]
                gb = Cb[j] + Tb[j] if ntk else Cb[j]
                wrong = not (abs(gw) + abs(gb) < np.inf) or C[j] != C[j]
                G[i, j0 + j, 0] = nan if wrong else gw
                G[i, j0 + j, 1] = gb
                marked += wrong
    return marked
'''

_DOUBLE_DOUBLE = '''

@njit(error_model="numpy")
def times(slope, x):  # a slope may be infinite where nothing moves
    return (0.0, 0.0) if x[0] == 0.0 else dd_mul(slope, x)


@njit(error_model="numpy")
def dense(w, b, c, cw, cb, t, tw, tb):
    cw = dd_mul(w, dd_add(c, cw))
    cb = dd_add(dd_mul(w, cb), b)
    c = dd_add(dd_mul(w, c), b)
    tw = dd_add(cw, dd_mul(w, dd_add(t, tw)))
    tb = dd_add(cb, dd_mul(w, tb))
    t = dd_add(c, dd_mul(w, t))
    return c, cw, cb, t, tw, tb


@njit(error_model="numpy")
def alone(slope_s, s, t, tx, x):  # derivative of t s when s depends on one moving number
    return dd_add(dd_mul(s, tx), dd_mul(t, times(slope_s, x)))


@njit(
    "void(float64[:, ::1], float64[::1], boolean, float64[:, ::1], float64[:, :, ::1], float64[:, ::1])",
    error_model="numpy",
    nogil=True,
    cache=True,
)
def rows(X, wb, ntk, start, states, G):
    """x.x/d of every row; q, half of dlog q/dlog w, of dlog q/dlog b before every activation; and of its diagonal
    entry the derivatives."""
    w, b = (wb[0], wb[1]), (wb[2], wb[3])
    d = (float(X.shape[1]), 0.0)
    zero = (0.0, 0.0)
    for i in range(X.shape[0]):
        q = dd_div(dd_dot(X[i], X[i]), d)
        start[i, 0], start[i, 1] = q
        qw, qb, t, tw, tb = zero, zero, zero, zero, zero
        for l in range(states.shape[1]):
            q, qw, qb, t, tw, tb = dense(w, b, q, qw, qb, t, tw, tb)
            states[i, l, 0], states[i, l, 1] = q
            states[i, l, 2], states[i, l, 3] = zero if q[0] == 0.0 else dd_div(dd_scale(qw, 0.5), q)
            states[i, l, 4], states[i, l, 5] = zero if q[0] == 0.0 else dd_div(dd_scale(qb, 0.5), q)
            q, s, slope_k, slope_s = diagonal(q, 0.0)
            tw, tb, t = alone(slope_s, s, t, tw, qw), alone(slope_s, s, t, tb, qb), dd_mul(s, t)
            qw, qb = times(slope_k, qw), times(slope_k, qb)
        G[i, 0] = dd_add(qw, tw)[0] if ntk else qw[0]
        G[i, 1] = dd_add(qb, tb)[0] if ntk else qb[0]


@njit(error_model="numpy")
def moved(slope_1, h1, slope_2, h2, slope_c, e):
    return dd_add(dd_add(dd_mul(slope_1, h1), dd_mul(slope_2, h2)), times(slope_c, e))


@njit(error_model="numpy")
def pair(c, A, B, w, b, ntk, nudge):
    """The derivatives of one entry, and the size of what was differentiated."""
    zero = (0.0, 0.0)
    cw, cb, t, tw, tb = zero, zero, zero, zero, zero
    for l in range(A.shape[0]):
        c, cw, cb, t, tw, tb = dense(w, b, c, cw, cb, t, tw, tb)
        q1, h1w, h1b = (A[l, 0], A[l, 1]), (A[l, 2], A[l, 3]), (A[l, 4], A[l, 5])
        q2, h2w, h2b = (B[l, 0], B[l, 1]), (B[l, 2], B[l, 3]), (B[l, 4], B[l, 5])
        relation = dd_relation(q1, q2, c)
        if relation != 0 or q1[0] == 0.0 or q2[0] == 0.0:
            swap = relation == 0 and q1[0] == 0.0
            q, hw, hb = (q2, h2w, h2b) if swap else (q1, h1w, h1b)
            if relation == 0:
                k, s, slope_k, slope_s = beside_zero(q, 0.0)
            elif relation == 1:
                k, s, slope_k, slope_s = diagonal(q, 0.0)
            else:
                k, s, slope_k, slope_s = antidiagonal(q, 0.0)
{parity}
            xw, xb = dd_scale(dd_mul(q, hw), 2.0), dd_scale(dd_mul(q, hb), 2.0)
            tw, tb = alone(slope_s, s, t, tw, xw), alone(slope_s, s, t, tb, xb)
            cw, cb = times(slope_k, xw), times(slope_k, xb)
        else:
            k, s, k1, k2, kc, s1, s2, sc = dual(q1, q2, c, nudge)
            ew = dd_sub(cw, dd_mul(c, dd_add(h1w, h2w)))
            eb = dd_sub(cb, dd_mul(c, dd_add(h1b, h2b)))
            tw = dd_add(dd_mul(s, tw), dd_mul(t, moved(s1, h1w, s2, h2w, sc, ew)))
            tb = dd_add(dd_mul(s, tb), dd_mul(t, moved(s1, h1b, s2, h2b, sc, eb)))
            cw, cb = moved(k1, h1w, k2, h2w, kc, ew), moved(k1, h1b, k2, h2b, kc, eb)
        c, t = k, dd_mul(s, t)
    if ntk:
        return dd_add(cw, tw)[0], dd_add(cb, tb)[0], abs(c[0]) + abs(t[0])
    return cw[0], cb[0], abs(c[0])


@njit(error_model="numpy")
def settled(near, far, size):
    scale = max(abs(near), abs(far), size)
    return near + (near - far) / 7.0 if abs(near - far) <= 1e-9 * scale else nan


@njit(
    "void(float64[:, ::1], int64[::1], int64[::1], float64[::1], boolean, float64[:, :, ::1], float64[:, ::1], "
    "float64[:, ::1])",
    error_model="numpy",
    nogil=True,
    cache=True,
)
def refine(X, I, J, wb, ntk, states, diagonal_G, G):
    """The derivatives of the entries (I[e], J[e]), from the rows themselves; equal rows have the diagonal's."""
    w, b = (wb[0], wb[1]), (wb[2], wb[3])
    d = (float(X.shape[1]), 0.0)
    for e in range(I.size):
        i, j = I[e], J[e]
        if np.array_equal(X[i], X[j]):
            G[e, 0], G[e, 1] = diagonal_G[i, 0], diagonal_G[i, 1]
            continue
        c = dd_div(dd_dot(X[i], X[j]), d)
        w1, b1 = 0.0, 0.0
        for nudge in (0.0, {far_nudge!r}, {near_nudge!r}):
            gw, gb, size = pair(c, states[i], states[j], w, b, ntk, nudge)
            if nudge == {near_nudge!r}:
                gw, gb = settled(gw, w1, size), settled(gb, b1, size)
            elif nudge == 0.0 and abs(gw) + abs(gb) < np.inf:
                break
            w1, b1 = gw, gb
        G[e, 0], G[e, 1] = gw, gb
'''


@lru_cache(maxsize=32)
def float64_module(formulas: DualGradient) -> ModuleType:
    """`pairs` for these formulas."""
    frozen = freeze(formulas.pair, [q1, q2, c])
    given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
    lines, names = float64_lines(frozen, frozen.outputs, given, guard=_GUARD)
    named = dict(zip(("k", "s", "k1", "k2", "kc", "s1", "s2", "sc"), names, strict=True))
    body = _FLOAT64.format(lines=indent(lines, 2), block=BLOCK, near=_NEAR, **named)
    return load(HEAD + runtime_text(frozen) + body)


@lru_cache(maxsize=32)
def double_double_module(formulas: DualGradient) -> ModuleType:
    """`rows` and `refine` for these formulas."""
    parts = [double_double_header()]
    for name, expressions, symbols in (
        ("dual", formulas.pair, (q1, q2, c)),
        ("diagonal", formulas.diagonal, (q1,)),
        ("antidiagonal", formulas.antidiagonal, (q1,)),
        ("beside_zero", formulas.zero, (q1,)),
    ):
        frozen = freeze(expressions, symbols)
        given = {i: node.value for i, node in enumerate(frozen.nodes) if node.op == "symbol"}
        lines, names = double_double_lines(frozen, frozen.outputs, given)
        body = [*lines, f"return {', '.join(names)}"]
        arguments = ", ".join(s.name for s in symbols)
        parts.append(f'\n@njit(error_model="numpy")\ndef {name}({arguments}, nudge):\n{indent(body, 1)}\n\n')
    # u = v or u = -v goes on exactly, not to 31 digits, through an even or an odd activation.
    same, opposite = formulas.diagonal[0], formulas.antidiagonal[0]
    parity = []
    if sp.expand(same + opposite) == 0:
        parity = ["k = dd_neg(diagonal(q, 0.0)[0])"]
    elif sp.expand(same - opposite) == 0:
        parity = ["k = diagonal(q, 0.0)[0]"]
    parts.append(_DOUBLE_DOUBLE.format(near_nudge=NUDGES[0], far_nudge=NUDGES[1], parity=indent(parity, 4)))
    return load("".join(parts))
