"""Child processes: they work, they are capped, they die when they must, and nothing outlives its owner."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from offloop import Kind
from offloop.errors import Crashed, JobError, LimitExceeded
from offloop.queue.record import Progress
from offloop_workers.children.pool import Children
from offloop_workers.children.process_state import GROWN_MIB
from support.jobs import sample_jobs as jobs
from support.processes import alive, gone
from support.tasks import task_of

pytestmark = pytest.mark.anyio


class Runner:
    """Runs tasks with folders of their own."""

    def __init__(self, children: Children, folder: Path) -> None:
        self.reported: list[Progress] = []
        self.begun = asyncio.Event()
        self._children = children
        self._folder = folder
        self._count = 0

    async def __call__(self, kind: Kind[Any, Any], text: str = "", number: int = 0) -> dict[str, Any]:
        """The output of one task."""
        output: dict[str, Any] = (await self.whole(kind, text, number))["output"]
        return output

    async def whole(self, kind: Kind[Any, Any], text: str = "", number: int = 0) -> dict[str, Any]:
        """All that one task has done."""
        self._count += 1
        task = task_of(kind, {"text": text, "number": number}, self._folder / f"{self._count}")
        async with asyncio.timeout(90):  # an interpreter starts slowly on a busy machine
            return await self._children.run(task, self._note)

    def _note(self, progress: Progress) -> None:
        self.reported.append(progress)
        self.begun.set()

    async def pid(self) -> int:
        """The pid that a running task reports as its first progress."""
        async with asyncio.timeout(90):  # an interpreter starts slowly on a busy machine
            await self.begun.wait()
        return int(self.reported[-1].message)


@pytest.fixture
def run(children: Children, tmp_path: Path) -> Runner:
    """Runs tasks in the shared children."""
    return Runner(children, tmp_path)


async def test_a_task_answers_its_output_and_warnings(run: Runner) -> None:
    done = await run.whole(jobs.echo, "hällo\0")
    assert done["output"]["text"] == "hällo\0"
    assert done["output"]["pid"] != os.getpid()
    assert (done["warnings"], done["artifacts"]) == (["an echo"], [])


async def test_progress_arrives_in_order_before_the_answer(run: Runner) -> None:
    await run(jobs.echo)
    assert run.reported[0] == Progress(1, 3, "step 1")
    assert run.reported[-1] == Progress(3, 3, "step 3")
    assert [step.done for step in run.reported] == sorted(step.done for step in run.reported)


async def test_an_artifact_is_reported_with_its_path(run: Runner) -> None:
    (artifact,) = (await run.whole(jobs.make_file, "content"))["artifacts"]
    assert await asyncio.to_thread(Path(artifact["path"]).read_text) == "content"
    assert (artifact["name"], artifact["mime_type"]) == ("made.txt", "text/plain")


async def test_a_coroutine_is_a_job_too(run: Runner) -> None:
    assert (await run(jobs.echo_async, "a"))["text"] == "a"


async def test_a_foreseen_failure_passes_as_it_is(run: Runner) -> None:
    with capture_logs() as logged, pytest.raises(JobError) as failed:
        await run(jobs.refuse, "this")
    assert failed.value.to_wire() == {
        "code": "too_much",
        "message": "this is too much: send less",
        "retryable": True,
    }
    assert logged == []


async def test_an_unforeseen_failure_is_detailed_in_the_log_only(run: Runner) -> None:
    with capture_logs() as logged, pytest.raises(JobError) as failed:
        await run(jobs.explode, "4711")
    assert "4711" not in failed.value.message
    assert "ValueError" in failed.value.message
    assert (failed.value.reason, failed.value.retryable) == ("job_failed", False)
    (line,) = logged
    assert line["job_id"] == "a-job"
    assert "ValueError: a secret: 4711" in line["traceback"]
    assert "sample_jobs.py" in line["traceback"]


async def test_a_loop_in_c_is_ended_by_its_limit(run: Runner) -> None:
    """No handler of Python's could end it."""
    started = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"stopped after its limit of 0\.3 seconds: send less"):
        await run(jobs.spin_briefly)
    assert time.monotonic() - started < 25


async def test_a_cancellation_is_raised_only_when_the_child_is_gone(run: Runner) -> None:
    running = asyncio.create_task(run(jobs.spin))
    pid = await run.pid()
    assert alive(pid)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(pid)
    assert (await run(jobs.echo, "next"))["text"] == "next"


async def test_a_crash_is_named_and_its_neighbour_goes_on(run: Runner, tmp_path: Path) -> None:
    neighbour = asyncio.create_task(run(jobs.wait_for_file, str(tmp_path / "go")))
    pid = await run.pid()
    with pytest.raises(Crashed, match=r"crashed its process \(SIGSEGV\); only this job is affected"):
        await run(jobs.crash)
    (tmp_path / "go").touch()
    assert (await neighbour)["pid"] == pid


async def test_a_child_killed_from_outside_is_a_crash(run: Runner) -> None:
    running = asyncio.create_task(run(jobs.spin))
    os.kill(await run.pid(), signal.SIGKILL)
    with pytest.raises(Crashed, match="SIGKILL"):
        await running


async def test_memory_has_a_limit_and_its_child_is_not_used_again(run: Runner) -> None:
    before = {(await run(jobs.echo))["pid"] for _ in range(4)}
    with pytest.raises(JobError, match="needed more than its 64 MiB of memory: send a smaller") as failed:
        await run(jobs.hog, number=300)
    assert failed.value.reason == "limit_exceeded"
    assert len({(await run(jobs.echo))["pid"] for _ in range(4)} & before) < len(before)
    assert (await run(jobs.hog, number=16))["number"] == 16 << 20


async def test_a_child_that_has_grown_is_not_used_again(run: Runner) -> None:
    first, second, third = [await run(jobs.leak, number=GROWN_MIB * 2 // 3) for _ in range(3)]
    assert [output["number"] for output in (first, second, third)] == [1, 2, 1]
    assert first["pid"] == second["pid"] != third["pid"]


@pytest.mark.parametrize("kind", [jobs.recurse_often, jobs.recurse_often_forked, jobs.recurse_often_async])
async def test_loops_that_recurse_map_no_memory(run: Runner, kind: Kind[Any, Any]) -> None:
    """Without room on the data stack, each loop causes several page faults on every version of Python."""
    assert (await run(kind, number=500))["number"] < 200


async def test_endless_recursion_fails_the_job_only(run: Runner) -> None:
    with pytest.raises(JobError, match=r"failed unexpectedly \(RecursionError\)"):
        await run(jobs.recurse_endlessly)


async def test_no_full_collection_visits_the_objects_of_a_task_that_has_memory_left(run: Runner) -> None:
    """By default there would be one after 250,000 objects at the latest."""
    assert (await run(jobs.count_full_collections, number=1_000_000))["number"] == 0


async def test_garbage_of_a_task_is_collected_before_the_next_one(run: Runner) -> None:
    left = await run(jobs.outlive_garbage, number=8)
    counted = await run(jobs.count_garbage)
    while counted["pid"] != left["pid"]:
        counted = await run(jobs.count_garbage)
    assert counted["number"] == 0


async def test_garbage_of_more_than_the_memory_limit_in_sum_is_collected_in_time(run: Runner) -> None:
    """Full collections are rare only until half of the 64 MiB are mapped."""
    assert (await run(jobs.outlive_garbage, number=400))["number"] == gc.get_threshold()[2]


async def test_a_file_has_a_limit(run: Runner) -> None:
    with pytest.raises(JobError, match="a file of more than 1 MiB") as failed:
        await run(jobs.fill, number=2)
    assert failed.value.reason == "limit_exceeded"
    assert (await run(jobs.fill, number=1))["number"] == 1 << 20


async def test_an_output_has_a_limit(run: Runner) -> None:
    with pytest.raises(JobError, match=r"the limit is 1048576.*as an artifact") as failed:
        await run(jobs.talk, number=2 << 20)
    assert failed.value.reason == "limit_exceeded"
    assert len((await run(jobs.talk, number=1 << 19))["text"]) == 1 << 19


async def test_forked_jobs_share_nothing(run: Runner) -> None:
    """Each has a process of its own, none sees what another left in a module, and each draws its own numbers."""
    seen = [await run(jobs.count_calls_forked) for _ in range(4)]
    assert {found["number"] for found in seen} == {1}
    assert len({found["pid"] for found in seen}) == 4
    assert len({found["text"] for found in seen}) == 4


async def test_an_answer_counts_even_where_the_end_of_its_child_is_reported_first(
    run: Runner, children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked child answers and is gone; the zygote's word of that may overtake the answer.

    The loop is blocked on purpose, so that nothing is read in between.
    """
    answering = asyncio.create_task(run(jobs.wait_for_file_forked, str(tmp_path / "go")))
    pid = await run.pid()
    message = children.zygote.message

    async def message_late() -> tuple[bytes, int, int]:
        heard = await message()
        if heard[0] == b"X" and heard[1] != pid and alive(pid):
            (tmp_path / "go").touch()
            assert gone([pid])
            assert children.zygote.control
            select.select([children.zygote.control], [], [], 5)
        return heard

    monkeypatch.setattr(children.zygote, "message", message_late)
    for _ in range(2):  # the first is heard by the call that waits already
        with pytest.raises(Crashed):
            await run(jobs.crash)
    assert (await answering)["pid"] == pid


async def test_reused_children_are_the_same_processes(run: Runner) -> None:
    seen = [await run(jobs.count_calls) for _ in range(5)]
    assert len({found["pid"] for found in seen}) <= 2
    assert max(found["number"] for found in seen) > 1


async def test_output_of_a_job_does_not_disturb(run: Runner) -> None:
    assert (await run(jobs.chatter, "fine"))["text"] == "fine"
    assert (await run(jobs.echo, "next"))["text"] == "next"


async def test_output_of_a_job_is_in_the_log_before_its_answer(run: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    """Also what Python still kept in a buffer when the work of a forked child was done."""
    await run(jobs.mutter, "to the log")
    assert capfd.readouterr().err == "to the log\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what it knows of the process")
async def test_children_cannot_gain_rights_go_first_and_step_back(run: Runner) -> None:
    found = (await run(jobs.look_around))["text"].split()
    assert found == ["1", "800", str(min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10))]


async def test_tasks_beyond_the_slots_wait(run: Runner) -> None:
    found = await asyncio.gather(*(run(jobs.echo, str(number)) for number in range(20)))
    assert [answer["text"] for answer in found] == [str(number) for number in range(20)]
    assert len({answer["pid"] for answer in found}) <= 3


@pytest.mark.slow
@pytest.mark.usefixtures("job_modules")
async def test_a_task_that_its_child_never_read_is_done_by_another(tmp_path: Path) -> None:
    async with Children(1, ("default",), tmp_path / "temporary") as own:
        run = Runner(own, tmp_path)
        first: int = (await run(jobs.echo, "first"))["pid"]
        os.kill(first, signal.SIGSTOP)
        second = asyncio.create_task(run(jobs.echo, "second"))
        for _ in range(3):
            await asyncio.sleep(0)  # the task is in the socket of a child that does not read
        os.kill(first, signal.SIGKILL)
        with capture_logs() as logged:
            answer = await second
        assert answer["text"] == "second"
        assert answer["pid"] != first
        assert [line["event"] for line in logged] == ["a child left before it read its task, another does it"]


@pytest.mark.slow
@pytest.mark.usefixtures("job_modules")
async def test_children_recover_when_their_zygote_is_killed(tmp_path: Path) -> None:
    """The running task fails with a message about it; the next one runs."""
    async with Children(1, ("default",), tmp_path / "temporary") as own:
        run = Runner(own, tmp_path)
        running = asyncio.create_task(run(jobs.spin))
        pid = await run.pid()
        assert own.zygote.process
        own.zygote.process.kill()
        with pytest.raises(Crashed):
            await running
        assert gone([pid])
        assert (await run(jobs.echo, "again"))["text"] == "again"


@pytest.mark.slow
async def test_a_module_that_does_not_load_is_reported_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OFFLOOP_JOB_MODULES", "no_such_module_anywhere")
    with pytest.raises(RuntimeError, match="zygote did not start"):
        await Children(1, ("default",), tmp_path / "temporary").__aenter__()
    assert "no_such_module_anywhere" in capfd.readouterr().err


_OWNER = """
import asyncio, pathlib, sys
from offloop_workers.children.pool import Children
from support.jobs import sample_jobs as jobs
from support.tasks import task_of

async def main():
    async with Children(2, ("default",), pathlib.Path(sys.argv[1] + "-temporary")) as children:
        task = task_of(jobs.spin, {}, sys.argv[1])
        def report(progress):
            print(children.zygote.process.pid, *children.alive, flush=True)
        await children.run(task, report)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.usefixtures("job_modules")
def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up; the kernel does it."""
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path / "job")], stdout=subprocess.PIPE)
    try:
        assert owner.stdout
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) >= 2
        assert all(map(alive, pids))
    finally:
        owner.kill()
        owner.wait()
    assert gone(pids)
    owner.stdout.close()
