"""Four blocks of known colours, stored in every depth, colour type and layout of PNG, TIFF and JPEG."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, Final

from PIL import Image

from support.files.pictures import png_chunk
from support.files.raw import png, tiff

Rgba = tuple[int, int, int, int]
Block = tuple[bytes, list[Rgba]]
"""A file, and the colours of its blocks."""

_LEVELS: Final = (0.0, 1 / 3, 2 / 3, 1.0)
_PRIMARIES: Final = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0))
COLOURS: Final[list[Rgba]] = [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 0, 255)]
GREYS: Final[list[Rgba]] = [(level, level, level, 255) for level in (0, 85, 170, 255)]
_TWO: Final = [GREYS[0], GREYS[3], GREYS[3], GREYS[0]]


def rows(values: list[tuple[float, ...]]) -> list[list[tuple[float, ...]]]:
    """Two rows of two blocks, 8 pixels a side each."""
    return [[values[(y >= 8) * 2 + (x >= 8)] for x in range(16)] for y in range(16)]


def with_hole(colours: list[Rgba], *places: int) -> list[Rgba]:
    """The colours, of which some are transparent."""
    return [(*colour[:3], 0 if number in places else colour[3]) for number, colour in enumerate(colours)]


def colours_of(picture: Image.Image) -> list[Rgba]:
    """The colours in the middle of each block, whatever the size."""
    shown: Any = picture.convert("RGBA")
    return [
        shown.getpixel((int(picture.width * x), int(picture.height * y))) for y in (0.25, 0.75) for x in (0.25, 0.75)
    ]


def same(found: list[Rgba], right: list[Rgba], tolerance: int = 1) -> bool:
    """Whether the blocks are as transparent, and of about these colours where they are not."""
    return all(
        abs(one[3] - other[3]) <= tolerance
        and (other[3] == 0 or all(abs(a - b) <= tolerance for a, b in zip(one[:3], other[:3], strict=True)))
        for one, other in zip(found, right, strict=True)
    )


def pngs() -> Iterator[tuple[str, Block]]:
    """Every colour type and depth of PNG, with transparency beside the pixels and among them."""
    for bits in (1, 2, 4, 8, 16):
        top = 2**bits - 1
        values = [0, top, top, 0] if bits == 1 else [round(level * top) for level in _LEVELS]
        right = _TWO if bits == 1 else GREYS
        grey = rows([(value,) for value in values])
        yield f"png grey {bits}", (png("grey", bits, grey), right)
        for place in (0, 1):
            key = png_chunk(b"tRNS", struct.pack(">H", values[place]))
            holes = [number for number in range(4) if values[number] == values[place]]
            yield (
                f"png grey {bits}, {values[place]} is transparent",
                (png("grey", bits, grey, key), with_hole(right, *holes)),
            )
    for bits in (1, 2, 4, 8):
        table = bytes(255 * part for colour in _PRIMARIES[: 2**bits] for part in colour)
        used = [number % 2**bits for number in range(4)]
        right = [COLOURS[number] for number in used]
        palette = (rows([(number,) for number in used]), png_chunk(b"PLTE", table))
        yield f"png palette {bits}", (png("palette", bits, *palette), right)
        for alpha in (b"\0", b"\xff\0", b"\x80"):
            seen: list[Rgba] = [
                (*COLOURS[number][:3], alpha[number] if number < len(alpha) else 255) for number in used
            ]
            yield (
                f"png palette {bits}, alpha {alpha.hex()}",
                (png("palette", bits, *palette, png_chunk(b"tRNS", alpha)), seen),
            )
    for bits in (8, 16):
        top = 2**bits - 1
        yield f"png rgb {bits}", (png("rgb", bits, _primaries(top)), COLOURS)
        key = png_chunk(b"tRNS", struct.pack(">HHH", 0, top, 0))
        yield f"png rgb {bits}, green is transparent", (png("rgb", bits, _primaries(top), key), with_hole(COLOURS, 1))
        yield f"png rgba {bits}", (png("rgba", bits, _primaries(top, 0)), with_hole(COLOURS, 0))
        yield f"png grey alpha {bits}", (png("grey alpha", bits, _levels(top, hole=0)), with_hole(GREYS, 0))


def tiffs() -> Iterator[tuple[str, Block]]:
    """Every layout of TIFF that is read, in both byte orders, plain and compressed."""
    for order in "<>":
        for deflate in (False, True):
            how: dict[str, Any] = {"endian": order, "deflate": deflate}
            name = f"tif {order}{' deflate' if deflate else ''}"
            yield from ((f"{name} {what}", block) for what, block in (*_grey_tiffs(how), *_colour_tiffs(how)))


def _grey_tiffs(how: dict[str, Any]) -> Iterator[tuple[str, Block]]:
    for bits in (1, 2, 4, 8, 12, 16, 32):
        for white_is_zero in (False, True):
            top = 2**bits - 1
            values = [0, top, top, 0] if bits == 1 else [round(level * top) for level in _LEVELS]
            stored = rows([(top - value if white_is_zero else value,) for value in values])
            name = f"grey {bits}{', white is zero' if white_is_zero else ''}"
            yield name, (tiff(0 if white_is_zero else 1, bits, stored, **how), _TWO if bits == 1 else GREYS)
    for bits in (32, 64):
        for photometric in (0, 1):
            fractions = rows([(level if photometric else 1 - level,) for level in _LEVELS])
            yield f"float {bits} {photometric}", (tiff(photometric, bits, fractions, kind="float", **how), GREYS)
    signed = rows([(round(level * 65_535) - 32_768,) for level in _LEVELS])
    yield "signed 16", (tiff(1, 16, signed, kind="signed", **how), GREYS)


def _colour_tiffs(how: dict[str, Any]) -> Iterator[tuple[str, Block]]:
    for bits in (8, 16):
        top = 2**bits - 1
        yield f"rgb {bits}", (tiff(2, bits, _primaries(top), **how), COLOURS)
        yield f"rgb and more {bits}", (tiff(2, bits, _primaries(top, 1), extra=[0], **how), COLOURS)
        yield f"rgba {bits}", (tiff(2, bits, _primaries(top, 0), extra=[2], **how), with_hole(COLOURS, 0))
        weighted = rows([(0, 0, 0, 0), *((*(part * top for part in colour), top) for colour in _PRIMARIES[1:])])
        yield f"rgba weighted {bits}", (tiff(2, bits, weighted, extra=[1], **how), with_hole(COLOURS, 0))
        inks = rows([(*(top - part * top for part in colour), 0) for colour in _PRIMARIES])
        yield f"inks {bits}", (tiff(5, bits, inks, **how), COLOURS)
    yield "grey alpha", (tiff(1, 8, _levels(255, hole=0), extra=[2], **how), with_hole(GREYS, 0))
    yield "grey alpha weighted", (tiff(1, 8, _levels(255, hole=0), extra=[1], **how), with_hole(GREYS, 0))
    yield (
        "ycbcr",
        (
            tiff(
                6, 8, rows([(*row, 128, 128) for row in ((0,), (85,), (170,), (255,))]), tags={530: (3, [1, 1])}, **how
            ),
            GREYS,
        ),
    )
    for bits in (1, 2, 4, 8):
        for scale in (65_535, 255):  # the second is against the standard, and not rare
            used = [number % 2**bits for number in range(4)]
            table = [*_PRIMARIES, *[(0, 0, 0)] * 256][: 2**bits]
            palette = {320: (3, [colour[band] * scale for band in range(3) for colour in table])}
            stored = rows([(number,) for number in used])
            yield (
                f"palette {bits} {scale}",
                (tiff(3, bits, stored, tags=palette, **how), [COLOURS[number] for number in used]),
            )


def jpegs() -> Iterator[tuple[str, Block]]:
    """Inks in JPEG, as Adobe stores them: inverted, plain and as luma and chroma with black."""
    inks = Image.new("CMYK", (16, 16))
    for number, colour in enumerate(_PRIMARIES):
        place = (number % 2 * 8, number // 2 * 8)
        inks.paste((*(255 - 255 * part for part in colour), 0), (*place, place[0] + 8, place[1] + 8))
    plain = _saved(inks)
    yield "jpg inks", (plain, COLOURS)
    cyan, magenta, yellow, black = inks.split()
    luma, blue, red = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    # The encoder inverts its four bands; what it is to write is luma and chroma as they are.
    turned = [band.point(lambda value: 255 - value) for band in (luma, blue, red)]
    content = bytearray(_saved(Image.merge("CMYK", [*turned, black])))
    content[content.index(b"Adobe") + 11] = 2  # luma and chroma with black
    yield "jpg luma, chroma and black", (bytes(content), COLOURS)
    yield (
        "jpg grey",
        (
            _saved(
                Image.frombytes(
                    "L", (16, 16), bytes(GREYS[(y >= 8) * 2 + (x >= 8)][0] for y in range(16) for x in range(16))
                )
            ),
            GREYS,
        ),
    )


def everything() -> list[tuple[str, Block]]:
    """All files, by a name that begins with the extension."""
    return [*pngs(), *tiffs(), *jpegs()]


def _saved(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=100, subsampling=0)
    return out.getvalue()


def _primaries(top: int, hole: int | None = None) -> list[list[tuple[float, ...]]]:
    """The primary colours, with a fourth number where one of them is to be transparent."""
    return rows(
        [
            (*(part * top for part in colour), *(() if hole is None else (0 if number == hole else top,)))
            for number, colour in enumerate(_PRIMARIES)
        ]
    )


def _levels(top: int, *, hole: int) -> list[list[tuple[float, ...]]]:
    return rows([(round(level * top), 0 if number == hole else top) for number, level in enumerate(_LEVELS)])
