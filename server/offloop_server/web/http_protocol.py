"""HTTP, as uvicorn reads it with a parser in C, with an end to what a client may send before there is a request.

Beside the parser in pure Python, a call takes about a fifth less of a front end's processor time. That one has the
limits of its own that the other lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

MAX_HEAD: Final = 64 << 10
"""Bytes before a request, or the next piece of its body: the line, headers, the length of a chunk, trailers."""
MAX_WAITING: Final = 32
"""Requests that a client may send on one connection before the first is answered."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        self._running: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what has come; refuse a request that does not get on."""
        self._unset_keepalive_if_required()
        self._head += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
        else:
            if self._head > MAX_HEAD:
                self._refuse(f"The head of a request may have {MAX_HEAD} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that runs; uvicorn tells the one that came last."""
        super().connection_lost(exc)
        if self._running:
            self._running.disconnected = True
            self._running.message_event.set()

    def on_headers_complete(self) -> None:
        """Begin the request, or have it wait for those before it."""
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= MAX_WAITING:
            message = "too many requests wait on this connection"
            raise ValueError(message)  # the parser stops, and the client is refused
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._head = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, message: str) -> None:
        self.logger.warning(message)
        self.send_400_response(message)

    def _hand_over(self, rest: bytes) -> None:
        """Have the other parser read on from a request that offers another protocol, such as Java's clients do.

        No other is spoken here, so its body follows as ever; this parser would take it for the next request.
        """
        if self._running and not self._running.response_complete:
            self._refuse("A request that offers another protocol must come by itself.")
            return
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            head += [name, b": ", value, b"\r\n"]
        self.connections.discard(self)
        other = H11Protocol(self.config, self.server_state, self.app_state)
        other.connection_made(self.transport)
        self.transport.set_protocol(other)
        other.data_received(b"".join([*head, b"\r\n", rest]))
