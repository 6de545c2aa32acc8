"""Formats whose entries span lines: Debian's control files, Format-List of PowerShell, gpg --print-md, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from offloop_workers.hashing.manifests import labels, records
from offloop_workers.hashing.manifests.collector import Collector
from offloop_workers.hashing.manifests.lines import MAX_LINE

_FIELD: Final = re.compile(
    rb"(?P<name>[A-Za-z][A-Za-z0-9-]{0,40}(?: [A-Z][a-z]{1,20})?)[ \t]*:(?:[ \t](?P<value>.*))?", re.DOTALL
)
_GROUPS: Final = rb"[0-9A-F]{2,8}(?: {1,2}[0-9A-F]{2,8}){1,31}"
_GPG: Final = re.compile(
    rb"(?:(?P<name>.+?):)?[ \t]*(?:(?P<label>[A-Z0-9/-]{3,12}) = )?(?P<digest>%s)" % _GROUPS, re.DOTALL
)
_GPG_MORE: Final = re.compile(rb"\s+(?P<digest>[0-9A-F]{4,8}(?: {1,2}[0-9A-F]{4,8}){0,15})")
_COLONS: Final = re.compile(rb"(?P<name>[^:]*):(?P<number>[0-9]{1,3}):(?P<digest>[0-9A-F]{32,128}):")
_OPENPGP: Final = {
    b"1": "md5", b"2": "sha1", b"3": "ripemd160", b"8": "sha256", b"9": "sha384", b"10": "sha512", b"11": "sha224",
    b"12": "sha3_256", b"14": "sha3_512",
}  # fmt: skip
_LISTED: Final = re.compile(
    rb"(?P<digest>[0-9a-fA-F]{32,128})[ \t]+(?:(?P<size>[0-9]{1,19})[ \t]+)?(?P<name>.+)", re.DOTALL
)
_HEADS: Final = frozenset({
    b"filename", b"origin", b"suite", b"codename", b"format", b"source", b"package", b"files", b"date", b"size",
    b"manifest-version",
})  # fmt: skip
_LINE: Final = re.compile(rb"[=_-]{10,}")
_RULE: Final = re.compile(rb"-{3,}(?: +-{3,})+ *")
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def is_stanza(lines: Sequence[bytes]) -> bool:
    """Whether these lines begin a text of ``Field: value`` that has digests."""
    fields = [found for line in lines if (found := _FIELD.fullmatch(line.rstrip())) is not None]
    names = {found["name"].lower() for found in fields}
    if {b"algorithm", b"hash"} <= names:
        return True
    if not any(_label(found["name"]) for found in fields):
        return False
    return bool(names & _HEADS) or any(
        below[:1] in {b" ", b"\t"} and line.rstrip().endswith(b":") for line, below in pairwise(lines)
    )


def _label(field: bytes) -> str | None:
    """The algorithm of a field of a control file."""
    text = field.decode("latin-1").lower().removeprefix("checksums-")
    return "md5" if text == "files" else labels.algorithm(text)


def stanzas(found: Collector) -> None:
    """Add the files of a text of fields; an empty line ends a group of fields, and an indented one continues one."""
    fields: dict[str, str] = {}
    last, label, start = "", None, 1
    for number, line in enumerate(found.text.lines(), 1):
        text = line.rstrip(b"\r")
        if not text.strip() or _LINE.fullmatch(text):
            _record(found, start, fields)
            fields, last, label, start = {}, "", None, number + 1
        elif text[:1] in b" \t":
            if label and not fields.get(last):
                _listed(found, number, last, text)
            elif last and len(fields[last]) < MAX_LINE:
                fields[last] += text.strip().decode("utf-8", "surrogateescape")
        elif match := _FIELD.fullmatch(text):
            last = match["name"].decode("latin-1")
            label = _label(match["name"])
            fields[last] = (match["value"] or b"").strip().decode("utf-8", "surrogateescape")
        elif not text.startswith(b"#"):
            found.refuse(number, "is no 'Field: value'")
    _record(found, start, fields)


def _record(found: Collector, number: int, fields: dict[str, str]) -> None:
    plain = {name: value for name, value in fields.items() if value}
    has = any(_label(name.encode()) or name.lower() == "hash" for name in plain)
    if has and any(name.lower() in {"path", "filename", "file", "name"} for name in plain):
        records.record(found, number, {key: text for key, text in plain.items() if key.lower() != "package"})
    elif has and "Hash" in plain and not {"Algorithm"} <= plain.keys():
        return  # the head of an OpenPGP message
    elif has:
        found.refuse(number, "has digests, and no name of a file")


def _listed(found: Collector, number: int, field: str, text: bytes) -> None:
    """A line of a field that lists files: digest, size and name; those of ``Files`` may have section and priority."""
    match = _LISTED.fullmatch(text.strip())
    if not match:
        found.refuse(number, "is no '<digest> <size> <name>'")
        return
    name, size = match["name"], int(match["size"] or -1)
    words = name.split()
    if field.lower() == "files" and len(words) == 3:  # noqa: PLR2004 -- as above
        name = words[2]
    found.labelled(number, name, _label(field.encode()) or "", match["digest"], size)


def is_gpg(lines: Iterable[bytes]) -> bool:
    """Whether these lines begin the output of ``gpg --print-md``."""
    for line in lines:
        text = line.rstrip()
        if _COLONS.fullmatch(text) or ((match := _GPG.fullmatch(text)) and _whole(match["digest"]) >= 16):  # noqa: PLR2004 -- bytes of MD5
            return True
    return False


def _whole(printed: bytes) -> int:
    return len(printed.replace(b" ", b"")) // 2


def gpg(found: Collector) -> None:
    """Add the files of gpg's output: upper-case groups of digits, which go on in indented lines."""
    current: tuple[int, bytes, str, bytes] | None = None
    name = b""
    for number, line in enumerate(found.text.lines(), 1):
        text = line.rstrip()
        if not text:
            continue
        if current and (match := _GPG_MORE.fullmatch(text)) and _whole(current[3]) < 64:  # noqa: PLR2004 -- bytes of SHA-512
            current = (*current[:3], current[3] + match["digest"])
            continue
        _finish(found, current)
        current = None
        if match := _COLONS.fullmatch(text):
            label = _OPENPGP.get(match["number"], f"OpenPGP {int(match['number'])}")
            plain = _PERCENT.sub(lambda one: bytes([int(one[1], 16)]), match["name"])
            _finish(found, (number, plain, label, match["digest"]))
        elif match := _GPG.fullmatch(text):
            name = match["name"] or b""
            current = (number, name, (match["label"] or b"").decode(), match["digest"])
        elif text.endswith(b":"):
            name = text[:-1]  # a long name stands alone
        elif not text.startswith(b"gpg: "):
            found.refuse(number, "is no line of gpg --print-md")
    _finish(found, current)


def _finish(found: Collector, current: tuple[int, bytes, str, bytes] | None) -> None:
    if current is None:
        return
    number, name, label, printed = current
    digits = printed.replace(b" ", b"")
    digest = labels.decode(digits)
    known = labels.algorithm(label) if label else None
    if digest is None or (label and known is None):
        found.refuse(number, f"the algorithm {label} is not known" if digest else "the digest has an odd length")
    elif name and label:
        found.labelled(number, name, label, digits)
    elif name:
        found.bare(number, name, digest)
    else:
        found.nameless(number, known, digest)


def table(lines: list[bytes]) -> tuple[int, list[bytes]] | None:
    """The number of the rule below the head of a table of digests, and the names of its columns."""
    for number, line in enumerate(lines[1:], 1):
        if not _RULE.fullmatch(line.rstrip()):
            continue
        head = lines[number - 1].decode("utf-8", "replace")
        names = [name.strip() for name, _ in _columns(head, line)]
        plain = {name.lower() for name in names}
        if plain & {"hash", "crc-32"} or any(labels.algorithm(name) or labels.foreign(name) for name in names):
            return number, [name.encode() for name in names]
    return None


def _columns(text: str, rule: bytes) -> list[tuple[str, int]]:
    """The parts of a line below the runs of a rule, with the width of each; the last one goes to the end."""
    starts = [match.start() for match in re.finditer(rb"-+", rule)]
    stops = [*starts[1:], len(text) + 1]
    return [(text[start:stop], stop - start) for start, stop in zip(starts, stops, strict=True)]


def tabular(found: Collector, lines: list[bytes], rule: int, names: list[bytes]) -> None:
    """Add the rows below the rule of a table: of 7-Zip, of PowerShell, or of cfv."""
    for number, line in enumerate(lines[rule + 1 :], rule + 2):
        text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        if _RULE.fullmatch(line.rstrip()) or (number > rule + 2 and not text.strip()):
            break
        fields = {name.decode(): part for name, (part, _) in zip(names, _columns(text, lines[rule]), strict=False)}
        _row(found, number, fields)


def _row(found: Collector, number: int, fields: dict[str, str]) -> None:
    last = next(reversed(fields), "")
    row = {key: value if key == last and key != "Path" else value.strip() for key, value in fields.items()}
    row = {"crc32" if key == "CRC-32" else "size" if key == "Filesize" else key: value for key, value in row.items()}
    if any(value.rstrip().endswith(("...", "\u2026")) for value in row.values()):
        found.refuse(number, "is cut by PowerShell: write it with Format-List, Export-Csv or ConvertTo-Json")
    elif not any(value for key, value in row.items() if labels.algorithm(key) or labels.foreign(key) or key == "Hash"):
        return  # a folder in 7-Zip's table
    else:
        records.record(found, number, row)
