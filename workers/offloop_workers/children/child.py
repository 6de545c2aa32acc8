"""The code inside a child: caps, input, work, output; one task at a time, over its own socket."""

from __future__ import annotations

import asyncio
import contextlib
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

from offloop.errors import JobError, LimitExceeded, OffloopError, as_job_error
from offloop.kinds import contract
from offloop.kinds.job_context import JobContext
from offloop.kinds.kind import Kind, Model, Work
from offloop.kinds.limits import Limits
from offloop.redis.codec import pack
from offloop_workers.children import frames
from offloop_workers.children.garbage import FullCollections
from offloop_workers.children.payload import input_of
from offloop_workers.children.process_state import ProcessState, has_survivors
from offloop_workers.sandbox import hints, kernel
from offloop_workers.sandbox.policy import Sandbox

Works = Mapping[str, Work]

MAX_OUTPUT: Final = 1 << 20
"""Bytes of packed output; more belongs into an artifact."""

MAX_DETAIL: Final = 8000
"""Characters of a traceback in the log; its end is kept."""


def serve(sock: socket.socket, output: int, known: Works, sandbox: Sandbox, roots: Mapping[str, Path]) -> None:
    """Do tasks until the worker closes the socket, or one that is marked as the last has been done.

    A task is what `offloop_workers.children.task.Task.to_frame` makes; the answer is ``{done: …}`` or ``{failed: …}``,
    preceded by any number of ``{progress: …}``, and of ``{fetch: …}``, each of which is answered. A child whose process
    state cannot be restored exits. `output` is the pipe for its standard output and error.
    """
    kernel.die_with_parent(os.getppid())
    with contextlib.suppress(PermissionError):
        os.setsid()  # a group of its own, so that what jobs start can be ended with it
    kernel.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.yield_to_others()
    _print_into(output)
    random.seed()  # else every fork would draw the zygote's numbers
    memory = kernel.Memory()
    child = _Child(sock, roots, _temporary_folder(), sandbox, memory)
    before: ProcessState | None = None
    while True:
        try:
            task = frames.receive(sock)
        except (EOFError, ConnectionError):
            return
        before = None if task["last"] else before or ProcessState(memory)
        if work := known.get(task["kind"]):
            answer = child.attempt(work, task)
        else:
            answer = {"failed": _without_work(task["kind"]).to_wire()}
        _flush()
        if not task["last"] and has_survivors():
            answer["retire"] = True  # a survivor could write into the next task
        frames.send(sock, answer)
        # Off the caller's path; a task that has come meanwhile and is not read goes to another child.
        if before is None or answer.get("retire") or not child.make_ready(before):
            return


def _print_into(pipe: int) -> None:
    """Make the output of this process, and of those it starts, lines of the log."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(pipe, stream.fileno())
    os.close(pipe)


def _flush() -> None:
    """Write what a job has printed before its answer; a forked child has no other chance."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a job may have closed it
            stream.flush()  # type: ignore[union-attr]  # the same


def _temporary_folder() -> Path:
    """A folder of this child's own for the files of libraries; the worker deletes it afterwards."""
    folder = Path(tempfile.gettempdir()) / str(os.getpid())
    folder.mkdir(mode=0o700)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    return folder


def _empty(folder: Path) -> None:
    """Delete what libraries left behind."""
    for name in os.listdir(folder):  # noqa: PTH208 -- after every task; a Path takes three times as long
        left = folder / name
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _without_work(kind: str) -> JobError:
    return JobError(f"this worker knows {kind} but has no work for it: is OFFLOOP_JOB_MODULES set for the workers?")


class _Child:
    """One task after the other, with the caps and the sandbox of each."""

    def __init__(
        self, sock: socket.socket, roots: Mapping[str, Path], temporary: Path, sandbox: Sandbox, memory: kernel.Memory
    ) -> None:
        self._sock = sock
        self._roots = roots
        self._temporary = temporary
        self._sandbox = sandbox
        self._caps = kernel.Caps(memory)
        self._limits = Limits()
        self._collections = FullCollections(memory)

    def attempt(self, work: Work, task: dict[str, Any]) -> dict[str, Any]:
        """The answer to one task."""
        kind = work.kind
        limits = self._limits = Limits(**task["limits"])
        try:
            self._sandbox.enter(kind)
            self._caps.cap(limits, last=task["last"])
            self._collections.put_off(limits.memory_mb)
            value = input_of(task["payload"], kind)
            if kind.sandbox == "strict":
                self._enclose(value, task, limits)
            context = self._context(task, limits)
            output = _perform(work, value, context)
            return {"done": {"output": output, "warnings": context.warnings, "artifacts": files_of(context)}}
        except BaseException as error:  # noqa: BLE001 -- whatever the work raises becomes an outcome, never a dead protocol
            return {"failed": failure(error, kind, limits).to_wire(), **_detail(error)}

    def make_ready(self, before: ProcessState) -> bool:
        """Prepare for another task of the same kind, off the caller's path; answers whether that was possible."""
        self._collections.make_up()
        if not before.restore():
            return False
        _empty(self._temporary)
        self._caps.prepare(self._limits, before.space)
        return True

    def _enclose(self, value: Model, task: dict[str, Any], limits: Limits) -> None:
        folder, fetched = Path(task["folder"]), Path(task["fetched"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a rule needs the folder that it is for
        inputs = list(task["inputs"].values())
        if limits.fetches:
            fetched.mkdir(mode=0o700, exist_ok=True)
            inputs.append(str(fetched))
        self._sandbox.enclose(value, self._roots, inputs, [str(folder), str(self._temporary)])

    def _context(self, task: dict[str, Any], limits: Limits) -> JobContext:
        return JobContext(
            job_id=task["job_id"],
            attempt=task["attempt"],
            folder=Path(task["folder"]),
            inputs={reference: Path(path) for reference, path in task["inputs"].items()},
            roots=self._roots,
            report=lambda message: frames.send(self._sock, message),
            ask=self._ask,
            limits=limits,
            kind=task["kind"],
        )

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        frames.send(self._sock, message)
        return frames.receive(self._sock)


def files_of(context: JobContext) -> list[dict[str, Any]]:
    """The files of a job: a list of ``{path, name, mime_type, sha256}`` for its worker."""
    return [
        {
            "path": str(artifact.path),
            "name": artifact.name,
            "mime_type": artifact.mime_type,
            "sha256": artifact.sha256,
        }
        for artifact in context.artifacts
    ]


def _perform(work: Work, value: Model, context: JobContext) -> dict[str, Any]:
    result = work.function(value, context)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return output_of(work.kind, result)


def output_of(kind: Kind[Any, Any], result: object) -> dict[str, Any]:
    """The return value of a work, as plain data.

    Raises:
        LimitExceeded: it is too long.
        TypeError: it is not the type that the kind declares.
    """
    output = contract.output_of(kind, result)
    if (size := len(pack(output))) > MAX_OUTPUT:
        message = (
            f"the output of {kind.name} has {size} bytes, the limit is {MAX_OUTPUT}: "
            "its author should return large data as an artifact (context.create)"
        )
        raise LimitExceeded(message)
    return output


def failure(error: BaseException, kind: Kind[Any, Any], limits: Limits) -> JobError:
    """The failure that the caller sees for an exception of the work."""
    name = kind.name
    match error:
        case OffloopError():
            return as_job_error(error)
        case _ if hint := hints.hint(error, kind):
            return JobError(hint, code="not_allowed")
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
        f"{name} failed unexpectedly ({type(error).__name__}); the worker's log has more under this job's id."
    )


def _detail(error: BaseException) -> dict[str, Any]:
    """The traceback, for the worker's log only, and whether this child must be replaced."""
    if isinstance(error, OffloopError):
        return {}
    text = "".join(traceback.format_exception(error))[-MAX_DETAIL:]
    # After an allocation failed somewhere in native code, the next innocent job was seen to crash: do not reuse.
    return {"traceback": text, "retire": isinstance(error, (MemoryError, SystemError))}
