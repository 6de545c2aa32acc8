"""What a manifest of any format says: one entry for each digest of a file."""

from __future__ import annotations

from typing import Final, NamedTuple

LINK: Final = -2
"""Stands for the size of a recorded link."""


class Entry(NamedTuple):
    """One file of a manifest, and one digest of it.

    Attributes:
        path: with surrogates for bytes that are not UTF-8.
        algorithm: of the digest.
        digest: its bytes.
        size: bytes, -1 where the format does not say; -2 marks a recorded link.
    """

    path: str
    algorithm: str
    digest: bytes
    size: int = -1


class Contents(NamedTuple):
    """What a manifest says.

    Attributes:
        entries: in its order.
        malformed: the first lines that are no entry, with the reason.
        malformed_total: all of them.
    """

    entries: list[Entry]
    malformed: list[str]
    malformed_total: int
