"""Page ranges, against a definition that counts pages one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.limits import Limits
from offloop.testing.context import RecordingContext, context
from offloop_workers.pdf.reading.ranges import pages, summary
from support.fuzzing import check_refusal

MOST = 50


@pytest.fixture(scope="module")
def limited() -> RecordingContext:
    """A context of a kind that handles 50 pages."""
    with tempfile.TemporaryDirectory() as folder:
        return context(Path(folder), limits=Limits(pages=MOST))


_page = st.integers(-12, 12)
_part = st.one_of(
    st.sampled_from(["all", "odd", "even"]),
    _page.map(str),
    st.tuples(_page, _page).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    _page.map(lambda first: f"{first}-"),
)


def _numbers(part: str, count: int) -> list[int] | None:
    """Numbers of the pages of one part, from 1; None where one does not exist."""
    every = list(range(1, count + 1))
    if part in ("all", "odd", "even"):
        return [number for number in every if part == "all" or (number % 2 == 1) == (part == "odd")]
    first, dash, last = part[0] + part[1:].partition("-")[0], "-" in part[1:], part[1:].partition("-")[2]
    ends = [int(first), int(last) if last else count if dash else int(first)]
    ends = [number if number > 0 else count + 1 + number for number in ends]
    if any(number not in every for number in ends) or int(first) == 0 or last == "0":
        return None
    return list(range(ends[0], ends[1] + 1)) if ends[0] <= ends[1] else list(range(ends[0], ends[1] - 1, -1))


@given(st.lists(_part, min_size=1, max_size=4), st.integers(1, 12))
def test_ranges_name_the_pages_of_their_definition(limited: RecordingContext, parts: list[str], count: int) -> None:
    expected = [_numbers(part, count) for part in parts]
    try:
        found = pages(" , ".join(parts).upper(), count, limited)
    except LimitExceeded:
        assert sum(map(len, filter(None, expected))) > MOST or None in expected
    except JobError:
        assert None in expected
    else:
        assert [index + 1 for index in found] == [number for part in expected for number in part or ()]
        assert None not in expected


@given(
    st.one_of(
        st.text(max_size=40), st.lists(st.sampled_from(["1", "-", ",", "all", "٣", "²", "9" * 13, " "])).map("".join)
    )
)
@example("1-" * 5000)
@example(",".join(["all"] * 5000))
@example("9" * 5000)
def test_any_text_is_a_range_of_pages_or_is_refused(limited: RecordingContext, text: str) -> None:
    try:
        found = pages(text, 10, limited)
    except JobError as error:
        check_refusal(error, most=500)
        return
    assert len(found) <= MOST
    assert all(0 <= index < 10 for index in found)


@given(st.lists(st.integers(1, 40), unique=True, max_size=30).map(sorted))
def test_a_summary_names_runs_that_are_read_back(limited: RecordingContext, numbers: list[int]) -> None:
    text = summary(numbers)
    if numbers and not text.endswith(" and more"):
        assert [index + 1 for index in pages(text, 40, limited)] == numbers
    assert len(text) < 100
