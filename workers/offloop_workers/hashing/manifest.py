"""Manifests of file digests: GNU, BSD, hashdeep and JSON.

A name may contain any byte but NUL. GNU and BSD lines escape line breaks and backslashes, and mark this with a leading
backslash; JSON has ``path_base64`` instead of ``path`` where a name is not UTF-8.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO, Final, NoReturn, NotRequired

from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.files import MAX_FILES
from offloop.jobs.hashing import DIGITS, Format
from offloop_workers.hashing import hashdeep
from offloop_workers.hashing.entries import LINK, Contents, Entry

MAX_BYTES: Final = 128 << 20
MAX_LINE: Final = 32 * 1024
"""Bytes of a line: the longest possible path with every byte escaped, and the digest."""

MIME: Final[dict[Format, str]] = {
    "gnu": "text/plain",
    "bsd": "text/plain",
    "json": "application/json",
    "hashdeep": "text/plain",
}
_FORMAT: Final = "offloop-manifest-1"
_MALFORMED_KEPT: Final = 1000

_TAGS: Final = {name: name.upper().replace("_", "-") for name in DIGITS} | {
    "blake2b": "BLAKE2b",
    "blake2s": "BLAKE2s",
    "xxh3_64": "XXH3",
    "xxh3_128": "XXH128",
}
_BY_TAG: Final = {tag.upper(): name for name, tag in _TAGS.items()} | {
    "BLAKE2B-512": "blake2b",
    "BLAKE2S-256": "blake2s",
    "XXH3_128": "xxh3_128",
    "XXH3-128": "xxh3_128",
    "XXH3-64": "xxh3_64",
    "XXH3_64": "xxh3_64",
    "SHA3_256": "sha3_256",
    "SHA3_512": "sha3_512",
}
_BY_LENGTH: Final = {
    DIGITS[name]: name for name in ("sha512", "sha384", "sha256", "sha224", "sha1", "md5", "xxh3_64", "crc32")
}
_GNU = re.compile(rb"(?P<digest>[0-9a-fA-F]{8,128}) [ *](?P<name>.+)", re.DOTALL)
_BSD = re.compile(rb"(?P<tag>[A-Za-z0-9_-]{3,16}) \((?P<name>.+)\) = (?P<digest>[0-9a-fA-F]{8,128})", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.?)", re.DOTALL)
_PLAIN: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


def write(file: BinaryIO, form: Format, algorithm: str, tree: str | None, entries: Iterable[Entry]) -> None:
    """Write a manifest; only JSON can represent recorded links."""
    if form == "json":
        _write_json(file, algorithm, tree, entries)
        return
    if form == "hashdeep":
        hashdeep.write(file, algorithm, entries)
        return
    for entry in entries:
        if entry.size != LINK:
            file.write(_line(form, entry))


def _line(form: Format, entry: Entry) -> bytes:
    name, digest = os.fsencode(entry.path), entry.digest.hex().encode()
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != name else b""
    if form == "gnu":
        return b"%s%s  %s\n" % (mark, digest, escaped)
    return b"%s%s (%s) = %s\n" % (mark, _TAGS[entry.algorithm].encode(), escaped, digest)


def _write_json(file: BinaryIO, algorithm: str, tree: str | None, entries: Iterable[Entry]) -> None:
    head = json.dumps({"format": _FORMAT, "algorithm": algorithm, "tree_digest": tree})
    file.write(head[:-1].encode() + b', "entries": [')
    for number, entry in enumerate(entries):
        size = {"link": True} if entry.size == LINK else {"size": entry.size}
        line = json.dumps({**json_path(entry.path), **size, "digest": entry.digest.hex()}, ensure_ascii=False)
        file.write((b",\n" if number else b"\n") + line.encode())
    file.write(b"\n]}\n")


def json_path(path: str) -> dict[str, str]:
    """A path in JSON: text where it is UTF-8, else Base64."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"path_base64": base64.b64encode(os.fsencode(path)).decode()}
    return {"path": path}


def read(file: BinaryIO, algorithm: str | None) -> Contents:
    """Parse a manifest of any of the formats.

    Args:
        file: the manifest.
        algorithm: for lines without an algorithm; without it, the length of the digest decides.

    Raises:
        LimitExceeded: it has too many bytes or lines.
        JobError: ``bad_input``: it contains no valid entry.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"The manifest has more than {MAX_BYTES >> 20} MiB, the limit: send it in parts."
        raise LimitExceeded(message)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] == b"{":
        return Contents(_read_json(data), [], 0)
    parse = hashdeep.Lines().parse if data.startswith(hashdeep.MAGIC) else partial(_parse, algorithm=algorithm)
    found = _read_lines(io.BytesIO(data), parse)
    if not found.entries:
        why = found.malformed[0] if found.malformed else "it is empty"
        message = (
            f"The manifest has no entry ({why}): send lines as sha256sum writes them, '<digest>  <path>', BSD lines, "
            "'SHA256 (<path>) = <digest>', the JSON of hash_tree, or hashdeep's; UTF-16 text must be converted first."
        )
        raise JobError(message, code="bad_input")
    return found


def _read_lines(lines: Iterable[bytes], parse: Callable[[bytes], list[Entry] | str]) -> Contents:
    entries: list[Entry] = []
    malformed: list[str] = []
    files = total = 0
    for number, line in enumerate(lines, 1):
        if number > 2 * MAX_FILES:  # empty lines and comments included
            raise _too_many()
        text = line.removesuffix(b"\n").removesuffix(b"\r")  # line breaks inside a name are escaped
        if not text.strip():
            continue
        found = parse(text) if len(text) <= MAX_LINE else f"has more than {MAX_LINE} bytes"
        if isinstance(found, str):
            total += 1
            if total <= _MALFORMED_KEPT:
                malformed.append(f"line {number}: {found}")
        elif found:
            files += 1
            entries += found
        if files + total > MAX_FILES:
            raise _too_many()
    return Contents(entries, malformed, total)


def _parse(line: bytes, algorithm: str | None) -> list[Entry] | str:
    if line.startswith(b"#"):
        return []
    escaped = line.startswith(b"\\")
    text = line[1:] if escaped else line
    if found := _BSD.fullmatch(text):
        named = _BY_TAG.get(found["tag"].decode().upper())
        if named is None:
            return f"the algorithm {found['tag'].decode()} is not known"
    elif found := _GNU.fullmatch(text):
        named = algorithm or _BY_LENGTH.get(len(found["digest"]))
    else:
        return "is neither '<digest>  <path>' nor '<ALGORITHM> (<path>) = <digest>'"
    digits = found["digest"]
    if named is None or DIGITS[named] != len(digits):
        return f"a digest of {len(digits)} digits is not one of {named or 'any known algorithm'}"
    name = _unescape(found["name"]) if escaped else found["name"]
    if name is None or b"\0" in name:
        return "the name holds a NUL byte, or a backslash that escapes nothing"
    return [Entry(os.fsdecode(name), named, bytes.fromhex(digits.decode()))]


def _unescape(name: bytes) -> bytes | None:
    if any(one not in _PLAIN for one in _ESCAPED.findall(name)):
        return None
    return _ESCAPED.sub(lambda found: _PLAIN[found[1]], name)


class _JsonEntry(TypedDict):  # not a model: half a million of those would take half a gigabyte
    digest: str
    path: NotRequired[str]
    path_base64: NotRequired[Base64Bytes]
    size: NotRequired[int]
    link: NotRequired[bool]


class _JsonManifest(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    format: str
    algorithm: str
    entries: list[_JsonEntry]


def _read_json(data: bytes) -> list[Entry]:
    try:
        found = _JsonManifest.model_validate_json(data)
        if found.format != _FORMAT or found.algorithm not in DIGITS:
            _refuse_json(f"its format is not {_FORMAT!r}, or its algorithm is unknown")
        if len(found.entries) > MAX_FILES:
            raise _too_many()
        return [_json_entry(entry, found.algorithm) for entry in found.entries]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        _refuse_json(f"{where[:100] or 'the text'}: {first['msg'][:200]}")


def _json_entry(entry: _JsonEntry, algorithm: str) -> Entry:
    name = entry["path"].encode() if "path" in entry else entry.get("path_base64")
    if not name or b"\0" in name or len(entry["digest"]) != DIGITS[algorithm]:
        _refuse_json(f"an entry has no path, a NUL byte in it, or a digest that is not one of {algorithm}")
    try:
        digest = bytes.fromhex(entry["digest"])
    except ValueError:
        _refuse_json("a digest is not hexadecimal")
    return Entry(os.fsdecode(name), algorithm, digest, LINK if entry.get("link") else max(entry.get("size", -1), -1))


def _refuse_json(why: str) -> NoReturn:
    message = f"The manifest is not the JSON of hash_tree ({why}): send it as it was made."
    raise JobError(message, code="bad_input") from None


def _too_many() -> LimitExceeded:
    return LimitExceeded(f"The manifest has more than {MAX_FILES:,} lines, the limit: send it in parts.")


def lists(file: BinaryIO, parts: Iterable[tuple[str, Iterable[object]]]) -> None:
    """Write a report: one JSON object of lists, streamed element by element."""
    for number, (name, elements) in enumerate(parts):
        file.write((b",\n" if number else b"{\n") + json.dumps(name).encode() + b": [")
        file.writelines(_elements(elements))
        file.write(b"]")
    file.write(b"\n}\n")


def _elements(elements: Iterable[object]) -> Iterator[bytes]:
    for number, element in enumerate(elements):
        yield (b",\n" if number else b"\n") + json.dumps(element, ensure_ascii=False).encode()
