"""Arguments in the forms that clients and models send: read where one meaning is possible, refused elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

import offloop_server.app
import offloop_server.io.catalogue_tools
import offloop_server.io.gather.tools
import offloop_server.io.http.tools
import offloop_server.io.mongodb.tools
import offloop_server.io.redis.tools
import offloop_server.io.sql.tools  # noqa: F401 -- these modules define every light tool
from offloop import FileReference, Model
from offloop.errors import BadInput
from offloop.jobs import documents, hashing, images, pdf, search
from offloop.kinds.kind import Kind
from offloop.kinds.spelling import canonical
from offloop_server.io.gather.answers import GatherArguments
from offloop_server.io.http.tools import BulkFetchArguments
from offloop_server.io.sql.answers import QueryArguments
from offloop_server.toolkit import coercion
from offloop_server.toolkit.arguments import validate
from offloop_server.toolkit.examples import _example as example
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.places import alternatives

EDIT = documents.edit_pdf.input
HASH = hashing.hash_file.input
IMAGE = images.transform_image.input
PAGE = pdf.render_pdf.input
SEARCH = search.search_text.input
QUERY = QueryArguments
BULK = BulkFetchArguments
FILE = "artifact:aaaaaaaaaaaaaaaa"
ID = "aaaaaaaaaaaaaaaaaaaaa_"
BOX = {"left": 0, "top": 0, "width": 5, "height": 5}


@pytest.mark.parametrize(
    ("model", "sent", "meant"),
    [
        # lists and objects as JSON text, also encoded twice and inside each other
        (EDIT, {"sources": json.dumps([{"file": FILE}])}, {"sources": [{"file": FILE}]}),
        (EDIT, {"sources": json.dumps(json.dumps([{"file": FILE}]))}, {"sources": [{"file": FILE}]}),
        (EDIT, {"sources": [json.dumps({"file": FILE})]}, {"sources": [{"file": FILE}]}),
        (PAGE, {"template": "x", "data": '{"a": [1]}'}, {"template": "x", "data": {"a": [1]}}),
        (IMAGE, {"image": FILE, "focus": '{"x": "0.5", "y": 1}'}, {"image": FILE, "focus": {"x": 0.5, "y": 1}}),
        # one value instead of a list, one reference instead of an object with a reference
        (EDIT, {"sources": FILE}, {"sources": [{"file": FILE}]}),
        (EDIT, {"sources": "data:text/plain,a"}, {"sources": [{"file": "data:text/plain,a"}]}),
        (EDIT, {"sources": {"file": FILE}}, {"sources": [{"file": FILE}]}),
        (IMAGE, {"image": FILE, "redact": json.dumps(BOX)}, {"image": FILE, "redact": [BOX]}),
        (HASH, {"file": FILE, "algorithms": "md5"}, {"file": FILE, "algorithms": ["md5"]}),
        (SEARCH, {"text": "x", "patterns": "a+"}, {"text": "x", "patterns": ["a+"]}),
        (SEARCH, {"text": "x", "patterns": '["a,b"]'}, {"text": "x", "patterns": ["a,b"]}),
        # text with commas where each part can only be an item
        (HASH, {"file": FILE, "algorithms": "SHA-256, MD5"}, {"file": FILE, "algorithms": ["sha256", "md5"]}),
        (
            images.responsive_images.input,
            {"image": FILE, "widths": "320, 640", "formats": "WebP,JPG"},
            {"image": FILE, "widths": [320, 640], "formats": ["webp", "jpeg"]},
        ),
        (QUERY, {"sql": "x", "parameters": '{"a": 1}'}, {"sql": "x", "parameters": {"a": 1}}),
        (BULK, {"urls": "https://a.org/x\nhttps://b.org/y, z"}, {"urls": ["https://a.org/x", "https://b.org/y, z"]}),
        (BULK, {"urls": "https://a.org/?x=1,2"}, {"urls": ["https://a.org/?x=1,2"]}),
        # a list of one instead of a value
        (IMAGE, {"image": [FILE], "width": ["640"]}, {"image": FILE, "width": 640}),
        (IMAGE, {"image": FILE, "focus": [{"x": 0, "y": 1}]}, {"image": FILE, "focus": {"x": 0, "y": 1}}),
        # the id of an artifact, alone or in the object that an answer lists
        (IMAGE, {"image": ID}, {"image": f"artifact:{ID}"}),
        (IMAGE, {"image": {"artifact_id": ID, "name": "a.png"}}, {"image": f"artifact:{ID}"}),
        (EDIT, {"sources": ID}, {"sources": [{"file": f"artifact:{ID}"}]}),
        # numbers as text, text as numbers, numbers of an enumeration
        (IMAGE, {"image": FILE, "width": " 640 ", "rotate": "90"}, {"image": FILE, "width": 640, "rotate": 90}),
        (IMAGE, {"image": FILE, "width": 640.0, "rotate": 90.0}, {"image": FILE, "width": 640, "rotate": 90}),
        (PAGE, {"html": "x", "title": 2026}, {"html": "x", "title": "2026"}),
        # enumerations and names in other spellings
        (IMAGE, {"image": FILE, "format": "JPG"}, {"image": FILE, "format": "jpeg"}),
        (IMAGE, {"image": FILE, "gravity": "Top-Left"}, {"image": FILE, "gravity": "top_left"}),
        (IMAGE, {"image": FILE, "format": "image/jpg"}, {"image": FILE, "format": "jpeg"}),
        (IMAGE, {"image": FILE, "crop": {**BOX, "unit": "%"}}, {"image": FILE, "crop": {**BOX, "unit": "percent"}}),
        (IMAGE, {"image": FILE, "crop": {**BOX, "unit": "Pixels"}}, {"image": FILE, "crop": {**BOX, "unit": "px"}}),
        (IMAGE, {"image": FILE, "keepMetadata": ["ICC"]}, {"image": FILE, "keep_metadata": ["icc"]}),
        (IMAGE, {"image": FILE, "grayscale": "yes"}, {"image": FILE, "greyscale": True}),
        (PAGE, {"html": "x", "pdf_variant": "PDF/A-3b"}, {"html": "x", "pdf_variant": "pdf/a-3b"}),
        (
            HASH,
            {"file": FILE, "algorithms": ["SHA2-512", "xxh128"]},
            {"file": FILE, "algorithms": ["sha512", "xxh3_128"]},
        ),
        # what is left out
        (IMAGE, {"image": FILE, "fit": None, "width": "", "format": ""}, {"image": FILE}),
        (IMAGE, {"image": FILE, "width": "null", "format": "None", "crop": "undefined"}, {"image": FILE}),
        (IMAGE, {"image": FILE, "name": "null"}, {"image": FILE, "name": "null"}),
        (EDIT, {"sources": [FILE], "operations": None}, {"sources": [{"file": FILE}]}),
        # values in other forms
        (IMAGE, {"image": FILE, "background": "White"}, {"image": FILE, "background": "#ffffff"}),
        (IMAGE, {"image": FILE, "background": "#FFF"}, {"image": FILE, "background": "#ffffff"}),
        (IMAGE, {"image": FILE, "background": "rgb(1, 2, 255)"}, {"image": FILE, "background": "#0102ff"}),
        (IMAGE, {"image": FILE, "background": "rgba(1, 2, 255, 1.0)"}, {"image": FILE, "background": "#0102ff"}),
        (IMAGE, {"image": FILE, "background": "#102030ff"}, {"image": FILE, "background": "#102030"}),
        (IMAGE, {"image": FILE, "aspect_ratio": "16/9"}, {"image": FILE, "aspect_ratio": "16:9"}),
        (PAGE, {"html": "x", "margin": "2 CM", "margin_top": 0}, {"html": "x", "margin": "2cm", "margin_top": "0mm"}),
        (PAGE, {"html": "x", "page_size": "A4 landscape"}, {"html": "x", "page_size": "A4", "landscape": True}),
        (PAGE, {"html": "x", "page_size": "US Letter"}, {"html": "x", "page_size": "letter"}),
        (PAGE, {"html": "x", "page_size": "210 x 297 mm"}, {"html": "x", "page_size": "210mm x 297mm"}),
        (PAGE, {"html": "x", "language": "de_DE.UTF-8"}, {"html": "x", "language": "de-DE"}),
        (PAGE, {"html": "x", "created": "2026-11-30 10:00Z"}, {"html": "x", "created": "2026-11-30T10:00Z"}),
        (HASH, {"file": " offloop://artifacts/aaaaaaaaaaaaaaaa"}, {"file": FILE}),
    ],
)
def test_what_has_one_meaning_is_read(model: type[Model], sent: dict[str, Any], meant: dict[str, Any]) -> None:
    assert validate("tool", model, sent) == model.model_validate(meant)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Rotate", "degrees": 90},
        {"type": "rotate", "degrees": "90"},
        {"rotate": {"degrees": 90}},
        '{"op": "rotate", "degrees": 90}',
        {"op": "rotate", "Degrees": 90},
    ],
)
def test_a_step_is_read_by_its_name_in_other_places_and_spellings(operation: Any) -> None:
    found = validate("edit_pdf", EDIT, {"sources": [FILE], "operations": [operation, "optimize"]})
    steps = [{"op": "rotate", "degrees": 90}, {"op": "optimise"}]
    assert [step.model_dump(exclude_unset=True) for step in found.operations] == steps


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ([1, 2, "5-"], "1,2,5-"),
        (3, "3"),
        ("[1, 2]", "1,2"),
        ("1 \u2013 3", "1-3"),
        ("1 to last", "1--1"),
        ("First, LAST", "1,-1"),
        ("1..3; 5", "1-3,5"),
        ("5 -", "5-"),
        ("1 -1", "1 -1"),
        ("last-2", "last-2"),
    ],
)
def test_pages_are_read_in_other_forms(sent: Any, meant: str) -> None:
    found = validate("extract_pdf_text", documents.extract_pdf_text.input, {"file": FILE, "pages": sent})
    assert found.pages == meant


@pytest.mark.parametrize(
    ("model", "sent", "words"),
    [
        (
            SEARCH,
            {"text": "x", "patterns": "a,b"},
            "patterns: it should be a list (you sent 'a,b'); send for example [\"…\"].",
        ),
        (BULK, {"urls": "https://a.org,https://b.org"}, "urls: it should be a list"),
        (SEARCH, {"text": "x", "patterns": "[0]"}, "patterns: it should be a list"),
        (EDIT, {"sources": [FILE], "operations": "rotate it"}, 'send for example {"op": "merge"}'),
        (EDIT, {"sources": '[{"file": "x"'}, "the text is no valid JSON (Expecting ',' delimiter at character 14)"),
        (
            EDIT,
            {"sources": [FILE], "operations": [{"op": "rotate", "degrees": "-90"}]},
            "90, 180 or 270 (you sent '-90')",
        ),
        (EDIT, {"sources": [FILE], "operations": [{"degrees": 90}]}, 'send for example {"op": "merge"}'),
        (IMAGE, {"image": FILE, "background": "transparent"}, 'send for example "#ffffff"'),
        (IMAGE, {"image": FILE, "width": "wide"}, "(you sent 'wide'); send for example 1."),
        (
            PAGE,
            {"html": "x", "margin": 20},
            "margin: it has the wrong form (you sent '20'); send for example \"20mm\".",
        ),
        (PAGE, {"html": "x", "page_size": "A4 landscape", "landscape": False}, "contradict each other"),
        (IMAGE, {"image": FILE, "background": "rgba(1, 2, 3, 0.5)"}, 'send for example "#ffffff"'),
        (documents.extract_pdf_text.input, {"file": FILE, "pages": [[1, 3]]}, "pages: it should be text"),
        (IMAGE, {"image": FILE, "width": [1, 2]}, "width: it should be a number (you sent [1, 2])"),
        (HASH, {"file": FILE, "algorithms": ["xxh64"]}, "(you sent 'xxh64')"),
        (GatherArguments, {"sources": [{"get": "https://example.org"}]}, "sources: it should be an object"),
        (HASH, {"file": FILE, "algorithms": ["sha256"], "Algorithms": ["md5"]}, "Algorithms is not an argument"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_an_example(model: type[Model], sent: Any, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate("tool", model, sent)
    assert words in refused.value.message


class Keyed(Model):
    """An input with names of the caller's own, and a password."""

    files: dict[str, FileReference] = Field(default_factory=dict)
    user_password: Annotated[str, Field(min_length=1)] | None = None


def test_only_an_argument_of_the_tool_counts_as_left_out() -> None:
    """A file without a reference is no file to skip, and a document with an empty password no document without one."""
    for sent in ({"files": {"a.txt": None}}, {"user_password": ""}):
        with pytest.raises(BadInput):
            validate("tool", Keyed, sent)


def test_arguments_that_validate_are_not_touched() -> None:
    text = '[{"file": "x"}]'
    assert validate("tool", PAGE, {"markdown": text}) == PAGE.model_validate({"markdown": text})


@pytest.mark.parametrize(
    "source",
    [
        {"get": "https://example.org", "maxChars": "100"},
        {"url": "https://example.org", "max_chars": 100},
        '{"get": "https://example.org", "max_chars": 100}',
    ],
)
def test_a_source_whose_sort_is_a_key_is_read(source: Any) -> None:
    """The location of a fault names the member of the union, which is a key of the source as well."""
    meant = {"sources": {"a": {"get": "https://example.org", "max_chars": 100}}}
    found = validate("gather_sources", GatherArguments, {"sources": {"a": source}})
    assert found == GatherArguments.model_validate(meant)
    assert validate("gather_sources", GatherArguments, {"sources": {"a": "https://example.org"}}).sources


def test_the_callers_arguments_stay_as_they_were() -> None:
    sent: dict[str, Any] = {"sources": [json.dumps({"file": FILE})], "operations": [{"op": "Merge"}]}
    copy = json.loads(json.dumps(sent))
    validate("edit_pdf", EDIT, sent)
    assert sent == copy


class Deep(Model):
    """An object that holds its like."""

    inner: Deep | None = None
    size: int = 0


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 5_000,
        '{"inner": {"inner": {"size": "x"}}}',
        "9" * 5_000,
        '{"size": NaN}',
        '"' * 100_000,
    ],
    ids=lambda text: str(text)[:12],
)
def test_hostile_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate("tool", Deep, {"inner": text})
    assert len(refused.value.message) < 400


def test_an_input_with_very_many_faults_is_not_repaired() -> None:
    class Many(Model):
        items: list[Literal["a"]]

    assert validate("tool", Many, {"items": ["A"] * 100}).items == ["a"] * 100
    with pytest.raises(BadInput, match="more"):
        validate("tool", Many, {"items": ["A"] * 1_000})


# --- every tool ---------------------------------------------------------------------------------------------------


def _light(base: type[Any]) -> Iterator[type[Any]]:
    for one in base.__subclasses__():
        yield one
        yield from _light(one)


INPUTS: dict[str, type[BaseModel]] = {
    **{
        kind.name: kind.input
        for module in (documents, hashing, images, pdf, search)
        for kind in vars(module).values()
        if isinstance(kind, Kind)
    },
    **{
        tool.name: tool.arguments
        for tool in _light(LightTool)
        if hasattr(tool, "name") and hasattr(tool, "arguments")
        if tool.__module__.startswith("offloop_server.")
    },
}


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for part in node.values():
            yield from _schemas(part)
    elif isinstance(node, list):
        for part in node:
            yield from _schemas(part)


def test_every_tool_is_looked_at() -> None:
    assert {"edit_pdf", "render_pdf", "http_get", "gather_sources", "job_status", "run_batch"} <= set(INPUTS)


@pytest.mark.parametrize("tool", INPUTS)
def test_no_two_names_of_one_enumeration_or_object_are_spellings_of_each_other(tool: str) -> None:
    """Else neither could be read in another spelling."""
    for schema in _schemas(INPUTS[tool].model_json_schema()):
        for names in (schema.get("enum", ()), schema.get("properties", ())):
            keys = [canonical(name) for name in names if isinstance(name, str)]
            assert len(keys) == len(set(keys)), names


def _properties(schema: dict[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in schema.get("properties", {}).items():
        for one in alternatives(model, part):
            yield name, dict(one)


@pytest.mark.parametrize("tool", INPUTS)
def test_every_argument_of_every_tool_is_read_in_the_forms_of_clients(tool: str) -> None:
    """Each argument alone: whatever else is missing stays missing, but this argument is no fault."""
    model = INPUTS[tool]
    for name, schema in _properties(model.model_json_schema(), model):
        for value in _forms(model, schema):
            sent = {_camel(name): value}
            try:
                coercion.validated(model, sent)
            except coercion.InvalidArguments as error:
                faults = [fault for fault in error.faults if name in fault["loc"] or _camel(name) in fault["loc"]]
                kinds = {fault["type"] for fault in faults}
                assert kinds <= {"missing", "value_error"}, (tool, name, value, faults)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def _forms(model: type[BaseModel], schema: dict[str, Any]) -> Iterator[Any]:
    """Forms in which clients send a value of this schema."""
    for choice in schema.get("enum", ()):
        if isinstance(choice, str):
            yield from (choice.upper(), choice.title(), f" {choice} ", choice.replace("_", "-"))
        else:
            yield str(choice)
    sample = example(model, schema)
    match schema.get("type"):
        case "array" if sample is not None:
            yield json.dumps(sample)
            yield json.dumps(json.dumps(sample))
            if isinstance(sample[0], dict | int) or schema.get("minItems", 0) <= 1:
                yield sample[0] if schema.get("minItems", 0) <= 1 else sample * schema["minItems"]
        case "object" if sample is not None and "properties" in schema:
            yield json.dumps(sample)
        case "integer" | "number":
            yield from (str(sample), f" {sample} ", float(sample))
        case "boolean":
            yield from ("true", "False", "yes", 0)
