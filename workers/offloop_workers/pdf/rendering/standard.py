"""What the file is beyond its pages: metadata, embedded files, and the standard it conforms to."""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import weasyprint

from offloop.jobs.pdf import FACTURX_FILES, Page
from offloop.kinds.context import Context
from offloop_workers.pdf.rendering import tagging, xmp
from offloop_workers.pdf.rendering.fetcher import BASE

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DATA_ONLY = ("MINIMUM", "BASIC WL")


def options(page: Page) -> dict[str, Any]:
    """WeasyPrint's options, for layout and for writing."""
    return {
        "presentational_hints": True,
        "pdf_variant": page.variant,
        "pdf_tags": page.tags,
        # A file has an identifier where a standard asks for one.
        "pdf_identifier": True if page.variant else None,
        "pdf_forms": page.forms or None,
        "optimize_images": page.optimize_images,
        "jpeg_quality": page.jpeg_quality,
        "dpi": page.image_dpi,
        "full_fonts": page.full_fonts,
    }


def describe(document: Any, page: Page, root: Element) -> None:
    """Put the caller's metadata in the place of the document's own."""
    metadata = document.metadata
    metadata.title = title(page, root)
    metadata.authors = [page.author] if page.author else metadata.authors
    metadata.description = page.subject or metadata.description
    metadata.keywords = page.keywords or metadata.keywords
    metadata.created = _whole(page.created or metadata.created)
    xmp.clean(metadata)
    xmp.extend(metadata, page)


def _whole(moment: str | None) -> str | None:
    """A date with a time: XMP and the older metadata must say the same, and the older form has seconds."""
    if not moment:
        return None
    day, _, time = moment.partition("T")
    day = "-".join([*day.split("-"), "01", "01"][:3])
    found = re.fullmatch(r"(\d\d:\d\d)(:\d\d)?(?:\.\d+)?(Z|[+-]\d\d:\d\d)", time)
    return f"{day}T{found[1]}{found[2] or ':00'}{found[3]}" if found else f"{day}T00:00:00Z"


def title(page: Page, root: Element) -> str | None:
    """The argument, the document's title, or its first heading."""
    own = ("".join(element.itertext()) for tag in ("title", "h1") for element in root.iter(tag))
    return page.title or next(filter(None, (" ".join(text.split())[:500] for text in own)), None)


def embed(document: Any, page: Page, context: Context, files: ExitStack) -> None:
    """Attach the files; they are read while the document is written, and stay open until `files` closes them."""
    moment = _moment(page)
    for attachment in page.attachments:
        relationship = attachment.relationship
        if page.facturx and attachment.name in FACTURX_FILES and relationship == "Unspecified":
            relationship = "Data" if page.facturx in _DATA_ONLY else "Alternative"
        document.metadata.attachments.append(
            weasyprint.Attachment(
                file_obj=files.enter_context(context.open(attachment.file)),
                base_url=BASE,
                url_fetcher=document.url_fetcher,
                name=attachment.name,
                description=attachment.description,
                relationship=relationship,
                created=moment,
                modified=moment,
            )
        )


def _moment(page: Page) -> datetime:
    found = datetime.fromisoformat(page.created) if page.created else datetime.now(UTC)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def check(document: Any, page: Page, root: Element, context: Context) -> None:
    """Warn of what the standard asks for and the document lacks."""
    variant = page.variant or ""
    if variant.startswith("pdf/x-") and not document.color_profiles:
        context.warn(
            f"{variant} needs a colour profile of the printer: pass the .icc file in assets and name it in css with "
            "@color-profile device-cmyk { src: url(…) }."
        )
    if not variant.startswith("pdf/ua-") and variant not in {"pdf/a-1a", "pdf/a-2a", "pdf/a-3a"}:
        return
    if not document.metadata.lang:
        context.warn(f"{variant} needs the language of the text: set language.")
    if not document.metadata.title:
        context.warn(f"{variant} needs a title: set title.")
    if silent := tagging.silent(root):
        context.warn(
            f"{variant} needs a text for each picture (alt, or title in an svg; alt='' for decoration); without one: "
            f"{silent}."
        )
