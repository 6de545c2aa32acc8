"""Documents as rows: columns by appearance, caps, tables of documents with different fields."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping

import pytest

from offloop.errors import LimitExceeded
from offloop_server.io.results import export
from offloop_server.io.results.documents import Documents
from offloop_server.io.results.export import exported


def collected(*documents: Mapping[str, object], **caps: int) -> Documents:
    """A collector with these documents."""
    rows = Documents(**{"max_rows": 100, "max_bytes": 10_000, **caps})
    for document in documents:
        types = {name: None if value is None else type(value).__name__ for name, value in document.items()}
        if not rows.add_document(document, types):
            break
    return rows


def test_columns_are_the_fields_in_the_order_of_their_appearance() -> None:
    rows = collected({"a": 1}, {"b": None, "a": 2}, {"b": "x", "c": 1}, {"c": "y"})
    assert (rows.columns, rows.types) == (["a", "b", "c"], ["int", "str", "mixed"])
    assert rows.objects() == [{"a": 1}, {"b": None, "a": 2}, {"b": "x", "c": 1}, {"c": "y"}]
    assert exported(rows, "csv") == "a,b,c\r\n1,,\r\n2,,\r\n,x,1\r\n,,y\r\n"
    assert exported(rows, "markdown").splitlines()[2] == "| 1 | NULL | NULL |"
    assert json.loads(exported(rows, "json")) == rows.objects()


def test_documents_stop_at_the_caps() -> None:
    assert collected({"a": 1}, {"a": 2}, max_rows=1).truncated_by == "rows"
    rows = collected(*({"a": "x" * 100} for _ in range(50)), max_bytes=1000)
    assert (rows.truncated_by, rows.count) == ("bytes", 8)


def test_long_texts_are_cut_at_any_depth_and_counted_only_in_rows_that_are_kept() -> None:
    rows = collected({"a": {"b": ["x" * 50, "y"]}, "c": "z" * 50}, {"c": "z" * 50}, max_cell=10, max_rows=1)
    assert rows.objects() == [
        {"a": {"b": ["xxxxxxxxxx… (40 more characters)", "y"]}, "c": "zzzzzzzzzz… (40 more characters)"}
    ]
    assert rows.cut == 2


def test_too_many_different_fields_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="more than 1000 different fields"):
        collected({f"f{number}": 1 for number in range(1001)}, max_bytes=100_000)


def test_a_table_that_would_be_mostly_empty_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_MAX_CELLS", 8)
    rows = collected({"a": 1}, {"b": 1}, {"c": 1})
    for form in ("csv", "markdown"):
        with pytest.raises(LimitExceeded, match=r"3 rows of 3 columns are too large\. Use format=json"):
            exported(rows, form)
    assert len(json.loads(exported(rows, "json"))) == 3


def test_documents_take_memory_by_their_own_fields_not_by_all_columns() -> None:
    wide = {f"f{number}": 1 for number in range(1000)}
    rows = collected(wide, max_rows=5001, max_bytes=200_000)
    tracemalloc.start()
    try:
        while rows.add_document({"f0": 1}, {"f0": "int"}):
            pass
        used, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows.count == 5001
    assert used < 5_000_000  # 40 MB with a list of all columns for each
    assert [len(line) for line in rows.lines()][-1] == len(rows.columns) == 1000


def test_an_empty_cell_of_markdown_counts_as_several_of_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_MAX_CELLS", 9)
    rows = collected({"a": 1}, {"b": 1}, {"c": 1})
    assert exported(rows, "csv").endswith(",,1\r\n")
    with pytest.raises(LimitExceeded, match="3 rows of 3 columns"):
        exported(rows, "markdown")


def test_names_that_become_equal_by_repair_are_numbered_and_told() -> None:
    """Names that are no UTF-8, as drivers pass them; a value must not hide another one."""
    first, second = (bytes([byte]).decode("utf-8", "surrogateescape") for byte in (0xFF, 0xFE))
    documents = Documents(10, 10_000)
    document = {first: 1, second: 2, "\ufffd": 3, "in": {first: 1, second: 2}}
    assert documents.add_document(document, {first: "int"})
    assert documents.objects() == [{"\ufffd_2": 1, "\ufffd_3": 2, "\ufffd": 3, "in": {"\ufffd": 1, "\ufffd_2": 2}}]
    assert documents.columns == ["\ufffd_2"]
    assert [warning.split(" no UTF-8")[0] for warning in documents.warnings] == [
        "1 value of 'in' is",
        "1 value of '\ufffd_2' is",
        "1 value of '\ufffd_3' is",
    ]
