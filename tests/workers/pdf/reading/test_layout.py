"""Text in lines and columns as the page is seen, in every rotation, box, unit and writing direction."""

from __future__ import annotations

import itertools
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array

from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.reading.text import read
from offloop_workers.pdf.reading.visible import view
from support.files import pdfs, small_pdfs

TABLE = small_pdfs.words(
    (30, 250, "Item"), (130, 250, "Qty"), (230, 250, "Sum"),
    (30, 225, "Green tea"), (130, 225, "2"), (230, 225, "5.00"),
    (30, 200, "Cake"), (130, 200, "10"), (230, 200, "40.00"),
)  # fmt: skip
ROWS = [["Item", "Qty", "Sum"], ["Green tea", "2", "5.00"], ["Cake", "10", "40.00"]]
BOXES = {"none": None, "half": [0, 0, 400, 300], "moved": [-50, -20, 350, 480], "larger": [-900, -900, 900, 900]}


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Extracts the text of a file given as bytes."""
    return pdfs.runner(read, context, tmp_path)


def _cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.split("\n")]


def _turned(rotation: int, box: list[int] | None, unit: float) -> bytes:
    """The table, upright on the page as it is seen."""

    def change(pdf: pikepdf.Pdf) -> None:
        page = pdf.pages[0]
        page.obj.Rotate = rotation
        page.obj.UserUnit = unit
        if box:
            page.obj.CropBox = Array(box)
        matrix = pikepdf.Matrix(unit, 0, 0, unit, 0, 0) @ view(page).matrix
        page.obj.Contents = pdf.make_stream(b"q " + matrix.encode() + b" cm " + TABLE + b" Q")

    return pdfs.saved(change, small_pdfs.page(b""))


def test_rows_and_columns_are_those_that_are_seen(run: pdfs.Run, context: JobContext) -> None:
    upright = run(_turned(0, None, 1), layout=True).texts[0].text
    assert _cells(upright) == ROWS
    for rotation, (name, box), unit in itertools.product((0, 90, 180, 270), BOXES.items(), (1, 2.5)):
        text = run(_turned(rotation, box, unit), layout=True).texts[0].text
        assert _cells(text) == ROWS, (rotation, name, unit)
        assert [line.index("Q") for line in text.split("\n")[:1]] == [upright.index("Q")], (rotation, name, unit)
    assert context.warnings == []


@pytest.mark.parametrize("turned", ["0 1 -1 0 320 30", "-1 0 0 -1 380 400", "0 -1 1 0 40 380"])
def test_a_page_that_is_read_sideways_is_read_in_its_own_direction(run: pdfs.Run, turned: str) -> None:
    """A landscape table on an upright page, without /Rotate."""
    source = small_pdfs.page(b"q %s cm " % turned.encode() + TABLE + b" Q")
    assert _cells(run(source, layout=True).texts[0].text) == ROWS


def test_a_note_in_another_direction_follows_the_page(run: pdfs.Run) -> None:
    source = small_pdfs.page(TABLE + b" q 0 1 -1 0 380 300 cm BT /F1 9 Tf (in the margin) Tj ET Q")
    text = run(source, layout=True).texts[0].text
    assert _cells(text) == [*ROWS, [], ["in the margin"]]


def test_raised_and_lowered_characters_stay_in_their_line(run: pdfs.Run) -> None:
    source = small_pdfs.page(
        b"BT /F1 12 Tf 50 500 Td (E = mc) Tj 5 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf ( and more) Tj ET"
    )
    assert run(source, layout=True).texts[0].text == "E = mc2 and more"


def test_text_outside_of_the_visible_page_is_told(run: pdfs.Run, context: JobContext) -> None:
    content = small_pdfs.words((50, 500, "seen"), (50, 100, "cropped"), (50, -200, "off the paper"))
    source = small_pdfs.page(content, CropBox=Array([0, 300, 400, 600]))
    assert run(source, layout=True).texts[0].text == "seen"
    assert context.warnings == ["Page 1: text outside of the visible page is left out."]
    context.warnings.clear()
    assert run(source).texts[0].text.split("\n") == ["seen", "cropped", "off the paper"]
    assert context.warnings == ["Page 1: text outside of the visible page is included."]


def test_columns_of_text_from_right_to_left_begin_at_the_right(run: pdfs.Run) -> None:
    """Hebrew is drawn from its last letter on, as programs do that place each character themselves."""
    letters = "אבגד "
    content = (
        b"BT /F2 12 Tf 200 500 Td %s Tj ET " % small_pdfs.codes(letters, "דגבא")
        + b"BT /F2 12 Tf 200 480 Td %s Tj ET " % small_pdfs.codes(letters, "בא גד")
        + small_pdfs.words((120, 500, "12.50"), (120, 480, "7"))
    )
    text = run(small_pdfs.page(content, {"F2": small_pdfs.mapped(letters)}), layout=True).texts[0].text
    assert _cells(text) == [["אבגד", "12.50"], ["דג אב", "7"]]


@pytest.mark.parametrize("layout", [False, True])
def test_vertical_writing_is_read_by_columns_from_the_right(run: pdfs.Run, *, layout: bool) -> None:
    letters = "abcdefgh"
    content = b"BT /F2 12 Tf 300 500 Td %s Tj -24 0 Td %s Tj ET" % (
        small_pdfs.codes(letters, "abcd"),
        small_pdfs.codes(letters, "efgh"),
    )
    source = small_pdfs.page(content, {"F2": small_pdfs.mapped(letters, vertical=True)})
    assert run(source, layout=layout).texts[0].text == "abcd\nefgh"


def test_a_page_of_too_many_characters_is_told_and_read_in_the_files_order(run: pdfs.Run, context: JobContext) -> None:
    lines = small_pdfs.words(*((10, 20 * row, f"{row} {'x' * 200}") for row in range(260)))
    source = small_pdfs.page(b"0.1 0 0 0.1 0 0 cm " + lines)
    assert len(run(source, layout=True, max_characters=200_000).texts[0].text) > 50_000
    assert any("more than 50,000 characters" in line for line in context.warnings)


def test_a_watermark_aslant_follows_the_text(run: pdfs.Run) -> None:
    for degrees in (30, 45, 60, -45, 135):
        matrix = pikepdf.Matrix().translated(200, 250).rotated(degrees).encode()
        mark = b"\nBT /F1 24 Tf " + matrix + b" Tm (DO NOT COPY) Tj ET\n"
        text = run(small_pdfs.page(mark + TABLE), layout=True).texts[0].text
        assert _cells(text) == [*ROWS, [], ["DO NOT COPY"]], degrees


def test_an_initial_is_in_one_of_the_lines_beside_it(run: pdfs.Run) -> None:
    content = small_pdfs.words((90, 530, "once there was"), (90, 516, "a king who had"), (90, 502, "no crown at all"))
    for y in (500, 505, 510):
        initial = b"\nBT /F1 48 Tf 50 %d Td (A) Tj ET\n" % y
        lines = run(small_pdfs.page(initial + content), layout=True).texts[0].text.split("\n")
        assert sorted(line.removeprefix("A ").strip() for line in lines) == [
            "a king who had", "no crown at all", "once there was"
        ]  # fmt: skip


def test_spaced_letters_are_words(run: pdfs.Run) -> None:
    for spacing in (1, 3, 6):
        content = b"BT /F1 12 Tf %d Tc 30 250 Td (SPACED OUT) Tj ET" % spacing
        assert run(small_pdfs.page(content), layout=True).texts[0].text.split() == ["SPACED", "OUT"]


def test_characters_beyond_the_basic_plane_are_read(run: pdfs.Run) -> None:
    fonts = {"F2": small_pdfs.mapped("a😀𠀋b")}
    source = small_pdfs.page(b"BT /F2 12 Tf 50 500 Td <0001000200030004> Tj ET", fonts)
    for options in ({}, {"layout": True}):
        assert run(source, **options).texts[0].text == "a😀𠀋b"
