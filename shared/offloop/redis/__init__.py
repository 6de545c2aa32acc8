"""Redis: connections, key schema, codec and scripts."""

from typing import TypeAlias

from arq.connections import ArqRedis

RedisClient: TypeAlias = ArqRedis
"""A client from `offloop.redis.connection`; arq's, so that arq's own methods work on it."""
