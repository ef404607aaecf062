"""The elementary functions on real balls, complex boxes and truncated power series.

Three kinds of value travel through a formula: `arb` (a real interval), `acb` (a complex box, what rigorous quadrature
needs) and `arb_series` (a power series with interval coefficients). `TABLE[name]` is one function `f(kind, analytic,
*arguments)`; an answer that cannot be enclosed is a NaN ball, never a guess.

Real semantics. A formula is read as a real function on its domain, so

* a real square root (or fractional power) of an interval that straddles 0 is that of its non-negative part, and `asin`,
  `acos` of an interval that straddles ±1 is that of its part in [-1, 1]: rounding made the interval stick out. An
  interval wholly outside gives NaN;
* `Abs, sign, Max, Min, Heaviside` and `Piecewise` on a complex box are the analytic continuation of the piece
  that holds on the real part of the box, as Arb's own `real_abs` does.

With `analytic=True` a complex answer is finite only if the function is analytic on the whole box, as
`flint.acb.integral` asks of an integrand.
"""

from __future__ import annotations

from collections.abc import Callable

from kernalg.enclosure.branches import BRANCHES
from kernalg.enclosure.elementary import ELEMENTARY
from kernalg.enclosure.kinds import Value
from kernalg.enclosure.special import SPECIAL

TABLE: dict[str, Callable[..., Value]] = ELEMENTARY | SPECIAL | BRANCHES
