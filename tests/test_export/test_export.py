"""Exported text, run: compiled by the C compiler, imported by Python, against 30-digit values of the formula."""

import ctypes
import importlib.util
import itertools
import math
import shutil
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.special
import sympy as sp

import kernalg as ka
from kernalg.design.of_kernel import design
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.export.door import LANGUAGES, export

COMPILER = shutil.which("cc")
POINTS = [-37.5, -3.25, -1.0, -0.3, -1e-3, 1e-7, 0.125, 0.7, 2.5, 5.5, 40.25]
FORMULAS = [
    "x*(1+erf(x/sqrt(2)))/2", "erfi(x/20)", "dawson(2*x)", "x*dawson(x)/3", "2*Heaviside(x-1/2) - 1/3", "x/(1+exp(-x))",
    "Piecewise((x**2, x < -1), (exp(-x), x < 2), (3, True))", "log(1+exp(x))", "log(cosh(x))", "x*tanh(log(1+exp(x)))",
    "sqrt(2)*sin(6*x+pi/4)", "Abs(x)**Rational(5,2)", "Max(0,x)+exp(Min(0,x))-1", "Min(6, Max(0, x-1/3))", "sign",
    "sin(x)/(1+Abs(x))", "floor(x/2)", "erf(x)**2 - x/(3+x**2)", "2**Abs(x/8)", "atan(x)", "normal_cdf(x)*x**3", "7",
    "1/(1+x**2)**2", "x*floor(x)", "selu", "hard_swish", "soft_shrink", "mexican_hat",
]  # fmt: skip
NUMBERS = itertools.count()


def imported(text, tmp_path):
    """The module with this text."""
    path = tmp_path / f"exported{next(NUMBERS)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(texts, tmp_path):
    """One shared library of several C files."""
    if COMPILER is None:
        pytest.skip("no C compiler (cc) on this machine: the C text was not compiled")
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"exported{number}.c")
        paths[-1].write_text(text, encoding="utf-8")
    library = tmp_path / "exported.so"
    flags = ["-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *flags, "-o", library, *paths, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def c_function(library, name, arguments=1):
    function = library[name]
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * arguments
    return function


def exact(expr, at):
    return float(expr.subs(ka.x, sp.Rational(at)).evalf(40))


def close(value, truth):
    return math.isclose(value, truth, rel_tol=4e-14, abs_tol=2e-16)


def slope_of(phi):
    return phi.derivative().expr


def test_python_numpy_and_c_against_thirty_digits(tmp_path):
    phis = [ka.activation(formula) for formula in FORMULAS]
    library = compiled([export(phi, "c", name=f"f{k}") for k, phi in enumerate(phis)], tmp_path)
    for k, phi in enumerate(phis):
        plain, arrays = (imported(export(phi, language), tmp_path) for language in ("python", "numpy"))
        for expr, suffix in [(phi.expr, ""), (slope_of(phi), "_derivative")]:
            ways = [
                getattr(plain, f"phi{suffix}"),
                getattr(arrays, f"phi{suffix}"),
                c_function(library, f"f{k}{suffix}"),
            ]
            for at in POINTS:
                truth = exact(expr, at)
                # The formula as it stands: where it cancels, compared on the scale of 1.
                for way in ways:
                    value = float(way(at))
                    assert close(value, truth) or abs(value - truth) < 1e-14 * max(1, abs(at)), (phi, suffix, at)


def test_removable_singularities_and_overflow(tmp_path):
    sinc, silu, softplus = (
        imported(export(ka.activation(name), "numpy"), tmp_path) for name in ("sinc", "silu", "softplus")
    )
    assert sinc.phi([0.0, 2.5]).tolist() == [1.0, np.sin(2.5) / 2.5]
    assert (
        sinc.phi_derivative(0.0) == 0
        and abs(sinc.phi_derivative(2.5) - exact(slope_of(ka.activation("sinc")), 2.5)) < 1e-15
    )
    far = np.array([-800.0, 800.0])
    assert silu.phi(far).tolist() == [0, 800] and silu.phi_derivative(far).tolist() == [0, 1]
    assert softplus.phi(far).tolist() == [0, 800] and softplus.phi_derivative(far).tolist() == [0, 1]
    plain = imported(export(ka.activation("sigmoid"), "python"), tmp_path)
    assert plain.phi(-800.0) == 0 and plain.phi(800.0) == 1 and plain.phi_derivative(-800.0) == 0


@pytest.mark.parametrize(
    "formula", ["relu", "gelu", "step", "relu6", "softplus", "silu", "erfi(x/20)", "dawson", "sign"]
)
def test_nan_in_nan_out(formula, tmp_path):
    phi = ka.activation(formula)
    plain, arrays = (imported(export(phi, language), tmp_path) for language in ("python", "numpy"))
    ways = [plain.phi, arrays.phi]
    if formula in ("relu", "step", "dawson"):
        ways.append(c_function(compiled([export(phi, "c")], tmp_path), "phi"))
    assert all(np.isnan(way(np.nan)) for way in ways)


def test_dawson_far_out(tmp_path):
    phi = ka.activation("dawson")
    function = c_function(compiled([export(phi, "c")], tmp_path), "phi")
    plain = imported(export(phi, "python"), tmp_path).phi
    for at in (1e3, -1e7, 3e8, 1e300, math.inf):
        truth = 0.5 / at * (1 + 0.5 / at**2 if abs(at) < 1e100 else 1)
        assert math.isclose(function(at), truth, rel_tol=1e-12) and math.isclose(plain(at), truth, rel_tol=1e-12)


def series():
    return [
        HermiteSeries((0, 1, 0, "1/2")),
        HermiteSeries(tuple(sp.sqrt(sp.Rational(1, k + 1) ** 3) * (-1) ** (k // 2) for k in range(41)), "9/4"),
        HermiteSeries((3,)),
    ]


def test_hermite_series_against_exact_polynomials(tmp_path):
    library = compiled([export(phi, "c", name=f"s{k}") for k, phi in enumerate(series())], tmp_path)
    for k, phi in enumerate(series()):
        plain, arrays = (imported(export(phi, language), tmp_path) for language in ("python", "numpy"))
        for source, suffix in [(phi, ""), (phi.derivative(), "_derivative")]:
            for at in (-7.5, -0.3, 0.0, 1.25, 4.0):
                truth = exact(source.expr, at)
                scale = max(abs(truth), 1.0)
                assert abs(getattr(plain, f"phi{suffix}")(at) - truth) < 1e-13 * scale
                assert abs(getattr(arrays, f"phi{suffix}")([[at]])[0, 0] - truth) < 1e-13 * scale
                assert abs(c_function(library, f"s{k}{suffix}")(at) - truth) < 1e-13 * scale


FACTS = {"width": 7, "w_var": "3/2", "b_var": "1/4", "readout": (2, "1/9")}


def reference_network(phi, X, W, beta, V, gamma):
    """Written again from the definition."""
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    hidden = np.sqrt(1.5) * unit @ W.T + 0.5 * beta
    return np.sqrt(2 / 7) * phi(hidden) @ V.T + gamma / 3


@pytest.mark.parametrize("phi", [ka.activation("gelu"), HermiteSeries(("1/2", 1, 0, "1/3"), "7/4")])
def test_networks_agree_and_normalize_their_inputs(phi, tmp_path):
    module = imported(export(phi, "numpy", **FACTS), tmp_path)
    net = module.Network(3, outputs=2, seed=5)
    X = np.random.default_rng(0).standard_normal((4, 3)) * [[1], [5], [0.1], [2]]
    truth = reference_network(phi, X, net.W, net.beta, net.V, net.gamma)
    assert np.allclose(net(X), truth, rtol=1e-13) and np.allclose(net(7 * X), truth, rtol=1e-12)
    assert np.allclose((module.normalized(X) ** 2).sum(axis=1), 3)
    plain = imported(export(phi, "python", **FACTS), tmp_path)
    rows = net.W.tolist(), net.beta.tolist(), net.V[1].tolist(), float(net.gamma[1])
    assert [plain.network(rows, x) for x in X.tolist()] == pytest.approx(truth[:, 1].tolist(), rel=1e-12)
    assert len(plain.initial_parameters(3)[0]) == 7
    network = compiled([export(phi, "c", **FACTS)], tmp_path).network
    network.restype = ctypes.c_double
    pointers = [np.ascontiguousarray(a).ctypes.data_as(ctypes.c_void_p) for a in (net.W, net.beta, net.V[1])]
    for x, value in zip(X, truth[:, 1], strict=True):
        data = np.ascontiguousarray(x)
        given = network(
            data.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(3), *pointers, ctypes.c_double(net.gamma[1])
        )
        assert given == pytest.approx(value, rel=1e-12)


def test_designs_bring_their_network(tmp_path):
    made = design("exp(rho)", kind="ntk", w_var=2, b_var="1/4", readout=(2, "1/9"), degree=8)
    module = imported(export(made, "numpy", width=5), tmp_path)
    assert (module.SIGMA_W, module.SIGMA_B, module.SIGMA_V, module.SIGMA_C) == (2**0.5, 0.5, 2**0.5, 1 / 3)
    assert np.allclose(module.phi(POINTS[3:9]), made.series(POINTS[3:9]), rtol=1e-13)
    closed = design("exp(2*(rho-1))")
    assert "1.4142135623730951*sin(1.4142135623730951*x + 0.7853981633974483)" in export(closed, "c")
    with pytest.raises(DomainError, match="knows its variances"):
        export(closed, "c", width=5, w_var=1)
    with pytest.raises(DomainError, match="no activation has this kernel"):
        export(design("rho - rho**3"), "c")


def test_the_kernel_of_the_exported_network_is_the_designed_one(tmp_path):
    phi = HermiteSeries((0, "1/2", 0, "1/2"))
    module = imported(export(phi, "numpy", width=200_000), tmp_path)
    net = module.Network(2, seed=1)
    angle = 0.8
    first, second = module.phi(net.hidden(np.array([[1.0, 0.0], [3 * np.cos(angle), 3 * np.sin(angle)]])))
    products = first * second
    kernel = np.cos(angle) / 4 + np.cos(angle) ** 3 / 4
    assert abs(products.mean() - kernel) < 4 * products.std() / np.sqrt(len(products))


def kernels():
    return [
        ka.dot_product_kernel("exp(2*(rho-1)) + rho**3/3"),
        ka.mlp("relu", depth=4, w_var=2, b_var="1/100").ntk,
        ka.mlp("erf", depth=2, w_var=2, b_var="1/100").nngp.profile(),
    ]


def test_kernels_on_the_sphere(tmp_path):
    library = compiled([export(K, "c", name=f"k{i}") for i, K in enumerate(kernels())], tmp_path)
    for i, K in enumerate(kernels()):
        profile = K if isinstance(K, ka.Profile) else K.profile()
        arrays, plain = (imported(export(K, language), tmp_path) for language in ("numpy", "python"))
        for at in (-1, -0.5, 0, 0.3, 0.9, 1):
            truth = float(profile.value(sp.Rational(at), digits=25))
            tolerance = 1e-13 if abs(at) < 1 else 1e-7  # square roots of rounding errors at the ends
            for value in (arrays.kernel(at), plain.kernel(at), c_function(library, f"k{i}")(at)):
                assert abs(value - truth) < tolerance * max(1, abs(truth))
        X = np.array([[3.0, 4.0], [-0.1, 0.2]])
        rho = X[0] @ X[1] / np.linalg.norm(X[0]) / np.linalg.norm(X[1])
        assert arrays.gram(X, X[1:]).shape == (2, 1)
        assert arrays.gram(X, X)[0, 1] == pytest.approx(float(arrays.kernel(rho)), rel=1e-12)
    assert export(kernels()[1], "c").count("\n") < 60  # statements, not the expanded formula


def test_duals(tmp_path):
    dual = ka.activation("relu").dual
    truth = float(dual.value(2, 3, 1, digits=20))
    assert imported(export(dual, "numpy"), tmp_path).dual(2, 3, 1) == pytest.approx(truth, rel=1e-14)
    function = c_function(compiled([export(dual, "c")], tmp_path), "dual", 3)
    assert function(2, 3, 1) == pytest.approx(truth, rel=1e-14)
    with pytest.raises(DomainError, match="bivariate_normal_cdf has no counterpart in c"):
        export(ka.activation("Heaviside(x-1)").dual, "c")


def test_latex():
    assert export(ka.activation("relu"), "latex") == r"\varphi(x) = \max\left(0, x\right)"
    assert export(ka.dot_product_kernel("rho**2"), "latex") == r"K(\rho) = \rho^{2}"
    assert export(ka.activation("erf").dual, "latex").startswith("k(q_1, q_2, c) = ")
    text = export(HermiteSeries((0, "1/2"), 2), "latex", width=8, w_var=2)
    assert r"\left(\frac{1}{2}\right) h_{1}(x/\sqrt{2})" in text and "|x|^2 = d" in text


class StrictTensorFunctions(ModuleType):
    """Not PyTorch: NumPy under its names, wanting arrays and no numbers as PyTorch does. It tests formulas alone."""

    def __init__(self):
        super().__init__("torch")
        same = ["exp", "sin", "cos", "tanh", "abs", "log", "log1p", "expm1", "floor", "sqrt", "zeros_like", "ones_like"]
        same += ["where", "maximum", "minimum", "full_like"]
        functions = {name: getattr(np, name) for name in same}
        functions |= {"atan": np.arctan, "erf": scipy.special.erf, "erfc": scipy.special.erfc}
        for name, function in functions.items():
            setattr(self, name, self.strict(name, function))
        self.nn = SimpleNamespace(Module=object)

    @staticmethod
    def strict(name, function):
        def checked(*arguments):
            tensors = arguments[:1] if name == "full_like" else arguments
            assert all(isinstance(a, np.ndarray) for a in tensors), f"torch.{name} of a number"
            return np.asarray(function(*arguments))

        return checked


def test_formulas_in_the_torch_text_with_a_stand_in(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", StrictTensorFunctions())
    for formula in FORMULAS:
        phi = ka.activation(formula)
        module = imported(export(phi, "torch"), tmp_path)
        at = np.array(POINTS)
        with np.errstate(all="ignore"):
            values = module.Activation().forward(at)
        truth = [exact(phi.expr, p) for p in POINTS]
        assert values.shape == at.shape and np.allclose(values, truth, rtol=1e-13, atol=1e-14), formula


def test_torch_where_it_is_installed(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its text was not run with it")
    phi = HermiteSeries(("1/2", 1, 0, "1/3"), "7/4")
    net = imported(export(phi, "torch", **FACTS), tmp_path).Network(3, outputs=2).double()
    X = torch.randn(4, 3, dtype=torch.float64)
    W, beta, V, gamma = (p.detach().numpy() for p in net.parameters())
    assert np.allclose(net(X).detach().numpy(), reference_network(phi, X.numpy(), W, beta, V, gamma))
    net(X).sum().backward()
    for formula in FORMULAS:
        module = imported(export(ka.activation(formula), "torch"), tmp_path)
        at = torch.tensor(POINTS, dtype=torch.float64)
        assert np.allclose(module.Activation()(at).numpy(), [exact(ka.activation(formula).expr, p) for p in POINTS])


def test_jax_where_it_is_installed(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed: its text was not run")
    jax.config.update("jax_enable_x64", True)
    for formula in FORMULAS:
        phi = ka.activation(formula)
        module = imported(export(phi, "jax"), tmp_path)
        values = jax.jit(module.phi)(np.array(POINTS))
        assert np.allclose(values, [exact(phi.expr, p) for p in POINTS], rtol=1e-13, atol=1e-14), formula
        slopes = jax.vmap(jax.grad(module.phi))(np.array(POINTS))
        assert np.allclose(slopes, [exact(slope_of(phi), p) for p in POINTS], rtol=1e-12, atol=1e-13), formula
        assert module.phi(np.array([1, 2])).dtype == np.float64
        assert jax.grad(module.phi)(jax.numpy.float32(0.7)).dtype == np.float32
    phi = HermiteSeries(("1/2", 1, 0, "1/3"), "7/4")
    module = imported(export(phi, "jax", **FACTS), tmp_path)
    parameters = module.initial_parameters(jax.random.PRNGKey(0), 3, outputs=2)
    X = np.random.default_rng(0).standard_normal((4, 3))
    values = jax.jit(module.network)(parameters, X)
    assert np.allclose(
        values, reference_network(phi, X, *(np.asarray(parameters[k]) for k in ("W", "beta", "V", "gamma")))
    )


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language not in ("c", "latex")])
def test_text_compiles_and_repeats(language):
    for obj in [ka.activation("erfi(x/9)"), series()[1], kernels()[0]]:
        text = export(obj, language)
        compile(text, "exported", "exec")
        assert text == export(obj, language)
        assert all(len(line) < 400 for line in text.splitlines())
    compile(export(series()[1], language, width=5, w_var=2, b_var="1/4"), "exported", "exec")


a = sp.Symbol("a", real=True)
WORDS = ("for", "double", "np", "t3", "_x", "é", "a b", "sin", "", "x", "lambda", "match", "a\n", 3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((ka.activation("relu"), "fortran"), {}, "'python', 'numpy', 'c', 'torch', 'jax', 'latex'"),
        ((ka.activation(sp.sin(a * ka.x)), "c"), {}, "free parameters a"),
        ((ka.dot_product_kernel("rho"), "c"), {"width": 3}, "has no width"),
        ((ka.activation("relu"), "c"), {"w_var": 2}, "give its width"),
        ((ka.activation("relu"), "c"), {"width": 0}, "width=0"),
        ((ka.activation("relu"), "c"), {"width": 2, "w_var": 0}, "positive"),
        ((ka.activation("relu"), "c"), {"width": 2, "readout": 1}, "readout=1"),
        ((HermiteSeries((0, 1), 2), "numpy"), {"width": 2}, "must agree"),
        (("relu", "c"), {}, "not str"),
        *(((ka.activation("relu"), "c"), {"name": name}, "is no word") for name in WORDS),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, options, message):
    with pytest.raises(DomainError, match=message):
        export(*arguments, **options)


def test_names_of_the_user_do_not_reach_the_text():
    phi = ka.Activation(ka.x**2, name='*/ system("x") /*"""')
    assert all("system" not in export(phi, language) for language in LANGUAGES)


@pytest.mark.parametrize("formula", ["Abs(sin(x))", "gamma(x**2 + 1)"])
def test_without_a_formula_of_the_derivative_there_is_the_function_alone(formula, tmp_path):
    text = export(ka.activation(formula), "numpy")
    module = imported(text, tmp_path)
    assert "no formula of its derivative" in text and not hasattr(module, "phi_derivative")
    assert module.phi([2.5])[0] == pytest.approx(exact(ka.activation(formula).expr, 2.5), rel=1e-14)
