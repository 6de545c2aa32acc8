"""Small PDFs of one page, written by their content stream; and damage to the bytes of a file."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, ObjectStreamMode, String
from PIL import Image

from support.files import pdfs

Maker = Callable[[pikepdf.Pdf], Any]
HELVETICA = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)


def page(content: bytes, fonts: dict[str, Maker] | None = None, **entries: Any) -> bytes:
    """A page of 400 x 600 points with the font ``/F1``; `entries` are of its dictionary, or make them."""
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(400, 600))
        one = pdf.pages[0].obj
        one.Contents = pdf.make_stream(content)
        made = {name: make(pdf) for name, make in (fonts or {}).items()}
        one.Resources = Dictionary(Font=Dictionary(F1=HELVETICA, **made))
        for key, value in entries.items():
            one[f"/{key}"] = value(pdf) if callable(value) else value
        file = io.BytesIO()
        pdf.save(file)
    return file.getvalue()


def words(*placed: tuple[float, float, str]) -> bytes:
    """Content that draws words in Helvetica of 12 points at positions."""
    return b"".join(b"BT /F1 12 Tf %f %f Td (%s) Tj ET\n" % (x, y, text.encode("cp1252")) for x, y, text in placed)


def without_unicode(pdf: pikepdf.Pdf) -> Dictionary:
    """A font of glyph numbers that says nothing about characters."""
    system = Dictionary(Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0)
    descriptor = Dictionary(Type=Name.FontDescriptor, FontName=Name.Unknown, Flags=4)
    below = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name.Unknown,
        CIDSystemInfo=system,
        FontDescriptor=descriptor,
    )
    return Dictionary(
        Type=Name.Font,
        Subtype=Name.Type0,
        BaseFont=Name.Unknown,
        Encoding=Name("/Identity-H"),
        DescendantFonts=Array([pdf.make_indirect(below)]),
    )


def plain(pages: int = 40) -> bytes:
    """A document whose objects are all written one by one, so that bytes can be changed."""
    return pdfs.saved(lambda _pdf: None, pdfs.written("Forty", pages), object_stream_mode=ObjectStreamMode.disable)


def scans(pages: int, *, jpeg: bool = True) -> bytes:
    """Pages that draw nothing but a picture each."""
    with pikepdf.new() as pdf:
        for number in range(pages):
            pdf.add_blank_page(page_size=(200, 200))
            file = io.BytesIO()
            noise = Image.effect_noise((100, 100), 60 + number).convert("L")
            noise.save(file, "JPEG", quality=80)
            data = file.getvalue() if jpeg else zlib.compress(noise.tobytes())
            picture = pdf.make_stream(data, Type=Name.XObject, Subtype=Name.Image, Width=100, Height=100)
            picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 8
            picture.Filter = Name.DCTDecode if jpeg else Name.FlateDecode
            page = pdf.pages[number].obj
            page.Contents = pdf.make_stream(b"q 200 0 0 200 0 0 cm /I1 Do Q")
            page.Resources = Dictionary(XObject=Dictionary(I1=picture))
        out = io.BytesIO()
        pdf.save(out, compress_streams=False, object_stream_mode=ObjectStreamMode.disable)
    return out.getvalue()


def linearised() -> bytes:
    """A document of 40 pages whose first objects are those of the first page, and are packed."""
    return pdfs.saved(lambda _pdf: None, pdfs.written("Forty", 40), linearize=True)


def damaged(source: bytes) -> Iterator[tuple[str, bytes]]:
    """Damage of every kind to a plain document of 40 pages, with its name."""
    for tenth in range(1, 10):
        yield f"cut at {tenth} tenths", source[: len(source) * tenth // 10]
    linear = linearised()
    for tenth in range(1, 10):
        yield f"linearised, cut at {tenth} tenths", linear[: len(linear) * tenth // 10]
    middle = len(source) // 2
    yield "zeros in the middle", source[:middle] + bytes(2_000) + source[middle + 2_000 :]
    yield "line ends of a text file", source.replace(b"\n", b"\r\n")
    yield "page tree cut", re.sub(rb"/Kids \[ (\d+ 0 R) .*?\]", rb"/Kids [ \1 null null ]", source, count=1)


def repaired(source: bytes) -> Iterator[tuple[str, bytes]]:
    """Faults of a plain document that lose nothing, with their names."""
    yield "no startxref", source[: source.rindex(b"startxref")]
    yield "no trailer", source[: source.rindex(b"xref\n0 ")] + b"startxref\n0\n%%EOF\n"
    yield "wrong offsets", source.replace(b"0000000015 00000 n", b"0000000099 00000 n")
    yield "5,000 bytes after the end", source + bytes(5_000)
    yield "a page of a web server after the end", source + b"<html>sorry</html>" * 500
    yield "wrong lengths", re.sub(rb"/Length \d+", b"/Length 9", source)
    yield "lengths beyond the end", re.sub(rb"/Length \d+", b"/Length 99999999", source)
    yield "too few pages stated", re.sub(rb"/Count 40 /Kids", b"/Count 03 /Kids", source)
    yield "too many pages stated", re.sub(rb"/Count 40 /Kids", b"/Count 99 /Kids", source)


def mapped(characters: str, *, vertical: bool = False) -> Maker:
    """A font whose codes from 1 on are these characters, by its ``/ToUnicode``; written from top to bottom or not."""

    def make(pdf: pikepdf.Pdf) -> Dictionary:
        font = without_unicode(pdf)
        font.Encoding = Name("/Identity-V" if vertical else "/Identity-H")
        lines = "".join(
            f"<{code:04x}> <{character.encode('utf-16-be').hex()}>\n" for code, character in enumerate(characters, 1)
        )
        font.ToUnicode = pdf.make_stream(
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
            b"1 begincodespacerange <0000> <ffff> endcodespacerange\n"
            b"%d beginbfchar\n%sendbfchar endcmap end end" % (len(characters), lines.encode())
        )
        return font

    return make


def codes(characters: str, text: str) -> bytes:
    """A text as a string of content, in a font of `mapped` with these characters."""
    return b"<%s>" % "".join(f"{characters.index(one) + 1:04x}" for one in text).encode()
