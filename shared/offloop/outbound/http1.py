"""One HTTP/1.1 connection to a host, carried by asyncio, for one request at a time.

It speaks for `offloop.outbound.transport.GuardedTransport` and raises what httpx2 raises.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from functools import partial
from typing import cast

import httpx2

from offloop.outbound.http1_response import Answer


class Connection(asyncio.Protocol):
    """One connection, from when it is dialled until either side closes it.

    Args:
        forget: is told once it is closed; may be told more than once.
    """

    def __init__(self, forget: Callable[[Connection], None]) -> None:
        self.idle_since = 0.0
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._unsent: asyncio.Future[None] | None = None
        self._full = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent: the host has not left, nor said anything unasked, heard of yet or not."""
        if self._transport is None or self._transport.is_closing():
            return False
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    async def ask(self, request: httpx2.Request, release: Callable[[Connection], None]) -> Answer:
        """Send a request whose content is in memory, and wait for the head of its answer.

        Args:
            request: its ``timeout`` extension bounds the sending (``write``) and each silence (``read``), in seconds.
            release: is given the connection, where it can be used again, when the answer is closed.

        Raises:
            httpx2.TransportError: the answer did not begin in time, is not HTTP/1.1, or the connection broke.
        """
        seconds = request.extensions.get("timeout", {})
        bodiless = request.method == "HEAD"
        answer = self._answer = Answer(self, partial(release, self), seconds.get("read"), bodiless=bodiless)
        try:
            self._write(_packed(request))
            await self._sent(seconds.get("write"))
            await answer.begin()
        except BaseException:
            self.close()
            raise
        return answer

    def close(self) -> None:
        """Close it at once, whatever is under way. Safe to call twice."""
        if self._transport:
            self._transport.abort()  # a farewell, as TLS has one, could be waited for in vain
        self._forget(self)

    def rest(self) -> None:
        """An answer has been read to its end; what comes now was not asked for."""
        self._answer = None
        self.idle_since = asyncio.get_running_loop().time()

    def read_on(self, *, on: bool) -> None:
        """Go on reading, or stop."""
        if self._transport and not self._transport.is_closing():
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what has come."""
        if self._answer is None:
            self.close()
        else:
            self._answer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        if self._answer:
            self._answer.end(exc)
        self.resume_writing()
        self._forget(self)

    def pause_writing(self) -> None:
        """The host takes no more for now."""
        self._full = True

    def resume_writing(self) -> None:
        """It takes more, or has gone."""
        self._full = False
        if self._unsent and not self._unsent.done():
            self._unsent.set_result(None)

    # --- sending ---

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            message = "the connection is closed"
            raise httpx2.WriteError(message)
        self._transport.write(data)

    async def _sent(self, seconds: float | None) -> None:
        if not self._full:
            return
        self._unsent = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._unsent
        except TimeoutError:
            message = "the request was not taken in time"
            raise httpx2.WriteTimeout(message) from None


def _packed(request: httpx2.Request) -> bytes:
    """A request as it travels.

    Raises:
        httpx2.LocalProtocolError: a part of its head would begin another line.
    """
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head or lines[0].count(b" ") != 2:  # noqa: PLR2004 -- between three words
        message = "a part of the request's head would begin another line"
        raise httpx2.LocalProtocolError(message)
    return b"%s\r\n\r\n%s" % (head, request.content)
