"""Lists of numbers as they are typed: `0,1,1/2` and `10:10000:50`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernalg.errors import DomainError

if TYPE_CHECKING:
    from kernalg.checks import FloatArray

_LARGEST_COUNT = 100_000


def numbers(option: str, text: str) -> list[float]:
    """The numbers of a comma list; each may be exact, as in 1/2.

    >>> numbers("--power", "0, 1, 1/4")
    [0.0, 1.0, 0.25]
    """
    return [number(option, item) for item in text.split(",")]


def number(option: str, text: str) -> float:
    """One number, which may be a fraction or a float in any notation."""
    from fractions import Fraction

    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise DomainError(
            f"{option} {text!r}: a number such as 10, 0.25, 1/4 or 1e-3 is needed (several are separated by commas)"
        ) from None


def sizes(option: str, text: str) -> FloatArray:
    """Sample sizes: a comma list, or start:stop:count for whole numbers that grow by a constant factor.

    Rounding makes neighbours equal where they are dense; every size is listed once.

    >>> sizes("--n", "10:1000:5")
    array([  10.,   32.,  100.,  316., 1000.])
    """
    import numpy as np

    if ":" not in text:
        return np.array(numbers(option, text))
    parts = text.split(":")
    if len(parts) != 3:
        raise DomainError(f"{option} {text!r}: start:stop:count is needed, as in 10:10000:50")
    start, stop = (number(option, part) for part in parts[:2])
    count = number(option, parts[2])
    if not 1 <= start <= stop:
        raise DomainError(f"{option} {text!r}: start is at least 1 and not above stop, as in 10:10000:50")
    if count != int(count) or not 2 <= count <= _LARGEST_COUNT:
        raise DomainError(
            f"{option} {text!r}: count is {parts[2].strip()}; a whole number from 2 to {_LARGEST_COUNT} is needed"
        )
    return np.unique(np.round(np.geomspace(start, stop, int(count))))
