"""Frozen programs printed as statements, in float64 and in double-double.

* **float64 with guards**, for Gram matrices (`running_error` has the form for exact arguments). A sum whose terms may
  cancel carries the test ``|sum| < guard * size``. Its size is the sum of the sizes of its terms; the size of a product
  is the product of the sizes; of anything else, the absolute value. So rounding errors are a few ``2**-53 * size``, and
  while no test fires, no sum has lost more than ``log2(1/guard)`` bits: with ``guard = 2**-10`` a relative error of
  about ``2**-53 * 2**10 = 1.1e-13``. When one fires, the flag ``bad`` is set, and the caller computes that entry again.
* **double-double**, about 31 digits, for the entries that were flagged.

So no formula needs a hand-made form for the places where it cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernalg.compiled import rectified
from kernalg.compiled.source import Frozen, Node, double_double

# Products between these keep their low halves in double-double and their squares in float64.
_TINY, _HUGE = 1e-290, 1e300


def reachable(frozen: Frozen, roots: Sequence[int], given: Mapping[int, str]) -> list[int]:
    """The nodes that `roots` need, without those given, in order of evaluation."""
    seen: set[int] = set()
    stack = [i for i in roots if i not in given]
    while stack:
        i = stack.pop()
        if i not in seen:
            seen.add(i)
            stack.extend(j for j in frozen.nodes[i].args if j not in given)
    return sorted(seen)


def is_guarded(frozen: Frozen, i: int) -> bool:
    """Whether node i is a sum whose terms can cancel to something inaccurate."""
    node = frozen.nodes[i]
    if node.op != "add" or frozen.nonnegative[i]:
        return False
    return not all(s < 0 and frozen.nonnegative[j] for s, j in zip(node.value, node.args, strict=True))


def float64_lines(
    frozen: Frozen,
    roots: Sequence[int],
    given: Mapping[int, str],
    *,
    guard: float,
    scales: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Statements computing `roots` in float64 and the names they end in.

    Parameters
    ----------
    given
        Nodes that are already in variables, and those variables.
    guard
        The factor of the cancellation test.
    scales
        For named floors, the expression of the scale.

    Returns
    -------
    lines, names
        Every statement that tests ends up in the boolean ``bad``, which the caller initialises.
    """
    names = dict(given)
    lines: list[str] = []

    def inexact(i: int) -> bool:
        """Whether node i is, up to factors, a sum that may have cancelled a little."""
        node = frozen.nodes[i]
        if i in given or node.op not in ("add", "mul", "div", "gap"):
            return False
        return node.op == "gap" or is_guarded(frozen, i) or any(inexact(j) for j in node.args)

    def size(i: int) -> str:
        """What the error of node i is a few 2**-53 of."""
        node = frozen.nodes[i]
        if not inexact(i):
            return names[i] if frozen.nonnegative[i] else f"abs({names[i]})"
        if node.op == "gap":
            return f"s{i} * s{i}"
        if node.op == "add":
            return f"s{i}" if is_guarded(frozen, i) else f"({' + '.join(map(size, node.args))})"
        if node.op == "mul":
            return " * ".join(map(size, node.args))
        top, bottom = node.args
        # The relative error of a quotient is the sum of both; their product bounds it up to a factor 2.
        loss = f" * ({size(bottom)} / {names[bottom]})" if inexact(bottom) else ""
        return f"abs({size(top)} / {names[bottom]}{loss})"

    for i in reachable(frozen, roots, given):
        node = frozen.nodes[i]
        if node.op == "number":
            high = double_double(node.value)[0]
            names[i] = repr(high) if high >= 0 else f"({high!r})"
            continue
        args = [names[j] for j in node.args]
        names[i] = f"v{i}"
        if node.op in ("gap", "leg"):
            # The difference is small beside the sum of squares where either factor is; one test serves both. Where
            # the product leaves the range of float64, double-double takes over, which takes two roots.
            m, n = args
            lines += [
                f"v{i} = ({m} - {n}) * ({m} + {n})",
                f"s{i} = {m} + {n if frozen.nonnegative[node.args[1]] else f'abs({n})'}",
            ]
            tested = f"v{i}" if node.op == "leg" else f"abs(v{i})"
            lines.append(f"bad |= not ({guard!r} * (s{i} * s{i}) + {_TINY} <= {tested} < {_HUGE})")
            if node.op == "leg":
                lines.append(f"v{i} = sqrt(v{i})")
            continue
        lines.append(f"v{i} = {float64_expression(node, args)}")
        if is_guarded(frozen, i):
            lines.append(f"s{i} = {' + '.join(size(j) for j in node.args)}")
            floor = frozen.floors.get(i, 0)
            extra = "" if floor == 0 else f" + {(scales or {})[floor] if isinstance(floor, str) else float(floor)}"
            lines.append(f"bad |= abs(v{i}){extra} < {guard!r} * s{i}")
    return lines, [names[i] for i in roots]


def float64_expression(node: Node, args: list[str]) -> str:
    """The operation on float64 variables; not for a gap or a leg."""
    match node.op:
        case "add":
            text = "".join(f" {'+' if s > 0 else '-'} {a}" for s, a in zip(node.value, args, strict=True))
            return text[3:] if text.startswith(" + ") else text[1:].replace("- ", "-", 1)
        case "mul":
            return " * ".join(args)
        case "div":
            return f"{args[0]} / {args[1]}"
        case "sqrt":
            return f"sqrt({args[0]})"
        case "call" if node.value == "abs":
            return f"abs({args[0]})"
        case "call":
            return f"{node.value}({', '.join(args)})"
        case "moment":
            return f"{rectified.name(*node.value)}({', '.join(args)})"
        case "maximum" | "minimum":
            sign = ">" if node.op == "maximum" else "<"
            return f"{args[0]} if {args[0]} {sign} {args[1]} else {args[1]}"
        case "sign":
            return f"1.0 if {args[0]} > 0.0 else (-1.0 if {args[0]} < 0.0 else {args[0]})"
        case "heaviside":
            return f"1.0 if {args[0]} > 0.0 else (0.0 if {args[0]} < 0.0 else 0.5 + {args[0]})"
        case _:
            left, right, yes, no = args
            return f"{yes} if {left} {node.value} {right} else {no}"


def double_double_lines(frozen: Frozen, roots: Sequence[int], given: Mapping[int, str]) -> tuple[list[str], list[str]]:
    """Statements computing `roots` in double-double, and the names they end in.

    Variables are tuples (hi, lo). A number ``nudge`` must be defined: what a difference that vanishes is set to,
    relative to its terms.
    """
    names = dict(given)
    lines: list[str] = []
    quadrants: dict[tuple[int, ...], str] = {}
    for i in reachable(frozen, roots, given):
        node = frozen.nodes[i]
        if node.op == "number":
            names[i] = str(double_double(node.value))
            continue
        args = [names[j] for j in node.args]
        names[i] = f"v{i}"
        if node.op == "sqrt" and frozen.nodes[node.args[0]].op == "add":
            inner = frozen.nodes[node.args[0]]
            size = " + ".join(f"abs({names[j]}[0])" for j in inner.args)
            lines.append(f"v{i} = dd_sqrt(dd_clamp({args[0]}, {size}, nudge))")
        elif node.op in ("gap", "leg"):
            lines.append(f"v{i} = dd_{node.op}({args[0]}, {args[1]}, nudge)")
        elif node.op == "moment":
            n, m = node.value
            given_numbers = f"{double_double(rectified.tail_constant(n, m))}, {', '.join(args)}"
            if n != m:
                lines.append(f"v{i} = dd_rectified_moment({n}, {m}, {given_numbers})")
                continue
            if node.args not in quadrants:  # one arctangent for kernel and derivative
                quadrants[node.args] = f"p{i}"
                lines.append(f"p{i} = dd_quadrant({', '.join(args)})")
            lines.append(f"v{i} = dd_rectified_power({n}, {given_numbers}, {quadrants[node.args]})")
        else:
            lines.append(f"v{i} = {_double_double_expression(node, args)}")
    return lines, [names[i] for i in roots]


def _double_double_expression(node: Node, args: list[str]) -> str:
    match node.op:
        case "add":
            text = args[0] if node.value[0] > 0 else f"dd_neg({args[0]})"
            for s, a in zip(node.value[1:], args[1:], strict=True):
                text = f"dd_{'add' if s > 0 else 'sub'}({text}, {a})"
            return text
        case "mul":
            text = args[0]
            for a in args[1:]:
                text = f"dd_mul({text}, {a})"
            return text
        case "div":
            return f"dd_div({args[0]}, {args[1]})"
        case "sqrt":
            return f"dd_sqrt({args[0]})"
        case "call":
            return f"dd_{node.value}({', '.join(args)})"
        case "maximum" | "minimum":
            sign = ">" if node.op == "maximum" else "<"
            return f"{args[0]} if dd_sub({args[0]}, {args[1]})[0] {sign} 0.0 else {args[1]}"
        case "sign":
            return f"(1.0, 0.0) if {args[0]}[0] > 0.0 else ((-1.0, 0.0) if {args[0]}[0] < 0.0 else {args[0]})"
        case "heaviside":
            return f"(1.0, 0.0) if {args[0]}[0] > 0.0 else ((0.0, 0.0) if {args[0]}[0] < 0.0 else (0.5, 0.0))"
        case _:
            left, right, yes, no = args
            return f"{yes} if dd_sub({left}, {right})[0] {node.value} 0.0 else {no}"
