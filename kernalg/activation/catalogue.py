"""Named activations: a table of formulas, never of kernels. The kernels are derived.

To add one, add a row: name, formula in x and its parameters, their default values and allowed ranges, what it is.
Rows without a closed form (tanh, softplus, floor, …) are welcome: their duals give certified digits and float64 arrays.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp

from kernalg.errors import DomainError, FormulaError
from kernalg.formula import exact_number, parse
from kernalg.symbols import x


class _Default(Enum):
    REQUIRED = "required"


REQUIRED = _Default.REQUIRED


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue.

    Parameters
    ----------
    formula : str or callable
        A text in x and the parameters, or a function of the parameters.
    summary : str
        What it is, in one line.
    parameters : mapping
        Name to default value; a parameter without a default is `REQUIRED`.
    allowed : mapping
        Name to "positive", "exponent", "degree", "power", "coefficients" or "numbers"; a parameter not named here is a
        real number.
    source : str
        Where its dual or the activation itself was published, if anywhere.
    """

    formula: str | Callable[..., sp.Expr]
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def _monomial(degree: int) -> sp.Expr:
    return x**degree


def _rectified_monomial(degree: int) -> sp.Expr:
    return sp.Heaviside(x) if degree == 0 else sp.Max(x, 0) ** degree


def _rectified_power(p: sp.Expr) -> sp.Expr:
    return sp.Max(x, 0) ** p if p.is_positive else _two_sided_power(p, sp.S.One, sp.S.Zero)


def _two_sided_power(p: sp.Expr, a: sp.Expr, b: sp.Expr) -> sp.Expr:
    return sp.Piecewise((a * x**p, x > 0), (b * (-x) ** p, True))


def _polynomial(coefficients: list[sp.Expr]) -> sp.Expr:
    return sp.Add(*(a * x**k for k, a in enumerate(coefficients)))


def _hermite(degree: int) -> sp.Expr:
    return sp.expand(sp.hermite_prob(degree, x)) / sp.sqrt(sp.factorial(degree))


def _sinc(a: sp.Expr) -> sp.Expr:
    return sp.Piecewise((sp.sin(a * x) / (a * x), sp.Ne(x, 0)), (1, True))


def _piecewise_constant(levels: list[sp.Expr], breakpoints: list[sp.Expr]) -> sp.Expr:
    """The leftmost level, and a step for each change of level."""
    _check_breakpoints("piecewise_constant", "levels", levels, breakpoints)
    jumps = zip(breakpoints, pairwise(levels), strict=True)
    return levels[0] + sp.Add(*((after - before) * sp.Heaviside(x - t) for t, (before, after) in jumps))


def _check_breakpoints(name: str, what: str, values: list[sp.Expr], breakpoints: list[sp.Expr]) -> None:
    if len(values) != len(breakpoints) + 1:
        raise DomainError(
            f"{name}: {len(values)} {what} and {len(breakpoints)} breakpoints; "
            f"give one of the {what} more than breakpoints"
        )
    if not all((right - left).is_positive for left, right in pairwise(breakpoints)):
        raise DomainError(f"{name}(breakpoints={breakpoints}): give them in increasing order, each once")


def _piecewise_linear(slopes: list[sp.Expr], breakpoints: list[sp.Expr], intercept: sp.Expr) -> sp.Expr:
    """The line of the leftmost slope through (0, intercept), and a ReLU for each change of slope."""
    _check_breakpoints("piecewise_linear", "slopes", slopes, breakpoints)
    kinks = zip(breakpoints, pairwise(slopes), strict=True)
    return intercept + slopes[0] * x + sp.Add(*((after - before) * sp.Max(x - t, 0) for t, (before, after) in kinks))


ENTRIES: dict[str, Entry] = {
    "identity": Entry("x", "the linear unit"),
    "step": Entry("Heaviside(x)", "Heaviside step, 1 for x > 0", source="Cho & Saul 2009"),
    "threshold": Entry("Heaviside(x - t)", "step at t", {"t": REQUIRED}),
    "quantiser": Entry(
        "Heaviside(x - t) - Heaviside(-x - t)", "-1, 0 or 1: sign(x) where |x| > t", {"t": "1/2"}, {"t": "positive"}
    ),
    "sign": Entry("sign(x)", "-1 or 1", source="Louart, Liao & Couillet 2018"),
    "relu": Entry("Max(x, 0)", "rectified linear unit", source="Cho & Saul 2009"),
    "leaky_relu": Entry(
        "Max(x, 0) + slope*Min(x, 0)",
        "ReLU with a slope on the left",
        {"slope": "1/100"},
        source="Tsuchida et al. 2018",
    ),
    "prelu": Entry(
        "Max(x, 0) + a*Min(x, 0)", "ReLU with a learned slope a on the left", {"a": "1/4"}, source="He et al. 2015"
    ),
    "abrelu": Entry("a*Min(x, 0) + b*Max(x, 0)", "slope a on the left, b on the right", {"a": REQUIRED, "b": REQUIRED}),
    "abs": Entry("Abs(x)", "absolute value", source="Louart, Liao & Couillet 2018"),
    "rectified_monomial": Entry(
        _rectified_monomial,
        "max(x, 0)^degree; degree 0 is the step",
        {"degree": 2},
        {"degree": "power"},
        "Cho & Saul 2009",
    ),
    "abs_power": Entry("Abs(x)**p", "|x|^p, real p > -1/2", {"p": REQUIRED}, {"p": "exponent"}),
    "signed_power": Entry("sign(x)*Abs(x)**p", "sign(x) |x|^p, real p > -1/2", {"p": REQUIRED}, {"p": "exponent"}),
    "rectified_power": Entry(
        _rectified_power, "x^p for x > 0, 0 for x < 0, real p > -1/2", {"p": REQUIRED}, {"p": "exponent"}
    ),
    "two_sided_power": Entry(
        _two_sided_power,
        "a x^p on the right, b |x|^p on the left, real p > -1/2",
        {"p": REQUIRED, "a": REQUIRED, "b": REQUIRED},
        {"p": "exponent"},
    ),
    "log_abs": Entry("log(Abs(x))", "logarithm of |x|"),
    "squared_relu": Entry("Max(x, 0)**2", "max(x, 0)^2", source="Cho & Saul 2009"),
    "signed_square": Entry("x*Abs(x)", "x |x|"),
    "monomial": Entry(_monomial, "x^degree", {"degree": REQUIRED}, {"degree": "power"}),
    "polynomial": Entry(
        _polynomial, "sum of coefficients[k] x^k", {"coefficients": REQUIRED}, {"coefficients": "coefficients"}
    ),
    "hermite": Entry(
        _hermite, "He_degree(x)/sqrt(degree!), orthonormal for N(0,1)", {"degree": REQUIRED}, {"degree": "degree"}
    ),
    "erf": Entry("a*erf(b*x + d) + c", "error function", {"a": 1, "b": 1, "c": 0, "d": 0}, source="Williams 1997"),
    "probit": Entry("normal_cdf(x)", "standard normal distribution function", source="Williams 1997"),
    "sigmoid_like": Entry(
        "erf(x/2.4020563531719796)/2 + 1/2", "error function closest to the logistic sigmoid", source="neural-tangents"
    ),
    "tanh_like": Entry(
        "erf(2*x/2.4020563531719796)",
        "2 sigmoid_like(2x) - 1, an error function close to tanh",
        source="neural-tangents",
    ),
    "erf_squared": Entry("erf(x)**2", "square of the error function; numeric"),
    "gelu": Entry(
        "x*normal_cdf(x/scale)", "x Phi(x/scale)", {"scale": 1}, {"scale": "positive"}, "Tsuchida et al. 2021"
    ),
    "smoothed_relu": Entry(
        "x*normal_cdf(x/scale) + scale*exp(-x**2/(2*scale**2))/sqrt(2*pi)",
        "ReLU averaged over Gaussian noise of standard deviation scale",
        {"scale": 1},
        {"scale": "positive"},
    ),
    "sin": Entry("a*sin(b*x + c)", "sine", {"a": 1, "b": 1, "c": 0}, source="Pearce et al. 2019"),
    "cos": Entry("a*cos(b*x + c)", "cosine", {"a": 1, "b": 1, "c": 0}, source="Pearce et al. 2019"),
    "rbf": Entry(
        "sqrt(2)*sin(sqrt(2*gamma)*x + pi/4)",
        "its dual is the Gaussian kernel exp(-gamma |x-x'|^2)",
        {"gamma": 1},
        {"gamma": "positive"},
        "Rahimi & Recht 2007",
    ),
    "exp": Entry("a*exp(b*x)", "exponential", {"a": 1, "b": 1}, source="Louart, Liao & Couillet 2018"),
    "sinh": Entry("sinh(x)", "hyperbolic sine"),
    "cosh": Entry("cosh(x)", "hyperbolic cosine"),
    "x_exp": Entry("x*exp(b*x)", "x exp(b x)", {"b": 1}),
    "x_sin": Entry("x*sin(a*x)", "x sin(a x)", {"a": 1}),
    "x_cos": Entry("x*cos(a*x)", "x cos(a x)", {"a": 1}),
    "sinc": Entry(_sinc, "sin(a x)/(a x)", {"a": 1}, {"a": "positive"}),
    "dawson": Entry("dawson(a*x)", "Dawson's function of a x", {"a": 1}, {"a": "positive"}),
    "gaussian": Entry("exp(-a*x**2)", "Gaussian bump", {"a": 1}, {"a": "positive"}, "Louart, Liao & Couillet 2018"),
    "gabor": Entry(
        "exp(-a*x**2)*sin(b*x + c)",
        "Gaussian window times sine; c = pi/2 for cosine",
        {"a": 1, "b": 1, "c": 0},
        {"a": "positive"},
        "neural-tangents",
    ),
    "x_gaussian": Entry("x*exp(-a*x**2)", "derivative of a Gaussian, up to a factor", {"a": "1/2"}, {"a": "positive"}),
    "mexican_hat": Entry("(1 - x**2)*exp(-x**2/2)", "negative second derivative of the Gaussian"),
    "snake": Entry("x + sin(a*x)**2/a", "x + sin^2(a x)/a", {"a": 1}, {"a": "positive"}, "Ziyin et al. 2020"),
    "hard_tanh": Entry("Max(-t, Min(t, x))", "x clipped to [-t, t]", {"t": 1}, {"t": "positive"}),
    "relu6": Entry("Min(Max(x, 0), 6)", "ReLU clipped at 6"),
    "clipped_relu": Entry("Min(Max(x, 0), t)", "x clipped to [0, t]", {"t": 1}, {"t": "positive"}),
    "shifted_relu": Entry("Max(x + b, 0)", "ReLU of x + b", {"b": REQUIRED}),
    "soft_shrink": Entry(
        "Max(x - t, 0) + Min(x + t, 0)", "sign(x) max(|x| - t, 0)", {"t": "1/2"}, {"t": "positive"}, "Donoho 1995"
    ),
    "hard_sigmoid": Entry("Max(0, Min(1, x/6 + 1/2))", "x/6 + 1/2 clipped to [0, 1]", source="Howard et al. 2019"),
    "hard_swish": Entry("x*Max(0, Min(1, x/6 + 1/2))", "x hard_sigmoid(x)", source="Howard et al. 2019"),
    "piecewise_linear": Entry(
        _piecewise_linear,
        "one slope more than breakpoints; the leftmost line passes through (0, intercept)",
        {"slopes": REQUIRED, "breakpoints": REQUIRED, "intercept": 0},
        {"slopes": "numbers", "breakpoints": "numbers"},
    ),
    "piecewise_constant": Entry(
        _piecewise_constant,
        "quantiser of any levels, one more than breakpoints",
        {"levels": REQUIRED, "breakpoints": REQUIRED},
        {"levels": "numbers", "breakpoints": "numbers"},
    ),
    "elu": Entry(
        "Piecewise((x, x > 0), (a*(exp(x) - 1), True))",
        "exponential linear unit",
        {"a": 1},
        source="Tsuchida et al. 2021",
    ),
    "celu": Entry(
        "Piecewise((x, x > 0), (a*(exp(x/a) - 1), True))",
        "ELU made continuously differentiable for every a",
        {"a": 1},
        {"a": "positive"},
        "Barron 2017",
    ),
    "selu": Entry(
        "lam*Piecewise((x, x > 0), (alpha*(exp(x) - 1), True))",
        "scaled ELU; the defaults keep mean 0 and variance 1",
        {"lam": "1.0507009873554805", "alpha": "1.6732632423543772"},
        source="Klambauer et al. 2017",
    ),
    # No closed form is known for the rows below; value, enclosure and arrays work.
    "floor": Entry(
        "step*floor(x/step)", "x rounded down to a multiple of step; numeric", {"step": 1}, {"step": "positive"}
    ),
    "round": Entry("step*round(x/step)", "nearest multiple of step; numeric", {"step": 1}, {"step": "positive"}),
    "sigmoid": Entry("1/(1 + exp(-x))", "logistic function; numeric"),
    "tanh": Entry("tanh(x)", "hyperbolic tangent; numeric"),
    "softplus": Entry("log(1 + exp(x))", "smooth ReLU; numeric", source="Dugas et al. 2001"),
    "silu": Entry("x/(1 + exp(-x))", "x times the logistic function; numeric", source="Elfwing, Uchibe & Doya 2018"),
    "swish": Entry(
        "x/(1 + exp(-b*x))",
        "x times the logistic function of b x; numeric",
        {"b": 1},
        {"b": "positive"},
        "Ramachandran, Zoph & Le 2017",
    ),
    "mish": Entry("x*tanh(log(1 + exp(x)))", "x tanh(softplus(x)); numeric", source="Misra 2020"),
    "arctan": Entry("atan(x)", "inverse tangent; numeric"),
    "softsign": Entry("x/(1 + Abs(x))", "x/(1 + |x|); numeric", source="Bergstra et al. 2009"),
    "log_cosh": Entry("log(cosh(x))", "integral of tanh; numeric"),
}


def describe(name: str) -> Entry:
    """The row of a name: formula, summary, parameters with their defaults, source.

    Raises
    ------
    FormulaError
        The name is not in the catalogue.

    Examples
    --------
    >>> row = describe("celu")
    >>> row.summary, dict(row.parameters), row.source
    ('ELU made continuously differentiable for every a', {'a': 1}, 'Barron 2017')
    """
    if name not in ENTRIES:
        raise unknown_name(name)
    return ENTRIES[name]


def build(name: str, given: Mapping[str, Any]) -> tuple[sp.Expr, str]:
    """Expression and display name of the entry with its parameters."""
    entry = ENTRIES[name]
    unknown = set(given) - set(entry.parameters)
    if unknown:
        known = ", ".join(entry.parameters) or "no parameters"
        raise DomainError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {known}")
    values = {}
    for key, default in entry.parameters.items():
        value = given.get(key, default)
        if value is REQUIRED:
            raise DomainError(f"{name} needs the parameter {key}: activation({name!r}, {key}=…)  ({entry.summary})")
        values[key] = _checked(name, key, value, entry.allowed.get(key, "real"))
    shown = ", ".join(f"{k}={values[k]}" for k in entry.parameters if k in given)
    title = f"{name}({shown})" if shown else name
    if callable(entry.formula):
        return entry.formula(**values), title
    symbols = {"x": x, **{k: sp.Dummy(k, real=True) for k in values}}
    expr = parse(entry.formula, symbols)
    return expr.subs({symbols[k]: v for k, v in values.items()}), title


_HIGHEST = {
    "degree": (60, "a closed form has that many powers of q1, q2 and c"),
    "power": (150, "beyond it the mean square leaves the range of float64"),
}


def _checked(name: str, key: str, value: Any, allowed: str) -> Any:
    if allowed in _HIGHEST:
        most, why = _HIGHEST[allowed]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | np.integer | sp.Integer)
            or not 0 <= int(value) <= most
        ):
            raise DomainError(f"{name}({key}={value!r}): {key} is an integer from 0 to {most} ({why})")
        return int(value)
    if allowed == "exponent":
        number = exact_number(value, key)
        if not (number + sp.S.Half).is_positive:
            raise DomainError(
                f"{name}({key}={value}): the exponent must exceed -1/2, or the mean square is infinite "
                "(declare a symbol positive=True)"
            )
        return number
    if allowed in ("coefficients", "numbers"):
        least, what = (1, ", constant term first") if allowed == "coefficients" else (0, "")
        if isinstance(value, str) or not hasattr(value, "__len__") or not least <= len(value) <= 61:
            raise DomainError(f"{name}({key}={value!r}): {key} is a list of {least} to 61 numbers{what}")
        return [exact_number(v, f"{key}[{i}]") for i, v in enumerate(value)]
    number = exact_number(value, key)
    if number.is_real is False or (allowed == "positive" and not number.is_positive):
        wanted = "positive (declare a symbol positive=True)" if allowed == "positive" else "real"
        raise DomainError(f"{name}({key}={value}): {key} must be {wanted}")
    return number


def unknown_name(name: str) -> FormulaError:
    near = difflib.get_close_matches(name, ENTRIES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return FormulaError(
        f"{name!r} is not in the catalogue: {hint}kernalg.activations() lists the names, and a formula in x works too, "
        "such as 'max(x,0)*exp(-x**2)'"
    )
