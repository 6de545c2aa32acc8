"""Nesting limit of untrusted JSON values: encoders of an answer fail beyond some depth."""

from __future__ import annotations

from typing import Any, Final

MAX_DEPTH: Final = 100
"""Maximum levels of lists and objects."""


def too_deep(value: Any) -> bool:
    """Whether a parsed JSON value has more than `MAX_DEPTH` levels."""
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
