"""Hashing in a real child: resource limits, reader processes, cancellation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from offloop.jobs.hashing import find_duplicates, hash_tree
from offloop.queue.record import Progress
from offloop_workers.children.pool import Children
from offloop_workers.children.task import Task
from support.processes import gone
from support.tasks import task_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # in a pool of its own


@pytest.fixture
async def hashers(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Children]:
    """One child whose jobs hash the root."""
    monkeypatch.setenv("OFFLOOP_FILE_ROOTS", f"in={root}")
    async with Children(1, ("hash",), tmp_path / "temporary") as pool:
        yield pool


def task(kind: Any, tmp_path: Path) -> Task:
    """A task over the whole root."""
    return task_of(kind, {"folder": "root:in"}, tmp_path / "job")


def helpers() -> set[int]:
    """The processes that were forked by the children of this process's zygotes."""
    parents = {int(entry): _parent(entry) for entry in os.listdir("/proc") if entry.isdigit()}  # noqa: PTH208 -- numbers
    below = {os.getpid()}
    levels = []
    while below := {pid for pid, parent in parents.items() if parent in below}:
        levels.append(below)
    return levels[2] if len(levels) > 2 else set()


def _parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("kind", [hash_tree, find_duplicates], ids=lambda kind: str(kind.name))
async def test_thousands_of_files_fit_into_the_caps(hashers: Children, root: Path, tmp_path: Path, kind: Any) -> None:
    for number in range(2000):
        (root / f"{number}").write_bytes(bytes(number % 100 * 100))
    async with asyncio.timeout(30):
        done = await hashers.run(task(kind, tmp_path), lambda _: None)
    assert done["output"]["troubles_total"] == 0


async def test_a_cancelled_job_ends_soon_with_all_its_readers(hashers: Children, root: Path, tmp_path: Path) -> None:
    """Reading all would take minutes."""
    for number in range(4):
        with (root / f"{number}").open("wb") as file:
            file.truncate(50 << 30)
    reading = asyncio.Event()

    def note(progress: Progress) -> None:
        if progress.done:
            reading.set()

    async with asyncio.timeout(30):
        running = asyncio.create_task(hashers.run(task(hash_tree, tmp_path), note))
        await reading.wait()
        found = await asyncio.to_thread(helpers)
        if (cores := len(os.sched_getaffinity(0))) > 1:
            assert len(found) == min(4, cores)
        running.cancel()
        await asyncio.wait([running])
        assert await asyncio.to_thread(gone, found)
