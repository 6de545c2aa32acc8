"""PDF: HTML or Markdown becomes a paginated document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from offloop.job import Model, declare
from offloop.references import FileReference

Text = Annotated[str, Field(max_length=2_000_000)]
PageSize = Literal["A3", "A4", "A5", "letter", "legal", "ledger"]
Length = Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,3})?(mm|cm|in|pt|px)$", examples=["20mm", "0.75in"])]


class Page(Model):
    """What to render and on which paper."""

    html: Text | None = Field(None, description="An HTML document or fragment. Give this or markdown.")
    markdown: Text | None = Field(None, description="GitHub-flavoured Markdown. Give this or html.")
    css: Text | None = Field(None, description="Your own CSS, applied after the default theme.")
    title: Annotated[str, Field(max_length=500)] | None = Field(None, description="Document title (metadata).")
    page_size: PageSize = Field("A4", description="Paper.")
    landscape: bool = Field(default=False, description="Turn the paper by 90 degrees.")
    margin: Length = Field("20mm", description="Margin on all four sides, such as 20mm or 0.75in.")
    margin_top: Length | None = Field(None, description="Overrides margin at the top.")
    margin_right: Length | None = Field(None, description="Overrides margin at the right.")
    margin_bottom: Length | None = Field(None, description="Overrides margin at the bottom.")
    margin_left: Length | None = Field(None, description="Overrides margin at the left.")
    page_numbers: bool = Field(default=True, description="Print 'page / pages' at the foot of each page.")
    assets: dict[Annotated[str, Field(max_length=200)], FileReference] = Field(
        default_factory=dict,
        max_length=100,
        description="Files the document uses, by the name it uses for them: {'logo.png': 'artifact:<id>'}.",
    )
    name: Annotated[str, Field(min_length=1, max_length=120)] = Field("document.pdf", description="The file's name.")

    @model_validator(mode="after")
    def _one_source(self) -> Page:
        if (self.html is None) == (self.markdown is None):
            message = "give exactly one of html and markdown"
            raise ValueError(message)
        return self


class Pdf(Model):
    """What was made; the file itself is in the answer's ``artifacts``."""

    pages: int = Field(description="Number of pages.")
    size: int = Field(description="Size of the file in bytes.")
    title: str | None = Field(description="The document's title, from the argument or the document itself.")


MAX_PAGES = 2_000

render_pdf = declare(
    "render_pdf",
    Page,
    Pdf,
    description="""
        Render HTML or Markdown to a paginated PDF and return it as an artifact. Nothing is fetched from the network:
        pass images, fonts and stylesheets as assets or data: URLs. At most 2,000 pages.
    """,
    seconds=120,
    memory_mb=1536,
    queue="pdf",
    isolation="fork",
    pure=True,
    retries=2,
)
