"""Line formats: each line has the digests and the name of one file.

Those of coreutils, the BSDs, openssl, shasum, md5deep, b3sum, rhash, cksum, SFV, RECORD files of wheels, and Gentoo's.
A backslash before a line says that line breaks and backslashes in its name are escaped.
"""

from __future__ import annotations

import re
from typing import Final

from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.collector import Collector
from offloop_workers.hashing.manifests.forms import (
    COUNTED,
    FORMS,
    FSUM,
    GNU,
    NO_FORM,
    SIZED,
    TIME,
    named,
    printed_first,
)

MAX_LINE: Final = 32 * 1024
"""Bytes of a line: the longest possible path with every byte escaped, and the digest."""

_BSD: Final = re.compile(
    rb"(?P<tag>[A-Za-z][A-Za-z0-9/_-]{1,31}) *\((?P<name>.+)\)[ \t]*=[ \t]*"
    rb"(?P<digest>[0-9A-Za-z+/:=_-]{1,1600})(?: bytes)?\s*",
    re.DOTALL,
)
_USUAL: Final = re.compile(
    rb"(?P<digest>[0-9a-fA-F]{32}(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{32}|[0-9a-fA-F]{96})?) [ *](?P<name>[^\0\r]{1,32000})"
)
"""Most lines of md5sum, sha1sum, sha256sum and sha512sum."""

_USUAL_BSD: Final = re.compile(
    rb"(?P<tag>[A-Z][A-Z0-9-]{2,9}) \((?P<name>[^\0\r]{1,32000})\) = (?P<digest>[0-9a-f]{8,128})"
)
"""Most lines of the BSDs, and of ``--tag``."""

_HASH_OF: Final = re.compile(
    rb"(?P<label>[A-Za-z0-9_/-]{3,12})[ -][Hh]ash (?:of|von|der|des|de|di|van)(?: file| Datei)? (?P<name>.+?) ?:"
)
_PIP: Final = re.compile(rb"--hash=(?P<digest>[a-z0-9]+:[0-9a-fA-F]+)")
_TOKEN: Final = re.compile(
    rb"[0-9a-fA-F]{8}|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{48}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|"
    rb"[0-9a-fA-F]{96}|[0-9a-fA-F]{128}|[a-z2-7]{32}|[a-z2-7]{39}"
)
_CRC: Final = re.compile(rb"[0-9a-fA-F]{8}")
_ESCAPED: Final = re.compile(rb"\\(.?)", re.DOTALL)
_PLAIN: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}
_CRC_DIGITS: Final = 8
_NUMBER_DIGITS: Final = 20
_MAX_TOKENS: Final = 40
_BAD_ESCAPE: Final = "the name holds a NUL byte, or a backslash that escapes nothing"


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
        if not self._heading and self._is_usual(number, line):
            return
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

    def _is_usual(self, number: int, line: bytes) -> bool:
        """Add the entry of a line of the usual forms, as all other methods would do, in less time."""
        if match := _USUAL_BSD.fullmatch(line):
            tag, name, digits = match.groups()
            algorithm = labels.of_digits(tag, len(digits))
            if algorithm:
                self._found.entry(number, name, algorithm, bytes.fromhex(digits.decode()))
            return algorithm is not None
        if self._one_space is False and not self._sfv and (match := _USUAL.fullmatch(line)):
            named(self._found, number, match["name"], match["digest"])
            return True
        return False

    def end(self) -> None:
        """Refuse a heading with nothing below it, unless it is that of all digests of an algorithm."""
        if self._heading and not labels.algorithm(self._heading[1].decode("latin-1")):
            self._found.refuse(self._heading[0], NO_FORM)
        self._heading = None

    def _is_comment(self, text: bytes) -> bool:
        if text.startswith(b";"):
            self._sfv = True
            return True
        return text.startswith(b"#") and not self._sfv

    def _digest_first(self, number: int, text: bytes, *, escaped: bool) -> bool:
        """A line of coreutils, or one of the older BSDs with one space."""
        match = GNU.fullmatch(text)
        if not match or self._is_other_form(text, match):
            return False
        digits, mark, name = match["digest"], match["mark"], match["name"]
        if len(digits) % 2:
            self._found.refuse(number, f"a digest of {len(digits)} digits is not one of any known algorithm")
            return True
        if time := None if mark else TIME.match(name):
            name = name[time.end() :]
        elif self._one_space is None and labels.usual(len(digits)):
            self._one_space = self._found.marked = not mark
        elif mark and self._one_space:
            name = mark + name  # as coreutils do after a first line with one space
        plain = unescape(name, lenient=mark == b"*") if escaped else name
        if plain is None:
            self._found.refuse(number, _BAD_ESCAPE)
        else:
            named(self._found, number, plain, digits)
        return True

    def _is_other_form(self, text: bytes, match: re.Match[bytes]) -> bool:
        """Whether the line begins with digits, and has another form all the same."""
        digits = match["digest"]
        if match["name"].startswith(b"?") and FSUM.fullmatch(text):
            return True
        if match["mark"] and not self._sfv and len(digits) > _NUMBER_DIGITS:
            return False  # as nearly all lines
        last = match["name"].rpartition(b" ")[2]
        if self._sfv and _CRC.fullmatch(last):
            return True
        if len(digits) % 2 and len(digits) < _CRC_DIGITS:
            return True
        if digits.isdigit() and SIZED.fullmatch(text):
            return True
        return not match["mark"] and not self._is_one_space(digits, match["name"], last)

    @staticmethod
    def _is_one_space(digits: bytes, name: bytes, last: bytes) -> bool:
        """Whether a digest and one space are followed by a name, not by the number of a cksum or the CRC of an SFV."""
        if labels.usual(len(digits)) is None:
            return len(digits) > _NUMBER_DIGITS  # a digest that lost some of its digits
        return len(digits) != _CRC_DIGITS or not (_CRC.fullmatch(last) or (digits.isdigit() and name[:1].isdigit()))

    def _other(self, number: int, text: bytes, *, escaped: bool) -> bool:
        """A line that names its algorithm, or one with more than digest and name."""
        if match := _BSD.fullmatch(text):
            self._tagged(number, match, escaped=escaped)
            return True
        for pattern, add in FORMS if self._sfv else (*FORMS, *COUNTED):
            if match := pattern.fullmatch(text):
                add(self._found, number, match)
                return True
        return printed_first(self._found, number, text)

    def _tagged(self, number: int, match: re.Match[bytes], *, escaped: bool) -> None:
        tag, name = match["tag"].decode(), match["name"]
        plain = unescape(name) if escaped else name
        if plain is None:
            self._found.refuse(number, _BAD_ESCAPE)
        elif tag.upper() == "SIZE" and match["digest"].isdigit():
            self._found.has_size(plain, int(match["digest"][:19]))
        else:
            self._found.labelled(number, plain, tag, match["digest"])

    def _last(self, number: int, text: bytes) -> None:
        """A line with the name first, a digest alone, or a heading."""
        if self._name_first(number, text) or self._nameless(number, text):
            return
        if text.rstrip().endswith(b":"):
            self._open_heading(number, text)
        else:
            self._found.refuse(number, NO_FORM)

    def _name_first(self, number: int, text: bytes) -> bool:
        """A line of SFV or rhash: the name, and one or more digests."""
        name = text.rstrip()
        printed: list[bytes] = []
        while len(printed) < _MAX_TOKENS and _TOKEN.fullmatch(token := re.split(rb"[ \t,;]", name[-200:])[-1]):
            printed.insert(0, token)
            name = name[: -len(token)].rstrip(b" \t,;")
        if len(printed) == 1 and len(printed[0]) > _CRC_DIGITS:
            name = re.sub(rb" ?[:=]$", b"", name)  # as some programs print it
            if labelled := labels.algorithm(name.decode("latin-1")):
                return self._labelled_only(number, labelled, printed[0])
        if not printed or not name:
            return False
        by_length: dict[int, list[bytes]] = {}
        for one in printed:
            digest = labels.decode(one)
            if digest is not None and labels.usual(2 * len(digest)):
                by_length.setdefault(len(digest), []).append(digest)
            else:
                self._found.foreign(number, name, f"{len(one)} digits")
        for first, *others in by_length.values():
            self._found.bare(number, name, first, -1, tuple(others))
        return True

    def _labelled_only(self, number: int, algorithm: str, printed: bytes) -> bool:
        digest = labels.decode(printed)
        sized = labels.sized(algorithm, len(digest)) if digest else None
        if digest and sized:
            self._found.nameless(number, sized, digest)
        else:
            self._found.refuse(number, f"a digest of {len(printed)} digits is not one of {algorithm}")
        return True

    def _nameless(self, number: int, text: bytes) -> bool:
        parsed = [one for one in map(labels.tagged, words) if one] if len(words := text.split()) <= _MAX_TOKENS else []
        if len(parsed) == len(words):
            for one in parsed:
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
        _, name, label = self._heading or (0, b"", "")
        match = _PIP.fullmatch(text)
        if match and (parsed := labels.tagged(match["digest"])):
            self._found.entry(number, name, *parsed)
        elif (digest := labels.decode(text)) is None or labels.usual(2 * len(digest)) is None:
            self.end()
            return False
        elif label:
            self._found.labelled(number, name, label, digest.hex().encode())
        else:
            self._found.bare(number, name, digest)
        self._heading = None
        return True


def unescape(name: bytes, *, lenient: bool = False) -> bytes | None:
    """A name without its escapes; None for one with an unknown escape, unless openssl wrote it, which leaves them."""
    if not lenient and any(one not in _PLAIN for one in _ESCAPED.findall(name)):
        return None
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[0]), name)
