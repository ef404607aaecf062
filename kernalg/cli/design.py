"""`kernalg design`: the activation that realises a kernel."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kernalg.cli.command import Commands, command
from kernalg.cli.outputs import add_outputs, check_outputs, write_outputs
from kernalg.cli.waiting import waiting
from kernalg.errors import DomainError

if TYPE_CHECKING:
    from kernalg.design.designed import Design

INFEASIBLE = 3
_KINDS = ("nngp", "ntk")
_TRAINED = ("all", "readout", "hidden", "all but hidden biases")
_NETWORK: dict[str, Any] = {"depth": 3, "network_w_var": "2", "network_b_var": "0"}
_LANGUAGES = ("python", "numpy", "c", "torch", "jax", "latex")
_ROWS = 21
_LONGEST = 26  # characters of an exact number that is shown beside its decimals


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "design",
        "the activation that realises a kernel",
        f"""\
Print the activation of a network with one hidden layer, Dense(w_var, b_var), phi, Dense(V, C), whose kernel on the
sphere |x|^2 = d is the one you give: whether there is one, with the reason; its Hermite coefficients b_k, where
phi(sqrt(q) z) = sum b_k h_k(z), h_k = He_k/sqrt(k!), q = w_var + b_var; closed forms; what is lost by the degree.

KERNEL is a formula in rho, the cosine x.x'/d of two inputs. In its place there may be Taylor coefficients
(--coefficients), a deep network (--network), whose kernel one hidden layer can always have, or measured values
(--samples).

Exit status {INFEASIBLE}: no network has this kernel; the reason is printed, and no file is written.

examples:
  kernalg design "exp(2*(rho-1))" --kind ntk
  kernalg design "2*asin(3*rho/5)/pi" --signs +
  kernalg design "(1+rho)**3/8" --w-var 1/2 --b-var 1/2
  kernalg design --coefficients 1,0,1/2 --kind ntk --json design.json
  kernalg design --network relu --depth 4 --network-w-var 2 --network-b-var 1/100 --degree 100 --png mimic.png
  kernalg design "exp(2*(rho-1))" --export torch > activation.py
  kernalg design "rho**3" --b-var 1/10; echo $?""",
        run,
    )
    asked = parser.add_argument_group("the kernel")
    asked.add_argument("kernel", metavar="KERNEL", nargs="?", help='such as "exp(2*(rho-1))"')
    asked.add_argument("--coefficients", metavar="A,A,...", help="Taylor coefficients in rho: 1,0,1/2 is 1 + rho**2/2")
    asked.add_argument("--network", metavar="PHI", help="the kernel of a network of this activation, relu for example")
    asked.add_argument("--depth", type=int, metavar="L", help=f"its hidden layers (default: {_NETWORK['depth']})")
    asked.add_argument(
        "--network-w-var", metavar="V", help=f"its weight variance (default: {_NETWORK['network_w_var']})"
    )
    asked.add_argument("--network-b-var", metavar="V", help=f"its bias variance (default: {_NETWORK['network_b_var']})")
    asked.add_argument(
        "--samples",
        metavar="FILE",
        help="text with a line for each value: cosine, kernel and, if it is noisy, its standard error",
    )
    asked.add_argument(
        "--kind",
        choices=_KINDS,
        help="which kernel of the designed network it shall be, and of the network given (default: ntk for networks, "
        "nngp otherwise)",
    )
    layers = parser.add_argument_group("the designed network")
    layers.add_argument("--w-var", default="1", metavar="V", help="variance of the hidden weights (default: 1)")
    layers.add_argument("--b-var", default="0", metavar="V", help="variance of the hidden biases (default: 0)")
    layers.add_argument("--readout", default="1,0", metavar="V,C", help="variances of the last layer (default: 1,0)")
    layers.add_argument(
        "--trained", choices=_TRAINED, default="all", help="what the tangent kernel counts (default: all)"
    )
    answer = parser.add_argument_group("the activation")
    answer.add_argument(
        "--signs",
        default="auto",
        metavar="S",
        help='of the Hermite coefficients, on which the kernel does not depend: auto, a pattern such as "++--", '
        '"least variance" or "least growth" (default: auto, the mildest that is known); one that begins with - is '
        "written --signs=-+",
    )
    answer.add_argument(
        "--degree", type=int, metavar="M", help="of the polynomial (default: what the tolerance asks for, at most 60)"
    )
    answer.add_argument(
        "--tolerance", type=float, default=1e-12, metavar="T", help="relative to the kernel at 1 (default: 1e-12)"
    )
    answer.add_argument("--digits", type=int, default=30, metavar="N", help="of inexact coefficients (default: 30)")
    counts = parser.add_argument_group("sizes")
    counts.add_argument(
        "--inputs",
        type=int,
        metavar="D",
        help="for --network: inputs of both networks, to count parameters (default: 784)",
    )
    counts.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="for --network: width of both networks, to count parameters (default: 1024); for --export: the "
        "whole network of this width, not the activation alone",
    )
    parser.add_argument_group("program").add_argument(
        "--export",
        choices=_LANGUAGES,
        help="the activation as source text on the standard output, in the place of the table",
    )
    add_outputs(parser, "the activation, the kernel asked for and achieved, and the coefficients")


def run(arguments: argparse.Namespace) -> int:
    from kernalg.design.of_kernel import design

    check_outputs(arguments)
    taken = [f"--{form} -" for form in ("csv", "json", "png") if getattr(arguments, form) == "-"]
    if arguments.export and taken:
        raise DomainError(f"--export and {taken[0]} would both go to the standard output: name a file for one of them")
    kernel, kind, words, net = _question(arguments)
    samples = {} if arguments.samples is None else _samples(arguments.samples)
    kernel = samples.pop("values", kernel)
    with waiting("designing the activation", arguments.progress):
        d = design(
            kernel,
            kind,
            arguments.w_var,
            arguments.b_var,
            _readout(arguments.readout),
            arguments.trained,
            signs=arguments.signs,
            degree=arguments.degree,
            tolerance=arguments.tolerance,
            digits=arguments.digits,
            **samples,
        )
    if d.feasible is False:
        lines = _heading(d, words)
        if d.certificate.largest_b_var is None:
            lines.append("the nearest kernel that a network has: fit_nonnegative, in Python")
        print("\n".join(lines), file=sys.stderr if taken or arguments.export else sys.stdout)
        return INFEASIBLE
    for warning in _warnings(d):
        print(f"kernalg: warning: {warning}", file=sys.stderr)
    write_outputs(
        arguments,
        table=lambda: _program(d, arguments) if arguments.export else _table(d, words, net, arguments),
        rows=lambda: _rows(d),
        json=d.to_json,
        png=lambda: _picture(d),
    )
    return 0


def _question(arguments: argparse.Namespace) -> tuple[Any, str, str, Any]:
    """The kernel that was asked for, which kernel it shall be, what it is in words, and the network it is of."""
    ways = {"KERNEL": arguments.kernel} | {
        f"--{name}": getattr(arguments, name) for name in ("coefficients", "network", "samples")
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        raise DomainError(
            f'{" and ".join(given) or "no kernel"} given: give a formula in rho, such as "exp(2*(rho-1))", or '
            "--coefficients 1,0,1/2, or --network relu, or --samples FILE"
        )
    if arguments.network is None:
        for name in (*_NETWORK, "inputs", *([] if arguments.export else ["width"])):
            if getattr(arguments, name) is not None:
                raise DomainError(f"--{name.replace('_', '-')} is for a kernel given by --network: leave it out")
        if arguments.coefficients is not None:
            words = f"the kernel with the Taylor coefficients {arguments.coefficients}"
            return _numbers(arguments.coefficients), arguments.kind or "nngp", words, None
        if arguments.samples is not None:
            return None, arguments.kind or "nngp", f"the kernel sampled in {arguments.samples}", None
        return arguments.kernel, arguments.kind or "nngp", f"the kernel {arguments.kernel}", None
    from kernalg.network.network import mlp

    depth, w_var, b_var = (d if (v := getattr(arguments, name)) is None else v for name, d in _NETWORK.items())
    net = mlp(arguments.network, depth=depth, w_var=w_var, b_var=b_var)
    kind = arguments.kind or "ntk"
    words = (
        f"the {kind.upper()} of {arguments.network}, {depth} hidden layer{'s' * (depth != 1)}, w_var {w_var}, b_var "
        f"{b_var}"
    )
    return (net.ntk if kind == "ntk" else net.nngp), kind, words, net


def _numbers(text: str) -> list[Any]:
    from kernalg.formula import exact_number

    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise DomainError(
            f"--coefficients {text!r}: a number is missing; give them all, with commas between, as in 1,0,1/2"
        )
    return [exact_number(item, f"--coefficients, a_{k}") for k, item in enumerate(items)]


def _samples(name: str) -> dict[str, list[float]]:
    """Cosines, values and, if there is a third column, standard errors."""
    from pathlib import Path

    try:
        lines = Path(name).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DomainError(f"--samples {name} cannot be read ({error}); give a file of text") from error
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        cells = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            if rows:
                raise DomainError(f"--samples {name}, line {number}: {line!r} does not consist of numbers") from None
            continue  # a header
        if row:
            rows.append(row)
        if row and (len(row) not in (2, 3) or len(row) != len(rows[0])):
            raise DomainError(
                f"--samples {name}, line {number}: {len(row)} numbers; every line has a cosine, a value and, if any "
                "line does, a standard error"
            )
    if not rows:
        raise DomainError(f"--samples {name} holds no numbers; write a line for each value: cosine, kernel")
    names = ("cosines", "values", "standard_errors")
    return {key: list(column) for key, column in zip(names, zip(*rows, strict=True), strict=False)}


def _readout(text: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2:
        raise DomainError(f"--readout {text!r}: the variances of weights and bias are needed, as in 1,0")
    return parts[0], parts[1]


def _warnings(d: Design) -> list[str]:
    """What a user of the activation should know before anything else."""
    found = []
    if d.feasible is None:
        found.append(d.certificate.reason)
    asked = d.question["tolerance"] * float(d.target.profile.value(1, 15))
    if d.question["degree"] is None and d.closed_form is None and not d.complete and d.error.kernel > asked:
        found.append(
            f"the polynomial of degree {d.degree} misses the kernel by up to {d.error.kernel:.2g}, and a relative "
            f"tolerance of {d.question['tolerance']:g} was asked for; give --degree, or --tolerance"
        )
    if d.tails.heavy:
        found.append(f"{d.tails.reason} ({'--signs' if d.signs == '+' or d.closed_form else '--degree'})")
    return found


def _program(d: Design, arguments: argparse.Namespace) -> str:
    from kernalg.export.door import export

    return export(d, arguments.export, width=arguments.width).rstrip("\n")


def _heading(d: Design, words: str) -> list[str]:
    return [words, f"as the {d.architecture!r}", repr(d.certificate)]


def _table(d: Design, words: str, net: Any, arguments: argparse.Namespace) -> str:
    from sympy import sstr

    from kernalg.spectrum.tables import text_table

    lines = _heading(d, words)
    if d.closed_form is not None:
        lines += [f"phi(x) = {sstr(d.activation.expr)}", f"  Hermite signs {d.signs}; {d.closed_form.growth}"]
    else:
        scale = "x" if d.architecture.variance == 1 else f"x/sqrt({d.architecture.variance})"
        lines.append(f"phi(x) = sum b_k h_k({scale}), degree {d.degree}, Hermite signs {d.signs}")
        if d.averaged is not None:
            lines.append(f"  exactly: the average (1 + N)^(-1/2) of {_in_x(d, d.averaged.activation)}")
    cells = [
        [str(k), *(cell for value in pair for cell in _cells(value))]
        for k, pair in enumerate(zip(d.kernel_coefficients, d.coefficients, strict=True))
    ]
    columns = ["k", "a_k", "", "b_k", ""]
    used = [i for i in range(len(columns)) if i % 2 == 1 or any(row[i] for row in cells) or i == 0]
    lines.append(text_table([columns[i] for i in used], [[row[i] for i in used] for row in cells], shown=_ROWS))
    if d.architecture.freezes_biases:
        lines.append("  a_k are those of the mean of the kernel over radii, which frozen hidden biases ask for")
    lines.append(f"error: {_error(d)}")
    if d.closed_forms:
        lines.append(f"closed forms with this kernel ({'proved' if d.closed_forms[0].proved else 'not proved'}):")
        forms = [[_in_x(d, form.activation), form.signs, str(form.growth)] for form in d.closed_forms]
        widths = [max(len(row[i]) for row in forms) for i in range(3)]
        lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in forms]
    if net is not None:
        lines.append(_counts(d, net, arguments))
    return "\n".join(lines)


def _cells(value: Any) -> tuple[str, str]:
    """A number in decimals, and exactly where that is short and says more."""
    decimals = f"{float(value):.12g}"
    exact = "" if value.is_Float or value.is_Integer else str(value)
    return decimals, exact if len(exact) <= _LONGEST else ""


def _error(d: Design) -> str:
    error = d.error
    low, high = error.radius
    range_of_norms = f"within {100 * error.tolerance:g} % of K(1) for norms of {low:.4f} to {high:.4f} times sqrt(d)"
    if d.closed_form is not None or d.complete:
        return f"none on the sphere; {range_of_norms}"
    kind = "at most" if error.proved else "about"
    return f"kernel {kind} {error.kernel:.2g}, activation {kind} {error.activation:.2g} (L2); {range_of_norms}"


def _in_x(d: Design, expr: Any) -> str:
    from sympy import sqrt, sstr

    from kernalg.symbols import x

    return str(sstr(expr.subs(x, x / sqrt(d.architecture.variance))))


def _counts(d: Design, net: Any, arguments: argparse.Namespace) -> str:
    from kernalg.design.shallow import parameter_count

    inputs = 784 if arguments.inputs is None else arguments.inputs
    width = 1024 if arguments.width is None else arguments.width
    deep = parameter_count(net, inputs=inputs, width=width)
    one = parameter_count(d.network, inputs=inputs, width=width)
    return f"parameters at {inputs} inputs and width {width}: {deep} of the network given, {one} of one hidden layer"


def _rows(d: Design) -> tuple[list[str], list[tuple[Any, ...]]]:
    from sympy import sstr

    columns = ["k", "a", "b", "a_exact", "b_exact"]
    pairs = zip(d.kernel_coefficients, d.coefficients, strict=True)
    return columns, [
        (k, float(a), float(b), sstr(a, full_prec=True), sstr(b, full_prec=True)) for k, (a, b) in enumerate(pairs)
    ]


def _picture(d: Design) -> bytes:
    from kernalg import plot

    return plot.png(plot.design, d)
