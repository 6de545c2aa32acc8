"""Kinds with ``isolation="none"``: work that waits for I/O runs on the worker's own loop, beside the other jobs.

It is a task of the worker, so nothing limits its memory, confines it, or ends it where it suppresses its cancellation;
and a blocking call in it blocks the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from offloop import logs
from offloop.errors import JobError, OffloopError
from offloop.kinds.job_context import JobContext
from offloop.queue.record import Progress
from offloop_workers.children.child import failure, files_of, output_of
from offloop_workers.children.payload import input_of
from offloop_workers.children.result import ChildResult, validated
from offloop_workers.children.task import Task, overdue

log = logs.get(__name__)


async def perform(task: Task, roots: Mapping[str, Path], on_progress: Callable[[Progress], None]) -> ChildResult:
    """Await the work of a task and answer its result.

    Raises:
        JobError: the input does not fit, the work failed, or its time was over.
    """
    kind, value = task.kind, input_of(task.payload, task.kind)
    context = JobContext(
        job_id=task.job_id,
        attempt=task.attempt,
        folder=Path(task.folder),
        inputs={reference: Path(path) for reference, path in task.inputs.items()},
        roots=roots,
        report=lambda message: on_progress(Progress(**message["progress"])),
        limits=kind.limits,
        kind=kind.name,
    )
    try:
        async with asyncio.timeout(kind.limits.seconds - task.spent) as time:
            output = output_of(kind, await kind(value, context))
    except asyncio.CancelledError:
        if (attempt := asyncio.current_task()) and attempt.cancelling():
            raise
        message = f"{kind.name} gave itself up: something that it waited for was cancelled."
        raise JobError(message) from None
    except Exception as error:
        if time.expired():
            raise overdue(kind) from None
        if not isinstance(error, OffloopError):
            log.exception("job failed unexpectedly", job_id=task.job_id)
        raise failure(error, kind, kind.limits) from None
    if context.artifacts:
        return validated(kind, {"output": output, "warnings": context.warnings, "artifacts": files_of(context)})
    return ChildResult(output=output, warnings=context.warnings, artifacts=[])
