"""Text layout: fonts, line breaking, missing glyphs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from typing import Any, Final

from PIL import ImageFont

from offloop.errors import JobError
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.raster.warned import Warned

_MAX_FONT_BYTES: Final = 20 << 20
_FONTS: Final = (b"\x00\x01\x00\x00", b"OTTO", b"true")
_NONCHARACTER: Final = "\U0010fffe"
_MAX_NAMED: Final = 10


def shipped_font(size: int) -> Any:
    """The shipped font, with Latin, Greek and Cyrillic."""
    file = files("offloop_workers") / "pdf" / "fonts" / "SourceSans3-Regular.ttf"
    # Pillow's own font, used where the file is missing, has only ASCII letters.
    return ImageFont.truetype(io.BytesIO(file.read_bytes()), size) if file.is_file() else ImageFont.load_default(size)


def font_for(reference: FileReference | None, size: int, context: Context) -> Any:
    """The caller's font, or the shipped one.

    Raises:
        JobError: ``bad_font``: it is too large, damaged, or not a font.
    """
    if reference is None:
        return shipped_font(size)
    with context.open(reference) as file:
        content = file.read(_MAX_FONT_BYTES + 1)
    if len(content) > _MAX_FONT_BYTES:
        message = f"The font has more than {_MAX_FONT_BYTES >> 20} MiB: send a smaller one."
        raise JobError(message, code="bad_font")
    if not content.startswith(_FONTS):
        message = "The font is neither TrueType nor OpenType (.ttf, .otf): convert it first."
        raise JobError(message, code="bad_font")
    try:
        return ImageFont.truetype(io.BytesIO(content), size)
    except OSError:
        message = "The font is damaged or cut off: send the complete file."
        raise JobError(message, code="bad_font") from None


def warn_of_missing_glyphs(text: str, font: Any, advice: str, context: Warned) -> None:
    """Warn of characters that the font draws as an empty box, with what to do about it."""
    empty = bytes(font.getmask(_NONCHARACTER))
    visible = (one for one in dict.fromkeys(text) if one.isprintable() and not one.isspace())
    missing = list(islice((one for one in visible if bytes(font.getmask(one)) == empty), _MAX_NAMED))
    if missing:
        context.warn(f"The font has no sign for {' '.join(missing)}: an empty box stands there. {advice}")


def wrapped_lines(text: str, font: Any, width: int, most: int) -> list[str]:
    """The text in at most `most` lines of at most `width` pixels; words that are too wide are broken."""
    found: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in _pieces("".join(one if one.isprintable() else " " for one in paragraph), font, width):
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                found.append(line)
                line = word
            else:
                line = longer
            if len(found) >= most:
                return found
        found.append(line)
    return found[:most]


def _pieces(paragraph: str, font: Any, width: int) -> Iterator[str]:
    # Glyphs are rarely narrower than an eighth of their height: measuring longer pieces would only take time.
    longest = max(8, 8 * width // max(1, int(font.size)))
    for word in paragraph.split():
        rest = word
        while rest:
            fits = min(len(rest), longest)
            while fits > 1 and font.getlength(rest[:fits]) > width:
                fits -= max(1, fits // 8)
            yield rest[:fits]
            rest = rest[fits:]
