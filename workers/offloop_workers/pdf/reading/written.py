"""Objects and streams as they are written in a file.

The library drops references to objects that it does not find, and takes seconds for a stream that unpacks to gigabytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pikepdf
from pikepdf import Array, Name, Stream

_DEFINITION = re.compile(rb"(?<!\d)(\d{1,9})\s+(\d{1,5})\s+obj\b")
_ANY_REFERENCE = re.compile(rb"(?<!\d)(\d{1,9})\s+(\d{1,5})\s+R\b")
_CONTENTS = re.compile(rb"/Contents\s*(\[[^\]]*\]|\d{1,9}\s+\d{1,5}\s+R\b)")
_COUNT = re.compile(rb"/Count\s+(\d{1,9})\b")
_END = re.compile(rb"\bendobj\b|\bstream\r?\n")
_OTHER_KEYS = re.compile(
    rb"/(?:Parent|P|Contents|Length|Annots|B|Metadata|Thumb|PieceInfo|StructParent|OC|ToUnicode)\s*(?:\[[^\]]*\]|\d+\s+\d+\s+R)"
)
WHOLE, PART, LOST = 0, 1, 2
"""States of a stream: all of it can be unpacked, only its beginning, or nothing."""
UNPACKED = frozenset({"/FlateDecode", "/LZWDecode", "/RunLengthDecode", "/ASCII85Decode", "/ASCIIHexDecode"})
_MOST_UNPACKED = 32 << 20
_USE = re.compile(rb"/([\w.+-]+)\s+(?:(Do)\b|[-+.\d]+\s+Tf\b)")
_STRING = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_MOST_OF_LIBRARY = 1 << 20
_MOST_IN_ONE_STEP = 1 << 20
_STEP = 512
_MAX_OBJECT = 1 << 16
_MAX_DEFINITIONS = 2_000_000
_MAX_DEPTH = 5

Id = tuple[int, int]


class Written:
    """The text of objects in a file, and the references in it."""

    def __init__(self, pdf: pikepdf.Pdf, data: bytes) -> None:
        self._pdf = pdf
        self._data = data
        self._starts: dict[Id, int] = {}
        for number, found in enumerate(_DEFINITION.finditer(data)):
            if number >= _MAX_DEFINITIONS:
                break
            self._starts[int(found[1]), int(found[2])] = found.end()
        self._packed = dict(_packed(pdf))
        self._known: dict[Id, bool] = {}

    def contents(self, page: Id) -> list[Id]:
        """The content streams that a page names."""
        found = _CONTENTS.search(self._text(page))
        return _references(found[1]) if found else []

    def count(self, node: Id) -> int | None:
        """The number of pages that a node of the page tree states."""
        found = _COUNT.search(self._text(node))
        return int(found[1]) if found else None

    def lacks(self, page: Id) -> bool:
        """Whether objects below a page are missing: of its resources, and of those that they refer to."""
        return self._lacks(page, 0)

    def _lacks(self, one: Id, depth: int) -> bool:
        if one not in self._known:
            self._known[one] = False
            below = _references(_OTHER_KEYS.sub(b"", self._text(one)))
            self._known[one] = any(
                self._pdf.get_object(child) is None or (depth < _MAX_DEPTH and self._lacks(child, depth + 1))
                for child in below
            )
        return self._known[one]

    def _text(self, one: Id) -> bytes:
        if one not in self._starts:
            return self._packed.get(one, b"")
        text = self._data[self._starts[one] : self._starts[one] + _MAX_OBJECT]
        end = _END.search(text)
        return text[: end.start()] if end else text


def filters(stream: Stream) -> list[str]:
    """The names of a stream's filters."""
    found: object = stream.get("/Filter")
    names = list(found) if isinstance(found, Array) else [found]
    return [str(name) for name in names if isinstance(name, Name)]


def unpacked(stream: Stream) -> tuple[int, int]:
    """The state of a stream, and the bytes that it took to find it; of a larger one than 32 MiB, that of these."""
    names = filters(stream)
    if names[:1] == ["/FlateDecode"]:
        return _inflated(stream.read_raw_bytes())
    if not names or not set(names) <= UNPACKED or "/FlateDecode" in names[1:-1] or len(names) > 2:  # noqa: PLR2004 -- usual
        return WHOLE, 0
    raw = stream.read_raw_bytes()
    if len(raw) > _MOST_OF_LIBRARY:
        return WHOLE, 0
    try:
        return WHOLE, len(stream.read_bytes())
    except pikepdf.PikepdfError as error:
        return (WHOLE if "memory limit" in str(error) else LOST), 0


def names_used(content: Stream, *, outside_strings: bool = False) -> tuple[frozenset[tuple[str, str]], int]:
    """The categories and names of the resources that content uses in its first MiB, and the bytes looked at."""
    kind, data = filters(content), content.read_raw_bytes()[:_MOST_IN_ONE_STEP]
    try:
        text = zlib.decompressobj().decompress(data, _MOST_IN_ONE_STEP) if kind == ["/FlateDecode"] else data
    except zlib.error:
        text = b""
    if kind not in ([], ["/FlateDecode"]):
        return frozenset(), len(text)
    uses = _USE.findall(_STRING.sub(b"", text) if outside_strings else text)
    return frozenset(("/XObject" if do else "/Font", f"/{name.decode()}") for name, do in uses), len(text)


def _inflated(data: bytes) -> tuple[int, int]:
    with suppress(zlib.error):
        inflate = zlib.decompressobj()
        size = len(inflate.decompress(data, _MOST_IN_ONE_STEP))
        if inflate.eof:
            return WHOLE, size
    inflate, size = zlib.decompressobj(), 0
    try:
        for start in range(0, len(data), _STEP):
            part = data[start : start + _STEP]
            while part:
                size += len(inflate.decompress(part, 1 << 16))
                part = inflate.unconsumed_tail
                if inflate.eof or size > _MOST_UNPACKED:
                    return WHOLE, size
    except zlib.error as error:
        # A wrong checksum after all of the data, which every reader ignores.
        return (WHOLE if "data check" in str(error) else PART if size else LOST), size
    return (WHOLE if not data or _only_lacks_checksum(inflate) else PART if size else LOST), size


def _only_lacks_checksum(inflate: object) -> bool:
    try:
        inflate.copy().decompress(bytes(8), 1)  # type: ignore[attr-defined]  # the type of zlib has no public name
    except zlib.error as error:
        return "data check" in str(error)
    return False


def _packed(pdf: pikepdf.Pdf) -> Iterator[tuple[Id, bytes]]:
    """The objects inside of object streams."""
    for stream in pdf.objects:
        if not isinstance(stream, Stream) or stream.get("/Type") != Name.ObjStm:
            continue
        try:
            text, first = stream.read_bytes(), int(stream.First)
            header = [int(word) for word in text[:first].split()]
        except (pikepdf.PikepdfError, ValueError, AttributeError, TypeError):
            continue
        starts = header[1::2]
        for number, start, end in zip(header[::2], starts, [*starts[1:], len(text)], strict=False):
            yield (number, 0), text[first + start : min(first + end, first + start + _MAX_OBJECT)]


def _references(text: bytes) -> list[Id]:
    return [(int(number), int(generation)) for number, generation in _ANY_REFERENCE.findall(text)]
