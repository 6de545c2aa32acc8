"""Batches: outcomes by item, progress, cancellation, and the loss of a worker."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.processes import alive
from support.stack.client import Answer, Caller
from support.stack.full import MAX_QUEUED, PIXEL
from support.stack.gates import Gate
from support.stack.guests import guest_worker, occupied
from support.stack.stack import Stack
from support.waiting import eventually

pytestmark = pytest.mark.anyio


async def ended(caller: Caller, job_id: str) -> Answer:
    """The final answer of a batch."""

    async def last() -> Answer | None:
        answer = await caller.call("job_status", job_id=job_id, wait_seconds=20)
        return answer if answer.state in ("completed", "failed", "cancelled") else None

    found = await eventually(last, "the batch ends", 40)
    assert found is not None
    return found


def states(answer: Answer) -> list[str]:
    """The states of its items, in order."""
    return [item["state"] for item in answer.data["output"]["items"]]


def counted(answer: Answer) -> tuple[int, int, int]:
    """Numbers of items that succeeded, failed and were cancelled."""
    output = answer.data["output"]
    return output["succeeded"], output["failed"], output["cancelled"]


async def test_failed_items_do_not_stop_the_others_and_are_identified(stack: Stack) -> None:
    """Valid items, one that raises, one with a missing file; the answer identifies each."""
    async with stack.client() as caller:
        text = "data:text/plain,hello"
        items = [{"file": text}, {"file": "root:bed/missing"}, {"file": text, "algorithms": ["md5"]}]
        answer = await caller.call("run_batch", kind="hash_file", items=items, wait_seconds=20)
        assert (answer.state, answer.is_error) == ("completed", False)
        assert states(answer) == ["completed", "failed", "completed"]
        assert counted(answer) == (2, 1, 0)
        first, failed, last = answer.data["output"]["items"]
        assert first["output"]["digests"]["sha256"].startswith("2cf24dba")
        assert list(last["output"]["digests"]) == ["md5"]
        assert (failed["output"], failed["error"]["code"] != "") == (None, True)
        assert [one["index"] for one in answer.data["output"]["failures"]] == [1]
        assert "2 of 3 items succeeded, 1 failed" in answer.text
        assert f"Item 1 failed: {failed['error']['message']}" in answer.text
        alone = await caller.call("job_status", job_id=failed["job_id"])
        assert alone.data["error"] == failed["error"]
        listed = (await caller.call("list_jobs")).data["jobs"]
        assert [(job["kind"], job["output"]["succeeded"]) for job in listed] == [("run_batch", 2)]


async def test_the_text_names_the_items_that_have_warnings(stack: Stack) -> None:
    async with stack.client() as caller:
        items = [{"markdown": f"# {number}", "css": "p { colour: red }"} for number in range(12)]
        answer = await caller.call("run_batch", kind="render_pdf", items=items, wait_seconds=40)
        assert counted(answer) == (12, 0, 0)
        assert "Item 0 has warnings: " in answer.text
        assert "So have 2 more: see warnings of the structured items." in answer.text


async def test_files_of_items_are_in_the_answer_and_common_arguments_are_sent_once(stack: Stack) -> None:
    async with stack.client() as caller:
        items = [{"text": "one"}, {"text": "two", "name": "other.txt"}]
        answer = await caller.call("run_batch", kind="write_note", items=items, common={"name": "note.txt"})
        artifacts = [item["artifacts"][0] for item in answer.data["output"]["items"]]
        assert [file["name"] for file in artifacts] == ["note.txt", "other.txt"]
        assert [await caller.download(file) for file in artifacts] == [b"one", b"two"]
        assert f"artifact:{artifacts[0]['artifact_id']}" in answer.text


async def test_a_waiting_caller_gets_progress_and_another_one_an_id(stack: Stack, gate: Gate) -> None:
    updates: list[tuple[float, float | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 -- signature of the SDK's callback
        updates.append((progress, total))

    async with stack.client() as caller:
        naps = [{"seconds": 0.3}] * 6
        answer = await caller.call("run_batch", kind="nap", items=naps, wait_seconds=30, progress=progress)
        assert (answer.state, counted(answer)) == ("completed", (6, 0, 0))
        assert updates == sorted(updates)
        assert {total for _, total in updates} == {6}
        early = await caller.call("run_batch", kind="hold", items=[{"gate": gate.argument}] * 3, wait_seconds=0)
        assert (early.state, early.is_error, early.data["poll_after_ms"]) == ("running", False, 2000)
        assert f'job_status(job_id="{early.job_id}", wait_seconds=20)' in early.text
        gate.open()
        assert counted(await ended(caller, early.job_id)) == (3, 0, 0)


async def test_cancelling_the_batch_ends_every_item_and_leaves_no_process(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        items = [{"gate": gate.argument}] * 6
        batch = await caller.call("run_batch", kind="spin", items=items, wait_seconds=0)
        await gate.entered(2)
        answer = await caller.call("cancel_job", job_id=batch.job_id)
        assert (answer.state, answer.is_error) == ("cancelled", False)
        assert not [pid for pid in gate.pids if alive(pid)]
        last = await caller.call("job_status", job_id=batch.job_id)
        assert (counted(last), set(states(last))) == ((0, 0, 6), {"cancelled"})
        assert (await caller.call("nap")).state == "completed"
    assert len(gate.pids) == 2


async def test_a_cancelled_call_cancels_its_batch(stack: Stack, gate: Gate) -> None:
    async with stack.client() as caller:
        items = [{"gate": gate.argument}] * 4
        call = asyncio.create_task(caller.call("run_batch", kind="spin", items=items, wait_seconds=50))
        await gate.entered(2)
        call.cancel()
        await asyncio.wait([call])

        async def cancelled() -> bool:
            jobs = (await caller.call("list_jobs", kind="run_batch")).data["jobs"]
            return [job["state"] for job in jobs] == ["cancelled"]

        await eventually(cancelled, "the batch is cancelled")
        assert not [pid for pid in gate.pids if alive(pid)]


async def test_stop_on_error_ends_the_others(stack: Stack, gate: Gate, tmp_path: Path) -> None:
    async with stack.client() as caller:
        items = [{"gate": str(tmp_path / "missing" / "gate")}, *[{"gate": gate.argument}] * 40]
        answer = await caller.call("run_batch", kind="hold", items=items, stop_on_error=True, wait_seconds=30)
        assert (answer.state, answer.is_error) == ("failed", True)
        assert counted(answer) == (0, 1, 40)
        assert answer.data["error"]["code"] == "batch_stopped"
        assert not gate.running


async def test_a_killed_worker_in_the_middle_of_a_batch_changes_no_count(
    full_stack: Stack, gate: Gate, tmp_path: Path
) -> None:
    """Its running items run again elsewhere, or fail if their kind has no retries; the others continue."""
    items = [{"gate": gate.argument}] * 4
    async with occupied(full_stack, tmp_path) as others, full_stack.client() as caller:
        with guest_worker(full_stack, queues="default") as first:
            again = await caller.call("run_batch", kind="hold_again", items=items, wait_seconds=0)
            await gate.entered(2)
            first.kill()
        others.open()
        await gate.entered(4)
        gate.open()
        last = await ended(caller, again.job_id)
        assert (last.state, counted(last)) == ("completed", (4, 0, 0))
        attempts = sorted(item["output"]["attempt"] for item in last.data["output"]["items"])
        assert attempts == [1, 1, 2, 2]


async def test_the_same_key_joins_the_batch_on_another_front_end(stack: Stack, gate: Gate) -> None:
    key = stack.new_key()
    arguments = {"kind": "hold", "items": [{"gate": gate.argument}] * 2, "idempotency_key": "mine", "wait_seconds": 0}
    async with (
        stack.client(stack.front_ends[0], key=key) as here,
        stack.client(stack.front_ends[1], key=key) as there,
    ):
        first = await here.call_with("run_batch", arguments)
        await gate.entered(2)
        assert (await there.call_with("run_batch", arguments)).job_id == first.job_id
        other = await there.call_with("run_batch", {**arguments, "stop_on_error": True})
        assert other.is_error
        assert first.job_id in other.text
        gate.open()
        assert counted(await ended(there, first.job_id)) == (2, 0, 0)
    assert len(gate.pids) == 2


async def test_the_batch_of_another_principal_is_answered_like_one_that_never_was(stack: Stack) -> None:
    async with stack.client() as owner, stack.client() as other:
        batch = await owner.call("run_batch", kind="nap", items=[{}, {}])
        item = batch.data["output"]["items"][0]["job_id"]
        for mine in (batch.job_id, item):
            unknown = "A" * len(mine)
            for tool in ("job_status", "cancel_job"):
                foreign = await other.call(tool, job_id=mine)
                assert foreign.is_error
                assert foreign.text.replace(mine, "?") == (await other.call(tool, job_id=unknown)).text.replace(
                    unknown, "?"
                )
        assert (await other.call("list_jobs")).data["jobs"] == []
        theirs = await owner.upload(b"mine", "mine.txt", "text/plain")
        items = [{"file": "data:,a"}, {"file": theirs}]
        refused = await other.call("run_batch", kind="hash_file", items=items)
        assert refused.is_error
        assert "items[1]: No artifact" in refused.text


async def test_a_batch_beyond_the_queue_limit_is_refused_as_a_whole(
    full_stack: Stack, gate: Gate, tmp_path: Path
) -> None:
    async with occupied(full_stack, tmp_path) as others, full_stack.client() as caller:
        before = await full_stack.open_jobs()
        items = [{"gate": gate.argument}] * (MAX_QUEUED + 1)
        begin = partial(caller.call, "run_batch", kind="hold", wait_seconds=0)
        never = await begin(items=items)
        assert never.is_error
        assert f"1 to {MAX_QUEUED} items" in never.text
        await begin(items=items[: MAX_QUEUED - 1])
        now = await begin(items=items[:2])
        assert now.is_error
        assert "no room for all 2 items" in now.text
        assert await full_stack.open_jobs() == before + MAX_QUEUED - 1
        last = await begin(items=items[:1])
        others.open()
        gate.open()
        assert counted(await ended(caller, last.job_id)) == (1, 0, 0)


async def test_a_batch_whose_queue_has_no_worker_says_so(full_stack: Stack) -> None:
    async with full_stack.client() as caller:
        waiting = await caller.call("run_batch", kind="transform_image", items=[{"image": PIXEL}], wait_seconds=0)
        assert (waiting.is_error, waiting.state) == (False, "running")
        assert "No worker serves the queue 'image'" in waiting.text
        assert (await caller.call("cancel_job", job_id=waiting.job_id)).state == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"kind": "hash_fil", "items": [{}]}, "Did you mean hash_file?"),
        ({"kind": "nothing_like_it", "items": [{}]}, "edit_pdf, "),
        ({"kind": "run_batch", "items": [{}]}, "a batch cannot hold batches"),
        ({"kind": "job_status", "items": [{}]}, "is no tool that runs as a job"),
        ({"kind": "nap", "items": []}, "items: List should have at least 1 item"),
        ({"kind": "nap", "items": [{}] * 501}, "items: List should have at most 500 items"),
        ({"kind": "nap", "items": [{}, {"seconds": "long"}]}, "items[1]: seconds: "),
        ({"kind": "nap", "items": [{"second": 1}]}, "items[0]: second is not an argument; did you mean seconds?"),
        ({"kind": "nap", "items": [{"wait_seconds": 1}]}, "items[0]: wait_seconds is not an argument"),
        ({"kind": "hash_file", "items": [{"file": "data:,a"}, {}]}, "items[1]: file is missing; it is required."),
        ({"kind": "hash_file", "items": [{"file": "root:none/a"}]}, "items[0]: 'root:none/a': there is no root"),
        ({"kind": "nap", "items": [{"steps": "x"}] * 9}, "(and 6 more items)"),
        ({"kind": "nap", "items": [7]}, "items.0: "),
        ({"kind": "nap", "items": [{}], "notify_url": "http://127.0.0.1/"}, "notify_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_invalid_batches_are_refused_before_anything_is_queued(
    stack: Stack, arguments: dict[str, Any], expected: str
) -> None:
    async with stack.client() as caller:
        answer = await caller.call_with("run_batch", arguments)
        assert answer.is_error
        assert expected in answer.text
        assert (await caller.call("list_jobs")).data["jobs"] == []


async def test_many_items_are_paged(stack: Stack) -> None:
    async with stack.client() as caller:
        items = [{"file": f"data:,{number}"} for number in range(120)]
        answer = await caller.call("run_batch", kind="hash_file", items=items, wait_seconds=50)
        last = await ended(caller, answer.job_id)
        found = [item["index"] for item in last.data["output"]["items"]]
        while cursor := last.data["output"]["cursor"]:
            assert f'cursor="{cursor}"' in last.text
            last = await caller.call("job_status", job_id=answer.job_id, cursor=cursor)
            found += [item["index"] for item in last.data["output"]["items"]]
        assert found == list(range(120))
        wrong = await caller.call("job_status", job_id=answer.job_id, cursor="nonsense")
        assert "begin at the first item" in wrong.text
        single = await caller.call("job_status", job_id=last.data["output"]["items"][0]["job_id"], cursor="bzUw")
        assert "is no run_batch" in single.text


async def test_the_command_line_runs_a_batch_to_its_end(stack: Stack) -> None:
    """As with any other tool, it polls until the batch has ended."""
    command = (sys.executable, "-P", "-m", "offloop", "call", "--json", "--url", stack.front_ends[0].endpoint)
    call = ("run_batch", "kind=nap", 'items:=[{"seconds": 0.1}, {"seconds": 0.2}]')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOOP_")}
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--key", str(stack.new_key()), *call],
        capture_output=True,
        text=True,
        env=environment,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [item["state"] for item in json.loads(done.stdout)["output"]["items"]] == ["completed", "completed"]
