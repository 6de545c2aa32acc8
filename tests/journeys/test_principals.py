"""Principals: API keys, and equal answers for unknown and foreign ids."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from support.stack.client import assert_indistinguishable
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio

UNKNOWN_JOB = "AAAAAAAAAAAAAAAAAAAAAA"
UNKNOWN_ARTIFACT = "BBBBBBBBBBBBBBBBBBBBBB"
PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


@pytest.mark.parametrize("authorization", [None, "Bearer wrong-key-wrong-key", "Basic YTpi", "Bearer"])
async def test_a_call_without_a_right_key_is_answered_401(stack: Stack, authorization: str | None) -> None:
    """The missing key is named in the header that clients read and in the message."""
    headers = {**ACCEPT, **({"Authorization": authorization} if authorization else {})}
    response = httpx2.post(stack.front_ends[0].endpoint, json=PING, headers=headers, trust_env=False)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in response.json()["error"]


async def test_a_right_key_is_let_in(stack: Stack) -> None:
    headers = {**ACCEPT, "Authorization": f"bearer {stack.new_key()}"}
    response = httpx2.post(stack.front_ends[0].endpoint, json=PING, headers=headers, trust_env=False)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("job_status", {}),
        ("job_status", {"wait_seconds": 5}),
        ("cancel_job", {}),
        ("wait_for_jobs", {"wait_seconds": 5}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
async def test_the_job_of_another_principal_is_answered_like_one_that_never_was(
    stack: Stack, tool: str, arguments: dict[str, Any]
) -> None:
    async with stack.client() as owner, stack.client() as other:
        theirs = (await owner.call("nap")).job_id

        def asking(job_id: str) -> dict[str, Any]:
            return {**arguments, **({"job_ids": [job_id]} if tool == "wait_for_jobs" else {"job_id": job_id})}

        foreign = await other.call_with(tool, asking(theirs))
        unknown = await other.call_with(tool, asking(UNKNOWN_JOB))
        assert theirs in foreign.text
        assert_indistinguishable(foreign, theirs, unknown, UNKNOWN_JOB)
        assert foreign.result.structured_content == unknown.result.structured_content
        assert not (await owner.call_with(tool, asking(theirs))).is_error


async def test_list_jobs_shows_only_jobs_of_the_principal(stack: Stack) -> None:
    async with stack.client() as owner, stack.client() as other:
        mine = (await owner.call("nap")).job_id
        assert [job["job_id"] for job in (await owner.call("list_jobs")).data["jobs"]] == [mine]
        assert (await other.call("list_jobs")).data["jobs"] == []


@pytest.mark.parametrize("tool", ["read_artifact", "hash_file"])
async def test_the_artifact_of_another_principal_is_answered_like_one_that_never_was(stack: Stack, tool: str) -> None:
    async with stack.client() as owner, stack.client() as other:
        note = await owner.call("write_note", text="mine")
        theirs = note.data["artifacts"][0]["artifact_id"]

        def asking(artifact_id: str) -> dict[str, Any]:
            return {"artifact_id": artifact_id} if tool == "read_artifact" else {"file": f"artifact:{artifact_id}"}

        foreign = await other.call_with(tool, asking(theirs))
        unknown = await other.call_with(tool, asking(UNKNOWN_ARTIFACT))
        assert theirs in foreign.text
        assert_indistinguishable(foreign, theirs, unknown, UNKNOWN_ARTIFACT)
        assert foreign.result.structured_content == unknown.result.structured_content
        assert not (await owner.call_with(tool, asking(theirs))).is_error
