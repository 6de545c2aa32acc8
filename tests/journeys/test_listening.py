"""Jobs as resources and ``subscriptions/listen``: the owner of a job gets notifications from any front end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.subscriptions import ResourceUpdated, Subscription
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from offloop_server.resources.subscriptions import MAX_OPEN, MAX_PER_PRINCIPAL, MAX_URIS
from support.stack.client import PLAIN, Caller, Mode, begin_call
from support.stack.gates import Gate
from support.stack.guests import guest_front_end, occupied
from support.stack.stack import Stack
from support.waiting import eventually

pytestmark = pytest.mark.anyio

MODES: list[Mode] = ["auto", "legacy"]
UNKNOWN = "A" * 22
VERSION = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def uri_of(job_id: str) -> str:
    """The resource URI of a job."""
    return f"offloop://jobs/{job_id}"


async def started(caller: Caller, tool: str, **arguments: Any) -> str:
    """Start a job without waiting; returns its id."""
    return (await caller.call_with(tool, {**arguments, "wait_seconds": 0})).job_id


async def read(caller: Caller, job_id: str) -> dict[str, Any]:
    """The job, read as a resource."""
    [content] = (await caller.client.read_resource(uri_of(job_id))).contents
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type) == (uri_of(job_id), "application/json")
    found = json.loads(content.text)
    assert isinstance(found, dict)
    return found


async def notified(subscription: Subscription) -> str:
    """The URI of the next notification."""
    async with asyncio.timeout(30):
        event = await anext(subscription)
    assert isinstance(event, ResourceUpdated)
    return event.uri


async def rest(subscription: Subscription) -> list[str]:
    """The URIs of all notifications until the stream ends in order."""
    async with asyncio.timeout(30):
        return [event.uri async for event in subscription if isinstance(event, ResourceUpdated)]


def request(uris: list[str], *, version: str = VERSION) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of a raw listen request."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"notifications": {"resourceSubscriptions": uris}, "_meta": meta}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "subscriptions/listen",
    }
    return {"jsonrpc": "2.0", "id": "mine", "method": "subscriptions/listen", "params": params}, headers


@asynccontextmanager
async def by_hand(
    endpoint: str, key: str | None, uris: list[str]
) -> AsyncIterator[tuple[httpx2.Response, AsyncIterator[dict[str, Any]]]]:
    """Listen without the SDK's client, to see each frame; disconnects at the exit."""
    body, headers = request(uris)

    async def frames(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))

    async with (
        httpx2.AsyncClient(trust_env=False, verify=PLAIN, timeout=30) as http,
        http.stream("POST", endpoint, json=body, headers={**headers, "Authorization": f"Bearer {key}"}) as response,
    ):
        yield response, frames(response)


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_resource_reads_like_the_answer_of_job_status(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as caller:
        note = (await caller.call("write_note", text="hello")).job_id
        batch = (await caller.call("run_batch", kind="nap", items=[{}, {}])).job_id
        for job_id in (note, batch):
            status = (await caller.call("job_status", job_id=job_id)).data
            found = await read(caller, job_id)
            for one in (status, found):
                for artifact in one["artifacts"]:
                    assert artifact.pop("download_url").startswith("http://127.0.0.1:")
            assert found == status
        templates = (await caller.client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == [
            "offloop://artifacts/{artifact_id}",
            "offloop://jobs/{job_id}",
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_foreign_job_reads_as_an_unknown_one(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as owner, stack.client(mode=mode) as other:
        theirs = (await owner.call("write_note", text="a secret")).job_id

        async def refused(job_id: str) -> tuple[int, str, Any]:
            with pytest.raises(MCPError) as error:
                await other.client.read_resource(uri_of(job_id))
            return error.value.code, error.value.message.replace(job_id, "?"), error.value.data

        assert await refused(theirs) == await refused(UNKNOWN)
        assert (await refused(UNKNOWN))[1].startswith("No job '?'")


@pytest.mark.parametrize("uri", ["offloop://jobs/", "offloop://jobs/a/b", "offloop://jobs/" + "a" * 65, "job:1"])
async def test_a_uri_that_names_no_job_is_an_error_with_the_right_form(stack: Stack, uri: str) -> None:
    async with stack.client() as caller:
        with pytest.raises(MCPError, match=r"is not a resource of this server: .* jobs offloop://jobs/\{job_id\}"):
            await caller.client.read_resource(uri)


async def test_only_supported_subscriptions_are_advertised(stack: Stack) -> None:
    """Jobs change; lists do not change while a front end runs, and the legacy era has no session for notifications."""
    async with stack.client() as modern, stack.client(mode="legacy") as legacy:
        for caller, subscribe in ((modern, True), (legacy, False)):
            capabilities = caller.client.server_capabilities
            assert capabilities.resources
            assert capabilities.tools
            assert capabilities.prompts
            assert bool(capabilities.resources.subscribe) is subscribe
            assert not any(
                one.list_changed for one in (capabilities.resources, capabilities.tools, capabilities.prompts)
            )


async def test_the_legacy_era_has_no_listening(stack: Stack) -> None:
    body, headers = request([], version="2025-11-25")
    async with stack.client() as caller:
        answer = await caller.http.post(
            stack.front_ends[0].endpoint, json=body, headers={**headers, "Authorization": f"Bearer {caller.key}"}
        )
    assert '"code":-32601' in answer.text.replace(" ", "")


async def test_a_listener_on_another_front_end_is_notified_until_the_end(stack: Stack, gate: Gate) -> None:
    key = stack.new_key()
    first, second = stack.front_ends[:2]
    async with stack.client(first, key=key) as caller, stack.client(second, key=key) as listener:
        job_id = await started(caller, "hold", gate=gate.argument)
        await gate.entered()
        async with listener.client.listen(resource_subscriptions=[uri_of(job_id)]) as subscription:
            assert subscription.honored.resource_subscriptions == [uri_of(job_id)]
            assert await notified(subscription) == uri_of(job_id)
            assert (await read(listener, job_id))["state"] == "running"
            gate.open()
            assert set(await rest(subscription)) == {uri_of(job_id)}
            assert (await read(listener, job_id))["state"] == "completed"


async def test_every_progress_is_notified(stack: Stack) -> None:
    async with stack.client() as caller, stack.client(stack.front_ends[1], key=caller.key) as listener:
        job_id = await started(caller, "nap", seconds=1.2, steps=4)
        seen: list[float] = []
        async with asyncio.timeout(40), listener.client.listen(resource_subscriptions=[uri_of(job_id)]) as changes:
            async for _ in changes:
                found = await read(listener, job_id)
                seen.append((found["progress"] or {"done": 0})["done"])
        assert found["state"] == "completed"
        assert len({*seen}) >= 3
        assert seen == sorted(seen)


async def test_the_start_of_a_job_is_notified(full_stack: Stack, gate: Gate, tmp_path: Path) -> None:
    async with occupied(full_stack, tmp_path) as others, full_stack.client() as caller:
        job_id = await started(caller, "hold", gate=gate.argument)
        async with caller.client.listen(resource_subscriptions=[uri_of(job_id)]) as subscription:
            await notified(subscription)
            assert (await read(caller, job_id))["state"] == "queued"
            others.open()
            await gate.entered()
            assert await notified(subscription) == uri_of(job_id)
            assert (await read(caller, job_id))["state"] == "running"
            gate.open()
            assert await rest(subscription) == [uri_of(job_id)]


async def test_only_jobs_of_the_principal_are_acknowledged(stack: Stack, gate: Gate) -> None:
    async with stack.client() as owner, stack.client() as other:
        own, theirs = [await started(caller, "hold", gate=gate.argument) for caller in (owner, other)]
        file = await owner.upload(b"x", "x.txt", "text/plain")
        refused = [uri_of(theirs), uri_of(UNKNOWN), f"offloop://artifacts/{file.removeprefix('artifact:')}", "x" * 5000]
        requested = [*refused, uri_of(own), uri_of(own)]
        async with owner.client.listen(
            tools_list_changed=True, resources_list_changed=True, resource_subscriptions=requested
        ) as subscription:
            honored = subscription.honored.model_dump(exclude_none=True)
            assert honored == {"resource_subscriptions": [uri_of(own)]}
            gate.open()
            assert {*await rest(subscription)} == {uri_of(own)}
        async with owner.client.listen(prompts_list_changed=True, resource_subscriptions=refused) as nothing:
            assert nothing.honored.model_dump(exclude_none=True) == {}
            assert await rest(nothing) == []


async def test_an_ended_job_is_notified_once_and_the_stream_ends_with_the_last_job(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        ended = (await caller.call("write_note", text="x")).job_id
        going = await started(caller, "hold", gate=gate.argument)
        await gate.entered()
        async with caller.client.listen(resource_subscriptions=[uri_of(ended), uri_of(going)]) as subscription:
            assert [await notified(subscription), await notified(subscription)] == [uri_of(ended), uri_of(going)]
            gate.open()
            assert {*await rest(subscription)} == {uri_of(going)}


async def test_the_frames_are_the_acknowledgement_then_changes_then_the_result(stack: Stack) -> None:
    async with stack.client() as caller:
        job_id = (await caller.call("write_note", text="x")).job_id
        async with by_hand(stack.front_ends[1].endpoint, caller.key, [uri_of(job_id)]) as (response, frames):
            assert response.headers["content-type"].startswith("text/event-stream")
            first, second, last = [frame async for frame in frames]
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["notifications"] == {"resourceSubscriptions": [uri_of(job_id)]}
    assert (second["method"], second["params"]["uri"]) == ("notifications/resources/updated", uri_of(job_id))
    assert last["id"] == "mine"
    bodies = [first["params"], second["params"], last["result"]]
    assert [one["_meta"][SUBSCRIPTION] for one in bodies] == ["mine"] * 3


async def test_a_disconnected_listener_leaves_nothing_and_the_job_continues(full_stack: Stack, gate: Gate) -> None:
    front_end = full_stack.front_ends[0]
    async with full_stack.client() as caller:
        job_id = await started(caller, "hold", gate=gate.argument)
        await gate.entered()

        async def tasks() -> Counter[str]:
            return Counter((await caller.call("look_inside")).data["tasks"])

        async def as_before() -> bool:
            return not (await tasks() - before)

        before = await tasks()
        for _ in range(2):  # more often than the limit allows at a time: the permits are released
            async with AsyncExitStack() as listening:
                for _ in range(MAX_PER_PRINCIPAL):
                    _, frames = await listening.enter_async_context(
                        by_hand(front_end.endpoint, caller.key, [uri_of(job_id)])
                    )
                    assert "acknowledged" in (await anext(frames))["method"]
                assert await tasks() - before
            await eventually(as_before, "no listener is left")
        assert (await read(caller, job_id))["state"] == "running"
        gate.open()
        assert (await caller.call("job_status", job_id=job_id, wait_seconds=20)).state == "completed"


async def test_a_subscription_does_not_keep_a_job_whose_caller_disconnects(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        call = begin_call(stack.front_ends[0].endpoint, caller.key, "hold", {"gate": gate.argument, "wait_seconds": 40})
        await gate.entered()
        [job] = (await caller.call("list_jobs")).data["jobs"]
        async with caller.client.listen(resource_subscriptions=[uri_of(job["job_id"])]) as subscription:
            await notified(subscription)
            call.close()
            await rest(subscription)
        assert (await read(caller, job["job_id"]))["state"] == "cancelled"


async def test_a_front_end_that_stops_ends_its_streams_in_good_order(full_stack: Stack, gate: Gate) -> None:
    with guest_front_end(full_stack, drain_seconds=20) as stops:
        async with full_stack.client() as caller:
            job_id = await started(caller, "hold", gate=gate.argument)
            await gate.entered()
            async with by_hand(stops.endpoint, caller.key, [uri_of(job_id)]) as (_, frames):
                assert "acknowledged" in (await anext(frames))["method"]
                assert "updated" in (await anext(frames))["method"]
                stopped = asyncio.create_task(asyncio.to_thread(stops.stop, 30))
                [last] = [frame async for frame in frames]
                assert last["result"]["_meta"][SUBSCRIPTION] == "mine"
                assert await stopped in (0, -signal.SIGTERM)
            assert (await read(caller, job_id))["state"] == "running"
            gate.open()
            assert (await caller.call("job_status", job_id=job_id, wait_seconds=20)).state == "completed"


async def test_a_request_names_no_more_jobs_than_it_may(stack: Stack) -> None:
    async with stack.client() as caller:
        uris = [uri_of(UNKNOWN)] * (MAX_URIS + 1)
        with pytest.raises(MCPError, match=f"has {MAX_URIS + 1} URIs, and {MAX_URIS} may be"):
            async with caller.client.listen(resource_subscriptions=uris):
                pass
        async with caller.client.listen(resource_subscriptions=uris[1:]) as subscription:
            assert await rest(subscription) == []


async def test_listeners_are_limited_per_principal_and_in_total(full_stack: Stack, tmp_path: Path) -> None:
    """All of them end with their jobs; afterwards new ones are accepted."""
    async with occupied(full_stack, tmp_path), AsyncExitStack() as opened:
        callers = [
            await opened.enter_async_context(full_stack.client()) for _ in range(MAX_OPEN // MAX_PER_PRINCIPAL + 1)
        ]
        jobs = await asyncio.gather(*(started(caller, "nap") for caller in callers))
        pairs = list(zip(callers, jobs, strict=True))
        (one, its_job), (last, last_job) = pairs[0], pairs[-1]
        streams = []
        for caller, job_id in pairs[:-1]:
            for _ in range(MAX_PER_PRINCIPAL):
                listen = caller.client.listen(resource_subscriptions=[uri_of(job_id)])
                streams.append(await opened.enter_async_context(listen))
            if caller is one:
                with pytest.raises(MCPError, match=f"You listen {MAX_PER_PRINCIPAL} times already"):
                    await opened.enter_async_context(one.client.listen(resource_subscriptions=[uri_of(its_job)]))
        assert len(streams) == MAX_OPEN
        with pytest.raises(MCPError, match=f"{MAX_OPEN} clients listen to this server"):
            await opened.enter_async_context(last.client.listen(resource_subscriptions=[uri_of(last_job)]))
        cancelled = await asyncio.gather(*(caller.call("cancel_job", job_id=job_id) for caller, job_id in pairs))
        assert {answer.state for answer in cancelled} == {"cancelled"}
        for stream in streams:
            assert len(await rest(stream)) in (1, 2)
        async with last.client.listen(resource_subscriptions=[uri_of(last_job)]) as subscription:
            assert await rest(subscription) == [uri_of(last_job)]
