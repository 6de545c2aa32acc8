"""Isolation of principals: a foreign id gets the same answer as an unknown id.

Every tool and every route with an id is called with both; the answers may differ only in the id. ``test_webhooks.py``
tests deliveries in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference

from offloop_server.resources.artifacts import TEMPLATE
from support.stack.client import Answer, Caller, Mode, assert_indistinguishable
from support.stack.gates import Gate
from support.stack.stack import Stack
from support.stack.valkey import Valkey

pytestmark = pytest.mark.anyio

UNKNOWN = "A" * 22
OTHER_UNKNOWN = "B" * 22


class Owned:
    """Objects of one principal: a job with a file, an upload, and a pending upload."""

    def __init__(self, job: Answer, upload: str, pending: dict[str, Any]) -> None:
        self.job_id = job.job_id
        self.artifact = job.data["artifacts"][0]
        self.artifact_id = str(self.artifact["artifact_id"])
        self.upload_id = upload.removeprefix("artifact:")
        self.pending = pending


async def owning(owner: Caller) -> Owned:
    """Create one of each."""
    job = await owner.call("write_note", text="a secret", name="secret.txt")
    upload = await owner.upload(b"secret bytes", "secret.bin", "image/png")
    return Owned(job, upload, (await owner.call("create_upload", name="x", mime_type="text/plain")).data)


Asking = Callable[[str], dict[str, Any]]

JOBS: dict[str, tuple[str, Asking]] = {
    "job_status": ("job_status", lambda job: {"job_id": job}),
    "job_status waiting": ("job_status", lambda job: {"job_id": job, "wait_seconds": 3}),
    "wait_for_jobs": ("wait_for_jobs", lambda job: {"job_ids": [job], "wait_seconds": 3}),
    "cancel_job": ("cancel_job", lambda job: {"job_id": job}),
}
ARTIFACTS: dict[str, tuple[str, Asking]] = {
    "read_artifact": ("read_artifact", lambda one: {"artifact_id": one}),
    "read_artifact by line": ("read_artifact", lambda one: {"artifact_id": one, "line": 1}),
    "read_artifact as a page": ("read_artifact", lambda one: {"artifact_id": one, "page": 1}),
    "delete_artifact": ("delete_artifact", lambda one: {"artifact_ids": [one]}),
    "hash_file": ("hash_file", lambda one: {"file": f"artifact:{one}"}),
    "hash_file as a key": ("hash_file", lambda one: {"file": "data:,x", "hmac_key": f"artifact:{one}"}),
    "search_text": ("search_text", lambda one: {"file": f"artifact:{one}", "patterns": ["."]}),
    "render_pdf": ("render_pdf", lambda one: {"markdown": "x", "assets": {"a.png": f"artifact:{one}"}}),
    "edit_pdf": ("edit_pdf", lambda one: {"sources": [{"file": f"artifact:{one}"}]}),
    "contact_sheet": ("contact_sheet", lambda one: {"images": [f"artifact:{one}"]}),
    "verify_manifest": (
        "verify_manifest",
        lambda one: {"manifest": f"artifact:{one}", "files": ["data:,x"]},
    ),
}


@pytest.mark.parametrize(("tool", "asking"), JOBS.values(), ids=JOBS)
async def test_a_foreign_job_is_answered_as_an_unknown_one(stack: Stack, tool: str, asking: Asking) -> None:
    async with stack.client() as owner, stack.client() as other:
        theirs = await owning(owner)
        foreign, unknown = (
            await other.call_with(tool, asking(theirs.job_id)),
            await other.call_with(tool, asking(UNKNOWN)),
        )
        assert_indistinguishable(foreign, theirs.job_id, unknown, UNKNOWN)
        assert "secret" not in foreign.text
        assert (await owner.call("job_status", job_id=theirs.job_id)).state == "completed"


@pytest.mark.parametrize(("tool", "asking"), ARTIFACTS.values(), ids=ARTIFACTS)
async def test_a_foreign_file_is_answered_as_an_unknown_one(stack: Stack, tool: str, asking: Asking) -> None:
    """For files of jobs, uploads and pending uploads."""
    async with stack.client() as owner, stack.client() as other:
        theirs = await owning(owner)
        unknown = await other.call_with(tool, asking(UNKNOWN))
        for artifact_id in (theirs.artifact_id, theirs.upload_id, theirs.pending["artifact_id"]):
            foreign = await other.call_with(tool, asking(artifact_id))
            assert_indistinguishable(foreign, artifact_id, unknown, UNKNOWN)
            assert "secret" not in foreign.text
        assert (await other.call("list_jobs")).data["jobs"] == []


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_foreign_resource_is_answered_as_an_unknown_one(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as owner, stack.client(mode=mode) as other:
        theirs = await owning(owner)

        async def refused(artifact_id: str) -> tuple[int, str, Any]:
            with pytest.raises(MCPError) as error:
                await other.client.read_resource(f"offloop://artifacts/{artifact_id}")
            return error.value.code, error.value.message.replace(artifact_id, "?"), error.value.data

        unknown = await refused(UNKNOWN)
        for artifact_id in (theirs.artifact_id, theirs.upload_id, theirs.pending["artifact_id"]):
            assert await refused(artifact_id) == unknown
        assert (await other.client.list_resources()).resources == []
        reference = ResourceTemplateReference(uri=TEMPLATE)
        argument = {"name": "artifact_id", "value": theirs.artifact_id[:3]}
        assert (await other.client.complete(reference, argument)).completion.values == []


async def commands(valkey: Valkey, ask: Callable[[str], Awaitable[object]], one: str) -> list[str]:
    """Commands that Redis receives about an id during a request, in order."""
    with valkey.redis() as redis, redis.monitor() as monitor:
        await ask(one)
        redis.set("offloop:mark", "end", px=1000)
        found: list[str] = []
        for seen in monitor.listen():
            command = str(seen["command"])
            if "offloop:mark" in command:
                break
            if one in command:
                found.append(command.split(maxsplit=1)[0])
    return found


async def test_a_foreign_id_costs_redis_what_an_unknown_one_costs(stack: Stack) -> None:
    """Equal commands, so that the response time discloses nothing."""
    async with stack.client() as owner, stack.client() as other:
        theirs = await owning(owner)
        cases: list[tuple[str, str, Asking]] = [
            ("job_status", theirs.job_id, JOBS["job_status"][1]),
            ("cancel_job", theirs.job_id, JOBS["cancel_job"][1]),
            ("read_artifact", theirs.artifact_id, ARTIFACTS["read_artifact"][1]),
            ("delete_artifact", theirs.artifact_id, ARTIFACTS["delete_artifact"][1]),
            ("hash_file", theirs.upload_id, ARTIFACTS["hash_file"][1]),
        ]
        for tool, theirs_id, asking in cases:

            async def ask(artifact_or_job: str, tool: str = tool, asking: Asking = asking) -> object:
                return await other.call_with(tool, asking(artifact_or_job))

            await ask(OTHER_UNKNOWN)  # the scripts are loaded with their first use
            foreign = await commands(stack.valkey, ask, theirs_id)
            unknown = await commands(stack.valkey, ask, UNKNOWN)
            assert foreign
            assert foreign == unknown, tool


async def test_lists_and_cursors_show_only_what_the_principal_owns(stack: Stack) -> None:
    async with stack.client() as owner, stack.client() as other:
        for _ in range(3):
            await owning(owner)
        page = (await owner.call("list_jobs", limit=2)).data
        assert len(page["jobs"]) == 2
        stolen = (await other.call("list_jobs", limit=2, cursor=page["cursor"])).data
        assert (stolen["jobs"], stolen["cursor"]) == ([], None)
        for arguments in ({}, {"job_id": page["jobs"][0]["job_id"]}):
            assert (await other.call_with("list_deliveries", arguments)).data["deliveries"] == []


async def test_equal_requests_and_keys_of_two_principals_are_two_jobs(stack: Stack, gate: Gate) -> None:
    """Neither equal input of a pure kind nor an equal idempotency key joins or discloses another principal's job."""
    async with stack.client() as owner, stack.client() as other:
        first = [await owner.call("hash_file", file="data:,shared input") for _ in range(2)]
        assert first[0].job_id == first[1].job_id
        assert (await other.call("hash_file", file="data:,shared input")).job_id != first[0].job_id
        mine = await owner.call("hold", gate=gate.argument, wait_seconds=0, idempotency_key="one key")
        theirs = await other.call("nap", idempotency_key="one key")
        assert (theirs.is_error, theirs.state) == (False, "completed")
        assert theirs.job_id != mine.job_id


async def test_the_same_bytes_of_two_principals_are_two_files(stack: Stack) -> None:
    """They may share one blob, but an upload gets the same answer whether or not the blob exists."""
    async with stack.client() as owner, stack.client() as other:
        ids = [
            (await one.upload(b"the same bytes", "a", "text/plain")).removeprefix("artifact:") for one in (owner, other)
        ]
        assert ids[0] != ids[1]
        assert (await other.call("read_artifact", artifact_id=ids[0])).is_error
        assert (await other.call("read_artifact", artifact_id=ids[1])).data["content"] == "the same bytes"


async def test_a_signed_link_cannot_be_turned_into_one_for_a_foreign_file(stack: Stack) -> None:
    """A link changed to a foreign id is refused exactly like one changed to an unknown id."""
    async with stack.client() as owner, stack.client() as other:
        theirs = await owning(owner)
        ours = await owning(other)
        for method, link in (("GET", ours.artifact["download_url"]), ("PUT", ours.pending["upload_url"])):
            parts = urlsplit(link)
            answers = []
            for target in (theirs.artifact_id, theirs.pending["artifact_id"], UNKNOWN):
                moved = urlunsplit(parts._replace(path=f"/files/{target}"))
                response = await other.http.request(method, moved)
                kept = {name: value for name, value in response.headers.items() if name != "date"}
                answers.append((response.status_code, response.text, kept))
            assert answers[0] == answers[1] == answers[2]
            assert answers[0][0] == 403


async def test_ids_are_long_and_have_no_order(stack: Stack) -> None:
    """At least 128 random bits: known ids do not predict others."""
    async with stack.client() as owner:
        owned = [await owning(owner) for _ in range(3)]
        ids = [one for each in owned for one in (each.job_id, each.artifact_id, each.upload_id)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in ids)
    assert len({one[:4] for one in ids}) == len(ids)


async def test_no_answer_to_a_principal_names_another_one(stack: Stack) -> None:
    """Every list and answer of one principal is searched for the other's ids, names and contents."""
    async with stack.client() as owner, stack.client() as other:
        theirs = await owning(owner)
        ours = await owning(other)
        answers = [
            (await other.call("list_jobs")).data,
            (await other.call("job_status", job_id=ours.job_id)).data,
            (await other.call("list_deliveries")).data,
            [one.model_dump(mode="json") for one in (await other.client.list_resources()).resources],
        ]
        text = json.dumps(answers)
        assert ours.job_id in text
        for secret in (theirs.job_id, theirs.artifact_id, theirs.upload_id, theirs.pending["artifact_id"]):
            assert secret not in text
        assert "principal-" not in text
