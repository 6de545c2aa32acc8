"""Windows of texts: whole characters in every charset, whatever the offset and the length."""

from __future__ import annotations

import random

import pytest

from offloop.charsets.decoders import decode, unit
from offloop.charsets.windows import BEHIND, line_ends, reach, window

TEXTS = {
    "utf-8": "a😀é日\n" * 20,
    "utf-16le": "a😀é日\r\n" * 20,
    "utf-16be": "a😀é日\u0a0a\n" * 20,
    "utf-32-le": "a😀é日\n" * 20,
    "utf-32-be": "a😀é日\n" * 20,
    "shift_jis": "表示ｱｲ ソ ABC①\n" * 20,
    "euc-jp": "表示ｱ ABC日本\n" * 20,
    "iso-2022-jp": "表示 ABC 日本\n" * 20,
    "gb18030": "中文ABC😀 é\n" * 20,
    "gbk": "中文ABC\n" * 20,
    "big5": "中文許功蓋ABC\n" * 20,
    "euc-kr": "한국어 똠방 ABC\n" * 20,
    "windows-1251": "Съешь ещё\n" * 20,
    "cp850": "grün é\n" * 20,
}
CODECS = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "shift_jis": "cp932", "euc-kr": "cp949"}


def window_at(data: bytes, charset: str, start: int, length: int) -> tuple[str, int, int]:
    """The text, its first byte and its bytes."""
    before, end = reach(charset, start), start + length
    found = window(charset, data[start - before : start], data[start:end], data[end : end + BEHIND])
    return found.text, start - found.earlier, found.length


@pytest.mark.parametrize("charset", TEXTS)
def test_windows_of_any_size_that_follow_each_other_are_the_text(charset: str) -> None:
    text = TEXTS[charset]
    data = text.encode(CODECS.get(charset, charset))
    assert decode(data, charset) == (text, 0)
    for length in (1, 2, 3, 4, 5, 7, 8, 13, 21, 64, 1000):
        read, offset = [], 0
        while offset < len(data):
            part, begin, used = window_at(data, charset, offset, length)
            assert begin == offset, "each window ends with a character"
            assert used > 0
            read.append(part)
            offset += used
        assert "".join(read) == text, length


@pytest.mark.parametrize("charset", TEXTS)
def test_a_window_at_any_offset_begins_with_the_character_there(charset: str) -> None:
    text = TEXTS[charset]
    data = text.encode(CODECS.get(charset, charset))
    draw = random.Random(1)  # noqa: S311 -- no secret
    for _ in range(300):
        start = draw.randrange(len(data))
        part, begin, used = window_at(data, charset, start, draw.randrange(1, 40))
        assert 0 <= start - begin < 4
        if charset != "iso-2022-jp":  # its bytes mean nothing without the escape sequence before them
            assert decode(data[begin : begin + used], charset) == (part, 0)
        assert part in text


@pytest.mark.parametrize("charset", TEXTS)
def test_line_ends_are_found_in_whole_units(charset: str) -> None:
    text = TEXTS[charset]
    data = text.encode(CODECS.get(charset, charset))
    ends = line_ends(data, charset)
    assert len(ends) == text.count("\n") == 20
    assert all(end % unit(charset) == 0 for end in ends)
    assert decode(data[: ends[4]], charset)[0].endswith("\n")


def test_what_is_broken_is_passed_by() -> None:
    for charset in TEXTS:
        data = bytes(range(0x80, 0x100)) * 3
        offset = 0
        while offset < len(data):
            _, begin, used = window_at(data, charset, offset, 1)
            assert begin + used > offset
            offset = begin + used
