"""Complete stack on one machine: the embedded Valkey, a front end and workers, each in its own process."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx2
import typer

from offloop.cli.running import Running
from offloop.errors import SettingsError
from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.processes.supervisor import MISCONFIGURED, Program, Supervisor
from offloop.settings import PREFIX, Settings

READY_SECONDS = 60.0
_ANY = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared with, not bound to


class Stack:
    """The stack as a context manager; the exit ends every process within 10 seconds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._supervisor = Supervisor(())
        self._opened = AsyncExitStack()

    @property
    def base(self) -> str:
        """URL of the front end on this machine, without a trailing slash."""
        host = _ANY.get(self.settings.host, self.settings.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.settings.port}"

    @property
    def endpoint(self) -> str:
        """URL of the MCP endpoint on this machine."""
        return f"{self.base}/mcp"

    async def __aenter__(self) -> Self:
        """Start the processes; does not wait for readiness, see `ready`.

        Raises:
            SettingsError: the port is taken, the state folder is in use, or the Valkey does not start.
        """
        async with AsyncExitStack() as opening:
            self.settings = self.settings.replaced(port=_free_port(self.settings.host, self.settings.port))
            if self.settings.redis_url is None:
                valkey = EmbeddedRedis(self.settings.state_dir / "redis", binary=self.settings.redis_bin)
                await opening.enter_async_context(valkey)
                self.settings = self.settings.replaced(redis_url=valkey.url)
            self._supervisor = await opening.enter_async_context(Supervisor(self._programs()))
            running = Running(os.getpid(), str(self.settings.redis_url), self.endpoint)
            running.write(self.settings.state_dir)
            opening.callback(running.remove, self.settings.state_dir)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    async def ready(self, seconds: float = READY_SECONDS) -> str:
        """Wait for the front end's readiness; returns ``""``, or after `seconds` the reason it is not ready."""
        # Without workers of its own, the stack cannot know when others start: liveness is enough.
        url = f"{self.base}/{'readyz' if self.settings.workers else 'healthz'}"
        answer = "no answer"
        try:
            async with asyncio.timeout(seconds), httpx2.AsyncClient(timeout=2.0, trust_env=False) as http:
                while True:
                    try:
                        response = await http.get(url)
                        if response.is_success:
                            return ""
                        answer = _reason(response)
                    except httpx2.TransportError as error:
                        answer = f"{url} does not answer ({error})"
                    await self._watch_for(0.05)
        except TimeoutError:
            return answer

    async def watch(self) -> None:
        """Wait until a process cannot run as configured.

        Raises:
            typer.Exit: a process cannot; it has printed the reason to standard error.
        """
        await self._supervisor.refused()
        raise typer.Exit(MISCONFIGURED)

    async def _watch_for(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.watch(), seconds)
        except TimeoutError:
            return

    def _programs(self) -> list[Program]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= self.settings.environment()
        command = (sys.executable, "-P", "-m", "offloop")
        workers = [f"worker {number}" for number in range(1, self.settings.workers + 1)]
        return [
            Program("server", (*command, "serve"), environment),
            *(Program(name, (*command, "worker"), environment) for name in workers),
        ]


def _reason(response: httpx2.Response) -> str:
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return f"{response.url} answers {response.status_code}"


def _free_port(host: str, port: int) -> int:
    """The port, after a trial bind; a free one for 0.

    Raises:
        SettingsError: the bind failed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            message = f"cannot listen on {host}: {error.strerror}. Name an address of this machine with --host."
        else:
            message = (
                f"cannot listen on {host} port {port}: {error.strerror}. Choose another with --port (0 takes a free "
                "one) or OFFLOOP_PORT, or end what listens there."
            )
        raise SettingsError(message) from error


async def until_signalled(work: Coroutine[Any, Any, int], *, stopped: int) -> int:
    """Run `work` and return its exit code; SIGINT, SIGTERM or SIGHUP cancels it, and the code is then `stopped`.

    Later signals are ignored: the cleanup takes at most 10 seconds.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    seen = False

    def stop() -> None:
        nonlocal seen
        if task and not seen:
            seen = True
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        return await work
    except asyncio.CancelledError:
        if not (task and seen):
            raise
        task.uncancel()
        return stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
