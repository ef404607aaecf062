"""The JSON form of kernalg's values: an object whose "type" says what it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kernalg.errors import DomainError


def read_object(text: str, kind: str, members: Iterable[str] = ()) -> dict[str, Any]:
    """The members of a JSON object whose "type" is `kind`, without that one.

    Raises
    ------
    DomainError
        Not JSON, of another type, or without one of the `members`.
    """
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise DomainError(f"not JSON: {error}; give the text of the file, not its name") from error
    if not isinstance(data, dict) or data.pop("type", None) != kind:
        raise DomainError(f'a JSON object with "type": "{kind}" is needed')
    missing = [name for name in members if name not in data]
    if missing:
        raise DomainError(f'the JSON object of "type": "{kind}" lacks {", ".join(missing)}')
    return data
