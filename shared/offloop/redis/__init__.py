"""Redis: connections, key schema, codec and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # the children's zygote needs only the codec, and no client of Redis
    from arq.connections import ArqRedis

    RedisClient: TypeAlias = ArqRedis
    """A client from `offloop.redis.connection`; arq's, so that arq's own methods work on it."""
