"""Structure of files for archives, accessibility, print and invoices: claims, fonts, language, tags, attachments.

PDF/A-1 is also validated by PDFBox's Preflight, where Java and Debian's libpdfbox2-java are installed
(``PREFLIGHT_JARS`` names another folder of jars). `test_standard_validated` has another validator, for PDF/A-1 to 3 and
PDF/UA-1.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pikepdf
import pytest
from PIL import Image
from pydantic import ValidationError

from offloop.jobs.pdf import Page, Pdf, Variant
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, data, picture, warned
from support.programs import needs

Run = Callable[..., tuple[Pdf, Document]]

VARIANTS = typing.get_args(Variant)
JARS = Path(os.environ.get("PREFLIGHT_JARS", "/usr/share/java"))
CLASSES = ("preflight", "xmpbox", "pdfbox2", "fontbox2", "commons-logging", "javax.activation", "jaxb-api")
HTML = f"""<html lang=en><title>A title</title><h1>Head</h1><p>Text, <b>bold</b>, <a href='https://example.org'>a
link</a></p><h2>Sub</h2><table><tr><th>a<td>1</table><img src='{data(picture("red"))}' alt=red><ul><li>x</ul>"""
XML = {"file": data(b"<invoice/>", "text/xml"), "name": "factur-x.xml"}
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def opened(document: Document) -> pikepdf.Pdf:
    """The file's objects."""
    return pikepdf.open(io.BytesIO(document.content))


def claims(pdf: pikepdf.Pdf) -> dict[str, str]:
    """The entries of the XMP packet, by the last part of each name; it is one packet with one root."""
    root = ET.fromstring(pdf.Root.Metadata.read_bytes())  # noqa: S314 -- our own file
    (rdf,) = root.findall(f"{RDF}RDF")
    found: dict[str, str] = {}
    for description in rdf:
        for name, value in description.attrib.items():
            found[name.split("}")[-1]] = value
        for child in description.iter():
            found[child.tag.split("}")[-1]] = (child.text or "").strip()
    return found


def fonts(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """Every font of every page."""
    for page in pdf.pages:
        for font in page.Resources.get("/Font", {}).values():
            yield font.get("/DescendantFonts", [font])[0]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("pdf/a-")])
def test_an_archive_has_the_structure_of_its_standard(run: Run, context: JobContext, variant: str) -> None:
    attachments = [XML] if variant == "pdf/a-4f" else []
    pdf, document = run(html=HTML, pdf_variant=variant, author="Me", created="2026-11-20", attachments=attachments)
    assert (pdf.variant, context.warnings) == (variant, [])
    part, level = variant[-2], variant[-1]
    file = opened(document)
    entries = claims(file)
    assert (entries["part"], entries["conformance"]) == (part, level.upper())
    assert len(file.Root.OutputIntents) == 1
    intent = file.Root.OutputIntents[0]
    assert (str(intent.S), int(intent.DestOutputProfile.N)) == ("/GTS_PDFA1", 3)
    assert "/ID" in file.trailer
    assert all("/FontFile2" in font.FontDescriptor or "/FontFile3" in font.FontDescriptor for font in fonts(file))
    assert not file.is_encrypted
    assert [found for found in file.objects if getattr(found, "Interpolate", False) is True] == []
    if level == "a":
        assert (str(file.Root.Lang), bool(file.Root.MarkInfo.Marked), "/StructTreeRoot" in file.Root) == (
            "en",
            True,
            True,
        )
    if part != "4":
        assert str(file.docinfo["/CreationDate"]) == "D:20261120000000Z"
        assert entries["CreateDate"] == "2026-11-20T00:00:00Z"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_validator_finds_no_fault_with_archives(run: Run, context: JobContext, tmp_path: Path) -> None:
    packages = [JARS / f"{name}.jar" for name in CLASSES]
    needs("default-jre-headless libpdfbox2-java libjaxb-api-java libactivation-java", "java", *packages)
    markdown = "# Head\n\n- [x] done\n\n> quote\n\n```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    files = []
    for number, (variant, source) in enumerate(
        [("pdf/a-1b", {"html": HTML}), ("pdf/a-1a", {"html": HTML}), ("pdf/a-1b", {"markdown": markdown})]
    ):
        _, document = run(
            **source, pdf_variant=variant, author="Me", subject="It", keywords=["a"], created="2026-11-20"
        )
        files.append(tmp_path / f"{number}.pdf")
        files[-1].write_bytes(document.content)
    classes = os.pathsep.join(map(str, packages))
    program = Path(__file__).with_name("Preflight.java")
    done = subprocess.run(
        [shutil.which("java") or "java", "-cp", classes, str(program), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.stdout.splitlines() == [f"checked {len(files)}"]
    assert context.warnings == []


def test_transparency_in_pdf_a_1_is_warned_of(run: Run, context: JobContext) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (9, 9), (255, 0, 0, 99)).save(out, "PNG")
    for number, html in enumerate((f"<img src='{data(out.getvalue())}'>", "<p style='opacity: 0.5'>x")):
        run(html=html, pdf_variant="pdf/a-1b")
        assert len(context.warnings) == 1, number
        assert warned(context, "pdf/a-1b allows no transparency", "pdf/a-2b")
    run(html="<p style='opacity: 0.5'>x", pdf_variant="pdf/a-2b", strict=True)


@pytest.mark.parametrize(("variant", "part", "version"), [("pdf/ua-1", "1", "1.7"), ("pdf/ua-2", "2", "2.0")])
def test_a_file_for_screen_readers_is_tagged(run: Run, variant: str, part: str, version: str) -> None:
    file = opened(run(html=HTML, pdf_variant=variant, strict=True)[1])
    assert (claims(file)["part"], str(file.pdf_version)) == (part, version)
    assert (str(file.Root.Lang), bool(file.Root.MarkInfo.Marked)) == ("en", True)
    assert bool(file.Root.ViewerPreferences.DisplayDocTitle)
    assert "/StructTreeRoot" in file.Root
    kinds = {str(found.S) for found in file.objects if isinstance(found, pikepdf.Dictionary) and "/S" in found}
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure", "/L", "/LI", "/Link"} <= kinds
    assert any(str(found.get("/Alt", "")) == "red" for found in file.objects if isinstance(found, pikepdf.Dictionary))
    assert all("/ToUnicode" in font for page in file.pages for font in page.Resources.Font.values())


def test_missing_information_for_screen_readers_is_warned_of(run: Run, context: JobContext) -> None:
    run(html=f"<p>x<img src='{data(picture('red'))}'>", pdf_variant="pdf/ua-1")
    assert warned(context, "needs the language", "language")
    assert warned(context, "needs a title")
    assert warned(context, "needs a text for each picture", "1")
    before = len(context.warnings)
    run(html="<p>x", pdf_variant="pdf/ua-1", language="en", title="T")
    assert len(context.warnings) == before


def test_structure_may_be_tagged_without_a_standard(run: Run) -> None:
    assert "/StructTreeRoot" in opened(run(html=HTML, tags=True)[1]).Root
    assert "/StructTreeRoot" not in opened(run(html=HTML)[1]).Root


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("pdf/x-")])
def test_a_file_for_print_names_its_standard_and_asks_for_a_profile(
    run: Run, context: JobContext, variant: str
) -> None:
    file = opened(run(html="<p>x", pdf_variant=variant)[1])
    assert claims(file)["GTS_PDFXVersion"].lower().startswith(variant.replace("pdf/x-1a", "pdf/x-1"))
    assert warned(context, "needs a colour profile", "@color-profile")


def test_metadata_of_the_caller_takes_precedence(run: Run) -> None:
    html = "<html lang=fr><title>Own</title><meta name=author content=Own><meta name=keywords content='a,b'><p>x"
    file = opened(run(html=html, author="Mine (é)", subject="About", keywords=["k1", "k2"], language="de")[1])
    assert str(file.Root.Lang) == "de"
    entries = {name: str(value) for name, value in file.docinfo.items()}
    assert (entries["/Title"], entries["/Author"], entries["/Subject"]) == ("Own", "Mine (é)", "About")
    assert entries["/Keywords"] == "k1, k2"
    kept = opened(run(html=html)[1])
    assert (str(kept.docinfo["/Author"]), str(kept.Root.Lang)) == ("Own", "fr")


def test_metadata_with_characters_that_xml_forbids_is_still_parsed(run: Run) -> None:
    asked = {"title": "a\x00b\uffff", "author": "c\x0bd", "subject": "e\x1f", "keywords": ["f\x01g"]}
    with opened(run(html=HTML, pdf_variant="pdf/a-3b", **asked)[1]) as pdf:
        assert claims(pdf)["conformance"] == "B"  # it parses
        assert b">a b " in pdf.Root.Metadata.read_bytes()


def test_files_are_embedded_under_their_names(run: Run) -> None:
    attachments = [
        {"file": data(b"a,b\n1,2\n", "text/csv"), "name": "data.csv", "description": "The figures"},
        {"file": data(b"<x/>", "text/xml"), "name": "x.xml", "relationship": "Source"},
    ]
    file = opened(run(html="<p>x", attachments=attachments, created="2026-11-20")[1])
    assert set(file.attachments) == {"data.csv", "x.xml"}
    assert file.attachments["data.csv"].get_file().read_bytes() == b"a,b\n1,2\n"
    assert file.attachments["data.csv"].description == "The figures"


def test_an_invoice_embeds_and_declares_its_xml(run: Run, context: JobContext) -> None:
    pdf, document = run(html=HTML, facturx="EN 16931", attachments=[XML])
    assert (pdf.variant, context.warnings) == ("pdf/a-3b", [])
    file = opened(document)
    entries = claims(file)
    assert (entries["part"], entries["conformance"]) == ("3", "B")
    assert (entries["DocumentType"], entries["DocumentFileName"]) == ("INVOICE", "factur-x.xml")
    assert (entries["ConformanceLevel"], entries["Version"]) == ("EN 16931", "1.0")
    assert entries["namespaceURI"] == "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
    assert len(file.Root.AF) == 1
    linked = file.Root.AF[0]
    assert (str(linked.UF), str(linked.AFRelationship)) == ("factur-x.xml", "/Alternative")
    assert linked.EF.F.Subtype == "/text/xml"
    assert linked.EF.F.read_bytes() == b"<invoice/>"
    least = opened(run(html=HTML, facturx="MINIMUM", attachments=[XML])[1])
    assert least.Root.AF[0].AFRelationship == "/Data"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"facturx": "BASIC"}, "factur-x.xml"),
        ({"facturx": "BASIC", "attachments": [XML], "pdf_variant": "pdf/a-2b"}, "needs PDF/A-3"),
        ({"pdf_variant": "pdf/a-1b", "attachments": [XML]}, "allows no attachments"),
        ({"pdf_variant": "pdf/a-2u", "attachments": [XML]}, "allows no attachments"),
        ({"pdf_variant": "pdf/a-4f"}, "with attachments"),
        ({"attachments": [XML, XML]}, "two attachments"),
        ({"pdf_variant": "pdf/a-2b", "forms": True}, "form fields"),
        ({"pdf_variant": "pdf/a-9z"}, "pdf/a-1a"),
        ({"language": "english please"}, "pattern"),
        ({"created": "2026-13-01"}, "month"),
        ({"markdown": "x"}, "exactly one"),
        ({"data": {}}, "template"),
    ],
)
def test_contradictory_requests_are_refused_before_the_queue(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Page.model_validate({"html": "x", **arguments})
