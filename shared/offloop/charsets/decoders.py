"""Decoders of the charsets in the WHATWG Encoding Standard.

Python's codecs do the work; `offloop.charsets.corrections` has the byte sequences that they lack or read differently.
What stays different: the number of U+FFFD for a malformed sequence; 8F A2 B7 in euc-jp (read as ``~``); A2 41 and A2 42
in big5 (read as full-width slashes).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from offloop.charsets.corrections import corrections
from offloop.charsets.iso2022jp import Iso2022JpDecoder

PIECE: Final = 64 << 10
"""Bytes that are decoded in one go: no longer does a thread that decodes hold the interpreter."""
REPLACEMENT: Final = "\ufffd"

_CODECS: Final = {
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac-roman",
    "shift_jis": "cp932",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
"""Codecs of Python, where the name in the standard is unknown to it or means another one."""
_HIGH: Final = bytes(byte | 0x80 for byte in range(0x100))
_IN_PAIRS: Final = ".pairs"
"""Suffix of the error handler for text that has only pairs: a malformed one must not shift those after it."""
PAIRS: Final = frozenset(
    {"big5", "euc-jp", "euc-kr", "gb18030", "gbk", "iso-2022-jp", "shift_jis", "johab", "euc_jis_2004", "euc_jisx0213",
     "shift_jis_2004", "shift_jisx0213", "big5hkscs"}
)  # fmt: skip
"""Charsets whose characters begin only where those before them end. A line end is a certain begin in all of them."""
_WIDE: Final = {"utf-16le": 2, "utf-16be": 2, "utf-32": 4, "utf-32-le": 4, "utf-32-be": 4}


class Decoder:
    """Decodes the bytes of one text in pieces of any size.

    Args:
        charset: a name that `charset_named` returned.

    Attributes:
        replaced: byte sequences that did not decode, and became U+FFFD.
    """

    def __init__(self, charset: str) -> None:
        self._plan = _plan(charset)
        self._codec = self._plan.decoder()
        self.replaced = 0

    @property
    def pending(self) -> int:
        """Bytes of a character that is not complete yet."""
        return len(self._codec.getstate()[0])

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Decode some bytes; an incomplete character waits for the next ones, unless these are the last."""
        kept = self._codec.getstate()[0]
        text = self._codec.decode(data, final)
        if not text.isascii():
            if self._plan.translation:
                text = text.translate(self._plan.translation)
            if found := text.count(REPLACEMENT):
                self.replaced += found - self._plan.genuine(kept + data)
        return text


@dataclass(frozen=True, slots=True)
class _Plan:
    """A codec of Python with its corrections."""

    codec: str
    errors: str
    translation: dict[int, str]

    def decoder(self) -> codecs.IncrementalDecoder:
        if self.codec == "iso-2022-jp":
            return Iso2022JpDecoder(decode_jis0208)
        if self.codec == "replacement":
            return _ReplacementDecoder()
        return codecs.getincrementaldecoder(self.codec)(self.errors)

    def genuine(self, data: bytes) -> int:
        """Number of U+FFFD that the bytes encode."""
        try:
            return data.decode(self.codec, "ignore").count(REPLACEMENT)
        except LookupError:
            return 0


class _ReplacementDecoder(codecs.IncrementalDecoder):
    """Decoder of charsets that browsers do not read: one U+FFFD for the whole text."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: ARG002, FBT001, FBT002 -- the signature of codecs
        text = REPLACEMENT if data and not self._begun else ""
        self._begun = self._begun or bool(data)
        return text


@lru_cache(128)
def _plan(charset: str) -> _Plan:
    codec = _CODECS.get(charset, charset)
    if charset in ("iso-2022-jp", "replacement"):
        return _Plan(charset, "replace", {})
    if charset == "x-user-defined":
        return _Plan("latin-1", "replace", {byte: chr(0xF700 + byte) for byte in range(0x80, 0x100)})
    lacking: dict[bytes, str] = {}
    translation: dict[int, str] = {}
    for sequence, right in corrections(charset):
        try:
            found = sequence.decode(codec)
        except UnicodeDecodeError:
            lacking[sequence] = right
            continue
        if found != right and len(found) == 1 and not found.isascii():
            translation[ord(found)] = right
    errors = "replace"
    if lacking:
        errors = f"offloop.{charset}"
        codecs.register_error(errors, _Lacking(lacking))
        codecs.register_error(errors + _IN_PAIRS, _Lacking(lacking, 2))
    return _Plan(codec, errors, translation)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """Error handler: characters of sequences that a codec lacks, else U+FFFD.

    Attributes:
        characters: those that it lacks.
        least: bytes that one U+FFFD stands for.
    """

    characters: Mapping[bytes, str]
    least: int = 1

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        for length in (2, 1):
            sequence = error.object[error.start : error.start + length]
            if found := self.characters.get(sequence):
                return found, error.start + len(sequence)
        return REPLACEMENT, min(max(error.end, error.start + self.least), len(error.object))


def decode_jis0208(pairs: bytes) -> str:
    """Decode pairs of bytes of JIS X 0208, each below 0x80, with the extensions that the standard has."""
    plan = _plan("euc-jp")
    return pairs.translate(_HIGH).decode(plan.codec, plan.errors + _IN_PAIRS).translate(plan.translation)


def decode(data: bytes, charset: str) -> tuple[str, int]:
    """Decode a whole text, in pieces; returns it and how many byte sequences were replaced by U+FFFD."""
    decoder = Decoder(charset)
    text = "".join(decoder.feed(piece, final=last) for piece, last in _pieces(data))
    return text, decoder.replaced


def unit(charset: str) -> int:
    """Bytes of the smallest unit of a charset: 2 in UTF-16, 4 in UTF-32, else 1."""
    return _WIDE.get(charset, 1)


def _pieces(data: bytes) -> Iterator[tuple[bytes, bool]]:
    for start in range(0, max(1, len(data)), PIECE):
        yield data[start : start + PIECE], start + PIECE >= len(data)
