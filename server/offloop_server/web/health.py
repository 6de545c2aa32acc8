"""Health endpoints: liveness with process metrics, readiness of Redis and the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from offloop.errors import Unavailable
from offloop.queue.client import live_queues

if TYPE_CHECKING:
    from starlette.requests import Request

    from offloop.redis import RedisClient
    from offloop_server.runtime.background import Background
    from offloop_server.runtime.loop_monitor import Lag
    from offloop_server.runtime.threads import Threads


@dataclass(frozen=True, slots=True)
class Metrics:
    """Process metrics.

    Attributes:
        lag: stalls of the event loop.
        background: the background tasks.
        threads: the threads of tools that block.
    """

    lag: Lag
    background: Background
    threads: Threads


class Health:
    """The liveness and readiness endpoints.

    Args:
        redis: must answer for readiness.
        queues: each must have a live worker for readiness.
        metrics: reads the metrics of this process.
    """

    def __init__(self, redis: RedisClient, queues: Sequence[str], metrics: Callable[[], Metrics]) -> None:
        self._redis = redis
        self._queues = queues
        self._metrics = metrics

    async def alive(self, _request: Request) -> JSONResponse:
        """``GET /healthz``: liveness, with process metrics; times in milliseconds."""
        metrics = self._metrics()
        lag, threads = metrics.lag, metrics.threads
        content = {
            "loop_lag_ms": {"last": _ms(lag.last), "peak": _ms(lag.peak), "stalls": lag.stalls},
            "background_tasks": asdict(metrics.background.counts),
            "tool_threads": {"running": threads.running, "waiting": threads.waiting},
        }
        return JSONResponse({"status": "ok", **content})

    async def ready(self, _request: Request) -> JSONResponse:
        """``GET /readyz``: readiness. 200 if jobs would run, else 503 with the missing part."""
        try:
            live = await live_queues(self._redis, self._queues)
        except Unavailable as error:
            return JSONResponse({"status": "unavailable", "reason": error.message}, status_code=503)
        missing = [queue for queue in self._queues if queue not in live]
        if missing:
            reason = f"no live worker for: {', '.join(missing)}"
            return JSONResponse({"status": "unavailable", "reason": reason, "queues": missing}, status_code=503)
        return JSONResponse({"status": "ready", "queues": list(self._queues)})


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
