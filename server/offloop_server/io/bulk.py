"""Many URLs at once, without one host in the way of the others."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import httpx2

from offloop import logs
from offloop.errors import FetchFailed, OffloopError
from offloop_server.io.http import Fetcher
from offloop_server.io.http_answers import BulkAnswer, HttpAnswer, failed

_STAGGER: Final = 0.0005
"""Seconds between the starts of lanes: hundreds that begin, and so end, at one moment would hold the loop up."""

log = logs.get(__name__)


async def bulk(
    urls: Sequence[str], fetch: Callable[[str], Awaitable[HttpAnswer]], fetcher: Fetcher, seconds: float
) -> BulkAnswer:
    """Fetch each distinct URL once.

    Each host has lanes, as many as it may have requests in flight, so that a host that hangs holds its own URLs up and
    no others.

    Args:
        urls: in any order, with repetitions.
        fetch: answers one of them.
        fetcher: says which are the same, and who may be asked.
        seconds: after which what is not finished is answered as such.
    """
    began = time.monotonic()
    done: dict[str, HttpAnswer] = {}
    keys: list[str] = []
    known: set[str] = set()
    hosts: defaultdict[str, deque[str]] = defaultdict(deque)
    for url in urls:
        try:
            parsed = fetcher.policy.check(url)
        except OffloopError as error:
            keys.append(url)
            done[url] = failed(url, error)
            continue
        keys.append(str(parsed))
        if keys[-1] not in known:
            known.add(keys[-1])
            hosts[parsed.host].append(keys[-1])

    async def lane(number: int, waiting: deque[str]) -> None:
        await asyncio.sleep(number * _STAGGER)
        while waiting:
            url = waiting.popleft()
            done[url] = await _told(url, fetch)

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as lanes:
            numbers = itertools.count()
            for waiting in list(hosts.values()):
                for _ in range(min(len(waiting), fetcher.per_host)):
                    lanes.create_task(lane(next(numbers), waiting))
    except TimeoutError:
        pass
    answers = [
        done[key].model_copy(update={"url": url}) if key in done else failed(url, _unfinished(seconds))
        for url, key in zip(urls, keys, strict=True)
    ]
    return BulkAnswer(
        results=answers,
        total=len(answers),
        succeeded=sum(answer.ok for answer in answers),
        total_ms=round((time.monotonic() - began) * 1000),
    )


async def _told(url: str, fetch: Callable[[str], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """An answer, or why there is none; whatever it is, it is not the others'."""
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
