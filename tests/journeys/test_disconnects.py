"""A client that leaves, in every phase of every tool: no task, connection, query, job, process, key or file stays.

A front end is looked into with a tool of the stack that names its tasks. The other ends are looked at themselves: a
web server knows its connections, PostgreSQL its queries, a stack its jobs, keys and files (`Stack.check`, after each
test).
"""

from __future__ import annotations

import asyncio
import http.client
import shutil
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from support.hosts.outside import Outside, outside
from support.jobs import stack_tools
from support.postgres import Postgres, postgres
from support.stack.client import Caller, begin_call
from support.stack.gates import Gate
from support.stack.stack import Stack
from support.waiting import eventually, until

__all__ = ["postgres"]
pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SLEEPING = "SELECT pg_sleep(40)"
MANY_ROWS = "SELECT repeat('x', 1000) AS x, pg_sleep(0.001) FROM generate_series(1, 1000000)"
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid() "
    "AND datname = 'disconnects'"
)
REQUEST = "RequestResponseCycle.run_asgi"
"""Uvicorn's task of a request."""

LONG_PAGE = "<table>" + "<tr><td>one</td><td>two</td></tr>" * 60_000 + "</table>"


@dataclass
class Place:
    """Where a test leaves: a stack, an observer who stays, a web server, a database and a gate."""

    stack: Stack
    observer: Caller
    server: Outside
    postgres: Postgres
    gate: Gate

    def begin(self, tool: str, arguments: dict[str, Any]) -> http.client.HTTPConnection:
        """Begin a call as the observer's principal, in a connection of its own."""
        return begin_call(self.stack.front_ends[0].endpoint, self.observer.key, tool, arguments)

    async def tasks(self) -> Counter[str]:
        """The tasks of the front end, but for those of one that looks."""
        return Counter((await self.observer.call("look_inside")).data["tasks"])

    async def resting(self) -> Counter[str]:
        """The tasks once no earlier request ends any more; one that did so later would hide one that begins."""

        async def one_request() -> Counter[str]:
            tasks = await self.tasks()
            return tasks if tasks[REQUEST] == 1 else Counter()

        return await eventually(one_request, "only the look itself is under way")

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` says."""
        answer = httpx2.get(f"{self.stack.front_ends[0].base}/healthz", trust_env=False).json()
        assert isinstance(answer, dict)
        return answer

    async def queries(self) -> int:
        """How many queries run in PostgreSQL."""
        [[count]] = await self.postgres.fetch(RUNNING)
        return int(count)

    async def quiet(self, before: Counter[str]) -> None:
        """Wait until nothing is left: as many tasks as before, no connection, no query, no job."""

        async def as_before() -> bool:
            return not (await self.tasks() - before)

        async def nothing_queued() -> bool:
            return await self.stack.open_jobs() == 0

        async def nothing_runs() -> bool:
            return await self.queries() == 0

        try:
            await eventually(as_before, "the tasks have ended")
        except AssertionError as error:
            error.add_note(f"left: {await self.tasks() - before}")
            raise
        await eventually(nothing_queued, "the jobs have ended")
        await eventually(nothing_runs, "the queries have ended")
        await asyncio.wait_for(self.server.emptied.wait() if self.server.open else asyncio.sleep(0), 10)
        await asyncio.to_thread(self.stack.check)


@pytest.fixture(scope="module")
def lively(temporary: Path, postgres: Postgres) -> Iterator[Stack]:
    """A front end with everything switched on, and a worker with one slot."""
    folder = temporary / "disconnects"
    with sqlite3.connect(temporary / "disconnects.db") as connection:
        connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, note text)")
    connection.close()
    asyncio.run(_new_database(postgres))
    stack = Stack(
        folder,
        job_modules="stack_jobs,stack_tools",
        slots=1,
        tool_threads=1,
        fetch_hosts="*",
        fetch_networks="127.0.0.0/8",
        fetch_read_seconds=60,
        webhook_hosts="*",
        max_upload_mb=32,
        sql_lite=f"sqlite:///{temporary}/disconnects.db",
        sql_pg=postgres.url(database="disconnects"),
        query_seconds=50,
    )
    try:
        shutil.copy(str(stack_tools.__file__), folder / "modules" / "stack_tools.py")
        worker, front_end = stack.begin_worker(), stack.begin_front_end()
        stack.await_front_end(front_end)
        stack.await_worker(worker)
        yield stack
    finally:
        stack.close()
        (temporary / "disconnects.db").unlink()


async def _new_database(postgres: Postgres) -> None:
    if not await postgres.fetch("SELECT FROM pg_database WHERE datname = 'disconnects'"):
        await postgres.execute("CREATE DATABASE disconnects")


@pytest.fixture
async def place(lively: Stack, postgres: Postgres, gate: Gate) -> AsyncIterator[Place]:
    """The place, with a web server of this test."""
    async with outside() as server, lively.client(key=lively.new_key()) as observer:
        here = Place(lively, observer, server, postgres, gate)
        # The first streamed answer of a process starts a task of the SDK's that stays.
        connection = here.begin("list_jobs", {})
        assert await asyncio.to_thread(lambda: connection.getresponse().read())
        connection.close()
        yield here


FETCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "http_get before the headers": ("http_get", {"url": "/hang"}),
    "http_get in the middle of the body": ("http_get", {"url": "/drip"}),
    "http_get of an endless body": ("http_get", {"url": "/endless"}),
    "http_get while it is saved": ("http_get", {"url": "/drip", "save": True}),
    "call_api": ("call_api", {"method": "POST", "url": "/hang", "json": {"a": 1}}),
    "bulk_fetch": ("bulk_fetch", {"urls": ["/hang", *(f"/hang?{n}" for n in range(30)), "/drip"]}),
    "gather_sources": ("gather_sources", {"sources": {"a": {"get": "/hang"}, "b": {"get": "/drip"}}}),
}


def at(server: Outside, given: Any) -> Any:
    """The arguments, with paths as URLs of the server."""
    match given:
        case dict():
            return {name: at(server, value) for name, value in given.items()}
        case list():
            return [at(server, value) for value in given]
        case str() if given.startswith("/"):
            return server.url(given)
    return given


@pytest.mark.parametrize("phase", FETCHES)
async def test_leaving_a_fetch_closes_its_connections(place: Place, phase: str) -> None:
    tool, arguments = FETCHES[phase]
    before = await place.resting()
    connection = place.begin(tool, at(place.server, arguments))
    await asyncio.wait_for(place.server.begun.wait(), 10)
    connection.close()
    await asyncio.wait_for(place.server.emptied.wait(), 10)
    await place.quiet(before)


QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "query_postgres in a slow query": ("query_postgres", {"sql": SLEEPING, "timeout_seconds": 40}),
    "query_postgres while rows come": ("query_postgres", {"sql": MANY_ROWS, "timeout_seconds": 40}),
    "query_postgres while it is saved": ("query_postgres", {"sql": MANY_ROWS, "timeout_seconds": 40, "save": True}),
    "gather_sources": (
        "gather_sources",
        {"sources": {"a": {"query": SLEEPING, "connection": "pg"}, "b": {"query": ENDLESS, "connection": "lite"}}},
    ),
}


@pytest.mark.parametrize("phase", QUERIES)
async def test_leaving_a_query_ends_it_in_the_database(place: Place, phase: str) -> None:
    tool, arguments = QUERIES[phase]
    before = await place.resting()
    connection = place.begin(tool, arguments)
    await eventually(place.queries, "the query runs")
    connection.close()
    await place.quiet(before)


async def test_leaving_a_query_of_sqlite_frees_its_thread(place: Place) -> None:
    before = await place.resting()
    connections = [place.begin("query_records", {"sql": ENDLESS, "timeout_seconds": 40}) for _ in range(4)]
    await begun(place, before)
    for connection in connections:
        connection.close()
    await place.quiet(before)
    answer = await place.observer.call("query_records", sql="SELECT 1 AS a", timeout_seconds=10)
    assert answer.data["rows"] == [{"a": 1}]


async def begun(place: Place, before: Counter[str]) -> None:
    """Wait until the front end does something."""

    async def more() -> bool:
        return bool(await place.tasks() - before)

    await eventually(more, "the call has begun")


async def states(place: Place, kind: str) -> list[str]:
    """The states of the observer's jobs of a kind."""
    jobs = (await place.observer.call("list_jobs")).data["jobs"]
    return [job["state"] for job in jobs if job["kind"] == kind]


async def test_leaving_a_job_that_is_queued_takes_it_out_of_the_queue(place: Place) -> None:
    before = await place.resting()
    holder = await place.observer.call("hold", gate=place.gate.argument, wait_seconds=0)
    await place.gate.entered()  # the only slot is taken
    connection = place.begin("render_pdf", {"markdown": "# Never", "wait_seconds": 40})

    async def queued() -> bool:
        return await states(place, "render_pdf") == ["queued"]

    await eventually(queued, "the job is queued")
    connection.close()

    async def cancelled() -> bool:
        return await states(place, "render_pdf") == ["cancelled"]

    await eventually(cancelled, "the job is cancelled")
    place.gate.open()
    assert (await place.observer.call("job_status", job_id=holder.job_id, wait_seconds=20)).state == "completed"
    await place.quiet(before)


async def test_leaving_a_job_that_runs_ends_its_process(place: Place) -> None:
    before = await place.resting()
    connection = place.begin("hold", {"gate": place.gate.argument, "wait_seconds": 40})
    await place.gate.entered()
    connection.close()

    async def gone() -> bool:
        return not place.gate.running and await states(place, "hold") == ["cancelled"]

    await eventually(gone, "the process is gone")
    await place.quiet(before)


async def test_leaving_a_pdf_in_the_middle_of_its_layout_leaves_no_file(place: Place) -> None:
    before = await place.resting()
    connection = place.begin("render_pdf", {"html": LONG_PAGE, "wait_seconds": 40})

    async def running() -> bool:
        return await states(place, "render_pdf") == ["running"]

    await eventually(running, "the job runs")
    connection.close()

    async def cancelled() -> bool:
        return await states(place, "render_pdf") == ["cancelled"]

    await eventually(cancelled, "the job is cancelled")
    await place.quiet(before)


@pytest.mark.parametrize("tool", ["job_status", "wait_for_jobs"])
async def test_leaving_a_long_poll_ends_the_wait_and_not_the_job(place: Place, tool: str) -> None:
    holder = await place.observer.call("hold", gate=place.gate.argument, wait_seconds=0)
    await place.gate.entered()
    before = await place.resting()
    about: dict[str, Any] = {"job_id": holder.job_id} if tool == "job_status" else {"job_ids": [holder.job_id]}
    connection = place.begin(tool, {**about, "wait_seconds": 40})
    await begun(place, before)
    connection.close()

    async def as_before() -> bool:
        return not (await place.tasks() - before)

    await eventually(as_before, "nobody waits any more")
    place.gate.open()
    assert (await place.observer.call("job_status", job_id=holder.job_id, wait_seconds=20)).state == "completed"
    await place.quiet(before)


async def test_leaving_an_upload_in_the_middle_leaves_no_file_and_the_place_stays_free(place: Place) -> None:
    before = await place.resting()
    target = (await place.observer.call("create_upload", name="half.bin")).data
    url = urlsplit(target["upload_url"])
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as half:
        half.sendall(
            f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000000\r\n\r\n".encode()
            + bytes(500_000)
        )
        await begun(place, before)
    await place.quiet(before)
    pending = await place.observer.call("read_artifact", artifact_id=target["artifact_id"])
    assert pending.is_error
    assert (await place.observer.http.put(target["upload_url"], content=b"whole")).status_code == 201


async def test_leaving_a_download_in_the_middle_leaves_nothing(place: Place) -> None:
    """Little is read, and no buffer takes so much: the front end is in the middle of sending when its reader goes."""
    reference = await place.observer.upload(bytes(24 << 20), "big.bin", "application/octet-stream")
    part = await place.observer.call("read_artifact", artifact_id=reference.removeprefix("artifact:"), length=1)
    url = urlsplit(part.data["download_url"])
    before = await place.resting()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.connect((url.hostname or "", url.port or 0))
        connection.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        await begun(place, before)
    await place.quiet(before)


async def test_leaving_a_def_tool_leaves_a_thread_that_is_counted_until_it_ends(place: Place) -> None:
    before = await place.resting()
    counted = place.health()["background_tasks"]["running"]
    runs = Path(f"{place.gate.argument}.runs")
    first = place.begin("hold_thread", {"gate": place.gate.argument})
    until(runs.exists, "the function runs")
    second = place.begin("hold_thread", {"gate": place.gate.argument})
    until(lambda: place.health()["tool_threads"] == {"running": 1, "waiting": 1}, "the second waits for a thread")
    second.close()
    until(lambda: place.health()["tool_threads"] == {"running": 1, "waiting": 0}, "the second is gone")
    first.close()
    until(lambda: place.health()["background_tasks"]["running"] == counted + 1, "the thread has no caller any more")
    place.gate.open()
    until(lambda: place.health()["tool_threads"] == {"running": 0, "waiting": 0}, "the thread has ended")
    until(lambda: place.health()["background_tasks"]["running"] == counted, "and is not counted any more")
    assert runs.read_text().splitlines() == ["one"]  # noqa: ASYNC240 -- a short file
    await place.quiet(before)


async def test_leaving_an_async_def_tool_cancels_it(place: Place) -> None:
    before = await place.resting()
    connection = place.begin("hold_loop", {"gate": place.gate.argument})
    until(Path(f"{place.gate.argument}.runs").exists, "the function runs")
    connection.close()
    until(Path(f"{place.gate.argument}.ended").exists, "the function has cleaned up")
    await place.quiet(before)


BRIEF: dict[str, dict[str, Any]] = {
    "job_status": {"job_id": "none"},
    "wait_for_jobs": {"job_ids": ["none"]},
    "list_jobs": {},
    "cancel_job": {"job_id": "none"},
    "create_upload": {"name": "x"},
    "read_artifact": {"artifact_id": "none"},
    "delete_artifact": {"artifact_ids": ["none"]},
    "list_deliveries": {},
    "replay_delivery": {"delivery_id": "none"},
    "rotate_webhook_secret": {},
    "hash_file": {"file": "data:,hello"},
    "nap": {"seconds": 30},
}
"""Tools that only talk to Redis, or do so first; a job's tool stands for those of all kinds."""


@pytest.mark.parametrize("tool", BRIEF)
async def test_leaving_while_redis_does_not_answer_leaves_nothing_once_it_does(place: Place, tool: str) -> None:
    """Between any two steps of a call that takes a moment: a store that is frozen holds it there."""
    before = await place.resting()
    place.stack.valkey.freeze()
    try:
        connection = place.begin(tool, BRIEF[tool])
        await begun(place, before)
        connection.close()
    finally:
        place.stack.valkey.thaw()
    await place.quiet(before)


async def test_every_tool_is_left_in_some_test(place: Place) -> None:
    kinds = {"hash_file", "render_pdf"}  # what else is queued takes the same way
    left = {tool for tool, _ in (*FETCHES.values(), *QUERIES.values())} | set(BRIEF) | {"query_records"}
    tools = await place.observer.tools()
    light = {name for name, tool in tools.items() if "idempotency_key" not in tool.input_schema["properties"]}
    own = {"look_inside", "hold_thread", "hold_loop", "stall_loop", "fail_together"}
    brief = {"list_tables", "describe_table"}  # the same threads and connections as the queries
    assert light - own - brief <= left
    assert kinds <= set(tools)


async def test_a_front_end_that_stops_does_not_wait_for_a_thread_that_never_ends(
    new_stack: Callable[..., Stack], gate: Gate
) -> None:
    """With its caller still there, and with its caller gone; the log names what is cut short."""
    own = new_stack(job_modules="stack_tools")
    shutil.copy(str(stack_tools.__file__), own.folder / "modules" / "stack_tools.py")
    front_end = own.front_end()
    runs = Path(f"{gate.argument}.runs")
    health = f"{front_end.base}/healthz"
    before = _background_tasks(health)
    connections = [
        begin_call(front_end.endpoint, own.new_key(), "hold_thread", {"gate": gate.argument}) for _ in range(2)
    ]
    until(lambda: runs.exists() and runs.read_text().count("one") == 2, "both functions run")
    connections[0].close()
    until(lambda: _background_tasks(health) == before + 1, "one has no caller any more")
    assert await asyncio.to_thread(front_end.stop, 15) in (0, -signal.SIGTERM)
    assert "a background task is cut short" in front_end.said
    connections[1].close()


def _background_tasks(health: str) -> int:
    return int(httpx2.get(health, trust_env=False).json()["background_tasks"]["running"])
