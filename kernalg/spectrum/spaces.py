"""The spaces whose spectra kernalg knows: where inputs live, and with which probability.

Kernels of networks see an input through q = |x|^2/d, so every space is scaled such that q is of the order of 1: the
sphere and the hypercube have |x|^2 = d, Gaussian inputs have variance 1 unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from kernalg.checks import whole_number
from kernalg.errors import DomainError


@dataclass(frozen=True, slots=True)
class Sphere:
    """The sphere S^(d-1) in `d` dimensions, with the uniform probability measure.

    Only the cosine of two points matters. Kernels of networks see rows with |x|^2 = d as points of it
    (rho = x.x'/d); rows of norm 1 are not.

    Raises
    ------
    DomainError
        Unless `d` is an integer from 2.

    Examples
    --------
    >>> Sphere(50), Circle
    (Sphere(d=50), Sphere(d=2))
    >>> print(Sphere(50))
    sphere S^49, d = 50
    """

    d: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole_number("d", self.d, 2))

    def __str__(self) -> str:
        return f"sphere S^{self.d - 1}, d = {self.d}"


Circle = Sphere(2)


@dataclass(frozen=True, slots=True)
class Hypercube:
    """The corners {-1, 1}^d of the cube in `d` dimensions, all equally probable (|x|^2 = d, rho = x.x'/d).

    Raises
    ------
    DomainError
        Unless `d` is an integer from 1.

    Examples
    --------
    >>> print(Hypercube(14))
    hypercube {-1, 1}^14
    """

    d: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole_number("d", self.d, 1))

    def __str__(self) -> str:
        return f"hypercube {{-1, 1}}^{self.d}"


@dataclass(frozen=True, slots=True)
class GaussianInputs:
    """Gaussian inputs in `d` dimensions: independent coordinates of mean 0.

    Parameters
    ----------
    d : int
    variance : number or d numbers
        Of every coordinate, or of each; exact (a float means its shortest decimal).

    Raises
    ------
    DomainError
        If `d` is no positive integer, or a variance is not a positive rational number.

    Examples
    --------
    >>> GaussianInputs(5)
    GaussianInputs(d=5, variance=Fraction(1, 1))
    >>> print(GaussianInputs(3, [1, 0.5, "1/4"]))
    Gaussian inputs, d = 3, variances 1, 1/2, 1/4
    """

    d: int
    variance: Fraction | tuple[Fraction, ...] = Fraction(1)

    def __post_init__(self) -> None:
        if isinstance(self.d, Iterable) and not isinstance(self.d, str):
            raise DomainError(f"d={self.d!r}: give the dimension, then the variances, as in GaussianInputs(2, [1, 4])")
        d = whole_number("d", self.d, 1)
        variance: Fraction | tuple[Fraction, ...]
        if isinstance(self.variance, Iterable) and not isinstance(self.variance, str):
            each = tuple(_positive(f"variance[{i}]", v) for i, v in enumerate(self.variance))
            if len(each) != d:
                raise DomainError(f"variance holds {len(each)} numbers for d={d} coordinates: give one, or d of them")
            variance = each[0] if len(set(each)) == 1 else each
        else:
            variance = _positive("variance", self.variance)
        object.__setattr__(self, "d", d)
        object.__setattr__(self, "variance", variance)

    @property
    def variances(self) -> tuple[Fraction, ...]:
        """One variance per coordinate."""
        return self.variance if isinstance(self.variance, tuple) else (self.variance,) * self.d

    def __str__(self) -> str:
        if isinstance(self.variance, Fraction):
            return f"Gaussian inputs, d = {self.d}, variance {self.variance}"
        shown = [str(v) for v in self.variance]
        listed = ", ".join(shown if len(shown) <= 6 else [*shown[:4], "…", shown[-1]])
        return f"Gaussian inputs, d = {self.d}, variances {listed}"


@dataclass(frozen=True, slots=True)
class ProductOfSpheres:
    """Inputs in blocks x = (x_1, …, x_w), each uniform on a sphere: |x_i|^2 = p_i, rho_i = x_i.x_i'/p_i.

    Parameters
    ----------
    dimensions : sequence of int
        p_1, …, p_w, each at least 2.

    Examples
    --------
    >>> print(ProductOfSpheres([8, 8, 4]))
    product of spheres S^7 x S^7 x S^3
    """

    dimensions: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.dimensions, Iterable) or isinstance(self.dimensions, str):
            raise DomainError(f"dimensions={self.dimensions!r}: give one dimension per sphere, as in [8, 8, 4]")
        each = tuple(whole_number(f"dimensions[{i}]", p, 2) for i, p in enumerate(self.dimensions))
        if not each:
            raise DomainError("dimensions is empty: give one dimension per sphere, as in [8, 8, 4]")
        object.__setattr__(self, "dimensions", each)

    def __str__(self) -> str:
        return "product of spheres " + " x ".join(f"S^{p - 1}" for p in self.dimensions)


@dataclass(frozen=True, slots=True)
class Ball:
    """The ball |x|^2 <= q d in `d` dimensions, with the uniform probability measure.

    Parameters
    ----------
    d : int
        At least 2.
    q : number
        Largest |x|^2/d; exact (a float means its shortest decimal).

    Examples
    --------
    >>> print(Ball(10))
    ball |x|^2 <= 10, d = 10
    >>> print(Ball(10, "1/2"))
    ball |x|^2 <= 5, d = 10
    """

    d: int
    q: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole_number("d", self.d, 2))
        object.__setattr__(self, "q", _positive("q", self.q))

    def __str__(self) -> str:
        return f"ball |x|^2 <= {self.q * self.d}, d = {self.d}"


@dataclass(frozen=True, slots=True)
class Shells:
    """Concentric spheres |x|^2 = q_i d, met with probabilities w_i, uniform in direction: inputs of unequal norms.

    Parameters
    ----------
    d : int
    q : sequence of numbers
        Different positive values of |x|^2/d.
    probability : sequence of numbers, optional
        Of each, adding up to 1; equal ones by default.

    Examples
    --------
    >>> Shells(10, [1, 4], ["1/3", "2/3"])
    Shells(d=10, q=(Fraction(1, 1), Fraction(4, 1)), probability=(Fraction(1, 3), Fraction(2, 3)))
    """

    d: int
    q: tuple[Fraction, ...]
    probability: tuple[Fraction, ...] = ()

    def __post_init__(self) -> None:
        for name in ("q", "probability"):
            given = getattr(self, name)
            if not isinstance(given, Iterable) or isinstance(given, str):
                raise DomainError(f"{name}={given!r}: give one number per sphere")
        q = tuple(_positive(f"q[{i}]", v) for i, v in enumerate(self.q))
        if not q or len(set(q)) != len(q):
            raise DomainError(f"q={[str(v) for v in q]}: different positive numbers, one per sphere, are needed")
        weights = tuple(_positive(f"probability[{i}]", v) for i, v in enumerate(self.probability))
        weights = weights or (Fraction(1, len(q)),) * len(q)
        # Shortest decimals of probabilities such as 1/3 add up to 1 but for their last digit.
        if len(weights) != len(q) or abs(float(sum(weights)) - 1) > 1e-12:
            raise DomainError(
                f"probability holds {len(weights)} numbers that add up to {float(sum(weights))!r}; {len(q)} that add "
                "up to 1 are needed"
            )
        object.__setattr__(self, "d", whole_number("d", self.d, 2))
        object.__setattr__(self, "q", q)
        object.__setattr__(self, "probability", tuple(w / sum(weights) for w in weights))

    def __str__(self) -> str:
        shown = [str(v) for v in self.q]
        listed = ", ".join(shown if len(shown) <= 6 else [*shown[:4], "…", shown[-1]])
        return f"{len(self.q)} shells |x|^2/d = {listed}, d = {self.d}"


Space = Sphere | Hypercube | GaussianInputs | ProductOfSpheres | Ball | Shells
_SPACES: dict[str, type[Any]] = {
    space.__name__: space for space in (Sphere, Hypercube, GaussianInputs, ProductOfSpheres, Ball, Shells)
}
SPACE_TYPES = tuple(_SPACES.values())


def space_to_json(space: Space) -> dict[str, Any]:
    """A JSON object that `space_from_json` turns back into an equal space (fractions as strings)."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, Fraction) else value

    return {"type": type(space).__name__} | {f.name: plain(getattr(space, f.name)) for f in fields(space)}


def space_from_json(data: Any) -> Space:
    """The space that `space_to_json` wrote; DomainError if `data` is none."""
    if not isinstance(data, dict) or data.get("type") not in _SPACES:
        raise DomainError(f"{data!r} is not the JSON of a space of inputs: {', '.join(_SPACES)}")
    parameters = {name: value for name, value in data.items() if name != "type"}
    try:
        space: Space = _SPACES[data["type"]](**parameters)
    except TypeError as error:
        raise DomainError(f"not the JSON of a {data['type']}: {error}") from error
    return space


def _positive(name: str, given: Any) -> Fraction:
    """`given` as an exact positive number; a float means its shortest decimal."""
    try:
        if isinstance(given, bool) or (isinstance(given, float) and not math.isfinite(given)):
            raise ValueError
        if hasattr(given, "p") and hasattr(given, "q"):  # a SymPy rational number
            value = Fraction(int(given.p), int(given.q))
        else:
            value = given if isinstance(given, Fraction) else Fraction(str(given))
    except (TypeError, ValueError, ZeroDivisionError):
        raise DomainError(f"{name}={given!r}: a positive rational number is needed (int, Fraction, float)") from None
    if value <= 0:
        raise DomainError(f"{name}={given!r}: it must be positive")
    return value
