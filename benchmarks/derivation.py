"""Seconds to derive the dual of every row of the catalogue, and to know 50 digits of one value.

    python benchmarks/derivation.py

One core, nothing kept between rows but SymPy's own cache. "derive" is the dual and its derivative dual; "value" is
k(3/2, 2/3, -2/5) to 50 digits after that (for a row without closed form the whole of the certified quadrature).
Rows that need parameters get some. Prints Markdown, the slowest first, and the totals.
"""

from __future__ import annotations

import time

import sympy as sp

from kernalg.activation.activation import activation, activations
from kernalg.activation.catalogue import REQUIRED, describe
from kernalg.errors import NoClosedForm

GIVEN = {
    "threshold": {"t": "1/2"},
    "abrelu": {"a": "1/5", "b": 1},
    "monomial": {"degree": 5},
    "polynomial": {"coefficients": [1, "-1/2", 2]},
    "hermite": {"degree": 4},
    "shifted_relu": {"b": "1/2"},
    "piecewise_linear": {"slopes": ["1/2", 1, "-1"], "breakpoints": ["-1", "1/3"]},
    "piecewise_constant": {"levels": [-1, 0, 2], "breakpoints": ["-1/2", 1]},
}
SYMBOLIC = {
    "SELU, all parameters symbolic": ("lam*Piecewise((x, x > 0), (alpha*(exp(b*x) - 1), True))", "lam alpha b"),
    "clip(x, -t, t)": ("Max(-t, Min(t, x))", "t"),
    "exp(-a x^2) sin(b x)": ("exp(-a*x**2)*sin(b*x)", "a b"),
    "a erf(b x)": ("a*erf(b*x)", "a b"),
    "leaky ReLU, slope symbolic": ("Max(x, 0) + a*Min(x, 0)", "a"),
}
POINT = (sp.Rational(3, 2), sp.Rational(2, 3), sp.Rational(-2, 5))


def parameters(name: str) -> dict[str, object]:
    wanted = [key for key, default in describe(name).parameters.items() if default is REQUIRED]
    given = GIVEN.get(name, {})
    return {**{key: "3/2" for key in wanted if key not in given}, **given}


def main() -> None:
    rows = []
    for name in activations():
        start = time.perf_counter()
        phi = activation(name, **parameters(name))
        closed = True
        try:
            phi.dual.expr  # noqa: B018
            phi.dual.derivative.expr  # noqa: B018
        except NoClosedForm:
            closed = phi.dual.has_closed_form
        derived = time.perf_counter() - start
        start = time.perf_counter()
        phi.dual.value(*POINT, digits=50)
        rows.append((derived, time.perf_counter() - start, name, "yes" if closed else "no"))
    print("| activation | derive, s | value to 50 digits, s | closed form |\n|---|--:|--:|---|")
    for derived, valued, name, closed in sorted(rows, reverse=True):
        print(f"| {name} | {derived:.3f} | {valued:.3f} | {closed} |")
    with_form = [r for r in rows if r[3] == "yes"]
    slowest = max(r[0] for r in rows)
    print(f"\nWhole catalogue, {len(rows)} rows: {sum(r[0] for r in rows):.2f} s; slowest {slowest:.2f} s.")
    print(
        f"Values: slowest with a closed form {max(r[1] for r in with_form):.3f} s, "
        f"slowest without {max(r[1] for r in rows if r[3] == 'no'):.3f} s.\n"
    )
    print("| with symbols | derive, s | operations |\n|---|--:|--:|")
    for title, (text, names) in SYMBOLIC.items():
        start = time.perf_counter()
        used = {name: sp.Symbol(name, positive=True) for name in names.split()}
        dual = activation(text, **used).dual
        count = dual.expr.count_ops()
        print(f"| {title} | {time.perf_counter() - start:.3f} | {count} |")


if __name__ == "__main__":
    main()
