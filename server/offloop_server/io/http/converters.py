"""Pool of processes that convert pages, so that HTML blocks neither the event loop nor the GIL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import Final, Literal, Self

from offloop import logs
from offloop.errors import FetchFailed
from offloop.processes.parent_death import die_with_parent_command
from offloop.settings import PREFIX
from offloop_server.runtime.fair_limiter import FairLimiter

MAX_HTML: Final = 6 << 20
"""Bytes of a page, in UTF-8, that are converted; the rest is left out."""
SECONDS: Final = 10.0
_PROCESSES: Final = 2

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A page to convert.

    Attributes:
        content: in UTF-8.
        to: the form of its text.
        kind: XML may be a page or a feed.
        url: its final URL; links are relative to it.
    """

    content: bytes
    to: Literal["markdown", "text"] = "markdown"
    kind: Literal["html", "xml"] = "html"
    url: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """The readable part of a page.

    Attributes:
        text: Markdown or plain text; None where XML is neither a page nor a feed.
        notes: sentences about what it does not have.
        refresh: where the page sends browsers, and after how many seconds; None where it does not.
    """

    text: str | None
    notes: tuple[str, ...] = ()
    refresh: tuple[float, str] | None = None


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

    async def convert(self, source: Source, *, principal: str) -> Converted:
        """Convert a page to its readable part; permits rotate among principals.

        Raises:
            FetchFailed: it takes too long, or more memory than it may.
        """
        await self._limiter.acquire(principal)
        try:
            return await self._convert(source)
        finally:
            self._limiter.release()

    async def _convert(self, source: Source) -> Converted:
        while self._idle and self._idle[-1].returncode is not None:
            self._idle.pop()  # it was killed while it waited
        process = self._idle.pop() if self._idle else await _begin()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _ask(process, source)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            await _end(process)
            why = {"error": type(error).__name__, "exit_status": process.returncode}
            log.warning("page not converted", size=len(source.content), form=source.to, **why)
            message = (
                f"The page cannot be read as {source.to} within {SECONDS:g} s and 1 GiB. Call again with extract=raw, "
                "or with save=true to keep it as a file."
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


async def _ask(process: asyncio.subprocess.Process, source: Source) -> Converted:
    if process.stdin is None or process.stdout is None:
        message = "a converter has no pipes"
        raise RuntimeError(message)
    request = json.dumps({"to": source.to, "kind": source.kind, "url": source.url}).encode()
    process.stdin.write(len(request).to_bytes(4) + request + len(source.content).to_bytes(4))
    process.stdin.write(source.content)
    await process.stdin.drain()
    head = json.loads(await _frame(process.stdout))
    text = (await _frame(process.stdout)).decode()
    refresh = (float(head["refresh"][0]), str(head["refresh"][1])) if head["refresh"] else None
    return Converted(text if head["page"] else None, tuple(head["notes"]), refresh)


async def _frame(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(int.from_bytes(await stream.readexactly(4)))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin and not process.stdin.is_closing():
        process.stdin.transport.abort()  # before the process is killed: unwritten data would fail
    if process.returncode is None:
        process.kill()
    if process.stdin:
        with contextlib.suppress(OSError):  # retrieves an earlier failure, which asyncio would report as unhandled
            await process.stdin.wait_closed()
    await process.wait()
