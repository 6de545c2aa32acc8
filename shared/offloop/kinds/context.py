"""Context of a running job: the interface that its author uses."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference, FolderReference


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file fetched from the network.

    Attributes:
        path: a file in the job's own folder.
        mime_type: as the server declared it, without parameters; ``application/octet-stream`` where it did not.
        url: its URL after redirects.
        charset: as the server declared it; ``""`` where it did not.
    """

    path: Path
    mime_type: str
    url: str
    charset: str = ""


class Context(Protocol):
    """Interface between the work and the worker that runs it."""

    job_id: str
    attempt: int
    limits: Limits

    @property
    def folder(self) -> Path:
        """A private temporary folder; it is deleted when the job ends."""

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report progress to the waiting callers; frequent calls are cheap."""

    def warn(self, message: str) -> None:
        """Add a line to the answer's ``warnings``: what was dropped or replaced, and what to do about it."""

    def open(self, reference: FileReference) -> BinaryIO:
        """Open a referenced file for reading.

        Raises:
            JobError: the file is missing, unreadable or not a regular file.
        """

    def open_folder(self, reference: FolderReference) -> AbstractContextManager[int]:
        """Open a referenced folder: a descriptor, to list its entries and to open them relative to it.

        Raises:
            JobError: the folder does not exist, or may not be read.
        """

    def fetch(self, url: str) -> Fetched:
        """Have the worker fetch a URL, through its guard; blocks until the file is there.

        Raises:
            LimitExceeded: the kind's ``fetches`` are used up.
            JobError: the URL may not be fetched, or could not be.
        """

    def create(self, name: str, mime_type: str) -> AbstractContextManager[BinaryIO]:
        """Open a new artifact for writing; it belongs to the answer once the block ends without an error."""
