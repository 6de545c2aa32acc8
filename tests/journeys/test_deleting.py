"""Quotas of files, and delete_artifact, which frees them immediately, everywhere, and only for the owner's files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from support.stack.files import delete, in_pieces, listed, post
from support.stack.gates import Gate
from support.stack.stack import SLOTS, Stack

pytestmark = pytest.mark.anyio

MAX_FILES = 4


@pytest.fixture(scope="module")
def small(temporary: Path) -> Iterator[Stack]:
    """A stack with low quotas, shared by the tests of this module."""
    stack = Stack(temporary / "quotas", max_stored_mb_per_principal=1, max_artifacts_per_principal=MAX_FILES)
    try:
        front_end, worker = stack.begin_front_end(), stack.begin_worker(queues="default")
        stack.await_front_end(front_end)
        stack.await_worker(worker)
        yield stack
    finally:
        stack.close()


async def test_a_principal_at_its_quota_is_refused_everywhere_and_others_are_not(small: Stack) -> None:
    """For POST, PUT and results of jobs; the error names the limit, the usage and the remedy."""
    async with small.client() as caller, small.client() as other:
        first = await post(small, caller, content=b"x" * 700_000)
        assert first.status_code == 201
        pending = (await caller.call("create_upload", name="b", mime_type="text/plain")).data
        for refused in (
            await post(small, caller, content=b"x" * 700_000),
            await post(small, caller, content=in_pieces(b"x" * 700_000)),
            await caller.http.put(pending["upload_url"], content=b"x" * 700_000),
            await caller.http.put(pending["upload_url"], content=in_pieces(b"x" * 700_000)),
        ):
            assert refused.status_code == 507
            assert "1 MiB may be kept" in refused.json()["error"]
            assert "0.67 MiB are" in refused.json()["error"]
            assert "Try again when files have expired" in refused.json()["error"]
        answer = await caller.call("write_note", text="x" * 400_000)
        assert answer.data["error"]["code"] == "quota_exceeded"
        assert (await caller.call("write_note", text="short")).state == "completed"
        assert (await caller.call("write_note", text="short too")).state == "completed"
        fifth = await caller.call("create_upload", name="c", mime_type="text/plain")
        assert fifth.is_error
        assert f"{MAX_FILES} files may be kept" in fifth.text
        assert (await post(small, other, content=b"x" * 700_000)).status_code == 201


async def test_deleting_frees_the_quota_of_a_principal(small: Stack) -> None:
    """Files of jobs, an upload and a pending upload; each counts until it is deleted."""
    async with small.client() as caller, small.client() as other:
        upload = (await caller.upload(b"x" * 700_000, "large", "text/plain")).removeprefix("artifact:")
        link = (await caller.call("read_artifact", artifact_id=upload, length=1)).data["download_url"]
        [artifact], [second] = [
            (await caller.call("write_note", text=text)).data["artifacts"] for text in ("short", "short too")
        ]
        pending = (await caller.call("create_upload", name="b", mime_type="text/plain")).data
        full = await caller.call("create_upload", name="c", mime_type="text/plain")
        assert full.is_error
        assert "delete_artifact" in full.text
        theirs = (await other.upload(b"theirs", "theirs", "text/plain")).removeprefix("artifact:")

        assert await delete(caller, theirs, upload, "unknown") == ([upload], [theirs, "unknown"])
        assert await listed(caller) == {artifact["artifact_id"], second["artifact_id"]}
        assert await listed(other) == {theirs}
        again = (await caller.upload(b"y" * 700_000, "large too", "text/plain")).removeprefix("artifact:")

        rest = [artifact["artifact_id"], second["artifact_id"], pending["artifact_id"], again]
        assert await delete(caller, *rest) == (rest, [])
        assert await listed(caller) == set()
        late = await caller.http.put(pending["upload_url"], content=b"late")
        for answer, one in (
            (await caller.http.get(link), upload),
            (await caller.http.get(artifact["download_url"]), artifact["artifact_id"]),
            (late, pending["artifact_id"]),
        ):
            assert answer.status_code == 404
            assert f"No artifact {one!r}: it never existed, was deleted or has expired." in answer.json()["error"]
        for one in (upload, *rest):
            assert f"No artifact {one!r}" in (await caller.call("read_artifact", artifact_id=one)).text
            with pytest.raises(MCPError, match=f"No artifact '{one}'"):
                await caller.client.read_resource(f"offloop://artifacts/{one}")
        repeated = await caller.call("delete_artifact", artifact_ids=rest)
        assert (repeated.is_error, repeated.data) == (True, {"deleted": [], "unknown": rest})
        for _ in range(MAX_FILES):
            assert not (await caller.call("create_upload", name="c", mime_type="text/plain")).is_error
        assert (await other.call("read_artifact", artifact_id=theirs)).data["content"] == "theirs"


async def test_a_queued_job_fails_when_its_file_is_deleted(stack: Stack, gate: Gate) -> None:
    """With the error for an unknown file; the next call with it is refused immediately."""
    async with stack.client() as caller:
        reference = await caller.upload(b"content", "a", "text/plain")
        artifact_id = reference.removeprefix("artifact:")
        holding = [await caller.call("hold", gate=gate.argument, wait_seconds=0) for _ in range(SLOTS)]
        await gate.entered(SLOTS)
        queued = await caller.call("hash_file", file=reference, wait_seconds=0)
        assert queued.state == "queued"
        assert await delete(caller, artifact_id) == ([artifact_id], [])
        gate.open()
        ended = await caller.call("job_status", job_id=queued.job_id, wait_seconds=20)
        assert (ended.state, ended.data["error"]["code"]) == ("failed", "not_found")
        assert f"No artifact {artifact_id!r}" in ended.text
        assert f"No artifact {artifact_id!r}" in (await caller.call("hash_file", file=reference)).text
        for held in holding:
            assert (await caller.call("job_status", job_id=held.job_id, wait_seconds=20)).state == "completed"


async def test_a_job_with_a_deleted_file_omits_it_and_an_equal_call_makes_it_again(stack: Stack) -> None:
    """An idempotency key still returns the old job, because a key starts only one job."""
    async with stack.client() as caller:
        request: dict[str, Any] = {"markdown": "# Equal"}
        first = await caller.call("render_pdf", **request)
        assert (await caller.call("render_pdf", **request)).job_id == first.job_id
        keyed = await caller.call("write_note", text="a secret", idempotency_key="one")
        ids = [each.data["artifacts"][0]["artifact_id"] for each in (first, keyed)]
        assert await delete(caller, *ids) == (ids, [])

        again = await caller.call("render_pdf", **request)
        assert again.job_id != first.job_id
        assert (await caller.download(again.data["artifacts"][0])).startswith(b"%PDF")
        same = await caller.call("write_note", text="a secret", idempotency_key="one")
        for answer in (same, await caller.call("job_status", job_id=keyed.job_id)):
            assert answer.job_id == keyed.job_id
            assert "a secret" not in json.dumps(answer.result.model_dump(mode="json"))
