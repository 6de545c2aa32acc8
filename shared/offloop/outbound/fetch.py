"""One request to the outside and its answer, within bounds of time, bytes and redirects.

Redirects are followed here, one checked hop after the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

import httpx2

import offloop
from offloop.errors import FetchFailed
from offloop.outbound import decompress
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import MAX_VALUE, Ask, checked, next_hop

__all__ = ["SHOWN", "Ask", "Bounds", "Fetched", "Turn", "fetch_to", "no_turn"]

SHOWN: Final = (
    "cache-control", "content-disposition", "content-language", "content-length", "content-range", "content-type",
    "date", "etag", "expires", "last-modified", "link", "location", "retry-after", "vary", "x-request-id",
)  # fmt: skip
"""Headers of an answer that are passed on; never cookies."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MIME: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_BATCH: Final = 1 << 20


Turn = Callable[[str], AbstractAsyncContextManager[float]]
"""Waits until a host may be asked, and answers for how many seconds; the turn ends with the block."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one fetch may take.

    Attributes:
        connect: seconds for the name lookup and the connection, of each hop.
        read: seconds of silence in the middle of an answer.
        total: seconds for everything but waiting for turns.
        max_bytes: of the unpacked body.
        redirects: how many are followed; with 0 the redirect itself is the answer.
    """

    connect: float = 10
    read: float = 30
    total: float = 60
    max_bytes: int = 64 << 20
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its status.

    Attributes:
        status: of the last hop.
        url: the last hop's.
        headers: those of `SHOWN` that it had, in lower case.
        mime_type: without parameters, in lower case; ``application/octet-stream`` where there is none that fits.
        charset: as declared, ``""`` where it is not.
        size: bytes of the unpacked body.
        sha256: of the unpacked body, in lower-case hexadecimal.
        redirects: the URLs that were left for another, in order.
        seconds: how long it took, without waiting for turns.
        waited: seconds of waiting for turns.
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


@asynccontextmanager
async def no_turn(_host: str) -> AsyncIterator[float]:
    """Every host may be asked at once."""
    yield 0.0


async def fetch_to(  # noqa: PLR0913 -- two say who may be asked and how, two what, one within which bounds, one when
    client: httpx2.AsyncClient,
    policy: Policy,
    ask: Ask,
    into: BinaryIO,
    bounds: Bounds | None = None,
    *,
    turn: Turn = no_turn,
) -> Fetched:
    """Send a request and write the unpacked body of its answer to a file.

    A file on disk is written in a thread, a `BytesIO` at once. An answer with an error's status is an answer.

    Args:
        client: of `guarded_client`, for the same policy.
        policy: who may be asked.
        ask: the request.
        into: takes the body.
        bounds: what it may take.
        turn: waited for before each hop, and held until its answer is read.

    Raises:
        Refused: the URL, or one it redirects to, may not be asked.
        BadInput: a header cannot be sent.
        FetchFailed: no answer, or not within the bounds.
    """
    bounds = bounds or Bounds()
    url = policy.check(ask.url)
    ask = replace(ask, headers=checked(ask.headers or {}))
    passed: list[str] = []
    spent = waited = 0.0
    while True:
        async with turn(url.host) as waiting:
            waited += waiting
            began = time.monotonic()
            with _told(url.host, bounds):
                async with asyncio.timeout(bounds.total - spent), _answer(client, url, ask, bounds) as response:
                    if len(passed) == bounds.redirects or not _redirects(response):
                        size, digest = await _read(response, into, bounds.max_bytes, head=ask.method == "HEAD")
                        spent += time.monotonic() - began
                        return _fetched(response, size, digest, passed, (spent, waited))
                    await _skip(response)
            spent += time.monotonic() - began
        passed.append(str(url))
        url, ask = next_hop(policy, url, ask, response)


@contextmanager
def _told(host: str, bounds: Bounds) -> Iterator[None]:
    """Failures on the way, in words that say what, how long, and what to try."""
    try:
        yield
    except TimeoutError:
        message = f"{host} did not answer in full within {round(bounds.total, 2):g} s. Try again, or allow more time."
        raise FetchFailed(message, code="timeout") from None
    except httpx2.HTTPError as error:
        raise _failed(host, error, bounds) from None
    except FetchFailed as error:
        message = f"The answer of {host} cannot be used: {error.message}."
        raise FetchFailed(message, code=error.reason, retryable=error.retryable) from None


@asynccontextmanager
async def _answer(
    client: httpx2.AsyncClient, url: httpx2.URL, ask: Ask, bounds: Bounds
) -> AsyncIterator[httpx2.Response]:
    response = await client.send(_request(url, ask, bounds), stream=True)
    try:
        yield response
    finally:
        await response.aclose()


async def _skip(response: httpx2.Response) -> None:
    """Read a body that is small and not needed, so that its connection can be used again."""
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) <= decompress.PIECE:
        async for _ in response.aiter_raw():
            pass


def _redirects(response: httpx2.Response) -> bool:
    return response.status_code in _REDIRECTS and "location" in response.headers


def _request(url: httpx2.URL, ask: Ask, bounds: Bounds) -> httpx2.Request:
    headers = {
        "accept": "*/*",
        "user-agent": f"offloop/{offloop.__version__}",
        **(ask.headers or {}),
        "accept-encoding": decompress.ACCEPTED,
    }
    seconds = {"connect": bounds.connect, "read": bounds.read, "write": bounds.read}
    # All is said here: to look for what a client adds to its requests takes as long as to make one.
    return httpx2.Request(ask.method, url, headers=headers, content=ask.content, extensions={"timeout": seconds})


async def _read(response: httpx2.Response, into: BinaryIO, most: int, *, head: bool) -> tuple[int, str]:
    """Unpack, count, hash and write the body.

    Raises:
        FetchFailed: it is too large, or not packed as it says.
    """
    declared = response.headers.get("content-length", "")
    if not head and declared.isdigit() and int(declared[:20]) > most:
        raise _too_large(most)
    decoder = decompress.Decoder("" if head else response.headers.get("content-encoding", ""))
    digest, size, batch = hashlib.sha256(), 0, bytearray()
    async for raw in response.aiter_raw():
        for piece in decoder.feed(raw):
            size += len(piece)
            if size > most:
                raise _too_large(most)
            digest.update(piece)
            batch += piece
            if len(batch) >= _BATCH:
                await _write(into, batch)
                batch = bytearray()
    decoder.end()
    await _write(into, batch)
    return size, digest.hexdigest()


async def _write(into: BinaryIO, data: bytearray) -> None:
    if isinstance(into, io.BytesIO):
        into.write(data)
        await asyncio.sleep(0)  # a packed body may unpack to much without any other await
    elif data:
        await asyncio.to_thread(into.write, data)


def _too_large(most: int) -> FetchFailed:
    size = f"{most / (1 << 20):g} MiB" if most >= 1 << 20 else f"{most} bytes"
    return FetchFailed(f"its body is larger than {size}, unpacked", code="too_large", retryable=False)


def _fetched(
    response: httpx2.Response, size: int, digest: str, passed: list[str], seconds: tuple[float, float]
) -> Fetched:
    headers = {name: response.headers[name][:MAX_VALUE] for name in SHOWN if name in response.headers}
    mime_type, _, parameters = headers.get("content-type", "").partition(";")
    mime_type = mime_type.strip().lower()
    charset = re.search(r"charset\s*=\s*\"?([A-Za-z0-9_.:-]{1,40})", parameters, re.IGNORECASE)
    return Fetched(
        status=response.status_code,
        url=str(response.request.url),
        headers=headers,
        mime_type=mime_type if _MIME.fullmatch(mime_type) else "application/octet-stream",
        charset=charset[1].lower() if charset else "",
        size=size,
        sha256=digest,
        redirects=tuple(passed),
        seconds=seconds[0],
        waited=seconds[1],
    )


def _failed(host: str, error: httpx2.HTTPError, bounds: Bounds) -> FetchFailed:
    """What went wrong on the way, in words that say how long, and what to try."""
    reason = str(error).strip()[:200]
    match error:
        case httpx2.ConnectTimeout():
            message = f"No connection to {host} within {bounds.connect:g} s. Try again later, or check the address."
            return FetchFailed(message, code="timeout")
        case httpx2.TimeoutException():
            message = f"{host} was silent for {bounds.read:g} s in the middle of a request. Try again, or wait longer."
            return FetchFailed(message, code="timeout")
        case httpx2.ConnectError():
            message = f"No connection to {host}: {reason or 'it was refused'}. Check the address, or try again later."
            return FetchFailed(message, code="connect_failed")
    message = f"{host} broke off: {reason or type(error).__name__}. Try again later."
    return FetchFailed(message)
