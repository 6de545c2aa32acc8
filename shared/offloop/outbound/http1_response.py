"""The answer to one HTTP/1.1 request, as llhttp (in httptools) reads it from a connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

import httptools
import httpx2

MAX_HEAD: Final = 100 << 10
"""Bytes before the body of an answer, or before its next piece: the line, headers, the length of a chunk, trailers."""

AHEAD: Final = 256 << 10
"""Bytes of a body that may wait to be taken; with more of them, no more is read."""


class Carrier(Protocol):
    """What an answer asks of its connection."""

    def close(self) -> None:
        """Close it at once; safe to call twice."""

    def read_on(self, *, on: bool) -> None:
        """Go on reading, or stop."""


class Answer(httpx2.AsyncByteStream):
    """The answer to one request, as it comes: the status, headers, and pieces of the body.

    Args:
        connection: where it comes.
        release: is called when this is closed, where the connection can be used again.
        silence: seconds to wait for more, each time; None for ever.
        bodiless: the request was one whose answers have no body, whatever their headers say.

    Attributes:
        status: 0 until the head is there; never that of an interim answer.
        headers: as they came.
    """

    def __init__(
        self, connection: Carrier, release: Callable[[], None], silence: float | None, *, bodiless: bool
    ) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._connection = connection
        self._release = release
        self._silence = silence
        self._bodiless = bodiless
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)  # as RFC 9112 allows, in section 2.2
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._head = 0
        self._framed = False
        self._complete = False
        self._reusable = False
        self._failure: httpx2.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        """Wait for the head.

        Raises:
            httpx2.TransportError: it did not come in time, or is none.
        """
        while not self.status:
            await self._more()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces of the body, unpacked by nobody.

        Raises:
            httpx2.TransportError: no more came in time, or the end is missing.
        """
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._unread -= len(piece)
                yield piece
            if self._complete:
                return
            self._resume()
            await self._more()

    async def aclose(self) -> None:
        """Let the connection go. Safe to call twice."""
        release, self._release = self._release, _nothing
        if self._complete and self._reusable:
            self._resume()
            release()
        else:
            self._connection.close()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._connection.read_on(on=True)

    async def _more(self) -> None:
        """Wait until something has come since."""
        if self._failure:
            raise self._failure
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        silent = self._silence and loop.call_later(self._silence, self._give_up)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if silent:
                silent.cancel()
        if self._failure:
            raise self._failure

    # --- what the connection calls ---

    def feed(self, data: bytes) -> None:
        """Parse what has come."""
        self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx2.RemoteProtocolError("it changes to a protocol that was not asked for"))
        except httptools.HttpParserError as error:
            self._fail(httpx2.RemoteProtocolError(f"it is not HTTP/1.1: {error}"))
        else:
            if self._head > MAX_HEAD:
                self._fail(httpx2.RemoteProtocolError(f"its head has more than {MAX_HEAD} bytes"))
        if self._unread > AHEAD and not (self._paused or self._complete):
            self._paused = True
            self._connection.read_on(on=False)
        self._wake()

    def end(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if self.status and not self._framed and error is None:
            self._complete = True
        elif not self._complete:
            where = "in the middle of its answer" if self.status else "without an answer"
            self._fail(httpx2.RemoteProtocolError(f"it closed the connection {where}"))
        self._reusable = False
        self._wake()

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """An answer begins: the one that was asked for, an interim one before it, or one too many."""
        if self._complete:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those after the body are passed over."""
        if not self.status:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there."""
        status = self._parser.get_status_code()
        if self.status:
            return
        if status < 200:  # noqa: PLR2004 -- RFC 9110: 103 and its like
            self.headers.clear()
            return
        self.status = status
        self._reusable = self._parser.should_keep_alive()
        self._framed = any(_frames(name.lower(), value.lower()) for name, value in self.headers)
        self._complete = self._bodiless

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._complete:
            self._reusable = False
            return
        self._head = 0
        self._pieces.append(body)
        self._unread += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._complete = self._complete or bool(self.status)

    def _fail(self, failure: httpx2.TransportError) -> None:
        if self._complete:
            self._reusable = False  # what comes after the end takes nothing from the answer
        else:
            self._failure = self._failure or failure
        self._wake()

    def _give_up(self) -> None:
        self._fail(httpx2.ReadTimeout("nothing came"))

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def _frames(name: bytes, value: bytes) -> bool:
    """Whether a header says where the body ends; without one, it ends with the connection."""
    return name == b"content-length" or (name == b"transfer-encoding" and value.endswith(b"chunked"))


def _nothing() -> None:
    """It was let go of before."""
