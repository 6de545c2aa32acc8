"""docs/guide.md: its examples run on a real stack, and the tests it names exist.

Tests of the guide's statements that no other module covers are at the end.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bench.measures import ALL
from pymongo import MongoClient
from redis import Redis

from support.hosts.outside import outside
from support.hosts.receiver import Receiver
from support.mariadb import mariadb_or_none
from support.mongodb import Mongo, mongo_or_none
from support.postgres import Postgres
from support.processes import STACK
from support.stack.client import PLAIN, Caller, connected
from support.stack.gates import Gate
from support.stack.guests import guest_front_end
from support.stack.stack import FrontEnd, Stack, log_lines
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio


ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
PREPARED, *PARTS = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
TITLES = [part.partition("\n")[0] for part in PARTS]

ROWS = {
    "one event loop serves all sessions": "One event loop serves all sessions",
    "sync functions run in threads": "Async functions on the loop, sync functions in threads",
    "parallel calls with gather": "Several sources in parallel",
    "partial failure": "When only some succeed",
    "module-level semaphores": "Limits for all callers together",
    "bulk fetch": "Many URLs in one call",
    "timeouts on outside calls": "A time limit on every outside call",
    "one shared HTTP session": "One HTTP client for the life of the server",
    "JSON by type, HTTP errors": "Answers by their type, errors in words",
    "async database access": "Databases without blocking",
    "document and key stores": "Documents and keys without blocking",
    "SQLite concurrency": "SQLite beside a writer",
    "databases of MySQL's kind": "MySQL and MariaDB",
    "CPU work off the loop": "Work for the processor, off the loop",
    "heavy regular expressions": "Regular expressions of unknown origin",
    "background work": "Work in the background",
    "notifications": "Notification when a job ends",
    "anyio": "anyio beside asyncio",
    "exceptions in gather": "Several exceptions together",
    "CancelledError": "Cancelled: clean up, then raise",
    "tools that do not block a workflow": "Start, continue, get notified",
    "responsiveness, scalability, utilisation": "The gains",
}
"""Topics of a guide to concurrency in MCP servers, and the section of ours for each."""


def code(part: str, language: str = "python") -> list[str]:
    """The code blocks of a section."""
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def file_of(name: str) -> str:
    """A file of the preparation section."""
    return next(block for block in code(PREPARED) if block.startswith(f"# {name}\n"))


@dataclass(frozen=True)
class Lesson:
    """Environment of the examples.

    Attributes:
        stack: the stack with the worker.
        front_end: its front end of the guide, which needs no API key.
        site: URL of the example web server.
        folder: folder of the database.
    """

    stack: Stack
    front_end: FrontEnd
    site: str
    folder: Path

    def client(self) -> AbstractAsyncContextManager[Caller]:
        """Connect to the front end."""
        return connected(self.front_end.endpoint, None, "auto")


@pytest.fixture(scope="module")
def lesson(temporary: Path, full_stack: Stack, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Lesson]:
    """The environment, prepared as the guide says."""
    mariadb = mariadb_or_none(request)
    folder = temporary / "lesson"
    folder.mkdir()
    with contextlib.chdir(folder):
        exec(file_of("make_shop.py"), {"__name__": "__main__"})  # noqa: S102 -- code of this repository
    (full_stack.folder / "modules" / "guide_tools.py").write_text(file_of("guide_tools.py"), "utf-8")
    documents = mongo_or_none(request)
    _fill_stores(full_stack, documents)
    settings = {
        "api_keys": "",
        "job_modules": "stack_jobs,stack_tools,guide_tools",
        "tool_threads": 8,
        "query_threads": 4,
        "max_queued_per_principal": 1000,
        "sql_lite": "",
        "sql_shop": f"sqlite:///{folder}/shop.db",
        "sql_pg": postgres.url(),
        "sql_my": mariadb.url(database="journeys") if mariadb else "",
        "source_docs": documents.url("shop") if documents else "",
        "source_keys": f"{full_stack.valkey.url}?db=2&prefix=shop:",
    }
    try:
        with site(full_stack) as url, guest_front_end(full_stack, **settings) as front_end:
            yield Lesson(full_stack, front_end, url, folder)
    finally:
        shutil.rmtree(folder)
        with Redis.from_url(f"{full_stack.valkey.url}?db=2") as redis:
            redis.flushdb()


def _fill_stores(stack: Stack, documents: Mongo | None) -> None:
    """Store the document and the key of the preparation."""
    if documents is not None:
        with MongoClient[dict[str, Any]](documents.url("")) as client:
            client.shop.sales.insert_one({"article": "tea", "euros": 3.5})
    with Redis.from_url(f"{stack.valkey.url}?db=2") as redis:
        redis.set("shop:tea", "3.5")


@contextmanager
def site(stack: Stack) -> Iterator[str]:
    """URL of the example web server, which runs while the block is open."""
    process = subprocess.Popen(
        [sys.executable, "-c", file_of("site.py").replace("8000", "0")],
        env={**os.environ, STACK: stack.mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline().split()[-1])}"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("part", PARTS, ids=TITLES)
async def test_the_examples_of_the_guide_run_as_they_are_printed(
    lesson: Lesson, part: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Executed in order, as in a prompt with top-level await, with other ports."""
    if "query_mysql" in part:
        request.getfixturevalue("mariadb")  # skips without MariaDB
    if "query_mongodb" in part:
        request.getfixturevalue("mongo")  # skips without a server
    examples = code(part)
    assert examples, "every part has an example"
    monkeypatch.chdir(lesson.folder)
    start = next(block for block in code(PREPARED) if "\nURL = " in block)
    names: dict[str, Any] = {}
    for example in (start, *examples):
        here = example.replace("http://127.0.0.1:8750/mcp", lesson.front_end.endpoint)
        compiled = compile(
            here.replace("http://127.0.0.1:8000", lesson.site), part, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        async with asyncio.timeout(60):
            running = eval(compiled, names)  # noqa: S307 -- code of this repository
            if inspect.isawaitable(running):
                await running


def test_every_row_has_its_part() -> None:
    assert list(ROWS.values()) == TITLES


@pytest.mark.parametrize("part", PARTS, ids=TITLES)
def test_every_part_names_tests_that_exist(part: str) -> None:
    tests = part.rpartition("\nTests: ")[2]
    named = re.findall(r"`(test_\w+)`", tests)
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    assert named
    assert not set(named) - defined


def test_the_benchmarks_of_the_guide_exist() -> None:
    named = re.findall(r"^\./run bench .*--only (\S+)", GUIDE, re.MULTILINE)
    assert len(named) >= 3
    assert set(named) <= set(ALL)


async def test_a_light_tool_is_answered_while_heavy_calls_fill_the_workers(lesson: Lesson, gate: Gate) -> None:
    """Independent of the clock: no heavy call has an answer when the light ones have theirs."""
    async with lesson.client() as heavy, lesson.client() as light:
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(heavy.call("hold", gate=gate.argument, wait_seconds=40, idempotency_key=f"{gate}{n}"))
                for n in range(20)
            ]
            await gate.entered(2)

            async def queued() -> bool:
                return await lesson.stack.open_jobs() == 20

            await eventually(queued, "all heavy calls are queued or run")
            for _ in range(10):
                assert (await light.call("list_jobs")).data["jobs"]
                assert (await light.call("sleep_in_thread", value=1)).data["text"] == "sleep_in_thread"
            assert not any(call.done() for call in calls)
            gate.open()
        assert [call.result().state for call in calls] == ["completed"] * 20


async def test_a_blocked_loop_is_logged_with_its_stack_and_shown_by_healthz(lesson: Lesson) -> None:
    front_end = lesson.front_end
    before = httpx2.get(f"{front_end.base}/healthz", trust_env=False, verify=PLAIN).json()["loop_lag_ms"]["stalls"]
    async with lesson.client() as caller:
        assert not (await caller.call("stall_loop", seconds=0.35)).is_error
    lag = httpx2.get(f"{front_end.base}/healthz", trust_env=False, verify=PLAIN).json()["loop_lag_ms"]
    assert lag["stalls"] > before
    assert lag["peak"] >= 300  # measured at the next tick of the monitor, every 50 ms

    def stalls() -> list[dict[str, Any]]:
        return [line for line in log_lines(front_end) if "stall_loop" in str(line.get("stack"))]

    [line] = until(stalls, "the log has the stack")
    assert line["level"] == "warning"
    assert line["event"] == "event loop stalled"


async def test_a_silent_host_is_an_error_with_the_time_limit(lesson: Lesson) -> None:
    async with outside() as server, lesson.client() as caller:
        answer = await caller.call("http_get", url=server.url("/hang"), timeout_seconds=0.3, retries=0)
        assert answer.is_error
        assert "0.3 s" in answer.text
        assert "127.0.0.1" in answer.text


async def test_causes_of_a_group_reach_the_caller_one_by_one_without_tracebacks(lesson: Lesson) -> None:
    front_end = lesson.front_end
    async with lesson.client() as caller:
        answer = await caller.call("fail_together", causes=["It is away.", "secret 4711", "It is full."])
    assert answer.is_error
    assert answer.text.splitlines() == [
        "It is away.",
        "It is full.",
        "fail_together failed inside the server; the operator's log has the reason.",
    ]
    until(lambda: "secret 4711" in front_end.output, "the log has the reason")


async def test_one_job_is_reached_by_wait_id_list_and_webhook(lesson: Lesson) -> None:
    receiver = Receiver()
    try:
        async with lesson.client() as caller:
            answer = await caller.call("nap", wait_seconds=20, notify_url=receiver.url())
            looked = await caller.call("job_status", job_id=answer.job_id)
            waited = await caller.call("wait_for_jobs", job_ids=[answer.job_id])
            listed = await caller.call("list_jobs")
        assert answer.state == looked.state == waited.data["jobs"][0]["state"] == "completed"
        assert answer.job_id in [job["job_id"] for job in listed.data["jobs"]]
        [webhook] = await asyncio.to_thread(until, receiver.at, "the webhook arrives")
        assert answer.job_id.encode() in webhook.body
    finally:
        await asyncio.to_thread(receiver.stop)
