"""Foreign text: any bytes, with any type and any label, become text in bounded work, whole and in windows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st
from webencodings.labels import LABELS

from offloop.charsets.decoders import Decoder, decode
from offloop.charsets.labels import charset_named
from offloop.charsets.media import reads_as_text
from offloop.charsets.text import charset_of, decoded, excerpt
from offloop.charsets.windows import BEHIND, reach, window
from offloop.urls import cleaned, shown

_pieces = st.sampled_from(
    [b"<meta charset=", b"<meta ", b"http-equiv=content-type content='text/html; charset=", b"utf-16", b"koi8-r",
     b"'", b'"', b">", b"<!--", b"-->", b"<?xml version='1.0' encoding='", b"?>", b'@charset "', b'";',
     b"\x1b$B", b"\x1b(B", b"\x1b(I", b"\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\x81",
     b"\x8f\xa2\xb7", b"\x95\x5c", b"\xe9", b"<", b"a\0", b"\0a", "日本".encode(), "日本".encode("cp932"),
     "Привет".encode("cp1251"), b"plain text\n",
     "\ufffd".encode(), "\ufffd".encode("gb18030"), "\ufffd".encode("utf-16-le")]
)  # fmt: skip
bodies = st.one_of(st.binary(max_size=120), st.lists(_pieces, max_size=20).map(b"".join))
labels = st.one_of(st.sampled_from(sorted(LABELS)), st.text(max_size=50), st.sampled_from(["cp850", "utf-32", "zlib"]))
types = st.sampled_from(["", "text/html", "text/xml", "text/css", "application/json", "text/plain", "a/b", "image/png"])
charsets = st.sampled_from(sorted({*LABELS.values(), "utf-32-le", "utf-32-be", "cp037", "johab"}))


@given(bodies, types, labels)
@example(b"<meta", "text/html", "")
@example(b"\xff\xfe\0\0", "text/plain", "")
def test_any_bytes_become_text_in_a_named_charset(body: bytes, mime_type: str, label: str) -> None:
    found = decoded(body, mime_type, label)
    found.text.encode()
    assert charset_named(found.charset.name) in (found.charset.name, None) or found.charset.name == "replacement"
    assert replace(found.charset, likely="") == replace(charset_of(body, mime_type, label, whole=True), likely="")
    assert found.replaced >= 0
    assert all(len(note) < 400 for note in found.notes)
    excerpt(body, mime_type, label).encode()
    assert isinstance(reads_as_text(mime_type, body), bool)


@given(bodies, charsets, st.integers(1, 30))
@example(b"\x1b$@t-!!", "iso-2022-jp", 1)
@example("\ufffd".encode(), "utf-8", 1)
@example("\ufffd".encode("gb18030"), "gb18030", 1)
@example("\ufd3f\xff".encode("utf-16-le"), "utf-16le", 4)
def test_a_text_is_the_same_whole_and_in_pieces(body: bytes, charset: str, size: int) -> None:
    decoder = Decoder(charset)
    parts = [decoder.feed(body[start : start + size]) for start in range(0, len(body), size)]
    assert ("".join(parts) + decoder.feed(b"", final=True), decoder.replaced) == decode(body, charset)
    assert decoder.replaced >= 0


@given(bodies, charsets, st.integers(1, 30))
def test_windows_of_any_bytes_come_to_the_end(body: bytes, charset: str, size: int) -> None:
    offset = 0
    while offset < len(body):
        before, end = reach(charset, offset), offset + size
        found = window(charset, body[offset - before : offset], body[offset:end], body[end : end + BEHIND])
        found.text.encode()
        after = offset - found.earlier + found.length
        assert offset < after <= min(len(body), end + BEHIND)
        offset = after


@given(st.text(max_size=60))
@example("//u:p@[::1")
def test_any_text_can_be_cleaned_and_shown_as_a_url(text: str) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)
    assert len(shown("https://example.org/" + text)) <= 102
