"""Files over plain HTTP: ranges, heads, uploads, and links that must hold."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from arq.connections import ArqRedis
from starlette.applications import Starlette
from starlette.routing import Route

from offloop.artifacts.links import Links
from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.redis.codec import timestamp
from offloop_server.web.files import Files

pytestmark = pytest.mark.anyio

CONTENT = b"0123456789"
LARGE = os.urandom((1 << 20) + 5)
MAX_BYTES = 2 << 20
links = Links(b"k" * 32, "http://test")


@pytest.fixture
def store(redis: ArqRedis, tmp_path: Path) -> ArtifactStore:
    """A store in a local folder."""
    return ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=60)


@pytest.fixture
async def client(store: ArtifactStore) -> AsyncIterator[httpx2.AsyncClient]:
    """Talks to the routes of files."""
    files = Files(store, links, MAX_BYTES)
    app = Starlette(routes=[Route("/files/{artifact_id}", files.handle, methods=["GET", "PUT"])])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as found:
        yield found


async def _put(store: ArtifactStore, tmp_path: Path, content: bytes = CONTENT, name: str = "a.bin") -> Artifact:
    path = tmp_path / "source"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return await store.put(path, principal="alice", name=name, mime_type="text/html", digest=digest)


async def test_a_download_is_whole_and_cannot_do_harm_in_a_browser(
    client: httpx2.AsyncClient, store: ArtifactStore, tmp_path: Path
) -> None:
    artifact = await _put(store, tmp_path, LARGE, 'ü"\r\n/..html')
    answer = await client.get(links.download(artifact))
    assert (answer.status_code, answer.content) == (200, LARGE)
    assert answer.headers["Content-Length"] == str(len(LARGE))
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["ETag"] == f'"{artifact.sha256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%22%0D%0A%2F..html"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.fixture
async def url(store: ArtifactStore, tmp_path: Path) -> str:
    """A link to ten bytes."""
    return links.download(await _put(store, tmp_path))


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-3", 206, (0, 4)),
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=5-", 206, (5, 10)),
        ("bytes=9-9", 206, (9, 10)),
        ("bytes=9-100", 206, (9, 10)),
        ("bytes=0-", 206, (0, 10)),
        ("bytes=-3", 206, (7, 10)),
        ("bytes=-100", 206, (0, 10)),
        (" bytes=1-2 ", 206, (1, 3)),
        ("bytes=10-", 416, None),
        ("bytes=10-20", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=3-1", 200, None),
        ("bytes=-", 200, None),
        ("bytes=a-b", 200, None),
        ("bytes=0-1,3-4", 200, None),
        ("items=0-1", 200, None),
        ("bytes=" + "9" * 30 + "-", 200, None),
    ],
)
async def test_ranges(
    client: httpx2.AsyncClient, url: str, asked: str, status: int, span: tuple[int, int] | None
) -> None:
    """One range is served; a range beyond the end is 416; other headers are ignored, as RFC 9110 demands."""
    answer = await client.get(url, headers={"Range": asked})
    assert answer.status_code == status
    if span:
        assert answer.content == CONTENT[slice(*span)]
        assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/10"
        assert answer.headers["Content-Length"] == str(span[1] - span[0])
    elif status == 416:
        assert answer.headers["Content-Range"] == "bytes */10"
    else:
        assert (answer.content, "Content-Range" in answer.headers) == (CONTENT, False)
    head = await client.head(url, headers={"Range": asked})
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-0", "bytes=-1"])
async def test_no_range_of_an_empty_file_can_be_served(
    client: httpx2.AsyncClient, store: ArtifactStore, tmp_path: Path, asked: str
) -> None:
    url = links.download(await _put(store, tmp_path, b""))
    assert (await client.get(url)).content == b""
    assert (await client.get(url, headers={"Range": asked})).status_code == 416


async def test_an_invalid_link_is_forbidden_and_the_answer_names_the_tools_that_make_another(
    client: httpx2.AsyncClient, store: ArtifactStore, tmp_path: Path
) -> None:
    artifact = await _put(store, tmp_path)
    good = links.download(artifact)
    for url in (
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        re.sub(r"expires=\d+", "expires=1", good),
        re.sub(r"expires=\d+", "expires=" + "9" * 5000, good),
        good.partition("?")[0],
        links.upload(artifact),
    ):
        answer = await client.get(url)
        assert answer.status_code == 403
        assert "job_status and create_upload make new ones" in answer.json()["error"]
    assert (await client.put(good, content=b"x")).status_code == 403


async def test_files_that_have_expired_or_not_arrived_are_not_found(
    client: httpx2.AsyncClient, store: ArtifactStore, tmp_path: Path, redis: ArqRedis
) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    assert (await client.get(links.download(reserved))).status_code == 404
    artifact = await _put(store, tmp_path)
    await redis.flushall()
    assert (await client.get(links.download(artifact))).status_code == 404
    assert (await client.put(links.upload(artifact), content=b"x")).status_code == 404


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_upload_is_accepted_once(client: httpx2.AsyncClient, store: ArtifactStore, *, streamed: bool) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    answer = await client.put(links.upload(reserved), content=_pieces(LARGE) if streamed else LARGE)
    digest = hashlib.sha256(LARGE).hexdigest()
    assert answer.status_code == 201
    assert answer.json() == {
        "artifact_id": reserved.artifact_id,
        "reference": f"artifact:{reserved.artifact_id}",
        "size": len(LARGE),
        "sha256": digest,
        "expires_at": timestamp((await store.find(reserved.artifact_id))[1].expires),
    }
    assert (await client.get(links.download(reserved))).content == LARGE
    again = await client.put(links.upload(reserved), content=b"other")
    assert (again.status_code, "already has its bytes" in again.json()["error"]) == (409, True)
    assert (await client.get(links.download(reserved))).content == LARGE


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_upload_has_a_limit_declared_or_not(
    client: httpx2.AsyncClient, store: ArtifactStore, *, streamed: bool
) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    much = bytes(MAX_BYTES + 1)
    answer = await client.put(links.upload(reserved), content=_pieces(much) if streamed else much)
    assert answer.status_code == 413
    assert str(MAX_BYTES) in answer.json()["error"]
    assert (await store.find(reserved.artifact_id))[1].pending


async def test_an_upload_without_bytes_is_refused(client: httpx2.AsyncClient, store: ArtifactStore) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    answer = await client.put(links.upload(reserved))
    assert (answer.status_code, "has no bytes" in answer.json()["error"]) == (400, True)
    assert (await store.find(reserved.artifact_id))[1].pending


async def test_a_store_that_does_not_answer_is_a_503_with_a_time(
    client: httpx2.AsyncClient, store: ArtifactStore, tmp_path: Path
) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    (tmp_path / "artifacts").rmdir()
    (tmp_path / "artifacts").write_text("no folder any more")
    answer = await client.put(links.upload(reserved), content=b"x")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert str(tmp_path) not in answer.text
