"""Forms after merge, select and split: fields stay whole, names stay apart, and the form's own entries are kept."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop.jobs.documents import Edited
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.editing.edit import fields
from support.files import pdfs

EditAll = Callable[..., Edited]
Result = Callable[..., Any]


def _widget(pdf: pikepdf.Pdf, page: int, **entries: Any) -> Any:
    """A widget on a page, drawn in grey."""
    look = pdf.make_stream(b"0.5 g 0 0 90 20 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 90, 20])
    holder = pdf.pages[page].obj
    note = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, Rect=[5, 5, 95, 25], F=4, P=holder, AP=Dictionary(N=look), **entries
        )
    )
    if "/Annots" not in holder:
        holder.Annots = Array()
    holder.Annots.append(note)
    return note


def _form(*, pages: int = 3, font: Name = Name.Helvetica, root: str = "form", da: str = "/F1 9 Tf 0 g") -> bytes:
    """A form with every structure: a field on two pages, a tree, a radio group over two pages, a calculated field."""
    pdf, out = pikepdf.new(), io.BytesIO()
    for _ in range(pages):
        pdf.add_blank_page(page_size=(100, 100))
    shared = pdf.make_indirect(Dictionary(FT=Name.Tx, T=String("ref"), V=String("X-17"), Kids=Array()))
    for page in (0, 1):
        shared.Kids.append(_widget(pdf, page, Parent=shared))
    tree = pdf.make_indirect(Dictionary(T=String(root), FT=Name.Tx, Kids=Array()))
    for page, name in ((0, "first"), (2, "last")):
        tree.Kids.append(_widget(pdf, page, Parent=tree, T=String(name), V=String(name.upper())))
    radio = pdf.make_indirect(
        Dictionary(FT=Name.Btn, Ff=(1 << 15) | (1 << 14), T=String("choice"), V=Name.b, Kids=Array())
    )
    for page, state in ((1, Name.a), (2, Name.b)):
        button = _widget(pdf, page, Parent=radio, AS=state if state == Name.b else Name.Off)
        button.AP.N = Dictionary({str(state): button.AP.N, "/Off": button.AP.N})
        radio.Kids.append(button)
    total = _widget(
        pdf, 2, FT=Name.Tx, T=String("total"), AA=Dictionary(C=Dictionary(S=Name.JavaScript, JS=String("1")))
    )
    face = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=font))
    pdf.Root.AcroForm = pdf.make_indirect(
        Dictionary(
            Fields=Array([shared, tree, radio, total]),
            CO=Array([total]),
            DA=String(da),
            DR=Dictionary(Font=Dictionary(F1=face)),
            NeedAppearances=True,
        )
    )
    pdf.save(out)
    return out.getvalue()


def _names(pdf: pikepdf.Pdf) -> dict[str, list[int]]:
    """The pages on which each field has widgets, by its full name; every widget belongs to its page and its field."""
    numbers = {note.objgen: number for number, page in enumerate(pdf.pages, 1) for note in page.obj.get("/Annots", [])}
    found: dict[str, list[int]] = {}
    for node in fields(pdf):
        if "/T" not in node or any("/T" in kid for kid in node.get("/Kids", [])):
            continue
        for widget in [node] if node.get("/Subtype") == Name.Widget else node.get("/Kids", []):
            name: list[str] = []
            above: Any = widget
            while above is not None:
                name += [str(above.T)] if "/T" in above else []
                above = above.get("/Parent")
            found.setdefault(".".join(reversed(name)), []).append(numbers.pop(widget.objgen))
            assert widget.P.objgen == pdf.pages[found[".".join(reversed(name))][-1] - 1].obj.objgen
    assert not numbers, "every widget belongs to a field"
    return found


WHOLE = {"ref": [1, 2], "form.first": [1], "form.last": [3], "choice": [2, 3], "total": [3]}


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ("3-1", {"ref": [3, 2], "form.first": [3], "form.last": [1], "choice": [2, 1], "total": [1]}),
        ("1", {"ref": [1], "form.first": [1]}),
        ("2-3", {"ref": [1], "form.last": [2], "choice": [1, 2], "total": [2]}),
        ("1,1", {"ref": [1, 2], "form.first": [1, 2]}),
        (
            "3,1-3,2",
            {"ref": [2, 3, 5], "form.first": [2], "form.last": [1, 4], "choice": [3, 1, 5, 4], "total": [1, 4]},
        ),
    ],
)
def test_a_field_has_the_widgets_of_the_selected_pages(
    run: EditAll, result: Result, pages: str, expected: dict[str, list[int]]
) -> None:
    run([_form()], {"op": "select", "pages": pages})
    with result() as pdf:
        assert {name: sorted(found) for name, found in _names(pdf).items()} == {
            name: sorted(found) for name, found in expected.items()
        }
        assert pdf.Root.AcroForm.DA == "/F1 9 Tf 0 g"
        assert pdf.Root.AcroForm.NeedAppearances is True
        assert ("/CO" in pdf.Root.AcroForm) == ("total" in expected)
        values = {str(node.T): str(node.V) for node in fields(pdf) if "/T" in node and "/V" in node}
        assert set(values.items()) <= {("ref", "X-17"), ("first", "FIRST"), ("last", "LAST"), ("choice", "/b")}


def test_a_field_that_is_its_own_widget_stays_one_field_on_repeated_pages(run: EditAll, result: Result) -> None:
    run([_form()], {"op": "select", "pages": "3,3,1,3"})
    with result() as pdf:
        tops = [str(top.get("/T")) for top in pdf.Root.AcroForm.Fields]
        assert sorted(tops) == ["choice", "form", "ref", "total"]
        [total] = [top for top in pdf.Root.AcroForm.Fields if top.T == "total"]
        assert len(total.Kids) == 3
        assert all(kid.Parent.objgen == total.objgen and "/T" not in kid for kid in total.Kids)


def test_parts_of_a_split_have_their_own_fields_and_no_widget_of_others(run: EditAll, result: Result) -> None:
    run([_form()], {"op": "split", "every": 1})
    for index, expected in enumerate(({"ref", "form.first"}, {"ref", "choice"}, {"form.last", "choice", "total"})):
        with result(index) as pdf:
            assert set(_names(pdf)) == expected
            widgets = [one for one in pdf.objects if isinstance(one, Dictionary) and one.get("/Subtype") == Name.Widget]
            assert len(widgets) == len(expected)


def test_a_merge_renames_fields_of_later_files_and_says_so(run: EditAll, result: Result, context: JobContext) -> None:
    run([(_form(), {"title": "One"}), (_form(root="other"), {"title": "Two"})], {"op": "merge"})
    with result() as pdf:
        second = {"ref+2": [4, 5], "other.first": [4], "other.last": [6], "choice+2": [5, 6], "total+2": [6]}
        assert _names(pdf) == WHOLE | second
        assert [str(one.T) for one in pdf.Root.AcroForm.CO] == ["total", "total+2"]
    assert any(
        "'Two': form fields were renamed" in line and "'choice' is now 'choice+2'" in line for line in context.warnings
    )


def test_a_merge_of_one_file_keeps_its_form(run: EditAll, result: Result, context: JobContext) -> None:
    run([_form()], {"op": "merge"})
    document = pypdfium2.PdfDocument(context.artifacts[0].path)
    try:
        assert document.init_forms()
        assert document.get_formtype() == pypdfium2.raw.FORMTYPE_ACRO_FORM
    finally:
        document.close()
    with result() as pdf:
        assert _names(pdf) == WHOLE
        [ref] = [node for node in pdf.Root.AcroForm.Fields if node.T == "ref"]
        assert [kid.objgen for kid in ref.Kids] == [page.Annots[0].objgen for page in list(pdf.pages)[:2]]


def test_fonts_and_default_appearances_of_a_later_form_stay_its_own(run: EditAll, result: Result) -> None:
    run([_form(), _form(font=Name.Courier, da="/F1 20 Tf 1 g")], {"op": "merge"})
    with result() as pdf:
        fonts = pdf.Root.AcroForm.DR.Font
        assert {name: str(font.BaseFont) for name, font in fonts.items()} == {"/F1": "/Helvetica", "/F1.2": "/Courier"}
        defaults = {str(top.T): str(top.get("/DA")) for top in pdf.Root.AcroForm.Fields}
        assert (defaults["ref"], defaults["ref+2"]) == ("None", "/F1.2 20 Tf 1 g")


def test_a_form_without_fields_says_nothing_about_those_of_another_file(run: EditAll, result: Result) -> None:
    with pikepdf.open(io.BytesIO(_form(da="/F1 5 Tf"))) as source:
        source.Root.AcroForm.Fields = Array()
        for page in source.pages:
            page.obj.Annots = Array()
        out = io.BytesIO()
        source.save(out)
    run([out.getvalue(), _form(font=Name.Courier, da="/F1 20 Tf 1 g")], {"op": "merge"})
    with result() as pdf:
        assert str(pdf.Root.AcroForm.DA) == "/F1 20 Tf 1 g"
        assert str(pdf.Root.AcroForm.DR.Font.F1.BaseFont) == "/Courier"


@pytest.mark.parametrize("listed", [0, 1])
def test_a_widget_that_the_form_does_not_list_becomes_a_field(run: EditAll, result: Result, listed: int) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(_form())) as source, warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.PageCopyWarning)
        if listed:
            source.Root.AcroForm.Fields = Array(list(source.Root.AcroForm.Fields)[:listed])
        else:
            del source.Root.AcroForm
        source.save(out)
    run([out.getvalue()], {"op": "merge"})
    with result() as pdf:
        assert _names(pdf) == WHOLE


def test_an_xfa_form_that_is_dropped_is_reported(run: EditAll, result: Result, context: JobContext) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(_form())) as source:
        source.Root.AcroForm.XFA = source.make_stream(b"<xdp/>")
        source.save(out)
    run([(out.getvalue(), {"title": "Tax"})], {"op": "select", "pages": "1-2"})
    with result() as pdf:
        assert "/XFA" not in pdf.Root.AcroForm
    assert any(line.startswith("'Tax': the result does not keep its XFA form") for line in context.warnings)


def test_a_field_without_a_place_is_kept_while_its_document_is_whole(run: EditAll, result: Result) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(_form())) as source:
        hidden = source.make_indirect(Dictionary(FT=Name.Tx, T=String("hidden"), V=String("42")))
        source.Root.AcroForm.Fields.append(hidden)
        source.save(out)
    run([out.getvalue()], {"op": "merge"})
    run([out.getvalue()], {"op": "select", "pages": "1-2"})
    kept = []
    for index in (0, 1):
        with result(index) as pdf:
            kept.append([str(node.V) for node in fields(pdf) if node.get("/T") == "hidden"])
    assert kept == [["42"], []]


def test_many_files_with_the_same_names_are_merged_in_reasonable_time(run: EditAll, result: Result) -> None:
    files, names = 20, 300

    def many(pdf: pikepdf.Pdf) -> None:
        listed = [_widget(pdf, 0, FT=Name.Tx, T=String(f"f{number}")) for number in range(names)]
        pdf.Root.AcroForm = Dictionary(Fields=Array(listed))

    source = pdfs.saved(many, pdfs.written("Form", 1))
    before = time.process_time()
    run([source] * files, {"op": "merge"})
    assert time.process_time() - before < 6
    with result() as pdf:
        assert len({str(top.T) for top in pdf.Root.AcroForm.Fields}) == files * names
