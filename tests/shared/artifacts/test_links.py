"""Signed links: one artifact, one method, a short while; and one key for all front ends."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from arq.connections import ArqRedis

from offloop.artifacts.links import LINK_SECONDS, Links, shared_key
from offloop.artifacts.store import Artifact

KEY = b"k" * 32
links = Links(KEY, "https://jobs.example.org/base/")


def _artifact(artifact_id: str = "0123456789abcdef", seconds: float = 3600) -> Artifact:
    return Artifact(artifact_id, "a", "x/y", 1, "", int((time.time() + seconds) * 1000), "")


def _query(url: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(url).query)
    return query["expires"][0], query["signature"][0]


def test_a_link_holds_for_its_artifact_and_method_only() -> None:
    url = links.download(_artifact())
    assert url.startswith("https://jobs.example.org/base/files/0123456789abcdef?")
    expires, signature = _query(url)
    assert links.holds("GET", "0123456789abcdef", expires, signature)
    assert not links.holds("PUT", "0123456789abcdef", expires, signature)
    assert not links.holds("GET", "0123456789abcdee", expires, signature)
    assert not links.holds("GET", "0123456789abcdef", str(int(expires) + 1), signature)
    assert not Links(b"other" * 8, "").holds("GET", "0123456789abcdef", expires, signature)
    assert links.holds("PUT", "0123456789abcdef", *_query(links.upload(_artifact())))


def test_a_link_holds_for_15_minutes_or_as_long_as_its_artifact() -> None:
    now = time.time()
    assert abs(links.expires(_artifact()) - now - LINK_SECONDS) <= 2
    assert abs(links.expires(_artifact(seconds=60)) - now - 60) <= 2
    expires, signature = _query(links.download(_artifact(seconds=-1)))
    assert not links.holds("GET", "0123456789abcdef", expires, signature)


@pytest.mark.parametrize("expires", ["", "x", "-1", "1e99", "²", "٣", " 1", "9" * 5000])
@pytest.mark.parametrize("signature", ["", "ü", "0" * 64])
def test_a_forged_link_does_not_hold(expires: str, signature: str) -> None:
    assert not links.holds("GET", "0123456789abcdef", expires, signature)


@pytest.mark.anyio
async def test_all_front_ends_share_the_key_of_the_first(redis: ArqRedis) -> None:
    first, *others = await asyncio.gather(*(shared_key(redis) for _ in range(5)))
    assert len(first) == 32
    assert set(others) == {first}
