"""Text extraction."""

from __future__ import annotations

from pathlib import Path

import pikepdf
import pytest

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading import ranges
from offloop_workers.pdf.reading.text import read
from support.files import pdfs

A = pdfs.written("Alpha")
TABLE = """<table style='width:100%'><tr><td>Apples</td><td>12</td><td>3.40</td></tr>
<tr><td>Pears and plums</td><td>7</td><td>19.00</td></tr></table>"""


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Extracts the text of a file given as bytes."""
    return pdfs.runner(read, context, tmp_path)


def test_every_page_has_its_text(run: pdfs.Run, context: JobContext) -> None:
    result = run(A)
    assert [(one.page, one.text.split("\n")[0]) for one in result.texts] == [
        (number, f"Alpha page {number}") for number in (1, 2, 3)
    ]
    assert (result.pages, result.next_page) == (3, None)
    assert result.characters == sum(len(one.text) for one in result.texts)
    assert context.warnings == []


def test_characters_of_every_script_are_read(run: pdfs.Run) -> None:
    text = run(pdfs.written("Zażółć gęślą 12 € “ﬁne” naïve", 1)).texts[0].text
    assert "Zażółć gęślą 12 €" in text


def test_reading_resumes_at_the_next_page(run: pdfs.Run) -> None:
    source, found, start = pdfs.written("Long " * 12, 6), [], "1-"
    for _ in range(10):
        result = run(source, pages=start, max_characters=200)
        found += [one.page for one in result.texts]
        if result.next_page is None:
            break
        start = f"{result.next_page}-"
    assert found == [1, 2, 3, 4, 5, 6]


def test_a_page_longer_than_the_cap_is_cut_with_a_warning(run: pdfs.Run, context: JobContext) -> None:
    result = run(pdfs.written("Long", 2, extra="word " * 200), pages="2,1", max_characters=100)
    assert [(one.page, len(one.text)) for one in result.texts] == [(2, 100)]
    assert result.next_page == 1
    assert any("the rest was left out" in line for line in context.warnings)


def test_only_pages_with_the_searched_text_are_returned(run: pdfs.Run) -> None:
    assert [one.page for one in run(A, search="alpha  PAGE 2").texts] == [2]
    assert run(A, search="gamma").texts == []


def test_a_page_without_text_is_warned_of(run: pdfs.Run, context: JobContext) -> None:
    def blank(pdf: pikepdf.Pdf) -> None:
        for index in (0, 2):
            pdf.pages[index].obj.Contents = pdf.make_stream(b"0 0 10 10 re f")

    assert [one.text == "" for one in run(pdfs.saved(blank, A)).texts] == [True, False, True]
    assert any("No text on pages 1, 3: empty, or a drawing" in line for line in context.warnings)


def test_layout_keeps_columns_apart(run: pdfs.Run) -> None:
    text = run(pdfs.written("Table", 1, extra=TABLE), layout=True).texts[0].text
    rows = [line for line in text.split("\n") if "Apples" in line or "plums" in line]
    assert len(rows) == 2
    assert abs(rows[0].index("12") - rows[1].index("7")) <= 2
    assert abs(rows[0].index("3.40") - rows[1].index("19.00")) <= 2


def test_an_encrypted_file_needs_its_password(run: pdfs.Run) -> None:
    assert run(pdfs.locked(A), password="secret").pages == 3  # noqa: S106 -- a password of this test
    with pytest.raises(JobError, match="The password does not open"):
        run(pdfs.locked(A), password="wrong")  # noqa: S106 -- a password of this test


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-3,7,-1", [0, 1, 2, 6, 9]),
        (" ODD ", [0, 2, 4, 6, 8]),
        ("even,1", [1, 3, 5, 7, 9, 0]),
        ("9-", [8, 9]),
        ("-2--1", [8, 9]),
        ("3-1", [2, 1, 0]),
        ("all", list(range(10))),
    ],
)
def test_page_ranges_are_parsed(context: JobContext, text: str, numbers: list[int]) -> None:
    assert ranges.pages(text, 10, context) == numbers


def test_many_page_numbers_are_summarised() -> None:
    assert ranges.summary([1, 2, 3, 7]) == "1-3, 7"
    assert ranges.summary(list(range(1, 100, 2))).endswith("19 and more")
