"""PostgreSQL: read-only access, limits, connection reset, cancellation, recovery of the pool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from structlog.testing import capture_logs

from offloop.errors import BadInput, Busy, LimitExceeded, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.postgres import pool as postgres_pool
from offloop_server.io.sql.postgres.database import PostgreSQL
from support.postgres import OWNER, READER, Postgres
from support.processes import gone
from support.waiting import eventually

pytestmark = pytest.mark.anyio

DATABASE = "attacked"
SCHEMA = (
    "CREATE TABLE t (a serial PRIMARY KEY, b text UNIQUE)",
    "INSERT INTO t (b) VALUES ('first')",
    "SELECT lo_from_bytea(7, 'a large object')",
    "CREATE TYPE mood AS ENUM ('fine')",
    "CREATE PROCEDURE proceed() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; COMMIT; END $$",
    "CREATE FUNCTION deletes() RETURNS integer LANGUAGE sql AS 'DELETE FROM t RETURNING 1'",
    """CREATE FUNCTION escapes() RETURNS integer LANGUAGE plpgsql AS
    $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM t; RETURN 1; END $$""",
    "CREATE ROLE writer LOGIN",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO writer",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO writer",
    "GRANT ALL ON SCHEMA public TO writer",
    f"CREATE ROLE deputy LOGIN IN ROLE {OWNER}",
    *(
        f"CREATE ROLE {role}_member LOGIN IN ROLE pg_{role}"
        for role in ("read_server_files", "write_server_files", "execute_server_program")
    ),
)
STATE = "SELECT (SELECT string_agg(a || b, ',') FROM t), (SELECT last_value FROM t_a_seq), count(*) FROM pg_class"
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state <> 'idle'"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


@pytest.fixture
async def server(postgres: Postgres) -> Postgres:
    """The server, with a database to attack."""
    if not await postgres.fetch("SELECT FROM pg_database WHERE datname = $1", DATABASE):
        await postgres.execute(f"CREATE DATABASE {DATABASE}")
        await postgres.execute(*SCHEMA, database=DATABASE)
    return postgres


@pytest.fixture(params=["writer", READER])
async def database(request: pytest.FixtureRequest, server: Postgres) -> AsyncIterator[PostgreSQL]:
    """With a role that may write and with one that may only read; checks that every connection is returned."""
    made = PostgreSQL("shop", server.url(request.param, DATABASE))
    yield made
    if (pool := made.pool.opened) is not None:
        assert pool.get_idle_size() == pool.get_size()
    await made.close()
    await made.close()
    async with asyncio.timeout(30):
        while await server.fetch("SELECT FROM pg_stat_activity WHERE datname = $1", DATABASE):  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.01)


async def read(database: PostgreSQL, sql: str, *parameters: Any, seconds: float = 30, **caps: int) -> Rows:
    """The rows of a query."""
    rows = Rows(**{"max_rows": 100, "max_bytes": 1 << 20, **caps})
    await database.run(Query(sql, list(parameters)), rows, Deadline(seconds))
    return rows


async def nothing_runs(server: Postgres) -> None:
    """Wait until no query runs; PostgreSQL's view lags behind the client."""

    async def none() -> bool:
        return await server.fetch(BACKENDS, DATABASE) == [(0,)]

    await eventually(none)


HOSTILE = [
    "INSERT INTO t (b) VALUES ('x')",
    "INSERT INTO t (b) VALUES ('x') RETURNING a",
    "WITH x AS (INSERT INTO t (b) VALUES ('x') RETURNING a) SELECT * FROM x",
    "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
    "MERGE INTO t USING t s ON false WHEN NOT MATCHED THEN INSERT (b) VALUES ('x') RETURNING t.a",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * INTO more FROM t",
    "CREATE TEMP TABLE more (a integer)",
    "TRUNCATE t",
    "COPY (SELECT 1) TO PROGRAM 'touch {folder}/hacked'",
    "COPY t TO '{folder}/hacked'",
    "COPY t FROM PROGRAM 'echo 1'",
    "COPY t TO STDOUT",
    "DO $$ BEGIN DELETE FROM t; END $$",
    "CALL proceed()",
    "SELECT deletes()",
    "SELECT escapes()",
    "SELECT 1; DELETE FROM t",
    "COMMIT; DELETE FROM t",
    "COMMIT",
    "ROLLBACK AND CHAIN",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('transaction_read_only', 'off', true), nextval('t_a_seq')",
    "SELECT nextval('t_a_seq')",
    "SELECT setval('t_a_seq', 100)",
    "EXPLAIN ANALYZE INSERT INTO t (b) VALUES ('x')",
    "EXPLAIN (ANALYZE) DELETE FROM t",
    "PREPARE x AS DELETE FROM t",
    "EXECUTE x",
    "DECLARE x CURSOR FOR SELECT 1",
    "LOCK TABLE t",
    "LISTEN x",
    "RESET ALL",
    "DISCARD ALL",
    "VACUUM",
    "CHECKPOINT",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "GRANT ALL ON t TO PUBLIC",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(7, '{folder}/hacked')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_reload_conf()",
    "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS x (a integer)",
    "CREATE EXTENSION dblink",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')",
]


@pytest.mark.parametrize("sql", HOSTILE)
async def test_no_way_to_write_or_to_leave_the_database_is_open(
    database: PostgreSQL, server: Postgres, tmp_path: Path, sql: str
) -> None:
    before = await server.fetch(STATE, database=DATABASE)
    with pytest.raises(BadInput) as refused:
        await read(database, sql.format(folder=tmp_path))
    assert "Only statements that read" in refused.value.message or "PostgreSQL refuses" in refused.value.message
    assert await server.fetch(STATE, database=DATABASE) == before
    assert os.listdir(tmp_path) == []  # noqa: PTH208 -- a short call in a test


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_sleep(60)",
        "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
        "SELECT x FROM generate_series(1, 100000000) x ORDER BY md5(x::text)",
        "SELECT repeat('x', 8000000)",
        "SELECT array_agg(x) FROM generate_series(1, 700000) x",
        "SELECT repeat('x', 1000000000) || repeat('x', 1000000000)",
    ],
)
async def test_bombs_end_in_time_with_a_clear_error(database: PostgreSQL, server: Postgres, sql: str) -> None:
    await read(database, "SELECT 1")  # opens the connection
    begun = time.monotonic()
    with pytest.raises((LimitExceeded, BadInput)) as refused:
        await read(database, sql, seconds=0.4)
    assert time.monotonic() - begun < 25
    assert any(words in refused.value.message for words in ("did not end within 0.4 s", "too large", "memory", "54000"))
    await nothing_runs(server)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_endless_rows_are_read_up_to_the_cap(database: PostgreSQL) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, repeat('y', 200) FROM c"
    rows = await read(database, endless, max_rows=2000)
    assert (len(rows.rows), rows.truncated_by) == (2000, "rows")
    assert rows.rows[-1] == [2000, "y" * 200]


async def test_values_of_all_types_are_rendered_without_loss(database: PostgreSQL) -> None:
    values = {
        "'2026-01-31'::date": "2026-01-31",
        "'infinity'::timestamp": "infinity",
        "'4713-01-01 BC'::date": "4713-01-01 BC",
        "'0001-01-01 00:00:00+00'::timestamptz at time zone 'UTC'": "0001-01-01 00:00:00",
        "12.30::numeric": "12.30",
        "'NaN'::float8": "NaN",
        "'-infinity'::float4": "-Infinity",
        "9007199254740993::bigint": "9007199254740993",
        "7::smallint": 7,
        "'\\x00ff'::bytea": {"base64": "AP8="},
        '\'{"a": [1, 2.5, null], "b": 12345678901234567890}\'::jsonb': {
            "a": [1, 2.5, None],
            "b": "12345678901234567890",
        },
        "ARRAY[[1, 2], [3, NULL]]": [[1, 2], [3, None]],
        "ARRAY['2026-01-01'::date]": ["2026-01-01"],
        "ARRAY[1.50]::numeric[]": ["1.50"],
        "'5b0f3a2e-0000-4000-8000-000000000001'::uuid": "5b0f3a2e-0000-4000-8000-000000000001",
        "ROW(1, 'x')": "(1,x)",
        "'[1,5)'::int4range": "[1,5)",
        "'1 day 2 hours'::interval": "1 day 02:00:00",
        "true": True,
        "NULL::text": None,
        "B'101'": "101",
        "point(1, 2)": "(1,2)",
        "'127.0.0.1'::inet": "127.0.0.1",
        "'fine'::mood": "fine",
        "'a b'::tsvector": "'a' 'b'",
    }
    rows = await read(database, "SELECT " + ", ".join(values))
    assert dict(zip(values, rows.rows[0], strict=True)) == values
    assert rows.types[:2] == ["date", "timestamp"]
    assert "int4[]" in rows.types


async def test_parameters_are_taken_as_json_has_them(database: PostgreSQL) -> None:
    rows = await read(
        database,
        "SELECT $1::date + 1, $2::numeric * 2, $3::uuid, $4::int[], $5::jsonb -> 'a', $6::bool, $7::text",
        *("2026-01-31", "1.25", "5b0f3a2e-0000-4000-8000-000000000001", [1, 2], {"a": 1}, True, None),
    )
    assert rows.rows == [["2026-02-01", "2.50", "5b0f3a2e-0000-4000-8000-000000000001", [1, 2], 1, True, None]]
    with pytest.raises(BadInput, match=r"write \$1, \$2"):
        await database.run(Query("SELECT 1", {"a": 1}), Rows(1, 100), Deadline(30))
    with pytest.raises(BadInput, match=r"expects 1 parameter \(\$1"):
        await read(database, "SELECT $1::int")


async def test_a_cancelled_call_stops_the_query_on_the_server(database: PostgreSQL, server: Postgres) -> None:
    """By cancelling the task, and by an anyio scope, which cancels at every await."""
    await read(database, "SELECT 1")
    task = asyncio.ensure_future(read(database, "SELECT pg_sleep(60)", seconds=60))
    async with asyncio.timeout(30):
        while await server.fetch(BACKENDS, DATABASE) == [(0,)]:
            pass
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    await nothing_runs(server)
    for _ in range(12):  # more often than there are connections
        with anyio.move_on_after(0.03):
            await read(database, "SELECT pg_sleep(60)", seconds=60)
        await nothing_runs(server)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_a_connection_keeps_no_state_of_the_query_before(database: PostgreSQL, server: Postgres) -> None:
    listener = await asyncpg.connect(server.url(OWNER, DATABASE))
    received: list[object] = []
    await listener.add_listener("channel", lambda *notification: received.append(notification))
    for _ in range(3):
        await read(
            database,
            "SELECT pg_advisory_lock(7), set_config('search_path', 'nowhere', false), pg_notify('channel', 'x'), "
            "set_config('statement_timeout', '1', false)",
        )
        assert (await read(database, "SELECT current_setting('search_path'), a FROM t")).rows == [
            ['"$user", public', 1]
        ]
    assert await server.fetch("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    await listener.execute("SELECT 1")
    await listener.close()
    assert received == []


async def test_a_locked_table_is_a_clear_error_in_time(
    database: PostgreSQL, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pool, "_LOCK_SECONDS", 0.2)
    writer = await asyncpg.connect(server.url(OWNER, DATABASE))
    async with writer.transaction():
        await writer.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="locked by a writer"):
            await read(database, "SELECT * FROM t", seconds=50)
        assert time.monotonic() - begun < 25
    await writer.close()
    assert len((await read(database, "SELECT * FROM t")).rows) == 1


async def test_ten_connections_are_the_maximum_and_waiting_is_bounded(database: PostgreSQL, server: Postgres) -> None:
    tasks = [asyncio.ensure_future(read(database, "SELECT pg_sleep(60)", seconds=60)) for _ in range(14)]
    async with asyncio.timeout(30):
        while await server.fetch(BACKENDS, DATABASE) != [(10,)]:
            pass
    with pytest.raises(Busy, match=r"busy for 0\.2 s"):
        await read(database, "SELECT 1", seconds=0.2)
    assert await server.fetch(BACKENDS, DATABASE) == [(10,)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=30)
    assert all(task.cancelled() for task in tasks)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def idle(database: PostgreSQL, server: Postgres, count: int = 10) -> list[int]:
    """Open that many connections of the pool, idle; returns the pids of their backends."""
    gate = await asyncpg.connect(server.url(OWNER, DATABASE))
    await gate.execute("SELECT pg_advisory_lock(7)")
    waiting = [asyncio.ensure_future(read(database, "SELECT pg_advisory_xact_lock_shared(7)")) for _ in range(count)]
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    async def all_wait() -> bool:
        return await server.fetch(locks) == [(count,)]

    await eventually(all_wait, "each query has a connection of its own")
    await gate.close()
    await asyncio.gather(*waiting)
    await nothing_runs(server)
    assert database.pool.opened is not None
    assert database.pool.opened.get_idle_size() >= count
    return [pid for (pid,) in await server.fetch("SELECT pid FROM pg_stat_activity WHERE datname = $1", DATABASE)]


async def test_a_lost_connection_fails_only_the_query_on_it(database: PostgreSQL, server: Postgres) -> None:
    await idle(database, server)
    task = asyncio.ensure_future(read(database, "SELECT pg_sleep(60)", seconds=60))
    async with asyncio.timeout(30):
        while await server.fetch(BACKENDS, DATABASE) == [(0,)]:
            pass
    await server.fetch(CUT, DATABASE)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30
    with pytest.raises(Unavailable, match="does not answer"):
        await task


def cut_unnoticed(server: Postgres, pids: list[int]) -> None:
    """Close connections while the loop is blocked: it reads their end of file together with its next operation."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(server.fetch(CUT, DATABASE))).result(10)
    assert gone(pids)


@pytest.mark.parametrize("queries", [1, 10, 30])
async def test_connections_closed_while_idle_fail_no_query(
    database: PostgreSQL, server: Postgres, queries: int
) -> None:
    """With one query that gets them one after the other, and with many concurrent queries."""
    cut_unnoticed(server, await idle(database, server))
    ones = await asyncio.gather(*(read(database, "SELECT $1::text", str(number)) for number in range(queries)))
    assert [one.rows for one in ones] == [[[str(number)]] for number in range(queries)]
    cut_unnoticed(server, await idle(database, server))
    with pytest.raises(BadInput, match=r"expects 1 parameter \(\$1"):
        await read(database, "SELECT $1::int")


async def test_connections_without_an_answer_are_replaced(
    database: PostgreSQL, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover, when the first host has vanished without closing connections."""
    monkeypatch.setattr(postgres_pool, "_LIVENESS_SECONDS", 1.0)
    pids = await idle(database, server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        ones = await asyncio.gather(*(read(database, "SELECT 1", seconds=50) for _ in range(2)))
        assert [one.rows for one in ones] == [[[1]], [[1]]]
        assert time.monotonic() - begun < 40
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_connections_recover_after_a_restart_of_the_server(database: PostgreSQL, server: Postgres) -> None:
    """Killing one backend makes PostgreSQL end all others and run crash recovery."""
    pids = await idle(database, server)
    os.kill(pids[0], signal.SIGKILL)

    async def answers() -> bool:
        try:
            return bool(await server.fetch("SELECT 1"))
        except (asyncpg.PostgresError, OSError):
            return False

    await asyncio.to_thread(gone, pids)
    await eventually(answers)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30


async def test_an_unreachable_server_is_reported_without_delay(database: PostgreSQL, server: Postgres) -> None:
    await idle(database, server)
    admin = await asyncpg.connect(server.url(OWNER))
    (socket,) = server.folder.glob(".s.PGSQL.*[0-9]")
    hidden = socket.rename(server.folder / "hidden")
    try:
        await admin.fetch(CUT, DATABASE)
        begun = time.monotonic()
        for _ in range(2):
            with pytest.raises(Unavailable, match="does not answer") as refused:
                await read(database, "SELECT 1", seconds=20)
            assert str(server.folder) not in refused.value.message
        assert time.monotonic() - begun < 15
    finally:
        hidden.rename(socket)
        await admin.close()
    assert (await read(database, "SELECT 1")).rows == [[1]]


class Cut(Rows):
    """Closes the connection and waits for its end before it adds rows; large rows are added in a thread."""

    server: Postgres
    session: asyncpg.Connection

    def add(self, rows: Iterable[Sequence[Any]], *, ready: bool = False) -> bool:
        """Close the connection, wait, then add the rows."""

        async def closed() -> bool:
            return bool(self.session.is_closed())

        asyncio.run(self.server.execute(CUT.replace("$1", f"'{DATABASE}'")))
        asyncio.run(eventually(closed))
        return super().add(rows, ready=ready)


async def test_a_connection_lost_between_two_batches_is_not_the_fault_of_the_statement(
    database: PostgreSQL, server: Postgres
) -> None:
    await read(database, "SELECT 1")
    assert database.pool.opened is not None
    rows = Cut(max_rows=100, max_bytes=10 << 20)
    rows.server = server
    rows.session = database.pool.opened._queue._queue[-1]._con  # the one that was used last is used next
    with pytest.raises(Unavailable, match=r"does not answer \(08003\)"):
        await database.run(Query("SELECT repeat('x', 600000) FROM generate_series(1, 9)"), rows, Deadline(5))


@pytest.mark.parametrize(("role", "warned"), [("writer", ["shop"]), (READER, [])])
async def test_a_role_that_may_write_is_warned_of_once(server: Postgres, role: str, warned: list[str]) -> None:
    database = PostgreSQL("shop", server.url(role, DATABASE))
    with capture_logs() as logged:
        for _ in range(3):
            await read(database, "SELECT 1")
    await database.close()
    assert [line["connection"] for line in logged if "may write" in line["event"]] == warned
    assert "host=" not in str(logged)


PEEKS = (
    "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%4711%'",
    """SELECT word FROM ts_stat('SELECT to_tsvector(query) FROM pg_stat_activity WHERE pid <> ' || pg_backend_pid())
    WHERE word = '4711'""",
)


async def test_callers_of_one_role_are_isolated_by_the_documented_configuration(server: Postgres) -> None:
    """With the two lines of docs/operations.md; without them a caller can do both, and the log warns of it."""
    page = (Path(__file__).parents[5] / "docs" / "operations.md").read_text("utf-8")
    [lines] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    await server.execute("CREATE DATABASE apart", "CREATE ROLE apart LOGIN")

    async def look() -> tuple[list[list[Any]], bool, bool]:
        """A caller's view of another's statement, whether it can end it, and whether a warning was logged."""
        database = PostgreSQL("shop", server.url("apart", "apart"))
        with capture_logs() as logged:
            other = asyncio.ensure_future(read(database, "SELECT 4711, pg_sleep(60)", seconds=60))
            running = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'apart'"

            async def sleeps() -> bool:
                return bool(await server.fetch(running))

            await eventually(sleeps)
            seen = [row for peek in PEEKS for row in (await read(database, peek)).rows]
            [(pid,)] = await server.fetch(running)
            for end in (f"SELECT pg_cancel_backend({pid})", f"SELECT pg_terminate_backend({pid})"):
                with contextlib.suppress(BadInput, Unavailable):  # the second may be run by the very connection it ends
                    await read(database, end)
            await asyncio.wait([other], timeout=0.2)
            ended = other.done()
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            await database.close()
        return seen, ended, any("each other's statements" in line["event"] for line in logged)

    assert await look() == ([["SELECT 4711, pg_sleep(60)"], ["4711"]], True, True)
    await server.execute(*lines.replace("reader", "apart").strip().splitlines(), database="apart")
    assert await look() == ([], False, False)
    for undo in ("SELECT set_config('track_activities', 'on', false)", "ALTER ROLE apart RESET track_activities"):
        database = PostgreSQL("shop", server.url("apart", "apart"))
        with pytest.raises(BadInput):
            await read(database, undo)
        await database.close()


ESCAPE = """SELECT set_config('role', 'none', false),
(SELECT count(*) FROM ts_stat('SELECT to_tsvector(lo_export(7, ''{folder}/hacked'')::text)'))"""
"""The inner statement is checked only after the outer one has reset the role."""
MIGHTY = {
    "a superuser": f"{OWNER}@/{{database}}?",
    "a superuser set to another role": f"{OWNER}@/{{database}}?options=-c%20role%3D{READER}&",
    "a member of a superuser": "deputy@/{database}?",
    "a reader of files": "read_server_files_member@/{database}?",
    "a writer of files": "write_server_files_member@/{database}?",
    "a starter of programs": "execute_server_program_member@/{database}?",
}


@pytest.mark.parametrize("role", MIGHTY)
async def test_a_role_that_reaches_the_host_is_refused(server: Postgres, role: str) -> None:
    """A superuser can restore every right that a transaction gives up, so all superusers are refused."""
    database = PostgreSQL("shop", f"postgresql://{MIGHTY[role].format(database=DATABASE)}host={server.folder}")
    for sql in ("SELECT 1", ESCAPE.format(folder=server.folder)):
        with capture_logs() as logged, pytest.raises(Unavailable, match="connection shop is not used") as refused:
            await read(database, sql)
        assert not refused.value.retryable
        assert "GRANT pg_read_all_data TO reader" in refused.value.message
        assert "OFFLOOP_SQL_SHOP" in refused.value.message
        assert [line["connection"] for line in logged] == ["shop"]
    assert "hacked" not in os.listdir(server.folder)  # noqa: PTH208 -- a short call in a test
    await database.close()
    await nothing_runs(server)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://very:secret@127.0.0.1:1/nothing",
        "postgresql://nobody-known@/{database}?host={folder}",
        "postgresql://postgres@/no_such_database?host={folder}",
        "postgresql://very:secret@[not-an-address/x",
        "postgresql://very:secret@host:port/x",
    ],
)
async def test_the_error_of_an_unreachable_database_has_no_address(server: Postgres, url: str) -> None:
    database = PostgreSQL("shop", url.format(database=DATABASE, folder=server.folder))
    with capture_logs() as logged, pytest.raises(Unavailable, match="does not answer") as refused:
        await read(database, "SELECT 1", seconds=3)
    for text in (refused.value.message, str(logged)):
        assert not any(word in text for word in ("secret", "127.0.0.1", "nobody-known", "no_such", str(server.folder)))
    await database.close()
