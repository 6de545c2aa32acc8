"""POST /files: uploads with the caller's API key, raw or as a form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from support.stack.client import Caller
from support.stack.files import in_pieces, post
from support.stack.stack import MAX_UPLOAD_MB, Stack

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 100
JPEG = {"Content-Type": "image/jpeg", "X-File-Name": quote("späte Grüße.jpg")}


async def described(caller: Caller, response: httpx2.Response) -> dict[str, Any]:
    """The server's description of an uploaded file."""
    assert response.status_code == 201, response.text
    return (await caller.call("read_artifact", artifact_id=response.json()["artifact_id"], encoding="base64")).data


async def test_a_raw_body_becomes_an_artifact_of_its_sender(stack: Stack) -> None:
    async with stack.client() as caller, stack.client() as other:
        response = await post(stack, caller, content=CONTENT, headers=JPEG)
        uploaded = response.json()
        assert (response.status_code, sorted(uploaded)) == (
            201,
            ["artifact_id", "expires_at", "reference", "sha256", "size"],
        )
        assert (uploaded["size"], uploaded["sha256"]) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        hashed = await caller.call("hash_file", file=uploaded["reference"])
        assert hashed.output["digests"]["sha256"] == uploaded["sha256"]
        seen = await described(caller, response)
        assert (seen["name"], seen["mime_type"]) == ("späte Grüße.jpg", "image/jpeg")
        assert (await other.call("hash_file", file=uploaded["reference"])).is_error


async def test_the_file_of_a_form_becomes_an_artifact(stack: Stack) -> None:
    async with stack.client() as caller:
        response = await post(stack, caller, files={"file": ("späte.png", CONTENT, "image/png")})
        seen = await described(caller, response)
        assert (seen["name"], seen["mime_type"]) == ("späte.png", "image/png")
        assert seen["sha256"] == hashlib.sha256(CONTENT).hexdigest()


async def test_a_name_and_a_type_that_mean_harm_are_made_harmless(stack: Stack) -> None:
    async with stack.client() as caller:
        for headers in (
            {"Content-Type": "text/html\tx", "X-File-Name": "..%2F..%2Fetc%2Fpasswd%0d%0a"},
            {"X-File-Name": "C:\\passwd"},
            {"Content-Type": "application/x-www-form-urlencoded", "X-File-Name": "passwd"},
        ):
            seen = await described(caller, await post(stack, caller, content=CONTENT, headers=headers))
            assert (seen["name"], seen["mime_type"]) == ("passwd", "application/octet-stream")


LARGE = b"x" * ((MAX_UPLOAD_MB << 20) + 1)
TOO_LARGE: list[Callable[[], dict[str, Any]]] = [
    lambda: {"content": LARGE},
    lambda: {"content": in_pieces(LARGE)},
    lambda: {"files": {"file": ("large", LARGE)}},
    lambda: {"content": in_pieces(LARGE * 2), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
]


@pytest.mark.parametrize("request_", TOO_LARGE, ids=["declared", "in pieces", "form", "not a form at all"])
async def test_a_file_beyond_the_limit_is_refused(stack: Stack, request_: Callable[[], dict[str, Any]]) -> None:
    async with stack.client() as caller:
        response = await post(stack, caller, **request_())
        assert response.status_code in (400, 413)
        assert str(MAX_UPLOAD_MB << 20) in response.json()["error"] or "form" in response.json()["error"]


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--b\r\n"),
        (f"multipart/form-data; boundary={'b' * 500}", b"--b\r\n"),
        (FORM, b"no form"),
        (FORM, b""),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\ntext\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nx\r\n' * 2 + b"--b--\r\n"),
        (FORM, b"--b\r\n" + b"X-Header: " + b"y" * 100_000),
        (FORM, b"--b\r\n" + b"X: y\r\n" * 10_000),
        ("text/plain", b""),
    ],
    ids=range(11),
)
async def test_a_body_without_one_whole_file_is_refused_with_what_to_send(
    stack: Stack, content_type: str, body: bytes
) -> None:
    async with stack.client() as caller:
        response = await post(stack, caller, content=body, headers={"Content-Type": content_type})
        assert response.status_code == 400
        assert "file" in response.json()["error"]


async def test_a_file_without_a_key_or_from_a_strange_page_is_refused(stack: Stack) -> None:
    async with stack.client() as caller:
        keyless = await caller.http.post(f"{stack.front_ends[0].base}/files", content=CONTENT)
        assert (keyless.status_code, "Authorization: Bearer" in keyless.json()["error"]) == (401, True)
        strange = await post(stack, caller, content=CONTENT, headers={"Origin": "https://evil.example"})
        assert strange.status_code == 403
        rebound = await post(stack, caller, content=CONTENT, headers={"Host": "evil.example"})
        assert rebound.status_code == 421
