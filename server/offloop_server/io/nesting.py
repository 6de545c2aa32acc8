"""How deeply a stranger's value may be nested: whatever writes an answer as JSON gives up at some depth."""

from __future__ import annotations

from typing import Any, Final

MAX_DEPTH: Final = 100
"""Levels of lists and objects."""


def too_deep(value: Any) -> bool:
    """Whether a parsed JSON value has more levels than an answer can carry."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
