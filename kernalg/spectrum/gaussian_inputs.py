r"""Spectrum of a kernel under Gaussian inputs; for the Gaussian kernel of distances, in closed form.

In one coordinate, :math:`x\sim N(0,s)` and :math:`K=e^{-(x-y)^2/(2\ell)}`, Mehler's expansion
:math:`\sum_n\mathrm{He}_n(u)\mathrm{He}_n(v)B^n/n!` of a bivariate normal density of correlation B is, for the scale
:math:`u=\sqrt{C/s}\,x` with

.. math:: C=\sqrt{1+4s/\ell},\qquad B=\frac{C-1}{C+1},

the kernel up to a Gaussian factor in x and the same in y. So

.. math:: \lambda_n=(1-B)B^n,\qquad
          \varphi_n(x)=C^{1/4}e^{-(C-1)x^2/(4s)}\,\mathrm{He}_n\bigl(\sqrt{C/s}\,x\bigr)/\sqrt{n!}

are eigenvalues (sum 1 = E[K(x,x)]) and orthonormal eigenfunctions. Independent coordinates multiply: the eigenvalue of
a multi-index is :math:`\prod_i(1-B_i)B_i^{n_i}`, and coordinates of equal variance share the level
:math:`n_1+\dots+n_m=k` of multiplicity :math:`\binom{k+m-1}k`. In the form of Rasmussen & Williams (2006, section
4.3.1): a = 1/(4s), b = 1/(2l), c = aC, A = a + b + c, B = b/A and :math:`\sqrt{2a/A}=1-B`.

Other kernels under isotropic inputs are diagonalised by `kernalg.spectrum.radial`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import ArrayLike, NDArray

from kernalg.checks import real_array, whole_number
from kernalg.enclosure.balls import ball, bits_for, check_digits, has_digits, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number
from kernalg.network.radial_basis import RadialBasisKernel, rbf_kernel
from kernalg.spectrum.from_balls import DOUBLE_DIGITS, rounding, spectrum_from_balls
from kernalg.spectrum.spaces import GaussianInputs
from kernalg.spectrum.spectrum import Spectrum

CONVENTION = "per eigenfunction, probability measure of the inputs"
_METHOD = "closed form (Mehler)"
_MOST_LEVELS = 20_000
# Labels name every variance while there are few, then those that occur.
_FULL_LABELS = 10


def gaussian_spectrum(K: Any, space: GaussianInputs, degree: int, digits: int | None, exact: bool) -> Spectrum:
    """Eigenvalues of a kernel under Gaussian inputs; parameters as in `spectrum`.

    Isotropic inputs: levels are the total degrees 0 to `degree`.

    Different variances (`rbf_kernel` only): all levels whose eigenvalue is at least that of degree `degree` in the
    coordinate of largest variance, in falling order; at most 20000. A level is labelled by its degrees, "(2,0,1)", one
    for each *different* variance in the order they were given: coordinates of equal variance share theirs (beyond ten
    different variances only those that occur are written, "(0:2, 17:1)"). Levels of different labels may have the same
    eigenvalue.
    """
    if not isinstance(K, RadialBasisKernel):
        if isinstance(space.variance, tuple):
            raise DomainError(
                f"{K!r} on {space}: with different variances only rbf_kernel has a spectrum. Rescale the coordinates "
                "to one variance, or take empirical_spectrum of the kernel on a sample"
            )
        spectrum: Spectrum = import_module("kernalg.spectrum.radial").radial_spectrum(K, space, degree, digits, exact)
        return spectrum
    groups = Counter(space.variances) if isinstance(space.variance, tuple) else {space.variance: space.d}
    variances, sizes = list(groups), list(groups.values())
    indices = _largest_levels(variances, K.squared_length, degree)
    multiplicities = [math.prod(math.comb(n + sizes[g] - 1, n) for g, n in index.items()) for index in indices]
    labels = None if len(groups) == 1 else [_label(index, len(groups)) for index in indices]
    if exact:
        fractions = _exact_eigenvalues(K, variances, sizes, indices)
        return Spectrum(
            [float(value) for value in fractions],
            multiplicities,
            trace=1.0,
            errors=[rounding(float(value)) for value in fractions],
            methods=["exact"] * len(indices),
            space=space,
            convention=CONVENTION,
            labels=labels,
            exact=fractions,
        )
    goal = DOUBLE_DIGITS if digits is None else check_digits(digits)
    return spectrum_from_balls(
        _enclosed_eigenvalues(K, variances, sizes, indices, goal),
        multiplicities,
        digits=digits,
        trace=1.0,
        methods=[_METHOD] * len(indices),
        space=space,
        convention=CONVENTION,
        labels=labels,
    )


def _ratio(variance: Fraction, squared_length: sp.Expr) -> tuple[arb, arb]:
    """B and 1 - B of the module's docstring, at the current precision; B without the cancellation of C - 1."""
    four = 4 * ball(variance) / ball(squared_length)
    root = (1 + four).sqrt()
    return four / (root + 1) ** 2, 2 / (root + 1)


def _largest_levels(variances: Sequence[Fraction], squared_length: sp.Expr, degree: int) -> list[dict[int, int]]:
    """Multi-indices (variance: degree) of the eigenvalues down to that of `degree` at the largest variance."""
    if degree >= _MOST_LEVELS:
        raise DomainError(f"degree={degree}: at most {_MOST_LEVELS} levels are computed; ask a lower degree")
    if len(variances) == 1:
        return [{0: k} if k else {} for k in range(degree + 1)]
    with precision(128):
        cost = {g: -float(_ratio(variance, squared_length)[0].log()) for g, variance in enumerate(variances)}
    order = sorted(cost, key=lambda g: cost[g])
    budget = degree * cost[order[0]] * (1 + 1e-12)
    # A multi-index is a word of variances in the order of their cost; each word is reached once, from its beginning.
    found: list[tuple[float, tuple[int, ...]]] = []
    pending: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    while pending:
        spent, word = pending.pop()
        found.append((spent, word))
        if len(found) + len(pending) > _MOST_LEVELS:
            raise DomainError(
                f"degree={degree}: more than {_MOST_LEVELS} levels have an eigenvalue as large as that of degree "
                f"{degree} in the coordinate of largest variance; ask a lower degree"
            )
        for position in range(word[-1] if word else 0, len(order)):
            total = spent + cost[order[position]]
            if total > budget:
                break
            pending.append((total, (*word, position)))
    words = [word for _, word in sorted(found)]
    return [dict(sorted(Counter(order[position] for position in word).items())) for word in words]


def _label(index: dict[int, int], variances: int) -> str:
    if variances <= _FULL_LABELS:
        return "(" + ",".join(str(index.get(g, 0)) for g in range(variances)) + ")"
    return "(" + ", ".join(f"{g}:{n}" for g, n in index.items()) + ")"


def _enclosed_eigenvalues(
    K: RadialBasisKernel,
    variances: Sequence[Fraction],
    sizes: Sequence[int],
    indices: list[dict[int, int]],
    digits: int,
) -> list[arb]:
    bits = bits_for(digits) + 64
    with precision(bits):
        pairs = [_ratio(variance, K.squared_length) for variance in variances]
        ground = math.prod((rest**size for (_, rest), size in zip(pairs, sizes, strict=True)), start=arb(1))
        values = [math.prod((pairs[g][0] ** n for g, n in index.items()), start=ground) for index in indices]
    if not all(has_digits(value, digits) for value in values):
        raise PrecisionError(f"{digits} digits of the eigenvalues were not reached at {bits} bits; ask fewer")
    return values


def _exact_eigenvalues(
    K: RadialBasisKernel, variances: Sequence[Fraction], sizes: Sequence[int], indices: list[dict[int, int]]
) -> list[sp.Rational]:
    roots = [sp.sqrt(1 + 4 * sp.Rational(s.numerator, s.denominator) / K.squared_length) for s in variances]
    if not all(root.is_Rational for root in roots):
        raise DomainError(
            f"exact=True needs rational eigenvalues, and those of {K!r} contain "
            f"{next(root for root in roots if not root.is_Rational)}: ask for digits= instead"
        )
    ground = sp.prod([(2 / (root + 1)) ** size for root, size in zip(roots, sizes, strict=True)])
    ratios = [(root - 1) / (root + 1) for root in roots]
    return [ground * sp.prod([ratios[g] ** n for g, n in index.items()]) for index in indices]


def gaussian_eigenvalue(n: Any, *, variance: Any = 1, squared_length: Any = 1) -> sp.Expr:
    r"""The eigenvalue :math:`(1-B)B^n` of degree n in one coordinate, exactly; numbers or symbols.

    Examples
    --------
    >>> gaussian_eigenvalue(2, squared_length=2)
    2*(-1 + sqrt(3))**2/(1 + sqrt(3))**3
    >>> gaussian_eigenvalue(3, variance=3, squared_length=4)
    2/81
    """
    n, s, length = (
        exact_number(value, name)
        for name, value in (("n", n), ("variance", variance), ("squared_length", squared_length))
    )
    root = sp.sqrt(1 + 4 * s / length)
    return 2 / (root + 1) * ((root - 1) / (root + 1)) ** n


def gaussian_eigenfunctions(
    degree: int, x: ArrayLike, *, variance: Any = 1, squared_length: Any = 1
) -> NDArray[np.float64]:
    """The orthonormal eigenfunctions of exp(-(x-y)^2/(2 squared_length)) under N(0, variance), in one coordinate.

    In several coordinates, their products over a multi-index.

    Parameters
    ----------
    degree : int
        Largest degree.
    x : array_like, shape S
    variance, squared_length : number
        Positive.

    Returns
    -------
    ndarray, shape (degree + 1, *S)

    Raises
    ------
    DomainError
        If a number is out of range.

    Examples
    --------
    >>> gaussian_eigenfunctions(1, [0.0, 1.0])
    array([[1.22284454, 0.89777369],
           [0.        , 1.3424848 ]])
    """
    degree = whole_number("degree", degree, 0)
    at = real_array("x", x)
    s = GaussianInputs(1, variance).variances[0]
    length = rbf_kernel(squared_length).squared_length
    root = math.sqrt(1 + 4 * float(s) / float(length))
    table = np.empty((degree + 1, *at.shape))
    table[0] = root**0.25 * np.exp(-(root - 1) / 4 * at**2 / float(s))
    scaled = math.sqrt(root / float(s)) * at
    # The recursion of He_n/sqrt(n!), started at the Gaussian factor, so that nothing overflows.
    for n in range(degree):
        table[n + 1] = (scaled * table[n] - (math.sqrt(n) * table[n - 1] if n else 0.0)) / math.sqrt(n + 1)
    return table
