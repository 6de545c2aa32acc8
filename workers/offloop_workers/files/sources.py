"""File sources of a job: an open folder, or references by name."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from offloop.errors import JobError
from offloop.jobs.files import Links, Selection
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop.paths import enter, open_regular
from offloop_workers.files.globs import Globs
from offloop_workers.files.walk import Found, Listing, Walk


class Openable(Protocol):
    """Opens files by their paths."""

    def open(self, path: str) -> BinaryIO:
        """Open one of the files.

        Raises:
            OSError: the file is gone or may not be read.
            JobError: the same, for a reference.
        """

    def descriptors(self) -> tuple[int, ...]:
        """Descriptors that a reader process must keep open."""


class Source(Openable, Protocol):
    """Lists files, and opens those of its listing."""

    def list(self) -> Listing:
        """The selected files."""


class Folder:
    """The files below an open folder.

    Args:
        descriptor: the folder; the caller closes it.
        wanted: the selection of files.
        links: treatment of symbolic links.
    """

    def __init__(self, descriptor: int, wanted: Selection, links: Links = "skip") -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._links = links
        self._current_path = ""
        self._current = descriptor

    def list(self) -> Listing:
        """Walk the whole folder."""
        return Walk(self._wanted, self._links).through(self._descriptor)

    def open(self, path: str) -> BinaryIO:
        """Open a file, name by name from the folder; its own folder stays open, since the next file is mostly there."""
        folder, _, name = path.rpartition("/")
        if folder != self._current_path:
            self._enter(folder)
        return cast("BinaryIO", io.FileIO(open_regular(self._current, name)))

    def close(self) -> None:
        """Close the folder entered last. Safe to call twice."""
        if self._current != self._descriptor:
            os.close(self._current)
        self._current, self._current_path = self._descriptor, ""

    def descriptors(self) -> tuple[int, ...]:
        """The folder, and the one entered last."""
        return self._descriptor, self._current

    def _enter(self, folder: str) -> None:
        self.close()
        current = self._descriptor
        for name in folder.split("/") if folder else ():
            try:
                below = enter(current, name)
            finally:
                if current != self._descriptor:
                    os.close(current)
            current = below
        self._current, self._current_path = current, folder


@dataclass(frozen=True, slots=True)
class Named:
    """Files given as references, by name.

    Attributes:
        files: references by the name in the listing.
        wanted: the selection.
        context: opens the references.
    """

    files: dict[str, FileReference]
    wanted: Selection
    context: Context

    def list(self) -> Listing:
        """The files that the patterns select, with their sizes."""
        listing = Listing()
        include, exclude = Globs(self.wanted.include), Globs(self.wanted.exclude)
        alone = [(pattern, Globs([pattern])) for pattern in self.wanted.include]
        if len(alone) > 1:
            listing.unused = [one for one, globs in alone if not any(_selects(globs, name) for name in self.files)]
        for number, name in enumerate(sorted(self.files, key=os.fsencode)):
            hidden = any(part.startswith(".") for part in name.split("/"))
            if hidden and not self.wanted.hidden:
                listing.skipped["hidden"] += 1
            elif not _selects(exclude, name) and (not include or _selects(include, name)):
                try:
                    with self.open(name) as file:
                        listing.files.append(Found(name, file.seek(0, os.SEEK_END), _identity(file, number)))
                except JobError as error:
                    listing.troubles.append((name, error.message))
        return listing

    def open(self, path: str) -> BinaryIO:
        """Open the reference with that name."""
        return self.context.open(self.files[path])

    def descriptors(self) -> tuple[int, ...]:
        """None: a reader opens each reference itself."""
        return ()


@contextmanager
def source(wanted: Selection, context: Context, links: Links = "skip") -> Iterator[Source]:
    """The source that a request names; an opened folder is closed on exit.

    Raises:
        JobError: there is no such folder.
    """
    if wanted.folder is None:
        yield Named(wanted.files or {}, wanted, context)
        return
    with context.open_folder(wanted.folder) as descriptor:
        folder = Folder(descriptor, wanted, links)
        try:
            yield folder
        finally:
            folder.close()


def _selects(globs: Globs, path: str) -> bool:
    """Whether a pattern matches the path or one of the folders in it."""
    state = globs.start
    for name in path.split("/"):
        state = globs.step(state, name)
        if globs.matches(state):
            return True
    return False


def _identity(file: BinaryIO, number: int) -> tuple[int, int]:
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return (-1, number)  # bytes in memory have no other name
    return found.st_dev, found.st_ino
