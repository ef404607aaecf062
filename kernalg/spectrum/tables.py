"""How the values of these rooms show themselves: text and HTML tables, JSON objects, pandas frames."""

from __future__ import annotations

import html
import importlib
import math
from typing import Any

from kernalg.errors import MissingExtra

_SHOWN = 12


def format_integer(m: int) -> str:
    """A positive integer for people: its digits while there are few, otherwise three figures and the exponent."""
    if m < 10**9:
        return str(m)
    if m.bit_length() < 1000:
        return f"{float(m):.3e}"
    exponent, remainder = divmod(math.log10(m), 1)
    return f"{10**remainder:.3f}e+{int(exponent)}"


def text_table(columns: list[str], rows: list[list[str]], shown: int = _SHOWN) -> str:
    """Right-aligned columns, the middle left out when there are more than `shown` rows."""
    if len(rows) > shown:
        gap = ["…"] * len(columns)
        rows = [*rows[: shown - 3], gap, *rows[-2:]]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (columns, *rows)
    )


def html_table(columns: list[str], rows: list[list[str]], shown: int = 60) -> str:
    """The same as an HTML table."""
    if len(rows) > shown:
        rows = [*rows[: shown - 3], ["…"] * len(columns), *rows[-2:]]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def import_pandas() -> Any:
    """The pandas module, or MissingExtra."""
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise MissingExtra("to_pandas() needs pandas, which is not installed: pip install pandas") from error
