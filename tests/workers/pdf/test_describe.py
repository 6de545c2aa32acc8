"""Descriptions of PDFs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from support.files import pdfs


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Describes a file given as bytes."""
    return pdfs.runner(describe, context, tmp_path)


def test_a_plain_document_is_described(run: pdfs.Run) -> None:
    source = pdfs.written("Alpha")
    found = run(source)
    assert (found.pages, found.size, found.title, found.language) == (3, len(source), "Alpha", "en")
    assert found.sha256 == hashlib.sha256(source).hexdigest()
    assert [(one.width_mm, one.height_mm, one.pages) for one in found.sizes] == [(148.0, 210.0, 3)]
    assert [(one.title, one.level, one.page) for one in found.outline] == [
        (f"Alpha page {number}", 1, number) for number in (1, 2, 3)
    ]
    assert found.fonts
    assert all(font.embedded for font in found.fonts)
    assert (found.images, found.fields, found.attachments, found.claims) == (0, [], [], [])
    assert not found.security.encrypted
    assert not found.security.javascript


def test_rotated_pages_are_measured_as_displayed(run: pdfs.Run) -> None:
    def turn(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].rotation = 270

    found = run(pdfs.saved(turn, pdfs.written("A", 3)))
    assert [(one.width_mm, one.height_mm, one.pages) for one in found.sizes] == [(148.0, 210.0, 2), (210.0, 148.0, 1)]


def test_claims_tags_and_files_of_an_archive(run: pdfs.Run) -> None:
    found = run(pdfs.written("Archive", 1, pdf_variant="pdf/a-3a", pdf_tags=True))
    assert found.claims == ["PDF/A-3A"]
    assert found.tagged


def test_form_fields_have_names_types_and_values(run: pdfs.Run) -> None:
    extra = "<input name='who' value='Ann'><input type='checkbox' name='yes' checked>"
    found = run(pdfs.written("Form", 1, extra=extra, pdf_forms=True))
    assert [(one.name, one.type) for one in found.fields] == [("who", "text"), ("yes", "button")]
    assert found.fields[0].value == "Ann"


def test_values_of_fields_are_text_whatever_their_form(run: pdfs.Run) -> None:
    """A name is inherited from a parent; a field without a name or of an unknown type is left out."""

    def change(pdf: pikepdf.Pdf) -> None:
        parent = pdf.make_indirect(Dictionary(FT=Name.Ch, T=String("order")))
        several = Dictionary(T=String("sizes"), V=Array([String("S"), Name.no_text, String("L")]), Parent=parent)
        parent.Kids = Array([pdf.make_indirect(several)])
        fields = [
            Dictionary(FT=Name.Btn, T=String("paid"), V=Name.Yes),
            Dictionary(FT=Name.Tx, T=String("none")),
            Dictionary(FT=Name.Tx, V=String("nameless")),
            Dictionary(FT=Name.Other, T=String("unknown"), V=String("x")),
        ]
        pdf.Root.AcroForm = Dictionary(Fields=Array([parent, *map(pdf.make_indirect, fields)]))

    found = {one.name: (one.type, one.value) for one in run(pdfs.saved(change)).fields}
    assert found["order.sizes"] == ("choice", "S, L")
    assert (found["paid"], found["none"]) == (("button", "Yes"), ("text", None))
    assert not {"", "unknown"} & set(found)


def test_a_value_that_is_cut_is_told(run: pdfs.Run, context: JobContext) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        field = Dictionary(FT=Name.Tx, T=String("notes"), V=String("x" * 600))
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]))

    [field] = run(pdfs.saved(change)).fields
    assert len(field.value) == 500
    assert context.warnings == ["The value of the field 'notes' is cut to 500 characters."]


def test_all_choices_of_a_field_are_its_value_or_the_cut_is_told(run: pdfs.Run, context: JobContext) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        sizes = {"short": (30, 1), "long": (30, 40), "one": (1, 501)}
        chosen = [
            Dictionary(FT=Name.Ch, T=String(name), V=Array([String(size * "x")] * count))
            for name, (count, size) in sizes.items()
        ]
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(one) for one in chosen]))

    short, long, one = run(pdfs.saved(change)).fields
    assert short.value == ", ".join(["x"] * 30)
    assert (len(long.value), len(one.value)) == (500, 500)
    assert context.warnings == [f"The value of the field {n!r} is cut to 500 characters." for n in ("long", "one")]


@pytest.mark.parametrize("xmp", [None, b"<not xml", b"<a/>", bytes(5 << 20)], ids=["none", "broken", "other", "huge"])
def test_metadata_without_a_claim_claims_nothing(run: pdfs.Run, xmp: bytes | None) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Metadata = Dictionary() if xmp is None else pdf.make_stream(xmp)

    assert run(pdfs.saved(change, fix_metadata_version=False)).claims == []


def test_metadata_that_cannot_be_decoded_claims_nothing(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Metadata = pdf.make_stream(b"no deflated data", Filter=Name.FlateDecode)

    assert run(pdfs.saved(change, fix_metadata_version=False, compress_streams=False)).claims == []


def test_attachments_that_are_no_files_are_left_out(run: pdfs.Run) -> None:
    """One without a stream is listed with its name alone."""

    def change(pdf: pikepdf.Pdf) -> None:
        listed = Array([String("a"), String("text"), String("b"), Dictionary(F=String("b.txt"))])
        pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=listed))

    assert [(one.name, one.size) for one in run(pdfs.saved(change)).attachments] == [("b.txt", None)]


def test_active_content_is_reported(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        launch = Dictionary(S=Name.Launch, F=String("x"))
        pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("x"), Next=launch)
        field = Dictionary(FT=Name.Sig, T=String("sig"), V=Dictionary(Type=Name.Sig))
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]))

    found = run(pdfs.saved(change))
    assert found.security.javascript
    assert found.security.actions == ["Launch"]
    assert found.security.signatures == 1
    assert [(one.name, one.type) for one in found.fields] == [("sig", "signature")]


def test_encryption_and_denied_permissions(run: pdfs.Run) -> None:
    source = pdfs.locked(pdfs.written("A", 1), user="", extract=False, print_highres=False)
    found = run(source)
    assert (found.security.encrypted, found.security.method) == (True, "aes, 256 bits")
    assert found.security.denied == ["print", "copy"]
    assert run(source, password="owner").security.denied == []  # noqa: S106 -- a password of this test


def test_embedded_files_are_listed(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        file = pikepdf.AttachedFileSpec(pdf, b"12345", filename="../../x.sh")  # type: ignore[call-arg]  # has defaults
        file.obj.AFRelationship = Name.Data
        pdf.attachments["x"] = file

    [file] = run(pdfs.saved(change)).attachments
    assert (file.size, file.relationship) == (5, "Data")
    assert file.name.endswith("x.sh")


def test_texts_of_the_file_are_bounded_and_plain(run: pdfs.Run) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.docinfo.Title = "a\x00b\x1b[31m" + "x" * 5000
        pdf.docinfo.CreationDate = "D:20260102030405+01'00'"
        pdf.docinfo.ModDate = "yesterday"

    found = run(pdfs.saved(change))
    assert found.title is not None
    assert len(found.title) == 500
    assert "\x1b" not in found.title
    assert found.created == "2026-01-02T03:04:05+01:00"
    assert found.modified == "yesterday"


def test_a_linearised_file_is_known(run: pdfs.Run) -> None:
    assert run(pdfs.saved(lambda _pdf: None, linearize=True)).linearised


def test_names_that_are_not_utf8_are_read(run: pdfs.Run, context: JobContext) -> None:
    """Names of fonts in the charset of a country; the library can list such keys, and look up none."""

    def change(pdf: pikepdf.Pdf) -> None:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name("/Gr__e"))
        pdf.pages[0].obj.Contents = pdf.make_stream(b"")
        pdf.pages[0].obj.Resources = Dictionary(Font=Dictionary(K__=pdf.make_indirect(font)))
        pdf.Root.Dests = Dictionary(Z__=Array([pdf.pages[0].obj, Name.Fit]))
        pdf.docinfo["/A__"] = "x"

    source = pdfs.saved(change, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    for name in (b"/Gr__e", b"/K__", b"/Z__", b"/A__"):
        assert name in source
        source = source.replace(name, name.replace(b"__", b"\xf6\xdf"))
    found = run(source)
    assert [font.name for font in found.fonts] == ["Gr\ufffd\ufffde"]
    assert found.custom == {"A": "x"}
    assert context.warnings == []
