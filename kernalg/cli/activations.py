"""`kernalg activations`: the catalogue."""

from __future__ import annotations

import argparse

from kernalg.cli.command import Commands, command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    command(
        commands,
        "activations",
        "list the named activations with their formulas",
        "List the named activations: name, formula in x (with the parameters' defaults), what it is.\n\n"
        "example:\n  kernalg activations | grep -i sine",
        run,
    )


def run(arguments: argparse.Namespace) -> None:
    from kernalg.activation.catalogue import ENTRIES, REQUIRED

    rows = []
    for name, entry in sorted(ENTRIES.items()):
        parameters = ", ".join(k if v is REQUIRED else f"{k}={v}" for k, v in entry.parameters.items())
        formula = entry.formula if isinstance(entry.formula, str) else ""
        rows.append((f"{name}({parameters})" if parameters else name, formula, entry.summary))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for row in rows:
        print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")
