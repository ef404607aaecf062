"""A kernel on the sphere |x|^2 = d, as a function of rho = x.x'/d."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import sympy as sp
from flint import acb, arb, arb_series, ctx

from kernalg.enclosure.balls import bits_for, check_digits, enclose, precision, to_float
from kernalg.errors import DomainError, PrecisionError
from kernalg.formula import exact_number

MAX_TERMS = 100_000
Evaluation = Literal["formula", "slow formula", "quadrature"]


@dataclass(frozen=True, eq=False)
class Profile:
    """A function of rho in [-1, 1]; made by ``K.profile()``.

    Parameters
    ----------
    name : str
    evaluate : callable
        ``evaluate(rho, analytic)`` on an arb, acb or arb_series at the current precision.
    formula : callable
        Gives the SymPy expression in rho.
    nonnegative : bool
        Whether all Taylor coefficients are known to be >= 0.
    evaluation : {"formula", "slow formula", "quadrature"}
        What a value costs: microseconds, milliseconds (a bivariate normal distribution function in each layer) or
        seconds (a layer whose dual has no closed form; the Taylor series of such a network is cheap, only values are
        not).

    Examples
    --------
    >>> import kernalg as ka
    >>> profile = ka.mlp("erf", depth=1, w_var=1).nngp.profile()
    >>> profile.expr
    2*asin(2*rho/3)/pi
    >>> profile.taylor(4)
    array([0.        , 0.42441318, 0.        , 0.03143801])
    >>> profile.value("1/2", digits=30)
    0.216346895938785459658288881555
    """

    name: str
    evaluate: Callable[[Any, bool], Any]
    formula: Callable[[], sp.Expr]
    nonnegative: bool
    evaluation: Evaluation = "formula"

    @cached_property
    def expr(self) -> sp.Expr:
        """The closed form in rho (long for deep networks)."""
        return self.formula()

    def ball(self, at: arb | acb, analytic: bool = False) -> Any:
        """Enclosure of the value at a real or complex ball, at the current precision."""
        return self.evaluate(at, analytic)

    def series(self, terms: int) -> arb_series:
        """The Taylor series at 0 with `terms` coefficients, in balls, at the current precision."""
        with precision(ctx.prec, terms):
            result = self.evaluate(arb_series([0, 1], prec=terms), False)
            return result if isinstance(result, arb_series) else arb_series([result], prec=terms)

    def value(self, at: Any, digits: int = 50) -> sp.Float:
        """The value at rho, to `digits` certified decimals."""
        digits = check_digits(digits)
        number = exact_number(at, "rho")
        if number.free_symbols or not number.is_real or abs(number) > 1:
            raise DomainError(f"rho = {number}: a number in [-1, 1] is needed")
        return to_float(enclose(self.ball, [number], digits), digits)

    def taylor(self, terms: int, digits: int | None = None) -> Any:
        """Taylor coefficients a_0 … a_{terms-1} at rho = 0.

        Parameters
        ----------
        terms : int
            How many, at least 1.
        digits : int, optional
            Certified decimals: a list of SymPy Floats. By default a float64 array (correct to the last bit or two).
        """
        if isinstance(terms, bool) or not isinstance(terms, int | np.integer) or not 1 <= terms <= MAX_TERMS:
            raise DomainError(f"taylor({terms!r}): the number of coefficients is an integer from 1 to {MAX_TERMS}")
        wanted = 17 if digits is None else check_digits(digits)
        bits = bits_for(wanted) + 64
        for _ in range(8):
            with precision(bits, int(terms)):
                coefficients = list(self.series(int(terms)))
                try:
                    floats = [to_float(a, wanted) for a in coefficients]
                except PrecisionError:
                    bits *= 2
                    continue
            floats += [sp.S.Zero] * (int(terms) - len(floats))
            return np.array([float(a) for a in floats]) if digits is None else floats
        raise PrecisionError(f"{wanted} digits of {terms} Taylor coefficients were not reached at {bits // 2} bits")

    def __repr__(self) -> str:
        return f"<sphere profile of {self.name}>"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sp.latex(self.expr)}$"
