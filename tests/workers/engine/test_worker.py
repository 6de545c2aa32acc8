"""A worker with real children on a real Valkey: it serves, cancels, drains, retries, and lets go of what is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from offloop import Kind, Model, declare
from offloop.artifacts.store import Artifact, ArtifactStore, digest_of
from offloop.errors import Unavailable
from offloop.jobs.hashing import FileToHash, hash_file
from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.queue.client import live_queues
from offloop.queue.record import Cancelled, Done, Failed, Record, State
from offloop.redis import codec, schema
from offloop.redis.connection import connect
from offloop_workers.children import payload
from offloop_workers.engine import dispatch, execution
from offloop_workers.engine.worker import Worker
from support.caller import ALICE, Caller, calling
from support.jobs import sample_jobs as jobs
from support.jobs.sample_jobs import Given
from support.processes import alive
from support.serving import Begin
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the intervals of periodic work, so that tests need not wait for it."""
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "SWEEP_SECONDS", 0.1)


def _done(record: Record) -> dict[str, Any]:
    assert isinstance(record.outcome, Done), record
    return record.outcome.output


def _failure(record: Record) -> dict[str, Any]:
    assert isinstance(record.outcome, Failed), record
    return record.outcome.error.to_wire()


async def test_a_submitted_job_is_run(caller: Caller, begin: Begin) -> None:
    worker = await begin()
    record = await caller.until(await caller.submit(jobs.echo, Given(text="a")))
    assert (record.state, record.attempt, _done(record)["text"]) == (State.COMPLETED, 1, "a")
    assert isinstance(record.outcome, Done)
    assert record.outcome.warnings == ("an echo",)
    await eventually(lambda: _idle(worker))
    assert (worker.jobs_complete, worker.jobs_failed) == (1, 0)


async def test_progress_is_pushed_while_the_job_runs(caller: Caller, begin: Begin, tmp_path: Path) -> None:
    """The latest step; steps that follow too quickly are left out."""
    await begin()
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    record = await caller.progress(job_id)
    assert record.progress
    assert (record.state, record.progress.done, record.progress.total) == (State.RUNNING, 1, None)
    (tmp_path / "go").touch()
    assert (await caller.until(job_id)).state is State.COMPLETED


async def test_a_job_that_waited_before_there_was_a_worker_is_run(caller: Caller, begin: Begin) -> None:
    job_id = await caller.submit(jobs.echo, Given(text="a"))
    await begin()
    assert (await caller.until(job_id)).state is State.COMPLETED


async def test_an_idle_worker_is_assigned_a_job_without_polling(
    redis: ArqRedis, caller: Caller, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a heartbeat nor a sweep comes while this goes on; a long job is read by the worker itself."""
    for name in ("HEARTBEAT_SECONDS", "SWEEP_SECONDS"):
        monkeypatch.setattr(dispatch, name, 60)
    worker = await begin(slots=1)
    await eventually(lambda: _advertises(redis, worker, 1))
    for number, text in enumerate(("a", "x" * 100_000, "b")):
        record = await caller.until(await caller.submit(jobs.echo, Given(text=text), job_id=f"job{number}"))
        assert (record.state, record.attempt, _done(record)["text"]) == (State.COMPLETED, 1, text)
    assert await _advertises(redis, worker, 1)


async def _advertises(redis: ArqRedis, worker: Worker, slots: int) -> bool:
    advertised: float | None = await redis.zscore(
        schema.FREE_SLOTS + schema.pool_name(["default", "other"]), worker.owner
    )
    return advertised == slots


@pytest.mark.parametrize("kind", [jobs.note_runs, jobs.note_runs_again], ids=lambda kind: f"retries {kind.retries}")
async def test_a_job_that_is_no_longer_the_workers_is_let_go_of(
    redis: ArqRedis, caller: Caller, begin: Begin, tmp_path: Path, kind: Kind[Given, jobs.Report]
) -> None:
    """A message may be read much too late. What may not run twice is not begun, what may is ended."""
    worker = await begin()
    await eventually(lambda: _advertises(redis, worker, 2))
    notes = tmp_path / "notes"
    job_id = await caller.submit(kind, Given(text=str(notes)))
    await eventually(lambda: _noted(notes, 1))
    packed = await redis.get(schema.PAYLOAD + job_id)
    await caller.queue.cancel(job_id, principal=ALICE)
    assert (await caller.until(job_id)).state is State.CANCELLED
    row = {"job_id": job_id, "token": f"{worker.owner}:0", "payload": packed, "tries": 1, "allowed": kind.retries + 1}
    row |= {"attempt": 1, "principal": ALICE, "kind": kind.name, "queue": kind.queue}
    with capture_logs() as logged:
        await redis.publish(schema.CONTROL_CHANNEL + worker.owner, codec.pack(["run", codec.pack_for_lua(row)]))
        await eventually(lambda: _logged(logged, "lease lost"))
        await eventually(lambda: _idle(worker))
    if not kind.retries:
        assert notes.read_text() == "1\n"
    assert (await caller.get(job_id)).state is State.CANCELLED
    assert await _advertises(redis, worker, 2)


async def _noted(notes: Path, runs: int) -> bool:
    return os.path.exists(notes) and os.stat(notes).st_size == 2 * runs  # noqa: ASYNC240, PTH110, PTH116 -- no time


async def _logged(logged: list[Any], what: str) -> bool:
    return any(what in line["event"] for line in logged)


async def test_a_worker_shows_which_queues_it_serves_until_it_closes(redis: ArqRedis, begin: Begin) -> None:
    worker = await begin()
    await eventually(lambda: live_queues(redis))
    assert await live_queues(redis) == {"default", "other"}
    await worker.drain(0)
    await worker.close()
    assert await live_queues(redis) == set()


async def test_files_come_in_and_go_out_for_their_principal_only(
    caller: Caller, begin: Begin, store: ArtifactStore, tmp_path: Path
) -> None:
    await begin()
    record = await caller.until(await caller.submit(jobs.make_file, Given(text="content")))
    assert isinstance(record.outcome, Done)
    artifact = Artifact(**record.outcome.artifacts[0])
    path = await store.local_path(await store.get(artifact.artifact_id, principal=ALICE), tmp_path)
    assert path.read_text() == "content"
    assert artifact.sha256 == digest_of(path)
    foreign = await caller.submit(
        hash_file,
        FileToHash.model_validate({"file": f"artifact:{artifact.artifact_id}", "algorithms": ["md5"]}),
        principal="bob",
        job_id="of-bob",
    )
    await begin(queues=("hash",))
    assert _failure(await caller.until(foreign))["code"] == "not_found"
    assert list((tmp_path / "scratch").glob("worker-*/*")) == []


async def test_a_queued_job_that_was_cancelled_is_not_run(caller: Caller, begin: Begin, tmp_path: Path) -> None:
    first = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    second = await caller.submit(jobs.echo, Given())
    await begin(slots=1)
    await caller.progress(first)
    await caller.queue.cancel(second, principal=ALICE)
    (tmp_path / "go").touch()
    assert (await caller.until(first)).state is State.COMPLETED
    record = await caller.get(second)
    assert (record.state, record.attempt, record.outcome) == (State.CANCELLED, 0, Cancelled())


async def test_a_running_job_that_is_cancelled_ends_when_its_child_is_gone(caller: Caller, begin: Begin) -> None:
    job_id = await caller.submit(jobs.spin, Given())
    await begin()
    progress = (await caller.progress(job_id)).progress
    assert progress
    pid = int(progress.message)
    assert alive(pid)
    await caller.queue.cancel(job_id, principal=ALICE)
    assert (await caller.until(job_id)).outcome == Cancelled()
    assert not alive(pid)


async def test_a_cancellation_whose_message_was_lost_comes_with_the_heartbeat(
    redis: ArqRedis, caller: Caller, begin: Begin
) -> None:
    job_id = await caller.submit(jobs.spin, Given())
    await begin()
    await caller.progress(job_id)
    await redis.hset(schema.RECORD + job_id, "cancel", "1")  # type: ignore[misc]
    assert (await caller.until(job_id)).outcome == Cancelled()


async def test_a_lost_lease_ends_the_attempt_and_drops_its_outcome(
    redis: ArqRedis, caller: Caller, begin: Begin
) -> None:
    """Another worker has taken the job over; only its outcome counts."""
    job_id = await caller.submit(jobs.spin, Given())
    worker = await begin(slots=1)
    progress = (await caller.progress(job_id)).progress
    assert progress
    await worker.dispatch.pause()
    other = Steps(redis, "other")
    await redis.hset(schema.RECORD + job_id, "token", "another:0")  # type: ignore[misc]
    await other.lose(job_id)
    taken = await other.claim_one(job_id)
    await eventually(lambda: _idle(worker))
    assert not alive(int(progress.message))
    assert (await caller.get(job_id)).state is State.RUNNING
    assert await other.finish(taken, Done({"by": "other"}))
    assert (await caller.get(job_id)).outcome == Done({"by": "other"})
    assert (worker.jobs_complete, worker.jobs_failed) == (0, 0)


async def test_a_job_that_comes_back_to_the_worker_that_lost_it_is_run_there_and_counts(
    redis: ArqRedis, caller: Caller, begin: Begin, tmp_path: Path
) -> None:
    """For a while the worker has two attempts of one job; the end of the first is nothing to the second."""
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    await begin(slots=2)
    first = (await caller.progress(job_id)).progress
    assert first
    with capture_logs() as logged:
        await Steps(redis, "other").lose(job_id)
        await eventually(lambda: _attempts(caller, job_id, 2))
        await eventually(lambda: _gone(int(first.message)))
        (tmp_path / "go").touch()
        record = await caller.until(job_id)
    assert (record.state, record.attempt, _done(record)["number"]) == (State.COMPLETED, 2, 2)
    assert [line["event"] for line in logged if line["log_level"] == "error"] == []


@pytest.mark.parametrize("stop", ["cancel", "lose"])
async def test_the_second_attempt_of_a_job_in_one_worker_can_be_stopped(
    redis: ArqRedis, caller: Caller, begin: Begin, tmp_path: Path, stop: str
) -> None:
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    worker = await begin(slots=2)
    await caller.progress(job_id)
    other = Steps(redis, "other")
    await other.lose(job_id)
    await eventually(lambda: _attempts(caller, job_id, 2))
    await eventually(lambda: _runs(worker, 1))
    if stop == "cancel":
        await caller.queue.cancel(job_id, principal=ALICE)
    else:
        await worker.dispatch.pause()
        await other.lose(job_id)
    await eventually(lambda: _idle(worker))
    assert (await caller.get(job_id)).state is (State.CANCELLED if stop == "cancel" else State.QUEUED)


async def _attempts(caller: Caller, job_id: str, number: int) -> bool:
    record = await caller.get(job_id)
    return (record.state, record.attempt) == (State.RUNNING, number)


async def _gone(pid: int) -> bool:
    return not alive(pid)


async def _runs(worker: Worker, count: int) -> bool:
    return sum(attempt.performing for attempt in worker.execution.running.values()) == len(worker.tasks) == count


async def _idle(worker: Worker) -> bool:
    return not worker.tasks


async def test_a_result_that_comes_too_late_is_dropped(
    redis: ArqRedis, caller: Caller, begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The heartbeat has not reported it yet; the fence refuses its outcome all the same."""
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 60)
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    worker = await begin(slots=1)
    await caller.progress(job_id)
    await worker.dispatch.pause()
    other = Steps(redis, "other")
    await other.lose(job_id)
    await other.claim_one(job_id)
    with capture_logs() as logged:
        (tmp_path / "go").touch()
        await eventually(lambda: _idle(worker))
    assert any("late outcome dropped" in line["event"] for line in logged)
    assert (await caller.get(job_id)).state is State.RUNNING


async def test_a_drain_lets_work_end_in_time(caller: Caller, begin: Begin, tmp_path: Path) -> None:
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    worker = await begin()
    await caller.progress(job_id)
    draining = asyncio.create_task(worker.drain(20))
    (tmp_path / "go").touch()
    await draining
    assert (await caller.get(job_id)).state is State.COMPLETED


async def test_a_drain_requeues_jobs_that_do_not_end_and_does_not_count_the_attempt(
    redis: ArqRedis, caller: Caller, begin: Begin, tmp_path: Path
) -> None:
    """The next worker runs it with all its tries, although its kind allows none more."""
    job_id = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
    worker = await begin()
    progress = (await caller.progress(job_id)).progress
    assert progress
    await worker.drain(0.05)
    assert not alive(int(progress.message))
    assert (await caller.get(job_id)).state is State.QUEUED
    assert await redis.hget(schema.RECORD + job_id, "tries") == b"0"  # type: ignore[misc]
    (tmp_path / "go").touch()
    await begin()
    record = await caller.until(job_id)
    assert (record.state, record.attempt) == (State.COMPLETED, 2)


async def test_a_crash_without_retries_fails_immediately_and_is_named(caller: Caller, begin: Begin) -> None:
    await begin()
    record = await caller.until(await caller.submit(jobs.crash, Given()))
    failure = _failure(record)
    assert (failure["code"], record.attempt) == ("crashed", 1)
    assert "SIGSEGV" in failure["message"]


@pytest.mark.parametrize(("crashes", "state", "attempts"), [(2, State.COMPLETED, 3), (9, State.FAILED, 3)])
async def test_a_crash_is_retried_as_often_as_the_kind_allows(
    caller: Caller, begin: Begin, crashes: int, state: State, attempts: int
) -> None:
    await begin()
    record = await caller.until(await caller.submit(jobs.crash_at_first, Given(number=crashes)))
    assert (record.state, record.attempt) == (state, attempts)


async def test_a_job_that_was_lost_with_its_workers_is_not_run_for_ever(
    redis: ArqRedis, caller: Caller, begin: Begin
) -> None:
    """It may be what ended them."""
    jobs_lost = {kind.name: await caller.submit(kind, Given()) for kind in (jobs.echo, jobs.wait_for_file)}
    dead = Steps(redis, "dead")
    await dead.claim(2)
    await dead.lose(jobs_lost["wait_for_file"])
    await dead.claim_one(jobs_lost["wait_for_file"])
    await dead.lose(*jobs_lost.values())
    await begin()
    once = _failure(await caller.until(jobs_lost["echo"]))
    assert (once["code"], once["retryable"]) == ("crashed", True)
    assert "lost with its worker 1 time(s)" in once["message"]
    assert "allows no retries" in once["message"]
    twice = _failure(await caller.until(jobs_lost["wait_for_file"]))
    assert (twice["code"], twice["retryable"]) == ("crashed", False)
    assert "lost with its worker 2 time(s)" in twice["message"]


async def test_an_unknown_kind_is_refused_with_what_to_set(caller: Caller, begin: Begin) -> None:
    class Nothing(Model):
        pass

    await begin()
    unknown = declare("not_known_here", Nothing, Nothing, description="d")
    failure = _failure(await caller.until(await caller.submit(unknown, Nothing())))
    assert failure["code"] == "unknown_kind"
    assert "OFFLOOP_JOB_MODULES" in failure["message"]


async def test_only_the_child_reads_the_input_of_a_front_ends_job(
    caller: Caller, begin: Begin, monkeypatch: pytest.MonkeyPatch, store: ArtifactStore, tmp_path: Path
) -> None:
    """The references come with the claim, or, where the payload is long, beside it; it may have megabytes."""

    def not_here(*_: object) -> NoReturn:
        pytest.fail("the worker has read the payload")

    for name in ("input_of", "kind_of"):
        monkeypatch.setattr(payload, name, not_here)
    monkeypatch.setattr(execution, "kind_of", not_here)
    file = tmp_path / "file"
    file.write_bytes(b"content")
    digest = digest_of(file)
    artifact = await store.put(file, principal=ALICE, name="file", mime_type="text/plain", digest=digest)
    await begin()
    for length in (10, 100_000):
        given = jobs.FileGiven.model_validate({"file": f"artifact:{artifact.artifact_id}", "note": "x" * length})
        record = await caller.until(await caller.submit(jobs.measure_file, given, job_id=f"of-{length}"))
        assert (record.state, _done(record)) == (State.COMPLETED, {"size": 7, "note": length})


async def test_an_input_that_does_not_fit_is_refused_where_it_is_read(caller: Caller, begin: Begin) -> None:
    """Front end and worker may be of different versions for a while; the message names the field."""

    class Later(Model):
        number: str

    await begin()
    for kind in (jobs.echo, jobs.meet):  # in a child, and on the worker's loop
        later = declare(kind.name, Later, Later, description="d")
        failure = _failure(await caller.until(await caller.submit(later, Later(number="many"), job_id=kind.name)))
        assert failure["code"] == "bad_input"
        assert failure["message"].startswith(f"{kind.name}: number: ")


@pytest.mark.parametrize("payload", [b"", b"\xc1 no msgpack", b"\x80", b"\x93\x01\x02\x03"])
async def test_an_unreadable_payload_fails_its_job_and_no_other(
    redis: ArqRedis, caller: Caller, begin: Begin, payload: bytes
) -> None:
    job_id = await caller.submit(jobs.echo, Given())
    await redis.set(schema.PAYLOAD + job_id, payload, px=60_000)
    await begin()
    assert (await caller.until(job_id)).state is State.FAILED
    assert (await caller.until(await caller.submit(jobs.echo, Given()))).state is State.COMPLETED


async def test_a_job_that_waited_too_long_says_so(redis: ArqRedis, caller: Caller, begin: Begin) -> None:
    job_id = await caller.submit(jobs.echo, Given())
    await redis.delete(schema.PAYLOAD + job_id)
    await begin()
    failure = _failure(await caller.until(job_id))
    assert (failure["code"], failure["retryable"]) == ("expired", True)


async def test_a_worker_survives_the_loss_of_its_server(begin: Begin, tmp_path: Path) -> None:
    """The server is killed while a job runs; it comes back with its data, and that job and the next one end."""
    async with EmbeddedRedis(tmp_path / "own") as server:
        redis = connect(server.url)
        async with calling(redis) as caller:
            running = await caller.submit(jobs.wait_for_file, Given(text=str(tmp_path / "go")))
            worker = await begin(url=server.url)
            await caller.progress(running)
            before = server.pid
            assert before
            os.kill(before, signal.SIGKILL)
            (tmp_path / "go").touch()
            await eventually(lambda: _has_ended(caller, running))
            assert server.pid not in (None, before)
            await caller.submit(jobs.echo, Given(), job_id="next", wait_seconds=0)
            await eventually(lambda: _has_ended(caller, "next"))
            for job_id in (running, "next"):
                assert (await caller.get(job_id)).state is State.COMPLETED
        await worker.drain(0)
        await worker.close()
        await redis.aclose(close_connection_pool=True)


async def _has_ended(caller: Caller, job_id: str) -> bool:
    try:
        return (await caller.get(job_id)).state.terminal
    except Unavailable:  # the server is not back yet
        return False
