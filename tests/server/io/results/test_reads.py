"""Text of an answer: a table of its rows, bounded in size."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import TextContent

from offloop_server.io.results import reads
from offloop_server.io.results.answers import ColumnAnswer, QueryAnswer
from offloop_server.io.results.reads import result


def text_of(rows: list[dict[str, Any]]) -> str:
    """The text of the answer with these rows."""
    names = list({name: None for row in rows for name in row})
    answer = QueryAnswer(
        connection="shop",
        columns=[ColumnAnswer(name=name, type=None) for name in names],
        rows=rows,
        row_count=len(rows),
        truncated=False,
        truncated_by=None,
        cut_values=0,
        text=None,
        artifact=None,
        elapsed_ms=1,
    )
    content = result(answer).content[-1]
    assert isinstance(content, TextContent)
    return content.text


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
