"""Webhook receiver: records every request and sends planned replies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

LOCAL = "127.0.0.1"
NETWORK = "127.0.0.0/8"


@dataclass(frozen=True)
class Received:
    """One received request."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def delivery_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, after the reference library has verified its signature.

        Raises:
            WebhookVerificationError: the signature is wrong.
        """
        event: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return event


@dataclass(frozen=True)
class Reply:
    """A planned reply.

    Attributes:
        status: status code.
        headers: headers.
        body: body.
        hangs: whether the reply waits for `Receiver.release`.
    """

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False


class Receiver:
    """A server on its own port; it can stop, and start again on that port.

    Args:
        host: a loopback address.

    Attributes:
        received: requests so far.
        max_concurrent: most requests that were in progress together.
        port: its port.
    """

    def __init__(self, host: str = LOCAL) -> None:
        self.received: list[Received] = []
        self.max_concurrent = 0
        self._host = host
        self.port = 0
        self._plans: dict[str, list[Reply]] = {}
        self._released = threading.Event()
        self._inside = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.start()

    def url(self, path: str = "/hook") -> str:
        """URL of a path."""
        return f"http://{self._host}:{self.port}{path}"

    def plan(self, *replies: Reply, path: str = "/hook") -> None:
        """Set the replies to the next requests of a path, in order; the last one repeats."""
        self._plans[path] = list(replies)

    def at(self, path: str = "/hook") -> list[Received]:
        """Requests to a path so far."""
        return [request for request in self.received if request.path == path]

    def release(self) -> None:
        """Release all hanging requests, including later ones."""
        self._released.set()

    def start(self) -> None:
        """Start; a restart uses the same port."""
        self._released.clear()
        self._server = _Server((self._host, self.port), _Handler)
        self._server.receiver = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop: connections are refused. Idempotent."""
        self.release()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, request: Received) -> Reply:
        """Record a request and return its reply, after a planned wait; called by the handler."""
        with self._lock:
            self.received.append(request)
            self._inside += 1
            self.max_concurrent = max(self.max_concurrent, self._inside)
            planned = self._plans.get(request.path) or [Reply()]
            reply = planned.pop(0) if len(planned) > 1 else planned[0]
        if reply.hangs:
            self._released.wait(40)
        with self._lock:
            self._inside -= 1
        return reply


@contextmanager
def receiving(host: str = LOCAL) -> Iterator[Receiver]:
    """A receiver that stops at the exit."""
    one = Receiver(host)
    try:
        yield one
    finally:
        one.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 128
    receiver: Receiver

    def handle_error(self, *_: object) -> None:
        """Ignore senders that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_POST(self) -> None:
        """Receive one webhook."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.take(Received(self.path, headers, body, time.monotonic()))
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST  # noqa: N815 -- name required by BaseHTTPRequestHandler

    def log_message(self, *_: object) -> None:
        pass
