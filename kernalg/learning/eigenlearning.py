r"""Predicted learning curves of kernel ridge regression from a spectrum: the eigenlearning equations.

With eigenvalues lambda_i of multiplicity m_i, ridge delta (K + delta I, not divided by n) and n samples, kappa solves

.. math:: \sum_i m_i L_i + \delta/\kappa = n, \qquad L_i = \lambda_i/(\lambda_i+\kappa),

and with :math:`q = \sum m_i L_i^2`, :math:`E_0 = n/(n-q)`, level powers :math:`v_i^2` and noise variance
:math:`\sigma^2` the expected error on noisy labels is :math:`E = E_0 (\sum_i (1-L_i)^2 v_i^2 + \sigma^2)`.

Sources: Bordelon, Canatar and Pehlevan (ICML 2020); Canatar, Bordelon and Pehlevan (Nat. Commun. 2021); Simon,
Dickens, Karkada and DeWeese (TMLR 2023). These are deterministic equivalents, exact as many comparable modes take part;
`Diagnostics` says where that is doubtful.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kernalg.checks import FloatArray, real_number
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.learning.diagnostics import Diagnostics, Message, diagnose
from kernalg.learning.kappa import at_kappa, solve_kappa
from kernalg.learning.problem import learning_problem
from kernalg.learning.records import equal_by_json, frozen, plain
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import html_table, import_pandas, text_table

if TYPE_CHECKING:
    from kernalg.learning.simulation import Simulation

_PER_N = (
    "kappa", "overfitting", "test_mse", "excess_mse", "train_mse", "bias", "variance", "learnability_sum",
)  # fmt: skip


@equal_by_json
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LearningCurve:
    """What kernel ridge regression is expected to achieve, per number of samples.

    Every array has one entry per `n`; `learnabilities` has shape (len(n), levels).

    Attributes
    ----------
    n : number of samples.
    kappa : the threshold: eigenvalues above it are learned (inf at n = 0; 0 if n exceeds the rank without ridge).
    learnabilities : L_i = lambda_i/(lambda_i + kappa), the fraction of level i that is learned.
    overfitting : E_0 = n/(n - sum m L^2), the factor on every error (inf at n = rank without ridge).
    test_mse : expected squared error on noisy labels.
    excess_mse : the same without the noise of the test labels, `test_mse - noise`.
    train_mse : expected squared error on the training set, noisy labels.
    bias : squared bias, the sum of (1-L)^2 times the target power.
    variance : the rest, `excess_mse - bias`.
    learnability_sum : sum m L, which equals n - effective_ridge/kappa.
    effective_ridge : ridge plus the tail of the spectrum (levels not listed act as ridge).
    diagnostics : where to doubt these numbers.
    ridge, noise, power, spectrum : what was asked; `power` includes the power beyond the listed levels.
    """

    n: FloatArray
    kappa: FloatArray
    learnabilities: FloatArray
    overfitting: FloatArray
    test_mse: FloatArray
    excess_mse: FloatArray
    train_mse: FloatArray
    bias: FloatArray
    variance: FloatArray
    learnability_sum: FloatArray
    effective_ridge: float
    diagnostics: Diagnostics
    ridge: float
    noise: float
    power: FloatArray
    spectrum: Spectrum

    def __len__(self) -> int:
        return len(self.n)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = ["kappa", "learnability_sum", "overfitting", "bias", "variance", "train_mse", "test_mse"]
        columns = [[f"{v:.6g}" for v in getattr(self, name)] for name in names]
        return ["n", *names], [list(row) for row in zip((f"{v:.10g}" for v in self.n), *columns, strict=True)]

    def _headline(self) -> str:
        tail = f" (effective {self.effective_ridge:.6g})" if self.effective_ridge != self.ridge else ""
        return f"Learning curve: ridge {self.ridge:g}{tail}, noise {self.noise:g}, power {self.power.sum():.6g}"

    def __repr__(self) -> str:
        doubts = [f"! {m}" for m in self.diagnostics.messages]
        return "\n".join([self._headline(), text_table(*self._table()), *doubts])

    def _repr_html_(self) -> str:
        doubts = "".join(f"<li>{html.escape(str(m))}</li>" for m in self.diagnostics.messages)
        return f"<p>{html.escape(self._headline())}</p>{html_table(*self._table())}<ul>{doubts}</ul>"

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal LearningCurve (infinities as the string "inf")."""
        data: dict[str, Any] = {"type": "kernalg.LearningCurve"}
        data["spectrum"] = json.loads(self.spectrum.to_json())
        for name in (f.name for f in fields(self) if f.name not in ("diagnostics", "spectrum")):
            value = getattr(self, name)
            data[name] = value if isinstance(value, float) else plain(value.tolist())
        data["diagnostics"] = {
            "participation": self.diagnostics.participation.tolist(),
            "messages": [[m.kind, m.sentence, list(m.n)] for m in self.diagnostics.messages],
        }
        return json.dumps(data, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> LearningCurve:
        """The LearningCurve that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.LearningCurve")
        try:
            doubts, spectrum = data.pop("diagnostics"), Spectrum.from_json(json.dumps(data.pop("spectrum")))
            messages = tuple(
                Message(str(kind), str(sentence), tuple(frozen(n).tolist())) for kind, sentence, n in doubts["messages"]
            )
            values: dict[str, Any] = {
                name: float(value) if isinstance(value, int | float) else frozen(value) for name, value in data.items()
            }
            for name in _PER_N:
                if values[name].shape != values["n"].shape or values["learnabilities"].shape[:1] != values["n"].shape:
                    raise ValueError(f"{name} and n have different lengths")
            return cls(diagnostics=Diagnostics(frozen(doubts["participation"]), messages), spectrum=spectrum, **values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DomainError(f"not the JSON of a LearningCurve, as to_json writes it: {error}") from error

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n, learnabilities as columns L0, L1, …; MissingExtra without pandas."""
        pandas = import_pandas()
        columns = {name: getattr(self, name) for name in _PER_N}
        columns |= {f"L{i}": self.learnabilities[:, i] for i in range(self.learnabilities.shape[1])}
        return pandas.DataFrame(columns, index=pandas.Index(self.n, name="n"))

    def simulate(
        self,
        kernel: Any = None,
        *,
        n: Any = None,
        draws: int = 20,
        seed: int = 0,
        target: Any = "zonal",
        held_out: int = 4000,
        progress: Any = None,
    ) -> Simulation:
        """Test this prediction by experiment: kernel ridge regression on random inputs of the spectrum's space.

        The result holds means with standard errors, and z-scores against this curve. It takes `draws` times the
        solution of n equations for every n; hundreds of n = 1000 are minutes, and `progress=True` tells how far it is.

        Parameters
        ----------
        kernel : callable, optional
            The kernel of the spectrum, called as K(X) and K(X, Y). Without it the features are Gaussian.
        n : int or iterable of int, optional
            Numbers of samples; by default those of the curve that are positive integers, or 8 of them.
        draws, seed : int
            Independent experiments per n; seed of all of them.
        target : "zonal", "random", "parity", formula in rho, or callable f(X)
            See `kernalg.learning.simulation.simulate`.
        held_out : int
            Test points per draw, for a callable target; of the others the risk is exact.
        progress : bool or callable, optional
            True reports on the standard error stream; a callable gets (done, total, text).

        Returns
        -------
        Simulation

        Examples
        --------
        >>> curve = learning_curve(Spectrum([0.5, 0.01], [1, 50]), [1.0, 1.0], n=[10, 40], noise=0.1)
        >>> curve.simulate(draws=50).agrees(errors=4)
        True
        """
        from kernalg.learning.simulation import simulate

        return simulate(self, kernel, n=n, draws=draws, seed=seed, target=target, held_out=held_out, progress=progress)


def learning_curve(
    spectrum: Spectrum,
    power: ArrayLike | None = None,
    *,
    n: ArrayLike | range,
    ridge: float = 0.0,
    noise: float = 0.0,
) -> LearningCurve:
    """Predict the errors of kernel ridge regression from the spectrum of its kernel.

    Parameters
    ----------
    spectrum : Spectrum
        Of the kernel under the distribution of the inputs. If it knows its trace, the power beyond its levels acts as
        additional ridge, which is accurate while those eigenvalues are far below kappa.
    power : array_like, optional
        Target power per level (sum of squared coefficients in the level), in the order of the spectrum's levels;
        padded with zeros. Entries beyond the last level are power that is never learned. Default: the spectrum's
        `target_power`.
    n : number, range or array_like
        Numbers of samples, any reals >= 0.
    ridge : float
        delta in K + delta I (not divided by n).
    noise : float
        Variance of the label noise.

    Returns
    -------
    LearningCurve

    Raises
    ------
    DomainError
        If a number is negative, NaN or infinite, if `spectrum` is not a Spectrum, or if there is no target power.

    Examples
    --------
    >>> s = Spectrum([0.5, 0.01], [1, 50])
    >>> curve = learning_curve(s, [1.0, 1.0], n=[10, 40], noise=0.1)
    >>> curve.test_mse.round(4)
    array([1.0342, 0.6916])
    >>> curve.learnability_sum
    array([10., 40.])
    """
    problem = learning_problem(spectrum, power, n, noise)
    samples, noise = problem.n, problem.noise
    ridge = real_number("ridge", ridge, minimum=0.0)
    effective = ridge + (spectrum.tail or 0.0)
    kappa, participation = solve_kappa(spectrum, samples, effective)

    at = at_kappa(spectrum, kappa)
    learnability_sum, q = at.learned_modes, at.squares
    bias = (at.missing**2) @ problem.learnable + problem.unlearnable

    with np.errstate(divide="ignore", invalid="ignore"):
        # Without ridge kappa is 0 beyond the rank, where delta/kappa tends to n - rank; at n = 0 kappa n is the trace.
        ridge_modes = np.where(kappa > 0, effective / kappa, samples - learnability_sum)
        total = spectrum.level_power.sum() + effective
        residual = np.where(kappa > 0, ridge / kappa, ridge_modes) / samples
        residual = np.where(samples > 0, residual, ridge / total if total > 0 else 1.0)
        gap = ridge_modes + participation  # n - q as a sum of terms that are not negative
        overfitting = np.where(samples > 0, samples / gap, 1.0)
        # No error is 0 times infinity at n = rank: the limit from either side is 0.
        variance = np.where((bias + noise > 0) & (samples > 0), q / gap * (bias + noise), 0.0)
        test = np.where(bias + noise > 0, overfitting * (bias + noise), 0.0)
        train = np.where(residual > 0, residual * (residual * test), 0.0)
    excess = bias + variance

    return LearningCurve(
        n=samples, kappa=frozen(kappa), learnabilities=frozen(at.learned), overfitting=frozen(overfitting),
        test_mse=frozen(test), excess_mse=frozen(excess), train_mse=frozen(train), bias=frozen(bias),
        variance=frozen(variance), learnability_sum=frozen(learnability_sum), effective_ridge=effective,
        diagnostics=diagnose(problem, kappa, at, overfitting, excess),
        ridge=ridge, noise=noise, power=problem.power, spectrum=spectrum,
    )  # fmt: skip
