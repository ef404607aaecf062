"""kernalg: a computer algebra system for the kernels of wide neural networks.

>>> import kernalg as ka
>>> ka.activation("relu").dual.normalized
rho*(asin(rho)/(2*pi) + 1/4) + sqrt(1 - rho**2)/(2*pi)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and the room each lives in. They are imported on first use, so that `import kernalg`
# costs neither SymPy nor Numba (rule 10).
_HOME = {
    "DomainError": "errors",
    "FormulaError": "errors",
    "InternalError": "errors",
    "KernalgError": "errors",
    "MissingExtra": "errors",
    "NoClosedForm": "errors",
    "PrecisionError": "errors",
    "x": "symbols",
    "q1": "symbols",
    "q2": "symbols",
    "c": "symbols",
    "rho": "symbols",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'kernalg' has no attribute {name!r}")
    value = getattr(import_module(f"kernalg.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


if TYPE_CHECKING:
    from kernalg.errors import (
        DomainError,
        FormulaError,
        InternalError,
        KernalgError,
        MissingExtra,
        NoClosedForm,
        PrecisionError,
    )
    from kernalg.symbols import c, q1, q2, rho, x
