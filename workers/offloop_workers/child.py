"""The only code of ours inside a child: caps, input, work, output; one task at a time, over its own socket."""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded, OffloopError
from offloop.job import Limits, Model, Work
from offloop.settings import load
from offloop.wire import pack
from offloop_workers import frames, kernel
from offloop_workers.context import JobContext

Works = Mapping[str, Work]

MAX_OUTPUT: Final = 1 << 20
"""Bytes of packed output; more belongs into an artifact."""


def serve(sock: socket.socket, known: Works) -> None:
    """Do tasks until the worker closes the socket, or the first one that says so has been done.

    A task is ``{kind, job_id, attempt, input, folder, inputs, last}``; the answer is ``{done: …}`` or ``{failed: …}``,
    preceded by any number of ``{progress: …}``.
    """
    kernel.die_with_parent(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.yield_to_others()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a job's prints are log lines
    random.seed()  # else every fork would draw the zygote's numbers
    roots = load().file_roots
    temporary = _temporary_folder()
    while True:
        try:
            task = frames.receive(sock)
        except (EOFError, ConnectionError):
            return
        if work := known.get(task["kind"]):
            frames.send(sock, _attempt(work, task, roots, sock))
        else:
            frames.send(sock, {"failed": _without_work(task["kind"]).to_wire()})
        if task["last"]:
            return
        _empty(temporary)


def _temporary_folder() -> Path:
    """Where libraries leave their files: a folder of this child's own; the worker deletes it afterwards."""
    folder = Path(tempfile.gettempdir()) / str(os.getpid())
    folder.mkdir(mode=0o700)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    return folder


def _empty(folder: Path) -> None:
    """What libraries left behind goes with the job."""
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _without_work(kind: str) -> JobError:
    return JobError(f"this worker knows {kind} but has no work for it: is OFFLOOP_JOB_MODULES set for the workers?")


def _attempt(work: Work, task: dict[str, Any], roots: Mapping[str, Path], sock: socket.socket) -> dict[str, Any]:
    limits: Limits = work.kind.limits
    try:
        kernel.cap(limits)
        context = JobContext(
            job_id=task["job_id"],
            attempt=task["attempt"],
            folder=Path(task["folder"]),
            inputs={reference: Path(path) for reference, path in task["inputs"].items()},
            roots=roots,
            output_bytes=limits.output_mb << 20,
            report=lambda message: frames.send(sock, message),
        )
        output = _perform(work, work.kind.input.model_validate(task["input"]), context)
        return {
            "done": {
                "output": output,
                "warnings": context.warnings,
                "artifacts": [
                    {
                        "path": str(artifact.path),
                        "name": artifact.name,
                        "mime_type": artifact.mime_type,
                        "sha256": artifact.sha256,
                    }
                    for artifact in context.artifacts
                ],
            }
        }
    except BaseException as error:  # noqa: BLE001 -- whatever the work raises becomes an outcome, never a dead protocol
        return {"failed": _failure(error, work).to_wire(), **_detail(error)}


def _perform(work: Work, value: Model, context: JobContext) -> dict[str, Any]:
    result = work.function(value, context)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if not isinstance(result, work.kind.output):
        message = f"{work.kind.name} returned {type(result).__name__}, its contract says {work.kind.output.__name__}"
        raise TypeError(message)
    output: dict[str, Any] = result.model_dump(mode="json")
    if (size := len(pack(output))) > MAX_OUTPUT:
        message = (
            f"the output of {work.kind.name} has {size} bytes, the limit is {MAX_OUTPUT}: "
            "its author should return large data as an artifact (context.create)"
        )
        raise LimitExceeded(message)
    return output


def _failure(error: BaseException, work: Work) -> JobError:
    name, limits = work.kind.name, work.kind.limits
    match error:
        case JobError():
            return error
        case OffloopError():
            return JobError(error.message, code=error.reason, retryable=error.retryable)
        case MemoryError():
            return LimitExceeded(
                f"{name} needed more than its {limits.memory_mb} MiB of memory: send a smaller or simpler input."
            )
        case OSError(errno=errno.EFBIG):
            return LimitExceeded(
                f"{name} tried to write a file of more than {limits.output_mb} MiB: ask for a smaller result."
            )
        case ValidationError():
            return JobError(f"{name}: {error.errors(include_url=False)[0]['msg']}", code="bad_input")
    return JobError(
        f"{name} failed unexpectedly ({type(error).__name__}); the worker's log tells more under this job's id."
    )


def _detail(error: BaseException) -> dict[str, Any]:
    """What only the worker's log should see; and whether this child may be broken after what happened."""
    if isinstance(error, OffloopError):
        return {}
    text = "".join(traceback.format_exception(error))[-8000:]
    # After an allocation failed somewhere in native code, the next innocent job was seen to crash: do not reuse.
    return {"traceback": text, "retire": isinstance(error, (MemoryError, SystemError))}
