r"""One hidden layer: how the Hermite coefficients of its activation make the Taylor coefficients of its kernel.

On the sphere \|x\|^2 = d the pre-activations of two inputs with cosine xi are Gaussian with variance
:math:`q=\sigma_w^2+\sigma_b^2` and correlation

.. math:: \rho(\xi)=\frac{\sigma_w^2\xi+\sigma_b^2}q .

With :math:`\varphi(\sqrt qz)=\sum b_kh_k(z)` (Mehler), readout variances :math:`\sigma_v^2,\sigma_c^2`, and

.. math:: E[\varphi(u)\varphi(v)]=\sum_kb_k^2\rho^k,\qquad
          (\sigma_w^2\xi+\sigma_b^2)\,E[\varphi'(u)\varphi'(v)]=\sum_kk\,b_k^2\rho^k,

the kernel is :math:`\sum a_k\rho^k`, where the a_k depend on what is trained:

==========================  ===========================================================================================
``nngp``, and ``readout``   :math:`a_k=\sigma_v^2b_k^2+\sigma_c^2\delta_{k0}`
``all``                     :math:`a_k=\sigma_v^2(1+k)b_k^2+\sigma_c^2\delta_{k0}`
``hidden``                  :math:`a_k=\sigma_v^2k\,b_k^2`: the mean b_0 is invisible
``all but hidden biases``   the first line, for the coefficients of the mean :math:`\int_0^1K(s\xi)\,ds` instead of K
                            (see `radial_mean`); without biases, the same as ``all``
==========================  ===========================================================================================

Reference: Simon, Anand, DeWeese, *Reverse engineering the neural tangent kernel* (ICML 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sympy as sp

from kernalg.errors import DomainError
from kernalg.formula import exact_number
from kernalg.symbols import rho

KINDS = ("nngp", "ntk")
TRAINED = ("all", "readout", "hidden", "all but hidden biases")
Number = TypeVar("Number", bound=Any)


@dataclass(frozen=True)
class Architecture:
    """A one-hidden-layer network without its activation: Dense(w_var, b_var), phi, Dense(*readout).

    Parameters
    ----------
    kind : {"nngp", "ntk"}
    w_var, b_var : exact numbers
        Variances of the hidden weights (positive) and biases.
    readout : pair of exact numbers
        Variances of the readout weights (positive) and bias.
    trained : {"all", "readout", "hidden", "all but hidden biases"}
        Whose gradients the tangent kernel counts. "readout" and "hidden" mean weights and biases of that layer. Without
        biases, "all but hidden biases" is "all".
    """

    kind: str = "nngp"
    w_var: sp.Expr = sp.S.One
    b_var: sp.Expr = sp.S.Zero
    readout: tuple[sp.Expr, sp.Expr] = (sp.S.One, sp.S.Zero)
    trained: str = "all"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DomainError(f"kind={self.kind!r}: the kernel is 'nngp' or 'ntk'")
        if self.trained not in TRAINED:
            raise DomainError(f"trained={self.trained!r}: choose one of {', '.join(map(repr, TRAINED))}")
        if self.kind == "nngp" and self.trained not in ("all", "readout"):
            raise DomainError(
                f"trained={self.trained!r} with kind='nngp': what is trained matters for the tangent kernel only; give "
                "kind='ntk', or leave trained out"
            )
        if not isinstance(self.readout, tuple | list) or len(self.readout) != 2:
            raise DomainError(f"readout={self.readout!r}: give (weight variance, bias variance) of the last layer")
        numbers = {
            "w_var": exact_number(self.w_var, "w_var"),
            "b_var": exact_number(self.b_var, "b_var"),
            "readout[0]": exact_number(self.readout[0], "readout[0]"),
            "readout[1]": exact_number(self.readout[1], "readout[1]"),
        }
        for name, value in numbers.items():
            weights = name in ("w_var", "readout[0]")
            if not (value.is_positive if weights else value.is_nonnegative):
                need = "positive: without weights there is nothing to design" if weights else "not negative"
                symbols = "; declare symbols positive=True" if value.free_symbols else ""
                raise DomainError(f"{name} = {value}: this variance must be {need}{symbols}")
        if numbers["b_var"] == 0 and self.trained == "all but hidden biases":
            object.__setattr__(self, "trained", "all")
        object.__setattr__(self, "w_var", numbers["w_var"])
        object.__setattr__(self, "b_var", numbers["b_var"])
        object.__setattr__(self, "readout", (numbers["readout[0]"], numbers["readout[1]"]))

    @property
    def variance(self) -> sp.Expr:
        """q = w_var + b_var."""
        return self.w_var + self.b_var

    @property
    def cosine(self) -> sp.Expr:
        """xi as a formula in the correlation rho."""
        return (self.variance * rho - self.b_var) / self.w_var

    @property
    def correlation(self) -> sp.Expr:
        """rho as a formula in the cosine, which is written rho too, as in every profile."""
        return (self.w_var * rho + self.b_var) / self.variance

    @property
    def counts_slopes(self) -> bool:
        """Whether gradients of the hidden layer are counted."""
        return self.kind == "ntk" and self.trained != "readout"

    @property
    def counts_readout(self) -> bool:
        """Whether the readout counts: its bias adds its variance, and the mean b_0 of the activation is seen."""
        return self.kind == "nngp" or self.trained != "hidden"

    @property
    def freezes_biases(self) -> bool:
        """Whether hidden biases are there and not trained: the series is that of the kernel's `radial_mean`."""
        return self.kind == "ntk" and self.trained == "all but hidden biases"

    def factor(self, k: int) -> int:
        """What v b_k^2 is multiplied by in the series' coefficient a_k."""
        if not self.counts_slopes or self.freezes_biases:
            return 1
        return k if self.trained == "hidden" else 1 + k

    def share(self, k: int) -> sp.Expr:
        """What v b_k^2 is multiplied by in the kernel at equal inputs, where its part is largest."""
        return 1 + k * self.w_var / self.variance if self.freezes_biases else sp.Integer(self.factor(k))

    def squares(self, coefficients: Sequence[Number], to: Any = sp.sympify) -> list[Number]:
        """b_0^2, …, b_M^2 from a_0, …, a_M; negative where the kernel has no such network.

        `to` makes the constants of the coefficients' kind (a ball, a float). What is invisible (b_0, if only the hidden
        layer is trained) is 0.
        """
        v, c = (to(value) for value in self.readout)
        result: list[Number] = []
        for k, own in enumerate(coefficients):
            level: Any = own - c if k == 0 and self.counts_readout else own
            result.append(level / (v * self.factor(k)) if self.factor(k) else level * 0)
        return result

    def kernel(self, squares: Sequence[sp.Expr]) -> sp.Expr:
        """The kernel as a formula in the cosine (written rho), from b_0^2, …, b_M^2."""
        v, c = self.readout
        correlation = self.correlation
        terms = [c if self.counts_readout else sp.S.Zero]
        for k, square in enumerate(squares):
            if self.freezes_biases and k:  # d(xi rho^k)/d xi
                power = correlation**k + k * self.w_var / self.variance * rho * correlation ** (k - 1)
            else:
                power = self.factor(k) * correlation**k
            terms.append(v * square * power)
        return sp.Add(*terms)

    def __repr__(self) -> str:
        trained = f", trained={self.trained!r}" if self.kind == "ntk" and self.trained != "all" else ""
        return (
            f"{self.kind.upper()} of Dense({self.w_var}, {self.b_var}), phi, "
            f"Dense({self.readout[0]}, {self.readout[1]}){trained}"
        )
