"""Warnings of steps that change documents in place: what a result loses, or claims without a check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop.jobs.documents import Edited
from offloop.kinds.job_context import JobContext
from support.files import pdfs

EditAll = Callable[..., Edited]
Result = Callable[..., Any]


def _note(pdf: pikepdf.Pdf, kind: str, **entries: Any) -> Any:
    rest = {"Type": Name.Annot, "Subtype": Name("/" + kind), "Rect": Array([10, 10, 60, 60]), "F": 4, **entries}
    return pdf.make_indirect(Dictionary(**rest))


def _look(pdf: pikepdf.Pdf) -> Any:
    return Dictionary(
        N=pdf.make_stream(b"1 0 0 rg 0 0 9 9 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    )


def _annotated(pdf: pikepdf.Pdf) -> None:
    quad = Array([10, 60, 60, 60, 10, 10, 60, 10])
    attached = Dictionary(Type=Name.Filespec, F=String("x"), EF=Dictionary(F=pdf.make_stream(b"x")))
    note = _note(pdf, "Text", Contents=String("look here"), AP=_look(pdf))
    link = _note(pdf, "Link", Dest=Array([pdf.pages[0].obj, Name.Fit]), AP=_look(pdf))
    notes = [
        _note(pdf, "Highlight", QuadPoints=quad, C=Array([1, 0, 0])),
        note, _note(pdf, "Popup", Parent=note), _note(pdf, "Line", L=Array([10, 10, 60, 60])), link,
        _note(pdf, "FileAttachment", FS=attached, AP=_look(pdf)), _note(pdf, "Widget", FT=Name.Tx, T=String("empty")),
    ]  # fmt: skip
    pdf.pages[0].obj.Annots = Array(notes)
    pdf.Root.AcroForm = Dictionary(Fields=Array(notes[-1:]))


def test_flattening_draws_what_has_no_appearance_and_tells_of_what_it_cannot_keep(
    run: EditAll, result: Result, context: JobContext
) -> None:
    run([(pdfs.saved(_annotated), {"title": "Notes"})], {"op": "flatten"})
    with result() as pdf:
        kinds = [str(one.Subtype) for one in pdf.pages[0].Annots if "/A" not in one]
        assert kinds == ["/Line", "/Link", "/FileAttachment"]
    red, green, blue = pdfs.picture(context.artifacts[0].path).crop((10, 530, 60, 580)).getpixel((40, 20))  # type: ignore[misc]
    assert (red, green, blue) == (255, 0, 0)
    assert context.warnings == [
        "'Notes': Comments are drawn without the texts that viewers show in windows: page 1.",
        "'Notes': Annotations without an appearance of their own stay annotations: page 1.",
    ]


def test_sanitising_counts_by_type_and_leaves_no_empty_attachment(
    run: EditAll, result: Result, context: JobContext
) -> None:
    def active(pdf: pikepdf.Pdf) -> None:
        _annotated(pdf)
        pdf.pages[0].obj.AA = Dictionary(O=Dictionary(S=Name.JavaScript, JS=String("1")))
        pdf.Root.OpenAction = Dictionary(S=Name.Launch, F=String("x"))

    run([pdfs.saved(active)], {"op": "sanitise", "attachments": True})
    with result() as pdf:
        assert "/FileAttachment" not in [str(one.Subtype) for one in pdf.pages[0].Annots]
    [line] = context.warnings
    assert line.startswith("sanitise removed 3 scripts, actions and the like: ")
    assert {"1 JavaScript", "1 Launch", "1 FileAttachment"} == set(line.split(": ")[1].rstrip(".").split(", "))


def test_a_page_with_a_filled_form_is_a_stamp_as_it_is_seen(run: EditAll, context: JobContext, tmp_path: Path) -> None:
    form = pdfs.written("", 1, extra="<input name='who' value='Ann Example'>", pdf_forms=True)
    plain = pdfs.saved(lambda pdf: pdf.pages[0].contents_add(b"% blank"), pdfs.written("", 1))
    (tmp_path / "in" / "form.pdf").write_bytes(form)
    run([plain], {"op": "stamp", "file": "root:in/form.pdf", "position": "fill"})
    assert "Ann Example" in pdfs.texts(context.artifacts[0].path)[0]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"op": "stamp", "text": "x"}, "'Archive' still claims PDF/A-3B, but nothing checked stamp against it"),
        ({"op": "flatten"}, "'Archive' still claims PDF/A-3B, but nothing checked flatten against it"),
        ({"op": "optimise"}, "'Archive' still claims PDF/A-3B, but nothing checked optimise against it"),
        ({"op": "metadata", "clear": True}, "'Archive' no longer claims PDF/A-3B: claims are metadata."),
        ({"op": "select", "pages": "1"}, "The result no longer claims PDF/A-3B"),
        ({"op": "encrypt", "user_password": "x"}, "PDF/A forbids encryption"),
        ({"op": "rotate", "degrees": 90}, None),
    ],
)
def test_claims_are_told_of(run: EditAll, context: JobContext, step: dict[str, Any], told: str | None) -> None:
    run([pdfs.written("Archive", 2, pdf_variant="pdf/a-3b")], step)
    about = [line for line in context.warnings if "claim" in line]
    assert len(about) == (told is not None)
    assert told is None or about[0].startswith(told)


def test_output_intents_that_all_files_share_are_kept(run: EditAll, result: Result, context: JobContext) -> None:
    one, two = (pdfs.written(title, 1, pdf_variant="pdf/a-3b") for title in ("One", "Two"))
    run([one, two], {"op": "merge"})
    run([one, pdfs.written("Three", 1)], {"op": "merge"})
    with result(0) as pdf:
        assert len(pdf.Root.OutputIntents) == 1
    with result(1) as pdf:
        assert "/OutputIntents" not in pdf.Root
    assert [line for line in context.warnings if "intents" in line] == [
        "'One': the result does not keep its output intents (colour profiles for print)."
    ]


def test_a_result_has_the_latest_version_of_its_sources(run: EditAll, result: Result) -> None:
    run(
        [pdfs.written("Old", 1), pdfs.saved(lambda _pdf: None, pdfs.written("New", 1), force_version="2.0")],
        {"op": "merge"},
    )
    with result() as pdf:
        assert pdf.pdf_version == "2.0"


def test_rights_and_xfa_forms_of_adobe_reader_are_told_of(run: EditAll, result: Result, context: JobContext) -> None:
    def extended(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Perms = Dictionary(UR3=Dictionary(Type=Name.Sig))
        pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<xdp/>"))

    source = (pdfs.saved(extended), {"title": "Visa"})
    run([source], {"op": "rotate", "degrees": 90})
    with result() as pdf:
        assert "/Perms" not in pdf.Root
    assert [line.split(",")[0] for line in context.warnings] == [
        "'Visa': rights that Adobe Reader gives to the unchanged file were removed.",
        "'Visa' has an XFA form",
    ]
    context.warnings.clear()
    run([source], {"op": "sanitise"}, {"op": "rotate", "degrees": 90})
    assert not any("XFA form" in line for line in context.warnings)


def test_damaged_metadata_that_is_replaced_is_told_of(run: EditAll, context: JobContext) -> None:
    def damaged(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Metadata = String("no stream")

    source = pdfs.saved(damaged, fix_metadata_version=False)
    assert run([source], {"op": "rotate", "degrees": 90}).pages == 1
    run([(source, {"title": "Odd"})], {"op": "metadata", "title": "Even"})
    assert context.warnings == ["'Odd': the XMP metadata was damaged or too large, and was replaced."]


def test_an_attachment_that_gets_another_name_is_told_of(run: EditAll, context: JobContext) -> None:
    run([pdfs.written("", 1)], {"op": "attach", "files": [{"file": "data:,x", "name": "../../evil"}]})
    [line] = context.warnings
    assert line.startswith("attach: one name was changed to 'evil'")


def test_a_stamp_that_does_not_fit_is_told_of_with_its_size(run: EditAll, context: JobContext) -> None:
    step = {"op": "stamp", "text": "A long line of large letters", "font_size": 60}
    run([(pdfs.written("Wide", 3), {"title": "Wide"})], {**step, "pages": "1,3"})
    [line] = context.warnings
    assert line.startswith("stamp: shrunk to ")
    assert line.endswith("% of the size asked for, to fit between the margins: page 1, 3 of 'Wide'.")
    context.warnings.clear()
    run([pdfs.written("Wide", 3)], {**step, "position": "fill"}, {**step, "font_size": 9, "position": "top"})
    assert context.warnings == []
