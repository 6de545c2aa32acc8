"""An HTTP client that asks only whom a `Policy` allows.

It holds to the policy at two places: every request's URL is checked before it is sent, and every connection is dialled
to an address that was resolved once and checked, under the host's own name (``Host``, TLS). So neither a redirect nor
a name server that changes its answer leads past it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from typing import Any, Final

import httpcore2
import httpx2

from offloop.addresses import literal
from offloop.connections import Connections
from offloop.urls import Policy, short

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to its addresses as text. Raises OSError where the name is not known."""

_RESOLVERS: Final = 32
"""Threads for names: a name server that hangs holds one for as long as the system's resolver waits."""


def guarded_client(
    policy: Policy, *, keep: int = 64, resolve: Resolve | None = None, verify: SSLContext | None = None
) -> httpx2.AsyncClient:
    """A client that asks only whom the policy allows; close it, or use it as a context manager.

    It takes nothing from the environment but where certificates lie, follows no redirects and keeps no cookies.

    Args:
        policy: who may be asked.
        keep: idle connections that are kept for the next request, at most.
        resolve: how names become addresses; default: as the system does.
        verify: which certificates are trusted; default: those the system trusts.
    """
    return client_of(GuardedTransport(policy, keep=keep, resolve=resolve, verify=verify))


def client_of(transport: GuardedTransport) -> httpx2.AsyncClient:
    """A client on a transport of one's own."""
    return httpx2.AsyncClient(transport=transport, cookies=_NoCookies(), follow_redirects=False, trust_env=False)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """HTTP/1.1 that checks each URL, and each address it dials."""

    def __init__(
        self, policy: Policy, *, keep: int = 64, resolve: Resolve | None = None, verify: SSLContext | None = None
    ) -> None:
        """Nothing is opened yet."""
        # Where the operator's certificates lie (SSL_CERT_FILE) is no way around the guard; a proxy would be one.
        context = verify or httpx2.create_ssl_context()
        super().__init__(verify=context, trust_env=False)
        self._policy = policy
        self._system = None if resolve else SystemResolver()
        self.connections = Connections(Dialler(policy, resolve or self._system or SystemResolver()), context, keep)
        # httpx2 has no argument for who dials; all it asks of a pool is what `Connections` has.
        self._pool = self.connections  # type: ignore[assignment]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            Refused: the policy does not allow it.
        """
        self._policy.check(str(request.url))
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections, forget the lookups that hang."""
        await super().aclose()
        if self._system:
            self._system.close()


class Dialler(httpcore2.AsyncNetworkBackend):
    """Connects to hosts by addresses that were checked.

    Args:
        policy: which are allowed.
        resolve: how names become addresses.
    """

    def __init__(self, policy: Policy, resolve: Resolve) -> None:
        """Keep both."""
        self._policy = policy
        self._resolve = resolve
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the backend's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Look the host up once, check all its addresses, and dial them in turn.

        Raises:
            Refused: one of them is not allowed.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        addresses = self._policy.checked(host, port, await self._look_up(host, port, timeout))
        failure: Exception = httpcore2.ConnectError(f"{short(host)} has no address")
        for number, address in enumerate(addresses):
            # One that does not answer leaves the others their share of the time.
            share = None if ends is None else max(0.01, ends - time.monotonic()) / (len(addresses) - number)
            try:
                dialled = self._backend.connect_tcp(str(address), port, share, local_address, socket_options)
                return _Line(await dialled)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _look_up(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        if address := literal(host):
            return [str(address)]
        try:
            async with asyncio.timeout(seconds):
                return await self._resolve(host, port)
        except TimeoutError:
            message = f"the name {short(host)} was not resolved within {seconds:g} s"
            raise httpcore2.ConnectTimeout(message) from None
        except (OSError, UnicodeError):
            message = f"there is no host {short(host)}, or no name server answers"
            raise httpcore2.ConnectError(message) from None


class _Line(httpcore2.AsyncNetworkStream):
    """A connection that does not stay open when whoever waits for TLS on it leaves; httpcore2's own would."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- the backend's signature
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- the backend's signature
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- the backend's signature
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._stream.aclose()
            raise


class SystemResolver:
    """The system's resolver, in threads of its own: names that hang keep nobody else's threads busy."""

    def __init__(self) -> None:
        """No thread yet."""
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="offloop-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look a name up.

        Raises:
            OSError: it is not known.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Wait for no lookup."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _NoCookies(httpx2.Cookies):
    """What one caller's answer sets must not be sent with another's request."""

    def extract_cookies(self, response: httpx2.Response) -> None:
        """Take none."""


def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
