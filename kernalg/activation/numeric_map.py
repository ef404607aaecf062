r"""The dual of an activation without a closed form as a map of balls, for the layers of a network.

At equal variances the Hermite series, whose squares :math:`a_k(v)^2` are kept: a value costs one polynomial. Where its
tail is too large, and at unequal variances, certified quadrature at the centre of the balls, widened by

.. math:: \Big|\frac{\partial k}{\partial c}\Big| \le \sqrt{E f'(u)^2\,E f'(v)^2} =: B, \qquad
          \Big|\frac{\partial k}{\partial q_1}\Big| \le \frac1{2 q_1}\Big(\sqrt{E (u f'(u))^2\,E f(v)^2} + |c| B\Big)

times the radii: Price's theorem; :math:`u = \sqrt{q_1} Z` differentiated at fixed correlation, where c moves too;
Cauchy and Schwarz. Both need a continuous f only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import arb, arb_poly, ctx

from kernalg.activation import numeric
from kernalg.activation.dual import Dual
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import NoClosedForm, PrecisionError
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.quadrature import certified_expectation
from kernalg.gaussian.series import differentiate, hermite_coefficients, norm_squared, parity
from kernalg.symbols import x

_ORDERS = (240, 600, 1100)


class NumericMap:
    """k(v1, v2, c) = E[f(u) f(v)] for balls; the diagonal and the values at opposite inputs.

    Raises
    ------
    NoClosedForm
        At power series and complex numbers.
    """

    def __init__(self, dual: Dual) -> None:
        self.name = dual.name
        self.f = dual.pieces[0]
        self._slope_of_f = differentiate(self.f)
        self._moment = replace(self._slope_of_f, branches=tuple(x * b for b in self._slope_of_f.branches))

    def __call__(self, v1: arb, v2: arb, c: Any) -> arb:
        if not isinstance(c, arb):
            raise NoClosedForm(
                f"the dual of {self.name} has no closed form, so that its networks have certified values at numbers, "
                "but no power series and no values at complex correlations"
            )
        digits = int(ctx.prec / 3.33) - 4
        # Equal and opposite inputs need one integral, no table.
        if v1.mid() == v2.mid() and c.mid() not in (v1.mid(), -v1.mid()):
            made = self._by_series(v1, c, digits)
            if made is not None:
                return made
        m1, m2 = _number(v1), _number(v2)
        bound = sp.sqrt(m1 * m2)
        middle = _number(c)
        if middle**2 >= m1 * m2:
            middle = bound if middle > 0 else -bound
        made = certified_expectation(self.f, self.f, m1, m2, middle, digits)
        at = ball(middle)
        spread = abs(c - at).abs_upper() * self._slope(v1, v2)
        spread += self._moved(v1, v2, c) + self._moved(v2, v1, c)
        return made + arb(0, spread.abs_upper())

    def diagonal(self, v: arb) -> arb:
        """E f(u)^2."""
        made = norm_squared(self.f, _number(v), int(ctx.prec / 3.33) - 4)
        return made + arb(0, (2 * self._moved(v, v, v) + v.rad() * self._slope(v, v)).abs_upper())

    def antidiagonal(self, v: arb) -> arb:
        """E f(u) f(-u)."""
        sign = parity(self.f)
        return self(v, v, -v) if sign is None else sign * self.diagonal(v)

    def _slope(self, v1: arb, v2: arb) -> arb:
        """Bound of |dk/dc|."""
        return (_size(self._slope_of_f, v1) * _size(self._slope_of_f, v2)).sqrt()

    def _moved(self, v: arb, other: arb, c: arb) -> arb:
        """Bound of what k changes between the centre of v and any point of it."""
        moved = abs(v - v.mid()).abs_upper()
        if moved == 0:
            return arb(0)
        bound = (_size(self._moment, v) * _size(self.f, other)).sqrt() + abs(c) * self._slope(v, other)
        return moved * bound / (2 * v)

    def _by_series(self, v: arb, c: arb, digits: int) -> arb | None:
        """sum a_k^2 rho^k at the centre of v; None where the tail is too large."""
        m = _number(v)
        rho = c / ball(m)
        if rho.abs_upper() > 1:
            rho = rho.min(arb(1)).max(arb(-1))
        for order in _ORDERS:
            squares, rest, size = _squares(self.f, m, order, digits)
            tail = rest * rho.abs_upper() ** (order + 1)
            if tail <= size * arb(10) ** -digits:
                break
        else:
            return None
        # at the exact centre of rho
        value = squares(arb(rho.mid()))
        spread = tail + rho.rad() * (ball(m) * self._slope(v, v)) + 2 * self._moved(v, v, c)
        return value + arb(0, spread.abs_upper())


def numeric_map(dual: Dual) -> NumericMap:
    """The map of a dual without a closed form."""
    return _map(dual.name, dual.kind, dual.pieces[0])


@lru_cache(maxsize=64)
def _map(name: str, kind: str, f: Pieces) -> NumericMap:
    if not numeric.is_continuous(f):
        raise NoClosedForm(
            f"the {kind} of {name} has no closed form and the function jumps: networks of it have no certified kernels"
        )
    return NumericMap(Dual(name, lambda: f, kind=kind))


@lru_cache(maxsize=256)
def _squares(f: Pieces, v: sp.Rational, order: int, digits: int) -> tuple[arb_poly, arb, arb]:
    """a_k(v)^2 as a polynomial in rho, a bound of what they leave of E f^2, and E f^2."""
    coefficients = hermite_coefficients(f, v, order, digits + 4)
    norm = norm_squared(f, v, digits + 4)
    with precision(ctx.prec + 64):
        squares = [a * a for a in coefficients]
        rest = norm - sum(squares, arb(0))
        return arb_poly(squares), rest.abs_upper(), norm


@lru_cache(maxsize=1024)
def _size_at(f: Pieces, v: sp.Rational) -> arb:
    """A bound of E f(sqrt(q) Z)^2 for every q in [v/2, v]: the density of q is at most sqrt 2 times that of v."""
    return 3 * norm_squared(f, v, 6).abs_upper() / 2


def _size(f: Pieces, v: arb) -> arb:
    """Bound of E f^2 over the ball v, from a variance slightly above, rounded up to 12 digits."""
    if v.rad() > v.abs_lower() / 16:
        raise PrecisionError(f"the variance {v} of a layer is known too poorly")
    above = sp.Rational(int(sp.ceiling(sp.Rational(float(v.abs_upper())) * 2**40)) + 1, 2**40)
    return _size_at(f, above)


def _number(value: arb) -> sp.Rational:
    """The centre of a ball."""
    mantissa, exponent = value.mid().man_exp()
    return sp.Rational(int(mantissa)) * sp.Rational(2) ** int(exponent)
