"""Standards, metadata and embedded files of a PDF: what WeasyPrint leaves undone, found with validators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import weasyprint

from offloop.jobs.pdf import FACTURX_FILES, Page
from offloop.kinds.context import Context
from offloop_workers.pdf.rendering import tagging, xmp
from offloop_workers.pdf.rendering.fetcher import BASE

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DATA_ONLY: Final = ("MINIMUM", "BASIC WL")
_OPAQUE: Final = frozenset({"pdf/a-1a", "pdf/a-1b"})
_TAGGED: Final = frozenset({"pdf/a-1a", "pdf/a-2a", "pdf/a-3a"})


class Standard:
    """The standard that a file claims, applied at each step of its rendering.

    The methods are called in the order in which they stand here: `options` and `title` serve the layout.

    Args:
        page: the request.
        root: the parsed document.
        context: takes warnings, and opens the files to embed.

    Attributes:
        title: the caller's title, the document's, or its first heading.
        options: WeasyPrint's options, for the layout and for writing.
    """

    def __init__(self, page: Page, root: Element, context: Context) -> None:
        self._page = page
        self._root = root
        self._context = context
        self._variant = page.variant or ""
        self.title = page.title or _own_title(root)
        self.options: dict[str, Any] = {
            "presentational_hints": True,
            "pdf_variant": page.variant,
            "pdf_tags": page.tags,
            # Standards ask for a file identifier.
            "pdf_identifier": True if page.variant else None,
            "pdf_forms": page.forms or None,
            "optimize_images": page.optimize_images,
            "jpeg_quality": page.jpeg_quality,
            "dpi": page.image_dpi,
            "full_fonts": page.full_fonts,
        }

    def after_layout(self, document: Any) -> None:
        """Replace the document's metadata by the caller's, and prepare the elements for tagging."""
        metadata, page = document.metadata, self._page
        metadata.title = self.title
        metadata.authors = [page.author] if page.author else metadata.authors
        metadata.description = page.subject or metadata.description
        metadata.keywords = page.keywords or metadata.keywords
        metadata.created = _with_time(page.created or metadata.created)
        xmp.clean(metadata)
        xmp.extend(metadata, page)
        if page.tags or page.variant:
            tagging.prepare(self._root)

    def before_write(self, document: Any, files: ExitStack) -> None:
        """Attach the files to embed; they are read during the write, and stay open until `files` closes them."""
        page, moment = self._page, _created(self._page)
        for attachment in page.attachments:
            relationship = attachment.relationship
            if page.facturx and attachment.name in FACTURX_FILES and relationship == "Unspecified":
                relationship = "Data" if page.facturx in _DATA_ONLY else "Alternative"
            document.metadata.attachments.append(
                weasyprint.Attachment(
                    file_obj=files.enter_context(self._context.open(attachment.file)),
                    base_url=BASE,
                    url_fetcher=document.url_fetcher,
                    name=attachment.name,
                    description=attachment.description,
                    relationship=relationship,
                    created=moment,
                    modified=moment,
                )
            )

    def finish(self, _document: Any, pdf: Any) -> None:
        """Repair the finished PDF, as WeasyPrint's ``finisher``: called before the bytes are written."""
        tagging.repair(pdf)
        if not self._variant.startswith("pdf/a-"):
            return
        _leave_metadata_uncompressed(pdf)
        _forbid_interpolation(pdf)
        _link_files_once(pdf)
        if self._variant in _OPAQUE:
            self._remove_transparency(pdf)

    def _remove_transparency(self, pdf: Any) -> None:
        """PDF/A-1 forbids transparency, and WeasyPrint declares it for every drawing, used or not."""
        if any("SMask" in extra for extra in _streams(pdf)) or any(map(_is_translucent, _graphics_states(pdf))):
            self._context.warn(
                f"{self._variant} allows no transparency, but the document has opacity or pictures with an alpha "
                "channel: remove them, or use pdf/a-2b."
            )
            return
        for extra in _streams(pdf):
            extra.pop("Group", None)

    def check(self, document: Any) -> None:
        """Warn of requirements of the standard that the document does not meet."""
        warn = self._context.warn
        if self._variant.startswith("pdf/x-") and not document.color_profiles:
            warn(
                f"{self._variant} needs a colour profile of the printer: pass the .icc file in assets and name it in "
                "css with @color-profile device-cmyk { src: url(…) }."
            )
        if not self._variant.startswith("pdf/ua-") and self._variant not in _TAGGED:
            return
        if not document.metadata.lang:
            warn(f"{self._variant} needs the language of the text: set language.")
        if not document.metadata.title:
            warn(f"{self._variant} needs a title: set title.")
        if undescribed := tagging.undescribed_pictures(self._root):
            warn(
                f"{self._variant} needs a text for each picture (alt, or title in an svg; alt='' for decoration); "
                f"without one: {undescribed}."
            )


def _own_title(root: Element) -> str | None:
    texts = ("".join(element.itertext()) for tag in ("title", "h1") for element in root.iter(tag))
    return next(filter(None, (" ".join(text.split())[:500] for text in texts)), None)


def _with_time(moment: str | None) -> str | None:
    """A date completed by a time: XMP and the document information must agree, and the latter has seconds."""
    if not moment:
        return None
    day, _, time = moment.partition("T")
    day = "-".join([*day.split("-"), "01", "01"][:3])
    found = re.fullmatch(r"(\d\d:\d\d)(:\d\d)?(?:\.\d+)?(Z|[+-]\d\d:\d\d)", time)
    return f"{day}T{found[1]}{found[2] or ':00'}{found[3]}" if found else f"{day}T00:00:00Z"


def _created(page: Page) -> datetime:
    found = datetime.fromisoformat(page.created) if page.created else datetime.now(UTC)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _streams(pdf: Any) -> Iterator[dict[str, Any]]:
    return (found.extra for found in pdf.objects if isinstance(getattr(found, "extra", None), dict))


def _leave_metadata_uncompressed(pdf: Any) -> None:
    """PDF/A: metadata must be readable without decompression."""
    for found in pdf.objects:
        if getattr(found, "extra", {}).get("Type") == "/Metadata":
            found.compress = False


def _forbid_interpolation(pdf: Any) -> None:
    """PDF/A: a viewer must not smooth pictures."""
    for extra in _streams(pdf):
        if "Interpolate" in extra:
            extra["Interpolate"] = "false"


def _link_files_once(pdf: Any) -> None:
    """PDF/A-3: an embedded file is listed once in the catalog."""
    if files := pdf.catalog.get("AF"):
        files[:] = dict.fromkeys(files)


def _graphics_states(pdf: Any) -> Iterator[dict[str, Any]]:
    for found in pdf.objects:
        if isinstance(found, dict) and isinstance(found.get("ExtGState"), dict):
            yield from found["ExtGState"].values()


def _is_translucent(state: dict[str, Any]) -> bool:
    return "SMask" in state or any(float(state.get(name, 1)) < 1 for name in ("ca", "CA"))
