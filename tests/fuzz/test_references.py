"""References, names, cursors, ids and links as callers write them."""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from offloop.artifacts.links import Links
from offloop.artifacts.store import Artifact
from offloop.errors import BadInput, JobError
from offloop.kinds.references import FolderReference, Parsed, Scheme, parse
from offloop.paths import MAX_NAME, open_beneath, safe_name
from offloop.redis.paging import decode_cursor, encode_cursor
from support.fuzzing import check_refusal

_words = st.sampled_from(
    ["artifact:", "data:", "root:", "https://", "http:", ",", ";", ";base64,", "text/plain", "/", "..", ".", "\0", "\n",
     "%", "%00", "%zz", "AAAA", "A" * 20, "=", "é", "\u202e", "\ud800", " ", "files", "host"]
)  # fmt: skip
texts = st.one_of(st.text(max_size=80), st.lists(_words, max_size=8).map("".join))


@given(texts)
@example("data:,\ud800")
@example("data:text/plain;base64,\ud800")
def test_a_reference_is_parsed_or_is_bad_input(text: str) -> None:
    for form in (text, FolderReference(text)):
        try:
            found = parse(form)
        except BadInput as error:
            check_refusal(error, most=1000)
            continue
        assert found.scheme in Scheme
        if found.scheme is Scheme.ROOT:
            assert "\0" not in found.path
            assert "/" not in found.name


@given(st.binary(max_size=200), st.booleans())
def test_data_references_hold_any_bytes(content: bytes, encoded: bool) -> None:  # noqa: FBT001 -- drawn
    data = f";base64,{base64.b64encode(content).decode()}" if encoded else f",{quote(content)}"
    assert parse(f"data:a/b{data}") == Parsed(Scheme.DATA, "a/b", content=content)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "link", "\0", "\ud800", "é", "a" * 300]), max_size=5))
def test_no_path_leaves_its_root(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        (root / "a" / "b").mkdir(parents=True)
        (root / "b").write_text("inside")
        (Path(folder) / "b").write_text("outside")
        (root / "link").symlink_to(folder)
        with contextlib.suppress(JobError), open_beneath(root, "/".join(parts)) as file:
            assert file.read() == b"inside"


@given(st.text(max_size=300))
@example("a/" + "\u0301" * 300)
@example("." * 300 + "x")
@example("é" * 200 + ".jpeg")
@example("\U0001f600." + "\U0001f600" * 16)
def test_a_safe_name_fits_any_file_system(name: str) -> None:
    safe = safe_name(name, "file")
    assert 1 <= len(safe) <= MAX_NAME
    assert len(safe.encode()) <= 255
    assert not set(safe) & set('/\\"<>|:*?\0\n\r')
    assert safe.isprintable()
    assert safe == safe.strip()
    assert safe[0] != "."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / safe).touch()
        assert os.listdir(folder) == [safe]  # noqa: PTH208 -- the plain name


@given(st.integers(0, 10**15 - 1))
def test_a_cursor_names_its_position(start: int) -> None:
    assert decode_cursor(encode_cursor(start), "list_jobs") == start


@given(
    st.one_of(
        st.text(max_size=100), st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(b"o" + raw).decode())
    )
)
@example("=")
@example("b8KyAA")  # o²
@example("A" * 5000)
def test_a_foreign_cursor_is_bad_input_or_a_position(cursor: str) -> None:
    try:
        start = decode_cursor(cursor, "list_jobs")
    except BadInput as error:
        check_refusal(error, most=500)
        return
    assert 0 <= start < 2**63  # Redis takes no larger one


_ARTIFACT = Artifact("a" * 22, "n", "text/plain", 1, "0" * 64, 4_000_000_000_000, "b")
_LINKS = Links(b"k" * 32, "https://example.org")


@given(st.sampled_from(["GET", "PUT"]), st.text(max_size=30), st.text(max_size=30), st.text(max_size=80))
@example("GET", "a" * 22, "9" * 13, "")
@example("GET", "a" * 22, "٣٣٣", "")
def test_no_link_is_valid_that_was_not_made(method: str, artifact_id: str, expires: str, signature: str) -> None:
    assert not _LINKS.holds(method, artifact_id, expires, signature)


@given(st.sampled_from(["expires", "signature", "method", "id"]), st.integers(0, 70), st.characters(codec="utf-8"))
def test_a_changed_link_is_not_valid(part: str, position: int, character: str) -> None:
    made = urlsplit(_LINKS.download(_ARTIFACT))
    query = {name: value for name, (value,) in parse_qs(made.query).items()}
    link = {"method": "GET", "id": _ARTIFACT.artifact_id, **query}
    assert _LINKS.holds(link["method"], link["id"], link["expires"], link["signature"])
    old = link[part]
    link[part] = old[:position] + character + old[position + 1 :]
    held = _LINKS.holds(link["method"], link["id"], link["expires"], link["signature"])
    assert held == (link[part] == old)
