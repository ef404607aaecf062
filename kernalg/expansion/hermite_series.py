r"""A finite Hermite series as a function: :math:`\varphi(x)=\sum_{k\le M}b_kh_k(x/\sqrt q)`, h_k = He_k/sqrt(k!).

The h_k are orthonormal for a standard Gaussian z, so :math:`b_k=E[\varphi(\sqrt qz)h_k(z)]`, and
:math:`E[\varphi(u)\varphi(v)]=\sum b_k^2\rho^k` for a Gaussian pair of variance q and correlation rho (Mehler).

Written in powers of x, such a polynomial of degree 40 has lost all its digits at x = 6: its terms reach 1e16 times its
value. Here it is summed by the three-term recurrence,

.. math:: \sqrt{k+1}\,h_{k+1}(z)=z\,h_k(z)-\sqrt k\,h_{k-1}(z),\qquad h_k'(z)=\sqrt k\,h_{k-1}(z) .
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.checks import FloatArray, real_array
from kernalg.enclosure.balls import ball, precision
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, read_object, to_json
from kernalg.symbols import x


@dataclass(frozen=True)
class HermiteSeries:
    """phi(x) = sum of b_k h_k(x / sqrt(q)).

    Parameters
    ----------
    coefficients : sequence of exact numbers
        b_0, …, b_M; a float means its shortest decimal.
    variance : exact number
        q > 0, the variance of the Gaussian for which the b_k are Hermite coefficients.

    Examples
    --------
    >>> phi = HermiteSeries((0, 1, 0, "1/2"))
    >>> phi.expr, phi.derivative().coefficients
    (x + sqrt(6)*(x**3 - 3*x)/12, (1, 0, sqrt(3)/2))
    >>> phi([0.0, 2.0])
    array([0.        , 2.40824829])
    """

    coefficients: tuple[sp.Expr, ...]
    variance: sp.Expr = sp.S.One

    def __post_init__(self) -> None:
        if isinstance(self.coefficients, str) or not len(self.coefficients):
            raise DomainError(f"HermiteSeries({self.coefficients!r}): give the coefficients b_0, b_1, … in a sequence")
        made = tuple(exact_number(b, f"b_{k}") for k, b in enumerate(self.coefficients))
        object.__setattr__(self, "coefficients", made)
        variance = exact_number(self.variance, "variance")
        if not variance.is_positive:
            raise DomainError(f"variance = {variance}: the variance of a Gaussian is positive")
        object.__setattr__(self, "variance", variance)

    @property
    def degree(self) -> int:
        """Index of the last coefficient given."""
        return len(self.coefficients) - 1

    @cached_property
    def values(self) -> FloatArray:
        """The coefficients in float64."""
        if any(b.free_symbols for b in self.coefficients):
            raise DomainError("the coefficients contain symbols; put numbers in before asking for values")
        result = np.array([float(b) for b in self.coefficients])
        result.flags.writeable = False
        return result

    @cached_property
    def expr(self) -> sp.Expr:
        """The polynomial as SymPy, in `kernalg.x` and in Hermite form (not in powers of x)."""
        z = x / sp.sqrt(self.variance)
        terms = []
        for k, b in enumerate(self.coefficients):
            if b != 0:
                powers = [(-1) ** j * _hermite_weight(k, j) * z ** (k - 2 * j) for j in range(k // 2 + 1)]
                terms.append(b / sp.sqrt(sp.factorial(k)) * sp.Add(*powers))
        return sp.Add(*terms)

    def __call__(self, at: Any) -> FloatArray:
        """phi at each entry of an array, by Clenshaw's form of the recurrence."""
        z = real_array("x", at) / math.sqrt(float(self.variance))
        above, twice_above = np.zeros_like(z), np.zeros_like(z)  # Clenshaw's sums for k + 1 and k + 2
        for k in range(self.degree, -1, -1):
            here = self.values[k] + z * above / math.sqrt(k + 1) - math.sqrt((k + 1) / (k + 2)) * twice_above
            above, twice_above = here, above
        return above

    def derivative(self) -> HermiteSeries:
        """phi', with the coefficients sqrt((k+1)/q) b_{k+1}."""
        slopes = tuple(sp.sqrt(k / self.variance) * b for k, b in enumerate(self.coefficients))[1:]
        return HermiteSeries(slopes or (sp.S.Zero,), self.variance)

    def at_variance(self, variance: Any) -> FloatArray:
        r"""The Hermite coefficients of the same function at another variance :math:`r^2q`, in float64.

        .. math:: b_k(r)=r^k\sum_j\frac{(r^2-1)^j}{j!\,2^j}\sqrt{\frac{(k+2j)!}{k!}}\;b_{k+2j},

        the solution of :math:`r\,b_k'(r)=k\,b_k(r)+\sqrt{(k+1)(k+2)}\,b_{k+2}(r)`.

        Examples
        --------
        >>> HermiteSeries((0, 0, 1)).at_variance(2).round(12).tolist()
        [0.707106781187, 0.0, 2.0]
        """
        target = exact_number(variance, "variance")
        if not target.is_positive:
            raise DomainError(f"variance = {target}: the variance of a Gaussian is positive")
        with precision(96 + 4 * len(self.coefficients)):
            ratio = ball(target) / ball(self.variance)
            step, radius = (ratio - 1) / 2, ratio.sqrt()
            roots, powers = [arb(1)], [arb(1)]  # sqrt(k!), and step^j / j!
            for k in range(1, len(self.coefficients)):
                roots.append(roots[-1] * arb(k).sqrt())
                powers.append(powers[-1] * step / k)
            scaled = [ball(b) * root for b, root in zip(self.coefficients, roots, strict=True)]
            result = []
            for k, root in enumerate(roots):
                total = sum((p * c for p, c in zip(powers, scaled[k::2], strict=False)), arb(0))
                result.append(float(radius**k / root * total))
        return np.array(result)

    def to_json(self) -> str:
        return json.dumps(
            {
                "type": "kernalg.HermiteSeries",
                "coefficients": [to_json(b) for b in self.coefficients],
                "variance": to_json(self.variance),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> HermiteSeries:
        tree = read_object(text, "kernalg.HermiteSeries", ["coefficients", "variance"])
        if not isinstance(tree["coefficients"], list):
            raise DomainError("the coefficients of a HermiteSeries are a JSON list")
        return cls(tuple(from_json(b) for b in tree["coefficients"]), from_json(tree["variance"]))

    def __repr__(self) -> str:
        shown = ", ".join(f"{float(b):.6g}" if b.is_number else str(b) for b in self.coefficients[:6])
        more = ", …" if self.degree > 5 else ""
        scale = "" if self.variance == 1 else f", variance={self.variance}"
        return f"<Hermite series of degree {self.degree}: b = {shown}{more}{scale}>"


def _hermite_weight(k: int, j: int) -> int:
    """He_k(z) = sum_j (-1)^j k! / (j! (k - 2j)! 2^j) z^(k - 2j)."""
    return math.factorial(k) // (math.factorial(j) * math.factorial(k - 2 * j) * 2**j)
