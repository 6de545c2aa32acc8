"""XML with digests: DFXML of hashdeep and md5deep, ConvertTo-Xml and Export-Clixml of PowerShell, FCIV.

An element whose children and attributes have a name and digests is a record; digests without a name belong to the
element around them. Entities are not expanded.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.parsers import expat

from offloop_workers.hashing.manifests import labels, records
from offloop_workers.hashing.manifests.collector import Collector

_PRIVATE: Final = 0xF0000
"""Private code points that stand for bytes which are not UTF-8: hashdeep writes such names as they are."""

_SURROGATE: Final = re.compile("[\udc80-\udcff]")
_STANDING: Final = re.compile("[\U000f0080-\U000f00ff]")
_RETURN: Final = chr(_PRIVATE + 0x0D)
"""Stands for a carriage return of a name, which XML takes for a line feed."""

_MAX_DEPTH: Final = 200


class _Records:
    """Handlers of the parser."""

    def __init__(self, found: Collector, parser: Any) -> None:
        self._found = found
        self._parser = parser
        self._stack: list[dict[str, str]] = []
        self._attributes: list[dict[str, str]] = []
        self._names: list[str] = []
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._stack) > _MAX_DEPTH:
            message = "its elements are nested too deeply"
            raise ValueError(message)
        name = tag.rpartition(":")[2]
        if name in {"hashdigest", "hash", "checksum"}:
            kind = attributes.get("type", "")
        else:
            kind = attributes.get("Name") or attributes.get("N") or ("path" if name == "location" else "")
        self._stack.append({})
        self._attributes.append(attributes)
        self._names.append(kind or name)
        self._text = []

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        children, name, attributes = self._stack.pop(), self._names.pop(), self._attributes.pop()
        fields = {key: _restored(text) for key, text in attributes.items() if records.is_name(key) or _is_digest(key)}
        fields |= children
        if any(map(_is_digest, fields)):
            if name != "pieces":  # of parts of a file
                self._record(fields)
        elif self._stack and not children:
            text = "".join(self._text) or attributes.get("value") or attributes.get("href") or ""
            self._stack[-1].setdefault(name, _restored(text))
        self._text = []

    def _record(self, fields: dict[str, str]) -> None:
        digests = {key: text for key, text in fields.items() if _is_digest(key)}
        if not self._stack or any(map(records.is_name, fields)) or digests.keys() & self._stack[-1].keys():
            records.record(self._found, self._parser.CurrentLineNumber, fields)
        else:
            self._stack[-1] |= digests


def _is_digest(key: str) -> bool:
    return key.lower() in {"hash", "digest", "sum"} or labels.algorithm(key) is not None


def _restored(text: str) -> str:
    """A text with its bytes that are not UTF-8, and its carriage returns."""
    return _STANDING.sub(lambda one: chr(ord(one[0]) - _PRIVATE + 0xDC00), text).replace(_RETURN, "\r")


def read(found: Collector) -> None:
    """Add the records of an XML text.

    Raises:
        ValueError: it is no XML, or has entities of its own.
    """
    records.check_size(found.text.data)
    text = found.text.data.replace(b"\0", b"\n").decode("utf-8", "surrogateescape")
    text = re.sub("\r(?!\n)", _RETURN, text)
    text = _SURROGATE.sub(lambda one: chr(ord(one[0]) - 0xDC00 + _PRIVATE), text)
    text = re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text, count=1)  # it may name another encoding than the decoded one
    parser = expat.ParserCreate("utf-8")
    handlers = _Records(found, parser)
    parser.StartElementHandler = handlers.start
    parser.EndElementHandler = handlers.end
    parser.CharacterDataHandler = handlers.text
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)  # noqa: FBT003 -- the last part, which expat takes by position
    except expat.ExpatError as error:
        message = f"it is no XML: {error}"
        raise ValueError(message) from None


def _refuse_entity(*_declaration: object) -> None:
    message = "it declares entities"
    raise ValueError(message)
