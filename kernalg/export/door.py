"""`export`: a design, an activation, a Hermite series, a dual or a kernel as the text of another program."""

from __future__ import annotations

import keyword
import re
from typing import Any

import sympy as sp

from kernalg import __version__
from kernalg.activation.activation import Activation
from kernalg.activation.dual import Dual
from kernalg.design.designed import Design
from kernalg.errors import DomainError
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.export.function_texts import DIALECTS, FunctionText, function_text
from kernalg.export.kernel_texts import kernel_text
from kernalg.export.network_texts import OneHiddenLayer, network_text, one_hidden_layer
from kernalg.network.profile import Profile
from kernalg.symbols import c, q1, q2, rho

LANGUAGES = ("python", "numpy", "c", "torch", "jax", "latex")

# Names a text cannot use: words of C and functions of math.h, and what the texts call their own things.
_TAKEN = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main
asin acos atan atan2 sin cos tan sinh cosh tanh asinh acosh atanh exp log sqrt pow floor erf erfc tgamma gamma fabs fmax
fmin expm1 log1p y0 y1 yn j0 j1 jn NAN WIDTH SIGMA_W SIGMA_B SIGMA_V SIGMA_C
x X Y d h rho q1 q2 c np jnp jax torch math random scipy network normalized Network Activation initial_parameters gram
"""


def export(
    obj: Any,
    language: str,
    *,
    width: int | None = None,
    w_var: Any = None,
    b_var: Any = None,
    readout: Any = None,
    name: str | None = None,
) -> str:
    r"""The source text of a function in another language: "python", "numpy", "c", "torch", "jax" or "latex".

    Parameters
    ----------
    obj : Design, Activation, HermiteSeries, Dual, Profile, or anything with a ``.profile()`` (a kernel)
        Of a `Design`, its activation. A function of x gets its derivative too (almost everywhere; left out where no
        formula of it is known). A Hermite series is summed by Clenshaw's recurrence, which is stable. A kernel is
        written on the sphere |x|^2 = d, as a function of rho = x.x'/d.
    language : str
        ``python`` uses the standard library and single numbers, ``numpy`` arrays (and SciPy for erf and its kin), ``c``
        is C99 and needs math.h, ``torch`` has an ``nn.Module``, ``jax`` works under jit, vmap and grad, with the exact
        derivative. ``latex`` is a formula. kernalg imports neither PyTorch nor JAX.
    width : int, optional
        With it the text contains a whole one-hidden-layer network of this width in the NTK parameterization. It scales
        its inputs to |x|^2 = d itself, and says so.
    w_var, b_var, readout
        Variances of the hidden layer (1 and 0 by default) and of the readout (the pair (1, 0)); with `width` only. A
        `Design` brings its own.
    name : str, optional
        What the function is called; ``phi``, ``kernel`` or ``dual`` by default.

    Returns
    -------
    str
        The same text for the same input.

    Raises
    ------
    DomainError
        An unknown language, free parameters, a function the language lacks, a name that is no identifier or is taken.
    NoClosedForm
        The kernel or dual has no formula.

    Notes
    -----
    Constants are correctly rounded to float64. The text evaluates the formula as it stands: where terms cancel, digits
    are lost that kernalg's own evaluation keeps.

    Examples
    --------
    >>> import kernalg as ka
    >>> print(export(ka.activation("erf"), "latex"))
    \varphi(x) = \operatorname{erf}{\left(x \right)}
    >>> "double phi(double x) {\n    return erf(x);\n}" in export(ka.activation("erf"), "c")
    True
    """
    if language not in LANGUAGES:
        raise DomainError(f"language = {language!r}: it is one of {', '.join(map(repr, LANGUAGES))}")
    if isinstance(obj, Design):
        if any(fact is not None for fact in (w_var, b_var, readout)):
            raise DomainError("a Design knows its variances: give the width alone, or export its .neuron")
        shape = obj.architecture
        if width is not None:
            w_var, b_var, readout = shape.w_var, shape.b_var, shape.readout
        obj = obj.neuron
    layer = _layer(width, w_var, b_var, readout)
    if isinstance(obj, Activation | HermiteSeries):
        if language == "latex":
            return _latex_of_function(obj, layer)
        text = function_text(obj, language)
        if layer is not None and isinstance(obj, HermiteSeries) and layer.w_var + layer.b_var != obj.variance:
            raise DomainError(
                f"the series is at variance {obj.variance}, the hidden layer has w_var + b_var = "
                f"{layer.w_var + layer.b_var}: they must agree (HermiteSeries(phi.at_variance(q), q) is the same "
                "function at variance q)"
            )
        return _program(text, _checked_name("phi" if name is None else name), layer, language)
    if layer is not None:
        raise DomainError(f"a network is made of an activation; {type(obj).__name__} has no width")
    if isinstance(obj, Dual):
        expr, called = obj.expr, "dual"
        says = "E[phi(u) phi(v)] of a Gaussian pair with variances q1, q2 and covariance c"
    else:
        expr, called = _profile(obj).expr, "kernel"
        says = "K(x, x') on the sphere |x|^2 = d, as a function of rho = x.x'/d"
    arguments = (q1, q2, c) if called == "dual" else (rho,)
    strangers = expr.free_symbols - set(arguments)
    if strangers and language != "latex":
        raise DomainError(
            f"the formula has the free parameters {', '.join(sorted(map(str, strangers)))}; give them values first"
        )
    if language == "latex":
        return (r"k(q_1, q_2, c) = " if called == "dual" else r"K(\rho) = ") + sp.latex(expr)
    before, function = kernel_text(expr, arguments, _checked_name(called if name is None else name), DIALECTS[language])
    return _head(says, language, before + function) + _joined(language, before, function)


def _program(text: FunctionText, name: str, layer: OneHiddenLayer | None, language: str) -> str:
    """The whole file of an activation."""
    says = text.says if text.derivative else f"{text.says}; no formula of its derivative is known here"
    network = "" if layer is None else network_text(layer, name, language)
    slope = None if text.derivative is None else f"{name}_derivative"
    if language == "c":
        parts = [_c_function(name, text.value)]
        if slope and text.derivative:
            parts.append(_c_function(slope, text.derivative))
    elif language == "torch":
        parts = [
            "class Activation(torch.nn.Module):\n"
            '    """phi, entry by entry; gradients are autograd\'s."""\n\n'
            f"    def forward(self, x):\n        return {name}(x)\n"
        ]
        parts.insert(0, f"def {name}(x):\n    return {text.value}\n")
        if slope:
            parts.insert(1, f"def {slope}(x):\n    return {text.derivative}\n")
    elif language == "jax":
        floats = "    x = jnp.asarray(x, dtype=jnp.result_type(x, 1.0))\n"
        parts = [f"def {name}(x):\n{floats}    return {text.value}\n"]
        if slope:
            parts = [
                f"@jax.custom_jvp\n{parts[0]}",
                f"def {slope}(x):\n{floats}    return {text.derivative}\n",
                f"@{name}.defjvp\ndef _{name}_jvp(primals, tangents):\n"
                f"    (x,), (dx,) = primals, tangents\n    return {name}(x), {slope}(x) * dx\n",
            ]
    else:
        quiet = language == "numpy"
        parts = [_function(name, text.value, quiet)]
        if slope and text.derivative:
            parts.append(_function(slope, text.derivative, quiet))
    body = _joined(language, text.before, *parts) + network
    return _head(says, language, body) + body


def _function(name: str, value: str, quiet: bool) -> str:
    """A Python function; of arrays, without warnings from branches that are not taken."""
    if not quiet:
        return f"def {name}(x):\n    return {value}\n"
    return (
        f"def {name}(x):\n    x = np.asarray(x, dtype=float)\n"
        f'    with np.errstate(all="ignore"):\n        return {value}\n'
    )


def _c_function(name: str, value: str) -> str:
    unused = "" if re.search(r"\bx\b", value) else "    (void)x;\n"
    return f"double {name}(double x) {{\n{unused}    return {value};\n}}\n"


def _joined(language: str, *parts: str) -> str:
    between = "\n" if language == "c" else "\n\n"
    return between.join(part.strip("\n") + "\n" for part in parts if part)


def _head(says: str, language: str, body: str) -> str:
    """Comment and imports, of what the body uses."""
    if language == "c":
        size = "#include <stddef.h>\n" if "size_t" in body else ""
        return (
            f"/* {says}.\n   C99, needs only math.h. Written by kernalg {__version__}. */\n#include <math.h>\n{size}\n"
        )
    modules = {
        "python": ["math", "random"],
        "numpy": ["numpy as np", "scipy.special"],
        "jax": ["jax", "jax.numpy as jnp", "numpy as np"],
        "torch": ["torch"],
    }[language]
    used = [m for m in modules if re.search(rf"\b{re.escape(m.split()[-1])}\.", body)]
    imports = "".join(f"import {module}\n" for module in used)
    return f"# {says}.\n# Written by kernalg {__version__}.\n{imports}\n\n"


def _latex_of_function(phi: Activation | HermiteSeries, layer: OneHiddenLayer | None) -> str:
    if isinstance(phi, Activation):
        text = rf"\varphi(x) = {sp.latex(phi.expr)}"
    else:
        argument = "x" if phi.variance == 1 else rf"x/\sqrt{{{sp.latex(phi.variance)}}}"
        terms = [(sp.latex(_short(b)), k) for k, b in enumerate(phi.coefficients) if b != 0]
        shown = [rf"\left({b}\right) h_{{{k}}}({argument})" for b, k in terms]
        text = rf"\varphi(x) = {' + '.join(shown) or '0'}, \qquad h_k = He_k/\sqrt{{k!}}"
    if layer is None:
        return text
    w, b, v, bias = map(sp.latex, (layer.w_var, layer.b_var, *layer.readout))
    return (
        rf"f(x) = \sqrt{{\tfrac{{{v}}}{{{layer.width}}}}} \sum_{{i=1}}^{{{layer.width}}} v_i\, \varphi(h_i)"
        rf" + \sqrt{{{bias}}}\, \gamma, \qquad h_i = \sqrt{{\tfrac{{{w}}}{{d}}}}\, w_i \cdot x"
        rf" + \sqrt{{{b}}}\, \beta_i, \qquad |x|^2 = d, \qquad {text}"
    )


def _layer(width: Any, w_var: Any, b_var: Any, readout: Any) -> OneHiddenLayer | None:
    facts = {"w_var": w_var, "b_var": b_var, "readout": readout}
    if width is not None:
        given = {key: value for key, value in facts.items() if value is not None}
        return one_hidden_layer(**({"w_var": 1, "b_var": 0, "readout": (1, 0)} | given), width=width)
    extra = [key for key, value in facts.items() if value is not None]
    if extra:
        raise DomainError(f"{', '.join(extra)} belong to a network: give its width too")
    return None


def _short(number: sp.Expr) -> sp.Expr:
    """What was a float as one, of 17 digits: a fraction over 10^30 says less."""
    return sp.Float(number, 17) if number.is_Rational and number.q > 10**15 else number


def _profile(obj: Any) -> Profile:
    found = obj if isinstance(obj, Profile) else obj.profile() if hasattr(obj, "profile") else None
    if not isinstance(found, Profile):
        advice = {
            "str": "; activation(…) makes an activation of a name or a formula",
            "Network": "; give its .ntk or .nngp",
        }
        raise DomainError(
            f"export({obj!r}): a Design, an Activation, a HermiteSeries, a Dual, a Profile or a kernel is needed, not "
            f"{type(obj).__name__}{advice.get(type(obj).__name__, '')}"
        )
    return found


def _checked_name(name: str) -> str:
    shape = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name)
    taken = shape and (keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in _TAKEN.split())
    if not shape or taken or re.fullmatch(r"t[0-9]+", name):
        raise DomainError(
            f"name = {name!r}: a name has letters, digits and underscores, starts with a letter, and is no word of C "
            "or Python nor a name the text uses itself"
        )
    return name
