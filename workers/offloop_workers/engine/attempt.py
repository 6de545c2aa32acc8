"""One attempt of a job, from its claim to its outcome, as a pipeline of named steps.

::

    read      claim → kind and references               (else Failed)
    fetch     artifacts and URLs the input names → local paths   (else Failed)
    run       child process, or the worker's own loop → its result
                                                        (else Failed, or Again after a crash that may be retried)
    keep      files it made → artifacts                 (else Failed)

The payload goes to the child as it is: the input is read and validated there. Each step answers a value; a failure that
a caller should see is raised as `JobError` and becomes `Failed` in one place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offloop import logs
from offloop.artifacts.store import Artifact
from offloop.errors import Crashed, JobError, LimitExceeded, OffloopError, Unavailable, as_job_error
from offloop.kinds.references import Scheme, parse, references
from offloop.queue.record import EXPIRED, Done, Failed, Progress
from offloop_workers.children import payload
from offloop_workers.children.fetching import FetchBudget
from offloop_workers.children.result import ChildResult, ReportedFile, copy_file, validated
from offloop_workers.children.task import Task
from offloop_workers.engine import loop_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offloop.artifacts.store import ArtifactStore
    from offloop.kinds.kind import Kind
    from offloop_workers.children.fetching import Fetching
    from offloop_workers.children.pool import Children
    from offloop_workers.children.scratch import Scratch
    from offloop_workers.engine.claiming import Claim

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Again:
    """The job should be run again: its child crashed and its kind may be retried."""


AGAIN: Final = Again()


class Performer:
    """Runs attempts: a claim becomes an outcome. One per worker.

    Args:
        kinds: the kinds this worker knows.
        children: the child processes.
        store: the artifacts.
        scratch: the temporary folders of attempts.
        fetching: fetches files that are named by URL; without it, none are.
        roots: folders that ``root:`` references may read, by name; for work on the worker's own loop.
    """

    def __init__(  # noqa: PLR0913 -- each with its meaning above
        self,
        kinds: Mapping[str, Kind[Any, Any]],
        children: Children,
        store: ArtifactStore,
        scratch: Scratch,
        fetching: Fetching | None = None,
        *,
        roots: Mapping[str, Path] | None = None,
    ) -> None:
        self._roots = roots or {}
        self._fetching = fetching
        self._kinds = kinds
        self._children = children
        self._store = store
        self._scratch = scratch

    async def __call__(self, claim: Claim, on_progress: Callable[[Progress], None]) -> Done | Failed | Again:
        """Run one attempt. A cancellation is raised only when nothing of the attempt is left."""
        folder = self._scratch.attempt()
        try:
            kind, named = self._read(claim)
            began = time.monotonic()
            budget = FetchBudget(self._fetching, kind.name, kind.limits, f"{folder}/fetched")
            inputs = await self._fetch(named, claim.principal, folder, budget) if named else {}
            task = Task(
                kind,
                claim.job_id,
                claim.attempt,
                claim.payload or b"",
                f"{folder}/work",
                inputs,
                budget=budget,
                spent=time.monotonic() - began,
            )
            if kind.isolation == "none":
                result = await loop_jobs.perform(task, self._roots, on_progress)
            else:
                result = validated(kind, await self._children.run(task, on_progress))
            return await self._keep(result, kind, claim, folder)
        except Crashed as error:
            if claim.tries < claim.allowed:
                log.warning("child crashed, the job is run again", job_id=claim.job_id, error=error.message)
                return AGAIN
            return Failed(error)
        except OffloopError as error:
            return Failed(as_job_error(error))
        except Exception:
            # A fault of the worker must not run the job again and again until its executions are used up.
            log.exception("the worker failed while it ran a job", job_id=claim.job_id)
            message = "The worker itself failed while it ran the job; its log has more under this job's id. Try again."
            return Failed(JobError(message, code="worker_failed", retryable=True))
        finally:
            if os.access(folder, os.F_OK):  # most have none; `Path.exists` takes three times as long
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    def _read(self, claim: Claim) -> tuple[Kind[Any, Any], Sequence[str]]:
        """The kind of a claim, and the references in its input.

        Raises:
            JobError: the job cannot be run, for a reason that is known before its input is read.
        """
        if not claim.payload:
            raise EXPIRED.with_traceback(None)
        if claim.tries > claim.allowed:  # before its payload is read, which may be what ended the workers before
            lost = (
                f"{claim.kind or 'The job'} was lost with its worker {claim.tries - 1} time(s); it is not run again, "
            )
            message = lost + (
                "because it seems to end every worker that runs it."
                if claim.allowed > 1
                else "because its kind allows no retries."
            )
            raise JobError(message, code="crashed", retryable=claim.allowed == 1)
        name = claim.kind or payload.kind_of(claim.payload)
        kind = self._kinds.get(name)
        if kind is None:
            message = f"this worker does not know {name!r}: set OFFLOOP_JOB_MODULES for it as for the front end"
            raise JobError(message, code="unknown_kind")
        if claim.references is None:
            return kind, [str(reference) for reference in references(payload.input_of(claim.payload, kind))]
        return kind, claim.references

    async def _fetch(self, named: Iterable[str], principal: str, folder: str, budget: FetchBudget) -> dict[str, str]:
        try:
            async with asyncio.timeout(budget.limits.seconds):
                return await self._fetch_all(named, principal, Path(folder), budget)
        except TimeoutError:
            message = (
                f"{budget.kind} was stopped after its limit of {budget.limits.seconds:g} seconds, before its files had "
                "come: send smaller ones, or name hosts that answer faster."
            )
            raise LimitExceeded(message) from None

    async def _fetch_all(
        self, named: Iterable[str], principal: str, folder: Path, budget: FetchBudget
    ) -> dict[str, str]:
        paths: dict[str, str] = {}
        for reference in named:
            parsed = parse(reference)
            if parsed.scheme is Scheme.ARTIFACT and reference not in paths:
                artifact = (await self._store.get(parsed.name, principal=principal)).check_uploaded()
                await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
                paths[reference] = str(await self._store.local_path(artifact, folder))
            elif parsed.scheme is Scheme.URL and reference not in paths:
                paths[reference], _ = await budget.fetch_input(parsed.name)
        return paths

    async def _keep(self, result: ChildResult, kind: Kind[Any, Any], claim: Claim, folder: str) -> Done:
        artifacts = await self._store_all(result.artifacts, kind, claim, Path(folder)) if result.artifacts else []
        return Done(result.output, tuple(each.to_wire() for each in artifacts), tuple(result.warnings))

    async def _store_all(
        self, files: Sequence[ReportedFile], kind: Kind[Any, Any], claim: Claim, folder: Path
    ) -> list[Artifact]:
        work = folder / "work"
        kind.limits.check_artifacts(kind.name, len(files))
        check = partial(kind.limits.check_total, kind.name)
        artifacts: list[Artifact] = []
        try:
            for number, file in enumerate(files):
                copy = folder / f"kept-{number}"
                taken = sum(kept.size for kept in artifacts)
                digest = await _to_its_end(asyncio.to_thread(copy_file, Path(file.path), work, copy, check, taken))
                artifact = await self._store.put(
                    copy,
                    principal=claim.principal,
                    name=file.name,
                    mime_type=file.mime_type,
                    digest=digest,
                    job=claim.job_id,
                )
                artifacts.append(artifact)
        except OffloopError:
            # A failed job has no files: those that were kept already must not use up its principal's quota.
            with contextlib.suppress(Unavailable):
                await self._store.forget(artifacts, claim.principal)
            raise
        return artifacts


async def _to_its_end(copying: Coroutine[Any, Any, str]) -> str:
    """Wait for a thread even where the attempt is cancelled: it must write no file into a folder that is deleted."""
    task = asyncio.ensure_future(copying)
    try:
        # Not shield(): after a cancellation, Python 3.14 reports the task's error to the loop.
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # marks it as retrieved
        raise
    return task.result()
