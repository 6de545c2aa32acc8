"""Inspection of a rendered PDF, and small inputs for tests of rendering."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import zlib

import pypdfium2
from PIL import Image

from offloop.kinds.job_context import JobContext

MM = 72 / 25.4


class Document:
    """A PDF as it is displayed."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.pdf = pypdfium2.PdfDocument(content)

    @property
    def unpacked(self) -> bytes:
        """The bytes of the file with every stream decompressed."""
        opened = [self.content]
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", self.content, re.DOTALL):
            with contextlib.suppress(zlib.error):
                opened.append(zlib.decompressobj().decompress(stream))
        return b"\n".join(opened)

    @property
    def text(self) -> str:
        return "\n".join(page.get_textpage().get_text_range() for page in self.pdf).replace("\r\n", "\n")

    def size(self, page: int = 0) -> tuple[int, int]:
        """Width and height in millimetres."""
        width, height = self.pdf[page].get_size()
        return round(width / MM), round(height / MM)

    def picture(self, page: int = 0) -> Image.Image:
        picture: Image.Image = self.pdf[page].render(scale=1).to_pil().convert("RGB")
        return picture

    def has(self, colour: tuple[int, int, int], page: int = 0) -> bool:
        """Whether some pixel of a page has nearly this colour."""
        pixels = self.picture(page).getcolors(2**24) or []
        return any(
            isinstance(seen, tuple) and all(abs(a - b) < 12 for a, b in zip(seen, colour, strict=True))
            for _, seen in pixels
        )


def warned(context: JobContext, *words: str) -> bool:
    """Whether one warning has all the words."""
    return any(all(word in line for word in words) for line in context.warnings)


def picture(colour: str, form: str = "PNG", size: tuple[int, int] = (40, 40)) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def data(content: bytes, mime_type: str = "application/octet-stream") -> str:
    """The bytes as a data: URL."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
