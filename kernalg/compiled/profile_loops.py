"""Loops that turn inner products into kernel entries by a table of polynomials.

The text of this file is compiled once a machine: the table is data, so that networks of any activation and depth
share the machine code. The text of `runtime` takes the place of the import of it, for Numba's cache.

A block of BLOCK entries of one row is worked on at a time, in loops that LLVM turns into vector instructions. Each
piece of the table that meets the block is evaluated on the whole block, and the entries outside it are discarded:
the entries of a row mostly lie in one or two pieces, and a choice of coefficients per entry costs more.
"""

# mypy: ignore-errors

import numpy as np
from numba import njit

from kernalg.compiled.runtime import fma

BLOCK = 128


@njit(error_model="numpy", nogil=True, cache=True)
def squared_norms(X, out):
    """x.x of every row, summed in eight strands."""
    n, d = X.shape
    for i in range(n):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for k in range(0, d - 7, 8):
            s0 = fma(X[i, k], X[i, k], s0)
            s1 = fma(X[i, k + 1], X[i, k + 1], s1)
            s2 = fma(X[i, k + 2], X[i, k + 2], s2)
            s3 = fma(X[i, k + 3], X[i, k + 3], s3)
            s4 = fma(X[i, k + 4], X[i, k + 4], s4)
            s5 = fma(X[i, k + 5], X[i, k + 5], s5)
            s6 = fma(X[i, k + 6], X[i, k + 6], s6)
            s7 = fma(X[i, k + 7], X[i, k + 7], s7)
        for k in range(d - d % 8, d):
            s0 = fma(X[i, k], X[i, k], s0)
        out[i] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(error_model="numpy")
def half_squared_distance(x, y, u, v):
    """|u x - v y|^2 / 2 for unit vectors u x and v y: 1 - cos of their angle, without cancellation."""
    s0 = s1 = s2 = s3 = 0.0
    d = x.size
    for k in range(0, d - 3, 4):
        e0, e1 = u * x[k] - v * y[k], u * x[k + 1] - v * y[k + 1]
        e2, e3 = u * x[k + 2] - v * y[k + 2], u * x[k + 3] - v * y[k + 3]
        s0, s1, s2, s3 = fma(e0, e0, s0), fma(e1, e1, s1), fma(e2, e2, s2), fma(e3, e3, s3)
    for k in range(d - d % 4, d):
        e0 = u * x[k] - v * y[k]
        s0 = fma(e0, e0, s0)
    return 0.5 * ((s0 + s1) + (s2 + s3))


@njit(error_model="numpy")
def horner(C, z, out, m):
    """The polynomial with coefficients `C`, four steps of Horner's rule a pass; the size of `C` is 1 modulo 4."""
    k = C.size - 1
    top = C[k]
    for j in range(m):
        out[j] = top
    while k > 0:
        c3, c2, c1, c0 = C[k - 1], C[k - 2], C[k - 3], C[k - 4]
        for j in range(m):
            w = z[j]
            out[j] = fma(w, fma(w, fma(w, fma(w, out[j], c3), c2), c1), c0)
        k -= 4


@njit(error_model="numpy")
def at_angle(side, versine, C, sides, lower, upper, centres, scales):
    """Value of the piece that holds xi = side (1 - versine); the last two axes of `C` are the coefficients."""
    y = min(np.sqrt(versine), 0.7071067811865475)  # where the middle begins; versine may be beyond it by rounding
    for p in range(sides.size):
        if sides[p] == side and lower[p] <= y <= upper[p]:
            z = (y - centres[p]) * scales[p]
            value = 0.0
            for k in range(C.shape[1] - 1, -1, -1):
                value = fma(value, z, C[p, k])
            return value
    return np.nan


@njit(error_model="numpy", nogil=True, cache=True)
def pairs(
    A, B, offset, first, last, lower_half, both, X, Y, u1, s1, u2, s2, edges, sides, lower, upper, centres, scales, C,
    ends, near
):  # fmt: skip
    """Turn x.y in the rows first..last of A (stored from row `offset` on) into C[0], and B into C[1] with `both`.

    The entries are s_i s_j kappa(xi), xi = x.y u_i u_j. With `lower_half`, those below the diagonal only. Where
    |xi| > near, 1 -+ xi is computed again from the rows. Returns how many entries are not finite.
    """
    xi, z, a, b = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    wrong = 0
    for i in range(first, last):
        columns = i if lower_half else A.shape[1]
        u, s = u1[i], s1[i]
        for j0 in range(0, columns, BLOCK):
            m = min(BLOCK, columns - j0)
            K = A[i - offset, j0 : j0 + m]
            T = B[i - offset, j0 : j0 + m] if both else K
            v, w = u2[j0 : j0 + m], s2[j0 : j0 + m]
            close = 0
            for j in range(m):
                xi[j] = K[j] * (u * v[j])
                close += abs(xi[j]) > near
            left = m
            for p in range(sides.size):
                low, high = edges[p], edges[p + 1]
                inside = 0
                for j in range(m):
                    inside += (xi[j] >= low) & (xi[j] < high)
                if inside == 0:
                    continue
                centre, scale, side = centres[p], scales[p], float(sides[p])
                if sides[p] == 0:
                    for j in range(m):
                        z[j] = (xi[j] - centre) * scale
                else:
                    for j in range(m):
                        versine = 1.0 - side * xi[j]
                        z[j] = (np.sqrt(versine if versine > 0.0 else 0.0) - centre) * scale
                horner(C[0, p], z, a, m)
                if both:
                    horner(C[1, p], z, b, m)
                if inside == m:
                    for j in range(m):
                        K[j] = a[j] * (s * w[j])
                    if both:
                        for j in range(m):
                            T[j] = b[j] * (s * w[j])
                else:
                    for j in range(m):
                        here = (xi[j] >= low) & (xi[j] < high)
                        K[j] = a[j] * (s * w[j]) if here else K[j]
                    if both:
                        for j in range(m):
                            here = (xi[j] >= low) & (xi[j] < high)
                            T[j] = b[j] * (s * w[j]) if here else T[j]
                left -= inside
                if left == 0:
                    break
            if close:
                for j in range(m):
                    if abs(xi[j]) > near:
                        side = 1 if xi[j] > 0.0 else -1
                        versine = half_squared_distance(X[i], Y[j0 + j], u, side * v[j])
                        for part in range(2 if both else 1):
                            if versine == 0.0:
                                value = ends[part, (1 - side) // 2]
                            else:
                                value = at_angle(side, versine, C[part], sides, lower, upper, centres, scales)
                            (T if part else K)[j] = value * (s * w[j])
            for j in range(m):
                wrong += not abs(K[j]) + abs(T[j]) < np.inf
    return wrong


@njit(nogil=True, cache=True)
def mirror(K, first, last):
    """K[j, i] = K[i, j] for i > j in the rows j = first..last: eight rows at a time, one cache line of each row i."""
    n = K.shape[0]
    for j0 in range(first, last, 8):
        j1 = min(j0 + 8, last)
        for i in range(j0 + 1, n):
            for j in range(j0, min(j1, i)):
                K[j, i] = K[i, j]
