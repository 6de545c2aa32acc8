"""The server process: uvicorn, signals, graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from sse_starlette.sse import AppStatus

from offloop import logs
from offloop.errors import Unavailable
from offloop.kinds import catalogue
from offloop.settings import Settings
from offloop_server.app import FrontEnd
from offloop_server.runtime.tuning import tune_gc
from offloop_server.web.http_protocol import HttpProtocol

log = logs.get(__name__)


class _Uvicorn(uvicorn.Server):
    """uvicorn, with a callback at the signal that ends open waits; uvicorn alone waits for all open requests."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and log the addresses: with port 0 they are not known before."""
        await super().startup(sockets)
        for server in getattr(self, "servers", []):
            for bound in server.sockets:
                host, port = bound.getsockname()[:2]
                log.info("listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGTERM or SIGINT."""
        asyncio.get_running_loop().call_soon_threadsafe(self._on_exit)
        super().handle_exit(sig, frame)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open calls are answered first, within the drain period.

    Raises:
        SettingsError: the settings do not work together.
    """
    front_end = FrontEnd(settings, catalogue.load(settings.job_modules, tightened=settings.limits))
    config = uvicorn.Config(
        front_end.app(),
        host=settings.host,
        port=settings.port,
        http=HttpProtocol,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
        server_header=False,
    )
    # sse-starlette would cut the SDK's streams at the signal; they end by themselves once their calls are answered.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    server = _Uvicorn(config, front_end.stop_waiting)
    # uvicorn raises the signal again after shutdown; a graceful stop exits with 0, as a worker's does.
    signal.signal(signal.SIGTERM, lambda *_: None)
    tune_gc()  # everything is loaded, and neither calls nor the stall monitor have started
    with contextlib.suppress(KeyboardInterrupt):
        await server.serve()
    if not server.started:
        message = "The front end could not start; the lines above say why."
        raise Unavailable(message)
