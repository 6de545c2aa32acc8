"""Files over plain HTTP: signed links, ranges, uploads; and read_artifact for clients that cannot follow a link."""

from __future__ import annotations

import base64
import hashlib
import io
import random
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from PIL import Image

from support.stack.client import Caller
from support.stack.stack import MAX_UPLOAD_MB, Stack

pytestmark = pytest.mark.anyio
CONTENT = random.Random(11).randbytes(100_000)  # noqa: S311 -- no security needed


def changed(url: str, **query: str) -> str:
    """The link with other query parameters; an empty value removes one."""
    parts = urlsplit(url)
    merged = {name: value for name, value in {**dict(parse_qsl(parts.query)), **query}.items() if value}
    return urlunsplit(parts._replace(query=urlencode(merged)))


async def link_of(caller: Caller, content: bytes = CONTENT, name: str = "b.bin", mime: str = "text/plain") -> str:
    """The download link of an uploaded file."""
    reference = await caller.upload(content, name, mime)
    part = await caller.call("read_artifact", artifact_id=reference.removeprefix("artifact:"), length=1)
    return str(part.data["download_url"])


async def test_a_signed_link_gives_the_file_without_a_key_and_safely(stack: Stack) -> None:
    """A browser may neither run it nor sniff its type, and no cache may store it."""
    async with stack.client() as caller:
        response = await caller.http.get(await link_of(caller, name="späte Grüße.html", mime="text/html"))
        assert (response.status_code, response.content) == (200, CONTENT)
        headers = response.headers
        assert headers["Content-Type"].startswith("text/html")
        assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''sp%C3%A4te%20Gr%C3%BC%C3%9Fe.html"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
        assert headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("span", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=-7", 99_993, 100_000),
        ("bytes=5-999999", 5, 100_000),
    ],
)
async def test_a_range_gives_that_part(stack: Stack, span: str, start: int, end: int) -> None:
    async with stack.client() as caller:
        response = await caller.http.get(await link_of(caller), headers={"Range": span})
        assert response.status_code == 206
        assert response.content == CONTENT[start:end]
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/100000"


async def test_a_range_beyond_the_end_is_416_and_an_odd_one_is_ignored(stack: Stack) -> None:
    async with stack.client() as caller:
        link = await link_of(caller)
        beyond = await caller.http.get(link, headers={"Range": "bytes=100000-"})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */100000")
        odd = await caller.http.get(link, headers={"Range": "lines=1-2"})
        assert (odd.status_code, odd.content) == (200, CONTENT)


async def test_head_returns_the_size_without_the_bytes(stack: Stack) -> None:
    async with stack.client() as caller:
        response = await caller.http.head(await link_of(caller))
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["Content-Length"] == "100000"


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "0" * 64},
        {"signature": ""},
        {"expires": "99999999999"},
        {"expires": "1"},
        {"expires": "soon"},
        {"expires": ""},
        {"expires": "\u00b2\u00b3"},
        {"signature": "\u00e4"},
    ],
    ids=str,
)
async def test_a_link_that_was_changed_or_has_run_out_is_403(stack: Stack, change: dict[str, str]) -> None:
    async with stack.client() as caller:
        response = await caller.http.get(changed(await link_of(caller), **change))
        assert response.status_code == 403
        assert "job_status" in response.json()["error"]


async def test_a_link_reads_only_its_own_file_and_does_not_write(stack: Stack) -> None:
    async with stack.client() as caller:
        link, other = await link_of(caller), await link_of(caller, b"other")
        elsewhere = urlsplit(link)._replace(path=urlsplit(other).path)
        assert (await caller.http.get(urlunsplit(elsewhere))).status_code == 403
        assert (await caller.http.put(link, content=b"new")).status_code == 403
        upload = (await caller.call("create_upload", name="x", mime_type="text/plain")).data
        assert (await caller.http.get(upload["upload_url"])).status_code == 403


async def test_an_upload_is_accepted_once(stack: Stack) -> None:
    """The second PUT is refused and changes nothing."""
    async with stack.client() as caller:
        upload = (await caller.call("create_upload", name="x.txt", mime_type="text/plain")).data
        first = await caller.http.put(upload["upload_url"], content=b"first")
        assert first.status_code == 201
        assert first.json()["sha256"] == hashlib.sha256(b"first").hexdigest()
        second = await caller.http.put(upload["upload_url"], content=b"second")
        assert second.status_code == 409
        assert "already has its bytes" in second.json()["error"]
        part = await caller.call("read_artifact", artifact_id=upload["artifact_id"])
        assert part.data["content"] == "first"


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in pieces of unknown length"])
async def test_an_upload_beyond_the_limit_is_413(stack: Stack, *, declared: bool) -> None:
    content = b"x" * ((MAX_UPLOAD_MB << 20) + 1)
    async with stack.client() as caller:
        upload = (await caller.call("create_upload", name="large", mime_type="text/plain")).data
        assert upload["max_bytes"] == MAX_UPLOAD_MB << 20
        if declared:
            response = await caller.http.put(upload["upload_url"], content=content)
        else:

            async def pieces() -> AsyncIterator[bytes]:
                for start in range(0, len(content), 65_536):
                    yield content[start : start + 65_536]

            response = await caller.http.put(upload["upload_url"], content=pieces())
        assert response.status_code == 413
        assert str(MAX_UPLOAD_MB) in response.json()["error"]
        whole = await caller.http.put(upload["upload_url"], content=content[:-1])
        assert whole.status_code == 201


async def test_a_file_whose_bytes_have_not_come_is_not_used(stack: Stack) -> None:
    """Tools and jobs report the missing bytes."""
    async with stack.client() as caller:
        upload = (await caller.call("create_upload", name="x", mime_type="text/plain")).data
        for answer in (
            await caller.call("read_artifact", artifact_id=upload["artifact_id"]),
            await caller.call("hash_file", file=f"artifact:{upload['artifact_id']}"),
        ):
            assert answer.is_error
            assert "has no bytes yet" in answer.text


async def test_read_artifact_reads_a_text_part_by_part_and_cuts_no_character(stack: Stack) -> None:
    text = "aé€😀" * 50
    async with stack.client() as caller:
        reference = await caller.upload(text.encode(), "text.txt", "text/plain")
        parts: list[str] = []
        offset: int | None = 0
        while offset is not None:
            answer = await caller.call(
                "read_artifact", artifact_id=reference.removeprefix("artifact:"), offset=offset, length=23
            )
            assert answer.data["encoding"] == "text"
            assert answer.text == answer.data["content"]
            parts.append(answer.data["content"])
            offset = answer.data["next_offset"]
    assert "".join(parts) == text


async def test_read_artifact_gives_other_bytes_as_base64(stack: Stack) -> None:
    async with stack.client() as caller:
        reference = await caller.upload(CONTENT, "b.bin", "application/octet-stream")
        answer = await caller.call(
            "read_artifact", artifact_id=reference.removeprefix("artifact:"), offset=10, length=1000
        )
    assert answer.data["encoding"] == "base64"
    assert base64.b64decode(answer.data["content"]) == CONTENT[10:1010]
    assert answer.data["next_offset"] == 1010


async def test_read_artifact_shows_a_small_picture(stack: Stack) -> None:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "PNG")
    async with stack.client() as caller:
        reference = await caller.upload(file.getvalue(), "red.png", "image/png")
        answer = await caller.call("read_artifact", artifact_id=reference.removeprefix("artifact:"))
    [block] = answer.content
    assert block.type == "image"
    assert (block.mime_type, base64.b64decode(block.data)) == ("image/png", file.getvalue())
    assert answer.data["encoding"] == "image"


async def test_read_artifact_reports_the_total_size(stack: Stack) -> None:
    async with stack.client() as caller:
        reference = await caller.upload(b"12345", "five", "text/plain")
        identity = reference.removeprefix("artifact:")
        beyond = await caller.call("read_artifact", artifact_id=identity, offset=6)
        assert beyond.is_error
        assert "offset 6 is beyond the end" in beyond.text
        at_end = await caller.call("read_artifact", artifact_id=identity, offset=5)
        assert (at_end.data["content"], at_end.data["next_offset"]) == ("", None)
