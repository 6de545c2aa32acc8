"""Inline engine: jobs run in the process of their caller, so that a test of the caller needs no Redis and no worker.

It stands in for the two ways in which Python code calls offloop: ``offloop_server.client.Offloop`` (`run`, `upload`,
`download`) and a pool of arq (`enqueue_job`).
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from arq.jobs import JobStatus

from offloop.errors import Conflict, JobError, OffloopError, as_job_error
from offloop.kinds import contract
from offloop.kinds.catalogue import tools_in, works_in
from offloop.kinds.job_context import Artifact
from offloop.kinds.kind import Kind, Work
from offloop.kinds.options import BUDGET
from offloop.kinds.tool import DeclaredTool
from offloop.redis.codec import timestamp
from offloop.testing.context import Inputs, RecordingContext, context

Progress = Callable[[float, float | None, str | None], Awaitable[None]]
KEPT_SECONDS: Final = 3600
"""Time until ``expires_at``; nothing expires here."""
Declared = ModuleType | Kind[Any, Any] | Work | DeclaredTool[Any, Any]


@dataclass(slots=True, eq=False)
class InlineJob:
    """A job that has run; its methods are those of ``arq.jobs.Job`` that a caller waits with.

    Attributes:
        job_id: its id.
        kind: name of its kind.
        arguments: the kind's arguments, as they were sent.
        output: the output model as plain data; None where the job failed.
        artifacts: plain data of each file that it made, as in an answer of the front end.
        warnings: warnings of the work.
        error: reason of the failure; None if it succeeded.
    """

    job_id: str
    kind: str
    arguments: dict[str, Any]
    output: dict[str, Any] | None = None
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: JobError | None = None

    async def result(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002, ASYNC109 -- as arq has it
        """Output, artifacts and warnings.

        Raises:
            JobError: the job failed.
        """
        if self.error:
            raise self.error
        return {"output": self.output, "artifacts": self.artifacts, "warnings": self.warnings}

    async def status(self) -> JobStatus:
        """Always complete: a job ends before its caller gets it."""
        return JobStatus.complete


class InlineOffloop:
    """Runs the jobs and light tools of a test in its process.

    A job has ended when the call returns. A ``def`` runs in a thread, an ``async def`` on the caller's loop. Input,
    output and the limits on files are checked; there is no sandbox and no limit on time or memory.

    Args:
        declared: modules, kinds, functions marked ``@performs``, light tools.
        folder: an existing folder of the test's own, such as pytest's ``tmp_path``, for all files.
        inputs: files that jobs may open, or fetch by URL, by the text of their reference.
        roots: folders that ``root:`` references may read, by name.

    Attributes:
        jobs: every job that has run, in order.
    """

    def __init__(
        self,
        *declared: Declared,
        folder: Path,
        inputs: Inputs | None = None,
        roots: Mapping[str, Path] | None = None,
    ) -> None:
        modules = [module for module in declared if isinstance(module, ModuleType)]
        works = [work for module in modules for work in works_in(module)]
        works += [work for work in declared if isinstance(work, Work)]
        works += [Work(kind, kind.work) for kind in declared if isinstance(kind, Kind) and kind.work]
        tools = [tool for module in modules for tool in tools_in(module)]
        tools += [tool for tool in declared if isinstance(tool, DeclaredTool)]
        self._works = {work.kind.name: work for work in works}
        self._tools = {tool.name: tool for tool in tools}
        self._folder = folder
        self._inputs = inputs or {}
        self._files: dict[str, Path] = {}
        self._roots = roots or {}
        self._keys: dict[str, InlineJob] = {}
        self.jobs: list[InlineJob] = []

    async def run(self, tool: str, arguments: dict[str, Any], on_progress: Progress | None = None) -> dict[str, Any]:
        """Do a job and return its structured answer, as ``Offloop.run`` does; or call a light tool.

        An ``idempotency_key`` joins the completed job of the same key; the rest of the wait budget has no effect.

        Raises:
            JobError: it failed or was refused.
        """
        if declared := self._tools.get(tool):
            return await _output(declared, declared.function, arguments)
        given = {name: value for name, value in arguments.items() if name not in BUDGET}
        key = arguments.get("idempotency_key")
        job = self._keys.get(key) if key else None
        if job and (job.kind, job.arguments) != (tool, given):
            message = f"idempotency_key {key!r} already names job {job.job_id} with other arguments"
            raise as_job_error(Conflict(message))
        if job is None:
            job = await self._perform(secrets.token_urlsafe(16), tool, given, on_progress)
        if job.error:
            raise job.error
        if key:
            self._keys[key] = job
        return _answer(job)

    async def enqueue_job(self, function: str, *, _job_id: str | None = None, **arguments: Any) -> InlineJob | None:
        """Do a job as one of arq's pool; None where a job has the id already.

        arq's other options, such as ``_defer_by``, have no effect. A job that fails raises in its ``result``.

        Raises:
            JobError: there is no such kind.
        """
        if any(job.job_id == _job_id for job in self.jobs):
            return None
        given = {name: value for name, value in arguments.items() if not name.startswith("_")}
        return await self._perform(_job_id or secrets.token_urlsafe(16), function, given, None)

    async def upload(self, path: Path, mime_type: str | None = None) -> str:  # noqa: ARG002 -- as Offloop has it
        """Keep a file and return the reference to it, ``artifact:<id>``."""
        return self._keep(path)

    async def download(self, artifact: dict[str, Any], folder: Path) -> Path:
        """Copy an artifact of an answer into `folder`, under its own name."""
        source = self._files[f"artifact:{artifact['artifact_id']}"]
        return Path(shutil.copyfile(source, folder / artifact["name"]))

    async def _perform(
        self, job_id: str, kind: str, arguments: dict[str, Any], on_progress: Progress | None
    ) -> InlineJob:
        if kind not in self._works:
            message = (
                f"There is no tool {kind!r}; the test declares: {', '.join(sorted([*self._works, *self._tools]))}."
            )
            raise JobError(message, code="unknown_kind")
        job = InlineJob(job_id, kind, arguments)
        work = self._works[kind]
        attempt = context(self._folder, kind=work, inputs={**self._inputs, **self._files}, roots=self._roots)
        try:
            job.output = await _output(work.kind, work.function, arguments, attempt)
            job.artifacts = [self._artifact(made) for made in attempt.artifacts]
        except JobError as error:
            job.error = error
        job.warnings = attempt.warnings
        self.jobs.append(job)
        if on_progress:
            for report in attempt.reports:
                await on_progress(*report)
        return job

    def _artifact(self, made: Artifact) -> dict[str, Any]:
        reference = self._keep(made.path)
        return {
            "artifact_id": reference.removeprefix("artifact:"),
            "name": made.name,
            "mime_type": made.mime_type,
            "size": made.size,
            "sha256": made.sha256,
            "download_url": made.path.as_uri(),
            "expires_at": _timestamp(KEPT_SECONDS),
        }

    def _keep(self, path: Path) -> str:
        reference = f"artifact:{secrets.token_urlsafe(16)}"
        self._files[reference] = path
        return reference


async def _output(
    declared: Kind[Any, Any] | DeclaredTool[Any, Any],
    function: Callable[..., Any],
    arguments: dict[str, Any],
    *context: RecordingContext,
) -> dict[str, Any]:
    """Output of a function as plain data.

    Raises:
        JobError: the arguments do not fit, or the function failed; an error of its own is the cause.
    """
    value = contract.input_of(declared, arguments)
    try:
        result = await asyncio.to_thread(function, value, *context)
        if inspect.isawaitable(result):
            result = await result
    except OffloopError as error:
        raise as_job_error(error) from error
    except Exception as error:
        message = f"{declared.name} failed unexpectedly ({type(error).__name__}: {error})"
        raise JobError(message) from error
    return contract.output_of(declared, result)


def _answer(job: InlineJob) -> dict[str, Any]:
    """A completed job in the shape of the front end's structured answers."""
    now = _timestamp()
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "state": "completed",
        "attempt": 1,
        "progress": None,
        "created_at": now,
        "started_at": now,
        "finished_at": now,
        "expires_at": _timestamp(KEPT_SECONDS),
        "poll_after_ms": None,
        "output": job.output,
        "artifacts": job.artifacts,
        "warnings": job.warnings,
        "error": None,
    }


def _timestamp(seconds_from_now: float = 0) -> str:
    return timestamp(int((time.time() + seconds_from_now) * 1000))
