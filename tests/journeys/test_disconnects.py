"""Client disconnects in every phase of every tool: no task, connection, query, job, process, key or file stays.

A tool of the stack lists the tasks of the front end. The web server counts its connections, PostgreSQL its queries, and
`Stack.check`, after each test, the jobs, keys and files.
"""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from support.hosts.outside import Outside, outside
from support.mariadb import MariaDB, mariadb_or_none
from support.postgres import Postgres
from support.stack.client import PLAIN, Caller, begin_call
from support.stack.gates import Gate
from support.stack.guests import guest_front_end
from support.stack.stack import Stack
from support.waiting import eventually, until

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SLEEPING = "SELECT pg_sleep(40)"
MANY_ROWS = "SELECT repeat('x', 1000) AS x, pg_sleep(0.001) FROM generate_series(1, 1000000)"
MYSQL_ROWS = "SELECT REPEAT('x', 1000) AS x, SLEEP(0.5) FROM seq_1_to_1000000"
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid() AND datname = 'journeys'"
)
RUNNING_IN_MYSQL = "SELECT count(*) FROM information_schema.processlist WHERE command <> 'Sleep' AND db = 'journeys'"
REQUEST = "RequestResponseCycle.run_asgi"
"""Uvicorn's task of a request."""

LONG_PAGE = "<table>" + "<tr><td>one</td><td>two</td></tr>" * 60_000 + "</table>"


@dataclass
class Environment:
    """Environment of a disconnect: a stack, a connected observer, a web server, a database and a gate."""

    stack: Stack
    observer: Caller
    server: Outside
    postgres: Postgres
    mariadb: MariaDB | None
    gate: Gate

    def begin(self, tool: str, arguments: dict[str, Any], *, legacy: bool = False) -> http.client.HTTPConnection:
        """Begin a call of the observer's principal on a new connection."""
        return begin_call(self.stack.front_ends[0].endpoint, self.observer.key, tool, arguments, legacy=legacy)

    async def tasks(self) -> Counter[str]:
        """The tasks of the front end, except those of this request."""
        return Counter((await self.observer.call("look_inside")).data["tasks"])

    async def resting(self) -> Counter[str]:
        """The tasks after all earlier requests have ended; one that ended later would hide one that begins."""

        async def one_request() -> Counter[str]:
            tasks = await self.tasks()
            return tasks if tasks[REQUEST] == 1 else Counter()

        return await eventually(one_request, "only this request is in progress")

    def health(self) -> dict[str, Any]:
        """The answer of ``/healthz``."""
        answer = httpx2.get(f"{self.stack.front_ends[0].base}/healthz", trust_env=False, verify=PLAIN).json()
        assert isinstance(answer, dict)
        return answer

    async def queries(self) -> int:
        """Number of running queries in PostgreSQL and MariaDB."""
        [[count]] = await self.postgres.fetch(RUNNING)
        [[more]] = await self.mariadb.fetch(RUNNING_IN_MYSQL) if self.mariadb else [(0,)]
        return int(count) + int(more)

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


@pytest.fixture
async def env(
    full_stack: Stack, postgres: Postgres, gate: Gate, request: pytest.FixtureRequest
) -> AsyncIterator[Environment]:
    """The environment, with a web server for this test."""
    mariadb = mariadb_or_none(request)
    async with outside() as server, full_stack.client(key=full_stack.new_key()) as observer:
        here = Environment(full_stack, observer, server, postgres, mariadb, gate)
        # The first streamed answer of a process starts a permanent task of the SDK.
        connection = here.begin("list_jobs", {}, legacy=True)
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
    """The arguments, with paths turned into URLs of the server."""
    match given:
        case dict():
            return {name: at(server, value) for name, value in given.items()}
        case list():
            return [at(server, value) for value in given]
        case str() if given.startswith("/"):
            return server.url(given)
    return given


@pytest.mark.parametrize("phase", FETCHES)
async def test_disconnecting_during_a_fetch_closes_its_connections(env: Environment, phase: str) -> None:
    tool, arguments = FETCHES[phase]
    before = await env.resting()
    connection = env.begin(tool, at(env.server, arguments))
    await asyncio.wait_for(env.server.begun.wait(), 10)
    connection.close()
    await asyncio.wait_for(env.server.emptied.wait(), 10)
    await env.quiet(before)


QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "query_postgres in a slow query": ("query_postgres", {"sql": SLEEPING, "timeout_seconds": 40}),
    "query_postgres while rows come": ("query_postgres", {"sql": MANY_ROWS, "timeout_seconds": 40}),
    "query_postgres while it is saved": ("query_postgres", {"sql": MANY_ROWS, "timeout_seconds": 40, "save": True}),
    "query_mysql in a slow query": ("query_mysql", {"sql": "SELECT BENCHMARK(1e12, 1)", "timeout_seconds": 40}),
    "query_mysql while rows come": ("query_mysql", {"sql": MYSQL_ROWS, "timeout_seconds": 40}),
    "query_mysql while it is saved": ("query_mysql", {"sql": MYSQL_ROWS, "timeout_seconds": 40, "save": True}),
    "gather_sources": (
        "gather_sources",
        {"sources": {"a": {"query": SLEEPING, "connection": "pg"}, "b": {"query": ENDLESS, "connection": "lite"}}},
    ),
}


@pytest.mark.parametrize("phase", QUERIES)
async def test_disconnecting_during_a_query_ends_it_in_the_database(
    env: Environment, phase: str, request: pytest.FixtureRequest
) -> None:
    tool, arguments = QUERIES[phase]
    if tool == "query_mysql":
        request.getfixturevalue("mariadb")  # skips without MariaDB
    before = await env.resting()
    connection = env.begin(tool, arguments)
    await eventually(env.queries, "the query runs")
    connection.close()
    await env.quiet(before)


async def test_disconnecting_during_a_query_of_sqlite_frees_its_thread(env: Environment) -> None:
    before = await env.resting()
    connections = [env.begin("query_records", {"sql": ENDLESS, "timeout_seconds": 40}) for _ in range(4)]
    await begun(env, before)
    for connection in connections:
        connection.close()
    await env.quiet(before)
    answer = await env.observer.call("query_records", sql="SELECT 1 AS a", timeout_seconds=10)
    assert answer.data["rows"] == [{"a": 1}]


async def begun(env: Environment, before: Counter[str]) -> None:
    """Wait until the front end has a new task."""

    async def more() -> bool:
        return bool(await env.tasks() - before)

    await eventually(more, "the call has begun")


async def states(env: Environment, kind: str) -> list[str]:
    """The states of the observer's jobs of a kind."""
    jobs = (await env.observer.call("list_jobs")).data["jobs"]
    return [job["state"] for job in jobs if job["kind"] == kind]


async def test_disconnecting_from_a_queued_job_removes_it_from_the_queue(env: Environment) -> None:
    before = await env.resting()
    holders = [(await env.observer.call("hold", gate=env.gate.argument, wait_seconds=0)).job_id for _ in range(2)]
    await env.gate.entered(2)  # both slots are in use
    connection = env.begin("render_pdf", {"markdown": "# Never", "wait_seconds": 40})

    async def queued() -> bool:
        return await states(env, "render_pdf") == ["queued"]

    await eventually(queued, "the job is queued")
    connection.close()

    async def cancelled() -> bool:
        return await states(env, "render_pdf") == ["cancelled"]

    await eventually(cancelled, "the job is cancelled")
    env.gate.open()
    ended = await env.observer.call("wait_for_jobs", job_ids=holders, wait_seconds=20)
    assert [job["state"] for job in ended.data["jobs"]] == ["completed"] * 2
    await env.quiet(before)


async def test_disconnecting_from_a_running_job_ends_its_process(env: Environment) -> None:
    before = await env.resting()
    connection = env.begin("hold", {"gate": env.gate.argument, "wait_seconds": 40})
    await env.gate.entered()
    connection.close()

    async def gone() -> bool:
        return not env.gate.running and await states(env, "hold") == ["cancelled"]

    await eventually(gone, "the process is gone")
    await env.quiet(before)


async def test_disconnecting_during_the_layout_of_a_pdf_leaves_no_file(env: Environment) -> None:
    before = await env.resting()
    connection = env.begin("render_pdf", {"html": LONG_PAGE, "wait_seconds": 40})

    async def running() -> bool:
        return await states(env, "render_pdf") == ["running"]

    await eventually(running, "the job runs")
    connection.close()

    async def cancelled() -> bool:
        return await states(env, "render_pdf") == ["cancelled"]

    await eventually(cancelled, "the job is cancelled")
    await env.quiet(before)


@pytest.mark.parametrize("tool", ["job_status", "wait_for_jobs"])
async def test_disconnecting_from_a_long_poll_ends_the_wait_and_not_the_job(env: Environment, tool: str) -> None:
    holder = await env.observer.call("hold", gate=env.gate.argument, wait_seconds=0)
    await env.gate.entered()
    before = await env.resting()
    about: dict[str, Any] = {"job_id": holder.job_id} if tool == "job_status" else {"job_ids": [holder.job_id]}
    connection = env.begin(tool, {**about, "wait_seconds": 40})
    await begun(env, before)
    connection.close()

    async def as_before() -> bool:
        return not (await env.tasks() - before)

    await eventually(as_before, "no wait is left")
    env.gate.open()
    assert (await env.observer.call("job_status", job_id=holder.job_id, wait_seconds=20)).state == "completed"
    await env.quiet(before)


async def test_disconnecting_during_an_upload_leaves_no_file_and_the_upload_stays_pending(env: Environment) -> None:
    before = await env.resting()
    target = (await env.observer.call("create_upload", name="half.bin")).data
    url = urlsplit(target["upload_url"])
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as half:
        half.sendall(
            f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000000\r\n\r\n".encode()
            + bytes(500_000)
        )
        await begun(env, before)
    await env.quiet(before)
    pending = await env.observer.call("read_artifact", artifact_id=target["artifact_id"])
    assert pending.is_error
    assert (await env.observer.http.put(target["upload_url"], content=b"whole")).status_code == 201


async def test_disconnecting_during_a_download_leaves_no_connection(env: Environment) -> None:
    """The file is larger than all buffers: the front end is still sending when the client disconnects."""
    reference = await env.observer.upload(bytes(24 << 20), "big.bin", "application/octet-stream")
    part = await env.observer.call("read_artifact", artifact_id=reference.removeprefix("artifact:"), length=1)
    url = urlsplit(part.data["download_url"])
    before = await env.resting()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.connect((url.hostname or "", url.port or 0))
        connection.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        await begun(env, before)
    await env.quiet(before)


async def test_disconnecting_from_a_def_tool_counts_its_thread_until_it_ends(env: Environment) -> None:
    before = await env.resting()
    counted = env.health()["background_tasks"]["running"]
    runs = Path(f"{env.gate.argument}.runs")
    first = env.begin("hold_thread", {"gate": env.gate.argument})
    until(runs.exists, "the function runs")
    second = env.begin("hold_thread", {"gate": env.gate.argument})
    until(lambda: env.health()["tool_threads"] == {"running": 1, "waiting": 1}, "the second waits for a thread")
    second.close()
    until(lambda: env.health()["tool_threads"] == {"running": 1, "waiting": 0}, "the second is gone")
    first.close()
    until(lambda: env.health()["background_tasks"]["running"] == counted + 1, "the thread has no caller any more")
    env.gate.open()
    until(lambda: env.health()["tool_threads"] == {"running": 0, "waiting": 0}, "the thread has ended")
    until(lambda: env.health()["background_tasks"]["running"] == counted, "and is not counted any more")
    assert runs.read_text().splitlines() == ["one"]  # noqa: ASYNC240 -- a short file
    await env.quiet(before)


@pytest.mark.parametrize("legacy", [False, True], ids=["modern", "legacy"])
async def test_disconnecting_from_an_async_def_tool_cancels_it(env: Environment, *, legacy: bool) -> None:
    before = await env.resting()
    connection = env.begin("hold_loop", {"gate": env.gate.argument}, legacy=legacy)
    until(Path(f"{env.gate.argument}.runs").exists, "the function runs")
    connection.close()
    until(Path(f"{env.gate.argument}.ended").exists, "the function has cleaned up")
    await env.quiet(before)


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
"""Tools that use only Redis, or Redis first; one job's tool covers all kinds."""


@pytest.mark.parametrize("tool", BRIEF)
async def test_disconnecting_while_redis_is_frozen_leaves_nothing_afterwards(env: Environment, tool: str) -> None:
    """A frozen Redis holds a short call between two of its steps."""
    before = await env.resting()
    env.stack.valkey.freeze()
    try:
        connection = env.begin(tool, BRIEF[tool])
        await begun(env, before)
        connection.close()
    finally:
        env.stack.valkey.thaw()
    await env.quiet(before)


async def test_every_tool_is_disconnected_from_in_some_test(env: Environment) -> None:
    kinds = {"hash_file", "render_pdf"}  # all other kinds take the same path
    left = {tool for tool, _ in (*FETCHES.values(), *QUERIES.values())} | set(BRIEF) | {"query_records"}
    tools = await env.observer.tools()
    light = {name for name, tool in tools.items() if "idempotency_key" not in tool.input_schema["properties"]}
    own = {"look_inside", "hold_thread", "hold_loop", "stall_loop", "fail_together"}
    brief = {"list_tables", "describe_table"}  # the same threads and connections as the queries
    assert light - own - brief <= left, "a call of the new tool belongs in BRIEF, FETCHES or QUERIES"
    assert kinds <= set(tools)


async def test_a_front_end_that_stops_does_not_wait_for_a_thread_that_never_ends(full_stack: Stack, gate: Gate) -> None:
    """With and without a connected caller; the log names the cancelled call."""
    with guest_front_end(full_stack, drain_seconds=0.5, tool_threads=2) as front_end:
        runs = Path(f"{gate.argument}.runs")
        health = f"{front_end.base}/healthz"
        before = _background_tasks(health)
        connections = [
            begin_call(front_end.endpoint, full_stack.new_key(), "hold_thread", {"gate": gate.argument})
            for _ in range(2)
        ]
        until(lambda: runs.exists() and runs.read_text().count("one") == 2, "both functions run")
        connections[0].close()
        until(lambda: _background_tasks(health) == before + 1, "one has no caller any more")
        assert await asyncio.to_thread(front_end.stop, 30) in (0, -signal.SIGTERM)
        assert "background task cancelled at shutdown" in front_end.output
        connections[1].close()


def _background_tasks(health: str) -> int:
    return int(httpx2.get(health, trust_env=False, verify=PLAIN).json()["background_tasks"]["running"])
