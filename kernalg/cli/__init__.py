"""The command line: one module per command.

Commands import what they need when they run: `kernalg --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from kernalg import __version__
from kernalg.cli import activations, cache, curve, design, dual, spectrum, tour
from kernalg.cli.command import Parser
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
  kernalg spectrum relu -d 50         eigenvalues of the tangent kernel of a network on the sphere in 50 dimensions
  kernalg curve relu -d 50 --power 0,1,1 --n 10:3000:20
                                      the learning curve they imply
  kernalg design "exp(2*(rho-1))" --kind ntk
                                      backwards: the activation whose network has this kernel

Errors are one line on the standard error stream and exit status 2 (3: no network has the kernel to be designed);
results go to the standard output stream.
Set KERNALG_DEBUG=1 for tracebacks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done; 2: a mistake in what was asked; 3: `design` found that no network has the kernel; 1: a bug of kernalg;
    130: interrupted.

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
    run: Callable[[argparse.Namespace], int | None] = arguments.run
    try:
        status = run(arguments)
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
            "kernalg: this is a bug of kernalg, not a mistake of yours; please report it with the command you gave and "
            "the traceback (KERNALG_DEBUG=1 shows it)",
            file=sys.stderr,
        )
        return _BUG
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="kernalg", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"kernalg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (tour, dual, spectrum, curve, design, activations, cache):
        module.add(commands)
    return parser
