"""Detection of a charset that nothing declares, by chardetng, the detector of Firefox: a guess, which a note mentions.

Where chardetng has no wheel, the guess is `FALLBACK`.
"""

from __future__ import annotations

from typing import Final

from offloop.charsets.labels import charset_named

SAMPLE: Final = 16 << 10
"""Bytes that are looked at: more cost time and change no guess."""
FALLBACK: Final = "windows-1252"
"""The charset of browsers where nothing is known, and the commonest one of such files."""
_ESCAPE: Final = b"\x1b$"
"""Begin of the escape sequences of ISO-2022-JP, whose bytes are ASCII."""
_PLAIN: Final = bytes({*range(0x80)} - {0x1B})


def guessed(data: bytes) -> str:
    """The most probable charset of a text that is not UTF-8."""
    try:
        from chardetng_py import detect  # noqa: PLC0415 -- absent where it has no wheel
    except ImportError:
        return FALLBACK
    return charset_named(detect(_telling(data))) or FALLBACK


def is_stateful(data: bytes) -> bool:
    """Whether bytes that are ASCII are text in ISO-2022-JP."""
    return _ESCAPE in data and guessed(data) == "iso-2022-jp"


def _telling(data: bytes) -> bytes:
    """The part around the first byte that is no plain ASCII: a page may begin with kilobytes of scripts."""
    if len(data) <= SAMPLE:
        return data
    first = len(data) - len(data.lstrip(_PLAIN))
    begin = max(0, min(first - SAMPLE // 4, len(data) - SAMPLE))
    return data[begin : begin + SAMPLE]
