"""Fetching within bounds of time, bytes and redirects.

Redirects are followed here, one hop at a time, each checked by the policy.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

import aiohttp

import offloop
from offloop.errors import FetchFailed
from offloop.outbound import decompress, outcome
from offloop.outbound.client import ConnectError, ConnectTimeoutError, OutboundClient, ReadTimeoutError, TransportError
from offloop.outbound.heads import declared_type, headers_of, is_packed_file, packing, passed_on
from offloop.outbound.redirects import OutboundRequest, changes, checked, next_hop

_BATCH: Final = 1 << 20


Permit = Callable[[str], AbstractAsyncContextManager[float]]
"""Holds a permit to ask a host while the block runs; yields the seconds waited for it."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch.

    Attributes:
        connect: seconds for the name lookup and the connection, of each hop.
        read: seconds of silence in the middle of a response.
        total: seconds for everything but waiting for permits.
        max_bytes: of the unpacked body.
        redirects: most redirects to follow; one more is itself the response, and no success.
    """

    connect: float = 10
    read: float = 30
    total: float = 60
    max_bytes: int = 64 << 20
    redirects: int = outcome.MAX_REDIRECTS


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """A response, whatever its status.

    Attributes:
        status: of the last hop.
        url: the last hop's.
        headers: those of `heads.PASSED_ON` that it has, in lower case.
        mime_type: without parameters, in lower case; ``application/octet-stream`` where there is none that fits.
        charset: as declared, ``""`` where it is not.
        size: bytes of the unpacked body.
        sha256: of the unpacked body, in lower-case hexadecimal.
        redirects: the URLs that redirected, in order.
        seconds: all attempts and the pauses between them, without waiting for permits.
        waited: seconds spent waiting for permits.
        attempts: how often the first URL was asked.
        body: unpacked; empty if it was written to a file.
        head: beginning of the unpacked body.
        fault: why it is no success, ``""`` where its status says all; None for a success.
        no_file: why the body of a success is not the file that was asked for; ``""`` where it is.
        changes: sentences about what redirects changed in the request.
    """

    status: int
    url: str
    headers: dict[str, str]
    mime_type: str
    charset: str
    size: int
    sha256: str
    redirects: tuple[str, ...]
    seconds: float
    waited: float
    attempts: int = 1
    body: bytes = b""
    head: bytes = b""
    fault: str | None = None
    no_file: str = ""
    changes: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The host and port that answered."""
        return self.url.split("/")[2]

    @property
    def failed(self) -> bool:
        """Whether it is no success, by the rule of `offloop.outbound.outcome`."""
        return self.fault is not None

    def refusal(self) -> FetchFailed:
        """The error for a response that is no success, or not the file."""
        why = self.fault or self.no_file or outcome.quoted(self.head, self.mime_type, self.charset)
        return outcome.refusal(self.status, self.url, why, self.headers.get("retry-after", ""))


@asynccontextmanager
async def unlimited(_host: str) -> AsyncIterator[float]:
    """Permit every request without waiting."""
    yield 0.0


async def fetch_to(
    client: OutboundClient,
    request: OutboundRequest,
    into: BinaryIO,
    limits: FetchLimits | None = None,
    *,
    permit: Permit = unlimited,
) -> OutboundResponse:
    """Send a request and write the unpacked body of its response to a file.

    A file on disk is written in a thread, a `BytesIO` on the loop. A response with an error's status is a response.

    Args:
        client: sends the request; its policy checks each hop.
        request: the request.
        into: receives the body.
        limits: bounds of time and bytes.
        permit: acquired before each hop, and held until its response is read.

    Raises:
        Refused: the URL, or one it redirects to, may not be asked.
        BadInput: a header cannot be sent.
        FetchFailed: no response, or not within the limits.
    """
    limits = limits or FetchLimits()
    url = client.policy.check(request.url)
    request = replace(request, headers=checked(request.headers or {}))
    first = request
    passed: list[str] = []
    spent = waited = 0.0
    while True:
        async with permit(url.host) as waiting:
            waited += waiting
            began = time.monotonic()
            with _reported(url.host, limits):
                async with (
                    asyncio.timeout(limits.total - spent),
                    client.send(url, _ours(request, str(url)), connect=limits.connect, read=limits.read) as response,
                ):
                    headers = headers_of(response)
                    where = headers.get("location", "") if response.status in outcome.REDIRECTS else ""
                    if not where or len(passed) == limits.redirects:
                        body = await _read(response, headers, into, limits.max_bytes)
                        spent += time.monotonic() - began
                        found = _described(response.status, headers, body, request, (*passed, str(url)))
                        told = changes(first, request, url.host) if passed else ()
                        return replace(found, seconds=spent, waited=waited, changes=told)
                    await _skip(response, headers)
            spent += time.monotonic() - began
        passed.append(str(url))
        url, request = next_hop(client.policy, url, request, response.status, where)


@contextmanager
def _reported(host: str, limits: FetchLimits) -> Iterator[None]:
    """Convert failures into `FetchFailed` with a message that names the cause, the limit and a remedy."""
    try:
        yield
    except TimeoutError:
        message = f"{host} did not answer in full within {round(limits.total, 2):g} s. Try again, or allow more time."
        raise FetchFailed(message, code="timeout") from None
    except TransportError as error:
        raise _failed(host, error, limits) from None
    except FetchFailed as error:
        message = f"The answer of {host} cannot be used: {error.message}."
        raise FetchFailed(message, code=error.reason, retryable=error.retryable) from None


def _ours(request: OutboundRequest, url: str) -> OutboundRequest:
    headers = {
        "accept": "*/*",
        "user-agent": f"offloop/{offloop.__version__}",
        **(request.headers or {}),
        "accept-encoding": "identity" if is_packed_file(url) else decompress.ACCEPTED,
    }
    return replace(request, headers=headers)


async def _skip(response: aiohttp.ClientResponse, headers: dict[str, str]) -> None:
    """Read a body that is small and not needed, so that its connection can be used again."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) <= decompress.PIECE:
        async for _ in response.content.iter_any():
            pass


@dataclass(frozen=True, slots=True)
class _Body:
    """Size, digest and beginning of an unpacked body."""

    size: int
    sha256: str
    head: bytes


async def _read(response: aiohttp.ClientResponse, headers: dict[str, str], into: BinaryIO, max_bytes: int) -> _Body:
    """Unpack, count, hash and write the body.

    Raises:
        FetchFailed: it is too large, or not packed as it says.
    """
    declared = headers.get("content-length", "")
    if response.method != "HEAD" and declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    decompressor = decompress.Decompressor(packing(response, headers))
    digest, size, batch, head = hashlib.sha256(), 0, bytearray(), b""
    async for raw in response.content.iter_any():
        for piece in decompressor.feed(raw):
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes)
            digest.update(piece)
            batch += piece
            head = head or bytes(batch[: outcome.HEAD]) if size >= outcome.HEAD else head
            if len(batch) >= _BATCH:
                await _write(into, batch)
                batch = bytearray()
    decompressor.end()
    head = head or bytes(batch[: outcome.HEAD])
    await _write(into, batch)
    return _Body(size, digest.hexdigest(), head)


async def _write(into: BinaryIO, data: bytearray) -> None:
    if isinstance(into, io.BytesIO):
        into.write(data)
        await asyncio.sleep(0)  # yields: a small packed body may unpack to many pieces without another await
    elif data:
        await asyncio.to_thread(into.write, data)


def _too_large(max_bytes: int) -> FetchFailed:
    size = f"{max_bytes / (1 << 20):g} MiB" if max_bytes >= 1 << 20 else f"{max_bytes} bytes"
    return FetchFailed(f"its body is larger than {size}, unpacked", code="too_large", retryable=False)


def _described(
    status: int, found: dict[str, str], body: _Body, request: OutboundRequest, urls: Sequence[str]
) -> OutboundResponse:
    headers, (mime_type, charset) = passed_on(found), declared_type(found)
    asked, passed, url = request.headers or {}, urls[:-1], urls[-1]
    return OutboundResponse(
        status=status,
        url=url,
        headers=headers,
        mime_type=mime_type,
        charset=charset,
        size=body.size,
        sha256=body.sha256,
        redirects=tuple(passed),
        seconds=0.0,
        waited=0.0,
        head=body.head,
        fault=outcome.fault(status, headers, asked, passed, url),
        no_file=outcome.no_file(status, headers, asked, request.method),
    )


def _failed(host: str, error: TransportError, limits: FetchLimits) -> FetchFailed:
    """The error for a failure of the transport; its message names the limit and a remedy."""
    reason = str(error).strip()[:200]
    match error:
        case ConnectTimeoutError():
            message = f"No connection to {host} within {limits.connect:g} s. Try again later, or check the address."
            return FetchFailed(message, code="timeout")
        case ReadTimeoutError():
            message = f"{host} was silent for {limits.read:g} s in the middle of a request. Try again, or wait longer."
            return FetchFailed(message, code="timeout")
        case ConnectError():
            message = f"No connection to {host}: {reason or 'it was refused'}. Check the address, or try again later."
            return FetchFailed(message, code="connect_failed")
    message = f"{host} broke off: {reason or 'it did not say why'}. Try again later."
    return FetchFailed(message)
