"""How each language spells a formula: names of functions, branches, and the special functions it lacks.

PyTorch and JAX have no Dawson function F, and C and Python no erfi either, so their texts bring it along, as Rybicki's
sum with step h = 1/4 (Computers in Physics 3 (1989) 85; error below exp(-(pi/2h)^2) = 7e-18): with
x = n_0 h + x', n_0 even,

    F(x) = pi^(-1/2) sum over odd n of exp(-(x' - n h)^2) / (n + n_0),

and near 0, where the sum cancels, the Taylor series. Then erfi(x) = 2 pi^(-1/2) exp(x^2) F(x).

The max of Python and the fmax of C lose NaN, so these texts bring their own, which pass it on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy as sp

from kernalg.symbols import dawson

_NAMED = (
    sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh, sp.asin, sp.acos, sp.atan, sp.asinh, sp.acosh,
    sp.atanh, sp.floor, sp.erf, sp.erfc,
)  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """One language.

    Attributes
    ----------
    functions : what a SymPy function of one or more arguments is called.
    branch : condition, value if it holds, value otherwise.
    both, either : logical and, or.
    power : base and exponent; `root` is the square root.
    whole : spelling of an integer.
    accurate : spelling of log1p and expm1.
    filled : a constant as an array of the shape of another variable.
    typed : whether a constant in a branch or a maximum must be such an array: PyTorch takes no numbers there, and JAX
        makes them arrays of its widest type.
    special : text of the functions the language lacks, put in front of formulas that use them.
    """

    name: str
    functions: dict[type[sp.Expr], str]
    branch: str
    larger: str
    smaller: str
    root: str
    both: str = "&"
    either: str = "|"
    power: str = "{0}**{1}"
    whole: str = "{0}"
    accurate: str = "{0}"
    nan: str = "nan"
    filled: str = "{0}"
    typed: bool = False
    special: dict[str, str] = field(default_factory=dict)


def _functions(prefix: str, **others: str) -> dict[type[sp.Expr], str]:
    table = {made: prefix + made.__name__ for made in _NAMED}
    own = {"Abs": sp.Abs, "sign": sp.sign, "gamma": sp.gamma, "erfi": sp.erfi, "dawson": dawson, "atan2": sp.atan2}
    known = own | {made.__name__: made for made in _NAMED}
    return table | {known[name]: spelled for name, spelled in others.items()}


_PYTHON_DAWSON = '''
def _dawson(x):
    """Dawson's function (Rybicki's sum)."""
    if abs(x) < 0.25:
        total = 1.0
        for k in range(12, 0, -1):
            total = 1.0 - 2.0 * x * x / (2 * k + 1) * total
        return x * total
    if not abs(x) < 1e8:
        return 0.5 / x
    center = 2.0 * math.floor(2.0 * x + 0.5)
    rest = x - 0.25 * center
    return sum(math.exp(-((rest - 0.25 * n) ** 2)) / (n + center) for n in range(-27, 28, 2)) / math.sqrt(math.pi)


def _erfi(x):
    return 2.0 / math.sqrt(math.pi) * _exp(x * x) * _dawson(x)
'''

_ARRAY_DAWSON = '''
def _dawson(x):
    """Dawson's function (Rybicki's sum)."""
    small = XX.where(XX.abs(x) < 0.25, x, XX.zeros_like(x))
    series = XX.ones_like(x)
    for k in range(12, 0, -1):
        series = 1.0 - 2.0 * small * small / (2 * k + 1) * series
    large = XX.where(XX.abs(x) < 0.25, XX.ones_like(x), x)
    center = 2.0 * XX.floor(2.0 * large + 0.5)
    rest = large - 0.25 * center
    total = sum(XX.exp(-((rest - 0.25 * n) ** 2)) / (n + center) for n in range(-27, 28, 2))
    total = XX.where(XX.abs(large) < 1e8, total * 0.5641895835477563, 0.5 / large)
    return XX.where(XX.abs(x) < 0.25, small * series, total)


def _erfi(x):
    return 1.1283791670955126 * XX.exp(x * x) * _dawson(x)
'''

_C_DAWSON = """
/* Dawson's function (Rybicki's sum). */
static double kernalg_dawson(double x) {
    if (fabs(x) < 0.25) {
        double total = 1.0;
        for (int k = 12; k > 0; k--) total = 1.0 - 2.0 * x * x / (2 * k + 1) * total;
        return x * total;
    }
    if (!(fabs(x) < 1e8)) return 0.5 / x;
    double center = 2.0 * floor(2.0 * x + 0.5), rest = x - 0.25 * center, total = 0.0;
    for (int n = -27; n < 28; n += 2) total += exp(-(rest - 0.25 * n) * (rest - 0.25 * n)) / (n + center);
    return 0.5641895835477563 * total;
}
"""

_C_ERFI = """
static double kernalg_erfi(double x) {
    return 1.1283791670955126 * exp(x * x) * kernalg_dawson(x);
}
"""

_PYTHON_EXP = '''
def _exp(x):
    """exp that ends in infinity instead of an exception."""
    return math.inf if x > 709.0 else math.exp(x)
'''

_PYTHON_EXTREMES = {
    "_larger": "def _larger(a, b):\n    return a if a > b or a != a else b\n",
    "_smaller": "def _smaller(a, b):\n    return a if a < b or a != a else b\n",
}

_C_EXTREMES = {
    "kernalg_larger": "static double kernalg_larger(double a, double b) { return a > b || a != a ? a : b; }\n",
    "kernalg_smaller": "static double kernalg_smaller(double a, double b) { return a < b || a != a ? a : b; }\n",
}


def _split(text: str) -> dict[str, str]:
    """The two functions of a special text; erfi needs Dawson's."""
    first, second = text.split("\n\ndef _erfi")
    return {"_dawson": first + "\n", "_erfi": "\ndef _erfi" + second}


PYTHON = Dialect(
    "python",
    _functions("math.", Abs="abs", exp="_exp", gamma="math.gamma", erfi="_erfi", dawson="_dawson", atan2="math.atan2"),
    branch="({1} if {0} else {2})",
    larger="_larger({0}, {1})",
    smaller="_smaller({0}, {1})",
    root="math.sqrt({0})",
    both="and",
    either="or",
    accurate="math.{0}",
    nan="math.nan",
    special={"_exp": _PYTHON_EXP} | _split(_PYTHON_DAWSON) | _PYTHON_EXTREMES,
)
NUMPY = Dialect(
    "numpy",
    _functions(
        "np.", Abs="np.abs", sign="np.sign", asin="np.arcsin", acos="np.arccos", atan="np.arctan", asinh="np.arcsinh",
        acosh="np.arccosh", atanh="np.arctanh", atan2="np.arctan2", erf="scipy.special.erf", erfc="scipy.special.erfc",
        erfi="scipy.special.erfi", dawson="scipy.special.dawsn", gamma="scipy.special.gamma",
    ),
    branch="np.where({0}, {1}, {2})",
    larger="np.maximum({0}, {1})",
    smaller="np.minimum({0}, {1})",
    root="np.sqrt({0})",
    accurate="np.{0}",
    nan="np.nan",
    filled="np.full_like({1}, {0})",
)  # fmt: skip
C = Dialect(
    "c",
    _functions("", Abs="fabs", gamma="tgamma", erfi="kernalg_erfi", dawson="kernalg_dawson", atan2="atan2"),
    branch="({0} ? {1} : {2})",
    larger="kernalg_larger({0}, {1})",
    smaller="kernalg_smaller({0}, {1})",
    root="sqrt({0})",
    both="&&",
    either="||",
    power="pow({0}, {1})",
    whole="{0}.0",
    nan="NAN",
    special={"kernalg_dawson": _C_DAWSON, "kernalg_erfi": _C_ERFI} | _C_EXTREMES,
)
JAX = Dialect(
    "jax",
    _functions(
        "jnp.", Abs="jnp.abs", sign="jnp.sign", asin="jnp.arcsin", acos="jnp.arccos", atan="jnp.arctan",
        asinh="jnp.arcsinh", acosh="jnp.arccosh", atanh="jnp.arctanh", atan2="jnp.arctan2",
        erf="jax.scipy.special.erf", erfc="jax.scipy.special.erfc", erfi="_erfi", dawson="_dawson",
    ),
    branch="jnp.where({0}, {1}, {2})",
    larger="jnp.maximum({0}, {1})",
    smaller="jnp.minimum({0}, {1})",
    root="jnp.sqrt({0})",
    accurate="jnp.{0}",
    nan="jnp.nan",
    filled="jnp.full_like({1}, {0})",
    typed=True,
    special=_split(_ARRAY_DAWSON.replace("XX", "jnp")),
)  # fmt: skip
TORCH = Dialect(
    "torch",
    _functions("torch.", Abs="torch.abs", sign="torch.sign", erfi="_erfi", dawson="_dawson", atan2="torch.atan2"),
    branch="torch.where({0}, {1}, {2})",
    larger="torch.maximum({0}, {1})",
    smaller="torch.minimum({0}, {1})",
    root="torch.sqrt({0})",
    accurate="torch.{0}",
    nan="float('nan')",
    filled="torch.full_like({1}, {0})",
    typed=True,
    special=_split(_ARRAY_DAWSON.replace("XX", "torch")),
)
