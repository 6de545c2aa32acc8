"""Bulk fetching: many URLs concurrently, without one host in the way of the others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

import httpx2

from offloop import logs
from offloop.errors import FetchFailed, OffloopError
from offloop_server.io.http.answers import BulkAnswer, HttpAnswer, failed
from offloop_server.io.http.client import Fetcher

log = logs.get(__name__)


async def bulk(
    urls: Sequence[str], fetch: Callable[[str], Awaitable[HttpAnswer]], fetcher: Fetcher, seconds: float
) -> BulkAnswer:
    """Fetch each distinct URL once.

    Each host has as many lanes as it may have requests in flight, so a host that hangs delays only its own URLs.

    Args:
        urls: in any order, with repetitions.
        fetch: answers one of them.
        fetcher: its policy normalises and checks URLs; its limit is the number of lanes of a host.
        seconds: deadline; a URL that is not finished by then is answered with an error.
    """
    began = time.monotonic()
    done: dict[str, HttpAnswer] = {}
    keys: dict[str, str] = {}
    known: set[str] = set()
    hosts: defaultdict[str, deque[str]] = defaultdict(deque)
    lanes: Counter[str] = Counter()

    async def lane(host: str) -> None:
        while hosts[host]:
            url = hosts[host].popleft()
            done[url] = await _answered(url, fetch)
        lanes[host] -= 1

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for url in dict.fromkeys(urls):
                # Yields to other calls, and spreads the starts: hundreds that start in one iteration would end in one.
                await asyncio.sleep(0)
                try:
                    parsed = fetcher.policy.check(url)
                except OffloopError as error:
                    done[url] = failed(url, error)
                    continue
                key = keys[url] = str(parsed)
                if key in known:
                    continue
                known.add(key)
                hosts[parsed.host].append(key)
                if lanes[parsed.host] < fetcher.per_host:
                    lanes[parsed.host] += 1
                    group.create_task(lane(parsed.host))
    answers = [_named(url, done.get(keys.get(url, url)), seconds) for url in urls]
    return BulkAnswer(
        results=answers,
        total=len(answers),
        succeeded=sum(answer.ok for answer in answers),
        total_ms=round((time.monotonic() - began) * 1000),
    )


def _named(url: str, found: HttpAnswer | None, seconds: float) -> HttpAnswer:
    """The same answer under the URL as it was asked for."""
    if found is None:
        return failed(url, _unfinished(seconds))
    return found if found.url == url else found.model_copy(update={"url": url})


async def _answered(url: str, fetch: Callable[[str], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """Fetch one URL; a failure is its own answer, and does not touch the others."""
    try:
        return await fetch(url)
    except OffloopError as error:
        return failed(url, error)
    except Exception:
        log.exception("one of many URLs failed", host=httpx2.URL(url).host)
        message = "It failed inside the server; the operator's log has the reason."
        return failed(url, FetchFailed(message, code="internal", retryable=False))


def _unfinished(seconds: float) -> FetchFailed:
    message = f"not finished within deadline_seconds={seconds:g}. Ask for it again, or allow more time."
    return FetchFailed(message, code="timeout")
