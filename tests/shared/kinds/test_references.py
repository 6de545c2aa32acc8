"""File references: three forms, everything else refused with words on what to send."""

from __future__ import annotations

import base64

import pytest
from pydantic import TypeAdapter, ValidationError

from offloop.errors import BadInput
from offloop.jobs.hashing import hash_file
from offloop.kinds.kind import Model
from offloop.kinds.references import FileReference, FolderReference, Parsed, Scheme, parse, references
from offloop.queue.request import Request

ARTIFACT = "artifact:0123456789abcdef"


class _Files(Model):
    one: FileReference
    many: tuple[FileReference, ...] = ()
    named: dict[str, FileReference] | None = None
    other: str = ""


class _Outer(Model):
    inner: _Files
    last: FileReference | None = None


def test_an_artifact_is_its_id() -> None:
    assert parse(ARTIFACT) == Parsed(Scheme.ARTIFACT, "0123456789abcdef")


def test_a_root_is_a_name_and_a_path() -> None:
    assert parse("root:docs/a b/ü:1.txt") == Parsed(Scheme.ROOT, "docs", "a b/ü:1.txt")


@pytest.mark.parametrize(
    ("text", "mime", "content"),
    [
        ("data:text/plain;base64,aGk=", "text/plain", b"hi"),
        ("data:image/png;name=a.png;BASE64,aGk=", "image/png", b"hi"),
        ("data:text/plain;base64,aG\n k=", "text/plain", b"hi"),
        ("data:text/plain;base64,aGk%3D", "text/plain", b"hi"),
        ("data:text/plain,a%20b,c", "text/plain", b"a b,c"),
        ("data:,plain", "text/plain", b"plain"),
        ("data:;base64,", "text/plain", b""),
    ],
)
def test_data_is_decoded(text: str, mime: str, content: bytes) -> None:
    assert parse(text) == Parsed(Scheme.DATA, mime, content=content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "artifact:",
        "artifact:short",
        "artifact:../../etc/passwd00",
        "artifact:" + "x" * 65,
        "artifact:0123456789abcdef\n",
        "root:docs",
        "root:docs/",
        "root:/etc/passwd",
        "root:do cs/a",
        "root:docs/a\0b",
        "/etc/passwd",
        "https:example.org/a",
        "https://example.org/a b\n",
        "https://example.org/" + "a" * 8192,
        "ftp://example.org/a",
        "HTTPS://example.org/a",
        "ARTIFACT:0123456789abcdef",
        "data:text/plain;base64",
        "data:no type,x",
        "data:text/plain;base64,a",
        "data:text/plain;base64,!!!!",
    ],
)
def test_anything_else_is_refused_with_what_to_send(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert any(word in refused.value.message for word in ("send", "encode"))


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("root:docs", "docs", ""),
        ("root:docs/", "docs", ""),
        ("root:docs/a b/ü", "docs", "a b/ü"),
        ("root:docs/a/", "docs", "a"),
        ("root:docs/../a", "docs", "../a"),  # for the guard to refuse
    ],
)
def test_a_folder_is_a_root_or_below_one(text: str, name: str, path: str) -> None:
    folder = TypeAdapter(FolderReference).validate_python(text)
    assert parse(folder) == Parsed(Scheme.ROOT, name, path)
    assert list(references([folder])) == [text]


@pytest.mark.parametrize(
    "text", ["", "docs", "root:", "root:/a", "root:do cs", "root:a\0", "root:a/b\0", ARTIFACT, "data:,"]
)
def test_anything_else_is_no_folder(text: str) -> None:
    with pytest.raises(ValidationError, match="send root:<name>"):
        TypeAdapter(FolderReference).validate_python(text)


def test_the_schema_tells_a_model_how_a_folder_is_named() -> None:
    described = TypeAdapter(FolderReference).json_schema()
    assert (described["type"], described["pattern"]) == ("string", "^root:")
    assert "root:<name>/<path>" in described["description"]


@pytest.mark.parametrize("text", ["https://example.org/a?b#c", "http://[::1]:81/", "https://user:word@example.org/"])
def test_a_url_is_a_reference_whose_host_the_guard_looks_at(text: str) -> None:
    assert parse(text) == Parsed(Scheme.URL, text)


def test_a_long_text_is_cut_in_the_refusal() -> None:
    with pytest.raises(BadInput) as refused:
        parse("x" * 10_000)
    assert len(refused.value.message) < 400


def test_a_model_checks_its_references_and_keeps_them_strings() -> None:
    files = _Files.model_validate({"one": ARTIFACT})
    assert isinstance(files.one, FileReference)
    assert files.model_dump(mode="json")["one"] == ARTIFACT
    with pytest.raises(ValidationError, match="not a file reference"):
        _Files.model_validate({"one": "nothing"})


def test_the_schema_tells_a_model_the_forms() -> None:
    described = _Files.model_json_schema()["properties"]["one"]
    assert described["type"] == "string"
    for form in ("artifact:<id>", "data:<type>;base64", "root:<name>/<path>", "https://<host>/<path>"):
        assert form in described["description"]


def test_references_are_found_at_any_depth_in_order_and_plain_strings_are_not() -> None:
    data = "data:text/plain;base64," + base64.b64encode(b"x").decode()
    found = _Outer.model_validate(
        {
            "inner": {"one": ARTIFACT, "many": ["root:a/1", "root:a/2"], "named": {"b": data}, "other": ARTIFACT},
            "last": "root:z/9",
        }
    )
    assert list(references(found)) == [ARTIFACT, "root:a/1", "root:a/2", data, "root:z/9"]


@pytest.mark.parametrize("text", ["root:docs/a", "https://example.org/a"])
def test_a_reference_whose_content_may_change_never_counts_as_the_same_input(text: str) -> None:
    given = hash_file.input.model_validate({"file": text})
    assert Request.of(hash_file, given, "alice").key == ""
    same = hash_file.input.model_validate({"file": "data:text/plain,a"})
    assert Request.of(hash_file, same, "alice").key != ""
