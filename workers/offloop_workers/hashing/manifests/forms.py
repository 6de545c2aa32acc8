"""Forms of a line that stand for themselves: each is a pattern and the function that adds its entry."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.collector import Collector

NO_FORM: Final = "is neither '<digest>  <path>' nor '<ALGORITHM> (<path>) = <digest>'"
TIME: Final = re.compile(rb"[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:  | \*|,)")
"""The time that md5deep -t writes before a name."""

GNU: Final = re.compile(rb"(?P<digest>[0-9a-fA-F]{2,1024})[ \t](?P<mark>[ *]?)(?P<name>.+)", re.DOTALL)
SIZED: Final = re.compile(rb"\s*(?P<size>[0-9]{1,19})(?:  |, )(?P<rest>[0-9a-fA-F]{32,128}[ ,].*)", re.DOTALL)
_COMMA: Final = re.compile(rb"(?P<digest>[0-9a-fA-F]{32,128})[,;](?P<name>.+)", re.DOTALL)
_PART: Final = re.compile(rb".* offset [0-9]{1,19}-[0-9]{1,19}", re.DOTALL)
_NOTHING: Final = re.compile(rb"CertUtil: .*|TIMESTAMP = [0-9]+|//(?: .*)?|\$NetBSD.*\$|[^;]*/;", re.DOTALL)
_STDIN: Final = re.compile(rb"\(stdin\)= *(?P<digest>[0-9a-fA-F:]{8,1600})\s*")
_CKSUM: Final = re.compile(rb"(?P<crc>[0-9]{1,10}) (?P<size>[0-9]{1,19})(?: (?P<name>.+))?", re.DOTALL)
_SUM: Final = re.compile(rb"[0-9]{1,5} {1,8}[0-9]{1,12}(?: .+)?", re.DOTALL)
_NAME: Final = rb'(?P<name>"(?:[^"]|"")+"|[^",]+)'
_CFV: Final = re.compile(_NAME + rb",(?P<size>[0-9]{1,19}),(?P<crc>[0-9a-fA-F]{8}),.*", re.DOTALL)
_RECORD: Final = re.compile(
    _NAME + rb",(?P<digest>[a-z0-9_]{2,12}=[0-9A-Za-z_=-]{8,172})?,(?P<size>[0-9]{0,19})", re.DOTALL
)
_GENTOO: Final = re.compile(
    rb"(?:DIST|EBUILD|AUX|MISC|DATA|MANIFEST|OPTIONAL) (?P<name>\S+) (?P<size>[0-9]{1,19})(?P<rest>(?: \S+ \S+)+)"
)
_MAGNET: Final = re.compile(rb"magnet:\?(?P<fields>.+)", re.DOTALL)
_XXH3: Final = re.compile(rb"XXH3_(?P<digest>[0-9a-f]{16})  (?P<name>.+)", re.DOTALL)
_REQUIREMENT: Final = re.compile(rb"(?:.*\s)?--hash=[a-z0-9]+:[0-9a-fA-F]+ ?\\?")
_FIRST: Final = re.compile(rb"(?P<digest>\S{12,1100}?)(?:  | \*|\t)(?P<name>.+)", re.DOTALL)
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")
FSUM: Final = re.compile(rb"(?P<digest>[0-9a-fA-F]{8,128}) \?(?P<label>[A-Z0-9-]{2,12})\*(?P<name>.+)", re.DOTALL)
_MOST_OF_SUM: Final = 0xFFFF
_WEAK_SUM: Final = "is a checksum of 16 bits, of the program sum: it proves too little"


def named(found: Collector, number: int, name: bytes, digits: bytes, size: int = -1) -> None:
    """Add a bare digest and a name without escapes, where it is the digest of a whole file."""
    if b" offset " in name and _PART.fullmatch(name):
        found.refuse(number, "is the digest of a part of a file, which cannot be checked: leave out -p")
    else:
        found.bare(number, name, bytes.fromhex(digits.decode()), size)


def _timed(found: Collector, number: int, match: re.Match[bytes], size: int = -1) -> None:
    name = match["name"]
    named(found, number, name[time.end() :] if (time := TIME.match(name)) else name, match["digest"], size)


def _sized(found: Collector, number: int, match: re.Match[bytes]) -> None:
    inner = _COMMA.fullmatch(match["rest"]) or GNU.fullmatch(match["rest"])
    if inner and len(inner["digest"]) % 2 == 0:
        _timed(found, number, inner, int(match["size"]))
    else:
        found.refuse(number, NO_FORM)


def _stdin(found: Collector, number: int, match: re.Match[bytes]) -> None:
    digest = labels.decode(match["digest"])
    if digest is None:
        found.refuse(number, NO_FORM)
    else:
        found.nameless(number, None, digest)


def _gentoo(found: Collector, number: int, match: re.Match[bytes]) -> None:
    words = match["rest"].split()
    for label, printed in zip(words[::2], words[1::2], strict=True):
        found.labelled(number, match["name"], label.decode("latin-1"), printed, int(match["size"]))


def _cfv(found: Collector, number: int, match: re.Match[bytes]) -> None:
    found.labelled(number, _unquoted(match["name"]), "CRC32", match["crc"], int(match["size"]))


def _record(found: Collector, number: int, match: re.Match[bytes]) -> None:
    digest = match["digest"]
    if not digest:
        found.note("{} files are listed without a digest, and were not checked.")
    elif parsed := labels.tagged(digest):
        found.entry(number, _unquoted(match["name"]), *parsed, int(match["size"] or -1))
    else:
        found.refuse(number, "its digest is of an unknown algorithm, or not one of it")


def _magnet(found: Collector, number: int, match: re.Match[bytes]) -> None:
    """A link of rhash: the digests are names of ``urn:``."""
    pairs = [one.partition(b"=")[::2] for one in match["fields"].split(b"&")]
    name = unquote_to_bytes(next((value for key, value in pairs if key == b"dn"), b""))
    size = next((int(value) for key, value in pairs if key == b"xl" and _DIGITS.fullmatch(value)), -1)
    for urn in (value for key, value in pairs if key.startswith(b"xt")):
        label, _, printed = urn.removeprefix(b"urn:").rpartition(b":")
        if parsed := labels.tagged(label + b":" + printed):
            found.entry(number, name, *parsed, size)
        else:
            found.foreign(number, name, label.decode("latin-1"))


def _xxh3(found: Collector, number: int, match: re.Match[bytes]) -> None:
    found.labelled(number, match["name"], "XXH3", match["digest"])


def _cksum(found: Collector, number: int, match: re.Match[bytes]) -> None:
    value = int(match["crc"])
    if value <= _MOST_OF_SUM and _SUM.fullmatch(match[0]):
        found.refuse(number, _WEAK_SUM)
    elif value >> 32:
        found.refuse(number, NO_FORM)
    else:
        found.checksum(number, match["name"] or b"", value, int(match["size"]))


def _fsum(found: Collector, number: int, match: re.Match[bytes]) -> None:
    found.labelled(number, match["name"], match["label"].decode(), match["digest"])


def _sum(found: Collector, number: int, _match: re.Match[bytes]) -> None:
    found.refuse(number, _WEAK_SUM)


def _requirement(found: Collector, number: int, _match: re.Match[bytes]) -> None:
    found.refuse(
        number,
        "names a package, not a file: a file of requirements lists the digests of files that may have any name; pip "
        "checks them with --require-hashes",
    )


def _unquoted(name: bytes) -> bytes:
    return name[1:-1].replace(b'""', b'"') if name.startswith(b'"') else name


FORMS: Final[tuple[tuple[re.Pattern[bytes], Callable[[Collector, int, re.Match[bytes]], None]], ...]] = (
    (_NOTHING, lambda _found, _number, _match: None),
    (_STDIN, _stdin),
    (FSUM, _fsum),
    (SIZED, _sized),
    (_COMMA, _timed),
    (_GENTOO, _gentoo),
    (_CFV, _cfv),
    (_RECORD, _record),
    (_MAGNET, _magnet),
    (_XXH3, _xxh3),
    (_REQUIREMENT, _requirement),
)
COUNTED: Final = ((_CKSUM, _cksum), (_SUM, _sum))
"""Forms that look like a name with a CRC behind it, and are none in a file of those."""


def printed_first(found: Collector, number: int, text: bytes) -> bool:
    """Add the entry of a line whose digest is Base64, or has its algorithm before it; whether it is one."""
    match = _FIRST.fullmatch(text)
    if not match:
        return False
    if parsed := labels.tagged(match["digest"]):
        found.entry(number, match["name"], *parsed)
        return True
    digest = labels.decode(match["digest"])
    if digest is None or labels.usual(2 * len(digest)) is None:
        return False
    found.bare(number, match["name"], digest)
    return True
