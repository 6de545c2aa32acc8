"""Stamp content: a text, a picture or a page, as a form XObject of the target document."""

from __future__ import annotations

import html
import io
import logging
from dataclasses import dataclass
from typing import Any

import pikepdf
import weasyprint
from pikepdf import Dictionary, Name, Object
from PIL import Image
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.edits import Stamp
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.pdf.editing import flattening
from offloop_workers.pdf.editing.placing import encoded
from offloop_workers.pdf.reading import opening, trees, visible
from offloop_workers.raster import depth, frames, orientation, reading
from offloop_workers.raster.upright import upright
from offloop_workers.raster.warned import Named

_MAX_PIXELS = 40_000_000
_POINTS_PER_PIXEL = 0.75
_PAPER = 5_000
"""Side of the paper that texts are laid out on, in CSS pixels (96 to an inch)."""
_STYLE = """
@page {{ size: {paper}px; margin: 0 }}
body {{ margin: 0; font: {weight} {size}pt 'Source Sans 3', sans-serif; color: {color} }}
div {{ float: left; clear: both; white-space: pre; break-before: page; line-height: 1.2 }}
div:first-child {{ break-before: auto }}
"""


@dataclass(frozen=True, slots=True)
class StampContent:
    """A form XObject of the target document, and its size in points."""

    form: Object
    width: float
    height: float


def from_texts(stamp: Stamp, lines: list[str], pdf: pikepdf.Pdf, context: Context) -> list[StampContent]:
    """Each text as stamp content, shaped and with embedded fonts, so that every script has its glyphs."""
    body = "".join(f'<div id="t{number}">{html.escape(line)}</div>' for number, line in enumerate(lines))
    style = _STYLE.format(
        paper=_PAPER, weight="bold" if stamp.bold else "normal", size=stamp.font_size, color=stamp.color
    )
    missing = _MissingGlyphs()
    with missing:
        document = weasyprint.HTML(string=f"<style>{style}</style>{body}", url_fetcher=_NoFetcher()).render(
            font_config=FontConfiguration()
        )
        data = document.write_pdf()
    if missing.found:
        context.warn(
            f"No font has {', '.join(list(missing.found)[:10])}: drawn as empty boxes. Stamp a picture or PDF instead."
        )
    with pikepdf.open(io.BytesIO(data)) as source:
        contents = []
        for number, (laid_out, page) in enumerate(zip(document.pages, source.pages, strict=True)):
            left, top, right, bottom = (value * _POINTS_PER_PIXEL for value in laid_out.anchors[f"t{number}"])
            height = _PAPER * _POINTS_PER_PIXEL
            box = pikepdf.Array([left, height - bottom, max(right, left + 1), height - top])
            page.mediabox = page.cropbox = page.trimbox = box
            contents.append(_from_page(page, pdf))
        return contents


def from_file(reference: FileReference, number: int, pdf: pikepdf.Pdf, context: Context) -> StampContent:
    """A picture, or a page of another PDF, as stamp content.

    Raises:
        JobError: the file is neither, or has no such page.
    """
    with context.open(reference) as file:
        head = file.read(1024)
    if b"%PDF-" not in head:
        return _from_picture(reference, pdf, context)
    with opening.inspected(opening.content(reference, context), None, context, "The stamp's file") as found:
        if number > found.found:
            message = f"stamp: there is no page {number}: the stamp's file has {found.found}."
            raise JobError(message, code="bad_input")
        found.check_pages([number - 1], context, refuse=True)
        if not _has_annotations(found.pages[number - 1]):
            return _from_page(found.pages[number - 1], pdf)
        drawn, _ = flattening.flatten(found.pdf)
        return _from_page(drawn.pages[number - 1], pdf)


def _has_annotations(page: pikepdf.Page) -> bool:
    return any(note.get("/Subtype") not in (Name.Link, Name.Popup) for note in trees.page_annotations(page))


def _from_page(page: pikepdf.Page, pdf: pikepdf.Pdf) -> StampContent:
    """The visible part of a page, trimmed where it has a TrimBox, upright and in points."""
    seen = visible.view(page)
    trim = visible.box(visible.inherited(page, "/TrimBox"))
    left, bottom, right, top = (trim and visible.overlap(trim, seen.box)) or seen.box
    drawn = page.as_form_xobject(handle_transformations=False)
    drawn.BBox = pikepdf.Array([left, bottom, right, top])
    # A transparency group is blended as a whole, so overlaps inside a translucent stamp do not show.
    drawn.Group = Dictionary(S=Name.Transparency)
    upright = seen.matrix.inverse()
    shown = upright.transform(pikepdf.Rectangle(left, bottom, right, top))
    to_origin = upright @ pikepdf.Matrix(1, 0, 0, 1, -shown.llx, -shown.lly)
    wrapper = pdf.make_stream(encoded(to_origin) + b" cm /Inner Do")
    wrapper.Type, wrapper.Subtype = Name.XObject, Name.Form
    wrapper.BBox = pikepdf.Array([0, 0, shown.width, shown.height])
    wrapper.Group = Dictionary(S=Name.Transparency)
    wrapper.Resources = Dictionary(XObject=Dictionary(Inner=pdf.copy_foreign(drawn)))
    return StampContent(pdf.make_indirect(wrapper), shown.width, shown.height)


def _from_picture(reference: FileReference, pdf: pikepdf.Pdf, context: Context) -> StampContent:
    picture = _upright(reference, context)
    opacity = picture.getchannel("A") if "A" in picture.mode else None
    opaque = picture.convert(picture.mode.removesuffix("A"))
    drawn = pdf.make_stream(opaque.tobytes(), **_pixels(opaque))
    if opacity is not None and min(opacity.tobytes()) < 255:  # noqa: PLR2004 -- opaque
        drawn.SMask = pdf.make_stream(opacity.tobytes(), **_pixels(opacity))
    wrapper = pdf.make_stream(b"%d 0 0 %d 0 0 cm /Inner Do" % picture.size)
    wrapper.Type, wrapper.Subtype = Name.XObject, Name.Form
    wrapper.BBox = pikepdf.Array([0, 0, *picture.size])
    wrapper.Resources = Dictionary(XObject=Dictionary(Inner=pdf.make_indirect(drawn)))
    wrapper.Matrix = pikepdf.Array([_POINTS_PER_PIXEL, 0, 0, _POINTS_PER_PIXEL, 0, 0])
    width, height = picture.width * _POINTS_PER_PIXEL, picture.height * _POINTS_PER_PIXEL
    return StampContent(pdf.make_indirect(wrapper), width, height)


def _upright(reference: FileReference, context: Context) -> Image.Image:
    """The picture in sRGB, in one of the modes L, LA, RGB and RGBA."""
    warned = Named("The stamp's picture", context)
    try:
        with reading.opened(reference, context) as source, reading.decoding():
            _check_pixels(source.picture)
            frames.warn_of_others(source, warned)
            depth.warn_of_lost_bits(source.bits, warned)
            return upright(source, orientation.read(source.picture, warned), None, warned)
    except LimitExceeded:
        raise
    except JobError as error:
        message = f"The stamp's file is no PDF, and as a picture it cannot be used: {error.message}"
        raise JobError(message, code="bad_stamp") from error


def _check_pixels(picture: Image.Image) -> None:
    if picture.width * picture.height > _MAX_PIXELS:
        message = f"The stamp's picture has more than {_MAX_PIXELS:,} pixels: send a smaller one."
        raise LimitExceeded(message)


def _pixels(picture: Image.Image) -> dict[str, Any]:
    return {
        "Type": Name.XObject,
        "Subtype": Name.Image,
        "Width": picture.width,
        "Height": picture.height,
        "ColorSpace": Name.DeviceGray if picture.mode == "L" else Name.DeviceRGB,
        "BitsPerComponent": 8,
    }


class _NoFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint ships no types
    """Fetcher that refuses every URL: a stamp's text loads nothing."""

    def fetch(self, url: str, headers: object = None) -> Any:  # noqa: ARG002 -- WeasyPrint's signature
        message = "a stamp loads nothing"
        raise ValueError(message)


class _MissingGlyphs(logging.Handler):
    """Handler that collects missing glyphs from WeasyPrint's log, whose records do not propagate meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: dict[str, None] = {}
        self._log = logging.getLogger("weasyprint")

    def emit(self, record: logging.LogRecord) -> None:
        """Record the code point of a missing glyph."""
        text = record.getMessage()
        if ".notdef glyph" in text and "U+" in text:
            self.found["U+" + text.rsplit("U+", 1)[1].split(")")[0]] = None

    def __enter__(self) -> None:
        self._before = self._log.propagate
        self._log.addHandler(self)
        self._log.propagate = False

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._before
