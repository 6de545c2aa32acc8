"""PNG and TIFF files of any depth, colour type and tag, written number by number."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

from support.files.pictures import png_chunk

Pixel = Sequence[float]

_PNG_TYPES = {"grey": 0, "rgb": 2, "palette": 3, "grey alpha": 4, "rgba": 6}


def packed(values: Iterable[float], bits: int, endian: str = ">", *, kind: str = "unsigned") -> bytes:
    """Numbers of some bits each, one after the other, filled up to whole bytes."""
    if kind == "float":
        return b"".join(struct.pack(endian + {32: "f", 64: "d", 16: "e"}[bits], value) for value in values)
    if bits in {8, 16, 32}:
        code = {8: "B", 16: "H", 32: "I"}[bits]
        code = code.lower() if kind == "signed" else code
        return b"".join(struct.pack(endian + code, int(value)) for value in values)
    digits = "".join(f"{int(value):0{bits}b}" for value in values)
    digits += "0" * (-len(digits) % 8)
    return bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))


def png(kind: str, bits: int, rows: Sequence[Sequence[Pixel]], *chunks: bytes) -> bytes:
    """A PNG of these pixels; `chunks` come before them."""
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, _PNG_TYPES[kind], 0, 0, 0)
    lines = b"".join(b"\0" + packed([value for pixel in row for value in pixel], bits) for row in rows)
    parts = (png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", zlib.compress(lines)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(  # noqa: PLR0913 -- the tags that decide how numbers are read
    photometric: int,
    bits: int,
    rows: Sequence[Sequence[Pixel]],
    *,
    endian: str = "<",
    kind: str = "unsigned",
    deflate: bool = False,
    extra: Sequence[int] = (),
    tags: Mapping[int, tuple[int, Sequence[float]]] | None = None,
) -> bytes:
    """A TIFF of these pixels in one strip.

    Args:
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 inks, 6 YCbCr, 8 Lab.
        bits: of each sample.
        rows: samples of each pixel.
        endian: byte order.
        kind: ``unsigned``, ``signed`` or ``float``.
        deflate: compressed, which Pillow reads by another library.
        extra: meaning of the further samples: 0 none, 1 associated, 2 plain alpha.
        tags: further ones, as type and values.
    """
    strip = b"".join(packed([value for pixel in row for value in pixel], bits, endian, kind=kind) for row in rows)
    strip = zlib.compress(strip) if deflate else strip
    samples = len(rows[0][0])
    entries: dict[int, tuple[int, Sequence[float]]] = {
        256: (4, [len(rows[0])]),
        257: (4, [len(rows)]),
        258: (3, [bits] * samples),
        259: (3, [8 if deflate else 1]),
        262: (3, [photometric]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [len(rows)]),
        279: (4, [len(strip)]),
        339: (3, [{"unsigned": 1, "signed": 2, "float": 3}[kind]] * samples),
        **({338: (3, list(extra))} if extra else {}),
        **(tags or {}),
    }
    return _file(entries, strip, endian)


def _file(entries: dict[int, tuple[int, Sequence[float]]], strip: bytes, endian: str) -> bytes:
    start = 8 + 2 + 12 * len(entries) + 4
    behind, table = b"", b""
    outside = sum(len(_values(kind, values, endian)) + 1 for kind, values in entries.values()) + start
    entries[273] = (4, [outside])
    for tag, (kind, values) in sorted(entries.items()):
        content = _values(kind, values, endian)
        if len(content) > 4:
            place = struct.pack(endian + "I", start + len(behind))
            behind += content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        table += struct.pack(endian + "HHI", tag, kind, len(values)) + place
    mark = b"II" if endian == "<" else b"MM"
    head = mark + struct.pack(endian + "HIH", 42, 8, len(entries))
    return (head + table + bytes(4) + behind).ljust(outside, b"\0") + strip


def _values(kind: int, values: Sequence[float], endian: str) -> bytes:
    code = {1: "B", 3: "H", 4: "I"}[kind]
    return struct.pack(f"{endian}{len(values)}{code}", *map(int, values))
