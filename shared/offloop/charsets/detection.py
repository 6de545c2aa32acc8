"""Detection of a charset that nothing declares, by chardetng, the detector of Firefox: a guess, which a note mentions.

Where chardetng has no wheel, the guess is `FALLBACK`.
"""

from __future__ import annotations

import codecs
from typing import Final

from offloop.charsets.labels import charset_named

SAMPLE: Final = 16 << 10
"""Bytes that are looked at: more cost time and change no guess."""
FALLBACK: Final = "windows-1252"
"""The charset of browsers where nothing is known, and the commonest one of such files."""
_SURE: Final = 4
"""Characters of UTF-8 for each malformed sequence from which on a text is damaged UTF-8, and in no other charset."""
_ESCAPE: Final = b"\x1b$"
"""Begin of the escape sequences of ISO-2022-JP, whose bytes are ASCII."""
_PLAIN: Final = bytes({*range(0x80)} - {0x1B})


def guessed(data: bytes) -> str:
    """The most probable charset of a text that is not UTF-8 throughout.

    chardetng takes a text with one malformed sequence for no UTF-8 at all, as a log with a cut line is.
    """
    sample = telling(data)
    characters, broken = in_utf8(sample, final=len(sample) == len(data))
    if characters >= max(1, _SURE * broken):
        return "utf-8"
    try:
        from chardetng_py import detect  # noqa: PLC0415 -- absent where it has no wheel
    except ImportError:
        return FALLBACK
    return charset_named(detect(sample)) or FALLBACK


def in_utf8(data: bytes, *, final: bool) -> tuple[int, int]:
    """Characters beyond ASCII, and malformed sequences, of bytes read as UTF-8; the last may be incomplete."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data, final)
    broken = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - broken, broken


def is_stateful(data: bytes) -> bool:
    """Whether bytes that are ASCII are text in ISO-2022-JP."""
    return _ESCAPE in data and guessed(data) == "iso-2022-jp"


def telling(data: bytes) -> bytes:
    """The part around the first byte that is no plain ASCII: a page may begin with kilobytes of scripts."""
    if len(data) <= SAMPLE:
        return data
    first = len(data) - len(data.lstrip(_PLAIN))
    begin = max(0, min(first - SAMPLE // 4, len(data) - SAMPLE))
    return data[begin : begin + SAMPLE]
