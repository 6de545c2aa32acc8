"""gather_sources: concurrency, independent failures, one deadline."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from offloop import settings as configuration
from offloop.artifacts.store import ArtifactStore
from offloop.errors import BadInput, Unavailable
from offloop_server.io.databases import Databases
from offloop_server.io.gather.tools import GatherSources, Readers, gather, gather_tools
from offloop_server.io.http.client import Fetcher
from offloop_server.io.mongodb.tools import DocumentReads
from offloop_server.io.redis.tools import KeyReads
from offloop_server.io.results.reads import Reads
from offloop_server.io.sql.queries import Queries
from support.mongodb import Mongo
from support.postgres import Postgres
from support.services import only, principal
from support.sources import source_tools
from support.waiting import eventually

pytestmark = pytest.mark.anyio


ALICE = principal("alice")
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """URL of a server that answers with JSON, with an error, or never."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/never" in head:
                await reader.read()
                return
            status, body = (b"503 Busy", b"no") if b"/fails" in head else (b"200 OK", b'{"n": 7}')
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
            )
            writer.write(b"Connection: close\r\n\r\n" + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.close()
    async with asyncio.timeout(30):
        while open_ones:  # noqa: ASYNC110 -- no event; disconnected clients must have closed their connections
            await asyncio.sleep(0.01)


@pytest.fixture
async def tool(redis: ArqRedis, tmp_path: Path, postgres: Postgres) -> AsyncIterator[GatherSources]:
    """The tool, with a SQLite file, a PostgreSQL database, and an allowed network."""
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    settings = configuration.load(
        {
            "OFFLOOP_SQL_LITE": f"sqlite:///{tmp_path}/a.db",
            "OFFLOOP_SQL_PG": postgres.url(),
            "OFFLOOP_FETCH_HOSTS": "*",
            "OFFLOOP_FETCH_NETWORKS": "127.0.0.0/8",
        }
    )
    store = ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=60)
    services = only(settings=settings, redis=redis, store=store)
    async with Fetcher(settings) as fetcher, Databases(settings) as databases:
        reads = Reads(store, settings.query_seconds)
        readers = Readers(
            Queries(databases.sql, reads), DocumentReads(databases.mongodb, reads), KeyReads(databases.redis, reads)
        )
        [made] = gather_tools(services, fetcher, databases, readers)
        assert isinstance(made, GatherSources)
        yield made


async def call(tool: GatherSources, sources: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The structured answer."""
    result = await tool.call({"sources": sources, **options}, ALICE)
    answer = cast("dict[str, Any]", result.structured_content)
    assert result.is_error == (not answer["data"])
    assert answer["total"] == len(sources)
    assert answer["succeeded"] == len(answer["data"])
    return answer


async def test_a_dashboard_of_fetches_and_queries_is_one_call(tool: GatherSources, site: str) -> None:
    answer = await call(
        tool,
        {
            "zebra": {"get": f"{site}/api"},
            "lite": {"query": "SELECT ? + 1 AS a", "connection": "lite", "parameters": [1]},
            "apple": {"query": "SELECT $1::int AS b", "connection": "pg", "parameters": [2]},
        },
    )
    assert list(answer["data"]) == ["zebra", "lite", "apple"]
    assert answer["data"]["zebra"] == {"status": 200, "url": f"{site}/api", "content": {"n": 7}, "warnings": []}
    assert answer["data"]["lite"]["rows"] == [{"a": 2}]
    assert answer["data"]["apple"]["rows"] == [{"b": 2}]
    assert answer["errors"] == {}


async def test_successes_and_failures_are_both_answered(tool: GatherSources, site: str) -> None:
    answer = await call(
        tool,
        {
            "bad": {"query": "SELECT nope", "connection": "pg"},
            "good": {"query": "SELECT 1 AS a", "connection": "lite"},
            "writes": {"query": "DELETE FROM t", "connection": "lite"},
            "elsewhere": {"query": "SELECT 1", "connection": "nope"},
            "fails": {"get": f"{site}/fails"},
            "refused": {"get": "http://127.0.0.1:1/"},
        },
    )
    assert list(answer["data"]) == ["good"]
    assert list(answer["errors"]) == ["bad", "writes", "elsewhere", "fails", "refused"]
    assert "nope" in answer["errors"]["bad"]
    assert "Only reading" in answer["errors"]["writes"]
    assert "lite, pg" in answer["errors"]["elsewhere"]
    assert "HTTP 503" in answer["errors"]["fails"]


async def test_one_deadline_applies_to_all_sources(tool: GatherSources, site: str) -> None:
    answer = await call(
        tool,
        {
            "never": {"get": f"{site}/never"},
            "sleeps": {"query": "SELECT pg_sleep(60)", "connection": "pg"},
            "endless": {"query": ENDLESS, "connection": "lite"},
            "good": {"query": "SELECT 1 AS a", "connection": "pg"},
        },
        deadline_seconds=1,
    )
    assert list(answer["data"]) == ["good"]
    assert list(answer["errors"]) == ["never", "sleeps", "endless"]
    assert all("1 s" in message for message in answer["errors"].values())
    assert answer["elapsed_ms"] < 5000


async def test_with_all_or_nothing_the_first_failure_stops_the_rest(
    tool: GatherSources, site: str, postgres: Postgres
) -> None:
    answer = await call(
        tool,
        {
            "never": {"get": f"{site}/never"},
            "sleeps": {"query": "SELECT pg_sleep(60)", "connection": "pg"},
            "bad": {"query": "SELECT nope", "connection": "lite"},
        },
        all_or_nothing=True,
    )
    assert answer["data"] == {}
    assert list(answer["errors"]) == ["never", "sleeps", "bad"]
    assert answer["errors"]["never"] == answer["errors"]["sleeps"] == "Stopped, because bad failed."
    assert answer["elapsed_ms"] < 10_000
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'"

    async def none() -> bool:
        return await postgres.fetch(running + " AND pid <> pg_backend_pid()") == [(0,)]

    await eventually(none)


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"a": {}},
        {"a": {"got": "x"}},
        {"a": {"get": "x", "query": "y"}},
        {"a": 1},
        {f"{n}": {"get": "x"} for n in range(21)},
    ],
)
async def test_invalid_sources_are_refused(tool: GatherSources, sources: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="gather_sources was not run"):
        await tool.call({"sources": sources}, ALICE)


async def test_all_sources_run_at_the_same_time() -> None:
    """Each waits until all have begun, so sequential execution would never end."""
    together = asyncio.Barrier(5)

    async def source(number: int) -> int:
        async with asyncio.timeout(30):
            await together.wait()
        return number

    sources = {f"s{number}": partial(source, number) for number in range(5)}
    data, errors = await gather(sources, seconds=20, all_or_nothing=False)
    assert (data, errors) == ({f"s{number}": number for number in range(5)}, {})


async def test_several_causes_are_several_messages_and_tracebacks_are_for_the_log() -> None:
    together = asyncio.Barrier(3)

    async def fails(error: Exception) -> None:
        await together.wait()
        raise error

    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await together.wait()
            await asyncio.Event().wait()
        finally:
            ended.set()

    sources: dict[str, Any] = {
        "known": partial(fails, Unavailable("It is away.")),
        "crash": partial(fails, ZeroDivisionError("secret")),
        "waits": waits,
    }
    with capture_logs() as logged:
        data, errors = await gather(sources, seconds=20, all_or_nothing=True)
    assert data == {}
    assert errors["known"] == "It is away."
    assert "secret" not in str(errors)
    assert errors["waits"].startswith("Stopped, because")
    assert ended.is_set()
    assert (task := asyncio.current_task())
    assert task.cancelling() == 0, "later awaits of this task would be cancelled"
    assert [line["source"] for line in logged] in (["crash"], [])


async def test_a_cancelled_call_cancels_every_source() -> None:
    begun, ended = asyncio.Barrier(4), [asyncio.Event() for _ in range(3)]

    async def source(event: asyncio.Event) -> None:
        try:
            await begun.wait()
            await asyncio.Event().wait()
        finally:
            event.set()

    sources: dict[str, Any] = {str(number): partial(source, event) for number, event in enumerate(ended)}
    task = asyncio.ensure_future(gather(sources, seconds=60, all_or_nothing=False))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    assert all(event.is_set() for event in ended)


@pytest.mark.slow
async def test_documents_and_keys_are_gathered_beside_rows(
    redis: ArqRedis, valkey: str, tmp_path: Path, mongo: Mongo
) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    await redis.set("shop:a", "1", ex=60)
    async with mongo.writer() as client:
        await client.gathered.orders.insert_many([{"n": 1}, {"n": 2}])
    sources = {
        "rows": {"query": "SELECT 1 AS a", "connection": "lite"},
        "found": {"collection": "orders", "filter": {"n": {"$gt": 1}}, "projection": {"_id": 0}},
        "counted": {"collection": "orders", "pipeline": [{"$count": "n"}], "connection": "docs"},
        "key": {"command": "GET", "arguments": ["shop:a"]},
        "refused": {"collection": "orders", "pipeline": [{"$out": "x"}]},
        "foreign": {"command": "GET", "arguments": ["other"]},
    }
    settings = {
        "sql_lite": f"sqlite:///{tmp_path}/a.db",
        "source_docs": mongo.url("gathered"),
        "source_keys": f"{valkey}?prefix=shop:",
    }
    async with source_tools(redis, tmp_path, **settings) as tools:
        answer = await tools.call("gather_sources", sources=sources)
    rows = {name: found["rows"] for name, found in answer["data"].items()}
    assert rows == {"rows": [{"a": 1}], "found": [{"n": 2}], "counted": [{"n": 2}], "key": [{"value": "1"}]}
    assert list(answer["errors"]) == ["refused", "foreign"]


@pytest.mark.slow
async def test_a_filter_beside_a_pipeline_is_refused_in_words_and_not_logged(
    redis: ArqRedis, tmp_path: Path, mongo: Mongo
) -> None:
    source = {"collection": "orders", "filter": {"card": "4111"}, "pipeline": [{"$limit": 1}]}
    async with source_tools(redis, tmp_path, source_docs=mongo.url("gathered")) as tools:
        with capture_logs() as logs:
            answer = await tools.call("gather_sources", sources={"a": source})
    assert "go without pipeline" in answer["errors"]["a"]
    assert "4111" not in str(logs) + str(answer)
    assert "source failed" not in [line["event"] for line in logs]


async def test_a_source_of_no_known_form_is_refused_with_the_forms(
    redis: ArqRedis, valkey: str, tmp_path: Path
) -> None:
    async with source_tools(redis, tmp_path, source_keys=f"{valkey}?prefix=shop:") as tools:
        with pytest.raises(BadInput, match=r'write \{"get": url\}.*"collection".*"command"'):
            await tools.call("gather_sources", sources={"a": {"table": "orders"}})
