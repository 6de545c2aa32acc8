"""Pictures for tests, and inspection of results."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from offloop.jobs.images import Picture

PHOTO = Path(__file__).parents[3] / "server" / "offloop_server" / "demo" / "photo.jpg"

Run = Callable[..., tuple[Picture, Image.Image]]


class Keep(Protocol):
    """Writes a picture, or bytes, under a name."""

    def __call__(self, name: str, content: Image.Image | bytes, **save: Any) -> str:
        pass


def quarters(width: int = 80, height: int = 40) -> Image.Image:
    """Quarters of red, green / blue, white, so that the orientation is visible."""
    picture = Image.new("RGB", (width, height), "white")
    half = (width // 2, height // 2)
    picture.paste("#ff0000", (0, 0, *half))
    picture.paste("#00ff00", (half[0], 0, width, half[1]))
    picture.paste("#0000ff", (0, half[1], half[0], height))
    return picture


def corners(picture: Image.Image) -> str:
    """The four quarters by their first letters, from the top left, row by row."""
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w", (0, 0, 0): "k"}
    found = ""
    for y in (0.25, 0.75):
        for x in (0.25, 0.75):
            pixel = colour_at(picture, x, y)
            found += names.get((round(pixel[0] / 255), round(pixel[1] / 255), round(pixel[2] / 255)), "?")
    return found


def colour_at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """Red, green and blue at a point in shares of the sides."""
    position = (min(picture.width - 1, int(picture.width * x)), min(picture.height - 1, int(picture.height * y)))
    pixel = picture.convert("RGB").getpixel(position)
    assert isinstance(pixel, tuple)
    return tuple(map(int, pixel))


def encoded(form: str, source: Image.Image | None = None, **options: Any) -> bytes:
    """The bytes of a picture in some format; a noisy one where none is given."""
    out = io.BytesIO()
    (source or Image.effect_noise((200, 200), 60).convert("RGB")).save(out, form, **options)
    return out.getvalue()


def animation(form: str, count: int = 4, size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    """Frames of increasing red, with a dark bar that moves."""
    frames = []
    for number in range(count):
        frame = Image.new("RGB", size, (255 * (number + 1) // count, 40, 40))
        frame.paste((0, 0, 0), (number * size[0] // count, 0, number * size[0] // count + 4, size[1]))
        frames.append(frame)
    return encoded(form, frames[0], save_all=True, append_images=frames[1:], **{"duration": 80, **options})


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and check sum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_head(width: int, height: int, *more: bytes) -> bytes:
    """A PNG that declares a size and has hardly any pixels; `more` are chunks between header and pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = (png_chunk(b"IHDR", head), *more, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
