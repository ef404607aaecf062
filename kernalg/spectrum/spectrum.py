"""One value for the spectrum of a kernel, whatever the space of its inputs.

A kernel K on a probability space has an integral operator f -> E_y[K(., y) f(y)]. Its eigenvalues come in *levels*:
level i holds one eigenvalue, repeated `multiplicities[i]` times (on the sphere S^{d-1}, the level is the degree and the
multiplicity N(d, k)). Multiplicities are exact integers and may exceed the range of float64 by hundreds of decades, so
a product "multiplicity times eigenvalue" goes through mantissas and exponents, and a solver can start from logarithms.
"""

from __future__ import annotations

import html
import json
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number, real_vector
from kernalg.errors import DomainError, InternalError
from kernalg.formula import read_object
from kernalg.spectrum.spaces import SPACE_TYPES, Space, space_from_json, space_to_json
from kernalg.spectrum.tables import format_integer, html_table, import_pandas, text_table

if TYPE_CHECKING:
    import sympy as sp

_EPS = float(np.finfo(np.float64).eps)
# Python refuses decimal conversions above 4300 digits; above this size integers are written in hexadecimal.
_DECIMAL_BITS = 12_000
_SHOWN_DIGITS = 60  # characters of a certified eigenvalue that a table shows; longer ones are in `exact`


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spectrum:
    """Eigenvalues of a kernel's integral operator, level by level.

    Parameters
    ----------
    eigenvalues : (levels,) array_like of float
        One eigenvalue per level, *per harmonic*, under a probability measure. The index is the level (the degree, on a
        sphere); the order is not required to be decreasing. A negative value is accepted only within its error, and
        counts as zero wherever a sign matters.
    multiplicities : (levels,) sequence of int
        How often each eigenvalue occurs: exact positive integers of any size.
    trace : float, optional
        The trace of the operator, E[K(x, x)] (on the sphere, K(1)): what all levels, listed or not, add up to.
    errors : (levels,) array_like of float, optional
        Absolute error estimates of the eigenvalues.
    methods : (levels,) sequence of str, optional
        How each eigenvalue was obtained.
    space : Space or str
        The inputs: a space of kernalg (``Sphere(10)``), or words.
    convention : str
        The normalisation, in words, if it needs any beyond "per harmonic, probability measure".
    labels : (levels,) sequence of str, optional
        Names of the levels; the index is used without them.
    exact : (levels,) sequence of sympy.Float or sympy.Rational, optional
        The eigenvalues again, to their certified digits or as exact fractions.
    target_power : (levels,) array_like of float, optional
        Power of a target in each level: the sum of its squared coefficients there.
    atoms : int, optional
        Number of points of the input space, if it is finite (a data set, the hypercube).

    Raises
    ------
    DomainError
        If lengths differ, a value is not a finite real number, an eigenvalue is negative beyond its error, a
        multiplicity is not a positive integer, or the levels add up to more than the trace.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.1], [1, 3], trace=1)
    >>> s.level_power
    array([0.5, 0.3])
    >>> round(s.tail, 12), s.rank
    (0.2, 4)
    >>> Spectrum.from_json(s.to_json()) == s
    True
    """

    eigenvalues: FloatArray
    multiplicities: tuple[int, ...]
    trace: float | None = field(default=None, kw_only=True)
    errors: FloatArray | None = field(default=None, kw_only=True)
    methods: tuple[str, ...] | None = field(default=None, kw_only=True)
    space: Space | str = field(default="", kw_only=True)
    convention: str = field(default="", kw_only=True)
    labels: tuple[str, ...] | None = field(default=None, kw_only=True)
    exact: tuple[sp.Number, ...] | None = field(default=None, kw_only=True)
    target_power: FloatArray | None = field(default=None, kw_only=True)
    atoms: int | None = field(default=None, kw_only=True)

    def __init__(
        self,
        eigenvalues: ArrayLike,
        multiplicities: Iterable[int],
        *,
        trace: float | None = None,
        errors: ArrayLike | None = None,
        methods: Iterable[str] | None = None,
        space: Space | str = "",
        convention: str = "",
        labels: Iterable[str] | None = None,
        exact: Iterable[sp.Number] | None = None,
        target_power: ArrayLike | None = None,
        atoms: int | None = None,
    ) -> None:
        values = real_vector("eigenvalues", eigenvalues)
        if not isinstance(multiplicities, Iterable):
            raise DomainError(f"multiplicities is {multiplicities!r}; one positive integer per level is needed")
        levels = len(values)
        if levels == 0:
            raise DomainError("a spectrum needs at least one level, eigenvalues is empty")

        def vector(name: str, given: ArrayLike | None) -> FloatArray | None:
            if given is None:
                return None
            array = real_vector(name, given, minimum=0.0)
            _same_length(name, len(array), levels)
            return array

        def names(name: str, given: Iterable[str] | None) -> tuple[str, ...] | None:
            if given is None:
                return None
            if isinstance(given, str):
                raise DomainError(f"{name} needs one text per level ({levels}), not the single text {given!r}")
            result = tuple(given)
            _same_length(name, len(result), levels)
            for item in result:
                if not isinstance(item, str):
                    raise DomainError(f"{name} holds {item!r}; only texts (str) are allowed")
            return result

        put = object.__setattr__
        put(self, "eigenvalues", values)
        put(self, "multiplicities", tuple(_count(f"multiplicities[{i}]", m) for i, m in enumerate(multiplicities)))
        _same_length("multiplicities", len(self.multiplicities), levels)
        put(self, "trace", None if trace is None else real_number("trace", trace, minimum=0.0))
        put(self, "errors", vector("errors", errors))
        put(self, "methods", names("methods", methods))
        put(self, "labels", names("labels", labels))
        if not isinstance(space, (str, *SPACE_TYPES)):
            raise DomainError(f"space is {space!r}; a space such as Sphere(10), or a text (str), is needed")
        if not isinstance(convention, str):
            raise DomainError(f"convention is a text (str), not {convention!r}")
        put(self, "space", space)
        put(self, "convention", convention)
        put(self, "exact", None if exact is None else _exact_values(exact, values))
        put(self, "target_power", vector("target_power", target_power))
        put(self, "atoms", None if atoms is None else _count("atoms", atoms))

        allowed = np.zeros(levels) if self.errors is None else self.errors
        for i in np.flatnonzero(values < -allowed):
            raise DomainError(
                f"eigenvalue {float(values[i])!r} of level {self.label(int(i))} is negative beyond its error "
                f"{float(allowed[i])!r}: a kernel is positive semi-definite; give errors= if the value is rounded"
            )
        for i in np.flatnonzero(np.isinf(self.level_power)):
            raise DomainError(
                f"multiplicity {format_integer(self.multiplicities[i])} times eigenvalue {float(values[i])!r} of level "
                f"{self.label(int(i))} exceeds the range of float64: eigenvalues are per harmonic"
            )
        if self.trace is not None and self._raw_tail() < -self._tail_error():
            raise DomainError(
                f"the levels add up to {float(self.level_power.sum())!r}, more than the trace {self.trace!r}: "
                "eigenvalues are per harmonic under a probability measure, and trace is E[K(x, x)]"
            )

    def __len__(self) -> int:
        return len(self.multiplicities)

    def label(self, level: int) -> str:
        """Name of a level: its label, or its index."""
        return str(level) if self.labels is None else self.labels[level]

    @property
    def log_eigenvalues(self) -> FloatArray:
        """log(eigenvalue) per level, -inf where it is not positive; from the certified digits if there are any."""
        if self.exact is not None:
            return np.array([_log_exact(v) for v in self.exact])
        positive = np.maximum(self.eigenvalues, 0.0)
        with np.errstate(divide="ignore"):
            return np.log(positive)

    @property
    def log_multiplicities(self) -> FloatArray:
        """log(multiplicity) per level, from the exact integers."""
        return np.array([math.log(m) for m in self.multiplicities])

    @property
    def level_power(self) -> FloatArray:
        """multiplicity * eigenvalue per level: what the level contributes to the trace."""
        powers = np.empty(len(self))
        for i, m in enumerate(self.multiplicities):
            fraction, exponent = (
                math.frexp(max(self.eigenvalues[i], 0.0)) if self.exact is None else _frexp_exact(self.exact[i])
            )
            powers[i] = _scaled(m, fraction, exponent)
        return powers

    @property
    def tail(self) -> float | None:
        """Trace minus the listed levels: the power of all levels not listed; None without a trace.

        It is a difference: what is below the rounding of its terms (or negative within their errors) is 0.
        """
        if self.trace is None:
            return None
        tail = self._raw_tail()
        return tail if tail > self._rounding() else 0.0

    @property
    def rank(self) -> int:
        """Number of listed harmonics with a positive eigenvalue."""
        return sum(m for m, log in zip(self.multiplicities, self.log_eigenvalues, strict=True) if log > -math.inf)

    def _raw_tail(self) -> float:
        if self.trace is None:
            raise InternalError("the tail of a spectrum without a trace was asked for")
        return math.fsum([self.trace, *(-self.level_power)])

    def _rounding(self) -> float:
        # Two roundings of each level power, and those of a trace that was itself summed in float64.
        return 4 * _EPS * (float(self.level_power.sum()) + (self.trace or 0.0)) * math.sqrt(len(self))

    def _tail_error(self) -> float:
        error = self._rounding()
        if self.errors is not None:
            for m, e in zip(self.multiplicities, self.errors, strict=True):
                error += _scaled(m, *math.frexp(e))
        return error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spectrum):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        def items(array: FloatArray | None) -> tuple[float, ...] | None:
            return None if array is None else tuple(array.tolist())

        return (
            items(self.eigenvalues),
            self.multiplicities,
            self.trace,
            items(self.errors),
            self.methods,
            self.space,
            self.convention,
            self.labels,
            None if self.exact is None else tuple(str(_write_number(v)) for v in self.exact),
            items(self.target_power),
            self.atoms,
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns: list[tuple[str, Sequence[str]]] = [
            ("level", [self.label(i) for i in range(len(self))]),
            ("multiplicity", [format_integer(m) for m in self.multiplicities]),
            ("eigenvalue", self._shown_eigenvalues()),
        ]
        if self.errors is not None and self.exact is None:
            columns.append(("error", [f"{v:.1e}" for v in self.errors]))
        columns.append(("level power", [f"{v:.6g}" for v in self.level_power]))
        if self.target_power is not None:
            columns.append(("target power", [f"{v:.6g}" for v in self.target_power]))
        if self.methods is not None:
            columns.append(("method", self.methods))
        rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
        return [name for name, _ in columns], rows

    def _shown_eigenvalues(self) -> list[str]:
        """Certified digits and fractions as they are, while they fit into a table."""
        rounded = [f"{v:.8g}" for v in self.eigenvalues]
        if self.exact is None:
            return rounded
        from sympy import sstr

        # A fraction may be longer than Python likes to print.
        short = [not v.is_Rational or max(int(v.p).bit_length(), int(v.q).bit_length()) < 100 for v in self.exact]
        texts = [sstr(v, full_prec=True) if s else r for v, s, r in zip(self.exact, short, rounded, strict=True)]
        return [text if len(text) <= _SHOWN_DIGITS else r for text, r in zip(texts, rounded, strict=True)]

    def _headline(self) -> str:
        where = f" on {self.space}" if self.space else ""
        rule = f" ({self.convention})" if self.convention else ""
        return f"Spectrum{where}: {len(self)} level{'s' * (len(self) != 1)}, rank {format_integer(self.rank)}{rule}"

    def _footline(self) -> str:
        if self.trace is None:
            return f"levels sum to {self.level_power.sum():.8g}; trace not given"
        return f"trace {self.trace:.8g}, of which {self.tail:.3g} beyond the levels listed"

    def __repr__(self) -> str:
        return "\n".join([self._headline(), text_table(*self._table()), self._footline()])

    def _repr_html_(self) -> str:
        head, foot = html.escape(self._headline()), html.escape(self._footline())
        return f"<p>{head}</p>{html_table(*self._table())}<p>{foot}</p>"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal Spectrum (floats by repr, integers as strings)."""

        def items(array: FloatArray | None) -> list[float] | None:
            return None if array is None else array.tolist()

        return json.dumps(
            {
                "type": "kernalg.Spectrum",
                "eigenvalues": items(self.eigenvalues),
                "multiplicities": [_write_integer(m) for m in self.multiplicities],
                "trace": self.trace,
                "errors": items(self.errors),
                "methods": self.methods,
                "space": self.space if isinstance(self.space, str) else space_to_json(self.space),
                "convention": self.convention,
                "labels": self.labels,
                "exact": None if self.exact is None else [_write_number(v) for v in self.exact],
                "target_power": items(self.target_power),
                "atoms": None if self.atoms is None else _write_integer(self.atoms),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Spectrum:
        """The Spectrum that `to_json` wrote.

        Raises
        ------
        DomainError
            If the text is not such a JSON object.
        """
        data = read_object(text, "kernalg.Spectrum")
        try:
            data["multiplicities"] = [_read_integer(m) for m in data["multiplicities"]]
            if data.get("atoms") is not None:
                data["atoms"] = _read_integer(data["atoms"])
            if isinstance(data.get("space"), dict):
                data["space"] = space_from_json(data["space"])
            if data.get("exact") is not None:
                data["exact"] = [_read_number(v) for v in data["exact"]]
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DomainError(f"not the JSON of a Spectrum, as Spectrum.to_json writes it: {error}") from error

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row per level; `.to_csv(path)` of it writes a table to a file.

        Columns: multiplicity, eigenvalue, level_power, and where known error, method, target_power and exact (the
        certified digits or fractions as SymPy numbers).

        Raises
        ------
        MissingExtra
            If pandas is not installed.
        """
        pandas = import_pandas()
        columns: dict[str, Any] = {
            "multiplicity": list(self.multiplicities),
            "eigenvalue": self.eigenvalues,
            "level_power": self.level_power,
        }
        more = {"error": self.errors, "method": self.methods, "target_power": self.target_power}
        columns |= {name: column for name, column in more.items() if column is not None}
        if self.exact is not None:
            columns["exact"] = list(self.exact)
        return pandas.DataFrame(columns, index=pandas.Index([self.label(i) for i in range(len(self))], name="level"))


def _same_length(name: str, given: int, levels: int) -> None:
    if given != levels:
        raise DomainError(f"{name} has length {given}, but there are {levels} eigenvalues: give one per level")


def _count(name: str, given: Any) -> int:
    try:
        m = operator.index(given)
    except TypeError as error:
        raise DomainError(f"{name} is {given!r}; a positive integer (an exact int, not a float) is needed") from error
    if m < 1 or isinstance(given, bool | np.bool_):
        raise DomainError(f"{name} is {given!r}; a positive integer is needed")
    return m


def _scaled(m: int, fraction: float, exponent: int) -> float:
    """m * fraction * 2**exponent, with one rounding of m, whatever the size of m; inf if the product overflows."""
    shift = max(m.bit_length() - 64, 0)
    try:
        return math.ldexp((m >> shift) * fraction, exponent + shift)
    except OverflowError:
        return math.inf


def _frexp_exact(value: sp.Number) -> tuple[float, int]:
    """fraction, exponent with value = fraction * 2**exponent, for values outside the range of float64 too."""
    if value.is_Rational:
        p, q = int(value.p), int(value.q)
        shift = 64 - p.bit_length() + q.bit_length()
        quotient = (p << shift) // q if shift >= 0 else p // (q << -shift)
        return float(max(quotient, 0)), -shift
    sign, mantissa, exponent, bits = (int(part) for part in value._mpf_)
    shift = max(bits - 64, 0)
    fraction = 0.0 if sign else float(mantissa >> shift)  # a negative value is zero within its error
    return fraction, exponent + shift


def _log_exact(value: sp.Number) -> float:
    fraction, exponent = _frexp_exact(value)
    return math.log(fraction) + exponent * math.log(2) if fraction > 0 else -math.inf


def _exact_values(given: Iterable[sp.Number], values: FloatArray) -> tuple[sp.Number, ...]:
    import sympy as sp

    numbers = tuple(sp.S(v) if isinstance(v, int) else v for v in given)
    _same_length("exact", len(numbers), len(values))
    for i, v in enumerate(numbers):
        if not isinstance(v, sp.Float | sp.Rational) or not v.is_finite:
            raise DomainError(f"exact[{i}] is {v!r}; finite SymPy Floats or Rationals are needed")
        if abs(float(v) - values[i]) > 1e-8 * abs(values[i]) + np.finfo(np.float64).tiny:
            raise DomainError(
                f"exact[{i}] is {float(v)!r} but eigenvalues[{i}] is {float(values[i])!r}: they must agree"
            )
    # Among Floats, a zero is the integer 0 in SymPy's arithmetic.
    floats = any(isinstance(v, sp.Float) for v in numbers)
    return tuple(sp.Float(0) if floats and v == 0 and not isinstance(v, sp.Float) else v for v in numbers)


def _write_integer(m: int) -> str:
    return str(m) if m.bit_length() <= _DECIMAL_BITS else hex(m)


def _read_integer(text: Any) -> int:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} should be an integer written as a string")
    return int(text, 0)


def _write_number(value: sp.Number) -> list[str]:
    """A Float as signed mantissa, binary exponent and working precision: exact, where decimal digits would round. A
    Rational as numerator and denominator."""
    if value.is_Rational:
        return [_write_integer(int(value.p)), _write_integer(int(value.q))]
    sign, mantissa, exponent, _ = (int(part) for part in value._mpf_)
    return [_write_integer(mantissa) if not sign else "-" + _write_integer(mantissa), str(exponent), str(value._prec)]


def _read_number(parts: Any) -> sp.Number:
    import sympy as sp

    numbers = [_read_integer(part) for part in parts]
    if len(numbers) == 2 and numbers[1] > 0:
        return sp.Rational(*numbers)
    mantissa, exponent, precision = numbers
    if mantissa == 0:
        return sp.Float("0", precision=precision)
    sign = int(mantissa < 0)
    return sp.Float((sign, abs(mantissa), exponent, abs(mantissa).bit_length()), precision=precision)
