"""Forecasts: no document that fits is ended, and one that cannot fit is ended early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offloop.errors import LimitExceeded
from offloop.kinds.limits import Limits
from offloop_workers.pdf.rendering.layout import forecast as module
from offloop_workers.pdf.rendering.layout.forecast import MIN_PAGES, Forecast, Point

MIB = 1 << 20
PAGE = 50_000.0
"""Extent of a full page of text."""

Costs = list[tuple[float, float]]
"""Of each page: microseconds, and bytes, for each unit of its extent."""


def lay_out(costs: Costs, seconds: float, memory_mb: int, before: tuple[float, float] = (0, 0)) -> Point | str:
    """Lay pages of equal extent out; answers the end, or the message of an early one."""
    forecast = Forecast("render_pdf", Limits(seconds=seconds, memory_mb=memory_mb), PAGE * len(costs))
    spent, taken = before
    try:
        for number, (microseconds, size) in enumerate(costs):
            forecast.add(Point(number, PAGE * number, spent, int(taken)))
            spent += microseconds * PAGE / 1e6
            taken += size * PAGE
    except LimitExceeded as error:
        return error.message
    return Point(len(costs), PAGE * len(costs), spent, int(taken))


def used(costs: Costs) -> tuple[float, float]:
    """Seconds and MiB of all pages."""
    return sum(cost for cost, _ in costs) * PAGE / 1e6, sum(size for _, size in costs) * PAGE / MIB


pages = st.tuples(st.floats(1.0, 60.0), st.floats(14.0, 900.0))
"""The range that was measured of content of every sort, and ten times its upper end."""


@given(
    st.lists(pages, min_size=10, max_size=300),
    st.floats(0.3, 3.0),
    st.floats(0.3, 3.0),
)
def test_a_document_that_fits_is_never_ended(costs: Costs, time_share: float, memory_share: float) -> None:
    seconds, mebibytes = used(costs)
    limits = max(1.0, seconds * time_share), max(64, round(mebibytes * memory_share))
    if isinstance(lay_out(costs, *limits), str):
        assert seconds > limits[0] or mebibytes > limits[1]


@given(
    st.floats(0.1, 1.0),
    st.lists(st.tuples(st.floats(1.0, 3.0), st.floats(14.0, 42.0)), min_size=10, max_size=300),
    st.floats(0.3, 3.0),
)
def test_nor_is_one_on_a_machine_that_is_ten_times_as_fast(speed: float, costs: Costs, share: float) -> None:
    """There the rest may take less than the constants say, but not less than a third of what the pages so far took."""
    costs = [(microseconds * speed, size) for microseconds, size in costs]
    seconds, _ = used(costs)
    limit = max(1.0, seconds * share)
    if isinstance(lay_out(costs, limit, 1 << 20), str):
        assert seconds > limit


@given(st.integers(10, 400), st.floats(1.2, 10.0), st.floats(14.0, 120.0))
def test_a_document_of_three_times_the_limit_ends_in_the_first_third_of_the_rest(
    count: int, microseconds: float, size: float
) -> None:
    costs = [(microseconds, size)] * max(count, 40)
    seconds, mebibytes = used(costs)
    if seconds / 3 >= 1:
        assert isinstance(lay_out(costs[: len(costs)], seconds / 3, 1 << 20), str)
    if mebibytes / 3 >= 64:
        assert isinstance(lay_out(costs, 1e6, round(mebibytes / 3)), str)


def test_the_end_comes_long_before_the_limit() -> None:
    found = lay_out([(1.7, 26.0)] * 4000, 60, 1 << 20)  # text: 0.085 s a page
    assert isinstance(found, str)
    assert "render_pdf was ended early" in found
    assert "does not fit seconds, 60 seconds" in found
    assert "2% of its content, took 6 seconds" in found
    assert "about 340 seconds (estimated)" in found
    assert "Split it" in found


def test_the_boxes_alone_can_be_too_much() -> None:
    found = lay_out([(1.7, 26.0)] * 4000, 60, 256, before=(4, 200 * MIB))
    assert isinstance(found, str)
    assert "does not fit memory_mb, 256 MiB: its styles and boxes alone took 200 MiB" in found
    assert "at least" in found


def test_memory_is_looked_at_in_the_first_half_of_the_content() -> None:
    """Later, garbage in the memory that is taken could be mistaken for need."""
    forecast = Forecast("render_pdf", Limits(memory_mb=100), 100 * PAGE)
    forecast.add(Point(51, 51 * PAGE, 1, 99 * MIB))
    forecast.add(Point(61, 61 * PAGE, 1, 99 * MIB))
    forecast = Forecast("render_pdf", Limits(memory_mb=100), 100 * PAGE)
    with pytest.raises(LimitExceeded):
        forecast.add(Point(49, 49 * PAGE, 1, 99 * MIB))


def test_nothing_is_ended_before_a_tenth_of_a_limit_is_used() -> None:
    forecast = Forecast("render_pdf", Limits(seconds=100, memory_mb=1000), 1e12)
    forecast.add(Point(0, 0, 9.9, 0))
    with pytest.raises(LimitExceeded):
        forecast.add(Point(0, 0, 10.1, 0))


def test_what_is_left_is_known_after_some_pages_and_without_the_first() -> None:
    forecast = Forecast("render_pdf", Limits(), 100 * PAGE)
    forecast.add(Point(0, 0, 1, 0))
    forecast.add(Point(1, PAGE, 11, 0))  # ten seconds for measuring the columns of a table
    forecast.add(Point(MIN_PAGES, MIN_PAGES * PAGE, 18, 0))
    early = forecast.rest
    assert early is None
    forecast.add(Point(11, 11 * PAGE, 21, 0))
    assert (rest := forecast.rest)
    assert rest.pace == pytest.approx(1)
    assert rest.pages == 100
    assert rest.seconds == pytest.approx(89 + 30)


def test_the_constants_are_below_what_content_was_measured_to_take() -> None:
    """Decision note 9: 1.1 to 18 microseconds, and 14 to 430 bytes, for each unit of the extent."""
    assert module._LEAST_SECONDS <= 1.1e-6 / 3
    assert module._LEAST_BYTES <= 14 / 1.5
