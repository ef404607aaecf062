"""What the tour finds, as values."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import kernalg
from kernalg.activation.activation import Activation
from kernalg.derivation.steps import Derivation
from kernalg.learning.eigenlearning import LearningCurve
from kernalg.learning.measured import MeasuredCurve
from kernalg.network.network import Network
from kernalg.spectrum.spectrum import Spectrum

_PACKAGES = ("numpy", "scipy", "numba", "sympy", "mpmath", "python-flint", "scikit-learn", "matplotlib")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much the experiments compute; a test takes less."""

    dimension: int = 50
    degree: int = 20
    sphere_n: tuple[int, ...] = (20, 50, 100, 200, 400, 800)
    sphere_draws: int = 24
    noise: float = 0.1
    digits_n: tuple[int, ...] = (50, 100, 200, 400, 800)
    digits_draws: int = 12
    digits_points: int = 1797
    certified_entries: int = 24
    certified_digits: int = 50


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked. Variances are exact numbers, as text."""

    activation: str
    formula: str
    depth: int
    w_var: str
    b_var: str
    seed: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """One number by two routes."""

    what: str
    point: dict[str, str]
    certified: str
    second: str
    second_route: str
    digits: int


@dataclass(frozen=True, slots=True)
class GramTiming:
    """Seconds, and float64 errors against certified values relative to the largest entry."""

    points: int
    features: int
    compile_seconds: float
    both_seconds: float
    product_seconds: float
    certified_entries: int
    worst_error: float

    @property
    def nanoseconds_per_entry(self) -> float:
        return 1e9 * self.both_seconds / self.points**2


@dataclass(frozen=True, slots=True)
class LayerRow:
    """What a hidden layer does on the sphere |x|^2 = d."""

    layer: int
    variance: float  # of the pre-activation
    nngp: float  # after the activation, of a point with itself
    correlation_of_orthogonal: float
    ntk: float


@dataclass(frozen=True, slots=True)
class ProfileTable:
    """The kernels on the sphere: values against the correlation, and Taylor coefficients in it."""

    layers: tuple[LayerRow, ...]
    rho: np.ndarray
    nngp: np.ndarray
    ntk: np.ndarray
    nngp_taylor: np.ndarray
    ntk_taylor: np.ndarray


@dataclass(frozen=True, slots=True)
class Experiment:
    """Predicted and measured learning curves of one input space."""

    spectrum: Spectrum
    prediction: LearningCurve  # on a fine grid of n
    at_measured: LearningCurve  # at the n of the experiment
    measured: MeasuredCurve

    @property
    def relative_deviation(self) -> np.ndarray:
        """(predicted - measured)/measured test error."""
        return self.at_measured.test_mse / self.measured.test_mse.mean - 1

    @property
    def z_scores(self) -> np.ndarray:
        """(predicted - measured) in standard errors."""
        return (self.at_measured.test_mse - self.measured.test_mse.mean) / self.measured.test_mse.standard_error


@dataclass(frozen=True, slots=True)
class Tour:
    """Everything the tour found; `folder` holds report.html and results.json."""

    settings: Settings
    scale: Scale
    activation: Activation
    network: Network
    derivation: Derivation
    profile: ProfileTable
    agreements: tuple[Agreement, ...]
    gram: GramTiming
    sphere: Experiment
    digits: Experiment
    seconds: dict[str, float]
    folder: Path

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def results(self) -> Path:
        return self.folder / "results.json"

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for results.json; only "seconds", "gram" and "versions" depend on the machine."""
        return {
            "kernalg": "tour",
            "settings": asdict(self.settings),
            "scale": asdict(self.scale),
            "dual": {
                "formula": str(self.activation.dual.expr),
                "derivative": str(self.activation.dual.derivative.expr),
                "steps": [
                    {"id": s.id, "latex": s.statement_latex, "because": s.because, "checked": str(s.checked)}
                    for s in self.derivation.steps
                ],
            },
            "profile": {
                "layers": [asdict(row) for row in self.profile.layers],
                "nngp_taylor": self.profile.nngp_taylor.tolist(),
                "ntk_taylor": self.profile.ntk_taylor.tolist(),
            },
            "agreements": [asdict(a) for a in self.agreements],
            "gram": asdict(self.gram) | {"nanoseconds_per_entry": self.gram.nanoseconds_per_entry},
            "sphere": _experiment_dict(self.sphere),
            "digits": _experiment_dict(self.digits),
            "seconds": self.seconds,
            "versions": _versions(),
        }

    def __repr__(self) -> str:
        s = self.settings
        return f"<tour of {s.activation}, depth {s.depth}: {self.report}>"


def _versions() -> dict[str, str]:
    found = {"kernalg": kernalg.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _experiment_dict(e: Experiment) -> dict[str, Any]:
    return {
        "spectrum": json.loads(e.spectrum.to_json()),
        "prediction": json.loads(e.at_measured.to_json()),
        "measured": json.loads(e.measured.to_json()),
        "mean_test_mse": e.measured.test_mse.mean.tolist(),
        "standard_error": e.measured.test_mse.standard_error.tolist(),
        "relative_deviation": e.relative_deviation.tolist(),
        "z_scores": e.z_scores.tolist(),
        "doubts": [str(m) for m in e.at_measured.diagnostics.messages],
    }
