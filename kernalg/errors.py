"""Exceptions of kernalg.

A mistake in what was asked and a bug of ours are different classes: the first derive from
`DomainError` (or say which tool is missing), the second is `InternalError` alone.

Every message answers three questions: what was given, what is allowed, what to do.
"""


class KernalgError(Exception):
    """Base of every exception kernalg raises on purpose."""


class DomainError(KernalgError, ValueError):
    """A value lies outside the domain of what was asked (a negative variance, d = 1, NaN rows …)."""


class FormulaError(DomainError):
    """A text is not a formula of the accepted language; `column` (0-based) points at the place."""

    def __init__(self, message: str, *, text: str = "", column: int | None = None) -> None:
        if text and column is not None:
            shown, caret = text, column
            if len(text) > 100:
                start = max(0, column - 40)
                shown, caret = text[start : start + 80], column - start
            message = f"{message}\n    {shown}\n    {' ' * caret}^"
        super().__init__(message)
        self.text = text
        self.column = column


class NoClosedForm(KernalgError):
    """The activation lies outside the class whose Gaussian expectations close; the message names the obstacle."""


class PrecisionError(KernalgError):
    """An enclosure did not reach the digits asked for; the message says what it did reach."""


class MissingExtra(KernalgError, ImportError):
    """An optional dependency is needed and absent; the message gives the install command."""


class InternalError(KernalgError, RuntimeError):
    """A bug of kernalg: two methods that must agree do not. Please report it."""
