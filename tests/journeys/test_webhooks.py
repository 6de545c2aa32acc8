"""Webhooks end to end: named in a call, sent by any live worker, verified with the reference library.

``tests/workers/webhooks/test_dispatcher.py`` tests the reactions to receivers; this module tests the tools and the
failures of processes.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from offloop.redis import schema
from support.hosts.receiver import LOCAL, Receiver, Reply
from support.processes import Process, connected_ports, listening_ports
from support.stack.client import PLAIN, Caller, assert_indistinguishable, begin_call
from support.stack.full import PUBLIC_URL, WORKER
from support.stack.gates import Gate
from support.stack.guests import guest_front_end, two_workers
from support.stack.stack import Stack
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio
UNKNOWN = "msg_AAAAAAAAAAAAAAAAAAAAAA"


async def settled(caller: Caller, job_id: str, state: str = "delivered") -> dict[str, Any]:
    """The only delivery of a job, once it is in that state."""

    async def found() -> dict[str, Any] | None:
        [delivery] = (await caller.call("list_deliveries", job_id=job_id)).data["deliveries"]
        return delivery if delivery["state"] == state else None

    delivery = await eventually(found, f"the delivery of {job_id} is {state}", 20)
    assert delivery
    return delivery


async def test_a_call_names_a_url_and_a_webhook_reports_the_end(
    full_stack: Stack, receiver: Receiver, gate: Gate
) -> None:
    """The tool returns the secret only when it creates it; replays are signed and keep the id."""
    receiver.plan(Reply(500), Reply())
    async with full_stack.client() as caller:
        secret = (await caller.call("rotate_webhook_secret")).data["secret"]
        answer = await caller.call("hold", gate=gate.argument, wait_seconds=0, notify_url=receiver.url())
        assert "127.0.0.1" in answer.text
        assert "is notified when it ends" in answer.text
        [waiting] = (await caller.call("list_deliveries", job_id=answer.job_id)).data["deliveries"]
        assert waiting["state"] == "waiting"
        early = await caller.call("replay_delivery", delivery_id=waiting["delivery_id"])
        assert early.is_error
        assert "waits for job" in early.text
        gate.open()
        until(lambda: receiver.received, "the webhook arrives")
        await eventually(lambda: failed_once(caller), "the first answer is noted")
        again = await caller.call("replay_delivery", delivery_id=waiting["delivery_id"])
        assert again.data["state"] == "pending"
        delivery = await settled(caller, answer.job_id)
        assert (delivery["attempts"], delivery["last_status"]) == (2, 204)
        events = [request.verified(secret) for request in receiver.received]
        assert {request.delivery_id for request in receiver.received} == {waiting["delivery_id"]}
        assert events[0]["data"]["job_id"] == answer.job_id
        assert events[0]["type"] == "job.completed"
        assert events[0]["data"]["output"]["attempt"] == 1
        assert (await caller.call("rotate_webhook_secret")).data["old_secrets_sign_until"]
        note = await caller.call("write_note", text="hello", notify_url=receiver.url("/note"))
        await settled(caller, note.job_id)
    [request] = receiver.at("/note")
    [artifact] = request.verified(secret)["data"]["artifacts"]
    assert artifact["artifact_id"] == note.data["artifacts"][0]["artifact_id"]
    assert artifact["download_url"].startswith(f"{PUBLIC_URL}/files/")


async def failed_once(caller: Caller) -> bool:
    """Whether the first listed delivery has been attempted."""
    return bool((await caller.call("list_deliveries")).data["deliveries"][0]["last_status"])


async def test_every_job_tool_takes_a_url(stack: Stack) -> None:
    async with stack.client() as caller:
        tools = await caller.tools()
    for name in ("render_pdf", "transform_image", "hash_file", "nap"):
        assert "notify_url" in tools[name].input_schema["properties"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]:443/",
        "https://[fd00::1]/",
        "http://example.org/hook",
        "https://a:b@example.org/",
        "gopher://example.org/",
    ],
)
async def test_a_private_or_unencrypted_url_is_refused_and_nothing_is_queued(stack: Stack, url: str) -> None:
    async with stack.client() as caller:
        answer = await caller.call("nap", notify_url=url)
        assert answer.is_error
        assert "notify_url" in answer.text
        assert "Nothing was queued" in answer.text or "nothing was queued" in answer.text
        assert (await caller.call("list_jobs")).data["jobs"] == []
        assert (await caller.call("list_deliveries")).data["deliveries"] == []


async def test_a_name_that_resolves_to_a_private_address_is_refused_when_sent(stack: Stack) -> None:
    """By the worker: the front end does not resolve names."""
    async with stack.client() as caller:
        job_id = (await caller.call("nap", notify_url="https://localhost/hook")).job_id
        delivery = await settled(caller, job_id, "failed")
    assert "not public" in delivery["last_error"]
    assert delivery["attempts"] == 1


async def test_another_principal_can_neither_list_nor_replay(full_stack: Stack, receiver: Receiver) -> None:
    async with full_stack.client() as owner, full_stack.client() as other:
        job_id = (await owner.call("nap", notify_url=receiver.url())).job_id
        theirs = (await settled(owner, job_id))["delivery_id"]
        assert (await other.call("list_deliveries")).data["deliveries"] == []
        assert (await other.call("list_deliveries", job_id=job_id)).data["deliveries"] == []
        foreign = await other.call("replay_delivery", delivery_id=theirs)
        unknown = await other.call("replay_delivery", delivery_id=UNKNOWN)
        assert_indistinguishable(foreign, theirs, unknown, UNKNOWN)
        mine, secret = (
            (await owner.call("rotate_webhook_secret")).data["secret"],
            await other.call("rotate_webhook_secret"),
        )
        assert secret.data["secret"] != mine
        assert len(receiver.received) == 1


async def test_a_disconnected_client_does_not_end_a_job_with_a_webhook(
    full_stack: Stack, receiver: Receiver, gate: Gate
) -> None:
    key = full_stack.new_key()
    arguments = {"gate": gate.argument, "wait_seconds": 50, "notify_url": receiver.url()}
    connection = begin_call(full_stack.front_ends[0].endpoint, key, "hold", arguments)
    await gate.entered()
    async with full_stack.client(key=key) as caller:
        connection.close()
        await eventually(partial(_only_request, caller), "the front end has seen the disconnect, and reacted to it")
        [job] = (await caller.call("list_jobs")).data["jobs"]
        gate.open()
        await settled(caller, job["job_id"])
    assert json.loads(receiver.received[0].body)["type"] == "job.completed"


async def _only_request(caller: Caller) -> bool:
    """Whether the front end serves only this request, and abandons no job."""
    tasks = Counter((await caller.call("look_inside")).data["tasks"])
    return tasks["RequestResponseCycle.run_asgi"] == 1 and not tasks["Calls._abandon"]


@pytest.mark.faults
async def test_a_webhook_is_sent_although_the_front_end_was_killed_after_its_answer(
    full_stack: Stack, receiver: Receiver, gate: Gate
) -> None:
    """No other front end has been asked for the job when its webhook arrives."""
    key = full_stack.new_key()
    with guest_front_end(full_stack) as front_end:
        async with full_stack.client(front_end, key=key) as caller:
            job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0, notify_url=receiver.url())).job_id
            front_end.kill()
    await gate.entered()
    gate.open()
    until(lambda: receiver.received, "the webhook arrives")
    async with full_stack.client(key=key) as caller:
        delivery = await settled(caller, job_id)
    assert [request.delivery_id for request in receiver.received] == [delivery["delivery_id"]]


@pytest.mark.faults
async def test_another_worker_takes_over_a_delivery_of_a_killed_one(full_stack: Stack, receiver: Receiver) -> None:
    """Within seconds, with the same id. Either worker may send the first attempt: that one is killed."""
    receiver.plan(Reply(hangs=True), Reply())
    with two_workers(full_stack, **WORKER) as workers:
        async with full_stack.client() as caller:
            secret = (await caller.call("rotate_webhook_secret")).data["secret"]
            job_id = (await caller.call("nap", notify_url=receiver.url())).job_id
            until(lambda: receiver.received, "the first attempt is in the middle")
            [sender] = [worker for worker in workers if receiver.port in connected_ports(worker.pid)]
            sender.kill()
            delivery = await settled(caller, job_id)
    assert delivery["attempts"] == 2
    assert len(receiver.received) == 2
    assert {request.delivery_id for request in receiver.received} == {delivery["delivery_id"]}
    for request in receiver.received:
        request.verified(secret)


@pytest.mark.faults
async def test_a_webhook_survives_a_killed_redis_and_a_receiver_that_is_down(
    full_stack: Stack, receiver: Receiver, gate: Gate
) -> None:
    """Accepted deliveries are persisted with their job; the first retry comes after seconds."""
    async with full_stack.client() as caller:
        job_id = (await caller.call("hold", gate=gate.argument, wait_seconds=0, notify_url=receiver.url())).job_id
        await gate.entered()
        [waiting] = (await caller.call("list_deliveries", job_id=job_id)).data["deliveries"]
        full_stack.valkey.kill()
        receiver.stop()
        full_stack.valkey.start()
        gate.open()
        with full_stack.valkey.redis() as redis:
            key = schema.DELIVERY + waiting["delivery_id"]
            until(lambda: b"no connection" in (redis.hget(key, "error") or b""), "it was tried in vain", 30)
        receiver.start()
        assert (await settled(caller, job_id))["attempts"] >= 2
    assert len(receiver.received) == 1


async def test_the_receiver_of_the_guide_takes_what_is_sent(full_stack: Stack, tmp_path: Path) -> None:
    """As printed, except for its port: each signed request is handled once, others are rejected."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    program = tmp_path / "receiver.py"
    program.write_text(code.replace("9000", "0"), "utf-8")
    async with full_stack.client() as caller:
        secret = (await caller.call("rotate_webhook_secret")).data["secret"]
        command = [sys.executable, "-P", str(program), secret]
        receiver = Process("receiver", command, full_stack.environment(), tmp_path / "log")
        try:
            [port] = until(lambda: listening_ports(receiver.pid), "the receiver listens")
            url = f"http://{LOCAL}:{port}/"
            job_id = (await caller.call("nap", notify_url=url)).job_id
            delivery_id = (await settled(caller, job_id))["delivery_id"]
            await caller.call("replay_delivery", delivery_id=delivery_id)
            await eventually(lambda: _attempts(caller, 2), "it was sent again")
            await settled(caller, job_id)
            assert httpx2.post(url, content=b"{}", trust_env=False, verify=PLAIN).status_code == 401
            handled = [line for line in receiver.output.splitlines() if line.startswith("job.")]
            assert handled == [f"job.completed {job_id}"]
        finally:
            receiver.kill()


async def _attempts(caller: Caller, count: int) -> bool:
    """Whether the latest delivery has that many attempts."""
    return bool((await caller.call("list_deliveries")).data["deliveries"][0]["attempts"] == count)
