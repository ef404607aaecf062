"""The text of a formula of a kernel: of rho on the sphere |x|^2 = d, or of a dual in (q1, q2, c).

The closed form of a deep kernel repeats its inner layers many times. Parts that occur twice become statements, so that
the text stays as short as the recursion; arguments of asin, acos and square roots are clamped, or rounding makes them
NaN on the diagonal.
"""

from __future__ import annotations

import sympy as sp

from kernalg.export.dialects import Dialect
from kernalg.export.formula_writer import FormulaWriter

_FLOATS = {
    "numpy": ["{0} = np.asarray({0}, dtype=float)"],
    "jax": ["{0} = jnp.asarray({0}, dtype=jnp.result_type({0}, 1.0))"],
}
_GRAM = '''

def gram(X, Y):
    """Matrix of K(x, y). Input normalization: rows of X (n, d) and Y (m, d) are scaled to |x|^2 = d here."""
    X, Y = (Z / XX.linalg.@SIZE@ for Z in (X, Y))
    return @NAME@(XX.clip(X @ Y.T, -1.0, 1.0))
'''
_GRAMS = {
    "numpy": _GRAM.replace("XX", "np").replace("@SIZE@", "norm(Z, axis=1, keepdims=True)"),
    "jax": _GRAM.replace("XX", "jnp").replace("@SIZE@", "norm(Z, axis=1, keepdims=True)"),
    "torch": _GRAM.replace("XX", "torch").replace("@SIZE@", "vector_norm(Z, dim=1, keepdim=True)"),
}


def kernel_text(expr: sp.Expr, arguments: tuple[sp.Symbol, ...], name: str, dialect: Dialect) -> tuple[str, str]:
    """Definitions that stand before the function, and the function."""
    writer = FormulaWriter(dialect, like=arguments[0].name, clamped=True)
    fresh = (sp.Symbol(f"t{k}", real=True) for k in range(10**6))
    found, (whole,) = sp.cse(expr, symbols=fresh)
    parts = []
    numbers: dict[sp.Expr, sp.Expr] = {}  # a constant is a literal where it stands
    for symbol, part in found:
        part = part.xreplace(numbers)
        if part.free_symbols:
            parts.append((symbol, part))
        else:
            numbers[symbol] = part
    whole = whole.xreplace(numbers)
    names = [argument.name for argument in arguments]
    if dialect.name == "c":
        declared = ", ".join(f"double {argument}" for argument in names)
        lines = [f"    const double {symbol} = {writer.text(part)};" for symbol, part in parts]
        body = "\n".join([f"double {name}({declared}) {{", *lines, f"    return {writer.text(whole)};", "}"])
    else:
        floats = _FLOATS.get(dialect.name, [])
        lines = [f"    {line.format(argument)}" for line in floats for argument in names]
        lines += [f"    {symbol} = {writer.text(part)}" for symbol, part in parts]
        body = "\n".join([f"def {name}({', '.join(names)}):", *lines, f"    return {writer.text(whole)}"])
    gram = _GRAMS.get(dialect.name, "") if len(names) == 1 else ""
    return writer.special(), body + "\n" + gram.replace("@NAME@", name)
