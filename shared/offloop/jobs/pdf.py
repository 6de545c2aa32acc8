"""PDF rendering: a paginated document from HTML, Markdown, or a template with data."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from offloop.jobs.values import Instant, Language, Length
from offloop.kinds import spelling
from offloop.kinds.kind import Model, declare
from offloop.kinds.references import FileReference

Text = Annotated[str, Field(max_length=2_000_000)]
Line = Annotated[str, Field(max_length=500)]
AssetName = Annotated[str, Field(max_length=200)]
Variant = Literal[
    "pdf/a-1a",
    "pdf/a-1b",
    "pdf/a-2a",
    "pdf/a-2b",
    "pdf/a-2u",
    "pdf/a-3a",
    "pdf/a-3b",
    "pdf/a-3u",
    "pdf/a-4e",
    "pdf/a-4f",
    "pdf/ua-1",
    "pdf/ua-2",
    "pdf/x-1a",
    "pdf/x-3",
    "pdf/x-4",
    "pdf/x-5g",
]
Relationship = Literal["Source", "Data", "Alternative", "Supplement", "Unspecified"]
Theme = Literal["plain", "report", "invoice", "compact"]
Layout = Literal["auto", "as_is", "print_safe"]
FacturX = Literal["MINIMUM", "BASIC WL", "BASIC", "EN 16931", "EXTENDED", "XRECHNUNG"]

PAPERS = (
    *(f"{series}{number}" for series in "ABC" for number in range(11)),
    *(f"JIS-B{number}" for number in range(11)),
    *("letter", "legal", "ledger"),
)
MAX_PAGES = 2_000
PLACEHOLDERS = ("page", "pages", "title", "date")
FACTURX_FILES = ("factur-x.xml", "xrechnung.xml")

_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}
# A PDF page has at most 14,400 points a side.
_SHORTEST, _LONGEST = 10.0, 5080.0
_SIDE = r"(\d{1,5}(?:\.\d{1,3})?)\s*(mm|cm|in|pt|px)"
_SIDES = re.compile(rf"{_SIDE}\s*[x\u00d7*]\s*{_SIDE}", re.IGNORECASE)
_ONE_UNIT = re.compile(r"([\d.]{1,9})\s*([x\u00d7*])\s*([\d.]{1,9})\s*(mm|cm|in|pt|px)", re.IGNORECASE)
_TURNED = re.compile(r"[\s,_-]*\b(landscape|portrait)\b[\s,_-]*", re.IGNORECASE)
_STANDARD = re.compile(r"^(us|iso|din)[\s_-]+", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


def sides(paper: str) -> tuple[str, str] | None:
    """Width and height of a paper given as such (``100mm x 150mm``), as CSS lengths; None for one with a name."""
    found = _SIDES.fullmatch(_ONE_UNIT.sub(r"\1\4 \2 \3\4", paper.strip()))
    return (f"{found[1]}{found[2].lower()}", f"{found[3]}{found[4].lower()}") if found else None


def millimetres(length: str) -> float:
    """A CSS length such as ``0.75in``, in millimetres."""
    return float(length[:-2]) * _MILLIMETRES[length[-2:]]


def _paper(text: str) -> str:
    if own := sides(text):
        if not all(_SHORTEST <= millimetres(side) <= _LONGEST for side in own):
            message = f"each side of a page_size has {_SHORTEST:.0f}mm to {_LONGEST:,.0f}mm"
            raise ValueError(message)
        return f"{own[0]} x {own[1]}"
    if (name := spelling.match(_STANDARD.sub("", text.strip()), PAPERS)) is not None:
        return name
    message = "page_size is A0-A10, B0-B10, C0-C10, JIS-B0-JIS-B10, letter, legal, ledger, or like '100mm x 150mm'"
    raise ValueError(message)


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        message = "the date lies outside the years 1 to 9999 in UTC"
        raise ValueError(message) from None
    return text


def _placeholders(text: str) -> str:
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            message = f"{{{name}}} means nothing here; there are {known}"
            raise ValueError(message)
    return text


PageSize = Annotated[str, Field(max_length=40, examples=["A4", "letter", "100mm x 150mm"]), AfterValidator(_paper)]
Slot = Annotated[str, Field(max_length=500), AfterValidator(_placeholders)]
Moment = Annotated[Instant, AfterValidator(_moment)]


class Band(Model):
    """A line in the margin of every page: plain text with {page}, {pages}, {title} and {date}."""

    left: Slot = Field("", description="Plain text; {page}, {pages}, {title}, {date} are filled in.")
    center: Slot = Field("", description="The same, in the middle.")
    right: Slot = Field("", description="The same, on the right.")


class Attachment(Model):
    """A file inside the PDF."""

    file: FileReference
    name: str = Field(min_length=1, max_length=120, description="Its name in the PDF, such as factur-x.xml.")
    description: Line = Field("", description="What a reader shows beside the name.")
    relationship: Relationship = Field("Unspecified", description="What it is to the document (PDF/A-3).")


class Source(Model):
    """Source of a document: HTML, Markdown, or a template with its data."""

    html: Text | None = Field(None, description="An HTML document or fragment. Give one of html, markdown, template.")
    markdown: Text | None = Field(None, description="GitHub-flavoured Markdown.")
    template: Text | None = Field(
        None, description="A Jinja template of HTML, filled with data; it may include assets that are templates."
    )
    data: dict[str, JsonValue] | None = Field(None, description="The values of the template.")
    css: Text | None = Field(None, description="Your own CSS, applied after everything else.")
    theme: Theme | None = Field(
        None,
        description="Built-in looks; plain has none. Left out: a default for documents without styles of their own.",
    )
    assets: dict[AssetName, FileReference] = Field(
        default_factory=dict,
        max_length=100,
        description="Files the document uses, by the name it uses for them: {'logo.png': 'artifact:<id>'}.",
    )
    allow_fetch: bool = Field(
        default=False, description="Fetch https resources the document names, if this server permits it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Source:
        if sum(source is not None for source in (self.html, self.markdown, self.template)) != 1:
            message = "give exactly one of html, markdown and template"
            raise ValueError(message)
        if self.data is not None and self.template is None:
            message = "data fills a template: send the markup as template instead of html or markdown"
            raise ValueError(message)
        return self


class Paper(Model):
    """Paper, margins, and what is printed in them."""

    page_size: PageSize = Field("A4", description="Paper: a name such as A4 or letter, or width x height.")
    landscape: bool = Field(default=False, description="Turn the paper by 90 degrees.")
    margin: Length = Field("20mm", description="Margin on all four sides, such as 20mm or 0.75in.")
    margin_top: Length | None = Field(None, description="Overrides margin at the top.")
    margin_right: Length | None = Field(None, description="Overrides margin at the right.")
    margin_bottom: Length | None = Field(None, description="Overrides margin at the bottom.")
    margin_left: Length | None = Field(None, description="Overrides margin at the left.")
    header: Band | None = Field(None, description="Text at the head of each page.")
    footer: Band | None = Field(None, description="Text at the foot of each page, instead of the page numbers.")
    page_numbers: bool = Field(default=True, description="Print 'page / pages' at the foot, unless footer is given.")
    layout: Layout = Field(
        "auto",
        description="Flex and grid boxes around whole pages are laid out very slowly. auto: as blocks where that would "
        "take seconds; print_safe: always; as_is: never.",
    )
    max_pages: int = Field(MAX_PAGES, ge=1, le=MAX_PAGES, description="Fail beyond this many pages.")

    @model_validator(mode="before")
    @classmethod
    def _turned(cls, given: Any) -> Any:
        """``A4 landscape``, as CSS writes it, becomes the paper and `landscape`."""
        paper = given.get("page_size") if isinstance(given, dict) else None
        if not isinstance(paper, str) or not (found := _TURNED.search(paper)):
            return given
        landscape = found[1].lower() == "landscape"
        if given.get("landscape") not in (None, "", landscape, str(landscape).lower()):
            message = f"page_size {paper[:40]!r} and landscape contradict each other: leave one of them out"
            raise ValueError(message)
        return {**given, "page_size": _TURNED.sub("", paper, count=1), "landscape": landscape}


class Page(Paper, Source):
    """Arguments of `render_pdf`: source, paper, and properties of the file."""

    title: Line | None = Field(None, description="Document title. Default: the document's own.")
    author: Line | None = Field(None, description="Who wrote it (metadata).")
    subject: Line | None = Field(None, description="What it is about (metadata).")
    keywords: list[Annotated[str, Field(max_length=100)]] = Field(
        default_factory=list, max_length=50, description="Keywords (metadata)."
    )
    language: Language | None = Field(None, description="Language of the text, such as en or pt-BR.")
    created: Moment | None = Field(None, description="Date (metadata, and {date}), such as 2026-11-20.")
    pdf_variant: Variant | None = Field(None, description="A standard to conform to: archive, access, print.")
    tags: bool = Field(default=False, description="Tag the structure, for screen readers.")
    outline: bool = Field(default=True, description="Bookmarks from the headings.")
    forms: bool = Field(default=False, description="Make input fields that can be filled in.")
    attachments: list[Attachment] = Field(default_factory=list, max_length=20, description="Files to embed.")
    facturx: FacturX | None = Field(
        None, description="Mark the file as Factur-X/ZUGFeRD of this profile; attach factur-x.xml. Implies PDF/A-3."
    )
    optimize_images: bool = Field(default=False, description="Make embedded images smaller, without loss.")
    image_dpi: int | None = Field(None, ge=36, le=1200, description="Scale embedded images down to this resolution.")
    jpeg_quality: int | None = Field(None, ge=1, le=95, description="Compress embedded JPEGs again.")
    full_fonts: bool = Field(default=False, description="Embed whole fonts, not only the characters used.")
    strict: bool = Field(default=False, description="Fail, and list what was wrong, instead of warning.")
    name: Annotated[str, Field(min_length=1, max_length=120)] = Field("document.pdf", description="The file's name.")

    @model_validator(mode="before")
    @classmethod
    def _dated(cls, given: Any) -> Any:
        """A page that prints its date is another page tomorrow: the date becomes part of the request."""
        if isinstance(given, dict) and not given.get("created"):
            bands = [given.get("header"), given.get("footer")]
            texts = [text for band in bands if isinstance(band, dict) for text in band.values()]
            if any("{date}" in text for text in texts if isinstance(text, str)):
                return {**given, "created": datetime.now(UTC).date().isoformat()}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Page:
        if fault := _facturx_fault(self) or _attachment_fault(self):
            raise ValueError(fault)
        return self

    @property
    def variant(self) -> Variant | None:
        """The standard the file will claim."""
        return self.pdf_variant or ("pdf/a-3b" if self.facturx else None)


def _attachment_fault(page: Page) -> str:
    variant = page.variant or ""
    may = not variant.startswith(("pdf/a-", "pdf/x-")) or variant.startswith("pdf/a-3") or variant == "pdf/a-4f"
    if page.attachments and not may:
        return f"{variant} allows no attachments: use pdf/a-3b, or leave pdf_variant or attachments out"
    if variant == "pdf/a-4f" and not page.attachments:
        return "pdf/a-4f is for documents with attachments: add some, or use pdf/a-3b"
    names = [attachment.name for attachment in page.attachments]
    if double := {name for name in names if names.count(name) > 1}:
        return f"two attachments are called {min(double)!r}: give each a name of its own"
    if page.forms and variant.startswith(("pdf/a-", "pdf/x-")):
        return f"{variant} allows no form fields that are drawn by the reader: leave forms or pdf_variant out"
    return ""


def _facturx_fault(page: Page) -> str:
    if page.facturx is None:
        return ""
    if not (page.variant or "").startswith("pdf/a-3"):
        return f"facturx needs PDF/A-3, not {page.variant}: use pdf/a-3b or leave pdf_variant out"
    if not any(attachment.name in FACTURX_FILES for attachment in page.attachments):
        return "facturx needs the invoice's XML in attachments, named factur-x.xml (or xrechnung.xml)"
    return ""


class Timings(Model):
    """Time spent in each step, in seconds of wall clock."""

    parse: float = Field(description="Template, Markdown, HTML.")
    layout: float = Field(description="Styles, resources and pages.")
    write: float = Field(description="Fonts, pictures and the file.")


class Pdf(Model):
    """Output of `render_pdf`; the file is in the answer's ``artifacts``."""

    pages: int = Field(description="Number of pages.")
    size: int = Field(description="Size of the file in bytes.")
    title: str | None = Field(description="The document's title, from the argument or the document itself.")
    variant: str | None = Field(None, description="The standard the file claims to conform to.")
    layout: Literal["as_is", "print_safe"] = Field("as_is", description="print_safe: wrappers became blocks.")
    fonts: list[str] = Field(default_factory=list, description="Embedded font families.")
    timings: Timings | None = Field(None, description="Where the time went.")


render_pdf = declare(
    "render_pdf",
    Page,
    Pdf,
    description="""
        Render HTML, Markdown, or a Jinja template with JSON data to a paginated PDF and return it as an artifact.
        Nothing is fetched from the network unless allow_fetch says so: pass images, fonts and stylesheets as assets or
        data: URLs. What could not be done is in warnings. At most 2,000 pages.
    """,
    seconds=120,
    memory_mb=1536,
    pages=MAX_PAGES,
    fetches=100,
    family="pdf",
    queue="pdf",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)
