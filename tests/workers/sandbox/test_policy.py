"""Sandbox of jobs: refused and allowed operations, and cleanup after a job."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from offloop import Kind
from offloop.errors import Crashed, JobError, LimitExceeded
from offloop.kinds import catalogue
from offloop.queue.record import Progress
from offloop_workers.children.output import LOG_BYTES
from offloop_workers.children.pool import Children
from offloop_workers.sandbox import landlock, policy, seccomp
from support.jobs import hostile_jobs as jobs
from support.processes import alive, gone
from support.redis import lasting
from support.tasks import task_of
from support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

Run = Callable[..., Any]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """Children that know the hostile jobs, of a worker with secrets in its environment."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "root").mkdir()
    (folder / "root" / "open").write_text("open")
    (folder / "root" / "shut").write_text("shut")
    pool = Children(2, ("default",), folder / "temporary")
    with lasting(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFLOOP_JOB_MODULES", "support.jobs.hostile_jobs")
        patch.syspath_prepend(Path(__file__).parents[2])
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OFFLOOP_FILE_ROOTS", f"docs={folder / 'root'}")
        patch.setenv("OFFLOOP_REDIS_URL", "redis://:secretword@127.0.0.1:1/0")
        patch.setenv("OFFLOOP_API_KEYS", "alice:secretword")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secretword")
        patch.setenv("OFFLOOP_SQL_SHOP", "postgresql://shop:secretword@localhost/shop")
        patch.setenv("OF_THE_OPERATOR", "kept")
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()


@pytest.fixture
def run(hostile: Children, tmp_path: Path) -> Run:
    """Runs one hostile job and returns its output."""

    async def run(
        kind: Kind[Any, Any], report: Callable[[Progress], None] = lambda _: None, **given: Any
    ) -> dict[str, Any]:
        folder = tmp_path / f"attempt{next(_numbers)}"
        await asyncio.to_thread(folder.mkdir)
        task = task_of(kind, given, folder / "work")
        async with asyncio.timeout(30):
            output: dict[str, Any] = (await hostile.run(task, report))["output"]
        return output

    return run


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file that no job may read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


ALWAYS_REFUSED = {
    "environ of the worker",
    "environ of the zygote",
    "files of the worker",
    "hide itself",
    "io_uring",
    "kill all",
    "kill the worker",
    "kill the zygote",
    "limit the worker",
    "memory of the zygote",
    "message queue that stays",
    "namespace",
    "session",
    "shared memory that stays",
    "trace the zygote",
}
SOCKETS = {name for name in jobs.FAMILIES if hasattr(socket, name)}
STRICTLY_REFUSED = {
    "fork",
    "lift its own limits",
    "link outside",
    "list outside",
    "program",
    "read outside",
    "shadow",
    "write outside",
}
ALWAYS_ALLOWED = {"kill itself", "own folder", "socketpair", "temporary folder", "thread"}


async def test_a_standard_job_has_no_network_and_cannot_reach_other_processes(run: Run, outside: Path) -> None:
    found = (await run(jobs.try_everything, text=str(outside), number=os.getpid()))["found"]
    assert {name for name, outcome in found.items() if outcome == "done"} - {"shadow"} == ALWAYS_ALLOWED | (
        STRICTLY_REFUSED - {"shadow"}
    )
    assert {found[name] for name in SOCKETS} == {"PermissionError"}


async def test_a_strict_job_has_only_its_own_files_and_no_programs(run: Run, outside: Path) -> None:
    found = (await run(jobs.try_everything_strictly, text=str(outside), number=os.getpid()))["found"]
    assert {name for name, outcome in found.items() if outcome == "done"} == ALWAYS_ALLOWED
    assert set(found) == ALWAYS_ALLOWED | ALWAYS_REFUSED | STRICTLY_REFUSED | SOCKETS
    assert not (outside / "written").exists()


async def test_a_kind_with_network_may_only_open_sockets_in_addition(run: Run, outside: Path) -> None:
    found = (await run(jobs.try_everything_online, text=str(outside), number=os.getpid()))["found"]
    assert found["AF_INET"] == found["AF_INET6"] == found["AF_UNIX"] == "done"
    assert not {name for name in ALWAYS_REFUSED if found[name] == "done"}


async def test_the_network_is_not_left_open_for_the_next_job(run: Run, outside: Path) -> None:
    for _ in range(3):
        await run(jobs.try_everything_online, text=str(outside), number=os.getpid())
        found = (await run(jobs.try_everything, text=str(outside), number=os.getpid()))["found"]
        assert found["AF_INET"] == "PermissionError"


async def test_a_refused_connection_is_explained(run: Run) -> None:
    with pytest.raises(JobError, match=r"tried to open a network connection.*network=True") as failed:
        await run(jobs.dial_deep_inside, text="wrapped")
    assert failed.value.reason == "not_allowed"


async def test_a_refused_program_is_explained(run: Run) -> None:
    with pytest.raises(JobError, match=r'tried to start a program, which a kind with sandbox="strict" may not'):
        await run(jobs.start_a_program_strictly)


async def test_a_strict_job_reads_the_root_its_input_names(run: Run, hostile: Children) -> None:
    root = hostile._temporary.parent / "root"
    found = (await run(jobs.read_strictly, file="root:docs/open", text=str(root / "open")))["found"]
    assert found == {"reference": "open", "path": "done"}
    assert (await run(jobs.read_strictly, text=str(root / "open")))["found"] == {"path": "PermissionError"}


_OWN_JOBS = """
from pathlib import Path
from offloop import Model, job
from helping import HELP

class Where(Model):
    folder: str

class Found(Model):
    found: dict[str, str]

@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict")
def look_around(where: Where) -> Found:
    "Read what lies in a folder."
    found = {}
    for name in ("own_jobs.py", "helping/__init__.py", "helping/more.py", ".env", "other.py"):
        try:
            found[name] = str(bool((Path(where.folder) / name).read_text()))
        except OSError as error:
            found[name] = type(error).__name__
    from helping.more import MORE
    return Found(found=found | {"more": HELP + MORE})
"""


async def test_a_strict_job_reads_nothing_of_the_folder_offloop_was_started_in_but_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    (started / "helping").mkdir(parents=True)
    files = {"own_jobs.py": _OWN_JOBS, ".env": "SECRET=1", "other.py": "SECRET = 1"}
    files |= {"helping/__init__.py": "HELP = 'a'", "helping/more.py": "MORE = 'b'"}
    for name, text in files.items():
        (started / name).write_text(text)
    monkeypatch.chdir(started)
    monkeypatch.syspath_prepend(started)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("OFFLOOP_JOB_MODULES", "own_jobs")
    (kind,) = catalogue.kinds_in(catalogue.import_module("own_jobs"))
    async with Children(1, ("default",), tmp_path / "temporary") as pool, asyncio.timeout(30):
        task = task_of(kind, {"folder": str(started)}, tmp_path / "work")
        found = (await pool.run(task, print))["output"]["found"]
    for name in ("own_jobs", "helping"):
        sys.modules.pop(name)
    assert {name for name, outcome in found.items() if outcome == "PermissionError"} == {".env", "other.py"}
    assert found["more"] == "ab"


async def test_secrets_of_the_worker_are_not_in_the_environment(run: Run) -> None:
    found = (await run(jobs.list_open_files))["found"]
    assert "secretword" not in found["environ"]
    assert "OF_THE_OPERATOR=kept" in found["environ"]


async def test_a_job_holds_nothing_open_but_its_streams_and_its_own_socket(run: Run) -> None:
    found = (await run(jobs.list_open_files))["found"]
    del found["environ"]
    allowed = re.compile(r"/proc/|.*/libffi\.so")  # recent versions of libffi keep their own file open, for callbacks
    rest = [target for number, target in found.items() if int(number) > 2 and not allowed.match(target)]
    assert len(rest) == 1
    assert rest[0].startswith("socket:")


@pytest.mark.parametrize("kind", [jobs.leave_a_daemon, jobs.leave_a_daemon_forked], ids=lambda kind: kind.name)
async def test_a_daemon_ends_with_its_job(run: Run, kind: Kind[Any, Any]) -> None:
    output = await run(kind)
    assert gone([output["pid"], int(output["found"]["parent"])])


async def test_a_program_ends_when_its_job_is_cancelled(run: Run) -> None:
    pids: list[int] = []
    running = asyncio.create_task(
        run(jobs.start_and_wait, lambda progress: pids.extend(int(word) for word in progress.message.split()))
    )

    async def has_started() -> bool:
        return bool(pids)

    await eventually(has_started)
    assert all(map(alive, pids))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(pids)


@pytest.mark.slow
async def test_a_fork_bomb_ends_with_its_job(run: Run, tmp_path: Path) -> None:
    """The whole process group is killed, not one process after the other."""
    count = tmp_path / "count"
    count.touch()
    with pytest.raises(LimitExceeded, match="limit of 2 seconds"):
        await run(jobs.bomb, text=str(count), number=40)
    assert count.stat().st_size > 1

    async def none() -> bool:
        return not _mentioning(str(count))

    await eventually(none)


def _mentioning(path: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            found += [int(folder.parent.name) for link in folder.iterdir() if str(link.readlink()) == path]
        except OSError:
            continue
    return found


async def test_process_state_that_a_job_changed_is_restored(run: Run) -> None:
    """The next job runs in the same process."""
    before = await run(jobs.look)
    changed = await run(jobs.disturb)
    seen: list[dict[str, Any]] = []
    while changed["pid"] not in [output["pid"] for output in seen]:
        seen.append(await run(jobs.look))
    after = next(output for output in seen if output["pid"] == changed["pid"])
    differing = {name for name, value in changed["found"].items() if value != before["found"][name]}
    assert differing >= {
        "environment",
        "folder",
        "mask",
        "handlers",
        "timer",
        "temporary",
        "precision",
        "timeout",
        "collector",
    }
    for output in (before, after):
        del output["found"]["temporary"], output["found"]["drawn"]
    assert after["found"] == before["found"]


async def test_a_child_with_a_thread_left_over_is_not_used_again(run: Run) -> None:
    left = await run(jobs.leave_a_thread)
    assert gone([left["pid"]])


async def test_a_job_that_comes_while_a_child_leaves_is_done_by_another(run: Run) -> None:
    for _ in range(20):
        left = await run(jobs.leave_a_thread)
        assert (await run(jobs.look))["pid"] != left["pid"]


async def test_artifacts_of_a_job_are_bounded_in_number_and_size(run: Run) -> None:
    await run(jobs.make_files, number=2, text="large")
    with pytest.raises(JobError, match=r"more than 1 MiB together \(output_mb\): ask for less"):
        await run(jobs.make_files, number=3, text="large")
    with pytest.raises(JobError, match=r"more than 3 files.*\(artifacts\)"):
        await run(jobs.make_files, number=4)


@pytest.mark.slow
async def test_output_beyond_the_cap_is_dropped_and_counted(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as logged:
        await run(jobs.flood, number=100 << 10)
    (line,) = logged
    assert (line["job_id"], line["kept"], line["kept"] + line["dropped"]) == ("a-job", LOG_BYTES, 100 << 20)
    assert len(capfd.readouterr().err) == LOG_BYTES


@pytest.mark.slow
async def test_a_job_that_prints_forever_times_out_and_others_are_served(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = asyncio.Event()
    with capture_logs() as logged:
        flooding = asyncio.create_task(run(jobs.print_for_ever, lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 30)
        for _ in range(10):
            await run(jobs.look)
        assert not flooding.done()
        with pytest.raises(LimitExceeded, match="limit of 1 seconds"):
            await flooding
    assert [line["kept"] for line in logged] == [LOG_BYTES]
    assert len(capfd.readouterr().err) <= LOG_BYTES + 1


@pytest.mark.slow
async def test_a_full_folder_ends_the_job(run: Run) -> None:
    with pytest.raises(LimitExceeded, match=r"4 MiB.*on disk"):
        await run(jobs.fill_the_disk)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        jobs.hold_deleted_files,
        jobs.hold_deleted_files_strictly,
        jobs.have_others_hold_deleted_files,
        jobs.hold_files_in_memory,
    ],
    ids=lambda kind: kind.name,
)
async def test_deleted_files_that_are_held_open_count(run: Run, kind: Kind[Any, Any]) -> None:
    with pytest.raises(LimitExceeded, match=r"4 MiB.*on disk"):
        await run(kind)


@pytest.mark.slow
async def test_a_deleted_file_counts_once_however_often_it_is_open(run: Run) -> None:
    assert (await run(jobs.hold_few_deleted_files, number=2))["found"] == {"held": "20"}


def test_the_probe_finds_what_this_kernel_has() -> None:
    found = policy.probe()
    assert found.landlock == landlock.version()
    assert found.calls == (seccomp.column() is not None)


def test_missing_abilities_are_described() -> None:
    assert policy.Abilities(calls=True, landlock=7).missing == []
    (calls, files) = policy.Abilities(calls=False, landlock=0).missing
    assert "sockets" in calls
    assert "files" not in calls
    assert "read and write" in files


async def test_a_crash_is_reported_as_one(run: Run) -> None:
    with pytest.raises(Crashed):
        await run(jobs.abort)


_OWNER = """
import asyncio, pathlib, sys
from offloop_workers.children.pool import Children
from support.jobs import hostile_jobs as jobs
from support.tasks import task_of

async def main():
    async with Children(1, ("default",), pathlib.Path(sys.argv[1] + "-temporary")) as children:
        def report(progress):
            print(children.zygote.process.pid, progress.message, flush=True)
        await children.run(task_of(jobs.start_and_wait, {}, sys.argv[1]), report)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "zygote"])
async def test_programs_of_jobs_end_with_a_killed_worker_or_zygote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """The kernel kills the children, but not the programs that they have started."""
    monkeypatch.setenv("OFFLOOP_JOB_MODULES", "support.jobs.hostile_jobs")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER, str(tmp_path / "job"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert owner.stdout
        async with asyncio.timeout(90):  # two interpreters start slowly on a busy machine
            pids = [int(word) for word in (await owner.stdout.readline()).split()]
        assert len(pids) == 3
        assert all(map(alive, pids))
        if victim == "zygote":
            os.kill(pids[0], signal.SIGKILL)
        else:
            owner.kill()
        assert gone(pids)
    finally:
        if owner.returncode is None:
            owner.kill()
        await owner.communicate()
