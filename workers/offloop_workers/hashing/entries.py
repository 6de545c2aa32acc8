"""Manifest entries, whatever the format: one for each digest of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from offloop.errors import LimitExceeded

LINK: Final = -2
"""The size of an entry that is a recorded symbolic link."""


class Entry(NamedTuple):
    """One file of a manifest, and one digest of it.

    Attributes:
        path: with surrogate escapes for bytes that are not UTF-8; empty where the manifest names no file.
        algorithm: name of the digest's algorithm.
        digest: the raw digest.
        size: bytes, -1 where the format has no size; `LINK` for a recorded link.
    """

    path: str
    algorithm: str
    digest: bytes
    size: int = -1


def too_many(limit: int) -> LimitExceeded:
    """The failure of a manifest that is too long."""
    return LimitExceeded(f"The manifest has more than {limit:,} lines, the limit: send it in parts.")


class Contents(NamedTuple):
    """A parsed manifest.

    Attributes:
        entries: in the order of the manifest.
        malformed: the first malformed lines, with the reason.
        malformed_total: number of malformed lines.
        unnamed: digests without the name of a file.
        guessed: algorithms that the manifest does not name: the length of a digest stands for them.
        marked: whether a mark of the program shasum, ``U`` or ``^``, may stand before each name.
        start: the folder that absolute names begin with, where the manifest says so.
        notes: warnings about the manifest as a whole.
        others: further digests by the one that the entry has, for lines with several of one length, which do not say
            which is which.
    """

    entries: list[Entry]
    malformed: list[str]
    malformed_total: int
    unnamed: tuple[Entry, ...] = ()
    guessed: frozenset[str] = frozenset()
    marked: bool = False
    start: str = ""
    notes: tuple[str, ...] = ()
    others: Mapping[bytes, frozenset[bytes]] | None = None
