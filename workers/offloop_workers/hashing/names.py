"""Names of a manifest, matched with the files of a folder.

No name is ever opened: a listed name only chooses among the files of the folder's listing. A name that is not there as
it is written may be there as the manifest's program meant it: absolute, with backslashes, in another Unicode form.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from offloop.charsets.decoders import decode
from offloop.charsets.detection import guessed
from offloop_workers.files.walk import printable
from offloop_workers.hashing.digest import UNIVERSAL
from offloop_workers.hashing.entries import Contents, Entry
from offloop_workers.hashing.manifests import labels

Expected = dict[str, list[Entry]]
"""The manifest's entries for one path, by algorithm."""

_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_OLD_CHARSETS: Final = (
    "windows-1252", "cp850", "cp437", "windows-1251", "ibm866", "koi8-r", "windows-1250", "cp852", "shift_jis",
    "gb18030", "big5", "euc-kr", "euc-jp", "windows-1253", "windows-1254", "windows-1255", "windows-1256",
    "windows-874",
)  # fmt: skip
_LABEL: Final = re.compile(r"[A-Z][A-Z0-9-]{2,11}")
_MOST_WORDS: Final = 16
_CLOSING: Final = frozenset(')"\u00bb')
_SAMPLE: Final = 20_000  # absolute names that decide which folder they begin with


@dataclass(slots=True)
class Matched:
    """Entries by the path they are about.

    Attributes:
        expected: by path in the form of a listing; the file need not exist.
        refused: names that lead out of the folder.
        notes: warnings about names that were not found as written.
    """

    expected: dict[str, Expected] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def matched(contents: Contents, listed: Collection[str]) -> Matched:
    """Match the names of a manifest with the paths of a listing, a set or a dictionary."""
    result = Matched()
    absent: dict[str, list[Entry]] = defaultdict(list)
    outside: dict[str, list[Entry]] = defaultdict(list)
    for entry in contents.entries:
        path = entry.path if entry.path in listed else inside(entry.path) if not _WINDOWS.match(entry.path) else None
        if path is None:
            outside[entry.path].append(entry)
        elif path in listed:
            result.expected[path][entry.algorithm].append(entry)
        else:
            absent[path].append(entry)
    if absent or outside:
        _Search(contents, listed, result).settle(absent, outside)
    result.expected = dict(result.expected)
    return result


def inside(path: str) -> str | None:
    """A path in the form of a listing; None for one that leads out of the folder, or names a folder."""
    if path.startswith("/"):
        return None
    parts = path.split("/")
    if parts[-1] in {"", "."} or ".." in parts:
        return None
    return "/".join(part for part in parts if part not in {"", "."})


class _Search:
    """Search for names that are not in the listing as they are written."""

    def __init__(self, contents: Contents, listed: Collection[str], result: Matched) -> None:
        self._contents = contents
        self._listed = listed
        self._result = result
        self._indexes: dict[str, dict[str, list[str]]] = {}
        self._claimed = {*result.expected}
        self._windows = any(_WINDOWS.match(entry.path) for entry in islice(contents.entries, 1000))
        self._found: Counter[str] = Counter()
        self._examples: dict[str, tuple[str, str]] = {}

    def settle(self, absent: dict[str, list[Entry]], outside: dict[str, list[Entry]]) -> None:
        """Put every name to its path, or among the refused ones."""
        start = self._contents.start
        if start and not self._claimed and self._fits_absolute(start, absent):  # made in a folder above or below
            outside = {**outside, **{start + path: entries for path, entries in absent.items()}}
            absent = {}
        if outside:
            self._settle_absolute(outside, absent)
        for path, entries in absent.items():
            found, converted = self._other_form(path, entries)
            for entry in converted:
                self._result.expected[found][entry.algorithm].append(entry)
            self._claimed.add(found)
        self._tell()

    def _settle_absolute(self, outside: dict[str, list[Entry]], absent: dict[str, list[Entry]]) -> None:
        """Take absolute names relative to the folder above most of them that has the files, if there is one."""
        parts = {name: found for name in outside if (found := _absolute(name))}
        base = self._base(parts.values())
        taken = 0
        for name, entries in outside.items():
            path = inside("/".join(parts[name][len(base) :])) if base and name in parts else None
            if path is None or parts[name][: len(base)] != base:
                self._result.refused.append(name)
            elif path in self._listed:
                for entry in entries:
                    self._result.expected[path][entry.algorithm].append(entry)
                self._claimed.add(path)
                taken += 1
            else:
                absent.setdefault(path, []).extend(entries)
        folder = printable("/".join(base) if base and base[0].endswith(":") else "/" + "/".join(base))
        if taken:
            self._result.notes.append(
                f"{taken:,} absolute names were taken relative to {folder!r}, whose files are in this folder."
            )
        elif parts:
            self._result.notes.append(
                f"{len(parts):,} names are absolute, and no file of this folder fits one: send the folder they are in."
            )

    def _fits_absolute(self, start: str, absent: Iterable[str]) -> bool:
        parts = (found for path in islice(absent, _SAMPLE) if (found := _absolute(start + path)))
        return bool(self._base(parts))

    def _base(self, names: Iterable[list[str]]) -> list[str]:
        votes: Counter[tuple[str, ...]] = Counter()
        for parts in islice(names, _SAMPLE):
            for count in range(min(len(parts), 100)):
                if "/".join(parts[count:]) in self._listed:
                    votes[tuple(parts[:count])] += 1
        best = max(votes.items(), key=lambda one: (one[1], -len(one[0])), default=None)
        if best is None:
            return []
        equal = [prefix for prefix, count in votes.items() if count == best[1]]
        if len(equal) > 1:
            self._result.notes.append(
                "The absolute names fit files of this folder in several ways; the longest relative paths were taken."
            )
        return [*best[0]]

    def _other_form(self, path: str, entries: list[Entry]) -> tuple[str, list[Entry]]:
        """The path of the listing that is meant, or the path itself; and the entries for it."""
        plain = path
        if "\\" in path and (slashed := inside(path.replace("\\", "/"))) is not None:
            if self._take("with / instead of \\", path, slashed):
                return slashed, entries
            plain = slashed
        if self._contents.marked and path[0] in "U^ *" and path[1:] in self._listed:
            return self._marked(path, entries)
        forms: list[tuple[str, bool, Callable[[str], str]]] = [
            ("in another Unicode normalization form", not plain.isascii(), _nfc),
            ("though the manifest lost bytes of them that are no UTF-8", "\ufffd" in plain, _lossy),
            ("in upper or lower case", self._windows or plain != path, lambda one: _nfc(one).casefold()),
        ]
        for what, applies, key in forms:
            if applies and (found := self._by_key(what, path, plain, key)):
                return found, entries
        for what, form in _rewritten(path, plain):
            if self._take(what, path, form):
                return form, entries
        return path, entries

    def _take(self, what: str, path: str, found: str) -> bool:
        if found not in self._listed or found in self._claimed:
            return False
        self._found[what] += 1
        self._examples.setdefault(what, (path, found))
        return True

    def _by_key(self, what: str, path: str, plain: str, key: Callable[[str], str]) -> str | None:
        if what not in self._indexes:
            index: dict[str, list[str]] = defaultdict(list)
            for one in self._listed:
                if one not in self._claimed:
                    index[key(one)].append(one)
            self._indexes[what] = index
        fitting = [one for one in self._indexes[what].get(key(plain), ()) if one not in self._claimed]
        if len(fitting) > 1:
            self._result.notes.append(
                f"{printable(path)!r} fits several files {what}, such as {printable(fitting[0])!r} and "
                f"{printable(fitting[1])!r}: none was taken."
            ) if len(self._result.notes) < 20 else None  # noqa: PLR2004 -- enough of them
            return None
        return fitting[0] if fitting and self._take(what, path, fitting[0]) else None

    def _marked(self, path: str, entries: list[Entry]) -> tuple[str, list[Entry]]:
        """A name behind a mark of shasum, or behind a space that other lines do not have."""
        if path[0] == "^":
            self._found["^"] += 1
            return path, entries
        self._take("without the character before them", path, path[1:])
        if path[0] != "U":
            return path[1:], entries
        return path[1:], [entry._replace(algorithm=entry.algorithm + UNIVERSAL) for entry in entries]

    def _tell(self) -> None:
        if count := self._found.pop("^", 0):
            self._result.notes.append(f"{count:,} digests are of shasum's BITS mode, which cannot be checked here.")
        for what, count in self._found.items():
            listed, found = map(printable, self._examples[what])
            self._result.notes.append(f"{count:,} names were found {what}: {listed!r} is {found!r} here.")


def _absolute(name: str) -> list[str] | None:
    """The parts of an absolute path; None for another one, or one with dots."""
    if _WINDOWS.match(name):
        name = name.replace("\\", "/")
    elif not name.startswith("/"):
        return None
    parts = [part for part in name.split("/") if part not in {"", "."}]
    return None if ".." in parts or not parts or name.endswith("/") else parts


def _charsets(path: str) -> Iterator[str]:
    """Charsets that a name which is not UTF-8 may be in: Windows programs write those of their country."""
    try:
        path.encode()
    except UnicodeEncodeError:
        yield from dict.fromkeys((guessed(os.fsencode(path)), *_OLD_CHARSETS))


def _rewritten(path: str, plain: str) -> Iterator[tuple[str, str]]:
    """Other forms of a name, the path with slashes included: in what way, and the form."""
    for charset in _charsets(path):
        for form in dict.fromkeys((path, plain)):  # a character of Shift_JIS may have the byte of a backslash
            yield f"read as {charset}", decode(os.fsencode(form), charset)[0]
    if "%" in plain:
        yield "after decoding %XX", os.fsdecode(unquote_to_bytes(os.fsencode(plain)))
    if plain != plain.strip():
        yield "without the blanks around them", plain.strip()
    for form in _within(plain):
        yield "inside of a heading", form
    if plain[:1] == plain[-1:] and plain[:1] in {'"', "'"}:
        yield "without the quotes around them", plain[1:-1]


def _within(heading: str) -> Iterator[str]:
    """Names that a heading of certutil, in the language of the system, may be about: the longest first."""
    words = heading.split(" ")
    labelled = [one for one in _LABEL.findall(heading) if labels.algorithm(one)]
    if not labelled or not 1 < len(words) <= _MOST_WORDS:
        return
    for count in range(len(words) - 1, 0, -1):
        for start in range(len(words) - count + 1):
            form = " ".join(words[start : start + count])
            yield form
            if form[-1:] in _CLOSING:
                yield form[:-1]
                yield form[1:-1]


def _nfc(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _lossy(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
