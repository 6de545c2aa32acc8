"""Existing PDFs: editing, previews as pictures, text extraction, description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from offloop.jobs.edits import Operation, Password
from offloop.jobs.values import PageRanges
from offloop.kinds.kind import Model, declare
from offloop.kinds.references import FileReference

MAX_FILE_BYTES = 256 << 20
MAX_PAGES = 10_000
MAX_DOCUMENTS = 200
MAX_PREVIEWS = 50
MAX_PREVIEW_PIXELS = 25_000_000
MAX_ALL_PREVIEW_PIXELS = 200_000_000
MAX_CHARACTERS = 200_000

_FILE = "The PDF: artifact:<id>, data:… or root:<name>/<path>."
_PAGES = "Pages, such as '1-3,7,-1' (-1: the last), '5-', 'odd', 'all'."

Name = Annotated[str, Field(min_length=1, max_length=120)]


class Source(Model):
    """One PDF to work on."""

    file: FileReference = Field(description=_FILE)
    password: Password | None = Field(None, description="Where it is encrypted: the owner password, or the user's.")
    pages: PageRanges | None = Field(None, description=f"Use only these. {_PAGES}")
    title: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Its bookmark after merge; without it, its own title or its name."
    )


class Edit(Model):
    """Arguments of `edit_pdf`: sources and steps."""

    sources: Annotated[list[Source], Field(min_length=1, max_length=100)] = Field(
        description="The PDFs. Each step works on all of them; merge makes one of them."
    )
    operations: Annotated[list[Operation], Field(max_length=30)] = Field(
        default_factory=list, description="Steps, in order, such as [{'op': 'merge'}, {'op': 'rotate', 'degrees': 90}]."
    )
    name: Name = Field("document.pdf", description="The file's name; numbered where there are several.")


class EditedPdf(Model):
    """One PDF that was made."""

    name: str = Field(description="Name of the artifact.")
    pages: int = Field(description="Number of pages.")
    size: int = Field(description="Bytes.")


class Edited(Model):
    """Output of `edit_pdf`; the files are in the answer's ``artifacts``, in the same order."""

    documents: list[EditedPdf] = Field(description="One entry for each PDF.")
    pages: int = Field(description="Pages of all of them.")
    size: int = Field(description="Bytes of all of them.")
    source_size: int = Field(description="Bytes of the sources.")


edit_pdf = declare(
    "edit_pdf",
    Edit,
    Edited,
    description="""
        Change existing PDFs by a list of steps: merge (bookmarks and links kept), select and reorder pages, split,
        rotate, stamp (watermark, page numbers), encrypt, decrypt, optimise, attach files, metadata, sanitise (remove
        scripts), flatten forms. To make a PDF of text, use render_pdf.
    """,
    seconds=120,
    memory_mb=1536,
    artifacts=MAX_DOCUMENTS,
    pages=MAX_PAGES,
    family="pdf",
    queue="pdf",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)


class ToPreview(Model):
    """Arguments of `preview_pdf`: pages and size."""

    file: FileReference = Field(description=_FILE)
    password: Password | None = Field(None, description="Where it is encrypted.")
    pages: PageRanges = Field("1", description=f"{_PAGES} At most {MAX_PREVIEWS}.")
    width: Annotated[int, Field(ge=16, le=8_000)] | None = Field(None, description="Pixels across; replaces dpi.")
    dpi: Annotated[int, Field(ge=9, le=600)] = Field(96, description="Pixels per inch.")
    format: Literal["png", "webp", "jpeg"] = Field("png", description="Format of the pictures.")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(85, description="For WebP and JPEG.")
    name: Name = Field("page", description="Start of the pictures' names: page-1.png, …")


class Preview(Model):
    """The picture of one page."""

    page: int = Field(description="Page number, from 1.")
    name: str = Field(description="Name of the artifact.")
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    size: int = Field(description="Bytes.")


class Previews(Model):
    """Output of `preview_pdf`; the pictures are in the answer's ``artifacts``, in the same order."""

    previews: list[Preview] = Field(description="One for each page asked for.")
    pages: int = Field(description="Pages of the whole document.")


preview_pdf = declare(
    "preview_pdf",
    ToPreview,
    Previews,
    description=f"""
        Draw pages of a PDF as pictures (PNG, WebP or JPEG), to look at the layout or to read a scan. Filled form
        fields and annotations are drawn. At most {MAX_PREVIEWS} pages a call.
    """,
    seconds=90,
    memory_mb=1024,
    artifacts=MAX_PREVIEWS,
    pages=MAX_PAGES,
    pixels=MAX_ALL_PREVIEW_PIXELS,
    sandbox="strict",
    family="pdf",
    queue="pdf",
    isolation="fork",
    pure=True,
    retries=1,
)


class ToRead(Model):
    """Arguments of `extract_pdf_text`."""

    file: FileReference = Field(description=_FILE)
    password: Password | None = Field(None, description="Where it is encrypted.")
    pages: PageRanges = Field("all", description=_PAGES)
    search: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Answer only pages that hold this text; upper and lower case are the same."
    )
    layout: bool = Field(default=False, description="Keep columns apart with spaces, for tables; else reading order.")
    max_characters: Annotated[int, Field(ge=100, le=MAX_CHARACTERS)] = Field(
        20_000, description="Stop before the page that would go beyond; next_page says where to go on."
    )


class PageText(Model):
    """The text of one page."""

    page: int = Field(description="Page number, from 1.")
    text: str = Field(description="Its text; empty where there is none, as in a scan.")


class PdfText(Model):
    """The text that was read."""

    texts: list[PageText] = Field(description="In the order asked for.")
    pages: int = Field(description="Pages of the whole document.")
    characters: int = Field(description="Characters in texts.")
    next_page: int | None = Field(description="Ask for pages from here on to read more; null at the end.")


extract_pdf_text = declare(
    "extract_pdf_text",
    ToRead,
    PdfText,
    description="""
        Read the text of a PDF, page by page, in parts; search for a text. Does not recognise text in pictures: look
        at a scan with preview_pdf.
    """,
    seconds=90,
    memory_mb=1024,
    pages=MAX_PAGES,
    sandbox="strict",
    family="pdf",
    queue="pdf",
    isolation="fork",
    pure=True,
    retries=1,
)


class ToDescribe(Model):
    """Arguments of `describe_pdf`."""

    file: FileReference = Field(description=_FILE)
    password: Password | None = Field(None, description="Where it is encrypted.")


class PaperSize(Model):
    """Pages of one size."""

    width_mm: float = Field(description="As shown, after rotation.")
    height_mm: float = Field(description="As shown, after rotation.")
    pages: int = Field(description="How many.")


class Bookmark(Model):
    """One entry of the outline."""

    title: str = Field(description="What it says.")
    level: int = Field(description="1 at the top.")
    page: int | None = Field(description="Where it leads; null where that is no page of this document.")


class FontUse(Model):
    """One font."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its type.")
    embedded: bool = Field(description="Whether the file holds it.")


class EmbeddedFile(Model):
    """One file inside the PDF."""

    name: str = Field(description="Its name.")
    size: int | None = Field(description="Bytes, as the PDF says.")
    relationship: str | None = Field(description="Relationship to the document, as the PDF says.")


class FormField(Model):
    """One field of a form."""

    name: str = Field(description="Its full name.")
    type: str = Field(description="text, button, choice or signature.")
    value: str | None = Field(description="What it holds.")


class Security(Model):
    """Encryption and what could run."""

    encrypted: bool = Field(description="Whether the file is encrypted.")
    method: str | None = Field(description="How.")
    denied: list[str] = Field(description="What its owner does not permit.")
    javascript: bool = Field(description="Whether it holds scripts.")
    actions: list[str] = Field(description="Other things it can do by itself or at a click, such as Launch or URI.")
    signatures: int = Field(description="Digital signatures; they are counted, not verified.")


class Description(Model):
    """Output of `describe_pdf`."""

    version: str = Field(description="PDF version.")
    pages: int = Field(description="Number of pages.")
    sizes: list[PaperSize] = Field(description="Page sizes, the most frequent first.")
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Digest of the file.")
    linearised: bool = Field(description="Ready for page-by-page loading.")
    title: str | None = Field(description="Metadata.")
    author: str | None = Field(description="Metadata.")
    subject: str | None = Field(description="Metadata.")
    keywords: str | None = Field(description="Metadata.")
    creator: str | None = Field(description="Program that wrote the document.")
    producer: str | None = Field(description="Program that made the PDF.")
    created: str | None = Field(description="As the file says; ISO 8601 where it can be understood.")
    modified: str | None = Field(description="As the file says; ISO 8601 where it can be understood.")
    custom: dict[str, str] = Field(description="Other entries of the metadata; the first 50.")
    language: str | None = Field(description="Language of the text.")
    tagged: bool = Field(description="Whether it has a structure for readers with disabilities.")
    labels: list[str] = Field(description="Page numbers as viewers show them, where they differ: '1-4: i-iv'.")
    claims: list[str] = Field(description="Standards its metadata claims, such as PDF/A-3B; claims are not checked.")
    security: Security = Field(description="Encryption and what could run.")
    outline: list[Bookmark] = Field(description="The first 200 bookmarks.")
    fonts: list[FontUse] = Field(description="The first 100 fonts.")
    images: int = Field(description="Different pictures on the pages.")
    fields: list[FormField] = Field(description="The first 100 form fields.")
    attachments: list[EmbeddedFile] = Field(description="The first 100 files inside.")


describe_pdf = declare(
    "describe_pdf",
    ToDescribe,
    Description,
    description="""
        Tell what a PDF is without changing it: pages and paper sizes, metadata, outline, fonts, form fields, files
        inside, encryption, scripts, signatures, PDF/A and PDF/UA claims.
    """,
    seconds=60,
    memory_mb=1024,
    pages=MAX_PAGES,
    sandbox="strict",
    family="pdf",
    queue="pdf",
    isolation="fork",
    pure=True,
    retries=2,
)
