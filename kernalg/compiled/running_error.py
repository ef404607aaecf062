"""Frozen programs printed as float64 statements that carry a bound of their own rounding errors.

Every value v comes with e such that the error of v is at most about 2**-53 e (running error analysis: Higham, *Accuracy
and Stability of Numerical Algorithms*, section 3.3). The caller compares e with |v| and computes the value again in
double-double where too little is left, so no formula needs a hand-made form for the places where it cancels.

Few places remain, because the rational part of a formula (sums, products, quotients and square roots of the symbols,
which are exact) is carried in pairs: q1 q2 - c**2, (1 + q1)(1 + q2) - c**2 and the exponents, whose absolute error is
what counts, keep all their digits. An operation on pairs is off by 2**-103 at most, `_UNIT` in the units of e.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernalg.compiled.printers import float64_expression, reachable
from kernalg.compiled.source import Frozen, Node, double_double

_UNIT = repr(2.0**-50)
# Products below this have lost their low halves.
_TINY = 1e-290

# The error of f(z), given v = f(z) and the error r of z: its derivative times r, and a few units of |v|.
_ONE_ARGUMENT = {
    "exp": "{v} * (3.0 + {r})",
    "expm1": "2.0 * abs({v}) + (1.0 + abs({v})) * {r}",
    "log": "2.0 * abs({v}) + {r} / abs({z})",
    "log1p": "2.0 * abs({v}) + {r} / abs(1.0 + {z})",
    "sin": "2.0 * abs({v}) + {r}",
    "cos": "2.0 * abs({v}) + {r}",
    "sinh": "4.0 * abs({v}) + (1.0 + abs({v})) * {r}",
    "cosh": "{v} * (4.0 + {r})",
    # exp(z**2) >= 1 + z**2
    "erf": "2.0 * abs({v}) + 1.2 * {r} / (1.0 + {z} * {z})",
    "erfc": "{v} * (2.0 + {r} * (1.2 + 2.0 * abs({z})))",
    "normal_cdf": "{v} * (4.0 + {r} * (0.8 + abs({z})))",
}


def bounded_lines(
    frozen: Frozen, roots: Sequence[int], given: Mapping[int, str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Statements computing `roots`, and for each the names of the value and of the bound.

    Parameters
    ----------
    frozen, roots
        The program and the nodes wanted.
    given
        The symbols and the variables they are in; their values are taken as exact.
    """
    printer = _Printer(frozen, given)
    for i in reachable(frozen, roots, given):
        printer.statement(i)
    return printer.lines, [(printer.value[i], printer.rounded(i) or "0.0") for i in roots]


class _Printer:
    """For every node: the float, its low half (None: 0) and its error (None: 0); `rational` holds those in pairs."""

    def __init__(self, frozen: Frozen, given: Mapping[int, str]) -> None:
        self.frozen = frozen
        self.lines: list[str] = []
        self.value: dict[int, str] = dict(given)
        self.low: dict[int, str | None] = dict.fromkeys(given)
        self.error: dict[int, str | None] = dict.fromkeys(given)
        self.rational = set(given)

    # -- texts ------------------------------------------------------------------------------------

    def size(self, i: int) -> str:
        return self.value[i] if self.frozen.nonnegative[i] else f"abs({self.value[i]})"

    def rounded(self, i: int) -> str | None:
        """The error of the float alone, without its low half."""
        if self.low[i] is None:
            return self.error[i]
        return f"({self.error[i]} + {self.size(i)})" if self.error[i] else self.size(i)

    def own(self, i: int, in_pairs: bool) -> str | None:
        return self.error[i] if in_pairs else self.rounded(i)

    def pair(self, i: int) -> str:
        return f"{self.value[i]}, {self.low[i] or '0.0'}"

    def set(self, i: int, terms: Sequence[str | None], *, rational: bool = False) -> None:
        """Record node i, in v{i} and l{i} already, with the sum of `terms` as its error."""
        present = [term for term in terms if term]
        self.error[i] = f"e{i}" if present else None
        if present:
            self.lines.append(f"e{i} = {' + '.join(present)}")
        self.low[i] = f"l{i}" if rational else None
        if rational or not present:
            self.rational.add(i)

    # -- statements -------------------------------------------------------------------------------

    def statement(self, i: int) -> None:
        node = self.frozen.nodes[i]
        self.value[i] = f"v{i}"
        if node.op == "number":
            self._number(i, node)
        elif node.op in ("add", "mul", "div", "sqrt", "gap", "leg"):
            in_pairs = all(j in self.rational for j in node.args)
            getattr(self, f"_{node.op}")(i, node, in_pairs)
        elif node.op == "call":
            self._call(i, node)
        elif node.op == "moment":
            self._moment(i, node)
        else:
            self._choice(i, node)

    def _number(self, i: int, node: Node) -> None:
        high, low = double_double(node.value)
        self.value[i] = repr(high) if high >= 0 else f"({high!r})"
        self.low[i] = repr(low) if low else None
        self.error[i] = repr(abs(high) * 2.0**-53) if low else None
        self.rational.add(i)

    def _add(self, i: int, node: Node, in_pairs: bool) -> None:
        v = self.value
        sizes = v[i] if self.frozen.nonnegative[i] else f"({' + '.join(self.size(j) for j in node.args)})"
        if not in_pairs:
            self.lines.append(f"v{i} = {float64_expression(node, [v[j] for j in node.args])}")
            # The partial sums are no larger than the sum of the sizes; with two terms there are none.
            own = f"abs(v{i})" if len(node.args) == 2 else sizes
            self.set(i, [*(self.rounded(j) for j in node.args), own])
            return
        signed = [
            (v[j] if s > 0 else f"-{v[j]}", self.low[j] and (self.low[j] if s > 0 else f"-{self.low[j]}"))
            for s, j in zip(node.value, node.args, strict=True)
        ]
        (high, low), *rest = signed
        exact = len(rest) <= 1
        for other, other_low in rest:
            if low is None and other_low is None:
                self.lines.append(f"v{i}, l{i} = exact_sum({high}, {other})")
            else:
                exact = False
                self.lines.append(f"v{i}, l{i} = pair_add({high}, {low or '0.0'}, {other}, {other_low or '0.0'})")
            high, low = f"v{i}", f"l{i}"
        if not rest:
            self.lines.append(f"v{i}, l{i} = {high}, {low or '0.0'}")
        self.set(i, [*(self.error[j] for j in node.args), None if exact else f"{_UNIT} * {sizes}"], rational=True)

    def _mul(self, i: int, node: Node, in_pairs: bool) -> None:
        first, *rest = node.args
        exact = in_pairs and len(rest) == 1 and self.low[first] is None and self.low[rest[0]] is None
        if exact:
            self.lines.append(f"v{i}, l{i} = exact_product({self.value[first]}, {self.value[rest[0]]})")
        elif in_pairs:
            left = self.pair(first)
            for j in rest:
                self.lines.append(f"v{i}, l{i} = pair_mul({left}, {self.pair(j)})")
                left = f"v{i}, l{i}"
        else:
            self.lines.append(f"v{i} = {float64_expression(node, [self.value[j] for j in node.args])}")
        terms: list[str | None] = []
        for n, j in enumerate(node.args):
            own = self.own(j, in_pairs)
            others = [self.size(k) for m, k in enumerate(node.args) if m != n]
            terms.append(own and " * ".join([own, *others]))
        terms.append(None if exact else f"{_UNIT if in_pairs else float(len(rest))} * abs(v{i})")
        self.set(i, terms, rational=in_pairs)

    def _div(self, i: int, node: Node, in_pairs: bool) -> None:
        top, bottom = node.args
        if in_pairs:
            self.lines.append(f"v{i}, l{i} = pair_div({self.pair(top)}, {self.pair(bottom)})")
        else:
            self.lines.append(f"v{i} = {self.value[top]} / {self.value[bottom]}")
        above, below = (self.own(j, in_pairs) for j in node.args)
        parts = [part for part in (above, below and f"abs(v{i}) * {below}") if part]
        inherited = f"({' + '.join(parts)}) / {self.size(bottom)}" if parts else None
        self.set(i, [inherited, f"{_UNIT if in_pairs else '1.0'} * abs(v{i})"], rational=in_pairs)

    def _sqrt(self, i: int, node: Node, in_pairs: bool) -> None:
        (j,) = node.args
        own = self.own(j, in_pairs)
        if in_pairs:
            self.lines.append(f"v{i}, l{i} = pair_sqrt({self.pair(j)})")
        else:
            self.lines.append(f"v{i} = sqrt({self.value[j]})")
        unit = _UNIT if in_pairs else "1.0"
        self.set(i, [own and f"0.5 * {own} / v{i}", f"{unit} * v{i}"], rational=in_pairs)

    def _gap(self, i: int, node: Node, in_pairs: bool) -> None:
        """(m - n)(m + n) and, for a leg, its root; out of range it is NaN, and double-double takes two roots."""
        m, n = node.args
        unit = _UNIT if in_pairs else "1.0"
        if in_pairs:
            negative = f"-{self.value[n]}, {f'-{self.low[n]}' if self.low[n] else '0.0'}"
            self.lines += [
                f"d{i}, dl{i} = pair_add({self.pair(m)}, {negative})",
                f"s{i}, sl{i} = pair_add({self.pair(m)}, {self.pair(n)})",
                f"v{i}, l{i} = pair_mul(d{i}, dl{i}, s{i}, sl{i})",
            ]
        else:
            a, b = self.value[m], self.value[n]
            self.lines += [f"d{i} = {a} - {b}", f"s{i} = {a} + {b}", f"v{i} = d{i} * s{i}"]
        inherited = [self.own(j, in_pairs) for j in node.args]
        sizes = f"{unit} * ({self.size(m)} + {self.size(n)})"
        self.lines += [
            f"v{i} = v{i} if abs(v{i}) > {_TINY} else nan",
            f"e{i} = ({' + '.join([*filter(None, inherited), sizes])}) * (abs(d{i}) + abs(s{i})) + {unit} * abs(v{i})",
        ]
        terms = [f"e{i}"]
        if node.op == "leg":
            self.lines.append(f"v{i}, l{i} = pair_sqrt(v{i}, l{i})" if in_pairs else f"v{i} = sqrt(v{i})")
            terms = [f"0.5 * e{i} / v{i}", f"{unit} * v{i}"]
        self.set(i, terms, rational=in_pairs)

    _leg = _gap

    def _call(self, i: int, node: Node) -> None:
        name, args = node.value, node.args
        z = [self.value[j] for j in args]
        lows = [self.low[j] for j in args]
        errors = [self.error[j] or "0.0" for j in args]
        rounded = [self.rounded(j) or "0.0" for j in args]
        plain = f"v{i} = {name}({', '.join(z)})"
        match name:
            case "abs":
                self.lines.append(plain)
                if lows[0]:
                    self.lines.append(f"l{i} = {lows[0]} if {z[0]} >= 0.0 else -{lows[0]}")
                self.set(i, [self.error[args[0]]], rational=lows[0] is not None)
                return
            case "exp" | "expm1" | "log" if lows[0]:
                correction = {"expm1": f"(1.0 + v{i}) * {lows[0]}", "log": f"{lows[0]} / {z[0]}"}
                self.lines += (
                    [f"v{i} = pair_exp({z[0]}, {lows[0]})"] if name == "exp" else [plain, f"v{i} += {correction[name]}"]
                )
                bound = _ONE_ARGUMENT[name].format(v=f"v{i}", z=z[0], r=errors[0])
            case "exp_sinh" | "exp_cosh":
                self.lines.append(f"v{i} = pair_{name}({', '.join(self.pair(j) for j in args)})")
                odd = f" * (1.0 + 1.0 / abs({z[1]}))" if name == "exp_sinh" and self.error[args[1]] else ""
                bound = f"abs(v{i}) * (8.0 + {errors[0]} + {errors[1]}{odd})"
            case "atan2":
                self.lines.append(plain)
                turn = f"(abs({z[1]}) * {rounded[0]} + abs({z[0]}) * {rounded[1]})"
                bound = f"2.0 * abs(v{i}) + {turn} / ({z[0]} * {z[0]} + {z[1]} * {z[1]})"
            case "bivariate_normal_cdf":
                # Of a tail, the probability and its derivatives are below exp(-h**2/2); d/dr is d/d(angle).
                self.lines += [plain, f"t{i} = min({z[0]}, {z[1]}, 0.0)"]
                angle = f"0.16 * ({z[3]} * {rounded[2]} + abs({z[2]}) * {rounded[3]})"
                bound = f"exp(-0.5 * t{i} * t{i}) * (4.0 + 0.4 * ({rounded[0]} + {rounded[1]}) + {angle})"
            case "exp_normal_cdf":
                self.lines += [plain, f"v{i} += v{i} * ({lows[1] or '0.0'} if {z[2]} < 0.0 else {lows[0] or '0.0'})"]
                exponent = f"({errors[1]} if {z[2]} < 0.0 else {errors[0]})"
                bound = f"v{i} * (8.0 + {exponent} + {rounded[2]} / (1.0 + abs({z[2]})))"
            case "exp_bivariate_normal_cdf":
                self.lines.append(f"v{i}, t{i} = exp_bivariate_normal_parts({', '.join(z)})")
                moved = [f"{rounded[n]} / (1.0 + abs({z[n]}))" for n in range(4, 8) if self.rounded(args[n])]
                moved += [errors[n] for n in range(4) if self.error[args[n]]]
                bound = f"t{i} * ({' + '.join(['1.0', *moved])})"
            case _:
                self.lines.append(plain)
                bound = _ONE_ARGUMENT[name].format(v=f"v{i}", z=z[0], r=rounded[0])
        self.set(i, [bound])

    def _moment(self, i: int, node: Node) -> None:
        """E[u_+^n v_+^m], which falls to 0 like leg**(n + m + 1) as rho -> -1."""
        _, s, leg = (self.value[j] for j in node.args)
        moved = [self.rounded(j) or "0.0" for j in node.args]
        order = float(sum(node.value) + 1)
        self.lines.append(f"v{i} = {float64_expression(node, [self.value[j] for j in node.args])}")
        inherited = f"({moved[0]} + {moved[1]}) / {s} + {moved[2]} / {leg}"
        self.set(i, [f"v{i} * ({8.0 + 4.0 * order} + {order} * ({inherited}))"])

    def _choice(self, i: int, node: Node) -> None:
        """A branch is not trusted where the error of what decides it reaches over."""
        v = [self.value[j] for j in node.args]
        r = [self.rounded(j) or "0.0" for j in node.args]
        self.lines.append(f"v{i} = {float64_expression(node, v)}")
        inexact = [self.rounded(j) for j in node.args]
        match node.op:
            case "maximum" | "minimum":
                bound = f"max({r[0]}, {r[1]})" if any(inexact) else None
            case "sign" | "heaviside":
                bound = f"(inf if abs({v[0]}) <= 2.0**-53 * {r[0]} else 0.0)" if inexact[0] else None
            case _:
                bound = f"({r[2]} if {v[0]} {node.value} {v[1]} else {r[3]})" if inexact[2] or inexact[3] else None
                if inexact[0] or inexact[1]:
                    near = f"abs({v[0]} - {v[1]}) <= 2.0**-53 * ({r[0]} + {r[1]})"
                    bound = f"(inf if {near} else {bound or '0.0'})"
        self.set(i, [bound])
