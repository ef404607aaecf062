"""The command line: `kernalg tour`, `kernalg dual`, `kernalg activations`, `kernalg cache`.

Commands import what they need when they run: `kernalg --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from kernalg import __version__
from kernalg.errors import InternalError, KernalgError

_MISTAKE, _BUG, _INTERRUPTED, _BROKEN_PIPE = 2, 1, 130, 141

_DESCRIPTION = """\
Kernels of infinitely wide neural networks: derived from the activation, certified, compiled, and used to
predict learning curves."""

_EPILOG = """\
start here:
  kernalg tour                        everything at once, with a report to read (under a minute)
  kernalg dual gelu                   the kernel of one layer, in closed form, with its derivation
  kernalg dual "max(x,0)*exp(-x**2)"  the same for a formula of your own

Errors are one line on the standard error stream and exit status 2; results go to the standard output stream.
Set KERNALG_DEBUG=1 for tracebacks."""

_FORMULA = 'a name ("kernalg activations" lists them) or a formula in x, such as "x*(1+erf(x/sqrt(2)))/2"'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done; 2: a mistake in what was asked; 1: a bug of kernalg; 130: interrupted.

    Examples
    --------
    >>> main(["dual", "sin", "--brief"])
    exp(-q1/2 - q2/2)*sinh(c)
    0
    """
    parser = _parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return _MISTAKE
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nkernalg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        if os.environ.get("KERNALG_DEBUG"):
            raise
        if isinstance(error, KernalgError) and not isinstance(error, InternalError):
            print(f"kernalg: error: {error}", file=sys.stderr)
            return _MISTAKE
        print(
            f"kernalg: {type(error).__name__}: {error}\n"
            "kernalg: this is a bug of kernalg, not a mistake of yours; please report it with the command you "
            "gave and the "
            "traceback (KERNALG_DEBUG=1 shows it)",
            file=sys.stderr,
        )
        return _BUG
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kernalg", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"kernalg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_tour(commands)
    _add_dual(commands)
    _add_activations(commands)
    _add_cache(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    line: str,
    text: str,
    run: Callable[..., None],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


# -- tour -------------------------------------------------------------------------------------------------------------


def _add_tour(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "tour",
        "from an activation to learning curves on real data, with a report",
        """\
Walk the whole way for one network: derive the dual of the activation, show the kernels, check fifty digits by two
routes, compile, compute spectra, and compare predicted with measured learning curves, on the sphere (where the theory
is right to a few per cent) and on scikit-learn's handwritten digits (where it shows where the theory stops).

Writes DIR/report.html (one self-contained page to read) and DIR/results.json (all numbers). Nothing is overwritten:
if DIR exists and is not empty, DIR-2, DIR-3, ... is taken, and the path is printed at the end.

examples:
  kernalg tour
  kernalg tour --activation gelu --depth 2 --out gelu-tour
  kernalg tour --activation "sin(3*x)" --w-var 1 --b-var 1/20""",
        _tour,
    )
    parser.add_argument("--activation", default="relu", metavar="PHI", help=f"{_FORMULA} (default: relu)")
    parser.add_argument("--depth", type=int, default=3, help="hidden layers (default: 3)")
    parser.add_argument(
        "--w-var",
        default="2",
        metavar="V",
        help="weight variance of the hidden layers, an exact number such as 2 or 7/4 (default: 2, which keeps the norm "
        "of ReLU networks; other activations have other natural values)",
    )
    parser.add_argument("--b-var", default="0", metavar="V", help="bias variance of the hidden layers (default: 0)")
    parser.add_argument("--out", default="tour", metavar="DIR", help="folder of the results (default: ./tour)")
    parser.add_argument("--seed", type=int, default=0, help="of all random draws (default: 0)")
    parser.add_argument("--no-progress", action="store_true", help="do not show the steps on the standard error stream")


def _tour(arguments: argparse.Namespace) -> None:
    from kernalg import tour

    result = tour.run(
        arguments.activation,
        depth=arguments.depth,
        w_var=arguments.w_var,
        b_var=arguments.b_var,
        out=arguments.out,
        seed=arguments.seed,
        progress=not arguments.no_progress,
    )
    print(f"report  {result.report.resolve()}\nnumbers {result.results.resolve()}")


# -- dual -------------------------------------------------------------------------------------------------------------


def _add_dual(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "dual",
        "the kernel of one layer in closed form, with its derivation",
        """\
Print the dual k(q1, q2, c) = E[phi(u) phi(v)] of an activation, for a centred Gaussian pair with variances q1, q2 and
covariance c: the formula, its form at unit variances, the dual of the derivative (which the tangent kernel uses), the
checked steps that lead there, and a certified value.

examples:
  kernalg dual relu
  kernalg dual "max(x,0)" --latex
  kernalg dual gelu --brief""",
        _dual,
    )
    parser.add_argument("activation", metavar="PHI", help=_FORMULA)
    parser.add_argument("--digits", type=int, default=50, metavar="N", help="of the certified value (default: 50)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="LaTeX instead of plain text")
    form.add_argument("--brief", action="store_true", help="only the formula")


def _dual(arguments: argparse.Namespace) -> None:
    from sympy import latex, sstr

    from kernalg.activation.activation import activation
    from kernalg.derivation.engine import derivation

    phi = activation(arguments.activation)
    dual = phi.dual
    if arguments.brief:
        print(sstr(dual.expr))
        return
    if arguments.latex:
        formulas = (
            rf"\varphi(x) = {latex(phi.expr)}",
            rf"k(q_1, q_2, c) = {latex(dual.expr)}",
            rf"k(1, 1, \rho) = {latex(dual.normalized)}",
            rf"\dot k(q_1, q_2, c) = {latex(dual.derivative.expr)}",
        )
        print("\n".join(rf"\[ {formula} \]" for formula in formulas), derivation(dual).latex(), sep="\n")
        return
    lines = [
        f"phi(x)            {sstr(phi.expr)}",
        f"k(q1, q2, c)      {sstr(dual.expr)}",
        f"k(1, 1, rho)      {sstr(dual.normalized)}",
        f"derivative dual   {sstr(dual.derivative.expr)}",
    ]
    if not phi.parameters:
        value = dual.value(1, 1, "1/2", digits=arguments.digits)
        lines.append(f"k(1, 1, 1/2)      {sstr(value, full_prec=True)}   ({arguments.digits} certified digits)")
    print("\n".join(lines), "", derivation(dual), sep="\n")


# -- activations and cache --------------------------------------------------------------------------------------------


def _add_activations(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _command(
        commands,
        "activations",
        "list the named activations with their formulas",
        "List the named activations: name, formula in x (with the parameters' defaults), what it is.\n\n"
        "example:\n  kernalg activations | grep -i sine",
        _activations,
    )


def _activations(arguments: argparse.Namespace) -> None:
    from kernalg.activation.catalogue import ENTRIES, REQUIRED

    rows = []
    for name, entry in sorted(ENTRIES.items()):
        parameters = ", ".join(k if v is REQUIRED else f"{k}={v}" for k, v in entry.parameters.items())
        formula = entry.formula if isinstance(entry.formula, str) else ""
        rows.append((f"{name}({parameters})" if parameters else name, formula, entry.summary))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for row in rows:
        print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")


def _add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands,
        "cache",
        "where compiled code is kept, and how much there is",
        """\
Show the folder of compiled code and its size. Kernels are compiled once per machine and formula; clearing the folder
only costs the time to compile again. KERNALG_CACHE_DIR names another folder.

examples:
  kernalg cache
  kernalg cache --clear""",
        _cache,
    )
    parser.add_argument("--clear", action="store_true", help="delete what is in it")


def _cache(arguments: argparse.Namespace) -> None:
    from kernalg.compiled.cache import cache_directory

    folder = cache_directory()
    modules = sorted(folder.glob("kernalg_*.py"))
    files = modules + sorted(folder.glob("__pycache__/kernalg_*"))
    size = sum(file.stat().st_size for file in files)
    print(f"{folder}: {len(modules)} compiled formula set{'s' * (len(modules) != 1)}, {size / 1e6:.1f} MB")
    if arguments.clear:
        for file in files:
            file.unlink(missing_ok=True)
        print("cleared")


if __name__ == "__main__":
    sys.exit(main())
