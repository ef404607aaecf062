"""The text of one function of x and its derivative, in each language."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from kernalg.activation.activation import Activation
from kernalg.errors import DomainError, NoClosedForm
from kernalg.expansion.hermite_series import HermiteSeries
from kernalg.export.dialects import JAX, NUMPY, PYTHON, TORCH, C, Dialect
from kernalg.export.formula_writer import FormulaWriter
from kernalg.symbols import x

DIALECTS = {d.name: d for d in (PYTHON, NUMPY, C, TORCH, JAX)}

_CLENSHAW = {
    "python": '''
def _hermite_series(b, z):
    """sum of b[k] h_k(z), h_k = He_k/sqrt(k!), by Clenshaw's recurrence."""
    above = twice_above = 0.0
    for k in range(len(b) - 1, -1, -1):
        above, twice_above = b[k] + z * above / math.sqrt(k + 1) - math.sqrt((k + 1) / (k + 2)) * twice_above, above
    return above
''',
    "c": """
/* sum of b[k] h_k(z), k < terms, h_k = He_k/sqrt(k!), by Clenshaw's recurrence. */
static double kernalg_hermite_series(const double *b, int terms, double z) {
    double above = 0.0, twice_above = 0.0;
    for (int k = terms - 1; k >= 0; k--) {
        double here = b[k] + z * above / sqrt(k + 1.0) - sqrt((k + 1.0) / (k + 2.0)) * twice_above;
        twice_above = above;
        above = here;
    }
    return above;
}
""",
    "jax": '''
def _hermite_series(b, z):
    """sum of b[k] h_k(z), h_k = He_k/sqrt(k!), by Clenshaw's recurrence."""
    rows = np.array([(b[k], (k + 1) ** -0.5, ((k + 1) / (k + 2)) ** 0.5) for k in range(len(b) - 1, -1, -1)])

    def step(carry, row):
        above, twice_above = carry
        return (row[0] + z * above * row[1] - row[2] * twice_above, above), None

    start = (jnp.zeros_like(z), jnp.zeros_like(z))
    return jax.lax.scan(step, start, jnp.asarray(rows, dtype=z.dtype))[0][0]
''',
}
_ARRAYS = (
    _CLENSHAW["python"]
    .replace("above = twice_above = 0.0", "above = twice_above = XX.zeros_like(z)")
    .replace("math.sqrt(k + 1)", "(k + 1) ** 0.5")
    .replace("math.sqrt((k + 1) / (k + 2))", "((k + 1) / (k + 2)) ** 0.5")
)
_CLENSHAW["numpy"], _CLENSHAW["torch"] = _ARRAYS.replace("XX", "np"), _ARRAYS.replace("XX", "torch")


@dataclass(frozen=True, slots=True)
class FunctionText:
    """Definitions that stand before a function, the expressions of value and derivative (if any), and what it is."""

    before: str
    value: str
    derivative: str | None
    says: str


def function_text(phi: Activation | HermiteSeries, language: str) -> FunctionText:
    """The parts of the text of phi in a language of `DIALECTS`."""
    dialect = DIALECTS[language]
    return _of_series(phi, dialect) if isinstance(phi, HermiteSeries) else _of_activation(phi, dialect)


def _of_activation(phi: Activation, dialect: Dialect) -> FunctionText:
    if phi.parameters:
        raise DomainError(
            f"{phi.name} has the free parameters {', '.join(map(str, phi.parameters))}; a text for another program "
            "needs numbers: give them values first"
        )
    writer = FormulaWriter(dialect)
    value = writer.text(phi.expr)
    try:
        derivative = writer.text(_at_zero(phi.derivative().expr))
    except (NoClosedForm, DomainError):  # breakpoints, or a function of the derivative, that cannot be written
        derivative = None
    return FunctionText(writer.special(), value, derivative, f"phi(x) = {phi.expr}")


def _of_series(phi: HermiteSeries, dialect: Dialect) -> FunctionText:
    name = "kernalg_hermite_series" if dialect.name == "c" else "_hermite_series"
    scale = float(1 / sp.sqrt(phi.variance))
    argument = "x" if phi.variance == 1 else f"x * {scale!r}"
    slope = phi.derivative()
    tables, calls = [], []
    for table, series in (("COEFFICIENTS", phi), ("SLOPES", slope)):
        numbers = [repr(float(b)) for b in series.values]
        if dialect.name == "c":
            rows = ",\n    ".join(", ".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5))
            tables.append(f"static const double {table}[] = {{\n    {rows}}};")
            calls.append(f"{name}({table}, {len(numbers)}, {argument})")
        else:
            rows = "".join("    " + ", ".join(numbers[i : i + 5]) + ",\n" for i in range(0, len(numbers), 5))
            tables.append(f"_{table} = [\n{rows}]")
            calls.append(f"{name}(_{table}, {argument})")
    head = "\n/* b_k of the function and of its derivative */\n" if dialect.name == "c" else ""
    before = head + "\n".join(tables) + ("\n" if dialect.name == "c" else "\n\n") + _CLENSHAW[dialect.name]
    says = f"phi(x) = sum of b_k h_k(x/sqrt({phi.variance})), h_k = He_k/sqrt(k!), degree {phi.degree}"
    return FunctionText(before, calls[0], calls[1], says)


def _at_zero(expr: sp.Expr) -> sp.Expr:
    """The limit in place of 0/0 at x = 0."""
    if expr.subs(x, 0) is not sp.nan:
        return expr
    limit = sp.limit(expr, x, 0)
    return sp.Piecewise((limit, sp.Eq(x, 0)), (expr, True)) if limit.is_finite and limit.is_real else expr
