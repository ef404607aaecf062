"""What is known of a named activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from kernalg.activation import catalogue
from kernalg.activation.activation import activation
from kernalg.activation.smoothness import Smoothness


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a catalogue row at given parameters.

    Parameters
    ----------
    name, summary, source : str
    expr : Expr
        The formula in x.
    parameters : mapping
        Names and default values.
    has_closed_form : bool
        Whether the dual has one.
    parity : 'even', 'odd' or None
    homogeneity : Expr or None
        p with phi(s x) = s^p phi(x), s > 0.
    breakpoints : tuple of Expr or None
        None: infinitely many.
    smoothness : Smoothness
        The singular exponents of the dual at rho = 1 and -1.
    """

    name: str
    summary: str
    source: str
    expr: sp.Expr
    parameters: Mapping[str, Any]
    has_closed_form: bool
    parity: str | None
    homogeneity: sp.Expr | None
    breakpoints: tuple[sp.Expr, ...] | None
    smoothness: Smoothness


def describe(name: str, **parameters: Any) -> Description:
    """What a catalogue row is, with its parameters at the given values or their defaults.

    Raises
    ------
    FormulaError
        The name is not in the catalogue.
    DomainError
        A parameter without a default is not given.

    Examples
    --------
    >>> about = describe("abs_power", p="3/2")
    >>> about.parity, about.homogeneity, about.breakpoints, about.smoothness.at_plus_one
    ('even', 3/2, (0,), 2)
    """
    row = catalogue.describe(name)
    phi = activation(name, **parameters)
    return Description(
        phi.name,
        row.summary,
        row.source,
        phi.expr,
        row.parameters,
        phi.dual.has_closed_form,
        phi.parity,
        phi.homogeneity,
        None if phi.expr.has(sp.floor) else phi.breakpoints,
        phi.smoothness,
    )
