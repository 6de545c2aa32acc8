"""Progress of a rendering: its steps and their messages, in a real child and with a clock of the test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.pdf import Page, render_pdf
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop.queue.record import Progress as Reported
from offloop_workers.children.pool import Children
from offloop_workers.pdf.rendering import render as module
from offloop_workers.pdf.rendering.layout import progress
from offloop_workers.pdf.rendering.layout.progress import Progress
from support.tasks import task_of

TEXT = "Words that fill a line or two of the page. " * 12
CONTENTS = "<style>a::after { content: target-counter(attr(href), page) }</style>"
ORDER = (
    "reading the document",
    "applying the styles",
    "building the boxes",
    "laying out page",
    "headers and footers",
    "drawing page",
    "embedding",
    "done",
)

Run = Callable[..., Any]


class Clock:
    """A clock that goes on by a fixed time whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Reported]]:
    """Render with a clock that goes on by so many seconds at each step, without a timer; answers the reports."""

    def run(
        html: str, step: float, limits: Limits | None = None, space: Callable[[], int] = lambda: 0
    ) -> list[Reported]:
        reports: list[Reported] = []
        context = JobContext(
            job_id="x",
            folder=tmp_path / "job",
            limits=limits,
            report=lambda message: reports.append(Reported(**message["progress"])),
        )
        monkeypatch.setattr("offloop.kinds.job_context.SECONDS_BETWEEN_REPORTS", 0)
        monkeypatch.setattr("offloop_workers.pdf.rendering.layout.ticks.threading.main_thread", lambda: None)
        clock = Clock(step)
        monkeypatch.setattr(module, "Progress", lambda context: Progress(context, clock, space))
        module.render(Page.model_validate({"html": html}), context)
        return reports

    return run


def check_order(reports: list[Reported]) -> None:
    """Done grows, the total is known at the end and then stays, and the steps follow each other."""
    done = [report.done for report in reports]
    assert done == sorted(set(done))
    totals = [report.total for report in reports if report.total is not None]
    assert len(set(totals)) <= 1
    assert all(report.done <= totals[0] for report in reports if totals)
    steps = [
        next(number for number, begin in enumerate(ORDER) if report.message.startswith(begin)) for report in reports
    ]
    assert steps == sorted(steps)


def test_each_step_is_reported_in_order(rendered: Callable[..., list[Reported]]) -> None:
    reports = rendered(f"<p>{TEXT}" * 30, step=1.0)
    check_order(reports)
    messages = [report.message for report in reports]
    assert messages[:4] == ["reading the document", "applying the styles", "building the boxes", "laying out page 1"]
    pages = int(re.fullmatch(r"drawing page 1 of (\d+)", next(m for m in messages if m.startswith("drawing")))[1])  # type: ignore[index]  # a message of another form fails the test
    assert pages > 2
    assert messages[-2:] == ["embedding fonts and pictures", "done"]
    assert reports[-1].done == reports[-1].total == pytest.approx(1.25 * pages)


def test_what_is_left_is_reported_as_an_estimate(rendered: Callable[..., list[Reported]]) -> None:
    reports = rendered(f"<p>{TEXT}" * 120, step=0.4)
    estimates = [report.message for report in reports if "estimated" in report.message]
    found = [
        re.search(r"pages/s; about ([\d,]+) pages, ([\d,]+) s left \(estimated\)", message) for message in estimates
    ]
    assert len(found) >= 3
    pages = next(int(report.message.rpartition(" ")[2]) for report in reports if report.message.startswith("drawing"))
    for match in found:
        assert match
        assert int(match[1]) == pytest.approx(pages, rel=0.25, abs=2)


def test_pages_that_are_laid_out_again_are_reported(rendered: Callable[..., list[Reported]]) -> None:
    html = CONTENTS + "<p><a href='#end'>End</a>" + f"<p>{TEXT}" * 20 + "<h2 id=end>End</h2>"
    reports = rendered(html, step=1.0)
    check_order(reports)
    again = [report for report in reports if "again, as its page numbers changed" in report.message]
    assert again
    assert all(report.total is None for report in again)


def test_a_short_rendering_reports_nothing(rendered: Callable[..., list[Reported]]) -> None:
    assert rendered(f"<p>{TEXT}" * 30, step=0.0001) == []


def test_measuring_the_boxes_is_for_long_layouts(
    rendered: Callable[..., list[Reported]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(_root: object) -> None:
        pytest.fail("the boxes were measured")

    monkeypatch.setattr(progress, "Extent", measured)
    rendered(f"<p>{TEXT}" * 30, step=0.005)


def test_a_document_that_cannot_fit_is_ended_early(rendered: Callable[..., list[Reported]]) -> None:
    html = f"<p>{TEXT}" * 120
    taken = iter(range(0, 1 << 40, 16 << 20))
    with pytest.raises(LimitExceeded, match=r"was ended early, since the document does not fit memory_mb, 64 MiB"):
        rendered(html, 0.4, Limits(memory_mb=64), lambda: next(taken))


async def in_child(
    children: Children, folder: Path, page: dict[str, Any], **limits: Any
) -> tuple[dict[str, Any], list[Reported]]:
    """The result of a rendering in a child, and its progress."""
    kind = replace(render_pdf, limits=replace(render_pdf.limits, **limits))
    reports: list[Reported] = []
    async with asyncio.timeout(110):
        done = await children.run(task_of(kind, page, folder / "work"), reports.append)
    return done, reports


@pytest.mark.anyio
async def test_progress_moves_in_a_child(pdf_children: Children, tmp_path: Path) -> None:
    """A table of thirty pages takes two seconds or more."""
    row = "<tr>" + "<td>a cell" * 6
    done, reports = await in_child(pdf_children, tmp_path, {"html": f"<table>{row * 800}</table>"})
    check_order(reports)
    assert len(reports) >= 3
    assert any(report.message.startswith("laying out page") for report in reports)
    assert (reports[-1].message, reports[-1].done) == ("done", reports[-1].total)
    assert done["output"]["pages"] > 15


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_document_that_cannot_fit_is_ended_early_in_a_child(pdf_children: Children, tmp_path: Path) -> None:
    """Three thousand pages of text, which take half a minute and 700 MiB."""
    page = {"template": "{% for _ in range(20000) %}<p>{{ text }}{% endfor %}", "data": {"text": TEXT}}
    with pytest.raises(JobError, match="was ended early, since the document does not fit memory_mb, 300 MiB") as ended:
        await in_child(pdf_children, tmp_path, page, memory_mb=300)
    assert ended.value.reason == "limit_exceeded"
    assert "(estimated)" in ended.value.message


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_document_that_just_fits_is_not_ended_early_in_a_child(pdf_children: Children, tmp_path: Path) -> None:
    """As the memory shrinks, it is rendered, until it runs out of it or is ended early; that depends on the load."""
    ended = [await _ending(pdf_children, tmp_path / f"{size}", "a line<br>" * 3500, size) for size in (256, 90, 50, 30)]
    rendered = [ending == "rendered" for ending in ended]
    assert rendered[0]
    assert not rendered[-1]
    assert rendered == sorted(rendered, reverse=True)


async def _ending(children: Children, folder: Path, html: str, memory_mb: int) -> str:
    try:
        await in_child(children, folder, {"html": html}, memory_mb=memory_mb)
    except JobError as error:
        return "ended early" if "ended early" in error.message else "out of memory"
    return "rendered"
