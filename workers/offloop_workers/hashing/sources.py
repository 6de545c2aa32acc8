"""Where the files of one job come from: an open folder, or references by name."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from offloop.errors import JobError
from offloop.jobs.hashing import Files
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop.paths import enter, open_regular
from offloop_workers.hashing.globs import Globs
from offloop_workers.hashing.walk import Found, Listing, Walk


class Openable(Protocol):
    """Opens files by their paths."""

    def open(self, path: str) -> BinaryIO:
        """Open one of the files.

        Raises:
            OSError: it is gone, or may not be read.
            JobError: the same, for a reference.
        """

    def descriptors(self) -> tuple[int, ...]:
        """What must stay open in a process that shall read from here."""


class Source(Openable, Protocol):
    """Opens what its listing names."""

    def list(self) -> Listing:
        """What there is."""


class Folder:
    """The files below an open folder.

    Args:
        descriptor: the folder; it stays the caller's to close.
        wanted: which of the files.
    """

    def __init__(self, descriptor: int, wanted: Files) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._at = ""
        self._folder = descriptor

    def list(self) -> Listing:
        """Walk through all of it."""
        return Walk(self._wanted).through(self._descriptor)

    def open(self, path: str) -> BinaryIO:
        """Open a file, part by part from the folder; the last folder stays open, for the next file is mostly there."""
        folder, _, name = path.rpartition("/")
        if folder != self._at:
            self._go(folder)
        return cast("BinaryIO", io.FileIO(open_regular(self._folder, name)))

    def close(self) -> None:
        """Close the last folder. Safe to call twice."""
        if self._folder != self._descriptor:
            os.close(self._folder)
        self._folder, self._at = self._descriptor, ""

    def descriptors(self) -> tuple[int, ...]:
        """The folder, and the last one."""
        return self._descriptor, self._folder

    def _go(self, folder: str) -> None:
        self.close()
        found = self._descriptor
        for part in folder.split("/") if folder else ():
            try:
                below = enter(found, part)
            finally:
                if found != self._descriptor:
                    os.close(found)
            found = below
        self._folder, self._at = found, folder


@dataclass(frozen=True, slots=True)
class Named:
    """Files that a call names one by one.

    Attributes:
        files: the reference of each, by the name it shall have.
        wanted: which of them.
        context: opens the references.
    """

    files: dict[str, FileReference]
    wanted: Files
    context: Context

    def list(self) -> Listing:
        """All that the patterns choose, with their sizes."""
        listing = Listing()
        include, exclude = Globs(self.wanted.include), Globs(self.wanted.exclude)
        for number, name in enumerate(sorted(self.files, key=os.fsencode)):
            hidden = any(part.startswith(".") for part in name.split("/"))
            if hidden and not self.wanted.hidden:
                listing.skipped["hidden"] += 1
            elif not _any_part(exclude, name) and (not include or _any_part(include, name)):
                try:
                    with self.open(name) as file:
                        listing.files.append(Found(name, file.seek(0, os.SEEK_END), _identity(file, number)))
                except JobError as error:
                    listing.troubles.append((name, error.message))
        return listing

    def open(self, path: str) -> BinaryIO:
        """Open the reference of that name."""
        return self.context.open(self.files[path])

    def descriptors(self) -> tuple[int, ...]:
        """None: references are opened anew."""
        return ()


@contextmanager
def source(wanted: Files, context: Context) -> Iterator[Source]:
    """What a job is about.

    Raises:
        JobError: there is no such folder.
    """
    if wanted.folder is None:
        yield Named(wanted.files or {}, wanted, context)
        return
    with context.open_folder(wanted.folder) as descriptor:
        folder = Folder(descriptor, wanted)
        try:
            yield folder
        finally:
            folder.close()


def _any_part(globs: Globs, name: str) -> bool:
    """Whether a pattern matches the name or one of the folders in it."""
    state = globs.start
    for number, part in enumerate(name.split("/")):
        state = globs.step(state, f"/{part}" if number else part)
        if globs.matches(state):
            return True
    return False


def _identity(file: BinaryIO, number: int) -> tuple[int, int]:
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return (-1, number)  # bytes in memory are nobody else's
    return found.st_dev, found.st_ino
