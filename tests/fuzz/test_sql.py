"""Statements and names that callers send to databases; SQLite is the oracle."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.errors import BadInput, OffloopError
from offloop_server.io.deadline import Deadline
from offloop_server.io.results.export import exported
from offloop_server.io.results.rows import Rows
from offloop_server.io.results.values import rendered
from offloop_server.io.sql.driver import Query, quoted
from offloop_server.io.sql.parameters import with_bytes
from offloop_server.io.sql.sqlite.reader import Reader, fetch
from support.fuzzing import check_refusal, costly


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one table."""
    path = tmp_path_factory.mktemp("sql") / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, f"row {number}") for number in range(5)])
    connection.commit()
    connection.close()
    return path


def _run(path: Path, sql: str, parameters: Any = ()) -> Rows:
    rows = Rows(20, 10_000)
    Reader(str(path), Deadline(5), 64 << 20).work(lambda connection: fetch(connection, Query(sql, parameters), rows))
    return rows


_words = st.sampled_from(
    ["SELECT", "*", "FROM", "t", "a", "b", ",", "(", ")",
     "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)", "c",
     "LIMIT 3", "INSERT INTO t VALUES (9, 'x')", "UPDATE t SET a = 9", "DELETE FROM t", "DROP TABLE t",
     "ATTACH 'x' AS y", ";",
     "PRAGMA", "query_only = 0", "writable_schema = 1", "user_version = 5", "table_info(t)",
     "journal_mode = delete", "VACUUM",
     "INTO 'copy.db'", "CREATE TEMP TABLE x AS SELECT 1", "load_extension('x')", "readfile('/etc/passwd')",
     "replace(b, '', b)",
     "printf('%9999999d', 1)", "zeroblob(99999999)", "hex(zeroblob(9000000))", "UNION ALL", "WHERE", "=", "'x'",
     "x'00'", "?",
     "JOIN", "EXPLAIN", "json_each('[1]')", "group_concat(b)", "--", "/*", "\0", "\ud800", "é", "BEGIN", "COMMIT",
     "fts3_tokenizer('x')",
     "randomblob(10)", "sqlite_master", "pragma_table_info('t')", "COLLATE", "nocase", "CAST(a AS BLOB)", "1e999",
     "9" * 30]
)  # fmt: skip
statements = st.one_of(
    st.lists(_words, max_size=10).map(" ".join),
    st.lists(_words, max_size=8).map(lambda parts: "SELECT " + " ".join(parts)),
)


@costly(0.5)
@given(statements)
@example("PRAGMA query_only = 0")
@example("SELECT replace(hex(zeroblob(4000000)), '0', hex(zeroblob(4000)))")
@example("VACUUM INTO '/tmp/offloop-copy.db'")
@example("SELECT 1e999")
def test_no_statement_changes_a_database(database: Path, sql: str) -> None:
    before = database.read_bytes()
    try:
        rows = _run(database, sql)
    except OffloopError as error:
        check_refusal(error, most=1000)
    else:
        json.dumps(rows.objects(), allow_nan=False).encode()
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


@costly(0.5)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@example('a"; DROP TABLE t; --')
@example("rowid")
def test_a_quoted_name_is_one_name(name: str) -> None:
    try:
        sql = f"CREATE TABLE x ({quoted(name)} TEXT)"
    except BadInput:
        assert not name or "\0" in name
        return
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(sql)
        assert [row[1] for row in connection.execute("PRAGMA table_info(x)")] == [name]
    finally:
        connection.close()


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=10),
    st.decimals(), st.dates(),
    st.datetimes(), st.timedeltas(), st.uuids(),
)  # fmt: skip
values = st.recursive(
    _values,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


@given(values)
@example("\ud800")
@example(math.inf)
def test_a_value_of_a_database_can_be_answered(value: object) -> None:
    json.dumps(rendered(value), allow_nan=False, ensure_ascii=False).encode()


def _deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@given(st.integers(1, 500))
def test_a_value_of_any_depth_can_be_answered(levels: int) -> None:
    json.dumps(rendered(_deep(levels)))


_cells = st.lists(st.lists(_values, min_size=2, max_size=2), max_size=4)


@given(_cells, st.lists(st.text(max_size=6), min_size=2, max_size=2))
def test_every_export_holds_every_row(cells: list[list[object]], names: list[str]) -> None:
    rows = Rows(100, 100_000)
    rows.begin(names, ["text"] * 2)
    rows.add(cells)
    text = exported(rows, "json")
    assert json.loads(text) == json.loads(json.dumps(rows.objects()))
    table = exported(rows, "markdown")
    assert table.count("\n") == len(cells) + 2
    sheet = list(csv.reader(io.StringIO(exported(rows, "csv"), newline="")))
    assert len(sheet) == len(cells) + 1
    assert not any(cell.lstrip(" ")[:1] in {"=", "@"} for line in sheet for cell in line)


@given(st.one_of(st.text(max_size=20), st.binary(max_size=20).map(lambda raw: base64.b64encode(raw).decode())))
@example("é")
@example("\ud800")
def test_bytes_in_parameters_decode_or_are_bad_input(text: str) -> None:
    for parameters in ([{"base64": text}], {"x": {"base64": text}}):
        try:
            found = with_bytes(parameters)
        except BadInput:
            continue
        (value,) = found.values() if isinstance(found, dict) else found
        assert base64.b64encode(value).decode() == text
