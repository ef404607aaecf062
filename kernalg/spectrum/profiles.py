"""What the spectrum of a dot-product kernel needs to know of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

import sympy as sp
from flint import arb, arb_series

from kernalg.enclosure.balls import enclose, precision
from kernalg.errors import DomainError, PrecisionError
from kernalg.symbols import rho


@runtime_checkable
class Profile(Protocol):
    """A kernel on the sphere as a function of the cosine of two inputs, in ball arithmetic."""

    @property
    def nonnegative(self) -> bool:
        """True when every Taylor coefficient at 0 is known to be non-negative."""

    def series(self, terms: int, /) -> arb_series:
        """The first Taylor coefficients at 0, at the current precision."""

    def ball(self, rho: Any, /, analytic: bool = False) -> Any:
        """The value at a real ball or complex box, non-finite if `analytic` and the box meets a branch cut."""


def has_dear_values(profile: Profile) -> bool:
    """Whether values come from quadratures and cost seconds, so that the Taylor series is the way to the spectrum."""
    return getattr(profile, "evaluation", "formula") == "quadrature"


def has_slow_values(profile: Profile) -> bool:
    """Whether values cost milliseconds or more: thousands of them are too many."""
    return getattr(profile, "evaluation", "formula") != "formula"


T = TypeVar("T")
# What has been computed of a profile, for as long as the profile lives; nothing kept here refers to the profile.
_memory: WeakKeyDictionary[Any, dict[Hashable, Any]] = WeakKeyDictionary()
_MOST_REMEMBERED = 64


def remembered(profile: Profile, key: Hashable, compute: Callable[[], T]) -> T:
    """`compute()`, or its earlier result for this very profile object and key."""
    facts = _facts(profile)
    if key not in facts:
        facts[key] = compute()
        if len(facts) > _MOST_REMEMBERED:
            del facts[next(iter(facts))]
    result: T = facts[key]
    return result


def _facts(profile: Profile) -> dict[Hashable, Any]:
    try:
        return _memory.setdefault(profile, {})
    except TypeError:  # a profile of the user's own that has no hash or takes no weak references
        return {}


def taylor_coefficients(profile: Profile, bits: int, terms: int) -> list[arb]:
    """a_0, …, a_{terms-1} at `bits` of working precision or more; remembered as long as the profile lives."""
    facts = _facts(profile)
    for key in facts:
        if isinstance(key, tuple) and key[0] == "taylor" and key[1] >= bits and key[2] >= terms:
            known: list[arb] = facts[key][:terms]
            return known

    def compute() -> list[arb]:
        with precision(bits, terms):
            series = profile.series(terms)
            return [series[m] for m in range(terms)]

    return remembered(profile, ("taylor", bits, terms), compute)


def profile_of(K: Any) -> Profile:
    """The profile of a kernel of the cosine; DomainError if it has none."""
    profile = K.profile() if callable(getattr(K, "profile", None)) else K
    if not isinstance(profile, Profile):
        raise DomainError(
            f"{K!r} is not a kernel of the cosine: give a kernel with a profile (network kernel, dot-product kernel)."
        )
    return profile


def value_at_one(profile: Profile, digits: int) -> arb:
    """K(1), what the levels add up to, to `digits` digits; DomainError if it is not finite.

    Raises
    ------
    DomainError
        If the profile is not finite at 1: the trace of its integral operator is infinite, or it is out of its domain.
    """

    def compute() -> arb:
        try:
            return enclose(lambda t: profile.ball(t), [1], digits)
        except PrecisionError as error:
            with precision(1024):
                if profile.ball(arb(1)).is_finite():
                    raise
            raise DomainError(
                f"{profile}: K(1), the trace, is not finite, so there is no spectrum that adds up to it. A kernel is "
                "finite at equal inputs: shift its singularity beyond 1, as in 1/(11/10 - rho)"
            ) from error

    return remembered(profile, ("K(1)", digits), compute)


def rational_coefficients(profile: Profile) -> list[sp.Rational]:
    """Taylor coefficients of a polynomial profile as fractions; DomainError for any other profile."""
    expr = getattr(profile, "expr", profile)
    try:
        polynomial = sp.Poly(sp.expand(expr), rho)
    except (sp.PolynomialError, TypeError, AttributeError, ValueError):
        polynomial = None
    if polynomial is None or not all(a.is_Rational for a in polynomial.all_coeffs()):
        raise DomainError(
            f"exact=True needs a polynomial in rho with rational coefficients, and {profile} is none: ask for digits= "
            "instead"
        )
    return [sp.Rational(a) for a in reversed(polynomial.all_coeffs())]


def density_constant(d: int) -> arb:
    r"""c_d = Gamma(d/2) / (sqrt(pi) Gamma((d-1)/2)): a coordinate of a uniform unit vector has density
    :math:`c_d(1-t^2)^{(d-3)/2}`."""
    return (arb(d) / 2).gamma() / (arb.pi().sqrt() * (arb(d - 1) / 2).gamma())
