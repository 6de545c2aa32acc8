"""Metadata of both stores, in every encoding and form of date; and encryption in words."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Dictionary, Name, ObjectStreamMode, String

from offloop.errors import JobError
from offloop.jobs.documents import Edit
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read
from support.files import pdfs, small_pdfs

BARE = small_pdfs.page(b"")
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdfx="http://ns.adobe.com/pdfx/1.3/"
 xmp:CreateDate="2024-05-06T07:08:09+02:00" pdf:Producer="Maker" pdfx:Company="ACME">
<dc:title><rdf:Alt><rdf:li xml:lang="de">Titel</rdf:li><rdf:li xml:lang="x-default">Title</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">About</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>one</rdf:li><rdf:li>two</rdf:li></rdf:Bag></dc:subject>
<xmp:CreatorTool>Writer</xmp:CreatorTool><xmp:ModifyDate>2024-06</xmp:ModifyDate>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> pdfs.Run:
    """Describes a file given as bytes."""
    return pdfs.runner(describe, context, tmp_path)


def _with(xmp: bytes | None = None, **information: Any) -> bytes:
    def change(pdf: pikepdf.Pdf) -> None:
        if xmp is not None:
            pdf.Root.Metadata = pdf.make_stream(xmp, Type=Name.Metadata, Subtype=Name.XML)
        for key, value in information.items():
            pdf.docinfo[f"/{key}"] = value

    return pdfs.saved(change, BARE, fix_metadata_version=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xmp_is_read_where_the_document_information_is_silent(
    run: pdfs.Run, context: JobContext, encoding: str
) -> None:
    found = run(_with(XMP.encode(encoding), Title="", Author=Name.no_text))
    assert (found.title, found.author, found.subject, found.keywords) == ("Title", "Ada, Bob", "About", "one, two")
    assert (found.creator, found.producer, found.custom) == ("Writer", "Maker", {"Company": "ACME"})
    assert (found.created, found.modified) == ("2024-05-06T07:08:09+02:00", "2024-06")
    assert context.warnings == []


def test_equal_values_in_other_forms_are_no_contradiction(run: pdfs.Run, context: JobContext) -> None:
    """A date in another zone, authors and keywords with other separators."""
    found = run(
        _with(
            XMP.encode(),
            Title="Title",
            Author="Ada; Bob",
            Keywords="two one",
            CreationDate="D:20240506050810Z",
            ModDate="D:20240611",
        )
    )
    assert (found.author, found.created, found.modified) == ("Ada; Bob", "2024-05-06T05:08:10+00:00", "2024-06-11")
    assert context.warnings == []


def test_contradictions_are_told_in_one_line(run: pdfs.Run, context: JobContext) -> None:
    found = run(_with(XMP.encode(), Title="Other", CreationDate="D:20200101000000Z"))
    assert (found.title, found.author) == ("Other", "Ada, Bob")
    [line] = context.warnings
    assert "title 'Other' and 'Title'" in line
    assert "created '2020-01-01T00:00:00+00:00' and '2024-05-06T07:08:09+02:00'" in line


@pytest.mark.parametrize(
    ("xmp", "words"),
    [
        (b"<bad", "malformed"),
        (XMP.replace("</dc:title>", "").encode(), "malformed"),
        (bytes(5 << 20), "damaged or larger than 4 MiB"),
    ],
)
def test_xmp_that_cannot_be_read_is_told(run: pdfs.Run, context: JobContext, xmp: bytes, words: str) -> None:
    run(_with(xmp))
    assert any("XMP metadata" in line and words in line for line in context.warnings)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xe9 \x80 \xa0", "café • €"),
        (b"\xfe\xff\x00A\x00\xe4\xd8=\xde\x00", "Aä😀"),
        (b"\xff\xfeA\x00\xe4\x00", "Aä"),
        (b"\xef\xbb\xbf\xc3\xa4", "ä"),
        (b"\xfe\xff\x00\x1b\x00e\x00n\x00U\x00S\x00\x1b\x00H\x00i", "Hi"),
        (b"\xc3\xa4pfel", "äpfel"),
    ],
)
def test_strings_are_read_in_every_encoding(run: pdfs.Run, context: JobContext, raw: bytes, text: str) -> None:
    """The last one is UTF-8 without a byte-order mark, which the standard does not know: a guess."""
    assert run(_with(Title=String(raw))).title == text
    assert context.warnings == (
        ["The title does not name its encoding, and was read as UTF-8."] if raw.startswith(b"\xc3") else []
    )


@pytest.mark.parametrize(
    ("written", "answered"),
    [
        ("D:2024", "2024"),
        ("D:202405", "2024-05"),
        ("20240506", "2024-05-06"),
        ("D:20240506070809", "2024-05-06T07:08:09"),
        ("D:20240506070809Z", "2024-05-06T07:08:09+00:00"),
        ("D:20240506070809-03'30'", "2024-05-06T07:08:09-03:30"),
        ("D:20240506070809+02'00", "2024-05-06T07:08:09+02:00"),
        ("D:191000506070809", "2000-05-06T07:08:09"),
        ("2024-05", "2024-05"),
        ("2024-05-06T07:08Z", "2024-05-06T07:08:00+00:00"),
        ("Mon May  6 07:08:09 2024", "2024-05-06T07:08:09"),
        ("D:20241306070809", "D:20241306070809"),
        ("yesterday", "yesterday"),
    ],
)
def test_dates_are_as_exact_as_they_are_written(run: pdfs.Run, written: str, answered: str) -> None:
    assert run(_with(CreationDate=written)).created == answered


def test_other_entries_are_listed(run: pdfs.Run, context: JobContext) -> None:
    more: dict[str, Any] = {f"K{number}": "v" for number in range(60)}
    found = run(_with(None, Company="ACME", Trapped=Name.Unknown, Approved=Name.Yes, **more))
    assert (found.custom["Company"], found.custom["Approved"], len(found.custom)) == ("ACME", "Yes", 50)
    assert context.warnings == ["There are 62 custom entries of metadata; the first 50 are listed."]


def test_a_title_that_is_cut_is_told(run: pdfs.Run, context: JobContext) -> None:
    assert len(run(_with(Title="x" * 600)).title) == 500
    assert context.warnings == ["The title has 600 characters; 500 are answered."]


def test_our_own_archives_have_their_metadata(run: pdfs.Run, context: JobContext) -> None:
    for variant in ("pdf/a-1b", "pdf/a-2u", "pdf/a-3b", "pdf/a-4u"):
        assert run(pdfs.written("Archive", 1, pdf_variant=variant)).title == "Archive"
    assert context.warnings == []


def test_a_merged_document_has_a_bookmark_with_its_title_of_xmp(context: JobContext, tmp_path: Path) -> None:
    for name, source in {"one.pdf": _with(XMP.encode()), "two.pdf": BARE}.items():
        (tmp_path / "in" / name).write_bytes(source)
    sources = [{"file": "root:in/one.pdf"}, {"file": "root:in/two.pdf"}]
    edit(Edit.model_validate({"sources": sources, "operations": [{"op": "merge"}]}), context)
    with pikepdf.open(context.artifacts[-1].path) as pdf:
        assert [title for _, title, _ in pdfs.outline(pdf)] == ["Title", "two"]


def test_labels_are_listed_where_they_are_not_the_numbers(run: pdfs.Run) -> None:
    def label(pdf: pikepdf.Pdf) -> None:
        entries = [0, Dictionary(S=Name.r), 4, Dictionary(S=Name.D), 38, Dictionary(P=String("A-"), S=Name.A, St=27)]
        pdf.Root.PageLabels = Dictionary(Nums=pikepdf.Array(entries))

    assert run(pdfs.saved(label, small_pdfs.plain())).labels == ["1-4: i-iv", "5-38: 1-34", "39-40: A-AA-A-BB"]
    assert run(small_pdfs.plain(2)).labels == []


def test_lists_that_are_cut_are_told(run: pdfs.Run, context: JobContext) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        for number in range(101):
            name = f"/F{number}"
            pdf.pages[0].obj.Resources.Font[name] = pdf.make_indirect(
                Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name(f"/Font{number}"))
            )
        with pdf.open_outline() as outline:
            outline.root.extend(pikepdf.OutlineItem(f"{number}", 0) for number in range(201))

    found = run(pdfs.saved(change, BARE))
    assert (len(found.fonts), len(found.outline)) == (100, 200)
    assert sorted(context.warnings) == [
        "There are more than 100 fonts; the first 100 are listed.",
        "There are more than 200 bookmarks; the first 200 are listed.",
    ]


@pytest.mark.parametrize(
    ("revision", "options", "method"),
    [
        (2, {"aes": False, "metadata": False}, "rc4, 40 bits"),
        (3, {"aes": False, "metadata": False}, "rc4, 128 bits"),
        (4, {"aes": False, "metadata": False}, "rc4, 128 bits; metadata: not encrypted"),
        (4, {"aes": True, "metadata": True}, "aes, 128 bits"),
        (4, {"aes": True, "metadata": False}, "aes, 128 bits; metadata: not encrypted"),
        (5, {}, "aes, 256 bits"),
        (6, {}, "aes, 256 bits"),
    ],
)
@pytest.mark.parametrize("user", ["", "user"])
def test_encryption_has_its_name(run: pdfs.Run, revision: Any, options: dict[str, Any], method: str, user: str) -> None:
    lock = pikepdf.Encryption(user=user, owner="owner", R=revision, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old methods are deprecated
        source = pdfs.saved(lambda _pdf: None, BARE, encryption=lock)
    assert run(source, password="owner").security.method == method  # noqa: S106 -- a password of this test
    found = run(source, **({"password": user} if user else {})).security
    assert (found.encrypted, found.method) == (True, method)


def test_streams_that_are_not_encrypted_are_told(run: pdfs.Run) -> None:
    source = _locked().replace(b"/StmF /StdCF", b"/StmF /Identity")
    with pikepdf.open(io.BytesIO(source)) as pdf:
        assert pdf.is_encrypted
    method = "streams: not encrypted; strings: aes, 128 bits; embedded files: not encrypted"
    assert run(source).security.method == method


def test_encryption_for_certificates_is_named_and_not_called_damage(context: JobContext, tmp_path: Path) -> None:
    source = _locked().replace(b"/Filter /Standard", b"/Filter /Adobe.PubSec")
    for work in (describe, read, preview):
        with pytest.raises(JobError, match="certificates") as failed:
            pdfs.runner(work, context, tmp_path)(source)
        assert failed.value.reason == "unsupported_encryption"


def _locked() -> bytes:
    lock = pikepdf.Encryption(user="", owner="owner", R=4)
    return pdfs.saved(lambda _pdf: None, BARE, encryption=lock, object_stream_mode=ObjectStreamMode.disable)
