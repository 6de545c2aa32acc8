"""Patterns and texts of a search: both engines find the same, and what Python's own module finds line by line."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from offloop.errors import JobError
from offloop.jobs.search import Encoding
from offloop_workers.search import engines, pieces
from offloop_workers.search.dialect import Pattern, parse
from offloop_workers.search.engines import Program
from offloop_workers.search.lines import matching, number, others
from offloop_workers.search.pieces import Piece
from offloop_workers.search.writer import NotInRe2Error, Reading
from support.fuzzing import check_refusal

Found = list[tuple[tuple[int, int], list[tuple[int, int]]]]

_LETTERS = "abAB0_ -\t\x0b\x85éÉßẞsS\u017fkK\u212aiIİ\u0131\u03c3ςΣµμ\u00a0漢😀٣"
_characters = st.sampled_from(_LETTERS)
_sets = st.builds(
    lambda negated, parts: f"[{negated}{''.join(parts)}]",
    st.sampled_from(["", "^"]),
    st.lists(
        st.one_of(
            _characters.map(re.escape),
            st.sampled_from(
                [r"\d", r"\w", r"\s", r"\S", r"\W", r"\D", r"\n", "a-f", "A-Z", "é-ÿ", "0-9", r"\x00-\x7f"]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
_atoms = st.one_of(
    _characters.map(re.escape),
    _sets,
    st.sampled_from(
        [".", r"\d", r"\w", r"\s", r"\S", r"\W", r"\D", r"\b", r"\B", "^", "$", r"\A", r"\Z", r"\n", "(?!)"]
    ),
)
_repeats = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{,2}", "{2,}", "{1,3}?", "{0}"])
_groups = st.sampled_from(["(", "(?:", "(?i:", "(?s:", "(?P<name>", "(?-i:"])
_beyond = st.sampled_from(["(?=", "(?!", "(?<=", "(?<!", "(?>"])


def _extended(inner: st.SearchStrategy[str], openings: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds(lambda opening, part: f"{opening}{part})", openings, inner),
        st.builds(lambda part, repeat: f"(?:{part}){repeat}", inner, _repeats),
        st.builds(lambda part, repeat: f"({part}){repeat}", inner, _repeats),
    )


linear = st.recursive(_atoms, lambda inner: _extended(inner, _groups), max_leaves=8)
backtracking = st.recursive(_atoms, lambda inner: _extended(inner, st.one_of(_groups, _beyond)), max_leaves=8)
texts = st.text(st.sampled_from([*_LETTERS, "\n"]), max_size=30)
readings = st.builds(Reading, ignore_case=st.booleans(), word=st.booleans(), multiline=st.booleans())


def _parsed(source: str, reading: Reading) -> Pattern:
    try:
        return parse(1, source, reading)
    except JobError as error:
        check_refusal(error)
        assume(False)  # noqa: FBT003 -- the only argument
        raise


def _in_re(pattern: Pattern) -> Program:
    try:
        return engines._Re(pattern, re.compile(pattern.written(re2=False)), NotInRe2Error("the test", part=False))
    except re.error:  # a look-behind of several widths
        assume(False)  # noqa: FBT003 -- the only argument
        raise


def _all(program: Program, text: str) -> Found:
    piece = Piece(text.encode(), 0, "utf-8", 1)
    return [((begin, end), program.groups(piece, begin)) for begin, end in program.spans(piece)]


@given(linear, readings, texts)
@example("(|a)*", Reading(), "aa")
@example("|a", Reading(), "aé")
@example(r"\s", Reading(), "\x0b")
@example("(?i)k", Reading(), "\u212a")
@example(r"a\B", Reading(), "aé")
@example("a$", Reading(), "a\n")
@example(r"a\Z", Reading(multiline=True), "a\n")
@example(r"[^a]", Reading(), "\n")
def test_both_engines_find_the_same_matches_and_groups(source: str, reading: Reading, text: str) -> None:
    pattern = _parsed(source, reading)
    try:
        program = engines._Re2(pattern, pattern.written(re2=True), engines.MAX_MEMORY)
    except NotInRe2Error:
        assume(False)  # noqa: FBT003 -- the only argument
        raise
    assert _all(program, text) == _all(_in_re(pattern), text)


def _line_by_line(source: str, text: str) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """The matches of Python's module in each line by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = re.compile(source, re.ASCII)
    offset = 0
    for line in text.split("\n"):
        position = 0
        while position <= len(line) and (match := program.search(line, position)):
            spans = [
                span
                if span[0] < 0
                else (offset + len(line[: span[0]].encode()), offset + len(line[: span[1]].encode()))
                for span in match.regs
            ]
            yield spans[0], spans[1:]
            position = max(match.end(), match.start() + 1)
        offset += len(line.encode()) + 1


@given(backtracking, texts)
def test_a_search_finds_what_python_finds_line_by_line(source: str, text: str) -> None:
    assume("(?i" not in source)  # re.ASCII would make that about ASCII
    pattern = _parsed(source, Reading())
    try:
        program = engines.compiled(pattern)
    except JobError as error:
        check_refusal(error)
        return
    expected = list(_line_by_line(source, text))
    if r"\B" in source:  # in an empty text it matches since Python 3.14 only
        assume("" not in text.split("\n"))
    assert _all(program, text) == expected


@given(st.text(max_size=40), readings, texts)
def test_any_text_is_a_pattern_or_refused_in_words(source: str, reading: Reading, text: str) -> None:
    pattern = _parsed(source, reading)
    try:
        program = engines.compiled(pattern)
    except JobError as error:
        check_refusal(error)
        return
    list(program.spans(Piece(text.encode(), 0, "utf-8", 1)))


@given(
    st.binary(max_size=60) | st.text(st.sampled_from("ab\r\néß😀\0"), max_size=40).map(str.encode),
    st.sampled_from(["auto", "utf-8", "utf-16-le", "utf-16-be", "latin-1", "windows-1252"]),
    st.integers(1, 9),
    st.integers(2, 12),
)
def test_pieces_hold_every_line_once_whatever_the_bytes(
    content: bytes, encoding: Encoding, block: int, longest: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "BLOCK", block)
        split = list(pieces.pieces(io.BytesIO(content), encoding, lambda _count: None, binary=True))
        patch.setattr(pieces, "MAX_LINE", longest * 2)
        parts = list(pieces.pieces(io.BytesIO(content), encoding, lambda _count: None, binary=True))
    whole = next(pieces.whole(io.BytesIO(content), encoding, lambda _count: None, binary=True)).data
    lines = [line for piece in split for line in piece.data.split(b"\n")]
    expected = whole.removesuffix(b"\n").split(b"\n") if whole else []
    assert lines == expected
    assert [piece.first_line for piece in split] == [
        1 + sum(one.lines for one in split[:index]) for index in range(len(split))
    ]
    joined = b"".join(piece.data + (b"" if piece.continued else b"\n") for piece in parts)
    unread = b"\xef\xbf\xbd"  # an edge may part bytes that decode to one of these
    assert joined.replace(unread, b"") == b"".join(line + b"\n" for line in expected).replace(unread, b"")


@given(st.lists(st.sampled_from(["a", "b+", "^", "$", "a.", "x*", "^$"]), min_size=1, max_size=3), texts)
def test_lines_with_and_without_matches_are_all_lines(sources: list[str], text: str) -> None:
    programs = [engines.compiled(parse(index, source, Reading())) for index, source in enumerate(sources, 1)]
    piece = Piece(text.encode(), 0, "utf-8", 7)
    counts, again = [0] * len(sources), [0] * len(sources)
    hits = list(matching(piece, programs, counts))
    rest = list(others(piece, iter(hits)))
    assert sorted(hit.line for hit in (*hits, *rest)) == list(range(7, 7 + piece.lines))
    lines = piece.data.split(b"\n")
    assert all(piece.data[hit.begin : hit.end] == lines[hit.line - 7] for hit in (*hits, *rest))
    assert number(piece, programs, again) == len(hits)
    assert counts == again
    assert [sum(hit.total for hit in hits)] == [sum(counts)]
