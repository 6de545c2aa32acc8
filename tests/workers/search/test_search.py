"""Answers of search_text: lines, positions, counts, context, encodings, and what was left out."""

from __future__ import annotations

import errno
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from offloop import testing
from offloop.errors import JobError, LimitExceeded
from offloop.jobs.search import MAX_LISTED, TextToSearch, search_text
from offloop.kinds import job_context
from offloop.kinds.limits import Limits
from offloop.testing.context import RecordingContext
from offloop_workers.search import engines, listing, pieces
from offloop_workers.search.search import search

LOG = """\
12:00:01 INFO  server started on port 8750
12:00:02 ERROR job 17 failed: disk full
12:00:03 INFO  job 18 done in 42 ms
12:00:04 ERROR job 19 failed: timeout
12:00:05 INFO  server stopped
"""


def lines(answer: object) -> list[int]:
    """Numbers of the listed lines."""
    return [line.line for line in answer.matches]  # type: ignore[attr-defined]  # TextFound


def test_a_match_has_its_place_its_text_and_its_groups(run: Any) -> None:
    found = run(r"ERROR job (?P<job>\d+) (\w+)(: x)?", text=LOG)
    [first, second] = found.matches
    assert (first.line, first.byte, first.text) == (2, 43, "12:00:02 ERROR job 17 failed: disk full")
    assert first.matches[0].model_dump() == {
        "pattern": 1,
        "line": 2,
        "column": 10,
        "end_line": 2,
        "end_column": 29,
        "text": "ERROR job 17 failed",
        "groups": {"job": "17", "2": "failed", "3": None},
    }
    assert second.matches[0].groups["job"] == "19"
    assert (found.lines_total, found.matches_total, found.truncated, found.bytes) == (2, 2, False, len(LOG))


def test_columns_count_characters_and_bytes_count_bytes(run: Any) -> None:
    [line] = run("ö.", text="é\nä😀 öx\n").matches
    assert (line.line, line.byte, line.matches[0].column, line.matches[0].end_column) == (2, 3, 4, 6)


def test_several_patterns_share_lines_and_are_counted_by_themselves(run: Any) -> None:
    found = run(["ERROR", r"job \d+", "nothing"], text=LOG)
    assert lines(found) == [2, 3, 4]
    assert [(match.pattern, match.text) for match in found.matches[0].matches] == [(1, "ERROR"), (2, "job 17")]
    assert [one.matches for one in found.patterns] == [2, 3, 0]
    assert (found.lines_total, found.matches_total) == (3, 5)


def test_context_is_before_and_after_also_across_pieces(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("ERROR", text=LOG, before=2, after=2).matches
    assert [line[9:13] for line in whole[0].before] == ["INFO"]
    assert [line[9:14] for line in whole[0].after] == ["INFO ", "ERROR"]
    assert (len(whole[1].before), len(whole[1].after)) == (2, 1)
    for block in (1, 7, 50, 90):
        monkeypatch.setattr(pieces, "BLOCK", block)
        assert run("ERROR", text=LOG, before=2, after=2).matches == whole
        assert run("ERROR", text=LOG, before=2, after=2, max_matches=1).matches == whole[:1]


def test_an_inverted_search_gives_the_other_lines(run: Any) -> None:
    found = run(["ERROR", "started"], text=LOG, invert=True)
    assert lines(found) == [3, 5]
    assert found.lines_total == 2
    assert all(line.matches == [] for line in found.matches)
    assert run("ERROR", text=LOG, invert=True, count_only=True).lines_total == 3


@pytest.mark.parametrize(
    ("pattern", "text", "options", "expected"),
    [
        ("a.c", "abc a.c", {"fixed": True}, ["a.c"]),
        ("(", "a(b", {"fixed": True}, ["("]),
        ("straße", "STRASSE Straße STRAẞE", {"ignore_case": True}, ["Straße", "STRAẞE"]),
        ("[ä-ü]", "AÄÖ", {"ignore_case": True}, ["Ä", "Ö"]),
        ("k", "kK\u212a", {"ignore_case": True}, ["k", "K", "\u212a"]),
        ("job", "job jobs a-job", {"word": True}, ["job", "job"]),
        (r"\w+", "Müller", {}, ["M", "ller"]),
        (r"\w+", "Müller", {"unicode": True}, ["Müller"]),
        (r"\bÖl", "das Öl", {"unicode": True}, ["Öl"]),
        (r"\d", "1٣", {}, ["1"]),
        (r"\d", "1٣", {"unicode": True}, ["1", "٣"]),
        ("(?i)a(?-i:b)", "AB Ab", {}, ["Ab"]),
        (r"(?x) a \  b # comment", "a b", {}, ["a b"]),
        (r"(a|b)\1", "ab bb", {}, ["bb"]),
        (r"(?<=\$)\d+", "$42 43", {}, ["42"]),
        ("a*", "baa", {}, ["", "aa", ""]),
    ],
)
def test_options_and_dialect(run: Any, pattern: str, text: str, options: dict[str, bool], expected: list[str]) -> None:
    found = run(pattern, text=text, **options)
    assert [match.text for line in found.matches for match in line.matches] == expected


def test_lines_end_with_a_line_feed_with_or_without_a_carriage_return(run: Any) -> None:
    found = run("[a-z]+$", text="one\r\ntwo\nthree\rfour\r\n")
    assert [(line.line, line.byte, line.text) for line in found.matches] == [
        (1, 0, "one"),
        (2, 5, "two"),
        (3, 9, "three\rfour"),
    ]
    assert run(r"one\s", text="one\r\ntwo").lines_total == 0


def test_matches_span_lines_with_multiline_only(run: Any) -> None:
    text = "begin\n  x\nend\nbegin\nend\n"
    assert run(r"begin\s+x", text=text).lines_total == 0
    found = run(r"begin(?P<body>.*?)end", text=text, multiline=True, dotall=True, after=1)
    assert [(line.line, line.text, line.after) for line in found.matches] == [
        (1, "begin\n  x\nend", ["begin"]),
        (4, "begin\nend", []),
    ]
    match = found.matches[0].matches[0]
    assert (match.line, match.column, match.end_line, match.end_column) == (1, 1, 3, 4)
    assert match.groups == {"body": "\n  x\n"}
    assert run(r"\Aend", text=text, multiline=True).lines_total == 0
    assert lines(run(r"^end$", text=text, multiline=True)) == [3, 5]
    assert lines(run(r"end\n\Z", text=text, multiline=True)) == [5]


@pytest.mark.parametrize("look", ["", "(?=)"])
@pytest.mark.parametrize(("text", "expected"), [("a\n", 0), ("ä\n\n", 1), ("", 0), ("\n", 1)])
def test_there_is_no_line_behind_the_last_line_end(run: Any, look: str, text: str, expected: int) -> None:
    for multiline in (False, True):
        found = run("^$" + look, text=text, multiline=multiline)
        assert (found.lines_total, found.matches_total, len(found.matches)) == (expected,) * 3


def test_a_long_line_is_cut_around_its_first_match(run: Any) -> None:
    [line] = run("needle", text="é" * 3000 + "needle" + "x" * 3000).matches
    assert line.cut
    assert len(line.text) == 500
    assert line.text[line.matches[0].column - line.text_column :].startswith("needle")
    assert line.matches[0].column == 3001


def test_a_line_beyond_the_limit_is_searched_in_parts_with_a_warning(
    run: Any, context: RecordingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MAX_LINE", 1000)
    monkeypatch.setattr(pieces, "BLOCK", 100)
    found = run("ö|tail", text="ä" * 1700 + "ö" + "\ntail\n")
    assert [(line.line, line.matches[0].column) for line in found.matches] == [(1, 1701), (2, 1)]
    assert "3 times a line had more than 16 MiB" in context.warnings[0]


def test_all_are_counted_and_some_are_listed(run: Any, context: RecordingContext) -> None:
    found = run("x", text="xx\n" * 5000, max_matches=3)
    assert (len(found.matches), found.lines_total, found.matches_total, found.truncated) == (3, 5000, 10_000, True)
    assert any("save=true" in warning for warning in context.warnings)
    found = run("x", text="xx\n" * 5000, max_matches=3, stop_early=True)
    assert (len(found.matches), found.lines_total, found.stopped) == (3, 3, True)
    found = run("x", text="xx\n" * 5000, max_matches=3, stop_early=True, count_only=True)
    assert (found.matches, found.lines_total, found.stopped) == ([], 3, True)
    found = run("x", text="xx\n" * 50, count_only=True)
    assert (found.matches, found.lines_total, found.matches_total, found.truncated) == ([], 50, 100, True)


def test_an_answer_stays_within_its_size_whatever_matches(run: Any) -> None:
    text = ("😀" * 240 + "\n") * 1000
    found = run("(.)" * 90, text=text, max_matches=MAX_LISTED, before=20, after=20)
    assert found.truncated
    assert found.lines_total == 1000
    assert len(found.model_dump_json().encode()) < 1 << 20
    assert len(found.matches) > 3
    found = run("(.)" * 90, text=text, max_matches=900, before=20, after=20, stop_early=True)
    assert (found.lines_total, found.stopped) == (900, True)
    assert 3 < len(found.matches) < 900


def test_a_saved_search_has_every_line(run: Any, context: RecordingContext) -> None:
    found = run("ERROR", text=LOG * 500, max_matches=1, save=True, after=1)
    [saved] = context.artifacts
    written = [json.loads(line) for line in saved.path.read_text().splitlines()]
    assert (saved.name, saved.mime_type) == ("matches.jsonl", "application/x-ndjson")
    assert len(written) == found.lines_total == 1000
    assert written[0] == found.matches[0].model_dump()
    assert all(len(line["after"]) == 1 for line in written)


@pytest.mark.parametrize("source", ["file", "folder"])
def test_a_full_disk_fails_a_saved_search_and_is_no_trouble_of_a_file(
    run: Any, context: RecordingContext, root: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job_context._CappedFile, "write", full)
    (root / "a").write_text(LOG * 5000)
    with pytest.raises(JobError, match="disk is full") as failed:
        run("ERROR", save=True, **{source: "root:in/a" if source == "file" else "root:in"})
    assert (failed.value.reason, failed.value.retryable) == ("no_space", True)
    assert context.artifacts == []


def test_a_folder_is_searched_file_by_file(run: Any, context: RecordingContext, root: Path) -> None:
    for name, content in {"b.log": b"ERROR\n", "a/c.log": b"x\nERROR\nERROR", "d.txt": b"ERROR", "e.log": b"x"}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    (root / "z.log").write_bytes(b"\x7fELF\0ERROR")
    (root / "link.log").symlink_to("b.log")
    found = run("ERROR", folder="root:in", include=["*.log"])
    assert [(line.file, line.line) for line in found.matches] == [("a/c.log", 2), ("a/c.log", 3), ("b.log", 1)]
    assert [(one.file, one.lines) for one in found.files] == [("a/c.log", 2), ("b.log", 1)]
    assert (found.files_matched, found.files_searched, found.skipped) == (2, 3, {"binary": 1, "links": 1})
    assert "1 binary files were left out" in context.warnings[0]
    assert run("ERROR", folder="root:in", include=["*.log"], binary="text").files_searched == 4
    assert context.reports[-1][0] == context.reports[-1][1]


def test_named_files_are_searched_and_unreadable_ones_listed(run: Any, root: Path) -> None:
    (root / "a").write_text("ERROR")
    found = run("ERROR", files={"one": "data:,ERROR", "two": "root:in/a", "three": "root:in/gone"})
    assert [line.file for line in found.matches] == ["one", "two"]
    assert [(one.path, one.reason.partition(":")[0]) for one in found.troubles] == [("three", "'root")]


def test_a_file_that_breaks_off_keeps_its_lines_and_takes_no_context_from_the_next(
    run: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> Iterator[pieces.Piece]:
        for piece in pieces.pieces(*arguments, **options):
            yield piece
            if piece.data.startswith(b"bad"):
                raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("offloop_workers.search.search.pieces", broken)
    (root / "a").write_text("bad\nERROR\n")
    (root / "b").write_text("good\nERROR\n")
    found = run("ERROR", folder="root:in", after=2)
    assert [(line.file, line.after) for line in found.matches] == [("a", []), ("b", [])]
    assert [(one.file, one.lines) for one in found.files] == [("a", 1), ("b", 1)]
    assert [one.path for one in found.troubles] == ["a"]
    assert found.files_searched == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "windows-1252"])
def test_encodings_are_detected_or_declared(run: Any, root: Path, encoding: str) -> None:
    text = "Grüße\r\nÄrger: 5 €\n" if encoding != "latin-1" else "Grüße\r\nÄrger: 5 E\n"
    content = text.encode(encoding)
    (root / "a").write_bytes(content)
    declared = {} if encoding in {"utf-8-sig", "utf-16"} else {"encoding": encoding}
    [line] = run("ärger: . [€E]", file="root:in/a", ignore_case=True, **declared).matches
    assert line.text == text.splitlines()[1]
    assert content[line.byte :].decode(encoding if "sig" not in encoding else "utf-8").startswith("Ärger")


def test_the_encoding_is_that_of_files_and_not_of_a_text(run: Any) -> None:
    [line] = run("ü", text="für", encoding="latin-1").matches
    assert line.text == "für"


def test_bytes_that_do_not_decode_are_replaced_and_reported(run: Any, root: Path, context: RecordingContext) -> None:
    (root / "a").write_bytes(b"caf\xe9\nb\xffr ERROR\nERROR\n")
    found = run("ERROR", file="root:in/a")
    assert [(line.byte, line.text) for line in found.matches] == [(5, "b\ufffdr ERROR"), (15, "ERROR")]
    assert "2 byte sequences did not decode" in context.warnings[0]


def test_a_binary_file_is_refused_unless_it_is_asked_for(run: Any, root: Path) -> None:
    (root / "a").write_bytes(b"a\0ERROR\n")
    with pytest.raises(JobError, match="send binary=text") as failed:
        run("ERROR", file="root:in/a")
    assert failed.value.reason == "binary_file"
    assert run("ERROR", file="root:in/a", binary="text").lines_total == 1


def test_a_file_too_large_for_multiline_is_refused_or_listed(
    run: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MAX_WHOLE", 100)
    (root / "a").write_bytes(b"x" * 101)
    with pytest.raises(LimitExceeded, match="without multiline"):
        run("x", file="root:in/a", multiline=True)
    assert "32 MiB" in run("x", folder="root:in", multiline=True).troubles[0].reason


@pytest.mark.parametrize("multiline", [False, True])
def test_a_pattern_that_matches_everything_is_warned_of(
    run: Any, context: RecordingContext, *, multiline: bool
) -> None:
    run(["x*", "^$", "a"], text="a", multiline=multiline)
    assert context.warnings == [
        "Pattern 1 matches every line, since it may match nothing at all: write x+ instead of x*."
    ]


@pytest.mark.parametrize(
    ("patterns", "options", "warned"),
    [
        (["a\nb"], {"fixed": True}, [1]),
        (["a", r"a\nb", "(x(\n)+)", r"a[\n]"], {}, [2, 3, 4]),
        ([r"a|\n", r"a\n?", r"[\n ]", "(?x) a\n"], {}, []),
        ([r"a\nb"], {"multiline": True}, []),
    ],
)
def test_a_line_end_in_a_pattern_for_single_lines_is_warned_of(
    run: Any, context: RecordingContext, patterns: list[str], options: dict[str, bool], warned: list[int]
) -> None:
    run(patterns, text="a\nb", **options)
    assert [int(one.split()[1]) for one in context.warnings if "send multiline=true" in one] == warned


def test_ascii_classes_beside_other_letters_are_warned_of(run: Any, context: RecordingContext) -> None:
    run(r"\bÖl\b", text="Öl")
    assert "send unicode=true" in context.warnings[0]


def test_a_catastrophic_pattern_ends_with_its_name_and_the_remedy(tmp_path: Path) -> None:
    context = testing.context(tmp_path, limits=Limits(seconds=0.4))
    arguments = {"patterns": ["fine", r"(a+)+\1?$"], "text": "b\n" + "a" * 60 + "!\n"}
    stopped = r"^Pattern 2, .* was stopped (after 0\.2 s of CPU time|shortly before .*), within lines 1 to 2\. "
    with pytest.raises(LimitExceeded, match=stopped) as failed:
        search(TextToSearch.model_validate(arguments), context)
    assert "because of a backreference. Without that, RE2 runs it in linear time" in failed.value.message


def test_a_stopped_search_of_a_folder_names_the_file_and_the_reason(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "re2", None)
    (root / "slow.log").write_text("a" * 60 + "!\n")
    context = testing.context(tmp_path, limits=Limits(seconds=0.4), roots={"in": root})
    with pytest.raises(LimitExceeded, match=r"within lines 1 to 1 of slow\.log\. It runs in Python's re") as failed:
        search(TextToSearch.model_validate({"patterns": ["(a+)+$"], "folder": "root:in"}), context)
    assert "because google-re2 is not installed on this worker. Repeat only what" in failed.value.message


def test_groups_of_many_matches_between_other_letters_take_linear_time(tmp_path: Path) -> None:
    context = testing.context(tmp_path, limits=Limits(seconds=20))
    arguments = {"patterns": [r"(\w+)=(\w+)"], "unicode": True, "save": True}
    arguments["text"] = "2026-11-30 12:00:01 größe=12 für job=17 ok\n" * 22_000
    found = search(TextToSearch.model_validate(arguments), context)
    assert found.matches_total == 44_000
    last = json.loads(context.artifacts[0].path.read_bytes().splitlines()[-1])
    assert [match["groups"] for match in last["matches"]] == [{"1": "größe", "2": "12"}, {"1": "job", "2": "17"}]


def test_groups_in_a_look_behind_and_a_look_ahead_are_found(run: Any) -> None:
    found = run([r"(?<=(ä)(ö))ü(?=(é))", r"(ß)(?=(x))"], text="äöüéßx\näöüé")
    assert [[match.groups for match in line.matches] for line in found.matches] == [
        [{"1": "ä", "2": "ö", "3": "é"}, {"1": "ß", "2": "x"}],
        [{"1": "ä", "2": "ö", "3": "é"}],
    ]


def test_the_same_pattern_without_the_backreference_is_linear(run: Any) -> None:
    found = run("(a+)+$", text="a" * 500_000 + "!")
    assert (found.patterns[0].engine, found.patterns[0].reason, found.lines_total) == ("re2", None, 0)


def test_a_search_works_in_a_thread_too(run: Any) -> None:
    """There is no limit of CPU time then, since only the main thread has signals."""
    found = []
    thread = threading.Thread(target=lambda: found.append(run(r"(.)\1", text="hello")))
    thread.start()
    thread.join()
    assert found[0].lines_total == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of text, file, files"),
        ({"text": "a", "file": "data:,a"}, "exactly one of text, file, files"),
        ({"text": "a", "dotall": True}, "send multiline too"),
        ({"text": "a", "invert": True, "multiline": True}, "leave one of them out"),
        ({"text": "a\ud800"}, "unicode"),
        ({"text": "a", "patterns": ["\ud800"]}, "unicode"),
        ({"text": "a", "max_matches": 0}, "greater than or equal to 1"),
        ({"text": "a", "before": 21}, "less than or equal to 20"),
        ({"text": "x" * 1_000_001}, "at most 1000000"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        TextToSearch.model_validate({"patterns": ["a"], **arguments})


def test_the_kind_is_strict_and_forked() -> None:
    assert (search_text.sandbox, search_text.isolation, search_text.family) == ("strict", "fork", "search")
    assert listing.MAX_BYTES < 1 << 20
