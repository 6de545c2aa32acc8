"""Arguments: one flat schema, and a sentence for each that does not fit."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import Field, model_validator

from offloop import Model
from offloop.errors import BadInput
from offloop_server.toolkit.arguments import output_schema, schema, split, validate


class Inner(Model):
    """A part."""

    size: int


class Words(Model):
    """An input."""

    text: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=9)] = 1
    inner: Inner | None = None

    @model_validator(mode="after")
    def _odd(self) -> Words:
        if self.text == "odd":
            message = "odd is too odd"
            raise ValueError(message)
        return self


class Budget(Model):
    """Fields that every tool has."""

    wait_seconds: float = 20


def test_the_fields_of_all_models_lie_side_by_side_without_titles() -> None:
    merged = schema(Words, Budget)
    assert set(merged["properties"]) == {"text", "count", "inner", "wait_seconds"}
    assert merged["required"] == ["text"]
    assert merged["additionalProperties"] is False
    assert set(merged["$defs"]) == {"Inner"}
    assert "title" not in merged["properties"]["text"]
    assert output_schema(Inner)["required"] == ["size"]


def test_arguments_are_split_by_the_fields_of_a_model() -> None:
    mine, others = split({"text": "a", "wait_seconds": 1, "other": 2}, Budget, Words)
    assert (mine, others) == ({"wait_seconds": 1}, {"text": "a", "other": 2})
    mine, others = split({"Text": "a", "waitSeconds": 1}, Budget, Words)
    assert (mine, others) == ({"wait_seconds": 1}, {"Text": "a"})


def test_arguments_that_fit_become_the_model() -> None:
    assert validate("count_words", Words, {"text": "a", "inner": {"size": 1}}) == Words(text="a", inner=Inner(size=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "text is missing; it is required."),
        ({"txt": "a", "text": "a"}, "txt is not an argument; did you mean text?"),
        ({"zzz": "a", "text": "a"}, "zzz is not an argument; there are: text, count, inner."),
        ({"text": "a", "count": 10}, "count: Input should be less than or equal to 9 (you sent 10)."),
        ({"text": "a", "count": "many"}, "(you sent 'many')"),
        ({"text": "a", "inner": {}}, "inner.size is missing"),
        ({"text": "odd"}, "the arguments: odd is too odd."),
        ({"text": "a", "inner": "b"}, "inner: it should be an object (you sent 'b'); send for example {\"size\": 1}."),
        ({"text": "a", "inner": '{"size": 1'}, "the text is no valid JSON (Expecting ',' delimiter at character 11)"),
        ({"text": "a", "inner": {"sise": 1, "size": 2}}, "inner.sise is not an argument; did you mean size?"),
    ],
)
def test_each_invalid_argument_is_named_with_its_remedy(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate("count_words", Words, arguments)
    assert refused.value.message.startswith("count_words was not run: ")
    assert words in refused.value.message
    assert refused.value.message.endswith("Correct the arguments and call it again.")


def test_a_refusal_has_a_bounded_length() -> None:
    with pytest.raises(BadInput) as refused:
        validate("count_words", Words, {"text": "a", "count": "x" * 10_000, **{f"f{n}": "" for n in range(50)}})
    assert "(and 46 more)" in refused.value.message
    assert len(refused.value.message) < 1000


class Locked(Model):
    """An input with secrets."""

    user_password: Annotated[str, Field(max_length=3)] = ""
    inner: Inner | None = None
    sheets: list[Words] = Field(default_factory=list)
    keys: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_password": "hunter2"}, "user_password: String should have at most 3 characters (you sent '***')."),
        ({"inner": ["sesame", {"hmac_key": "hunter2"}]}, "(you sent ['sesame', {'hmac_key': '***'}])"),
        ({"inner": [1, {"a": {"Owner_Password": ["hunter2"]}}]}, "(you sent [1, {'a': {'Owner_Password': '***'}}])"),
        ({"inner": '{"client_secret": "hunter2"}'}, "inner.client_secret is not an argument; there are: size."),
        ({"inner": '{"client_secret": "hunter2"'}, "(you sent '***')"),
        ({"sheets": [{"text": "odd", "secret": "hunter2"}]}, "sheets.0.secret"),
        ({"keys": {"X-Secret": "hunter2"}}, "keys.X-Secret: "),
        ({"keys": "the secret of it"}, "(you sent 'the secret of it')"),
    ],
)
def test_a_refusal_repeats_no_secret(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate("open_it", Locked, arguments)
    assert words in refused.value.message
    assert "hunter2" not in refused.value.message


class Leaf(Model):
    """A part."""

    name: str = Field(description="Its name.")
    size: int | None = None
    cut_by: Literal["rows", "bytes"] | None = None


class Tree(Model):
    """A whole."""

    leaves: list[Leaf]
    best: Leaf | None = Field(None, description="The best.")
    below: list[Tree] = Field(default_factory=list)


class Flat(Model):
    """A whole that does not hold its like."""

    leaves: list[Leaf]
    best: Leaf | None = Field(None, description="The best.")


def test_output_schemas_have_no_references() -> None:
    """Clients check each answer against it, and a reference costs them more than its target."""
    described = output_schema(Flat)
    assert "$" not in json.dumps(described)
    best = described["properties"]["best"]
    assert (best["type"], best["description"]) == (["object", "null"], "The best.")
    assert "description" not in described | described["properties"]["leaves"]["items"], "docstrings are left out"
    assert best["properties"]["size"]["type"] == ["integer", "null"]
    leaf: dict[str, Any] = {"name": "a", "size": None, "cut_by": None}
    for value in (None, leaf, {**leaf, "cut_by": "rows"}):
        jsonschema.validate({"leaves": [leaf], "best": value}, described)


def test_an_answer_that_holds_its_like_keeps_its_references() -> None:
    assert "$defs" in output_schema(Tree)


class Anything(Model):
    """An input of whatever shape."""

    value: dict[str, Any]


def test_endlessly_nested_arguments_are_refused_in_one_line() -> None:
    nested: Any = []
    for _ in range(2000):
        nested = [nested]
    with pytest.raises(BadInput) as refused:
        validate("tool", Anything, {"value": nested})
    assert "value" in refused.value.message
    assert len(refused.value.message) < 400
