"""Lettering: fonts, and text in lines that fit."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any, Final

from PIL import ImageFont

from offloop.errors import JobError
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference

_LARGEST_FONT: Final = 20 << 20
_FONTS: Final = (b"\x00\x01\x00\x00", b"OTTO", b"true")
_NEVER_A_LETTER: Final = "\U0010fffe"


def shipped_font(size: int) -> Any:
    """The font that is always there: Latin, Greek and Cyrillic."""
    file = files("offloop_workers") / "pdf" / "fonts" / "SourceSans3-Regular.ttf"
    # Pillow's own, where the file is missing, has plain Latin letters only.
    return ImageFont.truetype(io.BytesIO(file.read_bytes()), size) if file.is_file() else ImageFont.load_default(size)


def sent_font(reference: FileReference | None, size: int, context: Context) -> Any:
    """The font that the caller sent, or the shipped one.

    Raises:
        JobError: ``bad_font``: it is too large, damaged, or no font.
    """
    if reference is None:
        return shipped_font(size)
    with context.open(reference) as file:
        content = file.read(_LARGEST_FONT + 1)
    if len(content) > _LARGEST_FONT:
        message = f"The font has more than {_LARGEST_FONT >> 20} MiB: send a smaller one."
        raise JobError(message, code="bad_font")
    if not content.startswith(_FONTS):
        message = "The font is neither TrueType nor OpenType (.ttf, .otf): convert it first."
        raise JobError(message, code="bad_font")
    try:
        return ImageFont.truetype(io.BytesIO(content), size)
    except OSError:
        message = "The font is damaged or cut off: send the complete file."
        raise JobError(message, code="bad_font") from None


def note_missing(text: str, font: Any, context: Context) -> None:
    """Warn of letters that the font shows as an empty box."""
    empty = bytes(font.getmask(_NEVER_A_LETTER))
    missing = _first(
        (letter for letter in dict.fromkeys(text) if letter.isprintable() and not letter.isspace()),
        lambda letter: bytes(font.getmask(letter)) == empty,
    )
    if missing:
        context.warn(
            f"The font has no sign for {' '.join(missing)}: an empty box stands there. Send a font that has it (font=)."
        )


def _first(letters: Iterable[str], missing: Any, most: int = 10) -> list[str]:
    found: list[str] = []
    for letter in letters:
        if len(found) < most and missing(letter):
            found.append(letter)
    return found


def wrapped_lines(text: str, font: Any, width: int, most: int) -> list[str]:
    """The text in lines no wider than this, and no more than `most`; words that are too wide are broken."""
    found: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in _pieces("".join(letter if letter.isprintable() else " " for letter in paragraph), font, width):
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
    # Letters are rarely narrower than an eighth of their height: looking further would only cost time.
    longest = max(8, 8 * width // max(1, int(font.size)))
    for word in paragraph.split():
        rest = word
        while rest:
            fits = min(len(rest), longest)
            while fits > 1 and font.getlength(rest[:fits]) > width:
                fits -= max(1, fits // 8)
            yield rest[:fits]
            rest = rest[fits:]
