"""Rows: JSON columns without loss."""

from __future__ import annotations

from typing import Any

import pytest

from offloop_server.io.results.values import from_json, rendered


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345678901234567.891", "12345678901234567.891"),
        ("-0.1234567890123456789", "-0.1234567890123456789"),
        ("1e400", "1e400"),
        ("1e-400", "1e-400"),
        ("1e-99999999999999999999", "1e-99999999999999999999"),
        ("9007199254740993", "9007199254740993"),
        ("1.10", 1.1),
        ("0.1", 0.1),
        ("-1.5E+3", -1500.0),
        ("1e16", 1e16),
        ("1", 1),
    ],
)
def test_a_number_of_a_json_column_is_a_number_only_where_nothing_is_lost(text: str, value: Any) -> None:
    assert rendered(from_json(f'{{"a": [{text}]}}')) == {"a": [value]}
