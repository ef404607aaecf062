"""The dual of an activation: what it does to a centred Gaussian pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg.activation import numeric
from kernalg.activation.polynomial_map import PolynomialMap
from kernalg.compiled.elementwise import elementwise
from kernalg.enclosure.balls import check_digits, enclose, to_float
from kernalg.errors import DomainError, NoClosedForm
from kernalg.formula import exact_number
from kernalg.gaussian import extensions, lattice, polynomials
from kernalg.gaussian.atoms import Atom, Atoms, collect, from_pieces, rescale
from kernalg.gaussian.expectation import (
    expectation,
    expectation_at_equality,
    expectation_of_derivatives,
    hermite_moments,
)
from kernalg.gaussian.lowering import lowered_expectation
from kernalg.gaussian.pieces import Pieces
from kernalg.gaussian.series import differentiate
from kernalg.symbols import c, q1, q2, rho, x

if TYPE_CHECKING:
    from flint import arb


@dataclass(frozen=True, eq=False)
class Dual:
    r"""k(q1, q2, c) = E[f(u) g(v)] for a centred Gaussian pair with Var u = q1, Var v = q2, Cov(u, v) = c.

    Made by ``phi.dual`` and ``cross_dual(phi, psi)``. It is evaluated symbolically (`expr`), in float64 on arrays
    (call it), and to certified digits (`value`, `enclosure`).

    Examples
    --------
    >>> import kernalg as ka
    >>> dual = ka.activation("relu").dual
    >>> dual.expr
    c*(asin(c/(sqrt(q1)*sqrt(q2)))/(2*pi) + 1/4) + sqrt(-c**2 + q1*q2)/(2*pi)
    >>> dual.value(1, 1, "1/2", digits=30)
    0.304498890522114679044498291245
    >>> dual.derivative.normalized
    asin(rho)/(2*pi) + 1/4
    """

    name: str
    left: Callable[[], Pieces]
    right: Callable[[], Pieces] | None = None  # None: the same function on both sides
    kind: str = "dual"  # "dual", "derivative" (almost everywhere), "distributional" (dk/dc)
    primal: Dual | None = None  # of a derivative: the dual whose functions were differentiated

    @property
    def pieces(self) -> tuple[Pieces, Pieces]:
        """The branches of f and of g."""
        left = self.left()
        return left, left if self.right is None else self.right()

    @property
    def atoms(self) -> tuple[Atoms, Atoms]:
        """f and g in normal form.

        Raises
        ------
        NoClosedForm
            f or g has none; `expr` may exist all the same, when an extension knows them.
        """
        if self.extension is not None:
            raise NoClosedForm(
                f"{self.name} has no normal form of atoms; its closed form, .expr, is that of "
                f"{self.extension.family.title}"
            )
        return self._normal_form

    @cached_property
    def polynomials(self) -> PolynomialMap | None:
        """Mehler's sum of two polynomials with numbers for coefficients; None for other functions.

        `value` and `enclosure` use it, and above degree 6 `expr` and calls on arrays, too: written out, such a formula
        has hundreds of terms.
        """
        if self.kind == "derivative" and self.primal is not None:
            known = self.primal.polynomials
            return known if known is None or self.primal.kind == "distributional" else known.derivative()
        found = [polynomials.recognise(side) for side in self.pieces]
        if self.right is None:
            found[1] = found[0]
        if found[0] is None or found[1] is None:
            return None
        made = PolynomialMap(found[0], found[1])
        return made.derivative() if self.kind == "distributional" else made

    @property
    def mehler(self) -> PolynomialMap | None:
        """The polynomials of a degree above 6, whose formula stays Mehler's sum; None for all other functions."""
        known = self.polynomials
        return known if known is not None and known.degree > polynomials.WRITTEN_OUT else None

    @cached_property
    def _normal_form(self) -> tuple[Atoms, Atoms]:
        left, right = self.pieces
        f = from_pieces(left)
        return f, f if self.right is None else from_pieces(right)

    @cached_property
    def extension(self) -> extensions.Pair | None:
        """The family beyond the normal form that knows f and g; None inside the normal form, or outside everything."""
        if self.polynomials is not None:
            return None
        try:
            self._normal_form  # noqa: B018
        except NoClosedForm:
            found = extensions.find(*self.pieces)
            if found is None and self.kind == "derivative" and self.primal is not None:
                return extensions.find_differentiated(*self.primal.pieces)
            return found
        return None

    @cached_property
    def has_closed_form(self) -> bool:
        """Whether `expr` exists. Without it `value`, `enclosure` and calls on arrays work all the same."""
        if self.polynomials is not None:
            return True
        try:
            self.expr  # noqa: B018
        except NoClosedForm:
            return False
        return True

    @cached_property
    def expr(self) -> sp.Expr:
        """The closed form in q1, q2, c.

        Raises
        ------
        NoClosedForm
            when the activation lies outside the class; the message names the obstacle.
        """
        if self.mehler is not None:
            return self.mehler.expr
        if self.extension is not None:
            value = self.extension.expression()
            return sp.diff(value, c) if self.kind == "distributional" else value
        why = next(filter(None, map(extensions.reason, self.pieces)), None)
        if why is not None:
            raise NoClosedForm(why)
        if self.kind == "distributional":
            return expectation_of_derivatives(*self.atoms)
        return expectation(*self.atoms)

    @cached_property
    def lowered(self) -> sp.Expr:
        """`expr` as it is compiled: moments of one-sided powers stay `rectified_moment`, which does not cancel.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("squared_relu").dual.lowered
        rectified_moment(2, 2, q1, q2, c)
        """
        if self.extension is not None or self.mehler is not None or self.kind == "distributional":
            return self.expr
        return lowered_expectation(*self.pieces)

    @cached_property
    def normalized(self) -> sp.Expr:
        """The closed form at q1 = q2 = 1, in rho."""
        if self.mehler is not None:
            return self.mehler.normalized
        at_unit_variance = self.expr.subs({q1: 1, q2: 1, c: rho}, simultaneous=True)
        # sqrt(p^2) = |p| where two radicands became one; a radicand does not vanish for |rho| < 1, so p(0) has its sign
        return at_unit_variance.replace(sp.Abs, lambda p: p if p.subs(rho, 0).is_positive else -p)

    @cached_property
    def diagonal(self) -> sp.Expr:
        """E[f(u) g(u)], the value at q1 = q2 = c, in q1."""
        self._refuse_distributional("diagonal")
        if self.mehler is not None:
            return self.mehler.at_ratio(1)
        if self.extension is not None:
            return self.extension.at_ratio(sp.S.One)
        return expectation_at_equality(*self.atoms)

    def _refuse_distributional(self, where: str) -> None:
        if self.kind == "distributional":
            raise DomainError(
                f"the distributional derivative of the dual of {self.name} has no value on the {where} in general "
                f"(a jump makes it infinite); use .derivative.{where}"
            )

    @cached_property
    def antidiagonal(self) -> sp.Expr:
        """E[f(u) g(-u)], the value at q1 = q2 = -c, in q1. For an odd function it is minus the diagonal, as written."""
        self._refuse_distributional("antidiagonal")
        if self.mehler is not None:
            return self.mehler.at_ratio(-1)
        if self.extension is not None:
            return self.extension.at_ratio(sp.S.NegativeOne)
        left, right = self.atoms
        mirrored = rescale(right, sp.S.NegativeOne)
        if _vanishes((*right, *mirrored)):
            return -self.diagonal
        return expectation_at_equality(left, mirrored)

    @cached_property
    def derivative(self) -> Dual:
        """E[f'(u) g'(v)] with the derivatives almost everywhere: the factor in the tangent kernel's recursion."""
        left, right = self.left, self.right
        return replace(
            self,
            left=lambda: differentiate(left()),
            right=None if right is None else (lambda: differentiate(right())),
            kind="derivative",
            primal=self,
        )

    @cached_property
    def distributional(self) -> Dual:
        """dk/dc. It equals `derivative` for absolutely continuous activations and adds the jumps' share otherwise."""
        return replace(self, kind="distributional")

    def value(self, q1: Any, q2: Any, c: Any, digits: int = 50) -> sp.Float:
        """The value to `digits` certified decimals.

        Raises
        ------
        DomainError
            q1 < 0, q2 < 0 or c^2 > q1 q2.
        PrecisionError
            the digits asked for were not reached.
        """
        digits = check_digits(digits)
        return to_float(self.enclosure(q1, q2, c, digits=digits), digits)

    def enclosure(self, q1: Any, q2: Any, c: Any, digits: int = 50) -> arb:
        """A ball that contains the exact value, with relative radius at most 10^-digits."""
        self._refuse_parameters()
        if self._is_slope_without_jumps:
            return self.derivative.enclosure(q1, q2, c, digits=digits)
        digits = check_digits(digits)
        point = [exact_number(v, n) for v, n in ((q1, "q1"), (q2, "q2"), (c, "c"))]
        self._check_point(point[0], point[1], point[2])
        if self.polynomials is not None:
            return enclose(self.polynomials, point, digits)
        self.extension  # noqa: B018 (a family that knows why no number exists says so here)
        if self.has_closed_form:
            return enclose(*self._at(point[0], point[1], point[2]), digits)
        if self.kind == "distributional" and (stairs := self._staircases()) is not None:
            v1, v2, cov = point
            if sp.expand(v1 * v2 - cov**2) == 0:
                raise DomainError(f"d/dc of the dual of {self.name} is infinite at |rho| = 1, where the jumps meet")
            return lattice.slope(*stairs, v1, v2, cov, digits)
        f, g = self._functions_for_numbers()
        return numeric.enclosure(f, g, point[0], point[1], point[2], digits)

    def _staircases(self) -> tuple[lattice.Staircase, lattice.Staircase] | None:
        left, right = map(lattice.recognise, self.pieces)
        return None if left is None or right is None else (left, right)

    def _functions_for_numbers(self) -> tuple[Pieces, Pieces]:
        """The functions whose product is averaged. dk/dc is the average of the derivatives' product without jumps."""
        f, g = self.pieces
        if self.kind != "distributional":
            return f, g
        if not (numeric.is_continuous(f) and numeric.is_continuous(g)):
            raise NoClosedForm(
                f"d/dc of the dual of {self.name} needs a closed form, because the activation jumps; "
                "its almost-everywhere part is .derivative"
            )
        return self.derivative.pieces

    @cached_property
    def _is_slope_without_jumps(self) -> bool:
        """dk/dc of continuous functions: the derivative dual, whose own form keeps its digits towards rho = ±1."""
        return self.kind == "distributional" and all(map(numeric.is_continuous, self.pieces))

    def _check_point(self, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> None:
        for label, v in (("q1", v1), ("q2", v2), ("c", cov)):
            if v.free_symbols:
                raise DomainError(f"{label} = {v} is symbolic; a value needs numbers (the formula itself is .expr)")
        if v1.is_negative or v2.is_negative:
            raise DomainError(f"q1 = {v1}, q2 = {v2}: variances are not negative")
        gap = v1 * v2 - cov**2
        if gap.is_negative or (gap.is_zero is None and sp.N(gap, 50) < 0 and not gap.equals(0)):
            raise DomainError(f"c = {cov} is outside [-sqrt(q1 q2), sqrt(q1 q2)] for q1 = {v1}, q2 = {v2}")

    def _at(self, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr]]:
        """The formula that is regular at this point, and the values of its symbols."""
        self._check_growth(v1, v2, cov)
        if (v1.is_zero or v2.is_zero) and self.kind != "distributional":
            return self.at_zero_variance(v1, v2), {}
        if self.extension is not None and self.kind != "distributional" and sp.expand(v1 * v2 - cov**2) == 0:
            return self.extension.at_ratio(cov / v1), {q1: v1}
        if v1 == v2 and abs(cov) == v1 and self.kind != "distributional":
            return (self.diagonal if cov == v1 else self.antidiagonal), {q1: v1}
        if self.kind != "distributional" and sp.expand(v1 * v2 - cov**2).is_zero:  # v = (c/q1) u almost surely
            left, right = self.atoms
            return expectation_at_equality(left, rescale(right, cov / v1)), {q1: v1}
        return self.expr, {q1: v1, q2: v2, c: cov}

    def _check_growth(self, v1: Any, v2: Any, cov: Any) -> None:
        """exp(A x^2) with A > 0 has a finite expectation only for small variances."""
        if self.extension is not None or self.polynomials is not None:  # they grow like powers
            return
        left, right = self.atoms
        a = max((f.quadratic for f in left), default=sp.S.Zero)
        b = max((g.quadratic for g in right), default=sp.S.Zero)
        if a <= 0 and b <= 0:
            return
        # The tilted pair's precision is that of (u, v) minus diag(2a, 2b): positive definite iff both of these are.
        gap = v1 * v2 - cov * cov
        tilted = (1 - 2 * a * v1) * (1 - 2 * b * v2) - 4 * a * b * cov * cov
        infinite = ~np.atleast_1d(np.asarray((tilted > 0) & (v1 - 2 * b * gap > 0), dtype=bool))
        if infinite.any():
            i = int(np.flatnonzero(infinite)[0])
            at = ", ".join(f"{name} = {np.ravel(v)[i]}" for name, v in (("q1", v1), ("q2", v2), ("c", cov)))
            raise DomainError(
                f"E[phi(u) phi(v)] is infinite at {at}: {self.name} grows like exp({max(a, b)}*x**2); "
                "take smaller variances"
            )

    def at_zero_variance(self, v1: sp.Expr, v2: sp.Expr) -> sp.Expr:
        """E[f(u)] E[g(v)], what remains when u or v is 0 almost surely. At a jump f(0) is the mean of both sides."""
        if self.mehler is not None:
            return self.mehler.at_zero_variance(v1, v2)
        if self.extension is not None:
            sides = zip((self.extension.left, self.extension.right), self.pieces, (v1, v2), strict=True)
            return sp.Mul(
                *(
                    numeric.value_at_zero(parts) if v.is_zero else self.extension.mean(member, v)
                    for member, parts, v in sides
                )
            )
        left, right = self.atoms
        return _mean(left, v1) * _mean(right, v2)

    def __call__(self, variance1: Any, variance2: Any, covariance: Any) -> Any:
        """float64 values on broadcastable arrays; compiled at the first call.

        A covariance beyond sqrt(q1 q2) by rounding (4 units in the last place) is clamped; beyond that it is refused.
        """
        self._refuse_parameters()
        if self._is_slope_without_jumps:
            return self.derivative(variance1, variance2, covariance)
        a, b, cov = (_real_array(v, n) for v, n in ((variance1, "q1"), (variance2, "q2"), (covariance, "c")))
        try:
            a, b, cov = np.broadcast_arrays(a, b, cov)
        except ValueError:
            shapes = ", ".join(f"{name} {v.shape}" for name, v in (("q1", a), ("q2", b), ("c", cov)))
            raise DomainError(f"the shapes do not broadcast: {shapes}; reshape them as for NumPy arithmetic") from None
        bound = np.sqrt(a) * np.sqrt(b) if a.size and min(a.min(), b.min()) >= 0 else None
        if a.size and bound is None:
            raise DomainError(f"variances are not negative; the smallest given is {min(a.min(), b.min())}")
        if bound is not None and (excess := np.abs(cov) > bound * (1 + 4 * np.finfo(float).eps)).any():
            i = tuple(int(k) for k in np.argwhere(excess)[0])
            raise DomainError(
                f"c = {cov[i]} at index {i} is outside [-sqrt(q1 q2), sqrt(q1 q2)], q1 = {a[i]}, q2 = {b[i]}"
            )
        if bound is not None:  # rounding of the bound itself is no reason to move c
            cov = np.where(cov * cov > a * b, np.clip(cov, -bound, bound), cov)
        if not a.size:
            return np.empty(a.shape)
        self.extension  # noqa: B018 (as in `enclosure`)
        if self.has_closed_form:
            self._check_growth(a, b, cov)
        return self._regular_and_singular(a, b, cov)

    def _regular_and_singular(self, a: np.ndarray, b: np.ndarray, cov: np.ndarray) -> Any:
        """The pair formula where it is regular; one-variable formulas for u = v, u = -v and vanishing variances."""
        if self.mehler is not None:
            return self.mehler.values(a, b, cov)[()]
        zero = (a == 0) | (b == 0)
        if not self._is_compiled:
            same = opposite = np.zeros(a.shape, dtype=bool)
        else:
            same, opposite = (~zero & (a == b) & (cov == sign * a) for sign in (1, -1))
        if self.kind == "distributional" or not (zero | same | opposite).any():
            return self._compiled(a, b, cov)
        out = np.empty(a.shape)
        regular = ~(zero | same | opposite)
        if regular.any():
            out[regular] = self._compiled(a[regular], b[regular], cov[regular])
        for where, formula in ((same, "diagonal"), (opposite, "antidiagonal")):
            if where.any():
                out[where] = elementwise(getattr(self, formula), (q1,))(a[where])
        for i in np.argwhere(zero):
            j = tuple(i)
            out[j] = float(self.value(float(a[j]), float(b[j]), 0, digits=17))
        return out[()]

    @property
    def _is_compiled(self) -> bool:
        """Whether arrays are evaluated by the formula. Float64 code knows real functions only; a formula with Phi or
        Phi_2 at complex arguments (steps times sines) leaves arrays to the series and the balls of `numeric`."""
        return self.has_closed_form and not self.expr.has(sp.I)

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        pair = self.extension
        if pair is None and self._is_compiled:
            return elementwise(self.lowered, (q1, q2, c))
        if pair is not None and self.kind == "distributional":
            if pair.family.values is None:
                return elementwise(self.expr, (q1, q2, c))
            return self._entry_by_entry
        if pair is not None and (function := pair.values()) is not None:
            return function
        if self.kind == "distributional" and (self.has_closed_form or self._staircases() is not None):
            return self._entry_by_entry
        f, g = self._functions_for_numbers()
        return lambda a, b, cov: numeric.values(f, g, a, b, cov)[()]

    def _entry_by_entry(self, a: np.ndarray, b: np.ndarray, cov: np.ndarray) -> np.ndarray:
        """By balls: for what is neither compiled nor a short series."""
        if a.size > numeric.MAX_SLOW_ENTRIES:
            raise DomainError(
                f"{a.size} entries: this formula is not compiled, and each is computed in balls; "
                f"at most {numeric.MAX_SLOW_ENTRIES} in one call"
            )
        out = np.empty(a.shape)
        for index in np.ndindex(a.shape):
            at = [numeric.exact(float(v[index])) for v in (a, b, cov)]
            out[index] = float(self.value(at[0], at[1], at[2], digits=17))
        return out[()]

    def _refuse_parameters(self) -> None:
        if self.polynomials is not None:
            return
        free = {s for f in self.pieces for e in (*f.branches, *f.breakpoints) for s in e.free_symbols} - {x}
        if free:
            raise DomainError(
                f"the dual of {self.name} has the free parameters {', '.join(sorted(map(str, free)))}; "
                "give them values first"
            )

    def variance_derivative(self, which: int) -> sp.Expr:
        r"""dk/dq1 (`which` = 1) or dk/dq2 (2): the closed form's derivative in one variance, the other and c fixed.

        By the heat equation it is E[f''(u) g(v)]/2 or E[f(u) g''(v)]/2 with distributional derivatives, so
        :math:`\partial^2 k/\partial c^2 = 4\,\partial^2 k/\partial q_1 \partial q_2`. How a length map reacts to
        its input is the total derivative dk/dq1 + dk/dq2 + dk/dc on q1 = q2 = c, that is ``sympy.diff(diagonal, q1)``.

        Raises
        ------
        NoClosedForm
            when `expr` does not exist.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.activation("x**2").dual.variance_derivative(1)
        q2
        """
        if which not in (1, 2):
            raise DomainError(f"variance_derivative({which!r}): 1 for d/dq1, 2 for d/dq2")
        return sp.diff(self.expr, q1 if which == 1 else q2)

    def _sympy_(self) -> sp.Expr:
        return self.expr

    def __repr__(self) -> str:
        title = {"dual": "dual", "derivative": "derivative dual", "distributional": "d/dc of the dual"}[self.kind]
        if self.mehler is not None:
            return f"<{title} of {self.name}: Mehler's sum of degree {self.mehler.degree}>"
        return f"<{title} of {self.name}: {self.expr if self.has_closed_form else 'no closed form'}>"

    def _repr_latex_(self) -> str | None:
        if self.mehler is not None or not self.has_closed_form:
            return None
        return rf"$\displaystyle {sp.latex(self.expr)}$"


def _vanishes(f: Atoms) -> bool:
    """Whether the sum is the zero function; steps are first brought to one orientation, H(-x) = 1 - H(x)."""
    upright: list[Atom] = []
    for a in f:
        if a.gate is not None and a.gate.sign < 0:
            upright += (replace(a, gate=None), replace(a, coefficient=-a.coefficient, gate=replace(a.gate, sign=1)))
        else:
            upright.append(a)
    return not collect(upright)


def _mean(f: Atoms, variance: sp.Expr) -> sp.Expr:
    if variance.is_zero:
        return sp.Add(*(a.expr.subs(x, 0) for a in f))  # SymPy's Heaviside(0) is 1/2: the mean of both sides
    return hermite_moments(f, 0, variance)[0]


def _real_array(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise DomainError(f"{name} has dtype {array.dtype}; real numbers are needed")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise DomainError(f"{name} contains NaN or an infinity; finite numbers are needed")
    return array
