"""`kernalg cache`: the folder of compiled code."""

from __future__ import annotations

import argparse

from kernalg.cli.command import Commands, command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "cache",
        "where compiled code is kept, and how much there is",
        """\
Show the folder of compiled code and its size. Kernels are compiled once per machine and formula; clearing the folder
only costs the time to compile again. KERNALG_CACHE_DIR names another folder.

examples:
  kernalg cache
  kernalg cache --clear""",
        run,
    )
    parser.add_argument("--clear", action="store_true", help="delete what is in it")


def run(arguments: argparse.Namespace) -> None:
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
