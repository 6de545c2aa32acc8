"""JSON without loss: numbers that a double does not hold are text, and what would be dropped is refused."""

from __future__ import annotations

import json
import math
import random
import struct
from decimal import Decimal
from typing import Any

import pytest

from offloop_server.io.exact_json import MAX_DEPTH, parsed, written

NUMBERS: dict[str, Any] = {
    "0": 0,
    "-7": -7,
    "9007199254740992": 2**53,
    "-9007199254740992": -(2**53),
    "9007199254740993": "9007199254740993",
    "-9007199254740993": "-9007199254740993",
    "100000000000000000000": "100000000000000000000",
    "1" * 5000: "1" * 5000,
    "0.1": 0.1,
    "1.10": 1.1,
    "-0.0": -0.0,
    "1e2": 100.0,
    "1E+300": 1e300,
    "123456789.123456": 123456789.123456,
    "0.1000000000000000055": "0.1000000000000000055",
    "12345678901234567.5": "12345678901234567.5",
    "3.14159265358979323846": "3.14159265358979323846",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "1e-400": "1e-400",
    "1e99999999999999999999": "1e99999999999999999999",
    "9007199254740993.0": "9007199254740993.0",
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items(), ids=[text[:30] for text in NUMBERS])
def test_numbers_are_exact_or_text(text: str, value: Any) -> None:
    found = parsed(text)
    assert (found, type(found)) == (value, type(value))
    assert parsed(f'{{"a": [{text}]}}') == {"a": [value]}


def test_each_double_stays_a_number_and_each_other_decimal_is_text() -> None:
    """Random doubles of all sizes as any encoder writes them, and the same with one more digit."""
    draw = random.Random(5)  # noqa: S311 -- reproducible
    for _ in range(5000):
        (double,) = struct.unpack("<d", struct.pack("<Q", draw.getrandbits(64)))
        if math.isfinite(double):
            assert parsed(repr(double)) == double
            assert parsed(f"{double:.25e}") in (double, f"{double:.25e}")
        text = f"{draw.randrange(10**18)}.{draw.randrange(10**8):08}"
        found = parsed(text)
        assert found == text or Decimal(repr(found)) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "repeats a name"),
        ('[{"b": {"a": 1, "a": 1}}]', "repeats a name"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "levels"),
        ("[" * 200_000, "levels"),
        (r'"\ud800"', r"half of a surrogate pair, \\ud800"),
        (r'{"\udfff": 1}', r"half of a surrogate pair, \\udfff"),
        ("[NaN]", "NaN is no JSON"),
        ("-Infinity", "no JSON"),
        ("{'a': 1}", "Expecting"),
        ("", "Expecting"),
    ],
    ids=range(10),
)
def test_json_that_would_lose_something_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(text)


def test_other_values_are_those_of_json() -> None:
    text = r'{"a": [true, false, null, "é😀", "\ud83d\ude00"], "": {}, "b": []}'
    assert parsed(text) == json.loads(text)


def test_whole_numbers_are_written_digit_for_digit_and_others_as_in_json() -> None:
    numbers = {"1": 1.0, "-5": -5, "1" + "0" * 23: 1e23, "0.1": 0.1, "1e-07": 1e-7, "9007199254740993": 2**53 + 1}
    assert {text: written(number) for text, number in numbers.items()} == {text: text for text in numbers}
