"""MySQL and MariaDB: read-only access, limits, types, TLS, cancellation, recovery of the pool; on a real MariaDB."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomysql
import anyio
import pytest
from structlog.testing import capture_logs

from offloop.errors import BadInput, Busy, LimitExceeded, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql import pool as mysql_pool
from offloop_server.io.sql.mysql.catalogue import Rights, rights_in
from offloop_server.io.sql.mysql.database import MySQL
from support.certificates import certificate
from support.mariadb import PASSWORD, READER, ROOT, MariaDB
from support.waiting import eventually

pytestmark = pytest.mark.anyio

DATABASE = "attacked"
WRITER = "writer"
SCHEMA = (
    "CREATE TABLE t (a integer PRIMARY KEY AUTO_INCREMENT, b varchar(50) UNIQUE)",
    "INSERT INTO t (b) VALUES ('first')",
    "CREATE TABLE old (a integer) ENGINE = MyISAM",
    "INSERT INTO old VALUES (1)",
    "CREATE SEQUENCE numbers",
    "CREATE PROCEDURE proceed() BEGIN COMMIT; DELETE FROM t; COMMIT; SELECT 1; END",
    "CREATE FUNCTION deletes() RETURNS integer BEGIN DELETE FROM t; RETURN 1; END",
    "CREATE FUNCTION empties() RETURNS integer BEGIN DELETE FROM old; RETURN 1; END",
    f"CREATE USER {WRITER} IDENTIFIED BY '{PASSWORD}'",
    f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {WRITER}",
    f"GRANT EXECUTE ON {DATABASE}.* TO {READER}",
)
STATE = f"""SELECT (SELECT group_concat(a, b) FROM {DATABASE}.t), (SELECT group_concat(a) FROM {DATABASE}.old),
(SELECT next_not_cached_value FROM {DATABASE}.numbers),
(SELECT count(*) FROM information_schema.tables), (SELECT count(*) FROM information_schema.routines),
(SELECT max(create_time) FROM information_schema.tables WHERE table_schema = '{DATABASE}')"""  # noqa: S608 -- constants
RUNNING = "SELECT count(*) FROM information_schema.processlist WHERE db = %s AND command <> 'Sleep'"
OPEN = "SELECT id FROM information_schema.processlist WHERE db = %s"


@pytest.fixture
async def server(mariadb: MariaDB) -> MariaDB:
    """The server, with a database to attack."""
    if not await mariadb.fetch("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", DATABASE):
        await mariadb.execute(f"CREATE DATABASE {DATABASE}")
        await mariadb.execute(*SCHEMA, database=DATABASE)
    return mariadb


@pytest.fixture(params=[WRITER, READER])
async def database(request: pytest.FixtureRequest, server: MariaDB) -> AsyncIterator[MySQL]:
    """With a user that may write and with one that may only read; checks that no connection is left."""
    made = MySQL("shop", server.url(request.param, DATABASE))
    yield made
    await made.close()
    await made.close()

    async def none_left() -> bool:
        return not await server.fetch(OPEN, DATABASE)

    await eventually(none_left, "every connection is closed")


async def read(database: MySQL, sql: str, *parameters: Any, seconds: float = 30, **caps: int) -> Rows:
    """The rows of a query."""
    rows = Rows(**{"max_rows": 100, "max_bytes": 1 << 20, **caps})
    await database.run(Query(sql, list(parameters)), rows, Deadline(seconds))
    return rows


async def running(server: MariaDB, count: int) -> None:
    """Wait until that many statements run."""

    async def as_many() -> bool:
        return await server.fetch(RUNNING, DATABASE) == [(count,)]

    await eventually(as_many, f"{count} statements run")


HOSTILE = [
    "INSERT INTO t (b) VALUES ('x')",
    "INSERT INTO t (b) VALUES ('x') RETURNING a",
    "INSERT INTO old VALUES (2) RETURNING a",
    "REPLACE INTO t (a, b) VALUES (1, 'x') RETURNING a",
    "DELETE FROM t RETURNING a",
    "DELETE FROM old RETURNING a",
    "UPDATE t SET b = 'x'",
    "ANALYZE DELETE FROM t",
    "ANALYZE UPDATE old SET a = 5",
    "EXPLAIN DELETE FROM t",
    "SELECT * FROM t FOR UPDATE",
    "SELECT 1 INTO OUTFILE '{folder}/hacked'",
    "SELECT 1 INTO DUMPFILE '{folder}/hacked'",
    "(SELECT 1) INTO OUTFILE '{folder}/hacked'",
    "SELECT 1 UNION SELECT 2 INTO OUTFILE '{folder}/hacked'",
    "WITH x AS (SELECT 1) SELECT * FROM x INTO OUTFILE '{folder}/hacked'",
    "SELECT /*!50000 1 INTO OUTFILE '{folder}/hacked' */",
    "SELECT * FROM (SELECT 1 INTO OUTFILE '{folder}/hacked') x",
    "SELECT 1 INTO @a",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t (b)",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t (b)",
    "LOAD XML LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "CREATE TABLE more (a integer)",
    "CREATE TEMPORARY TABLE more AS SELECT 1",
    "CREATE TABLE more AS SELECT 1",
    "DROP TABLE t",
    "TRUNCATE t",
    "ALTER TABLE t ADD COLUMN c integer",
    "RENAME TABLE t TO u",
    "ANALYZE TABLE t",
    "OPTIMIZE TABLE t",
    "REPAIR TABLE old",
    "CHECK TABLE t",
    "CHECKSUM TABLE t",
    "CALL proceed()",
    "SELECT deletes()",
    "SELECT empties()",
    "SELECT 1; DELETE FROM t",
    "SELECT 1; SELECT 2",
    "SELECT 1 /*!; DELETE FROM t */",
    "COMMIT; DELETE FROM t",
    "COMMIT",
    "ROLLBACK AND CHAIN",
    "START TRANSACTION READ WRITE",
    "SET TRANSACTION READ WRITE",
    "SET SESSION TRANSACTION READ WRITE",
    "SET tx_read_only = 0",
    "SET @a = 1",
    "SET NAMES gbk",
    "SET SESSION max_statement_time = 0",
    "SET GLOBAL max_connections = 1",
    "SET PASSWORD = PASSWORD('x')",
    "SET STATEMENT tx_read_only = 0 FOR DELETE FROM t RETURNING a",
    "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
    "SET ROLE NONE",
    "BEGIN NOT ATOMIC DELETE FROM t; END",
    "EXECUTE IMMEDIATE 'DELETE FROM t'",
    "PREPARE x FROM 'DELETE FROM t'",
    "EXECUTE x",
    "HANDLER t OPEN",
    "HANDLER t READ FIRST",
    "LOCK TABLES t WRITE",
    "FLUSH TABLES WITH READ LOCK",
    "XA START 'x'",
    "USE mysql",
    "DO SLEEP(1)",
    "KILL 1",
    "SHUTDOWN",
    "INSTALL PLUGIN x SONAME 'x.so'",
    "CREATE FUNCTION x RETURNS STRING SONAME 'x.so'",
    "GRANT ALL ON *.* TO reader",
    "SELECT NEXTVAL(numbers)",
    "SELECT NEXT VALUE FOR numbers",
    "SELECT SETVAL(numbers, 100)",
    "SHOW TABLES",
    "SHOW GRANTS",
    "SHOW PROCESSLIST",
    "HELP 'select'",
    "BACKUP STAGE START",
    "CHANGE MASTER TO MASTER_HOST = 'x'",
    "SELECT * FROM mysql.global_priv PROCEDURE nothing()",
]


@pytest.mark.parametrize("sql", HOSTILE)
async def test_no_way_to_write_or_to_leave_the_database_is_open(database: MySQL, server: MariaDB, sql: str) -> None:
    before, files = await server.fetch(STATE), sorted(path.name for path in server.folder.iterdir())
    with pytest.raises(BadInput) as refused:
        await read(database, sql.format(folder=server.folder))
    assert "Only statements that read" in refused.value.message or "MySQL refuses" in refused.value.message
    assert not any(word in refused.value.message for word in (PASSWORD, WRITER, "@", "localhost"))
    assert await server.fetch(STATE) == before
    assert sorted(path.name for path in server.folder.iterdir()) == files


async def test_files_of_the_host_are_not_read(database: MySQL) -> None:
    assert (await read(database, "SELECT LOAD_FILE('/etc/passwd') AS a")).rows == [[None]]


BOMBS = [
    "SELECT SLEEP(60)",
    "SELECT SLEEP(60) FROM t, t AS u, t AS v",
    "SELECT /*!50000 SLEEP(60), */ 1",
    "SELECT BENCHMARK(1000000000000, SHA2('x', 512))",
    "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c",
    "SELECT count(*) FROM seq_1_to_100000000 a, seq_1_to_100000000 b",
    "SELECT seq FROM seq_1_to_1000000000 ORDER BY SHA2(seq, 512)",
    "SELECT count(DISTINCT SHA2(seq, 512)) FROM seq_1_to_1000000000",
    "SELECT REPEAT('a', 8000000)",
    "SELECT " + ", ".join(["REPEAT('a', 15000000)"] * 20),
    "SELECT GROUP_CONCAT(SHA2(seq, 512) ORDER BY SHA2(seq, 512)) FROM seq_1_to_1000000000",
    "SELECT JSON_ARRAYAGG(REPEAT('a', 10000)) FROM seq_1_to_10000000",
    "SELECT REPEAT('a', 30) REGEXP '^(a|a)*b$', SLEEP(60)",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + SLEEP(1) FROM c) SELECT * FROM c",
    "SELECT GET_LOCK('bomb', 0), SLEEP(60)",
]


@pytest.mark.parametrize("sql", BOMBS)
async def test_bombs_end_in_time_with_a_clear_error(database: MySQL, server: MariaDB, sql: str) -> None:
    await read(database, "SELECT 1")  # opens the connection
    begun, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((LimitExceeded, BadInput)) as refused:
        await read(database, sql, seconds=0.4)
    assert time.monotonic() - begun < 25
    assert any(words in refused.value.message for words in ("did not end within 0.4 s", "too large"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 << 10
    await running(server, 0)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_a_statement_that_lifts_the_limit_of_the_server_is_killed(database: MySQL, server: MariaDB) -> None:
    """As a hint of MySQL does; on MariaDB, a function of the operator's can."""
    await server.execute(
        f"CREATE OR REPLACE FUNCTION {DATABASE}.patient() RETURNS integer BEGIN "
        "SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(60) INTO @a; RETURN 1; END"
    )
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"did not end within 0\.4 s"):
        await read(database, "SELECT patient()", seconds=0.4)
    assert time.monotonic() - begun < 25
    await running(server, 0)


async def test_endless_rows_are_read_up_to_the_cap(database: MySQL, server: MariaDB) -> None:
    endless = "SELECT seq, REPEAT('y', 200) FROM seq_1_to_1000000000"
    rows = await read(database, endless, max_rows=2000)
    assert (len(rows.rows), rows.truncated_by) == (2000, "rows")
    assert rows.rows[-1] == [2000, "y" * 200]
    assert len(database.pool.idle) == 1, "the server limits the rows: the connection is kept"
    rows = await read(database, f"{endless} LIMIT 900000000", max_rows=100)
    assert (len(rows.rows), rows.truncated_by) == (100, "rows")
    rows = await read(database, endless, max_rows=100_000)
    assert rows.truncated_by == "bytes"
    await running(server, 0)


TYPES = {
    "CAST('2026-01-31' AS date)": "2026-01-31",
    "TIMESTAMP'9999-12-31 23:59:59.999999'": "9999-12-31 23:59:59.999999",
    "CAST('2026-01-31 10:00:00' AS datetime(3))": "2026-01-31 10:00:00.000",
    "CAST('2026-01-31' AS datetime)": "2026-01-31 00:00:00",
    "CAST('838:59:59' AS time)": "838:59:59",
    "CAST('-838:59:59.5' AS time(1))": "-838:59:59.5",
    "CAST('-00:00:01.25' AS time(2))": "-00:00:01.25",
    "CAST('00:00:00' AS time)": "00:00:00",
    "12.30": "12.30",
    "CAST(-0.10 AS decimal(65, 30))": "-0.100000000000000000000000000000",
    "1e308": 1e308,
    "1/3": "0.3333",
    "9007199254740993": "9007199254740993",
    "-9223372036854775808": "-9223372036854775808",
    "18446744073709551615": "18446744073709551615",
    "-7": -7,
    "X'00FF'": {"base64": "AP8="},
    "b'101'": {"base64": "BQ=="},
    "TRUE": 1,
    "NULL": None,
    "''": "",
    "'50% ? $1'": "50% ? $1",
    "_latin1 X'E9'": "é",
    "_utf8mb4 X'F09F9880'": "\N{GRINNING FACE}",
    "_gbk X'BF5C'": "\N{CJK UNIFIED IDEOGRAPH-7E17}",
    """JSON_OBJECT('a', 1)""": '{"a": 1}',
    "ST_GeomFromText('POINT(1 2)')": {"base64": "AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="},
    "CAST('5b0f3a2e-0000-4000-8000-000000000001' AS uuid)": "5b0f3a2e-0000-4000-8000-000000000001",
    "CAST('::1' AS inet6)": "::1",
    "REPEAT('x', 70000)": "x" * 70_000,
}
COLUMNS = {
    "tinyint": ("-128", -128),
    "tinyint unsigned": ("255", 255),
    "smallint": ("-32768", -32768),
    "smallint unsigned": ("65535", 65535),
    "mediumint": ("-8388608", -8388608),
    "mediumint unsigned": ("16777215", 16777215),
    "int": ("-2147483648", -2147483648),
    "int unsigned": ("4294967295", 4294967295),
    "int(6) zerofill": ("42", 42),
    "bigint unsigned": ("18446744073709551615", "18446744073709551615"),
    "float": ("1.1", 1.1),
    "float unsigned": ("16777216", 16777216.0),
    "double": ("-1.1", -1.1),
    "decimal(10,2)": ("1.5", "1.50"),
    "bit(1)": ("b'1'", 1),
    "bit(64)": ("18446744073709551615", "18446744073709551615"),
    "boolean": ("true", 1),
    "year": ("2026", 2026),
    "date": ("'0000-00-00'", "0000-00-00"),
    "datetime": ("'0000-00-00'", "0000-00-00 00:00:00"),
    "datetime(6)": ("'2026-01-01 00:00:00'", "2026-01-01 00:00:00.000000"),
    "timestamp(2)": ("'2026-01-01 10:20:30.456'", "2026-01-01 10:20:30.45"),
    "time(6)": ("'-00:00:00.000001'", "-00:00:00.000001"),
    "char(5)": ("'ab'", "ab"),
    "varchar(5) CHARACTER SET latin1": ("'é'", "é"),
    "tinytext": ("'a'", "a"),
    "longtext": ("'a'", "a"),
    "binary(3)": ("'a'", {"base64": "YQAA"}),
    "varbinary(3)": ("'a'", {"base64": "YQ=="}),
    "longblob": ("'a'", {"base64": "YQ=="}),
    "enum('fine', 'bad')": ("'fine'", "fine"),
    "set('a', 'b', 'c')": ("'a,c'", "a,c"),
    "json": ("'[1]'", "[1]"),
    "uuid": ("'5b0f3a2e-0000-4000-8000-000000000001'", "5b0f3a2e-0000-4000-8000-000000000001"),
    "inet4": ("'127.0.0.1'", "127.0.0.1"),
    "point": ("POINT(1, 2)", {"base64": "AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="}),
}


async def test_values_of_all_types_are_rendered_without_loss(database: MySQL) -> None:
    rows = await read(database, "SELECT " + ", ".join(TYPES))
    assert dict(zip(TYPES, rows.rows[0], strict=True)) == TYPES


async def test_columns_of_all_types_are_rendered_and_named(database: MySQL, server: MariaDB) -> None:
    names = ", ".join(f"c{number} {kind} NULL" for number, kind in enumerate(COLUMNS))
    values = ", ".join(written for written, _ in COLUMNS.values())
    await server.execute(
        f"CREATE OR REPLACE TABLE all_types ({names})",
        f"SET STATEMENT sql_mode = '' FOR INSERT INTO all_types VALUES ({values})",  # noqa: S608 -- of this test
        f"INSERT INTO all_types VALUES ({', '.join(['NULL'] * len(COLUMNS))})",  # noqa: S608 -- of this test
        database=DATABASE,
    )
    rows = await read(database, "SELECT * FROM all_types")
    assert dict(zip(COLUMNS, rows.rows[0], strict=True)) == {kind: shown for kind, (_, shown) in COLUMNS.items()}
    assert rows.rows[1] == [None] * len(COLUMNS)
    named = dict(zip(COLUMNS, rows.types, strict=True))
    assert (named["bigint unsigned"], named["enum('fine', 'bad')"], named["varbinary(3)"]) == (
        *("bigint unsigned", "enum", "varbinary"),
    )
    assert None not in rows.types
    assert "" not in rows.types
    await server.execute("DROP TABLE all_types", database=DATABASE)


HOSTILE_TEXTS = [
    "'; DROP TABLE t; --",
    "\\' OR 1=1 -- ",
    "\N{CJK UNIFIED IDEOGRAPH-7E17}' OR 1=1 -- ",
    '"',
    "`",
    "%s",
    "?",
    "\0",
    "",
]


async def test_parameters_are_values_in_every_mode_of_the_server(database: MySQL, server: MariaDB) -> None:
    """Modes and character sets in which a client that escapes by itself makes mistakes."""
    settings = "@@global.sql_mode", "@@global.character_set_server"
    [(mode, charset)] = await server.fetch(f"SELECT {', '.join(settings)}")
    await server.execute(
        "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', GLOBAL character_set_server = 'gbk'",
        f"CREATE OR REPLACE TABLE {DATABASE}.chinese (a varchar(50) CHARACTER SET gbk)",
        f"INSERT INTO {DATABASE}.chinese VALUES ('x')",  # noqa: S608 -- a constant
    )
    try:
        for text in HOSTILE_TEXTS:
            rows = await read(database, "SELECT ? AS a, (SELECT count(*) FROM chinese WHERE a = ?) AS n", text, text)
            assert rows.rows == [[text, 0]]
        raw = {"base64": "vycgT1IgMT0xIC0tIA=="}
        assert (await read(database, "SELECT ? AS a, '?' AS b, 5 % 3 AS c", raw)).rows == [[raw, "?", 2]]
    finally:
        await server.fetch("SET GLOBAL sql_mode = %s, GLOBAL character_set_server = %s", mode, charset)
        await server.execute(f"DROP TABLE {DATABASE}.chinese")


async def test_parameters_are_taken_as_json_has_them(database: MySQL) -> None:
    given = [1, -1, 2**63 - 1, 2**64 - 1, -(2**63), 1.5, True, None, "é", "x" * 300, "y" * 70_000]
    rows = await read(database, f"SELECT {', '.join('?' * len(given))}", *given)
    assert rows.rows == [[1, -1, str(2**63 - 1), str(2**64 - 1), str(-(2**63)), 1.5, 1, None, "é", *given[-2:]]]
    assert (await read(database, "SELECT seq FROM seq_1_to_9 LIMIT ?, ?", 2, 1)).rows == [[3]]
    for value in (2**64, -(2**63) - 1, [1], {"a": 1}, float("nan"), float("inf"), "\ud800"):
        with pytest.raises(BadInput, match="Parameter 1"):
            await read(database, "SELECT ?", value)
    with pytest.raises(BadInput, match="expects 1 parameters"):
        await read(database, "SELECT ?")
    with pytest.raises(BadInput, match="half a character"):
        await read(database, "SELECT '\ud800'")
    with pytest.raises(BadInput, match="send a list"):
        await database.run(Query("SELECT 1", {"a": 1}), Rows(1, 100), Deadline(30))


async def test_a_cancelled_call_stops_the_statement_on_the_server(database: MySQL, server: MariaDB) -> None:
    """By cancelling the task, and by an anyio scope, which cancels at every await."""
    await read(database, "SELECT 1")
    task = asyncio.ensure_future(read(database, "SELECT BENCHMARK(1000000000000, 1)", seconds=60))
    await running(server, 1)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    await running(server, 0)
    for number in range(12):  # more often than there are connections, and later and later
        with anyio.move_on_after(0.003 * number):
            await read(database, "SELECT SLEEP(60)", seconds=60)
        await running(server, 0)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_cancelled_calls_while_rows_come_leave_no_half_read_connection(database: MySQL, server: MariaDB) -> None:
    for number in range(8):
        with anyio.move_on_after(0.004 * number):
            await read(
                database, "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_1000000000", max_rows=10**6, max_bytes=1 << 30
            )
        assert (await read(database, "SELECT ?", f"mine {number}")).rows == [[f"mine {number}"]]
    await running(server, 0)


async def test_a_connection_keeps_no_state_of_the_query_before(database: MySQL) -> None:
    for _ in range(3):
        await read(database, "SELECT GET_LOCK('held', 5), @a := 7, LAST_INSERT_ID(9)")
        rows = await read(
            database, "SELECT IS_FREE_LOCK('held'), @a, LAST_INSERT_ID(), @@in_transaction, @@tx_read_only"
        )
        assert rows.rows == [[1, None, 0, 1, 0]]
        assert len(database.pool.idle) == 1


async def test_a_locked_table_is_a_clear_error_in_time(database: MySQL, server: MariaDB) -> None:
    writer = await aiomysql.connect(user=ROOT, unix_socket=str(server.folder / "socket"), db=DATABASE)
    async with writer.cursor() as cursor:
        await cursor.execute("LOCK TABLES t WRITE")
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="locked by a writer"):
            await read(database, "SELECT * FROM t", seconds=50)
        assert time.monotonic() - begun < 25
    writer.close()
    assert len((await read(database, "SELECT * FROM t")).rows) == 1


async def test_ten_connections_are_the_maximum_and_waiting_is_bounded(database: MySQL, server: MariaDB) -> None:
    tasks = [asyncio.ensure_future(read(database, "SELECT SLEEP(60)", seconds=60)) for _ in range(14)]
    await running(server, 10)
    with pytest.raises(Busy, match=r"busy for 0\.2 s"):
        await read(database, "SELECT 1", seconds=0.2)
    await running(server, 10)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=30)
    assert all(task.cancelled() for task in tasks)
    await running(server, 0)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def idle(database: MySQL, server: MariaDB, count: int = 10) -> list[int]:
    """Open that many connections of the pool, idle; returns their numbers."""
    gate = await aiomysql.connect(user=ROOT, unix_socket=str(server.folder / "socket"), autocommit=True)
    async with gate.cursor() as cursor:
        await cursor.execute("SELECT GET_LOCK('gate', 5)")
        tasks = [asyncio.ensure_future(read(database, "SELECT GET_LOCK('gate', 50)")) for _ in range(count)]
        await running(server, count)
    gate.close()
    await asyncio.gather(*tasks)
    assert len(database.pool.idle) == count
    return [number for (number,) in await server.fetch(OPEN, DATABASE)]


async def cut(server: MariaDB) -> None:
    """End all connections of the pool on the server."""
    for (number,) in await server.fetch(OPEN, DATABASE):
        await server.execute(f"KILL {number}")


@pytest.mark.parametrize("queries", [1, 10, 30])
async def test_connections_closed_while_idle_fail_no_query(database: MySQL, server: MariaDB, queries: int) -> None:
    """With one query that gets them one after the other, and with many concurrent queries."""
    await idle(database, server)
    await cut(server)
    ones = await asyncio.gather(*(read(database, "SELECT ?", number) for number in range(queries)))
    assert [one.rows for one in ones] == [[[number]] for number in range(queries)]


async def test_a_lost_connection_fails_only_the_query_on_it(database: MySQL, server: MariaDB) -> None:
    await idle(database, server)
    task = asyncio.ensure_future(read(database, "SELECT SLEEP(60)", seconds=60))
    await running(server, 1)
    await cut(server)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30
    with pytest.raises(Unavailable, match="does not answer"):
        await task


async def test_idle_connections_are_closed_after_a_while(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_pool, "_IDLE_SECONDS", 0.05)
    await read(database, "SELECT 1")

    async def none_open() -> bool:
        return not await server.fetch(OPEN, DATABASE)

    await eventually(none_open)
    assert not database.pool.idle
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_connections_recover_after_a_restart_of_the_server(database: MySQL, server: MariaDB) -> None:
    await idle(database, server)
    await asyncio.to_thread(server.stop)
    begun = time.monotonic()
    for _ in range(2):
        with pytest.raises(Unavailable, match="does not answer") as refused:
            await read(database, "SELECT 1", seconds=20)
        assert str(server.folder) not in refused.value.message
    assert time.monotonic() - begun < 15
    await asyncio.to_thread(server.start)
    ones = await asyncio.gather(*(read(database, "SELECT 1") for _ in range(30)))
    assert [one.rows for one in ones] == [[[1]]] * 30


async def test_a_frozen_server_costs_no_more_than_the_time_of_the_query(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_pool, "_CLEANUP_SECONDS", 0.5)
    await idle(database, server)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        ended = await asyncio.gather(
            *(read(database, "SELECT 1", seconds=1) for _ in range(12)), return_exceptions=True
        )
        assert all(isinstance(one, (LimitExceeded, Unavailable, Busy)) for one in ended), ended
        assert time.monotonic() - begun < 20
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert (await read(database, "SELECT 1")).rows == [[1]]


async def test_idle_connections_without_an_answer_are_replaced(
    database: MySQL, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover, when the first host has vanished without closing connections."""
    monkeypatch.setattr(mysql_pool, "_LIVENESS_SECONDS", 0.3)
    await idle(database, server, 3)
    for session in database.pool.idle:
        session._reader.feed_data = id  # the answers of these connections get lost
    ones = await asyncio.gather(*(read(database, "SELECT 1", seconds=50) for _ in range(2)))
    assert [one.rows for one in ones] == [[[1]], [[1]]]


@pytest.mark.parametrize(("user", "warned"), [(WRITER, ["shop"]), (READER, [])])
async def test_a_user_that_may_write_is_warned_of_once(server: MariaDB, user: str, warned: list[str]) -> None:
    database = MySQL("shop", server.url(user, DATABASE))
    with capture_logs() as logged:
        await asyncio.gather(*(read(database, "SELECT 1") for _ in range(3)))
    await database.close()
    assert [line["connection"] for line in logged if "may write" in line["event"]] == warned
    assert PASSWORD not in str(logged)


MIGHTY = {
    "files": ("GRANT FILE ON *.* TO mighty",),
    "super": ("GRANT SUPER ON *.* TO mighty",),
    "everything": ("GRANT ALL PRIVILEGES ON *.* TO mighty",),
    "a role": (
        "CREATE OR REPLACE ROLE files",
        "GRANT FILE ON *.* TO files",
        "GRANT files TO mighty",
        "SET DEFAULT ROLE files FOR mighty",
    ),
}


@pytest.mark.parametrize("right", MIGHTY)
async def test_a_user_that_reaches_the_host_is_refused(server: MariaDB, right: str) -> None:
    await server.execute(f"CREATE OR REPLACE USER mighty IDENTIFIED BY '{PASSWORD}'", *MIGHTY[right])
    database = MySQL("shop", server.url("mighty"))
    for sql in ("SELECT 1", "SELECT LOAD_FILE('/etc/passwd')"):
        with capture_logs() as logged, pytest.raises(Unavailable, match="connection shop is not used") as refused:
            await read(database, sql)
        assert not refused.value.retryable
        assert "GRANT SELECT ON shop.*" in refused.value.message
        assert "OFFLOOP_SQL_SHOP" in refused.value.message
        assert [line["connection"] for line in logged] == ["shop"]
    await database.close()


NONE = Rights(reaches_host=False, writes=False)
WRITES = Rights(reaches_host=False, writes=True)
MOST = Rights(reaches_host=True, writes=True)


@pytest.mark.parametrize(
    ("grants", "rights"),
    [
        (["GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*23'"], NONE),
        (["GRANT SELECT, SHOW VIEW, EXECUTE ON `shop`.* TO `a`@`%`"], NONE),
        (["GRANT SELECT (`a`, `b`), REFERENCES (`c`) ON `shop`.`t` TO `a`@`%`"], NONE),
        (["GRANT SELECT, INSERT (`a`, `b`) ON `shop`.`t` TO `a`@`%`"], WRITES),
        (["GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%` WITH GRANT OPTION"], WRITES),
        (["GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `a`@`%`"], NONE),
        (["GRANT ALTER ROUTINE ON PACKAGE BODY `shop`.`p` TO `a`@`%`"], WRITES),
        (["GRANT `reading`@`%` TO `a`@`%`", "SET DEFAULT ROLE `reading` FOR `a`@`%`"], NONE),
        (["GRANT SELECT, FILE ON *.* TO `a`@`%`"], MOST),
        (["GRANT SYSTEM_VARIABLES_ADMIN,AUDIT_ADMIN ON *.* TO `a`@`%`"], WRITES),
        (["GRANT ALL PRIVILEGES ON *.* TO `a`@`%`"], MOST),
    ],
)
def test_rights_are_read_from_the_grants(grants: list[str], rights: Rights) -> None:
    assert rights_in(grants) == rights


async def test_a_view_whose_plan_may_not_be_seen_can_be_read(server: MariaDB) -> None:
    await server.execute(
        "CREATE OR REPLACE VIEW shown AS SELECT b FROM t",
        f"CREATE OR REPLACE USER narrow IDENTIFIED BY '{PASSWORD}'",
        "GRANT SELECT ON shown TO narrow",
        database=DATABASE,
    )
    database = MySQL("shop", server.url("narrow", DATABASE))
    assert (await read(database, "SELECT * FROM shown")).rows == [["first"]]
    with pytest.raises(BadInput, match="1345"):
        await database.run(Query("SELECT * FROM shown", explain=True), Rows(9, 999), Deadline(30))
    with pytest.raises(BadInput, match="denied to the user"):
        await read(database, "SELECT * FROM t")
    assert [table.name for table in await database.tables(Deadline(30))] == ["shown"]
    await database.close()
    await server.execute("DROP VIEW shown", database=DATABASE)


async def test_a_table_is_described_with_generated_columns_and_keys_across_databases(server: MariaDB) -> None:
    other = f"{DATABASE}_other"
    await server.execute(
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.target (x integer PRIMARY KEY)",
        "CREATE TABLE described (a integer PRIMARY KEY AUTO_INCREMENT, c integer DEFAULT 7, b integer AS (c + 1), "
        "d timestamp DEFAULT current_timestamp(), e text, UNIQUE KEY pair (c, b), "
        f"FOREIGN KEY far (c) REFERENCES {other}.target (x))",
        database=DATABASE,
    )
    database = MySQL("shop", server.url(database=DATABASE))
    shape = await database.shape("described", None, Deadline(30))
    assert [column.default for column in shape.columns] == [
        *("auto_increment", "7", "generated: `c` + 1", "current_timestamp()", None),
    ]
    keys = {(key.kind, tuple(key.columns), key.references) for key in shape.keys}
    assert ("foreign", ("c",), f"{other}.target(x)") in keys
    assert ("unique", ("c", "b"), None) in keys
    assert (await database.shape("target", other, Deadline(30))).table.schema == other
    await database.close()
    await server.execute("DROP TABLE described", f"DROP DATABASE {other}", database=DATABASE)


@pytest.mark.parametrize(
    ("tcp", "outcome"),
    [
        ("ssl-mode=REQUIRED", "connected"),
        ("ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}", "connected"),
        ("ssl-ca={ca}", "connected"),
        ("ssl-ca={ca}&host=address", "refused"),
        ("ssl-mode=VERIFY_CA&ssl-ca={ca}&host=address", "connected"),
        ("ssl-mode=VERIFY_CA&ssl-ca={other}", "refused"),
        ("ssl-mode=VERIFY_CA", "refused"),
        ("ssl-ca=/no/such/file", "refused"),
    ],
)
async def test_certificates_are_verified_as_the_url_says(
    server: MariaDB, tmp_path: Path, tcp: str, outcome: str
) -> None:
    other, _ = certificate(tmp_path, "localhost")
    url = server.url(
        database=DATABASE, tcp=tcp.removesuffix("&host=address").format(ca=server.certificate, other=other)
    )
    if tcp.endswith("&host=address"):
        url = url.replace("@localhost", "@127.0.0.1")
    database = MySQL("shop", url)
    cipher = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
    if outcome == "connected":
        assert (await read(database, cipher)).rows == [[1]]
    else:
        with capture_logs() as logged, pytest.raises(Unavailable, match="does not answer"):
            await read(database, cipher, seconds=5)
        assert PASSWORD not in str(logged)
    await database.close()


async def test_tls_is_used_where_it_is_offered_unless_the_url_says_no(server: MariaDB) -> None:
    cipher = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
    for mode, used in (("PREFERRED", 1), ("DISABLED", 0)):
        database = MySQL("shop", server.url(database=DATABASE, tcp=f"ssl-mode={mode}"))
        assert (await read(database, cipher)).rows == [[used]]
        await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://very:secret@127.0.0.1:1/nothing",
        "mysql://very:secret@localhost/?socket=/no/such/socket",
        "mysql://nobody-known:secret@localhost/?socket={folder}/socket",
        "mysql://{reader}@localhost/no_such_database?socket={folder}/socket",
        "mysql://very:secret@no-such-host.invalid/x",
    ],
)
async def test_the_error_of_an_unreachable_database_has_no_address(server: MariaDB, url: str) -> None:
    reader = server.url().partition("//")[2].partition("@localhost")[0]
    database = MySQL("shop", url.format(folder=server.folder, reader=reader))
    with capture_logs() as logged, pytest.raises(Unavailable, match="does not answer") as refused:
        await read(database, "SELECT 1", seconds=3)
    hidden = ("secret", "127.0.0.1", "nobody-known", "no_such", "no-such", str(server.folder), READER, PASSWORD)
    for text in (refused.value.message, str(logged)):
        assert not any(word in text for word in hidden)
    await database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@h/x?sslmode=require", "unknown option 'sslmode'"),
        ("mysql://u:secret@h/x?ssl-mode=maybe", "ssl-mode is one of"),
        ("mysql://h/x", "names no user"),
        ("mysql://u:secret@h:port/x", "Port could not be cast|port"),
        ("mysql://u:secret@[h/x", "Invalid IPv6"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_when_the_front_end_starts(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        MySQL("shop", url)
    assert "secret" not in str(refused.value)
