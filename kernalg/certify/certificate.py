"""What was compared, how far it agrees, and what was not checked."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from kernalg.errors import DomainError


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity at one point by two methods.

    Parameters
    ----------
    quantity : str
        What was computed, such as "dual of relu".
    first, second : str
        The two methods.
    point : str
        Exact values, such as "q1 = 1, q2 = 3/2, c = 1/2".
    value : str
        The value by the first method.
    digits : int
        Decimals to which the methods are known to agree: relative to the value, or to
        sqrt(k(q1,q1,q1) k(q2,q2,q2)) where the value is 0 or one method is float64.
    radius : float
        Upper bound of the difference, the radii of both balls included.
    certified : bool
        Whether both methods give balls; False when one of them is float64 arithmetic.
    """

    quantity: str
    first: str
    second: str
    point: str
    value: str
    digits: int
    radius: float
    certified: bool = True


@dataclass(frozen=True, slots=True)
class Certificate:
    """Agreement of independent methods at sampled points; made by `certify`. It is evidence, not a proof.

    Parameters
    ----------
    name : str
        What was certified.
    asked : int
        The digits asked for.
    rows : tuple of Row
    not_checked : tuple of str
        What the comparison leaves open.
    """

    name: str
    asked: int
    rows: tuple[Row, ...]
    not_checked: tuple[str, ...]

    @property
    def digits(self) -> int:
        """Digits to which all ball methods agree at all points."""
        return self.worst.digits

    @property
    def worst(self) -> Row:
        """The comparison of balls with the fewest digits; among equals the one with the largest radius."""
        return min((r for r in self.rows if r.certified), key=lambda r: (r.digits, -r.radius))

    @property
    def worst_float64(self) -> Row | None:
        """The comparison with compiled float64 code that has the fewest digits, None without one."""
        return min((r for r in self.rows if not r.certified), key=lambda r: (r.digits, -r.radius), default=None)

    def to_json(self) -> str:
        return json.dumps({"kernalg": "certificate", **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        try:
            tree = json.loads(text)
            if tree["kernalg"] != "certificate":
                raise KeyError("kernalg")
            rows = tuple(_row(r) for r in tree["rows"])
            if not any(r.certified for r in rows):
                raise KeyError("rows")
            return cls(str(tree["name"]), int(tree["asked"]), rows, tuple(str(t) for t in tree["not_checked"]))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise DomainError(
                f"this JSON is not a certificate of kernalg ({type(error).__name__}: {error}); "
                "give the text that Certificate.to_json() made"
            ) from None

    def _summary(self) -> list[str]:
        lines = [
            f"{self.digits} digits agree in {sum(r.certified for r in self.rows)} comparisons of enclosures "
            f"({self.asked} asked); worst: {self.worst.quantity} at {self.worst.point}"
        ]
        if (worst := self.worst_float64) is not None:
            count = sum(not r.certified for r in self.rows)
            lines.append(f"float64: {worst.digits} digits in {count} comparisons; worst: {worst.point}")
        return lines

    def __repr__(self) -> str:
        lines = [f"Certificate of {self.name}", *(f"  {line}" for line in self._summary())]
        for r in self.rows:
            lines.append(f"    {r.digits:3d} digits  {r.quantity}: {r.first} / {r.second} at {r.point}")
        lines += ["  not checked:", *(f"    {text}" for text in self.not_checked)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in ("quantity", "methods", "point", "digits", "difference below"))
        body = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(cell)}</td>"
                for cell in (r.quantity, f"{r.first} / {r.second}", r.point, str(r.digits), f"{r.radius:.1e}")
            )
            + "</tr>"
            for r in self.rows
        )
        summary = "<br>".join(html.escape(line) for line in self._summary())
        left_open = "".join(f"<li>{html.escape(text)}</li>" for text in self.not_checked)
        return (
            f"<p><b>Certificate of {html.escape(self.name)}</b><br>{summary}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>Not checked:</p><ul>{left_open}</ul>"
        )


def _row(tree: Any) -> Row:
    kinds = {"digits": int, "radius": float, "certified": bool}
    for field in fields(Row):
        wanted = kinds.get(field.name, str)
        if not isinstance(tree[field.name], wanted):
            raise TypeError(f"{field.name} of a row is not {wanted.__name__}")
    return Row(**{field.name: tree[field.name] for field in fields(Row)})
