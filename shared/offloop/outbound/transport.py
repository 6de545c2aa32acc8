"""Connection pool that dials only addresses a `Policy` allows; aiohttp's, with a resolver and connections of ours.

A host's name is resolved once for a connection, all its addresses are checked, and one of them is dialled under the
host's own name (``Host``, SNI, certificate). A second check guards the creation of the socket, because aiohttp does
not resolve addresses in URLs. So neither a redirect nor DNS rebinding bypasses the policy.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace

from offloop.outbound.policy import Policy

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolver: host and port to addresses, as text; raises OSError for an unknown name."""

KEEP_SECONDS: Final = 15.0
"""Keep-alive: seconds after which an idle connection is closed."""
MAX_HEAD: Final = 100 << 10
"""Bytes without content that a host may send in a row: interim responses, a head, chunk extensions, trailers."""
_RESOLVER_THREADS: Final = 32
"""Threads for lookups; a name server that hangs occupies one until the system's resolver gives up."""


class BadResponseError(aiohttp.ClientPayloadError):
    """A response that `Connection` refuses; the message says why."""


class Connection(ResponseHandler):
    """One connection to a host. It is closed where aiohttp would be lenient.

    - `MAX_HEAD` bounds the bytes that come without content; aiohttp bounds single lines only.
    - Bytes after the end of a response, read yet or not, are no response to the next request (response smuggling).
    - A body without a length is whole only if the host closed the connection in good order.
    - Closing never waits for a host: neither for TLS's close_notify nor for unsent bytes to be taken.

    Args:
        loop: the event loop.
        forget: called with the connection when it is closed; may be called more than once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, forget: Callable[[Connection], None]) -> None:
        super().__init__(loop)
        self._forget = forget
        self._previous: Any = None
        self._content = 0
        self._without_content = 0

    def is_connected(self) -> bool:
        """Whether an idle connection can be used: the host has neither closed it nor sent anything."""
        if not super().is_connected() or self.should_close or self.transport is None or self._another_began():
            return False
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not unread.poll(0)

    def set_response_params(self, **params: Any) -> None:
        """Begin a request."""
        self._previous = self._payload
        self._content = 0
        self._without_content = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and count the bytes without content."""
        super().data_received(data)
        content = 0 if self._payload in (None, self._previous) else self._payload.total_bytes
        if content > self._content:
            self._without_content = 0
        else:
            self._without_content += len(data)
        self._content = content
        if self._without_content > MAX_HEAD:
            self._fail(f"its head has more than {MAX_HEAD} bytes")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the reader of a body that the end of the connection cut short."""
        if exc is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(BadResponseError("it broke the connection in the middle of its answer"))
        super().connection_lost(exc)
        self._forget(self)

    def close(self) -> None:
        """Close it without waiting for the host. Safe to call twice."""
        self._forget(self)
        self.abort()

    def _another_began(self) -> bool:
        """Whether part of another response has arrived; only for idle connections: it ends the parser's input."""
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except HttpProcessingError:
            return True

    def _fail(self, reason: str) -> None:
        error = BadResponseError(reason)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport:
            self.transport.abort()


class Connector(aiohttp.TCPConnector):
    """Connection pool: dials checked addresses only, and keeps a bounded number of idle connections.

    Args:
        policy: which addresses may be dialled.
        resolve: how names become addresses.
        tls: ``ssl`` of `aiohttp.TCPConnector`.
        keep: maximum number of idle connections, of all hosts; the oldest is closed first.
    """

    def __init__(self, policy: Policy, resolve: Resolve, tls: Any, keep: int) -> None:
        super().__init__(
            resolver=_CheckedResolver(policy, resolve),
            use_dns_cache=False,
            ssl=tls,
            limit=0,
            keepalive_timeout=KEEP_SECONDS,
            socket_factory=self._socket,
        )
        self._policy = policy
        self._keep = keep
        self._idle: dict[Connection, None] = {}
        make: Callable[..., ResponseHandler] = Connection
        self._factory = partial(make, self._loop, self._forget)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- aiohttp's signature
    ) -> aiohttp.connector.Connection:
        """Take an idle connection to the request's origin, or dial one.

        Raises:
            Refused: an address is not allowed.
            aiohttp.ClientConnectorError: no address takes the call.
        """
        taken = await super().connect(req, traces, timeout)
        connection = taken.protocol
        if isinstance(connection, Connection):
            self._forget(connection)
            taken.add_callback(partial(self._rest, connection))
        return taken

    def _rest(self, connection: Connection) -> None:
        self._idle[connection] = None
        if len(self._idle) > self._keep:
            next(iter(self._idle)).close()

    def _forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, address = info
        host, port = address[:2]
        self._policy.check_addresses(host, port, [ip_address(host)])
        return socket.socket(family, kind, proto)


class _CheckedResolver(AbstractResolver):
    """Resolves a name once, and answers addresses that were all checked."""

    def __init__(self, policy: Policy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up.

        Raises:
            Refused: one of its addresses is not allowed.
            OSError: it is not known.
        """
        try:
            found = await self._resolve(host, port)
        except UnicodeError:
            found = ()
        if not found:
            raise OSError
        return [
            ResolveResult(
                hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in self._policy.checked(host, port, found)
        ]

    async def close(self) -> None:
        """Nothing is held."""


class SystemResolver:
    """The system's resolver, in threads of its own, so that names that hang keep no other threads busy."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="offloop-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look a name up.

        Raises:
            OSError: it is not known.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host, port)

    def close(self) -> None:
        """Wait for no lookup."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> list[str]:
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    return list(dict.fromkeys(found))
