"""Records: JSON, TOML, XML and CSV whose objects have the name of a file and its digests, whatever the program.

Get-FileHash of PowerShell, lock files of npm, poetry, uv and pdm, listings of rclone, indexes of PyPI and conda, DFXML
of hashdeep, FCIV: they differ in the names of their fields only.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from offloop.errors import LimitExceeded
from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.collector import Collector

MAX_BYTES: Final = 32 << 20
"""Bytes of JSON, TOML or XML, which is held in memory as objects."""

_NAMES: Final = ("path", "filepath", "fullname", "relativepath", "filename", "file", "name")
_ADDRESSES: Final = ("resolved", "browserdownloadurl", "downloadurl", "url", "uri", "href")
_GROUPS: Final = ("hashes", "digests", "checksums", "checksum", "hash", "digest")
_DIGESTS: Final = ("hash", "digest", "checksum", "integrity", "hashstring", "shasum", "sum")
_LISTED: Final = ("content", "checksumvalue", "hashvalue", "value", *_DIGESTS)
"""Names of a digest in a list of those of one file."""

_ALGORITHMS: Final = ("algorithm", "hashalgorithm", "alg", "checksumtype", "hashtype", "digesttype")
_SIZES: Final = ("size", "length", "filesize", "bytes")
_MAX_DEPTH: Final = 50
_SPACES: Final = re.compile(r"[\s_-]+")


def of_json(found: Collector) -> None:
    """Add the records of a JSON text.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    check_size(found.text.data)
    _walk(found, [("", _parsed(found.text.data))])


def _parsed(text: bytes) -> Any:
    """The values of a JSON text, or of one whose lines are texts of their own."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def of_toml(found: Collector) -> None:
    """Add the records of a TOML text.

    Raises:
        ValueError: it is no TOML.
        RecursionError: it is nested too deeply.
    """
    check_size(found.text.data)
    _walk(found, [("", tomllib.loads(found.text.data.decode("utf-8", "replace")))])


def of_csv(found: Collector, head: bytes) -> None:
    """Add the rows of a table with a head.

    Args:
        found: takes the entries.
        head: the line with the names of the columns.
    """
    check_size(found.text.data)
    text = found.text.data.decode("utf-8", "surrogateescape")
    skipped = text.index(head.decode("utf-8", "surrogateescape"))
    delimiter = max(",;\t", key=head.decode("latin-1").count)
    before = text.count("\n", 0, skipped)
    rows = csv.DictReader(io.StringIO(text[skipped:], newline=""), delimiter=delimiter)
    try:
        for row in rows:
            fields = {key: value for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
            if any(fields.values()):
                record(found, before + rows.line_num, fields)
    except csv.Error as error:
        found.refuse(before + rows.line_num, f"is no row of the table ({error}), so nothing below it was read")


def record(found: Collector, number: int, fields: Mapping[str, Any], key: str = "") -> bool:
    """Add the digests of one record.

    Args:
        found: takes the entries.
        number: of its line, or of the record.
        fields: its values by name.
        key: the key under which an object has it.

    Returns:
        Whether it has digests.
    """
    plain = {_SPACES.sub("", name).lower(): value for name, value in fields.items()}
    digests = [*_digests(plain)]
    if not digests:
        return False
    name = _name(plain, key)
    if not name:
        found.refuse(number, "has a digest, and no name of a file")
        return True
    size = next((int(plain[one]) for one in _SIZES if re.fullmatch(r"[0-9]{1,19}", str(plain.get(one, "")))), -1)
    for printed in digests:
        _add(found, number, name, printed, size)
    return True


def _add(found: Collector, number: int, name: bytes, printed: tuple[str, str], size: int = -1) -> None:
    label, text = printed
    raw = text.strip().encode("utf-8", "replace")
    if parsed := labels.tagged(raw.split()[0] if raw.split() else b""):
        found.entry(number, name, *parsed, size)
    elif label:
        found.labelled(number, name, label, raw, size)
    elif (digest := labels.decode(raw)) is not None:
        found.bare(number, name, digest, size)
    else:
        cut = "it is cut" if text.rstrip().endswith(("...", "\u2026")) else "it is neither hexadecimal nor Base64"
        found.refuse(number, f"has no digest that can be read: {cut}")


def _digests(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Label, empty where there is none, and text of each digest."""
    label = next((fields[one] for one in _ALGORITHMS if isinstance(fields.get(one), str)), "")
    for name, value in fields.items():
        if isinstance(value, str) and value.strip():
            if name in _DIGESTS:
                yield label.strip(), value
            elif labels.algorithm(name) or (labels.foreign(name) and name != "size" and labels.decode(value.encode())):
                yield name, value
        elif isinstance(value, Mapping) and name in _GROUPS:
            inner = ((one, text) for one, text in value.items() if isinstance(text, str))
            yield from ((one, text) for one, text in inner if labels.algorithm(one) or labels.foreign(one))
        elif isinstance(value, list) and name in _GROUPS:
            yield from _of_list(value)


def _of_list(values: list[Any]) -> Iterator[tuple[str, str]]:
    """The digests of a list of objects, as bills of materials have it."""
    for one in values:
        plain = (
            {name.lower(): text for name, text in one.items() if isinstance(text, str)} if isinstance(one, dict) else {}
        )
        label = next((plain[name] for name in _ALGORITHMS if name in plain), "")
        text = next((plain[name] for name in _LISTED if name in plain), "")
        if label and text:
            yield label, text


def _name(fields: Mapping[str, Any], key: str) -> bytes:
    if {"name", "version", "source", "checksum"} <= fields.keys():  # of Cargo.lock
        return _bytes(f"{fields['name']}-{fields['version']}.crate")
    for one in _NAMES:
        value = fields.get(one)
        if isinstance(value, str) and value and not (one == "name" and _address(fields)):
            return _bytes(value)
    address = _address(fields)
    package = key.rpartition("node_modules/")[2] if "node_modules/" in key else ""
    if package and not address and isinstance(fields.get("version"), str):  # the file that npm pack makes of it
        return _bytes(f"{package.removeprefix('@').replace('/', '-')}-{fields['version']}.tgz")
    last = unquote(urlsplit(address).path.rpartition("/")[2]) if address else key
    return _bytes(last)


def is_name(field: str) -> bool:
    """Whether a field has the name of a file, or its address."""
    plain = _SPACES.sub("", field).lower()
    return plain in _NAMES or plain in _ADDRESSES


def _address(fields: Mapping[str, Any]) -> str:
    return next((fields[one] for one in _ADDRESSES if isinstance(fields.get(one), str) and "/" in fields[one]), "")


def _bytes(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair, as Windows permits in names
        return text.encode("utf-8", "surrogatepass")


def _walk(found: Collector, stack: list[tuple[str, Any]], depth: int = 0) -> None:
    """Look for records in all objects, level by level; what is nested deeper than any known format is left out."""
    number = 0
    while stack and depth < _MAX_DEPTH:
        below: list[tuple[str, Any]] = []
        for key, value in stack:
            if isinstance(value, list):
                below += ((key, one) for one in value)
            elif isinstance(value, dict):
                number += 1
                if record(found, number, value, key):
                    value = {name: one for name, one in value.items() if name.lower() not in _GROUPS}  # noqa: PLW2901 -- the rest
                elif pairs := _pairs(value):
                    for name, text in pairs:
                        _add(found, number, _bytes(name), ("", text))
                below += value.items()
        stack, depth = below, depth + 1


def _pairs(value: dict[str, Any]) -> list[tuple[str, str]]:
    """The items of an object that maps names to digests."""
    if not value or not all(isinstance(one, str) for one in value.values()):
        return []
    raw = [one.strip().encode("utf-8", "replace") for one in value.values()]
    known = [labels.tagged(one) or (len(one) >= 32 and labels.decode(one)) for one in raw]  # noqa: PLR2004 -- digits of MD5
    return [*value.items()] if all(known) else []


def check_size(data: bytes) -> None:
    """Refuse a text that would take too much memory as objects.

    Raises:
        LimitExceeded: it has too many bytes.
    """
    if len(data) > MAX_BYTES:
        message = f"The manifest has more than {MAX_BYTES >> 20} MiB, the limit of its format: send lines of digests."
        raise LimitExceeded(message)


def csv_head(lines: Iterable[bytes]) -> bytes | None:
    """The line with the names of the columns, if these lines begin a table that has digests."""
    for line in lines:
        text = line.strip()
        if not text or text.startswith(b"#TYPE"):
            continue
        names = [re.sub(r"[\s_-]+", "", one.strip(' "').lower()) for one in re.split("[,;\t]", text.decode("latin-1"))]
        has_digest = any(one in _DIGESTS or labels.algorithm(one) for one in names)
        has_name = any(one in _NAMES for one in names)
        return line if len(names) > 1 and has_digest and has_name else None
    return None
