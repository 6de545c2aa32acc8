"""The context of a running job, as its author uses it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference, FolderReference


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file from the network, as the work gets it.

    Attributes:
        path: a file in the job's own folder.
        mime_type: as the server declared it, without parameters; ``application/octet-stream`` where it did not.
        url: where it came from, after redirects.
    """

    path: Path
    mime_type: str
    url: str


class Context(Protocol):
    """What the work may ask for while it runs, inside a worker's child."""

    job_id: str
    attempt: int
    limits: Limits

    @property
    def folder(self) -> Path:
        """A private temporary folder; it is deleted when the job ends."""

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell the waiting callers how far the job is; may be called as often as is convenient."""

    def warn(self, message: str) -> None:
        """Add a line to the answer's ``warnings``: something was dropped or replaced, and what to do about it."""

    def open(self, reference: FileReference) -> BinaryIO:
        """Open a referenced file for reading.

        Raises:
            JobError: the file is missing, unreadable or not a regular file.
        """

    def open_folder(self, reference: FolderReference) -> AbstractContextManager[int]:
        """Open a referenced folder: a descriptor, to list it and to open what it holds relative to it.

        Raises:
            JobError: there is no such folder, or it may not be read.
        """

    def fetch(self, url: str) -> Fetched:
        """Have the worker fetch a URL, through its guard; blocks until the file is there.

        Raises:
            LimitExceeded: the kind's ``fetches`` are used up.
            JobError: the URL may not be fetched, or could not be.
        """

    def create(self, name: str, mime_type: str) -> AbstractContextManager[BinaryIO]:
        """Open a new artifact for writing; it belongs to the answer once the block ends without an error."""
