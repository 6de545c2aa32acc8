"""GIF: one palette for all frames, changed areas only, and every frame with its time.

Pillow's encoder gives each frame a palette of its own, so that flat areas differ from frame to frame, and joins equal
frames.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from PIL import GifImagePlugin, Image, ImageChops

from offloop_workers.images.codecs import formats, palettes

Box = tuple[int, int, int, int]

MOST_COLOURS: Final = 255
"""One of 256 is for transparent and unchanged pixels."""
_KEEP, _CLEAR = 1, 2
_LARGE: Final = 10_000
"""Pixels of a frame, from which a palette of its own is worth its bytes."""
_DOT: Final = (0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class _Patch:
    """The part of a frame that is drawn.

    Attributes:
        box: where.
        drawn: mask of the pixels to draw; the others show what was there before.
        clear: whether the box becomes transparent before the next frame.
    """

    box: Box
    drawn: Image.Image
    clear: bool


def write(
    frames: Sequence[Image.Image], durations: Sequence[int], plays: int, out: BinaryIO, colours: int = MOST_COLOURS
) -> None:
    """Write frames of one size.

    Args:
        frames: in the modes L, RGB or RGBA, of which pixels are opaque or transparent.
        durations: milliseconds of each; none for a still.
        plays: repetitions; 0 is endless.
        out: the file.
        colours: maximum number of colours.
    """
    opaque = [_mask(frame) for frame in frames]
    if len(frames) == 1 and colours == MOST_COLOURS and opaque[0].getextrema() == (255, 255):
        colours = 256  # no pixel is transparent or unchanged
    plain = [frame.convert("RGB") for frame in frames]
    shared: palettes.Shared | None = palettes.shared(plain, opaque, colours)
    large = frames[0].width * frames[0].height >= _LARGE
    if shared and not shared.exact and len(plain) > 1 and large and formats.is_photograph(plain[0]):
        shared = None
    if shared:
        plain = [shared.applied(frame) for frame in plain]
    table = shared.table if shared else b""
    out.write(_head(frames[0].size, table, plays if len(frames) > 1 else 1))
    times = _hundredths(durations, len(frames))
    for frame, patch, time in zip(plain, _patches(plain, opaque), times, strict=True):
        indices, local = (frame.crop(patch.box), b"") if shared else palettes.local(frame.crop(patch.box), colours)
        out.write(_frame(patch, indices, local, len(local or table) // 3, time))
    out.write(b";")


def _mask(frame: Image.Image) -> Image.Image:
    """255 where the frame is opaque."""
    return frame.getchannel("A") if frame.mode == "RGBA" else Image.new("L", frame.size, 255)


def _hundredths(durations: Sequence[int], count: int) -> Iterator[int]:
    """Durations in hundredths of a second, rounded so that their sum is right."""
    total = done = 0
    for number in range(count):
        total += durations[number] if number < len(durations) else 0
        hundredths = min(65_535, max(0, round(total / 10) - done))
        done += hundredths
        yield hundredths


def _patches(plain: list[Image.Image], opaque: list[Image.Image]) -> Iterator[_Patch]:
    """The parts to draw. Where a pixel becomes transparent, the frame before clears the box around it."""
    size = plain[0].size
    shown, covered = plain[0], Image.new("L", size, 0)
    for number, (frame, mask) in enumerate(zip(plain, opaque, strict=True)):
        # Opaque pixels that are not covered, or have another colour.
        changed = ImageChops.multiply(mask, ImageChops.lighter(ImageChops.invert(covered), _differences(shown, frame)))
        following = opaque[number + 1] if number + 1 < len(opaque) else mask
        lost = ImageChops.subtract(mask, following).getbbox()
        box = _around(changed.getbbox() or _DOT, lost) if number else (0, 0, *size)
        yield _Patch(box, changed, clear=lost is not None)
        shown, covered = frame, mask
        if lost:
            covered = mask.copy()
            covered.paste(0, box)


def _differences(one: Image.Image, other: Image.Image) -> Image.Image:
    bands = ImageChops.difference(one, other).split()
    largest = bands[0]
    for band in bands[1:]:
        largest = ImageChops.lighter(largest, band)
    return largest.point(lambda value: 255 if value else 0)


def _around(box: Box, other: Box | None) -> Box:
    if other is None:
        return box
    return min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3])


def _head(size: tuple[int, int], table: bytes, plays: int) -> bytes:
    count = len(table) // 3
    flags = 0x70 | (0x80 | _bits(count) - 1 if table else 0)
    head = b"GIF89a" + struct.pack("<HHBBB", *size, flags, 0, 0) + (_padded(table, count) if table else b"")
    if plays == 1:
        return head
    # GIF counts repetitions, and plays once by default.
    return head + b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", 0 if plays == 0 else plays - 1) + b"\0"


def _frame(patch: _Patch, indices: Image.Image, local: bytes, count: int, time: int) -> bytes:
    """The extension and the picture of a frame, with transparent pixels where nothing is drawn.

    Args:
        patch: where it is drawn.
        indices: of the patch, in the mode L.
        local: a palette of its own, if any.
        count: of the colours; the next index, if there is one, is the transparent one.
        time: hundredths of a second.
    """
    drawn = patch.drawn.crop(patch.box)
    flags = (_CLEAR if patch.clear else _KEEP) << 2
    if count < 256:  # noqa: PLR2004 -- indices of a byte
        flags |= 1
        indices = indices.copy()
        indices.paste(count, mask=ImageChops.invert(drawn))
    control = b"!\xf9\x04" + struct.pack("<BHB", flags, time, count % 256) + b"\0"
    return control + _image(indices, patch, local, count)


def _image(indices: Image.Image, patch: _Patch, local: bytes, count: int) -> bytes:
    """Pillow's encoding of the pixels, with codes of no more bits than the colours need."""
    bits = _bits(count)
    indices.encoderconfig = (bits, 0)
    encoded = b"".join(GifImagePlugin.getdata(indices, patch.box[:2]))
    head = encoded[:9] + (bytes([0x80 | bits - 1]) + _padded(local, count) if local else b"\0")
    return head + bytes([bits]) + encoded[11:]


def _padded(table: bytes, count: int) -> bytes:
    """The palette with room for the transparent index; its length is a power of two."""
    return table.ljust(3 << _bits(count), b"\0")


def _bits(count: int) -> int:
    """Bits of an index, with one more index than colours as long as a byte has room for it."""
    return max(2, min(count, 255).bit_length())
