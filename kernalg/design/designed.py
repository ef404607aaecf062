"""A designed activation: what it is, what kernel it has, how far both can be trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from kernalg.activation.activation import Activation
from kernalg.certify.certificate import Certificate, Row
from kernalg.checks import FloatArray, real_number
from kernalg.design.architecture import Architecture
from kernalg.design.closed_forms import ClosedForm
from kernalg.design.coefficients import degree_for, sum_at_one
from kernalg.design.error_budget import (
    RADIUS_TOLERANCE,
    ErrorBudget,
    activation_error,
    kernel_at_radius,
    radius_range,
)
from kernalg.design.feasibility import FeasibilityCertificate
from kernalg.design.operator_form import ntk_activation, ntk_activation_value
from kernalg.design.radial_mean import radial_mean
from kernalg.design.target import Target
from kernalg.enclosure.balls import ball, bits_for, certain_digits, check_digits, enclose, precision, to_float
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.finite.tails import TailReport, tail_report
from kernalg.formula import exact_number, from_json, read_object, to_json
from kernalg.network.dot_product import DotProductKernel, dot_product_kernel
from kernalg.network.kernel import Kernel
from kernalg.network.layers import Dense
from kernalg.network.network import Network, serial
from kernalg.network.profile import Profile
from kernalg.symbols import rho, x

Question = dict[str, Any]
MOST_ENGINE_DEGREE = 60
_CHECKED_COSINES = ("1", "-1", "1/100", "1/2", "-1/2", "9/10", "-1/3")
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Design:
    """An activation made for a kernel; made by `design`.

    Parameters
    ----------
    target : Target
        The kernel asked for.
    architecture : Architecture
        The network around the activation, and which of its kernels is meant.
    certificate : FeasibilityCertificate
    kernel_coefficients : tuple of sympy numbers
        a_0, …, a_M of the kernel in the correlation rho of the hidden layer (of its `radial_mean`, if hidden biases are
        frozen).
    coefficients : tuple of sympy numbers
        b_0, …, b_M: the activation is the sum of b_k h_k(x/sqrt(q)), q = w_var + b_var. Exact, or Floats of certified
        digits; empty if no activation has the kernel. Of a closed form, its first ones.
    signs : str
        The signs of the b_k: "+", a pattern that repeats, or one sign a coefficient.
    closed_forms : tuple of ClosedForm
        All activations in closed form with this kernel: they differ by signs of Hermite coefficients.
    closed_form : ClosedForm or None
        The one that was chosen; None if the activation is the polynomial of degree M.
    averaged : ClosedForm or None
        If the exact activation is an average (1 + N)^(-1/2) of a closed form (see `integral`): that one.
    complete : bool
        Whether the polynomial is the whole answer, nothing cut off.
    question : dict
        What `design` was asked: signs, degree, tolerance, digits.
    """

    target: Target
    architecture: Architecture
    certificate: FeasibilityCertificate
    kernel_coefficients: tuple[sp.Expr, ...]
    coefficients: tuple[sp.Expr, ...]
    signs: str
    closed_forms: tuple[ClosedForm, ...]
    closed_form: ClosedForm | None
    averaged: ClosedForm | None
    complete: bool
    question: Question

    @property
    def feasible(self) -> bool | None:
        """Whether a network has the kernel; None if that is not decided (the certificate says what is known)."""
        return self.certificate.feasible

    @property
    def degree(self) -> int:
        """Index of the last Hermite coefficient."""
        return len(self.coefficients) - 1

    @cached_property
    def series(self) -> HermiteSeries:
        """The polynomial of the coefficients. (Of a closed form, a truncation of it.)"""
        self._refuse_infeasible()
        return HermiteSeries(self.coefficients, self.architecture.variance)

    @cached_property
    def activation(self) -> Activation:
        """The activation in `kernalg.x`: the closed form, or the polynomial in Hermite form.

        Raises
        ------
        DomainError
            No activation has the kernel; the message is the certificate.
        """
        self._refuse_infeasible()
        if self.closed_form is not None:
            return Activation(self.closed_form.activation.subs(x, x / sp.sqrt(self.architecture.variance)))
        return Activation(self.series.expr, f"designed polynomial of degree {self.degree}")

    def __call__(self, values: Any) -> FloatArray:
        """phi at each entry of an array, in float64."""
        return np.asarray(self.series(values) if self.closed_form is None else self.activation(values))

    @cached_property
    def integral(self) -> sp.Expr | None:
        """The exact activation of a tangent kernel as an average of a closed form, if that is known.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.design("exp(2*(rho-1))", kind="ntk", signs="+").averaged.activation
        exp(sqrt(2)*x - 2)
        """
        if self.averaged is None:
            return None
        return ntk_activation(self.averaged.activation).subs(x, x / sp.sqrt(self.architecture.variance))

    def value(self, at: Any, digits: int = 30) -> sp.Float:
        """phi at one point, to `digits` certified decimals.

        Of the exact activation, where it is a closed form, an integral, or a whole polynomial; otherwise of the
        polynomial that cuts it off.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.design("exp(2*(rho-1))", kind="ntk", signs="+").value(2, digits=25)
        1.665982383669706261190994
        """
        self._refuse_infeasible()
        point = exact_number(at, "x")
        if self.averaged is not None:
            scaled = point / sp.sqrt(self.architecture.variance)
            return ntk_activation_value(self.averaged.activation, scaled, digits)
        return to_float(enclose(self.activation.expr, {x: point}, check_digits(digits)), digits)

    @property
    def neuron(self) -> Activation | HermiteSeries:
        """The activation as functions of arrays take it: the closed form, or the Hermite series (stable everywhere)."""
        return self.series if self.closed_form is None else self.activation

    @cached_property
    def tails(self) -> TailReport:
        """How a finite width fluctuates, and whether a simulation's own error bars can be believed.

        Examples
        --------
        >>> import kernalg as ka
        >>> [ka.design("exp(2*(rho-1))", signs=s).tails.heavy for s in ("+", "++--")]
        [True, False]
        """
        shape = self.architecture
        kind = "ntk" if shape.counts_slopes else "nngp"
        return tail_report(self.neuron, shape.w_var, shape.b_var, shape.readout, kind)

    @cached_property
    def network(self) -> Network:
        """Dense(w_var, b_var), the activation, Dense(*readout)."""
        hidden = Dense(self.architecture.w_var, self.architecture.b_var)
        return serial(hidden, self.activation, Dense(*self.architecture.readout))

    def kernel(self) -> Kernel | DotProductKernel:
        """The kernel that the designed network has.

        Derived by the engine from the activation, where it is a closed form or a polynomial of degree 60 or less, and
        all parameters (or the readout) are trained. Otherwise the polynomial that the Hermite coefficients give on the
        sphere.
        """
        self._refuse_infeasible()
        whole = self.architecture.kind == "nngp" or self.architecture.trained in ("all", "readout")
        if whole and (self.closed_form is not None or self.degree <= MOST_ENGINE_DEGREE):
            return self.network.ntk if self.architecture.counts_slopes else self.network.nngp
        if self.closed_form is not None:  # frozen hidden biases: see `radial_mean`
            v, c = self.architecture.readout
            sigma = v * self.closed_form.kernel.subs(rho, self.architecture.correlation)
            return dot_product_kernel(sp.diff(rho * sigma, rho) + c)
        return dot_product_kernel(self.architecture.kernel([b**2 for b in self.series.coefficients]))

    @cached_property
    def error(self) -> ErrorBudget:
        """What is lost by the degree, and off the sphere (at a tolerance of 1 %)."""
        kernel = 0.0 if self.closed_form is not None or self.complete else self._cut_off
        kernel += self.target.known_to
        return ErrorBudget(
            kernel,
            activation_error(self.architecture, self.degree, kernel),
            self.feasible is True,
            self.radius_range(),
            RADIUS_TOLERANCE,
        )

    @cached_property
    def _cut_off(self) -> float:
        """sup |K - K_M| = K(1) - K_M(1), rounded up."""
        architecture = self.architecture
        whole = sum_at_one(self.target, self._digits)
        with precision(bits_for(self._digits) + 32):
            v, c = (ball(value) for value in architecture.readout)
            made = c if architecture.counts_readout else arb(0)
            for k, b in enumerate(self.coefficients):
                made += v * ball(architecture.share(k)) * ball(b) ** 2
            return float((whole - made).abs_upper())

    @property
    def _digits(self) -> int:
        return int(self.question["digits"])

    def radius_range(self, tolerance: float = RADIUS_TOLERANCE) -> tuple[float, float]:
        """Norms \\|x\\|/sqrt(d) between which the kernel stays within tolerance K(1) of that at norm 1.

        The norm is the same for both inputs. Searched within 1/16 and 16.

        Examples
        --------
        >>> import kernalg as ka
        >>> low, high = ka.design("exp(2*(rho-1))").radius_range(0.01)
        >>> round(low, 3), round(high, 3)
        (0.986, 1.014)
        """
        self._refuse_infeasible()
        return radius_range(self._at_radius, tolerance)

    def _at_radius(self, radius: float, cosines: FloatArray) -> FloatArray:
        architecture = self.architecture
        if self.closed_form is None:
            variance = architecture.w_var * sp.Float(radius) ** 2 + architecture.b_var
            squares = self.series.at_variance(variance) ** 2
            return kernel_at_radius(architecture, radius, squares, float(variance), cosines)
        kernel = self.network.ntk if architecture.counts_slopes else self.network.nngp
        values = np.array([_value(kernel, radius**2, t) for t in cosines])
        if architecture.freezes_biases:  # the engine counts the gradients of hidden biases too
            values = values - self._bias_gradients(radius, cosines)
        return values

    def _bias_gradients(self, radius: float, cosines: FloatArray) -> FloatArray:
        """v b_var E[phi'(u) phi'(v)] for inputs of norm radius sqrt(d)."""
        shape = self.architecture
        square = sp.Rational(radius**2)
        variance = shape.w_var * square + shape.b_var
        slopes = self.activation.dual.derivative
        covariances = [shape.w_var * square * sp.Rational(float(t)) + shape.b_var for t in cosines]
        duals = np.array([float(slopes.enclosure(variance, variance, c, digits=10)) for c in covariances])
        return np.asarray(float(shape.readout[0] * shape.b_var) * duals)

    def certify(self, digits: int = 30) -> Certificate:
        """Compare the kernel asked for with the kernel derived from the activation, in balls, at seven cosines.

        Of a polynomial that cuts off a series the difference is what `error.kernel` says, not rounding.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.design("rho**3 + rho/2", kind="ntk").certify(20).digits >= 20
        True
        """
        digits = check_digits(digits)
        made = self.kernel().profile()
        rows = tuple(_row(self.target.profile, made, cosine, digits) for cosine in _CHECKED_COSINES)
        left_open = ["inputs of other norms: the design is one for |x|^2 = d"]
        if self.closed_form is None and not self.complete:
            left_open.append(f"the series is cut off after degree {self.degree}: sup error {self.error.kernel:.2g}")
        return Certificate(f"{self.architecture!r}", digits, rows, tuple(left_open))

    def degree_for(self, error: float) -> int:
        """The least degree at which the polynomial's kernel is within `error` of the kernel, at every cosine.

        Raises
        ------
        PrecisionError
            More than 4096 are needed; the message estimates how many from the power law of the last ones.

        Examples
        --------
        >>> import kernalg as ka
        >>> ka.design("exp(2*(rho-1))", kind="ntk").degree_for(1e-10)
        16
        """
        self._refuse_infeasible()
        if real_number("error", error) <= 0:
            raise DomainError(f"error={error}: a positive number is needed")
        read = radial_mean(self.target) if self.architecture.freezes_biases else self.target
        return degree_for(self.target, read, self.architecture, error)

    def _refuse_infeasible(self) -> None:
        if self.feasible is False:
            raise DomainError(f"no activation has this kernel as {self.architecture!r}: {self.certificate.reason}")

    @classmethod
    def from_json(cls, text: str) -> Design:
        """The design that `to_json` wrote, made again from its question."""
        from kernalg.design.of_kernel import design

        keys = ["kernel", "kind", "trained", "variances", "signs", "degree", "tolerance", "digits"]
        tree = read_object(text, "kernalg.Design", keys)
        kernel = tree["kernel"]
        if not isinstance(kernel, dict) or not isinstance(tree["variances"], list) or len(tree["variances"]) != 4:
            raise DomainError("not the JSON of a Design, as to_json writes it")
        made = (DotProductKernel if kernel.get("type") == "kernalg.DotProductKernel" else Kernel).from_json(
            json.dumps(kernel)
        )
        w_var, b_var, *readout = (from_json(v) for v in tree["variances"])
        options = {key: tree[key] for key in ("signs", "degree", "tolerance", "digits")}
        return design(made, tree["kind"], w_var, b_var, tuple(readout), tree["trained"], **options)

    def to_json(self) -> str:
        """The question, which `from_json` answers again; and what was found, under "found", for other programs."""
        if isinstance(self.target.kernel, Profile):
            raise DomainError("a design for a bare profile has no JSON: design for a formula or a network's kernel")
        architecture = self.architecture
        numbers = (architecture.w_var, architecture.b_var, *architecture.readout)
        return json.dumps(
            {
                "type": "kernalg.Design",
                "kernel": json.loads(self.target.kernel.to_json()),
                "kind": architecture.kind,
                "trained": architecture.trained,
                "variances": [to_json(v) for v in numbers],
                **self.question,
                "found": {
                    "feasible": self.feasible,
                    "reason": self.certificate.reason,
                    "coefficients": [float(b) for b in self.coefficients if b.is_number],
                    "activation": str(self.activation.expr) if self.closed_form is not None else None,
                },
            }
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the JSON text: profiles carry functions, which do not pickle."""
        return Design.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        lines = [f"Design for {self.target.name}", f"  as {self.architecture!r}", f"  {self.certificate!r}"]
        if self.feasible is not False:
            lines.append(f"  phi = {self._described()}")
            if self.closed_form is None and not self.complete:
                bound = "at most" if self.feasible else "about"
                lines.append(f"  cut off after degree {self.degree}: kernel error {bound} {self._cut_off:.2g}")
            quick = self.closed_form is not None or self.degree <= MOST_ENGINE_DEGREE
            if quick and any(self.coefficients) and self.tails.heavy:
                lines.append(f"  {self.tails.reason}{self._lighter()}")
        elif self.certificate.largest_b_var is None:
            lines.append("  the nearest kernel that a network has: kernalg.fit_nonnegative(kernel, degree)")
        return "\n".join(lines)

    def _lighter(self) -> str:
        """What to do about heavy tails."""
        if self.signs == "+":
            return '; signs="++--" or "least variance" have the same kernel'
        if self.closed_form is not None:
            return ""
        return "; a smaller degree, or an activation of a family (fit_activation), has lighter ones"

    def _described(self) -> str:
        if self.closed_form is not None:
            others = len(self.closed_forms) - 1
            more = f" (and {others} more in .closed_forms)" if others else ""
            return f"{self.activation.expr}, Hermite signs {self.signs}{more}"
        if self.averaged is not None:
            more = f" of the average (1 + N)^(-1/2) of {self.averaged.activation} (see .integral)"
            return f"Hermite polynomial of degree {self.degree}, signs {self.signs}{more}"
        shown = ", ".join(
            str(b) if len(str(b)) < 24 and not b.is_Float else f"{float(b):.6g}" for b in self.coefficients[:_SHOWN]
        )
        more = ", …" if self.degree >= _SHOWN else ""
        return f"Hermite polynomial of degree {self.degree}, signs {self.signs}: b = {shown}{more}"

    def _repr_latex_(self) -> str | None:
        # A notebook shows this in the place of the text, which says more of all but closed forms.
        if self.closed_form is None:
            return None
        return rf"$\displaystyle \varphi(x) = {sp.latex(self.activation.expr)}$"


def _value(kernel: Kernel, square: float, cosine: float) -> float:
    exact = sp.Rational(square)
    return float(kernel.enclosure(exact, exact, exact * sp.Rational(float(cosine)), digits=10))


def _row(target: Profile, made: Profile, cosine: str, digits: int) -> Row:
    at = sp.Rational(cosine)
    values = []
    with precision(2 * bits_for(digits) + 64):
        values = [profile.ball(ball(at)) for profile in (target, made)]
        difference = abs(values[0] - values[1])
        size = abs(target.ball(arb(1)))
        relative = (difference / size if not size.contains(0) else difference).abs_upper()
        known = digits if relative == 0 else max(0, int(-float(relative.log() / arb(10).log())))
    return Row(
        "K",
        "kernel asked for",
        "kernel of the activation",
        f"cosine = {cosine}",
        values[0].str(min(digits, max(certain_digits(values[0]), 1)), radius=False),
        known,
        float(difference.abs_upper()),
    )
