"""Alive, and ready: Redis answers and every queue has a live worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from offloop.errors import Unavailable
from offloop.queue import live_queues

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from starlette.requests import Request


class Health:
    """The two endpoints a platform asks.

    Args:
        redis: must answer.
        queues: each must have a live worker.
    """

    def __init__(self, redis: ArqRedis, queues: Sequence[str]) -> None:
        """Keep both."""
        self._redis = redis
        self._queues = queues

    async def alive(self, _request: Request) -> JSONResponse:
        """``GET /healthz``: the process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> JSONResponse:
        """``GET /readyz``: 200 where jobs would be run, else 503 with what is missing."""
        try:
            live = await live_queues(self._redis, self._queues)
        except Unavailable as error:
            return JSONResponse({"status": "unavailable", "reason": error.message}, status_code=503)
        missing = [queue for queue in self._queues if queue not in live]
        if missing:
            reason = f"no live worker for: {', '.join(missing)}"
            return JSONResponse({"status": "unavailable", "reason": reason, "queues": missing}, status_code=503)
        return JSONResponse({"status": "ready", "queues": list(self._queues)})
