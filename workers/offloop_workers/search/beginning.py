"""Beginning of a file: its encoding, and whether it is text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from offloop.charsets import declarations
from offloop.charsets.decoders import decode, unit
from offloop.charsets.labels import charset_named
from offloop.jobs.search import AUTO

LOOK: Final = 8192
"""Bytes that decide."""

_CONTROLS: Final = frozenset(map(chr, range(32))) - frozenset("\t\n\r\f\x1b")


class BinaryError(Exception):
    """The file has a NUL byte near its beginning, so it is no text."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Encoding of a file, as its beginning shows it.

    Attributes:
        charset: the one it is read as.
        mark: bytes of its byte order mark that are no text.
        marked: the charset that its byte order mark names; ``""`` without one.
        seen: whether neither a mark nor the caller names the charset, but the zeros of its wide characters.
    """

    charset: str
    mark: int = 0
    marked: str = ""
    seen: bool = False


_PLAIN: Final = Beginning("utf-8")
_OF_MARKS: Final = frozenset({mark[:1] for mark, _ in declarations.MARKS})

Told = Callable[[Beginning], object]


def beginning_of(content: bytes, encoding: str, *, binary: bool) -> Beginning:
    """The encoding of a file, by the caller, by its mark, or by its zeros.

    Raises:
        BinaryError: it is no text.
    """
    if encoding == AUTO and content[:1] not in _OF_MARKS and b"\0" not in content[:LOOK]:
        return _PLAIN  # as nearly all files
    head = content[:LOOK]
    marked, length = declarations.marked(head)
    if encoding == AUTO:
        seen = "" if marked else _wide(head)
        found = Beginning(marked or seen or "utf-8", length, marked, seen=bool(seen))
    else:
        charset = charset_named(encoding) or encoding
        found = Beginning(charset, length if marked == charset else 0, marked)
    if not binary and unit(found.charset) == 1 and b"\0" in head:
        raise BinaryError
    return found


def _wide(head: bytes) -> str:
    """UTF-16 or UTF-32 without a mark, told by its zeros, and no data: all decodes, and has no control characters."""
    charset = declarations.wide(head)
    if not charset:
        return ""
    text, replaced = decode(head[: len(head) // unit(charset) * unit(charset)], charset)
    return charset if not replaced and not set(text) & _CONTROLS else ""
