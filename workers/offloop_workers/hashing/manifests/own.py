"""JSON of hash_tree: ``path_base64`` stands for ``path`` where a name is not UTF-8."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from typing import BinaryIO, Final, NoReturn, NotRequired

from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from offloop.errors import JobError
from offloop.jobs.hashing import DIGITS
from offloop_workers.hashing.entries import LINK, Entry, too_many

FORMAT: Final = "offloop-manifest-1"


def write(file: BinaryIO, algorithm: str, tree: str | None, entries: Iterable[Entry]) -> None:
    """Write a manifest, entry by entry."""
    head = json.dumps({"format": FORMAT, "algorithm": algorithm, "tree_digest": tree})
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


def read(data: bytes, limit: int) -> list[Entry]:
    """The entries of a manifest.

    Raises:
        JobError: ``bad_input``: it is not as `write` makes it.
        LimitExceeded: it has too many entries.
    """
    try:
        found = _JsonManifest.model_validate_json(data)
        if found.format != FORMAT or found.algorithm not in DIGITS:
            _refuse(f"its format is not {FORMAT!r}, or its algorithm is unknown")
        if len(found.entries) > limit:
            raise too_many(limit)
        return [_entry(entry, found.algorithm) for entry in found.entries]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        _refuse(f"{where[:100] or 'the text'}: {first['msg'][:200]}")


def _entry(entry: _JsonEntry, algorithm: str) -> Entry:
    name = entry["path"].encode() if "path" in entry else entry.get("path_base64")
    if not name or b"\0" in name or len(entry["digest"]) != DIGITS[algorithm]:
        _refuse(f"an entry has no path, a NUL byte in it, or a digest that is not one of {algorithm}")
    try:
        digest = bytes.fromhex(entry["digest"])
    except ValueError:
        _refuse("a digest is not hexadecimal")
    return Entry(os.fsdecode(name), algorithm, digest, LINK if entry.get("link") else max(entry.get("size", -1), -1))


def _refuse(why: str) -> NoReturn:
    message = f"The manifest is not the JSON of hash_tree ({why}): send it as it was made."
    raise JobError(message, code="bad_input") from None
