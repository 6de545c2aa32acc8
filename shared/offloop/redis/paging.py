"""Cursors: the position in a listing, opaque to its reader."""

from __future__ import annotations

import base64
import binascii

from offloop.errors import BadInput

_CURSOR_LENGTH = 16
"""Redis counts in 64 bits; a cursor of ours is never longer."""


def encode_cursor(start: int) -> str:
    """Where the next page of a list begins, as a client is told."""
    return base64.urlsafe_b64encode(b"o%d" % start).decode().rstrip("=")


def decode_cursor(cursor: str | None, tool: str, *, first: str = "newest") -> int:
    """Read what `encode_cursor` made; None is the beginning.

    Raises:
        BadInput: it is not one of ours; the message names the tool that gives them.
    """
    if not cursor:
        return 0
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if raw[:1] == b"o" and raw[1:].isdigit() and len(raw) <= _CURSOR_LENGTH:
            return int(raw[1:])
    except (ValueError, binascii.Error):
        pass
    message = f"cursor {cursor[:40]!r} is not one that {tool} gave: leave it out to begin at the {first}"
    raise BadInput(message)
