"""Searches in a real child: its sandbox, its limits of time and memory, progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import JobError
from offloop.jobs.search import search_text
from offloop.kinds.kind import Kind
from offloop.queue.record import Progress
from offloop_workers.children.pool import Children
from support.tasks import task_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # in a pool of its own
LINE = b"2026-11-30 12:00:00 INFO worker-7 job=00c0ffee took 17 ms path=/api/v1/items/17\n"


@pytest.fixture
async def searchers(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Children]:
    """One child whose jobs search the root."""
    monkeypatch.setenv("OFFLOOP_FILE_ROOTS", f"in={root}")
    async with Children(1, ("search",), tmp_path / "temporary") as pool:
        yield pool


async def searched(
    pool: Children,
    tmp_path: Path,
    pattern: str,
    kind: Kind[Any, Any] = search_text,
    notes: list[Progress] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """The output of a search."""
    task = task_of(kind, {"patterns": [pattern], **arguments}, tmp_path / "job" / "1")
    async with asyncio.timeout(100):
        done = await pool.run(task, (notes if notes is not None else []).append)
    output: dict[str, Any] = done["output"]
    return output


async def test_a_large_log_is_searched_within_the_memory_of_the_kind(
    searchers: Children, root: Path, tmp_path: Path
) -> None:
    """The file is three times as large as the memory."""
    kind = replace(search_text, limits=replace(search_text.limits, memory_mb=100))
    with (root / "log").open("wb") as file:
        for _ in range(300):
            file.write(LINE * 13_000)
        file.write(b"the last ERROR\n")
    notes: list[Progress] = []
    output = await searched(searchers, tmp_path, "ERROR|took 9", kind, notes, file="root:in/log", before=1)
    [found] = output["matches"]
    assert (found["line"], found["before"]) == (300 * 13_000 + 1, [LINE.decode().strip()])
    assert notes[-1].done == notes[-1].total == output["bytes"] == (root / "log").stat().st_size
    assert len(notes) > 1


async def test_a_line_of_a_gigabyte_stays_within_the_memory_of_the_kind(
    searchers: Children, root: Path, tmp_path: Path
) -> None:
    with (root / "log").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0)
        file.write(b"x")
        file.seek(0, 2)
        file.write(b"needle\n")
    output = await searched(searchers, tmp_path, "needle", file="root:in/log", binary="text")
    [found] = output["matches"]
    assert (found["line"], found["matches"][0]["column"]) == (1, (1 << 30) + 1)


async def test_a_strict_child_searches_a_folder_and_sees_nothing_beside_it(
    searchers: Children, root: Path, tmp_path: Path
) -> None:
    (root / "a").mkdir()
    (root / "a" / "x.txt").write_text("needle\n")
    (tmp_path / "secret.txt").write_text("needle\n")
    (root / "a" / "link.txt").symlink_to(tmp_path / "secret.txt")
    output = await searched(searchers, tmp_path, "needle", folder="root:in", save=True)
    assert [(line["file"], line["line"]) for line in output["matches"]] == [("a/x.txt", 1)]
    assert output["skipped"] == {"links": 1}


async def test_a_catastrophic_pattern_ends_before_its_child_is_killed(searchers: Children, tmp_path: Path) -> None:
    kind = replace(search_text, limits=replace(search_text.limits, seconds=6))
    stopped = r"^Pattern 1, .* was stopped (after 3 s of CPU time|shortly before)"
    with pytest.raises(JobError, match=stopped) as failed:
        await searched(searchers, tmp_path, r"(a+)+\1$", kind, text="a" * 50 + "b")
    assert failed.value.reason == "limit_exceeded"
    assert (await searched(searchers, tmp_path, "a", text="a"))["lines_total"] == 1


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("shift_jis", "一覧表です"), ("gb18030", "北京市"), ("windows-1251", "улица"), ("cp437", "½ß")],
)
async def test_a_strict_child_decodes_and_detects(
    searchers: Children, root: Path, tmp_path: Path, encoding: str, text: str
) -> None:
    codec = {"shift_jis": "cp932"}.get(encoding, encoding)
    (root / "a").write_bytes(f"{text}\n".encode(codec) * 30)
    output = await searched(searchers, tmp_path, text, file="root:in/a", encoding=encoding)
    assert output["lines_total"] == 30
    task = task_of(search_text, {"patterns": ["x"], "file": "root:in/a"}, tmp_path / "job" / "2")
    done = await searchers.run(task, lambda _: None)
    assert "The bytes look like" in done["warnings"][0]
