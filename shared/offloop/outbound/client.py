"""Outbound HTTP client: one aiohttp session for the life of a process, which asks only hosts that a `Policy` allows.

It follows no redirects, keeps no cookies, does not decompress or retry, and reads from the environment only the
location of certificates.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext, SSLError
from typing import Final, Self

import aiohttp
import httpx2
from aiohttp import http_parser
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from offloop.errors import SettingsError
from offloop.outbound.policy import CheckedUrl, Policy, short
from offloop.outbound.redirects import OutboundRequest
from offloop.outbound.transport import MAX_HEAD, BadResponseError, Connector, Resolve, SystemResolver

_MAX_HEADERS: Final = 1000
_PIECE: Final = 64 << 10
_SWITCHING_PROTOCOLS: Final = 101


class TransportError(Exception):
    """The connection broke, or the response is not HTTP/1.1; the message has the reason, and may be empty."""


class ConnectError(TransportError):
    """The connection failed."""


class ConnectTimeoutError(ConnectError):
    """The connection was not made within its time limit."""


class ReadTimeoutError(TransportError):
    """The host neither sent nor accepted a byte within the time limit."""


class OutboundClient:
    """Sends requests to hosts that the policy allows; an async context manager, or closed with `aclose`.

    Args:
        policy: hosts that may be asked.
        keep: maximum number of idle connections.
        resolve: how names become addresses; default: as the system does.
        verify: which certificates are trusted; default: those the system trusts.

    Raises:
        SettingsError: aiohttp would read responses with its lenient parser in Python.
    """

    def __init__(
        self, policy: Policy, *, keep: int = 64, resolve: Resolve | None = None, verify: SSLContext | None = None
    ) -> None:
        if policy.enabled and http_parser.HttpResponseParser is http_parser.HttpResponseParserPy:
            message = (
                "aiohttp runs without its C parser, and the other one accepts responses with two lengths. Unset "
                "AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel or with a compiler."
            )
            raise SettingsError(message)
        self.policy = policy
        self._keep = keep
        self._system = SystemResolver()
        self._resolve = resolve or self._system
        # The location of certificates (SSL_CERT_FILE) cannot bypass the guard; a proxy from the environment could.
        self._tls = verify or httpx2.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, and abandon the lookups that hang. Safe to call twice."""
        session, self._session = self._session, None
        if session:
            await session.close()
        self._system.close()

    @asynccontextmanager
    async def send(
        self, url: CheckedUrl, request: OutboundRequest, *, connect: float, read: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; the response is read inside the block. An unread response closes its connection.

        Args:
            url: the URL, from `Policy.check`; `request.url` is ignored.
            request: method, headers and body.
            connect: seconds for the name lookup, the connection and TLS.
            read: seconds in which the host neither accepts nor sends a byte.

        Raises:
            Refused: the host's addresses are not allowed.
            TransportError: no connection, or no whole response; raised inside the block as well.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read)
        body = _Body(request.content, read) if request.content else None
        try:
            async with self._opened().request(
                request.method, _url(url), headers=request.headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status == _SWITCHING_PROTOCOLS:
                    message = "it changes to a protocol that was not asked for"
                    raise TransportError(message)
                yield response
        except aiohttp.ClientError as error:
            raise _failure(error) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(self.policy, self._resolve, self._tls, self._keep),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                max_line_size=MAX_HEAD,
                max_field_size=MAX_HEAD,
                max_headers=_MAX_HEADERS,
                middlewares=(_once,),
            )
        return self._session


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from retrying a request whose connection broke: retries are the caller's, counted and bounded."""
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        raise _failure(error) from None


class _Body(aiohttp.Payload):
    """A body with a time limit for each piece that the host accepts."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__(content, content_type="application/octet-stream")
        self._size = len(content)
        self._content = content
        self._seconds = seconds

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for start in range(0, len(self._content), _PIECE):
            try:
                async with asyncio.timeout(self._seconds):
                    await writer.write(self._content[start : start + _PIECE])
            except TimeoutError:
                raise aiohttp.SocketTimeoutError from None


def _url(url: CheckedUrl) -> URL:
    """The URL in aiohttp's type, part by part: a second parser could find another host in it."""
    path, _, query = url.raw_path.decode("ascii").partition("?")
    host = url.raw_host.decode("ascii")
    host = f"[{host}]" if ":" in host else host
    return URL.build(scheme=url.scheme, host=host, port=url.port, path=path, query_string=query, encoded=True)


def _failure(error: aiohttp.ClientError) -> TransportError:
    """Translate an error of aiohttp."""
    kind: type[TransportError] = TransportError
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        kind = ConnectTimeoutError
    elif isinstance(error, aiohttp.ServerTimeoutError):
        kind = ReadTimeoutError
    elif isinstance(error, aiohttp.ClientConnectorError):
        kind = ConnectError
    return kind(_reason(error))


def _reason(error: aiohttp.ClientError) -> str:
    """Reason of a missing or incomplete response, without addresses; event loops and aiohttp word it differently."""
    reason = str(error)
    match error:
        case aiohttp.ClientConnectorDNSError():
            reason = f"there is no host {short(error.host)}, or no name server answers"
        case aiohttp.ClientConnectorCertificateError():
            reason = str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            reason = _system(error.os_error)
        case aiohttp.ClientOSError():
            reason = _system(error)
        case aiohttp.ClientResponseError():
            reason = f"it is not HTTP/1.1: {' '.join(error.message.split())[:150]}"
        case aiohttp.ServerDisconnectedError():
            reason = "it closed the connection without an answer"
        case aiohttp.ClientPayloadError() if not isinstance(error, BadResponseError):
            reason = "it closed the connection in the middle of its answer"
    return reason


def _system(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and not isinstance(error, SSLError) else str(error)
