"""An HTTP client that asks only whom a `Policy` allows.

It holds to the policy at two places: every request's URL is checked before it is sent, and every connection is dialled
to an address that was resolved once and checked, under the host's own name (``Host``, TLS). So neither a redirect nor
a name server that changes its answer leads past it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext, SSLError
from typing import Any, Final

import httpx2

from offloop.outbound.addresses import literal
from offloop.outbound.http1 import Connection
from offloop.outbound.policy import PORTS, Policy, short
from offloop.outbound.pool import Connections

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


class GuardedTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 that checks each URL, and each address it dials."""

    def __init__(
        self, policy: Policy, *, keep: int = 64, resolve: Resolve | None = None, verify: SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._system = None if resolve else SystemResolver()
        # Where the operator's certificates lie (SSL_CERT_FILE) is no way around the guard; a proxy would be one.
        context = verify or httpx2.create_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        self.connections = Connections(Dialler(policy, resolve or self._system or SystemResolver(), context), keep)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            Refused: the policy does not allow it.
            httpx2.TransportError: no connection, or no answer.
        """
        self._policy.check(str(request.url))
        answer = await self.connections.ask(request)
        return httpx2.Response(answer.status, headers=answer.headers, stream=answer)

    async def aclose(self) -> None:
        """Close the connections, forget the lookups that hang."""
        self.connections.close()
        if self._system:
            self._system.close()


class Dialler:
    """Connects to hosts by addresses that were checked.

    Args:
        policy: which are allowed.
        resolve: how names become addresses.
        context: which certificates are trusted.
    """

    def __init__(self, policy: Policy, resolve: Resolve, context: SSLContext) -> None:
        self._policy = policy
        self._resolve = resolve
        self._context = context

    async def __call__(self, url: httpx2.URL, seconds: float | None, make: Callable[[], Connection]) -> Connection:
        """Look the host up once, check all its addresses, and dial them in turn.

        Args:
            url: whose origin is dialled.
            seconds: for all of it; None for as long as it takes.
            make: a connection, when an address is reached.

        Raises:
            Refused: one of the addresses is not allowed.
            httpx2.ConnectError: none of them takes the call.
            httpx2.ConnectTimeout: none does in time.
        """
        host = url.raw_host.decode("ascii")
        port = PORTS[url.scheme] if url.port is None else url.port
        ends = None if seconds is None else time.monotonic() + seconds
        addresses = self._policy.checked(host, port, await self._look_up(host, port, seconds))
        failure: Exception = httpx2.ConnectError(f"{short(host)} has no address")
        for number, address in enumerate(addresses):
            # One that does not answer leaves the others their share of the time.
            share = None if ends is None else max(0.01, ends - time.monotonic()) / (len(addresses) - number)
            try:
                return await self._dial(str(address), port, host if url.scheme == "https" else None, share, make)
            except TimeoutError:
                failure = httpx2.ConnectTimeout("it does not answer")
            except OSError as error:
                failure = httpx2.ConnectError(_reason(error))
        raise failure

    async def _dial(
        self, address: str, port: int, name: str | None, seconds: float | None, make: Callable[[], Connection]
    ) -> Connection:
        """One address; with a name, under TLS, and the certificate must be for that name."""
        loop = asyncio.get_running_loop()
        secured: dict[str, Any] = {"ssl": self._context, "server_hostname": name} if name else {}
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(make, address, port, **secured)
        return connection

    async def _look_up(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        if address := literal(host):
            return [str(address)]
        try:
            async with asyncio.timeout(seconds):
                return await self._resolve(host, port)
        except TimeoutError:
            message = f"the name {short(host)} was not resolved within {seconds:g} s"
            raise httpx2.ConnectTimeout(message) from None
        except (OSError, UnicodeError):
            message = f"there is no host {short(host)}, or no name server answers"
            raise httpx2.ConnectError(message) from None


def _reason(error: OSError) -> str:
    """Why there is no connection, without the address; event loops word it differently."""
    if isinstance(error, SSLError) or not error.errno:
        return str(error)
    return os.strerror(error.errno)


class SystemResolver:
    """The system's resolver, in threads of its own: names that hang keep nobody else's threads busy."""

    def __init__(self) -> None:
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
        pass


def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
