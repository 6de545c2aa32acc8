"""Pool of processes that convert pages, so that HTML blocks neither the event loop nor the GIL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Final, Literal, Self

from offloop import logs
from offloop.errors import FetchFailed
from offloop.processes.parent_death import die_with_parent_command
from offloop.settings import PREFIX
from offloop_server.runtime.fair_limiter import FairLimiter

MAX_HTML: Final = 2 << 20
"""Bytes of a page that are converted; the rest is left out."""
SECONDS: Final = 10.0
_PROCESSES: Final = 2

log = logs.get(__name__)


class Converters:
    """Pool of up to two processes, killed when a page takes too long; one is started ahead, more when needed.

    An async context manager; its end kills them.
    """

    def __init__(self) -> None:
        self._limiter = FairLimiter(_PROCESSES)
        self._idle: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        """Start the first process: it takes longer to load than most pages take to convert."""
        self._idle.append(await _begin())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End them; no conversion may be under way."""
        while self._idle:
            await _end(self._idle.pop())

    async def convert(self, html: bytes, to: Literal["markdown", "text"], *, principal: str) -> str:
        """Convert a page in UTF-8 to its readable part; permits rotate among principals.

        Raises:
            FetchFailed: it takes too long, or more memory than it may.
        """
        await self._limiter.acquire(principal)
        try:
            return await self._convert(html, to)
        finally:
            self._limiter.release()

    async def _convert(self, html: bytes, to: str) -> str:
        while self._idle and self._idle[-1].returncode is not None:
            self._idle.pop()  # it was killed while it waited
        process = self._idle.pop() if self._idle else await _begin()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _ask(process, to[:1].encode() + html)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            await _end(process)
            message = (
                f"The page cannot be read as {to} within {SECONDS:g} s and 1 GiB. Call again with extract=raw, or "
                "with save=true to keep it as a file."
            )
            raise FetchFailed(message, code="too_large", retryable=False) from None
        except BaseException:
            await _end(process)
            raise
        self._idle.append(process)
        return answer


async def _begin() -> asyncio.subprocess.Process:
    # Without the settings, which hold keys: this process parses untrusted pages.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return await asyncio.create_subprocess_exec(
        *die_with_parent_command((sys.executable, "-m", "offloop_server.io.http.convert")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )


async def _ask(process: asyncio.subprocess.Process, request: bytes) -> str:
    if process.stdin is None or process.stdout is None:
        message = "a converter has no pipes"
        raise RuntimeError(message)
    process.stdin.write(len(request).to_bytes(4) + request)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(4))
    return (await process.stdout.readexactly(length)).decode()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin and not process.stdin.is_closing():
        process.stdin.transport.abort()  # before the process is killed: unwritten data would fail
    if process.returncode is None:
        process.kill()
    if process.stdin:
        with contextlib.suppress(OSError):  # retrieves an earlier failure, which asyncio would report as unhandled
            await process.stdin.wait_closed()
    await process.wait()
