"""A Lua script as a function, which survives that the server forgets it: at a restart, a failover, a flush."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from redis.asyncio import Redis


class Script:
    """One script, known to the server by its digest.

    redis-py's own loads a forgotten script with one request and runs it with the next, between which the server may
    forget it again; sent as a whole, it cannot be missing.

    Args:
        redis: where it runs.
        text: the script.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        """Keep both; nothing is sent yet."""
        self.text = text
        self._redis = redis
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str] = (), args: Sequence[str | bytes | float] = ()) -> Any:
        """Run it.

        Raises:
            RedisError: the server refuses it, or does not answer.
        """
        given: list[Any] = [len(keys), *keys, *args]
        try:
            return await self._redis.execute_command("EVALSHA", self._digest, *given)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await self._redis.execute_command("EVAL", self.text, *given)  # type: ignore[no-untyped-call]
