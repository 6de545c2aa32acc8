"""SQLite: values of all types, and what was read sent back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import BadInput
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.select import select
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads

pytestmark = pytest.mark.anyio

LARGE = "9007199254740993"
STORED: list[tuple[str, Any]] = [
    ("0", 0),
    ("-9223372036854775808", "-9223372036854775808"),
    ("9007199254740992", 2**53),
    (LARGE, LARGE),
    ("0.1", 0.1),
    ("1e300", 1e300),
    ("9e999", "Infinity"),
    ("-9e999", "-Infinity"),
    ("''", ""),
    ("'007'", "007"),
    (f"'{LARGE}'", LARGE),
    ("'a' || char(0) || 'b'", "a\0b"),
    ("'é😀'", "é😀"),
    ("x''", {"base64": ""}),
    ("x'00ff'", {"base64": "AP8="}),
    ("NULL", None),
]
"""Values as they are written, and as they are read."""
TYPES = ("INTEGER", "REAL", "NUMERIC", "TEXT", "BLOB", "", "DECIMAL(10, 2)", "BOOLEAN", "DATETIME")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLite]:
    """A column of each type, with each value."""
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE t ({', '.join(f'c{number} {kind}' for number, kind in enumerate(TYPES))})")
    for written, _ in STORED:
        connection.execute(f"INSERT INTO t VALUES ({', '.join([written] * len(TYPES))})")  # noqa: S608 -- of this module
    connection.execute("CREATE TABLE old (a TEXT, b)")
    connection.execute("INSERT INTO old VALUES (cast(x'636166e9' AS TEXT), 1), ('café', 'x'), (NULL, NULL)")
    connection.commit()
    connection.close()
    threads = SQLiteThreads(1, 256)
    yield SQLite(str(path), threads)
    await threads.close()


async def read(database: SQLite, query: Query) -> Rows:
    """The rows of a query."""
    rows = Rows(100, 1 << 20)
    await database.run(query, rows, Deadline(30))
    return rows


async def test_each_value_in_a_column_of_each_type_is_read_without_loss_and_finds_its_row(database: SQLite) -> None:
    rows = await read(database, Query("SELECT * FROM t"))
    assert [row[5] for row in rows.rows] == [shown for _, shown in STORED], "the column without a type changes nothing"
    assert rows.types[5] == "mixed"
    assert rows.warnings == []
    for number in range(len(TYPES)):
        for at, row in enumerate(rows.rows, 1):
            query = select(database, "t", columns=["rowid"], where={f"c{number}": row[number]})
            assert at in {found for [found] in (await read(database, query)).rows}, (TYPES[number], row[number])


async def test_texts_of_numbers_are_taken_in_every_place_of_a_statement(database: SQLite) -> None:
    for sql, given, found in (
        ("SELECT count(*) FROM t WHERE c0 = ?", [LARGE], [[2]]),
        ("SELECT count(*) FROM t WHERE c3 = ?", [7], [[0]]),
        ("SELECT rowid FROM t LIMIT ? OFFSET ?", ["1", "2"], [[3]]),
        ("SELECT rowid FROM t LIMIT ?", [1.0], [[1]]),
        ("SELECT :a || :b, typeof(:a)", {"a": 1, "b": "x"}, [["1x", "integer"]]),
    ):
        assert (await read(database, Query(sql, given))).rows == found, sql


async def test_text_that_is_no_utf_8_is_marked_and_told(database: SQLite) -> None:
    rows = await read(database, Query("SELECT a, CAST(a AS BLOB) AS bytes FROM old LIMIT 1"))
    assert rows.rows == [["caf\ufffd", {"base64": "Y2Fm6Q=="}]]
    [warning] = rows.warnings
    assert warning.startswith("1 value of 'a' is no UTF-8; \ufffd stands for the bytes that are none (row 1).")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2]], r"Parameter 1 is the list \[1, 2\]; send .*IN \(\?, \?\)"),
        ([{"a": 1}], "Parameter 1 is the object .*JSON as a text"),
        ([2**63], "Parameter 1 is 9223372036854775808; send an integer of 64 bits"),
        (["\ud800"], "half of a surrogate pair"),
        ({"a": [1]}, "Parameter a is the list"),
        ([{"base64": "?"}], "does not decode"),
    ],
    ids=range(6),
)
async def test_a_parameter_of_the_wrong_form_is_named(database: SQLite, given: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        await read(database, Query("SELECT :a" if isinstance(given, dict) else "SELECT ?", given))


async def test_a_database_with_a_long_trigger_is_read(tmp_path: Path) -> None:
    """SQLite parses the whole schema before the first statement, within the same limits."""
    path = tmp_path / "long.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    checks = " ".join(f"SELECT RAISE(ABORT, 'no {'x' * 200} {n}') WHERE NEW.a = {n};" for n in range(1000))
    connection.execute(f"CREATE TRIGGER checks BEFORE INSERT ON t BEGIN {checks} END")
    connection.commit()
    connection.close()
    threads = SQLiteThreads(1, 256)
    try:
        assert (await read(SQLite(str(path), threads), Query("SELECT count(*) FROM t"))).rows == [[0]]
    finally:
        await threads.close()
