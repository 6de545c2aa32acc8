"""Hostile image files, built byte by byte: small files that claim or decompress to large sizes."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import cache
from typing import Any

import pillow_heif
from PIL import Image

from hostile.compressed import repeated
from support.files.pictures import encoded, png_chunk, png_head, quarters

pillow_heif.register_heif_opener()
Image.init()

_AVIF_BOMB = (
    b"c-muNV30{GsVqn=%S>Yc0uY^>nP!-qnF!*)%uOvxWPkw0jFg-rD4U@mGr5ET4e%9YmgIt2j6f`xnUkLk;<$kLj1W;qUIqsC-9WZRW@cU"
    b"*T&)z4lgb3;C6*Z&I_Kx)gYC-5EGQ}f(w><G$@xH9B(u066=IzO6oc%o$OLQV01`ZjWrog;@-iR+;pF_BqP*ms3ZS{X3~UWRA@R(DT$q"
    b"o5&SGI?YGwht>2PjJVu=s~7q|TP`v3p`E@P77bue1VFTwoRwfuj#Jp+UF`BOUH>l1A%_IIAsZuHRJrFyJ@TgkrGbNVFrn<BTuHF-kw#P"
    b"c<hLW8UiJd<aB`TSZ;*ilo*1uJD%c^Zsr9@RXmc~tYL=26X~nsI5SL@xl6sB^R"
)


def data(content: bytes, mime: str = "image/png") -> str:
    """The bytes as a data URL."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def picture(form: str = "PNG", **options: Any) -> bytes:
    """A small valid picture."""
    return encoded(form, quarters(), **options)


@cache
def png_bomb(side: int = 12_000) -> bytes:
    """A real PNG of one bit a pixel, all zeros, compressed as far as it goes."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = repeated(0, side * ((side + 7) // 8 + 1))
    chunks = (png_chunk(b"IHDR", head), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_with(*chunks: bytes) -> bytes:
    """A valid PNG with more chunks after its head."""
    whole = picture()
    return whole[:33] + b"".join(chunks) + whole[33:]


@cache
def decompressing(kind: bytes, size: int = 80_000_000) -> bytes:
    """A compressed text chunk of a PNG that decompresses to this many bytes."""
    body = repeated(0, size)
    start = {b"zTXt": b"k\0\0", b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0", b"iCCP": b"icc\0\0"}[kind]
    return png_chunk(kind, start + body)


def png_palette_overflow() -> bytes:
    """A PNG with two colours, whose pixels use colour 255."""
    head = struct.pack(">IIBBBBB", 50, 50, 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + b"\xff" * 50 for _ in range(50)))
    chunks = (
        png_chunk(b"IHDR", head),
        png_chunk(b"PLTE", bytes(6)),
        png_chunk(b"IDAT", pixels),
        png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def apng_liar() -> bytes:
    """A PNG that claims four thousand million frames and has one."""
    return png_with(png_chunk(b"acTL", struct.pack(">II", 2**32 - 1, 0)))


def gif(width: int, height: int, frames: int) -> bytes:
    """A GIF of this size, whose frames are single pixels."""
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00\x2c" + bytes(4) + b"\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b"\x3b"


def webp_liar() -> bytes:
    """A lossless WebP that claims 16,383 x 16,383."""
    bits = 16_382 | 16_382 << 14
    body = b"\x2f" + struct.pack("<I", bits) + bytes(60)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def sized_in_box(form: str, width: int, height: int) -> bytes:
    """An AVIF or HEIC whose box states another size than its pixels have."""
    whole = bytearray(encoded(form, Image.effect_noise((64, 64), 20).convert("RGB")))
    at = whole.index(b"ispe") + 8
    whole[at : at + 8] = struct.pack(">II", width, height)
    return bytes(whole)


def avif_bomb() -> bytes:
    """A real AVIF of 2.2 KB, one colour all over, whose 16,384 x 16,384 pixels take ten seconds to encode."""
    return zlib.decompress(base64.b85decode(_AVIF_BOMB))


def bmp_liar(width: int, height: int) -> bytes:
    """A BMP that claims a size."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + head + bytes(64)


def ico_of(content: bytes) -> bytes:
    """An icon that claims 16 x 16 and contains a PNG of any size."""
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22) + content


def jpeg_sized(width: int, height: int) -> bytes:
    """A JPEG whose frame header states another size."""
    whole = bytearray(picture("JPEG"))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def slow_jpeg(scans: int) -> bytes:
    """A progressive JPEG that goes over all its pixels again and again."""
    whole = encoded("JPEG", Image.new("L", (2_000, 2_000), 128), progressive=True)
    starts = [at for at in range(len(whole) - 1) if whole[at : at + 2] == b"\xff\xda"]
    last = whole[starts[-1] : whole.rindex(b"\xff\xd9")]
    return whole[: whole.rindex(b"\xff\xd9")] + last * scans + b"\xff\xd9"


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A valid JPEG with more segments after its start."""
    whole = picture("JPEG")
    more = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return whole[:2] + more + whole[2:]


def ifd(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A directory of a TIFF: tag, type, count, value."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def tiff(width: int, height: int, *more: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A TIFF of this size with next to no pixels; `more` are further entries."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, min(2**32 - 1, width * height)),
        *more,
    ]
    return b"II*\0" + struct.pack("<I", 8) + ifd(sorted(entries), following) + bytes(200)


def tiff_grown() -> bytes:
    """A TIFF whose first page is valid and whose second claims 3,600 megapixels."""
    first = tiff(10, 10, following=322)
    assert len(first) == 322
    return first + tiff(60_000, 60_000)[8:]


def exif_loop() -> bytes:
    """EXIF whose directory of the camera is the first directory again."""
    body = b"II*\0" + struct.pack("<I", 8) + ifd([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x0112, 3, 1, 6)], 8)
    return jpeg_with((0xE1, b"Exif\0\0" + body))


def exif_claims() -> bytes:
    """EXIF with values of four thousand million items, divided by nothing."""
    entries = [(0x0110, 2, 2**32 - 1, 26), (0x829A, 5, 2**31, 0), (0x8827, 3, 2**30, 3)]
    body = b"II*\0" + struct.pack("<I", 8) + ifd(entries)
    return jpeg_with((0xE1, b"Exif\0\0" + body))


def gps_by_zero() -> bytes:
    """A position divided by zero."""
    exif = Image.Exif()
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (1.0, 2.0, 3.0), "E", (1.0, 2.0, 3.0)
    whole = bytearray(encoded("JPEG", quarters(), exif=exif))
    at = (
        whole.index(struct.pack(">II", 3, 1))
        if struct.pack(">II", 3, 1) in whole
        else whole.index(struct.pack("<II", 3, 1))
    )
    whole[at : at + 8] = bytes(8)
    return bytes(whole)


def mpo_liar() -> bytes:
    """A JPEG that claims to hold thousands of pictures, at offsets without any."""
    entries = struct.pack("<IIIHH", 0x030000, 100, 2**31, 0, 0) * 3
    index = ifd([(0xB000, 7, 4, 0x30303130), (0xB001, 4, 1, 5_000), (0xB002, 7, len(entries), 50)])
    return jpeg_with((0xE2, b"MPF\0II*\0" + struct.pack("<I", 8) + index + entries))


def png_then(content: bytes) -> bytes:
    """A valid PNG, and something else behind it."""
    return picture() + content


def gif_script() -> bytes:
    """A GIF that is a script as well."""
    return gif(10, 10, 1).replace(b"GIF89a\x0a\0\x0a\0", b"GIF89a/*\x0a\0") + b"*/=1;alert(1)"


def cmyk_odd() -> bytes:
    """A CMYK JPEG whose marker states another colour space."""
    whole = bytearray(encoded("JPEG", quarters().convert("CMYK")))
    at = whole.index(b"Adobe")
    whole[at + 11] = 2
    return bytes(whole)


def font_claiming() -> bytes:
    """A font header that claims sixty thousand tables."""
    return b"\0\1\0\0" + struct.pack(">HHHH", 60_000, 16, 4, 0) + b"glyf" + bytes(40)


def head_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    return png_head(width, height)


def cut(form: str) -> bytes:
    """The first half of a valid picture."""
    out = io.BytesIO()
    Image.effect_noise((200, 200), 60).convert("RGB").save(out, form)
    return out.getvalue()[: out.tell() // 2]
