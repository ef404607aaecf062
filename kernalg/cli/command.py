"""What the commands share: how one is added, and the words they have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

Commands = argparse._SubParsersAction  # of argparse, which has no public name for it


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the command line; commands made of it do the same."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"kernalg: error: {message} ({self.prog} --help shows what is understood)\n")


PHI = 'a name ("kernalg activations" lists them) or a formula in x, such as "x*(1+erf(x/sqrt(2)))/2"'


def command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    line: str,
    text: str,
    run: Callable[[argparse.Namespace], int | None],
) -> argparse.ArgumentParser:
    """A parser for the command `name`: `line` is its help among the others, `text` its own page. `run` returns the exit
    status, None for 0."""
    parser = commands.add_parser(
        name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser
