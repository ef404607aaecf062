"""The Hermite coefficients a_k(q) of a smooth activation and of its derivative at the variances of many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from kernalg.compiled.gram_source import BLOCK
from kernalg.compiled.hermite_rule import HermiteRule, hermite_rule, split_rule
from kernalg.compiled.inputs import FloatArray
from kernalg.compiled.layer_program import SeriesStep
from kernalg.compiled.memory import available_memory
from kernalg.compiled.threads import serial_blas, threads
from kernalg.errors import DomainError

# Of terms between two tails. The loops have the same numbers.
STEP = 16
# Up to this degree the series is followed.
MOST_DEGREE = 2**14
# The error of an entry, as a share of the diagonal, beyond which a result is refused.
TOLERANCE = 1e-12
# This share of sqrt(E f^2) is noise in a coefficient.
_NOISE = 5e-16
# A series is settled when the last quarter of its terms has at most this share of E f^2, and when what Parseval's sum
# misses of it is within the rounding of so long a sum.
_LAST_QUARTER, _MISSED = 1e-12, 3e-14
_PROBES = 9
# The error of a coefficient of a finite series, for each of its terms, as a share of the largest of them.
_ROUNDING_OF_A_TERM = 2.0**-52
# The series of a function that breaks at 0 ends at this degree; what it leaves out is known.
_BREAKING_DEGREE = 2**10
# The correlation up to which it is mostly used.
_USED = 0.97


@dataclass(frozen=True, slots=True)
class Coefficients:
    """a_k of the activation (`values`) and of its derivative (`slopes`) for all rows at one layer.

    `roots` are sqrt(q). Block n of BLOCK rows has its coefficients from `offsets[n]` to `offsets[n + 1]`, as
    `series_loops` says; `tails[n, m]` is the largest share, in its rows, of sqrt(R) from term STEP m on. `sizes`
    are E f^2 of both functions, shape (2, n).
    """

    roots: FloatArray
    values: FloatArray
    slopes: FloatArray
    offsets: NDArray[np.int64]
    tails: FloatArray
    sizes: FloatArray

    def cut(self, first: int, last: int) -> Coefficients:
        """Those of the rows first..last; `first` is a multiple of `BLOCK`."""
        start, stop = first // BLOCK, -(-last // BLOCK)
        own = slice(first, last)
        return Coefficients(
            self.roots[own], self.values, self.slopes, self.offsets[start : stop + 1], self.tails[start:stop],
            self.sizes[:, own],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moments:
    """Of phi (row 0) and phi' (row 1) at every variance, shape (2, n) each.

    sizes
        E f^2.
    defects
        The share of it that the sum of the squares a_k^2 misses, and what the rule leaves out at its ends.
    growth
        sum k a_k^2 as a share of E f^2: the derivative of the dual by rho at rho = 1. For a function that breaks it is
        taken where the series is used at most, at rho = 0.97.
    rest
        The share of E f^2 that follows the last term, when it is not rounding.
    """

    sizes: FloatArray
    defects: FloatArray
    growth: FloatArray
    rest: FloatArray


@dataclass(frozen=True, slots=True)
class _Block:
    """a_k of phi and of phi', one row for each of up to BLOCK variances, and their moments."""

    a: FloatArray
    d: FloatArray
    moments: Moments

    def tails(self) -> FloatArray:
        """sqrt(sum_{k >= STEP m} a_k^2 / E f^2) for every row and m = 0, 1, …, of phi or phi', whichever is larger."""
        found = []
        for x, size, rest in zip((self.a, self.d), self.moments.sizes, self.moments.rest, strict=True):
            squares = _share((x * x).reshape(size.size, -1, STEP).sum(axis=2), size[:, None])
            squares = np.hstack([squares, rest[:, None]])
            found.append(np.sqrt(np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]))
        return np.maximum(*found)


def coefficients(name: str, step: SeriesStep, q: FloatArray) -> tuple[Coefficients, Moments]:
    """For the rows `name` with these variances.

    Raises
    ------
    DomainError
        The series of a row does not settle, or the coefficients do not fit in memory.
    """
    n = q.size
    roots = np.sqrt(q)
    count = -(-n // BLOCK)
    blocks: list[tuple[_Block, FloatArray] | None] = [None] * count
    if step.coefficients is None:
        probes, needed = _plan(name, step, roots)
        most = int(needed[-1])
        _check_fits(name, n, most)

    def work(block: int) -> None:
        own = slice(block * BLOCK, (block + 1) * BLOCK)
        if step.coefficients is not None:
            blocks[block] = _finite(step, *step.coefficients(q[own]), q[own])
            return
        part = roots[own]
        start = int(needed[np.searchsorted(probes, part.max())])
        blocks[block] = _block(step, part, start, most)

    with serial_blas(), threads(count > 1) as share:
        share(work, range(count))
    made = [block for block in blocks if block is not None]
    offsets = np.cumsum([0, *(BLOCK * block.a.shape[1] for block, _ in made)], dtype=np.int64)
    values, slopes = np.zeros(int(offsets[-1])), np.zeros(int(offsets[-1]))
    tails = np.zeros((count, max(tail.size for _, tail in made)))
    for i, (block, tail) in enumerate(made):
        tails[i, : tail.size] = tail
        for store, rows in ((values, block.a), (slopes, block.d)):
            store[offsets[i] : offsets[i + 1]].reshape(-1, BLOCK)[:, : rows.shape[0]] = rows.T
    moments = Moments(
        *(
            np.concatenate([getattr(block.moments, field) for block, _ in made], axis=1)
            for field in ("sizes", "defects", "growth", "rest")
        )
    )
    bad = np.flatnonzero(~(moments.defects.max(axis=0) <= TOLERANCE))
    if bad.size and step.coefficients is not None:
        raise DomainError(
            f"{step.label} takes {name}[{bad[0]}], whose variance is {q[bad[0]]:.4g}, out of the range of float64: it "
            "is a polynomial of high degree. Scale the rows down"
        )
    if bad.size:
        _refuse(name, step, q, int(bad[0]))
    return Coefficients(roots, values, slopes, offsets, tails, moments.sizes), moments


def _plan(name: str, step: SeriesStep, roots: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Some of the roots in ascending order, and how many terms (a power of two) the rows up to each of them need.

    The last number is what the sums of squares need. It limits the others: beside a row whose series ends there, the
    terms of a row count whose size (not whose square) is above rounding.
    """
    probes = np.quantile(roots, np.linspace(0, 1, _PROBES))
    if step.breaks:
        if _expand(step, probes, _breaking_terms(step)).moments.defects.max() > TOLERANCE:
            _refuse(name, step, roots**2, int(np.argmax(roots)))
        return probes, np.full(_PROBES, _breaking_terms(step))
    terms, most = 64, MOST_DEGREE // (2 if step.parity else 1)
    while terms <= most:
        block = _expand(step, probes, terms)
        tails = block.tails()
        last = float(tails[:, 3 * tails.shape[1] // 4].max()) ** 2
        if last <= _LAST_QUARTER and block.moments.defects.max() <= _MISSED:
            counts = [min(_power_of_two(4 * STEP * int((row > _NOISE).sum()) // 3), terms) for row in tails]
            return probes, np.maximum.accumulate([*counts[:-1], terms])
        if last ** (most / terms) > _LAST_QUARTER:  # not even if it falls geometrically from here on
            break
        terms *= 2
    _refuse(name, step, roots**2, int(np.argmax(roots)))


def _refuse(name: str, step: SeriesStep, q: FloatArray, row: int) -> NoReturn:
    raise DomainError(
        f"{step.label} has no closed-form dual, and at the variance {q[row]:.4g} of {name}[{row}] its Hermite series "
        f"is not settled at degree {MOST_DEGREE}. Scale the rows down, or to equal norms: X * sqrt(d) / norm(X, "
        "axis=1, keepdims=True). Close relatives with formulas: erf for tanh and arctan, sigmoid_like for the "
        "sigmoid, smoothed_relu for softplus, gelu for SiLU and Mish"
    )


def _check_fits(name: str, rows: int, terms: int) -> None:
    """Refuse coefficients that would not fit in memory: of two functions, and once more while they are made."""
    needed = 32 * rows * terms
    left = available_memory()
    if needed >= 2**28 and left is not None and needed > left:
        raise DomainError(
            f"the Hermite series of the {rows} rows of {name} have up to {terms} terms each: {needed / 1e9:.3g} GB, "
            f"and {left / 1e9:.3g} GB of memory are available. Give fewer rows at a time, as ka.gram_to_zarr does, or "
            "smaller ones: the number of terms grows with their squared norm"
        )


def _power_of_two(least: int) -> int:
    return max(32, 1 << (least - 1).bit_length())


def _breaking_terms(step: SeriesStep) -> int:
    return _BREAKING_DEGREE // (2 if step.parity else 1)


def _block(step: SeriesStep, roots: FloatArray, terms: int, most: int) -> tuple[_Block, FloatArray]:
    """The coefficients of these rows that are above noise, and their tails; begins with a guess of `terms`."""
    while True:
        block = _expand(step, roots, terms)
        tails = block.tails().max(axis=0)
        if terms >= most or tails[3 * (tails.size - 1) // 4] <= _NOISE:
            break
        terms *= 2
    kept = min(int((tails > _NOISE).sum()) + 1, tails.size - 1)
    a, d = (np.ascontiguousarray(x[:, : kept * STEP]) for x in (block.a, block.d))
    return _Block(a, d, block.moments), tails[: kept + 1]


def _finite(step: SeriesStep, a: FloatArray, d: FloatArray, q: FloatArray) -> tuple[_Block, FloatArray]:
    """A finite series: nothing is missing but the rounding of the coefficients."""
    sizes, growth = [], []
    degrees = np.arange(a.shape[1])
    pairs = np.sqrt((degrees[:-2] + 1.0) * (degrees[:-2] + 2.0)) if degrees.size > 2 else np.empty(0)
    with np.errstate(over="ignore", invalid="ignore"):
        for x in (a, d):
            squares = x * x
            size = squares.sum(axis=1)
            # 2 q da_k/dq = sqrt((k+1)(k+2)) a_(k+2) + k a_k: how the rounding of a variance reaches a coefficient
            moved = degrees * x
            moved[:, : pairs.size] += pairs * x[:, 2:]
            norm = np.sqrt(_share((moved * moved).sum(axis=1), size))
            sizes.append(size)
            growth.append(_share(squares @ degrees, size) + norm)
    off = np.full((2, q.size), _ROUNDING_OF_A_TERM * degrees.size)
    beyond = ~np.isfinite(sizes).all(axis=0)
    off[:, beyond] = np.inf
    a[beyond] = d[beyond] = 0.0
    if step.parity:
        first = (0, 1) if step.parity > 0 else (1, 0)
        a, d = (x[:, start::2] for x, start in zip((a, d), first, strict=True))
    width = -(-max(a.shape[1], d.shape[1]) // STEP) * STEP
    a, d = (np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (a, d))
    block = _Block(a, d, Moments(np.array(sizes), off, np.array(growth), np.zeros((2, q.size))))
    return block, block.tails().max(axis=0)


def _expand(step: SeriesStep, roots: FloatArray, terms: int) -> _Block:
    """`terms` coefficients, of one parity when the function has one."""
    full = 2 * terms if step.parity else terms
    if not step.breaks:
        return _by_rule(step, roots, hermite_rule(full))
    coarse, fine = (_by_rule(step, roots, split_rule(full, cells)) for cells in (4, 8))
    off = [
        _share(np.abs(x - y).max(axis=1), np.sqrt(size)) + _share(np.abs(other - size), size)
        for x, y, size, other in zip(
            (coarse.a, coarse.d), (fine.a, fine.d), fine.moments.sizes, coarse.moments.sizes, strict=True
        )
    ]
    moments = fine.moments
    return _Block(fine.a, fine.d, Moments(moments.sizes, np.array(off), moments.growth, moments.rest))


def _by_rule(step: SeriesStep, roots: FloatArray, rule: HermiteRule) -> _Block:
    full = rule.even.shape[1] + rule.odd.shape[1]
    middle = rule.nodes.size
    at = roots[:, None] * np.concatenate([-rule.nodes[::-1], rule.nodes])
    degrees = np.arange(full)
    weights = degrees * _USED ** np.maximum(degrees - 1, 0) if step.breaks else degrees
    found, sizes, defects, growth, rests = [], [], [], [], []
    for f, parity in zip(step.functions(at), (step.parity, -step.parity), strict=True):
        right, left = f[:, middle:], f[:, middle - 1 :: -1]
        if step.breaks:  # at variance 0 the mean of both sides
            right, left = (np.where(roots[:, None] > 0, side, (right + left) / 2) for side in (right, left))
        a = np.zeros((roots.size, full))
        if parity >= 0:
            a[:, ::2] = (right + left) / 2 @ rule.even
        if parity <= 0:
            a[:, 1::2] = (right - left) / 2 @ rule.odd
        size = (right * right + left * left) / 2 @ rule.mean
        edge = np.maximum(np.abs(f[:, 0]), np.abs(f[:, -1])) * rule.root
        squares = a * a
        rest = _share(size - squares.sum(axis=1), size)
        defects.append(np.abs(rest) + _share(edge, np.sqrt(size)))
        rests.append(np.maximum(rest, 0.0) if step.breaks else np.zeros(roots.size))
        sizes.append(size)
        growth.append(_share(squares @ weights, size))
        found.append(a if parity == 0 else a[:, ::2] if parity > 0 else a[:, 1::2])
    a, d = found
    return _Block(a, d, Moments(*map(np.array, (sizes, defects, growth, rests))))


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, and 0 where there is nothing."""
    share: FloatArray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share
