"""JSON text in place of the list or object that it holds, as some clients send it."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str) -> Any:
    """The list or object that JSON text holds, also where it was encoded twice; any other text as it is."""
    found: Any = text
    for _ in range(2):
        if found.lstrip()[:1] not in {"[", "{", '"'}:
            break
        try:
            found = json.loads(found, parse_constant=_refused)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, str):
            return found
    return text


def _refused(constant: str) -> None:
    message = f"{constant} is no JSON"
    raise ValueError(message)
