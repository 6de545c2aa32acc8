"""Line formats: each line has the digests and the name of one file.

Those of coreutils, the BSDs, openssl, shasum, md5deep, b3sum, rhash, cksum, SFV, RECORD files of wheels, and Gentoo's.
A backslash before a line says that line breaks and backslashes in its name are escaped.
"""

from __future__ import annotations

import re
from typing import Final

from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.collector import Collector

MAX_LINE: Final = 32 * 1024
"""Bytes of a line: the longest possible path with every byte escaped, and the digest."""

_GNU: Final = re.compile(rb"(?P<digest>[0-9a-fA-F]{2,1024})[ \t](?P<mark>[ *]?)(?P<name>.+)", re.DOTALL)
_BSD: Final = re.compile(
    rb"(?P<tag>[A-Za-z][A-Za-z0-9/_-]{1,31}) *\((?P<name>.+)\) *= *(?P<digest>[0-9A-Za-z+/:=_-]{2,1600})\s*", re.DOTALL
)
_DIGITS_OF_STDIN: Final = re.compile(rb"\(stdin\)= *(?P<digest>[0-9a-fA-F:]{8,1600})\s*")
_SIZED: Final = re.compile(rb"\s*(?P<size>[0-9]{1,19})(?:  |, )(?P<rest>[0-9a-fA-F]{32,128}[ ,].*)", re.DOTALL)
_TIME: Final = re.compile(rb"[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:  | \*|,)")
_COMMA: Final = re.compile(rb"(?P<digest>[0-9a-fA-F]{32,128}),(?P<name>.+)", re.DOTALL)
_PART: Final = re.compile(rb".* offset [0-9]{1,19}-[0-9]{1,19}", re.DOTALL)
_CKSUM: Final = re.compile(rb"(?P<crc>[0-9]{1,10}) (?P<size>[0-9]{1,19})(?: (?P<name>.+))?", re.DOTALL)
_SUM: Final = re.compile(rb"[0-9]{1,5} {1,8}[0-9]{1,12}(?: .+)?", re.DOTALL)
_RECORD: Final = re.compile(
    rb'(?P<name>"(?:[^"]|"")+"|[^",]+),(?P<digest>[a-z0-9_]{2,12}=[0-9A-Za-z_=-]{8,172})?,(?P<size>[0-9]{0,19})',
    re.DOTALL,
)
_GENTOO: Final = re.compile(
    rb"(?:DIST|EBUILD|AUX|MISC|DATA|MANIFEST|OPTIONAL|IGNORE) (?P<name>\S+) (?P<size>[0-9]{1,19})(?P<rest>(?: \S+ \S+)+)"
)
_FIRST: Final = re.compile(rb"(?P<digest>\S{12,1100}?)(?:  | \*|\t)(?P<name>.+)", re.DOTALL)
_XXH3: Final = re.compile(rb"XXH3_(?P<digest>[0-9a-f]{16})  (?P<name>.+)", re.DOTALL)
_HASH_OF: Final = re.compile(
    rb"(?P<label>[A-Za-z0-9_/-]{3,12})[ -][Hh]ash (?:of|von|der|des|de|di|van)(?: file| Datei)? (?P<name>.+?) ?:"
)
_PIP: Final = re.compile(rb"(?:.*\s)?--hash=(?P<digest>[a-z0-9]+:[0-9a-fA-F]+) ?\\?")
_NOTHING: Final = re.compile(rb"CertUtil: |TIMESTAMP = [0-9]+")
_TOKEN: Final = re.compile(rb"[0-9a-fA-F]{8}|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{48}|[0-9a-fA-F]{56}|"
                           rb"[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128}|[a-z2-7]{32}|[a-z2-7]{39}")  # fmt: skip
_CRC: Final = re.compile(rb"[0-9a-fA-F]{8}")
_ESCAPED: Final = re.compile(rb"\\(.?)", re.DOTALL)
_PLAIN: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}
_MAX_TOKENS: Final = 40
_MOST_OF_SUM: Final = 0xFFFF
_NO_FORM: Final = "is neither '<digest>  <path>' nor '<ALGORITHM> (<path>) = <digest>'"


class Lines:
    """Parser of the lines of one manifest, in order.

    Args:
        found: takes the entries.
    """

    def __init__(self, found: Collector) -> None:
        self._found = found
        self._escapes = found.text.end != b"\0"
        self._one_space: bool | None = None
        self._sfv = False
        self._heading: tuple[int, bytes, str] | None = None

    def parse(self, number: int, line: bytes) -> None:
        """Add the entry of a line, or the reason for none."""
        text = line[:-1] if line.endswith(b"\r") else line
        if len(text) > MAX_LINE:
            self._found.refuse(number, f"has more than {MAX_LINE} bytes")
            return
        if not text.strip() or self._is_comment(text) or (self._heading and self._below_heading(number, text)):
            return
        escaped = text.startswith(b"\\") and self._escapes
        body = text[1:] if escaped else text.lstrip(b" \t")
        if not self._digest_first(number, body, escaped=escaped) and not self._other(number, body, escaped=escaped):
            self._last(number, text)

    def end(self) -> None:
        """Refuse a heading with nothing below it."""
        if self._heading:
            self._found.refuse(self._heading[0], _NO_FORM)

    def _is_comment(self, text: bytes) -> bool:
        if text.startswith(b";"):
            self._sfv = True
            return True
        return (text.startswith(b"#") and not self._sfv) or _NOTHING.match(text) is not None

    def _digest_first(self, number: int, text: bytes, *, escaped: bool) -> bool:
        """A line of coreutils, or one of the older BSDs with one space."""
        match = _GNU.fullmatch(text)
        if not match:
            return False
        digits, mark, name = match["digest"], match["mark"], match["name"]
        if (not mark and not self._is_one_space(digits, name)) or (len(digits) % 2 and len(digits) < 8):  # noqa: PLR2004 -- CRC-32
            return False
        if self._sfv and _CRC.fullmatch(name.rpartition(b" ")[2]):
            return False
        if len(digits) % 2:
            self._found.refuse(number, f"a digest of {len(digits)} digits is not one of any known algorithm")
            return True
        if time := None if mark else _TIME.match(name):
            name = name[time.end() :]
        elif self._one_space is None and labels.usual(len(digits)):
            self._one_space = self._found.marked = not mark
        elif mark and self._one_space:
            name = mark + name  # as coreutils do after a first line with one space
        self._named(number, name, digits, escaped=escaped, lenient=mark == b"*")
        return True

    def _is_one_space(self, digits: bytes, name: bytes) -> bool:
        """Whether a digest and one space are followed by a name, not by the number of a cksum or the CRC of an SFV."""
        if labels.usual(len(digits)) is None:
            return False
        crc = len(digits) == 8  # noqa: PLR2004 -- digits of CRC-32
        return not crc or not (_CRC.fullmatch(name.rpartition(b" ")[2]) or (digits.isdigit() and name[:1].isdigit()))

    def _named(self, number: int, name: bytes, digits: bytes, *, escaped: bool, lenient: bool = False) -> None:
        if _PART.fullmatch(name):
            self._found.refuse(number, "is the digest of a part of a file, which cannot be checked: leave out -p")
        elif (plain := unescape(name, lenient=lenient) if escaped else name) is None:
            self._found.refuse(number, "the name holds a NUL byte, or a backslash that escapes nothing")
        else:
            self._found.bare(number, plain, bytes.fromhex(digits.decode()))

    def _other(self, number: int, text: bytes, *, escaped: bool) -> bool:
        """A line that names its algorithm, or one with more than digest and name."""
        if match := _BSD.fullmatch(text):
            self._tagged(number, match, escaped=escaped)
        elif match := _DIGITS_OF_STDIN.fullmatch(text):
            self._nameless(number, match["digest"])
        elif match := _SIZED.fullmatch(text):
            self._sized(number, match)
        elif match := _COMMA.fullmatch(text):
            name = match["name"]
            time = _TIME.match(name)
            self._named(number, name[time.end() :] if time else name, match["digest"], escaped=False)
        elif match := _GENTOO.fullmatch(text):
            self._gentoo(number, match)
        elif match := _RECORD.fullmatch(text):
            self._record(number, match)
        elif match := _XXH3.fullmatch(text):
            self._found.labelled(number, match["name"], "XXH3", match["digest"])
        elif not self._sfv and (match := _CKSUM.fullmatch(text)):
            self._cksum(number, match)
        elif not self._sfv and _SUM.fullmatch(text):
            self._found.refuse(number, "is a checksum of 16 bits, of the program sum: it proves too little")
        else:
            return self._printed_first(number, text)
        return True

    def _tagged(self, number: int, match: re.Match[bytes], *, escaped: bool) -> None:
        tag, name = match["tag"].decode(), match["name"]
        plain = unescape(name) if escaped else name
        if plain is None:
            self._found.refuse(number, "the name holds a NUL byte, or a backslash that escapes nothing")
        elif tag == "SIZE" and match["digest"].isdigit():
            self._found.has_size(plain, int(match["digest"][:19]))
        else:
            self._found.labelled(number, plain, tag, match["digest"])

    def _sized(self, number: int, match: re.Match[bytes]) -> None:
        rest = match["rest"]
        inner = _COMMA.fullmatch(rest) or _GNU.fullmatch(rest)
        if not inner:
            self._found.refuse(number, _NO_FORM)
            return
        name, digits = inner["name"], inner["digest"]
        name = name[time.end() :] if (time := _TIME.match(name)) else name
        if labels.usual(len(digits)) is None or _PART.fullmatch(name):
            self._found.refuse(number, f"a digest of {len(digits)} digits is not one of any known algorithm")
        else:
            self._found.bare(number, name, bytes.fromhex(digits.decode()), int(match["size"]))

    def _gentoo(self, number: int, match: re.Match[bytes]) -> None:
        words = match["rest"].split()
        for label, printed in zip(words[::2], words[1::2], strict=True):
            self._found.labelled(number, match["name"], label.decode("latin-1"), printed, int(match["size"]))

    def _record(self, number: int, match: re.Match[bytes]) -> None:
        name, digest = match["name"], match["digest"]
        name = name[1:-1].replace(b'""', b'"') if name.startswith(b'"') else name
        if not digest:
            self._found.note("{} files are listed without a digest, and were not checked.")
        elif parsed := labels.tagged(digest):
            self._found.entry(number, name, *parsed, int(match["size"] or -1))
        else:
            self._found.refuse(number, "its digest is of an unknown algorithm, or not one of it")

    def _cksum(self, number: int, match: re.Match[bytes]) -> None:
        value = int(match["crc"])
        if value <= _MOST_OF_SUM and _SUM.fullmatch(match[0]):
            self._found.refuse(number, "is a checksum of 16 bits, of the program sum: it proves too little")
        elif value >> 32:
            self._found.refuse(number, _NO_FORM)
        else:
            self._found.checksum(number, match["name"] or b"", value, int(match["size"]))

    def _printed_first(self, number: int, text: bytes) -> bool:
        """A line whose digest is Base64, or has its algorithm before it."""
        match = _FIRST.fullmatch(text)
        if not match:
            return False
        if parsed := labels.tagged(match["digest"]):
            self._found.entry(number, match["name"], *parsed)
            return True
        digest = labels.decode(match["digest"])
        if digest is None or labels.usual(2 * len(digest)) is None:
            return False
        self._found.bare(number, match["name"], digest)
        return True

    def _last(self, number: int, text: bytes) -> None:
        """A line with the name first, a digest alone, or a heading."""
        if match := _PIP.fullmatch(text):
            self._found.refuse(number, "names a package, not a file: a file of requirements lists the digests of files "
                               "that may have any name; pip checks them with --require-hashes")  # fmt: skip
            return
        if self._name_first(number, text) or self._nameless(number, text):
            return
        if text.rstrip().endswith(b":"):
            self._open_heading(number, text)
        else:
            self._found.refuse(number, _NO_FORM)

    def _name_first(self, number: int, text: bytes) -> bool:
        """A line of SFV or rhash: the name, and one or more digests."""
        name, printed = text.rstrip(), []
        while len(printed) < _MAX_TOKENS and _TOKEN.fullmatch(
            token := name[max(name.rfind(b" "), name.rfind(b"\t")) + 1 :]
        ):
            printed.insert(0, token)
            name = name[: -len(token)].rstrip(b" \t")
        if not printed or not name:
            return False
        by_length: dict[int, list[bytes]] = {}
        for one in printed:
            digest = labels.decode(one)
            if digest is not None and labels.usual(2 * len(digest)):
                by_length.setdefault(len(digest), []).append(digest)
            else:
                self._found.foreign(number, name, f"{4 * len(one)} bits")
        for first, *others in by_length.values():
            self._found.bare(number, name, first, -1, tuple(others))
        return True

    def _nameless(self, number: int, text: bytes) -> bool:
        parsed = [labels.tagged(one) for one in text.split()]
        if all(parsed):
            for one in parsed:
                if one:
                    self._found.nameless(number, *one)
            return True
        digest = labels.decode(text)
        if digest is None or labels.usual(2 * len(digest)) is None:
            return False
        self._found.nameless(number, None, digest)
        return True

    def _open_heading(self, number: int, text: bytes) -> None:
        self.end()
        match = _HASH_OF.fullmatch(text.strip())
        label = match["label"].decode() if match and labels.algorithm(match["label"].decode()) else ""
        name = match["name"] if match and label else text.rstrip()[:-1]
        self._heading = (number, name, label)

    def _below_heading(self, number: int, text: bytes) -> bool:
        """Whether the line is the digest that belongs to the heading."""
        line, name, label = self._heading or (0, b"", "")
        self._heading = None
        match = _PIP.fullmatch(text)
        if match and (parsed := labels.tagged(match["digest"])):
            self._found.entry(number, name, *parsed)
        elif (digest := labels.decode(text)) is None or labels.usual(2 * len(digest)) is None:
            self._found.refuse(line, _NO_FORM)
            return False
        elif label:
            self._found.labelled(number, name, label, digest.hex().encode())
        else:
            self._found.bare(number, name, digest)
        return True


def unescape(name: bytes, *, lenient: bool = False) -> bytes | None:
    """A name without its escapes; None for one with an unknown escape, unless openssl wrote it, which leaves them."""
    if not lenient and any(one not in _PLAIN for one in _ESCAPED.findall(name)):
        return None
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[0]), name)
