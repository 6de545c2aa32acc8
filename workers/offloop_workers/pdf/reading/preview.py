"""Previews (preview_pdf): pages of a PDF as pictures."""

from __future__ import annotations

import io
from typing import Any

import pypdfium2
from PIL import Image

from offloop.errors import LimitExceeded
from offloop.jobs.documents import (
    MAX_ALL_PREVIEW_PIXELS,
    MAX_PREVIEW_PIXELS,
    MAX_PREVIEWS,
    Preview,
    Previews,
    ToPreview,
    preview_pdf,
)
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.pdf.reading import opening, ranges, resources
from offloop_workers.pdf.reading.visible import MAX_COORDINATE, View

_MAX_SIDE = 16_383
"""Pixels a side, which every output format supports."""
_POINTS_PER_INCH = 72
_MIN_SIDE = 1e-3


@performs(preview_pdf)
def preview(request: ToPreview, context: Context) -> Previews:
    """Draw the requested pages, with forms and annotations.

    Raises:
        LimitExceeded: too many pages or pixels, which is checked before any page is drawn.
        JobError: the PDF cannot be opened, or has no such page.
    """
    data = opening.content(request.file, context)
    with opening.drawn(data, request.password, context) as drawn:
        count = len(drawn.document)
        wanted = ranges.pages(request.pages, count, context)
        if len(wanted) > MAX_PREVIEWS:
            message = (
                f"pages names {len(wanted):,} pages, more than the {MAX_PREVIEWS} that one call draws: "
                "ask for them in parts."
            )
            raise LimitExceeded(message)
        drawn.check_count(request.pages, context)
        drawn.check_pages(wanted, context, pictures=True)
        _warn(drawn, wanted, context)
        drawn.reopened()
        document = drawn.document
        views = {index: seen for index in wanted if (seen := drawn.view(index))}
        _show_visible_part(document, views)
        scales = _scales(request, document, wanted, views, context.limits.pixels or MAX_ALL_PREVIEW_PIXELS)
        document.init_forms()
        previews = []
        for step, (index, scale) in enumerate(zip(wanted, scales, strict=True)):
            context.progress(step, len(wanted), f"page {index + 1}")
            previews.append(_draw(request, document, index, scale, context))
    context.progress(len(wanted), len(wanted), "done")
    return Previews(previews=previews, pages=count)


def _warn(drawn: opening.Drawn, wanted: list[int], context: Context) -> None:
    if drawn.losses is None:
        return
    if hidden := resources.hidden_layers(drawn.losses.pdf):
        context.warn(f"Layers that are switched off are not drawn: {hidden}.")
    if "/Collection" in drawn.losses.pdf.Root:
        context.warn("The PDF is a portfolio: its documents are files inside of it, and not drawn.")
    pages = [drawn.losses.pages[index] for index in dict.fromkeys(wanted)]
    if undrawn := resources.without_look(pages):
        context.warn(f"Annotations without an appearance of their own are not drawn: {', '.join(undrawn)}.")
    if fonts := resources.substituted(pages):
        more = f" and {len(fonts) - 10} more" if fonts[10:] else ""
        context.warn(f"Fonts that are not in the PDF are drawn with others: {', '.join(fonts[:10])}{more}.")


def _show_visible_part(document: pypdfium2.PdfDocument, views: dict[int, View]) -> None:
    """Let PDFium draw the visible part where it finds none, such as a CropBox outside the MediaBox, or far too much."""
    for index, seen in views.items():
        with opening.damage():
            size = document.get_page_size(index)
            if min(size) < _MIN_SIDE or max(size) > MAX_COORDINATE:
                page = document[index]
                page.set_mediabox(*seen.box)
                page.set_cropbox(*seen.box)
                page.close()


def _scales(
    request: ToPreview, document: pypdfium2.PdfDocument, wanted: list[int], views: dict[int, View], most: int
) -> list[float]:
    """Pixels per unit of each page."""
    scales, pixels = [], 0.0
    for index in wanted:
        with opening.damage():
            unit = views[index].unit if index in views else 1.0
            width, height = (side * unit for side in document.get_page_size(index))
        if min(width, height) < _MIN_SIDE:
            reason = f"page {index + 1} has no size"
            raise opening.damaged(reason)
        scale = request.width / width if request.width else request.dpi / _POINTS_PER_INCH
        across, down = width * scale, height * scale
        pixels += across * down
        if across * down > MAX_PREVIEW_PIXELS or max(across, down) > _MAX_SIDE:
            message = (
                f"Page {index + 1} measures {width:,.0f} x {height:,.0f} points and would become {across:,.0f} x "
                f"{down:,.0f} pixels, more than {MAX_PREVIEW_PIXELS:,} or than {_MAX_SIDE:,} a side: ask for a smaller "
                "width or dpi."
            )
            raise LimitExceeded(message)
        scales.append(scale * unit)
    if pixels > most:
        message = (
            f"The pictures would have {pixels:,.0f} pixels together, more than {most:,}: ask for "
            "fewer pages, or a smaller width or dpi."
        )
        raise LimitExceeded(message)
    return scales


def _draw(request: ToPreview, document: pypdfium2.PdfDocument, index: int, scale: float, context: Context) -> Preview:
    picture = _picture(document, index, scale)
    name = f"{request.name}-{index + 1}.{request.format.replace('jpeg', 'jpg')}"
    options: dict[str, Any] = {"png": {"compress_level": 6}, "webp": {"quality": request.quality, "method": 4}}.get(
        request.format, {"quality": request.quality}
    )
    with context.create(name, f"image/{request.format}") as file:
        picture.save(file, request.format.upper(), **options)
        size = file.seek(0, io.SEEK_END)
    return Preview(page=index + 1, name=name, width=picture.width, height=picture.height, size=size)


def _picture(document: pypdfium2.PdfDocument, index: int, scale: float) -> Image.Image:
    with opening.damage():
        page = document[index]
        try:
            bitmap = page.render(scale=scale, may_draw_forms=True, rev_byteorder=True, limit_image_cache=True)
            try:
                picture: Image.Image = bitmap.to_pil().convert("RGB")
            finally:
                bitmap.close()
        finally:
            page.close()
    return picture.copy()
