"""Invalid input: the error names what to change, and nothing is queued."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from support.stack.client import Caller
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
MAX_BODY = 4 << 20
PIXEL = "data:image/png;base64," + base64.b64encode(b"not a picture").decode()


class Bad(NamedTuple):
    """An invalid call, and the texts its error must contain."""

    tool: str
    arguments: dict[str, Any]
    expected: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.tool}-{'-'.join(self.arguments) or 'nothing'}-{self.expected[0]}"


BAD = [
    Bad("render_pdf", {}, ("html", "markdown", "exactly one")),
    Bad("render_pdf", {"html": "a", "markdown": "b"}, ("html", "markdown", "exactly one")),
    Bad("render_pdf", {"html": {"a": 5}}, ("html", "text")),
    Bad("render_pdf", {"html": "x" * 2_000_001}, ("html", "2000000")),
    Bad("render_pdf", {"html": "a", "page_size": "huge"}, ("page_size", "letter")),
    Bad("render_pdf", {"html": "a", "margin": "wide"}, ("margin", "wide")),
    Bad("render_pdf", {"html": "a", "margn": "1cm"}, ("margn", "did you mean margin")),
    Bad("render_pdf", {"html": "a", "assets": {"a.png": "/etc/passwd"}}, ("assets.a.png", "artifact:<id>")),
    Bad("render_pdf", {"html": "a", "wait_seconds": 51}, ("wait_seconds", "50")),
    Bad("render_pdf", {"html": "a", "wait_seconds": -1}, ("wait_seconds", "0")),
    Bad("render_pdf", {"html": "a", "wait_seconds": "soon"}, ("wait_seconds", "soon")),
    Bad("render_pdf", {"html": "a", "idempotency_key": ""}, ("idempotency_key", "1")),
    Bad("render_pdf", {"html": "a", "idempotency_key": "k" * 201}, ("idempotency_key", "200")),
    Bad("transform_image", {}, ("image", "missing")),
    Bad("transform_image", {"image": "ftp://example.org/a.png"}, ("image", "is not a file reference")),
    Bad("transform_image", {"image": "http://example.org/a.png"}, ("example.org", "OFFLOOP_FETCH_HOSTS allows none")),
    Bad("transform_image", {"image": "data:image/png;base64,###"}, ("image", "base64")),
    Bad("transform_image", {"image": PIXEL, "width": 0}, ("width", "1")),
    Bad("transform_image", {"image": PIXEL, "width": 20_000}, ("width", "16384")),
    Bad("transform_image", {"image": PIXEL, "format": "eps"}, ("format", "webp")),
    Bad("transform_image", {"image": PIXEL, "fit": "cover"}, ("fit", "width and height")),
    Bad("transform_image", {"image": PIXEL, "rotate": 45}, ("rotate", "90")),
    Bad("hash_file", {}, ("file", "missing")),
    Bad("hash_file", {"file": "root:elsewhere/a"}, ("elsewhere", "open roots: bed")),
    Bad("hash_file", {"file": "artifact:short"}, ("file", "is not a file reference")),
    Bad("hash_file", {"file": "data:,a", "algorithms": []}, ("algorithms", "1")),
    Bad("hash_file", {"file": "data:,a", "algorithms": ["sha257"]}, ("algorithms.0", "sha256")),
    Bad("hash_file", {"file": "data:,a", "algorithms": "md5,sha257"}, ("algorithms", "list")),
    Bad("job_status", {}, ("job_id", "missing")),
    Bad("job_status", {"job_id": ""}, ("job_id", "1")),
    Bad("job_status", {"job_id": "x" * 65}, ("job_id", "64")),
    Bad("job_status", {"job_id": "x\0y", "wait_seconds": 1}, ("No job", "list_jobs")),
    Bad("job_status", {"job_id": "*", "wait_seconds": 60}, ("wait_seconds", "50")),
    Bad("wait_for_jobs", {}, ("job_ids", "missing")),
    Bad("wait_for_jobs", {"job_ids": []}, ("job_ids", "1")),
    Bad("wait_for_jobs", {"job_ids": ["a"] * 51}, ("job_ids", "50")),
    Bad("wait_for_jobs", {"job_ids": ["a"], "until": "some"}, ("until", "any")),
    Bad("list_jobs", {"state": "done"}, ("state", "completed")),
    Bad("list_jobs", {"limit": 0}, ("limit", "1")),
    Bad("list_jobs", {"limit": 101}, ("limit", "100")),
    Bad("list_jobs", {"cursor": "what"}, ("cursor", "list_jobs")),
    Bad("list_jobs", {"cursor": "bzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}, ("cursor",)),
    Bad("list_jobs", {"cursor": "by01"}, ("cursor",)),
    Bad("list_jobs", {"kinds": "nap"}, ("kinds", "did you mean kind")),
    Bad("cancel_job", {}, ("job_id", "missing")),
    Bad("cancel_job", {"job_id": [7, 8]}, ("job_id", "text")),
    Bad("create_upload", {}, ("name", "missing")),
    Bad("create_upload", {"name": ""}, ("name", "1")),
    Bad("create_upload", {"name": "a" * 256}, ("name", "255")),
    Bad("create_upload", {"name": "a", "mime_type": "text"}, ("mime_type",)),
    Bad("create_upload", {"name": "a", "mime_type": "text/html\r\nX: y"}, ("mime_type",)),
    Bad("read_artifact", {}, ("artifact_id", "missing")),
    Bad("read_artifact", {"artifact_id": "a", "offset": -1}, ("offset", "0")),
    Bad("read_artifact", {"artifact_id": "a", "length": 65_537}, ("length", "65536")),
    Bad("read_artifact", {"artifact_id": "../../etc/passwd"}, ("No artifact", "create_upload")),
    Bad("delete_artifact", {}, ("artifact_ids", "missing")),
    Bad("delete_artifact", {"artifact_ids": []}, ("artifact_ids", "1")),
    Bad("delete_artifact", {"artifact_ids": ["a"] * 101}, ("artifact_ids", "100")),
    Bad("delete_artifact", {"artifact_ids": "a,b"}, ("artifact_ids", "list")),
    Bad("delete_artifact", {"artifact_ids": [""]}, ("artifact_ids.0", "1")),
    Bad("delete_artifact", {"artifact_ids": ["*", "x\0y", "*"]}, ("No artifact '*'", "create_upload")),
    Bad("edit_pdf", {"sources": []}, ("sources", "1")),
    Bad("preview_pdf", {}, ("missing",)),
    Bad("extract_pdf_text", {"file": "nowhere"}, ("is not a file reference",)),
    Bad("describe_pdf", {}, ("missing",)),
    Bad("describe_image", {}, ("image", "missing")),
    Bad("contact_sheet", {"images": []}, ("images", "1")),
    Bad("responsive_images", {"image": PIXEL, "widths": [0]}, ("widths", "1")),
    Bad("find_similar_images", {"images": []}, ("images",)),
    Bad("hash_tree", {"folder": "root:elsewhere/a"}, ("elsewhere", "open roots: bed")),
    Bad("verify_manifest", {}, ("manifest", "missing")),
    Bad("find_duplicates", {"folder": "/etc"}, ("folder",)),
    Bad("search_text", {"patterns": ["a"]}, ("exactly one of text, file",)),
    Bad("search_text", {"patterns": [], "text": "a"}, ("patterns", "1")),
    Bad("search_text", {"pattern": "a", "text": "a"}, ("pattern", "did you mean patterns")),
    Bad("list_deliveries", {"limit": 0}, ("limit", "1")),
    Bad("replay_delivery", {"delivery_id": "a"}, ("No delivery",)),
    Bad("rotate_webhook_secret", {"revoke_old": "maybe"}, ("revoke_old",)),
    Bad("run_batch", {"kind": "nap", "items": []}, ("items", "1")),
    Bad("nap", {"seconds": [1, 2]}, ("seconds", "number")),
]


@pytest.fixture(scope="module")
async def jobless(stack: Stack) -> AsyncIterator[Caller]:
    """A principal whose calls are all refused, so that its list of jobs stays empty; shared, to connect once."""
    async with stack.client() as caller:
        yield caller


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_a_bad_argument_is_named_in_a_sentence_and_nothing_is_queued(jobless: Caller, bad: Bad) -> None:
    answer = await jobless.call_with(bad.tool, bad.arguments)
    assert answer.is_error, answer.text
    for text in bad.expected:
        assert text in answer.text
    assert "Traceback" not in answer.text
    assert len(answer.text) < 600
    assert (await jobless.call("list_jobs")).data["jobs"] == []


async def test_every_tool_refuses_an_unknown_argument_by_name(jobless: Caller) -> None:
    """Every listed tool, so that a new one needs no entry here; the special cases are above."""
    for tool in await jobless.tools():
        answer = await jobless.call_with(tool, {"no_such_argument": "x" * 1000})
        assert answer.is_error, answer.text
        assert "no_such_argument is not an argument" in answer.text, f"{tool}: {answer.text}"
        assert len(answer.text) < 600, tool
    assert (await jobless.call("list_jobs")).data["jobs"] == []


async def test_a_tool_that_does_not_exist_is_a_protocol_error_that_names_it(stack: Stack) -> None:
    async with stack.client() as caller:
        with pytest.raises(MCPError, match="There is no tool 'render_word'"):
            await caller.call("render_word")


@pytest.mark.parametrize("reference", ["missing.txt", "folder", "../outside.txt", "link.txt", "folder/../../x", "pipe"])
async def test_unreadable_files_of_every_cause_have_one_error(stack: Stack, reference: str, tmp_path: Path) -> None:
    """Missing, outside, a link out of the root, a folder, a pipe: the job fails, and no content is disclosed."""
    (tmp_path / "secret.txt").write_text("secret")
    (stack.root.parent / "outside.txt").write_text("secret")
    (stack.root / "folder").mkdir(exist_ok=True)
    link, pipe = stack.root / "link.txt", stack.root / "pipe"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "secret.txt")
    if not pipe.exists():
        os.mkfifo(pipe)
    async with stack.client() as caller:
        answer = await caller.call("hash_file", file=f"root:bed/{reference}")
    assert answer.is_error
    assert answer.data["error"]["code"] == "unreadable_file"
    assert f"root:bed/{reference}" in answer.text
    assert str(stack.root) not in answer.text
    assert answer.data["output"] is None


async def test_a_file_that_is_not_a_picture_fails_its_job_with_a_sentence(stack: Stack) -> None:
    async with stack.client() as caller:
        answer = await caller.call("transform_image", image=PIXEL)
    assert (answer.is_error, answer.state) == (True, "failed")
    assert answer.data["error"]["message"] in answer.text


def post(stack: Stack, content: bytes, **headers: str) -> httpx2.Response:
    """A raw request with an API key."""
    given = {**ACCEPT, "Content-Type": "application/json", "Authorization": f"Bearer {stack.new_key()}", **headers}
    return httpx2.post(stack.front_ends[0].endpoint, content=content, headers=given, trust_env=False, timeout=20)


def large(size: int) -> bytes:
    """The body of a call of that many bytes."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "hash_file", "arguments": {}}}
    start = json.dumps(body).encode()
    return start + b" " * (size - len(start))


async def test_a_request_body_over_4_mib_is_413_with_advice(stack: Stack) -> None:
    response = post(stack, large(MAX_BODY + 1))
    assert response.status_code == 413
    assert "create_upload" in response.text
    assert str(MAX_BODY) in response.text


async def test_a_request_body_of_4_mib_is_read(stack: Stack) -> None:
    response = post(stack, large(MAX_BODY))
    assert response.status_code == 200
    assert "file is missing" in response.text


async def test_a_large_body_of_unknown_length_is_413_as_well(stack: Stack) -> None:
    def pieces() -> Any:
        for _ in range(MAX_BODY // 65_536 + 2):
            yield b" " * 65_536

    headers = {**ACCEPT, "Content-Type": "application/json", "Authorization": f"Bearer {stack.new_key()}"}
    response = httpx2.post(stack.front_ends[0].endpoint, content=pieces(), headers=headers, trust_env=False, timeout=20)
    assert response.status_code == 413


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_methods_other_than_post_are_405(stack: Stack, method: str) -> None:
    """A GET would open a stream without messages."""
    headers = {**ACCEPT, "Authorization": f"Bearer {stack.new_key()}"}
    response = httpx2.request(method, stack.front_ends[0].endpoint, headers=headers, trust_env=False, timeout=5)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.example.org:80", "localhost.evil"])
async def test_another_host_name_is_421(stack: Stack, host: str) -> None:
    """Protection against DNS rebinding by a page in a browser."""
    assert post(stack, large(200), Host=host).status_code == 421


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b"\xff\xfe"], ids=repr)
async def test_a_body_that_is_no_request_is_a_clear_4xx(stack: Stack, body: bytes) -> None:
    response = post(stack, body)
    assert 400 <= response.status_code < 500
    assert "error" in response.json()


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", "soon"])
async def test_a_request_whose_form_does_not_match_its_protocol_header_is_refused(stack: Stack, version: str) -> None:
    """The body is a legacy one; the error names what the other era requires."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).encode()
    response = post(stack, body, **{"MCP-Protocol-Version": version})
    assert response.status_code == 400
    assert "protocolVersion" in response.json()["error"]["message"]
