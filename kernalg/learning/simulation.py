"""A predicted learning curve against experiments on the same space: `curve.simulate(K)`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from kernalg.checks import FloatArray, real_vector, whole_number
from kernalg.errors import DomainError
from kernalg.formula import read_object
from kernalg.learning.eigenlearning import Diagnostics, LearningCurve, learning_curve
from kernalg.learning.experiments import (
    Draw,
    HeldOutSample,
    Sample,
    gaussian_sample,
    held_out_sample,
    parity_target,
    profile_target,
    random_target,
    sample_of_space,
    zonal_target,
)
from kernalg.learning.levels import Levels, degree_of, homogeneous_levels, levels_of
from kernalg.learning.measured import Measured
from kernalg.learning.records import equal_by_json, shown_as_table
from kernalg.learning.regression import Progress, run_experiments, sample_sizes
from kernalg.learning.targets import ProfileTarget, profile_function
from kernalg.spectrum.spaces import SPACE_TYPES, GaussianInputs, Hypercube, ProductOfSpheres, Space, Sphere
from kernalg.spectrum.spectrum import Spectrum
from kernalg.spectrum.tables import import_pandas

# Sample sizes taken from a curve of many.
_SIZES = 8
# What rounding may make of a training error that is predicted to be 0, relative to the test error.
_ROUNDING = 1e-12
# The arrays of a curve with one entry per n.
_PER_N = (
    "kappa", "overfitting", "test_mse", "excess_mse", "train_mse", "bias", "variance", "learnability_sum",
)  # fmt: skip
_KINDS = ("zonal", "random", "parity")


@equal_by_json
@shown_as_table
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Simulation:
    """Experiments and the curve that predicted them.

    Attributes
    ----------
    predicted : LearningCurve
        At the sample sizes of the experiments.
    test_mse, train_mse : Measured
        Errors on noisy labels.
    learnabilities : tuple of Measured or None, one per level
        The fraction of the target's component in the level that was learned; None for levels without power, and for
        targets whose components are not known.
    truncation : (sizes,) array
        What levels beyond the spectrum may add to an exact `test_mse` at most.
    target, method, seed : what was asked, and how the risk was measured.
    """

    predicted: LearningCurve
    test_mse: Measured
    train_mse: Measured
    learnabilities: tuple[Measured | None, ...]
    truncation: FloatArray
    target: str
    method: str
    seed: int

    @property
    def n(self) -> FloatArray:
        """Numbers of training samples."""
        return self.predicted.n

    @property
    def z_test(self) -> FloatArray:
        """(mean - prediction) / standard error of the test error, per n."""
        return self._z(self.test_mse, self.predicted.test_mse)

    @property
    def z_train(self) -> FloatArray:
        """The same for the training error."""
        return self._z(self.train_mse, self.predicted.train_mse)

    @property
    def z_learnabilities(self) -> FloatArray:
        """The same for the learnabilities, shape (sizes, levels); NaN where there are none."""
        result = np.full((len(self.n), len(self.predicted.spectrum)), np.nan)
        for level, measured in enumerate(self.learnabilities):
            if measured is not None:
                difference = measured.mean - self.predicted.learnabilities[:, level]
                result[:, level] = difference / np.maximum(measured.standard_error, _ROUNDING)
        return result

    @property
    def relative_difference(self) -> FloatArray:
        """mean / prediction - 1 of the test error, per n."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.test_mse.mean / self.predicted.test_mse - 1

    def agrees(self, errors: float = 3.0, relative: float = 0.03) -> bool:
        """Whether test and training error are within `errors` standard errors or `relative` of the prediction.

        The theory is an approximation (a good one in high dimension), so that with enough draws any z-score becomes
        large: what counts then is the relative difference. On the hypercube the training error may disagree alone:
        inputs that were drawn twice get two labels, of which the theory knows nothing.
        """
        rounding = _ROUNDING * self.test_mse.mean

        def close(measured: Measured, predicted: FloatArray, z: FloatArray) -> bool:
            near = np.abs(measured.mean - predicted) <= np.maximum(relative * predicted, rounding)
            # A single draw has no standard error, and proves nothing.
            likely = np.isfinite(measured.standard_error) & (np.abs(z) <= errors)
            return bool((near | likely).all())

        return close(self.test_mse, self.predicted.test_mse, self.z_test) and close(
            self.train_mse, self.predicted.train_mse, self.z_train
        )

    def _z(self, measured: Measured, predicted: FloatArray) -> FloatArray:
        floor = _ROUNDING * self.test_mse.mean
        return (measured.mean - predicted) / np.maximum(np.maximum(measured.standard_error, floor), 5e-324)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        def pairs(measured: Measured) -> list[str]:
            both = zip(measured.mean, measured.standard_error, strict=True)
            return [f"{m:.5g} ± {e:.1g}" for m, e in both]

        columns = [
            ("n", [f"{v:.10g}" for v in self.n]),
            ("predicted", [f"{v:.6g}" for v in self.predicted.test_mse]),
            ("simulated", pairs(self.test_mse)),
            ("z", [f"{v:+.1f}" for v in self.z_test]),
            ("difference", [f"{v:+.1%}" for v in self.relative_difference]),
            ("train predicted", [f"{v:.4g}" for v in self.predicted.train_mse]),
            ("simulated", pairs(self.train_mse)),
        ]
        for level, measured in enumerate(self.learnabilities):
            if measured is not None:
                label = self.predicted.spectrum.label(level)
                columns.append((f"L[{label}] predicted", [f"{v:.4f}" for v in self.predicted.learnabilities[:, level]]))
                columns.append(("simulated", pairs(measured)))
        names, cells = zip(*columns, strict=True)
        return list(names), [list(row) for row in zip(*cells, strict=True)]

    def _headline(self) -> str:
        curve, draws = self.predicted, self.test_mse.draws.shape[1]
        where = f" on {curve.spectrum.space}" if curve.spectrum.space else ""
        return (
            f"Simulation{where}: target {self.target}, ridge {curve.ridge:g}, noise {curve.noise:g}, {draws} draws "
            f"(mean ± standard error), {self.method}"
        )

    def to_json(self) -> str:
        """JSON text that `from_json` turns back into an equal Simulation."""
        return json.dumps(
            {
                "type": "kernalg.Simulation",
                "predicted": json.loads(self.predicted.to_json()),
                "test_mse": self.test_mse.draws.tolist(),
                "train_mse": self.train_mse.draws.tolist(),
                "learnabilities": [None if m is None else m.draws.tolist() for m in self.learnabilities],
                "truncation": self.truncation.tolist(),
                "target": self.target,
                "method": self.method,
                "seed": str(self.seed),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Simulation:
        """The Simulation that `to_json` wrote; DomainError if the text is no such JSON object."""
        data = read_object(text, "kernalg.Simulation")
        try:
            predicted = LearningCurve.from_json(json.dumps(data["predicted"]))
            test, train = Measured(data["test_mse"]), Measured(data["train_mse"])
            learned = tuple(None if m is None else Measured(m) for m in data["learnabilities"])
            bound = real_vector("truncation", data["truncation"], minimum=0.0)
            if {len(m.draws) for m in [test, train, *learned] if m is not None} != {len(predicted)}:
                raise ValueError("the draws do not match the sample sizes")
            return cls(
                predicted, test, train, learned, bound, str(data["target"]), str(data["method"]), int(data["seed"])
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DomainError(f"not the JSON of a Simulation, as to_json writes it: {error}") from error

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by n: predicted, mean, standard error, z-score; MissingExtra without pandas."""
        pandas = import_pandas()
        columns: dict[str, Any] = {}

        def add(name: str, predicted: FloatArray, measured: Measured, z: FloatArray) -> None:
            columns[f"{name}_predicted"], columns[name] = predicted, measured.mean
            columns[f"{name}_error"], columns[f"{name}_z"] = measured.standard_error, z

        add("test_mse", self.predicted.test_mse, self.test_mse, self.z_test)
        add("train_mse", self.predicted.train_mse, self.train_mse, self.z_train)
        for level, measured in enumerate(self.learnabilities):
            if measured is not None:
                scores = self.z_learnabilities[:, level]
                add(f"L{level}", self.predicted.learnabilities[:, level], measured, scores)
        return pandas.DataFrame(columns, index=pandas.Index(self.n, name="n"))


def simulate(
    curve: LearningCurve,
    kernel: Callable[..., Any] | None = None,
    *,
    n: int | Iterable[int] | None = None,
    draws: int = 20,
    seed: int = 0,
    target: str | sp.Expr | Callable[[FloatArray], Any] = "zonal",
    held_out: int = 4000,
    progress: Progress = None,
) -> Simulation:
    """Test a predicted learning curve by experiment: kernel ridge regression on random inputs of the same space.

    Parameters
    ----------
    curve : LearningCurve
        Its spectrum says the space, the levels and the eigenvalues; its power, ridge and noise are those of the
        experiments.
    kernel : callable, optional
        The kernel of the spectrum, called as K(X) and K(X, Y). None takes the Gaussian-feature model, in which the
        theory is derived: inputs are independent standard normal vectors, one coordinate per eigenfunction.
    n : int or iterable of int, optional
        Numbers of samples. Default: those of the curve that are positive integers, or 8 of them evenly spread.
        Predictions are the curve's own where it has this n, and computed anew otherwise.
    draws : int
        Independent training sets, targets and label noises per n.
    seed : int
        The result for (n, draw) depends on the seed and on nothing else that is asked.
    target : "zonal", "random", "parity", formula, or callable
        With the power of the curve in every level: "zonal" is one function of the cosine to a random pole per draw
        (at unequal norms, the corresponding eigenfunction); "random" is a random harmonic, a sum of several zonal
        functions in every level; "parity" (hypercube) a product of random coordinates. A formula in rho (text or
        SymPy), on the sphere or the hypercube, is that function of the cosine to a random pole. A callable f(X) gives
        one number per row of X, on any space. The power of the last two is not the curve's to choose: get it from
        `target_power`; for formulas this is checked.
    held_out : int
        For callables, the number of fresh test points per draw. For all other targets the risk is exact.
    progress : callable or bool, optional
        Called as progress(done, total, label); True prints every step to the standard error stream, False nothing.
        By default a terminal is told after two seconds.

    Returns
    -------
    Simulation

    Raises
    ------
    DomainError
        If the spectrum has no space or is not that of the kernel, if the target does not exist on it or has another
        power, or a number is out of range.

    Examples
    --------
    >>> import kernalg as ka
    >>> s = ka.Spectrum([0.5, 0.01], [1, 50])
    >>> simulation = simulate(ka.learning_curve(s, [1.0, 1.0], n=[10, 40], noise=0.1), draws=50)
    >>> simulation.agrees(), simulation.z_learnabilities.shape
    (True, (2, 2))
    """
    if not isinstance(curve, LearningCurve):
        raise DomainError(f"a LearningCurve is needed, not {type(curve).__name__}: see learning_curve(...)")
    predicted = _prediction(curve, n)
    spectrum, power = curve.spectrum, curve.power
    sampler, described, method, beyond = _sampler(
        spectrum, kernel, power, target, whole_number("held_out", held_out, 2)
    )
    runs = run_experiments(
        sampler, [int(v) for v in predicted.n], ridge=curve.ridge, noise=curve.noise, draws=draws, seed=seed,
        beyond=beyond, progress=progress,
    )  # fmt: skip
    learned = runs.learnabilities
    return Simulation(
        predicted=predicted,
        test_mse=Measured(runs.test),
        train_mse=Measured(runs.train),
        learnabilities=tuple(
            Measured(learned[:, :, level]) if learned is not None and power[level] > 0 else None
            for level in range(len(spectrum))
        ),
        truncation=runs.truncation.max(axis=1),
        target=described,
        method=method,
        seed=seed,
    )


Sampler = Callable[[int, np.random.Generator], Sample | HeldOutSample]


def _sampler(
    spectrum: Spectrum, kernel: Callable[..., Any] | None, power: FloatArray, target: Any, held_out: int
) -> tuple[Sampler, str, str, int]:
    """How to draw a training set; the target and the method in words; and the first multiplicity not listed."""
    space = spectrum.space
    if kernel is None:
        if target != "zonal":
            raise DomainError(f"target={target!r} is a function on a space of inputs: give the kernel too")
        return (
            lambda n, rng: gaussian_sample(spectrum, power, n, rng),
            "one random mode per level", "exact risk in the Gaussian-feature model", 1,
        )  # fmt: skip
    if not isinstance(space, SPACE_TYPES):
        raise DomainError(
            f"the space of the spectrum is {space!r}, from which no inputs can be drawn: give simulate no kernel to "
            "take the Gaussian-feature model, or take a spectrum from spectrum(K, space)"
        )
    if not callable(kernel):
        short = f"a {type(kernel).__name__}" if isinstance(kernel, Spectrum) else repr(kernel)
        raise DomainError(f"kernel={short}: a kernel that is called as K(X) and K(X, Y) is needed")
    if callable(target) and not isinstance(target, sp.Basic):
        name = getattr(target, "__name__", type(target).__name__)
        return (
            lambda n, rng: held_out_sample(space, kernel, target, n, held_out, rng),
            name, f"{held_out} held-out points per draw", 1,
        )  # fmt: skip

    levels = _checked_levels(space, spectrum, kernel)
    draw, words = _draw(space, levels, power, target)
    return (
        lambda n, rng: sample_of_space(space, spectrum, kernel, levels, power, draw, n, rng),
        words, "exact risk", levels.beyond,
    )  # fmt: skip


def _checked_levels(space: Space, spectrum: Spectrum, kernel: Any) -> Levels:
    """The levels that are built in, if they are those of the spectrum."""
    one_variance = not isinstance(space, GaussianInputs) or not isinstance(space.variance, tuple)
    first_radial = spectrum.labels == tuple(f"({k},0)" for k in range(len(spectrum)))
    if isinstance(space, Sphere | Hypercube | ProductOfSpheres) or (hasattr(kernel, "squared_length") and one_variance):
        levels = levels_of(space, degree_of(space, len(spectrum)), kernel)
    elif first_radial and one_variance and spectrum.trace and hasattr(kernel, "diag"):
        levels = homogeneous_levels(space, len(spectrum) - 1, kernel, spectrum.trace)
    else:
        raise DomainError(
            f"the eigenfunctions of this kernel on {space} are not built in: give target= as a function f(X), and its "
            "power to learning_curve"
        )
    if spectrum.multiplicities != levels.counts:
        raise DomainError(
            f"the multiplicities of the spectrum are {list(spectrum.multiplicities)[:6]}…, those of the levels of "
            f"{space} {list(levels.counts)[:6]}…: all levels must be listed, degree by degree"
        )
    return levels


def _draw(space: Space, levels: Levels, power: FloatArray, target: Any) -> tuple[Draw, str]:
    listed = power[: len(levels)]
    if target == "zonal":
        return zonal_target(levels, listed), "zonal"
    if target == "random":
        return random_target(space, levels, listed), "random"
    if target == "parity":
        if not isinstance(space, Hypercube):
            raise DomainError(f"parities are functions on the hypercube, and the space is {space}")
        return parity_target(space.d, listed), "parity"
    if not isinstance(target, str | sp.Expr) or not isinstance(space, Sphere | Hypercube):
        raise DomainError(
            f"target={target!r} on {space}: give {', '.join(map(repr, _KINDS))}, a function f(X), or on the sphere and "
            "the hypercube a formula in rho"
        )
    profile: ProfileTarget = profile_function(target, space, len(levels) - 1)
    own = np.append(profile.coefficients**2, profile.beyond)
    asked = np.append(listed, power[len(levels) :].sum())
    if np.abs(own - asked).max() > 1e-6 * own.sum() + 10 * profile.errors.max():
        raise DomainError(
            f"the power of {target} begins with {own[:6].round(6).tolist()}, that of the curve with "
            f"{asked[:6].round(6).tolist()}: "
            "predict with learning_curve(spectrum, target_power(formula, space, degree).power, …)"
        )
    return profile_target(profile.values, profile.coefficients, levels), str(target)


def _prediction(curve: LearningCurve, n: int | Iterable[int] | None) -> LearningCurve:
    """The curve at the sample sizes asked for."""
    if n is None:
        usable = [int(v) for v in curve.n if v >= 1 and v == math.floor(v)]
        if not usable:
            raise DomainError("the curve has no n that is a positive integer: give simulate n=")
        chosen = np.unique(np.linspace(0, len(usable) - 1, _SIZES).round().astype(int))
        sizes = [usable[i] for i in chosen]
    else:
        sizes = sample_sizes(n)
    index = {float(v): i for i, v in reversed(list(enumerate(curve.n)))}
    if any(size not in index for size in sizes):
        return learning_curve(curve.spectrum, curve.power, n=sizes, ridge=curve.ridge, noise=curve.noise)
    rows = [index[float(size)] for size in sizes]
    kept = {"n": curve.n[rows]} | {name: getattr(curve, name)[rows] for name in (*_PER_N, "learnabilities")}
    doubts = tuple(m for m in curve.diagnostics.messages if set(m.n) & set(kept["n"].tolist()))
    return replace(curve, diagnostics=Diagnostics(curve.diagnostics.participation[rows], doubts), **kept)
