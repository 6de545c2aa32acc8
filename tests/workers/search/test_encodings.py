"""Encodings of searched files: declared, seen, or told."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from offloop.errors import JobError
from offloop.jobs.search import TextToSearch
from offloop.testing.context import RecordingContext
from offloop_workers.search import pieces

TEXTS = {
    "windows-1252": "Größe\r\nKöln: 5 €\r\n",
    "iso-8859-2": "první\nKöln: žluťoučký\n",
    "windows-1251": "первая строка\nКёльн: улица\n",  # noqa: RUF001 -- Cyrillic
    "koi8-r": "первая строка\nгород: улица\n",  # noqa: RUF001 -- Cyrillic
    "shift_jis": "一行目の文字列です\nソート表示: ー\n",
    "euc-jp": "一行目の文字列です\nソート表示: ー\n",
    "iso-2022-jp": "一行目の文字列です\nソート表示: ー\n",
    "gb18030": "第一行\n北京市: 五€\n",
    "big5": "第一行\n功能表: 許蓋\n",
    "euc-kr": "첫 번째 줄\n서울특별시: 똠\n",
    "utf-16le": "Größe\r\nKöln: 😀\r\n",
    "utf-16be": "Größe\r\nKöln: 😀\r\n",
    "utf-32-le": "Größe\r\nKöln: 😀\r\n",
    "utf-32-be": "Größe\r\nKöln: 😀\r\n",
    "cp437": "Größe\nKöln: ½\n",
    "macintosh": "Größe\nKöln: √\n",
}
CODECS = {"gb18030": "gb18030", "big5": "big5hkscs", "euc-kr": "cp949", "macintosh": "mac-roman"}
MARKS = {
    "utf-16le": codecs.BOM_UTF16_LE,
    "utf-16be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def encoded(name: str) -> bytes:
    """The text in that encoding."""
    return TEXTS[name].encode(CODECS.get(name, name))


@pytest.mark.parametrize("multiline", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_a_line_is_found_in_its_encoding(
    run: Any, root: Path, context: RecordingContext, name: str, *, multiline: bool
) -> None:
    content = encoded(name)
    (root / "a").write_bytes(content)
    second = TEXTS[name].splitlines()[1]
    [line] = run(second, file="root:in/a", fixed=True, encoding=name, multiline=multiline).matches
    assert (line.text, line.line, context.warnings) == (second, 2, [])
    assert content[line.byte :].decode(CODECS.get(name, name)).splitlines()[0] == second


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("marked", [True, False])
def test_wide_characters_are_seen_with_and_without_a_mark(
    run: Any, root: Path, context: RecordingContext, name: str, *, marked: bool
) -> None:
    (root / "a").write_bytes((MARKS[name] if marked else b"") + encoded(name))
    [line] = run("Köln: .", folder="root:in").matches
    assert (line.text, line.line) == ("Köln: 😀", 2)
    assert any("were read as" in one and "'a'" in one for one in context.warnings) is not marked


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("line", ["Съешь ещё булок", "日本語の文章です。表示", "नमस्ते दुनिया", "مرحبا بالعالم"])
def test_wide_characters_of_every_script_are_seen_without_a_mark(run: Any, root: Path, codec: str, line: str) -> None:
    (root / "a").write_bytes(f"{line}\n{line} 2\n".encode(codec))
    [found] = run(f"{line} 2", folder="root:in", fixed=True).matches
    assert (found.text, found.line) == (f"{line} 2", 2)


@pytest.mark.parametrize("name", ["windows-1252", "windows-1251", "shift_jis", "euc-jp", "gb18030", "euc-kr"])
def test_an_encoding_that_is_not_utf_8_is_told_with_the_likely_one(
    run: Any, root: Path, context: RecordingContext, name: str
) -> None:
    (root / "plain").write_text("ASCII\n")
    (root / "z").write_bytes(encoded(name) * 20)
    found = run(TEXTS[name].splitlines()[1], folder="root:in", fixed=True)
    assert found.lines_total == 0
    [warning] = context.warnings
    assert "did not decode (in 1 files, first in 'z')" in warning
    likely = warning.partition("look like ")[2].partition(":")[0]
    assert run(TEXTS[name].splitlines()[1], folder="root:in", fixed=True, encoding=likely).lines_total == 20


def test_utf_8_with_a_malformed_sequence_is_not_told_to_be_in_another_encoding(
    run: Any, root: Path, context: RecordingContext
) -> None:
    (root / "a").write_bytes("naïve: 5 €\n".encode() * 9 + b"\xff\n")
    assert run("naïve", folder="root:in").lines_total == 9
    [warning] = context.warnings
    assert "1 byte sequences did not decode" in warning
    assert "look like" not in warning


def test_a_mark_against_the_encoding_is_told(run: Any, root: Path, context: RecordingContext) -> None:
    (root / "a").write_bytes(codecs.BOM_UTF8 + "ü".encode())
    run("x", file="root:in/a", encoding="windows-1252")
    assert context.warnings == ["1 files have a byte order mark of utf-8, and were read as windows-1252 as asked."]


@pytest.mark.parametrize("encoding", ["nonsense", "cp037", "utf-7", "iso-2022-kr", "", "idna", "zip", "x" * 41])
def test_an_encoding_that_cannot_be_searched_is_refused(encoding: str) -> None:
    with pytest.raises(ValidationError):
        TextToSearch.model_validate({"patterns": ["x"], "text": "x", "encoding": encoding})


@pytest.mark.parametrize("content", [b"\x7fELF\0\1ERROR", b"a\0ERROR\n", b"\1\0\2\0\3\0" * 50, b"a\0\1\0b\0" * 50])
def test_data_with_zeros_is_not_taken_for_text(run: Any, root: Path, content: bytes) -> None:
    (root / "a").write_bytes(content)
    with pytest.raises(JobError, match="NUL bytes"):
        run("x", file="root:in/a")


def test_a_text_of_wide_characters_that_is_cut_is_not_taken_for_another_charset(
    run: Any, root: Path, context: RecordingContext
) -> None:
    (root / "a").write_bytes("\ufeffx \u00e9\n".encode("utf-16-le") + b"q")
    run("x", file="root:in/a")
    assert len(context.warnings) == 1
    assert "1 byte sequences did not decode" in context.warnings[0]
    assert "look like" not in context.warnings[0]


def test_old_line_ends_are_told(run: Any, root: Path, context: RecordingContext) -> None:
    (root / "a").write_bytes(b"one\rERROR\rthree\r")
    run("ERROR", file="root:in/a")
    assert context.warnings == ["1 files have carriage returns and no line feeds, so each is one line."]


def test_links_and_special_files_are_told_with_the_first(run: Any, root: Path, context: RecordingContext) -> None:
    (root / "a").write_text("x")
    (root / "link").symlink_to("a")
    (root / "link2").symlink_to("a")
    os.mkfifo(root / "pipe")
    run("x", folder="root:in")
    assert len(context.warnings) == 2
    assert any(one.startswith("2 files are links, which are left out") and "'link" in one for one in context.warnings)


def test_a_file_that_changes_while_it_is_searched_is_told(
    run: Any, root: Path, context: RecordingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def growing(*arguments: Any, **options: Any) -> Iterator[pieces.Piece]:
        yield from pieces.pieces(*arguments, **options)
        with (root / "a").open("a") as file:
            file.write("more")

    monkeypatch.setattr("offloop_workers.search.search.pieces", growing)
    (root / "a").write_bytes(b"x\n" * pieces.BLOCK)
    run("y", folder="root:in")
    assert context.warnings[0].startswith("1 files changed while they were searched")


def test_groups_beyond_the_listed_ones_are_told(run: Any, context: RecordingContext) -> None:
    run("(x)?" * 25 + "y", text="y")
    assert "Pattern 1 has 25 groups: the first 20 are listed." in context.warnings
