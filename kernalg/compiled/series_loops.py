"""Loops that take a block of kernel entries through one layer by the Hermite series of the activation.

The text of this file is compiled once a machine: coefficients and layers are data. The text of `runtime` takes the
place of the import of it, for Numba's cache.

Coefficients of BLOCK rows lie together, term by term: term k of the row in lane l of a block is at
offset + k BLOCK + l.
"""

# mypy: ignore-errors

import numpy as np
from numba import njit

from kernalg.compiled.runtime import fma

BLOCK = 128
STEP = 16


@njit(error_model="numpy")
def series(a, o1, b, o2, terms, z, out, m):
    """out_j = sum_k a_k b_kj z_j^k by Horner's rule, four terms a pass; `terms` is a multiple of 4."""
    for j in range(m):
        out[j] = 0.0
    k = terms
    while k > 0:
        k -= 4
        a0, a1 = a[o1 + k * BLOCK], a[o1 + (k + 1) * BLOCK]
        a2, a3 = a[o1 + (k + 2) * BLOCK], a[o1 + (k + 3) * BLOCK]
        at = o2 + k * BLOCK
        b0, b1 = b[at : at + m], b[at + BLOCK : at + BLOCK + m]
        b2, b3 = b[at + 2 * BLOCK : at + 2 * BLOCK + m], b[at + 3 * BLOCK : at + 3 * BLOCK + m]
        for j in range(m):
            w = z[j]
            v = fma(w, fma(w, out[j], a3 * b3[j]), a2 * b2[j])
            out[j] = fma(w, fma(w, v, a1 * b1[j]), a0 * b0[j])


@njit(error_model="numpy")
def terms_needed(t1, t2, ratio, accuracy):
    """How many terms are above `accuracy`: |term n and those after it| <= t1 t2 ratio^n, at multiples of STEP."""
    power = 1.0
    step = ratio**STEP
    most = min(t1.size, t2.size) - 1
    for m in range(most):
        if t1[m] * t2[m] * power <= accuracy:
            return m * STEP
        power *= step
    return most * STEP


@njit(error_model="numpy", nogil=True, cache=True)
def layer(
    K_all, K_first, T_all, T_first, first, last, lower, with_ntk, w, b, g, roots1, roots2,
    A1, D1, offsets1, tails1, A2, D2, offsets2, tails2, squared, odd, accuracy, most_off,
):  # fmt: skip
    """One Dense layer and one activation on the rows first..last: K <- k(w K + b), T <- (g K + w T) times the slope.

    `odd` says for the activation and for its derivative whether the series begins with rho; with `squared` it goes on
    in rho^2. NaN where the terms that are not stored may be more than `most_off`.
    """
    rho, z, value, slope = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    width = K_all.shape[1]
    for block in range(offsets2.size - 1):
        j0 = block * BLOCK
        v = roots2[j0 : j0 + BLOCK]
        stored2 = (offsets2[block + 1] - offsets2[block]) // (BLOCK * STEP)
        for i in range(first, last):
            m = min(i if lower else width, j0 + BLOCK) - j0
            if m <= 0:
                continue
            K = K_all[i - K_first, j0 : j0 + m]
            T = T_all[i - T_first, j0 : j0 + m]
            u = roots1[i]
            largest = 0.0
            for j in range(m):
                covariance = w * K[j] + b
                T[j] = g * covariance + w * T[j]
                size = u * v[j]
                r = covariance / size if size > 0.0 else 0.0
                r = 1.0 if r > 1.0 else r
                r = -1.0 if r < -1.0 else r
                rho[j] = r
                z[j] = r * r if squared else r
                largest = max(largest, abs(z[j]))
            own = i // BLOCK
            stored1 = (offsets1[own + 1] - offsets1[own]) // (BLOCK * STEP)
            terms = terms_needed(tails1[own, : stored1 + 1], tails2[block, : stored2 + 1], largest, accuracy)
            o1, o2 = offsets1[own] + i % BLOCK, offsets2[block]
            series(A1, o1, A2, o2, terms, z, value, m)
            stored = min(stored1, stored2)
            unknown = tails1[own, stored] * tails2[block, stored]
            for j in range(m):
                K[j] = value[j] * rho[j] if odd[0] else value[j]
                if unknown > most_off and unknown * abs(z[j]) ** (STEP * stored) > most_off:
                    K[j] = np.nan
            if with_ntk:
                series(D1, o1, D2, o2, terms, z, slope, m)
                for j in range(m):
                    T[j] *= slope[j] * rho[j] if odd[1] else slope[j]


@njit(error_model="numpy", nogil=True, cache=True)
def affine(K_all, K_first, T_all, T_first, first, last, lower, w, b, g):
    """A Dense layer alone."""
    for i in range(first, last):
        K, T = K_all[i - K_first], T_all[i - T_first]
        for j in range(i if lower else K.size):
            K[j] = w * K[j] + b
            T[j] = g * K[j] + w * T[j]


@njit(error_model="numpy", nogil=True, cache=True)
def finish(K_all, K_first, T_all, T_first, first, last, lower, with_ntk, X1, X2, q1, q2, K_diagonal, T_diagonal):
    """Equal rows get the value of the diagonal, NaN or not; returns how many entries are not finite."""
    wrong = 0
    for i in range(first, last):
        K, T = K_all[i - K_first], T_all[i - T_first]
        own = K_diagonal[i]
        for j in range(i if lower else K.size):
            if q1[i] == q2[j] and not abs(K[j] - own) > 1e-9 * own:
                k = 0
                while k < X1.shape[1] and X1[i, k] == X2[j, k]:
                    k += 1
                if k == X1.shape[1]:
                    K[j] = own
                    T[j] = T_diagonal[i]
            wrong += not abs(K[j]) < np.inf
            if with_ntk:
                wrong += not abs(T[j]) < np.inf
    return wrong
