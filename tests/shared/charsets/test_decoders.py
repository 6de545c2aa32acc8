"""Decoders against encoding_rs, Firefox's implementation of the Encoding Standard: each label, and every sequence."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest
from webencodings.labels import LABELS

from offloop.charsets.decoders import PIECE, Decoder, decode
from offloop.charsets.labels import charset_named

NAMES = sorted(set(LABELS.values()))
UNREADABLE = "\ufffd"
DIFFERENT = {("euc-jp", b"\x8f\xa2\xb7"), ("big5", b"\xa2\x41"), ("big5", b"\xa2\x42")}
"""The three sequences that are known to differ, as the docstring of the decoders says."""


def reference(data: bytes, charset: str) -> str:
    endec = pytest.importorskip("endec", reason="endec has no wheel for this Python: the reference of this test")
    return str(endec.decode(data, charset, "replace", bom="ignore"))


def pairs() -> Iterator[bytes]:
    for lead in range(0x81, 0x100):
        for trail in (*range(0x30, 0x80), *range(0x80, 0x100)):
            yield bytes([lead, trail])


def sequences(charset: str) -> Iterator[bytes]:
    """Every sequence that can be a character, beside those of one byte."""
    yield from (bytes([byte]) for byte in range(0x100))
    if charset in ("big5", "euc-jp", "euc-kr", "gb18030", "gbk", "shift_jis"):
        yield from pairs()
    if charset == "euc-jp":
        yield from (b"\x8f" + bytes([row, cell]) for row in range(0xA1, 0xFF) for cell in range(0xA1, 0xFF))
    if charset == "gb18030":
        for pointer in (*range(39_420), *range(189_000, 189_000 + 0x10_0000, 997)):
            rest, fourth = divmod(pointer, 10)
            rest, third = divmod(rest, 126)
            first, second = divmod(rest, 10)
            yield bytes([first + 0x81, second + 0x30, third + 0x81, fourth + 0x30])
    if charset == "iso-2022-jp":
        for escape in (b"\x1b$B", b"\x1b$@", b"\x1b(J", b"\x1b(I"):
            yield from (
                escape + bytes([row, cell]) + b"\x1b(B" for row in range(0x21, 0x7F) for cell in range(0x21, 0x7F)
            )


def test_every_label_of_the_standard_names_the_charset_that_browsers_read() -> None:
    """The digest is that of the table in the standard: 228 labels of 40 charsets."""
    text = "Zürich €5 “x” Ł ж 日本 \x80\xa4"
    for label, name in LABELS.items():
        assert charset_named(label) == name
        assert charset_named(f" {label.upper()}\n") == name
        data = text.encode("utf-8") + bytes(range(0x80, 0x100))
        if name not in ("replacement", "utf-8", "gbk", "gb18030", "big5", "euc-kr", "euc-jp", "shift_jis"):
            assert decode(data, name)[0] == reference(data, label), label
    assert (len(LABELS), len(NAMES)) == (228, 40)


@pytest.mark.parametrize("charset", [name for name in NAMES if not name.startswith(("utf-", "replacement"))])
def test_every_sequence_decodes_as_the_standard_says(charset: str) -> None:
    """Malformed sequences must be malformed in both; how many U+FFFD each becomes may differ."""
    wrong = []
    for sequence in sequences(charset):
        expected, found = reference(sequence, charset), decode(sequence, charset)[0]
        both = UNREADABLE in expected and UNREADABLE in found
        if found != expected and not both and (charset, sequence) not in DIFFERENT:
            wrong.append((sequence.hex(), ascii(found), ascii(expected)))
    assert not wrong[:10]


@pytest.mark.parametrize("charset", ["utf-8", "utf-16le", "utf-16be"])
def test_unicode_decodes_as_the_standard_says(charset: str) -> None:
    for text in ("häß 日本 😀", "\ufeffmark inside\ufeff", "a\0b"):
        data = text.encode(charset.replace("utf-16", "utf-16-"))
        assert decode(data, charset) == (reference(data, charset), 0)


def test_a_charset_that_no_browser_reads_becomes_one_replacement_character() -> None:
    for label in ("iso-2022-kr", "hz-gb-2312", "iso-2022-cn"):
        assert decode(b"~{VPND~} and more", charset_named(label) or "") == (UNREADABLE, 1)


@pytest.mark.parametrize(
    ("label", "charset"),
    [
        ("latin-1", "windows-1252"), ("win-1251", "windows-1251"), ("CP-1250", "windows-1250"), ("cp932", "shift_jis"),
        ("utf8mb4", "utf-8"), ("cp850", "cp850"), ("UTF-32", "utf-32-le"), ("utf_16_le", "utf-16le"),
        ("utf8mb3", "utf-8"), ("x-windows-949", "euc-kr"), ("eucJP-ms", "euc-jp"), ("gb-18030", "gb18030"),
        ("x-mac-ce", "mac-latin2"),
        ("nonsense", None), ("unicode_escape", None), ("idna", None), ("zip", None), ("", None), ("x" * 99, None),
    ],
)  # fmt: skip
def test_labels_beside_the_standard_are_known_where_they_can_mean_one_charset_only(
    label: str, charset: str | None
) -> None:
    assert charset_named(label) == charset


TEXT = "表示 ①髙﨑 ｱｲｳ and ASCII\r\n" * 3


@pytest.mark.parametrize("charset", NAMES)
def test_pieces_of_any_size_give_the_same_text(charset: str) -> None:
    data = bytes(range(0x20, 0x100)) * 2
    if charset == "iso-2022-jp":
        data = TEXT.encode("iso2022_jp_ext", "ignore") + b"\x1b$B-!\x1b(B\x1b(J\\~\x1b(I1\x1b(B\x1b"
    whole = Decoder(charset).feed(data, final=True)
    for size in (1, 2, 3, 5, 64):
        decoder = Decoder(charset)
        cut = [decoder.feed(data[start : start + size]) for start in range(0, len(data), size)]
        assert "".join(cut) + decoder.feed(b"", final=True) == whole, size


def test_sequences_that_do_not_decode_are_counted_and_written_ones_are_not() -> None:
    assert decode(b"caf\xe9 \xff", "utf-8")[1] == 2
    assert decode("a \ufffd b".encode(), "utf-8")[1] == 0
    assert decode("a \ufffd b".encode("utf-16-le") + b"\x00\xd8", "utf-16le")[1] == 1
    for before in range(PIECE - 3, PIECE + 1):  # also on the border of two pieces
        for codec, charset in (("utf-8", "utf-8"), ("utf-16-le", "utf-16le"), ("gb18030", "gb18030")):
            assert decode("x".encode(codec) * before + "\ufffd".encode(codec), charset)[1] == 0
    assert decode("\ufd3f\xff".encode("utf-16-le"), "utf-16le") == ("\ufd3f\xff", 0), "FD FF between two characters"


@pytest.mark.parametrize("charset", ["big5", "euc-jp", "gb18030", "iso-2022-jp", "shift_jis", "utf-8", "windows-1252"])
def test_hostile_bytes_cost_time_in_proportion_to_their_number(charset: str) -> None:
    """Ten times the bytes take no more than thirty times as long: four times each, the quickest counts."""
    for unit in (b"\x81", b"\xff\xfe", b"\x87\x7a", b"\x1b$B", b"\x1b(I1", b"\xad\xa1", hashlib.sha256(b"x").digest()):

        def seconds(times: int, unit: bytes = unit) -> float:
            began = time.process_time()
            decode(unit * times, charset)
            return time.process_time() - began

        assert min(seconds(20_000) for _ in range(4)) < 30 * min(seconds(2_000) for _ in range(4)) + 0.01
