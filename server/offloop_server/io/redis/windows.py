"""Bounded reads of collections: windows that grow with what they bring, so that no reply fills memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from offloop_server.io.redis.session import Session
from offloop_server.io.results.rows import Rows

_GROWTH: Final = 8
_MOST: Final = 1000
_BYTES: Final = 256 << 10
"""Bytes that a window should have."""


class Window:
    """Number of elements to request next; the first is one, because an element may be half a gigabyte.

    Args:
        session: its meter has the size of the last reply.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.count = 1

    def grow(self, elements: int) -> None:
        """Choose the next count after a reply with so many elements."""
        fitting = _BYTES * max(1, elements) // max(1, self._session.meter.received)
        self.count = max(1, min(_MOST, self.count * _GROWTH, fitting))


async def by_position(
    session: Session,
    into: Rows,
    span: range,
    fetch: Callable[[int, int], Awaitable[Sequence[Any]]],
    row: Callable[[int, Any], Sequence[Any]],
) -> None:
    """Read elements by their position.

    Args:
        session: the connection.
        into: gets the rows.
        span: positions to read.
        fetch: returns so many elements from a position on.
        row: the row of a position and its element.
    """
    window, position = Window(session), span.start
    while position < span.stop:
        count = min(window.count, into.missing, span.stop - position)
        elements = await fetch(position, count)
        if not into.add(row(position + number, element) for number, element in enumerate(elements)):
            return
        if len(elements) < count:
            return
        position += count
        window.grow(count)


async def scanned(session: Session, *command: bytes | str) -> AsyncIterator[list[Any]]:
    """The replies of a scan until its end; the cursor follows the name and the key.

    Args:
        session: the connection.
        command: ``SCAN`` with its options, or ``HSCAN`` with the key.
    """
    window, cursor = Window(session), b"0"
    head, options = (command[:1], command[1:]) if command[0] == "SCAN" else (command[:2], command[2:])
    if command[0] == "SCAN":
        window.count = _MOST  # names of keys are short, and most may not match
    while True:
        cursor, elements = await session.call(*head, cursor, *options, "COUNT", window.count)
        yield elements
        if cursor == b"0":
            return
        if command[0] != "SCAN":
            window.grow(len(elements))
