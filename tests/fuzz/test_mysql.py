"""Statements and parameters that callers send to MySQL, and bytes that a server sends; MariaDB is the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.errors import BadInput, OffloopError
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql.binary import Field, field_of, packed, row_of
from offloop_server.io.sql.mysql.database import PROTOCOL, MySQL
from support.fuzzing import check_refusal, costly
from support.mariadb import PASSWORD, MariaDB

DATABASE = "fuzzed"
STATE = (
    f"SELECT (SELECT group_concat(a, b ORDER BY a) FROM {DATABASE}.t), "  # noqa: S608 -- constants
    f"(SELECT next_not_cached_value FROM {DATABASE}.s), (SELECT count(*) FROM information_schema.tables)"
)


class Fuzzed:
    """The driver, with a user that may write, on a loop of its own: hypothesis calls functions, not coroutines."""

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        self._runner = asyncio.Runner()
        self._runner.run(self._fill())
        self._database = MySQL("fuzzed", server.url("fuzzer", DATABASE))

    async def _fill(self) -> None:
        await self.server.execute(
            f"CREATE DATABASE {DATABASE}",
            f"CREATE TABLE {DATABASE}.t (a integer PRIMARY KEY AUTO_INCREMENT, b text)",
            f"CREATE SEQUENCE {DATABASE}.s",
            f"INSERT INTO {DATABASE}.t (b) VALUES ('one'), ('two')",  # noqa: S608 -- a constant
            f"CREATE USER fuzzer IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO fuzzer",
        )

    def run(self, sql: str, *parameters: Any) -> Rows:
        """The rows of a statement."""
        rows = Rows(20, 100_000)
        self._runner.run(self._database.run(Query(sql, list(parameters)), rows, Deadline(5)))
        return rows

    def state(self) -> list[tuple[Any, ...]]:
        """State of the server that no statement may change."""
        return self._runner.run(self.server.fetch(STATE))

    def close(self) -> None:
        """Close the connections and the loop."""
        self._runner.run(self._database.close())
        self._runner.close()


@pytest.fixture(scope="module")
def fuzzed(mariadb: MariaDB) -> Iterator[Fuzzed]:
    """The driver with a database to fuzz."""
    made = Fuzzed(mariadb)
    yield made
    made.close()


_words = st.sampled_from(
    ["SELECT", "*", "FROM", "t", "a", "b", ",", "(", ")", "WITH c AS (SELECT 1 AS x)", "c", "LIMIT 3", ";", "@a := 1",
     "INSERT INTO t (b) VALUES ('x')", "REPLACE INTO t VALUES (1, 'x')", "UPDATE t SET b = 9", "DELETE FROM t",
     "RETURNING a", "DROP TABLE t", "TRUNCATE t", "ALTER TABLE t ADD c int", "OPTIMIZE TABLE t", "REPAIR TABLE t",
     "ANALYZE", "EXPLAIN", "FORMAT=JSON", "EXTENDED", "SHOW TABLES", "DESCRIBE", "SET STATEMENT tx_read_only=0 FOR",
     "SET autocommit = 1", "START TRANSACTION READ WRITE", "COMMIT", "BEGIN", "CALL", "EXECUTE IMMEDIATE", "PREPARE",
     "INTO OUTFILE 'x'", "INTO @x", "FOR UPDATE", "LOCK IN SHARE MODE", "LOCK TABLES t WRITE", "HANDLER t OPEN",
     "NEXTVAL(s)", "SETVAL(s, 9)", "SLEEP(0.001)", "BENCHMARK(9, 1)", "LOAD_FILE('/etc/passwd')", "GET_LOCK('x', 0)",
     "REPEAT('x', 9000000)", "UNION ALL", "VALUES (1)", "WHERE", "=", "'x'", "x'00'", "?", "--", "/*", "/*!50000", "*/",
     "/*+ MAX_EXECUTION_TIME(0) */", "#", "\0", "\ud800", "é", "`", '"', "\\'", "_gbk x'bf27'", "9" * 30, "1e999",
     "NULL", "seq_1_to_1000000", "information_schema.tables", "PROCEDURE ANALYSE()", "KILL 1", "USE mysql"]
)  # fmt: skip
statements = st.one_of(
    st.lists(_words, max_size=10).map(" ".join),
    st.lists(_words, max_size=8).map(lambda parts: "SELECT " + " ".join(parts)),
)


@costly(0.5)
@given(statements)
@example("OPTIMIZE TABLE t")
@example("ANALYZE DELETE FROM t")
@example("DELETE FROM t RETURNING a")
@example("SET STATEMENT tx_read_only=0 FOR DELETE FROM t RETURNING a")
@example("SELECT SLEEP(0.001)")
def test_no_statement_changes_a_database(fuzzed: Fuzzed, sql: str) -> None:
    before = fuzzed.state()
    try:
        rows = fuzzed.run(sql)
    except OffloopError as error:
        check_refusal(error, most=1000)
    else:
        json.dumps(rows.objects(), allow_nan=False).encode()
    assert fuzzed.state() == before


_values = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=300)),
    *(st.binary(max_size=300), st.lists(st.integers(), max_size=2)),
)


@costly(0.5)
@given(st.lists(_values, min_size=1, max_size=12))
@example(["\\' OR 1=1 -- "])
@example(["\0", "", b"", b"\0", -(2**63), 2**64 - 1])
def test_parameters_come_back_as_they_were_sent(fuzzed: Fuzzed, values: list[Any]) -> None:
    try:
        packed(values)
    except BadInput as error:
        check_refusal(error, most=1000)
        return
    found = fuzzed.run(f"SELECT {', '.join('?' * len(values))}", *values).rows[0]
    expected = Rows(1, 1 << 20)
    expected.begin([str(number) for number in range(len(values))], [None] * len(values))
    expected.add([[int(value) if isinstance(value, bool) else value for value in values]])
    for one, other in zip(found, expected.rows[0], strict=True):
        assert one == other or (isinstance(one, float) and math.isclose(one, other))


_COLUMN = b"\3def\0\0\0\1a\0\x0c?\0\0\0\0\0"


@given(st.lists(st.integers(0, 255), min_size=1, max_size=5), st.binary(max_size=60))
@example([12], b"\0\0\x04\xea\x07")
@example([253], b"\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff")
def test_a_row_of_any_bytes_is_read_or_refused(kinds: list[int], row: bytes) -> None:
    fields = [field_of(_COLUMN + bytes([kind]) + b"\0\0\x1f\0\0") for kind in kinds]
    with contextlib.suppress(*PROTOCOL, ValueError):
        rows = Rows(1, 1000)
        rows.begin([one.name for one in fields], [one.type for one in fields])
        rows.add([row_of(fields, row)])
        json.dumps(rows.objects(), allow_nan=False).encode()


@given(st.binary(max_size=60))
def test_a_definition_of_any_bytes_is_read_or_refused(packet: bytes) -> None:
    with contextlib.suppress(*PROTOCOL, ValueError):
        assert isinstance(field_of(packet), Field)
