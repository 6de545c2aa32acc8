"""Options of commands: words after the keys, indexes and patterns, checked before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from offloop.errors import BadInput

_MAX_PATTERN: Final = 500
"""Bytes of a pattern."""
_MAX_STARS: Final = 20


def matching(arguments: list[bytes]) -> list[bytes]:
    """Key and options of a scan within a key."""
    given = options(arguments[1:], {b"MATCH"})
    check_pattern(given.get(b"MATCH", b""))
    return [arguments[0], *(part for pair in given.items() for part in pair)]


def check_pattern(pattern: bytes) -> None:
    """Bound the time that one comparison takes: Redis serves no other client meanwhile.

    Raises:
        BadInput: the pattern is too long.
    """
    if len(pattern) > _MAX_PATTERN or pattern.count(b"*") > _MAX_STARS:
        message = f"A pattern has at most {_MAX_PATTERN} bytes, and {_MAX_STARS} stars."
        raise BadInput(message)


def options(words: list[bytes], known: set[bytes], values: int = 1) -> dict[bytes, Any]:
    """Options by name: NAME value, or NAME value value.

    Raises:
        BadInput: a word is no option, or lacks its value.
    """
    found: dict[bytes, Any] = {}
    rest = list(words)
    while rest:
        name, *rest = rest
        if name.upper() not in known or len(rest) < values:
            message = f"{name[:40].decode('utf-8', 'replace')!r} is no option here, or lacks its value."
            raise BadInput(message)
        taken, rest = rest[:values], rest[values:]
        found[name.upper()] = taken[0] if values == 1 else tuple(taken)
    return found


def picked(words: Iterable[bytes], choices: tuple[bytes, ...]) -> tuple[bytes | None, list[bytes]]:
    """The first of these words, and the other words."""
    words = list(words)
    found = next((word for word in words if word in choices), None)
    if found is not None:
        words.remove(found)
    return found, words


def span_of(start: int, stop: int, length: int) -> range:
    """Positions between two indexes, of which negative ones count from the end."""
    first = max(0, start + length if start < 0 else start)
    last = min(length - 1, stop + length if stop < 0 else stop)
    return range(first, last + 1)


def integer(text: bytes) -> int:
    """The number that an argument is.

    Raises:
        BadInput: it is none.
    """
    try:
        return int(text)
    except ValueError:
        message = f"{text[:40].decode('utf-8', 'replace')!r} is no integer."
        raise BadInput(message) from None
