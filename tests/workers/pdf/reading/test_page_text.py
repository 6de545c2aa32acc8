"""What a page has besides plain text: forms, notes, invisible text, unknown characters, layers, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read
from support.files import pdfs, small_pdfs

PLAIN = small_pdfs.words((50, 500, "page"))


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Extracts the text of a file given as bytes."""
    return pdfs.runner(read, context, tmp_path)


def _note(pdf: pikepdf.Pdf, **entries: Any) -> pikepdf.Object:
    return pdf.make_indirect(Dictionary(Type=Name.Annot, Rect=[50, 300, 150, 320], F=4, **entries))


def _drawn(pdf: pikepdf.Pdf, text: str) -> Dictionary:
    form = pdf.make_stream(small_pdfs.words((2, 2, text)))
    form.Type, form.Subtype, form.BBox = Name.XObject, Name.Form, Array([0, 0, 100, 20])
    form.Resources = Dictionary(Font=Dictionary(F1=small_pdfs.HELVETICA))
    return Dictionary(N=form)


def test_the_values_of_a_form_are_part_of_the_text(run: pdfs.Run, context: JobContext) -> None:
    source = pdfs.written("Form", 1, extra="<input name='who' value='Ann Example'>", pdf_forms=True)
    assert "Ann Example" in run(source).texts[0].text
    assert "Ann Example" in run(source, layout=True).texts[0].text
    assert [one.page for one in run(source, search="ann example").texts] == [1]
    assert context.warnings == []


def test_text_boxes_are_read_and_comments_told(run: pdfs.Run, context: JobContext) -> None:
    def notes(pdf: pikepdf.Pdf) -> Array:
        box = _note(pdf, Subtype=Name.FreeText, Contents=String("boxed"), AP=_drawn(pdf, "boxed"))
        return Array([box, _note(pdf, Subtype=Name.Text, Contents=String("a comment"))])

    assert run(small_pdfs.page(PLAIN, Annots=notes)).texts[0].text.split("\n") == ["page", "boxed"]
    assert context.warnings == ["Page 1: comments are not part of the text."]


def test_many_annotations_are_left_out_with_a_warning(run: pdfs.Run, context: JobContext) -> None:
    def notes(pdf: pikepdf.Pdf) -> Array:
        return Array([_note(pdf, Subtype=Name.FreeText, AP=_drawn(pdf, "boxed"))] * 1_001)

    assert run(small_pdfs.page(PLAIN, Annots=notes)).texts[0].text == "page"
    assert any("more than 1,000 annotations" in line for line in context.warnings)


def test_invisible_text_is_read_and_told(run: pdfs.Run, context: JobContext) -> None:
    assert run(small_pdfs.page(b"3 Tr " + PLAIN)).texts[0].text == "page"
    assert len(context.warnings) == 1
    assert "Page 1: text that is not drawn is included" in context.warnings[0]


def test_a_font_that_does_not_say_its_characters_is_told(run: pdfs.Run, context: JobContext) -> None:
    source = small_pdfs.page(b"BT /F2 12 Tf 50 500 Td <00240025> Tj ET", {"F2": small_pdfs.without_unicode})
    run(source)
    assert any("Page 1: 2 of 2 characters are guessed or left out" in line for line in context.warnings)
    context.warnings.clear()
    run(small_pdfs.page(b"BT /F2 12 Tf 50 500 Td <00010002> Tj ET", {"F2": small_pdfs.mapped("ab")}))
    assert context.warnings == []


def test_pages_without_text_are_told_apart(run: pdfs.Run, context: JobContext) -> None:
    def scan(pdf: pikepdf.Pdf) -> Dictionary:
        picture = pdf.make_stream(b"\xff", Type=Name.XObject, Subtype=Name.Image, Width=1, Height=1)
        picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 8
        return Dictionary(XObject=Dictionary(I1=picture))

    run(small_pdfs.page(b"q 300 0 0 300 50 50 cm /I1 Do Q", Resources=scan))
    run(small_pdfs.page(b""))
    run(small_pdfs.page(b"BT /F1 12 Tf 50 500 Td (   ) Tj ET"))
    assert [line.split(":")[0].split(",")[0] for line in context.warnings] == ["No text on page 1"] * 3
    for line, words in zip(context.warnings, ("a scan", "empty, or a drawing", "they are blanks"), strict=True):
        assert words in line


def test_layers_that_are_switched_off_are_told(run: pdfs.Run, context: JobContext, tmp_path: Path) -> None:
    def resources(pdf: pikepdf.Pdf) -> Dictionary:
        on, off = (pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("Plan", "Pipes"))
        pdf.Root.OCProperties = Dictionary(OCGs=Array([on, off]), D=Dictionary(OFF=Array([off])))
        fonts = Dictionary(F1=small_pdfs.HELVETICA)
        return Dictionary(Font=fonts, Properties=Dictionary(M0=on, M1=off))

    content = b"/OC /M0 BDC " + PLAIN + b" EMC /OC /M1 BDC " + small_pdfs.words((50, 400, "hidden")) + b" EMC"
    source = small_pdfs.page(content, Resources=resources)
    assert run(source).texts[0].text.split("\n") == ["page", "hidden"]
    pdfs.runner(preview, context, tmp_path)(source)
    pdfs.runner(describe, context, tmp_path)(source)
    assert context.warnings == [
        "Layers that are switched off are part of the text: 'Pipes'.",
        "Layers that are switched off are not drawn: 'Pipes'.",
        "Layers that are switched off: 'Pipes'.",
    ]


def test_many_links_leave_nothing_out_and_hide_no_remark(run: pdfs.Run, context: JobContext) -> None:
    def notes(pdf: pikepdf.Pdf) -> Array:
        links = [_note(pdf, Subtype=Name.Link) for _ in range(1_001)]
        return Array([*links, _note(pdf, Subtype=Name.Redact)])

    run(small_pdfs.page(PLAIN, Annots=lambda pdf: notes(pdf)[:1_001]))
    assert context.warnings == []
    run(small_pdfs.page(PLAIN, Annots=notes))
    [warning] = [line for line in context.warnings if "more than 1,000" not in line]
    assert "marked for redaction" in warning


def test_areas_that_are_only_marked_for_redaction_are_told(run: pdfs.Run, context: JobContext) -> None:
    assert (
        run(small_pdfs.page(PLAIN, Annots=lambda pdf: Array([_note(pdf, Subtype=Name.Redact)]))).texts[0].text == "page"
    )
    assert [line.partition(",")[0] for line in context.warnings] == ["Page 1: areas are marked for redaction"]


def test_annotations_that_are_not_drawn_are_told(run: pdfs.Run, context: JobContext, tmp_path: Path) -> None:
    def notes(pdf: pikepdf.Pdf) -> Array:
        line = _note(pdf, Subtype=Name.Line, L=[0, 0, 9, 9])
        return Array([_note(pdf, Subtype=Name.FreeText, Contents=String("boxed")), line])

    source = small_pdfs.page(PLAIN, Annots=notes)
    assert run(source).texts[0].text == "page"
    pdfs.runner(preview, context, tmp_path)(source)
    assert context.warnings == [
        "Page 1: comments are not part of the text.",
        "Annotations without an appearance of their own are not drawn: FreeText, Line.",
    ]


def test_a_portfolio_is_told(run: pdfs.Run, context: JobContext, tmp_path: Path) -> None:
    def collect(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Collection = Dictionary(View=Name.T)

    source = pdfs.saved(collect, small_pdfs.page(PLAIN))
    run(source)
    pdfs.runner(preview, context, tmp_path)(source)
    assert [line.split(":")[0] for line in context.warnings] == ["The PDF is a portfolio"] * 2


def test_characters_without_a_meaning_are_counted(run: pdfs.Run, context: JobContext) -> None:
    font = {"F2": small_pdfs.mapped("a\ue041\ufffd")}
    run(small_pdfs.page(b"BT /F2 12 Tf 50 500 Td <000100020003> Tj ET", font))
    assert [line[:24] for line in context.warnings] == ["Page 1: 2 characters are"]
