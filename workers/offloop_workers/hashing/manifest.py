"""Manifests of file digests, in the format of whatever program wrote them.

A name may contain any byte but NUL. Which format a text has is decided by its first lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import BinaryIO, Final

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.files import MAX_FILES
from offloop_workers.hashing.entries import Contents
from offloop_workers.hashing.manifests import blocks, hashdeep, markup, mtree, own, records, text
from offloop_workers.hashing.manifests.collector import Collector
from offloop_workers.hashing.manifests.lines import Lines
from offloop_workers.hashing.manifests.own import json_path
from offloop_workers.hashing.manifests.text import Text
from offloop_workers.hashing.manifests.writing import MIME, lists, write

__all__ = ["MAX_BYTES", "MIME", "json_path", "lists", "read", "write"]

MAX_BYTES: Final = 128 << 20
_LOOK: Final = 60
_LOOK_BYTES: Final = 64 * 1024
_RAW: Final = frozenset({16, 20, 28, 32, 48, 64})


def read(file: BinaryIO, algorithm: str | None, broken: Iterable[bytes] = ()) -> Contents:
    """Parse a manifest of any of the formats.

    Args:
        file: the manifest.
        algorithm: for digests without an algorithm; without it, their length decides.
        broken: names with line breaks in the folder, which most programs write as they are.

    Raises:
        LimitExceeded: it has too many bytes or lines.
        JobError: ``bad_input``: it contains no valid entry.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"The manifest has more than {MAX_BYTES >> 20} MiB, the limit: send it in parts."
        raise LimitExceeded(message)
    opened = text.unsigned(text.opened(data, broken))
    if opened.data.lstrip()[:1] == b"{" and f'"{own.FORMAT}"'.encode() in opened.data[:4096]:
        return Contents(own.read(opened.data, MAX_FILES), [], 0)
    collector = Collector(opened, algorithm, MAX_FILES)
    _parse(opened, collector)
    found = collector.finished()
    if not found.entries and not found.unnamed and len(data) in _RAW and not data.isascii():
        collector.nameless(1, None, data)
        found = collector.finished()._replace(malformed=[], malformed_total=0)
    if not found.entries and not found.unnamed:
        why = "no part of it has a digest and the name of a file" if data.strip() else "it is empty"
        why = found.malformed[0] if found.malformed else why
        message = (
            f"The manifest has no entry ({why}): send lines as sha256sum writes them, '<digest>  <path>', BSD lines, "
            "'SHA256 (<path>) = <digest>', the JSON of hash_tree, or the output of another program in docs/jobs.md."
        )
        raise JobError(message, code="bad_input")
    return found


def _parse(opened: Text, found: Collector) -> None:
    head = Text(opened.data[:_LOOK_BYTES], opened.end)
    first = [line for line in islice(head.lines(), _LOOK) if line.strip()]
    beginning = first[0].lstrip() if first else b""
    if beginning.startswith(hashdeep.MAGIC):
        _by_line(opened, hashdeep.Lines(found))
    elif beginning[:1] in {b"{", b"["} and not beginning.startswith(b"[["):
        _structured(found, records.of_json, "JSON")
    elif any(line.startswith(b"[[package") for line in first):
        _structured(found, records.of_toml, "TOML")
    elif beginning[:1] == b"<":
        _structured(found, markup.read, "XML")
    elif mtree.is_one(first):
        mtree.read(found)
    elif opened.end != b"\0" and (table := blocks.table([*islice(head.lines(), _LOOK)])):
        blocks.tabular(found, [*opened.lines()], *table)
    elif row := records.csv_head(first):
        records.of_csv(found, row)
    elif blocks.is_stanza(first):
        blocks.stanzas(found)
    elif blocks.is_gpg(first):
        blocks.gpg(found)
    else:
        _by_line(opened, Lines(found))


def _by_line(opened: Text, parser: Lines | hashdeep.Lines) -> None:
    if opened.data.startswith(hashdeep.MAGIC) and opened.end == b"\0":  # only its names end with NUL bytes
        head, _, rest = opened.data.partition(b"\n## \n")
        signed = [line for line in head.split(b"\n") if line.startswith((b"%%%% ", b"## "))]
        opened = opened._replace(data=b"\0".join([*signed, rest]))
    for number, line in enumerate(opened.lines(), 1):
        parser.parse(number, line)
    parser.end()


def _structured(found: Collector, read_it: Callable[[Collector], None], form: str) -> None:
    try:
        read_it(found)
    except (ValueError, RecursionError, OverflowError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        message = f"The manifest is no {form} that can be read ({why}): send it as the program wrote it."
        raise JobError(message, code="bad_input") from None
