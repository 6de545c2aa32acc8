"""TIFF layouts that Pillow's decoder leaves to its caller: rarer greys, byte orders, palettes of eight bits."""

from __future__ import annotations

import sys
from typing import BinaryIO, Final

from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

_COLOUR_MAP: Final = 320
_II, _MM = b"II", b"MM"
_UNSIGNED, _FLOAT = (1,), (3,)
# Byte order, white is 0 or 1, kind of numbers, bit order, bits, further samples: as Pillow's table of what it opens.
_LAYOUTS: Final = {
    (_MM, 0, _UNSIGNED, 1, (16,), ()): ("I;16B", "I;16B"),
    **{
        (order, photometric, _UNSIGNED, 1, (12,), ()): ("I;16", "I;12")
        for order in (_II, _MM)
        for photometric in (0, 1)
    },
    (_II, 0, _UNSIGNED, 1, (32,), ()): ("I", "I;32N" if sys.byteorder == "little" else "I;32S"),
    **{(_MM, photometric, _UNSIGNED, 1, (32,), ()): ("I", "I;32BS") for photometric in (0, 1)},
    **{(_II, photometric, _FLOAT, 1, (64,), ()): ("F", "F;64F") for photometric in (0, 1)},
    **{(_MM, photometric, _FLOAT, 1, (64,), ()): ("F", "F;64BF") for photometric in (0, 1)},
}
# The library that decompresses gives numbers in the byte order of the machine.
_NATIVE: Final = {
    "F;32F": "F;32NF",
    "F;32BF": "F;32NF",
    "F;64F": "F;64NF",
    "F;64BF": "F;64NF",
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
}

for _key, _modes in _LAYOUTS.items():
    TiffImagePlugin.OPEN_INFO.setdefault(_key, _modes)


def tag(picture: Image.Image, number: int) -> object:
    """The tag of a TIFF; None for other pictures."""
    return picture.tag_v2.get(number) if isinstance(picture, TiffImagePlugin.TiffImageFile) else None


def use_native_order(picture: Image.Image) -> None:
    """Let the numbers of a compressed TIFF be read in the byte order that they are decompressed to; before decoding."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.use_load_libtiff:
        picture.tile = [
            tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
            if isinstance(tile.args, tuple)
            else tile
            for tile in picture.tile
        ]


def repair_palette(picture: Image.Image) -> None:
    """Read the palette of a TIFF as 8-bit values where its writer did not scale them, which Pillow would make black."""
    values = tag(picture, _COLOUR_MAP)
    if picture.mode == "P" and isinstance(values, tuple) and 0 < max(values) < 256:  # noqa: PLR2004 -- a byte
        third = len(values) // 3
        bands = (values[:third], values[third : 2 * third], values[2 * third :])
        picture.putpalette(bytes(value for colour in zip(*bands, strict=True) for value in colour))


def unknown_layout(file: BinaryIO) -> str:
    """The layout of the pixels, where that is the reason that Pillow does not open a TIFF; else ``""``."""
    file.seek(0)
    try:
        TiffImagePlugin.TiffImageFile(file)
    except SyntaxError as error:
        if "unknown pixel mode" in str(error):
            return _layout(file)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110 -- the file is damaged, which is the message for ""
        pass
    return ""


def _layout(file: BinaryIO) -> str:
    file.seek(0)
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
    file.seek(tags.next)
    tags.load(file)
    bits = tags.get(Base.BitsPerSample, (1,))
    kinds = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
    kind = kinds.get(tags.get(339, (1,))[0], "unknown")
    return f"{len(bits)} {kind} samples of {bits[0]} bits, photometric {tags.get(Base.PhotometricInterpretation)}"
