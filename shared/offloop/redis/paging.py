"""Paging: filtered listings of an index, and cursors, which are opaque to clients."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from offloop.errors import BadInput

if TYPE_CHECKING:
    from offloop.redis import RedisClient

T = TypeVar("T")

READ_BATCH = 100
"""Items read in one request while a filtered listing looks for those that match."""

_CURSOR_LENGTH = 16
"""Redis counts in 64 bits; a cursor of ours is never longer."""


def encode_cursor(start: int) -> str:
    """The cursor of the page that begins at a position."""
    return base64.urlsafe_b64encode(b"o%d" % start).decode().rstrip("=")


def decode_cursor(cursor: str | None, tool: str, *, first: str = "newest") -> int:
    """Decode a cursor of `encode_cursor`; None is the beginning.

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


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a listing, and the cursor of the next page (None at the end)."""

    items: list[T]
    cursor: str | None


class Index(Generic[T]):
    """A sorted set of ids, whose items are listed by score, the highest first.

    Args:
        redis: holds the set.
        key: its key.
        read: reads the items of ids; None for an id without an item.
    """

    def __init__(
        self, redis: RedisClient, key: str, read: Callable[[list[str]], Awaitable[Sequence[T | None]]]
    ) -> None:
        self._redis = redis
        self._key = key
        self._read = read

    async def page(self, matches: Callable[[T], bool] | None, *, start: int, limit: int) -> Page[T]:
        """Up to `limit` items that match (None: all of them), from `start`.

        Raises:
            RedisError: the server does not answer.
        """
        # An unfiltered page reads no more items than it returns.
        batch = READ_BATCH if matches else min(READ_BATCH, limit)
        items: list[T] = []
        while ids := await self._redis.zrevrange(self._key, start, start + batch - 1):
            for item in await self._read([name.decode() for name in ids]):
                start += 1
                if item is not None and (matches is None or matches(item)):
                    items.append(item)
                    if len(items) == limit:
                        return Page(items, encode_cursor(start))
        return Page(items, None)
