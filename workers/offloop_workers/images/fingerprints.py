"""Perceptual fingerprints: dhash, phash and blurhash."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sqrt
from typing import Final

from PIL import Image

from offloop_workers.raster import colours

_BASE83: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_BLURHASH_SIDE: Final = 32
_PHASH_SIDE: Final = 32


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Perceptual hashes of a picture.

    Attributes:
        dhash: 64 bits: whether each of 8 x 8 cells is brighter than the next.
        phash: 64 bits: which of the lowest frequencies are above their median.
        grey: average brightness, 0 to 255.
        flat: one colour all over, so that the hashes are meaningless.
    """

    dhash: int
    phash: int
    grey: int
    flat: bool

    def distance(self, other: Fingerprint) -> int:
        """Bits of 64 in which two pictures differ, the larger of both hashes; 64 where only one is flat."""
        if self.flat or other.flat:
            return abs(self.grey - other.grey) if self.flat and other.flat else 64
        if abs(self.grey - other.grey) > 64:  # noqa: PLR2004 -- a quarter of the range is more than an edit
            return 64
        return max((self.phash ^ other.phash).bit_count(), (self.dhash ^ other.dhash).bit_count() - 2)


def fingerprint(picture: Image.Image) -> Fingerprint:
    """The fingerprint of an upright picture in sRGB; transparency counts as white."""
    grey = on_white(picture).convert("L")
    small = grey.resize((_PHASH_SIDE, _PHASH_SIDE), Image.Resampling.BOX if min(grey.size) > 64 else _SMOOTH)  # noqa: PLR2004 -- shrinking is averaging
    low, high = small.getextrema()
    average = small.resize((1, 1), Image.Resampling.BOX).tobytes()[0]
    flat = isinstance(low, (int, float)) and isinstance(high, (int, float)) and high - low < 4  # noqa: PLR2004 -- noise
    return Fingerprint(_dhash(small), _phash(small), average, flat)


_SMOOTH: Final = Image.Resampling.BICUBIC


def on_white(picture: Image.Image) -> Image.Image:
    """The picture composited onto white, without alpha."""
    return colours.flattened(picture, "#ffffff")


def _dhash(grey: Image.Image) -> int:
    pixels = grey.resize((9, 8), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = bits << 1 | (pixels[row * 9 + column] > pixels[row * 9 + column + 1])
    return bits


def _phash(grey: Image.Image) -> int:
    """The 8 x 8 lowest frequencies of a cosine transform, each compared with their median."""
    side, waves = _PHASH_SIDE, _waves()
    pixels = grey.tobytes()
    rows = [
        [sum(wave[x] * pixels[y * side + x] for x in range(side)) for wave in waves] for y in range(side)
    ]  # frequencies across, by row
    found = [sum(wave[y] * rows[y][across] for y in range(side)) for wave in waves for across in range(8)]
    ordered = sorted(found[1:])  # the first is the average brightness
    middle = (ordered[31] + ordered[32]) / 2
    bits = 0
    for value in found:
        bits = bits << 1 | (value > middle)
    return bits


@lru_cache(maxsize=1)
def _waves() -> list[list[float]]:
    return [[cos((2 * x + 1) * wave * pi / (2 * _PHASH_SIDE)) for x in range(_PHASH_SIDE)] for wave in range(8)]


def blurhash(picture: Image.Image) -> str:
    """The picture as a few cosine waves in base 83 (the blurhash format), 4 x 3 or 3 x 4 of them."""
    across, down = (4, 3) if picture.width >= picture.height else (3, 4)
    small = on_white(picture).convert("RGB").resize((_BLURHASH_SIDE, _BLURHASH_SIDE), Image.Resampling.BOX)
    raw = small.tobytes()
    linear = [_LINEAR[value] for value in raw]
    waves = [
        [cos(pi * wave * position / _BLURHASH_SIDE) for position in range(_BLURHASH_SIDE)]
        for wave in range(max(across, down))
    ]
    parts = [
        _component(linear, waves[i], waves[j], norm=1 if i == j == 0 else 2) for j in range(down) for i in range(across)
    ]
    first, others = parts[0], parts[1:]
    most = max(abs(value) for part in others for value in part)
    scale = max(0, min(82, int(most * 166 - 0.5)))
    text = _base83((across - 1) + (down - 1) * 9, 1) + _base83(scale, 1) + _base83(_average(first), 4)
    return text + "".join(_base83(_wave(part, (scale + 1) / 166), 2) for part in others)


def _component(linear: list[float], across: list[float], down: list[float], *, norm: int) -> tuple[float, float, float]:
    side = _BLURHASH_SIDE
    sums = [0.0, 0.0, 0.0]
    for y in range(side):
        for x in range(side):
            basis = across[x] * down[y]
            at = (y * side + x) * 3
            for band in range(3):
                sums[band] += basis * linear[at + band]
    return sums[0] * norm / side**2, sums[1] * norm / side**2, sums[2] * norm / side**2


def _average(part: tuple[float, float, float]) -> int:
    red, green, blue = (_encoded(value) for value in part)
    return red << 16 | green << 8 | blue


def _wave(part: tuple[float, float, float], most: float) -> int:
    steps = [max(0, min(18, int(_root(value / most) * 9 + 9.5))) for value in part]
    return steps[0] * 361 + steps[1] * 19 + steps[2]


def _root(value: float) -> float:
    return sqrt(abs(value)) * (1 if value >= 0 else -1)


def _encoded(value: float) -> int:
    value = max(0.0, min(1.0, value))
    return round((12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055) * 255)  # noqa: PLR2004 -- sRGB


_LINEAR: Final = tuple(
    value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 -- sRGB
    for value in range(256)
)


def _base83(number: int, length: int) -> str:
    return "".join(_BASE83[number // 83**power % 83] for power in reversed(range(length)))
