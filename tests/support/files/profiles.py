"""Colour profiles for tests: ICC version 2, as the specification lays them out; Pillow makes only sRGB, Lab and XYZ."""

from __future__ import annotations

import itertools
import struct

from PIL import ImageCms

_D50 = (0.9642, 1.0, 0.8249)


def srgb() -> bytes:
    """Pillow's own sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_grey(description: str = "Linear grey") -> bytes:
    """A profile of grey pictures whose numbers are proportional to the light."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)  # no entries: the identity
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"desc": _text(description), b"kTRC": curve})


def red_cyan() -> bytes:
    """A profile of a press whose cyan ink prints red; every other ink prints black."""
    white, red, black = (255, 128, 128), (136, 208, 195), (0, 128, 128)  # L, a, b in eight bits
    grid = (
        white if not any(inks) else red if inks == (1, 0, 0, 0) else black
        for inks in itertools.product((0, 1), repeat=4)
    )
    identity = bytes(range(256))
    matrix = _numbers(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + bytes(itertools.chain(*grid))
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"desc": _text("Red cyan"), b"A2B0": table + identity * 3})


def _profile(use: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags |= {b"wtpt": b"XYZ " + bytes(4) + _numbers(*_D50), b"cprt": b"text" + bytes(4) + b"none\0"}
    head, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        head += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    fields = bytes(4) + struct.pack(">I", 0x0210_0000) + use + space + connection + date + b"acsp" + bytes(28)
    fields += _numbers(*_D50)
    whole = fields.ljust(124, b"\0") + struct.pack(">I", len(tags)) + head + body
    return struct.pack(">I", len(whole) + 4) + whole


def _numbers(*values: float) -> bytes:
    """Fixed-point numbers with 16 bits after the point."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _text(description: str) -> bytes:
    line = description.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(line)) + line + bytes(8 + 2 + 1 + 67)
