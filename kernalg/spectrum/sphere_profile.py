"""What the spectrum of a dot-product kernel needs to know of the kernel."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from flint import arb, arb_series


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


def density_constant(d: int) -> arb:
    r"""c_d = Gamma(d/2) / (sqrt(pi) Gamma((d-1)/2)): a coordinate of a uniform unit vector has density
    :math:`c_d(1-t^2)^{(d-3)/2}`."""
    return (arb(d) / 2).gamma() / (arb.pi().sqrt() * (arb(d - 1) / 2).gamma())
