"""Text of an answer: a line about its rows, and a table of them, bounded in size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp_types import TextContent

from offloop_server.io.results import reads
from offloop_server.io.results.answers import ColumnAnswer, QueryAnswer
from offloop_server.io.results.reads import result, summary
from offloop_server.io.results.rows import Limit


def answer_of(rows: list[dict[str, Any]], limit: Limit | None = None) -> QueryAnswer:
    """The answer with these rows."""
    names = list({name: None for row in rows for name in row})
    return QueryAnswer(
        connection="shop",
        columns=[ColumnAnswer(name=name, type=None) for name in names],
        rows=rows,
        row_count=len(rows),
        truncated=limit is not None,
        truncated_by=limit,
        cut_values=0,
        text=None,
        artifact=None,
        elapsed_ms=1,
    )


def text_of(rows: list[dict[str, Any]]) -> str:
    """The text of the answer with these rows."""
    content = result(answer_of(rows)).content[-1]
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize(
    ("count", "limit", "line"),
    [
        (1, None, "1 row from shop in 1 ms."),
        (2, "rows", "2 rows from shop in 1 ms. There are more: max_rows was reached."),
        (0, "bytes", "0 rows from shop in 1 ms. The first row alone is larger than max_bytes."),
    ],
)
def test_a_line_tells_how_many_rows_there_are_and_why_no_more(count: int, limit: Limit | None, line: str) -> None:
    assert summary(answer_of([{"a": 1}] * count, limit)).startswith(line)


def test_rows_of_few_fields_are_a_table() -> None:
    assert text_of([{"a": 1}, {"b": 2}]) == "| a | b |\n| --- | --- |\n| 1 | NULL |\n| NULL | 2 |\n"


def test_documents_whose_table_would_be_mostly_empty_are_json_lines() -> None:
    rows: list[dict[str, Any]] = [{f"f{number}": number for number in range(1000)}, *({"a": "é"} for _ in range(999))]
    lines = text_of(rows).splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert lines[-1] == '{"a": "é"}'


def test_a_long_text_is_cut() -> None:
    rows = [{"a": "|" * reads._MAX_TEXT}]
    text = text_of(rows)
    assert reads._MAX_TEXT < len(text) < reads._MAX_TEXT + 100
    assert text.endswith(" more characters)")
