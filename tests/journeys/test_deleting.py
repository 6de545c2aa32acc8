"""delete_artifact: frees the quota immediately, everywhere, and only for the owner's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from support.stack.client import Caller
from support.stack.gates import Gate
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio


async def listed(caller: Caller) -> set[str]:
    """Ids of the files listed as resources."""
    found = (await caller.client.list_resources()).resources
    return {str(resource.uri).rpartition("/")[2] for resource in found}


async def delete(caller: Caller, *ids: str) -> tuple[list[str], list[str]]:
    """Deleted ids and unknown ids."""
    data = (await caller.call("delete_artifact", artifact_ids=ids)).data
    return data["deleted"], data["unknown"]


async def test_deleting_frees_the_quota_of_a_principal(new_stack: Callable[..., Stack]) -> None:
    """A file of a job, an upload and a pending upload; each counts until it is deleted."""
    stack = new_stack(max_stored_mb_per_principal=1, max_artifacts_per_principal=3)
    stack.front_end()
    stack.worker()
    async with stack.client() as caller, stack.client() as other:
        upload = (await caller.upload(b"x" * 700_000, "large", "text/plain")).removeprefix("artifact:")
        link = (await caller.call("read_artifact", artifact_id=upload, length=1)).data["download_url"]
        artifact = (await caller.call("write_note", text="short")).data["artifacts"][0]
        pending = (await caller.call("create_upload", name="b", mime_type="text/plain")).data
        full = await caller.call("create_upload", name="c", mime_type="text/plain")
        assert full.is_error
        assert "delete_artifact" in full.text
        theirs = (await other.upload(b"theirs", "theirs", "text/plain")).removeprefix("artifact:")

        assert await delete(caller, theirs, upload, "unknown") == ([upload], [theirs, "unknown"])
        assert await listed(caller) == {artifact["artifact_id"]}
        assert await listed(other) == {theirs}
        again = (await caller.upload(b"y" * 700_000, "large too", "text/plain")).removeprefix("artifact:")

        rest = [artifact["artifact_id"], pending["artifact_id"], again]
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
        for _ in range(3):
            assert not (await caller.call("create_upload", name="c", mime_type="text/plain")).is_error
        assert (await other.call("read_artifact", artifact_id=theirs)).data["content"] == "theirs"


async def test_a_queued_job_fails_when_its_file_is_deleted(new_stack: Callable[..., Stack], gate: Gate) -> None:
    """With the error for an unknown file; the next call with it is refused immediately."""
    stack = new_stack(slots=1)
    stack.front_end()
    stack.worker()
    async with stack.client() as caller:
        reference = await caller.upload(b"content", "a", "text/plain")
        artifact_id = reference.removeprefix("artifact:")
        holding = await caller.call("hold", gate=gate.argument, wait_seconds=0)
        await gate.entered()
        queued = await caller.call("hash_file", file=reference, wait_seconds=0)
        assert queued.state == "queued"
        assert await delete(caller, artifact_id) == ([artifact_id], [])
        gate.open()
        ended = await caller.call("job_status", job_id=queued.job_id, wait_seconds=20)
        assert (ended.state, ended.data["error"]["code"]) == ("failed", "not_found")
        assert f"No artifact {artifact_id!r}" in ended.text
        assert f"No artifact {artifact_id!r}" in (await caller.call("hash_file", file=reference)).text
        assert (await caller.call("job_status", job_id=holding.job_id, wait_seconds=20)).state == "completed"


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
