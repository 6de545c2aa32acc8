"""Damaged files: every tool says what was repaired and lost, or refuses; a whole file is told nothing."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Dictionary, Name
from pikepdf.settings import set_qpdf_limits

from offloop.errors import JobError
from offloop.jobs.documents import Edit
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read
from support.files import pdfs, small_pdfs

SOURCE = small_pdfs.plain()
Try = Callable[..., tuple[Any, list[str]]]
STEPS: list[dict[str, Any]] = [
    {"op": "merge"},
    {"op": "select", "pages": "1-"},
    {"op": "split", "every": 20},
    {"op": "rotate", "degrees": 90},
    {"op": "stamp", "text": "x"},
    {"op": "encrypt", "user_password": "x"},
    {"op": "decrypt"},
    {"op": "optimise"},
    {"op": "metadata", "title": "x"},
    {"op": "sanitise"},
    {"op": "flatten"},
]


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def attempt(context: JobContext, tmp_path: Path) -> Try:
    """Runs a work on a file; the result or the reason of a refusal, and its warnings."""

    def run(work: Any, content: bytes, **request: Any) -> tuple[Any, list[str]]:
        context.warnings.clear()
        (tmp_path / "in" / "source.pdf").write_bytes(content)
        file = {"file": "root:in/source.pdf"}
        arguments = {"sources": [{**file, **request.pop("source", {})}], **request} if work is edit else file | request
        try:
            return work(work.kind.input.model_validate(arguments), context), list(context.warnings)
        except JobError as error:
            return error.reason, list(context.warnings)

    return run


def _empty_pages(result: Any) -> int:
    return sum(one.text == "" for one in result.texts)


def test_a_whole_document_is_told_nothing(attempt: Try) -> None:
    for source in (SOURCE, b"HTTP/1.1 200 OK\r\n\r\n" + SOURCE, pdfs.written("Packed", 3)):
        for work in (describe, read, preview, edit):
            assert attempt(work, source)[1] == []


def test_a_page_that_is_blank_is_not_lost(attempt: Try) -> None:
    def blank(pdf: pikepdf.Pdf) -> None:
        pdf.add_blank_page()
        pdf.pages[0].obj.Contents = pdf.make_stream(b"")

    assert attempt(edit, pdfs.saved(blank, SOURCE))[1] == []


def test_faults_that_lose_nothing_are_told_once_and_in_short(attempt: Try) -> None:
    for name, source in small_pdfs.repaired(SOURCE):
        for work in (describe, read, edit):
            result, warnings = attempt(work, source)
            assert result.pages == 40, (name, work)
            assert len(warnings) == 1, (name, work, warnings)
            assert len(warnings[0]) < 400
            if work is read:
                assert _empty_pages(result) == 0, name


def test_every_loss_is_told_or_refused_by_every_tool(attempt: Try) -> None:
    refused = told = 0
    for name, source in small_pdfs.damaged(SOURCE):
        for work in (describe, read, edit):
            result, warnings = attempt(work, source)
            if isinstance(result, str):
                assert result == "damaged_pdf", name
                refused += 1
                continue
            told += 1
            assert any("damaged" in line for line in warnings), (name, work)
            assert len(warnings) < 6
            if result.pages < 40:
                assert any(f"{40 - result.pages} of its 40 pages are missing" in line for line in warnings), name
            if work is read and _empty_pages(result):
                assert any("lost all content" in line for line in warnings), name
                assert not any("No text on" in line for line in warnings), "a lost page is not called a scan"
            if work is edit:
                assert 2 * result.pages >= 40, name
    assert refused > 20
    assert told > 20


def test_every_step_tells_what_was_lost(attempt: Try) -> None:
    source = SOURCE[: len(SOURCE) // 2]
    for step in STEPS:
        result, warnings = attempt(edit, source, operations=[step])
        assert any("lost all content" in line for line in warnings), (step, result)


@pytest.mark.fuzz
def test_random_damage_is_told_or_refused(attempt: Try) -> None:
    """Bytes that are changed, cut out or zeroed; and no other error than damage."""
    chance = random.Random(5)  # noqa: S311 -- the same damage each time
    for number in range(40):
        source = bytearray(SOURCE)
        start, length = chance.randrange(len(source)), chance.randrange(1, 4_000)
        if number % 3 == 0:
            for _ in range(60):
                source[chance.randrange(len(source))] = chance.randrange(256)
        else:
            source[start : start + length] = bytes(length) if number % 3 == 1 else b""
        edited, described = (attempt(work, bytes(source))[0] for work in (edit, describe))
        assert isinstance(edited, str) or not isinstance(described, str), "what can be edited can be described"
        text, warnings = attempt(read, bytes(source))
        assert text == "damaged_pdf" or warnings or not _empty_pages(text), number


def test_previews_of_damaged_files_tell_what_was_lost(attempt: Try) -> None:
    told = 0
    for name, source in small_pdfs.damaged(SOURCE):
        result, warnings = attempt(preview, source, pages="1,-1", width=64)
        assert result == "damaged_pdf" or any("damaged" in line for line in warnings), name
        told += result != "damaged_pdf"
    assert told > 10


def test_a_damaged_file_is_named_where_there_are_several(attempt: Try, context: JobContext, tmp_path: Path) -> None:
    attempt(describe, SOURCE)
    (tmp_path / "in" / "cut.pdf").write_bytes(SOURCE[: len(SOURCE) // 2])
    sources = [{"file": "root:in/source.pdf"}, {"file": "root:in/cut.pdf"}]
    edit(Edit.model_validate({"sources": sources, "operations": [{"op": "merge"}]}), context)
    assert any(line.startswith("cut is damaged: pages 4-9, 36-40 lost") for line in context.warnings)


def test_the_pages_that_are_left_can_be_asked_for(attempt: Try) -> None:
    """The refusal names them."""
    source = SOURCE[: len(SOURCE) * 4 // 10]
    assert attempt(edit, source)[0] == attempt(read, source)[0] == attempt(preview, source, pages="3")[0]
    found = attempt(describe, source)[1]
    assert any("pages 3-9, 22-40 lost all content" in line for line in found)
    assert attempt(edit, source, source={"pages": "1-2,10-21"})[0].pages == 14
    assert _empty_pages(attempt(read, source, pages="1-2,10-21")[0]) == 0
    assert attempt(preview, source, pages="1")[0].pages == 40
    linear = small_pdfs.linearised()
    assert attempt(edit, linear[: len(linear) * 6 // 10])[0] == "damaged_pdf"
    assert attempt(edit, linear[: len(linear) * 6 // 10], source={"pages": "1-3"})[0].pages == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zlib.compress(b"BT (hello) Tj ET " * 500)[:40], "page 2 lost a part of the content"),
        (bytes(200), "page 2 lost all content"),
    ],
)
def test_content_that_cannot_be_unpacked_is_told(attempt: Try, content: bytes, words: str) -> None:
    """The table of objects is right, so only a look at the content finds it."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[1].obj.Contents.write(content, filter=Name.FlateDecode)

    source = pdfs.saved(change, SOURCE, compress_streams=False)
    for work in (describe, read, edit):
        assert any(words in line for line in attempt(work, source)[1]), work


def test_content_that_is_not_in_the_file_is_told(attempt: Try) -> None:
    """The library drops a reference to a missing object, so that the page looks blank."""
    source = SOURCE.replace(b"/Contents 45 0 R /M", b"/Contents 450 0 R/M")
    assert len(source) == len(SOURCE)
    for work in (describe, read, edit):
        result, warnings = attempt(work, source)
        assert result.pages == 40
        assert warnings == ["The PDF is damaged: page 1 lost all content: nothing is shown there."]
    assert attempt(edit, source, operations=[{"op": "stamp", "file": "root:in/source.pdf"}])[0] == "damaged_pdf"


def test_a_stream_too_large_to_be_looked_at_is_not_called_lost(attempt: Try) -> None:
    """The library has a limit, lowered here."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[1].obj.Contents.write(zlib.compress(bytes(2 << 20)), filter=Name.FlateDecode)

    source = pdfs.saved(change, small_pdfs.plain(2), compress_streams=False)
    set_qpdf_limits(flate_max_memory=1 << 20)
    try:
        assert attempt(describe, source)[1] == []
    finally:
        set_qpdf_limits(flate_max_memory=256 << 20)


def test_a_file_inside_that_is_damaged_is_told(attempt: Try) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        for name in ("good.txt", "bad.txt"):
            pdf.attachments[name] = pikepdf.AttachedFileSpec(pdf, b"12345", filename=name)  # type: ignore[call-arg]
        bad = pdf.attachments["bad.txt"].obj.EF
        for key in list(bad.keys()):
            bad[key].write(bytes(20), filter=Name.FlateDecode)

    result, warnings = attempt(describe, pdfs.saved(change, SOURCE, compress_streams=False))
    assert [one.name for one in result.attachments] == ["bad.txt", "good.txt"]
    assert warnings == ["The PDF has damaged or missing files inside: 'bad.txt'."]


def test_scans_that_are_cut_are_told_or_refused(attempt: Try) -> None:
    """Pages that only draw a picture: their content can be read, and shows nothing."""
    source = small_pdfs.scans(10)
    assert attempt(preview, source, pages="all")[1] == attempt(edit, source)[1] == attempt(describe, source)[1] == []
    for tenth, refused in ((9, False), (8, False), (4, True), (3, True)):
        cut = source[: len(source) * tenth // 10]
        for work in (edit, read):
            result, warnings = attempt(work, cut)
            assert (result == "damaged_pdf") == refused, (tenth, work)
            assert refused or any("10 lost all content" in line for line in warnings)
        assert any("10 lost all content" in line for line in attempt(describe, cut)[1])


@pytest.mark.parametrize("keep", [0.5, 0])
@pytest.mark.parametrize("jpeg", [True, False])
def test_a_picture_that_is_incomplete_is_told_where_it_is_drawn(attempt: Try, keep: float, *, jpeg: bool) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        picture = pdf.pages[0].obj.Resources.XObject.I1
        data = picture.read_raw_bytes()
        picture.write(data[: int(len(data) * keep)], filter=Name(str(picture.Filter)))

    source = pdfs.saved(change, small_pdfs.scans(1, jpeg=jpeg), compress_streams=False)
    result, warnings = attempt(preview, source)
    assert result == "damaged_pdf" or any("page 1 lost a part of the content" in line for line in warnings)


def test_content_in_forms_counts(attempt: Try) -> None:
    def wrap(pdf: pikepdf.Pdf) -> None:
        page = pdf.pages[1].obj
        form = pdf.make_stream(bytes(200), Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
        form.Filter = Name.FlateDecode
        page.Contents, page.Resources = pdf.make_stream(b"/X Do"), Dictionary(XObject=Dictionary(X=form))

    for work in (describe, read, edit):
        warnings = attempt(work, pdfs.saved(wrap, SOURCE, compress_streams=False))[1]
        assert any("page 2 lost all content" in line for line in warnings), (work, warnings)


def test_a_file_attached_to_a_page_is_listed(attempt: Try) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        file = pikepdf.AttachedFileSpec(pdf, b"12345", filename="note.txt").obj  # type: ignore[call-arg]  # has defaults
        note = Dictionary(Type=Name.Annot, Subtype=Name.FileAttachment, Rect=[0, 0, 9, 9], FS=file)
        pdf.pages[0].obj.Annots = pikepdf.Array([pdf.make_indirect(note)])

    [file] = attempt(describe, pdfs.saved(change, SOURCE))[0].attachments
    assert (file.name, file.size) == ("note.txt", 5)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"q 9 0 0 9 0 0 cm /Im1 Do Q", True),
        (b"BT /F9 12 Tf 9 9 Td (font) Tj ET", True),
        (b"BT /F1 12 Tf 9 9 Td (paint with /Im1 Do, or set /F9 12 Tf) Tj ET", False),
        (b"BT /F1 12 Tf 9 9 Td (a \\) and /Im1 Do) Tj ET", False),
    ],
)
def test_what_a_page_uses_and_the_file_lacks_is_told(attempt: Try, content: bytes, *, missing: bool) -> None:
    for compressed in (False, True):
        source = pdfs.saved(lambda _pdf: None, small_pdfs.page(content), compress_streams=compressed)
        for work in (describe, read, preview, edit):
            lost = [line for line in attempt(work, source)[1] if "lost fonts or pictures of page 1" in line]
            assert len(lost) == missing, (work, compressed)


def test_only_pages_that_are_read_are_looked_at(attempt: Try) -> None:
    def empty(pdf: pikepdf.Pdf) -> None:
        for page in list(pdf.pages)[2:]:
            page.obj.Contents = pdf.make_stream(b"not compressed", Filter=Name.FlateDecode)

    source = pdfs.saved(empty, pdfs.written("Long " * 15, 5), object_stream_mode=pikepdf.ObjectStreamMode.disable)
    result, warnings = attempt(read, source, max_characters=100)
    assert ([one.page for one in result.texts], result.next_page, warnings) == ([1], 2, [])


def test_a_wrong_entry_of_the_table_of_objects_is_repaired_before_anything_is_answered(
    attempt: Try, context: JobContext
) -> None:
    """The library notices it only when it reads that object, after the other one has opened the file."""
    with pikepdf.open(io.BytesIO(SOURCE)) as pdf:
        number = pdf.pages[1].obj.Contents.objgen[0]
        font = next(iter(pdf.pages[1].obj.Resources.Font.values())).objgen[0]
    for one in (number, font):
        start = SOURCE.index(b"\n%d 0 obj" % one) + 1
        damaged = SOURCE.replace(b"%010d 00000 n" % start, b"%010d 00000 n" % (start + 9))
        assert damaged != SOURCE
        for options in ({}, {"layout": True}):
            result, warnings = attempt(read, damaged, pages="1-3", **options)
            assert [text.text for text in result.texts] == [f"Forty page {page}" for page in (1, 2, 3)]
            assert "its table of objects was rebuilt" in warnings[0]
            assert len(warnings) == 1
        pictures = []
        for source in (SOURCE, damaged):
            attempt(preview, source, pages="2", width=200)
            pictures.append(context.artifacts[-1].path.read_bytes())
        assert pictures[0] == pictures[1]
