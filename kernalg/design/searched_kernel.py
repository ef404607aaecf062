"""The value that a search in kernel space returns: coefficients, errors before and after, every start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import sympy as sp

from kernalg.checks import FloatArray, real_number, real_vector
from kernalg.errors import DomainError
from kernalg.formula import exact_number, from_json, read_object, to_json
from kernalg.learning.records import equal_by_json, shown_as_table
from kernalg.network.dot_product import DotProductKernel, dot_product_kernel
from kernalg.symbols import rho


@dataclass(frozen=True, slots=True)
class KernelStart:
    """One start of a search and what became of it; held-out errors are None without held-out data."""

    name: str
    error_before: float
    error_after: float
    held_out_before: float | None
    held_out_after: float | None
    steps: int


@equal_by_json
@shown_as_table
@dataclass(frozen=True, eq=False, repr=False)
class KernelSearch:
    """A kernel found by `search_kernel` or `search_kernel_on_sphere`.

    Attributes
    ----------
    in_rho : (degree + 1,) coefficients a_k >= 0 of the kernel in rho, the correlation of the hidden pre-activations.
    ridge : the ridge that goes with them.
    objective : what was minimized, in words.
    gradient : its derivatives in a_k at the result: about 0 where a_k > 0, not negative where a_k = 0.
    w_var, b_var : variances of the hidden layer, rho = (w_var cosine + b_var)/(w_var + b_var).
    starts : every start, the best result first.
    """

    in_rho: FloatArray
    ridge: float
    objective: str
    gradient: FloatArray
    w_var: sp.Expr
    b_var: sp.Expr
    starts: tuple[KernelStart, ...]

    @property
    def coefficients(self) -> tuple[sp.Expr, ...]:
        """Exact Taylor coefficients in the cosine, as `design` takes them (of floats, their shortest decimals)."""
        exact = [exact_number(float(a), f"a_{k}") for k, a in enumerate(self.in_rho)]
        if self.b_var == 0:
            return tuple(exact)
        return tuple(reversed(sp.Poly(self._in_cosine(exact), rho).all_coeffs())) or (sp.S.Zero,)

    def kernel(self) -> DotProductKernel:
        """The kernel, as a function of the cosine x.x'/d (written rho in formulas of kernels)."""
        return dot_product_kernel(self._in_cosine([exact_number(float(a), "a") for a in self.in_rho]))

    def _in_cosine(self, exact: list[sp.Expr]) -> sp.Expr:
        at = (self.w_var * rho + self.b_var) / (self.w_var + self.b_var)
        return sp.Add(*(a * at**k for k, a in enumerate(exact)))

    @property
    def error_before(self) -> float:
        """The smallest error of the starts."""
        return self._best_start.error_before

    @property
    def error_after(self) -> float:
        """The error of the result."""
        return self.starts[0].error_after

    @property
    def held_out_before(self) -> float | None:
        """Held-out error of the best start."""
        return self._best_start.held_out_before

    @property
    def held_out_after(self) -> float | None:
        """Held-out error of the result."""
        return self.starts[0].held_out_after

    @property
    def _best_start(self) -> KernelStart:
        return min(self.starts, key=lambda start: start.error_before)

    def _headline(self) -> str:
        shown = [f"{a:.4g} rho^{k}" for k, a in enumerate(self.in_rho) if a > 0]
        formula = " + ".join(shown) or "0 (no kernel predicts better than 0)"
        held = ""
        if self.held_out_after is not None:
            held = f"; held out {self.held_out_before:.6g} -> {self.held_out_after:.6g}"
        return (
            f"Kernel search, rows on |x|^2 = d: {self.objective}\n  K = {formula}, ridge {self.ridge:.4g}\n"
            f"  error {self.error_before:.6g} (best start) -> {self.error_after:.6g}{held}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        def shown(value: float | None) -> str:
            return "" if value is None else f"{value:.6g}"

        columns = ["start", "before", "after", "held out before", "held out after", "steps"]
        rows = [
            [s.name, shown(s.error_before), shown(s.error_after), shown(s.held_out_before), shown(s.held_out_after),
             str(s.steps)]
            for s in self.starts
        ]  # fmt: skip
        return columns, rows

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal KernelSearch."""
        return json.dumps(
            {
                "type": "kernalg.KernelSearch",
                "in_rho": self.in_rho.tolist(),
                "ridge": self.ridge,
                "objective": self.objective,
                "gradient": self.gradient.tolist(),
                "w_var": to_json(self.w_var),
                "b_var": to_json(self.b_var),
                "starts": [asdict(start) for start in self.starts],
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> KernelSearch:
        """The KernelSearch that `to_json` wrote; DomainError if the text is no such JSON object."""
        names = ["in_rho", "ridge", "objective", "gradient", "w_var", "b_var", "starts"]
        tree = read_object(text, "kernalg.KernelSearch", names)
        try:
            starts = tuple(KernelStart(**start) for start in tree["starts"])
            coefficients = real_vector("in_rho", tree["in_rho"], minimum=0.0)
            gradient = real_vector("gradient", tree["gradient"])
            if not starts or not len(coefficients) == len(gradient) > 0:
                raise ValueError("it needs a start, and as many derivatives as coefficients")
        except (KeyError, TypeError, ValueError) as error:
            raise DomainError(f"not the JSON of a KernelSearch, as to_json writes it: {error}") from error
        return cls(
            coefficients, real_number("ridge", tree["ridge"], minimum=0.0), str(tree["objective"]), gradient,
            from_json(tree["w_var"]), from_json(tree["b_var"]), starts,
        )  # fmt: skip
