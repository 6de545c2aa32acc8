"""Context of one attempt, over local files and folders: the implementation of `offloop.kinds.context.Context`.

A worker's child and `offloop.testing` use the same one, so a job behaves in a test as it does in a worker.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.context import Fetched
from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference, FolderReference, Scheme, parse
from offloop.paths import open_beneath, open_folder_beneath, safe_name, unreadable, unreadable_folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_WARNINGS = 100
MAX_WARNING_LENGTH = 500
MAX_MESSAGE_LENGTH = 200
SECONDS_BETWEEN_REPORTS = 0.25
_BUFFER = 256 * 1024


def add_warning(warnings: list[str], message: str) -> None:
    """Add a warning as one line of bounded length, once; the last of a hundred says that there were more."""
    line = " ".join(message.split())
    if len(line) > MAX_WARNING_LENGTH:
        line = line[: MAX_WARNING_LENGTH - 3] + "..."
    if not line or line in warnings or len(warnings) >= MAX_WARNINGS:
        return
    if len(warnings) == MAX_WARNINGS - 1:
        line = f"There were more than {MAX_WARNINGS} warnings; the rest is left out."
    warnings.append(line)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished file of this job, still in its folder.

    Attributes:
        path: where the file is.
        name: file name, safe to show and to save under.
        mime_type: its type, as the work gave it.
        size: bytes.
        sha256: digest of its bytes, lower-case hexadecimal.
    """

    path: Path
    name: str
    mime_type: str
    size: int
    sha256: str


class JobContext:
    """The `Context` of one attempt.

    Args:
        job_id: the job.
        folder: a path for private files; it is made when it is first asked for, and never deleted here.
        attempt: number of this execution, from 1.
        inputs: local files by the text of their ``artifact:`` or ``https:`` reference.
        roots: folders that ``root:`` references may read, by name.
        report: sends a message to the worker, such as ``{"progress": {…}}``; without it, progress is dropped.
        ask: sends a message to the worker and returns its reply; without it, nothing can be fetched.
        limits: what this attempt may use; default: the limits of a kind that declares none.
        output_bytes: the most that one created file may have; default: the ``output_mb`` of the limits.
        kind: name of the kind, for messages.

    Attributes:
        warnings: warnings of the work, in order, without repetitions.
        artifacts: finished files, in order.
    """

    def __init__(  # noqa: PLR0913 -- everything a job may touch is passed by name, nothing is global
        self,
        *,
        job_id: str,
        folder: Path,
        attempt: int = 1,
        inputs: Mapping[str, Path] | None = None,
        roots: Mapping[str, Path] | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
        ask: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        limits: Limits | None = None,
        output_bytes: int | None = None,
        kind: str = "this job",
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._folder = folder
        self._folder_made = False
        self.warnings: list[str] = []
        self.artifacts: list[Artifact] = []
        self._inputs = inputs or {}
        self._roots = roots or {}
        self._report = report
        self._ask = ask
        self.limits = limits or Limits()
        self._output_bytes = self.limits.output_mb << 20 if output_bytes is None else output_bytes
        self._kind = kind
        self._fetches = 0
        self._fetching = threading.Lock()
        self._created = 0
        self._done = float("-inf")
        self._reported_at = float("-inf")

    @property
    def folder(self) -> Path:
        """A private temporary folder; a job that never asks for it does not pay for it."""
        if not self._folder_made:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder_made = True
        return self._folder

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report progress, at most four times a second; the first step and the last always pass, a step back never."""
        now = time.monotonic()
        last = total is not None and done >= total
        if not done > self._done or (not last and now - self._reported_at < SECONDS_BETWEEN_REPORTS):
            return
        self._done, self._reported_at = done, now
        if self._report:
            self._report({"progress": {"done": done, "total": total, "message": message[:MAX_MESSAGE_LENGTH]}})

    def warn(self, message: str) -> None:
        """Keep a warning for the answer, once; after a hundred only the fact that there were more."""
        add_warning(self.warnings, message)

    def open(self, reference: FileReference) -> BinaryIO:
        """Open a referenced file for reading.

        Raises:
            JobError: ``unreadable_file``: there is no such file, or it may not be read.
        """
        parsed = parse(reference)
        match parsed.scheme:
            case Scheme.DATA:
                return io.BytesIO(parsed.content)
            case Scheme.ROOT if parsed.name in self._roots:
                return open_beneath(self._roots[parsed.name], parsed.path, label=reference)
            case Scheme.ARTIFACT | Scheme.URL if str(reference) in self._inputs:
                with suppress(OSError):
                    return self._inputs[str(reference)].open("rb")
        raise unreadable(reference)

    @contextmanager
    def open_folder(self, reference: FolderReference) -> Iterator[int]:
        """Open a referenced folder as a descriptor, which is closed when the block ends.

        Raises:
            JobError: ``unreadable_file``: there is no such folder, or it may not be read.
        """
        parsed = parse(reference)
        if parsed.scheme is not Scheme.ROOT or parsed.name not in self._roots:
            raise unreadable_folder(reference)
        descriptor = open_folder_beneath(self._roots[parsed.name], parsed.path, label=reference)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def fetch(self, url: str) -> Fetched:
        """Have the worker fetch a URL, through its guard; blocks until the file is there.

        Raises:
            LimitExceeded: the kind's ``fetches`` are used up.
            JobError: the URL may not be fetched, or could not be.
        """
        with self._fetching:  # one request at a time, from any thread
            self._fetches += 1
            self.limits.check_fetches(self._kind, self._fetches)
            if self._ask is None:
                message = f"{self._kind} was given no way to fetch URLs: send the files themselves."
                raise JobError(message, code="not_allowed")
            answer = self._ask({"fetch": url})
        if refused := answer.get("refused"):
            raise JobError(refused["message"], code=refused["code"], retryable=refused["retryable"])
        found = answer["fetched"]
        return Fetched(Path(found["path"]), found["mime_type"], found["url"], found.get("charset", ""))

    @contextmanager
    def create(self, name: str, mime_type: str) -> Iterator[BinaryIO]:
        """Open a new artifact for writing; it joins `artifacts` when the block ends without an error.

        The file is a real one and may be sought and read back, but it has no file descriptor to write around the
        size limit with.

        Raises:
            LimitExceeded: the file would grow beyond the kind's ``output_mb``.
            JobError: ``no_space``: the worker's disk is full.
        """
        self._created += 1
        self.limits.check_artifacts(self._kind, self._created)
        path = self.folder / f"artifact-{self._created}"
        raw = _CappedFile(path, self._output_bytes)
        try:
            with io.BufferedRandom(raw, _BUFFER) as file:
                yield file
            with path.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
        except BaseException as error:
            raw.close_quietly()
            path.unlink(missing_ok=True)
            if foreseen := self._foreseen(raw, error):
                raise foreseen from error
            raise
        self.limits.check_total(self._kind, path.stat().st_size + sum(artifact.size for artifact in self.artifacts))
        artifact = Artifact(path, safe_name(name, f"file-{self._created}"), mime_type, path.stat().st_size, digest)
        self.artifacts.append(artifact)

    def _foreseen(self, raw: _CappedFile, error: BaseException) -> JobError | None:
        # A library may have wrapped our exception in one of its own; the file remembers.
        code = error.errno if isinstance(error, OSError) else None
        if raw.exceeded or code == errno.EFBIG:
            return _too_large(self._output_bytes)
        if code in {errno.ENOSPC, errno.EDQUOT}:
            message = "The worker's disk is full, so the result could not be written: try again later."
            return JobError(message, code="no_space", retryable=True)
        return None


class _CappedFile(io.FileIO):
    """A file that refuses to grow beyond a number of bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "x+")
        self.exceeded = False
        self._limit = limit

    def write(self, data: ReadableBuffer, /) -> int:
        if self.tell() + memoryview(data).nbytes > self._limit:
            self.exceeded = True
            raise _too_large(self._limit)
        return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        if size is not None and size > self._limit:
            self.exceeded = True
            raise _too_large(self._limit)
        return super().truncate(size)

    def fileno(self) -> int:
        # Libraries that find a descriptor write to it directly, past the limit; without one they call write().
        message = "a job's output file has no descriptor"
        raise io.UnsupportedOperation(message)

    def close_quietly(self) -> None:
        with suppress(Exception):
            self.close()


def _too_large(limit: int) -> LimitExceeded:
    size = f"{limit / 2**20:,.0f} MiB" if limit >= 2**20 else f"{limit:,} bytes"
    message = (
        f"The result is larger than {size}, the most one file of this kind may have (output_mb): "
        "ask for less, or split the work over several jobs."
    )
    return LimitExceeded(message)
