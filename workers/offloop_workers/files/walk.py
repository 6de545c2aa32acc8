"""Folder walk through open descriptors only, so that no entry swapped during the walk leads out of the folder."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.files import Links, Selection
from offloop.paths import enter
from offloop_workers.files.globs import Globs, Positions

MAX_DEPTH: Final = 100
"""Nested folders; each level holds one open descriptor."""

MAX_LEFT_OUT: Final = 10_000
"""Entries left out whose paths are kept."""

MAX_ENTRIES: Final = 3_000_000
"""Names visited in one walk, selected or not."""


class Found(NamedTuple):
    """A regular file.

    Attributes:
        path: relative to the folder; bytes that are not UTF-8 are surrogate escapes.
        size: bytes, when it was listed.
        identity: device and inode; equal for all hard links of one file.
    """

    path: str
    size: int
    identity: tuple[int, int]


@dataclass(slots=True)
class Listing:
    """Result of a walk.

    Attributes:
        files: the regular files, in the order of their paths' bytes.
        links: path and target of each recorded symbolic link.
        skipped: number of entries left out, by type.
        left_out: the type of the first entries left out that are no regular files, by path.
        troubles: paths that could not be listed, with the reason.
        unused: the patterns of several in ``include`` that match nothing.
    """

    files: list[Found] = field(default_factory=list)
    links: list[tuple[str, bytes]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


class _State(NamedTuple):
    """Pattern positions after the path of a folder; `chosen` once an include has matched the folder itself."""

    include: tuple[Positions, ...]
    exclude: tuple[Positions, ...]
    chosen: bool


class Walk:
    """One walk through a folder.

    Args:
        wanted: the selection of files.
        links: treatment of symbolic links: left out, recorded, or an error.
    """

    def __init__(self, wanted: Selection, links: Links = "skip") -> None:
        self._wanted = wanted
        self._links = links
        self._include = Globs(wanted.include)
        self._exclude = Globs(wanted.exclude)
        self._max_files = wanted.max_files
        self._visited = 0
        self._listing = Listing()

    def through(self, folder: int) -> Listing:
        """List everything below an open folder.

        Raises:
            LimitExceeded: too many files, names, or nested folders.
            JobError: ``link_found``: there is a link, and links are errors.
        """
        self._list(folder, "", _State(self._include.start, self._exclude.start, not self._include), 1)
        self._listing.files.sort(key=_bytes)
        self._listing.links.sort(key=lambda link: os.fsencode(link[0]))
        self._listing.unused = self._include.unused
        return self._listing

    def _list(self, folder: int, prefix: str, state: _State, depth: int) -> None:
        below: list[tuple[str, _State]] = []
        everything = state.chosen and not self._exclude and not self._include.curious
        for entry in self._entries(folder, prefix):
            inside = state if everything else self._after_name(entry.name, state)
            if inside is None:
                continue
            if entry.is_dir(follow_symlinks=False):
                below.append((entry.name, inside))
            elif inside.chosen:
                self._add(folder, entry, prefix + entry.name)
        for name, inside in below:
            self._descend(folder, name, prefix + name, inside, depth)

    def _descend(self, folder: int, name: str, path: str, state: _State, depth: int) -> None:
        if depth >= MAX_DEPTH:
            message = (
                f"There are more than {MAX_DEPTH} folders inside each other, the limit of one job: "
                "send a folder further down, or exclude this part."
            )
            raise LimitExceeded(message)
        try:
            opened = enter(folder, name)
        except OSError as error:
            self._listing.troubles.append((path, f"folder: {reason(error)}"))
            return
        try:
            self._list(opened, f"{path}/", state, depth + 1)
        finally:
            os.close(opened)

    def _entries(self, folder: int, prefix: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._visited += 1
                    if self._visited > MAX_ENTRIES:
                        message = (
                            f"There are more than {MAX_ENTRIES:,} names, the most one job looks at: "
                            "send the folders inside one by one."
                        )
                        raise LimitExceeded(message)
                    if self._wanted.hidden or not entry.name.startswith("."):
                        yield entry
                    else:
                        self._listing.skipped["hidden"] += 1
        except OSError as error:
            self._listing.troubles.append((prefix.rstrip("/") or ".", f"folder: {reason(error)}"))

    def _after_name(self, name: str, state: _State) -> _State | None:
        """The state after one more name; None where an exclude matches it."""
        exclude = state.exclude
        if self._exclude:
            exclude = self._exclude.step(exclude, name)
            if self._exclude.matches(exclude):
                return None
        if state.chosen and not self._include.curious:
            return state._replace(exclude=exclude) if self._exclude else state
        include = self._include.step(state.include, name)
        return _State(include, exclude, self._include.matches(include) or state.chosen)

    def _add(self, folder: int, entry: os.DirEntry[str], path: str) -> None:
        try:
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                self._listing.files.append(Found(path, found.st_size, (found.st_dev, found.st_ino)))
                self._check_count()
            elif stat.S_ISLNK(found.st_mode):
                self._add_link(folder, entry.name, path)
            else:
                self._leave_out(path, _file_type(found.st_mode))
        except OSError as error:
            self._listing.troubles.append((path, reason(error)))

    def _add_link(self, folder: int, name: str, path: str) -> None:
        match self._links:
            case "error":
                message = f"{printable(path)!r} is a symbolic link: send links=skip or links=record, or exclude it."
                raise JobError(message, code="link_found")
            case "record":
                self._listing.links.append((path, os.fsencode(os.readlink(name, dir_fd=folder))))
                self._check_count()
            case _:
                self._leave_out(path, "links")

    def _leave_out(self, path: str, file_type: str) -> None:
        self._listing.skipped[file_type] += 1
        if len(self._listing.left_out) < MAX_LEFT_OUT:
            self._listing.left_out[path] = file_type

    def _check_count(self) -> None:
        if len(self._listing.files) + len(self._listing.links) > self._max_files:
            message = (
                f"There are more than {self._max_files:,} files (max_files): choose fewer with include and "
                "exclude, send a folder further down, or a higher max_files."
            )
            raise LimitExceeded(message)


def _bytes(found: Found) -> bytes:
    return os.fsencode(found.path)


def reason(error: OSError) -> str:
    """The system's message for an error, which contains no path."""
    return (error.strerror or type(error).__name__).lower()


def printable(path: str, length: int = 200) -> str:
    """A path as printable text of bounded length: bytes that are not UTF-8 or not printable are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[: length + 1])
    return text if len(text) <= length else text[: length - 3] + "..."


def unused_note(patterns: list[str]) -> str:
    """The warning about patterns that match nothing."""
    return f"{len(patterns)} patterns in include match nothing, such as {printable(patterns[0])!r}: is it spelt right?"


def _file_type(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "pipes"
    return "sockets" if stat.S_ISSOCK(mode) else "devices"
