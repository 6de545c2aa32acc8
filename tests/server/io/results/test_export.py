"""Text formats of rows: what is read back equals, and what is changed is told."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import asyncpg
import pytest

from offloop_server.io.results.export import exported
from offloop_server.io.results.rows import Rows
from support.postgres import OWNER, Postgres

TEXTS = [
    *(
        "plain",
        "",
        " ",
        " both ",
        "a,b",
        'quo"te',
        "'quote'",
        "l1\nl2",
        "l1\r\nl2",
        "l1\rl2",
        "a\t",
        "é😀",
        "NULL",
        "null",
    ),
    *("\\N", "\\", "a;b", "x\u2028y", "\ufeff", "1", "007", "1e5", "-5", "+5", "true", "x" * 70_000),
]


def rows_of(columns: list[str], *rows: list[Any], max_cell: int | None = None) -> Rows:
    """Rows as a driver collects them."""
    made = Rows(1000, 64 << 20, max_cell)
    made.begin(columns, ["text"] * len(columns))
    assert made.add(rows)
    return made


def test_csv_read_back_has_the_same_texts() -> None:
    rows = rows_of(["n", "text", "more"], *([number, text, None] for number, text in enumerate(TEXTS)))
    header, *found = csv.reader(io.StringIO(exported(rows, "csv"), newline=""))
    assert header == ["n", "text", "more"]
    assert [row[1] for row in found] == TEXTS
    assert rows.warnings == []


@pytest.mark.anyio
async def test_csv_read_back_by_postgresql_tells_null_from_an_empty_text(postgres: Postgres) -> None:
    rows = rows_of(["n", "text"], *([number, text] for number, text in enumerate([*TEXTS, None])))
    connection = await asyncpg.connect(postgres.url(OWNER))
    try:
        await connection.execute("CREATE TEMP TABLE copied (n int, text text)")
        source = io.BytesIO(exported(rows, "csv").encode())
        await connection.copy_to_table("copied", source=source, format="csv", header=True)
        found = await connection.fetch("SELECT text FROM copied ORDER BY n")
        assert [one["text"] for one in found] == [*TEXTS, None]
    finally:
        await connection.close()


VALUES = [
    None,
    True,
    False,
    0,
    -7,
    0.1,
    -0.0,
    1e300,
    2**53,
    2**53 + 1,
    float("nan"),
    b"\x00\xff",
    ["a", None],
    {"b": 1},
]
SHOWN = [
    *(None, True, False, 0, -7, 0.1, -0.0, 1e300, 2**53, "9007199254740993", "NaN", {"base64": "AP8="}, ["a", None]),
    {"b": 1},
]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_and_json_lines_read_back_have_the_values_of_the_answer(form: Any) -> None:
    rows = rows_of(["v", "text"], *([value, text] for value, text in zip(VALUES, TEXTS, strict=False)))
    text = exported(rows, form)
    found = json.loads(text) if form == "json" else [json.loads(line) for line in text.split("\n") if line]
    assert [repr(one["v"]) for one in found] == [repr(value) for value in SHOWN]
    assert [one["text"] for one in found] == TEXTS[: len(VALUES)]


def test_csv_writes_numbers_and_others_so_that_they_are_told_apart() -> None:
    rows = rows_of(["v"], *([value] for value in VALUES))
    lines = exported(rows, "csv").split("\r\n")
    assert lines == [
        *("v", "", "true", "false", "0", "-7", "0.1", "-0.0", "1e+300", "9007199254740992", "9007199254740993", "NaN"),
        *('"{""base64"": ""AP8=""}"', '"[""a"", null]"', '"{""b"": 1}"', ""),
    ]
    assert rows.warnings == ["1 value of 'v' is NULL and the whole row, so the line is empty (row 1)."]


def test_formulas_are_defused_in_csv_and_told_with_their_places() -> None:
    rows = rows_of(["a", "=b"], ["=1+1", "x"], ["-5", "@y"], ["\t=x", "+z"])
    assert exported(rows, "csv") == "a,'=b\r\n'=1+1,x\r\n-5,'@y\r\n'\t=x,'+z\r\n"
    assert [warning.split(" a formula")[0] for warning in rows.warnings] == [
        "3 values of '=b' are",
        "2 values of 'a' are",
    ]
    assert "(its name, rows 2, 3)" in rows.warnings[0]
    assert "(rows 1, 3)" in rows.warnings[1]
    assert json.loads(exported(rows, "json"))[0] == {"a": "=1+1", "=b": "x"}
