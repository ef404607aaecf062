"""Where results go: a table to read, or CSV, JSON and PNG, to files that did not exist or to the standard output."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kernalg.errors import DomainError

_STDOUT = "-"
_FORMS = ("csv", "json", "png")


def add_outputs(parser: argparse.ArgumentParser, picture: str) -> None:
    """--csv, --json and --png; `picture` says what is drawn."""
    group = parser.add_argument_group(
        "output",
        "Without these, a table to read. FILE must not exist yet; - is the standard output, without the table.",
    )
    group.add_argument("--csv", metavar="FILE", help="columns with a header, floats to their last digit")
    group.add_argument("--json", metavar="FILE", help="the whole value, for from_json in Python")
    group.add_argument("--png", metavar="FILE", help=f"a picture: {picture} (needs matplotlib)")
    group.add_argument("--no-progress", dest="progress", action="store_false", help="no word about long work")


def check_outputs(arguments: argparse.Namespace) -> None:
    """Before the work: refuse what could not be written after it."""
    asked = {form: target for form in _FORMS if (target := getattr(arguments, form)) is not None}
    for form, target in asked.items():
        path = Path(target)
        if target == "":
            raise DomainError(f"--{form} has an empty file name; give a name, or - for the standard output")
        if target != _STDOUT and path.exists():
            raise DomainError(
                f"{target} exists, and nothing is overwritten: name another file for --{form}, or move it"
            )
        if target != _STDOUT and not path.parent.is_dir():
            raise DomainError(f"--{form} {target}: there is no folder {path.parent}; create it, or name another file")
        others = [f"--{other}" for other, where in asked.items() if other != form and where == target]
        if others:
            raise DomainError(f"--{form} and {' and '.join(others)} would go to the same place, {target}: name two")
    if "png" in asked:
        from kernalg.plot import require_matplotlib

        require_matplotlib()


def write_outputs(
    arguments: argparse.Namespace,
    *,
    table: Callable[[], str],
    rows: Callable[[], tuple[Sequence[str], Iterable[Sequence[Any]]]],
    json: Callable[[], str],
    png: Callable[[], bytes],
) -> None:
    """Write what was asked for; the table too, unless the standard output is taken."""
    makers: dict[str, Callable[[], bytes]] = {
        "csv": lambda: _csv(*rows()).encode(),
        "json": lambda: (json() + "\n").encode(),
        "png": png,
    }
    asked = {form: target for form in _FORMS if (target := getattr(arguments, form)) is not None}
    if _STDOUT not in asked.values():
        print(table())
    for form, target in asked.items():
        content = makers[form]()
        if target == _STDOUT:
            _write_to_stdout(content, text=form != "png")
            continue
        try:
            with open(target, "xb") as file:
                file.write(content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DomainError(f"--{form} {target} cannot be written ({reason}); name another file") from error
        print(f"kernalg: wrote {target}", file=sys.stderr)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Floats by repr, which reads back as the same float; integers with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    # Python refuses decimal conversions above 4300 digits.
    return hex(value) if isinstance(value, int) and value.bit_length() > 12_000 else value


def _write_to_stdout(content: bytes, text: bool) -> None:
    if text:
        sys.stdout.write(content.decode())
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
