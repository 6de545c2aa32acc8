"""Decoder of ISO-2022-JP: ASCII, JIS X 0201 and JIS X 0208 in one text, switched by escape sequences.

https://encoding.spec.whatwg.org/#iso-2022-jp-decoder

Python's codec has neither half-width katakana nor the extensions of JIS X 0208, such as ①, which mails and pages use.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final

_ESCAPE: Final = re.compile(rb"\x1b(?:\([BJI]|\$[@B])")
_BEGUN: Final = re.compile(rb"\x1b[($]?\Z")
_ASCII: Final = b"\x1b(B"
_ROMAN: Final = b"\x1b(J"
_KATAKANA: Final = b"\x1b(I"
_ROMAN_CHARACTERS: Final = {0x5C: "¥", 0x7E: "\u203e"}
_HALF_WIDTH: Final = 0xFF61 - 0x21
_UNREADABLE: Final = re.compile("[\x0e\x0f\x1b\x80-\U0010ffff]")
_PAIRS: Final = re.compile(rb"(?:[\x21-\x7e]{2})+")
_LAST_KATAKANA: Final = 0x5F


class Iso2022JpDecoder(codecs.IncrementalDecoder):
    """Incremental decoder.

    Args:
        pairs: decodes pairs of bytes of JIS X 0208.
    """

    def __init__(self, pairs: Callable[[bytes], str]) -> None:
        super().__init__()
        self._decode_pairs = pairs
        self._mode = _ASCII
        self._kept = b""

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: FBT001, FBT002 -- the signature of codecs
        """Decode some bytes."""
        data = self._kept + data
        self._kept = b""
        text: list[str] = []
        position = 0
        for escape in _ESCAPE.finditer(data):
            text.append(self._run(data[position : escape.start()], final=True))
            self._mode = escape[0]
            position = escape.end()
        rest = data[position:]
        if not final and (begun := _BEGUN.search(rest)):
            rest, self._kept = rest[: begun.start()], begun[0]
        text.append(self._run(rest, final=final or bool(self._kept)))
        return "".join(text)

    def getstate(self) -> tuple[bytes, int]:
        """The bytes that wait for more."""
        return self._kept, 0

    def _run(self, data: bytes, *, final: bool) -> str:
        """Decode bytes without escape sequences, in the current mode."""
        if self._mode in (_ASCII, _ROMAN):
            text = _UNREADABLE.sub("\ufffd", data.decode("latin-1"))
            return text.translate(_ROMAN_CHARACTERS) if self._mode == _ROMAN else text
        if self._mode == _KATAKANA:
            return "".join(
                chr(byte + _HALF_WIDTH) if ord("!") <= byte <= _LAST_KATAKANA else _other(byte) for byte in data
            )
        return self._double(data, final=final)

    def _double(self, data: bytes, *, final: bool) -> str:
        text: list[str] = []
        position = 0
        while position < len(data):
            if found := _PAIRS.match(data, position):
                text.append(self._decode_pairs(found[0]))
                position = found.end()
            elif not final and position == len(data) - 1 and data[position] > ord(" "):
                self._kept = data[position:]
                break
            else:
                text.append(_other(data[position]))
                position += 1
        return "".join(text)


def _other(byte: int) -> str:
    """A byte that is no character of the current set: line ends and blanks are kept."""
    return chr(byte) if byte in b"\t\n\r " else "\ufffd"
