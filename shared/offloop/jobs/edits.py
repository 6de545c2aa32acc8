"""Steps of ``edit_pdf``, one model each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from offloop.jobs.values import Colour, PageRanges
from offloop.kinds.kind import Model
from offloop.kinds.references import FileReference

MAX_PASSWORD_BYTES = 127
Password = Annotated[str, Field(max_length=MAX_PASSWORD_BYTES)]
Line = Annotated[str, Field(max_length=500)]

_RANGES = "Pages, such as '1-3,7,-1' (-1: the last), '5-', 'odd', 'even', 'all'; in the order given."


class Merge(Model):
    """Join all documents to one, in order; bookmarks, links, named destinations, forms and page labels are kept."""

    op: Literal["merge"]
    bookmarks: bool = Field(default=True, description="One bookmark for each file, with the file's own below it.")


class Select(Model):
    """Keep only these pages of each document; also reorders and repeats."""

    op: Literal["select"]
    pages: PageRanges = Field(description=_RANGES)


class Split(Model):
    """Make several documents of each: one for every N pages, or one for each range."""

    op: Literal["split"]
    every: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, description="Pages of each part.")
    ranges: Annotated[list[PageRanges], Field(min_length=1, max_length=200)] | None = Field(
        None, description="One part for each, such as ['1-3', '4-']."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        if (self.every is None) == (self.ranges is None):
            message = "split: give exactly one of every and ranges"
            raise ValueError(message)
        return self


class Rotate(Model):
    """Rotate pages."""

    op: Literal["rotate"]
    degrees: Literal[90, 180, 270] = Field(description="Clockwise, in addition to how the page is turned already.")
    pages: PageRanges = Field("all", description=_RANGES)


Position = Literal[
    "center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right", "fill"
]


class Stamp(Model):
    """Draw a text, a picture or a page of another PDF on pages: watermark, page numbers, letterhead, signature."""

    op: Literal["stamp"]
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="Text; {page} and {pages} become numbers. Give this or file."
    )
    file: FileReference | None = Field(None, description="A picture or a PDF. Give this or text.")
    file_page: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="Which page, where the file is a PDF.")
    pages: PageRanges = Field("all", description=_RANGES)
    layer: Literal["over", "under"] = Field("over", description="Above or below what the page shows already.")
    position: Position = Field("center", description="Where; fill: as large as the page allows.")
    margin_mm: Annotated[float, Field(ge=0, le=500)] = Field(10, description="Distance from the edges.")
    width_percent: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="Width as a share of the page's; without it, the natural size, shrunk to fit."
    )
    rotate: Annotated[float, Field(ge=-360, le=360)] = Field(0, description="Degrees counter-clockwise.")
    opacity: Annotated[float, Field(gt=0, le=1)] = Field(1, description="1 is solid.")
    font_size: Annotated[float, Field(ge=1, le=500)] = Field(12, description="Points, for text.")
    color: Colour = Field("#000000", description="For text.")
    bold: bool = Field(default=False, description="For text.")

    @model_validator(mode="after")
    def _one_source(self) -> Stamp:
        if (self.text is None) == (self.file is None):
            message = "stamp: give exactly one of text and file"
            raise ValueError(message)
        return self


Permission = Literal["print", "copy", "modify", "annotate", "fill_forms", "assemble"]


class Encrypt(Model):
    """Encrypt the result with AES-256."""

    op: Literal["encrypt"]
    user_password: Password = Field("", description="Needed to open the file; empty: it opens without a password.")
    owner_password: Password = Field("", description="Gives all rights; empty: the user password, or a random one.")
    allow: list[Permission] = Field(
        ["print", "copy", "modify", "annotate", "fill_forms", "assemble"],
        max_length=6,
        description="Permissions that the user password gives (viewers honour them; they are no protection).",
    )

    @model_validator(mode="after")
    def _some_password(self) -> Encrypt:
        if not self.user_password and not self.owner_password:
            message = "encrypt: give user_password, owner_password or both"
            raise ValueError(message)
        for name, password in (("user_password", self.user_password), ("owner_password", self.owner_password)):
            if (size := len(password.encode())) > MAX_PASSWORD_BYTES:
                message = (
                    f"encrypt: {name} has {size} bytes in UTF-8, a PDF takes {MAX_PASSWORD_BYTES}, and readers differ "
                    "in what they do with more: choose a shorter one"
                )
                raise ValueError(message)
        return self


class Decrypt(Model):
    """Write without encryption what was opened with its password."""

    op: Literal["decrypt"]


class Optimise(Model):
    """Make the file smaller without changing what it shows, or ready for page-by-page loading."""

    op: Literal["optimise"]
    linearise: bool = Field(default=False, description="Fast web view: the first page shows before all has arrived.")


Relationship = Literal["Source", "Data", "Alternative", "Supplement", "Unspecified"]


class Attachment(Model):
    """A file to put inside a PDF."""

    file: FileReference = Field(description="The file: artifact:<id>, data:… or root:<name>/<path>.")
    name: Annotated[str, Field(min_length=1, max_length=120)] = Field(description="Its name inside the PDF.")
    mime_type: Annotated[str, Field(pattern=r"^[\w.+-]{1,100}/[\w.+-]{1,100}$")] = Field(
        "application/octet-stream", description="Its type, such as text/xml."
    )
    description: Line = Field("", description="Shown by viewers.")
    relationship: Relationship = Field(
        "Unspecified", description="To the document; Factur-X and ZUGFeRD ask for Alternative or Data."
    )


class Attach(Model):
    """Put files inside each document."""

    op: Literal["attach"]
    files: Annotated[list[Attachment], Field(min_length=1, max_length=50)] = Field(description="The files.")


class Metadata(Model):
    """Change the metadata; what is left out stays, an empty text removes."""

    op: Literal["metadata"]
    title: Line | None = Field(None, description="Title.")
    author: Line | None = Field(None, description="Author.")
    subject: Line | None = Field(None, description="Subject.")
    keywords: Annotated[list[Line], Field(max_length=100)] | None = Field(None, description="Keywords.")
    language: Annotated[str, Field(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4})?$")] | None = Field(
        None, description="Language, such as en or pt-BR."
    )
    clear: bool = Field(default=False, description="First remove all metadata there is.")


class Sanitise(Model):
    """Remove what a viewer could run or open: scripts, launched programs, multimedia; and more where asked."""

    op: Literal["sanitise"]
    attachments: bool = Field(default=False, description="Remove embedded files too.")
    links: bool = Field(default=False, description="Remove links to the web too.")


class Flatten(Model):
    """Make form fields and annotations part of the page, as they look now."""

    op: Literal["flatten"]


Operation = Annotated[
    Merge | Select | Split | Rotate | Stamp | Encrypt | Decrypt | Optimise | Attach | Metadata | Sanitise | Flatten,
    Field(discriminator="op"),
]
