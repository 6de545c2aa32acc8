"""Contact sheets (contact_sheet): a grid of pictures with captions."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from offloop.errors import LimitExceeded
from offloop.jobs.images import MAX_SIDE, Sheet, SheetOfImages, contact_sheet
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import FileReference, Scheme, parse
from offloop_workers.images.codecs import encoding, formats
from offloop_workers.images.codecs.saving import Result
from offloop_workers.images.frames.lettering import shipped_font, warn_of_missing_glyphs
from offloop_workers.images.many import inspect_all
from offloop_workers.raster import bounds, colours, orientation, reading
from offloop_workers.raster.upright import upright
from offloop_workers.raster.warned import Warned

_EMPTY = "#e6e6e6"
_MAX_LISTED = 10


@performs(contact_sheet)
def make_sheet(request: SheetOfImages, context: Context) -> Sheet:
    """Place a thumbnail of each picture in its cell.

    Raises:
        LimitExceeded: the sheet would have too many pixels.
        JobError: none of the pictures can be used.
    """
    grid = _Grid(request, bounds.picture_pixels(context))
    grid.warn_of_captions(context)

    def place(index: int, source: reading.Source, warned: Warned) -> None:
        found = orientation.read(source.picture, warned)
        cell = (request.cell_width, request.cell_height)
        room = tuple(2 * side for side in cell) if request.fit == "cover" else cell
        small = upright(source, found, (room[0], room[1]), warned)
        grid.place(index, ImageOps.fit(small, cell) if request.fit == "cover" else small)

    placed, failed = inspect_all(request.images, place, context)
    for failure in failed:
        grid.leave_empty(failure.index)
    sheet = encoding.fitted(grid.sheet, request.format, None, context)
    name = formats.file_name(request.name, request.images[0], request.format)
    with context.create(name, formats.MIME_TYPES[request.format]) as out:
        encoding.write(Result([sheet], request.format, request), out, context)
    return Sheet(
        width=sheet.width,
        height=sheet.height,
        columns=grid.columns,
        rows=grid.rows,
        placed=len(placed),
        failed=failed,
    )


class _Grid:
    """Grid of cells with a caption under each.

    Args:
        request: sizes, colours and captions.
        most: maximum pixels of the sheet.

    Raises:
        LimitExceeded: it would have too many pixels.
    """

    def __init__(self, request: SheetOfImages, most: int) -> None:
        self._request = request
        count = len(request.images)
        square = ceil(sqrt(count * request.cell_height / request.cell_width)) or 1
        self.columns = min(count, request.columns or square)
        self.rows = ceil(count / self.columns)
        self._captions = [_caption(index, image) for index, image in enumerate(request.images)]
        if request.captions is not None:
            self._captions = list(request.captions) or [""] * count
        self._line = round(request.caption_size * 1.6) if any(self._captions) else 0
        self._step = (request.cell_width + request.gap, request.cell_height + self._line + request.gap)
        size = (self._step[0] * self.columns + request.gap, self._step[1] * self.rows + request.gap)
        if max(size) > MAX_SIDE or size[0] * size[1] > most:
            message = (
                f"The sheet would have {size[0]:,} x {size[1]:,} pixels; at most {MAX_SIDE:,} a side and "
                f"{most:,} in all are made: ask for smaller cells, other columns, or fewer images."
            )
            raise LimitExceeded(message)
        self.sheet = Image.new("RGB", size, request.background or "#ffffff")
        self._draw = ImageDraw.Draw(self.sheet)
        self._font: Any = shipped_font(request.caption_size)

    def warn_of_captions(self, warned: Warned) -> None:
        """Warn of captions that are shortened, and of characters that the font lacks."""
        written = [_printable(caption) for caption in self._captions]
        if cut := [number for number, text in enumerate(written, 1) if self._shortened(text) != text]:
            listed = ", ".join(map(str, cut[:_MAX_LISTED])) + (" and more" if len(cut) > _MAX_LISTED else "")
            warned.warn(
                f"Captions that are wider than their cell were shortened: {listed}. Send a larger cell_width, a "
                "smaller caption_size, or shorter captions."
            )
        advice = "The sheet's font has Latin, Greek and Cyrillic letters: send other captions."
        warn_of_missing_glyphs("".join(map(self._shortened, written)), self._font, advice, warned)

    def place(self, index: int, small: Image.Image) -> None:
        """Place a picture in the middle of its cell."""
        left, top = self._corner(index)
        flat = colours.flattened(small, self._request.background or "#ffffff").convert("RGB")
        across = (self._request.cell_width - flat.width) // 2
        self.sheet.paste(flat, (left + across, top + (self._request.cell_height - flat.height) // 2))
        self._write(index, self._captions[index])

    def leave_empty(self, index: int) -> None:
        """Cross out the cell of a picture that could not be used."""
        left, top = self._corner(index)
        right, bottom = left + self._request.cell_width - 1, top + self._request.cell_height - 1
        self._draw.rectangle((left, top, right, bottom), fill=_EMPTY)
        self._draw.line((left, top, right, bottom), fill="#bbbbbb")
        self._draw.line((left, bottom, right, top), fill="#bbbbbb")
        self._write(index, self._captions[index])

    def _corner(self, index: int) -> tuple[int, int]:
        row, column = divmod(index, self.columns)
        return self._request.gap + column * self._step[0], self._request.gap + row * self._step[1]

    def _write(self, index: int, caption: str) -> None:
        if not self._line or not caption:
            return
        left, top = self._corner(index)
        text = self._shortened(_printable(caption))
        centre = (left + self._request.cell_width / 2, top + self._request.cell_height + self._line / 2)
        self._draw.text(centre, text, font=self._font, fill=self._request.text_colour, anchor="mm")

    def _shortened(self, caption: str) -> str:
        text = caption
        while text and self._font.getlength(text) > self._request.cell_width:
            caption = caption[:-1]
            text = caption + "…" if caption else ""
        return text


def _printable(caption: str) -> str:
    return "".join(one if one.isprintable() else " " for one in caption)


def _caption(index: int, reference: FileReference) -> str:
    parsed = parse(reference)
    name = parsed.path.rsplit("/", 1)[-1] if parsed.scheme is Scheme.ROOT else ""
    return f"{index + 1} {name}".strip()
