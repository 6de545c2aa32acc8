"""Contract: arguments that fit become an input, and only a result of the declared type becomes plain data."""

from __future__ import annotations

import pytest

from offloop import JobError, Model, declare, tool
from offloop.kinds import contract
from offloop.kinds.contract import Contract


class Text(Model):
    """An input."""

    text: str
    lines: tuple[int, ...] = ()


class Count(Model):
    """An output."""

    words: int


@tool()
def count_light(value: Text) -> Count:
    """Count."""
    return Count(words=len(value.text.split()))


DECLARED: list[Contract] = [declare("count_words", Text, Count, description="d"), count_light]


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.name)
def test_a_kind_and_a_light_tool_validate_and_dump_alike(declared: Contract) -> None:
    assert contract.input_of(declared, {"text": "a b"}) == Text(text="a b")
    assert contract.output_of(declared, Count(words=2)) == {"words": 2}
    with pytest.raises(TypeError, match=f"{declared.name} returned dict, its contract says Count"):
        contract.output_of(declared, {"words": 2})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "count_words: text: Field required"),
        ({"text": "a", "lines": [1, "x"]}, r"count_words: lines\.1: Input should be a valid integer"),
        ({"text": "a", "more": 1}, "count_words: more: Extra inputs"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_first_fault(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(JobError, match=message) as failed:
        contract.input_of(DECLARED[0], arguments)
    assert failed.value.reason == "bad_input"
