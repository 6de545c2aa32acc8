"""Alive, and ready: Redis answers and every queue has a live worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from offloop.errors import Unavailable
from offloop.queue.client import live_queues

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from starlette.requests import Request

    from offloop_server.runtime.background import Counts
    from offloop_server.runtime.loop_monitor import Lag
    from offloop_server.runtime.threads import Threads


@dataclass(frozen=True, slots=True)
class Metrics:
    """How a front end feels.

    Attributes:
        lag: how long its loop keeps others waiting.
        tasks: its background tasks.
        threads: where tools that block run.
    """

    lag: Lag
    tasks: Counts
    threads: Threads


class Health:
    """The two endpoints a platform asks.

    Args:
        redis: must answer.
        queues: each must have a live worker.
        vitals: looks at the front end itself.
    """

    def __init__(self, redis: ArqRedis, queues: Sequence[str], vitals: Callable[[], Metrics]) -> None:
        self._redis = redis
        self._queues = queues
        self._vitals = vitals

    async def alive(self, _request: Request) -> JSONResponse:
        """``GET /healthz``: the process answers, and says how it feels; milliseconds."""
        vitals = self._vitals()
        lag, threads = vitals.lag, vitals.threads
        told = {
            "loop_lag_ms": {"last": _ms(lag.last), "peak": _ms(lag.peak), "stalls": lag.stalls},
            "background_tasks": asdict(vitals.tasks),
            "tool_threads": {"running": threads.running, "waiting": threads.waiting},
        }
        return JSONResponse({"status": "ok", **told})

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


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
