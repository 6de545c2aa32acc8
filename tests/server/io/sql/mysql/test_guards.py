"""MySQL: no way to write or to leave the database, and bombs that end."""

from __future__ import annotations

import resource
import time

import pytest

from offloop.errors import BadInput, LimitExceeded
from offloop_server.io.sql.mysql.database import MySQL
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import PASSWORD, WRITER, MariaDB, read, running

pytestmark = pytest.mark.anyio

STATE = f"""SELECT (SELECT group_concat(a, b) FROM {DATABASE}.t), (SELECT group_concat(a) FROM {DATABASE}.old),
(SELECT next_not_cached_value FROM {DATABASE}.numbers),
(SELECT count(*) FROM information_schema.tables), (SELECT count(*) FROM information_schema.routines),
(SELECT max(create_time) FROM information_schema.tables WHERE table_schema = '{DATABASE}')"""  # noqa: S608 -- constants


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


async def test_concatenated_values_are_whole_or_refused(database: MySQL, server: MariaDB) -> None:
    await server.execute("SET GLOBAL group_concat_max_len = 1024")
    whole = "SELECT GROUP_CONCAT(REPEAT('a', 1000) SEPARATOR '') FROM seq_1_to_{}"
    ((text,),) = (await read(database, whole.format(2000), max_bytes=4 << 20)).rows
    assert len(text) == 2_000_000
    for too_long in (whole.format(20_000), "SELECT JSON_ARRAYAGG(REPEAT('a', 1000)) FROM seq_1_to_20000"):
        with pytest.raises(LimitExceeded, match="too large"):
            await read(database, too_long)


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
