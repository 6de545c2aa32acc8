"""Context of a job in a test: that of a worker's child, with files from the test and with its reports recorded."""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from offloop.kinds.kind import Kind, Work
from offloop.kinds.limits import Limits

Inputs = Mapping[str, Path | bytes]
"""Files by the text of their reference, ``artifact:<id>`` or ``https://…``: a path, or the content itself."""


class RecordingContext(JobContext):
    """The `Context` of one attempt in a test; `context` makes one.

    Attributes:
        reports: every call of ``progress``, as ``(done, total, message)``.
        warnings: warnings of the work, in order, without repetitions.
        artifacts: finished files, in order, each with ``path``, ``name``, ``mime_type``, ``size`` and ``sha256``.
    """

    def __init__(
        self, folder: Path, *, kind: str, limits: Limits, inputs: Mapping[str, Path], roots: Mapping[str, Path]
    ) -> None:
        super().__init__(
            job_id="test", folder=folder, inputs=inputs, roots=roots, ask=self._reply, limits=limits, kind=kind
        )
        self.reports: list[tuple[float, float | None, str]] = []

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Record every report; a worker passes on at most four per second."""
        self.reports.append((done, total, message))

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        url = request["fetch"]
        if url not in self._inputs:
            message = f"{url} is not among the inputs of the test's context: pass its content there."
            return {"refused": JobError(message, code="not_found").to_wire()}
        mime_type = mimetypes.guess_type(url)[0] or "application/octet-stream"
        return {"fetched": {"path": str(self._inputs[url]), "mime_type": mime_type, "url": url}}


def context(
    folder: Path,
    *,
    kind: Kind[Any, Any] | Work | None = None,
    limits: Limits | None = None,
    inputs: Inputs | None = None,
    roots: Mapping[str, Path] | None = None,
) -> RecordingContext:
    """Make a context to call a job with.

    Args:
        folder: an existing folder of the test's own, such as pytest's ``tmp_path``; the job's private folder is made
            in it, and nothing is deleted.
        kind: the job, whose limits then hold; a kind or a function marked ``@performs``.
        limits: limits that hold instead.
        inputs: files that the job may open, or fetch by URL, by the text of their reference.
        roots: folders that ``root:`` references may read, by name.
    """
    declared = kind.kind if isinstance(kind, Work) else kind
    private = Path(tempfile.mkdtemp(prefix="job-", dir=folder))
    return RecordingContext(
        private / "files",
        kind=declared.name if declared else "this job",
        limits=limits or (declared.limits if declared else Limits()),
        inputs=_on_disk(inputs or {}, private),
        roots=roots or {},
    )


def _on_disk(inputs: Inputs, folder: Path) -> dict[str, Path]:
    paths = {}
    for number, (reference, content) in enumerate(inputs.items()):
        paths[reference] = content if isinstance(content, Path) else folder / f"input-{number}"
        if isinstance(content, bytes):
            paths[reference].write_bytes(content)
    return paths
