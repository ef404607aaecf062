"""kernalg: a computer algebra system for the kernels of wide neural networks.

>>> import kernalg as ka
>>> ka.activation("relu").dual.normalized
rho*(asin(rho)/(2*pi) + 1/4) + sqrt(1 - rho**2)/(2*pi)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and the room each lives in. They are imported on first use, so that `import kernalg`
# costs neither SymPy nor Numba (rule 10).
_HOME = {
    "DomainError": "errors",
    "FormulaError": "errors",
    "InternalError": "errors",
    "KernalgError": "errors",
    "MissingExtra": "errors",
    "NoClosedForm": "errors",
    "PrecisionError": "errors",
    "x": "symbols",
    "q1": "symbols",
    "q2": "symbols",
    "c": "symbols",
    "rho": "symbols",
    "parse": "formula",
    "Activation": "activation.activation",
    "activation": "activation.activation",
    "activations": "activation.activation",
    "describe": "activation.description",
    "exp_normalized": "activation.kernel_map",
    "Dual": "activation.dual",
    "cross_dual": "activation.activation",
    "Dense": "network.layers",
    "Network": "network.network",
    "mlp": "network.network",
    "serial": "network.network",
    "Kernel": "network.kernel",
    "Profile": "network.profile",
    "dot_product_kernel": "network.dot_product",
    "product_kernel": "network.product_kernel",
    "rbf_kernel": "network.radial_basis",
    "convert_expansion": "expansion.conversions",
    "HermiteSeries": "expansion.hermite_series",
    "Spectrum": "spectrum.spectrum",
    "empirical_spectrum": "spectrum.empirical",
    "Eigenpairs": "spectrum.eigenpairs",
    "eigenpairs": "spectrum.eigenpairs",
    "Ball": "spectrum.spaces",
    "Circle": "spectrum.spaces",
    "GaussianInputs": "spectrum.spaces",
    "Hypercube": "spectrum.spaces",
    "ProductOfSpheres": "spectrum.spaces",
    "Shells": "spectrum.spaces",
    "Sphere": "spectrum.spaces",
    "spectrum": "spectrum.of_kernel",
    "eigenvalue_decay": "spectrum.asymptotics",
    "eigenvalue_formula": "spectrum.closed_forms",
    "CriticalLevel": "learning.critical_level",
    "critical_level": "learning.critical_level",
    "critical_level_of": "learning.critical_level",
    "CrossRisk": "learning.two_ridges",
    "cross_risk": "learning.two_ridges",
    "EigenlearningFormulas": "learning.symbolic",
    "eigenlearning_formulas": "learning.symbolic",
    "critical_level_formulas": "learning.symbolic",
    "GradientFlowCurve": "learning.gradient_flow",
    "gradient_flow_curve": "learning.gradient_flow",
    "optimal_stopping": "learning.optimal_stopping",
    "LearningCurve": "learning.eigenlearning",
    "learning_curve": "learning.eigenlearning",
    "OptimalRidge": "learning.optimal_ridge",
    "optimal_ridge": "learning.optimal_ridge",
    "noise_derivative": "learning.optimal_ridge",
    "ridge_derivative": "learning.optimal_ridge",
    "RandomFeaturesCurve": "learning.random_features",
    "random_features_curve": "learning.random_features",
    "level_risks": "learning.risks",
    "mode_risks": "learning.risks",
    "out_of_distribution_risk": "learning.risks",
    "RidgeEstimates": "learning.estimators",
    "ridge_estimates": "learning.estimators",
    "Simulation": "learning.simulation",
    "Staircase": "learning.staircase",
    "staircase": "learning.staircase",
    "TargetPower": "learning.targets",
    "target_power": "learning.targets",
    "measured_curve_on_data": "learning.regression",
    "RidgeRegression": "learning.large_regression",
    "ridge_regression": "learning.large_regression",
    "Design": "design.designed",
    "design": "design.of_kernel",
    "shallow": "design.shallow",
    "parameter_count": "design.shallow",
    "ClosedForm": "design.closed_forms",
    "closed_forms": "design.recognition",
    "nngp_of_ntk": "design.recognition",
    "ntk_activation": "design.operator_form",
    "ntk_activation_value": "design.operator_form",
    "best_signs": "design.signs",
    "NonnegativeFit": "design.nonnegative_fit",
    "fit_nonnegative": "design.nonnegative_fit",
    "ActivationFit": "design.parametric_fit",
    "fit_activation": "design.parametric_fit",
    "ActivationFamily": "design.families",
    "activation_family": "design.families",
    "relu_cosine": "design.families",
    "relu_mix": "design.families",
    "sum_of_activations": "design.families",
    "KernelSearch": "design.searched_kernel",
    "search_kernel": "design.kernel_search",
    "search_kernel_on_sphere": "design.kernel_search",
    "rows_on_sphere": "design.kernel_search",
    "EmpiricalKernel": "finite.empirical",
    "empirical_ntk": "finite.empirical",
    "tail_report": "finite.tails",
    "kurtosis": "finite.variance",
    "tangent_kernel_covariance": "finite.covariance",
    "tangent_kernel_variance": "finite.variance",
    "FiniteNetwork": "finite.network",
    "finite_network": "finite.network",
    "tangent_kernel": "finite.tangent",
    "conjugate_kernel": "finite.tangent",
    "TrainingRun": "finite.training",
    "train": "finite.training",
    "largest_stable_learning_rate": "finite.learning_rate",
    "export": "export.door",
    "Certificate": "certify.certificate",
    "certify": "certify.agreement",
    "Derivation": "derivation.steps",
    "derivation": "derivation.engine",
    "gram_dask": "interop.dask_array",
    "gram_matvec": "interop.product",
    "gram_to_zarr": "interop.zarr_gram",
}

__all__ = sorted([*_HOME, "__version__"])

# Names that need an optional package; `from kernalg import *` works without it.
_EXTRA = {"NetworkKernel": "interop.scikit_learn"}

# Six rooms bear the name of their main function (`ka.activation(...)` lives in kernalg/activation/). Python binds a
# subpackage to its parent when it is first imported; import them now (they are empty), and unbind them, so that the
# attribute is the function for good.
for _room in ("activation", "certify", "derivation", "design", "export", "spectrum"):
    import_module(f"kernalg.{_room}")
    del globals()[_room]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name) or _EXTRA.get(name)
    if home is None:
        raise AttributeError(f"module 'kernalg' has no attribute {name!r}")
    value = getattr(import_module(f"kernalg.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_EXTRA])


if TYPE_CHECKING:
    from kernalg.activation.activation import Activation, activation, activations, cross_dual
    from kernalg.activation.description import describe
    from kernalg.activation.dual import Dual
    from kernalg.activation.kernel_map import exp_normalized
    from kernalg.certify.agreement import certify
    from kernalg.certify.certificate import Certificate
    from kernalg.derivation.engine import derivation
    from kernalg.derivation.steps import Derivation
    from kernalg.design.closed_forms import ClosedForm
    from kernalg.design.designed import Design
    from kernalg.design.families import (
        ActivationFamily,
        activation_family,
        relu_cosine,
        relu_mix,
        sum_of_activations,
    )
    from kernalg.design.kernel_search import rows_on_sphere, search_kernel, search_kernel_on_sphere
    from kernalg.design.nonnegative_fit import NonnegativeFit, fit_nonnegative
    from kernalg.design.of_kernel import design
    from kernalg.design.operator_form import ntk_activation, ntk_activation_value
    from kernalg.design.parametric_fit import ActivationFit, fit_activation
    from kernalg.design.recognition import closed_forms, nngp_of_ntk
    from kernalg.design.searched_kernel import KernelSearch
    from kernalg.design.shallow import parameter_count, shallow
    from kernalg.design.signs import best_signs
    from kernalg.errors import (
        DomainError,
        FormulaError,
        InternalError,
        KernalgError,
        MissingExtra,
        NoClosedForm,
        PrecisionError,
    )
    from kernalg.expansion.conversions import convert_expansion
    from kernalg.expansion.hermite_series import HermiteSeries
    from kernalg.export.door import export
    from kernalg.finite.covariance import tangent_kernel_covariance
    from kernalg.finite.empirical import EmpiricalKernel, empirical_ntk
    from kernalg.finite.learning_rate import largest_stable_learning_rate
    from kernalg.finite.network import FiniteNetwork, finite_network
    from kernalg.finite.tails import tail_report
    from kernalg.finite.tangent import conjugate_kernel, tangent_kernel
    from kernalg.finite.training import TrainingRun, train
    from kernalg.finite.variance import kurtosis, tangent_kernel_variance
    from kernalg.formula import parse
    from kernalg.interop.dask_array import gram_dask
    from kernalg.interop.product import gram_matvec
    from kernalg.interop.scikit_learn import NetworkKernel
    from kernalg.interop.zarr_gram import gram_to_zarr
    from kernalg.learning.critical_level import CriticalLevel, critical_level, critical_level_of
    from kernalg.learning.eigenlearning import LearningCurve, learning_curve
    from kernalg.learning.estimators import RidgeEstimates, ridge_estimates
    from kernalg.learning.gradient_flow import GradientFlowCurve, gradient_flow_curve
    from kernalg.learning.large_regression import RidgeRegression, ridge_regression
    from kernalg.learning.optimal_ridge import OptimalRidge, noise_derivative, optimal_ridge, ridge_derivative
    from kernalg.learning.optimal_stopping import optimal_stopping
    from kernalg.learning.random_features import RandomFeaturesCurve, random_features_curve
    from kernalg.learning.regression import measured_curve_on_data
    from kernalg.learning.risks import level_risks, mode_risks, out_of_distribution_risk
    from kernalg.learning.simulation import Simulation
    from kernalg.learning.staircase import Staircase, staircase
    from kernalg.learning.symbolic import EigenlearningFormulas, critical_level_formulas, eigenlearning_formulas
    from kernalg.learning.targets import TargetPower, target_power
    from kernalg.learning.two_ridges import CrossRisk, cross_risk
    from kernalg.network.dot_product import dot_product_kernel
    from kernalg.network.kernel import Kernel
    from kernalg.network.layers import Dense
    from kernalg.network.network import Network, mlp, serial
    from kernalg.network.product_kernel import product_kernel
    from kernalg.network.profile import Profile
    from kernalg.network.radial_basis import rbf_kernel
    from kernalg.spectrum.asymptotics import eigenvalue_decay
    from kernalg.spectrum.closed_forms import eigenvalue_formula
    from kernalg.spectrum.eigenpairs import Eigenpairs, eigenpairs
    from kernalg.spectrum.empirical import empirical_spectrum
    from kernalg.spectrum.of_kernel import spectrum
    from kernalg.spectrum.spaces import Ball, Circle, GaussianInputs, Hypercube, ProductOfSpheres, Shells, Sphere
    from kernalg.spectrum.spectrum import Spectrum
    from kernalg.symbols import c, q1, q2, rho, x
