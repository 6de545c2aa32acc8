"""Arguments of tools, prompts and the command line."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from offloop import FileReference, Model
from offloop.errors import BadInput, JobError, OffloopError
from offloop.jobs import documents, hashing, images, pdf, search
from offloop.kinds import contract
from offloop.kinds.kind import Kind
from offloop_server.cli import arguments as command_line
from offloop_server.resources.workflows import WORKFLOWS
from offloop_server.toolkit.arguments import schema, validate
from support.fuzzing import check_refusal, costly


class Inner(Model):
    """A part."""

    password: str = ""
    sizes: tuple[int, ...] = ()


class Words(Model):
    """An input with several types."""

    text: Annotated[str, Field(max_length=5)] = ""
    count: int = 1
    ratio: float = 1
    many: tuple[str, ...] = ()
    file: FileReference | None = None
    inner: Inner | None = None


_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("s3cret-value"))
_names = st.one_of(st.sampled_from([*Words.model_fields, "password", "sizes", "txet"]), st.text(max_size=6))
json_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=10,
)
objects = st.dictionaries(_names, json_values, max_size=4)


@given(objects)
@example({"inner": {"password": ["s3cret-value"]}})
@example({"password": {"password": "s3cret-value"}})
@example({"text": "\ud800"})
def test_arguments_are_an_input_or_a_sentence_without_secrets(arguments: dict[str, Any]) -> None:
    try:
        found = validate("words", Words, arguments)
    except BadInput as error:
        check_refusal(error, most=5000)
        hidden = {"inner": {"password": arguments.get("inner", {})}} if isinstance(arguments.get("inner"), dict) else {}
        if "s3cret-value" in json.dumps(hidden) and "s3cret-value" not in json.dumps({**arguments, "inner": 0}):
            leaked = "'password': 's3cret-value'" in error.message
            assert not leaked
        return
    assert validate("words", Words, found.model_dump(mode="json", exclude_unset=True)) == found


_KINDS: list[Kind[Any, Any]] = [
    kind
    for module in (documents, hashing, images, pdf, search)
    for kind in vars(module).values()
    if isinstance(kind, Kind)
]


@given(st.data(), st.sampled_from(_KINDS))
def test_arguments_of_shipped_kinds_are_an_input_or_bad_input(data: st.DataObject, kind: Kind[Any, Any]) -> None:
    names = st.sampled_from(sorted(kind.input.model_fields))
    value = st.one_of(
        json_values, st.sampled_from(["data:,x", "root:a/b", "1-3", "A4", "2026-99-99", "٢٠٢٦-01-01", "16:9", "#fff"])
    )
    arguments = data.draw(st.dictionaries(names, value, max_size=5))
    try:
        found = contract.input_of(kind, arguments)
    except JobError as error:
        check_refusal(error, reason="bad_input")
        return
    again = contract.input_of(kind, found.model_dump(mode="json", exclude_unset=True))
    assert again == found


@pytest.mark.parametrize("created", ["0001-01-01T00:00+23:59", "9999-12-31T23:59-01:00", "2026-99-99"])
def test_a_date_that_no_pdf_can_hold_is_bad_input(created: str) -> None:
    with pytest.raises(JobError, match="created"):
        contract.input_of(pdf.render_pdf, {"html": "x", "created": created})


_texts = st.one_of(
    st.text(max_size=30), st.sampled_from(["[" * 100_000, "9" * 5000, "480,²", "480,٣", "{}", "null", ",", "a,b"])
)


@given(st.data(), st.sampled_from(WORKFLOWS))
@costly(0.5)
def test_a_prompt_is_filled_or_refused(data: st.DataObject, workflow: Any) -> None:
    required = {argument.name for argument in workflow.arguments if argument.required}
    optional = {argument.name for argument in workflow.arguments} - required
    given = data.draw(st.fixed_dictionaries(dict.fromkeys(required, _texts), optional=dict.fromkeys(optional, _texts)))
    try:
        call = workflow.call(given)
    except OffloopError as error:
        check_refusal(error, most=1000)
        return
    json.dumps(call)


_words = st.one_of(
    st.text(max_size=20),
    st.tuples(
        _names, st.sampled_from(["=", ":=", "=["]), st.one_of(st.text(max_size=10), json_values.map(json.dumps))
    ).map("".join),
)


@given(st.lists(_words, max_size=4))
@example(["many:=" + "[" * 100_000])
@example(["count=" + "9" * 5000])
@example(["text=@/nowhere/\0"])
@example(["text=@/"])
@example(["file=@~no-such-user/x"])
def test_words_of_a_command_line_are_arguments_or_refused(words: list[str]) -> None:
    try:
        found = command_line.parse(words, schema(Words))
    except BadInput as error:
        check_refusal(error)
        return
    assert set(found) <= set(Words.model_fields)
