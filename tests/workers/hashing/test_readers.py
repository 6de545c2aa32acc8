"""Reader processes."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import Crashed
from offloop.jobs.hashing import TreeToHash
from offloop.kinds.job_context import JobContext
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import source
from offloop_workers.hashing import readers
from offloop_workers.hashing.readers import ReadTask, results

EVERYTHING = TreeToHash.model_validate({"folder": "root:in"})


def fill(root: Path, count: int) -> list[ReadTask]:
    """Files in several folders, enough of them for several processes."""
    for number in range(count):
        path = root / f"{number % 7}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * number)
    return [ReadTask(f"{number % 7}/{number}", number * 4, ("sha256", "md5")) for number in range(count)]


def test_several_processes_give_what_one_gives_in_the_order_of_the_tasks(
    root: Path, context: JobContext, reports: list[dict[str, Any]]
) -> None:
    tasks = fill(root, 400)
    tasks.insert(100, ReadTask("0/gone", 5, ("sha256",)))
    with source(EVERYTHING, context) as files:
        alone = results(files, tasks, ByteProgress(context, 0), readers=1)
        assert results(files, tasks, progress := ByteProgress(context, 0), readers=3) == alone
    assert alone[100] == "no such file or directory"
    assert alone[8] == [hashlib.new(name, (8).to_bytes(4, "big") * 8).digest() for name in ("sha256", "md5")]
    assert progress.done == sum(task.size for task in tasks) - 5
    assert reports


def test_no_process_and_no_descriptor_is_left(root: Path, context: JobContext) -> None:
    tasks = fill(root, 400)
    children = _children()  # the process of the tests may have others, such as a server
    with source(EVERYTHING, context) as files:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are all that is compared
        results(files, tasks, ByteProgress(context, 0), readers=2)
        files.close()  # type: ignore[attr-defined]  # a folder's
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 -- the same
    assert _children() == children


def _children() -> str:
    """The child processes of this one, zombies included."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_a_reader_that_dies_fails_the_job(root: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = fill(root, 400)
    parent = os.getpid()

    def die(*_: object) -> int:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    monkeypatch.setattr(readers, "read", die)
    with source(EVERYTHING, context) as files, pytest.raises(Crashed, match="try again"):
        results(files, tasks, ByteProgress(context, 0), readers=2)


def test_an_error_in_a_reader_is_raised_with_its_traceback(
    root: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError

    tasks = fill(root, 400)
    monkeypatch.setattr(readers, "read", fail)
    with source(EVERYTHING, context) as files, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        results(files, tasks, ByteProgress(context, 0), readers=2)


def test_without_new_processes_one_reads_all(root: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise PermissionError

    tasks = fill(root, 400)
    monkeypatch.setattr(readers, "_fork", refuse)
    with source(EVERYTHING, context) as files:
        assert all(isinstance(result, list) for result in results(files, tasks, ByteProgress(context, 0), readers=2))


def test_a_file_swapped_for_a_link_is_not_read(root: Path, context: JobContext, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    (root / "a").symlink_to(tmp_path / "secret")
    (root / "b").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    tasks = [ReadTask(path, 6, ("md5",)) for path in ("a", "b/secret", "pipe")]
    with source(EVERYTHING, context) as files:
        assert all(isinstance(result, str) for result in results(files, tasks, ByteProgress(context, 0)))
