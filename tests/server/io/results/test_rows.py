"""Rows: what they do not show as it is, told with column and row."""

from __future__ import annotations

from typing import Any

from offloop_server.io.results.documents import Documents
from offloop_server.io.results.rows import Rows
from offloop_server.io.results.values import from_json


def rows_of(columns: list[str], *rows: list[Any], max_cell: int | None = None) -> Rows:
    """Rows as a driver collects them."""
    made = Rows(1000, 64 << 20, max_cell)
    made.begin(columns, [None] * len(columns))
    assert made.add(rows)
    return made


def test_names_that_repeat_are_kept_and_told() -> None:
    rows = rows_of(["a", "a", "", "b", ""], [1, 2, 3, 4, 5])
    assert rows.objects() == [{"a": 1, "a_2": 2, "": 3, "b": 4, "_2": 5}]
    assert rows.warnings == [
        "Column 3 has no name: its key is the empty text.",
        "Names repeat, so columns have others here: 2 is 'a_2', 5 is '_2'; use AS.",
    ]
    [note] = rows_of(["x" * 5000] * 300, [1] * 300).warnings
    assert len(note) < 1000, "of many columns, and of long names, the first"
    assert note.endswith("' and 289 more; use AS.")


def test_cut_values_are_told_with_column_and_rows() -> None:
    rows = rows_of(["n", "text"], *([n, "x" * (5 + 10 * (n % 2))] for n in range(20)), max_cell=10)
    assert rows.cut == 10
    assert [row[1] for row in rows.rows[:2]] == ["xxxxx", "xxxxxxxxxx… (5 more characters)"]
    [warning] = rows.warnings
    assert warning.startswith("10 values of 'text' are too long and cut here (rows 2, 4, 6, 8, 10, …).")
    assert rows_of(["b"], [b"x" * 11], max_cell=10).warnings[0].startswith("1 value of 'b' is too long and cut here")


def test_what_is_found_in_a_row_that_does_not_fit_is_not_told() -> None:
    rows = Rows(10, 40, max_cell=10)
    rows.begin(["a"], ["text"])
    assert not rows.add([["x"], ["x" * 100]])
    documents = Documents(10, 40, max_cell=10)
    assert not documents.add_document({"a": "x" * 100}, {"a": "string"})
    for found in (rows, documents):
        assert (found.truncated_by, found.cut, found.warnings) == ("bytes", 0, [])


def test_bytes_that_are_no_utf_8_are_marked_and_told() -> None:
    text = b"caf\xe9 \xf0\x9f".decode("utf-8", "surrogateescape")
    rows = rows_of(["a", "b"], ["x", "caf\ufffd"], [text, "\ud800"])
    assert rows.rows[1] == ["caf\ufffd \ufffd", "\ufffd"]
    assert [one.split(";")[0] for one in rows.warnings] == ["1 value of 'a' is no UTF-8", "1 value of 'b' is no UTF-8"]
    documents = Documents(10, 1000)
    documents.add_document({"a": {"b": [text]}, text: 1}, {"a": "object", text: "int"})
    assert documents.objects() == [{"a": {"b": ["caf\ufffd \ufffd"]}, "caf\ufffd \ufffd": 1}]
    assert "'a' is no UTF-8" in documents.warnings[0]


def test_the_null_of_json_is_told_from_a_value_that_is_missing() -> None:
    rows = rows_of(["a"], [from_json("null")], [None], [from_json("[null]")])
    assert rows.rows == [[None], [None], [[None]]]
    [warning] = rows.warnings
    assert warning.startswith("1 value of 'a' is the null of JSON")
