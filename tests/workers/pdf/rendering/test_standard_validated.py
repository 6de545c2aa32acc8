"""Validation of PDF/A-1 to 3 and PDF/UA-1 by a validator that passes veraPDF's own corpus of files.

It is a package of the development group (page-validation). It supports neither PDF/UA-2 nor PDF/A-4: the former is
validated against the rules that both parts share, and `test_standard` checks the structure of the latter.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest

from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from support.files.rendered import Document, data, picture, warned

validator = pytest.importorskip(
    "page", reason="needs-page-validation: no wheel of it for this machine, nothing was validated"
)

Run = Callable[..., tuple[Pdf, Document]]

RED = data(picture("red"))
XML = {"file": data(b"<invoice/>", "text/xml"), "name": "factur-x.xml"}
ROWS = "".join(f"<tr><th>{number}<td>row {number}<td>{number * 2}" for number in range(90))
LONG = "a link that goes on and on, " * 12
HTML = f"""<html lang=en><title>A title</title><h1>Head</h1><nav><a href='#end'>to the end</a></nav>
<p>Text <em>em</em> <code>x</code> <sup>2</sup><br>next <span lang=de>Wort</span> <q>quote</q></p>
<ol><li>one<ul><li>a<li><p>b<p>c</ul><li>two</ol><ul><li><p>first</p><p>second</p><li>text<p>and more</ul>
<dl><dt>t<dd>d</dl><blockquote><p>q</blockquote><hr><pre>code</pre><div style='columns: 2'><p>left<p>right</div>
<h2>Table</h2><table><caption>Cap</caption><thead><tr><th>#<th>a<th>b</thead><tbody>{ROWS}</tbody>
<tfoot><tr><td colspan=2>sum<td>9</tfoot></table><table><tr><th>a<td>1<tr><th>b<td>2</table>
<h3>Pictures</h3><figure><img src='{RED}' alt='a red one'><figcaption>It</figcaption></figure>
<p>Said <img alt='' src='{RED}'> twice<svg width=9 height=9><title>a square</title><rect width=9 height=9 /></svg>
<div style='float: right; border: 1px solid; background: yellow'>floating</div>
<p id=end>End, <a href='https://example.org'>{LONG}</a></html>"""
MARKDOWN = """# Head\n\n- [x] done\n- [ ] open\n\n> quote\n\n```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n
1. one\n\n2. two\n\n   - three\n\nA note[^1] and a [link](https://example.org).\n\n![red](red.png)\n
[^1]: The note.\n"""
TEMPLATE = """<html lang=en><title>Invoice</title><h1>Invoice</h1><table><thead><tr><th>Item<th>Sum</thead><tbody>
{% for item in items %}<tr><td>{{ item }}<td>1{% endfor %}</tbody></table><p class=total>2"""
SOURCES: dict[str, dict[str, Any]] = {
    "html": {"html": HTML, "header": {"left": "{title}"}, "footer": {"right": "{page} of {pages}"}, "outline": True},
    "markdown": {"markdown": MARKDOWN, "theme": "report", "title": "T", "language": "en", "assets": {"red.png": RED}},
    "template": {"template": TEMPLATE, "data": {"items": ["tea", "cake"]}, "theme": "invoice"},
}
MORE = {"author": "Me (é)", "subject": "It", "keywords": ["a", "b"], "created": "2026-11-20"}


def faults(content: bytes, profile: str) -> set[str]:
    """The rules that a file violates."""
    found = {
        failure.rule_id: failure.message for failure in validator.validate_pdf_bytes(content, profile=profile).failures
    }
    # The validator takes a stream's last CR and the line end after it for one line end; qpdf goes by the length.
    with pikepdf.open(io.BytesIO(content)) as pdf:
        if not pdf.check_pdf_syntax():
            found = {rule: message for rule, message in found.items() if not rule.endswith("STREAM-LENGTH-001")}
    return set(found)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("level", ["1a", "1b", "2a", "2b", "2u", "3a", "3b", "3u"])
def test_an_archive_is_valid(run: Run, context: JobContext, level: str, source: str) -> None:
    attachments = [XML] if level.startswith("3") else []
    _, document = run(**SOURCES[source], **MORE, pdf_variant=f"pdf/a-{level}", attachments=attachments)
    assert faults(document.content, level) == set()
    assert context.warnings == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_for_screen_readers_is_valid(run: Run, context: JobContext, source: str) -> None:
    _, document = run(**SOURCES[source], **MORE, pdf_variant="pdf/ua-1")
    assert faults(document.content, "ua1") == set()
    _, document = run(**SOURCES[source], **MORE, pdf_variant="pdf/ua-2")
    assert faults(document.content, "ua1") == {"PDFUA1-HEADER-001", "PDFUA1-ID-PART-001"}
    assert context.warnings == []


def test_an_invoice_with_its_xml_is_valid(run: Run) -> None:
    _, document = run(**SOURCES["template"], facturx="EN 16931", attachments=[XML])
    assert faults(document.content, "3b") == set()


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        (f"<img src='{RED}'>", "PDFUA1-FIGURE-ALTERNATIVE-TEXT-001"),
        ("<svg width=9 height=9><rect width=9 height=9 /></svg>", "PDFUA1-FIGURE-ALTERNATIVE-TEXT-001"),
    ],
    ids=["picture", "drawing"],
)
def test_faults_that_the_validator_finds_were_warned_of(run: Run, context: JobContext, html: str, rule: str) -> None:
    _, document = run(html=f"<html lang=en><title>T</title><p>x{html}", pdf_variant="pdf/ua-1")
    assert faults(document.content, "ua1") == {rule}
    assert warned(context, "needs a text for each picture", "without one: 1")


def test_a_wrong_stream_length_is_still_a_fault(run: Run) -> None:
    _, document = run(html="<p>x", pdf_variant="pdf/a-2b")
    broken = re.sub(rb"/Length (\d\d+)", lambda found: b"/Length %d" % (int(found[1]) - 1), document.content, count=1)
    assert len(broken) == len(document.content)
    assert "PDFA2B-STREAM-LENGTH-001" in faults(broken, "2b")


@pytest.mark.parametrize("around", ["{}", "<div style='opacity: 0.5'>{}</div>"], ids=["page", "group"])
def test_decoration_is_no_part_of_the_structure(run: Run, around: str) -> None:
    html = "<html lang=en><title>T</title><p>x" + around.format(f"<img alt='' src='{RED}'>")
    _, document = run(html=html, pdf_variant="pdf/ua-1", strict=True)
    assert faults(document.content, "ua1") == set()
    with pikepdf.open(io.BytesIO(document.content)) as pdf:
        figures = [
            found for found in pdf.objects if isinstance(found, pikepdf.Dictionary) and found.get("/S") == "/Figure"
        ]
        assert all("/Alt" not in found for found in pdf.objects if isinstance(found, pikepdf.Dictionary))
        drawn = pikepdf.parse_content_stream(pdf.pages[0])
    marks = [str(one.operands[0]) for one in drawn if str(one.operator) in {"BMC", "BDC"}]
    assert "/Artifact" in marks or around != "{}"
    assert figures == []


def test_a_header_cell_beside_data_belongs_to_its_row(run: Run) -> None:
    html = (
        "<html lang=en><title>T</title><style>[scope] { color: red }</style><table><tr><th>a<td>1<tr><th>b<td>2</table>"
    )
    _, document = run(html=html, pdf_variant="pdf/ua-1", strict=True)
    assert faults(document.content, "ua1") == set()
    assert not document.has((255, 0, 0))
