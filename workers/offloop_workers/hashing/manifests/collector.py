"""Collector of the entries of one manifest: it knows the limits, and what is told of lines that are no entry."""

from __future__ import annotations

import os
from itertools import chain
from typing import Final

from offloop_workers.hashing import digest as digests
from offloop_workers.hashing.entries import Contents, Entry, too_many
from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.manifests.text import Text

MALFORMED_KEPT: Final = 1000
_KEYED: Final = ("HMAC", "KMAC", "CMAC", "GMAC", "POLY1305", "SIPHASH")
_STDIN: Final = frozenset({"-", "stdin", "(stdin)", "<stdin>", "standard input"})


class Collector:
    """Collects entries, malformed lines and warnings.

    Args:
        text: the manifest.
        algorithm: for digests that the manifest gives without one.
        limit: files and malformed lines of a manifest.
    """

    def __init__(self, text: Text, algorithm: str | None, limit: int) -> None:
        self.text = text
        self.start = ""
        self.marked = False
        self._algorithm = algorithm
        self._limit = limit
        self._entries: list[Entry] = []
        self._unnamed: list[tuple[int, Entry]] = []
        self._malformed: list[tuple[int, str]] = []
        self._room = limit
        self._malformed_total = 0
        self._guessed: set[str] = set()
        self._bare: dict[int, str | None] = {}  # algorithms of digests without one, by their length
        self._rare: set[str] = set()  # those of lengths that programs have by an option only
        self._unusual: list[tuple[int, Entry]] = []
        self._foreign: list[tuple[int, str, str]] = []
        self._sizes: dict[str, int] = {}
        self._notes: dict[str, int] = {}
        self._others: dict[bytes, frozenset[bytes]] = {}

    def refuse(self, number: int, why: str) -> None:
        """Count a line that is no entry."""
        self._malformed_total += 1
        if len(self._malformed) < MALFORMED_KEPT:
            self._malformed.append((number, why))
        self._counted()

    def note(self, text: str) -> None:
        """Warn of something; ``{}`` is the number of times."""
        self._notes[text] = self._notes.get(text, 0) + 1

    def entry(self, number: int, name: bytes, algorithm: str, digest: bytes, size: int = -1) -> None:
        """Add a digest of a known algorithm and the right length."""
        if (path := self._path(number, name)) is not None:
            self._add(number, Entry(path, algorithm, digest, size))

    def line_of(self, entries: list[Entry] | str, number: int) -> None:
        """Add the entries of a line, or the reason for none."""
        if isinstance(entries, str):
            self.refuse(number, entries)
        elif entries:
            self._entries += entries
            self._counted()

    def bare(self, number: int, name: bytes, digest: bytes, size: int = -1, others: tuple[bytes, ...] = ()) -> None:
        """Add a digest whose algorithm the manifest does not name."""
        algorithm = self._of_length(len(digest))
        if algorithm is None:
            wanted = self._algorithm or "any known algorithm"
            self.refuse(number, f"a digest of {2 * len(digest)} digits is not one of {wanted}")
            return
        path = self._path(number, name)
        if path is None:
            return
        if others:
            self._others[digest] = self._others.get(digest, frozenset()).union(others)
        entry = Entry(path, algorithm, digest, size)
        if algorithm in self._rare:
            self._unusual.append((number, entry))
            self._counted()
        else:
            self._add(number, entry)

    def checksum(self, number: int, name: bytes, value: int, size: int) -> None:
        """Add a CRC in decimal, of the program cksum."""
        self._guessed.add("cksum")
        digest = value.to_bytes(4, "big")
        if name:
            self.entry(number, name, "cksum", digest, size)
        else:
            self.nameless(number, "cksum", digest, size)

    def labelled(self, number: int, name: bytes, label: str, printed: bytes, size: int = -1) -> None:
        """Add a digest whose algorithm the manifest names."""
        algorithm = labels.algorithm(label)
        if label.upper().startswith(_KEYED):
            self.refuse(number, f"{label[:40]} is a keyed digest, which cannot be checked without its key")
        elif algorithm is None and labels.foreign(label):
            self.foreign(number, name, label)
        elif algorithm is None:
            self.refuse(number, f"the algorithm {label[:40]} is not known")
        elif (digest := labels.decode(printed)) is None:
            self.refuse(number, f"the digest of {algorithm} is neither hexadecimal nor Base64")
        elif (sized := labels.sized(algorithm, len(digest))) is None:
            self.refuse(number, f"a digest of {2 * len(digest)} digits is not one of {algorithm}")
        else:
            self.entry(number, name, sized, digest, size)

    def foreign(self, number: int, name: bytes, label: str) -> None:
        """Note a digest of an algorithm that is known by name only."""
        path = self._path(number, name)
        if path is not None:
            self._foreign.append((number, label.upper()[:40], path))
            self._counted()

    def nameless(self, number: int, algorithm: str | None, digest: bytes, size: int = -1) -> None:
        """Add a digest without a name."""
        name = algorithm or self._of_length(len(digest))
        if name is None:
            self.refuse(number, f"a digest of {2 * len(digest)} digits is not one of any known algorithm")
            return
        self._unnamed.append((number, Entry("", name, digest, size)))
        self._counted()

    def has_size(self, name: bytes, size: int) -> None:
        """Note the size of a file that is listed on another line."""
        self._sizes[os.fsdecode(name)] = size

    def finished(self) -> Contents:
        """The manifest as a whole."""
        self._settle_unusual()
        self._settle_foreign()
        self._settle_unnamed()
        if self._sizes:
            self._entries = [
                one._replace(size=self._sizes[one.path]) if one.size < 0 and one.path in self._sizes else one
                for one in self._entries
            ]
        malformed = [f"line {number}: {why}" for number, why in sorted(self._malformed)]
        every = chain(self._entries, (entry for _, entry in self._unnamed)) if self._guessed else ()
        used = {entry.algorithm for entry in every}
        notes = (*self.text.notes, *(text.replace("{}", f"{count:,}") for text, count in self._notes.items()))
        return Contents(
            self._entries,
            malformed,
            self._malformed_total,
            tuple(entry for _, entry in self._unnamed),
            frozenset(self._guessed & used),
            self.marked,
            self.start,
            notes,
            self._others or None,
        )

    def _path(self, number: int, name: bytes) -> str | None:
        found = self.text.name(name) if b"\0" in name else name
        if not found:
            self.refuse(number, "has no name, or one with a NUL byte")
            return None
        return os.fsdecode(found)

    def _add(self, number: int, entry: Entry) -> None:
        if entry.path in _STDIN:
            self._unnamed.append((number, entry))
        else:
            self._entries.append(entry)
        self._counted()

    def _counted(self) -> None:
        self._room -= 1
        if self._room < 0:
            raise too_many(self._limit)

    def _of_length(self, length: int) -> str | None:
        """The algorithm of a bare digest, as the caller says or as it mostly is."""
        if length not in self._bare:
            self._bare[length] = self._chosen(length)
        return self._bare[length]

    def _chosen(self, length: int) -> str | None:
        if self._algorithm is None:
            algorithm = next(iter(labels.candidates(2 * length)), None)
            if algorithm:
                self._guessed.add(algorithm)
                if labels.usual(2 * length) is None:
                    self._rare.add(algorithm)
            return algorithm
        if self._algorithm in {"blake2b", "blake3"}:  # their programs have an option for the length
            name = labels.digits_of_base(f"{self._algorithm}_{8 * length}")
            return name if digests.known(name) else None
        return labels.sized(self._algorithm, length)

    def _settle_unusual(self) -> None:
        """Take digests of a rare length only where all lines are alike; else they are parts of other text."""
        alike = len(self._bare) == 1 and not self._malformed_total
        for number, entry in self._unusual:
            if alike:
                self._entries.append(entry)
            else:
                count = 2 * len(entry.digest)
                self.refuse(number, f"a digest of {count} digits is not one of any known algorithm; if it is one of "
                            "blake2b or blake3, send that as algorithm")  # fmt: skip

    def _settle_foreign(self) -> None:
        listed = {entry.path for entry in self._entries} if self._foreign else set()
        for number, label, path in self._foreign:
            if path in listed:
                self.note(f"{{}} digests of {label} were not compared, since it is not known here; others of the same "
                          "files were.")  # fmt: skip
            else:
                self.refuse(number, f"the algorithm {label} is not known")

    def _settle_unnamed(self) -> None:
        """A digest of a pipe, among files with names, belongs to none of them."""
        if not self._entries:
            return
        for number, entry in self._unnamed:
            if not entry.path:
                self.refuse(number, "is neither '<digest>  <path>' nor '<ALGORITHM> (<path>) = <digest>': it has a "
                            "digest, and no name")  # fmt: skip
            else:
                self._entries.append(entry)
        self._unnamed = []
