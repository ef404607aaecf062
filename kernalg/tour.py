"""The whole walk in one call: from an activation to predicted and measured learning curves, and a report.

On the sphere S^(d-1) the theory of learning curves is right to a few per cent. On real data (scikit-learn's 8 x 8
digits, which need no network) it is right while the sample is small against the data set, and the tour shows where
it stops.
"""

from __future__ import annotations

import importlib
import json
import math
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from kernalg.activation.activation import Activation, activation
from kernalg.derivation.engine import derivation
from kernalg.errors import DomainError, InternalError, MissingExtra, NoClosedForm, PrecisionError
from kernalg.findings import Agreement, Experiment, GramTiming, LayerRow, ProfileTable, Scale, Settings, Tour
from kernalg.formula import exact_number
from kernalg.learning.eigenlearning import learning_curve
from kernalg.learning.regression import measured_curve_on_data, measured_curve_on_sphere
from kernalg.network.network import Network, mlp
from kernalg.progress import Report, Stopwatch, reporter
from kernalg.report import write_report
from kernalg.spectrum.empirical import empirical_spectrum
from kernalg.spectrum.of_kernel import spectrum
from kernalg.spectrum.spaces import Sphere
from kernalg.spectrum.spectrum import Spectrum

_LARGEST = 1e100  # of K(x, x); squares of it must stay in float64
# Well-known functions outside the class of closed forms, and what to take instead.
_STAND_INS = {
    "tanh": "erf",
    "sigmoid": "sigmoid_like",
    "logistic": "sigmoid_like",
    "softplus": "smoothed_relu",
    "silu": "gelu",
    "swish": "gelu",
    "mish": "gelu",
}


def run(
    activation: str | sp.Expr | Activation = "relu",
    *,
    depth: int = 3,
    w_var: Any = 2,
    b_var: Any = 0,
    out: str | Path = "tour",
    seed: int = 0,
    progress: Report | bool | None = True,
    scale: Scale | None = None,
) -> Tour:
    """Walk from an activation to learning curves, and write a report.

    Parameters
    ----------
    activation : name, formula in x, SymPy expression or Activation
    depth : int
        Hidden layers.
    w_var, b_var : exact numbers
        Variances of the hidden layers; the readout is Dense(1, 0).
    out : path
        Folder for report.html and results.json. Nothing is overwritten: if it exists and is not empty, the next free
        one of out-2, out-3, … is taken.
    seed : int
        Of all random draws.
    progress : bool or callable
        True shows the steps on the standard error stream; a callable gets (done, total, text).
    scale : Scale, optional
        Sizes of the experiments.

    Raises
    ------
    NoClosedForm
        The activation's dual has no closed form; the message names a close one that has.
    DomainError
        A parameter is out of range, or `out` cannot be written.
    MissingExtra
        matplotlib or scikit-learn is not installed.
    """
    data_module = _required("sklearn.datasets", "scikit-learn")
    _required("matplotlib", "matplotlib")
    scale = Scale() if scale is None else scale
    phi = _closed(activation)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise DomainError(f"seed={seed!r}: an integer of at least 0 is needed")
    network = mlp(phi, depth, w_var, b_var)
    settings = Settings(
        activation=phi.name,
        formula=str(phi.expr),
        depth=int(depth),
        w_var=str(exact_number(w_var, "w_var")),
        b_var=str(exact_number(b_var, "b_var")),
        seed=seed,
    )
    _check_size(network)
    folder = _fresh_folder(Path(out))
    report = reporter(progress)
    watch = Stopwatch(9, report)
    try:
        with watch.step("deriving the dual"):
            steps = derivation(phi.dual)
        with watch.step("compiling the kernels"):
            start = time.perf_counter()
            network.ntk.nngp_and_ntk(np.ones((2, 2)))  # equal rows need all of the code
            compile_seconds = time.perf_counter() - start
        with watch.step("network kernels on the sphere"):
            table = _profile_table(network)
        with watch.step(f"{scale.certified_digits} certified digits"):
            agreements = (
                _dual_by_hermite_series(phi, scale.certified_digits),
                _ntk_by_taylor_series(network, scale.certified_digits),
            )
        X, Y = _digits(data_module, scale.digits_points)
        with watch.step("Gram matrices of the digits"):
            gram, timing = _gram(network, X, compile_seconds, scale, seed)
        with watch.step("spectrum on the sphere"):
            sphere_spectrum = spectrum(network.ntk, Sphere(scale.dimension), degree=scale.degree)
        with watch.step("learning curves on the sphere"):
            sphere = _on_sphere(network, sphere_spectrum, scale, seed, watch)
        with watch.step("spectrum of the digits"):
            digits_spectrum = empirical_spectrum(gram, y=Y)
        with watch.step("learning curves on the digits"):
            digits = _on_digits(gram, Y, digits_spectrum, scale, seed, watch)
        tour = Tour(
            settings, scale, phi, network, steps, table, agreements, timing, sphere, digits, dict(watch.seconds), folder
        )
        tour.results.write_text(json.dumps(_finite(tour.as_dict()), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        write_report(tour, tour.report)
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    finally:
        close = getattr(report, "close", None)
        if close:
            close()
    return tour


# -- steps ------------------------------------------------------------------------------------------------------------


def _closed(given: str | sp.Expr | Activation) -> Activation:
    """The activation, once it is known that its dual has a closed form."""
    advice = "the tour needs one. Close relatives that work: {}"
    if isinstance(given, str) and given.strip() in _STAND_INS:
        name = given.strip()
        raise NoClosedForm(f"{name} has no closed-form dual, and {advice.format(_STAND_INS[name])}")
    phi = activation(given)
    try:
        phi.dual.expr, phi.dual.derivative.expr  # noqa: B018
    except NoClosedForm as error:
        relative = "erf" if phi.expr.has(sp.tanh) else "erf, gelu, smoothed_relu, elu"
        raise NoClosedForm(f"{error}; {advice.format(relative)}") from error
    return phi


def _check_size(network: Network) -> None:
    """Refuse, before any work, a kernel that is infinite, beyond float64 or zero on the sphere |x|^2 = d."""
    advice = "take a smaller --w-var, fewer layers, or an activation that grows more slowly"
    try:
        size = float(network.ntk.value(1, 1, 1, digits=15))
    except PrecisionError as error:
        raise DomainError(f"this network has no finite kernel on the sphere |x|^2 = d: {advice}") from error
    if size > _LARGEST:
        raise DomainError(f"the kernel of this network is {size:.3g} on the sphere |x|^2 = d, too large: {advice}")
    if size == 0:
        raise DomainError("the kernel of this network is 0: its activation or weight variance vanishes")


def _profile_table(network: Network) -> ProfileTable:
    rows = []
    for end in range(2, len(network.layers), 2):
        before, after = Network(network.layers[: end - 1]), Network(network.layers[:end])
        at_one = float(after.nngp.value(1, 1, 1, digits=15))
        rows.append(
            LayerRow(
                layer=end // 2,
                variance=float(before.nngp.value(1, 1, 1, digits=15)),
                nngp=at_one,
                correlation_of_orthogonal=float(after.nngp.value(1, 1, 0, digits=15)) / at_one if at_one else math.nan,
                ntk=float(after.ntk.value(1, 1, 1, digits=15)),
            )
        )
    # Equal steps in the angle: the profile of a kinked activation is steep at both ends. Where inputs are nearly equal
    # or opposite some compiled formulas have no value; a picture does without.
    angle = np.append(np.linspace(np.pi - 0.03, 0.03, 60), 0)
    circle = math.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])
    on_circle = network.ntk.nngp_and_ntk(circle[-1:], circle)
    return ProfileTable(
        layers=tuple(rows),
        rho=np.cos(angle),
        nngp=on_circle[0][0],
        ntk=on_circle[1][0],
        nngp_taylor=network.nngp.profile().taylor(8),
        ntk_taylor=network.ntk.profile().taylor(8),
    )


def _dual_by_hermite_series(phi: Activation, digits: int) -> Agreement:
    r"""k(q1, q2, c) = sum_k a_k(q1) a_k(q2) rho^k; the tail is below rho^K sqrt(k(q1,q1,q1) k(q2,q2,q2))."""
    v1, v2, cov = sp.Rational(3, 2), sp.Rational(2, 3), sp.Rational(2, 5)
    rho = cov  # q1 q2 = 1
    certified = phi.dual.value(v1, v2, cov, digits=digits)
    order = math.ceil((digits + 4) / -math.log10(rho))
    left, right = phi.hermite(order, v1), phi.hermite(order, v2)
    terms = (sp.N(a * b, digits + 20) * rho**k for k, (a, b) in enumerate(zip(left, right, strict=True)))
    series = sp.N(sp.Add(*terms), digits)
    route = f"Hermite series, {order + 1} exact coefficients for either variance"
    return _agreement("dual k(q1, q2, c)", {"q1": "3/2", "q2": "2/3", "c": "2/5"}, certified, series, route, digits)


def _ntk_by_taylor_series(network: Network, digits: int) -> Agreement:
    """The coefficients are not negative and add up to K(1): the tail after N terms is below K(1) rho^N."""
    rho = sp.Rational(2, 5)
    certified = network.ntk.value(1, 1, rho, digits=digits)
    terms = math.ceil((digits + 4) / -math.log10(rho))
    coefficients = network.ntk.profile().taylor(terms, digits=digits + 10)
    series = sp.N(sp.Add(*(a * rho**k for k, a in enumerate(coefficients))), digits)
    route = f"Taylor series of the profile at 0, {terms} terms"
    return _agreement("NTK of the network", {"q1": "1", "q2": "1", "c": "2/5"}, certified, series, route, digits)


def _agreement(
    what: str, point: dict[str, str], certified: sp.Float, second: sp.Float, route: str, wanted: int
) -> Agreement:
    difference = abs(certified - second)
    scale = abs(certified) if certified != 0 else sp.S.One
    digits = wanted if difference == 0 else min(wanted, math.floor(-float(sp.log(difference / scale, 10))))
    if digits < wanted - 2:
        raise InternalError(
            f"{what} at {point}: {certified} in balls, but {second} by its {route} ({digits} digits agree)"
        )
    return Agreement(what, point, sp.sstr(certified, full_prec=True), sp.sstr(second, full_prec=True), route, digits)


def _digits(module: Any, points: int) -> tuple[np.ndarray, np.ndarray]:
    """8 x 8 images as centred rows with |x|^2 = d = 64; labels one-hot minus 1/10."""
    images, labels = module.load_digits(return_X_y=True)
    X = images - images.mean(axis=0)
    X *= np.sqrt(X.shape[1]) / np.linalg.norm(X, axis=1, keepdims=True)
    return X[:points], np.eye(10)[labels[:points]] - 0.1


def _gram(
    network: Network, X: np.ndarray, compile_seconds: float, scale: Scale, seed: int
) -> tuple[np.ndarray, GramTiming]:
    kernel = network.ntk
    out = np.empty((2, len(X), len(X)))
    both = _best(lambda: kernel.nngp_and_ntk(X, out=(out[0], out[1])))
    product = _best(lambda: np.matmul(X, X.T, out=out[0]))
    gram = out[1]
    pairs = np.random.default_rng(seed).integers(len(X), size=(scale.certified_entries, 2))
    pairs[0] = 0  # an entry of the diagonal is among them
    worst = max(abs(_exact_entry(network, X[i], X[j]) - float(gram[i, j])) for i, j in pairs)
    timing = GramTiming(
        len(X), X.shape[1], compile_seconds, both, product, len(pairs), float(worst / np.abs(gram).max())
    )
    return gram, timing


def _exact_entry(network: Network, left: np.ndarray, right: np.ndarray) -> sp.Float:
    """The kernel of two float64 rows taken as exact rationals."""
    a, b = ([Fraction(float(v)) for v in row] for row in (left, right))

    def mean_product(u: list[Fraction], v: list[Fraction]) -> Fraction:
        return sum((s * t for s, t in zip(u, v, strict=True)), Fraction(0)) / len(u)

    return network.ntk.value(mean_product(a, a), mean_product(b, b), mean_product(a, b), digits=30)


def _best(work: Any, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _on_sphere(network: Network, levels: Spectrum, scale: Scale, seed: int, watch: Stopwatch) -> Experiment:
    power = [0.0, 1.0, 1.0]
    ridge = _diagonal(network) / 1000
    measured = measured_curve_on_sphere(
        network.ntk, levels, power, dimension=scale.dimension, n=scale.sphere_n, ridge=ridge, noise=scale.noise,
        draws=scale.sphere_draws, seed=seed,
        progress=lambda done, total, text: watch.detail(f"{text} ({done}/{total})"),
    )  # fmt: skip
    predict = partial(learning_curve, levels, power, ridge=ridge, noise=scale.noise)
    return Experiment(levels, predict(n=_grid(scale.sphere_n)), predict(n=scale.sphere_n), measured)


def _on_digits(
    gram: np.ndarray, Y: np.ndarray, levels: Spectrum, scale: Scale, seed: int, watch: Stopwatch
) -> Experiment:
    ridge = float(np.diagonal(gram).mean()) / 40
    measured = measured_curve_on_data(
        gram, None, Y, n=scale.digits_n, ridge=ridge, draws=scale.digits_draws, seed=seed,
        progress=lambda done, total, text: watch.detail(f"{text} ({done}/{total})"),
    )  # fmt: skip
    predict = partial(learning_curve, levels, ridge=ridge)
    return Experiment(levels, predict(n=_grid(scale.digits_n)), predict(n=scale.digits_n), measured)


def _diagonal(network: Network) -> float:
    return float(network.ntk.value(1, 1, 1, digits=17))


def _grid(sizes: tuple[int, ...]) -> np.ndarray:
    return np.geomspace(min(sizes) / 1.3, max(sizes) * 1.3, 120)


# -- files ------------------------------------------------------------------------------------------------------------


def _fresh_folder(wanted: Path) -> Path:
    """`wanted` if it is new or empty, else the first free wanted-2, wanted-3, …; created."""
    number = 1
    while True:
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not any(folder.iterdir()):
                probe = folder / ".writable"
                probe.touch()
                probe.unlink()
                return folder
        except OSError as error:
            reason = error.strerror or str(error)
            raise DomainError(f"out={str(folder)!r} cannot be written ({reason}); name a folder of yours") from error
        number += 1


def _required(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"the tour needs {package}, which is not installed: python -m pip install 'kernalg[tour]'"
        ) from error


def _finite(tree: Any) -> Any:
    """Infinities and NaN as text: JSON has no other place for them."""
    if isinstance(tree, dict):
        return {k: _finite(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(v) for v in tree]
    return str(tree) if isinstance(tree, float) and not math.isfinite(tree) else tree
