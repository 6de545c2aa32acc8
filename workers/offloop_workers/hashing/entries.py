"""Manifest entries, whatever the format: one for each digest of a file."""

from __future__ import annotations

from typing import Final, NamedTuple

LINK: Final = -2
"""The size of an entry that is a recorded symbolic link."""


class Entry(NamedTuple):
    """One file of a manifest, and one digest of it.

    Attributes:
        path: with surrogate escapes for bytes that are not UTF-8.
        algorithm: name of the digest's algorithm.
        digest: the raw digest.
        size: bytes, -1 where the format has no size; `LINK` for a recorded link.
    """

    path: str
    algorithm: str
    digest: bytes
    size: int = -1


class Contents(NamedTuple):
    """A parsed manifest.

    Attributes:
        entries: in the order of the manifest.
        malformed: the first malformed lines, with the reason.
        malformed_total: number of malformed lines.
    """

    entries: list[Entry]
    malformed: list[str]
    malformed_total: int
